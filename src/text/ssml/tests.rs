use super::*;
use crate::text::{Directed, FrontEnd, FrontEndOptions, Phoneme};

fn read(document: &str) -> Result<Vec<Passage>, SsmlError> {
    parse(document, &UserLexicon::default())
}

fn front_end() -> FrontEnd {
    FrontEnd::new(FrontEndOptions::default()).unwrap()
}

/// The words of every sentence, as spoken.
fn words(document: &str) -> Vec<String> {
    let directed =
        read(document).unwrap().iter().map(|sentence| front_end().analyse_passage(sentence).unwrap()).collect();
    let join = |directed: &Directed| {
        directed.utterance.words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ")
    };
    let directed: Vec<Directed> = directed;
    directed.iter().map(join).collect()
}

#[test]
fn every_element_is_understood() {
    let document = r#"<?xml version="1.0"?>
<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis" xml:lang="en-US">
  <p><s>Dr. Smith lives at <say-as interpret-as="characters">A1</say-as>.</s> <s>It is <sub alias="five">5</sub>.</s></p>
  <p>Call <say-as interpret-as="telephone">555-1234</say-as> &amp; wait. <emphasis level="strong">Now</emphasis>!</p>
  <!-- a comment --> Say <phoneme ph="təˈmeɪtoʊ" alphabet="ipa">tomato</phoneme><mark name="here"/>.
</speak>"#;
    assert_eq!(
        words(document),
        [
            "Doctor Smith lives at A one",
            "It is five",
            "Call five five five one two three four and wait",
            "Now",
            "Say tomato"
        ]
    );
    let sentences = read(document).unwrap();
    let paragraphs: Vec<bool> = sentences.iter().map(|sentence| sentence.starts_paragraph).collect();
    assert_eq!(paragraphs, [false, false, true, false, true]);
    assert_eq!(sentences[2].shown().trim(), "Call 555-1234 & wait.");
    let last = front_end().analyse_passage(&sentences[4]).unwrap();
    assert_eq!(last.utterance.ipa(&last.utterance.words[1]), "təmˈAtO");
    assert_eq!(last.marks, [(last.utterance.words[1].symbols.end, "here".to_string())]);
}

#[test]
fn styles_reach_the_symbols_of_their_words() {
    let document = "<speak>One <prosody rate='50%' pitch='+2st'>two <prosody volume='-6dB' rate='200%'>three</prosody>\
        </prosody>, four.</speak>";
    let directed = front_end().analyse_passage(&read(document).unwrap()[0]).unwrap();
    let style = |word: usize| directed.styles[directed.utterance.words[word].symbols.start];
    let plain = Style::default();
    let found = [style(0), style(1), style(2), style(3)];
    let slow = Style { rate: 0.5, semitones: 2.0, ..plain };
    assert_eq!(found, [plain, slow, Style { rate: 1.0, gain_db: -6.0, ..slow }, plain]);
    // The pause after a word is said as the word is.
    assert_eq!(directed.styles[directed.utterance.words[2].symbols.end].gain_db, -6.0);
    assert_eq!(directed.styles.len(), directed.utterance.symbols.len());
    assert!(front_end().analyse_passage(&read("<speak>One.</speak>").unwrap()[0]).unwrap().styles.is_empty());
}

#[test]
fn breaks_inside_sentences_are_pauses_and_those_outside_part_them() {
    let document = "<speak><break time='300ms'/>One <break/> two. <break time='1s'/> <break time='250ms'/> Three.\
        <s>Four.<break time='2s'/></s></speak>";
    let sentences = read(document).unwrap();
    assert_eq!(sentences[0].break_before_s, Some(0.3));
    let outside: Vec<Option<f64>> = sentences.iter().map(|sentence| sentence.break_after_s).collect();
    assert_eq!(outside, [Some(1.25), None, Some(2.0)]);
    let directed = front_end().analyse_passage(&sentences[0]).unwrap();
    let [(symbol, seconds)] = directed.breaks[..] else { panic!("one break: {:?}", directed.breaks) };
    assert_eq!((directed.utterance.symbols[symbol].phoneme, seconds), (Phoneme::Comma, 0.4));
    assert_eq!(symbol, directed.utterance.words[0].symbols.end);
    // A comma beside it is the same pause.
    let directed = front_end().analyse_passage(&read("<speak>One, <break/> two.</speak>").unwrap()[0]).unwrap();
    assert_eq!(directed.utterance.symbols.iter().filter(|symbol| symbol.phoneme == Phoneme::Comma).count(), 1);
}

#[test]
fn marks_stand_before_what_follows_them() {
    let document = "<speak><mark name='a'/>One <mark name='b'/><break/> <mark name='c'/>two. <mark name='d'/> Three.\
        <mark name='e'/></speak>";
    let sentences = read(document).unwrap();
    let marks: Vec<Vec<(usize, String)>> =
        sentences.iter().map(|sentence| front_end().analyse_passage(sentence).unwrap().marks).collect();
    let words = front_end().analyse_passage(&sentences[0]).unwrap().utterance.words;
    let (one, two) = (words[0].symbols.clone(), words[1].symbols.clone());
    assert_eq!(marks[0], [(one.start, "a".into()), (one.end, "b".into()), (two.start, "c".into())]);
    assert_eq!((marks[1][0].0, &*marks[1][0].1), (1, "d"));
    assert_eq!(&*marks[1][1].1, "e");
    // Marks of a document without a word before or after them are kept too.
    assert_eq!(read("<speak><mark name='x'/><p>One.</p><mark name='y'/></speak>").unwrap()[0].marks.len(), 2);
}

#[test]
fn words_know_their_bytes_and_characters_of_the_document() {
    let document = "<speak><!-- \u{1f600} -->A &lt;b&gt; <emphasis>c&amp;d</emphasis> <sub alias=\"etc\">&#8230;</sub> \u{e9}nd.</speak>";
    let sentence = &read(document).unwrap()[0];
    let directed = front_end().analyse_passage(sentence).unwrap();
    let sources: Vec<&str> =
        directed.utterance.words.iter().map(|word| &document[sentence.source(word.source.clone())]).collect();
    assert_eq!(sources.first(), Some(&"A"));
    assert!(sources.contains(&"\u{e9}nd") && sources.contains(&"<sub alias=\"etc\">&#8230;</sub>"), "{sources:?}");
    assert!(sources.contains(&"b"), "{sources:?}");
    for (word, source) in directed.utterance.words.iter().zip(sources) {
        let chars = sentence.source_chars(word.source.clone());
        assert_eq!(document.chars().skip(chars.start).take(chars.len()).collect::<String>(), source);
    }
}

#[test]
fn voices_part_sentences() {
    let document = "<speak>One <voice name='x'>two <voice name='y'>three</voice></voice> four</speak>";
    let voices: Vec<Option<String>> = read(document).unwrap().into_iter().map(|sentence| sentence.voice).collect();
    assert_eq!(voices, [None, Some("x".into()), Some("y".into()), None]);
}

#[test]
fn every_mistake_is_told_with_line_and_column() {
    for (document, place, message) in [
        ("<speak>\n <foo/></speak>", (2, 2), "<foo> is not understood"),
        ("<speak>\n\n <break time='soon'/></speak>", (3, 9), "500ms"),
        ("<speak><prosody speed='2'>a</prosody></speak>", (1, 17), "rate, pitch, volume"),
        ("<speak><prosody pitch='9'>a</prosody></speak>", (1, 17), "+2st"),
        ("<speak>a <say-as interpret-as='date'>soon</say-as></speak>", (1, 10), "cannot be said as date"),
        ("<speak>a <say-as>soon</say-as></speak>", (1, 10), "interpret-as"),
        ("<speak><phoneme ph='kˈqt'>a</phoneme></speak>", (1, 17), "'q'"),
        ("<speak><phoneme ph='a' alphabet='sampa'>a</phoneme></speak>", (1, 24), "ipa"),
        ("<speak><s>a <p>b</p></s></speak>", (1, 13), "<p> cannot stand"),
        ("<speak><s><voice name='a'>b</voice></s></speak>", (1, 11), "one voice"),
        ("<speak xml:lang='de'>Hallo</speak>", (1, 8), "English"),
        ("<speak><sub alias='a'><s>b</s></sub></speak>", (1, 23), "text alone"),
        ("<speak><break>a</break></speak>", (1, 8), "empty"),
        ("<ssml>a</ssml>", (1, 1), "<speak>"),
        ("<speak><speak/></speak>", (1, 8), "inside"),
    ] {
        let error = read(document).unwrap_err();
        assert_eq!((error.line, error.column), place, "{document}: {error}");
        assert!(error.message.contains(message), "{document}: {error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
    // What is no XML at all.
    for document in [
        "",
        "hello",
        "<speak>a",
        "<speak>a</p></speak>",
        "<speak>&nbsp;</speak>",
        "<speak>a & b</speak>",
        "<!DOCTYPE speak [<!ENTITY a 'b'>]><speak>&a;</speak>",
        "<speak a='1' a='2'/>",
        "<speak/><speak/>",
    ] {
        let error = read(document).unwrap_err();
        assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty(), "{document}: {error}");
        assert!(!error.message.contains('\n'));
    }
    let deep = format!("<speak>{}a{}</speak>", "<prosody rate='fast'>".repeat(1000), "</prosody>".repeat(1000));
    assert!(read(&deep).unwrap_err().message.contains("nest less"));
}

#[test]
fn references_cannot_be_smuggled_in() {
    let document = "<speak>a [[\u{e000}0]] <break time='9s'/> b</speak>";
    let sentence = &read(document).unwrap()[0];
    // The sign is taken out, what is left is no phoneme.
    assert!(front_end().analyse_passage(sentence).is_err());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn any_nesting_is_read_or_refused(parts in proptest::collection::vec(0usize..14, 0..30)) {
        const PARTS: [&str; 14] = ["<p>", "</p>", "<s>", "</s>", "<break/>", "<mark name='m'/>", "<emphasis>", "</emphasis>",
            "<prosody volume='loud'>", "</prosody>", " Word.", " two, three", "<sub alias='x.'>y</sub>", "&amp; "];
        let document = format!("<speak>{}</speak>", parts.iter().map(|&i| PARTS[i]).collect::<String>());
        if let Ok(sentences) = read(&document) {
            let marks: usize = sentences.iter().map(|sentence| sentence.marks.len()).sum();
            let given = parts.iter().filter(|&&i| i == 5).count();
            proptest::prop_assert!(sentences.is_empty() || marks == given, "{} {}", document, marks);
            for sentence in &sentences {
                if let Ok(directed) = front_end().analyse_passage(sentence) {
                    let n = directed.utterance.symbols.len();
                    proptest::prop_assert!(directed.marks.iter().all(|(symbol, _)| *symbol < n));
                    proptest::prop_assert!(directed.breaks.iter().all(|(symbol, _)| *symbol < n));
                }
            }
        }
    }
}
