//! The layout of the GRID corpus (Cooke et al. 2006) as this project keeps it.
//!
//! `clips.tsv` names speaker, clip, width, height, split and text of every clip; `SPEAKER/CLIP.mp4` is the clip at 25
//! video frames a second; `phones.jsonl` has its phones and their times (ARPAbet, forced alignment), word by word;
//! `landmarks.npz` has `SPEAKER/CLIP` arrays of dlib's 68 points.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::landmarks::{self, Face};
use super::{ListedClip, crop, lines};
use crate::data::{DataError, Result};
use crate::face::Affine;
use crate::text::{Phoneme, SentenceKind, Stress, Symbol};

/// Video frames a second of every clip of GRID.
pub(super) const FPS: f32 = 25.0;

/// One phone: ARPAbet sign, start and end in seconds.
type Phone = (String, f32, f32);

/// One line of `phones.jsonl`.
#[derive(Debug, Deserialize)]
struct PhonesRow {
    speaker: String,
    clip: String,
    words: Vec<(String, Vec<Phone>)>,
}

/// One clip, not yet decoded.
#[derive(Debug)]
pub(crate) struct GridClip {
    pub(crate) listed: ListedClip,
    words: Option<Vec<(String, Vec<Phone>)>>,
    faces: Option<Vec<Face>>,
}

/// The clips of a corpus in the order of `clips.tsv`; `speakers` limits them.
pub(super) fn clips(corpus: &Path, speakers: Option<&[String]>) -> Result<Vec<GridClip>> {
    let wanted = |speaker: &str| speakers.is_none_or(|speakers| speakers.iter().any(|s| s == speaker));
    let path = corpus.join("phones.jsonl");
    let mut words = HashMap::new();
    for (number, line) in lines(&path)? {
        let row: PhonesRow = serde_json::from_str(&line)
            .map_err(|e| DataError::Corpus { why: format!("line {number}: {e}"), path: path.clone() })?;
        words.insert(format!("{}/{}", row.speaker, row.clip), row.words);
    }
    let mut faces = landmarks::read(&corpus.join("landmarks.npz"))?;
    let listed = ListedClip::list(corpus)?.into_iter().filter(|listed| wanted(&listed.speaker));
    let clip = |listed: ListedClip| {
        let key = listed.id();
        GridClip { words: words.remove(&key), faces: faces.remove(&key), listed }
    };
    Ok(listed.map(clip).collect())
}

/// The clips of one speaker.
pub(crate) fn clips_of(corpus: &Path, speaker: &str) -> Result<Vec<GridClip>> {
    clips(corpus, Some(&[speaker.to_string()]))
}

impl GridClip {
    /// Pixels of its picture.
    pub(crate) fn area(&self) -> u32 {
        self.listed.size[0].saturating_mul(self.listed.size[1])
    }

    /// Landmarks of every video frame, where the clip has any.
    pub(crate) fn faces(&self) -> Option<&[Face]> {
        self.faces.as_deref()
    }

    /// The map from crop to picture of every video frame, or `None` without landmarks of a face.
    pub(crate) fn affines(&self) -> Option<Vec<Affine>> {
        crop::affines(self.faces()?)
    }

    /// How far the lips are open in each of the first `n` video frames, as a part of their width.
    pub(crate) fn lip_openings(&self, n: usize) -> Option<Vec<f32>> {
        Some(self.faces()?.get(..n)?.iter().map(crop::lip_opening).collect())
    }

    /// When the first phone that is no silence begins.
    pub(crate) fn first_sound_s(&self) -> Option<f32> {
        self.sounds().next().map(|phone| phone.1)
    }

    /// When the last phone that is no silence ends.
    pub(crate) fn last_sound_s(&self) -> Option<f32> {
        self.sounds().last().map(|phone| phone.2)
    }

    fn sounds(&self) -> impl Iterator<Item = &Phone> {
        let phones = self.words.iter().flatten().flat_map(|(_, phones)| phones);
        phones.filter(|(sign, ..)| Phoneme::from_arpabet(sign) != Some(Phoneme::Silence))
    }

    /// The symbols of the clip and the times of their edges in seconds, from 0 to `end_s`.
    pub(super) fn symbols(&self, end_s: f32) -> Result<(Vec<Symbol>, Vec<f32>)> {
        let id = self.listed.id();
        let words = self.words.as_ref().ok_or_else(|| DataError::item(&id, "phones.jsonl does not have it"))?;
        symbols(words, end_s).map_err(|why| DataError::item(&id, why))
    }
}

/// Silences that touch become one; a clip always begins and ends in one, of no length where nothing is silent.
fn symbols(words: &[(String, Vec<Phone>)], end_s: f32) -> std::result::Result<(Vec<Symbol>, Vec<f32>), String> {
    let silence = Symbol::pause(Phoneme::Silence, SentenceKind::Statement);
    let mut symbols = vec![silence];
    let mut starts_s = vec![0.0];
    let mut last_end_s = 0.0f32;
    for (word, phones) in words {
        for (symbol, &(_, start_s, phone_end_s)) in word_symbols(word, phones)?.into_iter().zip(phones) {
            let goes_on = symbol.phoneme == Phoneme::Silence
                && symbols.last().is_some_and(|last| last.phoneme == Phoneme::Silence);
            if !goes_on {
                symbols.push(symbol);
                starts_s.push(start_s);
            }
            last_end_s = phone_end_s;
        }
    }
    if symbols.last().is_some_and(|last| last.phoneme != Phoneme::Silence) {
        symbols.push(silence);
        starts_s.push(last_end_s);
    }
    if symbols.len() < 3 {
        return Err("it has no phones".into());
    }
    let mut boundaries_s: Vec<f32> = starts_s.iter().map(|start_s| start_s.clamp(0.0, end_s)).collect();
    boundaries_s.push(end_s);
    if boundaries_s.iter().any(|t| t.is_nan()) || !boundaries_s.is_sorted() {
        return Err("the times of its phones fall".into());
    }
    Ok((symbols, boundaries_s))
}

/// The symbols of one word, one a phone. Names such as `letter_f`, `again(2)` and `<sil>` are PocketSphinx's.
fn word_symbols(word: &str, phones: &[Phone]) -> std::result::Result<Vec<Symbol>, String> {
    let base = word.split_once('(').map_or(word, |(base, _variant)| base);
    // GRID's words: all of one stressed syllable but the unstressed function words, and three words of two syllables.
    let stressed_vowel = match base {
        "at" | "by" | "in" | "with" => None,
        "again" => Some(1),
        _ => Some(0),
    };
    let mut vowels = 0;
    let mut symbols = Vec::with_capacity(phones.len());
    for (i, (sign, ..)) in phones.iter().enumerate() {
        let mut phoneme = Phoneme::from_arpabet(sign).ok_or_else(|| format!("{sign} in {word} is no ARPAbet sign"))?;
        if phoneme.is_pause() {
            symbols.push(Symbol::pause(Phoneme::Silence, SentenceKind::Statement));
            continue;
        }
        let stressed = phoneme.is_vowel() && Some(vowels) == stressed_vowel;
        vowels += usize::from(phoneme.is_vowel());
        // ARPAbet writes the unstressed vowel of "again" and "seven" like the stressed one of "one".
        if phoneme == Phoneme::Ah && !stressed {
            phoneme = Phoneme::Schwa;
        }
        symbols.push(Symbol {
            phoneme,
            stress: if stressed { Stress::Primary } else { Stress::None },
            word_start: i == 0,
            word_end: i + 1 == phones.len(),
            kind: SentenceKind::Statement,
        });
    }
    Ok(symbols)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phone(sign: &str, start_s: f32, end_s: f32) -> Phone {
        (sign.into(), start_s, end_s)
    }

    fn written(symbols: &[Symbol]) -> String {
        let sign = |s: &Symbol| {
            let start = if s.word_start { "[" } else { "" };
            let stress = if s.stress == Stress::Primary { "'" } else { "" };
            let end = if s.word_end { "]" } else { "" };
            let phoneme = if s.phoneme == Phoneme::Silence { "_" } else { s.phoneme.ipa() };
            format!("{start}{stress}{phoneme}{end}")
        };
        symbols.iter().map(sign).collect()
    }

    #[test]
    fn words_become_symbols_with_stress_and_silences_merge() {
        let words = vec![
            ("<sil>".into(), vec![phone("SIL", -0.2, 0.02)]),
            ("<sil>".into(), vec![phone("SIL", 0.02, 0.5)]),
            ("at".into(), vec![phone("AE", 0.5, 0.6), phone("T", 0.6, 0.7)]),
            ("letter_q".into(), vec![phone("K", 0.7, 0.8), phone("Y", 0.8, 0.9), phone("UW", 0.9, 1.0)]),
            (
                "seven".into(),
                vec![
                    phone("S", 1.0, 1.1),
                    phone("EH", 1.1, 1.2),
                    phone("V", 1.2, 1.3),
                    phone("AH", 1.3, 1.4),
                    phone("N", 1.4, 1.5),
                ],
            ),
            (
                "again(2)".into(),
                vec![phone("AH", 1.5, 1.6), phone("G", 1.6, 1.7), phone("EY", 1.7, 1.8), phone("N", 1.8, 1.9)],
            ),
            ("one".into(), vec![phone("W", 1.9, 2.0), phone("AH", 2.0, 2.1), phone("N", 2.1, 2.2)]),
            ("<sil>".into(), vec![phone("SIL", 2.2, 3.18)]),
        ];
        let (symbols, boundaries_s) = symbols(&words, 3.0).unwrap();
        assert_eq!(written(&symbols), "_[æt][kj'u][s'ɛvən][əɡ'An][w'ʌn]_");
        assert_eq!(boundaries_s.len(), symbols.len() + 1);
        assert_eq!(boundaries_s[..4], [0.0, 0.5, 0.6, 0.7]);
        assert_eq!(boundaries_s[boundaries_s.len() - 2..], [2.2, 3.0]);
    }

    #[test]
    fn silence_is_added_where_a_clip_has_none_and_faults_are_named() {
        let words = vec![("by".to_string(), vec![phone("B", 0.0, 0.2), phone("AY", 0.2, 0.5)])];
        let (found, boundaries_s) = symbols(&words, 1.0).unwrap();
        assert_eq!((written(&found).as_str(), boundaries_s), ("_[bI]_", vec![0.0, 0.0, 0.2, 0.5, 1.0]));
        for (words, part) in [
            (vec![("by".to_string(), vec![phone("B", 0.3, 0.4), phone("AY", 0.2, 0.5)])], "fall"),
            (vec![("by".to_string(), vec![phone("Q", 0.3, 0.4)])], "ARPAbet"),
            (vec![], "no phones"),
        ] {
            let why = symbols(&words, 1.0).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
