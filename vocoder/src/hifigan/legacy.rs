//! PyTorch files as written before version 1.6, which the published HiFi-GAN checkpoints are: five pickles (a magic
//! number, a protocol number, facts on the system, the object, the list of storage keys), then for each key the number
//! of values and the values. candle reads the later form, a ZIP archive, only; its pickle machine reads both.
//!
//! Format: `torch/serialization.py`, `_legacy_save`.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use candle_core::pickle::{Object, Stack};
use candle_core::{Device, Result, Tensor, bail};

/// The pickle of the magic number 0x1950a86a20f9469cfc6c: how these files begin.
pub(super) const MAGIC: [u8; 15] =
    [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, b'.'];
const PROTOCOL: i32 = 1001;

/// Reads all tensors of the state dictionary under `key`, or of the file's own dictionary if it has no such key.
pub(super) fn read(reader: &mut impl BufRead, key: &str) -> Result<Vec<(String, Tensor)>> {
    let mut magic = [0; MAGIC.len()];
    reader.read_exact(&mut magic)?;
    if magic != MAGIC || unpickle(reader)? != Object::Int(PROTOCOL) {
        bail!("not a PyTorch file");
    }
    unpickle(reader)?;
    let Object::Dict(mut entries) = unpickle(reader)? else { bail!("the PyTorch file holds no dictionary") };
    let inner = entries.iter().position(|(name, _)| *name == Object::Unicode(key.to_owned()));
    if let Some(at) = inner {
        match entries.swap_remove(at).1 {
            Object::Dict(inner) => entries = inner,
            _ => bail!("{key} in the PyTorch file is no dictionary"),
        }
    }
    let mut infos = Vec::new();
    for (name, value) in entries {
        infos.extend(value.into_tensor_info(name, std::path::Path::new("storage"))?);
    }
    let storages = storages(reader, |storage_key| {
        let path = format!("storage/{storage_key}");
        infos.iter().find(|info| info.path == path).map(|info| info.dtype.size_in_bytes())
    })?;
    let mut tensors = Vec::with_capacity(infos.len());
    for info in infos {
        if !info.layout.is_contiguous() {
            bail!("{} is not contiguous: save the checkpoint again with contiguous tensors", info.name);
        }
        // candle counts the offset in bytes here.
        let start = info.layout.start_offset();
        let length = info.layout.shape().elem_count() * info.dtype.size_in_bytes();
        let storage = storages.get(info.path.trim_start_matches("storage/"));
        let Some(values) = storage.and_then(|storage| storage.get(start..start.checked_add(length)?)) else {
            bail!("the values of {} are not in the PyTorch file", info.name);
        };
        let tensor = Tensor::from_raw_buffer(values, info.dtype, info.layout.dims(), &Device::Cpu)?;
        tensors.push((info.name, tensor));
    }
    Ok(tensors)
}

fn unpickle(reader: &mut impl BufRead) -> Result<Object> {
    let mut stack = Stack::empty();
    stack.read_loop(reader)?;
    stack.finalize()
}

/// The bytes of every storage; `value_size` says how large a value of a storage is, None if no tensor uses it. What
/// follows such a storage cannot be found, but the files of interest have none.
fn storages(reader: &mut impl BufRead, value_size: impl Fn(&str) -> Option<usize>) -> Result<HashMap<String, Vec<u8>>> {
    let Object::List(keys) = unpickle(reader)? else { bail!("the PyTorch file lists no storages") };
    let mut storages = HashMap::new();
    for key in keys {
        let Object::Unicode(key) = key else { bail!("a storage of the PyTorch file has no name") };
        let Some(value_size) = value_size(&key) else {
            bail!("the PyTorch file holds more than tensors under one key: keep the generator alone");
        };
        let mut count = [0; 8];
        reader.read_exact(&mut count)?;
        let Some(length) = u64::from_le_bytes(count).checked_mul(value_size as u64) else {
            bail!("the PyTorch file is damaged: fetch it again");
        };
        let mut bytes = Vec::new();
        // Reads what is there: a damaged length must not reserve memory.
        if reader.by_ref().take(length).read_to_end(&mut bytes)? as u64 != length {
            bail!("the PyTorch file ends early: fetch it again");
        }
        storages.insert(key, bytes);
    }
    Ok(storages)
}
