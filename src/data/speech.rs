//! Speech features on disk: text, symbols, durations, mel, F0 and PCM of every sentence.

use std::ops::Range;
use std::path::Path;

use half::f16;
use half::slice::HalfFloatSliceExt;
use serde::{Deserialize, Serialize};

use super::folder::{Layout, Reader, Writer};
use super::{DataError, Result, Split, pack_symbols, unpack_symbols};
use crate::text::Symbol;

/// Rates and sizes of a speech dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpeechGeometry {
    /// PCM samples a second.
    pub sample_rate: u32,
    /// Length of the analysis window in PCM samples.
    pub n_fft: usize,
    /// PCM samples from one mel frame to the next.
    pub hop_length: usize,
    /// Mel bins of a mel frame.
    pub n_mels: usize,
}

impl Default for SpeechGeometry {
    /// 24 kHz, n_fft 1200, hop 300, 80 mel bins.
    fn default() -> Self {
        Self { sample_rate: 24_000, n_fft: 1200, hop_length: 300, n_mels: 80 }
    }
}

/// One sentence, whole.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeechItem {
    /// Name in its corpus.
    pub id: String,
    /// What is said.
    pub text: String,
    /// Phonemes and pauses.
    pub symbols: Vec<Symbol>,
    /// Mel frames of every symbol; their sum is the length of the item. `None`: the corpus is not aligned.
    pub durations: Option<Vec<u32>>,
    /// Natural-log mel, T x n_mels, mel frame by mel frame.
    pub mel: Vec<f32>,
    /// Fundamental frequency of every mel frame in Hz; 0 = unvoiced.
    pub f0_hz: Vec<f32>,
    /// hop_length x T PCM samples.
    pub pcm: Vec<i16>,
    /// Id of the speaker.
    pub voice: u32,
    /// What the item is for.
    pub split: Split,
}

/// The light part of a sentence: all but its arrays.
#[derive(Debug, Clone, PartialEq)]
pub struct SpeechMeta {
    /// Name in its corpus.
    pub id: String,
    /// What is said.
    pub text: String,
    /// Phonemes and pauses.
    pub symbols: Vec<Symbol>,
    /// Mel frames of every symbol, or `None` where the corpus is not aligned.
    pub durations: Option<Vec<u32>>,
    /// Length of the item.
    pub mel_frames: usize,
    /// Id of the speaker.
    pub voice: u32,
    /// What the item is for.
    pub split: Split,
    first_mel_frame: u64,
}

/// One line of `index.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    id: String,
    text: String,
    voice: u32,
    split: Split,
    first_mel_frame: u64,
    mel_frames: usize,
    symbols: Vec<[u32; 4]>,
    durations: Option<Vec<u32>>,
}

struct SpeechLayout;

impl Layout for SpeechLayout {
    const KIND: &'static str = "speech";
    const ARRAYS: &'static [&'static str] = &["mel.f16", "f0.f32", "pcm.i16"];
    type Geometry = SpeechGeometry;
    type Row = Row;
}

const MEL: usize = 0;
const F0: usize = 1;
const PCM: usize = 2;

/// A speech dataset that is open for reading. Cheap to share between threads.
pub struct SpeechDataset {
    reader: Reader<SpeechLayout>,
    metas: Vec<SpeechMeta>,
}

impl SpeechDataset {
    /// Opens the dataset in a folder.
    ///
    /// # Errors
    /// [`DataError::NotADataset`], [`DataError::Damaged`] or [`DataError::Io`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let mut reader = Reader::<SpeechLayout>::open(dir.as_ref())?;
        let rows = std::mem::take(&mut reader.rows);
        let SpeechGeometry { hop_length, n_mels, .. } = reader.geometry;
        let mut metas = Vec::with_capacity(rows.len());
        for row in rows {
            let n = row.mel_frames as u64;
            reader.check(MEL, row.first_mel_frame, n, 2 * n_mels as u64)?;
            reader.check(F0, row.first_mel_frame, n, 4)?;
            reader.check(PCM, row.first_mel_frame, n, 2 * hop_length as u64)?;
            let damaged = |why: &str| DataError::damaged(&reader.dir, format!("item {} {why}", row.id));
            let symbols = unpack_symbols(&row.symbols).ok_or_else(|| damaged("has a symbol of unknown id"))?;
            check_durations(&row.durations, symbols.len(), row.mel_frames).map_err(|why| damaged(&why))?;
            metas.push(SpeechMeta {
                id: row.id,
                text: row.text,
                symbols,
                durations: row.durations,
                mel_frames: row.mel_frames,
                voice: row.voice,
                split: row.split,
                first_mel_frame: row.first_mel_frame,
            });
        }
        Ok(Self { reader, metas })
    }

    /// Number of sentences.
    pub fn len(&self) -> usize {
        self.metas.len()
    }

    /// Whether there is no sentence.
    pub fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }

    /// Rates and sizes.
    pub fn geometry(&self) -> &SpeechGeometry {
        &self.reader.geometry
    }

    /// Text, symbols, durations and length of sentence `i`, without touching the arrays.
    ///
    /// # Panics
    /// Where `i >= len()`, like every method that takes `i`.
    pub fn meta(&self, i: usize) -> &SpeechMeta {
        &self.metas[i]
    }

    /// Ids of the sentences of a split, in stored order.
    pub fn split(&self, split: Split) -> Vec<usize> {
        (0..self.len()).filter(|&i| self.metas[i].split == split).collect()
    }

    /// Number of voices: the largest voice id, plus one.
    pub fn n_voices(&self) -> usize {
        self.metas.iter().map(|meta| meta.voice as usize + 1).max().unwrap_or(0)
    }

    /// Length of all sentences in seconds.
    pub fn seconds(&self) -> f64 {
        let mel_frames: usize = self.metas.iter().map(|meta| meta.mel_frames).sum();
        mel_frames as f64 * self.reader.geometry.hop_length as f64 / f64::from(self.reader.geometry.sample_rate)
    }

    /// Log-mel of a range of the mel frames of sentence `i`, (range length) x n_mels.
    pub fn mel(&self, i: usize, mel_frames: Range<usize>) -> Vec<f32> {
        let halves: Vec<f16> = self.rows(i, MEL, mel_frames, 2 * self.reader.geometry.n_mels, f16::from_le_bytes);
        let mut mel = vec![0.0; halves.len()];
        halves.convert_to_f32_slice(&mut mel);
        mel
    }

    /// F0 in Hz (0 = unvoiced) of a range of the mel frames of sentence `i`.
    pub fn f0_hz(&self, i: usize, mel_frames: Range<usize>) -> Vec<f32> {
        self.rows(i, F0, mel_frames, 4, f32::from_le_bytes)
    }

    /// PCM under a range of the mel frames of sentence `i`: (range length) x hop_length PCM samples.
    pub fn pcm(&self, i: usize, mel_frames: Range<usize>) -> Vec<i16> {
        self.rows(i, PCM, mel_frames, 2 * self.reader.geometry.hop_length, i16::from_le_bytes)
    }

    /// Sentence `i`, whole.
    pub fn get(&self, i: usize) -> SpeechItem {
        let meta = &self.metas[i];
        let all = 0..meta.mel_frames;
        SpeechItem {
            id: meta.id.clone(),
            text: meta.text.clone(),
            symbols: meta.symbols.clone(),
            durations: meta.durations.clone(),
            mel: self.mel(i, all.clone()),
            f0_hz: self.f0_hz(i, all.clone()),
            pcm: self.pcm(i, all),
            voice: meta.voice,
            split: meta.split,
        }
    }

    /// Elements of `N` bytes each, `row_bytes` bytes a mel frame.
    fn rows<const N: usize, T>(
        &self,
        i: usize,
        array: usize,
        mel_frames: Range<usize>,
        row_bytes: usize,
        read: fn([u8; N]) -> T,
    ) -> Vec<T> {
        let meta = &self.metas[i];
        assert!(mel_frames.start <= mel_frames.end && mel_frames.end <= meta.mel_frames, "mel frames out of range");
        let first = meta.first_mel_frame as usize;
        let bytes = (first + mel_frames.start) * row_bytes..(first + mel_frames.end) * row_bytes;
        let (elements, _) = self.reader.array(array)[bytes].as_chunks::<N>();
        elements.iter().map(|&element| read(element)).collect()
    }
}

fn check_durations(
    durations: &Option<Vec<u32>>,
    n_symbols: usize,
    mel_frames: usize,
) -> std::result::Result<(), String> {
    let Some(durations) = durations else { return Ok(()) };
    let sum: u64 = durations.iter().map(|&d| u64::from(d)).sum();
    if durations.len() != n_symbols {
        return Err(format!("has {} durations for {n_symbols} symbols", durations.len()));
    }
    if sum != mel_frames as u64 {
        return Err(format!("has durations of {sum} mel frames in all but {mel_frames} mel frames"));
    }
    Ok(())
}

/// Writes a speech dataset. Nothing counts before [`SpeechWriter::finish`].
pub struct SpeechWriter {
    writer: Writer<SpeechLayout>,
    geometry: SpeechGeometry,
}

impl SpeechWriter {
    /// Starts a dataset in `dir`, or, with `append`, goes on with the one that is there.
    ///
    /// # Errors
    /// [`DataError::Exists`] where one is there and `append` is false; [`DataError::Corpus`] where it has another
    /// geometry; [`DataError::Damaged`], [`DataError::Io`].
    pub fn open(dir: impl AsRef<Path>, geometry: SpeechGeometry, append: bool) -> Result<Self> {
        let writer = Writer::open(dir.as_ref(), geometry.clone(), append)?;
        Ok(Self { writer, geometry })
    }

    /// Items so far, those of an appended dataset included.
    pub fn len(&self) -> usize {
        self.writer.items()
    }

    /// Whether nothing is stored yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stores one sentence.
    ///
    /// # Errors
    /// [`DataError::Item`] where lengths do not fit together or a value is no finite number; [`DataError::Io`].
    pub fn push(&mut self, item: &SpeechItem) -> Result<()> {
        let SpeechGeometry { hop_length, n_mels, .. } = self.geometry;
        let mel_frames = item.f0_hz.len();
        let refuse = |why: String| Err(DataError::item(&item.id, why));
        if item.mel.len() != mel_frames * n_mels || item.pcm.len() != mel_frames * hop_length {
            return refuse(format!(
                "{mel_frames} mel frames of F0, {} values of mel and {} PCM samples do not fit",
                item.mel.len(),
                item.pcm.len()
            ));
        }
        if let Err(why) = check_durations(&item.durations, item.symbols.len(), mel_frames) {
            return refuse(format!("it {why}"));
        }
        if !item.mel.iter().chain(&item.f0_hz).all(|v| v.is_finite()) {
            return refuse("mel or F0 holds a value that is no finite number".into());
        }
        let row = Row {
            id: item.id.clone(),
            text: item.text.clone(),
            voice: item.voice,
            split: item.split,
            first_mel_frame: self.writer.bytes(F0) / 4,
            mel_frames,
            symbols: pack_symbols(&item.symbols),
            durations: item.durations.clone(),
        };
        let mel: Vec<u8> = item.mel.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let f0: Vec<u8> = item.f0_hz.iter().flat_map(|v| v.to_le_bytes()).collect();
        let pcm: Vec<u8> = item.pcm.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.writer.array(MEL, &mel)?;
        self.writer.array(F0, &f0)?;
        self.writer.array(PCM, &pcm)?;
        self.writer.row(&row)
    }

    /// Commits everything that was pushed.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn finish(self) -> Result<()> {
        self.writer.finish()
    }
}

#[cfg(test)]
mod tests;
