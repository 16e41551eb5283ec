//! How weights start.

use candle_nn::Init;

/// The distribution of a layer's first weights and biases.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Initialiser {
    /// Weights and biases uniform within 1/sqrt(inputs of an output), as PyTorch's layers start.
    #[default]
    FanIn,
    /// Weights uniform within sqrt(6 / (inputs + outputs)) (Glorot and Bengio 2010), biases 0.
    Xavier,
    /// Weights as [`Initialiser::FanIn`], biases all equal to this.
    Bias(f64),
}

impl Initialiser {
    pub(crate) fn weight(self, fan_in: usize, fan_out: usize) -> Init {
        match self {
            Self::FanIn | Self::Bias(_) => within(1. / (fan_in as f64).sqrt()),
            Self::Xavier => within((6. / (fan_in + fan_out) as f64).sqrt()),
        }
    }

    pub(crate) fn bias(self, fan_in: usize) -> Init {
        match self {
            Self::FanIn => within(1. / (fan_in as f64).sqrt()),
            Self::Xavier => Init::Const(0.),
            Self::Bias(value) => Init::Const(value),
        }
    }
}

fn within(bound: f64) -> Init {
    Init::Uniform { lo: -bound, up: bound }
}
