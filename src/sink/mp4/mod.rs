//! MP4 (ISO 14496-12): H.264 pictures and AAC sound, sound and pictures starting at exactly 0. A file has its index in front,
//! captions and cues; a stream is made of fragments.

mod aac;
mod boxes;
mod coders;
mod description;
mod h264;
mod moov;
mod mux;
mod stream;
mod track;
mod yuv;

use std::fs::File;
use std::path::{Path, PathBuf};

use self::coders::Coders;
use self::description::Description;
use self::moov::{Described, Media};
use self::mux::Mux;
use super::output::OutputFile;
use super::{Picture, Sink, SinkError, StreamInfo};
use crate::cue::Cue;

pub(crate) use description::CUES_BOX;
pub use stream::Mp4StreamSink;

/// Writes sound and pictures to an MP4 file, and cues, where there are any, as captions and as JSON. Without pictures it holds the sound
/// alone.
///
/// Memory stays constant but for the index, about 10 bytes a video frame. Pictures of an odd size get their last column or
/// row twice. The sound has exactly the PCM samples that were given, and each video frame lasts exactly `1 / fps`.
pub struct Mp4Sink {
    path: PathBuf,
    with_cues: bool,
    open: Option<Open>,
}

struct Open {
    coders: Coders,
    description: Option<Description>,
    mux: Mux<File>,
    output: OutputFile,
}

impl Mp4Sink {
    /// A sink for the file `path`, which is created by `begin` and appears when it is whole.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), with_cues: true, open: None }
    }

    /// Leaves captions and cues out of the file.
    pub fn without_cues(self) -> Self {
        Self { with_cues: false, ..self }
    }

    fn open(&mut self) -> Result<&mut Open, SinkError> {
        self.open.as_mut().ok_or_else(SinkError::not_begun)
    }
}

impl Open {
    /// Writes what is ready, or all that is left.
    fn write(&mut self, is_rest: bool) -> Result<(), SinkError> {
        let error = SinkError::io("write the file", self.output.path());
        let Self { coders, description, mux, .. } = self;
        let mut tracks = coders.tracks();
        let dense = tracks.len();
        tracks.extend(description.iter_mut().map(|description| &mut description.captions));
        let written = if is_rest { mux.write_rest(&mut tracks) } else { mux.write_ready(&mut tracks, dense) };
        written.map_err(error)
    }
}

impl Sink for Mp4Sink {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        if self.open.is_some() {
            return Err(SinkError::begun_twice());
        }
        let coders = Coders::new(info)?;
        let output = OutputFile::create(&self.path)?;
        let error = SinkError::io("write the file", &self.path);
        let description = self.with_cues.then(|| Description::new(info.sample_rate)).transpose().map_err(&error)?;
        let file = output.file().try_clone().map_err(&error)?;
        self.open = Some(Open { coders, description, mux: Mux::new(file), output });
        Ok(())
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        let open = self.open()?;
        open.coders.pcm(pcm)?;
        open.write(false)
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        let open = self.open()?;
        open.coders.picture(picture)?;
        open.write(false)
    }

    fn cue(&mut self, cue: &Cue) -> Result<(), SinkError> {
        let open = self.open()?;
        let Some(description) = &mut open.description else { return Ok(()) };
        description.cue(cue).map_err(SinkError::io("write the file", open.output.path()))
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        let mut open = self.open.ok_or_else(SinkError::not_begun)?;
        open.coders.finish()?;
        let total_samples = open.coders.pcm_samples();
        open.description = open.description.filter(|description| !description.is_empty());
        if let Some(description) = &mut open.description {
            description.finish(total_samples);
        }
        open.write(true)?;
        let Open { coders, description, mux, output } = open;
        let no_picture = || SinkError::Misuse("a stream with video got no picture".into());
        let mut described = coders.described().ok_or_else(no_picture)?;
        if let Some(description) = &description {
            let size = described.iter().find_map(|described| match described.media {
                Media::Video { size, .. } => Some(size),
                _ => None,
            });
            let media = Media::Captions { size: size.unwrap_or((0, 0)) };
            described.push(Described { track: &description.captions, media });
        }
        let error = SinkError::io("write the file", &self.path);
        let mut file = mux.finish(&described).map_err(&error)?;
        drop(described);
        if let Some(description) = description {
            description.write_cues(total_samples, &mut file).map_err(&error)?;
        }
        output.commit()
    }
}
