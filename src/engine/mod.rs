//! The engine: text in, speech and a talking face out.

mod paragraphs;

pub use paragraphs::TextSource;
