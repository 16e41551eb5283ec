//! What several tests need: a package of seeded random nets, and the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use assert_cmd::Command;
use candle_core::{Device, Tensor};
use paravox::face::{Affine, CROP_HEIGHT, CROP_WIDTH, FaceAsset};
use paravox::sink::Picture;
use paravox::voice::{FaceEntry, MANIFEST_FILE, Manifest, SCHEMA, VoiceEntry, seal};
use paravox_models::config::{self, LipsConfig, VoiceConfig};
use paravox_models::model::{LipsModel, VoiceModel};
use paravox_models::params::Params;
use paravox_models::weights::to_f16_bytes;
use paravox_vocoder::fourier::{FourierConfig, FourierNet};

/// The program, in an empty environment for its colours and threads.
pub(crate) fn paravox() -> Command {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("paravox");
    command.env_remove("RAYON_NUM_THREADS");
    command
}

/// Runs the program and checks the contract of failures: the status, one line on stderr, nothing on stdout.
pub(crate) fn fails(command: &mut Command, status: i32) -> String {
    let output = command.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "not one line: {stderr}");
    assert!(stderr.starts_with("paravox: "), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "data of a failed command");
    stderr
}

/// A package of random nets: it speaks noise, but with everything in its place. Made once for all tests.
pub(crate) fn package() -> &'static Path {
    static PACKAGE: OnceLock<tempfile::TempDir> = OnceLock::new();
    PACKAGE
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            write_package(folder.path());
            folder
        })
        .path()
}

/// A copy of [`package`] to damage.
pub(crate) fn package_copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(package(), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn write_package(folder: &Path) {
    // Two voices in one model.
    let voice = VoiceConfig { n_voices: 2, ..config::preset("voice-light").unwrap() };
    let params = Params::new(1, &Device::Cpu);
    VoiceModel::new(&voice, params.builder()).unwrap();
    // Random durations would be about zero: about seven mel frames a symbol is the pace of speech.
    let (_, bias) = params.vars().into_iter().find(|(name, _)| name == "duration.output.bias").unwrap();
    bias.set(&Tensor::new(&[8f32.ln()], &Device::Cpu).unwrap()).unwrap();
    write(&folder.join("voice.safetensors"), &params, &config::to_toml(&voice).unwrap());

    let vocoder = FourierConfig::default();
    let params = Params::new(2, &Device::Cpu);
    FourierNet::new(&vocoder, params.builder()).unwrap();
    write(&folder.join("vocoder.safetensors"), &params, &config::to_toml(&vocoder).unwrap());

    let lips: LipsConfig = config::preset("lips-light").unwrap();
    let params = Params::new(3, &Device::Cpu);
    LipsModel::new(&lips, params.builder()).unwrap();
    write(&folder.join("lips.safetensors"), &params, &config::to_toml(&lips).unwrap());

    for (name, height) in [("test", 128), ("tall", 160)] {
        face_asset(name, height).save(folder.join("faces").join(name)).unwrap();
    }
    let text = |text: &str| text.to_string();
    let voice = |name: &str, speaker: u32, face: Option<&str>| VoiceEntry {
        name: text(name),
        description: text("noise"),
        licence: text("MIT OR Apache-2.0"),
        origin: text("seeded random numbers"),
        weights: text("voice.safetensors"),
        speaker,
        vocoder: text("vocoder.safetensors"),
        lips: Some(text("lips.safetensors")),
        face: face.map(text),
        card: None,
        lip_lead_s: 0.0,
    };
    let face = |name: &str| FaceEntry {
        name: text(name),
        description: text("a grey oval"),
        licence: text("MIT OR Apache-2.0"),
        origin: text("drawn by a test"),
        folder: format!("faces/{name}"),
        card: None,
    };
    let manifest = Manifest {
        schema: SCHEMA,
        default_voice: text("random"),
        default_face: Some(text("test")),
        voices: vec![voice("random", 0, None), voice("other", 1, Some("tall"))],
        faces: ["test", "tall"].map(face).to_vec(),
        sha256: BTreeMap::new(),
    };
    std::fs::write(folder.join(MANIFEST_FILE), serde_json::to_vec(&manifest).unwrap()).unwrap();
    seal(folder).unwrap();
}

/// A grey oval on white, with a darker band where the lips are.
fn face_asset(name: &str, height: u32) -> FaceAsset {
    let width = 128u32;
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (f64::from(x) / 64.0 - 1.0, f64::from(y) / 64.0 - 1.0);
            let lips = (v - 0.4).abs() < 0.1 && u.abs() < 0.3;
            let level = if lips { 90 } else { 200 - (60.0 * (u * u + v * v).min(1.0)) as u8 };
            rgb.extend([level; 3]);
        }
    }
    // The crop covers 80 x 40 picture pixels around the lips.
    let affine = Affine::scale_move(0.5, 24.0, 70.0);
    let at = |x: usize, y: usize| 3 * ((70 + y / 2) * width as usize + 24 + x / 2);
    let crop_rgb =
        (0..CROP_HEIGHT).flat_map(|y| (0..CROP_WIDTH).map(move |x| at(x, y))).flat_map(|i| rgb[i..i + 3].to_vec());
    let crop_rgb: Vec<u8> = crop_rgb.collect();
    let text = |text: &str| text.to_string();
    FaceAsset {
        name: text(name),
        origin: text("drawn by a test"),
        licence: text("MIT OR Apache-2.0"),
        picture: Picture { width, height, rgb },
        crop_rgb,
        affine,
        performance: None,
    }
}

/// Writes f16 weights with a configuration.
pub(crate) fn write(path: &Path, params: &Params, config: &str) {
    std::fs::write(path, to_f16_bytes(params, config, BTreeMap::new()).unwrap()).unwrap();
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into()).collect();
    names.sort();
    names
}
