//! What the aligner's net reads: a log-mel spectrogram freed of what tells one recording from another.
//!
//! The microphone and the room multiply each band by a factor and the voice sets the level, so each band is measured from
//! its own mean over the louder half of the recording; what lies far below is cut off, because a digital silence and a
//! quiet room are one to an aligner. Neighbouring bands are mixed a little, so that the single harmonics of high voices do
//! not stand out.

/// Natural logarithms below the mean of the band at which values are cut off, and the scale of what is left.
const FLOOR: f32 = -6.0;
const SCALE: f32 = 0.5;

/// The net's input for a whole recording.
///
/// # Shapes
/// `mel` (T, n_mels), natural logarithms of magnitudes -> (T, n_mels)
pub(crate) fn features(mel: &[f32], n_mels: usize) -> Vec<f32> {
    let mut mixed = vec![0.0; mel.len()];
    for (row, out) in mel.chunks_exact(n_mels).zip(mixed.chunks_exact_mut(n_mels)) {
        mix_bands(row, out);
    }
    let levels: Vec<f32> = mixed.chunks_exact(n_mels).map(|row| row.iter().sum::<f32>()).collect();
    let mut sorted = levels.clone();
    sorted.sort_by(f32::total_cmp);
    let Some(median) = sorted.get(sorted.len() / 2) else { return mixed };
    let mut means = vec![0.0; n_mels];
    let mut count = 0.0;
    for (row, _) in mixed.chunks_exact(n_mels).zip(&levels).filter(|(_, level)| *level >= median) {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += value);
        count += 1.0;
    }
    for row in mixed.chunks_exact_mut(n_mels) {
        for (value, sum) in row.iter_mut().zip(&means) {
            *value = (*value - sum / count).max(FLOOR) * SCALE;
        }
    }
    mixed
}

/// A quarter of either neighbour, half of the band itself, as magnitudes.
fn mix_bands(row: &[f32], out: &mut [f32]) {
    let last = row.len() - 1;
    for (band, value) in out.iter_mut().enumerate() {
        let (below, above) = (row[band.saturating_sub(1)], row[(band + 1).min(last)]);
        *value = (0.25 * below.exp() + 0.5 * row[band].exp() + 0.25 * above.exp()).ln();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_and_a_level_change_nothing_but_the_depth_of_silence() {
        let mel: Vec<f32> =
            (0..40 * 8).map(|i| ((i * 37 % 101) as f32 / 25.0) - if i < 80 { 9.0 } else { 2.0 }).collect();
        // One factor for all bands: mixing bands commutes with it.
        let louder: Vec<f32> = mel.iter().map(|value| value + 1.5).collect();
        for (a, b) in features(&mel, 8).iter().zip(features(&louder, 8)) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
        assert!(features(&mel, 8).iter().all(|value| *value >= FLOOR * SCALE));
        assert!(features(&[], 8).is_empty());
    }
}
