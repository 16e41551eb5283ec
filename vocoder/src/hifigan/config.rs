//! Sizes of HiFi-GAN's generator, in the words of its published JSON.

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::error::{Result, VocoderError};
use crate::mel::MelConfig;

/// The two kinds of residual block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ResBlockKind {
    /// A dilated and a plain convolution in each step (V1, V2).
    #[serde(rename = "1")]
    One,
    /// A dilated convolution in each step (V3).
    #[serde(rename = "2")]
    Two,
}

/// Sizes of the generator.
///
/// Deserialises from the published `config_v1.json` and its like: what concerns their training is accepted and dropped,
/// any other unknown field is an error.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "PublishedJson")]
pub struct HifiGanConfig {
    /// The mel spectrogram that it reads.
    pub mel: MelConfig,
    /// Kind of all residual blocks.
    pub resblock: ResBlockKind,
    /// Strides of the transposed convolutions; their product is the hop length.
    pub upsample_rates: Vec<usize>,
    /// Their taps.
    pub upsample_kernel_sizes: Vec<usize>,
    /// Channels before the first of them; each halves the number.
    pub upsample_initial_channel: usize,
    /// Taps of the parallel residual blocks.
    pub resblock_kernel_sizes: Vec<usize>,
    /// Dilations of the steps of each.
    pub resblock_dilation_sizes: Vec<Vec<usize>>,
}

impl HifiGanConfig {
    /// V1: the best and largest, 13.9 M parameters.
    pub fn v1() -> Self {
        Self {
            // librosa's default mel scale; the published code adds 1e-9 to the power, which no speech shows.
            mel: MelConfig {
                sample_rate: 22_050,
                n_fft: 1024,
                hop_length: 256,
                f_max_hz: 8000.0,
                ..MelConfig::default()
            },
            resblock: ResBlockKind::One,
            upsample_rates: vec![8, 8, 2, 2],
            upsample_kernel_sizes: vec![16, 16, 4, 4],
            upsample_initial_channel: 512,
            resblock_kernel_sizes: vec![3, 7, 11],
            resblock_dilation_sizes: vec![vec![1, 3, 5]; 3],
        }
    }

    /// V2: V1 with a quarter of the channels, 0.9 M parameters.
    pub fn v2() -> Self {
        Self { upsample_initial_channel: 128, ..Self::v1() }
    }

    /// V3: few layers, for speed, 1.5 M parameters.
    pub fn v3() -> Self {
        Self {
            resblock: ResBlockKind::Two,
            upsample_rates: vec![8, 8, 4],
            upsample_kernel_sizes: vec![16, 16, 8],
            upsample_initial_channel: 256,
            resblock_kernel_sizes: vec![3, 5, 7],
            resblock_dilation_sizes: vec![vec![1, 2], vec![2, 6], vec![3, 12]],
            ..Self::v1()
        }
    }

    /// Reads the published JSON.
    ///
    /// # Errors
    /// [`VocoderError::Config`] naming the unknown, missing or impossible field.
    pub fn from_json(json: &str) -> Result<Self> {
        serde_json::from_str(json).map_err(|error| VocoderError::config(error.to_string()))
    }

    /// Channels after the given upsampling.
    pub(crate) fn channels(&self, stage: usize) -> usize {
        self.upsample_initial_channel >> (stage + 1)
    }

    /// Mel frames on each side that the pcm samples of a mel frame depend on.
    pub fn context(&self) -> usize {
        let block = |(kernel, dilations): (&usize, &Vec<usize>)| -> usize {
            let step = |dilation: &usize| match self.resblock {
                ResBlockKind::One => (kernel - 1) / 2 * (dilation + 1),
                ResBlockKind::Two => (kernel - 1) / 2 * dilation,
            };
            dilations.iter().map(step).sum()
        };
        let blocks = self.resblock_kernel_sizes.iter().zip(&self.resblock_dilation_sizes).map(block).max().unwrap_or(0);
        let ups = self.upsample_rates.iter().zip(&self.upsample_kernel_sizes).rev();
        // Backwards from the last convolution. Output n of a transposed convolution hears the inputs t with
        // 0 <= n + padding - t rate < kernel.
        3 + ups.fold(3, |radius, (rate, kernel)| (radius + blocks + kernel - 1 - (kernel - rate) / 2) / rate)
    }

    /// Says whether the sizes make sense.
    ///
    /// # Errors
    /// [`VocoderError::Config`] naming the fault.
    pub fn check(&self) -> Result<()> {
        self.mel.check()?;
        let ups = || self.upsample_rates.iter().zip(&self.upsample_kernel_sizes);
        let hop_length = self.upsample_rates.iter().try_fold(1usize, |product, rate| product.checked_mul(*rate));
        let fault = if self.upsample_rates.is_empty() || self.upsample_rates.len() != self.upsample_kernel_sizes.len() {
            "upsample_rates and upsample_kernel_sizes must have the same length, at least 1"
        } else if ups().any(|(rate, kernel)| *rate == 0 || kernel < rate || !(kernel - rate).is_multiple_of(2)) {
            "every upsample kernel size must be its rate plus an even number"
        } else if hop_length != Some(self.mel.hop_length) {
            "the product of upsample_rates must be hop_size"
        } else if self.upsample_rates.len() > 16 || self.channels(self.upsample_rates.len() - 1) == 0 {
            "upsample_initial_channel is too small to be halved by every upsampling"
        } else if self.resblock_kernel_sizes.is_empty()
            || self.resblock_kernel_sizes.len() != self.resblock_dilation_sizes.len()
        {
            "resblock_kernel_sizes and resblock_dilation_sizes must have the same length, at least 1"
        } else if self.resblock_kernel_sizes.iter().any(|kernel| kernel.is_multiple_of(2)) {
            "resblock_kernel_sizes must be odd"
        } else if self.resblock_dilation_sizes.iter().flatten().any(|dilation| *dilation == 0) {
            "resblock_dilation_sizes must be at least 1"
        } else {
            return Ok(());
        };
        Err(VocoderError::config(fault))
    }
}

/// The published file, all of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "fields that only training reads are listed so that misspelt ones are found")]
struct PublishedJson {
    resblock: ResBlockKind,
    upsample_rates: Vec<usize>,
    upsample_kernel_sizes: Vec<usize>,
    upsample_initial_channel: usize,
    resblock_kernel_sizes: Vec<usize>,
    resblock_dilation_sizes: Vec<Vec<usize>>,
    num_mels: usize,
    n_fft: usize,
    hop_size: usize,
    win_size: usize,
    sampling_rate: u32,
    fmin: f64,
    fmax: Option<f64>,
    num_gpus: Option<IgnoredAny>,
    batch_size: Option<IgnoredAny>,
    learning_rate: Option<IgnoredAny>,
    adam_b1: Option<IgnoredAny>,
    adam_b2: Option<IgnoredAny>,
    lr_decay: Option<IgnoredAny>,
    seed: Option<IgnoredAny>,
    segment_size: Option<IgnoredAny>,
    num_freq: Option<IgnoredAny>,
    fmax_for_loss: Option<IgnoredAny>,
    num_workers: Option<IgnoredAny>,
    dist_config: Option<IgnoredAny>,
}

impl TryFrom<PublishedJson> for HifiGanConfig {
    type Error = VocoderError;

    fn try_from(json: PublishedJson) -> Result<Self> {
        if json.win_size != json.n_fft {
            return Err(VocoderError::config("win_size must equal n_fft"));
        }
        let config = Self {
            mel: MelConfig {
                sample_rate: json.sampling_rate,
                n_fft: json.n_fft,
                hop_length: json.hop_size,
                n_mels: json.num_mels,
                f_min_hz: json.fmin,
                // librosa: none means half the sample rate.
                f_max_hz: json.fmax.unwrap_or(f64::from(json.sampling_rate) / 2.0),
                ..MelConfig::default()
            },
            resblock: json.resblock,
            upsample_rates: json.upsample_rates,
            upsample_kernel_sizes: json.upsample_kernel_sizes,
            upsample_initial_channel: json.upsample_initial_channel,
            resblock_kernel_sizes: json.resblock_kernel_sizes,
            resblock_dilation_sizes: json.resblock_dilation_sizes,
        };
        config.check()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of the published config_v3.json.
    const V3: &str = r#"{
        "resblock": "2", "num_gpus": 0, "batch_size": 16, "learning_rate": 0.0002, "adam_b1": 0.8, "adam_b2": 0.99,
        "lr_decay": 0.999, "seed": 1234, "upsample_rates": [8,8,4], "upsample_kernel_sizes": [16,16,8],
        "upsample_initial_channel": 256, "resblock_kernel_sizes": [3,5,7],
        "resblock_dilation_sizes": [[1,2], [2,6], [3,12]], "segment_size": 8192, "num_mels": 80, "num_freq": 1025,
        "n_fft": 1024, "hop_size": 256, "win_size": 1024, "sampling_rate": 22050, "fmin": 0, "fmax": 8000,
        "fmax_for_loss": null, "num_workers": 4,
        "dist_config": {"dist_backend": "nccl", "dist_url": "tcp://localhost:54321", "world_size": 1}
    }"#;

    #[test]
    fn reads_the_published_json_and_nothing_else() {
        assert_eq!(HifiGanConfig::from_json(V3).expect("published"), HifiGanConfig::v3());
        for (from, to) in [
            ("\"num_mels\"", "\"n_mel\""),
            ("\"seed\": 1234", "\"sede\": 1234"),
            ("\"resblock\": \"2\"", "\"resblock\": \"3\""),
            ("[8,8,4]", "[8,8,2]"),
            ("[16,16,8]", "[16,16,7]"),
            ("[16,16,8]", "[16,16]"),
            ("[3,5,7]", "[3,5,8]"),
            ("\"win_size\": 1024", "\"win_size\": 800"),
            ("\"upsample_initial_channel\": 256", "\"upsample_initial_channel\": 7"),
        ] {
            let json = V3.replacen(from, to, 1);
            assert_ne!(json, V3);
            assert!(matches!(HifiGanConfig::from_json(&json), Err(VocoderError::Config(_))), "{to}");
        }
    }

    #[test]
    fn presets_make_sense() {
        for config in [HifiGanConfig::v1(), HifiGanConfig::v2(), HifiGanConfig::v3()] {
            assert!(config.check().is_ok());
        }
        assert_eq!(HifiGanConfig::v1().context(), 13);
    }
}
