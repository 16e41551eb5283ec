//! A tiny corpus in the GRID layout, for tests: one speaker, `s9`, whose face does not move.
//!
//! Pictures are of 128 x 96 pixels, a grey ramp from left to right, one level a pixel: a place can be told by its
//! brightness. The nose is at (60, 50) and the bridge of the nose 62 pixels above the chin, so the face is 100 pixels
//! high.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// Video frames of every clip.
pub(crate) const VIDEO_FRAMES: usize = 10;

/// One clip.
pub(crate) struct SmallClip {
    pub(crate) name: &'static str,
    /// `train` or `test`.
    pub(crate) split: &'static str,
    /// Lip opening in pixels, the mouth being 20 wide; `None` leaves the clip without landmarks.
    pub(crate) lip_opening: Option<f32>,
    /// When its word "by" begins; it takes 0.2 s.
    pub(crate) first_sound_s: f32,
}

/// Writes the corpus. Where there is no ffmpeg the videos are empty files.
pub(crate) fn write(corpus: &Path, clips: &[SmallClip]) {
    fs::create_dir_all(corpus.join("s9")).unwrap();
    let mut list = "speaker\tclip\twidth\theight\tsplit\ttext\n".to_string();
    let mut phones = String::new();
    let mut landmarks = zip::ZipWriter::new(fs::File::create(corpus.join("landmarks.npz")).unwrap());
    for clip in clips {
        let path = corpus.join(format!("s9/{}.mp4", clip.name));
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-f", "lavfi", "-i", "nullsrc=s=128x96:r=25:d=0.4,format=gray,geq=lum=60+X"])
            .args(["-c:v", "ffv1", "-pix_fmt", "gray", "-f", "matroska"])
            .arg(&path)
            .status();
        if !made.is_ok_and(|status| status.success()) {
            fs::write(&path, b"").unwrap();
        }
        list += &format!("s9\t{}\t128\t96\t{}\tby\n", clip.name, clip.split);
        let [b, ay, end] = [0.0, 0.1, 0.2].map(|after_s| clip.first_sound_s + after_s);
        let words = serde_json::json!([["<sil>", [["SIL", -0.2, b]]], ["by", [["B", b, ay], ["AY", ay, end]]]]);
        phones += &format!("{}\n", serde_json::json!({"speaker": "s9", "clip": clip.name, "words": words}));
        if let Some(opening) = clip.lip_opening {
            let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
            landmarks.start_file(format!("s9/{}.npy", clip.name), stored).unwrap();
            landmarks.write_all(&npy(opening)).unwrap();
        }
    }
    landmarks.finish().unwrap();
    fs::write(corpus.join("clips.tsv"), list).unwrap();
    fs::write(corpus.join("phones.jsonl"), phones).unwrap();
}

fn npy(opening: f32) -> Vec<u8> {
    let mut face = [[60.0, 70.0]; 68];
    face[33] = [60.0, 50.0];
    face[27] = [60.0, 30.0];
    face[8] = [60.0, 92.0];
    (face[48], face[54]) = ([50.0, 70.0], [70.0, 70.0]);
    face[65..68].iter_mut().for_each(|lower| lower[1] += opening);
    let header = format!("{{'descr': '<u2', 'fortran_order': False, 'shape': ({VIDEO_FRAMES}, 68, 2), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend_from_slice(&(header.len() as u16).to_le_bytes());
    bytes.extend_from_slice(header.as_bytes());
    for value in [face].repeat(VIDEO_FRAMES).as_flattened().as_flattened() {
        bytes.extend_from_slice(&((value * 10.0) as u16).to_le_bytes());
    }
    bytes
}
