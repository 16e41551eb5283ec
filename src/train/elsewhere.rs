//! States that symbols have in sentences which nobody was filmed saying.
//!
//! A text encoder lets each symbol see its neighbours. Those who are filmed may say few words (GRID has 51), and lips that
//! learn from these alone come to know the neighbours by their words, which other texts do not have. So in some of the clips
//! some of the symbols get the state of the same phoneme elsewhere: then lips have to follow what a symbol is, and to find
//! what comes before and after it in time, where coarticulation is the same in any text.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor};
use paravox_models::mode::Mode;
use paravox_models::text_encoder::TextEncoder;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::error::{Result, TrainError};
use super::symbols::{SymbolBatch, encode};
use crate::text::{FrontEnd, FrontEndOptions};

/// The part of the clips in which symbols get other states.
const CLIPS: f64 = 0.5;

/// States by phoneme and stress, one after the other.
pub(super) struct Elsewhere(HashMap<[u32; 2], Vec<f32>>);

impl Elsewhere {
    /// The states of a text, a sentence in each line.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that is no sentence.
    pub(super) fn read(text: &Path, encoder: &TextEncoder, device: &Device) -> Result<Self> {
        let front_end = FrontEnd::new(FrontEndOptions::default()).expect("the front end needs no file");
        let lines = std::fs::read_to_string(text).map_err(|error| TrainError::read(text, error))?;
        let mut elsewhere = Self(HashMap::new());
        for (i, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let no_sentence = |error| TrainError::Options(format!("{}, line {}: {error}", text.display(), i + 1));
            elsewhere.push(
                &SymbolBatch::new(&[&front_end.analyse(line).map_err(no_sentence)?.symbols]),
                encoder,
                device,
            )?;
        }
        match elsewhere.0.is_empty() {
            true => Err(TrainError::Options(format!("{}: no sentence in it", text.display()))),
            false => Ok(elsewhere),
        }
    }

    fn push(&mut self, sentence: &SymbolBatch, encoder: &TextEncoder, device: &Device) -> Result<()> {
        let (ids, mask) = sentence.tensors(device)?;
        let states = encode(encoder, &ids, &mask, true, &Mode::Eval)?.squeeze(0)?.to_vec2::<f32>()?;
        for (i, features) in sentence.symbols() {
            self.0.entry(key(features)).or_default().extend(&states[i]);
        }
        Ok(())
    }

    /// The states of sentences, of which some symbols' are from elsewhere.
    ///
    /// # Shapes
    /// - `states`: (B, S, D), those of `sentences`
    /// - output: the same
    pub(super) fn mixed_into(
        &self,
        states: &Tensor,
        sentences: &SymbolBatch,
        seed: u64,
    ) -> candle_core::Result<Tensor> {
        let (batch, longest, width) = states.dims3()?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shares: Vec<f64> =
            (0..batch).map(|_| if rng.random_bool(CLIPS) { rng.random::<f64>() } else { 0.0 }).collect();
        let mut mixed = states.flatten_all()?.to_vec1::<f32>()?;
        for (i, features) in sentences.symbols() {
            let others = self.0.get(&key(features));
            if let Some(others) = others.filter(|_| rng.random_bool(shares[i / longest])) {
                let other = rng.random_range(0..others.len() / width);
                mixed[i * width..][..width].copy_from_slice(&others[other * width..][..width]);
            }
        }
        Tensor::from_vec(mixed, (batch, longest, width), states.device())
    }
}

/// Phoneme and stress: what a mouth can show of a symbol.
fn key(features: &[u32]) -> [u32; 2] {
    [features[0], features[1]]
}

#[cfg(test)]
mod tests {
    use paravox_models::config::{self, VoiceConfig};
    use paravox_models::params::Params;

    use super::*;
    use crate::text::{Phoneme, SentenceKind, Symbol};

    fn encoder() -> TextEncoder {
        let config: VoiceConfig = config::preset("voice-light").unwrap();
        TextEncoder::new(&config.encoder, Params::new(1, &Device::Cpu).builder()).unwrap()
    }

    fn rows(states: &Tensor) -> Vec<Vec<f32>> {
        states.flatten(0, 1).unwrap().to_vec2().unwrap()
    }

    #[test]
    fn a_symbol_has_its_own_state_or_that_of_the_same_phoneme_elsewhere() {
        let (encoder, folder) = (encoder(), tempfile::tempdir().unwrap());
        let text = folder.path().join("text.txt");
        std::fs::write(&text, "Bye, Bob.\n\nBuy a bible.\n").unwrap();
        let elsewhere = Elsewhere::read(&text, &encoder, &Device::Cpu).unwrap();
        let pause = Symbol::pause(Phoneme::Silence, SentenceKind::Statement);
        let bo = [Phoneme::B, Phoneme::Oy].map(|phoneme| Symbol { phoneme, ..pause });
        // The second sentence is padded; no "oy" is in the text.
        let sentences = SymbolBatch::new(&[&bo.repeat(8), &bo]);
        let (ids, mask) = sentences.tensors(&Device::Cpu).unwrap();
        let states = encode(&encoder, &ids, &mask, true, &Mode::Eval).unwrap();
        let own = rows(&states);
        let (mut borrowed, mut kept, seeds) = (0, 0, 200);
        for seed in 0..seeds {
            let mixed = elsewhere.mixed_into(&states, &sentences, seed).unwrap();
            for (i, (row, own)) in rows(&mixed).iter().zip(&own).enumerate() {
                let of_b = i % 2 == 0 && i < 18;
                let others = &elsewhere.0[&[Phoneme::B.id(), 0]];
                match row == own {
                    true => kept += usize::from(of_b),
                    false => {
                        assert!(of_b && others.chunks_exact(row.len()).any(|other| other == row), "{i}");
                        borrowed += 1;
                    }
                }
            }
        }
        // Half of the symbols of half of the clips.
        let share = borrowed as f64 / (borrowed + kept) as f64;
        assert_eq!(borrowed + kept, 9 * seeds as usize);
        assert!((share - 0.25).abs() < 0.05, "{share}");
    }

    #[test]
    fn a_text_without_sentences_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let text = folder.path().join("text.txt");
        let told = |text: &Path| Elsewhere::read(text, &encoder(), &Device::Cpu).err().unwrap().to_string();
        assert!(told(&text).contains("text.txt"));
        std::fs::write(&text, "\n \n").unwrap();
        assert!(told(&text).contains("no sentence"));
    }
}
