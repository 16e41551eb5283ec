//! Checks an MP4 file of this program as others would: tracks, codecs, lengths and starts by its boxes, and by decoding sound
//! and pictures whether the cues in it lie where the sound and the lips are.
//!
//! Sound: how loud it is, against where the cues say that something is said; the shift at which both agree best is how late the
//! sound is. Lips: how far the mouth is open, against the curve that the phonemes give; see [`lips`]. No net judges either.

mod align;
mod demux;
mod lips;
mod sound;
mod steady;

use std::path::Path;

use serde::Serialize;

use self::align::best_match;
use self::demux::{Movie, Track};
use crate::cue::{Cue, CueKind, read_json};
use crate::error::{Error, Result};
use crate::timeline::Fps;

/// Two tracks may start and end this far apart, in seconds: what nobody notices.
const NEAR_S: f64 = 0.02;
/// The sound may be this far from the cues, in seconds.
const SOUND_LAG_S: f64 = 0.04;
/// The lips may be this many video frames from the cues.
const LIPS_LAG_VIDEO_FRAMES: f64 = 2.0;
/// A shift is looked for up to this many seconds either way.
const REACH_S: f64 = 0.5;
/// Below this correlation there is no agreement to speak of.
const LEAST_CORRELATION: f64 = 0.3;
/// Pauses must be quieter than speech by this many dB.
const LEAST_CONTRAST_DB: f64 = 6.0;
/// At p, b and m the mouth must be less open than this share of open vowels.
const LARGEST_CLOSURE: f64 = 0.6;
/// Drift is the change of a shift from the first to the last third, of files that are this long, in seconds.
const DRIFT_FROM_S: f64 = 6.0;

/// What was found. A file is as it should be where `faults` is empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// What is wrong, each in one line.
    pub faults: Vec<String>,
    /// Length of the sound in seconds.
    pub sound_s: f64,
    /// Length of the pictures in seconds; `None` where there are none.
    pub pictures_s: Option<f64>,
    /// Video frames a second.
    pub fps: Option<f64>,
    /// Captions in the file.
    pub captions: usize,
    /// Words in the file's cues.
    pub words: usize,
    /// Phonemes in the file's cues.
    pub phonemes: usize,
    /// How the sound agrees with the cues; `None` where there is too little to tell.
    pub sound: Option<Agreement>,
    /// How the lips agree with the cues; `None` where there is too little to tell.
    pub lips: Option<Agreement>,
    /// Speech over pauses in dB.
    pub contrast_db: Option<f64>,
    /// How open the mouth is at p, b and m, as a share of open vowels.
    pub closure: Option<f64>,
}

/// How two signals agree.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Agreement {
    /// Seconds that it is later than the cues say.
    pub lag_s: f64,
    /// Correlation at that shift.
    pub correlation: f64,
    /// Change of the shift from the first to the last third, in long files.
    pub drift_s: Option<f64>,
}

/// Checks a file.
///
/// # Errors
/// [`Error::Io`] where it cannot be read. Whatever is wrong in the file is a fault of the report.
pub fn verify(path: &Path) -> Result<Report> {
    let file = std::fs::read(path).map_err(Error::io("read", path))?;
    let mut report = Report::default();
    match demux::movie(&file) {
        Ok(movie) => check(&file, &movie, &mut report),
        Err(fault) => report.faults.push(fault),
    }
    Ok(report)
}

fn check(file: &[u8], movie: &Movie, report: &mut Report) {
    let find = |handler: &[u8; 4], coding: &[u8; 4], what: &str, faults: &mut Vec<String>| -> Option<usize> {
        let index = movie.tracks.iter().position(|track| &track.handler == handler)?;
        let found = &movie.tracks[index].coding;
        if found != coding {
            faults.push(format!(
                "the {what} is coded as {} and not as {}",
                String::from_utf8_lossy(found),
                String::from_utf8_lossy(coding)
            ));
            return None;
        }
        Some(index)
    };
    let faults = &mut report.faults;
    let sound = find(b"soun", b"mp4a", "sound", faults).map(|index| &movie.tracks[index]);
    let pictures = find(b"vide", b"avc1", "picture", faults).map(|index| &movie.tracks[index]);
    let captions = find(b"sbtl", b"tx3g", "caption track", faults).map(|index| &movie.tracks[index]);
    if !movie.index_in_front {
        faults.push("the index is behind the media data: a player must read all of the file before it starts".into());
    }
    let Some(sound) = sound else {
        faults.push("there is no sound".into());
        return;
    };
    report.sound_s = sound.end_s();
    let fps = pictures.and_then(|track| constant_rate(track, faults));
    report.pictures_s = pictures.map(Track::end_s);
    report.fps = fps.map(Fps::as_f64);
    for (what, track) in [("pictures", pictures), ("captions", captions)] {
        let Some(track) = track else { continue };
        let late_s = start_s(track) - start_s(sound);
        if late_s.abs() > NEAR_S {
            faults.push(format!("the {what} start {:.0} ms after the sound", 1e3 * late_s));
        }
        // Half a video frame is what a rate leaves open.
        let near_s = fps.map_or(NEAR_S, |fps| (0.5 / fps.as_f64() + 0.001).max(NEAR_S));
        let longer_s = track.end_s() - sound.end_s();
        if longer_s.abs() > near_s {
            faults.push(format!("the {what} last {:.0} ms longer than the sound", 1e3 * longer_s));
        }
    }
    for track in movie.tracks.iter().filter(|track| track.shown_s > 0.0) {
        let (media_s, shown_s) = (track.media_end_s() - track.delay_s, track.shown_s);
        if (media_s - shown_s).abs() > NEAR_S {
            faults.push(format!("track {} has {media_s:.3} s, and its edit list shows {shown_s:.3} s", track.id));
        }
    }
    if start_s(sound).abs() > NEAR_S {
        faults.push(format!("the sound starts at {:.0} ms", 1e3 * start_s(sound)));
    }
    let longest_s = movie.tracks.iter().map(Track::end_s).fold(0.0, f64::max);
    if !movie.is_fragmented && (movie.duration_s - longest_s).abs() > NEAR_S {
        faults.push(format!(
            "the file says that it lasts {:.3} s, and its tracks last {longest_s:.3} s",
            movie.duration_s
        ));
    }
    report.captions = captions.map_or(0, |track| track.mp4_samples.iter().filter(|sample| sample.size > 2).count());
    let decoded = sound::decode(file, sound).map_err(|fault| report.faults.push(fault)).ok();
    let openness =
        pictures.and_then(|track| lips::openness(file, track).map_err(|fault| report.faults.push(fault)).ok());
    if movie.is_fragmented {
        // A stream has nothing in it to compare with.
        return;
    }
    let Some((cue_rate, cues)) = read_cues(movie, captions.is_some(), report) else { return };
    if let Some((pcm, sample_rate)) = decoded {
        if (pcm.len() as f64 / f64::from(sample_rate) - report.sound_s).abs() > NEAR_S {
            let decoded_s = pcm.len() as f64 / f64::from(sample_rate);
            report.faults.push(format!("{decoded_s:.3} s of sound can be decoded, not {:.3} s", report.sound_s));
        }
        check_sound(&pcm, sample_rate, &cues, cue_rate, report);
    }
    if let (Some(openness), Some(fps)) = (openness, fps) {
        check_lips(&openness, &cues, cue_rate, fps, report);
    }
}

/// When the first MP4 sample that is shown starts.
fn start_s(track: &Track) -> f64 {
    track.mp4_samples.first().map_or(0.0, |first| track.start_s(first).max(track.delay_s))
}

/// Video frames a second where each lasts as long; another is a fault.
fn constant_rate(track: &Track, faults: &mut Vec<String>) -> Option<Fps> {
    let first = track.mp4_samples.first()?;
    let uneven = track.mp4_samples.iter().filter(|sample| sample.ticks != first.ticks).count();
    if uneven > 0 {
        faults.push(format!("{uneven} video frames last longer or shorter than the first"));
    }
    Fps::new(track.timescale, first.ticks).map_err(|error| faults.push(error.to_string())).ok()
}

/// The cues in the file, in order of time, and their rate.
fn read_cues(movie: &Movie, has_captions: bool, report: &mut Report) -> Option<(u32, Vec<Cue>)> {
    if !has_captions {
        report.faults.push("there are no captions in it".into());
    }
    let Some(json) = &movie.cues else {
        report.faults.push("there are no cues in it".into());
        return None;
    };
    let (rate, mut all) = match read_json(json) {
        Ok((rate, cues)) if rate > 0 => (rate, cues),
        _ => {
            report.faults.push("its cues cannot be read".into());
            return None;
        }
    };
    all.sort_by_key(|cue| (cue.start_sample, cue.kind as u8));
    let count = |kind| all.iter().filter(|cue| cue.kind == kind).count();
    (report.words, report.phonemes) = (count(CueKind::Word), count(CueKind::Phoneme));
    if report.words == 0 || report.phonemes == 0 {
        report.faults.push("there are no words or no phonemes in its cues".into());
        return None;
    }
    if report.captions == 0 && has_captions {
        report.faults.push("its captions are empty".into());
    }
    let last = all.iter().map(|cue| cue.end_sample).max().unwrap_or(0) as f64 / f64::from(rate);
    if last > report.sound_s + NEAR_S {
        report.faults.push(format!("the last cue ends at {last:.3} s, after the sound at {:.3} s", report.sound_s));
    }
    Some((rate, all))
}

fn check_sound(pcm: &[f32], sample_rate: u32, cues: &[Cue], cue_rate: u32, report: &mut Report) {
    let loudness = sound::loudness(pcm, sample_rate);
    let said = sound::said(cues, cue_rate, report.sound_s);
    report.contrast_db = sound::contrast_db(&loudness, &said);
    if let Some(contrast) = report.contrast_db.filter(|contrast| *contrast < LEAST_CONTRAST_DB) {
        report
            .faults
            .push(format!("words are only {contrast:.1} dB louder than pauses: the cues do not lie on the sound"));
    }
    report.sound = agreement(&said, &loudness, sound::STEP_S);
    judge(report.sound, "sound", SOUND_LAG_S, NEAR_S * 2.0, &mut report.faults);
}

fn check_lips(openness: &[f64], cues: &[Cue], cue_rate: u32, fps: Fps, report: &mut Report) {
    let total_samples = (report.sound_s * f64::from(cue_rate)).round() as u64;
    let expected = lips::expected(cues, cue_rate, fps, total_samples);
    let period_s = 1.0 / fps.as_f64();
    report.lips = agreement(&expected, openness, period_s);
    judge(report.lips, "lips", LIPS_LAG_VIDEO_FRAMES * period_s.max(NEAR_S), period_s.max(NEAR_S), &mut report.faults);
    report.closure = lips::closure(openness, cues, cue_rate, fps);
    if let Some(closure) = report.closure.filter(|closure| *closure > LARGEST_CLOSURE) {
        let percent = 100.0 * closure;
        report.faults.push(format!("at p, b and m the mouth is {percent:.0} % as open as at open vowels"));
    }
}

/// How a measured signal agrees with the expected one; `None` in less than a second, or where nothing changes.
fn agreement(expected: &[f64], measured: &[f64], step_s: f64) -> Option<Agreement> {
    let length = expected.len().min(measured.len());
    if (length as f64) * step_s < 1.0 {
        return None;
    }
    let whole = best_match(expected, measured, step_s, REACH_S)?;
    let third = length / 3;
    let part = |from: usize| best_match(&expected[from..from + third], &measured[from..from + third], step_s, REACH_S);
    let is_long = length as f64 * step_s >= DRIFT_FROM_S;
    let parts = if is_long { part(0).zip(part(length - third)) } else { None };
    let clear = parts.filter(|(a, b)| a.correlation.min(b.correlation) >= LEAST_CORRELATION);
    let drift_s = clear.map(|(first, last)| last.lag_s - first.lag_s);
    Some(Agreement { lag_s: whole.lag_s, correlation: whole.correlation, drift_s })
}

fn judge(agreement: Option<Agreement>, what: &str, lag_s: f64, drift_s: f64, faults: &mut Vec<String>) {
    let Some(found) = agreement else { return };
    if found.correlation < LEAST_CORRELATION {
        faults.push(format!("{what}: nothing in common with the cues"));
    } else if found.lag_s.abs() > lag_s {
        let (ms, side) = (1e3 * found.lag_s.abs(), if found.lag_s > 0.0 { "behind" } else { "ahead of" });
        faults.push(format!("{what}: {ms:.0} ms {side} the cues"));
    }
    if let Some(drift) = found.drift_s.filter(|drift| drift.abs() > drift_s) {
        faults.push(format!("{what}: drifts by {:.0} ms from the first third to the last", 1e3 * drift));
    }
}
