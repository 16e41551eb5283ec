//! Speech and pictures of a text, pushed into a sink.
//!
//! Three threads work at once: one plans and voices sentences, one draws their pictures, and the caller's feeds the sink.
//! They are tied by channels that hold little, so memory stays bounded and the next sentence is made while the sink
//! encodes this one. What is made depends on the text, the options and the seed alone, never on which thread was faster.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Role;
use super::options::SpeakOptions;
use super::plan::Spoken;
use super::planner::Planner;
use super::sentence::Sentence;
use crate::error::{Error, Result};
use crate::face::Compositor;
use crate::sink::{Picture, Sink, StreamInfo, VideoInfo};
use crate::timeline::{Fps, SAMPLE_RATE};
use crate::voice::{LipsIdentity, LipsNets};

/// Sentences that may wait between two threads.
const SENTENCES_AHEAD: usize = 2;
/// Pictures that may wait for the sink: the largest data by far.
const PICTURES_AHEAD: usize = 8;
/// Mouths drawn in one run of the image decoder.
const PICTURES_AT_ONCE: usize = 25;

/// What draws a face: nets, the face as they know it, and the picture that the mouth is set into.
#[derive(Clone, Copy)]
pub(crate) struct Drawing<'a> {
    pub(crate) lips: &'a LipsNets,
    pub(crate) identity: &'a LipsIdentity,
    pub(crate) compositor: &'a Compositor,
    pub(crate) fps: Fps,
}

impl<'a> Drawing<'a> {
    /// The same face with the lips of another voice.
    fn played_by<'b>(self, role: &'b Role) -> Drawing<'b>
    where
        'a: 'b,
    {
        match (&role.voice.lips, &role.face) {
            (Some(lips), Some(face)) => Drawing { lips, identity: &face.identity, ..self },
            _ => self,
        }
    }
}

/// A sentence with its sound.
struct Voiced {
    sentence: Arc<Sentence>,
    pcm: Vec<f32>,
}

/// Speaks all sentences of `planner` into `sink`, which the caller finishes.
pub(crate) fn speak(
    planner: Planner<'_>,
    drawing: Option<Drawing<'_>>,
    options: &SpeakOptions,
    sink: &mut dyn Sink,
) -> Result<Spoken> {
    let (voiced_in, voiced) = bounded(SENTENCES_AHEAD);
    let (to_draw_in, to_draw) = bounded(SENTENCES_AHEAD);
    let (pictures_in, pictures) = bounded(PICTURES_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || voice_sentences(planner, options, drawing.is_some().then_some(to_draw_in), voiced_in));
        if let Some(drawing) = drawing {
            scope.spawn(move || draw_sentences(drawing, options, to_draw, pictures_in));
        }
        // Should the sink fail, both receivers drop here, the threads' next send fails, and they end.
        feed(voiced, pictures, drawing, options, sink)
    })
}

/// Plans and voices; a sentence goes to the drawing thread before its sound is made, so that both work on it at once.
fn voice_sentences(
    planner: Planner<'_>,
    options: &SpeakOptions,
    to_draw: Option<Sender<Arc<Sentence>>>,
    voiced: Sender<Result<Voiced>>,
) {
    for sentence in planner {
        let result = sentence.and_then(|sentence| {
            let sentence = Arc::new(sentence);
            if let Some(to_draw) = &to_draw {
                // The drawing thread ends early only after it has reported its own error.
                let _ = to_draw.send(sentence.clone());
            }
            let seed = sentence_seed(options.seed, sentence.index);
            let contour = sentence.contour();
            let voice = &sentence.role.voice.nets;
            let pcm = voice.pcm(&sentence.states, &sentence.timeline, contour.as_ref(), seed)?;
            Ok(Voiced { sentence, pcm })
        });
        let failed = result.is_err();
        if voiced.send(result).is_err() || failed {
            return;
        }
    }
}

/// Draws the video frames of each sentence, and those that remain up to the end of the stream.
fn draw_sentences(
    drawing: Drawing<'_>,
    options: &SpeakOptions,
    sentences: Receiver<Arc<Sentence>>,
    pictures: Sender<Result<Picture>>,
) {
    let run = || -> Result<()> {
        let (mut end_sample, mut next) = (0, 0);
        for sentence in sentences {
            let drawing = drawing.played_by(&sentence.role);
            let motion =
                drawing.lips.motion(&sentence.states, sentence.symbols(), &sentence.timeline, drawing.identity)?;
            end_sample = sentence.end_sample();
            let video_frames = drawing.fps.video_frames_between(sentence.start_sample, end_sample, SAMPLE_RATE);
            next = video_frames.end;
            let moments: Vec<Vec<f32>> = video_frames
                .map(|k| {
                    let position = drawing.fps.video_frame_sample(k, SAMPLE_RATE) - sentence.start_sample as f64;
                    motion.at(position / f64::from(SAMPLE_RATE))
                })
                .collect();
            if !draw(drawing, &moments, &pictures)? {
                return Ok(());
            }
        }
        let (_, total) = options.end_of(end_sample);
        let rest: Vec<Vec<f32>> = (next..total).map(|_| drawing.identity.rest()).collect();
        draw(drawing, &rest, &pictures)?;
        Ok(())
    };
    if let Err(error) = run() {
        // Nobody listens where the sink has failed: that error is the one to report.
        let _ = pictures.send(Err(error));
    }
}

/// `false` where nobody listens any more.
fn draw(drawing: Drawing<'_>, motion: &[Vec<f32>], pictures: &Sender<Result<Picture>>) -> Result<bool> {
    for batch in motion.chunks(PICTURES_AT_ONCE) {
        for mouth in drawing.lips.draw(batch, drawing.identity)? {
            if pictures.send(Ok(drawing.compositor.compose(&mouth))).is_err() {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Pushes cues, then sound and pictures in step.
fn feed(
    voiced: Receiver<Result<Voiced>>,
    pictures: Receiver<Result<Picture>>,
    drawing: Option<Drawing<'_>>,
    options: &SpeakOptions,
    sink: &mut dyn Sink,
) -> Result<Spoken> {
    let mut spoken = Spoken::default();
    for part in voiced {
        let Voiced { sentence, pcm } = part?;
        if spoken.sentences == 0 {
            sink.begin(&stream_info(drawing))?;
        }
        for cue in sentence.cues() {
            sink.cue(&cue)?;
        }
        let end_sample = sentence.end_sample();
        feed_until(&mut spoken, &pcm, end_sample, &pictures, drawing, sink)?;
        spoken.sentences += 1;
    }
    if spoken.sentences == 0 {
        return Err(Planner::nothing_to_say());
    }
    let (end_sample, video_frames) = options.end_of(spoken.pcm_samples);
    let silence = vec![0.0; (end_sample - spoken.pcm_samples) as usize];
    sink.pcm(&silence)?;
    spoken.pcm_samples = end_sample;
    while spoken.video_frames < video_frames {
        sink.picture(&next_picture(&pictures)?)?;
        spoken.video_frames += 1;
    }
    Ok(spoken)
}

/// Each picture follows the sound of its own moment, so that a sink that plays is never short of sound.
fn feed_until(
    spoken: &mut Spoken,
    pcm: &[f32],
    end_sample: u64,
    pictures: &Receiver<Result<Picture>>,
    drawing: Option<Drawing<'_>>,
    sink: &mut dyn Sink,
) -> Result<()> {
    let start_sample = spoken.pcm_samples;
    let push = |spoken: &mut Spoken, sink: &mut dyn Sink, until: u64| {
        let range = (spoken.pcm_samples - start_sample) as usize..(until - start_sample) as usize;
        sink.pcm(&pcm[range])?;
        spoken.pcm_samples = until;
        Ok::<_, Error>(())
    };
    if let Some(Drawing { fps, .. }) = drawing {
        for k in fps.video_frames_between(start_sample, end_sample, SAMPLE_RATE) {
            let until = (fps.video_frame_sample(k, SAMPLE_RATE) as u64 + 1).clamp(spoken.pcm_samples, end_sample);
            push(spoken, sink, until)?;
            sink.picture(&next_picture(pictures)?)?;
            spoken.video_frames += 1;
        }
    }
    push(spoken, sink, end_sample)
}

fn next_picture(pictures: &Receiver<Result<Picture>>) -> Result<Picture> {
    // The drawing thread ends without an error only when it has drawn all, so this happens after a panic in it alone.
    pictures.recv().unwrap_or_else(|_| Err(Error::Synthesis("the drawing thread has ended".to_string())))
}

fn stream_info(drawing: Option<Drawing<'_>>) -> StreamInfo {
    let video = drawing.map(|Drawing { compositor, fps, .. }| {
        let [width, height] = compositor.size();
        VideoInfo { width, height, fps }
    });
    StreamInfo { sample_rate: SAMPLE_RATE, video }
}

/// A seed of its own for each sentence (SplitMix64's output function), so that no two sentences hiss alike.
fn sentence_seed(seed: u64, index: usize) -> u64 {
    let mut z = seed.wrapping_add((index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
