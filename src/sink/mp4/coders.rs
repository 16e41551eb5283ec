//! Sound and pictures to the tracks of a file, by their encoders.

use super::aac::{ACCESS_UNIT_SAMPLES, AudioEncoder};
use super::h264::VideoEncoder;
use super::moov::{Described, Media};
use super::track::Track;
use crate::sink::{Picture, SinkError, StreamInfo};

/// The encoders of a stream and what they have made.
pub(super) struct Coders {
    audio: AudioEncoder,
    audio_track: Track,
    video: Option<(VideoEncoder, Track, u32)>,
}

impl Coders {
    pub(super) fn new(info: &StreamInfo) -> Result<Self, SinkError> {
        let video = match &info.video {
            Some(video) => Some((VideoEncoder::new(video)?, Track::new(video.fps.num()), video.fps.den())),
            None => None,
        };
        Ok(Self { audio: AudioEncoder::new(info.sample_rate)?, audio_track: Track::new(info.sample_rate), video })
    }

    pub(super) fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        let track = &mut self.audio_track;
        self.audio.encode(pcm, |unit| track.push(unit, ACCESS_UNIT_SAMPLES as u32, true))
    }

    pub(super) fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        let Some((encoder, track, ticks)) = &mut self.video else {
            return Err(SinkError::Misuse("a picture in a stream without video".into()));
        };
        let unit = encoder.encode(picture)?;
        track.push(&unit.bytes, *ticks, unit.is_key);
        Ok(())
    }

    /// Encodes what is left; the sound then ends with its last PCM sample.
    pub(super) fn finish(&mut self) -> Result<(), SinkError> {
        if self.pcm_samples() == 0 {
            return Err(SinkError::Misuse("an MP4 file without sound".into()));
        }
        let track = &mut self.audio_track;
        self.audio.finish(|unit| track.push(unit, ACCESS_UNIT_SAMPLES as u32, true))?;
        track.end_at(ACCESS_UNIT_SAMPLES + self.audio.pcm_samples());
        Ok(())
    }

    /// PCM samples given so far.
    pub(super) fn pcm_samples(&self) -> u64 {
        self.audio.pcm_samples()
    }

    /// The tracks, pictures first.
    pub(super) fn tracks(&mut self) -> Vec<&mut Track> {
        self.video.as_mut().map(|(_, track, _)| track).into_iter().chain([&mut self.audio_track]).collect()
    }

    /// The tracks with their descriptions, in the same order; `None` before the first picture of a stream that has some.
    pub(super) fn described(&self) -> Option<Vec<Described<'_>>> {
        let mut tracks = Vec::new();
        if let Some((encoder, track, _)) = &self.video {
            let media = Media::Video { size: encoder.coded_size(), parameters: encoder.parameters()? };
            tracks.push(Described { track, media });
        }
        tracks.push(Described { track: &self.audio_track, media: Media::Audio { config: self.audio.config() } });
        Some(tracks)
    }
}
