//! The sink that feeds a stage.

use std::sync::Arc;
use std::time::Duration;

use super::queue::{BLOCK, Moment, PcmBlock};
use super::stage::{Shared, TimedPicture};
use crate::cue::Cue;
use crate::sink::{Picture, Sink, SinkError, StreamInfo};

/// One stream of a [`Stage`](super::Stage): hand it to an engine.
pub struct LiveSink {
    shared: Arc<Shared>,
    stream: u64,
    info: Option<StreamInfo>,
    block: PcmBlock,
    /// PCM samples taken.
    pcm_samples: u64,
    /// Sound that waits for the first picture, so that both begin together.
    held_back: Option<Vec<f32>>,
    video_frames: u64,
}

impl LiveSink {
    pub(super) fn new(shared: Arc<Shared>, stream: u64) -> Self {
        let block = PcmBlock { start: Moment { stream, sample: 0 }, pcm: [0.0; BLOCK], filled: 0 };
        Self { shared, stream, info: None, block, pcm_samples: 0, held_back: None, video_frames: 0 }
    }

    /// Number of the stream on its stage.
    pub(super) fn stream(&self) -> u64 {
        self.stream
    }

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
        let sample = self.block.start.sample + self.block.filled as u64;
        let next = PcmBlock { start: Moment { sample, ..self.block.start }, pcm: [0.0; BLOCK], filled: 0 };
        let block = std::mem::replace(&mut self.block, next);
        self.shared.send(self.stream, self.shared.pcm_queue(), block)
    }

    fn release_sound(&mut self) -> Result<(), SinkError> {
        match self.held_back.take() {
            Some(pcm) => self.push_pcm(&pcm),
            None => Ok(()),
        }
    }

    fn info(&self) -> Result<StreamInfo, SinkError> {
        self.info.ok_or_else(SinkError::not_begun)
    }
}

impl Sink for LiveSink {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        if self.info.replace(*info).is_some() {
            return Err(SinkError::begun_twice());
        }
        if info.sample_rate != crate::timeline::SAMPLE_RATE {
            return Err(SinkError::Unsupported(format!("sound of {} PCM samples a second", info.sample_rate)));
        }
        self.held_back = info.video.map(|_| Vec::new());
        self.shared.wait_for_turn(self.stream)
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.info()?;
        self.pcm_samples += pcm.len() as u64;
        match &mut self.held_back {
            Some(held_back) => held_back.extend_from_slice(pcm),
            None => self.push_pcm(pcm)?,
        }
        Ok(())
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        let info = self.info()?;
        let video = info.video.ok_or_else(|| SinkError::Misuse("a picture in a stream of sound alone".into()))?;
        picture.check(&video)?;
        // A video frame is shown for the whole of its time.
        let sample =
            self.video_frames * u64::from(info.sample_rate) * u64::from(video.fps.den()) / u64::from(video.fps.num());
        self.video_frames += 1;
        let from = Moment { stream: self.stream, sample };
        self.shared.send(self.stream, &self.shared.pictures.0, TimedPicture { from, picture: picture.clone() })?;
        self.release_sound()
    }

    fn cue(&mut self, cue: &Cue) -> Result<(), SinkError> {
        self.info()?;
        self.shared.note_cue(self.stream, cue);
        Ok(())
    }

    /// Returns when the last PCM sample has been heard.
    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        self.info()?;
        self.release_sound()?;
        self.flush_block()?;
        let end = Moment { stream: self.stream, sample: self.pcm_samples };
        self.shared.note_end(end);
        self.shared.pass_turn(self.stream + 1);
        while self.shared.heard() < end {
            if self.shared.is_cut(self.stream) {
                return Err(SinkError::Closed);
            }
            std::thread::sleep(Duration::from_millis(4));
        }
        Ok(())
    }
}

impl Drop for LiveSink {
    fn drop(&mut self) {
        // A stream that broke off is over, too.
        self.shared.pass_turn(self.stream + 1);
    }
}
