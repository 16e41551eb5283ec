//! `manifest.json`: what a package of voices and faces holds, where it comes from, and the hash of every file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The schema that this program writes and reads.
pub const SCHEMA: u32 = 1;

/// The table of contents of a package. An unknown key is an error, so a misspelt one is not silently ignored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of this format: [`SCHEMA`].
    pub schema: u32,
    /// The voice that speaks when none is asked for.
    pub default_voice: String,
    /// The face that is shown when none is asked for; absent in a package of voices only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_face: Option<String>,
    /// The voices.
    pub voices: Vec<VoiceEntry>,
    /// The faces.
    #[serde(default)]
    pub faces: Vec<FaceEntry>,
    /// SHA-256 in hexadecimal of each file, by its path inside the package.
    pub sha256: BTreeMap<String, String>,
}

/// One voice: its nets and where they come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoiceEntry {
    /// The name to ask for.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Licence of the weights, with the attribution that it asks for.
    pub licence: String,
    /// The data that the weights were trained on.
    pub origin: String,
    /// Text encoder, durations and mel decoder (safetensors).
    pub weights: String,
    /// Which of the voices in the weights this is, from 0. Several entries may name one file.
    #[serde(default)]
    pub speaker: u32,
    /// The vocoder (safetensors).
    pub vocoder: String,
    /// The lips trained on this voice's text encoder (safetensors); absent in a voice without a face.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lips: Option<String>,
    /// The face that is shown with this voice when none is asked for; absent: the package's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face: Option<String>,
    /// The model card (Markdown).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Seconds by which the lips show a symbol before the voice says it. Calibrated on real speakers, because the two
    /// corpora were aligned by different tools whose boundaries differ by a constant.
    #[serde(default)]
    pub lip_lead_s: f64,
}

/// One face: its asset and where it comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaceEntry {
    /// The name to ask for.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// Licence of the picture, with the attribution that it asks for.
    pub licence: String,
    /// Where the picture comes from.
    pub origin: String,
    /// Folder of the asset inside the package.
    pub folder: String,
    /// The model card (Markdown).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
}

impl Manifest {
    /// Reads a manifest and checks that it holds together; the error is one line.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        let manifest: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if manifest.schema != SCHEMA {
            return Err(format!("schema {} is not {SCHEMA}: take a package made for this version", manifest.schema));
        }
        if !manifest.voices.iter().any(|voice| voice.name == manifest.default_voice) {
            return Err(format!("default_voice '{}' is not among the voices", manifest.default_voice));
        }
        if let Some(face) = &manifest.default_face
            && !manifest.faces.iter().any(|entry| &entry.name == face)
        {
            return Err(format!("default_face '{face}' is not among the faces"));
        }
        for voice in &manifest.voices {
            let known = |name: &String| manifest.faces.iter().any(|entry| &entry.name == name);
            if let Some(face) = voice.face.as_ref().filter(|name| !known(name)) {
                return Err(format!("face '{face}' of voice '{}' is not among the faces", voice.name));
            }
        }
        let names = || manifest.voices.iter().map(|voice| &*voice.name);
        if let Some((_, name)) = names().enumerate().find(|(i, name)| names().take(*i).any(|other| other == *name)) {
            return Err(format!("two voices are called '{name}'"));
        }
        if let Some(voice) = manifest.voices.iter().find(|voice| !voice.lip_lead_s.is_finite()) {
            return Err(format!("lip_lead_s of voice '{}' is not a number", voice.name));
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"schema": 1, "default_voice": "a", "sha256": {}, "voices": [{"name": "a", "description": "d",
        "licence": "l", "origin": "o", "weights": "w.safetensors", "vocoder": "v.safetensors"}]}"#;

    #[test]
    fn optional_parts_may_be_absent() {
        let manifest = Manifest::parse(SMALL.as_bytes()).unwrap();
        assert_eq!(manifest.voices[0].lip_lead_s, 0.0);
        assert!(manifest.faces.is_empty() && manifest.default_face.is_none());
    }

    #[test]
    fn mistakes_are_named() {
        let error = |from: &str, to: &str| {
            let text = SMALL.replace(from, to);
            assert_ne!(text, SMALL);
            Manifest::parse(text.as_bytes()).unwrap_err()
        };
        assert!(error("\"schema\": 1", "\"schema\": 9").contains("schema 9"));
        assert!(error("\"origin\"", "\"orign\"").contains("orign"));
        assert!(error("\"default_voice\": \"a\"", "\"default_voice\": \"b\"").contains("'b'"));
        let twice = SMALL.replace("}]}", "}, {\"name\": \"a\", \"description\": \"\", \"licence\": \"\", \"origin\": \"\", \"weights\": \"w\", \"vocoder\": \"v\"}]}");
        assert!(Manifest::parse(twice.as_bytes()).unwrap_err().contains("two voices"));
        assert!(error("\"sha256\": {}", "\"sha256\": {}, \"default_face\": \"f\"").contains("'f'"));
        assert!(error("\"origin\"", "\"face\": \"f\", \"origin\"").contains("'f' of voice 'a'"));
    }
}
