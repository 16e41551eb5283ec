//! Each operation beside candle's own, forward and forward with backward: `cargo bench -p paravox-models`.
//!
//! candle's own is left out where it has none or where its gradient is wrong or missing. The backward pass fills the first
//! gradient with ones, clears memory for each further one and adds to it. PyTorch does the same work in
//! `x.grad = zeros_like(x); y = op(x); y.backward(ones_like(y))`; `torch.autograd.grad` with a given gradient does less.

use std::hint::black_box;

use candle_core::{Device, Result, Tensor, Var};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, criterion_group, criterion_main};
use paravox_models::ops::{
    self, Conv1dOptions, Conv2dOptions, ConvTranspose1dOptions, ConvTranspose2dOptions, SequenceLayout,
};

/// What an operation is timed for.
#[derive(Clone, Copy)]
enum Pass {
    Forward,
    ForwardBackward,
}

fn random(dims: &[usize]) -> Tensor {
    Tensor::randn(0f32, 1.0, dims, &Device::Cpu).expect("memory for the input")
}

/// Times `op` on random inputs of the given shapes.
fn time(
    group: &mut BenchmarkGroup<WallTime>,
    name: &str,
    shapes: &[&[usize]],
    pass: Pass,
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let tensors = shapes.iter().map(|dims| random(dims)).collect::<Vec<_>>();
    match pass {
        Pass::Forward => {
            group
                .bench_function(format!("{name}/forward"), |b| b.iter(|| black_box(op(&tensors).expect("shapes fit"))));
        }
        Pass::ForwardBackward => {
            let vars = tensors.iter().map(|t| Var::from_tensor(t).expect("memory for the variable"));
            let vars = vars.map(|v| v.as_tensor().clone()).collect::<Vec<_>>();
            group.bench_function(format!("{name}/forward+backward"), |b| {
                b.iter(|| black_box(op(&vars).and_then(|ys| ys.backward()).expect("shapes fit")));
            });
        }
    }
}

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat).sample_size(10);
    group.warm_up_time(std::time::Duration::from_millis(300));
    group.measurement_time(std::time::Duration::from_millis(1500));
    group
}

use Pass::{Forward, ForwardBackward};

fn elementwise(c: &mut Criterion) {
    ops::keep_freed_memory();
    type Op = fn(&[Tensor]) -> Result<Tensor>;
    let shape: &[usize] = &[75, 64, 20, 40];
    let cases: [(&str, Op, Op); 5] = [
        ("leaky_relu", |t| ops::leaky_relu(&t[0], 0.1), |t| candle_nn::ops::leaky_relu(&t[0], 0.1)),
        ("tanh", |t| ops::tanh(&t[0]), |t| t[0].tanh()),
        ("gelu", |t| ops::gelu(&t[0]), |t| t[0].gelu()),
        ("sigmoid", |t| ops::sigmoid(&t[0]), |t| candle_nn::ops::sigmoid(&t[0])),
        ("silu", |t| ops::silu(&t[0]), |t| t[0].silu()),
    ];
    for (name, own, candle) in cases {
        let mut group = group(c, name);
        for pass in [Forward, ForwardBackward] {
            time(&mut group, "paravox", &[shape], pass, own);
            time(&mut group, "candle", &[shape], pass, candle);
        }
    }
}

fn maps_and_norms(c: &mut Criterion) {
    let mut g = group(c, "linear 2000x256 to 1024");
    let shapes: &[&[usize]] = &[&[2000, 256], &[1024, 256], &[1024]];
    for pass in [Forward, ForwardBackward] {
        time(&mut g, "paravox", shapes, pass, |t| ops::linear(&t[0], &t[1], Some(&t[2])));
        time(&mut g, "candle", shapes, pass, |t| t[0].matmul(&t[1].t()?)?.broadcast_add(&t[2]));
    }
    g.finish();
    let mut g = group(c, "layer_norm 2000x256");
    let shapes: &[&[usize]] = &[&[2000, 256], &[256], &[256]];
    time(&mut g, "paravox", shapes, Forward, |t| ops::layer_norm(&t[0], &t[1], &t[2], 1e-5));
    time(&mut g, "paravox", shapes, ForwardBackward, |t| ops::layer_norm(&t[0], &t[1], &t[2], 1e-5));
    time(&mut g, "candle", shapes, Forward, |t| candle_nn::ops::layer_norm(&t[0], &t[1], &t[2], 1e-5));
    g.finish();
    let mut g = group(c, "softmax 8x75x75");
    time(&mut g, "paravox", &[&[8, 75, 75]], Forward, |t| ops::softmax_last(&t[0]));
    time(&mut g, "candle", &[&[8, 75, 75]], Forward, |t| candle_nn::ops::softmax_last_dim(&t[0]));
    g.finish();
    let mut g = group(c, "batch_norm 75x64x20x40");
    let shapes: &[&[usize]] = &[&[75, 64, 20, 40], &[64], &[64]];
    for pass in [Forward, ForwardBackward] {
        time(&mut g, "paravox", shapes, pass, |t| Ok(ops::batch_norm_train(&t[0], &t[1], &t[2], 1e-5)?.0));
        time(&mut g, "candle ops", shapes, pass, |t| Ok(ops::portable::batch_norm_train(&t[0], &t[1], &t[2], 1e-5)?.0));
    }
    g.finish();
    let mut g = group(c, "pixel_shuffle 75x256x20x40");
    for pass in [Forward, ForwardBackward] {
        time(&mut g, "paravox", &[&[75, 256, 20, 40]], pass, |t| ops::pixel_shuffle(&t[0], 2));
        time(&mut g, "candle", &[&[75, 256, 20, 40]], pass, |t| candle_nn::ops::pixel_shuffle(&t[0], 2));
    }
}

fn sequences(c: &mut Criterion) {
    let mut g = group(c, "depthwise conv1d k7 256, 2000 steps");
    let options = Conv1dOptions { padding: 3, groups: 256, ..Default::default() };
    let weight: &[usize] = &[256, 1, 7];
    for pass in [Forward, ForwardBackward] {
        let own = |t: &[Tensor]| ops::conv1d(&t[0], &t[1], None, &options);
        time(&mut g, "paravox", &[&[1, 2000, 256], weight], pass, own);
        time(&mut g, "candle", &[&[1, 256, 2000], weight], pass, |t| t[0].conv1d(&t[1], 3, 1, 1, 256));
    }
    g.finish();
    for (batch, steps, channels, kernel, dilation) in
        [(1, 2000, 256, 7, 3), (8, 500, 256, 7, 3), (1, 40000, 32, 7, 1), (8, 300, 192, 9, 1)]
    {
        let mut g = group(c, &format!("conv1d k{kernel} d{dilation} {channels}, {batch}x{steps} steps"));
        let padding = dilation * (kernel - 1) / 2;
        let weight: &[usize] = &[channels, channels, kernel];
        for layout in [SequenceLayout::TimeFirst, SequenceLayout::ChannelsFirst] {
            let options = Conv1dOptions { padding, dilation, layout, ..Default::default() };
            let (name, xs) = match layout {
                SequenceLayout::TimeFirst => ("paravox time first", [batch, steps, channels]),
                SequenceLayout::ChannelsFirst => ("paravox channels first", [batch, channels, steps]),
            };
            for pass in [Forward, ForwardBackward] {
                time(&mut g, name, &[&xs, weight], pass, |t| ops::conv1d(&t[0], &t[1], None, &options));
            }
        }
        let xs: &[usize] = &[batch, channels, steps];
        time(&mut g, "candle", &[xs, weight], Forward, |t| t[0].conv1d(&t[1], padding, 1, dilation, 1));
    }
    let mut g = group(c, "conv_transpose1d k16 s8 256 to 128, 500 steps");
    let options =
        ConvTranspose1dOptions { stride: 8, padding: 4, layout: SequenceLayout::ChannelsFirst, ..Default::default() };
    let shapes: &[&[usize]] = &[&[1, 256, 500], &[256, 128, 16]];
    for pass in [Forward, ForwardBackward] {
        time(&mut g, "paravox", shapes, pass, |t| ops::conv_transpose1d(&t[0], &t[1], None, &options));
    }
    time(&mut g, "candle", shapes, Forward, |t| t[0].conv_transpose1d(&t[1], 4, 0, 8, 1, 1));
}

fn images(c: &mut Criterion) {
    for (xs, outputs, kernel, stride) in [
        ([8, 128, 20, 40], 64, 5, 1),
        ([75, 128, 20, 40], 64, 5, 1),
        ([32, 224, 5, 10], 256, 3, 1),
        ([32, 128, 10, 20], 160, 3, 1),
        ([32, 24, 40, 80], 12, 3, 1),
        ([16, 16, 40, 80], 32, 3, 2),
    ] {
        let mut g = group(c, &format!("conv2d {kernel}x{kernel} s{stride} {xs:?} to {outputs}"));
        let padding = kernel / 2;
        let options = Conv2dOptions { stride: [stride; 2], padding: [padding; 2], ..Default::default() };
        let shapes: &[&[usize]] = &[&xs, &[outputs, xs[1], kernel, kernel]];
        for pass in [Forward, ForwardBackward] {
            time(&mut g, "paravox", shapes, pass, |t| ops::conv2d(&t[0], &t[1], None, &options));
            time(&mut g, "candle", shapes, pass, |t| t[0].conv2d(&t[1], padding, stride, 1, 1));
        }
    }
    for batch in [8, 75] {
        let mut g = group(c, &format!("conv_transpose2d 4x4 s2 256 to 128, {batch}x10x20"));
        let options = ConvTranspose2dOptions { stride: [2, 2], padding: [1, 1], ..Default::default() };
        let shapes: &[&[usize]] = &[&[batch, 256, 10, 20], &[256, 128, 4, 4]];
        for pass in [Forward, ForwardBackward] {
            time(&mut g, "paravox", shapes, pass, |t| ops::conv_transpose2d(&t[0], &t[1], None, &options));
            time(&mut g, "candle", shapes, pass, |t| t[0].conv_transpose2d(&t[1], 1, 0, 2, 1));
        }
    }
}

criterion_group!(benches, elementwise, maps_and_norms, sequences, images);
criterion_main!(benches);
