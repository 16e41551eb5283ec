//! What a style does to the sound of a sentence: pitch moves F0 between mel decoder and vocoder, volume scales the PCM.
//!
//! Styles belong to symbols; at their edges pitch and volume glide over some mel frames, so that nothing jumps or clicks.

use std::ops::Range;

use crate::text::Style;
use crate::timeline::{HOP_LENGTH, SAMPLE_RATE, Timeline};

/// Mel frames on either side over which an edge of pitch and of volume is spread: 50 and 25 ms.
const PITCH_GLIDE: usize = 4;
const GAIN_GLIDE: usize = 2;
/// Semitones by which a question that rises ends above where it would have ended: from five below the middle of the voice,
/// as measured, to five above it.
const RISE_SEMITONES: f32 = 10.0;
/// The time in which it gets there: voices fade long before the last sound of a sentence ends.
const RISE_S: f32 = 0.12;
/// Beyond this magnitude louder PCM is bent towards 1 instead of being cut off there.
const KNEE: f32 = 0.8;

/// Factors of F0 and of the PCM for every mel frame of a sentence.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contour {
    f0: Vec<f32>,
    gain: Vec<f32>,
}

impl Contour {
    /// The contour of a sentence's symbols, whose `rise` lifts the end of a question; `None` where neither that nor the
    /// styles change pitch or volume.
    pub(crate) fn new(styles: &[Style], rise: Option<Range<usize>>, timeline: &Timeline) -> Option<Self> {
        let plain = styles.iter().all(|style| style.semitones == 0.0 && style.gain_db == 0.0);
        if plain && rise.is_none() {
            return None;
        }
        let styles =
            timeline.mel_places().into_iter().map(|place| styles.get(place.symbol).copied().unwrap_or_default());
        let styles: Vec<Style> = styles.collect();
        let mut semitones: Vec<f32> = styles.iter().map(|style| style.semitones).collect();
        if let Some(rise) = rise {
            let span = timeline.span(rise);
            let length = ((span.end - span.start).max(1) as f32).min(RISE_S * SAMPLE_RATE as f32);
            let start = span.start as f32;
            for (mel_frame, semitones) in semitones.iter_mut().enumerate() {
                let middle = (mel_frame as f32 + 0.5) * HOP_LENGTH as f32;
                *semitones += RISE_SEMITONES * ((middle - start) / length).clamp(0.0, 1.0);
            }
        }
        let gain: Vec<f32> = styles.iter().map(|style| 10f32.powf(style.gain_db / 20.0)).collect();
        let f0 = smoothed(&semitones, PITCH_GLIDE).iter().map(|semitones| (semitones / 12.0).exp2()).collect();
        Some(Self { f0, gain: smoothed(&gain, GAIN_GLIDE) })
    }

    /// Scales the F0 of mel frames from `first` on.
    pub(crate) fn bend(&self, f0_hz: &mut [f32], first: usize) {
        f0_hz.iter_mut().zip(self.f0.iter().skip(first)).for_each(|(f0_hz, factor)| *f0_hz *= factor);
    }

    /// Scales PCM samples from `first` on. The gain of a mel frame holds in its middle; between the middles it is on a line.
    pub(crate) fn scale(&self, pcm: &mut [f32], first: usize) {
        let hop = HOP_LENGTH as f32;
        let last = self.gain.len() - 1;
        for (i, value) in pcm.iter_mut().enumerate() {
            let position = ((first + i) as f32 / hop - 0.5).clamp(0.0, last as f32);
            let before = position as usize;
            let (a, b) = (self.gain[before], self.gain[(before + 1).min(last)]);
            let gain = a + (position - before as f32) * (b - a);
            *value *= gain;
            if gain > 1.0 && value.abs() > KNEE {
                let over = (value.abs() - KNEE) / (1.0 - KNEE);
                *value = value.signum() * (KNEE + (1.0 - KNEE) * over.tanh());
            }
        }
    }
}

/// The mean over `reach` values on either side; values beyond the ends are the last there is.
fn smoothed(values: &[f32], reach: usize) -> Vec<f32> {
    let at = |i: usize, offset: usize| values[(i + offset).saturating_sub(reach).min(values.len() - 1)];
    let mean = |i: usize| (0..=2 * reach).map(|offset| at(i, offset)).sum::<f32>() / (2 * reach + 1) as f32;
    (0..values.len()).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline() -> Timeline {
        Timeline::from_boundaries(vec![0, 6000, 12_000]).unwrap()
    }

    #[test]
    fn plain_styles_have_no_contour() {
        let fast = Style { rate: 2.0, ..Style::default() };
        assert_eq!(Contour::new(&[fast, Style::default()], None, &timeline()), None);
        assert_eq!(Contour::new(&[], None, &timeline()), None);
    }

    #[test]
    fn pitch_and_volume_reach_their_values_and_glide_between() {
        let high = Style { semitones: 12.0, gain_db: -20.0, ..Style::default() };
        let contour = Contour::new(&[Style::default(), high], None, &timeline()).unwrap();
        let mut f0_hz = [100.0; 40];
        contour.bend(&mut f0_hz, 0);
        assert!((f0_hz[10] - 100.0).abs() < 1e-3 && (f0_hz[30] - 200.0).abs() < 1e-3, "{f0_hz:?}");
        assert!(f0_hz.windows(2).all(|pair| pair[1] >= pair[0] && pair[1] < pair[0] * 1.1));
        let mut pcm = vec![0.5; 12_000];
        contour.scale(&mut pcm, 0);
        assert!((pcm[3000] - 0.5).abs() < 1e-6 && (pcm[9000] - 0.05).abs() < 1e-6);
        // No step that could be heard as a click.
        assert!(pcm.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 1e-3));
        // In pieces as in one go.
        let mut piece = vec![0.5; 1000];
        contour.scale(&mut piece, 5500);
        assert_eq!(piece, pcm[5500..6500]);
    }

    #[test]
    fn questions_rise_from_their_last_stress_on() {
        let contour = Contour::new(&[], Some(1..2), &timeline()).unwrap();
        let mut f0_hz = [100.0; 40];
        contour.bend(&mut f0_hz, 0);
        assert_eq!(f0_hz[10], 100.0);
        assert!(f0_hz.windows(2).all(|pair| pair[1] >= pair[0]));
        let semitones = 12.0 * (f0_hz[39] / 100.0f32).log2();
        assert!((semitones - RISE_SEMITONES).abs() < 0.1, "{semitones}");
        let mut pcm = vec![0.9; 600];
        contour.scale(&mut pcm, 0);
        assert_eq!(pcm, [0.9; 600]);
    }

    #[test]
    fn louder_speech_never_leaves_the_range() {
        let loud = Style { gain_db: 12.0, ..Style::default() };
        let contour = Contour::new(&[loud, loud], None, &timeline()).unwrap();
        let mut pcm: Vec<f32> = (0..12_000).map(|i| (i as f32 * 0.05).sin()).collect();
        contour.scale(&mut pcm, 0);
        assert!(pcm.iter().all(|value| value.abs() <= 1.0));
        let mut quiet = vec![0.1; 600];
        contour.scale(&mut quiet, 3000);
        assert!((quiet[0] - 0.398).abs() < 1e-3);
        let silent = Style { gain_db: f32::NEG_INFINITY, ..Style::default() };
        let contour = Contour::new(&[silent, silent], None, &timeline()).unwrap();
        contour.scale(&mut pcm, 0);
        assert!(pcm.iter().all(|value| *value == 0.0));
    }
}
