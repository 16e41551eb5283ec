//! Oculus: the 15 visemes of the Oculus lip-sync SDK ("Viseme Reference", Meta's developer documentation), those that the
//! lips of this program are trained with.

use crate::text::{Phoneme, Viseme, viseme};

pub(super) const NAMES: [&str; Viseme::COUNT] = {
    let mut names = [""; Viseme::COUNT];
    let mut id = 0;
    while id < Viseme::COUNT {
        names[id] = Viseme::ALL[id].name();
        id += 1;
    }
    names
};

pub(super) fn shapes(phoneme: Phoneme) -> &'static [&'static str] {
    let id = viseme::of(phoneme).id() as usize;
    &NAMES[id..=id]
}
