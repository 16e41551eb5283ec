//! Where a training starts that does not start from random nets: the nets of another training, of a weights file, or of a
//! voice that this program carries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor, Var};
use candle_nn::VarBuilder;
use paravox_models::params::Params;
use serde::de::DeserializeOwned;

use super::checkpoint::{self, CONFIG, MODEL};
use super::error::{Result, TrainError};
use crate::voice::Package;

/// End of the names of tables with a row for each voice.
const VOICE_TABLE: &str = "voice.weight";

/// Beginning of the names of a duration predictor's parameters.
const DURATION: &str = "duration.";

/// Nets to start from.
pub(crate) struct Start {
    path: PathBuf,
    tensors: BTreeMap<String, Tensor>,
    /// Their configuration, where it is known.
    pub(crate) config: Option<String>,
}

impl Start {
    /// Reads the folder of a training, a weights file, or, where there is none of that name, the nets of `kind` of a shipped
    /// voice.
    pub(crate) fn read(from: &Path, kind: &str) -> Result<Self> {
        if from.is_dir() {
            let config = from.join(CONFIG);
            let config = match config.exists() {
                true => Some(std::fs::read_to_string(&config).map_err(|error| TrainError::read(&config, error))?),
                false => None,
            };
            return Ok(Self { config, ..Self::of_file(&from.join(MODEL))? });
        }
        match Self::shipped(from, kind) {
            Some(start) if !from.exists() => start,
            _ => Self::of_file(from),
        }
    }

    /// Keeps the parameters of these names alone.
    pub(crate) fn retain(mut self, keep: impl Fn(&str) -> bool) -> Self {
        self.tensors.retain(|name, _| keep(name));
        self
    }

    /// What the nets are made of.
    pub(crate) fn config<C: DeserializeOwned>(&self) -> Result<C> {
        let text = self.config.as_deref().ok_or_else(|| TrainError::checkpoint(&self.path, "no configuration"))?;
        paravox_models::config::from_toml(text).map_err(|error| TrainError::checkpoint(&self.path, error))
    }

    /// Nets that have learnt, and learn no more.
    pub(crate) fn nets<N>(
        self,
        device: &Device,
        build: impl Fn(VarBuilder<'static>) -> candle_core::Result<N>,
    ) -> Result<N> {
        let params = Params::new(0, device);
        build(params.builder())?;
        self.assign(&params.vars())?;
        Ok(build(params.fixed())?)
    }

    fn of_file(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|error| TrainError::read(path, error))?;
        Self::of_bytes(path, &bytes)
    }

    fn of_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let (tensors, metadata) = checkpoint::parse(path, bytes)?;
        let config = metadata.get(paravox_models::weights::CONFIG_KEY).cloned();
        Ok(Self { path: path.to_path_buf(), tensors, config })
    }

    /// `None` where no shipped voice has this name and nets of this kind.
    fn shipped(name: &Path, kind: &str) -> Option<Result<Self>> {
        let package = Package::built_in().ok()?;
        let voice = package.manifest().voices.iter().find(|voice| Some(&*voice.name) == name.to_str())?;
        let file = match kind {
            "voice" => &voice.weights,
            "vocoder" => &voice.vocoder,
            "lips" => voice.lips.as_ref()?,
            _ => return None,
        };
        let bytes = package.read(file).ok()?;
        Some(Self::of_bytes(&package.path_of(file), &bytes))
    }

    /// Gives parameters the values of these nets, which must be the same nets, except that there may be more voices: those
    /// that were there sound as before, and the new ones start near the first. A duration predictor may join nets that had
    /// none and keeps its values.
    pub(crate) fn assign(mut self, vars: &[(String, Var)]) -> Result<()> {
        for (name, var) in vars.iter().filter(|(name, _)| name.ends_with(VOICE_TABLE)) {
            let (voices, _) = var.dims2()?;
            let known = match self.tensors.remove(name) {
                Some(known) => known.to_device(var.device())?,
                // Nets of one voice add nothing for it.
                None => var.narrow(0, 0, 1)?.zeros_like()?,
            };
            let grown = match known.dim(0)? {
                n if n < voices => {
                    let near_first = (var.narrow(0, n, voices - n)?).broadcast_add(&known.narrow(0, 0, 1)?)?;
                    Tensor::cat(&[&known, &near_first], 0)?
                }
                _ => known,
            };
            self.tensors.insert(name.clone(), grown);
        }
        let known =
            |name: &str| !name.starts_with(DURATION) || self.tensors.keys().any(|name| name.starts_with(DURATION));
        let vars: Vec<_> = vars.iter().filter(|(name, _)| known(name)).cloned().collect();
        checkpoint::assign(&vars, &self.tensors, &self.path)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use paravox_models::config::{VoiceConfig, preset, to_toml};
    use paravox_models::mode::Mode;
    use paravox_models::model::VoiceModel;

    use super::*;

    /// The configuration of a voice.
    pub(in crate::train) const TINY: &str = "n_voices = 1\n[encoder]\nvocab = [47, 3, 4, 3]\nwidth = 8\n\
        stack = { type = \"conv_next\", blocks = 1, kernel = 3, factor = 1, dropout = 0.0 }\n\
        [duration]\nlayers = 1\nchannels = 8\nkernel = 3\ndropout = 0.0\n\
        [pitch]\nchannels = 8\n\
        melody = { blocks = 1, kernel = 3, factor = 1, dropout = 0.0 }\n\
        stack = { blocks = 1, kernel = 3, factor = 1, dropout = 0.0 }\n\
        [mel]\nn_mels = 4\nchannels = 8\nstack = { blocks = 1, kernel = 3, factor = 1, dropout = 0.0 }\n";

    /// A fresh voice.
    pub(in crate::train) fn model(config: &str, seed: u64) -> (Params, VoiceModel) {
        let config: VoiceConfig = paravox_models::config::from_toml(config).unwrap();
        let params = Params::new(seed, &Device::Cpu);
        let model = VoiceModel::new(&config, params.builder()).unwrap();
        (params, model)
    }

    /// Writes a voice as a training does.
    pub(in crate::train) fn save(folder: &Path, params: &Params, config: &str) {
        params.save(&folder.join(MODEL)).unwrap();
        std::fs::write(folder.join(CONFIG), config).unwrap();
    }

    /// Log durations and mel of one sentence.
    fn outputs(model: &VoiceModel, voice: u32) -> Vec<f32> {
        let ids: Vec<u32> = (0..24).map(|i| if i % 4 == 0 { i } else { 1 }).collect();
        let ids = Tensor::from_vec(ids, (1, 6, 4), &Device::Cpu).unwrap();
        let mask = Tensor::ones((1, 6), candle_core::DType::F32, &Device::Cpu).unwrap();
        let voice = Tensor::new(&[voice], &Device::Cpu).unwrap();
        let states = model.encoder.forward(&ids, &mask, &Mode::Eval).unwrap();
        let place = Tensor::zeros((1, 6, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        let durations = model.duration.forward(&states, &mask, Some(&voice), &Mode::Eval).unwrap();
        let mel = model.mel.forward(&states, &place, Some(&voice), &Mode::Eval).unwrap();
        let flat = |tensor: Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        [flat(durations), flat(mel)].concat()
    }

    #[test]
    fn voices_are_added_and_those_before_sound_as_they_did() {
        let folder = tempfile::tempdir().unwrap();
        let (one, old) = model(TINY, 1);
        save(folder.path(), &one, TINY);
        let two_voices = TINY.replace("n_voices = 1", "n_voices = 2");
        let (two, new) = model(&two_voices, 2);
        let start = Start::read(folder.path(), "voice").unwrap();
        assert_eq!(start.config.as_deref(), Some(TINY));
        start.assign(&two.vars()).unwrap();
        assert_eq!(outputs(&new, 0), outputs(&old, 0));
        assert_ne!(outputs(&new, 1), outputs(&new, 0));
        // And from two to three.
        save(folder.path(), &two, &two_voices);
        let (three, newer) = model(&TINY.replace("n_voices = 1", "n_voices = 3"), 3);
        Start::read(folder.path(), "voice").unwrap().assign(&three.vars()).unwrap();
        assert_eq!([outputs(&newer, 0), outputs(&newer, 1)], [outputs(&new, 0), outputs(&new, 1)]);
        // Fewer would drop one.
        let (fewer, _) = model(TINY, 4);
        assert!(Start::read(folder.path(), "voice").unwrap().assign(&fewer.vars()).is_err());
    }

    #[test]
    fn shipped_voices_are_found_by_name() {
        let start = Start::read(Path::new("heart"), "voice").unwrap();
        let config: VoiceConfig = paravox_models::config::from_toml(start.config.as_ref().unwrap()).unwrap();
        let light = VoiceConfig { n_voices: 2, ..preset("voice-light").unwrap() };
        assert_eq!(to_toml(&config).unwrap(), to_toml(&light).unwrap());
        let params = Params::new(0, &Device::Cpu);
        VoiceModel::new(&config, params.builder()).unwrap();
        start.assign(&params.vars()).unwrap();
        assert!(Start::read(Path::new("nobody"), "voice").is_err());
        assert!(Start::read(Path::new("heart"), "aligner").is_err());
    }
}
