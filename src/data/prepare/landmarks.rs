//! Face landmarks from a `.npz` file: dlib's 68 points on every video frame.
//!
//! NumPy's `.npz` is a zip of `.npy` files (NEP 1), here little-endian `uint16` arrays of shape (T, 68, 2) in C order: x
//! then y, in tenths of a pixel, counted from the centre of the first pixel.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::data::{DataError, Result};

/// Points of one face.
pub(crate) const FACE_POINTS: usize = 68;

/// The points of one video frame in continuous pixels: the centre of the first pixel is at (0.5, 0.5).
pub(crate) type Face = [[f32; 2]; FACE_POINTS];

/// Units of the file in one pixel.
const UNITS_PER_PIXEL: f32 = 10.0;

/// Reads every array of a `.npz` file by its name.
pub(super) fn read(path: &Path) -> Result<HashMap<String, Vec<Face>>> {
    let file = File::open(path).map_err(DataError::io(path))?;
    let refuse = |why: String| DataError::Corpus { why, path: path.to_path_buf() };
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|e| refuse(format!("no .npz file: {e}")))?;
    let mut clips = HashMap::with_capacity(archive.len());
    for i in 0..archive.len() {
        let mut entry = archive.by_index(i).map_err(|e| refuse(format!("array {i}: {e}")))?;
        let name = entry.name().map_err(|e| refuse(format!("array {i}: {e}")))?.trim_end_matches(".npy").to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(|e| refuse(format!("{name}: {e}")))?;
        let faces =
            parse_npy(&bytes).ok_or_else(|| refuse(format!("{name} is no uint16 array of shape (T, 68, 2)")))?;
        clips.insert(name, faces);
    }
    Ok(clips)
}

fn parse_npy(bytes: &[u8]) -> Option<Vec<Face>> {
    let rest = bytes.strip_prefix(b"\x93NUMPY")?;
    let (&[major, _minor], rest) = rest.split_first_chunk()?;
    let (header_len, rest) = if major == 1 {
        let (len, rest) = rest.split_first_chunk()?;
        (u16::from_le_bytes(*len) as usize, rest)
    } else {
        let (len, rest) = rest.split_first_chunk()?;
        (u32::from_le_bytes(*len) as usize, rest)
    };
    let (header, values) = rest.split_at_checked(header_len)?;
    let header: String = std::str::from_utf8(header).ok()?.split_whitespace().collect();
    let shape = header.split_once("'shape':(")?.1.split_once(')')?.0;
    let n = shape.strip_suffix(",68,2")?.parse::<usize>().ok()?;
    let as_expected = header.contains("'descr':'<u2'") && header.contains("'fortran_order':False");
    if !as_expected || values.len() != n.checked_mul(FACE_POINTS * 4)? {
        return None;
    }
    let values: Vec<f32> =
        values.as_chunks::<2>().0.iter().map(|&v| f32::from(u16::from_le_bytes(v)) / UNITS_PER_PIXEL + 0.5).collect();
    Some(values.as_chunks::<2>().0.as_chunks::<FACE_POINTS>().0.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(shape: &str, descr: &str, n_values: usize) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend((0..n_values).flat_map(|v| (v as u16).to_le_bytes()));
        bytes
    }

    #[test]
    fn points_are_read_in_pixels() {
        let faces = parse_npy(&npy("(2, 68, 2)", "<u2", 2 * 136)).unwrap();
        assert_eq!(faces.len(), 2);
        assert_eq!(faces[1][3], [14.2 + 0.5, 14.3 + 0.5]);
    }

    #[test]
    fn other_arrays_are_refused() {
        let good = npy("(2, 68, 2)", "<u2", 2 * 136);
        for bad in [
            npy("(2, 67, 2)", "<u2", 2 * 134),
            npy("(2, 68, 2)", "<f4", 2 * 136),
            npy("(3, 68, 2)", "<u2", 2 * 136),
            good[..good.len() - 1].to_vec(),
            good[..9].to_vec(),
            vec![],
        ] {
            assert!(parse_npy(&bad).is_none());
        }
    }
}
