//! The lip reader at work: a film of lips in; out come the phonemes that it shows, features of each video frame, and,
//! where the text is known, the time of every symbol (ParaLip section 6: alignment without sound).
//!
//! | module | role |
//! |---|---|
//! | `view` | what the net sees of a crop |
//! | `times` | the monotonic search for the times of known symbols |
//! | `evenly` | times to start from, where nobody can read yet |
//! | `edits` | what was read against what was said |

mod edits;
mod evenly;
mod times;
pub(crate) mod view;

use std::collections::HashSet;
use std::path::Path;

use candle_core::{Device, Tensor};
use paravox_models::lip_reader::{LipReader, LipReaderConfig, VIEW_HEIGHT, VIEW_WIDTH};
use paravox_models::losses::CtcTarget;
use paravox_models::mode::Mode;

use crate::align::class_of;
use crate::face::CROP_BYTES;
use crate::text::{Phoneme, Symbol};
use crate::train::start::Start;
use crate::train::{Result, TrainError};

pub use edits::Errors;
pub(crate) use evenly::spread_evenly;
use view::{Look, views};

/// Reads lips.
pub struct Reader {
    net: LipReader,
    config: LipReaderConfig,
    device: Device,
}

/// What a reader saw in one film.
#[derive(Debug, Clone)]
pub struct Seen {
    /// T x [`Seen::width`]: what each video frame shows, with its surroundings.
    pub features: Vec<f32>,
    /// Features of a video frame.
    pub width: usize,
    /// The phonemes read.
    pub phonemes: Vec<Phoneme>,
    /// (T * steps, phonemes): how well each step fits each class.
    scores: Vec<f32>,
    /// Steps of each video frame.
    steps: usize,
}

impl Reader {
    /// Reads the folder of a training.
    ///
    /// # Errors
    /// [`TrainError::Io`], and [`TrainError::Checkpoint`] for a training of other nets.
    pub fn open(folder: &Path) -> Result<Self> {
        let start = Start::read(folder, "reader")?;
        let config: LipReaderConfig = start.config()?;
        check(&config).map_err(|why| TrainError::checkpoint(folder, why))?;
        let net = start.nets(&Device::Cpu, |builder| LipReader::new(&config, builder))?;
        Ok(Self { net, config, device: Device::Cpu })
    }

    /// A net in training.
    pub(crate) fn of_net(net: LipReader, config: LipReaderConfig, device: Device) -> Self {
        Self { net, config, device }
    }

    /// Features of a video frame.
    pub fn feature_width(&self) -> usize {
        self.config.channels
    }

    /// Reads one film.
    ///
    /// # Shapes
    /// - `crops`: (T, 80, 160, 3), RGB, 25 video frames a second
    ///
    /// # Errors
    /// [`TrainError::Data`] for what is not whole crops, at least one.
    pub fn look(&self, crops: &[u8]) -> Result<Seen> {
        let length = crops.len() / CROP_BYTES;
        if length == 0 || !crops.len().is_multiple_of(CROP_BYTES) {
            return Err(TrainError::Data(format!("{} bytes are no film of lips: {CROP_BYTES} each", crops.len())));
        }
        let views = views(crops, 0..length, Look::default());
        let views = Tensor::from_vec(views, (1, length, VIEW_HEIGHT, VIEW_WIDTH), &self.device)?;
        let reading = self.net.forward(&views, None, &Mode::Eval)?;
        let scores = self.net.scores(&reading.log_probabilities)?.flatten_all()?.to_vec1()?;
        Ok(Seen {
            features: reading.features.flatten_all()?.to_vec1()?,
            width: self.config.channels,
            phonemes: best_path(&scores),
            scores,
            steps: self.config.steps,
        })
    }
}

impl Seen {
    /// What a reader might have seen, of which no times can be asked.
    #[cfg(test)]
    pub(crate) fn of(features: Vec<f32>, width: usize, phonemes: Vec<Phoneme>) -> Self {
        Self { features, width, phonemes, scores: Vec::new(), steps: 1 }
    }

    /// Video frames of the film.
    pub fn n_video_frames(&self) -> usize {
        self.features.len() / self.width
    }

    /// What was read against what was said.
    pub fn errors(&self, said: &[Symbol]) -> Errors {
        edits::errors(&self.phonemes, said)
    }

    /// The times of the edges of `symbols` in seconds, one more than symbols, from 0 to the film's end; `None` where the
    /// film is too short for them.
    pub fn times(&self, symbols: &[Symbol], fps: f64) -> Option<Vec<f32>> {
        let steps = self.scores.len() / Phoneme::COUNT;
        let lengths = times::lengths(symbols, steps, |t, class| self.scores[t * Phoneme::COUNT + class])?;
        let mut end = 0;
        let ends = lengths.into_iter().map(|length| {
            end += length;
            (end as f64 / (fps * self.steps as f64)) as f32
        });
        Some(std::iter::once(0.0).chain(ends).collect())
    }
}

/// Refuses a configuration that this program's phonemes do not fit.
pub(crate) fn check(config: &LipReaderConfig) -> std::result::Result<(), String> {
    if config.phonemes != Phoneme::COUNT {
        return Err(format!("it reads {} phonemes where there are {}", config.phonemes, Phoneme::COUNT));
    }
    if config.steps == 0 || config.channels == 0 {
        return Err("its steps and channels must be at least 1".into());
    }
    Ok(())
}

/// What the reader's net is to read: classes of what is said, with silence around it and where its text has pauses.
pub(crate) fn target(symbols: &[Symbol]) -> CtcTarget {
    let (mut labels, mut pauses) = (Vec::new(), HashSet::from([0]));
    for symbol in symbols {
        if symbol.phoneme.is_pause() {
            pauses.insert(labels.len());
        } else {
            labels.push(class_of(symbol.phoneme) as u32);
        }
    }
    pauses.insert(labels.len());
    CtcTarget::new(labels).with_blanks(|i| pauses.contains(&i))
}

/// The best class of every step, repetitions and then silence left out.
fn best_path(scores: &[f32]) -> Vec<Phoneme> {
    let best = |row: &[f32]| (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b]));
    let mut path: Vec<usize> = scores.chunks_exact(Phoneme::COUNT).filter_map(best).collect();
    path.dedup();
    let phonemes = path.into_iter().filter_map(|class| Phoneme::from_id(class as u32));
    phonemes.filter(|phoneme| !phoneme.is_pause()).collect()
}

#[cfg(test)]
mod tests {
    use paravox_models::config;
    use paravox_models::params::Params;

    use super::*;
    use crate::text::SentenceKind;
    use crate::text::phonemes::symbols_from_ipa;
    use crate::train::checkpoint::{CONFIG, MODEL};

    fn reader() -> Reader {
        let config: LipReaderConfig = config::preset("reader-light").unwrap();
        let net = LipReader::new(&config, Params::new(3, &Device::Cpu).builder()).unwrap();
        Reader::of_net(net, config, Device::Cpu)
    }

    #[test]
    fn any_film_has_features_and_times_that_fit() {
        let film: Vec<u8> = (0..12 * CROP_BYTES).map(|i| (i * 31 % 251) as u8).collect();
        let seen = reader().look(&film).unwrap();
        assert_eq!((seen.n_video_frames(), seen.features.len()), (12, 12 * seen.width));
        let symbols = symbols_from_ipa("bɪn blu", SentenceKind::Statement).unwrap();
        let times = seen.times(&symbols, 25.0).unwrap();
        assert_eq!((times.len(), times[0], times[symbols.len()]), (symbols.len() + 1, 0.0, 0.48));
        assert!(times.is_sorted());
        assert!(seen.times(&symbols.repeat(5), 25.0).is_none());
        assert_eq!(seen.errors(&symbols).phonemes, 6);
        assert!(reader().look(&film[1..]).is_err() && reader().look(&[]).is_err());
    }

    #[test]
    fn the_best_path_is_read_without_repetitions_and_silence() {
        let rows = [Phoneme::Silence, Phoneme::F, Phoneme::F, Phoneme::Silence, Phoneme::F, Phoneme::Ay];
        let mut scores = vec![-1.0; rows.len() * Phoneme::COUNT];
        rows.iter().enumerate().for_each(|(t, &phoneme)| scores[t * Phoneme::COUNT + phoneme as usize] = 0.0);
        assert_eq!(best_path(&scores), [Phoneme::F, Phoneme::F, Phoneme::Ay]);
    }

    #[test]
    fn trainings_of_other_nets_are_refused_in_one_line() {
        let folder = tempfile::tempdir().unwrap();
        Params::new(0, &Device::Cpu).save(&folder.path().join(MODEL)).unwrap();
        for text in
            ["width = 3", &config::preset_text("reader-light").unwrap().replace("phonemes = 47", "phonemes = 9")]
        {
            std::fs::write(folder.path().join(CONFIG), text).unwrap();
            assert!(matches!(Reader::open(folder.path()), Err(TrainError::Checkpoint { .. })));
        }
    }
}
