//! Which picture is shown at a moment.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::stage::{Shared, TimedPicture};
use crate::sink::Picture;
use crate::{Closing, IdleFace};

/// Takes the newest picture that is due; those before it came too late and are dropped. Where speech was broken off the
/// mouth closes first, and where nothing is said the idle face is shown. Whatever is shown, head and eyes perform on.
pub(super) struct Viewer {
    idle: Option<IdleFace>,
    next: Option<TimedPicture>,
    shown: Option<Arc<Picture>>,
    closing: Option<Run>,
    /// How long the face has performed, up to the latest look. A pause holds it.
    performing: Duration,
    looked: Instant,
    /// What was performed last: the step of the performance, the picture that it was, and what became of it.
    performed: Option<(u64, Arc<Picture>, Arc<Picture>)>,
}

/// Steps of the performance a second: a head moves so little that more would not be seen.
const PERFORMED_HZ: f64 = 30.0;

/// Pictures that are shown by the machine's time.
struct Run {
    pictures: Closing,
    since: Instant,
    shown: u32,
}

impl Viewer {
    pub(super) fn new(idle: Option<IdleFace>) -> Self {
        // At once, not from the first idle look on: speech may begin before anybody looks.
        let shown = idle.as_ref().map(IdleFace::picture);
        Self {
            idle,
            next: None,
            shown,
            closing: None,
            performing: Duration::ZERO,
            looked: Instant::now(),
            performed: None,
        }
    }

    pub(super) fn close_mouth(&mut self, pictures: Closing, now: Instant) {
        self.closing = Some(Run { pictures, since: now, shown: 0 });
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// What to show now; the same `Arc` as before where nothing has changed.
    pub(super) fn look(&mut self, shared: &Shared, now: Instant) -> Option<Arc<Picture>> {
        let picture = self.said(shared, now)?;
        let Some(idle) = &self.idle else { return Some(picture) };
        if !shared.control.is_paused.load(Ordering::Acquire) {
            self.performing += now.saturating_duration_since(self.looked);
        }
        self.looked = now;
        let step = (self.performing.as_secs_f64() * PERFORMED_HZ) as u64;
        if let Some((last, from, performed)) = &self.performed
            && *last == step
            && Arc::ptr_eq(from, &picture)
        {
            return Some(performed.clone());
        }
        let performed = idle.perform(&picture, step as f64 / PERFORMED_HZ);
        self.performed = Some((step, picture, performed.clone()));
        Some(performed)
    }

    /// The picture of what is said now, its head at rest.
    fn said(&mut self, shared: &Shared, now: Instant) -> Option<Arc<Picture>> {
        let heard = shared.heard();
        let mut is_speaking = false;
        loop {
            if self.next.is_none() {
                self.next = shared.pictures.1.try_recv().ok();
            }
            match self.next.take() {
                Some(timed) if shared.is_cut(timed.from.stream) => {}
                Some(timed) if timed.from <= heard => {
                    self.shown = Some(Arc::new(timed.picture));
                    is_speaking = true;
                }
                later => {
                    self.next = later;
                    break;
                }
            }
        }
        if let Some(run) = &mut self.closing {
            let due = (now.saturating_duration_since(run.since).as_secs_f64() * run.pictures.fps().as_f64()) as u32 + 1;
            // One at a look: on a machine that is late the mouth closes later, it does not snap shut.
            if run.shown < due {
                run.shown += 1;
                match run.pictures.next() {
                    Some(Ok(picture)) => self.shown = Some(Arc::new(picture)),
                    Some(Err(_)) | None => self.closing = None,
                }
            }
            return self.shown.clone();
        }
        if !is_speaking
            && shared.is_idle()
            && let Some(idle) = &self.idle
        {
            self.shown = Some(idle.picture());
        }
        self.shown.clone()
    }
}
