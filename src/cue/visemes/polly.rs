//! Polly: the visemes of Amazon Polly's speech marks (Developer Guide, "Visemes and Amazon Polly" and the phoneme table of
//! en-US), by the X-SAMPA sign of a typical phoneme.
//!
//! The guide's tables of "l" differ: `t` in the older one, `l` in the newer; `t` is taken here, which every reader of speech
//! marks knows. A flap is a "d"; the weak vowel of "roses" an "ih"; other reduced vowels are schwas.

use crate::text::Phoneme;

pub(super) const NAMES: [&str; 17] =
    ["p", "t", "S", "T", "f", "k", "i", "r", "s", "u", "@", "a", "e", "E", "o", "O", "sil"];

pub(super) fn shapes(phoneme: Phoneme) -> &'static [&'static str] {
    use Phoneme as P;
    match phoneme {
        P::Silence | P::Comma | P::Stop => &["sil"],
        P::P | P::B | P::M => &["p"],
        P::T | P::D | P::Flap | P::N | P::L => &["t"],
        P::Ch | P::Jh | P::Sh | P::Zh => &["S"],
        P::Th | P::Dh => &["T"],
        P::F | P::V => &["f"],
        P::K | P::G | P::Ng | P::Hh => &["k"],
        P::Y | P::Iy | P::Ih | P::WeakIh => &["i"],
        P::R => &["r"],
        P::S | P::Z => &["s"],
        P::W | P::Uw | P::Uh => &["u"],
        P::Schwa | P::OpenSchwa | P::SyllabicSchwa => &["@"],
        P::Aa | P::Ae | P::Ay | P::Aw => &["a"],
        P::Ey => &["e"],
        P::Eh | P::Er | P::Ah => &["E"],
        P::Ow => &["o"],
        P::Ao | P::Oy => &["O"],
    }
}
