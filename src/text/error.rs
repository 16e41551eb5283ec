//! What can go wrong between text and symbols.

/// Why a text could not be turned into symbols.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// There is no text.
    #[error("the text is empty: give some words to say")]
    Empty,
    /// There is text, but no word in it.
    #[error("nothing to say: the text has no words, only signs")]
    NothingToSay,
    /// A phoneme string holds a sign that the alphabet lacks.
    #[error("unknown phoneme sign {sign:?} at character {at}: use the signs that `paravox plan` prints")]
    BadPhoneme {
        /// The sign.
        sign: char,
        /// Its place in the phoneme string, in characters from 0.
        at: usize,
    },
    /// A list of durations does not belong to its phoneme string.
    #[error(
        "{durations} durations for {signs} phoneme signs: there must be one for each sign and one for the pause at \
         either end"
    )]
    DurationCount {
        /// Signs in the phoneme string.
        signs: usize,
        /// Durations given.
        durations: usize,
    },
}
