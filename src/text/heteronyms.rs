//! Heteronyms that their part of speech does not tell apart, but the word beside them does: "bass guitar".

/// A word, words that come right after it, and what it then is.
const BEFORE: &[(&str, &[&str], &str)] = &[
    (
        "bass",
        &[
            "guitar", "guitars", "player", "players", "line", "lines", "drum", "drums", "clarinet", "note", "notes",
            "clef", "solo", "boost", "voice", "singer",
        ],
        "bˈAs",
    ),
    (
        "lead",
        &[
            "pipe",
            "pipes",
            "paint",
            "poisoning",
            "pencil",
            "pencils",
            "weight",
            "weights",
            "acid",
            "shot",
            "bullet",
            "bullets",
            "ore",
        ],
        "lˈɛd",
    ),
    ("tear", &["gas", "drop", "drops", "duct", "ducts", "stain", "stained"], "tˈɪɹ"),
    ("row", &["boat", "boats"], "ɹˈO"),
];

/// A word, words that come right before it, and what it then is.
const AFTER: &[(&str, &[&str], &str)] = &[
    ("bass", &["double", "upright", "electric", "slap", "played", "plays", "play"], "bˈAs"),
    ("lead", &["unleaded", "molten", "heavy", "toxic"], "lˈɛd"),
    ("wound", &["gunshot", "stab", "flesh", "head", "open", "bullet", "knife", "gaping"], "wˈund"),
    ("wound", &["i", "he", "she", "they", "we", "tightly"], "wˈWnd"),
];

/// What a word is beside its neighbours, if that decides it.
pub(super) fn by_neighbours(word: &str, before: Option<&str>, after: Option<&str>) -> Option<&'static str> {
    let find = |table: &'static [(&str, &[&str], &'static str)], neighbour: Option<&str>| {
        let neighbour = neighbour?.to_lowercase();
        table.iter().find(|row| row.0 == word && row.1.contains(&neighbour.as_str())).map(|row| row.2)
    };
    find(BEFORE, after).or_else(|| find(AFTER, before))
}
