//! Batches, assembled on a thread of their own while the nets work on the one before.
//!
//! A batch is a function of (seed, step) alone: a resumed training sees the batches that an uninterrupted one would.

use crossbeam_channel::{Receiver, bounded};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::error::{Result, TrainError};

/// Batches that lie ready at most; each is a few megabytes.
const READY: usize = 2;

/// The random numbers of one step.
pub(crate) fn step_rng(seed: u64, step: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(step);
    rng
}

/// Batches from a step on, in order, made ahead of their use.
pub(crate) struct Prefetch<B> {
    receiver: Receiver<Result<B>>,
}

impl<B: Send + 'static> Prefetch<B> {
    /// Starts the thread; it ends when this is dropped, or at the first error.
    pub(crate) fn start(step: u64, make: impl Fn(u64) -> Result<B> + Send + 'static) -> Self {
        let (sender, receiver) = bounded(READY);
        std::thread::spawn(move || {
            for step in step.. {
                let batch = make(step);
                let failed = batch.is_err();
                if sender.send(batch).is_err() || failed {
                    break;
                }
            }
        });
        Self { receiver }
    }

    /// The next batch.
    pub(crate) fn next(&self) -> Result<B> {
        self.receiver.recv().map_err(|_| TrainError::Data("the assembly of batches stopped".into()))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::RngCore;

    #[test]
    fn batches_come_in_order_and_depend_on_the_step_alone() {
        let make = |step| Ok((step, step_rng(5, step).next_u64()));
        let (all, late) = (Prefetch::start(0, make), Prefetch::start(3, make));
        let all: Vec<_> = (0..5).map(|_| all.next().unwrap()).collect();
        assert_eq!(all.iter().map(|batch| batch.0).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!([late.next().unwrap(), late.next().unwrap()], all[3..5]);
        assert_ne!(all[0].1, all[1].1);
    }

    #[test]
    fn an_error_reaches_the_trainer() {
        let batches = Prefetch::<()>::start(0, |_| Err(TrainError::Data("no sentences".into())));
        assert_eq!(batches.next().unwrap_err().to_string(), "no sentences");
        assert!(batches.next().is_err());
    }
}
