//! A file of cues: JSON, WebVTT or SubRip, by the ending of its name.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::output::OutputFile;
use super::{Picture, Sink, SinkError, StreamInfo};
use crate::cue::{Cue, CueFormat, CueList};

/// Gathers the cues and writes them when the stream is complete; of sound it keeps the length alone.
///
/// Cues stay in memory until then: about a hundred bytes for each phoneme.
#[derive(Debug)]
pub struct CueSink {
    path: PathBuf,
    format: CueFormat,
    list: Option<(OutputFile, CueList)>,
}

impl CueSink {
    /// A sink for the file `path`, which is created by `begin` under a temporary name.
    ///
    /// # Errors
    /// [`SinkError::Unsupported`] where the name does not end in `.json`, `.vtt` or `.srt`.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, SinkError> {
        let path = path.as_ref().to_owned();
        let format = CueFormat::of_path(&path).ok_or_else(|| {
            let path = path.display();
            SinkError::Unsupported(format!("cues are written to files that end in .json, .vtt or .srt: {path}"))
        })?;
        Ok(Self { path, format, list: None })
    }

    fn list(&mut self) -> Result<&mut CueList, SinkError> {
        self.list.as_mut().map(|(_, list)| list).ok_or_else(SinkError::not_begun)
    }
}

impl Sink for CueSink {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        if self.list.is_some() {
            return Err(SinkError::begun_twice());
        }
        self.list = Some((OutputFile::create(&self.path)?, CueList::new(info.sample_rate)));
        Ok(())
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.list()?.total_samples += pcm.len() as u64;
        Ok(())
    }

    fn picture(&mut self, _picture: &Picture) -> Result<(), SinkError> {
        self.list().map(|_| ())
    }

    fn cue(&mut self, cue: &Cue) -> Result<(), SinkError> {
        self.list()?.cues.push(cue.clone());
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        let (output, list) = self.list.ok_or_else(SinkError::not_begun)?;
        let mut writer = BufWriter::new(output.file());
        let written = list.write(self.format, &mut writer).and_then(|()| writer.flush());
        // A writer that is dropped with bytes left would write them again, unseen.
        drop(writer.into_parts());
        written.map_err(SinkError::io("write the file", output.path()))?;
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
        for (name, start) in [("a.json", "{"), ("a.VTT", "WEBVTT\n"), ("a.srt", "1\n")] {
            let path = folder.path().join(name);
            let mut sink = Box::new(CueSink::new(&path).unwrap());
            sink.begin(&StreamInfo { sample_rate: 24_000, video: None }).unwrap();
            sink.pcm(&[0.0; 48_000]).unwrap();
            let text = "Hello.".to_owned();
            let cue = Cue { kind: CueKind::Sentence, start_sample: 0, end_sample: 24_000, text, source: Some(0..6) };
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
            let message = CueSink::new(name).unwrap_err().to_string();
            assert_eq!(message, format!("cues are written to files that end in .json, .vtt or .srt: {name}"));
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
