//! Head output and excitation to PCM: one node of candle's graph, with an analytic gradient.
//!
//! For mel frame m and bin k the head gives a harmonic log-gain g, a raw phase r, a noise log-gain n and, where there is
//! a source of free phase, its log-gain q and phase p; with the excitation's pulse spectrum P and noise N
//!
//! S = exp(g) e^(i pi tanh r) P + exp(n) N + exp(q) e^(i p),
//!
//! and the PCM is the windowed overlap-add of the inverse transforms of all mel frames, divided by the overlap-add of
//! the squared window. On the CPU all of it is one custom operation: complex arithmetic through candle's tensors would
//! make some thirty passes over memory. The gradient is the adjoint: the transform of the windowed gradient of the PCM
//! over that divisor.

use std::f32::consts::PI;
use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};
use paravox_models::ops::{approx, has_kernels};
use paravox_models::simd;
use rayon::prelude::*;
use realfft::num_complex::Complex32;

use super::{Excitation, FourierConfig};
use crate::stft::{Scratch, WindowedFft, overlap_add};

/// Log-gains are cut here: far above what speech needs, and far from overflow.
pub(crate) const LOG_GAIN_LIMIT: f32 = 9.0;
/// No noise is softer: white noise of this gain lies at -95 dB of full scale, where rounding to 16 bits puts that of
/// recordings. Speech between digital zeros sounds cut out.
pub(crate) const LOG_NOISE_FLOOR: f32 = -7.5;

/// The inverse short-time Fourier transform of one geometry.
#[derive(Clone)]
pub(crate) struct Synthesiser {
    fft: WindowedFft,
    hop_length: usize,
}

impl Synthesiser {
    pub(crate) fn new(config: &FourierConfig) -> Self {
        Self { fft: WindowedFft::new(config.mel.n_fft), hop_length: config.mel.hop_length }
    }

    /// # Shapes
    /// - `head`: (B, T, 5 bins), or (B, T, 3 bins) without the source of free phase
    /// - output: (B, hop_length T)
    pub(crate) fn forward(&self, head: &Tensor, excitation: Arc<Excitation>) -> Result<Tensor> {
        let (batch, mel_frames, width) = head.dims3()?;
        let Excitation { batch: b, mel_frames: t, bins, .. } = *excitation;
        if (b, t) != (batch, mel_frames) || ![3 * bins, 5 * bins].contains(&width) {
            bail!("head output {:?} does not fit the excitation ({b}, {t}, 3 or 5 x {bins})", head.dims());
        }
        if has_kernels(head) {
            head.contiguous()?.apply_op1(SynthesisOp { synthesiser: self.clone(), excitation })
        } else {
            super::portable::synthesise(head, &excitation, &self.fft, self.hop_length)
        }
    }

    /// First pcm sample of a mel frame's window, counted from the mel frame 0 on.
    fn start(&self, mel_frame: usize) -> isize {
        (mel_frame * self.hop_length) as isize - ((self.fft.n_fft - self.hop_length) / 2) as isize
    }

    /// Overlap-add of the squared window over T mel frames, times n_fft: what the overlap-added output of
    /// [`WindowedFft::synthesise`] is to be divided by.
    pub(crate) fn envelope(&self, mel_frames: usize) -> Vec<f32> {
        let squared: Vec<f32> = self.fft.window.iter().map(|weight| weight * weight * self.fft.n_fft as f32).collect();
        let mut envelope = vec![0.0; mel_frames * self.hop_length];
        (0..mel_frames).for_each(|mel_frame| overlap_add(&mut envelope, self.start(mel_frame), &squared));
        envelope
    }

    /// PCM of spectra that `fill(index of the mel frame in the batch, spectrum)` writes.
    fn inverse(&self, batch: usize, mel_frames: usize, fill: impl Fn(usize, &mut [Complex32]) + Sync) -> Vec<f32> {
        let n_fft = self.fft.n_fft;
        let mut stretches = vec![0.0; batch * mel_frames * n_fft];
        stretches.par_chunks_exact_mut(n_fft).enumerate().with_min_len(8).for_each_init(
            || self.fft.scratch(),
            |scratch: &mut Scratch, (index, out)| {
                fill(index, &mut scratch.spectrum);
                self.fft.synthesise(scratch);
                out.copy_from_slice(&scratch.pcm);
            },
        );
        let envelope = self.envelope(mel_frames);
        let mut pcm = vec![0.0; batch * envelope.len()];
        if mel_frames > 0 {
            let items = pcm.par_chunks_exact_mut(envelope.len()).zip(stretches.par_chunks_exact(mel_frames * n_fft));
            items.for_each(|(pcm, stretches)| {
                for (mel_frame, stretch) in stretches.chunks_exact(n_fft).enumerate() {
                    overlap_add(pcm, self.start(mel_frame), stretch);
                }
                pcm.iter_mut().zip(&envelope).for_each(|(value, weight)| *value /= weight);
            });
        }
        pcm
    }
}

struct SynthesisOp {
    synthesiser: Synthesiser,
    excitation: Arc<Excitation>,
}

impl SynthesisOp {
    /// Of mel frame `index` the spectra of pulses and noise, and its head output: log-gain and raw phase of the harmonics,
    /// log-gain of the noise, log-gain and phase of the free source (empty where there is none).
    fn parts<'a>(&'a self, head: &'a [f32], index: usize) -> ([&'a [Complex32]; 2], [&'a [f32]; 5]) {
        let Excitation { batch, mel_frames, bins, .. } = *self.excitation;
        let source = index * bins..(index + 1) * bins;
        let width = head.len() / (batch * mel_frames);
        let head = &head[index * width..(index + 1) * width];
        let part = |part: usize| head.get(part * bins..(part + 1) * bins).unwrap_or(&[]);
        let sources = [&self.excitation.harmonic[source.clone()], &self.excitation.noise[source]];
        (sources, [part(0), part(1), part(2), part(3), part(4)])
    }
}

/// Bins that [`spectrum`] works on at once: their parts lie side by side in the first-level cache.
const BINS_AT_ONCE: usize = 64;

simd! {
    /// The spectrum of one mel frame from what [`SynthesisOp::parts`] gives.
    fn spectrum(sources: [&[Complex32]; 2], head: [&[f32]; 5], out: &mut [Complex32]) {
        let ([pulse, noise], [gain, phase, noise_gain, free_gain, free_phase]) = (sources, head);
        for (block, out) in out.chunks_mut(BINS_AT_ONCE).enumerate() {
            let bins = block * BINS_AT_ONCE..block * BINS_AT_ONCE + out.len();
            let (mut re, mut im, mut hiss) = ([0.0; BINS_AT_ONCE], [0.0; BINS_AT_ONCE], [0.0; BINS_AT_ONCE]);
            for (i, (gain, phase)) in gain[bins.clone()].iter().zip(&phase[bins.clone()]).enumerate() {
                Complex32 { re: re[i], im: im[i] } = polar(*gain, PI * approx::tanh(*phase));
            }
            for (hiss, gain) in hiss.iter_mut().zip(&noise_gain[bins.clone()]) {
                *hiss = approx::exp(gain.clamp(LOG_NOISE_FLOOR, LOG_GAIN_LIMIT));
            }
            let sources = pulse[bins.clone()].iter().zip(&noise[bins.clone()]);
            for (i, (out, (pulse, noise))) in out.iter_mut().zip(sources).enumerate() {
                *out = Complex32::new(re[i], im[i]) * pulse + noise * hiss[i];
            }
            if !free_gain.is_empty() {
                for (i, (gain, phase)) in free_gain[bins.clone()].iter().zip(&free_phase[bins]).enumerate() {
                    Complex32 { re: re[i], im: im[i] } = polar(*gain, *phase);
                }
                out.iter_mut().enumerate().for_each(|(i, out)| *out += Complex32::new(re[i], im[i]));
            }
        }
    }
}

/// exp(gain) e^(i phase).
#[inline(always)]
fn polar(gain: f32, phase: f32) -> Complex32 {
    let (sin, cos) = approx::sin_cos(phase);
    Complex32::new(cos, sin) * approx::exp(gain.min(LOG_GAIN_LIMIT))
}

impl CustomOp1 for SynthesisOp {
    fn name(&self) -> &'static str {
        "spectral-synthesis"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let head = contiguous_f32(storage, layout)?;
        let Excitation { batch, mel_frames, .. } = *self.excitation;
        let pcm = self.synthesiser.inverse(batch, mel_frames, |index, out| {
            let (sources, parts) = self.parts(head, index);
            spectrum(sources, parts, out);
        });
        let shape = Shape::from((batch, mel_frames * self.synthesiser.hop_length));
        Ok((CpuStorage::F32(pcm), shape))
    }

    fn bwd(&self, head: &Tensor, _pcm: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let head_values = head.contiguous()?.flatten_all()?.to_vec1::<f32>()?;
        let mut grad_pcm = grad.contiguous()?.flatten_all()?.to_vec1::<f32>()?;
        let Excitation { mel_frames, bins, .. } = *self.excitation;
        let synthesiser = &self.synthesiser;
        let envelope = synthesiser.envelope(mel_frames);
        grad_pcm
            .par_chunks_exact_mut(envelope.len())
            .for_each(|item| item.iter_mut().zip(&envelope).for_each(|(value, weight)| *value /= weight));
        let mut grad_head = vec![0.0; head_values.len()];
        let width = head.dim(2)?;
        grad_head.par_chunks_exact_mut(width).enumerate().with_min_len(8).for_each_init(
            || synthesiser.fft.scratch(),
            |scratch, (index, out)| {
                let item = &grad_pcm[index / mel_frames * envelope.len()..][..envelope.len()];
                synthesiser.fft.analyse(item, synthesiser.start(index % mel_frames), scratch);
                // The real inverse transform counts every bin twice but the first and the last, whose imaginary parts
                // it does not see.
                scratch.spectrum.iter_mut().for_each(|bin| *bin *= 2.0);
                for end in [0, bins - 1] {
                    scratch.spectrum[end] = Complex32::new(0.5 * scratch.spectrum[end].re, 0.0);
                }
                let ([pulse, noise], [gain, phase, noise_gain, free_gain, free_phase]) =
                    self.parts(&head_values, index);
                let (grad_gain, rest) = out.split_at_mut(bins);
                let (grad_phase, rest) = rest.split_at_mut(bins);
                let (grad_noise_gain, grad_free) = rest.split_at_mut(bins);
                for (bin, g) in scratch.spectrum.iter().enumerate() {
                    let tanh = phase[bin].tanh();
                    let h = polar(gain[bin], PI * tanh) * pulse[bin];
                    if gain[bin] < LOG_GAIN_LIMIT {
                        grad_gain[bin] = g.re * h.re + g.im * h.im;
                    }
                    grad_phase[bin] = (g.im * h.re - g.re * h.im) * PI * (1.0 - tanh * tanh);
                    if (LOG_NOISE_FLOOR..LOG_GAIN_LIMIT).contains(&noise_gain[bin]) {
                        grad_noise_gain[bin] = (g.re * noise[bin].re + g.im * noise[bin].im) * noise_gain[bin].exp();
                    }
                }
                if !grad_free.is_empty() {
                    let (grad_gain, grad_phase) = grad_free.split_at_mut(bins);
                    for (bin, g) in scratch.spectrum.iter().enumerate() {
                        let free = polar(free_gain[bin], free_phase[bin]);
                        if free_gain[bin] < LOG_GAIN_LIMIT {
                            grad_gain[bin] = g.re * free.re + g.im * free.im;
                        }
                        grad_phase[bin] = g.im * free.re - g.re * free.im;
                    }
                }
            },
        );
        Tensor::from_vec(grad_head, head.shape(), head.device()).map(Some)
    }
}

/// The values of a contiguous f32 tensor.
pub(crate) fn contiguous_f32<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("this operation needs a contiguous f32 tensor"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::excitation::ExcitationMaker;
    use super::*;
    use candle_core::{Device, Var};

    fn small() -> FourierConfig {
        let mut config = FourierConfig::default();
        config.mel.n_fft = 48;
        config.mel.hop_length = 12;
        config.mel.sample_rate = 960;
        config.harmonic_limit_hz = 440.0;
        config
    }

    /// Values that look random, from a fixed formula.
    pub(crate) fn wavy(n: usize, scale: f32) -> Vec<f32> {
        (0..n).map(|i| ((i * i % 7919) as f32 * 0.731 + i as f32).sin() * scale).collect()
    }

    #[test]
    fn inverse_of_the_transform_is_the_recording() {
        for config in [FourierConfig::default(), small()] {
            let synthesiser = Synthesiser::new(&config);
            let mel_frames = 7;
            let pcm = wavy(mel_frames * config.mel.hop_length, 0.5);
            let spectra: Vec<Vec<Complex32>> = (0..mel_frames)
                .map(|mel_frame| {
                    let mut scratch = synthesiser.fft.scratch();
                    synthesiser.fft.analyse(&pcm, synthesiser.start(mel_frame), &mut scratch);
                    scratch.spectrum
                })
                .collect();
            let back = synthesiser.inverse(1, mel_frames, |index, out| out.copy_from_slice(&spectra[index]));
            assert_eq!(back.len(), pcm.len());
            let worst = back.iter().zip(&pcm).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 2e-6, "{worst}");
        }
    }

    #[test]
    fn gradient_equals_finite_differences() -> Result<()> {
        let config = small();
        let synthesiser = Synthesiser::new(&config);
        let f0: Vec<f32> = (0..10).map(|i| if i == 3 { 0.0 } else { 60.0 + 5.0 * i as f32 }).collect();
        let excitation = Arc::new(ExcitationMaker::new(&config).batch(&f0, 5, Some(1)).expect("two items"));
        let shape = (2, 5, 5 * config.bins());
        let values = wavy(2 * 5 * 5 * config.bins(), 0.8);
        let head = Var::from_vec(values.clone(), shape, &Device::Cpu)?;
        let weights = Tensor::from_vec(wavy(2 * 60, 1.0), (2, 60), &Device::Cpu)?;
        let loss = |head: &Tensor| -> Result<Tensor> {
            (synthesiser.forward(head, excitation.clone())? * &weights)?.sum_all()
        };
        let grads = loss(head.as_tensor())?.backward()?;
        let grad = grads.get(&head).expect("head is a variable").flatten_all()?.to_vec1::<f32>()?;
        let largest = grad.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        for at in (0..values.len()).step_by(17).chain([0, 24, 25, 49, 50, 74, 75, 99, 100, 124]) {
            let step = 2e-2;
            let at_offset = |offset: f32| -> Result<f32> {
                let mut moved = values.clone();
                moved[at] += offset;
                loss(&Tensor::from_vec(moved, shape, &Device::Cpu)?)?.to_scalar()
            };
            let expected = (at_offset(step)? - at_offset(-step)?) / (2.0 * step);
            assert!((grad[at] - expected).abs() < 4e-3 * largest, "{at}: {} for {expected}", grad[at]);
        }
        Ok(())
    }

    #[test]
    fn agrees_with_the_composition_of_tensor_operations() -> Result<()> {
        let config = small();
        let synthesiser = Synthesiser::new(&config);
        let excitation = Arc::new(ExcitationMaker::new(&config).batch(&[80.0; 12], 6, Some(5)).expect("two items"));
        for parts in [3, 5] {
            let head = Var::from_vec(wavy(12 * parts * 25, 1.5), (2, 6, parts * 25), &Device::Cpu)?;
            let weights = Tensor::from_vec(wavy(144, 1.0), (2, 72), &Device::Cpu)?;
            let fused = synthesiser.forward(head.as_tensor(), excitation.clone())?;
            let composed = super::super::portable::synthesise(
                head.as_tensor(),
                &excitation,
                &synthesiser.fft,
                synthesiser.hop_length,
            )?;
            let worst = |a: &Tensor, b: &Tensor| -> Result<f32> {
                let scale = b.abs()?.max_all()?.to_scalar::<f32>()?;
                Ok((a - b)?.abs()?.max_all()?.to_scalar::<f32>()? / scale)
            };
            assert!(worst(&fused, &composed)? < 1e-5);
            let grad = |pcm: &Tensor| -> Result<Tensor> {
                let grads = (pcm * &weights)?.sum_all()?.backward()?;
                Ok(grads.get(&head).expect("head is a variable").clone())
            };
            assert!(worst(&grad(&fused)?, &grad(&composed)?)? < 1e-5);
        }
        Ok(())
    }
}
