//! The index of one track: what a player must know to find and time each access unit, gathered while media data streams by.
//!
//! Terms of ISO 14496-12: an MP4 sample is one coded access unit; a chunk is a run of MP4 samples of one track that lie
//! together in the file.

use std::collections::VecDeque;

/// Seconds of one track that lie together: small enough that a player needs to read little ahead.
const CHUNK_S: f64 = 0.5;

/// Media data that waits for its turn in the file.
pub(super) struct Chunk {
    /// Start in seconds.
    pub(super) start_s: f64,
    pub(super) bytes: Vec<u8>,
    mp4_samples: u32,
}

/// One track, as far as it has come.
pub(super) struct Track {
    /// Ticks a second of this track's clock.
    pub(super) timescale: u32,
    /// Ticks that each MP4 sample lasts.
    pub(super) mp4_sample_ticks: u32,
    /// Size in bytes of each MP4 sample.
    pub(super) sizes: Vec<u32>,
    /// Number, from 1, of each MP4 sample where decoding can start.
    pub(super) keys: Vec<u32>,
    /// Of each chunk in the file: its place in the media data, and how many MP4 samples it has.
    pub(super) chunks: Vec<(u64, u32)>,
    open: Option<Chunk>,
    waiting: VecDeque<Chunk>,
}

impl Track {
    pub(super) fn new(timescale: u32, mp4_sample_ticks: u32) -> Self {
        Self {
            timescale,
            mp4_sample_ticks,
            sizes: Vec::new(),
            keys: Vec::new(),
            chunks: Vec::new(),
            open: None,
            waiting: VecDeque::new(),
        }
    }

    /// Takes the next MP4 sample.
    pub(super) fn push(&mut self, mp4_sample: &[u8], is_key: bool) {
        let period_s = f64::from(self.mp4_sample_ticks) / f64::from(self.timescale);
        let start_s = self.sizes.len() as f64 * period_s;
        let chunk = self.open.get_or_insert_with(|| Chunk { start_s, bytes: Vec::new(), mp4_samples: 0 });
        chunk.bytes.extend_from_slice(mp4_sample);
        chunk.mp4_samples += 1;
        let is_full = f64::from(chunk.mp4_samples) * period_s >= CHUNK_S;
        self.sizes.push(mp4_sample.len() as u32);
        if is_key {
            self.keys.push(self.sizes.len() as u32);
        }
        if is_full {
            self.close_chunk();
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
        self.waiting.front().map(|chunk| chunk.start_s)
    }

    /// Gives out the first chunk that waits, to be written at `offset` in the media data.
    pub(super) fn next_chunk(&mut self, offset: u64) -> Option<Chunk> {
        let chunk = self.waiting.pop_front()?;
        self.chunks.push((offset, chunk.mp4_samples));
        Some(chunk)
    }

    /// Ticks that all MP4 samples last together.
    pub(super) fn coded_ticks(&self) -> u64 {
        self.sizes.len() as u64 * u64::from(self.mp4_sample_ticks)
    }

    /// Runs of MP4 samples that last as long: (count, ticks of each). The last one ends at `media_ticks`, where the sound
    /// ends, and not where its access unit does.
    pub(super) fn time_runs(&self, media_ticks: u64) -> Vec<(u32, u32)> {
        let count = self.sizes.len() as u32;
        let surplus = self.coded_ticks().saturating_sub(media_ticks);
        match u32::try_from(surplus) {
            Ok(surplus) if (1..=self.mp4_sample_ticks).contains(&surplus) => {
                let runs = [(count - 1, self.mp4_sample_ticks), (1, self.mp4_sample_ticks - surplus)];
                runs.into_iter().filter(|run| run.0 > 0).collect()
            }
            _ => vec![(count, self.mp4_sample_ticks)],
        }
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

    /// Bits a second: on average, and of the largest MP4 sample.
    pub(super) fn bit_rates(&self) -> (u32, u32) {
        let rate = |bytes: u64, mp4_samples: u64| {
            let seconds = (mp4_samples.max(1) * u64::from(self.mp4_sample_ticks)) as f64 / f64::from(self.timescale);
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
        let mut track = Track::new(24_000, 1024);
        for _ in 0..30 {
            track.push(&[0; 300], true);
        }
        track.close_chunk();
        while track.next_chunk(0).is_some() {}
        // 0.5 s are 11.7 MP4 samples.
        assert_eq!(track.chunk_runs(), [(1, 12), (3, 6)]);
        assert_eq!(track.time_runs(30 * 1024), [(30, 1024)]);
        assert_eq!(track.time_runs(30 * 1024 - 1000), [(29, 1024), (1, 24)]);
        assert_eq!(track.bit_rates(), (56_250, 56_250));
        assert_eq!(track.keys.len(), 30);
    }
}
