//! Text of any length, paragraph by paragraph, in constant memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::text::{FrontEnd, LONGEST_SSML_BYTES, Passage};

/// A paragraph longer than this many bytes is cut, after a sentence if it has one: what bounds the memory.
const LONGEST_BYTES: usize = 16 * 1024;

/// Where the text comes from.
pub struct TextSource<'a> {
    kind: Kind<'a>,
    is_ssml: bool,
}

enum Kind<'a> {
    Text(&'a str),
    File(PathBuf),
    Reader {
        name: String,
        reader: Box<dyn BufRead + Send + 'a>,
    },
    /// What a reader said, kept on disk because it is read twice.
    Spooled {
        name: String,
        file: File,
    },
    /// An SSML document that has been read.
    Sentences(Vec<Passage>),
}

impl<'a> From<&'a str> for TextSource<'a> {
    fn from(text: &'a str) -> Self {
        Self { kind: Kind::Text(text), is_ssml: false }
    }
}

impl<'a> From<&'a String> for TextSource<'a> {
    fn from(text: &'a String) -> Self {
        Self { kind: Kind::Text(text), is_ssml: false }
    }
}

impl<'a> TextSource<'a> {
    /// A file of UTF-8 text.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { kind: Kind::File(path.into()), is_ssml: false }
    }

    /// A stream of UTF-8 text; `name` is what messages call it.
    pub fn reader(name: impl Into<String>, reader: impl BufRead + Send + 'a) -> Self {
        Self { kind: Kind::Reader { name: name.into(), reader: Box::new(reader) }, is_ssml: false }
    }

    /// Reads the text as SSML, a `<speak>` document of at most 4 MiB: pauses, pace, pitch, volume, voices and how words are
    /// said. Text is never taken for SSML by itself, so that nobody's `<break/>` steers a program that reads plain text out.
    ///
    /// Cues then count bytes of the document.
    pub fn ssml(self) -> Self {
        Self { is_ssml: true, ..self }
    }

    /// Reads and checks an SSML document; nothing happens to plain text.
    pub(crate) fn read_ssml(&mut self, front_end: &FrontEnd) -> Result<()> {
        if !self.is_ssml || matches!(self.kind, Kind::Sentences(_)) {
            return Ok(());
        }
        let (name, reader): (String, Box<dyn Read + Send + '_>) = match &mut self.kind {
            Kind::Text(text) => ("the text".into(), Box::new(text.as_bytes())),
            Kind::File(path) => {
                let file = File::open(&*path).map_err(Error::io("read", &*path))?;
                (path.display().to_string(), Box::new(file))
            }
            Kind::Reader { name, reader } => (name.clone(), Box::new(reader)),
            Kind::Spooled { .. } | Kind::Sentences(_) => return Ok(()),
        };
        let mut bytes: Vec<u8> = Vec::new();
        let limit = LONGEST_SSML_BYTES as u64 + 1;
        reader.take(limit).read_to_end(&mut bytes).map_err(Error::io("read", Path::new(&name)))?;
        if bytes.len() > LONGEST_SSML_BYTES {
            return Err(Error::Text(format!("{name} is longer than {LONGEST_SSML_BYTES} bytes: give SSML in parts")));
        }
        let document = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::Text(format!("{name} is not text: bytes that are not UTF-8 at byte {at}; give UTF-8 text"))
        })?;
        let sentences = front_end.ssml(&document).map_err(|error| Error::Text(format!("{name}, {error}")))?;
        self.kind = Kind::Sentences(sentences);
        Ok(())
    }

    /// The sentences of an SSML document that has been read; none of plain text.
    pub(crate) fn sentences(&self) -> &[Passage] {
        match &self.kind {
            Kind::Sentences(sentences) => sentences,
            _ => &[],
        }
    }

    /// The length in bytes, where it is known before reading.
    pub fn len_bytes(&self) -> Option<u64> {
        match &self.kind {
            Kind::Text(text) => Some(text.len() as u64),
            Kind::File(path) => std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|data| data.len()),
            Kind::Reader { .. } | Kind::Sentences(_) => None,
            Kind::Spooled { file, .. } => file.metadata().ok().map(|data| data.len()),
        }
    }

    /// Makes a stream readable twice, by copying it to a temporary file that has no name.
    pub(crate) fn keep(&mut self) -> Result<()> {
        if let Kind::Reader { name, reader } = &mut self.kind {
            let mut file = tempfile::tempfile().map_err(Error::io("create", std::env::temp_dir()))?;
            std::io::copy(reader, &mut file).map_err(Error::io("copy", &*name))?;
            self.kind = Kind::Spooled { name: std::mem::take(name), file };
        }
        Ok(())
    }

    /// Begins to read; a second call begins anew, except for a stream that was not kept, which goes on where it is.
    pub(crate) fn paragraphs(&mut self) -> Result<Paragraphs<Box<dyn BufRead + Send + '_>>> {
        Ok(match &mut self.kind {
            Kind::Text(text) => Paragraphs::new("the text", Box::new(Cursor::new(text.as_bytes()))),
            Kind::File(path) => {
                let file = File::open(&*path).map_err(Error::io("read", &*path))?;
                Paragraphs::new(path.display().to_string(), Box::new(BufReader::new(file)))
            }
            Kind::Reader { name, reader } => Paragraphs::new(name.clone(), Box::new(reader)),
            Kind::Spooled { name, file } => {
                file.seek(SeekFrom::Start(0)).map_err(Error::io("read", &*name))?;
                Paragraphs::new(name.clone(), Box::new(BufReader::new(file)))
            }
            Kind::Sentences(_) => Paragraphs::new("the document", Box::new(Cursor::new(&b""[..]))),
        })
    }
}

/// A piece of text and where it began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Paragraph {
    /// Byte offset in the whole text.
    pub(crate) offset: usize,
    /// The text, line ends included; never empty, no control characters but tab, line end and form feed.
    pub(crate) text: String,
    /// Whether it goes on what was cut before it.
    pub(crate) goes_on: bool,
}

/// Reads paragraphs: blocks of lines between empty lines, cut where one is longer than 16 KiB.
pub(crate) struct Paragraphs<R> {
    name: String,
    reader: R,
    /// Bytes read and not given out.
    pending: Vec<u8>,
    /// Byte offset of `pending` in the text.
    offset: usize,
    /// What was given out last was cut.
    cut: bool,
    failed: bool,
}

impl<R: BufRead> Paragraphs<R> {
    pub(crate) fn new(name: impl Into<String>, reader: R) -> Self {
        Self { name: name.into(), reader, pending: Vec::new(), offset: 0, cut: false, failed: false }
    }

    /// Takes the first `len` bytes of `pending` as text; `cut` where the paragraph goes on behind them.
    fn take(&mut self, len: usize, cut: bool) -> Result<Paragraph> {
        let rest = self.pending.split_off(len);
        let bytes = std::mem::replace(&mut self.pending, rest);
        let offset = self.offset;
        self.offset += len;
        let refuse = |at: usize, what: &str| {
            let name = &self.name;
            Err(Error::Text(format!("{name} is not text: {what} at byte {}; give UTF-8 text", offset + at)))
        };
        if let Some(at) = bytes.iter().position(|&byte| byte < b' ' && !b"\t\n\r\x0c".contains(&byte)) {
            return refuse(at, "a control character");
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Paragraph { offset, text, goes_on: std::mem::replace(&mut self.cut, cut) }),
            Err(error) => refuse(error.utf8_error().valid_up_to(), "bytes that are not UTF-8"),
        }
    }

    fn advance(&mut self) -> Result<Option<Paragraph>> {
        loop {
            if self.pending.len() >= LONGEST_BYTES {
                return self.take(cut_place(&self.pending), true).map(Some);
            }
            let before = self.pending.len();
            let room = (LONGEST_BYTES - before) as u64;
            let read = (&mut self.reader)
                .take(room)
                .read_until(b'\n', &mut self.pending)
                .map_err(Error::io("read", Path::new(&self.name)))?;
            let line_is_empty = self.pending[before..].iter().all(u8::is_ascii_whitespace);
            if read == 0 || (line_is_empty && self.pending.ends_with(b"\n")) {
                let blank = self.pending.iter().all(u8::is_ascii_whitespace);
                if !blank {
                    return self.take(self.pending.len(), false).map(Some);
                }
                self.offset += self.pending.len();
                self.pending.clear();
                self.cut = false;
                if read == 0 {
                    return Ok(None);
                }
            }
        }
    }
}

impl<R: BufRead> Iterator for Paragraphs<R> {
    type Item = Result<Paragraph>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let result = self.advance();
        self.failed = result.is_err();
        result.transpose()
    }
}

/// Where to cut a long paragraph: after its last sentence end, else after its last space, else between characters.
fn cut_place(bytes: &[u8]) -> usize {
    let ends_sentence = |pair: &[u8]| matches!(pair[0], b'.' | b'!' | b'?' | b'\n') && pair[1].is_ascii_whitespace();
    if let Some(at) = bytes.windows(2).rposition(ends_sentence) {
        return at + 2;
    }
    if let Some(at) = bytes.iter().rposition(u8::is_ascii_whitespace) {
        return at + 1;
    }
    // A UTF-8 character is at most four bytes, its first one is not of the form 10xxxxxx.
    let last_start = bytes.iter().rposition(|byte| byte & 0xC0 != 0x80).unwrap_or(0);
    if last_start == 0 { bytes.len() } else { last_start }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(bytes: &[u8]) -> Result<Vec<Paragraph>> {
        Paragraphs::new("the text", Cursor::new(bytes)).collect()
    }

    #[test]
    fn empty_lines_part_paragraphs_and_offsets_point_at_them() {
        let text = "\n One\ntwo.\n \t\r\nThree.\n\n\n";
        let found = pieces(text.as_bytes()).unwrap();
        let texts: Vec<&str> = found.iter().map(|paragraph| paragraph.text.trim()).collect();
        assert_eq!(texts, ["One\ntwo.", "Three."]);
        for paragraph in &found {
            assert!(text[paragraph.offset..].starts_with(&paragraph.text));
        }
    }

    #[test]
    fn nothing_is_lost_when_long_text_is_cut() {
        for unit in ["Some words here. And öther ones ", "wördwithoutanyspace", "€"] {
            let text = unit.repeat(1_000_000 / unit.len());
            let found = pieces(text.as_bytes()).unwrap();
            assert!(found.iter().all(|paragraph| paragraph.text.len() <= LONGEST_BYTES));
            assert_eq!(found.into_iter().map(|paragraph| paragraph.text).collect::<String>(), text);
        }
    }

    #[test]
    fn cuts_come_after_sentences() {
        let found = pieces("All is well that ends well. ".repeat(2000).as_bytes()).unwrap();
        assert!(found.len() > 2 && found.iter().all(|paragraph| paragraph.text.ends_with(". ")));
        assert!(!found[0].goes_on && found[1..].iter().all(|paragraph| paragraph.goes_on));
        assert!(pieces(b"One.\n\nTwo.").unwrap().iter().all(|paragraph| !paragraph.goes_on));
    }

    #[test]
    fn binary_data_is_refused_with_its_place() {
        for (bytes, place) in [(&b"Good \x00 text"[..], "byte 5"), (&b"Fine.\n\n\xff\xfe"[..], "byte 7")] {
            let error = pieces(bytes).unwrap_err();
            assert!(matches!(&error, Error::Text(message) if message.contains(place)), "{error}");
        }
    }

    #[test]
    fn a_stream_can_be_kept_and_read_twice() {
        let mut source = TextSource::reader("stdin", Cursor::new("One.\n\nTwo."));
        source.keep().unwrap();
        for _ in 0..2 {
            assert_eq!(source.paragraphs().unwrap().count(), 2);
        }
        assert_eq!(source.len_bytes(), Some(10));
    }
}
