//! Phonemes for the words of one sentence, in its context.
//!
//! The tagger of misaki-rs sees the whole normalised sentence, so that "read", "wind" and "object" are said by their part
//! of speech and "the" by what follows. Its text has nothing but plain words and simple punctuation, so each of its tokens
//! finds its way back to a word by its place.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use super::{
    Phoneme, TextError, heteronyms,
    lexicon::{Misaki, UserLexicon, is_spoken, tidy},
    normalise::{Piece, Say},
    oov,
    phonemes::from_common_ipa,
};

/// Words that the lexicon lacks or has only in another sense, and that are common enough to be right.
const OWN: &[(&str, &str)] = &[
    ("résumé", "ɹˈɛzəmˌA"),
    ("Miz", "mˈɪz"),
    ("Missus", "mˈɪsɪz"),
    ("et", "ɛt"),
    ("cetera", "sˈɛTəɹə"),
    ("al", "ˈæl"),
    ("com", "kˈɑm"),
    ("org", "ˈɔɹɡ"),
    ("ChatGPT", "ʧˌæt ʤˌipˌitˈi"),
    ("github", "ɡˈɪthˌʌb"),
    ("wifi", "wˈIfˌI"),
    ("Paravox", "pˈæɹəvˌɑks"),
    ("JSON", "ʤˈAsᵊn"),
    ("YAML", "jˈæməl"),
    ("LIDAR", "lˈIdˌɑɹ"),
    ("o'clock", "əklˈɑk"),
];

/// The phonemes of each [`Piece::Word`], in order, in the teacher's alphabet; none is empty.
///
/// # Errors
/// [`TextError::BadPhoneme`] for a sign in `[[...]]` that is in no alphabet.
pub(super) fn pronounce(pieces: &[Piece], user: &UserLexicon) -> Result<Vec<String>, TextError> {
    let misaki = Misaki::shared();
    let (plain, places) = plain_text(pieces, misaki);
    let mut in_context = in_halves(&plain, &places, misaki);
    let mut given_here = vec![false; places.len()];
    let words = pieces.iter().filter_map(|piece| match piece {
        Piece::Word(say, _) => Some(say),
        Piece::Mark(_) | Piece::Break(..) => None,
    });
    for (i, say) in words.enumerate() {
        let own = match say {
            Say::Phonemes(ipa) | Say::Written { ipa, .. } => Some(checked(ipa)?),
            Say::Letters(letters, ending) => match user.word(letters) {
                Some(ipa) => Some(ipa.to_string()),
                None => Some(misaki.spell(letters, ending)),
            },
            Say::Word(word) => users(word, user, misaki).or_else(|| {
                let own = OWN.iter().find(|(own, _)| own == word).map(|(_, ipa)| *ipa);
                let rest = places.get(i + 1).map_or("", |place| &plain[place.start..]);
                let earlier = &plain[..places[i].start];
                let by_context = || heteronyms::by_context(&word.to_lowercase(), earlier, rest);
                own.map(str::to_string).or_else(|| name(word, misaki)).or_else(|| by_context().map(str::to_string))
            }),
        };
        if own.is_some() || in_context[i].is_none() {
            let unknown = || oov::pronounce(&plain[places[i].clone()], misaki);
            in_context[i] = Some(own.unwrap_or_else(unknown));
            given_here[i] = true;
        }
    }
    let mut said: Vec<String> = in_context.into_iter().flatten().collect();
    for ipa in &mut said {
        if !ipa.chars().any(|c| Phoneme::from_ipa(c).is_some_and(|p| !p.is_pause())) {
            // Nothing is known of this script: a neutral vowel keeps its place in time.
            *ipa = "ə".to_string();
        }
    }
    mend_articles(&mut said, &plain, &places, &given_here);
    Ok(said)
}

/// A name that spelling does not tell, or its possessive.
fn name(word: &str, misaki: &Misaki) -> Option<String> {
    static NAMES: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
        let rows = include_str!("names.tsv").lines().filter(|row| !row.starts_with('#'));
        rows.filter_map(|row| row.split_once('\t')).collect()
    });
    let possessive = || Some(tidy(&misaki.g2p.lexicon.append_s(NAMES.get(word.strip_suffix("'s")?)?)));
    NAMES.get(word).map(|ipa| (*ipa).to_string()).or_else(possessive)
}

/// What the user gave for a word, or for the word that a possessive is made of.
fn users(word: &str, user: &UserLexicon, misaki: &Misaki) -> Option<String> {
    let possessive = || Some(tidy(&misaki.g2p.lexicon.append_s(user.word(word.strip_suffix("'s")?)?)));
    user.word(word).map(str::to_string).or_else(possessive)
}

/// What the tagger reads, and where each word stands in it.
fn plain_text(pieces: &[Piece], misaki: &Misaki) -> (String, Vec<Range<usize>>) {
    let mut plain = String::new();
    // Quotes and brackets that the next word follows without a space, and how many quotes there were.
    let (mut opening, mut quotes) = (String::new(), 0);
    let mut places = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Mark(mark) => {
                quotes += usize::from(*mark == '"');
                let opens = *mark == '(' || (*mark == '"' && quotes % 2 == 1);
                if opens {
                    opening.push(*mark);
                } else if *mark == '—' {
                    plain += " —";
                } else if !plain.is_empty() {
                    plain.push(*mark);
                }
            }
            Piece::Break(seconds, _) if *seconds > 0.0 && !plain.is_empty() => plain.push(','),
            Piece::Break(..) => {}
            Piece::Word(say, _) => {
                if !plain.is_empty() {
                    plain.push(' ');
                }
                plain += &std::mem::take(&mut opening);
                let start = plain.len();
                match say {
                    Say::Word(word) => plain += &ascii(word, misaki),
                    Say::Letters(letters, ending) => plain += &format!("{letters}{ending}"),
                    Say::Phonemes(_) | Say::Written { .. } => plain += "thing",
                }
                places.push(start..plain.len());
            }
        }
    }
    (plain, places)
}

/// A word in the letters of English; capitals that the lexicon lacks become small, lest it spell them.
fn ascii(word: &str, misaki: &Misaki) -> String {
    let latin: String = deunicode::deunicode_with_tofu(word, "")
        .chars()
        .filter(|c| c.is_ascii_alphabetic() || matches!(c, '\'' | '-'))
        .collect();
    let latin = latin.trim_matches('-').to_string();
    if !latin.bytes().any(|b| b.is_ascii_alphabetic()) {
        return "uh".to_string();
    }
    let capitals = latin.len() > 1 && latin.bytes().all(|b| !b.is_ascii_lowercase());
    if capitals && !misaki.has_gold(&latin) { latin.to_lowercase() } else { latin }
}

/// As [`in_context`], long sentences in two halves at once: the tagger takes most of the time before anything can be heard.
///
/// The tagger sees four tokens to either side, and the rules of the lexicon one, so each half reads as many words of the
/// other and says the same as the whole.
fn in_halves(plain: &str, places: &[Range<usize>], misaki: &Misaki) -> Vec<Option<String>> {
    const NEIGHBOURS: usize = 6;
    let middle = places.len() / 2;
    if middle < 2 * NEIGHBOURS {
        return in_context(plain, places, misaki);
    }
    let (left, right) = (middle + NEIGHBOURS, middle - NEIGHBOURS);
    let from = places[right].start;
    let moved: Vec<_> = places[right..].iter().map(|place| place.start - from..place.end - from).collect();
    let (mut said, rest) = rayon::join(
        || in_context(&plain[..places[left].start], &places[..left], misaki),
        || in_context(&plain[from..], &moved, misaki),
    );
    said.truncate(middle);
    said.extend(rest.into_iter().skip(NEIGHBOURS));
    said
}

/// What the lexicon says, by part of speech; `None` where it does not know the word.
fn in_context(plain: &str, places: &[Range<usize>], misaki: &Misaki) -> Vec<Option<String>> {
    let mut said: Vec<Option<String>> = vec![Some(String::new()); places.len()];
    let Ok((_, tokens)) = misaki.g2p.g2p(plain) else { return vec![None; places.len()] };
    let mut at = 0;
    let mut word = 0;
    for token in &tokens {
        let range = at..at + token.text.len();
        at = range.end + token.whitespace.len();
        if plain.get(range.clone()) != Some(token.text.as_str()) {
            // The tokens are not the text any more: look each word up alone.
            return vec![None; places.len()];
        }
        while word < places.len() && places[word].end <= range.start {
            word += 1;
        }
        let Some(place) = places.get(word) else { break };
        if range.start < place.start {
            // Punctuation.
            continue;
        }
        let inside = range.end <= place.end;
        let junk = token.text.chars().all(|c| matches!(c, '\'' | '-'));
        said[word] = match (said[word].take(), token.phonemes.as_deref().map(tidy)) {
            (Some(so_far), Some(ipa)) if inside && (ipa.is_empty() || is_spoken(&ipa)) => Some(so_far + &ipa),
            (Some(so_far), _) if inside && junk => Some(so_far),
            _ => None,
        };
    }
    said.into_iter().map(|ipa| ipa.filter(|ipa| is_spoken(ipa))).collect()
}

/// The phonemes between `[[` and `]]`.
pub(super) fn checked(ipa: &str) -> Result<String, TextError> {
    let own = from_common_ipa(ipa);
    match super::phonemes::symbols_from_ipa(&own, super::SentenceKind::Statement) {
        Err(TextError::BadPhoneme { sign, .. }) => {
            Err(TextError::BadPhoneme { sign, at: ipa.chars().position(|c| c == sign).unwrap_or(0) })
        }
        Err(other) => Err(other),
        Ok(_) => Ok(own),
    }
}

/// "the" and "to" before a word that the lexicon did not know are said by the word's first sound.
fn mend_articles(said: &mut [String], plain: &str, places: &[Range<usize>], given_here: &[bool]) {
    for i in 1..said.len() {
        let beside = plain[places[i - 1].end..places[i].start].trim().is_empty();
        if !given_here[i] || given_here[i - 1] || !beside {
            continue;
        }
        let first = said[i].chars().find_map(Phoneme::from_ipa);
        let vowel = first.is_some_and(Phoneme::is_vowel);
        match (plain[places[i - 1].clone()].to_lowercase().as_str(), vowel) {
            ("the", true) => said[i - 1] = "ði".to_string(),
            ("the", false) => said[i - 1] = "ðə".to_string(),
            ("to", true) => said[i - 1] = "tʊ".to_string(),
            ("to", false) => said[i - 1] = "tə".to_string(),
            // Without a sound to follow, the lexicon stresses these as at the end of a sentence.
            ("in", _) => said[i - 1] = "ɪn".to_string(),
            ("by", _) => said[i - 1] = "bI".to_string(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexicon::Words;
    use super::super::normalise::normalise;
    use super::*;

    #[test]
    fn halves_say_what_the_whole_says() {
        let misaki = Misaki::shared();
        let words = Words { misaki, user: &UserLexicon::default() };
        let corpus = include_str!("../../models/corpora/assistant.txt");
        let lines: Vec<&str> = corpus.lines().collect();
        let mut long = 0;
        // Sentences of up to three lines: longer than those of the corpus, with all of its marks.
        for (i, lines) in lines.chunks(3).enumerate() {
            let text = lines[..1 + i % lines.len()].join(" ");
            let (plain, places) = plain_text(&normalise(&text, &[], &words), misaki);
            // Shorter ones are not halved.
            if places.len() >= 24 && long < 150 {
                long += 1;
                assert_eq!(in_halves(&plain, &places, misaki), in_context(&plain, &places, misaki), "{plain}");
            }
        }
        assert!(long > 100, "{long} long sentences");
    }
}
