//! The autoregressive systems that ParaLip is compared with: references, which no voice uses.
//!
//! Both read a text and, at each step, the image before, and decode one video frame, until a stop logit rises above 0.
//! They attend to the text and are told no durations. Identity encoder and image decoder are those of the lips.
//!
//! | module | role |
//! |---|---|
//! | [`dual_lip`] | recurrent, with [`location_attention`] |
//! | [`transformer_t2l`] | a Transformer decoder, with [`attention`] over cached keys and values |

pub mod attention;
pub mod dual_lip;
pub mod location_attention;
pub mod transformer_t2l;

use candle_core::{Device, Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use crate::identity_encoder::{Identity, IdentityConfig, IdentityEncoder};
use crate::image_decoder::{ImageConfig, ImageDecoder};
use crate::mode::Mode;
use crate::params::Params;
use crate::summary::Summary;
use dual_lip::{DualLip, DualLipConfig, DualLipState};
use transformer_t2l::{TransformerT2l, TransformerT2lConfig, TransformerT2lState};

/// What is added to the score of what must not be looked at: its weight becomes 0 in f32.
const HIDDEN: f64 = 1e9;

/// What hides padded symbols when added to scores.
///
/// # Shapes
/// - `mask`: (B, S), 1 for symbols and 0 for padding; output the same
fn hidden_padding(mask: &Tensor) -> Result<Tensor> {
    (mask - 1.)? * HIDDEN
}

/// The nets of a reference system.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceConfig {
    /// An image of a person to an identity.
    pub identity: IdentityConfig,
    /// The image before a video frame to a vector.
    pub previous: IdentityConfig,
    /// Motion vectors to images.
    pub image: ImageConfig,
    /// From the text and the images before to motion vectors.
    pub system: SystemConfig,
}

/// The systems there are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum SystemConfig {
    /// Recurrent.
    DualLip(DualLipConfig),
    /// A Transformer.
    TransformerT2l(TransformerT2lConfig),
}

/// What a system decodes: video frames, each from the text and the images before it.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// (B, T, motion width)
    pub motion: Tensor,
    /// (B, T): above 0 where the film ends with this video frame.
    pub stop: Tensor,
    /// (B, T, S): how much each video frame looks at each symbol.
    pub attention: Tensor,
}

/// How many video frames a film gets; one at least.
#[derive(Debug, Clone, Copy)]
pub enum FilmLength {
    /// Up to the one whose stop logit is above 0, and no more than so many.
    UntilStop(usize),
    /// So many, whatever the stop logit says.
    Exactly(usize),
}

/// A film that a system made on its own.
#[derive(Debug, Clone)]
pub struct Film {
    /// (T, 3, 80, 160) in 0..1.
    pub images: Tensor,
    /// (T, S)
    pub attention: Tensor,
}

/// A text and an image of a person to a film of that person's lips, video frame by video frame.
#[derive(Debug, Clone)]
pub struct ReferenceModel {
    /// An image of a person to an identity.
    pub identity: IdentityEncoder,
    /// Motion vectors to images.
    pub image: ImageDecoder,
    previous: IdentityEncoder,
    system: System,
}

#[derive(Debug, Clone)]
enum System {
    DualLip(Box<DualLip>),
    TransformerT2l(Box<TransformerT2l>),
}

/// A system and how far its decoding of a batch of texts has come.
enum Decoding<'a> {
    DualLip(&'a DualLip, DualLipState),
    TransformerT2l(&'a TransformerT2l, TransformerT2lState),
}

impl ReferenceModel {
    /// Reads `identity`, `previous`, `image` and `system`.
    ///
    /// # Errors
    /// Widths that do not fit each other.
    pub fn new(cfg: &ReferenceConfig, vb: VarBuilder) -> Result<Self> {
        let (previous, identity) = (cfg.previous.vector, cfg.identity.vector);
        let (system, motion) = match &cfg.system {
            SystemConfig::DualLip(system) => {
                let motion = system.motion;
                (System::DualLip(Box::new(DualLip::new(system, previous, vb.pp("system"))?)), motion)
            }
            SystemConfig::TransformerT2l(system) => {
                let width = system.encoder.width;
                let system = TransformerT2l::new(system, previous, identity, vb.pp("system"))?;
                (System::TransformerT2l(Box::new(system)), width)
            }
        };
        Ok(Self {
            identity: IdentityEncoder::new(&cfg.identity, vb.pp("identity"))?,
            image: ImageDecoder::new(&cfg.image, &cfg.identity, motion, vb.pp("image"))?,
            previous: IdentityEncoder::new(&cfg.previous, vb.pp("previous"))?,
            system,
        })
    }

    /// Motion vectors where the images before are known, as in training.
    ///
    /// # Shapes
    /// - `symbols`: (B, S, F) u32
    /// - `mask`: (B, S), 1 for symbols and 0 for padding after them
    /// - `identity`: of a batch of B
    /// - `previous`: (B T, 3, 80, 160), the image before each video frame; before the first, the identity's own
    pub fn forward(
        &self,
        symbols: &Tensor,
        mask: &Tensor,
        identity: &Identity,
        previous: &Tensor,
        mode: &Mode,
    ) -> Result<Decoded> {
        let vectors = self.vectors(previous, symbols.dim(0)?, mode)?;
        self.start(symbols, mask, identity, mode)?.decode(&vectors, mode)
    }

    /// A film from a text and an image of a person alone, which stands before the first video frame.
    ///
    /// # Shapes
    /// - `symbols`: (1, S, F) u32
    /// - `image`: (1, 3, 80, 160) in 0..1
    pub fn film(&self, symbols: &Tensor, image: &Tensor, length: FilmLength) -> Result<Film> {
        let identity = self.identity.forward(image, &Mode::Eval)?;
        let prepared = self.image.prepare(&identity)?;
        let mask = Tensor::ones((1, symbols.dim(1)?), candle_core::DType::F32, image.device())?;
        let mut decoding = self.start(symbols, &mask, &identity, &Mode::Eval)?;
        let (mut images, mut attention): (Vec<Tensor>, Vec<Tensor>) = (Vec::new(), Vec::new());
        let (longest, heeds_stop) = match length {
            FilmLength::UntilStop(longest) => (longest, true),
            FilmLength::Exactly(longest) => (longest, false),
        };
        while images.len() < longest.max(1) {
            let previous = self.vectors(images.last().unwrap_or(image), 1, &Mode::Eval)?;
            let decoded = decoding.decode(&previous, &Mode::Eval)?;
            decoding.detach();
            images.push(self.image.decode(&decoded.motion.squeeze(0)?, &prepared)?.detach());
            attention.push(decoded.attention.squeeze(0)?.detach());
            if heeds_stop && decoded.stop.flatten_all()?.to_vec1::<f32>()?[0] > 0. {
                break;
            }
        }
        Ok(Film { images: Tensor::cat(&images, 0)?, attention: Tensor::cat(&attention, 0)? })
    }

    fn start(&self, symbols: &Tensor, mask: &Tensor, identity: &Identity, mode: &Mode) -> Result<Decoding<'_>> {
        Ok(match &self.system {
            System::DualLip(system) => Decoding::DualLip(system, system.start(symbols, mask, mode)?),
            System::TransformerT2l(system) => {
                Decoding::TransformerT2l(system, system.start(symbols, mask, &identity.vector, mode)?)
            }
        })
    }

    /// Vectors of images before, (B T, 3, 80, 160) to (B, T, width).
    fn vectors(&self, previous: &Tensor, batch: usize, mode: &Mode) -> Result<Tensor> {
        let vectors = self.previous.forward(previous, mode)?.vector;
        vectors.reshape((batch, vectors.dim(0)? / batch, vectors.dim(1)?))
    }
}

impl Decoding<'_> {
    /// Decodes as many video frames of each text as there are images before.
    fn decode(&mut self, previous: &Tensor, mode: &Mode) -> Result<Decoded> {
        match self {
            Self::DualLip(system, state) => system.decode(previous, state, mode),
            Self::TransformerT2l(system, state) => system.decode(previous, state, mode),
        }
    }

    /// Forgets where the state came from: in inference nothing asks for gradients.
    fn detach(&mut self) {
        match self {
            Self::DualLip(_, state) => *state = state.detach(),
            Self::TransformerT2l(_, state) => *state = state.detach(),
        }
    }
}

impl ReferenceConfig {
    /// Parameters of each part of this system.
    pub fn summary(&self) -> Result<Summary> {
        let params = Params::new(0, &Device::Cpu);
        ReferenceModel::new(self, params.builder())?;
        Ok(params.summary())
    }
}

#[cfg(test)]
mod tests;
