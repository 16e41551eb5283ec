//! What trained nets are worth: figures on sentences and clips that they have not seen.
//!
//! | module | role |
//! |---|---|
//! | [`psnr`], [`ssim`], [`motion_energy`] | how close and how lively a generated lip clip is |
//! | [`sharpness`] | how much fine detail the mouth has |
//! | [`landmarks`], [`lmd`], [`closure`] | where the lips are, how far that is from the real ones, and whether they close |
//! | [`durations`] | errors of durations that lips predict on their own |
//! | [`reading`], [`frechet`] | what a lip reader makes of generated clips |
//! | [`clips`], [`lips`] | whole clips from trained lips, and these figures of them |
//! | [`references`] | whole clips from the autoregressive systems that the lips are compared with |
//! | [`paper`] | the tables of ParaLip's paper for trained lips and references |
//! | [`voice`] | how close predicted mel, F0 and durations are |
//! | [`align`] | how close found word times are to given ones |
//! | [`reader`] | how well a lip reader reads real clips, and finds times in them |

pub mod align;
pub mod clips;
pub mod closure;
pub mod durations;
pub mod frechet;
pub mod landmarks;
pub mod lips;
pub mod lmd;
pub mod motion_energy;
pub mod paper;
pub mod psnr;
pub mod reader;
pub mod reading;
pub mod references;
pub mod sharpness;
pub mod ssim;
pub mod voice;

use serde::Serialize;

pub use align::{AlignReport, EvalAlignOptions, eval_align};
pub use clips::{LipsReport, SpeakerFigures};
pub use lips::{EvalLipsOptions, eval_lips};
pub use paper::{EvalPaperOptions, PaperReport, eval_paper};
pub use reader::{EvalReaderOptions, ReaderReport, align_lips, eval_reader};
pub use references::ReferenceNets;
pub use voice::{EvalVoiceOptions, VoiceReport, eval_voice};

/// A figure that is gathered over many inputs.
pub trait Metric<Input: ?Sized> {
    /// Name in reports.
    fn name(&self) -> &'static str;
    /// Unit of the value; empty for a ratio.
    fn unit(&self) -> &'static str;
    /// Whether a larger value is better.
    fn higher_is_better(&self) -> bool;
    /// Adds an input.
    fn update(&mut self, input: &Input);
    /// The figure over all inputs so far; `None` before the first that counts.
    fn value(&self) -> Option<f64>;
}

/// The value of a metric, for reports.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Figure {
    /// Name of the metric.
    pub name: &'static str,
    /// Its value.
    pub value: f64,
    /// Unit of the value; empty for a ratio.
    pub unit: &'static str,
    /// Whether a larger value is better.
    pub higher_is_better: bool,
}

impl Figure {
    /// The figure of a metric that has seen input that counts.
    pub(crate) fn of<Input: ?Sized>(metric: &dyn Metric<Input>) -> Option<Self> {
        let (name, unit, higher_is_better) = (metric.name(), metric.unit(), metric.higher_is_better());
        metric.value().map(|value| Self { name, value, unit, higher_is_better })
    }
}

/// A generated clip beside the real one: RGB video frames of one size, byte by byte.
#[derive(Debug, Clone, Copy)]
pub struct ClipPair<'a> {
    /// Width and height of the video frames in pixels.
    pub size: (usize, usize),
    /// T x height x width x 3, generated.
    pub generated: &'a [u8],
    /// T x height x width x 3, real.
    pub real: &'a [u8],
    /// The video frames in which the real clip says something: the first, and the one after the last.
    pub sentence: (usize, usize),
}

impl<'a> ClipPair<'a> {
    /// Bytes of a video frame.
    fn video_frame_bytes(&self) -> usize {
        3 * self.size.0 * self.size.1
    }

    /// The generated and real video frames side by side; the longer clip's rest is left out.
    fn video_frames(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let bytes = self.video_frame_bytes().max(1);
        self.generated.chunks_exact(bytes).zip(self.real.chunks_exact(bytes))
    }
}

/// A running mean.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.add_weighted(value, 1.0);
    }

    /// Adds the mean of `weight` values.
    pub(crate) fn add_weighted(&mut self, value: f64, weight: f64) {
        if weight > 0.0 {
            self.sum += value * weight;
            self.count += weight;
        }
    }

    pub(crate) fn value(&self) -> Option<f64> {
        (self.count > 0.0).then(|| self.sum / self.count)
    }
}
