//! Activations, linear maps and normalisations.

use candle_core::{Result, Tensor};

use super::super::{self as ops, portable};
use super::harness::{Numbers, check, check_arrays, same_with_any_threads, to_tensor, to_vec};
use super::reference;

#[test]
fn activations_match_their_definitions() {
    type Op = fn(&Tensor) -> Result<Tensor>;
    let cases: [(&str, Op, Op); 6] = [
        ("relu", ops::relu, |xs| portable::leaky_relu(xs, 0.0)),
        ("leaky_relu", |xs| ops::leaky_relu(xs, 0.1), |xs| portable::leaky_relu(xs, 0.1)),
        ("tanh", ops::tanh, Tensor::tanh),
        ("sigmoid", ops::sigmoid, portable::sigmoid),
        ("silu", ops::silu, Tensor::silu),
        ("gelu", ops::gelu, Tensor::gelu),
    ];
    for (name, cpu, portable) in cases {
        for op in [cpu, portable] {
            let mut xs = Numbers(3).array(&[3, 5, 7]);
            xs.data.iter_mut().for_each(|x| *x *= 4.0);
            check_arrays(name, &[xs], |a| reference::activation(name, &a[0]), |t| op(&t[0]));
        }
    }
}

#[test]
fn linear_matches_its_definition() {
    for op in [ops::linear, portable::linear] {
        check("linear", &[&[2, 3, 5], &[7, 5]], |a| reference::linear(&a[0], &a[1], None), |t| op(&t[0], &t[1], None));
        let definition = |a: &[reference::Array]| reference::linear(&a[0], &a[1], Some(&a[2]));
        check("linear", &[&[2, 3, 5], &[7, 5], &[7]], definition, |t| op(&t[0], &t[1], Some(&t[2])));
        check("linear", &[&[5], &[7, 5], &[7]], definition, |t| op(&t[0], &t[1], Some(&t[2])));
    }
}

/// Up to the rounding of a matrix unit, and each row the same whichever rows pass with it.
#[test]
fn a_fixed_linear_map_gives_the_same() {
    // Small, deeper than a slice, wider than a panel, and nothing at all.
    for (rows, inputs, outputs) in [(3, 5, 7), (170, 768, 256), (41, 1300, 131), (0, 5, 7)] {
        let [xs, weight, bias] =
            [&[2, rows, inputs][..], &[outputs, inputs], &[outputs]].map(|dims| to_tensor(&Numbers(9).array(dims)));
        for bias in [Some(&bias), None] {
            let fixed = ops::FixedLinear::new(&weight, bias).expect("shapes fit").expect("a CPU has kernels");
            let (found, expected) = (fixed.forward(&xs), ops::linear(&xs, &weight, bias));
            let (found, expected) = (found.expect("shapes fit"), expected.expect("shapes fit"));
            assert_eq!(found.dims(), expected.dims());
            // The numbers are below 1, so that no sum of sizes is above their count.
            let most = 3.0 / 65_536.0 * inputs as f32;
            let apart = to_vec(&found).iter().zip(to_vec(&expected)).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(apart <= most, "{rows} {inputs} {outputs}: {apart}");
            if rows > 1 {
                let part = |xs: &Tensor| xs.narrow(1, 1, rows - 1).expect("there are rows");
                let alone = fixed.forward(&part(&xs)).expect("shapes fit");
                assert_eq!(to_vec(&alone), to_vec(&part(&found)), "{rows} {inputs} {outputs}");
            }
        }
        let fixed = ops::FixedLinear::new(&weight, None).expect("shapes fit").expect("a CPU has kernels");
        assert!(fixed.forward(&weight.t().expect("a matrix").contiguous().expect("a copy")).is_err());
        assert!(ops::FixedLinear::new(&weight, Some(&xs)).is_err());
    }
}

#[test]
fn layer_norm_matches_its_definition() {
    for op in [ops::layer_norm, portable::layer_norm] {
        for channels in [1, 5, 16, 37] {
            let definition = |a: &[reference::Array]| reference::layer_norm(&a[0], &a[1], &a[2], 1e-3);
            let shapes: [&[usize]; 3] = [&[2, 3, channels], &[channels], &[channels]];
            check("layer_norm", &shapes, definition, |t| op(&t[0], &t[1], &t[2], 1e-3));
        }
    }
}

#[test]
fn batch_norm_matches_its_definition() {
    for op in [ops::batch_norm_train, portable::batch_norm_train] {
        for dims in [&[3, 4, 5, 6][..], &[4, 3, 7], &[9, 5]] {
            let shapes: [&[usize]; 3] = [dims, &[dims[1]], &[dims[1]]];
            let definition = |a: &[reference::Array]| reference::batch_norm(&a[0], &a[1], &a[2], 1e-3).0;
            check("batch_norm_train", &shapes, definition, |t| Ok(op(&t[0], &t[1], &t[2], 1e-3)?.0));
            let arrays = shapes.map(|dims| Numbers(5).array(dims));
            let [xs, weight, bias] = arrays.each_ref().map(to_tensor);
            let (_, mean, variance) = op(&xs, &weight, &bias, 1e-3).expect("shapes fit");
            let (_, expected_mean, expected_variance) = reference::batch_norm(&arrays[0], &arrays[1], &arrays[2], 1e-3);
            for (actual, expected) in [(mean, expected_mean), (variance, expected_variance)] {
                for (a, e) in to_vec(&actual).iter().zip(&expected) {
                    assert!((f64::from(*a) - e).abs() < 1e-5, "statistic {a} is not {e}");
                }
            }
        }
    }
}

#[test]
fn batch_norm_of_far_from_zero_channels_keeps_its_digits() {
    let mut xs = Numbers(5).array(&[4, 2, 30, 30]);
    xs.data.iter_mut().for_each(|x| *x = f64::from((*x * 0.1 + 100.0) as f32));
    let [one, zero] = [1.0, 0.0].map(|v| reference::Array { dims: vec![2], data: vec![v; 2] });
    let (expected, _, _) = reference::batch_norm(&xs, &one, &zero, 1e-5);
    let (ys, _, _) = ops::batch_norm_train(&to_tensor(&xs), &to_tensor(&one), &to_tensor(&zero), 1e-5).expect("fits");
    for (a, e) in to_vec(&ys).iter().zip(&expected.data) {
        assert!((f64::from(*a) - e).abs() < 1e-3, "{a} is not {e}");
    }
}

#[test]
fn batch_norm_eval_matches_its_definition() {
    for op in [ops::batch_norm_eval, portable::batch_norm_eval] {
        let mut arrays = [&[3, 4, 5, 6][..], &[4], &[4], &[4], &[4]].map(|dims| Numbers(5).array(dims));
        arrays[2].data.iter_mut().for_each(|x| *x = x.abs() + 0.1);
        let run = |t: &[Tensor]| op(&t[0], &t[1], &t[2], &t[3], &t[4], 1e-3);
        check_arrays("batch_norm_eval", &arrays, |a| reference::batch_norm_eval(a, 1e-3), run);
    }
}

#[test]
fn softmax_matches_its_definition() {
    for op in [ops::softmax_last, portable::softmax_last] {
        for channels in [1, 5, 16, 33] {
            check("softmax", &[&[2, 3, channels]], |a| reference::softmax_last(&a[0]), |t| op(&t[0]));
        }
    }
}

#[test]
fn softmax_of_large_and_masked_scores() {
    let xs =
        Tensor::new(&[[1e30f32, 1e30, -1e30], [0.0, f32::NEG_INFINITY, f32::NEG_INFINITY]], &candle_core::Device::Cpu);
    let ys = ops::softmax_last(&xs.expect("a tensor")).expect("fits");
    let expected = [0.5, 0.5, 0.0, 1.0, 0.0, 0.0];
    for (a, e) in to_vec(&ys).iter().zip(expected) {
        assert!((a - e).abs() < 1e-6, "{a} is not {e}");
    }
}

#[test]
fn threads_do_not_change_a_bit() {
    same_with_any_threads("linear, gelu, layer_norm, softmax", || {
        let mut numbers = Numbers(1);
        let mut var = |dims: &[usize]| candle_core::Var::from_tensor(&to_tensor(&numbers.array(dims)));
        let (xs, w, b) = (var(&[3, 401, 96])?, var(&[300, 96])?, var(&[300])?);
        let (scale, shift) = (var(&[300])?, var(&[300])?);
        let ys = ops::gelu(&ops::linear(&xs, &w, Some(&b))?)?;
        let ys = ops::layer_norm(&ys, &scale, &shift, 1e-5)?;
        let loss = (ops::softmax_last(&ys)? * &ys)?.sum_all()?;
        let grads = loss.backward()?;
        let mut all = vec![ys];
        all.extend([&xs, &w, &b, &scale, &shift].map(|v| grads.get(v.as_tensor()).expect("a gradient").clone()));
        Ok(all)
    });
    same_with_any_threads("batch_norm", || {
        let mut numbers = Numbers(2);
        let mut var = |dims: &[usize]| candle_core::Var::from_tensor(&to_tensor(&numbers.array(dims)));
        let (xs, w, b) = (var(&[5, 7, 33, 41])?, var(&[7])?, var(&[7])?);
        let (ys, mean, variance) = ops::batch_norm_train(&xs, &w, &b, 1e-5)?;
        let grads = ops::tanh(&ys)?.sqr()?.sum_all()?.backward()?;
        let mut all = vec![ys, mean, variance];
        all.extend([&xs, &w, &b].map(|v| grads.get(v.as_tensor()).expect("a gradient").clone()));
        Ok(all)
    });
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let t = |dims: &[usize]| to_tensor(&Numbers(1).array(dims));
    assert!(ops::linear(&t(&[2, 5]), &t(&[3, 4]), None).is_err());
    assert!(ops::linear(&t(&[2, 4]), &t(&[3, 4]), Some(&t(&[4]))).is_err());
    assert!(ops::layer_norm(&t(&[2, 4]), &t(&[3]), &t(&[3]), 1e-5).is_err());
    assert!(ops::layer_norm(&t(&[2, 4]), &t(&[4]), &t(&[3]), 1e-5).is_err());
    assert!(ops::batch_norm_train(&t(&[2, 4, 3]), &t(&[3]), &t(&[4]), 1e-5).is_err());
    assert!(ops::pixel_shuffle(&t(&[1, 6, 2, 2]), 2).is_err());
    assert!(ops::pixel_shuffle(&t(&[1, 4, 2, 2]), 0).is_err());
}
