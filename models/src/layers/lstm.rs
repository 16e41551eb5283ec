//! Long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), step by step.

use candle_core::{DType, Device, Result, Tensor};
use candle_nn::VarBuilder;

use super::{Linear, LinearConfig};
use crate::ops;

/// What an [`Lstm`] remembers of a batch of sequences.
#[derive(Debug, Clone)]
pub struct LstmState {
    /// The output of the last step, (B, width).
    pub hidden: Tensor,
    /// (B, width)
    pub cell: Tensor,
}

impl LstmState {
    /// The same numbers without the steps that they came from.
    pub fn detach(&self) -> Self {
        Self { hidden: self.hidden.detach(), cell: self.cell.detach() }
    }
}

/// One layer: c = f c + i g and h = o tanh(c), where the gates i, f, o are sigmoids and g is the tanh of linear maps of
/// the input and the last output.
#[derive(Debug, Clone)]
pub struct Lstm {
    /// (4 width, inputs + width): rows of i, f, o and g.
    gates: Linear,
    width: usize,
}

impl Lstm {
    /// Reads `gates` (4 width, inputs + width).
    pub fn new(inputs: usize, width: usize, vb: VarBuilder) -> Result<Self> {
        Ok(Self { gates: Linear::new(&LinearConfig::new(inputs + width, 4 * width), vb.pp("gates"))?, width })
    }

    /// Before the first step: zeros.
    pub fn start(&self, batch: usize, device: &Device) -> Result<LstmState> {
        let zeros = Tensor::zeros((batch, self.width), DType::F32, device)?;
        Ok(LstmState { hidden: zeros.clone(), cell: zeros })
    }

    /// One step.
    ///
    /// # Shapes
    /// - `inputs`: (B, n) each, together as wide as the layer's input
    pub fn step(&self, inputs: &[&Tensor], state: &LstmState) -> Result<LstmState> {
        let all: Vec<&Tensor> = inputs.iter().copied().chain([&state.hidden]).collect();
        let gates = self.gates.forward(&Tensor::cat(&all, 1)?)?;
        let open = ops::sigmoid(&gates.narrow(1, 0, 3 * self.width)?)?;
        let new = ops::tanh(&gates.narrow(1, 3 * self.width, self.width)?)?;
        let gate = |i: usize| open.narrow(1, i * self.width, self.width);
        let cell = ((gate(1)? * &state.cell)? + (gate(0)? * new)?)?;
        Ok(LstmState { hidden: (gate(2)? * ops::tanh(&cell)?)?, cell })
    }

    /// The outputs of all steps of a sequence.
    ///
    /// # Shapes
    /// - `xs`: (B, T, inputs)
    /// - output: (B, T, width)
    pub fn forward(&self, xs: &Tensor) -> Result<Tensor> {
        let (batch, positions, _) = xs.dims3()?;
        let mut state = self.start(batch, xs.device())?;
        let mut outputs = Vec::with_capacity(positions);
        for t in 0..positions {
            state = self.step(&[&xs.narrow(1, t, 1)?.squeeze(1)?], &state)?;
            outputs.push(state.hidden.clone());
        }
        Tensor::stack(&outputs, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{check_gradients, noise};
    use crate::params::Params;

    #[test]
    fn steps_follow_the_definition() {
        let params = Params::new(3, &Device::Cpu);
        let lstm = Lstm::new(2, 3, params.builder()).unwrap();
        let xs = noise((2, 4, 2), 5);
        let found = lstm.forward(&xs).unwrap().to_vec3::<f32>().unwrap();
        let weight = lstm.gates.weight.to_vec2::<f32>().unwrap();
        let bias = lstm.gates.bias.as_ref().unwrap().to_vec1::<f32>().unwrap();
        let sigmoid = |x: f64| 1. / (1. + (-x).exp());
        for (xs, found) in xs.to_vec3::<f32>().unwrap().iter().zip(&found) {
            let (mut h, mut c) = ([0f64; 3], [0f64; 3]);
            for (x, found) in xs.iter().zip(found) {
                let input: Vec<f64> = x.iter().map(|x| f64::from(*x)).chain(h).collect();
                let gate = |row: usize| {
                    let sum: f64 = weight[row].iter().zip(&input).map(|(w, x)| f64::from(*w) * x).sum();
                    sum + f64::from(bias[row])
                };
                for k in 0..3 {
                    c[k] = sigmoid(gate(3 + k)) * c[k] + sigmoid(gate(k)) * gate(9 + k).tanh();
                    h[k] = sigmoid(gate(6 + k)) * c[k].tanh();
                }
                assert!(h.iter().zip(found).all(|(h, found)| (h - f64::from(*found)).abs() < 1e-6), "{h:?} {found:?}");
            }
        }
    }

    #[test]
    fn gradients_pass_through_the_steps() {
        let params = Params::new(4, &Device::Cpu);
        let lstm = Lstm::new(3, 4, params.builder()).unwrap();
        let (xs, weights) = (noise((2, 5, 3), 6), noise((2, 5, 4), 7));
        let compared = check_gradients(&params, || (lstm.forward(&xs)? * &weights)?.sum_all());
        assert_eq!(compared, 2);
    }
}
