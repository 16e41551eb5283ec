//! What the lips' trainer reads: clips chosen by speaker, random video frames of them, and the grids of motion and video
//! frames.
//!
//! Motion runs on its own grid, motion frame `j` at `j / motion_hz` seconds, over the whole sentence; the motion of a
//! video frame is read between the two motion frames around its middle, so that any frame rate can be asked for.

use std::path::Path;

use candle_core::{Device, Tensor};
use rand::Rng;
use rand::seq::index::sample;

use super::batches::step_rng;
use super::error::{Result, TrainError};
use super::letters::spelled;
use super::symbols::{GridBatch, SymbolBatch};
use crate::data::{LipsDataset, Split};
use crate::face::{CROP_BYTES, CROP_HEIGHT, CROP_WIDTH};
use crate::text::{Symbol, viseme};
use crate::timeline::{HOP_LENGTH, Place, Timeline};

/// Half of the identity pictures come from this many first video frames, where mouths rest as in a portrait.
const RESTING_VIDEO_FRAMES: usize = 10;

/// The places of a clip's motion frames: enough of them that every video frame lies between two.
pub(crate) fn motion_places(timeline: &Timeline, motion_hz: f64, n_video_frames: usize, fps: f64) -> Vec<Place> {
    let (last, _) = motion_position(n_video_frames.saturating_sub(1), fps, motion_hz);
    (0..last + 2).map(|j| timeline.place_at_seconds(j as f64 / motion_hz)).collect()
}

/// The motion frame at or before the middle of video frame `k`, and how far the middle is on the way to the next.
pub(crate) fn motion_position(k: usize, fps: f64, motion_hz: f64) -> (usize, f32) {
    let position = (k as f64 + 0.5) / fps * motion_hz;
    (position as usize, position.fract() as f32)
}

/// The clock of an aligned clip.
pub(crate) fn clip_timeline(boundaries_s: &[f32]) -> Result<Timeline> {
    // An alignment may begin after the clip: its first pause then reaches back to 0.
    let mut boundaries = boundaries_s.to_vec();
    if let Some(first) = boundaries.first_mut() {
        *first = 0.0;
    }
    Timeline::from_seconds(&boundaries).map_err(|error| TrainError::Data(error.to_string()))
}

/// The length of each symbol in mel frames, with its fraction.
pub(crate) fn mel_frames(timeline: &Timeline) -> impl Iterator<Item = f32> + '_ {
    timeline.boundaries().windows(2).map(|ends| (ends[1] - ends[0]) as f32 / HOP_LENGTH as f32)
}

/// Visemes of places.
pub(crate) fn visemes(symbols: &[Symbol], places: &[Place]) -> Vec<u32> {
    places.iter().map(|place| viseme::of(symbols[place.symbol].phoneme).id()).collect()
}

/// Crops of RGB bytes as (N, 3, 80, 160) in 0..1.
pub(crate) fn crops_to_tensor(crops: &[&[u8]], device: &Device) -> candle_core::Result<Tensor> {
    let plane = CROP_WIDTH * CROP_HEIGHT;
    let mut values = vec![0f32; crops.len() * CROP_BYTES];
    for (crop, out) in crops.iter().zip(values.chunks_exact_mut(CROP_BYTES)) {
        for (i, pixel) in crop.as_chunks::<3>().0.iter().enumerate() {
            for (c, byte) in pixel.iter().enumerate() {
                out[c * plane + i] = f32::from(*byte) / 255.0;
            }
        }
    }
    Tensor::from_vec(values, (crops.len(), 3, CROP_HEIGHT, CROP_WIDTH), device)
}

/// Refuses a speaker who has no clip in the dataset, which `folder` holds.
pub(crate) fn check_speakers<'a>(
    dataset: &LipsDataset,
    folder: &Path,
    mut speakers: impl Iterator<Item = &'a String>,
) -> Result<()> {
    match speakers.find(|name| (0..dataset.len()).all(|i| dataset.meta(i).speaker != **name)) {
        Some(name) => Err(TrainError::Options(format!("{}: no speaker {name}", folder.display()))),
        None => Ok(()),
    }
}

/// At most `count` of what a dataset has for a test, evenly spread over it.
pub(crate) fn spread<T>(all: Vec<T>, count: usize) -> Vec<T> {
    let step = all.len().div_ceil(count).max(1);
    all.into_iter().step_by(step).collect()
}

/// Chosen clips of a lip dataset.
pub(crate) struct Clips {
    pub(crate) dataset: LipsDataset,
    /// Training clips with the sum of the weights up to and with each.
    train: Vec<(usize, f64)>,
    pub(crate) motion_hz: f64,
    /// Whether texts are read by letters, not by symbols.
    pub(crate) letters: bool,
}

impl Clips {
    /// Training clips of the speakers (all where none is named); a clip of a speaker of weight 8 comes eight times as
    /// often as others.
    pub(crate) fn open(folder: &Path, speakers: &[String], weights: &[(String, f64)], motion_hz: f64) -> Result<Self> {
        let dataset = LipsDataset::open(folder)?;
        check_speakers(&dataset, folder, speakers.iter().chain(weights.iter().map(|(name, _)| name)))?;
        let mut sum = 0.0;
        let mut train = Vec::new();
        for i in choose(&dataset, Split::Train, speakers) {
            let weight = weights.iter().find(|(name, _)| *name == dataset.meta(i).speaker).map_or(1.0, |w| w.1);
            if weight > 0.0 {
                sum += weight;
                train.push((i, sum));
            }
        }
        if train.is_empty() {
            return Err(TrainError::Data(format!("{}: no training clip of these speakers", folder.display())));
        }
        Ok(Self { dataset, train, motion_hz, letters: false })
    }

    /// `n` random clips with `per_clip` random video frames each.
    pub(crate) fn batch(&self, seed: u64, step: u64, n: usize, per_clip: usize) -> Result<LipsBatch> {
        LipsBatch::new(self, &self.draw(seed, step, n, per_clip))
    }

    /// What of `n` random clips goes into a batch: `per_clip` random video frames each.
    pub(super) fn draw(&self, seed: u64, step: u64, n: usize, per_clip: usize) -> Vec<ClipChoice> {
        let mut rng = step_rng(seed, step);
        let total = self.train.last().map_or(0.0, |clip| clip.1);
        let mut chosen = Vec::with_capacity(n);
        for _ in 0..n {
            let place = rng.random_range(0.0..total);
            let k = self.train.partition_point(|clip| clip.1 <= place).min(self.train.len() - 1);
            let clip = self.train[k].0;
            let video_frames = self.dataset.meta(clip).n_video_frames;
            let resting = rng.random::<bool>();
            let identity =
                rng.random_range(0..if resting { video_frames.min(RESTING_VIDEO_FRAMES) } else { video_frames });
            let mut targets = sample(&mut rng, video_frames, per_clip.min(video_frames)).into_vec();
            targets.sort_unstable();
            chosen.push(ClipChoice { clip, identity, targets });
        }
        chosen
    }
}

/// Clips of a split, of the named speakers or of all, that have video frames and symbols.
pub(crate) fn choose(dataset: &LipsDataset, split: Split, speakers: &[String]) -> Vec<usize> {
    let usable = |&i: &usize| {
        let meta = dataset.meta(i);
        meta.n_video_frames > 0
            && meta.symbols.len() + 1 == meta.boundaries_s.len()
            && !meta.symbols.is_empty()
            && (speakers.is_empty() || speakers.contains(&meta.speaker))
    };
    dataset.split(split).into_iter().filter(usable).collect()
}

/// What of a clip goes into a batch.
pub(super) struct ClipChoice {
    pub(super) clip: usize,
    /// The video frame that shows the identity.
    pub(super) identity: usize,
    /// The video frames to decode, in order.
    pub(super) targets: Vec<usize>,
}

/// Clips side by side, some video frames of each.
pub(crate) struct LipsBatch {
    pub(crate) symbols: SymbolBatch,
    /// (B, S) mel frames of each symbol; 0 where padded.
    pub(crate) durations: Vec<f32>,
    pub(crate) grid: GridBatch,
    /// (B, T) viseme ids on the motion grid.
    pub(crate) visemes: Vec<u32>,
    /// (B, T): 1 where a clip has motion frames; `None` where all are equally long.
    pub(crate) mask: Option<Vec<f32>>,
    /// (B, 3, 80, 160).
    pub(crate) identity: Tensor,
    /// (N, 3, 80, 160).
    pub(crate) targets: Tensor,
    /// (N): the clip of each target.
    pub(crate) owner: Vec<u32>,
    /// (N): row of the motion frame before each target in (B T), and the share of the one after it.
    pub(crate) motion_row: Vec<u32>,
    pub(crate) motion_share: Vec<f32>,
    /// (N, 40): the mouth's outline in each target, see [`mouth_shape`]; zeros where it is not known.
    pub(crate) shapes: Vec<f32>,
    /// (N): 1 where the outline is known.
    pub(crate) shape_known: Vec<f32>,
}

/// Values of a mouth's outline: x and y of 20 points.
pub(crate) const SHAPE_VALUES: usize = 40;

/// A mouth's outline around its own middle, in tens of crop pixels: what it looks like, wherever the head is.
fn mouth_shape(points: &[[f32; 2]]) -> Vec<f32> {
    let n = points.len() as f32;
    let middle = [0, 1].map(|axis| points.iter().map(|point| point[axis]).sum::<f32>() / n);
    points.iter().flat_map(|point| [0, 1].map(|axis| (point[axis] - middle[axis]) / 10.0)).collect()
}

impl LipsBatch {
    pub(super) fn new(clips: &Clips, chosen: &[ClipChoice]) -> Result<Self> {
        let dataset = &clips.dataset;
        let sentences: Vec<_> = chosen.iter().map(|choice| dataset.meta(choice.clip).symbols.as_slice()).collect();
        let spelled = chosen.iter().filter(|_| clips.letters).map(|choice| spelled(dataset.meta(choice.clip)));
        let (letters, edges_s): (Vec<_>, Vec<_>) = spelled.collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let symbols = if clips.letters { SymbolBatch::of_letters(&letters) } else { SymbolBatch::new(&sentences) };
        let (mut places, mut durations) = (Vec::with_capacity(chosen.len()), Vec::new());
        for (b, choice) in chosen.iter().enumerate() {
            let meta = dataset.meta(choice.clip);
            let timeline = clip_timeline(edges_s.get(b).unwrap_or(&meta.boundaries_s))?;
            durations.extend(mel_frames(&timeline));
            durations.resize((b + 1) * symbols.longest(), 0.0);
            places.push(motion_places(&timeline, clips.motion_hz, meta.n_video_frames, f64::from(meta.fps)));
        }
        let length = places.iter().map(Vec::len).max().unwrap_or(0);
        let (mut grid, mut ids) = (GridBatch::default(), Vec::new());
        let (mut identities, mut targets) = (Vec::new(), Vec::new());
        let (mut owner, mut motion_row, mut motion_share) = (Vec::new(), Vec::new(), Vec::new());
        let (mut shapes, mut shape_known) = (Vec::new(), Vec::new());
        for (b, (choice, places)) in chosen.iter().zip(&places).enumerate() {
            grid.push(places, length);
            // A letter has none.
            let mut row = if clips.letters { vec![0; places.len()] } else { visemes(sentences[b], places) };
            row.resize(length, *row.last().expect("a clip has motion frames"));
            ids.extend(row);
            let crop = |k: usize| &dataset.pixels(choice.clip)[k * CROP_BYTES..(k + 1) * CROP_BYTES];
            identities.push(crop(choice.identity));
            let landmarks = dataset.get(choice.clip).landmarks;
            for &k in &choice.targets {
                targets.push(crop(k));
                let shape = landmarks.as_ref().map(|landmarks| mouth_shape(&landmarks[k]));
                shape_known.push(f32::from(shape.is_some()));
                shapes.extend(shape.unwrap_or_else(|| vec![0.0; SHAPE_VALUES]));
                owner.push(b as u32);
                let fps = f64::from(dataset.meta(choice.clip).fps);
                let (before, share) = motion_position(k, fps, clips.motion_hz);
                motion_row.push((b * length + before) as u32);
                motion_share.push(share);
            }
        }
        Ok(Self {
            mask: mask(&places.iter().map(Vec::len).collect::<Vec<_>>()),
            symbols,
            durations,
            grid,
            visemes: ids,
            identity: crops_to_tensor(&identities, &Device::Cpu)?,
            targets: crops_to_tensor(&targets, &Device::Cpu)?,
            owner,
            motion_row,
            motion_share,
            shapes,
            shape_known,
        })
    }
}

/// 1 for the first positions of each row, as many as it is long; `None` where nothing is padded.
fn mask(lengths: &[usize]) -> Option<Vec<f32>> {
    let longest = lengths.iter().copied().max().unwrap_or(0);
    let row = |&length: &usize| (0..longest).map(move |t| f32::from(t < length));
    lengths.iter().any(|&length| length < longest).then(|| lengths.iter().flat_map(row).collect())
}

/// Motion vectors (N, M) of video frames: between motion frame `row` of (B T, M) and the next, `share` of the way.
pub(crate) fn motion_at(motion: &Tensor, row: &[u32], share: &[f32]) -> candle_core::Result<Tensor> {
    let flat = motion.flatten(0, 1)?;
    let last = flat.dim(0)? as u32 - 1;
    let gather = |rows: Vec<u32>| flat.index_select(&Tensor::new(rows, motion.device())?, 0);
    let before = gather(row.to_vec())?;
    if share.iter().all(|share| *share == 0.0) {
        return Ok(before);
    }
    let after = gather(row.iter().map(|row| (row + 1).min(last)).collect())?;
    let share = Tensor::from_slice(share, (share.len(), 1), motion.device())?;
    &before + (after - &before)?.broadcast_mul(&share)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn video_frames_lie_between_motion_frames() {
        // 25 video frames a second fall on every second motion frame of 50.
        assert_eq!(motion_position(0, 25.0, 50.0), (1, 0.0));
        assert_eq!(motion_position(10, 25.0, 50.0), (21, 0.0));
        let (before, share) = motion_position(1, 30.0, 50.0);
        assert_eq!(before, 2);
        assert!((share - 0.5).abs() < 1e-6);
        let timeline = clip_timeline(&[0.1, 0.5, 1.0]).unwrap();
        for (fps, video_frames) in [(25.0, 25), (29.97, 30), (60.0, 60)] {
            let places = motion_places(&timeline, 50.0, video_frames, fps);
            let (last, _) = motion_position(video_frames - 1, fps, 50.0);
            assert_eq!(places.len(), last + 2);
        }
    }

    #[test]
    fn a_mouths_shape_does_not_depend_on_its_place() {
        let outline: Vec<[f32; 2]> = (0..20).map(|i| [(i * i % 23) as f32, (i * 7 % 11) as f32]).collect();
        let moved: Vec<[f32; 2]> = outline.iter().map(|[x, y]| [x + 50.0, y + 31.0]).collect();
        let (shape, of_moved) = (mouth_shape(&outline), mouth_shape(&moved));
        assert_eq!(shape.len(), SHAPE_VALUES);
        assert!(shape.iter().zip(&of_moved).all(|(a, b)| (a - b).abs() < 1e-5));
        assert!((shape[2] - shape[0] - 0.1).abs() < 1e-5, "one pixel is a tenth");
    }

    #[test]
    fn motion_is_read_between_its_rows() {
        let motion = Tensor::arange(0f32, 12.0, &Device::Cpu).unwrap().reshape((2, 3, 2)).unwrap();
        let read = |share: &[f32]| motion_at(&motion, &[0, 4], share).unwrap().to_vec2::<f32>().unwrap();
        assert_eq!(read(&[0.0, 0.0]), [[0.0, 1.0], [8.0, 9.0]]);
        assert_eq!(read(&[0.5, 0.25]), [[1.0, 2.0], [8.5, 9.5]]);
    }

    #[test]
    fn crops_survive_the_way_to_tensors_and_back() {
        let crop: Vec<u8> = (0..CROP_BYTES).map(|i| (i % 251) as u8).collect();
        let images = crops_to_tensor(&[&crop, &crop], &Device::Cpu).unwrap();
        assert_eq!(images.dims(), [2, 3, CROP_HEIGHT, CROP_WIDTH]);
        assert_eq!(paravox_models::image_decoder::to_bytes(&images).unwrap(), [crop.clone(), crop].concat());
    }
}
