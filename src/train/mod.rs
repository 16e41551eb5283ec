//! Training of the nets on prepared corpora.
//!
//! | module | role |
//! |---|---|
//! | `options`, `schedule`, `error` | what a training is told, learning rates, why it can end |
//! | `run` | the loop that all trainings share |
//! | `voice`, `vocoder`, `lips`, `aligner`, `landmarks`, `reader` | the trainers |
//! | `lips_reference`, `lips_reference_corpus` | the autoregressive systems that the lips are compared with |
//! | `liven` | gives lips back the movement that training took |
//! | `optimiser`, `device_adamw`, `checkpoint`, `start`, `batches`, `log`, `picture`, `symbols`, `predicted_mel`, `lips_corpus`, `adversary` | their parts |
//!
//! A training is a folder: `config.toml` (the nets), `checkpoint.safetensors` (to go on from), `model.safetensors` (the
//! nets alone), `log.csv` and `valid.csv`, `samples/STEP/`. It is seeded, and a resumed training sees the losses that an
//! uninterrupted one would.

mod adversary;
mod aligner;
mod batches;
pub(crate) mod checkpoint;
#[cfg(test)]
mod composed;
mod device_adamw;
mod elsewhere;
mod error;
mod kept_voices;
mod landmarks;
pub(crate) mod letters;
mod lips;
pub(crate) mod lips_corpus;
mod lips_reference;
mod lips_reference_corpus;
mod liven;
mod log;
mod optimiser;
mod options;
pub(crate) mod picture;
mod predicted_mel;
mod reader;
mod run;
mod schedule;
pub(crate) mod start;
pub(crate) mod symbols;
mod vocoder;
mod voice;

pub use aligner::{AlignerOptions, train_aligner};
pub use checkpoint::{CHECKPOINT, CONFIG, MODEL};
pub use error::{Result, TrainError};
pub use landmarks::{LandmarkOptions, train_landmarks};
pub use lips::{LipsOptions, train_lips};
pub use lips_reference::{LipsReferenceOptions, train_lips_reference};
pub use liven::{LivenOptions, liven};
pub use options::TrainOptions;
pub use predicted_mel::export_mel;
pub use reader::{ReaderOptions, train_reader};
pub use run::TrainReport;
pub use schedule::Schedule;
pub use vocoder::{HarmonicsFrom, VocoderOptions, train_vocoder};
pub use voice::{VoiceOptions, train_voice};
