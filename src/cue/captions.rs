//! Sentences and words grouped into captions that can be read: at most two lines of at most 42 characters, never across the
//! end of a sentence, each shown exactly while it is spoken.
//!
//! The text is the source's, punctuation included, where words know their bytes of it; else the words as spoken.

use super::{Cue, CueKind};

/// The usual bounds of subtitling (BBC and Netflix guidelines alike).
const LINE_CHARS: usize = 42;
const LINES: usize = 2;

/// Some text and when it is shown, in PCM samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caption {
    pub(crate) start_sample: u64,
    pub(crate) end_sample: u64,
    pub(crate) lines: Vec<String>,
}

/// Gathers the words of one sentence and gives its captions when the next one comes.
#[derive(Debug, Default)]
pub(crate) struct Captioner {
    sentence: Option<Cue>,
    words: Vec<Cue>,
}

impl Captioner {
    /// Takes the next cue in order of time and gives the captions that are complete with it.
    pub(crate) fn push(&mut self, cue: &Cue) -> Vec<Caption> {
        match (cue.kind, &self.sentence) {
            (CueKind::Sentence, _) => {
                let captions = self.finish();
                self.sentence = Some(cue.clone());
                captions
            }
            (CueKind::Word, Some(_)) => {
                self.words.push(cue.clone());
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Gives the captions of the last sentence.
    pub(crate) fn finish(&mut self) -> Vec<Caption> {
        let words = std::mem::take(&mut self.words);
        self.sentence.take().map(|sentence| captions(&sentence, &words)).unwrap_or_default()
    }
}

/// Text that stays together: a word with the punctuation around it. White space is single spaces, none at its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unit {
    text: String,
    start_sample: u64,
    end_sample: u64,
}

/// The captions of a sentence, in order.
fn captions(sentence: &Cue, words: &[Cue]) -> Vec<Caption> {
    let lines = balanced_lines(&units(sentence, words));
    let captions = lines.chunks(LINES).map(|lines| {
        let units = || lines.iter().flatten();
        let start_sample = units().map(|unit| unit.start_sample).min().unwrap_or(0);
        let end_sample = units().map(|unit| unit.end_sample).max().unwrap_or(0);
        Caption { start_sample, end_sample, lines: lines.iter().map(|line| join(line)).collect() }
    });
    captions.collect()
}

/// Splits a sentence into its units.
fn units(sentence: &Cue, words: &[Cue]) -> Vec<Unit> {
    let whole =
        [Unit { text: sentence.text.clone(), start_sample: sentence.start_sample, end_sample: sentence.end_sample }];
    let units = match from_source(sentence, words) {
        Some(units) => units,
        None if words.is_empty() => whole.to_vec(),
        None => words
            .iter()
            .map(|word| Unit { text: word.text.clone(), start_sample: word.start_sample, end_sample: word.end_sample })
            .collect(),
    };
    units.iter().flat_map(pieces).collect()
}

/// Cuts the sentence's own text before each word. Words said from the same bytes ("2024") stay one unit. `None` where the
/// words do not know their bytes, or the sentence's text is not the source's.
fn from_source(sentence: &Cue, words: &[Cue]) -> Option<Vec<Unit>> {
    let start = sentence.source.as_ref().filter(|source| source.len() == sentence.text.len())?.start;
    // (byte in the sentence where the unit starts, the words' end byte, start, end)
    let mut spans: Vec<(usize, usize, u64, u64)> = Vec::new();
    for word in words {
        let source = word.source.as_ref()?;
        let (from, to) = (source.start.checked_sub(start)?, source.end.checked_sub(start)?);
        match spans.last_mut() {
            Some(last) if from < last.1 => {
                last.1 = last.1.max(to);
                last.3 = word.end_sample;
            }
            _ => spans.push((from, to, word.start_sample, word.end_sample)),
        }
    }
    // What stands before the first word belongs to it, and an opening quote or bracket to the word after it.
    for index in 0..spans.len() {
        let after = if index == 0 { 0 } else { spans[index - 1].1 };
        let gap = sentence.text.get(after..spans[index].0)?;
        let opening = match index {
            0 => 0,
            _ => gap
                .rfind(char::is_whitespace)
                .map_or(gap.len(), |at| at + gap[at..].chars().next().map_or(1, char::len_utf8)),
        };
        spans[index].0 = after + opening;
    }
    let ends = spans.iter().skip(1).map(|span| span.0).chain([sentence.text.len()]);
    let units = spans.iter().zip(ends).map(|(&(from, _, start_sample, end_sample), to)| {
        Some(Unit { text: sentence.text.get(from..to)?.to_owned(), start_sample, end_sample })
    });
    let units: Option<Vec<Unit>> = units.collect();
    units.filter(|units| !units.is_empty())
}

/// Breaks a unit at white space, and where a line could not hold it, anywhere; time is shared out by characters.
fn pieces(unit: &Unit) -> Vec<Unit> {
    let chars = |text: &str| text.chars().count() as u64;
    let texts: Vec<String> = unit
        .text
        .split_whitespace()
        .flat_map(|word| {
            let word: Vec<char> = word.chars().filter(|c| !c.is_control()).collect();
            word.chunks(LINE_CHARS).map(|chunk| chunk.iter().collect()).collect::<Vec<String>>()
        })
        .collect();
    let total = texts.iter().map(|text| chars(text)).sum::<u64>().max(1);
    let length = unit.end_sample.saturating_sub(unit.start_sample);
    let mut said = 0;
    texts
        .into_iter()
        .map(|text| {
            let start_sample = unit.start_sample + length * said / total;
            said += chars(&text);
            Unit { text, start_sample, end_sample: unit.start_sample + length * said / total }
        })
        .collect()
}

/// As few lines as possible, and those as equal as possible.
fn balanced_lines(units: &[Unit]) -> Vec<Vec<Unit>> {
    let fewest = lines(units, LINE_CHARS);
    let longest = units.iter().map(|unit| unit.text.chars().count()).max().unwrap_or(0);
    (longest..LINE_CHARS).map(|width| lines(units, width)).find(|lines| lines.len() == fewest.len()).unwrap_or(fewest)
}

/// Lines of at most `width` characters, each as full as it can be. No unit is longer than `width`.
fn lines(units: &[Unit], width: usize) -> Vec<Vec<Unit>> {
    let mut lines: Vec<Vec<Unit>> = Vec::new();
    let mut used = 0;
    for unit in units {
        let chars = unit.text.chars().count();
        match lines.last_mut() {
            Some(line) if used + 1 + chars <= width => {
                used += 1 + chars;
                line.push(unit.clone());
            }
            _ => {
                used = chars;
                lines.push(vec![unit.clone()]);
            }
        }
    }
    lines
}

fn join(line: &[Unit]) -> String {
    line.iter().map(|unit| unit.text.as_str()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
