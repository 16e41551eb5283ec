//! What describes a film inside of its file: captions that players show, and cues that programs read.
//!
//! Captions are 3GPP timed text (`tx3g`, TS 26.245), because it is what players show out of an MP4 file: QuickTime, VLC, mpv and
//! all that is built on FFmpeg. WebVTT in MP4 (`wvtt`, ISO 14496-30) is shown by hardly any of them, and browsers, which take
//! captions from a file beside the film, show neither.
//!
//! Cues are the JSON of a cue file in a `uuid` box of this program's at the end of the file (ISO 14496-12, 11.1). A track of
//! timed metadata (`mett`) would keep its place when a program cuts the film, but FFmpeg has no name for its coding, and
//! programs that expect one of every track fail.

use std::io::{self, Seek, SeekFrom, Write};

use tempfile::SpooledTempFile;

use super::boxes::box_header;
use super::track::Track;
use crate::cue::{Caption, Captioner, Cue, CueFormat, CueWriter};

/// The type of the box of cues: ebe94915-b919-4c39-a107-7b604f0575bf.
pub(crate) const CUES_BOX: [u8; 16] =
    [0xeb, 0xe9, 0x49, 0x15, 0xb9, 0x19, 0x4c, 0x39, 0xa1, 0x07, 0x7b, 0x60, 0x4f, 0x05, 0x75, 0xbf];

/// Bytes of JSON that stay in memory; what is more goes to a nameless temporary file.
const IN_MEMORY: usize = 1 << 16;

/// Captions and cues, in PCM samples.
pub(super) struct Description {
    pub(super) captions: Track,
    captioner: Captioner,
    json: CueWriter<SpooledTempFile>,
    is_empty: bool,
}

impl Description {
    pub(super) fn new(sample_rate: u32) -> io::Result<Self> {
        let json = CueWriter::new(CueFormat::Json, sample_rate, tempfile::spooled_tempfile(IN_MEMORY))?;
        Ok(Self { captions: Track::new(sample_rate), captioner: Captioner::default(), json, is_empty: true })
    }

    pub(super) fn cue(&mut self, cue: &Cue) -> io::Result<()> {
        self.is_empty = false;
        let captions = self.captioner.push(cue);
        show(&mut self.captions, captions);
        self.json.push(cue)
    }

    /// Whether no cue has come.
    pub(super) fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// Completes the captions up to the end of the sound.
    pub(super) fn finish(&mut self, total_samples: u64) {
        let captions = self.captioner.finish();
        show(&mut self.captions, captions);
        pad(&mut self.captions, total_samples, &[0, 0]);
    }

    /// Writes the box of cues, of a stream of `total_samples` PCM samples.
    pub(super) fn write_cues(self, total_samples: u64, writer: &mut impl Write) -> io::Result<()> {
        let mut json = self.json.finish(total_samples)?;
        let length = json.seek(SeekFrom::End(0))?;
        json.rewind()?;
        writer.write_all(&box_header(b"uuid", length + CUES_BOX.len() as u64))?;
        writer.write_all(&CUES_BOX)?;
        io::copy(&mut json, writer)?;
        Ok(())
    }
}

/// An MP4 sample for each caption, and an empty one for the time between two (TS 26.245, 5.17).
fn show(track: &mut Track, captions: Vec<Caption>) {
    for Caption { start_sample, end_sample, lines } in captions {
        pad(track, start_sample, &[0, 0]);
        let text = lines.join("\n");
        let length = u16::try_from(text.len()).unwrap_or(0);
        pad(track, end_sample, &[&length.to_be_bytes(), &text.as_bytes()[..usize::from(length)]].concat());
    }
}

/// An MP4 sample that lasts from the end of the track to `until`, if that is later.
fn pad(track: &mut Track, until: u64, bytes: &[u8]) {
    let ticks = until.saturating_sub(track.ticks);
    if ticks > 0 {
        track.push(bytes, u32::try_from(ticks).unwrap_or(u32::MAX), true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cue::{CueKind, read_json};

    fn cue(kind: CueKind, text: &str, start_sample: u64, end_sample: u64) -> Cue {
        Cue { kind, start_sample, end_sample, text: text.into(), source: None, chars: None }
    }

    fn mp4_samples(track: &mut Track) -> Vec<(Vec<u8>, u32)> {
        track.close_chunk();
        let mut all = Vec::new();
        while let Some(chunk) = track.next_chunk() {
            let mut rest = &chunk.bytes[..];
            for mp4_sample in &chunk.mp4_samples {
                let (bytes, left) = rest.split_at(mp4_sample.size as usize);
                all.push((bytes.to_vec(), mp4_sample.ticks));
                rest = left;
            }
        }
        all
    }

    #[test]
    fn captions_have_their_times_and_gaps_are_empty() {
        let mut text = Description::new(24_000).unwrap();
        let first = [
            cue(CueKind::Viseme, "sil", 0, 2400),
            cue(CueKind::Sentence, "Hello.", 2400, 14_400),
            cue(CueKind::Word, "hello", 2400, 14_400),
        ];
        let second = [cue(CueKind::Sentence, "Ünder.", 20_000, 30_000), cue(CueKind::Word, "under", 20_000, 30_000)];
        assert!(text.is_empty());
        first.iter().chain(&second).for_each(|cue| text.cue(cue).unwrap());
        assert!(!text.is_empty());
        text.finish(31_000);
        let shown = mp4_samples(&mut text.captions);
        let expected: [(&[u8], u32); 5] =
            [(b"\0\0", 2400), (b"\0\x05hello", 12_000), (b"\0\0", 5600), (b"\0\x05under", 10_000), (b"\0\0", 1000)];
        assert!(shown.iter().map(|(bytes, ticks)| (&**bytes, *ticks)).eq(expected), "{shown:?}");
        let mut bytes = Vec::new();
        text.write_cues(31_000, &mut bytes).unwrap();
        assert_eq!(bytes[..8], [&(bytes.len() as u32).to_be_bytes()[..], b"uuid"].concat());
        assert_eq!(bytes[8..24], CUES_BOX);
        let mut read = read_json(&bytes[24..]).unwrap().1;
        read.sort_by_key(|cue| (cue.start_sample, cue.kind as u8));
        assert_eq!(read, [first.as_slice(), second.as_slice()].concat());
    }
}
