//! Speech marks as Amazon Polly writes them (Developer Guide, "Speech Mark Output"): one JSON object a line, in order of
//! time.
//!
//! ```json
//! {"time":373,"type":"word","start":5,"end":8,"value":"had"}
//! ```
//!
//! `time` is in milliseconds; `start` and `end` are bytes of the text, which visemes have none of. Types are `sentence`,
//! `word`, `viseme` and `ssml`, for a mark. The value of a word is what the text says there, once, though it may be spoken as
//! several words ("2024").

use std::io::{self, Write};
use std::ops::Range;

use serde::Serialize;

use super::writer::milliseconds;
use super::{Cue, CueKind};

#[derive(Serialize)]
struct Mark<'a> {
    time: u64,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<usize>,
    value: &'a str,
}

/// Writes marks as the cues come.
pub(super) struct MarkWriter<W> {
    sample_rate: u32,
    /// The sentence that words belong to, where its text is the source's.
    sentence: Option<(Range<usize>, String)>,
    last_word: Option<Range<usize>>,
    writer: W,
}

impl<W: Write> MarkWriter<W> {
    pub(super) fn new(sample_rate: u32, writer: W) -> Self {
        Self { sample_rate, sentence: None, last_word: None, writer }
    }

    pub(super) fn push(&mut self, cue: &Cue) -> io::Result<()> {
        let mut value = cue.text.as_str();
        let r#type = match cue.kind {
            CueKind::Sentence => {
                let source = cue.source.clone().filter(|source| source.len() == cue.text.len());
                self.sentence = source.map(|source| (source, cue.text.clone()));
                "sentence"
            }
            CueKind::Word => {
                if cue.source.is_some() && cue.source == self.last_word {
                    return Ok(());
                }
                self.last_word.clone_from(&cue.source);
                if let (Some((sentence, text)), Some(word)) = (&self.sentence, &cue.source)
                    && let Some(start) = word.start.checked_sub(sentence.start)
                    && let Some(written) = text.get(start..start + word.len())
                {
                    value = written;
                }
                "word"
            }
            CueKind::Viseme => "viseme",
            CueKind::Mark => "ssml",
            CueKind::Phoneme => return Ok(()),
        };
        let (start, end) = cue.source.as_ref().map(|source| (source.start, source.end)).unzip();
        let mark = Mark { time: milliseconds(cue.start_sample, self.sample_rate), r#type, start, end, value };
        serde_json::to_writer(&mut self.writer, &mark)?;
        self.writer.write_all(b"\n")
    }

    pub(super) fn finish(self) -> W {
        self.writer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_those_of_the_guide() {
        // The guide's own text, and a number that is said as two words.
        let text = "Mary had 22 lambs.";
        let cue = |kind, text: &str, start_sample, source| Cue {
            kind,
            start_sample,
            end_sample: start_sample + 100,
            text: text.into(),
            source,
            chars: None,
        };
        let mut writer = MarkWriter::new(24_000, Vec::new());
        for cue in [
            cue(CueKind::Viseme, "sil", 0, None),
            cue(CueKind::Sentence, text, 144, Some(100..118)),
            cue(CueKind::Word, "mary", 144, Some(100..104)),
            cue(CueKind::Phoneme, "m", 144, None),
            cue(CueKind::Viseme, "p", 144, None),
            cue(CueKind::Word, "had", 8952, Some(105..108)),
            cue(CueKind::Word, "twenty", 12_000, Some(109..111)),
            cue(CueKind::Word, "two", 14_400, Some(109..111)),
            cue(CueKind::Mark, "here", 14_413, None),
            cue(CueKind::Word, "lambs", 19_200, Some(112..117)),
        ] {
            writer.push(&cue).unwrap();
        }
        let written = String::from_utf8(writer.finish()).unwrap();
        let expected = [
            r#"{"time":0,"type":"viseme","value":"sil"}"#,
            r#"{"time":6,"type":"sentence","start":100,"end":118,"value":"Mary had 22 lambs."}"#,
            r#"{"time":6,"type":"word","start":100,"end":104,"value":"Mary"}"#,
            r#"{"time":6,"type":"viseme","value":"p"}"#,
            r#"{"time":373,"type":"word","start":105,"end":108,"value":"had"}"#,
            r#"{"time":500,"type":"word","start":109,"end":111,"value":"22"}"#,
            r#"{"time":601,"type":"ssml","value":"here"}"#,
            r#"{"time":800,"type":"word","start":112,"end":117,"value":"lambs"}"#,
        ];
        assert_eq!(written.lines().collect::<Vec<_>>(), expected);
    }
}
