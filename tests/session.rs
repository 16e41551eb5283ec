//! Sessions: text that comes in pieces.

use std::sync::Arc;
use std::time::Duration;

use paravox::cue::{Cue, CueKind};
use paravox::sink::{ChannelSink, Event, Picture, SinkError};
use paravox::{Engine, EngineOptions, Error, SessionOptions, SpeakOptions, TextSource, VideoOptions};

use crate::util::package;

const TEXT: &str = "Ask Dr. Smith for 3.5 litres of tea. Is it warm? \"Yes!\" he said.\n\nTell me, then. Bye. 😀";

fn engine() -> Arc<Engine> {
    Arc::new(Engine::open(EngineOptions::new().package(package())).unwrap())
}

/// All of a stream, and whether it was complete.
#[derive(Default, PartialEq)]
struct Made {
    pcm: Vec<f32>,
    pictures: Vec<Picture>,
    cues: Vec<Cue>,
    is_complete: bool,
}

fn gather(events: impl IntoIterator<Item = Event>) -> Made {
    let mut made = Made::default();
    for event in events {
        match event {
            Event::Pcm { start_sample, pcm } => {
                assert_eq!(start_sample, made.pcm.len() as u64);
                made.pcm.extend(pcm);
            }
            Event::Picture { video_frame, time_s, picture } => {
                assert_eq!(video_frame, made.pictures.len() as u64);
                assert!((time_s - (video_frame as f64 + 0.5) / 25.0).abs() < 1e-9);
                made.pictures.push(picture);
            }
            Event::Cue(cue) => made.cues.push(cue),
            Event::Finish => made.is_complete = true,
            _ => {}
        }
    }
    made
}

fn spoken(engine: &Engine, options: &SpeakOptions) -> Made {
    let (mut sink, events) = ChannelSink::new(8);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            engine.speak(TEXT, options, &mut sink).unwrap();
            paravox::sink::Sink::finish(Box::new(sink)).unwrap();
        });
        gather(events)
    })
}

#[test]
fn pushed_in_any_pieces_it_is_what_speak_makes_of_the_whole() {
    let engine = engine();
    let options = SpeakOptions::new().seed(9).pause_s(0.1).video(VideoOptions::new().still(true));
    let expected = spoken(&engine, &options);
    assert!(expected.is_complete && expected.cues.len() > 20);
    // Several sessions of one engine at once.
    std::thread::scope(|scope| {
        for step in [1, 5, 1000] {
            let (engine, options, expected) = (&engine, &options, &expected);
            scope.spawn(move || {
                let (session, events) = engine.session(options).unwrap();
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        for token in TEXT.as_bytes().chunks(step) {
                            session.push_bytes(token).unwrap();
                        }
                        session.finish();
                    });
                    assert!(gather(&events) == *expected, "pieces of {step} bytes");
                });
                let spoken = session.wait().unwrap();
                assert_eq!(spoken.pcm_samples, expected.pcm.len() as u64);
                assert!(matches!(session.push("More."), Err(Error::Sink(SinkError::Closed))));
            });
        }
    });
}

#[test]
fn a_document_in_pieces_is_what_speak_makes_of_it() {
    const DOCUMENT: &str = "<speak>Wait.<break time='300ms'/> <prosody rate='80%'>Your code</prosody> is \
        <mark name='code'/><say-as interpret-as='characters'>A7</say-as>. Bye.</speak>";
    let engine = engine();
    let options = SpeakOptions::new().seed(4);
    let (mut sink, events) = ChannelSink::new(10_000);
    engine.speak(TextSource::from(DOCUMENT).ssml(), &options, &mut sink).unwrap();
    paravox::sink::Sink::finish(Box::new(sink)).unwrap();
    let expected = gather(events);

    let (session, events) = engine.session(SessionOptions::from(&options).ssml()).unwrap();
    for piece in DOCUMENT.as_bytes().chunks(7) {
        session.push_bytes(piece).unwrap();
    }
    session.flush();
    assert!(events.recv_timeout(Duration::from_millis(200)).is_err(), "its end might be wrong");
    session.finish();
    let made = gather(&events);
    assert!(made == expected && made.cues.iter().any(|cue| cue.kind == CueKind::Mark));
    let code = made.cues.iter().rfind(|cue| cue.kind == CueKind::Word && cue.text == "code").unwrap();
    let receipt = session.receipt(code.end_sample);
    assert!(receipt.heard_text.ends_with("<prosody rate='80%'>Your code"), "{receipt:?}");
    assert!(receipt.unsaid_text.starts_with("</prosody> is"), "{receipt:?}");

    let (session, events) = engine.session(SessionOptions::from(&options).ssml()).unwrap();
    session.push("<speak>Said? <brake/></speak>").unwrap();
    session.finish();
    assert!(gather(events).pcm.is_empty());
    assert!(matches!(session.wait(), Err(Error::Text(message)) if message.contains("line 1")));
}

#[test]
fn a_sentence_is_spoken_as_soon_as_it_is_whole() {
    let (session, events) = engine().session(&SpeakOptions::new()).unwrap();
    let heard = |within_ms| events.recv_timeout(Duration::from_millis(within_ms)).is_ok();
    session.push("The first sentence").unwrap();
    session.push(" is whole").unwrap();
    session.push(".").unwrap();
    assert!(!heard(300), "spoken before it was known to be whole");
    session.push(" The").unwrap();
    assert!(heard(20_000), "not spoken though the next sentence has begun");
    std::thread::scope(|scope| {
        let others = scope.spawn(|| gather(&events));
        session.flush();
        session.push("end.").unwrap();
        session.finish();
        assert_eq!(session.wait().unwrap().sentences, 3);
        assert!(others.join().unwrap().is_complete);
    });
}

#[test]
fn a_cancel_from_another_thread_frees_whoever_waits() {
    let (session, events) = engine().session(&SpeakOptions::new().video(VideoOptions::new())).unwrap();
    let session = Arc::new(session);
    // Nobody takes events, so the engine and then the writer come to wait.
    let writer = std::thread::spawn({
        let session = session.clone();
        move || while session.push(TEXT).is_ok() {}
    });
    std::thread::sleep(Duration::from_millis(500));
    assert!(!writer.is_finished() && !session.is_over());
    session.cancel();
    writer.join().unwrap();
    assert!(matches!(session.wait(), Err(Error::Sink(SinkError::Closed))));
    assert!(!gather(events).is_complete);
}

#[test]
fn bad_sessions_say_why() {
    let engine = engine();
    let refused = |options: SpeakOptions| engine.session(&options).err();
    assert!(matches!(refused(SpeakOptions::new().length_s(3.0)), Some(Error::Request(_))));
    assert!(matches!(refused(SpeakOptions::new().voice("nobody")), Some(Error::Request(_))));
    let (session, events) = engine.session(&SpeakOptions::new()).unwrap();
    session.push_bytes(b"Good. Bad: \xff. More").unwrap();
    session.finish();
    assert!(!gather(events).is_complete);
    assert!(matches!(session.wait(), Err(Error::Text(_))));
    let (session, events) = engine.session(&SpeakOptions::new()).unwrap();
    session.finish();
    assert!(gather(events).is_complete, "nothing to say is no failure of a session");
    assert_eq!(session.wait().unwrap().sentences, 0);
}

#[test]
fn an_interrupted_session_knows_what_was_heard_and_closes_the_mouth() {
    let engine = engine();
    let options = SpeakOptions::new().video(VideoOptions::new());
    let (session, events) = engine.session(&options).unwrap();
    session.push(TEXT).unwrap();
    session.finish();
    let made = gather(events);
    let third = made.cues.iter().filter(|cue| cue.kind == CueKind::Word).nth(2).unwrap();
    let receipt = session.receipt(third.end_sample);
    assert_eq!(receipt.heard_text, "Ask Dr. Smith");
    assert_eq!(receipt.heard_text.clone() + &receipt.unsaid_text, TEXT);
    assert_eq!(receipt.last_word.as_ref().map(|word| &*word.text), Some("Smith"));
    assert_eq!(receipt.video_frame, Some((third.end_sample - 1) / 960));
    let closing: Vec<Picture> = session.closing(third.end_sample).unwrap().map(Result::unwrap).collect();
    assert_eq!(closing.len(), 5, "0.2 s");
    let rest = engine.idle_face(&options).unwrap().unwrap().picture();
    assert!(closing[4] == *rest && closing[0] != *rest);
    // The first step away from what was shown is the smallest.
    let shown = &made.pictures[receipt.video_frame.unwrap() as usize + 1];
    let difference =
        |a: &Picture, b: &Picture| a.rgb.iter().zip(&b.rgb).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
    assert!(difference(&closing[0], shown) < difference(&closing[2], shown));
    assert!(difference(&closing[2], shown) < difference(&closing[4], shown));
    assert!(session.closing(u64::MAX / 2).is_none());
}
