//! Shipped weights: safetensors in f16 (or f32), read from a byte buffer into f32 nets.
//!
//! The metadata of the file carries the model's configuration under [`CONFIG_KEY`], so that a file of weights is a whole
//! model. Layout: <https://github.com/huggingface/safetensors> (8 bytes of length, a JSON header, the numbers).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use candle_core::safetensors::Load;
use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use safetensors::SafeTensors;

use crate::params::Params;

/// The key of the file's metadata that holds the configuration as TOML text.
pub const CONFIG_KEY: &str = "config";

/// Why weights could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The bytes are not a whole safetensors file: fetch or write it anew.
    #[error("not a whole safetensors file ({0}): get the file again")]
    Damaged(#[from] safetensors::SafeTensorError),
    /// The file belongs to another model or another version of it: use the matching one.
    #[error("the weights do not fit the model: {}", differences.join("; "))]
    Differs {
        /// One text for each missing, extra or misshapen tensor.
        differences: Vec<String>,
    },
    /// A number is infinite or not a number, or too large for f16: the training went astray.
    #[error("the tensor {name} holds a number that f16 cannot hold: train it again with a lower rate")]
    NotFinite {
        /// The tensor.
        name: String,
    },
    /// The file could not be read or written.
    #[error("{source}: {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A tensor could not be built on the device.
    #[error(transparent)]
    Candle(#[from] candle_core::Error),
}

/// The tensors of a weights file, read but not yet claimed by nets.
#[derive(Debug, Clone)]
pub struct Weights {
    store: Arc<Store>,
    device: Device,
    metadata: HashMap<String, String>,
}

#[derive(Debug)]
struct Store {
    tensors: BTreeMap<String, Tensor>,
    claimed: Mutex<BTreeSet<String>>,
}

impl Weights {
    /// Reads a file's bytes; f16 and f32 tensors become f32.
    ///
    /// # Errors
    /// [`WeightsError::Damaged`] where the bytes are no whole safetensors file.
    pub fn from_bytes(bytes: &[u8], device: &Device) -> std::result::Result<Self, WeightsError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let file = SafeTensors::deserialize(bytes)?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            tensors.insert(name.to_owned(), view.load(device)?.to_dtype(DType::F32)?);
        }
        let metadata = header.metadata().clone().unwrap_or_default();
        Ok(Self { store: Arc::new(Store { tensors, claimed: Mutex::default() }), device: device.clone(), metadata })
    }

    /// The configuration as TOML text, if the file carries one.
    pub fn config(&self) -> Option<&str> {
        self.metadata.get(CONFIG_KEY).map(String::as_str)
    }

    /// A value of the file's metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// The builder to construct nets from; a missing or misshapen tensor is an error that names it.
    pub fn builder(&self) -> VarBuilder<'static> {
        VarBuilder::from_backend(Box::new(Claims(self.store.clone())), DType::F32, self.device.clone())
    }

    /// Call when all nets are built.
    ///
    /// # Errors
    /// [`WeightsError::Differs`] names the tensors that no net asked for.
    pub fn finish(self) -> std::result::Result<(), WeightsError> {
        let claimed = self.store.claimed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let unclaimed = self.store.tensors.keys().filter(|name| !claimed.contains(*name));
        let differences: Vec<_> = unclaimed.map(|name| format!("the model has no {name}")).collect();
        if differences.is_empty() { Ok(()) } else { Err(WeightsError::Differs { differences }) }
    }
}

struct Claims(Arc<Store>);

impl SimpleBackend for Claims {
    fn get(&self, shape: Shape, name: &str, _: Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let tensor = self.get_unchecked(name, dtype, device)?;
        if tensor.shape() != &shape {
            let difference = misshapen(name, shape.dims(), tensor.dims());
            return Err(candle_core::Error::wrap(WeightsError::Differs { differences: vec![difference] }));
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        let Some(tensor) = self.0.tensors.get(name) else {
            let differences = vec![format!("{name} is missing")];
            return Err(candle_core::Error::wrap(WeightsError::Differs { differences }));
        };
        let mut claimed = self.0.claimed.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        claimed.insert(name.to_owned());
        Ok(tensor.clone())
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.tensors.contains_key(name)
    }
}

fn misshapen(name: &str, wanted: &[usize], found: &[usize]) -> String {
    format!("{name} is {found:?} where the model has {wanted:?}")
}

/// One text for each tensor that is missing from `found`, not in `wanted`, or of another shape.
pub(crate) fn differences(wanted: &BTreeMap<String, Vec<usize>>, found: &BTreeMap<String, Vec<usize>>) -> Vec<String> {
    let missing_or_misshapen = wanted.iter().filter_map(|(name, shape)| match found.get(name) {
        None => Some(format!("{name} is missing")),
        Some(other) if other != shape => Some(misshapen(name, shape, other)),
        Some(_) => None,
    });
    let extra = found.keys().filter(|name| !wanted.contains_key(*name));
    missing_or_misshapen.chain(extra.map(|name| format!("the model has no {name}"))).collect()
}

/// The bytes of a safetensors file with the tensors in `dtype`.
///
/// # Errors
/// [`WeightsError::NotFinite`] where a value is not finite in `dtype`.
pub(crate) fn serialize(
    tensors: Vec<(String, Tensor)>,
    dtype: DType,
    metadata: BTreeMap<String, String>,
) -> std::result::Result<Vec<u8>, WeightsError> {
    let mut converted = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let tensor = tensor.detach().to_dtype(dtype)?.contiguous()?;
        // The sum of |x| * 0 is 0 unless some x is infinite or not a number.
        let check = (tensor.to_dtype(DType::F32)?.flatten_all()? * 0.)?.sum_all()?.to_scalar::<f32>()?;
        if check != 0. {
            return Err(WeightsError::NotFinite { name });
        }
        converted.push((name, tensor));
    }
    let metadata = (!metadata.is_empty()).then(|| metadata.into_iter().collect());
    Ok(safetensors::serialize(converted, metadata)?)
}

/// The bytes of an f16 weights file of all variables in `params` (running statistics included), with `config` (TOML) and
/// further `metadata` in its header.
///
/// # Errors
/// [`WeightsError::NotFinite`] where a value does not fit f16.
pub fn to_f16_bytes(
    params: &Params,
    config: &str,
    mut metadata: BTreeMap<String, String>,
) -> std::result::Result<Vec<u8>, WeightsError> {
    metadata.insert(CONFIG_KEY.to_owned(), config.to_owned());
    let tensors = params.vars().into_iter().map(|(name, var)| (name, var.into_inner())).collect();
    serialize(tensors, DType::F16, metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        let params = Params::new(5, &Device::Cpu);
        let init = Init::Uniform { lo: -1., up: 1. };
        params.builder().pp("net").get_with_hints((3, 4), "weight", init).unwrap();
        params.builder().pp("net").get_with_hints(4, "bias", init).unwrap();
        params
    }

    #[test]
    fn f16_file_gives_back_values_and_config() {
        let params = params();
        let bytes = to_f16_bytes(&params, "width = 4", BTreeMap::from([("step".into(), "9".into())])).unwrap();
        let weights = Weights::from_bytes(&bytes, &Device::Cpu).unwrap();
        assert_eq!((weights.config(), weights.metadata("step")), (Some("width = 4"), Some("9")));
        let builder = weights.builder().pp("net");
        let read = builder.get((3, 4), "weight").unwrap().to_vec2::<f32>().unwrap();
        let kept = params.builder().pp("net").get((3, 4), "weight").unwrap().to_vec2::<f32>().unwrap();
        for (a, b) in read.iter().flatten().zip(kept.iter().flatten()) {
            assert!((a - b).abs() <= b.abs() / 2048. + 1e-7, "{a} {b}");
        }
        builder.get(4, "bias").unwrap();
        weights.finish().unwrap();
    }

    #[test]
    fn errors_name_the_tensor() {
        let bytes = to_f16_bytes(&params(), "", BTreeMap::new()).unwrap();
        let weights = Weights::from_bytes(&bytes, &Device::Cpu).unwrap();
        let builder = weights.builder().pp("net");
        assert!(builder.get((4, 3), "weight").unwrap_err().to_string().contains("net.weight"));
        assert!(builder.get(4, "scale").unwrap_err().to_string().contains("net.scale"));
        builder.get((3, 4), "weight").unwrap();
        assert!(weights.finish().unwrap_err().to_string().contains("net.bias"));
        assert!(matches!(Weights::from_bytes(&bytes[..40], &Device::Cpu), Err(WeightsError::Damaged(_))));
        assert!(matches!(Weights::from_bytes(b"", &Device::Cpu), Err(WeightsError::Damaged(_))));
    }

    #[test]
    fn a_value_too_large_for_f16_is_refused() {
        let params = params();
        params.builder().get_with_hints(2, "large", Init::Const(1e6)).unwrap();
        let error = to_f16_bytes(&params, "", BTreeMap::new()).unwrap_err();
        assert!(matches!(error, WeightsError::NotFinite { ref name } if name == "large"), "{error}");
    }
}
