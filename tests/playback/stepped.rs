//! Time by hand: every step of sound, picture and cues.

use std::sync::Arc;
use std::time::{Duration, Instant};

use paravox::playback::{Happening, Output, Player};
use paravox::{Engine, EngineOptions, SpeakOptions, VideoOptions};

use super::TEXT;
use crate::util::package;

/// Time by hand: an utterance seen and heard step by step.
#[test]
fn pictures_follow_the_sound_and_cues_come_at_their_time() {
    let engine = Arc::new(Engine::open(EngineOptions::new().package(package())).unwrap());
    let options = SpeakOptions::new().video(VideoOptions::new());
    let player = Player::open(&engine, &options, Output::Stepped).unwrap();
    let happenings = player.happenings();
    let idle = player.stage().picture().unwrap();
    player.push(TEXT).unwrap();
    player.finish();
    let (mut changes, mut shown, mut words, mut is_over) = (0, idle.clone(), Vec::new(), false);
    while !is_over {
        player.stage().advance(240);
        let position = player.stage().position();
        let picture = player.stage().picture().unwrap();
        changes += u64::from(!Arc::ptr_eq(&picture, &shown));
        shown = picture;
        for happening in happenings.try_iter() {
            match happening {
                Happening::Cue(cue) => {
                    assert!((cue.start_sample..=cue.start_sample + 240).contains(&position), "{cue:?} at {position}");
                    words.extend((cue.kind == paravox::cue::CueKind::Word).then_some(cue.text));
                }
                Happening::Heard => is_over = true,
                other => panic!("{other:?}"),
            }
        }
    }
    let plan = engine.plan(TEXT, &options).unwrap();
    assert_eq!(words.len(), TEXT.split(' ').count());
    assert!(changes.abs_diff(plan.video_frames) <= 1, "{changes} of {} video frames were seen", plan.video_frames);
    player.wait().unwrap();
    assert!(*player.stage().picture().unwrap() == *idle, "the idle face is back");
}

#[test]
fn an_interrupted_mouth_closes_and_a_skipped_sentence_is_not_said() {
    let engine = Arc::new(Engine::open(EngineOptions::new().package(package())).unwrap());
    let options = SpeakOptions::new().video(VideoOptions::new());
    let player = Player::open(&engine, &options, Output::Stepped).unwrap();
    let idle = player.stage().picture().unwrap();
    player.push("One two three four. Five six seven. Eight nine.").unwrap();
    player.finish();
    let plan = engine.plan("One two three four. Five six seven. Eight nine.", &options).unwrap();
    let second = plan.sentences[1].start_sample;
    let step = || {
        player.stage().advance(480);
        player.stage().picture().unwrap()
    };
    while player.stage().position() < second / 2 {
        step();
    }
    assert!(player.skip());
    step();
    assert!(player.stage().position() > second / 2 + 240, "nothing was left out");
    let until = second + (plan.sentences[1].end_sample - second) * 2 / 3;
    while player.stage().position() < until {
        step();
    }
    let before = step();
    let receipt = player.stop().unwrap();
    assert!(!receipt.heard_text.contains("four") && receipt.heard_text.contains("Five"), "{receipt:?}");
    assert!(receipt.unsaid_text.contains("nine") && !receipt.unsaid_text.contains("four"), "{receipt:?}");
    let mut seen = vec![before];
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(400) {
        let picture = player.stage().picture().unwrap();
        if !Arc::ptr_eq(&picture, seen.last().unwrap()) {
            seen.push(picture);
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    assert!(seen.len() >= 4, "the mouth snaps shut: {} pictures", seen.len());
    assert!(**seen.last().unwrap() == *idle);
}

/// Head and eyes go on by the machine's time where nothing is said, hold in a pause, and hold where that was asked for.
#[test]
fn an_idle_face_lives() {
    let engine = Arc::new(Engine::with_defaults().unwrap());
    let seen = |still: bool, paused: bool| {
        let options = SpeakOptions::new().video(VideoOptions::new().still(still));
        let player = Player::open(&engine, &options, Output::Stepped).unwrap();
        let first = player.stage().picture().unwrap();
        player.stage().set_paused(paused);
        let mut pictures = vec![first];
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(50));
            pictures.push(player.stage().picture().unwrap());
        }
        pictures.dedup_by(|a, b| **a == **b);
        pictures.len()
    };
    assert!(seen(false, false) > 5, "the idle face hardly moves");
    assert_eq!(seen(false, true), 1, "the face moves in a pause");
    assert_eq!(seen(true, false), 1, "a still face moves");
}
