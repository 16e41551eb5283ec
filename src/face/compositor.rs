//! Sets lips back into the whole face.
//!
//! The crop is resampled into the picture ([`super::warp`]) and blended over it with a mask that is 1 around the lips and
//! falls smoothly to 0 before the border of the crop, along a rounded rectangle, so that no edge shows. Decoded crops may
//! differ from the picture in brightness or colour as a whole. On the ring where the mask falls both should agree, so the
//! typical difference there is taken off the crop, one number for each channel: its median, refined by a mean that leaves
//! out what lies far off, because where the outline of the face or a wrinkle has moved, the ring differs for other
//! reasons. Outside of the mask the picture stays as it is, bit for bit.

use super::performance::Performer;
use super::warp::{Warp, to_u8};
use super::{Affine, CROP_BYTES, CROP_HEIGHT, CROP_WIDTH, FaceAsset, FaceError};
use crate::sink::Picture;

/// Distance in crop pixels from the border of the crop to where the mask begins, on either axis. Decoders are weakest at
/// the border, and left and right the outline of the face may be near, which must stay where the picture has it.
const MARGINS: [f32; 2] = [12.0, 2.0];
/// Width in crop pixels of the ring over which the mask rises from 0 to 1.
const FEATHER: f32 = 14.0;
/// Radius in crop pixels of the mask's corners.
const CORNER: f32 = 30.0;
/// The ring counts for the match of colour up to this weight of the mask: further in, lips and jaw move.
const RING_WEIGHT: f32 = 0.6;
/// Differences of this many levels around the median count as one light.
const SAME_LIGHT: usize = 8;
/// Largest correction of colour, in levels: a larger difference is a different picture, not a different light.
const MAX_CORRECTION: f32 = 32.0;

/// A pixel of the picture that the mask covers.
struct Covered {
    /// Its first byte in the picture.
    byte: usize,
    /// Weight of the crop.
    mask: f32,
}

/// Sets lips back into one face. Cheap to share between threads; everything that does not depend on the lips is computed
/// once.
pub struct Compositor {
    picture: Picture,
    covered: Vec<Covered>,
    warp: Warp,
    performer: Option<Performer>,
}

impl Compositor {
    /// Prepares a face.
    ///
    /// # Errors
    /// [`FaceError::Invalid`] where the face does not hang together.
    pub fn new(face: &FaceAsset) -> Result<Self, FaceError> {
        face.check()?;
        let invalid = |why: &str| FaceError::Invalid { name: face.name.clone(), why: why.into() };
        let crop_from_picture = face.affine.inverse().ok_or_else(|| invalid("its map is degenerate"))?;
        let (width, height) = (face.picture.width as usize, face.picture.height as usize);
        let mut covered = Vec::new();
        let mut pixels = Vec::new();
        for [column, row] in box_of(&face.affine, width, height) {
            let [x, y] = crop_from_picture.apply([column as f32 + 0.5, row as f32 + 0.5]);
            let mask = mask(x, y);
            if mask > 0.0 {
                covered.push(Covered { byte: (row * width + column) * 3, mask });
                pixels.push([column, row]);
            }
        }
        if covered.is_empty() {
            return Err(invalid("its map leaves no pixel for the lips"));
        }
        let warp = Warp::new([CROP_WIDTH, CROP_HEIGHT], &crop_from_picture, pixels.into_iter());
        let Picture { width, height, .. } = face.picture;
        let performance = face.performance.clone();
        let performer = performance.map(|performance| Performer::new(performance, width, height, &face.affine));
        Ok(Self { picture: face.picture.clone(), covered, warp, performer })
    }

    /// Width and height of the pictures.
    pub fn size(&self) -> [u32; 2] {
        [self.picture.width, self.picture.height]
    }

    /// The face with the given lips, 80 x 160 x 3, RGB.
    ///
    /// # Panics
    /// Where `crop_rgb` is not of that size.
    pub fn compose(&self, crop_rgb: &[u8]) -> Picture {
        assert_eq!(crop_rgb.len(), CROP_BYTES, "a crop is {CROP_WIDTH} x {CROP_HEIGHT} RGB pixels");
        let lips: Vec<[f32; 3]> = (0..self.covered.len()).map(|i| self.warp.pixel(crop_rgb, i)).collect();
        let correction = self.correction(&lips);
        let mut picture = self.picture.clone();
        for (covered, lips) in self.covered.iter().zip(&lips) {
            let rgb = &mut picture.rgb[covered.byte..covered.byte + 3];
            for c in 0..3 {
                let below = f32::from(rgb[c]);
                let above = lips[c] + correction[c];
                rgb[c] = to_u8(below + (above - below) * covered.mask);
            }
        }
        picture
    }

    /// Whether the face moves on its own.
    pub fn performs(&self) -> bool {
        self.performer.is_some()
    }

    /// A composed picture as the face performs it at a moment, in seconds from any start, with lungs as full as `breath`
    /// says, 0 to 1; as it is where the face holds still.
    pub fn perform(&self, picture: &Picture, seconds: f64, breath: f32) -> Picture {
        self.performer.as_ref().map_or_else(|| picture.clone(), |performer| performer.perform(picture, seconds, breath))
    }

    /// What brings the crop's ring to the picture's colour, for each channel.
    fn correction(&self, lips: &[[f32; 3]]) -> [f32; 3] {
        // How often each whole difference occurs, -255..=255, in every channel.
        let mut counts = [[0u32; 511]; 3];
        for (covered, lips) in self.covered.iter().zip(lips).filter(|(covered, _)| covered.mask < RING_WEIGHT) {
            for c in 0..3 {
                let difference = i32::from(self.picture.rgb[covered.byte + c]) - i32::from(to_u8(lips[c]));
                counts[c][(difference + 255) as usize] += 1;
            }
        }
        counts.map(|counts| typical_difference(&counts).clamp(-MAX_CORRECTION, MAX_CORRECTION))
    }
}

/// Mean of the differences near their median; `counts[k]` is how often the difference k - 255 occurs.
fn typical_difference(counts: &[u32; 511]) -> f32 {
    let total: u32 = counts.iter().sum();
    let mut below = 0;
    let median = counts.iter().position(|&count| {
        below += count;
        2 * below > total
    });
    let Some(median) = median else { return 0.0 };
    let near = median.saturating_sub(SAME_LIGHT)..=(median + SAME_LIGHT).min(510);
    let (mut sum, mut n) = (0.0, 0.0);
    for k in near {
        sum += counts[k] as f32 * (k as f32 - 255.0);
        n += counts[k] as f32;
    }
    sum / n
}

/// Weight of the crop at a place of it.
fn mask(x: f32, y: f32) -> f32 {
    // Distance to the border of a rounded rectangle, positive inside.
    let half = [CROP_WIDTH as f32 / 2.0 - MARGINS[0], CROP_HEIGHT as f32 / 2.0 - MARGINS[1]];
    let over = [(x - CROP_WIDTH as f32 / 2.0).abs(), (y - CROP_HEIGHT as f32 / 2.0).abs()];
    let [dx, dy] = std::array::from_fn(|axis| over[axis] - half[axis] + CORNER);
    let inside = CORNER - dx.max(0.0).hypot(dy.max(0.0)) - dx.max(dy).min(0.0);
    let t = (inside / FEATHER).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

/// The pixels of the picture in the box around the crop.
fn box_of(picture_from_crop: &Affine, width: usize, height: usize) -> impl Iterator<Item = [usize; 2]> {
    let corners = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
        .map(|[x, y]: [f32; 2]| picture_from_crop.apply([x * CROP_WIDTH as f32, y * CROP_HEIGHT as f32]));
    let range = |axis: usize, len: usize| {
        let low = corners.iter().map(|corner| corner[axis]).fold(f32::INFINITY, f32::min);
        let high = corners.iter().map(|corner| corner[axis]).fold(f32::NEG_INFINITY, f32::max);
        // `as` brings what is below 0 to 0.
        (low.floor() as usize).min(len)..(high.ceil() as usize).min(len)
    };
    let columns = range(0, width);
    range(1, height).flat_map(move |row| columns.clone().map(move |column| [column, row]))
}

#[cfg(test)]
mod tests {
    use super::super::asset::tests::face;
    use super::super::warp::all_pixels;
    use super::*;

    const MAPS: [(u32, u32, Affine); 3] = [
        (360, 288, Affine([0.55, 0.0, 101.3, 0.0, 0.55, 150.9])),
        (576, 576, Affine([1.13, 0.0, 150.4, 0.0, 1.13, 300.2])),
        (400, 300, Affine([0.9, 0.12, 100.4, -0.12, 0.9, 120.2])),
    ];

    fn difference(a: &Picture, b: &Picture) -> u8 {
        a.rgb.iter().zip(&b.rgb).map(|(a, b)| a.abs_diff(*b)).max().expect("a picture has pixels")
    }

    #[test]
    fn the_identity_crop_gives_the_picture_back() {
        for (width, height, affine) in MAPS {
            let face = face(width, height, affine);
            let compositor = Compositor::new(&face).unwrap();
            let back = compositor.compose(&face.crop_rgb);
            assert!(difference(&back, &face.picture) <= 3, "{affine:?}: {}", difference(&back, &face.picture));
        }
    }

    #[test]
    fn other_lips_show_in_the_middle_and_outside_of_the_mask_nothing_changes() {
        for (width, height, affine) in MAPS {
            let face = face(width, height, affine);
            let mut crop = face.crop_rgb.clone();
            // A black mouth.
            for [x, y] in
                all_pixels(CROP_WIDTH, CROP_HEIGHT).filter(|[x, y]| (55..105).contains(x) && (25..55).contains(y))
            {
                crop[(y * CROP_WIDTH + x) * 3..][..3].fill(0);
            }
            let shown = Compositor::new(&face).unwrap().compose(&crop);
            let crop_from_picture = affine.inverse().unwrap();
            let mut seen = [0; 2];
            for [x, y] in all_pixels(width as usize, height as usize) {
                let [u, v] = crop_from_picture.apply([x as f32 + 0.5, y as f32 + 0.5]);
                let at = (y * width as usize + x) * 3;
                let (got, was) = (&shown.rgb[at..at + 3], &face.picture.rgb[at..at + 3]);
                if !((0.0..160.0).contains(&u) && (0.0..80.0).contains(&v)) {
                    assert_eq!(got, was, "{u} {v}");
                    seen[0] += 1;
                } else if (60.0..100.0).contains(&u) && (30.0..50.0).contains(&v) {
                    assert!(got.iter().all(|&v| v <= 6), "{got:?} at {u} {v}");
                    seen[1] += 1;
                }
            }
            assert!(seen.iter().all(|&n| n > 100), "{seen:?}");
        }
    }

    /// A crop in another light must come out in the picture's own, even where something moved at one side of the ring.
    #[test]
    fn a_step_of_brightness_vanishes_and_what_moved_colours_nothing() {
        let (width, height, affine) = MAPS[1];
        let face = face(width, height, affine);
        let mut crop = face.crop_rgb.clone();
        for (i, v) in crop.iter_mut().enumerate() {
            *v = to_u8(f32::from(*v) + [14.0, -9.0, 5.0][i % 3]);
        }
        let compositor = Compositor::new(&face).unwrap();
        let shown = compositor.compose(&crop);
        assert!(difference(&shown, &face.picture) <= 4, "{}", difference(&shown, &face.picture));

        // Something blue moves in from the left, over a sixth of the crop.
        for [x, y] in all_pixels(27, CROP_HEIGHT) {
            crop[(y * CROP_WIDTH + x) * 3..][..3].copy_from_slice(&[0, 60, 250]);
        }
        let shown = compositor.compose(&crop);
        let [x, y] = affine.apply([100.0, 40.0]).map(|v| v as usize);
        let at = (y * width as usize + x) * 3;
        for (got, was) in shown.rgb[at..at + 3].iter().zip(&face.picture.rgb[at..at + 3]) {
            assert!(got.abs_diff(*was) <= 4, "{got} for {was}");
        }
    }

    /// The mask has no step: from one crop pixel to the next it changes by a sixth at most, and it is 0 at the border.
    #[test]
    fn the_mask_is_soft_and_whole_around_the_lips() {
        for [x, y] in all_pixels(CROP_WIDTH, CROP_HEIGHT) {
            let [u, v] = [x as f32, y as f32];
            assert!(
                (mask(u, v) - mask(u + 1.0, v)).abs() < 1.0 / 6.0 && (mask(u, v) - mask(u, v + 1.0)).abs() < 1.0 / 6.0
            );
            if x == 0 || y == 0 {
                assert_eq!(mask(u, v), 0.0);
                assert_eq!(mask(CROP_WIDTH as f32 - u, CROP_HEIGHT as f32 - v), 0.0);
            }
            // Where GRID's lips are: 99 of 100 mouths of all speakers lie in here.
            if (41..122).contains(&x) && (18..63).contains(&y) {
                assert!(mask(u, v) > 0.95, "{u} {v}: {}", mask(u, v));
            }
        }
    }

    #[test]
    fn a_degenerate_map_is_refused() {
        let mut face = face(360, 288, MAPS[0].2);
        for flat in [Affine([0.0; 6]), Affine([0.5, 0.5, 100.0, 0.5, 0.5, 100.0]), Affine([f32::INFINITY; 6])] {
            face.affine = flat;
            assert!(matches!(Compositor::new(&face), Err(FaceError::Invalid { .. })));
        }
    }
}
