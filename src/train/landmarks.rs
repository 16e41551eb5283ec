//! Training of the landmark net: the mouth's outline in lip crops whose landmarks are known.
//!
//! It is to read generated crops as well, which are softer than filmed ones, and faces that it has not seen. So every crop
//! is moved, scaled, turned, lit and blurred at random first, and its landmarks go with it.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use paravox_models::config;
use paravox_models::landmark_net::{LandmarkConfig, LandmarkNet};
use paravox_models::losses;
use paravox_models::mode::{DropoutRng, Mode};
use paravox_models::params::Params;
use rand::Rng;

use super::batches::step_rng;
use super::error::{Result, TrainError};
use super::lips_corpus::{choose, crops_to_tensor, spread};
use super::options::TrainOptions;
use super::run::{self, Loss, TrainReport, Trainer};
use crate::data::lips::{MOUTH_POINTS, MouthPoints};
use crate::data::{LipsDataset, Split};
use crate::face::warp::{Warp, all_pixels};
use crate::face::{Affine, CROP_HEIGHT, CROP_WIDTH};

/// Crops of the test split that are looked at during training.
const TEST_CROPS: usize = 300;
/// How far a crop is moved, in pixels, scaled, and turned, in radians.
const MOVE_PX: [f32; 2] = [10.0, 7.0];
const SCALE: std::ops::Range<f32> = 0.87..1.15;
const TURN: std::ops::Range<f32> = -0.12..0.12;
/// Brightness that is added, contrast, and the tint of a channel.
const BRIGHTNESS: std::ops::Range<f32> = -0.12..0.12;
const CONTRAST: std::ops::Range<f32> = 0.75..1.25;
const TINT: std::ops::Range<f32> = -0.04..0.04;
/// A crop is blurred by 1 2 1 in both directions so many times at most.
const BLURS: usize = 4;
/// Errors are learned in tens of pixels.
const PX_PER_UNIT: f64 = 10.0;

/// Options of [`train_landmarks`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LandmarkOptions {
    /// Preset `landmarks-light`, 48 crops a batch, AdamW 2e-3.
    pub common: TrainOptions,
}

impl Default for LandmarkOptions {
    fn default() -> Self {
        Self { common: TrainOptions::recipe("landmarks-light", 48, 2e-3) }
    }
}

/// Trains a landmark net on a prepared corpus of clips that have landmarks.
///
/// # Errors
/// [`TrainError`]: unusable options or corpus, a checkpoint that does not fit, a full disk, divergence.
pub fn train_landmarks(options: &LandmarkOptions) -> Result<TrainReport> {
    let common = &options.common;
    common.check()?;
    common.set_threads();
    let corpus = Arc::new(Corpus::open(&common.data)?);
    let trainer = LandmarkTrainer::new(common, corpus.clone())?;
    let (seed, batch) = (common.seed, common.batch);
    run::run(&trainer, common, move |step| corpus.batch(seed, step, batch))
}

/// The clips of a dataset that have landmarks.
struct Corpus {
    dataset: LipsDataset,
    train: Vec<usize>,
    /// Clip and video frame of crops that are never trained on.
    test: Vec<(usize, usize)>,
}

impl Corpus {
    fn open(folder: &Path) -> Result<Self> {
        let dataset = LipsDataset::open(folder)?;
        let known = |split| -> Vec<usize> {
            choose(&dataset, split, &[]).into_iter().filter(|&i| dataset.get(i).landmarks.is_some()).collect()
        };
        let (train, test) = (known(Split::Train), known(Split::Test));
        if train.is_empty() {
            return Err(TrainError::Data(format!("{}: no training clip with landmarks", folder.display())));
        }
        let crops = test.into_iter().flat_map(|i| (0..dataset.meta(i).n_video_frames).map(move |k| (i, k))).collect();
        Ok(Self { train, test: spread(crops, TEST_CROPS), dataset })
    }

    /// Random crops as somebody else might look in another light.
    fn batch(&self, seed: u64, step: u64, n: usize) -> Result<LandmarkBatch> {
        let mut rng = step_rng(seed, step);
        let (mut crops, mut points) = (Vec::with_capacity(n), Vec::with_capacity(n * MOUTH_POINTS));
        for _ in 0..n {
            let clip = self.train[rng.random_range(0..self.train.len())];
            let k = rng.random_range(0..self.dataset.meta(clip).n_video_frames);
            let (crop, mouth) = self.crop(clip, k);
            let (moved, mouth) = moved(crop, &mouth, &mut rng);
            crops.push(moved);
            points.extend(mouth);
        }
        let crops: Vec<&[u8]> = crops.iter().map(Vec::as_slice).collect();
        let crops = crops_to_tensor(&crops, &Device::Cpu)?;
        Ok(LandmarkBatch { crops: changed_light(&crops, &mut rng)?, points })
    }

    fn crop(&self, clip: usize, k: usize) -> (&[u8], MouthPoints) {
        let bytes = crate::face::CROP_BYTES;
        let mouth = self.dataset.get(clip).landmarks.expect("clips without landmarks are left out")[k];
        (&self.dataset.pixels(clip)[k * bytes..(k + 1) * bytes], mouth)
    }
}

/// A crop and its landmarks, moved, scaled and turned around the middle.
fn moved(crop: &[u8], mouth: &MouthPoints, rng: &mut impl Rng) -> (Vec<u8>, MouthPoints) {
    let (scale, turn): (f32, f32) = (rng.random_range(SCALE), rng.random_range(TURN));
    let [dx, dy] = MOVE_PX.map(|most| rng.random_range(-most..most));
    let (cos, sin) = (scale * turn.cos(), scale * turn.sin());
    let [x, y] = [CROP_WIDTH as f32 / 2.0, CROP_HEIGHT as f32 / 2.0];
    let crop_from_moved = Affine([cos, -sin, x + dx - cos * x + sin * y, sin, cos, y + dy - sin * x - cos * y]);
    let moved_from_crop = crop_from_moved.inverse().expect("no scale is 0");
    let warp = Warp::new([CROP_WIDTH, CROP_HEIGHT], &crop_from_moved, all_pixels(CROP_WIDTH, CROP_HEIGHT));
    (warp.pixels(crop), mouth.map(|point| moved_from_crop.apply(point)))
}

/// Crops (N, 3, 80, 160) in 0..1 in another light each, and blurred.
fn changed_light(crops: &Tensor, rng: &mut impl Rng) -> candle_core::Result<Tensor> {
    let n = crops.dim(0)?;
    let (mut gain, mut offset) = (Vec::with_capacity(n), Vec::with_capacity(3 * n));
    let mut blurred = Vec::with_capacity(n);
    for k in 0..n {
        let contrast: f32 = rng.random_range(CONTRAST);
        let brightness: f32 = rng.random_range(BRIGHTNESS);
        gain.push(contrast);
        offset.extend((0..3).map(|_| 0.5 - 0.5 * contrast + brightness + rng.random_range(TINT)));
        let mut crop = crops.narrow(0, k, 1)?;
        for _ in 0..rng.random_range(0..=BLURS) {
            crop = blur(&blur(&crop, 2)?, 3)?;
        }
        blurred.push(crop);
    }
    let gain = Tensor::from_vec(gain, (n, 1, 1, 1), crops.device())?;
    let offset = Tensor::from_vec(offset, (n, 3, 1, 1), crops.device())?;
    Tensor::cat(&blurred, 0)?.broadcast_mul(&gain)?.broadcast_add(&offset)?.clamp(0f32, 1f32)
}

/// Weighs neighbours along an axis by 1/4, 1/2 and 1/4; the ends stay.
fn blur(images: &Tensor, axis: usize) -> candle_core::Result<Tensor> {
    let size = images.dim(axis)?;
    let inner = ((images.narrow(axis, 0, size - 2)? + images.narrow(axis, 2, size - 2)?)? * 0.25)?;
    let inner = (inner + (images.narrow(axis, 1, size - 2)? * 0.5)?)?;
    Tensor::cat(&[images.narrow(axis, 0, 1)?, inner, images.narrow(axis, size - 1, 1)?], axis)
}

struct LandmarkBatch {
    /// (N, 3, 80, 160).
    crops: Tensor,
    /// The landmarks of crop after crop.
    points: Vec<[f32; 2]>,
}

struct LandmarkTrainer {
    config: LandmarkConfig,
    params: Params,
    net: LandmarkNet,
    device: Device,
    corpus: Arc<Corpus>,
}

impl LandmarkTrainer {
    fn new(options: &TrainOptions, corpus: Arc<Corpus>) -> Result<Self> {
        let config: LandmarkConfig = run::config(options, Self::KIND, config::preset)?;
        if config.points != MOUTH_POINTS {
            let reason = format!("{} points: the corpus has {MOUTH_POINTS}", config.points);
            return Err(TrainError::Options(reason));
        }
        let device = options.device.open()?;
        let params = Params::new(options.seed, &device);
        let net = LandmarkNet::new(&config, params.builder())?;
        Ok(Self { config, params, net, device, corpus })
    }
}

impl Trainer for LandmarkTrainer {
    type Batch = LandmarkBatch;
    type Config = LandmarkConfig;
    const KIND: &'static str = "landmarks";

    fn params(&self) -> &Params {
        &self.params
    }

    fn config(&self) -> &LandmarkConfig {
        &self.config
    }

    fn loss(&self, batch: LandmarkBatch, dropout_seed: u64) -> candle_core::Result<Loss> {
        let rng = DropoutRng::new(dropout_seed);
        let crops = batch.crops.to_device(&self.device)?;
        let found = self.net.forward(&crops, &Mode::Train(&rng))?;
        let points = Tensor::from_vec(batch.points.into_flattened(), found.dims(), &self.device)?;
        Loss::weighted(&[("l1", 1.0, (losses::l1(&found, &points)? / PX_PER_UNIT)?)])
    }

    /// Mean distance from the given landmarks in crops as they were filmed.
    fn validate(&self, _: &Path) -> Result<Vec<(&'static str, f64)>> {
        let (mut sum, mut count) = (0.0, 0.0);
        for test in self.corpus.test.chunks(50) {
            let (crops, mouths): (Vec<&[u8]>, Vec<MouthPoints>) =
                test.iter().map(|&(clip, k)| self.corpus.crop(clip, k)).unzip();
            let found = self.net.forward(&crops_to_tensor(&crops, &self.device)?, &Mode::Eval)?;
            let found: Vec<f32> = found.flatten_all()?.to_vec1()?;
            for (a, b) in found.as_chunks::<2>().0.iter().zip(mouths.iter().flatten()) {
                sum += f64::from((a[0] - b[0]).hypot(a[1] - b[1]));
                count += 1.0;
            }
        }
        Ok(vec![("error_px", sum / count)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dark crop with a bright spot of a few pixels around each point.
    fn spots(points: &[[f32; 2]]) -> Vec<u8> {
        let level = |x: usize, y: usize| {
            let near = |point: &[f32; 2]| {
                let distance = (x as f32 + 0.5 - point[0]).hypot(y as f32 + 0.5 - point[1]);
                255.0 * (-0.5 * (distance / 2.0).powi(2)).exp()
            };
            points.iter().map(near).fold(0.0, f32::max) as u8
        };
        (0..CROP_HEIGHT).flat_map(|y| (0..CROP_WIDTH).flat_map(move |x| [level(x, y); 3])).collect()
    }

    #[test]
    fn landmarks_go_where_their_pixels_go() {
        let mut mouth = [[80.0, 40.0]; MOUTH_POINTS];
        mouth[0] = [50.0, 30.0];
        let crop = spots(&mouth[..1]);
        for seed in 0..20 {
            let (pixels, points) = moved(&crop, &mouth, &mut step_rng(seed, 0));
            let (mut sum, mut place) = (0.0, [0.0; 2]);
            for (i, rgb) in pixels.as_chunks::<3>().0.iter().enumerate() {
                let level = f32::from(rgb[0]);
                sum += level;
                place[0] += level * ((i % CROP_WIDTH) as f32 + 0.5);
                place[1] += level * ((i / CROP_WIDTH) as f32 + 0.5);
            }
            let [x, y] = place.map(|value| value / sum);
            assert!((x - points[0][0]).abs() < 0.2 && (y - points[0][1]).abs() < 0.2, "{x} {y} {:?}", points[0]);
        }
    }

    #[test]
    fn light_changes_by_crop_and_stays_in_range() {
        let crops = Tensor::rand(0f32, 1f32, (6, 3, 20, 30), &Device::Cpu).unwrap();
        let changed = changed_light(&crops, &mut step_rng(3, 1)).unwrap();
        let values: Vec<f32> = changed.flatten_all().unwrap().to_vec1().unwrap();
        assert_eq!(changed.dims(), crops.dims());
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
        let blurred = blur(&crops, 3).unwrap();
        let row = |images: &Tensor| images.flatten_all().unwrap().to_vec1::<f32>().unwrap()[..30].to_vec();
        let (before, after) = (row(&crops), row(&blurred));
        assert!((after[7] - (before[6] + 2.0 * before[7] + before[8]) / 4.0).abs() < 1e-6);
        assert_eq!((after[0], after[29]), (before[0], before[29]));
    }
}
