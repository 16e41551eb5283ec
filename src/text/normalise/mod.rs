//! Written text to spoken words: numbers, dates, money, units, abbreviations, addresses, signs.
//!
//! A cursor walks over the [clean](super::clean) text. At each place the rules are asked in order, most specific first;
//! the first that knows what stands there says how it is read and how far it reaches. What no rule knows is a word, a
//! punctuation mark, or a sign without a reading, which is passed over. Every spoken word keeps the range of the given
//! text that it came from: "$3.50" becomes five words with one range.

mod abbreviations;
mod context;
mod dates;
mod fractions;
mod letters;
mod money;
mod numbers;
mod phones;
mod plain;
mod roman;
mod say_as;
mod signs;
mod times;
mod units;
mod web;

use std::ops::Range;

pub(super) use abbreviations::ends_abbreviation;
use context::Context;
pub(super) use context::Known;
pub(super) use letters::is_unsayable;
pub(super) use say_as::{KINDS, say_as};

use super::{
    clean::Clean,
    passage::{Inline, next_reference},
    phonemes::pause_of,
};

/// How one word is to be pronounced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Say {
    /// By the lexicon.
    Word(String),
    /// Letter by letter, with an ending: `("FBI", "'s")`, `("CEO", "s")`, `("USA", "")`.
    Letters(String, &'static str),
    /// As given, in the teacher's alphabet.
    Phonemes(String),
    /// As given, for a word that people write otherwise.
    Written {
        /// The phonemes.
        ipa: String,
        /// The word.
        shown: String,
    },
}

/// A piece of normalised text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    /// Something to say, and the bytes of the given text that it came from.
    Word(Say, Range<usize>),
    /// A punctuation mark of the teacher's alphabet.
    Mark(char),
    /// A pause of so many seconds, and the bytes of the given text that ask for it.
    Break(f64, Range<usize>),
}

impl std::fmt::Display for Say {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Letters(letters, ending) => {
                for (i, letter) in letters.chars().enumerate() {
                    write!(f, "{}{letter}", if i == 0 { "" } else { " " })?;
                }
                f.write_str(if *ending == "s" { " s" } else { ending })
            }
            Self::Phonemes(phonemes) => write!(f, "[[{phonemes}]]"),
            Self::Written { shown, .. } => f.write_str(shown),
        }
    }
}

/// What a rule has found: how many bytes it read, and what they say.
///
/// `say` is words apart by spaces, where `^USA` is spelled, `^CEO+s` is spelled with an ending, and a lone `,` is a
/// pause.
struct Found {
    len: usize,
    say: String,
}

impl Found {
    fn some(len: usize, say: impl Into<String>) -> Option<Self> {
        Some(Self { len, say: say.into() })
    }
}

type Rule = fn(&Context<'_>) -> Option<Found>;

/// Rules that read from the beginning of a word or number.
const AT_TOKEN: &[Rule] = &[
    letters::given,
    web::address,
    web::hashtag,
    web::handle,
    web::path,
    web::dotted,
    web::identifier,
    dates::iso,
    dates::slashed,
    dates::month_range,
    dates::month_first,
    dates::day_first,
    dates::weekday,
    phones::phone,
    times::clock,
    times::hour,
    money::symbol_first,
    money::symbol_last,
    fractions::fraction,
    plain::scientific,
    plain::version,
    plain::times_by,
    units::feet_and_inches,
    units::quantity,
    plain::ordinal,
    plain::decade,
    plain::age,
    plain::hexadecimal,
    plain::number,
    letters::mixed,
    roman::numeral,
    abbreviations::abbreviation,
    abbreviations::initials,
    letters::word,
];

/// Turns a sentence into spoken words and punctuation marks; `inline` is what its references stand for.
pub(super) fn normalise(sentence: &str, inline: &[Inline], known: &dyn Known) -> Vec<Piece> {
    let clean = Clean::new(sentence);
    let mut pieces = Vec::new();
    let mut cx = Context::new(&clean.text, known);
    while let Some(sign) = cx.rest().chars().next() {
        let found = if let Some((len, inner)) = inline_phonemes(cx.rest()) {
            let source = clean.source(cx.at..cx.at + len);
            let given = next_reference(cx.rest()).filter(|(before, ..)| before.is_empty());
            match given.and_then(|(_, number, _)| inline.get(number)) {
                None => pieces.push(Piece::Word(Say::Phonemes(inner.to_string()), source)),
                Some(Inline::Break(seconds)) => pieces.push(Piece::Break(*seconds, source)),
                Some(Inline::Say { say, .. }) => {
                    pieces.extend(say.split_whitespace().map(|token| piece(token, &source)));
                }
                Some(Inline::Phonemes { ipa, shown }) => {
                    pieces.push(Piece::Word(Say::Written { ipa: ipa.clone(), shown: shown.clone() }, source));
                }
            }
            Found { len, say: String::new() }
        } else if sign.is_whitespace() {
            Found { len: sign.len_utf8(), say: String::new() }
        } else {
            let rule = |rule: &Rule| rule(&cx);
            let at_token = if cx.at_token() { AT_TOKEN.iter().find_map(rule) } else { None };
            at_token.or_else(|| signs::sign(&cx)).unwrap_or_else(|| {
                if pause_of(sign).is_some() {
                    pieces.push(Piece::Mark(sign));
                }
                Found { len: sign.len_utf8(), say: String::new() }
            })
        };
        let source = clean.source(cx.at..cx.at + found.len);
        pieces.extend(found.say.split_whitespace().map(|token| piece(token, &source)));
        cx.at += found.len;
        if !found.say.is_empty() {
            cx.read_to = cx.at;
        }
    }
    pieces
}

/// `[[phonemes]]`: the bytes that it takes up, and what stands inside.
fn inline_phonemes(rest: &str) -> Option<(usize, &str)> {
    let inner = rest.strip_prefix("[[")?;
    let end = inner.find("]]")?;
    Some((end + 4, &inner[..end]))
}

/// Reads one token of [`Found::say`].
fn piece(token: &str, source: &Range<usize>) -> Piece {
    let say = match token.strip_prefix('^') {
        None if token == "," => return Piece::Mark(','),
        None => Say::Word(token.to_string()),
        Some(spelled) => match spelled.split_once('+') {
            Some((letters, "s")) => Say::Letters(letters.to_uppercase(), "s"),
            Some((letters, _)) => Say::Letters(letters.to_uppercase(), "'s"),
            None => Say::Letters(spelled.to_uppercase(), ""),
        },
    };
    Piece::Word(say, source.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::lexicon::{Misaki, UserLexicon, Words};

    /// Words as the table writes them.
    fn spoken(text: &str) -> String {
        let words: Vec<String> =
            normalise(text, &[], &Words { misaki: Misaki::shared(), user: &UserLexicon::default() })
                .into_iter()
                .filter_map(|piece| match piece {
                    Piece::Word(say, _) => Some(say.to_string()),
                    Piece::Mark(_) | Piece::Break(..) => None,
                })
                .collect();
        words.join(" ")
    }

    #[test]
    fn a_careful_reader_says_the_same() {
        let rows = include_str!("../cases.tsv").lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
        let (mut n, mut wrong) = (0, String::new());
        for row in rows {
            let (given, expected) = row.split_once('\t').expect("two columns");
            let said = spoken(given);
            n += 1;
            if said.to_lowercase() != expected.to_lowercase() {
                wrong += &format!("\n  given    {given}\n  expected {expected}\n  said     {said}\n");
            }
        }
        assert!(n >= 300, "only {n} cases");
        assert!(wrong.is_empty(), "{} of {n} cases differ:{wrong}", wrong.matches("  given ").count());
    }
}
