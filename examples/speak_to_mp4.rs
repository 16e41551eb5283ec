//! Speaks a sentence into a video file with the built-in voice and face.
//!
//! `cargo run --release --example speak_to_mp4 -- "Hello, I am your assistant." hello.mp4`

use paravox::sink::{Mp4Sink, Sink};
use paravox::{Engine, SpeakOptions, VideoOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let text = args.next().unwrap_or_else(|| "Hello, I am your assistant.".to_string());
    let path = args.next().unwrap_or_else(|| "hello.mp4".to_string());

    let engine = Engine::with_defaults()?;
    let options = SpeakOptions::new().video(VideoOptions::new());
    let mut sink = Mp4Sink::new(&path);
    let spoken = engine.speak(&text, &options, &mut sink)?;
    // The file appears under its name here and not before.
    Box::new(sink).finish()?;
    eprintln!("{path}: {:.2} s, {} video frames", spoken.seconds(), spoken.video_frames);
    Ok(())
}
