//! Convolutions along time.

use candle_core::Tensor;
use proptest::prelude::*;

use super::super::{self as ops, Conv1dOptions, ConvTranspose1dOptions, SequenceLayout, portable};
use super::harness::{Numbers, check, same_with_any_threads, to_tensor, to_vec};
use super::reference::{self, Array, Sizes};

/// Sizes of one convolution.
#[derive(Debug, Clone)]
struct Case {
    batch: usize,
    length: usize,
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    output_padding: usize,
    dilation: usize,
    groups: usize,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            batch: 2,
            length: 9,
            inputs: 4,
            outputs: 6,
            kernel: 3,
            stride: 1,
            padding: 1,
            output_padding: 0,
            dilation: 1,
            groups: 1,
        }
    }
}

impl Case {
    fn sizes(&self) -> Sizes {
        Sizes {
            stride: [1, self.stride],
            padding: [0, self.padding],
            output_padding: [0, self.output_padding],
            dilation: [1, self.dilation],
            groups: self.groups,
        }
    }

    fn dims(&self, layout: SequenceLayout) -> [usize; 3] {
        match layout {
            SequenceLayout::TimeFirst => [self.batch, self.length, self.inputs],
            SequenceLayout::ChannelsFirst => [self.batch, self.inputs, self.length],
        }
    }

    fn check(&self) {
        let Self { stride, padding, dilation, groups, .. } = *self;
        for layout in [SequenceLayout::TimeFirst, SequenceLayout::ChannelsFirst] {
            let options = Conv1dOptions { stride, padding, dilation, groups, layout };
            let turn = |a: &Array| if layout == SequenceLayout::TimeFirst { a.swapped() } else { a.clone() };
            let dims = self.dims(layout);
            let weight = [self.outputs, self.inputs / groups, self.kernel];
            let shapes: [&[usize]; 3] = [&dims, &weight, &[self.outputs]];
            let what = format!("conv1d {self:?} {layout:?}");
            for op in [ops::conv1d, portable::conv1d] {
                let with = |a: &[Array]| turn(&reference::conv1d(&turn(&a[0]), &a[1], Some(&a[2]), &self.sizes()));
                check(&what, &shapes, with, |t| op(&t[0], &t[1], Some(&t[2]), &options));
                let without = |a: &[Array]| turn(&reference::conv1d(&turn(&a[0]), &a[1], None, &self.sizes()));
                check(&what, &shapes[..2], without, |t| op(&t[0], &t[1], None, &options));
            }
        }
    }

    fn check_transposed(&self) {
        let Self { stride, padding, output_padding, dilation, groups, .. } = *self;
        for layout in [SequenceLayout::TimeFirst, SequenceLayout::ChannelsFirst] {
            let options = ConvTranspose1dOptions { stride, padding, output_padding, dilation, groups, layout };
            let turn = |a: &Array| if layout == SequenceLayout::TimeFirst { a.swapped() } else { a.clone() };
            let dims = self.dims(layout);
            let weight = [self.inputs, self.outputs / groups, self.kernel];
            let shapes: [&[usize]; 3] = [&dims, &weight, &[self.outputs]];
            let what = format!("conv_transpose1d {self:?} {layout:?}");
            for op in [ops::conv_transpose1d, portable::conv_transpose1d] {
                let with =
                    |a: &[Array]| turn(&reference::conv_transpose1d(&turn(&a[0]), &a[1], Some(&a[2]), &self.sizes()));
                check(&what, &shapes, with, |t| op(&t[0], &t[1], Some(&t[2]), &options));
                let without =
                    |a: &[Array]| turn(&reference::conv_transpose1d(&turn(&a[0]), &a[1], None, &self.sizes()));
                check(&what, &shapes[..2], without, |t| op(&t[0], &t[1], None, &options));
            }
        }
    }
}

#[test]
fn conv1d_matches_its_definition() {
    let base = Case::default();
    for case in [
        base.clone(),
        Case { kernel: 1, padding: 0, ..base.clone() },
        Case { kernel: 4, padding: 3, batch: 3, ..base.clone() },
        Case { stride: 2, length: 10, ..base.clone() },
        Case { stride: 3, kernel: 2, padding: 0, length: 11, ..base.clone() },
        Case { dilation: 3, padding: 3, ..base.clone() },
        Case { dilation: 2, stride: 2, padding: 5, ..base.clone() },
        Case { groups: 2, ..base.clone() },
        Case { groups: 2, stride: 2, dilation: 2, padding: 2, ..base.clone() },
        // More padding than the kernel reaches: the gradient crops.
        Case { kernel: 2, padding: 4, ..base.clone() },
    ] {
        case.check();
    }
}

/// Up to the rounding of a matrix unit, and each step the same however long its sequence is.
#[test]
fn a_fixed_convolution_gives_the_same() {
    for (length, inputs, outputs, kernel) in [(9, 4, 6, 3), (40, 192, 384, 9), (1, 16, 8, 5), (0, 4, 6, 3)] {
        let [xs, weight, bias] = [&[2, length, inputs][..], &[outputs, inputs, kernel], &[outputs]]
            .map(|dims| to_tensor(&Numbers(5).array(dims)));
        let fixed = ops::FixedConv1d::new(&weight, &bias).expect("shapes fit").expect("a CPU has kernels");
        let padding = kernel / 2;
        let expected = match length {
            // The definition wants a step.
            0 => None,
            _ => Some(ops::conv1d(&xs, &weight, Some(&bias), &Conv1dOptions { padding, ..Default::default() })),
        };
        let found = fixed.forward(&xs, padding).expect("shapes fit");
        assert_eq!(found.dims(), [2, length, outputs]);
        if let Some(expected) = expected {
            // The numbers are below 1, so that no sum of sizes is above their count.
            let most = 3.0 / 65_536.0 * (inputs * kernel) as f32;
            let both = to_vec(&found).into_iter().zip(to_vec(&expected.expect("shapes fit")));
            let apart = both.fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(apart <= most, "{length} {inputs} {outputs} {kernel}: {apart}");
        }
        if length > kernel {
            let inside = fixed.forward(&xs, 0).expect("shapes fit");
            let same = found.narrow(1, padding, length - 2 * padding).expect("there are steps");
            assert_eq!(to_vec(&inside), to_vec(&same), "{length} {inputs} {outputs} {kernel}");
            assert!(fixed.forward(&xs.narrow(1, 0, kernel - 2).expect("there are steps"), 0).is_err());
        }
        assert!(fixed.forward(&weight, padding).is_err());
        assert!(ops::FixedConv1d::new(&weight, &xs).is_err());
    }
}

#[test]
fn depthwise_conv1d_matches_its_definition() {
    let base = Case { inputs: 37, outputs: 37, groups: 37, length: 5, kernel: 3, ..Case::default() };
    for case in [
        base.clone(),
        Case { kernel: 7, padding: 3, inputs: 3, outputs: 3, groups: 3, length: 9, ..base.clone() },
        Case { stride: 2, inputs: 33, outputs: 33, groups: 33, ..base.clone() },
        Case { dilation: 3, padding: 2, length: 8, inputs: 32, outputs: 32, groups: 32, ..base.clone() },
        Case { stride: 3, dilation: 2, padding: 5, inputs: 5, outputs: 5, groups: 5, ..base.clone() },
        // A channel multiplier of 2.
        Case { inputs: 3, outputs: 6, groups: 3, ..base.clone() },
    ] {
        case.check();
    }
}

#[test]
fn conv_transpose1d_matches_its_definition() {
    let base = Case { length: 5, ..Case::default() };
    for case in [
        base.clone(),
        Case { stride: 2, kernel: 4, ..base.clone() },
        Case { stride: 3, kernel: 5, padding: 2, output_padding: 2, ..base.clone() },
        Case { stride: 2, kernel: 3, dilation: 2, padding: 0, ..base.clone() },
        Case { stride: 2, kernel: 4, groups: 2, ..base.clone() },
        // A stride above the kernel leaves gaps.
        Case { stride: 4, kernel: 2, padding: 0, output_padding: 1, ..base.clone() },
        Case { kernel: 2, padding: 2, ..base.clone() },
    ] {
        case.check_transposed();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn conv1d_of_any_sizes(
        (batch, length, groups) in (1..4usize, 1..12usize, 1..4usize),
        (per_in, per_out) in (1..4usize, 1..4usize),
        (kernel, stride, padding, dilation) in (1..5usize, 1..4usize, 0..5usize, 1..4usize),
    ) {
        prop_assume!(length + 2 * padding > dilation * (kernel - 1));
        let (inputs, outputs) = (per_in * groups, per_out * groups);
        let case = Case { batch, length, inputs, outputs, kernel, stride, padding, dilation, groups, output_padding: 0 };
        case.check();
    }

    #[test]
    fn conv_transpose1d_of_any_sizes(
        (batch, length, groups) in (1..3usize, 1..7usize, 1..3usize),
        (per_in, per_out) in (1..4usize, 1..4usize),
        (kernel, stride, padding, dilation, extra) in (1..6usize, 1..4usize, 0..3usize, 1..3usize, 0..2usize),
    ) {
        prop_assume!((length - 1) * stride + dilation * (kernel - 1) + 1 + extra > 2 * padding);
        let (inputs, outputs) = (per_in * groups, per_out * groups);
        let output_padding = extra;
        let case = Case { batch, length, inputs, outputs, kernel, stride, padding, dilation, groups, output_padding };
        case.check_transposed();
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let t = |dims: &[usize]| to_tensor(&Numbers(1).array(dims));
    let run = |xs: &[usize], weight: &[usize], options: &Conv1dOptions| ops::conv1d(&t(xs), &t(weight), None, options);
    let default = Conv1dOptions::default();
    assert!(run(&[1, 5, 3], &[2, 4, 3], &default).is_err());
    assert!(run(&[1, 2, 3], &[2, 3, 3], &default).is_err());
    assert!(run(&[1, 5, 3], &[2, 3, 3], &Conv1dOptions { stride: 0, ..default.clone() }).is_err());
    assert!(run(&[1, 5, 3], &[2, 3, 3], &Conv1dOptions { groups: 2, ..default.clone() }).is_err());
    assert!(run(&[1, 5, 3], &[2, 3, 3], &Conv1dOptions { groups: 0, ..default }).is_err());
    assert!(ops::conv1d(&t(&[1, 5, 3]), &t(&[2, 3, 3]), Some(&t(&[3])), &Conv1dOptions::default()).is_err());
    let deep = ConvTranspose1dOptions { padding: 9, ..Default::default() };
    assert!(ops::conv_transpose1d(&t(&[1, 5, 3]), &t(&[3, 2, 3]), None, &deep).is_err());
}

#[test]
fn threads_do_not_change_a_bit() {
    let gradients = |dims: [&[usize]; 3], op: &dyn Fn(&Tensor, &Tensor, &Tensor) -> ops::Result<Tensor>| {
        let mut numbers = Numbers(4);
        let mut var = |dims: &[usize]| candle_core::Var::from_tensor(&to_tensor(&numbers.array(dims)));
        let (xs, w, b) = (var(dims[0])?, var(dims[1])?, var(dims[2])?);
        let ys = op(&xs, &w, &b)?;
        let grads = ys.sqr()?.sum_all()?.backward()?;
        let mut all = vec![ys];
        all.extend([&xs, &w, &b].map(|v| grads.get(v.as_tensor()).expect("a gradient").clone()));
        Ok(all)
    };
    for layout in [SequenceLayout::TimeFirst, SequenceLayout::ChannelsFirst] {
        let (small, deep) = ([3, 500, 40], [3, 40, 500]);
        let dims = if layout == SequenceLayout::TimeFirst { small } else { deep };
        for (stride, dilation) in [(1, 1), (1, 3), (2, 1)] {
            let options = Conv1dOptions { stride, dilation, padding: 4, layout, ..Default::default() };
            same_with_any_threads("conv1d", || {
                gradients([&dims, &[70, 40, 5], &[70]], &|x, w, b| ops::conv1d(x, w, Some(b), &options))
            });
        }
        let options = Conv1dOptions { padding: 3, groups: 40, layout, ..Default::default() };
        same_with_any_threads("depthwise", || {
            gradients([&dims, &[40, 1, 7], &[40]], &|x, w, b| ops::conv1d(x, w, Some(b), &options))
        });
        let options = ConvTranspose1dOptions { stride: 4, padding: 2, layout, ..Default::default() };
        same_with_any_threads("conv_transpose1d", || {
            gradients([&dims, &[40, 30, 8], &[30]], &|x, w, b| ops::conv_transpose1d(x, w, Some(b), &options))
        });
    }
}
