//! Compares an operation and its gradients with a definition in f64, whatever the strides of its inputs.

use candle_core::{Device, Tensor, Var};

use super::super::Result;
use super::reference::Array;

/// Uniform numbers in (-1, 1) from a seed (splitmix64).
pub(super) struct Numbers(pub(super) u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(super) fn array(&mut self, dims: &[usize]) -> Array {
        let number = |_| f64::from((self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0);
        Array { dims: dims.to_vec(), data: (0..dims.iter().product()).map(number).collect() }
    }
}

pub(super) fn to_tensor(array: &Array) -> Tensor {
    let data = array.data.iter().map(|x| *x as f32).collect::<Vec<_>>();
    Tensor::from_vec(data, array.dims.clone(), &Device::Cpu).expect("dims fit data")
}

pub(super) fn to_vec(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|t| t.to_vec1()).expect("an f32 tensor")
}

/// How an input reaches the operation.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    Plain,
    /// A transposed view of a variable that holds the transposed data.
    Transposed,
    /// The middle of a longer variable.
    Narrowed,
}

/// A variable and the view of it that equals `array`.
fn input(array: &Array, form: Form) -> Result<(Var, Tensor)> {
    let tensor = to_tensor(array);
    Ok(match form {
        Form::Transposed if tensor.rank() >= 2 => {
            let (a, b) = (tensor.rank() - 2, tensor.rank() - 1);
            let var = Var::from_tensor(&tensor.transpose(a, b)?.contiguous()?)?;
            let view = var.transpose(a, b)?;
            (var, view)
        }
        Form::Narrowed => {
            let var = Var::from_tensor(&tensor.pad_with_zeros(0, 1, 2)?)?;
            let view = var.narrow(0, 1, tensor.dim(0)?)?;
            (var, view)
        }
        _ => {
            let var = Var::from_tensor(&tensor)?;
            let view = var.as_tensor().clone();
            (var, view)
        }
    })
}

fn close(actual: &[f32], expected: &[f64], what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}: number of elements");
    let scale = expected.iter().fold(1f64, |m, x| m.max(x.abs()));
    for (i, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((f64::from(*a) - e).abs() <= 2e-5 * scale, "{what}: element {i} is {a}, not {e}");
    }
}

/// Checks `op` on random inputs of the given shapes against `definition`: the result, and the gradient of a random
/// weighting of it by central differences of the definition, for plain, transposed and narrowed inputs, and with
/// each input alone as the only one that needs a gradient.
pub(super) fn check(
    what: &str,
    shapes: &[&[usize]],
    definition: impl Fn(&[Array]) -> Array,
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let mut numbers = Numbers(7 + shapes.len() as u64);
    let arrays = shapes.iter().map(|dims| numbers.array(dims)).collect::<Vec<_>>();
    check_arrays(what, &arrays, definition, op);
}

/// [`check`] on given inputs.
pub(super) fn check_arrays(
    what: &str,
    arrays: &[Array],
    definition: impl Fn(&[Array]) -> Array,
    op: impl Fn(&[Tensor]) -> Result<Tensor>,
) {
    let expected = definition(arrays);
    let weighting = Numbers(99).array(&expected.dims);
    let loss = |arrays: &[Array]| definition(arrays).data.iter().zip(&weighting.data).map(|(y, w)| y * w).sum::<f64>();
    let gradients = (0..arrays.len()).map(|i| {
        let mut moved = arrays.to_vec();
        let mut difference = |j: usize| {
            let (step, x) = (1e-4, arrays[i].data[j]);
            moved[i].data[j] = x + step;
            let above = loss(&moved);
            moved[i].data[j] = x - step;
            let below = loss(&moved);
            moved[i].data[j] = x;
            (above - below) / (2.0 * step)
        };
        (0..arrays[i].data.len()).map(&mut difference).collect::<Vec<_>>()
    });
    let gradients = gradients.collect::<Vec<_>>();
    for form in [Form::Plain, Form::Transposed, Form::Narrowed] {
        for alone in std::iter::once(None).chain((0..arrays.len()).map(Some)) {
            if alone.is_some() && form != Form::Plain {
                continue;
            }
            let run = || -> Result<()> {
                let inputs = arrays.iter().map(|array| input(array, form)).collect::<Result<Vec<_>>>()?;
                let needed = |i: usize| alone.is_none_or(|alone| alone == i);
                let views = inputs.iter().enumerate();
                let views = views.map(|(i, (_, view))| if needed(i) { view.clone() } else { view.detach() });
                let ys = op(&views.collect::<Vec<_>>())?;
                assert_eq!(ys.dims(), expected.dims, "{what}: shape");
                close(&to_vec(&ys), &expected.data, what);
                let grads = (&ys * to_tensor(&weighting))?.sum_all()?.backward()?;
                for (i, (var, _)) in inputs.iter().enumerate().filter(|(i, _)| needed(*i)) {
                    let grad = grads.get(var.as_tensor()).unwrap_or_else(|| panic!("{what}: no gradient of input {i}"));
                    let grad = match form {
                        Form::Transposed if grad.rank() >= 2 => grad.transpose(grad.rank() - 2, grad.rank() - 1)?,
                        Form::Narrowed => grad.narrow(0, 1, arrays[i].dims[0])?,
                        _ => grad.clone(),
                    };
                    close(&to_vec(&grad), &gradients[i], &format!("{what}: gradient {i}, {form:?}, alone {alone:?}"));
                }
                Ok(())
            };
            run().unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    }
}

/// Runs `work` in pools of one and of three threads and checks that every bit agrees.
pub(super) fn same_with_any_threads(what: &str, work: impl Fn() -> Result<Vec<Tensor>> + Sync) {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads start");
        let tensors = pool.install(&work).unwrap_or_else(|error| panic!("{what}: {error}"));
        tensors.iter().map(|t| to_vec(t).iter().map(|x| x.to_bits()).collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    let (one, three) = (run(1), run(3));
    assert!(one.iter().all(|bits| !bits.is_empty()), "{what}: nothing compared");
    assert!(one == three, "{what}: one and three threads differ");
}

#[test]
#[should_panic(expected = "identity: element")]
fn a_wrong_result_is_noticed() {
    check("identity", &[&[2, 3]], |a| a[0].clone(), |t| &t[0] * 1.001);
}

#[test]
#[should_panic(expected = "identity: gradient 0")]
fn a_wrong_gradient_is_noticed() {
    // 2x - x, with the first x cut from the graph.
    check("identity", &[&[2, 3]], |a| a[0].clone(), |t| (t[0].detach() * 2.0)? - &t[0]);
}

#[test]
#[should_panic(expected = "identity: no gradient of input 0")]
fn a_missing_gradient_is_noticed() {
    check("identity", &[&[2, 3]], |a| a[0].clone(), |t| Ok(t[0].detach()));
}

#[test]
fn memory_is_kept_where_the_allocator_can() {
    assert_eq!(super::super::keep_freed_memory(), cfg!(all(target_os = "linux", target_env = "gnu")));
}
