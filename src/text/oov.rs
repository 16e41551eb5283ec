//! Words that the lexicon lacks: by their parts if those are known, foreign names as they are written, all else by the
//! letter-to-sound model.

use super::{foreign_names, letter_to_sound::LetterToSound, lexicon::Misaki, normalise::is_unsayable};

/// Beginnings that keep their sound before a known word.
const PREFIXES: &[(&str, &str)] = &[
    ("anti", "ˌænti"),
    ("auto", "ˌɔTO"),
    ("bio", "bˌIO"),
    ("co", "kˌO"),
    ("counter", "kˌWntəɹ"),
    ("cyber", "sˌIbəɹ"),
    ("de", "dˌi"),
    ("dis", "dɪs"),
    ("eco", "ˌikO"),
    ("extra", "ˌɛkstɹə"),
    ("hyper", "hˌIpəɹ"),
    ("inter", "ˌɪntəɹ"),
    ("kilo", "kˌɪlO"),
    ("macro", "mˌækɹO"),
    ("mega", "mˌɛɡə"),
    ("meta", "mˌɛTə"),
    ("micro", "mˌIkɹO"),
    ("mini", "mˌɪni"),
    ("mis", "mɪs"),
    ("mono", "mˌɑnO"),
    ("multi", "mˌʌlti"),
    ("nano", "nˌænO"),
    ("neo", "nˌiO"),
    ("neuro", "nˌʊɹO"),
    ("non", "nɑn"),
    ("out", "Wt"),
    ("over", "ˌOvəɹ"),
    ("photo", "fˌOTO"),
    ("post", "pˌOst"),
    ("pre", "pɹˌi"),
    ("pro", "pɹˌO"),
    ("pseudo", "sˌudO"),
    ("re", "ɹˌi"),
    ("semi", "sˌɛmi"),
    ("sub", "sʌb"),
    ("super", "sˌupəɹ"),
    ("tele", "tˌɛlə"),
    ("trans", "tɹˌænz"),
    ("ultra", "ˌʌltɹə"),
    ("un", "ʌn"),
    ("under", "ˌʌndəɹ"),
];

/// Endings that keep their sound after a known word, with what is put back to find the word.
const SUFFIXES: &[(&str, &[&str], &str)] = &[
    ("ers", &["", "e"], "əɹz"),
    ("er", &["", "e"], "əɹ"),
    ("est", &["", "e"], "ᵻst"),
    ("ly", &[""], "li"),
    ("ness", &[""], "nəs"),
    ("less", &[""], "ləs"),
    ("ful", &[""], "fᵊl"),
    ("able", &["", "e"], "əbᵊl"),
    ("ish", &["", "e"], "ɪʃ"),
    ("ism", &["", "e"], "ˌɪzəm"),
    ("ist", &["", "e"], "ɪst"),
    ("ists", &["", "e"], "ɪsts"),
    ("ment", &[""], "mənt"),
    ("ship", &[""], "ʃˌɪp"),
    ("hood", &[""], "hˌʊd"),
    ("like", &[""], "lˌIk"),
    ("wise", &[""], "wˌIz"),
    ("proof", &[""], "pɹˌuf"),
    ("izer", &["", "e"], "ˌIzəɹ"),
    ("ize", &["", "e"], "ˌIz"),
    ("ized", &["", "e"], "ˌIzd"),
    ("izes", &["", "e"], "ˌIzᵻz"),
    ("izing", &["", "e"], "ˌIzɪŋ"),
];

/// Endings of family and place names, which are weaker than the words they come from.
const NAME_ENDINGS: &[(&str, &str)] = &[
    ("chester", "ʧˌɛstəɹ"),
    ("stone", "stˌOn"),
    ("wicke", "wɪk"),
    ("worth", "wˌɜɹθ"),
    ("shire", "ʃəɹ"),
    ("berg", "bˌɜɹɡ"),
    ("bury", "bˌɛɹi"),
    ("burg", "bˌɜɹɡ"),
    ("field", "fˌild"),
    ("ford", "fəɹd"),
    ("stein", "stˌIn"),
    ("wood", "wˌʊd"),
    ("land", "lənd"),
    ("skyy", "ski"),
    ("sky", "ski"),
    ("ski", "ski"),
    ("wick", "wɪk"),
    ("lowe", "lO"),
    ("mir", "mɪɹ"),
    ("sen", "sən"),
    ("ley", "li"),
    ("ton", "tən"),
    ("son", "sən"),
    ("man", "mən"),
    ("men", "mən"),
    ("by", "bi"),
];

/// Says a word of ASCII letters, apostrophes and hyphens; never empty if it has a letter.
pub(super) fn pronounce(word: &str, misaki: &Misaki) -> String {
    let parts = word.split('-').filter(|part| !part.is_empty());
    let said: Vec<String> = parts.map(|part| whole(part, misaki)).collect();
    // In a compound with a hyphen the later parts are stressed less.
    said.concat()
}

fn whole(word: &str, misaki: &Misaki) -> String {
    if let Some(ipa) = misaki.word(word).or_else(|| misaki.word(&word.to_lowercase())) {
        return ipa;
    }
    let word = word.trim_matches('\'');
    let lower = word.to_lowercase();
    let without = |ending: &str| lower.ends_with(ending).then(|| &word[..word.len() - ending.len()]);
    if let Some(stem) = without("'s") {
        return misaki.g2p.lexicon.append_s(&whole(stem, misaki));
    }
    for (ending, ipa) in [("'ve", "əv"), ("'ll", "ᵊl"), ("'re", "əɹ"), ("'d", "əd"), ("n't", "ᵊnt")] {
        if let Some(stem) = without(ending).filter(|stem| !stem.is_empty()) {
            return whole(stem, misaki) + ipa;
        }
    }
    let is_name = word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().any(|c| c.is_ascii_lowercase());
    unknown(&lower, is_name, misaki)
}

/// A word in small letters that no lexicon has.
fn unknown(word: &str, is_name: bool, misaki: &Misaki) -> String {
    let letters: String = word.chars().filter(char::is_ascii_alphabetic).collect();
    if letters.len() < 2 || is_unsayable(&letters) && !letters.contains('y') && letters.len() < 6 {
        return misaki.spell(&letters, "");
    }
    let foreign = || if is_name { foreign_names::pronounce(&letters) } else { None };
    by_parts(&letters, misaki).or_else(foreign).unwrap_or_else(|| by_model(&letters, misaki))
}

fn by_model(letters: &str, misaki: &Misaki) -> String {
    let ipa = LetterToSound::shipped().pronounce(letters);
    let has_vowel = ipa.chars().any(|c| super::Phoneme::from_ipa(c).is_some_and(super::Phoneme::is_vowel));
    if has_vowel { ipa } else { misaki.spell(letters, "") }
}

/// A known word with a prefix or a suffix, or two known words in one.
fn by_parts(word: &str, misaki: &Misaki) -> Option<String> {
    let known = |part: &str| if part.len() > 2 { misaki.word(part) } else { None };
    for (prefix, ipa) in PREFIXES {
        if let Some(stem) = word.strip_prefix(prefix).filter(|stem| stem.len() > 3 && misaki.has_gold(stem)) {
            return known(stem).map(|said| format!("{ipa}{said}"));
        }
    }
    for (suffix, ends, ipa) in SUFFIXES {
        let Some(stem) = word.strip_suffix(suffix) else { continue };
        // "blogger": the doubled letter is of the spelling only.
        let single = stem.strip_suffix(|c: char| stem.ends_with(&format!("{c}{c}")));
        let stems = ends.iter().map(|end| format!("{stem}{end}")).chain(single.map(str::to_string));
        for stem in stems.filter(|stem| stem.len() > 2 && misaki.has_gold(stem)) {
            if let Some(said) = known(&stem) {
                return Some(flap(&said, ipa));
            }
        }
    }
    if let Some(said) = y_changed(word, misaki) {
        return Some(said);
    }
    compound(word, misaki).or_else(|| by_name_ending(word, misaki))
}

/// "denied", "fancier", "grumpiest": a known word whose y became i.
fn y_changed(word: &str, misaki: &Misaki) -> Option<String> {
    let endings = [("ied", "d"), ("ies", "z"), ("ier", "əɹ"), ("iest", "ᵻst"), ("ily", "əli"), ("iness", "inəs")];
    endings.iter().find_map(|(ending, ipa)| {
        let stem = format!("{}y", word.strip_suffix(ending)?);
        let said = misaki.word(&stem).filter(|_| stem.len() > 3 && misaki.has_gold(&stem))?;
        let said = if matches!(*ending, "ily" | "iness") { said.strip_suffix('i')?.to_string() } else { said };
        Some(said + ipa)
    })
}

/// "Hardwicke", "Ashley": a beginning that the lexicon or the model says, and the ending of a name.
fn by_name_ending(word: &str, misaki: &Misaki) -> Option<String> {
    NAME_ENDINGS.iter().find_map(|(ending, ipa)| {
        let stem = word.strip_suffix(ending).filter(|stem| stem.len() > 2 && !is_unsayable(stem))?;
        let known = misaki.word(stem).filter(|_| misaki.has_gold(stem));
        Some(known.unwrap_or_else(|| by_model(stem, misaki)) + ipa)
    })
}

/// Two words in one, the first stressed: "datacenter". The more even cut wins.
fn compound(word: &str, misaki: &Misaki) -> Option<String> {
    let cuts = (3..word.len().saturating_sub(2)).filter(|&cut| {
        let (first, second) = word.split_at(cut);
        let long = first.len() > 3 && second.len() > 3 || first.len().max(second.len()) > 4 && word.len() > 8;
        long && misaki.has_gold(first)
            && (misaki.has_gold(second) || second.strip_suffix('s').is_some_and(|s| s.len() > 3 && misaki.has_gold(s)))
    });
    let cut = cuts.min_by_key(|&cut| cut.abs_diff(word.len() - cut))?;
    let (first, second) = (misaki.word(&word[..cut])?, misaki.word(&word[cut..])?);
    Some(first + &second.replace('ˈ', "ˌ"))
}

/// Joins an ending; a t between vowels is tapped, as in "cat" and "catty".
fn flap(stem: &str, ending: &str) -> String {
    let vowel = |c: Option<char>| c.and_then(super::Phoneme::from_ipa).is_some_and(super::Phoneme::is_vowel);
    match stem.strip_suffix('t') {
        Some(head) if vowel(head.chars().next_back()) && vowel(ending.chars().next()) => format!("{head}T{ending}"),
        _ => format!("{stem}{ending}"),
    }
}
