//! The built-in voice and faces: a fresh machine speaks at once.

use paravox::sink::NullSink;
use paravox::{Engine, SpeakOptions, VideoOptions};

use crate::util::paravox;

#[test]
fn the_first_command_of_the_readme_works() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = paravox();
    command.current_dir(folder.path()).args(["speak", "Hello, I am your assistant.", "-o", "hello.mp4"]);
    command.assert().success();
    assert!(folder.path().join("hello.mp4").metadata().unwrap().len() > 10_000);
}

#[test]
fn every_face_speaks() {
    let engine = Engine::with_defaults().unwrap();
    let faces: Vec<String> = engine.package().manifest().faces.iter().map(|face| face.name.clone()).collect();
    assert!(faces.contains(&"grid-s4".to_string()) && faces.contains(&"grid-s1".to_string()), "{faces:?}");
    for face in faces {
        let options = SpeakOptions::new().video(VideoOptions::new().face(face));
        let mut sink = NullSink::new();
        let spoken = engine.speak("Hello.", &options, &mut sink).unwrap();
        assert_eq!(sink.video_frames(), spoken.video_frames);
        assert!(spoken.seconds() > 0.4 && spoken.seconds() < 3.0, "{spoken:?}");
    }
}

#[test]
fn the_mans_voice_brings_the_mans_face() {
    let engine = Engine::with_defaults().unwrap();
    let size = |options: SpeakOptions| {
        let picture = engine.idle_face(&options).unwrap().expect("options ask for pictures").picture();
        (picture.width, picture.height)
    };
    let alone = size(SpeakOptions::new().voice("michael").video(VideoOptions::new()));
    assert_eq!(alone, size(SpeakOptions::new().video(VideoOptions::new().face("grid-s1"))));
    assert_ne!(alone, size(SpeakOptions::new().video(VideoOptions::new())));
}

#[test]
fn every_voice_paces_like_speech() {
    let engine = Engine::with_defaults().unwrap();
    for voice in ["heart", "michael"] {
        paces_like_speech(&engine, voice);
    }
}

fn paces_like_speech(engine: &Engine, voice: &str) {
    let options = SpeakOptions::new().voice(voice);
    let plan = engine.plan("The weather will be mild this afternoon, with a light breeze.", &options).unwrap();
    let phonemes = plan.sentences[0].symbols.iter().filter(|(ipa, _, _)| !ipa.is_empty()).count();
    let per_second = phonemes as f64 / plan.total_s();
    assert!((8.0..20.0).contains(&per_second), "{voice}: {per_second} phonemes a second");
}

#[test]
fn voices_and_faces_are_listed_with_licence_and_origin() {
    for name in ["voices", "faces"] {
        let output = paravox().args([name, "--json"]).output().unwrap();
        let list: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        for entry in list.as_array().unwrap() {
            assert!(entry["licence"].as_str().unwrap().len() > 5 && entry["origin"].as_str().unwrap().len() > 5);
        }
        let plain = String::from_utf8(paravox().arg(name).output().unwrap().stdout).unwrap();
        assert!(plain.contains("(default)") && plain.contains("CC BY 4.0"), "{plain}");
    }
}
