//! Numbers in words, as American English says them.

const ONES: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES: [&str; 13] = [
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
    "undecillion",
];

/// "one hundred twenty three"; any `u128` has words.
pub(super) fn cardinal(n: u128) -> String {
    if n == 0 {
        return ONES[0].to_string();
    }
    let mut words: Vec<&str> = Vec::new();
    let mut groups: Vec<usize> = Vec::new();
    let mut rest = n;
    while rest > 0 {
        groups.push((rest % 1000) as usize);
        rest /= 1000;
    }
    for (scale, &group) in groups.iter().enumerate().rev() {
        if group == 0 {
            continue;
        }
        if group >= 100 {
            words.extend([ONES[group / 100], "hundred"]);
        }
        words.extend(below_hundred(group % 100));
        if scale > 0 {
            words.push(SCALES[scale]);
        }
    }
    words.join(" ")
}

fn below_hundred(n: usize) -> Vec<&'static str> {
    match n {
        0 => vec![],
        1..20 => vec![ONES[n]],
        _ if n.is_multiple_of(10) => vec![TENS[n / 10]],
        _ => vec![TENS[n / 10], ONES[n % 10]],
    }
}

/// The words of a string of digits: a cardinal, or digit by digit where it is an identifier (a leading zero, or more
/// digits than anyone counts to).
pub(super) fn number(digits: &str) -> String {
    let bare: String = digits.chars().filter(|c| *c != ',').collect();
    let leading_zero = bare.len() > 1 && bare.starts_with('0');
    let counted = digits.contains(',') || bare.len() <= 9 || (bare.len() <= 16 && bare.ends_with("000000"));
    match bare.parse() {
        Ok(n) if counted && !leading_zero => cardinal(n),
        _ => digit_by_digit(&bare),
    }
}

/// "three point one four": a number with an optional fraction after a point.
pub(super) fn decimal(text: &str) -> String {
    match text.split_once('.') {
        None => number(text),
        Some(("", fraction)) => format!("point {}", digit_by_digit(fraction)),
        Some((whole, fraction)) => format!("{} point {}", number(whole), digit_by_digit(fraction)),
    }
}

/// "one two three"; anything but a digit is passed over.
pub(super) fn digit_by_digit(digits: &str) -> String {
    let words: Vec<&str> = digits.chars().filter_map(|c| c.to_digit(10)).map(|d| ONES[d as usize]).collect();
    words.join(" ")
}

/// "twenty third".
pub(super) fn ordinal(n: u128) -> String {
    let words = cardinal(n);
    let (head, last) = match words.rsplit_once(' ') {
        Some((head, last)) => (format!("{head} "), last.to_string()),
        None => (String::new(), words),
    };
    let last = match last.as_str() {
        "one" => "first".to_string(),
        "two" => "second".to_string(),
        "three" => "third".to_string(),
        "five" => "fifth".to_string(),
        "eight" => "eighth".to_string(),
        "nine" => "ninth".to_string(),
        "twelve" => "twelfth".to_string(),
        _ => match last.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{last}th"),
        },
    };
    head + &last
}

/// "nineteen oh five", "two thousand five", "twenty twenty six", "nine hundred".
pub(super) fn year(n: u128) -> String {
    let (high, low) = (n / 100, n % 100);
    match n {
        1000..=9999 if high % 10 != 0 || low >= 10 => match low {
            0 => format!("{} hundred", cardinal(high)),
            1..=9 => format!("{} oh {}", cardinal(high), cardinal(low)),
            _ => format!("{} {}", cardinal(high), cardinal(low)),
        },
        _ => cardinal(n),
    }
}

/// "seven forty seven", "one oh one", "sixty six", "ten eighty": how rooms, flights, roads and models are called.
pub(super) fn name(digits: &str) -> String {
    let Ok(n) = digits.parse::<u128>() else { return digit_by_digit(digits) };
    match (digits.len(), n / 100, n % 100) {
        _ if digits.starts_with('0') => digit_by_digit(digits),
        (3 | 4, high, 0) if high % 10 != 0 => format!("{} hundred", cardinal(high)),
        (3 | 4, high, low @ 1..=9) if high % 10 != 0 => format!("{} oh {}", cardinal(high), cardinal(low)),
        (3 | 4, high, low @ 10..) => format!("{} {}", cardinal(high), cardinal(low)),
        _ => number(digits),
    }
}

/// The plural of the last word: "nineties", "sixes", "hundreds".
pub(super) fn plural(words: &str) -> String {
    match words.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if words.ends_with('x') => format!("{words}es"),
        None => format!("{words}s"),
    }
}

/// "half", "third", "quarters": the lower part of a fraction.
pub(super) fn denominator(n: u128, many: bool) -> String {
    match (n, many) {
        (2, false) => "half".to_string(),
        (2, true) => "halves".to_string(),
        (4, false) => "quarter".to_string(),
        (4, true) => "quarters".to_string(),
        (_, false) => ordinal(n),
        (_, true) => format!("{}s", ordinal(n)),
    }
}

#[cfg(test)]
mod tests {
    use num2words::{Lang, Num2Words};

    use super::*;

    /// The crate num2words is the oracle; it writes "one hundred and twenty-three", which American English does not.
    #[test]
    fn cardinals_and_ordinals_agree_with_num2words() {
        let plain = |s: String| s.replace(" and ", " ").replace('-', " ");
        let steps = (0..2000i64).chain((0..400).map(|i| i * i * i * 317 + i)).chain([1_000_000, 2_000_000_001]);
        for n in steps {
            let words = Num2Words::new(n).lang(Lang::English).to_words().unwrap();
            assert_eq!(cardinal(n as u128), plain(words), "{n}");
            if n > 0 {
                let words = Num2Words::new(n).lang(Lang::English).ordinal().to_words().unwrap();
                assert_eq!(ordinal(n as u128), plain(words), "{n}th");
            }
        }
        assert!(cardinal(u128::MAX).starts_with("three hundred forty undecillion"));
    }

    #[test]
    fn years_and_names() {
        for (n, words) in [
            (1066, "ten sixty six"),
            (1900, "nineteen hundred"),
            (1905, "nineteen oh five"),
            (2000, "two thousand"),
            (2009, "two thousand nine"),
            (2010, "twenty ten"),
            (2026, "twenty twenty six"),
            (1000, "one thousand"),
            (476, "four hundred seventy six"),
        ] {
            assert_eq!(year(n), words);
        }
        for (digits, words) in [
            ("747", "seven forty seven"),
            ("101", "one oh one"),
            ("66", "sixty six"),
            ("1080", "ten eighty"),
            ("400", "four hundred"),
            ("007", "zero zero seven"),
            ("2000", "two thousand"),
        ] {
            assert_eq!(name(digits), words);
        }
    }
}
