//! The mouth as curves of ARKit's blend shapes, made of the phonemes' times: what drives a 3D face.
//!
//! Each phoneme has a [pose], bent towards its neighbours' and held over the middle of its time; between two middles the mouth
//! moves along a smooth step. Lips that must meet (p, b, m) borrow time where theirs is short, as the lips of this program's
//! pictures do, and do meet: the row nearest to the middle of a closure shows that middle, at any rate. In a pause the mouth
//! settles and then is at rest until shortly before the next phoneme.

mod names;
mod pose;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

pub use names::{BLEND_SHAPES, BlendShapes};

use self::pose::Pose;
use super::{Cue, CueKind};
use crate::text::{Phoneme, SentenceKind, Symbol};
use crate::timeline::{Fps, Timeline};
use crate::voice::mouth::mouth_timeline;

/// How long a mouth moves before and after the boundary of two phonemes, at most, in seconds.
const MOVE_S: f64 = 0.05;
/// The same at the boundary of a pause.
const SETTLE_S: f64 = 0.1;
/// The share of a phoneme's time that such a move may take at either end.
const LARGEST_SHARE: f64 = 0.3;

/// Makes curves of phoneme cues as they come; memory holds what is said between two pauses.
#[derive(Debug)]
pub struct Curves {
    rate: Fps,
    sample_rate: u32,
    /// Where the pause before the phonemes at hand starts.
    pause_start: u64,
    /// Phonemes since that pause, with their ends; each starts where the one before it ends.
    phonemes: Vec<(Phoneme, u64)>,
    first_sample: u64,
    next_row: u64,
}

/// A pose and the time that it has, in PCM samples.
struct Segment {
    start: f64,
    end: f64,
    pose: Pose,
    phoneme: Phoneme,
}

impl Curves {
    /// Rows at `rate` a second for cues in PCM samples at `sample_rate`; row `k` shows the moment `(k + 0.5) / rate`.
    pub fn new(rate: Fps, sample_rate: u32) -> Self {
        Self { rate, sample_rate, pause_start: 0, phonemes: Vec::new(), first_sample: 0, next_row: 0 }
    }

    /// Takes the next cue, of which phonemes count, and gives the rows that nothing to come can change.
    pub fn push(&mut self, cue: &Cue) -> Vec<BlendShapes> {
        let phoneme = cue.text.chars().next().and_then(Phoneme::from_ipa);
        let (CueKind::Phoneme, Some(phoneme)) = (cue.kind, phoneme) else { return Vec::new() };
        let end = self.phonemes.last().map_or(self.pause_start, |last| last.1);
        let start = cue.start_sample.max(end);
        let rows = if start > end && !self.phonemes.is_empty() { self.rows_until(start) } else { Vec::new() };
        if self.phonemes.is_empty() {
            self.first_sample = start;
        }
        self.phonemes.push((phoneme, cue.end_sample.max(start)));
        rows
    }

    /// Gives the rows up to the end of the stream.
    pub fn finish(self, total_samples: u64) -> Vec<BlendShapes> {
        let rows = self.rate.video_frames(total_samples, self.sample_rate);
        let end = self.phonemes.last().map_or(self.pause_start, |last| last.1);
        let segments = self.segments(total_samples.max(end));
        (self.next_row..rows).map(|row| self.row(&segments, row)).collect()
    }

    /// The rows up to the middle of the pause that ends at `pause_end`; what is said before it is done with.
    fn rows_until(&mut self, pause_end: u64) -> Vec<BlendShapes> {
        let segments = self.segments(pause_end);
        self.pause_start = self.phonemes.last().map_or(self.pause_start, |last| last.1);
        let middle = self.pause_start + (pause_end - self.pause_start) / 2;
        let rows = self.rate.video_frames_between(0, middle, self.sample_rate).end;
        let shown = (self.next_row..rows).map(|row| self.row(&segments, row)).collect();
        self.next_row = self.next_row.max(rows);
        self.phonemes.clear();
        shown
    }

    /// The phonemes at hand as poses, with the pauses around them.
    fn segments(&self, pause_end: u64) -> Vec<Segment> {
        let first_sample = if self.phonemes.is_empty() { pause_end } else { self.first_sample };
        let spans = [(Phoneme::Silence, first_sample)].into_iter().chain(self.phonemes.iter().copied());
        let (phonemes, ends): (Vec<Phoneme>, Vec<u64>) = spans.chain([(Phoneme::Silence, pause_end)]).unzip();
        let times: Vec<u64> = [0].into_iter().chain(ends.iter().map(|end| end - self.pause_start)).collect();
        let symbols: Vec<Symbol> =
            phonemes.iter().map(|&phoneme| Symbol::pause(phoneme, SentenceKind::Statement)).collect();
        let borrowed = Timeline::from_boundaries(times.clone()).ok();
        let borrowed = borrowed.and_then(|timeline| mouth_timeline(&symbols, &timeline).ok());
        // Only an empty stream has no timeline.
        let times = borrowed.map_or(times, |timeline| timeline.boundaries().to_vec());
        let mut segments = Vec::new();
        for (&phoneme, span) in phonemes.iter().zip(times.windows(2)) {
            let (start, end) = ((self.pause_start + span[0]) as f64, (self.pause_start + span[1]) as f64);
            let poses = pose::of(phoneme);
            let part = |number: usize| start + (end - start) * number as f64 / poses.len() as f64;
            for (number, &pose) in poses.iter().enumerate().filter(|_| end > start) {
                segments.push(Segment { start: part(number), end: part(number + 1), pose, phoneme });
            }
        }
        let targets: Vec<Pose> = segments.iter().map(|segment| segment.pose).collect();
        let target = |index: Option<usize>| index.and_then(|index| targets.get(index)).copied().unwrap_or(pose::REST);
        for (index, segment) in segments.iter_mut().enumerate() {
            segment.pose = segment.pose.between(target(index.checked_sub(1)), target(Some(index + 1)));
        }
        segments
    }

    fn row(&self, segments: &[Segment], row: u64) -> BlendShapes {
        let moment = self.rate.video_frame_sample(row, self.sample_rate);
        let half = f64::from(self.sample_rate) / self.rate.as_f64() / 2.0;
        let closures = segments.iter().filter(|segment| is_closure(segment.phoneme)).map(Segment::middle);
        let closure = closures.filter(|middle| (middle - moment).abs() <= half).min_by(|a, b| a.total_cmp(b));
        self.pose_at(segments, closure.unwrap_or(moment)).blend_shapes()
    }

    fn pose_at(&self, segments: &[Segment], moment: f64) -> Pose {
        let index = segments.partition_point(|segment| segment.end <= moment);
        let Some(segment) = segments.get(index) else { return pose::REST };
        // In the first half of its time a pose comes out of the one before it, in the second it goes into the next.
        let (a, b) = match (moment < segment.middle(), index) {
            (true, 0) => return segment.pose,
            (true, _) => (&segments[index - 1], segment),
            (false, _) => match segments.get(index + 1) {
                Some(next) => (segment, next),
                None => return segment.pose,
            },
        };
        let limit_s = if a.phoneme.is_pause() || b.phoneme.is_pause() { SETTLE_S } else { MOVE_S };
        let shorter = (a.end - a.start).min(b.end - b.start);
        let half = (limit_s * f64::from(self.sample_rate)).min(LARGEST_SHARE * shorter);
        let way = (((moment - b.start) / half + 1.0) / 2.0).clamp(0.0, 1.0);
        let smooth = (way * way * (3.0 - 2.0 * way)) as f32;
        a.pose.mixed(b.pose, smooth, smooth)
    }
}

impl Segment {
    fn middle(&self) -> f64 {
        (self.start + self.end) / 2.0
    }
}

/// Whether the lips meet.
fn is_closure(phoneme: Phoneme) -> bool {
    matches!(phoneme, Phoneme::P | Phoneme::B | Phoneme::M)
}

/// Writes curves as JSON: `rate`, the `names` of the blend shapes, and a row of values for each time step.
pub(super) struct CurveWriter<W> {
    curves: Curves,
    any: bool,
    writer: W,
}

impl<W: Write> CurveWriter<W> {
    pub(super) fn new(rate: Fps, sample_rate: u32, mut writer: W) -> io::Result<Self> {
        let names = serde_json::json!(BLEND_SHAPES.as_slice());
        write!(writer, "{{\n  \"rate\": {:?},\n  \"names\": {names},\n  \"rows\": [", rate.as_f64())?;
        Ok(Self { curves: Curves::new(rate, sample_rate), any: false, writer })
    }

    pub(super) fn push(&mut self, cue: &Cue) -> io::Result<()> {
        let rows = self.curves.push(cue);
        Self::write(&mut self.writer, &mut self.any, &rows)
    }

    pub(super) fn finish(self, total_samples: u64) -> io::Result<W> {
        let Self { curves, mut any, mut writer } = self;
        Self::write(&mut writer, &mut any, &curves.finish(total_samples))?;
        writeln!(writer, "\n  ]\n}}")?;
        Ok(writer)
    }

    fn write(writer: &mut W, any: &mut bool, rows: &[BlendShapes]) -> io::Result<()> {
        for row in rows {
            let values: Vec<String> = row.0.iter().map(|value| format!("{}", (value * 1e3).round() / 1e3)).collect();
            let lead = if std::mem::replace(any, true) { "," } else { "" };
            write!(writer, "{lead}\n    [{}]", values.join(", "))?;
        }
        Ok(())
    }
}
