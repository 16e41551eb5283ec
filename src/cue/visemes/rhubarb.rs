//! Rhubarb: the mouth shapes of Rhubarb Lip Sync (its README, "Mouth shapes"), basic A-F and extended G, H, X.
//!
//! The README names K, S, T and "ee" for B, "eh" and "ae" for C, "aa" for D, "ao" and "er" for E, "uw", "ow" and "w" for F,
//! and shows "ay" as D and then B; the other diphthongs are taken apart likewise. Lips pushed out for "sh" and "r" are E;
//! unstressed vowels are as little open as "ih".

use crate::text::Phoneme;

pub(super) const NAMES: [&str; 9] = ["A", "B", "C", "D", "E", "F", "G", "H", "X"];

pub(super) fn shapes(phoneme: Phoneme) -> &'static [&'static str] {
    use Phoneme as P;
    match phoneme {
        P::Silence | P::Comma | P::Stop => &["X"],
        P::P | P::B | P::M => &["A"],
        P::T | P::D | P::Flap | P::N | P::K | P::G | P::Ng | P::S | P::Z | P::Th | P::Dh | P::Y => &["B"],
        P::Iy | P::Ih | P::WeakIh | P::SyllabicSchwa | P::Schwa => &["B"],
        P::Eh | P::Ae | P::Ah | P::OpenSchwa | P::Hh => &["C"],
        P::Ey => &["C", "B"],
        P::Aa => &["D"],
        P::Ay => &["D", "B"],
        P::Aw => &["D", "F"],
        P::Ao | P::Er | P::R | P::Uh | P::Ch | P::Jh | P::Sh | P::Zh => &["E"],
        P::Oy => &["E", "B"],
        P::Uw | P::Ow | P::W => &["F"],
        P::F | P::V => &["G"],
        P::L => &["H"],
    }
}
