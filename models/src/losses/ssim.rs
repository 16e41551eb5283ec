//! The structural similarity of images: "Image quality assessment: from error visibility to structural similarity" (Wang
//! et al. 2004).
//!
//! Gaussian window of 11 x 11 pixels with deviation 1.5, C1 = 0.01^2 and C2 = 0.03^2 for pixels in 0..1, each colour by
//! itself. Only windows that lie wholly inside the image count, 5 pixels from its borders: the mean then equals that of
//! `skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1)`,
//! which crops the same border.
//!
//! The gradient is analytic and computed along with the value. With E the Gaussian mean and a, b the two images, a
//! window's SSIM is a function of E a, E b, E a^2, E b^2 and E ab alone; its derivatives by these, filtered once more by
//! the (symmetric) window, give the derivative by each pixel.

use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, CustomOp2, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use crate::ops;

const WINDOW: usize = 11;
/// Pixels at each border that are the centre of no window.
const BORDER: usize = WINDOW / 2;
const SIGMA: f64 = 1.5;
const C1: f32 = 0.01 * 0.01;
const C2: f32 = 0.03 * 0.03;

/// The mean structural similarity of two batches of images, 1 where they are equal.
///
/// # Shapes
/// - `a`, `b`: (N, C, H, W) with pixels in 0..1, H and W at least 11
/// - output: scalar
///
/// # Errors
/// Shapes that differ or are too small.
pub fn ssim(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (_, _, height, width) = a.dims4()?;
    if a.dims() != b.dims() || height < WINDOW || width < WINDOW {
        candle_core::bail!("ssim takes two equal shapes of at least {WINDOW} x {WINDOW}, not {:?} and {:?}", a, b);
    }
    if !ops::has_kernels(a) {
        return ssim_by_products(a, b);
    }
    let op = Ssim { grad_a: a.track_op(), grad_b: b.track_op(), grads: Mutex::default() };
    a.contiguous()?.apply_op2(&b.contiguous()?, op)
}

struct Ssim {
    grad_a: bool,
    grad_b: bool,
    /// The derivatives by both images, kept from the forward pass.
    grads: Mutex<Option<(Vec<f32>, Vec<f32>)>>,
}

impl CustomOp2 for Ssim {
    fn name(&self) -> &'static str {
        "ssim"
    }

    fn cpu_fwd(&self, a: &CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        let (_, _, height, width) = la.shape().dims4()?;
        let plane = height * width;
        let pixels = la.shape().elem_count();
        let a = &a.as_slice::<f32>()?[la.start_offset()..][..pixels];
        let b = &b.as_slice::<f32>()?[lb.start_offset()..][..pixels];
        let planes = pixels / plane;
        let mut grad_a = vec![0f32; if self.grad_a { pixels } else { 0 }];
        let mut grad_b = vec![0f32; if self.grad_b { pixels } else { 0 }];
        let scale = 1. / (planes * (height - 2 * BORDER) * (width - 2 * BORDER)) as f32;
        let mut parts_a = optional_planes(&mut grad_a, plane, planes);
        let mut parts_b = optional_planes(&mut grad_b, plane, planes);
        // One sum for each plane, added in order below: the result does not depend on the number of threads.
        let sums: Vec<f64> = (a.par_chunks(plane), b.par_chunks(plane), &mut parts_a, &mut parts_b)
            .into_par_iter()
            .map_init(
                || Scratch::new(height, width),
                |scratch, (a, b, grad_a, grad_b)| {
                    scratch.plane(a, b, scale, grad_a.as_deref_mut(), grad_b.as_deref_mut())
                },
            )
            .collect();
        let mean = sums.iter().sum::<f64>() * f64::from(scale);
        *self.grads.lock().unwrap_or_else(PoisonError::into_inner) = Some((grad_a, grad_b));
        Ok((CpuStorage::F32(vec![mean as f32]), Shape::from(())))
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, _: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let kept = self.grads.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((grad_a, grad_b)) = kept.as_ref() else { candle_core::bail!("ssim: backward before forward") };
        let grad = f64::from(grad.to_scalar::<f32>()?);
        let scaled = |wanted: bool, values: &Vec<f32>, like: &Tensor| {
            wanted.then(|| Tensor::from_slice(values, like.shape(), like.device())? * grad).transpose()
        };
        Ok((scaled(self.grad_a, grad_a, a)?, scaled(self.grad_b, grad_b, b)?))
    }
}

/// One slice for each plane, or none of them where no gradient is wanted.
fn optional_planes(grads: &mut [f32], plane: usize, planes: usize) -> Vec<Option<&mut [f32]>> {
    let mut parts: Vec<_> = grads.chunks_mut(plane).map(Some).collect();
    parts.resize_with(planes, || None);
    parts
}

/// The five means of a window, in this order.
const MEANS: usize = 5;

/// Buffers of one thread.
struct Scratch {
    height: usize,
    width: usize,
    window: [f32; WINDOW],
    product: Vec<f32>,
    /// MEANS planes of (height, width - 10): filtered along rows.
    across: Vec<f32>,
    /// MEANS rows of (width - 10): filtered both ways.
    means: Vec<f32>,
    /// Derivatives by E a, E b, E a^2 and E ab, with 10 zeros on each side of a plane for the transposed filter.
    derivatives: [Vec<f32>; 4],
    /// A row of (width + 10).
    down: Vec<f32>,
}

impl Scratch {
    fn new(height: usize, width: usize) -> Self {
        let inner = width - 2 * BORDER;
        let padded = (height + 2 * BORDER) * (width + 2 * BORDER);
        Self {
            height,
            width,
            window: window(),
            product: vec![0.; width],
            across: vec![0.; MEANS * height * inner],
            means: vec![0.; MEANS * inner],
            derivatives: std::array::from_fn(|_| vec![0.; padded]),
            down: vec![0.; width + 2 * BORDER],
        }
    }

    /// The sum of a plane's SSIM; writes `scale` times its derivatives where wanted.
    fn plane(
        &mut self,
        a: &[f32],
        b: &[f32],
        scale: f32,
        grad_a: Option<&mut [f32]>,
        grad_b: Option<&mut [f32]>,
    ) -> f64 {
        let wanted = grad_a.is_some() || grad_b.is_some();
        self.filter_rows(a, b);
        let sum = self.compare(wanted);
        if let Some(grad) = grad_a {
            self.gradient(a, b, 0, scale, grad);
        }
        if let Some(grad) = grad_b {
            self.gradient(b, a, 1, scale, grad);
        }
        sum
    }

    fn filter_rows(&mut self, a: &[f32], b: &[f32]) {
        let (width, inner) = (self.width, self.width - 2 * BORDER);
        let plane = self.height * inner;
        for (y, (a, b)) in a.chunks_exact(width).zip(b.chunks_exact(width)).enumerate() {
            let mut put = |i: usize, row: &[f32]| {
                filter_row(row, &self.window, &mut self.across[i * plane + y * inner..][..inner]);
            };
            put(0, a);
            put(1, b);
            for (i, (p, q)) in [(a, a), (b, b), (a, b)].into_iter().enumerate() {
                for ((product, p), q) in self.product.iter_mut().zip(p).zip(q) {
                    *product = p * q;
                }
                put(2 + i, &self.product);
            }
        }
    }

    /// Adds up SSIM and, where wanted, fills in its derivatives by E a, E b, E a^2 (= by E b^2) and E ab.
    fn compare(&mut self, wanted: bool) -> f64 {
        let inner = self.width - 2 * BORDER;
        let plane = self.height * inner;
        let padded = self.width + 2 * BORDER;
        let mut sum = 0f64;
        for y in 0..self.height - 2 * BORDER {
            for i in 0..MEANS {
                let rows = &self.across[i * plane + y * inner..][..WINDOW * inner];
                filter_columns(rows, inner, &self.window, &mut self.means[i * inner..][..inner]);
            }
            let (mean_a, rest) = self.means.split_at(inner);
            let (mean_b, rest) = rest.split_at(inner);
            let (mean_aa, rest) = rest.split_at(inner);
            let (mean_bb, mean_ab) = rest.split_at(inner);
            let start = (y + 2 * BORDER) * padded + 2 * BORDER;
            let [by_a, by_b, by_aa, by_ab] = &mut self.derivatives;
            let (by_a, by_b) = (&mut by_a[start..][..inner], &mut by_b[start..][..inner]);
            let (by_aa, by_ab) = (&mut by_aa[start..][..inner], &mut by_ab[start..][..inner]);
            let mut row = 0f32;
            for x in 0..inner {
                let (ma, mb) = (mean_a[x], mean_b[x]);
                let (product, squares) = (ma * mb, ma * ma + mb * mb);
                let (l, s) = (2. * product + C1, 2. * (mean_ab[x] - product) + C2);
                let (m, v) = (squares + C1, mean_aa[x] + mean_bb[x] - squares + C2);
                let (inverse_m, inverse_v) = (1. / m, 1. / v);
                let both = inverse_m * inverse_v;
                let ssim = l * s * both;
                row += ssim;
                if wanted {
                    let cross = 2. * (s - l) * both;
                    let own = 2. * ssim * (inverse_v - inverse_m);
                    by_a[x] = mb * cross + ma * own;
                    by_b[x] = ma * cross + mb * own;
                    by_aa[x] = -ssim * inverse_v;
                    by_ab[x] = 2. * l * both;
                }
            }
            sum += f64::from(row);
        }
        sum
    }

    /// `scale` times the derivative by image `which` (0: a, 1: b), whose pixels are `own`.
    fn gradient(&mut self, own: &[f32], other: &[f32], which: usize, scale: f32, grad: &mut [f32]) {
        let width = self.width;
        let padded = width + 2 * BORDER;
        let rows = own.chunks_exact(width).zip(other.chunks_exact(width)).zip(grad.chunks_exact_mut(width));
        for (y, ((own, other), grad)) in rows.enumerate() {
            for (i, derivative) in [which, 2, 3].into_iter().enumerate() {
                let rows = &self.derivatives[derivative][y * padded..][..WINDOW * padded];
                filter_columns(rows, padded, &self.window, &mut self.down);
                filter_row(&self.down, &self.window, &mut self.product);
                let factors = grad.iter_mut().zip(own).zip(other).zip(&self.product);
                match i {
                    0 => factors.for_each(|(((grad, _), _), value)| *grad = scale * value),
                    1 => factors.for_each(|(((grad, own), _), value)| *grad += scale * 2. * own * value),
                    _ => factors.for_each(|(((grad, _), other), value)| *grad += scale * other * value),
                }
            }
        }
    }
}

fn window() -> [f32; WINDOW] {
    let weights: [f64; WINDOW] = std::array::from_fn(|i| (-0.5 * ((i as f64 - BORDER as f64) / SIGMA).powi(2)).exp());
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| (weight / sum) as f32)
}

/// Correlates a row with the window: `out` is 10 shorter than `row`.
fn filter_row(row: &[f32], window: &[f32; WINDOW], out: &mut [f32]) {
    let n = out.len();
    weigh(std::array::from_fn(|k| &row[k..k + n]), window, out);
}

/// Adds up 11 rows of `width`, weighed by the window.
fn filter_columns(rows: &[f32], width: usize, window: &[f32; WINDOW], out: &mut [f32]) {
    weigh(std::array::from_fn(|k| &rows[k * width..][..width]), window, out);
}

/// The window is symmetric: pairs are added before they are weighed.
#[inline(always)]
fn weigh(shifted: [&[f32]; WINDOW], window: &[f32; WINDOW], out: &mut [f32]) {
    let n = out.len();
    let [a, b, c, d, e, f, g, h, i, j, k] = shifted.map(|slice| &slice[..n]);
    for x in 0..n {
        out[x] = window[0] * (a[x] + k[x])
            + window[1] * (b[x] + j[x])
            + window[2] * (c[x] + i[x])
            + window[3] * (d[x] + h[x])
            + window[4] * (e[x] + g[x])
            + window[5] * f[x];
    }
}

/// The same by tensor operations, for other devices: the window's means are products with banded matrices.
fn ssim_by_products(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (images, colours, height, width) = a.dims4()?;
    let planes = MEANS * images * colours;
    let all = Tensor::cat(&[a, b, &a.sqr()?, &b.sqr()?, &(a * b)?], 0)?;
    let across = all.reshape((planes * height, width))?.matmul(&band(width, a.device())?)?;
    let across = across.reshape((planes, height, width - 2 * BORDER))?;
    let down = band(height, a.device())?.t()?.contiguous()?;
    let down = down.broadcast_as((planes, height - 2 * BORDER, height))?;
    let means = down.matmul(&across)?.reshape((MEANS, (), width - 2 * BORDER))?;
    let mean = |i: usize| means.get(i);
    let (mean_a, mean_b) = (mean(0)?, mean(1)?);
    let (product, squares) = ((&mean_a * &mean_b)?, (mean_a.sqr()? + mean_b.sqr()?)?);
    let luminance = ((&product * 2.)? + f64::from(C1))?;
    let structure = (((mean(4)? - &product)? * 2.)? + f64::from(C2))?;
    let sizes = (&squares + f64::from(C1))?;
    let variances = (((mean(2)? + mean(3)?)? - &squares)? + f64::from(C2))?;
    ((luminance * structure)? / (sizes * variances)?)?.mean_all()
}

/// (n, n - 10): a row of pixels times this is its windows' means.
fn band(n: usize, device: &Device) -> Result<Tensor> {
    let (window, inner) = (window(), n - 2 * BORDER);
    let weight = |i: usize, j: usize| i.checked_sub(j).and_then(|k| window.get(k)).copied().unwrap_or(0.);
    let weights: Vec<f32> = (0..n).flat_map(|i| (0..inner).map(move |j| weight(i, j))).collect();
    Tensor::from_vec(weights, (n, inner), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{difference, noise};
    use candle_core::Var;

    fn images(shape: (usize, usize, usize, usize), seed: u64) -> Tensor {
        // A ramp under noise, so that means, variances and covariances all differ from window to window.
        let (n, c, h, w) = shape;
        let ramp: Vec<f32> = (0..n * c * h * w).map(|i| 0.3 + 0.4 * (i % w) as f32 / w as f32).collect();
        (Tensor::from_vec(ramp, shape, &Device::Cpu).unwrap() + (noise(shape, seed) * 0.25).unwrap()).unwrap()
    }

    /// The definition, window by window in f64.
    fn by_definition(a: &Tensor, b: &Tensor) -> f64 {
        let (n, c, h, w) = a.dims4().unwrap();
        let a: Vec<f32> = a.flatten_all().unwrap().to_vec1().unwrap();
        let b: Vec<f32> = b.flatten_all().unwrap().to_vec1().unwrap();
        let gauss = |i: usize| (-((i as f64 - 5.).powi(2)) / (2. * 1.5 * 1.5)).exp();
        let total: f64 = (0..11).flat_map(|i| (0..11).map(move |j| (i, j))).map(|(i, j)| gauss(i) * gauss(j)).sum();
        let (mut sum, mut windows) = (0., 0.);
        for plane in 0..n * c {
            for y in 0..h - 10 {
                for x in 0..w - 10 {
                    let mean = |f: &dyn Fn(f64, f64) -> f64| -> f64 {
                        let cells = (0..11).flat_map(|i| (0..11).map(move |j| (i, j)));
                        cells
                            .map(|(i, j)| {
                                let at = plane * h * w + (y + i) * w + x + j;
                                gauss(i) * gauss(j) / total * f(f64::from(a[at]), f64::from(b[at]))
                            })
                            .sum()
                    };
                    let (ma, mb) = (mean(&|a, _| a), mean(&|_, b| b));
                    let va = mean(&|a, _| (a - ma).powi(2));
                    let vb = mean(&|_, b| (b - mb).powi(2));
                    let cov = mean(&|a, b| (a - ma) * (b - mb));
                    sum += (2. * ma * mb + 1e-4) * (2. * cov + 9e-4) / ((ma * ma + mb * mb + 1e-4) * (va + vb + 9e-4));
                    windows += 1.;
                }
            }
        }
        sum / windows
    }

    #[test]
    fn value_is_the_definition() {
        let (a, b) = (images((2, 3, 17, 24), 1), images((2, 3, 17, 24), 2));
        let value = f64::from(ssim(&a, &b).unwrap().to_scalar::<f32>().unwrap());
        assert!((value - by_definition(&a, &b)).abs() < 1e-5, "{value} {}", by_definition(&a, &b));
        assert!((ssim(&a, &a).unwrap().to_scalar::<f32>().unwrap() - 1.).abs() < 1e-5);
        assert!(ssim(&a, &b.narrow(2, 0, 10).unwrap()).is_err());
        let small = a.narrow(2, 0, 10).unwrap();
        assert!(ssim(&small, &small).is_err());
    }

    #[test]
    fn gradient_is_the_slope_of_the_definition() {
        let shape = (1, 2, 13, 15);
        let (a, b) = (images(shape, 3), images(shape, 4));
        let (va, vb) = (Var::from_tensor(&a).unwrap(), Var::from_tensor(&b).unwrap());
        // Twice the value, so that the incoming gradient is not 1.
        let grads = (ssim(&va, &vb).unwrap() * 2.).unwrap().backward().unwrap();
        for (first, var) in [(true, &va), (false, &vb)] {
            let grad: Vec<f32> = grads.get(var).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            // Corners, borders and the middle.
            for at in [0, 7, 14, 15 * 6 + 7, 15 * 12, 15 * 13 + 100] {
                let moved = |step: f64| {
                    let mut values: Vec<f32> = if first { &a } else { &b }.flatten_all().unwrap().to_vec1().unwrap();
                    values[at] += step as f32;
                    let moved = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
                    if first { by_definition(&moved, &b) } else { by_definition(&a, &moved) }
                };
                let slope = (moved(1e-3) - moved(-1e-3)) / 1e-3;
                assert!((slope - f64::from(grad[at])).abs() < 2e-5 + 0.01 * slope.abs(), "{at}: {slope} {}", grad[at]);
            }
        }
    }

    #[test]
    fn other_devices_get_the_same() {
        let (a, b) = (images((2, 3, 20, 22), 5), images((2, 3, 20, 22), 6));
        let (va, vb) = (Var::from_tensor(&a).unwrap(), Var::from_tensor(&b).unwrap());
        let (own, other) = (ssim(&va, &vb).unwrap(), ssim_by_products(&va, &vb).unwrap());
        assert!(difference(&own, &other) < 1e-5);
        let (own, other) = (own.backward().unwrap(), other.backward().unwrap());
        for var in [&va, &vb] {
            let (own, other) = (own.get(var).unwrap(), other.get(var).unwrap());
            let size = other.abs().unwrap().max_all().unwrap().to_scalar::<f32>().unwrap();
            assert!(difference(own, other) < 0.01 * size, "{} of {size}", difference(own, other));
        }
    }
}
