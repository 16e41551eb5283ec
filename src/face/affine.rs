//! The map between a lip crop and the picture that it was cut from.

use serde::{Deserialize, Serialize};

/// An affine map of the plane: `x' = a x + b y + c`, `y' = d x + e y + f`, kept as `[a, b, c, d, e, f]`.
///
/// Coordinates are in pixels and continuous: the centre of the pixel in column 0 is at x = 0.5.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Affine(pub [f32; 6]);

impl Affine {
    /// Scales by `scale`, then moves by `(dx, dy)`.
    pub fn scale_move(scale: f32, dx: f32, dy: f32) -> Self {
        Self([scale, 0.0, dx, 0.0, scale, dy])
    }

    /// This map, then a move by `(dx, dy)`.
    pub fn moved(self, dx: f32, dy: f32) -> Self {
        let [a, b, c, d, e, f] = self.0;
        Self([a, b, c + dx, d, e, f + dy])
    }

    /// The image of a point.
    pub fn apply(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [a, b, c, d, e, f] = self.0;
        [a * x + b * y + c, d * x + e * y + f]
    }

    /// How long a step to the right becomes.
    pub(super) fn scale(&self) -> f32 {
        self.0[0].hypot(self.0[3])
    }

    /// The inverse map, or `None` where this one flattens the plane or holds what is no finite number.
    pub fn inverse(&self) -> Option<Self> {
        let [a, b, c, d, e, f] = self.0.map(f64::from);
        let det = a * e - b * d;
        if !self.0.iter().all(|v| v.is_finite()) || det.abs() < 1e-9 {
            return None;
        }
        let inverse = [e, -b, b * f - c * e, -d, a, c * d - a * f].map(|v| (v / det) as f32);
        inverse.iter().all(|v| v.is_finite()).then_some(Self(inverse))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inverse_undoes_and_flat_maps_have_none() {
        let affine = Affine([1.5, -0.25, 40.0, 0.3, 2.0, -7.0]);
        let back = affine.inverse().expect("invertible").apply(affine.apply([12.5, 70.25]));
        assert!((back[0] - 12.5).abs() < 1e-4 && (back[1] - 70.25).abs() < 1e-4, "{back:?}");
        assert_eq!(affine.moved(2.0, -1.0).apply([0.0, 0.0]), [42.0, -8.0]);
        for flat in [[1.0, 2.0, 0.0, 2.0, 4.0, 0.0], [0.0; 6], [f32::NAN, 0.0, 0.0, 0.0, 1.0, 0.0]] {
            assert!(Affine(flat).inverse().is_none(), "{flat:?}");
        }
    }
}
