//! Live output: speakers and a window on one clock, the sound device's.
//!
//! The sound is the master. [`clock::AudioClock`] tells which PCM sample is audible at this instant, and the window shows the
//! newest picture whose time has come; a picture that comes too late is dropped and never queued, so the picture cannot drift
//! from the sound whatever the machine is busy with.
//!
//! | file | holds |
//! |---|---|
//! | `clock` | which PCM sample is audible now |
//! | `queue` | PCM on its way to the device: cut, pause and skip without a click |
//! | `speaker` | the sound device: a cpal stream fed through rodio's rate and channel conversion |
//! | `output` | the thread that keeps a device open, or time going without one |
//! | `stage` | queues and clock together |
//! | `sink` | the sink that an engine speaks into |
//! | `viewer` | which picture is shown at a moment |
//! | `window` | the picture on the screen, and the keys |
//! | `player` | an engine on a stage: push, stop, pause, skip |

mod clock;
mod output;
mod player;
mod queue;
mod sink;
mod speaker;
mod stage;
mod viewer;
mod window;

pub use player::Player;
pub use sink::LiveSink;
pub use speaker::output_devices;
pub use stage::{Happening, Output, Stage};
pub use window::{Key, show};

/// What can go wrong with live output; the variant says what the caller can do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlaybackError {
    /// There is no sound device, or the named one does not exist: play without sound, or name another.
    #[error("no sound device{}: plug one in, name one that `paravox play --list-devices` shows, or use --no-sound", named(.0))]
    NoDevice(Option<String>),
    /// The device refused the stream, or went away: try again, or play without sound.
    #[error("the sound device failed ({0}): try again, name another with --audio-device, or use --no-sound")]
    Device(cpal::Error),
    /// The engine refused or failed: see [`Error`](crate::Error).
    #[error(transparent)]
    Engine(#[from] crate::Error),
    /// No window can be opened here: play without one.
    #[error("no window can be opened ({0}): set DISPLAY or WAYLAND_DISPLAY, or use --no-window")]
    Window(String),
}

// Not `#[from]`, which would also make it the source of an error that already names it.
impl From<cpal::Error> for PlaybackError {
    fn from(error: cpal::Error) -> Self {
        Self::Device(error)
    }
}

fn named(name: &Option<String>) -> String {
    name.as_ref().map(|name| format!(" named {name:?}")).unwrap_or_default()
}
