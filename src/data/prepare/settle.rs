//! Crops that stay where the picture stays.
//!
//! Landmarks tell the place of a crop within a pixel or so, and the points that tell it turn otherwise than the mouth does.
//! The picture knows better: a move of each crop brings it over the mean of the clip's crops, found by the least squares of
//! their grey levels (Lucas and Kanade 1981), the mean being made anew after each step.

use std::ops::Range;

use crate::face::{CROP_BYTES, CROP_HEIGHT, CROP_WIDTH};

/// Steps of the search.
const STEPS: usize = 6;
/// Crops that a move is averaged over.
const SMOOTHED_OVER: usize = 3;
/// What is not compared at the borders, in pixels: beyond them nothing is known.
const BORDER: usize = 6;
/// How much of the move a crop follows from side to side, and up and down. A mouth that speaks moves what is compared, and up
/// and down most: these are the parts in which what lips trained on such crops generate fits best.
const FOLLOWED: [f32; 2] = [0.5, 0.2];

/// How far each of a clip's crops should lie further right and down, in crop pixels.
pub(super) fn moves(crops: &[u8]) -> Vec<[f32; 2]> {
    let planes: Vec<Vec<f32>> = crops.chunks_exact(CROP_BYTES).map(plane).collect();
    let mut moves = vec![[0.0; 2]; planes.len()];
    for _ in 0..STEPS {
        let moved: Vec<Vec<f32>> = planes.iter().zip(&moves).map(|(plane, by)| moved(plane, *by)).collect();
        let Some(steps) = steps(&moved) else { break };
        moves.iter_mut().zip(steps).for_each(|(by, step)| (0..2).for_each(|i| by[i] += step[i]));
        let middle = mean(&moves);
        moves.iter_mut().for_each(|by| (0..2).for_each(|i| by[i] -= middle[i]));
    }
    let smoothed = (0..moves.len()).map(|k| mean(&moves[around(k, moves.len())]));
    smoothed.map(|by| [by[0] * FOLLOWED[0], by[1] * FOLLOWED[1]]).collect()
}

/// The crops around `k`, as many before as after it.
fn around(k: usize, count: usize) -> Range<usize> {
    let half = (SMOOTHED_OVER / 2).min(k).min(count - 1 - k);
    k - half..k + half + 1
}

fn mean(moves: &[[f32; 2]]) -> [f32; 2] {
    [0, 1].map(|i| moves.iter().map(|by| by[i]).sum::<f32>() / moves.len() as f32)
}

/// Grey levels, without the finest noise.
fn plane(crop: &[u8]) -> Vec<f32> {
    let grey: Vec<f32> =
        crop.as_chunks::<3>().0.iter().map(|rgb| rgb.iter().map(|&v| f32::from(v)).sum::<f32>() / 3.0).collect();
    // Weights 1, 2, 1 across, then down.
    let softened = |values: &[f32], step: usize, i: usize| {
        let inside = i >= step && i + step < values.len();
        if inside { (values[i - step] + 2.0 * values[i] + values[i + step]) / 4.0 } else { values[i] }
    };
    let across: Vec<f32> = (0..grey.len()).map(|i| softened(&grey, 1, i)).collect();
    (0..across.len()).map(|i| softened(&across, CROP_WIDTH, i)).collect()
}

/// What a crop that lies further right and down shows: between the four nearest pixels.
fn moved(plane: &[f32], [right, down]: [f32; 2]) -> Vec<f32> {
    let places = (0..CROP_HEIGHT).flat_map(|y| (0..CROP_WIDTH).map(move |x| (x as f32 + right, y as f32 + down)));
    let value = |(x, y): (f32, f32)| {
        let x = x.clamp(0.0, (CROP_WIDTH - 1) as f32);
        let y = y.clamp(0.0, (CROP_HEIGHT - 1) as f32);
        let (column, row) = ((x as usize).min(CROP_WIDTH - 2), (y as usize).min(CROP_HEIGHT - 2));
        let (across, below) = (x - column as f32, y - row as f32);
        let line = |start: usize| plane[start] + across * (plane[start + 1] - plane[start]);
        let start = row * CROP_WIDTH + column;
        line(start) + below * (line(start + CROP_WIDTH) - line(start))
    };
    places.map(value).collect()
}

/// By how much each plane should lie further right and down to fit their mean; `None` where that has no structure.
fn steps(planes: &[Vec<f32>]) -> Option<Vec<[f32; 2]>> {
    let count = planes.len() as f32;
    let mean: Vec<f32> = (0..planes.first()?.len()).map(|i| planes.iter().map(|p| p[i]).sum::<f32>() / count).collect();
    let inside =
        (BORDER..CROP_HEIGHT - BORDER).flat_map(|y| (BORDER..CROP_WIDTH - BORDER).map(move |x| y * CROP_WIDTH + x));
    let slope = |i: usize, step: usize| f64::from(mean[i + step] - mean[i - step]) / 2.0;
    let compared: Vec<(usize, [f64; 2])> = inside.map(|i| (i, [slope(i, 1), slope(i, CROP_WIDTH)])).collect();
    let sum = |a: usize, b: usize| compared.iter().map(|(_, slopes)| slopes[a] * slopes[b]).sum::<f64>();
    let (xx, xy, yy) = (sum(0, 0), sum(0, 1), sum(1, 1));
    let determinant = xx * yy - xy * xy;
    if determinant <= 1e-6 * xx.max(yy).powi(2) {
        return None;
    }
    let step = |plane: &Vec<f32>| {
        let off = compared.iter().map(|&(i, slopes)| (slopes, f64::from(mean[i] - plane[i])));
        let [x, y] = off.fold([0.0; 2], |[x, y], (slopes, off)| [x + slopes[0] * off, y + slopes[1] * off]);
        [(yy * x - xy * y) / determinant, (xx * y - xy * x) / determinant].map(|step| step as f32)
    };
    Some(planes.iter().map(step).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A crop of waves which lie further right and down.
    fn crop([right, down]: [f32; 2]) -> Vec<u8> {
        let pixels = (0..CROP_HEIGHT).flat_map(|y| (0..CROP_WIDTH).map(move |x| (x as f32 - right, y as f32 - down)));
        let value = |(x, y): (f32, f32)| 128.0 + 50.0 * (x / 6.0).sin() + 50.0 * (y / 5.0 + x / 30.0).cos();
        pixels.flat_map(|place| [value(place) as u8; 3]).collect()
    }

    #[test]
    fn a_crop_follows_its_part_of_what_the_picture_moves() {
        let place = |k: usize| [2.0 * (k as f32 / 6.0).sin(), 1.5 * (k as f32 / 9.0).cos()];
        let places: Vec<_> = (0..60).map(place).collect();
        let middle = mean(&places);
        let crops: Vec<u8> = places.iter().flat_map(|&place| crop(place)).collect();
        for (k, (by, place)) in moves(&crops).iter().zip(&places).enumerate() {
            for i in 0..2 {
                let expected = FOLLOWED[i] * (place[i] - middle[i]);
                assert!((by[i] - expected).abs() < 0.06, "{k} {i}: {} for {expected}", by[i]);
            }
        }
    }

    #[test]
    fn without_structure_nothing_moves() {
        assert_eq!(moves(&vec![70; 3 * CROP_BYTES]), [[0.0; 2]; 3]);
        assert!(moves(&[]).is_empty());
    }
}
