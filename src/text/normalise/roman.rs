//! Roman numerals, told from letters and words by what stands before them.

use super::{Context, Found, numbers};

/// Rulers and popes, whose numerals are ordinals.
const RULERS: &[&str] = &[
    "Alexander",
    "Alfonso",
    "Benedict",
    "Boniface",
    "Carl",
    "Catherine",
    "Charles",
    "Christian",
    "Clement",
    "Cyrus",
    "Darius",
    "David",
    "Edmund",
    "Edward",
    "Elizabeth",
    "Felipe",
    "Ferdinand",
    "Francis",
    "Frederick",
    "Friedrich",
    "George",
    "Gregory",
    "Gustav",
    "Haakon",
    "Harald",
    "Henry",
    "Innocent",
    "Ivan",
    "James",
    "John",
    "Juan",
    "Julius",
    "Leo",
    "Leopold",
    "Louis",
    "Malcolm",
    "Margaret",
    "Mary",
    "Napoleon",
    "Nicholas",
    "Olaf",
    "Otto",
    "Paul",
    "Pedro",
    "Peter",
    "Philip",
    "Pius",
    "Ptolemy",
    "Ramses",
    "Ramesses",
    "Richard",
    "Robert",
    "Rudolf",
    "Sixtus",
    "Umberto",
    "Urban",
    "Victoria",
    "Wilhelm",
    "William",
    "Xerxes",
];

/// Words whose numerals may be a single letter.
const TITLES: &[&str] = &[
    "Act", "Appendix", "Article", "Book", "Chapter", "Class", "Figure", "Grade", "Level", "Mark", "Part", "Phase",
    "Scene", "Section", "Stage", "Step", "Table", "Title", "Type", "Vol", "Volume", "War",
];

/// A Roman numeral.
pub(super) fn numeral(cx: &Context<'_>) -> Option<Found> {
    let rest = cx.rest();
    let len = rest.find(|c: char| !"IVXLCDM".contains(c)).unwrap_or(rest.len());
    if len == 0 || !cx.ends_at(len) || matches!(cx.sign_after(len), Some('\'' | '-' | '&' | '@' | '_')) {
        return None;
    }
    let letters = &rest[..len];
    let value = value(letters)?;
    let previous = cx.previous_word();
    let next = cx.next_word(len);
    let adjacent = cx.before().ends_with(' ') && !cx.before().trim_end().ends_with(['.', ',', ';', ':', '!', '?']);
    let ordinal = || Found::some(len, format!("the {}", numbers::ordinal(value)));
    if adjacent && RULERS.contains(&previous) && value < 40 {
        let is_pronoun = letters == "I"
            && next.starts_with(char::is_lowercase)
            && !matches!(next, "of" | "was" | "and" | "in" | "had" | "died" | "reigned" | "ruled" | "became" | "is");
        let is_name = letters == "X" && previous == "Malcolm";
        return if is_pronoun || is_name { None } else { ordinal() };
    }
    if next == "century" || next == "Century" {
        return Found::some(len, numbers::ordinal(value));
    }
    if adjacent && TITLES.contains(&previous) {
        return Found::some(len, numbers::cardinal(value));
    }
    let capitalised = previous.starts_with(char::is_uppercase) && adjacent;
    // Two letters or more of I, V and X are hardly anything else; with L, C, D, M a capitalised word must come before.
    let small = len > 1 && letters.chars().all(|c| "IVX".contains(c));
    let large = len > 2 && capitalised && !cx.known.has(&letters.to_lowercase());
    if (small && (letters != "IV" && letters != "XI" && letters != "VI" || capitalised)) || large {
        return Found::some(len, numbers::cardinal(value));
    }
    None
}

/// The value of a well-formed numeral.
fn value(letters: &str) -> Option<u128> {
    const STEPS: [(u128, &str); 13] = [
        (1000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    let mut n = 0;
    let mut rest = letters;
    let mut canonical = String::new();
    for (step, sign) in STEPS {
        while let Some(after) = rest.strip_prefix(sign) {
            (n, rest) = (n + step, after);
            if n > 4999 {
                return None;
            }
        }
    }
    // Only the one right spelling of a number counts.
    let mut left = n;
    for (step, sign) in STEPS {
        while left >= step {
            canonical += sign;
            left -= step;
        }
    }
    (n > 0 && canonical == letters).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn only_well_formed_numerals_have_a_value() {
        for (letters, n) in [("MCMXCIV", Some(1994)), ("VIII", Some(8)), ("IIII", None), ("VX", None), ("IXI", None)] {
            assert_eq!(value(letters), n, "{letters}");
        }
    }
}
