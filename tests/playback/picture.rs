//! What is seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use paravox::playback::{Output, Stage, show};
use paravox::sink::{Picture, Sink, StreamInfo, VideoInfo};
use paravox::timeline::Fps;
use paravox::{Engine, SpeakOptions, VideoOptions};
use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt, ImageFormat};

use super::parts::{Screen, SoundServer, until};
use super::{ends_well, on, play};

#[test]
fn the_window_shows_the_face_and_keys_pause_and_stop() {
    let (sound, screen) = (SoundServer::start(), Screen::start());
    let recording = sound.record();
    let text = "This is a long sentence that is going to be interrupted before it has come to its end. ".repeat(5);
    let playing = play(&[&text, "--still"], &sound, Some(&screen.display));
    until("a window", Duration::from_secs(60), || screen.window().is_some());
    until("speech", Duration::from_secs(60), || recording.is_loud_since(0));

    // What is seen is the face: outside of the mouth it is the still picture of the same face.
    let engine = Arc::new(Engine::with_defaults().unwrap());
    let options = SpeakOptions::new().video(VideoOptions::new());
    let still = engine.idle_face(&options).unwrap().unwrap().picture();
    let (width, height, shown) = screen.window().unwrap();
    assert_eq!((width, height), (still.width, still.height));
    let top = 3 * width as usize * (height as usize / 4);
    let worst = shown[..top].iter().zip(&still.rgb[..top]).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(worst <= Some(8), "the upper quarter of the face differs by {worst:?}");

    let seen: Vec<Vec<u8>> = (0..6).map(|_| screen.window().unwrap().2).collect();
    assert!(seen.windows(2).any(|pair| pair[0] != pair[1]), "the mouth does not move");

    // Nobody else gives the window the keyboard: there is no window manager.
    screen.run("xdotool", &["search", "--name", "^Paravox$", "windowfocus"]);
    let press = |key: &str| drop(screen.run("xdotool", &["key", key]));
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
fn a_window_alone_keeps_the_time_of_the_sound() {
    let (sound, screen) = (SoundServer::start(), Screen::start());
    let recording = sound.record();
    let begun = Instant::now();
    let playing = play(&["Hello, I am your assistant.", "--no-sound"], &sound, Some(&screen.display));
    until("a window", Duration::from_secs(60), || screen.window().is_some());
    let (shown, first) = (begun.elapsed(), screen.window().unwrap().2);
    until("a moving mouth", Duration::from_secs(10), || screen.window().is_some_and(|window| window.2 != first));
    ends_well(playing, Duration::from_secs(60));
    assert!(begun.elapsed() - shown > Duration::from_secs(1), "two seconds of speech take their time");
    assert!(!recording.is_loud_since(0));
}

/// One pixel of the screen, in a loop: when it turns white.
fn flashes(screen: &Screen, is_over: &AtomicBool) -> Vec<Instant> {
    let (connection, at) = x11rb::connect(Some(&screen.display)).unwrap();
    let root = connection.setup().roots[at].root;
    let (mut seen, mut was_white) = (Vec::new(), false);
    while !is_over.load(Ordering::Acquire) {
        let image = connection.get_image(ImageFormat::Z_PIXMAP, root, 30, 30, 1, 1, !0).unwrap().reply().unwrap();
        let is_white = image.data[..3].iter().all(|&byte| byte > 200);
        if is_white && !was_white {
            seen.push(Instant::now());
        }
        was_white = is_white;
        std::thread::sleep(Duration::from_millis(1));
    }
    seen
}

/// By how many milliseconds each flash is behind its beep.
fn offsets_ms(test: &str) -> Vec<f64> {
    let (sound, screen) = (SoundServer::start(), Screen::start());
    let recording = sound.record();
    let is_over = AtomicBool::new(false);
    let flashes = std::thread::scope(|scope| {
        let looking = scope.spawn(|| flashes(&screen, &is_over));
        on(&sound, Some(&screen), test);
        std::thread::sleep(Duration::from_millis(300));
        is_over.store(true, Ordering::Release);
        looking.join().unwrap()
    });
    let beeps = recording.beginnings();
    let behind = |flash: &Instant| {
        let ms = |beep: &Instant| {
            let (late, early) = (flash.saturating_duration_since(*beep), beep.saturating_duration_since(*flash));
            (late.as_secs_f64() - early.as_secs_f64()) * 1e3
        };
        beeps.iter().map(ms).min_by(|a, b| a.abs().total_cmp(&b.abs()))
    };
    // The server wakes up during the first ones.
    flashes.iter().skip(2).filter_map(behind).collect()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

#[test]
fn flash_and_beep_come_together() {
    let offsets = offsets_ms("picture::nine_flashes_and_beeps");
    println!("the picture is behind the sound by {offsets:.1?} ms");
    assert!(offsets.len() >= 6, "{offsets:?}");
    assert!(median(&offsets).abs() < 20.0, "{offsets:?}");
}

/// cargo test --release --features playback --test tests ten_minutes -- --ignored --nocapture --test-threads=1
#[test]
#[ignore = "takes ten minutes, and a machine that does nothing else"]
fn ten_minutes_of_flash_and_beep_stay_together() {
    let offsets = offsets_ms("picture::flashes_and_beeps_for_long");
    let (first, last) = (median(&offsets[..20]), median(&offsets[offsets.len() - 20..]));
    let largest = offsets.iter().fold(0.0f64, |a, b| a.max(b.abs()));
    println!("{} flashes: behind the sound by {first:.1} ms at first, {last:.1} ms at last", offsets.len());
    println!("median {:.1} ms, at most {largest:.1} ms", median(&offsets));
    assert!(offsets.len() >= 590 && first.abs() < 20.0 && last.abs() < 20.0);
}

/// Flashes for two video frames of each second, and beeps with them.
fn flash_and_beep(seconds: u64) {
    let stage = Stage::open(Output::Device(None), None).unwrap();
    let mut sink = Box::new(stage.sink());
    let feeding = std::thread::spawn(move || {
        let video = Some(VideoInfo { width: 64, height: 64, fps: Fps::FPS_25 });
        sink.begin(&StreamInfo { sample_rate: 24_000, video })?;
        for k in 0..25 * seconds {
            let is_on = k % 25 == 12 || k % 25 == 13;
            let pcm: Vec<f32> = (0..960).map(|i| if is_on { 0.5 * (0.25 * i as f32).sin() } else { 0.0 }).collect();
            let rgb = vec![if is_on { 255 } else { 0 }; 64 * 64 * 3];
            sink.pcm(&pcm)?;
            sink.picture(&Picture { width: 64, height: 64, rgb })?;
        }
        sink.finish()
    });
    show(&stage, "Paravox", |_| !stage.is_idle()).unwrap();
    feeding.join().unwrap().unwrap();
}

#[test]
#[ignore = "run by flash_and_beep_come_together with a sound server and a screen of its own"]
fn nine_flashes_and_beeps() {
    flash_and_beep(9);
}

#[test]
#[ignore = "run by ten_minutes_of_flash_and_beep_stay_together"]
fn flashes_and_beeps_for_long() {
    flash_and_beep(600);
}
