//! Voices that a training keeps although its corpus lacks them: a part of each batch is theirs, and what the nets said before
//! the training is what they are taught (learning without forgetting, Li and Hoiem 2016).

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::{Device, Result, Tensor};
use paravox_models::length_regulator::regulate;
use paravox_models::mode::Mode;
use paravox_models::model::VoiceModel;

use super::error::{Result as TrainResult, TrainError};
use crate::metrics::voice::load_voice;

/// One of so many sentences is a kept voice's.
const SHARE: usize = 6;

/// Nets as they were, and which of their voices are to stay.
pub(super) struct KeptVoices {
    model: VoiceModel,
    voices: Vec<u32>,
}

/// What a voice says.
pub(super) struct Said {
    /// B x S mel frames of each symbol.
    pub(super) durations: Vec<f32>,
    /// (B, T, n_mels)
    pub(super) mel: Tensor,
    /// (B, T)
    pub(super) log_f0: Tensor,
    /// (B, T), 0 or 1.
    pub(super) voiced: Tensor,
}

impl KeptVoices {
    /// Keeps the voices of `from` that are not among `taught`.
    pub(super) fn new(from: Option<&Path>, taught: &BTreeSet<u32>, device: &Device) -> TrainResult<Self> {
        let nothing = |reason: &str| TrainError::Options(format!("no voice to keep: {reason}"));
        let (model, config) = load_voice(from.ok_or_else(|| nothing("the training starts from no nets"))?, device)?;
        let voices: Vec<u32> = (0..config.n_voices as u32).filter(|voice| !taught.contains(voice)).collect();
        if voices.is_empty() {
            return Err(nothing("the corpus has all voices that the nets know"));
        }
        Ok(Self { model, voices })
    }

    /// Gives the first sentences of a batch, whose number it returns, to voices to keep.
    pub(super) fn take_rows(&self, voices: &mut [u32], seed: u64) -> usize {
        let rows = (voices.len() / SHARE).max(1);
        for (row, voice) in voices[..rows].iter_mut().enumerate() {
            *voice = self.voices[(seed as usize).wrapping_add(row) % self.voices.len()];
        }
        rows
    }

    /// What the nets as they were say of the first `rows` sentences.
    ///
    /// # Shapes
    /// As [`VoiceModel`]'s nets read them: `ids` (B, S, features), `mask` (B, S), `index` (B, T), `place`
    /// (B, T, features), `voice` (B).
    pub(super) fn say(&self, rows: usize, [ids, mask, index, place, voice]: [&Tensor; 5]) -> Result<Said> {
        let first = |tensor: &Tensor| tensor.narrow(0, 0, rows);
        let (mask, voice) = (first(mask)?, first(voice)?);
        let states = self.model.encoder.forward(&first(ids)?, &mask, &Mode::Eval)?;
        let log_durations = self.model.duration.forward(&states, &mask, Some(&voice), &Mode::Eval)?;
        let states = regulate(&states, &first(index)?)?;
        let out = self.model.mel.forward(&states, &first(place)?, Some(&voice), &Mode::Eval)?;
        let durations = log_durations.flatten_all()?.to_vec1::<f32>()?;
        Ok(Said {
            durations: durations.into_iter().map(|length| length.exp_m1().max(0.0)).collect(),
            mel: out.mel.detach(),
            log_f0: out.log_f0.detach(),
            voiced: out.voicing_logit.gt(0.0)?.to_dtype(mask.dtype())?,
        })
    }
}

impl Said {
    /// Puts this in the place of the first rows of what the corpus says.
    pub(super) fn replace(self, corpus: &mut Said) -> Result<()> {
        corpus.durations[..self.durations.len()].copy_from_slice(&self.durations);
        let over = |kept: Tensor, all: &mut Tensor| -> Result<()> {
            let (rows, all_rows) = (kept.dim(0)?, all.dim(0)?);
            *all = Tensor::cat(&[kept, all.narrow(0, rows, all_rows - rows)?], 0)?;
            Ok(())
        };
        over(self.mel, &mut corpus.mel)?;
        over(self.log_f0, &mut corpus.log_f0)?;
        over(self.voiced, &mut corpus.voiced)
    }
}
