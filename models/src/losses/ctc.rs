//! Connectionist temporal classification: "Connectionist temporal classification: labelling unsegmented sequence data with
//! recurrent neural networks" (Graves et al. 2006).
//!
//! A path gives each step a label or the blank; it reads as a sequence of labels once repetitions and then blanks are left
//! out. The loss is minus the log of the sum over all paths that read as the wanted sequence, of the products of their
//! steps' scores. With the labels parted and framed by blanks, l' of length 2 L + 1, forward variables alpha_t(s) sum over
//! the beginnings of paths that are at l'_s in step t, backward variables beta_t(s) over their ends after step t (equations
//! 6 to 11); together they give the share of paths that pass each place, which is minus the gradient by the log scores
//! (equation 16). All sums are of logarithms in double precision.
//!
//! The paper lets blanks stand anywhere. Here each target says where: with a blank between any two labels a net first learns
//! to answer nothing but blanks, and keeps to single spikes of labels among them; without, the labels share all steps from
//! the start ("Why does CTC result in peaky behavior?", Zeyer et al. 2021).

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, bail};

/// What a sequence is to be read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CtcTarget {
    labels: Vec<u32>,
    /// Whether blanks may stand before each label, and after the last.
    blanks: Vec<bool>,
}

impl CtcTarget {
    /// Labels with blanks anywhere: the paper's.
    pub fn new(labels: Vec<u32>) -> Self {
        let blanks = vec![true; labels.len() + 1];
        Self { labels, blanks }
    }

    /// The labels with blanks only where `may` says so: before label `i` for `i` below the number of labels, after the last
    /// for that number. Equal neighbours keep theirs, without which they could not be told apart.
    pub fn with_blanks(mut self, may: impl Fn(usize) -> bool) -> Self {
        for (i, blank) in self.blanks.iter_mut().enumerate() {
            let parts_equals = i > 0 && self.labels.get(i) == Some(&self.labels[i - 1]);
            *blank = parts_equals || may(i);
        }
        self
    }

    /// The labels.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The fewest steps in which the labels can be read: equal neighbours need a blank between them.
    pub fn least_steps(&self) -> usize {
        self.labels.len() + self.labels.windows(2).filter(|pair| pair[0] == pair[1]).count()
    }
}

/// Minus the log of the summed score of all paths that read as the target, over the number of its labels, averaged over
/// the sequences.
///
/// The scores need not be probabilities: the loss is right for any.
///
/// # Shapes
/// - `log_scores`: (B, T, C)
/// - `steps`: how many of the T each sequence has
/// - `targets`: of each sequence, with labels below C that are not `blank`
/// - output: scalar
///
/// # Errors
/// Counts that differ, labels out of range, and a sequence with too few steps for its labels.
pub fn ctc(log_scores: &Tensor, steps: &[usize], targets: &[CtcTarget], blank: u32) -> Result<Tensor> {
    let (sequences, length, classes) = log_scores.dims3()?;
    if steps.len() != sequences || targets.len() != sequences {
        bail!("ctc: {sequences} sequences of scores, {} of steps and {} targets", steps.len(), targets.len());
    }
    for (&steps, target) in steps.iter().zip(targets) {
        let labels = target.labels();
        if steps > length
            || labels.is_empty()
            || labels.iter().any(|&label| label == blank || label as usize >= classes)
        {
            bail!("ctc: {steps} steps of {length}, labels {labels:?} of {classes} classes with blank {blank}");
        }
        if steps < target.least_steps() {
            bail!("ctc: {} labels do not fit into {steps} steps", labels.len());
        }
    }
    let op = Ctc { steps: steps.to_vec(), targets: targets.to_vec(), blank, shares: Mutex::default() };
    log_scores.to_device(&Device::Cpu)?.contiguous()?.apply_op1(op)?.to_device(log_scores.device())
}

struct Ctc {
    steps: Vec<usize>,
    targets: Vec<CtcTarget>,
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
        for ((scores, shares), (&steps, target)) in rows.zip(self.steps.iter().zip(&self.targets)) {
            let weight = 1. / (target.labels().len() * sequences) as f64;
            sum += weight * one_sequence(&scores[..steps * classes], shares, classes, target, self.blank, weight);
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

/// A target's labels and the blanks that may stand beside them, in order.
struct Places {
    classes: Vec<usize>,
    blank: usize,
}

impl Places {
    fn of(target: &CtcTarget, blank: u32) -> Self {
        let mut classes = Vec::with_capacity(2 * target.labels.len() + 1);
        for (i, &may) in target.blanks.iter().enumerate() {
            classes.extend(may.then_some(blank as usize));
            classes.extend(target.labels.get(i).map(|&label| label as usize));
        }
        Self { classes, blank: blank as usize }
    }

    fn len(&self) -> usize {
        self.classes.len()
    }

    /// Whether a path may go to `s` from two places before: over a blank, to another label.
    fn skips(&self, s: usize) -> bool {
        s >= 2 && self.classes[s - 1] == self.blank && self.classes[s] != self.classes[s - 2]
    }

    /// Whether a path may begin at `s`.
    fn begins(&self, s: usize) -> bool {
        s == 0 || s == 1 && self.classes[0] == self.blank
    }

    /// Whether a path may end at `s`.
    fn ends(&self, s: usize) -> bool {
        let last = self.len() - 1;
        s == last || s + 1 == last && self.classes[last] == self.blank
    }
}

/// The loss of one sequence; adds `weight` times its gradient to `gradient`.
fn one_sequence(
    scores: &[f32],
    gradient: &mut [f32],
    classes: usize,
    target: &CtcTarget,
    blank: u32,
    weight: f64,
) -> f64 {
    const NEVER: f64 = f64::NEG_INFINITY;
    let places = Places::of(target, blank);
    let n = places.len();
    let steps = scores.len() / classes;
    let score = |t: usize, s: usize| f64::from(scores[t * classes + places.classes[s]]);

    let mut alpha = vec![NEVER; steps * n];
    (0..n).filter(|&s| places.begins(s)).for_each(|s| alpha[s] = score(0, s));
    for t in 1..steps {
        let (before, now) = alpha.split_at_mut(t * n);
        let before = &before[(t - 1) * n..];
        for s in 0..n {
            let mut from = before[s];
            if s >= 1 {
                from = log_add(from, before[s - 1]);
            }
            if places.skips(s) {
                from = log_add(from, before[s - 2]);
            }
            now[s] = from + score(t, s);
        }
    }
    let last = &alpha[(steps - 1) * n..];
    let total = (0..n).filter(|&s| places.ends(s)).fold(NEVER, |sum, s| log_add(sum, last[s]));

    let mut beta: Vec<f64> = (0..n).map(|s| if places.ends(s) { 0. } else { NEVER }).collect();
    for t in (0..steps).rev() {
        for s in 0..n {
            let share = (alpha[t * n + s] + beta[s] - total).exp();
            gradient[t * classes + places.classes[s]] -= (weight * share) as f32;
        }
        // What follows from step t on, for step t - 1; in order of s, as it reads only later places.
        for s in 0..n {
            let mut to = beta[s] + score(t, s);
            if s + 1 < n {
                to = log_add(to, beta[s + 1] + score(t, s + 1));
            }
            if s + 2 < n && places.skips(s + 2) {
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
    fn exhaustive(scores: &[Vec<f32>], target: &CtcTarget, blank: u32) -> f64 {
        let classes = scores[0].len();
        let mut sum = 0.;
        for number in 0..classes.pow(scores.len() as u32) {
            let path: Vec<u32> = (0..scores.len() as u32).map(|t| (number / classes.pow(t) % classes) as u32).collect();
            let (mut read, mut blanks_fit) = (path.clone(), true);
            read.dedup();
            let mut before = 0;
            for &label in &read {
                blanks_fit &= label != blank || target.blanks.get(before).is_some_and(|&may| may);
                before += usize::from(label != blank);
            }
            read.retain(|&label| label != blank);
            if blanks_fit && read == target.labels {
                sum += path.iter().zip(scores).map(|(&label, row)| f64::from(row[label as usize])).sum::<f64>().exp();
            }
        }
        -sum.ln()
    }

    fn value(scores: &[Vec<f32>], target: &CtcTarget, blank: u32) -> f64 {
        let tensor = Tensor::new(scores.to_vec(), &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        let loss = ctc(&tensor, &[scores.len()], std::slice::from_ref(target), blank).unwrap();
        f64::from(loss.to_scalar::<f32>().unwrap()) * target.labels().len() as f64
    }

    proptest! {
        #[test]
        fn the_sum_is_over_all_paths_and_the_gradient_is_its_slope(
            values in proptest::collection::vec(-20i8..5, 18),
            labels in proptest::collection::vec(0u32..2, 1..4),
            steps in 1usize..7,
            blank in 0u32..3,
            may in proptest::collection::vec(any::<bool>(), 4),
        ) {
            // Labels are the two classes that are not the blank.
            let labels: Vec<u32> = labels.iter().map(|&label| if label >= blank { label + 1 } else { label }).collect();
            let scores: Vec<Vec<f32>> =
                values.chunks(3).take(steps).map(|row| row.iter().map(|&v| f32::from(v) / 7.).collect()).collect();
            let target = CtcTarget::new(labels).with_blanks(|i| may[i]);
            if steps < target.least_steps() {
                let tensor = Tensor::new(scores, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
                prop_assert!(ctc(&tensor, &[steps], &[target], blank).is_err());
                return Ok(());
            }
            let expected = exhaustive(&scores, &target, blank);
            prop_assert!((value(&scores, &target, blank) - expected).abs() < 1e-4 * expected.abs().max(1.));

            let var = Var::new(scores.clone(), &Device::Cpu).unwrap();
            let loss = ctc(&var.unsqueeze(0).unwrap(), &[steps], std::slice::from_ref(&target), blank).unwrap();
            let grads = loss.backward().unwrap();
            let grad = grads.get(&var).unwrap().to_vec2::<f32>().unwrap();
            let h = 1e-2;
            for t in 0..steps {
                for class in 0..3 {
                    let at = |by: f32| {
                        let mut moved = scores.clone();
                        moved[t][class] += by;
                        exhaustive(&moved, &target, blank)
                    };
                    let slope = (at(h) - at(-h)) / (2. * f64::from(h)) / target.labels().len() as f64;
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
        let loss = ctc(&scores, &[7, 5], &[CtcTarget::new(vec![1, 2, 2]), CtcTarget::new(vec![4, 3])], 0).unwrap();
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
