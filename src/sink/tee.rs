//! Several sinks as one: a film and its captions, a file and a window.

use super::{Picture, Sink, SinkError, StreamInfo};
use crate::cue::Cue;

/// Gives everything to each of its sinks, in their order. The first error ends all of them.
#[derive(Default)]
pub struct TeeSink {
    sinks: Vec<Box<dyn Sink>>,
}

impl TeeSink {
    /// One sink out of several.
    pub fn new(sinks: Vec<Box<dyn Sink>>) -> Self {
        Self { sinks }
    }
}

impl Sink for TeeSink {
    fn begin(&mut self, info: &StreamInfo) -> Result<(), SinkError> {
        self.sinks.iter_mut().try_for_each(|sink| sink.begin(info))
    }

    fn pcm(&mut self, pcm: &[f32]) -> Result<(), SinkError> {
        self.sinks.iter_mut().try_for_each(|sink| sink.pcm(pcm))
    }

    fn picture(&mut self, picture: &Picture) -> Result<(), SinkError> {
        self.sinks.iter_mut().try_for_each(|sink| sink.picture(picture))
    }

    fn cue(&mut self, cue: &Cue) -> Result<(), SinkError> {
        self.sinks.iter_mut().try_for_each(|sink| sink.cue(cue))
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        self.sinks.into_iter().try_for_each(|sink| sink.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{ChannelSink, Event, NullSink};

    #[test]
    fn every_sink_gets_everything_and_one_error_ends_all() {
        let info = StreamInfo { sample_rate: 24_000, video: None };
        let (first, first_events) = ChannelSink::new(9);
        let (second, second_events) = ChannelSink::new(9);
        let mut tee = Box::new(TeeSink::new(vec![Box::new(first), Box::new(NullSink::new()), Box::new(second)]));
        tee.begin(&info).unwrap();
        tee.pcm(&[0.5]).unwrap();
        drop(second_events);
        assert!(matches!(tee.pcm(&[0.25]), Err(SinkError::Closed)));
        drop(tee);
        let events: Vec<Event> = first_events.iter().collect();
        let pcm = |start_sample, value| Event::Pcm { start_sample, pcm: vec![value] };
        assert_eq!(events, [Event::Begin(info), pcm(0, 0.5), pcm(1, 0.25)]);
    }
}
