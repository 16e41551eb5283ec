//! Faces: the picture that the lips are set back into.
//!
//! ParaLip draws a crop of 160 x 80 pixels around the mouth, cut from a face scaled to 256 x 256. [`Affine`] is the map
//! from such a crop to the picture that it belongs to; a [`FaceAsset`] is a whole face with its identity crop, and a
//! [`Compositor`] sets any other crop back into it. What a face does on its own, such as to blink, is its [`Performance`]. [`build()`] makes a face out of a clip.

mod affine;
mod asset;
mod breath;
mod build;
mod compositor;
mod error;
mod performance;
pub(crate) mod warp;

pub use affine::Affine;
pub use asset::FaceAsset;
pub(crate) use breath::Breath;
pub use build::{BuildOptions, build};
pub use compositor::Compositor;
pub use error::FaceError;
pub use performance::{Blink, Performance, Pose};

/// Width of a lip crop in pixels.
pub const CROP_WIDTH: usize = 160;
/// Height of a lip crop in pixels.
pub const CROP_HEIGHT: usize = 80;
/// Bytes of a lip crop: RGB.
pub const CROP_BYTES: usize = CROP_WIDTH * CROP_HEIGHT * 3;
