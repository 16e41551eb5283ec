//! When each symbol of a known text is seen: the monotonic search that recordings are aligned with, over a lip reader's
//! scores. Pauses may be absent, phonemes last at least a step.

use crate::align::class_of;
use crate::align::search::{State, best_lengths};
use crate::text::Symbol;

/// Steps of each symbol, together `steps`; `None` where they do not fit.
pub(super) fn lengths(symbols: &[Symbol], steps: usize, score: impl Fn(usize, usize) -> f32) -> Option<Vec<usize>> {
    let states: Vec<State> = symbols
        .iter()
        .map(|symbol| State {
            class: class_of(symbol.phoneme),
            least: usize::from(!symbol.phoneme.is_pause()),
            usual: None,
            cost: None,
        })
        .collect();
    best_lengths(&states, steps, score)
}
