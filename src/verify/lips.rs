//! The pictures of a file, decoded, and how far the mouth is open.
//!
//! There is no net here that knows a mouth. What moves most in the lower half of a talking face, its head held still
//! ([`super::steady`]), is the mouth, an open mouth is dark, and in the first picture it is at rest: how much darker than there those pixels are on
//! average rises and falls with its opening. That is enough to tell when it opens and closes, not how well it is formed.

use openh264::decoder::Decoder;
use openh264::formats::YUVSource;

use super::demux::Track;
use super::steady::{Plane, Steady};
use crate::cue::{BlendShapes, Cue, CueKind, Curves};
use crate::timeline::Fps;

/// Width in pixels of the thumbnails that are looked at, and how many times finer the pictures are in which the head is held.
const THUMBNAIL_WIDTH: usize = 80;
const FINER: usize = 2;
/// Video frames looked at, ten minutes at 25 a second; all are decoded.
const MOST_VIDEO_FRAMES: usize = 15_000;
/// The share of the lower half of the picture that counts as mouth.
const MOUTH_SHARE: f64 = 0.06;

/// Decodes all pictures; gives how open the mouth is in each: grey levels that it is darker than at rest.
pub(super) fn openness(file: &[u8], track: &Track) -> Result<Vec<f64>, String> {
    let mut decoder = Decoder::new().map_err(|error| error.to_string())?;
    let mut thumbnails: Vec<Vec<f32>> = Vec::new();
    let mut decoded = 0;
    let mut steady = None;
    let mut keep = |yuv: &dyn YUVSource| {
        decoded += 1;
        if thumbnails.len() < MOST_VIDEO_FRAMES {
            let plane = scaled_down(yuv);
            let steady = steady.get_or_insert_with(|| Steady::new(plane.clone()));
            thumbnails.push(thumbnail(&steady.hold(&plane)));
        }
    };
    let head = annex_b_parameters(&track.entry).ok_or("the pictures have no parameters")?;
    decoder.decode(&head).map_err(|error| format!("the pictures cannot be decoded: {error}"))?;
    for mp4_sample in &track.mp4_samples {
        let failed =
            |reason: String| format!("the picture at {:.3} s cannot be decoded: {reason}", track.start_s(mp4_sample));
        let nals = annex_b(track.bytes(file, mp4_sample)).ok_or_else(|| failed("it is cut off".into()))?;
        match decoder.decode(&nals) {
            Ok(Some(yuv)) => keep(&yuv),
            Ok(None) => {}
            Err(error) => return Err(failed(error.to_string())),
        }
    }
    for yuv in decoder.flush_remaining().map_err(|error| format!("the last picture cannot be decoded: {error}"))? {
        keep(&yuv);
    }
    if decoded != track.mp4_samples.len() {
        return Err(format!("{decoded} of {} pictures can be decoded", track.mp4_samples.len()));
    }
    let Some(rest) = thumbnails.first().cloned() else { return Ok(Vec::new()) };
    let mouth = mouth(&thumbnails);
    let darkness = |thumbnail: &Vec<f32>| {
        mouth.iter().map(|&at| f64::from(rest[at] - thumbnail[at])).sum::<f64>() / mouth.len().max(1) as f64
    };
    Ok(thumbnails.iter().map(darkness).collect())
}

/// The luma, scaled down by whole blocks.
fn scaled_down(yuv: &dyn YUVSource) -> Plane {
    let (width, height) = yuv.dimensions();
    let (stride, luma) = (yuv.strides().0, yuv.y());
    let block = (width / (FINER * THUMBNAIL_WIDTH)).max(1);
    let mean = |x: usize, y: usize| {
        let rows = (y..y + block).flat_map(|y| &luma[y * stride + x..][..block]);
        rows.map(|&value| u32::from(value)).sum::<u32>() as f32 / (block * block) as f32
    };
    let (columns, rows) = (width / block, height / block);
    let values = (0..rows).flat_map(|y| (0..columns).map(move |x| (x, y))).map(|(x, y)| mean(x * block, y * block));
    Plane { width: columns, values: values.collect() }
}

/// The lower half, scaled down once more.
fn thumbnail(plane: &Plane) -> Vec<f32> {
    let width = plane.width;
    let (columns, rows) = (width / FINER, plane.values.len() / width.max(1) / FINER);
    let mean = |x: usize, y: usize| {
        let pixels = (y..y + FINER).flat_map(|y| &plane.values[y * width + x..][..FINER]);
        pixels.sum::<f32>() / (FINER * FINER) as f32
    };
    (rows / 2..rows).flat_map(|y| (0..columns).map(move |x| (x, y))).map(|(x, y)| mean(x * FINER, y * FINER)).collect()
}

/// The pixels that change most.
fn mouth(thumbnails: &[Vec<f32>]) -> Vec<usize> {
    let count = thumbnails.len() as f64;
    let pixels = thumbnails.first().map_or(0, Vec::len);
    let variance: Vec<f64> = (0..pixels)
        .map(|at| {
            let values = || thumbnails.iter().filter_map(|thumbnail| thumbnail.get(at)).map(|&value| f64::from(value));
            let mean = values().sum::<f64>() / count;
            values().map(|value| (value - mean).powi(2)).sum::<f64>() / count
        })
        .collect();
    let mut order: Vec<usize> = (0..pixels).collect();
    order.sort_by(|&a, &b| variance[b].total_cmp(&variance[a]));
    order.truncate(((pixels as f64 * MOUTH_SHARE) as usize).max(1));
    order
}

/// SPS and PPS of an `avc1` entry as a byte stream.
fn annex_b_parameters(entry: &[u8]) -> Option<Vec<u8>> {
    let at = entry.windows(4).position(|name| name == b"avcC")? + 4;
    let mut rest = entry.get(at + 5..)?;
    let mut stream = Vec::new();
    for mask in [0x1f, 0xff] {
        let (&count, behind) = rest.split_first()?;
        rest = behind;
        for _ in 0..count & mask {
            let length = usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?));
            stream.extend_from_slice(&[0, 0, 0, 1]);
            stream.extend_from_slice(rest.get(2..2 + length)?);
            rest = &rest[2 + length..];
        }
    }
    Some(stream)
}

/// An access unit of NAL units behind 4-byte lengths as a byte stream.
fn annex_b(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut stream = Vec::with_capacity(bytes.len());
    while !bytes.is_empty() {
        let length = u32::from_be_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
        stream.extend_from_slice(&[0, 0, 0, 1]);
        stream.extend_from_slice(bytes.get(4..length.checked_add(4)?)?);
        bytes = &bytes[4 + length..];
    }
    Some(stream)
}

/// How open a mouth should be in each video frame, by the phonemes.
pub(super) fn expected(cues: &[Cue], cue_rate: u32, fps: Fps, total_samples: u64) -> Vec<f64> {
    let mut curves = Curves::new(fps, cue_rate);
    let mut rows: Vec<BlendShapes> = cues.iter().flat_map(|cue| curves.push(cue)).collect();
    rows.extend(curves.finish(total_samples));
    let get = |row: &BlendShapes, name| f64::from(row.get(name).unwrap_or(0.0));
    let lips = |row| get(row, "mouthLowerDownLeft") + get(row, "mouthUpperUpLeft");
    rows.iter().map(|row| get(row, "jawOpen") - get(row, "mouthClose") + lips(row)).collect()
}

/// How open the mouth is at p, b and m, as a share of how open it is at open vowels; `None` where either is missing.
pub(super) fn closure(openness: &[f64], cues: &[Cue], cue_rate: u32, fps: Fps) -> Option<f64> {
    let at = |cue: &Cue| {
        let middle_s = (cue.start_sample + cue.end_sample) as f64 / 2.0 / f64::from(cue_rate);
        (middle_s * fps.as_f64()) as usize
    };
    // A closure may be shorter than a video frame: the least of three counts, and of a vowel the most.
    let mean = |ipa: &[&str], pick: fn(f64, f64) -> f64| {
        let values: Vec<f64> = cues
            .iter()
            .filter(|cue| cue.kind == CueKind::Phoneme && ipa.contains(&&*cue.text))
            .filter_map(|cue| openness.get(at(cue).saturating_sub(1)..at(cue) + 2)?.iter().copied().reduce(pick))
            .collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    };
    let open = mean(&["ɑ", "æ", "ʌ", "ɐ", "I", "W"], f64::max).filter(|open| *open > 0.0)?;
    Some((mean(&["p", "b", "m"], f64::min)? / open).max(0.0))
}
