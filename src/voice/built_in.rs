//! The package that is compiled into the program.

use super::package::Package;
use crate::error::{Error, Result};

/// The files of `models/weights`: (path inside the package, content).
const FILES: &[(&str, &[u8])] = &[];

impl Package {
    /// The voices and faces that this program carries.
    ///
    /// # Errors
    /// [`Error::Package`] in a build that carries none.
    pub fn built_in() -> Result<Self> {
        Self::embedded(FILES)?.ok_or_else(|| {
            Error::package("(built in)", "this build carries no voice: give the folder of a package with --voice")
        })
    }
}
