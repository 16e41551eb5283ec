//! Mel spectrograms as a trained voice predicts them: what its vocoder will have to read.
//!
//! Predicted mel is smoother than true mel. A vocoder that has only seen true mel takes the smoothness for a property of
//! the sound; one that has seen predicted mel beside the true recording learns to put back what is missing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use candle_core::{DType, Device, Result, Tensor};
use paravox_models::length_regulator::regulate;
use paravox_models::mode::Mode;
use paravox_models::model::VoiceModel;

use super::TrainError;
use super::symbols::{GridBatch, SymbolBatch};
use crate::data::{SpeechDataset, Split};
use crate::metrics::voice::load_voice;
use crate::sink::output::replace;
use crate::timeline::{HOP_LENGTH, Timeline};

/// Writes the mel that a voice predicts for every sentence of a corpus that has durations, for trainers elsewhere: a
/// safetensors file that gives for each `ID` the mel, `ID.mel` (T, n_mels) in f16, the recording's `ID.f0` (T) in hertz, and
/// `ID.valid`, 1 for a sentence of the validation split. Gives the number of sentences.
///
/// # Errors
/// [`TrainError`]: a corpus or a voice that cannot be read, no sentence with durations, a file that cannot be written.
pub fn export_mel(data: &Path, voice: &Path, out: &Path) -> super::Result<usize> {
    let dataset = SpeechDataset::open(data)?;
    let voice = PredictedMel::load(voice, &Device::Cpu)?;
    let mut tensors = BTreeMap::new();
    let mut sentences = 0;
    for i in (0..dataset.len()).filter(|&i| dataset.meta(i).durations.is_some()) {
        let meta = dataset.meta(i);
        let all = 0..meta.mel_frames;
        let mel = voice.windows(&dataset, &[(i, all.clone())])?.squeeze(0)?;
        let f0_hz = Tensor::new(dataset.f0_hz(i, all).as_slice(), &Device::Cpu)?;
        tensors.insert(format!("{}.mel", meta.id), mel.to_dtype(DType::F16)?);
        tensors.insert(format!("{}.f0", meta.id), f0_hz);
        let valid = u8::from(meta.split == Split::Valid);
        tensors.insert(format!("{}.valid", meta.id), Tensor::new(&[valid], &Device::Cpu)?);
        sentences += 1;
    }
    if sentences == 0 {
        return Err(TrainError::Data(format!("{}: no sentence with durations", data.display())));
    }
    let bytes = safetensors::serialize(&tensors, None).map_err(candle_core::Error::wrap)?;
    replace(out, &bytes).map_err(|error| TrainError::write(out, error))?;
    Ok(sentences)
}

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
        let mel = self.model.mel.forward(&regulate(&states, &index)?, &place, Some(&voice), &Mode::Eval)?.detach();
        let windows = windows.iter().zip(firsts).enumerate();
        let rows = windows.map(|(row, ((_, window), first))| mel.get(row)?.narrow(0, first, window.len()));
        Tensor::stack(&rows.collect::<Result<Vec<_>>>()?, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SpeechItem;
    use crate::data::speech::{SpeechGeometry, SpeechWriter};
    use crate::text::{Phoneme, SentenceKind, Symbol};

    #[test]
    fn mel_is_exported_for_the_sentences_whose_times_are_known() {
        let folder = tempfile::tempdir().unwrap();
        let [data, out] = ["data", "mel.safetensors"].map(|name| folder.path().join(name));
        let mut writer = SpeechWriter::open(&data, SpeechGeometry::default(), false).unwrap();
        for (id, durations) in [("known", Some(vec![10, 30])), ("unknown", None)] {
            let item = SpeechItem {
                id: id.into(),
                text: String::new(),
                symbols: vec![Symbol::pause(Phoneme::Silence, SentenceKind::Statement); 2],
                durations,
                mel: vec![-4.0; 40 * 80],
                f0_hz: vec![200.5; 40],
                pcm: vec![0; 40 * 300],
                voice: 0,
                split: Split::Valid,
            };
            writer.push(&item).unwrap();
        }
        writer.finish().unwrap();
        assert_eq!(export_mel(&data, Path::new("heart"), &out).unwrap(), 1);
        let tensors = candle_core::safetensors::load(&out, &Device::Cpu).unwrap();
        assert_eq!(tensors.len(), 3);
        assert_eq!((tensors["known.mel"].dims(), tensors["known.mel"].dtype()), (&[40, 80][..], DType::F16));
        assert_eq!(tensors["known.f0"].to_vec1::<f32>().unwrap(), [200.5; 40]);
        assert_eq!(tensors["known.valid"].to_vec1::<u8>().unwrap(), [1]);
        // What a voice says in a silence is quiet.
        let mel = tensors["known.mel"].to_dtype(DType::F32).unwrap();
        assert!(mel.mean_all().unwrap().to_scalar::<f32>().unwrap() < -9.0);
    }
}
