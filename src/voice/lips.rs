//! The lips of one voice, loaded: states on the motion grid to motion, motion to pictures of a mouth.

use candle_core::{DType, Device, Tensor};
use paravox_models::config::LipsConfig;
use paravox_models::identity_encoder::Identity;
use paravox_models::image_decoder::PreparedIdentity;
use paravox_models::mode::Mode;
use paravox_models::model::LipsModel;
use paravox_models::text_encoder::{TextEncoder, TextEncoderConfig};

use super::manifest::VoiceEntry;
use super::motion::{Motion, Rest};
use super::mouth::mouth_timeline;
use super::nets::{VoiceNets, encode};
use super::package::Package;
use super::weights_file::{ENCODER_KEY, WeightsFile};
use crate::error::Result;
use crate::face::{CROP_BYTES, CROP_HEIGHT, CROP_WIDTH};
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
        if config.letters {
            return Err(weights.misfit("these lips read letters: they are for evaluation, a voice's read its symbols"));
        }
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
        // One second of silence shows the mouth at rest; its middle is free of the ends.
        let silence = [Symbol::pause(Phoneme::Silence, SentenceKind::Statement); 2];
        let (states, _) = voice.states_and_durations(&silence)?;
        let second = u64::from(SAMPLE_RATE);
        let timeline = Timeline::from_boundaries(vec![0, second / 2, second])?;
        let rest = self.motion_of(&states, &silence, &timeline, &identity)?.at(0.5)?;
        let shown = Tensor::from_slice(&rest, (1, rest.len()), &self.device)?;
        let mut prepared = self.model.image.prepare(&identity)?;
        self.model.image.sharpen(&mut prepared, &identity, &shown)?;
        Ok(LipsIdentity { identity, prepared, rest })
    }

    /// The motion of a sentence, at rest in its pauses.
    pub(crate) fn motion<'a>(
        &'a self,
        states: &Tensor,
        symbols: &[Symbol],
        timeline: &Timeline,
        face: &'a LipsIdentity,
    ) -> Result<Motion<'a>> {
        let motion = self.motion_of(states, symbols, timeline, &face.identity)?;
        Ok(Motion { rest: Some(Rest::new(&face.rest, symbols, timeline)), ..motion })
    }

    fn motion_of<'a>(
        &'a self,
        states: &Tensor,
        symbols: &[Symbol],
        timeline: &Timeline,
        identity: &'a Identity,
    ) -> Result<Motion<'a>> {
        // The grid of the training: motion vector `j` belongs to `j / hz` seconds, and there is one beyond the end.
        let count = (timeline.total_s() * self.motion_hz) as usize + 2;
        let moments = (0..count).map(|j| j as f64 / self.motion_hz + self.lead_s);
        let mouth = mouth_timeline(symbols, timeline)?;
        let places: Vec<Place> = moments.map(|moment| mouth.place_at_seconds(moment)).collect();
        let visemes = places.iter().map(|place| viseme::of(symbols[place.symbol].phoneme).id()).collect();
        let states = match &self.encoder {
            Some(encoder) => encode(encoder, symbols, &self.device)?,
            None => states.clone(),
        };
        let decoder = &self.model.motion;
        Ok(Motion { decoder, identity, states, places, visemes, hz: self.motion_hz, rest: None, values: Vec::new() })
    }

    /// Draws mouths: RGB crops of 80 x 160 x 3 bytes, one for each motion vector.
    pub(crate) fn draw(&self, motion: &[Vec<f32>], face: &LipsIdentity) -> Result<Vec<Vec<u8>>> {
        let Some(width) = motion.first().map(Vec::len) else { return Ok(Vec::new()) };
        let motion = Tensor::from_vec(motion.concat(), (motion.len(), width), &self.device)?;
        let crops = self.model.image.draw(&motion, &face.prepared)?;
        Ok(crops.chunks_exact(CROP_BYTES).map(<[u8]>::to_vec).collect())
    }
}

impl LipsIdentity {
    /// Motion of a mouth at rest.
    pub(crate) fn rest(&self) -> Vec<f32> {
        self.rest.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{FrontEnd, FrontEndOptions};
    use crate::timeline::HOP_LENGTH;
    use crate::voice::nets::regulated;

    /// The definition: the motion decoder over the whole grid at once.
    #[test]
    fn motion_in_blocks_equals_one_pass_and_rests_at_both_ends() -> Result<()> {
        let package = Package::built_in()?;
        let entry = &package.manifest().voices[0];
        let voice = VoiceNets::load(&package, entry, &Device::Cpu)?;
        let lips = LipsNets::load(&package, entry, &voice, &Device::Cpu)?.expect("the voice has lips");
        let face = package.face(&package.manifest().faces[0])?;
        let face = lips.identity(&face.crop_rgb, &voice)?;
        let front_end = FrontEnd::new(FrontEndOptions::default()).expect("the front end needs no file");
        let text =
            "A mouth that moves for as long as this sentence lasts needs several blocks of motion, at least four.";
        let symbols = front_end.analyse(text).expect("these are words").symbols;
        let (states, durations) = voice.states_and_durations(&symbols)?;
        let timeline = Timeline::from_mel_frames(&durations, HOP_LENGTH, 1.0)?;

        let mut motion = lips.motion_of(&states, &symbols, &timeline, &face.identity)?;
        let (hz, count) = (motion.hz, motion.places.len());
        let visemes = Tensor::from_slice(&motion.visemes, (1, count), &Device::Cpu)?;
        let (regulated, places) = regulated(&motion.states, &motion.places)?;
        let vector = &face.identity.vector;
        let whole = lips.model.motion.forward(&regulated, Some(&visemes), &places, vector, &Mode::Eval)?;
        let whole: Vec<Vec<f32>> = whole.squeeze(0)?.to_vec2()?;
        assert!(count > 200);
        for (j, expected) in whole.iter().enumerate() {
            let got = motion.at(j as f64 / hz)?;
            let worst = got.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "vector {j}: {worst}");
        }

        let mut motion = lips.motion(&states, &symbols, &timeline, &face)?;
        assert_eq!(motion.at(0.0)?, face.rest());
        let end = motion.at(timeline.total_s())?;
        let from_rest = |vector: &[f32]| vector.iter().zip(&face.rest).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(from_rest(&end) < 0.05 && from_rest(&motion.at(1.0)?) > 0.3);
        Ok(())
    }
}
