//! Speech and pictures of a text, pushed into a sink as they are made.
//!
//! Threads of their own plan sentences, voice two of them at once and draw their pictures; the caller's feeds the sink.
//! They are tied by channels that hold little, so memory stays bounded and the next sentence is made while the sink
//! encodes this one. Sound comes in pieces and pictures in batches, the first of each sentence short, so that what is heard
//! and seen first does not wait for the rest. What is made depends on the text, the options and the seed alone, never on
//! which thread was faster.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::Role;
use super::options::SpeakOptions;
use super::plan::Spoken;
use super::planner::Planner;
use super::sentence::Sentence;
use super::session::MotionLog;
use crate::error::{Error, Result};
use crate::face::{Breath, Compositor};
use crate::sink::{Picture, Sink, StreamInfo, VideoInfo};
use crate::timeline::{Fps, SAMPLE_RATE};
use crate::voice::{LipsIdentity, LipsNets, PcmStream};

/// Sentences that may wait to be drawn.
const SENTENCES_AHEAD: usize = 2;
/// Sentences that are voiced at once: what one leaves of the processor the next can use.
const VOICES_AT_ONCE: usize = 2;
/// Pieces of a sentence's sound that may wait for the sink, of up to 3.2 s.
const PIECES_AHEAD: usize = 6;
/// Pictures that may wait for the sink: the largest data by far.
const PICTURES_AHEAD: usize = 8;
/// Mouths drawn in a sentence's first run of the image decoder; each further run draws twice as many, up to the most.
const FIRST_PICTURES: usize = 1;
const MOST_PICTURES: usize = 16;

/// What draws a face: nets, the face as they know it, and the picture that the mouth is set into.
#[derive(Clone, Copy)]
pub(crate) struct Drawing<'a> {
    pub(crate) lips: &'a LipsNets,
    pub(crate) identity: &'a LipsIdentity,
    pub(crate) compositor: &'a Compositor,
    pub(crate) fps: Fps,
    /// Whether the face moves on its own too.
    pub(crate) performs: bool,
    /// Where the motion of each video frame is noted, for whoever may have to close the mouth.
    pub(crate) log: Option<&'a MotionLog>,
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

/// A planned sentence, and where its sound goes.
struct ToVoice {
    sentence: Arc<Sentence>,
    /// Dropped when the first sound is made.
    first_sound: Sender<()>,
    sound: Sender<Result<Vec<f32>>>,
}

/// A sentence to be drawn. Its channel closes when its first sound is made: until then one picture is enough, and the
/// processor is for the sound.
type ToDraw = (Arc<Sentence>, Receiver<()>);

/// A sentence and its sound, piece after piece.
type Voiced = (Arc<Sentence>, Receiver<Result<Vec<f32>>>);

/// Speaks all sentences of `planner` into `sink`, which the caller finishes; nothing is pushed where there are none.
pub(crate) fn speak(
    planner: Planner<'_>,
    drawing: Option<Drawing<'_>>,
    options: &SpeakOptions,
    sink: &mut dyn Sink,
) -> Result<Spoken> {
    let (to_voice_in, to_voice) = bounded(0);
    let (voiced_in, voiced) = bounded(SENTENCES_AHEAD);
    let (to_draw_in, to_draw) = bounded(SENTENCES_AHEAD);
    let (pictures_in, pictures) = bounded(PICTURES_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let to_draw = drawing.is_some().then_some(to_draw_in);
            plan_sentences(planner, &to_voice_in, to_draw, &voiced_in);
        });
        for to_voice in std::iter::repeat_n(to_voice, VOICES_AT_ONCE) {
            scope.spawn(move || voice_sentences(to_voice, options.seed));
        }
        if let Some(drawing) = drawing {
            scope.spawn(move || {
                if let Err(error) = draw_sentences(drawing, options, to_draw, &pictures_in) {
                    let _ = pictures_in.send(Err(error));
                }
            });
        }
        // Should the sink fail, both receivers drop here, the threads' next send fails, and they end.
        feed(voiced, pictures, drawing, options, sink)
    })
}

/// Plans one sentence after the other, each once the one before can be heard. Everyone gets them in order.
fn plan_sentences(
    planner: Planner<'_>,
    to_voice: &Sender<ToVoice>,
    to_draw: Option<Sender<ToDraw>>,
    voiced: &Sender<Result<Voiced>>,
) {
    for sentence in planner {
        let sentence = match sentence {
            Ok(sentence) => Arc::new(sentence),
            Err(error) => {
                // Nobody listens where the sink has failed: that error is the one to report.
                let _ = voiced.send(Err(error));
                return;
            }
        };
        let (first_sound, waits) = bounded(0);
        let (sound, pieces) = bounded(PIECES_AHEAD);
        if let Some(to_draw) = &to_draw {
            // The drawing thread ends early only after it has reported its own error.
            let _ = to_draw.send((sentence.clone(), waits.clone()));
        }
        let heard = voiced.send(Ok((sentence.clone(), pieces))).is_ok();
        if !heard || to_voice.send(ToVoice { sentence, first_sound, sound }).is_err() {
            return;
        }
        // Closed, then.
        let _ = waits.recv();
    }
}

/// Voices sentences as long as somebody listens.
fn voice_sentences(sentences: Receiver<ToVoice>, seed: u64) {
    for ToVoice { sentence, first_sound, sound } in sentences {
        let mut first_sound = Some(first_sound);
        let voice = &sentence.role.voice.nets;
        let seed = sentence_seed(seed, sentence.index);
        match PcmStream::new(voice, &sentence.states, &sentence.timeline, sentence.contour(), seed) {
            Ok(stream) => {
                for pcm in stream {
                    first_sound.take_if(|_| pcm.as_ref().is_ok_and(|pcm| !pcm.is_empty()));
                    if sound.send(pcm).is_err() {
                        return;
                    }
                }
            }
            Err(error) => {
                let _ = sound.send(Err(error));
            }
        }
    }
}

/// Draws the video frames of each sentence, and those that remain up to the end of the stream.
fn draw_sentences(
    drawing: Drawing<'_>,
    options: &SpeakOptions,
    sentences: Receiver<ToDraw>,
    pictures: &Sender<Result<Picture>>,
) -> Result<()> {
    let (mut end_sample, mut next) = (0, 0);
    let mut performed = Performed::default();
    for (sentence, first_sound) in sentences {
        let drawing = drawing.played_by(&sentence.role);
        let mut motion =
            drawing.lips.motion(&sentence.states, sentence.symbols(), &sentence.timeline, drawing.identity)?;
        end_sample = sentence.end_sample();
        let video_frames = drawing.fps.video_frames_between(sentence.start_sample, end_sample, SAMPLE_RATE);
        next = video_frames.end;
        let moments = video_frames.map(|k| {
            let position = drawing.fps.video_frame_sample(k, SAMPLE_RATE) - sentence.start_sample as f64;
            motion.at(position / f64::from(SAMPLE_RATE))
        });
        if !draw(drawing, moments, &first_sound, &mut performed, pictures)? {
            return Ok(());
        }
    }
    let (_, total) = options.end_of(end_sample);
    let rest = (next..total).map(|_| Ok(drawing.identity.rest()));
    // Nothing to wait for: its sender is gone.
    let (_, no_sound) = bounded(0);
    draw(drawing, rest, &no_sound, &mut performed, pictures)?;
    Ok(())
}

/// How far a face has performed.
#[derive(Default)]
struct Performed {
    video_frames: u64,
    breath: Breath,
}

/// Draws the next video frames; `false` where nobody listens any more.
fn draw(
    drawing: Drawing<'_>,
    mut motion: impl Iterator<Item = Result<Vec<f32>>>,
    first_sound: &Receiver<()>,
    performed: &mut Performed,
    pictures: &Sender<Result<Picture>>,
) -> Result<bool> {
    let mut count = FIRST_PICTURES;
    let rest = drawing.identity.rest();
    loop {
        let batch = motion.by_ref().take(count).collect::<Result<Vec<_>>>()?;
        if batch.is_empty() {
            return Ok(true);
        }
        count = (2 * count).min(MOST_PICTURES);
        let mouths = drawing.lips.draw(&batch, drawing.identity)?;
        let at_rest: Vec<bool> = batch.iter().map(|motion| *motion == rest).collect();
        if let Some(log) = drawing.log {
            log.extend(batch);
        }
        for (mouth, at_rest) in mouths.iter().zip(at_rest) {
            let mut picture = drawing.compositor.compose(mouth);
            if drawing.performs {
                let seconds = performed.video_frames as f64 / drawing.fps.as_f64();
                let breath = performed.breath.full(seconds, at_rest);
                picture = drawing.compositor.perform(&picture, seconds, breath);
            }
            performed.video_frames += 1;
            if pictures.send(Ok(picture)).is_err() {
                return Ok(false);
            }
        }
        // Closed, from then on.
        let _ = first_sound.recv();
    }
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
    for sentence in voiced {
        let (sentence, pieces) = sentence?;
        if spoken.sentences == 0 {
            sink.begin(&stream_info(drawing))?;
        }
        for cue in sentence.cues() {
            sink.cue(&cue)?;
        }
        spoken.sentences += 1;
        for pcm in pieces {
            feed_pcm(&mut spoken, &pcm?, &pictures, drawing, sink)?;
        }
    }
    if spoken.sentences == 0 {
        return Ok(spoken);
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
fn feed_pcm(
    spoken: &mut Spoken,
    pcm: &[f32],
    pictures: &Receiver<Result<Picture>>,
    drawing: Option<Drawing<'_>>,
    sink: &mut dyn Sink,
) -> Result<()> {
    let start_sample = spoken.pcm_samples;
    let end_sample = start_sample + pcm.len() as u64;
    let push = |spoken: &mut Spoken, sink: &mut dyn Sink, until: u64| {
        let range = (spoken.pcm_samples - start_sample) as usize..(until - start_sample) as usize;
        if !range.is_empty() {
            sink.pcm(&pcm[range])?;
        }
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

pub(crate) fn stream_info(drawing: Option<Drawing<'_>>) -> StreamInfo {
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
