//! The sink that an engine speaks into to be heard and seen at once.

use super::PlaybackError;
use super::clock::{AudioClock, ClockMark, ClockWriter};
use super::speaker::{BLOCK, PcmBlock, Speaker, SpeakerState};
use crate::cue::Cue;
use crate::sink::{Picture, Sink, SinkError, StreamInfo};
use crossbeam_channel::{Receiver, SendTimeoutError, Sender, bounded, unbounded};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How to play.
#[derive(Debug, Clone)]
pub struct PlaybackOptions {
    /// Open a sound device; without one the same clock runs on the machine's time. Default: true.
    pub sound: bool,
    /// The device by the name that [`super::output_devices`] lists. Default: the system's.
    pub audio_device: Option<String>,
}

impl Default for PlaybackOptions {
    fn default() -> Self {
        Self { sound: true, audio_device: None }
    }
}

/// Seconds of PCM that may wait for the device: more than a sentence, so that its pictures are never held back by its sound.
const QUEUED_PCM_SECONDS: usize = 60;
/// Pictures that may wait for their time.
const QUEUED_PICTURES: usize = 50;

/// The listening side of a live session: the clock, the pictures, the end. Clones share the session.
#[derive(Clone)]
pub struct LivePlayer(Arc<Session>);

struct Session {
    options: PlaybackOptions,
    clock: Mutex<Option<AudioClock>>,
    speaker: Mutex<Option<Speaker>>,
    state: Arc<SpeakerState>,
    begun: Receiver<StreamInfo>,
    pictures: Receiver<TimedPicture>,
    total_pcm: AtomicU64,
    finished: AtomicBool,
    stopped: AtomicBool,
}

/// A picture and the PCM sample from which on it is shown.
pub(super) struct TimedPicture {
    pub(super) from_sample: u64,
    pub(super) picture: Picture,
}

/// The speaking side: hand it to an engine.
pub struct LiveSink {
    session: Arc<Session>,
    begun: Sender<StreamInfo>,
    info: Option<StreamInfo>,
    pcm_queue: Option<Sender<PcmBlock>>,
    block: PcmBlock,
    /// Sound that waits for the first picture, so that both begin together.
    held_back: Option<Vec<f32>>,
    pictures: Sender<TimedPicture>,
    n_pictures: u64,
}

impl LivePlayer {
    /// A session and the sink that feeds it. No device is opened before the sink's stream begins.
    pub fn new(options: PlaybackOptions) -> (Self, LiveSink) {
        let (begun_tx, begun) = unbounded();
        let (pictures_tx, pictures) = bounded(QUEUED_PICTURES);
        let session = Arc::new(Session {
            options,
            clock: Mutex::new(None),
            speaker: Mutex::new(None),
            state: Arc::default(),
            begun,
            pictures,
            total_pcm: AtomicU64::new(0),
            finished: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
        });
        let sink = LiveSink {
            session: Arc::clone(&session),
            begun: begun_tx,
            info: None,
            pcm_queue: None,
            block: PcmBlock { pcm: [0.0; BLOCK], filled: 0 },
            held_back: None,
            pictures: pictures_tx,
            n_pictures: 0,
        };
        (Self(session), sink)
    }

    /// The PCM sample that is audible now.
    pub fn position(&self) -> u64 {
        lock(&self.0.clock).as_ref().map_or(0, AudioClock::position)
    }

    /// Ends the session: the speaking side gets [`SinkError::Closed`], sound stops with the device's buffer.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Release);
        *lock(&self.0.speaker) = None;
    }

    /// Holds sound and picture where they are, or lets them go on.
    ///
    /// # Errors
    /// [`PlaybackError::Device`] where the device cannot pause.
    pub fn set_paused(&self, paused: bool) -> Result<(), PlaybackError> {
        match lock(&self.0.speaker).as_ref() {
            Some(speaker) if paused => speaker.pause(),
            Some(speaker) => speaker.resume(),
            None => Ok(()),
        }
    }

    /// Whether everything that was said has been heard, or the session was stopped.
    pub fn is_over(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire) || self.0.all_heard(self.position())
    }

    /// Whether the session was ended before everything was heard.
    pub fn was_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Acquire)
    }

    /// Times that the device ran out of sound in the middle of speech.
    pub fn underruns(&self) -> u64 {
        self.0.state.underruns.load(Ordering::Relaxed)
    }

    /// What the stream is made of, as soon as it has begun.
    pub(super) fn try_begun(&self) -> Option<StreamInfo> {
        self.0.begun.try_recv().ok()
    }

    pub(super) fn pictures(&self) -> &Receiver<TimedPicture> {
        &self.0.pictures
    }
}

impl Session {
    fn all_heard(&self, position: u64) -> bool {
        self.finished.load(Ordering::Acquire) && position >= self.total_pcm.load(Ordering::Acquire)
    }

    fn is_gone(&self) -> bool {
        self.stopped.load(Ordering::Acquire) || self.state.lost.load(Ordering::Acquire)
    }

    /// Sends, waiting for room as long as somebody still listens.
    fn send<T>(&self, queue: &Sender<T>, mut item: T) -> Result<(), SinkError> {
        while !self.is_gone() {
            match queue.send_timeout(item, Duration::from_millis(20)) {
                Ok(()) => return Ok(()),
                Err(SendTimeoutError::Timeout(back)) => item = back,
                Err(SendTimeoutError::Disconnected(_)) => break,
            }
        }
        Err(SinkError::Closed)
    }
}

impl LiveSink {
    fn push_pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        for &value in pcm {
            self.block.pcm[self.block.filled] = value;
            self.block.filled += 1;
            if self.block.filled == BLOCK {
                self.flush_block()?;
            }
        }
        Ok(())
    }

    fn flush_block(&mut self) -> Result<(), SinkError> {
        let block = std::mem::replace(&mut self.block, PcmBlock { pcm: [0.0; BLOCK], filled: 0 });
        let queue = self.pcm_queue.as_ref().ok_or_else(SinkError::not_begun)?;
        self.session.send(queue, block)
    }

    fn release_sound(&mut self) -> Result<(), SinkError> {
        match self.held_back.take() {
            Some(pcm) => self.push_pcm(&pcm),
            None => Ok(()),
        }
    }
}

impl Sink for LiveSink {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        if self.info.is_some() {
            return Err(SinkError::begun_twice());
        }
        let (clock, writer) = AudioClock::new(info.sample_rate);
        let (queue, from_queue) = bounded(QUEUED_PCM_SECONDS * info.sample_rate as usize / BLOCK);
        if self.session.options.sound {
            let name = self.session.options.audio_device.as_deref();
            let state = Arc::clone(&self.session.state);
            let speaker = Speaker::open(name, info.sample_rate, from_queue, writer, state)
                .map_err(|error| SinkError::Unsupported(error.to_string()))?;
            *lock(&self.session.speaker) = Some(speaker);
        } else {
            let (rate, session) = (info.sample_rate, Arc::downgrade(&self.session));
            std::thread::spawn(move || {
                keep_silent_time(&from_queue, &writer, rate, || {
                    session.upgrade().is_some_and(|session| !session.is_gone())
                })
            });
        }
        *lock(&self.session.clock) = Some(clock);
        self.pcm_queue = Some(queue);
        self.held_back = info.video.map(|_| Vec::new());
        self.info = Some(*info);
        self.begun.send(*info).map_err(|_| SinkError::Closed)
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.session.total_pcm.fetch_add(pcm.len() as u64, Ordering::AcqRel);
        match &mut self.held_back {
            Some(held_back) => held_back.extend_from_slice(pcm),
            None => self.push_pcm(pcm)?,
        }
        Ok(())
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        let info = self.info.ok_or_else(SinkError::not_begun)?;
        let video = info.video.ok_or_else(|| SinkError::Misuse("a picture in a stream of sound alone".into()))?;
        let from_sample =
            self.n_pictures * u64::from(info.sample_rate) * u64::from(video.fps.den()) / u64::from(video.fps.num());
        self.n_pictures += 1;
        self.session.send(&self.pictures, TimedPicture { from_sample, picture: picture.clone() })?;
        self.release_sound()
    }

    fn cue(&mut self, _cue: &Cue) -> Result<(), SinkError> {
        Ok(())
    }

    /// Returns when the last PCM sample has been heard.
    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.release_sound()?;
        self.flush_block()?;
        let session = Arc::clone(&self.session);
        session.finished.store(true, Ordering::Release);
        while !session.all_heard(lock(&session.clock).as_ref().map_or(0, AudioClock::position)) {
            if session.is_gone() {
                return Err(SinkError::Closed);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

/// Plays to nobody in real time, so that pictures have a clock where there is no sound device.
fn keep_silent_time(queue: &Receiver<PcmBlock>, clock: &ClockWriter, sample_rate: u32, listening: impl Fn() -> bool) {
    let (mut position, mut next) = (0, Instant::now());
    while listening() {
        let Ok(block) = queue.recv_timeout(Duration::from_millis(20)) else { continue };
        next = next.max(Instant::now());
        let end = position + block.filled as u64;
        clock.mark(ClockMark { audible: next, start: position, end });
        next += Duration::from_secs_f64(block.filled as f64 / f64::from(sample_rate));
        position = end;
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::VideoInfo;

    #[test]
    fn without_a_device_time_passes_as_fast_as_the_sound_would() {
        let (player, mut sink) = LivePlayer::new(PlaybackOptions { sound: false, ..Default::default() });
        let fps = "25".parse().unwrap();
        let info = StreamInfo { sample_rate: 24_000, video: Some(VideoInfo { width: 2, height: 2, fps }) };
        sink.begin(&info).unwrap();
        sink.pcm(&[0.0; 12_000]).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(player.position(), 0, "sound began before its first picture");
        let began = Instant::now();
        let picture = Picture { width: 2, height: 2, rgb: vec![0; 12] };
        for _ in 0..12 {
            sink.picture(&picture).unwrap();
        }
        Box::new(sink).finish().unwrap();
        let took = began.elapsed().as_secs_f64();
        assert!((0.48..0.65).contains(&took), "{took} s for half a second of sound");
        assert_eq!(player.position(), 12_000);
        assert!(player.is_over());
        let times: Vec<u64> = player.pictures().try_iter().map(|timed| timed.from_sample).collect();
        assert_eq!(times[..4], [0, 960, 1920, 2880]);
    }

    #[test]
    fn a_stopped_session_refuses_more() {
        let (player, mut sink) = LivePlayer::new(PlaybackOptions { sound: false, ..Default::default() });
        sink.begin(&StreamInfo { sample_rate: 24_000, video: None }).unwrap();
        sink.pcm(&[0.0; 480]).unwrap();
        player.stop();
        assert!(player.is_over());
        assert!(matches!(sink.pcm(&[0.0; 480]), Err(SinkError::Closed)));
    }
}
