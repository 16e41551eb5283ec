//! `paravox bench`: speed, latency and memory on this machine.

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use paravox::cue::Cue;
use paravox::sink::{Mp4Sink, NullSink, Picture, Sink, SinkError, StreamInfo};
use paravox::{Engine, EngineOptions, SpeakOptions, VideoOptions};
use serde_json::json;

/// About three seconds of speech.
const CLIP_TEXT: &str = "Hello, I am your assistant. What can I do for you today?";
const CLIP_S: f64 = 3.0;

/// The arguments of `bench`.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Bench {
    /// Folder of a package; without it, what is built in
    #[arg(long, value_name = "FOLDER")]
    voice: Option<PathBuf>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
    /// Repetitions, of which the fastest counts
    #[arg(long, default_value_t = 3, value_name = "N")]
    runs: u32,
}

const EXAMPLES: &str = "Examples:
  paravox bench
  paravox bench --json --runs 5

clip_wall_s is what `paravox speak` takes for a clip of 3 s at 25 video frames a second, reading the weights included.
rtf is wall time over length of the result, once all is read.
first_pcm_s and first_picture_s are the time from a sentence's text to its first PCM and to its first picture, over 50
sentences of 2 to 50 words: median and 95th percentile; *_long_s are the medians of the longer half.";

/// Words that sentences of any length are made of.
const WORDS: &str = "the weather will be mild this afternoon with a light breeze from the west and some sun before the \
    evening brings rain to the hills behind the old town where people sit outside and talk about what they have seen \
    on their way home along the river";
/// Sentences of which the latency is taken.
const SENTENCES: usize = 50;

pub(crate) fn run(args: Bench) -> anyhow::Result<()> {
    let mut options = EngineOptions::new();
    if let Some(folder) = args.voice {
        options = options.package(folder);
    }
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("bench.mp4");
    let clip = SpeakOptions::new().length_s(CLIP_S).video(VideoOptions::new());
    let runs = args.runs.max(1);

    let start = Instant::now();
    let engine = Engine::open(options)?;
    let open_s = start.elapsed().as_secs_f64();
    let mut sink = Mp4Sink::new(&path);
    engine.speak(CLIP_TEXT, &clip, &mut sink)?;
    Box::new(sink).finish()?;
    let clip_wall_s = start.elapsed().as_secs_f64();

    let warm_clip_s = fastest(runs, || {
        let mut sink = Mp4Sink::new(&path);
        engine.speak(CLIP_TEXT, &clip, &mut sink)?;
        Box::new(sink).finish()?;
        Ok(())
    })?;
    let sound = SpeakOptions::new().length_s(CLIP_S);
    let sound_s = fastest(runs, || {
        engine.speak(CLIP_TEXT, &sound, &mut NullSink::default())?;
        Ok(())
    })?;
    let drawn_s = fastest(runs, || {
        engine.speak(CLIP_TEXT, &clip, &mut NullSink::default())?;
        Ok(())
    })?;

    let [pcm, picture] = latencies(&engine)?;

    let figures = json!({
        "threads": std::thread::available_parallelism().map_or(1, usize::from),
        "clip_s": CLIP_S,
        "open_s": open_s,
        "clip_wall_s": clip_wall_s,
        "rtf_mp4": warm_clip_s / CLIP_S,
        "rtf_sound_and_pictures": drawn_s / CLIP_S,
        "rtf_sound": sound_s / CLIP_S,
        "first_pcm_median_s": quantile(&pcm, 0.5),
        "first_pcm_p95_s": quantile(&pcm, 0.95),
        "first_pcm_long_s": quantile(&pcm[SENTENCES / 2..], 0.5),
        "first_picture_median_s": quantile(&picture, 0.5),
        "first_picture_p95_s": quantile(&picture, 0.95),
        "first_picture_long_s": quantile(&picture[SENTENCES / 2..], 0.5),
        "peak_memory_mib": peak_memory_mib(),
    });
    let mut out = stdout().lock();
    if args.json {
        writeln!(out, "{figures}")?;
    } else if let Some(figures) = figures.as_object() {
        for (name, figure) in figures {
            match figure.as_f64() {
                Some(value) if !figure.is_u64() => writeln!(out, "{name:24} {value:.4}")?,
                _ => writeln!(out, "{name:24} {figure}")?,
            }
        }
    }
    Ok(())
}

fn fastest(runs: u32, mut run: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut fastest = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        run()?;
        fastest = fastest.min(start.elapsed().as_secs_f64());
    }
    Ok(fastest)
}

/// Seconds to the first PCM and to the first picture of sentences that grow longer and longer.
fn latencies(engine: &Engine) -> anyhow::Result<[Vec<f64>; 2]> {
    // As sessions draw: the head is moved when a picture is shown.
    let options = SpeakOptions::new().video(VideoOptions::new().still(true));
    engine.warm(&options)?;
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut seconds = [Vec::new(), Vec::new()];
    for i in 0..SENTENCES {
        // Other words each time.
        let sentence = words.iter().cycle().skip(7 * i).take(2 + i * 48 / (SENTENCES - 1));
        let sentence = sentence.copied().collect::<Vec<_>>().join(" ") + ".";
        let mut sink = Latency { start: Instant::now(), first_s: [None; 2] };
        match engine.speak(&sentence, &options, &mut sink) {
            // Enough was heard and seen.
            Err(paravox::Error::Sink(SinkError::Closed)) => {}
            other => drop(other?),
        }
        for (seconds, first_s) in seconds.iter_mut().zip(sink.first_s) {
            seconds.push(first_s.unwrap_or(f64::INFINITY));
        }
    }
    Ok(seconds)
}

fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * share).round() as usize]
}

/// Takes the times of the first PCM and the first picture, and wants no more.
struct Latency {
    start: Instant,
    first_s: [Option<f64>; 2],
}

impl Latency {
    fn note(&mut self, which: usize) -> Result<(), SinkError> {
        self.first_s[which].get_or_insert_with(|| self.start.elapsed().as_secs_f64());
        if self.first_s.iter().all(Option::is_some) { Err(SinkError::Closed) } else { Ok(()) }
    }
}

impl Sink for Latency {
    fn begin(&mut self, _: &StreamInfo) -> Result<(), SinkError> {
        Ok(())
    }
    fn pcm(&mut self, _: &[f32]) -> Result<(), SinkError> {
        self.note(0)
    }
    fn picture(&mut self, _: &Picture) -> Result<(), SinkError> {
        self.note(1)
    }
    fn cue(&mut self, _: &Cue) -> Result<(), SinkError> {
        Ok(())
    }
    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}

/// The largest resident memory so far, where the system tells it (Linux).
fn peak_memory_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}
