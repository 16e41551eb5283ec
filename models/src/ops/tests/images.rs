//! Convolutions of images and pixel shuffle.

use candle_core::Tensor;
use proptest::prelude::*;

use super::super::{self as ops, Conv2dOptions, ConvTranspose2dOptions, portable};
use super::harness::{Numbers, check, same_with_any_threads, to_tensor};
use super::reference::{self, Array, Sizes};

fn check_conv2d(xs: [usize; 4], weight: [usize; 4], sizes: &Sizes) {
    let Sizes { stride, padding, dilation, groups, .. } = *sizes;
    let options = Conv2dOptions { stride, padding, dilation, groups };
    let shapes: [&[usize]; 3] = [&xs, &weight, &[weight[0]]];
    let what = format!("conv2d {xs:?} {weight:?} {sizes:?}");
    for op in [ops::conv2d, portable::conv2d] {
        let with = |a: &[Array]| reference::conv2d(&a[0], &a[1], Some(&a[2]), sizes);
        check(&what, &shapes, with, |t| op(&t[0], &t[1], Some(&t[2]), &options));
        let without = |a: &[Array]| reference::conv2d(&a[0], &a[1], None, sizes);
        check(&what, &shapes[..2], without, |t| op(&t[0], &t[1], None, &options));
    }
}

fn check_conv_transpose2d(xs: [usize; 4], weight: [usize; 4], sizes: &Sizes) {
    let Sizes { stride, padding, output_padding, .. } = *sizes;
    let options = ConvTranspose2dOptions { stride, padding, output_padding };
    let shapes: [&[usize]; 3] = [&xs, &weight, &[weight[1]]];
    let what = format!("conv_transpose2d {xs:?} {weight:?} {sizes:?}");
    for op in [ops::conv_transpose2d, portable::conv_transpose2d] {
        let with = |a: &[Array]| reference::conv_transpose2d(&a[0], &a[1], Some(&a[2]), sizes);
        check(&what, &shapes, with, |t| op(&t[0], &t[1], Some(&t[2]), &options));
        let without = |a: &[Array]| reference::conv_transpose2d(&a[0], &a[1], None, sizes);
        check(&what, &shapes[..2], without, |t| op(&t[0], &t[1], None, &options));
    }
}

#[test]
fn conv2d_matches_its_definition() {
    let base = Sizes::default();
    check_conv2d([2, 3, 5, 6], [4, 3, 3, 3], &Sizes { padding: [1, 1], ..base.clone() });
    check_conv2d([2, 3, 5, 7], [4, 3, 1, 1], &base);
    check_conv2d([2, 2, 6, 7], [3, 2, 5, 5], &Sizes { padding: [2, 2], ..base.clone() });
    check_conv2d([2, 3, 7, 6], [4, 3, 3, 3], &Sizes { stride: [2, 2], padding: [1, 1], ..base.clone() });
    check_conv2d([1, 2, 7, 8], [3, 2, 3, 5], &Sizes { stride: [1, 2], padding: [0, 2], ..base.clone() });
    check_conv2d([2, 2, 7, 8], [3, 2, 3, 2], &Sizes { dilation: [2, 3], padding: [2, 1], ..base.clone() });
    check_conv2d([2, 4, 4, 5], [6, 2, 3, 3], &Sizes { groups: 2, padding: [1, 1], ..base.clone() });
    check_conv2d([2, 5, 4, 5], [5, 1, 3, 3], &Sizes { groups: 5, stride: [2, 1], padding: [1, 1], ..base.clone() });
    check_conv2d([1, 2, 3, 3], [2, 2, 2, 2], &Sizes { padding: [3, 2], ..base });
}

#[test]
fn conv_transpose2d_matches_its_definition() {
    let base = Sizes::default();
    check_conv_transpose2d([2, 3, 3, 4], [3, 4, 4, 4], &Sizes { stride: [2, 2], padding: [1, 1], ..base.clone() });
    check_conv_transpose2d([2, 3, 3, 4], [3, 2, 3, 3], &Sizes { padding: [1, 1], ..base.clone() });
    let sizes = Sizes { stride: [2, 3], padding: [1, 0], output_padding: [1, 2], ..base.clone() };
    check_conv_transpose2d([2, 2, 3, 2], [2, 3, 3, 5], &sizes);
    check_conv_transpose2d([1, 2, 4, 5], [2, 3, 2, 2], &Sizes { padding: [2, 2], ..base });
}

#[test]
fn pixel_shuffle_matches_its_definition() {
    for op in [ops::pixel_shuffle, portable::pixel_shuffle] {
        for (dims, r) in [([2, 8, 3, 5], 2), ([1, 9, 2, 4], 3), ([2, 3, 2, 3], 1), ([1, 12, 3, 9], 2)] {
            check("pixel_shuffle", &[&dims], |a| reference::pixel_shuffle(&a[0], r), |t| op(&t[0], r));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn conv2d_of_any_sizes(
        (batch, h, w, groups) in (1..3usize, 1..7usize, 1..7usize, 1..3usize),
        (per_in, per_out, kh, kw) in (1..3usize, 1..3usize, 1..4usize, 1..4usize),
        (sy, sx, py, px, dy, dx) in (1..3usize, 1..3usize, 0..3usize, 0..3usize, 1..3usize, 1..3usize),
    ) {
        prop_assume!(h + 2 * py > dy * (kh - 1) && w + 2 * px > dx * (kw - 1));
        let sizes = Sizes { stride: [sy, sx], padding: [py, px], dilation: [dy, dx], groups, ..Sizes::default() };
        check_conv2d([batch, per_in * groups, h, w], [per_out * groups, per_in, kh, kw], &sizes);
    }

    #[test]
    fn conv_transpose2d_of_any_sizes(
        (batch, h, w, inputs, outputs) in (1..3usize, 1..5usize, 1..5usize, 1..3usize, 1..3usize),
        (kh, kw, sy, sx, py, px) in (1..4usize, 1..4usize, 1..4usize, 1..4usize, 0..2usize, 0..2usize),
    ) {
        prop_assume!((h - 1) * sy + kh > 2 * py && (w - 1) * sx + kw > 2 * px);
        let sizes = Sizes { stride: [sy, sx], padding: [py, px], ..Sizes::default() };
        check_conv_transpose2d([batch, inputs, h, w], [inputs, outputs, kh, kw], &sizes);
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let t = |dims: &[usize]| to_tensor(&Numbers(1).array(dims));
    let default = Conv2dOptions::default();
    assert!(ops::conv2d(&t(&[1, 2, 5, 5]), &t(&[2, 3, 3, 3]), None, &default).is_err());
    assert!(ops::conv2d(&t(&[1, 2, 2, 5]), &t(&[2, 2, 3, 3]), None, &default).is_err());
    let still = Conv2dOptions { stride: [0, 1], ..default };
    assert!(ops::conv2d(&t(&[1, 2, 5, 5]), &t(&[2, 2, 3, 3]), None, &still).is_err());
    let default = ConvTranspose2dOptions::default();
    assert!(ops::conv_transpose2d(&t(&[1, 2, 5, 5]), &t(&[3, 2, 3, 3]), None, &default).is_err());
    let deep = ConvTranspose2dOptions { padding: [4, 0], ..default };
    assert!(ops::conv_transpose2d(&t(&[1, 2, 5, 5]), &t(&[2, 2, 3, 3]), None, &deep).is_err());
}

#[test]
fn threads_do_not_change_a_bit() {
    type Op<'a> = &'a (dyn Fn(&Tensor, &Tensor, &Tensor) -> ops::Result<Tensor> + Sync);
    let same = |what: &str, dims: [&[usize]; 3], op: Op| {
        same_with_any_threads(what, || {
            let mut numbers = Numbers(4);
            let mut var = |dims: &[usize]| candle_core::Var::from_tensor(&to_tensor(&numbers.array(dims)));
            let (xs, w, b) = (var(dims[0])?, var(dims[1])?, var(dims[2])?);
            let ys = op(&xs, &w, &b)?;
            let grads = ops::pixel_shuffle(&ys, 2)?.sqr()?.sum_all()?.backward()?;
            let mut all = vec![ys];
            all.extend([&xs, &w, &b].map(|v| grads.get(v.as_tensor()).expect("a gradient").clone()));
            Ok(all)
        });
    };
    for stride in [[1, 1], [2, 2]] {
        let options = Conv2dOptions { stride, padding: [1, 1], ..Default::default() };
        let op = |x: &Tensor, w: &Tensor, b: &Tensor| ops::conv2d(x, w, Some(b), &options);
        same("conv2d", [&[5, 20, 31, 40], &[24, 20, 3, 3], &[24]], &op);
    }
    let options = ConvTranspose2dOptions { stride: [2, 2], padding: [1, 1], ..Default::default() };
    let op = |x: &Tensor, w: &Tensor, b: &Tensor| ops::conv_transpose2d(x, w, Some(b), &options);
    same("conv_transpose2d", [&[3, 20, 21, 20], &[20, 24, 4, 4], &[24]], &op);
}
