//! Clips of GRID as `clips.tsv` lists them, and what lies beside them: `SPEAKER/CLIP.mp4` with picture and sound, and
//! `SPEAKER/CLIP.align` with the times of the words.

use std::path::{Path, PathBuf};

use super::lines;
use crate::data::{DataError, Result, Split, video};

/// Units of `.align` files in a second.
const ALIGN_UNITS: f64 = 25_000.0;

/// One line of `clips.tsv`.
#[derive(Debug)]
pub(crate) struct ListedClip {
    pub(crate) speaker: String,
    pub(crate) clip: String,
    /// Width and height of its picture.
    pub(super) size: [u32; 2],
    pub(crate) split: Split,
    pub(super) text: String,
}

impl ListedClip {
    /// The clips of a corpus, in the order of `clips.tsv`.
    pub(crate) fn list(corpus: &Path) -> Result<Vec<Self>> {
        let path = corpus.join("clips.tsv");
        let clip = |(number, line): (usize, String)| {
            Self::of_line(&line).ok_or_else(|| {
                let why = format!("line {number} is not: speaker, clip, width, height, train or test, text");
                DataError::Corpus { why, path: path.clone() }
            })
        };
        lines(&path)?.into_iter().skip(1).map(clip).collect()
    }

    fn of_line(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [speaker, clip, width, height, split, text] = fields[..] else { return None };
        let split = match split {
            "train" => Split::Train,
            "test" => Split::Test,
            _ => return None,
        };
        let size = [width.parse().ok()?, height.parse().ok()?];
        Some(Self { speaker: speaker.into(), clip: clip.into(), size, split, text: text.into() })
    }

    /// Its text with letters written so that they are named.
    pub(crate) fn spoken_text(&self) -> String {
        let words = self.text.split_whitespace().map(|word| match word {
            // The article is no letter.
            "a" => "[[ˈA]]".to_string(),
            letter if letter.len() == 1 => letter.to_uppercase(),
            word => word.to_string(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// `SPEAKER/CLIP`.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.speaker, self.clip)
    }

    /// The file of its picture and sound.
    pub(crate) fn video(&self, corpus: &Path) -> PathBuf {
        self.file(corpus, "mp4")
    }

    fn file(&self, corpus: &Path, extension: &str) -> PathBuf {
        corpus.join(&self.speaker).join(format!("{}.{extension}", self.clip))
    }

    /// Its sound (needs the program ffmpeg).
    pub(crate) fn sound(&self, corpus: &Path, sample_rate: u32) -> Result<Vec<f32>> {
        video::sound(&self.video(corpus), sample_rate)
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
        let found = ListedClip::list(folder.path()).unwrap();
        let rows: Vec<_> = found.iter().map(|clip| (clip.id(), clip.split, clip.spoken_text())).collect();
        let expected =
            [("s2/x", Split::Test, "bin blue at [[ˈA]] two now"), ("s1/y", Split::Train, "set red by Q one soon")];
        assert_eq!(rows, expected.map(|(id, split, text)| (id.to_string(), split, text.to_string())));

        std::fs::create_dir(folder.path().join("s2")).unwrap();
        let path = folder.path().join("s2/x.align");
        std::fs::write(&path, "0 12500 sil\n12500 25000 bin\n25000 26000 sp\n26000 50000 blue\n").unwrap();
        assert_eq!(found[0].word_starts_s(folder.path()).unwrap(), [0.5, 1.04]);
        for wrong in ["0 x\n", "now 5 now\n"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(found[0].word_starts_s(folder.path()).unwrap_err().to_string().contains("x.align"));
        }
        for wrong in ["s1\ty\t1\t1\tboth\tset", "s1\ty\twide\t1\ttest\tset", "s1\ty\ttest\tset"] {
            std::fs::write(folder.path().join("clips.tsv"), format!("speaker\n{wrong}\n")).unwrap();
            assert!(ListedClip::list(folder.path()).err().unwrap().to_string().contains("line 2"));
        }
    }
}
