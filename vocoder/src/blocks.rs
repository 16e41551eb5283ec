//! Streams made of blocks of mel frames.
//!
//! Blocks lie at fixed absolute places, the first ones short so that the first sound comes early. Each is computed from
//! its own mel frames and as many around them as it depends on, and from nothing else that changes. So it is the same
//! computation whenever it is done, and a stream equals a whole synthesis bit for bit.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::{Result, VocoderError};
use crate::features::Features;
use crate::vocoder::VocoderStream;

/// Mel frames of the first block; each further one is twice as long, up to [`LONGEST_BLOCK`]. Short blocks cost more,
/// because the mel frames around them are computed again for each.
pub(crate) const FIRST_BLOCK: usize = 16;
pub(crate) const LONGEST_BLOCK: usize = 128;

/// A vocoder that can compute any block of mel frames by itself.
pub(crate) trait BlockSynthesis: Sync {
    /// Mel bands that it reads.
    fn n_mels(&self) -> usize;

    /// Mel frames on each side that the pcm samples of a mel frame depend on.
    fn context(&self) -> usize;

    /// Phase of its pulse train at the centre of the mel frame after `before` = (phase there, F0), which is (0, 0) for
    /// the first one; for vocoders that have one.
    fn next_phase(&self, _before: (f64, f32), _f0_hz: f32) -> f64 {
        0.0
    }

    /// The pcm samples of a block, given by absolute numbers of its mel frames, from what `known` holds around it.
    fn block(&self, known: &Known, block: Range<usize>, seed: u64) -> Result<Vec<f32>>;
}

/// The mel frames that a stream still needs.
pub(crate) struct Known {
    /// Absolute number of the first one held.
    pub(crate) first_mel_frame: usize,
    pub(crate) features: Features,
    /// Phase of the pulse train at the centre of each.
    pub(crate) phase: Vec<f64>,
}

impl Known {
    /// The absolute range and `context` more on each side, as far as there are mel frames.
    pub(crate) fn around(&self, range: &Range<usize>, context: usize) -> Range<usize> {
        let end = self.first_mel_frame + self.features.mel_frames();
        range.start.saturating_sub(context)..(range.end + context).min(end)
    }

    /// The mel frames of an absolute range.
    pub(crate) fn features(&self, range: &Range<usize>) -> Features {
        self.features.slice(relative(range, self.first_mel_frame))
    }
}

/// A range counted from `origin`.
pub(crate) fn relative(range: &Range<usize>, origin: usize) -> Range<usize> {
    range.start - origin..range.end - origin
}

/// A stream through a [`BlockSynthesis`].
pub(crate) struct BlockStream<'a, V> {
    vocoder: &'a V,
    seed: u64,
    known: Known,
    /// Phase and F0 of the last mel frame received.
    last: (f64, f32),
    /// Absolute number of the first mel frame not yet spoken, and the length of the block that begins there.
    next_block: usize,
    block_length: usize,
    finished: bool,
}

impl<'a, V: BlockSynthesis> BlockStream<'a, V> {
    pub(crate) fn new(vocoder: &'a V, seed: u64) -> Self {
        let features = Features::empty(vocoder.n_mels());
        Self {
            vocoder,
            seed,
            known: Known { first_mel_frame: 0, features, phase: Vec::new() },
            last: (0.0, 0.0),
            next_block: 0,
            block_length: FIRST_BLOCK,
            finished: false,
        }
    }

    /// Computes all blocks that are certain by now and forgets what no later one needs.
    fn advance(&mut self) -> Result<Vec<f32>> {
        let (vocoder, seed, context) = (self.vocoder, self.seed, self.vocoder.context());
        let received = self.known.first_mel_frame + self.known.features.mel_frames();
        let mut blocks = Vec::new();
        loop {
            let block = self.next_block..self.next_block + self.block_length;
            if self.finished && block.start < received {
                blocks.push(block.start..block.end.min(received));
            } else if !self.finished && block.end + context <= received {
                blocks.push(block.clone());
            } else {
                break;
            }
            self.next_block = block.end;
            self.block_length = (2 * self.block_length).min(LONGEST_BLOCK);
        }
        let known = &self.known;
        let parts: Result<Vec<_>> = blocks.into_par_iter().map(|block| vocoder.block(known, block, seed)).collect();
        let pcm = parts?.concat();
        let unneeded = self.next_block.saturating_sub(context).saturating_sub(self.known.first_mel_frame);
        let unneeded = unneeded.min(self.known.features.mel_frames());
        let Features { n_mels, mel, f0_hz } = &mut self.known.features;
        mel.drain(..unneeded * *n_mels);
        f0_hz.drain(..unneeded);
        self.known.phase.drain(..unneeded);
        self.known.first_mel_frame += unneeded;
        Ok(pcm)
    }
}

impl<V: BlockSynthesis> VocoderStream for BlockStream<'_, V> {
    fn push(&mut self, features: &Features) -> Result<Vec<f32>> {
        if self.finished {
            return Err(VocoderError::input("the utterance has ended: start another stream for more mel frames"));
        }
        features.check()?;
        self.known.features.append(features)?;
        for &f0 in &features.f0_hz {
            self.last = (self.vocoder.next_phase(self.last, f0), f0);
            self.known.phase.push(self.last.0);
        }
        self.advance()
    }

    fn finish(&mut self) -> Result<Vec<f32>> {
        if self.finished {
            return Ok(Vec::new());
        }
        self.finished = true;
        self.advance()
    }
}

/// What every vocoder's tests check.
#[cfg(test)]
pub(crate) mod checks {
    use super::*;
    use crate::vocoder::Vocoder;
    use rand::{Rng, SeedableRng};

    pub(crate) fn features(mel_frames: usize) -> Features {
        let mel = (0..mel_frames * 80).map(|i| -5.0 + 3.0 * (i as f32 * 0.37).sin()).collect();
        let f0_hz = |i: usize| if i % 29 < 7 { 0.0 } else { 150.0 + 60.0 * (i as f32 * 0.1).sin() };
        Features::new(80, mel, (0..mel_frames).map(f0_hz).collect()).expect("sizes agree")
    }

    /// Random pushes give the same pcm samples as a whole synthesis, and no more mel frames are held back than needed.
    pub(crate) fn streamed_equals_whole(vocoder: &impl Vocoder, context: usize, mel_frames: &[usize]) -> Result<()> {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let hop_length = vocoder.mel_config().hop_length;
        for &mel_frames in mel_frames {
            let features = features(mel_frames);
            let whole = vocoder.synthesise(&features, 7)?;
            assert_eq!(whole.len(), hop_length * mel_frames);
            for longest in [1, 9, 64] {
                let mut stream = vocoder.stream(7);
                let (mut pcm, mut at) = (Vec::new(), 0);
                while at < mel_frames {
                    let next = at + rng.random_range(0..=longest);
                    pcm.extend(stream.push(&features.slice(at..next))?);
                    at = next.min(mel_frames);
                    assert!(at < pcm.len() / hop_length + LONGEST_BLOCK + context);
                }
                pcm.extend(stream.finish()?);
                assert!(pcm == whole, "{mel_frames} mel frames in pushes of up to {longest}");
                assert!(stream.finish()?.is_empty());
                assert!(matches!(stream.push(&features), Err(VocoderError::Input(_))));
            }
        }
        Ok(())
    }

    /// One, two and five threads give the same pcm samples.
    pub(crate) fn threads_do_not_show(vocoder: &impl Vocoder, mel_frames: usize) -> Result<()> {
        let features = features(mel_frames);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads can be started");
            pool.install(|| vocoder.synthesise(&features, 7))
        };
        let one = on(1)?;
        assert!(one == on(2)? && one == on(5)?);
        Ok(())
    }
}
