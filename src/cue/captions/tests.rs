use proptest::prelude::*;

use super::*;
use crate::cue::{CueFormat, CueWriter};

/// A sentence whose words last 0.25 s each; a word is where the text has letters or digits.
fn say(cues: &mut Vec<Cue>, text: &str, source_start: usize) {
    let start_sample = cues.iter().map(|cue| cue.end_sample).max().unwrap_or(0);
    let place = cues.len();
    let mut at = start_sample;
    for (offset, word) in text.split_whitespace().map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word)) {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        if !bare.is_empty() {
            let from = source_start + offset + (bare.as_ptr() as usize - word.as_ptr() as usize);
            let source = Some(from..from + bare.len());
            let text = bare.to_lowercase();
            cues.push(Cue { kind: CueKind::Word, start_sample: at, end_sample: at + 6000, text, source, chars: None });
            at += 6000;
        }
    }
    let source = Some(source_start..source_start + text.len());
    let kind = CueKind::Sentence;
    cues.insert(place, Cue { kind, start_sample, end_sample: at, text: text.to_owned(), source, chars: None });
}

fn all_captions(cues: &[Cue]) -> Vec<Caption> {
    let mut captioner = Captioner::default();
    let mut captions: Vec<Caption> = cues.iter().flat_map(|cue| captioner.push(cue)).collect();
    captions.extend(captioner.finish());
    captions
}

fn text_of(cues: &[Cue], format: CueFormat) -> String {
    let mut writer = CueWriter::new(format, 24_000, Vec::new()).unwrap();
    cues.iter().for_each(|cue| writer.push(cue).unwrap());
    String::from_utf8(writer.finish(0).unwrap()).unwrap()
}

#[test]
fn captions_keep_punctuation_and_end_with_the_sentence() {
    let mut list = Vec::new();
    say(&mut list, "\"Hello,\" said  the (old) man \u{2014} <b>&</b> went.", 0);
    say(&mut list, "Is it true?", 50);
    assert_eq!(
        text_of(&list, CueFormat::Vtt),
        "WEBVTT\n\n00:00:00.000 --> 00:00:01.750\n\"Hello,\" said the (old)\nman \u{2014} &lt;b&gt;&amp;&lt;/b&gt; went.\n\n\
         00:00:01.750 --> 00:00:02.500\nIs it true?\n"
    );
}

#[test]
fn long_sentences_become_several_captions() {
    let mut list = Vec::new();
    say(&mut list, &"The quick brown fox jumps over the lazy dog, ".repeat(3), 0);
    say(&mut list, "Done.", 200);
    assert_eq!(
        text_of(&list, CueFormat::Srt),
        "1\n00:00:00,000 --> 00:00:03,250\nThe quick brown fox jumps over the\nlazy dog, The quick brown fox\n\n\
         2\n00:00:03,250 --> 00:00:06,750\njumps over the lazy dog, The quick\nbrown fox jumps over the lazy dog,\n\n\
         3\n00:00:06,750 --> 00:00:07,000\nDone.\n"
    );
}

#[test]
fn words_of_one_number_stay_together() {
    let word = |text: &str, source, at| Cue {
        kind: CueKind::Word,
        start_sample: at,
        end_sample: at + 2400,
        text: text.to_owned(),
        source: Some(source),
        chars: None,
    };
    let cues = [
        Cue {
            kind: CueKind::Sentence,
            start_sample: 0,
            end_sample: 9600,
            text: "In 2024!".into(),
            source: Some(10..18),
            chars: None,
        },
        word("in", 10..12, 0),
        word("twenty", 13..17, 2400),
        word("twenty", 13..17, 4800),
        word("four", 13..17, 7200),
    ];
    let caption = Caption { start_sample: 0, end_sample: 9600, lines: vec!["In 2024!".into()] };
    assert_eq!(all_captions(&cues), [caption]);
}

#[test]
fn without_source_bytes_the_words_are_shown_as_spoken() {
    let mut list = Vec::new();
    say(&mut list, "It IS so.", 0);
    let mut trimmed = list.clone();
    trimmed[0].text = "It IS so".into();
    assert_eq!(all_captions(&trimmed)[0].lines, ["it is so"], "bytes that do not fit the text are not used");
    list.iter_mut().for_each(|cue| cue.source = None);
    assert_eq!(all_captions(&list)[0].lines, ["it is so"]);
    list.retain(|cue| cue.kind == CueKind::Sentence);
    assert_eq!(all_captions(&list)[0].lines, ["It IS so."]);
    list.clear();
    assert_eq!(all_captions(&list), []);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_lines_that_fit_and_times_in_order(texts in prop::collection::vec("[a-zß€ \n\t.,!\"()<>&-]{0,300}|\\PC{0,80}|[x-z]{90}", 0..6)) {
        let mut list = Vec::new();
        let mut source_start = 7;
        for text in &texts {
            say(&mut list, text, source_start);
            source_start += text.len() + 1;
        }
        let captions = all_captions(&list);
        let mut last_sample = 0;
        for caption in &captions {
            prop_assert!((1..=LINES).contains(&caption.lines.len()));
            prop_assert!(caption.lines.iter().all(|line| (1..=LINE_CHARS).contains(&line.chars().count())));
            prop_assert!(caption.start_sample >= last_sample && caption.end_sample >= caption.start_sample);
            last_sample = caption.end_sample;
        }
        let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        let shown: String = captions.iter().flat_map(|caption| &caption.lines).map(|line| letters(line)).collect();
        let said: String = texts.iter().map(|text| letters(text)).collect();
        prop_assert_eq!(shown, said);
    }
}
