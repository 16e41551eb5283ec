//! The corpus of a teacher voice: synthetic speech whose durations and F0 are known exactly.
//!
//! `corpus.jsonl` has one object a line: `id` (the recording is `wavs/ID.flac` or `.wav`), `text`, `phonemes` (the
//! teacher's alphabet), `durations` (one number for each character of `phonemes` and one for the pad at either end, in
//! units of 25 ms) and `f0` (Hz for every 12.5 ms, 0 = unvoiced). Other fields are passed over.

use std::path::Path;

use serde::Deserialize;

use super::recording_path;
use super::speech::Spoken;
use crate::data::{DataError, Result, audio};
use crate::text::phonemes::fold_durations;

/// Mel frames of one unit of `durations`: 25 ms of 12.5 ms each.
const MEL_FRAMES_PER_UNIT: usize = 2;

/// Mel frames by which the teacher's boundaries lag behind its sound.
///
/// Measured by forced alignment (PocketSphinx) of 60 sentences of the voice "heart": over 3,367 phones the sound begins and
/// ends 60 ms (median; 37 to 78 ms by phoneme) before the durations say so. Lips and captions read the same boundaries as
/// the sound, so the lag is taken off here, once: out of the silence that opens the sentence, into the one that closes it.
const LAG_MEL_FRAMES: u32 = 5;

/// One line of `corpus.jsonl`.
#[derive(Debug, Deserialize)]
pub(super) struct TeacherRow {
    pub(super) id: String,
    pub(super) text: String,
    phonemes: String,
    durations: Vec<u32>,
    f0: Vec<f32>,
}

/// Reads the recording of a row and fits everything to the length that the durations give.
pub(super) fn read(corpus: &Path, row: &TeacherRow, sample_rate: u32, hop_length: usize) -> Result<Spoken> {
    let refuse = |why: String| DataError::item(&row.id, why);
    let (symbols, units) = fold_durations(&row.phonemes, &row.durations).map_err(|e| refuse(e.to_string()))?;
    let mut durations: Vec<u32> = units.iter().map(|&unit| unit * MEL_FRAMES_PER_UNIT as u32).collect();
    advance(&mut durations, LAG_MEL_FRAMES)
        .ok_or_else(|| refuse(format!("it opens with less than {LAG_MEL_FRAMES} mel frames of silence")))?;
    let mel_frames: usize = durations.iter().map(|&d| d as usize).sum();
    let recording = audio::read(&recording_path(corpus, &row.id)?)?.resampled(sample_rate);
    let pcm_samples = mel_frames * hop_length;
    if recording.pcm.len().abs_diff(pcm_samples) > MEL_FRAMES_PER_UNIT * hop_length {
        let why = format!("{pcm_samples} PCM samples by its durations, but the recording has {}", recording.pcm.len());
        return Err(refuse(why));
    }
    if row.f0.len().abs_diff(mel_frames) > MEL_FRAMES_PER_UNIT {
        return Err(refuse(format!("{mel_frames} mel frames by its durations, but {} values of F0", row.f0.len())));
    }
    let mut pcm = recording.pcm;
    pcm.resize(pcm_samples, 0.0);
    let mut f0_hz = row.f0.clone();
    f0_hz.resize(mel_frames, 0.0);
    Ok(Spoken { symbols, durations: Some(durations), f0_hz, pcm })
}

/// Moves every inner boundary `by` mel frames earlier; `None` where the first symbol is too short for that.
fn advance(durations: &mut [u32], by: u32) -> Option<()> {
    let [first, .., last] = durations else { return None };
    *first = first.checked_sub(by)?;
    *last += by;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advancing_moves_inner_boundaries_alone() {
        let mut durations = [26, 4, 6, 10];
        assert_eq!(advance(&mut durations, 5), Some(()));
        assert_eq!(durations, [21, 4, 6, 15]);
        assert_eq!(advance(&mut [4, 4], 5), None);
        assert_eq!(advance(&mut [9], 5), None);
    }
}
