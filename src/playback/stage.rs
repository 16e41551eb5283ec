//! What plays: a queue of sound and pictures, the clock that both follow, and the thread that keeps a device open.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded};

use super::PlaybackError;
use super::clock::{AudioClock, ClockWriter};
use super::output::{self, Pull};
use super::queue::{BLOCK, Control, Moment, PcmBlock, QueueSource, Segment};
use super::sink::LiveSink;
use super::viewer::Viewer;
use crate::IdleFace;
use crate::cue::Cue;
use crate::engine::lock;
use crate::sink::{Picture, SinkError};
use crate::timeline::SAMPLE_RATE;

/// Where sound goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A sound device, by the name that [`super::output_devices`] lists, or the system's.
    Device(Option<String>),
    /// Nowhere, at the pace that the sound would have.
    Silent,
    /// Nowhere, and time passes only in [`Stage::advance`].
    Stepped,
}

/// What happens while something is played.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Happening {
    /// What this cue marks begins to be heard now.
    Cue(Cue),
    /// All of a stream has been heard.
    Heard,
    /// The sound device is gone; speech goes on in silence and the device is looked for.
    DeviceLost(String),
    /// A sound device plays again.
    DeviceBack,
}

/// Seconds of PCM that may wait for the device: more than a sentence, so that its pictures are never held back by its sound.
const QUEUED_PCM_SECONDS: usize = 60;
/// Pictures that may wait for their time.
const QUEUED_PICTURES: usize = 50;
/// Happenings that wait for a listener who is slow; later ones are lost to him.
const QUEUED_HAPPENINGS: usize = 4096;
/// Blocks that must wait before time passes by hand: half a video frame at 5 a second.
const STEPPED_BLOCKS_AHEAD: usize = 10;
/// How long a device may take to fall silent.
const LONGEST_FALL: Duration = Duration::from_millis(250);

/// Speakers and pictures on one clock. Clones share the stage; it ends with the last of them.
#[derive(Clone)]
pub struct Stage(Arc<Owner>);

/// Ends the stage's thread when the last handle goes.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.is_closed.store(true, Ordering::Release);
    }
}

pub(super) struct Shared {
    pub(super) control: Arc<Control>,
    clock: AudioClock,
    writer: Arc<ClockWriter>,
    pcm: (Sender<PcmBlock>, Receiver<PcmBlock>),
    pub(super) pictures: (Sender<TimedPicture>, Receiver<TimedPicture>),
    segments: (Sender<Segment>, Receiver<Segment>),
    progress: Mutex<Progress>,
    listeners: Mutex<Vec<Sender<Happening>>>,
    viewer: Mutex<Viewer>,
    /// The stream whose turn it is to be queued.
    turn: Mutex<u64>,
    turned: Condvar,
    is_closed: AtomicBool,
    stepped: Option<Mutex<Pull>>,
}

#[derive(Default)]
struct Progress {
    /// The jumps of what was handed out that still matter; the first is in force.
    segments: VecDeque<Segment>,
    /// Cues in the order of their times.
    cues: VecDeque<(Moment, Cue)>,
    /// Ends of the streams that are not over.
    ends: VecDeque<Moment>,
    /// Streams begun.
    streams: u64,
}

/// A picture and the moment from which on it is shown.
pub(super) struct TimedPicture {
    pub(super) from: Moment,
    pub(super) picture: Picture,
}

impl Stage {
    /// Opens the sound device. `idle` is what is shown when nothing is said.
    ///
    /// # Errors
    /// [`PlaybackError::NoDevice`], [`PlaybackError::Device`].
    pub fn open(output: Output, idle: Option<IdleFace>) -> Result<Self, PlaybackError> {
        let (clock, writer) = AudioClock::new(SAMPLE_RATE);
        let shared = Shared {
            control: Arc::default(),
            clock,
            writer: Arc::new(writer),
            pcm: bounded(QUEUED_PCM_SECONDS * SAMPLE_RATE as usize / BLOCK),
            pictures: bounded(QUEUED_PICTURES),
            segments: bounded(1024),
            progress: Mutex::default(),
            listeners: Mutex::default(),
            viewer: Mutex::new(Viewer::new(idle)),
            turn: Mutex::new(1),
            turned: Condvar::new(),
            is_closed: AtomicBool::new(false),
            stepped: None,
        };
        if output == Output::Stepped {
            let source = shared.source();
            let stepped = Some(Mutex::new(Pull::new(source, shared.writer.clone())));
            return Ok(Self(Arc::new(Owner(Arc::new(Shared { stepped, ..shared })))));
        }
        let shared = Arc::new(shared);
        let (opened_in, opened) = bounded(1);
        let thread = shared.clone();
        std::thread::spawn(move || output::run(&thread, &output, &opened_in));
        // The thread sends before it does anything else.
        opened.recv().unwrap_or(Err(PlaybackError::NoDevice(None)))?;
        Ok(Self(Arc::new(Owner(shared))))
    }

    /// A sink whose stream is played after those of all sinks made before it.
    pub fn sink(&self) -> LiveSink {
        let mut progress = self.0.0.progress();
        progress.streams += 1;
        LiveSink::new(self.0.0.clone(), progress.streams)
    }

    /// What happens from now on.
    pub fn happenings(&self) -> Receiver<Happening> {
        let (sender, receiver) = bounded(QUEUED_HAPPENINGS);
        lock(&self.0.0.listeners).push(sender);
        receiver
    }

    /// The picture to be shown at this moment: the newest whose time has come. `None` before the first.
    pub fn picture(&self) -> Option<Arc<Picture>> {
        lock(&self.0.0.viewer).look(&self.0.0, Instant::now())
    }

    /// The PCM sample of the stream that is audible now; 0 where none is.
    pub fn position(&self) -> u64 {
        self.0.0.heard().sample
    }

    /// Holds sound and picture where they are, or lets them go on.
    pub fn set_paused(&self, is_paused: bool) {
        self.0.0.control.is_paused.store(is_paused, Ordering::Release);
    }

    /// Whether sound and picture are held.
    pub fn is_paused(&self) -> bool {
        self.0.0.control.is_paused.load(Ordering::Acquire)
    }

    /// Whether all that was queued has been heard and no stream is open.
    pub fn is_idle(&self) -> bool {
        self.0.0.is_idle()
    }

    /// Whether the mouth has closed after the last words.
    pub fn is_at_rest(&self) -> bool {
        self.is_idle() && !lock(&self.0.0.viewer).is_closing()
    }

    /// Times that the device ran out of sound in the middle of a stream, whoever was late: what makes it, or this process.
    pub fn underruns(&self) -> u64 {
        self.0.0.control.underruns.load(Ordering::Relaxed)
    }

    /// Lets time pass by some PCM samples where it passes by hand alone ([`Output::Stepped`]). Waits for sound that is still
    /// being made; nothing happens on other stages.
    pub fn advance(&self, pcm_samples: usize) {
        let shared = &self.0.0;
        let Some(pull) = &shared.stepped else { return };
        let mut left = pcm_samples;
        while left > 0 {
            // Sound is there and its picture, which comes half a video frame later; or none will come.
            while shared.pcm.1.len() < STEPPED_BLOCKS_AHEAD
                && *lock(&shared.turn) <= shared.progress().streams
                && !shared.is_closed()
            {
                std::thread::sleep(Duration::from_micros(100));
            }
            let count = left.min(BLOCK);
            lock(pull).pull(count, Instant::now() - Duration::from_secs(1));
            left -= count;
        }
        shared.tell_what_is_due();
    }

    /// Silences all streams so far within 50 ms and says where the one that was heard had come to: exactly, once the
    /// device has played what it already had.
    pub(super) fn cut(&self) -> Moment {
        let shared = &self.0.0;
        let calls = shared.control.calls.load(Ordering::Acquire);
        {
            let mut progress = shared.progress();
            shared.control.cut.store(progress.streams, Ordering::Release);
            progress.cues.clear();
            progress.ends.clear();
        }
        shared.pass_turn(shared.progress().streams + 1);
        let give_up = Instant::now() + LONGEST_FALL;
        while shared.stepped.is_none() && Instant::now() < give_up {
            let has_noticed = shared.control.calls.load(Ordering::Acquire) > calls + 1;
            if has_noticed && shared.clock.position() >= shared.control.handed_out.load(Ordering::Acquire) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        shared.heard()
    }

    /// Goes on at another PCM sample of a stream.
    pub(super) fn skip(&self, to: Moment) {
        let shared = &self.0.0;
        shared.control.skip_sample.store(to.sample, Ordering::Release);
        shared.control.skip_stream.store(to.stream, Ordering::Release);
        shared.progress().cues.retain(|(moment, _)| moment.stream != to.stream || *moment >= to);
    }

    pub(super) fn heard(&self) -> Moment {
        self.0.0.heard()
    }

    pub(super) fn close_mouth(&self, pictures: crate::Closing) {
        lock(&self.0.0.viewer).close_mouth(pictures, Instant::now());
    }
}

impl Shared {
    pub(super) fn source(&self) -> QueueSource {
        QueueSource::new(self.pcm.1.clone(), self.segments.0.clone(), self.control.clone())
    }

    pub(super) fn writer(&self) -> Arc<ClockWriter> {
        self.writer.clone()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    pub(super) fn pcm_queue(&self) -> &Sender<PcmBlock> {
        &self.pcm.0
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    /// What is audible now.
    pub(super) fn heard(&self) -> Moment {
        let position = self.clock.position();
        let mut progress = self.progress();
        progress.segments.extend(self.segments.1.try_iter());
        while progress.segments.get(1).is_some_and(|next| next.played <= position) {
            progress.segments.pop_front();
        }
        let Some(Segment { played, start }) = progress.segments.front() else { return Moment::default() };
        Moment { sample: start.sample + position.saturating_sub(*played), ..*start }
    }

    pub(super) fn is_idle(&self) -> bool {
        let turn = *lock(&self.turn);
        let progress = self.progress();
        self.is_cut(progress.streams) || (turn > progress.streams && progress.ends.is_empty())
    }

    /// Whether a stream is not to be heard any more.
    pub(super) fn is_cut(&self, stream: u64) -> bool {
        self.is_closed() || stream <= self.control.cut.load(Ordering::Acquire)
    }

    /// Sends, waiting for room as long as the stream is to be heard.
    pub(super) fn send<T>(&self, stream: u64, queue: &Sender<T>, mut item: T) -> Result<(), SinkError> {
        while !self.is_cut(stream) {
            match queue.send_timeout(item, Duration::from_millis(20)) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Timeout(back)) => item = back,
                Err(SendTimeoutError::Disconnected(_)) => break,
            }
        }
        Err(SinkError::Closed)
    }

    /// Waits until all streams before this one are queued.
    pub(super) fn wait_for_turn(&self, stream: u64) -> Result<(), SinkError> {
        let mut turn = lock(&self.turn);
        while *turn < stream {
            if self.is_cut(stream) {
                return Err(SinkError::Closed);
            }
            let waited = self.turned.wait_timeout(turn, Duration::from_millis(50));
            turn = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Lets the stream `next` be queued.
    pub(super) fn pass_turn(&self, next: u64) {
        let mut turn = lock(&self.turn);
        *turn = next.max(*turn);
        self.turned.notify_all();
    }

    pub(super) fn note_cue(&self, stream: u64, cue: &Cue) {
        let moment = Moment { stream, sample: cue.start_sample };
        let mut progress = self.progress();
        let at = progress.cues.partition_point(|(other, _)| *other <= moment);
        progress.cues.insert(at, (moment, cue.clone()));
    }

    pub(super) fn note_end(&self, end: Moment) {
        self.control.complete.fetch_max(end.stream, Ordering::AcqRel);
        self.progress().ends.push_back(end);
    }

    /// Tells the listeners of cues and ends whose time has come.
    pub(super) fn tell_what_is_due(&self) {
        let heard = self.heard();
        let mut due = Vec::new();
        {
            let mut progress = self.progress();
            while progress.cues.front().is_some_and(|(moment, _)| *moment <= heard) {
                due.extend(progress.cues.pop_front().map(|(_, cue)| Happening::Cue(cue)));
            }
            while progress.ends.front().is_some_and(|end| *end <= heard) {
                progress.ends.pop_front();
                due.push(Happening::Heard);
            }
        }
        due.into_iter().for_each(|happening| self.tell(happening));
    }

    pub(super) fn tell(&self, happening: Happening) {
        lock(&self.listeners).retain(|listener| {
            !matches!(listener.try_send(happening.clone()), Err(crossbeam_channel::TrySendError::Disconnected(_)))
        });
    }
}
