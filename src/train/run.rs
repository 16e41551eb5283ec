//! The training loop that all trainers share: batch, loss, gradient, step; log, checkpoint, validation, end.

use std::path::Path;
use std::time::Instant;

use candle_core::Tensor;
use paravox_models::config::{self, ConfigError};
use paravox_models::params::Params;
use serde::Serialize;

use super::batches::Prefetch;
use super::checkpoint::{self, Progress};
use super::error::{Result, TrainError};
use super::log::{CsvLog, Means, progress_bar};
use super::optimiser::{AdamW, AdamWOptions};
use super::options::TrainOptions;
use super::start::Start;

/// First steps that say nothing of the speed: a GPU's kernels are compiled, memory is asked for.
const SLOW_STEPS: u64 = 5;
/// Steps after these, and share of the time, whose speed plans a training of so many minutes for the first time; it is
/// planned anew after these seconds, then after twice as many each time, up to the most and to a quarter of what is left.
const SPEED_STEPS: u64 = 20;
const SPEED_SHARE: f64 = 0.02;
const PLAN_SECONDS: f64 = 0.5;
const MOST_PLAN_SECONDS: f64 = 60.0;
/// Steps in a row without a finite gradient that end a training.
const DIVERGED_STEPS: u64 = 50;

/// The loss of one batch.
pub(crate) struct Loss {
    /// A scalar to walk down.
    pub(crate) total: Tensor,
    /// Its named parts, for the log; the same names at every step.
    pub(crate) parts: Vec<(&'static str, f64)>,
}

impl Loss {
    /// The weighted sum of named losses.
    pub(crate) fn weighted(parts: &[(&'static str, f64, Tensor)]) -> candle_core::Result<Self> {
        let mut total: Option<Tensor> = None;
        let mut figures = vec![("loss", 0.0)];
        // All at once: each look at a GPU's results waits for them.
        let values = Tensor::stack(&parts.iter().map(|(_, _, loss)| loss.detach()).collect::<Vec<_>>(), 0)?;
        for ((name, weight, loss), value) in parts.iter().zip(values.to_vec1::<f32>()?) {
            let value = f64::from(value);
            figures[0].1 += weight * value;
            figures.push((name, value));
            let loss = if *weight == 1.0 { loss.clone() } else { (loss * *weight)? };
            total = Some(match total {
                Some(total) => (total + loss)?,
                None => loss,
            });
        }
        let total = total.ok_or_else(|| candle_core::Error::Msg("a loss has at least one part".into()))?;
        Ok(Self { total, parts: figures })
    }
}

/// The nets' configuration: of the training that is resumed, else of a file where the preset ends in `.toml`, else of the
/// nets of `kind` that the training starts from, else of the preset, which `preset` reads.
pub(crate) fn config<C: serde::de::DeserializeOwned>(
    options: &TrainOptions,
    kind: &str,
    preset: impl Fn(&str) -> std::result::Result<C, ConfigError>,
) -> Result<C> {
    let begun = options.out.join(checkpoint::CONFIG);
    let path = if options.resume && begun.exists() {
        begun
    } else if options.preset.ends_with(".toml") {
        options.preset.clone().into()
    } else if let Some((from, Some(text))) =
        options.from.as_ref().map(|from| Ok::<_, TrainError>((from, Start::read(from, kind)?.config))).transpose()?
    {
        return config::from_toml(&text).map_err(|error| TrainError::checkpoint(from, error));
    } else {
        return preset(&options.preset).map_err(|error| TrainError::Options(error.to_string()));
    };
    checkpoint::read_config(&path)
}

/// One set of nets in training.
pub(crate) trait Trainer {
    /// What one step works on.
    type Batch: Send + 'static;
    /// What the nets are made of.
    type Config: Serialize;
    /// `voice`, `vocoder` and so on: the sub-command of `paravox train`.
    const KIND: &'static str;

    /// All that a checkpoint holds and the optimiser may change.
    fn params(&self) -> &Params;
    /// The nets' configuration.
    fn config(&self) -> &Self::Config;
    /// The loss of a batch in training; `dropout_seed` belongs to this step.
    fn loss(&self, batch: Self::Batch, dropout_seed: u64) -> candle_core::Result<Loss>;
    /// The part of the learning rate that the parameter of this name learns at.
    fn rate_share(&self, _name: &str) -> f64 {
        1.0
    }
    /// Figures on the validation split; samples to look at and to hear go into `folder`.
    fn validate(&self, folder: &Path) -> Result<Vec<(&'static str, f64)>>;
}

/// How a training ended.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrainReport {
    /// Steps done, over all runs.
    pub steps: u64,
    /// Seconds spent, over all runs.
    pub seconds: f64,
    /// Steps skipped because the gradient was not finite.
    pub skipped: u64,
    /// Trained parameters.
    pub parameters: usize,
    /// Mean loss of each of the last steps.
    pub losses: Vec<(&'static str, f64)>,
    /// Figures on the validation split at the end.
    pub validation: Vec<(&'static str, f64)>,
}

/// Trains to the end of the schedule.
pub(crate) fn run<T: Trainer>(
    trainer: &T,
    options: &TrainOptions,
    make_batch: impl Fn(u64) -> Result<T::Batch> + Send + 'static,
) -> Result<TrainReport> {
    std::fs::create_dir_all(&options.out).map_err(|error| TrainError::write(&options.out, error))?;
    let mut loop_ = Loop::start(trainer, options)?;
    let batches = Prefetch::start(loop_.progress.step, make_batch);
    let bar = progress_bar(T::KIND, loop_.progress.step, loop_.progress.steps);
    while loop_.progress.step < loop_.progress.steps {
        loop_.step(&batches)?;
        bar.set_length(loop_.progress.steps);
        bar.set_position(loop_.progress.step);
        if let Some((name, value)) = loop_.last_losses.first() {
            bar.set_message(format!("{name} {value:.4}"));
        }
    }
    bar.finish_and_clear();
    let validation = loop_.validate()?;
    loop_.save()?;
    Ok(TrainReport {
        steps: loop_.progress.step,
        seconds: loop_.seconds(),
        skipped: loop_.optimiser.skipped(),
        parameters: trainer.params().count(),
        losses: loop_.last_losses,
        validation,
    })
}

struct Loop<'a, T: Trainer> {
    trainer: &'a T,
    options: &'a TrainOptions,
    optimiser: AdamW,
    progress: Progress,
    log: CsvLog,
    valid_log: CsvLog,
    means: Means,
    last_losses: Vec<(&'static str, f64)>,
    skipped_in_a_row: u64,
    started: Instant,
    /// Seconds of the runs before this one.
    seconds_before: f64,
    saved: Instant,
    validated: Instant,
    /// Step that this run began with.
    first_step: u64,
    /// Step and time that the speed is measured from.
    speed_from: (u64, Instant),
    /// Seconds from then to the next plan; `None` before the first.
    plan_seconds: Option<f64>,
}

impl<'a, T: Trainer> Loop<'a, T> {
    fn start(trainer: &'a T, options: &'a TrainOptions) -> Result<Self> {
        let adamw = AdamWOptions { clip_norm: options.clip_norm, ..Default::default() };
        let mut optimiser =
            AdamW::with_rate_shares(trainer.params().trainable(), adamw, |name| trainer.rate_share(name))?;
        let mut progress = Progress {
            kind: T::KIND.to_string(),
            step: 0,
            steps: options.steps,
            seconds: 0.0,
            updates: 0,
            skipped: 0,
            seed: options.seed,
        };
        let path = options.out.join(checkpoint::CHECKPOINT);
        let vars = trainer.params().vars();
        match checkpoint::load(&options.out)? {
            Some(_) if !options.resume => {
                return Err(TrainError::Options(format!(
                    "{} holds a training already: give --resume to go on with it, or another folder",
                    options.out.display()
                )));
            }
            Some(found) => {
                if found.progress.kind != T::KIND {
                    return Err(TrainError::checkpoint(&path, format!("it trains {}", found.progress.kind)));
                }
                if found.progress.seed != options.seed {
                    let reason = format!("it was begun with seed {}: give the same", found.progress.seed);
                    return Err(TrainError::checkpoint(&path, reason));
                }
                checkpoint::assign(&vars, &found.model, &path)?;
                optimiser.restore(&found.optimiser, found.progress.updates, found.progress.skipped)?;
                let planned = if options.max_minutes.is_some() { found.progress.steps } else { options.steps };
                progress = Progress { steps: planned, ..found.progress };
            }
            None => {
                if let Some(from) = &options.from {
                    let nets: Vec<_> = vars.iter().filter(|(name, _)| !checkpoint::is_aid(name)).cloned().collect();
                    Start::read(from, T::KIND)?.assign(&nets)?;
                }
                checkpoint::write_config(&options.out.join(checkpoint::CONFIG), trainer.config())?;
            }
        }
        let now = Instant::now();
        Ok(Self {
            log: CsvLog::open(&options.out.join("log.csv"), progress.step)?,
            valid_log: CsvLog::open(&options.out.join("valid.csv"), progress.step)?,
            seconds_before: progress.seconds,
            first_step: progress.step,
            speed_from: (progress.step, now),
            plan_seconds: None,
            trainer,
            options,
            optimiser,
            progress,
            means: Means::default(),
            last_losses: Vec::new(),
            skipped_in_a_row: 0,
            started: now,
            saved: now,
            validated: now,
        })
    }

    fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    fn step(&mut self, batches: &Prefetch<T::Batch>) -> Result<()> {
        let step = self.progress.step;
        let rate = self.options.schedule.rate(step, self.progress.steps);
        let mut clock = Clock::start();
        let batch = batches.next()?;
        let wait_ms = clock.lap_ms();
        let loss = self.trainer.loss(batch, self.options.seed ^ step.wrapping_mul(0x9e37_79b9_7f4a_7c15))?;
        let forward_ms = clock.lap_ms();
        let grads = loss.total.backward()?;
        let backward_ms = clock.lap_ms();
        let report = self.optimiser.step(&grads, rate)?;
        drop((grads, loss.total));
        let update_ms = clock.lap_ms();

        self.skipped_in_a_row = if report.applied { 0 } else { self.skipped_in_a_row + 1 };
        if self.skipped_in_a_row >= DIVERGED_STEPS {
            return Err(TrainError::Diverged { step, count: self.skipped_in_a_row });
        }
        let mut parts = loss.parts;
        parts.push(("grad_norm", report.grad_norm));
        parts.push(("step_ms", wait_ms + forward_ms + backward_ms + update_ms));
        parts.push(("wait_ms", wait_ms));
        parts.push(("forward_ms", forward_ms));
        parts.push(("backward_ms", backward_ms));
        parts.push(("update_ms", update_ms));
        self.means.add(&parts);
        self.progress.step += 1;
        self.plan();
        if self.progress.step.is_multiple_of(self.options.log_steps) || self.progress.step == self.progress.steps {
            self.write_row(rate)?;
        }
        if self.validated.elapsed().as_secs_f64() >= self.options.validate_seconds {
            self.validate()?;
        }
        if self.saved.elapsed().as_secs_f64() >= self.options.checkpoint_seconds {
            self.save()?;
        }
        Ok(())
    }

    fn write_row(&mut self, rate: f64) -> Result<()> {
        self.last_losses = self.means.take();
        let mut row = self.last_losses.clone();
        row.extend([
            ("rate", rate),
            ("skipped", self.optimiser.skipped() as f64),
            ("seconds", self.seconds()),
            ("steps", self.progress.steps as f64),
        ]);
        self.log.row(self.progress.step, &row)
    }

    /// Fits the number of steps to the minutes: at first after [`SPEED_STEPS`], then whenever the speed has changed by
    /// more than a fiftieth, as other work comes and goes.
    fn plan(&mut self) {
        let Some(minutes) = self.options.max_minutes else { return };
        if self.progress.step == self.first_step + SLOW_STEPS {
            self.speed_from = (self.progress.step, Instant::now());
        }
        let (from, since) = self.speed_from;
        let (done, elapsed) = (self.progress.step - from, since.elapsed().as_secs_f64());
        let due = match self.plan_seconds {
            None => done >= SPEED_STEPS && elapsed >= SPEED_SHARE * minutes * 60.0,
            Some(seconds) => elapsed >= seconds && done > 0,
        };
        if !due {
            return;
        }
        self.speed_from = (self.progress.step, Instant::now());
        let seconds_per_step = elapsed / done as f64;
        let left = (minutes * 60.0 - self.seconds()).max(0.0);
        let longer = self.plan_seconds.map_or(PLAN_SECONDS, |seconds| (2.0 * seconds).min(MOST_PLAN_SECONDS));
        self.plan_seconds = Some(longer.min(0.25 * left));
        let steps = self.progress.step + (left / seconds_per_step) as u64;
        let steps = steps.min(self.options.steps).max(self.progress.step);
        if steps.abs_diff(self.progress.steps) * 50 > self.progress.steps || left == 0.0 {
            self.progress.steps = steps;
        }
    }

    fn validate(&mut self) -> Result<Vec<(&'static str, f64)>> {
        let folder = self.options.out.join("samples").join(format!("{:07}", self.progress.step));
        std::fs::create_dir_all(&folder).map_err(|error| TrainError::write(&folder, error))?;
        let figures = self.trainer.validate(&folder)?;
        self.valid_log.row(self.progress.step, &figures)?;
        self.validated = Instant::now();
        Ok(figures)
    }

    fn save(&mut self) -> Result<()> {
        self.progress.seconds = self.seconds();
        self.progress.updates = self.optimiser.updates();
        self.progress.skipped = self.optimiser.skipped();
        checkpoint::save(&self.options.out, &self.progress, &self.trainer.params().vars(), self.optimiser.state()?)?;
        self.saved = Instant::now();
        Ok(())
    }
}

/// Times the laps of a step.
struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Self(Instant::now())
    }

    fn lap_ms(&mut self) -> f64 {
        let lap = self.0.elapsed().as_secs_f64() * 1e3;
        self.0 = Instant::now();
        lap
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use candle_core::Device;
    use rand::Rng;

    use crate::train::batches::step_rng;

    /// Two layers that learn y = |x| from noisy points, with dropout made from the step's seed.
    struct Tiny {
        params: Params,
        config: BTreeMap<&'static str, u32>,
    }

    impl Tiny {
        fn new() -> Self {
            let params = Params::new(0, &Device::Cpu);
            for (name, shape, k) in [("a", (1, 16), 0.7f32), ("b", (16, 1), 1.3)] {
                params.builder().get(shape, name).unwrap();
                let values: Vec<f32> = (0..16).map(|i| (i as f32 * k).sin()).collect();
                let (_, var) = params.vars().into_iter().find(|var| var.0 == name).unwrap();
                var.set(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap();
            }
            Self { params, config: BTreeMap::from([("width", 16)]) }
        }
    }

    impl Trainer for Tiny {
        type Batch = Vec<f32>;
        type Config = BTreeMap<&'static str, u32>;
        const KIND: &'static str = "tiny";
        fn params(&self) -> &Params {
            &self.params
        }
        fn config(&self) -> &Self::Config {
            &self.config
        }
        fn loss(&self, batch: Vec<f32>, dropout_seed: u64) -> candle_core::Result<Loss> {
            let xs = Tensor::from_vec(batch, (8, 1), &Device::Cpu)?;
            let kept = if step_rng(dropout_seed, 0).random::<bool>() { 1.0 } else { 0.5 };
            let vars = self.params.vars();
            let ys = (xs.matmul(&vars[0].1)?.relu()? * kept)?.matmul(&vars[1].1)?;
            let total = (ys - xs.abs()?)?.sqr()?.mean_all()?;
            let value = f64::from(total.to_scalar::<f32>()?);
            Ok(Loss { total, parts: vec![("loss", value)] })
        }
        fn validate(&self, _: &Path) -> Result<Vec<(&'static str, f64)>> {
            Ok(vec![("loss", 0.0)])
        }
    }

    fn batch(step: u64) -> Result<Vec<f32>> {
        let mut rng = step_rng(3, step);
        Ok((0..8).map(|_| rng.random_range(-1.0..1.0)).collect())
    }

    fn options(out: &Path, steps: u64) -> TrainOptions {
        let mut options = TrainOptions::recipe("tiny", 8, 1e-2);
        (options.out, options.steps, options.log_steps) = (out.to_path_buf(), steps, 1);
        options
    }

    /// The loss column of the log, as written.
    fn losses(out: &Path) -> Vec<String> {
        let text = std::fs::read_to_string(out.join("log.csv")).unwrap();
        text.lines().skip(1).map(|line| line.split(',').nth(1).unwrap().to_string()).collect()
    }

    #[test]
    fn resumed_training_equals_straight_training() {
        let (straight, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let trained = Tiny::new();
        run(&trained, &options(straight.path(), 10), batch).unwrap();

        // Stop after five of ten steps: the checkpoint of a run that is killed.
        let first = Tiny::new();
        let ten = options(cut.path(), 10);
        let mut loop_ = Loop::start(&first, &ten).unwrap();
        let batches = Prefetch::start(0, batch);
        for _ in 0..7 {
            loop_.step(&batches).unwrap();
            if loop_.progress.step == 5 {
                loop_.save().unwrap();
            }
        }
        drop(loop_);
        let resumed = Tiny::new();
        let report = run(&resumed, &TrainOptions { resume: true, ..ten }, batch).unwrap();
        assert_eq!(report.steps, 10);
        assert_eq!(losses(straight.path()).len(), 10);
        assert_eq!(losses(straight.path()), losses(cut.path()));
        for ((_, a), (_, b)) in trained.params.vars().iter().zip(&resumed.params.vars()) {
            let values = |var: &Tensor| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(a), values(b));
        }
    }

    #[test]
    fn a_training_is_not_overwritten_by_accident() {
        let folder = tempfile::tempdir().unwrap();
        run(&Tiny::new(), &options(folder.path(), 3), batch).unwrap();
        assert!(matches!(run(&Tiny::new(), &options(folder.path(), 3), batch), Err(TrainError::Options(_))));
        let other = TrainOptions { resume: true, seed: 2, ..options(folder.path(), 3) };
        assert!(run(&Tiny::new(), &other, batch).unwrap_err().to_string().contains("seed 1"));
    }

    #[test]
    fn minutes_end_a_training_at_the_end_of_its_schedule() {
        let folder = tempfile::tempdir().unwrap();
        let options = TrainOptions { max_minutes: Some(0.02), steps: 50_000_000, ..options(folder.path(), 1) };
        let report = run(&Tiny::new(), &options, batch).unwrap();
        assert!(report.steps > SPEED_STEPS && report.seconds < 20.0, "{report:?}");
        let text = std::fs::read_to_string(folder.path().join("log.csv")).unwrap();
        let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        let rate = names.iter().position(|name| *name == "rate").unwrap();
        let last: f64 = text.lines().last().unwrap().split(',').nth(rate).unwrap().parse().unwrap();
        assert!(last < 2e-5, "{last}");
    }

    #[test]
    fn slow_first_steps_do_not_cut_a_training_short() {
        let folder = tempfile::tempdir().unwrap();
        let options = TrainOptions { max_minutes: Some(0.04), steps: 50_000_000, ..options(folder.path(), 1) };
        let batch = |step| {
            if step < SLOW_STEPS {
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            batch(step)
        };
        let report = run(&Tiny::new(), &TrainOptions { log_steps: 1000, ..options }, batch).unwrap();
        assert!(report.seconds > 1.5, "{report:?}");
    }

    #[test]
    fn a_gradient_that_stays_infinite_ends_the_training() {
        let folder = tempfile::tempdir().unwrap();
        let error = run(&Tiny::new(), &options(folder.path(), 100), |_| Ok(vec![f32::NAN; 8])).unwrap_err();
        assert!(matches!(error, TrainError::Diverged { count: DIVERGED_STEPS, .. }), "{error}");
    }
}
