//! The library as programs use it.

use std::path::Path;

use paravox::cue::{Cue, CueKind};
use paravox::sink::{Picture, Sink, SinkError, StreamInfo};
use paravox::timeline::{Fps, SAMPLE_RATE};
use paravox::{Engine, EngineOptions, Error, SpeakOptions, Spoken, TextSource, VideoOptions};

use crate::util::package;

fn engine() -> Engine {
    Engine::open(EngineOptions::new().package(package())).unwrap()
}

/// Keeps everything that is pushed.
#[derive(Default)]
struct Recorder {
    info: Option<StreamInfo>,
    pcm: Vec<f32>,
    pictures: Vec<Picture>,
    /// PCM samples that had come before each picture.
    heard: Vec<usize>,
    cues: Vec<Cue>,
    /// Fails at this PCM sample.
    fails_at: Option<usize>,
}

impl Sink for Recorder {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        assert!(self.info.replace(*info).is_none());
        Ok(())
    }
    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.pcm.extend(pcm);
        if self.fails_at.is_some_and(|at| self.pcm.len() > at) { Err(SinkError::Closed) } else { Ok(()) }
    }
    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        self.pictures.push(picture.clone());
        self.heard.push(self.pcm.len());
        Ok(())
    }
    fn cue(&mut self, cue: &Cue) -> Result<(), SinkError> {
        self.cues.push(cue.clone());
        Ok(())
    }
    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        Ok(())
    }
}

fn record<'t>(engine: &Engine, text: impl Into<TextSource<'t>>, options: &SpeakOptions) -> (Recorder, Spoken) {
    let mut recorder = Recorder::default();
    let spoken = engine.speak(text, options, &mut recorder).unwrap();
    (recorder, spoken)
}

const TEXT: &str = "Hello, I am your assistant. What can I do for you today?\n\nTell me!";

#[test]
fn engine_and_its_results_cross_threads() {
    fn check<T: Send + Sync>() {}
    check::<Engine>();
    check::<paravox::Session>();
    #[cfg(feature = "playback")]
    check::<paravox::playback::Player>();
    check::<paravox::Plan>();
    check::<Error>();
    check::<SpeakOptions>();
}

#[test]
fn one_engine_serves_many_threads_with_the_same_bytes() {
    let engine = engine();
    let options = SpeakOptions::new().seed(5).video(VideoOptions::new().fps(Fps::FPS_25));
    let (first, _) = record(&engine, TEXT, &options);
    std::thread::scope(|scope| {
        let others: Vec<_> = (0..3).map(|_| scope.spawn(|| record(&engine, TEXT, &options).0)).collect();
        for other in others {
            let other = other.join().unwrap();
            assert!(other.pcm == first.pcm && other.pictures == first.pictures && other.cues == first.cues);
        }
    });
    let (other_seed, _) = record(&engine, TEXT, &SpeakOptions::new().seed(6));
    assert!(other_seed.pcm != first.pcm[..other_seed.pcm.len()], "the seed changes the noise");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let run = |threads: &str| {
        let path = folder.path().join(format!("{threads}.wav"));
        let mut command = crate::util::paravox();
        command.args(["speak", TEXT, "--seed", "3", "-o"]).arg(&path).arg("--voice").arg(package());
        command.env("RAYON_NUM_THREADS", threads).assert().success();
        std::fs::read(path).unwrap()
    };
    assert!(run("1") == run("2"));
}

#[test]
fn the_plan_is_what_is_spoken() {
    let engine = engine();
    for options in [
        SpeakOptions::new(),
        SpeakOptions::new().speed(1.5).pause_s(0.25),
        SpeakOptions::new().length_s(7.0),
        SpeakOptions::new().video(VideoOptions::new().fps("29.97".parse().unwrap())),
    ] {
        let plan = engine.plan(TEXT, &options).unwrap();
        let (recorder, spoken) = record(&engine, TEXT, &options);
        assert_eq!(plan.total_samples, recorder.pcm.len() as u64);
        assert_eq!(plan.video_frames, recorder.pictures.len() as u64);
        assert_eq!((spoken.pcm_samples, spoken.video_frames), (plan.total_samples, plan.video_frames));
        assert_eq!(plan.sentences.len(), 3);
        assert_eq!(plan.cues().cloned().collect::<Vec<_>>(), recorder.cues);
        let mut end = 0;
        for sentence in &plan.sentences {
            assert_eq!(sentence.start_sample, end, "sentences share one clock");
            for (_, start, symbol_end) in &sentence.symbols {
                assert_eq!(*start, end);
                end = *symbol_end;
            }
            assert_eq!(sentence.end_sample, end);
        }
    }
}

#[test]
fn cues_point_at_the_text_and_at_symbol_boundaries() {
    let plan = engine().plan(TEXT, &SpeakOptions::new()).unwrap();
    for sentence in &plan.sentences {
        let boundaries: Vec<u64> = sentence.symbols.iter().flat_map(|&(_, start, end)| [start, end]).collect();
        for cue in &sentence.cues {
            assert!(boundaries.contains(&cue.start_sample) && boundaries.contains(&cue.end_sample), "{cue:?}");
        }
    }
    let words: Vec<&str> =
        plan.cues().filter(|cue| cue.kind == CueKind::Word).map(|cue| &TEXT[cue.source.clone().unwrap()]).collect();
    let plain = |word: &str| word.chars().filter(|c| c.is_alphabetic()).collect::<String>();
    let expected: Vec<String> = TEXT.split_whitespace().map(plain).collect();
    assert_eq!(words.iter().map(|word| plain(word)).collect::<Vec<_>>(), expected);
}

#[test]
fn length_fits_to_the_sample_and_speed_scales() {
    let engine = engine();
    let natural = engine.plan(TEXT, &SpeakOptions::new()).unwrap().total_samples;
    for length_s in [3.0, 4.321, 9.999_99] {
        let plan = engine.plan(TEXT, &SpeakOptions::new().length_s(length_s)).unwrap();
        assert_eq!(plan.total_samples, (length_s * f64::from(SAMPLE_RATE)).round() as u64);
    }
    let fast = engine.plan(TEXT, &SpeakOptions::new().speed(2.0)).unwrap().total_samples;
    assert!((fast as f64 * 2.0 - natural as f64).abs() <= 6.0, "{fast} {natural}");
    let paused = engine.plan(TEXT, &SpeakOptions::new().speed(2.0).pause_s(0.5)).unwrap().total_samples;
    assert!(paused.abs_diff(fast + 3 * u64::from(SAMPLE_RATE) / 2) <= 6, "{paused} {fast}");
    let error = engine.plan(TEXT, &SpeakOptions::new().length_s(900.0)).unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error}");
}

#[test]
fn each_picture_comes_after_the_sound_of_its_moment() {
    let fps: Fps = "50".parse().unwrap();
    let (recorder, _) = record(&engine(), TEXT, &SpeakOptions::new().video(VideoOptions::new().fps(fps)));
    let info = recorder.info.unwrap().video.unwrap();
    for (k, (picture, &heard)) in recorder.pictures.iter().zip(&recorder.heard).enumerate() {
        assert_eq!((picture.width, picture.height), (info.width, info.height));
        assert_eq!(picture.rgb.len(), 3 * (picture.width * picture.height) as usize);
        let moment = fps.video_frame_sample(k as u64, SAMPLE_RATE);
        assert!(heard as f64 >= moment.min(recorder.pcm.len() as f64 - 1.0), "{k}");
        assert!((heard as f64) < moment + f64::from(SAMPLE_RATE) / fps.as_f64(), "{k}");
    }
}

#[test]
fn a_stream_says_what_its_text_says() {
    let engine = engine();
    for options in [SpeakOptions::new(), SpeakOptions::new().length_s(5.0)] {
        let (direct, _) = record(&engine, TEXT, &options);
        let (streamed, _) = record(&engine, TextSource::reader("stdin", TEXT.as_bytes()), &options);
        assert!(direct.pcm == streamed.pcm && direct.cues == streamed.cues);
    }
}

#[test]
fn a_sink_that_fails_ends_the_speech_with_its_error() {
    let long = TEXT.repeat(40);
    for video in [None, Some(VideoOptions::new())] {
        let mut options = SpeakOptions::new();
        options.video = video;
        let mut sink = Recorder { fails_at: Some(20_000), ..Recorder::default() };
        let error = engine().speak(&long, &options, &mut sink).unwrap_err();
        assert!(matches!(error, Error::Sink(SinkError::Closed)), "{error}");
        assert!(sink.pcm.len() < 400_000, "nothing more is pushed after an error");
    }
}

#[test]
fn errors_are_told_apart() {
    let engine = engine();
    let plan = |text: &str, options: &SpeakOptions| engine.plan(text, options).unwrap_err();
    assert!(matches!(plan("", &SpeakOptions::new()), Error::Request(_)));
    assert!(matches!(plan("a\0b", &SpeakOptions::new()), Error::Text(_)));
    assert!(matches!(plan("Hi.", &SpeakOptions::new().voice("nobody")), Error::Request(_)));
    assert!(matches!(plan("Hi.", &SpeakOptions::new().speed(0.1)), Error::Request(_)));
    let missing = Engine::open(EngineOptions::new().package("/nonexistent")).err().unwrap();
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
}

/// candle is an implementation detail: no public item of the engine's crate may show a tensor or a device.
#[test]
fn the_public_api_shows_no_tensor() {
    fn visit(folder: &Path, found: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                for signature in text.split("\n").enumerate().filter(|(_, line)| line.trim_start().starts_with("pub "))
                {
                    let (number, _) = signature;
                    // A signature ends where its body, its fields or the item ends.
                    let item: String = text.split('\n').skip(number).take(12).collect::<Vec<_>>().join("\n");
                    let item = &item[..item.find(['{', ';']).unwrap_or(item.len())];
                    if ["Tensor", "VarBuilder", "Device", "candle"].iter().any(|name| item.contains(name)) {
                        found.push(format!("{}:{}: {}", path.display(), number + 1, item.trim()));
                    }
                }
            }
        }
    }
    let mut found = Vec::new();
    visit(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

/// Beside the lips a face moves its head and blinks; `still` leaves the lips alone moving.
#[test]
fn every_face_lives_and_can_hold_still() {
    let engine = Engine::with_defaults().unwrap();
    for face in ["grid-s4", "grid-s1"] {
        let spoken = |still: bool| {
            let options = SpeakOptions::new().video(VideoOptions::new().face(face).still(still)).length_s(3.0);
            let (recorder, _) = record(&engine, "Good morning to you.", &options);
            recorder.pictures
        };
        let (living, still) = (spoken(false), spoken(true));
        // A line of pixels through the hair above the eyes, far from the lips.
        let hair = |picture: &Picture| {
            let row = picture.height as usize / 3 * 3 * picture.width as usize;
            picture.rgb[row..row + 3 * picture.width as usize].to_vec()
        };
        assert_eq!(living.len(), still.len());
        assert!(still.iter().all(|picture| hair(picture) == hair(&still[0])), "{face} moves where it should be still");
        let moves = living.windows(2).filter(|pair| hair(&pair[0]) != hair(&pair[1])).count();
        assert!(moves > living.len() / 2, "{face} moves {moves} times in {} video frames", living.len());
    }
}
