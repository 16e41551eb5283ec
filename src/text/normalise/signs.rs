//! Signs: arithmetic, dashes, ampersands and the like, where they are said at all.

use super::{Context, Found, numbers};

/// Reads the sign at the cursor, if it has a reading here.
pub(super) fn sign(cx: &Context<'_>) -> Option<Found> {
    let sign = cx.rest().chars().next()?;
    let len = sign.len_utf8();
    let after = cx.rest()[len..].chars().next();
    let before = cx.last_sign();
    let next = cx.rest()[len..].trim_start().chars().next();
    let last = cx.before().trim_end().chars().next_back();
    let is_operand = |c: Option<char>| {
        c.is_some_and(|c| c.is_alphanumeric() || matches!(c, ')' | '(' | '²' | '³' | '-' | '√' | 'π'))
    };
    let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let between = is_operand(last) && is_operand(next);
    let spaced = before == Some(' ') && after == Some(' ');
    let say = match sign {
        '&' if cx.rest().starts_with("&amp;") => return Found::some(5, "and"),
        '&' => "and",
        '@' => "at",
        '%' => "percent",
        '°' => "degrees",
        '§' => "section",
        '©' => "copyright",
        '×' | '∗' => "times",
        '÷' => "divided by",
        '±' => "plus or minus",
        '≈' if between => "is approximately",
        '≈' => "approximately",
        '≠' => "not equal to",
        '≤' => "less than or equal to",
        '≥' => "greater than or equal to",
        '∞' => "infinity",
        '√' => "square root of",
        'π' => "pi",
        '²' => "squared",
        '³' => "cubed",
        '−' => "minus",
        '→' if between => "to",
        '~' if is_digit(after) => "about",
        '<' if cx.rest().starts_with("<=") => return Found::some(2, "less than or equal to"),
        '>' if cx.rest().starts_with(">=") => return Found::some(2, "greater than or equal to"),
        '<' if between && (spaced || is_digit(before) || is_digit(after)) => "less than",
        '>' if between && (spaced || is_digit(before) || is_digit(after)) => "greater than",
        '=' if cx.rest().starts_with("==") => {
            return Found::some(cx.rest().len() - cx.rest().trim_start_matches('=').len(), "equals");
        }
        '=' if between => "equals",
        '*' if between && is_digit(last) && is_digit(next) => "times",
        '^' if cx.rest().starts_with("^2") && cx.ends_at(2) && before.is_some_and(char::is_alphabetic) => {
            return Found::some(2, "squared");
        }
        '^' if between => "to the power of",
        '+' if cx.rest().starts_with("++") && before.is_some_and(char::is_alphabetic) => {
            return Found::some(2, "plus plus");
        }
        '+' if between || is_digit(after) || before.is_some_and(char::is_alphanumeric) => "plus",
        '#' if before.is_some_and(|c| c.is_ascii_uppercase()) => "sharp",
        '/' if spaced && between && (cx.text.contains('=') || (is_digit(last) && is_digit(next))) => "divided by",
        '/' if is_operand(before) && is_operand(after) => "slash",
        '\\' if after.is_some_and(char::is_alphanumeric) => "backslash",
        '$' if next.is_none_or(|c| !c.is_alphanumeric()) && before.is_none_or(|c| c == ' ') => "dollar sign",
        '-' | '–' => return dash(cx, len, between, spaced),
        '_' => "",
        '|' | '•' | '·' | '[' | ']' | '{' | '}' => ",",
        '…' => return None,
        c if c.is_numeric() => return other_numeral(c),
        c if c.is_alphabetic() => return other_letters(cx),
        _ => return None,
    };
    Found::some(len, say)
}

/// A hyphen or short dash that no word or number took: minus, "to", or a pause.
fn dash(cx: &Context<'_>, len: usize, between: bool, spaced: bool) -> Option<Found> {
    let (before, after) = (cx.last_sign(), cx.rest()[len..].chars().next());
    let starts_number = |c: char| c.is_ascii_digit() || matches!(c, '$' | '£' | '€' | '.');
    let ends_number = |c: char| c.is_ascii_digit() || matches!(c, '%' | '°' | '$' | '\'' | '"');
    // A school mark: "a B- in art".
    let mark = cx.previous_word();
    if mark.len() == 1
        && "ABCD".contains(mark)
        && cx.before().ends_with(mark)
        && after.is_none_or(|c| !c.is_alphanumeric() && c != '-')
    {
        return Found::some(len, "minus");
    }
    let after_half = cx.before().to_lowercase().trim_end_matches('.').ends_with(['m']) && is_after_hour(cx.before());
    let hyphen = cx.rest().starts_with('-');
    let digits_around = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    if after.is_some_and(starts_number) && (before.is_some_and(ends_number) || after_half) {
        return Found::some(len, "to");
    }
    if spaced && between {
        let last = cx.before().trim_end().chars().next_back();
        let next = cx.rest()[len..].trim_start().chars().next();
        if digits_around(last) && digits_around(next) {
            return Found::some(len, if hyphen { "minus" } else { "to" });
        }
        if cx.text.contains('=') && (digits_around(next) || digits_around(last)) {
            return Found::some(len, "minus");
        }
    }
    if after.is_some_and(starts_number) && before.is_none_or(|c| !c.is_alphanumeric()) {
        return Found::some(len, "minus");
    }
    let operator_before = cx.before().trim_end().ends_with(['=', '+', '*', '(', '<', '>', '±']);
    if operator_before && !cx.before().trim().is_empty() && after.is_some_and(char::is_alphabetic) {
        return Found::some(len, "minus");
    }
    // A hyphen between letters joins; at the beginning of the text it is a list's bullet.
    let inside = before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric);
    if (hyphen && inside) || cx.before().trim().is_empty() {
        return Found::some(len, "");
    }
    if hyphen && !spaced && !cx.rest().starts_with("--") {
        return Found::some(len, "");
    }
    Found::some(cx.rest().len() - cx.rest().trim_start_matches(['-', '–']).len(), ",")
}

/// Whether a text ends in a time such as "9am".
fn is_after_hour(text: &str) -> bool {
    let text = text.trim_end_matches('.').to_lowercase();
    let stem = text.trim_end_matches('m').trim_end_matches('.').trim_end_matches(['a', 'p']);
    stem.len() < text.len() && stem.trim_end().ends_with(|c: char| c.is_ascii_digit())
}

/// Digits of other scripts that are whole numbers.
fn other_numeral(sign: char) -> Option<Found> {
    let ascii = deunicode::deunicode_char(sign)?;
    let digits: String = ascii.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() { None } else { Found::some(sign.len_utf8(), numbers::number(&digits)) }
}

/// Letters that stuck to a number or sign, so that no rule took them as a word.
fn other_letters(cx: &Context<'_>) -> Option<Found> {
    let len = cx.rest().find(|c: char| !c.is_alphabetic()).unwrap_or(cx.rest().len());
    Found::some(len, super::letters::say(&cx.rest()[..len], cx.known, cx.shouting))
}
