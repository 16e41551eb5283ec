//! A file of cues: JSON, WebVTT, SubRip or speech marks, by the ending of its name, or curves of blend shapes.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::output::OutputFile;
use super::{Picture, Sink, SinkError, StreamInfo};
use crate::cue::{Cue, CueFormat, CueWriter};

/// Writes the cues as they come, in constant memory; of sound it keeps the length alone.
pub struct CueSink {
    path: PathBuf,
    format: CueFormat,
    open: Option<Open>,
}

struct Open {
    writer: CueWriter<BufWriter<File>>,
    total_samples: u64,
    output: OutputFile,
}

impl CueSink {
    /// A sink for the file `path`, which is created by `begin` and appears when it is whole.
    ///
    /// # Errors
    /// [`SinkError::Unsupported`] where the name does not end in `.json`, `.vtt`, `.srt`, `.ndjson` or `.marks`.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, SinkError> {
        let path = path.as_ref();
        let format = CueFormat::of_path(path).ok_or_else(|| {
            let path = path.display();
            let endings = ".json, .vtt, .srt, .ndjson or .marks";
            SinkError::Unsupported(format!("cues are written to files that end in {endings}: {path}"))
        })?;
        Ok(Self::with_format(path, format))
    }

    /// A sink for a file of any name.
    pub fn with_format(path: impl AsRef<Path>, format: CueFormat) -> Self {
        Self { path: path.as_ref().to_owned(), format, open: None }
    }

    /// The format of the file.
    pub fn format(&self) -> CueFormat {
        self.format
    }

    fn open(&mut self) -> Result<&mut Open, SinkError> {
        self.open.as_mut().ok_or_else(SinkError::not_begun)
    }
}

impl Sink for CueSink {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        if self.open.is_some() {
            return Err(SinkError::begun_twice());
        }
        let output = OutputFile::create(&self.path)?;
        let error = SinkError::io("write the file", &self.path);
        let file = output.file().try_clone().map_err(&error)?;
        let writer = CueWriter::new(self.format, info.sample_rate, BufWriter::new(file)).map_err(&error)?;
        self.open = Some(Open { writer, total_samples: 0, output });
        Ok(())
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.open()?.total_samples += pcm.len() as u64;
        Ok(())
    }

    fn picture(&mut self, _picture: &Picture) -> Result<(), SinkError> {
        self.open().map(|_| ())
    }

    fn cue(&mut self, cue: &Cue) -> Result<(), SinkError> {
        let open = self.open()?;
        open.writer.push(cue).map_err(SinkError::io("write the file", open.output.path()))
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        let Open { writer, total_samples, output } = self.open.ok_or_else(SinkError::not_begun)?;
        let error = SinkError::io("write the file", output.path());
        writer.finish(total_samples).and_then(|mut writer| writer.flush()).map_err(error)?;
        output.commit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cue::CueKind;

    #[test]
    fn the_ending_chooses_the_format() {
        let folder = tempfile::tempdir().unwrap();
        for (name, start) in
            [("a.json", "{"), ("a.VTT", "WEBVTT\n"), ("a.srt", "1\n"), ("a.marks", "{\"time\":0"), ("a.ndjson", "{")]
        {
            let path = folder.path().join(name);
            let mut sink = Box::new(CueSink::new(&path).unwrap());
            sink.begin(&StreamInfo { sample_rate: 24_000, video: None }).unwrap();
            sink.pcm(&[0.0; 48_000]).unwrap();
            let text = "Hello.".to_owned();
            let cue = Cue {
                kind: CueKind::Sentence,
                start_sample: 0,
                end_sample: 24_000,
                text,
                source: Some(0..6),
                chars: None,
            };
            sink.cue(&cue).unwrap();
            assert!(!path.exists());
            sink.finish().unwrap();
            let written = std::fs::read_to_string(&path).unwrap();
            assert!(written.starts_with(start) && written.contains("Hello."), "{written}");
        }
    }

    #[test]
    fn another_ending_is_refused_before_anything_is_made() {
        for name in ["cues.txt", "cues", ".json", ""] {
            let message = CueSink::new(name).err().unwrap().to_string();
            assert_eq!(
                message,
                format!("cues are written to files that end in .json, .vtt, .srt, .ndjson or .marks: {name}")
            );
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_one_clear_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("full.json");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut sink = Box::new(CueSink::new(&path).unwrap());
        sink.begin(&StreamInfo { sample_rate: 24_000, video: None }).unwrap();
        let message = sink.finish().unwrap_err().to_string();
        assert!(message.starts_with("cannot write the file: No space left on device"), "{message}");
    }
}
