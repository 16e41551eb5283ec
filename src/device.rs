//! Where nets run: on the processor, or on an NVIDIA GPU where the program was built with the feature `cuda`.

use std::str::FromStr;

use candle_core::Device;

/// A place for nets to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Backend {
    /// The processor, by this project's own kernels: the default, and the same to the bit everywhere.
    #[default]
    Cpu,
    /// The first NVIDIA GPU.
    Cuda,
    /// The processor, by the operations that a GPU would run: slow, to test them without one. It holds for the thread that
    /// opens it.
    Composed,
}

/// The device cannot be used here: ask for another, or for another build.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct BackendError(String);

impl FromStr for Backend {
    type Err = BackendError;

    fn from_str(name: &str) -> Result<Self, BackendError> {
        match name {
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda),
            "composed" => Ok(Self::Composed),
            _ => Err(BackendError(format!("no device '{name}': give cpu or cuda"))),
        }
    }
}

impl Backend {
    /// Opens the device.
    ///
    /// # Errors
    /// A GPU that is not there, or that this build does not know to use.
    pub(crate) fn open(self) -> Result<Device, BackendError> {
        if self != Self::Cuda {
            paravox_models::ops::compose_on_this_thread(self == Self::Composed);
            return Ok(Device::Cpu);
        }
        if !cfg!(feature = "cuda") {
            return Err(BackendError(
                "this program was built without GPU support: build it with --features cuda".into(),
            ));
        }
        cuda().map_err(|error| {
            let reason = error.to_string();
            BackendError(format!("no GPU can be used: {}", reason.lines().next().unwrap_or_default()))
        })
    }
}

/// The GPU where this build has support for one and the machine has one, else the CPU.
pub(crate) fn best() -> Device {
    cuda().unwrap_or(Device::Cpu)
}

/// The first GPU, with one stream for all threads.
#[cfg(feature = "cuda")]
fn cuda() -> candle_core::Result<Device> {
    use candle_core::cuda::cudarc::driver::sys;

    // candle's usual stream is another in each thread, and tensors go from thread to thread here.
    let device = Device::new_cuda_with_stream(0)?;
    let stream = device.as_cuda_device()?.cuda_stream();
    // SAFETY: all work of this device is queued to one stream, in order, so that no tensor needs events of its own.
    unsafe { stream.context().disable_event_tracking() };
    // Freed memory stays with the process: else it goes back at every look at a result, and is asked for again.
    let (mut pool, mut threshold) = (std::ptr::null_mut(), u64::MAX);
    let attribute = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    // SAFETY: `pool` and `threshold` are what the driver writes and reads here. A driver that refuses is only slower.
    unsafe {
        if sys::cuDeviceGetDefaultMemPool(&mut pool, stream.context().cu_device()) == sys::CUresult::CUDA_SUCCESS {
            sys::cuMemPoolSetAttribute(pool, attribute, (&raw mut threshold).cast());
        }
    }
    Ok(device)
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> candle_core::Result<Device> {
    Device::new_cuda(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_names_and_missing_ones_a_reason() {
        assert_eq!("cpu".parse::<Backend>().unwrap(), Backend::default());
        assert!("gpu".parse::<Backend>().unwrap_err().to_string().contains("cpu or cuda"));
        assert!(Backend::Cpu.open().unwrap().is_cpu());
        if !cfg!(feature = "cuda") {
            let reason = Backend::Cuda.open().unwrap_err().to_string();
            assert!(reason.contains("--features cuda") && reason.lines().count() == 1, "{reason}");
            assert!(best().is_cpu());
        }
    }
}
