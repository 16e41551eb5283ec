//! Contrast between the bands of a mel spectrogram, given back after training.
//!
//! Where a mel decoder is unsure, L1 makes it answer with the middle of all spectra that may be, in which formants are flatter
//! than in any of them. The remedy is the postfilter of parametric synthesis (Toda, Tokuda 2007, on global variance) in its
//! simplest form: each band goes farther from the mean of the bands around it. That is a linear map, which the decoder's last
//! layer takes in.

use candle_core::{Device, Result, Tensor};

use crate::params::Params;

/// Standard deviation in bands of the Gaussian that means are taken with, and where it is cut off.
const WIDTH: f64 = 1.5;
const REACH: isize = 6;

/// The last layer of the mel decoder of a voice.
const LAYER: [&str; 2] = ["mel.mel.weight", "mel.mel.bias"];

/// Lets the mel decoder of a loaded voice answer x + amount (x - mean of the bands around x) where it answered x.
///
/// # Errors
/// Parameters of other nets.
pub fn sharpen_mel(params: &Params, amount: f64) -> Result<()> {
    for name in LAYER {
        let Some((_, var)) = params.vars().into_iter().find(|(other, _)| other == name) else {
            candle_core::bail!("no tensor {name}: these are no nets of a voice");
        };
        let map = sharpening(var.dim(0)?, amount, var.device())?;
        let layer = var.reshape((var.dim(0)?, ()))?;
        var.set(&map.matmul(&layer)?.reshape(var.shape())?)?;
    }
    Ok(())
}

/// The map as a matrix, (bands, bands). Beyond the ends the spectrum is its mirror image.
fn sharpening(bands: usize, amount: f64, device: &Device) -> Result<Tensor> {
    let gaussian = |offset: isize| (-0.5 * (offset as f64 / WIDTH).powi(2)).exp();
    let total = (-REACH..=REACH).map(gaussian).sum::<f64>();
    let mut map = vec![0f32; bands * bands];
    let last = bands as isize - 1;
    for band in 0..=last {
        let row = &mut map[band as usize * bands..][..bands];
        row[band as usize] += (1.0 + amount) as f32;
        for offset in -REACH..=REACH {
            let at = band + offset;
            let at = if at < 0 {
                -1 - at
            } else if at > last {
                2 * last + 1 - at
            } else {
                at
            };
            row[at.clamp(0, last) as usize] -= (amount * gaussian(offset) / total) as f32;
        }
    }
    Tensor::from_vec(map, (bands, bands), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{VoiceConfig, preset};
    use crate::mode::Mode;
    use crate::model::VoiceModel;

    /// The definition: an even spectrum stays, a single band rises above those around it, whose sum falls by as much.
    #[test]
    fn bands_go_farther_from_those_around_them() -> Result<()> {
        let map = sharpening(80, 0.6, &Device::Cpu)?;
        let apply = |xs: Vec<f32>| map.matmul(&Tensor::from_vec(xs, (80, 1), &Device::Cpu)?)?.flatten_all()?.to_vec1();
        let even: Vec<f32> = apply(vec![-5.0; 80])?;
        assert!(even.iter().all(|x| (x + 5.0).abs() < 1e-5));
        let mut peak = vec![0.0; 80];
        peak[40] = 1.0;
        let peak: Vec<f32> = apply(peak)?;
        // 0.26596 is the Gaussian's share of its middle.
        assert!((peak[40] - (1.6 - 0.6 * 0.265_96)).abs() < 1e-4, "{}", peak[40]);
        assert!((peak.iter().sum::<f32>() - 1.0).abs() < 1e-5 && peak[41] < 0.0 && peak[47] == 0.0);
        Ok(())
    }

    #[test]
    fn a_voice_answers_with_the_map_of_what_it_answered() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let config: VoiceConfig = preset("voice-light")?;
        let params = Params::new(3, &Device::Cpu);
        let model = VoiceModel::new(&config, params.builder())?;
        let states = Tensor::randn(0f32, 1.0, (1, 9, config.encoder.width), &Device::Cpu)?;
        let places = Tensor::randn(0f32, 1.0, (1, 9, crate::length_regulator::PLACE_FEATURES), &Device::Cpu)?;
        let mel = || model.mel.forward(&states, &places, None, &Mode::Eval)?.squeeze(0);
        let before = mel()?;
        sharpen_mel(&params, 0.6)?;
        let expected = before.matmul(&sharpening(before.dim(1)?, 0.6, &Device::Cpu)?.t()?)?;
        assert!(crate::checks::difference(&mel()?, &expected) < 1e-4);
        assert!(sharpen_mel(&Params::new(3, &Device::Cpu), 0.6).is_err());
        Ok(())
    }
}
