//! Live output with real parts: a sound server whose sink is recorded, and a window on a virtual screen.
//!
//! Every test starts what it needs: PulseAudio (Debian: `pulseaudio`, `pulseaudio-utils`), Xvfb (`xvfb`), and `xdotool` and
//! `import` (`xdotool`, `imagemagick`) to press keys and to look at the screen.
#![allow(clippy::print_stdout, reason = "figures for who reads the test's output")]

// Servers and screens.
mod parts;
// What is seen: the window, and its sync with what is heard.
mod picture;
// An hour, and ten minutes.
mod soak;
// What is heard: PCM, receipts, lost devices.
mod sound;
// Time by hand: every step of sound, picture and cues.
mod stepped;

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

use parts::{Killed, Screen, SoundServer, start, until};

const TEXT: &str = "Hello, I am your assistant. What can I do for you today?";

/// `paravox play` on a sound server.
fn play(args: &[&str], sound: &SoundServer, display: Option<&str>) -> Killed {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("paravox"));
    command.arg("play").args(args).stderr(Stdio::piped()).stdin(Stdio::null());
    sound.env(&mut command);
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    if let Some(display) = display {
        command.env("DISPLAY", display);
    }
    start(&mut command)
}

fn ends_well(mut played: Killed, within: Duration) -> String {
    until("the end of paravox play", within, || played.0.try_wait().unwrap().is_some());
    let mut stderr = String::new();
    played.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert!(played.0.wait().unwrap().success(), "{stderr}");
    stderr
}

fn spoken(text: &str, seed_args: &[&str]) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    crate::util::paravox().args(["speak", text, "-o"]).arg(&path).args(seed_args).assert().success();
    let samples = hound::WavReader::open(path).unwrap().into_samples::<i16>();
    samples.map(|value| f32::from(value.unwrap()) / 32_768.0).collect()
}

/// The best correlation of `part` with a stretch of `whole`, and where that stretch begins.
fn find(part: &[f32], whole: &[f32]) -> (f64, usize) {
    let energy = |pcm: &[f32]| pcm.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
    let dot = |at: usize| part.iter().zip(&whole[at..]).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let correlation = |at: usize| dot(at) / (energy(part) * energy(&whole[at..at + part.len()])).max(1e-9);
    let last = whole.len() - part.len();
    // Where anything is to be heard, first in steps of half a pitch period or less, then sample by sample.
    let loud = whole.iter().position(|value| value.abs() > 0.005).unwrap_or(0).saturating_sub(part.len());
    let coarse = (loud..=last).step_by(6).map(|at| (correlation(at), at)).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
    let near = coarse.1.saturating_sub(6)..=(coarse.1 + 6).min(last);
    near.map(|at| (correlation(at), at)).max_by(|a, b| a.0.total_cmp(&b.0)).unwrap()
}

/// Runs a test of this folder in a process of its own, which has the sound server and the screen.
fn on(sound: &SoundServer, screen: Option<&Screen>, test: &str) -> String {
    let mut command = sound.command(std::env::current_exe().unwrap().to_str().unwrap());
    command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
    if let Some(screen) = screen {
        command.env("DISPLAY", &screen.display);
    }
    let output = command.args([&format!("playback::{test}"), "--exact", "--ignored", "--nocapture"]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("1 passed"), "{out}{err}");
    out.into_owned()
}

/// The figure that a test has printed as "name value".
fn figure(out: &str, name: &str) -> f64 {
    let value = out.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no figure {name} in {out}"))
}
