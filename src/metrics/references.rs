//! Whole clips from trained reference systems: from text and an image of a person alone, as long as the system makes them.

use std::path::Path;

use candle_core::Device;
use paravox_models::image_decoder::to_bytes;
use paravox_models::references::{Film, FilmLength, ReferenceConfig, ReferenceModel};

use crate::device::Backend;
use crate::text::Symbol;
use crate::train::Result;
use crate::train::lips_corpus::crops_to_tensor;
use crate::train::start::Start;
use crate::train::symbols::SymbolBatch;

/// A film that does not end by itself ends after so many video frames, and so many for each symbol: more than twice what
/// speech needs at the 25 video frames a second of GRID.
const LONGEST: (usize, usize) = (50, 8);

/// The nets of a reference system: DualLip or TransformerT2L.
pub struct ReferenceNets {
    pub(crate) config: ReferenceConfig,
    pub(crate) model: ReferenceModel,
    pub(crate) device: Device,
}

impl ReferenceNets {
    /// Reads a trained system, to run there.
    ///
    /// # Errors
    /// [`crate::train::TrainError`]: files that cannot be read or do not fit together, no such device.
    pub fn load(folder: &Path, backend: Backend) -> Result<Self> {
        Self::load_on(folder, &backend.open()?)
    }

    pub(crate) fn load_on(folder: &Path, device: &Device) -> Result<Self> {
        let start = Start::read(folder, "lips-reference")?;
        let config: ReferenceConfig = start.config()?;
        let model = start.nets(device, |builder| ReferenceModel::new(&config, builder))?;
        Ok(Self { config, model, device: device.clone() })
    }

    /// A film of the person of `identity`, a crop of 80 x 160 x 3 RGB bytes, saying a sentence: crop after crop, as many as
    /// the system makes of it or `length`.
    ///
    /// # Errors
    /// [`crate::train::TrainError`] where the nets cannot read the symbols.
    pub fn generate(&self, symbols: &[Symbol], identity: &[u8], length: Option<usize>) -> Result<Vec<u8>> {
        Ok(to_bytes(&self.film(symbols, identity, length)?.images)?)
    }

    /// The same as tensors, with where the system looked.
    pub(crate) fn film(&self, symbols: &[Symbol], identity: &[u8], length: Option<usize>) -> Result<Film> {
        let length = match length {
            None => FilmLength::UntilStop(LONGEST.0 + LONGEST.1 * symbols.len()),
            Some(length) => FilmLength::Exactly(length),
        };
        let (ids, _) = SymbolBatch::new(&[symbols]).tensors(&self.device)?;
        Ok(self.model.film(&ids, &crops_to_tensor(&[identity], &self.device)?, length)?)
    }
}
