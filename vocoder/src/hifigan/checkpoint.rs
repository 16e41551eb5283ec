//! Files of HiFi-GAN weights: what tensors the published ones hold, and how they are read.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use candle_core::{DType, Device, Tensor, pickle};

use super::generator::OUTER_KERNEL;
use super::{HifiGanConfig, ResBlockKind, legacy};
use crate::error::{Result, VocoderError};

/// The key under which the published `.pth` files hold the generator.
const GENERATOR_KEY: &str = "generator";

/// Name and shape of every tensor in a published checkpoint of this configuration.
pub fn tensor_shapes(config: &HifiGanConfig) -> BTreeMap<String, Vec<usize>> {
    let mut shapes = BTreeMap::new();
    let mut conv = |name: String, shape: [usize; 3], outputs: usize| {
        shapes.insert(format!("{name}.weight_g"), vec![shape[0], 1, 1]);
        shapes.insert(format!("{name}.weight_v"), shape.to_vec());
        shapes.insert(format!("{name}.bias"), vec![outputs]);
    };
    let first = config.upsample_initial_channel;
    conv("conv_pre".to_owned(), [first, config.mel.n_mels, OUTER_KERNEL], first);
    let mut block = 0;
    let mut channels = first;
    for (stage, &kernel) in config.upsample_kernel_sizes.iter().enumerate() {
        channels = config.channels(stage);
        conv(format!("ups.{stage}"), [first >> stage, channels, kernel], channels);
        for (&kernel, dilations) in config.resblock_kernel_sizes.iter().zip(&config.resblock_dilation_sizes) {
            let lists: &[&str] = match config.resblock {
                ResBlockKind::One => &["convs1", "convs2"],
                ResBlockKind::Two => &["convs"],
            };
            for list in lists {
                for step in 0..dilations.len() {
                    conv(format!("resblocks.{block}.{list}.{step}"), [channels, channels, kernel], channels);
                }
            }
            block += 1;
        }
    }
    conv("conv_post".to_owned(), [1, channels, OUTER_KERNEL], 1);
    shapes
}

/// Reads the tensors of a `.safetensors` file, or of the generator in a PyTorch file (any other ending), as f32.
///
/// # Errors
/// [`VocoderError::Checkpoint`] if the file cannot be read as what its name says.
pub fn read_checkpoint(path: &Path) -> Result<HashMap<String, Tensor>> {
    let unreadable = |error: candle_core::Error| VocoderError::Checkpoint(format!("{error}: {}", path.display()));
    let is_safetensors = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors"));
    let tensors: Vec<(String, Tensor)> = if is_safetensors {
        candle_core::safetensors::load(path, &Device::Cpu).map_err(unreadable)?.into_iter().collect()
    } else {
        read_pytorch(path).map_err(unreadable)?
    };
    let to_f32 = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_dtype(DType::F32)?));
    tensors.into_iter().map(to_f32).collect::<candle_core::Result<_>>().map_err(unreadable)
}

/// Both forms of PyTorch files; a bare dictionary of tensors is accepted too.
fn read_pytorch(path: &Path) -> candle_core::Result<Vec<(String, Tensor)>> {
    let mut reader = BufReader::new(File::open(path)?);
    if reader.fill_buf()?.starts_with(&legacy::MAGIC) {
        return legacy::read(&mut reader, GENERATOR_KEY);
    }
    match pickle::read_all_with_key(path, Some(GENERATOR_KEY)) {
        Ok(tensors) if !tensors.is_empty() => Ok(tensors),
        _ => pickle::read_all(path),
    }
}

/// Says whether the tensors are those of a published checkpoint, weight normalisation kept or folded.
pub(crate) fn check_tensors(config: &HifiGanConfig, tensors: &HashMap<String, Tensor>) -> Result<()> {
    let mut wanted = tensor_shapes(config);
    if !tensors.keys().any(|name| name.ends_with(".weight_v")) {
        wanted = wanted
            .into_iter()
            .filter(|(name, _)| !name.ends_with(".weight_g"))
            .map(|(name, shape)| (name.replace(".weight_v", ".weight"), shape))
            .collect();
    }
    let mut faults = Vec::new();
    for (name, shape) in &wanted {
        match tensors.get(name) {
            None => faults.push(format!("{name} is missing")),
            Some(tensor) if tensor.dims() != shape => {
                faults.push(format!("{name} is {:?}, not {shape:?}", tensor.dims()));
            }
            Some(_) => {}
        }
    }
    let mut extra: Vec<_> = tensors.keys().filter(|name| !wanted.contains_key(*name)).collect();
    extra.sort();
    faults.extend(extra.into_iter().map(|name| format!("the configuration has no {name}")));
    match faults.as_slice() {
        [] => Ok(()),
        [first, rest @ ..] => {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            Err(VocoderError::Checkpoint(format!("it does not fit the configuration: {first}{more}")))
        }
    }
}
