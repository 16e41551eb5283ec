//! RIFF/WAVE: 16-bit mono PCM, written with hound.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::output::OutputFile;
use super::{Picture, Sink, SinkError, StreamInfo};
use crate::cue::Cue;

/// Writes the sound to a WAV file; pictures and cues are ignored.
pub struct WavSink {
    path: PathBuf,
    open: Option<Open>,
}

struct Open {
    // First, so that it is dropped before the file that it writes to: hound completes the header on drop.
    writer: hound::WavWriter<BufWriter<std::fs::File>>,
    output: OutputFile,
}

impl WavSink {
    /// A sink for the file `path`, which is created by `begin` under a temporary name.
    pub fn new(path: impl AsRef<Path>) -> Self {
        Self { path: path.as_ref().to_owned(), open: None }
    }

    fn open(&mut self) -> Result<&mut Open, SinkError> {
        self.open.as_mut().ok_or_else(SinkError::not_begun)
    }
}

impl Sink for WavSink {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        if self.open.is_some() {
            return Err(SinkError::begun_twice());
        }
        let output = OutputFile::create(&self.path)?;
        let error = SinkError::io("write the file", &self.path);
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: info.sample_rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let file = BufWriter::new(output.file().try_clone().map_err(&error)?);
        let writer = hound::WavWriter::new(file, spec).map_err(|source| error(to_io(source)))?;
        self.open = Some(Open { writer, output });
        Ok(())
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        let open = self.open()?;
        // The sizes in the header have 32 bits, and hound does not check them.
        if u64::from(open.writer.len()) + pcm.len() as u64 > (u64::from(u32::MAX) - 64) / 2 {
            return Err(SinkError::Unsupported("a WAV file holds no more than 4 GiB: split the text".into()));
        }
        for &value in pcm {
            open.writer
                .write_sample(to_i16(value))
                .map_err(|source| SinkError::io("write the file", open.output.path())(to_io(source)))?;
        }
        Ok(())
    }

    fn picture(&mut self, _picture: &Picture) -> Result<(), SinkError> {
        self.open().map(|_| ())
    }

    fn cue(&mut self, _cue: &Cue) -> Result<(), SinkError> {
        self.open().map(|_| ())
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        let Open { writer, output } = self.open.ok_or_else(SinkError::not_begun)?;
        writer.finalize().map_err(|source| SinkError::io("write the file", &self.path)(to_io(source)))?;
        output.commit()
    }
}

/// Rounds to the nearest of 16 bits and clips; what is no number becomes silence.
pub(crate) fn to_i16(value: f32) -> i16 {
    (value * 32_767.0).round().clamp(-32_768.0, 32_767.0) as i16
}

/// Writes the sound as WAV to any writer as it comes, a pipe among them: the header gives the largest length there is, since
/// the real one is not known, and readers stop at the end of the data. Pictures and cues are ignored.
pub struct WavStreamSink<W> {
    writer: W,
    name: PathBuf,
    is_begun: bool,
}

impl<W: Write + Send> WavStreamSink<W> {
    /// A sink for `writer`, which error messages call `name`.
    pub fn new(writer: W, name: &str) -> Self {
        Self { writer, name: name.into(), is_begun: false }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        let written = self.writer.write_all(bytes).and_then(|()| self.writer.flush());
        written.map_err(SinkError::io("write to", &self.name))
    }

    fn begun(&self) -> Result<(), SinkError> {
        if self.is_begun { Ok(()) } else { Err(SinkError::not_begun()) }
    }
}

impl<W: Write + Send> Sink for WavStreamSink<W> {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        if std::mem::replace(&mut self.is_begun, true) {
            return Err(SinkError::begun_twice());
        }
        // The largest even length that leaves the whole within 32 bits.
        let data_len = u32::MAX - 37;
        let mut header = b"RIFF".to_vec();
        header.extend_from_slice(&(data_len + 36).to_le_bytes());
        header.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
        for value in [info.sample_rate, 2 * info.sample_rate] {
            header.extend_from_slice(&value.to_le_bytes());
        }
        header.extend_from_slice(b"\x02\0\x10\0data");
        header.extend_from_slice(&data_len.to_le_bytes());
        self.write(&header)
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.begun()?;
        let bytes: Vec<u8> = pcm.iter().flat_map(|&value| to_i16(value).to_le_bytes()).collect();
        self.write(&bytes)
    }

    fn picture(&mut self, _picture: &Picture) -> Result<(), SinkError> {
        self.begun()
    }

    fn cue(&mut self, _cue: &Cue) -> Result<(), SinkError> {
        self.begun()
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.begun()
    }
}

fn to_io(error: hound::Error) -> io::Error {
    match error {
        hound::Error::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: StreamInfo = StreamInfo { sample_rate: 24_000, video: None };

    #[test]
    fn writes_what_it_was_given() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        let mut sink = Box::new(WavSink::new(&path));
        sink.begin(&INFO).unwrap();
        sink.pcm(&[0.0, 0.5, -0.5, 1.0, -1.0, 7.0, -7.0]).unwrap();
        sink.pcm(&[]).unwrap();
        sink.pcm(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.7 / 32_767.0]).unwrap();
        assert!(!path.exists());
        sink.finish().unwrap();
        let mut reader = hound::WavReader::open(&path).unwrap();
        assert_eq!((reader.spec().channels, reader.spec().sample_rate, reader.spec().bits_per_sample), (1, 24_000, 16));
        let pcm: Vec<i16> = reader.samples().collect::<Result<_, _>>().unwrap();
        assert_eq!(pcm, [0, 16_384, -16_384, 32_767, -32_767, 32_767, -32_768, 0, 32_767, -32_768, 1]);
    }

    #[test]
    fn an_unfinished_file_vanishes() {
        let folder = tempfile::tempdir().unwrap();
        let mut sink = WavSink::new(folder.path().join("a.wav"));
        sink.begin(&INFO).unwrap();
        sink.pcm(&[0.1; 100_000]).unwrap();
        drop(sink);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn wrong_use_is_an_error() {
        let mut sink = Box::new(WavSink::new("never.wav"));
        assert!(matches!(sink.pcm(&[0.0]), Err(SinkError::Misuse(_))));
        assert!(matches!(sink.finish(), Err(SinkError::Misuse(_))));
    }

    #[test]
    fn a_stream_is_a_file_of_unknown_length() {
        let mut bytes = Vec::new();
        let mut sink = Box::new(WavStreamSink::new(&mut bytes, "memory"));
        assert!(matches!(sink.pcm(&[0.0]), Err(SinkError::Misuse(_))));
        sink.begin(&INFO).unwrap();
        sink.pcm(&[0.0, 0.5, -1.0]).unwrap();
        sink.finish().unwrap();
        let mut reader = hound::WavReader::new(&bytes[..]).unwrap();
        assert_eq!((reader.spec().channels, reader.spec().sample_rate, reader.spec().bits_per_sample), (1, 24_000, 16));
        let pcm: Vec<i16> = reader.samples().map_while(Result::ok).collect();
        assert_eq!(pcm, [0, 16_384, -32_767]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_one_clear_line() {
        let mut sink = Box::new(WavSink::new("/dev/full"));
        sink.begin(&INFO).unwrap();
        sink.pcm(&[0.1; 24_000]).unwrap();
        let message = sink.finish().unwrap_err().to_string();
        assert_eq!(message, "cannot write the file: No space left on device (os error 28): /dev/full");
    }
}
