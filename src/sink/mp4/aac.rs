//! PCM to AAC-LC (ISO 14496-3) with syom, as the access units that MP4 stores.

use syom::{AacError, EncodeOptions, Encoder};

use crate::sink::SinkError;

/// PCM samples in an access unit. A decoder needs one access unit before the first that it can give back whole, so this is
/// also how late its output is: the priming that the file's edit list takes off again.
pub(super) const ACCESS_UNIT_SAMPLES: u64 = 1024;

/// Transparent for speech at 24 kHz: signal to noise ratio about 31 dB.
const BITRATE_BPS: u32 = 96_000;

/// Encodes mono PCM in pieces of any length.
pub(super) struct AudioEncoder {
    encoder: Encoder,
    clipped: Vec<f32>,
    pcm_samples: u64,
}

impl AudioEncoder {
    /// An encoder for PCM at `sample_rate`.
    pub(super) fn new(sample_rate: u32) -> Result<Self, SinkError> {
        // 6144 bits an access unit and channel are the standard's limit (ISO 14496-3, 4.5.3.1).
        let bitrate = (u64::from(sample_rate) * 6144 / ACCESS_UNIT_SAMPLES).min(u64::from(BITRATE_BPS)) as u32;
        let encoder = Encoder::new(sample_rate, 1, &EncodeOptions::raw().with_bitrate_bps(bitrate))
            .map_err(|_| SinkError::Unsupported(format!("an MP4 file cannot hold sound at {sample_rate} Hz")))?;
        Ok(Self { encoder, clipped: Vec::new(), pcm_samples: 0 })
    }

    /// Encodes the next PCM samples and hands over the access units that they complete.
    pub(super) fn encode(&mut self, pcm: &[f32], mut take: impl FnMut(&[u8])) -> Result<(), SinkError> {
        // The encoder refuses what it cannot hold; what is no number becomes silence.
        let clip = |value: &f32| if value.is_nan() { 0.0 } else { value.clamp(-1.0, 1.0) };
        self.clipped.clear();
        self.clipped.extend(pcm.iter().map(clip));
        self.pcm_samples += pcm.len() as u64;
        let fed = self.encoder.feed(&[&self.clipped], |unit| {
            take(unit.payload);
            Ok(())
        });
        fed.map(|_| ()).map_err(encode_error)
    }

    /// Hands over the last access units, which end in silence up to a whole access unit. There must have been PCM.
    pub(super) fn finish(&mut self, mut take: impl FnMut(&[u8])) -> Result<(), SinkError> {
        let finished = self.encoder.finish(|unit| {
            take(unit.payload);
            Ok(())
        });
        finished.map(|_| ()).map_err(encode_error)
    }

    /// PCM samples given so far.
    pub(super) fn pcm_samples(&self) -> u64 {
        self.pcm_samples
    }

    /// The AudioSpecificConfig of the stream (ISO 14496-3, 1.6.2.1).
    pub(super) fn config(&self) -> &[u8] {
        self.encoder.asc()
    }
}

fn encode_error(error: AacError) -> SinkError {
    SinkError::Encode { what: "the sound", reason: error.to_string() }
}
