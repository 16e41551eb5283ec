//! Amounts of money.

use std::sync::LazyLock;

use regex::Regex;

use super::{Context, Found, numbers};

/// Sign, one, many, one hundredth, many hundredths.
const CURRENCIES: [(&str, &str, &str, &str, &str); 9] = [
    ("$", "dollar", "dollars", "cent", "cents"),
    ("£", "pound", "pounds", "penny", "pence"),
    ("€", "euro", "euros", "cent", "cents"),
    ("¥", "yen", "yen", "", ""),
    ("₹", "rupee", "rupees", "", ""),
    ("₽", "ruble", "rubles", "", ""),
    ("₩", "won", "won", "", ""),
    ("₿", "bitcoin", "bitcoins", "", ""),
    ("¢", "cent", "cents", "", ""),
];

/// Codes after the number: "20 USD".
const CODES: [(&str, &str, &str); 8] = [
    ("USD", "^US dollar", "^US dollars"),
    ("EUR", "euro", "euros"),
    ("GBP", "pound", "pounds"),
    ("JPY", "yen", "yen"),
    ("CHF", "Swiss franc", "Swiss francs"),
    ("CAD", "Canadian dollar", "Canadian dollars"),
    ("AUD", "Australian dollar", "Australian dollars"),
    ("CNY", "yuan", "yuan"),
];

const NUMBER: &str = r"(?:\d{1,3}(?:,\d{2,3})+|\d+)(?:\.\d+)?|\.\d+";

static SYMBOL_FIRST: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!(
        r"^(?P<country>US|CA|AU|NZ|HK|A|C)?(?P<sign>[$£€¥₹₽₩₿])\s?(?P<n>{NUMBER})(?:\s?[-–]\s?[$£€¥]?(?P<to>{NUMBER}))?(?:\s?(?P<scale>thousand|million|billion|trillion|[kK]|[mM]n?|[bB]n?|tn)\b)?(?:/(?P<per>[a-z]+)\b)?"
    ))
    .expect("a constant")
});
static SYMBOL_LAST: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(&format!(r"^(?P<n>{NUMBER})\s?(?P<sign>[¢£€]|[A-Z]{{3}}\b)")).expect("a constant"));

/// $3.50, £2m, €1.2 billion, $10-20, $5/month.
pub(super) fn symbol_first(cx: &Context<'_>) -> Option<Found> {
    let m = SYMBOL_FIRST.captures(cx.rest())?;
    let len = m[0].len();
    if !cx.ends_at(len) {
        return None;
    }
    let (_, one, many, cent, cents) = CURRENCIES.into_iter().find(|c| c.0 == &m["sign"])?;
    let country = match m.name("country").map(|country| country.as_str()) {
        None => String::new(),
        Some("C" | "CA") => "Canadian ".to_string(),
        Some("A" | "AU") => "Australian ".to_string(),
        Some(letters) => format!("^{letters} "),
    };
    let mut words = match (m["n"].split_once('.'), m.name("to"), m.name("scale")) {
        (Some((whole, hundredths)), None, None) if hundredths.len() == 2 && !cent.is_empty() => {
            let part = |text: &str, one: &str, many: &str| match digits(text) {
                0 => String::new(),
                1 => format!("one {one}"),
                n => format!("{} {many}", numbers::cardinal(n)),
            };
            let (whole, hundredths) = (part(whole, one, many), part(hundredths, cent, cents));
            match (whole.is_empty(), hundredths.is_empty()) {
                (true, true) => format!("zero {many}"),
                (false, false) => format!("{whole} and {hundredths}"),
                _ => whole + &hundredths,
            }
        }
        (_, to, scale) => {
            let mut words = numbers::decimal(&m["n"]);
            if let Some(to) = to {
                words += &format!(" to {}", numbers::decimal(to.as_str()));
            }
            if let Some(scale) = scale {
                words += &format!(" {}", scale_word(scale.as_str()));
            }
            let single = (words == "one") || cx.is_adjective(len);
            format!("{words} {country}{}", if single { one } else { many })
        }
    };
    if let Some(per) = m.name("per") {
        words += &format!(" per {}", super::units::per(per.as_str()));
    }
    Found::some(len, words)
}

/// 50¢, 20 USD.
pub(super) fn symbol_last(cx: &Context<'_>) -> Option<Found> {
    let m = SYMBOL_LAST.captures(cx.rest())?;
    let sign = &m["sign"];
    let (one, many) = CODES
        .iter()
        .find(|c| c.0 == sign)
        .map(|c| (c.1, c.2))
        .or_else(|| CURRENCIES.iter().find(|c| c.0 == sign).map(|c| (c.1, c.2)))?;
    let unit = if &m["n"] == "1" || cx.is_adjective(m[0].len()) { one } else { many };
    Found::some(m[0].len(), format!("{} {unit}", numbers::decimal(&m["n"])))
}

fn digits(text: &str) -> u128 {
    text.replace(',', "").parse().unwrap_or(0)
}

fn scale_word(scale: &str) -> &str {
    match scale {
        "k" | "K" => "thousand",
        "m" | "M" | "mn" | "Mn" => "million",
        "b" | "B" | "bn" | "Bn" => "billion",
        "tn" => "trillion",
        word => word,
    }
}
