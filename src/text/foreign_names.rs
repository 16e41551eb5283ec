//! Names that end in a full vowel, such as "Moretti", "Okonkwo" and "Takahashi", as an American reads them who knows no more
//! than that they are not English.
//!
//! Italian, Spanish, Japanese, Igbo or Yoruba: in Roman letters all are written nearly as they are said, one sound a letter,
//! and an English reader stresses the last syllable but one. The letter-to-sound model, which knows English words, would
//! read them as such words.

/// Consonants, the longer before the shorter: letters, whether it holds before `e` and `i` alone, and sounds.
const CONSONANTS: &[(&str, bool, &str)] = &[
    ("sch", false, "ʃ"),
    ("cch", true, "k"),
    ("ch", false, "ʧ"),
    ("ck", false, "k"),
    ("cc", true, "ʧ"),
    ("c", true, "ʧ"),
    ("c", false, "k"),
    ("gh", false, "ɡ"),
    ("gn", false, "nj"),
    ("g", true, "ʤ"),
    ("g", false, "ɡ"),
    ("kh", false, "k"),
    ("ph", false, "f"),
    ("qu", true, "k"),
    ("qu", false, "kw"),
    ("q", false, "k"),
    ("sh", false, "ʃ"),
    ("sc", true, "ʃ"),
    ("th", false, "t"),
    ("tsch", false, "ʧ"),
    ("ts", false, "ts"),
    ("tz", false, "ts"),
    ("zz", false, "ts"),
    ("x", false, "ks"),
    ("j", false, "ʤ"),
    ("r", false, "ɹ"),
    ("b", false, "b"),
    ("d", false, "d"),
    ("f", false, "f"),
    ("h", false, "h"),
    ("k", false, "k"),
    ("l", false, "l"),
    ("m", false, "m"),
    ("n", false, "n"),
    ("p", false, "p"),
    ("s", false, "s"),
    ("t", false, "t"),
    ("v", false, "v"),
    ("w", false, "w"),
    ("z", false, "z"),
];

/// Two vowels that are one syllable.
const DIPHTHONGS: &[(&str, &str)] = &[("ai", "I"), ("au", "W"), ("ei", "A"), ("oi", "Y"), ("ou", "u")];

/// Pairs of consonants that begin a syllable together.
const ONSETS: &[&str] =
    &["bl", "bɹ", "dɹ", "fl", "fɹ", "ɡl", "ɡɹ", "ɡw", "kl", "kɹ", "kw", "pl", "pɹ", "sw", "tɹ", "tw"];

/// A vowel and the consonants after it.
#[derive(Default)]
struct Syllable {
    vowel: String,
    /// Sounds up to the next vowel.
    after: String,
    /// Whether the first of them was written twice.
    doubled: bool,
}

impl Syllable {
    /// Whether a consonant after the vowel is of the same syllable.
    fn is_closed(&self) -> bool {
        self.after.chars().count() > 1 && !ONSETS.contains(&self.after.as_str()) && !self.after.ends_with('j')
    }

    fn before_r(&self) -> bool {
        self.after.starts_with('ɹ')
    }
}

/// The pronunciation of a name in small letters; `None` where it does not end in a full vowel, or is not written as said.
pub(super) fn pronounce(letters: &str) -> Option<String> {
    let (onset, syllables) = read(letters)?;
    let last = syllables.len().checked_sub(1)?;
    let ends_open = syllables[last].after.is_empty() && matches!(syllables[last].vowel.as_str(), "a" | "i" | "o" | "u");
    if !ends_open || last == 0 {
        return None;
    }
    // "Antonio": an i before the last vowel is too weak for the stress.
    let weak = last > 1 && syllables[last - 1].vowel == "i" && syllables[last - 1].after.is_empty();
    let stressed = if weak { last - 2 } else { last - 1 };
    let mut ipa = onset;
    for (i, syllable) in syllables.iter().enumerate() {
        let mark = match stressed.checked_sub(i) {
            Some(0) => "ˈ",
            Some(2) => "ˌ",
            _ => "",
        };
        ipa += mark;
        ipa += match mark {
            "" => weak_vowel(syllable, i, last),
            _ => full_vowel(syllable),
        };
        // Between vowels of which the second is weak, t is tapped.
        let taps = syllable.after == "t" && i < last && i + 1 != stressed && i + 3 != stressed;
        ipa += if taps { "T" } else { &syllable.after };
    }
    Some(ipa.replace("nk", "ŋk").replace("nɡ", "ŋɡ"))
}

/// The sounds before the first vowel, and the syllables.
fn read(letters: &str) -> Option<(String, Vec<Syllable>)> {
    let (mut onset, mut syllables) = (String::new(), Vec::<Syllable>::new());
    let mut rest = letters;
    while let Some(letter) = rest.chars().next() {
        let next = |n: usize| rest[n.min(rest.len())..].chars().next();
        let is_vowel = |c: Option<char>| c.is_some_and(|c| "aeiou".contains(c));
        if let Some((spelt, vowel)) = DIPHTHONGS.iter().find(|(spelt, _)| rest.starts_with(spelt) && rest.len() > 2) {
            syllables.push(Syllable { vowel: (*vowel).to_string(), ..Syllable::default() });
            rest = &rest[spelt.len()..];
            continue;
        }
        let after_consonant = syllables.last().map_or(!onset.is_empty(), |syllable| !syllable.after.is_empty());
        let glide = match letter {
            'u' if after_consonant && is_vowel(next(1)) && rest.len() > 2 => Some("w"),
            'y' if is_vowel(next(1)) => Some("j"),
            _ => None,
        };
        if glide.is_none() && ("aeiou".contains(letter) || letter == 'y') {
            let vowel = if letter == 'y' { 'i' } else { letter };
            syllables.push(Syllable { vowel: vowel.to_string(), ..Syllable::default() });
            rest = &rest[1..];
            continue;
        }
        let soft = |n: usize| next(n).is_some_and(|c| "ei".contains(c));
        let found = CONSONANTS
            .iter()
            .find(|(spelt, before_ei, _)| rest.starts_with(spelt) && (!before_ei || soft(spelt.len())));
        let (mut length, sound) = match (glide, found) {
            (Some(glide), _) => (1, glide),
            (None, Some((spelt, _, sound))) => (spelt.len(), *sound),
            (None, None) => return None,
        };
        let doubled = glide.is_none() && length == 1 && next(1) == Some(letter);
        length += usize::from(doubled);
        // "Giordano": after a soft c or g, i only says that it is soft.
        if matches!(sound, "ʧ" | "ʤ")
            && "cg".contains(letter)
            && next(length) == Some('i')
            && is_vowel(next(length + 1))
        {
            length += 1;
        }
        match syllables.last_mut() {
            None => onset += sound,
            Some(syllable) => {
                syllable.doubled |= doubled && syllable.after.is_empty();
                syllable.after += sound;
            }
        }
        rest = &rest[length..];
    }
    Some((onset, syllables))
}

fn full_vowel(syllable: &Syllable) -> &str {
    let (closed, before_r) = (syllable.is_closed() || syllable.doubled, syllable.before_r());
    match syllable.vowel.as_str() {
        "a" if closed && syllable.after.starts_with('s') && !syllable.doubled => "æ",
        "a" => "ɑ",
        "e" => "ɛ",
        "i" if before_r => "ɪ",
        "i" => "i",
        "o" if before_r => "ɔ",
        "o" if closed && syllable.after.starts_with(['n', 'm']) => "ɑ",
        "o" if closed => "ɔ",
        "o" => "O",
        "u" if before_r => "ʊ",
        "u" => "u",
        diphthong => diphthong,
    }
}

fn weak_vowel(syllable: &Syllable, place: usize, last: usize) -> &str {
    let (before_r, before_vowel) = (syllable.before_r(), syllable.after.is_empty());
    match syllable.vowel.as_str() {
        "a" if before_r && syllable.is_closed() => "ɑ",
        "a" => "ə",
        "e" if syllable.is_closed() && !before_r => "ɛ",
        "e" => "ə",
        "i" if before_vowel => "i",
        "i" => "ɪ",
        "o" if before_r => "ɔ",
        "o" if place == 0 || place == last => "O",
        "o" => "ə",
        "u" if before_vowel => "u",
        "u" => "ʊ",
        diphthong => diphthong,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Phoneme;

    #[test]
    fn names_are_read_as_written() {
        let names = [
            ("Rinaldi", "ɹɪnˈɑldi"),
            ("Moretti", "mɔɹˈɛTi"),
            ("Castellani", "kˌæstəlˈɑni"),
            ("Giordano", "ʤɔɹdˈɑnO"),
            ("Yamamoto", "jˌɑməmˈOTO"),
            ("Takahashi", "tˌɑkəhˈɑʃi"),
            ("Kobayashi", "kˌObəjˈɑʃi"),
            ("Okonkwo", "OkˈɑŋkwO"),
            ("Adeyemi", "ˌɑdəjˈɛmi"),
            ("Villanueva", "vˌilənwˈɛvə"),
            ("Echeverria", "ˌɛʧəvˈɛɹiə"),
            ("Antonino", "ˌɑntənˈinO"),
            ("Novaska", "nOvˈæskə"),
            ("Vendura", "vɛndˈʊɹə"),
            ("Baumi", "bˈWmi"),
        ];
        for (name, ipa) in names {
            assert_eq!(pronounce(&name.to_lowercase()).as_deref(), Some(ipa), "{name}");
        }
    }

    /// The model has to read these.
    #[test]
    fn other_names_are_left_alone() {
        for name in ["kestrelworth", "petrosyan", "marlowe", "mo", "brzy", "ñandu"] {
            assert_eq!(pronounce(name), None, "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_letters_give_phonemes_with_one_stress(name in "[a-z]{1,20}") {
            if let Some(ipa) = pronounce(&name) {
                proptest::prop_assert_eq!(ipa.matches('ˈ').count(), 1);
                let known = |c: char| matches!(c, 'ˈ' | 'ˌ') || Phoneme::from_ipa(c).is_some();
                proptest::prop_assert!(ipa.chars().all(known), "{}", ipa);
            }
        }
    }
}
