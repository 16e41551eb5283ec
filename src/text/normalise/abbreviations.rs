//! Abbreviations and initials.

use super::{Context, Found, dates, letters};

/// Read in full wherever they stand with their full stop.
const ALWAYS: &[(&str, &str)] = &[
    ("Mr.", "Mister"),
    ("Mrs.", "Missus"),
    ("Ms.", "Miz"),
    ("Prof.", "Professor"),
    ("Rev.", "Reverend"),
    ("Hon.", "Honorable"),
    ("Capt.", "Captain"),
    ("Lt.", "Lieutenant"),
    ("Sgt.", "Sergeant"),
    ("Maj.", "Major"),
    ("Cmdr.", "Commander"),
    ("Gov.", "Governor"),
    ("Jr.", "Junior"),
    ("Sr.", "Senior"),
    ("Esq.", "Esquire"),
    ("Inc.", "Incorporated"),
    ("Ltd.", "Limited"),
    ("Corp.", "Corporation"),
    ("Bros.", "Brothers"),
    ("Ave.", "Avenue"),
    ("Blvd.", "Boulevard"),
    ("Hwy.", "Highway"),
    ("Mt.", "Mount"),
    ("Ft.", "Fort"),
    ("e.g.", "for example"),
    ("E.g.", "For example"),
    ("I.e.", "That is"),
    ("i.e.", "that is"),
    ("etc.", "et cetera"),
    ("vs.", "versus"),
    ("cf.", "compare"),
    ("approx.", "approximately"),
    ("dept.", "department"),
    ("Dept.", "Department"),
    ("univ.", "university"),
    ("Univ.", "University"),
    ("a.k.a.", "also known as"),
    ("al.", "al"),
    ("est.", "established"),
    ("misc.", "miscellaneous"),
    ("bldg.", "building"),
    ("Bldg.", "Building"),
    ("govt.", "government"),
    ("Govt.", "Government"),
    ("Assn.", "Association"),
    ("tel.", "telephone"),
    ("Tel.", "Telephone"),
    ("Ph.D.", "^PHD"),
    ("mfg.", "manufacturing"),
    ("avg.", "average"),
    ("incl.", "including"),
    ("excl.", "excluding"),
    ("ext.", "extension"),
    ("Messrs.", "Messers"),
];

/// Read in full before a capital letter: titles.
const BEFORE_NAME: &[(&str, &str)] = &[
    ("Gen.", "General"),
    ("Col.", "Colonel"),
    ("Sen.", "Senator"),
    ("Rep.", "Representative"),
    ("Pres.", "President"),
    ("Fr.", "Father"),
    ("Supt.", "Superintendent"),
    ("Adm.", "Admiral"),
    ("Cpl.", "Corporal"),
    ("Pvt.", "Private"),
    ("Amb.", "Ambassador"),
];

/// Read in full before a number.
const BEFORE_NUMBER: &[(&str, &str)] = &[
    ("No.", "number"),
    ("no.", "number"),
    ("Nos.", "numbers"),
    ("nos.", "numbers"),
    ("pp.", "pages"),
    ("p.", "page"),
    ("Fig.", "figure"),
    ("fig.", "figure"),
    ("Figs.", "figures"),
    ("Vol.", "volume"),
    ("vol.", "volume"),
    ("Ch.", "chapter"),
    ("ch.", "chapter"),
    ("Eq.", "equation"),
    ("eq.", "equation"),
    ("Sec.", "section"),
    ("sec.", "section"),
    ("Art.", "article"),
    ("c.", "circa"),
    ("ca.", "circa"),
    ("min.", "minimum"),
    ("max.", "maximum"),
    ("Apt.", "apartment"),
    ("Rt.", "route"),
    ("Rte.", "route"),
    ("Op.", "opus"),
    ("op.", "opus"),
];

/// Read in full after a capitalised word.
const AFTER_NAME: &[(&str, &str)] = &[
    ("Co.", "Company"),
    ("Rd.", "Road"),
    ("Ln.", "Lane"),
    ("Ct.", "Court"),
    ("Sq.", "Square"),
    ("Pl.", "Place"),
    ("Pkwy.", "Parkway"),
    ("Ter.", "Terrace"),
];

/// Read in full without a full stop.
const BARE: &[(&str, &str)] = &[
    ("Ave", "Avenue"),
    ("Blvd", "Boulevard"),
    ("Ctrl", "Control"),
    ("WWI", "World War one"),
    ("WWII", "World War two"),
    ("Mr", "Mister"),
    ("Mrs", "Missus"),
    ("Ms", "Miz"),
    ("vs", "versus"),
    ("w/o", "without"),
    ("w/", "with"),
    ("b/c", "because"),
    ("and/or", "and or"),
    ("n/a", "^NA"),
    ("N/A", "^NA"),
    ("c/o", "care of"),
    ("etc", "et cetera"),
];

/// An abbreviation, read in full.
pub(super) fn abbreviation(cx: &Context<'_>) -> Option<Found> {
    let rest = cx.rest();
    let found = |short: &str, long: &str| Found::some(cx.keep_final_stop(short.len()), long);
    let stands = |short: &str| rest.starts_with(short) && cx.ends_at(short.len());
    if let Some((short, long)) = ALWAYS.iter().find(|pair| stands(pair.0)) {
        return found(short, long);
    }
    let before_name = |len: usize| rest[len..].trim_start().starts_with(char::is_uppercase);
    let before_number = |len: usize| {
        let after = rest[len..].trim_start();
        after.starts_with(|c: char| c.is_ascii_digit()) || after.starts_with('#')
    };
    let after_name = cx.previous_word().starts_with(|c: char| c.is_uppercase() || c.is_ascii_digit());
    if let Some((short, long)) = BEFORE_NAME.iter().find(|pair| stands(pair.0) && before_name(pair.0.len())) {
        return found(short, long);
    }
    if let Some((short, long)) = BEFORE_NUMBER.iter().find(|pair| stands(pair.0) && before_number(pair.0.len())) {
        return found(short, long);
    }
    if let Some((short, long)) = AFTER_NAME.iter().find(|pair| stands(pair.0) && after_name) {
        return found(short, long);
    }
    if stands("v.") && before_name(2) && after_name {
        return found("v.", "versus");
    }
    for (short, road, title) in [("Dr", "Drive", "Doctor"), ("St", "Street", "Saint")] {
        let len = if stands(&format!("{short}.")) { 3 } else { 2 };
        if rest.starts_with(short) && cx.ends_at(2) && !matches!(cx.sign_after(2), Some('\'' | '-')) {
            let long = if after_name && !begins_clause(cx) && !before_name(len) {
                road
            } else if before_name(len) || short == "Dr" {
                title
            } else {
                road
            };
            return Found::some(cx.keep_final_stop(len), long);
        }
    }
    if let Some(month) = rest.get(..4).filter(|m| m.ends_with('.') && m.starts_with(char::is_uppercase))
        && !matches!(month, "May." | "Mar.")
        && let Some(long) = dates::named_month(&month[..3])
    {
        return found(month, long);
    }
    if stands("Sept.") {
        return found("Sept.", "September");
    }
    let bare = BARE.iter().find(|pair| {
        stands(pair.0) && {
            let after = &rest[pair.0.len()..];
            !after.starts_with(['\'', '-'])
                && !after.strip_prefix('.').is_some_and(|next| next.starts_with(char::is_alphanumeric))
        }
    });
    bare.and_then(|(short, long)| Found::some(short.len(), *long))
}

/// Whether the word before only looks like a name because a clause begins with it.
fn begins_clause(cx: &Context<'_>) -> bool {
    matches!(
        cx.previous_word(),
        "Prof"
            | "The"
            | "In"
            | "At"
            | "On"
            | "And"
            | "But"
            | "With"
            | "From"
            | "To"
            | "By"
            | "For"
            | "When"
            | "As"
            | "If"
            | "Is"
    )
}

/// U.S., D.C., J. R. R. Tolkien, M.D.
pub(super) fn initials(cx: &Context<'_>) -> Option<Found> {
    let rest = cx.rest();
    let mut len = 0;
    let mut spelled = String::new();
    while let Some(letter) = rest[len..].chars().next().filter(char::is_ascii_alphabetic) {
        if !rest[len + 1..].starts_with('.') {
            break;
        }
        spelled.push(letter);
        len += 2;
    }
    let name_follows = rest[len..].starts_with(' ') && rest[len..].trim_start().starts_with(char::is_uppercase);
    let alone = spelled.len() == 1 && spelled.chars().all(char::is_uppercase);
    let is_initial = alone && name_follows && (spelled != "I" || cx.previous_word().starts_with(char::is_uppercase));
    // A last letter without its stop, as in "U.S.A", belongs to it too.
    if let Some(last) = rest[len..].chars().next().filter(char::is_ascii_alphabetic)
        && spelled.len() > 1
        && cx.ends_at(len + 1)
    {
        spelled.push(last);
        len += 1;
    }
    if spelled.len() < 2 && !is_initial || !cx.ends_at(len) {
        return None;
    }
    let possessive = rest[len..].starts_with("'s") && cx.ends_at(len + 2);
    let say = format!("^{spelled}{}", if possessive { "+'s" } else { "" });
    Found::some(if possessive { len + 2 } else { cx.keep_final_stop(len) }, say)
}

/// Whether a text ends in an abbreviation, so that the full stop at its end need not end a sentence.
///
/// `next` is what follows the white space after it.
pub(in crate::text) fn ends_abbreviation(text: &str, next: &str) -> bool {
    let start = text
        .rfind(|c: char| c.is_whitespace() || matches!(c, '(' | '"' | '“' | '[' | '–' | '—'))
        .map_or(0, |at| at + text[at..].chars().next().map_or(1, char::len_utf8));
    let last = &text[start..];
    let listed = |table: &[(&str, &str)]| table.iter().any(|pair| pair.0 == last);
    let capital = next.starts_with(char::is_uppercase);
    let digit = next.starts_with(|c: char| c.is_ascii_digit());
    let mut dots = last.split('.');
    let initials = last.len() > 1
        && last.ends_with('.')
        && dots.all(|part| part.len() <= 1 && part.bytes().all(|b| b.is_ascii_alphabetic()));
    // "etc." and "Inc." may end a sentence before a capital; titles and "e.g." never do.
    let ends_too = matches!(
        last,
        "etc."
            | "Inc."
            | "Ltd."
            | "Corp."
            | "Bros."
            | "Jr."
            | "Sr."
            | "Ave."
            | "Blvd."
            | "Ph.D."
            | "Esq."
            | "al."
            | "dept."
    );
    (listed(ALWAYS) && !(ends_too && capital))
        || (listed(BEFORE_NAME) && capital)
        || (listed(BEFORE_NUMBER) && digit)
        || (matches!(last, "Dr." | "St.") && capital && !street_before(text, last))
        || (last == "v." && capital)
        || (initials && last.len() == 2 && capital && last != "I.")
        || (initials && last.len() > 2 && capital && is_not_sentence_start(last, next))
        || (dates::named_month(last).is_some() && last.len() <= 5 && last.len() > 3 && digit)
        || (letters::is_unsayable(last) && last.len() > 2 && next.starts_with(char::is_lowercase))
}

/// Whether a capitalised word stands before "Dr." or "St.", as in "lives on Elm Dr. Nobody".
fn street_before(text: &str, last: &str) -> bool {
    let before = text[..text.len() - last.len()].trim_end();
    before.rsplit(' ').next().is_some_and(|word| word.starts_with(char::is_uppercase) && before.contains(' '))
}

/// "the U.S. Army" goes on, "in the U.S. The army" does not: told by common sentence openers.
fn is_not_sentence_start(last: &str, next: &str) -> bool {
    let word = next.split(|c: char| !c.is_alphabetic()).next().unwrap_or("");
    let opener = matches!(
        word,
        "The"
            | "A"
            | "An"
            | "He"
            | "She"
            | "It"
            | "They"
            | "We"
            | "You"
            | "I"
            | "This"
            | "That"
            | "These"
            | "There"
            | "But"
            | "And"
            | "In"
            | "On"
            | "At"
            | "His"
            | "Her"
            | "Its"
            | "Their"
            | "My"
            | "Our"
            | "If"
            | "When"
            | "What"
            | "Who"
            | "Why"
            | "How"
            | "Then"
            | "So"
            | "However"
            | "No"
            | "Yes"
    );
    !opener && !matches!(last, "p.m." | "a.m.")
}
