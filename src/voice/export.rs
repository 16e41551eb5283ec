//! A finished training into a file of the package: f16 weights that carry their configuration.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::Path;

use candle_core::Device;
use paravox_models::aligner::{AlignerConfig, AlignerNet};
use paravox_models::config::{LipsConfig, VoiceConfig, from_toml, to_toml};
use paravox_models::landmark_net::{LandmarkConfig, LandmarkNet};
use paravox_models::model::{LipsModel, VoiceModel};
use paravox_models::params::Params;
use paravox_models::sharpen_mel::sharpen_mel;
use paravox_models::text_encoder::{TextEncoder, TextEncoderConfig};
use paravox_models::weights::to_f16_bytes;
use paravox_vocoder::fourier::{FourierConfig, FourierNet};

use super::manifest::Manifest;
use super::package::{MANIFEST_FILE, sha256_hex};
use super::weights_file::ENCODER_KEY;
use crate::error::{Error, Result};
use crate::sink::output::replace;

/// The kinds of nets that a training makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nets {
    /// Text encoder, duration predictor, pitch and mel decoders.
    Voice,
    /// Mel spectrogram to PCM.
    Vocoder,
    /// Identity encoder, motion decoder and image decoder.
    Lips,
    /// Mel spectrogram to the phoneme of each mel frame.
    Aligner,
    /// Lip crop to the points of the mouth.
    Landmarks,
}

/// Configuration and model of a training's folder, and the configuration of a text encoder that lips trained along.
const CONFIG_FILE: &str = "config.toml";
const MODEL_FILE: &str = "model.safetensors";
const ENCODER_FILE: &str = "encoder.toml";

/// Writes the nets of a training's folder to `out`.
///
/// # Errors
/// [`Error::Io`] for files, [`Error::Package`] for a training of other nets or one whose numbers do not fit f16.
pub fn export(nets: Nets, training: &Path, out: &Path) -> Result<()> {
    write(nets, training, out, |_| Ok(()))
}

/// [`export`] of a voice whose mel spectrograms get more contrast between their bands, by `sharpen`: 0 changes nothing, and
/// what training took is given back at about 0.6.
///
/// # Errors
/// As [`export`]; [`Error::Request`] for less than 0 or more than 2.
pub fn export_voice(training: &Path, out: &Path, sharpen: f64) -> Result<()> {
    if !(0.0..=2.0).contains(&sharpen) {
        return Err(Error::Request(format!("to sharpen by {sharpen} is out of range: give 0 to 2")));
    }
    write(Nets::Voice, training, out, |params| sharpen_mel(params, sharpen))
}

/// Writes nets as `change` leaves them.
fn write(
    nets: Nets,
    training: &Path,
    out: &Path,
    change: impl FnOnce(&Params) -> candle_core::Result<()>,
) -> Result<()> {
    let read = |name: &str| {
        let path = training.join(name);
        std::fs::read_to_string(&path).map_err(Error::io("read", &path))
    };
    let mut config = read(CONFIG_FILE)?;
    let params = Params::new(0, &Device::Cpu);
    let mut metadata = BTreeMap::new();
    let misfit = |error: &dyn Display| Error::package(training.join(CONFIG_FILE), one_line(error));
    match nets {
        Nets::Voice => {
            let config: VoiceConfig = from_toml(&config).map_err(|error| misfit(&error))?;
            VoiceModel::new(&config, params.builder()).map_err(|error| misfit(&error))?;
        }
        Nets::Vocoder => {
            let config: FourierConfig = from_toml(&config).map_err(|error| misfit(&error))?;
            FourierNet::new(&config, params.builder()).map_err(|error| misfit(&error))?;
        }
        Nets::Aligner => {
            let config: AlignerConfig = from_toml(&config).map_err(|error| misfit(&error))?;
            AlignerNet::new(&config, params.builder()).map_err(|error| misfit(&error))?;
        }
        Nets::Landmarks => {
            let config: LandmarkConfig = from_toml(&config).map_err(|error| misfit(&error))?;
            LandmarkNet::new(&config, params.builder()).map_err(|error| misfit(&error))?;
        }
        Nets::Lips => {
            let mut lips: LipsConfig = from_toml(&config).map_err(|error| misfit(&error))?;
            LipsModel::new(&lips, params.builder()).map_err(|error| misfit(&error))?;
            if lips.duration.take().is_some() {
                config = to_toml(&lips).map_err(|error| misfit(&error))?;
            }
            if training.join(ENCODER_FILE).exists() {
                let text = read(ENCODER_FILE)?;
                let config: TextEncoderConfig = from_toml(&text).map_err(|error| misfit(&error))?;
                TextEncoder::new(&config, params.builder().pp("encoder")).map_err(|error| misfit(&error))?;
                metadata.insert(ENCODER_KEY.to_string(), text);
            }
        }
    }
    let model_path = training.join(MODEL_FILE);
    params.load(&model_path).map_err(|error| Error::package(&model_path, one_line(&error)))?;
    if nets == Nets::Lips {
        // Lips follow the voice's durations; their own serve evaluations alone.
        params.forget("duration");
    }
    change(&params).map_err(|error| Error::package(&model_path, one_line(&error)))?;
    let bytes =
        to_f16_bytes(&params, &config, metadata).map_err(|error| Error::package(&model_path, one_line(&error)))?;
    replace(out, &bytes).map_err(Error::io("write", out))
}

/// Writes the SHA-256 of every file of a package folder into its manifest, so that it can be opened.
///
/// # Errors
/// [`Error::Io`] for files, [`Error::Package`] for a manifest that names files which are not there.
pub fn seal(folder: &Path) -> Result<()> {
    let path = folder.join(MANIFEST_FILE);
    let json = std::fs::read(&path).map_err(Error::io("read", &path))?;
    let mut manifest = Manifest::parse(&json).map_err(|message| Error::package(&path, message))?;
    manifest.sha256.clear();
    hash_folder(folder, "", &mut manifest.sha256)?;
    let named = manifest.voices.iter().flat_map(|voice| {
        let optional = [voice.lips.as_ref(), voice.card.as_ref()];
        [&voice.weights, &voice.vocoder].into_iter().chain(optional.into_iter().flatten())
    });
    let cards = manifest.faces.iter().filter_map(|face| face.card.as_ref());
    if let Some(missing) = named.chain(cards).find(|name| !manifest.sha256.contains_key(*name)) {
        return Err(Error::package(folder.join(missing), "the manifest names this file, but it is not there"));
    }
    let mut json = serde_json::to_vec_pretty(&manifest).map_err(|error| Error::package(&path, error))?;
    json.push(b'\n');
    replace(&path, &json).map_err(Error::io("write", &path))
}

fn hash_folder(folder: &Path, prefix: &str, hashes: &mut BTreeMap<String, String>) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let entry = entry.map_err(Error::io("read", folder))?;
        let path = entry.path();
        let Some(name) = entry.file_name().to_str().map(|name| format!("{prefix}{name}")) else {
            return Err(Error::package(path, "the names of a package's files must be UTF-8"));
        };
        if path.is_dir() {
            hash_folder(&path, &format!("{name}/"), hashes)?;
        } else if name != MANIFEST_FILE {
            let content = std::fs::read(&path).map_err(Error::io("read", &path))?;
            hashes.insert(name, sha256_hex(&content));
        }
    }
    Ok(())
}

/// candle and TOML errors span lines.
fn one_line(error: &dyn Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use paravox_models::config::preset;

    /// Exports lips that are a function of their seed and configuration.
    fn exported(config: &LipsConfig) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let params = Params::new(4, &Device::Cpu);
        LipsModel::new(config, params.builder()).unwrap();
        params.save(&folder.path().join(MODEL_FILE)).unwrap();
        std::fs::write(folder.path().join(CONFIG_FILE), to_toml(config).unwrap()).unwrap();
        let out = folder.path().join("lips.safetensors");
        export(Nets::Lips, folder.path(), &out).unwrap();
        std::fs::read(out).unwrap()
    }

    #[test]
    fn lips_ship_without_durations_of_their_own() {
        let lips: LipsConfig = preset("lips-light").unwrap();
        let voice: VoiceConfig = preset("voice-light").unwrap();
        let with_durations = LipsConfig { duration: Some(voice.duration), ..lips.clone() };
        assert!(exported(&with_durations) == exported(&lips));
    }
}
