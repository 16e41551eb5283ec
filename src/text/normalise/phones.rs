//! Telephone numbers, read digit by digit with a pause between the groups.

use std::sync::LazyLock;

use regex::Regex;

use super::{Context, Found, numbers};

static PHONE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^(?:",
        // International: +44 20 7946 0958.
        r"\+\d{1,3}(?:[ .-]?\(?\d{1,4}\)?){2,5}",
        // American: 1-800-555-0199, (555) 123-4567, 555.123.4567, 555-1234.
        r"|(?:1[ .-])?(?:\(\d{3}\)\s?|\d{3}[.-])\d{3}[.-]\d{4}",
        r"|\d{3}-\d{4}",
        r")"
    ))
    .expect("a constant")
});

/// A telephone number, or a number that is called in need after "call" or "dial".
pub(super) fn phone(cx: &Context<'_>) -> Option<Found> {
    if let Some(m) = PHONE.find(cx.rest()) {
        let follows = cx.rest()[m.end()..].trim_start_matches(['-', '.', '/', ',']);
        let goes_on = follows.len() < cx.rest().len() - m.end() && follows.starts_with(|c: char| c.is_ascii_digit());
        if !cx.ends_at(m.end()) || goes_on || m.as_str().chars().filter(char::is_ascii_digit).count() < 7 {
            return None;
        }
        let plus = if m.as_str().starts_with('+') { "plus " } else { "" };
        let groups = m.as_str().split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty());
        let said: Vec<String> = groups
            .map(|group| if group == "800" { "eight hundred".to_string() } else { numbers::digit_by_digit(group) })
            .collect();
        return Found::some(m.end(), format!("{plus}{}", said.join(" , ")));
    }
    let digits = cx.rest().find(|c: char| !c.is_ascii_digit()).unwrap_or(cx.rest().len());
    let called =
        matches!(cx.previous_word().to_lowercase().as_str(), "call" | "dial" | "called" | "dialed" | "calling");
    if called && digits == 3 && cx.ends_at(3) {
        return Found::some(3, numbers::digit_by_digit(&cx.rest()[..3]));
    }
    None
}
