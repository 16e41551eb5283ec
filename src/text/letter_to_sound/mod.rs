//! Letter-to-sound: a pronunciation with stress for any word that no lexicon has.
//!
//! Each letter says a unit of up to two phonemes, a vowel with its stress. A linear model scores the units: the features
//! are all letter windows around the letter up to four to either side, and chains of the units before it (the joint
//! n-gram of the discriminative string transducers of Jiampojamarn, Cherry and Kondrak, "Joint processing and
//! discriminative training for letter-to-phoneme conversion", ACL 2008), hashed into one table of `i8`. The best chain
//! is found by a beam. The file is 1 MB and the result the same on any machine: all sums are integers.
//!
//! The shipped model was trained on the American gold lexicon of the crate misaki-rs (MIT) by
//! `cargo run --release --example train_letter_to_sound`; [`train`] has the figures.

mod align;
pub mod train;

use std::sync::LazyLock;

/// Letters that the model reads, and the sign for the edge of the word.
const LETTERS: usize = 27;
const EDGE: u8 = 26;
/// Hypotheses that the search keeps, and that it keeps in training.
const BEAM: usize = 8;
const TRAINING_BEAM: usize = 3;
/// Weights in the table.
const TABLE: usize = 1 << 20;
/// First bytes of a model file.
const MAGIC: &[u8; 8] = b"PVXL2S\x00\x01";
/// Letter windows: every reach to the left and right up to this far.
const REACH: usize = 4;

/// A trained model.
#[derive(Clone)]
pub struct LetterToSound {
    /// Units: phoneme strings in the teacher's alphabet, vowels with their stress mark.
    units: Vec<Unit>,
    /// For each letter, the units that it can say.
    choices: Vec<Vec<u16>>,
    /// Codes that [`spread`] turns into weights.
    weights: Vec<i8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Unit {
    ipa: String,
}

impl Unit {
    fn has_primary(&self) -> bool {
        self.ipa.contains('ˈ')
    }
}

/// A file is no model of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a letter-to-sound model, or one of another version: train it again")]
pub struct BadModel;

/// A hypothesis of the search: the chain so far, its score, and what the next features look at.
#[derive(Clone)]
struct Hypothesis {
    score: i64,
    chain: Vec<u16>,
    stressed: bool,
}

impl Hypothesis {
    /// The unit `back` places before the end of the chain, or the edge.
    fn last(&self, back: usize) -> u64 {
        let at = self.chain.len().checked_sub(back);
        at.and_then(|at| self.chain.get(at)).map_or(u64::from(u16::MAX), |&unit| u64::from(unit))
    }
}

impl LetterToSound {
    /// The model that the crate ships.
    pub fn shipped() -> &'static Self {
        static SHIPPED: LazyLock<LetterToSound> = LazyLock::new(|| {
            LetterToSound::from_bytes(include_bytes!("model.bin")).expect("the shipped model is read by the tests")
        });
        &SHIPPED
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`BadModel`] if the bytes are cut short or something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadModel> {
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(BadModel)?;
        let mut take = |n: usize| {
            let (head, tail) = rest.split_at_checked(n).ok_or(BadModel)?;
            rest = tail;
            Ok(head)
        };
        let n_units = usize::from(u16::from_le_bytes(take(2)?.try_into().map_err(|_| BadModel)?));
        let mut units = Vec::with_capacity(n_units);
        for _ in 0..n_units {
            let len = usize::from(take(1)?[0]);
            let ipa = std::str::from_utf8(take(len)?).map_err(|_| BadModel)?.to_string();
            units.push(Unit { ipa });
        }
        let mut choices = Vec::with_capacity(LETTERS - 1);
        for _ in 0..LETTERS - 1 {
            let n = usize::from(take(1)?[0]);
            let ids: Vec<u16> = take(2 * n)?.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).collect();
            if ids.is_empty() || ids.iter().any(|&id| usize::from(id) >= n_units) {
                return Err(BadModel);
            }
            choices.push(ids);
        }
        let weights: Vec<i8> = take(TABLE)?.iter().map(|&b| b.cast_signed()).collect();
        if rest.is_empty() { Ok(Self { units, choices, weights }) } else { Err(BadModel) }
    }

    /// Writes a model file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend((self.units.len() as u16).to_le_bytes());
        for unit in &self.units {
            bytes.push(unit.ipa.len() as u8);
            bytes.extend(unit.ipa.as_bytes());
        }
        for choices in &self.choices {
            bytes.push(choices.len() as u8);
            bytes.extend(choices.iter().flat_map(|id| id.to_le_bytes()));
        }
        bytes.extend(self.weights.iter().map(|w| w.cast_unsigned()));
        bytes
    }

    /// The pronunciation of a word in the teacher's alphabet, with one primary stress if it has a vowel at all.
    ///
    /// Signs other than the letters a to z, in either case, are passed over; without any letter the result is empty.
    pub fn pronounce(&self, word: &str) -> String {
        let chain = self.search(&letters_of(word), |index| spread(self.weights[index]));
        let ipa: String = chain.iter().map(|&unit| self.units[usize::from(unit)].ipa.as_str()).collect();
        with_one_primary(&ipa)
    }

    /// The best chain of units for a word, under the weights that `weight` looks up.
    fn search(&self, letters: &[u8], weight: impl Fn(usize) -> i64) -> Vec<u16> {
        self.search_within(letters, REACH, BEAM, weight)
    }

    /// The same with windows that reach only so far, and so many hypotheses.
    fn search_within(
        &self,
        letters: &[u8],
        reach: usize,
        beam_width: usize,
        weight: impl Fn(usize) -> i64,
    ) -> Vec<u16> {
        let mut beam = vec![Hypothesis { score: 0, chain: Vec::new(), stressed: false }];
        let mut window = Vec::new();
        for at in 0..letters.len() {
            windows(letters, at, reach, &mut window);
            let choices = &self.choices[usize::from(letters[at])];
            let local: Vec<i64> =
                choices.iter().map(|&unit| window.iter().map(|&f| weight(index(f, unit))).sum()).collect();
            let mut grown: Vec<(i64, usize, u16)> = Vec::with_capacity(beam.len() * choices.len());
            for (h, hypothesis) in beam.iter().enumerate() {
                let chains = chains(letters, at, hypothesis);
                for (&unit, local) in choices.iter().zip(&local) {
                    let chain: i64 = chains.iter().map(|&f| weight(index(f, unit))).sum();
                    grown.push((hypothesis.score + local + chain, h, unit));
                }
            }
            grown.sort_by_key(|&(score, h, unit)| (std::cmp::Reverse(score), h, unit));
            let mut next: Vec<Hypothesis> = Vec::with_capacity(beam_width);
            for (score, h, unit) in grown {
                let parent = &beam[h];
                let stressed = parent.stressed || self.units[usize::from(unit)].has_primary();
                // Two chains that look the same to all features to come: the better one is enough.
                let same = |other: &Hypothesis| {
                    other.stressed == stressed && other.last(1) == u64::from(unit) && other.last(2) == parent.last(1)
                };
                if next.iter().any(same) {
                    continue;
                }
                let mut chain = parent.chain.clone();
                chain.push(unit);
                next.push(Hypothesis { score, chain, stressed });
                if next.len() == beam_width {
                    break;
                }
            }
            beam = next;
        }
        beam.into_iter().next().map(|best| best.chain).unwrap_or_default()
    }

    /// The features of a whole chain, for training.
    fn features(&self, letters: &[u8], chain: &[u16], reach: usize, mut each: impl FnMut(usize)) {
        let mut so_far = Hypothesis { score: 0, chain: Vec::with_capacity(chain.len()), stressed: false };
        let mut window = Vec::new();
        for (at, &unit) in chain.iter().enumerate() {
            windows(letters, at, reach, &mut window);
            window.iter().for_each(|&f| each(index(f, unit)));
            chains(letters, at, &so_far).iter().for_each(|&f| each(index(f, unit)));
            so_far.stressed |= self.units[usize::from(unit)].has_primary();
            so_far.chain.push(unit);
        }
    }
}

/// The letters a to z of a word, as 0 to 25.
fn letters_of(word: &str) -> Vec<u8> {
    word.bytes().map(|b| b.to_ascii_lowercase()).filter(u8::is_ascii_lowercase).map(|b| b - b'a').collect()
}

fn letter(letters: &[u8], at: isize) -> u64 {
    let inside = usize::try_from(at).ok().and_then(|at| letters.get(at));
    u64::from(*inside.unwrap_or(&EDGE))
}

/// Features of the letters around `at`: one for each reach to the left and to the right.
fn windows(letters: &[u8], at: usize, reach: usize, features: &mut Vec<u64>) {
    features.clear();
    let reach = reach as isize;
    let at = at as isize;
    for left in 0..=reach {
        let mut key = mix(1 + left as u64, letter(letters, at));
        for back in 1..=left {
            key = mix(key, letter(letters, at - back));
        }
        features.push(key);
        for right in 1..=reach {
            key = mix(key, 32 + letter(letters, at + right));
            features.push(key);
        }
    }
}

/// Features of the units before `at`, joined with the letters there.
fn chains(letters: &[u8], at: usize, so_far: &Hypothesis) -> [u64; 7] {
    let at = at as isize;
    let (here, next, before) = (letter(letters, at), letter(letters, at + 1), letter(letters, at - 1));
    let (one, two) = (so_far.last(1), so_far.last(2));
    let vowels_left = (at + 1..letters.len() as isize)
        .filter(|&i| {
            matches!(letter(letters, i), 0 | 4 | 8 | 14 | 20 | 24)
                && !matches!(letter(letters, i - 1), 0 | 4 | 8 | 14 | 20)
        })
        .count()
        .min(4) as u64;
    let stress = u64::from(so_far.stressed);
    let key = |kind: u64, parts: &[u64]| parts.iter().fold(mix(100, kind), |key, &part| mix(key, part));
    [
        key(1, &[one, here]),
        key(2, &[one, two, here]),
        key(3, &[one, here, next]),
        key(4, &[one, two, here, next]),
        key(5, &[one, before, here, next, letter(letters, at + 2)]),
        key(6, &[stress, vowels_left, here]),
        key(7, &[stress, vowels_left, here, next, letter(letters, at + 2), letter(letters, at + 3)]),
    ]
}

/// The weight that a byte of the table stands for: steps grow with the weight, since most are small and a few are large.
fn spread(code: i8) -> i64 {
    let code = i64::from(code);
    code * code.abs()
}

/// One round of a multiplicative hash.
fn mix(key: u64, part: u64) -> u64 {
    let mixed = (key ^ part.wrapping_add(0x9E37_79B9_7F4A_7C15)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed ^ (mixed >> 29)
}

fn index(feature: u64, unit: u16) -> usize {
    (mix(feature, u64::from(unit)) >> 20) as usize & (TABLE - 1)
}

/// Makes the first primary stress the only one, and gives one to the first full vowel if there is none.
fn with_one_primary(ipa: &str) -> String {
    const FULL: &str = "AIOQWYiuæɑɔɛɜɪʊʌ";
    let first = ipa.find('ˈ').or(ipa.find('ˌ')).or(ipa.find(|c| FULL.contains(c)));
    let Some(first) = first.or(ipa.find(|c| "əɐᵻ".contains(c))) else { return ipa.to_string() };
    let rest = ipa[first..].trim_start_matches(['ˈ', 'ˌ']);
    format!("{}ˈ{}", &ipa[..first], rest.replace('ˈ', "ˌ"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_file_is_read_back_and_a_cut_one_is_refused() {
        let bytes = LetterToSound::shipped().to_bytes();
        assert_eq!(bytes, include_bytes!("model.bin"));
        assert!(LetterToSound::from_bytes(&bytes[..bytes.len() - 1]).is_err());
        assert!(LetterToSound::from_bytes(&bytes[1..]).is_err());
        assert!(bytes.len() < 1_500_000);
    }

    #[test]
    fn stress_is_always_single() {
        assert_eq!(with_one_primary("kæt"), "kˈæt");
        assert_eq!(with_one_primary("kˌætən"), "kˈætən");
        assert_eq!(with_one_primary("kˈætˈɑn"), "kˈætˌɑn");
        assert_eq!(with_one_primary("st"), "st");
    }

    proptest! {
        #[test]
        fn any_word_has_a_pronunciation(word in "[a-zA-Z']{1,40}") {
            let ipa = LetterToSound::shipped().pronounce(&word);
            prop_assert!(ipa.matches('ˈ').count() <= 1, "{}", ipa);
            prop_assert!(crate::text::phonemes::symbols_from_ipa(&ipa, Default::default()).is_ok());
        }
    }
}
