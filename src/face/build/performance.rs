//! A performance out of a speaker's clips: how the head moved in silence, one blink, and how far the body breathes.

use std::path::Path;

use super::super::performance::{Blink, POSES_HZ, Performance, Pose};
use super::super::warp::Warp;
use super::super::{Affine, CROP_HEIGHT, CROP_WIDTH, FaceAsset, FaceError};
use crate::data::prepare::{FacePoints, GridClip};
use crate::data::video;

// Points of dlib's face that speech does not move: the bridge of the nose and the corners of the eyes.
const STEADY: [usize; 8] = [27, 28, 29, 30, 36, 39, 42, 45];
/// Of each eye: corners, upper lid, lower lid.
const EYES: [[usize; 6]; 2] = [[36, 39, 37, 38, 41, 40], [42, 45, 43, 44, 47, 46]];

/// Longest loop.
const LOOP_POSES: usize = 20 * POSES_HZ as usize;
/// A shorter one would be seen to repeat.
const LEAST_POSES: usize = 4 * POSES_HZ as usize;
/// Shortest silence whose movement is taken.
const LEAST_SILENCE: usize = 6;
/// The noise of landmarks is averaged away over this many video frames, as a standard deviation.
const NOISE: f32 = 2.0;
/// What is slower than this is the posture, not a movement: the head stays where the picture has it.
const POSTURE: usize = 5 * POSES_HZ as usize;

/// An eye below this part of its usual opening blinks.
const CLOSED: f32 = 0.6;
/// From this part on it is open.
const OPEN: f32 = 0.9;
/// Patches of a blink, at most.
const LONGEST_BLINK: usize = 12;
/// Size of the patch around both eyes beyond their corners, in widths of an eye: to the sides, up and down.
const AROUND: [f32; 3] = [0.45, 0.62, 0.62];

/// More crop pixels than this are no breath: somebody shifts on a chair.
const MOST_BREATH: f32 = 6.0;

/// The performance of the speaker of `clips` for a face whose first video frame had the points `shown`, in its picture. `None`
/// where the clips have too little silence.
pub(super) fn measure(
    clips: &[&GridClip],
    corpus: &Path,
    face: &FaceAsset,
    shown: &FacePoints,
) -> Result<Option<Performance>, FaceError> {
    let stretches = clips.iter().flat_map(|clip| silences(clip).map(move |range| (*clip, range)));
    let mut steps = Vec::new();
    for (clip, range) in stretches {
        let (Some(faces), Some(affines)) = (clip.faces(), clip.affines()) else { continue };
        steps.extend(movement(&faces[range.clone()], &affines[range.start]));
    }
    steps.truncate(LOOP_POSES);
    if steps.len() < LEAST_POSES {
        return Ok(None);
    }
    let head = looped(&steps);
    let (found, per_s) = blinks(clips);
    let blink = match found.first() {
        Some(found) => cut_out(found, corpus, face, shown)?,
        None => None,
    };
    let length_s = head.len() as f32 / POSES_HZ as f32;
    let blinks_s = if blink.is_some() { times(length_s, per_s) } else { Vec::new() };
    let breath = super::breath::rise(clips, corpus)? / face.affine.scale();
    Ok(Some(Performance { head, blinks_s, blink, breath: breath.clamp(0.0, MOST_BREATH) }))
}

/// The video frames of a clip before its first and after its last sound.
fn silences(clip: &GridClip) -> impl Iterator<Item = std::ops::Range<usize>> {
    let count = clip.faces().map_or(0, <[_]>::len);
    let frame = |seconds: f32| ((seconds * POSES_HZ as f32) as usize).min(count);
    let before = clip.first_sound_s().map(|end| 0..frame(end));
    let after = clip.last_sound_s().map(|start| frame(start)..count);
    before.into_iter().chain(after).filter(|range| range.len() >= LEAST_SILENCE)
}

/// How the head moves from each video frame to the next.
fn movement(faces: &[FacePoints], picture_from_crop: &Affine) -> Vec<Pose> {
    let steady: Vec<Vec<[f32; 2]>> = faces.iter().map(steady).collect();
    let smoothed: Vec<Vec<[f32; 2]>> = (0..steady.len())
        .map(|k| {
            let weight = |j: usize| (-0.5 * ((j as f32 - k as f32) / NOISE).powi(2)).exp();
            let total: f32 = (0..steady.len()).map(weight).sum();
            let mean =
                |p: usize, axis: usize| (0..steady.len()).map(|j| weight(j) * steady[j][p][axis]).sum::<f32>() / total;
            (0..STEADY.len()).map(|p| [mean(p, 0), mean(p, 1)]).collect()
        })
        .collect();
    let centre = picture_from_crop.apply([CROP_WIDTH as f32 / 2.0, CROP_HEIGHT as f32 / 2.0]);
    let scale = picture_from_crop.0[0];
    let poses: Vec<[f32; 4]> = smoothed
        .iter()
        .map(|points| {
            let map = similarity(&smoothed[0], points);
            let [a, _, _, d, _, _] = map.0;
            let [x, y] = map.apply(centre);
            [(x - centre[0]) / scale, (y - centre[1]) / scale, d.atan2(a), a.hypot(d).ln()]
        })
        .collect();
    poses.windows(2).map(|pair| std::array::from_fn::<f32, 4, _>(|i| pair[1][i] - pair[0][i]).into()).collect()
}

fn steady(face: &FacePoints) -> Vec<[f32; 2]> {
    STEADY.iter().map(|&p| face[p]).collect()
}

/// Joins steps into a path that ends where it begins and goes nowhere in the long run.
fn looped(steps: &[Pose]) -> Vec<Pose> {
    let count = steps.len();
    let values = |i: usize| -> Vec<f32> { steps.iter().map(|&step| <[f32; 4]>::from(step)[i]).collect() };
    let paths: [Vec<f32>; 4] = std::array::from_fn(|i| {
        // Where stretches meet, the pace changes gently.
        let smooth = around(&values(i), 4 * NOISE as usize, |d| (-0.5 * (d / NOISE).powi(2)).exp());
        let drift = smooth.iter().sum::<f32>() / count as f32;
        let path: Vec<f32> = smooth
            .iter()
            .scan(0.0, |sum, step| {
                *sum += step - drift;
                Some(*sum)
            })
            .collect();
        let posture = around(&path, POSTURE.min(count) / 2, |_| 1.0);
        path.iter().zip(posture).map(|(place, posture)| place - posture).collect()
    });
    (0..count).map(|k| std::array::from_fn::<f32, 4, _>(|i| paths[i][k]).into()).collect()
}

/// Weighted means around each value of a loop.
fn around(values: &[f32], reach: usize, weight: impl Fn(f32) -> f32) -> Vec<f32> {
    let (count, reach) = (values.len() as isize, reach as isize);
    let total: f32 = (-reach..=reach).map(|d| weight(d as f32)).sum();
    let mean = |k: isize| {
        let sum: f32 = (-reach..=reach).map(|d| weight(d as f32) * values[(k + d).rem_euclid(count) as usize]).sum();
        sum / total
    };
    (0..count).map(mean).collect()
}

/// The map of turn, scale and move that brings `from` nearest to `to` (Umeyama 1991, in the plane).
fn similarity(from: &[[f32; 2]], to: &[[f32; 2]]) -> Affine {
    let mean = |points: &[[f32; 2]]| {
        [0, 1].map(|axis| points.iter().map(|p| f64::from(p[axis])).sum::<f64>() / points.len() as f64)
    };
    let (from_mean, to_mean) = (mean(from), mean(to));
    let (mut along, mut across, mut size) = (0.0, 0.0, 0.0);
    for (p, q) in from.iter().zip(to) {
        let [px, py] = [0, 1].map(|axis| f64::from(p[axis]) - from_mean[axis]);
        let [qx, qy] = [0, 1].map(|axis| f64::from(q[axis]) - to_mean[axis]);
        along += px * qx + py * qy;
        across += px * qy - py * qx;
        size += px * px + py * py;
    }
    let (a, d) = (along / size, across / size);
    let x = to_mean[0] - a * from_mean[0] + d * from_mean[1];
    let y = to_mean[1] - d * from_mean[0] - a * from_mean[1];
    Affine([a, -d, x, d, a, y].map(|v| v as f32))
}

/// A blink in a clip.
struct Found<'a> {
    clip: &'a GridClip,
    /// From the last video frame with open eyes to the first one.
    video_frames: std::ops::Range<usize>,
    /// How far the eyes stay open, as a part of their usual opening.
    opening: f32,
}

/// The blinks of clips that are seen whole, the most firmly closed first, and how often the speaker blinks in a second.
fn blinks<'a>(clips: &[&'a GridClip]) -> (Vec<Found<'a>>, f32) {
    let (mut found, mut count, mut video_frames) = (Vec::new(), 0, 0);
    for clip in clips {
        let Some(faces) = clip.faces() else { continue };
        let openings: Vec<f32> = faces.iter().map(opening).collect();
        let mut sorted = openings.clone();
        sorted.sort_by(f32::total_cmp);
        let Some(&usual) = sorted.get(sorted.len() / 2) else { continue };
        video_frames += faces.len();
        let mut k = 0;
        while k < openings.len() {
            if openings[k] >= CLOSED * usual {
                k += 1;
                continue;
            }
            let is_open = |k: &usize| openings[*k] >= OPEN * usual;
            let end = (k..openings.len()).find(is_open);
            if let (Some(start), Some(end)) = ((0..k).rev().find(is_open), end) {
                let opening = openings[start..end].iter().copied().fold(f32::INFINITY, f32::min) / usual;
                if end - start <= LONGEST_BLINK {
                    found.push(Found { clip, video_frames: start + 1..end, opening });
                }
            }
            count += 1;
            k = end.unwrap_or(openings.len());
        }
    }
    found.sort_by(|a, b| a.opening.total_cmp(&b.opening));
    (found, count as f32 * POSES_HZ as f32 / video_frames.max(1) as f32)
}

/// How far the eyes are open, as a part of their width (the aspect ratio of Soukupova and Cech 2016).
fn opening(face: &FacePoints) -> f32 {
    let distance = |a: usize, b: usize| (face[a][0] - face[b][0]).hypot(face[a][1] - face[b][1]);
    let eye = |[outer, inner, upper_a, upper_b, lower_a, lower_b]: [usize; 6]| {
        (distance(upper_a, lower_a) + distance(upper_b, lower_b)) / (2.0 * distance(outer, inner).max(1.0))
    };
    (eye(EYES[0]) + eye(EYES[1])) / 2.0
}

/// The eyes of a blink as they would be in the face's picture, in its light.
fn cut_out(found: &Found<'_>, corpus: &Path, face: &FaceAsset, shown: &FacePoints) -> Result<Option<Blink>, FaceError> {
    let Some(faces) = found.clip.faces() else { return Ok(None) };
    let (picture_width, picture_height) = (face.picture.width as usize, face.picture.height as usize);
    let eyes: Vec<[f32; 2]> = EYES.iter().flatten().map(|&p| shown[p]).collect();
    let eye = (shown[EYES[0][1]][0] - shown[EYES[0][0]][0]).abs();
    let end = |axis: usize, pick: fn(f32, f32) -> f32| eyes.iter().map(|p| p[axis]).reduce(pick).unwrap_or(0.0);
    let clip_to = |v: f32, most: usize| (v.max(0.0) as usize).min(most);
    let [left, right] =
        [end(0, f32::min) - AROUND[0] * eye, end(0, f32::max) + AROUND[0] * eye].map(|x| clip_to(x, picture_width));
    let [top, bottom] =
        [end(1, f32::min) - AROUND[1] * eye, end(1, f32::max) + AROUND[2] * eye].map(|y| clip_to(y, picture_height));
    if left >= right || top >= bottom {
        return Ok(None);
    }
    let pixels = || (top..bottom).flat_map(move |y| (left..right).map(move |x| [x, y]));
    let mut patches = Vec::new();
    video::each_picture(&found.clip.listed.video(corpus), |k, picture| {
        // One more: with open eyes, to compare the light.
        if k + 1 >= found.video_frames.start && k < found.video_frames.end && k < faces.len() {
            let map = similarity(&steady(shown), &steady(&faces[k]));
            let size = [picture.width() as usize, picture.height() as usize];
            patches.push(Warp::new(size, &map, pixels()).pixels(picture.as_raw()));
        }
        Ok(())
    })?;
    if patches.len() < 2 {
        return Ok(None);
    }
    let own: Vec<u8> =
        pixels().flat_map(|[x, y]| face.picture.rgb[(y * picture_width + x) * 3..][..3].to_vec()).collect();
    let light = |c: usize| {
        let sum = |rgb: &[u8]| rgb.iter().skip(c).step_by(3).map(|&v| f32::from(v)).sum::<f32>();
        (sum(&own) - sum(&patches[0])) / (own.len() / 3) as f32
    };
    let light = [light(0), light(1), light(2)];
    let rgb = patches[1..].iter().flatten().enumerate();
    let rgb = rgb.map(|(i, &v)| super::super::warp::to_u8(f32::from(v) + light[i % 3])).collect();
    Ok(Some(Blink { place: [left as u32, top as u32], size: [(right - left) as u32, (bottom - top) as u32], rgb }))
}

/// When to blink in a loop: as often as the speaker does, at uneven distances.
fn times(length_s: f32, per_s: f32) -> Vec<f32> {
    let count = (length_s * per_s).round().max(1.0);
    // The golden ratio spreads the distances between two thirds and four thirds of their mean.
    let uneven = |k: f32| (k * 0.618_034).fract() - 0.5;
    (0..count as usize).map(|k| (k as f32 + 0.5 + uneven(k as f32) / 1.5) * length_s / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similarity_is_found_again() {
        let from = [[0.0, 0.0], [10.0, 1.0], [3.0, 8.0], [-4.0, 5.0]];
        let map = Affine([1.2, -0.3, 40.0, 0.3, 1.2, -7.0]);
        let found = similarity(&from, &from.map(|p| map.apply(p)));
        assert!(found.0.iter().zip(map.0).all(|(a, b)| (a - b).abs() < 1e-4), "{found:?}");
    }

    /// However the pieces of movement are, their loop has no jump and stays around its middle.
    #[test]
    fn steps_become_a_loop() {
        let steps: Vec<Pose> =
            (0..300).map(|k| Pose { across: 0.5 + ((k * 37 % 11) as f32 - 5.0) / 10.0, ..Pose::default() }).collect();
        let path = looped(&steps);
        let across: Vec<f32> = path.iter().map(|pose| pose.across).collect();
        let jump = |k: usize| (across[(k + 1) % 300] - across[k]).abs();
        let largest = (0..299).map(jump).fold(0.0, f32::max);
        assert!(jump(299) <= 2.0 * largest && largest < 0.5, "{} {largest}", jump(299));
        let mean = across.iter().sum::<f32>() / 300.0;
        assert!(mean.abs() < 0.1, "{mean}");
    }

    #[test]
    fn blinks_come_as_often_as_asked_and_never_at_once() {
        let times = times(20.0, 0.3);
        assert_eq!(times.len(), 6);
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] > 1.0) && times.iter().all(|t| (0.0..20.0).contains(t)));
    }
}
