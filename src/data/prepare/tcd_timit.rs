//! The layout of TCD-TIMIT that ParaLip's code reads: crops made before, and phones with their times.
//!
//! `volunteers/SPEAKER/SENTENCE/*_PHN.txt` has lines "start phone end" (TIMIT's phones in lower case; times in seconds,
//! or in PCM samples at 16 kHz where all are whole numbers) and `lips/lip_000.png`, `lip_001.png`, ... are crops of 160 x
//! 80 at 30000/1001 video frames a second. `Test.txt` names the test sentences, one a line, as a path that ends in
//! SPEAKER/SENTENCE. As there, a crop that is black is replaced by the one before, and a sentence whose first crop is
//! black is left out.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use image::RgbImage;

use crate::data::{DataError, Result, Split};
use crate::face::{CROP_BYTES, CROP_HEIGHT, CROP_WIDTH};
use crate::text::{Phoneme, SentenceKind, Symbol};

/// Video frames a second: NTSC's.
pub(super) const FPS: f32 = 30_000.0 / 1001.0;
/// Rate of TIMIT's sound, in which its label files count.
const LABEL_SAMPLE_RATE: f32 = 16_000.0;
/// A crop whose darkest and lightest bytes differ by less shows nothing.
const MIN_CONTRAST: u8 = 16;

/// One sentence, not yet read.
#[derive(Debug)]
pub(super) struct Sentence {
    pub(super) speaker: String,
    pub(super) name: String,
    pub(super) split: Split,
    dir: PathBuf,
}

/// The sentences of a corpus, sorted by speaker and name.
pub(super) fn sentences(corpus: &Path, speakers: Option<&[String]>) -> Result<Vec<Sentence>> {
    let test_list = corpus.join("Test.txt");
    let listed = std::fs::read_to_string(&test_list).map_err(DataError::io(&test_list))?;
    let test: HashSet<(String, String)> = listed.lines().filter_map(last_two_parts).collect();
    let mut sentences = Vec::new();
    for (speaker, speaker_dir) in folders(&corpus.join("volunteers"))? {
        if speakers.is_some_and(|wanted| !wanted.contains(&speaker)) {
            continue;
        }
        for (name, dir) in folders(&speaker_dir)? {
            let is_test = test.contains(&(speaker.clone(), name.clone()));
            let split = if is_test { Split::Test } else { Split::Train };
            sentences.push(Sentence { speaker: speaker.clone(), name, split, dir });
        }
    }
    Ok(sentences)
}

fn last_two_parts(line: &str) -> Option<(String, String)> {
    let mut parts = line.trim().trim_end_matches('/').rsplit(['/', '\\']);
    let name = parts.next().filter(|name| !name.is_empty())?;
    Some((parts.next()?.to_string(), name.to_string()))
}

/// The folders in a folder, by name.
fn folders(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found: Vec<(String, PathBuf)> = files(dir)?.into_iter().filter(|(_, path)| path.is_dir()).collect();
    found.sort();
    Ok(found)
}

fn files(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let entries = std::fs::read_dir(dir).map_err(DataError::io(dir))?;
    entries
        .map(|entry| {
            let entry = entry.map_err(DataError::io(dir))?;
            Ok((entry.file_name().to_string_lossy().into_owned(), entry.path()))
        })
        .collect()
}

impl Sentence {
    /// Crops of all video frames, T x 80 x 160 x 3, RGB.
    pub(super) fn pixels(&self) -> Result<Vec<u8>> {
        let mut pixels: Vec<u8> = Vec::new();
        for k in 0.. {
            let path = self.dir.join(format!("lips/lip_{k:03}.png"));
            if !path.is_file() {
                break;
            }
            let crop = read_crop(&path)?;
            let contrast = crop.iter().max().zip(crop.iter().min()).map_or(0, |(max, min)| max - min);
            if contrast >= MIN_CONTRAST {
                pixels.extend_from_slice(&crop);
            } else if let Some(start) = pixels.len().checked_sub(CROP_BYTES) {
                pixels.extend_from_within(start..);
            } else {
                return Err(self.refuse("its first crop is black"));
            }
        }
        if pixels.is_empty() {
            return Err(self.refuse("it has no lips/lip_000.png"));
        }
        Ok(pixels)
    }

    /// Symbols and the times of their edges in seconds, from 0 to `end_s`.
    pub(super) fn symbols(&self, end_s: f32) -> Result<(Vec<Symbol>, Vec<f32>)> {
        let labels = files(&self.dir)?.into_iter().find(|(name, _)| name.ends_with("_PHN.txt"));
        let (_, path) = labels.ok_or_else(|| self.refuse("it has no file of phones, *_PHN.txt"))?;
        let text = std::fs::read_to_string(&path).map_err(DataError::io(&path))?;
        parse_labels(&text, end_s).map_err(|why| DataError::Corpus { why, path })
    }

    fn refuse(&self, why: &str) -> DataError {
        DataError::item(&format!("{}/{}", self.speaker, self.name), why)
    }
}

fn read_crop(path: &Path) -> Result<Vec<u8>> {
    let refuse = |why: String| DataError::Corpus { why, path: path.to_path_buf() };
    let crop: RgbImage = image::open(path).map_err(|e| refuse(format!("no readable picture: {e}")))?.into_rgb8();
    if crop.dimensions() != (CROP_WIDTH as u32, CROP_HEIGHT as u32) {
        return Err(refuse(format!(
            "a crop of {}x{} pixels, not {CROP_WIDTH}x{CROP_HEIGHT}",
            crop.width(),
            crop.height()
        )));
    }
    Ok(crop.into_raw())
}

/// The phone of TIMIT, or of its usual folding to 39, in our inventory. Closures belong to the stop that they open.
fn phoneme(sign: &str) -> Option<Phoneme> {
    Some(match sign {
        "sil" | "h#" | "pau" | "epi" | "sp" => Phoneme::Silence,
        "bcl" => Phoneme::B,
        "dcl" => Phoneme::D,
        "gcl" => Phoneme::G,
        "pcl" => Phoneme::P,
        "tcl" | "q" => Phoneme::T,
        "kcl" => Phoneme::K,
        "hv" => Phoneme::Hh,
        "el" => Phoneme::L,
        "em" => Phoneme::M,
        "en" | "nx" => Phoneme::N,
        "eng" => Phoneme::Ng,
        "axr" => Phoneme::Er,
        "ax-h" => Phoneme::Schwa,
        "ux" => Phoneme::Uw,
        _ => Phoneme::from_arpabet(&sign.to_ascii_uppercase())?,
    })
}

fn parse_labels(text: &str, end_s: f32) -> std::result::Result<(Vec<Symbol>, Vec<f32>), String> {
    let units_per_s = if text.contains('.') { 1.0 } else { LABEL_SAMPLE_RATE };
    let mut symbols: Vec<Symbol> = Vec::new();
    let mut boundaries_s: Vec<f32> = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let &[start, sign, end] = fields.as_slice() else {
            return Err(format!("line {} is not: start, phone, end", i + 1));
        };
        let number = |text: &str| text.parse::<f32>().map_err(|_| format!("line {}: {text} is no time", i + 1));
        let (start, _) = (number(start)?, number(end)?);
        let phoneme = phoneme(sign).ok_or_else(|| format!("line {}: {sign} is no phone of TIMIT", i + 1))?;
        let last = symbols.last().map(|last| last.phoneme);
        // A closure and its stop, or two silences, are one symbol.
        if last == Some(phoneme) && (phoneme == Phoneme::Silence || closure_before(text, i)) {
            continue;
        }
        symbols.push(Symbol::pause(phoneme, SentenceKind::Statement));
        boundaries_s.push((start / units_per_s).clamp(0.0, end_s));
    }
    if let Some(first) = boundaries_s.first_mut() {
        *first = 0.0;
    }
    boundaries_s.push(end_s);
    if symbols.is_empty() || boundaries_s.iter().any(|t| t.is_nan()) || !boundaries_s.is_sorted() {
        return Err("it has no phones, or their times fall".into());
    }
    Ok((symbols, boundaries_s))
}

/// Whether the line before line `i` is a closure.
fn closure_before(text: &str, i: usize) -> bool {
    let sign = |line: &str| line.split_whitespace().nth(1).map(str::to_string);
    i.checked_sub(1).and_then(|before| text.lines().nth(before)).and_then(sign).is_some_and(|sign| sign.ends_with("cl"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_in_seconds_and_in_pcm_samples_are_the_same_symbols() {
        let seconds = "0 sil 0.5\n0.5 dcl 0.55\n0.55 d 0.6\n0.6 aa 0.9\n0.9 sp 1.0\n1.0 sil 1.4\n";
        let samples = "0 sil 8000\n8000 dcl 8800\n8800 d 9600\n9600 aa 14400\n14400 sp 16000\n16000 sil 22400\n";
        let (symbols, boundaries_s) = parse_labels(seconds, 1.3).unwrap();
        let phonemes: Vec<Phoneme> = symbols.iter().map(|s| s.phoneme).collect();
        assert_eq!(phonemes, [Phoneme::Silence, Phoneme::D, Phoneme::Aa, Phoneme::Silence]);
        assert_eq!(boundaries_s, [0.0, 0.5, 0.6, 0.9, 1.3]);
        assert_eq!(parse_labels(samples, 1.3).unwrap(), (symbols, boundaries_s));
    }

    #[test]
    fn labels_that_are_none_are_refused() {
        for bad in ["", "0 sil", "0 zz9 1.0", "x sil 1.0", "0.5 aa 0.6\n0.8 b 0.9\n0.2 d 0.3"] {
            assert!(parse_labels(bad, 1.0).is_err(), "{bad}");
        }
    }
}
