//! PCM on its way to the sound device, and what the device is to do with it.
//!
//! The real-time thread pulls PCM sample by sample out of a [`QueueSource`]. It neither allocates nor waits: PCM comes in
//! blocks of fixed size by value, commands are atomics, and sound that is cut or held fades within 5 ms instead of
//! clicking.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use crate::timeline::SAMPLE_RATE;

/// PCM samples of a block: 10 ms.
pub(super) const BLOCK: usize = 240;
/// PCM samples in which sound fades out or in.
const FADE: u16 = 120;

/// A moment of what is played: streams follow each other, and each has PCM samples of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Moment {
    /// Number of the stream, from 1.
    pub(super) stream: u64,
    /// PCM sample in it.
    pub(super) sample: u64,
}

/// A block of PCM; the last one of a stream may be filled in part.
pub(super) struct PcmBlock {
    pub(super) start: Moment,
    pub(super) pcm: [f32; BLOCK],
    pub(super) filled: usize,
}

/// Where PCM samples that were handed out come from: from `played` on, counted over all streams, they are those from
/// `start` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    pub(super) played: u64,
    pub(super) start: Moment,
}

/// Commands to the real-time thread, and what it tells of itself.
#[derive(Default)]
pub(super) struct Control {
    /// Streams up to this one are silent.
    pub(super) cut: AtomicU64,
    /// Of this stream the PCM samples before this one are left out.
    pub(super) skip_stream: AtomicU64,
    pub(super) skip_sample: AtomicU64,
    pub(super) is_paused: AtomicBool,
    /// PCM samples of content handed out.
    pub(super) handed_out: AtomicU64,
    /// Calls of the device.
    pub(super) calls: AtomicU64,
    /// PCM samples that were missing in the middle of a stream in this call.
    missing: AtomicU64,
    /// Calls in which some were missing, or before which the device ran dry.
    pub(super) underruns: AtomicU64,
    /// The last stream of which all has been queued.
    pub(super) complete: AtomicU64,
}

impl Control {
    /// Notes that a call of the device is over, and whether the device had run dry before it.
    pub(super) fn end_call(&self, ran_dry: bool) {
        if self.missing.swap(0, Ordering::Relaxed) > 0 || ran_dry {
            self.underruns.fetch_add(1, Ordering::Relaxed);
        }
        self.calls.fetch_add(1, Ordering::Release);
    }

    /// How many PCM samples from this one on are left out.
    fn left_out(&self, moment: Moment) -> u64 {
        if moment.stream <= self.cut.load(Ordering::Acquire) {
            u64::MAX
        } else if moment.stream == self.skip_stream.load(Ordering::Acquire) {
            self.skip_sample.load(Ordering::Acquire).saturating_sub(moment.sample)
        } else {
            0
        }
    }
}

/// The queue as a rodio source: mono, never ending; silence where there is nothing to play.
pub(super) struct QueueSource {
    queue: Receiver<PcmBlock>,
    segments: Sender<Segment>,
    pub(super) control: Arc<Control>,
    block: Option<PcmBlock>,
    at: usize,
    /// Where the next PCM sample would come from without a jump.
    expected: Option<Moment>,
    /// How far a skip has come that has found nothing to go on with yet.
    skipped: Option<Moment>,
    /// Volume in steps of `1 / FADE`.
    volume: u16,
}

impl QueueSource {
    pub(super) fn new(queue: Receiver<PcmBlock>, segments: Sender<Segment>, control: Arc<Control>) -> Self {
        Self { queue, segments, control, block: None, at: 0, expected: None, skipped: None, volume: FADE }
    }

    /// The moment of the next PCM sample, from the next block where this one is used up.
    fn next_moment(&mut self) -> Option<Moment> {
        if self.block.as_ref().is_none_or(|block| self.at >= block.filled) {
            self.block = self.queue.try_recv().ok();
            self.at = 0;
        }
        let block = self.block.as_ref()?;
        Some(Moment { sample: block.start.sample + self.at as u64, ..block.start })
    }

    /// Whether the stream is neither complete nor cut, so that silence is a shortage.
    fn is_midway(&self) -> bool {
        let over = self.control.complete.load(Ordering::Acquire).max(self.control.cut.load(Ordering::Acquire));
        self.expected.is_some_and(|next| next.stream > over)
    }
}

impl Iterator for QueueSource {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        let is_paused = self.control.is_paused.load(Ordering::Acquire);
        let moment = loop {
            if is_paused && self.volume == 0 {
                return Some(0.0);
            }
            let Some(moment) = self.next_moment() else {
                if self.is_midway() && !is_paused {
                    self.control.missing.fetch_add(1, Ordering::Relaxed);
                }
                self.volume = FADE;
                if let Some(start) = self.skipped.take() {
                    let _ = self
                        .segments
                        .try_send(Segment { played: self.control.handed_out.load(Ordering::Acquire), start });
                }
                return Some(0.0);
            };
            // What was never heard needs no fading.
            let is_continued = self.expected == Some(moment) && self.volume > 0;
            let left_out = self.control.left_out(moment);
            if left_out == 0 || is_continued {
                break moment;
            }
            // At most a block at once, and no less: a minute of sound may be left out in one call of the device.
            let filled = self.block.as_ref().map_or(0, |block| block.filled);
            let step = left_out.min((filled - self.at) as u64);
            self.at += step as usize;
            // The sound goes on elsewhere.
            self.expected = None;
            self.skipped = (left_out < u64::MAX).then_some(Moment { sample: moment.sample + step, ..moment });
        };
        let Some(block) = &self.block else { return Some(0.0) };
        let value = block.pcm[self.at];
        let is_wanted = !is_paused && self.control.left_out(moment) == 0;
        let played = self.control.handed_out.fetch_add(1, Ordering::AcqRel);
        if self.expected != Some(moment) {
            // The channel is far larger than the number of jumps that can wait in it.
            let _ = self.segments.try_send(Segment { played, start: moment });
            self.volume = FADE;
        }
        self.volume = if is_wanted { FADE.min(self.volume + 1) } else { self.volume.saturating_sub(1) };
        self.at += 1;
        self.expected = Some(Moment { sample: moment.sample + 1, ..moment });
        self.skipped = None;
        Some(value * (f32::from(self.volume) / f32::from(FADE)))
    }
}

impl rodio::Source for QueueSource {
    fn current_span_len(&self) -> Option<usize> {
        None
    }

    fn channels(&self) -> NonZero<u16> {
        NonZero::<u16>::MIN
    }

    fn sample_rate(&self) -> NonZero<u32> {
        NonZero::new(SAMPLE_RATE).unwrap_or(NonZero::<u32>::MIN)
    }

    fn total_duration(&self) -> Option<Duration> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::unbounded;

    /// A queue of two streams of three blocks, full of ones.
    fn queue() -> (QueueSource, Receiver<Segment>) {
        let (blocks, queue) = unbounded();
        for (stream, block) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)] {
            let start = Moment { stream, sample: block * BLOCK as u64 };
            blocks.send(PcmBlock { start, pcm: [1.0; BLOCK], filled: BLOCK }).unwrap();
        }
        let (segments, heard) = unbounded();
        (QueueSource::new(queue, segments, Arc::default()), heard)
    }

    fn pull(source: &mut QueueSource, count: usize) -> Vec<f32> {
        source.by_ref().take(count).collect()
    }

    fn steps_are_small(pcm: &[f32]) -> bool {
        pcm.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.01)
    }

    #[test]
    fn streams_follow_each_other_without_a_gap_and_are_told_apart() {
        let (mut source, heard) = queue();
        assert!(pull(&mut source, 6 * BLOCK).iter().all(|&value| value == 1.0));
        assert_eq!(pull(&mut source, 3), [0.0; 3]);
        let starts: Vec<_> = heard.try_iter().map(|segment| (segment.played, segment.start.stream)).collect();
        assert_eq!(starts, [(0, 1), (720, 2)]);
        assert_eq!(source.control.handed_out.load(Ordering::Relaxed), 1440);
    }

    #[test]
    fn a_cut_fades_and_the_next_stream_begins() {
        let (mut source, heard) = queue();
        pull(&mut source, 300);
        source.control.cut.store(1, Ordering::Release);
        let pcm = pull(&mut source, 120 + 100);
        assert!(steps_are_small(&pcm[..120]) && pcm[119] == 0.0);
        assert!(pcm[120..].iter().all(|&value| value == 1.0), "the second stream begins at full volume");
        let starts: Vec<_> = heard.try_iter().map(|segment| (segment.played, segment.start)).collect();
        assert_eq!(starts[1], (420, Moment { stream: 2, sample: 0 }));
        source.control.cut.store(2, Ordering::Release);
        pull(&mut source, 120);
        assert_eq!(pull(&mut source, 1000), [0.0; 1000]);
        assert_eq!(source.control.handed_out.load(Ordering::Relaxed), 420 + 100 + 120);
    }

    #[test]
    fn a_pause_holds_the_place() {
        let (mut source, _heard) = queue();
        pull(&mut source, 100);
        source.control.is_paused.store(true, Ordering::Release);
        let held = pull(&mut source, 1000);
        assert!(steps_are_small(&held[..120]) && held[120..] == [0.0; 880]);
        source.control.is_paused.store(false, Ordering::Release);
        let rest = pull(&mut source, 6 * BLOCK - 220);
        assert!(steps_are_small(&rest) && rest[0] < 0.02);
        assert_eq!(source.control.handed_out.load(Ordering::Relaxed), 1440);
    }

    #[test]
    fn a_skip_leaves_out_and_goes_on() {
        let (mut source, heard) = queue();
        pull(&mut source, 50);
        source.control.skip_stream.store(1, Ordering::Release);
        source.control.skip_sample.store(600, Ordering::Release);
        let faded = pull(&mut source, 120);
        assert!(steps_are_small(&faded));
        assert_eq!(pull(&mut source, 1), [1.0]);
        assert_eq!(heard.try_iter().last().unwrap().start, Moment { stream: 1, sample: 600 });
        // Beyond all that there is.
        source.control.skip_stream.store(2, Ordering::Release);
        source.control.skip_sample.store(9999, Ordering::Release);
        pull(&mut source, 1000);
        assert_eq!(heard.try_iter().last().unwrap().start, Moment { stream: 2, sample: 720 });
    }

    #[test]
    fn a_shortage_counts_in_the_middle_of_a_stream_alone() {
        let (mut source, _heard) = queue();
        let underruns = |source: &mut QueueSource| {
            source.control.end_call(false);
            source.control.underruns.load(Ordering::Relaxed)
        };
        pull(&mut source, 100);
        assert_eq!(underruns(&mut source), 0);
        pull(&mut source, 2000);
        assert_eq!(underruns(&mut source), 1);
        source.control.complete.store(2, Ordering::Release);
        pull(&mut source, 100);
        assert_eq!(underruns(&mut source), 1);
    }
}
