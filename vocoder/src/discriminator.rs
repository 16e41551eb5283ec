//! The adversary of a vocoder in training: it tells recordings from copies by their short-time spectra.
//!
//! At each of several resolutions a small stack of convolutions reads the complex spectrogram, as the discriminators of
//! EnCodec do (Défossez et al. 2022, "High Fidelity Neural Audio Compression"), with magnitudes compressed to the power 0.3
//! so that the quiet bins count as they do to an ear.

use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, bail};
use candle_nn::{Init, VarBuilder};
use paravox_models::ops::{self, Conv2dOptions};
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use crate::fourier::synthesis::contiguous_f32;
use crate::stft::{WindowedFft, overlap_add};
use crate::stft_loss::StftResolution;

/// A magnitude m becomes m^0.3: the spectrum times its power to this exponent.
const EXPONENT: f32 = -0.35;
/// Added to every squared magnitude, for a finite slope at 0.
const POWER_FLOOR: f32 = 1e-5;
/// Taps of the convolutions: windows, bins.
const KERNEL: [usize; 2] = [3, 9];
/// Channels of the convolutions before the scores; each halves the bins.
const CHANNELS: [usize; 4] = [8, 16, 32, 32];
const SLOPE: f64 = 0.1;

/// Tells recordings from copies, at several resolutions.
pub struct SpectrogramDiscriminator {
    parts: Vec<Part>,
}

/// What a discriminator sees in a batch of PCM.
pub struct Judgement {
    /// Scores of places, towards 1 for recordings, one tensor for each resolution.
    pub scores: Vec<Tensor>,
    /// Outputs of the convolutions before the scores, of all resolutions.
    pub features: Vec<Tensor>,
}

#[derive(Clone)]
struct Part {
    fft: WindowedFft,
    hop_length: usize,
    /// Weight and bias of each convolution.
    layers: Vec<(Tensor, Tensor)>,
}

impl SpectrogramDiscriminator {
    /// Reads `N.layer.M.weight` and `.bias` of the resolutions 1024/256, 512/128 and 256/64.
    pub fn new(vb: VarBuilder) -> Result<Self> {
        let resolutions =
            [(1024, 256), (512, 128), (256, 64)].map(|(n_fft, hop_length)| StftResolution { n_fft, hop_length });
        let part = |(i, resolution): (usize, &StftResolution)| Part::new(resolution, vb.pp(i).pp("layer"));
        Ok(Self { parts: resolutions.iter().enumerate().map(part).collect::<Result<_>>()? })
    }

    /// The same, with weights that no gradient reaches: what a generator is trained against.
    #[must_use]
    pub fn detached(&self) -> Self {
        let part = |part: &Part| {
            let layers = part.layers.iter().map(|(weight, bias)| (weight.detach(), bias.detach())).collect();
            Part { layers, ..part.clone() }
        };
        Self { parts: self.parts.iter().map(part).collect() }
    }

    /// # Shapes
    /// `pcm`: (B, N)
    ///
    /// # Errors
    /// PCM that is not f32 on the CPU.
    pub fn forward(&self, pcm: &Tensor) -> Result<Judgement> {
        let mut judgement = Judgement { scores: Vec::new(), features: Vec::new() };
        for part in &self.parts {
            let (scores, features) = part.forward(pcm)?;
            judgement.scores.push(scores);
            judgement.features.extend(features);
        }
        Ok(judgement)
    }
}

impl Part {
    fn new(resolution: &StftResolution, vb: VarBuilder) -> Result<Self> {
        let mut inputs = 2;
        let mut layers = Vec::new();
        for (i, outputs) in CHANNELS.into_iter().chain([1]).enumerate() {
            let limit = 1.0 / ((inputs * KERNEL[0] * KERNEL[1]) as f64).sqrt();
            let init = Init::Uniform { lo: -limit, up: limit };
            let vb = vb.pp(i);
            let weight = vb.get_with_hints((outputs, inputs, KERNEL[0], KERNEL[1]), "weight", init)?;
            layers.push((weight, vb.get_with_hints(outputs, "bias", init)?));
            inputs = outputs;
        }
        Ok(Self { fft: WindowedFft::new(resolution.n_fft), hop_length: resolution.hop_length, layers })
    }

    fn forward(&self, pcm: &Tensor) -> Result<(Tensor, Vec<Tensor>)> {
        let op = CompressedSpectrogram { fft: self.fft.clone(), hop_length: self.hop_length };
        // There is one kernel, for the CPU.
        let spectrogram = pcm.to_device(&Device::Cpu)?.contiguous()?.apply_op1(op)?;
        let mut xs = spectrogram.to_device(pcm.device())?;
        let mut features = Vec::new();
        for (i, (weight, bias)) in self.layers.iter().enumerate() {
            let last = i + 1 == self.layers.len();
            let stride = if last { [1, 1] } else { [1, 2] };
            let options = Conv2dOptions { stride, padding: [KERNEL[0] / 2, KERNEL[1] / 2], ..Default::default() };
            xs = ops::conv2d(&xs, weight, Some(bias), &options)?;
            if !last {
                xs = ops::leaky_relu(&xs, SLOPE)?;
                features.push(xs.clone());
            }
        }
        Ok((xs, features))
    }
}

/// (B, N) to (B, 2, windows, bins): real and imaginary parts of the spectra X |X|^-0.7.
struct CompressedSpectrogram {
    fft: WindowedFft,
    hop_length: usize,
}

impl CustomOp1 for CompressedSpectrogram {
    fn name(&self) -> &'static str {
        "compressed-spectrogram"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let pcm = contiguous_f32(storage, layout)?;
        let &[batch, length] = layout.dims() else {
            bail!("the discriminator needs PCM (B, N), not {:?}", layout.dims())
        };
        let (windows, bins) = (self.fft.windows(length, self.hop_length), self.fft.bins());
        let mut dst = vec![0.0; batch * 2 * windows * bins];
        let items = dst.par_chunks_exact_mut(2 * windows * bins).zip(pcm.par_chunks_exact(length.max(1)));
        items.for_each_init(
            || self.fft.scratch(),
            |scratch, (dst, pcm)| {
                let (re, im) = dst.split_at_mut(windows * bins);
                for (window, (re, im)) in re.chunks_exact_mut(bins).zip(im.chunks_exact_mut(bins)).enumerate() {
                    self.fft.analyse(pcm, self.fft.start(window, self.hop_length), scratch);
                    for ((re, im), bin) in re.iter_mut().zip(im).zip(&scratch.spectrum) {
                        let scale = (bin.norm_sqr() + POWER_FLOOR).powf(EXPONENT);
                        (*re, *im) = (bin.re * scale, bin.im * scale);
                    }
                }
            },
        );
        Ok((CpuStorage::F32(dst), (batch, 2, windows, bins).into()))
    }

    fn bwd(&self, pcm: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (_, _, windows, bins) = grad.dims4()?;
        let length = pcm.dim(1)?;
        let shape = pcm.shape();
        let (pcm, grad) = (pcm.flatten_all()?.to_vec1::<f32>()?, grad.flatten_all()?.to_vec1::<f32>()?);
        let mut dst = vec![0.0; pcm.len()];
        let items = dst.par_chunks_exact_mut(length).zip(pcm.par_chunks_exact(length));
        items.zip(grad.par_chunks_exact(2 * windows * bins)).for_each_init(
            || self.fft.scratch(),
            |scratch, ((dst, pcm), grad)| {
                let (re, im) = grad.split_at(windows * bins);
                for (window, (re, im)) in re.chunks_exact(bins).zip(im.chunks_exact(bins)).enumerate() {
                    self.fft.analyse(pcm, self.fft.start(window, self.hop_length), scratch);
                    for (bin, (re, im)) in scratch.spectrum.iter_mut().zip(re.iter().zip(im)) {
                        let power = bin.norm_sqr() + POWER_FLOOR;
                        let scale = power.powf(EXPONENT);
                        let along = 2.0 * EXPONENT * scale / power * (bin.re * re + bin.im * im);
                        *bin = Complex32::new(*re, *im) * scale + *bin * along;
                    }
                    self.fft.adjoint(scratch);
                    overlap_add(dst, self.fft.start(window, self.hop_length), &scratch.pcm);
                }
            },
        );
        Tensor::from_vec(dst, shape, &Device::Cpu).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Var;
    use paravox_models::params::Params;

    fn pcm(batch: usize, length: usize) -> Tensor {
        let values: Vec<f32> = (0..batch * length).map(|i| 0.3 * ((i * i) as f32 * 0.013).sin()).collect();
        Tensor::from_vec(values, (batch, length), &Device::Cpu).unwrap()
    }

    #[test]
    fn spectra_are_those_of_the_definition() -> Result<()> {
        let op = CompressedSpectrogram { fft: WindowedFft::new(16), hop_length: 4 };
        let xs = pcm(1, 40);
        let values = xs.flatten_all()?.to_vec1::<f32>()?;
        let ys = xs.apply_op1(op)?.flatten_all()?.to_vec1::<f32>()?;
        let (windows, bins) = (11, 9);
        assert_eq!(ys.len(), 2 * windows * bins);
        for window in 0..windows {
            for bin in 0..bins {
                let (mut re, mut im) = (0.0f64, 0.0f64);
                for i in 0..16usize {
                    let Some(x) = (window * 4 + i).checked_sub(8).and_then(|at| values.get(at)) else { continue };
                    let turn = std::f64::consts::TAU * i as f64 / 16.0;
                    let x = f64::from(*x) * (0.5 - 0.5 * turn.cos());
                    re += x * (turn * bin as f64).cos();
                    im -= x * (turn * bin as f64).sin();
                }
                let scale = (re * re + im * im + 1e-5).powf(-0.35);
                let at = window * bins + bin;
                let got = [ys[at], ys[windows * bins + at]];
                assert!((f64::from(got[0]) - re * scale).abs() < 1e-4 && (f64::from(got[1]) - im * scale).abs() < 1e-4);
            }
        }
        Ok(())
    }

    #[test]
    fn gradients_reach_pcm_and_weights_as_finite_differences_say() -> Result<()> {
        let params = Params::new(1, &Device::Cpu);
        let net = SpectrogramDiscriminator::new(params.builder())?;
        let var = Var::from_tensor(&pcm(2, 900))?;
        // The mean, not a least-squares loss: that is near 3, and f32 would round away a part of its small differences.
        let loss = |pcm: &Tensor| -> Result<Tensor> {
            let mut sum = Tensor::zeros((), candle_core::DType::F32, &Device::Cpu)?;
            for scores in net.forward(pcm)?.scores {
                sum = (sum + scores.mean_all()?)?;
            }
            Ok(sum)
        };
        let grads = loss(&var)?.backward()?;
        for (name, var) in params.vars() {
            assert!(grads.get(&var).is_some(), "{name} has no gradient");
        }
        let grad = grads.get(&var).expect("a gradient of the PCM");
        let norm = grad.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt();
        let step = 1e-3f32;
        let direction = (grad * f64::from(step / norm))?;
        let value = |pcm: Tensor| -> Result<f32> { loss(&pcm)?.to_scalar() };
        let slope = (value((var.as_tensor() + &direction)?)? - value((var.as_tensor() - &direction)?)?) / (2.0 * step);
        assert!((slope - norm).abs() < 0.01 * norm, "{slope} {norm}");
        Ok(())
    }

    #[test]
    fn a_detached_discriminator_follows_its_original_and_gets_no_gradient() -> Result<()> {
        let params = Params::new(1, &Device::Cpu);
        let net = SpectrogramDiscriminator::new(params.builder())?;
        let xs = Var::from_tensor(&pcm(1, 600))?;
        let frozen = net.detached();
        let (_, var) = params.vars().swap_remove(0);
        var.set(&(var.as_tensor() * 2.0)?)?;
        let [a, b] = [&net, &frozen].map(|net| net.forward(&xs).and_then(|j| j.scores[0].mean_all()));
        let (a, b) = (a?, b?);
        assert_eq!(a.to_scalar::<f32>()?, b.to_scalar::<f32>()?);
        let grads = b.backward()?;
        assert!(grads.get(&var).is_none() && grads.get(&xs).is_some());
        Ok(())
    }
}
