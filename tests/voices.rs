//! Voices by name, by folder, and several in one model.

use std::path::Path;

use paravox::sink::NullSink;
use paravox::voice::{MANIFEST_FILE, Manifest, seal};
use paravox::{Engine, EngineOptions, SpeakOptions, TextSource, VideoOptions};

use crate::util::{fails, names, package, package_copy, paravox};

fn speak(voice: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    paravox().args(["speak", "Hello there.", "--voice", voice, "-o"]).arg(&path).assert().success();
    std::fs::read(path).unwrap()
}

#[test]
fn a_folder_is_a_voice_and_names_its_others() {
    let folder = package().to_str().unwrap();
    let (first, named) = (speak(folder), speak(&format!("{folder}/random")));
    assert!(first == named, "the default voice by its name");
    assert!(speak(&format!("{folder}/other")) != first, "the second speaker of the same weights");
    let message = fails(paravox().args(["plan", "Hello.", "--voice", &format!("{folder}/nobody")]), 2);
    assert!(message.contains("random, other"), "{message}");
}

#[test]
fn a_built_in_voice_goes_before_a_folder_of_its_name() {
    let here = tempfile::tempdir().unwrap();
    std::fs::create_dir(here.path().join("michael")).unwrap();
    let plan = |voice: &str| {
        let mut command = paravox();
        command.current_dir(here.path()).args(["plan", "Hello.", "--voice", voice]);
        command
    };
    plan("michael").assert().success();
    let message = fails(&mut plan("./michael"), 1);
    assert!(message.contains("manifest.json"), "{message}");
}

#[test]
fn one_text_can_have_several_voices_with_their_lips() {
    let engine = Engine::open(EngineOptions::new().package(package())).unwrap();
    let text = "<speak>One.<voice name=\"other\">One.</voice>One.</speak>";
    let options = SpeakOptions::new().video(VideoOptions::new());
    let mut sink = NullSink::new();
    let spoken = engine.speak(TextSource::from(text).ssml(), &options, &mut sink).unwrap();
    assert_eq!(spoken.sentences, 3);
    assert_eq!(sink.video_frames(), spoken.video_frames);
    let plan = engine.plan(TextSource::from(text).ssml(), &SpeakOptions::new()).unwrap();
    let lengths: Vec<u64> = plan.sentences.iter().map(|one| one.end_sample - one.start_sample).collect();
    assert!(lengths[0] == lengths[2] && lengths[0] != lengths[1], "{lengths:?}");
}

/// A sink refuses pictures of another size than it was begun with.
#[test]
fn a_voice_brings_its_face_but_never_into_anothers_picture() {
    let engine = Engine::open(EngineOptions::new().package(package())).unwrap();
    let size = |options: &SpeakOptions| {
        let picture = engine.idle_face(options).unwrap().expect("options ask for pictures").picture();
        (picture.width, picture.height)
    };
    let shown = SpeakOptions::new().video(VideoOptions::new());
    assert_eq!(size(&shown), (128, 128));
    assert_eq!(size(&shown.clone().voice("other")), (128, 160));
    assert_eq!(size(&SpeakOptions::new().voice("other").video(VideoOptions::new().face("test"))), (128, 128));
    let text = "<speak>One.<voice name=\"random\">One.</voice>One.</speak>";
    let mut sink = NullSink::new();
    engine.speak(TextSource::from(text).ssml(), &shown.voice("other"), &mut sink).unwrap();
    assert!(sink.video_frames() > 0);
}

#[test]
fn a_speaker_that_the_weights_lack_and_a_missing_file_are_refused() {
    let copy = package_copy();
    let path = copy.path().join(MANIFEST_FILE);
    let mut manifest = Manifest::parse(&std::fs::read(&path).unwrap()).unwrap();
    manifest.voices[0].speaker = 2;
    std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    let run = |folder: &Path| {
        let out = tempfile::tempdir().unwrap();
        let mut command = paravox();
        command.args(["speak", "Hello.", "-o"]).arg(out.path().join("a.wav")).arg("--voice").arg(folder);
        let message = fails(&mut command, 1);
        assert!(names(out.path()).is_empty());
        message
    };
    assert!(run(copy.path()).contains("no speaker 2"), "{}", run(copy.path()));
    manifest.voices[0].speaker = 0;
    std::fs::write(&path, serde_json::to_vec(&manifest).unwrap()).unwrap();
    seal(copy.path()).unwrap();
    std::fs::remove_file(copy.path().join("vocoder.safetensors")).unwrap();
    assert!(run(copy.path()).contains("vocoder.safetensors"));
    // Weights of other nets under the right name, with the right hash.
    std::fs::copy(copy.path().join("voice.safetensors"), copy.path().join("vocoder.safetensors")).unwrap();
    seal(copy.path()).unwrap();
    assert!(run(copy.path()).contains("vocoder.safetensors"));
    std::fs::remove_file(&path).unwrap();
    fails(paravox().args(["plan", "Hello.", "--voice"]).arg(copy.path()), 1);
}
