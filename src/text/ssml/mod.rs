//! SSML: text with marks that steer how it is said (Speech Synthesis Markup Language 1.1, W3C 2010), in a subset.
//!
//! | element | what it does |
//! |---|---|
//! | `speak` | the document |
//! | `p`, `s` | a paragraph, a sentence |
//! | `break time="500ms"` or `strength="weak"` | sets the pause at this place; without either, `medium` |
//! | `prosody rate="80%" pitch="+2st" volume="-6dB"` | changes pace, pitch and volume; also by words: `slow`, `high`, `loud` |
//! | `emphasis level="strong"` | stresses, or with `reduced` the reverse; without a level, `moderate` |
//! | `sub alias="doctor"` | says something else than is written |
//! | `say-as interpret-as="date" format="dmy"` | says what kind of thing is written |
//! | `phoneme ph="təmˈAɾO"` | says these phonemes, IPA or the teacher's alphabet |
//! | `mark name="here"` | becomes a cue |
//! | `voice name="heart"` | another voice of the package |
//!
//! Everything goes into the same planner as plain text. What is not in the table is an error that names line and column: a
//! document is never half understood. Entities other than XML's own and document types are refused.

mod build;
mod values;

use roxmltree::{Document, Node, ParsingOptions};

use super::lexicon::{Misaki, UserLexicon, Words};
use super::normalise::{KINDS, say_as};
use super::passage::{Inline, Passage, Style};
use super::pronounce::checked;
use build::Builder;

/// The longest document in bytes: it is held in memory as a whole, so that an error at its end is told at its beginning.
pub(crate) const LONGEST_BYTES: usize = 4 << 20;
/// The deepest nesting of elements that has any use.
const DEEPEST: usize = 64;

/// Where and why a document cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub(crate) struct SsmlError {
    /// Line, from 1.
    line: u32,
    /// Character in the line, from 1.
    column: u32,
    message: String,
}

/// What holds at a place of the document.
#[derive(Debug, Clone, Copy)]
struct State {
    style: Style,
    depth: usize,
    /// Inside of `p` or `s`, where neither another `p` may stand, nor in `s` another `s`.
    in_paragraph: bool,
    in_sentence: bool,
}

/// Reads a document into sentences.
pub(super) fn parse(text: &str, user: &UserLexicon) -> Result<Vec<Passage>, SsmlError> {
    let options = ParsingOptions { nodes_limit: 1 << 20, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| {
        let (place, message) = (error.pos(), error.to_string());
        // The crate's message ends in the place.
        let message = message.split(" at ").next().unwrap_or_default().to_string();
        SsmlError { line: place.row, column: place.col, message }
    })?;
    let root = document.root_element();
    let words = Words { misaki: Misaki::shared(), user };
    let mut reader = Reader { words, builder: Builder::default() };
    if root.tag_name().name() != "speak" {
        return Err(at(
            root,
            format!("the document is <{}>: give <speak> as its first element", root.tag_name().name()),
        ));
    }
    attributes(root, &["version"])?;
    let state = State { style: Style::default(), depth: 0, in_paragraph: false, in_sentence: false };
    reader.children(root, state)?;
    Ok(reader.builder.finish(document.input_text()))
}

/// An error at the start of a node.
fn at(node: Node<'_, '_>, message: impl Into<String>) -> SsmlError {
    let place = node.document().text_pos_at(node.range().start);
    SsmlError { line: place.row, column: place.col, message: message.into() }
}

/// Refuses attributes that the element does not have, and languages other than English.
fn attributes(node: Node<'_, '_>, known: &[&str]) -> Result<(), SsmlError> {
    let element = node.tag_name().name();
    for attribute in node.attributes() {
        let error = |message: String| {
            let place = node.document().text_pos_at(attribute.range().start);
            SsmlError { line: place.row, column: place.col, message }
        };
        match (attribute.namespace(), attribute.name()) {
            (Some("http://www.w3.org/XML/1998/namespace"), "lang")
                if !attribute.value().to_ascii_lowercase().starts_with("en") =>
            {
                return Err(error(format!("the language {:?} is not spoken here: only English is", attribute.value())));
            }
            (None, name) if !known.contains(&name) => {
                let hint = if known.is_empty() { "it takes none".into() } else { format!("give {}", known.join(", ")) };
                return Err(error(format!("<{element}> has no attribute {name:?}: {hint}")));
            }
            // Places of schemas and the like say nothing about speech.
            _ => {}
        }
    }
    Ok(())
}

/// The value of an attribute that must be there.
fn required<'a>(node: Node<'a, '_>, name: &str) -> Result<&'a str, SsmlError> {
    let element = node.tag_name().name();
    node.attribute(name).ok_or_else(|| at(node, format!("<{element}> needs an attribute {name}")))
}

struct Reader<'a> {
    words: Words<'a>,
    builder: Builder,
}

impl Reader<'_> {
    fn children(&mut self, node: Node<'_, '_>, state: State) -> Result<(), SsmlError> {
        for child in node.children() {
            if child.is_text() {
                let source = &child.document().input_text()[child.range()];
                self.builder.text(child.text().unwrap_or_default(), source, child.range().start, state.style);
            } else if child.is_element() {
                self.element(child, State { depth: state.depth + 1, ..state })?;
            }
        }
        Ok(())
    }

    fn element(&mut self, node: Node<'_, '_>, state: State) -> Result<(), SsmlError> {
        let name = node.tag_name().name();
        if state.depth > DEEPEST {
            return Err(at(node, format!("more than {DEEPEST} elements inside of each other: nest less")));
        }
        // Says at which attribute a value is wrong.
        let wrong = |attribute: &str, message: String| {
            let place = node.attribute_node(attribute).map_or(node.range().start, |attribute| attribute.range().start);
            let place = node.document().text_pos_at(place);
            let value = node.attribute(attribute).unwrap_or_default();
            let message = format!("{attribute}={value:?} of <{name}>: {message}");
            SsmlError { line: place.row, column: place.col, message }
        };
        match name {
            "p" | "s" => {
                attributes(node, &[])?;
                if state.in_sentence || (name == "p" && state.in_paragraph) {
                    return Err(at(node, format!("<{name}> cannot stand inside of <p> or <s>, except <s> in <p>")));
                }
                let in_sentence = name == "s";
                if in_sentence {
                    self.builder.end_sentences()
                } else {
                    self.builder.end_paragraph()
                }
                self.children(node, State { in_paragraph: true, in_sentence, ..state })?;
                if in_sentence { self.builder.end_one_sentence() } else { self.builder.end_paragraph() }
            }
            "break" => {
                attributes(node, &["time", "strength"])?;
                let seconds = match (node.attribute("time"), node.attribute("strength")) {
                    (Some(time), _) => values::time(time).map_err(|message| wrong("time", message))?,
                    (None, strength) => {
                        values::strength(strength.unwrap_or("medium")).map_err(|message| wrong("strength", message))?
                    }
                };
                self.empty(node)?;
                self.builder.reference(Inline::Break(seconds), node.range(), state.style);
            }
            "prosody" => {
                attributes(node, &["rate", "pitch", "volume"])?;
                let mut style = state.style;
                if let Some(value) = node.attribute("rate") {
                    style.rate = values::rate(value, style.rate).map_err(|message| wrong("rate", message))?;
                }
                if let Some(value) = node.attribute("pitch") {
                    let semitones = values::semitones(value, style.semitones);
                    style.semitones = semitones.map_err(|message| wrong("pitch", message))?;
                }
                if let Some(value) = node.attribute("volume") {
                    style.gain_db =
                        values::gain_db(value, style.gain_db).map_err(|message| wrong("volume", message))?;
                }
                self.children(node, State { style, ..state })?;
            }
            "emphasis" => {
                attributes(node, &["level"])?;
                let level = node.attribute("level").unwrap_or("moderate");
                let style = values::emphasis(level, state.style).map_err(|message| wrong("level", message))?;
                self.children(node, State { style, ..state })?;
            }
            "sub" => {
                attributes(node, &["alias"])?;
                let alias = required(node, "alias")?;
                self.only_text(node)?;
                self.builder.replaced(alias, node.range(), state.style);
            }
            "say-as" => {
                attributes(node, &["interpret-as", "format"])?;
                let (kind, shown) = (required(node, "interpret-as")?, self.only_text(node)?);
                let say =
                    say_as(kind, node.attribute("format"), &shown, &self.words).map_err(|message| at(node, message))?;
                let say =
                    say.ok_or_else(|| at(node, format!("{:?} cannot be said as {kind}: give {KINDS}", shown.trim())))?;
                self.builder.reference(Inline::Say { say, shown }, node.range(), state.style);
            }
            "phoneme" => {
                attributes(node, &["ph", "alphabet"])?;
                if let Some(other) = node.attribute("alphabet").filter(|alphabet| *alphabet != "ipa") {
                    return Err(wrong("alphabet", format!("{other:?} is not known: give ipa")));
                }
                let (ph, shown) = (required(node, "ph")?, self.only_text(node)?);
                let ipa = checked(ph).map_err(|error| wrong("ph", error.to_string()))?;
                if ipa.trim().is_empty() {
                    return Err(wrong("ph", "give at least one phoneme".into()));
                }
                self.builder.reference(Inline::Phonemes { ipa, shown }, node.range(), state.style);
            }
            "mark" => {
                attributes(node, &["name"])?;
                self.empty(node)?;
                self.builder.mark(required(node, "name")?);
            }
            "voice" => {
                attributes(node, &["name"])?;
                let voice = required(node, "name")?.to_string();
                if state.in_sentence {
                    return Err(at(node, "<voice> cannot stand inside of <s>: a sentence has one voice"));
                }
                self.builder.end_sentences();
                let around = self.builder.voice.replace(voice);
                self.children(node, state)?;
                self.builder.end_sentences();
                self.builder.voice = around;
            }
            "speak" => return Err(at(node, "<speak> cannot stand inside of another element")),
            _ => {
                let known = "p, s, break, prosody, emphasis, sub, say-as, phoneme, mark or voice";
                return Err(at(node, format!("<{name}> is not understood: give {known}")));
            }
        }
        Ok(())
    }

    /// The text of an element that may hold nothing else.
    fn only_text(&self, node: Node<'_, '_>) -> Result<String, SsmlError> {
        match node.children().find(Node::is_element) {
            Some(child) => Err(at(child, format!("<{}> may hold text alone", node.tag_name().name()))),
            None => Ok(node.children().filter_map(|child| child.text()).collect()),
        }
    }

    fn empty(&self, node: Node<'_, '_>) -> Result<(), SsmlError> {
        match self.only_text(node)?.trim() {
            "" => Ok(()),
            _ => Err(at(node, format!("<{}> must be empty", node.tag_name().name()))),
        }
    }
}

#[cfg(test)]
mod tests;
