//! Sub-pixel convolutions (Shi et al. 2016), one after the other, on the matrix unit.
//!
//! Between them a map lies with the channels of a pixel together, pixels in lines, zeros around: what a line of a kernel meets
//! is then one piece of memory, and the piece of the next pixel begins one pixel further. So a convolution is a product whose
//! left matrix is the map itself, read in place, with the rows overlapping. An image goes through all convolutions on one
//! thread, and what it leaves behind never leaves the cache.
//!
//! Maps keep the unit's 8 significant bits. That is for images, of which nobody sees more.

use std::ops::{Deref, DerefMut, Range};

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{View, has_kernels, simd};
use super::gemm::amx::{self, Left, STEP};
use super::gemm::tile::{PANEL, Start};

/// Sums that are held before they are written as a map.
const HELD: usize = 16 * 1024;

/// Sub-pixel convolutions whose weights do not change any more, laid out for the matrix unit. Each has zeros around its input,
/// so that its output is of the same size; a constant is added to that; ReLU follows all but the last; and 2x2 channels become
/// 2x2 pixels. There is no gradient.
pub struct SubPixelChain {
    links: Vec<Link>,
}

/// What is added after each convolution of a chain.
#[derive(Debug, Clone)]
pub struct SubPixelConstants(Vec<Vec<f32>>);

impl SubPixelChain {
    /// `None` where there is no matrix unit, or it is not worth while for such sizes.
    ///
    /// # Shapes
    /// - `weights`: (4 O, I, K, K) each; K is odd
    /// - `size`: height and width of the first map
    ///
    /// # Errors
    /// Convolutions that do not follow one another.
    pub fn new(weights: &[Tensor], size: [usize; 2]) -> Result<Option<Self>> {
        let mut links: Vec<Link> = Vec::with_capacity(weights.len());
        for (i, weight) in weights.iter().enumerate() {
            let (outputs, inputs, kernel, width) = weight.dims4()?;
            if !has_kernels(weight) || !amx::worth_for_high(kernel * kernel * inputs, outputs) {
                return Ok(None);
            }
            let fits = links.last().is_none_or(|before| inputs == before.colours);
            if !fits || width != kernel || kernel % 2 == 0 || outputs % 4 != 0 {
                bail!("sub-pixel convolution {i}: a weight of {:?} does not fit", weight.shape());
            }
            links.push(Link::new(weight, size.map(|side| side << i), i + 1 == weights.len())?);
        }
        Ok((!links.is_empty()).then_some(Self { links }))
    }

    /// Lays out what is added.
    ///
    /// # Shapes
    /// - `constants`: (1, 4 O, H, W) for each convolution
    ///
    /// # Errors
    /// Constants that do not fit the convolutions.
    pub fn constants(&self, constants: &[Tensor]) -> Result<SubPixelConstants> {
        if constants.len() != self.links.len() {
            bail!("{} constants for {} sub-pixel convolutions", constants.len(), self.links.len());
        }
        let laid_out = self.links.iter().zip(constants).map(|(link, constant)| link.lay_out(constant));
        Ok(SubPixelConstants(laid_out.collect::<Result<_>>()?))
    }

    /// What `develop` makes of each image, `len` elements, one after the other: it is given the image as planes (O, 2^n H,
    /// 2^n W), n being the number of convolutions.
    ///
    /// # Shapes
    /// - `xs`: (N, H, W, I)
    pub fn each<T: Send + Clone + Default>(
        &self,
        xs: &Tensor,
        constants: &SubPixelConstants,
        len: usize,
        develop: impl Fn(&mut [f32], &mut [T]) + Sync,
    ) -> Result<Vec<T>> {
        let (images, height, width, channels) = xs.dims4()?;
        let first = &self.links[0].map;
        if first.size != [height, width] || first.channels != channels {
            bail!("sub-pixel convolutions of {first:?} do not fit {:?}", xs.shape());
        }
        let xs = xs.contiguous()?;
        let xs = View::new(&xs)?;
        let mut ys = vec![T::default(); images * len];
        let pairs = ys.par_chunks_exact_mut(len.max(1)).zip(xs.par_chunks_exact(height * width * channels));
        pairs.for_each_init(
            || self.memory(),
            |memory, (ys, xs)| {
                self.image(xs, constants, memory);
                develop(&mut memory.planes, ys);
            },
        );
        Ok(ys)
    }

    fn memory(&self) -> Memory {
        let sums = self.links.iter().map(|link| link.lines_at_once() * link.map.pitch * link.outputs()).max();
        let last = &self.links[self.links.len() - 1];
        Memory {
            maps: self.links.iter().map(|link| Lines::new(link.map.len)).collect(),
            sums: vec![0.0; sums.unwrap_or(0)],
            planes: vec![0.0; last.outputs() * last.map.size[0] * last.map.size[1]],
        }
    }

    fn image(&self, xs: &[f32], constants: &SubPixelConstants, memory: &mut Memory) {
        let Memory { maps, sums, planes } = memory;
        self.links[0].map.write(xs, &mut maps[0]);
        for (i, (link, constant)) in self.links.iter().zip(&constants.0).enumerate() {
            let (read, written) = maps.split_at_mut(i + 1);
            let height = link.map.size[0];
            for from in (0..height).step_by(link.lines_at_once()) {
                let lines = from..(from + link.lines_at_once()).min(height);
                link.convolve(&read[i], lines.clone(), sums);
                for y in lines {
                    let sums = &sums[(y - from) * link.map.pitch * link.outputs()..];
                    match (written.first_mut(), self.links.get(i + 1)) {
                        (Some(map), Some(next)) => link.finish_map(y, sums, constant, &next.map, map),
                        _ => link.finish_planes(y, sums, constant, planes),
                    }
                }
            }
        }
    }
}

impl std::fmt::Debug for SubPixelChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.links.iter().map(|link| &link.map)).finish()
    }
}

/// What a thread needs for an image. What lies around the maps stays 0.
struct Memory {
    maps: Vec<Lines<u16>>,
    sums: Vec<f32>,
    planes: Vec<f32>,
}

/// Memory that begins where a line of the cache does: rows of tiles that lie across two are read twice.
struct Lines<T> {
    memory: Vec<T>,
    begin: usize,
    len: usize,
}

impl<T: Copy + Default> Lines<T> {
    const LINE: usize = 64;

    fn new(len: usize) -> Self {
        let memory = vec![T::default(); len + Self::LINE / size_of::<T>()];
        let begin = memory.as_ptr().align_offset(Self::LINE);
        Self { memory, begin, len }
    }
}

impl<T> Deref for Lines<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.begin..][..self.len]
    }
}

impl<T> DerefMut for Lines<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.begin..][..self.len]
    }
}

/// How a map lies in memory: numbers of the unit, a pixel's channels together.
#[derive(Debug, Clone)]
struct Map {
    /// Height and width.
    size: [usize; 2],
    channels: usize,
    /// Zeros on each side; those between two lines serve both.
    around: usize,
    /// Pixels from line to line.
    pitch: usize,
    /// Where a convolution finds the steps of its products, from the first number that an output meets.
    steps: Vec<usize>,
    /// Numbers in all: the last step of the last output reads on behind the map.
    len: usize,
}

impl Map {
    fn new(size: [usize; 2], channels: usize, kernel: usize) -> Self {
        let around = kernel / 2;
        let pitch = size[1] + around;
        let steps_of_line = (kernel * channels).div_ceil(STEP);
        let line = |y: usize| (0..steps_of_line).map(move |i| y * pitch * channels + i * STEP);
        let steps: Vec<usize> = (0..kernel).flat_map(line).collect();
        let last = ((size[0] - 1) * pitch + size[1] - 1) * channels;
        let len = last + steps.last().map_or(0, |step| step + STEP);
        Self { size, channels, around, pitch, steps, len }
    }

    /// The numbers of a line.
    fn line(&self, y: usize) -> Range<usize> {
        let first = ((y + self.around) * self.pitch + self.around) * self.channels;
        first..first + self.size[1] * self.channels
    }

    /// Writes pixels (H, W, C).
    fn write(&self, xs: &[f32], map: &mut [u16]) {
        for (y, xs) in xs.chunks_exact(self.size[1] * self.channels).enumerate() {
            round(xs, &mut map[self.line(y)]);
        }
    }
}

/// A convolution of the chain. Its outputs are in the order in which the shuffle lays them: line and column of the 2x2 pixels,
/// colour; the last one's, which become planes, as they are: colour, line and column.
struct Link {
    map: Map,
    /// Channels after the shuffle.
    colours: usize,
    last: bool,
    /// The weights in panels, a panel after the other.
    right: Lines<u32>,
}

impl Link {
    fn new(weight: &Tensor, size: [usize; 2], last: bool) -> Result<Self> {
        let (outputs, inputs, kernel, _) = weight.dims4()?;
        let map = Map::new(size, inputs, kernel);
        let steps_of_line = map.steps.len() / kernel;
        let depth = map.steps.len() * STEP;
        let words = amx::words(PANEL, depth);
        let right = Lines::new(outputs.div_ceil(PANEL) * words);
        let mut link = Self { map, colours: outputs / 4, last, right };
        let weight = weight.flatten_all()?.to_vec1::<f32>()?;
        let channels: Vec<usize> = (0..outputs).map(|o| link.channel(o)).collect();
        let mut panel = vec![0.0; depth * PANEL];
        for (channels, right) in channels.chunks(PANEL).zip(link.right.chunks_exact_mut(words)) {
            panel.fill(0.0);
            for (k, row) in panel.chunks_exact_mut(PANEL).enumerate() {
                let (y, at) = (k / (steps_of_line * STEP), k % (steps_of_line * STEP));
                let (x, input) = (at / inputs, at % inputs);
                if x < kernel {
                    let values = channels.iter().map(|o| weight[((o * inputs + input) * kernel + y) * kernel + x]);
                    row.iter_mut().zip(values).for_each(|(dst, value)| *dst = value);
                }
            }
            amx::lay_out_right(&panel, right);
        }
        Ok(link)
    }

    fn outputs(&self) -> usize {
        4 * self.colours
    }

    /// The channel of the weight that output `o` is.
    fn channel(&self, o: usize) -> usize {
        if self.last { o } else { o % self.colours * 4 + o / self.colours }
    }

    /// (1, outputs, H, W) as (H, W, outputs).
    fn lay_out(&self, constant: &Tensor) -> Result<Vec<f32>> {
        let [height, width] = self.map.size;
        if constant.dims() != [1, self.outputs(), height, width] {
            bail!("a constant of {:?} does not fit {:?}", constant.shape(), self.map);
        }
        let planes = constant.flatten_all()?.to_vec1::<f32>()?;
        let pixels = height * width;
        let places = (0..pixels).flat_map(|p| (0..self.outputs()).map(move |o| (p, o)));
        Ok(places.map(|(p, o)| planes[self.channel(o) * pixels + p]).collect())
    }

    fn lines_at_once(&self) -> usize {
        (HELD / (self.map.pitch * self.outputs())).clamp(1, self.map.size[0])
    }

    /// The sums of some lines, and of what lies between them.
    fn convolve(&self, map: &[u16], lines: Range<usize>, sums: &mut [f32]) {
        let Map { size, channels, pitch, steps, .. } = &self.map;
        let outputs = self.outputs();
        let rows = (lines.len() - 1) * pitch + size[1];
        let numbers = &map[lines.start * pitch * channels..];
        let left = Left { numbers, row: *channels, tile: amx::SIDE * channels, low: None, steps };
        let sums = &mut sums[..rows * outputs];
        let words = self.right.len() / outputs.div_ceil(PANEL);
        for (i, right) in self.right.chunks_exact(words).enumerate() {
            let width = PANEL.min(outputs - i * PANEL);
            // SAFETY: a chain is made where the unit is; the rows lie in the sums, which are borrowed.
            unsafe { amx::product([rows, width], left, right, sums.as_mut_ptr().add(i * PANEL), outputs, Start::Zero) };
        }
    }

    /// Writes line `y` of the sums as two lines of the next map.
    fn finish_map(&self, y: usize, sums: &[f32], constant: &[f32], next: &Map, map: &mut [u16]) {
        let line = self.map.size[1] * self.outputs();
        for half in 0..2 {
            let constant = &constant[y * line..][..line];
            finish_map(&sums[..line], constant, self.outputs(), half, &mut map[next.line(2 * y + half)]);
        }
    }

    /// Writes line `y` of the sums as two lines of each plane.
    fn finish_planes(&self, y: usize, sums: &[f32], constant: &[f32], planes: &mut [f32]) {
        let [height, width] = self.map.size;
        let line = width * self.outputs();
        for (i, plane) in planes.chunks_exact_mut(4 * height * width).enumerate() {
            let lines = plane[4 * y * width..][..4 * width].chunks_exact_mut(2 * width);
            for (half, dst) in lines.enumerate() {
                let pair = 4 * i + 2 * half;
                finish_plane(&sums[..line], &constant[y * line..][..line], self.outputs(), pair, dst);
            }
        }
    }
}

/// The unit's number that is nearest.
#[inline(always)]
fn nearest(x: f32) -> u16 {
    (amx::parts(x).0 >> 16) as u16
}

simd! {
    fn round(xs: &[f32], dst: &mut [u16]) {
        xs.iter().zip(dst).for_each(|(x, dst)| *dst = nearest(*x));
    }
}

simd! {
    /// ReLU of sums and constants, of one half of each pixel's outputs.
    fn finish_map(sums: &[f32], constant: &[f32], outputs: usize, half: usize, dst: &mut [u16]) {
        let (count, pixels) = (outputs / 2, sums.chunks_exact(outputs).zip(constant.chunks_exact(outputs)));
        for ((sums, constant), dst) in pixels.zip(dst.chunks_exact_mut(count)) {
            let (sums, constant) = (&sums[half * count..][..count], &constant[half * count..][..count]);
            for i in 0..count {
                dst[i] = nearest((sums[i] + constant[i]).max(0.0));
            }
        }
    }
}

simd! {
    /// Sums and constants of two outputs of each pixel, from `pair` on, side by side.
    fn finish_plane(sums: &[f32], constant: &[f32], outputs: usize, pair: usize, dst: &mut [f32]) {
        let pixels = sums.chunks_exact(outputs).zip(constant.chunks_exact(outputs));
        for ((sums, constant), dst) in pixels.zip(dst.as_chunks_mut::<2>().0) {
            for i in 0..2 {
                dst[i] = sums[pair + i] + constant[pair + i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{difference, noise};
    use crate::ops::{self, Conv2dOptions};

    /// Weights and constants.
    fn convolutions(size: [usize; 2], channels: &[usize], kernel: usize) -> (Vec<Tensor>, Vec<Tensor>) {
        let convolution = |(i, pair): (usize, &[usize])| {
            let [height, width] = size.map(|side| side << i);
            let scale = 1. / (kernel as f64 * (pair[0] as f64).sqrt());
            let weight = (noise((4 * pair[1], pair[0], kernel, kernel), 1 + i as u64) * scale).unwrap();
            (weight, noise((1, 4 * pair[1], height, width), 10 + i as u64))
        };
        channels.windows(2).enumerate().map(convolution).unzip()
    }

    /// Convolution, addition, ReLU and shuffle one by one.
    fn defined(weights: &[Tensor], constants: &[Tensor], xs: &Tensor) -> Tensor {
        let mut xs = xs.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        for (i, (weight, constant)) in weights.iter().zip(constants).enumerate() {
            let around = weight.dim(2).unwrap() / 2;
            let options = Conv2dOptions { padding: [around; 2], ..Conv2dOptions::default() };
            xs = ops::conv2d(&xs, weight, None, &options).unwrap().broadcast_add(constant).unwrap();
            if i + 1 < weights.len() {
                xs = ops::relu(&xs).unwrap();
            }
            xs = ops::pixel_shuffle(&xs, 2).unwrap();
        }
        xs
    }

    #[test]
    fn a_chain_gives_what_its_steps_give() {
        for (size, channels, kernel) in
            [([5, 10], vec![128, 64, 40, 24, 3], 3), ([3, 2], vec![7, 5, 3], 5), ([1, 1], vec![33, 17], 3)]
        {
            let (weights, constants) = convolutions(size, &channels, kernel);
            let Some(chain) = SubPixelChain::new(&weights, size).unwrap() else {
                return eprintln!("this processor has no matrix unit");
            };
            let laid_out = chain.constants(&constants).unwrap();
            let xs = noise((3, size[0], size[1], channels[0]), 99);
            let expected = defined(&weights, &constants, &xs);
            let len = expected.elem_count() / 3;
            let run = |xs: &Tensor| chain.each(xs, &laid_out, len, |planes, out| out.copy_from_slice(planes)).unwrap();
            let all = run(&xs);
            let ours = Tensor::from_slice(&all, expected.dims(), xs.device()).unwrap();
            // Numbers here are about 1; each map rounds by up to 2^-9 of that.
            let error = difference(&ours, &expected);
            assert!(error < 0.02, "{size:?} {channels:?}: {error}");
            // An image is the same whichever others pass with it.
            assert!(run(&xs.narrow(0, 1, 1).unwrap()) == all[len..2 * len]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (weights, constants) = convolutions([5, 10], &[64, 32, 16], 3);
        let turned: Vec<Tensor> = weights.iter().rev().cloned().collect();
        let Some(chain) = SubPixelChain::new(&weights, [5, 10]).unwrap() else {
            return eprintln!("this processor has no matrix unit");
        };
        assert!(SubPixelChain::new(&turned, [5, 10]).unwrap_err().to_string().contains("convolution 1"));
        assert!(SubPixelChain::new(&[], [5, 10]).unwrap().is_none());
        assert!(chain.constants(&constants[..1]).is_err());
        assert!(chain.constants(&[constants[1].clone(), constants[0].clone()]).is_err());
        let constants = chain.constants(&constants).unwrap();
        assert!(chain.each(&noise((1, 5, 11, 64), 1), &constants, 1, |_, _: &mut [u8]| ()).is_err());
    }
}
