//! Recordings from files: FLAC or WAV of any rate and number of channels, as mono PCM.

use std::fs::File;
use std::path::Path;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};
use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use super::{DataError, Result};

/// Mono PCM samples in -1..1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recording {
    pub(super) sample_rate: u32,
    pub(super) pcm: Vec<f32>,
}

/// Decodes a FLAC or WAV file and mixes its channels.
pub(super) fn read(path: &Path) -> Result<Recording> {
    let file = File::open(path).map_err(DataError::io(path))?;
    decode(file, path).map_err(|e| match e {
        SymphoniaError::IoError(source) => DataError::Io { path: path.to_path_buf(), source },
        e => DataError::Corpus { why: format!("no readable WAV or FLAC: {e}"), path: path.to_path_buf() },
    })
}

fn decode(file: File, path: &Path) -> std::result::Result<Recording, SymphoniaError> {
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|e| e.to_str()) {
        hint.with_extension(extension);
    }
    let probe = symphonia::default::get_probe();
    let mut format = probe.probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())?;
    let track = format.default_track(TrackType::Audio).ok_or(SymphoniaError::Unsupported("no sound in it"))?;
    let track_id = track.id;
    let parameters = track.codec_params.as_ref().and_then(|parameters| parameters.audio());
    let parameters = parameters.ok_or(SymphoniaError::Unsupported("unknown coding"))?;
    let mut decoder =
        symphonia::default::get_codecs().make_audio_decoder(parameters, &AudioDecoderOptions::default())?;
    let mut recording = Recording { sample_rate: 0, pcm: Vec::new() };
    let mut interleaved: Vec<f32> = Vec::new();
    while let Some(packet) = format.next_packet()? {
        if packet.track_id != track_id {
            continue;
        }
        let buffer = decoder.decode(&packet)?;
        let channels = buffer.num_planes().max(1);
        recording.sample_rate = buffer.spec().rate();
        buffer.copy_to_vec_interleaved(&mut interleaved);
        let mix = |audio_frame: &[f32]| audio_frame.iter().sum::<f32>() / channels as f32;
        recording.pcm.extend(interleaved.chunks_exact(channels).map(mix));
    }
    if recording.pcm.is_empty() {
        return Err(SymphoniaError::DecodeError("it holds no sound"));
    }
    Ok(recording)
}

impl Recording {
    /// The recording at another rate: band-limited resampling in the Fourier domain, its delay taken out, so that PCM
    /// sample k shows time k / sample_rate as before.
    pub(super) fn resampled(self, sample_rate: u32) -> Recording {
        if self.sample_rate == sample_rate {
            return self;
        }
        let length = self.pcm.len();
        let expected = (length as u64 * u64::from(sample_rate)).div_ceil(u64::from(self.sample_rate)) as usize;
        let (from, to) = (self.sample_rate as usize, sample_rate as usize);
        // Sub-chunks of about 1000 PCM samples: a steep anti-aliasing filter, which matters more here than its delay.
        let mut resampler =
            Fft::<f32>::new_custom(from, to, 4096, 4, 1, rubato::WindowFunction::BlackmanHarris2, FixedSync::Both)
                .expect("rates of decoded recordings are not 0");
        let input = InterleavedSlice::new(&self.pcm, 1, length).expect("one channel of this length");
        let mut pcm = resampler.process_all(&input, length, None).expect("one channel in, one out").take_data();
        pcm.resize(expected, 0.0);
        Recording { sample_rate, pcm }
    }
}

/// PCM samples as 16-bit integers: the inverse of how 16-bit files are decoded.
pub(super) fn to_i16(pcm: &[f32]) -> Vec<i16> {
    pcm.iter().map(|v| (v * 32768.0).round().clamp(-32768.0, 32767.0) as i16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_wav(path: &Path, sample_rate: u32, channels: u16, values: impl Iterator<Item = i16>) {
        let spec =
            hound::WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
        let mut writer = hound::WavWriter::create(path, spec).unwrap();
        values.for_each(|value| writer.write_sample(value).unwrap());
        writer.finalize().unwrap();
    }

    #[test]
    fn sixteen_bit_files_come_back_bit_for_bit_and_channels_are_mixed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let values: Vec<i16> = (0..5000).map(|k: i32| (k * 977 % 65536 - 32768) as i16).collect();
        write_wav(&path, 22_050, 1, values.iter().copied());
        let recording = read(&path).unwrap();
        assert_eq!((recording.sample_rate, to_i16(&recording.pcm)), (22_050, values));
        write_wav(&path, 8000, 2, [100, 300, -2000, 1000].into_iter());
        assert_eq!(to_i16(&read(&path).unwrap().pcm), [200, -500]);
    }

    #[test]
    fn what_is_no_recording_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a.wav", &b""[..]), ("b.flac", b"fLaC"), ("c.wav", b"RIFF\x10\0\0\0WAVEjunk")] {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = read(&path).err().unwrap_or_else(|| panic!("{name} was accepted"));
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
        assert!(matches!(read(&dir.path().join("none.wav")), Err(DataError::Io { .. })));
    }

    /// A tone that both rates can hold must be the same tone at the same time; one above the new half rate must go.
    #[test]
    fn resampling_keeps_time_and_removes_what_the_new_rate_cannot_hold() {
        let tone = |rate: u32, hz: f64, n: usize| -> Vec<f32> {
            (0..n).map(|k| (std::f64::consts::TAU * hz * k as f64 / f64::from(rate)).sin() as f32).collect()
        };
        for from in [16_000, 22_050, 44_100, 48_000] {
            let n = from as usize * 2;
            let recording = Recording { sample_rate: from, pcm: tone(from, 1000.0, n) }.resampled(24_000);
            assert_eq!(recording.pcm.len(), 48_000);
            let wanted = tone(24_000, 1000.0, 48_000);
            let error = (2000..46_000).map(|k| (recording.pcm[k] - wanted[k]).abs()).fold(0.0, f32::max);
            assert!(error < 2e-3, "from {from} Hz: {error}");
        }
        let high = Recording { sample_rate: 48_000, pcm: tone(48_000, 14_000.0, 96_000) }.resampled(24_000);
        let left = high.pcm[2000..46_000].iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(left < 1e-3, "{left}");
    }
}
