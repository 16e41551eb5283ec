//! An assistant on speakers and in a window: the text is pushed as it comes, the picture follows the sound, and escape
//! interrupts it with a receipt of what was heard.
//!
//! `cargo run --release --features playback --example live_window`

#![allow(clippy::print_stdout)]

use std::sync::Arc;
use std::time::Duration;

use paravox::playback::{Key, Output, PlaybackError, Player, show};
use paravox::sink::SinkError;
use paravox::{Engine, SpeakOptions, VideoOptions};

const ANSWER: &str = "Of course. The train leaves at ten past nine from platform four. Press escape to interrupt me.";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let engine = Arc::new(Engine::with_defaults()?);
    let options = SpeakOptions::new().video(VideoOptions::new());
    let player = Player::open(&engine, &options, Output::Device(None))?;
    let spoken = std::thread::scope(|scope| {
        let speaking = scope.spawn(|| {
            for token in ANSWER.split_inclusive(' ') {
                // As slowly as a language model writes.
                std::thread::sleep(Duration::from_millis(30));
                player.push(token)?;
            }
            player.finish();
            player.wait()
        });
        // Windows belong to the main thread on some systems.
        show(player.stage(), "Assistant", |key| {
            if key == Some(Key::Escape)
                && let Some(receipt) = player.stop()
            {
                println!("heard: {}\nnot said: {}", receipt.heard_text, receipt.unsaid_text);
            }
            // An interrupted mouth closes before the window does.
            key != Some(Key::Quit) && !(speaking.is_finished() && player.stage().is_at_rest())
        })?;
        player.stop();
        Ok::<_, PlaybackError>(speaking.join())
    })?;
    match spoken {
        // Whoever interrupts it has had enough: the rest of the text has nowhere to go.
        Ok(Ok(()) | Err(paravox::Error::Sink(SinkError::Closed))) => Ok(()),
        Ok(Err(error)) => Err(error.into()),
        Err(_) => Err("the thread that pushes text has panicked".into()),
    }
}
