//! Which questions rise at their end.
//!
//! In American English those rise that ask for yes or no, whether they turn the words around ("Is it late?") or not ("It is
//! late?"); those with a question word fall, and so do choices ("tea or coffee?"). The teacher voice lets all of them fall,
//! so the rise is laid over the melody that the nets give.

use std::ops::Range;

use super::{Phoneme, SentenceKind, Stress, Utterance};

/// Words that a question is about.
const QUESTION_WORDS: &[&str] =
    &["what", "what's", "who", "who's", "whom", "whose", "when", "where", "where's", "why", "how", "how's", "which"];
/// How many words a clause may have before its question word: "and in which", "so then why".
const LEAD_IN: usize = 3;

/// The symbols over which the melody rises, from the last stressed vowel to the last sound; `None` where it does not.
pub(crate) fn rise(utterance: &Utterance) -> Option<Range<usize>> {
    let Utterance { symbols, words, .. } = utterance;
    if symbols.first()?.kind != SentenceKind::Question {
        return None;
    }
    let mut since_pause = 0;
    for word in words {
        let after_pause = word.symbols.start.checked_sub(1).is_none_or(|before| symbols[before].phoneme.is_pause());
        since_pause = if after_pause { 1 } else { since_pause + 1 };
        let text = word.text.to_lowercase();
        if text == "or" || (since_pause <= LEAD_IN && QUESTION_WORDS.contains(&&*text)) {
            return None;
        }
    }
    let end = symbols.iter().rposition(|symbol| !symbol.phoneme.is_pause())? + 1;
    let stressed = symbols[..end].iter().rposition(|symbol| symbol.stress == Stress::Primary);
    // In a question without a stressed word the last vowel rises.
    let start = stressed.or_else(|| symbols[..end].iter().rposition(|symbol| symbol.phoneme >= Phoneme::Aa))?;
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{FrontEnd, FrontEndOptions};

    #[test]
    fn yes_no_questions_rise_from_the_last_stress_and_others_do_not() {
        let front_end = FrontEnd::new(FrontEndOptions::default()).unwrap();
        let rises = |text: &str| rise(&front_end.analyse(text).unwrap());
        for text in ["Is it late?", "It is late?", "Do you know what that is?", "If it rains, can we go?", "Really?"] {
            assert!(rises(text).is_some(), "{text}");
        }
        for text in [
            "It is late.",
            "What is it?",
            "And in which town?",
            "If it rains, what do we do?",
            "Tea or coffee?",
            "How late!",
            "So why did they go?",
        ] {
            assert!(rises(text).is_none(), "{text}");
        }
        let utterance = front_end.analyse("Is it raining?").unwrap();
        let range = rises("Is it raining?").unwrap();
        // ɹ A n ɪ ŋ: from A on.
        assert_eq!(utterance.symbols[range.start].phoneme, Phoneme::Ey);
        assert_eq!(utterance.symbols[range.end - 1].phoneme, Phoneme::Ng);
    }
}
