//! Whether a forward pass trains or infers, and the seeded randomness of training.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::{Device, Result, Shape, Tensor};

/// How layers with dropout or BatchNorm behave.
#[derive(Debug, Clone, Copy)]
pub enum Mode<'a> {
    /// No dropout; BatchNorm uses its running statistics.
    Eval,
    /// Dropout draws from the given source; BatchNorm uses the batch's statistics and updates the running ones.
    Train(&'a DropoutRng),
}

/// The source of dropout masks.
///
/// Each mask is a function of the seed and of how many masks were drawn before, so that a training resumed at a
/// checkpoint with [`DropoutRng::resume`] goes on as if it had not stopped.
#[derive(Debug)]
pub struct DropoutRng {
    seed: u64,
    drawn: AtomicU64,
}

impl DropoutRng {
    /// A source that has drawn no mask yet.
    pub fn new(seed: u64) -> Self {
        Self::resume(seed, 0)
    }

    /// A source that has drawn `drawn` masks, see [`DropoutRng::drawn`].
    pub fn resume(seed: u64, drawn: u64) -> Self {
        Self { seed, drawn: AtomicU64::new(drawn) }
    }

    /// How many masks have been drawn: the state to store in a checkpoint.
    pub fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::Relaxed)
    }

    /// A tensor whose elements are 0 with probability `rate` and else `kept`.
    pub fn mask(&self, shape: impl Into<Shape>, rate: f64, kept: f32, device: &Device) -> Result<Tensor> {
        let shape = shape.into();
        let draw = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut state = mix(self.seed ^ mix(draw.wrapping_add(1)));
        let threshold = (rate.clamp(0., 1.) * f64::from(u32::MAX)) as u32;
        let mut values = Vec::with_capacity(shape.elem_count());
        while values.len() < shape.elem_count() {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let bits = mix(state);
            let pair = [bits as u32, (bits >> 32) as u32];
            values.extend(pair.map(|bits| if bits < threshold { 0. } else { kept }));
        }
        values.truncate(shape.elem_count());
        Tensor::from_vec(values, shape, device)
    }
}

/// The output function of the SplitMix64 generator (Steele, Lea, Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Sets elements to zero with probability `rate` in training and scales the others so that the mean stays (Srivastava et
/// al. 2014); returns `xs` itself in inference.
///
/// # Shapes
/// - `xs`: any; output the same.
pub fn dropout(xs: &Tensor, rate: f64, mode: &Mode) -> Result<Tensor> {
    match mode {
        Mode::Train(rng) if rate > 0. => xs * rng.mask(xs.shape(), rate, (1. / (1. - rate)) as f32, xs.device())?,
        _ => Ok(xs.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_keeps_the_mean_and_is_off_in_eval() {
        let xs = Tensor::ones((100, 101), candle_core::DType::F32, &Device::Cpu).unwrap();
        let rng = DropoutRng::new(7);
        let ys = dropout(&xs, 0.2, &Mode::Train(&rng)).unwrap();
        let values: Vec<f32> = ys.flatten_all().unwrap().to_vec1().unwrap();
        let dropped = values.iter().filter(|x| **x == 0.).count() as f32 / values.len() as f32;
        assert!((dropped - 0.2).abs() < 0.02, "{dropped}");
        assert!(values.iter().all(|x| *x == 0. || *x == 1.25));
        let eval = dropout(&xs, 0.2, &Mode::Eval).unwrap();
        assert_eq!(eval.to_vec2::<f32>().unwrap(), xs.to_vec2::<f32>().unwrap());
    }

    #[test]
    fn a_resumed_source_draws_what_the_first_would_have() {
        let draw = |rng: &DropoutRng| rng.mask(64, 0.5, 1., &Device::Cpu).unwrap().to_vec1::<f32>().unwrap();
        let first = DropoutRng::new(3);
        let (a, b) = (draw(&first), draw(&first));
        assert_ne!(a, b);
        assert_eq!(draw(&DropoutRng::resume(3, 1)), b);
        assert_eq!(first.drawn(), 2);
    }
}
