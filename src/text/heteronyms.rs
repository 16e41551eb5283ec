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
    (
        "minute",
        &[
            "amount",
            "amounts",
            "detail",
            "details",
            "quantity",
            "quantities",
            "particle",
            "particles",
            "trace",
            "traces",
            "difference",
            "differences",
            "fraction",
        ],
        "mInˈut",
    ),
];

/// A word, words that come right before it, and what it then is.
const AFTER: &[(&str, &[&str], &str)] = &[
    ("bass", &["double", "upright", "electric", "slap", "played", "plays", "play"], "bˈAs"),
    ("lead", &["unleaded", "molten", "heavy", "toxic"], "lˈɛd"),
    ("wound", &["gunshot", "stab", "flesh", "head", "open", "bullet", "knife", "gaping"], "wˈund"),
    ("wound", &["i", "he", "she", "they", "we", "tightly"], "wˈWnd"),
];

/// A word, a word that comes soon after it, and what it then is.
const SOON_BEFORE: &[(&str, &[&str], &str)] = &[
    ("tear", &["eye", "eyes", "cheek", "cheeks", "cry", "crying", "wept"], "tˈɪɹ"),
    ("bow", &["arrow", "arrows", "tie", "ties", "string", "violin"], "bˈO"),
    ("bow", &["ship", "boat", "stern", "audience", "applause"], "bˈW"),
];

/// A word, a word that came a little before it, and what it then is.
const SOON_AFTER: &[(&str, &[&str], &str)] =
    &[("bow", &["take", "takes", "took", "taking", "taken", "final", "deep", "low"], "bˈW")];

/// A word, what comes before and after it, and what it then is.
const BETWEEN: &[(&str, &[&str], &[&str], &str)] = &[
    // "A tear in her dress"; what is in an eye was found before.
    ("tear", &["a", "the", "this"], &["in"], "tˈɛɹ"),
];

/// How many words on "soon" is, and how many back "a little before".
const SOON: usize = 4;
const LITTLE: usize = 2;

/// What a word is beside its neighbours, if that decides it; `earlier` and `rest` are the sentence around it.
pub(super) fn by_context(word: &str, earlier: &str, rest: &str) -> Option<&'static str> {
    let find = |table: &'static [(&str, &[&str], &'static str)], neighbour: Option<&str>| {
        let neighbour = neighbour?.to_lowercase();
        table.iter().find(|row| row.0 == word && row.1.contains(&neighbour.as_str())).map(|row| row.2)
    };
    if ![BEFORE, AFTER, SOON_BEFORE].iter().any(|table| table.iter().any(|row| row.0 == word)) {
        return None;
    }
    // What decides belongs to the same clause.
    let marks = [',', ';', ':', '.', '!', '?', '—'];
    let clause = rest.split(marks).next().unwrap_or_default();
    let lead = earlier.rsplit(marks).next().unwrap_or_default();
    let before = lead.split_whitespace().next_back();
    let words: Vec<&str> = clause.split_whitespace().take(SOON).collect();
    let after = words.first().copied();
    find(BEFORE, after)
        .or_else(|| find(AFTER, before))
        .or_else(|| words.iter().find_map(|soon| find(SOON_BEFORE, Some(soon))))
        .or_else(|| lead.split_whitespace().rev().take(LITTLE).find_map(|word| find(SOON_AFTER, Some(word))))
        .or_else(|| {
            let (before, after) = (before?.to_lowercase(), after?.to_lowercase());
            let fits = |row: &&(&str, &[&str], &[&str], &str)| {
                row.0 == word && row.1.contains(&before.as_str()) && row.2.contains(&after.as_str())
            };
            BETWEEN.iter().find(fits).map(|row| row.3)
        })
}
