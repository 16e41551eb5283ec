//! The tables of ParaLip's paper (Liu et al., AAAI 2022) for this project: the three systems with durations of their own
//! (Table 1), their latency (Table 3), what each loss does (Table 4), parameters (Table 5), and latency against length
//! (Figure 4).
//!
//! Latency is the time from symbols and an identity image to the crops of all video frames, on the CPU unless asked for
//! otherwise, after one clip to warm up. The systems take turns, clip by clip, in one run, so that what else the machine does
//! hits all alike.

use std::path::PathBuf;
use std::time::Instant;

use candle_core::Device;
use paravox_models::params::Params;
use paravox_models::text_encoder::TextEncoder;
use serde::Serialize;

use super::Figure;
use super::clips::{Aids, Generated, compare};
use super::landmarks::LandmarkReader;
use super::lips::{LipsNets, encoder_config, test_clips};
use super::references::ReferenceNets;
use crate::data::LipsDataset;
use crate::data::lips::LipsMeta;
use crate::device::Backend;
use crate::face::CROP_BYTES;
use crate::reader::Reader;
use crate::train::Result;
use crate::train::start::Start;

/// How often each system makes the film of a length, of which the middle time counts.
const TAKES: usize = 5;

/// Options of [`eval_paper`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EvalPaperOptions {
    /// Folder of the prepared lip corpus.
    pub data: PathBuf,
    /// Folder of the trained lips, with durations of their own (`train lips --own-durations`).
    pub lips: PathBuf,
    /// The voice (a training's folder, a weights file or a shipped name) whose text encoder the lips read; `None`: the lips
    /// trained their own.
    pub voice: Option<PathBuf>,
    /// Trained autoregressive systems (`train lips-reference`): names for the report, and folders.
    pub references: Vec<(String, PathBuf)>,
    /// Lips trained on other losses, compared with true durations: names for the report, and folders.
    pub ablations: Vec<(String, PathBuf)>,
    /// Speakers to evaluate; empty: all.
    pub speakers: Vec<String>,
    /// At most this many clips, the first of the split; `None`: all.
    pub max_clips: Option<usize>,
    /// Clips whose latency is measured (default 10).
    pub timed_clips: usize,
    /// Seconds of the films whose latency is measured against length (default 1, 2, 3, 5, 10 and 20).
    pub lengths_s: Vec<f64>,
    /// A trained net that reads landmarks; `None`: no figures of mouths.
    pub landmarks: Option<PathBuf>,
    /// Folder of a trained lip reader; `None`: no figures of reading.
    pub reader: Option<PathBuf>,
    /// Where the systems run (default the CPU); landmarks and reader run on the CPU.
    pub device: Backend,
}

impl EvalPaperOptions {
    /// Lips alone, on all test clips of a corpus.
    pub fn new(data: impl Into<PathBuf>, lips: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            lips: lips.into(),
            voice: None,
            references: Vec::new(),
            ablations: Vec::new(),
            speakers: Vec::new(),
            max_clips: None,
            timed_clips: 10,
            lengths_s: vec![1.0, 2.0, 3.0, 5.0, 10.0, 20.0],
            landmarks: None,
            reader: None,
            device: Backend::default(),
        }
    }
}

/// The tables.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PaperReport {
    /// Clips compared.
    pub clips: usize,
    /// Each system with durations of its own (Table 1), the lips first.
    pub systems: Vec<SystemFigures>,
    /// Lips with true durations by the losses that they were trained on (Table 4).
    pub ablation: Vec<SystemFigures>,
    /// How long each system takes for a test clip (Tables 3 and 5).
    pub latency: Vec<Latency>,
    /// How long each system takes for films of given lengths (Figure 4).
    pub latency_by_length: Vec<LatencyOfLength>,
}

/// Figures of one system.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SystemFigures {
    /// Its name.
    pub system: String,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// Latency of one system.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Latency {
    /// Its name.
    pub system: String,
    /// Its parameters.
    pub parameters: usize,
    /// Milliseconds for a clip: median.
    pub median_ms: f64,
    /// Milliseconds for the slowest clip.
    pub max_ms: f64,
    /// Milliseconds for a video frame: mean over all clips.
    pub ms_per_video_frame: f64,
    /// How many times faster the lips make a video frame.
    pub speed_up_of_lips: f64,
}

/// Latency of films of one length.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LatencyOfLength {
    /// Seconds.
    pub length_s: f64,
    /// Video frames.
    pub video_frames: usize,
    /// Milliseconds of each system, by name: the median of five films.
    pub ms: Vec<(String, f64)>,
    /// How many times faster the lips are than each other system, by name.
    pub speed_up_of_lips: Vec<(String, f64)>,
}

/// A system that makes films of lips.
enum System {
    Lips(Box<LipsNets>),
    Reference(Box<ReferenceNets>),
}

impl System {
    /// A clip from its symbols and first video frame, as long as the system makes it.
    fn clip(&self, dataset: &LipsDataset, i: usize) -> Result<Generated> {
        match self {
            Self::Lips(nets) => nets.clip(dataset, i, true),
            Self::Reference(nets) => {
                let crops = nets.generate(&dataset.meta(i).symbols, &dataset.pixels(i)[..CROP_BYTES], None)?;
                Ok(Generated { crops, clock: None })
            }
        }
    }

    /// A film as long as its clock says.
    fn film(&self, meta: &LipsMeta, identity: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Lips(nets) => Ok(nets.generate(meta, identity, false)?.crops),
            Self::Reference(nets) => nets.generate(&meta.symbols, identity, Some(meta.n_video_frames)),
        }
    }

    fn parameters(&self, options: &EvalPaperOptions) -> Result<usize> {
        let (own, encoder) = match self {
            Self::Lips(nets) => (nets.config.summary()?.total(), nets.config.encoder.is_none()),
            Self::Reference(nets) => (nets.config.summary()?.total(), false),
        };
        let params = Params::new(0, &Device::Cpu);
        if encoder {
            let from = options.voice.as_deref().unwrap_or(&options.lips);
            let config = encoder_config(from, &Start::read(from, "voice")?)?;
            TextEncoder::new(&config, params.builder())?;
        }
        Ok(own + params.summary().total())
    }
}

/// Compares lips with the autoregressive systems and with lips trained on other losses.
///
/// # Errors
/// [`TrainError`](crate::train::TrainError): files that cannot be read or do not fit together, no such clip, or lips that
/// predict no durations.
pub fn eval_paper(options: &EvalPaperOptions) -> Result<PaperReport> {
    let dataset = LipsDataset::open(&options.data)?;
    let clips = test_clips(&dataset, &options.data, &options.speakers, options.max_clips)?;
    let landmarks = options.landmarks.as_deref().map(LandmarkReader::open).transpose()?;
    let reader = options.reader.as_deref().map(Reader::open).transpose()?;
    let aids = Aids { sheet: None, landmarks: landmarks.as_ref(), reader: reader.as_ref() };

    let device = options.device.open()?;
    let lips = LipsNets::load(&options.lips, options.voice.as_deref(), &device)?;
    lips.needs_durations(&options.lips)?;
    let mut systems = vec![("lips".to_owned(), System::Lips(Box::new(lips)))];
    for (name, folder) in &options.references {
        systems.push((name.clone(), System::Reference(Box::new(ReferenceNets::load_on(folder, &device)?))));
    }
    let figures = |(name, system): &(String, System)| {
        let figures = compare(&dataset, &clips, aids, |i| system.clip(&dataset, i))?.figures;
        Ok(SystemFigures { system: name.clone(), figures })
    };
    let ablation = |(name, folder): &(String, PathBuf)| {
        let nets = LipsNets::load(folder, options.voice.as_deref(), &device)?;
        let figures = compare(&dataset, &clips, aids, |i| nets.clip(&dataset, i, false))?.figures;
        Ok(SystemFigures { system: name.clone(), figures })
    };
    let timed = &clips[..clips.len().min(options.timed_clips.max(1))];
    Ok(PaperReport {
        clips: clips.len(),
        systems: systems.iter().map(figures).collect::<Result<_>>()?,
        ablation: options.ablations.iter().map(ablation).collect::<Result<_>>()?,
        latency: latency(&systems, &dataset, timed, options)?,
        latency_by_length: latency_by_length(&systems, &dataset, clips[0], &options.lengths_s)?,
    })
}

fn latency(
    systems: &[(String, System)],
    dataset: &LipsDataset,
    clips: &[usize],
    options: &EvalPaperOptions,
) -> Result<Vec<Latency>> {
    let mut times = vec![(Vec::new(), 0); systems.len()];
    for (n, &i) in clips[..1].iter().chain(clips).enumerate() {
        for ((_, system), (ms, video_frames)) in systems.iter().zip(&mut times) {
            let begun = Instant::now();
            let crops = system.clip(dataset, i)?.crops;
            let taken = begun.elapsed().as_secs_f64() * 1e3;
            if n > 0 {
                ms.push(taken);
                *video_frames += crops.len() / CROP_BYTES;
            }
        }
    }
    let per_video_frame = |(ms, video_frames): &(Vec<f64>, usize)| ms.iter().sum::<f64>() / *video_frames as f64;
    let of_lips = per_video_frame(&times[0]);
    let row = |((name, system), times): (&(String, System), &(Vec<f64>, usize))| {
        Ok(Latency {
            system: name.clone(),
            parameters: system.parameters(options)?,
            median_ms: median(times.0.clone()),
            max_ms: times.0.iter().fold(0.0, |most, ms| ms.max(most)),
            ms_per_video_frame: per_video_frame(times),
            speed_up_of_lips: per_video_frame(times) / of_lips,
        })
    };
    systems.iter().zip(&times).map(row).collect()
}

fn latency_by_length(
    systems: &[(String, System)],
    dataset: &LipsDataset,
    clip: usize,
    lengths_s: &[f64],
) -> Result<Vec<LatencyOfLength>> {
    let identity = &dataset.pixels(clip)[..CROP_BYTES];
    let row = |&length_s: &f64| {
        let meta = of_length(dataset.meta(clip), length_s);
        let mut takes = vec![Vec::new(); systems.len()];
        for _ in 0..TAKES {
            for ((_, system), takes) in systems.iter().zip(&mut takes) {
                let begun = Instant::now();
                system.film(&meta, identity)?;
                takes.push(begun.elapsed().as_secs_f64() * 1e3);
            }
        }
        let ms: Vec<_> = systems.iter().zip(takes).map(|((name, _), takes)| (name.clone(), median(takes))).collect();
        let of_lips = ms[0].1;
        let speed_up_of_lips = ms[1..].iter().map(|(name, ms)| (name.clone(), ms / of_lips)).collect();
        Ok(LatencyOfLength { length_s, video_frames: meta.n_video_frames, ms, speed_up_of_lips })
    };
    lengths_s.iter().map(row).collect()
}

/// The middle one of times.
fn median(mut ms: Vec<f64>) -> f64 {
    ms.sort_by(f64::total_cmp);
    ms[ms.len() / 2]
}

/// A sentence of the given length: what a clip says, again and again.
fn of_length(meta: &LipsMeta, length_s: f64) -> LipsMeta {
    let fps = f64::from(meta.fps);
    let n_video_frames = ((length_s * fps).round() as usize).max(1);
    let length_s = n_video_frames as f64 / fps;
    let clip_s = meta.boundaries_s.iter().fold(meta.n_video_frames as f64 / fps, |end, &at| end.max(f64::from(at)));
    let (mut symbols, mut boundaries_s) = (Vec::new(), vec![0.0]);
    for turn in 0.. {
        for (symbol, end) in meta.symbols.iter().zip(&meta.boundaries_s[1..]) {
            let end = turn as f64 * clip_s + f64::from(*end);
            symbols.push(*symbol);
            boundaries_s.push(end.min(length_s) as f32);
            if end >= length_s {
                let mut long = meta.clone();
                (long.symbols, long.boundaries_s, long.n_video_frames) = (symbols, boundaries_s, n_video_frames);
                return long;
            }
        }
    }
    unreachable!("every turn adds time")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Split;
    use crate::text::{Phoneme, SentenceKind, Symbol};

    #[test]
    fn a_sentence_is_said_again_until_it_is_long_enough() {
        let symbol = |phoneme| Symbol::pause(phoneme, SentenceKind::Statement);
        let symbols = vec![symbol(Phoneme::Silence), symbol(Phoneme::B), symbol(Phoneme::Iy)];
        let meta = LipsMeta::for_tests(symbols, vec![0.0, 0.2, 0.5, 1.0], 25);
        let long = of_length(&meta, 2.4);
        assert_eq!((long.n_video_frames, long.symbols.len()), (60, 8));
        assert_eq!(long.boundaries_s, [0.0, 0.2, 0.5, 1.0, 1.2, 1.5, 2.0, 2.2, 2.4]);
        let short = of_length(&meta, 0.3);
        assert_eq!((short.n_video_frames, short.boundaries_s.last()), (8, Some(&0.32)));
        assert_eq!(meta.split, Split::Test);
    }
}
