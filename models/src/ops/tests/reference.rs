//! The operations by their definitions, in f64.

/// A dense row-major array.
#[derive(Debug, Clone)]
pub(super) struct Array {
    pub(super) dims: Vec<usize>,
    pub(super) data: Vec<f64>,
}

impl Array {
    fn zeros(dims: &[usize]) -> Self {
        Self { dims: dims.to_vec(), data: vec![0.0; dims.iter().product()] }
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { dims: self.dims.clone(), data: self.data.iter().map(|x| f(*x)).collect() }
    }

    fn at(&self, index: &[usize]) -> f64 {
        self.data[self.offset(index)]
    }

    fn offset(&self, index: &[usize]) -> usize {
        index.iter().zip(&self.dims).fold(0, |offset, (i, n)| offset * n + i)
    }

    /// Axes 1 and 2 of three exchanged.
    pub(super) fn swapped(&self) -> Self {
        let mut dst = Self::zeros(&[self.dims[0], self.dims[2], self.dims[1]]);
        for b in 0..self.dims[0] {
            for i in 0..self.dims[1] {
                for j in 0..self.dims[2] {
                    let to = dst.offset(&[b, j, i]);
                    dst.data[to] = self.at(&[b, i, j]);
                }
            }
        }
        dst
    }

    /// (A, B, C) as (A, B, 1, C).
    fn as_image(&self) -> Self {
        Self { dims: vec![self.dims[0], self.dims[1], 1, self.dims[2]], data: self.data.clone() }
    }
}

pub(super) fn activation(name: &str, xs: &Array) -> Array {
    let logistic = |x: f64| 1.0 / (1.0 + (-x).exp());
    match name {
        "relu" => xs.map(|x| x.max(0.0)),
        "leaky_relu" => xs.map(|x| if x > 0.0 { x } else { 0.1 * x }),
        "tanh" => xs.map(f64::tanh),
        "sigmoid" => xs.map(logistic),
        "silu" => xs.map(|x| x * logistic(x)),
        "gelu" => {
            xs.map(|x| 0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh()))
        }
        other => panic!("no definition of {other}"),
    }
}

pub(super) fn linear(xs: &Array, weight: &Array, bias: Option<&Array>) -> Array {
    let (outputs, inputs) = (weight.dims[0], weight.dims[1]);
    let mut dims = xs.dims.clone();
    *dims.last_mut().expect("xs has axes") = outputs;
    let mut dst = Array::zeros(&dims);
    for (i, y) in dst.data.iter_mut().enumerate() {
        let (row, o) = (i / outputs, i % outputs);
        let products = (0..inputs).map(|j| xs.data[row * inputs + j] * weight.data[o * inputs + j]);
        *y = products.sum::<f64>() + bias.map_or(0.0, |bias| bias.data[o]);
    }
    dst
}

pub(super) fn layer_norm(xs: &Array, weight: &Array, bias: &Array, eps: f64) -> Array {
    let channels = weight.data.len();
    let mut dst = xs.clone();
    for row in dst.data.chunks_mut(channels) {
        let mean = row.iter().sum::<f64>() / channels as f64;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / channels as f64;
        for ((x, w), b) in row.iter_mut().zip(&weight.data).zip(&bias.data) {
            *x = (*x - mean) / (variance + eps).sqrt() * w + b;
        }
    }
    dst
}

/// Result, mean and biased variance.
pub(super) fn batch_norm(xs: &Array, weight: &Array, bias: &Array, eps: f64) -> (Array, Vec<f64>, Vec<f64>) {
    let channels = xs.dims[1];
    let inner = xs.dims[2..].iter().product::<usize>();
    let channel = |i: usize| i / inner % channels;
    let count = (xs.data.len() / channels) as f64;
    let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
    xs.data.iter().enumerate().for_each(|(i, x)| mean[channel(i)] += x / count);
    xs.data.iter().enumerate().for_each(|(i, x)| variance[channel(i)] += (x - mean[channel(i)]).powi(2) / count);
    let mut dst = xs.clone();
    for (i, x) in dst.data.iter_mut().enumerate() {
        let c = channel(i);
        *x = (*x - mean[c]) / (variance[c] + eps).sqrt() * weight.data[c] + bias.data[c];
    }
    (dst, mean, variance)
}

pub(super) fn batch_norm_eval(inputs: &[Array], eps: f64) -> Array {
    let [xs, mean, variance, weight, bias] = inputs else { panic!("five inputs") };
    let inner = xs.dims[2..].iter().product::<usize>();
    let mut dst = xs.clone();
    for (i, x) in dst.data.iter_mut().enumerate() {
        let c = i / inner % xs.dims[1];
        *x = (*x - mean.data[c]) / (variance.data[c] + eps).sqrt() * weight.data[c] + bias.data[c];
    }
    dst
}

pub(super) fn softmax_last(xs: &Array) -> Array {
    let mut dst = xs.map(f64::exp);
    for row in dst.data.chunks_mut(*xs.dims.last().expect("xs has axes")) {
        let sum = row.iter().sum::<f64>();
        row.iter_mut().for_each(|x| *x /= sum);
    }
    dst
}

pub(super) fn pixel_shuffle(xs: &Array, r: usize) -> Array {
    let (c, h, w) = (xs.dims[1] / (r * r), xs.dims[2], xs.dims[3]);
    let mut dst = Array::zeros(&[xs.dims[0], c, h * r, w * r]);
    for to in 0..dst.data.len() {
        let (x, y) = (to % (w * r), to / (w * r) % (h * r));
        let (c, b) = (to / (w * r * h * r) % c, to / (w * r * h * r * c));
        dst.data[to] = xs.at(&[b, c * r * r + y % r * r + x % r, y / r, x / r]);
    }
    dst
}

/// Sizes of a convolution; each pair is (vertical, horizontal).
#[derive(Debug, Clone)]
pub(super) struct Sizes {
    pub(super) stride: [usize; 2],
    pub(super) padding: [usize; 2],
    pub(super) output_padding: [usize; 2],
    pub(super) dilation: [usize; 2],
    pub(super) groups: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { stride: [1, 1], padding: [0, 0], output_padding: [0, 0], dilation: [1, 1], groups: 1 }
    }
}

/// Calls `visit(b, out channel, [out y, out x], in channel within the group, [tap y, tap x], [in y, in x])` for every
/// product of a convolution; input positions outside the image are skipped.
fn walk(
    batch: usize,
    [outputs, per_out, per_in]: [usize; 3],
    sizes: &Sizes,
    [out, kernel, input]: [[usize; 2]; 3],
    mut visit: impl FnMut(usize, usize, [usize; 2], usize, [usize; 2], [usize; 2]),
) {
    let position = |axis: usize, o: usize, k: usize| {
        (o * sizes.stride[axis] + k * sizes.dilation[axis])
            .checked_sub(sizes.padding[axis])
            .filter(|p| *p < input[axis])
    };
    for b in 0..batch {
        for o in 0..outputs {
            for (y, x) in (0..out[0]).flat_map(|y| (0..out[1]).map(move |x| (y, x))) {
                for c in 0..per_in {
                    for (i, j) in (0..kernel[0]).flat_map(|i| (0..kernel[1]).map(move |j| (i, j))) {
                        if let (Some(p), Some(q)) = (position(0, y, i), position(1, x, j)) {
                            visit(b, o, [y, x], o / per_out * per_in + c, [i, j], [p, q]);
                        }
                    }
                }
            }
        }
    }
}

pub(super) fn conv2d(xs: &Array, weight: &Array, bias: Option<&Array>, sizes: &Sizes) -> Array {
    let (batch, outputs, per_in) = (xs.dims[0], weight.dims[0], weight.dims[1]);
    let (input, kernel) = ([xs.dims[2], xs.dims[3]], [weight.dims[2], weight.dims[3]]);
    let length = |axis: usize| {
        (input[axis] + 2 * sizes.padding[axis] - sizes.dilation[axis] * (kernel[axis] - 1) - 1) / sizes.stride[axis] + 1
    };
    let out = [length(0), length(1)];
    let mut dst = Array::zeros(&[batch, outputs, out[0], out[1]]);
    let channels = [outputs, outputs / sizes.groups, per_in];
    walk(batch, channels, sizes, [out, kernel, input], |b, o, [y, x], c, [i, j], [p, q]| {
        let to = dst.offset(&[b, o, y, x]);
        dst.data[to] += xs.at(&[b, c, p, q]) * weight.at(&[o, c % per_in, i, j]);
    });
    add_bias(&mut dst, bias);
    dst
}

pub(super) fn conv_transpose2d(xs: &Array, weight: &Array, bias: Option<&Array>, sizes: &Sizes) -> Array {
    // The gradient of a convolution from the result's channels and size to the input's.
    let (batch, inputs, per_out) = (xs.dims[0], weight.dims[0], weight.dims[1]);
    let (input, kernel) = ([xs.dims[2], xs.dims[3]], [weight.dims[2], weight.dims[3]]);
    let length = |axis: usize| {
        (input[axis] - 1) * sizes.stride[axis]
            + sizes.dilation[axis] * (kernel[axis] - 1)
            + 1
            + sizes.output_padding[axis]
            - 2 * sizes.padding[axis]
    };
    let out = [length(0), length(1)];
    let mut dst = Array::zeros(&[batch, per_out * sizes.groups, out[0], out[1]]);
    let channels = [inputs, inputs / sizes.groups, per_out];
    walk(batch, channels, sizes, [input, kernel, out], |b, i_channel, [y, x], c, [i, j], [p, q]| {
        let to = dst.offset(&[b, c, p, q]);
        dst.data[to] += xs.at(&[b, i_channel, y, x]) * weight.at(&[i_channel, c % per_out, i, j]);
    });
    add_bias(&mut dst, bias);
    dst
}

fn add_bias(dst: &mut Array, bias: Option<&Array>) {
    let (channels, inner) = (dst.dims[1], dst.dims[2] * dst.dims[3]);
    if let Some(bias) = bias {
        dst.data.iter_mut().enumerate().for_each(|(i, y)| *y += bias.data[i / inner % channels]);
    }
}

/// (B, C, T) convolution as one of images of height 1; the vertical sizes stay at their defaults.
pub(super) fn conv1d(xs: &Array, weight: &Array, bias: Option<&Array>, sizes: &Sizes) -> Array {
    let ys = conv2d(&xs.as_image(), &weight.as_image(), bias, sizes);
    Array { dims: vec![ys.dims[0], ys.dims[1], ys.dims[3]], data: ys.data }
}

/// (B, C, T) transposed convolution as one of images of height 1.
pub(super) fn conv_transpose1d(xs: &Array, weight: &Array, bias: Option<&Array>, sizes: &Sizes) -> Array {
    let ys = conv_transpose2d(&xs.as_image(), &weight.as_image(), bias, sizes);
    Array { dims: vec![ys.dims[0], ys.dims[1], ys.dims[3]], data: ys.data }
}
