use proptest::prelude::*;

use super::*;
use crate::cue::CueFormat;

/// A sentence whose words last 0.25 s each; a word is where the text has letters or digits.
fn say(list: &mut CueList, text: &str, source_start: usize) {
    let start_sample = list.total_samples;
    let mut at = start_sample;
    for (offset, word) in text.split_whitespace().map(|word| (word.as_ptr() as usize - text.as_ptr() as usize, word)) {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        if !bare.is_empty() {
            let from = source_start + offset + (bare.as_ptr() as usize - word.as_ptr() as usize);
            let source = Some(from..from + bare.len());
            let text = bare.to_lowercase();
            list.cues.push(Cue { kind: CueKind::Word, start_sample: at, end_sample: at + 6000, text, source });
            at += 6000;
        }
    }
    let source = Some(source_start..source_start + text.len());
    let kind = CueKind::Sentence;
    list.cues.push(Cue { kind, start_sample, end_sample: at, text: text.to_owned(), source });
    list.total_samples = at;
}

fn text_of(list: &CueList, format: CueFormat) -> String {
    let mut bytes = Vec::new();
    list.write(format, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn captions_keep_punctuation_and_end_with_the_sentence() {
    let mut list = CueList::new(24_000);
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
    let mut list = CueList::new(24_000);
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
    };
    let cues = vec![
        word("in", 10..12, 0),
        word("twenty", 13..17, 2400),
        word("twenty", 13..17, 4800),
        word("four", 13..17, 7200),
        Cue {
            kind: CueKind::Sentence,
            start_sample: 0,
            end_sample: 9600,
            text: "In 2024!".into(),
            source: Some(10..18),
        },
    ];
    let list = CueList { sample_rate: 24_000, total_samples: 9600, cues };
    let caption = Caption { start_ms: 0, end_ms: 400, lines: vec!["In 2024!".into()] };
    assert_eq!(captions(&list), [caption]);
}

#[test]
fn without_source_bytes_the_words_are_shown_as_spoken() {
    let mut list = CueList::new(24_000);
    say(&mut list, "It IS so.", 0);
    let mut trimmed = list.clone();
    trimmed.cues[3].text = "It IS so".into();
    assert_eq!(captions(&trimmed)[0].lines, ["it is so"], "bytes that do not fit the text are not used");
    list.cues.iter_mut().for_each(|cue| cue.source = None);
    assert_eq!(captions(&list)[0].lines, ["it is so"]);
    list.cues.retain(|cue| cue.kind == CueKind::Sentence);
    assert_eq!(captions(&list)[0].lines, ["It IS so."]);
    list.cues.clear();
    assert_eq!(captions(&list), []);
}

#[test]
fn times_of_hours_are_written_out() {
    assert_eq!(clock(0, '.'), "00:00:00.000");
    assert_eq!(clock(36_754_321, ','), "10:12:34,321");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_gives_lines_that_fit_and_times_in_order(texts in prop::collection::vec("[a-zß€ \n\t.,!\"()<>&-]{0,300}|\\PC{0,80}|[x-z]{90}", 0..6)) {
        let mut list = CueList::new(24_000);
        let mut source_start = 7;
        for text in &texts {
            say(&mut list, text, source_start);
            source_start += text.len() + 1;
        }
        let captions = captions(&list);
        let mut last_ms = 0;
        for caption in &captions {
            prop_assert!((1..=LINES).contains(&caption.lines.len()));
            prop_assert!(caption.lines.iter().all(|line| (1..=LINE_CHARS).contains(&line.chars().count())));
            prop_assert!(caption.start_ms + 1 >= last_ms && caption.end_ms > caption.start_ms);
            last_ms = caption.end_ms;
        }
        let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        let shown: String = captions.iter().flat_map(|caption| &caption.lines).map(|line| letters(line)).collect();
        let said: String = texts.iter().map(|text| letters(text)).collect();
        prop_assert_eq!(shown, said);
    }
}
