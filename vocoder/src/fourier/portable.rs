//! The synthesis of [`super::synthesis`] composed of candle's tensor operations, for devices without a kernel of ours.
//!
//! The inverse transform is a product with the matrix of its cosines and sines, and overlap-add a sum of shifted hops:
//! all operations whose gradients candle has right. n_fft must be a multiple of hop_length here.

use std::collections::BTreeMap;
use std::f64::consts::{PI, TAU};
use std::sync::{Mutex, PoisonError};

use candle_core::{Device, Result, Tensor, bail};
use realfft::num_complex::Complex32;

use super::Excitation;
use super::synthesis::{LOG_GAIN_LIMIT, LOG_NOISE_FLOOR};
use crate::stft::WindowedFft;

/// As `Synthesiser::forward`.
pub(crate) fn synthesise(
    head: &Tensor,
    excitation: &Excitation,
    fft: &WindowedFft,
    hop_length: usize,
) -> Result<Tensor> {
    let (device, bins) = (head.device(), fft.bins());
    let gain = head.narrow(2, 0, bins)?.minimum(LOG_GAIN_LIMIT as f64)?.exp()?;
    let phase = (head.narrow(2, bins, bins)?.tanh()? * PI)?;
    let noise_gain = head.narrow(2, 2 * bins, bins)?.clamp(LOG_NOISE_FLOOR, LOG_GAIN_LIMIT)?.exp()?;
    let part = |values: &[Complex32], take: fn(&Complex32) -> f32| -> Result<Tensor> {
        let values: Vec<f32> = values.iter().map(take).collect();
        Tensor::from_vec(values, (excitation.batch, excitation.mel_frames, bins), device)
    };
    let [pulse_re, pulse_im] = [part(&excitation.harmonic, |bin| bin.re)?, part(&excitation.harmonic, |bin| bin.im)?];
    let [noise_re, noise_im] = [part(&excitation.noise, |bin| bin.re)?, part(&excitation.noise, |bin| bin.im)?];
    let (cos, sin) = ((&gain * phase.cos()?)?, (&gain * phase.sin()?)?);
    let re = (((&cos * &pulse_re)? - (&sin * &pulse_im)?)? + (&noise_gain * noise_re)?)?;
    let im = (((cos * pulse_im)? + (sin * pulse_re)?)? + (noise_gain * noise_im)?)?;
    let (re, im) = if head.dim(2)? == 3 * bins {
        (re, im)
    } else {
        let gain = head.narrow(2, 3 * bins, bins)?.minimum(LOG_GAIN_LIMIT as f64)?.exp()?;
        let phase = head.narrow(2, 4 * bins, bins)?;
        ((re + (&gain * phase.cos()?)?)?, (im + (gain * phase.sin()?)?)?)
    };
    let spectra = Tensor::cat(&[re, im], 2)?;
    let stretches = spectra.broadcast_matmul(&inverse_matrix(fft, device)?)?;
    let pcm = overlap_add(&stretches, hop_length)?;
    let squared: Vec<f32> = fft.window.iter().map(|weight| weight * weight).collect();
    let squared = Tensor::from_vec(squared, (1, 1, fft.n_fft), device)?;
    let envelope = overlap_add(&squared.repeat((1, excitation.mel_frames, 1))?, hop_length)?;
    pcm.broadcast_div(&envelope)
}

/// [`inverse_matrix_of`], kept for the next block.
fn inverse_matrix(fft: &WindowedFft, device: &Device) -> Result<Tensor> {
    static KEPT: Mutex<BTreeMap<usize, Tensor>> = Mutex::new(BTreeMap::new());
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    match kept.get(&fft.n_fft) {
        Some(matrix) if matrix.device().same_device(device) => Ok(matrix.clone()),
        _ => {
            let matrix = inverse_matrix_of(fft, device)?;
            kept.insert(fft.n_fft, matrix.clone());
            Ok(matrix)
        }
    }
}

/// (2 bins, n_fft): real parts then imaginary parts of a spectrum to windowed pcm samples.
fn inverse_matrix_of(fft: &WindowedFft, device: &Device) -> Result<Tensor> {
    let (bins, n_fft) = (fft.bins(), fft.n_fft);
    let mut matrix = Vec::with_capacity(2 * bins * n_fft);
    for row in 0..2 * bins {
        let bin = row % bins;
        let weight = if bin == 0 || bin == bins - 1 { 1.0 } else { 2.0 } / n_fft as f64;
        for (at, window) in fft.window.iter().enumerate() {
            let angle = TAU * ((bin * at) % n_fft) as f64 / n_fft as f64;
            let wave = match (row < bins, bin == 0 || bin == bins - 1) {
                (true, _) => angle.cos(),
                // Imaginary parts that the real inverse transform does not see; exactly 0.
                (false, true) => 0.0,
                (false, false) => -angle.sin(),
            };
            matrix.push((weight * wave) as f32 * window);
        }
    }
    Tensor::from_vec(matrix, (2 * bins, n_fft), device)
}

/// (B, T, n_fft) -> (B, hop_length T), cut to the geometry "same".
fn overlap_add(stretches: &Tensor, hop_length: usize) -> Result<Tensor> {
    let (batch, mel_frames, n_fft) = stretches.dims3()?;
    if !n_fft.is_multiple_of(hop_length) {
        bail!("synthesis on this device needs an n_fft that is a multiple of hop_length, not {n_fft} and {hop_length}");
    }
    let hops = n_fft / hop_length;
    let mut sum: Option<Tensor> = None;
    for hop in 0..hops {
        let part = stretches.narrow(2, hop * hop_length, hop_length)?;
        let part = part.contiguous()?.pad_with_zeros(1, hop, hops - 1 - hop)?;
        sum = Some(match sum {
            Some(sum) => (sum + part)?,
            None => part,
        });
    }
    let Some(sum) = sum else { bail!("n_fft must not be 0") };
    let length = (mel_frames + hops - 1) * hop_length;
    sum.reshape((batch, length))?.narrow(1, (n_fft - hop_length) / 2, mel_frames * hop_length)?.contiguous()
}
