//! MP4 (ISO 14496-12): H.264 pictures and AAC sound, index in front, sound and pictures starting at exactly 0.

mod aac;
mod h264;
mod moov;
mod mux;
mod track;
mod yuv;

use std::fs::File;
use std::path::{Path, PathBuf};

use self::aac::{ACCESS_UNIT_SAMPLES, AudioEncoder};
use self::h264::VideoEncoder;
use self::moov::{Audio, Video};
use self::mux::Mux;
use self::track::Track;
use super::output::OutputFile;
use super::{Picture, Sink, SinkError, StreamInfo};
use crate::cue::Cue;

/// Writes sound and pictures to an MP4 file; cues are ignored. Without pictures it holds the sound alone.
///
/// Memory stays constant but for the index, about 10 bytes a video frame. Pictures of an odd size get their last column or
/// row twice. The sound has exactly the PCM samples that were given, and each video frame lasts exactly `1 / fps`.
pub struct Mp4Sink {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    audio: AudioEncoder,
    audio_track: Track,
    video: Option<(VideoEncoder, Track)>,
    mux: Mux<File>,
    output: OutputFile,
}

impl Mp4Sink {
    /// A sink for the file `path`, which is created by `begin` under a temporary name.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), open: None }
    }

    fn open(&mut self) -> Result<&mut Open, SinkError> {
        self.open.as_mut().ok_or_else(SinkError::not_begun)
    }
}

impl Open {
    fn write_ready(&mut self) -> Result<(), SinkError> {
        let mut tracks = vec![&mut self.audio_track];
        tracks.extend(self.video.as_mut().map(|(_, track)| track));
        self.mux.write_ready(&mut tracks).map_err(SinkError::io("write the file", self.output.path()))
    }
}

impl Sink for Mp4Sink {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        if self.open.is_some() {
            return Err(SinkError::begun_twice());
        }
        let audio = AudioEncoder::new(info.sample_rate)?;
        let video = match &info.video {
            Some(video) => Some((VideoEncoder::new(video)?, Track::new(video.fps.num(), video.fps.den()))),
            None => None,
        };
        let output = OutputFile::create(&self.path)?;
        let file = output.file().try_clone().map_err(SinkError::io("write the file", &self.path))?;
        let audio_track = Track::new(info.sample_rate, ACCESS_UNIT_SAMPLES as u32);
        self.open = Some(Open { audio, audio_track, video, mux: Mux::new(file), output });
        Ok(())
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        let open = self.open()?;
        let track = &mut open.audio_track;
        open.audio.encode(pcm, |unit| track.push(unit, false))?;
        open.write_ready()
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        let open = self.open()?;
        let Some((encoder, track)) = &mut open.video else {
            return Err(SinkError::Misuse("a picture in a stream without video".into()));
        };
        let unit = encoder.encode(picture)?;
        track.push(&unit.bytes, unit.is_key);
        open.write_ready()
    }

    fn cue(&mut self, _cue: &Cue) -> Result<(), SinkError> {
        self.open().map(|_| ())
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        let mut open = self.open.ok_or_else(SinkError::not_begun)?;
        if open.audio.pcm_samples() == 0 {
            return Err(SinkError::Misuse("an MP4 file without sound".into()));
        }
        let audio_track = &mut open.audio_track;
        open.audio.finish(|unit| audio_track.push(unit, false))?;
        let error = SinkError::io("write the file", &self.path);
        let mut tracks = vec![&mut open.audio_track];
        tracks.extend(open.video.as_mut().map(|(_, track)| track));
        open.mux.write_rest(&mut tracks).map_err(&error)?;
        let video = match &open.video {
            Some((encoder, track)) => Some(Video {
                track,
                size: encoder.coded_size(),
                parameters: encoder
                    .parameters()
                    .ok_or_else(|| SinkError::Misuse("a stream with video got no picture".into()))?,
            }),
            None => None,
        };
        let pcm_samples = open.audio.pcm_samples();
        let audio = Audio { track: &open.audio_track, pcm_samples, config: open.audio.config() };
        open.mux.finish(video.as_ref(), Some(&audio)).map_err(&error)?;
        open.output.commit()
    }
}
