//! Files that `paravox speak` writes, as FFmpeg and the plan see them.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::util::{names, package, paravox};

fn probe(path: &Path) -> Value {
    let args = ["-v", "error", "-show_streams", "-show_format", "-of", "json"];
    let output = Command::new("ffprobe").args(args).arg(path).output().expect("install FFmpeg to run this test");
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn stream<'a>(probe: &'a Value, kind: &str) -> &'a Value {
    probe["streams"].as_array().unwrap().iter().find(|stream| stream["codec_type"] == kind).unwrap()
}

fn seconds(stream: &Value, field: &str) -> f64 {
    stream[field].as_str().unwrap().parse().unwrap()
}

fn speak(folder: &Path, name: &str, args: &[&str]) -> std::path::PathBuf {
    let path = folder.join(name);
    let output = paravox().arg("speak").args(args).arg("-o").arg(&path).arg("--voice").arg(package()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "silent where stderr is no terminal");
    path
}

#[test]
fn mp4_holds_speech_and_pictures_that_agree() {
    let folder = tempfile::tempdir().unwrap();
    for fps in ["25", "29.97"] {
        let name = format!("{fps}.mp4");
        let path = speak(folder.path(), &name, &["Hello, I am your assistant. How are you?", "--fps", fps]);
        let probe = probe(&path);
        let (video, audio) = (stream(&probe, "video"), stream(&probe, "audio"));
        assert_eq!((&video["codec_name"], &audio["codec_name"]), (&"h264".into(), &"aac".into()));
        assert_eq!(audio["sample_rate"], "24000");
        let offset = seconds(video, "start_time") - seconds(audio, "start_time");
        assert!(offset.abs() < 0.001, "{offset}");
        let difference = seconds(video, "duration") - seconds(audio, "duration");
        assert!(difference.abs() < 0.020, "{difference}");
    }
    assert_eq!(names(folder.path()).len(), 2, "no temporary file stays");
}

#[test]
fn length_is_exact() {
    let folder = tempfile::tempdir().unwrap();
    let path = speak(folder.path(), "a.wav", &["Exactly three and a quarter seconds. Not more.", "--length", "3.25"]);
    assert_eq!(hound::WavReader::open(path).unwrap().duration(), 78_000);
    let path = speak(folder.path(), "a.mp4", &["Exactly three seconds. Not more.", "--length", "3"]);
    let probe = probe(&path);
    for kind in ["video", "audio"] {
        assert!((seconds(stream(&probe, kind), "duration") - 3.0).abs() < 0.001, "{probe}");
    }
}

#[test]
fn the_same_text_and_seed_give_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    for extension in ["wav", "mp4"] {
        let files = [("a", "4"), ("b", "4"), ("c", "5")].map(|(name, seed)| {
            let path = speak(folder.path(), &format!("{name}.{extension}"), &["Again and again.", "--seed", seed]);
            std::fs::read(path).unwrap()
        });
        assert!(files[0] == files[1] && files[0] != files[2]);
    }
}

#[test]
fn text_comes_from_arguments_files_and_stdin() {
    let folder = tempfile::tempdir().unwrap();
    let text = "One way in.\n\nAll the same.";
    let file = folder.path().join("text.txt");
    std::fs::write(&file, text).unwrap();
    let direct = std::fs::read(speak(folder.path(), "a.wav", &[text])).unwrap();
    assert!(std::fs::read(speak(folder.path(), "b.wav", &["-f", file.to_str().unwrap()])).unwrap() == direct);
    for (name, args) in [("c.wav", vec!["-"]), ("d.wav", vec!["-f", "-"])] {
        let path = folder.path().join(name);
        let mut command = paravox();
        command.arg("speak").args(args).arg("-o").arg(&path).arg("--voice").arg(package()).write_stdin(text);
        command.assert().success();
        assert!(std::fs::read(path).unwrap() == direct, "{name}");
    }
}

#[test]
fn an_existing_file_is_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    std::fs::write(&path, b"old").unwrap();
    let output = paravox().args(["speak", "", "-o"]).arg(&path).arg("--voice").arg(package()).output().unwrap();
    assert!(!output.status.success());
    assert_eq!(std::fs::read(&path).unwrap(), b"old", "a failed run leaves the old file");
    speak(folder.path(), "a.wav", &["New."]);
    assert!(hound::WavReader::open(&path).is_ok());
}

#[test]
fn cues_agree_with_the_plan() {
    let folder = tempfile::tempdir().unwrap();
    let text = "Hello there. How are you?";
    let cues = folder.path().join("a.json");
    speak(folder.path(), "a.wav", &[text, "--cues", cues.to_str().unwrap()]);
    let cues: Value = serde_json::from_slice(&std::fs::read(cues).unwrap()).unwrap();
    let plan = paravox().args(["plan", text, "--json", "--voice"]).arg(package()).output().unwrap();
    let plan: Value = serde_json::from_slice(&plan.stdout).unwrap();
    let planned: Vec<&Value> =
        plan["sentences"].as_array().unwrap().iter().flat_map(|s| s["words"].as_array().unwrap()).collect();
    let spoken = cues["words"].as_array().unwrap();
    assert!(!planned.is_empty());
    assert_eq!(planned.len(), spoken.len());
    for (planned, spoken) in planned.iter().zip(spoken) {
        assert_eq!(planned["text"], spoken["text"]);
        assert_eq!(planned["start_sample"], spoken["start_sample"]);
        assert_eq!(planned["end_sample"], spoken["end_sample"]);
    }
    let wav = hound::WavReader::open(folder.path().join("a.wav")).unwrap();
    assert_eq!(plan["total_samples"], wav.duration());
}

/// `plan` prints before any synthesis what `speak` writes beside the sound.
#[test]
fn every_set_and_format_of_cues_is_the_same_from_plan_and_speak() {
    let folder = tempfile::tempdir().unwrap();
    let text = "Hello there. In 2024, Bob may go home.";
    let plan = |args: &[&str]| {
        let output = paravox().args(["plan", text]).args(args).arg("--voice").arg(package()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for (name, speak_args, plan_args) in [
        ("a.marks", vec![], vec!["--format", "marks"]),
        ("b.ndjson", vec!["--visemes", "azure"], vec!["--format", "marks", "--visemes", "azure"]),
        ("c.vtt", vec![], vec!["--format", "vtt"]),
        ("d.srt", vec![], vec!["--format", "srt"]),
        ("e.json", vec!["--visemes", "arkit", "--rate", "30"], vec!["--visemes", "arkit", "--rate", "30"]),
    ] {
        let path = folder.path().join(name);
        speak(folder.path(), "a.wav", &[&[text, "--cues", path.to_str().unwrap()], &*speak_args].concat());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), plan(&plan_args), "{name}");
    }
    let marks = plan(&["--format", "marks"]);
    let marks: Vec<Value> = marks.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(marks.is_sorted_by_key(|mark| mark["time"].as_u64().unwrap()));
    for mark in marks.iter().filter(|mark| mark["type"] != "viseme") {
        let at = |name: &str| mark[name].as_u64().unwrap() as usize;
        assert_eq!(mark["value"], text[at("start")..at("end")]);
    }
    assert_eq!(marks.iter().filter(|mark| mark["value"] == "2024").count(), 1);
    for set in paravox::cue::VisemeSet::ALL {
        let planned: Value = serde_json::from_str(&plan(&["--json", "--visemes", set.name()])).unwrap();
        assert_eq!(planned["viseme_set"], set.name());
        for sentence in planned["sentences"].as_array().unwrap() {
            let mut end = sentence["start_sample"].clone();
            for viseme in sentence["visemes"].as_array().unwrap() {
                assert!(set.visemes().contains(&viseme["text"].as_str().unwrap()));
                assert_eq!(viseme["start_sample"], end, "visemes have no gaps");
                end = viseme["end_sample"].clone();
            }
            assert_eq!(end, sentence["end_sample"]);
        }
    }
}
