//! What a training tells while it runs: a CSV file with a row every few steps, one for validation, and a progress bar
//! on stderr.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

use super::checkpoint::write_atomically;
use super::error::{Result, TrainError};

/// A CSV file whose first column is the step. Rows are appended one by one and never kept back.
pub(crate) struct CsvLog {
    path: PathBuf,
    header: Option<String>,
}

impl CsvLog {
    /// Opens the log for a training that goes on at `step`: rows of later steps, left by a run that was cut off after
    /// its last checkpoint, are dropped.
    pub(crate) fn open(path: &Path, step: u64) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) if step > 0 => text,
            Ok(_) => String::new(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(TrainError::read(path, error)),
        };
        let mut lines = text.lines();
        let header = lines.next().map(str::to_string);
        let mut kept = header.clone().map(|line| line + "\n").unwrap_or_default();
        for line in lines {
            let row_step: Option<u64> = line.split(',').next().and_then(|cell| cell.parse().ok());
            if row_step.is_some_and(|row_step| row_step <= step) {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        write_atomically(path, kept.as_bytes())?;
        Ok(Self { path: path.to_path_buf(), header })
    }

    /// Appends a row; the first row's names become the header.
    pub(crate) fn row(&mut self, step: u64, cells: &[(&str, f64)]) -> Result<()> {
        let mut text = String::new();
        if self.header.is_none() {
            let names: Vec<&str> = std::iter::once("step").chain(cells.iter().map(|cell| cell.0)).collect();
            let header = names.join(",");
            text = header.clone() + "\n";
            self.header = Some(header);
        }
        write!(text, "{step}").expect("a string takes all");
        for (_, value) in cells {
            write!(text, ",{}", short(*value)).expect("a string takes all");
        }
        text.push('\n');
        let append = || -> std::io::Result<()> {
            let mut file = std::fs::OpenOptions::new().append(true).create(true).open(&self.path)?;
            std::io::Write::write_all(&mut file, text.as_bytes())
        };
        append().map_err(|error| TrainError::write(&self.path, error))
    }
}

/// Six significant digits.
fn short(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return value.to_string();
    }
    let digits = (5 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_string() } else { text }
}

/// The running means of a log row.
#[derive(Default)]
pub(crate) struct Means {
    sums: Vec<(&'static str, f64)>,
    count: u64,
}

impl Means {
    /// Adds the figures of one step; every step has the same names.
    pub(crate) fn add(&mut self, parts: &[(&'static str, f64)]) {
        if self.sums.is_empty() {
            self.sums = parts.iter().map(|(name, _)| (*name, 0.0)).collect();
        }
        for ((_, sum), (_, value)) in self.sums.iter_mut().zip(parts) {
            *sum += value;
        }
        self.count += 1;
    }

    /// The means since the last call.
    pub(crate) fn take(&mut self) -> Vec<(&'static str, f64)> {
        let count = self.count.max(1) as f64;
        self.count = 0;
        std::mem::take(&mut self.sums).into_iter().map(|(name, sum)| (name, sum / count)).collect()
    }
}

/// A bar over the steps, drawn on stderr where that is a terminal.
pub(crate) fn progress_bar(kind: &str, step: u64, steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps).with_position(step);
    let style = ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len} {per_sec} {eta} {msg}")
        .expect("the template is right");
    bar.set_style(style);
    bar.set_prefix(kind.to_string());
    // Not from the step that a resumed training starts at: its speed is of this run.
    bar.reset_eta();
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resumed_log_drops_rows_after_the_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.csv");
        let mut log = CsvLog::open(&path, 0).unwrap();
        for step in [10, 20, 30] {
            log.row(step, &[("loss", 1.0 / step as f64), ("rate", 2e-3)]).unwrap();
        }
        let mut log = CsvLog::open(&path, 20).unwrap();
        log.row(30, &[("loss", 0.5), ("rate", 0.0)]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "step,loss,rate\n10,0.1,0.002\n20,0.05,0.002\n30,0.5,0\n");
    }

    #[test]
    fn numbers_keep_six_digits() {
        assert_eq!(short(0.000_012_345_678), "0.0000123457");
        assert_eq!(short(123_456.7), "123457");
        assert_eq!(short(-2.5), "-2.5");
        assert_eq!(short(f64::NAN), "NaN");
    }
}
