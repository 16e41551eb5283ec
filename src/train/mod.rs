//! Training of the nets on prepared corpora, in Rust from the first step to the shipped weights.
//!
//! | module | role |
//! |---|---|
//! | `options`, `schedule`, `error` | what a training is told, learning rates, why it can end |
//! | `run` | the loop that all trainings share |
//! | `optimiser`, `checkpoint`, `batches`, `log`, `picture` | its parts |
//!
//! A training is a folder: `config.toml` (the nets), `checkpoint.safetensors` (to go on from), `model.safetensors` (the
//! nets alone), `log.csv` and `valid.csv`, `samples/STEP/`. It is seeded, and a resumed training sees the losses that an
//! uninterrupted one would.

mod batches;
mod checkpoint;
mod error;
mod log;
mod optimiser;
mod options;
mod picture;
mod run;
mod schedule;
pub(crate) mod symbols;
mod voice;

pub use checkpoint::{CHECKPOINT, CONFIG, MODEL};
pub use error::{Result, TrainError};
pub use options::TrainOptions;
pub use run::TrainReport;
pub use schedule::Schedule;
pub use voice::{VoiceOptions, train_voice};
