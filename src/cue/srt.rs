//! Captions as SubRip (`.srt`), UTF-8.

use std::io::{self, Write};

use super::CueList;
use super::captions::{captions, clock};

/// Writes the captions.
///
/// # Errors
/// Those of `writer`.
pub fn write(list: &CueList, writer: &mut impl Write) -> io::Result<()> {
    for (index, caption) in captions(list).iter().enumerate() {
        if index > 0 {
            writeln!(writer)?;
        }
        let (start, end) = (clock(caption.start_ms, ','), clock(caption.end_ms, ','));
        writeln!(writer, "{}\n{start} --> {end}", index + 1)?;
        for line in &caption.lines {
            // The format has no escapes; its arrow is the one thing a text must not contain.
            writeln!(writer, "{}", line.replace("-->", "→"))?;
        }
    }
    Ok(())
}
