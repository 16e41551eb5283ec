//! The nets of one voice, loaded and ready: symbols to states and durations, places to pitch and mel, mel to PCM.

use candle_core::{DType, Device, Tensor};
use paravox_models::config::VoiceConfig;
use paravox_models::length_regulator::{PLACE_FEATURES, place_features, regulate};
use paravox_models::mode::Mode;
use paravox_models::model::VoiceModel;
use paravox_models::text_encoder::TextEncoder;
use paravox_vocoder::Vocoder;
use paravox_vocoder::fourier::{FourierConfig, FourierVocoder};

use super::manifest::VoiceEntry;
use super::package::Package;
use super::weights_file::WeightsFile;
use crate::error::{Error, Result};
use crate::text::Symbol;
use crate::timeline::{HOP_LENGTH, Place, SAMPLE_RATE};

/// A duration of a symbol beyond this many mel frames (10 s) is a fault of the weights, not speech.
const LONGEST_SYMBOL_MEL_FRAMES: f32 = 800.0;

/// A voice's text encoder, duration predictor, pitch and mel decoders, and vocoder.
pub(crate) struct VoiceNets {
    pub(super) model: VoiceModel,
    pub(super) vocoder: Box<dyn Vocoder>,
    pub(super) device: Device,
    /// Which of the model's voices speaks, (1) u32.
    pub(super) speaker: Tensor,
    /// Width of the text encoder's states.
    pub(crate) state_width: usize,
}

impl VoiceNets {
    /// Reads the nets of a voice from its package.
    pub(crate) fn load(package: &Package, entry: &VoiceEntry, device: &Device) -> Result<Self> {
        let weights = WeightsFile::read(package, &entry.weights, device)?;
        let config: VoiceConfig = weights.config()?;
        let model = weights.build(|builder| VoiceModel::new(&config, builder))?;
        let vocab = &config.encoder.vocab;
        let fits = vocab.len() <= Symbol::FEATURE_SIZES.len()
            && vocab.iter().zip(Symbol::FEATURE_SIZES).all(|(&vocab, size)| vocab >= size);
        if !fits {
            return Err(weights.misfit("its text encoder knows other symbols than this program: train it anew"));
        }
        if entry.speaker as usize >= config.n_voices {
            let (speaker, voices) = (entry.speaker, config.n_voices);
            return Err(
                weights.misfit(format!("its {voices} voices are numbered from 0: there is no speaker {speaker}"))
            );
        }
        let speaker = Tensor::new(&[entry.speaker], device)?;
        weights.finish()?;

        let weights = WeightsFile::read(package, &entry.vocoder, device)?;
        let vocoder_config: FourierConfig = weights.config()?;
        let vocoder = weights.build(|builder| FourierVocoder::new(&vocoder_config, builder))?;
        let mel = vocoder.mel_config();
        if (mel.sample_rate, mel.hop_length, mel.n_mels) != (SAMPLE_RATE, HOP_LENGTH as usize, config.mel.n_mels) {
            return Err(weights.misfit("the vocoder reads another mel spectrogram than the voice makes"));
        }
        weights.finish()?;
        let state_width = config.encoder.width;
        Ok(Self { model, vocoder: Box::new(vocoder), device: device.clone(), speaker, state_width })
    }

    /// The text encoder's states (1, S, D), and the duration of each symbol in mel frames.
    pub(crate) fn states_and_durations(&self, symbols: &[Symbol]) -> Result<(Tensor, Vec<f32>)> {
        let states = encode(&self.model.encoder, symbols, &self.device)?;
        let mask = Tensor::ones((1, symbols.len()), DType::F32, &self.device)?;
        let log_durations = self.model.duration.forward(&states, &mask, Some(&self.speaker), &Mode::Eval)?;
        let durations: Vec<f32> = log_durations.squeeze(0)?.to_vec1()?;
        let durations: Vec<f32> = durations.into_iter().map(|log| if log < 0.0 { 0.0 } else { log.exp_m1() }).collect();
        // Not a number is not in the range either.
        if durations.iter().all(|duration| (0.0..=LONGEST_SYMBOL_MEL_FRAMES).contains(duration)) {
            Ok((states, durations))
        } else {
            Err(Error::Synthesis("the voice predicts a symbol without end: its weights are broken".to_string()))
        }
    }

    /// What the states of a sentence mean for its pitch, (1, S, channels).
    pub(super) fn melody(&self, states: &Tensor) -> Result<Tensor> {
        let mask = Tensor::ones((1, states.dim(1)?), DType::F32, &self.device)?;
        Ok(self.model.pitch.melody(states, &mask, Some(&self.speaker), &Mode::Eval)?)
    }
}

/// The states (1, S, D) that a text encoder gives the symbols of one sentence.
pub(crate) fn encode(encoder: &TextEncoder, symbols: &[Symbol], device: &Device) -> Result<Tensor> {
    let ids: Vec<u32> = symbols.iter().flat_map(Symbol::features).collect();
    let ids = Tensor::from_vec(ids, (1, symbols.len(), Symbol::FEATURE_SIZES.len()), device)?;
    let mask = Tensor::ones((1, symbols.len()), DType::F32, device)?;
    Ok(encoder.forward(&ids, &mask, &Mode::Eval)?)
}

/// States and place features on a time grid: (1, T, D) and (1, T, 4).
pub(crate) fn regulated(states: &Tensor, places: &[Place]) -> Result<(Tensor, Tensor)> {
    let (index, features) = on_grid(places, states.device())?;
    Ok((regulate(states, &index)?, features))
}

/// Symbol indices and place features of a time grid: (1, T) and (1, T, 4).
pub(super) fn on_grid(places: &[Place], device: &Device) -> Result<(Tensor, Tensor)> {
    let index: Vec<u32> = places.iter().map(|place| place.symbol as u32).collect();
    let index = Tensor::from_vec(index, (1, places.len()), device)?;
    let features: Vec<f32> =
        places.iter().flat_map(|place| place_features(place.since_start_s, place.to_end_s)).collect();
    let features = Tensor::from_vec(features, (1, places.len(), PLACE_FEATURES), device)?;
    Ok((index, features))
}
