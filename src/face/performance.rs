//! What a face does on its own, whatever the lips say: its head moves a little, its eyes blink, and it breathes.
//!
//! The data ([`Performance`]) is measured from a speaker's own clips by [`super::build()`]; a [`Performer`] plays it on any
//! picture of that face. The head moves as a whole and drags what is around it: each pixel takes part in the pose of the head
//! by a weight that is 1 on the face and falls smoothly to 0 far from it and at the border, so there is no edge to see.

use paravox_models::simd;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::warp::{cubic, to_u8};
use super::{Affine, CROP_HEIGHT, CROP_WIDTH};
use crate::sink::Picture;

/// Poses a second.
pub(crate) const POSES_HZ: f64 = 25.0;

/// The head on the crop's centre, beside how the face's picture shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f32; 4]", into = "[f32; 4]")]
pub struct Pose {
    /// Crop pixels to the right.
    pub across: f32,
    /// Crop pixels down.
    pub down: f32,
    /// Radians, clockwise.
    pub turn: f32,
    /// Natural logarithm of the scale.
    pub growth: f32,
}

impl From<[f32; 4]> for Pose {
    fn from([across, down, turn, growth]: [f32; 4]) -> Self {
        Self { across, down, turn, growth }
    }
}

impl From<Pose> for [f32; 4] {
    fn from(Pose { across, down, turn, growth }: Pose) -> Self {
        [across, down, turn, growth]
    }
}

/// The eyes of one blink: patches to be set over the face's picture, one for each 1/25 s.
#[derive(Debug, Clone, PartialEq)]
pub struct Blink {
    /// Column and row of the patches' first pixel in the picture.
    pub place: [u32; 2],
    /// Width and height of a patch.
    pub size: [u32; 2],
    /// The patches one below the other, RGB.
    pub rgb: Vec<u8>,
}

impl Blink {
    /// Patches.
    pub fn len(&self) -> usize {
        self.rgb.len() / self.bytes().max(1)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn bytes(&self) -> usize {
        (3 * self.size[0] * self.size[1]) as usize
    }
}

/// A loop of head movement with blinks, without a seam.
#[derive(Debug, Clone, PartialEq)]
pub struct Performance {
    /// The pose every 1/25 s; after the last comes the first.
    pub head: Vec<Pose>,
    /// The moments of the loop in seconds at which a blink begins.
    pub blinks_s: Vec<f32>,
    /// The blink.
    pub blink: Option<Blink>,
    /// Crop pixels by which the body below the chin rises and falls while breathing; 0: it holds still.
    pub breath: f32,
}

impl Performance {
    /// Why it cannot be played on a picture of this size, if so.
    pub(super) fn fault(&self, width: u32, height: u32) -> Option<&'static str> {
        /// More would not be the movement of somebody who sits and talks.
        const MOST: Pose = Pose { across: 40.0, down: 40.0, turn: 0.3, growth: 0.2 };
        let far = |pose: &Pose| {
            let (pose, most): ([f32; 4], [f32; 4]) = ((*pose).into(), MOST.into());
            // What is no number lies in no range.
            pose.iter().zip(most).any(|(value, most)| !(-most..=most).contains(value))
        };
        const MOST_BREATH: f32 = 12.0;
        let length_s = self.head.len() as f32 / POSES_HZ as f32;
        let whole = |blink: &Blink| {
            let ends = [0, 1].map(|axis| blink.place[axis].checked_add(blink.size[axis]));
            let inside = ends[0].is_some_and(|end| end <= width) && ends[1].is_some_and(|end| end <= height);
            inside && !blink.is_empty() && blink.rgb.len().is_multiple_of(blink.bytes())
        };
        if self.head.is_empty() || self.head.iter().any(far) {
            Some("its performance has no pose, or one that leaves the picture")
        } else if self.blinks_s.iter().any(|start| !(0.0..=length_s).contains(start)) {
            Some("its performance has a blink outside of its loop")
        } else if !(0.0..=MOST_BREATH).contains(&self.breath) {
            Some("its body rises too far in breathing, or not by a number of pixels from 0")
        } else if self.blink.as_ref().is_some_and(|blink| !whole(blink)) {
            Some("its blink leaves the picture, or is not whole")
        } else {
            None
        }
    }

    /// The pose at a moment, between the two nearest.
    fn pose(&self, seconds: f64) -> Pose {
        let position = (seconds * POSES_HZ).rem_euclid(self.head.len() as f64);
        let before = position as usize % self.head.len();
        let after = (before + 1) % self.head.len();
        let share = (position - position.floor()) as f32;
        let (from, to): ([f32; 4], [f32; 4]) = (self.head[before].into(), self.head[after].into());
        std::array::from_fn::<f32, 4, _>(|i| from[i] + share * (to[i] - from[i])).into()
    }

    /// How far into a blink a moment is, in patches: -1 before the first has begun, up to their number.
    fn blinking(&self, seconds: f64) -> Option<f64> {
        let length_s = self.head.len() as f64 / POSES_HZ;
        let count = self.blink.as_ref()?.len() as f64;
        self.blinks_s.iter().find_map(|&start| {
            let since = (seconds - f64::from(start)).rem_euclid(length_s) * POSES_HZ;
            (since < count + 1.0).then_some(since - 1.0)
        })
    }
}

/// Crop pixels below the crop's centre from which the body breathes, and over how many more it begins to.
const CHIN: f32 = 42.0;
const NECK: f32 = 50.0;

/// Radii in crop pixels of the ellipse that moves as one, and its centre above the crop's: the face from chin to brow.
const RADII: [f32; 2] = [85.0, 120.0];
const ABOVE: f32 = 55.0;
/// Where the movement ends, in those radii.
const REACH: f32 = 2.2;
/// Crop pixels along the border of the picture over which the movement ends in any case.
const BORDER: f32 = 18.0;
/// Part of a patch's sides over which a blink goes over into the picture.
const EYE_FEATHER: f32 = 0.22;
/// Steps in which a pixel is divided to look weights up.
const STEPS: usize = 256;
/// Bytes of a line that are read at once: the twelve of four pixels, and some that count nothing.
const TAPS: usize = 16;
/// Pixels whose places are found at once.
const AT_ONCE: usize = 16;

/// Plays a performance on pictures of one size.
pub(crate) struct Performer {
    performance: Performance,
    /// Picture pixels of a crop pixel.
    scale: f32,
    /// Centre of the head's movement in the picture.
    centre: [f32; 2],
    size: [usize; 2],
    /// How much each pixel takes part in the head's pose.
    shares: Vec<f32>,
    /// How much each row of pixels takes part in breathing.
    breathing: Vec<f32>,
    /// Weights of Keys' cubic for each part of a pixel.
    weights: Vec<[f32; 4]>,
    /// The same for a line of RGB bytes, [`TAPS`] of them: each weight three times.
    weights_of_bytes: Vec<[f32; TAPS]>,
}

impl Performer {
    /// For pictures of `width` by `height` pixels whose crop `picture_from_crop` puts in place.
    pub(super) fn new(performance: Performance, width: u32, height: u32, picture_from_crop: &Affine) -> Self {
        let size = [width as usize, height as usize];
        let scale = picture_from_crop.scale();
        let centre = picture_from_crop.apply([CROP_WIDTH as f32 / 2.0, CROP_HEIGHT as f32 / 2.0]);
        let share = |x: usize, y: usize| {
            let place = [x as f32 + 0.5, y as f32 + 0.5];
            let [across, down] = [0, 1].map(|axis| (place[axis] - centre[axis]) / scale);
            let radius = (across / RADII[0]).hypot((down + ABOVE) / RADII[1]);
            let border = [place[0], place[1], size[0] as f32 - place[0], size[1] as f32 - place[1]];
            let border = border.into_iter().fold(f32::INFINITY, f32::min) / scale / BORDER;
            smooth((REACH - radius) / (REACH - 1.0)) * smooth(border)
        };
        let shares = (0..size[1]).flat_map(|y| (0..size[0]).map(move |x| share(x, y))).collect();
        let below = |y: usize| (y as f32 + 0.5 - centre[1]) / scale - CHIN;
        let breathing = (0..size[1]).map(|y| smooth(below(y) / NECK)).collect();
        let weights = (0..STEPS).map(|step| {
            let part = step as f32 / STEPS as f32;
            [part + 1.0, part, 1.0 - part, 2.0 - part].map(cubic)
        });
        let weights: Vec<_> = weights.collect();
        let of_bytes = |weights: &[f32; 4]| std::array::from_fn(|i| weights.get(i / 3).copied().unwrap_or(0.0));
        let weights_of_bytes = weights.iter().map(of_bytes).collect();
        Self { performance, scale, centre, size, shares, breathing, weights, weights_of_bytes }
    }

    /// The picture at a moment of the performance, with lungs as full as `breath` says, 0 to 1.
    pub(crate) fn perform(&self, picture: &Picture, seconds: f64, breath: f32) -> Picture {
        let mut moved = picture.clone();
        let blinking = self.performance.blinking(seconds).zip(self.performance.blink.as_ref());
        if let Some((place, blink)) = blinking {
            set_blink(&mut moved, blink, place);
        }
        let blinked = blinking.map(|_| moved.rgb.clone());
        let source = blinked.as_ref().unwrap_or(&picture.rgb);
        let pose = self.performance.pose(seconds);
        let sunk = self.performance.breath * (0.5 - breath) * self.scale;
        let lines = moved.rgb.par_chunks_mut(3 * self.size[0]).enumerate();
        lines.for_each(|(row, line)| move_line(self, source, pose, sunk, row, line));
        moved
    }

    /// The picture between its pixels, by Keys' cubic: what the bytes of four pixels give to it, [`TAPS`] of them. Beyond
    /// its border the picture repeats its edge.
    #[inline(always)]
    fn between(&self, source: &[u8], x: &Places, y: &Places, i: usize, sum: &mut [f32; TAPS]) {
        let [width, height] = self.size;
        let (left, top) = (x.pixel[i] - 1, y.pixel[i] - 1);
        let wx = &self.weights_of_bytes[x.part[i] as usize % STEPS];
        let wy = &self.weights[y.part[i] as usize % STEPS];
        let mut edges = [[0; TAPS]; 4];
        let mut lines = [&edges[0]; 4];
        let inside = left >= 0 && top >= 0 && left as usize + 4 <= width && top as usize + 4 <= height;
        let first = 3 * (top.max(0) as usize * width + left.max(0) as usize);
        let last = first + 3 * 3 * width;
        if inside && last + TAPS <= source.len() {
            for (j, line) in lines.iter_mut().enumerate() {
                *line = source[first + 3 * j * width..].first_chunk().unwrap_or(line);
            }
        } else {
            for (j, edge) in edges.iter_mut().enumerate() {
                let row = (top + j as i32).clamp(0, height as i32 - 1) as usize * width;
                for (i, byte) in edge[..12].iter_mut().enumerate() {
                    let column = (left + i as i32 / 3).clamp(0, width as i32 - 1) as usize;
                    *byte = source[3 * (row + column) + i % 3];
                }
            }
            lines = edges.each_ref();
        }
        let [a, b, c, d] = lines;
        for i in 0..TAPS {
            let above = wy[0] * f32::from(a[i]) + wy[1] * f32::from(b[i]);
            sum[i] = wx[i] * (above + (wy[2] * f32::from(c[i]) + wy[3] * f32::from(d[i])));
        }
    }
}

simd! {
    /// Fills line `row` of the picture with what a pose and a breath bring there.
    fn move_line(performer: &Performer, source: &[u8], pose: Pose, sunk: f32, row: usize, line: &mut [u8]) {
        let Performer { size, centre, scale, .. } = performer;
        // Where a pixel that takes part as a whole comes from.
        let (sin, cos) = pose.turn.sin_cos();
        let shrink = (-pose.growth).exp();
        let y = row as f32 + 0.5 - centre[1];
        let moved_y = y - pose.down * scale;
        let shares = &performer.shares[row * size[0]..][..size[0]];
        let sunk = sunk * performer.breathing[row];
        let pixels = line.as_chunks_mut::<3>().0;
        for (block, (pixels, of_pixels)) in pixels.chunks_mut(AT_ONCE).zip(shares.chunks(AT_ONCE)).enumerate() {
            let mut shares = [0.0; AT_ONCE];
            shares[..of_pixels.len()].copy_from_slice(of_pixels);
            if sunk == 0.0 && shares == [0.0; AT_ONCE] {
                continue;
            }
            let (mut from_xs, mut from_ys) = ([0.0; AT_ONCE], [0.0; AT_ONCE]);
            for i in 0..AT_ONCE {
                let x = (block * AT_ONCE) as f32 + i as f32 + 0.5 - centre[0];
                let moved_x = x - pose.across * scale;
                let from_x = (cos * moved_x + sin * moved_y) * shrink;
                let from_y = (cos * moved_y - sin * moved_x) * shrink;
                from_xs[i] = centre[0] + x + shares[i] * (from_x - x) - 0.5;
                from_ys[i] = centre[1] + y + shares[i] * (from_y - y) - sunk - 0.5;
            }
            let (xs, ys) = (Places::new(&from_xs), Places::new(&from_ys));
            let mut sums = [[0f32; TAPS]; AT_ONCE];
            for (i, sum) in sums[..pixels.len()].iter_mut().enumerate() {
                performer.between(source, &xs, &ys, i, sum);
            }
            let mut values = [[0f32; 3]; AT_ONCE];
            for (value, sum) in values.iter_mut().zip(&sums) {
                for c in 0..3 {
                    value[c] = (sum[c] + sum[c + 3]) + (sum[c + 6] + sum[c + 9]);
                }
            }
            let mut bytes = [0; 3 * AT_ONCE];
            for (byte, value) in bytes.iter_mut().zip(values.as_flattened()) {
                *byte = whole(value.clamp(0.0, 255.0)) as u8;
            }
            let line = pixels.as_flattened_mut();
            line.copy_from_slice(&bytes[..line.len()]);
        }
    }
}

/// The whole number that is nearest to one from 0 to 2^22, as the bits of a float have it where they stand for ones; a cast
/// would cost comparisons.
#[inline(always)]
fn whole(x: f32) -> i32 {
    const ONES: f32 = 8_388_608.0;
    ((x + ONES).to_bits() - ONES.to_bits()) as i32
}

/// Places on an axis of the picture: the pixel before each, and how far behind that it lies, in [`STEPS`].
struct Places {
    pixel: [i32; AT_ONCE],
    part: [i32; AT_ONCE],
}

impl Places {
    #[inline(always)]
    fn new(places: &[f32; AT_ONCE]) -> Self {
        /// Added, so that places left of the picture are no negative numbers.
        const OUTSIDE: i32 = 1024;
        const OF_PIXEL: i32 = STEPS as i32;
        let (mut pixel, mut part) = ([0; AT_ONCE], [0; AT_ONCE]);
        for i in 0..AT_ONCE {
            let steps = whole((places[i] + OUTSIDE as f32) * STEPS as f32);
            (pixel[i], part[i]) = (steps / OF_PIXEL - OUTSIDE, steps % OF_PIXEL);
        }
        Self { pixel, part }
    }
}

/// Sets the eyes at a place of the blink over the picture: between two patches, or a patch and the picture.
fn set_blink(picture: &mut Picture, blink: &Blink, place: f64) {
    let [width, height] = blink.size.map(|side| side as usize);
    let (before, share) = (place.floor() as isize, (place - place.floor()) as f32);
    let patch = |i: isize| usize::try_from(i).ok().and_then(|i| blink.rgb.chunks_exact(blink.bytes()).nth(i));
    let patches = [(patch(before), 1.0 - share), (patch(before + 1), share)];
    for y in 0..height {
        let start = ((blink.place[1] as usize + y) * picture.width as usize + blink.place[0] as usize) * 3;
        for (x, rgb) in picture.rgb[start..][..3 * width].as_chunks_mut::<3>().0.iter_mut().enumerate() {
            let edge = [(x, width), (y, height)].map(|(at, side)| {
                let inside = (at as f32 + 0.5).min(side as f32 - at as f32 - 0.5);
                smooth(inside / (EYE_FEATHER * side as f32))
            });
            let mask = edge[0] * edge[1];
            let open = rgb.map(f32::from);
            let mut value = open;
            for (patch, share) in patches {
                let Some(patch) = patch else { continue };
                for c in 0..3 {
                    value[c] += share * mask * (f32::from(patch[(y * width + x) * 3 + c]) - open[c]);
                }
            }
            *rgb = value.map(to_u8);
        }
    }
}

/// From 0 to 1 without a corner at either end.
fn smooth(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::super::asset::tests::face;
    use super::*;

    const MAP: Affine = Affine([1.0, 0.0, 70.0, 0.0, 1.0, 160.0]);

    fn performance(head: Vec<Pose>) -> Performance {
        Performance { head, blinks_s: Vec::new(), blink: None, breath: 0.0 }
    }

    fn largest_difference(a: &Picture, b: &Picture) -> u8 {
        a.rgb.iter().zip(&b.rgb).map(|(a, b)| a.abs_diff(*b)).max().expect("a picture has pixels")
    }

    #[test]
    fn a_head_at_rest_changes_nothing() {
        let face = face(300, 280, MAP);
        let performer = Performer::new(performance(vec![Pose::default(); 3]), 300, 280, &MAP);
        assert_eq!(performer.perform(&face.picture, 0.07, 0.5), face.picture);
    }

    /// The face moves as a whole by what the pose says; the border of the picture stays.
    #[test]
    fn the_face_moves_and_the_border_stays() {
        let face = face(300, 280, MAP);
        let pose = Pose { across: 3.0, down: -2.0, turn: 0.0, growth: 0.0 };
        let moved = Performer::new(performance(vec![pose]), 300, 280, &MAP).perform(&face.picture, 1.0, 0.5);
        let at = |picture: &Picture, x: usize, y: usize| -> [u8; 3] {
            picture.rgb[(y * 300 + x) * 3..][..3].try_into().expect("three bytes")
        };
        for (x, y) in [(150, 200), (130, 150), (170, 220), (150, 100)] {
            assert_eq!(at(&moved, x, y), at(&face.picture, x - 3, y + 2), "{x} {y}");
        }
        for i in 0..280 {
            let pairs = [at(&moved, i, 0), at(&moved, 0, i), at(&moved, i, 279), at(&moved, 299, i)];
            let still = [
                at(&face.picture, i, 0),
                at(&face.picture, 0, i),
                at(&face.picture, i, 279),
                at(&face.picture, 299, i),
            ];
            assert!(pairs.as_flattened().iter().zip(still.as_flattened()).all(|(a, b)| a.abs_diff(*b) <= 1), "{i}");
        }
    }

    /// Below the chin the picture sinks and rises by half a breath; the face stays.
    #[test]
    fn the_body_breathes_and_the_face_does_not() {
        let face = face(300, 400, MAP);
        let breathing = Performance { breath: 4.0, ..performance(vec![Pose::default()]) };
        let performer = Performer::new(breathing, 300, 400, &MAP);
        let row = |picture: &Picture, y: usize| picture.rgb[3 * 300 * y..][..3 * 300].to_vec();
        let [empty, full] = [0.0, 1.0].map(|breath| performer.perform(&face.picture, 0.0, breath));
        assert_eq!((row(&empty, 350), row(&full, 350)), (row(&face.picture, 348), row(&face.picture, 352)));
        assert!((0..240).all(|y| row(&empty, y) == row(&face.picture, y)));
    }

    /// From one moment to the next nothing jumps, also where the loop begins again.
    #[test]
    fn the_loop_has_no_seam() {
        let face = face(300, 280, MAP);
        let head = (0..50).map(|k| (k as f32 / 50.0 * std::f32::consts::TAU).sin());
        let head = head.map(|s| Pose { across: 20.0 * s, down: 9.0 * s, turn: 0.01 * s, growth: 0.01 * s }).collect();
        let performer = Performer::new(performance(head), 300, 280, &MAP);
        let step = |k: u32| {
            let moment = |k: u32| performer.perform(&face.picture, f64::from(k) / 50.0, 0.5);
            largest_difference(&moment(k), &moment(k + 1))
        };
        let inside = (0..99).map(step).max().unwrap_or(0);
        assert!(inside > 2 && step(99) <= inside, "{inside} {}", step(99));
        assert_eq!(performer.perform(&face.picture, 2.0, 0.5), performer.perform(&face.picture, 0.0, 0.5));
    }

    #[test]
    fn eyes_blink_when_their_time_comes_and_nothing_else_changes() {
        let face = face(300, 280, MAP);
        let patch = |value: u8| vec![value; 3 * 40 * 20];
        let blink = Blink { place: [130, 100], size: [40, 20], rgb: [patch(10), patch(250), patch(10)].concat() };
        let performance =
            Performance { head: vec![Pose::default(); 50], blinks_s: vec![0.4], blink: Some(blink), breath: 0.0 };
        assert_eq!(performance.fault(300, 280), None);
        assert!(performance.fault(160, 280).is_some());
        let performer = Performer::new(performance, 300, 280, &MAP);
        let eye = |seconds: f64| {
            let shown = performer.perform(&face.picture, seconds, 0.5);
            for (i, (a, b)) in shown.rgb.iter().zip(&face.picture.rgb).enumerate() {
                let (x, y) = (i / 3 % 300, i / 900);
                assert!(a == b || ((130..170).contains(&x) && (100..120).contains(&y)), "{x} {y}");
            }
            shown.rgb[(110 * 300 + 150) * 3]
        };
        let open = eye(0.0);
        assert_eq!([eye(0.39), eye(0.4), eye(0.6), eye(1.9)], [open; 4]);
        assert_eq!([eye(0.44), eye(0.48), eye(0.52)], [10, 250, 10]);
        assert_eq!(eye(0.46), 130, "half way from patch to patch");
        assert_eq!(eye(2.48), 250, "and again in the next round");
    }
}
