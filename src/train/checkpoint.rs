//! Checkpoints: everything that a training needs to go on as if it had not stopped, in one safetensors file that is
//! replaced in one move.
//!
//! Tensors `model.NAME` (nets, running statistics included) and `adamw.NAME.{mean,square}`; the rest is JSON under
//! `training` in the file's metadata. Batches and dropout are functions of (seed, step), so no generator's state is kept.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use paravox_models::config;
use safetensors::tensor::{Dtype, TensorView};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::error::{Result, TrainError};
use crate::sink::output::replace;

/// Name of the checkpoint in a training's folder.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// Name of the nets alone, for synthesis and for trainings that build on them.
pub const MODEL: &str = "model.safetensors";
/// Name of the nets' configuration.
pub const CONFIG: &str = "config.toml";

/// Where a training stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// `voice`, `vocoder` or `lips`.
    pub(crate) kind: String,
    /// Steps done: the number of the next step.
    pub(crate) step: u64,
    /// Steps of the whole training, as the schedule saw them last.
    pub(crate) steps: u64,
    /// Seconds spent so far, over all runs.
    pub(crate) seconds: f64,
    /// Optimiser steps applied.
    pub(crate) updates: u64,
    /// Optimiser steps skipped for a gradient that was not finite.
    pub(crate) skipped: u64,
    /// Seed that the training began with.
    pub(crate) seed: u64,
}

/// What a checkpoint holds.
pub(crate) struct Checkpoint {
    pub(crate) progress: Progress,
    pub(crate) model: BTreeMap<String, Tensor>,
    pub(crate) optimiser: BTreeMap<String, Tensor>,
}

/// Reads a file of a nets' configuration.
pub(crate) fn read_config<C: DeserializeOwned>(path: &Path) -> Result<C> {
    let text = std::fs::read_to_string(path).map_err(|error| TrainError::read(path, error))?;
    config::from_toml(&text).map_err(|error| TrainError::checkpoint(path, error))
}

/// Writes a file of a nets' configuration.
pub(crate) fn write_config(path: &Path, config: &impl Serialize) -> Result<()> {
    let text = config::to_toml(config).expect("a config that was read can be written");
    write_atomically(path, text.as_bytes())
}

/// Writes a checkpoint and, beside it, the nets alone.
pub(crate) fn save(
    folder: &Path,
    progress: &Progress,
    vars: &[(String, Var)],
    optimiser: BTreeMap<String, Tensor>,
) -> Result<()> {
    let mut tensors = BTreeMap::new();
    let mut model = BTreeMap::new();
    for (name, var) in vars {
        tensors.insert(format!("model.{name}"), var.as_detached_tensor());
        if !is_aid(name) {
            model.insert(name.clone(), var.as_detached_tensor());
        }
    }
    tensors.extend(optimiser.into_iter().map(|(name, tensor)| (format!("adamw.{name}"), tensor)));
    let json = serde_json::to_string(progress).expect("numbers and strings are JSON");
    write_tensors(&folder.join(CHECKPOINT), &tensors, &[("training", &json)])?;
    let steps = progress.step.to_string();
    save_model(folder, &model, &[("kind", &progress.kind), ("steps", &steps)])
}

/// Writes nets alone.
pub(crate) fn save_model(folder: &Path, model: &BTreeMap<String, Tensor>, metadata: &[(&str, &str)]) -> Result<()> {
    write_tensors(&folder.join(MODEL), model, metadata)
}

/// Path of parameters that help in training and are no part of the nets: checkpoints hold them, models do not.
pub(crate) const AID: &str = "aid";

/// Whether a parameter of this name is an aid.
pub(crate) fn is_aid(name: &str) -> bool {
    name.split('.').next() == Some(AID)
}

/// Reads a checkpoint; `None` where the folder has none.
pub(crate) fn load(folder: &Path) -> Result<Option<Checkpoint>> {
    let path = folder.join(CHECKPOINT);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TrainError::read(&path, error)),
    };
    let (tensors, metadata) = parse(&path, &bytes)?;
    let json = metadata.get("training").ok_or_else(|| TrainError::checkpoint(&path, "not a checkpoint of paravox"))?;
    let progress = serde_json::from_str(json).map_err(|error| TrainError::checkpoint(&path, error))?;
    let (mut model, mut optimiser) = (BTreeMap::new(), BTreeMap::new());
    for (name, tensor) in tensors {
        if let Some(name) = name.strip_prefix("model.") {
            model.insert(name.to_string(), tensor);
        } else if let Some(name) = name.strip_prefix("adamw.") {
            optimiser.insert(name.to_string(), tensor);
        }
    }
    Ok(Some(Checkpoint { progress, model, optimiser }))
}

/// Reads the nets of `path`: a safetensors file, or a training's folder.
pub(crate) fn load_model(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let path = if path.is_dir() { path.join(MODEL) } else { path.to_path_buf() };
    let bytes = std::fs::read(&path).map_err(|error| TrainError::read(&path, error))?;
    Ok(parse(&path, &bytes)?.0)
}

/// Gives the parameters the values of the model, which must name exactly these parameters with these shapes.
pub(crate) fn assign(vars: &[(String, Var)], model: &BTreeMap<String, Tensor>, path: &Path) -> Result<()> {
    for (name, var) in vars {
        let tensor =
            model.get(name).ok_or_else(|| TrainError::checkpoint(path, format!("no tensor {name}: other nets?")))?;
        if tensor.shape() != var.shape() {
            let reason = format!("{name} is {:?} where the nets have {:?}", tensor.dims(), var.dims());
            return Err(TrainError::checkpoint(path, reason));
        }
        var.set(&tensor.to_device(var.device())?)?;
    }
    if let Some(name) = model.keys().find(|name| !vars.iter().any(|(other, _)| other == *name)) {
        return Err(TrainError::checkpoint(path, format!("tensor {name} has no place in these nets")));
    }
    Ok(())
}

/// Writes bytes beside `path` and moves them there, so that a reader sees the old file or the new one, whole.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, bytes).map_err(|error| TrainError::write(path, error))
}

fn write_tensors(path: &Path, tensors: &BTreeMap<String, Tensor>, metadata: &[(&str, &str)]) -> Result<()> {
    let mut buffers = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        let values = tensor.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        buffers.push((name, tensor.dims().to_vec(), bytes));
    }
    let views = buffers.iter().map(|(name, dims, bytes)| {
        let view = TensorView::new(Dtype::F32, dims.clone(), bytes).expect("four bytes for each element");
        (name.as_str(), view)
    });
    let metadata: HashMap<String, String> =
        metadata.iter().map(|(key, value)| ((*key).to_string(), (*value).to_string())).collect();
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|error| TrainError::checkpoint(path, error))?;
    write_atomically(path, &bytes)
}

pub(super) type Parsed = (BTreeMap<String, Tensor>, HashMap<String, String>);

pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Parsed> {
    let broken = |error: safetensors::SafeTensorError| TrainError::checkpoint(path, format!("damaged: {error}"));
    let (_, header) = safetensors::SafeTensors::read_metadata(bytes).map_err(broken)?;
    let file = safetensors::SafeTensors::deserialize(bytes).map_err(broken)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.iter() {
        let dtype = match view.dtype() {
            Dtype::F32 => DType::F32,
            Dtype::F16 => DType::F16,
            other => return Err(TrainError::checkpoint(path, format!("{name} has type {other:?}"))),
        };
        let tensor = Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)?;
        tensors.insert(name.to_string(), tensor.to_dtype(DType::F32)?);
    }
    Ok((tensors, header.metadata().clone().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress { kind: "voice".into(), step: 7, steps: 20, seconds: 1.5, updates: 6, skipped: 1, seed: 3 }
    }

    fn vars(values: [f32; 2]) -> Vec<(String, Var)> {
        vec![("a.weight".into(), Var::from_vec(values.to_vec(), (1, 2), &Device::Cpu).unwrap())]
    }

    #[test]
    fn saved_state_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path()).unwrap().is_none());
        let saved = vars([1.25, -3.0]);
        let moments = BTreeMap::from([("a.weight.mean".to_string(), saved[0].1.as_detached_tensor())]);
        save(folder.path(), &progress(), &saved, moments).unwrap();
        let checkpoint = load(folder.path()).unwrap().unwrap();
        assert_eq!(checkpoint.progress, progress());
        assert_eq!(checkpoint.optimiser["a.weight.mean"].to_vec2::<f32>().unwrap(), [[1.25, -3.0]]);
        let fresh = vars([0.0, 0.0]);
        assign(&fresh, &checkpoint.model, folder.path()).unwrap();
        assert_eq!(fresh[0].1.to_vec2::<f32>().unwrap(), [[1.25, -3.0]]);
        assign(&fresh, &load_model(folder.path()).unwrap(), folder.path()).unwrap();
        // Nothing but the two files: no temporary is left.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn damaged_or_foreign_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &progress(), &vars([1.0, 2.0]), BTreeMap::new()).unwrap();
        let path = folder.path().join(CHECKPOINT);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        let error = load(folder.path()).err().unwrap().to_string();
        assert!(error.contains("damaged") && error.contains(CHECKPOINT), "{error}");
        let model = load_model(folder.path()).unwrap();
        let other = vec![("b".to_string(), vars([0.0, 0.0])[0].1.clone())];
        assert!(matches!(assign(&other, &model, &path), Err(TrainError::Checkpoint { .. })));
        let wider = vec![("a.weight".to_string(), Var::from_vec(vec![0f32; 4], (2, 2), &Device::Cpu).unwrap())];
        assert!(assign(&wider, &model, &path).unwrap_err().to_string().contains("a.weight"));
    }
}
