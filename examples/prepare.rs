//! Prepares a corpus: `cargo run --release --example prepare -- speech|lips CORPUS OUT`.
#![allow(clippy::print_stdout, missing_docs)]

use paravox::data::prepare::{SpeechOptions, speech};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut progress = |p: paravox::data::prepare::Progress<'_>| {
        if let Some(warning) = p.warning {
            println!("{warning}");
        }
        if p.done % 200 == 0 {
            println!("{}/{}", p.done, p.total);
        }
    };
    let options = SpeechOptions { corpus: (&args[1]).into(), out: (&args[2]).into(), voice: 0, append: false };
    println!("{:?}", speech(&options, &mut progress)?);
    Ok(())
}
