//! The sound of a file, decoded, and where it is loud.

use symphonia::core::codecs::audio::well_known::CODEC_ID_AAC;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoderOptions};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

use super::demux::Track;
use crate::cue::{Cue, CueKind};

/// Seconds of each value of a loudness curve.
pub(super) const STEP_S: f64 = 0.005;

/// Silence of speech: what is this far below the loudest counts as no louder.
const RANGE_DB: f64 = 40.0;

/// Decodes the sound as a player does: what comes before the edit list, the priming of the codec, is left out. PCM of the
/// first channel from second 0 of the movie on, and its rate.
pub(super) fn decode(file: &[u8], track: &Track) -> Result<(Vec<f32>, u32), String> {
    let config = audio_specific_config(&track.entry).ok_or("the sound has no configuration")?;
    let mut parameters = AudioCodecParameters::new();
    parameters.for_codec(CODEC_ID_AAC).with_sample_rate(track.timescale).with_extra_data(config.into());
    let codecs = symphonia::default::get_codecs();
    let decoder = codecs.make_audio_decoder(&parameters, &AudioDecoderOptions::default().gapless(false));
    let mut decoder = decoder.map_err(|error| format!("the sound cannot be decoded: {error}"))?;
    let (mut pcm, mut interleaved, mut sample_rate) = (Vec::new(), Vec::new(), track.timescale);
    for mp4_sample in &track.mp4_samples {
        let bytes = track.bytes(file, mp4_sample);
        let packet = Packet::new(track.id, Timestamp::new(mp4_sample.start as i64), Duration::new(1024), bytes);
        let buffer = decoder.decode(&packet).map_err(|error| {
            let at = track.start_s(mp4_sample);
            format!("the sound cannot be decoded at {at:.3} s: {error}")
        })?;
        let channels = buffer.num_planes().max(1);
        sample_rate = buffer.spec().rate();
        buffer.copy_to_vec_interleaved::<f32>(&mut interleaved);
        pcm.extend(interleaved.chunks_exact(channels).map(|audio_frame| audio_frame[0]));
    }
    let in_pcm = |seconds: f64| (seconds * f64::from(sample_rate)).round().max(0.0) as usize;
    let first = in_pcm(track.first_tick as f64 / f64::from(track.timescale)).min(pcm.len());
    pcm.drain(..first);
    // An empty edit delays the sound; no file of use has more than a minute of it.
    pcm.splice(0..0, std::iter::repeat_n(0.0, in_pcm(track.delay_s.min(60.0))));
    pcm.truncate(in_pcm(track.end_s()));
    Ok((pcm, sample_rate))
}

/// The AudioSpecificConfig in an `mp4a` entry: descriptor 5 inside of `esds` (ISO 14496-1, 7.2.6).
fn audio_specific_config(entry: &[u8]) -> Option<Vec<u8>> {
    let at = entry.windows(4).position(|name| name == b"esds")?;
    let mut bytes = entry.get(at + 8..)?;
    loop {
        let (&tag, rest) = bytes.split_first()?;
        let more = rest.iter().take(3).take_while(|&&byte| byte & 0x80 != 0).count();
        let length = rest.get(..=more)?.iter().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        let body = rest.get(more + 1..)?;
        bytes = match tag {
            3 => body.get(3..)?,
            4 => body.get(13..)?,
            5 => return body.get(..length).map(<[u8]>::to_vec),
            _ => body.get(length..)?,
        };
    }
}

/// Loudness in dB below the loudest, each [`STEP_S`], no lower than [`RANGE_DB`].
pub(super) fn loudness(pcm: &[f32], sample_rate: u32) -> Vec<f64> {
    let step = ((STEP_S * f64::from(sample_rate)) as usize).max(1);
    let power = |block: &[f32]| block.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / block.len() as f64;
    let decibels: Vec<f64> = pcm.chunks(step).map(|block| 10.0 * (power(block) + 1e-12).log10()).collect();
    let loudest = decibels.iter().copied().fold(f64::MIN, f64::max);
    decibels.into_iter().map(|value| (value - loudest).max(-RANGE_DB)).collect()
}

/// 1 where something is said and 0 in pauses, each [`STEP_S`].
pub(super) fn said(cues: &[Cue], cue_rate: u32, total_s: f64) -> Vec<f64> {
    let mut said = vec![0.0; (total_s / STEP_S).ceil() as usize];
    for cue in cues.iter().filter(|cue| cue.kind == CueKind::Phoneme) {
        let step = |sample: u64| (sample as f64 / f64::from(cue_rate) / STEP_S).round() as usize;
        let (start, end) = (step(cue.start_sample).min(said.len()), step(cue.end_sample).min(said.len()));
        said[start.min(end)..end].fill(1.0);
    }
    said
}

/// Mean loudness while something is said, minus that in pauses of some length (their ends excepted), in dB.
pub(super) fn contrast_db(loudness: &[f64], said: &[f64]) -> Option<f64> {
    const MARGIN: usize = 8;
    let inside = |at: usize, value: f64| {
        let near = said.get(at.checked_sub(MARGIN)?..at + MARGIN)?;
        near.iter().all(|&said| said == value).then_some(())
    };
    let mean = |value: f64| {
        let values: Vec<f64> =
            (0..loudness.len()).filter(|&at| inside(at, value).is_some()).map(|at| loudness[at]).collect();
        (values.len() >= MARGIN).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    Some(mean(1.0)? - mean(0.0)?)
}
