//! What trainings do on a GPU, tried without one: the loss and every gradient by this project's kernels beside those by the
//! operations that other devices use.

use paravox_models::ops::compose_on_this_thread;

use super::run::Trainer;
use crate::device::Backend;

/// Checks one step of a trainer, which `make` builds on a device with the same weights each time.
pub(super) fn check<T: Trainer>(make: impl Fn(Backend) -> T, batch: impl Fn(&T) -> T::Batch) {
    let run = |device: Backend| {
        let trainer = make(device);
        let loss = trainer.loss(batch(&trainer), 7).unwrap();
        let grads = loss.total.backward().unwrap();
        compose_on_this_thread(false);
        let values = |name: String, var: &candle_core::Var| {
            let grad = grads.get(var.as_tensor());
            (name, grad.map(|grad| grad.flatten_all().unwrap().to_vec1::<f32>().unwrap()))
        };
        let grads: Vec<_> = trainer.params().trainable().into_iter().map(|(name, var)| values(name, &var)).collect();
        (loss.parts, grads)
    };
    let ((parts, grads), (composed_parts, composed)) = (run(Backend::Cpu), run(Backend::Composed));
    for ((name, value), (_, composed)) in parts.iter().zip(&composed_parts) {
        assert!((value - composed).abs() < 1e-4 * value.abs().max(1.0), "{name}: {value} and {composed}");
    }
    let largest = |grad: &[f32]| grad.iter().fold(0f32, |most, value| most.max(value.abs()));
    let all = grads.iter().filter_map(|(_, grad)| grad.as_deref()).map(largest).fold(0.0, f32::max);
    assert!(all > 0.0 && all.is_finite());
    for ((name, grad), (_, composed)) in grads.iter().zip(&composed) {
        let (Some(grad), Some(composed)) = (grad, composed) else {
            assert!(grad.is_none() && composed.is_none(), "{name}: one has no gradient");
            continue;
        };
        let apart = grad.iter().zip(composed).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        // A bias before a BatchNorm has a gradient of 0, which rounding alone makes another.
        let most = 2e-3 * largest(grad) + 1e-4 * all;
        assert!(apart <= most, "{name}: gradients up to {} are {apart} apart", largest(grad));
    }
}
