//! Captions as files: SubRip (`.srt`) and WebVTT (W3C, "WebVTT: The Web Video Text Tracks Format"), both UTF-8.

use std::io::{self, Write};

use super::Cue;
use super::captions::{Caption, Captioner};
use super::writer::milliseconds;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Syntax {
    Srt,
    Vtt,
}

/// Writes captions as their sentences come.
pub(super) struct SubtitleWriter<W> {
    syntax: Syntax,
    sample_rate: u32,
    captioner: Captioner,
    written: u64,
    writer: W,
}

impl<W: Write> SubtitleWriter<W> {
    pub(super) fn new(syntax: Syntax, sample_rate: u32, mut writer: W) -> io::Result<Self> {
        if syntax == Syntax::Vtt {
            writeln!(writer, "WEBVTT\n")?;
        }
        Ok(Self { syntax, sample_rate, captioner: Captioner::default(), written: 0, writer })
    }

    pub(super) fn push(&mut self, cue: &Cue) -> io::Result<()> {
        let captions = self.captioner.push(cue);
        captions.iter().try_for_each(|caption| self.write(caption))
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        let captions = self.captioner.finish();
        captions.iter().try_for_each(|caption| self.write(caption))?;
        Ok(self.writer)
    }

    fn write(&mut self, caption: &Caption) -> io::Result<()> {
        let start_ms = milliseconds(caption.start_sample, self.sample_rate);
        let end_ms = milliseconds(caption.end_sample, self.sample_rate).max(start_ms + 1);
        self.written += 1;
        if self.written > 1 {
            writeln!(self.writer)?;
        }
        let point = match self.syntax {
            Syntax::Srt => {
                writeln!(self.writer, "{}", self.written)?;
                ','
            }
            Syntax::Vtt => '.',
        };
        writeln!(self.writer, "{} --> {}", clock(start_ms, point), clock(end_ms, point))?;
        for line in &caption.lines {
            let line = match self.syntax {
                // The format has no escapes; its arrow is the one thing a text must not contain.
                Syntax::Srt => line.replace("-->", "→"),
                Syntax::Vtt => line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"),
            };
            writeln!(self.writer, "{line}")?;
        }
        Ok(())
    }
}

/// `hours:minutes:seconds` with milliseconds behind `point`.
fn clock(milliseconds: u64, point: char) -> String {
    let seconds = milliseconds / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}{point}{:03}", milliseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_hours_are_written_out() {
        assert_eq!(clock(0, '.'), "00:00:00.000");
        assert_eq!(clock(36_754_321, ','), "10:12:34,321");
    }
}
