//! How far a speaker's body rises and falls while breathing, measured on clips: below the face a picture shows clothes and
//! shoulders, which speech does not move and breath does.

use std::path::Path;

use image::RgbImage;

use crate::data::prepare::GridClip;
use crate::data::{Result, video};

/// Clips that are looked at.
const CLIPS: usize = 20;
/// The strip that is looked at, as parts of width and height: below the chin, within the shoulders. What cameras leave at the
/// lower border is left out.
const COLUMNS: [f32; 2] = [0.2, 0.8];
const ROWS: [f32; 2] = [0.86, 0.985];
/// A clip moves from the lowest to the highest of all but these parts of its video frames.
const OUTLIERS: f32 = 0.05;

/// Pixels between the body's highest and lowest place, the median of the clips; 0 where there is none.
pub(super) fn rise(clips: &[&GridClip], corpus: &Path) -> Result<f32> {
    let mut ranges = Vec::new();
    for clip in clips.iter().take(CLIPS) {
        let mut strips = Vec::new();
        video::each_picture(&clip.listed.video(corpus), |_, picture| {
            strips.push(Strip::of(picture));
            Ok(())
        })?;
        let mut places = places(&strips);
        places.sort_by(f32::total_cmp);
        let Some(last) = places.len().checked_sub(1) else { continue };
        let at = |part: f32| places[(part * last as f32).round() as usize];
        ranges.push(at(1.0 - OUTLIERS) - at(OUTLIERS));
    }
    ranges.sort_by(f32::total_cmp);
    Ok(ranges.get(ranges.len() / 2).copied().unwrap_or(0.0))
}

/// The grey levels of a strip.
struct Strip {
    width: usize,
    grey: Vec<f32>,
}

impl Strip {
    fn of(picture: &RgbImage) -> Self {
        let part = |parts: [f32; 2], side: u32| {
            let [start, end] = parts.map(|part| (part * side as f32) as u32);
            start..end
        };
        let (columns, rows) = (part(COLUMNS, picture.width()), part(ROWS, picture.height()));
        let width = columns.len();
        let grey = rows.flat_map(|y| columns.clone().map(move |x| [x, y]));
        let grey = grey.map(|[x, y]| picture.get_pixel(x, y).0.iter().map(|&v| f32::from(v)).sum::<f32>() / 3.0);
        Self { width, grey: grey.collect() }
    }
}

/// How many pixels lower each strip shows what their mean shows: the least squares of a move and a step of brightness (Lucas
/// and Kanade 1981), in one step, as bodies move by few pixels.
fn places(strips: &[Strip]) -> Vec<f32> {
    let Some(first) = strips.first() else { return Vec::new() };
    let (width, size) = (first.width, first.grey.len());
    if width < 3 || size < 3 * width || strips.iter().any(|strip| strip.grey.len() != size) {
        return Vec::new();
    }
    let mean: Vec<f64> = (0..size)
        .map(|i| strips.iter().map(|strip| f64::from(strip.grey[i])).sum::<f64>() / strips.len() as f64)
        .collect();
    // Slopes across and down, and 1, of the pixels inside.
    let inside = (width..size - width).filter(|i| (1..width - 1).contains(&(i % width)));
    let inside: Vec<(usize, [f64; 3])> = inside
        .map(|i| (i, [(mean[i + 1] - mean[i - 1]) / 2.0, (mean[i + width] - mean[i - width]) / 2.0, 1.0]))
        .collect();
    let mut normal = [[0.0; 3]; 3];
    for (_, slopes) in &inside {
        for (row, a) in normal.iter_mut().zip(slopes) {
            row.iter_mut().zip(slopes).for_each(|(sum, b)| *sum += a * b);
        }
    }
    let place = |strip: &Strip| {
        let mut right = [0.0; 3];
        for (i, slopes) in &inside {
            let difference = f64::from(strip.grey[*i]) - mean[*i];
            right.iter_mut().zip(slopes).for_each(|(sum, slope)| *sum -= slope * difference);
        }
        // Cramer's rule; where nothing has an edge there is nothing to see.
        let with = |column: usize| {
            let mut matrix = normal;
            matrix.iter_mut().zip(right).for_each(|(row, value)| row[column] = value);
            determinant(&matrix)
        };
        let all = determinant(&normal);
        if all.abs() > 1e-9 { (with(1) / all) as f32 } else { 0.0 }
    };
    strips.iter().map(place).collect()
}

fn determinant([[a, b, c], [d, e, f], [g, h, i]]: &[[f64; 3]; 3]) -> f64 {
    a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_sinks_and_rises_is_followed() {
        let strip = |down: f32, right: f32, light: f32| {
            let level = |x: f32, y: f32| 100.0 + 40.0 * (x / 9.0).sin() + 30.0 * (y / 5.0 + x / 31.0).cos() + light;
            let grey = (0..20 * 60).map(|i| level((i % 60) as f32 - right, (i / 60) as f32 - down));
            Strip { width: 60, grey: grey.collect() }
        };
        let moves = [-1.0, -0.5, 0.0, 0.4, 1.1];
        let strips: Vec<Strip> = moves.iter().map(|&down| strip(down, 0.3 * down, 5.0 * down)).collect();
        for (found, down) in places(&strips).iter().zip(moves) {
            assert!((found - down).abs() < 0.1, "{found} for {down}");
        }
        // A wall tells nothing.
        let walls = [50.0, 60.0].map(|level| Strip { width: 10, grey: vec![level; 100] });
        assert_eq!(places(&walls), [0.0, 0.0]);
        assert!(places(&[]).is_empty());
    }
}
