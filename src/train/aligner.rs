//! Training of the aligner: the phoneme of every mel frame, from speech whose durations are known.
//!
//! The teacher is one voice in a silent room, and the aligner is for anybody in any room: so each sentence is made to sound
//! like somebody else's first. The spectrum is stretched (vocal tract length perturbation, Jaitly and Hinton 2013), the pace
//! changed, and noise laid under it.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use paravox_models::aligner::{AlignerConfig, AlignerNet};
use paravox_models::config;
use paravox_models::losses;
use paravox_models::mode::{DropoutRng, Mode};
use paravox_models::params::Params;
use paravox_vocoder::mel::MelConfig;
use rand::Rng;

use super::batches::step_rng;
use super::error::{Result, TrainError};
use super::options::TrainOptions;
use super::run::{self, Loss, TrainReport, Trainer};
use crate::align::{Aligner, class_of, features};
use crate::data::{SpeechDataset, Split};
use crate::timeline::{HOP_LENGTH, SAMPLE_RATE};

/// Sentences of the validation split that are aligned during training.
const VALID_SENTENCES: usize = 24;
/// How far the spectrum is stretched: from a child's to a tall man's, seen from a woman's.
const STRETCH: std::ops::Range<f32> = 0.72..1.2;
/// How many times as fast as the sentence was spoken.
const PACE: std::ops::Range<f32> = 0.75..1.5;
/// Level of the noise against the mean of the sentence, as natural logarithms of magnitudes; and how often there is any.
const NOISE: std::ops::Range<f32> = -5.0..-0.5;
const NOISY: f64 = 0.8;

/// Options of [`train_aligner`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AlignerOptions {
    /// Preset `aligner-light`, 16 windows a batch, AdamW 2e-3.
    pub common: TrainOptions,
    /// Length of a window in mel frames (default 240: three seconds).
    pub mel_frames: usize,
}

impl Default for AlignerOptions {
    fn default() -> Self {
        Self { common: TrainOptions::recipe("aligner-light", 16, 2e-3), mel_frames: 240 }
    }
}

/// Trains an aligner on a prepared speech corpus that has durations.
///
/// # Errors
/// [`TrainError`]: unusable options or corpus, a checkpoint that does not fit, a full disk, divergence.
pub fn train_aligner(options: &AlignerOptions) -> Result<TrainReport> {
    let common = &options.common;
    common.check()?;
    common.set_threads();
    let corpus = Arc::new(Corpus::open(&common.data)?);
    let trainer = AlignerTrainer::new(common, corpus.clone())?;
    let (seed, batch, mel_frames) = (common.seed, common.batch, options.mel_frames.max(16));
    run::run(&trainer, common, move |step| Ok(corpus.batch(seed, step, batch, mel_frames)))
}

/// The aligned sentences of a dataset.
struct Corpus {
    dataset: SpeechDataset,
    train: Vec<usize>,
    valid: Vec<usize>,
    centres_hz: Vec<f32>,
}

impl Corpus {
    fn open(folder: &Path) -> Result<Self> {
        let dataset = SpeechDataset::open(folder)?;
        let usable = |&i: &usize| dataset.meta(i).durations.is_some() && dataset.meta(i).mel_frames > 0;
        let train: Vec<usize> = dataset.split(Split::Train).into_iter().filter(usable).collect();
        let valid = dataset.split(Split::Valid).into_iter().filter(usable).take(VALID_SENTENCES).collect();
        if train.is_empty() {
            let reason = format!("{}: no training sentence with durations to learn from", folder.display());
            return Err(TrainError::Data(reason));
        }
        let mel = MelConfig { n_mels: dataset.geometry().n_mels, ..MelConfig::default() };
        Ok(Self { train, valid, centres_hz: mel.band_centres_hz(), dataset })
    }

    fn batch(&self, seed: u64, step: u64, n: usize, mel_frames: usize) -> AlignerBatch {
        let mut rng = step_rng(seed, step);
        let mut batch = AlignerBatch { rows: n, ..AlignerBatch::default() };
        for _ in 0..n {
            let i = self.train[rng.random_range(0..self.train.len())];
            self.push(&mut batch, i, mel_frames, &mut rng);
        }
        batch
    }

    /// A window of a sentence as somebody else might have said it.
    fn push(&self, batch: &mut AlignerBatch, i: usize, mel_frames: usize, rng: &mut impl Rng) {
        let n_mels = self.centres_hz.len();
        let length = self.dataset.meta(i).mel_frames;
        let mut mel = self.dataset.mel(i, 0..length);
        stretch(&mut mel, &self.centres_hz, rng.random_range(STRETCH));
        if rng.random_bool(NOISY) {
            let level = mel.iter().sum::<f32>() / mel.len() as f32 + rng.random_range(NOISE);
            let tilt = rng.random_range(-2.0..2.0f32);
            for (k, value) in mel.iter_mut().enumerate() {
                let noise = level + tilt * (0.5 - (k % n_mels) as f32 / n_mels as f32);
                *value = (value.exp() + noise.exp()).ln();
            }
        }
        let (xs, classes) = (features(&mel, n_mels), classes(&self.dataset, i));
        let pace = rng.random_range(PACE);
        // The last position must lie between two mel frames.
        let spoken = (((length - 1) as f32 / pace) as usize).max(1);
        let first = rng.random_range(0..=spoken.saturating_sub(mel_frames));
        for t in first..first + mel_frames {
            let position = t as f32 * pace;
            let before = position as usize;
            if t < spoken && before + 1 < length {
                let part = position - before as f32;
                let row = |m: usize| xs[m * n_mels..(m + 1) * n_mels].iter();
                batch.mel.extend(row(before).zip(row(before + 1)).map(|(a, b)| a + part * (b - a)));
                batch.classes.push(classes[(position + 0.5) as usize]);
                batch.mask.push(1.0);
            } else {
                batch.mel.extend(std::iter::repeat_n(0.0, n_mels));
                batch.classes.push(0);
                batch.mask.push(0.0);
            }
        }
    }
}

/// The geometric mean of the lengths of each phoneme, at least a mel frame; of one that never comes, that of all.
fn usual_lengths(corpus: &Corpus, phonemes: usize) -> Vec<f32> {
    let mut sums = vec![(0.0, 0.0); phonemes];
    for meta in corpus.train.iter().map(|&i| corpus.dataset.meta(i)) {
        let durations = meta.durations.iter().flatten();
        for (symbol, &length) in meta.symbols.iter().zip(durations).filter(|(symbol, _)| !symbol.phoneme.is_pause()) {
            let (sum, count) = &mut sums[class_of(symbol.phoneme)];
            *sum += f64::from(length.max(1)).ln();
            *count += 1.0;
        }
    }
    let all = sums.iter().fold((0.0, 0.0), |all, (sum, count)| (all.0 + sum, all.1 + count));
    let mean = |(sum, count): (f64, f64)| (sum / f64::max(count, 1.0)).exp() as f32;
    sums.into_iter().map(|sums| mean(if sums.1 > 0.0 { sums } else { all })).collect()
}

/// The class of every mel frame of a sentence.
fn classes(dataset: &SpeechDataset, i: usize) -> Vec<u32> {
    let meta = dataset.meta(i);
    let durations = meta.durations.iter().flatten();
    let runs = meta.symbols.iter().zip(durations);
    runs.flat_map(|(symbol, &length)| std::iter::repeat_n(class_of(symbol.phoneme) as u32, length as usize)).collect()
}

/// What lay at a frequency lies at `factor` times it; beyond the last band, the last band goes on.
fn stretch(mel: &mut [f32], centres_hz: &[f32], factor: f32) {
    let last = centres_hz.len() - 1;
    let sources: Vec<(usize, f32)> = centres_hz
        .iter()
        .map(|centre| {
            let wanted = centre / factor;
            let above = centres_hz.partition_point(|hz| *hz < wanted).clamp(1, last);
            let (low, high) = (centres_hz[above - 1], centres_hz[above]);
            (above, ((wanted - low) / (high - low)).clamp(0.0, 1.0))
        })
        .collect();
    let mut row = vec![0.0; centres_hz.len()];
    for out in mel.chunks_exact_mut(centres_hz.len()) {
        row.copy_from_slice(out);
        for (value, &(above, part)) in out.iter_mut().zip(&sources) {
            *value = row[above - 1] + part * (row[above] - row[above - 1]);
        }
    }
}

/// Windows side by side.
#[derive(Default)]
struct AlignerBatch {
    rows: usize,
    /// (B, T, n_mels), (B, T), (B, T).
    mel: Vec<f32>,
    classes: Vec<u32>,
    mask: Vec<f32>,
}

struct AlignerTrainer {
    config: AlignerConfig,
    params: Params,
    net: AlignerNet,
    device: Device,
    corpus: Arc<Corpus>,
}

impl AlignerTrainer {
    fn new(options: &TrainOptions, corpus: Arc<Corpus>) -> Result<Self> {
        let mut config: AlignerConfig = run::config(options, Self::KIND, config::preset)?;
        config.usual_lengths = usual_lengths(&corpus, config.phonemes);
        if config.n_mels != corpus.dataset.geometry().n_mels {
            return Err(TrainError::Options("the corpus was prepared with other mel bins than the preset's".into()));
        }
        let device = options.device.open()?;
        let params = Params::new(options.seed, &device);
        let net = AlignerNet::new(&config, params.builder())?;
        Ok(Self { config, params, net, device, corpus })
    }
}

impl Trainer for AlignerTrainer {
    type Batch = AlignerBatch;
    type Config = AlignerConfig;
    const KIND: &'static str = "aligner";

    fn params(&self) -> &Params {
        &self.params
    }

    fn config(&self) -> &AlignerConfig {
        &self.config
    }

    fn loss(&self, batch: AlignerBatch, dropout_seed: u64) -> candle_core::Result<Loss> {
        let rng = DropoutRng::new(dropout_seed);
        let shape = (batch.rows, batch.mask.len() / batch.rows);
        let mel = Tensor::from_vec(batch.mel, (shape.0, shape.1, self.config.n_mels), &self.device)?;
        let classes = Tensor::from_vec(batch.classes, shape, &self.device)?;
        let mask = Tensor::from_vec(batch.mask, shape, &self.device)?;
        let logits = self.net.forward(&mel, &Mode::Train(&rng))?;
        Loss::weighted(&[("phoneme", 1.0, losses::masked_cross_entropy(&logits, &classes, &mask)?)])
    }

    /// Aligns sentences of the teacher anew and compares the boundaries with the true ones.
    fn validate(&self, _: &Path) -> Result<Vec<(&'static str, f64)>> {
        let aligner = Aligner::of_net(self.net.clone(), self.config.clone(), self.device.clone());
        let dataset = &self.corpus.dataset;
        let (mut sum, mut log_probability, mut count) = (0.0, 0.0, 0.0);
        for &i in &self.corpus.valid {
            let meta = dataset.meta(i);
            let Ok(found) = aligner.align(&dataset.mel(i, 0..meta.mel_frames), &meta.symbols) else { continue };
            let durations = meta.durations.iter().flatten().copied();
            let truth = starts(meta.symbols.iter().zip(durations).map(|(symbol, length)| (symbol.phoneme, length)));
            let found_starts =
                found.symbols.iter().zip(found.durations).map(|(symbol, length)| (symbol.phoneme, length));
            for (a, b) in truth.iter().zip(starts(found_starts)) {
                sum += f64::from(a.abs_diff(b));
                count += 1.0;
            }
            log_probability += f64::from(found.log_probability);
        }
        let ms = 1000.0 * f64::from(HOP_LENGTH) / f64::from(SAMPLE_RATE);
        let sentences = self.corpus.valid.len() as f64;
        Ok(vec![("boundary_error_ms", sum / count * ms), ("log_probability", log_probability / sentences)])
    }
}

/// Where each phoneme that is no pause starts, in mel frames.
fn starts(symbols: impl Iterator<Item = (crate::text::Phoneme, u32)>) -> Vec<u32> {
    let mut end = 0;
    let starts = symbols.filter_map(|(phoneme, length)| {
        end += length;
        (!phoneme.is_pause()).then_some(end - length)
    });
    starts.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretching_moves_a_peak_to_its_place_and_back() {
        let centres_hz = MelConfig::default().band_centres_hz();
        let peak_at = |mel: &[f32]| (0..mel.len()).max_by(|&a, &b| mel[a].total_cmp(&mel[b])).unwrap();
        let mut mel: Vec<f32> = (0..80).map(|band| -((band as f32 - 40.0) / 6.0).powi(2)).collect();
        stretch(&mut mel, &centres_hz, 1.2);
        let moved = centres_hz[peak_at(&mel)] / centres_hz[40];
        assert!((moved - 1.2).abs() < 0.06, "{moved}");
        stretch(&mut mel, &centres_hz, 1.0 / 1.2);
        assert_eq!(peak_at(&mel), 40);
        let before = mel.clone();
        stretch(&mut mel, &centres_hz, 1.0);
        assert!(mel.iter().zip(&before).all(|(a, b)| (a - b).abs() < 1e-4));
    }
}
