//! A weights file of a package: f16 tensors and, in its metadata, the configuration of the nets that they belong to.

use std::fmt::Display;
use std::path::PathBuf;

use candle_core::Device;
use candle_nn::VarBuilder;
use paravox_models::config::from_toml;
use paravox_models::weights::Weights;
use serde::de::DeserializeOwned;

use super::package::Package;
use crate::error::{Error, Result};

/// The key of the metadata under which lips that trained a text encoder of their own keep its configuration.
pub(crate) const ENCODER_KEY: &str = "encoder";

/// A weights file while its nets are built; every error names it.
pub(crate) struct WeightsFile {
    path: PathBuf,
    weights: Weights,
}

impl WeightsFile {
    pub(crate) fn read(package: &Package, file: &str, device: &Device) -> Result<Self> {
        let path = package.path_of(file);
        let weights = Weights::from_bytes(&package.read(file)?, device).map_err(|error| misfit(&path, &error))?;
        Ok(Self { path, weights })
    }

    /// The configuration of the nets.
    pub(crate) fn config<C: DeserializeOwned>(&self) -> Result<C> {
        match self.weights.config() {
            Some(text) => from_toml(text).map_err(|error| self.misfit(error)),
            None => Err(self.misfit("the file carries no configuration: write it with `paravox export`")),
        }
    }

    /// A further configuration, if the file carries one under `key`.
    pub(crate) fn config_of<C: DeserializeOwned>(&self, key: &str) -> Result<Option<C>> {
        self.weights.metadata(key).map(from_toml).transpose().map_err(|error| self.misfit(error))
    }

    /// Builds nets of the file's tensors.
    pub(crate) fn build<M, E: Display>(&self, build: impl FnOnce(VarBuilder<'static>) -> Result<M, E>) -> Result<M> {
        build(self.weights.builder()).map_err(|error| self.misfit(error))
    }

    /// Call when all nets are built: a tensor that none of them asked for is an error.
    pub(crate) fn finish(self) -> Result<()> {
        let Self { path, weights } = self;
        weights.finish().map_err(|error| misfit(&path, &error))
    }

    /// An error about this file.
    pub(crate) fn misfit(&self, why: impl Display) -> Error {
        misfit(&self.path, &why)
    }
}

/// Messages of TOML and candle span lines; ours do not.
fn misfit(path: &std::path::Path, why: &dyn Display) -> Error {
    Error::package(path, why.to_string().split_whitespace().collect::<Vec<_>>().join(" "))
}
