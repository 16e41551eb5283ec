//! Gives lips back the movement and the fine detail that training took.
//!
//! Where a net is unsure, L1 makes it answer with the middle of all that may be: what it predicts moves less than what it has
//! learned from. For the spectra of speech the remedy is to restore their global variance after the fact (Toda and Tokuda,
//! "A speech parameter generation algorithm considering global variance", 2007). Here the motion vectors move away from
//! their mean over speech by a gain, m + gain (x - m). The motion decoder ends in a layer normalisation, whose weight and
//! bias take that map in: the nets stay as they are and cost nothing more. Images are sharpened likewise, to a share of
//! the person's own sharpness that the configuration of the image decoder holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use paravox_models::mode::Mode;

use super::checkpoint::{CONFIG, load_model, save_model, write_config};
use super::error::{Result, TrainError};
use super::lips_corpus::{choose, crops_to_tensor};
use crate::data::{LipsDataset, Split};
use crate::face::CROP_BYTES;
use crate::metrics::lips::{Clock, ENCODER_CONFIG, LipsNets};

/// The last layer of the motion decoder.
const NORM: &str = "motion.norm";
/// Clips of a speaker whose motion is averaged.
const CLIPS: usize = 50;
/// Lips that move less than they were trained to, or more than twice as far, are no repair.
const GAINS: std::ops::RangeInclusive<f64> = 1.0..=2.5;

/// Nobody is sharper than their own picture.
const SHARPNESS: std::ops::RangeInclusive<f64> = 0.0..=1.0;

/// Options of [`liven`].
#[derive(Debug, Clone)]
pub struct LivenOptions {
    /// Folder of the prepared lip corpus that the lips were trained on.
    pub data: PathBuf,
    /// Folder of the trained lips.
    pub lips: PathBuf,
    /// The voice (a training's folder, a weights file or a shipped name) whose text encoder the lips read; `None`: the lips
    /// trained their own.
    pub voice: Option<PathBuf>,
    /// Folder to write the lips to.
    pub out: PathBuf,
    /// How much farther from its mean motion goes, 1 to 2.5.
    pub gain: f64,
    /// How sharp images are made, 0 to 1, as a share of the person's picture; `None`: as the lips have it.
    pub sharpness: Option<f64>,
}

/// Writes the lips with livelier motion and sharper images into a folder of their own.
///
/// # Errors
/// [`TrainError`]: a number out of range, and files that cannot be read or written or do not fit together.
pub fn liven(options: &LivenOptions) -> Result<()> {
    let LivenOptions { data, lips, voice, out, gain, sharpness } = options;
    if !GAINS.contains(gain) {
        return Err(TrainError::Options(format!("a gain of {gain} is out of range: give 1 to 2.5")));
    }
    if let Some(share) = sharpness.filter(|share| !SHARPNESS.contains(share)) {
        return Err(TrainError::Options(format!("a sharpness of {share} is out of range: give 0 to 1")));
    }
    let dataset = LipsDataset::open(data)?;
    let mut nets = LipsNets::load(lips, voice.as_deref(), &Device::Cpu)?;
    if nets.config.letters {
        return Err(TrainError::Options(
            "these lips read letters, of which no sound is known: they cannot be livened".into(),
        ));
    }
    let mean = mean_motion(&nets, &dataset)?;
    let mut model = load_model(lips)?;
    spread(&mut model, &mean, *gain).map_err(|why| TrainError::checkpoint(lips, why))?;
    std::fs::create_dir_all(out).map_err(|error| TrainError::write(out, error))?;
    save_model(out, &model, &[("kind", "lips"), ("gain", &gain.to_string())])?;
    nets.config.image.sharpness = sharpness.unwrap_or(nets.config.image.sharpness);
    write_config(&out.join(CONFIG), &nets.config)?;
    let (from, to) = (lips.join(ENCODER_CONFIG), out.join(ENCODER_CONFIG));
    if from.exists() && from != to {
        std::fs::copy(&from, &to).map_err(|error| TrainError::write(&to, error))?;
    }
    Ok(())
}

/// Lets the last layer of the motion decoder answer m + gain (x - m) where it answered x.
fn spread(model: &mut BTreeMap<String, Tensor>, mean: &Tensor, gain: f64) -> std::result::Result<(), String> {
    let mut change = |part: &str, map: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>| {
        let name = format!("{NORM}.{part}");
        let tensor = model.get(&name).ok_or_else(|| format!("no tensor {name}"))?;
        let tensor = map(tensor).map_err(|error| format!("{name}: {error}"))?;
        model.insert(name, tensor);
        Ok::<_, String>(())
    };
    change("weight", &|weight| weight * gain)?;
    change("bias", &|bias| (bias * gain)? - (mean * (gain - 1.0))?)
}

/// The mean motion vector of speech, (D), in which every speaker counts alike.
fn mean_motion(nets: &LipsNets, dataset: &LipsDataset) -> Result<Tensor> {
    let mut speakers: BTreeMap<&str, (Vec<Tensor>, usize)> = BTreeMap::new();
    for i in choose(dataset, Split::Train, &[]) {
        let meta = dataset.meta(i);
        let (vectors, clips) = speakers.entry(meta.speaker.as_str()).or_default();
        if *clips == CLIPS {
            continue;
        }
        let first = crops_to_tensor(&[&dataset.pixels(i)[..CROP_BYTES]], &nets.device)?;
        let identity = nets.model.identity.forward(&first, &Mode::Eval)?;
        let (motion, places) = nets.motion(meta, &Clock::of(meta)?, &nets.states(meta)?, &identity)?;
        let is_sound = |place: &crate::timeline::Place| !meta.symbols[place.symbol].phoneme.is_pause();
        let sound = (0u32..).zip(&places).filter(|(_, place)| is_sound(place)).map(|(j, _)| j);
        let sound = Tensor::from_iter(sound, &nets.device)?;
        if sound.elem_count() > 0 {
            vectors.push(motion.squeeze(0)?.index_select(&sound, 0)?);
            *clips += 1;
        }
    }
    let means = speakers.values().filter(|(vectors, _)| !vectors.is_empty());
    let means = means.map(|(vectors, _)| Tensor::cat(vectors, 0)?.mean(0)).collect::<candle_core::Result<Vec<_>>>()?;
    if means.is_empty() {
        return Err(TrainError::Data("no training clip with speech".into()));
    }
    Ok(Tensor::stack(&means, 0)?.mean(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use paravox_models::config::{self, LipsConfig};
    use paravox_models::model::LipsModel;
    use paravox_models::params::Params;

    use crate::train::checkpoint::assign;

    #[test]
    fn motion_goes_farther_from_its_mean() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let device = Device::Cpu;
        let config: LipsConfig = config::preset("lips-light")?;
        let params = Params::new(5, &device);
        let nets = LipsModel::new(&config, params.builder())?;
        let random = |dims: &[usize]| Tensor::randn(0f32, 1.0, dims, &device);
        let (states, place) = (random(&[1, 9, config.motion.state_width])?, random(&[1, 9, 4])?);
        let (identity, visemes) =
            (random(&[1, config.motion.width])?, Tensor::zeros((1, 9), candle_core::DType::U32, &device)?);
        let motion = || nets.motion.forward(&states, Some(&visemes), &place, &identity, &Mode::Eval)?.squeeze(0);
        let before = motion()?;
        let mean = before.mean(0)?;
        let mut model: BTreeMap<String, Tensor> = params
            .vars()
            .iter()
            .map(|(name, var)| (name.clone(), var.as_tensor().copy()))
            .map(|(n, t)| t.map(|t| (n, t)))
            .collect::<candle_core::Result<_>>()?;
        spread(&mut model, &mean, 1.5)?;
        assign(&params.vars(), &model, std::path::Path::new("test"))?;
        let wanted = before.broadcast_sub(&mean)?.affine(1.5, 0.0)?.broadcast_add(&mean)?;
        let off = (motion()? - wanted)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(off < 1e-5, "{off}");
        assert!(spread(&mut BTreeMap::new(), &mean, 1.5).is_err());
        Ok(())
    }
}
