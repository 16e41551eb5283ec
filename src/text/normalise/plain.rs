//! Numbers that stand alone: years, names, versions, ordinals, decades, plain cardinals.

use std::sync::LazyLock;

use regex::Regex;

use super::{Context, Found, numbers};

/// Words after which a number of four digits is a year.
const BEFORE_YEAR: &[&str] = &[
    "in",
    "since",
    "by",
    "until",
    "till",
    "before",
    "after",
    "during",
    "circa",
    "c",
    "ca",
    "year",
    "summer",
    "winter",
    "spring",
    "autumn",
    "fall",
    "early",
    "late",
    "copyright",
];

/// Nouns after which a number is a name and is read in pairs.
const BEFORE_NAME: &[&str] = &[
    "port",
    "boeing",
    "flight",
    "room",
    "route",
    "highway",
    "interstate",
    "suite",
    "apartment",
    "apt",
    "bus",
    "rtx",
    "gtx",
    "area",
    "channel",
    "model",
    "extension",
];

static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:\d{1,3}(?: \d{3})+\b|(?:\d{1,3}(?:,\d{2,3})+|\d+)(?:\.\d+)?|\.\d+)").expect("a constant")
});
static SCIENTIFIC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})\b").expect("a constant"));
static MILLIONS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\d+(?:\.\d+)?)(M|bn)").expect("a constant"));
static VERSION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(v|V)?(\d+(?:\.\d+)*)").expect("a constant"));
static TIMES_BY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(\d+(?:\.\d+)?)\s?[x×]\s?(\d+(?:\.\d+)?)\b").expect("a constant"));
static ORDINAL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th|ST|ND|RD|TH)\b").expect("a constant"));
static DECADE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^'?(\d{1,3}(?:,\d{3})+|\d{1,4})('?s)\b").expect("a constant"));
static AGE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(\d+)-(year|month|week|day|hour|minute)(s?)-old(s?)\b").expect("a constant"));
static HEXADECIMAL: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^0[xX][0-9A-Fa-f]+\b").expect("a constant"));
static HOUSE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^\d{3,5} (?:[A-Z][a-z]+ )+(?:St|Street|Ave|Avenue|Rd|Road|Dr|Drive|Blvd|Boulevard|Ln|Lane|Way|Ct|Court)\b",
    )
    .expect("a constant")
});

/// 1e-5, 3.0e8; 1.2M.
pub(super) fn scientific(cx: &Context<'_>) -> Option<Found> {
    if let Some(m) = SCIENTIFIC.captures(cx.rest()) {
        let sign = if m[2].starts_with('-') { "minus " } else { "" };
        let power = numbers::number(m[2].trim_start_matches(['+', '-']));
        return Found::some(m[0].len(), format!("{} times ten to the {sign}{power}", numbers::decimal(&m[1])));
    }
    let m = MILLIONS.captures(cx.rest())?;
    let scale = if &m[2] == "M" { "million" } else { "billion" };
    // "3M" may be a name.
    let next = cx.next_word(m[0].len());
    let counts = m[1].contains('.') || m[1].len() > 1 || next == "people" || next.ends_with('s');
    if counts && cx.ends_at(m[0].len()) {
        Found::some(m[0].len(), format!("{} {scale}", numbers::decimal(&m[1])))
    } else {
        None
    }
}

/// v2.1.3, 2.1.3, 192.168.0.1.
pub(super) fn version(cx: &Context<'_>) -> Option<Found> {
    let m = VERSION.captures(cx.rest())?;
    let parts: Vec<&str> = m[2].split('.').collect();
    if !cx.ends_at(m[0].len()) || (m.get(1).is_none() && parts.len() < 3) {
        return None;
    }
    if parts.len() == 4 && m.get(1).is_none() {
        let groups: Vec<String> = parts.iter().map(|part| numbers::digit_by_digit(part)).collect();
        return Found::some(m[0].len(), groups.join(" dot "));
    }
    let numbers: Vec<String> = parts.iter().map(|part| numbers::number(part)).collect();
    let version = if m.get(1).is_some() { "version " } else { "" };
    Found::some(m[0].len(), format!("{version}{}", numbers.join(" point ")))
}

/// 4x4, 1920 × 1080 as sizes; "3 × 4" with spaces is a product.
pub(super) fn times_by(cx: &Context<'_>) -> Option<Found> {
    let m = TIMES_BY.captures(cx.rest())?;
    if m[0].contains(" ×") || m[0].contains("× ") {
        return None;
    }
    let side = |text: &str| match text.parse::<u32>() {
        Ok(1000..) => numbers::name(text),
        _ => numbers::decimal(text),
    };
    Found::some(m[0].len(), format!("{} by {}", side(&m[1]), side(&m[2])))
}

/// 1st, 22nd, 1,000th.
pub(super) fn ordinal(cx: &Context<'_>) -> Option<Found> {
    let m = ORDINAL.captures(cx.rest())?;
    Found::some(m[0].len(), numbers::ordinal(m[1].replace(',', "").parse().ok()?))
}

/// 1990s, '90s, 80s, 1s, and '99.
pub(super) fn decade(cx: &Context<'_>) -> Option<Found> {
    if let Some(year) = cx.rest().strip_prefix('\'')
        && let Some(digits) = year.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
        && cx.ends_at(3)
    {
        let n: u128 = digits.parse().ok()?;
        return Found::some(3, if n < 10 { format!("oh {}", numbers::cardinal(n)) } else { numbers::cardinal(n) });
    }
    let m = DECADE.captures(cx.rest())?;
    let n: u128 = m[1].replace(',', "").parse().ok()?;
    if m[1].contains(',') || n == 100 {
        // "thousands", not "one thousands".
        let words = numbers::plural(&numbers::cardinal(n));
        return Found::some(m[0].len(), words.strip_prefix("one ").unwrap_or(&words));
    }
    if &m[2] == "'s" && m[1].len() != 4 {
        return None;
    }
    let words = match m[1].len() {
        4 if n.is_multiple_of(10) || &m[2] == "'s" => numbers::year(n),
        3 | 4 => numbers::name(&m[1]),
        _ => numbers::cardinal(n),
    };
    if &m[2] == "'s" {
        return Found::some(m[0].len(), format!("{words}'s"));
    }
    Found::some(m[0].len(), numbers::plural(&words))
}

/// 5-year-old.
pub(super) fn age(cx: &Context<'_>) -> Option<Found> {
    let m = AGE.captures(cx.rest())?;
    Found::some(m[0].len(), format!("{} {}{} old{}", numbers::number(&m[1]), &m[2], &m[3], &m[4]))
}

/// 0x1F.
pub(super) fn hexadecimal(cx: &Context<'_>) -> Option<Found> {
    let m = HEXADECIMAL.find(cx.rest())?;
    Found::some(m.len(), super::letters::one_by_one(m.as_str()))
}

/// Any other number: a year, a name or a cardinal.
pub(super) fn number(cx: &Context<'_>) -> Option<Found> {
    let m = NUMBER.find(cx.rest())?.as_str();
    // Letters may follow only where no rule below reads the whole: "5km" came before, "3D" comes after.
    if !cx.ends_at(m.len()) {
        return None;
    }
    let plain = m.bytes().all(|b| b.is_ascii_digit());
    let previous = cx.previous_word().to_lowercase();
    let say = if m.contains(' ') {
        numbers::number(&m.replace(' ', ","))
    } else if plain && is_year(cx, m, &previous) {
        numbers::year(m.parse().ok()?)
    } else if plain && (BEFORE_NAME.contains(&previous.as_str()) || HOUSE.is_match(cx.rest()) || is_early_year(cx, m)) {
        numbers::name(m)
    } else {
        numbers::decimal(m)
    };
    Found::some(m.len(), say)
}

/// Whether a number of three digits is a year: 476 AD.
fn is_early_year(cx: &Context<'_>, digits: &str) -> bool {
    digits.len() == 3 && matches!(cx.next_word(digits.len()), "AD" | "BC" | "BCE" | "CE")
}

/// Whether a number of four digits is a year: it follows a word such as "in", or nothing that is counted follows it.
fn is_year(cx: &Context<'_>, digits: &str, previous: &str) -> bool {
    let Ok(n @ 1000..=2099) = digits.parse::<u32>() else { return false };
    if BEFORE_NAME.contains(&previous) || matches!(previous, "than" | "over" | "about" | "nearly" | "all" | "number") {
        return false;
    }
    let next = cx.next_word(digits.len());
    let counted = matches!(next, "people" | "men" | "women" | "children" | "percent" | "million" | "thousand" | "of")
        || (next.ends_with('s')
            && next.starts_with(char::is_lowercase)
            && !matches!(next, "is" | "was" | "has" | "as" | "its" | "this" | "it's" | "does" | "us" | "vs"));
    match BEFORE_YEAR.contains(&previous) {
        true => !counted || n >= 1100,
        false => !counted && n >= 1100,
    }
}
