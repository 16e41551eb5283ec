//! Dates: ISO, slashed, with the month's name, days of the week.

use std::sync::LazyLock;

use regex::Regex;

use super::{Context, Found, numbers};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTH: &str = r"(?P<month>Jan(?:uary|\.)?|Feb(?:ruary|\.)?|Mar(?:ch|\.)?|Apr(?:il|\.)?|May|June?\.?|July?\.?|Aug(?:ust|\.)?|Sept?(?:ember|\.)?|Oct(?:ober|\.)?|Nov(?:ember|\.)?|Dec(?:ember|\.)?)";
const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const DAY: &str = r"(?:Mon|Tues?|Wed|Thu(?:rs?)?|Fri|Sat|Sun)";

static ISO: LazyLock<Regex> = LazyLock::new(|| regex(r"^(\d{4})-(\d{1,2})-(\d{1,2})(T)?"));
static SLASHED: LazyLock<Regex> =
    LazyLock::new(|| regex(r"^(\d{1,2})(?:/(\d{1,2})/|\.(\d{1,2})\.|-(\d{1,2})-)(\d{4}|\d{2})"));
static MONTH_DAY: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(
        r"^{MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?:\s?[-–]\s?(?P<to>\d{{1,2}})(?:st|nd|rd|th)?)?(?P<year>,?\s+\d{{4}}\b)?"
    ))
});
static MONTH_YEAR: LazyLock<Regex> = LazyLock::new(|| regex(&format!(r"^{MONTH},?\s+(?P<year>[12]\d{{3}})\b")));
static DAY_MONTH: LazyLock<Regex> = LazyLock::new(|| {
    regex(&format!(r"^(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?{MONTH}(?P<rest>(?:,?\s+(?P<year>\d{{4}}))?)\b"))
});
static MONTH_RANGE: LazyLock<Regex> =
    LazyLock::new(|| regex(&format!(r"^({MONTH}\s?[-–]\s?)(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)")));
static DAY_RANGE: LazyLock<Regex> = LazyLock::new(|| regex(&format!(r"^({DAY})\.?\s?[-–]\s?({DAY})\b\.?")));
static DAY_BEFORE_DATE: LazyLock<Regex> =
    LazyLock::new(|| regex(&format!(r"^({DAY})\.?(,?)\s+(?:{MONTH}\.?\s+)?(?:the\s+)?\d")));

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("the pattern is a constant that the tests compile")
}

/// 2026-11-22, alone or before a time.
pub(super) fn iso(cx: &Context<'_>) -> Option<Found> {
    let m = ISO.captures(cx.rest())?;
    let time_follows = m.get(4).is_some() && cx.sign_after(m[0].len()).is_some_and(|c| c.is_ascii_digit());
    let len = m[0].len() - usize::from(m.get(4).is_some() && !time_follows);
    if !time_follows && (!cx.ends_at(len) || continues(cx, len)) {
        return None;
    }
    Found::some(len, say(month(&m[2])?, day(&m[3])?, m[1].parse().ok(), true))
}

/// 11/22/2026 or 22/11/2026: the American order unless it cannot be.
pub(super) fn slashed(cx: &Context<'_>) -> Option<Found> {
    let m = SLASHED.captures(cx.rest())?;
    let second = m.get(2).or(m.get(3)).or(m.get(4))?.as_str();
    if !cx.ends_at(m[0].len()) || continues(cx, m[0].len()) || (m.get(2).is_none() && m[5].len() == 2) {
        return None;
    }
    let (month, day) = match (month(&m[1]), month(second)) {
        (Some(first), _) => (first, day(second)?),
        (None, Some(second)) => (second, day(&m[1])?),
        (None, None) => return None,
    };
    Found::some(m[0].len(), say(month, day, m[5].parse().ok(), true))
}

/// Nov. 22nd; November 22, 2026; June 3-5; March 2020.
pub(super) fn month_first(cx: &Context<'_>) -> Option<Found> {
    if let Some(m) = MONTH_YEAR.captures(cx.rest()) {
        let say = format!("{} {}", named_month(&m["month"])?, numbers::year(m["year"].parse().ok()?));
        return Found::some(m[0].len(), say);
    }
    let m = MONTH_DAY.captures(cx.rest())?;
    let first = day(&m["day"])?;
    if !cx.ends_at(m[0].len()) || matches!(cx.sign_after(m[0].len()), Some(':' | '%' | '°')) {
        return None;
    }
    let mut words = format!("{} {}", named_month(&m["month"])?, numbers::ordinal(first));
    if let Some(to) = m.name("to") {
        words += &format!(" to {}", numbers::ordinal(day(to.as_str())?));
    }
    if let Some(year) = m.name("year") {
        let pause = if year.as_str().starts_with(',') { " ," } else { "" };
        words += &format!("{pause} {}", numbers::year(digits(year.as_str())?));
    }
    Found::some(m[0].len(), words)
}

/// Jan.–Mar. 2020: the first month and "to"; the second is read as it comes.
pub(super) fn month_range(cx: &Context<'_>) -> Option<Found> {
    let m = MONTH_RANGE.captures(cx.rest())?;
    Found::some(m[1].len(), format!("{} to", named_month(&m["month"])?))
}

/// 22 November 2026; the 22nd of November.
pub(super) fn day_first(cx: &Context<'_>) -> Option<Found> {
    let m = DAY_MONTH.captures(cx.rest())?;
    let day = day(&m["day"])?;
    let article = if cx.previous_word().eq_ignore_ascii_case("the") { "" } else { "the " };
    let mut words = format!("{article}{} of {}", numbers::ordinal(day), named_month(&m["month"])?);
    if let Some(year) = m.name("year") {
        words += &format!(" {}", numbers::year(year.as_str().parse().ok()?));
    }
    Found::some(m[0].len(), words)
}

/// Mon., Jan. 5; Fri. the 13th; Mon-Fri.
pub(super) fn weekday(cx: &Context<'_>) -> Option<Found> {
    if let Some(m) = DAY_RANGE.captures(cx.rest()) {
        return Found::some(m[0].len(), format!("{} to {}", named_day(&m[1])?, named_day(&m[2])?));
    }
    let m = DAY_BEFORE_DATE.captures(cx.rest())?;
    let with_stop = m[1].len() + usize::from(cx.rest()[m[1].len()..].starts_with('.'));
    Found::some(with_stop, named_day(&m[1])?)
}

/// A date of any of its parts in digits, or `None` where they are none of a date.
pub(super) fn say_parts(year: Option<&str>, of_month: Option<&str>, of_day: Option<&str>) -> Option<String> {
    let year = year.map(|year| year.parse().map(numbers::year).ok());
    let (month, day) = (of_month.map(month), of_day.map(|digits| day(digits).map(numbers::ordinal)));
    // Parts that are there and wrong end it.
    let head = [month.map(|month| month.map(str::to_string)), day].into_iter().flatten().collect::<Option<Vec<_>>>()?;
    let head = head.join(" ");
    match (year, of_day.is_some()) {
        (None, _) => Some(head),
        (Some(year), _) if head.is_empty() => year,
        (Some(year), true) => Some(format!("{head} , {}", year?)),
        (Some(year), false) => Some(format!("{head} {}", year?)),
    }
}

/// "November." and its short forms, in full.
pub(super) fn named_month(text: &str) -> Option<&'static str> {
    let short = text.get(..3)?;
    MONTHS.into_iter().find(|month| month.starts_with(short))
}

fn named_day(text: &str) -> Option<&'static str> {
    DAYS.into_iter().find(|day| day.starts_with(&text[..3]))
}

fn month(digits: &str) -> Option<&'static str> {
    MONTHS.get(digits.parse::<usize>().ok()?.checked_sub(1)?).copied()
}

fn day(digits: &str) -> Option<u128> {
    digits.parse().ok().filter(|day| (1..=31).contains(day))
}

fn digits(text: &str) -> Option<u128> {
    text.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok()
}

/// Whether more digits follow after a separator, so that this is no date.
fn continues(cx: &Context<'_>, len: usize) -> bool {
    let mut rest = cx.rest()[len..].chars();
    matches!(rest.next(), Some('/' | '-' | '.')) && rest.next().is_some_and(|c| c.is_ascii_digit())
}

fn say(month: &str, day: u128, year: Option<u128>, pause: bool) -> String {
    let year = year.map(|year| format!("{} {}", if pause { " ," } else { "" }, numbers::year(year)));
    format!("{month} {}{}", numbers::ordinal(day), year.unwrap_or_default())
}
