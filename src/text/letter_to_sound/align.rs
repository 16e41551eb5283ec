//! Letters aligned with phonemes by expectation maximisation: each letter says none, one or two phonemes.

use super::LETTERS;
use crate::text::Phoneme;

/// Phonemes that one letter says, as ranges into the word's phonemes.
pub(super) type Alignment = Vec<std::ops::Range<usize>>;

/// At most this many phonemes to a letter ("x" says two).
const MOST: usize = 2;

/// Units without stress: no phoneme, one, or two.
const UNITS: usize = (Phoneme::COUNT + 1) * (Phoneme::COUNT + 1);

/// Probabilities of what a letter says, stress left out.
pub(super) struct Aligner {
    /// For each letter, the probability of each unit.
    table: Vec<f64>,
}

impl Aligner {
    /// Learns from words as (letters, phonemes).
    pub(super) fn learn(words: &[(Vec<u8>, Vec<Phoneme>)], rounds: usize) -> Self {
        // At first one phoneme is likelier than none or two, whatever they are.
        let first = |unit: usize| [0.2, 1.0, 0.05][usize::from(unit > 0) + usize::from(unit > Phoneme::COUNT)];
        let mut aligner = Self { table: (0..LETTERS * UNITS).map(|i| first(i % UNITS)).collect() };
        for _ in 0..rounds {
            let mut counts = vec![0f64; LETTERS * UNITS];
            for (letters, phonemes) in words {
                aligner.count(letters, phonemes, &mut counts);
            }
            for of_letter in counts.chunks_mut(UNITS) {
                let sum: f64 = of_letter.iter().sum();
                of_letter.iter_mut().for_each(|n| *n /= sum.max(1e-9));
            }
            aligner.table = counts;
        }
        aligner
    }

    /// Adds the expected counts of one word, by the forward-backward algorithm.
    fn count(&self, letters: &[u8], phonemes: &[Phoneme], counts: &mut [f64]) {
        let (n, m) = (letters.len(), phonemes.len());
        let mut forward = vec![vec![0f64; m + 1]; n + 1];
        let mut backward = vec![vec![0f64; m + 1]; n + 1];
        forward[0][0] = 1.0;
        backward[n][m] = 1.0;
        for i in 0..n {
            for j in 0..=m {
                for to in j..=(j + MOST).min(m) {
                    forward[i + 1][to] += forward[i][j] * self.table[index(letters[i], &phonemes[j..to])];
                }
            }
        }
        for i in (0..n).rev() {
            for j in 0..=m {
                for to in j..=(j + MOST).min(m) {
                    backward[i][j] += backward[i + 1][to] * self.table[index(letters[i], &phonemes[j..to])];
                }
            }
        }
        let whole = forward[n][m];
        if whole <= 0.0 {
            return;
        }
        for i in 0..n {
            for j in 0..=m {
                for to in j..=(j + MOST).min(m) {
                    let at = index(letters[i], &phonemes[j..to]);
                    counts[at] += forward[i][j] * self.table[at] * backward[i + 1][to] / whole;
                }
            }
        }
    }

    /// The likeliest alignment, or `None` where the letters cannot say the phonemes.
    pub(super) fn align(&self, letters: &[u8], phonemes: &[Phoneme]) -> Option<Alignment> {
        let (n, m) = (letters.len(), phonemes.len());
        let mut best = vec![vec![(f64::NEG_INFINITY, 0); m + 1]; n + 1];
        best[0][0].0 = 0.0;
        for i in 0..n {
            for j in 0..=m {
                let so_far = best[i][j].0;
                if so_far == f64::NEG_INFINITY {
                    continue;
                }
                for to in j..=(j + MOST).min(m) {
                    let p = self.table[index(letters[i], &phonemes[j..to])];
                    if p > 1e-7 && so_far + p.ln() > best[i + 1][to].0 {
                        best[i + 1][to] = (so_far + p.ln(), j);
                    }
                }
            }
        }
        if best[n][m].0 == f64::NEG_INFINITY {
            return None;
        }
        let mut end = m;
        let mut alignment: Alignment = (0..n)
            .rev()
            .map(|i| {
                let start = best[i + 1][end].1;
                let range = start..end;
                end = start;
                range
            })
            .collect();
        alignment.reverse();
        Some(alignment)
    }
}

/// Where the table has a letter that says these phonemes, at most [`MOST`].
fn index(letter: u8, phonemes: &[Phoneme]) -> usize {
    let code = |at: usize| phonemes.get(at).map_or(0, |phoneme| phoneme.id() as usize + 1);
    usize::from(letter) * UNITS + code(0) + (Phoneme::COUNT + 1) * code(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_letters_and_double_sounds_find_their_places() {
        let word = |letters: &str, phonemes: &str| {
            let letters: Vec<u8> = letters.bytes().map(|b| b - b'a').collect();
            (letters, phonemes.chars().filter_map(Phoneme::from_ipa).collect::<Vec<_>>())
        };
        let words: Vec<_> = [
            ("cat", "kæt"),
            ("tax", "tæks"),
            ("ax", "æks"),
            ("tack", "tæk"),
            ("at", "æt"),
            ("act", "ækt"),
            ("kat", "kæt"),
            ("tact", "tækt"),
        ]
        .map(|(letters, phonemes)| word(letters, phonemes))
        .to_vec();
        let aligner = Aligner::learn(&words, 10);
        assert_eq!(aligner.align(&words[1].0, &words[1].1), Some(vec![0..1, 1..2, 2..4]));
        assert_eq!(aligner.align(&words[0].0, &words[0].1), Some(vec![0..1, 1..2, 2..3]));
        let (letters, phonemes) = word("a", "ætk");
        assert_eq!(aligner.align(&letters, &phonemes), None);
    }
}
