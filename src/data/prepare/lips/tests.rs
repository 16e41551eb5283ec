use std::fs;

use image::RgbImage;

use super::super::small_grid::{self, SmallClip};
use super::*;
use crate::data::LipsDataset;
use crate::text::Phoneme;

fn options(corpus: &Path, out: &Path) -> LipsOptions {
    LipsOptions { corpus: corpus.into(), out: out.into(), speakers: None, append: false }
}

/// A sentence in the TCD-TIMIT layout; `levels` are the brightnesses of its crops, 0 = black.
fn tcd_timit_sentence(corpus: &Path, speaker: &str, name: &str, levels: &[u8], labels: &str) {
    let dir = corpus.join("volunteers").join(speaker).join(name);
    fs::create_dir_all(dir.join("lips")).unwrap();
    fs::write(dir.join(format!("{name}_PHN.txt")), labels).unwrap();
    for (k, &level) in levels.iter().enumerate() {
        let crop = RgbImage::from_fn(160, 80, |x, y| image::Rgb([level, level / 2, if x > y { level } else { 0 }]));
        crop.save(dir.join(format!("lips/lip_{k:03}.png"))).unwrap();
    }
}

#[test]
fn the_tcd_timit_layout_is_read_and_black_crops_are_handled() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = dir.path().join("corpus");
    tcd_timit_sentence(&corpus, "02F", "sx10", &[200, 0, 90], "0 sil 0.04\n0.04 aa 0.08\n0.08 sil 0.2\n");
    tcd_timit_sentence(&corpus, "01M", "sa1", &[120, 130], "0 sil 640\n640 b 1000\n1000 sil 1600\n");
    tcd_timit_sentence(&corpus, "01M", "si5", &[0, 130], "0 sil 640\n640 b 1000\n1000 sil 1600\n");
    fs::write(corpus.join("Test.txt"), "volunteers/02F/sx10\n").unwrap();

    let mut warnings = Vec::new();
    let out = dir.path().join("out");
    let summary = lips(&options(&corpus, &out), &mut |p| warnings.extend(p.warning.map(str::to_string))).unwrap();
    assert_eq!((summary.stored, summary.left_out), (2, 1));
    assert!(warnings.len() == 1 && warnings[0].contains("01M/si5"), "{warnings:?}");

    let data = LipsDataset::open(&out).unwrap();
    let train = data.get(data.find("01M", "sa1").unwrap());
    let test = data.get(data.find("02F", "sx10").unwrap());
    assert_eq!((train.split, test.split), (Split::Train, Split::Test));
    assert_eq!(
        test.symbols.iter().map(|s| s.phoneme).collect::<Vec<_>>(),
        [Phoneme::Silence, Phoneme::Aa, Phoneme::Silence]
    );
    assert!((test.fps - 29.97003).abs() < 1e-4 && test.n_video_frames == 3);
    assert!((test.boundaries_s[3] - 3.0 * 1001.0 / 30_000.0).abs() < 1e-6);
    assert_eq!(test.crop(1), test.crop(0), "a black crop is replaced by the one before");
    assert_eq!(test.crop(2)[..3], [90, 45, 0]);
    assert_eq!(test.landmarks, None);
}

#[test]
fn the_grid_layout_is_read_and_crops_are_where_the_landmarks_say() {
    let dir = tempfile::tempdir().unwrap();
    let corpus = dir.path().join("corpus");
    let clip = |name, split, lip_opening| SmallClip { name, split, lip_opening, first_sound_s: 0.1 };
    small_grid::write(&corpus, &[clip("one", "test", Some(0.0)), clip("two", "train", None)]);

    let out = dir.path().join("out");
    let summary = match lips(&options(&corpus, &out), &mut |_| {}) {
        Err(DataError::Program { program: "ffmpeg", .. }) => return,
        other => other.unwrap(),
    };
    assert_eq!((summary.stored, summary.left_out), (1, 1), "the clip without landmarks is left out");
    let data = LipsDataset::open(&out).unwrap();
    let item = data.get(0);
    assert_eq!((item.n_video_frames, item.fps, item.picture_size), (10, 25.0, [128, 96]));
    assert_eq!(item.boundaries_s, [0.0, 0.1, 0.2, 0.3, 0.4]);
    // The face is 100 pixels high, so a crop pixel is 100 / 256 of a picture pixel; the middle is the nose's column.
    for column in [20, 80, 140] {
        let x = 60.5 + (column as f32 + 0.5 - 80.0) * 100.0 / 256.0 - 0.5;
        let level = f32::from(item.crop(5)[(40 * 160 + column) * 3 + 1]);
        // Grey is stored in the range of television, 16 to 235, or in full: either way level is linear in x.
        let (full, television) = (60.0 + x, (60.0 + x - 16.0) * 255.0 / 219.0);
        assert!((level - full).abs().min((level - television).abs()) < 2.0, "{column}: {level} for {full}");
    }
    let mouth = item.landmarks.unwrap()[0][0];
    // The corner of the mouth is at (50, 70), ten pixels left of the nose.
    let wanted = [80.0 - 10.0 * 2.56, 40.0 + (20.0 - 14.0) * 2.56];
    assert!((mouth[0] - wanted[0]).abs() < 0.01 && (mouth[1] - wanted[1]).abs() < 0.01, "{mouth:?}");
}

#[test]
fn a_folder_without_a_layout_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = lips(&options(dir.path(), &dir.path().join("out")), &mut |_| {}).unwrap_err();
    assert!(error.to_string().contains("clips.tsv"), "{error}");
    assert!(!dir.path().join("out").exists());
}
