//! The sound device: a cpal stream whose data callback pulls from a queue through rodio's rate and channel conversion.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cpal::traits::{DeviceTrait, HostTrait, StreamTrait};
use cpal::{
    BufferSize, FromSample, HostId, OutputCallbackInfo, SampleFormat, SizedSample, StreamConfig, SupportedStreamConfig,
};
use crossbeam_channel::{Receiver, Sender, bounded};
use rodio::source::UniformSourceIterator;

use super::PlaybackError;
use super::clock::{ClockMark, ClockWriter, Supply};
use super::queue::QueueSource;
use crate::timeline::SAMPLE_RATE;

/// The part of a second that the device asks for at once. The default of some hosts is seconds long; an assistant that is
/// interrupted must fall silent at once.
const BUFFERS_PER_SECOND: u32 = 100;

/// An open sound device; dropping it closes the stream.
pub(super) struct Speaker {
    _stream: cpal::Stream,
    host: HostId,
    lost: Receiver<String>,
}

impl Speaker {
    /// Opens a device and starts to play what comes out of `source`. A device that is opened again is looked for where it
    /// was found.
    pub(super) fn open(
        name: Option<&str>,
        host: Option<HostId>,
        source: QueueSource,
        clock: Arc<ClockWriter>,
    ) -> Result<Self, PlaybackError> {
        quieten();
        let host = match host {
            Some(id) => cpal::host_from_id(id)?,
            None => cpal::default_host(),
        };
        let device = find_device(&host, name)?;
        let supported = best_config(&device)?;
        let config = StreamConfig {
            channels: supported.channels(),
            sample_rate: supported.sample_rate(),
            // A power of two suits all devices.
            buffer_size: BufferSize::Fixed((supported.sample_rate() / BUFFERS_PER_SECOND).next_power_of_two()),
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
        Ok(Self { _stream: stream, host: host.id(), lost })
    }

    /// Where the device was found.
    pub(super) fn host(&self) -> HostId {
        self.host
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
    quieten();
    Ok(cpal::default_host().output_devices()?.map(|device| device.to_string()).collect())
}

fn find_device(host: &cpal::Host, name: Option<&str>) -> Result<cpal::Device, PlaybackError> {
    let found = match name {
        None => host.default_output_device(),
        Some(name) => host.output_devices()?.find(|device| device.to_string() == name),
    };
    found.ok_or_else(|| PlaybackError::NoDevice(name.map(str::to_owned)))
}

/// The device's own configuration, but at the rate of the speech where it takes that: sound servers convert rates better
/// than rodio, which draws straight lines between PCM samples.
fn best_config(device: &cpal::Device) -> Result<SupportedStreamConfig, PlaybackError> {
    let default = device.default_output_config()?;
    let fits = |range: &cpal::SupportedStreamConfigRange| {
        range.channels() == default.channels() && range.sample_format() == default.sample_format()
    };
    let at_own_rate =
        device.supported_output_configs()?.filter(fits).find_map(|range| range.try_with_sample_rate(SAMPLE_RATE));
    Ok(at_own_rate.unwrap_or(default))
}

/// From now on alsa-lib says nothing on stderr of what this thread does: its errors are returned and told once.
fn quieten() {
    #[cfg(target_os = "linux")]
    let _ = alsa::Output::local_error_handler();
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
    let mut supply = Supply::default();
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
        let mark = ClockMark { audible: now + latency, start, end };
        let length = f64::from(buffer.len() as u32) / f64::from(config.sample_rate) / f64::from(config.channels);
        control.end_call(supply.ran_dry(&mark, Duration::from_secs_f64(length)));
        clock.mark(mark);
    };
    Ok(device.build_output_stream(config, on_data, on_error, Some(Duration::from_secs(5)))?)
}
