//! The mouth that closes where speech is broken off.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::super::{Face, Role, lock};
use crate::error::Result;
use crate::face::Breath;
use crate::sink::Picture;
use crate::timeline::{Fps, SAMPLE_RATE};
use crate::voice::{mix, smooth};

/// Time in which an interrupted mouth closes.
const CLOSING_S: f64 = 0.2;
/// Video frames whose motion is remembered: more than any player holds ready, a megabyte.
const MOST_VIDEO_FRAMES: usize = 2000;

/// The motion of the latest video frames that were drawn.
#[derive(Debug, Default)]
pub(crate) struct MotionLog(Mutex<Frames>);

#[derive(Debug, Default)]
struct Frames {
    /// Number of the first one remembered.
    first: u64,
    motion: VecDeque<Vec<f32>>,
}

impl MotionLog {
    /// Appends the next video frames.
    pub(crate) fn extend(&self, motion: Vec<Vec<f32>>) {
        let mut frames = lock(&self.0);
        frames.motion.extend(motion);
        while frames.motion.len() > MOST_VIDEO_FRAMES {
            frames.motion.pop_front();
            frames.first += 1;
        }
    }

    fn get(&self, video_frame: u64) -> Option<Vec<f32>> {
        let frames = lock(&self.0);
        let index = usize::try_from(video_frame.checked_sub(frames.first)?).ok()?;
        frames.motion.get(index).cloned()
    }
}

/// The pictures in which a mouth goes to rest, drawn as they are asked for: one for each video frame, none where it is at
/// rest already. The last one shows the mouth at rest.
pub struct Closing {
    role: Role,
    from: Vec<f32>,
    fps: Fps,
    next: u32,
}

impl Closing {
    pub(super) fn new(role: &Role, fps: Fps, log: &MotionLog, pcm_samples: u64) -> Option<Self> {
        let seconds = pcm_samples as f64 / f64::from(SAMPLE_RATE);
        let from = log.get((seconds * fps.as_f64()) as u64)?;
        Some(Self { role: role.clone(), from, fps, next: 0 })
    }

    /// Video frames a second.
    pub fn fps(&self) -> Fps {
        self.fps
    }

    fn pictures(&self) -> u32 {
        (CLOSING_S * self.fps.as_f64()).ceil().max(1.0) as u32
    }
}

impl Iterator for Closing {
    type Item = Result<Picture>;

    fn next(&mut self) -> Option<Self::Item> {
        let count = self.pictures();
        if self.next >= count {
            return None;
        }
        self.next += 1;
        let drawing = self.role.drawing(self.fps, None)?;
        let weight = smooth(f64::from(self.next) / f64::from(count));
        let mouth = drawing.lips.draw(&[mix(&self.from, &drawing.identity.rest(), weight)], drawing.identity);
        mouth.map(|mouths| mouths.first().map(|mouth| drawing.compositor.compose(mouth))).transpose()
    }
}

/// The face of an engine when nothing is said, and what it does on its own meanwhile and while it speaks.
///
/// The pictures of a [`Session`](super::Session) have the head at rest, because only who shows them knows how long nothing was
/// said in between. [`IdleFace::perform`] moves head and eyes at the moment of showing: one movement through speech,
/// silence and interruption.
pub struct IdleFace {
    still: Arc<Picture>,
    /// `None` where the head holds still.
    face: Option<Arc<Face>>,
    breath: Mutex<Breath>,
}

impl IdleFace {
    pub(crate) fn new(role: &Role, still: bool) -> Result<Option<Self>> {
        let Some(drawing) = role.drawing(Fps::FPS_25, None) else { return Ok(None) };
        let mouths = drawing.lips.draw(&[drawing.identity.rest()], drawing.identity)?;
        let Some(mouth) = mouths.first() else { return Ok(None) };
        let face = role.face.clone().filter(|face| !still && face.compositor.performs());
        Ok(Some(Self { still: Arc::new(drawing.compositor.compose(mouth)), face, breath: Mutex::default() }))
    }

    /// The face with its head and its mouth at rest.
    pub fn picture(&self) -> Arc<Picture> {
        self.still.clone()
    }

    /// A picture of this face as it is performed at a moment, in seconds from any start; as it is where the face holds
    /// still. Moments follow one another: the face breathes in while its mouth is at rest, and out while it speaks.
    pub fn perform(&self, picture: &Arc<Picture>, seconds: f64) -> Arc<Picture> {
        let Some(face) = &self.face else { return picture.clone() };
        let at_rest = Arc::ptr_eq(picture, &self.still) || picture.rgb == self.still.rgb;
        let breath = lock(&self.breath).full(seconds, at_rest);
        Arc::new(face.compositor.perform(picture, seconds, breath))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_forgets_what_is_old() {
        let log = MotionLog::default();
        for k in 0..3000 {
            log.extend(vec![vec![k as f32]]);
        }
        assert_eq!(log.get(2999), Some(vec![2999.0]));
        assert_eq!(log.get(1000), Some(vec![1000.0]));
        assert_eq!((log.get(999), log.get(3000)), (None, None));
    }
}
