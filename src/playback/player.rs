//! A voice and a face that answer: text is pushed, heard and seen, and can be interrupted.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::PlaybackError;
use super::queue::Moment;
use super::stage::{Happening, Output, Stage};
use crate::engine::lock;
use crate::error::Error;
use crate::{Engine, Receipt, Session, SessionOptions};

/// An engine on a [`Stage`]. All methods may be called from any thread.
///
/// Text makes up utterances: the first [`Player::push`] begins one, [`Player::finish`] completes it, and the next push begins
/// another, which is heard after it without a gap. With [`SessionOptions::ssml`] each utterance is a document.
pub struct Player {
    engine: Arc<Engine>,
    options: SessionOptions,
    stage: Stage,
    utterances: Mutex<Utterances>,
}

#[derive(Default)]
struct Utterances {
    /// Those that are not over, in order, with the numbers of their streams; the text of all but the last is complete.
    running: Vec<(u64, Arc<Session>)>,
    /// The last one takes more text.
    is_open: bool,
    failure: Option<Error>,
}

impl Player {
    /// Reads voice and face and opens the sound device.
    ///
    /// # Errors
    /// As [`Engine::speak`]'s for the options, and [`Stage::open`]'s.
    pub fn open(
        engine: &Arc<Engine>,
        options: impl Into<SessionOptions>,
        output: Output,
    ) -> Result<Self, PlaybackError> {
        let options = options.into();
        engine.warm(&options.speak)?;
        let stage = Stage::open(output, engine.idle_face(&options.speak)?)?;
        Ok(Self { engine: engine.clone(), options, stage, utterances: Mutex::default() })
    }

    /// Sound, picture and clock.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Cues at their time, and what becomes of the sound device, from now on.
    pub fn happenings(&self) -> Receiver<Happening> {
        self.stage.happenings()
    }

    /// Appends text to the utterance. Waits while enough of it is there to be spoken.
    ///
    /// # Errors
    /// Those of [`Engine::session`] for a new utterance; [`crate::sink::SinkError::Closed`] where the utterance was stopped
    /// meanwhile.
    pub fn push(&self, text: &str) -> Result<(), Error> {
        self.push_bytes(text.as_bytes())
    }

    /// As [`Player::push`], for text of which a piece may end inside of a character.
    ///
    /// # Errors
    /// As [`Player::push`].
    pub fn push_bytes(&self, text: &[u8]) -> Result<(), Error> {
        let session = {
            let mut utterances = lock(&self.utterances);
            match utterances.running.last() {
                Some((_, session)) if utterances.is_open => session.clone(),
                _ => {
                    utterances.tidy();
                    let sink = self.stage.sink();
                    let stream = sink.stream();
                    let session = Arc::new(self.engine.session_into(&self.options, Box::new(sink))?);
                    utterances.running.push((stream, session.clone()));
                    utterances.is_open = true;
                    session
                }
            }
        };
        session.push_bytes(text)
    }

    /// Says that the text so far is whole, so that its last sentence is spoken at once.
    pub fn flush(&self) {
        let utterances = lock(&self.utterances);
        if let (Some((_, session)), true) = (utterances.running.last(), utterances.is_open) {
            session.flush();
        }
    }

    /// Says that the utterance is complete.
    pub fn finish(&self) {
        let mut utterances = lock(&self.utterances);
        if let (Some((_, session)), true) = (utterances.running.last(), utterances.is_open) {
            session.finish();
        }
        utterances.is_open = false;
    }

    /// Waits until all utterances have been heard or stopped; the last must be complete.
    ///
    /// # Errors
    /// The first failure of an utterance since the last call; a stop is none.
    pub fn wait(&self) -> Result<(), Error> {
        loop {
            {
                let mut utterances = lock(&self.utterances);
                utterances.tidy();
                if utterances.running.is_empty() {
                    return utterances.failure.take().map_or(Ok(()), Err);
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether nothing is said and nothing waits to be said.
    pub fn is_idle(&self) -> bool {
        let mut utterances = lock(&self.utterances);
        utterances.tidy();
        utterances.running.is_empty()
    }

    /// Silences everything within 50 ms, lets the mouth close, and says what was heard of the utterance that was being
    /// said and what of it was not; `None` where nothing was. Utterances that waited behind it are given up, too.
    pub fn stop(&self) -> Option<Receipt> {
        let running = {
            let mut utterances = lock(&self.utterances);
            utterances.tidy();
            utterances.is_open = false;
            std::mem::take(&mut utterances.running)
        };
        let heard = self.stage.cut();
        self.stage.set_paused(false);
        running.iter().for_each(|(_, session)| session.cancel());
        // The device may have reached the next utterance while it fell silent.
        let (stream, session) = running.iter().find(|(stream, _)| *stream >= heard.stream)?;
        let pcm_samples = if *stream == heard.stream { heard.sample } else { 0 };
        if let Some(closing) = session.closing(pcm_samples) {
            self.stage.close_mouth(closing);
        }
        Some(session.receipt(pcm_samples))
    }

    /// Holds sound and picture within 50 ms.
    pub fn pause(&self) {
        self.stage.set_paused(true);
    }

    /// Goes on where [`Player::pause`] has held.
    pub fn resume(&self) {
        self.stage.set_paused(false);
    }

    /// Leaves out the rest of the sentence that is said now; `false` where none is.
    pub fn skip(&self) -> bool {
        let heard = self.stage.heard();
        let utterances = lock(&self.utterances);
        let session = utterances.running.iter().find(|(stream, _)| *stream == heard.stream).map(|(_, session)| session);
        let Some((session, sample)) = session.and_then(|session| Some((session, session.skip_sentence(heard.sample)?)))
        else {
            return false;
        };
        if let Some(closing) = session.closing(heard.sample) {
            self.stage.close_mouth(closing);
        }
        self.stage.skip(Moment { sample, ..heard });
        true
    }
}

impl Utterances {
    /// Forgets those that are over and keeps the first failure.
    fn tidy(&mut self) {
        let failures = self.running.extract_if(.., |(_, session)| session.is_over());
        for (_, session) in failures {
            if let Err(error) = session.wait()
                && self.failure.is_none()
            {
                self.failure = Some(error);
            }
        }
        self.is_open &= !self.running.is_empty();
    }
}
