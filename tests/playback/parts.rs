//! The parts that live output is tried on: a sound server whose sink is recorded, and a virtual screen.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A child that ends with the test.
pub(super) struct Killed(pub(super) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(super) fn start(command: &mut Command) -> Killed {
    let name = command.get_program().to_string_lossy().into_owned();
    Killed(command.spawn().unwrap_or_else(|error| panic!("install {name} to run this test: {error}")))
}

pub(super) fn until(what: &str, within: Duration, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + within;
    while !is_so() {
        assert!(Instant::now() < end, "not within {within:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A sound server of its own with one sink that plays to nobody in real time.
pub(super) struct SoundServer {
    folder: tempfile::TempDir,
    server: Option<Killed>,
    _alone: MutexGuard<'static, ()>,
}

/// Real time is for one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

impl SoundServer {
    pub(super) fn start() -> Self {
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut server = Self { folder: tempfile::tempdir().unwrap(), server: None, _alone };
        server.up();
        server
    }

    pub(super) fn up(&mut self) {
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

    pub(super) fn down(&mut self) {
        self.server = None;
        let _ = std::fs::remove_file(self.socket());
    }

    pub(super) fn socket(&self) -> String {
        self.folder.path().join("socket").display().to_string()
    }

    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        self.env(&mut command);
        command
    }

    pub(super) fn env(&self, command: &mut Command) {
        for (name, value) in self.variables() {
            command.env(name, value);
        }
    }

    /// As [`SoundServer::env`].
    pub(super) fn env_of(&self, command: &mut assert_cmd::Command) {
        for (name, value) in self.variables() {
            command.env(name, value);
        }
    }

    fn variables(&self) -> [(&str, String); 3] {
        let folder = || self.folder.path().display().to_string();
        [("HOME", folder()), ("XDG_RUNTIME_DIR", folder()), ("PULSE_SERVER", format!("unix:{}", self.socket()))]
    }

    /// Records what the sink plays, mono at 24 kHz, from now on.
    pub(super) fn record(&self) -> Recording {
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
pub(super) struct Recorded {
    pcm: Vec<f32>,
    /// When the block that begins at a PCM sample was there.
    arrived: Vec<(usize, Instant)>,
}

pub(super) struct Recording {
    pcm: Arc<Mutex<Recorded>>,
    _parec: Killed,
}

impl Recording {
    pub(super) fn pcm(&self) -> Vec<f32> {
        self.pcm.lock().unwrap().pcm.clone()
    }

    pub(super) fn is_loud_since(&self, at: usize) -> bool {
        self.pcm.lock().unwrap().pcm[at..].iter().any(|value| value.abs() > 0.01)
    }

    /// When sound began after silence: the last PCM sample of a block is as old as the block.
    pub(super) fn beginnings(&self) -> Vec<Instant> {
        const QUIET: usize = 2_400;
        let recorded = self.pcm.lock().unwrap();
        let (mut begun, mut quiet) = (Vec::new(), 0);
        for (i, value) in recorded.pcm.iter().enumerate() {
            if value.abs() < 0.05 {
                quiet += 1;
                continue;
            }
            if quiet > QUIET {
                let block = recorded.arrived.partition_point(|(start, _)| *start <= i) - 1;
                let end = recorded.arrived.get(block + 1).map_or(recorded.pcm.len(), |(start, _)| *start);
                let arrived = recorded.arrived[block].1;
                begun.push(arrived - Duration::from_secs_f64((end - i) as f64 / 24_000.0));
            }
            quiet = 0;
        }
        begun
    }

    pub(super) fn len(&self) -> usize {
        self.pcm.lock().unwrap().pcm.len()
    }
}

/// A virtual screen of its own.
pub(super) struct Screen {
    pub(super) display: String,
    _xvfb: Killed,
}

impl Screen {
    pub(super) fn start() -> Self {
        let mut command = Command::new("Xvfb");
        // Without -noreset the server starts anew when its last client leaves, and drops who comes in that moment.
        command.args(["-displayfd", "1", "-screen", "0", "800x800x24", "-nolisten", "tcp", "-noreset"]);
        let mut xvfb = start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut line = String::new();
        BufReader::new(xvfb.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { display: format!(":{}", line.trim()), _xvfb: xvfb }
    }

    pub(super) fn run(&self, program: &str, args: &[&str]) -> Vec<u8> {
        let mut command = Command::new(program);
        let output = command.args(args).env("DISPLAY", &self.display).output();
        output.unwrap_or_else(|error| panic!("install {program} to run this test: {error}")).stdout
    }

    /// The window's pixels: width, height, RGB.
    pub(super) fn window(&self) -> Option<(u32, u32, Vec<u8>)> {
        let ids = String::from_utf8(self.run("xdotool", &["search", "--name", "^Paravox$"])).unwrap();
        let id = ids.lines().next()?.to_string();
        let png = self.run("import", &["-window", &id, "-depth", "8", "png:-"]);
        let image = image::load_from_memory(&png).ok()?.to_rgb8();
        Some((image.width(), image.height(), image.into_raw()))
    }
}
