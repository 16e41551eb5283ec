//! Progress on stderr; drawn only where that is a terminal, which indicatif sees to.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over items whose number is told as the work goes on.
pub(crate) fn items() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {per_sec} {eta}").expect("the template is right");
    ProgressBar::new(0).with_style(style)
}
