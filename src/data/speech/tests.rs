use super::*;
use crate::text::{Phoneme, SentenceKind};

fn item(id: &str, mel_frames: usize, aligned: bool) -> SpeechItem {
    let symbols = vec![
        Symbol::pause(Phoneme::Silence, SentenceKind::Statement),
        Symbol { word_start: true, word_end: true, ..Symbol::pause(Phoneme::Aa, SentenceKind::Statement) },
    ];
    SpeechItem {
        id: id.into(),
        text: format!("text of {id}, \"ä\""),
        symbols,
        durations: aligned.then(|| vec![1, mel_frames as u32 - 1]),
        // Multiples of 1/8 in this range are exact in f16.
        mel: (0..mel_frames * 80).map(|k| (k % 160) as f32 / 8.0 - 12.0).collect(),
        f0_hz: (0..mel_frames).map(|k| if k % 3 == 0 { 0.0 } else { 100.3 + k as f32 }).collect(),
        pcm: (0..mel_frames * 300).map(|k| (k as i16).wrapping_mul(7)).collect(),
        voice: 1,
        split: if aligned { Split::Train } else { Split::Valid },
    }
}

fn write(dir: &Path, items: &[SpeechItem], append: bool) -> Result<()> {
    let mut writer = SpeechWriter::open(dir, SpeechGeometry::default(), append)?;
    for item in items {
        writer.push(item)?;
    }
    writer.finish()
}

#[test]
fn what_was_written_is_read_and_appending_adds_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let items = [item("a", 5, true), item("b", 3, false), item("c", 9, true)];
    write(dir.path(), &items[..2], false).unwrap();
    assert!(matches!(write(dir.path(), &items[2..], false), Err(DataError::Exists { .. })));
    write(dir.path(), &items[2..], true).unwrap();

    let data = SpeechDataset::open(dir.path()).unwrap();
    assert_eq!(data.len(), 3);
    for (i, item) in items.iter().enumerate() {
        assert_eq!(&data.get(i), item);
    }
    assert_eq!(data.split(Split::Train), [0, 2]);
    assert_eq!(data.n_voices(), 2);
    assert!((data.seconds() - 17.0 * 0.0125).abs() < 1e-9);
    assert_eq!(data.mel(2, 4..6), items[2].mel[4 * 80..6 * 80]);
    assert_eq!(data.f0_hz(2, 4..6), items[2].f0_hz[4..6]);
    assert_eq!(data.pcm(2, 4..6), items[2].pcm[4 * 300..6 * 300]);
}

#[test]
fn an_append_that_stopped_leaves_the_dataset_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[item("a", 5, true)], false).unwrap();
    let mut writer = SpeechWriter::open(dir.path(), SpeechGeometry::default(), true).unwrap();
    writer.push(&item("lost", 4, true)).unwrap();
    drop(writer);
    assert_eq!(SpeechDataset::open(dir.path()).unwrap().len(), 1);
    write(dir.path(), &[item("b", 6, true)], true).unwrap();
    let data = SpeechDataset::open(dir.path()).unwrap();
    assert_eq!((data.len(), data.get(1)), (2, item("b", 6, true)));
}

#[test]
fn a_writer_that_never_finished_left_no_dataset() {
    let dir = tempfile::tempdir().unwrap();
    SpeechWriter::open(dir.path(), SpeechGeometry::default(), false).unwrap().push(&item("a", 5, true)).unwrap();
    assert!(matches!(SpeechDataset::open(dir.path()), Err(DataError::NotADataset { .. })));
    write(dir.path(), &[item("b", 6, true)], false).unwrap();
    assert_eq!(SpeechDataset::open(dir.path()).unwrap().get(0), item("b", 6, true));
}

#[test]
fn every_kind_of_damage_is_refused_in_one_line() {
    type Break = fn(Vec<u8>) -> Vec<u8>;
    let damage: [(&str, Break); 6] = [
        ("mel.f16", |mut b| {
            b.pop();
            b
        }),
        ("pcm.i16", |_| vec![]),
        ("index.jsonl", |b| b[..b.len() - 2].to_vec()),
        ("index.jsonl", |mut b| {
            b[8] ^= 1;
            b
        }),
        ("manifest.json", |b| b[..b.len() / 2].to_vec()),
        ("manifest.json", |b| String::from_utf8(b).unwrap().replace("\"version\": 1", "\"version\": 2").into_bytes()),
    ];
    for (name, break_it) in damage {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &[item("a", 5, true)], false).unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, break_it(std::fs::read(&path).unwrap())).unwrap();
        let error = SpeechDataset::open(dir.path()).err().unwrap_or_else(|| panic!("damaged {name} was accepted"));
        assert!(matches!(error, DataError::Damaged { .. }), "{name}: {error:?}");
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &[item("a", 5, true)], false).unwrap();
    std::fs::remove_file(dir.path().join("f0.f32")).unwrap();
    assert!(matches!(SpeechDataset::open(dir.path()), Err(DataError::Damaged { .. })));
}

#[test]
fn items_that_do_not_hang_together_are_not_stored() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = SpeechWriter::open(dir.path(), SpeechGeometry::default(), false).unwrap();
    let good = item("a", 5, true);
    let bad = [
        SpeechItem { durations: Some(vec![1, 5]), ..good.clone() },
        SpeechItem { durations: Some(vec![5]), ..good.clone() },
        SpeechItem { pcm: vec![0; 1499], ..good.clone() },
        SpeechItem { f0_hz: vec![f32::NAN; 5], ..good.clone() },
    ];
    for item in bad {
        assert!(matches!(writer.push(&item), Err(DataError::Item { .. })), "{:?}", item.durations);
    }
    writer.push(&good).unwrap();
    writer.finish().unwrap();
    assert_eq!(SpeechDataset::open(dir.path()).unwrap().get(0), good);
}
