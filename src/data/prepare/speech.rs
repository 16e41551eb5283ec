//! `paravox prepare speech`.

use std::path::{Path, PathBuf};

use paravox_vocoder::f0;
use paravox_vocoder::mel::{MelConfig, MelExtractor};

use super::ljspeech;
use super::teacher::{self, TeacherRow};
use super::{ListedClip, Progress, Summary, each, lines};
use crate::align::Aligner;
use crate::data::speech::{SpeechGeometry, SpeechItem, SpeechWriter};
use crate::data::{DataError, Result, Split, audio};
use crate::text::{FrontEnd, FrontEndOptions, Symbol};

/// One item in this many is kept back for validation.
const VALID_EVERY: usize = 100;

/// Mean log probability of its phonemes below which a recording is left out: it says something else than its text.
const LEAST_LOG_PROBABILITY: f32 = -4.0;

/// What to prepare.
#[derive(Debug, Clone)]
pub struct SpeechOptions {
    /// Folder of the corpus: with `corpus.jsonl` (a teacher's), `metadata.csv` (the LJSpeech layout) or `clips.tsv` (the
    /// GRID layout, whose words have times; needs the program ffmpeg).
    pub corpus: PathBuf,
    /// Folder of the dataset.
    pub out: PathBuf,
    /// Id of the speaker, stored with every item.
    pub voice: u32,
    /// Adds to the dataset that is in `out` already.
    pub append: bool,
    /// What finds the times of symbols where the corpus has none.
    pub times: TimesFrom,
}

/// Where the times of symbols come from.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum TimesFrom {
    /// The aligner that this program carries.
    #[default]
    BuiltIn,
    /// Another one, for [`Aligner::open`].
    Aligner(PathBuf),
    /// The corpus alone; recordings without times train vocoders and nothing else.
    Corpus,
}

/// What finds the times of a text in a recording.
struct Times {
    front_end: FrontEnd,
    aligner: Aligner,
}

/// One item of a corpus, not yet read.
enum Source {
    Teacher(TeacherRow),
    LjSpeech(ljspeech::Row),
    Grid(ListedClip),
}

/// What a recording says and how.
pub(super) struct Spoken {
    /// Empty where the corpus is not aligned.
    pub(super) symbols: Vec<Symbol>,
    /// Mel frames of every symbol, where the corpus is aligned.
    pub(super) durations: Option<Vec<u32>>,
    /// F0 of every mel frame.
    pub(super) f0_hz: Vec<f32>,
    /// `hop_length` PCM samples for every mel frame.
    pub(super) pcm: Vec<f32>,
}

/// Makes a speech dataset out of a corpus.
///
/// # Errors
/// [`DataError::Corpus`] where the folder has neither layout or no usable item, [`DataError::Exists`],
/// [`DataError::Io`].
pub fn speech(options: &SpeechOptions, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Summary> {
    let sources = sources(&options.corpus)?;
    let config = MelConfig::default();
    let geometry = SpeechGeometry {
        sample_rate: config.sample_rate,
        n_fft: config.n_fft,
        hop_length: config.hop_length,
        n_mels: config.n_mels,
    };
    let times = Times::open(&options.times)?;
    let extractor = MelExtractor::new(config).expect("the default geometry is sound");
    let mut writer = SpeechWriter::open(&options.out, geometry.clone(), options.append)?;
    let seconds_per_mel_frame = geometry.hop_length as f64 / f64::from(geometry.sample_rate);
    let work = |i: usize, source: &Source| {
        let split = if i % VALID_EVERY == VALID_EVERY - 1 { Split::Valid } else { Split::Train };
        let mut item = read(options, source, split, &geometry, &extractor)?;
        if let (Some(times), None) = (&times, &item.durations) {
            times.add_to(&mut item, source.word_starts(&options.corpus, &geometry)?.as_deref())?;
        }
        Ok(item)
    };
    let store = |item: SpeechItem| {
        writer.push(&item)?;
        Ok(item.f0_hz.len() as f64 * seconds_per_mel_frame)
    };
    let summary = each(&options.corpus, &sources, work, store, progress)?;
    writer.finish()?;
    Ok(summary)
}

impl Times {
    /// `None` where the corpus alone has times.
    fn open(from: &TimesFrom) -> Result<Option<Self>> {
        let aligner = match from {
            TimesFrom::BuiltIn => Aligner::built_in()?,
            TimesFrom::Aligner(path) => Aligner::open(path)?,
            TimesFrom::Corpus => return Ok(None),
        };
        let front_end = FrontEnd::new(FrontEndOptions::default());
        let front_end = front_end.map_err(|e| DataError::Corpus { why: e.to_string(), path: "(built in)".into() })?;
        Ok(Some(Self { front_end, aligner }))
    }

    /// Adds symbols and durations to an item that has none; words start at the mel frames given, if any are.
    fn add_to(&self, item: &mut SpeechItem, word_starts: Option<&[usize]>) -> Result<()> {
        let refuse = |why: String| DataError::item(&item.id, why);
        let utterance = self.front_end.analyse(&item.text).map_err(|e| refuse(e.to_string()))?;
        let found = match word_starts {
            Some(starts) => self.aligner.align_words(&item.mel, &utterance.symbols, starts),
            None => self.aligner.align(&item.mel, &utterance.symbols),
        };
        let found = found.map_err(refuse)?;
        // Whoever gave its words times has heard that they are said.
        if word_starts.is_none() && found.log_probability < LEAST_LOG_PROBABILITY {
            let why = format!("the recording says something else than {:?}", item.text);
            return Err(refuse(why));
        }
        (item.symbols, item.durations) = (found.symbols, Some(found.durations));
        Ok(())
    }
}

impl Source {
    /// The mel frames in which its words start, where the corpus knows.
    fn word_starts(&self, corpus: &Path, geometry: &SpeechGeometry) -> Result<Option<Vec<usize>>> {
        let Self::Grid(clip) = self else { return Ok(None) };
        let mel_frames_per_second = f64::from(geometry.sample_rate) / geometry.hop_length as f64;
        let starts_s = clip.word_starts_s(corpus)?;
        Ok(Some(starts_s.into_iter().map(|start_s| (start_s * mel_frames_per_second).round() as usize).collect()))
    }
}

/// The items of a corpus, in its order.
fn sources(corpus: &Path) -> Result<Vec<Source>> {
    let teacher = corpus.join("corpus.jsonl");
    if teacher.exists() {
        let row = |(number, line): (usize, String)| {
            let row = serde_json::from_str(&line);
            let why = |e| DataError::Corpus { why: format!("line {number}: {e}"), path: teacher.clone() };
            row.map(Source::Teacher).map_err(why)
        };
        return lines(&teacher)?.into_iter().map(row).collect();
    }
    let list = corpus.join("metadata.csv");
    if list.exists() {
        return Ok(ljspeech::rows(&list)?.into_iter().map(Source::LjSpeech).collect());
    }
    if corpus.join("clips.tsv").exists() {
        return Ok(ListedClip::list(corpus)?.into_iter().map(Source::Grid).collect());
    }
    let why = "no teacher's corpus (corpus.jsonl), LJSpeech layout (metadata.csv) or GRID layout (clips.tsv)".into();
    Err(DataError::Corpus { why, path: corpus.to_path_buf() })
}

fn read(
    options: &SpeechOptions,
    source: &Source,
    split: Split,
    geometry: &SpeechGeometry,
    extractor: &MelExtractor,
) -> Result<SpeechItem> {
    let SpeechGeometry { sample_rate, hop_length, .. } = *geometry;
    // Recordings of people: no symbols, no times, and F0 as it is found.
    let recorded = |pcm: Vec<f32>| {
        let mut f0_hz = f0::track(&pcm, sample_rate);
        f0_hz.resize(pcm.len() / hop_length, 0.0);
        Spoken { symbols: Vec::new(), durations: None, f0_hz, pcm }
    };
    let (id, text, item, split) = match source {
        Source::Teacher(row) => {
            let spoken = teacher::read(&options.corpus, row, sample_rate, hop_length)?;
            (row.id.clone(), row.text.clone(), spoken, split)
        }
        Source::LjSpeech(row) => {
            let pcm = ljspeech::read(&options.corpus, row, sample_rate, hop_length)?;
            (row.id.clone(), row.text.clone(), recorded(pcm), split)
        }
        Source::Grid(clip) => {
            let mut pcm = clip.sound(&options.corpus, sample_rate)?;
            pcm.truncate(pcm.len() / hop_length * hop_length);
            (clip.id(), clip.spoken_text(), recorded(pcm), clip.split)
        }
    };
    Ok(SpeechItem {
        id,
        text,
        symbols: item.symbols,
        durations: item.durations,
        mel: extractor.extract(&item.pcm),
        f0_hz: item.f0_hz,
        pcm: audio::to_i16(&item.pcm),
        voice: options.voice,
        split,
    })
}

#[cfg(test)]
mod tests;
