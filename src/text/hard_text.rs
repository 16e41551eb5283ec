//! Ten sentences of each kind that is hard to read, against what a careful reader of American English says.

use std::collections::BTreeMap;

use super::{FrontEnd, FrontEndOptions, Utterance};

/// The words as spoken, or those that the row asks for with their phonemes.
fn said(utterance: &Utterance, expected: &str) -> String {
    let Some(asked) = expected.strip_prefix('=') else {
        return utterance.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    };
    let found = asked.split(' ').map(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        let (word, nth) = name.split_once('#').map_or((name, 1), |(word, nth)| (word, nth.parse().unwrap()));
        let mut words = utterance.words.iter().filter(|other| utterance.text[other.source.clone()] == *word);
        format!("{name}={}", words.nth(nth - 1).map_or_else(|| "?".to_string(), |word| utterance.ipa(word)))
    });
    format!("={}", found.collect::<Vec<_>>().join(" "))
}

/// Whether what is said is one of the pronunciations that are right.
fn is_right(said: &str, expected: &str) -> bool {
    let Some(expected) = expected.strip_prefix('=') else { return said.eq_ignore_ascii_case(expected) };
    said[1..].split(' ').zip(expected.split(' ')).all(|(said, expected)| {
        let ((_, said), (_, expected)) = (said.split_once('=').unwrap(), expected.split_once('=').unwrap());
        expected.split('|').any(|one| one == said)
    })
}

#[test]
fn ten_sentences_of_each_hard_kind_are_read_right() {
    let front_end = FrontEnd::new(FrontEndOptions::default()).unwrap();
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    let mut wrong = String::new();
    for row in include_str!("hard.tsv").lines().filter(|row| !row.starts_with('#')) {
        let columns: Vec<&str> = row.split('\t').collect();
        let [kind, text, expected] = columns[..] else { panic!("three columns: {row}") };
        let said = said(&front_end.analyse(text).unwrap(), expected);
        let (right, all) = kinds.entry(kind).or_default();
        *all += 1;
        if is_right(&said, expected) {
            *right += 1;
        } else {
            wrong += &format!("\n  {kind}: {text}\n    expected {expected}\n    said     {said}");
        }
    }
    assert!(kinds.len() == 7 && kinds.values().all(|(_, all)| *all == 10), "{kinds:?}");
    assert!(kinds.values().all(|(right, all)| right == all), "{kinds:?}{wrong}");
}
