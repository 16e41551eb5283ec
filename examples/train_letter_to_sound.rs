//! Trains the letter-to-sound model for words that no lexicon has, and tests it on one word in twenty.
//!
//! ```sh
//! # The shipped model: the American gold lexicon of misaki-rs.
//! cargo run --release --example train_letter_to_sound -- src/text/letter_to_sound/model.bin
//! # From other words: one `word<TAB>IPA in the teacher's alphabet` a line.
//! cargo run --release --example train_letter_to_sound -- model.bin words.tsv
//! ```

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use misaki_rs::{data::load_us_gold, lexicon::PhonemeEntry};
use paravox::text::letter_to_sound::train::{TrainOptions, hold_out, score, train};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (out, words) = match arguments.as_slice() {
        [out] => (out, gold_words()),
        [out, tsv] => (out, tsv_words(&std::fs::read_to_string(tsv).with_context(|| format!("cannot read {tsv}"))?)?),
        _ => bail!("usage: train_letter_to_sound MODEL.bin [WORDS.tsv]"),
    };
    let (train_words, test_words) = hold_out(&words);
    eprintln!("{} words to train on, {} to test on", train_words.len(), test_words.len());
    let model = train(&train_words, &TrainOptions::default(), |epoch, right| {
        eprintln!("epoch {epoch}: {:.1} % of the training words right as they came", 100.0 * right);
    });
    eprintln!("{:#?}", score(&model, &test_words));
    std::fs::write(out, model.to_bytes()).with_context(|| format!("cannot write {out}"))
}

/// The gold lexicon, the tapped t and the glottal stop written as the teacher does.
fn gold_words() -> BTreeMap<String, String> {
    let ipa = |entry: PhonemeEntry| match entry {
        PhonemeEntry::Simple(ipa) => Some(ipa),
        PhonemeEntry::Tagged(mut by_tag) => by_tag.remove("DEFAULT").flatten(),
    };
    let words = load_us_gold().into_iter().filter(|(word, _)| word.chars().skip(1).all(|c| c.is_ascii_lowercase()));
    words.filter_map(|(word, entry)| Some((word, ipa(entry)?.replace('ɾ', "T").replace('ʔ', "t")))).collect()
}

fn tsv_words(text: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let rows = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    rows.map(|(i, line)| {
        let (word, ipa) = line.split_once('\t').with_context(|| format!("line {}: no tab", i + 1))?;
        Ok((word.to_string(), ipa.trim().to_string()))
    })
    .collect()
}
