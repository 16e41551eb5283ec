//! Training of the lips: identity encoder, motion decoder and image decoder on clips with aligned symbols.
//!
//! Motion is decoded for whole sentences; the image decoder, which works picture by picture, sees a few random video
//! frames of each. The text states come from the encoder that a voice has trained, which then stays as it is, or from one
//! that trains along. The loss is ParaLip's: L1, structural similarity and, where asked for, an adversary; with two aids.
//! Most of a crop never moves, and on L1 alone the motion decoder learns last and least: after 760 steps clips had 0.08 of
//! the real motion energy. So the mouth counts more than the cheeks, and a linear reading of each motion vector must tell
//! the mouth's outline in that video frame; the reading serves training alone and is not part of the nets.
//!
//! Lips may learn durations too, as published: for an evaluation that is given none. What ships follows the voice's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{D, Device, Tensor};
use paravox_models::config::{self, LipsConfig, VoiceConfig};
use paravox_models::discriminator::{Discriminator, DiscriminatorConfig};
use paravox_models::layers::{Linear, LinearConfig};
use paravox_models::length_regulator::regulate;
use paravox_models::losses;
use paravox_models::mode::{DropoutRng, Mode};
use paravox_models::model::LipsModel;
use paravox_models::params::Params;
use paravox_models::text_encoder::TextEncoder;

use super::adversary;
use super::checkpoint::{AID, write_config};
use super::elsewhere::Elsewhere;
use super::error::{Result, TrainError};
use super::lips_corpus::{Clips, LipsBatch, SHAPE_VALUES, choose, motion_at, spread};
use super::options::TrainOptions;
use super::run::{self, Loss, TrainReport, Trainer};
use super::symbols::{duration_losses, encode};
use crate::data::Split;
use crate::face::{CROP_HEIGHT, CROP_WIDTH};
use crate::metrics::clips::{Aids, compare};
use crate::metrics::lips::{ENCODER_CONFIG, LipsNets, load_encoder};

/// Path of the adversary's parameters among the aids, and the part of the learning rate that it learns at (ParaLip: 1e-4
/// beside 1e-3).
const DISCRIMINATOR: &str = "discriminator";
const DISCRIMINATOR_RATE_SHARE: f64 = 0.1;
/// Weight of 1 - SSIM beside L1 where no other is asked for.
pub(super) const SSIM_WEIGHT: f64 = 0.3;
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
    /// A voice (a training's folder, a weights file or a shipped name) whose text encoder the lips read and leave unchanged;
    /// `None`: an encoder trains along.
    pub voice: Option<PathBuf>,
    /// Preset of the voice whose encoder trains along (default `voice-light`).
    pub encoder_preset: String,
    /// Video frames of each clip that go through the image decoder (default 6).
    pub video_frames: usize,
    /// Speakers to train on; empty: all.
    pub speakers: Vec<String>,
    /// How much more often a speaker's clips are drawn than others.
    pub speaker_weights: Vec<(String, f64)>,
    /// Weight of 1 - SSIM beside L1 of pixels in 0..1 (default 0.3); 0: L1 alone.
    pub ssim_weight: f64,
    /// Weight of what an adversary says beside L1 (default 0: there is none).
    pub adversarial_weight: f64,
    /// Preset of the adversary (default `discriminator-light`).
    pub discriminator: String,
    /// Whether the lips learn durations too, by a predictor as `encoder_preset` has it.
    pub own_durations: bool,
    /// A text, a sentence in each line: in half of the clips some symbols have the states that the voice's encoder gives
    /// them in this text, so that lips follow texts unlike those that were filmed. `None`: all have their own.
    pub elsewhere: Option<PathBuf>,
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
            ssim_weight: SSIM_WEIGHT,
            adversarial_weight: 0.0,
            discriminator: "discriminator-light".into(),
            own_durations: false,
            elsewhere: None,
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
    if ![options.ssim_weight, options.adversarial_weight].iter().all(|weight| weight.is_finite() && *weight >= 0.0) {
        return Err(TrainError::Options("the weights of losses are numbers from 0 up".into()));
    }
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
    elsewhere: Option<Elsewhere>,
    ssim_weight: f64,
    /// The adversary and the weight of what it says.
    adversary: Option<(Discriminator, f64)>,
    clips: Arc<Clips>,
    watched: Vec<usize>,
}

impl LipsTrainer {
    fn new(options: &LipsOptions) -> Result<Self> {
        let common = &options.common;
        let unusable = |error: config::ConfigError| TrainError::Options(error.to_string());
        let mut config: LipsConfig = run::config(common, Self::KIND, config::preset)?;
        if options.own_durations && config.duration.is_none() {
            config.duration = Some(config::preset::<VoiceConfig>(&options.encoder_preset).map_err(unusable)?.duration);
        }
        let mut clips = Clips::open(&common.data, &options.speakers, &options.speaker_weights, config.motion_hz)?;
        clips.letters = config.letters;
        let device = common.device.open()?;
        let params = Params::new(common.seed, &device);
        let model = LipsModel::new(&config, params.builder())?;
        let encoder = match (&options.voice, &model.encoder) {
            (Some(_), Some(_)) => {
                return Err(TrainError::Options(
                    "these nets have a text encoder of their own: leave --voice out".into(),
                ));
            }
            (None, Some(encoder)) => encoder.clone(),
            (Some(voice), None) => load_encoder(voice, &device)?,
            (None, None) => {
                let voice: VoiceConfig = config::preset(&options.encoder_preset).map_err(unusable)?;
                std::fs::create_dir_all(&common.out).map_err(|error| TrainError::write(&common.out, error))?;
                write_config(&common.out.join(ENCODER_CONFIG), &voice.encoder)?;
                TextEncoder::new(&voice.encoder, params.builder().pp("encoder"))?
            }
        };
        let elsewhere = match (&options.elsewhere, &options.voice) {
            (Some(_), None) => {
                return Err(TrainError::Options(
                    "only a voice's encoder knows states from elsewhere: add --voice".into(),
                ));
            }
            (Some(text), Some(_)) => Some(Elsewhere::read(text, &encoder, &device)?),
            (None, _) => None,
        };
        let test = choose(&clips.dataset, Split::Test, &options.speakers);
        let watched = spread(test, WATCHED_CLIPS);
        let shape = LinearConfig::new(config.motion.width, SHAPE_VALUES);
        let shape = Linear::new(&shape, params.builder().pp(AID).pp("shape"))?;
        let adversary = if options.adversarial_weight > 0.0 {
            let config: DiscriminatorConfig = config::preset(&options.discriminator).map_err(unusable)?;
            let net = Discriminator::new(&config, params.builder().pp(AID).pp(DISCRIMINATOR))?;
            Some((net, options.adversarial_weight))
        } else {
            None
        };
        Ok(Self {
            ssim_weight: options.ssim_weight,
            adversary,
            emphasis: emphasis(&device)?,
            shape,
            nets: LipsNets { config, encoder, model, device },
            params,
            frozen_encoder: options.voice.is_some(),
            elsewhere,
            clips: Arc::new(clips),
            watched,
        })
    }
}

impl Trainer for LipsTrainer {
    type Batch = LipsBatch;
    type Config = LipsConfig;
    const KIND: &'static str = "lips";

    fn params(&self) -> &Params {
        &self.params
    }

    fn rate_share(&self, name: &str) -> f64 {
        if name.starts_with(&format!("{AID}.{DISCRIMINATOR}.")) { DISCRIMINATOR_RATE_SHARE } else { 1.0 }
    }

    fn config(&self) -> &LipsConfig {
        &self.nets.config
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

        let states = encode(encoder, &ids, &symbol_mask, self.frozen_encoder, &mode)?;
        let identity = model.identity.forward(&identity_image, &mode)?;
        let shown = match &self.elsewhere {
            Some(elsewhere) => elsewhere.mixed_into(&states, &batch.symbols, dropout_seed)?,
            None => states.clone(),
        };
        let regulated = regulate(&shown, &index)?;
        let motion =
            model.motion.forward_masked(&regulated, Some(&visemes), &place, &identity.vector, mask.as_ref(), &mode)?;
        let motion = motion_at(&motion, &batch.motion_row, &batch.motion_share)?;
        let images = model.image.forward(&motion, &owner, &identity, &mode)?;
        let shape = Shape { reader: &self.shape, motion: &motion, outlines: batch.shapes, known: batch.shape_known };
        let mut parts = picture_losses(&images, &targets, &self.emphasis, self.ssim_weight, shape)?;
        if let Some((discriminator, weight)) = &self.adversary {
            let real = discriminator.forward(&targets)?;
            let made = discriminator.forward(&images.detach())?;
            let made_blind = discriminator.detached().forward(&images)?;
            let [fooled, judged] = adversary::duel(&[real], &[made], &[made_blind])?;
            parts.extend([("fooled", *weight, fooled), ("judged", 1.0, judged)]);
        }
        if let Some(predictor) = &model.duration {
            let log_durations = predictor.forward(&states, &symbol_mask, None, &mode)?;
            parts.extend(duration_losses(&log_durations, batch.durations, &symbol_mask)?);
        }
        Loss::weighted(&parts)
    }

    fn validate(&self, folder: &Path) -> Result<Vec<(&'static str, f64)>> {
        if self.watched.is_empty() {
            return Ok(vec![("psnr", f64::NAN), ("ssim", f64::NAN), ("motion_energy", f64::NAN)]);
        }
        let sheet = folder.join("real-over-generated.png");
        let aids = Aids { sheet: Some(&sheet), ..Aids::default() };
        let dataset = &self.clips.dataset;
        let report = compare(dataset, &self.watched, aids, |i| self.nets.clip(dataset, i, false))?;
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

/// What generated images lack of the real ones, (N, 3, 80, 160) both: names, weights and values of the losses; 1 - SSIM is
/// left out where its weight is 0.
pub(super) fn picture_losses(
    images: &Tensor,
    targets: &Tensor,
    emphasis: &Tensor,
    ssim_weight: f64,
    shape: Shape<'_>,
) -> candle_core::Result<Vec<(&'static str, f64, Tensor)>> {
    let l1 = (images - targets)?.abs()?.broadcast_mul(emphasis)?.mean_all()?;
    let (n, device) = (shape.known.len(), images.device());
    let known = Tensor::from_vec(shape.known, n, device)?;
    let outlines = Tensor::from_vec(shape.outlines, (n, SHAPE_VALUES), device)?;
    let unlike_shape = ((shape.reader.forward(shape.motion)? - outlines)?.abs()?.mean(D::Minus1)? * known)?;
    let mut parts = vec![("l1", 1.0, l1), ("shape", SHAPE_WEIGHT, unlike_shape.mean_all()?)];
    if ssim_weight > 0.0 {
        parts.push(("ssim", ssim_weight, (1.0 - losses::ssim(images, targets)?)?));
    }
    Ok(parts)
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::data::lips::LipsWriter;
    use crate::data::{Affine, LipsItem};
    use crate::face::CROP_BYTES;
    use crate::metrics::lips::{EvalLipsOptions, eval_lips};
    use crate::text::{Phoneme, SentenceKind, Symbol};
    use crate::train::liven::{self, LivenOptions};
    use crate::train::{checkpoint, composed};

    /// Two clips of three video frames, one to train on and one to look at.
    pub(in crate::train) fn write_corpus(folder: &Path) {
        let pixels: Vec<u8> = (0..3 * CROP_BYTES).map(|i| (i * i % 253) as u8).collect();
        let mut writer = LipsWriter::open(folder, false).unwrap();
        for (clip, split) in [("one", Split::Train), ("two", Split::Test)] {
            let symbols = [Phoneme::Silence, Phoneme::B, Phoneme::Ay, Phoneme::Silence];
            writer
                .push(&LipsItem {
                    speaker: "s9",
                    clip,
                    text: "by",
                    split,
                    symbols: symbols.map(|phoneme| Symbol::pause(phoneme, SentenceKind::Statement)).to_vec(),
                    boundaries_s: vec![0.0, 0.03, 0.06, 0.09, 0.12],
                    fps: 25.0,
                    n_video_frames: 3,
                    pixels: &pixels,
                    landmarks: None,
                    affines: vec![Affine::scale_move(1.0, 0.0, 0.0); 3],
                    picture_size: [160, 80],
                })
                .unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn a_gpus_operations_give_the_same_loss_and_gradients() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        write_corpus(&data);
        let mut options = LipsOptions { own_durations: true, adversarial_weight: 0.1, ..LipsOptions::default() };
        (options.common.data, options.common.out) = (data, folder.path().join("lips"));
        let make = |device| {
            let common = TrainOptions { device, ..options.common.clone() };
            LipsTrainer::new(&LipsOptions { common, ..options.clone() }).unwrap()
        };
        composed::check(make, |trainer| trainer.clips.batch(1, 0, 2, 2).unwrap());
    }

    /// They learn, predict durations of letters, and are no lips for a voice.
    #[test]
    fn lips_read_letters() {
        let folder = tempfile::tempdir().unwrap();
        let (data, out) = (folder.path().join("data"), folder.path().join("lips"));
        write_corpus(&data);
        let mut options = LipsOptions { video_frames: 2, own_durations: true, ..LipsOptions::default() };
        let common = &mut options.common;
        (common.data, common.out, common.steps, common.batch) = (data.clone(), out.clone(), 1, 1);
        common.preset = "lips-letters".into();
        train_lips(&options).unwrap();
        let mut eval = EvalLipsOptions::new(&data, &out);
        for predicted in [false, true] {
            eval.predicted_durations = predicted;
            let figures = eval_lips(&eval).unwrap().figures;
            let has = |name| figures.iter().any(|figure| figure.name == name);
            assert!(has("psnr") && !has("duration_error"));
        }
        let liven = LivenOptions {
            data: data.clone(),
            lips: out.clone(),
            voice: None,
            out: folder.path().join("lively"),
            gain: 1.5,
            sharpness: None,
        };
        assert!(liven::liven(&liven).unwrap_err().to_string().contains("read letters"));
        options.common.out = folder.path().join("other");
        options.elsewhere = Some(data.join("index.jsonl"));
        assert!(train_lips(&options).unwrap_err().to_string().contains("add --voice"));
        options.voice = Some("heart".into());
        assert!(train_lips(&options).unwrap_err().to_string().contains("leave --voice out"));
    }

    #[test]
    fn an_adversary_trains_along_and_durations_stay_with_the_nets() {
        let folder = tempfile::tempdir().unwrap();
        let (data, out) = (folder.path().join("data"), folder.path().join("lips"));
        write_corpus(&data);
        let mut options = LipsOptions { video_frames: 2, own_durations: true, ..LipsOptions::default() };
        (options.ssim_weight, options.adversarial_weight) = (0.0, 0.1);
        let common = &mut options.common;
        (common.data, common.out, common.steps, common.batch) = (data.clone(), out.clone(), 2, 1);
        let report = train_lips(&options).unwrap();
        let parts: Vec<_> = report.losses.iter().map(|loss| loss.0).take(7).collect();
        assert_eq!(parts, ["loss", "l1", "shape", "fooled", "judged", "duration", "sentence"]);

        let held = checkpoint::load(&out).unwrap().unwrap().model;
        let model = checkpoint::load_model(&out).unwrap();
        let has = |names: &std::collections::BTreeMap<String, Tensor>, path: &str| {
            names.keys().any(|name| name.starts_with(path))
        };
        assert!(has(&held, "aid.discriminator.layer.0") && !has(&model, AID));
        assert!(has(&model, "duration.output") && has(&model, "encoder."));

        let mut eval = EvalLipsOptions::new(&data, &out);
        let names = |eval: &EvalLipsOptions| -> Vec<&str> {
            eval_lips(eval).unwrap().figures.iter().map(|figure| figure.name).collect()
        };
        assert!(!names(&eval).contains(&"duration_error"));
        eval.predicted_durations = true;
        assert!(["psnr", "duration_error", "length_error"].iter().all(|name| names(&eval).contains(name)));

        // Without them, lips cannot be asked for them, and what they may not be told is refused.
        options.own_durations = false;
        options.common.out = folder.path().join("plain");
        train_lips(&options).unwrap();
        eval.lips = options.common.out.clone();
        assert!(matches!(eval_lips(&eval), Err(TrainError::Options(why)) if why.contains("--own-durations")));
        // A predictor can join them later.
        let plain = std::mem::replace(&mut options.common.out, folder.path().join("joined"));
        (options.common.from, options.own_durations) = (Some(plain), true);
        train_lips(&options).unwrap();
        eval.lips = options.common.out.clone();
        eval_lips(&eval).unwrap();
        options.ssim_weight = -1.0;
        assert!(matches!(train_lips(&options), Err(TrainError::Options(_))));
    }
}
