//! Sentences of a text of any length, one at a time.

use std::ops::Range;

use super::normalise::ends_abbreviation;

/// Longer sentences are cut at a comma, or at a space, so that the memory for one of them is bounded. In bytes.
const LONG: usize = 400;

/// A run without any space, such as an address, is cut only beyond this many bytes.
const LONGEST: usize = 4 * LONG;

/// The byte ranges of the sentences of `text`, in order.
///
/// Together they hold all of the text but white space. A full stop ends no sentence inside of a number or an address,
/// after an abbreviation, or before a small letter. An empty line ends a sentence, a plain line break does not, unless
/// an item of a list follows.
fn sentences(text: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let range = first_sentence(&text[at..], true)?;
        let range = at + range.start..at + range.end;
        at = range.end;
        Some(range)
    })
}

/// A sentence longer than this many bytes (about 40 s of speech) is spoken in pieces: what bounds the nets' memory.
const LONGEST_SPOKEN: usize = 600;

/// The byte ranges of what is spoken in one go: sentences, and pieces of those that are too long for it.
pub(super) fn pieces(text: &str) -> Vec<Range<usize>> {
    sentences(text).flat_map(|sentence| cut_long(text, sentence)).collect()
}

/// The pieces of a sentence: all of it, or up to its last clause or word below the limit, and so on.
pub(super) fn cut_long(text: &str, sentence: Range<usize>) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = sentence.start;
    std::iter::from_fn(move || {
        let piece = start..start + spoken_len(&text[start..sentence.end]);
        start = piece.end;
        (!piece.is_empty()).then_some(piece)
    })
}

/// How much of a sentence to speak in one go.
fn spoken_len(sentence: &str) -> usize {
    if sentence.len() <= LONGEST_SPOKEN {
        return sentence.len();
    }
    let mut limit = LONGEST_SPOKEN;
    while !sentence.is_char_boundary(limit) {
        limit -= 1;
    }
    let head = &sentence[..limit];
    let clause = head.rfind([',', ';', ':', '\u{2014}']).filter(|&at| at > limit / 3);
    let place = clause.or_else(|| head.rfind(char::is_whitespace));
    match place.and_then(|at| head[at..].chars().next().map(|mark| at + mark.len_utf8())) {
        Some(end) => end,
        None => limit,
    }
}

/// The byte range of the first sentence of `text`; `None` where there is nothing but white space.
///
/// Where the text is not `whole` and goes on, `None` also says that it must be known further: a sentence that is returned
/// is the same whatever follows.
pub(super) fn first_sentence(text: &str, whole: bool) -> Option<Range<usize>> {
    let start = text.find(|c: char| !c.is_whitespace())?;
    let end = start + sentence_end(&text[start..], whole)?;
    Some(start..start + text[start..end].trim_end().len())
}

/// Where the sentence that begins `rest` ends, beyond 0; `None` where that depends on text still to come.
fn sentence_end(rest: &str, whole: bool) -> Option<usize> {
    // The best places so far to cut a sentence that turns out too long.
    let (mut comma, mut space) = (None, None);
    let mut speakable = false;
    let mut inline = false;
    for (at, sign) in rest.char_indices() {
        let after = at + sign.len_utf8();
        let tail = &rest[after..];
        if opens_inline(&rest[at..], whole)? {
            inline = true;
        } else if rest[..after].ends_with("]]") {
            inline = false;
        }
        speakable |= sign.is_alphanumeric();
        if !inline {
            if (speakable || sign == '\n') && ends_here(rest, at, sign, speakable, whole)? {
                return with_closing_junk(rest, after, whole);
            }
            if sign.is_whitespace() && at > LONG / 2 && !inside_number(&rest[..at], tail, whole)? {
                let pause = rest[..at].ends_with([',', ';', ':', '—', '–', ')']);
                if pause { comma = Some(after) } else { space = Some(after) }
            }
        }
        let cut = comma.or(space).unwrap_or(after);
        if after >= LONGEST || (after >= LONG && cut < after) {
            return Some(cut);
        }
    }
    whole.then_some(rest.len())
}

/// Whether phonemes in `[[...]]` begin here: the end must be near, or the brackets are only brackets.
fn opens_inline(rest: &str, whole: bool) -> Option<bool> {
    if !whole && rest == "[" {
        return None;
    }
    if !rest.starts_with("[[") {
        return Some(false);
    }
    match rest.get(..LONG.min(rest.len())) {
        Some(near) if near.contains("]]") => Some(true),
        _ if !whole && rest.len() < LONG => None,
        Some(_) => Some(false),
        // The limit lies inside of a character.
        None => Some(true),
    }
}

/// Whether a sentence ends with the sign at `at`; one without anything `speakable` ends at an empty line alone. `None` where
/// it depends on text still to come.
fn ends_here(rest: &str, at: usize, sign: char, speakable: bool, whole: bool) -> Option<bool> {
    let after = &rest[at + sign.len_utf8()..];
    match sign {
        '\n' => {
            let next = after.trim_start_matches([' ', '\t', '\r']);
            let digits = next.bytes().take(4).take_while(u8::is_ascii_digit).count();
            if !whole && (next.len() == digits && digits < 4 || digits > 0 && next[digits..] == *".") {
                return None;
            }
            let item = next.starts_with(['-', '*', '•', '#'])
                || ((1..4).contains(&digits) && next[digits..].starts_with(". "));
            Some(next.starts_with('\n') || (item && speakable))
        }
        '\u{2029}' | '。' | '！' | '？' | '｡' => Some(true),
        '.' | '?' | '!' | '…' => is_mark_of_end(rest, at, sign, after, whole),
        // The marks that end the sentence may stand inside of quotes and brackets.
        '"' | '”' | '’' | '\'' | ')' | ']' | '»' => {
            let inner = rest[..at].trim_end_matches(['"', '”', '’', '\'', ')', ']', '»']);
            let Some(mark) = inner.chars().next_back().filter(|c| matches!(c, '.' | '?' | '!' | '…')) else {
                return Some(false);
            };
            is_mark_of_end(rest, inner.len() - mark.len_utf8(), mark, after, whole)
        }
        _ => Some(false),
    }
}

/// Whether a mark at `at`, with `after` behind it and any closing quotes, ends a sentence.
fn is_mark_of_end(rest: &str, at: usize, mark: char, after: &str, whole: bool) -> Option<bool> {
    if after.is_empty() && !whole {
        return None;
    }
    if !after.is_empty() && !after.starts_with(char::is_whitespace) {
        return Some(false);
    }
    let next = after.trim_start();
    let word = next.trim_start_matches(['"', '“', '‘', '\'', '(']);
    if word.is_empty() && !whole {
        return None;
    }
    if word.starts_with(|c: char| c.is_lowercase() || c == ',' || c == ';') {
        return Some(false);
    }
    if mark != '.' {
        return Some(true);
    }
    let abbreviation = |next: &str| ends_abbreviation(&rest[..=at], next);
    let is_cut = !whole && next.chars().all(char::is_alphabetic);
    // After some abbreviations it depends on which word follows: one that opens sentences or another.
    if is_cut && next.starts_with(char::is_uppercase) && abbreviation("The") != abbreviation("Army") {
        return None;
    }
    Some(!abbreviation(next))
}

/// Whether a space stands between two groups of digits.
fn inside_number(before: &str, after: &str, whole: bool) -> Option<bool> {
    if !before.ends_with(|c: char| c.is_ascii_digit()) {
        return Some(false);
    }
    (whole || !after.is_empty()).then(|| after.starts_with(|c: char| c.is_ascii_digit()))
}

/// The end of the sentence with what follows it in its paragraph, if nothing can be said there any more: "Bye. 😀".
fn with_closing_junk(rest: &str, end: usize, whole: bool) -> Option<usize> {
    // A line end that has ended the sentence may begin the empty line.
    let end = rest[..end].trim_end_matches('\n').len().max(end - 1);
    let tail = &rest[end..];
    let word = tail.find(char::is_alphanumeric);
    let paragraph = tail.match_indices('\n').map(|(at, _)| at).find(|at| {
        let next = tail[at + 1..].trim_start_matches([' ', '\t', '\r']);
        next.starts_with('\n')
    });
    match (word, paragraph) {
        (word, Some(paragraph)) if paragraph < word.unwrap_or(LONG).min(LONG) => Some(end + paragraph),
        (Some(_), _) => Some(end),
        (None, _) if tail.len() >= LONG => Some(end),
        (None, _) => whole.then_some(rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(text: &str) -> Vec<&str> {
        sentences(text).map(|range| &text[range]).collect()
    }

    #[test]
    fn sentences_end_where_a_reader_stops() {
        for (text, expected) in [
            ("Hello. How are you? Fine!", vec!["Hello.", "How are you?", "Fine!"]),
            ("Dr. Smith paid $3.50. He left.", vec!["Dr. Smith paid $3.50.", "He left."]),
            ("He lives on Elm Dr. Nobody knows.", vec!["He lives on Elm Dr.", "Nobody knows."]),
            ("It is 5 p.m. We go.", vec!["It is 5 p.m.", "We go."]),
            ("At 5 p.m. we go.", vec!["At 5 p.m. we go."]),
            ("The U.S. Army won. The U.K. The end.", vec!["The U.S. Army won.", "The U.K.", "The end."]),
            ("Bring tea, e.g. Assam. Thanks.", vec!["Bring tea, e.g. Assam.", "Thanks."]),
            ("Cats, dogs, etc. They play.", vec!["Cats, dogs, etc.", "They play."]),
            ("\"Stop!\" he said. \"Go on.\" She went.", vec!["\"Stop!\" he said.", "\"Go on.\"", "She went."]),
            ("Wait... what? So… no.", vec!["Wait... what?", "So… no."]),
            ("One line\nand the next.\n\nA title\n\nText", vec!["One line\nand the next.", "A title", "Text"]),
            ("Buy:\n- milk\n- eggs\n1. one\n2. two", vec!["Buy:", "- milk", "- eggs", "1. one", "2. two"]),
            ("See https://a.io/b.c?d. Now.", vec!["See https://a.io/b.c?d.", "Now."]),
            ("J. R. R. Tolkien wrote. No. 5 is alive.", vec!["J. R. R. Tolkien wrote.", "No. 5 is alive."]),
            ("Bye. 😀", vec!["Bye. 😀"]),
            ("😀 Hi. (Really.) Yes.", vec!["😀 Hi.", "(Really.)", "Yes."]),
            ("Say [[həlˈO. wˈɜɹld]] now. Ok.", vec!["Say [[həlˈO. wˈɜɹld]] now.", "Ok."]),
            ("", vec![]),
            ("  \n ", vec![]),
        ] {
            assert_eq!(split(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_very_long_sentence_is_cut_at_commas_else_at_spaces() {
        let clauses = "word ".repeat(20).trim_end().to_string() + ", ";
        let text = clauses.repeat(20);
        let parts = split(&text);
        assert!(parts.len() > 3);
        for part in &parts {
            assert!(part.len() <= LONG && part.ends_with(','), "{part}");
        }
        let text = "10 000 000 men ".repeat(200);
        for part in split(&text) {
            assert!(part.len() <= LONG && part.starts_with("10 000 000 men") || part.starts_with("men 10"), "{part}");
        }
        let address = format!("Go to https://example.com/{} now.", "a".repeat(700));
        assert!(split(&address).iter().any(|part| part.contains(&"a".repeat(700))));
        let parts = sentences(&"x".repeat(100_000)).count();
        assert!(parts >= 100_000 / LONGEST);
    }

    /// The sentences of a text that comes piece by piece, each taken as soon as it is certain.
    fn streamed(pieces: &[&str]) -> Vec<String> {
        let (mut text, mut found) = (String::new(), Vec::new());
        for piece in pieces {
            text.push_str(piece);
            while let Some(range) = first_sentence(&text, false) {
                found.push(text[range.clone()].to_string());
                text.drain(..range.end);
            }
        }
        while let Some(range) = first_sentence(&text, true) {
            found.push(text[range.clone()].to_string());
            text.drain(..range.end);
        }
        found
    }

    #[test]
    fn a_sentence_is_certain_as_soon_as_the_next_word_shows_it() {
        for (text, certain) in [
            ("Hello.", None),
            ("Hello. ", None),
            ("Hello. H", Some("Hello.")),
            ("Hello. (", None),
            ("Is it? I", Some("Is it?")),
            ("Wait... w", None),
            ("It costs 3.", None),
            ("Ask Dr. S", None),
            ("Ask Dr. Smith. N", Some("Ask Dr. Smith.")),
            ("In the U.S. T", None),
            ("In the U.S. The", None),
            ("In the U.S. The ", Some("In the U.S.")),
            ("In the U.S. Army ", None),
            ("A title\n", None),
            ("A title\n\n", Some("A title")),
            ("Buy:\n1", None),
            ("Buy:\n1. ", Some("Buy:")),
        ] {
            assert_eq!(first_sentence(text, false).map(|range| &text[range]), certain, "{text:?}");
        }
    }

    #[test]
    fn what_is_too_long_to_speak_is_cut_at_clauses_or_words_and_nothing_is_lost() {
        for unit in ["one two three four, ", "one two three ", "ünbröken", "——"] {
            let sentence = unit.repeat(5000 / unit.len());
            let pieces: Vec<Range<usize>> = cut_long(&sentence, 0..sentence.len()).collect();
            assert!(
                pieces.len() < 30 && pieces.iter().all(|piece| (1..=LONGEST_SPOKEN).contains(&piece.len())),
                "{unit}"
            );
            assert!(pieces.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert_eq!(pieces.last().unwrap().end, sentence.len());
        }
        let clauses = "one two three four, ".repeat(50);
        assert!(clauses[cut_long(&clauses, 0..clauses.len()).next().unwrap()].ends_with(','));
        assert_eq!(cut_long("", 0..0).count(), 0);
    }

    proptest! {
        #[test]
        fn text_in_pieces_has_the_sentences_of_the_whole(
            pieces in prop::collection::vec(
                prop_oneof![
                    "(Dr|St|No|Inc|U\\.S|e\\.g|p\\.m|Jan|I)?[.?!…]{1,2}[\"'”)]?",
                    "[ \n]{1,3}", "[A-Za-z]{1,5}", "[0-9]{1,3}", "(The|Army|\\[\\[|\\]\\]|[,;:—*#(“😀é])",
                ],
                0..120,
            ),
        ) {
            let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
            let whole = pieces.concat();
            prop_assert_eq!(streamed(&pieces), split(&whole));
        }

        #[test]
        fn ranges_cover_the_text_in_order(text in "([a-zA-Z0-9.,?! \n\"'…é😀\\[\\]-]|\\PC){0,300}") {
            let mut at = 0;
            for range in sentences(&text) {
                prop_assert!(range.start >= at && range.end > range.start && range.len() <= LONGEST + LONG);
                prop_assert!(text[at..range.start].trim().is_empty());
                at = range.end;
            }
            prop_assert!(text[at..].trim().is_empty());
        }
    }
}
