//! The sound device: a cpal stream whose data callback pulls from a queue through rodio's rate and channel conversion.

use super::PlaybackError;
use super::clock::{ClockMark, ClockWriter};
use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, FromSample, OutputCallbackInfo, SampleFormat, SizedSample, StreamConfig};
use crossbeam_channel::Receiver;
use rodio::source::UniformSourceIterator;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// PCM travels to the callback in blocks of fixed size and by value, so the real-time thread neither allocates nor frees.
pub(super) const BLOCK: usize = 240;

/// A block of PCM; the last one of an utterance may be filled in part.
pub(super) struct PcmBlock {
    pub(super) pcm: [f32; BLOCK],
    pub(super) filled: usize,
}

/// What the callback tells of itself.
#[derive(Default)]
pub(super) struct SpeakerState {
    /// The device is gone: nobody reads the queue any more.
    pub(super) lost: AtomicBool,
    /// Callbacks that found the queue empty in the middle of speech.
    pub(super) underruns: AtomicU64,
}

/// An open sound device; dropping it closes the stream.
pub(super) struct Speaker {
    stream: cpal::Stream,
}

impl Speaker {
    /// Opens a device and starts to play what comes out of `queue` (mono, `sample_rate`).
    pub(super) fn open(
        name: Option<&str>,
        sample_rate: u32,
        queue: Receiver<PcmBlock>,
        clock: ClockWriter,
        state: Arc<SpeakerState>,
    ) -> Result<Self, PlaybackError> {
        let device = find_device(name)?;
        let supported = device.default_output_config()?;
        let config = StreamConfig {
            channels: supported.channels(),
            sample_rate: supported.sample_rate(),
            // The default of some hosts is seconds long; an assistant that is interrupted must fall silent at once.
            buffer_size: BufferSize::Fixed(1024),
        };
        let source = QueueSource { queue, block: None, at: 0, pulled: Arc::default(), rate: non_zero(sample_rate) };
        let open = |config| match supported.sample_format() {
            SampleFormat::F32 => build::<f32>(&device, config, source, clock, state),
            SampleFormat::I32 => build::<i32>(&device, config, source, clock, state),
            SampleFormat::I16 => build::<i16>(&device, config, source, clock, state),
            SampleFormat::U16 => build::<u16>(&device, config, source, clock, state),
            SampleFormat::U8 => build::<u8>(&device, config, source, clock, state),
            _ => Err(cpal::Error::from(cpal::ErrorKind::UnsupportedConfig).into()),
        };
        let stream = open(config)?;
        stream.play()?;
        Ok(Self { stream })
    }

    pub(super) fn pause(&self) -> Result<(), PlaybackError> {
        Ok(self.stream.pause()?)
    }

    pub(super) fn resume(&self) -> Result<(), PlaybackError> {
        Ok(self.stream.play()?)
    }
}

/// Names of the devices that `--audio-device` takes.
///
/// # Errors
///
/// [`PlaybackError::Device`] where the host cannot list them.
pub fn output_devices() -> Result<Vec<String>, PlaybackError> {
    Ok(cpal::default_host().output_devices()?.map(|device| device.to_string()).collect())
}

fn find_device(name: Option<&str>) -> Result<cpal::Device, PlaybackError> {
    let host = cpal::default_host();
    let found = match name {
        None => host.default_output_device(),
        Some(name) => host.output_devices()?.find(|device| device.to_string() == name),
    };
    found.ok_or_else(|| PlaybackError::NoDevice(name.map(str::to_owned)))
}

fn build<T: SizedSample + FromSample<f32>>(
    device: &cpal::Device,
    config: StreamConfig,
    source: QueueSource,
    clock: ClockWriter,
    state: Arc<SpeakerState>,
) -> Result<cpal::Stream, PlaybackError> {
    let channels = NonZero::new(config.channels).ok_or(cpal::Error::from(cpal::ErrorKind::UnsupportedConfig))?;
    let pulled = Arc::clone(&source.pulled);
    let mut converted = UniformSourceIterator::new(source, channels, non_zero(config.sample_rate));
    let on_error = {
        let state = Arc::clone(&state);
        move |error: cpal::Error| {
            let passing = matches!(
                error.kind(),
                cpal::ErrorKind::Xrun | cpal::ErrorKind::RealtimeDenied | cpal::ErrorKind::DeviceChanged
            );
            if !passing {
                state.lost.store(true, Ordering::Release);
            }
        }
    };
    let on_data = move |buffer: &mut [T], info: &OutputCallbackInfo| {
        let now = Instant::now();
        let start = pulled.load(Ordering::Relaxed);
        for slot in buffer.iter_mut() {
            *slot = T::from_sample(converted.next().unwrap_or(0.0));
        }
        let end = pulled.load(Ordering::Relaxed);
        let timestamp = info.timestamp();
        let latency = timestamp.playback.checked_duration_since(timestamp.callback).unwrap_or_default();
        clock.mark(ClockMark { audible: now + latency, start, end });
        let wanted = buffer.len() / usize::from(channels.get());
        if end > 0 && end - start < (wanted as u64) / 4 {
            state.underruns.fetch_add(1, Ordering::Relaxed);
        }
    };
    Ok(device.build_output_stream(config, on_data, on_error, Some(Duration::from_secs(5)))?)
}

fn non_zero(rate: u32) -> NonZero<u32> {
    NonZero::new(rate).unwrap_or(NonZero::<u32>::MIN)
}

/// The queue as a rodio source: mono, never ending; silence where nothing is queued, which does not count as content.
struct QueueSource {
    queue: Receiver<PcmBlock>,
    block: Option<PcmBlock>,
    at: usize,
    /// PCM samples of content handed out so far; only the data callback's thread touches it, the atomic lets it look inside.
    pulled: Arc<AtomicU64>,
    rate: NonZero<u32>,
}

impl Iterator for QueueSource {
    type Item = f32;

    fn next(&mut self) -> Option<f32> {
        if self.block.as_ref().is_none_or(|block| self.at >= block.filled) {
            self.block = self.queue.try_recv().ok();
            self.at = 0;
        }
        let Some(block) = &self.block else { return Some(0.0) };
        let value = block.pcm[self.at];
        self.at += 1;
        self.pulled.fetch_add(1, Ordering::Relaxed);
        Some(value)
    }
}

impl rodio::Source for QueueSource {
    fn current_span_len(&self) -> Option<usize> {
        None
    }

    fn channels(&self) -> NonZero<u16> {
        NonZero::<u16>::MIN
    }

    fn sample_rate(&self) -> NonZero<u32> {
        self.rate
    }

    fn total_duration(&self) -> Option<Duration> {
        None
    }
}
