//! The PCM of a sentence, piece after piece: the first comes early, whatever the length of the sentence.
//!
//! The pitch and mel decoders run over blocks of mel frames at fixed places with as many around them as they depend on, and
//! the vocoder streams behind them. The places do not depend on who listens, so the same sentence gives the same PCM bit for
//! bit whether it is heard live or written to a file.

use std::ops::Range;

use paravox_models::length_regulator::regulate;
use paravox_models::mode::Mode;
use paravox_vocoder::{Features, VocoderStream};

use super::contour::Contour;
use super::nets::{VoiceNets, on_grid};
use crate::error::{Error, Result};
use crate::timeline::{Place, Timeline};
use candle_core::Tensor;

/// Mel frames of the first block: what the vocoder needs for its first 0.2 s of sound, 16 and the 23 after them that it
/// depends on.
const FIRST_BLOCK: usize = 39;
/// Mel frames of the second block; each further one is twice as long, up to [`LONGEST_BLOCK`]. Short blocks cost more,
/// because the mel frames around them are computed again for each.
const SECOND_BLOCK: usize = 32;
const LONGEST_BLOCK: usize = 256;

/// The PCM of one sentence on its way, exactly as long as its timeline in the end. Pieces may be empty.
pub(crate) struct PcmStream<'a> {
    decoding: Decoding<'a>,
    blocks: Blocks,
    /// What the next block says, where it is known already.
    ahead: Option<Features>,
    vocoder: Option<Box<dyn VocoderStream + Send + 'a>>,
    /// PCM samples given out, and those of the whole.
    done: usize,
    total: usize,
}

/// A sentence's pitch and mel, wherever they are wanted.
struct Decoding<'a> {
    voice: &'a VoiceNets,
    states: &'a Tensor,
    melody: Tensor,
    places: Vec<Place>,
    contour: Option<Contour>,
}

impl Decoding<'_> {
    /// Mel and F0 of a range of mel frames.
    fn features(&self, block: Range<usize>) -> Result<Features> {
        let (mel, pitch) = (&self.voice.model.mel, &self.voice.model.pitch);
        let context = mel.context().max(pitch.context());
        let read = block.start.saturating_sub(context)..(block.end + context).min(self.places.len());
        let (index, places) = on_grid(&self.places[read.clone()], &self.voice.device)?;
        let pitch = pitch.on_grid(&regulate(&self.melody, &index)?, &places, &Mode::Eval)?;
        let mel = mel.forward(&regulate(self.states, &index)?, &places, Some(&self.voice.speaker), &Mode::Eval)?;
        let wanted =
            |values: &Tensor| values.narrow(1, block.start - read.start, block.len())?.flatten_all()?.to_vec1();
        let log_f0: Vec<f32> = wanted(&pitch.log_f0)?;
        let voicing: Vec<f32> = wanted(&pitch.voicing_logit)?;
        let f0_hz = log_f0.iter().zip(&voicing).map(|(log_f0, logit)| if *logit > 0.0 { log_f0.exp() } else { 0.0 });
        let mut f0_hz: Vec<f32> = f0_hz.collect();
        if let Some(contour) = &self.contour {
            contour.bend(&mut f0_hz, block.start);
        }
        Features::new(mel.dim(2)?, wanted(&mel)?, f0_hz).map_err(synthesis)
    }
}

impl<'a> PcmStream<'a> {
    pub(crate) fn new(
        voice: &'a VoiceNets,
        states: &'a Tensor,
        timeline: &Timeline,
        contour: Option<Contour>,
        seed: u64,
    ) -> Result<Self> {
        let decoding =
            Decoding { voice, states, melody: voice.melody(states)?, places: timeline.mel_places(), contour };
        let blocks = Blocks { next: 0, length: FIRST_BLOCK, end: decoding.places.len() };
        let vocoder = Some(voice.vocoder.stream(seed));
        let total = timeline.total_samples() as usize;
        Ok(Self { decoding, blocks, ahead: None, vocoder, done: 0, total })
    }

    fn piece(&mut self) -> Result<Option<Vec<f32>>> {
        let Some(vocoder) = &mut self.vocoder else { return Ok(None) };
        let decode = |block: Option<Range<usize>>| block.map(|block| self.decoding.features(block)).transpose();
        // The first piece waits for nothing that it does not need; from then on the decoders work a block ahead of the
        // vocoder, on another core. A GPU has one queue for both.
        let work_ahead = self.blocks.next > 0 && self.decoding.voice.device.is_cpu();
        let features = match self.ahead.take() {
            None => decode(self.blocks.next())?,
            ahead => ahead,
        };
        let mut pcm = match features {
            Some(features) => {
                let next = if work_ahead { self.blocks.next() } else { None };
                let (pcm, ahead) = match next {
                    Some(_) => rayon::join(|| vocoder.push(&features), || decode(next)),
                    None => (vocoder.push(&features), Ok(None)),
                };
                self.ahead = ahead?;
                pcm.map_err(synthesis)?
            }
            None => {
                let pcm = vocoder.finish().map_err(synthesis)?;
                self.vocoder = None;
                pcm
            }
        };
        // The last mel frame may reach beyond the end of the sentence, which lies in silence.
        pcm.truncate(self.total - self.done);
        if let Some(contour) = &self.decoding.contour {
            contour.scale(&mut pcm, self.done);
        }
        self.done += pcm.len();
        Ok(Some(pcm))
    }
}

impl Iterator for PcmStream<'_> {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Self::Item> {
        // On a thread of the pool from the start: a thread from outside would wait for the pool at each operation.
        let piece = rayon::scope(|_| self.piece());
        if piece.is_err() {
            self.vocoder = None;
        }
        piece.transpose()
    }
}

/// The ranges of mel frames that are computed in one go.
struct Blocks {
    next: usize,
    length: usize,
    end: usize,
}

impl Iterator for Blocks {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let block = self.next..(self.next + self.length).min(self.end);
        self.length = if self.next == 0 { SECOND_BLOCK } else { (2 * self.length).min(LONGEST_BLOCK) };
        self.next = block.end;
        (!block.is_empty()).then_some(block)
    }
}

fn synthesis(error: paravox_vocoder::VocoderError) -> Error {
    Error::Synthesis(error.to_string())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::text::{FrontEnd, FrontEndOptions};
    use crate::timeline::HOP_LENGTH;
    use crate::voice::Package;

    #[test]
    fn blocks_meet_and_cover_all() {
        for end in [1, 38, 39, 40, 71, 1000] {
            let blocks: Vec<_> = Blocks { next: 0, length: FIRST_BLOCK, end }.collect();
            assert_eq!((blocks[0].start, blocks[blocks.len() - 1].end), (0, end));
            assert!(blocks.windows(2).all(|pair| pair[0].end == pair[1].start && pair[0].len() <= LONGEST_BLOCK));
        }
    }

    /// The definition: the mel decoder over all mel frames at once, and the vocoder over the result.
    #[test]
    fn pieces_equal_one_pass_of_the_nets() -> Result<()> {
        let package = Package::built_in()?;
        let voice = VoiceNets::load(&package, &package.manifest().voices[0], &Device::Cpu)?;
        let front_end = FrontEnd::new(FrontEndOptions::default()).map_err(|error| Error::Text(error.to_string()))?;
        let text = "The lower the first piece of a sentence is cut, the sooner it can be heard by whoever has asked.";
        let symbols = front_end.analyse(text).map_err(|error| Error::Text(error.to_string()))?.symbols;
        let (states, durations) = voice.states_and_durations(&symbols)?;
        let timeline = Timeline::from_mel_frames(&durations, HOP_LENGTH, 1.0)?;

        let (index, places) = on_grid(&timeline.mel_places(), &voice.device)?;
        let mel = voice.model.mel.forward(&regulate(&states, &index)?, &places, Some(&voice.speaker), &Mode::Eval)?;
        let mut stream = PcmStream::new(&voice, &states, &timeline, None, 3)?;
        let whole = stream.decoding.features(0..timeline.mel_frames())?;
        assert_eq!(whole.mel, mel.flatten_all()?.to_vec1::<f32>()?);
        let mut blocks = Features::empty(whole.n_mels);
        for block in (Blocks { next: 0, length: FIRST_BLOCK, end: timeline.mel_frames() }) {
            blocks.append(&stream.decoding.features(block)?).map_err(synthesis)?;
        }
        let largest = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        let (mel, f0) = (largest(&blocks.mel, &whole.mel), largest(&blocks.f0_hz, &whole.f0_hz));
        assert!(mel < 1e-4 && f0 < 2e-3, "log-mel differs by {mel}, F0 by {f0} Hz");
        // Not of `whole`: the phase of the pulse train adds up what rounding does to F0, be it a millionth.
        let mut expected = voice.vocoder.synthesise(&blocks, 3).map_err(synthesis)?;
        expected.truncate(timeline.total_samples() as usize);

        let pieces = stream.by_ref().collect::<Result<Vec<_>>>()?;
        let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(0, Vec::len);
        assert_eq!(first, 16 * HOP_LENGTH as usize, "the first piece is 0.2 s");
        assert!(pieces.concat() == expected);
        assert!(expected.iter().any(|value| value.abs() > 0.1));
        Ok(())
    }
}
