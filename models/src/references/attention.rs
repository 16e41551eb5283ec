//! Attention of a Transformer decoder (Vaswani et al. 2017), without biases as ParaLip publishes it, over a memory that can
//! grow: the positions decoded so far, or a text.

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;

use crate::layers::{Initialiser, Linear, LinearConfig};
use crate::ops;

/// Attention with several heads whose keys and values come from a [`Memory`].
#[derive(Debug, Clone)]
pub struct Attention {
    query: Linear,
    /// To keys and values: (2 channels, channels).
    memory: Linear,
    output: Linear,
    heads: usize,
}

/// Keys and values.
#[derive(Debug, Clone)]
pub struct Memory {
    /// (B, heads, positions, width of a head)
    keys: Tensor,
    values: Tensor,
}

impl Memory {
    /// The same numbers without the steps that they came from.
    pub fn detach(&self) -> Self {
        Self { keys: self.keys.detach(), values: self.values.detach() }
    }

    /// This memory, if there is one, and after it another.
    pub fn append(before: Option<&Self>, new: Self) -> Result<Self> {
        let Some(before) = before else { return Ok(new) };
        Ok(Self {
            keys: Tensor::cat(&[&before.keys, &new.keys], 2)?,
            values: Tensor::cat(&[&before.values, &new.values], 2)?,
        })
    }
}

impl Attention {
    /// Reads `query` (channels, channels), `memory` (2 channels, channels) and `output` (channels, channels).
    ///
    /// # Errors
    /// Channels that the heads do not divide.
    pub fn new(channels: usize, heads: usize, vb: VarBuilder) -> Result<Self> {
        if heads == 0 || !channels.is_multiple_of(heads) {
            candle_core::bail!("{heads} heads do not divide {channels} channels");
        }
        let linear = |outputs, name| {
            let cfg = LinearConfig::new(channels, outputs).without_bias().start(Initialiser::Xavier);
            Linear::new(&cfg, vb.pp(name))
        };
        Ok(Self {
            query: linear(channels, "query")?,
            memory: linear(2 * channels, "memory")?,
            output: linear(channels, "output")?,
            heads,
        })
    }

    /// Keys and values of positions.
    ///
    /// # Shapes
    /// - `xs`: (B, S, channels)
    pub fn remember(&self, xs: &Tensor) -> Result<Memory> {
        let (batch, positions, channels) = xs.dims3()?;
        let both = self.memory.forward(xs)?.reshape((batch, positions, 2, self.heads, channels / self.heads))?;
        let both = both.permute((2, 0, 3, 1, 4))?;
        Ok(Memory { keys: both.get(0)?.contiguous()?, values: both.get(1)?.contiguous()? })
    }

    /// Each position's weighted mean of the memory, (B, T, channels), and the mean weights of all heads, (B, T, S).
    ///
    /// # Shapes
    /// - `xs`: (B, T, channels)
    /// - `hidden`: added to the scores, such as (B, 1, 1, S) or (1, 1, T, S)
    pub fn forward(&self, xs: &Tensor, memory: &Memory, hidden: &Tensor) -> Result<(Tensor, Tensor)> {
        let (batch, positions, channels) = xs.dims3()?;
        let width = channels / self.heads;
        let queries = self.query.forward(xs)?.reshape((batch, positions, self.heads, width))?;
        let queries = queries.transpose(1, 2)?.contiguous()?;
        let scores = (queries.matmul(&memory.keys.transpose(2, 3)?.contiguous()?)? * (width as f64).powf(-0.5))?;
        let weights = ops::softmax_last(&scores.broadcast_add(hidden)?)?;
        let mixed = weights.matmul(&memory.values)?.transpose(1, 2)?.flatten_from(D::Minus2)?;
        Ok((self.output.forward(&mixed)?, weights.mean(1)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::{difference, noise};
    use crate::params::Params;
    use candle_core::Device;

    #[test]
    fn heads_follow_the_definition() {
        let params = Params::new(8, &Device::Cpu);
        let attention = Attention::new(6, 2, params.builder()).unwrap();
        let (xs, text) = (noise((1, 3, 6), 1), noise((1, 4, 6), 2));
        // The second position of the text is padding.
        let hidden = Tensor::new(&[0f32, -1e9, 0., 0.], &Device::Cpu).unwrap().reshape((1, 1, 1, 4)).unwrap();
        let (found, weights) = attention.forward(&xs, &attention.remember(&text).unwrap(), &hidden).unwrap();

        let rows = |xs: &Tensor| xs.squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        let maps = |linear: &Linear| linear.weight.to_vec2::<f32>().unwrap();
        let apply = |weight: &[Vec<f32>], x: &[f32]| -> Vec<f32> {
            weight.iter().map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
        };
        let (query, memory, output) = (maps(&attention.query), maps(&attention.memory), maps(&attention.output));
        let text: Vec<_> = rows(&text).iter().map(|x| apply(&memory, x)).collect();
        let (mut expected, mut mean) = (Vec::new(), Vec::new());
        for x in rows(&xs) {
            let query = apply(&query, &x);
            let (mut mixed, mut heads) = (vec![0.; 6], [0f32; 4]);
            for head in 0..2 {
                let score = |s: usize| (0..3).map(|i| query[3 * head + i] * text[s][3 * head + i]).sum::<f32>();
                let power = |s: usize| if s == 1 { 0. } else { (score(s) / 3f32.sqrt()).exp() };
                let total: f32 = (0..4).map(power).sum();
                for s in 0..4 {
                    heads[s] += power(s) / total / 2.;
                    (0..3).for_each(|i| mixed[3 * head + i] += power(s) / total * text[s][6 + 3 * head + i]);
                }
            }
            expected.push(apply(&output, &mixed));
            mean.push(heads.to_vec());
        }
        let tensor = |rows: Vec<Vec<f32>>| Tensor::new(rows, &Device::Cpu).unwrap().unsqueeze(0).unwrap();
        assert!(difference(&found, &tensor(expected)) < 1e-5);
        assert!(difference(&weights, &tensor(mean)) < 1e-5);
    }
}
