//! Prints what is said when, word by word, without making a sound: what an avatar or subtitles need.
//!
//! `cargo run --release --example plan_cues -- "Hello, I am your assistant."`

use paravox::cue::CueKind;
use paravox::{Engine, SpeakOptions};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = std::env::args().nth(1).unwrap_or_else(|| "Hello, I am your assistant.".to_string());
    let engine = Engine::with_defaults()?;
    let plan = engine.plan(&text, &SpeakOptions::new())?;
    for cue in plan.cues().filter(|cue| matches!(cue.kind, CueKind::Word | CueKind::Viseme)) {
        let seconds = |sample: u64| sample as f64 / f64::from(plan.sample_rate);
        eprintln!("{:7.3} {:7.3} {:?} {}", seconds(cue.start_sample), seconds(cue.end_sample), cue.kind, cue.text);
    }
    Ok(())
}
