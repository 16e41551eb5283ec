//! The multi-resolution STFT loss (Yamamoto, Song, Kim 2020, "Parallel WaveGAN"): at several resolutions the mean
//! absolute difference of log magnitudes plus the spectral convergence, the Frobenius norm of the difference of
//! magnitudes over that of the target.
//!
//! One node of candle's graph for each resolution: its value and its gradient are computed together on the CPU.

use std::sync::Mutex;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use paravox_models::ops::has_kernels;
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use crate::fourier::synthesis::contiguous_f32;
use crate::stft::{WindowedFft, overlap_add};

/// Added to every squared magnitude: below it, differences are inaudible and logarithms would be noise.
pub(crate) const POWER_FLOOR: f32 = 1e-7;

/// Transform and step of one resolution, in pcm samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StftResolution {
    /// Points of the transform and its window.
    pub n_fft: usize,
    /// Pcm samples from one window to the next.
    pub hop_length: usize,
}

/// The loss of a batch of recordings against their targets.
pub struct MultiResolutionStft {
    resolutions: Vec<(StftResolution, WindowedFft)>,
}

impl Default for MultiResolutionStft {
    /// The four resolutions that the Fourier vocoder is trained with: 512/128, 1024/256, 2048/512, 300/75.
    fn default() -> Self {
        let resolution = |(n_fft, hop_length)| StftResolution { n_fft, hop_length };
        Self::new(&[(512, 128), (1024, 256), (2048, 512), (300, 75)].map(resolution))
    }
}

impl MultiResolutionStft {
    /// The loss at the given resolutions.
    pub fn new(resolutions: &[StftResolution]) -> Self {
        Self { resolutions: resolutions.iter().map(|&r| (r, WindowedFft::new(r.n_fft))).collect() }
    }

    /// Mean over the resolutions of log magnitude difference plus spectral convergence, both over the whole batch.
    /// Only `predicted` gets a gradient.
    ///
    /// # Shapes
    /// - `predicted`, `target`: (B, N) pcm samples
    /// - output: a scalar
    pub fn forward(&self, predicted: &Tensor, target: &Tensor) -> Result<Tensor> {
        if predicted.dims() != target.dims() || predicted.rank() != 2 || predicted.elem_count() == 0 {
            bail!("the STFT loss needs two equal shapes (B, N), not {:?} and {:?}", predicted.dims(), target.dims());
        }
        let predicted = predicted.contiguous()?;
        let mut sum: Option<Tensor> = None;
        let target_pcm = match has_kernels(&predicted) {
            true => target.contiguous()?.flatten_all()?.to_vec1::<f32>()?,
            false => Vec::new(),
        };
        for (resolution, fft) in &self.resolutions {
            let loss = if has_kernels(&predicted) {
                predicted.apply_op1(ResolutionOp {
                    fft: fft.clone(),
                    hop_length: resolution.hop_length,
                    target: target_pcm.clone(),
                    gradient_wanted: predicted.track_op(),
                    gradient: Mutex::new(Vec::new()),
                })?
            } else {
                portable::loss(&predicted, target, fft, resolution.hop_length)?
            };
            sum = Some(match sum {
                Some(sum) => (sum + loss)?,
                None => loss,
            });
        }
        match sum {
            Some(sum) => sum / self.resolutions.len() as f64,
            None => bail!("the STFT loss needs at least one resolution"),
        }
    }
}

struct ResolutionOp {
    fft: WindowedFft,
    hop_length: usize,
    target: Vec<f32>,
    gradient_wanted: bool,
    /// Filled forward, taken backward.
    gradient: Mutex<Vec<f32>>,
}

/// Sums of one window over its bins.
#[derive(Default, Clone, Copy)]
struct Sums {
    log_difference: f64,
    squared_difference: f64,
    squared_target: f64,
}

impl ResolutionOp {
    /// The loss, and its gradient if wanted.
    fn evaluate(&self, predicted: &[f32], length: usize) -> (f32, Vec<f32>) {
        let (bins, windows) = (self.fft.bins(), self.fft.windows(length, self.hop_length));
        let total = predicted.len() / length * windows;
        let mut spectra = vec![Complex32::default(); total * bins];
        let mut targets = vec![0.0f32; total * bins];
        let mut sums = vec![Sums::default(); total];
        let rows = spectra.par_chunks_exact_mut(bins).zip(targets.par_chunks_exact_mut(bins)).zip(&mut sums);
        rows.enumerate().with_min_len(8).for_each_init(
            || self.fft.scratch(),
            |scratch, (index, ((spectrum, target), sums))| {
                let item = index / windows * length..(index / windows + 1) * length;
                let start = self.fft.start(index % windows, self.hop_length);
                self.fft.analyse(&self.target[item.clone()], start, scratch);
                target.iter_mut().zip(&scratch.spectrum).for_each(|(out, bin)| *out = bin.norm_sqr() + POWER_FLOOR);
                self.fft.analyse(&predicted[item], start, scratch);
                spectrum.copy_from_slice(&scratch.spectrum);
                let mut row = [0.0f32; 3];
                for (bin, power_target) in spectrum.iter().zip(target.iter_mut()) {
                    let power = bin.norm_sqr() + POWER_FLOOR;
                    row[0] += 0.5 * (power / *power_target).ln().abs();
                    let magnitude_target = power_target.sqrt();
                    let difference = power.sqrt() - magnitude_target;
                    row[1] += difference * difference;
                    row[2] += *power_target;
                    *power_target = magnitude_target;
                }
                let [log_difference, squared_difference, squared_target] = row.map(f64::from);
                *sums = Sums { log_difference, squared_difference, squared_target };
            },
        );
        // In order, so that the number of threads does not show.
        let sum = sums.iter().fold(Sums::default(), |a, b| Sums {
            log_difference: a.log_difference + b.log_difference,
            squared_difference: a.squared_difference + b.squared_difference,
            squared_target: a.squared_target + b.squared_target,
        });
        let count = (total * bins) as f64;
        let [norm_difference, norm_target] = [sum.squared_difference.sqrt(), sum.squared_target.sqrt()];
        let loss = sum.log_difference / count + norm_difference / norm_target;
        if !self.gradient_wanted {
            return (loss as f32, Vec::new());
        }
        let log_weight = (1.0 / count) as f32;
        // At equality the gradient of the norm is undefined; 0 is the right subgradient.
        let convergence_weight = if norm_difference > 0.0 { 1.0 / (norm_difference * norm_target) } else { 0.0 } as f32;
        let gradient = self.gradient(&spectra, &targets, length, [log_weight, convergence_weight]);
        (loss as f32, gradient)
    }

    fn gradient(&self, spectra: &[Complex32], targets: &[f32], length: usize, weights: [f32; 2]) -> Vec<f32> {
        let (bins, windows, n_fft) = (self.fft.bins(), self.fft.windows(length, self.hop_length), self.fft.n_fft);
        let mut stretches = vec![0.0f32; spectra.len() / bins * n_fft];
        let rows = spectra.par_chunks_exact(bins).zip(targets.par_chunks_exact(bins));
        rows.zip(stretches.par_chunks_exact_mut(n_fft)).with_min_len(8).for_each_init(
            || self.fft.scratch(),
            |scratch, ((spectrum, target), out)| {
                for ((grad, bin), magnitude_target) in scratch.spectrum.iter_mut().zip(spectrum).zip(target) {
                    let power = bin.norm_sqr() + POWER_FLOOR;
                    let magnitude = power.sqrt();
                    let difference = magnitude - magnitude_target;
                    let sign = if difference == 0.0 { 0.0 } else { difference.signum() };
                    let weight = weights[0] * sign / power + weights[1] * difference / magnitude;
                    *grad = bin * weight;
                }
                self.fft.adjoint(scratch);
                out.copy_from_slice(&scratch.pcm);
            },
        );
        let mut gradient = vec![0.0; spectra.len() / bins / windows * length];
        let items = gradient.par_chunks_exact_mut(length).zip(stretches.par_chunks_exact(windows * n_fft));
        items.for_each(|(gradient, stretches)| {
            for (window, stretch) in stretches.chunks_exact(n_fft).enumerate() {
                overlap_add(gradient, self.fft.start(window, self.hop_length), stretch);
            }
        });
        gradient
    }
}

impl CustomOp1 for ResolutionOp {
    fn name(&self) -> &'static str {
        "stft-loss"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let predicted = contiguous_f32(storage, layout)?;
        let (loss, gradient) = self.evaluate(predicted, layout.dims()[1]);
        match self.gradient.lock() {
            Ok(mut slot) => *slot = gradient,
            Err(_) => bail!("a thread failed while it computed the STFT loss"),
        }
        Ok((CpuStorage::F32(vec![loss]), Shape::from(())))
    }

    fn bwd(&self, predicted: &Tensor, _loss: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let Ok(gradient) = self.gradient.lock() else { bail!("a thread failed while it computed the STFT loss") };
        let gradient = Tensor::from_slice(&gradient, predicted.shape(), predicted.device())?;
        gradient.broadcast_mul(grad).map(Some)
    }
}

/// The same loss composed of candle's tensor operations, for devices without a kernel of ours.
mod portable {
    use std::f64::consts::TAU;

    use candle_core::{Device, Result, Tensor, bail};

    use super::POWER_FLOOR;
    use crate::stft::WindowedFft;

    pub(super) fn loss(predicted: &Tensor, target: &Tensor, fft: &WindowedFft, hop_length: usize) -> Result<Tensor> {
        let matrix = matrix(fft, predicted.device())?;
        let power = |pcm: &Tensor| -> Result<Tensor> {
            let spectra = windows(pcm, fft.n_fft, hop_length)?.broadcast_matmul(&matrix)?;
            let [re, im] = [spectra.narrow(2, 0, fft.bins())?, spectra.narrow(2, fft.bins(), fft.bins())?];
            (re.sqr()? + im.sqr()?)? + f64::from(POWER_FLOOR)
        };
        let (power, power_target) = (power(predicted)?, power(&target.detach())?);
        let log_difference = ((power.log()? - power_target.log()?)?.abs()?.mean_all()? * 0.5)?;
        let difference = (power.sqrt()? - power_target.sqrt()?)?.sqr()?.sum_all()?.sqrt()?;
        log_difference + (difference / power_target.sum_all()?.sqrt()?)?
    }

    /// (n_fft, 2 bins): pcm samples to real parts then imaginary parts of the windowed transform.
    fn matrix(fft: &WindowedFft, device: &Device) -> Result<Tensor> {
        let (bins, n_fft) = (fft.bins(), fft.n_fft);
        let value = |at: usize, column: usize| {
            let angle = TAU * ((column % bins * at) % n_fft) as f64 / n_fft as f64;
            (if column < bins { angle.cos() } else { -angle.sin() }) as f32 * fft.window[at]
        };
        let matrix: Vec<f32> = (0..n_fft).flat_map(|at| (0..2 * bins).map(move |column| value(at, column))).collect();
        Tensor::from_vec(matrix, (n_fft, 2 * bins), device)
    }

    /// (B, N) -> (B, N / hop_length + 1, n_fft), zeros beyond the ends.
    fn windows(pcm: &Tensor, n_fft: usize, hop_length: usize) -> Result<Tensor> {
        let (batch, length) = pcm.dims2()?;
        if !n_fft.is_multiple_of(hop_length) {
            bail!("the STFT loss on this device needs an n_fft that is a multiple of hop_length");
        }
        let (hops, windows) = (n_fft / hop_length, length / hop_length + 1);
        let padded_length = (windows + hops - 1) * hop_length;
        let after = padded_length.saturating_sub(length + n_fft / 2);
        let padded = pcm.pad_with_zeros(1, n_fft / 2, after)?.narrow(1, 0, padded_length)?.contiguous()?;
        let rows = padded.reshape((batch, windows + hops - 1, hop_length))?;
        let parts = (0..hops).map(|hop| rows.narrow(1, hop, windows)).collect::<Result<Vec<_>>>()?;
        Tensor::cat(&parts, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    fn wavy(n: usize, step: f32) -> Vec<f32> {
        (0..n).map(|i| 0.3 * ((i * i % 7919) as f32 * 0.731 + i as f32 * step).sin()).collect()
    }

    fn small() -> MultiResolutionStft {
        let resolution = |(n_fft, hop_length)| StftResolution { n_fft, hop_length };
        MultiResolutionStft::new(&[(32, 8), (20, 5)].map(resolution))
    }

    #[test]
    fn is_zero_at_the_target_and_log_2_plus_half_at_half_of_it() -> Result<()> {
        let target = Tensor::from_vec(wavy(2 * 6000, 0.2), (2, 6000), &Device::Cpu)?;
        let loss = MultiResolutionStft::default();
        assert_eq!(loss.forward(&target, &target)?.to_scalar::<f32>()?, 0.0);
        let half = loss.forward(&(&target * 0.5)?, &target)?.to_scalar::<f32>()?;
        // The floor takes a little off the logarithms.
        assert!((half - (2f32.ln() + 0.5)).abs() < 2e-3, "{half}");
        assert!(loss.forward(&target, &target.narrow(1, 0, 5000)?).is_err());
        Ok(())
    }

    #[test]
    fn gradient_equals_finite_differences() -> Result<()> {
        let (batch, n) = (2, 75);
        let target = Tensor::from_vec(wavy(batch * n, 0.2), (batch, n), &Device::Cpu)?;
        let values = wavy(batch * n, 0.5);
        let predicted = Var::from_vec(values.clone(), (batch, n), &Device::Cpu)?;
        let loss = small();
        let grads = (loss.forward(predicted.as_tensor(), &target)? * 3.0)?.backward()?;
        let grad = grads.get(&predicted).expect("a variable").flatten_all()?.to_vec1::<f32>()?;
        let largest = grad.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        for at in (0..values.len()).step_by(7) {
            let step = 3e-4;
            let at_offset = |offset: f32| -> Result<f32> {
                let mut moved = values.clone();
                moved[at] += offset;
                let moved = Tensor::from_vec(moved, (batch, n), &Device::Cpu)?;
                Ok(3.0 * loss.forward(&moved, &target)?.to_scalar::<f32>()?)
            };
            let expected = (at_offset(step)? - at_offset(-step)?) / (2.0 * step);
            assert!((grad[at] - expected).abs() < 2e-2 * largest, "{at}: {} for {expected}", grad[at]);
        }
        Ok(())
    }

    #[test]
    fn agrees_with_the_composition_of_tensor_operations() -> Result<()> {
        let target = Tensor::from_vec(wavy(2 * 83, 0.2), (2, 83), &Device::Cpu)?;
        let predicted = Var::from_vec(wavy(2 * 83, 0.5), (2, 83), &Device::Cpu)?;
        let fft = WindowedFft::new(32);
        let fused = MultiResolutionStft::new(&[StftResolution { n_fft: 32, hop_length: 8 }]);
        let fused = fused.forward(predicted.as_tensor(), &target)?;
        let composed = portable::loss(predicted.as_tensor(), &target, &fft, 8)?;
        let [a, b] = [fused.to_scalar::<f32>()?, composed.to_scalar::<f32>()?];
        assert!((a - b).abs() < 1e-5 * b, "{a} {b}");
        let grad =
            |loss: Tensor| -> Result<Tensor> { Ok(loss.backward()?.get(&predicted).expect("a variable").clone()) };
        let (a, b) = (grad(fused)?, grad(composed)?);
        let worst = (&a - &b)?.abs()?.max_all()?.to_scalar::<f32>()? / b.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(worst < 1e-4, "{worst}");
        Ok(())
    }
}
