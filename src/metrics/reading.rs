//! How well generated lips can be read, and how alike they are to real ones in a lip reader's eyes.
//!
//! The reader is this project's own ([`crate::reader`]), so its figures stand beside those of the real clips, read by the
//! same reader, and are not to be compared with other readers'.

use super::frechet::Gaussian;
use super::{ClipPair, Figure, Metric};
use crate::reader::{Errors, Reader, Seen};
use crate::text::Symbol;
use crate::train::Result;

/// What a reader saw in a generated clip and in the real one, and what is said in both.
#[derive(Debug, Clone, Copy)]
pub struct SeenPair<'a> {
    /// The generated clip.
    pub generated: &'a Seen,
    /// The real one.
    pub real: &'a Seen,
    /// What is said.
    pub symbols: &'a [Symbol],
}

/// Phonemes read wrongly over phonemes said.
#[derive(Debug, Clone, Copy, Default)]
pub struct PhonemeErrorRate {
    of_real: bool,
    errors: Errors,
}

impl PhonemeErrorRate {
    /// Of generated clips.
    pub fn generated() -> Self {
        Self::default()
    }

    /// Of the real ones: what the reader itself gets wrong.
    pub fn real() -> Self {
        Self { of_real: true, ..Self::default() }
    }
}

impl Metric<SeenPair<'_>> for PhonemeErrorRate {
    fn name(&self) -> &'static str {
        if self.of_real { "lip_reading_per_real" } else { "lip_reading_per" }
    }

    fn unit(&self) -> &'static str {
        ""
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn update(&mut self, pair: &SeenPair<'_>) {
        let seen = if self.of_real { pair.real } else { pair.generated };
        self.errors += seen.errors(pair.symbols);
    }

    fn value(&self) -> Option<f64> {
        (self.errors.phonemes > 0).then(|| self.errors.edits as f64 / self.errors.phonemes as f64)
    }
}

/// Fréchet distance of the features of all generated and all real video frames.
#[derive(Debug, Clone)]
pub struct ReaderFrechet {
    generated: Gaussian,
    real: Gaussian,
}

impl ReaderFrechet {
    /// Over features of `width` numbers.
    pub fn new(width: usize) -> Self {
        Self { generated: Gaussian::new(width), real: Gaussian::new(width) }
    }
}

impl Metric<SeenPair<'_>> for ReaderFrechet {
    fn name(&self) -> &'static str {
        "reader_frechet"
    }

    fn unit(&self) -> &'static str {
        ""
    }

    fn higher_is_better(&self) -> bool {
        false
    }

    fn update(&mut self, pair: &SeenPair<'_>) {
        self.generated.add(&pair.generated.features);
        self.real.add(&pair.real.features);
    }

    fn value(&self) -> Option<f64> {
        self.generated.frechet_distance(&self.real)
    }
}

/// A reader, and what it makes of pairs of clips.
pub(crate) struct ReadingMetrics<'a> {
    reader: &'a Reader,
    generated: PhonemeErrorRate,
    real: PhonemeErrorRate,
    frechet: ReaderFrechet,
}

impl<'a> ReadingMetrics<'a> {
    pub(crate) fn new(reader: &'a Reader) -> Self {
        Self {
            generated: PhonemeErrorRate::generated(),
            real: PhonemeErrorRate::real(),
            frechet: ReaderFrechet::new(reader.feature_width()),
            reader,
        }
    }

    /// Reads both clips.
    pub(crate) fn update(&mut self, clips: &ClipPair<'_>, symbols: &[Symbol]) -> Result<()> {
        let (generated, real) = (self.reader.look(clips.generated)?, self.reader.look(clips.real)?);
        let pair = SeenPair { generated: &generated, real: &real, symbols };
        self.generated.update(&pair);
        self.real.update(&pair);
        self.frechet.update(&pair);
        Ok(())
    }

    pub(crate) fn figures(&self) -> Vec<Figure> {
        let all: [&dyn for<'b> Metric<SeenPair<'b>>; 3] = [&self.generated, &self.real, &self.frechet];
        all.into_iter().filter_map(|metric| Figure::of(metric)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Phoneme, SentenceKind};

    fn seen(phonemes: &[Phoneme], features: &[f32]) -> Seen {
        Seen::of(features.to_vec(), 1, phonemes.to_vec())
    }

    #[test]
    fn figures_are_their_definitions_over_all_clips() {
        let symbols = [Phoneme::Silence, Phoneme::B, Phoneme::Iy, Phoneme::Silence]
            .map(|phoneme| Symbol::pause(phoneme, SentenceKind::Statement));
        let (mut generated, mut real) = (PhonemeErrorRate::generated(), PhonemeErrorRate::real());
        let mut frechet = ReaderFrechet::new(1);
        assert_eq!((generated.value(), frechet.value()), (None, None));
        for (read, features) in [(&[Phoneme::B, Phoneme::Iy][..], [1.0, 3.0]), (&[Phoneme::P], [2.0, 2.0])] {
            let (made, true_) = (seen(read, &features), seen(&[Phoneme::B], &features.map(|x| 3.0 * x)));
            let pair = SeenPair { generated: &made, real: &true_, symbols: &symbols };
            generated.update(&pair);
            real.update(&pair);
            frechet.update(&pair);
        }
        assert_eq!((generated.value(), real.value()), (Some(0.5), Some(0.5)));
        // Means 2 and 6; deviations s and 3 s with s^2 = 2/3: (6 - 2)^2 + (3 s - s)^2.
        let expected = 16.0 + 4.0 * 2.0 / 3.0;
        assert!((frechet.value().unwrap() - expected).abs() < 1e-9);
    }
}
