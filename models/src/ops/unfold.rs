//! Convolutions of devices without kernels here, each as one gather and one matrix product forward, and as many backward
//! for each gradient.
//!
//! A gather reads from a table which input position each tap of each output position sees; a tap that sees padding reads
//! index `u32::MAX`, which candle's `index_select` answers with 0. The gradient of a gather is a gather too, from the table
//! that says where each input position went.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Tensor};

use super::Result;
use super::given_gradient::with_gradients;

/// What `index_select` answers with 0.
const NOTHING: u32 = u32::MAX;
/// Tables that are kept for the next time. Sentences have many lengths: where there are more, all are forgotten.
const KEPT_TABLES: usize = 512;

/// How a kernel walks over an input; each pair is (vertical, horizontal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Walk {
    pub(super) input: [usize; 2],
    pub(super) output: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
    pub(super) dilation: [usize; 2],
}

/// What a table says, in which order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    /// For each tap and each output, the input position that it sees.
    OutputsOfTaps,
    /// The same for each output and each tap.
    TapsOfOutputs,
    /// For each tap and each input position, the place in (taps, outputs) where it was seen.
    InputsOfTaps,
}

impl Walk {
    /// A walk over a sequence.
    pub(super) fn over_time(input: usize, output: usize, kernel: usize, padding: usize, dilation: usize) -> Self {
        Self {
            input: [1, input],
            output: [1, output],
            kernel: [1, kernel],
            stride: [1, 1],
            padding: [0, padding],
            dilation: [1, dilation],
        }
    }

    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    fn inputs(&self) -> usize {
        self.input[0] * self.input[1]
    }

    fn outputs(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// The way back: from the gradients of outputs to those of inputs, by the flipped kernel. Only where no step is skipped.
    fn back(&self) -> Self {
        let padding = |axis: usize| self.dilation[axis] * (self.kernel[axis] - 1) - self.padding[axis];
        Self { input: self.output, output: self.input, padding: [padding(0), padding(1)], ..*self }
    }

    /// The input position that a tap of an output sees.
    fn seen(&self, tap: usize, output: usize) -> u32 {
        let [tap, output] = [split(tap, self.kernel), split(output, self.output)];
        let place = |axis: usize| {
            let padded = output[axis] * self.stride[axis] + tap[axis] * self.dilation[axis];
            padded.checked_sub(self.padding[axis]).filter(|place| *place < self.input[axis])
        };
        place(0).zip(place(1)).map_or(NOTHING, |(y, x)| (y * self.input[1] + x) as u32)
    }

    /// The output whose tap sees an input position.
    fn seeing(&self, tap: usize, input: usize) -> u32 {
        let [taps, position] = [split(tap, self.kernel), split(input, self.input)];
        let place = |axis: usize| {
            let steps = (position[axis] + self.padding[axis]).checked_sub(taps[axis] * self.dilation[axis])?;
            let whole = steps.is_multiple_of(self.stride[axis]) && steps / self.stride[axis] < self.output[axis];
            whole.then_some(steps / self.stride[axis])
        };
        place(0).zip(place(1)).map_or(NOTHING, |(y, x)| (tap * self.outputs() + y * self.output[1] + x) as u32)
    }

    fn table(&self, table: Table) -> Vec<u32> {
        let (taps, inputs, outputs) = (self.taps(), self.inputs(), self.outputs());
        match table {
            Table::OutputsOfTaps => (0..taps).flat_map(|k| (0..outputs).map(move |p| self.seen(k, p))).collect(),
            Table::TapsOfOutputs => (0..outputs).flat_map(|p| (0..taps).map(move |k| self.seen(k, p))).collect(),
            Table::InputsOfTaps => (0..taps).flat_map(|k| (0..inputs).map(move |q| self.seeing(k, q))).collect(),
        }
    }

    /// What the table says of axis `axis` of a contiguous tensor.
    fn gather(&self, xs: &Tensor, axis: usize, table: Table) -> Result<Tensor> {
        static KEPT: Mutex<BTreeMap<(Walk, Table), Tensor>> = Mutex::new(BTreeMap::new());
        let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(&(*self, table)).filter(|index| index.device().same_device(xs.device())).cloned();
        let index = match found {
            Some(index) => index,
            None => {
                let indices = self.table(table);
                let index = Tensor::from_slice(&indices, indices.len(), xs.device())?;
                if kept.len() >= KEPT_TABLES {
                    kept.clear();
                }
                kept.insert((*self, table), index.clone());
                index
            }
        };
        drop(kept);
        xs.index_select(&index, axis)
    }
}

/// (vertical, horizontal) of a place in row after row.
fn split(place: usize, [_, width]: [usize; 2]) -> [usize; 2] {
    [place / width, place % width]
}

/// The sum over the middle axis of (A, B, C): a product with ones, which is faster on a GPU than a strided sum.
fn sum_of_middle(xs: &Tensor) -> Result<Tensor> {
    let (outer, middle, inner) = xs.dims3()?;
    let ones = Tensor::ones((outer, 1, middle), DType::F32, xs.device())?;
    ones.matmul(xs)?.reshape((outer, inner))
}

/// Convolution of images in one group, without bias: xs (B, I, H, W), weight (O, I, KH, KW) -> (B, O, H', W').
pub(super) fn conv2d(xs: &Tensor, weight: &Tensor, walk: Walk) -> Result<Tensor> {
    let value = of_images(&xs.detach().contiguous()?, &weight.detach().contiguous()?, walk)?;
    with_gradients("conv2d", xs, weight, value, move |[xs, weight], grad, [of_xs, of_weight]| {
        let (batch, inputs, height, width) = xs.dims4()?;
        let outputs = weight.dim(0)?;
        let columns = inputs * walk.taps();
        let grad = grad.reshape((batch, outputs, walk.outputs()))?;
        let by_xs = of_xs.then(|| {
            let flat = weight.reshape((1, outputs, columns))?.transpose(1, 2)?;
            let seen = flat.broadcast_as((batch, columns, outputs))?.matmul(&grad)?;
            let seen = seen.reshape((batch, inputs, walk.taps() * walk.outputs()))?;
            let places = walk.gather(&seen, 2, Table::InputsOfTaps)?;
            sum_of_middle(&places.reshape((batch * inputs, walk.taps(), height * width))?)?.reshape(xs.shape())
        });
        let by_weight = of_weight.then(|| {
            let columns = columns_of_images(xs, walk)?;
            grad.matmul(&columns.transpose(1, 2)?)?.sum(0)?.reshape(weight.shape())
        });
        Ok((by_xs.transpose()?, by_weight.transpose()?))
    })
}

/// (B, I, H, W) -> (B, I KH KW, H' W').
fn columns_of_images(xs: &Tensor, walk: Walk) -> Result<Tensor> {
    let (batch, inputs, height, width) = xs.dims4()?;
    let columns = walk.gather(&xs.reshape((batch, inputs, height * width))?, 2, Table::OutputsOfTaps)?;
    columns.reshape((batch, inputs * walk.taps(), walk.outputs()))
}

fn of_images(xs: &Tensor, weight: &Tensor, walk: Walk) -> Result<Tensor> {
    let (batch, outputs) = (xs.dim(0)?, weight.dim(0)?);
    let columns = columns_of_images(xs, walk)?;
    let flat = weight.reshape((1, outputs, columns.dim(1)?))?.broadcast_as((batch, outputs, columns.dim(1)?))?;
    flat.matmul(&columns)?.reshape((batch, outputs, walk.output[0], walk.output[1]))
}

/// Convolution of sequences in one group, in steps of one, without bias: xs (B, T, I), weight (O, I, K) -> (B, T', O).
pub(super) fn conv1d(xs: &Tensor, weight: &Tensor, walk: Walk) -> Result<Tensor> {
    let value = of_sequences(&xs.detach().contiguous()?, &weight.detach().contiguous()?, walk)?;
    with_gradients("conv1d", xs, weight, value, move |[xs, weight], grad, [of_xs, of_weight]| {
        let (outputs, inputs, kernel) = weight.dims3()?;
        let by_xs = of_xs.then(|| of_sequences(grad, &flipped(weight)?.transpose(0, 1)?, walk.back()));
        let by_weight = of_weight.then(|| {
            let grad = grad.reshape(((), outputs))?;
            let flat = columns_of_sequences(xs, walk)?.transpose(0, 1)?.matmul(&grad)?;
            flat.reshape((kernel, inputs, outputs))?.permute((2, 1, 0))?.contiguous()
        });
        Ok((by_xs.transpose()?, by_weight.transpose()?))
    })
}

/// (B, T, I) -> (B T', K I).
fn columns_of_sequences(xs: &Tensor, walk: Walk) -> Result<Tensor> {
    let (batch, _, inputs) = xs.dims3()?;
    walk.gather(xs, 1, Table::TapsOfOutputs)?.reshape((batch * walk.outputs(), walk.taps() * inputs))
}

fn of_sequences(xs: &Tensor, weight: &Tensor, walk: Walk) -> Result<Tensor> {
    let (outputs, inputs, kernel) = weight.dims3()?;
    let flat = weight.permute((2, 1, 0))?.contiguous()?.reshape((kernel * inputs, outputs))?;
    columns_of_sequences(xs, walk)?.matmul(&flat)?.reshape((xs.dim(0)?, walk.outputs(), outputs))
}

/// Convolution of each channel of a sequence by itself, in steps of one, without bias: xs (B, T, C), weight (C, 1, K) ->
/// (B, T', C).
pub(super) fn depthwise1d(xs: &Tensor, weight: &Tensor, walk: Walk) -> Result<Tensor> {
    let value = of_channels(&xs.detach().contiguous()?, &weight.detach().contiguous()?, walk)?;
    with_gradients("depthwise conv1d", xs, weight, value, move |[xs, weight], grad, [of_xs, of_weight]| {
        let (channels, _, kernel) = weight.dims3()?;
        let by_xs = of_xs.then(|| of_channels(grad, &flipped(weight)?, walk.back()));
        let by_weight = of_weight.then(|| {
            let grad = grad.reshape(((), 1, channels))?;
            let seen = columns_of_sequences(xs, walk)?.reshape(((), kernel, channels))?.broadcast_mul(&grad)?;
            let sum = sum_of_middle(&seen.reshape((1, (), kernel * channels))?)?;
            sum.reshape((kernel, channels))?.transpose(0, 1)?.contiguous()?.reshape(weight.shape())
        });
        Ok((by_xs.transpose()?, by_weight.transpose()?))
    })
}

fn of_channels(xs: &Tensor, weight: &Tensor, walk: Walk) -> Result<Tensor> {
    let (batch, _, channels) = xs.dims3()?;
    let flat = weight.reshape((channels, walk.taps()))?.transpose(0, 1)?.contiguous()?;
    let seen = columns_of_sequences(xs, walk)?.reshape((batch * walk.outputs(), walk.taps(), channels))?;
    sum_of_middle(&seen.broadcast_mul(&flat.unsqueeze(0)?)?)?.reshape((batch, walk.outputs(), channels))
}

/// A kernel (.., K) from its last tap to its first.
fn flipped(weight: &Tensor) -> Result<Tensor> {
    let last = weight.dim(2)? as u32;
    weight.index_select(&Tensor::from_iter((0..last).rev(), weight.device())?, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_say_what_each_tap_sees_and_where_it_was_seen() {
        // Padding 1, steps of two: outputs 0 and 1 of three taps each see (-, 0, 1) and (1, 2, 3).
        let walk = Walk { stride: [1, 2], ..Walk::over_time(4, 2, 3, 1, 1) };
        assert_eq!(walk.table(Table::TapsOfOutputs), [NOTHING, 0, 1, 1, 2, 3]);
        assert_eq!(walk.table(Table::OutputsOfTaps), [NOTHING, 1, 0, 2, 1, 3]);
        let first = [NOTHING, 1, NOTHING, NOTHING];
        let (second, third) = ([2, NOTHING, 3, NOTHING], [NOTHING, 4, NOTHING, 5]);
        assert_eq!(walk.table(Table::InputsOfTaps), [first, second, third].concat());
    }
}
