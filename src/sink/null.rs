//! A sink that keeps nothing: measures speed, checks the order of calls.

use super::{Picture, Sink, SinkError, StreamInfo};
use crate::cue::Cue;

/// Takes everything and keeps nothing but counts; wrong use is still an error.
#[derive(Debug, Default)]
pub struct NullSink {
    info: Option<StreamInfo>,
    pcm_samples: u64,
    video_frames: u64,
}

impl NullSink {
    /// A sink that has received nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// PCM samples received so far.
    pub fn pcm_samples(&self) -> u64 {
        self.pcm_samples
    }

    /// Pictures received so far.
    pub fn video_frames(&self) -> u64 {
        self.video_frames
    }
}

impl Sink for NullSink {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        match self.info.replace(*info) {
            None => Ok(()),
            Some(_) => Err(SinkError::begun_twice()),
        }
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.info.ok_or_else(SinkError::not_begun)?;
        self.pcm_samples += pcm.len() as u64;
        Ok(())
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        let info = self.info.ok_or_else(SinkError::not_begun)?;
        let video = info.video.ok_or_else(|| SinkError::Misuse("a picture in a stream without video".into()))?;
        picture.check(&video)?;
        self.video_frames += 1;
        Ok(())
    }

    fn cue(&mut self, _cue: &Cue) -> Result<(), SinkError> {
        self.info.map(|_| ()).ok_or_else(SinkError::not_begun)
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.info.map(|_| ()).ok_or_else(SinkError::not_begun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::VideoInfo;
    use crate::timeline::Fps;

    #[test]
    fn counts_and_refuses_wrong_use() {
        let picture = |width, height, bytes| Picture { width, height, rgb: vec![0; bytes] };
        let mut sink = Box::new(NullSink::new());
        assert!(matches!(sink.pcm(&[0.0]), Err(SinkError::Misuse(_))));
        assert!(matches!(Box::new(NullSink::new()).finish(), Err(SinkError::Misuse(_))));
        let info = StreamInfo { sample_rate: 24_000, video: Some(VideoInfo { width: 4, height: 2, fps: Fps::FPS_25 }) };
        sink.begin(&info).unwrap();
        assert!(matches!(sink.begin(&info), Err(SinkError::Misuse(_))));
        sink.pcm(&[0.0; 7]).unwrap();
        sink.picture(&picture(4, 2, 24)).unwrap();
        assert!(matches!(sink.picture(&picture(2, 4, 24)), Err(SinkError::Misuse(_))));
        assert!(matches!(sink.picture(&picture(4, 2, 23)), Err(SinkError::Misuse(_))));
        assert_eq!((sink.pcm_samples(), sink.video_frames()), (7, 1));
        sink.finish().unwrap();
    }
}
