//! Training of the reference systems, DualLip and TransformerT2L, "the same way" as the lips: the same clips, image
//! decoder, losses and aids.
//!
//! They see the real video frame before each (teacher forcing); all video frames of a clip are decoded to motion, a few
//! random ones to images. A stop logit learns where clips end. With the real image before it a system hardly needs the
//! text, and a short training would leave its attention anywhere: half of what it sees of that image is dropped, as in
//! Tacotron 2, and attention is guided along the diagonal (Tachibana et al. 2018), loosely, since GRID's clips begin and
//! end with long silence.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use paravox_models::config::preset;
use paravox_models::image_decoder::to_bytes;
use paravox_models::layers::{Linear, LinearConfig};
use paravox_models::losses;
use paravox_models::mode::{DropoutRng, Mode};
use paravox_models::params::Params;
use paravox_models::references::{ReferenceConfig, ReferenceModel, SystemConfig};

use super::checkpoint::AID;
use super::error::Result;
use super::lips::{SSIM_WEIGHT, Shape, emphasis, picture_losses};
use super::lips_corpus::{Clips, SHAPE_VALUES, choose, spread};
use super::lips_reference_corpus::ReferenceBatch;
use super::options::TrainOptions;
use super::picture;
use super::run::{self, Loss, TrainReport, Trainer};
use crate::data::Split;
use crate::face::CROP_BYTES;
use crate::metrics::Mean;
use crate::metrics::clips::{Aids, Generated, compare};
use crate::metrics::references::ReferenceNets;

/// Weight of the stop logit's cross-entropy beside L1 of pixels in 0..1, and how much more a clip's last video frame
/// counts in it than another: there is one of it among many.
const STOP_WEIGHT: f64 = 0.05;
const STOP_EMPHASIS: f32 = 10.0;
/// Weight of guided attention, and how far from the diagonal, in shares of the sentence, it leaves attention alone.
const GUIDE_WEIGHT: f64 = 0.2;
const GUIDE_WIDTH: f64 = 0.3;
/// Test clips that are watched during training; nothing is chosen by them.
const WATCHED_CLIPS: usize = 4;

/// Options of [`train_lips_reference`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LipsReferenceOptions {
    /// Preset `dual-lip-light`, 8 clips a batch, AdamW 1e-3, gradient of norm 1 at most.
    pub common: TrainOptions,
    /// Video frames of each clip that go through the image decoder (default 6).
    pub video_frames: usize,
    /// Speakers to train on; empty: all.
    pub speakers: Vec<String>,
}

impl Default for LipsReferenceOptions {
    fn default() -> Self {
        let common = TrainOptions { clip_norm: 1.0, ..TrainOptions::recipe("dual-lip-light", 8, 1e-3) };
        Self { common, video_frames: 6, speakers: Vec::new() }
    }
}

/// Trains a reference system on a prepared corpus of clips; the clips' times are not read.
///
/// # Errors
/// [`super::TrainError`]: unusable options or corpus, a checkpoint that does not fit, a full disk, divergence.
pub fn train_lips_reference(options: &LipsReferenceOptions) -> Result<TrainReport> {
    let common = &options.common;
    common.check()?;
    common.set_threads();
    let trainer = ReferenceTrainer::new(options)?;
    let clips = trainer.clips.clone();
    let (seed, batch, per_clip) = (common.seed, common.batch, options.video_frames.max(1));
    run::run(&trainer, common, move |step| ReferenceBatch::new(&clips, seed, step, batch, per_clip))
}

struct ReferenceTrainer {
    nets: ReferenceNets,
    params: Params,
    /// Reads the mouth's outline off motion vectors.
    shape: Linear,
    /// (1, 1, 80, 160), mean 1: how much each pixel counts in L1.
    emphasis: Tensor,
    clips: Arc<Clips>,
    watched: Vec<usize>,
}

impl ReferenceTrainer {
    fn new(options: &LipsReferenceOptions) -> Result<Self> {
        let common = &options.common;
        let config: ReferenceConfig = run::config(common, Self::KIND, preset)?;
        // These systems have no motion grid: the rate of one is of no importance.
        let clips = Clips::open(&common.data, &options.speakers, &[], 25.0)?;
        let device = common.device.open()?;
        let params = Params::new(common.seed, &device);
        let model = ReferenceModel::new(&config, params.builder())?;
        let test = choose(&clips.dataset, Split::Test, &options.speakers);
        let watched = spread(test, WATCHED_CLIPS);
        let motion_width = match &config.system {
            SystemConfig::DualLip(system) => system.motion,
            SystemConfig::TransformerT2l(system) => system.encoder.width,
        };
        let shape = Linear::new(&LinearConfig::new(motion_width, SHAPE_VALUES), params.builder().pp(AID).pp("shape"))?;
        Ok(Self {
            emphasis: emphasis(&device)?,
            shape,
            nets: ReferenceNets { config, model, device },
            params,
            clips: Arc::new(clips),
            watched,
        })
    }
}

impl Trainer for ReferenceTrainer {
    type Batch = ReferenceBatch;
    type Config = ReferenceConfig;
    const KIND: &'static str = "lips-reference";

    fn params(&self) -> &Params {
        &self.params
    }

    fn config(&self) -> &ReferenceConfig {
        &self.nets.config
    }

    fn loss(&self, batch: ReferenceBatch, dropout_seed: u64) -> candle_core::Result<Loss> {
        let ReferenceNets { model, device, .. } = &self.nets;
        let rng = DropoutRng::new(dropout_seed);
        let mode = Mode::Train(&rng);
        let lips = batch.lips;
        let (ids, symbol_mask) = lips.symbols.tensors(device)?;
        let owner = Tensor::new(lips.owner, device)?;
        let (identity_image, targets) = (lips.identity.to_device(device)?, lips.targets.to_device(device)?);

        let identity = model.identity.forward(&identity_image, &mode)?;
        let decoded = model.forward(&ids, &symbol_mask, &identity, &batch.previous.to_device(device)?, &mode)?;
        let motion = decoded.motion.flatten(0, 1)?.index_select(&Tensor::new(batch.rows, device)?, 0)?;
        let images = model.image.forward(&motion, &owner, &identity, &mode)?;
        let shape = Shape { reader: &self.shape, motion: &motion, outlines: lips.shapes, known: lips.shape_known };
        let mut parts = picture_losses(&images, &targets, &self.emphasis, SSIM_WEIGHT, shape)?;
        let (ends, weights) = ends(&batch.lengths, batch.longest, device)?;
        parts.push(("stop", STOP_WEIGHT, losses::voicing_cross_entropy(&decoded.stop, &ends, &weights)?));
        let guide = losses::guided_attention(&decoded.attention, &batch.lengths, GUIDE_WIDTH)?;
        parts.push(("guide", GUIDE_WEIGHT, guide));
        Loss::weighted(&parts)
    }

    /// Films that the system makes on its own from the watched clips' texts and first video frames, beside the real ones
    /// as far as both go; how far their lengths are apart in video frames; and how much attention goes to one symbol.
    fn validate(&self, folder: &Path) -> Result<Vec<(&'static str, f64)>> {
        let mut focus = Mean::default();
        let sheet = folder.join("real-over-generated.png");
        let aids = Aids { sheet: Some(&sheet), ..Aids::default() };
        let dataset = &self.clips.dataset;
        let report = compare(dataset, &self.watched, aids, |i| {
            let symbols = &dataset.meta(i).symbols;
            let film = self.nets.film(symbols, &dataset.pixels(i)[..CROP_BYTES], None)?;
            focus.add(f64::from(film.attention.max(1)?.mean_all()?.to_scalar::<f32>()?));
            let weights = (film.attention.flatten_all()? + 1e-6)?.log()?.to_vec1::<f32>()?;
            picture::write_mels(&folder.join(format!("attention-{i}.png")), symbols.len(), &[&weights])?;
            Ok(Generated { crops: to_bytes(&film.images)?, clock: None })
        })?;
        let figures = report.figures.iter().map(|figure| (figure.name, figure.value));
        Ok(figures.chain([("attention_focus", focus.value().unwrap_or(f64::NAN))]).collect())
    }
}

/// 1 at the last video frame of each clip, else 0; and how much each counts: (B, T) both.
fn ends(lengths: &[(usize, usize)], longest: usize, device: &Device) -> candle_core::Result<(Tensor, Tensor)> {
    let table = |value: &dyn Fn(usize, usize) -> f32| {
        let rows = lengths.iter().flat_map(|&(n, _)| (0..longest).map(move |t| value(t, n)));
        Tensor::from_vec(rows.collect::<Vec<_>>(), (lengths.len(), longest), device)
    };
    let ends = table(&|t, n| f32::from(t + 1 == n))?;
    let weights = table(&|t, n| if t + 1 == n { STOP_EMPHASIS } else { f32::from(t < n) })?;
    Ok((ends, weights))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::paper::{EvalPaperOptions, eval_paper};
    use crate::train::{LipsOptions, composed, train_lips};

    #[test]
    fn only_the_last_video_frame_of_a_clip_ends_it() {
        let (ends, weights) = ends(&[(2, 9), (4, 9)], 4, &Device::Cpu).unwrap();
        assert_eq!(ends.to_vec2::<f32>().unwrap(), [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]);
        let last = STOP_EMPHASIS;
        assert_eq!(weights.to_vec2::<f32>().unwrap(), [[1.0, last, 0.0, 0.0], [1.0, 1.0, 1.0, last]]);
    }

    #[test]
    fn a_gpus_operations_give_the_same_loss_and_gradients() {
        let folder = tempfile::tempdir().unwrap();
        super::super::lips::tests::write_corpus(folder.path());
        for preset in ["dual-lip-light", "transformer-t2l-light"] {
            let mut options = LipsReferenceOptions::default();
            (options.common.data, options.common.preset) = (folder.path().into(), preset.into());
            let make = |device| {
                let common = TrainOptions { device, ..options.common.clone() };
                ReferenceTrainer::new(&LipsReferenceOptions { common, ..options.clone() }).unwrap()
            };
            composed::check(make, |trainer| ReferenceBatch::new(&trainer.clips, 1, 0, 2, 2).unwrap());
        }
    }

    /// Both systems train, and stand beside the lips in the paper's tables.
    #[test]
    fn the_tables_hold_every_system_and_every_length() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        super::super::lips::tests::write_corpus(&at("data"));
        let tell = |common: &mut TrainOptions, out: &str| {
            (common.data, common.out, common.steps, common.batch) = (at("data"), at(out), 1, 1);
        };
        let mut lips = LipsOptions { own_durations: true, ..LipsOptions::default() };
        tell(&mut lips.common, "lips");
        train_lips(&lips).unwrap();
        for preset in ["dual-lip-light", "transformer-t2l-light"] {
            let mut options = LipsReferenceOptions::default();
            tell(&mut options.common, preset);
            options.common.preset = preset.into();
            train_lips_reference(&options).unwrap();
        }
        let mut options = EvalPaperOptions::new(at("data"), at("lips"));
        options.references = ["dual-lip-light", "transformer-t2l-light"].map(|name| (name.into(), at(name))).to_vec();
        options.ablations = vec![("L1".into(), at("lips"))];
        options.lengths_s = vec![0.2, 0.4];
        let report = eval_paper(&options).unwrap();
        assert_eq!(report.systems.iter().map(|row| &*row.system).collect::<Vec<_>>()[0], "lips");
        assert_eq!((report.clips, report.systems.len(), report.ablation.len(), report.latency.len()), (1, 3, 1, 3));
        let has = |system: usize, name| report.systems[system].figures.iter().any(|figure| figure.name == name);
        assert!(has(0, "duration_error") && has(1, "length_error") && !has(1, "duration_error"));
        assert!((report.latency[0].speed_up_of_lips - 1.0).abs() < 1e-9);
        assert!(report.latency.iter().all(|row| row.parameters > 1_000_000 && row.median_ms > 0.0));
        let lengths: Vec<_> = report.latency_by_length.iter().map(|row| (row.video_frames, row.ms.len())).collect();
        assert_eq!(lengths, [(5, 3), (10, 3)]);

        options.lips = at("dual-lip-light");
        assert!(eval_paper(&options).is_err());
    }
}
