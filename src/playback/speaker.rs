//! The sound device: a cpal stream whose data callback pulls from a queue through rodio's rate and channel conversion.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{BufferSize, FromSample, OutputCallbackInfo, SampleFormat, SizedSample, StreamConfig};
use crossbeam_channel::{Receiver, Sender, bounded};
use rodio::source::UniformSourceIterator;

use super::PlaybackError;
use super::clock::{ClockMark, ClockWriter};
use super::queue::QueueSource;

/// Audio frames that the device asks for at once. The default of some hosts is seconds long; an assistant that is
/// interrupted must fall silent at once.
const BUFFER: u32 = 512;

/// An open sound device; dropping it closes the stream.
pub(super) struct Speaker {
    _stream: cpal::Stream,
    lost: Receiver<String>,
}

impl Speaker {
    /// Opens a device and starts to play what comes out of `source`.
    pub(super) fn open(
        name: Option<&str>,
        source: QueueSource,
        clock: Arc<ClockWriter>,
    ) -> Result<Self, PlaybackError> {
        let device = find_device(name)?;
        let supported = device.default_output_config()?;
        let config = StreamConfig {
            channels: supported.channels(),
            sample_rate: supported.sample_rate(),
            buffer_size: BufferSize::Fixed(BUFFER),
        };
        let (losing, lost) = bounded(1);
        let stream = match supported.sample_format() {
            SampleFormat::F32 => build::<f32>(&device, config, source, clock, losing),
            SampleFormat::I32 => build::<i32>(&device, config, source, clock, losing),
            SampleFormat::I16 => build::<i16>(&device, config, source, clock, losing),
            SampleFormat::U16 => build::<u16>(&device, config, source, clock, losing),
            SampleFormat::U8 => build::<u8>(&device, config, source, clock, losing),
            _ => Err(cpal::Error::from(cpal::ErrorKind::UnsupportedConfig).into()),
        }?;
        stream.play()?;
        Ok(Self { _stream: stream, lost })
    }

    /// Why the device is gone, once it is.
    pub(super) fn lost(&self) -> Option<String> {
        self.lost.try_recv().ok()
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
    clock: Arc<ClockWriter>,
    losing: Sender<String>,
) -> Result<cpal::Stream, PlaybackError> {
    let channels = NonZero::new(config.channels).ok_or(cpal::Error::from(cpal::ErrorKind::UnsupportedConfig))?;
    let rate = NonZero::new(config.sample_rate).ok_or(cpal::Error::from(cpal::ErrorKind::UnsupportedConfig))?;
    let control = source.control.clone();
    let mut converted = UniformSourceIterator::new(source, channels, rate);
    let on_error = move |error: cpal::Error| {
        let is_passing = matches!(
            error.kind(),
            cpal::ErrorKind::Xrun | cpal::ErrorKind::RealtimeDenied | cpal::ErrorKind::DeviceChanged
        );
        if !is_passing {
            // One report is enough.
            let _ = losing.try_send(error.to_string());
        }
    };
    let on_data = move |buffer: &mut [T], info: &OutputCallbackInfo| {
        let now = Instant::now();
        let start = control.handed_out.load(Ordering::Acquire);
        for slot in buffer.iter_mut() {
            *slot = T::from_sample(converted.next().unwrap_or(0.0));
        }
        let end = control.handed_out.load(Ordering::Acquire);
        let timestamp = info.timestamp();
        let latency = timestamp.playback.checked_duration_since(timestamp.callback).unwrap_or_default();
        clock.mark(ClockMark { audible: now + latency, start, end });
        control.end_call();
    };
    Ok(device.build_output_stream(config, on_data, on_error, Some(Duration::from_secs(5)))?)
}
