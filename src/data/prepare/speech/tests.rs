use std::fs;

use super::*;
use crate::data::SpeechDataset;
use crate::text::{Phoneme, Stress};

fn write_wav(path: &Path, sample_rate: u32, pcm: impl Iterator<Item = f64>) {
    let spec =
        hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    pcm.for_each(|v| writer.write_sample((v * 32767.0) as i16).unwrap());
    writer.finalize().unwrap();
}

/// A buzz of ten harmonics.
fn buzz(sample_rate: u32, f0_hz: f64, n: usize) -> impl Iterator<Item = f64> {
    let phase = move |k: usize| std::f64::consts::TAU * f0_hz * k as f64 / f64::from(sample_rate);
    (0..n).map(move |k| (1..=10).map(|h| (phase(k) * f64::from(h)).sin() * 0.08).sum())
}

fn options(corpus: &Path, out: &Path, append: bool) -> SpeechOptions {
    SpeechOptions { corpus: corpus.into(), out: out.into(), voice: 3, append, times: TimesFrom::Corpus }
}

#[test]
fn a_teachers_corpus_becomes_aligned_items_and_faults_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = dir.path().join("teacher");
    fs::create_dir_all(corpus.join("wavs")).unwrap();
    // Silence, stress mark, ɑ, p, space, b, i, silence: 4 + 1 + 4 + 2 + 1 + 2 + 5 + 3 = 22 units of 25 ms.
    let row = |id: &str| {
        let f0: Vec<f32> = (0..44).map(|k| if k < 4 { 0.0 } else { 150.5 }).collect();
        serde_json::json!({"id": id, "text": "op bee", "phonemes": "ˈɑp bi", "ids": [0], "durations": [4, 1, 4, 2, 1, 2, 5, 3],
            "f0": f0})
        .to_string()
    };
    let lines: Vec<String> = ["good", "short", "absent", "wrong"].map(row).to_vec();
    fs::write(corpus.join("corpus.jsonl"), lines.join("\n")).unwrap();
    // A unit less than the durations say is filled up; ten units less is another recording.
    write_wav(&corpus.join("wavs/good.wav"), 24_000, buzz(24_000, 150.0, 22 * 600));
    write_wav(&corpus.join("wavs/short.wav"), 24_000, buzz(24_000, 150.0, 21 * 600));
    write_wav(&corpus.join("wavs/wrong.wav"), 24_000, buzz(24_000, 150.0, 10 * 600));

    let out = dir.path().join("out");
    let mut warnings = Vec::new();
    let mut progress = |p: Progress<'_>| warnings.extend(p.warning.map(str::to_string));
    let summary = speech(&options(&corpus, &out, false), &mut progress).unwrap();
    assert_eq!((summary.stored, summary.left_out), (2, 2));
    assert!((summary.seconds - 1.1).abs() < 1e-9);
    assert!(warnings[0].contains("absent") && warnings[1].contains("wrong"), "{warnings:?}");

    let data = SpeechDataset::open(&out).unwrap();
    let item = data.get(0);
    let phonemes: Vec<Phoneme> = item.symbols.iter().map(|s| s.phoneme).collect();
    use Phoneme::{Aa, B, Iy, P, Silence};
    assert_eq!(phonemes, [Silence, Aa, P, B, Iy, Silence]);
    assert_eq!(item.symbols[1].stress, Stress::Primary);
    // Two mel frames a unit, and the teacher's lag of five mel frames taken out.
    assert_eq!(item.durations, Some(vec![8 - 5, 10, 6, 4, 10, 6 + 5]));
    assert_eq!((item.f0_hz.len(), item.f0_hz[3], item.f0_hz[4], item.voice), (44, 0.0, 150.5, 3));
    // f16 keeps 11 bits: the mel of the stored PCM is the stored mel.
    let pcm: Vec<f32> = item.pcm.iter().map(|&v| f32::from(v) / 32768.0).collect();
    let mel = MelExtractor::new(MelConfig::default()).unwrap().extract(&pcm);
    let error = mel.iter().zip(&item.mel).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(error < 0.01, "{error}");
    assert_eq!(data.get(1).pcm[21 * 600..], [0; 600]);
}

#[test]
fn the_ljspeech_layout_of_any_rate_becomes_items_without_durations_and_can_be_appended() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = dir.path().join("lj");
    fs::create_dir_all(corpus.join("wavs")).unwrap();
    let n_items = 101;
    let list: Vec<String> = (0..n_items).map(|i| format!("{i}|Nr. {i}|number {i}")).collect();
    fs::write(corpus.join("metadata.csv"), list.join("\n")).unwrap();
    for i in 0..n_items {
        write_wav(&corpus.join(format!("wavs/{i}.wav")), 22_050, buzz(22_050, 180.0, 22_050 / 4));
    }
    let out = dir.path().join("out");
    for append in [false, true] {
        let summary = speech(&options(&corpus, &out, append), &mut |_| {}).unwrap();
        assert_eq!((summary.stored, summary.left_out), (n_items, 0));
    }
    let data = SpeechDataset::open(&out).unwrap();
    assert_eq!(data.len(), 2 * n_items);
    assert_eq!(data.split(Split::Valid), [99, 99 + n_items]);
    let item = data.get(7);
    assert_eq!((item.id.as_str(), item.text.as_str(), item.durations.is_none()), ("7", "number 7", true));
    assert_eq!((item.f0_hz.len(), item.pcm.len()), (20, 6000));
    for f0_hz in &item.f0_hz[4..16] {
        assert!((f0_hz - 180.0).abs() < 2.0, "{:?}", item.f0_hz);
    }
}

#[test]
fn a_corpus_without_a_usable_item_is_an_error_that_says_why_and_leaves_no_dataset() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let run = |corpus: &Path| speech(&options(corpus, &out, false), &mut |_| {}).unwrap_err().to_string();
    assert!(run(dir.path()).contains("corpus.jsonl"));
    fs::write(dir.path().join("metadata.csv"), "a|no recording\n").unwrap();
    assert!(run(dir.path()).contains("no recording of that name"));
    fs::write(dir.path().join("corpus.jsonl"), "{\"id\": 5}\n").unwrap();
    assert!(run(dir.path()).contains("line 1"));
    assert!(SpeechDataset::open(&out).is_err());
}
