//! Training of the Fourier vocoder by copy-synthesis: true mel and F0 in, the recording out.
//!
//! Random windows of PCM, several short-time Fourier resolutions as the loss (Yamamoto et al. 2020). The loss is a
//! generalised energy distance (Gritsenko et al. 2020, "A Spectral Energy Distance for Parallel Speech Synthesis"): the
//! distance of a copy to the recording less that to a second copy with other noise. Without the second
//! term a copy is best where nothing in it is left to chance, and breath and hiss turn into a buzz of pulses.
//!
//! Where a corpus has its harmonics apart from its noise, as that of a source-filter teacher may, each source is taught by
//! itself: the harmonics, in which nothing is left to chance, by the spectral distance, the noise by its likelihood. What
//! belongs to which need not be found out then, and a source of free phase counts as noise. In other recordings F0 tells the
//! two apart.
//!
//! An adversary may join: a discriminator of spectrograms that learns beside the vocoder, by least squares (Mao et al.
//! 2017), with its features as a further distance of the copy to the recording (Larsen et al. 2016).

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{Device, Tensor};
use paravox_models::config::ConfigError;
use paravox_models::losses;
use paravox_models::params::Params;
use paravox_vocoder::discriminator::SpectrogramDiscriminator;
use paravox_vocoder::fourier::{FourierConfig, FourierNet};
use paravox_vocoder::harmonics::harmonics;
use paravox_vocoder::stft_loss::MultiResolutionStft;
use rand::Rng;

use super::adversary;
use super::batches::step_rng;
use super::checkpoint::AID;
use super::error::{Result, TrainError};
use super::options::TrainOptions;
use super::picture;
use super::predicted_mel::PredictedMel;
use super::run::{self, Loss, TrainReport, Trainer};
use crate::data::speech::SpeechMeta;
use crate::data::{SpeechDataset, Split};

/// Weights, beside the spectral distance, of what the adversary says and of the distance of its features.
const ADVERSARY_WEIGHT: f64 = 0.5;
const FEATURES_WEIGHT: f64 = 0.5;
/// Weight of the noise's likelihood beside the harmonics' spectral distance.
const NOISE_WEIGHT: f64 = 0.5;
/// Mel frames around a window that tell what repeats in it.
const AROUND: usize = 8;
/// Sentences of the validation split whose copies are compared during training.
const VALID_SENTENCES: usize = 8;
/// Of these, how many are written as WAV.
const HEARD_SENTENCES: usize = 3;
/// Longest part of a validation sentence, in mel frames.
const VALID_MEL_FRAMES: usize = 800;
/// Seed of the noise in validation.
const VALID_SEED: u64 = 1;

/// Options of [`train_vocoder`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VocoderOptions {
    /// Preset `fourier`, 16 windows a batch, AdamW 2e-3.
    pub common: TrainOptions,
    /// Length of a window in mel frames (default 80: one second).
    pub mel_frames: usize,
    /// A voice (a training's folder, a weights file or a shipped name): every second batch is then of mel as that voice
    /// predicts it with the true durations, and the corpus needs durations.
    pub voice: Option<PathBuf>,
    /// Where the harmonics of the sentences are known from.
    pub harmonics: HarmonicsFrom,
    /// Whether a discriminator joins: for a vocoder that has learnt from the spectral distance before.
    pub adversary: bool,
}

/// Where the harmonics of sentences are known from.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum HarmonicsFrom {
    /// They are not: the vocoder learns from the sum of its sources.
    #[default]
    Nowhere,
    /// The recordings: what repeats with F0 ([`harmonics`]).
    F0,
    /// Folder of a corpus with sentences of the same names whose recordings hold their harmonics alone; only the sentences
    /// that are in both are used then.
    Corpus(PathBuf),
}

impl Default for VocoderOptions {
    fn default() -> Self {
        let common = TrainOptions::recipe("fourier", 16, 2e-3);
        Self { common, mel_frames: 80, voice: None, harmonics: HarmonicsFrom::Nowhere, adversary: false }
    }
}

/// Trains a vocoder on a prepared speech corpus; it needs no text and no durations.
///
/// # Errors
/// [`TrainError`]: unusable options or corpus, a checkpoint that does not fit, a full disk, divergence.
pub fn train_vocoder(options: &VocoderOptions) -> Result<TrainReport> {
    let common = &options.common;
    common.check()?;
    common.set_threads();
    let mel_frames = options.mel_frames.max(8);
    let corpus = Arc::new(Corpus::open(options, mel_frames)?);
    let trainer = VocoderTrainer::new(options, corpus.clone())?;
    let (seed, batch) = (common.seed, common.batch);
    run::run(&trainer, common, move |step| Ok(corpus.batch(seed, step, batch, mel_frames)))
}

/// The sentences of a dataset that are at least a window long.
struct Corpus {
    dataset: SpeechDataset,
    harmonics: Option<Harmonics>,
    /// Training sentences, each with the number of windows in it and in all before it.
    train: Vec<(usize, usize)>,
    valid: Vec<usize>,
}

impl Corpus {
    fn open(options: &VocoderOptions, mel_frames: usize) -> Result<Self> {
        let folder = &options.common.data;
        let dataset = SpeechDataset::open(folder)?;
        let harmonics = match &options.harmonics {
            HarmonicsFrom::Nowhere => None,
            HarmonicsFrom::F0 => Some(Harmonics::ByF0),
            HarmonicsFrom::Corpus(folder) => Some(Harmonics::open(folder)?),
        };
        let mut windows = 0;
        let mut train = Vec::new();
        let usable = |&i: &usize| {
            let meta = dataset.meta(i);
            (options.voice.is_none() || meta.durations.is_some())
                && harmonics.as_ref().is_none_or(|harmonics| harmonics.has(meta))
        };
        for i in dataset.split(Split::Train).into_iter().filter(usable) {
            if let Some(more) = (dataset.meta(i).mel_frames + 1).checked_sub(mel_frames).filter(|more| *more > 0) {
                windows += more;
                train.push((i, windows));
            }
        }
        if train.is_empty() {
            let durations = if options.voice.is_some() { " with durations" } else { "" };
            let harmonics = if harmonics.is_some() { " with harmonics" } else { "" };
            let reason = format!(
                "{}: no training sentence{durations}{harmonics} of {mel_frames} mel frames or more",
                folder.display()
            );
            return Err(TrainError::Data(reason));
        }
        let valid = dataset.split(Split::Valid).into_iter().filter(usable).take(VALID_SENTENCES).collect();
        Ok(Self { dataset, harmonics, train, valid })
    }

    /// Random windows; each place of the corpus is as likely as any other.
    fn batch(&self, seed: u64, step: u64, n: usize, mel_frames: usize) -> VocoderBatch {
        let mut rng = step_rng(seed, step);
        let windows = self.train.last().map_or(0, |sentence| sentence.1);
        let predicted = step % 2 == 1;
        let mut batch = VocoderBatch { noise_seed: rng.random(), predicted, ..VocoderBatch::default() };
        for _ in 0..n {
            let window = rng.random_range(0..windows);
            let k = self.train.partition_point(|sentence| sentence.1 <= window);
            let before = if k == 0 { 0 } else { self.train[k - 1].1 };
            let start = window - before;
            batch.push(self, self.train[k].0, start..start + mel_frames);
        }
        batch
    }
}

/// The harmonics of sentences, alone.
enum Harmonics {
    /// What repeats with F0.
    ByF0,
    Stored {
        dataset: SpeechDataset,
        /// The sentence of every name.
        places: HashMap<String, usize>,
    },
}

impl Harmonics {
    fn open(folder: &Path) -> Result<Self> {
        let dataset = SpeechDataset::open(folder)?;
        let places = (0..dataset.len()).map(|i| (dataset.meta(i).id.clone(), i)).collect();
        Ok(Self::Stored { dataset, places })
    }

    /// Where those of a sentence are stored.
    fn place(dataset: &SpeechDataset, places: &HashMap<String, usize>, sentence: &SpeechMeta) -> Option<usize> {
        let same = |&i: &usize| dataset.meta(i).mel_frames == sentence.mel_frames;
        places.get(&sentence.id).copied().filter(same)
    }

    fn has(&self, sentence: &SpeechMeta) -> bool {
        match self {
            Self::ByF0 => true,
            Self::Stored { dataset, places } => Self::place(dataset, places, sentence).is_some(),
        }
    }

    /// PCM of those of a window of sentence `i` of `corpus`.
    fn pcm(&self, corpus: &SpeechDataset, i: usize, window: Range<usize>) -> Vec<f32> {
        let meta = corpus.meta(i);
        match self {
            Self::ByF0 => {
                let wide = window.start.saturating_sub(AROUND)..(window.end + AROUND).min(meta.mel_frames);
                let pcm: Vec<f32> = corpus.pcm(i, wide.clone()).into_iter().map(unit).collect();
                let geometry = corpus.geometry();
                let hop_length = geometry.hop_length;
                let all = harmonics(&pcm, &corpus.f0_hz(i, wide.clone()), geometry.sample_rate, hop_length);
                let first = window.start - wide.start;
                all[first * hop_length..(first + window.len()) * hop_length].to_vec()
            }
            Self::Stored { dataset, places } => {
                let place = Self::place(dataset, places, meta).expect("sentences without were left out");
                dataset.pcm(place, window).into_iter().map(unit).collect()
            }
        }
    }
}

fn unit(value: i16) -> f32 {
    f32::from(value) / 32_768.0
}

/// Windows of equal length side by side.
#[derive(Default)]
struct VocoderBatch {
    /// Where the windows are, for mel that a voice predicts.
    windows: Vec<(usize, Range<usize>)>,
    /// Whether the mel is to be a voice's, where there is one.
    predicted: bool,
    /// (B, T, n_mels), (B, T), (B, hop_length T).
    mel: Vec<f32>,
    f0_hz: Vec<f32>,
    pcm: Vec<f32>,
    /// As `pcm`; empty where the corpus has none.
    harmonics: Vec<f32>,
    noise_seed: u64,
}

impl VocoderBatch {
    fn push(&mut self, corpus: &Corpus, i: usize, window: Range<usize>) {
        let dataset = &corpus.dataset;
        self.mel.extend(dataset.mel(i, window.clone()));
        self.f0_hz.extend(dataset.f0_hz(i, window.clone()));
        self.windows.push((i, window.clone()));
        self.pcm.extend(dataset.pcm(i, window.clone()).into_iter().map(unit));
        if let Some(harmonics) = &corpus.harmonics {
            self.harmonics.extend(harmonics.pcm(dataset, i, window));
        }
    }

    /// Mel, F0 and PCM.
    fn tensors(&self, device: &Device) -> candle_core::Result<[Tensor; 3]> {
        let n = self.windows.len();
        let mel_frames = self.f0_hz.len() / n;
        Ok([
            Tensor::from_slice(&self.mel, (n, mel_frames, self.mel.len() / self.f0_hz.len()), device)?,
            Tensor::from_slice(&self.f0_hz, (n, mel_frames), device)?,
            Tensor::from_slice(&self.pcm, (n, self.pcm.len() / n), device)?,
        ])
    }
}

struct VocoderTrainer {
    config: FourierConfig,
    params: Params,
    net: FourierNet,
    stft: MultiResolutionStft,
    adversary: Option<SpectrogramDiscriminator>,
    device: Device,
    corpus: Arc<Corpus>,
    voice: Option<PredictedMel>,
}

impl VocoderTrainer {
    fn new(options: &VocoderOptions, corpus: Arc<Corpus>) -> Result<Self> {
        let config: FourierConfig = run::config(&options.common, Self::KIND, preset)?;
        let (geometry, mel) = (corpus.dataset.geometry(), &config.mel);
        if (geometry.n_mels, geometry.hop_length) != (mel.n_mels, mel.hop_length) {
            return Err(TrainError::Options(
                "the corpus was prepared with another mel geometry than the preset's".into(),
            ));
        }
        let device = options.common.device.open()?;
        let voice = options.voice.as_deref().map(|folder| PredictedMel::load(folder, &device)).transpose()?;
        let params = Params::new(options.common.seed, &device);
        let net = FourierNet::new(&config, params.builder())?;
        let adversary = options
            .adversary
            .then(|| SpectrogramDiscriminator::new(params.builder().pp(AID).pp("discriminator")))
            .transpose()?;
        Ok(Self { config, params, net, stft: MultiResolutionStft::default(), adversary, device, corpus, voice })
    }
}

fn preset(name: &str) -> std::result::Result<FourierConfig, ConfigError> {
    match name {
        "fourier" => Ok(FourierConfig::default()),
        _ => Err(ConfigError::NoPreset { name: name.to_string() }),
    }
}

/// Both sides of one step against the adversary, each blind to the other's weights.
fn duel(
    discriminator: &SpectrogramDiscriminator,
    copy: &Tensor,
    recording: &Tensor,
) -> candle_core::Result<[(&'static str, f64, Tensor); 3]> {
    let real = discriminator.forward(recording)?;
    let fake = discriminator.forward(&copy.detach())?;
    let seen = discriminator.detached().forward(copy)?;
    let [fooled, judged] = adversary::duel(&real.scores, &fake.scores, &seen.scores)?;
    let features = seen.features.iter().zip(&real.features).map(|(seen, real)| losses::l1(seen, &real.detach()));
    let features = adversary::mean(features)?;
    Ok([("fooled", ADVERSARY_WEIGHT, fooled), ("features", FEATURES_WEIGHT, features), ("judged", 1.0, judged)])
}

impl Trainer for VocoderTrainer {
    type Batch = VocoderBatch;
    type Config = FourierConfig;
    const KIND: &'static str = "vocoder";

    fn params(&self) -> &Params {
        &self.params
    }

    fn config(&self) -> &FourierConfig {
        &self.config
    }

    fn loss(&self, batch: VocoderBatch, _: u64) -> candle_core::Result<Loss> {
        let [mel, f0_hz, pcm] = batch.tensors(&self.device)?;
        let mel = match &self.voice {
            Some(voice) if batch.predicted => voice.windows(&self.corpus.dataset, &batch.windows)?,
            _ => mel,
        };
        let head = self.net.head(&self.net.hidden(&mel, &f0_hz)?)?;
        let mut parts = Vec::new();
        if !batch.harmonics.is_empty() {
            let harmonics = Tensor::from_slice(&batch.harmonics, pcm.dims(), &self.device)?;
            let alone = head.narrow(2, 0, 3 * self.config.bins())?;
            let copy = self.net.synthesise(&alone, self.net.pulses(&f0_hz)?)?;
            parts.push(("harmonics", 1.0, self.stft.forward(&copy, &harmonics)?));
            let divergence = self.net.noise_divergence(&head, &(pcm - harmonics)?)?;
            parts.push(("noise", NOISE_WEIGHT, divergence));
            return Loss::weighted(&parts);
        }
        let copy = |head: &Tensor, seed| self.net.synthesise(head, self.net.excite(&f0_hz, seed)?);
        let (one, other) = (copy(&head, batch.noise_seed)?, copy(&head.detach(), !batch.noise_seed)?);
        // Half of the distance between two copies belongs into the energy distance. Its gradient is the same in both, so
        // the whole of it in one of them is half of it in each.
        parts.push(("stft", 1.0, self.stft.forward(&one, &pcm)?));
        parts.push(("spread", -1.0, self.stft.forward(&one, &other)?));
        if let Some(adversary) = &self.adversary {
            parts.extend(duel(adversary, &one, &pcm)?);
        }
        Loss::weighted(&parts)
    }

    fn validate(&self, folder: &Path) -> Result<Vec<(&'static str, f64)>> {
        let mut sum = 0.0;
        for (k, &i) in self.corpus.valid.iter().enumerate() {
            let mut sentence = VocoderBatch::default();
            let mel_frames = self.corpus.dataset.meta(i).mel_frames.min(VALID_MEL_FRAMES);
            sentence.push(&self.corpus, i, 0..mel_frames);
            let [mel, f0_hz, pcm] = sentence.tensors(&self.device)?;
            let copy = self.net.forward(&mel, &f0_hz, VALID_SEED)?.detach();
            sum += f64::from(self.stft.forward(&copy, &pcm)?.to_scalar::<f32>()?);
            if k < HEARD_SENTENCES {
                let rate = self.config.mel.sample_rate;
                let copy: Vec<f32> = copy.flatten_all()?.to_vec1()?;
                picture::write_wav(&folder.join(format!("copy-{k}.wav")), rate, &copy)?;
                picture::write_wav(&folder.join(format!("true-{k}.wav")), rate, &sentence.pcm)?;
            }
        }
        let count = self.corpus.valid.len();
        Ok(vec![("stft", if count == 0 { f64::NAN } else { sum / count as f64 })])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SpeechItem;
    use crate::data::speech::{SpeechGeometry, SpeechWriter};

    /// Sentences of a hum, with or without the hiss that goes with it.
    fn corpus(folder: &Path, names: &[&str], hiss: f32) {
        let mut writer = SpeechWriter::open(folder, SpeechGeometry::default(), false).unwrap();
        for (k, name) in names.iter().enumerate() {
            let mut rng = step_rng(3, k as u64);
            let hum = |at: usize| {
                (1..9).map(move |h| (at as f32 * h as f32 * 200.0 / 24_000.0 * std::f32::consts::TAU).sin())
            };
            let value = |at| 1000.0 * hum(at).sum::<f32>() + hiss * rng.random_range(-1.0..1.0);
            let item = SpeechItem {
                id: (*name).into(),
                text: String::new(),
                symbols: Vec::new(),
                durations: None,
                mel: vec![-4.0; 40 * 80],
                f0_hz: vec![200.0; 40],
                pcm: (0..40 * 300).map(value).map(|value| value as i16).collect(),
                voice: 0,
                split: if k == 0 { Split::Valid } else { Split::Train },
            };
            writer.push(&item).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn harmonics_and_noise_are_learnt_apart_from_sentences_that_have_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        corpus(&path("whole"), &["a", "b", "c"], 2000.0);
        corpus(&path("harmonics"), &["a", "c"], 0.0);
        corpus(&path("others"), &["x", "y"], 0.0);
        std::fs::write(path("tiny.toml"), "width = 8\nblocks = 1\nfree_phase = false\n").unwrap();
        let mut options = VocoderOptions { mel_frames: 20, ..VocoderOptions::default() };
        options.common.preset = path("tiny.toml").to_str().unwrap().into();
        (options.common.data, options.common.out) = (path("whole"), path("run"));
        (options.common.steps, options.common.batch) = (300, 4);
        options.common.set_learning_rate(1e-2).unwrap();
        options.harmonics = HarmonicsFrom::Corpus(path("harmonics"));
        let corpus = Corpus::open(&options, 20).unwrap();
        assert_eq!((corpus.train.len(), corpus.valid.len()), (1, 1), "b has no harmonics");
        let report = train_vocoder(&options).unwrap();
        let last = |name: &str| report.losses.iter().find(|loss| loss.0 == name).unwrap().1;
        assert!(last("noise") < 0.15, "{report:?}");
        assert!(last("harmonics") < 0.5, "{report:?}");

        options.harmonics = HarmonicsFrom::Corpus(path("others"));
        assert!(matches!(train_vocoder(&options), Err(TrainError::Data(reason)) if reason.contains("with harmonics")));
    }

    #[test]
    fn f0_tells_harmonics_apart_in_any_window() {
        let folder = tempfile::tempdir().unwrap();
        corpus(folder.path(), &["a", "b"], 500.0);
        let dataset = SpeechDataset::open(folder.path()).unwrap();
        let whole = Harmonics::ByF0.pcm(&dataset, 1, 0..40);
        let window = Harmonics::ByF0.pcm(&dataset, 1, 15..25);
        assert_eq!((whole.len(), window.len()), (40 * 300, 10 * 300));
        let difference = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // Of a hum of 0.2.
        assert!(difference(&window, &whole[15 * 300..25 * 300]) < 0.01);
        let hummed: Vec<f32> = dataset.pcm(1, 15..25).into_iter().map(unit).collect();
        assert!(difference(&window, &hummed) > 0.005, "the hiss is gone");
    }
}
