//! Which PCM sample is audible now.
//!
//! A sound device asks for audio some time before it plays it. Each data callback therefore leaves a mark: "the content from
//! position a to b becomes audible from instant t on". Between marks the position is extrapolated with the machine's clock; it
//! never runs backwards and never past what was handed to the device.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::engine::lock;

/// By how much a buffer may become audible later than the end of the one before: the latencies that sound servers tell
/// vary by milliseconds. Half a video frame at 25 fps.
const TOLERANCE: Duration = Duration::from_millis(20);

/// Content from one data callback: PCM positions and the instant at which the first of them is audible.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClockMark {
    /// When `start` leaves the loudspeaker.
    pub(super) audible: Instant,
    /// First PCM sample of the content in this buffer.
    pub(super) start: u64,
    /// One past its last PCM sample; equal to `start` where the buffer holds silence for want of content.
    pub(super) end: u64,
}

/// The device's side: leaves marks without ever blocking the real-time thread.
pub(super) struct ClockWriter(Sender<ClockMark>);

impl ClockWriter {
    pub(super) fn mark(&self, mark: ClockMark) {
        // A full channel means that nobody has read the clock for a second: the next mark serves as well.
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.0.try_send(mark) {}
    }
}

/// Tells where a device has run dry between two calls. Not every host says so: the time at which it plays a buffer does.
#[derive(Default)]
pub(super) struct Supply {
    /// When the buffer before ends, where it had content.
    due: Option<Instant>,
}

impl Supply {
    /// Whether silence that nobody asked for was played before this buffer, which is `length` long.
    pub(super) fn ran_dry(&mut self, mark: &ClockMark, length: Duration) -> bool {
        let has_content = mark.end > mark.start;
        let ran_dry = has_content && self.due.is_some_and(|due| mark.audible > due + TOLERANCE);
        self.due = has_content.then(|| mark.audible + length);
        ran_dry
    }
}

/// The clock that everything else of a live session follows.
pub(super) struct AudioClock {
    sample_rate: u32,
    marks: Receiver<ClockMark>,
    state: Mutex<State>,
}

struct State {
    /// Marks that are audible now or will be: the first is the one in force.
    pending: std::collections::VecDeque<ClockMark>,
    last: u64,
}

impl AudioClock {
    pub(super) fn new(sample_rate: u32) -> (Self, ClockWriter) {
        let (sender, marks) = bounded(256);
        let state = Mutex::new(State { pending: Default::default(), last: 0 });
        (Self { sample_rate, marks, state }, ClockWriter(sender))
    }

    /// The PCM sample that is audible at an instant: monotone over calls.
    pub(super) fn position_at(&self, now: Instant) -> u64 {
        let mut state = lock(&self.state);
        state.pending.extend(self.marks.try_iter());
        while state.pending.len() > 1 && state.pending[1].audible <= now {
            state.pending.pop_front();
        }
        if let Some(mark) = state.pending.front() {
            let since = now.saturating_duration_since(mark.audible).as_secs_f64();
            let position = mark.start + (since * f64::from(self.sample_rate)) as u64;
            if mark.audible <= now {
                state.last = state.last.max(position.min(mark.end));
            }
        }
        state.last
    }

    pub(super) fn position(&self) -> u64 {
        self.position_at(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: u32 = 24_000;

    #[test]
    fn follows_the_marks_and_waits_in_a_gap() {
        let (clock, writer) = AudioClock::new(RATE);
        let t0 = Instant::now();
        let ms = |n| t0 + Duration::from_millis(n);
        writer.mark(ClockMark { audible: ms(50), start: 0, end: 240 });
        writer.mark(ClockMark { audible: ms(60), start: 240, end: 480 });
        // A gap of 30 ms without content, then it goes on where it stopped.
        writer.mark(ClockMark { audible: ms(70), start: 480, end: 480 });
        writer.mark(ClockMark { audible: ms(100), start: 480, end: 720 });
        assert_eq!(clock.position_at(ms(0)), 0);
        assert_eq!(clock.position_at(ms(49)), 0);
        assert_eq!(clock.position_at(ms(55)), 120);
        assert_eq!(clock.position_at(ms(65)), 360);
        assert_eq!(clock.position_at(ms(85)), 480);
        assert_eq!(clock.position_at(ms(105)), 600);
        assert_eq!(clock.position_at(ms(500)), 720);
    }

    #[test]
    fn never_runs_backwards_when_the_device_revises_its_latency() {
        let (clock, writer) = AudioClock::new(RATE);
        let t0 = Instant::now();
        let ms = |n| t0 + Duration::from_millis(n);
        writer.mark(ClockMark { audible: ms(0), start: 0, end: 2400 });
        assert_eq!(clock.position_at(ms(40)), 960);
        // The next buffer claims to be audible later than the end of the first: the clock waits and does not jump back.
        writer.mark(ClockMark { audible: ms(120), start: 2400, end: 4800 });
        let mut last = 0;
        for n in 40..200 {
            let position = clock.position_at(ms(n));
            assert!(position >= last);
            last = position;
        }
        assert_eq!(last, 2400 + 79 * 24);
    }

    #[test]
    fn a_device_that_ran_dry_plays_a_buffer_later_than_the_end_of_the_one_before() {
        let t0 = Instant::now();
        let mut supply = Supply::default();
        let mut ran_dry = |ms, start, end| {
            let mark = ClockMark { audible: t0 + Duration::from_millis(ms), start, end };
            supply.ran_dry(&mark, Duration::from_millis(10))
        };
        assert!(!ran_dry(50, 0, 240) && !ran_dry(60, 240, 480) && !ran_dry(75, 480, 720));
        assert!(ran_dry(385, 720, 960), "300 ms of silence");
        // Silence for want of content is no fault of the device.
        assert!(!ran_dry(395, 960, 960) && !ran_dry(995, 960, 1200) && !ran_dry(1005, 1200, 1440));
    }
}
