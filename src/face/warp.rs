//! Resampling of a picture under an affine map.
//!
//! Every pixel of the target is a weighted mean of the source's pixels around the place that the map gives for its
//! centre. The weights are Catmull-Rom's cubic (Keys 1981, a = -1/2), widened where the map shrinks, so that it averages
//! as many source pixels as one target pixel covers and nothing aliases. Beyond its border the source repeats its edge.

use super::Affine;

/// Weights of one map, ready to be applied to any number of sources of one size.
pub(crate) struct Warp {
    source_width: usize,
    source_height: usize,
    /// Weights of a pixel on either axis.
    taps: [usize; 2],
    /// For each target pixel the first source column and row.
    origins: Vec<[i32; 2]>,
    /// For each target pixel the weights of the columns, then those of the rows.
    weights: Vec<f32>,
}

impl Warp {
    /// Prepares the map for the given target pixels, (column, row) each.
    pub(crate) fn new(
        source_size: [usize; 2],
        source_from_target: &Affine,
        target_pixels: impl Iterator<Item = [usize; 2]>,
    ) -> Self {
        let [a, b, _, d, e, _] = source_from_target.0;
        // How many source pixels one target pixel covers on either axis of the source.
        let widths = [a.hypot(b).max(1.0), d.hypot(e).max(1.0)];
        let taps = widths.map(|width| (4.0 * width).ceil() as usize);
        let mut warp = Self {
            source_width: source_size[0],
            source_height: source_size[1],
            taps,
            origins: Vec::new(),
            weights: Vec::new(),
        };
        for [column, row] in target_pixels {
            let place = source_from_target.apply([column as f32 + 0.5, row as f32 + 0.5]);
            let mut origin = [0; 2];
            for axis in 0..2 {
                origin[axis] = (place[axis] - 2.0 * widths[axis]).ceil() as i32;
                let start = warp.weights.len();
                for tap in 0..taps[axis] as i32 {
                    let distance = (origin[axis] + tap) as f32 + 0.5 - place[axis];
                    warp.weights.push(cubic(distance / widths[axis]));
                }
                let sum: f32 = warp.weights[start..].iter().sum();
                warp.weights[start..].iter_mut().for_each(|weight| *weight /= sum);
            }
            warp.origins.push(origin);
        }
        warp
    }

    /// Number of target pixels.
    pub(crate) fn len(&self) -> usize {
        self.origins.len()
    }

    /// Target pixel `i` of an RGB source, 0..255 with small overshoots.
    pub(crate) fn pixel(&self, source: &[u8], i: usize) -> [f32; 3] {
        let [nx, ny] = self.taps;
        let [x0, y0] = self.origins[i];
        let (columns, rows) = self.weights[i * (nx + ny)..(i + 1) * (nx + ny)].split_at(nx);
        let (last_column, last_row) = (self.source_width as i32 - 1, self.source_height as i32 - 1);
        let inside = x0 >= 0 && x0 + nx as i32 - 1 <= last_column;
        let mut sum = [0.0; 3];
        for (y, &row_weight) in (y0..).zip(rows) {
            let row = y.clamp(0, last_row) as usize * self.source_width;
            let mut row_sum = [0.0; 3];
            if inside {
                let start = (row + x0 as usize) * 3;
                for (rgb, &weight) in source[start..start + 3 * nx].as_chunks::<3>().0.iter().zip(columns) {
                    (0..3).for_each(|c| row_sum[c] += f32::from(rgb[c]) * weight);
                }
            } else {
                for (x, &weight) in (x0..).zip(columns) {
                    let start = (row + x.clamp(0, last_column) as usize) * 3;
                    (0..3).for_each(|c| row_sum[c] += f32::from(source[start + c]) * weight);
                }
            }
            (0..3).for_each(|c| sum[c] += row_sum[c] * row_weight);
        }
        sum
    }

    /// All target pixels, RGB.
    pub(crate) fn pixels(&self, source: &[u8]) -> Vec<u8> {
        (0..self.len()).flat_map(|i| self.pixel(source, i).map(to_u8)).collect()
    }
}

/// Rounds and clips to a byte.
#[inline(always)]
pub(crate) fn to_u8(value: f32) -> u8 {
    // `as` rounds down and clips; to round is a call where processors of any age are served.
    (value + 0.5) as u8
}

/// All pixels of a picture, row by row.
pub(crate) fn all_pixels(width: usize, height: usize) -> impl Iterator<Item = [usize; 2]> {
    (0..height).flat_map(move |row| (0..width).map(move |column| [column, row]))
}

/// Keys' cubic with a = -1/2: interpolates, and reproduces any second-degree polynomial.
pub(super) fn cubic(x: f32) -> f32 {
    let x = x.abs();
    if x < 1.0 {
        (1.5 * x - 2.5) * x * x + 1.0
    } else if x < 2.0 {
        ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: usize, height: usize, value: impl Fn(usize, usize) -> [u8; 3]) -> Vec<u8> {
        all_pixels(width, height).flat_map(|[x, y]| value(x, y)).collect()
    }

    #[test]
    fn the_identity_and_whole_moves_copy_pixels() {
        let source = picture(9, 7, |x, y| [(x * 28) as u8, (y * 36) as u8, ((x * y * 31) % 256) as u8]);
        let same = Warp::new([9, 7], &Affine::scale_move(1.0, 0.0, 0.0), all_pixels(9, 7));
        assert_eq!(same.pixels(&source), source);
        let moved = Warp::new([9, 7], &Affine::scale_move(1.0, 2.0, -1.0), all_pixels(9, 7)).pixels(&source);
        for [x, y] in all_pixels(9, 7) {
            let (sx, sy) = ((x + 2).min(8), y.saturating_sub(1));
            assert_eq!(moved[(y * 9 + x) * 3..][..3], source[(sy * 9 + sx) * 3..][..3], "{x} {y}");
        }
    }

    /// A plane of brightness must stay that plane at the mapped places, whatever the map.
    #[test]
    fn slopes_are_kept_under_any_map() {
        let source = picture(60, 50, |x, y| [(x * 2 + 20) as u8, (y * 3 + 10) as u8, (x + y) as u8]);
        for map in [Affine([0.37, 0.0, 12.3, 0.0, 0.37, 14.1]), Affine([1.7, 0.3, 10.0, -0.3, 1.7, 15.0])] {
            let warp = Warp::new([60, 50], &map, all_pixels(15, 10));
            for (i, [x, y]) in all_pixels(15, 10).enumerate() {
                let [sx, sy] = map.apply([x as f32 + 0.5, y as f32 + 0.5]).map(|v| v - 0.5);
                let got = warp.pixel(&source, i);
                for (got, wanted) in got.iter().zip([sx * 2.0 + 20.0, sy * 3.0 + 10.0, sx + sy]) {
                    assert!((got - wanted).abs() < 0.3, "{map:?} {x} {y}: {got} for {wanted}");
                }
            }
        }
    }

    /// A checkerboard shrunk to a third is grey: were the kernel not widened, it would be black or white.
    #[test]
    fn shrinking_does_not_alias() {
        let source = picture(90, 90, |x, y| [255 * ((x + y) % 2) as u8; 3]);
        let shrunk = Warp::new([90, 90], &Affine::scale_move(3.0, 0.0, 0.0), all_pixels(30, 30)).pixels(&source);
        for [x, y] in all_pixels(30, 30).filter(|p| p.iter().all(|v| (3..27).contains(v))) {
            assert!(shrunk[(y * 30 + x) * 3].abs_diff(128) <= 6, "{}", shrunk[(y * 30 + x) * 3]);
        }
    }
}
