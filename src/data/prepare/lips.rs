//! `paravox prepare lips`.

use std::path::{Path, PathBuf};

use super::grid::{self, GridClip};
use super::tcd_timit::{self, Sentence};
use super::{Progress, Summary, crop, each, settle};
use crate::data::lips::{LipsItem, LipsWriter, MouthPoints};
use crate::data::{DataError, Result, Split, video};
use crate::face::warp::{Warp, all_pixels};
use crate::face::{Affine, CROP_BYTES, CROP_HEIGHT, CROP_WIDTH};
use crate::text::Symbol;

/// What to prepare.
#[derive(Debug, Clone)]
pub struct LipsOptions {
    /// Folder of the corpus: with `clips.tsv` (the GRID layout) or `volunteers/` (the TCD-TIMIT layout).
    pub corpus: PathBuf,
    /// Folder of the dataset.
    pub out: PathBuf,
    /// Speakers to take; `None` takes all.
    pub speakers: Option<Vec<String>>,
    /// Adds to the dataset that is in `out` already.
    pub append: bool,
}

/// One clip of a corpus, not yet read.
enum Source {
    Grid(Box<GridClip>),
    TcdTimit(Sentence),
}

/// A clip with its own pixels.
struct Clip {
    speaker: String,
    clip: String,
    text: String,
    split: Split,
    symbols: Vec<Symbol>,
    boundaries_s: Vec<f32>,
    fps: f32,
    pixels: Vec<u8>,
    landmarks: Option<Vec<MouthPoints>>,
    affines: Vec<Affine>,
    picture_size: [u32; 2],
}

/// Makes a lip dataset out of a corpus.
///
/// # Errors
/// [`DataError::Corpus`] where the folder has neither layout or no usable clip, [`DataError::Program`] where ffmpeg is
/// missing, [`DataError::Exists`], [`DataError::Io`].
pub fn lips(options: &LipsOptions, progress: &mut dyn FnMut(Progress<'_>)) -> Result<Summary> {
    let sources = sources(options)?;
    let mut writer = LipsWriter::open(&options.out, options.append)?;
    let work = |_: usize, source: &Source| match source {
        Source::Grid(clip) => read_grid(&options.corpus, clip),
        Source::TcdTimit(sentence) => read_tcd_timit(sentence),
    };
    let store = |clip: Clip| {
        let n_video_frames = clip.pixels.len() / CROP_BYTES;
        writer.push(&LipsItem {
            speaker: &clip.speaker,
            clip: &clip.clip,
            text: &clip.text,
            split: clip.split,
            symbols: clip.symbols,
            boundaries_s: clip.boundaries_s,
            fps: clip.fps,
            n_video_frames,
            pixels: &clip.pixels,
            landmarks: clip.landmarks,
            affines: clip.affines,
            picture_size: clip.picture_size,
        })?;
        Ok(n_video_frames as f64 / f64::from(clip.fps))
    };
    let summary = each(&options.corpus, &sources, work, store, progress)?;
    writer.finish()?;
    Ok(summary)
}

fn sources(options: &LipsOptions) -> Result<Vec<Source>> {
    let speakers = options.speakers.as_deref();
    if options.corpus.join("clips.tsv").is_file() {
        let clips = grid::clips(&options.corpus, speakers)?;
        return Ok(clips.into_iter().map(|clip| Source::Grid(Box::new(clip))).collect());
    }
    if options.corpus.join("volunteers").is_dir() {
        return Ok(tcd_timit::sentences(&options.corpus, speakers)?.into_iter().map(Source::TcdTimit).collect());
    }
    let why = "neither the GRID layout (clips.tsv) nor the TCD-TIMIT layout (volunteers/)".into();
    Err(DataError::Corpus { why, path: options.corpus.clone() })
}

fn read_grid(corpus: &Path, clip: &GridClip) -> Result<Clip> {
    let refuse = |why: &str| DataError::item(&clip.listed.id(), why);
    let faces = clip.faces().ok_or_else(|| refuse("landmarks.npz does not have it"))?;
    let mut affines = clip.affines().ok_or_else(|| refuse("its landmarks show no face"))?;
    let video = clip.listed.video(corpus);
    let (first, picture_size, n_pictures) = crops(&video, &affines)?;
    // A codec may lose the last picture, but landmarks of another clip must not pass.
    if n_pictures.abs_diff(faces.len()) > 1 {
        return Err(refuse(&format!("{n_pictures} video frames, but landmarks of {}", faces.len())));
    }
    affines.truncate(n_pictures);
    for (affine, [right, down]) in affines.iter_mut().zip(settle::moves(&first)) {
        let scale = affine.0[0];
        *affine = affine.moved(scale * right, scale * down);
    }
    let (pixels, ..) = crops(&video, &affines)?;
    let landmarks: Option<Vec<MouthPoints>> = faces.iter().zip(&affines).map(|(f, a)| crop::mouth(f, a)).collect();
    let end_s = affines.len() as f32 / grid::FPS;
    let (symbols, boundaries_s) = clip.symbols(end_s)?;
    Ok(Clip {
        speaker: clip.listed.speaker.clone(),
        clip: clip.listed.clip.clone(),
        text: clip.listed.text.clone(),
        split: clip.listed.split,
        symbols,
        boundaries_s,
        fps: grid::FPS,
        pixels,
        landmarks,
        affines,
        picture_size,
    })
}

/// The crops of a video, the size of its pictures, and how many of these there are.
fn crops(video: &Path, affines: &[Affine]) -> Result<(Vec<u8>, [u32; 2], usize)> {
    let mut pixels = Vec::with_capacity(affines.len() * CROP_BYTES);
    let mut picture_size = [0; 2];
    let n_pictures = video::each_picture(video, |k, picture| {
        if let Some(affine) = affines.get(k) {
            let size = [picture.width() as usize, picture.height() as usize];
            let warp = Warp::new(size, affine, all_pixels(CROP_WIDTH, CROP_HEIGHT));
            pixels.extend_from_slice(&warp.pixels(picture.as_raw()));
            picture_size = [picture.width(), picture.height()];
        }
        Ok(())
    })?;
    Ok((pixels, picture_size, n_pictures))
}

fn read_tcd_timit(sentence: &Sentence) -> Result<Clip> {
    let pixels = sentence.pixels()?;
    let n_video_frames = pixels.len() / CROP_BYTES;
    let (symbols, boundaries_s) = sentence.symbols(n_video_frames as f32 / tcd_timit::FPS)?;
    Ok(Clip {
        speaker: sentence.speaker.clone(),
        clip: sentence.name.clone(),
        // The layout has no words, only phones.
        text: String::new(),
        split: sentence.split,
        symbols,
        boundaries_s,
        fps: tcd_timit::FPS,
        pixels,
        landmarks: None,
        // The crop is all that there is of the picture.
        affines: vec![Affine::scale_move(1.0, 0.0, 0.0); n_video_frames],
        picture_size: [CROP_WIDTH as u32, CROP_HEIGHT as u32],
    })
}

#[cfg(test)]
mod tests;
