//! Sessions: text is pushed as it comes, and spoken while more of it is still to come.

mod closing;
mod history;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

pub(crate) use closing::MotionLog;
pub use closing::{Closing, IdleFace};
pub use history::Receipt;

use super::text_queue::TextQueue;
use super::{Engine, Role, SpeakOptions, Spoken, TextSource, lock};
use crate::cue::Cue;
use crate::error::{Error, Result};
use crate::sink::{ChannelSink, Event, Picture, Sink, SinkError, StreamInfo};
use crate::timeline::Fps;
use history::History;

/// Events that may wait in a session's channel.
const EVENTS_AHEAD: usize = 32;

/// How a session speaks, and how it takes its text.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct SessionOptions {
    /// How it speaks. A session cannot be fitted to a length: its text is not known when it begins.
    pub speak: SpeakOptions,
    /// Whether the text is an SSML document, as [`TextSource::ssml`] takes it. It is spoken once all of it was pushed.
    /// Default: no.
    pub ssml: bool,
}

impl SessionOptions {
    /// Takes an SSML document.
    pub fn ssml(mut self) -> Self {
        self.ssml = true;
        self
    }
}

impl From<&SpeakOptions> for SessionOptions {
    fn from(speak: &SpeakOptions) -> Self {
        Self { speak: speak.clone(), ssml: false }
    }
}

impl From<&SessionOptions> for SessionOptions {
    fn from(options: &SessionOptions) -> Self {
        options.clone()
    }
}

/// One stream of speech from text that comes in pieces, such as the tokens of a language model.
///
/// A sentence is spoken as soon as it is certain that it is whole: when the next one begins, at an empty line, or at a
/// [`Session::flush`]. What is spoken is bit for bit what [`Engine::speak`] makes of the same text, seed and options,
/// however the text is cut into pieces.
///
/// All queues are bounded: where the events are not taken, the engine waits, and then [`Session::push`] does. So push and
/// take events on different threads. All methods may be called from any thread. A session that is dropped is cancelled.
pub struct Session {
    shared: Arc<Shared>,
    worker: Mutex<Option<JoinHandle<Result<Spoken>>>>,
    /// Dropped to free a sink that waits.
    stop: Mutex<Option<Sender<()>>>,
    role: Role,
    fps: Option<Fps>,
}

#[derive(Default)]
struct Shared {
    text: Arc<TextQueue>,
    history: Mutex<History>,
    motion: MotionLog,
    is_cancelled: AtomicBool,
}

impl Engine {
    /// Begins a session and gives the channel of its sound, pictures and cues. The channel closes after
    /// [`Event::Finish`]; where it closes without, [`Session::wait`] says why. Its pictures have the head at rest:
    /// [`IdleFace::perform`] moves it at the moment of showing.
    ///
    /// # Errors
    /// As [`Engine::speak`]'s for the options; a session cannot be fitted to a length.
    pub fn session(self: &Arc<Self>, options: impl Into<SessionOptions>) -> Result<(Session, Receiver<Event>)> {
        let (stop, stopped) = bounded(0);
        let (sink, events) = ChannelSink::until(EVENTS_AHEAD, stopped);
        Ok((self.begin_session(options.into(), Box::new(sink), Some(stop))?, events))
    }

    /// Begins a session that speaks into a sink and finishes it. A sink that waits for its receiver must itself return
    /// [`SinkError::Closed`] when it is to be given up.
    ///
    /// # Errors
    /// As [`Engine::session`].
    pub fn session_into(self: &Arc<Self>, options: impl Into<SessionOptions>, sink: Box<dyn Sink>) -> Result<Session> {
        self.begin_session(options.into(), sink, None)
    }

    fn begin_session(
        self: &Arc<Self>,
        SessionOptions { speak: options, ssml }: SessionOptions,
        sink: Box<dyn Sink>,
        stop: Option<Sender<()>>,
    ) -> Result<Session> {
        options.check()?;
        if options.length_s.is_some() {
            return Err(Error::Request("a session has no length to fit: its text is not known yet".to_string()));
        }
        let role = self.role(options.voice.as_deref(), None, &options)?;
        let fps = options.video.as_ref().map(|video| video.fps);
        let shared = Arc::<Shared>::default();
        let worker = {
            let (engine, role, shared) = (self.clone(), role.clone(), shared.clone());
            std::thread::spawn(move || {
                let source = TextSource::live(shared.text.clone());
                let source = if ssml { source.ssml() } else { source };
                let mut sink = Noting { sink, is_begun: false, shared: &shared };
                let spoken = engine.perform(source, &options, Some(&shared.motion), &mut sink);
                // Whoever still pushes is to know.
                shared.text.close();
                let spoken = spoken?;
                if !sink.is_begun {
                    sink.begin(&super::speak::stream_info(fps.and_then(|fps| role.drawing(fps, None))))?;
                }
                if shared.is_cancelled.load(Ordering::Acquire) {
                    return Err(SinkError::Closed.into());
                }
                sink.sink.finish()?;
                Ok(spoken)
            })
        };
        Ok(Session { shared, worker: Mutex::new(Some(worker)), stop: Mutex::new(stop), role, fps })
    }
}

impl Session {
    /// Appends text. Waits while the engine has enough of it.
    ///
    /// # Errors
    /// [`SinkError::Closed`] where the session is finished, cancelled or has failed.
    pub fn push(&self, text: &str) -> Result<()> {
        self.push_bytes(text.as_bytes())
    }

    /// As [`Session::push`], for text of which a piece may end inside of a character; the whole must be UTF-8.
    ///
    /// # Errors
    /// As [`Session::push`].
    pub fn push_bytes(&self, text: &[u8]) -> Result<()> {
        Ok(self.shared.text.push(text).map_err(|_| SinkError::Closed)?)
    }

    /// Says that the text so far is whole, so that its last sentence is spoken at once.
    pub fn flush(&self) {
        self.shared.text.flush();
    }

    /// Says that the text is complete; the session ends when all of it was spoken.
    pub fn finish(&self) {
        self.shared.text.finish();
    }

    /// Ends the session at once. The channel closes without [`Event::Finish`].
    pub fn cancel(&self) {
        self.shared.is_cancelled.store(true, Ordering::Release);
        self.shared.text.close();
        lock(&self.stop).take();
    }

    /// Waits for the session's end, after [`Session::finish`] or [`Session::cancel`], and says what was spoken; a second
    /// call says nothing of it.
    ///
    /// # Errors
    /// As [`Engine::speak`], without the one for a text without words. [`SinkError::Closed`] after a cancel.
    pub fn wait(&self) -> Result<Spoken> {
        let worker = lock(&self.worker).take();
        let Some(worker) = worker else { return Ok(Spoken::default()) };
        worker.join().unwrap_or_else(|_| Err(Error::Synthesis("the session's thread has ended".to_string())))
    }

    /// Whether the session has come to its end, by itself or by [`Session::cancel`].
    pub fn is_over(&self) -> bool {
        lock(&self.worker).as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// What was heard, given how many PCM samples of the session were really played.
    pub fn receipt(&self, pcm_samples: u64) -> Receipt {
        lock(&self.shared.history).receipt(pcm_samples, self.fps, &self.shared.text)
    }

    /// The pictures in which the mouth closes when the sound is broken off after `pcm_samples`; `None` in a session
    /// without pictures, and where that moment lies too far back.
    pub fn closing(&self, pcm_samples: u64) -> Option<Closing> {
        Closing::new(&self.role, self.fps?, &self.shared.motion, pcm_samples)
    }

    /// Notes that the listener at `pcm_samples` is taken to the next sentence, and says at which PCM sample to go on;
    /// `None` where all that is known was heard.
    pub fn skip_sentence(&self, pcm_samples: u64) -> Option<u64> {
        let mut history = lock(&self.shared.history);
        let next = history.after_sentence(pcm_samples)?;
        history.skip(pcm_samples..next);
        Some(next)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// Notes what passes to the sink, and stops it when the session is cancelled.
struct Noting<'a> {
    sink: Box<dyn Sink>,
    is_begun: bool,
    shared: &'a Shared,
}

impl Noting<'_> {
    fn check(&self) -> Result<(), SinkError> {
        if self.shared.is_cancelled.load(Ordering::Acquire) { Err(SinkError::Closed) } else { Ok(()) }
    }
}

impl Sink for Noting<'_> {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        self.is_begun = true;
        self.sink.begin(info)
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.check()?;
        self.sink.pcm(pcm)
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        self.check()?;
        self.sink.picture(picture)
    }

    fn cue(&mut self, cue: &Cue) -> Result<(), SinkError> {
        self.check()?;
        lock(&self.shared.history).note(cue);
        self.sink.cue(cue)
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.sink.finish()
    }
}
