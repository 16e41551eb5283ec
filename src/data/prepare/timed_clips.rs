//! Clips of GRID as recordings whose text and whose words' times are known: `clips.tsv`, `SPEAKER/CLIP.mp4` and
//! `SPEAKER/CLIP.align`.

use std::path::{Path, PathBuf};

use super::grid::split_of;
use super::lines;
use crate::data::{DataError, Result, Split, video};

/// Units of `.align` files in a second.
const ALIGN_UNITS: f64 = 25_000.0;

/// One clip: who, which, what.
pub(crate) struct TimedClip {
    pub(crate) speaker: String,
    pub(crate) clip: String,
    pub(crate) split: Split,
    /// Letters are written so that they are named.
    pub(crate) text: String,
}

impl TimedClip {
    /// The clips of `clips.tsv`, in its order.
    pub(crate) fn list(corpus: &Path) -> Result<Vec<Self>> {
        let path = corpus.join("clips.tsv");
        let clip = |(number, line): (usize, String)| {
            let fields: Vec<&str> = line.split('\t').collect();
            let found = match fields[..] {
                [speaker, clip, _, _, split, text] => split_of(split).map(|split| (speaker, clip, split, text)),
                _ => None,
            };
            let Some((speaker, clip, split, text)) = found else {
                let why = format!("line {number} is not: speaker, clip, width, height, train or test, text");
                return Err(DataError::Corpus { why, path: path.clone() });
            };
            let words = text.split_whitespace().map(|word| match word {
                // The article is no letter.
                "a" => "[[ˈA]]".to_string(),
                letter if letter.len() == 1 => letter.to_uppercase(),
                word => word.to_string(),
            });
            let text = words.collect::<Vec<_>>().join(" ");
            Ok(Self { speaker: speaker.into(), clip: clip.into(), split, text })
        };
        lines(&path)?.into_iter().skip(1).map(clip).collect()
    }

    /// `SPEAKER/CLIP`.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.speaker, self.clip)
    }

    fn file(&self, corpus: &Path, extension: &str) -> PathBuf {
        corpus.join(&self.speaker).join(format!("{}.{extension}", self.clip))
    }

    /// Its sound (needs the program ffmpeg).
    pub(crate) fn sound(&self, corpus: &Path, sample_rate: u32) -> Result<Vec<f32>> {
        video::sound(&self.file(corpus, "mp4"), sample_rate)
    }

    /// When its words start, in seconds. The lines of an `.align` file are: start, end, word.
    pub(crate) fn word_starts_s(&self, corpus: &Path) -> Result<Vec<f64>> {
        let path = self.file(corpus, "align");
        let mut starts_s = Vec::new();
        for (number, line) in lines(&path)? {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let time = match fields[..] {
                [start, _, word] => start.parse::<f64>().ok().map(|start| (start, word)),
                _ => None,
            };
            let Some((start, word)) = time else {
                let why = format!("line {number} is not a start, an end and a word");
                return Err(DataError::Corpus { why, path });
            };
            if !matches!(word, "sil" | "sp") {
                starts_s.push(start / ALIGN_UNITS);
            }
        }
        Ok(starts_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_and_times_are_read_as_grid_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let tsv = "speaker\tclip\twidth\theight\tsplit\ttext\ns2\tx\t1\t1\ttest\tbin blue at a two now\n\
            s1\ty\t1\t1\ttrain\tset red by q one soon\n";
        std::fs::write(folder.path().join("clips.tsv"), tsv).unwrap();
        let found = TimedClip::list(folder.path()).unwrap();
        let rows: Vec<_> = found.iter().map(|clip| (clip.id(), clip.split, &*clip.text)).collect();
        let first = ("s2/x".to_string(), Split::Test, "bin blue at [[ˈA]] two now");
        assert_eq!(rows, [first, ("s1/y".to_string(), Split::Train, "set red by Q one soon")]);

        std::fs::create_dir(folder.path().join("s2")).unwrap();
        let path = folder.path().join("s2/x.align");
        std::fs::write(&path, "0 12500 sil\n12500 25000 bin\n25000 26000 sp\n26000 50000 blue\n").unwrap();
        assert_eq!(found[0].word_starts_s(folder.path()).unwrap(), [0.5, 1.04]);
        for wrong in ["0 x\n", "now 5 now\n"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(found[0].word_starts_s(folder.path()).unwrap_err().to_string().contains("x.align"));
        }
        std::fs::write(folder.path().join("clips.tsv"), "speaker\ns1\ty\t1\t1\tboth\tset\n").unwrap();
        assert!(TimedClip::list(folder.path()).is_err());
    }
}
