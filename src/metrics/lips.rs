//! Whole clips from trained lips, and what they are worth beside the real ones.

use std::path::{Path, PathBuf};
use std::time::Instant;

use candle_core::{Device, Tensor};
use paravox_models::config::{self, LipsConfig, VoiceConfig};
use paravox_models::identity_encoder::Identity;
use paravox_models::length_regulator::regulate;
use paravox_models::mode::Mode;
use paravox_models::model::LipsModel;
use paravox_models::params::Params;
use paravox_models::text_encoder::{TextEncoder, TextEncoderConfig};
use serde::Serialize;

use super::closure::Closure;
use super::durations::{ClockPair, DurationError, LengthError};
use super::landmarks::{LandmarkReader, Mouth, MouthPair};
use super::lmd::Lmd;
use super::motion_energy::MotionEnergy;
use super::psnr::Psnr;
use super::sharpness::Sharpness;
use super::ssim::Ssim;
use super::{ClipPair, Figure, Metric};
use crate::data::lips::{LipsMeta, MouthPoints};
use crate::data::{LipsDataset, Split};
use crate::face::{CROP_BYTES, CROP_HEIGHT, CROP_WIDTH};
use crate::timeline::{HOP_LENGTH, Place, Timeline};
use crate::train::checkpoint::{CONFIG, assign, load_model};
use crate::train::lips_corpus::{
    choose, clip_timeline, crops_to_tensor, motion_at, motion_places, motion_position, tensor_to_crops, visemes,
};
use crate::train::symbols::{GridBatch, SymbolBatch};
use crate::train::{Result, TrainError, picture};

/// Configuration of an encoder that was trained along with lips; one that a voice trained is in the voice's own.
pub(crate) const ENCODER_CONFIG: &str = "encoder.toml";
/// Video frames in a row of a contact sheet.
const SHEET_COLUMNS: usize = 12;

/// Text encoder and lips: all that a clip needs.
pub(crate) struct LipsNets {
    pub(crate) config: LipsConfig,
    pub(crate) encoder: TextEncoder,
    pub(crate) model: LipsModel,
    pub(crate) device: Device,
}

impl LipsNets {
    /// Reads trained lips, with the encoder of a voice or, where none is given, the one that was trained along.
    pub(crate) fn load(lips: &Path, voice: Option<&Path>) -> Result<Self> {
        let device = Device::Cpu;
        let path = lips.join(CONFIG);
        let text = std::fs::read_to_string(&path).map_err(|error| TrainError::read(&path, error))?;
        let config: LipsConfig = config::from_toml(&text).map_err(|error| TrainError::checkpoint(&path, error))?;
        let params = Params::new(0, &device);
        let model = LipsModel::new(&config, params.builder())?;
        let mut tensors = load_model(lips)?;
        if config.encoder.is_none() {
            tensors.retain(|name, _| !name.starts_with("encoder."));
        }
        assign(&params.vars(), &tensors, lips)?;
        let encoder = match &model.encoder {
            Some(encoder) => encoder.clone(),
            None => load_encoder(voice.unwrap_or(lips), &device)?,
        };
        Ok(Self { config, encoder, model, device })
    }

    /// When a clip says what by the durations that the lips predict; `None` where they predict none.
    pub(crate) fn predicted_clock(&self, meta: &LipsMeta) -> Result<Option<Clock>> {
        let Some(predictor) = &self.model.duration else { return Ok(None) };
        let (ids, mask) = SymbolBatch::new(&[meta.symbols.as_slice()]).tensors(&self.device)?;
        let states = self.encoder.forward(&ids, &mask, &Mode::Eval)?;
        let log_durations: Vec<f32> = predictor.forward(&states, &mask, None, &Mode::Eval)?.flatten_all()?.to_vec1()?;
        let durations: Vec<f32> = log_durations.into_iter().map(|log| log.exp_m1().max(0.0)).collect();
        let timeline = Timeline::from_mel_frames(&durations, HOP_LENGTH, 1.0)
            .map_err(|error| TrainError::Data(format!("{}/{}: {error}", meta.speaker, meta.clip)))?;
        let n_video_frames = ((timeline.total_s() * f64::from(meta.fps)).round() as usize).max(1);
        Ok(Some(Clock { timeline, n_video_frames }))
    }

    /// The clip as the nets make it from its symbols, a clock and the identity that `identity` shows.
    pub(crate) fn generate(&self, meta: &LipsMeta, clock: &Clock, identity: &[u8]) -> Result<Vec<u8>> {
        let identity = self.model.identity.forward(&crops_to_tensor(&[identity], &self.device)?, &Mode::Eval)?;
        let (fps, hz) = (f64::from(meta.fps), self.config.motion_hz);
        let (motion, _) = self.motion(meta, clock, &identity)?;
        let positions = (0..clock.n_video_frames).map(|k| motion_position(k, fps, hz));
        let (rows, shares): (Vec<u32>, Vec<f32>) = positions.map(|(row, share)| (row as u32, share)).unzip();
        let motion = motion_at(&motion, &rows, &shares)?;
        Ok(tensor_to_crops(&self.model.image.decode(&motion, &self.model.image.prepare(&identity)?)?)?)
    }

    /// The motion of a clip on its grid, (1, T, D), and where in the clip its vectors lie.
    pub(crate) fn motion(
        &self,
        meta: &LipsMeta,
        Clock { timeline, n_video_frames }: &Clock,
        identity: &Identity,
    ) -> Result<(Tensor, Vec<Place>)> {
        let places = motion_places(timeline, self.config.motion_hz, *n_video_frames, f64::from(meta.fps));
        let mut grid = GridBatch::default();
        grid.push(&places, places.len());
        let device = &self.device;
        let (ids, mask) = SymbolBatch::new(&[meta.symbols.as_slice()]).tensors(device)?;
        let (index, place) = grid.tensors(device)?;
        let visemes = Tensor::from_vec(visemes(&meta.symbols, &places), (1, places.len()), device)?;

        let states = self.encoder.forward(&ids, &mask, &Mode::Eval)?.detach();
        let regulated = regulate(&states, &index)?;
        let motion = self.model.motion.forward(&regulated, Some(&visemes), &place, &identity.vector, &Mode::Eval)?;
        Ok((motion.detach(), places))
    }
}

/// When a clip says what, and how many video frames it has.
pub(crate) struct Clock {
    timeline: Timeline,
    n_video_frames: usize,
}

impl Clock {
    /// As the clip was filmed and aligned.
    pub(crate) fn of(meta: &LipsMeta) -> Result<Self> {
        Ok(Self { timeline: clip_timeline(&meta.boundaries_s)?, n_video_frames: meta.n_video_frames })
    }

    fn mouth<'a>(&'a self, meta: &'a LipsMeta, points: &'a [MouthPoints]) -> Mouth<'a> {
        Mouth { points, symbols: &meta.symbols, timeline: &self.timeline, fps: f64::from(meta.fps) }
    }
}

/// Reads the text encoder of a trained voice, or of lips that trained their own.
pub(crate) fn load_encoder(folder: &Path, device: &Device) -> Result<TextEncoder> {
    let own = folder.join(ENCODER_CONFIG);
    let path = if own.exists() { own } else { folder.join(CONFIG) };
    let text = std::fs::read_to_string(&path).map_err(|error| TrainError::read(&path, error))?;
    let config: TextEncoderConfig = if path.ends_with(ENCODER_CONFIG) {
        config::from_toml(&text)
    } else {
        config::from_toml::<VoiceConfig>(&text).map(|voice| voice.encoder)
    }
    .map_err(|error| TrainError::checkpoint(&path, error))?;
    let params = Params::new(0, device);
    let encoder = TextEncoder::new(&config, params.builder().pp("encoder"))?;
    let mut tensors = load_model(folder)?;
    tensors.retain(|name, _| name.starts_with("encoder."));
    assign(&params.vars(), &tensors, folder)?;
    Ok(encoder)
}

/// The metrics of a set of clips.
struct ClipMetrics {
    psnr: Psnr,
    ssim: Ssim,
    energy: Vec<MotionEnergy>,
    sharpness: Sharpness,
    lmd: [Lmd; 2],
    closure: Vec<Closure>,
    duration: DurationError,
    length: LengthError,
}

/// A generated clip beside the real one: its pictures, its landmarks where a net reads them, and its clock where the nets
/// predict it.
struct Compared<'a> {
    pictures: ClipPair<'a>,
    mouths: Option<MouthPair<'a>>,
    clocks: Option<ClockPair<'a>>,
}

impl ClipMetrics {
    fn new() -> Self {
        let thirds = (0..3).map(MotionEnergy::third);
        Self {
            psnr: Psnr::default(),
            ssim: Ssim::default(),
            energy: std::iter::once(MotionEnergy::whole()).chain(thirds).collect(),
            sharpness: Sharpness::default(),
            lmd: [Lmd::in_place(), Lmd::centred()],
            closure: Closure::all(),
            duration: DurationError::default(),
            length: LengthError::default(),
        }
    }

    fn of_pictures(&mut self) -> Vec<&mut dyn for<'a> Metric<ClipPair<'a>>> {
        let mut all: Vec<&mut dyn for<'a> Metric<ClipPair<'a>>> = vec![&mut self.psnr, &mut self.ssim];
        for energy in &mut self.energy {
            all.push(energy);
        }
        all.push(&mut self.sharpness);
        all
    }

    fn of_mouths(&mut self) -> Vec<&mut dyn for<'a> Metric<MouthPair<'a>>> {
        let mut all: Vec<&mut dyn for<'a> Metric<MouthPair<'a>>> = Vec::new();
        for lmd in &mut self.lmd {
            all.push(lmd);
        }
        for closure in &mut self.closure {
            all.push(closure);
        }
        all
    }

    fn of_clocks(&mut self) -> [&mut dyn for<'a> Metric<ClockPair<'a>>; 2] {
        [&mut self.duration, &mut self.length]
    }

    fn update(&mut self, Compared { pictures, mouths, clocks }: &Compared<'_>) {
        self.of_pictures().into_iter().for_each(|metric| metric.update(pictures));
        if let Some(mouths) = mouths {
            self.of_mouths().into_iter().for_each(|metric| metric.update(mouths));
        }
        if let Some(clocks) = clocks {
            self.of_clocks().into_iter().for_each(|metric| metric.update(clocks));
        }
    }

    fn figures(&mut self) -> Vec<Figure> {
        let mut figures: Vec<Figure> = self.of_pictures().into_iter().filter_map(|metric| Figure::of(metric)).collect();
        figures.extend(self.of_mouths().into_iter().filter_map(|metric| Figure::of(metric)));
        figures.extend(self.of_clocks().into_iter().filter_map(|metric| Figure::of(metric)));
        figures
    }
}

/// What [`compare_clips`] does beyond comparing pictures.
#[derive(Default)]
pub(crate) struct Comparison<'a> {
    /// Where to draw real and generated clips, row by row.
    pub(crate) sheet: Option<&'a Path>,
    /// What reads landmarks, for the metrics of mouths.
    pub(crate) landmarks: Option<&'a LandmarkReader>,
    /// Whether the lips predict the durations instead of being told.
    pub(crate) predicted_durations: bool,
}

/// Generates clips and compares them with the real ones; the identity is each clip's first video frame.
pub(crate) fn compare_clips(
    nets: &LipsNets,
    dataset: &LipsDataset,
    clips: &[usize],
    comparison: &Comparison<'_>,
) -> Result<LipsReport> {
    let Comparison { sheet, landmarks, predicted_durations } = *comparison;
    let size = (CROP_WIDTH, CROP_HEIGHT);
    let mut overall = ClipMetrics::new();
    let mut speakers: Vec<(String, ClipMetrics)> = Vec::new();
    let (mut video_frames, mut seconds) = (0, 0.0);
    let mut rows = Vec::new();
    for &i in clips {
        let meta = dataset.meta(i);
        let real = dataset.pixels(i);
        let real_clock = Clock::of(meta)?;
        let started = Instant::now();
        let predicted = if predicted_durations { nets.predicted_clock(meta)? } else { None };
        let clock = predicted.as_ref().unwrap_or(&real_clock);
        let generated = nets.generate(meta, clock, &real[..CROP_BYTES])?;
        seconds += started.elapsed().as_secs_f64();
        video_frames += clock.n_video_frames;
        let points = landmarks.map(|net| Ok::<_, TrainError>([net.read(&generated)?, net.read(real)?])).transpose()?;
        let compared = Compared {
            pictures: ClipPair { size, generated: &generated, real },
            mouths: points.as_ref().map(|[generated, real]| MouthPair {
                generated: clock.mouth(meta, generated),
                real: real_clock.mouth(meta, real),
            }),
            clocks: predicted.as_ref().map(|predicted| ClockPair {
                predicted: &predicted.timeline,
                real: &real_clock.timeline,
                video_frames: (predicted.n_video_frames, meta.n_video_frames),
            }),
        };
        overall.update(&compared);
        let known = speakers.iter().position(|(name, _)| *name == meta.speaker).unwrap_or_else(|| {
            speakers.push((meta.speaker.clone(), ClipMetrics::new()));
            speakers.len() - 1
        });
        speakers[known].1.update(&compared);
        if sheet.is_some() {
            let step = meta.n_video_frames.div_ceil(SHEET_COLUMNS).max(1);
            for clip in [real, &generated] {
                rows.push(clip.chunks_exact(CROP_BYTES).skip(step / 2).step_by(step).map(<[u8]>::to_vec).collect());
            }
        }
    }
    if let Some(path) = sheet {
        picture::write_contact_sheet(path, size, &rows)?;
    }
    speakers.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(LipsReport {
        clips: clips.len(),
        video_frames,
        video_frames_per_second: video_frames as f64 / f64::max(seconds, 1e-9),
        figures: overall.figures(),
        speakers: speakers
            .into_iter()
            .map(|(speaker, mut metrics)| SpeakerFigures { speaker, figures: metrics.figures() })
            .collect(),
    })
}

/// Options of [`eval_lips`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EvalLipsOptions {
    /// Folder of the prepared lip corpus.
    pub data: PathBuf,
    /// Folder of the trained lips: `config.toml` and `model.safetensors`.
    pub lips: PathBuf,
    /// Folder of the voice whose text encoder the lips read; `None`: the lips trained their own.
    pub voice: Option<PathBuf>,
    /// Speakers to evaluate; empty: all.
    pub speakers: Vec<String>,
    /// At most this many clips, the first of the split; `None`: all.
    pub max_clips: Option<usize>,
    /// Where to write a contact sheet of real and generated clips, row by row, as PNG.
    pub sheet: Option<PathBuf>,
    /// A trained net that reads landmarks; `None`: no figures of mouths.
    pub landmarks: Option<PathBuf>,
    /// Whether the lips predict the durations, if they learned any, instead of being told.
    pub predicted_durations: bool,
}

impl EvalLipsOptions {
    /// All test clips of a corpus.
    pub fn new(data: impl Into<PathBuf>, lips: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            lips: lips.into(),
            voice: None,
            speakers: Vec::new(),
            max_clips: None,
            sheet: None,
            landmarks: None,
            predicted_durations: false,
        }
    }
}

/// What trained lips are worth.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct LipsReport {
    /// Clips compared.
    pub clips: usize,
    /// Their video frames.
    pub video_frames: usize,
    /// Speed of generation.
    pub video_frames_per_second: f64,
    /// Figures over all clips.
    pub figures: Vec<Figure>,
    /// Figures of each speaker.
    pub speakers: Vec<SpeakerFigures>,
}

/// Figures of one speaker's clips.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SpeakerFigures {
    /// Who speaks.
    pub speaker: String,
    /// The figures.
    pub figures: Vec<Figure>,
}

/// Generates the test clips of a corpus with true durations, or those that the lips predict, and their first video frame as
/// identity, and compares them with the real ones, as far as both go.
///
/// # Errors
/// [`TrainError`]: files that cannot be read or do not fit together, no such clip, or lips that predict no durations.
pub fn eval_lips(options: &EvalLipsOptions) -> Result<LipsReport> {
    let dataset = LipsDataset::open(&options.data).map_err(|error| TrainError::Data(error.to_string()))?;
    let nets = LipsNets::load(&options.lips, options.voice.as_deref())?;
    if options.predicted_durations && nets.model.duration.is_none() {
        let lips = options.lips.display();
        return Err(TrainError::Options(format!("{lips} predicts no durations: train lips with --own-durations")));
    }
    let landmarks = options.landmarks.as_deref().map(LandmarkReader::open).transpose()?;
    let mut clips = choose(&dataset, Split::Test, &options.speakers);
    clips.truncate(options.max_clips.unwrap_or(usize::MAX));
    if clips.is_empty() {
        return Err(TrainError::Data(format!("{}: no test clip of these speakers", options.data.display())));
    }
    let comparison = Comparison {
        sheet: options.sheet.as_deref(),
        landmarks: landmarks.as_ref(),
        predicted_durations: options.predicted_durations,
    };
    compare_clips(&nets, &dataset, &clips, &comparison)
}
