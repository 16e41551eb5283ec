//! Training of the lips: identity encoder, motion decoder and image decoder on clips with aligned symbols.
//!
//! Motion is decoded for whole sentences; the image decoder, which works picture by picture, sees a few random video
//! frames of each. The text states come from the encoder that a voice has trained, which then stays as it is, or from one
//! that trains along. The loss is ParaLip's without its discriminator: L1 and structural similarity, with two aids.
//! Most of a crop never moves, and on L1 alone the motion decoder learns last and least: after 760 steps clips had 0.08 of
//! the real motion energy. So the mouth counts more than the cheeks, and a linear reading of each motion vector must tell
//! the mouth's outline in that video frame; the reading serves training alone and is not part of the nets.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{D, Device, Tensor, Var};
use paravox_models::config::{self, LipsConfig, VoiceConfig};
use paravox_models::layers::{Linear, LinearConfig};
use paravox_models::length_regulator::regulate;
use paravox_models::losses;
use paravox_models::mode::{DropoutRng, Mode};
use paravox_models::model::LipsModel;
use paravox_models::params::Params;
use paravox_models::text_encoder::TextEncoder;

use super::checkpoint::{AID, write_atomically};
use super::error::{Result, TrainError};
use super::lips_corpus::{Clips, LipsBatch, SHAPE_VALUES, choose, motion_at};
use super::options::TrainOptions;
use super::run::{self, Loss, TrainReport, Trainer};
use crate::data::Split;
use crate::face::{CROP_HEIGHT, CROP_WIDTH};
use crate::metrics::lips::{ENCODER_CONFIG, LipsNets, compare_clips, load_encoder};

/// Weight of 1 - SSIM beside L1.
const SSIM_WEIGHT: f64 = 0.3;
/// Weight of the mouth's outline as read from the motion, in tens of pixels, beside L1 of pixels in 0..1.
const SHAPE_WEIGHT: f64 = 0.1;
/// How much more the middle of the mouth counts in L1 than the far background, and where it is: middle and radii in pixels.
const MOUTH_EMPHASIS: f32 = 4.0;
const MOUTH: ([f32; 2], [f32; 2]) = ([80.0, 37.0], [36.0, 20.0]);
/// Test clips that are watched during training; nothing is chosen by them.
const WATCHED_CLIPS: usize = 4;

/// Options of [`train_lips`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LipsOptions {
    /// Preset `lips-light`, 8 clips a batch, AdamW 1e-3.
    pub common: TrainOptions,
    /// Folder of a trained voice whose text encoder the lips read and leave unchanged; `None`: an encoder trains along.
    pub voice: Option<PathBuf>,
    /// Preset of the voice whose encoder trains along (default `voice-light`).
    pub encoder_preset: String,
    /// Video frames of each clip that go through the image decoder (default 6).
    pub video_frames: usize,
    /// Speakers to train on; empty: all.
    pub speakers: Vec<String>,
    /// How much more often a speaker's clips are drawn than others.
    pub speaker_weights: Vec<(String, f64)>,
}

impl Default for LipsOptions {
    fn default() -> Self {
        Self {
            common: TrainOptions::recipe("lips-light", 8, 1e-3),
            voice: None,
            encoder_preset: "voice-light".into(),
            video_frames: 6,
            speakers: Vec::new(),
            speaker_weights: Vec::new(),
        }
    }
}

/// Trains lips on a prepared corpus of clips.
///
/// # Errors
/// [`TrainError`]: unusable options or corpus, a checkpoint that does not fit, a full disk, divergence.
pub fn train_lips(options: &LipsOptions) -> Result<TrainReport> {
    let common = &options.common;
    common.check()?;
    common.set_threads();
    let trainer = LipsTrainer::new(options)?;
    let clips = trainer.clips.clone();
    let (seed, batch, per_clip) = (common.seed, common.batch, options.video_frames.max(1));
    run::run(&trainer, common, move |step| clips.batch(seed, step, batch, per_clip))
}

struct LipsTrainer {
    nets: LipsNets,
    params: Params,
    /// Reads the mouth's outline off motion vectors.
    shape: Linear,
    /// (1, 1, 80, 160), mean 1: how much each pixel counts in L1.
    emphasis: Tensor,
    /// Whether the encoder is a trained voice's.
    frozen_encoder: bool,
    clips: Arc<Clips>,
    watched: Vec<usize>,
}

impl LipsTrainer {
    fn new(options: &LipsOptions) -> Result<Self> {
        let common = &options.common;
        let config: LipsConfig = run::config(common, Self::KIND, config::preset)?;
        let clips = Clips::open(&common.data, &options.speakers, &options.speaker_weights, config.motion_hz)?;
        let device = Device::Cpu;
        let params = Params::new(common.seed, &device);
        let model = LipsModel::new(&config, params.builder())?;
        let encoder = match &options.voice {
            Some(voice) => load_encoder(voice, &device)?,
            None => {
                let unusable = |error: config::ConfigError| TrainError::Options(error.to_string());
                let voice: VoiceConfig = config::preset(&options.encoder_preset).map_err(unusable)?;
                let text = config::to_toml(&voice.encoder).map_err(unusable)?;
                std::fs::create_dir_all(&common.out).map_err(|error| TrainError::write(&common.out, error))?;
                write_atomically(&common.out.join(ENCODER_CONFIG), text.as_bytes())?;
                TextEncoder::new(&voice.encoder, params.builder().pp("encoder"))?
            }
        };
        let test = choose(&clips.dataset, Split::Test, &options.speakers);
        let watched = test.iter().step_by((test.len() / WATCHED_CLIPS).max(1)).take(WATCHED_CLIPS).copied().collect();
        let shape = LinearConfig::new(config.motion.width, SHAPE_VALUES);
        let shape = Linear::new(&shape, params.builder().pp(AID).pp("shape"))?;
        Ok(Self {
            emphasis: emphasis(&device)?,
            shape,
            nets: LipsNets { config, encoder, model, device },
            params,
            frozen_encoder: options.voice.is_some(),
            clips: Arc::new(clips),
            watched,
        })
    }
}

impl Trainer for LipsTrainer {
    type Batch = LipsBatch;
    const KIND: &'static str = "lips";

    fn trainable(&self) -> Vec<(String, Var)> {
        self.params.trainable()
    }

    fn vars(&self) -> Vec<(String, Var)> {
        self.params.vars()
    }

    fn config(&self) -> String {
        config::to_toml(&self.nets.config).expect("a config that was read can be written")
    }

    fn loss(&self, batch: LipsBatch, dropout_seed: u64) -> candle_core::Result<Loss> {
        let LipsNets { encoder, model, device, .. } = &self.nets;
        let rng = DropoutRng::new(dropout_seed);
        let mode = Mode::Train(&rng);
        let (ids, symbol_mask) = batch.symbols.tensors(device)?;
        let (index, place) = batch.grid.tensors(device)?;
        let visemes = Tensor::from_vec(batch.visemes, index.dims(), device)?;
        let mask = batch.mask.map(|mask| Tensor::from_vec(mask, index.dims(), device)).transpose()?;
        let owner = Tensor::from_vec(batch.owner.clone(), batch.owner.len(), device)?;
        let (identity_image, targets) = (batch.identity.to_device(device)?, batch.targets.to_device(device)?);

        let states = if self.frozen_encoder {
            encoder.forward(&ids, &symbol_mask, &Mode::Eval)?.detach()
        } else {
            encoder.forward(&ids, &symbol_mask, &mode)?
        };
        let identity = model.identity.forward(&identity_image, &mode)?;
        let regulated = regulate(&states, &index)?;
        let motion =
            model.motion.forward_masked(&regulated, Some(&visemes), &place, &identity.vector, mask.as_ref(), &mode)?;
        let motion = motion_at(&motion, &batch.motion_row, &batch.motion_share)?;
        let images = model.image.forward(&motion, &owner, &identity, &mode)?;
        let shape = Shape { reader: &self.shape, motion: &motion, outlines: batch.shapes, known: batch.shape_known };
        Loss::weighted(&picture_losses(&images, &targets, &self.emphasis, shape)?)
    }

    fn validate(&self, folder: &Path) -> Result<Vec<(&'static str, f64)>> {
        if self.watched.is_empty() {
            return Ok(vec![("psnr", f64::NAN), ("ssim", f64::NAN), ("motion_energy", f64::NAN)]);
        }
        let sheet = folder.join("real-over-generated.png");
        let report = compare_clips(&self.nets, &self.clips.dataset, &self.watched, Some(&sheet))?;
        Ok(report.figures.iter().map(|figure| (figure.name, figure.value)).collect())
    }
}

/// The mouth's outline as read off motion vectors, beside the real one: see [`LipsBatch`].
pub(super) struct Shape<'a> {
    pub(super) reader: &'a Linear,
    /// (N, motion width)
    pub(super) motion: &'a Tensor,
    pub(super) outlines: Vec<f32>,
    pub(super) known: Vec<f32>,
}

/// What generated images lack of the real ones, (N, 3, 80, 160) both: names, weights and values of the losses.
pub(super) fn picture_losses(
    images: &Tensor,
    targets: &Tensor,
    emphasis: &Tensor,
    shape: Shape<'_>,
) -> candle_core::Result<[(&'static str, f64, Tensor); 3]> {
    let l1 = (images - targets)?.abs()?.broadcast_mul(emphasis)?.mean_all()?;
    let unlike = (1.0 - losses::ssim(images, targets)?)?;
    let (n, device) = (shape.known.len(), images.device());
    let known = Tensor::from_vec(shape.known, n, device)?;
    let outlines = Tensor::from_vec(shape.outlines, (n, SHAPE_VALUES), device)?;
    let unlike_shape = ((shape.reader.forward(shape.motion)? - outlines)?.abs()?.mean(D::Minus1)? * known)?;
    Ok([("l1", 1.0, l1), ("ssim", SSIM_WEIGHT, unlike), ("shape", SHAPE_WEIGHT, unlike_shape.mean_all()?)])
}

/// The weight of each pixel in L1: a smooth hill over the mouth.
pub(super) fn emphasis(device: &Device) -> candle_core::Result<Tensor> {
    let (middle, radii) = MOUTH;
    let hill = |x: usize, y: usize| {
        let (dx, dy) = ((x as f32 - middle[0]) / radii[0], (y as f32 - middle[1]) / radii[1]);
        1.0 + MOUTH_EMPHASIS * (-(dx * dx + dy * dy)).exp()
    };
    let weights: Vec<f32> = (0..CROP_HEIGHT).flat_map(|y| (0..CROP_WIDTH).map(move |x| hill(x, y))).collect();
    let mean = weights.iter().sum::<f32>() / weights.len() as f32;
    let weights = weights.iter().map(|weight| weight / mean).collect();
    Tensor::from_vec(weights, (1, 1, CROP_HEIGHT, CROP_WIDTH), device)
}
