//! How close a voice's predictions are to recorded sentences: mel, F0 and voicing with the true durations, and the
//! predicted durations themselves.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use paravox_models::config::VoiceConfig;
use paravox_models::length_regulator::regulate;
use paravox_models::mode::Mode;
use paravox_models::model::VoiceModel;
use serde::Serialize;

use super::{Figure, Mean};
use crate::data::{SpeechDataset, Split};
use crate::device::Backend;
use crate::timeline::{HOP_LENGTH, SAMPLE_RATE, Timeline};
use crate::train::start::Start;
use crate::train::symbols::{GridBatch, SymbolBatch, predicted_lengths};
use crate::train::{Result, TrainError};

/// Options of [`eval_voice`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EvalVoiceOptions {
    /// Folder of the prepared speech corpus.
    pub data: PathBuf,
    /// Folder of the trained voice (`config.toml` and `model.safetensors`), a weights file, or the name of a shipped voice.
    pub voice: PathBuf,
    /// At most this many sentences, the first of the split; `None`: all.
    pub max_sentences: Option<usize>,
    /// Where the voice runs (default the CPU).
    pub device: Backend,
}

impl EvalVoiceOptions {
    /// All validation sentences of a corpus.
    pub fn new(data: impl Into<PathBuf>, voice: impl Into<PathBuf>) -> Self {
        Self { data: data.into(), voice: voice.into(), max_sentences: None, device: Backend::default() }
    }
}

/// What a trained voice is worth.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct VoiceReport {
    /// Sentences compared.
    pub sentences: usize,
    /// Figures over all of them.
    pub figures: Vec<Figure>,
}

/// Predicts the validation sentences of a corpus and compares mel, F0 and voicing (with true durations) and the durations
/// with the recorded ones.
///
/// # Errors
/// [`TrainError`]: files that cannot be read or do not fit together, or no sentence with durations.
pub fn eval_voice(options: &EvalVoiceOptions) -> Result<VoiceReport> {
    let dataset = SpeechDataset::open(&options.data)?;
    let device = options.device.open()?;
    let (model, _) = load_voice(&options.voice, &device)?;
    let mut sentences = dataset.split(Split::Valid);
    sentences.retain(|&i| dataset.meta(i).durations.is_some());
    sentences.truncate(options.max_sentences.unwrap_or(usize::MAX));
    if sentences.is_empty() {
        let reason = format!("{}: no validation sentence with durations", options.data.display());
        return Err(TrainError::Data(reason));
    }
    let mut means = VoiceMeans::default();
    for &i in &sentences {
        means.add(&compare_sentence(&model, &dataset, i, &device)?.0);
    }
    Ok(VoiceReport { sentences: sentences.len(), figures: means.figures() })
}

/// The voice of a training's folder, of a weights file or of this program, and what it is made of.
pub(crate) fn load_voice(from: &Path, device: &Device) -> Result<(VoiceModel, VoiceConfig)> {
    let start = Start::read(from, "voice")?;
    let config: VoiceConfig = start.config()?;
    Ok((start.nets(device, |builder| VoiceModel::new(&config, builder))?, config))
}

/// Figures of one sentence.
#[derive(Debug, Clone)]
pub(crate) struct SentenceFigures {
    pub(crate) mel_frames: usize,
    symbols: usize,
    mel_l1: f64,
    /// Share of mel frames whose voicing is wrong.
    voicing_error: f64,
    /// Pearson's correlation of log F0 where voiced; `None` where F0 does not vary.
    f0_correlation: Option<f64>,
    /// Mean absolute error of the symbols' durations.
    duration_error_ms: f64,
    /// Predicted over true length.
    length_ratio: f64,
}

/// Predicts sentence `i` of the dataset, which must have durations; gives its figures and the predicted mel.
pub(crate) fn compare_sentence(
    model: &VoiceModel,
    dataset: &SpeechDataset,
    i: usize,
    device: &Device,
) -> candle_core::Result<(SentenceFigures, Vec<f32>)> {
    let meta = dataset.meta(i);
    let durations: Vec<f32> = meta.durations.iter().flatten().map(|&mel_frames| mel_frames as f32).collect();
    let timeline = Timeline::from_mel_frames(&durations, HOP_LENGTH, 1.0)
        .map_err(|error| candle_core::Error::Msg(format!("{}: {error}", meta.id)))?;
    let mut grid = GridBatch::default();
    grid.push(&timeline.mel_places(), meta.mel_frames);
    let (ids, mask) = SymbolBatch::new(&[meta.symbols.as_slice()]).tensors(device)?;
    let (index, place) = grid.tensors(device)?;
    let voice = Tensor::new(&[meta.voice], device)?;

    let states = model.encoder.forward(&ids, &mask, &Mode::Eval)?;
    let log_durations = model.duration.forward(&states, &mask, Some(&voice), &Mode::Eval)?;
    let pitch = model.pitch.forward(&states, &mask, [&index, &place], Some(&voice), &Mode::Eval)?;
    let mel = model.mel.forward(&regulate(&states, &index)?, &place, Some(&voice), &Mode::Eval)?;

    let predicted = predicted_lengths(&log_durations)?;
    let mel: Vec<f32> = mel.flatten_all()?.to_vec1()?;
    let log_f0: Vec<f32> = pitch.log_f0.flatten_all()?.to_vec1()?;
    let voicing: Vec<f32> = pitch.voicing_logit.flatten_all()?.to_vec1()?;

    let all = 0..meta.mel_frames;
    let true_f0 = dataset.f0_hz(i, all.clone());
    let mel_frame_ms = 1e3 * f64::from(HOP_LENGTH) / f64::from(SAMPLE_RATE);
    let wrong = voicing.iter().zip(&true_f0).filter(|(logit, f0)| (**logit > 0.0) != (**f0 > 0.0)).count();
    let pairs: Vec<(f64, f64)> = log_f0
        .iter()
        .zip(&true_f0)
        .filter(|(_, f0)| **f0 > 0.0)
        .map(|(log_f0, f0)| (f64::from(*log_f0), f64::from(f0.ln())))
        .collect();
    let figures = SentenceFigures {
        mel_frames: meta.mel_frames,
        symbols: durations.len(),
        mel_l1: mean_difference(&mel, &dataset.mel(i, all)),
        voicing_error: wrong as f64 / meta.mel_frames.max(1) as f64,
        f0_correlation: correlation(&pairs),
        duration_error_ms: mean_difference(&predicted, &durations) * mel_frame_ms,
        length_ratio: f64::from(predicted.iter().sum::<f32>()) / f64::from(durations.iter().sum::<f32>()),
    };
    Ok((figures, mel))
}

/// Means over sentences: of mel and voicing by mel frame, of durations by symbol, the rest by sentence.
#[derive(Debug, Clone, Default)]
pub(crate) struct VoiceMeans {
    mel_l1: Mean,
    voicing_error: Mean,
    f0_correlation: Mean,
    duration_error_ms: Mean,
    length_ratio: Mean,
}

impl VoiceMeans {
    pub(crate) fn add(&mut self, figures: &SentenceFigures) {
        self.mel_l1.add_weighted(figures.mel_l1, figures.mel_frames as f64);
        self.voicing_error.add_weighted(figures.voicing_error, figures.mel_frames as f64);
        if let Some(correlation) = figures.f0_correlation {
            self.f0_correlation.add(correlation);
        }
        self.duration_error_ms.add_weighted(figures.duration_error_ms, figures.symbols as f64);
        self.length_ratio.add(figures.length_ratio);
    }

    /// The figures; NaN where no sentence gave one.
    pub(crate) fn figures(&self) -> Vec<Figure> {
        let figure = |name, unit, higher_is_better, mean: Mean| Figure {
            name,
            value: mean.value().unwrap_or(f64::NAN),
            unit,
            higher_is_better,
        };
        vec![
            figure("mel_l1", "", false, self.mel_l1),
            figure("voicing_error", "", false, self.voicing_error),
            figure("f0_correlation", "", true, self.f0_correlation),
            figure("duration_error", "ms", false, self.duration_error_ms),
            figure("length_ratio", "", true, self.length_ratio),
        ]
    }
}

fn mean_difference(a: &[f32], b: &[f32]) -> f64 {
    let sum: f64 = a.iter().zip(b).map(|(a, b)| f64::from((a - b).abs())).sum();
    sum / a.len().min(b.len()).max(1) as f64
}

fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let n = pairs.len() as f64;
    let mean = |f: fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>() / n;
    let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
    let covariance: f64 = pairs.iter().map(|(x, y)| (x - mx) * (y - my)).sum();
    let (vx, vy): (f64, f64) =
        pairs.iter().fold((0.0, 0.0), |v, p| (v.0 + (p.0 - mx).powi(2), v.1 + (p.1 - my).powi(2)));
    (vx > 0.0 && vy > 0.0).then(|| covariance / (vx * vy).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::lips::LipsNets;

    #[test]
    fn shipped_nets_are_measured_by_the_name_of_their_voice() {
        for name in ["heart", "michael"] {
            let (_, config) = load_voice(Path::new(name), &Device::Cpu).unwrap();
            assert_eq!(config.n_voices, 2);
            LipsNets::load(Path::new(name), Some(Path::new(name)), &Device::Cpu).unwrap();
        }
        let error = load_voice(Path::new("nobody"), &Device::Cpu).err().unwrap().to_string();
        assert!(error.contains("nobody"), "{error}");
    }

    #[test]
    fn correlation_is_one_for_a_line_and_absent_for_a_point() {
        let line: Vec<(f64, f64)> = (0..5).map(|i| (f64::from(i), 3.0 - 2.0 * f64::from(i))).collect();
        assert!((correlation(&line).unwrap() + 1.0).abs() < 1e-12);
        assert_eq!(correlation(&[(1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(correlation(&[]), None);
    }
}
