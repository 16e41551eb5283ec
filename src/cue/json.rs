//! Cues as JSON: `sentences`, `words`, `phonemes`, `visemes` and `marks`, each with its time in seconds (6 digits) and in PCM
//! samples, and the place in the source text that it says: `source` in bytes of its UTF-8, `chars` in characters (Unicode
//! scalar values).
//!
//! ```json
//! {"sample_rate": 24000,
//!  "words": [{"text": "hello", "start": 0.1, "end": 0.4875, "start_sample": 2400, "end_sample": 11700,
//!             "source": [0, 5], "chars": [0, 5]}],
//!  "duration": 1.5, "duration_samples": 36000}
//! ```

use std::io::{self, Seek, Write};

use serde::{Deserialize, Serialize};
use tempfile::SpooledTempFile;

use super::{Cue, CueKind};

/// Bytes of one kind of cue that stay in memory; what is more goes to a nameless temporary file.
const IN_MEMORY: usize = 1 << 16;

const LISTS: [(&str, CueKind); 5] = [
    ("sentences", CueKind::Sentence),
    ("words", CueKind::Word),
    ("phonemes", CueKind::Phoneme),
    ("visemes", CueKind::Viseme),
    ("marks", CueKind::Mark),
];

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    text: String,
    start: f64,
    end: f64,
    start_sample: u64,
    end_sample: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source: Option<[usize; 2]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chars: Option<[usize; 2]>,
}

impl Entry {
    fn of(cue: &Cue, sample_rate: u32) -> Self {
        Self {
            text: cue.text.clone(),
            start: seconds(cue.start_sample, sample_rate),
            end: seconds(cue.end_sample, sample_rate),
            start_sample: cue.start_sample,
            end_sample: cue.end_sample,
            source: cue.source.as_ref().map(|source| [source.start, source.end]),
            chars: cue.chars.as_ref().map(|chars| [chars.start, chars.end]),
        }
    }
}

/// Writes the document. Its lists are one kind of cue each while cues of all kinds come together, so each list is gathered
/// apart, in memory that does not grow.
pub(super) struct JsonWriter<W> {
    sample_rate: u32,
    lists: [SpooledTempFile; LISTS.len()],
    writer: W,
}

impl<W: Write> JsonWriter<W> {
    pub(super) fn new(sample_rate: u32, writer: W) -> Self {
        Self { sample_rate, lists: LISTS.map(|_| tempfile::spooled_tempfile(IN_MEMORY)), writer }
    }

    pub(super) fn push(&mut self, cue: &Cue) -> io::Result<()> {
        let Some(index) = LISTS.iter().position(|list| list.1 == cue.kind) else { return Ok(()) };
        let list = &mut self.lists[index];
        let mut line = if list.stream_position()? == 0 { b"\n    ".to_vec() } else { b",\n    ".to_vec() };
        serde_json::to_writer(&mut line, &Entry::of(cue, self.sample_rate))?;
        list.write_all(&line)
    }

    /// Writes the whole, a final line feed included; the stream has `total_samples` PCM samples.
    pub(super) fn finish(self, total_samples: u64) -> io::Result<W> {
        let Self { sample_rate, lists, mut writer } = self;
        writeln!(writer, "{{\n  \"sample_rate\": {sample_rate},")?;
        for ((name, _), mut list) in LISTS.iter().zip(lists) {
            write!(writer, "  \"{name}\": [")?;
            list.rewind()?;
            let copied = io::copy(&mut list, &mut writer)?;
            writeln!(writer, "{}],", if copied > 0 { "\n  " } else { "" })?;
        }
        let duration = seconds(total_samples, sample_rate);
        writeln!(writer, "  \"duration\": {duration:?},\n  \"duration_samples\": {total_samples}\n}}")?;
        Ok(writer)
    }
}

/// Reads the cues of a document, those of one kind after those of another, with its rate in PCM samples a second.
pub(crate) fn read(bytes: &[u8]) -> serde_json::Result<(u32, Vec<Cue>)> {
    use serde::de::Error;
    let mut object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes)?;
    let sample_rate = object.remove("sample_rate").unwrap_or_default();
    let sample_rate: u32 = serde_json::from_value(sample_rate)?;
    let mut cues = Vec::new();
    for (name, kind) in LISTS {
        let entries: Vec<Entry> = serde_json::from_value(object.remove(name).unwrap_or_else(|| serde_json::json!([])))?;
        for Entry { text, start_sample, end_sample, source, chars, .. } in entries {
            let is_backwards = |range: Option<[usize; 2]>| range.is_some_and(|[start, end]| end < start);
            if end_sample < start_sample || is_backwards(source) || is_backwards(chars) {
                return Err(serde_json::Error::custom(format!("a cue of {name} ends before it starts")));
            }
            let [source, chars] = [source, chars].map(|range| range.map(|[start, end]| start..end));
            cues.push(Cue { kind, start_sample, end_sample, text, source, chars });
        }
    }
    Ok((sample_rate, cues))
}

/// Seconds with 6 digits: finer than a PCM sample.
fn seconds(samples: u64, sample_rate: u32) -> f64 {
    (samples as f64 / f64::from(sample_rate) * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::Timeline;

    #[test]
    fn times_are_those_of_the_timeline() {
        let timeline = Timeline::from_boundaries(vec![0, 2400, 11_701, 36_000]).unwrap();
        let cues = [
            Cue::over(CueKind::Viseme, &timeline, 0..1, "sil"),
            Cue::over(CueKind::Word, &timeline, 1..2, "h\"i\n").with_source(103..105, 99..101).shifted(24_000),
        ];
        let mut writer = JsonWriter::new(24_000, Vec::new());
        cues.iter().for_each(|cue| writer.push(cue).unwrap());
        let bytes = writer.finish(timeline.total_samples() + 24_000).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let expected = serde_json::json!({
            "sample_rate": 24_000, "duration": 2.5, "duration_samples": 60_000,
            "sentences": [], "phonemes": [], "marks": [],
            "words": [{"text": "h\"i\n", "start": 1.1, "end": 1.487542, "start_sample": 26_400, "end_sample": 35_701,
                "source": [103, 105], "chars": [99, 101]}],
            "visemes": [{"text": "sil", "start": 0.0, "end": 0.1, "start_sample": 0, "end_sample": 2400}],
        });
        assert_eq!(written, expected);
        let [viseme, word] = cues;
        assert_eq!(read(&bytes).unwrap(), (24_000, vec![word, viseme]));
    }

    #[test]
    fn long_lists_leave_memory_and_come_back_whole() {
        let mut writer = JsonWriter::new(24_000, Vec::new());
        let timeline = Timeline::from_boundaries(vec![0, 10]).unwrap();
        for index in 0..2000 {
            let cue = Cue::over(CueKind::Word, &timeline, 0..1, format!("word {index}")).shifted(10 * index);
            writer.push(&cue).unwrap();
        }
        assert!(writer.lists[1].is_rolled());
        let (_, cues) = read(&writer.finish(20_000).unwrap()).unwrap();
        assert!(cues.len() == 2000 && cues[1999].text == "word 1999" && cues[1999].end_sample == 20_000);
    }

    #[test]
    fn foreign_documents_are_errors() {
        for text in ["", "[]", "{\"words\": []}", "{\"sample_rate\": 1, \"words\": [{\"text\": \"a\"}]}"] {
            assert!(read(text.as_bytes()).is_err(), "{text}");
        }
    }
}
