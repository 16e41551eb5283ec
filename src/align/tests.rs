use paravox_models::config;
use paravox_models::params::Params;

use super::*;
use crate::text::SentenceKind;
use crate::text::phonemes::symbols_from_ipa;

#[test]
fn pauses_that_readers_make_become_symbols() {
    let symbols = symbols_from_ipa("bi ɑp", SentenceKind::Statement).unwrap();
    let (states, given) = states(&symbols, &[]);
    assert_eq!(given, [Some(0), Some(1), Some(2), None, Some(3), Some(4), Some(5)]);
    assert_eq!(states.iter().map(|state| state.least).collect::<Vec<_>>(), [0, 1, 1, 8, 1, 1, 0]);
    let (all, durations) = with_pauses(&symbols, &given, &[5, 2, 3, 0, 4, 2, 7]);
    assert_eq!((all, durations), (symbols.clone(), vec![5, 2, 3, 4, 2, 7]));
    let (all, durations) = with_pauses(&symbols, &given, &[5, 2, 3, 20, 4, 2, 7]);
    assert_eq!((all[3].phoneme, durations), (Phoneme::Comma, vec![5, 2, 3, 20, 4, 2, 7]));
}

#[test]
fn any_net_gives_durations_that_fit_and_a_short_recording_is_refused() {
    let config: AlignerConfig = config::preset("aligner-light").unwrap();
    let params = Params::new(3, &Device::Cpu);
    let config = AlignerConfig { usual_lengths: vec![6.0; Phoneme::COUNT], ..config };
    let aligner = Aligner { net: AlignerNet::new(&config, params.builder()).unwrap(), config, device: Device::Cpu };
    let symbols = symbols_from_ipa("həlˈO wˈɜɹld.", SentenceKind::Statement).unwrap();
    let mel: Vec<f32> = (0..120 * 80).map(|i| ((i * 31 % 97) as f32 / 20.0) - 6.0).collect();
    let alignment = aligner.align(&mel, &symbols).unwrap();
    assert_eq!(alignment.durations.iter().sum::<u32>(), 120);
    assert_eq!(alignment.symbols.len(), alignment.durations.len());
    assert!(alignment.log_probability < 0.0);
    assert!(aligner.align(&mel[..80 * 5], &symbols).unwrap_err().contains("too few"));

    let alignment = aligner.align_words(&mel, &symbols, &[31, 77]).unwrap();
    assert_eq!(alignment.durations.iter().sum::<u32>(), 120);
    assert_eq!(alignment.word_starts(), [31, 77]);
    for (starts, part) in
        [(&[31][..], "has 2"), (&[77, 31], "fall"), (&[31, 33], "too few"), (&[31, 120], "after its end")]
    {
        let error = aligner.align_words(&mel, &symbols, starts).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn foreign_files_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.safetensors");
    std::fs::write(&path, b"no weights").unwrap();
    for path in [&path, &folder.path().join("absent")] {
        let message = Aligner::open(path).err().unwrap().to_string();
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}
