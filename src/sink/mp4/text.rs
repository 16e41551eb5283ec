//! The tracks that describe a film: captions that players show, and cues that programs read.
//!
//! Captions are 3GPP timed text (`tx3g`, TS 26.245), because it is what players show out of an MP4 file: QuickTime, VLC, mpv and
//! all that is built on FFmpeg. WebVTT in MP4 (`wvtt`, ISO 14496-30) is shown by hardly any of them, and browsers, which take
//! captions from a file beside the film, show neither.
//!
//! Cues are timed metadata (`mett`, ISO 14496-12) of one JSON object for each sentence, in the lists of a cue file. Timed
//! metadata keeps its place when a program cuts the film, and needs no more memory for a long text; an embedded file would.

use super::track::Track;
use crate::cue::{Caption, Captioner, Cue, to_line};

/// Both tracks, in PCM samples.
pub(super) struct TextTracks {
    pub(super) captions: Track,
    pub(super) cues: Track,
    captioner: Captioner,
    sample_rate: u32,
    /// Cues that came together, without sound in between: those of a sentence.
    group: Vec<Cue>,
    is_complete: bool,
}

impl TextTracks {
    pub(super) fn new(sample_rate: u32) -> Self {
        Self {
            captions: Track::new(sample_rate),
            cues: Track::new(sample_rate),
            captioner: Captioner::default(),
            sample_rate,
            group: Vec::new(),
            is_complete: false,
        }
    }

    pub(super) fn cue(&mut self, cue: &Cue) {
        let captions = self.captioner.push(cue);
        self.show(captions);
        if std::mem::take(&mut self.is_complete) {
            self.write_group(cue.start_sample);
        }
        self.group.push(cue.clone());
    }

    /// Whether any cue has come.
    pub(super) fn has_cues(&self) -> bool {
        self.cues.ticks > 0 || !self.group.is_empty()
    }

    /// Sound comes: the cues before it are all of their sentence.
    pub(super) fn pcm(&mut self) {
        self.is_complete = !self.group.is_empty();
    }

    /// Completes both tracks up to the end of the sound.
    pub(super) fn finish(&mut self, total_samples: u64) {
        let captions = self.captioner.finish();
        self.show(captions);
        pad(&mut self.captions, total_samples, &[0, 0]);
        self.write_group(total_samples);
    }

    /// An MP4 sample for each caption, and an empty one for the time between two (TS 26.245, 5.17).
    fn show(&mut self, captions: Vec<Caption>) {
        for Caption { start_sample, end_sample, lines } in captions {
            pad(&mut self.captions, start_sample, &[0, 0]);
            let text = lines.join("\n");
            let length = u16::try_from(text.len()).unwrap_or(0);
            pad(
                &mut self.captions,
                end_sample,
                &[&length.to_be_bytes(), &text.as_bytes()[..usize::from(length)]].concat(),
            );
        }
    }

    /// The cues at hand become the MP4 sample that lasts until the next ones start.
    fn write_group(&mut self, next_start: u64) {
        let line = to_line(&std::mem::take(&mut self.group), self.sample_rate);
        pad(&mut self.cues, next_start, &line);
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
        Cue { kind, start_sample, end_sample, text: text.into(), source: None }
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
        let mut text = TextTracks::new(24_000);
        let first = [
            cue(CueKind::Viseme, "sil", 0, 2400),
            cue(CueKind::Sentence, "Hello.", 2400, 14_400),
            cue(CueKind::Word, "hello", 2400, 14_400),
        ];
        let second = [cue(CueKind::Sentence, "Ünder.", 20_000, 30_000), cue(CueKind::Word, "under", 20_000, 30_000)];
        first.iter().for_each(|cue| text.cue(cue));
        text.pcm();
        text.pcm();
        second.iter().for_each(|cue| text.cue(cue));
        text.pcm();
        text.finish(31_000);
        let shown = mp4_samples(&mut text.captions);
        let expected: [(&[u8], u32); 5] =
            [(b"\0\0", 2400), (b"\0\x05hello", 12_000), (b"\0\0", 5600), (b"\0\x05under", 10_000), (b"\0\0", 1000)];
        assert!(shown.iter().map(|(bytes, ticks)| (&**bytes, *ticks)).eq(expected), "{shown:?}");
        // The second sentence's cues begin where the first of them does.
        let written = mp4_samples(&mut text.cues);
        assert_eq!(written.iter().map(|(_, ticks)| *ticks).collect::<Vec<_>>(), [20_000, 11_000]);
        let mut read: Vec<Cue> = written.iter().flat_map(|(bytes, _)| read_json(bytes).unwrap().1).collect();
        read.sort_by_key(|cue| (cue.start_sample, cue.kind as u8));
        assert_eq!(read, [first.as_slice(), second.as_slice()].concat());
    }
}
