//! When a face breathes in and out: on its own while nothing is said; while it speaks, in through the pauses.

/// Seconds from breath to breath, 14 a minute as adults at rest, and the part of it in which the body rises.
const BREATH_S: f64 = 60.0 / 14.0;
const INHALING: f64 = 0.4;
/// Seconds in which a speaker who is out of breath breathes in.
const HURRIED_S: f64 = 0.5;
/// Seconds of speech after which about a third of a breath is left.
const SPEAKING_S: f64 = 3.0;
/// Seconds in which a body turns from in to out.
const TURNING_S: f64 = 0.06;
/// Longest step: who did not look for longer sees the breath go on from there.
const LONGEST_STEP_S: f64 = 1.0;

/// A breath from moment to moment.
#[derive(Debug, Clone)]
pub(crate) struct Breath {
    at_s: Option<f64>,
    state: State,
    /// How full the lungs are, 0 to 1.
    full: f64,
    /// The same as the body shows it.
    shown: f64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Speaking,
    /// Place in a breath, 0 to 1.
    BreathingIn(f64),
    Quiet(f64),
}

impl Default for Breath {
    /// Full, as before the first word.
    fn default() -> Self {
        Self { at_s: None, state: State::Quiet(INHALING), full: 1.0, shown: 1.0 }
    }
}

impl Breath {
    /// How full the lungs are at a moment, 0 to 1. Moments follow one another; `at_rest`: nothing is said then.
    pub(crate) fn full(&mut self, seconds: f64, at_rest: bool) -> f32 {
        let step_s = self.at_s.map_or(0.0, |at_s| (seconds - at_s).clamp(0.0, LONGEST_STEP_S));
        self.at_s = Some(seconds);
        self.state = match (self.state, at_rest) {
            (_, false) => State::Speaking,
            (State::Speaking, true) => State::BreathingIn(INHALING * risen(self.full)),
            (State::BreathingIn(place), true) if place >= INHALING => State::Quiet(INHALING),
            (State::BreathingIn(place), true) => {
                State::BreathingIn((place + step_s * INHALING / HURRIED_S).min(INHALING))
            }
            (State::Quiet(place), true) => State::Quiet((place + step_s / BREATH_S).fract()),
        };
        self.full = match self.state {
            State::Speaking => self.full * (-step_s / SPEAKING_S).exp(),
            State::BreathingIn(place) | State::Quiet(place) if place <= INHALING => rise(place / INHALING),
            State::BreathingIn(place) | State::Quiet(place) => 1.0 - rise((place - INHALING) / (1.0 - INHALING)),
        };
        self.shown += (self.full - self.shown) * (1.0 - (-step_s / TURNING_S).exp());
        self.shown as f32
    }
}

/// From 0 to 1 without a corner at either end.
fn rise(part: f64) -> f64 {
    part * part * (3.0 - 2.0 * part)
}

/// The part at which [`rise`] has come so far.
fn risen(far: f64) -> f64 {
    0.5 - ((1.0 - 2.0 * far.clamp(0.0, 1.0)).asin() / 3.0).sin()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How full at every video frame of so many seconds, in which `at_rest` is asked.
    fn course(breath: &mut Breath, from_s: f64, to_s: f64, at_rest: bool) -> Vec<f32> {
        let frames = (from_s * 25.0) as u32..(to_s * 25.0) as u32;
        frames.map(|k| breath.full(f64::from(k) / 25.0, at_rest)).collect()
    }

    #[test]
    fn speech_takes_breath_and_a_pause_gives_it_back() {
        let mut breath = Breath::default();
        let spoken = course(&mut breath, 0.0, 4.0, false);
        let last = |full: &[f32]| full[full.len() - 1];
        assert!(spoken.is_sorted_by(|a, b| a >= b) && spoken[0] == 1.0 && last(&spoken) < 0.3, "{spoken:?}");
        let pause = course(&mut breath, 4.0, 4.6, true);
        assert!(last(&pause) > 0.9, "{pause:?}");
        let spoken = course(&mut breath, 4.6, 6.0, false);
        assert!(last(&spoken) < last(&pause));
    }

    #[test]
    fn who_says_nothing_breathes_fourteen_times_a_minute() {
        let mut breath = Breath::default();
        let minute = course(&mut breath, 0.0, 60.0, true);
        let rises = minute.windows(2).filter(|pair| pair[0] < 0.5 && pair[1] >= 0.5).count();
        assert_eq!(rises, 14);
        assert!(minute.iter().all(|full| (0.0..=1.0).contains(full)));
        // A fortieth of a breath in a fortieth of a second.
        assert!(minute.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.04));
    }

    /// However speech and silence follow one another, the body does not jump; time that stands still moves nothing.
    #[test]
    fn nothing_jumps() {
        let mut breath = Breath::default();
        let mut last = breath.full(0.0, true);
        for k in 1..2000_u32 {
            let at_rest = k * k % 97 < 60 && k % 150 > 40;
            let full = breath.full(f64::from(k) / 50.0, at_rest);
            assert!((full - last).abs() < 0.07, "{k}: {last} to {full}");
            assert_eq!(breath.full(f64::from(k) / 50.0, at_rest), full);
            last = full;
        }
        assert_eq!(breath.full(0.0, false), last);
    }

    #[test]
    fn rises_are_found_again() {
        for k in 0..=20 {
            let part = f64::from(k) / 20.0;
            assert!((risen(rise(part)) - part).abs() < 1e-6, "{part}");
        }
    }
}
