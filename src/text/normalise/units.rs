//! Numbers with units of measure.

use std::sync::LazyLock;

use regex::Regex;

use super::{Context, Found, numbers};

/// How a unit may be written after its number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    /// With a space or without.
    Any,
    /// Without only: with a space it is likelier a word or a letter.
    None,
}

/// Sign, one, many, space.
const UNITS: &[(&str, &str, &str, Space)] = &[
    ("km", "kilometer", "kilometers", Space::Any),
    ("m", "meter", "meters", Space::Any),
    ("cm", "centimeter", "centimeters", Space::Any),
    ("mm", "millimeter", "millimeters", Space::Any),
    ("µm", "micrometer", "micrometers", Space::Any),
    ("nm", "nanometer", "nanometers", Space::Any),
    ("mi", "mile", "miles", Space::Any),
    ("yd", "yard", "yards", Space::Any),
    ("ft", "foot", "feet", Space::Any),
    ("in", "inch", "inches", Space::None),
    ("sqft", "square foot", "square feet", Space::Any),
    ("ha", "hectare", "hectares", Space::None),
    ("kg", "kilogram", "kilograms", Space::Any),
    ("g", "gram", "grams", Space::Any),
    ("mg", "milligram", "milligrams", Space::Any),
    ("µg", "microgram", "micrograms", Space::Any),
    ("mcg", "microgram", "micrograms", Space::Any),
    ("lb", "pound", "pounds", Space::Any),
    ("lbs", "pounds", "pounds", Space::Any),
    ("oz", "ounce", "ounces", Space::Any),
    ("l", "liter", "liters", Space::Any),
    ("L", "liter", "liters", Space::Any),
    ("ml", "milliliter", "milliliters", Space::Any),
    ("mL", "milliliter", "milliliters", Space::Any),
    ("cl", "centiliter", "centiliters", Space::Any),
    ("tsp", "teaspoon", "teaspoons", Space::Any),
    ("tbsp", "tablespoon", "tablespoons", Space::Any),
    ("pts", "points", "points", Space::Any),
    ("gal", "gallon", "gallons", Space::Any),
    ("h", "hour", "hours", Space::Any),
    ("hr", "hour", "hours", Space::Any),
    ("hrs", "hours", "hours", Space::Any),
    ("min", "minute", "minutes", Space::Any),
    ("mins", "minutes", "minutes", Space::Any),
    ("s", "second", "seconds", Space::Any),
    ("sec", "second", "seconds", Space::Any),
    ("secs", "seconds", "seconds", Space::Any),
    ("ms", "millisecond", "milliseconds", Space::Any),
    ("µs", "microsecond", "microseconds", Space::Any),
    ("ns", "nanosecond", "nanoseconds", Space::Any),
    ("yr", "year", "years", Space::Any),
    ("yrs", "years", "years", Space::Any),
    ("Hz", "hertz", "hertz", Space::Any),
    ("kHz", "kilohertz", "kilohertz", Space::Any),
    ("MHz", "megahertz", "megahertz", Space::Any),
    ("GHz", "gigahertz", "gigahertz", Space::Any),
    ("W", "watt", "watts", Space::Any),
    ("kW", "kilowatt", "kilowatts", Space::Any),
    ("MW", "megawatt", "megawatts", Space::Any),
    ("GW", "gigawatt", "gigawatts", Space::Any),
    ("Wh", "watt hour", "watt hours", Space::Any),
    ("kWh", "kilowatt hour", "kilowatt hours", Space::Any),
    ("mAh", "milliamp hour", "milliamp hours", Space::Any),
    ("V", "volt", "volts", Space::Any),
    ("kV", "kilovolt", "kilovolts", Space::Any),
    ("mV", "millivolt", "millivolts", Space::Any),
    ("A", "amp", "amps", Space::None),
    ("mA", "milliamp", "milliamps", Space::Any),
    ("Ω", "ohm", "ohms", Space::Any),
    ("J", "joule", "joules", Space::Any),
    ("kJ", "kilojoule", "kilojoules", Space::Any),
    ("cal", "calorie", "calories", Space::Any),
    ("kcal", "kilocalorie", "kilocalories", Space::Any),
    ("Pa", "pascal", "pascals", Space::Any),
    ("hPa", "hectopascal", "hectopascals", Space::Any),
    ("kPa", "kilopascal", "kilopascals", Space::Any),
    ("psi", "P S I", "P S I", Space::Any),
    ("N", "newton", "newtons", Space::None),
    ("°C", "degree Celsius", "degrees Celsius", Space::Any),
    ("°F", "degree Fahrenheit", "degrees Fahrenheit", Space::Any),
    ("°", "degree", "degrees", Space::Any),
    ("K", "kelvin", "kelvin", Space::Any),
    ("%", "percent", "percent", Space::Any),
    ("‰", "per mille", "per mille", Space::Any),
    ("kB", "kilobyte", "kilobytes", Space::Any),
    ("KB", "kilobyte", "kilobytes", Space::Any),
    ("MB", "megabyte", "megabytes", Space::Any),
    ("GB", "gigabyte", "gigabytes", Space::Any),
    ("TB", "terabyte", "terabytes", Space::Any),
    ("PB", "petabyte", "petabytes", Space::Any),
    ("KiB", "kibibyte", "kibibytes", Space::Any),
    ("MiB", "mebibyte", "mebibytes", Space::Any),
    ("GiB", "gibibyte", "gibibytes", Space::Any),
    ("bps", "bit per second", "bits per second", Space::Any),
    ("kbps", "kilobit per second", "kilobits per second", Space::Any),
    ("Mbps", "megabit per second", "megabits per second", Space::Any),
    ("Gbps", "gigabit per second", "gigabits per second", Space::Any),
    ("kph", "kilometer per hour", "kilometers per hour", Space::Any),
    ("mph", "mile per hour", "miles per hour", Space::Any),
    ("mpg", "mile per gallon", "miles per gallon", Space::Any),
    ("rpm", "revolution per minute", "revolutions per minute", Space::Any),
    ("bpm", "beat per minute", "beats per minute", Space::Any),
    ("fps", "frame per second", "frames per second", Space::Any),
    ("dB", "decibel", "decibels", Space::Any),
    ("px", "pixel", "pixels", Space::Any),
    ("dpi", "dot per inch", "dots per inch", Space::Any),
    ("x", "time", "times", Space::None),
];

/// Units that measure the noun after them even without "a": "12V battery", "35mm film".
const TIGHT: &[&str] = &["V", "W", "mm", "A", "°"];

static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?:(?:\d{1,3}(?:,\d{2,3})+|\d+)(?:\.\d+)?|\.\d+)(?:\s(?:thousand|million|billion)\b)?")
        .expect("a constant")
});
static UNIT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(\s?)((?:°\s?[CF]|°|%|‰|[A-Za-zµΩ]+))(\^?[23]\b|[²³])?(?:/([A-Za-z]+)\b)?").expect("a constant")
});
static FEET: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^(\d+)'(?:\s?(\d{1,2}(?:\.\d+)?)")?"#).expect("a constant"));
static INCHES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"^(\d+(?:\.\d+)?)""#).expect("a constant"));

/// A unit that was found after a number.
struct Unit {
    /// Bytes with the space before it.
    len: usize,
    sign: &'static str,
    one: String,
    many: String,
    tight: bool,
}

/// The unit at the beginning of `rest`, after a number.
fn unit(rest: &str) -> Option<Unit> {
    let m = UNIT.captures(rest)?;
    let (space, sign) = (&m[1], m[2].replace(' ', ""));
    let &(sign, one, many, allowed) = UNITS.iter().find(|unit| unit.0 == sign)?;
    let len = m[0].len();
    let ends = matches!(sign, "°" | "%" | "‰") || !rest[len..].starts_with(char::is_alphanumeric);
    if !ends || (allowed == Space::None && !space.is_empty()) || (sign == "x" && m.get(3).is_some()) {
        return None;
    }
    let power = match m.get(3).map(|p| p.as_str().trim_start_matches('^')) {
        None => "",
        Some("2" | "²") => "square ",
        Some(_) => "cubic ",
    };
    let (one, many) = if sign == "psi" { ("^PSI", "^PSI") } else { (one, many) };
    let lower = m.get(4).map(|lower| format!(" per {}", per(lower.as_str()))).unwrap_or_default();
    let tight = space.is_empty() && TIGHT.contains(&sign);
    Some(Unit { len, sign, one: format!("{power}{one}{lower}"), many: format!("{power}{many}{lower}"), tight })
}

/// The length with a full stop that belongs to the unit.
fn with_stop(cx: &Context<'_>, len: usize, sign: &str) -> usize {
    const SHORT: &[&str] =
        &["lb", "lbs", "oz", "ft", "in", "min", "mins", "sec", "secs", "hr", "hrs", "yd", "mi", "tsp", "tbsp", "pts"];
    if cx.sign_after(len) == Some('.') && SHORT.contains(&sign) { cx.keep_final_stop(len + 1) } else { len }
}

/// 5 km, 10 °C, 3 GB, 100 km/h, 200 m².
pub(super) fn quantity(cx: &Context<'_>) -> Option<Found> {
    let number = NUMBER.find(cx.rest())?.as_str();
    let rest = &cx.rest()[number.len()..];
    let unit = unit(rest)?;
    if !rest.starts_with(char::is_whitespace) && is_no_unit(cx, number, unit.sign) {
        return None;
    }
    let len = with_stop(cx, number.len() + unit.len, unit.sign);
    let single = number == "1" || (unit.tight && cx.measures_noun(len)) || cx.is_adjective(len);
    Found::some(len, format!("{} {}", say_number(number), if single { unit.one } else { unit.many }))
}

/// The unit `len` bytes after the cursor, behind a fraction: its end, and its name for one or less, or for more.
pub(super) fn after_fraction(cx: &Context<'_>, len: usize, more: bool) -> Option<(usize, String)> {
    let unit = unit(&cx.rest()[len..])?;
    let end = with_stop(cx, len + unit.len, unit.sign);
    Some((end, if more { unit.many } else { unit.one }))
}

/// "4K" names a resolution, "20s", "1990s" and "747s" are plurals, "2x + 1" has a variable.
fn is_no_unit(cx: &Context<'_>, number: &str, sign: &str) -> bool {
    match sign {
        "K" => number.len() < 3,
        "x" => cx.text.contains('='),
        "s" => {
            !number.contains('.')
                && (number.len() > 2 || matches!(number.as_bytes(), [b'2'..=b'9', b'0'] | [b'0' | b'1']))
        }
        _ => false,
    }
}

/// 5'11", 6', 12".
pub(super) fn feet_and_inches(cx: &Context<'_>) -> Option<Found> {
    let quoted = |quote: char| cx.before().matches(quote).count() % 2 == 1;
    if let Some(m) = FEET.captures(cx.rest()) {
        let len = m[0].len();
        let feet = numbers::number(&m[1]);
        if let Some(inches) = m.get(2) {
            let inches = numbers::decimal(inches.as_str());
            let short = cx.is_adjective(len);
            let say = if short { format!("{feet} foot {inches}") } else { format!("{feet} feet {inches} inches") };
            return Found::some(len, say);
        }
        if cx.ends_at(len) && !cx.before().contains(" '") && !cx.before().starts_with('\'') {
            let unit = if &m[1] == "1" || cx.is_adjective(len) { "foot" } else { "feet" };
            return Found::some(len, format!("{feet} {unit}"));
        }
        return None;
    }
    let m = INCHES.captures(cx.rest())?;
    if quoted('"') {
        return None;
    }
    let single = &m[1] == "1" || cx.measures_noun(m[0].len());
    Found::some(m[0].len(), format!("{} {}", numbers::decimal(&m[1]), if single { "inch" } else { "inches" }))
}

/// The unit after a slash: "per hour".
pub(super) fn per(unit: &str) -> String {
    let long = match unit {
        "mo" => Some("month"),
        "wk" => Some("week"),
        "d" => Some("day"),
        _ => UNITS.iter().find(|known| known.0 == unit).map(|known| known.1),
    };
    long.unwrap_or(unit).to_string()
}

fn say_number(number: &str) -> String {
    match number.split_once(char::is_whitespace) {
        Some((digits, scale)) => format!("{} {scale}", numbers::decimal(digits)),
        None => numbers::decimal(number),
    }
}
