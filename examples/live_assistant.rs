//! An assistant that speaks while its answer is still being written, and is interrupted: tokens are pushed as they come, the
//! first sound is there before the last word is known, and the receipt says what was heard of it.
//!
//! `cargo run --release --example live_assistant`

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use paravox::sink::Event;
use paravox::{Engine, SpeakOptions, VideoOptions};

const ANSWER: &str = "Of course. The train leaves at ten past nine from platform four. It is a long journey, so take \
    something to read. You arrive in the evening.";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Arc::new(Engine::with_defaults()?);
    let options = SpeakOptions::new().video(VideoOptions::new());
    // So that the first answer is as quick as all others.
    engine.warm(&options)?;

    let start = Instant::now();
    let (session, events) = engine.session(&options)?;
    let session = Arc::new(session);
    let model = std::thread::spawn({
        let session = session.clone();
        move || {
            for token in ANSWER.split_inclusive(' ') {
                std::thread::sleep(Duration::from_millis(30));
                if session.push(token).is_err() {
                    // Interrupted.
                    return;
                }
            }
            session.finish();
        }
    });

    // A player would hand these to a device; here the listener says "stop" when three seconds have been made.
    let (mut played, mut pictures) = (0, 0);
    for event in events {
        match event {
            Event::Pcm { start_sample, pcm } => {
                if start_sample == 0 {
                    println!("first sound after {:.3} s", start.elapsed().as_secs_f64());
                }
                played = start_sample + pcm.len() as u64;
            }
            Event::Picture { .. } => pictures += 1,
            Event::Cue(cue) if cue.kind == paravox::cue::CueKind::Sentence => println!("says: {}", cue.text),
            _ => {}
        }
        if played > 3 * 24_000 {
            session.cancel();
            break;
        }
    }
    model.join().map_err(|_| "the model's thread has ended")?;
    let receipt = session.receipt(played);
    let closing = session.closing(played).map_or(0, Iterator::count);
    println!("heard: {}", receipt.heard_text);
    println!("not said: {}", receipt.unsaid_text.trim());
    println!("{pictures} video frames, and {closing} more in which the mouth closes");
    Ok(())
}
