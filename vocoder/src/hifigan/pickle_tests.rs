//! PyTorch files of both forms, written opcode by opcode as `torch.save` does, read back.

use std::collections::BTreeMap;
use std::io::Write;

use candle_core::{Device, Result, Tensor};

use super::{legacy, read_checkpoint};

/// BINUNICODE
fn text(out: &mut Vec<u8>, text: &str) {
    out.push(b'X');
    out.extend((text.len() as u32).to_le_bytes());
    out.extend(text.as_bytes());
}

/// BININT
fn int(out: &mut Vec<u8>, value: usize) {
    out.push(b'J');
    out.extend((value as i32).to_le_bytes());
}

fn ints(out: &mut Vec<u8>, values: &[usize]) {
    out.push(b'(');
    values.iter().for_each(|value| int(out, *value));
    out.push(b't');
}

/// The pickle of {"generator": OrderedDict of tensors}; storage keys are the tensors' numbers.
fn state_pickle(tensors: &BTreeMap<String, Tensor>, legacy: bool) -> Vec<u8> {
    let mut out = vec![0x80, 2, b'}', b'q', 0];
    text(&mut out, "generator");
    out.extend(b"ccollections\nOrderedDict\n)R(");
    for (number, (name, tensor)) in tensors.iter().enumerate() {
        text(&mut out, name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(b"ctorch\nFloatStorage\n");
        text(&mut out, &number.to_string());
        text(&mut out, "cpu");
        int(&mut out, tensor.elem_count());
        if legacy {
            // No view of another storage.
            out.push(b'N');
        }
        out.extend(b"tQ");
        int(&mut out, 0);
        ints(&mut out, tensor.dims());
        ints(&mut out, tensor.stride());
        out.push(0x89);
        out.extend(b"ccollections\nOrderedDict\n)RtR");
    }
    // SETITEMS, then the attribute _metadata that state dictionaries carry, by BUILD; then SETITEM and STOP.
    out.push(b'u');
    out.push(b'}');
    text(&mut out, "_metadata");
    out.extend(b"ccollections\nOrderedDict\n)Rsbs.");
    out
}

fn values(tensor: &Tensor) -> Result<Vec<u8>> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().flat_map(f32::to_le_bytes).collect())
}

fn tensors() -> Result<BTreeMap<String, Tensor>> {
    let tensor = |shape: (usize, usize, usize), start: f32| {
        Tensor::arange(start, start + (shape.0 * shape.1 * shape.2) as f32, &Device::Cpu)?.reshape(shape)
    };
    Ok(BTreeMap::from([
        ("conv_pre.weight_g".to_owned(), tensor((4, 1, 1), 0.5)?),
        ("conv_pre.weight_v".to_owned(), tensor((4, 3, 7), 9.0)?),
        ("conv_post.weight_v".to_owned(), tensor((1, 3, 7), 90.0)?),
        ("conv_post.bias".to_owned(), Tensor::new(&[0.25f32], &Device::Cpu)?),
    ]))
}

fn check(name: &str, bytes: &[u8], expected: &BTreeMap<String, Tensor>) -> Result<()> {
    let path = std::env::temp_dir().join(format!("paravox-{name}-{}", std::process::id()));
    std::fs::write(&path, bytes)?;
    let got = read_checkpoint(&path);
    std::fs::remove_file(&path)?;
    let got = got.expect("the file is whole");
    assert_eq!(got.len(), expected.len());
    for (name, tensor) in expected {
        assert_eq!(got[name].dims(), tensor.dims());
        assert_eq!(values(&got[name])?, values(tensor)?, "{name}");
    }
    Ok(())
}

fn legacy_file(tensors: &BTreeMap<String, Tensor>) -> Result<Vec<u8>> {
    let mut file = legacy::MAGIC.to_vec();
    file.extend([0x80, 2, b'M', 0xe9, 3, b'.']);
    file.extend([0x80, 2, b'}']);
    text(&mut file, "little_endian");
    file.extend([0x88, b's', b'.']);
    file.extend(state_pickle(tensors, true));
    file.extend([0x80, 2, b']', b'(']);
    (0..tensors.len()).for_each(|number| text(&mut file, &number.to_string()));
    file.extend(b"e.");
    for tensor in tensors.values() {
        file.extend((tensor.elem_count() as u64).to_le_bytes());
        file.extend(values(tensor)?);
    }
    Ok(file)
}

#[test]
fn reads_files_from_before_pytorch_1_6() -> Result<()> {
    let tensors = tensors()?;
    let file = legacy_file(&tensors)?;
    check("legacy.pth", &file, &tensors)?;
    for length in [0, 14, 40, file.len() / 2, file.len() - 1] {
        assert!(legacy::read(&mut &file[..length], "generator").is_err(), "{length} of {} bytes", file.len());
    }
    Ok(())
}

#[test]
fn reads_zip_files() -> Result<()> {
    let tensors = tensors()?;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut entry = |name: &str, bytes: &[u8]| {
        zip.start_file(name, stored).expect("names differ");
        zip.write_all(bytes).expect("memory can be written");
    };
    entry("archive/data.pkl", &state_pickle(&tensors, false));
    for (number, tensor) in tensors.values().enumerate() {
        entry(&format!("archive/data/{number}"), &values(tensor)?);
    }
    let file = zip.finish().expect("memory can be written").into_inner();
    check("zip.pth", &file, &tensors)
}
