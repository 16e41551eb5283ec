//! Mel spectrograms as a trained voice predicts them: what its vocoder will have to read.
//!
//! Predicted mel is smoother than true mel. A vocoder that has only seen true mel takes the smoothness for a property of
//! the sound; one that has seen predicted mel beside the true recording learns to put back what is missing.

use std::ops::Range;
use std::path::Path;

use candle_core::{Device, Result, Tensor};
use paravox_models::length_regulator::regulate;
use paravox_models::mode::Mode;
use paravox_models::model::VoiceModel;

use super::symbols::{GridBatch, SymbolBatch};
use crate::data::SpeechDataset;
use crate::metrics::voice::load_voice;
use crate::timeline::{HOP_LENGTH, Timeline};

/// A trained voice that predicts mel for sentences whose durations are known.
pub(crate) struct PredictedMel {
    model: VoiceModel,
    device: Device,
    /// Mel frames on each side that a predicted mel frame depends on.
    context: usize,
}

impl PredictedMel {
    pub(crate) fn load(folder: &Path, device: &Device) -> super::Result<Self> {
        let (model, config) = load_voice(folder, device)?;
        let context = config.mel.stack.blocks * (config.mel.stack.kernel / 2);
        Ok(Self { model, device: device.clone(), context })
    }

    /// The predicted mel of windows of equal length, each in a sentence with durations: (B, T, n_mels).
    pub(crate) fn windows(&self, dataset: &SpeechDataset, windows: &[(usize, Range<usize>)]) -> Result<Tensor> {
        let sentences: Vec<_> = windows.iter().map(|(i, _)| dataset.meta(*i).symbols.as_slice()).collect();
        let (ids, mask) = SymbolBatch::new(&sentences).tensors(&self.device)?;
        let mut grid = GridBatch::default();
        let mut firsts = Vec::with_capacity(windows.len());
        for (i, window) in windows {
            let meta = dataset.meta(*i);
            let durations: Vec<f32> = meta.durations.iter().flatten().map(|&mel_frames| mel_frames as f32).collect();
            let timeline = Timeline::from_mel_frames(&durations, HOP_LENGTH, 1.0).map_err(candle_core::Error::wrap)?;
            let first = window.start.saturating_sub(self.context);
            let last = (window.end + self.context).min(meta.mel_frames);
            grid.push(&timeline.mel_places()[first..last], window.len() + 2 * self.context);
            firsts.push(window.start - first);
        }
        let (index, place) = grid.tensors(&self.device)?;
        let voices: Vec<u32> = windows.iter().map(|(i, _)| dataset.meta(*i).voice).collect();
        let voice = Tensor::from_vec(voices, windows.len(), &self.device)?;
        let states = self.model.encoder.forward(&ids, &mask, &Mode::Eval)?;
        let mel = self.model.mel.forward(&regulate(&states, &index)?, &place, Some(&voice), &Mode::Eval)?.mel.detach();
        let windows = windows.iter().zip(firsts).enumerate();
        let rows = windows.map(|(row, ((_, window), first))| mel.get(row)?.narrow(0, first, window.len()));
        Tensor::stack(&rows.collect::<Result<Vec<_>>>()?, 0)
    }
}
