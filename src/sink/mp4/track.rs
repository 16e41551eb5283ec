//! One track under way: access units gathered into chunks, and the index of those that are in the file: what a player must
//! know to find and time each.
//!
//! Terms of ISO 14496-12: an MP4 sample is one coded access unit; a chunk is a run of MP4 samples of one track that lie
//! together in the file.

use std::collections::VecDeque;

/// Seconds of one track that lie together: small enough that a player needs to read little ahead.
const CHUNK_S: f64 = 0.5;

/// Media data that waits for its turn in the file.
pub(super) struct Chunk {
    /// Start in ticks.
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) mp4_samples: Vec<Mp4Sample>,
}

/// One coded access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mp4Sample {
    pub(super) size: u32,
    /// How long it lasts.
    pub(super) ticks: u32,
    /// Whether decoding can start here.
    pub(super) is_key: bool,
}

/// One track, as far as it has come.
pub(super) struct Track {
    /// Ticks a second of this track's clock.
    pub(super) timescale: u32,
    /// Ticks that all MP4 samples last together.
    pub(super) ticks: u64,
    pub(super) index: Index,
    open: Option<Chunk>,
    waiting: VecDeque<Chunk>,
}

/// What the file holds of a track.
#[derive(Default)]
pub(super) struct Index {
    /// Size in bytes of each MP4 sample.
    pub(super) sizes: Vec<u32>,
    /// Number, from 1, of each MP4 sample where decoding can start.
    pub(super) keys: Vec<u32>,
    /// Runs of MP4 samples that last as long: (count, ticks of each).
    pub(super) times: Vec<(u32, u32)>,
    /// Of each chunk: its place in the media data, and how many MP4 samples it has.
    pub(super) chunks: Vec<(u64, u32)>,
}

impl Track {
    pub(super) fn new(timescale: u32) -> Self {
        Self { timescale, ticks: 0, index: Index::default(), open: None, waiting: VecDeque::new() }
    }

    /// Takes the next MP4 sample.
    pub(super) fn push(&mut self, bytes: &[u8], ticks: u32, is_key: bool) {
        let start = self.ticks;
        let chunk = self.open.get_or_insert_with(|| Chunk { start, bytes: Vec::new(), mp4_samples: Vec::new() });
        chunk.bytes.extend_from_slice(bytes);
        chunk.mp4_samples.push(Mp4Sample { size: bytes.len() as u32, ticks, is_key });
        self.ticks += u64::from(ticks);
        if (self.ticks - chunk.start) as f64 >= CHUNK_S * f64::from(self.timescale) {
            self.close_chunk();
        }
    }

    /// Lets the last MP4 sample, which must not be in the file yet, end where the track shall.
    pub(super) fn end_at(&mut self, ticks: u64) {
        let surplus = self.ticks.saturating_sub(ticks);
        let last = self.open.as_mut().or(self.waiting.back_mut()).and_then(|chunk| chunk.mp4_samples.last_mut());
        if let Some(last) = last.filter(|last| surplus <= u64::from(last.ticks)) {
            last.ticks -= surplus as u32;
            self.ticks -= surplus;
        }
    }

    /// Ends the open chunk, if there is one.
    pub(super) fn close_chunk(&mut self) {
        self.waiting.extend(self.open.take());
    }

    /// Chunks that are complete and not yet in the file.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Start in seconds of the first chunk that waits.
    pub(super) fn next_start_s(&self) -> Option<f64> {
        self.waiting.front().map(|chunk| chunk.start as f64 / f64::from(self.timescale))
    }

    /// Gives out the first chunk that waits.
    pub(super) fn next_chunk(&mut self) -> Option<Chunk> {
        self.waiting.pop_front()
    }
}

impl Index {
    /// Adds a chunk that is written at `offset` in the media data.
    pub(super) fn add(&mut self, offset: u64, chunk: &Chunk) {
        for &Mp4Sample { size, ticks, is_key } in &chunk.mp4_samples {
            self.sizes.push(size);
            if is_key {
                self.keys.push(self.sizes.len() as u32);
            }
            match self.times.last_mut() {
                Some(run) if run.1 == ticks => run.0 += 1,
                _ => self.times.push((1, ticks)),
            }
        }
        self.chunks.push((offset, chunk.mp4_samples.len() as u32));
    }

    /// Runs of chunks that have as many MP4 samples: (number of the first chunk, from 1; MP4 samples in each).
    pub(super) fn chunk_runs(&self) -> Vec<(u32, u32)> {
        let mut runs: Vec<(u32, u32)> = Vec::new();
        for (index, &(_, mp4_samples)) in self.chunks.iter().enumerate() {
            if runs.last().is_none_or(|run| run.1 != mp4_samples) {
                runs.push((index as u32 + 1, mp4_samples));
            }
        }
        runs
    }

    /// Bits a second: on average, and of the largest MP4 sample, where each lasts `ticks` of `timescale`.
    pub(super) fn bit_rates(&self, ticks: u32, timescale: u32) -> (u32, u32) {
        let rate = |bytes: u64, mp4_samples: u64| {
            let seconds = (mp4_samples.max(1) * u64::from(ticks)) as f64 / f64::from(timescale);
            (8.0 * bytes as f64 / seconds).round() as u32
        };
        let total = self.sizes.iter().map(|&size| u64::from(size)).sum();
        let largest = self.sizes.iter().copied().max().unwrap_or(0);
        (rate(total, self.sizes.len() as u64), rate(u64::from(largest), 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_short_and_the_last_mp4_sample_ends_with_the_sound() {
        for (end, times) in [
            (30 * 1024, vec![(30, 1024)]),
            (30 * 1024 - 1000, vec![(29, 1024), (1, 24)]),
            (29 * 1024, vec![(29, 1024), (1, 0)]),
            // What is no part of the last MP4 sample is left alone.
            (28 * 1024, vec![(30, 1024)]),
        ] {
            let mut track = Track::new(24_000);
            for _ in 0..30 {
                track.push(&[0; 300], 1024, true);
            }
            track.end_at(end);
            track.close_chunk();
            while let Some(chunk) = track.next_chunk() {
                track.index.add(0, &chunk);
            }
            // 0.5 s are 11.7 MP4 samples.
            assert_eq!(track.index.chunk_runs(), [(1, 12), (3, 6)]);
            assert_eq!(track.index.times, times);
            assert_eq!(track.ticks, times.iter().map(|run| u64::from(run.0 * run.1)).sum::<u64>());
            assert_eq!(track.index.bit_rates(1024, 24_000), (56_250, 56_250));
            assert_eq!(track.index.keys.len(), 30);
        }
    }
}
