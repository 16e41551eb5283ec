//! Text on its way from whoever pushes it to the planner, and a record of it.

use std::collections::VecDeque;
use std::io::Read;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::text_source::More;

/// Bytes that may wait; who pushes more waits himself.
const MOST_WAITING: usize = 64 * 1024;
/// Bytes that are kept after they were read, to be looked up.
const MOST_KEPT: usize = 1024 * 1024;

/// A bounded queue of text that remembers what passed through it.
#[derive(Default)]
pub(crate) struct TextQueue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The last part of the text; its first byte is byte `dropped` of the whole.
    text: Vec<u8>,
    dropped: usize,
    /// How much of the whole was read.
    read: usize,
    /// Where the text so far was said to be whole.
    breaks: VecDeque<usize>,
    is_finished: bool,
    is_closed: bool,
}

/// Nobody reads the text any more, or its end was announced.
#[derive(Debug)]
pub(crate) struct Closed;

impl TextQueue {
    /// Appends text; waits while too much of it is unread.
    pub(crate) fn push(&self, text: &[u8]) -> Result<(), Closed> {
        for piece in text.chunks(MOST_WAITING / 2) {
            let mut state = self.lock();
            while state.end() - state.read > MOST_WAITING && !state.is_over() {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.is_over() {
                return Err(Closed);
            }
            state.text.extend_from_slice(piece);
            self.changed.notify_all();
        }
        if self.lock().is_over() { Err(Closed) } else { Ok(()) }
    }

    /// Says that the text so far ends a sentence.
    pub(crate) fn flush(&self) {
        let mut state = self.lock();
        let end = state.end();
        state.breaks.push_back(end);
        self.changed.notify_all();
    }

    /// Says that no more will be pushed.
    pub(crate) fn finish(&self) {
        self.lock().is_finished = true;
        self.changed.notify_all();
    }

    /// Ends the text at once, for both sides.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Takes what there is, waiting until there is something.
    pub(crate) fn take(&self, into: &mut Vec<u8>) -> More {
        let mut state = self.lock();
        loop {
            let next_break = state.breaks.front().copied();
            let end = next_break.unwrap_or(state.end());
            if state.is_closed {
                return More::End;
            }
            if end > state.read {
                into.extend_from_slice(&state.text[state.read - state.dropped..end - state.dropped]);
                state.read = end;
                state.forget();
                self.changed.notify_all();
                return More::Text;
            }
            if next_break.is_some() {
                state.breaks.pop_front();
                return More::Break;
            }
            if state.is_finished {
                return More::End;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Reads all that is pushed up to the end, through breaks.
    pub(crate) fn reader(&self) -> impl Read + Send + '_ {
        Reader { queue: self, taken: Vec::new(), at: 0 }
    }

    /// The text of a range of bytes, as far as it is still known.
    pub(crate) fn text(&self, range: Range<usize>) -> String {
        let state = self.lock();
        let at = |offset: usize| offset.clamp(state.dropped, state.end()) - state.dropped;
        String::from_utf8_lossy(&state.text[at(range.start)..at(range.end)]).into_owned()
    }

    /// Bytes pushed so far.
    pub(crate) fn end(&self) -> usize {
        self.lock().end()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        super::lock(&self.state)
    }
}

struct Reader<'a> {
    queue: &'a TextQueue,
    taken: Vec<u8>,
    at: usize,
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.taken.len() {
            self.taken.clear();
            self.at = 0;
            if self.queue.take(&mut self.taken) == More::End {
                return Ok(0);
            }
        }
        let count = into.len().min(self.taken.len() - self.at);
        into[..count].copy_from_slice(&self.taken[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

impl State {
    fn end(&self) -> usize {
        self.dropped + self.text.len()
    }

    fn is_over(&self) -> bool {
        self.is_finished || self.is_closed
    }

    fn forget(&mut self) {
        let read = self.read - self.dropped;
        // Now and then, not for each token.
        if read > 2 * MOST_KEPT {
            self.text.drain(..read - MOST_KEPT);
            self.dropped += read - MOST_KEPT;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn text_comes_out_as_it_went_in_with_its_breaks() {
        let queue = TextQueue::default();
        let mut out = Vec::new();
        queue.push(b"One ").unwrap();
        queue.push(b"two").unwrap();
        queue.flush();
        queue.push(b"three").unwrap();
        queue.finish();
        assert!(queue.push(b"four").is_err());
        let kinds: Vec<More> = (0..5).map(|_| queue.take(&mut out)).collect();
        assert_eq!(kinds, [More::Text, More::Break, More::Text, More::End, More::End]);
        assert_eq!((&*out, queue.end()), (&b"One twothree"[..], 12));
        assert_eq!(queue.text(4..7), "two");
        assert_eq!(queue.text(7..99), "three");
    }

    #[test]
    fn a_whole_text_is_read_through_its_breaks() {
        let queue = TextQueue::default();
        queue.push(b"One ").unwrap();
        queue.flush();
        queue.push(b"two").unwrap();
        queue.finish();
        let mut text = String::new();
        queue.reader().take(6).read_to_string(&mut text).unwrap();
        assert_eq!(text, "One tw");
    }

    #[test]
    fn a_reader_that_lags_holds_the_writer_and_a_close_frees_both() {
        let queue = Arc::new(TextQueue::default());
        let writer = {
            let queue = queue.clone();
            std::thread::spawn(move || queue.push(&[b'a'; 4 * MOST_WAITING]))
        };
        std::thread::sleep(Duration::from_millis(50));
        assert!(!writer.is_finished() && queue.end() <= 2 * MOST_WAITING);
        queue.close();
        assert!(writer.join().unwrap().is_err());
        assert_eq!(queue.take(&mut Vec::new()), More::End);
        let queue = Arc::new(TextQueue::default());
        let reader = {
            let queue = queue.clone();
            std::thread::spawn(move || queue.take(&mut Vec::new()))
        };
        std::thread::sleep(Duration::from_millis(20));
        queue.close();
        assert_eq!(reader.join().unwrap(), More::End);
    }

    #[test]
    fn memory_stays_bounded_and_the_latest_text_is_known() {
        let queue = TextQueue::default();
        for _ in 0..200 {
            queue.push(&[b'x'; 60_000]).unwrap();
            queue.take(&mut Vec::new());
        }
        queue.push(b"end").unwrap();
        assert!(queue.lock().text.len() <= 2 * MOST_KEPT + 2 * MOST_WAITING);
        assert_eq!(queue.text(12_000_000..12_000_003), "end");
    }
}
