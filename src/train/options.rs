//! What every training is told; each trainer adds its own options to these.

use std::path::PathBuf;

use super::error::{Result, TrainError};
use super::schedule::Schedule;
use crate::device::Backend;

/// Options that all trainings share.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrainOptions {
    /// Folder of the prepared corpus.
    pub data: PathBuf,
    /// Folder that the training writes: config, checkpoint, model, log, samples.
    pub out: PathBuf,
    /// Preset of the nets, such as `voice-light`; not used where a training is resumed.
    pub preset: String,
    /// Optimiser steps of the whole training (default 100000). With `max_minutes` it is the upper limit.
    pub steps: u64,
    /// Ends the training after this much time: the schedule then runs over the steps that the measured speed allows.
    pub max_minutes: Option<f64>,
    /// Items in a batch; each trainer says what an item is.
    pub batch: usize,
    /// Learning rates.
    pub schedule: Schedule,
    /// Largest global norm of the gradient (default: no limit).
    pub clip_norm: f64,
    /// Seed of the initial weights, the batches and dropout (default 1).
    pub seed: u64,
    /// Trained model (`model.safetensors` or a training's folder) to start from instead of fresh weights.
    pub from: Option<PathBuf>,
    /// Goes on from the checkpoint in `out`, if there is one.
    pub resume: bool,
    /// Where the nets run (default the CPU).
    pub device: Backend,
    /// Threads; default: RAYON_NUM_THREADS or one for each core.
    pub threads: Option<usize>,
    /// A checkpoint is written after this many seconds, and at the end (default 120).
    pub checkpoint_seconds: f64,
    /// Validation and its samples come after this many seconds, and at the end (default 300).
    pub validate_seconds: f64,
    /// Steps between two rows of the log (default 10).
    pub log_steps: u64,
}

impl TrainOptions {
    /// Options of a training from a folder to a folder; the rest is the preset's recipe: AdamW at `peak` falling to 1e-5.
    pub(crate) fn recipe(preset: &str, batch: usize, peak: f64) -> Self {
        Self {
            data: PathBuf::new(),
            out: PathBuf::new(),
            preset: preset.to_string(),
            steps: 100_000,
            max_minutes: None,
            batch,
            schedule: Schedule::Cosine { peak, floor: 1e-5, warm_up: 20 },
            clip_norm: f64::INFINITY,
            seed: 1,
            from: None,
            resume: false,
            device: Backend::default(),
            threads: None,
            checkpoint_seconds: 120.0,
            validate_seconds: 300.0,
            log_steps: 10,
        }
    }

    /// Sets the highest learning rate of the schedule.
    ///
    /// # Errors
    /// [`TrainError::Options`] where it is not a positive number.
    pub fn set_learning_rate(&mut self, rate: f64) -> Result<()> {
        if !(rate > 0.0 && rate < 1.0) {
            return Err(TrainError::Options(format!("learning rate {rate}: give a number between 0 and 1")));
        }
        match &mut self.schedule {
            Schedule::Cosine { peak, floor, .. } => {
                *peak = rate;
                *floor = floor.min(rate);
            }
            Schedule::InverseRoot { factor, width, warm_up, .. } => {
                *factor = rate * (*warm_up as f64 * *width).sqrt();
            }
        }
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<()> {
        if self.steps == 0 || self.batch == 0 || self.log_steps == 0 {
            return Err(TrainError::Options("steps, batch and log steps must be at least 1".into()));
        }
        if self.max_minutes.is_some_and(|minutes| minutes.is_nan() || minutes <= 0.0) {
            return Err(TrainError::Options("the minutes of a training must be above 0".into()));
        }
        if self.out.as_os_str().is_empty() || self.data.as_os_str().is_empty() {
            return Err(TrainError::Options("a training needs a data folder and an output folder".into()));
        }
        Ok(())
    }

    /// Sets the number of threads of the whole program, if asked for and not set before.
    pub(crate) fn set_threads(&self) {
        if let Some(threads) = self.threads {
            // Fails only where the pool runs already; then its size stays.
            let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        }
    }
}
