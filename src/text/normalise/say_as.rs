//! How SSML's `<say-as interpret-as="...">` is read: the kinds of "SSML 1.0 say-as attribute values" (W3C note, 2005) and
//! those that other engines have made common.

use super::{Context, Found, Known, Rule, dates, fractions, letters, money, numbers, phones, times, units};
use crate::text::clean::Clean;

/// The kinds, for messages.
pub(in crate::text) const KINDS: &str =
    "characters, spell-out, cardinal, number, ordinal, digits, date, time, telephone, currency, unit or fraction";

/// What an engine calls kinds: how a text of the kind is said in a rule's own writing, or `None` where it is not of the
/// kind; an error where there is no such kind or format.
pub(in crate::text) fn say_as(
    kind: &str,
    format: Option<&str>,
    text: &str,
    known: &dyn Known,
) -> Result<Option<String>, String> {
    if format.is_some() && kind != "date" {
        return Err("a format belongs to dates alone".into());
    }
    let clean = Clean::new(text.trim()).text;
    let cx = Context::new(&clean, known);
    let bare: String = clean.chars().filter(|c| !matches!(c, ',' | ' ')).collect();
    let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && (1..=36).contains(&text.len());
    Ok(match kind {
        "characters" | "spell-out" | "verbatim" => characters(&clean),
        "cardinal" | "number" => {
            let (sign, size) = match bare.strip_prefix(['-', '−']) {
                Some(size) => ("minus ", size),
                None => ("", bare.strip_prefix('+').unwrap_or(&bare)),
            };
            let (whole, part) = size.split_once('.').unwrap_or((size, ""));
            let words = whole.parse().ok().filter(|_| is_number(whole)).map(numbers::cardinal);
            match (words, part) {
                (Some(words), "") if !size.ends_with('.') => Some(format!("{sign}{words}")),
                (Some(words), part) if is_number(part) => {
                    Some(format!("{sign}{words} point {}", numbers::digit_by_digit(part)))
                }
                _ => None,
            }
        }
        "ordinal" => {
            let digits = ["st", "nd", "rd", "th"].iter().find_map(|end| bare.strip_suffix(end)).unwrap_or(&bare);
            digits.parse().ok().filter(|_| is_number(digits)).map(numbers::ordinal)
        }
        "digits" => {
            let digits: String = bare.chars().filter(|c| *c != '-').collect();
            is_number(&digits).then(|| numbers::digit_by_digit(&digits))
        }
        "telephone" => whole(&cx, &[phones::phone]).or_else(|| telephone(&clean)),
        "date" => match format {
            Some(format) => return formatted_date(format, &clean),
            None => whole(&cx, &[dates::iso, dates::slashed, dates::month_first, dates::day_first]),
        },
        "time" => whole(&cx, &[times::clock, times::hour]),
        "currency" => whole(&cx, &[money::symbol_first, money::symbol_last]),
        "unit" => whole(&cx, &[units::feet_and_inches, units::quantity]),
        "fraction" => whole(&cx, &[fractions::fraction]),
        _ => return Err(format!("cannot say {kind:?}: give {KINDS}")),
    })
}

/// The reading of the first rule that takes all of the text.
fn whole(cx: &Context<'_>, rules: &[Rule]) -> Option<String> {
    let found = rules.iter().filter_map(|rule| rule(cx)).find(|Found { len, .. }| *len == cx.text.len());
    found.map(|found| found.say)
}

/// Letters and digits by their names, other signs by theirs.
fn characters(text: &str) -> Option<String> {
    let name = |c: char| match c {
        ' ' => ",".to_string(),
        '.' => "dot".into(),
        ',' => "comma".into(),
        '-' | '–' | '—' | '−' => "dash".into(),
        '_' => "underscore".into(),
        '/' => "slash".into(),
        '\\' => "backslash".into(),
        ':' => "colon".into(),
        ';' => "semicolon".into(),
        '@' => "at".into(),
        '#' => "hash".into(),
        '*' => "star".into(),
        '+' => "plus".into(),
        '=' => "equals".into(),
        '&' => "and".into(),
        '%' => "percent".into(),
        '$' => "dollar".into(),
        '!' => "exclamation mark".into(),
        '?' => "question mark".into(),
        '\'' => "apostrophe".into(),
        '"' => "quote".into(),
        '(' | ')' | '[' | ']' | '{' | '}' => "bracket".into(),
        _ => letters::one_by_one(&deunicode::deunicode_char(c).unwrap_or_default().to_lowercase()),
    };
    let names: Vec<String> = text.chars().map(name).filter(|name| !name.is_empty()).collect();
    let said = names.iter().any(|name| name != ",");
    said.then(|| names.join(" "))
}

/// Any digits in groups.
fn telephone(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_digit() || matches!(c, ' ' | '-' | '.' | '(' | ')' | '/' | '+');
    let groups = text.split(|c: char| !c.is_ascii_digit()).filter(|group| !group.is_empty());
    let said: Vec<String> = groups.map(numbers::digit_by_digit).collect();
    let plus = if text.starts_with('+') { "plus " } else { "" };
    (text.chars().all(fits) && !said.is_empty()).then(|| format!("{plus}{}", said.join(" , ")))
}

/// A date whose parts stand in the order of `format`: y, m and d.
fn formatted_date(format: &str, text: &str) -> Result<Option<String>, String> {
    const FORMATS: [&str; 10] = ["mdy", "dmy", "ymd", "ydm", "md", "dm", "ym", "my", "y", "m"];
    if !FORMATS.contains(&format) && format != "d" {
        return Err(format!("no date has the format {format:?}: give mdy, dmy, ymd, md, dm, ym, my, y, m or d"));
    }
    let parts: Vec<&str> = text.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let separators = text.chars().all(|c| c.is_ascii_digit() || matches!(c, '/' | '-' | '.' | ' ' | ','));
    // One run of digits with a place for every part: 20261122.
    let widths: Vec<usize> = format.chars().map(|part| if part == 'y' { 4 } else { 2 }).collect();
    let run = parts.len() == 1 && format.len() > 1 && parts[0].len() == widths.iter().sum::<usize>();
    let parts: Vec<&str> = if run {
        let ends = widths.iter().scan(0, |end, width| {
            *end += width;
            Some(*end)
        });
        ends.zip(&widths).map(|(end, width)| &parts[0][end - width..end]).collect()
    } else {
        parts
    };
    if !separators || parts.len() != format.len() {
        return Ok(None);
    }
    let part = |wanted: char| format.find(wanted).map(|i| parts[i]);
    Ok(dates::say_parts(part('y'), part('m'), part('d')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::lexicon::{Misaki, UserLexicon, Words};

    fn said(kind: &str, format: Option<&str>, text: &str) -> Option<String> {
        say_as(kind, format, text, &Words { misaki: Misaki::shared(), user: &UserLexicon::default() }).unwrap()
    }

    #[test]
    fn every_kind_is_said_in_its_way() {
        for (kind, text, expected) in [
            ("characters", "Ab3-é", "^a ^b three dash ^e"),
            ("cardinal", "1,999", "one thousand nine hundred ninety nine"),
            ("cardinal", "-2.05", "minus two point zero five"),
            ("number", "007", "seven"),
            ("ordinal", "21", "twenty first"),
            ("ordinal", "3rd", "third"),
            ("digits", "2026", "two zero two six"),
            ("date", "2026-11-22", "November twenty second , twenty twenty six"),
            ("date", "May 4", "May fourth"),
            ("time", "3:30pm", "three thirty ^PM"),
            ("telephone", "911", "nine one one"),
            ("telephone", "+49 30 1234", "plus four nine , three zero , one two three four"),
            ("currency", "$3.50", "three dollars and fifty cents"),
            ("currency", "20 EUR", "twenty euros"),
            ("unit", "5 km", "five kilometers"),
            ("fraction", "3/4", "three quarters"),
        ] {
            assert_eq!(said(kind, None, text).as_deref(), Some(expected), "{kind} {text}");
        }
    }

    #[test]
    fn dates_follow_their_format() {
        for (format, text, expected) in [
            ("mdy", "2/3/2026", "February third , twenty twenty six"),
            ("dmy", "2/3/2026", "March second , twenty twenty six"),
            ("ymd", "20260302", "March second , twenty twenty six"),
            ("my", "3.1999", "March nineteen ninety nine"),
            ("dm", "2.3", "March second"),
            ("y", "1905", "nineteen oh five"),
            ("m", "12", "December"),
            ("d", "22", "twenty second"),
        ] {
            assert_eq!(said("date", Some(format), text).as_deref(), Some(expected), "{format} {text}");
        }
        assert_eq!(said("date", Some("mdy"), "13/3/2026"), None);
        assert_eq!(said("date", Some("mdy"), "tomorrow"), None);
    }

    #[test]
    fn what_is_not_of_the_kind_is_refused() {
        for (kind, text) in [
            ("cardinal", "many"),
            ("ordinal", ""),
            ("digits", "1a"),
            ("date", "soon"),
            ("time", "5 km"),
            ("currency", "5"),
            ("unit", "red"),
            ("fraction", "1"),
            ("characters", " "),
            ("telephone", "call me"),
        ] {
            assert_eq!(said(kind, None, text), None, "{kind} {text}");
        }
        let known = Words { misaki: Misaki::shared(), user: &UserLexicon::default() };
        assert!(say_as("song", None, "x", &known).unwrap_err().contains("cardinal"));
        assert!(say_as("date", Some("dym"), "1", &known).unwrap_err().contains("mdy"));
        assert!(say_as("time", Some("hms"), "1", &known).is_err());
    }
}
