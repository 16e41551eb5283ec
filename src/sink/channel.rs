//! A sink that hands everything to another thread of the same program, as it comes.

use crossbeam_channel::{Receiver, Sender};

use super::{Picture, Sink, SinkError, StreamInfo};
use crate::cue::Cue;

/// What a [`ChannelSink`] was given, in the same order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The stream begins.
    Begin(StreamInfo),
    /// The next PCM samples.
    Pcm {
        /// Number of the first one in the stream.
        start_sample: u64,
        /// Mono, full scale at -1 and 1.
        pcm: Vec<f32>,
    },
    /// The next video frame.
    Picture {
        /// Its number in the stream, from 0.
        video_frame: u64,
        /// The moment that it shows, in seconds of the stream.
        time_s: f64,
        /// What is seen.
        picture: Picture,
    },
    /// A cue.
    Cue(Cue),
    /// The stream is complete. A channel that closes without this was cut off by an error.
    Finish,
}

/// Sends owned events through a bounded channel: a receiver that falls behind slows the engine down, not up.
#[derive(Debug)]
pub struct ChannelSink {
    sender: Sender<Event>,
    /// Closes when nobody waits for events any more.
    stopped: Receiver<()>,
    info: Option<StreamInfo>,
    pcm_samples: u64,
    video_frames: u64,
}

impl ChannelSink {
    /// A sink, and the receiver of its events. `capacity` events wait at most; 0 hands over one by one.
    pub fn new(capacity: usize) -> (Self, Receiver<Event>) {
        Self::until(capacity, crossbeam_channel::never())
    }

    /// As [`ChannelSink::new`]; when the channel of `stopped` closes, the sink waits no longer and refuses everything.
    pub fn until(capacity: usize, stopped: Receiver<()>) -> (Self, Receiver<Event>) {
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        (Self { sender, stopped, info: None, pcm_samples: 0, video_frames: 0 }, receiver)
    }

    fn send(&self, event: Event) -> Result<(), SinkError> {
        crossbeam_channel::select_biased! {
            recv(self.stopped) -> _ => Err(SinkError::Closed),
            send(self.sender, event) -> sent => sent.map_err(|_| SinkError::Closed),
        }
    }

    fn info(&self) -> Result<StreamInfo, SinkError> {
        self.info.ok_or_else(SinkError::not_begun)
    }
}

impl Sink for ChannelSink {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        if self.info.replace(*info).is_some() {
            return Err(SinkError::begun_twice());
        }
        self.send(Event::Begin(*info))
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.info()?;
        let start_sample = self.pcm_samples;
        self.pcm_samples += pcm.len() as u64;
        self.send(Event::Pcm { start_sample, pcm: pcm.to_vec() })
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        let Some(video) = self.info()?.video else {
            return Err(SinkError::Misuse("a picture in a stream without video".into()));
        };
        let video_frame = self.video_frames;
        self.video_frames += 1;
        let time_s = video.fps.video_frame_time(video_frame);
        self.send(Event::Picture { video_frame, time_s, picture: picture.clone() })
    }

    fn cue(&mut self, cue: &Cue) -> Result<(), SinkError> {
        self.info()?;
        self.send(Event::Cue(cue.clone()))
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.info()?;
        self.send(Event::Finish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cue::CueKind;
    use crate::sink::VideoInfo;
    use crate::timeline::Fps;

    const VIDEO: VideoInfo = VideoInfo { width: 1, height: 1, fps: Fps::FPS_25 };
    const INFO: StreamInfo = StreamInfo { sample_rate: 24_000, video: Some(VIDEO) };

    #[test]
    fn events_arrive_in_order_and_the_channel_closes() {
        let (sink, receiver) = ChannelSink::new(1);
        let picture = Picture { width: 1, height: 1, rgb: vec![1, 2, 3] };
        let kind = CueKind::Word;
        let cue = Cue { kind, start_sample: 0, end_sample: 2, text: "a".into(), source: None, chars: None };
        let sent = (picture.clone(), cue.clone());
        let sender = std::thread::spawn(move || {
            let mut sink = Box::new(sink);
            sink.begin(&INFO)?;
            sink.pcm(&[0.5, 0.25])?;
            sink.picture(&sent.0)?;
            sink.cue(&sent.1)?;
            sink.pcm(&[0.125])?;
            sink.picture(&sent.0)?;
            sink.finish()
        });
        let events: Vec<Event> = receiver.iter().collect();
        sender.join().unwrap().unwrap();
        let pcm = |start_sample, pcm: &[f32]| Event::Pcm { start_sample, pcm: pcm.to_vec() };
        let shown = |video_frame, time_s| Event::Picture { video_frame, time_s, picture: picture.clone() };
        let first = [Event::Begin(INFO), pcm(0, &[0.5, 0.25]), shown(0, 0.02), Event::Cue(cue)];
        let expected = [&first[..], &[pcm(2, &[0.125]), shown(1, 0.06), Event::Finish]].concat();
        assert_eq!(events, expected);
    }

    #[test]
    fn a_receiver_that_has_gone_is_an_error_of_its_own() {
        let (mut sink, receiver) = ChannelSink::new(4);
        sink.begin(&INFO).unwrap();
        drop(receiver);
        assert!(matches!(sink.pcm(&[0.0]), Err(SinkError::Closed)));
        assert!(matches!(Box::new(sink).finish(), Err(SinkError::Closed)));
    }

    #[test]
    fn a_sink_that_waits_is_freed_by_its_stop() {
        let (stop, stopped) = crossbeam_channel::bounded(0);
        let (mut sink, receiver) = ChannelSink::until(1, stopped);
        sink.begin(&INFO).unwrap();
        let waiting = std::thread::spawn(move || sink.pcm(&[0.0]));
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(!waiting.is_finished());
        drop(stop);
        assert!(matches!(waiting.join().unwrap(), Err(SinkError::Closed)));
        assert_eq!(receiver.len(), 1);
    }

    #[test]
    fn a_cut_off_stream_closes_without_finish() {
        let (mut sink, receiver) = ChannelSink::new(4);
        assert!(matches!(sink.pcm(&[0.0]), Err(SinkError::Misuse(_))));
        sink.begin(&INFO).unwrap();
        assert!(matches!(sink.begin(&INFO), Err(SinkError::Misuse(_))));
        drop(sink);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [Event::Begin(INFO)]);
    }
}
