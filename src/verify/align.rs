//! How far a signal is from where it should be: the shift at which both agree best.

/// A signal that is known at every `step_s` seconds from 0 on.
pub(super) struct Match {
    /// Seconds that the measured signal is late.
    pub(super) lag_s: f64,
    /// Correlation at that shift, -1 to 1.
    pub(super) correlation: f64,
}

/// Finds the shift of `measured` against `expected`, up to `reach_s` either way, between steps by a parabola through the best
/// and its neighbours. `None` where either does not change.
pub(super) fn best_match(expected: &[f64], measured: &[f64], step_s: f64, reach_s: f64) -> Option<Match> {
    let reach = (reach_s / step_s).round() as i64;
    let at = |lag: i64| {
        let pairs: Vec<(f64, f64)> = (0..)
            .zip(expected)
            .filter_map(|(k, expected)| {
                let at = usize::try_from(k + lag).ok()?;
                Some((*expected, *measured.get(at)?))
            })
            .collect();
        correlation(&pairs)
    };
    let scores: Vec<f64> = (-reach..=reach).map(|lag| at(lag).unwrap_or(-1.0)).collect();
    let best = (0..scores.len()).max_by(|&a, &b| scores[a].total_cmp(&scores[b]))?;
    at(best as i64 - reach)?;
    let neighbour = |index: Option<usize>| index.and_then(|index| scores.get(index)).copied().unwrap_or(-1.0);
    let (before, after) = (neighbour(best.checked_sub(1)), neighbour(Some(best + 1)));
    let bend = before - 2.0 * scores[best] + after;
    let between = if bend < 0.0 { (0.5 * (before - after) / bend).clamp(-0.5, 0.5) } else { 0.0 };
    Some(Match { lag_s: (best as f64 - reach as f64 + between) * step_s, correlation: scores[best] })
}

/// Pearson's; `None` where one side does not change, or there is too little.
fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let count = pairs.len() as f64;
    if pairs.len() < 5 {
        return None;
    }
    let mean = |value: fn(&(f64, f64)) -> f64| pairs.iter().map(value).sum::<f64>() / count;
    let (mean_a, mean_b) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        let (a, b) = (a - mean_a, b - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    (aa > 1e-12 && bb > 1e-12).then(|| ab / (aa * bb).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shift_is_found_between_steps() {
        let signal = |t: f64| (3.0 * t).sin() + (7.3 * t).cos();
        let expected: Vec<f64> = (0..500).map(|k| signal(f64::from(k) * 0.01)).collect();
        for lag_s in [-0.2, -0.013, 0.0, 0.004, 0.121] {
            let measured: Vec<f64> = (0..500).map(|k| 2.0 + 0.5 * signal(f64::from(k) * 0.01 - lag_s)).collect();
            let found = best_match(&expected, &measured, 0.01, 0.3).unwrap();
            assert!((found.lag_s - lag_s).abs() < 0.002 && found.correlation > 0.99, "{} for {lag_s}", found.lag_s);
        }
        assert!(best_match(&expected, &[1.0; 500], 0.01, 0.3).is_none());
        assert!(best_match(&expected, &[], 0.01, 0.3).is_none());
    }
}
