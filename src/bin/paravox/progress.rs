//! Progress on stderr; drawn only where that is a terminal, which indicatif sees to.

use indicatif::{ProgressBar, ProgressStyle};

#[cfg(feature = "train")]
/// A bar over items whose number is told as the work goes on.
pub(crate) fn items() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec} {eta}").expect("the template is right");
    ProgressBar::new(0).with_style(style)
}

/// A bar over the bytes of a text; without a length, a mark that moves.
pub(crate) fn text(len_bytes: Option<u64>) -> ProgressBar {
    /// A text that is spoken in about a second needs no bar.
    const SHORT_BYTES: u64 = 500;
    match len_bytes {
        Some(len) if len < SHORT_BYTES => ProgressBar::hidden(),
        Some(len) => {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3} % {elapsed} {eta}");
            ProgressBar::new(len).with_style(style.expect("the template is right"))
        }
        None => {
            let style = ProgressStyle::with_template("{spinner} {pos} bytes {elapsed}");
            ProgressBar::new_spinner().with_style(style.expect("the template is right"))
        }
    }
}
