//! The sets of visemes that avatars are drawn in: one table from phoneme to mouth shapes for each set, in a file of its own
//! that names its source.
//!
//! A phoneme shows one shape, or two in turn, each for half of its time, where a set says so: Azure's diphthongs and
//! affricates, Rhubarb's diphthongs. Shapes that touch and are the same are one cue.

mod azure;
mod oculus;
mod polly;
mod preston_blair;
mod rhubarb;

use std::str::FromStr;

use super::{Cue, CueKind};
use crate::text::Phoneme;
use crate::timeline::Timeline;

/// A set of visemes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum VisemeSet {
    /// The 15 of the Oculus lip-sync SDK: `sil`, `PP`, ... `U`.
    #[default]
    Oculus,
    /// The 22 ids of Azure Speech: `0` to `21`.
    Azure,
    /// The 9 of Rhubarb Lip Sync: `A` to `H` and `X`.
    Rhubarb,
    /// The 10 mouths of Preston Blair: `AI`, `E`, `O`, `U`, `etc`, `L`, `WQ`, `MBP`, `FV`, `rest`.
    PrestonBlair,
    /// The 17 of Amazon Polly: `p`, `t`, ... `sil`.
    Polly,
}

impl VisemeSet {
    /// All sets.
    pub const ALL: [Self; 5] = [Self::Oculus, Self::Azure, Self::Rhubarb, Self::PrestonBlair, Self::Polly];

    /// The set's name, as the command line knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oculus => "oculus",
            Self::Azure => "azure",
            Self::Rhubarb => "rhubarb",
            Self::PrestonBlair => "preston-blair",
            Self::Polly => "polly",
        }
    }

    /// Every viseme of the set, in the order of its source.
    pub fn visemes(self) -> &'static [&'static str] {
        match self {
            Self::Oculus => &oculus::NAMES,
            Self::Azure => &azure::NAMES,
            Self::Rhubarb => &rhubarb::NAMES,
            Self::PrestonBlair => &preston_blair::NAMES,
            Self::Polly => &polly::NAMES,
        }
    }

    /// The visemes that a phoneme or pause shows one after the other, each for the same share of its time.
    pub fn shapes(self, phoneme: Phoneme) -> &'static [&'static str] {
        match self {
            Self::Oculus => oculus::shapes(phoneme),
            Self::Azure => azure::shapes(phoneme),
            Self::Rhubarb => rhubarb::shapes(phoneme),
            Self::PrestonBlair => preston_blair::shapes(phoneme),
            Self::Polly => polly::shapes(phoneme),
        }
    }

    /// The viseme cues of a timeline whose symbols are `phonemes`, in its own time, without gaps.
    pub(crate) fn cues(self, phonemes: impl Iterator<Item = Phoneme>, timeline: &Timeline) -> Vec<Cue> {
        let mut cues: Vec<Cue> = Vec::new();
        for (symbol, phoneme) in phonemes.enumerate() {
            let span = timeline.span(symbol..symbol + 1);
            let shapes = self.shapes(phoneme);
            let part = |number: usize| span.start + (span.end - span.start) * number as u64 / shapes.len() as u64;
            for (number, &shape) in shapes.iter().enumerate() {
                let (start_sample, end_sample) = (part(number), part(number + 1));
                match cues.last_mut() {
                    Some(last) if last.text == shape => last.end_sample = end_sample,
                    _ => cues.push(Cue {
                        kind: CueKind::Viseme,
                        start_sample,
                        end_sample,
                        text: shape.to_owned(),
                        source: None,
                        chars: None,
                    }),
                }
            }
        }
        cues
    }
}

impl FromStr for VisemeSet {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|set| set.name() == name);
        found.ok_or_else(|| format!("no set of visemes '{name}': give one of {}", Self::ALL.map(Self::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::INVENTORY;

    #[test]
    fn every_phoneme_has_shapes_of_the_set_and_every_viseme_is_shown_by_some_phoneme() {
        for (set, count) in VisemeSet::ALL.into_iter().zip([15, 22, 9, 10, 17]) {
            let names = set.visemes();
            assert_eq!(names.len(), count, "{set:?}");
            let mut shown = Vec::new();
            for (phoneme, ..) in INVENTORY {
                let shapes = set.shapes(phoneme);
                assert!((1..=2).contains(&shapes.len()), "{set:?} {phoneme:?}");
                assert!(shapes.iter().all(|shape| names.contains(shape)), "{set:?} {phoneme:?}: {shapes:?}");
                shown.extend(shapes);
            }
            for name in names {
                assert!(shown.contains(name), "{set:?}: no phoneme shows {name}");
            }
        }
    }

    #[test]
    fn only_pauses_rest_and_lip_closures_have_a_viseme_of_their_own() {
        for set in VisemeSet::ALL {
            let (rest, closed) = (set.shapes(Phoneme::Silence), set.shapes(Phoneme::P));
            for (phoneme, ..) in INVENTORY {
                assert_eq!(set.shapes(phoneme) == rest, phoneme.is_pause(), "{set:?} {phoneme:?}");
                let closes = matches!(phoneme, Phoneme::P | Phoneme::B | Phoneme::M);
                assert_eq!(set.shapes(phoneme) == closed, closes, "{set:?} {phoneme:?}");
            }
        }
    }

    #[test]
    fn shapes_share_the_time_of_a_phoneme_and_equal_ones_join() {
        // "My pie": m, ay, p, ay.
        let phonemes = [Phoneme::Silence, Phoneme::M, Phoneme::Ay, Phoneme::P, Phoneme::Ay, Phoneme::Iy, Phoneme::Stop];
        let timeline = Timeline::from_boundaries(vec![0, 100, 200, 301, 400, 500, 600, 700]).unwrap();
        let cues = VisemeSet::Rhubarb.cues(phonemes.into_iter(), &timeline);
        let cues: Vec<(&str, u64, u64)> =
            cues.iter().map(|cue| (&*cue.text, cue.start_sample, cue.end_sample)).collect();
        let expected = [
            ("X", 0, 100),
            ("A", 100, 200),
            ("D", 200, 250),
            ("B", 250, 301),
            ("A", 301, 400),
            ("D", 400, 450),
            ("B", 450, 600),
            ("X", 600, 700),
        ];
        assert_eq!(cues, expected);
    }

    #[test]
    fn names_are_read_back_and_others_are_listed() {
        for set in VisemeSet::ALL {
            assert_eq!(set.name().parse(), Ok(set));
        }
        assert!("disney".parse::<VisemeSet>().unwrap_err().contains("oculus, azure"));
    }
}
