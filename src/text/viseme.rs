//! Visemes: the mouth shapes that phonemes share, in the set of 15 of the Oculus lip-sync SDK, which most avatar rigs
//! know.

use serde::{Deserialize, Serialize};

use super::Phoneme;

/// A mouth shape. The order is the id that the nets see and that avatar rigs use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Viseme {
    /// Lips at rest.
    Sil,
    /// Lips closed: p, b, m.
    Pp,
    /// Lower lip on the upper teeth: f, v.
    Ff,
    /// Tongue between the teeth.
    Th,
    /// Tongue behind the teeth: t, d.
    Dd,
    /// Back of the tongue up: k, g, ng, h.
    Kk,
    /// Lips pushed out: ch, j, sh, zh.
    Ch,
    /// Teeth together: s, z.
    Ss,
    /// Tongue tip up: n, l.
    Nn,
    /// R, and the vowel of "bird".
    Rr,
    /// Wide open.
    Aa,
    /// Half open and spread: "bed".
    E,
    /// Nearly closed and spread: "tip", "tea".
    Ih,
    /// Half open and round: "toe".
    Oh,
    /// Nearly closed and round: "boot", w.
    Ou,
}

impl Viseme {
    /// How many visemes there are.
    pub const COUNT: usize = 15;

    /// All visemes, in id order.
    pub const ALL: [Self; Self::COUNT] = {
        use Viseme::*;
        [Sil, Pp, Ff, Th, Dd, Kk, Ch, Ss, Nn, Rr, Aa, E, Ih, Oh, Ou]
    };

    /// The id, below [`Viseme::COUNT`].
    pub fn id(self) -> u32 {
        self as u32
    }

    /// The name in the Oculus SDK, after its prefix `viseme_`.
    pub const fn name(self) -> &'static str {
        const NAMES: [&str; Viseme::COUNT] =
            ["sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "I", "O", "U"];
        NAMES[self as usize]
    }
}

/// The mouth shape of a phoneme; of a diphthong, the shape that it opens with.
pub fn of(phoneme: Phoneme) -> Viseme {
    use Phoneme as P;
    match phoneme {
        P::Silence | P::Comma | P::Stop => Viseme::Sil,
        P::P | P::B | P::M => Viseme::Pp,
        P::F | P::V => Viseme::Ff,
        P::Th | P::Dh => Viseme::Th,
        P::T | P::D | P::Flap => Viseme::Dd,
        P::K | P::G | P::Ng | P::Hh => Viseme::Kk,
        P::Ch | P::Jh | P::Sh | P::Zh => Viseme::Ch,
        P::S | P::Z => Viseme::Ss,
        P::N | P::L => Viseme::Nn,
        P::R | P::Er => Viseme::Rr,
        P::Aa | P::Ae | P::Ah | P::OpenSchwa | P::Ay | P::Aw => Viseme::Aa,
        P::Eh | P::Ey | P::Schwa => Viseme::E,
        P::Ih | P::Iy | P::Y | P::WeakIh | P::SyllabicSchwa => Viseme::Ih,
        P::Ao | P::Ow | P::Oy => Viseme::Oh,
        P::W | P::Uh | P::Uw => Viseme::Ou,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::INVENTORY;

    #[test]
    fn ids_and_names_are_in_order_and_every_viseme_is_some_phonemes() {
        for (id, viseme) in Viseme::ALL.into_iter().enumerate() {
            assert_eq!(viseme.id() as usize, id);
            assert!(INVENTORY.iter().any(|row| of(row.0) == viseme), "{}", viseme.name());
        }
    }

    #[test]
    fn only_pauses_rest_and_only_lip_closures_close() {
        for (phoneme, ..) in INVENTORY {
            assert_eq!(of(phoneme) == Viseme::Sil, phoneme.is_pause());
            let closes = matches!(phoneme, Phoneme::P | Phoneme::B | Phoneme::M);
            assert_eq!(of(phoneme) == Viseme::Pp, closes);
        }
    }
}
