//! Sentences from the pieces of a document, as they come.

use std::ops::Range;
use std::sync::Arc;

use crate::text::passage::{Inline, Origin, Passage, REFERENCE, Style, next_reference};
use crate::text::split;

/// Collects text up to the end of a block, and finished sentences.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// The voice of what comes next.
    pub(super) voice: Option<String>,
    block: Passage,
    inline: Vec<Inline>,
    /// What has come since the last sentence: the end of a paragraph, breaks, marks.
    paragraph: bool,
    break_s: Option<f64>,
    marks: Vec<String>,
    sentences: Vec<Passage>,
}

impl Builder {
    /// Adds the text of a node; `source` is how the document writes it, from byte `start` on.
    pub(super) fn text(&mut self, text: &str, source: &str, start: usize, style: Style) {
        let mut at = 0;
        for sign in text.chars() {
            let written = written(source, at, sign);
            // What XML takes for white space ends no paragraph here.
            let said = if sign.is_whitespace() { ' ' } else { sign };
            if sign != REFERENCE {
                let verbatim = written.len() == said.len_utf8();
                let document = start + written.start..start + written.end;
                self.push(said.encode_utf8(&mut [0; 4]), document, verbatim, style);
            }
            at = written.end;
        }
    }

    /// Adds text that stands for an element.
    pub(super) fn replaced(&mut self, text: &str, element: Range<usize>, style: Style) {
        let text: String = text.chars().filter(|c| *c != REFERENCE).collect();
        self.push(&text, element, false, style);
    }

    /// Adds something to be said as given, or a break, that stands for an element.
    pub(super) fn reference(&mut self, inline: Inline, element: Range<usize>, style: Style) {
        let text = format!("[[{REFERENCE}{}]]", self.inline.len());
        self.inline.push(inline);
        self.push(&text, element, false, style);
    }

    /// Adds a mark before what comes next.
    pub(super) fn mark(&mut self, name: &str) {
        self.block.marks.push((self.block.text.len(), name.to_string()));
    }

    fn push(&mut self, text: &str, document: Range<usize>, verbatim: bool, style: Style) {
        let start = self.block.text.len();
        if self.block.style_at(start) != style {
            self.block.styles.push((start, style));
        }
        self.block.text += text;
        let end = self.block.text.len();
        match self.block.origins.last_mut() {
            Some(last) if verbatim && last.verbatim && last.document.end == document.start => {
                (last.text.end, last.document.end) = (end, document.end);
            }
            _ => self.block.origins.push(Origin { text: start..end, document, chars: 0..0, verbatim }),
        }
    }

    /// Ends a paragraph: what comes next starts one.
    pub(super) fn end_paragraph(&mut self) {
        self.end_sentences();
        self.paragraph = !self.sentences.is_empty();
    }

    /// Ends text without `s`: it is cut into sentences as plain text is.
    pub(super) fn end_sentences(&mut self) {
        let pieces = split::pieces(&self.block.text);
        self.add(&pieces);
    }

    /// Ends a sentence that the document names; one longer than the nets can take is cut all the same.
    pub(super) fn end_one_sentence(&mut self) {
        let whole = 0..self.block.text.len();
        let pieces: Vec<Range<usize>> = split::cut_long(&self.block.text, whole).collect();
        self.add(&pieces);
    }

    fn add(&mut self, pieces: &[Range<usize>]) {
        let mut block = std::mem::take(&mut self.block);
        block.inline = Arc::new(std::mem::take(&mut self.inline));
        let bare: Vec<Bare> = pieces.iter().map(|piece| without_outer_breaks(&block, piece.clone())).collect();
        if bare.is_empty() {
            self.marks.extend(block.marks.drain(..).map(|(_, name)| name));
            return;
        }
        let ranges: Vec<Range<usize>> = bare.iter().map(|bare| bare.range.clone()).collect();
        for (mut sentence, Bare { before_s, after_s, .. }) in block.cut(&ranges).into_iter().zip(bare) {
            self.wait(before_s);
            if sentence.has_words() {
                match self.sentences.last_mut() {
                    Some(last) => last.break_after_s = self.break_s.take(),
                    None => sentence.break_before_s = self.break_s.take(),
                }
                let marks = std::mem::take(&mut self.marks).into_iter().map(|name| (0, name));
                sentence.marks.splice(0..0, marks);
                sentence.voice = self.voice.clone();
                sentence.starts_paragraph = std::mem::take(&mut self.paragraph);
                self.sentences.push(sentence);
            } else {
                self.marks.extend(sentence.marks.into_iter().map(|(_, name)| name));
            }
            self.wait(after_s);
        }
    }

    fn wait(&mut self, seconds: Option<f64>) {
        if let Some(seconds) = seconds {
            *self.break_s.get_or_insert(0.0) += seconds;
        }
    }

    /// The sentences of the document, which is as `written`.
    pub(super) fn finish(mut self, written: &str) -> Vec<Passage> {
        self.end_sentences();
        if let Some(last) = self.sentences.last_mut() {
            last.break_after_s = self.break_s;
            let end = last.text.len();
            last.marks.extend(self.marks.into_iter().map(|name| (end, name)));
        }
        Passage::count_chars(&mut self.sentences, written);
        self.sentences
    }
}

/// A piece of a block without the breaks at its ends.
struct Bare {
    range: Range<usize>,
    before_s: Option<f64>,
    after_s: Option<f64>,
}

fn without_outer_breaks(block: &Passage, piece: Range<usize>) -> Bare {
    let mut bare = Bare { range: piece, before_s: None, after_s: None };
    let is_break = |number: usize| match block.inline.get(number) {
        Some(Inline::Break(seconds)) => Some(*seconds),
        _ => None,
    };
    loop {
        let text = &block.text[bare.range.clone()];
        bare.range.start += text.len() - text.trim_start().len();
        let Some((before, number, after)) = next_reference(text.trim_start()) else { break };
        let Some(seconds) = is_break(number).filter(|_| before.is_empty()) else { break };
        *bare.before_s.get_or_insert(0.0) += seconds;
        bare.range.start = bare.range.end - after.len();
    }
    loop {
        let text = block.text[bare.range.clone()].trim_end();
        bare.range.end = bare.range.start + text.len();
        let Some(start) = text.ends_with("]]").then(|| text.rfind("[[")).flatten() else { break };
        let Some(seconds) = next_reference(&text[start..]).and_then(|(_, number, _)| is_break(number)) else { break };
        *bare.after_s.get_or_insert(0.0) += seconds;
        bare.range.end = bare.range.start + start;
    }
    bare
}

/// The bytes of `source` from `at` on that stand for `sign`: itself, a reference to it, or a line end of two signs; the
/// brackets of CDATA before it are passed over.
fn written(source: &str, at: usize, sign: char) -> Range<usize> {
    const BRACKETS: [&str; 2] = ["<![CDATA[", "]]>"];
    let mut start = at;
    while let Some(bracket) = BRACKETS.iter().find(|bracket| source[start..].starts_with(*bracket)) {
        start += bracket.len();
    }
    let rest = &source[start..];
    let len = match rest.find(';') {
        _ if rest.starts_with("\r\n") => 2,
        Some(end) if rest.starts_with('&') && !rest.starts_with(sign) => end + 1,
        // The reference of an ampersand to itself.
        Some(end) if sign == '&' && (rest.starts_with("&amp;") || rest.starts_with("&#")) => end + 1,
        _ => rest.chars().next().map_or(0, char::len_utf8),
    };
    start..start + len
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_found_as_the_document_writes_them() {
        let (text, source) = ("a&<é\nz&", "a&amp;<![CDATA[<]]>&#233;\r\nz<![CDATA[&]]>");
        let mut at = 0;
        let found: Vec<&str> = text
            .chars()
            .map(|sign| {
                let range = written(source, at, sign);
                at = range.end;
                &source[range]
            })
            .collect();
        assert_eq!(found, ["a", "&amp;", "<", "&#233;", "\r\n", "z", "&"]);
    }
}
