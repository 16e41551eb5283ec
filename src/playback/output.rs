//! The thread that keeps sound going: through a device, or in silence where there is none.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cpal::HostId;
use crossbeam_channel::{Receiver, Sender, bounded};

use super::PlaybackError;
use super::clock::{ClockMark, ClockWriter};
use super::queue::{BLOCK, QueueSource};
use super::speaker::Speaker;
use super::stage::{Happening, Output, Shared};
use crate::timeline::SAMPLE_RATE;

/// How often the thread looks after everything.
const TICK: Duration = Duration::from_millis(4);
/// How long to wait before a lost device is looked for again.
const RETRY: Duration = Duration::from_millis(500);

/// Opens the device and says so through `opened`; then keeps sound and time going until the stage is closed.
pub(super) fn run(shared: &Arc<Shared>, output: &Output, opened: &Sender<Result<(), PlaybackError>>) {
    let Output::Device(name) = output else {
        let _ = opened.send(Ok(()));
        return keep_time(shared, || false);
    };
    let mut speaker = match Speaker::open(name.as_deref(), None, shared.source(), shared.writer()) {
        Ok(speaker) => speaker,
        Err(error) => {
            let _ = opened.send(Err(error));
            return;
        }
    };
    let _ = opened.send(Ok(()));
    while !shared.is_closed() {
        shared.tell_what_is_due();
        let Some(reason) = speaker.lost() else {
            std::thread::sleep(TICK);
            continue;
        };
        let host = speaker.host();
        drop(speaker);
        shared.tell(Happening::DeviceLost(reason));
        let mut found = None;
        let mut search = Search::new(shared.clone(), name.clone(), host);
        keep_time(shared, || {
            found = search.found();
            found.is_some()
        });
        match found {
            Some(again) => speaker = again,
            None => return,
        }
        shared.tell(Happening::DeviceBack);
    }
}

/// Looks for a device again and again, on threads of its own, since opening may take its time.
struct Search {
    shared: Arc<Shared>,
    name: Option<String>,
    host: HostId,
    attempt: Option<Receiver<Option<Speaker>>>,
    next: Instant,
}

impl Search {
    fn new(shared: Arc<Shared>, name: Option<String>, host: HostId) -> Self {
        Self { shared, name, host, attempt: None, next: Instant::now() + RETRY }
    }

    fn found(&mut self) -> Option<Speaker> {
        if let Some(attempt) = &self.attempt {
            let result = attempt.try_recv().ok()?;
            self.attempt = None;
            self.next = Instant::now() + RETRY;
            return result;
        }
        if Instant::now() >= self.next {
            let (sender, receiver) = bounded(1);
            let (shared, name, host) = (self.shared.clone(), self.name.clone(), self.host);
            std::thread::spawn(move || {
                let speaker = Speaker::open(name.as_deref(), Some(host), shared.source(), shared.writer());
                let _ = sender.send(speaker.ok());
            });
            self.attempt = Some(receiver);
        }
        None
    }
}

/// Plays to nobody in real time until `done` or the stage is closed.
fn keep_time(shared: &Shared, mut done: impl FnMut() -> bool) {
    let mut pull = Pull::new(shared.source(), shared.writer());
    let mut next = Instant::now();
    while !shared.is_closed() && !done() {
        // After a long sleep of the machine time goes on from now.
        next = next.max(Instant::now() - TICK);
        pull.pull(BLOCK, next);
        next += Duration::from_secs_f64(BLOCK as f64 / f64::from(SAMPLE_RATE));
        while Instant::now() < next && !shared.is_closed() {
            shared.tell_what_is_due();
            std::thread::sleep(TICK.min(next.saturating_duration_since(Instant::now())));
        }
    }
}

/// Takes PCM as a device would.
pub(super) struct Pull {
    source: QueueSource,
    clock: Arc<ClockWriter>,
}

impl Pull {
    pub(super) fn new(source: QueueSource, clock: Arc<ClockWriter>) -> Self {
        Self { source, clock }
    }

    /// Takes some PCM samples, of which the first is heard at an instant.
    pub(super) fn pull(&mut self, pcm_samples: usize, audible: Instant) {
        let start = self.source.control.handed_out.load(Ordering::Acquire);
        self.source.by_ref().take(pcm_samples).for_each(drop);
        let end = self.source.control.handed_out.load(Ordering::Acquire);
        self.source.control.end_call(false);
        self.clock.mark(ClockMark { audible, start, end });
    }
}
