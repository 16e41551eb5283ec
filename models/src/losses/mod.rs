//! What the nets are trained on.

mod attention;
mod basic;
mod ctc;
mod ssim;

pub use attention::guided_attention;
pub use basic::{
    duration_sentence_l1, duration_token_l1, l1, lsgan_discriminator, lsgan_generator, masked_cross_entropy, masked_l1,
    voicing_cross_entropy,
};
pub use ctc::{CtcTarget, ctc};
pub use ssim::ssim;
