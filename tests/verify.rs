//! `paravox verify`: whole files pass, and each way to damage one is a fault that is named.

use std::path::{Path, PathBuf};

use paravox::cue::{Cue, CueKind};
use paravox::sink::{Mp4Sink, Picture, Sink, StreamInfo, VideoInfo};
use paravox::timeline::Fps;
use paravox::verify::{Report, verify};

use crate::util::{fails, paravox};

const RATE: usize = 24_000;

/// What a film of beeps and a drawn mouth gets wrong.
#[derive(Default)]
struct Wrong {
    /// Seconds that the sound is late.
    sound_late_s: f64,
    /// Seconds that the mouth is late.
    lips_late_s: f64,
    /// How much slower than the cues the sound is.
    drift: f64,
    without_cues: bool,
    /// Video frames that are missing at the end.
    missing_video_frames: usize,
}

/// "Mama." as phonemes: (IPA, start, end) in seconds; words of uneven length, so that no shift looks like another.
fn phonemes() -> Vec<(&'static str, f64, f64)> {
    let mut phonemes = Vec::new();
    let mut at = 0.4;
    for pause in [0.23, 0.41, 0.19, 0.62, 0.31, 0.5, 0.27, 0.36, 0.44] {
        for (ipa, length) in [("m", 0.09), ("ɑ", 0.16), ("b", 0.1), ("ɑ", 0.1 + pause / 4.0)] {
            phonemes.push((ipa, at, at + length));
            at += length;
        }
        at += pause;
    }
    phonemes
}

/// Writes a film of 25 video frames a second in which a tone sounds through each word and a dark mouth opens at each vowel.
fn film(path: &Path, wrong: &Wrong) {
    let phonemes = phonemes();
    let total_s = (phonemes.last().unwrap().2 + 0.5).ceil();
    let said = |t: f64| phonemes.iter().find(|(_, start, end)| (*start..*end).contains(&t)).map(|phoneme| phoneme.0);
    let mut sink = Box::new(Mp4Sink::new(path));
    let info = VideoInfo { width: 160, height: 160, fps: Fps::FPS_25 };
    sink.begin(&StreamInfo { sample_rate: RATE as u32, video: Some(info) }).unwrap();
    let sample = |t: f64| (t * RATE as f64).round() as u64;
    if !wrong.without_cues {
        let cue = |kind, text: &str, start, end, source| Cue {
            kind,
            start_sample: sample(start),
            end_sample: sample(end),
            text: text.into(),
            source,
            chars: None,
        };
        let (start, end) = (phonemes[0].1, phonemes.last().unwrap().2);
        let text = ["Mama"; 9].join(" ");
        sink.cue(&cue(CueKind::Sentence, &text, start, end, Some(0..text.len()))).unwrap();
        for (index, word) in phonemes.chunks(4).enumerate() {
            let source = Some(5 * index..5 * index + 4);
            sink.cue(&cue(CueKind::Word, "mama", word[0].1, word[3].2, source)).unwrap();
            for &(ipa, start, end) in word {
                sink.cue(&cue(CueKind::Phoneme, ipa, start, end, None)).unwrap();
            }
        }
    }
    let tone = |k: usize| {
        let t = k as f64 / RATE as f64;
        let level = if said((t - wrong.sound_late_s) / (1.0 + wrong.drift)).is_some() { 0.4 } else { 0.001 };
        (level * (std::f64::consts::TAU * 220.0 * t).sin()) as f32
    };
    let pcm: Vec<f32> = (0..(total_s * RATE as f64) as usize).map(tone).collect();
    let mut open = 0.0;
    for (k, piece) in pcm.chunks(RATE / 25).enumerate() {
        sink.pcm(piece).unwrap();
        let t = (k as f64 + 0.5) / 25.0 - wrong.lips_late_s;
        let target = match said(t) {
            Some("ɑ") => 1.0,
            _ => 0.0,
        };
        open += 0.7 * (target - open);
        if (k as f64) < total_s * 25.0 - wrong.missing_video_frames as f64 {
            sink.picture(&face(open)).unwrap();
        }
    }
    sink.finish().unwrap();
}

fn face(open: f64) -> Picture {
    let mut rgb = Vec::new();
    for y in 0..160 {
        for x in 0..160 {
            let (u, v) = ((f64::from(x) - 80.0) / 40.0, (f64::from(y) - 115.0) / (2.0 + 18.0 * open));
            let level = if u * u + v * v < 1.0 { 40 } else { 190 };
            rgb.extend([level; 3]);
        }
    }
    Picture { width: 160, height: 160, rgb }
}

fn report(wrong: &Wrong) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    film(&path, wrong);
    verify(&path).unwrap()
}

fn whole_film() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    film(&path, &Wrong::default());
    (folder, path)
}

/// The place of the body of the `number`-th box of this name.
fn find(file: &[u8], name: &[u8; 4], number: usize) -> usize {
    file.windows(4).enumerate().filter(|(_, window)| window == name).nth(number).unwrap().0 + 4
}

fn patched(patch: impl FnOnce(&mut Vec<u8>)) -> Vec<String> {
    let (_folder, path) = whole_film();
    let mut file = std::fs::read(&path).unwrap();
    patch(&mut file);
    std::fs::write(&path, file).unwrap();
    verify(&path).unwrap().faults
}

fn assert_fault(faults: &[String], words: &str) {
    assert!(faults.iter().any(|fault| fault.contains(words)), "{words}: {faults:?}");
}

#[test]
fn a_whole_film_has_no_fault() {
    let report = report(&Wrong::default());
    assert_eq!(report.faults, [""; 0], "{report:?}");
    assert_eq!((report.words, report.phonemes), (9, 36));
    let (sound, lips) = (report.sound.unwrap(), report.lips.unwrap());
    assert!(sound.lag_s.abs() < 0.01 && sound.correlation > 0.8, "{sound:?}");
    assert!(lips.lag_s.abs() < 0.05 && lips.correlation > 0.6, "{lips:?}");
    assert!(report.contrast_db.unwrap() > 20.0 && report.closure.unwrap() < 0.5, "{report:?}");
}

#[test]
fn sound_and_lips_in_the_wrong_place_are_measured() {
    for late_s in [-0.12, 0.08, 0.2] {
        let moved = report(&Wrong { sound_late_s: late_s, ..Wrong::default() });
        assert_fault(&moved.faults, "sound: ");
        assert!((moved.sound.unwrap().lag_s - late_s).abs() < 0.015, "{moved:?}");
        let moved = report(&Wrong { lips_late_s: late_s * 1.5, ..Wrong::default() });
        assert_fault(&moved.faults, "lips: ");
        assert!((moved.lips.unwrap().lag_s - late_s * 1.5).abs() < 0.05, "{moved:?}");
    }
    assert_fault(&report(&Wrong { drift: 0.02, ..Wrong::default() }).faults, "drifts by");
}

#[test]
fn an_edit_list_that_shifts_the_sound_is_found_by_listening() {
    // Of `elst`, version 0: flags, count, length, first tick. The second is that of the sound.
    let faults = patched(|file| {
        let at = find(file, b"elst", 1) + 12;
        assert_eq!(file[at..at + 4], 1024_u32.to_be_bytes());
        file[at..at + 4].copy_from_slice(&(1024_u32 + 4800).to_be_bytes());
    });
    assert_fault(&faults, "ahead of the cues");
}

#[test]
fn what_is_missing_is_said() {
    assert_fault(&report(&Wrong { without_cues: true, ..Wrong::default() }).faults, "no cues");
    assert_fault(&report(&Wrong { without_cues: true, ..Wrong::default() }).faults, "no captions");
    assert_fault(
        &report(&Wrong { missing_video_frames: 5, ..Wrong::default() }).faults,
        "pictures last -200 ms longer",
    );
}

#[test]
fn wrong_lengths_and_layouts_are_found() {
    // Of `mvhd`, version 0: flags, two times, timescale, length.
    let faults = patched(|file| {
        let at = find(file, b"mvhd", 0) + 16;
        file[at..at + 4].copy_from_slice(&1000_u32.to_be_bytes());
    });
    assert_fault(&faults, "says that it lasts");
    // The first of the lengths of video frames.
    let faults = patched(|file| {
        let at = find(file, b"stts", 0) + 12;
        file[at..at + 4].copy_from_slice(&2_u32.to_be_bytes());
    });
    assert_fault(&faults, "its edit list shows");
    let faults = patched(|file| file.truncate(file.len() - 100));
    assert_fault(&faults, "cut off");
    let faults = patched(|file| {
        let at = find(file, b"mdat", 0);
        file[at + 2000..at + 20_000].fill(0x55);
    });
    assert_fault(&faults, "cannot be decoded");
    let faults = patched(|file| {
        let at = find(file, b"tx3g", 0);
        file[at - 4..at].copy_from_slice(b"what");
    });
    assert_fault(&faults, "coded as what");
    let faults = patched(|file| {
        let at = find(file, b"uuid", 0);
        file[at + 16..].fill(b'{');
    });
    assert_fault(&faults, "cues cannot be read");
    let faults = patched(|file| file.clear());
    assert_fault(&faults, "no MP4 file");
}

/// Any byte may be wrong: a report or an error, never a panic or a hang.
#[test]
fn damaged_indexes_are_survived() {
    let (_folder, path) = whole_film();
    let file = std::fs::read(&path).unwrap();
    let index = find(&file, b"mdat", 0);
    let target = path.with_extension("damaged");
    let mut state = 1_u64;
    for _ in 0..60 {
        let mut damaged = file.clone();
        for _ in 0..3 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            damaged[(state >> 33) as usize % index] = (state >> 20) as u8;
        }
        // Without the media data it is quick.
        damaged.truncate(index + 10_000);
        std::fs::write(&target, damaged).unwrap();
        verify(&target).unwrap();
    }
}

#[test]
fn the_command_has_one_line_for_each_fault_and_status_1() {
    let (folder, path) = whole_film();
    let output = paravox().arg("verify").arg(&path).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout).unwrap().contains("9 words"));
    let output = paravox().arg("verify").arg(&path).arg("--json").output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["words"], &json["faults"]), (&9.into(), &serde_json::json!([])));

    let bad = folder.path().join("bad.mp4");
    film(&bad, &Wrong { without_cues: true, ..Wrong::default() });
    let output = paravox().arg("verify").arg(&bad).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.lines().count() == 2 && stderr.lines().all(|line| line.ends_with("bad.mp4")), "{stderr}");
    let output = paravox().arg("verify").arg(&bad).arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["faults"].as_array().unwrap().len(), 2);
    assert!(fails(paravox().args(["verify", "/nonexistent.mp4"]), 1).contains("/nonexistent.mp4"));
}

/// The built-in voice and face, as they are made.
#[test]
fn what_speak_writes_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    let text = "Pam and Bob bought big apples, but my mother may buy more. A man made a map of the bay.";
    paravox().args(["speak", text, "-o"]).arg(&path).assert().success();
    let report = verify(&path).unwrap();
    assert_eq!(report.faults, [""; 0], "{report:#?}");
    assert!(report.captions >= 2 && report.words == 20, "{report:#?}");
}
