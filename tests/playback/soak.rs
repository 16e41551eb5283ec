//! Speech for an hour on a virtual clock, and for ten minutes in real time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use paravox::playback::{Output, Player, Stage, show};
use paravox::sink::Picture;
use paravox::timeline::Fps;
use paravox::{Engine, SpeakOptions, VideoOptions};

use super::on;
use super::parts::{Screen, SoundServer};

const FPS: Fps = Fps::FPS_25;

/// The memory that this process holds.
fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Looks at a stage again and again.
struct Watch {
    begun: Instant,
    shown: Arc<Picture>,
    /// Video frames seen, and those that were never seen.
    video_frames: u64,
    dropped: u64,
    /// How long after its time a video frame was seen at most.
    latest_ms: f64,
    /// Memory after each tenth of the time.
    memory_mib: Vec<f64>,
    /// The sound's time against the machine's, early and at the end.
    ahead_ms: [f64; 2],
}

impl Watch {
    fn new(stage: &Stage) -> Self {
        let shown = stage.picture().unwrap();
        let (memory_mib, ahead_ms) = (Vec::new(), [0.0; 2]);
        Self { begun: Instant::now(), shown, video_frames: 0, dropped: 0, latest_ms: 0.0, memory_mib, ahead_ms }
    }

    /// One look; `false` once `seconds` have been heard.
    fn goes_on(&mut self, stage: &Stage, seconds: f64) -> bool {
        let picture = stage.picture().unwrap();
        let position_ms = stage.position() as f64 / 24.0;
        if !Arc::ptr_eq(&picture, &self.shown) {
            self.shown = picture;
            let mut late_ms = position_ms - self.video_frames as f64 * 1e3 / FPS.as_f64();
            while late_ms >= 1e3 / FPS.as_f64() {
                late_ms -= 1e3 / FPS.as_f64();
                self.video_frames += 1;
                self.dropped += 1;
            }
            self.video_frames += 1;
            self.latest_ms = self.latest_ms.max(late_ms.abs());
        }
        if position_ms > (self.memory_mib.len() + 1) as f64 * seconds * 100.0 {
            self.memory_mib.push(resident_mib());
        }
        if position_ms > 0.0 {
            let which = usize::from(position_ms > 5_000.0);
            self.ahead_ms[which] = position_ms - self.begun.elapsed().as_secs_f64() * 1e3;
        }
        position_ms < seconds * 1e3
    }

    fn drift_ms(&self) -> f64 {
        (self.ahead_ms[1] - self.ahead_ms[0]).abs()
    }

    fn tell(&self, seconds: f64, stage: &Stage) {
        println!(
            "\n{seconds} s in {:.0} s: {} video frames, {} dropped, at most {:.2} ms late; {} underruns; MiB after each tenth: {:.0?}",
            self.begun.elapsed().as_secs_f64(),
            self.video_frames,
            self.dropped,
            self.latest_ms,
            stage.underruns(),
            self.memory_mib,
        );
        // In a shorter time what grows cannot be told from what other tests hold.
        if seconds >= 600.0 {
            let [early, late] = [self.memory_mib[2], self.memory_mib[8]];
            assert!(late < early + 24.0, "memory grows");
        }
    }
}

/// Ends the writer also when the watch has panicked.
struct Ended<'a>(&'a AtomicBool, &'a Player);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
        self.1.stop();
    }
}

/// Speaks sentence after sentence while `watch` watches.
fn speak_while(output: Output, watch: impl FnOnce(&Stage)) {
    let engine = Arc::new(Engine::with_defaults().unwrap());
    // What is counted are the pictures of the speech, not those of the head's own movement.
    let options = SpeakOptions::new().video(VideoOptions::new().fps(FPS).still(true));
    let player = Player::open(&engine, &options, output).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                let text = format!("This is sentence number {n}, and another one follows it soon. ");
                if ended.load(Ordering::Acquire) || player.push(&text).is_err() {
                    return;
                }
            }
        });
        let _ended = Ended(&ended, &player);
        watch(player.stage());
    });
}

/// Time by hand, in steps of 10 ms.
fn virtually(seconds: f64) {
    speak_while(Output::Stepped, |stage| {
        let mut watch = Watch::new(stage);
        while watch.goes_on(stage, seconds) {
            stage.advance(240);
        }
        watch.tell(seconds, stage);
        // Every video frame was seen, at most a step after its time.
        assert!(watch.latest_ms <= 11.0 && watch.dropped == 0 && stage.underruns() == 0);
    });
}

#[test]
fn half_a_minute_drifts_nowhere() {
    virtually(30.0);
}

/// cargo test --release --features playback --test tests an_hour -- --ignored --nocapture
#[test]
#[ignore = "an hour of speech on a virtual clock: takes a quarter of an hour or more"]
fn an_hour_drifts_nowhere() {
    virtually(3600.0);
}

/// cargo test --release --features playback --test tests ten_minutes -- --ignored --nocapture
#[test]
#[ignore = "takes ten minutes, and a machine that does nothing else"]
fn ten_minutes_on_a_sound_server_and_a_screen() {
    let (sound, screen) = (SoundServer::start(), Screen::start());
    println!("{}", on(&sound, Some(&screen), "soak::in_real_time"));
}

#[test]
#[ignore = "run by ten_minutes_on_a_sound_server_and_a_screen"]
fn in_real_time() {
    const SECONDS: f64 = 600.0;
    speak_while(Output::Device(None), |stage| {
        let mut watch = Watch::new(stage);
        show(stage, "Paravox", |_| watch.goes_on(stage, SECONDS)).unwrap();
        watch.tell(SECONDS, stage);
        // Of the device alone, which has a clock of its own and stumbles where the machine is busy: the picture goes with it.
        println!("the sound's time drifts by {:.2} ms against the machine's", watch.drift_ms());
        let is_in_step = watch.latest_ms < 1e3 / FPS.as_f64();
        assert!(is_in_step && watch.dropped * 1000 <= watch.video_frames && stage.underruns() == 0);
        std::thread::sleep(Duration::from_millis(100));
    });
}
