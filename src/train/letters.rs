//! A clip's text letter by letter, for lips that read letters, as ParaLip does on GRID.
//!
//! What was aligned are words; a word's letters share its time evenly. Between words stands a mark, which has the time of the
//! pause there, or none.

use super::error::{Result, TrainError};
use crate::data::lips::LipsMeta;

/// What stands between words, and at both ends.
const MARK: u32 = 0;

/// Ids of marks and letters, a to z from 1 on, and the seconds of their edges, one more.
pub(crate) fn spelled(meta: &LipsMeta) -> Result<(Vec<u32>, Vec<f32>)> {
    // A sentence that is said again has its words again.
    let words = meta.text.split_whitespace().map(letters).filter(|word| !word.is_empty());
    let mut words = words.collect::<Vec<_>>().into_iter().cycle();
    let (mut ids, mut edges_s) = (Vec::new(), Vec::new());
    let mut at = 0;
    for run in meta.symbols.chunk_by(|a, b| a.phoneme.is_pause() == b.phoneme.is_pause() && !b.word_start) {
        let (start_s, end_s) = (meta.boundaries_s[at], meta.boundaries_s[at + run.len()]);
        at += run.len();
        if run[0].phoneme.is_pause() {
            ids.push(MARK);
            edges_s.push(start_s);
        } else {
            if ids.last().is_none_or(|last| *last != MARK) {
                ids.push(MARK);
                edges_s.push(start_s);
            }
            let Some(word) = words.next() else {
                let why = "its text has no letters: train on symbols";
                return Err(TrainError::Data(format!("{}/{}: {why}", meta.speaker, meta.clip)));
            };
            let share_s = (end_s - start_s) / word.len() as f32;
            edges_s.extend((0..word.len()).map(|i| start_s + i as f32 * share_s));
            ids.extend(word);
        }
    }
    edges_s.push(meta.boundaries_s[at]);
    Ok((ids, edges_s))
}

/// Ids of a word's letters.
fn letters(word: &str) -> Vec<u32> {
    let letters = word.bytes().map(|byte| byte.to_ascii_lowercase()).filter(u8::is_ascii_lowercase);
    letters.map(|letter| u32::from(letter - b'a') + 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Phoneme, SentenceKind, Symbol};

    fn clip(text: &str) -> LipsMeta {
        let pause = Symbol::pause(Phoneme::Silence, SentenceKind::Statement);
        let phone = |phoneme, word_start| Symbol { phoneme, word_start, ..pause };
        let symbols = vec![
            pause,
            phone(Phoneme::B, true),
            phone(Phoneme::Ay, false),
            phone(Phoneme::T, true),
            pause,
            phone(Phoneme::B, true),
        ];
        let mut meta = LipsMeta::for_tests(symbols, vec![0.0, 0.2, 0.3, 0.4, 0.7, 0.8, 1.0], 25);
        meta.text = text.into();
        meta
    }

    #[test]
    fn letters_share_the_time_of_their_word() {
        let (ids, edges_s) = spelled(&clip("by tea")).unwrap();
        // |by|tea|by
        assert_eq!(ids, [0, 2, 25, 0, 20, 5, 1, 0, 2, 25]);
        let expected = [0.0, 0.2, 0.3, 0.4, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0];
        assert!(edges_s.iter().zip(expected).all(|(a, b): (&f32, f32)| (a - b).abs() < 1e-6), "{edges_s:?}");
        assert_eq!(edges_s.len(), ids.len() + 1);
    }

    #[test]
    fn a_text_without_letters_is_an_error() {
        assert!(spelled(&clip("7 -")).unwrap_err().to_string().contains("no letters"));
    }
}
