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
    Pcm(Vec<f32>),
    /// The next video frame.
    Picture(Picture),
    /// A cue.
    Cue(Cue),
    /// The stream is complete. A channel that closes without this was cut off by an error.
    Finish,
}

/// Sends owned events through a bounded channel: a receiver that falls behind slows the engine down, not up.
#[derive(Debug)]
pub struct ChannelSink {
    sender: Sender<Event>,
    is_begun: bool,
}

impl ChannelSink {
    /// A sink, and the receiver of its events. `capacity` events wait at most; 0 hands over one by one.
    pub fn new(capacity: usize) -> (Self, Receiver<Event>) {
        let (sender, receiver) = crossbeam_channel::bounded(capacity);
        (Self { sender, is_begun: false }, receiver)
    }

    fn send(&self, event: Event) -> Result<(), SinkError> {
        if !self.is_begun {
            return Err(SinkError::not_begun());
        }
        self.sender.send(event).map_err(|_| SinkError::Closed)
    }
}

impl Sink for ChannelSink {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        if std::mem::replace(&mut self.is_begun, true) {
            return Err(SinkError::begun_twice());
        }
        self.send(Event::Begin(*info))
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.send(Event::Pcm(pcm.to_vec()))
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        self.send(Event::Picture(picture.clone()))
    }

    fn cue(&mut self, cue: &Cue) -> Result<(), SinkError> {
        self.send(Event::Cue(cue.clone()))
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.send(Event::Finish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cue::CueKind;

    const INFO: StreamInfo = StreamInfo { sample_rate: 24_000, video: None };

    #[test]
    fn events_arrive_in_order_and_the_channel_closes() {
        let (sink, receiver) = ChannelSink::new(1);
        let picture = Picture { width: 1, height: 1, rgb: vec![1, 2, 3] };
        let kind = CueKind::Word;
        let cue = Cue { kind, start_sample: 0, end_sample: 2, text: "a".into(), source: None };
        let sent = (picture.clone(), cue.clone());
        let sender = std::thread::spawn(move || {
            let mut sink = Box::new(sink);
            sink.begin(&INFO)?;
            sink.pcm(&[0.5, 0.25])?;
            sink.picture(&sent.0)?;
            sink.cue(&sent.1)?;
            sink.finish()
        });
        let events: Vec<Event> = receiver.iter().collect();
        sender.join().unwrap().unwrap();
        let expected =
            [Event::Begin(INFO), Event::Pcm(vec![0.5, 0.25]), Event::Picture(picture), Event::Cue(cue), Event::Finish];
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
    fn a_cut_off_stream_closes_without_finish() {
        let (mut sink, receiver) = ChannelSink::new(4);
        assert!(matches!(sink.pcm(&[0.0]), Err(SinkError::Misuse(_))));
        sink.begin(&INFO).unwrap();
        assert!(matches!(sink.begin(&INFO), Err(SinkError::Misuse(_))));
        drop(sink);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [Event::Begin(INFO)]);
    }
}
