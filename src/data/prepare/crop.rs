//! Where the lips are: the 160 x 80 crop of a face of 256 pixels.
//!
//! The scale is one for a whole clip, the median over its video frames: the chin moves as the mouth opens, and the face
//! must not grow with it. From side to side the place follows the corners of the mouth, which turn with the head; up and down
//! it follows the nose, because lips and chin move with speech. Both are averaged over time: what is left is the movement of
//! the head, not the noise of the landmarks.

use super::landmarks::Face;
use crate::data::lips::{MOUTH_POINTS, MouthPoints};
use crate::face::{Affine, CROP_HEIGHT, CROP_WIDTH};

/// Height of the face in crop pixels.
const FACE_PX: f32 = 256.0;
/// Bridge of nose to chin, as a part of the height of the face.
const BRIDGE_TO_CHIN: f32 = 0.62;
/// Centre of the crop below the nose, in heights of the face.
const CENTRE_BELOW_NOSE: f32 = 0.14;
/// Video frames that the place is averaged over.
const SMOOTHED_OVER: usize = 9;

// Points of dlib's face.
const CHIN: usize = 8;
const BRIDGE: usize = 27;
const NOSE: usize = 33;
const MOUTH: usize = 48;
const MOUTH_CORNERS: (usize, usize) = (48, 54);
const INNER_LIPS: [(usize, usize); 3] = [(61, 67), (62, 66), (63, 65)];

/// A face of fewer pixels is a fault of the landmarks, or of no use.
const MIN_FACE_PX: f32 = 40.0;

/// The map from crop to picture for every video frame, or `None` where the landmarks show no face of use.
pub(super) fn affines(faces: &[Face]) -> Option<Vec<Affine>> {
    let mut heights: Vec<f32> = faces.iter().map(face_height).collect();
    if heights.is_empty() {
        return None;
    }
    heights.sort_by(f32::total_cmp);
    let height = heights[heights.len() / 2];
    if height.is_nan() || height < MIN_FACE_PX {
        return None;
    }
    let scale = height / FACE_PX;
    let half = SMOOTHED_OVER / 2;
    let affine = |k: usize| {
        let window = &faces[k.saturating_sub(half)..(k + half + 1).min(faces.len())];
        let mean = |value: &dyn Fn(&Face) -> f32| window.iter().map(value).sum::<f32>() / window.len() as f32;
        let (left, right) = MOUTH_CORNERS;
        let x = mean(&|face| (face[left][0] + face[right][0]) / 2.0);
        let y = mean(&|face| face[NOSE][1]) + CENTRE_BELOW_NOSE * height;
        Affine::scale_move(scale, x - scale * CROP_WIDTH as f32 / 2.0, y - scale * CROP_HEIGHT as f32 / 2.0)
    };
    Some((0..faces.len()).map(affine).collect())
}

/// Height of a face in pixels of its picture.
fn face_height(face: &Face) -> f32 {
    let [dx, dy] = [face[CHIN][0] - face[BRIDGE][0], face[CHIN][1] - face[BRIDGE][1]];
    dx.hypot(dy) / BRIDGE_TO_CHIN
}

/// How far the inner edges of the lips are apart, as a part of the width of the mouth.
pub(super) fn lip_opening(face: &Face) -> f32 {
    let distance = |a: usize, b: usize| (face[a][0] - face[b][0]).hypot(face[a][1] - face[b][1]);
    let inner = INNER_LIPS.iter().map(|&(upper, lower)| distance(upper, lower)).sum::<f32>() / INNER_LIPS.len() as f32;
    inner / distance(MOUTH_CORNERS.0, MOUTH_CORNERS.1).max(1.0)
}

/// The mouth of a face in crop pixels.
pub(super) fn mouth(face: &Face, picture_from_crop: &Affine) -> Option<MouthPoints> {
    let crop_from_picture = picture_from_crop.inverse()?;
    Some(std::array::from_fn::<_, MOUTH_POINTS, _>(|p| crop_from_picture.apply(face[MOUTH + p])))
}

#[cfg(test)]
mod tests {
    use super::super::landmarks::FACE_POINTS;
    use super::*;

    /// A mouth of 20 pixels straight below the nose.
    fn face(nose: [f32; 2], bridge_to_chin: f32) -> Face {
        let mut face = [[0.0; 2]; FACE_POINTS];
        face[NOSE] = nose;
        face[MOUTH_CORNERS.1] = [nose[0] + 10.0, nose[1] + 20.0];
        face[BRIDGE] = [nose[0], nose[1] - 30.0];
        face[CHIN] = [nose[0], nose[1] - 30.0 + bridge_to_chin];
        face[MOUTH] = [nose[0] - 10.0, nose[1] + 20.0];
        face
    }

    #[test]
    fn the_crop_is_centred_at_the_scale_of_the_median_face() {
        // 79.36 / 0.62 = 128: half of 256, so a crop pixel is half a picture pixel; one open mouth changes nothing.
        let mut faces = vec![face([100.0, 120.0], 79.36); 21];
        faces[10] = face([100.0, 120.0], 99.0);
        let affines = affines(&faces).unwrap();
        assert_eq!(affines.len(), 21);
        for affine in &affines {
            let centre = affine.apply([80.0, 40.0]);
            assert!(
                (centre[0] - 100.0).abs() < 1e-3 && (centre[1] - (120.0 + 0.14 * 128.0)).abs() < 1e-3,
                "{centre:?}"
            );
            assert!((affine.0[0] - 0.5).abs() < 1e-6);
        }
        let mouth = mouth(&faces[0], &affines[0]).unwrap()[0];
        assert!((mouth[0] - 60.0).abs() < 1e-3 && (mouth[1] - (40.0 + (20.0 - 17.92) * 2.0)).abs() < 1e-3, "{mouth:?}");
    }

    #[test]
    fn from_side_to_side_the_crop_follows_the_mouth_and_not_the_nose() {
        let mut faces = vec![face([100.0, 120.0], 79.36); 3];
        for face in &mut faces {
            face[NOSE][0] += 7.0;
            face[MOUTH_CORNERS.0][1] += 5.0;
        }
        let centre = affines(&faces).unwrap()[1].apply([80.0, 40.0]);
        assert!((centre[0] - 100.0).abs() < 1e-3 && (centre[1] - (120.0 + 0.14 * 128.0)).abs() < 1e-3, "{centre:?}");
    }

    #[test]
    fn jitter_is_averaged_and_steady_movement_is_followed() {
        let faces: Vec<Face> =
            (0..40).map(|k| face([100.0 + k as f32 + if k % 2 == 0 { 1.0 } else { -1.0 }, 120.0], 79.36)).collect();
        let affines = affines(&faces).unwrap();
        for (k, affine) in affines.iter().enumerate().take(36).skip(4) {
            let x = affine.apply([80.0, 40.0])[0];
            assert!((x - (100.0 + k as f32)).abs() < 0.12, "{k}: {x}");
        }
    }

    #[test]
    fn no_face_gives_no_crop() {
        assert!(affines(&[]).is_none());
        assert!(affines(&[[[0.0; 2]; FACE_POINTS]; 3]).is_none());
    }
}
