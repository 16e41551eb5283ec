//! Fractions: 3/4, ½, 2½, 1 1/2, and numbers with a slash that are none.

use std::sync::LazyLock;

use regex::Regex;

use super::{Context, Found, numbers};

static SLASHED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:(\d{1,4})\s+)?(\d{1,4})/(\d{1,4})").expect("a constant"));
static SIGN: LazyLock<Regex> = LazyLock::new(|| Regex::new("^(?:(\\d+)\\s?)?([½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])").expect("a constant"));

const SIGNS: [(&str, u128, u128); 15] = [
    ("½", 1, 2),
    ("⅓", 1, 3),
    ("⅔", 2, 3),
    ("¼", 1, 4),
    ("¾", 3, 4),
    ("⅕", 1, 5),
    ("⅖", 2, 5),
    ("⅗", 3, 5),
    ("⅘", 4, 5),
    ("⅙", 1, 6),
    ("⅚", 5, 6),
    ("⅛", 1, 8),
    ("⅜", 3, 8),
    ("⅝", 5, 8),
    ("⅞", 7, 8),
];

/// A fraction, or two numbers that are called by name: 24/7, 9/11, 120/80.
pub(super) fn fraction(cx: &Context<'_>) -> Option<Found> {
    if let Some(m) = SIGN.captures(cx.rest()) {
        let (_, upper, lower) = SIGNS.into_iter().find(|s| s.0 == &m[2])?;
        let whole = m.get(1).map(|w| w.as_str());
        return with_unit(cx, m[0].len(), say(whole, upper, lower), whole.is_some());
    }
    let m = SLASHED.captures(cx.rest())?;
    let len = m[0].len();
    if !cx.ends_at(len) || cx.sign_after(len) == Some('/') || cx.last_sign() == Some('/') {
        return None;
    }
    let whole = m.get(1).map(|w| w.as_str());
    let (upper, lower): (u128, u128) = (m[2].parse().ok()?, m[3].parse().ok()?);
    let usual = (2..=20).contains(&lower) || [25, 30, 32, 50, 60, 64, 100, 1000].contains(&lower);
    let say = match (upper, lower) {
        (24, 7) | (9, 11) => format!("{} {}", numbers::cardinal(upper), numbers::cardinal(lower)),
        _ if upper == lower => format!("{} {}", numbers::cardinal(upper), numbers::cardinal(lower)),
        _ if usual && upper > 0 && upper < 100 => {
            return with_unit(cx, len, say(whole, upper, lower), whole.is_some() || upper > lower);
        }
        _ if whole.is_some() => return None,
        _ => format!("{} over {}", numbers::cardinal(upper), numbers::cardinal(lower)),
    };
    Found::some(len, say)
}

/// The fraction with the unit that may follow it: "one half teaspoon".
fn with_unit(cx: &Context<'_>, len: usize, say: String, more: bool) -> Option<Found> {
    match super::units::after_fraction(cx, len, more) {
        Some((end, unit)) => Found::some(end, format!("{say} {unit}")),
        None => Found::some(len, say),
    }
}

fn say(whole: Option<&str>, upper: u128, lower: u128) -> String {
    let part = numbers::denominator(lower, upper != 1);
    match whole {
        None => format!("{} {part}", numbers::cardinal(upper)),
        Some(whole) if upper == 1 && matches!(lower, 2 | 4) => format!("{} and a {part}", numbers::number(whole)),
        Some(whole) => format!("{} and {} {part}", numbers::number(whole), numbers::cardinal(upper)),
    }
}
