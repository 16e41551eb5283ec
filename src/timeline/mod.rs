//! The one clock of an utterance: when every symbol starts and ends, in whole PCM samples.
//!
//! Durations are predicted in mel frames, with a fraction. They are added up in double precision and each boundary is
//! rounded once to a PCM sample; nothing is rounded symbol by symbol, so no boundary is off by more than half a PCM sample
//! however long the text is. (ParaLip, Liu et al. 2022, rounds each token to video frames instead and drifts by up to half a
//! second on a long sentence.) Mel frames, video frames of any rate and cues are all read from these boundaries by absolute
//! time, and pace, pauses and length change the boundaries alone: voice, lips and cues cannot come apart.

mod fps;

use std::ops::Range;

use thiserror::Error;

pub use fps::{Fps, FpsError};

/// PCM samples a second of everything that Paravox speaks.
pub const SAMPLE_RATE: u32 = 24_000;

/// PCM samples from one mel frame to the next: 80 mel frames a second.
pub const HOP_LENGTH: u32 = 300;

/// The longest timeline, in PCM samples: over 300 years, and exact in an `f64`.
const MAX_SAMPLES: u64 = 1 << 48;

/// When each of `S` symbols starts and ends: `S + 1` boundaries in PCM samples, the first 0, never falling.
///
/// A symbol may have no length; the whole has at least one PCM sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeline {
    boundaries: Vec<u64>,
}

/// Where in a symbol a moment lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// Index of the symbol; never one without length.
    pub symbol: usize,
    /// Seconds since the symbol's start.
    pub since_start_s: f32,
    /// Seconds to the symbol's end.
    pub to_end_s: f32,
}

/// Durations or boundaries that make no timeline.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum TimelineError {
    /// A predicted duration is negative or not finite: the weights or the input of the net are broken.
    #[error("symbol {symbol} has a duration of {mel_frames} mel frames: durations must be finite and not negative")]
    Duration {
        /// Index of the symbol.
        symbol: usize,
        /// The duration.
        mel_frames: f32,
    },
    /// A pace or scale factor is not positive and finite.
    #[error("a scale of {0} is not possible: give a positive number")]
    Scale(f64),
    /// Boundaries do not start at 0, fall, or are too large.
    #[error("boundary {index} is out of order: boundaries start at 0, never fall and stay below 2^48 PCM samples")]
    Boundary {
        /// Index of the boundary.
        index: usize,
    },
    /// The whole would not last a single PCM sample.
    #[error("nothing to say: the timeline has no length")]
    Empty,
    /// A list has another length than the timeline has symbols.
    #[error("{given} entries for a timeline of {symbols} symbols: give one for each symbol")]
    Count {
        /// Entries given.
        given: usize,
        /// Symbols of the timeline.
        symbols: usize,
    },
}

impl Timeline {
    /// Adds up durations in mel frames of `hop_length` PCM samples; `pace` 2.0 speaks twice as fast.
    ///
    /// # Errors
    /// [`TimelineError::Duration`], [`TimelineError::Scale`] for the pace, [`TimelineError::Empty`] where all is zero,
    /// [`TimelineError::Boundary`] where the sum is beyond any use.
    pub fn from_mel_frames(durations: &[f32], hop_length: u32, pace: f64) -> Result<Self, TimelineError> {
        check_scale(pace)?;
        if let Some((symbol, &mel_frames)) = durations.iter().enumerate().find(|(_, d)| !d.is_finite() || **d < 0.0) {
            return Err(TimelineError::Duration { symbol, mel_frames });
        }
        let samples_per_mel_frame = f64::from(hop_length) / pace;
        Self::from_positions(durations.iter().scan(0.0_f64, |sum, &duration| {
            *sum += f64::from(duration);
            Some(*sum * samples_per_mel_frame)
        }))
    }

    /// Takes `S + 1` boundaries in PCM samples; the first must be 0.
    ///
    /// # Errors
    /// [`TimelineError::Boundary`], [`TimelineError::Empty`].
    pub fn from_boundaries(boundaries: Vec<u64>) -> Result<Self, TimelineError> {
        let out_of_order =
            |index: usize| boundaries[index] > MAX_SAMPLES || (index > 0 && boundaries[index] < boundaries[index - 1]);
        if boundaries.first().is_some_and(|&first| first != 0) {
            return Err(TimelineError::Boundary { index: 0 });
        }
        if let Some(index) = (0..boundaries.len()).find(|&index| out_of_order(index)) {
            return Err(TimelineError::Boundary { index });
        }
        match boundaries.last() {
            Some(&total) if total > 0 => Ok(Self { boundaries }),
            _ => Err(TimelineError::Empty),
        }
    }

    /// Takes `S + 1` boundaries in seconds, as aligned corpora give them; the first must be 0.
    ///
    /// # Errors
    /// As [`Timeline::from_boundaries`]; a boundary that is not finite is out of order.
    pub fn from_seconds(boundaries_s: &[f32]) -> Result<Self, TimelineError> {
        let in_order = |pair: &[f32]| pair[0] <= pair[1];
        if boundaries_s.first().is_some_and(|&first| first != 0.0) {
            return Err(TimelineError::Boundary { index: 0 });
        }
        if let Some(index) = boundaries_s.windows(2).position(|pair| !in_order(pair)) {
            return Err(TimelineError::Boundary { index: index + 1 });
        }
        Self::from_positions(boundaries_s.iter().skip(1).map(|&seconds| f64::from(seconds) * f64::from(SAMPLE_RATE)))
    }

    /// Rounds the ends of the symbols, which never fall, to PCM samples.
    fn from_positions(ends: impl Iterator<Item = f64>) -> Result<Self, TimelineError> {
        let mut boundaries = vec![0];
        for end in ends {
            let end = end.round();
            if !(0.0..=MAX_SAMPLES as f64).contains(&end) {
                return Err(TimelineError::Boundary { index: boundaries.len() });
            }
            boundaries.push(end as u64);
        }
        Self::from_boundaries(boundaries)
    }

    /// The `S + 1` boundaries in PCM samples.
    pub fn boundaries(&self) -> &[u64] {
        &self.boundaries
    }

    /// How many symbols there are, those without length included.
    pub fn symbols(&self) -> usize {
        self.boundaries.len() - 1
    }

    /// PCM samples a second.
    pub fn sample_rate(&self) -> u32 {
        SAMPLE_RATE
    }

    /// Length of the whole in PCM samples, at least 1.
    pub fn total_samples(&self) -> u64 {
        self.boundaries[self.symbols()]
    }

    /// Length of the whole in seconds.
    pub fn total_s(&self) -> f64 {
        self.total_samples() as f64 / f64::from(SAMPLE_RATE)
    }

    /// The PCM samples of the symbols `symbols.start..symbols.end`; indices beyond the last symbol count as its end.
    pub fn span(&self, symbols: Range<usize>) -> Range<u64> {
        let boundary = |index: usize| self.boundaries[index.min(self.symbols())];
        boundary(symbols.start)..boundary(symbols.end.max(symbols.start))
    }

    /// The symbol that PCM sample `sample` belongs to; beyond the end, the last symbol with a length.
    pub fn symbol_at(&self, sample: u64) -> usize {
        // The first boundary beyond the PCM sample ends its symbol, and the boundary before is at or below it: the symbol
        // has a length.
        let sample = sample.min(self.total_samples() - 1);
        self.boundaries.partition_point(|&boundary| boundary <= sample) - 1
    }

    /// Where in its symbol PCM sample `sample` lies; beyond the end, the end itself.
    pub fn place_at(&self, sample: u64) -> Place {
        self.place_at_position(sample as f64)
    }

    /// Where in its symbol the moment `seconds` lies; moments outside of the timeline count as its nearer end.
    pub fn place_at_seconds(&self, seconds: f64) -> Place {
        self.place_at_position(seconds * f64::from(SAMPLE_RATE))
    }

    fn place_at_position(&self, position: f64) -> Place {
        let position = position.clamp(0.0, self.total_samples() as f64);
        let symbol = self.symbol_at(position as u64);
        let seconds = |samples: f64| (samples / f64::from(SAMPLE_RATE)) as f32;
        Place {
            symbol,
            since_start_s: seconds(position - self.boundaries[symbol] as f64),
            to_end_s: seconds(self.boundaries[symbol + 1] as f64 - position),
        }
    }

    /// How many mel frames cover the whole; the last one may reach beyond the end.
    pub fn mel_frames(&self) -> usize {
        self.total_samples().div_ceil(u64::from(HOP_LENGTH)) as usize
    }

    /// The place of each mel frame, read at its middle: mel frame `m` at PCM sample `300 m + 150`.
    pub fn mel_places(&self) -> Vec<Place> {
        let hop = u64::from(HOP_LENGTH);
        (0..self.mel_frames() as u64).map(|m| self.place_at(hop * m + hop / 2)).collect()
    }

    /// The places at `(i + 0.5) / hz` seconds, as many as cover the whole: the grid of a net that runs at its own rate.
    pub fn places_at_rate(&self, hz: f64) -> Vec<Place> {
        // Multiplied before divided, so that whole results come out whole.
        let rate = f64::from(SAMPLE_RATE);
        let count = (self.total_samples() as f64 * hz / rate).ceil().max(1.0) as usize;
        (0..count).map(|i| self.place_at_position((i as f64 + 0.5) * rate / hz)).collect()
    }

    /// How many video frames go with the whole: their end lies within half a video frame of its end; at least 1.
    pub fn video_frames(&self, fps: Fps) -> u64 {
        fps.video_frames(self.total_samples(), SAMPLE_RATE)
    }

    /// The place of each video frame of a timeline that starts a file: video frame `k` at `(k + 0.5) / fps`.
    pub fn video_places(&self, fps: Fps) -> Vec<Place> {
        (0..self.video_frames(fps)).map(|k| self.place_at_position(fps.video_frame_sample(k, SAMPLE_RATE))).collect()
    }

    /// The video frames that fall into this timeline when it starts at PCM sample `start_sample` of a file, each with its
    /// number in the file and its place here. Sentence after sentence these are exactly the video frames of the whole file.
    pub fn video_places_from(&self, start_sample: u64, fps: Fps) -> impl Iterator<Item = (u64, Place)> + '_ {
        fps.video_frames_between(start_sample, start_sample + self.total_samples(), SAMPLE_RATE)
            .map(move |k| (k, self.place_at_position(fps.video_frame_sample(k, SAMPLE_RATE) - start_sample as f64)))
    }

    /// Every duration times `factor`; 0.5 halves them.
    ///
    /// # Errors
    /// [`TimelineError::Scale`], [`TimelineError::Empty`], [`TimelineError::Boundary`] where the result is too long.
    pub fn scaled(&self, factor: f64) -> Result<Self, TimelineError> {
        check_scale(factor)?;
        Self::from_positions(self.boundaries.iter().skip(1).map(|&boundary| boundary as f64 * factor))
    }

    /// Pauses alone times `factor`; `is_pause` says of each symbol whether it is one. 0 takes the pauses out.
    ///
    /// # Errors
    /// As [`Timeline::scaled`], and [`TimelineError::Count`].
    pub fn with_pause_scale(&self, is_pause: &[bool], factor: f64) -> Result<Self, TimelineError> {
        if factor != 0.0 {
            check_scale(factor)?;
        }
        if is_pause.len() != self.symbols() {
            return Err(TimelineError::Count { given: is_pause.len(), symbols: self.symbols() });
        }
        let mut end = 0.0;
        Self::from_positions(self.boundaries.windows(2).zip(is_pause).map(|(symbol, &is_pause)| {
            end += (symbol[1] - symbol[0]) as f64 * if is_pause { factor } else { 1.0 };
            end
        }))
    }

    /// Every duration in proportion, so that the whole lasts exactly `total_samples` PCM samples.
    ///
    /// # Errors
    /// [`TimelineError::Empty`] for a length of 0, [`TimelineError::Boundary`] where it is beyond any use.
    pub fn fit_to(&self, total_samples: u64) -> Result<Self, TimelineError> {
        if total_samples > MAX_SAMPLES {
            return Err(TimelineError::Boundary { index: self.symbols() });
        }
        let (old, new) = (u128::from(self.total_samples()), u128::from(total_samples));
        let scale = |&boundary: &u64| ((2 * u128::from(boundary) * new + old) / (2 * old)) as u64;
        Self::from_boundaries(self.boundaries.iter().map(scale).collect())
    }

    /// Puts `next` behind this timeline: the boundaries of both stay exactly where they are in their own time.
    ///
    /// # Errors
    /// [`TimelineError::Boundary`] where the whole is too long.
    pub fn append(&mut self, next: &Self) -> Result<(), TimelineError> {
        let start = self.total_samples();
        if start + next.total_samples() > MAX_SAMPLES {
            return Err(TimelineError::Boundary { index: self.symbols() + next.symbols() });
        }
        self.boundaries.extend(next.boundaries.iter().skip(1).map(|&boundary| start + boundary));
        Ok(())
    }
}

fn check_scale(factor: f64) -> Result<(), TimelineError> {
    if factor.is_finite() && factor > 0.0 { Ok(()) } else { Err(TimelineError::Scale(factor)) }
}

#[cfg(test)]
mod tests;
