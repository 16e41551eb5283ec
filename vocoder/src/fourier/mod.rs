//! The source-filter Fourier vocoder: the default vocoder of Paravox.
//!
//! A pulse train that follows F0 and white noise are filtered in the Fourier domain by gains and phases that a small
//! net predicts from the mel spectrogram; one inverse short-time Fourier transform gives the PCM. It joins the
//! harmonic-plus-noise source of neural source-filter models (Wang, Takaki, Yamagishi 2019) and DDSP (Engel et al. 2020)
//! with the spectral head of Vocos (Siuzdak 2023). As the source already has the pitch, spectral losses without a
//! discriminator train it.
//!
//! | file | role |
//! |---|---|
//! | `config` | sizes |
//! | `pulse` | the band-limited pulse train |
//! | `noise` | Gaussian noise as a function of seed and place |
//! | `excitation` | the short-time spectra of both |
//! | `synthesis` | head output and excitation -> PCM, with its gradient |
//! | `portable` | the same for devices other than the CPU |
//! | `net` | the net, trainable |
//! | `vocoder` | synthesis in blocks, whole or streamed |

mod config;
mod excitation;
mod net;
mod noise;
mod portable;
mod pulse;
pub(crate) mod synthesis;
mod vocoder;

pub use config::FourierConfig;
pub use excitation::Excitation;
pub use net::FourierNet;
pub use vocoder::FourierVocoder;
