//! Azure: the 22 viseme ids of Azure Speech ("Get facial position with viseme"), by phoneme as in "SSML phonetic alphabets",
//! table en-US.
//!
//! The table gives a sequence for some: "ey" 4, 6; "ow" 8, 4; "ch" and "jh" 19, 16. Reduced vowels are schwas (1), the weak
//! vowel of "roses" is an "ih" (6), a flap is a "d" (19).

use crate::text::Phoneme;

pub(super) const NAMES: [&str; 22] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19", "20",
    "21",
];

pub(super) fn shapes(phoneme: Phoneme) -> &'static [&'static str] {
    use Phoneme as P;
    match phoneme {
        P::Silence | P::Comma | P::Stop => &["0"],
        P::Ae | P::Ah | P::Schwa | P::OpenSchwa | P::SyllabicSchwa => &["1"],
        P::Aa => &["2"],
        P::Ao => &["3"],
        P::Eh | P::Uh => &["4"],
        P::Ey => &["4", "6"],
        P::Er => &["5"],
        P::Y | P::Iy | P::Ih | P::WeakIh => &["6"],
        P::W | P::Uw => &["7"],
        P::Ow => &["8", "4"],
        P::Aw => &["9"],
        P::Oy => &["10"],
        P::Ay => &["11"],
        P::Hh => &["12"],
        P::R => &["13"],
        P::L => &["14"],
        P::S | P::Z => &["15"],
        P::Sh | P::Zh => &["16"],
        P::Ch | P::Jh => &["19", "16"],
        P::Dh => &["17"],
        P::F | P::V => &["18"],
        P::T | P::D | P::Flap | P::N | P::Th => &["19"],
        P::K | P::G | P::Ng => &["20"],
        P::P | P::B | P::M => &["21"],
    }
}
