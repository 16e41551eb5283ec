//! Training of the voice: text encoder, duration predictor, pitch decoder and mel decoder on aligned speech.
//!
//! Whole sentences go through the encoder, the duration predictor and the first half of the pitch decoder; a random window
//! of each goes through the rest. The losses are FastSpeech 2's (Ren et al. 2021) in L1: mel, log F0 where voiced, voicing,
//! and the durations' logarithms and sums (ParaLip equation 4).

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use paravox_models::config::{self, VoiceConfig};
use paravox_models::length_regulator::regulate;
use paravox_models::losses;
use paravox_models::mode::{DropoutRng, Mode};
use paravox_models::model::VoiceModel;
use paravox_models::params::Params;
use rand::Rng;

use super::batches::step_rng;
use super::error::{Result, TrainError};
use super::kept_voices::{KeptVoices, Said};
use super::options::TrainOptions;
use super::picture;
use super::run::{self, Loss, TrainReport, Trainer};
use super::symbols::{GridBatch, SymbolBatch, duration_losses, encode};
use crate::data::{SpeechDataset, Split};
use crate::metrics::voice::{VoiceMeans, compare_sentence};
use crate::timeline::{HOP_LENGTH, Timeline};

/// Sentences of the validation split that are looked at during training.
const VALID_SENTENCES: usize = 24;
/// Of these, how many are drawn.
const DRAWN_SENTENCES: usize = 3;

/// Options of [`train_voice`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VoiceOptions {
    /// Preset `voice-light`, 12 sentences a batch, AdamW 2e-3.
    pub common: TrainOptions,
    /// Mel frames of each sentence that go through the decoders (default 200).
    pub mel_frames: usize,
    /// Leave the text encoder as it is, so that lips which read it go on reading it.
    pub freeze_encoder: bool,
    /// Train the pitch decoder alone; the others stay as they are.
    pub only_pitch: bool,
    /// Keep the voices of the nets to start from that the corpus lacks as they are.
    pub keep_voices: bool,
}

impl Default for VoiceOptions {
    fn default() -> Self {
        Self {
            common: TrainOptions::recipe("voice-light", 12, 2e-3),
            mel_frames: 200,
            freeze_encoder: false,
            only_pitch: false,
            keep_voices: false,
        }
    }
}

/// Trains a voice on a prepared speech corpus that has durations.
///
/// # Errors
/// [`TrainError`]: unusable options or corpus, a checkpoint that does not fit, a full disk, divergence.
pub fn train_voice(options: &VoiceOptions) -> Result<TrainReport> {
    let common = &options.common;
    common.check()?;
    common.set_threads();
    let corpus = Arc::new(Corpus::open(&common.data)?);
    let trainer = VoiceTrainer::new(options, corpus.clone())?;
    let (seed, batch, mel_frames) = (common.seed, common.batch, options.mel_frames.max(1));
    run::run(&trainer, common, move |step| Ok(corpus.batch(seed, step, batch, mel_frames)))
}

/// The aligned sentences of a dataset.
struct Corpus {
    dataset: SpeechDataset,
    /// Training sentences from short to long.
    train: Vec<usize>,
    valid: Vec<usize>,
}

impl Corpus {
    fn open(folder: &Path) -> Result<Self> {
        let dataset = SpeechDataset::open(folder)?;
        let usable = |&i: &usize| dataset.meta(i).durations.is_some() && dataset.meta(i).mel_frames > 0;
        let mut train: Vec<usize> = dataset.split(Split::Train).into_iter().filter(usable).collect();
        let valid = dataset.split(Split::Valid).into_iter().filter(usable).take(VALID_SENTENCES).collect();
        if train.is_empty() {
            let reason = format!("{}: no training sentence with durations to learn a voice from", folder.display());
            return Err(TrainError::Data(reason));
        }
        train.sort_by_key(|&i| (dataset.meta(i).symbols.len(), i));
        Ok(Self { dataset, train, valid })
    }

    /// Sentences of about one length, so that little is padded, each with a random window.
    fn batch(&self, seed: u64, step: u64, n: usize, mel_frames: usize) -> VoiceBatch {
        let mut rng = step_rng(seed, step);
        // A stretch of the sorted sentences, twice as many as are needed. It may reach beyond the ends and is then moved
        // inside, so that the shortest and longest come as often as others.
        let stretch = (2 * n).min(self.train.len());
        let first = (rng.random_range(0..self.train.len() + stretch - 1) + 1).saturating_sub(stretch);
        let stretch_of = &self.train[first.min(self.train.len() - stretch)..][..stretch];
        let mut order: Vec<usize> = (0..stretch).collect();
        let mut windows = Vec::with_capacity(n);
        for k in 0..n {
            // A partial Fisher-Yates shuffle; a corpus smaller than a batch is drawn from again and again.
            let j = rng.random_range(k % stretch..stretch);
            order.swap(k % stretch, j);
            let i = stretch_of[order[k % stretch]];
            let length = self.dataset.meta(i).mel_frames;
            // Likewise for the windows: the first and last syllables are seen as often as others.
            let (last, edge) = (length.saturating_sub(mel_frames), mel_frames / 2);
            let first = rng.random_range(0..=last + 2 * edge).saturating_sub(edge).min(last);
            windows.push((i, first..(first + mel_frames).min(length)));
        }
        VoiceBatch::new(&self.dataset, &windows, mel_frames)
    }
}

/// Sentences with a window of mel frames each.
struct VoiceBatch {
    symbols: SymbolBatch,
    grid: GridBatch,
    voices: Vec<u32>,
    /// (B, S) mel frames of each symbol.
    durations: Vec<f32>,
    /// (B, T, n_mels), (B, T), (B, T), (B, T).
    mel: Vec<f32>,
    log_f0: Vec<f32>,
    voiced: Vec<f32>,
    mask: Vec<f32>,
}

impl VoiceBatch {
    /// Windows of at most `length` mel frames of sentences that have durations.
    fn new(dataset: &SpeechDataset, windows: &[(usize, Range<usize>)], length: usize) -> Self {
        let sentences: Vec<_> = windows.iter().map(|(i, _)| dataset.meta(*i).symbols.as_slice()).collect();
        let symbols = SymbolBatch::new(&sentences);
        let (longest, n_mels) = (symbols.longest(), dataset.geometry().n_mels);
        let mut batch = Self {
            symbols,
            grid: GridBatch::default(),
            voices: Vec::new(),
            durations: Vec::new(),
            mel: Vec::new(),
            log_f0: Vec::new(),
            voiced: Vec::new(),
            mask: Vec::new(),
        };
        for (i, window) in windows {
            let meta = dataset.meta(*i);
            let durations = durations(dataset, *i);
            let timeline = Timeline::from_mel_frames(&durations, HOP_LENGTH, 1.0).expect("the dataset checks lengths");
            batch.grid.push(&timeline.mel_places()[window.clone()], length);
            batch.voices.push(meta.voice);
            batch.durations.extend(durations.iter().copied().chain(std::iter::repeat(0.0)).take(longest));
            let padding = length - window.len();
            batch.mel.extend(dataset.mel(*i, window.clone()));
            batch.mel.extend(std::iter::repeat_n(0.0, padding * n_mels));
            let f0_hz = dataset.f0_hz(*i, window.clone());
            let f0_hz = f0_hz.into_iter().chain(std::iter::repeat_n(0.0, padding));
            for f0 in f0_hz {
                batch.log_f0.push(if f0 > 0.0 { f0.ln() } else { 0.0 });
                batch.voiced.push(f32::from(f0 > 0.0));
            }
            batch.mask.extend((0..length).map(|t| f32::from(t < window.len())));
        }
        batch
    }
}

fn durations(dataset: &SpeechDataset, i: usize) -> Vec<f32> {
    let durations = dataset.meta(i).durations.as_ref().expect("sentences without durations are left out");
    durations.iter().map(|&mel_frames| mel_frames as f32).collect()
}

struct VoiceTrainer {
    config: VoiceConfig,
    params: Params,
    model: VoiceModel,
    device: Device,
    corpus: Arc<Corpus>,
    freeze_encoder: bool,
    only_pitch: bool,
    kept: Option<KeptVoices>,
}

impl VoiceTrainer {
    fn new(options: &VoiceOptions, corpus: Arc<Corpus>) -> Result<Self> {
        let common = &options.common;
        let mut config: VoiceConfig = run::config(common, Self::KIND, config::preset)?;
        // A corpus with a further speaker makes a model of one voice more.
        config.n_voices = config.n_voices.max(corpus.dataset.n_voices());
        let device = common.device.open()?;
        let params = Params::new(common.seed, &device);
        let model = VoiceModel::new(&config, params.builder())?;
        let taught = || corpus.train.iter().map(|&i| corpus.dataset.meta(i).voice).collect();
        let kept =
            options.keep_voices.then(|| KeptVoices::new(common.from.as_deref(), &taught(), &device)).transpose()?;
        let only_pitch = options.only_pitch;
        let freeze_encoder = options.freeze_encoder || only_pitch;
        Ok(Self { config, params, model, device, corpus, freeze_encoder, only_pitch, kept })
    }
}

impl Trainer for VoiceTrainer {
    type Batch = VoiceBatch;
    type Config = VoiceConfig;
    const KIND: &'static str = "voice";

    fn params(&self) -> &Params {
        &self.params
    }

    fn config(&self) -> &VoiceConfig {
        &self.config
    }

    fn loss(&self, mut batch: VoiceBatch, dropout_seed: u64) -> candle_core::Result<Loss> {
        let rng = DropoutRng::new(dropout_seed);
        let mode = Mode::Train(&rng);
        let device = &self.device;
        let (n, length) = (batch.voices.len(), batch.mask.len() / batch.voices.len());
        let (ids, symbol_mask) = batch.symbols.tensors(device)?;
        let (index, place) = batch.grid.tensors(device)?;
        let kept = self.kept.as_ref().map(|kept| (kept, kept.take_rows(&mut batch.voices, dropout_seed)));
        let voice = Tensor::from_vec(batch.voices, n, device)?;
        let on_grid = |values: Vec<f32>| Tensor::from_vec(values, (n, length), device);
        let mask = on_grid(batch.mask)?;
        let mut said = Said {
            durations: batch.durations,
            mel: Tensor::from_vec(batch.mel, (n, length, self.config.mel.n_mels), device)?,
            log_f0: on_grid(batch.log_f0)?,
            voiced: on_grid(batch.voiced)?,
        };
        if let Some((kept, rows)) = kept {
            kept.say(rows, [&ids, &symbol_mask, &index, &place, &voice])?.replace(&mut said)?;
        }

        let states = encode(&self.model.encoder, &ids, &symbol_mask, self.freeze_encoder, &mode)?;
        let pitch = self.model.pitch.forward(&states, &symbol_mask, [&index, &place], Some(&voice), &mode)?;
        let mut parts = vec![
            ("f0", 1.0, losses::masked_l1(&pitch.log_f0, &said.log_f0, &said.voiced)?),
            ("voicing", 1.0, losses::voicing_cross_entropy(&pitch.voicing_logit, &said.voiced, &mask)?),
        ];
        if !self.only_pitch {
            let mel = self.model.mel.forward(&regulate(&states, &index)?, &place, Some(&voice), &mode)?;
            parts.push(("mel", 1.0, losses::masked_l1(&mel, &said.mel, &mask)?));
            let log_durations = self.model.duration.forward(&states, &symbol_mask, Some(&voice), &mode)?;
            parts.extend(duration_losses(&log_durations, said.durations, &symbol_mask)?);
        }
        Loss::weighted(&parts)
    }

    fn validate(&self, folder: &Path) -> Result<Vec<(&'static str, f64)>> {
        let mut means = VoiceMeans::default();
        for (k, &i) in self.corpus.valid.iter().enumerate() {
            let (figures, mel) = compare_sentence(&self.model, &self.corpus.dataset, i, &self.device)?;
            means.add(&figures);
            if k < DRAWN_SENTENCES {
                let true_mel = self.corpus.dataset.mel(i, 0..figures.mel_frames);
                let path = folder.join(format!("mel-{k}-predicted-over-true.png"));
                picture::write_mels(&path, self.config.mel.n_mels, &[&mel, &true_mel])?;
            }
        }
        Ok(means.figures().iter().map(|figure| (figure.name, figure.value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::load_model;
    use super::super::start::tests::{TINY, model, save};
    use super::*;
    use crate::data::SpeechItem;
    use crate::data::speech::{SpeechGeometry, SpeechWriter};
    use crate::text::{Phoneme, SentenceKind, Symbol};

    #[test]
    fn pitch_alone_learns_where_that_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let [data, from, out] = ["data", "from", "out"].map(|name| folder.path().join(name));
        let mut writer = SpeechWriter::open(&data, SpeechGeometry::default(), false).unwrap();
        for (id, split) in [("a", Split::Train), ("b", Split::Valid)] {
            let item = SpeechItem {
                id: id.into(),
                text: String::new(),
                symbols: vec![Symbol::pause(Phoneme::Silence, SentenceKind::Statement); 2],
                durations: Some(vec![10, 30]),
                mel: vec![-4.0; 40 * 80],
                f0_hz: (0..40).map(|t| if t < 10 { 0.0 } else { 300.0 }).collect(),
                pcm: vec![0; 40 * 300],
                voice: 0,
                split,
            };
            writer.push(&item).unwrap();
        }
        writer.finish().unwrap();
        let tiny = TINY.replace("n_mels = 4", "n_mels = 80");
        let (params, _) = model(&tiny, 1);
        std::fs::create_dir(&from).unwrap();
        save(&from, &params, &tiny);

        let mut options = VoiceOptions { only_pitch: true, mel_frames: 40, ..VoiceOptions::default() };
        options.common.set_learning_rate(2e-2).unwrap();
        (options.common.data, options.common.out) = (data, out.clone());
        (options.common.from, options.common.steps, options.common.batch) = (Some(from.clone()), 100, 2);
        let report = train_voice(&options).unwrap();
        let names: Vec<&str> = report.losses.iter().map(|loss| loss.0).collect();
        assert_eq!(names[..3], ["loss", "f0", "voicing"]);
        assert!(report.losses[1].1 < 0.1, "{report:?}");

        let (before, after) = (load_model(&from).unwrap(), load_model(&out).unwrap());
        let flat = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (name, value) in &after {
            let changed = flat(value) != flat(&before[name]);
            assert!(!changed || name.starts_with("pitch."), "{name}");
        }
        assert_ne!(flat(&after["pitch.output.bias"]), flat(&before["pitch.output.bias"]));
    }
}
