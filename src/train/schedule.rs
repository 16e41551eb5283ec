//! Learning rates: how a step's rate follows from its number.

use serde::{Deserialize, Serialize};

/// A schedule of learning rates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Schedule {
    /// Half a cosine from `peak` down to `floor` over the whole training, after a linear rise over `warm_up` steps.
    Cosine {
        /// Highest rate.
        peak: f64,
        /// Rate of the last step.
        floor: f64,
        /// Steps of the rise.
        warm_up: u64,
    },
    /// ParaLip's (and the Transformer's, Vaswani et al. 2017, equation 3): a linear rise over `warm_up` steps, then the
    /// inverse root of the step. Independent of how long the training is.
    InverseRoot {
        /// The released configuration says 0.5.
        factor: f64,
        /// Width of the hidden states: 256 in the paper.
        width: f64,
        /// Steps of the rise: 2000 in the paper.
        warm_up: u64,
        /// Lowest rate: 1e-7 in the paper.
        floor: f64,
    },
}

impl Schedule {
    /// ParaLip's released configuration: the peak is 6.99e-4 at step 2000.
    pub fn paper() -> Self {
        Self::InverseRoot { factor: 0.5, width: 256.0, warm_up: 2000, floor: 1e-7 }
    }

    /// The learning rate of step `step` (counted from 0) of a training of `steps`.
    pub fn rate(&self, step: u64, steps: u64) -> f64 {
        match *self {
            Self::Cosine { peak, floor, warm_up } => {
                if step < warm_up {
                    return peak * (step + 1) as f64 / (warm_up + 1) as f64;
                }
                let length = steps.saturating_sub(warm_up + 1).max(1) as f64;
                let place = ((step - warm_up) as f64 / length).min(1.0);
                floor + (peak - floor) * 0.5 * (1.0 + (std::f64::consts::PI * place).cos())
            }
            Self::InverseRoot { factor, width, warm_up, floor } => {
                let n = (step + 1) as f64;
                let rise = (n / warm_up.max(1) as f64).min(1.0);
                (factor * rise * n.max(warm_up as f64).powf(-0.5) * width.powf(-0.5)).max(floor)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_rises_to_its_peak_and_falls_to_its_floor() {
        let schedule = Schedule::Cosine { peak: 2e-3, floor: 1e-5, warm_up: 9 };
        assert!((schedule.rate(0, 100) - 2e-4).abs() < 1e-12);
        assert!((schedule.rate(9, 100) - 2e-3).abs() < 1e-12);
        assert!((schedule.rate(54, 100) - 1.005e-3).abs() < 1e-9, "{}", schedule.rate(54, 100));
        assert!((schedule.rate(99, 100) - 1e-5).abs() < 1e-12);
        assert!((schedule.rate(1000, 100) - 1e-5).abs() < 1e-12);
    }

    #[test]
    fn paper_schedule_has_the_published_rates() {
        let schedule = Schedule::paper();
        assert!((schedule.rate(1999, 0) - 6.99e-4).abs() < 1e-6);
        assert!((schedule.rate(109_999, 0) - 9.4e-5).abs() < 1e-6);
        assert!((schedule.rate(999, 0) - 3.49e-4).abs() < 1e-6);
    }
}
