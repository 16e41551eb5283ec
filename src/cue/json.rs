//! Cues as JSON: `sentences`, `words`, `phonemes` and `visemes`, each with its time in seconds (6 digits) and in PCM samples,
//! and the bytes of the source text that it says.
//!
//! ```json
//! {"sample_rate": 24000, "duration": 1.5, "duration_samples": 36000,
//!  "words": [{"text": "hello", "start": 0.1, "end": 0.4875, "start_sample": 2400, "end_sample": 11700, "source": [0, 5]}]}
//! ```

use std::io::{self, Write};

use serde::Serialize;

use super::{CueKind, CueList};

/// The JSON document; see the module.
#[derive(Debug, Serialize)]
struct Document<'a> {
    sample_rate: u32,
    duration: f64,
    duration_samples: u64,
    sentences: Vec<Entry<'a>>,
    words: Vec<Entry<'a>>,
    phonemes: Vec<Entry<'a>>,
    visemes: Vec<Entry<'a>>,
}

#[derive(Debug, Serialize)]
struct Entry<'a> {
    text: &'a str,
    start: f64,
    end: f64,
    start_sample: u64,
    end_sample: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<[usize; 2]>,
}

/// Writes all cues and a final line feed.
///
/// # Errors
/// Those of `writer`.
pub fn write(list: &CueList, writer: &mut impl Write) -> io::Result<()> {
    let document = Document {
        sample_rate: list.sample_rate,
        duration: seconds(list, list.total_samples),
        duration_samples: list.total_samples,
        sentences: entries(list, CueKind::Sentence),
        words: entries(list, CueKind::Word),
        phonemes: entries(list, CueKind::Phoneme),
        visemes: entries(list, CueKind::Viseme),
    };
    serde_json::to_writer_pretty(&mut *writer, &document)?;
    writer.write_all(b"\n")
}

fn entries(list: &CueList, kind: CueKind) -> Vec<Entry<'_>> {
    list.of_kind(kind)
        .map(|cue| {
            let (start, end) = (seconds(list, cue.start_sample), seconds(list, cue.end_sample));
            let source = cue.source.as_ref().map(|source| [source.start, source.end]);
            Entry { text: &cue.text, start, end, start_sample: cue.start_sample, end_sample: cue.end_sample, source }
        })
        .collect()
}

/// Seconds with 6 digits: finer than a PCM sample.
fn seconds(list: &CueList, samples: u64) -> f64 {
    (samples as f64 / f64::from(list.sample_rate) * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cue::Cue;
    use crate::timeline::Timeline;

    #[test]
    fn times_are_those_of_the_timeline() {
        let timeline = Timeline::from_boundaries(vec![0, 2400, 11_701, 36_000]).unwrap();
        let mut list = CueList::new(24_000);
        list.total_samples = timeline.total_samples() + 24_000;
        list.cues.push(Cue::over(CueKind::Word, &timeline, 1..2, "h\"i\n").with_source(3..5).shifted(24_000, 100));
        list.cues.push(Cue::over(CueKind::Viseme, &timeline, 0..1, "sil"));
        let mut bytes = Vec::new();
        write(&list, &mut bytes).unwrap();
        let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let expected = serde_json::json!({
            "sample_rate": 24_000, "duration": 2.5, "duration_samples": 60_000,
            "sentences": [], "phonemes": [],
            "words": [{"text": "h\"i\n", "start": 1.1, "end": 1.487542, "start_sample": 26_400, "end_sample": 35_701,
                "source": [103, 105]}],
            "visemes": [{"text": "sil", "start": 0.0, "end": 0.1, "start_sample": 0, "end_sample": 2400}],
        });
        assert_eq!(read, expected);
    }
}
