use super::*;
use crate::data::DataError;
use crate::data::prepare::small_grid::{self, SmallClip};
use crate::face::Compositor;

fn options(corpus: PathBuf, clip: Option<&str>) -> BuildOptions {
    BuildOptions { corpus, speaker: "s9".into(), clip: clip.map(str::to_string), name: "nine".into(), square: Some(80) }
}

/// `None` where there is no ffmpeg: then that is what the error must say.
fn built(options: &BuildOptions) -> Option<FaceAsset> {
    match build(options) {
        Err(FaceError::Data(DataError::Program { program: "ffmpeg", .. })) => None,
        face => Some(face.unwrap()),
    }
}

#[test]
fn the_clip_of_closed_lips_is_chosen_and_cut_out_around_the_head() {
    let dir = tempfile::tempdir().unwrap();
    let clip = |name, lip_opening, first_sound_s| SmallClip { name, split: "train", lip_opening, first_sound_s };
    small_grid::write(
        dir.path(),
        &[
            clip("open", Some(3.0), 0.5),
            clip("closed", Some(0.5), 0.5),
            // Closed more firmly, but it begins at once.
            clip("early", Some(0.0), 0.1),
            clip("lost", None, 0.5),
        ],
    );
    let Some(face) = built(&options(dir.path().into(), None)) else { return };
    assert!(face.origin.ends_with("speaker s9, clip closed"), "{}", face.origin);
    assert_eq!((face.picture.width, face.picture.height), (80, 80));
    // The nose, at column 60, comes to the middle: 21 columns on the left and 16 rows at the top are cut off.
    let centre = face.affine.apply([80.0, 40.0]);
    assert!((centre[0] - (60.5 - 21.0)).abs() < 0.1 && (centre[1] - (50.5 + 14.0 - 16.0)).abs() < 0.1, "{centre:?}");
    // The crop shows the picture's own ramp.
    let shown = Compositor::new(&face).unwrap().compose(&face.crop_rgb);
    let difference = shown.rgb.iter().zip(&face.picture.rgb).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(difference <= Some(2), "{difference:?}");

    let open = built(&options(dir.path().into(), Some("open"))).unwrap();
    assert!(open.origin.ends_with("clip open"));
    for clip in ["lost", "none"] {
        let error = build(&options(dir.path().into(), Some(clip))).unwrap_err();
        assert!(matches!(error, FaceError::Clip { .. }), "{error:?}");
    }
}

#[test]
fn blank_lines_at_the_top_are_counted() {
    let picture = |blank: u32| RgbImage::from_fn(20, 10, |_, y| image::Rgb([if y < blank { 40 } else { 150 }; 3]));
    for blank in 0..4 {
        assert_eq!(blank_lines(&picture(blank)), blank);
    }
    assert_eq!(blank_lines(&RgbImage::new(20, 10)), 0, "a picture that is black has no blank lines");
    assert_eq!(blank_lines(&RgbImage::new(20, 2)), 0);
}
