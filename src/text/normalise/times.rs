//! Times of day, durations and ratios: what is written with a colon, or with am and pm.

use std::sync::LazyLock;

use regex::Regex;

use super::{Context, Found, numbers};

const HALF: &str = r"(?P<half>[aApP])(?:\.\s?[mM]\b\.?|[mM]\b)";
static CLOCK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"^(\d{{1,2}}):([0-5]\d)(?::([0-5]\d))?(?:\s?{HALF})?")).expect("a constant"));
static RATIO: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\d+):(\d+)").expect("a constant"));
static HOUR: LazyLock<Regex> = LazyLock::new(|| Regex::new(&format!(r"^(\d{{1,2}})\s?{HALF}")).expect("a constant"));

/// Books whose chapter and verse are written like a ratio.
const BOOKS: &[&str] = &[
    "Acts",
    "Corinthians",
    "Daniel",
    "Deuteronomy",
    "Ecclesiastes",
    "Ephesians",
    "Exodus",
    "Ezekiel",
    "Galatians",
    "Genesis",
    "Hebrews",
    "Isaiah",
    "James",
    "Jeremiah",
    "Job",
    "John",
    "Joshua",
    "Kings",
    "Leviticus",
    "Luke",
    "Mark",
    "Matthew",
    "Peter",
    "Proverbs",
    "Psalm",
    "Psalms",
    "Revelation",
    "Romans",
    "Samuel",
    "Timothy",
];

/// 3:30 pm, 15:00, 1:02:03 and ratios such as 3:1.
pub(super) fn clock(cx: &Context<'_>) -> Option<Found> {
    let ratio = || {
        let m = RATIO.captures(cx.rest())?;
        let between = if BOOKS.contains(&cx.previous_word()) { "" } else { "to " };
        let say = format!("{} {between}{}", numbers::number(&m[1]), numbers::number(&m[2]));
        if cx.ends_at(m[0].len()) { Found::some(m[0].len(), say) } else { None }
    };
    let Some(m) = CLOCK.captures(cx.rest()) else { return ratio() };
    let (hour, minute): (u128, u128) = (m[1].parse().ok()?, m[2].parse().ok()?);
    let len = cx.keep_final_stop(m[0].len());
    if !cx.ends_at(len) || hour > 24 {
        return ratio();
    }
    let half = m.name("half").map(|half| format!(" ^{}M", half.as_str().to_uppercase()));
    let say = match (m.get(3), minute) {
        (Some(second), _) if half.is_none() => {
            let parts = [(hour, "hour"), (minute, "minute"), (second.as_str().parse().ok()?, "second")];
            let counted =
                parts.map(|(n, unit)| format!("{} {unit}{}", numbers::cardinal(n), if n == 1 { "" } else { "s" }));
            format!("{} {} and {}", counted[0], counted[1], counted[2])
        }
        (_, 0) if half.is_some() => numbers::cardinal(hour),
        (_, 0) if hour == 0 => "midnight".to_string(),
        (_, 0) if hour <= 12 => format!("{} o'clock", numbers::cardinal(hour)),
        (_, 0) => format!("{} hundred", numbers::cardinal(hour)),
        (_, 1..=9) => format!("{} oh {}", numbers::cardinal(hour), numbers::cardinal(minute)),
        _ => format!("{} {}", numbers::cardinal(hour), numbers::cardinal(minute)),
    };
    Found::some(len, say + &half.unwrap_or_default())
}

/// 3 pm, 10am, 5 p.m.
pub(super) fn hour(cx: &Context<'_>) -> Option<Found> {
    let m = HOUR.captures(cx.rest())?;
    let hour: u128 = m[1].parse().ok().filter(|hour| *hour <= 24)?;
    let half = m["half"].to_uppercase();
    Found::some(cx.keep_final_stop(m[0].len()), format!("{} ^{half}M", numbers::cardinal(hour)))
}
