//! AdamW: Adam with weight decay apart from the gradient (Loshchilov and Hutter, "Decoupled Weight Decay
//! Regularization", ICLR 2019), gradient clipping by the global norm, and a guard against gradients that are no numbers.
//!
//! On the CPU a step is one pass over each parameter with its two moments beside it (candle's tensor ops would make
//! about ten passes and as many allocations); on other devices the same formula runs in tensor ops, see
//! [`super::device_adamw`]. Sums are taken in fixed pieces, so that the result does not depend on the number of threads.

use std::collections::BTreeMap;
use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Result, Tensor, Var};
use paravox_models::ops;
use rayon::prelude::*;

use super::device_adamw::DeviceMoments;

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

/// One trained parameter.
struct Slot {
    name: String,
    var: Var,
    /// Its part of the learning rate.
    rate_share: f64,
}

/// Mean and squared mean of each parameter's gradient.
enum Moments {
    /// In host memory, one for each slot.
    Host(Vec<Mutex<HostMoments>>),
    Device(DeviceMoments),
}

struct HostMoments {
    mean: Vec<f32>,
    square: Vec<f32>,
}

/// The numbers of one step that are the same for all parameters.
pub(super) struct Rates {
    pub(super) learning_rate: f64,
    /// What clipping leaves of the gradient.
    pub(super) scale: f64,
    pub(super) mean_correction: f64,
    pub(super) square_correction: f64,
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
    moments: Moments,
    options: AdamWOptions,
    /// Steps applied, for the correction of the moments' bias.
    updates: u64,
    /// Steps skipped because the gradient was not finite.
    skipped: u64,
}

impl AdamW {
    /// An optimiser of these named parameters, in this order, with moments of zero.
    #[cfg(test)]
    pub(crate) fn new(vars: Vec<(String, Var)>, options: AdamWOptions) -> Result<Self> {
        Self::with_rate_shares(vars, options, |_| 1.0)
    }

    /// An optimiser of these named parameters, in this order, with moments of zero and a part of the learning rate for each
    /// parameter, by its name.
    pub(crate) fn with_rate_shares(
        vars: Vec<(String, Var)>,
        options: AdamWOptions,
        share: impl Fn(&str) -> f64,
    ) -> Result<Self> {
        let on_host = vars.first().is_none_or(|(_, var)| ops::has_kernels(var));
        Self::new_on(on_host, vars, options, share)
    }

    fn new_on(
        on_host: bool,
        vars: Vec<(String, Var)>,
        options: AdamWOptions,
        share: impl Fn(&str) -> f64,
    ) -> Result<Self> {
        let slots = vars.into_iter().map(|(name, var)| Slot { rate_share: share(&name), name, var });
        let slots: Vec<Slot> = slots.collect();
        let zeros = |slot: &Slot| {
            let zeros = vec![0.0; slot.var.elem_count()];
            Mutex::new(HostMoments { mean: zeros.clone(), square: zeros })
        };
        let moments = match slots.first() {
            Some(first) if !on_host => {
                let vars: Vec<&Var> = slots.iter().map(|slot| &slot.var).collect();
                let rates: Vec<f64> = slots.iter().map(|slot| slot.rate_share).collect();
                Moments::Device(DeviceMoments::new(&vars, &rates, &options, first.var.device())?)
            }
            _ => Moments::Host(slots.iter().map(zeros).collect()),
        };
        Ok(Self { slots, moments, options, updates: 0, skipped: 0 })
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
        let grads = self.slots.iter().map(|slot| grads.get(slot.var.as_tensor()).map(Tensor::contiguous).transpose());
        let grads: Vec<Option<Tensor>> = grads.collect::<Result<_>>()?;
        match &mut self.moments {
            Moments::Host(_) => {
                let mut square_norm = 0.0;
                for grad in grads.iter().flatten() {
                    square_norm += square_sum(grad)?;
                }
                let (report, rates) = self.rates(square_norm.sqrt(), learning_rate);
                if let Some(rates) = rates {
                    self.update_on_host(&grads, &rates)?;
                }
                Ok(report)
            }
            Moments::Device(moments) => {
                let grads = moments.gradients(grads)?;
                let norm = grads.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt();
                let (report, rates) = self.rates(f64::from(norm), learning_rate);
                if let (Some(rates), Moments::Device(moments)) = (rates, &mut self.moments) {
                    let vars: Vec<&Var> = self.slots.iter().map(|slot| &slot.var).collect();
                    moments.update(&vars, &grads, &self.options, &rates)?;
                }
                Ok(report)
            }
        }
    }

    /// Counts the step; `None` where its gradient is not finite.
    fn rates(&mut self, grad_norm: f64, learning_rate: f64) -> (StepReport, Option<Rates>) {
        if !grad_norm.is_finite() {
            self.skipped += 1;
            return (StepReport { grad_norm, applied: false }, None);
        }
        self.updates += 1;
        let correction = |beta: f64| 1.0 - beta.powi(self.updates.min(i32::MAX as u64) as i32);
        let o = &self.options;
        let rates = Rates {
            learning_rate,
            scale: if grad_norm > o.clip_norm { o.clip_norm / grad_norm } else { 1.0 },
            mean_correction: correction(o.beta1),
            square_correction: correction(o.beta2),
        };
        (StepReport { grad_norm, applied: true }, Some(rates))
    }

    fn update_on_host(&mut self, grads: &[Option<Tensor>], rates: &Rates) -> Result<()> {
        let Moments::Host(moments) = &self.moments else { return Ok(()) };
        let o = &self.options;
        for ((slot, moments), grad) in self.slots.iter().zip(moments).zip(grads) {
            let Some(grad) = grad else { continue };
            let decay = if slot.var.dims().len() > 1 { o.weight_decay } else { 0.0 };
            let learning_rate = rates.learning_rate * slot.rate_share;
            let update = Update {
                scale: rates.scale,
                beta1: o.beta1,
                beta2: o.beta2,
                eps: o.eps,
                rate: learning_rate / rates.mean_correction,
                square_correction: rates.square_correction,
                keep: 1.0 - learning_rate * decay,
            };
            slot.var.inplace_op2(grad, &HostUpdate { update: &update, moments })?;
        }
        Ok(())
    }

    /// The moments by name (`NAME.mean`, `NAME.square`), for a checkpoint.
    pub(crate) fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let of_host = |(slot, moments): (&Slot, &Mutex<HostMoments>)| {
            let moments = moments.lock().expect("the update does not panic");
            let tensor = |values: &[f32]| Tensor::from_slice(values, slot.var.shape(), &Device::Cpu);
            Ok([tensor(&moments.mean)?, tensor(&moments.square)?])
        };
        let pairs: Vec<[Tensor; 2]> = match &self.moments {
            Moments::Host(moments) => self.slots.iter().zip(moments).map(of_host).collect::<Result<_>>()?,
            Moments::Device(moments) => moments.state(&self.slots.iter().map(|slot| &slot.var).collect::<Vec<_>>())?,
        };
        let named = self.slots.iter().zip(pairs).flat_map(|(slot, [mean, square])| {
            [(format!("{}.mean", slot.name), mean), (format!("{}.square", slot.name), square)]
        });
        Ok(named.collect())
    }

    /// Takes back what [`AdamW::state`], [`AdamW::updates`] and [`AdamW::skipped`] gave.
    pub(crate) fn restore(&mut self, state: &BTreeMap<String, Tensor>, updates: u64, skipped: u64) -> Result<()> {
        let pair = |slot: &Slot| {
            let get = |kind: &str| -> Result<Tensor> {
                let name = format!("{}.{kind}", slot.name);
                let tensor = state
                    .get(&name)
                    .ok_or_else(|| candle_core::Error::Msg(format!("the checkpoint has no optimiser state {name}")))?;
                if tensor.shape() != slot.var.shape() {
                    candle_core::bail!("optimiser state {name}: shape {:?}", tensor.shape());
                }
                Ok(tensor.clone())
            };
            Ok([get("mean")?, get("square")?])
        };
        let pairs: Vec<[Tensor; 2]> = self.slots.iter().map(pair).collect::<Result<_>>()?;
        match &mut self.moments {
            Moments::Host(moments) => {
                let values = |tensor: &Tensor| tensor.flatten_all()?.to_vec1();
                for (moments, [mean, square]) in moments.iter_mut().zip(&pairs) {
                    *moments = Mutex::new(HostMoments { mean: values(mean)?, square: values(square)? });
                }
            }
            Moments::Device(moments) => moments.restore(&pairs)?,
        }
        (self.updates, self.skipped) = (updates, skipped);
        Ok(())
    }
}

/// Sum of squares of a contiguous tensor on the CPU.
fn square_sum(xs: &Tensor) -> Result<f64> {
    let (storage, layout) = xs.storage_and_layout();
    let candle_core::Storage::Cpu(CpuStorage::F32(values)) = &*storage else {
        candle_core::bail!("adamw: gradients are f32 and where the parameters are");
    };
    let values = &values[layout.start_offset()..layout.start_offset() + layout.shape().elem_count()];
    // The pieces' sums are collected and added in order: the same figure on any number of threads.
    let sums: Vec<f64> = values.par_chunks(PIECE).map(piece_square_sum).collect();
    Ok(sums.iter().sum())
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
        let adam = AdamW::new_on(!tensors, vec![("w".into(), var.clone())], options, |_| 1.0).unwrap();
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
        for on_host in [true, false] {
            let shared = setup(false, AdamWOptions::default()).0;
            let half = |name: &str| if name == "w" { 0.5 } else { 1.0 };
            let vars = vec![("w".into(), shared.clone())];
            let mut adam = AdamW::new_on(on_host, vars, AdamWOptions::default(), half).unwrap();
            let (plain, mut by_plain) = setup(!on_host, AdamWOptions::default());
            for _ in 0..2 {
                adam.step(&grads(&shared), 2e-2).unwrap();
                by_plain.step(&grads(&plain), 1e-2).unwrap();
            }
            let values = |var: &Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(&shared), values(&plain));
        }
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
        for tensors in [false, true] {
            let (straight, mut adam) = setup(tensors, AdamWOptions::default());
            for _ in 0..2 {
                adam.step(&grads(&straight), 1e-2).unwrap();
            }
            let (state, copy) = (adam.state().unwrap(), Var::from_tensor(straight.as_tensor()).unwrap());
            let vars = vec![("w".into(), copy.clone())];
            let mut resumed = AdamW::new_on(!tensors, vars, AdamWOptions::default(), |_| 1.0).unwrap();
            resumed.restore(&state, adam.updates(), adam.skipped()).unwrap();
            adam.step(&grads(&straight), 1e-2).unwrap();
            resumed.step(&grads(&copy), 1e-2).unwrap();
            let values = |var: &Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(&straight), values(&copy));
        }
    }

    #[test]
    fn on_a_device_parameters_stay_apart_and_one_without_gradient_as_it_is() {
        let values = |var: &Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let run = |on_host: bool| {
            let vars = [(2, 3, 0.5f32), (1, 4, -1.5), (5, 1, 2.0)].map(|(rows, columns, value)| {
                Var::from_tensor(
                    &(Tensor::ones((rows, columns), candle_core::DType::F32, &Device::Cpu).unwrap() * f64::from(value))
                        .unwrap(),
                )
                .unwrap()
            });
            let named = vars.iter().enumerate().map(|(i, var)| (i.to_string(), var.clone())).collect();
            let share = |name: &str| if name == "2" { 0.1 } else { 1.0 };
            let mut adam = AdamW::new_on(on_host, named, AdamWOptions::default(), share).unwrap();
            for step in 0..4 {
                // The second has no gradient in the first two steps.
                let used: Vec<&Var> =
                    vars.iter().enumerate().filter(|(i, _)| step > 1 || *i != 1).map(|(_, var)| var).collect();
                let loss = used
                    .iter()
                    .map(|var| var.sqr().unwrap().sum_all().unwrap())
                    .reduce(|a, b| (a + b).unwrap())
                    .unwrap();
                adam.step(&loss.backward().unwrap(), 1e-2).unwrap();
                assert!(step > 1 || values(&vars[1]) == [-1.5; 4]);
            }
            vars.map(|var| values(&var))
        };
        for (host, device) in run(true).iter().flatten().zip(run(false).iter().flatten()) {
            assert!((host - device).abs() < 1e-6, "{host} {device}");
        }
    }
}
