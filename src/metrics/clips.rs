//! Generated clips beside the real ones, and all the figures of that.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::closure::Closure;
use super::durations::{ClockPair, DurationError, LengthError};
use super::landmarks::{LandmarkReader, Mouth, MouthPair};
use super::lips::Clock;
use super::lmd::Lmd;
use super::motion_energy::MotionEnergy;
use super::psnr::Psnr;
use super::reading::ReadingMetrics;
use super::sharpness::Sharpness;
use super::ssim::Ssim;
use super::{ClipPair, Figure, Metric};
use crate::data::LipsDataset;
use crate::data::lips::LipsMeta;
use crate::face::{CROP_BYTES, CROP_HEIGHT, CROP_WIDTH};
use crate::reader::Reader;
use crate::text::Symbol;
use crate::train::{Result, picture};

/// Video frames in a row of a contact sheet.
const SHEET_COLUMNS: usize = 12;

/// What generated clips are worth.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LipsReport {
    /// Clips compared.
    pub clips: usize,
    /// Their video frames, as generated.
    pub video_frames: usize,
    /// Speed of generation.
    pub video_frames_per_second: f64,
    /// Figures over all clips.
    pub figures: Vec<Figure>,
    /// Figures of each speaker.
    pub speakers: Vec<SpeakerFigures>,
}

/// Figures of one speaker's clips.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SpeakerFigures {
    /// Who speaks.
    pub speaker: String,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// A clip as a system made it.
pub(crate) struct Generated {
    /// Crop after crop.
    pub(crate) crops: Vec<u8>,
    /// When it says what, where the system decided that and can tell.
    pub(crate) clock: Option<Clock>,
}

/// What [`compare`] uses and writes beyond comparing pictures.
#[derive(Default, Clone, Copy)]
pub(crate) struct Aids<'a> {
    /// Where to draw real and generated clips, row by row.
    pub(crate) sheet: Option<&'a Path>,
    /// What reads landmarks, for the figures of mouths.
    pub(crate) landmarks: Option<&'a LandmarkReader>,
    /// What reads lips, for the figures of reading.
    pub(crate) reader: Option<&'a Reader>,
}

/// The metrics of a set of clips.
struct ClipMetrics {
    psnr: Psnr,
    ssim: Ssim,
    energy: Vec<MotionEnergy>,
    sharpness: Sharpness,
    lmd: [Lmd; 2],
    closure: Vec<Closure>,
    length: LengthError,
    duration: DurationError,
}

/// A generated clip beside the real one: its pictures, its landmarks where a net reads them, and its clock where the
/// system decided that.
struct Compared<'a> {
    pictures: ClipPair<'a>,
    mouths: Option<MouthPair<'a>>,
    clocks: Option<ClockPair<'a>>,
}

impl ClipMetrics {
    fn new() -> Self {
        Self {
            psnr: Psnr::default(),
            ssim: Ssim::default(),
            energy: MotionEnergy::all(),
            sharpness: Sharpness::default(),
            lmd: [Lmd::in_place(), Lmd::centred()],
            closure: Closure::all(),
            length: LengthError::default(),
            duration: DurationError::default(),
        }
    }

    fn of_pictures(&mut self) -> Vec<&mut dyn for<'a> Metric<ClipPair<'a>>> {
        let mut all: Vec<&mut dyn for<'a> Metric<ClipPair<'a>>> = vec![&mut self.psnr, &mut self.ssim];
        for energy in &mut self.energy {
            all.push(energy);
        }
        all.push(&mut self.sharpness);
        all.push(&mut self.length);
        all
    }

    fn of_mouths(&mut self) -> Vec<&mut dyn for<'a> Metric<MouthPair<'a>>> {
        let mut all: Vec<&mut dyn for<'a> Metric<MouthPair<'a>>> = Vec::new();
        for lmd in &mut self.lmd {
            all.push(lmd);
        }
        for closure in &mut self.closure {
            all.push(closure);
        }
        all
    }

    fn update(&mut self, Compared { pictures, mouths, clocks }: &Compared<'_>) {
        self.of_pictures().into_iter().for_each(|metric| metric.update(pictures));
        if let Some(mouths) = mouths {
            self.of_mouths().into_iter().for_each(|metric| metric.update(mouths));
        }
        if let Some(clocks) = clocks {
            self.duration.update(clocks);
        }
    }

    fn figures(&mut self) -> Vec<Figure> {
        let mut figures: Vec<Figure> = self.of_pictures().into_iter().filter_map(|metric| Figure::of(metric)).collect();
        figures.extend(self.of_mouths().into_iter().filter_map(|metric| Figure::of(metric)));
        figures.extend(Figure::of(&self.duration));
        figures
    }
}

/// The video frames of a clip in which something is said: the first, and the one after the last.
fn sentence(meta: &LipsMeta) -> (usize, usize) {
    let spoken = |(symbol, ends): (&Symbol, &[f32])| (!symbol.phoneme.is_pause()).then(|| (ends[0], ends[1]));
    let mut spoken = meta.symbols.iter().zip(meta.boundaries_s.windows(2)).filter_map(spoken);
    let Some((start_s, first_end_s)) = spoken.next() else { return (0, 0) };
    let end_s = spoken.next_back().map_or(first_end_s, |(_, end_s)| end_s);
    ((start_s * meta.fps) as usize, (end_s * meta.fps).ceil() as usize)
}

/// Compares clips that `generate` makes with the real ones, as far as both go.
///
/// Where a system does not tell what it says when, its mouths are held against the real clip's clock: that is the sound
/// which they would be shown with.
pub(crate) fn compare(
    dataset: &LipsDataset,
    clips: &[usize],
    aids: Aids<'_>,
    mut generate: impl FnMut(usize) -> Result<Generated>,
) -> Result<LipsReport> {
    let size = (CROP_WIDTH, CROP_HEIGHT);
    let mut overall = ClipMetrics::new();
    let mut reading = aids.reader.map(ReadingMetrics::new);
    let mut speakers: Vec<(String, ClipMetrics)> = Vec::new();
    let (mut video_frames, mut seconds) = (0, 0.0);
    let mut rows = Vec::new();
    for &i in clips {
        let meta = dataset.meta(i);
        let real = dataset.pixels(i);
        let real_clock = Clock::of(meta)?;
        let started = Instant::now();
        let Generated { crops, clock } = generate(i)?;
        seconds += started.elapsed().as_secs_f64();
        video_frames += crops.len() / CROP_BYTES;
        let sentence = sentence(meta);
        let pictures = ClipPair { size, generated: &crops, real, sentence };
        let points = match aids.landmarks {
            Some(net) => Some([net.read(&crops)?, net.read(real)?]),
            None => None,
        };
        let mouth = |clock, points| Mouth { points, symbols: &meta.symbols, timeline: clock, fps: f64::from(meta.fps) };
        let real_timeline = &real_clock.timeline;
        let timeline = clock.as_ref().map(|clock| &clock.timeline);
        let compared = Compared {
            pictures,
            mouths: points.as_ref().map(|[generated, real]| MouthPair {
                generated: mouth(timeline.unwrap_or(real_timeline), generated),
                real: mouth(real_timeline, real),
            }),
            clocks: timeline.map(|predicted| ClockPair { predicted, real: real_timeline }),
        };
        overall.update(&compared);
        if let Some(reading) = &mut reading {
            reading.update(&pictures, &meta.symbols)?;
        }
        let known = speakers.iter().position(|(name, _)| *name == meta.speaker).unwrap_or_else(|| {
            speakers.push((meta.speaker.clone(), ClipMetrics::new()));
            speakers.len() - 1
        });
        speakers[known].1.update(&compared);
        if aids.sheet.is_some() {
            let step = meta.n_video_frames.div_ceil(SHEET_COLUMNS).max(1);
            for clip in [real, &crops] {
                rows.push(clip.chunks_exact(CROP_BYTES).skip(step / 2).step_by(step).map(<[u8]>::to_vec).collect());
            }
        }
    }
    if let Some(path) = aids.sheet {
        picture::write_contact_sheet(path, size, &rows)?;
    }
    speakers.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(LipsReport {
        clips: clips.len(),
        video_frames,
        video_frames_per_second: video_frames as f64 / f64::max(seconds, 1e-9),
        figures: [overall.figures(), reading.map_or_else(Vec::new, |reading| reading.figures())].concat(),
        speakers: speakers
            .into_iter()
            .map(|(speaker, mut metrics)| SpeakerFigures { speaker, figures: metrics.figures() })
            .collect(),
    })
}
