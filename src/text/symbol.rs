//! The symbols that both halves of Paravox are trained on.
//!
//! One inventory serves the voice (the teacher's IPA alphabet) and the lips (ARPAbet alignments of GRID). A symbol is a
//! phoneme or a pause; stress, word edges and the kind of sentence are features of it, not symbols of their own, so every
//! symbol has a duration that can be heard and seen.

use serde::{Deserialize, Serialize};

/// What a symbol says: a phoneme, or a pause of some kind.
///
/// The order is the id that the nets see: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
#[allow(missing_docs, reason = "each variant is the phoneme that INVENTORY writes in IPA and ARPAbet")]
pub enum Phoneme {
    /// Silence before, after and inside an utterance; also GRID's `SIL`.
    Silence,
    /// Comma, semicolon, colon, dash, bracket, quote: a pause inside a sentence.
    Comma,
    /// The pause of a full stop, question mark or exclamation mark.
    Stop,
    P,
    B,
    T,
    D,
    K,
    G,
    Ch,
    Jh,
    F,
    V,
    Th,
    Dh,
    S,
    Z,
    Sh,
    Zh,
    Hh,
    M,
    N,
    Ng,
    L,
    R,
    W,
    Y,
    /// `T`: the tapped t of "butter".
    Flap,
    Aa,
    Ae,
    Ah,
    Ao,
    Eh,
    Er,
    Ih,
    Iy,
    Uh,
    Uw,
    /// `ə`.
    Schwa,
    /// `ɐ`: the open schwa of "a" and "about".
    OpenSchwa,
    /// `ᵻ`: the weak vowel of "roses".
    WeakIh,
    /// `ᵊ`: the vowel before a syllabic consonant.
    SyllabicSchwa,
    Ay,
    Aw,
    Ey,
    Ow,
    Oy,
}

/// (phoneme, one character of the teacher's alphabet, ARPAbet), in id order; `""` where an alphabet has no sign for it.
pub const INVENTORY: [(Phoneme, &str, &str); Phoneme::COUNT] = {
    use Phoneme::*;
    [
        (Silence, "", "SIL"),
        (Comma, ",", ""),
        (Stop, ".", ""),
        (P, "p", "P"),
        (B, "b", "B"),
        (T, "t", "T"),
        (D, "d", "D"),
        (K, "k", "K"),
        (G, "ɡ", "G"),
        (Ch, "ʧ", "CH"),
        (Jh, "ʤ", "JH"),
        (F, "f", "F"),
        (V, "v", "V"),
        (Th, "θ", "TH"),
        (Dh, "ð", "DH"),
        (S, "s", "S"),
        (Z, "z", "Z"),
        (Sh, "ʃ", "SH"),
        (Zh, "ʒ", "ZH"),
        (Hh, "h", "HH"),
        (M, "m", "M"),
        (N, "n", "N"),
        (Ng, "ŋ", "NG"),
        (L, "l", "L"),
        (R, "ɹ", "R"),
        (W, "w", "W"),
        (Y, "j", "Y"),
        (Flap, "T", "DX"),
        (Aa, "ɑ", "AA"),
        (Ae, "æ", "AE"),
        (Ah, "ʌ", "AH"),
        (Ao, "ɔ", "AO"),
        (Eh, "ɛ", "EH"),
        (Er, "ɜ", "ER"),
        (Ih, "ɪ", "IH"),
        (Iy, "i", "IY"),
        (Uh, "ʊ", "UH"),
        (Uw, "u", "UW"),
        (Schwa, "ə", "AX"),
        (OpenSchwa, "ɐ", ""),
        (WeakIh, "ᵻ", "IX"),
        (SyllabicSchwa, "ᵊ", ""),
        (Ay, "I", "AY"),
        (Aw, "W", "AW"),
        (Ey, "A", "EY"),
        (Ow, "O", "OW"),
        (Oy, "Y", "OY"),
    ]
};

impl Phoneme {
    /// How many phonemes and pauses there are.
    pub const COUNT: usize = 47;

    /// The id that the nets see, below [`Phoneme::COUNT`].
    pub fn id(self) -> u32 {
        self as u32
    }

    /// The phoneme of an id, or `None` where there is none.
    pub fn from_id(id: u32) -> Option<Self> {
        INVENTORY.get(id as usize).map(|row| row.0)
    }

    /// The phoneme that a character of the teacher's alphabet stands for.
    pub fn from_ipa(sign: char) -> Option<Self> {
        let mut buffer = [0; 4];
        let sign: &str = sign.encode_utf8(&mut buffer);
        INVENTORY.iter().find(|row| row.1 == sign).map(|row| row.0)
    }

    /// The phoneme of an ARPAbet sign without its stress digit.
    pub fn from_arpabet(sign: &str) -> Option<Self> {
        INVENTORY.iter().find(|row| !sign.is_empty() && row.2 == sign).map(|row| row.0)
    }

    /// The character of the teacher's alphabet; empty for [`Phoneme::Silence`].
    pub fn ipa(self) -> &'static str {
        INVENTORY[self as usize].1
    }

    /// Whether this is a pause and not a sound.
    pub fn is_pause(self) -> bool {
        matches!(self, Self::Silence | Self::Comma | Self::Stop)
    }

    /// Whether this is a vowel, and so can carry stress.
    pub fn is_vowel(self) -> bool {
        self >= Self::Aa
    }
}

/// The stress of a vowel's syllable; [`Stress::None`] on consonants and pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Stress {
    /// Unstressed.
    #[default]
    None,
    /// `ˌ`.
    Secondary,
    /// `ˈ`.
    Primary,
}

impl Stress {
    /// The mark before the vowel in the teacher's alphabet; empty for none.
    pub fn mark(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Secondary => "ˌ",
            Self::Primary => "ˈ",
        }
    }
}

/// What the sentence does, told by its last punctuation mark: it bends the melody from the first word on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum SentenceKind {
    /// States something.
    #[default]
    Statement,
    /// Ends in `?`.
    Question,
    /// Ends in `!`.
    Exclamation,
}

/// One unit of the shared text encoder: the unit that has a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Symbol {
    /// Phoneme or pause.
    pub phoneme: Phoneme,
    /// Stress of the syllable, on its vowel.
    pub stress: Stress,
    /// First symbol of a word.
    pub word_start: bool,
    /// Last symbol of a word.
    pub word_end: bool,
    /// Kind of the sentence that the symbol belongs to.
    pub kind: SentenceKind,
}

impl Symbol {
    /// Vocabulary size of each feature of [`Symbol::features`].
    pub const FEATURE_SIZES: [usize; 4] = [Phoneme::COUNT, 3, 4, 3];

    /// The ids that the text encoder embeds: phoneme, stress, word edges (1 start, 2 end, 3 both), kind of sentence.
    pub fn features(&self) -> [u32; 4] {
        let edges = u32::from(self.word_start) + 2 * u32::from(self.word_end);
        [self.phoneme.id(), self.stress as u32, edges, self.kind as u32]
    }

    /// A pause.
    pub fn pause(phoneme: Phoneme, kind: SentenceKind) -> Self {
        Self { phoneme, stress: Stress::None, word_start: false, word_end: false, kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inventory_is_in_id_order_and_has_no_sign_twice() {
        let mut seen = std::collections::HashSet::new();
        for (i, (phoneme, ipa, arpabet)) in INVENTORY.iter().enumerate() {
            assert_eq!(phoneme.id() as usize, i);
            assert!(ipa.is_empty() || seen.insert(("ipa", *ipa)), "{ipa}");
            assert!(arpabet.is_empty() || seen.insert(("arpabet", *arpabet)), "{arpabet}");
        }
        assert_eq!(Phoneme::from_id(INVENTORY.len() as u32), None);
    }
}
