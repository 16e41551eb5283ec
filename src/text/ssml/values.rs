//! The values of SSML's attributes (Speech Synthesis Markup Language 1.1, sections 3.2.2 to 3.2.4).

use crate::text::passage::Style;

/// Bounds of what one element, and all elements together, may ask for.
const RATE: (f32, f32) = (0.2, 5.0);
const SEMITONES: f32 = 12.0;
const GAIN_DB: (f32, f32) = (-60.0, 12.0);
/// The longest single break in seconds.
const LONGEST_BREAK_S: f64 = 60.0;

/// The pace inside of an element: a word is against the voice's own pace, a percentage against the pace around.
pub(super) fn rate(value: &str, around: f32) -> Result<f32, String> {
    let rate = match value {
        "x-slow" => 0.5,
        "slow" => 0.75,
        "medium" | "default" => 1.0,
        "fast" => 1.3,
        "x-fast" => 1.7,
        _ => {
            let percent = value.strip_suffix('%').and_then(number);
            let factor = percent.map(|percent| if signed(value) { 1.0 + percent / 100.0 } else { percent / 100.0 });
            let wrong = "give x-slow, slow, medium, fast, x-fast or a percentage from 20% to 500%, such as 80% or +25%";
            let factor = factor.filter(|factor| (RATE.0..=RATE.1).contains(factor)).ok_or(wrong)?;
            around * factor
        }
    };
    Ok(rate.clamp(RATE.0, RATE.1))
}

/// The pitch inside of an element in semitones: a word is against the voice's own pitch, a number against the pitch around.
pub(super) fn semitones(value: &str, around: f32) -> Result<f32, String> {
    let semitones = match value {
        "x-low" => -6.0,
        "low" => -3.0,
        "medium" | "default" => 0.0,
        "high" => 3.0,
        "x-high" => 6.0,
        _ => {
            let percent = value.strip_suffix('%').and_then(number).map(|percent| 12.0 * (1.0 + percent / 100.0).log2());
            let change = value.strip_suffix("st").and_then(number).or(percent).filter(|_| signed(value));
            let wrong =
                "give x-low, low, medium, high, x-high, or a change of at most an octave such as +2st, -3.5st or +10%";
            around + change.filter(|change| change.abs() <= SEMITONES).ok_or(wrong)?
        }
    };
    Ok(semitones.clamp(-SEMITONES, SEMITONES))
}

/// The volume inside of an element in decibels: a word is against the voice's own, a number against that around.
pub(super) fn gain_db(value: &str, around: f32) -> Result<f32, String> {
    let gain_db = match value {
        "silent" => f32::NEG_INFINITY,
        "x-soft" => -12.0,
        "soft" => -6.0,
        "medium" | "default" => 0.0,
        "loud" => 4.0,
        "x-loud" => 8.0,
        _ => {
            let change = value.strip_suffix("dB").and_then(number).filter(|_| signed(value));
            let wrong = "give silent, x-soft, soft, medium, loud, x-loud, or a change from -60dB to +12dB such as -6dB";
            around + change.filter(|change| (GAIN_DB.0..=GAIN_DB.1).contains(change)).ok_or(wrong)?
        }
    };
    Ok(gain_db.min(GAIN_DB.1))
}

/// What emphasis of a level does to the style around: stressed words are longer, higher and louder.
pub(super) fn emphasis(level: &str, around: Style) -> Result<Style, String> {
    let (rate, semitones, gain_db) = match level {
        "strong" => (0.8, 2.0, 3.0),
        "moderate" => (0.9, 1.0, 1.5),
        "none" => (1.0, 0.0, 0.0),
        "reduced" => (1.15, -1.0, -3.0),
        _ => return Err("give strong, moderate, none or reduced".into()),
    };
    Ok(Style {
        rate: (around.rate * rate).clamp(RATE.0, RATE.1),
        semitones: (around.semitones + semitones).clamp(-SEMITONES, SEMITONES),
        gain_db: (around.gain_db + gain_db).min(GAIN_DB.1),
    })
}

/// Seconds of a break's `time`.
pub(super) fn time(value: &str) -> Result<f64, String> {
    let seconds = match value.strip_suffix("ms") {
        Some(milliseconds) => milliseconds.parse::<f64>().ok().map(|milliseconds| milliseconds / 1000.0),
        None => value.strip_suffix('s').and_then(|seconds| seconds.parse().ok()),
    };
    let seconds = seconds.filter(|seconds| (0.0..=LONGEST_BREAK_S).contains(seconds));
    seconds.ok_or_else(|| "give a time from 0 to 60 seconds, such as 500ms or 1.5s".into())
}

/// Seconds of a break's `strength`; `none` takes out the pause that would be there.
pub(super) fn strength(value: &str) -> Result<f64, String> {
    match value {
        "none" => Ok(0.0),
        "x-weak" => Ok(0.1),
        "weak" => Ok(0.2),
        "medium" => Ok(0.4),
        "strong" => Ok(0.8),
        "x-strong" => Ok(1.2),
        _ => Err("give none, x-weak, weak, medium, strong or x-strong".into()),
    }
}

fn signed(value: &str) -> bool {
    value.starts_with(['+', '-'])
}

fn number(text: &str) -> Option<f32> {
    text.parse().ok().filter(|number: &f32| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_absolute_and_numbers_relative() {
        assert_eq!(rate("slow", 1.3), Ok(0.75));
        assert_eq!(rate("50%", 0.5), Ok(0.25));
        assert_eq!(rate("+25%", 1.0), Ok(1.25));
        assert_eq!(semitones("high", -6.0), Ok(3.0));
        assert_eq!(semitones("+2st", 1.0), Ok(3.0));
        assert!((semitones("+50%", 0.0).unwrap() - 12.0 * 1.5f32.log2()).abs() < 1e-5);
        assert_eq!(semitones("-12st", -3.0), Ok(-12.0));
        assert_eq!(gain_db("-6dB", -6.0), Ok(-12.0));
        assert_eq!(gain_db("silent", 0.0), Ok(f32::NEG_INFINITY));
        assert_eq!(gain_db("+6dB", f32::NEG_INFINITY), Ok(f32::NEG_INFINITY));
    }

    #[test]
    fn times_and_strengths() {
        assert_eq!((time("500ms"), time("1.5s"), time("0s")), (Ok(0.5), Ok(1.5), Ok(0.0)));
        assert!(strength("weak").unwrap() < strength("strong").unwrap());
    }

    #[test]
    fn everything_else_is_refused_with_what_to_give() {
        for value in ["", "fast!", "%", "NaN%", "inf%", "0%", "900%", "-90%", "1.5"] {
            assert!(rate(value, 1.0).unwrap_err().starts_with("give"), "{value}");
        }
        for value in ["", "2st", "+20st", "10%", "+200Hz", "+NaNst", "-100%"] {
            assert!(semitones(value, 0.0).is_err(), "{value}");
        }
        for value in ["", "6dB", "+20dB", "+6", "50"] {
            assert!(gain_db(value, 0.0).is_err(), "{value}");
        }
        for value in ["", "1", "-1s", "61s", "NaNs", "infs", "ms"] {
            assert!(time(value).is_err(), "{value}");
        }
        assert!(strength("huge").is_err() && emphasis("huge", Style::default()).is_err());
    }
}
