//! A sentence to speak with what its writer asked of it: the common ground of plain text and SSML.
//!
//! The front end reads one string. Where something is to be said as given, or a break was asked for, that string holds a
//! reference, `[[` + [`REFERENCE`] + number + `]]`, beside the phonemes `[[...]]` of plain text; styles and marks belong to
//! bytes of the string; and a map leads from its bytes to those of the document.

use std::ops::Range;
use std::sync::Arc;

/// Begins the inside of a reference; of Unicode's private use, and taken out of documents.
pub(super) const REFERENCE: char = '\u{e000}';

/// How something is said, against the voice's own way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Style {
    /// Pace: 2 is twice as fast.
    pub(crate) rate: f32,
    /// Pitch in semitones.
    pub(crate) semitones: f32,
    /// Volume in decibels; negative infinity is silence.
    pub(crate) gain_db: f32,
}

impl Default for Style {
    fn default() -> Self {
        Self { rate: 1.0, semitones: 0.0, gain_db: 0.0 }
    }
}

/// What a reference stands for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Inline {
    /// A pause of so many seconds; 0 takes out the pause that would be there.
    Break(f64),
    /// Words in the normaliser's own writing, and how captions show them.
    Say {
        /// As a rule of the normaliser gives it.
        say: String,
        /// As the document has it.
        shown: String,
    },
    /// Phonemes in the teacher's alphabet, and how captions show them.
    Phonemes {
        /// The phonemes.
        ipa: String,
        /// As the document has it.
        shown: String,
    },
}

/// A piece of a passage's text and where in the document it comes from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Origin {
    pub(super) text: Range<usize>,
    pub(super) document: Range<usize>,
    /// The same in characters of the document.
    pub(super) chars: Range<usize>,
    /// Byte for byte the same; otherwise all of it comes from all of that.
    pub(super) verbatim: bool,
}

/// A sentence, or text that is still to be cut into sentences.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Passage {
    /// What the front end reads.
    pub(super) text: String,
    /// In order and without gaps.
    pub(super) origins: Vec<Origin>,
    /// From which byte on which style, in order; before the first, the plain one.
    pub(super) styles: Vec<(usize, Style)>,
    /// Names of marks and the byte before which they stand, in order.
    pub(super) marks: Vec<(usize, String)>,
    pub(super) inline: Arc<Vec<Inline>>,
    /// The voice asked for; `None`: the one that speaks the rest.
    pub(crate) voice: Option<String>,
    /// Whether a paragraph starts here.
    pub(crate) starts_paragraph: bool,
    /// The pause before it in seconds, where one was asked for before the first word of all.
    pub(crate) break_before_s: Option<f64>,
    /// The pause up to the next sentence in seconds, where one was asked for.
    pub(crate) break_after_s: Option<f64>,
}

impl Passage {
    /// Plain text that starts at byte `offset` and character `first_char` of the whole.
    pub(crate) fn plain(text: &str, offset: usize, first_char: usize) -> Self {
        let (document, chars) = (offset..offset + text.len(), first_char..first_char + char_count(text));
        let origin = Origin { text: 0..text.len(), document, chars, verbatim: true };
        Self { text: text.to_string(), origins: vec![origin], ..Self::default() }
    }

    /// What the front end reads; see [`Passage::shown`] for what people read.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The bytes of the document that bytes of the text come from.
    pub(crate) fn source(&self, text: Range<usize>) -> Range<usize> {
        let (start, end) = (self.place(text.start, false).0, self.place(text.end, true).0);
        start..end.max(start)
    }

    /// The characters of the document that bytes of the text come from.
    pub(crate) fn source_chars(&self, text: Range<usize>) -> Range<usize> {
        let (start, end) = (self.place(text.start, false).1, self.place(text.end, true).1);
        start..end.max(start)
    }

    /// Byte and character of the document where what is said at a byte of the text begins or ends.
    fn place(&self, byte: usize, is_end: bool) -> (usize, usize) {
        let origin = self.origins.iter().find(|origin| byte < origin.text.end || (is_end && byte == origin.text.end));
        match origin.or(self.origins.last()) {
            Some(Origin { text, document, chars, verbatim: true }) => {
                let byte = byte.clamp(text.start, text.end);
                (document.start + byte - text.start, chars.start + char_count(&self.text[text.start..byte]))
            }
            Some(Origin { document, chars, .. }) if is_end => (document.end, chars.end),
            Some(Origin { document, chars, .. }) => (document.start, chars.start),
            None => (0, 0),
        }
    }

    /// Finds the characters of the document whose bytes are known.
    pub(super) fn count_chars(passages: &mut [Self], document: &str) {
        let (mut byte, mut char) = (0, 0);
        let mut at = |place: usize| {
            if place < byte {
                (byte, char) = (0, 0);
            }
            char += char_count(&document[byte..place]);
            byte = place;
            char
        };
        for Origin { document, chars, .. } in passages.iter_mut().flat_map(|passage| &mut passage.origins) {
            *chars = at(document.start)..at(document.end);
        }
    }

    /// The text as people read it, without references.
    pub(crate) fn shown(&self) -> String {
        let mut shown = String::with_capacity(self.text.len());
        let mut rest = &*self.text;
        while let Some((before, number, after)) = next_reference(rest) {
            shown += before;
            if let Some(Inline::Say { shown: own, .. } | Inline::Phonemes { shown: own, .. }) = self.inline.get(number)
            {
                shown += own;
            }
            rest = after;
        }
        shown + rest
    }

    /// The style of a byte of the text.
    pub(super) fn style_at(&self, byte: usize) -> Style {
        let after = self.styles.partition_point(|(from, _)| *from <= byte);
        after.checked_sub(1).map_or(Style::default(), |i| self.styles[i].1)
    }

    /// Cuts the text into pieces, given in order; what stands between them has nothing to say. Marks there go to the
    /// piece after them, or to the end of the last.
    pub(crate) fn cut(&self, pieces: &[Range<usize>]) -> Vec<Self> {
        let mut cut: Vec<Self> = pieces.iter().map(|piece| self.slice(piece.clone())).collect();
        for (byte, name) in &self.marks {
            let next = pieces.partition_point(|piece| piece.end <= *byte);
            match (pieces.get(next), cut.len()) {
                (Some(piece), _) => cut[next].marks.push((byte.saturating_sub(piece.start), name.clone())),
                (None, 0) => {}
                (None, n) => {
                    let end = cut[n - 1].text.len();
                    cut[n - 1].marks.push((end, name.clone()));
                }
            }
        }
        if let Some(first) = cut.first_mut() {
            first.starts_paragraph = self.starts_paragraph;
        }
        cut
    }

    /// Whether any byte has a style of its own.
    pub(super) fn is_styled(&self) -> bool {
        self.styles.iter().any(|(_, style)| *style != Style::default())
    }

    /// Whether anything can be said; what the front end makes of it may still be nothing.
    pub(super) fn has_words(&self) -> bool {
        let (mut rest, mut inline) = (&*self.text, false);
        while let Some((_, number, after)) = next_reference(rest) {
            inline |= !matches!(self.inline.get(number), Some(Inline::Break(_)) | None);
            rest = after;
        }
        inline || self.shown().contains(char::is_alphanumeric)
    }

    /// A part without marks.
    fn slice(&self, piece: Range<usize>) -> Self {
        let overlap = |text: &Range<usize>| text.start.max(piece.start)..text.end.min(piece.end);
        let origins = self.origins.iter().filter(|origin| overlap(&origin.text).start < overlap(&origin.text).end);
        let origins = origins.map(|Origin { text, document, chars, verbatim }| {
            let inner = overlap(text);
            let (document, chars) = match verbatim {
                true => {
                    let first_char = chars.start + char_count(&self.text[text.start..inner.start]);
                    let start = document.start + inner.start - text.start;
                    (start..start + inner.len(), first_char..first_char + char_count(&self.text[inner.clone()]))
                }
                false => (document.clone(), chars.clone()),
            };
            let text = inner.start - piece.start..inner.end - piece.start;
            Origin { text, document, chars, verbatim: *verbatim }
        });
        let mut styles = Vec::new();
        if !self.styles.is_empty() {
            styles.push((0, self.style_at(piece.start)));
            let inside = self.styles.iter().filter(|(from, _)| piece.start < *from && *from < piece.end);
            styles.extend(inside.map(|(from, style)| (from - piece.start, *style)));
        }
        Self {
            text: self.text[piece.clone()].to_string(),
            origins: origins.collect(),
            styles,
            inline: self.inline.clone(),
            voice: self.voice.clone(),
            ..Self::default()
        }
    }
}

/// Characters of a text: Unicode scalar values.
pub(crate) fn char_count(text: &str) -> usize {
    text.chars().count()
}

/// The text before the first reference, its number, and the text after it.
pub(super) fn next_reference(text: &str) -> Option<(&str, usize, &str)> {
    let start = text.find(&format!("[[{REFERENCE}"))?;
    let inner = &text[start + 2 + REFERENCE.len_utf8()..];
    let (number, after) = inner.split_once("]]")?;
    Some((&text[..start], number.parse().ok()?, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a document in which each character is a byte.
    fn origin(text: Range<usize>, document: Range<usize>, verbatim: bool) -> Origin {
        Origin { text, chars: document.clone(), document, verbatim }
    }

    fn passage() -> Passage {
        // The document: `One <b>two</b> &amp; <sub alias="three four">34</sub>.`, its alias from elsewhere.
        let style = Style { rate: 2.0, ..Style::default() };
        Passage {
            text: "One two & three four.".into(),
            origins: vec![
                origin(0..4, 0..4, true),
                origin(4..7, 7..10, true),
                origin(7..8, 14..15, true),
                origin(8..9, 15..20, false),
                origin(9..10, 20..21, true),
                origin(10..20, 21..53, false),
                origin(20..21, 53..54, true),
            ],
            styles: vec![(4, style), (7, Style::default())],
            marks: vec![(0, "a".into()), (8, "b".into()), (21, "c".into())],
            ..Passage::default()
        }
    }

    #[test]
    fn bytes_lead_back_to_the_document() {
        let passage = passage();
        for (text, document) in [(0..3, 0..3), (4..7, 7..10), (8..9, 15..20), (10..15, 21..53), (16..20, 21..53)] {
            assert_eq!(passage.source(text.clone()), document, "{text:?}");
        }
        let plain = Passage::plain("aé😀c", 100, 90);
        assert_eq!((plain.source(1..7), plain.source_chars(1..7)), (101..107, 91..93));
        let tail = &plain.cut(&[0..1, 3..8])[1];
        assert_eq!((tail.source(4..5), tail.source_chars(4..5)), (107..108, 93..94));
    }

    #[test]
    fn a_cut_passage_keeps_styles_origins_and_marks() {
        let parts = passage().cut(&[0..5, 6..7, 10..21]);
        assert_eq!(parts.iter().map(Passage::text).collect::<Vec<_>>(), ["One t", "o", "three four."]);
        assert_eq!(parts[0].style_at(3).rate, 1.0);
        assert_eq!((parts[0].style_at(4).rate, parts[1].style_at(0).rate, parts[2].style_at(0).rate), (2.0, 2.0, 1.0));
        assert_eq!(parts[1].source(0..1), 9..10);
        assert_eq!(parts[2].source(0..5), 21..53);
        let marks: Vec<_> = parts.iter().map(|part| part.marks.clone()).collect();
        assert_eq!(marks, [vec![(0, "a".to_string())], vec![], vec![(0, "b".into()), (11, "c".into())]]);
    }

    #[test]
    fn references_are_shown_as_what_they_say() {
        let text = format!("Say [[{REFERENCE}0]] now[[{REFERENCE}1]].");
        let inline = vec![Inline::Say { say: "^A".into(), shown: "a".into() }, Inline::Break(1.0)];
        let passage = Passage { text, inline: inline.into(), ..Passage::default() };
        assert_eq!(passage.shown(), "Say a now.");
    }
}
