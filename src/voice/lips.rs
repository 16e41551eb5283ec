//! The lips of one voice, loaded: states on the motion grid to motion, motion to pictures of a mouth.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use paravox_models::config::LipsConfig;
use paravox_models::identity_encoder::Identity;
use paravox_models::image_decoder::PreparedIdentity;
use paravox_models::mode::Mode;
use paravox_models::model::LipsModel;
use paravox_models::text_encoder::{TextEncoder, TextEncoderConfig};

use super::manifest::VoiceEntry;
use super::mouth::mouth_timeline;
use super::nets::{VoiceNets, encode, regulated};
use super::package::Package;
use super::weights_file::{ENCODER_KEY, WeightsFile};
use crate::error::Result;
use crate::face::{CROP_HEIGHT, CROP_WIDTH};
use crate::text::{Phoneme, SentenceKind, Symbol, viseme};
use crate::timeline::{Place, SAMPLE_RATE, Timeline};

/// Identity encoder, motion decoder and image decoder, trained on the states of one voice's text encoder.
pub(crate) struct LipsNets {
    model: LipsModel,
    /// Text encoder of its own; `None`: the lips read the states of the voice's.
    encoder: Option<TextEncoder>,
    device: Device,
    /// Motion vectors a second.
    motion_hz: f64,
    /// Seconds by which the lips are ahead of the voice's boundaries.
    lead_s: f64,
}

/// What the nets know of one face: computed once, shared by all sessions.
pub(crate) struct LipsIdentity {
    identity: Identity,
    prepared: PreparedIdentity,
    /// Motion of a mouth at rest.
    rest: Vec<f32>,
}

/// Motion of a sentence on its own grid: vector `j` belongs to `j / hz` seconds.
pub(crate) struct Motion {
    values: Vec<f32>,
    width: usize,
    hz: f64,
}

impl LipsNets {
    /// Reads the lips of a voice; `None` where it has none.
    pub(crate) fn load(
        package: &Package,
        entry: &VoiceEntry,
        voice: &VoiceNets,
        device: &Device,
    ) -> Result<Option<Self>> {
        let Some(file) = &entry.lips else { return Ok(None) };
        let weights = WeightsFile::read(package, file, device)?;
        let config: LipsConfig = weights.config()?;
        let model = weights.build(|builder| LipsModel::new(&config, builder))?;
        let encoder_config: Option<TextEncoderConfig> = weights.config_of(ENCODER_KEY)?;
        let encoder = encoder_config.as_ref();
        let encoder = encoder
            .map(|config| weights.build(|builder| TextEncoder::new(config, builder.pp("encoder"))))
            .transpose()?;
        let state_width = encoder_config.map_or(voice.state_width, |config| config.width);
        if config.motion.state_width != state_width {
            return Err(weights.misfit("the lips were trained on another voice's text encoder"));
        }
        if !(10.0..=200.0).contains(&config.motion_hz) {
            return Err(weights.misfit("motion_hz must be from 10 to 200"));
        }
        weights.finish()?;
        let (motion_hz, lead_s) = (config.motion_hz, entry.lip_lead_s);
        Ok(Some(Self { model, encoder, device: device.clone(), motion_hz, lead_s }))
    }

    /// Looks at the mouth crop of a face: `rgb` is 80 x 160 x 3 bytes.
    pub(crate) fn identity(&self, rgb: &[u8], voice: &VoiceNets) -> Result<LipsIdentity> {
        let crop = Tensor::from_slice(rgb, (1, CROP_HEIGHT, CROP_WIDTH, 3), &self.device)?;
        let image = (crop.permute((0, 3, 1, 2))?.contiguous()?.to_dtype(DType::F32)? / 255.0)?;
        let identity = self.model.identity.forward(&image, &Mode::Eval)?;
        let prepared = self.model.image.prepare(&identity)?;
        // One second of silence shows the mouth at rest; its middle is free of the ends.
        let silence = [Symbol::pause(Phoneme::Silence, SentenceKind::Statement); 2];
        let (states, _) = voice.states_and_durations(&silence)?;
        let second = u64::from(SAMPLE_RATE);
        let timeline = Timeline::from_boundaries(vec![0, second / 2, second])?;
        let motion = self.motion_of(&states, &silence, &timeline, &identity)?;
        let rest = motion.at(0.5);
        Ok(LipsIdentity { identity, prepared, rest })
    }

    /// The motion of a sentence, at rest in its pauses.
    pub(crate) fn motion(
        &self,
        states: &Tensor,
        symbols: &[Symbol],
        timeline: &Timeline,
        face: &LipsIdentity,
    ) -> Result<Motion> {
        let mut motion = self.motion_of(states, symbols, timeline, &face.identity)?;
        motion.rest_in_pauses(&face.rest, symbols, timeline);
        Ok(motion)
    }

    fn motion_of(
        &self,
        states: &Tensor,
        symbols: &[Symbol],
        timeline: &Timeline,
        identity: &Identity,
    ) -> Result<Motion> {
        // The grid of the training: motion vector `j` belongs to `j / hz` seconds, and there is one beyond the end.
        let count = (timeline.total_s() * self.motion_hz) as usize + 2;
        let moments = (0..count).map(|j| j as f64 / self.motion_hz + self.lead_s);
        let mouth = mouth_timeline(symbols, timeline)?;
        let places: Vec<Place> = moments.map(|moment| mouth.place_at_seconds(moment)).collect();
        let visemes: Vec<u32> = places.iter().map(|place| viseme::of(symbols[place.symbol].phoneme).id()).collect();
        let visemes = Tensor::from_vec(visemes, (1, places.len()), &self.device)?;
        let own_states = self.encoder.as_ref().map(|encoder| encode(encoder, symbols, &self.device)).transpose()?;
        let (states, places) = regulated(own_states.as_ref().unwrap_or(states), &places)?;
        let motion = self.model.motion.forward(&states, Some(&visemes), &places, &identity.vector, &Mode::Eval)?;
        let width = motion.dim(2)?;
        Ok(Motion { values: motion.flatten_all()?.to_vec1()?, width, hz: self.motion_hz })
    }

    /// Draws mouths: RGB crops of 80 x 160 x 3 bytes, one for each motion vector.
    pub(crate) fn draw(&self, motion: &[Vec<f32>], face: &LipsIdentity) -> Result<Vec<Vec<u8>>> {
        let Some(width) = motion.first().map(Vec::len) else { return Ok(Vec::new()) };
        let motion = Tensor::from_vec(motion.concat(), (motion.len(), width), &self.device)?;
        let images = self.model.image.decode(&motion, &face.prepared)?;
        let values: Vec<f32> = images.flatten_all()?.to_vec1()?;
        let pixels = CROP_HEIGHT * CROP_WIDTH;
        Ok(values.chunks_exact(3 * pixels).map(|image| interleave(image, pixels)).collect())
    }
}

impl LipsIdentity {
    /// Motion of a mouth at rest.
    pub(crate) fn rest(&self) -> Vec<f32> {
        self.rest.clone()
    }
}

impl Motion {
    /// The motion at a moment of the sentence, between the two nearest vectors.
    pub(crate) fn at(&self, seconds: f64) -> Vec<f32> {
        let last = self.values.len() / self.width - 1;
        let position = (seconds * self.hz).clamp(0.0, last as f64);
        let before = position as usize;
        let weight = (position - before as f64) as f32;
        let row = |i: usize| &self.values[i * self.width..(i + 1) * self.width];
        row(before).iter().zip(row((before + 1).min(last))).map(|(a, b)| a + weight * (b - a)).collect()
    }

    /// Rests in the pauses: goes over to `rest` after the last sound before a pause and leaves it in time for the next. At
    /// the ends of a sentence there is nothing to wait for, so that sentences meet without a jump.
    fn rest_in_pauses(&mut self, rest: &[f32], symbols: &[Symbol], timeline: &Timeline) {
        /// Long enough for a mouth to close or to open.
        const EASE_S: f64 = 0.12;
        let total_s = timeline.total_s();
        for run in pauses(symbols) {
            let span = timeline.span(run.clone());
            let [start_s, end_s] = [span.start, span.end].map(|sample| sample as f64 / f64::from(SAMPLE_RATE));
            // A pause at an end of the sentence has one side alone, and rests at the other however short it is.
            let (opens, closes) = (run.start == 0, run.end == symbols.len());
            let ease_s = if opens || closes { EASE_S.min(end_s - start_s) } else { EASE_S };
            let rows = self.values.chunks_exact_mut(self.width).enumerate();
            for (i, row) in rows.skip((start_s * self.hz) as usize) {
                let seconds = (i as f64 / self.hz).min(total_s);
                if seconds > end_s {
                    break;
                }
                let since_sound_s = if opens { f64::INFINITY } else { seconds - start_s };
                let to_sound_s = if closes { f64::INFINITY } else { end_s - seconds };
                let share = (since_sound_s.min(to_sound_s) / ease_s).clamp(0.0, 1.0);
                let weight = (share * share * (3.0 - 2.0 * share)) as f32;
                for (value, rest) in row.iter_mut().zip(rest) {
                    *value += weight * (rest - *value);
                }
            }
        }
    }
}

/// Runs of pauses among the symbols of a sentence.
fn pauses(symbols: &[Symbol]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    let runs = symbols.chunk_by(|a, b| a.phoneme.is_pause() == b.phoneme.is_pause()).map(move |run| {
        at += run.len();
        (run[0].phoneme.is_pause(), at - run.len()..at)
    });
    runs.filter_map(|(is_pause, run)| is_pause.then_some(run))
}

/// (3, pixels) in 0..1 to (pixels, 3) bytes.
fn interleave(image: &[f32], pixels: usize) -> Vec<u8> {
    let byte = |value: f32| (value * 255.0 + 0.5) as u8;
    let (red, rest) = image.split_at(pixels);
    let (green, blue) = rest.split_at(pixels);
    let mut rgb = Vec::with_capacity(3 * pixels);
    for ((&red, &green), &blue) in red.iter().zip(green).zip(blue) {
        rgb.extend([byte(red), byte(green), byte(blue)]);
    }
    rgb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn motion_is_read_between_its_vectors() {
        let motion = Motion { values: vec![0.0, 10.0, 2.0, 20.0, 4.0, 0.0], width: 2, hz: 50.0 };
        assert_eq!(motion.at(0.0), [0.0, 10.0]);
        assert_eq!(motion.at(0.02), [2.0, 20.0]);
        let between = motion.at(0.01);
        assert!((between[0] - 1.0).abs() < 1e-5 && (between[1] - 15.0).abs() < 1e-4);
        assert_eq!((motion.at(-1.0), motion.at(9.0)), (vec![0.0, 10.0], vec![4.0, 0.0]));
    }

    /// Motion of 1 in half a second or more, resting at 0.
    fn rested(symbols: &[Symbol], boundaries: Vec<u64>) -> Motion {
        let timeline = Timeline::from_boundaries(boundaries).unwrap();
        let mut motion = Motion { values: vec![1.0; 600], width: 1, hz: 500.0 };
        motion.rest_in_pauses(&[0.0], symbols, &timeline);
        motion
    }

    #[test]
    fn motion_rests_in_pauses_and_only_there() {
        let pause = Symbol::pause(Phoneme::Silence, SentenceKind::Statement);
        let sound = Symbol { phoneme: Phoneme::Aa, ..pause };
        let at = |motion: &Motion, moments: &[f64]| moments.iter().map(|&s| motion.at(s)[0]).collect::<Vec<_>>();
        // Silence, sound, a long pause of two symbols, sound, a short silence; 24,000 PCM samples a second.
        let symbols = [pause, sound, pause, pause, sound, pause];
        let motion = rested(&symbols, vec![0, 4800, 9600, 12_000, 16_800, 21_600, 22_800]);
        assert_eq!(at(&motion, &[0.0, 0.04, 0.07]), [0.0; 3], "at rest until the first sound is near");
        assert_eq!(at(&motion, &[0.2, 0.3, 0.4, 0.71, 0.8, 0.89]), [1.0; 6], "free while there is sound");
        assert_eq!(at(&motion, &[0.53, 0.55, 0.57]), [0.0; 3], "at rest in the pause");
        assert!((at(&motion, &[0.46])[0] - 0.5).abs() < 1e-6, "half closed half way");
        assert!(at(&motion, &[0.95])[0] < 1e-6, "at rest at the end");

        let short = rested(&[sound, pause, sound], vec![0, 4800, 6000, 14_400]);
        assert!(short.at(0.225)[0] > 0.8, "no time to close in 50 ms");
        assert!(rested(&[sound; 3], vec![0, 4800, 9600, 14_400]).values.iter().all(|value| *value == 1.0));
    }

    #[test]
    fn planes_become_pixels() {
        assert_eq!(interleave(&[0.0, 1.0, 0.5, 0.5, 1.0, 0.0], 2), [0, 128, 255, 255, 128, 0]);
    }
}
