//! Video frame rates as exact fractions, and the absolute grid of video frames that they set.
//!
//! Video frame `k` covers the time from `k / fps` to `(k + 1) / fps` and shows its middle, `(k + 0.5) / fps`. All positions
//! are computed in integers from `k`, never by adding up a period, so no text is long enough to drift.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A video frame rate in video frames a second, as a reduced fraction: 25/1, 30000/1001.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fps {
    num: u32,
    den: u32,
}

/// A text or fraction that is no usable video frame rate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is no video frame rate: give a number from 1 to 240 such as 25, 29.97 or 30000/1001")]
pub struct FpsError(String);

impl Fps {
    /// 25 video frames a second.
    pub const FPS_25: Self = Self { num: 25, den: 1 };

    /// The rate `num / den`, from 1 to 240 video frames a second.
    ///
    /// # Errors
    /// [`FpsError`] where the rate is outside of that range or `den` is 0.
    pub fn new(num: u32, den: u32) -> Result<Self, FpsError> {
        let divisor = gcd(num, den).max(1);
        let (num, den) = (num / divisor, den / divisor);
        // The bound on `den` keeps every later product far inside u128 and the MP4 time scale inside u32.
        if den == 0 || den > 100_000 || num < den || u64::from(num) > 240 * u64::from(den) {
            return Err(FpsError(format!("{num}/{den}")));
        }
        Ok(Self { num, den })
    }

    /// Numerator of the reduced fraction.
    pub fn num(self) -> u32 {
        self.num
    }

    /// Denominator of the reduced fraction: 1, or 1001 for the NTSC rates.
    pub fn den(self) -> u32 {
        self.den
    }

    /// The rate in video frames a second.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }

    /// The moment in seconds that video frame `k` shows: `(k + 0.5) / fps`.
    pub fn video_frame_time(self, k: u64) -> f64 {
        (2 * k + 1) as f64 * f64::from(self.den) / (2.0 * f64::from(self.num))
    }

    /// [`Fps::video_frame_time`] in PCM samples, with the fraction of a PCM sample that most rates have.
    pub fn video_frame_sample(self, k: u64, sample_rate: u32) -> f64 {
        let twice_num = 2 * u128::from(self.num);
        let position = u128::from(2 * k + 1) * u128::from(self.den) * u128::from(sample_rate);
        (position / twice_num) as f64 + (position % twice_num) as f64 / twice_num as f64
    }

    /// How many video frames `total_samples` PCM samples have: the count whose end lies within half a video frame of the
    /// end of the sound, and at least 1.
    pub fn video_frames(self, total_samples: u64, sample_rate: u32) -> u64 {
        self.first_at_or_after(total_samples, sample_rate).max(1)
    }

    /// The video frames whose moment lies in the PCM samples `start_sample..end_sample` of one file.
    ///
    /// Ranges that meet give video frames that meet: a text can be shown sentence by sentence and has exactly the video
    /// frames of the whole. A short range may have none.
    pub fn video_frames_between(self, start_sample: u64, end_sample: u64, sample_rate: u32) -> Range<u64> {
        let start = self.first_at_or_after(start_sample, sample_rate);
        start..self.first_at_or_after(end_sample, sample_rate).max(start)
    }

    /// The first `k` with `(k + 1/2) den rate / num >= sample`, so also the number of video frames shown before `sample`.
    fn first_at_or_after(self, sample: u64, sample_rate: u32) -> u64 {
        let period = u128::from(self.den) * u128::from(sample_rate);
        let twice = 2 * u128::from(self.num) * u128::from(sample);
        u64::try_from(twice.saturating_sub(period).div_ceil(2 * period)).unwrap_or(u64::MAX)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

impl fmt::Display for Fps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.den {
            1 => write!(f, "{}", self.num),
            den => write!(f, "{}/{den}", self.num),
        }
    }
}

impl FromStr for Fps {
    type Err = FpsError;

    /// Reads `25`, `12.5`, `30000/1001` and the usual short forms of the NTSC rates: 23.976 (23.98), 29.97, 59.94, 119.88.
    fn from_str(text: &str) -> Result<Self, FpsError> {
        let refuse = || FpsError(text.to_owned());
        let text_trimmed = text.trim();
        let fraction = match text_trimmed {
            "23.976" | "23.98" => Some((24_000, 1001)),
            "29.97" => Some((30_000, 1001)),
            "59.94" => Some((60_000, 1001)),
            "119.88" => Some((120_000, 1001)),
            other => match (other.split_once('/'), other.split_once('.')) {
                (Some((num, den)), _) => Some((digits(num).ok_or_else(refuse)?, digits(den).ok_or_else(refuse)?)),
                (None, Some((whole, part))) if (1..=4).contains(&part.len()) => {
                    let den = 10_u32.pow(part.len() as u32);
                    let whole = digits(whole).ok_or_else(refuse)?;
                    let part = digits(part).ok_or_else(refuse)?;
                    whole.checked_mul(den).and_then(|whole| whole.checked_add(part)).map(|num| (num, den))
                }
                (None, Some(_)) => None,
                (None, None) => Some((digits(other).ok_or_else(refuse)?, 1)),
            },
        };
        let (num, den) = fraction.ok_or_else(refuse)?;
        Self::new(num, den).map_err(|_| refuse())
    }
}

/// Reads decimal digits only: `u32::from_str` would also take a sign.
fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

impl TryFrom<String> for Fps {
    type Error = FpsError;

    fn try_from(text: String) -> Result<Self, FpsError> {
        text.parse()
    }
}

impl From<Fps> for String {
    fn from(fps: Fps) -> Self {
        fps.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_way_to_write_a_rate() {
        for (text, num, den) in [
            ("25", 25, 1),
            ("50/2", 25, 1),
            ("25.0", 25, 1),
            ("12.5", 25, 2),
            ("23.976", 24_000, 1001),
            ("23.98", 24_000, 1001),
            ("29.97", 30_000, 1001),
            ("30000/1001", 30_000, 1001),
            ("59.94", 60_000, 1001),
            (" 60 ", 60, 1),
            ("1", 1, 1),
            ("240", 240, 1),
        ] {
            let fps: Fps = text.parse().unwrap();
            assert_eq!((fps.num(), fps.den()), (num, den), "{text}");
            assert_eq!(fps.to_string().parse::<Fps>().unwrap(), fps, "{text}");
        }
        for text in [
            "",
            "0",
            "-25",
            "+25",
            "241",
            "0.5",
            "25/0",
            "0/0",
            "x",
            "2 5",
            "25.",
            ".",
            "/",
            "25/",
            "1e2",
            "99999999999",
            "nan",
            "25.00001",
        ] {
            let error = text.parse::<Fps>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("\"{text}\" is no video frame rate")), "{error}");
        }
    }

    #[test]
    fn video_frames_show_their_middle() {
        assert_eq!(Fps::FPS_25.video_frame_time(0), 0.02);
        assert_eq!(Fps::FPS_25.video_frame_sample(2, 24_000), 2400.0);
        let ntsc: Fps = "29.97".parse().unwrap();
        // (k + 1/2) * 1001 / 30000 s * 24000 = (k + 1/2) * 800.8
        assert!((ntsc.video_frame_sample(1_000_000, 24_000) - 800_800_400.4).abs() < 1e-6);
    }

    #[test]
    fn a_video_frame_belongs_to_the_range_that_holds_its_middle() {
        // 25 fps: 960 PCM samples a video frame, middles at 480, 1440, 2400.
        let between = |start, end| Fps::FPS_25.video_frames_between(start, end, 24_000);
        assert_eq!(between(0, 480), 0..0);
        assert_eq!(between(0, 481), 0..1);
        assert_eq!(between(480, 481), 0..1);
        assert_eq!(between(481, 1440), 1..1);
        assert_eq!(between(481, 1441), 1..2);
        assert_eq!(Fps::FPS_25.video_frames(1, 24_000), 1);
        assert_eq!(Fps::FPS_25.video_frames(72_000, 24_000), 75);
    }
}
