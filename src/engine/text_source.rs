//! Text of any length, sentence by sentence, in constant memory.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::text_queue::TextQueue;
use crate::error::{Error, Result};
use crate::text::{FrontEnd, LONGEST_SSML_BYTES, Passage, char_count};

/// Text that is longer than this many bytes without a sentence to be found in it is taken as it is: what bounds the memory.
const LONGEST_BYTES: usize = 64 * 1024;

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
    Passages(Vec<Passage>),
    /// Text that is pushed while it is spoken.
    Live(Arc<TextQueue>),
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

    pub(crate) fn live(queue: Arc<TextQueue>) -> Self {
        Self { kind: Kind::Live(queue), is_ssml: false }
    }

    /// Reads and checks an SSML document; nothing happens to plain text.
    pub(crate) fn read_ssml(&mut self, front_end: &FrontEnd) -> Result<()> {
        if !self.is_ssml || matches!(self.kind, Kind::Passages(_)) {
            return Ok(());
        }
        let (name, reader): (String, Box<dyn Read + Send + '_>) = match &mut self.kind {
            Kind::Text(text) => ("the text".into(), Box::new(text.as_bytes())),
            Kind::File(path) => {
                let file = File::open(&*path).map_err(Error::io("read", &*path))?;
                (path.display().to_string(), Box::new(file))
            }
            Kind::Reader { name, reader } => (name.clone(), Box::new(reader)),
            Kind::Live(queue) => ("the text".into(), Box::new(queue.reader())),
            Kind::Spooled { .. } | Kind::Passages(_) => return Ok(()),
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
        let passages = front_end.ssml(&document).map_err(|error| Error::Text(format!("{name}, {error}")))?;
        self.kind = Kind::Passages(passages);
        Ok(())
    }

    /// The sentences of an SSML document that has been read; none of plain text.
    pub(crate) fn passages(&self) -> &[Passage] {
        match &self.kind {
            Kind::Passages(passages) => passages,
            _ => &[],
        }
    }

    /// The length in bytes, where it is known before reading.
    pub fn len_bytes(&self) -> Option<u64> {
        match &self.kind {
            Kind::Text(text) => Some(text.len() as u64),
            Kind::File(path) => std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|data| data.len()),
            Kind::Reader { .. } | Kind::Passages(_) | Kind::Live(_) => None,
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
    pub(crate) fn sentences(&mut self) -> Result<Sentences<'_>> {
        Ok(match &mut self.kind {
            Kind::Text(text) => Sentences::of_reader("the text", Box::new(Cursor::new(text.as_bytes()))),
            Kind::File(path) => {
                let file = File::open(&*path).map_err(Error::io("read", &*path))?;
                Sentences::of_reader(path.display().to_string(), Box::new(BufReader::new(file)))
            }
            Kind::Reader { name, reader } => Sentences::of_reader(name.clone(), Box::new(reader)),
            Kind::Spooled { name, file } => {
                file.seek(SeekFrom::Start(0)).map_err(Error::io("read", &*name))?;
                Sentences::of_reader(name.clone(), Box::new(BufReader::new(file)))
            }
            Kind::Passages(_) => Sentences::of_reader("the document", Box::new(Cursor::new(&b""[..]))),
            Kind::Live(queue) => Sentences::new("the text", Feed::Live(queue.clone())),
        })
    }
}

/// Where more text comes from.
enum Feed<'a> {
    Reader(Box<dyn BufRead + Send + 'a>),
    Live(Arc<TextQueue>),
}

/// What a request for more text brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum More {
    /// Some bytes.
    Text,
    /// Nothing, but the last sentence is whole as it is.
    Break,
    /// Nothing, and there will be no more.
    End,
}

/// Reads sentence by sentence, each as soon as it is certain where it ends; how the text is cut into pieces on its way
/// here makes no difference.
pub(crate) struct Sentences<'a> {
    name: String,
    feed: Feed<'a>,
    /// Text read and not given out; no control characters but tab, line end and form feed.
    text: String,
    /// Where `text` begins in the whole, in bytes and in characters.
    offset: usize,
    chars: usize,
    /// Bytes read behind `text`: the beginning of a character.
    unfinished: Vec<u8>,
    /// What the last request brought.
    more: More,
    /// Line ends since the last sentence.
    line_ends: usize,
}

impl<'a> Sentences<'a> {
    fn of_reader(name: impl Into<String>, reader: Box<dyn BufRead + Send + 'a>) -> Self {
        Self::new(name, Feed::Reader(reader))
    }

    fn new(name: impl Into<String>, feed: Feed<'a>) -> Self {
        Self {
            name: name.into(),
            feed,
            text: String::new(),
            offset: 0,
            chars: 0,
            unfinished: Vec::new(),
            more: More::Text,
            line_ends: 0,
        }
    }

    /// The next sentence; `None` at the end.
    pub(crate) fn next(&mut self, front_end: &FrontEnd) -> Result<Option<Passage>> {
        loop {
            let blank = self.text.len() - self.text.trim_start().len();
            self.line_ends += self.text[..blank].matches('\n').count();
            self.drop_front(blank);
            let is_whole = self.more != More::Text || self.text.len() >= LONGEST_BYTES;
            if let Some(range) = front_end.first_sentence(&self.text, is_whole) {
                let (offset, chars) = (self.offset + range.start, self.chars + char_count(&self.text[..range.start]));
                let mut sentence = Passage::plain(&self.text[range.clone()], offset, chars);
                sentence.starts_paragraph = std::mem::take(&mut self.line_ends) > 1;
                self.drop_front(range.end);
                return Ok(Some(sentence));
            }
            if self.more == More::End {
                return Ok(None);
            }
            self.read()?;
        }
    }

    fn drop_front(&mut self, len: usize) {
        self.chars += char_count(&self.text[..len]);
        self.text.drain(..len);
        self.offset += len;
    }

    fn read(&mut self) -> Result<()> {
        let start = self.unfinished.len();
        self.more = match &mut self.feed {
            Feed::Live(queue) => queue.take(&mut self.unfinished),
            Feed::Reader(reader) => {
                let bytes = reader.fill_buf().map_err(Error::io("read", Path::new(&self.name)))?;
                // Not all of a long text at once.
                let bytes = &bytes[..bytes.len().min(LONGEST_BYTES / 4)];
                self.unfinished.extend_from_slice(bytes);
                let read = bytes.len();
                reader.consume(read);
                if read == 0 { More::End } else { More::Text }
            }
        };
        let bytes = &self.unfinished;
        let refuse = |at: usize, what: &str| {
            let (name, at) = (&self.name, self.offset + self.text.len() + at);
            Err(Error::Text(format!("{name} is not text: {what} at byte {at}; give UTF-8 text")))
        };
        if let Some(at) = bytes[start..].iter().position(|&byte| byte < b' ' && !b"\t\n\r\x0c".contains(&byte)) {
            return refuse(start + at, "a control character");
        }
        let valid = match std::str::from_utf8(bytes) {
            Ok(text) => text.len(),
            Err(error) if error.error_len().is_none() && self.more != More::End => error.valid_up_to(),
            Err(error) => return refuse(error.valid_up_to(), "bytes that are not UTF-8"),
        };
        let rest = self.unfinished.split_off(valid);
        self.text += std::str::from_utf8(&self.unfinished).unwrap_or_default();
        self.unfinished = rest;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::FrontEndOptions;

    /// Byte offset and text of each sentence, and whether a paragraph starts with it.
    fn all(source: &mut TextSource<'_>) -> Result<Vec<(usize, String, bool)>> {
        let front_end = FrontEnd::new(FrontEndOptions::default()).unwrap();
        let mut sentences = source.sentences()?;
        let told = |found: Passage| (found.source(0..0).start, found.text().to_string(), found.starts_paragraph);
        std::iter::from_fn(|| sentences.next(&front_end).map(|found| found.map(told)).transpose()).collect()
    }

    /// A reader that gives out a few bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl std::io::Read for Slow<'_> {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::Unsupported.into())
        }
    }

    impl BufRead for Slow<'_> {
        fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
            Ok(&self.0[..self.1.min(self.0.len())])
        }
        fn consume(&mut self, amount: usize) {
            self.0 = &self.0[amount..];
        }
    }

    #[test]
    fn offsets_point_at_the_sentences_however_the_text_is_cut() {
        let text = "\n One\ntwo.\n \t\r\nThree? Wörds — 😀!\n\n\n";
        let expected = [("One\ntwo.", false), ("Three?", true), ("Wörds — 😀!", false)];
        for step in [1, 2, 3, 7, 1000] {
            let found = all(&mut TextSource::reader("slow", Slow(text.as_bytes(), step))).unwrap();
            assert_eq!(found.iter().map(|(_, text, starts)| (&**text, *starts)).collect::<Vec<_>>(), expected);
            assert!(found.iter().all(|(offset, sentence, _)| text[*offset..].starts_with(sentence)));
            let mut source = TextSource::reader("slow", Slow(text.as_bytes(), step));
            let front_end = FrontEnd::new(FrontEndOptions::default()).unwrap();
            let mut sentences = source.sentences().unwrap();
            while let Some(sentence) = sentences.next(&front_end).unwrap() {
                let chars = sentence.source_chars(0..sentence.text().len());
                let said: String = text.chars().skip(chars.start).take(chars.len()).collect();
                assert_eq!(said, sentence.text());
            }
        }
    }

    #[test]
    fn nothing_is_lost_of_a_long_text() {
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        for unit in ["Some words here. And öther ones ", "wördwithoutanyspace", "€", "Spaces.      \t"] {
            let text = unit.repeat(300_000 / unit.len());
            let found = all(&mut (&text).into()).unwrap();
            assert_eq!(squeezed(&found.into_iter().map(|(_, text, _)| text).collect::<String>()), squeezed(&text));
        }
        let blank = format!("One.{}Two.", " ".repeat(300_000));
        let expected = [(0, "One.".to_string(), false), (300_004, "Two.".to_string(), false)];
        assert_eq!(all(&mut (&blank).into()).unwrap(), expected);
    }

    #[test]
    fn binary_data_is_refused_with_its_place() {
        let cut = &"Fine €".as_bytes()[..7];
        for (bytes, place) in [(&b"Good \x00 text"[..], "byte 5"), (b"Fine.\n\n\xff\xfe", "byte 7"), (cut, "byte 5")] {
            for step in [1, 1000] {
                let error = all(&mut TextSource::reader("it", Slow(bytes, step))).unwrap_err();
                assert!(matches!(&error, Error::Text(message) if message.contains(place)), "{error}");
            }
        }
    }

    #[test]
    fn a_stream_can_be_kept_and_read_twice() {
        let mut source = TextSource::reader("stdin", Cursor::new("One.\n\nTwo."));
        source.keep().unwrap();
        for _ in 0..2 {
            let expected = [(0, "One.".to_string(), false), (6, "Two.".to_string(), true)];
            assert_eq!(all(&mut source).unwrap(), expected);
        }
        assert_eq!(source.len_bytes(), Some(10));
    }
}
