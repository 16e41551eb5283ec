//! Receives PCM and pictures while they are made, as a player or a server does: on another thread, through a channel.
//!
//! `cargo run --release --example stream_chunks -- "Hello, I am your assistant."`

use std::time::Instant;

use paravox::sink::{ChannelSink, Event, Sink};
use paravox::{Engine, SpeakOptions, VideoOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::env::args().nth(1).unwrap_or_else(|| "Hello, I am your assistant. How are you?".to_string());
    let engine = Engine::with_defaults()?;
    let start = Instant::now();
    // At most 64 events wait, so a slow receiver slows the engine down and memory stays what it is.
    let (mut sink, events) = ChannelSink::new(64);
    std::thread::scope(|scope| {
        let speaking = scope.spawn(|| -> Result<(), paravox::Error> {
            engine.speak(&text, &SpeakOptions::new().video(VideoOptions::new()), &mut sink)?;
            Ok(Box::new(sink).finish()?)
        });
        let (mut pcm_samples, mut video_frames) = (0, 0);
        for event in events {
            match event {
                Event::Begin(info) => eprintln!("{:.3} s: {info:?}", start.elapsed().as_secs_f64()),
                Event::Pcm { pcm, .. } => pcm_samples += pcm.len(),
                Event::Picture { .. } => video_frames += 1,
                Event::Cue(cue) => eprintln!("{:.3} s: {:?} {}", start.elapsed().as_secs_f64(), cue.kind, cue.text),
                _ => {}
            }
        }
        eprintln!("{:.3} s: {pcm_samples} PCM samples, {video_frames} video frames", start.elapsed().as_secs_f64());
        speaking.join().map_err(|_| "the engine panicked")??;
        Ok(())
    })
}
