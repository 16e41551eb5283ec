//! The operations as compositions of candle's own, for every device that has no kernel here (CUDA).
//!
//! Only candle operations whose gradients were found right against PyTorch are used: no candle convolution, no fused
//! LayerNorm, no softmax_last_dim. Convolutions in one group or of each channel by itself are a gather and one matmul, and
//! have formulas for their gradients, as normalisations have; other convolutions are a narrow per tap and one matmul over
//! all taps. A transposed convolution is a convolution, with the flipped kernel, of the input with zeros stuffed between its
//! steps.

use candle_core::{D, Tensor, bail};

use super::given_gradient::with_gradient;
use super::unfold::{self, Walk};
use super::{Conv1dOptions, Conv2dOptions, ConvTranspose1dOptions, ConvTranspose2dOptions, Result, SequenceLayout};

/// See [`super::linear`].
pub fn linear(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let mut dims = xs.dims().to_vec();
    let (outputs, inputs) = weight.dims2()?;
    let Some(last) = dims.last_mut() else { bail!("linear: xs has no axis") };
    if *last != inputs {
        bail!("linear: xs {:?} does not fit weight {:?}", xs.shape(), weight.shape())
    }
    *last = outputs;
    // cuBLAS takes a transposed matrix, but no part of a wider one.
    let ys = xs.reshape(((), inputs))?.matmul(&weight.contiguous()?.t()?)?;
    let ys = match bias {
        Some(bias) => ys.broadcast_add(bias)?,
        None => ys,
    };
    ys.reshape(dims)
}

/// See [`super::leaky_relu`]; slope 0 gives [`super::relu`]. The slope is from 0 to 1.
pub fn leaky_relu(xs: &Tensor, slope: f64) -> Result<Tensor> {
    let flat = xs.detach();
    let value = if slope == 0.0 { flat.relu()? } else { flat.maximum(&(&flat * slope)?)? };
    with_gradient("leaky-relu", xs, value, move |value, grad| {
        // 1 where the value is above 0, else 0.
        let above = value.sign()?.relu()?;
        grad * above.affine(1.0 - slope, slope)?
    })
}

/// See [`super::sigmoid`].
pub fn sigmoid(xs: &Tensor) -> Result<Tensor> {
    // Through tanh, because 1 / (1 + exp(-x)) has a gradient of infinity times 0 for very negative x.
    ((xs * 0.5)?.tanh()? * 0.5)? + 0.5
}

/// See [`super::softmax_last`].
pub fn softmax_last(xs: &Tensor) -> Result<Tensor> {
    let flat = xs.detach();
    let powers = flat.broadcast_sub(&flat.max_keepdim(D::Minus1)?)?.exp()?;
    let value = powers.broadcast_div(&powers.sum_keepdim(D::Minus1)?)?;
    with_gradient("softmax", xs, value, |value, grad| {
        let weighted = (value * grad)?;
        let sum = weighted.sum_keepdim(D::Minus1)?;
        weighted - value.broadcast_mul(&sum)?
    })
}

/// See [`super::pixel_shuffle`].
pub fn pixel_shuffle(xs: &Tensor, r: usize) -> Result<Tensor> {
    let (b, c, h, w) = xs.dims4()?;
    if r == 0 || !c.is_multiple_of(r * r) {
        bail!("pixel_shuffle: {c} channels are not a multiple of the square of the factor {r}")
    }
    let c = c / (r * r);
    xs.reshape((b, c, r, r, h, w))?.permute((0, 1, 4, 2, 5, 3))?.contiguous()?.reshape((b, c, h * r, w * r))
}

/// (x - mean) / sqrt(variance + eps) with mean and biased variance as `mean_of` averages; these carry no gradient of their
/// own.
fn normalised(
    xs: &Tensor,
    eps: f64,
    mean_of: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<(Tensor, Tensor, Tensor)> {
    let flat = xs.detach();
    let mean = mean_of(&flat)?;
    let centred = flat.broadcast_sub(&mean)?;
    let variance = mean_of(&centred.sqr()?)?;
    let scale = (&variance + eps)?.sqrt()?.recip()?;
    let value = centred.broadcast_mul(&scale)?;
    let normal = with_gradient("normalisation", xs, value, move |value, grad| {
        let along = value.broadcast_mul(&mean_of(&(value * grad)?)?)?;
        (grad - along)?.broadcast_sub(&mean_of(grad)?)?.broadcast_mul(&scale)
    })?;
    Ok((normal, mean, variance))
}

/// See [`super::layer_norm`].
pub fn layer_norm(xs: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<Tensor> {
    let (normal, _, _) = normalised(xs, eps, |xs| xs.mean_keepdim(D::Minus1))?;
    normal.broadcast_mul(weight)?.broadcast_add(bias)
}

/// See [`super::batch_norm_train`].
pub fn batch_norm_train(xs: &Tensor, weight: &Tensor, bias: &Tensor, eps: f64) -> Result<(Tensor, Tensor, Tensor)> {
    let (b, c) = (xs.dim(0)?, xs.dim(1)?);
    let rows = xs.reshape((b, c, ()))?;
    let values = b * rows.dim(2)?;
    let mean_of = move |xs: &Tensor| xs.sum_keepdim(D::Minus1)?.sum_keepdim(0)? / values as f64;
    let (normal, mean, variance) = normalised(&rows, eps, mean_of)?;
    let ys = normal.broadcast_mul(&weight.reshape((1, c, 1))?)?.broadcast_add(&bias.reshape((1, c, 1))?)?;
    Ok((ys.reshape(xs.shape())?, mean.reshape(c)?, variance.reshape(c)?))
}

/// See [`super::batch_norm_eval`].
pub fn batch_norm_eval(
    xs: &Tensor,
    mean: &Tensor,
    variance: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    eps: f64,
) -> Result<Tensor> {
    let (b, c) = (xs.dim(0)?, xs.dim(1)?);
    let scale = (weight / (variance + eps)?.sqrt()?)?;
    let shift = (bias - (mean * &scale)?)?;
    let ys = xs.reshape((b, c, ()))?.broadcast_mul(&scale.reshape((1, c, 1))?)?;
    ys.broadcast_add(&shift.reshape((1, c, 1))?)?.reshape(xs.shape())
}

/// Steps offset, offset + stride, ... (`count` of them) of axis `axis`; the axis must reach offset + count stride.
fn strided(xs: &Tensor, axis: usize, offset: usize, count: usize, stride: usize) -> Result<Tensor> {
    if stride == 1 {
        return xs.narrow(axis, offset, count);
    }
    let mut dims = xs.dims().to_vec();
    dims[axis] = stride;
    dims.insert(axis, count);
    xs.narrow(axis, offset, count * stride)?.reshape(dims)?.narrow(axis + 1, 0, 1)?.squeeze(axis + 1)
}

/// Reverses an axis.
fn reversed(xs: &Tensor, axis: usize) -> Result<Tensor> {
    let last = xs.dim(axis)?.saturating_sub(1) as u32;
    let index = (0..=last).rev().collect::<Vec<_>>();
    xs.contiguous()?.index_select(&Tensor::new(index, xs.device())?, axis)
}

/// Puts `stride` - 1 zeros between the steps of an axis, then `left` zeros before and `right` after (negative: cuts).
fn stuffed(xs: &Tensor, axis: usize, stride: usize, left: isize, right: isize) -> Result<Tensor> {
    let mut dims = xs.dims().to_vec();
    let length = dims[axis];
    let ys = if stride == 1 {
        xs.clone()
    } else {
        dims[axis] = length * stride;
        let spread = xs.unsqueeze(axis + 1)?.pad_with_zeros(axis + 1, 0, stride - 1)?.reshape(dims)?;
        spread.narrow(axis, 0, (length - 1) * stride + 1)?
    };
    let ys = ys.pad_with_zeros(axis, left.max(0) as usize, right.max(0) as usize)?;
    let (skip, drop) = ((-left).max(0) as usize, (-right).max(0) as usize);
    if skip + drop == 0 {
        return Ok(ys);
    }
    match ys.dim(axis)?.checked_sub(skip + drop) {
        Some(rest) if rest > 0 => ys.narrow(axis, skip, rest),
        _ => bail!("transposed convolution: padding {skip} leaves nothing of an axis of {length}"),
    }
}

/// Length of a convolution's output, or an error that says why there is none.
pub(super) fn convolved_length(
    length: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    dilation: usize,
) -> Result<usize> {
    if stride == 0 || dilation == 0 || kernel == 0 {
        bail!("convolution: stride, dilation and kernel must be at least 1")
    }
    match (length + 2 * padding).checked_sub(dilation * (kernel - 1) + 1) {
        Some(rest) => Ok(rest / stride + 1),
        None => {
            bail!("convolution: kernel {kernel} with dilation {dilation} exceeds the axis of {length} + 2 x {padding}")
        }
    }
}

/// Length of a transposed convolution's output, or an error that says why there is none.
pub(super) fn transposed_length(
    length: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    output_padding: usize,
    dilation: usize,
) -> Result<usize> {
    if stride == 0 || dilation == 0 || kernel == 0 || length == 0 {
        bail!("transposed convolution: stride, dilation, kernel and length must be at least 1")
    }
    match ((length - 1) * stride + dilation * (kernel - 1) + output_padding + 1).checked_sub(2 * padding) {
        Some(rest) if rest > 0 => Ok(rest),
        _ => bail!("transposed convolution: padding {padding} leaves nothing of an axis of {length}"),
    }
}

/// Checks channels and groups; returns (inputs, outputs) per group.
pub(super) fn group_channels(
    op: &str,
    inputs: usize,
    outputs: usize,
    per_group: usize,
    groups: usize,
) -> Result<(usize, usize)> {
    if groups == 0
        || inputs * outputs == 0
        || !inputs.is_multiple_of(groups)
        || !outputs.is_multiple_of(groups)
        || per_group != inputs / groups
    {
        bail!("{op}: {inputs} channels into {outputs} in {groups} groups do not fit a weight of {per_group} per group")
    }
    Ok((inputs / groups, outputs / groups))
}

/// See [`super::conv1d`].
pub fn conv1d(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &Conv1dOptions) -> Result<Tensor> {
    if options.layout == SequenceLayout::ChannelsFirst {
        let options = Conv1dOptions { layout: SequenceLayout::TimeFirst, ..options.clone() };
        return conv1d(&xs.transpose(1, 2)?.contiguous()?, weight, bias, &options)?.transpose(1, 2)?.contiguous();
    }
    let (b, t, inputs) = xs.dims3()?;
    let (outputs, per_group, kernel) = weight.dims3()?;
    let groups = options.groups;
    let (per_in, per_out) = group_channels("conv1d", inputs, outputs, per_group, groups)?;
    let count = convolved_length(t, kernel, options.stride, options.padding, options.dilation)?;
    let depthwise = per_in == 1 && per_out == 1;
    if options.stride == 1 && options.padding <= options.dilation * (kernel - 1) && (groups == 1 || depthwise) {
        let walk = Walk::over_time(t, count, kernel, options.padding, options.dilation);
        let ys = if depthwise { unfold::depthwise1d(xs, weight, walk)? } else { unfold::conv1d(xs, weight, walk)? };
        return match bias {
            Some(bias) => ys.broadcast_add(bias),
            None => Ok(ys),
        };
    }
    let padded = xs.pad_with_zeros(1, options.padding, options.padding + options.stride - 1)?;
    let tap = |k: usize| strided(&padded, 1, k * options.dilation, count, options.stride);
    let ys = if depthwise {
        let mut sum = tap(0)?.broadcast_mul(&weight.narrow(2, 0, 1)?.reshape(outputs)?)?;
        for k in 1..kernel {
            sum = (sum + tap(k)?.broadcast_mul(&weight.narrow(2, k, 1)?.reshape(outputs)?)?)?;
        }
        sum
    } else {
        let taps = (0..kernel).map(tap).collect::<Result<Vec<_>>>()?;
        // (groups, B T', K I/groups) times (groups, K I/groups, O/groups)
        let columns = Tensor::stack(&taps, 2)?.reshape((b * count, kernel, groups, per_in))?.permute((2, 0, 1, 3))?;
        let columns = columns.contiguous()?.reshape((groups, b * count, kernel * per_in))?;
        let weight = weight.reshape((groups, per_out, per_in, kernel))?.permute((0, 3, 2, 1))?.contiguous()?;
        let ys = columns.matmul(&weight.reshape((groups, kernel * per_in, per_out))?)?;
        ys.transpose(0, 1)?.contiguous()?.reshape((b, count, outputs))?
    };
    match bias {
        Some(bias) => ys.broadcast_add(bias),
        None => Ok(ys),
    }
}

/// See [`super::conv_transpose1d`].
pub fn conv_transpose1d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &ConvTranspose1dOptions,
) -> Result<Tensor> {
    let axis = match options.layout {
        SequenceLayout::TimeFirst => 1,
        SequenceLayout::ChannelsFirst => 2,
    };
    let (inputs, per_out, kernel) = weight.dims3()?;
    let groups = options.groups;
    if groups == 0 || !inputs.is_multiple_of(groups) || xs.dim(3 - axis)? != inputs {
        bail!("conv_transpose1d: xs {:?} does not fit weight {:?}, {groups} groups", xs.shape(), weight.shape())
    }
    let t = xs.dim(axis)?;
    transposed_length(t, kernel, options.stride, options.padding, options.output_padding, options.dilation)?;
    let edge = (options.dilation * (kernel - 1)) as isize - options.padding as isize;
    let padded = stuffed(xs, axis, options.stride, edge, edge + options.output_padding as isize)?;
    let weight = weight.reshape((groups, inputs / groups, per_out, kernel))?.transpose(1, 2)?.contiguous()?;
    let weight = reversed(&weight.reshape((groups * per_out, inputs / groups, kernel))?, 2)?;
    let options = Conv1dOptions { dilation: options.dilation, groups, layout: options.layout, ..Default::default() };
    conv1d(&padded, &weight, bias, &options)
}

/// See [`super::conv2d`].
pub fn conv2d(xs: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: &Conv2dOptions) -> Result<Tensor> {
    let (b, inputs, h, w) = xs.dims4()?;
    let (outputs, per_group, kh, kw) = weight.dims4()?;
    let groups = options.groups;
    let (per_in, per_out) = group_channels("conv2d", inputs, outputs, per_group, groups)?;
    let Conv2dOptions { stride, padding, dilation, .. } = options;
    let rows = convolved_length(h, kh, stride[0], padding[0], dilation[0])?;
    let columns = convolved_length(w, kw, stride[1], padding[1], dilation[1])?;
    let with_bias = |ys: Tensor| match bias {
        Some(bias) => ys.broadcast_add(&bias.reshape((1, outputs, 1, 1))?),
        None => Ok(ys),
    };
    if groups == 1 {
        let (input, output, kernel) = ([h, w], [rows, columns], [kh, kw]);
        let walk = Walk { input, output, kernel, stride: *stride, padding: *padding, dilation: *dilation };
        return with_bias(unfold::conv2d(xs, weight, walk)?);
    }
    let padded = xs.pad_with_zeros(2, padding[0], padding[0] + stride[0] - 1)?;
    let padded = padded.pad_with_zeros(3, padding[1], padding[1] + stride[1] - 1)?;
    let mut taps = Vec::with_capacity(kh * kw);
    for i in 0..kh {
        let lines = strided(&padded, 2, i * dilation[0], rows, stride[0])?;
        for j in 0..kw {
            taps.push(strided(&lines, 3, j * dilation[1], columns, stride[1])?);
        }
    }
    // (groups, O/groups, KH KW I/groups) times (B, groups, KH KW I/groups, H' W')
    let pixels = rows * columns;
    let taps = Tensor::stack(&taps, 1)?.reshape((b, kh * kw, groups, per_in, pixels))?.transpose(1, 2)?;
    let taps = taps.contiguous()?.reshape((b, groups, kh * kw * per_in, pixels))?;
    let weight = weight.reshape((groups, per_out, per_in, kh * kw))?.transpose(2, 3)?.contiguous()?;
    let weight = weight.reshape((1, groups, per_out, kh * kw * per_in))?;
    with_bias(weight.broadcast_matmul(&taps)?.reshape((b, outputs, rows, columns))?)
}

/// See [`super::conv_transpose2d`].
pub fn conv_transpose2d(
    xs: &Tensor,
    weight: &Tensor,
    bias: Option<&Tensor>,
    options: &ConvTranspose2dOptions,
) -> Result<Tensor> {
    let (_, inputs, h, w) = xs.dims4()?;
    let (expected, _, kh, kw) = weight.dims4()?;
    if inputs != expected {
        bail!("conv_transpose2d: xs {:?} does not fit weight {:?}", xs.shape(), weight.shape())
    }
    let mut padded = xs.clone();
    for (axis, (length, kernel)) in [(h, kh), (w, kw)].into_iter().enumerate() {
        let (stride, padding, extra) = (options.stride[axis], options.padding[axis], options.output_padding[axis]);
        transposed_length(length, kernel, stride, padding, extra, 1)?;
        let edge = (kernel - 1) as isize - padding as isize;
        padded = stuffed(&padded, axis + 2, stride, edge, edge + extra as isize)?;
    }
    let weight = reversed(&reversed(&weight.transpose(0, 1)?, 2)?, 3)?;
    conv2d(&padded, &weight, bias, &Conv2dOptions::default())
}
