//! Captions as WebVTT (W3C, "WebVTT: The Web Video Text Tracks Format").

use std::io::{self, Write};

use super::CueList;
use super::captions::{captions, clock};

/// Writes the captions.
///
/// # Errors
/// Those of `writer`.
pub fn write(list: &CueList, writer: &mut impl Write) -> io::Result<()> {
    writeln!(writer, "WEBVTT")?;
    for caption in captions(list) {
        let (start, end) = (clock(caption.start_ms, '.'), clock(caption.end_ms, '.'));
        writeln!(writer, "\n{start} --> {end}")?;
        for line in &caption.lines {
            writeln!(writer, "{}", line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"))?;
        }
    }
    Ok(())
}
