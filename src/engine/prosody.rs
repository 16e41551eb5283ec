//! What was asked of a sentence, brought to the durations of its symbols: sound, lips and cues follow them alike.

use crate::text::{Directed, Phoneme, Symbol};
use crate::timeline::{HOP_LENGTH, SAMPLE_RATE};

/// What a new paragraph adds to the silence before its first sentence.
const PARAGRAPH_S: f64 = 0.4;
/// Of a break between two sentences, the part that the second one opens with, so that its first sound has room; or half of
/// a shorter break.
const OPENING_S: f64 = 0.1;

/// The silences around a sentence that were asked for, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Gaps {
    /// The silence that it opens with.
    pub(super) opening_s: Option<f64>,
    /// The silence that it closes with.
    pub(super) closing_s: Option<f64>,
    /// What is added to the silence that it closes with.
    pub(super) added_s: f64,
    /// A new paragraph starts with it.
    pub(super) starts_paragraph: bool,
}

/// A break between two sentences, parted: the closing of the first, the opening of the second.
pub(super) fn part_break(seconds: f64) -> (f64, f64) {
    let opening = OPENING_S.min(seconds / 2.0);
    (seconds - opening, opening)
}

/// Changes the natural durations, in mel frames. Pauses that were asked for in seconds are given in units that `speed`
/// makes into these seconds later, when it divides all durations.
pub(super) fn direct(durations: &mut [f32], directed: &Directed, gaps: Gaps, speed: f64) {
    let mel_frames = |seconds: f64| (seconds * speed * f64::from(SAMPLE_RATE) / f64::from(HOP_LENGTH)) as f32;
    for (duration, style) in durations.iter_mut().zip(&directed.styles) {
        *duration /= style.rate;
    }
    let mut asked: Vec<(usize, f64)> = Vec::new();
    for &(symbol, seconds) in &directed.breaks {
        match asked.last_mut() {
            Some(last) if last.0 == symbol => last.1 += seconds,
            _ => asked.push((symbol, seconds)),
        }
    }
    for (symbol, seconds) in asked {
        durations[symbol] = mel_frames(seconds);
    }
    if let Some(first) = durations.first_mut() {
        match gaps.opening_s {
            Some(seconds) => *first = mel_frames(seconds),
            None if gaps.starts_paragraph => *first += mel_frames(PARAGRAPH_S / speed),
            None => {}
        }
    }
    if let Some(seconds) = gaps.closing_s {
        close(durations, &directed.utterance.symbols, mel_frames(seconds));
    }
    if let Some(last) = durations.last_mut() {
        *last += mel_frames(gaps.added_s);
    }
}

/// Gives the pauses after the last word `length` in all: the stop keeps what it has of it, for the last sound dies away
/// there.
fn close(durations: &mut [f32], symbols: &[Symbol], length: f32) {
    let mut left = length;
    let first = symbols.iter().rposition(|symbol| !symbol.phoneme.is_pause()).map_or(0, |last| last + 1);
    for (duration, symbol) in durations.iter_mut().zip(symbols).skip(first) {
        *duration = match symbol.phoneme {
            Phoneme::Silence => left,
            _ => duration.min(left),
        };
        left -= *duration;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{FrontEnd, FrontEndOptions, Passage};

    /// A passage's durations where every symbol lasts 10 mel frames by nature, and its symbols.
    fn durations(ssml: &str, gaps: Gaps, speed: f64) -> (Vec<f32>, Vec<Symbol>) {
        let front_end = FrontEnd::new(FrontEndOptions::default()).unwrap();
        let passage: Passage = front_end.ssml(ssml).unwrap().remove(0);
        let directed = front_end.analyse_passage(&passage).unwrap();
        let mut durations = vec![10.0; directed.utterance.symbols.len()];
        direct(&mut durations, &directed, gaps, speed);
        (durations, directed.utterance.symbols)
    }

    #[test]
    fn rate_changes_the_words_inside_alone() {
        let (found, _) = durations("<speak>I <prosody rate=\"50%\">I</prosody> I.</speak>", Gaps::default(), 1.0);
        // Silence, I, I, I, stop, silence.
        assert_eq!(found, [10.0, 10.0, 20.0, 10.0, 10.0, 10.0]);
    }

    #[test]
    fn breaks_last_as_long_as_asked_at_any_speed() {
        let text = "<speak>I <break time=\"500ms\"/><break time=\"250ms\"/> I, <break strength=\"none\"/> I.</speak>";
        for speed in [0.5, 1.0, 2.0] {
            let (found, symbols) = durations(text, Gaps::default(), speed);
            assert_eq!(symbols[2].phoneme, Phoneme::Comma);
            assert!((f64::from(found[2]) / speed - 60.0).abs() < 1e-4, "0.75 s are 60 mel frames: {found:?}");
            assert_eq!((symbols[4].phoneme, found[4]), (Phoneme::Comma, 0.0));
        }
    }

    #[test]
    fn gaps_between_sentences_are_exact_too() {
        let (closing, opening) = part_break(1.5);
        let (first, symbols) =
            durations("<speak>I.</speak>", Gaps { closing_s: Some(closing), ..Gaps::default() }, 1.0);
        let (second, _) = durations("<speak>I.</speak>", Gaps { opening_s: Some(opening), ..Gaps::default() }, 1.0);
        assert_eq!(symbols.len(), 4);
        assert!((first[2] + first[3] + second[0] - 120.0).abs() < 1e-3, "1.5 s are 120 mel frames");
        assert_eq!(part_break(0.0), (0.0, 0.0));
        // A break shorter than the stop takes from it.
        let gaps = Gaps { closing_s: Some(0.05), ..Gaps::default() };
        assert_eq!(durations("<speak>I.</speak>", gaps, 1.0).0[2..], [4.0, 0.0]);
    }

    #[test]
    fn paragraphs_and_added_pauses_lengthen_the_silences() {
        let gaps = Gaps { starts_paragraph: true, added_s: 0.5, ..Gaps::default() };
        let (found, _) = durations("<speak>I.</speak>", gaps, 2.0);
        // The paragraph's pause follows the pace (0.4 s are 32 mel frames), the added one does not.
        assert_eq!((found[0], found[3]), (10.0 + 32.0, 10.0 + 80.0));
    }
}
