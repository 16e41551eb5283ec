//! Samples to look at and to hear: mel spectrograms and contact sheets of lip crops as PNG, speech as WAV.

use std::io::Cursor;
use std::path::Path;

use image::{ImageFormat, Rgb, RgbImage};

use super::checkpoint::write_atomically;
use super::error::{Result, TrainError};

/// Natural-log mel values that are drawn black and white.
const MEL_RANGE: (f32, f32) = (-11.5, 2.0);

/// Writes mel spectrograms, (T, n_mels) each, one below the other: time to the right, high bins on top, one dark line
/// between.
pub(crate) fn write_mels(path: &Path, n_mels: usize, mels: &[&[f32]]) -> Result<()> {
    let width = mels.iter().map(|mel| mel.len() / n_mels).max().unwrap_or(0).max(1);
    let mut picture = RgbImage::new(width as u32, (mels.len() * (n_mels + 1)) as u32);
    for (row, mel) in mels.iter().enumerate() {
        for (x, mel_frame) in mel.chunks_exact(n_mels).enumerate() {
            for (bin, value) in mel_frame.iter().enumerate() {
                let y = row * (n_mels + 1) + n_mels - 1 - bin;
                picture.put_pixel(x as u32, y as u32, heat((value - MEL_RANGE.0) / (MEL_RANGE.1 - MEL_RANGE.0)));
            }
        }
    }
    write_png(path, &picture)
}

/// Black, red, yellow, white.
fn heat(place: f32) -> Rgb<u8> {
    let channel = |from: f32| ((3.0 * place - from).clamp(0.0, 1.0) * 255.0) as u8;
    Rgb([channel(0.0), channel(1.0), channel(2.0)])
}

/// Writes rows of pictures, (height, width, 3) bytes each, edge to edge.
pub(crate) fn write_contact_sheet(path: &Path, (width, height): (usize, usize), rows: &[Vec<Vec<u8>>]) -> Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let mut sheet = RgbImage::new((columns * width) as u32, (rows.len().max(1) * height) as u32);
    for (j, row) in rows.iter().enumerate() {
        for (i, pixels) in row.iter().enumerate() {
            for (n, pixel) in pixels.as_chunks::<3>().0.iter().enumerate().take(width * height) {
                sheet.put_pixel((i * width + n % width) as u32, (j * height + n / width) as u32, Rgb(*pixel));
            }
        }
    }
    write_png(path, &sheet)
}

fn write_png(path: &Path, picture: &RgbImage) -> Result<()> {
    let mut bytes = Cursor::new(Vec::new());
    picture
        .write_to(&mut bytes, ImageFormat::Png)
        .map_err(|error| TrainError::write(path, std::io::Error::other(error)))?;
    write_atomically(path, bytes.get_ref())
}

/// Writes mono PCM in -1..1 as 16-bit WAV.
pub(crate) fn write_wav(path: &Path, sample_rate: u32, pcm: &[f32]) -> Result<()> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut bytes = Cursor::new(Vec::new());
    let mut write = || -> hound::Result<()> {
        let mut writer = hound::WavWriter::new(&mut bytes, spec)?;
        for value in pcm {
            writer.write_sample((value.clamp(-1.0, 1.0) * 32_767.0).round() as i16)?;
        }
        writer.finalize()
    };
    write().map_err(|error| TrainError::write(path, std::io::Error::other(error)))?;
    write_atomically(path, bytes.get_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sheets_and_mels_have_their_pixels_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sheet.png");
        let plain = |value: u8| vec![value; 2 * 3 * 3];
        write_contact_sheet(&path, (3, 2), &[vec![plain(10), plain(20)], vec![plain(30)]]).unwrap();
        let sheet = image::open(&path).unwrap().to_rgb8();
        assert_eq!(sheet.dimensions(), (6, 4));
        let at = |x, y| sheet.get_pixel(x, y).0[0];
        assert_eq!([at(2, 1), at(3, 0), at(0, 2), at(5, 3)], [10, 20, 30, 0]);

        let path = folder.path().join("mel.png");
        let (quiet, loud) = ([-20.0f32; 4], [5.0f32; 6]);
        write_mels(&path, 2, &[&quiet, &loud]).unwrap();
        let mels = image::open(&path).unwrap().to_rgb8();
        assert_eq!(mels.dimensions(), (3, 6));
        assert_eq!((mels.get_pixel(0, 0).0, mels.get_pixel(2, 4).0), ([0; 3], [255; 3]));
    }

    #[test]
    fn wav_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.wav");
        write_wav(&path, 24_000, &[0.0, 0.5, -1.0, 2.0]).unwrap();
        let mut reader = hound::WavReader::open(&path).unwrap();
        assert_eq!(reader.spec().sample_rate, 24_000);
        let pcm: Vec<i16> = reader.samples::<i16>().map(|value| value.unwrap()).collect();
        assert_eq!(pcm, [0, 16_384, -32_767, 32_767]);
    }
}
