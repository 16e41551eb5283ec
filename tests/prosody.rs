//! Prosody as it is heard: SSML, questions, pace and length on the built-in voice.

use std::path::Path;

use paravox_vocoder::f0;
use serde_json::Value;

use crate::util::{fails, paravox};

const SENTENCE: &str = "The weather will be mild this afternoon.";

/// Speaks into a WAV file and reads it.
fn speak(args: &[&str]) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    paravox().arg("speak").args(args).arg("-o").arg(&path).assert().success();
    read(&path)
}

fn read(path: &Path) -> Vec<f32> {
    let mut reader = hound::WavReader::open(path).unwrap();
    reader.samples::<i16>().map(|value| f32::from(value.unwrap()) / 32_768.0).collect()
}

fn ssml(inner: &str) -> Vec<f32> {
    speak(&["--ssml", &format!("<speak>{inner}</speak>")])
}

fn plan(document: &str) -> Value {
    let output = paravox().args(["plan", "--json", "--ssml", document]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Voiced F0 in semitones.
fn semitones(pcm: &[f32]) -> Vec<f64> {
    let voiced = f0::track(pcm, 24_000).into_iter().filter(|f0| *f0 > 0.0);
    voiced.map(|f0| 12.0 * f64::from(f0).log2()).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn rms_db(pcm: &[f32]) -> f64 {
    10.0 * (pcm.iter().map(|value| f64::from(value * value)).sum::<f64>() / pcm.len() as f64).log10()
}

#[test]
fn ssml_without_marks_is_the_plain_text() {
    assert!(ssml(SENTENCE) == speak(&[SENTENCE]));
}

/// Pitch leaves the timeline as it is, so F0 is compared place by place: medians would also move with what is found voiced.
#[test]
fn pitch_moves_by_what_was_asked() {
    let plain = f0::track(&speak(&[SENTENCE]), 24_000);
    for asked in [-6.0, 3.0, 6.0] {
        let moved = f0::track(&ssml(&format!("<prosody pitch=\"{asked:+}st\">{SENTENCE}</prosody>")), 24_000);
        let voiced = plain.iter().zip(&moved).filter(|(before, after)| **before > 0.0 && **after > 0.0);
        let heard = median(voiced.map(|(before, after)| 12.0 * f64::from(after / before).log2()).collect());
        assert!((heard - asked).abs() < 0.5, "{asked} semitones asked, {heard} heard");
    }
}

#[test]
fn volume_moves_by_what_was_asked_and_without_clicks() {
    let plain = speak(&[SENTENCE]);
    let soft = ssml(&format!("<prosody volume=\"-12dB\">{SENTENCE}</prosody>"));
    assert_eq!(plain.len(), soft.len());
    assert!((rms_db(&plain) - rms_db(&soft) - 12.0).abs() < 0.2);
    // Silence in the middle of a word's neighbourhood starts and ends without a step.
    let gap = ssml("The weather will be <prosody volume=\"silent\">mild</prosody> this afternoon.");
    let step = |pcm: &[f32]| pcm.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    assert!(step(&gap) <= 1.05 * step(&plain), "{} {}", step(&gap), step(&plain));
    assert!(gap.windows(2000).any(|run| run.iter().all(|value| *value == 0.0)));
}

#[test]
fn rate_and_breaks_change_the_one_timeline() {
    let word = |plan: &Value, n: usize, key: &str| plan["sentences"][0]["words"][n][key].as_u64().unwrap();
    let length = |plan: &Value, n: usize| word(plan, n, "end_sample") - word(plan, n, "start_sample");
    let plain = plan("<speak>The weather will be mild.</speak>");
    let slow = plan("<speak>The <prosody rate=\"50%\">weather</prosody> will be mild.</speak>");
    let ratio = length(&slow, 1) as f64 / length(&plain, 1) as f64;
    assert!((ratio - 2.0).abs() < 0.01, "{ratio}");
    assert_eq!(length(&slow, 0), length(&plain, 0));
    let paused = plan("<speak>The weather <break time=\"700ms\"/> will be mild.</speak>");
    assert_eq!(word(&paused, 2, "start_sample") - word(&paused, 1, "end_sample"), 16_800);
    // Between sentences as well, at any pace.
    let two = "<speak>The weather is mild. <break time=\"1s\"/> Good.</speak>";
    let output = paravox().args(["plan", "--json", "--ssml", two, "--speed", "1.5"]).output().unwrap();
    let two: Value = serde_json::from_slice(&output.stdout).unwrap();
    let start = two["sentences"][1]["words"][0]["start_sample"].as_u64().unwrap();
    let end = word(&two, 3, "end_sample");
    assert!((start - end).abs_diff(24_000) <= 2, "{}", start - end);
}

#[test]
fn paragraphs_pause_longer_than_sentences() {
    let total = |text: &str| speak(&[text]).len();
    let (sentences, paragraphs) = (total("It is mild. It is late."), total("It is mild.\n\nIt is late."));
    assert_eq!(paragraphs - sentences, 9600, "0.4 s");
    assert_eq!(total("It is mild. It is late.\n\n\n"), sentences, "nothing is added at the end");
}

#[test]
fn lengths_are_exact_with_breaks_and_styles() {
    let document = "<speak><p>One <break time=\"300ms\"/> two.</p><break time=\"2s\"/><p><prosody rate=\"slow\" pitch=\"low\">\
        Three</prosody>?</p><break time=\"1s\"/></speak>";
    for (seconds, pcm_samples) in [("6", 144_000), ("4.5", 108_000), ("7.000125", 168_003)] {
        let pcm = speak(&["--ssml", document, "--length", seconds]);
        assert_eq!(pcm.len(), pcm_samples, "{seconds} s");
    }
}

#[test]
fn pace_reaches_from_half_to_double() {
    let natural = speak(&[SENTENCE]).len() as f64;
    for (speed, factor) in [("0.5", 2.0), ("2", 0.5)] {
        let ratio = speak(&[SENTENCE, "--speed", speed]).len() as f64 / natural;
        assert!((ratio - factor).abs() < 0.001, "{ratio}");
    }
}

#[test]
fn yes_no_questions_rise_and_statements_fall() {
    let pairs = [
        ("He likes the new house.", "Does he like the new house?"),
        ("She has finished her work.", "Has she finished her work?"),
        ("They can see the river.", "Can they see the river?"),
    ];
    let mut differences = Vec::new();
    for (statement, question) in pairs {
        // How high the voice gets in the last word, against the middle of the sentence.
        let peak = |text: &str| {
            let plan = plan(&format!("<speak>{text}</speak>"));
            let start = plan["sentences"][0]["words"].as_array().unwrap().last().unwrap()["start_sample"].as_u64();
            let pcm = speak(&[text]);
            let last = semitones(&pcm[start.unwrap() as usize..]).into_iter().fold(0.0, f64::max);
            last - median(semitones(&pcm))
        };
        let (falls, rises) = (peak(statement), peak(question));
        eprintln!("{question} {rises:.1} semitones, {statement} {falls:.1}");
        differences.push(rises - falls);
    }
    assert!(median(differences.clone()) > 2.0, "{differences:?}");
}

#[test]
fn marks_become_cues_and_words_know_their_bytes() {
    let document = "<speak>Go <mark name=\"turn\"/>left &amp; <sub alias=\"stop\">&#x1F6D1;</sub>.</speak>";
    let output = paravox().args(["plan", "--ssml", document]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let time = |kind: &str, text: &str| {
        let line = lines.lines().find(|line| line.ends_with(&format!("\t{kind}\t{text}"))).expect("a line");
        line.split('\t').next().unwrap().to_string()
    };
    assert_eq!(time("mark", "turn"), time("word", "left"));
    let words = &plan(document)["sentences"][0]["words"];
    let sources: Vec<&str> = words
        .as_array()
        .unwrap()
        .iter()
        .map(|word| {
            &document[word["source"][0].as_u64().unwrap() as usize..word["source"][1].as_u64().unwrap() as usize]
        })
        .collect();
    assert_eq!(sources, ["Go", "left", "&amp;", "<sub alias=\"stop\">&#x1F6D1;</sub>"]);
}

#[test]
fn mistakes_in_ssml_are_one_line_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.ssml");
    std::fs::write(&file, "<speak>\n  <break time=\"soon\"/>\n</speak>").unwrap();
    let out = folder.path().join("a.wav");
    let message = fails(paravox().arg("speak").arg("--ssml").arg("-f").arg(&file).arg("-o").arg(&out), 1);
    assert!(message.contains("a.ssml, line 2, column 10") && message.contains("500ms"), "{message}");
    let message = fails(paravox().args(["plan", "--ssml", "No markup."]), 1);
    assert!(message.contains("line 1, column 1"), "{message}");
    let message = fails(paravox().args(["plan", "--ssml", "<speak><voice name=\"nobody\">Hi.</voice></speak>"]), 2);
    assert!(message.contains("'nobody'"), "{message}");
    let message = fails(paravox().args(["plan", "--ssml", "<speak> <break/> </speak>"]), 2);
    assert!(message.contains("nothing to say"), "{message}");
    assert!(!out.exists());
}
