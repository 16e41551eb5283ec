//! Connectionist temporal classification: "Connectionist temporal classification: labelling unsegmented sequence data with
//! recurrent neural networks" (Graves et al. 2006).
//!
//! A path gives each step a label or the blank; it reads as a sequence of labels once repetitions and then blanks are left
//! out. The loss is minus the log of the sum over all paths that read as the wanted sequence, of the products of their
//! steps' scores. With the labels parted and framed by blanks, l' of length 2 L + 1, forward variables alpha_t(s) sum over
//! the beginnings of paths that are at l'_s in step t, backward variables beta_t(s) over their ends after step t (equations
//! 6 to 11); together they give the share of paths that pass each place, which is minus the gradient by the log scores
//! (equation 16). All sums are of logarithms in double precision.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, bail};

/// Minus the log of the summed score of all paths that read as `labels`, over the number of labels, averaged over the
/// sequences.
///
/// The scores need not be probabilities: the loss is right for any.
///
/// # Shapes
/// - `log_scores`: (B, T, C)
/// - `steps`: how many of the T each sequence has
/// - `labels`: of each sequence, each below C and not `blank`
/// - output: scalar
///
/// # Errors
/// Counts that differ, labels out of range, and a sequence with too few steps for its labels.
pub fn ctc(log_scores: &Tensor, steps: &[usize], labels: &[Vec<u32>], blank: u32) -> Result<Tensor> {
    let (sequences, length, classes) = log_scores.dims3()?;
    if steps.len() != sequences || labels.len() != sequences {
        bail!("ctc: {sequences} sequences of scores, {} of steps and {} of labels", steps.len(), labels.len());
    }
    for (&steps, labels) in steps.iter().zip(labels) {
        if steps > length
            || labels.is_empty()
            || labels.iter().any(|&label| label == blank || label as usize >= classes)
        {
            bail!("ctc: {steps} steps of {length}, labels {labels:?} of {classes} classes with blank {blank}");
        }
        if steps < ctc_least_steps(labels) {
            bail!("ctc: {} labels do not fit into {steps} steps", labels.len());
        }
    }
    let op = Ctc { steps: steps.to_vec(), labels: labels.to_vec(), blank, shares: Mutex::default() };
    log_scores.to_device(&Device::Cpu)?.contiguous()?.apply_op1(op)?.to_device(log_scores.device())
}

/// The fewest steps in which labels can be read: equal neighbours need a blank between them.
pub fn ctc_least_steps(labels: &[u32]) -> usize {
    labels.len() + labels.windows(2).filter(|pair| pair[0] == pair[1]).count()
}

struct Ctc {
    steps: Vec<usize>,
    labels: Vec<Vec<u32>>,
    blank: u32,
    /// The gradient by the scores, kept from the forward pass.
    shares: Mutex<Vec<f32>>,
}

impl CustomOp1 for Ctc {
    fn name(&self) -> &'static str {
        "ctc"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (sequences, length, classes) = layout.shape().dims3()?;
        let scores = &storage.as_slice::<f32>()?[layout.start_offset()..][..sequences * length * classes];
        let mut shares = vec![0f32; scores.len()];
        let mut sum = 0.;
        let rows = scores.chunks_exact(length * classes).zip(shares.chunks_exact_mut(length * classes));
        for ((scores, shares), (&steps, labels)) in rows.zip(self.steps.iter().zip(&self.labels)) {
            let weight = 1. / (labels.len() * sequences) as f64;
            sum += weight * one_sequence(&scores[..steps * classes], shares, classes, labels, self.blank, weight);
        }
        *self.shares.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = shares;
        Ok((CpuStorage::F32(vec![sum as f32]), Shape::from(())))
    }

    fn bwd(&self, arg: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let shares = self.shares.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let grad = f64::from(grad.to_scalar::<f32>()?);
        Ok(Some((Tensor::from_slice(&shares, arg.shape(), arg.device())? * grad)?))
    }
}

/// The loss of one sequence; adds `weight` times its gradient to `gradient`.
fn one_sequence(scores: &[f32], gradient: &mut [f32], classes: usize, labels: &[u32], blank: u32, weight: f64) -> f64 {
    const NEVER: f64 = f64::NEG_INFINITY;
    let framed: Vec<usize> =
        (0..=2 * labels.len()).map(|s| if s % 2 == 0 { blank } else { labels[s / 2] } as usize).collect();
    let places = framed.len();
    let steps = scores.len() / classes;
    let score = |t: usize, s: usize| f64::from(scores[t * classes + framed[s]]);
    // Whether a path may go to s from two places before: over a blank, to another label.
    let skips = |s: usize| s >= 2 && framed[s] != blank as usize && framed[s] != framed[s - 2];

    let mut alpha = vec![NEVER; steps * places];
    (alpha[0], alpha[1]) = (score(0, 0), score(0, 1));
    for t in 1..steps {
        let (before, now) = alpha.split_at_mut(t * places);
        let before = &before[(t - 1) * places..];
        for s in 0..places {
            let mut from = before[s];
            if s >= 1 {
                from = log_add(from, before[s - 1]);
            }
            if skips(s) {
                from = log_add(from, before[s - 2]);
            }
            now[s] = from + score(t, s);
        }
    }
    let last = &alpha[(steps - 1) * places..];
    let total = log_add(last[places - 1], last[places - 2]);

    let mut beta = vec![NEVER; places];
    beta[places - 2..].fill(0.);
    for t in (0..steps).rev() {
        for s in 0..places {
            let share = (alpha[t * places + s] + beta[s] - total).exp();
            gradient[t * classes + framed[s]] -= (weight * share) as f32;
        }
        // What follows from step t on, for step t - 1; in order of s, as it reads only later places.
        for s in 0..places {
            let mut to = beta[s] + score(t, s);
            if s + 1 < places {
                to = log_add(to, beta[s + 1] + score(t, s + 1));
            }
            if s + 2 < places && skips(s + 2) {
                to = log_add(to, beta[s + 2] + score(t, s + 2));
            }
            beta[s] = to;
        }
    }
    -total
}

/// ln(exp(a) + exp(b)).
fn log_add(a: f64, b: f64) -> f64 {
    let (less, more) = if a < b { (a, b) } else { (b, a) };
    if less == f64::NEG_INFINITY { more } else { more + (less - more).exp().ln_1p() }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;
    use proptest::prelude::*;

    use super::*;

    /// The definition: every path tried.
    fn exhaustive(scores: &[Vec<f32>], labels: &[u32], blank: u32) -> f64 {
        let classes = scores[0].len();
        let mut sum = 0.;
        for number in 0..classes.pow(scores.len() as u32) {
            let path: Vec<u32> = (0..scores.len() as u32).map(|t| (number / classes.pow(t) % classes) as u32).collect();
            let mut read = path.clone();
            read.dedup();
            read.retain(|&label| label != blank);
            if read == labels {
                sum += path.iter().zip(scores).map(|(&label, row)| f64::from(row[label as usize])).sum::<f64>().exp();
            }
        }
        -sum.ln()
    }

    fn value(scores: &[Vec<f32>], labels: &[u32], blank: u32) -> f64 {
        let tensor = Tensor::new(scores.to_vec(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let loss = ctc(&tensor, &[scores.len()], &[labels.to_vec()], blank).unwrap();
        f64::from(loss.to_scalar::<f32>().unwrap()) * labels.len() as f64
    }

    proptest! {
        #[test]
        fn the_sum_is_over_all_paths_and_the_gradient_is_its_slope(
            values in proptest::collection::vec(-20i8..5, 18),
            labels in proptest::collection::vec(0u32..2, 1..4),
            steps in 1usize..7,
            blank in 0u32..3,
        ) {
            // Labels are the two classes that are not the blank.
            let labels: Vec<u32> = labels.iter().map(|&label| if label >= blank { label + 1 } else { label }).collect();
            let scores: Vec<Vec<f32>> =
                values.chunks(3).take(steps).map(|row| row.iter().map(|&v| f32::from(v) / 7.).collect()).collect();
            if steps < ctc_least_steps(&labels) {
                let tensor = Tensor::new(scores, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
                prop_assert!(ctc(&tensor, &[steps], &[labels], blank).is_err());
                return Ok(());
            }
            let expected = exhaustive(&scores, &labels, blank);
            prop_assert!((value(&scores, &labels, blank) - expected).abs() < 1e-4 * expected.abs().max(1.));

            let var = Var::new(scores.clone(), &Device::Cpu).unwrap();
            let loss = ctc(&var.unsqueeze(0).unwrap(), &[steps], std::slice::from_ref(&labels), blank).unwrap();
            let grads = loss.backward().unwrap();
            let grad = grads.get(&var).unwrap().to_vec2::<f32>().unwrap();
            let h = 1e-2;
            for t in 0..steps {
                for class in 0..3 {
                    let at = |by: f32| {
                        let mut moved = scores.clone();
                        moved[t][class] += by;
                        exhaustive(&moved, &labels, blank)
                    };
                    let slope = (at(h) - at(-h)) / (2. * f64::from(h)) / labels.len() as f64;
                    prop_assert!((f64::from(grad[t][class]) - slope).abs() < 1e-3, "{} {}", grad[t][class], slope);
                }
            }
        }
    }

    /// ```python
    /// import torch
    /// x=torch.sin(torch.arange(2*7*5,dtype=torch.float64)*1.7).reshape(2,7,5).requires_grad_()
    /// loss=torch.nn.functional.ctc_loss(x.log_softmax(2).transpose(0,1), torch.tensor([[1,2,2],[4,3,0]]),
    ///     torch.tensor([7,5]), torch.tensor([3,2]), blank=0, reduction='mean')
    /// loss.backward()
    /// print(loss.item(), x.grad[0,0].tolist(), x.grad[1,3].tolist(), x.grad.abs().sum().item())
    /// ```
    #[test]
    fn agrees_with_pytorch() {
        let values: Vec<f32> = (0..2 * 7 * 5).map(|i| (f64::from(i) * 1.7).sin() as f32).collect();
        let xs = Var::from_vec(values, (2, 7, 5), &Device::Cpu).unwrap();
        let scores = candle_nn::ops::log_softmax(&xs, 2).unwrap();
        let loss = ctc(&scores, &[7, 5], &[vec![1, 2, 2], vec![4, 3]], 0).unwrap();
        assert!((loss.to_scalar::<f32>().unwrap() - 2.502_383_8).abs() < 1e-5, "{loss}");
        let grads = loss.backward().unwrap();
        let grad = grads.get(&xs).unwrap().to_vec3::<f32>().unwrap();
        for (row, expected) in [
            (&grad[0][0], [0.013786466, -0.08577078, 0.01984221, 0.010150652, 0.04199145]),
            (&grad[1][3], [0.000503307, 0.0171938, 0.06802073, -0.0974692, 0.011751362]),
        ] {
            assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{row:?}");
        }
        let sum: f32 = grad.iter().flatten().flatten().map(|x| x.abs()).sum();
        assert!((sum - 2.768_826).abs() < 1e-5, "{sum}");
    }
}
