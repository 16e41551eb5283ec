//! Addresses: mail, web, files, handles, hashtags, identifiers.

use std::sync::LazyLock;

use regex::Regex;

use super::{Context, Found, Known, letters, numbers};

/// Top-level domains and file endings that make a dotted token an address.
const ENDINGS: &[&str] = &[
    "ai", "app", "au", "avi", "bin", "biz", "bz2", "c", "ca", "cfg", "ch", "cn", "co", "com", "conf", "cpp", "cs",
    "css", "csv", "de", "dev", "dll", "doc", "docx", "edu", "eu", "exe", "flac", "fr", "gif", "gov", "gz", "h", "hpp",
    "html", "htm", "info", "ini", "int", "io", "ipynb", "iso", "it", "jp", "jpeg", "jpg", "js", "json", "jsx", "log",
    "md", "me", "mil", "mkv", "mov", "mp3", "mp4", "net", "nl", "odt", "ogg", "org", "pdf", "php", "png", "ppt",
    "pptx", "py", "rb", "rs", "rtf", "ru", "sh", "so", "sql", "svg", "tar", "tex", "tmp", "toml", "ts", "tsv", "tsx",
    "tv", "txt", "uk", "us", "wav", "webm", "webp", "xls", "xlsx", "xml", "xyz", "yaml", "yml", "zip",
];

/// Endings that are spelled although the lexicon has a word of that spelling, or short words that it lacks.
const SPELLED: &[&str] = &[
    "etc", "rs", "js", "ts", "py", "io", "ai", "tv", "us", "it", "me", "md", "sh", "edu", "uk", "id", "ip", "api",
    "www",
];

static URL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:https?://|ftp://|file:///?|www\.)[^\s<>()\[\]{}]+").expect("a constant"));
static MAIL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+").expect("a constant"));
static DOMAIN: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)+(?:/[A-Za-z0-9_./?=&%#~+-]*)?").expect("a constant")
});
static HEX_COLOUR: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^#([0-9A-Fa-f]{6})\b").expect("a constant"));
static HASHTAG: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^#(\s?\d+\b|[\p{L}\d_]+)").expect("a constant"));
static HANDLE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^@[A-Za-z0-9_][A-Za-z0-9_.]*").expect("a constant"));
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:~?(?:/[A-Za-z0-9_.-]+)+/?|[A-Za-z]:(?:\\[A-Za-z0-9_.-]+)+)").expect("a constant")
});
static IDENTIFIER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[A-Za-z0-9]+(?:_[A-Za-z0-9]+)+").expect("a constant"));

/// A web or mail address.
pub(super) fn address(cx: &Context<'_>) -> Option<Found> {
    if let Some(m) = MAIL.find(cx.rest()) {
        let len = trim(m.as_str());
        return Found::some(len, spell_out(&cx.rest()[..len], cx.known));
    }
    let m = URL.find(cx.rest())?;
    let len = trim(m.as_str());
    let bare = cx.rest()[..len].split_once("://").map_or(&cx.rest()[..len], |(_, bare)| bare);
    Found::some(len, spell_out(bare.trim_end_matches('/'), cx.known))
}

/// example.com, main.rs, report_v2.pdf.
pub(super) fn dotted(cx: &Context<'_>) -> Option<Found> {
    let m = DOMAIN.find(cx.rest())?;
    let len = trim(m.as_str());
    let text = &cx.rest()[..len];
    let host = text.split('/').next().unwrap_or(text);
    let ending = host.rsplit('.').next().unwrap_or("");
    let has_letter = host.chars().any(|c| c.is_ascii_alphabetic());
    // "end.So" is a full stop without its space.
    let is_stop = ending.starts_with(char::is_uppercase)
        && !host.contains('_')
        && ending.len() > 1
        && ending.chars().any(char::is_lowercase);
    let is_initials = host.split('.').all(|part| part.len() == 1);
    if !host.contains('.')
        || !has_letter
        || is_stop
        || is_initials
        || !ENDINGS.contains(&ending.to_lowercase().as_str())
    {
        return None;
    }
    Found::some(len, spell_out(text, cx.known))
}

/// #BlackLivesMatter, #1, #FF5733.
pub(super) fn hashtag(cx: &Context<'_>) -> Option<Found> {
    if let Some(m) = HEX_COLOUR.captures(cx.rest())
        && m[1].bytes().any(|b| b.is_ascii_digit())
        && m[1].bytes().any(|b| b.is_ascii_alphabetic())
    {
        return Found::some(m[0].len(), format!("hash {}", letters::one_by_one(&m[1])));
    }
    let m = HASHTAG.captures(cx.rest())?;
    let tag = m[1].trim();
    if tag.bytes().all(|b| b.is_ascii_digit()) {
        return Found::some(m[0].len(), format!("number {}", numbers::number(tag)));
    }
    Found::some(m[0].len(), format!("hashtag {}", spell_out(tag, cx.known)))
}

/// @john_doe.
pub(super) fn handle(cx: &Context<'_>) -> Option<Found> {
    let m = HANDLE.find(cx.rest())?;
    let len = trim(m.as_str());
    Found::some(len, format!("at {}", spell_out(&cx.rest()[1..len], cx.known)))
}

/// /usr/bin, C:\\Temp.
pub(super) fn path(cx: &Context<'_>) -> Option<Found> {
    if cx.last_sign().is_some_and(|c| !c.is_whitespace() && !matches!(c, '"' | '\'' | '(')) {
        return None;
    }
    let m = PATH.find(cx.rest())?;
    let len = trim(m.as_str());
    Found::some(len, spell_out(&cx.rest()[..len], cx.known))
}

/// my_variable.
pub(super) fn identifier(cx: &Context<'_>) -> Option<Found> {
    let m = IDENTIFIER.find(cx.rest())?;
    if cx.ends_at(m.len()) { Found::some(m.len(), spell_out(m.as_str(), cx.known)) } else { None }
}

/// The length without punctuation at the end, which belongs to the sentence.
fn trim(text: &str) -> usize {
    text.trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '"', '…']).len()
}

/// Reads an address: words, letters, numbers and the names of its signs.
fn spell_out(text: &str, known: &dyn Known) -> String {
    let mut said: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let run = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        if run > 0 {
            said.push(part(&rest[..run], known));
            rest = &rest[run..];
            continue;
        }
        let name = match sign {
            '.' => "dot",
            '@' => "at",
            '/' => "slash",
            '\\' => "backslash",
            '-' => "dash",
            '_' => "underscore",
            '?' => "question mark",
            '=' => "equals",
            '&' => "and",
            '#' => "hash",
            '%' => "percent",
            '+' => "plus",
            '~' => "tilde",
            ':' => "colon",
            '!' => "exclamation mark",
            '$' => "dollar",
            '*' => "star",
            _ => "",
        };
        said.push(name.to_string());
        rest = &rest[sign.len_utf8()..];
    }
    said.retain(|word| !word.is_empty());
    said.join(" ")
}

/// Reads a run of letters and digits.
fn part(run: &str, known: &dyn Known) -> String {
    if run.bytes().all(|b| b.is_ascii_digit()) {
        return numbers::name(run);
    }
    if run.bytes().any(|b| b.is_ascii_digit()) {
        return letters::say_mixed(run, known);
    }
    let lower = run.to_lowercase();
    let upper = run.to_uppercase();
    if run.len() == 1 || (SPELLED.contains(&lower.as_str())) {
        return format!("^{run}");
    }
    if run == lower && !known.has(&lower) {
        if known.has(&upper) {
            return upper;
        }
        let short = run.len() < 4 && !matches!(run, "com" | "org" | "net" | "co");
        return if short || letters::is_unsayable(run) { format!("^{run}") } else { run.to_string() };
    }
    letters::say(run, known, false)
}
