//! What the trainer of the reference systems reads: whole clips, so that each video frame has the one before it.

use candle_core::{Device, Tensor};

use super::error::Result;
use super::lips_corpus::{Clips, LipsBatch, crops_to_tensor};
use crate::face::CROP_BYTES;

/// Clips side by side, whole.
pub(crate) struct ReferenceBatch {
    /// Symbols, identities, and the video frames that are decoded.
    pub(crate) lips: LipsBatch,
    /// (B T, 3, 80, 160): the image before each video frame; before the first the identity's, beyond the end the last.
    pub(crate) previous: Tensor,
    /// (N): row of each decoded video frame in (B T).
    pub(crate) rows: Vec<u32>,
    /// Video frames and symbols of each clip.
    pub(crate) lengths: Vec<(usize, usize)>,
    /// T, the video frames of the longest.
    pub(crate) longest: usize,
}

impl ReferenceBatch {
    /// `n` random clips of which `per_clip` random video frames each are decoded.
    pub(crate) fn new(clips: &Clips, seed: u64, step: u64, n: usize, per_clip: usize) -> Result<Self> {
        let chosen = clips.draw(seed, step, n, per_clip);
        let dataset = &clips.dataset;
        let length = |i: usize| (dataset.meta(i).n_video_frames, dataset.meta(i).symbols.len());
        let lengths: Vec<_> = chosen.iter().map(|choice| length(choice.clip)).collect();
        let longest = lengths.iter().map(|(video_frames, _)| *video_frames).max().unwrap_or(0);
        let (mut previous, mut rows) = (Vec::with_capacity(n * longest), Vec::with_capacity(n * per_clip));
        for (b, (choice, (video_frames, _))) in chosen.iter().zip(&lengths).enumerate() {
            let crop = |k: usize| &dataset.pixels(choice.clip)[k * CROP_BYTES..(k + 1) * CROP_BYTES];
            previous.push(crop(choice.identity));
            previous.extend((1..longest).map(|k| crop((k - 1).min(video_frames - 1))));
            rows.extend(choice.targets.iter().map(|k| (b * longest + k) as u32));
        }
        let previous = crops_to_tensor(&previous, &Device::Cpu)?;
        Ok(Self { lips: LipsBatch::new(clips, &chosen)?, previous, rows, lengths, longest })
    }
}
