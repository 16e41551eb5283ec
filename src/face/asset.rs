//! A face on disk: one small folder, or the same files embedded.
//!
//! | file | what |
//! |---|---|
//! | `face.json` | name, origin, licence, and the map from crop to picture |
//! | `picture.png` | the whole face, lips closed: what is shown around the lips |
//! | `crop.png` | the identity image, 160 x 80: what the identity encoder reads |
//! | `performance.json` | poses of the head, times of blinks, depth of breath; without it the face holds still |
//! | `blink.png` | the eyes of a blink, one below the other, where the performance has blinks |

use std::path::Path;

use image::{ImageFormat, RgbImage};
use serde::{Deserialize, Serialize};

use super::performance::{Blink, Performance, Pose};
use super::{Affine, CROP_BYTES, CROP_HEIGHT, CROP_WIDTH, FaceError};
use crate::sink::Picture;
use crate::sink::output::replace;

const FORMAT: &str = "paravox-face";
const VERSION: u32 = 1;
const MANIFEST: &str = "face.json";
const PICTURE: &str = "picture.png";
const CROP: &str = "crop.png";
const PERFORMANCE: &str = "performance.json";
const BLINK: &str = "blink.png";

/// Sides of a picture: encoders want even ones, and no video of a face is larger.
const PICTURE_SIDES: std::ops::RangeInclusive<u32> = 16..=4096;
/// Picture pixels of one crop pixel: less shows no lips, more is no picture of a face.
const SCALES: std::ops::RangeInclusive<f32> = 0.05..=20.0;

/// A whole face, and where its lips are.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceAsset {
    /// What users call it.
    pub name: String,
    /// Where it comes from: corpus, speaker, clip.
    pub origin: String,
    /// Under which licence it is used, with the attribution that it asks for.
    pub licence: String,
    /// The whole face, of even width and height.
    pub picture: Picture,
    /// The identity image, 80 x 160 x 3, RGB: the part of `picture` that `affine` says.
    pub crop_rgb: Vec<u8>,
    /// The map from crop to picture.
    pub affine: Affine,
    /// What the face does on its own; `None`: it holds still.
    pub performance: Option<Performance>,
}

/// `performance.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PerformanceFile {
    /// [across, down, turn, growth] every 1/25 s.
    head: Vec<Pose>,
    blinks_s: Vec<f32>,
    #[serde(default)]
    breath: f32,
    /// Of `blink.png`: column and row of its patches in the picture, and the height of one.
    blink: Option<[u32; 3]>,
}

/// `face.json`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: String,
    version: u32,
    name: String,
    origin: String,
    licence: String,
    picture_from_crop: Affine,
}

impl FaceAsset {
    /// Reads a face from its folder.
    ///
    /// # Errors
    /// [`FaceError::Io`] and [`FaceError::Invalid`].
    pub fn load(dir: impl AsRef<Path>) -> Result<Self, FaceError> {
        let dir = dir.as_ref();
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read(&path).map_err(|source| FaceError::Io { path, source })
        };
        let optional = |name: &str| dir.join(name).exists().then(|| read(name)).transpose();
        let face = Self::from_bytes(&read(MANIFEST)?, &read(PICTURE)?, &read(CROP)?).and_then(|face| {
            let Some(performance) = optional(PERFORMANCE)? else { return Ok(face) };
            face.with_performance(&performance, optional(BLINK)?.as_deref())
        });
        face.map_err(|error| match error {
            // A face that is too damaged to tell its name is named by its folder.
            FaceError::Invalid { name, why } if name.is_empty() => {
                FaceError::Invalid { name: dir.display().to_string(), why }
            }
            error => error,
        })
    }

    /// Reads a face from the contents of `face.json`, `picture.png` and `crop.png`.
    ///
    /// # Errors
    /// [`FaceError::Invalid`].
    pub fn from_bytes(face_json: &[u8], picture_png: &[u8], crop_png: &[u8]) -> Result<Self, FaceError> {
        let invalid = |name: &str, why: String| FaceError::Invalid { name: name.to_string(), why };
        let manifest: Manifest =
            serde_json::from_slice(face_json).map_err(|e| invalid("", format!("{MANIFEST}: {e}")))?;
        if manifest.format != FORMAT || manifest.version != VERSION {
            let found = format!("{} {}", manifest.format, manifest.version);
            return Err(invalid(&manifest.name, format!("{MANIFEST} is of format {found}, not {FORMAT} {VERSION}")));
        }
        let image = |file: &str, png: &[u8]| {
            let image = image::load_from_memory_with_format(png, ImageFormat::Png);
            image.map(|image| image.into_rgb8()).map_err(|e| invalid(&manifest.name, format!("{file}: {e}")))
        };
        let picture = image(PICTURE, picture_png)?;
        let face = Self {
            picture: Picture { width: picture.width(), height: picture.height(), rgb: picture.into_raw() },
            crop_rgb: {
                let crop = image(CROP, crop_png)?;
                if crop.dimensions() != (CROP_WIDTH as u32, CROP_HEIGHT as u32) {
                    let found = format!("{}x{}", crop.width(), crop.height());
                    let why = format!("{CROP} has {found} pixels, not {CROP_WIDTH}x{CROP_HEIGHT}");
                    return Err(invalid(&manifest.name, why));
                }
                crop.into_raw()
            },
            affine: manifest.picture_from_crop,
            performance: None,
            name: manifest.name,
            origin: manifest.origin,
            licence: manifest.licence,
        };
        face.check()?;
        Ok(face)
    }

    /// The face with a performance, from the contents of `performance.json` and `blink.png`.
    ///
    /// # Errors
    /// [`FaceError::Invalid`].
    pub fn with_performance(mut self, performance_json: &[u8], blink_png: Option<&[u8]>) -> Result<Self, FaceError> {
        let invalid = |why: String| FaceError::Invalid { name: self.name.clone(), why };
        let file: PerformanceFile =
            serde_json::from_slice(performance_json).map_err(|e| invalid(format!("{PERFORMANCE}: {e}")))?;
        let blink = match (file.blink, blink_png) {
            (None, _) => None,
            (Some(_), None) => return Err(invalid(format!("{PERFORMANCE} names a blink, but {BLINK} is not there"))),
            (Some([left, top, height]), Some(png)) => {
                let image = image::load_from_memory_with_format(png, ImageFormat::Png);
                let image = image.map_err(|e| invalid(format!("{BLINK}: {e}")))?.into_rgb8();
                Some(Blink { place: [left, top], size: [image.width(), height], rgb: image.into_raw() })
            }
        };
        self.performance = Some(Performance { head: file.head, blinks_s: file.blinks_s, blink, breath: file.breath });
        self.check()?;
        Ok(self)
    }

    /// Writes the face into a folder; `face.json` comes last and by renaming, so that a face is there whole or not at
    /// all.
    ///
    /// # Errors
    /// [`FaceError::Io`] and [`FaceError::Invalid`].
    pub fn save(&self, dir: impl AsRef<Path>) -> Result<(), FaceError> {
        self.check()?;
        let dir = dir.as_ref();
        let manifest = Manifest {
            format: FORMAT.into(),
            version: VERSION,
            name: self.name.clone(),
            origin: self.origin.clone(),
            licence: self.licence.clone(),
            picture_from_crop: self.affine,
        };
        let mut json = serde_json::to_vec_pretty(&manifest)
            .map_err(|e| FaceError::Io { path: dir.join(MANIFEST), source: e.into() })?;
        json.push(b'\n');
        let picture = png(self.picture.width, self.picture.height, &self.picture.rgb);
        let crop = png(CROP_WIDTH as u32, CROP_HEIGHT as u32, &self.crop_rgb);
        let mut files = vec![(PICTURE, picture), (CROP, crop)];
        if let Some(Performance { head, blinks_s, blink, breath }) = &self.performance {
            let place = blink.as_ref().map(|blink| [blink.place[0], blink.place[1], blink.size[1]]);
            let file =
                PerformanceFile { head: head.clone(), blinks_s: blinks_s.clone(), breath: *breath, blink: place };
            let mut json = serde_json::to_vec(&file)
                .map_err(|e| FaceError::Io { path: dir.join(PERFORMANCE), source: e.into() })?;
            json.push(b'\n');
            files.push((PERFORMANCE, json));
            if let Some(blink) = blink {
                files.push((BLINK, png(blink.size[0], blink.size[1] * blink.len() as u32, &blink.rgb)));
            }
        }
        files.push((MANIFEST, json));
        std::fs::create_dir_all(dir).map_err(|source| FaceError::Io { path: dir.into(), source })?;
        for (name, bytes) in files {
            let path = dir.join(name);
            replace(&path, &bytes).map_err(|source| FaceError::Io { path, source })?;
        }
        Ok(())
    }

    /// Whether sizes agree and the map puts the crop into the picture.
    ///
    /// # Errors
    /// [`FaceError::Invalid`] naming the first fault.
    pub fn check(&self) -> Result<(), FaceError> {
        let Picture { width, height, ref rgb } = self.picture;
        let [a, b, _, d, e, _] = self.affine.0;
        let scales = [a.hypot(d), b.hypot(e)];
        let centre = self.affine.apply([CROP_WIDTH as f32 / 2.0, CROP_HEIGHT as f32 / 2.0]);
        let inside = (0.0..width as f32).contains(&centre[0]) && (0.0..height as f32).contains(&centre[1]);
        let why = if !(PICTURE_SIDES.contains(&width) && PICTURE_SIDES.contains(&height)) {
            format!("its picture has {width}x{height} pixels, not {PICTURE_SIDES:?} on either side")
        } else if width % 2 != 0 || height % 2 != 0 {
            format!("its picture has {width}x{height} pixels, but video needs even sides")
        } else if rgb.len() != (3 * width * height) as usize || self.crop_rgb.len() != CROP_BYTES {
            "its pixels are fewer or more than its size says".into()
        } else if self.affine.inverse().is_none() || !scales.iter().all(|scale| SCALES.contains(scale)) {
            "its map from crop to picture is degenerate".into()
        } else if !inside {
            "its map puts the lips outside of the picture".into()
        } else if let Some(fault) = self.performance.as_ref().and_then(|performance| performance.fault(width, height)) {
            fault.into()
        } else {
            return Ok(());
        };
        Err(FaceError::Invalid { name: self.name.clone(), why })
    }
}

fn png(width: u32, height: u32, rgb: &[u8]) -> Vec<u8> {
    let image = RgbImage::from_raw(width, height, rgb.to_vec()).expect("checked: as many bytes as the size needs");
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).expect("memory takes any number of bytes");
    bytes.into_inner()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::warp::{Warp, all_pixels};
    use super::*;

    /// A smooth picture with structure in every channel, and the crop that `affine` cuts out of it.
    pub(crate) fn face(width: u32, height: u32, affine: Affine) -> FaceAsset {
        let wave = |v: f32, period: f32| (v / period).sin() * 60.0;
        let rgb = RgbImage::from_fn(width, height, |x, y| {
            let (x, y) = (x as f32, y as f32);
            image::Rgb([wave(x, 23.0) + 128.0, wave(y, 17.0) + 128.0, wave(x + y, 31.0) + 100.0].map(|v| v as u8))
        })
        .into_raw();
        let warp = Warp::new([width as usize, height as usize], &affine, all_pixels(CROP_WIDTH, CROP_HEIGHT));
        FaceAsset {
            name: "test".into(),
            origin: "made by a test".into(),
            licence: "none".into(),
            crop_rgb: warp.pixels(&rgb),
            picture: Picture { width, height, rgb },
            affine,
            performance: None,
        }
    }

    #[test]
    fn a_performance_survives_its_folder_and_a_damaged_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let pose = Pose { across: 1.25, down: -0.5, turn: 0.125, growth: 0.0 };
        let blink = Blink { place: [20, 30], size: [6, 4], rgb: (0..3 * 6 * 4 * 2).map(|v| v as u8).collect() };
        let head = vec![pose, Pose::default()];
        let performance = Performance { head, blinks_s: vec![0.04], blink: Some(blink), breath: 1.5 };
        let still = face(200, 120, Affine::scale_move(0.7, 41.25, 33.5));
        let face = FaceAsset { performance: Some(performance), ..still };
        face.save(dir.path()).unwrap();
        assert_eq!(FaceAsset::load(dir.path()).unwrap(), face);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 5);
        for (file, bytes) in [
            (BLINK, &b"no png"[..]),
            (PERFORMANCE, b"{}"),
            (PERFORMANCE, br#"{"head": [], "blinks_s": [], "blink": null}"#),
            (PERFORMANCE, br#"{"head": [[900, 0, 0, 0]], "blinks_s": [], "blink": null}"#),
            (PERFORMANCE, br#"{"head": [[0, 0, 0, 0]], "blinks_s": [7], "blink": null}"#),
            (PERFORMANCE, br#"{"head": [[0, 0, 0, 0]], "blinks_s": [], "breath": -1, "blink": null}"#),
            (PERFORMANCE, br#"{"head": [[0, 0, 0, 0]], "blinks_s": [], "blink": [199, 0, 4]}"#),
        ] {
            face.save(dir.path()).unwrap();
            std::fs::write(dir.path().join(file), bytes).unwrap();
            let error = FaceAsset::load(dir.path()).unwrap_err();
            assert!(matches!(error, FaceError::Invalid { .. }), "{error:?}");
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
        face.save(dir.path()).unwrap();
        std::fs::remove_file(dir.path().join(BLINK)).unwrap();
        assert!(FaceAsset::load(dir.path()).unwrap_err().to_string().contains(BLINK));
    }

    #[test]
    fn a_face_survives_its_folder_bit_for_bit() {
        let dir = tempfile::tempdir().unwrap();
        let face = face(200, 120, Affine::scale_move(0.7, 41.25, 33.5));
        face.save(dir.path()).unwrap();
        assert_eq!(FaceAsset::load(dir.path()).unwrap(), face);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn damaged_folders_are_refused_in_one_line() {
        for (file, bytes) in
            [(MANIFEST, &b"{"[..]), (MANIFEST, b"{\"format\": \"other\"}"), (PICTURE, b"no png"), (CROP, b"")]
        {
            let dir = tempfile::tempdir().unwrap();
            face(200, 120, Affine::scale_move(0.7, 41.25, 33.5)).save(dir.path()).unwrap();
            std::fs::write(dir.path().join(file), bytes).unwrap();
            let error = FaceAsset::load(dir.path()).unwrap_err();
            assert!(matches!(error, FaceError::Invalid { .. }), "{error:?}");
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
            std::fs::remove_file(dir.path().join(file)).unwrap();
            assert!(matches!(FaceAsset::load(dir.path()), Err(FaceError::Io { .. })));
        }
    }

    #[test]
    fn faces_that_cannot_be_shown_are_refused() {
        let good = face(200, 120, Affine::scale_move(0.7, 41.25, 33.5));
        let small = good.picture.rgb[..300].to_vec();
        for (bad, part) in [
            (FaceAsset { affine: Affine([0.7, 0.0, 40.0, 0.7, 0.0, 33.0]), ..good.clone() }, "degenerate"),
            (FaceAsset { affine: Affine::scale_move(f32::NAN, 40.0, 33.0), ..good.clone() }, "degenerate"),
            (FaceAsset { affine: Affine::scale_move(0.001, 40.0, 33.0), ..good.clone() }, "degenerate"),
            (FaceAsset { affine: Affine::scale_move(0.7, 500.0, 33.0), ..good.clone() }, "outside"),
            (FaceAsset { crop_rgb: vec![0; 5], ..good.clone() }, "fewer or more"),
            (FaceAsset { picture: Picture { width: 200, height: 120, rgb: small }, ..good.clone() }, "fewer or more"),
            (face(201, 120, Affine::scale_move(0.7, 41.25, 33.5)), "even"),
        ] {
            let error = bad.check().unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
            assert!(bad.save(std::env::temp_dir().join("never-written")).is_err());
        }
    }
}
