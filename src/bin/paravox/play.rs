//! `paravox play`: text into speakers and a window, live.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use paravox::SessionOptions;
use paravox::playback::{Happening, Key, Output, Player, output_devices, show};

use crate::speech_args::{FaceArgs, SpeechArgs};

/// The arguments of `play`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Play {
    #[command(flatten)]
    speech: SpeechArgs,
    #[command(flatten)]
    face: FaceArgs,
    /// Sound alone
    #[arg(long)]
    no_window: bool,
    /// The picture alone, at the pace that the sound would have
    #[arg(long)]
    no_sound: bool,
    /// A sound device by its name
    #[arg(long, value_name = "NAME", conflicts_with = "no_sound")]
    audio_device: Option<String>,
    /// List the sound devices
    #[arg(long, exclusive = true)]
    list_devices: bool,
}

const EXAMPLES: &str = "Examples:
  paravox play \"Hello, I am your assistant.\"
  paravox play -f book.txt --no-window
  paravox play --list-devices

In the window: space pauses and goes on, the arrow to the right skips a sentence, escape stops, q quits.";

pub(crate) fn run(args: Play) -> anyhow::Result<()> {
    if args.list_devices {
        let mut out = std::io::stdout().lock();
        for name in output_devices()? {
            writeln!(out, "{name}")?;
        }
        return Ok(());
    }
    if let Some(name) = &args.audio_device {
        let devices = output_devices()?;
        anyhow::ensure!(
            devices.contains(name),
            "no sound device named {name:?}: there are {}; --no-sound plays without",
            devices.join(", ")
        );
    }
    let mut options = args.speech.options();
    if !args.no_window {
        options = options.video(args.face.options());
    }
    let output = if args.no_sound { Output::Silent } else { Output::Device(args.audio_device.clone()) };
    let mut text = args.speech.reader()?;
    let engine = Arc::new(args.speech.engine()?);
    let mut options = SessionOptions::from(&options);
    options.ssml = args.speech.ssml;
    let player = Player::open(&engine, options, output)?;
    let happenings = player.happenings();
    // Ends with the process.
    std::thread::spawn(move || {
        for happening in happenings {
            match happening {
                Happening::DeviceLost(reason) => {
                    eprintln!("paravox: the sound device is gone ({reason}): looking for it")
                }
                Happening::DeviceBack => eprintln!("paravox: the sound device is back"),
                _ => {}
            }
        }
    });
    let is_stopped = AtomicBool::new(false);
    let is_over = AtomicBool::new(false);
    let stop = || {
        is_stopped.store(true, Ordering::Release);
        if let Some(receipt) = player.stop() {
            eprintln!("stopped after: {}", receipt.heard_text.trim());
        }
    };
    std::thread::scope(|scope| {
        let speaking = scope.spawn(|| -> anyhow::Result<()> {
            let pushed = push_all(&player, &mut text, &is_stopped);
            player.finish();
            let heard = player.wait();
            is_over.store(true, Ordering::Release);
            // Whoever stops it has had enough: no failure.
            if is_stopped.load(Ordering::Acquire) { Ok(()) } else { heard.map_err(Into::into).and(pushed) }
        });
        // Windows belong to the main thread on some systems.
        let shown = if args.no_window {
            Ok(())
        } else {
            show(player.stage(), "Paravox", |key| {
                match key {
                    Some(Key::Space) if player.stage().is_paused() => player.resume(),
                    Some(Key::Space) => player.pause(),
                    Some(Key::Right) => drop(player.skip()),
                    Some(Key::Escape | Key::Quit) => stop(),
                    _ => {}
                }
                // An interrupted mouth closes before the window does.
                key != Some(Key::Quit) && !(is_over.load(Ordering::Acquire) && player.stage().is_at_rest())
            })
        };
        if shown.is_err() {
            stop();
        }
        let spoken = speaking.join().map_err(|_| anyhow::anyhow!("the speaking thread has ended"))?;
        shown?;
        spoken
    })
}

/// Pushes text as it can be read.
fn push_all(player: &Player, text: &mut dyn BufRead, is_stopped: &AtomicBool) -> anyhow::Result<()> {
    while !is_stopped.load(Ordering::Acquire) {
        let bytes = text.fill_buf()?;
        let read = bytes.len();
        if read == 0 {
            break;
        }
        player.push_bytes(bytes)?;
        text.consume(read);
    }
    Ok(())
}
