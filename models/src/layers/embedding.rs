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

/// Symbols of several features: the sum of one vector of each.
#[derive(Debug, Clone)]
pub struct FeatureEmbedding {
    features: Vec<Embedding>,
}

impl FeatureEmbedding {
    /// Reads `feature.0`, `feature.1`, ...: `vocab` says how many values each feature has.
    ///
    /// # Errors
    /// A vocab without a feature.
    pub fn new(vocab: &[usize], width: usize, vb: VarBuilder) -> Result<Self> {
        if vocab.is_empty() {
            candle_core::bail!("the text encoder's vocab must name at least one feature");
        }
        let stdev = (width as f64).powf(-0.5);
        let features = vocab.iter().enumerate();
        let features = features.map(|(i, ids)| Embedding::new(*ids, width, stdev, vb.pp("feature").pp(i)));
        Ok(Self { features: features.collect::<Result<_>>()? })
    }

    /// # Shapes
    /// - `symbols`: (B, S, F) u32; the first features are read, as many as the vocabulary has
    /// - output: (B, S, width)
    ///
    /// # Errors
    /// Fewer features than the vocabulary has, or an id outside it.
    pub fn forward(&self, symbols: &Tensor) -> Result<Tensor> {
        let (_, _, given) = symbols.dims3()?;
        if given < self.features.len() {
            candle_core::bail!("symbols carry {given} features, the text encoder reads {}", self.features.len());
        }
        let vector = |i: usize| self.features[i].forward(&symbols.narrow(2, i, 1)?.squeeze(2)?);
        (1..self.features.len()).try_fold(vector(0)?, |sum, i| sum + vector(i)?)
    }
}
