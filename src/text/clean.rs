//! Unicode tidied into the few signs that the rules read, with the way back to the given text.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization, char::compose};

/// A text in which every sign has one spelling, and where each of its bytes came from.
///
/// Composed letters, ASCII digits, straight quotes, one kind of dash (`–` for any dash but the hyphen and the long
/// `—`), no ligatures, full-width or styled letters, no control or zero-width characters, no emoji; any white space is
/// a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Clean {
    pub(super) text: String,
    /// For each byte of `text`, and for its end: start and end of the character it came from.
    origin: Vec<(u32, u32)>,
}

impl Clean {
    pub(super) fn new(given: &str) -> Self {
        let mut clean = Self { text: String::with_capacity(given.len()), origin: Vec::with_capacity(given.len() + 1) };
        let mut phonemes_to = 0;
        for (at, sign) in given.char_indices() {
            let (start, end) = (at as u32, (at + sign.len_utf8()) as u32);
            if let Some(len) = given[at..].strip_prefix("[[").and_then(|inner| inner.find("]]")) {
                phonemes_to = phonemes_to.max(at + len + 4);
            }
            // Phonemes are to be taken as they are.
            if at < phonemes_to { clean.put(sign, start, end) } else { clean.push(sign, start, end) }
        }
        clean.origin.push((given.len() as u32, given.len() as u32));
        clean
    }

    /// The bytes of the given text that a piece of the clean text came from.
    pub(super) fn source(&self, piece: Range<usize>) -> Range<usize> {
        let start = self.origin[piece.start].0 as usize;
        if piece.is_empty() { start..start } else { start..self.origin[piece.end - 1].1 as usize }
    }

    fn push(&mut self, sign: char, start: u32, end: u32) {
        match sign {
            ' '..='~' => self.put(sign, start, end),
            '\t' | '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => self.put(' ', start, end),
            '‘' | '’' | '‛' | '′' | '´' | 'ʼ' | '＇' => self.put('\'', start, end),
            '“' | '”' | '„' | '‟' | '″' | '«' | '»' | '＂' => self.put('"', start, end),
            '‐' | '‑' | '⁃' | '﹣' | '－' => self.put('-', start, end),
            '‒' | '–' => self.put('–', start, end),
            '—' | '―' | '⸺' | '⸻' => self.put('—', start, end),
            '−' | '﹘' => self.put('−', start, end),
            '。' | '｡' => self.put('.', start, end),
            '、' | '，' => self.put(',', start, end),
            '¿' | '¡' => {}
            '⁄' | '∕' => self.put('/', start, end),
            '∗' => self.put('*', start, end),
            '\u{a0}' => self.put(' ', start, end),
            // Signs that the rules read and compatibility normalisation would take apart.
            '…' | '½' | '⅓' | '⅔' | '¼' | '¾' | '⅕' | '⅖' | '⅗' | '⅘' | '⅙' | '⅚' | '⅛' | '⅜' | '⅝' | '⅞' | '²'
            | '³' | '°' | 'º' | 'ª' | '¢' | '£' | '¥' | '€' | '₹' | '₽' | '₩' | '₿' | '×' | '÷' | '±' | '≈' | '≠'
            | '≤' | '≥' | '∞' | '√' | 'π' | '§' | '©' | '→' | '‰' | 'µ' => self.put(sign, start, end),
            '™' | '®' => {}
            '№' => self.put_all("No. ", start, end),
            'Ω' => self.put('Ω', start, end),
            'μ' => self.put('µ', start, end),
            _ if is_dropped(sign) => {}
            _ if sign.is_whitespace() => self.put(' ', start, end),
            _ => {
                if self.compose_with_last(sign, end) {
                    return;
                }
                let parts: String = std::iter::once(sign).nfkc().filter(|c| !is_dropped(*c)).collect();
                self.put_all(&parts, start, end);
            }
        }
    }

    /// Joins a combining mark to the letter before it.
    fn compose_with_last(&mut self, mark: char, end: u32) -> bool {
        if !unicode_normalization::char::is_combining_mark(mark) {
            return false;
        }
        let Some(last) = self.text.chars().next_back() else { return true };
        if let Some(whole) = compose(last, mark) {
            let at = self.text.len() - last.len_utf8();
            let start = self.origin[at].0;
            self.text.truncate(at);
            self.origin.truncate(at);
            self.put(whole, start, end);
        }
        // A mark that no letter takes cannot be said.
        true
    }

    fn put(&mut self, sign: char, start: u32, end: u32) {
        self.text.push(sign);
        self.origin.extend(std::iter::repeat_n((start, end), sign.len_utf8()));
    }

    fn put_all(&mut self, signs: &str, start: u32, end: u32) {
        for sign in signs.chars() {
            self.put(sign, start, end);
        }
    }
}

/// Signs that are neither said nor shown: controls, formats, private use, variation selectors, emoji.
fn is_dropped(sign: char) -> bool {
    sign.is_control()
        || matches!(
            u32::from(sign),
            0xAD | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0xFEFF | 0xFE00..=0xFE0F | 0xFFF9..=0xFFFF
                | 0x20E3 | 0xE000..=0xF8FF | 0xE0000..=0x10FFFF
        )
        || is_emoji(sign)
}

/// Pictures: they have no reading that everyone expects, so they are not read.
fn is_emoji(sign: char) -> bool {
    matches!(
        u32::from(sign),
        0x1F000..=0x1F0FF | 0x1F1E6..=0x1F1FF | 0x1F300..=0x1FAFF | 0x2600..=0x27BF | 0x2B00..=0x2BFF
            | 0x2300..=0x23FF | 0x25A0..=0x25FF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_get_one_spelling() {
        for (given, expected) in [
            ("“Ｈｅｌｌｏ”", "\"Hello\""),
            ("eﬃcient ﬁsh", "efficient fish"),
            ("cafe\u{301} naïve", "café naïve"),
            ("a\u{200b}b\u{0}c\td", "abc d"),
            ("５０％", "50%"),
            ("10‑20 10–20", "10-20 10–20"),
            ("ok 😀👍🏽!", "ok !"),
            ("½ x² ℃ ⅷ", "½ x² °C viii"),
            ("𝐁𝐨𝐥𝐝", "Bold"),
            ("ª [[bˈʌtᵊn]] ª", "ª [[bˈʌtᵊn]] ª"),
        ] {
            assert_eq!(Clean::new(given).text, expected);
        }
    }

    #[test]
    fn a_piece_knows_its_source() {
        let given = "a\u{200b} cafe\u{301} ﬁsh";
        let clean = Clean::new(given);
        assert_eq!(clean.text, "a café fish");
        assert_eq!(&given[clean.source(2..7)], "cafe\u{301}");
        assert_eq!(&given[clean.source(8..12)], "ﬁsh");
        assert_eq!(clean.source(12..12), given.len()..given.len());
    }
}
