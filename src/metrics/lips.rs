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

use super::motion_energy::MotionEnergy;
use super::psnr::Psnr;
use super::reading::ReadingMetrics;
use super::ssim::Ssim;
use super::{ClipPair, Figure, Metric};
use crate::data::lips::LipsMeta;
use crate::data::{LipsDataset, Split};
use crate::face::{CROP_BYTES, CROP_HEIGHT, CROP_WIDTH};
use crate::reader::Reader;
use crate::timeline::Place;
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
        tensors.retain(|name, _| !name.starts_with("encoder."));
        assign(&params.vars(), &tensors, lips)?;
        Ok(Self { config, encoder: load_encoder(voice.unwrap_or(lips), &device)?, model, device })
    }

    /// The clip as the nets make it from its true symbols and times and the identity that `identity` shows: as many
    /// video frames as the real one has.
    pub(crate) fn generate(&self, dataset: &LipsDataset, i: usize, identity: &[u8]) -> Result<Vec<u8>> {
        let identity = self.model.identity.forward(&crops_to_tensor(&[identity], &self.device)?, &Mode::Eval)?;
        let meta = dataset.meta(i);
        let (fps, hz) = (f64::from(meta.fps), self.config.motion_hz);
        let (motion, _) = self.motion(meta, &identity)?;
        let positions = (0..meta.n_video_frames).map(|k| motion_position(k, fps, hz));
        let (rows, shares): (Vec<u32>, Vec<f32>) = positions.map(|(row, share)| (row as u32, share)).unzip();
        let motion = motion_at(&motion, &rows, &shares)?;
        Ok(tensor_to_crops(&self.model.image.decode(&motion, &self.model.image.prepare(&identity)?)?)?)
    }

    /// The motion of a clip on its grid, (1, T, D), and where in the clip its vectors lie.
    pub(crate) fn motion(&self, meta: &LipsMeta, identity: &Identity) -> Result<(Tensor, Vec<Place>)> {
        let timeline = clip_timeline(&meta.boundaries_s)?;
        let places = motion_places(&timeline, self.config.motion_hz, meta.n_video_frames, f64::from(meta.fps));
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
}

impl ClipMetrics {
    fn new() -> Self {
        let thirds = (0..3).map(MotionEnergy::third);
        Self {
            psnr: Psnr::default(),
            ssim: Ssim::default(),
            energy: std::iter::once(MotionEnergy::whole()).chain(thirds).collect(),
        }
    }

    fn all(&mut self) -> Vec<&mut dyn for<'a> Metric<ClipPair<'a>>> {
        let mut all: Vec<&mut dyn for<'a> Metric<ClipPair<'a>>> = vec![&mut self.psnr, &mut self.ssim];
        for energy in &mut self.energy {
            all.push(energy);
        }
        all
    }

    fn update(&mut self, pair: &ClipPair<'_>) {
        self.all().into_iter().for_each(|metric| metric.update(pair));
    }

    fn figures(&mut self) -> Vec<Figure> {
        self.all().into_iter().filter_map(|metric| Figure::of(metric)).collect()
    }
}

/// Generates clips and compares them with the real ones; the identity is each clip's first video frame.
pub(crate) fn compare_clips(
    nets: &LipsNets,
    dataset: &LipsDataset,
    clips: &[usize],
    sheet: Option<&Path>,
    reader: Option<Reader>,
) -> Result<LipsReport> {
    let mut reading = reader.map(ReadingMetrics::new);
    let size = (CROP_WIDTH, CROP_HEIGHT);
    let mut overall = ClipMetrics::new();
    let mut speakers: Vec<(String, ClipMetrics)> = Vec::new();
    let (mut video_frames, mut seconds) = (0, 0.0);
    let mut rows = Vec::new();
    for &i in clips {
        let meta = dataset.meta(i);
        let real = dataset.pixels(i);
        let started = Instant::now();
        let generated = nets.generate(dataset, i, &real[..CROP_BYTES])?;
        seconds += started.elapsed().as_secs_f64();
        video_frames += meta.n_video_frames;
        let pair = ClipPair { size, generated: &generated, real };
        overall.update(&pair);
        if let Some(reading) = &mut reading {
            reading.update(&pair, &meta.symbols)?;
        }
        let known = speakers.iter().position(|(name, _)| *name == meta.speaker).unwrap_or_else(|| {
            speakers.push((meta.speaker.clone(), ClipMetrics::new()));
            speakers.len() - 1
        });
        speakers[known].1.update(&pair);
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
        figures: [overall.figures(), reading.map_or_else(Vec::new, |reading| reading.figures())].concat(),
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
    /// Folder of a trained lip reader, whose figures then join the others; `None`: they are left out.
    pub reader: Option<PathBuf>,
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
            reader: None,
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

/// Generates the test clips of a corpus with true durations and their first video frame as identity, and compares them
/// with the real ones.
///
/// # Errors
/// [`TrainError`]: files that cannot be read or do not fit together, or no such clip.
pub fn eval_lips(options: &EvalLipsOptions) -> Result<LipsReport> {
    let dataset = LipsDataset::open(&options.data).map_err(|error| TrainError::Data(error.to_string()))?;
    let nets = LipsNets::load(&options.lips, options.voice.as_deref())?;
    let mut clips = choose(&dataset, Split::Test, &options.speakers);
    clips.truncate(options.max_clips.unwrap_or(usize::MAX));
    if clips.is_empty() {
        return Err(TrainError::Data(format!("{}: no test clip of these speakers", options.data.display())));
    }
    let reader = options.reader.as_deref().map(Reader::open).transpose()?;
    compare_clips(&nets, &dataset, &clips, options.sheet.as_deref(), reader)
}
