//! Words and letters: acronyms, camel case, letters mixed with digits, plain words.

use super::{Context, Found, Known, numbers};

/// Acronyms that are also words, and are spelled all the same unless the whole sentence is in capitals.
const SPELLED: &[&str] = &[
    "AC", "AD", "AI", "AM", "AR", "BA", "BC", "CAD", "CD", "CPU", "DA", "DC", "DJ", "ER", "EU", "EST", "FAQ", "GI",
    "GPU", "HR", "ID", "IP", "IQ", "IT", "LA", "LED", "MA", "MC", "MS", "OK", "OS", "PA", "PC", "PE", "PR", "PS", "PT",
    "RN", "TV", "UI", "UK", "UN", "UPS", "US", "USA", "VA", "VR", "WHO", "XL",
];

/// Acronyms that are said as words and that the lexicon lacks in capitals.
const SAID: &[&str] = &[
    "CAPTCHA", "COBOL", "DRAM", "FEMA", "INTERPOL", "JSON", "LASER", "LIDAR", "NASA", "NATO", "NORAD", "OPEC", "OSHA",
    "PIN", "RADAR", "RAID", "RAM", "ROM", "SARS", "SCUBA", "SIM", "SONAR", "SWAT", "UNESCO", "UNICEF", "WASP", "YAML",
    "YOLO", "ZIP",
];

/// Titles in mixed case that are spelled.
const SPELLED_MIXED: &[&str] = &["PhD", "BSc", "MSc", "MPhil", "MBit", "DPhil", "LLMs", "LLM", "pH", "kHz", "mRNA"];

/// A token that the user's lexicon has, whatever signs it holds.
pub(super) fn given(cx: &Context<'_>) -> Option<Found> {
    let token = cx.rest().split(char::is_whitespace).next()?;
    let trimmed = token.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '"', '\'', '…']);
    let word = &token[..token.find(|c: char| !c.is_alphanumeric()).unwrap_or(token.len())];
    let found = [token, trimmed, trimmed.strip_suffix("'s").unwrap_or(""), word]
        .into_iter()
        .find(|part| !part.is_empty() && cx.known.is_given(part) && cx.ends_at(part.len()))?;
    let ending = if cx.rest()[found.len()..].starts_with("'s") && cx.ends_at(found.len() + 2) { "'s" } else { "" };
    Found::some(found.len() + ending.len(), format!("{found}{ending}"))
}

/// A word: letters with inner apostrophes and hyphens.
pub(super) fn word(cx: &Context<'_>) -> Option<Found> {
    let run = word_run(cx.rest())?;
    if let Some(second) = joined_initials(cx.rest(), run) {
        return Found::some(run.len() + 1 + second.len(), format!("^{run} and ^{second}"));
    }
    if cx.sign_after(run.len()).is_some_and(|c| c.is_ascii_digit()) {
        return None;
    }
    if run.contains('-') {
        let plain = run.split('-').all(|part| is_plain(part) && (part.len() > 1 || part == "a"));
        let say = if cx.known.has(run) || plain {
            run.to_string()
        } else {
            let parts: Vec<String> = run.split('-').map(|part| say(part, cx.known, cx.shouting)).collect();
            parts.join(" ")
        };
        return Found::some(run.len(), say);
    }
    // "A" is a letter where no noun can follow.
    if run == "A" && !cx.previous_word().is_empty() && matches!(cx.next_word(1), "to" | "or" | "and" | "") {
        return Found::some(1, "^A");
    }
    Found::some(run.len(), say(run, cx.known, cx.shouting))
}

/// The letters after the ampersand in names such as AT&T.
fn joined_initials<'a>(text: &'a str, first: &str) -> Option<&'a str> {
    let second = word_run(text[first.len()..].strip_prefix('&')?)?;
    let short = |run: &str| run.len() <= 2 && run.bytes().all(|b| b.is_ascii_uppercase());
    (short(first) && short(second)).then_some(second)
}

/// The letters at the start of `text`, with apostrophes and hyphens between letters.
fn word_run(text: &str) -> Option<&str> {
    let signs: Vec<(usize, char)> =
        text.char_indices().take_while(|(_, c)| c.is_alphabetic() || matches!(c, '\'' | '-')).collect();
    let mut end = 0;
    for (i, &(at, sign)) in signs.iter().enumerate() {
        let between = i > 0 && signs[i - 1].1.is_alphabetic() && signs.get(i + 1).is_some_and(|s| s.1.is_alphabetic());
        if sign.is_alphabetic() {
            end = at + sign.len_utf8();
        } else if !(between || i == 0 && sign == '\'' && starts_elided(text)) {
            break;
        }
    }
    (end > 0).then(|| &text[..end])
}

/// Words that begin with an apostrophe of their own.
fn starts_elided(text: &str) -> bool {
    ["'em", "'til", "'cause", "'twas", "'tis", "'bout", "'n", "'twere", "'round"].iter().any(|word| {
        let head = text.get(..word.len()).map(str::to_lowercase);
        let after = text.get(word.len()..).and_then(|rest| rest.chars().next());
        head.as_deref() == Some(word) && !after.is_some_and(char::is_alphanumeric)
    })
}

fn is_plain(word: &str) -> bool {
    let mut signs = word.chars();
    signs.next().is_some_and(char::is_alphabetic) && signs.all(|c| c.is_lowercase() || c == '\'')
}

/// Says a run of letters.
pub(super) fn say(run: &str, known: &dyn Known, shouting: bool) -> String {
    let (stem, ending) = match run.strip_suffix("'s").or(run.strip_suffix("'S")) {
        Some(stem) if !stem.is_empty() => (stem, "'s"),
        _ => (run, ""),
    };
    if run == "'n" || run == "'N" {
        return "and".to_string();
    }
    let capitals = stem.chars().filter(|c| c.is_uppercase()).count();
    let letters = stem.chars().count();
    if letters == 1 {
        return match stem {
            "a" | "A" | "I" => format!("{stem}{ending}"),
            _ if stem.is_ascii() => spelled(stem, ending),
            _ => run.to_string(),
        };
    }
    if stem.contains('\'') || !stem.is_ascii() {
        return run.to_string();
    }
    if capitals == letters {
        return format_ending(&acronym(stem, known, shouting), ending);
    }
    if capitals == 0 || (capitals == 1 && stem.starts_with(char::is_uppercase)) {
        return if stem.len() > 1 && is_unsayable(stem) && !known.has(stem) && !known.has(&stem.to_lowercase()) {
            spelled(stem, ending)
        } else {
            run.to_string()
        };
    }
    mixed_case(stem, ending, known)
}

/// ChatGPT, iPhone, CEOs, McDonald.
fn mixed_case(stem: &str, ending: &str, known: &dyn Known) -> String {
    if known.has(stem) {
        return format!("{stem}{ending}");
    }
    if SPELLED_MIXED.contains(&stem) {
        return spelled(stem, ending);
    }
    if let Some(acronym_stem) = stem.strip_suffix('s')
        && (SPELLED_MIXED.contains(&acronym_stem) || acronym_stem.chars().all(char::is_uppercase))
    {
        return format_ending(&acronym(acronym_stem, known, false), "s");
    }
    let family = ["Mc", "Mac", "Fitz", "De", "La", "Le", "Van", "Di", "Du"].iter().any(|prefix| {
        stem.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(char::is_uppercase) && is_plain(rest))
    });
    if family {
        return format!("{stem}{ending}");
    }
    let parts = camel_parts(stem);
    let mut said: Vec<String> = parts.iter().map(|part| say(part, known, false)).collect();
    if let Some(last) = said.last_mut() {
        *last = format_ending(last, ending);
    }
    said.join(" ")
}

/// "ChatGPTBot" -> Chat, GPT, Bot.
fn camel_parts(word: &str) -> Vec<&str> {
    let signs: Vec<(usize, char)> = word.char_indices().collect();
    let mut parts = Vec::new();
    let mut start = 0;
    for i in 1..signs.len() {
        let (at, sign) = signs[i];
        let after_lower = signs[i - 1].1.is_lowercase();
        let before_lower = signs.get(i + 1).is_some_and(|s| s.1.is_lowercase());
        if sign.is_uppercase() && (after_lower || before_lower) {
            parts.push(&word[start..at]);
            start = at;
        }
    }
    parts.push(&word[start..]);
    parts
}

/// A word in capitals: said as a word where it is one, or could be one and is long; spelled else.
fn acronym(word: &str, known: &dyn Known, shouting: bool) -> String {
    let lower = word.to_lowercase();
    let spelled_by_list = SPELLED.contains(&word) && !(shouting && known.has(&lower));
    let said = SAID.contains(&word)
        || known.has(word)
        || (known.has(&lower) && (word.len() > 2 || shouting || COMMON_PAIRS.contains(&lower.as_str())))
        || (word.len() > 4 && !is_unsayable(&lower));
    if said && !spelled_by_list { word.to_string() } else { format!("^{word}") }
}

/// Words of two letters that keep their reading in capitals.
const COMMON_PAIRS: &[&str] = &[
    "am", "an", "as", "at", "be", "by", "do", "go", "he", "hi", "if", "in", "is", "me", "my", "no", "of", "oh", "on",
    "or", "so", "to", "up", "we",
];

fn spelled(letters: &str, ending: &str) -> String {
    format_ending(&format!("^{letters}"), ending)
}

fn format_ending(said: &str, ending: &str) -> String {
    match (said.rsplit(' ').next().is_some_and(|last| last.starts_with('^')), ending) {
        (_, "") => said.to_string(),
        (true, _) => format!("{said}+{ending}"),
        (false, _) => format!("{said}{ending}"),
    }
}

/// Whether nobody could say these letters as a word: no vowel, or a beginning or an end that English lacks.
pub(in crate::text) fn is_unsayable(word: &str) -> bool {
    let word = word.to_lowercase();
    let is_vowel = |c: char| "aeiouyàáâäãåèéêëìíîïòóôöõøùúûü".contains(c);
    if !word.chars().any(is_vowel) {
        return true;
    }
    let onset = word.chars().take_while(|c| !is_vowel(*c)).count();
    let coda = word.chars().rev().take_while(|c| !is_vowel(*c)).count();
    onset > 3 || coda > 4 || (word.chars().count() <= 5 && (onset > 2 || coda > 3))
}

/// K7, MP3, B2B, COVID-19, 5G, 1080p: letters and digits in one token.
pub(super) fn mixed(cx: &Context<'_>) -> Option<Found> {
    let mut len = 0;
    let bytes = cx.rest().as_bytes();
    let is_word = |run: &str| run.len() > 2 && run.bytes().all(|b| b.is_ascii_lowercase()) && cx.known.has(run);
    while len < bytes.len() {
        let digit_near = || {
            len > 0
                && bytes.get(len + 1).is_some_and(u8::is_ascii_alphanumeric)
                && (bytes[len - 1].is_ascii_digit() || bytes[len + 1].is_ascii_digit())
        };
        match bytes[len] {
            b if b.is_ascii_alphanumeric() => len += 1,
            // "mid-1990s" is a word and a decade, "COVID-19" is one name.
            b'-' if is_word(&cx.rest()[..len]) => break,
            b'-' if digit_near() && bytes[len - 1].is_ascii_digit() != bytes[len + 1].is_ascii_digit() => len += 1,
            // "CVE-2023-4291" goes on as a name.
            b'-' if digit_near() && bytes[0].is_ascii_uppercase() => len += 1,
            _ => break,
        }
    }
    let token = &cx.rest()[..len];
    let digits = token.bytes().any(|b| b.is_ascii_digit());
    if !digits || !token.bytes().any(|b| b.is_ascii_alphabetic()) || !cx.ends_at(len) {
        return None;
    }
    Found::some(len, say_mixed(token, cx.known))
}

/// Says letters, digits and hyphens.
pub(super) fn say_mixed(token: &str, known: &dyn Known) -> String {
    let parts = runs(token);
    let changes = parts.len();
    let identifier =
        changes > 4 || (changes > 2 && token.len() > 6 && token.chars().all(|c| c.is_ascii_hexdigit() || c == '-'));
    if identifier {
        return one_by_one(token);
    }
    let say_part = |part: &&str| {
        let is_digits = part.starts_with(|c: char| c.is_ascii_digit());
        if is_digits {
            return if part.len() > 4 { numbers::digit_by_digit(part) } else { numbers::name(part) };
        }
        let lower = part.to_lowercase();
        let word = part.len() > 2 && (known.has(part) || known.has(&lower)) && !SPELLED.contains(part);
        let camel = part.len() > 2 && part.chars().any(char::is_lowercase) && !is_unsayable(part) && part.len() > 3;
        if word || camel { say(part, known, false) } else { format!("^{part}") }
    };
    parts.iter().map(say_part).collect::<Vec<_>>().join(" ")
}

/// Splits into runs of letters and runs of digits; all else is left out.
fn runs(token: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let class = |c: char| {
        if c.is_ascii_digit() {
            1
        } else if c.is_alphabetic() {
            2
        } else {
            0
        }
    };
    let mut last = 0;
    for (at, sign) in token.char_indices() {
        if class(sign) != last {
            if last != 0 {
                parts.push(&token[start..at]);
            }
            (start, last) = (at, class(sign));
        }
    }
    if last != 0 {
        parts.push(&token[start..]);
    }
    parts
}

/// Each letter and digit by its name.
pub(super) fn one_by_one(token: &str) -> String {
    let name = |c: char| match c.to_digit(10) {
        Some(_) => numbers::digit_by_digit(&c.to_string()),
        None => format!("^{c}"),
    };
    token.chars().filter(char::is_ascii_alphanumeric).map(name).collect::<Vec<_>>().join(" ")
}
