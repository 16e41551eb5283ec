//! Nets, losses and CPU kernels of Paravox.
