//! The nets of a voice and of the lips, bundled: what is trained together and shipped in one file.

use candle_core::{Device, Result};
use candle_nn::VarBuilder;

use crate::config::{LipsConfig, VoiceConfig};
use crate::duration_predictor::DurationPredictor;
use crate::identity_encoder::IdentityEncoder;
use crate::image_decoder::ImageDecoder;
use crate::layers::{Linear, LinearConfig};
use crate::mel_decoder::MelDecoder;
use crate::motion_decoder::MotionDecoder;
use crate::params::Params;
use crate::pitch_decoder::PitchDecoder;
use crate::summary::Summary;
use crate::text_encoder::TextEncoder;

/// Mel bins of the published model's unused output.
const PUBLISHED_MELS: usize = 80;

/// Symbols to durations, mel, F0 and voicing.
#[derive(Debug, Clone)]
pub struct VoiceModel {
    /// Symbols to states.
    pub encoder: TextEncoder,
    /// States to durations.
    pub duration: DurationPredictor,
    /// States to F0 and voicing on the mel grid.
    pub pitch: PitchDecoder,
    /// States on the mel grid to mel.
    pub mel: MelDecoder,
}

impl VoiceModel {
    /// Reads `encoder`, `duration`, `pitch` and `mel`.
    pub fn new(cfg: &VoiceConfig, vb: VarBuilder) -> Result<Self> {
        let width = cfg.encoder.width;
        Ok(Self {
            encoder: TextEncoder::new(&cfg.encoder, vb.pp("encoder"))?,
            duration: DurationPredictor::new(&cfg.duration, width, cfg.n_voices, vb.pp("duration"))?,
            pitch: PitchDecoder::new(&cfg.pitch, width, cfg.n_voices, vb.pp("pitch"))?,
            mel: MelDecoder::new(&cfg.mel, width, cfg.n_voices, vb.pp("mel"))?,
        })
    }
}

impl VoiceConfig {
    /// Parameters of each part of this voice's model.
    pub fn summary(&self) -> Result<Summary> {
        let params = Params::new(0, &Device::Cpu);
        VoiceModel::new(self, params.builder())?;
        Ok(params.summary())
    }
}

/// States and an image of a person to images of that person's lips.
#[derive(Debug, Clone)]
pub struct LipsModel {
    /// The lips' own text encoder; `None` where they read the states of the voice's.
    pub encoder: Option<TextEncoder>,
    /// The lips' own durations; `None` where they follow the voice's.
    pub duration: Option<DurationPredictor>,
    /// An image of a person to an identity.
    pub identity: IdentityEncoder,
    /// States on the motion grid to motion vectors.
    pub motion: MotionDecoder,
    /// Motion vectors to images.
    pub image: ImageDecoder,
}

impl LipsModel {
    /// Reads `identity`, `motion` and `image`; of a model with its own text side also `encoder` and `duration`; of one with
    /// the published leftovers also `leftover`.
    ///
    /// # Errors
    /// Widths that do not fit each other.
    pub fn new(cfg: &LipsConfig, vb: VarBuilder) -> Result<Self> {
        if cfg.identity.vector != cfg.motion.width {
            candle_core::bail!("identity.vector must equal motion.width: the vector is added to the states");
        }
        if cfg.letters && (cfg.encoder.is_none() || cfg.motion.n_visemes > 0) {
            candle_core::bail!("lips that read letters have a text encoder of their own and know no visemes");
        }
        let width = cfg.encoder.as_ref().map_or(cfg.motion.state_width, |encoder| encoder.width);
        if width != cfg.motion.state_width {
            candle_core::bail!("motion.state_width must equal encoder.width");
        }
        if cfg.published_leftovers {
            // The published model inherits both from the speech model it grew from; they take no part in any pass.
            for (name, outputs) in [("mel_out", PUBLISHED_MELS), ("speaker", width)] {
                Linear::new(&LinearConfig::new(width, outputs), vb.pp("leftover").pp(name))?;
            }
        }
        let encoder = cfg.encoder.as_ref().map(|encoder| TextEncoder::new(encoder, vb.pp("encoder")));
        let duration = cfg.duration.as_ref().map(|cfg| DurationPredictor::new(cfg, width, 1, vb.pp("duration")));
        Ok(Self {
            encoder: encoder.transpose()?,
            duration: duration.transpose()?,
            identity: IdentityEncoder::new(&cfg.identity, vb.pp("identity"))?,
            motion: MotionDecoder::new(&cfg.motion, vb.pp("motion"))?,
            image: ImageDecoder::new(&cfg.image, &cfg.identity, cfg.motion.width, vb.pp("image"))?,
        })
    }
}

impl LipsConfig {
    /// Parameters of each part of this lips model.
    pub fn summary(&self) -> Result<Summary> {
        let params = Params::new(0, &Device::Cpu);
        LipsModel::new(self, params.builder())?;
        Ok(params.summary())
    }
}

#[cfg(test)]
mod lips_tests;
#[cfg(test)]
mod voice_tests;
