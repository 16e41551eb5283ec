//! The windowed Fourier transform of one stretch of pcm samples, its inverse and the adjoints of both.
//!
//! Shared by the Fourier vocoder (n_fft 1200) and the losses. The window is a periodic Hann window, applied on the way
//! in and on the way out.

use std::sync::Arc;

use realfft::num_complex::Complex32;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use crate::mel::hann_window;

/// Window and transforms of one size. Cheap to share.
#[derive(Clone)]
pub(crate) struct WindowedFft {
    pub(crate) n_fft: usize,
    pub(crate) window: Vec<f32>,
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

/// Working memory of one thread.
pub(crate) struct Scratch {
    /// (n_fft)
    pub(crate) pcm: Vec<f32>,
    /// (n_fft / 2 + 1)
    pub(crate) spectrum: Vec<Complex32>,
    fft: Vec<Complex32>,
}

impl WindowedFft {
    pub(crate) fn new(n_fft: usize) -> Self {
        let mut planner = RealFftPlanner::<f32>::new();
        Self {
            n_fft,
            window: hann_window(n_fft),
            forward: planner.plan_fft_forward(n_fft),
            inverse: planner.plan_fft_inverse(n_fft),
        }
    }

    /// Bins of a spectrum.
    pub(crate) fn bins(&self) -> usize {
        self.n_fft / 2 + 1
    }

    pub(crate) fn scratch(&self) -> Scratch {
        let length = self.forward.get_scratch_len().max(self.inverse.get_scratch_len());
        Scratch {
            pcm: self.forward.make_input_vec(),
            spectrum: self.forward.make_output_vec(),
            fft: vec![Complex32::default(); length],
        }
    }

    /// Puts the spectrum of the windowed pcm samples [start, start + n_fft) into `scratch.spectrum`; beyond the ends of
    /// `pcm` lie zeros.
    pub(crate) fn analyse(&self, pcm: &[f32], start: isize, scratch: &mut Scratch) {
        self.analyse_through(&self.window, pcm, start, scratch);
    }

    /// As [`WindowedFft::analyse`] through a window that may be shorter than the transform: it lies in its middle, between
    /// zeros, and begins at `start`.
    pub(crate) fn analyse_through(&self, window: &[f32], pcm: &[f32], start: isize, scratch: &mut Scratch) {
        let first = start.clamp(0, pcm.len() as isize) as usize;
        let last = (start + window.len() as isize).clamp(0, pcm.len() as isize) as usize;
        scratch.pcm.fill(0.0);
        if first < last {
            let offset = (first as isize - start) as usize;
            let out = &mut scratch.pcm[(self.n_fft - window.len()) / 2 + offset..];
            let windowed = out.iter_mut().zip(&pcm[first..last]).zip(&window[offset..]);
            windowed.for_each(|((out, value), weight)| *out = value * weight);
        }
        self.forward
            .process_with_scratch(&mut scratch.pcm, &mut scratch.spectrum, &mut scratch.fft)
            .expect("the buffers were made by this transform");
    }

    /// How many windows, a hop apart and centred on multiples of it, lie over `length` pcm samples.
    pub(crate) fn windows(&self, length: usize, hop_length: usize) -> usize {
        length / hop_length + 1
    }

    /// The first pcm sample of such a window.
    pub(crate) fn start(&self, window: usize, hop_length: usize) -> isize {
        (window * hop_length) as isize - (self.n_fft / 2) as isize
    }

    /// The adjoint of [`WindowedFft::analyse`]: takes the gradient of the real and imaginary parts from
    /// `scratch.spectrum` and puts that of the pcm samples of the window into `scratch.pcm`.
    pub(crate) fn adjoint(&self, scratch: &mut Scratch) {
        let last = self.bins() - 1;
        // The real inverse transform counts every bin twice but the first and the last.
        scratch.spectrum[1..last].iter_mut().for_each(|bin| *bin *= 0.5);
        self.synthesise(scratch);
    }

    /// Puts n_fft times the windowed inverse transform of `scratch.spectrum` into `scratch.pcm`; the imaginary parts of
    /// the first and last bin are taken as 0.
    pub(crate) fn synthesise(&self, scratch: &mut Scratch) {
        let bins = self.bins();
        scratch.spectrum[0].im = 0.0;
        scratch.spectrum[bins - 1].im = 0.0;
        self.inverse
            .process_with_scratch(&mut scratch.spectrum, &mut scratch.pcm, &mut scratch.fft)
            .expect("the buffers were made by this transform, the first and last bin are real");
        scratch.pcm.iter_mut().zip(&self.window).for_each(|(value, weight)| *value *= weight);
    }
}

/// Adds `stretch` to the pcm samples from `start` on, leaving out what lies beyond the ends of `pcm`.
pub(crate) fn overlap_add(pcm: &mut [f32], start: isize, stretch: &[f32]) {
    let first = start.clamp(0, pcm.len() as isize) as usize;
    let last = (start + stretch.len() as isize).clamp(0, pcm.len() as isize) as usize;
    if first < last {
        let offset = (first as isize - start) as usize;
        pcm[first..last].iter_mut().zip(&stretch[offset..]).for_each(|(sum, value)| *sum += value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    #[test]
    fn equals_the_definition_and_keeps_the_energy() {
        let fft = WindowedFft::new(60);
        let pcm: Vec<f32> = (0..100).map(|i| ((i * i) as f32 * 0.37).sin()).collect();
        let mut scratch = fft.scratch();
        for start in [-20isize, 0, 33, 70] {
            fft.analyse(&pcm, start, &mut scratch);
            let value = |i: usize| {
                let inside = usize::try_from(start + i as isize).ok().and_then(|at| pcm.get(at));
                inside.map_or(0.0, |v| f64::from(*v)) * (0.5 - 0.5 * (TAU * i as f64 / 60.0).cos())
            };
            let mut energy = 0.0;
            for (bin, got) in scratch.spectrum.iter().enumerate() {
                let angle = |i: usize| TAU * (bin * i) as f64 / 60.0;
                let re: f64 = (0..60).map(|i| value(i) * angle(i).cos()).sum();
                let im: f64 = (0..60).map(|i| -value(i) * angle(i).sin()).sum();
                assert!((re - f64::from(got.re)).abs() < 1e-4 && (im - f64::from(got.im)).abs() < 1e-4);
                energy += f64::from(got.norm_sqr()) * if bin == 0 || bin == 30 { 1.0 } else { 2.0 };
            }
            // Parseval.
            let expected: f64 = (0..60).map(|i| value(i).powi(2)).sum();
            assert!((energy / 60.0 - expected).abs() < 1e-4, "{energy} {expected}");
            fft.synthesise(&mut scratch);
            for (i, got) in scratch.pcm.iter().enumerate() {
                let window = 0.5 - 0.5 * (TAU * i as f64 / 60.0).cos();
                assert!((f64::from(*got) / 60.0 - value(i) * window).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn overlap_add_cuts_at_the_ends() {
        let mut pcm = [0.0; 4];
        overlap_add(&mut pcm, -1, &[1.0, 2.0, 3.0]);
        overlap_add(&mut pcm, 3, &[5.0, 6.0]);
        overlap_add(&mut pcm, 9, &[7.0]);
        assert_eq!(pcm, [2.0, 3.0, 0.0, 5.0]);
    }
}
