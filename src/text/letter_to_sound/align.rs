//! Letters aligned with phonemes by expectation maximisation: each letter says none, one or two phonemes.

use std::collections::BTreeMap;

/// Phonemes that one letter says, as ranges into the word's phonemes.
pub(super) type Alignment = Vec<std::ops::Range<usize>>;

/// At most this many phonemes to a letter ("x" says two).
const MOST: usize = 2;

/// Probabilities of what a letter says, stress left out.
pub(super) struct Aligner {
    /// (letter, phonemes without stress marks) -> probability given the letter.
    table: BTreeMap<(u8, String), f64>,
}

impl Aligner {
    /// Learns from words as (letters, phonemes); a phoneme may begin with a stress mark.
    pub(super) fn learn(words: &[(Vec<u8>, Vec<String>)], rounds: usize) -> Self {
        let mut aligner = Self { table: BTreeMap::new() };
        for round in 0..rounds {
            let mut counts: BTreeMap<(u8, String), f64> = BTreeMap::new();
            for (letters, phonemes) in words {
                aligner.count(letters, phonemes, round == 0, &mut counts);
            }
            let mut sums = [0f64; 26];
            for ((letter, _), count) in &counts {
                sums[usize::from(*letter)] += count;
            }
            aligner.table = counts.into_iter().map(|((l, unit), n)| ((l, unit), n / sums[usize::from(l)])).collect();
        }
        aligner
    }

    /// Adds the expected counts of one word, by the forward-backward algorithm.
    fn count(&self, letters: &[u8], phonemes: &[String], first: bool, counts: &mut BTreeMap<(u8, String), f64>) {
        let (n, m) = (letters.len(), phonemes.len());
        let score = |i: usize, from: usize, to: usize| self.score(letters[i], &phonemes[from..to], first);
        let mut forward = vec![vec![0f64; m + 1]; n + 1];
        let mut backward = vec![vec![0f64; m + 1]; n + 1];
        forward[0][0] = 1.0;
        backward[n][m] = 1.0;
        for i in 0..n {
            for j in 0..=m {
                for to in j..=(j + MOST).min(m) {
                    forward[i + 1][to] += forward[i][j] * score(i, j, to);
                }
            }
        }
        for i in (0..n).rev() {
            for j in 0..=m {
                for to in j..=(j + MOST).min(m) {
                    backward[i][j] += backward[i + 1][to] * score(i, j, to);
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
                    let share = forward[i][j] * score(i, j, to) * backward[i + 1][to] / whole;
                    if share > 1e-9 {
                        *counts.entry((letters[i], bare(&phonemes[j..to]))).or_default() += share;
                    }
                }
            }
        }
    }

    /// How likely a letter says these phonemes; at first one phoneme is likelier than none or two.
    fn score(&self, letter: u8, phonemes: &[String], first: bool) -> f64 {
        if first {
            return [0.2, 1.0, 0.05][phonemes.len()];
        }
        self.table.get(&(letter, bare(phonemes))).copied().unwrap_or(0.0)
    }

    /// The likeliest alignment, or `None` where the letters cannot say the phonemes.
    pub(super) fn align(&self, letters: &[u8], phonemes: &[String]) -> Option<Alignment> {
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
                    let p = self.score(letters[i], &phonemes[j..to], false);
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

fn bare(phonemes: &[String]) -> String {
    phonemes.iter().flat_map(|p| p.chars()).filter(|c| !matches!(c, 'ˈ' | 'ˌ')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_letters_and_double_sounds_find_their_places() {
        let word = |letters: &str, phonemes: &str| {
            let letters: Vec<u8> = letters.bytes().map(|b| b - b'a').collect();
            (letters, phonemes.split(' ').map(str::to_string).collect::<Vec<_>>())
        };
        let words = [
            word("cat", "k ˈæ t"),
            word("tax", "t ˈæ k s"),
            word("ax", "ˈæ k s"),
            word("tack", "t ˈæ k"),
            word("at", "ˈæ t"),
            word("act", "ˈæ k t"),
            word("kat", "k ˈæ t"),
            word("tact", "t ˈæ k t"),
        ];
        let aligner = Aligner::learn(&words, 10);
        assert_eq!(aligner.align(&words[1].0, &words[1].1), Some(vec![0..1, 1..2, 2..4]));
        assert_eq!(aligner.align(&words[0].0, &words[0].1), Some(vec![0..1, 1..2, 2..3]));
        let (letters, phonemes) = word("a", "ˈæ t k");
        assert_eq!(aligner.align(&letters, &phonemes), None);
    }
}
