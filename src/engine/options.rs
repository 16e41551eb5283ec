//! What a caller can ask of one utterance, checked once.

use crate::cue::VisemeSet;
use crate::error::{Error, Result};
use crate::timeline::{Fps, SAMPLE_RATE};

/// How a text is spoken and shown.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SpeakOptions {
    /// Name of a voice of the engine's package, or the path of a package folder, whose default voice is then taken, or that
    /// path and `/NAME` for another of its voices.
    /// Default: the package's default voice.
    pub voice: Option<String>,
    /// The pictures; `None` for sound alone, which costs nothing for the face. Default: `None`.
    pub video: Option<VideoOptions>,
    /// Pace from 0.5 (half as fast) to 2. Default: 1.
    pub speed: f64,
    /// Fits the whole to exactly this many seconds, by PCM sample. Default: the natural length.
    pub length_s: Option<f64>,
    /// Silence added after each sentence in seconds, 0 to 10. Default: 0, the pauses of the voice itself.
    pub pause_s: f64,
    /// Same text, options and seed: same bytes. Default: 0.
    pub seed: u64,
    /// The set that viseme cues are of. Default: Oculus.
    pub visemes: VisemeSet,
}

impl Default for SpeakOptions {
    fn default() -> Self {
        Self {
            voice: None,
            video: None,
            speed: 1.0,
            length_s: None,
            pause_s: 0.0,
            seed: 0,
            visemes: VisemeSet::default(),
        }
    }
}

/// How the face is shown.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct VideoOptions {
    /// Name of a face of the package, or the path of a face's folder. Default: the package's default face.
    pub face: Option<String>,
    /// Video frames a second. Default: 25.
    pub fps: Fps,
    /// Whether the head holds still and the eyes stay open. Default: `false`, where the face has a performance.
    pub still: bool,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self { face: None, fps: Fps::FPS_25, still: false }
    }
}

impl VideoOptions {
    /// The default face at 25 video frames a second.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the face.
    pub fn face(mut self, face: impl Into<String>) -> Self {
        self.face = Some(face.into());
        self
    }

    /// Chooses the video frame rate.
    pub fn fps(mut self, fps: Fps) -> Self {
        self.fps = fps;
        self
    }

    /// Chooses whether the head holds still.
    pub fn still(mut self, still: bool) -> Self {
        self.still = still;
        self
    }
}

impl SpeakOptions {
    /// Sound alone, the default voice, natural pace.
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the voice.
    pub fn voice(mut self, voice: impl Into<String>) -> Self {
        self.voice = Some(voice.into());
        self
    }

    /// Adds pictures.
    pub fn video(mut self, video: VideoOptions) -> Self {
        self.video = Some(video);
        self
    }

    /// Chooses the pace.
    pub fn speed(mut self, speed: f64) -> Self {
        self.speed = speed;
        self
    }

    /// Fits the whole to a length in seconds.
    pub fn length_s(mut self, length_s: f64) -> Self {
        self.length_s = Some(length_s);
        self
    }

    /// Adds silence after each sentence.
    pub fn pause_s(mut self, pause_s: f64) -> Self {
        self.pause_s = pause_s;
        self
    }

    /// Chooses the seed of what is random in speech: the noise of breath and fricatives.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Chooses the set of visemes.
    pub fn visemes(mut self, visemes: VisemeSet) -> Self {
        self.visemes = visemes;
        self
    }

    /// Says what is out of range.
    pub(crate) fn check(&self) -> Result<()> {
        let Self { speed, pause_s, .. } = *self;
        if !(0.5..=2.0).contains(&speed) {
            return Err(Error::Request(format!("a speed of {speed} is out of range: give 0.5 to 2")));
        }
        if !(0.0..=10.0).contains(&pause_s) {
            return Err(Error::Request(format!("a pause of {pause_s} s is out of range: give 0 to 10")));
        }
        match self.length_s {
            Some(length_s) if !(0.1..=86_400.0).contains(&length_s) => {
                Err(Error::Request(format!("a length of {length_s} s is out of range: give 0.1 to 86400")))
            }
            _ => Ok(()),
        }
    }

    /// The length asked for in PCM samples.
    pub(crate) fn length_samples(&self) -> Option<u64> {
        self.length_s.map(|length_s| (length_s * f64::from(SAMPLE_RATE)).round() as u64)
    }

    /// Where a stream of `total_samples` PCM samples of speech ends: (PCM samples, video frames).
    ///
    /// Sound that has a natural length gets silence up to the end of its last video frame, so that both end together; a
    /// length that was asked for is kept to the sample, and the video ends within half a video frame of it.
    pub(crate) fn end_of(&self, total_samples: u64) -> (u64, u64) {
        let Some(VideoOptions { fps, .. }) = self.video else { return (total_samples, 0) };
        if self.length_s.is_some() {
            return (total_samples, fps.video_frames(total_samples, SAMPLE_RATE));
        }
        let (num, period) = (u128::from(fps.num()), u128::from(fps.den()) * u128::from(SAMPLE_RATE));
        let video_frames = (u128::from(total_samples) * num).div_ceil(period).max(1);
        let end = (video_frames * period).div_ceil(num);
        (end as u64, video_frames as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn out_of_range_is_a_request_error() {
        let options = SpeakOptions::new();
        assert!(options.check().is_ok());
        for bad in [
            options.clone().speed(0.0),
            options.clone().speed(f64::NAN),
            options.clone().speed(2.1),
            options.clone().pause_s(-1.0),
            options.clone().length_s(0.0),
            options.clone().length_s(f64::INFINITY),
        ] {
            assert!(matches!(bad.check(), Err(Error::Request(_))), "{bad:?}");
        }
    }

    #[test]
    fn sound_and_video_end_together() {
        for fps in ["23.976", "25", "29.97", "30", "50", "60"] {
            let fps: Fps = fps.parse().unwrap();
            let options = SpeakOptions::new().video(VideoOptions::new().fps(fps));
            for total in [1u64, 959, 960, 961, 24_000, 71_999, 1_000_001] {
                let (end, video_frames) = options.end_of(total);
                assert!(end >= total && video_frames >= 1);
                let difference = end as f64 / 24_000.0 - video_frames as f64 / fps.as_f64();
                assert!((-1e-9..1.0 / 24_000.0).contains(&difference), "{fps} {total} {difference}");
            }
        }
        let fitted = SpeakOptions::new().video(VideoOptions::new()).length_s(1.0);
        assert_eq!(fitted.end_of(24_000), (24_000, 25));
        assert_eq!(SpeakOptions::new().end_of(77), (77, 0));
    }
}
