//! Nets, losses and CPU kernels of Paravox.

pub mod ops;
