//! Holds a moving head still, so that what is left of the movement is the mouth's.
//!
//! The upper part of the face of each picture is brought over that of the first by a move, a turn and a scale: Gauss-Newton
//! steps on the difference of grey levels (Lucas and Kanade 1981), in which pixels that differ much, such as eyes that
//! blink, count little.

/// A picture in grey levels.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) values: Vec<f32>,
}

/// Part of the height and of the width of the picture that is compared.
const ROWS: [f32; 2] = [0.2, 0.66];
const COLUMNS: [f32; 2] = [0.2, 0.8];
/// Steps of one picture, which begins where the one before it ended.
const STEPS: usize = 6;
/// A difference of so many grey levels counts half.
const FAR: f32 = 6.0;

/// Brings pictures over the first.
pub(super) struct Steady {
    first: Plane,
    /// Pixels compared: (column, row) from the centre, grey level, and its change with each parameter.
    compared: Vec<([f32; 2], f32, [f32; 4])>,
    /// Right, down, growth, turn.
    pose: [f32; 4],
}

impl Plane {
    fn height(&self) -> usize {
        self.values.len() / self.width.max(1)
    }

    /// Between the four nearest pixels.
    fn at(&self, x: f32, y: f32) -> f32 {
        let x = x.clamp(0.0, (self.width - 1) as f32);
        let y = y.clamp(0.0, (self.height() - 1) as f32);
        let (column, row) =
            ((x as usize).min(self.width.saturating_sub(2)), (y as usize).min(self.height().saturating_sub(2)));
        let (across, down) = (x - column as f32, y - row as f32);
        let line = |row: usize| {
            let start = row * self.width + column;
            let (from, to) = (self.values[start], self.values[(start + 1).min(self.values.len() - 1)]);
            from + across * (to - from)
        };
        let upper = line(row);
        upper + down * (line((row + 1).min(self.height() - 1)) - upper)
    }
}

/// Where a pixel of the first picture, seen from the centre, lies in one of this pose.
fn moved([x, y]: [f32; 2], [right, down, growth, turn]: [f32; 4]) -> [f32; 2] {
    [x + right + growth * x - turn * y, y + down + growth * y + turn * x]
}

impl Steady {
    pub(super) fn new(first: Plane) -> Self {
        let (width, height) = (first.width, first.height());
        let range = |part: [f32; 2], side: usize| {
            let [from, to] = part.map(|part| (part * side as f32) as usize);
            from.max(1)..to.min(side.saturating_sub(1))
        };
        let value = |x: usize, y: usize| first.values[y * width + x];
        let compared = range(ROWS, height).flat_map(|y| range(COLUMNS, width).map(move |x| (x, y))).map(|(x, y)| {
            let place = [x as f32 - width as f32 / 2.0, y as f32 - height as f32 / 2.0];
            let across = (value(x + 1, y) - value(x - 1, y)) / 2.0;
            let down = (value(x, y + 1) - value(x, y - 1)) / 2.0;
            let changes = [across, down, across * place[0] + down * place[1], down * place[0] - across * place[1]];
            (place, value(x, y), changes)
        });
        let compared = compared.collect();
        Self { first, compared, pose: [0.0; 4] }
    }

    /// The picture with its head where the first one has it. Pictures of one film come in order.
    pub(super) fn hold(&mut self, picture: &Plane) -> Plane {
        let (width, height) = (self.first.width, self.first.height());
        let centre = [width as f32 / 2.0, height as f32 / 2.0];
        for _ in 0..STEPS {
            let (mut normal, mut right) = ([[0f64; 4]; 4], [0f64; 4]);
            for (place, wanted, changes) in &self.compared {
                let [x, y] = moved(*place, self.pose);
                let off = wanted - picture.at(x + centre[0], y + centre[1]);
                let weight = f64::from(1.0 / (1.0 + (off / FAR).powi(2)));
                for i in 0..4 {
                    right[i] += weight * f64::from(changes[i] * off);
                    for j in 0..4 {
                        normal[i][j] += weight * f64::from(changes[i] * changes[j]);
                    }
                }
            }
            let Some(step) = solve(normal, right) else { break };
            (0..4).for_each(|i| self.pose[i] += step[i] as f32);
        }
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| [x as f32, y as f32]));
        let values = pixels.map(|[x, y]| {
            let [x, y] = moved([x - centre[0], y - centre[1]], self.pose);
            picture.at(x + centre[0], y + centre[1])
        });
        Plane { width, values: values.collect() }
    }
}

/// The solution of four equations by elimination, or `None` where there is none, as in a picture without structure.
fn solve(mut a: [[f64; 4]; 4], mut b: [f64; 4]) -> Option<[f64; 4]> {
    for i in 0..4 {
        let pivot = (i..4).max_by(|&p, &q| a[p][i].abs().total_cmp(&a[q][i].abs()))?;
        if a[pivot][i].abs() < 1e-6 {
            return None;
        }
        a.swap(i, pivot);
        b.swap(i, pivot);
        for row in i + 1..4 {
            let factor = a[row][i] / a[i][i];
            let upper = a[i];
            a[row].iter_mut().zip(upper).skip(i).for_each(|(value, upper)| *value -= factor * upper);
            b[row] -= factor * b[i];
        }
    }
    for i in (0..4).rev() {
        let known: f64 = (i + 1..4).map(|column| a[i][column] * b[column]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn film(pose: [f32; 4]) -> Plane {
        let (width, height) = (120usize, 120usize);
        let value =
            |x: f32, y: f32| 128.0 + 40.0 * (x / 5.0).sin() + 40.0 * (y / 7.0).cos() + 20.0 * ((x + y) / 9.0).sin();
        let pixels = (0..height).flat_map(|y| (0..width).map(move |x| [x as f32 - 60.0, y as f32 - 60.0]));
        // What is at `moved(p)` here is at `p` in the first: found by a few steps of the inverse.
        let values = pixels.map(|place| {
            let mut from = place;
            for _ in 0..20 {
                let [x, y] = moved(from, pose);
                from = [from[0] + place[0] - x, from[1] + place[1] - y];
            }
            value(from[0], from[1])
        });
        Plane { width, values: values.collect() }
    }

    #[test]
    fn a_head_that_moves_is_held() {
        let first = film([0.0; 4]);
        let mut steady = Steady::new(first.clone());
        for k in 0..20 {
            let t = k as f32 / 3.0;
            let held = steady.hold(&film([2.0 * t.sin(), 1.5 * (t / 2.0).sin(), 0.02 * t.sin(), 0.015 * t.sin()]));
            let inner = (30..90).flat_map(|y| (30..90).map(move |x| y * 120 + x));
            let worst = inner.map(|at| (held.values[at] - first.values[at]).abs()).fold(0.0, f32::max);
            assert!(worst < 3.0, "{worst} after {k} pictures");
        }
    }

    #[test]
    fn a_picture_without_structure_stays() {
        let plain = Plane { width: 40, values: vec![70.0; 40 * 30] };
        assert_eq!(Steady::new(plain.clone()).hold(&plain).values, plain.values);
    }
}
