//! `paravox play`: text into speakers and a window, live.

use clap::Args;
use paravox::VideoOptions;
use paravox::playback::{LivePlayer, PlaybackOptions, output_devices, show};
use paravox::sink::Sink;

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
    /// A sound device by its name; an unknown name lists them
    #[arg(long, value_name = "NAME")]
    audio_device: Option<String>,
}

const EXAMPLES: &str = "Examples:
  paravox play \"Hello, I am your assistant.\"
  paravox play -f book.txt --no-window

In the window: space pauses and goes on, escape or q stops.";

pub(crate) fn run(args: Play) -> anyhow::Result<()> {
    if let Some(name) = &args.audio_device {
        let devices = output_devices()?;
        anyhow::ensure!(devices.contains(name), "no sound device named {name:?}: there are {devices:?}");
    }
    let mut options = args.speech.options();
    if !args.no_window {
        let mut video = VideoOptions::new().fps(args.face.fps);
        if let Some(face) = &args.face.face {
            video = video.face(face);
        }
        options = options.video(video);
    }
    let engine = args.speech.engine()?;
    let playback = PlaybackOptions { sound: !args.no_sound, audio_device: args.audio_device };
    let (player, mut sink) = LivePlayer::new(playback);
    std::thread::scope(|scope| {
        let speaking = scope.spawn(|| -> anyhow::Result<()> {
            let spoken = engine.speak(args.speech.source(), &options, &mut sink).map_err(anyhow::Error::from);
            let heard = spoken.and_then(|_| Ok(Box::new(sink).finish()?));
            if heard.is_err() && player.was_stopped() {
                // The listener has had enough: no failure.
                return Ok(());
            }
            // Ends the window where there was a failure; after the last word nothing is left to end.
            player.stop();
            heard
        });
        // Windows belong to the main thread on some systems.
        let shown = if args.no_window { Ok(()) } else { show(&player, "Paravox") };
        if shown.is_err() {
            player.stop();
        }
        let spoken = speaking.join().map_err(|_| anyhow::anyhow!("the speaking thread has ended"))?;
        shown?;
        spoken
    })
}
