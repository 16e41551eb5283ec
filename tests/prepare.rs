//! Recordings become data to train on: the aligner that the program carries, and word times that a corpus has.

use std::path::Path;

use paravox::data::SpeechDataset;

use crate::util::{fails, paravox};

const TEXT: &str = "Please call the office, and set the alarm for seven.";

/// Speaks to `out` and gives the start of each word in seconds.
fn speak(text: &str, voice: &str, out: &Path) -> Vec<f64> {
    let cues = out.with_extension("json");
    let mut command = paravox();
    command.args(["speak", text, "--format", "wav", "--voice", voice, "-o"]).arg(out);
    command.arg("--cues").arg(&cues).assert().success();
    let cues: serde_json::Value = serde_json::from_slice(&std::fs::read(cues).unwrap()).unwrap();
    cues["words"].as_array().unwrap().iter().map(|word| word["start"].as_f64().unwrap()).collect()
}

fn prepare(corpus: &Path, out: &Path) -> SpeechDataset {
    paravox().args(["prepare", "speech"]).arg(corpus).arg("-o").arg(out).assert().success();
    SpeechDataset::open(out).unwrap()
}

/// Where the words of an item start, in mel frames.
fn word_starts(data: &SpeechDataset, i: usize) -> Vec<u32> {
    let item = data.get(i);
    let mut at = 0;
    let mut starts = Vec::new();
    for (symbol, length) in item.symbols.iter().zip(item.durations.unwrap()) {
        starts.extend(symbol.word_start.then_some(at));
        at += length;
    }
    starts
}

#[test]
fn words_are_found_in_recordings_without_times() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = folder.path().join("me");
    std::fs::create_dir(&corpus).unwrap();
    std::fs::write(corpus.join("metadata.csv"), format!("heart|{TEXT}\nmichael|{TEXT}\n")).unwrap();
    let truth = ["heart", "michael"].map(|voice| speak(TEXT, voice, &corpus.join(format!("{voice}.wav"))));
    let data = prepare(&corpus, &folder.path().join("data"));
    for (i, truth) in truth.iter().enumerate() {
        let found = word_starts(&data, i);
        assert_eq!(found.len(), truth.len());
        let off = found.iter().zip(truth).map(|(found, truth)| (f64::from(*found) / 80.0 - truth).abs());
        let mean = off.sum::<f64>() / truth.len() as f64;
        assert!(mean < 0.04, "word starts are {mean} s off: {found:?} {truth:?}");
    }
    let mut without = paravox();
    without.args(["prepare", "speech", "--aligner", "none"]).arg(&corpus).arg("-o").arg(folder.path().join("none"));
    without.assert().success();
    assert_eq!(SpeechDataset::open(folder.path().join("none")).unwrap().get(0).durations, None);
    let absent = folder.path().join("absent");
    let mut command = paravox();
    command.args(["prepare", "speech", "--aligner"]).arg(&absent).arg(&corpus).arg("-o").arg(folder.path().join("no"));
    assert!(fails(&mut command, 1).contains("absent"));
}

#[test]
fn words_stay_where_the_corpus_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = folder.path().join("grid");
    std::fs::create_dir_all(corpus.join("s9")).unwrap();
    // A clip is whatever ffmpeg reads, so a WAV file will do.
    let said = speak("Bin blue at [[ˈA]] two now.", "heart", &corpus.join("s9/bbaa2n.mp4"));
    // Not where they are, so that no aligner would find them there.
    let starts_s: Vec<f64> = said.iter().map(|start_s| start_s + 0.05).collect();
    let mut lines = "0 1000 sil\n".to_string();
    for (start_s, word) in starts_s.iter().zip(["bin", "blue", "at", "a", "two", "now"]) {
        lines += &format!("{} {} {word}\n", (start_s * 25_000.0) as u32, ((start_s + 0.1) * 25_000.0) as u32);
    }
    std::fs::write(corpus.join("s9/bbaa2n.align"), lines).unwrap();
    let list = "speaker\tclip\twidth\theight\tsplit\ttext\ns9\tbbaa2n\t1\t1\ttrain\tbin blue at a two now\n";
    std::fs::write(corpus.join("clips.tsv"), list).unwrap();
    let found = word_starts(&prepare(&corpus, &folder.path().join("data")), 0);
    let expected: Vec<u32> = starts_s.iter().map(|start_s| (start_s * 80.0).round() as u32).collect();
    assert!(
        found.iter().zip(&expected).all(|(found, expected)| found.abs_diff(*expected) <= 1),
        "{found:?} {expected:?}"
    );
    assert_eq!(found.len(), 6);
}
