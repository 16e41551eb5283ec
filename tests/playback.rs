//! Live output with real parts: a sound server whose sink is recorded, and a window on a virtual screen.
//!
//! Every test starts what it needs: PulseAudio (Debian: `pulseaudio`, `pulseaudio-utils`), Xvfb (`xvfb`), and `xdotool` and
//! `import` (`xdotool`, `imagemagick`) to press keys and to look at the screen.

#![allow(clippy::print_stdout, reason = "figures for who reads the test's output")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use paravox::playback::{Happening, Output, Player};
use paravox::{Engine, EngineOptions, SpeakOptions, VideoOptions};

use crate::util::package;

const TEXT: &str = "Hello, I am your assistant. What can I do for you today?";

/// A child that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> Killed {
    let name = command.get_program().to_string_lossy().into_owned();
    Killed(command.spawn().unwrap_or_else(|error| panic!("install {name} to run this test: {error}")))
}

fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !is_so() {
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A sound server of its own with one sink that plays to nobody in real time.
struct SoundServer {
    folder: tempfile::TempDir,
    server: Option<Killed>,
}

impl SoundServer {
    fn start() -> Self {
        let mut server = Self { folder: tempfile::tempdir().unwrap(), server: None };
        server.up();
        server
    }

    fn up(&mut self) {
        let mut command = self.command("pulseaudio");
        command.args(["--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no", "--disallow-exit", "-n"]);
        let socket = format!("module-native-protocol-unix auth-anonymous=1 socket={}", self.socket());
        command.args(["-L", &socket, "-L", "module-null-sink sink_name=t rate=48000"]);
        self.server = Some(start(command.stdout(Stdio::null()).stderr(Stdio::null())));
        until("a sound server", Duration::from_secs(20), || {
            let info = self.command("pactl").arg("info").stdout(Stdio::null()).stderr(Stdio::null()).status();
            info.expect("install pulseaudio-utils to run this test").success()
        });
    }

    fn down(&mut self) {
        self.server = None;
        let _ = std::fs::remove_file(self.socket());
    }

    fn socket(&self) -> String {
        self.folder.path().join("socket").display().to_string()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.env(&mut command);
        command
    }

    fn env(&self, command: &mut Command) {
        let server = format!("unix:{}", self.socket());
        command.env("HOME", self.folder.path()).env("XDG_RUNTIME_DIR", self.folder.path()).env("PULSE_SERVER", server);
    }

    /// Records what the sink plays, mono at 24 kHz, from now on.
    fn record(&self) -> Recording {
        let mut command = self.command("parec");
        command.args(["-d", "t.monitor", "--format=s16le", "--rate=24000", "--channels=1", "--latency-msec=5"]);
        let mut parec = start(command.stdout(Stdio::piped()));
        let mut stdout = parec.0.stdout.take().unwrap();
        let pcm = Arc::new(Mutex::new(Recorded::default()));
        let into = pcm.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 480];
            while stdout.read_exact(&mut bytes).is_ok() {
                let mut into = into.lock().unwrap();
                let at = into.pcm.len();
                into.arrived.push((at, Instant::now()));
                into.pcm.extend(bytes.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0));
            }
        });
        until("a recording", Duration::from_secs(20), || !pcm.lock().unwrap().pcm.is_empty());
        Recording { pcm, _parec: parec }
    }
}

#[derive(Default)]
struct Recorded {
    pcm: Vec<f32>,
    /// When the block that begins at a PCM sample was there.
    arrived: Vec<(usize, Instant)>,
}

struct Recording {
    pcm: Arc<Mutex<Recorded>>,
    _parec: Killed,
}

impl Recording {
    fn pcm(&self) -> Vec<f32> {
        self.pcm.lock().unwrap().pcm.clone()
    }

    fn is_loud_since(&self, at: usize) -> bool {
        self.pcm.lock().unwrap().pcm[at..].iter().any(|value| value.abs() > 0.01)
    }

    fn len(&self) -> usize {
        self.pcm.lock().unwrap().pcm.len()
    }
}

/// A virtual screen of its own.
struct Screen {
    display: String,
    _xvfb: Killed,
}

impl Screen {
    fn start() -> Self {
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "800x800x24", "-nolisten", "tcp"]);
        let mut xvfb = start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut line = String::new();
        BufReader::new(xvfb.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { display: format!(":{}", line.trim()), _xvfb: xvfb }
    }

    fn run(&self, program: &str, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new(program);
        let output = command.args(args).env("DISPLAY", &self.display).output();
        output.unwrap_or_else(|error| panic!("install {program} to run this test: {error}")).stdout
    }

    /// The window's pixels: width, height, RGB.
    fn window(&self) -> Option<(u32, u32, Vec<u8>)> {
        let ids = String::from_utf8(self.run("xdotool", &["search", "--name", "^Paravox$"])).unwrap();
        let id = ids.lines().next()?.to_string();
        let png = self.run("import", &["-window", &id, "-depth", "8", "png:-"]);
        let image = image::load_from_memory(&png).ok()?.to_rgb8();
        Some((image.width(), image.height(), image.into_raw()))
    }
}

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

#[test]
fn the_sink_plays_what_was_spoken_without_gaps() {
    let sound = SoundServer::start();
    let recording = sound.record();
    ends_well(play(&[TEXT, "--no-window"], &sound, None), Duration::from_secs(60));
    std::thread::sleep(Duration::from_millis(300));
    let (heard, expected) = (recording.pcm(), spoken(TEXT, &[]));
    // A second from each sentence, and where it came: no gap between the two.
    let parts = [6_000..30_000, expected.len() - 36_000..expected.len() - 12_000];
    let found = parts.clone().map(|part| find(&expected[part], &heard));
    for (correlation, _) in found {
        assert!(correlation > 0.99, "{found:?}");
    }
    let distance = (found[1].1 - found[0].1).abs_diff(parts[1].start - parts[0].start);
    assert!(distance <= 24, "the second sentence is {distance} PCM samples from its place");
}

#[test]
fn the_window_shows_the_face_and_keys_pause_and_stop() {
    let (sound, screen) = (SoundServer::start(), Screen::start());
    let recording = sound.record();
    let text = "This is a long sentence that is going to be interrupted before it has come to its end. ".repeat(5);
    let playing = play(&[&text], &sound, Some(&screen.display));
    until("a window", Duration::from_secs(60), || screen.window().is_some());
    until("speech", Duration::from_secs(60), || recording.is_loud_since(0));

    // What is seen is the face: outside of the mouth it is the still picture of the same face.
    let engine = Arc::new(Engine::with_defaults().unwrap());
    let options = SpeakOptions::new().video(VideoOptions::new());
    let still = engine.idle_face(&options).unwrap().unwrap().picture_at(0.0);
    let (width, height, shown) = screen.window().unwrap();
    assert_eq!((width, height), (still.width, still.height));
    let top = 3 * width as usize * (height as usize / 4);
    let worst = shown[..top].iter().zip(&still.rgb[..top]).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(8), "the upper quarter of the face differs by {worst:?}");

    let seen: Vec<Vec<u8>> = (0..6).map(|_| screen.window().unwrap().2).collect();
    assert!(seen.windows(2).any(|pair| pair[0] != pair[1]), "the mouth does not move");

    let press = |key: &str| drop(screen.run("xdotool", &["search", "--name", "^Paravox$", "key", key]));
    press("space");
    std::thread::sleep(Duration::from_millis(700));
    let (from, first) = (recording.len(), screen.window().unwrap().2);
    std::thread::sleep(Duration::from_millis(500));
    assert!(!recording.is_loud_since(from), "sound goes on in a pause");
    assert!(screen.window().unwrap().2 == first, "the picture goes on in a pause");
    let from = recording.len();
    press("space");
    until("speech after the pause", Duration::from_secs(20), || recording.is_loud_since(from));
    press("Escape");
    let told = ends_well(playing, Duration::from_secs(20));
    assert!(told.starts_with("stopped after: This is a long"), "{told}");
}

#[test]
fn a_lost_device_is_reported_once_and_found_again() {
    let mut sound = SoundServer::start();
    let text = "One two three four five six seven eight nine ten, and so on. ".repeat(6);
    let playing = play(&[&text, "--no-window"], &sound, None);
    let recording = sound.record();
    until("speech", Duration::from_secs(60), || recording.is_loud_since(0));
    sound.down();
    drop(recording);
    std::thread::sleep(Duration::from_millis(1500));
    sound.up();
    let recording = sound.record();
    until("speech after the loss", Duration::from_secs(30), || recording.is_loud_since(0));
    let told = ends_well(playing, Duration::from_secs(90));
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 2, "{told}");
    assert!(lines[0].contains("the sound device is gone") && lines[1].contains("is back"), "{told}");
}

#[test]
fn without_a_device_one_line_says_how_to_do_without() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = crate::util::paravox();
    command.args(["play", "Hello.", "--no-window"]).env("PULSE_SERVER", "unix:/nonexistent");
    command.env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path()).env("ALSA_CONFIG_PATH", "/dev/null");
    let line = crate::util::fails(&mut command, 1);
    assert!(line.contains("--no-sound"), "{line}");
}

/// Runs a test of this file in a process of its own, which has the sound server.
fn on(sound: &SoundServer, test: &str) -> String {
    let mut command = sound.command(std::env::current_exe().unwrap().to_str().unwrap());
    let output = command.args([&format!("playback::{test}"), "--exact", "--ignored", "--nocapture"]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

/// The figure that a test has printed as "name value".
fn figure(out: &str, name: &str) -> f64 {
    let value = out.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no figure {name} in {out}"))
}

#[test]
fn a_stop_silences_at_once_and_its_receipt_is_what_was_heard() {
    let sound = SoundServer::start();
    let recording = sound.record();
    let out = on(&sound, "stop_in_the_middle");
    std::thread::sleep(Duration::from_millis(300));
    let (heard, expected) = (recording.pcm(), spoken(TEXT, &[]));
    let (correlation, at) = find(&expected[4_800..19_200], &heard);
    assert!(correlation > 0.99, "{correlation}");
    let start = at as f64 - 4_800.0;
    let end = heard.iter().rposition(|value| value.abs() > 1e-4).unwrap() as f64;
    let played = end - start;
    println!("played {played}, receipt {}, silent after {} ms", figure(&out, "pcm_samples"), figure(&out, "stop_ms"));
    assert!((played - figure(&out, "pcm_samples")).abs() < 480.0, "{played} PCM samples were played: {out}");
    // 50 ms on a machine at rest.
    assert!(figure(&out, "stop_ms") < 200.0, "{out}");
}

#[test]
#[ignore = "run by a_stop_silences_at_once_and_its_receipt_is_what_was_heard with a sound server of its own"]
fn stop_in_the_middle() {
    let engine = Arc::new(Engine::with_defaults().unwrap());
    let player = Player::open(&engine, &SpeakOptions::new(), Output::Device(None)).unwrap();
    player.push(TEXT).unwrap();
    player.finish();
    until("a second of speech", Duration::from_secs(30), || player.stage().position() > 26_000);
    let begun = Instant::now();
    let receipt = player.stop().unwrap();
    println!("\nstop_ms {}", begun.elapsed().as_secs_f64() * 1e3);
    println!("pcm_samples {}", receipt.pcm_samples);
    assert_eq!(receipt.heard_text.clone() + &receipt.unsaid_text, TEXT);
    assert!(receipt.heard_text.starts_with("Hello, I am") && receipt.unsaid_text.ends_with("today?"), "{receipt:?}");
    assert!(player.stage().underruns() <= 1 && player.is_idle());
    // The next utterance is heard as if nothing had been.
    std::thread::sleep(Duration::from_millis(400));
}

/// Time by hand: an utterance seen and heard step by step.
#[test]
fn pictures_follow_the_sound_and_cues_come_at_their_time() {
    let engine = Arc::new(Engine::open(EngineOptions::new().package(package())).unwrap());
    let options = SpeakOptions::new().video(VideoOptions::new());
    let player = Player::open(&engine, &options, Output::Stepped).unwrap();
    let happenings = player.happenings();
    let idle = player.stage().picture().unwrap();
    player.push(TEXT).unwrap();
    player.finish();
    let (mut changes, mut shown, mut words, mut is_over) = (0, idle.clone(), Vec::new(), false);
    while !is_over {
        player.stage().advance(240);
        let position = player.stage().position();
        let picture = player.stage().picture().unwrap();
        changes += u64::from(!Arc::ptr_eq(&picture, &shown));
        shown = picture;
        for happening in happenings.try_iter() {
            match happening {
                Happening::Cue(cue) => {
                    assert!((cue.start_sample..=cue.start_sample + 240).contains(&position), "{cue:?} at {position}");
                    words.extend((cue.kind == paravox::cue::CueKind::Word).then_some(cue.text));
                }
                Happening::Heard => is_over = true,
                other => panic!("{other:?}"),
            }
        }
    }
    let plan = engine.plan(TEXT, &options).unwrap();
    assert_eq!(words.len(), TEXT.split(' ').count());
    assert!(changes.abs_diff(plan.video_frames) <= 1, "{changes} of {} video frames were seen", plan.video_frames);
    player.wait().unwrap();
    assert!(*player.stage().picture().unwrap() == *idle, "the idle face is back");
}

#[test]
fn an_interrupted_mouth_closes_and_a_skipped_sentence_is_not_said() {
    let engine = Arc::new(Engine::open(EngineOptions::new().package(package())).unwrap());
    let options = SpeakOptions::new().video(VideoOptions::new());
    let player = Player::open(&engine, &options, Output::Stepped).unwrap();
    let idle = player.stage().picture().unwrap();
    player.push("One two three four. Five six seven. Eight nine.").unwrap();
    player.finish();
    let plan = engine.plan("One two three four. Five six seven. Eight nine.", &options).unwrap();
    let second = plan.sentences[1].start_sample;
    let step = || {
        player.stage().advance(480);
        player.stage().picture().unwrap()
    };
    while player.stage().position() < second / 2 {
        step();
    }
    assert!(player.skip());
    step();
    assert!(player.stage().position() > second / 2 + 240, "nothing was left out");
    let until = second + (plan.sentences[1].end_sample - second) * 2 / 3;
    while player.stage().position() < until {
        step();
    }
    let before = step();
    let receipt = player.stop().unwrap();
    assert!(!receipt.heard_text.contains("four") && receipt.heard_text.contains("Five"), "{receipt:?}");
    assert!(receipt.unsaid_text.contains("nine") && !receipt.unsaid_text.contains("four"), "{receipt:?}");
    let mut seen = vec![before];
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(400) {
        let picture = player.stage().picture().unwrap();
        if !Arc::ptr_eq(&picture, seen.last().unwrap()) {
            seen.push(picture);
        }
        std::thread::sleep(Duration::from_millis(3));
    }
    assert!(seen.len() >= 4, "the mouth snaps shut: {} pictures", seen.len());
    assert!(**seen.last().unwrap() == *idle);
}

/// The memory that this process holds.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Speaks for some seconds of time by hand and gives the figures of a soak.
fn soak(seconds: f64) {
    let engine = Arc::new(Engine::with_defaults().unwrap());
    let fps = paravox::timeline::Fps::FPS_25;
    let options = SpeakOptions::new().video(VideoOptions::new().fps(fps));
    let player = Player::open(&engine, &options, Output::Stepped).unwrap();
    let total = (seconds * 24_000.0) as u64;
    let (mut shown, mut changes, mut worst_ms) = (player.stage().picture().unwrap(), 0u64, 0f64);
    let mut first_mib = 0.0;
    std::thread::scope(|scope| {
        let ended = Arc::new(AtomicBool::new(false));
        let writer = scope.spawn({
            let (ended, player) = (ended.clone(), &player);
            move || {
                for n in 0.. {
                    let text = format!("This is sentence number {n}, and another one follows it soon. ");
                    if ended.load(Ordering::Acquire) || player.push(&text).is_err() {
                        return;
                    }
                }
            }
        });
        while player.stage().position() < total {
            player.stage().advance(240);
            let picture = player.stage().picture().unwrap();
            if !Arc::ptr_eq(&picture, &shown) {
                // Video frame k is due at k periods; this is when it was really seen.
                let due_ms = changes as f64 * 1000.0 / fps.as_f64();
                worst_ms = worst_ms.max((player.stage().position() as f64 / 24.0 - due_ms).abs());
                changes += 1;
                shown = picture;
            }
            if first_mib == 0.0 && player.stage().position() > total / 4 {
                first_mib = resident_mib();
            }
        }
        ended.store(true, Ordering::Release);
        player.stop();
        writer.join().unwrap();
    });
    let last_mib = resident_mib();
    println!(
        "{seconds} s: largest offset {worst_ms:.2} ms, memory {first_mib:.1} to {last_mib:.1} MiB, {} underruns",
        player.stage().underruns()
    );
    // Every video frame was seen, at most a step after its time.
    assert!(worst_ms <= 11.0 && player.stage().underruns() == 0);
    assert!(last_mib < first_mib + 24.0, "memory grows");
}

#[test]
fn a_short_soak_drifts_nowhere() {
    soak(20.0);
}

/// cargo test --release --features playback --test tests an_hour -- --ignored --nocapture
#[test]
#[ignore = "an hour of speech on a virtual clock: takes 10 minutes or more"]
fn an_hour_of_speech_drifts_nowhere() {
    soak(3600.0);
}
