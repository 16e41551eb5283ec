//! The monotonic search: which stretch of mel frames belongs to which state of a known sequence.
//!
//! The best segmentation under given scores of mel frames and lengths, by dynamic programming (Viterbi on a semi-Markov
//! chain; Rabiner 1989, section IV D). With C_s(t) the sum of state s's scores over the first t mel frames, the best score of
//! the first s + 1 states over the first t mel frames is
//!
//! best(s + 1, t) = max over d of best(s, t - d) + C_s(t) - C_s(t - d) + length_s(d)
//!
//! Where all lengths are equally good the maximum is carried along as t grows; else d has a bound. So S x T x d steps at
//! most.

/// The longest length of a state whose length has a score, in mel frames: 1.25 s.
const LONGEST: usize = 100;
/// How far lengths lie from their usual one, as a standard deviation of natural logarithms.
const SPREAD: f64 = 0.5;

/// One state of the sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct State {
    /// Column of the scores that it is measured by.
    pub(crate) class: usize,
    /// Fewest mel frames that it lasts if it is there; 0 for one that may be absent at no cost.
    pub(crate) least: usize,
    /// Its usual length; `None` where every length is as good as any other.
    pub(crate) usual: Option<f32>,
    /// What it costs that it is there; `None` for one that has to be.
    pub(crate) cost: Option<f32>,
}

impl State {
    /// The score of a length; `None` where it cannot be.
    fn length_score(&self, length: usize) -> Option<f64> {
        match (self.usual, self.cost) {
            (_, Some(_)) if length == 0 => Some(0.0),
            _ if length < self.least => None,
            (None, cost) => Some(-f64::from(cost.unwrap_or(0.0))),
            (Some(_), _) if length > LONGEST => None,
            (Some(usual), cost) => {
                let off = ((length.max(1) as f64).ln() - f64::from(usual).ln()) / SPREAD;
                Some(-0.5 * off * off - f64::from(cost.unwrap_or(0.0)))
            }
        }
    }
}

/// The length of each state in mel frames, together `mel_frames`, so that the sum of scores is the largest possible;
/// `None` where the states cannot fill just as many mel frames.
///
/// `score(t, class)` says how well mel frame `t` fits a class; finite.
pub(crate) fn best_lengths(
    states: &[State],
    mel_frames: usize,
    score: impl Fn(usize, usize) -> f32,
) -> Option<Vec<usize>> {
    const NEVER: f64 = f64::NEG_INFINITY;
    if states.is_empty() {
        return None;
    }
    let mut best = vec![NEVER; mel_frames + 1];
    best[0] = 0.0;
    // lengths[s][t]: how long state s is if it ends at t.
    let mut lengths: Vec<Vec<u32>> = Vec::with_capacity(states.len());
    for state in states {
        let mut sums = vec![0.0; mel_frames + 1];
        for t in 0..mel_frames {
            sums[t + 1] = sums[t] + f64::from(score(t, state.class));
        }
        let (mut next, mut length) = (vec![NEVER; mel_frames + 1], vec![0; mel_frames + 1]);
        let mut try_length = |t: usize, d: usize, value: f64| {
            if value > next[t] {
                (next[t], length[t]) = (value, d as u32);
            }
        };
        if state.usual.is_some() {
            for d in 0..=LONGEST.min(mel_frames) {
                let Some(own) = state.length_score(d) else { continue };
                for t in d..=mel_frames {
                    try_length(t, d, best[t - d] + sums[t] - sums[t - d] + own);
                }
            }
        } else {
            let own = -f64::from(state.cost.unwrap_or(0.0));
            let (mut lead, mut lead_at) = (NEVER, 0);
            for t in 0..=mel_frames {
                if let Some(u) = t.checked_sub(state.least)
                    && best[u] - sums[u] > lead
                {
                    (lead, lead_at) = (best[u] - sums[u], u);
                }
                try_length(t, t - lead_at, lead + sums[t] + own);
                if state.cost.is_some() {
                    try_length(t, 0, best[t]);
                }
            }
        }
        best = next;
        lengths.push(length);
    }
    if best[mel_frames] == NEVER {
        return None;
    }
    let mut found = vec![0; states.len()];
    let mut end = mel_frames;
    for (found, length) in found.iter_mut().zip(&lengths).rev() {
        *found = length[end] as usize;
        end -= *found;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition: every segmentation tried.
    fn exhaustive(states: &[State], from: usize, to: usize, score: &dyn Fn(usize, usize) -> f32) -> Option<f64> {
        let Some((state, others)) = states.split_first() else { return (from == to).then_some(0.0) };
        (0..=to - from)
            .filter_map(|length| {
                let own: f64 = (from..from + length).map(|t| f64::from(score(t, state.class))).sum();
                Some(state.length_score(length)? + own + exhaustive(others, from + length, to, score)?)
            })
            .max_by(f64::total_cmp)
    }

    fn plain(class: usize, least: usize) -> State {
        State { class, least, usual: None, cost: None }
    }

    #[test]
    fn clear_scores_give_clear_boundaries() {
        let truth = [0, 0, 0, 1, 1, 2, 0, 0];
        let score = |t: usize, class: usize| if truth[t] == class { 0.0 } else { -1.0 };
        let states = [plain(0, 1), plain(1, 1), plain(0, 0), plain(2, 1), plain(0, 1)];
        assert_eq!(best_lengths(&states, 8, score), Some(vec![3, 2, 0, 1, 2]));
        assert_eq!(best_lengths(&states, 3, score), None);
        assert_eq!(best_lengths(&[], 3, score), None);
    }

    #[test]
    fn usual_lengths_decide_where_the_sound_does_not() {
        let states = [(0, 2.0), (1, 6.0)].map(|(class, usual)| State { usual: Some(usual), ..plain(class, 1) });
        assert_eq!(best_lengths(&states, 8, |_, _| 0.0), Some(vec![2, 6]));
        // A pause costs more than a little silence is worth.
        let pause = State { cost: Some(3.0), ..plain(1, 2) };
        let score = |t: usize, class: usize| if class == usize::from((4..6).contains(&t)) { 0.0 } else { -1.0 };
        assert_eq!(best_lengths(&[plain(0, 1), pause, plain(0, 1)], 10, score).unwrap()[1], 0);
        let cheap = State { cost: Some(1.5), ..pause };
        assert_eq!(best_lengths(&[plain(0, 1), cheap, plain(0, 1)], 10, score), Some(vec![4, 2, 4]));
    }

    proptest! {
        #[test]
        fn no_segmentation_is_better(
            states in proptest::collection::vec((0usize..3, 0usize..3, 0u8..4, 0u8..4), 1..5),
            values in proptest::collection::vec(-8i8..8, 27),
            mel_frames in 0usize..9,
        ) {
            let some = |value: u8| (value > 1).then(|| f32::from(value));
            let states: Vec<State> = states
                .into_iter()
                .map(|(class, least, usual, cost)| State { class, least, usual: some(usual), cost: some(cost) })
                .collect();
            let score = |t: usize, class: usize| f32::from(values[3 * t + class]);
            let lengths = best_lengths(&states, mel_frames, score);
            let best = exhaustive(&states, 0, mel_frames, &score);
            prop_assert_eq!(lengths.is_some(), best.is_some());
            if let (Some(lengths), Some(best)) = (lengths, best) {
                prop_assert_eq!(lengths.iter().sum::<usize>(), mel_frames);
                let mut t = 0;
                let mut sum = 0.0;
                for (&length, state) in lengths.iter().zip(&states) {
                    sum += state.length_score(length).unwrap();
                    sum += (t..t + length).map(|t| f64::from(score(t, state.class))).sum::<f64>();
                    t += length;
                }
                prop_assert!((sum - best).abs() < 1e-9, "{} {}", sum, best);
            }
        }
    }
}
