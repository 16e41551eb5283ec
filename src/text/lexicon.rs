//! Where words are looked up: the lexicon of misaki-rs, and the user's own.

use std::{collections::HashMap, path::Path, sync::LazyLock};

use misaki_rs::{G2P, Language, lexicon::PhonemeEntry};

use super::{
    Phoneme, SentenceKind, TextError,
    normalise::Known,
    phonemes::{from_common_ipa, symbols_from_ipa},
};

/// The general American lexicon and part-of-speech tagger of the crate misaki-rs, loaded once per process.
pub(super) struct Misaki {
    pub(super) g2p: G2P,
}

impl Misaki {
    /// The lexicon, loaded at the first call.
    pub(super) fn shared() -> &'static Self {
        static SHARED: LazyLock<Misaki> = LazyLock::new(|| Misaki { g2p: G2P::new(Language::EnglishUS) });
        &SHARED
    }

    /// A word on its own, with the inflections that the lexicon's crate knows.
    pub(super) fn word(&self, word: &str) -> Option<String> {
        if !word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'\'') || word.len() < 2 {
            return None;
        }
        // Capitals that are in no lexicon would be spelled; whether to spell is decided elsewhere.
        if word.bytes().skip(1).all(|b| b.is_ascii_uppercase()) && !self.g2p.lexicon.golds.contains_key(word) {
            return None;
        }
        self.g2p.lexicon.get_word(word, "NN", None, None).map(|(ipa, _)| tidy(&ipa)).filter(|ipa| is_spoken(ipa))
    }

    /// Whether a word stands in the carefully made half of the lexicon in small letters.
    pub(super) fn has_gold(&self, word: &str) -> bool {
        self.g2p.lexicon.golds.contains_key(word)
    }

    /// The name of a letter.
    fn letter(&self, letter: char) -> Option<String> {
        match self.g2p.lexicon.golds.get(letter.to_ascii_uppercase().encode_utf8(&mut [0; 4]) as &str)? {
            PhonemeEntry::Simple(ipa) => Some(tidy(ipa)),
            PhonemeEntry::Tagged(by_tag) => by_tag.get("DEFAULT")?.as_deref().map(tidy),
        }
    }

    /// Letters by their names, the last one stressed most.
    pub(super) fn spell(&self, letters: &str, ending: &str) -> String {
        let names: Vec<String> = letters.chars().filter_map(|c| self.letter(c)).collect();
        let last = names.len().saturating_sub(1);
        let stressed = names.iter().enumerate().map(|(i, name)| {
            let mark = if i == last { 'ˈ' } else { 'ˌ' };
            if name.contains(['ˈ', 'ˌ']) {
                name.replace(['ˈ', 'ˌ'], &mark.to_string())
            } else {
                stress_first(name, mark)
            }
        });
        let spelled: String = stressed.collect();
        if ending.is_empty() { spelled } else { tidy(&self.g2p.lexicon.append_s(&spelled)) }
    }
}

/// Both lexicons, for the rules.
pub(super) struct Words<'a> {
    pub(super) misaki: &'a Misaki,
    pub(super) user: &'a UserLexicon,
}

impl Known for Words<'_> {
    fn has(&self, word: &str) -> bool {
        self.misaki.has_gold(word)
    }

    fn is_given(&self, word: &str) -> bool {
        self.user.word(word).is_some()
    }
}

/// Puts a stress mark before the first vowel.
fn stress_first(ipa: &str, mark: char) -> String {
    let at = ipa.find(|c| Phoneme::from_ipa(c).is_some_and(Phoneme::is_vowel)).unwrap_or(0);
    format!("{}{mark}{}", &ipa[..at], &ipa[at..])
}

/// The lexicon's two signs that the teacher writes otherwise.
pub(super) fn tidy(ipa: &str) -> String {
    ipa.replace('ɾ', "T").replace('ʔ', "t")
}

/// Whether a string is phonemes of the alphabet, one at least.
pub(super) fn is_spoken(ipa: &str) -> bool {
    let sound = |c: char| Phoneme::from_ipa(c).is_some_and(|p| !p.is_pause());
    ipa.chars().any(sound) && ipa.chars().all(|c| sound(c) || matches!(c, 'ˈ' | 'ˌ'))
}

/// Words and how the user wants them said; they come before all else.
///
/// The file has one word a line: the word, a tab, its phonemes in the teacher's alphabet (plain IPA for American
/// English is understood too), with or without `[[ ]]`. Empty lines and lines that begin with `#` are passed over. A word
/// with a capital letter is meant in that spelling only; one in small letters also begins sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserLexicon {
    words: HashMap<String, String>,
}

/// Why a user lexicon cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LexiconError {
    /// The file cannot be opened or is not UTF-8 text.
    #[error("cannot read the lexicon {file}: {source}")]
    Io {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A line is wrong.
    #[error("{file}:{line}:{column}: {problem}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong and what to do.
        problem: String,
    },
}

impl UserLexicon {
    /// Reads a lexicon file.
    ///
    /// # Errors
    /// [`LexiconError`] names the file, the line and the column.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, LexiconError> {
        let file = path.as_ref().display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| LexiconError::Io { file: file.clone(), source })?;
        Self::parse(&text, &file)
    }

    /// Reads a lexicon from text; `file` is its name in messages.
    ///
    /// # Errors
    /// [`LexiconError::Line`].
    pub fn parse(text: &str, file: &str) -> Result<Self, LexiconError> {
        let mut words = HashMap::new();
        for (i, row) in text.lines().enumerate() {
            let row = row.trim_end().trim_start_matches('\u{feff}');
            if row.is_empty() || row.starts_with('#') {
                continue;
            }
            let wrong = |column: usize, problem: String| LexiconError::Line {
                file: file.to_string(),
                line: i + 1,
                column,
                problem,
            };
            let Some((word, ipa)) = row.split_once('\t') else {
                return Err(wrong(row.chars().count() + 1, "no tab: write the word, a tab, its phonemes".to_string()));
            };
            if word.is_empty() || word.contains(char::is_whitespace) || word.starts_with(['^', ',', '[']) {
                return Err(wrong(1, format!("{word:?} is not one word")));
            }
            let inner = ipa.trim().strip_prefix("[[").and_then(|ipa| ipa.strip_suffix("]]"));
            let ipa = inner.unwrap_or(ipa.trim());
            let column = word.chars().count() + 2 + if inner.is_some() { 2 } else { 0 };
            match symbols_from_ipa(&from_common_ipa(ipa), SentenceKind::Statement) {
                Err(TextError::BadPhoneme { sign, .. }) => {
                    let at = ipa.chars().position(|c| c == sign).unwrap_or(0);
                    return Err(wrong(column + at, format!("{sign:?} is no phoneme of the alphabet")));
                }
                Err(other) => return Err(wrong(column, other.to_string())),
                Ok(symbols) if symbols.iter().all(|s| s.phoneme.is_pause()) => {
                    return Err(wrong(column, "no phonemes after the tab".to_string()));
                }
                Ok(_) => words.insert(word.to_string(), from_common_ipa(ipa)),
            };
        }
        Ok(Self { words })
    }

    /// The phonemes of a word, if the user gave them.
    pub(super) fn word(&self, word: &str) -> Option<&str> {
        if self.words.is_empty() {
            return None;
        }
        self.words.get(word).or_else(|| self.words.get(&word.to_lowercase())).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_lexicon_is_read() {
        let text = "# mine\nKubernetes\tkˌubəɹnˈɛTiz\n\nnginx\t[[ˌɛnʤənˈɛks]]\nhello\thɛˈloʊ\n";
        let lexicon = UserLexicon::parse(text, "my.tsv").unwrap();
        assert_eq!(lexicon.word("nginx"), Some("ˌɛnʤənˈɛks"));
        assert_eq!(lexicon.word("Hello"), Some("hɛˈlO"));
        assert_eq!(lexicon.word("kubernetes"), None);
    }

    #[test]
    fn errors_name_file_line_and_column() {
        for (text, expected) in [
            ("cat kæt", "my.tsv:1:8: no tab"),
            ("a\tɐ\ncat\tkˈqt", "my.tsv:2:7: 'q' is no phoneme"),
            ("cat\t[[kˈqt]]", "my.tsv:1:9: 'q'"),
            ("two words\tkæt", "my.tsv:1:1: \"two words\" is not one word"),
            ("cat\t", "my.tsv:1:4: no tab"),
            ("cat\t[[]]", "my.tsv:1:7: no phonemes"),
        ] {
            let message = UserLexicon::parse(text, "my.tsv").unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
        }
        assert!(UserLexicon::read("no such file").unwrap_err().to_string().contains("no such file"));
    }

    #[test]
    fn letters_have_names() {
        let misaki = Misaki::shared();
        assert_eq!(misaki.spell("FBI", ""), "ˌɛfbˌiˈI");
        assert_eq!(misaki.spell("CEO", "s"), "sˌiˌiˈOz");
        assert_eq!(misaki.spell("W", ""), "dˈʌbᵊlju");
        for letter in 'A'..='Z' {
            assert!(is_spoken(&misaki.spell(&letter.to_string(), "")), "{letter}");
        }
    }
}
