//! Errors of predicted durations: of each symbol, and of whole clips in video frames.

use super::{ClipPair, Mean, Metric};
use crate::timeline::Timeline;

/// When a clip says what, as predicted and as recorded.
#[derive(Debug, Clone, Copy)]
pub struct ClockPair<'a> {
    /// The predicted symbols' times.
    pub predicted: &'a Timeline,
    /// The same symbols' true times.
    pub real: &'a Timeline,
}

/// Mean absolute error of the symbols' durations.
#[derive(Debug, Clone, Default)]
pub struct DurationError(Mean);

/// Mean absolute error of the clips' lengths.
#[derive(Debug, Clone, Default)]
pub struct LengthError(Mean);

impl Metric<ClockPair<'_>> for DurationError {
    fn name(&self) -> &'static str {
        "duration_error"
    }

    fn unit(&self) -> &'static str {
        "ms"
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn update(&mut self, clocks: &ClockPair<'_>) {
        let durations = |timeline: &Timeline| -> Vec<u64> {
            timeline.boundaries().windows(2).map(|ends| ends[1] - ends[0]).collect()
        };
        let ms_per_sample = 1e3 / f64::from(clocks.real.sample_rate());
        for (predicted, real) in durations(clocks.predicted).into_iter().zip(durations(clocks.real)) {
            self.0.add(predicted.abs_diff(real) as f64 * ms_per_sample);
        }
    }

    fn value(&self) -> Option<f64> {
        self.0.value()
    }
}

impl Metric<ClipPair<'_>> for LengthError {
    fn name(&self) -> &'static str {
        "length_error"
    }

    fn unit(&self) -> &'static str {
        "video frames"
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn update(&mut self, clips: &ClipPair<'_>) {
        let bytes = clips.video_frame_bytes().max(1);
        self.0.add((clips.generated.len() / bytes).abs_diff(clips.real.len() / bytes) as f64);
    }

    fn value(&self) -> Option<f64> {
        self.0.value()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_absolute_and_averaged_over_symbols_and_clips() {
        // Symbols of 50, 100 and 50 ms beside 75, 50 and 50: errors of 25, 50 and 0.
        let predicted = Timeline::from_seconds(&[0.0, 0.05, 0.15, 0.2]).unwrap();
        let real = Timeline::from_seconds(&[0.0, 0.075, 0.125, 0.175]).unwrap();
        let (mut duration, mut length) = (DurationError::default(), LengthError::default());
        for video_frames in [(5, 4), (4, 7)] {
            duration.update(&ClockPair { predicted: &predicted, real: &real });
            let [generated, real] = [vec![0; 3 * video_frames.0], vec![0; 3 * video_frames.1]];
            length.update(&ClipPair { size: (1, 1), generated: &generated, real: &real, sentence: (0, 0) });
        }
        assert!((duration.value().unwrap() - 25.0).abs() < 1e-9);
        assert_eq!(length.value(), Some(2.0));
    }
}
