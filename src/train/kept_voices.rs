//! Voices that a training keeps although its corpus lacks them: a part of each batch is theirs, and what the nets said before
//! the training is what they are taught (learning without forgetting, Li and Hoiem 2016).

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::{Device, Result, Tensor};
use paravox_models::length_regulator::regulate;
use paravox_models::mode::Mode;
use paravox_models::model::VoiceModel;

use super::error::{Result as TrainResult, TrainError};
use super::symbols::predicted_lengths;
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
        let (index, place) = (first(index)?, first(place)?);
        let pitch = self.model.pitch.forward(&states, &mask, [&index, &place], Some(&voice), &Mode::Eval)?;
        let mel = self.model.mel.forward(&regulate(&states, &index)?, &place, Some(&voice), &Mode::Eval)?;
        Ok(Said {
            durations: predicted_lengths(&log_durations)?,
            mel: mel.detach(),
            log_f0: pitch.log_f0.detach(),
            voiced: pitch.voicing_logit.gt(0.0)?.to_dtype(mask.dtype())?,
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

#[cfg(test)]
mod tests {
    use candle_core::DType;

    use super::super::start::tests::{TINY, model, save};
    use super::*;

    fn flat(tensor: &Tensor) -> Vec<f32> {
        tensor.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_first_sentences_are_said_by_voices_the_corpus_lacks_as_they_were() -> Result<()> {
        let (device, folder) = (Device::Cpu, tempfile::tempdir().unwrap());
        let three_voices = TINY.replace("n_voices = 1", "n_voices = 3");
        let (params, model) = model(&three_voices, 1);
        save(folder.path(), &params, &three_voices);

        let kept = KeptVoices::new(Some(folder.path()), &BTreeSet::from([1]), &device).unwrap();
        let mut voices = vec![1; 13];
        let rows = kept.take_rows(&mut voices, 5);
        assert_eq!(rows, 2);
        assert!(voices[0] != voices[1] && !voices[..2].contains(&1) && voices[2..].iter().all(|&voice| voice == 1));

        // Five symbols on nine mel frames.
        let ids = Tensor::ones((13, 5, 4), DType::U32, &device)?;
        let mask = Tensor::ones((13, 5), DType::F32, &device)?;
        let index = Tensor::from_iter((0..13 * 9).map(|i| (i % 9 / 2) as u32), &device)?.reshape((13, 9))?;
        let place = Tensor::zeros((13, 9, 4), DType::F32, &device)?;
        let voice = Tensor::new(voices.as_slice(), &device)?;
        let states = model.encoder.forward(&ids, &mask, &Mode::Eval)?;
        let expected = model.mel.forward(&regulate(&states, &index)?, &place, Some(&voice), &Mode::Eval)?;
        let pitch = model.pitch.forward(&states, &mask, [&index, &place], Some(&voice), &Mode::Eval)?;
        let lengths = flat(&model.duration.forward(&states, &mask, Some(&voice), &Mode::Eval)?);

        let zeros = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &device);
        let mut said = Said {
            durations: vec![7.0; 13 * 5],
            mel: zeros(&[13, 9, 4])?,
            log_f0: zeros(&[13, 9])?,
            voiced: zeros(&[13, 9])?,
        };
        kept.say(rows, [&ids, &mask, &index, &place, &voice])?.replace(&mut said)?;
        for (found, log) in said.durations[..10].iter().zip(&lengths) {
            assert!((found - log.exp_m1().max(0.0)).abs() < 1e-5);
        }
        assert!(said.durations[10..].iter().all(|&length| length == 7.0));
        let first = |tensor: &Tensor| tensor.narrow(0, 0, rows);
        assert_eq!(flat(&first(&said.mel)?), flat(&first(&expected)?));
        assert_eq!(flat(&first(&said.log_f0)?), flat(&first(&pitch.log_f0)?));
        let voiced = flat(&first(&pitch.voicing_logit)?).into_iter().map(|logit| f32::from(logit > 0.0));
        assert_eq!(flat(&first(&said.voiced)?), voiced.collect::<Vec<_>>());
        assert!(flat(&said.mel.narrow(0, rows, 13 - rows)?).iter().all(|&value| value == 0.0));

        let all = BTreeSet::from([0, 1, 2]);
        for (from, taught) in [(None, BTreeSet::from([1])), (Some(folder.path()), all)] {
            assert!(matches!(KeptVoices::new(from, &taught, &device), Err(TrainError::Options(_))));
        }
        Ok(())
    }
}
