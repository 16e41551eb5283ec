//! Training of the lip reader: the phonemes of films, from films whose text is known. Times are not used, unless asked for:
//! then the reader learns what each step shows, from times that may be rough or another reader's.
//!
//! There is little film of each speaker, so it is shown in many ways: mirrored, moved, with video frames lost, repeated and
//! held. Brightness and contrast need no variants, as views are normalised.

use std::path::Path;
use std::sync::Arc;

use candle_core::{Device, Tensor};
use paravox_models::config;
use paravox_models::lip_reader::{LipReader, LipReaderConfig, VIEW_HEIGHT, VIEW_WIDTH};
use paravox_models::losses::{self, CtcTarget, ctc};
use paravox_models::mode::{DropoutRng, Mode};
use paravox_models::params::Params;
use rand::Rng;

use super::batches::step_rng;
use super::error::{Result, TrainError};
use super::lips_corpus::{check_speakers, choose, clip_timeline, spread};
use super::options::TrainOptions;
use super::run::{self, Loss, TrainReport, Trainer};
use crate::align::class_of;
use crate::data::lips::LipsMeta;
use crate::data::{LipsDataset, Split};
use crate::metrics::reader::measure;
use crate::reader::view::{Look, VIEW_PIXELS, views};
use crate::reader::{self, Reader, target};

/// Test clips that are watched during training; nothing is chosen by them.
const WATCHED_CLIPS: usize = 40;
/// Crop pixels that a film is moved by at most.
const SHIFT: std::ops::RangeInclusive<i32> = -8..=8;
/// How often a video frame is lost, and how often shown twice.
const JITTER: f64 = 0.04;
/// Longest stretch of video frames that stands still.
const HELD: usize = 8;
/// The class of silence.
const BLANK: u32 = 0;

/// Options of [`train_reader`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReaderOptions {
    /// Preset `reader-light`, 8 clips a batch, AdamW 2e-3.
    pub common: TrainOptions,
    /// Speakers to train on; empty: all.
    pub speakers: Vec<String>,
    /// Whether it learns the phoneme of every step from the corpus's times instead of the order of the phonemes alone.
    pub frame_wise: bool,
}

impl Default for ReaderOptions {
    fn default() -> Self {
        let common = TrainOptions { clip_norm: 5.0, ..TrainOptions::recipe("reader-light", 8, 2e-3) };
        Self { common, speakers: Vec::new(), frame_wise: false }
    }
}

/// Trains a lip reader on a prepared corpus of clips.
///
/// # Errors
/// [`TrainError`]: unusable options or corpus, a checkpoint that does not fit, a full disk, divergence.
pub fn train_reader(options: &ReaderOptions) -> Result<TrainReport> {
    let common = &options.common;
    common.check()?;
    common.set_threads();
    let config: LipReaderConfig = run::config(common, ReaderTrainer::KIND, config::preset)?;
    reader::check(&config).map_err(TrainError::Options)?;
    let films = Arc::new(Films::open(&common.data, &options.speakers, config.steps)?);
    let trainer = ReaderTrainer::new(config, options, films.clone())?;
    let (seed, batch) = (common.seed, common.batch);
    run::run(&trainer, common, move |step| films.batch(seed, step, batch))
}

/// The clips to read.
struct Films {
    dataset: LipsDataset,
    train: Vec<usize>,
    watched: Vec<usize>,
    /// Steps of the net for each video frame.
    steps: usize,
}

impl Films {
    fn open(folder: &Path, speakers: &[String], steps: usize) -> Result<Self> {
        let dataset = LipsDataset::open(folder)?;
        check_speakers(&dataset, folder, speakers.iter())?;
        let fits = |&i: &usize| {
            let (meta, target) = (dataset.meta(i), target(&dataset.meta(i).symbols));
            !target.labels().is_empty() && target.least_steps() <= meta.n_video_frames * steps
        };
        let train: Vec<usize> = choose(&dataset, Split::Train, speakers).into_iter().filter(fits).collect();
        if train.is_empty() {
            return Err(TrainError::Data(format!("{}: no training clip of these speakers", folder.display())));
        }
        let test: Vec<usize> = choose(&dataset, Split::Test, speakers).into_iter().filter(fits).collect();
        let watched = spread(test, WATCHED_CLIPS);
        Ok(Self { dataset, train, watched, steps })
    }

    fn batch(&self, seed: u64, step: u64, n: usize) -> Result<ReaderBatch> {
        let mut rng = step_rng(seed, step);
        let films: Vec<(Vec<f32>, CtcTarget, Vec<u32>)> = (0..n)
            .map(|_| {
                let i = self.train[rng.random_range(0..self.train.len())];
                let target = target(&self.dataset.meta(i).symbols);
                let length = self.dataset.meta(i).n_video_frames;
                let mut order = order(length, &mut rng);
                if order.len() * self.steps < target.least_steps() {
                    order = (0..length).collect();
                }
                let shift = [rng.random_range(SHIFT), rng.random_range(SHIFT)];
                let look = Look { mirrored: rng.random(), shift };
                let classes = classes(self.dataset.meta(i), self.steps)?;
                let classes = order.iter().flat_map(|k| &classes[k * self.steps..(k + 1) * self.steps]).copied();
                let classes = classes.collect();
                Ok((views(self.dataset.pixels(i), order.into_iter(), look), target, classes))
            })
            .collect::<Result<_>>()?;
        let length = films.iter().map(|film| film.0.len() / VIEW_PIXELS).max().unwrap_or(0);
        let mut batch = ReaderBatch { length, ..ReaderBatch::default() };
        for (mut views, target, mut classes) in films {
            batch.lengths.push(views.len() / VIEW_PIXELS);
            batch.targets.push(target);
            classes.resize(length * self.steps, BLANK);
            batch.classes.extend(classes);
            views.resize(length * VIEW_PIXELS, 0.0);
            batch.views.extend(views);
        }
        Ok(batch)
    }
}

/// The class of each step of a film by the corpus's times.
fn classes(meta: &LipsMeta, steps: usize) -> Result<Vec<u32>> {
    let timeline = clip_timeline(&meta.boundaries_s)?;
    let class = |step: usize| {
        let middle_s = (step as f64 + 0.5) / (steps as f64 * f64::from(meta.fps));
        class_of(meta.symbols[timeline.place_at_seconds(middle_s).symbol].phoneme) as u32
    };
    Ok((0..meta.n_video_frames * steps).map(class).collect())
}

/// The video frames of a film in the order in which they are shown: some lost, some twice, a stretch held.
fn order(length: usize, rng: &mut impl Rng) -> Vec<usize> {
    let mut order = Vec::with_capacity(length + length / 8);
    for k in 0..length {
        let chance: f64 = rng.random();
        let times = if chance < JITTER { 0 } else { 1 + usize::from(chance > 1.0 - JITTER) };
        order.extend(std::iter::repeat_n(k, times));
    }
    let held = rng.random_range(0..=HELD.min(order.len().saturating_sub(1)));
    let from = rng.random_range(0..=order.len() - held);
    let still = order.get(from).copied();
    order[from..from + held].iter_mut().for_each(|k| *k = still.unwrap_or(*k));
    order
}

/// Films side by side, padded to the longest.
#[derive(Default)]
struct ReaderBatch {
    /// T.
    length: usize,
    /// (B, T, 40, 64).
    views: Vec<f32>,
    /// Video frames of each film.
    lengths: Vec<usize>,
    targets: Vec<CtcTarget>,
    /// (B, T * steps): the classes of the steps.
    classes: Vec<u32>,
}

struct ReaderTrainer {
    config: LipReaderConfig,
    params: Params,
    net: LipReader,
    device: Device,
    films: Arc<Films>,
    frame_wise: bool,
}

impl ReaderTrainer {
    fn new(config: LipReaderConfig, options: &ReaderOptions, films: Arc<Films>) -> Result<Self> {
        let common = &options.common;
        let device = common.device.open()?;
        let params = Params::new(common.seed, &device);
        let net = LipReader::new(&config, params.builder())?;
        Ok(Self { config, params, net, device, films, frame_wise: options.frame_wise })
    }
}

impl Trainer for ReaderTrainer {
    type Batch = ReaderBatch;
    type Config = LipReaderConfig;
    const KIND: &'static str = "reader";

    fn params(&self) -> &Params {
        &self.params
    }

    fn config(&self) -> &LipReaderConfig {
        &self.config
    }

    fn loss(&self, batch: ReaderBatch, dropout_seed: u64) -> candle_core::Result<Loss> {
        let rng = DropoutRng::new(dropout_seed);
        let (films, length, each) = (batch.lengths.len(), batch.length, self.config.steps);
        let views = Tensor::from_vec(batch.views, (films, length, VIEW_HEIGHT, VIEW_WIDTH), &self.device)?;
        let mask: Vec<f32> =
            batch.lengths.iter().flat_map(|&own| (0..length).map(move |t| f32::from(t < own))).collect();
        let mask = Tensor::from_vec(mask, (films, length), &self.device)?;
        let reading = self.net.forward(&views, Some(&mask), &Mode::Train(&rng))?;
        let steps: Vec<usize> = batch.lengths.iter().map(|own| own * each).collect();
        let rows = steps.iter().enumerate().flat_map(|(b, &own)| (0..own).map(move |t| (b * length * each + t) as u32));
        let rows = Tensor::from_iter(rows, &self.device)?;
        self.net.follow_prior(&reading.log_probabilities.detach().flatten(0, 1)?.index_select(&rows, 0)?)?;
        if self.frame_wise {
            let classes = Tensor::from_vec(batch.classes, (films, length * each), &self.device)?;
            let mask = mask.repeat((each, 1, 1))?.permute((1, 2, 0))?.reshape((films, length * each))?;
            let loss = losses::masked_cross_entropy(&reading.log_probabilities, &classes, &mask)?;
            return Loss::weighted(&[("cross_entropy", 1.0, loss)]);
        }
        let scores = self.net.scores(&reading.log_probabilities)?;
        Loss::weighted(&[("ctc", 1.0, ctc(&scores, &steps, &batch.targets, BLANK)?)])
    }

    fn validate(&self, _: &Path) -> Result<Vec<(&'static str, f64)>> {
        let reader = Reader::of_net(self.net.clone(), self.config.clone(), self.device.clone());
        let report = measure(&reader, &self.films.dataset, &self.films.watched)?;
        Ok(report.figures.iter().map(|figure| (figure.name, figure.value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::lips::LipsWriter;
    use crate::data::{Affine, LipsItem};
    use crate::face::{CROP_BYTES, CROP_WIDTH};
    use crate::metrics::align_lips;
    use crate::text::{Phoneme, SentenceKind, Symbol};
    use crate::train::composed;

    #[test]
    fn shown_otherwise_a_film_keeps_its_order_and_about_its_length() {
        let mut lengths = Vec::new();
        for step in 0..200 {
            let order = order(75, &mut step_rng(1, step));
            assert!(order.is_sorted() && order.iter().all(|&k| k < 75));
            lengths.push(order.len());
        }
        let mean = lengths.iter().sum::<usize>() as f64 / 200.0;
        assert!((mean - 75.0).abs() < 1.0 && lengths.iter().any(|&length| length != 75), "{mean}");
        for length in 1..4 {
            for step in 0..50 {
                assert!(order(length, &mut step_rng(2, step)).len() <= 2 * length);
            }
        }
    }

    const TINY: &str = "phonemes = 47\nsteps = 2\nprior = 0.5\nneighbours = 0\nlevels = [4, 4, 8]\nchannels = 24\n\
        dropout = 0.0\nstack = { blocks = 1, kernel = 5, factor = 1, dropout = 0.0 }\n";

    /// Films in which a phoneme is a bright bar at its own height, and silence is dark.
    fn corpus(folder: &Path, clips: usize) {
        let bars = [(Phoneme::P, 0), (Phoneme::F, 27), (Phoneme::Aa, 54)];
        let mut writer = LipsWriter::open(folder, false).unwrap();
        for clip in 0..clips {
            let mut rng = step_rng(7, clip as u64);
            let mut symbols = vec![Symbol::pause(Phoneme::Silence, SentenceKind::Statement)];
            let (mut pixels, mut boundaries_s) = (vec![20; 3 * CROP_BYTES], vec![0.0, 0.12]);
            let mut bar = clip % 3;
            for _ in 0..rng.random_range(2..5) {
                // Another than before: two equal bars would look like one that lasts.
                bar = (bar + rng.random_range(1..3)) % 3;
                let (phoneme, top) = bars[bar];
                symbols.push(Symbol {
                    word_start: true,
                    word_end: true,
                    ..Symbol::pause(phoneme, SentenceKind::Statement)
                });
                for _ in 0..rng.random_range(2..5) {
                    let inside = |y: usize| (top..top + 26).contains(&y);
                    let level = |i: usize| if inside(i / (3 * CROP_WIDTH)) { 220 } else { 20 };
                    pixels.extend((0..CROP_BYTES).map(level));
                }
                boundaries_s.push((pixels.len() / CROP_BYTES) as f32 / 25.0);
            }
            symbols.push(symbols[0]);
            pixels.extend(vec![20; 3 * CROP_BYTES]);
            let n_video_frames = pixels.len() / CROP_BYTES;
            boundaries_s.push(n_video_frames as f32 / 25.0);
            let item = LipsItem {
                speaker: "s",
                clip: &clip.to_string(),
                text: "",
                split: if clip < clips / 4 { Split::Test } else { Split::Train },
                symbols,
                boundaries_s,
                fps: 25.0,
                n_video_frames,
                pixels: &pixels,
                landmarks: None,
                affines: vec![Affine::scale_move(1.0, 0.0, 0.0); n_video_frames],
                picture_size: [160, 80],
            };
            writer.push(&item).unwrap();
        }
        writer.finish().unwrap();
    }

    #[test]
    fn a_gpus_operations_give_the_same_loss_and_gradients() {
        let folder = tempfile::tempdir().unwrap();
        corpus(folder.path(), 4);
        let config: LipReaderConfig = config::preset("reader-light").unwrap();
        let films = Arc::new(Films::open(folder.path(), &[], config.steps).unwrap());
        for frame_wise in [false, true] {
            let make = |device| {
                let common = TrainOptions { device, ..ReaderOptions::default().common };
                let options = ReaderOptions { common, frame_wise, ..ReaderOptions::default() };
                ReaderTrainer::new(config.clone(), &options, films.clone()).unwrap()
            };
            composed::check(make, |trainer| trainer.films.batch(1, 0, 3).unwrap());
        }
    }

    #[test]
    fn a_reader_learns_without_times_what_it_then_finds_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        corpus(&path("data"), 24);
        std::fs::write(path("tiny.toml"), TINY).unwrap();
        let mut options = ReaderOptions::default();
        options.common.preset = path("tiny.toml").to_str().unwrap().into();
        (options.common.data, options.common.out) = (path("data"), path("run"));
        (options.common.steps, options.common.batch) = (250, 4);
        options.common.set_learning_rate(1e-2).unwrap();
        let report = train_reader(&options).unwrap();
        let figure = |name: &str| report.validation.iter().find(|figure| figure.0 == name).unwrap().1;
        assert!(figure("phoneme_error_rate") < 0.1, "{report:?}");
        assert!(figure("phoneme_start_error") < 40.0, "{report:?}");

        let clips = align_lips(&path("data"), Some(&path("run")), &path("aligned")).unwrap();
        let (heard, seen) = (LipsDataset::open(path("data")).unwrap(), LipsDataset::open(path("aligned")).unwrap());
        assert_eq!((clips, seen.len()), (24, 24));
        let late = |i: usize| {
            let pairs = heard.meta(i).boundaries_s.iter().zip(&seen.meta(i).boundaries_s);
            pairs.map(|(a, b)| (a - b).abs()).sum::<f32>() / seen.meta(i).boundaries_s.len() as f32
        };
        let mean = (0..24).map(late).sum::<f32>() / 24.0;
        assert!(mean < 0.04 && seen.pixels(3) == heard.pixels(3), "{mean} s");

        // Told the times that the first reader found, a second one needs fewer steps.
        (options.common.data, options.common.out) = (path("aligned"), path("again"));
        (options.common.steps, options.frame_wise) = (100, true);
        let report = train_reader(&options).unwrap();
        let figure = |name: &str| report.validation.iter().find(|figure| figure.0 == name).unwrap().1;
        assert!(figure("phoneme_error_rate") < 0.2 && figure("phoneme_start_error") < 40.0, "{report:?}");

        // Evenly spread symbols fill the film in order.
        assert_eq!(align_lips(&path("data"), None, &path("even")).unwrap(), 24);
        let even = LipsDataset::open(path("even")).unwrap();
        let meta = even.meta(3);
        assert!(
            meta.boundaries_s.is_sorted() && meta.boundaries_s.last() == Some(&(meta.n_video_frames as f32 / 25.0))
        );

        options.speakers = vec!["nobody".into()];
        assert!(matches!(train_reader(&options), Err(TrainError::Options(_))));
    }
}
