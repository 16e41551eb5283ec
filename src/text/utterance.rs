//! The front end: a sentence in, its words and symbols out.

use std::ops::Range;

use super::{
    Symbol, TextError,
    lexicon::{Misaki, UserLexicon, Words},
    normalise::{Piece, normalise},
    passage::{Inline, Passage, Style},
    phonemes::{Folder, kind_of},
    pronounce::pronounce,
    split,
    ssml::{self, SsmlError},
};

/// How to make a [`FrontEnd`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct FrontEndOptions {
    /// Words that the user wants said in a certain way. Default: none.
    pub lexicon: Option<UserLexicon>,
}

/// Turns text into symbols; one serves any number of threads.
#[derive(Debug, Clone)]
pub struct FrontEnd {
    user: UserLexicon,
}

/// A sentence, ready to be spoken.
#[derive(Debug, Clone, PartialEq)]
pub struct Utterance {
    /// The text as given.
    pub text: String,
    /// The spoken words in order.
    pub words: Vec<Word>,
    /// Phonemes and pauses; the first and the last are [`Silence`](super::Phoneme::Silence).
    pub symbols: Vec<Symbol>,
}

/// A sentence, ready to be spoken, with what was asked of its symbols.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Directed {
    pub(crate) utterance: Utterance,
    /// The style of each symbol; empty where all have the plain one.
    pub(crate) styles: Vec<Style>,
    /// Pauses that were asked for: symbol, seconds. Those of one symbol add up.
    pub(crate) breaks: Vec<(usize, f64)>,
    /// Names of marks, and the symbol before which they stand.
    pub(crate) marks: Vec<(usize, String)>,
}

/// A pause that was asked for.
struct Pause {
    symbol: usize,
    seconds: f64,
    /// The bytes of the text that ask for it.
    source: Range<usize>,
}

/// A spoken word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The word as spoken: "dollars"; letters that are named stand apart: "F B I".
    pub text: String,
    /// The bytes of the utterance's text that it comes from; several words may share them.
    pub source: Range<usize>,
    /// Its symbols, at least one.
    pub symbols: Range<usize>,
}

impl FrontEnd {
    /// Loads the lexicon, about 0.3 s at the first call in a process and nothing later.
    ///
    /// # Errors
    /// None today; a lexicon that is read from disk may bring some.
    pub fn new(options: FrontEndOptions) -> Result<Self, TextError> {
        Misaki::shared();
        Ok(Self { user: options.lexicon.unwrap_or_default() })
    }

    /// The byte range of the first sentence of a text, at most 2,000 bytes long; only white space may stand before it.
    ///
    /// `None` where there is nothing but white space. Where the text is not `whole`, because more of it is still to come,
    /// `None` also says that the sentence might go on; one that is returned is the same whatever follows.
    pub fn first_sentence(&self, text: &str, whole: bool) -> Option<Range<usize>> {
        split::first_sentence(text, whole)
    }

    /// Normalises and pronounces one sentence.
    ///
    /// # Errors
    /// [`TextError::Empty`] and [`TextError::NothingToSay`] where there is nothing to speak, [`TextError::BadPhoneme`]
    /// for a sign in `[[...]]` that is no phoneme.
    pub fn analyse(&self, sentence: &str) -> Result<Utterance, TextError> {
        Ok(self.analyse_with(sentence, &[])?.0)
    }

    /// The pieces of a sentence of plain text that are spoken in one go.
    pub(crate) fn passages(&self, sentence: &Passage) -> Vec<Passage> {
        let text = sentence.text();
        sentence.cut(&split::cut_long(text, 0..text.len()).collect::<Vec<_>>())
    }

    /// Reads an SSML document.
    pub(crate) fn ssml(&self, document: &str) -> Result<Vec<Passage>, SsmlError> {
        ssml::parse(document, &self.user)
    }

    /// Normalises and pronounces a sentence, and finds the symbols of what was asked of it.
    pub(crate) fn analyse_passage(&self, passage: &Passage) -> Result<Directed, TextError> {
        let (utterance, breaks) = self.analyse_with(passage.text(), &passage.inline)?;
        let words = &utterance.words;
        let symbol_after = |byte: usize| {
            let word = words.iter().find(|word| word.source.start >= byte).map(|word| word.symbols.start);
            let pause = breaks.iter().find(|pause| pause.source.start >= byte).map(|pause| pause.symbol);
            let end = words.last().map_or(0, |word| word.symbols.end);
            word.into_iter().chain(pause).min().unwrap_or(end)
        };
        let marks = passage.marks.iter().map(|(byte, name)| (symbol_after(*byte), name.clone())).collect();
        let mut styles = Vec::new();
        if passage.is_styled() {
            // A pause is said like the word before it, the opening silence like the first word.
            let mut style = words.first().map_or(Style::default(), |word| passage.style_at(word.source.start));
            let mut next = words.iter().peekable();
            for i in 0..utterance.symbols.len() {
                while let Some(word) = next.next_if(|word| word.symbols.start <= i) {
                    style = passage.style_at(word.source.start);
                }
                styles.push(style);
            }
        }
        let breaks = breaks.into_iter().map(|pause| (pause.symbol, pause.seconds)).collect();
        Ok(Directed { utterance, styles, breaks, marks })
    }

    fn analyse_with(&self, sentence: &str, inline: &[Inline]) -> Result<(Utterance, Vec<Pause>), TextError> {
        if sentence.trim().is_empty() {
            return Err(TextError::Empty);
        }
        let pieces = normalise(sentence, inline, &Words { misaki: Misaki::shared(), user: &self.user });
        let said = pronounce(&pieces, &self.user)?;
        if said.is_empty() {
            return Err(TextError::NothingToSay);
        }
        let marks: String =
            pieces.iter().map(|piece| if let Piece::Mark(mark) = piece { *mark } else { ' ' }).collect();
        let mut folder = Folder::new(kind_of(&marks), 0);
        let (mut words, mut breaks) = (Vec::with_capacity(said.len()), Vec::new());
        let mut said = said.into_iter();
        for piece in pieces {
            match piece {
                Piece::Mark(mark) => folder.push(mark, 0, 0)?,
                Piece::Break(seconds, source) => {
                    if seconds > 0.0 {
                        folder.push(',', 0, 0)?;
                    }
                    let symbol = folder.symbols.len() - 1;
                    if folder.symbols[symbol].phoneme.is_pause() {
                        breaks.push(Pause { symbol, seconds, source });
                    }
                }
                Piece::Word(say, source) => {
                    folder.push(' ', 0, 0)?;
                    let start = folder.symbols.len();
                    for (at, sign) in said.next().unwrap_or_default().chars().enumerate() {
                        folder.push(sign, at, 0)?;
                    }
                    words.push(Word { text: say.to_string(), source, symbols: start..folder.symbols.len() });
                }
            }
        }
        Ok((Utterance { text: sentence.to_string(), words, symbols: folder.finish(0).0 }, breaks))
    }
}

impl Utterance {
    /// The phonemes of a word in the teacher's alphabet, with stress marks.
    pub fn ipa(&self, word: &Word) -> String {
        let symbols = &self.symbols[word.symbols.clone()];
        symbols.iter().map(|s| format!("{}{}", s.stress.mark(), s.phoneme.ipa())).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::text::{Phoneme, SentenceKind};

    fn front_end() -> FrontEnd {
        FrontEnd::new(FrontEndOptions::default()).unwrap()
    }

    fn ipa(text: &str) -> String {
        let utterance = front_end().analyse(text).unwrap();
        utterance.words.iter().map(|word| utterance.ipa(word)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn pronunciations_are_as_a_dictionary_has_them() {
        let mut wrong = String::new();
        for row in include_str!("pronunciations.tsv").lines().filter(|row| !row.is_empty() && !row.starts_with("# ")) {
            let columns: Vec<&str> = row.split('\t').collect();
            let [given, spoken, expected] = columns[..] else { panic!("three columns: {row}") };
            let utterance = front_end().analyse(given).unwrap();
            let word = utterance.words.iter().find(|word| word.text == spoken);
            let said = word.map(|word| utterance.ipa(word)).unwrap_or_else(|| format!("{:?}", utterance.words));
            if said != expected {
                wrong += &format!("\n  {given:30} {spoken:15} expected {expected:15} said {said}");
            }
        }
        assert!(wrong.is_empty(), "{wrong}");
    }

    #[test]
    fn an_utterance_has_words_pauses_and_a_kind() {
        use Phoneme::*;
        let utterance = front_end().analyse("Hi, it costs $3.50?").unwrap();
        assert_eq!(utterance.symbols[0].phoneme, Silence);
        let n = utterance.symbols.len();
        assert_eq!([utterance.symbols[n - 2].phoneme, utterance.symbols[n - 1].phoneme], [Stop, Silence]);
        assert_eq!(utterance.symbols[3].phoneme, Comma);
        assert!(utterance.symbols.iter().all(|s| s.kind == SentenceKind::Question));
        let words: Vec<&str> = utterance.words.iter().map(|w| w.text.as_str()).collect();
        assert_eq!(words, ["Hi", "it", "costs", "three", "dollars", "and", "fifty", "cents"]);
        for word in &utterance.words[3..] {
            assert_eq!(&utterance.text[word.source.clone()], "$3.50");
        }
        assert_eq!(utterance.words[0].symbols, 1..3);
    }

    #[test]
    fn inline_phonemes_are_said_as_given() {
        assert_eq!(ipa("Say [[ˈɑʤəmoʊ]] now"), "sˈA ˈɑʤəmO nˈW");
        assert_eq!(ipa("the [[ˈæpəl]]"), "ði ˈæpəl");
        let error = front_end().analyse("Say [[kˈqt]].").unwrap_err();
        assert_eq!(error, TextError::BadPhoneme { sign: 'q', at: 2 });
    }

    #[test]
    fn the_users_words_come_first() {
        let lexicon =
            UserLexicon::parse("nginx\tˌɛnʤənˈɛks\nNASA\tnˈɑsə\nK8s\tkˈAts\nChatGPT\tʧˈæt\nC++\tsˈi", "mine").unwrap();
        let front_end = FrontEnd::new(FrontEndOptions { lexicon: Some(lexicon) }).unwrap();
        let utterance = front_end.analyse("the nginx of NASA, K8s, ChatGPT's C++.").unwrap();
        let said: Vec<String> = utterance.words.iter().map(|word| utterance.ipa(word)).collect();
        assert_eq!(said, ["ði", "ˌɛnʤənˈɛks", "ʌv", "nˈɑsə", "kˈAts", "ʧˈæts", "sˈi"]);
    }

    #[test]
    fn text_without_words_is_an_error() {
        for (text, error) in [
            ("", TextError::Empty),
            (" \n", TextError::Empty),
            ("...", TextError::NothingToSay),
            ("😀 ❤", TextError::NothingToSay),
            ("\u{0}\u{1}\u{7f}", TextError::NothingToSay),
        ] {
            assert_eq!(front_end().analyse(text), Err(error), "{text:?}");
        }
    }

    /// The shape that all other modules count on.
    fn check(utterance: &Utterance) -> Result<(), TestCaseError> {
        let symbols = &utterance.symbols;
        prop_assert_eq!(symbols[0].phoneme, Phoneme::Silence);
        prop_assert_eq!(symbols[symbols.len() - 1].phoneme, Phoneme::Silence);
        let (mut symbol, mut source) = (0, 0);
        for word in &utterance.words {
            prop_assert!(word.symbols.start >= symbol && !word.symbols.is_empty(), "{:?}", word);
            symbol = word.symbols.end;
            prop_assert!(word.source.start >= source && !word.source.is_empty(), "{:?}", word);
            source = word.source.start;
            prop_assert!(utterance.text.get(word.source.clone()).is_some());
            prop_assert!(symbols[word.symbols.start].word_start && symbols[word.symbols.end - 1].word_end);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 32 } else { 256 }))]
        #[test]
        fn any_text_has_an_utterance_or_an_error(text in "\\PC{0,60}") {
            if let Ok(utterance) = front_end().analyse(&text) {
                check(&utterance)?;
            }
        }

        #[test]
        fn text_of_the_kind_that_rules_read_has_an_utterance_or_an_error(
            text in "([A-Za-z0-9]{1,4}|[ .,:;/$%€£°'\"()@#&+=*<>^_~–—…½²\\[\\]-]){1,24}"
        ) {
            if let Ok(utterance) = front_end().analyse(&text) {
                check(&utterance)?;
            }
        }

        #[test]
        fn no_word_is_dropped(words in proptest::collection::vec("[a-z]{1,12}|[A-Z]{1,7}|[A-Z][a-z]{1,9}", 1..8)) {
            let utterance = front_end().analyse(&words.join(" ")).unwrap();
            check(&utterance)?;
            let mut last = None;
            let mut sources = 0;
            for word in &utterance.words {
                sources += usize::from(last.as_ref() != Some(&word.source));
                last = Some(word.source.clone());
            }
            prop_assert_eq!(sources, words.len());
        }
    }
}
