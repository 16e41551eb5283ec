//! The trainable state of a set of nets: named variables, initialised from (seed, name).
//!
//! candle's `VarMap` draws from a global generator in the order in which layers are built and lists its variables in the
//! order of a hash map. Here each variable is a function of the seed and its own name, and lists are sorted by name: two
//! trainings with one seed are equal, and adding a net does not change the others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::summary::Summary;
use crate::weights::{WeightsError, differences};

/// Ends of the names of BatchNorm's running statistics: stored and saved, but touched by no optimiser and not counted.
const RUNNING_STATISTICS: [&str; 2] = ["running_mean", "running_var"];

/// Named variables, created when a net asks for them.
///
/// Clones share their variables.
///
/// ```
/// use candle_core::Device;
/// use paravox_models::layers::{Linear, LinearConfig};
/// use paravox_models::params::Params;
///
/// let params = Params::new(1234, &Device::Cpu);
/// let linear = Linear::new(&LinearConfig::new(3, 2), params.builder().pp("output"))?;
/// assert_eq!(params.count(), 3 * 2 + 2);
/// # drop(linear);
/// # candle_core::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
pub struct Params {
    store: Store,
    device: Device,
}

/// What a [`VarBuilder`] over [`Params`] asks.
#[derive(Debug, Clone)]
struct Store {
    seed: u64,
    vars: Arc<Mutex<BTreeMap<String, Var>>>,
}

impl Params {
    /// No variables yet; those to come are drawn from `seed`.
    pub fn new(seed: u64, device: &Device) -> Self {
        Self { store: Store { seed, vars: Arc::default() }, device: device.clone() }
    }

    /// The device that the variables live on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The builder to construct nets from; a name asked for twice gives the same variable.
    pub fn builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(self.store.clone()), DType::F32, self.device.clone())
    }

    /// A builder of the same nets that does not let them learn: of what the variables hold now. Their layers are laid out for
    /// their products at first use.
    pub fn fixed(&self) -> VarBuilder<'static> {
        let tensors = self.vars().into_iter().map(|(name, var)| (name, var.as_detached_tensor()));
        VarBuilder::from_tensors(tensors.collect(), DType::F32, &self.device)
    }

    /// All variables sorted by name, running statistics included.
    pub fn vars(&self) -> Vec<(String, Var)> {
        self.store.lock().iter().map(|(name, var)| (name.clone(), var.clone())).collect()
    }

    /// The variables that an optimiser may change, sorted by name: all but the running statistics of BatchNorm.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.vars().into_iter().filter(|(name, _)| is_trainable(name)).collect()
    }

    /// Forgets the variables under a path; nets that were built of them keep them.
    pub fn forget(&self, path: &str) {
        self.store.lock().retain(|name, _| name.strip_prefix(path).is_none_or(|rest| !rest.starts_with('.')));
    }

    /// How many numbers an optimiser may change, counted as papers count parameters.
    pub fn count(&self) -> usize {
        self.trainable().iter().map(|(_, var)| var.elem_count()).sum()
    }

    /// Parameters of each part: the first component of the variables' names.
    pub fn summary(&self) -> Summary {
        Summary::of(self.trainable().iter().map(|(name, var)| (name.as_str(), var.elem_count())))
    }

    /// Writes all variables in f32 as safetensors, in a temporary file beside `path` that then takes its place.
    pub fn save(&self, path: &Path) -> std::result::Result<(), WeightsError> {
        let tensors = self.vars().into_iter().map(|(name, var)| (name, var.into_inner())).collect();
        let bytes = crate::weights::serialize(tensors, DType::F32, BTreeMap::new())?;
        let io = |source| WeightsError::Io { path: path.to_owned(), source };
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".part");
        let temporary = PathBuf::from(temporary);
        std::fs::write(&temporary, bytes).and_then(|()| std::fs::rename(&temporary, path)).map_err(io)
    }

    /// Sets all variables from a file of [`Params::save`].
    ///
    /// Build the nets first: the file must hold exactly their variables.
    ///
    /// # Errors
    /// [`WeightsError::Differs`] names every missing, extra and misshapen tensor; no variable is changed then.
    pub fn load(&self, path: &Path) -> std::result::Result<(), WeightsError> {
        let bytes = std::fs::read(path).map_err(|source| WeightsError::Io { path: path.to_owned(), source })?;
        let file = safetensors::SafeTensors::deserialize(&bytes)?;
        let vars = self.vars();
        let wanted = vars.iter().map(|(name, var)| (name.clone(), var.dims().to_vec())).collect();
        let found = file.iter().map(|(name, view)| (name.to_owned(), view.shape().to_vec())).collect();
        let differences = differences(&wanted, &found);
        if !differences.is_empty() {
            return Err(WeightsError::Differs { differences });
        }
        for (name, var) in vars {
            use candle_core::safetensors::Load;
            var.set(&file.tensor(&name)?.load(&self.device)?.to_dtype(DType::F32)?)?;
        }
        Ok(())
    }
}

/// Whether an optimiser may change the variable of this name.
pub fn is_trainable(name: &str) -> bool {
    !RUNNING_STATISTICS.iter().any(|end| name.ends_with(end))
}

impl Store {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Var>> {
        // A panic elsewhere while the map was held cannot leave it half-changed: insertion is its only change.
        self.vars.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl SimpleBackend for Store {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let mut vars = self.lock();
        if let Some(var) = vars.get(name) {
            if var.shape() != &shape {
                candle_core::bail!("the variable {name} has shape {:?}, not {shape:?}", var.shape());
            }
            return Ok(var.as_tensor().clone());
        }
        let values = Tensor::from_vec(initial_values(init, &shape, self.seed, name), &shape, device)?;
        let var = Var::from_tensor(&values.to_dtype(dtype)?)?;
        let tensor = var.as_tensor().clone();
        vars.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.lock().get(name) {
            Some(var) => Ok(var.as_tensor().clone()),
            None => candle_core::bail!("there is no variable {name} yet, and no shape to make it from"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.lock().contains_key(name)
    }
}

fn initial_values(init: Init, shape: &Shape, seed: u64, name: &str) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ fnv1a(name));
    // 24 random bits, as many as an f32 in 0..1 can hold evenly.
    let mut unit = move || f64::from(rng.next_u32() >> 8) / f64::from(1u32 << 24);
    let mut uniform = |lo: f64, up: f64| (lo + (up - lo) * unit()) as f32;
    let n = shape.elem_count();
    match init {
        Init::Const(value) => vec![value as f32; n],
        Init::Uniform { lo, up } => (0..n).map(|_| uniform(lo, up)).collect(),
        Init::Randn { mean, stdev } => normal(n, mean, stdev, uniform),
        Init::Kaiming { dist, fan, non_linearity } => {
            let stdev = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            match dist {
                NormalOrUniform::Normal => normal(n, 0., stdev, uniform),
                NormalOrUniform::Uniform => {
                    let bound = 3f64.sqrt() * stdev;
                    (0..n).map(|_| uniform(-bound, bound)).collect()
                }
            }
        }
    }
}

/// Box-Muller, one value of each pair.
fn normal(n: usize, mean: f64, stdev: f64, mut uniform: impl FnMut(f64, f64) -> f32) -> Vec<f32> {
    let mut one = || {
        let (radius, angle) = (1. - f64::from(uniform(0., 1.)).min(1. - 1e-8), f64::from(uniform(0., 1.)));
        mean + stdev * (-2. * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    };
    (0..n).map(|_| one() as f32).collect()
}

/// The FNV-1a hash, 64 bits: stable across platforms and compilers, as `std`'s hasher is not.
fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(params: &Params, name: &str, shape: (usize, usize)) -> Vec<f32> {
        let init = Init::Randn { mean: 1., stdev: 0.5 };
        params.builder().get_with_hints(shape, name, init).unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_variable_depends_on_seed_and_name_alone() {
        let (a, b, other) = (Params::new(1, &Device::Cpu), Params::new(1, &Device::Cpu), Params::new(2, &Device::Cpu));
        let (a1, a2) = (values(&a, "one", (40, 50)), values(&a, "two", (40, 50)));
        let (b2, b1) = (values(&b, "two", (40, 50)), values(&b, "one", (40, 50)));
        assert_eq!((&a1, &a2), (&b1, &b2));
        assert_ne!(a1, a2);
        assert_ne!(a1, values(&other, "one", (40, 50)));
        let mean = a1.iter().sum::<f32>() / 2000.;
        let deviation = (a1.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / 2000.).sqrt();
        assert!((mean - 1.).abs() < 0.05 && (deviation - 0.5).abs() < 0.03, "{mean} {deviation}");
    }

    #[test]
    fn running_statistics_are_neither_trained_nor_counted() {
        let params = Params::new(1, &Device::Cpu);
        for name in ["norm.weight", "norm.running_mean", "norm.running_var"] {
            values(&params, name, (1, 4));
        }
        assert_eq!((params.vars().len(), params.trainable().len(), params.count()), (3, 1, 4));
        params.forget("nor");
        assert_eq!(params.vars().len(), 3);
        params.forget("norm");
        assert_eq!(params.vars().len(), 0);
    }

    #[test]
    fn a_loaded_file_must_match_exactly() {
        let folder = std::env::temp_dir().join(format!("paravox-params-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("state.safetensors");
        let params = Params::new(1, &Device::Cpu);
        let kept = values(&params, "a", (2, 3));
        values(&params, "b", (2, 3));
        params.save(&path).unwrap();

        let same = Params::new(9, &Device::Cpu);
        values(&same, "a", (2, 3));
        values(&same, "b", (2, 3));
        same.load(&path).unwrap();
        assert_eq!(values(&same, "a", (2, 3)), kept);

        let other = Params::new(9, &Device::Cpu);
        let before = values(&other, "a", (2, 3));
        values(&other, "b", (3, 2));
        values(&other, "c", (1, 1));
        let message = other.load(&path).unwrap_err().to_string();
        assert!(message.contains('b') && message.contains("[3, 2]") && message.contains('c'), "{message}");
        assert_eq!(values(&other, "a", (2, 3)), before);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
