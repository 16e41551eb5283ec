//! What was read against what was said: the fewest insertions, deletions and substitutions that make one of the other
//! (Levenshtein 1966), and the words that they touch.

use crate::text::{Phoneme, Symbol};

/// Counts that error rates are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Errors {
    /// Phonemes inserted, deleted or replaced.
    pub edits: usize,
    /// Phonemes said.
    pub phonemes: usize,
    /// Words with an edit in them.
    pub misread_words: usize,
    /// Words said.
    pub words: usize,
}

impl std::ops::AddAssign for Errors {
    fn add_assign(&mut self, other: Self) {
        self.edits += other.edits;
        self.phonemes += other.phonemes;
        self.misread_words += other.misread_words;
        self.words += other.words;
    }
}

/// Compares the phonemes that were read with the symbols that were said; pauses do not count.
pub(super) fn errors(read: &[Phoneme], said: &[Symbol]) -> Errors {
    let said: Vec<&Symbol> = said.iter().filter(|symbol| !symbol.phoneme.is_pause()).collect();
    let width = read.len() + 1;
    // cost[i * width + j]: edits between the first i said and the first j read.
    let mut cost: Vec<usize> = (0..(said.len() + 1) * width).map(|at| at / width + at % width).collect();
    for i in 1..=said.len() {
        for j in 1..width {
            let replaced = cost[(i - 1) * width + j - 1] + usize::from(said[i - 1].phoneme != read[j - 1]);
            let missed = cost[(i - 1) * width + j] + 1;
            let added = cost[i * width + j - 1] + 1;
            cost[i * width + j] = replaced.min(missed).min(added);
        }
    }
    // Backwards along a cheapest way: what was said is wrong, or something was read just before it inside its word.
    let mut wrong = vec![false; said.len()];
    let (mut i, mut j) = (said.len(), read.len());
    while i > 0 || j > 0 {
        let here = cost[i * width + j];
        if i > 0 && j > 0 && here == cost[(i - 1) * width + j - 1] + usize::from(said[i - 1].phoneme != read[j - 1]) {
            wrong[i - 1] |= said[i - 1].phoneme != read[j - 1];
            (i, j) = (i - 1, j - 1);
        } else if i > 0 && here == cost[(i - 1) * width + j] + 1 {
            wrong[i - 1] = true;
            i -= 1;
        } else {
            // Between two words it belongs to the one before, as at the end.
            if let Some(at) = i.checked_sub(1) {
                wrong[at] = true;
            } else if let Some(first) = wrong.first_mut() {
                *first = true;
            }
            j -= 1;
        }
    }
    let mut counts = Errors { edits: cost[cost.len() - 1], phonemes: said.len(), ..Errors::default() };
    let mut from = 0;
    for (at, symbol) in said.iter().enumerate() {
        if symbol.word_end || at + 1 == said.len() {
            counts.words += 1;
            counts.misread_words += usize::from(wrong[from..=at].iter().any(|&wrong| wrong));
            from = at + 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::SentenceKind;
    use crate::text::phonemes::symbols_from_ipa;

    fn phonemes(ipa: &str) -> Vec<Phoneme> {
        ipa.chars().map(|sign| Phoneme::from_ipa(sign).unwrap()).collect()
    }

    #[test]
    fn words_are_misread_where_an_edit_touches_them() {
        let said = symbols_from_ipa("bɪn blu æt", SentenceKind::Statement).unwrap();
        let count = |read: &str| {
            let Errors { edits, phonemes: said, misread_words, words } = errors(&phonemes(read), &said);
            assert_eq!((said, words), (8, 3));
            (edits, misread_words)
        };
        assert_eq!(count("bɪnbluæt"), (0, 0));
        assert_eq!(count("pɪnbluæt"), (1, 1));
        assert_eq!(count("bɪnbuæt"), (1, 1));
        assert_eq!(count("bɪnblwuæt"), (1, 1));
        assert_eq!(count("bɪluæt"), (2, 2));
        assert_eq!(count(""), (8, 3));
        assert_eq!(errors(&phonemes("b"), &[]), Errors { edits: 1, ..Errors::default() });
    }

    /// The definition, by recursion.
    fn distance(a: &[Phoneme], b: &[Phoneme]) -> usize {
        match (a.split_first(), b.split_first()) {
            (None, _) => b.len(),
            (_, None) => a.len(),
            (Some((x, a_rest)), Some((y, b_rest))) => {
                let replaced = distance(a_rest, b_rest) + usize::from(x != y);
                replaced.min(1 + distance(a_rest, b)).min(1 + distance(a, b_rest))
            }
        }
    }

    proptest! {
        #[test]
        fn edits_are_the_fewest_possible(a in "[bpm]{0,5}", b in "[bpm]{0,5}") {
            let (a, b) = (phonemes(&a), phonemes(&b));
            let said: Vec<Symbol> = a.iter().map(|&phoneme| Symbol::pause(phoneme, SentenceKind::Statement)).collect();
            let found = errors(&b, &said);
            prop_assert_eq!(found.edits, distance(&a, &b));
            prop_assert_eq!(found.misread_words, usize::from(found.edits > 0 && !a.is_empty()));
        }
    }
}
