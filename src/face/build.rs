//! Faces out of clips of the GRID layout.

mod breath;
mod performance;

use std::path::PathBuf;

use image::RgbImage;

use super::warp::{Warp, all_pixels};
use super::{CROP_HEIGHT, CROP_WIDTH, FaceAsset, FaceError};
use crate::data::prepare::{GridClip, grid_clips};
use crate::data::video;
use crate::sink::Picture;

/// Which face to build.
#[derive(Debug, Clone)]
pub struct BuildOptions {
    /// Folder in the GRID layout.
    pub corpus: PathBuf,
    /// Who.
    pub speaker: String,
    /// Which clip; `None` takes, among the speaker's clips of the largest picture, the one whose lips are most firmly
    /// closed and most still as it begins.
    pub clip: Option<String>,
    /// What users will call the face.
    pub name: String,
    /// Side of a square around the head to show, its lower edge that of the video; `None` shows the whole picture,
    /// but for blank lines at its top.
    pub square: Option<u32>,
}

/// Video frames at the start of a clip over which the lips must be still.
const STILL_VIDEO_FRAMES: usize = 6;
/// A clip that begins with less silence than this may show lips on their way to the first phoneme.
const MIN_SILENCE_S: f32 = 0.32;

/// Builds a face out of the first video frame of a clip; its performance is measured on all clips of the speaker and size.
///
/// # Errors
/// [`FaceError::Clip`] where no clip serves, [`FaceError::Data`] where the corpus cannot be read.
pub fn build(options: &BuildOptions) -> Result<FaceAsset, FaceError> {
    let refuse = |clip: &str, why: &str| FaceError::Clip { clip: clip.into(), why: why.into() };
    let clips = grid_clips(&options.corpus, &options.speaker)?;
    let clip = match &options.clip {
        Some(name) => clips.iter().find(|clip| clip.listed.clip == *name),
        None => best(&clips),
    };
    let clip =
        clip.ok_or_else(|| refuse(&options.speaker, "no such clip, or none that begins in silence, lips closed"))?;
    let id = clip.listed.id();
    let affines = clip.affines().ok_or_else(|| refuse(&id, "it has no landmarks of a face"))?;
    let affine = *affines.first().ok_or_else(|| refuse(&id, "it has no landmarks of a face"))?;

    let mut first = None;
    video::each_picture(&clip.listed.video(&options.corpus), |k, picture| {
        if k == 0 {
            first = Some(picture.clone());
        }
        Ok(())
    })?;
    let video_frame = first.ok_or_else(|| refuse(&id, "it has no video"))?;
    let (width, height) = video_frame.dimensions();
    let crop_rgb = Warp::new([width as usize, height as usize], &affine, all_pixels(CROP_WIDTH, CROP_HEIGHT))
        .pixels(video_frame.as_raw());

    // Even sides, which video needs.
    let side = options.square.map_or(u32::MAX, |side| side & !1);
    let (shown_width, shown_height) = (side.min(width & !1), side.min((height - blank_lines(&video_frame)) & !1));
    let centre = affine.apply([CROP_WIDTH as f32 / 2.0, CROP_HEIGHT as f32 / 2.0]);
    let left = (centre[0] - shown_width as f32 / 2.0).round().clamp(0.0, (width - shown_width) as f32) as u32;
    let top = height - shown_height;
    let shown = image::imageops::crop_imm(&video_frame, left, top, shown_width, shown_height).to_image();

    let mut face = FaceAsset {
        name: options.name.clone(),
        origin: format!(
            "GRID corpus (Cooke, Barker, Cunningham, Shao 2006), speaker {}, clip {}",
            clip.listed.speaker, clip.listed.clip
        ),
        licence: "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/; one video frame, cut out".into(),
        picture: Picture { width: shown_width, height: shown_height, rgb: shown.into_raw() },
        crop_rgb,
        affine: affine.moved(-(left as f32), -(top as f32)),
        performance: None,
    };
    face.check()?;
    if let Some(points) = clip.faces().and_then(<[_]>::first) {
        let shown = points.map(|[x, y]| [x - left as f32, y - top as f32]);
        let alike: Vec<&GridClip> = clips.iter().filter(|other| other.area() == clip.area()).collect();
        face.performance = performance::measure(&alike, &options.corpus, &face, &shown)?;
        face.check()?;
    }
    Ok(face)
}

/// Lines at the top that carry no picture, as analogue cameras leave them: markedly darker than what follows.
fn blank_lines(picture: &RgbImage) -> u32 {
    const MOST: u32 = 4;
    if picture.height() <= MOST {
        return 0;
    }
    let line = |row: u32| -> u64 {
        (0..picture.width()).map(|x| picture.get_pixel(x, row).0.iter().map(|&v| u64::from(v)).sum::<u64>()).sum()
    };
    let first_whole = line(MOST);
    (0..MOST).rev().find(|&row| 3 * line(row) < 2 * first_whole).map_or(0, |row| row + 1)
}

/// The clip with the most firmly closed and still lips at its start, among those of the largest picture.
fn best(clips: &[GridClip]) -> Option<&GridClip> {
    let largest = clips.iter().map(GridClip::area).max()?;
    let serves = |clip: &&GridClip| clip.area() == largest && clip.first_sound_s().is_some_and(|s| s >= MIN_SILENCE_S);
    let openings = clips.iter().filter(serves).filter_map(|clip| {
        let openings = clip.lip_openings(STILL_VIDEO_FRAMES)?;
        // The first video frame is the one that is shown; the others must not differ from it.
        let restless = openings.iter().map(|opening| (opening - openings[0]).abs()).fold(0.0, f32::max);
        Some((clip, openings[0] + restless))
    });
    openings.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(clip, _)| clip)
}

#[cfg(test)]
mod tests;
