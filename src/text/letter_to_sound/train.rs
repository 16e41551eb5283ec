//! Training of the letter-to-sound model: alignment, then an averaged structured perceptron (Collins, EMNLP 2002).
//!
//! The shipped model (5 epochs, under a minute of one core), on the 4,225 of 85,616 words that were held out, many of them
//! inflections and derivations of words that were not, so that new names do worse: phone error rate 8.2 % without stress;
//! 59.1 % of the words right in every phoneme, 53.3 % in every stress mark as well. The lexicon is narrow: it tells `ə`,
//! `ɪ`, `ᵻ` and `ᵊ` apart, and `t` and `T`. Weights of one byte instead of floats cost 0.1 % of the phones.

use std::collections::{BTreeMap, HashMap};

use rand::{Rng, SeedableRng, seq::SliceRandom};

use super::{LETTERS, LetterToSound, REACH, TABLE, TRAINING_BEAM, Unit, align::Aligner, letters_of};
use crate::text::Phoneme;

/// How to train.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Passes over the words. Default 5.
    pub epochs: usize,
    /// Seed of the order of the words. Default 1.
    pub seed: u64,
    /// Units that a letter says fewer times than this in all words are left out, and their words with them. Default 8.
    pub rare: usize,
    /// The same for units that a letter says in fewer than one case in this many. Default 2,000.
    pub rarity: usize,
    /// Share of the words, each time anew, that train only windows of half the reach. Default 0.5.
    pub short: f64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self { epochs: 5, seed: 1, rare: 8, rarity: 2000, short: 0.5 }
    }
}

/// How a model does on words that it was not trained on, each figure from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Words tested.
    pub words: usize,
    /// Words right in every phoneme and stress mark.
    pub word_accuracy: f64,
    /// Words right in every phoneme.
    pub word_accuracy_without_stress: f64,
    /// Edit distance of the phonemes, stress left out, over the number of phonemes.
    pub phone_error_rate: f64,
}

/// A word for training or testing: letters and phonemes, a vowel's stress mark before it in the same string.
type Entry = (Vec<u8>, Vec<String>);

/// Splits words into those to train on and one in twenty to test on, by a hash of the spelling.
///
/// Words with other signs than letters, and pronunciations with signs outside of the teacher's alphabet, are left out.
pub fn hold_out(words: &BTreeMap<String, String>) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let usable = words.iter().filter(|(word, ipa)| {
        word.len() > 1 && word.bytes().all(|b| b.is_ascii_alphabetic()) && phonemes_of(ipa).is_some()
    });
    usable.map(|(word, ipa)| (word.clone(), ipa.clone())).partition(|(word, _)| {
        let hash = word.to_lowercase().bytes().fold(17u64, |hash, b| super::mix(hash, u64::from(b)));
        hash % 20 != 0
    })
}

/// Trains a model; `progress` is told the epoch and the share of training words that were right as they came.
pub fn train(
    words: &BTreeMap<String, String>,
    options: &TrainOptions,
    mut progress: impl FnMut(usize, f64),
) -> LetterToSound {
    let entries: Vec<Entry> =
        words.iter().filter_map(|(word, ipa)| Some((letters_of(word), phonemes_of(ipa)?))).collect();
    let bare: Vec<(Vec<u8>, Vec<Phoneme>)> =
        entries.iter().map(|(letters, phonemes)| (letters.clone(), without_stress(phonemes))).collect();
    let aligner = Aligner::learn(&bare, 6);
    let mut aligned: Vec<(&Entry, Vec<String>)> = Vec::new();
    let mut counts: HashMap<(u8, String), usize> = HashMap::new();
    for (entry, bare) in entries.iter().zip(&bare) {
        let Some(alignment) = aligner.align(&bare.0, &bare.1) else { continue };
        let units: Vec<String> = alignment.into_iter().map(|range| entry.1[range].concat()).collect();
        for (letter, unit) in entry.0.iter().zip(&units) {
            *counts.entry((*letter, unit.clone())).or_default() += 1;
        }
        aligned.push((entry, units));
    }
    let mut of_letter = [0usize; LETTERS];
    counts.iter().for_each(|((letter, _), n)| of_letter[usize::from(*letter)] += n);
    counts.retain(|(letter, _), n| {
        *n >= options.rare && n.saturating_mul(options.rarity) >= of_letter[usize::from(*letter)]
    });
    let mut model = empty_model(&counts);
    let ids: HashMap<&str, u16> =
        model.units.iter().enumerate().map(|(id, unit)| (unit.ipa.as_str(), id as u16)).collect();
    let mut examples: Vec<(&[u8], Vec<u16>)> = aligned
        .iter()
        .filter(|(entry, units)| entry.0.iter().zip(units).all(|(l, unit)| counts.contains_key(&(*l, unit.clone()))))
        .map(|(entry, units)| (entry.0.as_slice(), units.iter().map(|unit| ids[unit.as_str()]).collect()))
        .collect();
    drop(ids);

    let mut weights = vec![0i32; TABLE];
    // Sum over steps of step times change: the average weight is `weight - late / steps`.
    let mut late = vec![0i64; TABLE];
    let mut step = 0i64;
    let mut order = rand_chacha::ChaCha8Rng::seed_from_u64(options.seed);
    for epoch in 0..options.epochs {
        examples.shuffle(&mut order);
        let mut right = 0usize;
        for (letters, gold) in &examples {
            step += 1;
            // Some words see short windows only, lest long ones learn words by heart that short ones could explain.
            let reach = if order.random_bool(options.short) { REACH / 2 } else { REACH };
            let said = model.search_within(letters, reach, TRAINING_BEAM, |index| i64::from(weights[index]));
            if &said == gold {
                right += 1;
                continue;
            }
            let mut change = |index: usize, by: i32| {
                weights[index] += by;
                late[index] += step * i64::from(by);
            };
            model.features(letters, gold, reach, |index| change(index, 1));
            model.features(letters, &said, reach, |index| change(index, -1));
        }
        progress(epoch + 1, right as f64 / examples.len().max(1) as f64);
    }
    let mean: Vec<f64> =
        weights.iter().zip(&late).map(|(&w, &l)| f64::from(w) - l as f64 / step.max(1) as f64).collect();
    model.weights = quantise(&mean);
    model
}

/// Tests a model.
pub fn score(model: &LetterToSound, words: &BTreeMap<String, String>) -> Score {
    let strip = |ipa: &str| -> Vec<char> { ipa.chars().filter(|c| !matches!(c, 'ˈ' | 'ˌ')).collect() };
    let (mut right, mut right_bare, mut errors, mut phones) = (0, 0, 0, 0);
    for (word, ipa) in words {
        let Some(expected) = phonemes_of(ipa).map(|phonemes| phonemes.concat()) else { continue };
        let said = model.pronounce(word);
        right += usize::from(said == expected);
        let (said, expected) = (strip(&said), strip(&expected));
        right_bare += usize::from(said == expected);
        errors += edit_distance(&said, &expected);
        phones += expected.len();
    }
    let share = |n: usize, of: usize| n as f64 / of.max(1) as f64;
    Score {
        words: words.len(),
        word_accuracy: share(right, words.len()),
        word_accuracy_without_stress: share(right_bare, words.len()),
        phone_error_rate: share(errors, phones),
    }
}

/// Units and choices by count, no weights yet.
fn empty_model(counts: &HashMap<(u8, String), usize>) -> LetterToSound {
    let mut all: Vec<&str> = counts.keys().map(|(_, unit)| unit.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    let units: Vec<Unit> = all.iter().map(|ipa| Unit { ipa: ipa.to_string() }).collect();
    let choices = (0..LETTERS as u8 - 1)
        .map(|letter| {
            let ids = (0..units.len() as u16)
                .filter(|&id| counts.contains_key(&(letter, units[usize::from(id)].ipa.clone())));
            let ids: Vec<u16> = ids.collect();
            if ids.is_empty() { vec![0] } else { ids }
        })
        .collect();
    LetterToSound { units, choices, weights: vec![0; TABLE] }
}

/// Codes of the weights, the inverse of [`spread`](super::spread); the largest weight gets the largest code.
fn quantise(mean: &[f64]) -> Vec<i8> {
    let largest = mean.iter().fold(1e-9, |largest: f64, w| largest.max(w.abs()));
    mean.iter().map(|w| (127.0 * (w.abs() / largest).sqrt() * w.signum()).round() as i8).collect()
}

/// The phonemes of a pronunciation, each with the stress mark before it; `None` if a sign is not in the alphabet.
fn phonemes_of(ipa: &str) -> Option<Vec<String>> {
    let mut phonemes = Vec::new();
    let mut mark = String::new();
    for sign in ipa.chars() {
        match sign {
            'ˈ' | 'ˌ' => mark = sign.to_string(),
            _ => {
                Phoneme::from_ipa(sign).filter(|p| !p.is_pause())?;
                phonemes.push(std::mem::take(&mut mark) + &sign.to_string());
            }
        }
    }
    (!phonemes.is_empty()).then_some(phonemes)
}

/// The phonemes of [`phonemes_of`], their stress left out.
fn without_stress(phonemes: &[String]) -> Vec<Phoneme> {
    phonemes.iter().filter_map(|p| p.chars().next_back().and_then(Phoneme::from_ipa)).collect()
}

fn edit_distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let changed = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toy_language_is_learnt_and_carried_over() {
        // c is k before a, o and s before e, i; every word is stressed on its first vowel.
        let mut words = BTreeMap::new();
        for a in "bdfgkmnpt".chars() {
            for (vowel, said) in [('a', 'æ'), ('o', 'ɑ'), ('e', 'ɛ'), ('i', 'ɪ')] {
                for c in "cbdfgkmnpt".chars() {
                    let hard = if c == 'c' { if matches!(vowel, 'a' | 'o') { 'k' } else { 's' } } else { c };
                    let ipa = |c: char| if c == 'g' { 'ɡ' } else { c };
                    words.insert(format!("{c}{vowel}{a}"), format!("{}ˈ{said}{}", ipa(hard), ipa(a)));
                }
            }
        }
        let options = TrainOptions { rare: 1, rarity: usize::MAX, ..TrainOptions::default() };
        let (train_words, test_words) = hold_out(&words);
        assert!(!test_words.is_empty());
        let model = train(&train_words, &options, |_, _| {});
        assert_eq!(score(&model, &test_words).word_accuracy, 1.0);
        assert_eq!(model.pronounce("cem"), "sˈɛm");
        assert_eq!(model.to_bytes(), train(&train_words, &options, |_, _| {}).to_bytes());
    }

    #[test]
    fn edit_distances() {
        let distance = |a: &str, b: &str| edit_distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>());
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }
}
