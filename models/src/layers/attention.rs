//! Self-attention with several heads (Vaswani et al. 2017), without biases as ParaLip publishes it.

use candle_core::{D, Result, Tensor};
use candle_nn::VarBuilder;

use super::{Initialiser, Linear, LinearConfig};
use crate::ops;

/// What is added to the score of a padded key: its weight becomes 0 in f32.
const HIDDEN: f64 = 1e9;

/// Each position's weighted mean of all positions, for each head.
#[derive(Debug, Clone)]
pub struct SelfAttention {
    /// To queries, keys and values: (3 channels, channels).
    input: Linear,
    output: Linear,
    heads: usize,
}

impl SelfAttention {
    /// Reads `input` (3 channels, channels) and `output` (channels, channels).
    ///
    /// # Errors
    /// Channels that the heads do not divide.
    pub fn new(channels: usize, heads: usize, vb: VarBuilder) -> Result<Self> {
        if heads == 0 || !channels.is_multiple_of(heads) {
            candle_core::bail!("{heads} heads do not divide {channels} channels");
        }
        let linear = |outputs| LinearConfig::new(channels, outputs).without_bias().start(Initialiser::Xavier);
        Ok(Self {
            input: Linear::new(&linear(3 * channels), vb.pp("input"))?,
            output: Linear::new(&linear(channels), vb.pp("output"))?,
            heads,
        })
    }

    /// # Shapes
    /// - `xs`: (B, T, channels); output the same
    /// - `mask`: (B, T), 1 where a position may be looked at and 0 where it is padding
    pub fn forward(&self, xs: &Tensor, mask: Option<&Tensor>) -> Result<Tensor> {
        let (batch, positions, channels) = xs.dims3()?;
        let width = channels / self.heads;
        // (3, B, heads, T, width)
        let all = self.input.forward(xs)?.reshape((batch, positions, 3, self.heads, width))?;
        let all = all.permute((2, 0, 3, 1, 4))?;
        let head = |i: usize| all.get(i)?.contiguous();
        let (queries, keys, values) = (head(0)?, head(1)?, head(2)?);
        let scores = (queries.matmul(&keys.transpose(2, 3)?.contiguous()?)? * (width as f64).powf(-0.5))?;
        let scores = match mask {
            Some(mask) => {
                let hidden = ((mask - 1.)? * HIDDEN)?.reshape((batch, 1, 1, positions))?;
                scores.broadcast_add(&hidden)?
            }
            None => scores,
        };
        let mixed = ops::softmax_last(&scores)?.matmul(&values)?;
        self.output.forward(&mixed.transpose(1, 2)?.flatten_from(D::Minus2)?)
    }
}
