//! Phoneme strings in the teacher's IPA alphabet, read into symbols.
//!
//! The alphabet writes one character per phoneme ([`INVENTORY`](super::INVENTORY)), a stress mark before the stressed
//! vowel, a space between words and punctuation where it was in the text. Spaces and stress marks are no symbols. The
//! teacher gives them durations all the same, so [`fold_durations`] hands each of those to a neighbour:
//!
//! | sign | becomes | its duration goes to |
//! |---|---|---|
//! | `ˈ` `ˌ` | stress of the next vowel | the next symbol |
//! | space after a phoneme | the edge of a word | that phoneme |
//! | space after punctuation | | that pause |
//! | `,` `;` `:` `(` `)` `"` `“` `”` `—` `…` | [`Phoneme::Comma`] | |
//! | `.` `?` `!` | [`Phoneme::Stop`] | |
//!
//! Pauses that touch become one, a stop being the stronger; punctuation before the first word joins the opening
//! silence. The closing silence stays a symbol of its own after a stop, because the stop bends the melody before it.

use super::{Phoneme, SentenceKind, Stress, Symbol, TextError};

/// Reads a phoneme string into the symbols of an utterance, a [`Phoneme::Silence`] at either end.
///
/// # Errors
/// [`TextError::BadPhoneme`] names a sign outside of the alphabet.
pub fn symbols_from_ipa(phonemes: &str, kind: SentenceKind) -> Result<Vec<Symbol>, TextError> {
    let mut folder = Folder::new(kind, 0);
    for (at, sign) in phonemes.chars().enumerate() {
        folder.push(sign, at, 0)?;
    }
    Ok(folder.finish(0).0)
}

/// Reads a phoneme string of the teacher together with its durations.
///
/// `durations` has one number per character of `phonemes`, and one for the silence at either end. The unit is the
/// caller's (25 ms in the teacher's corpus). The returned durations belong to the returned symbols one by one, and
/// their sum is the sum of `durations`. The kind of the sentence is that of its [last mark](kind_of).
///
/// # Errors
/// [`TextError::BadPhoneme`] and [`TextError::DurationCount`].
pub fn fold_durations(phonemes: &str, durations: &[u32]) -> Result<(Vec<Symbol>, Vec<u32>), TextError> {
    let signs = phonemes.chars().count();
    let [first, inner @ .., last] = durations else {
        return Err(TextError::DurationCount { signs, durations: durations.len() });
    };
    if inner.len() != signs {
        return Err(TextError::DurationCount { signs, durations: durations.len() });
    }
    let mut folder = Folder::new(kind_of(phonemes), *first);
    for ((at, sign), &duration) in phonemes.chars().enumerate().zip(inner) {
        folder.push(sign, at, duration)?;
    }
    Ok(folder.finish(*last))
}

/// What a sentence does, told by its last full stop, question mark or exclamation mark; `?!` asks.
pub fn kind_of(text: &str) -> SentenceKind {
    let is_mark = |c: &char| matches!(c, '.' | '?' | '!');
    let ending = text.chars().rev().skip_while(|c| !is_mark(c)).take_while(is_mark);
    ending.fold(SentenceKind::Statement, |kind, mark| match (kind, mark) {
        (_, '?') | (SentenceKind::Question, _) => SentenceKind::Question,
        (_, '!') => SentenceKind::Exclamation,
        _ => kind,
    })
}

/// Rewrites plain IPA for American English in the teacher's alphabet; what is in that alphabet stays as it is.
pub fn from_common_ipa(ipa: &str) -> String {
    const PAIRS: [(&str, &str); 22] = [
        ("t͡ʃ", "ʧ"),
        ("d͡ʒ", "ʤ"),
        ("tʃ", "ʧ"),
        ("dʒ", "ʤ"),
        ("eɪ", "A"),
        ("aɪ", "I"),
        ("aʊ", "W"),
        ("oʊ", "O"),
        ("əʊ", "O"),
        ("ɔɪ", "Y"),
        ("ɝ", "ɜɹ"),
        ("ɚ", "əɹ"),
        ("ː", ""),
        ("g", "ɡ"),
        ("r", "ɹ"),
        ("ɾ", "T"),
        ("ʔ", "t"),
        ("ɒ", "ɑ"),
        ("ɫ", "l"),
        ("'", "ˈ"),
        ("ʌɪ", "I"),
        ("ɨ", "ᵻ"),
    ];
    PAIRS.iter().fold(ipa.to_string(), |ipa, (plain, own)| ipa.replace(plain, own))
}

/// The pause that a punctuation mark of the teacher's alphabet stands for.
pub(super) fn pause_of(sign: char) -> Option<Phoneme> {
    match sign {
        ',' | ';' | ':' | '(' | ')' | '"' | '“' | '”' | '—' | '…' => Some(Phoneme::Comma),
        '.' | '?' | '!' => Some(Phoneme::Stop),
        _ => None,
    }
}

/// Collects symbols and their durations sign by sign.
pub(super) struct Folder {
    kind: SentenceKind,
    pub(super) symbols: Vec<Symbol>,
    durations: Vec<u32>,
    /// Stress mark that has not met its vowel.
    stress: Stress,
    /// Duration of stress marks that have not met their symbol.
    carry: u32,
}

impl Folder {
    pub(super) fn new(kind: SentenceKind, silence: u32) -> Self {
        let symbols = vec![Symbol::pause(Phoneme::Silence, kind)];
        Self { kind, symbols, durations: vec![silence], stress: Stress::None, carry: 0 }
    }

    pub(super) fn push(&mut self, sign: char, at: usize, duration: u32) -> Result<(), TextError> {
        match sign {
            'ˈ' | 'ˌ' => {
                self.stress = if sign == 'ˈ' { Stress::Primary } else { Stress::Secondary };
                self.carry += duration;
            }
            ' ' => {
                self.end_word();
                self.lengthen_last(duration);
            }
            _ => match (pause_of(sign), Phoneme::from_ipa(sign)) {
                (Some(pause), _) => self.push_pause(pause, duration),
                (None, Some(phoneme)) => self.push_phoneme(phoneme, duration),
                (None, None) => return Err(TextError::BadPhoneme { sign, at }),
            },
        }
        Ok(())
    }

    fn push_phoneme(&mut self, phoneme: Phoneme, duration: u32) {
        let last = self.last();
        let word_start = last.word_end || last.phoneme.is_pause();
        let stress = if phoneme.is_vowel() { std::mem::take(&mut self.stress) } else { Stress::None };
        let symbol = Symbol { phoneme, stress, word_start, word_end: false, kind: self.kind };
        self.symbols.push(symbol);
        self.durations.push(duration + std::mem::take(&mut self.carry));
    }

    fn push_pause(&mut self, pause: Phoneme, duration: u32) {
        self.end_word();
        let last = self.last();
        if last.phoneme.is_pause() {
            if last.phoneme == Phoneme::Comma {
                last.phoneme = pause;
            }
            self.lengthen_last(duration);
        } else {
            self.symbols.push(Symbol::pause(pause, self.kind));
            self.durations.push(duration);
        }
    }

    /// Closes the word, if one is open; a stress mark that met no symbol in it is dropped, its duration kept.
    fn end_word(&mut self) {
        let last = self.last();
        last.word_end = !last.phoneme.is_pause();
        self.stress = Stress::None;
        let carry = std::mem::take(&mut self.carry);
        self.lengthen_last(carry);
    }

    fn last(&mut self) -> &mut Symbol {
        self.symbols.last_mut().expect("the opening silence is always there")
    }

    fn lengthen_last(&mut self, duration: u32) {
        *self.durations.last_mut().expect("the opening silence is always there") += duration;
    }

    pub(super) fn finish(mut self, silence: u32) -> (Vec<Symbol>, Vec<u32>) {
        self.end_word();
        self.symbols.push(Symbol::pause(Phoneme::Silence, self.kind));
        self.durations.push(silence);
        (self.symbols, self.durations)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phonemes(symbols: &[Symbol]) -> Vec<Phoneme> {
        symbols.iter().map(|s| s.phoneme).collect()
    }

    #[test]
    fn folds_a_short_row_by_hand() {
        use Phoneme::*;
        // Signs:       pad  ˈ  I  ,  ␣  ɡ  ˌ  O  .  pad
        let durations = [10, 1, 2, 3, 4, 5, 6, 7, 8, 20];
        let (symbols, folded) = fold_durations("ˈI, ɡˌO.", &durations).unwrap();
        assert_eq!(phonemes(&symbols), [Silence, Ay, Comma, G, Ow, Stop, Silence]);
        assert_eq!(folded, [10, 3, 7, 5, 13, 8, 20]);
        assert_eq!(symbols[1].stress, Stress::Primary);
        assert_eq!(symbols[3].stress, Stress::None);
        assert_eq!(symbols[4].stress, Stress::Secondary);
        let edges: Vec<_> = symbols.iter().map(|s| s.features()[2]).collect();
        assert_eq!(edges, [0, 3, 0, 1, 2, 0, 0]);
    }

    #[test]
    fn a_space_between_words_lengthens_the_word_before() {
        let (symbols, folded) = fold_durations("ɐ ki", &[0, 1, 2, 3, 4, 0]).unwrap();
        assert_eq!(folded, [0, 3, 3, 4, 0]);
        let edges: Vec<_> = symbols.iter().map(|s| s.features()[2]).collect();
        assert_eq!(edges, [0, 3, 1, 2, 0]);
    }

    #[test]
    fn pauses_that_touch_merge_and_the_stop_wins() {
        use Phoneme::*;
        let symbols = symbols_from_ipa("“hˈI,” ʃi sˈɛd!” … nˈO.", SentenceKind::Statement).unwrap();
        assert_eq!(phonemes(&symbols), [Silence, Hh, Ay, Comma, Sh, Iy, S, Eh, D, Stop, N, Ow, Stop, Silence]);
    }

    #[test]
    fn a_stress_mark_before_a_consonant_waits_for_its_vowel() {
        let (symbols, folded) = fold_durations("həˈlO ˌ", &[0, 1, 1, 5, 1, 1, 1, 2, 0]).unwrap();
        assert_eq!(symbols[4].stress, Stress::Primary);
        assert_eq!(symbols[3].stress, Stress::None);
        assert_eq!(folded, [0, 1, 1, 6, 4, 0]);
    }

    #[test]
    fn an_unknown_sign_is_named() {
        let error = symbols_from_ipa("kˈæq", SentenceKind::Statement).unwrap_err();
        assert_eq!(error, TextError::BadPhoneme { sign: 'q', at: 3 });
        assert!(error.to_string().contains("'q'"), "{error}");
    }

    #[test]
    fn the_durations_must_fit_the_signs() {
        assert_eq!(fold_durations("ki", &[1, 2, 3]), Err(TextError::DurationCount { signs: 2, durations: 3 }));
        assert_eq!(fold_durations("", &[1]), Err(TextError::DurationCount { signs: 0, durations: 1 }));
    }

    #[test]
    fn the_last_mark_tells_the_kind() {
        assert_eq!(kind_of("no. wˈɛl?”"), SentenceKind::Question);
        assert_eq!(kind_of("wˈɛl?!"), SentenceKind::Question);
        assert_eq!(kind_of("wˈɛl!?"), SentenceKind::Question);
        assert_eq!(kind_of("wˈʌt? nˈO!"), SentenceKind::Exclamation);
        assert_eq!(kind_of("wˈʌt? nˈO."), SentenceKind::Statement);
        assert_eq!(kind_of("wˈʌt"), SentenceKind::Statement);
    }

    proptest! {
        #[test]
        fn the_sum_is_kept_and_the_shape_is_sound(
            row in proptest::collection::vec((proptest::sample::select("ˈˌ  ,.?!\"“”()—…:;pəɹIT".chars().collect::<Vec<_>>()), 0u32..50), 0..40),
            ends in (0u32..50, 0u32..50),
        ) {
            let text: String = row.iter().map(|r| r.0).collect();
            let durations: Vec<u32> =
                std::iter::once(ends.0).chain(row.iter().map(|r| r.1)).chain(std::iter::once(ends.1)).collect();
            let (symbols, folded) = fold_durations(&text, &durations).unwrap();
            prop_assert_eq!(folded.iter().sum::<u32>(), durations.iter().sum::<u32>());
            prop_assert_eq!(folded.len(), symbols.len());
            prop_assert_eq!(&symbols_from_ipa(&text, kind_of(&text)).unwrap(), &symbols);
            prop_assert_eq!(symbols[0].phoneme, Phoneme::Silence);
            prop_assert_eq!(symbols[symbols.len() - 1].phoneme, Phoneme::Silence);
            // Only the closing silence may touch another pause.
            for pair in symbols[..symbols.len() - 1].windows(2) {
                prop_assert!(!(pair[0].phoneme.is_pause() && pair[1].phoneme.is_pause()));
            }
            // Word edges come in pairs, and pauses have none.
            let mut open = false;
            for s in &symbols {
                prop_assert!(!(s.phoneme.is_pause() && (open || s.word_start || s.word_end)));
                prop_assert!(s.phoneme.is_pause() || s.word_start != open);
                open = (open || s.word_start) && !s.word_end;
            }
            prop_assert!(!open);
        }
    }
}
