//! Location-sensitive attention (Chorowski et al. 2015), as Tacotron 2 uses it: where it has looked before tells where to
//! look next.

use candle_core::{DType, Result, Tensor};
use candle_nn::VarBuilder;
use serde::{Deserialize, Serialize};

use super::hidden_padding;
use crate::layers::{Conv1d, Conv1dConfig, Linear, LinearConfig, repeat_over_time};
use crate::ops;

/// Sizes of a [`LocationAttention`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocationAttentionConfig {
    /// Width in which query, symbols and location meet.
    pub width: usize,
    /// Filters over the weights of the steps before.
    pub filters: usize,
    /// Taps of the filters; odd.
    pub kernel: usize,
}

/// Weights of symbol s: softmax of v tanh(W query + V state(s) + U f(s) + b), where f are filters over the last step's
/// weights and the sum of all steps' weights.
#[derive(Debug, Clone)]
pub struct LocationAttention {
    query: Linear,
    state: Linear,
    filters: Conv1d,
    location: Linear,
    score: Linear,
}

/// A text that is looked at.
#[derive(Debug, Clone)]
pub struct Looked {
    /// (B, S, state width)
    states: Tensor,
    /// V state: (B, S, width)
    keys: Tensor,
    /// Added to the scores: (B, S).
    hidden: Tensor,
    /// (B, S, 2): the last step's weights and the sum of all steps'.
    past: Tensor,
}

impl Looked {
    /// The same numbers without the steps that they came from.
    pub fn detach(&self) -> Self {
        Self {
            states: self.states.detach(),
            keys: self.keys.detach(),
            hidden: self.hidden.clone(),
            past: self.past.detach(),
        }
    }
}

impl LocationAttention {
    /// Reads `query`, `state`, `filters`, `location` and `score`.
    pub fn new(cfg: &LocationAttentionConfig, query: usize, state: usize, vb: VarBuilder) -> Result<Self> {
        let linear =
            |inputs, outputs, name| Linear::new(&LinearConfig::new(inputs, outputs).without_bias(), vb.pp(name));
        Ok(Self {
            query: linear(query, cfg.width, "query")?,
            state: linear(state, cfg.width, "state")?,
            // Its bias, after U, is b.
            filters: Conv1d::new(&Conv1dConfig::new(2, cfg.filters, cfg.kernel), vb.pp("filters"))?,
            location: linear(cfg.filters, cfg.width, "location")?,
            score: linear(cfg.width, 1, "score")?,
        })
    }

    /// A text that nothing has looked at yet.
    ///
    /// # Shapes
    /// - `states`: (B, S, state width)
    /// - `mask`: (B, S), 1 for symbols and 0 for padding
    pub fn start(&self, states: &Tensor, mask: &Tensor) -> Result<Looked> {
        let (batch, symbols, _) = states.dims3()?;
        Ok(Looked {
            states: states.clone(),
            keys: self.state.forward(states)?,
            hidden: hidden_padding(mask)?,
            past: Tensor::zeros((batch, symbols, 2), DType::F32, states.device())?,
        })
    }

    /// Looks once: the weighted mean of the states, (B, state width), and the weights, (B, S).
    ///
    /// # Shapes
    /// - `query`: (B, query width)
    pub fn look(&self, query: &Tensor, text: &mut Looked) -> Result<(Tensor, Tensor)> {
        let symbols = text.states.dim(1)?;
        let query = repeat_over_time(&self.query.forward(query)?, symbols)?;
        let location = self.location.forward(&self.filters.forward(&text.past)?)?;
        let scores = self.score.forward(&ops::tanh(&((query + &text.keys)? + location)?)?)?;
        let weights = ops::softmax_last(&(scores.squeeze(2)? + &text.hidden)?)?;
        let context = weights.unsqueeze(1)?.matmul(&text.states)?.squeeze(1)?;
        let sum = (text.past.narrow(2, 1, 1)?.squeeze(2)? + &weights)?;
        text.past = Tensor::stack(&[&weights, &sum], 2)?;
        Ok((context, weights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::noise;
    use crate::params::Params;
    use candle_core::Device;

    #[test]
    fn looks_follow_the_definition() {
        let params = Params::new(8, &Device::Cpu);
        let cfg = LocationAttentionConfig { width: 4, filters: 3, kernel: 5 };
        let attention = LocationAttention::new(&cfg, 2, 3, params.builder()).unwrap();
        let (states, queries) = (noise((1, 6, 3), 1), noise((3, 2), 2));
        let mut text = attention.start(&states, &Tensor::ones((1, 6), DType::F32, &Device::Cpu).unwrap()).unwrap();
        let vars = params.vars();
        let var = |name: &str| &vars.iter().find(|(known, _)| known == name).unwrap().1;
        let matrix = |name: &str| var(name).to_vec2::<f32>().unwrap();
        let (w, v, u, score) =
            (matrix("query.weight"), matrix("state.weight"), matrix("location.weight"), matrix("score.weight"));
        let filters = var("filters.weight").to_vec3::<f32>().unwrap();
        let bias = var("filters.bias").to_vec1::<f32>().unwrap();
        let states = states.squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
        let (mut last, mut sum) = ([0f32; 6], [0f32; 6]);
        for step in 0..3 {
            let query = queries.get(step).unwrap().to_vec1::<f32>().unwrap();
            let energy = |s: usize| {
                let tap =
                    |past: &[f32; 6], k: usize| (s + k).checked_sub(2).and_then(|i| past.get(i)).map_or(0., |x| *x);
                let filter = |f: usize| {
                    let taps = |past, row: &[f32]| (0..5).map(|k| row[k] * tap(past, k)).sum::<f32>();
                    taps(&last, &filters[f][0]) + taps(&sum, &filters[f][1]) + bias[f]
                };
                let location: Vec<f32> = (0..3).map(filter).collect();
                let inner = |a: usize| (dot(&w[a], &query) + dot(&v[a], &states[s]) + dot(&u[a], &location)).tanh();
                (0..4).map(|a| score[0][a] * inner(a)).sum::<f32>().exp()
            };
            let energies: Vec<f32> = (0..6).map(energy).collect();
            let total: f32 = energies.iter().sum();
            let (context, weights) = attention.look(&queries.narrow(0, step, 1).unwrap(), &mut text).unwrap();
            let weights = weights.squeeze(0).unwrap().to_vec1::<f32>().unwrap();
            for s in 0..6 {
                last[s] = energies[s] / total;
                sum[s] += last[s];
                assert!((weights[s] - last[s]).abs() < 1e-5, "step {step}: {weights:?} {last:?}");
            }
            let context = context.squeeze(0).unwrap().to_vec1::<f32>().unwrap();
            for (d, found) in context.iter().enumerate() {
                let mean: f32 = (0..6).map(|s| last[s] * states[s][d]).sum();
                assert!((mean - found).abs() < 1e-5);
            }
        }
    }
}
