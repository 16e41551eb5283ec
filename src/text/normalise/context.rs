//! What a rule sees: the text around the cursor, and which words the lexicon knows.

/// Which words can be looked up.
pub(in crate::text) trait Known {
    /// Whether the main lexicon has this very spelling.
    fn has(&self, word: &str) -> bool;

    /// Whether the user has said how to say this token.
    fn is_given(&self, token: &str) -> bool;
}

/// The clean text, and the place in it that is being read.
pub(super) struct Context<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) known: &'a dyn Known,
    /// Where the last rule stopped reading.
    pub(super) read_to: usize,
    /// The whole sentence is in capitals, so capitals mean nothing.
    pub(super) shouting: bool,
}

impl<'a> Context<'a> {
    pub(super) fn new(text: &'a str, known: &'a dyn Known) -> Self {
        Self { text, at: 0, known, read_to: 0, shouting: is_shouting(text, known) }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(super) fn before(&self) -> &'a str {
        &self.text[..self.at]
    }

    /// Whether a word or number can begin here: the sign before is no letter or digit, or a rule has just read it.
    pub(super) fn at_token(&self) -> bool {
        self.at == self.read_to || !self.last_sign().is_some_and(char::is_alphanumeric)
    }

    /// The sign before the cursor.
    pub(super) fn last_sign(&self) -> Option<char> {
        self.before().chars().next_back()
    }

    /// The sign `len` bytes after the cursor.
    pub(super) fn sign_after(&self, len: usize) -> Option<char> {
        self.rest()[len..].chars().next()
    }

    /// Whether nothing that belongs to the same token follows `len` bytes after the cursor.
    pub(super) fn ends_at(&self, len: usize) -> bool {
        !self.sign_after(len).is_some_and(char::is_alphanumeric)
    }

    /// The word before the cursor, if only spaces lie between; a full stop at its end is left out.
    pub(super) fn previous_word(&self) -> &'a str {
        let before = self.before().trim_end();
        let before = before.strip_suffix('.').unwrap_or(before);
        let start = before
            .rfind(|c: char| !c.is_alphanumeric() && c != '\'')
            .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
        &before[start..]
    }

    /// The word that follows `len` bytes after the cursor, if only spaces lie between.
    pub(super) fn next_word(&self, len: usize) -> &'a str {
        let after = self.rest()[len..].trim_start_matches(' ');
        let end = after.find(|c: char| !c.is_alphabetic() && c != '\'').unwrap_or(after.len());
        &after[..end]
    }

    /// Whether the text, but for closing marks, ends `len` bytes after the cursor.
    pub(super) fn is_last(&self, len: usize) -> bool {
        self.rest()[len..].chars().all(|c| c.is_whitespace() || matches!(c, '"' | '\'' | ')' | ']' | '?' | '!'))
    }

    /// `len`, less the full stop at its end if that also ends the sentence and so must be read again as a mark.
    pub(super) fn keep_final_stop(&self, len: usize) -> usize {
        if self.rest()[..len].ends_with('.') && self.is_last(len) { len - 1 } else { len }
    }

    /// Whether something read at the cursor, `len` bytes long, stands before a noun that it measures: "a 5 km run".
    pub(super) fn is_adjective(&self, len: usize) -> bool {
        matches!(self.previous_word().to_lowercase().as_str(), "a" | "an") && self.measures_noun(len)
    }

    /// Whether the word `len` bytes after the cursor can be a noun.
    pub(super) fn measures_noun(&self, len: usize) -> bool {
        let rest = &self.rest()[len..];
        if !rest.starts_with([' ', '-']) {
            return false;
        }
        let next = self.next_word(len + 1);
        next.len() > 1 && !NO_NOUN.contains(&next.to_lowercase().as_str())
    }
}

/// Common words that are no nouns and so end a measure: "5 km away".
const NO_NOUN: &[&str] = &[
    "about",
    "after",
    "again",
    "ago",
    "ahead",
    "all",
    "and",
    "apart",
    "are",
    "as",
    "at",
    "away",
    "because",
    "before",
    "behind",
    "but",
    "by",
    "can",
    "deep",
    "down",
    "each",
    "east",
    "every",
    "faster",
    "for",
    "from",
    "had",
    "has",
    "have",
    "he",
    "high",
    "if",
    "in",
    "into",
    "is",
    "it",
    "later",
    "left",
    "less",
    "long",
    "more",
    "north",
    "now",
    "of",
    "off",
    "on",
    "only",
    "or",
    "out",
    "over",
    "per",
    "she",
    "so",
    "south",
    "tall",
    "than",
    "that",
    "the",
    "then",
    "there",
    "they",
    "this",
    "to",
    "today",
    "tomorrow",
    "total",
    "under",
    "until",
    "up",
    "was",
    "we",
    "were",
    "west",
    "when",
    "where",
    "which",
    "while",
    "who",
    "wide",
    "will",
    "with",
    "without",
    "yesterday",
    "you",
];

/// Whether a sentence is in capitals throughout, and at least half of its words are words.
fn is_shouting(text: &str, known: &dyn Known) -> bool {
    if text.chars().any(char::is_lowercase) {
        return false;
    }
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphabetic() && c != '\'')
        .filter(|word| word.len() > 1)
        .map(str::to_lowercase)
        .collect();
    let ordinary = words.iter().filter(|word| known.has(word)).count();
    words.len() > 1 && 2 * ordinary >= words.len()
}
