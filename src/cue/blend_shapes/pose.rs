//! What a mouth does for each phoneme: the one table of the blend-shape curves.
//!
//! The targets are this program's own, set by articulation: closures meet, f and v have the lower lip under the teeth, th
//! shows the tongue, rounding is a pucker. `own_height` and `own_width` say how far a phoneme insists on its target, how far
//! it takes its neighbours' (coarticulation, after the dominances of Cohen and Massaro, "Modeling coarticulation in synthetic
//! visual speech", 1993): lips must meet for a "b", but may be as round as the vowel around it; an "h" is all its neighbours'.

use super::names::BlendShapes;
use crate::text::Phoneme;

/// A mouth, from 0 (at rest) to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pose {
    pub(super) jaw: f32,
    /// Lips together in spite of the jaw: as much as `jaw` where they meet.
    pub(super) close: f32,
    pub(super) press: f32,
    pub(super) roll_lower: f32,
    pub(super) roll_upper: f32,
    pub(super) upper_up: f32,
    pub(super) lower_down: f32,
    pub(super) funnel: f32,
    pub(super) pucker: f32,
    pub(super) smile: f32,
    pub(super) stretch: f32,
    pub(super) tongue: f32,
    own_height: f32,
    own_width: f32,
}

pub(super) const REST: Pose = Pose {
    jaw: 0.0,
    close: 0.0,
    press: 0.0,
    roll_lower: 0.0,
    roll_upper: 0.0,
    upper_up: 0.0,
    lower_down: 0.0,
    funnel: 0.0,
    pucker: 0.0,
    smile: 0.0,
    stretch: 0.0,
    tongue: 0.0,
    own_height: 1.0,
    own_width: 1.0,
};

/// Lips, teeth or tongue set the height, the neighbours the width.
const CONSONANT: Pose = Pose { own_height: 0.5, own_width: 0.2, ..REST };
const VOWEL: Pose = Pose { own_height: 1.0, own_width: 0.9, ..REST };

const AA: Pose = Pose { jaw: 0.6, lower_down: 0.3, upper_up: 0.1, ..VOWEL };
const AH: Pose = Pose { jaw: 0.4, lower_down: 0.25, ..VOWEL };
const AO: Pose = Pose { jaw: 0.45, funnel: 0.45, pucker: 0.1, ..VOWEL };
const EH: Pose = Pose { jaw: 0.35, smile: 0.2, stretch: 0.15, lower_down: 0.3, upper_up: 0.1, ..VOWEL };
const IH: Pose = Pose { jaw: 0.2, smile: 0.25, lower_down: 0.25, ..VOWEL };
const IY: Pose = Pose { jaw: 0.12, smile: 0.4, stretch: 0.25, lower_down: 0.3, upper_up: 0.1, ..VOWEL };
const UH: Pose = Pose { jaw: 0.2, funnel: 0.3, pucker: 0.35, ..VOWEL };
const UW: Pose = Pose { jaw: 0.1, funnel: 0.3, pucker: 0.75, ..VOWEL };

/// The poses of a phoneme, each for the same share of its time.
pub(super) fn of(phoneme: Phoneme) -> &'static [Pose] {
    use Phoneme as P;
    match phoneme {
        P::Silence | P::Comma | P::Stop => &[REST],
        P::P | P::B | P::M => {
            const {
                &[Pose {
                    jaw: 0.04,
                    close: 0.04,
                    press: 0.35,
                    roll_lower: 0.15,
                    roll_upper: 0.15,
                    own_height: 1.0,
                    own_width: 0.3,
                    ..REST
                }]
            }
        }
        P::F | P::V => {
            const { &[Pose { jaw: 0.08, roll_lower: 0.5, upper_up: 0.25, own_height: 1.0, own_width: 0.4, ..REST }] }
        }
        P::Th | P::Dh => {
            const { &[Pose { jaw: 0.15, lower_down: 0.25, upper_up: 0.1, tongue: 0.35, own_height: 0.7, ..CONSONANT }] }
        }
        P::T | P::D | P::N | P::Flap => const { &[Pose { jaw: 0.12, lower_down: 0.2, upper_up: 0.08, ..CONSONANT }] },
        P::L => const { &[Pose { jaw: 0.2, lower_down: 0.25, own_height: 0.6, ..CONSONANT }] },
        P::S | P::Z => {
            const {
                &[Pose {
                    jaw: 0.04,
                    lower_down: 0.3,
                    upper_up: 0.15,
                    stretch: 0.2,
                    own_height: 0.8,
                    own_width: 0.5,
                    ..REST
                }]
            }
        }
        P::K | P::G | P::Ng => {
            const { &[Pose { jaw: 0.18, lower_down: 0.2, own_height: 0.35, own_width: 0.1, ..REST }] }
        }
        P::Hh => const { &[Pose { own_height: 0.05, own_width: 0.05, ..REST }] },
        P::Ch | P::Jh | P::Sh | P::Zh => {
            const {
                &[Pose {
                    jaw: 0.08,
                    lower_down: 0.2,
                    upper_up: 0.15,
                    funnel: 0.5,
                    pucker: 0.25,
                    own_height: 0.8,
                    own_width: 0.9,
                    ..REST
                }]
            }
        }
        P::R => const { &[Pose { jaw: 0.12, funnel: 0.25, pucker: 0.3, own_width: 0.7, ..CONSONANT }] },
        P::Er => const { &[Pose { jaw: 0.18, funnel: 0.3, pucker: 0.25, ..VOWEL }] },
        P::W => const { &[Pose { jaw: 0.06, funnel: 0.2, pucker: 0.8, own_height: 0.9, ..VOWEL }] },
        P::Y => const { &[Pose { jaw: 0.1, smile: 0.25, stretch: 0.2, own_width: 0.5, ..CONSONANT }] },
        P::Aa => const { &[AA] },
        P::Ae => const { &[Pose { jaw: 0.5, smile: 0.15, stretch: 0.2, lower_down: 0.35, upper_up: 0.15, ..VOWEL }] },
        P::Ah | P::OpenSchwa => const { &[AH] },
        P::Ao => const { &[AO] },
        P::Eh => const { &[EH] },
        P::Ih | P::WeakIh => const { &[IH] },
        P::Iy => const { &[IY] },
        P::Uh => const { &[UH] },
        P::Uw => const { &[UW] },
        P::Schwa => const { &[Pose { jaw: 0.22, lower_down: 0.15, own_height: 0.6, own_width: 0.3, ..REST }] },
        P::SyllabicSchwa => const { &[Pose { jaw: 0.12, lower_down: 0.1, own_height: 0.4, own_width: 0.2, ..REST }] },
        P::Ay => const { &[AA, IH] },
        P::Aw => const { &[AA, UW] },
        P::Ey => const { &[EH, IY] },
        P::Ow => const { &[Pose { jaw: 0.35, funnel: 0.5, pucker: 0.2, ..VOWEL }, UH] },
        P::Oy => const { &[AO, IH] },
    }
}

impl Pose {
    /// The pose in the company of its neighbours: where it does not insist, it is their mean.
    pub(super) fn between(self, before: Self, after: Self) -> Self {
        let company = before.mixed(after, 0.5, 0.5);
        Self { tongue: self.tongue, ..company.mixed(self, self.own_height, self.own_width) }
    }

    /// From `self` (0) to `other` (1), `height` for how the lips are apart and `width` for how wide they are.
    pub(super) fn mixed(self, other: Self, height: f32, width: f32) -> Self {
        let tall = |a: f32, b: f32| a + (b - a) * height;
        let wide = |a: f32, b: f32| a + (b - a) * width;
        Self {
            jaw: tall(self.jaw, other.jaw),
            close: tall(self.close, other.close),
            press: tall(self.press, other.press),
            roll_lower: tall(self.roll_lower, other.roll_lower),
            roll_upper: tall(self.roll_upper, other.roll_upper),
            upper_up: tall(self.upper_up, other.upper_up),
            lower_down: tall(self.lower_down, other.lower_down),
            funnel: tall(self.funnel, other.funnel),
            pucker: wide(self.pucker, other.pucker),
            smile: wide(self.smile, other.smile),
            stretch: wide(self.stretch, other.stretch),
            tongue: tall(self.tongue, other.tongue),
            own_height: self.own_height,
            own_width: self.own_width,
        }
    }

    /// The blend shapes of the pose; those that come in pairs are the same on both sides.
    pub(super) fn blend_shapes(&self) -> BlendShapes {
        let values = super::BLEND_SHAPES.map(|name| match name.trim_end_matches("Left").trim_end_matches("Right") {
            "jawOpen" => self.jaw,
            "mouthClose" => self.close,
            "mouthPress" => self.press,
            "mouthRollLower" => self.roll_lower,
            "mouthRollUpper" => self.roll_upper,
            "mouthUpperUp" => self.upper_up,
            "mouthLowerDown" => self.lower_down,
            "mouthFunnel" => self.funnel,
            "mouthPucker" => self.pucker,
            "mouthSmile" => self.smile,
            "mouthStretch" => self.stretch,
            "tongueOut" => self.tongue,
            _ => 0.0,
        });
        BlendShapes(values)
    }
}
