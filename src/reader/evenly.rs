//! Times of symbols to start from: spread evenly over the time in which the lips move, as speech recognisers start flat.

use super::view::{Look, VIEW_PIXELS, views};
use crate::face::CROP_BYTES;
use crate::text::Symbol;

/// Video frames on each side of one over which its movement is averaged.
const SMOOTHING: usize = 2;

/// The times of the edges of `symbols` in a film of whole crops, at least one, in seconds, one more than symbols: pauses at
/// the ends last while the lips are at rest.
pub(crate) fn spread_evenly(crops: &[u8], symbols: &[Symbol], fps: f64) -> Vec<f32> {
    let n_video_frames = crops.len() / CROP_BYTES;
    let said = |symbol: &&Symbol| !symbol.phoneme.is_pause();
    let leading = symbols.iter().take_while(|symbol| !said(symbol)).count();
    let trailing = symbols[leading..].iter().rev().take_while(|symbol| !said(symbol)).count();
    let (moving, inner) = (moving(crops), symbols.len() - leading - trailing);
    let start = match leading {
        0 => 0.0,
        // Nothing is said.
        all if all == symbols.len() => n_video_frames as f64,
        _ => moving.start as f64,
    };
    let end = if trailing == 0 { n_video_frames as f64 } else { moving.end as f64 };
    let edge = |i: usize| match i.checked_sub(leading) {
        None => start * i as f64 / leading as f64,
        Some(i) if i <= inner => start + (end - start) * i as f64 / inner.max(1) as f64,
        Some(i) => end + (n_video_frames as f64 - end) * (i - inner) as f64 / trailing as f64,
    };
    (0..=symbols.len()).map(|i| (edge(i) / fps) as f32).collect()
}

/// From the first to the last video frame that moves at least half as much as lips do at most: half way from the lowest
/// tenth of all movements to the highest.
fn moving(crops: &[u8]) -> std::ops::Range<usize> {
    let n = crops.len() / CROP_BYTES;
    let views = views(crops, 0..n, Look::default());
    let step = |k: usize| {
        let [before, now] = [k.saturating_sub(1), k].map(|k| &views[k * VIEW_PIXELS..][..VIEW_PIXELS]);
        before.iter().zip(now).map(|(a, b)| (a - b).abs()).sum::<f32>()
    };
    let steps: Vec<f32> = (0..n).map(step).collect();
    let smooth = |k: usize| {
        let near = &steps[k.saturating_sub(SMOOTHING)..(k + SMOOTHING + 1).min(n)];
        near.iter().sum::<f32>() / near.len() as f32
    };
    let movement: Vec<f32> = (0..n).map(smooth).collect();
    let mut sorted = movement.clone();
    sorted.sort_by(f32::total_cmp);
    let half = (sorted[n / 10] + sorted[n - 1 - n / 10]) / 2.0;
    let moves = |k: &usize| movement[*k] >= half;
    let first = (0..n).find(moves).unwrap_or(0);
    let last = (0..n).rev().find(moves).unwrap_or(n - 1);
    first..last + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::SentenceKind;
    use crate::text::phonemes::symbols_from_ipa;
    use crate::text::{Phoneme, Symbol};

    /// A film that is dark and moves from video frame 10 to 30 of 50.
    fn film() -> Vec<u8> {
        let level = |k: usize| if (10..30).contains(&k) && k.is_multiple_of(2) { 150 } else { 50 };
        (0..50).flat_map(|k| (0..CROP_BYTES).map(move |i| if i < CROP_BYTES / 2 { level(k) } else { 70 })).collect()
    }

    #[test]
    fn symbols_share_the_time_in_which_the_lips_move() {
        let film = film();
        let found = moving(&film);
        assert!(found.start.abs_diff(10) <= SMOOTHING && found.end.abs_diff(30) <= SMOOTHING, "{found:?}");
        let pause = Symbol::pause(Phoneme::Silence, SentenceKind::Statement);
        let mut said = symbols_from_ipa("bɪn", SentenceKind::Statement).unwrap();
        said.retain(|symbol| !symbol.phoneme.is_pause());
        let symbols = [&[pause][..], &said, &[pause, pause]].concat();
        let times = spread_evenly(&film, &symbols, 25.0);
        let (start, end) = (found.start as f32 / 25.0, found.end as f32 / 25.0);
        let third = (end - start) / 3.0;
        let expected = [0.0, start, start + third, start + 2.0 * third, end, (end + 2.0) / 2.0, 2.0];
        assert!(times.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{times:?} {expected:?}");
        // Without pauses around them, symbols take all the film has.
        assert_eq!(spread_evenly(&film, &said, 25.0)[3], 2.0);
        assert_eq!(spread_evenly(&film, &[pause], 25.0), [0.0, 2.0]);
    }
}
