//! Preston Blair: the ten mouths of his "Cartoon Animation" (1994, "Dialogue"), under the names that lip-sync programs of
//! animators gave them.
//!
//! "A" and "I" share the wide mouth, "C, D, G, K, N, R, S, Th, Y, Z" the toothed one (`etc`), "W" and "Q" the narrow one.

use crate::text::Phoneme;

pub(super) const NAMES: [&str; 10] = ["AI", "E", "O", "U", "etc", "L", "WQ", "MBP", "FV", "rest"];

pub(super) fn shapes(phoneme: Phoneme) -> &'static [&'static str] {
    use Phoneme as P;
    match phoneme {
        P::Silence | P::Comma | P::Stop => &["rest"],
        P::Aa | P::Ae | P::Ah | P::OpenSchwa | P::Hh => &["AI"],
        P::Ay => &["AI", "E"],
        P::Aw => &["AI", "U"],
        P::Eh | P::Ey | P::Iy | P::Ih | P::Schwa | P::WeakIh | P::SyllabicSchwa => &["E"],
        P::Ao => &["O"],
        P::Ow => &["O", "U"],
        P::Oy => &["O", "E"],
        P::Uh | P::Uw | P::Er => &["U"],
        P::T | P::D | P::Flap | P::N | P::K | P::G | P::Ng | P::S | P::Z | P::Th | P::Dh => &["etc"],
        P::Ch | P::Jh | P::Sh | P::Zh | P::R | P::Y => &["etc"],
        P::L => &["L"],
        P::W => &["WQ"],
        P::P | P::B | P::M => &["MBP"],
        P::F | P::V => &["FV"],
    }
}
