//! AdamW: Adam with weight decay apart from the gradient (Loshchilov and Hutter, "Decoupled Weight Decay
//! Regularization", ICLR 2019), gradient clipping by the global norm, and a guard against gradients that are no numbers.
//!
//! On the CPU a step is one pass over each parameter with its two moments beside it (candle's tensor ops would make
//! about ten passes and as many allocations); on other devices the same formula runs in tensor ops. Sums are taken in
//! fixed pieces, so that the result does not depend on the number of threads.

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Result, Tensor, Var};
use rayon::prelude::*;

/// Elements that one thread takes at a time.
const PIECE: usize = 1 << 15;

/// What AdamW is told.
#[derive(Debug, Clone)]
pub(crate) struct AdamWOptions {
    /// Decay of the mean of the gradient.
    pub(crate) beta1: f64,
    /// Decay of the mean of its square.
    pub(crate) beta2: f64,
    /// Keeps the quotient finite.
    pub(crate) eps: f64,
    /// Weight decay for a step of learning rate 1; 0 for biases, norms and gates (parameters of one axis).
    pub(crate) weight_decay: f64,
    /// Largest global norm of the gradient; a longer gradient is scaled down to it.
    pub(crate) clip_norm: f64,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.01, clip_norm: f64::INFINITY }
    }
}

/// One trained parameter with its moments.
struct Slot {
    name: String,
    var: Var,
    /// Its part of the learning rate.
    rate_share: f64,
    /// Mean and squared mean of the gradient, in host memory for CPU parameters.
    moments: Moments,
}

enum Moments {
    Host(Mutex<HostMoments>),
    Tensors { mean: Tensor, square: Tensor },
}

struct HostMoments {
    mean: Vec<f32>,
    square: Vec<f32>,
}

/// What one step did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StepReport {
    /// Global norm of the gradient before clipping; not finite where the step was skipped.
    pub(crate) grad_norm: f64,
    /// Whether the parameters were changed.
    pub(crate) applied: bool,
}

/// The optimiser of one set of parameters.
pub(crate) struct AdamW {
    slots: Vec<Slot>,
    options: AdamWOptions,
    /// Steps applied, for the correction of the moments' bias.
    updates: u64,
    /// Steps skipped because the gradient was not finite.
    skipped: u64,
}

impl AdamW {
    /// An optimiser of these named parameters, in this order, with moments of zero.
    pub(crate) fn new(vars: Vec<(String, Var)>, options: AdamWOptions) -> Result<Self> {
        let mut slots = Vec::with_capacity(vars.len());
        for (name, var) in vars {
            let moments = if matches!(var.device(), Device::Cpu) {
                let zeros = vec![0.0; var.elem_count()];
                Moments::Host(Mutex::new(HostMoments { mean: zeros.clone(), square: zeros }))
            } else {
                Moments::Tensors { mean: var.zeros_like()?, square: var.zeros_like()? }
            };
            slots.push(Slot { name, var, rate_share: 1.0, moments });
        }
        Ok(Self { slots, options, updates: 0, skipped: 0 })
    }

    /// The same with a part of the learning rate for each parameter, by its name.
    pub(crate) fn with_rate_shares(mut self, share: impl Fn(&str) -> f64) -> Self {
        self.slots.iter_mut().for_each(|slot| slot.rate_share = share(&slot.name));
        self
    }

    /// Steps skipped so far because the gradient was not finite.
    pub(crate) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Steps applied so far.
    pub(crate) fn updates(&self) -> u64 {
        self.updates
    }

    /// One step down the gradient. A gradient that is not finite changes nothing and is counted.
    pub(crate) fn step(&mut self, grads: &GradStore, learning_rate: f64) -> Result<StepReport> {
        let mut pairs = Vec::with_capacity(self.slots.len());
        let mut square_norm = 0.0;
        for slot in &mut self.slots {
            let Some(grad) = grads.get(slot.var.as_tensor()) else { continue };
            let grad = grad.contiguous()?;
            square_norm += square_sum(&grad)?;
            pairs.push((slot, grad));
        }
        let grad_norm = square_norm.sqrt();
        if !grad_norm.is_finite() {
            self.skipped += 1;
            return Ok(StepReport { grad_norm, applied: false });
        }
        self.updates += 1;
        let o = &self.options;
        let correction = |beta: f64| 1.0 - beta.powi(self.updates.min(i32::MAX as u64) as i32);
        for (slot, grad) in pairs {
            let decay = if slot.var.dims().len() > 1 { o.weight_decay } else { 0.0 };
            let learning_rate = learning_rate * slot.rate_share;
            let update = Update {
                scale: if grad_norm > o.clip_norm { o.clip_norm / grad_norm } else { 1.0 },
                beta1: o.beta1,
                beta2: o.beta2,
                eps: o.eps,
                rate: learning_rate / correction(o.beta1),
                square_correction: correction(o.beta2),
                keep: 1.0 - learning_rate * decay,
            };
            match &mut slot.moments {
                Moments::Host(moments) => {
                    slot.var.inplace_op2(&grad, &HostUpdate { update: &update, moments })?;
                }
                Moments::Tensors { mean, square } => update.apply_tensors(&slot.var, &grad, mean, square)?,
            }
        }
        Ok(StepReport { grad_norm, applied: true })
    }

    /// The moments by name (`NAME.mean`, `NAME.square`), for a checkpoint.
    pub(crate) fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let mut state = BTreeMap::new();
        for slot in &self.slots {
            let (mean, square) = match &slot.moments {
                Moments::Host(moments) => {
                    let moments = moments.lock().expect("the update does not panic");
                    let shape = slot.var.shape();
                    (
                        Tensor::from_slice(&moments.mean, shape, &Device::Cpu)?,
                        Tensor::from_slice(&moments.square, shape, &Device::Cpu)?,
                    )
                }
                Moments::Tensors { mean, square } => (mean.clone(), square.clone()),
            };
            state.insert(format!("{}.mean", slot.name), mean);
            state.insert(format!("{}.square", slot.name), square);
        }
        Ok(state)
    }

    /// Takes back what [`AdamW::state`], [`AdamW::updates`] and [`AdamW::skipped`] gave.
    pub(crate) fn restore(&mut self, state: &BTreeMap<String, Tensor>, updates: u64, skipped: u64) -> Result<()> {
        for slot in &mut self.slots {
            let get = |kind: &str| -> Result<&Tensor> {
                let name = format!("{}.{kind}", slot.name);
                let tensor = state
                    .get(&name)
                    .ok_or_else(|| candle_core::Error::Msg(format!("the checkpoint has no optimiser state {name}")))?;
                if tensor.shape() != slot.var.shape() {
                    candle_core::bail!("optimiser state {name}: shape {:?}", tensor.shape());
                }
                Ok(tensor)
            };
            let (mean, square) = (get("mean")?, get("square")?);
            slot.moments = match slot.moments {
                Moments::Host(_) => Moments::Host(Mutex::new(HostMoments {
                    mean: mean.flatten_all()?.to_vec1()?,
                    square: square.flatten_all()?.to_vec1()?,
                })),
                Moments::Tensors { .. } => {
                    let device = slot.var.device();
                    Moments::Tensors { mean: mean.to_device(device)?, square: square.to_device(device)? }
                }
            };
        }
        (self.updates, self.skipped) = (updates, skipped);
        Ok(())
    }
}

/// Sum of squares of a contiguous tensor.
fn square_sum(xs: &Tensor) -> Result<f64> {
    let (storage, layout) = xs.storage_and_layout();
    match &*storage {
        candle_core::Storage::Cpu(CpuStorage::F32(values)) => {
            let values = &values[layout.start_offset()..layout.start_offset() + layout.shape().elem_count()];
            // The pieces' sums are collected and added in order: the same figure on any number of threads.
            let sums: Vec<f64> = values.par_chunks(PIECE).map(piece_square_sum).collect();
            Ok(sums.iter().sum())
        }
        _ => {
            drop(storage);
            Ok(f64::from(xs.sqr()?.sum_all()?.to_scalar::<f32>()?))
        }
    }
}

/// Eight running sums, so that the additions do not wait for each other.
fn piece_square_sum(piece: &[f32]) -> f64 {
    let mut sums = [0f32; 16];
    let mut total = 0f64;
    for block in piece.chunks(1024) {
        let chunks = block.chunks_exact(16);
        let rest: f32 = chunks.remainder().iter().map(|x| x * x).sum();
        sums.fill(0.0);
        for chunk in chunks {
            for (sum, x) in sums.iter_mut().zip(chunk) {
                *sum += x * x;
            }
        }
        total += f64::from(sums.iter().sum::<f32>() + rest);
    }
    total
}

/// The numbers of one step that are the same for all elements of a parameter.
struct Update {
    scale: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
    /// Learning rate over the mean's bias correction.
    rate: f64,
    square_correction: f64,
    /// What weight decay leaves of the parameter.
    keep: f64,
}

impl Update {
    fn apply(&self, values: &mut [f32], grad: &[f32], mean: &mut [f32], square: &mut [f32]) {
        let (scale, beta1, beta2, eps) = (self.scale as f32, self.beta1 as f32, self.beta2 as f32, self.eps as f32);
        let (rate, keep) = (self.rate as f32, self.keep as f32);
        let root = (1.0 / self.square_correction).sqrt() as f32;
        for (((x, g), m), v) in values.iter_mut().zip(grad).zip(mean).zip(square) {
            let g = g * scale;
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *x = keep * *x - rate * *m / (v.sqrt() * root + eps);
        }
    }

    fn apply_tensors(&self, var: &Var, grad: &Tensor, mean: &mut Tensor, square: &mut Tensor) -> Result<()> {
        let grad = (grad * self.scale)?.detach();
        *mean = ((&*mean * self.beta1)? + (&grad * (1.0 - self.beta1))?)?;
        *square = ((&*square * self.beta2)? + (grad.sqr()? * (1.0 - self.beta2))?)?;
        let scale = ((&*square / self.square_correction)?.sqrt()? + self.eps)?;
        let change = (&*mean * self.rate)?.div(&scale)?;
        var.set(&((var.as_detached_tensor() * self.keep)? - change)?)
    }
}

struct HostUpdate<'a> {
    update: &'a Update,
    moments: &'a Mutex<HostMoments>,
}

impl InplaceOp2 for HostUpdate<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, values: &mut CpuStorage, layout: &Layout, grad: &CpuStorage, grad_layout: &Layout) -> Result<()> {
        let (CpuStorage::F32(values), CpuStorage::F32(grad)) = (values, grad) else {
            candle_core::bail!("adamw: parameters and gradients are f32");
        };
        let (Some((start, end)), Some((grad_start, grad_end))) =
            (layout.contiguous_offsets(), grad_layout.contiguous_offsets())
        else {
            candle_core::bail!("adamw: parameters and gradients are contiguous");
        };
        let mut moments = self.moments.lock().expect("the update does not panic");
        let HostMoments { mean, square } = &mut *moments;
        values[start..end]
            .par_chunks_mut(PIECE)
            .zip(grad[grad_start..grad_end].par_chunks(PIECE))
            .zip(mean.par_chunks_mut(PIECE).zip(square.par_chunks_mut(PIECE)))
            .for_each(|((values, grad), (mean, square))| self.update.apply(values, grad, mean, square));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(tensors: bool, options: AdamWOptions) -> (Var, AdamW) {
        let values: Vec<f32> = (0..70_000).map(|i| (i as f32 * 0.37).sin()).collect();
        let var = Var::from_vec(values, (700, 100), &Device::Cpu).unwrap();
        let mut adam = AdamW::new(vec![("w".into(), var.clone())], options).unwrap();
        if tensors {
            let zeros = var.zeros_like().unwrap();
            adam.slots[0].moments = Moments::Tensors { mean: zeros.clone(), square: zeros };
        }
        (var, adam)
    }

    fn grads(var: &Var) -> GradStore {
        // Gradient w^2: every element has its own.
        (var.powf(3.0).unwrap() / 3.0).unwrap().sum_all().unwrap().backward().unwrap()
    }

    #[test]
    fn two_parameters_follow_the_definition() {
        // The definition in plain Python:
        // w = [1.0, -2.0]; m = [0, 0]; v = [0, 0]
        // for t in range(1, 4):
        //     for i in range(2):
        //         g = w[i]**2; w[i] *= 1 - 0.1*0.01
        //         m[i] = .9*m[i] + .1*g; v[i] = .99*v[i] + .01*g*g
        //         w[i] -= 0.1/(1-.9**t)*m[i] / (math.sqrt(v[i])/math.sqrt(1-.99**t) + 1e-8)
        // print(w)  # [0.7013476435969459, -2.2941204192232125]
        let var = Var::from_vec(vec![1f32, -2.0], (1, 2), &Device::Cpu).unwrap();
        let mut adam = AdamW::new(vec![("w".into(), var.clone())], AdamWOptions::default()).unwrap();
        for _ in 0..3 {
            adam.step(&grads(&var), 0.1).unwrap();
        }
        let got = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let expected = [0.701_347_64, -2.294_120_4];
        for (got, expected) in got.iter().zip(expected) {
            assert!((got - expected).abs() < 2e-6, "{got} {expected}");
        }
    }

    #[test]
    fn host_loop_equals_tensor_ops() {
        let options = AdamWOptions { clip_norm: 10.0, ..Default::default() };
        let (host, mut by_host) = setup(false, options.clone());
        let (tensors, mut by_tensors) = setup(true, options);
        for _ in 0..4 {
            let a = by_host.step(&grads(&host), 1e-2).unwrap();
            let b = by_tensors.step(&grads(&tensors), 1e-2).unwrap();
            assert!(a.grad_norm > 10.0 && (a.grad_norm - b.grad_norm).abs() < 1e-3 * b.grad_norm);
        }
        let gap = (host.as_tensor() - tensors.as_tensor()).unwrap().abs().unwrap();
        let gap = gap.max_all().unwrap().to_scalar::<f32>().unwrap();
        assert!(gap < 1e-6, "{gap}");
    }

    #[test]
    fn a_share_of_the_rate_is_a_lower_rate() {
        let (shared, adam) = setup(false, AdamWOptions::default());
        let mut adam = adam.with_rate_shares(|name| if name == "w" { 0.5 } else { 1.0 });
        let (plain, mut by_plain) = setup(false, AdamWOptions::default());
        for _ in 0..2 {
            adam.step(&grads(&shared), 2e-2).unwrap();
            by_plain.step(&grads(&plain), 1e-2).unwrap();
        }
        let values = |var: &Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&shared), values(&plain));
    }

    #[test]
    fn gradient_that_is_no_number_changes_nothing() {
        let (var, mut adam) = setup(false, AdamWOptions::default());
        let before = var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let bad = (var.as_tensor() * f64::NAN).unwrap().sum_all().unwrap().backward().unwrap();
        assert!(!adam.step(&bad, 1.0).unwrap().applied);
        assert_eq!((adam.updates(), adam.skipped()), (0, 1));
        assert_eq!(before, var.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    }

    #[test]
    fn restored_state_goes_on_bit_for_bit() {
        let (straight, mut adam) = setup(false, AdamWOptions::default());
        for _ in 0..2 {
            adam.step(&grads(&straight), 1e-2).unwrap();
        }
        let (state, copy) = (adam.state().unwrap(), Var::from_tensor(straight.as_tensor()).unwrap());
        let mut resumed = AdamW::new(vec![("w".into(), copy.clone())], AdamWOptions::default()).unwrap();
        resumed.restore(&state, adam.updates(), adam.skipped()).unwrap();
        adam.step(&grads(&straight), 1e-2).unwrap();
        resumed.step(&grads(&copy), 1e-2).unwrap();
        let values = |var: &Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(&straight), values(&copy));
    }
}
