//! A learned vector for each id.

use candle_core::{Result, Tensor};
use candle_nn::{Init, VarBuilder};

/// A table of vectors.
#[derive(Debug, Clone)]
pub struct Embedding {
    /// (ids, width)
    table: Tensor,
}

impl Embedding {
    /// Reads `weight` (ids, width), started from a normal distribution with the given standard deviation.
    pub fn new(ids: usize, width: usize, stdev: f64, vb: VarBuilder) -> Result<Self> {
        Ok(Self { table: vb.get_with_hints((ids, width), "weight", Init::Randn { mean: 0., stdev })? })
    }

    /// # Shapes
    /// - `ids`: (...) u32
    /// - output: (..., width)
    ///
    /// # Errors
    /// An id outside the table.
    pub fn forward(&self, ids: &Tensor) -> Result<Tensor> {
        let mut shape = ids.dims().to_vec();
        shape.push(self.table.dim(1)?);
        self.table.index_select(&ids.flatten_all()?.contiguous()?, 0)?.reshape(shape)
    }
}
