//! MP4 in fragments (ISO 14496-12, 8.8), to be played while it is still being made: from a pipe, or by a browser's
//! `MediaSource`.

use std::io::Write;
use std::path::PathBuf;

use super::boxes::fragment;
use super::coders::Coders;
use super::moov::{Data, moov};
use super::mux::{ftyp, to_io};
use crate::cue::Cue;
use crate::sink::{Picture, Sink, SinkError, StreamInfo};

/// Writes sound and pictures to any writer as fragments of half a second, in constant memory; it never seeks. Cues are ignored:
/// a stream is described by what goes beside it.
///
/// The MIME type is `video/mp4; codecs="avc1.42c0XX, mp4a.40.2"`, with the level of the pictures in place of `XX`.
pub struct Mp4StreamSink<W> {
    writer: W,
    name: PathBuf,
    coders: Option<Coders>,
    /// Number of the next fragment, from 1; 0 before the head of the stream is written.
    sequence: u32,
}

impl<W: Write + Send> Mp4StreamSink<W> {
    /// A sink for `writer`, which error messages call `name`.
    pub fn new(writer: W, name: &str) -> Self {
        Self { writer, name: name.into(), coders: None, sequence: 0 }
    }

    /// Writes fragments as long as every track has a chunk for one, or while any has one where nothing more comes.
    fn write(&mut self, is_rest: bool) -> Result<(), SinkError> {
        let error = SinkError::io("write to", &self.name);
        let coders = self.coders.as_mut().ok_or_else(SinkError::not_begun)?;
        loop {
            let waiting: Vec<bool> = coders.tracks().iter().map(|track| track.waiting() > 0).collect();
            let is_ready = if is_rest { waiting.contains(&true) } else { waiting.iter().all(|&is_waiting| is_waiting) };
            if !is_ready {
                return self.writer.flush().map_err(&error);
            }
            if self.sequence == 0 {
                let described = coders.described().ok_or_else(|| SinkError::Misuse("no picture".into()))?;
                let mut head = ftyp(b"iso5", &[b"iso5", b"iso6", b"mp41"]);
                head.extend(moov(&described, Data::Fragmented).map_err(to_io).map_err(&error)?);
                self.writer.write_all(&head).map_err(&error)?;
                self.sequence = 1;
            }
            let chunks: Vec<_> =
                (1..).zip(coders.tracks()).filter_map(|(id, track)| Some((id, track.next_chunk()?))).collect();
            self.writer.write_all(&fragment(self.sequence, &chunks)).map_err(&error)?;
            self.sequence += 1;
        }
    }

    fn coders(&mut self) -> Result<&mut Coders, SinkError> {
        self.coders.as_mut().ok_or_else(SinkError::not_begun)
    }
}

impl<W: Write + Send> Sink for Mp4StreamSink<W> {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        if self.coders.is_some() {
            return Err(SinkError::begun_twice());
        }
        self.coders = Some(Coders::new(info)?);
        Ok(())
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.coders()?.pcm(pcm)?;
        self.write(false)
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        self.coders()?.picture(picture)?;
        self.write(false)
    }

    fn cue(&mut self, _cue: &Cue) -> Result<(), SinkError> {
        self.coders().map(|_| ())
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        let coders = self.coders()?;
        coders.finish()?;
        coders.tracks().into_iter().for_each(|track| track.close_chunk());
        self.write(true)
    }
}
