//! Lip features on disk: the mouth of every video frame, and the symbols that it shows with their times.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::folder::{self, Layout, Reader, Writer};
use super::{DataError, Result, Split, pack_symbols, unpack_symbols};
use crate::face::{Affine, CROP_BYTES, CROP_HEIGHT, CROP_WIDTH};
use crate::text::Symbol;

/// Points of the mouth: dlib's 48 to 67, 12 on the outer and 8 on the inner edge of the lips.
pub const MOUTH_POINTS: usize = 20;

/// The mouth points of one video frame in crop pixels, x then y.
pub type MouthPoints = [[f32; 2]; MOUTH_POINTS];

/// Sizes of a lip dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LipsGeometry {
    crop_width: usize,
    crop_height: usize,
    mouth_points: usize,
}

/// One clip; the pixels are borrowed from the dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct LipsItem<'a> {
    /// Who speaks.
    pub speaker: &'a str,
    /// Name of the clip among the speaker's.
    pub clip: &'a str,
    /// What is said.
    pub text: &'a str,
    /// What the clip is for.
    pub split: Split,
    /// Phonemes and pauses.
    pub symbols: Vec<Symbol>,
    /// Times of the symbols' edges in seconds from the start of the clip, one more than symbols; never falling.
    pub boundaries_s: Vec<f32>,
    /// Video frames a second.
    pub fps: f32,
    /// T, the number of video frames.
    pub n_video_frames: usize,
    /// T x 80 x 160 x 3, RGB.
    pub pixels: &'a [u8],
    /// The mouth points of every video frame in crop pixels.
    pub landmarks: Option<Vec<MouthPoints>>,
    /// The map from crop to picture of every video frame.
    pub affines: Vec<Affine>,
    /// Width and height of the picture that the crops were cut from.
    pub picture_size: [u32; 2],
}

impl LipsItem<'_> {
    /// The crop of video frame `k`: 80 x 160 x 3, RGB.
    ///
    /// # Panics
    /// Where there is no such video frame.
    pub fn crop(&self, k: usize) -> &[u8] {
        &self.pixels[k * CROP_BYTES..(k + 1) * CROP_BYTES]
    }

    /// The symbol that is spoken at a time: the last before the start and after the end count as the first and last.
    pub fn symbol_at(&self, time_s: f32) -> usize {
        let after = self.boundaries_s.partition_point(|&boundary| boundary <= time_s);
        after.saturating_sub(1).min(self.symbols.len() - 1)
    }
}

/// The light part of a clip: all but its arrays.
#[derive(Debug, Clone, PartialEq)]
pub struct LipsMeta {
    /// Who speaks.
    pub speaker: String,
    /// Name of the clip among the speaker's.
    pub clip: String,
    /// What is said.
    pub text: String,
    /// What the clip is for.
    pub split: Split,
    /// Phonemes and pauses.
    pub symbols: Vec<Symbol>,
    /// Times of the symbols' edges in seconds, one more than symbols.
    pub boundaries_s: Vec<f32>,
    /// Video frames a second.
    pub fps: f32,
    /// Number of video frames.
    pub n_video_frames: usize,
    /// Width and height of the picture that the crops were cut from.
    pub picture_size: [u32; 2],
    has_landmarks: bool,
    first_video_frame: usize,
}

#[cfg(test)]
impl LipsMeta {
    /// A clip at 25 video frames a second, of which nothing else is known.
    pub(crate) fn for_tests(symbols: Vec<Symbol>, boundaries_s: Vec<f32>, n_video_frames: usize) -> Self {
        Self {
            speaker: String::new(),
            clip: String::new(),
            text: String::new(),
            split: Split::Test,
            symbols,
            boundaries_s,
            fps: 25.0,
            n_video_frames,
            picture_size: [0; 2],
            has_landmarks: false,
            first_video_frame: 0,
        }
    }
}

/// One line of `index.jsonl`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    speaker: String,
    clip: String,
    text: String,
    split: Split,
    fps: f32,
    first_video_frame: u64,
    video_frames: usize,
    picture_size: [u32; 2],
    has_landmarks: bool,
    symbols: Vec<[u32; 4]>,
    boundaries_s: Vec<f32>,
}

struct LipsLayout;

impl Layout for LipsLayout {
    const KIND: &'static str = "lips";
    const ARRAYS: &'static [&'static str] = &["pixels.u8", "affines.f32", "landmarks.f32"];
    type Geometry = LipsGeometry;
    type Row = Row;
}

const PIXELS: usize = 0;
const AFFINES: usize = 1;
const LANDMARKS: usize = 2;
const AFFINE_BYTES: usize = 4 * 6;
const LANDMARK_BYTES: usize = 4 * 2 * MOUTH_POINTS;

const GEOMETRY: LipsGeometry =
    LipsGeometry { crop_width: CROP_WIDTH, crop_height: CROP_HEIGHT, mouth_points: MOUTH_POINTS };

/// A lip dataset that is open for reading. Cheap to share between threads.
pub struct LipsDataset {
    reader: Reader<LipsLayout>,
    metas: Vec<LipsMeta>,
}

impl LipsDataset {
    /// Opens the dataset in a folder.
    ///
    /// # Errors
    /// [`DataError::NotADataset`], [`DataError::Damaged`] or [`DataError::Io`].
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let mut reader = Reader::<LipsLayout>::open(dir.as_ref())?;
        if reader.geometry != GEOMETRY {
            let why =
                format!("its crops are not of {CROP_WIDTH}x{CROP_HEIGHT} pixels with {MOUTH_POINTS} mouth points");
            return Err(DataError::damaged(&reader.dir, why));
        }
        let rows = std::mem::take(&mut reader.rows);
        let mut metas = Vec::with_capacity(rows.len());
        for row in rows {
            let n = row.video_frames as u64;
            reader.check(PIXELS, row.first_video_frame, n, CROP_BYTES as u64)?;
            reader.check(AFFINES, row.first_video_frame, n, AFFINE_BYTES as u64)?;
            reader.check(LANDMARKS, row.first_video_frame, n, LANDMARK_BYTES as u64)?;
            let damaged = |why: &str| DataError::damaged(&reader.dir, format!("{}/{} {why}", row.speaker, row.clip));
            let symbols = unpack_symbols(&row.symbols).ok_or_else(|| damaged("has a symbol of unknown id"))?;
            check_times(symbols.len(), &row.boundaries_s, row.fps).map_err(damaged)?;
            metas.push(LipsMeta {
                speaker: row.speaker,
                clip: row.clip,
                text: row.text,
                split: row.split,
                symbols,
                boundaries_s: row.boundaries_s,
                fps: row.fps,
                n_video_frames: row.video_frames,
                picture_size: row.picture_size,
                has_landmarks: row.has_landmarks,
                first_video_frame: row.first_video_frame as usize,
            });
        }
        Ok(Self { reader, metas })
    }

    /// Number of clips.
    pub fn len(&self) -> usize {
        self.metas.len()
    }

    /// Whether there is no clip.
    pub fn is_empty(&self) -> bool {
        self.metas.is_empty()
    }

    /// Names, symbols and times of clip `i`, without touching the arrays.
    ///
    /// # Panics
    /// Where `i >= len()`, like every method that takes `i`.
    pub fn meta(&self, i: usize) -> &LipsMeta {
        &self.metas[i]
    }

    /// Ids of the clips of a split, in stored order.
    pub fn split(&self, split: Split) -> Vec<usize> {
        (0..self.len()).filter(|&i| self.metas[i].split == split).collect()
    }

    /// The id of a clip by name.
    pub fn find(&self, speaker: &str, clip: &str) -> Option<usize> {
        self.metas.iter().position(|meta| meta.speaker == speaker && meta.clip == clip)
    }

    /// Pixels of clip `i`: T x 80 x 160 x 3, RGB, borrowed.
    pub fn pixels(&self, i: usize) -> &[u8] {
        self.bytes(i, PIXELS, CROP_BYTES)
    }

    /// Clip `i`, whole.
    pub fn get(&self, i: usize) -> LipsItem<'_> {
        let meta = &self.metas[i];
        let affines = self.bytes(i, AFFINES, AFFINE_BYTES);
        let landmarks = self.bytes(i, LANDMARKS, LANDMARK_BYTES);
        LipsItem {
            speaker: &meta.speaker,
            clip: &meta.clip,
            text: &meta.text,
            split: meta.split,
            symbols: meta.symbols.clone(),
            boundaries_s: meta.boundaries_s.clone(),
            fps: meta.fps,
            n_video_frames: meta.n_video_frames,
            pixels: self.pixels(i),
            landmarks: meta.has_landmarks.then(|| {
                let points: Vec<[f32; 2]> = floats(landmarks).as_chunks::<2>().0.to_vec();
                points.as_chunks::<MOUTH_POINTS>().0.to_vec()
            }),
            affines: floats(affines).as_chunks::<6>().0.iter().map(|&numbers| Affine(numbers)).collect(),
            picture_size: meta.picture_size,
        }
    }

    fn bytes(&self, i: usize, array: usize, row_bytes: usize) -> &[u8] {
        let meta = &self.metas[i];
        let end = meta.first_video_frame + meta.n_video_frames;
        &self.reader.array(array)[meta.first_video_frame * row_bytes..end * row_bytes]
    }
}

/// Writes the dataset in `from` into `to` with other times, one list for each clip; both share their arrays.
pub(crate) fn retime(from: &Path, to: &Path, times: Vec<Vec<f32>>) -> Result<()> {
    let mut rows = Reader::<LipsLayout>::open(from)?.rows;
    for (row, times) in rows.iter_mut().zip(times) {
        let id = format!("{}/{}", row.speaker, row.clip);
        check_times(row.symbols.len(), &times, row.fps).map_err(|why| DataError::item(&id, format!("it {why}")))?;
        row.boundaries_s = times;
    }
    folder::share::<LipsLayout>(from, to, &rows)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

fn check_times(n_symbols: usize, boundaries_s: &[f32], fps: f32) -> std::result::Result<(), &'static str> {
    if n_symbols == 0 || boundaries_s.len() != n_symbols + 1 {
        return Err("has no symbols, or not one time more than symbols");
    }
    if !boundaries_s.iter().all(|t| t.is_finite()) || !boundaries_s.is_sorted() {
        return Err("has symbol times that fall");
    }
    if !(fps.is_finite() && fps > 0.0) {
        return Err("has no positive number of video frames a second");
    }
    Ok(())
}

/// Writes a lip dataset. Nothing counts before [`LipsWriter::finish`].
pub struct LipsWriter {
    writer: Writer<LipsLayout>,
}

impl LipsWriter {
    /// Starts a dataset in `dir`, or, with `append`, goes on with the one that is there.
    ///
    /// # Errors
    /// [`DataError::Exists`] where one is there and `append` is false; [`DataError::Damaged`], [`DataError::Io`].
    pub fn open(dir: impl AsRef<Path>, append: bool) -> Result<Self> {
        Ok(Self { writer: Writer::open(dir.as_ref(), GEOMETRY, append)? })
    }

    /// Items so far, those of an appended dataset included.
    pub fn len(&self) -> usize {
        self.writer.items()
    }

    /// Whether nothing is stored yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Stores one clip.
    ///
    /// # Errors
    /// [`DataError::Item`] where lengths do not fit together or times fall; [`DataError::Io`].
    pub fn push(&mut self, item: &LipsItem<'_>) -> Result<()> {
        let id = format!("{}/{}", item.speaker, item.clip);
        let n = item.n_video_frames;
        let n_landmarks = item.landmarks.as_ref().map_or(n, Vec::len);
        if n == 0 || item.pixels.len() != n * CROP_BYTES || item.affines.len() != n || n_landmarks != n {
            let why = format!("{n} video frames, their crops, affines and landmarks are not equally many");
            return Err(DataError::item(&id, why));
        }
        if let Err(why) = check_times(item.symbols.len(), &item.boundaries_s, item.fps) {
            return Err(DataError::item(&id, format!("it {why}")));
        }
        let row = Row {
            speaker: item.speaker.to_string(),
            clip: item.clip.to_string(),
            text: item.text.to_string(),
            split: item.split,
            fps: item.fps,
            first_video_frame: self.writer.bytes(PIXELS) / CROP_BYTES as u64,
            video_frames: n,
            picture_size: item.picture_size,
            has_landmarks: item.landmarks.is_some(),
            symbols: pack_symbols(&item.symbols),
            boundaries_s: item.boundaries_s.clone(),
        };
        let affines: Vec<u8> = item.affines.iter().flat_map(|a| a.0).flat_map(f32::to_le_bytes).collect();
        let landmarks: Vec<u8> = match &item.landmarks {
            Some(points) => points.as_flattened().as_flattened().iter().flat_map(|v| v.to_le_bytes()).collect(),
            None => f32::NAN.to_le_bytes().repeat(n * LANDMARK_BYTES / 4),
        };
        self.writer.array(PIXELS, item.pixels)?;
        self.writer.array(AFFINES, &affines)?;
        self.writer.array(LANDMARKS, &landmarks)?;
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
mod tests {
    use super::*;
    use crate::text::{Phoneme, SentenceKind};

    fn item<'a>(clip: &'a str, pixels: &'a [u8], with_landmarks: bool) -> LipsItem<'a> {
        let n = pixels.len() / CROP_BYTES;
        LipsItem {
            speaker: "s1",
            clip,
            text: "bin blue",
            split: if with_landmarks { Split::Train } else { Split::Test },
            symbols: vec![
                Symbol::pause(Phoneme::Silence, SentenceKind::Statement),
                Symbol { word_start: true, ..Symbol::pause(Phoneme::B, SentenceKind::Statement) },
            ],
            boundaries_s: vec![0.0, 0.06, 0.12],
            fps: 25.0,
            n_video_frames: n,
            pixels,
            landmarks: with_landmarks
                .then(|| (0..n).map(|k| std::array::from_fn(|p| [k as f32 + p as f32 * 0.1, -1.0])).collect()),
            affines: (0..n).map(|k| Affine::scale_move(1.5, k as f32, 3.25)).collect(),
            picture_size: [360, 288],
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let pixels: Vec<u8> = (0..3 * CROP_BYTES).map(|k| (k * 31 % 251) as u8).collect();
        let items = [item("one", &pixels, true), item("two", &pixels[CROP_BYTES..], false)];
        let mut writer = LipsWriter::open(dir.path(), false).unwrap();
        items.iter().for_each(|item| writer.push(item).unwrap());
        writer.finish().unwrap();

        let data = LipsDataset::open(dir.path()).unwrap();
        assert_eq!(data.len(), 2);
        for (i, item) in items.iter().enumerate() {
            assert_eq!(&data.get(i), item);
        }
        assert_eq!(data.get(0).crop(2), &pixels[2 * CROP_BYTES..]);
        assert_eq!(data.split(Split::Test), [1]);
        assert_eq!((data.find("s1", "two"), data.find("s2", "two")), (Some(1), None));
        let times = [-1.0, 0.0, 0.059, 0.06, 9.0].map(|t| items[0].symbol_at(t));
        assert_eq!(times, [0, 0, 0, 1, 1]);
    }

    #[test]
    fn clips_that_do_not_hang_together_are_not_stored_and_a_cut_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let pixels = vec![9; 2 * CROP_BYTES];
        let good = item("one", &pixels, true);
        let mut writer = LipsWriter::open(dir.path(), false).unwrap();
        for bad in [
            LipsItem { pixels: &pixels[1..], ..good.clone() },
            LipsItem { affines: vec![], ..good.clone() },
            LipsItem { boundaries_s: vec![0.0, 0.1], ..good.clone() },
            LipsItem { boundaries_s: vec![0.0, 0.2, 0.1], ..good.clone() },
            LipsItem { fps: 0.0, ..good.clone() },
            LipsItem { symbols: vec![], boundaries_s: vec![0.0], ..good.clone() },
        ] {
            assert!(matches!(writer.push(&bad), Err(DataError::Item { .. })));
        }
        writer.push(&good).unwrap();
        writer.finish().unwrap();
        let file = std::fs::OpenOptions::new().write(true).open(dir.path().join("pixels.u8")).unwrap();
        file.set_len(CROP_BYTES as u64).unwrap();
        let error = LipsDataset::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("pixels.u8 holds 38400 of 76800 bytes"), "{error}");
        assert!(matches!(LipsDataset::open(dir.path().join("none")), Err(DataError::NotADataset { .. })));
    }

    #[test]
    fn a_dataset_with_other_times_shares_the_films_and_neither_can_grow() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let pixels: Vec<u8> = (0..3 * CROP_BYTES).map(|k| (k * 31 % 251) as u8).collect();
        let items = [item("one", &pixels, true), item("two", &pixels[CROP_BYTES..], false)];
        let mut writer = LipsWriter::open(&first, false).unwrap();
        items.iter().for_each(|item| writer.push(item).unwrap());
        writer.finish().unwrap();
        let times = [vec![0.0, 0.04, 0.12], vec![0.0, 0.08, 0.08]];
        assert!(matches!(retime(&first, &second, vec![vec![0.0]]), Err(DataError::Item { .. })));
        retime(&first, &second, times.to_vec()).unwrap();

        let data = LipsDataset::open(&second).unwrap();
        for (i, (item, times)) in items.iter().zip(times).enumerate() {
            assert_eq!(data.get(i), LipsItem { boundaries_s: times, ..item.clone() });
        }
        assert!(matches!(retime(&first, &second, Vec::new()), Err(DataError::Exists { .. })));
        if cfg!(unix) {
            for folder in [&first, &second] {
                let error = LipsWriter::open(folder, true).err().unwrap().to_string();
                assert!(error.contains("shares its arrays"), "{error}");
            }
        }
        assert_eq!(LipsDataset::open(&first).unwrap().get(1), items[1]);
    }
}
