//! Sub-pixel convolutions (Shi et al. 2016), one after the other, by vectors that multiply bytes.
//!
//! A map lies in memory with zeros around, so that a convolution is a product whose left matrix is the map itself, read in
//! place. An image goes through all convolutions on one thread, and what it leaves behind never leaves the cache.
//!
//! | module | role |
//! |---|---|
//! | [`link`] | a convolution whose output is the next one's input |
//! | [`last`] | the last one, whose output is planes |

mod last;
mod link;

use std::sync::Mutex;

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::cpu::{View, has_kernels, simd};
use super::gemm::bytes;
use last::Last;
use link::Link;

/// Sub-pixel convolutions whose weights do not change any more, laid out for vectors of bytes. ReLU goes before each; each has
/// zeros around its input, so that its output is of the same size; a constant is added to that; and 2x2 channels become 2x2
/// pixels. There is no gradient.
pub struct SubPixelChain {
    links: Vec<Link>,
    last: Last,
    /// (height, width, channels) of the first map.
    first: [usize; 3],
    /// What images before have left.
    spare: Mutex<Vec<Memory>>,
}

/// What is added after each convolution of a chain.
#[derive(Debug, Clone)]
pub struct SubPixelConstants(Vec<Vec<f32>>);

/// What a thread needs for an image. What lies around maps stays 0.
struct Memory {
    maps: Vec<Vec<u8>>,
    sums: Vec<f32>,
    /// Of the next map, as it takes them.
    numbers: Vec<f32>,
    planes: Vec<f32>,
}

/// Memory that goes back when its thread is done.
struct Lent<'a>(&'a SubPixelChain, Option<Memory>);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let (Ok(mut spare), Some(memory)) = (self.0.spare.lock(), self.1.take()) {
            spare.push(memory);
        }
    }
}

impl SubPixelChain {
    /// `None` where no vectors multiply bytes.
    ///
    /// # Shapes
    /// - `weights`: (4 O, I, K, K) each; K is odd
    /// - `size`: height and width of the first map
    ///
    /// # Errors
    /// Convolutions that do not follow one another.
    pub fn new(weights: &[Tensor], size: [usize; 2]) -> Result<Option<Self>> {
        let Some((last_weight, others)) = weights.split_last() else { return Ok(None) };
        if !has_kernels(last_weight) || !bytes::available() {
            return Ok(None);
        }
        let mut colours = None;
        for (i, weight) in weights.iter().enumerate() {
            let (outputs, inputs, kernel, width) = weight.dims4()?;
            let fits = colours.is_none_or(|colours| colours == inputs);
            if !fits || width != kernel || kernel % 2 == 0 || outputs % 4 != 0 {
                bail!("sub-pixel convolution {i}: a weight of {:?} does not fit", weight.shape());
            }
            colours = Some(outputs / 4);
        }
        let size_of = |i: usize| size.map(|side| side << i);
        let link = |(i, weight)| Link::new(weight, size_of(i));
        let links = others.iter().enumerate().map(link).collect::<Result<_>>()?;
        let first = [size[0], size[1], weights[0].dim(1)?];
        Ok(Some(Self { links, last: Last::new(last_weight, size_of(others.len()))?, first, spare: Mutex::default() }))
    }

    /// Lays out what is added.
    ///
    /// # Shapes
    /// - `constants`: (1, 4 O, H, W) for each convolution
    ///
    /// # Errors
    /// Constants that do not fit the convolutions.
    pub fn constants(&self, constants: &[Tensor]) -> Result<SubPixelConstants> {
        let (last, others) = match constants.split_last() {
            Some((last, others)) if others.len() == self.links.len() => (last, others),
            _ => bail!("{} constants for {} sub-pixel convolutions", constants.len(), self.links.len() + 1),
        };
        let of_links = self.links.iter().zip(others).map(|(link, constant)| link.lay_out(constant));
        Ok(SubPixelConstants(of_links.chain([self.last.lay_out(last)]).collect::<Result<_>>()?))
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
        if self.first != [height, width, channels] {
            bail!("sub-pixel convolutions of {:?} do not fit {:?}", self.first, xs.shape());
        }
        let xs = xs.contiguous()?;
        let xs = View::new(&xs)?;
        let mut ys = vec![T::default(); images * len];
        let pairs = ys.par_chunks_exact_mut(len.max(1)).zip(xs.par_chunks_exact(height * width * channels));
        pairs.for_each_init(
            || Lent(self, None),
            |Lent(_, memory), (ys, xs)| {
                let memory = memory.get_or_insert_with(|| self.memory());
                self.image(xs, constants, memory);
                develop(&mut memory.planes, ys);
            },
        );
        Ok(ys)
    }

    fn memory(&self) -> Memory {
        let spare = self.spare.lock().ok().and_then(|mut spare| spare.pop());
        spare.unwrap_or_else(|| {
            let (sums, numbers): (Vec<_>, Vec<_>) = self.links.iter().map(|link| (link.sums(), link.numbers())).unzip();
            let longest =
                |of_links: Vec<usize>, of_last: usize| vec![0.0; of_links.into_iter().fold(of_last, usize::max)];
            Memory {
                maps: self.links.iter().map(Link::map).chain([self.last.map()]).collect(),
                sums: longest(sums, self.last.sums()),
                numbers: longest(numbers, self.last.numbers()),
                planes: vec![0.0; self.last.planes()],
            }
        })
    }

    fn image(&self, xs: &[f32], constants: &SubPixelConstants, memory: &mut Memory) {
        let Memory { maps, sums, numbers, planes } = memory;
        let last = self.links.len();
        match last {
            0 => relu_apart(xs, self.first[2], numbers),
            _ => relu(xs, numbers),
        }
        for (i, (link, constant)) in self.links.iter().zip(&constants.0).enumerate() {
            link.convolve(numbers, &mut maps[i], constant, sums, i + 1 == last);
        }
        self.last.convolve(numbers, &mut maps[last], &constants.0[last], sums, planes);
    }
}

/// Refuses a constant that is not (1, 4 colours, H, W).
fn check_constant(constant: &Tensor, colours: usize, [height, width]: [usize; 2]) -> Result<()> {
    if constant.dims() != [1, 4 * colours, height, width] {
        bail!("a constant of {:?} does not fit maps of {:?}", constant.shape(), [height, width]);
    }
    Ok(())
}

impl std::fmt::Debug for SubPixelChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SubPixelChain({} from {:?})", self.links.len() + 1, self.first)
    }
}

simd! {
    fn relu(xs: &[f32], dst: &mut [f32]) {
        xs.iter().zip(dst).for_each(|(x, dst)| *dst = x.max(0.0));
    }
}

simd! {
    /// ReLU of pixels with so many channels, the quads of channels apart.
    fn relu_apart(xs: &[f32], channels: usize, dst: &mut [f32]) {
        let pixels = xs.len() / channels;
        for (p, xs) in xs.chunks_exact(channels).enumerate() {
            for (q, xs) in xs.chunks(bytes::QUAD).enumerate() {
                let mut quad = [0.0; bytes::QUAD];
                quad.iter_mut().zip(xs).for_each(|(quad, x)| *quad = x.max(0.0));
                dst[(q * pixels + p) * bytes::QUAD..][..bytes::QUAD].copy_from_slice(&quad);
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

    /// ReLU, convolution, addition and shuffle one by one.
    fn defined(weights: &[Tensor], constants: &[Tensor], xs: &Tensor) -> Tensor {
        let mut xs = xs.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
        for (weight, constant) in weights.iter().zip(constants) {
            xs = ops::relu(&xs).unwrap();
            let around = weight.dim(2).unwrap() / 2;
            let options = Conv2dOptions { padding: [around; 2], ..Conv2dOptions::default() };
            xs = ops::conv2d(&xs, weight, None, &options).unwrap().broadcast_add(constant).unwrap();
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
                return eprintln!("this processor has no vectors that multiply bytes");
            };
            let laid_out = chain.constants(&constants).unwrap();
            let xs = noise((3, size[0], size[1], channels[0]), 99);
            let expected = defined(&weights, &constants, &xs);
            let len = expected.elem_count() / 3;
            let run = |xs: &Tensor| chain.each(xs, &laid_out, len, |planes, out| out.copy_from_slice(planes)).unwrap();
            let all = run(&xs);
            let ours = Tensor::from_slice(&all, expected.dims(), xs.device()).unwrap();
            // Numbers here are about 1, the largest about 4; each map rounds by up to a 510th of that.
            let error = difference(&ours, &expected);
            assert!(error < 0.05, "{size:?} {channels:?}: {error}");
            // An image is the same whichever others pass with it.
            assert!(run(&xs.narrow(0, 1, 1).unwrap()) == all[len..2 * len]);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (weights, constants) = convolutions([5, 10], &[64, 32, 16], 3);
        let turned: Vec<Tensor> = weights.iter().rev().cloned().collect();
        let Some(chain) = SubPixelChain::new(&weights, [5, 10]).unwrap() else {
            return eprintln!("this processor has no vectors that multiply bytes");
        };
        assert!(SubPixelChain::new(&turned, [5, 10]).unwrap_err().to_string().contains("convolution 1"));
        assert!(SubPixelChain::new(&[], [5, 10]).unwrap().is_none());
        assert!(chain.constants(&constants[..1]).is_err());
        assert!(chain.constants(&[constants[1].clone(), constants[0].clone()]).is_err());
        let constants = chain.constants(&constants).unwrap();
        assert!(chain.each(&noise((1, 5, 11, 64), 1), &constants, 1, |_, _: &mut [u8]| ()).is_err());
    }
}
