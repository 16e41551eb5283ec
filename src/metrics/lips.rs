//! Whole clips from trained lips, and what they are worth beside the real ones.

use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use paravox_models::config::{LipsConfig, VoiceConfig};
use paravox_models::identity_encoder::Identity;
use paravox_models::length_regulator::regulate;
use paravox_models::mode::Mode;
use paravox_models::model::LipsModel;
use paravox_models::text_encoder::{TextEncoder, TextEncoderConfig};

use super::clips::{Aids, Generated, LipsReport, compare};
use super::landmarks::LandmarkReader;
use crate::data::lips::LipsMeta;
use crate::data::{LipsDataset, Split};
use crate::device::Backend;
use crate::face::CROP_BYTES;
use crate::reader::Reader;
use crate::timeline::{HOP_LENGTH, Place, Timeline};
use crate::train::checkpoint::read_config;
use crate::train::letters::spelled;
use crate::train::lips_corpus::{
    choose, clip_timeline, crops_to_tensor, motion_at, motion_places, motion_position, visemes,
};
use crate::train::start::Start;
use crate::train::symbols::{GridBatch, SymbolBatch, predicted_lengths};
use crate::train::{Result, TrainError};

/// Configuration of an encoder that was trained along with lips; one that a voice trained is in the voice's own.
pub(crate) const ENCODER_CONFIG: &str = "encoder.toml";

/// Text encoder and lips: all that a clip needs.
pub(crate) struct LipsNets {
    pub(crate) config: LipsConfig,
    pub(crate) encoder: TextEncoder,
    pub(crate) model: LipsModel,
    pub(crate) device: Device,
}

impl LipsNets {
    /// Reads trained lips, with the encoder of a voice or, where none is given, the one that was trained along.
    pub(crate) fn load(lips: &Path, voice: Option<&Path>, device: &Device) -> Result<Self> {
        let start = Start::read(lips, "lips")?;
        let config: LipsConfig = start.config()?;
        let without_encoder = config.encoder.is_none();
        let start = start.retain(|name| !(without_encoder && name.starts_with("encoder.")));
        let model = start.nets(device, |builder| LipsModel::new(&config, builder))?;
        let encoder = match &model.encoder {
            Some(encoder) => encoder.clone(),
            None => load_encoder(voice.unwrap_or(lips), device)?,
        };
        Ok(Self { config, encoder, model, device: device.clone() })
    }

    /// Refuses lips that predict no durations.
    pub(crate) fn needs_durations(&self, folder: &Path) -> Result<()> {
        match self.model.duration {
            Some(_) => Ok(()),
            None => {
                let lips = folder.display();
                Err(TrainError::Options(format!("{lips} predicts no durations: train lips with --own-durations")))
            }
        }
    }

    /// What the text encoder reads of a clip.
    fn read(&self, meta: &LipsMeta) -> Result<SymbolBatch> {
        match self.config.letters {
            true => Ok(SymbolBatch::of_letters(&[spelled(meta)?.0])),
            false => Ok(SymbolBatch::new(&[meta.symbols.as_slice()])),
        }
    }

    /// When a clip says what of that, as it was filmed and aligned.
    pub(crate) fn clock(&self, meta: &LipsMeta) -> Result<Clock> {
        match self.config.letters {
            true => Ok(Clock { timeline: clip_timeline(&spelled(meta)?.1)?, n_video_frames: meta.n_video_frames }),
            false => Clock::of(meta),
        }
    }

    /// The states of a clip's text, (1, S, D), and the text's mask, (1, S).
    pub(crate) fn states(&self, meta: &LipsMeta) -> Result<[Tensor; 2]> {
        let (ids, mask) = self.read(meta)?.tensors(&self.device)?;
        Ok([self.encoder.forward(&ids, &mask, &Mode::Eval)?.detach(), mask])
    }

    /// When a clip says what by the durations that the lips predict; `None` where they predict none.
    fn predicted_clock(&self, meta: &LipsMeta, [states, mask]: &[Tensor; 2]) -> Result<Option<Clock>> {
        let Some(predictor) = &self.model.duration else { return Ok(None) };
        let durations = predicted_lengths(&predictor.forward(states, mask, None, &Mode::Eval)?)?;
        let timeline = Timeline::from_mel_frames(&durations, HOP_LENGTH, 1.0)
            .map_err(|error| TrainError::Data(format!("{}/{}: {error}", meta.speaker, meta.clip)))?;
        let n_video_frames = ((timeline.total_s() * f64::from(meta.fps)).round() as usize).max(1);
        Ok(Some(Clock { timeline, n_video_frames }))
    }

    /// A clip of a corpus from its symbols and first video frame, with its true durations or those that the lips predict.
    pub(crate) fn clip(&self, dataset: &LipsDataset, i: usize, predicted_durations: bool) -> Result<Generated> {
        self.generate(dataset.meta(i), &dataset.pixels(i)[..CROP_BYTES], predicted_durations)
    }

    /// A clip as the nets make it from its symbols, its durations or those that the lips predict, and the identity that
    /// `identity` shows.
    pub(crate) fn generate(&self, meta: &LipsMeta, identity: &[u8], predicted_durations: bool) -> Result<Generated> {
        let LipsModel { identity: encoder, image, .. } = &self.model;
        let identity = crops_to_tensor(&[identity], &self.device)?;
        let text = || {
            let states = self.states(meta)?;
            let clock = if predicted_durations { self.predicted_clock(meta, &states)? } else { None };
            Ok::<_, TrainError>((states, clock))
        };
        let (text, identity) = rayon::join(text, || encoder.forward(&identity, &Mode::Eval));
        let ((states, predicted), identity) = (text?, identity?);
        let clock = match &predicted {
            Some(clock) => clock,
            None => &self.clock(meta)?,
        };
        let (motion, prepared) =
            rayon::join(|| self.motion(meta, clock, &states, &identity), || image.prepare(&identity));
        let ((motion, _), mut prepared) = (motion?, prepared?);
        let (fps, hz) = (f64::from(meta.fps), self.config.motion_hz);
        let positions = (0..clock.n_video_frames).map(|k| motion_position(k, fps, hz));
        let (rows, shares): (Vec<u32>, Vec<f32>) = positions.map(|(row, share)| (row as u32, share)).unzip();
        let motion = motion_at(&motion, &rows, &shares)?;
        // The identity is the first video frame.
        image.sharpen(&mut prepared, &identity, &motion.narrow(0, 0, 1)?)?;
        let crops = image.draw(&motion, &prepared)?;
        // Of letters nobody knows the sounds.
        Ok(Generated { crops, clock: predicted.filter(|_| !self.config.letters) })
    }

    /// The motion of a clip on its grid, (1, T, D), and where in the clip its vectors lie.
    pub(crate) fn motion(
        &self,
        meta: &LipsMeta,
        Clock { timeline, n_video_frames }: &Clock,
        [states, _]: &[Tensor; 2],
        identity: &Identity,
    ) -> Result<(Tensor, Vec<Place>)> {
        let places = motion_places(timeline, self.config.motion_hz, *n_video_frames, f64::from(meta.fps));
        let mut grid = GridBatch::default();
        grid.push(&places, places.len());
        let device = &self.device;
        let (index, place) = grid.tensors(device)?;
        let visemes = if self.config.letters { vec![0; places.len()] } else { visemes(&meta.symbols, &places) };
        let visemes = Tensor::from_vec(visemes, (1, places.len()), device)?;

        let regulated = regulate(states, &index)?;
        let motion = self.model.motion.forward(&regulated, Some(&visemes), &place, &identity.vector, &Mode::Eval)?;
        Ok((motion.detach(), places))
    }
}

/// When a clip says what, and how many video frames it has.
pub(crate) struct Clock {
    pub(crate) timeline: Timeline,
    pub(crate) n_video_frames: usize,
}

impl Clock {
    /// As the clip was filmed and aligned.
    pub(crate) fn of(meta: &LipsMeta) -> Result<Self> {
        Ok(Self { timeline: clip_timeline(&meta.boundaries_s)?, n_video_frames: meta.n_video_frames })
    }
}

/// What the text encoder of a voice is made of, or that of lips that trained their own.
pub(crate) fn encoder_config(from: &Path, start: &Start) -> Result<TextEncoderConfig> {
    let own = from.join(ENCODER_CONFIG);
    if own.exists() { read_config(&own) } else { Ok(start.config::<VoiceConfig>()?.encoder) }
}

/// Reads the text encoder of a voice, trained or shipped, or of lips that trained their own.
pub(crate) fn load_encoder(from: &Path, device: &Device) -> Result<TextEncoder> {
    let start = Start::read(from, "voice")?;
    let config = encoder_config(from, &start)?;
    let start = start.retain(|name| name.starts_with("encoder."));
    start.nets(device, |builder| TextEncoder::new(&config, builder.pp("encoder")))
}

/// Options of [`eval_lips`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EvalLipsOptions {
    /// Folder of the prepared lip corpus.
    pub data: PathBuf,
    /// Folder of the trained lips (`config.toml` and `model.safetensors`), a weights file, or the name of a shipped voice.
    pub lips: PathBuf,
    /// The voice whose text encoder the lips read, in the same three ways; `None`: the lips trained their own.
    pub voice: Option<PathBuf>,
    /// Speakers to evaluate; empty: all.
    pub speakers: Vec<String>,
    /// At most this many clips, the first of the split; `None`: all.
    pub max_clips: Option<usize>,
    /// Where to write a contact sheet of real and generated clips, row by row, as PNG.
    pub sheet: Option<PathBuf>,
    /// A trained net that reads landmarks; `None`: no figures of mouths.
    pub landmarks: Option<PathBuf>,
    /// Folder of a trained lip reader, whose figures then join the others; `None`: they are left out.
    pub reader: Option<PathBuf>,
    /// Whether the lips predict the durations, if they learned any, instead of being told.
    pub predicted_durations: bool,
    /// Where the lips run (default the CPU); landmarks and reader run on the CPU.
    pub device: Backend,
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
            reader: None,
            predicted_durations: false,
            device: Backend::default(),
        }
    }
}

/// Generates the test clips of a corpus with true durations, or those that the lips predict, and their first video frame as
/// identity, and compares them with the real ones, as far as both go.
///
/// # Errors
/// [`TrainError`]: files that cannot be read or do not fit together, no such clip, or lips that predict no durations.
pub fn eval_lips(options: &EvalLipsOptions) -> Result<LipsReport> {
    let dataset = LipsDataset::open(&options.data)?;
    let nets = LipsNets::load(&options.lips, options.voice.as_deref(), &options.device.open()?)?;
    if options.predicted_durations {
        nets.needs_durations(&options.lips)?;
    }
    let landmarks = options.landmarks.as_deref().map(LandmarkReader::open).transpose()?;
    let reader = options.reader.as_deref().map(Reader::open).transpose()?;
    let clips = test_clips(&dataset, &options.data, &options.speakers, options.max_clips)?;
    let aids = Aids { sheet: options.sheet.as_deref(), landmarks: landmarks.as_ref(), reader: reader.as_ref() };
    compare(&dataset, &clips, aids, |i| nets.clip(&dataset, i, options.predicted_durations))
}

/// The test clips of some speakers (all where none is named), at most so many.
pub(crate) fn test_clips(
    dataset: &LipsDataset,
    folder: &Path,
    speakers: &[String],
    at_most: Option<usize>,
) -> Result<Vec<usize>> {
    let mut clips = choose(dataset, Split::Test, speakers);
    clips.truncate(at_most.unwrap_or(usize::MAX));
    if clips.is_empty() {
        return Err(TrainError::Data(format!("{}: no test clip of these speakers", folder.display())));
    }
    Ok(clips)
}
