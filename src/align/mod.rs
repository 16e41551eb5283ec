//! The aligner: a recording and the symbols of its text in, the time of every symbol out.
//!
//! A small net says of every mel frame how well it fits each phoneme ([`AlignerNet`]); since the text is known, a monotonic
//! search finds the boundaries that fit best (`search`). So recordings of anybody become training data for a voice without
//! any other program. Readers pause where no comma stands: after every word a pause may be found, and where one is, it
//! becomes a symbol. Where words' times are known already, the search keeps to them.

mod features;
pub(crate) mod search;

use std::path::Path;

use candle_core::{Device, Tensor};
use paravox_models::aligner::{AlignerConfig, AlignerNet};
use paravox_models::config::from_toml;
use paravox_models::mode::Mode;
use paravox_models::weights::Weights;

use crate::data::{DataError, Result};
use crate::text::{Phoneme, Symbol};
use crate::voice::Package;
pub(crate) use features::features;
use search::{State, best_lengths};

/// Fewest mel frames of a phoneme.
const LEAST_PHONEME: usize = 1;
/// Fewest mel frames of a pause where the text has none: 100 ms, which no closure of a stop lasts; and its cost.
const LEAST_FOUND_PAUSE: usize = 8;
const FOUND_PAUSE_COST: f32 = 4.0;
/// Weight of the net's log probabilities against the scores of lengths. Neighbouring mel frames sound alike, so each
/// counts for a part of an observation; of 1, 1/3 and 1/8, the last came closest to GRID's word times.
const SOUND_WEIGHT: f32 = 0.125;

/// The aligner's file in the package that this program carries.
const BUILT_IN_FILE: &str = "aligner.safetensors";
/// Files of a training's folder.
const CONFIG_FILE: &str = "config.toml";
const MODEL_FILE: &str = "model.safetensors";

/// Finds symbols in recordings; one serves any number of threads.
pub struct Aligner {
    net: AlignerNet,
    config: AlignerConfig,
    device: Device,
}

/// The symbols of a recording with their lengths.
#[derive(Debug, Clone, PartialEq)]
pub struct Alignment {
    /// The symbols given, and the pauses found between words.
    pub symbols: Vec<Symbol>,
    /// Mel frames of each symbol; together as long as the recording. Pauses may have none.
    pub durations: Vec<u32>,
    /// Mean over the mel frames of phonemes of the natural logarithm of the probability that the net gives the phoneme
    /// found there: 0 at best; far below -3, the recording says something else than the text.
    pub log_probability: f32,
}

impl Alignment {
    /// The mel frame in which each word starts.
    pub fn word_starts(&self) -> Vec<usize> {
        let mut mel_frame = 0;
        let mut starts = Vec::new();
        for (symbol, &length) in self.symbols.iter().zip(&self.durations) {
            starts.extend(symbol.word_start.then_some(mel_frame));
            mel_frame += length as usize;
        }
        starts
    }
}

impl Aligner {
    /// The aligner that this program carries.
    ///
    /// # Errors
    /// [`DataError::Corpus`] in a build that carries none.
    pub fn built_in() -> Result<Self> {
        let bytes = Package::built_in().and_then(|package| Ok(package.read(BUILT_IN_FILE)?.into_owned()));
        let aligner = bytes.map_err(|error| error.to_string()).and_then(|bytes| Self::from_bytes(&bytes, None));
        aligner.map_err(|why| DataError::Corpus { why, path: "(built in)".into() })
    }

    /// Reads the folder of a training, or a file that `paravox export aligner` wrote.
    ///
    /// # Errors
    /// [`DataError::Io`], and [`DataError::Corpus`] for weights of other nets.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let folder = path.is_dir();
        let file = if folder { path.join(MODEL_FILE) } else { path.to_path_buf() };
        let bytes = std::fs::read(&file).map_err(DataError::io(&file))?;
        let config = path.join(CONFIG_FILE);
        let config = folder.then(|| std::fs::read_to_string(&config).map_err(DataError::io(&config))).transpose()?;
        Self::from_bytes(&bytes, config.as_deref()).map_err(|why| DataError::Corpus { why, path: file })
    }

    /// Reads weights; without `config`, that of their metadata counts.
    fn from_bytes(bytes: &[u8], config: Option<&str>) -> std::result::Result<Self, String> {
        let line = |error: &dyn std::fmt::Display| error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        let weights = Weights::from_bytes(bytes, &Device::Cpu).map_err(|error| line(&error))?;
        let text = config.or(weights.config()).ok_or("these weights are no aligner's: train one or export it")?;
        let config: AlignerConfig = from_toml(text).map_err(|error| line(&error))?;
        if config.phonemes != Phoneme::COUNT {
            return Err("this aligner knows other phonemes than this program: train it anew".into());
        }
        let net = AlignerNet::new(&config, weights.builder()).map_err(|error| line(&error))?;
        weights.finish().map_err(|error| line(&error))?;
        Ok(Self { net, config, device: Device::Cpu })
    }

    /// A net in training.
    #[cfg(feature = "train")]
    pub(crate) fn of_net(net: AlignerNet, config: AlignerConfig, device: Device) -> Self {
        Self { net, config, device }
    }

    /// The times of `symbols` in a recording.
    ///
    /// # Shapes
    /// `mel` (T, n_mels): natural logarithms, 80 mel frames a second
    ///
    /// # Errors
    /// One line that says why: a recording too short for its text, or a failing net.
    pub fn align(&self, mel: &[f32], symbols: &[Symbol]) -> std::result::Result<Alignment, String> {
        self.search(mel, symbols, &[])
    }

    /// As [`Aligner::align`] in a recording whose words start at known times.
    ///
    /// # Shapes
    /// - `mel` (T, n_mels)
    /// - `word_starts`: the mel frame in which each word of `symbols` starts
    ///
    /// # Errors
    /// As [`Aligner::align`], and where the times are not those of the text's words.
    pub fn align_words(
        &self,
        mel: &[f32],
        symbols: &[Symbol],
        word_starts: &[usize],
    ) -> std::result::Result<Alignment, String> {
        let words = symbols.iter().filter(|symbol| symbol.word_start).count();
        if words != word_starts.len() {
            return Err(format!("{} words have times, but the text has {words}", word_starts.len()));
        }
        if !word_starts.is_sorted() {
            return Err("the times of its words fall".to_string());
        }
        if word_starts.last().is_some_and(|&last| last * self.config.n_mels >= mel.len()) {
            return Err("its last word starts after its end".to_string());
        }
        self.search(mel, symbols, word_starts)
    }

    /// Searches between neighbouring `word_starts`, or in the whole where there are none.
    fn search(&self, mel: &[f32], symbols: &[Symbol], word_starts: &[usize]) -> std::result::Result<Alignment, String> {
        let mel_frames = mel.len() / self.config.n_mels;
        let log_probabilities = self.log_probabilities(mel, mel_frames).map_err(|error| error.to_string())?;
        let score = |t: usize, class: usize| log_probabilities[t * Phoneme::COUNT + class];
        let (states, given) = states(symbols, &self.config.usual_lengths);
        let first_of_word = |&s: &usize| given[s].is_some_and(|i| symbols[i].word_start);
        let cuts = (0..states.len()).filter(first_of_word).zip(word_starts.iter().copied());
        let mut lengths = Vec::with_capacity(states.len());
        let mut from = (0, 0);
        for to in cuts.chain([(states.len(), mel_frames)]) {
            let (span, within) = (&states[from.0..to.0], to.1.checked_sub(from.1));
            let found = within
                .and_then(|length| best_lengths(span, length, |t, class| SOUND_WEIGHT * score(from.1 + t, class)));
            lengths.extend(found.ok_or_else(|| {
                format!("{} mel frames are too few or too many for {} symbols", within.unwrap_or(0), span.len())
            })?);
            from = to;
        }
        let (mut sum, mut count, mut t) = (0.0, 0, 0);
        for (state, &length) in states.iter().zip(&lengths) {
            if state.class != class_of(Phoneme::Silence) {
                sum += (t..t + length).map(|t| score(t, state.class)).sum::<f32>();
                count += length;
            }
            t += length;
        }
        let (symbols, durations) = with_pauses(symbols, &given, &lengths);
        Ok(Alignment { symbols, durations, log_probability: sum / count.max(1) as f32 })
    }

    /// (T, phonemes), row by row.
    fn log_probabilities(&self, mel: &[f32], mel_frames: usize) -> candle_core::Result<Vec<f32>> {
        let n_mels = self.config.n_mels;
        let xs = Tensor::from_vec(features(mel, n_mels), (1, mel_frames, n_mels), &self.device)?;
        let logits = self.net.forward(&xs, &Mode::Eval)?;
        candle_nn::ops::log_softmax(&logits, 2)?.flatten_all()?.to_vec1()
    }
}

/// The class of a phoneme: all pauses sound alike.
pub(crate) fn class_of(phoneme: Phoneme) -> usize {
    if phoneme.is_pause() { Phoneme::Silence as usize } else { phoneme as usize }
}

/// The states to search for, and of each the symbol that it stands for; `None` for a pause that the text does not have.
fn states(symbols: &[Symbol], usual_lengths: &[f32]) -> (Vec<State>, Vec<Option<usize>>) {
    let silence = State { class: class_of(Phoneme::Silence), least: 0, usual: None, cost: None };
    let (mut states, mut given) = (Vec::new(), Vec::new());
    for (i, symbol) in symbols.iter().enumerate() {
        let class = class_of(symbol.phoneme);
        states.push(match symbol.phoneme.is_pause() {
            true => silence,
            false => State { class, least: LEAST_PHONEME, usual: usual_lengths.get(class).copied(), cost: None },
        });
        given.push(Some(i));
        if symbol.word_end && symbols.get(i + 1).is_some_and(|next| !next.phoneme.is_pause()) {
            states.push(State { least: LEAST_FOUND_PAUSE, cost: Some(FOUND_PAUSE_COST), ..silence });
            given.push(None);
        }
    }
    (states, given)
}

/// Symbols and lengths with the pauses that were found.
fn with_pauses(symbols: &[Symbol], given: &[Option<usize>], lengths: &[usize]) -> (Vec<Symbol>, Vec<u32>) {
    let mut all: Vec<(Symbol, u32)> = Vec::with_capacity(lengths.len());
    for (given, &length) in given.iter().zip(lengths) {
        match (given, all.last()) {
            (Some(i), _) => all.push((symbols[*i], length as u32)),
            (None, Some((before, _))) if length > 0 => {
                all.push((Symbol::pause(Phoneme::Comma, before.kind), length as u32));
            }
            (None, _) => {}
        }
    }
    all.into_iter().unzip()
}

#[cfg(test)]
mod tests;
