//! What models are made of, as TOML in which an unknown key is an error; and the presets.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::duration_predictor::DurationConfig;
use crate::identity_encoder::IdentityConfig;
use crate::image_decoder::ImageConfig;
use crate::mel_decoder::MelDecoderConfig;
use crate::motion_decoder::MotionConfig;
use crate::pitch_decoder::PitchConfig;
use crate::text_encoder::TextEncoderConfig;

/// The presets: (name, TOML text).
const PRESETS: [(&str, &str); 15] = [
    ("voice-light", include_str!("../configs/voice-light.toml")),
    ("voice-paper", include_str!("../configs/voice-paper.toml")),
    ("lips-light", include_str!("../configs/lips-light.toml")),
    ("lips-paper", include_str!("../configs/lips-paper.toml")),
    ("lips-letters", include_str!("../configs/lips-letters.toml")),
    ("aligner-light", include_str!("../configs/aligner-light.toml")),
    ("discriminator-light", include_str!("../configs/discriminator-light.toml")),
    ("discriminator-paper", include_str!("../configs/discriminator-paper.toml")),
    ("landmarks-light", include_str!("../configs/landmarks-light.toml")),
    ("reader-light", include_str!("../configs/reader-light.toml")),
    ("dual-lip-light", include_str!("../configs/dual-lip-light.toml")),
    ("dual-lip-tacotron", include_str!("../configs/dual-lip-tacotron.toml")),
    ("dual-lip-paper", include_str!("../configs/dual-lip-paper.toml")),
    ("transformer-t2l-light", include_str!("../configs/transformer-t2l-light.toml")),
    ("transformer-t2l-paper", include_str!("../configs/transformer-t2l-paper.toml")),
];

/// The nets of a voice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoiceConfig {
    /// How many voices the model speaks with.
    pub n_voices: usize,
    /// Symbols to states.
    pub encoder: TextEncoderConfig,
    /// States to durations.
    pub duration: DurationConfig,
    /// States to F0 and voicing on the mel grid.
    pub pitch: PitchConfig,
    /// States on the mel grid to mel.
    pub mel: MelDecoderConfig,
}

/// The nets of the lips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LipsConfig {
    /// Positions a second of the motion grid.
    pub motion_hz: f64,
    /// Whether the model keeps two maps that the published one holds but never uses, so that parameter counts agree.
    #[serde(default)]
    pub published_leftovers: bool,
    /// The lips' own text encoder, as published; absent where they read the states of the voice's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<TextEncoderConfig>,
    /// The lips' own durations, as published (there in video frames, here in mel frames as the voice's are); absent where
    /// they follow the voice's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<DurationConfig>,
    /// Whether that encoder reads letters, as published for GRID, and no symbols: for evaluation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub letters: bool,
    /// An image of a person to an identity.
    pub identity: IdentityConfig,
    /// States on the motion grid to motion vectors.
    pub motion: MotionConfig,
    /// Motion vectors to images.
    pub image: ImageConfig,
}

/// Why a configuration could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no preset of this name.
    #[error("no preset {name:?}: choose one of {}", names().collect::<Vec<_>>().join(", "))]
    NoPreset {
        /// The name asked for.
        name: String,
    },
    /// The text is not TOML, has an unknown key, lacks one or gives one a wrong type.
    #[error("wrong configuration: {}", .0.to_string().trim_end())]
    Toml(#[from] toml::de::Error),
    /// The configuration could not be written as TOML.
    #[error("cannot write the configuration: {0}")]
    Write(#[from] toml::ser::Error),
}

/// The names of all presets.
pub fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|(name, _)| *name)
}

/// The TOML text of a preset.
///
/// # Errors
/// [`ConfigError::NoPreset`] lists the presets there are.
pub fn preset_text(name: &str) -> Result<&'static str, ConfigError> {
    let found = PRESETS.iter().find(|(known, _)| *known == name);
    found.map(|(_, text)| *text).ok_or_else(|| ConfigError::NoPreset { name: name.to_owned() })
}

/// A preset, read.
///
/// ```
/// use paravox_models::config::{VoiceConfig, preset};
///
/// let config: VoiceConfig = preset("voice-light")?;
/// assert_eq!(config.encoder.width, 192);
/// # Ok::<_, paravox_models::config::ConfigError>(())
/// ```
///
/// # Errors
/// [`ConfigError::NoPreset`], or [`ConfigError::Toml`] where the preset is of another kind of model.
pub fn preset<C: DeserializeOwned>(name: &str) -> Result<C, ConfigError> {
    from_toml(preset_text(name)?)
}

/// A configuration from TOML text.
///
/// # Errors
/// [`ConfigError::Toml`] says where the text is wrong.
pub fn from_toml<C: DeserializeOwned>(text: &str) -> Result<C, ConfigError> {
    Ok(toml::from_str(text)?)
}

/// A configuration as TOML text.
///
/// # Errors
/// [`ConfigError::Write`] where a value has no form in TOML.
pub fn to_toml<C: Serialize>(config: &C) -> Result<String, ConfigError> {
    Ok(toml::to_string(config)?)
}
