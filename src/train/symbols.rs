//! What the voice's and the lips' trainers share: symbols as tensors, and the time grids of a sentence.

use candle_core::{Device, Result, Tensor};
use paravox_models::length_regulator::{PLACE_FEATURES, place_features};
use paravox_models::losses;
use paravox_models::mode::Mode;
use paravox_models::text_encoder::TextEncoder;

use crate::text::Symbol;
use crate::timeline::Place;

/// Weight of the sentence's total length among the losses: it only corrects what the median of each symbol leaves out.
const SENTENCE_WEIGHT: f64 = 0.2;

/// Sentences side by side, padded to the longest.
pub(crate) struct SymbolBatch {
    /// Number of symbols of each sentence.
    lengths: Vec<usize>,
    /// B x S x features ids; 0 where padded.
    ids: Vec<u32>,
    features: usize,
}

impl SymbolBatch {
    pub(crate) fn new(sentences: &[&[Symbol]]) -> Self {
        let features = |symbols: &&[Symbol]| symbols.iter().map(|symbol| symbol.features()).collect();
        Self::of_features(sentences.iter().map(features).collect())
    }

    /// Sentences by the ids of their letters.
    pub(crate) fn of_letters(sentences: &[Vec<u32>]) -> Self {
        let features = |letters: &Vec<u32>| letters.iter().map(|&letter| [letter]).collect();
        Self::of_features(sentences.iter().map(features).collect())
    }

    fn of_features<const N: usize>(sentences: Vec<Vec<[u32; N]>>) -> Self {
        let lengths: Vec<usize> = sentences.iter().map(Vec::len).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let padded = sentences.into_iter().flat_map(|mut sentence| {
            sentence.resize(longest, [0; N]);
            sentence
        });
        Self { lengths, ids: padded.flatten().collect(), features: N }
    }

    /// S, the length of the longest sentence.
    pub(crate) fn longest(&self) -> usize {
        self.lengths.iter().copied().max().unwrap_or(0)
    }

    /// The features of each symbol, and its place in B x S.
    pub(crate) fn symbols(&self) -> impl Iterator<Item = (usize, &[u32])> {
        let longest = self.longest();
        let places =
            self.lengths.iter().enumerate().flat_map(move |(b, &length)| (0..length).map(move |s| b * longest + s));
        places.map(|i| (i, &self.ids[i * self.features..][..self.features]))
    }

    /// The ids (B, S, features) and the mask (B, S), 1 where there is a symbol.
    pub(crate) fn tensors(&self, device: &Device) -> Result<(Tensor, Tensor)> {
        let (n, longest) = (self.lengths.len(), self.longest());
        let ids = Tensor::from_slice(&self.ids, (n, longest, self.features), device)?;
        let mask: Vec<f32> =
            self.lengths.iter().flat_map(|&length| (0..longest).map(move |s| f32::from(s < length))).collect();
        Ok((ids, Tensor::from_vec(mask, (n, longest), device)?))
    }
}

/// The states of sentences, (B, S, width). A frozen encoder reads as it does after training, and no gradient reaches it.
pub(crate) fn encode(
    encoder: &TextEncoder,
    ids: &Tensor,
    mask: &Tensor,
    frozen: bool,
    mode: &Mode<'_>,
) -> Result<Tensor> {
    if frozen { Ok(encoder.forward(ids, mask, &Mode::Eval)?.detach()) } else { encoder.forward(ids, mask, mode) }
}

/// The mel frames of B x S symbols whose ln(1 + mel frames) were predicted, (B, S).
pub(crate) fn predicted_lengths(log_durations: &Tensor) -> Result<Vec<f32>> {
    let logs: Vec<f32> = log_durations.flatten_all()?.to_vec1()?;
    Ok(logs.into_iter().map(|log| log.exp_m1().max(0.0)).collect())
}

/// Named and weighted losses of predicted durations (ParaLip equation 4).
///
/// # Shapes
/// - `log_durations`: (B, S), ln(1 + mel frames) as predicted
/// - `durations`: B x S true mel frames
/// - `mask`: (B, S)
pub(crate) fn duration_losses(
    log_durations: &Tensor,
    durations: Vec<f32>,
    mask: &Tensor,
) -> Result<[(&'static str, f64, Tensor); 2]> {
    let durations = Tensor::from_vec(durations, mask.dims(), mask.device())?;
    Ok([
        ("duration", 1.0, losses::duration_token_l1(log_durations, &durations, mask)?),
        ("sentence", SENTENCE_WEIGHT, losses::duration_sentence_l1(log_durations, &durations, mask)?),
    ])
}

/// Places in a sentence, for [`paravox_models::length_regulator::regulate`] and the decoders: symbol indices and place
/// features of T moments each.
#[derive(Default)]
pub(crate) struct GridBatch {
    rows: usize,
    index: Vec<u32>,
    place: Vec<f32>,
}

impl GridBatch {
    /// Adds a sentence's places, cut or padded with the last one to `length`.
    pub(crate) fn push(&mut self, places: &[Place], length: usize) {
        self.rows += 1;
        for t in 0..length {
            let place = places[t.min(places.len() - 1)];
            self.index.push(place.symbol as u32);
            self.place.extend(place_features(place.since_start_s, place.to_end_s));
        }
    }

    /// Symbol indices (B, T) and place features (B, T, [`PLACE_FEATURES`]).
    pub(crate) fn tensors(&self, device: &Device) -> Result<(Tensor, Tensor)> {
        let length = self.index.len() / self.rows.max(1);
        Ok((
            Tensor::from_slice(&self.index, (self.rows, length), device)?,
            Tensor::from_slice(&self.place, (self.rows, length, PLACE_FEATURES), device)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use paravox_models::config::{self, VoiceConfig};
    use paravox_models::mode::DropoutRng;
    use paravox_models::params::Params;

    use super::*;
    use crate::text::{Phoneme, SentenceKind};

    #[test]
    fn no_gradient_reaches_a_frozen_encoder() {
        let config: VoiceConfig = config::preset("voice-light").unwrap();
        let params = Params::new(1, &Device::Cpu);
        let encoder = TextEncoder::new(&config.encoder, params.builder()).unwrap();
        let pause = Symbol::pause(Phoneme::Stop, SentenceKind::Question);
        let (ids, mask) = SymbolBatch::new(&[&[pause; 3]]).tensors(&Device::Cpu).unwrap();
        let rng = DropoutRng::new(1);
        for frozen in [true, false] {
            let states = encode(&encoder, &ids, &mask, frozen, &Mode::Train(&rng)).unwrap();
            let grads = states.sqr().and_then(|squares| squares.sum_all()?.backward()).unwrap();
            let reached = params.trainable().iter().any(|(_, var)| grads.get(var.as_tensor()).is_some());
            assert_eq!(reached, !frozen);
        }
    }

    #[test]
    fn short_sentences_are_padded_and_masked() {
        let pause = Symbol::pause(Phoneme::Stop, SentenceKind::Question);
        let batch = SymbolBatch::new(&[&[pause; 3], &[pause; 1]]);
        let (ids, mask) = batch.tensors(&Device::Cpu).unwrap();
        assert_eq!(mask.to_vec2::<f32>().unwrap(), [[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]);
        assert_eq!(ids.to_vec3::<u32>().unwrap()[1], [[2, 0, 0, 1], [0; 4], [0; 4]]);
    }

    #[test]
    fn grids_repeat_their_last_place() {
        let places: Vec<Place> = (0..2).map(|symbol| Place { symbol, since_start_s: 0.1, to_end_s: 0.3 }).collect();
        let mut grid = GridBatch::default();
        grid.push(&places, 3);
        let (index, place) = grid.tensors(&Device::Cpu).unwrap();
        assert_eq!(index.to_vec2::<u32>().unwrap(), [[0, 1, 1]]);
        assert_eq!(place.to_vec3::<f32>().unwrap()[0][2], place_features(0.1, 0.3));
    }
}
