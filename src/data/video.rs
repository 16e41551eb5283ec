//! Pictures and sound of a video file, decoded by the `ffmpeg` program.

use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use image::RgbImage;

use super::{DataError, Result};

/// Refuses sizes that no video of a face has, before memory is taken for them.
const MAX_SIDE: u32 = 16_384;

/// Ends and reaps the program whatever happens.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only where the program has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Calls `picture` with every video frame in turn, one in memory at a time, and returns how many there were.
pub(crate) fn each_picture(path: &Path, mut picture: impl FnMut(usize, &RgbImage) -> Result<()>) -> Result<usize> {
    // Each picture comes as a PPM file, which says its own size.
    let output = ["-map", "0:v:0", "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-"];
    decode(path, &output, |reader| {
        let mut n = 0;
        while let Some(image) = read_ppm(reader).map_err(DataError::io(path))? {
            picture(n, &image)?;
            n += 1;
        }
        Ok(n)
    })
}

/// The sound as mono PCM at `sample_rate`.
pub(crate) fn sound(path: &Path, sample_rate: u32) -> Result<Vec<f32>> {
    let rate = sample_rate.to_string();
    let output = ["-map", "0:a:0", "-ac", "1", "-ar", &rate, "-f", "f32le", "-"];
    let mut pcm = Vec::new();
    decode(path, &output, |reader| {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(DataError::io(path))?;
        pcm.extend(bytes.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)));
        Ok(pcm.len())
    })?;
    Ok(pcm)
}

/// Runs ffmpeg on a file and reads what it writes; `read` says how much that was.
fn decode(
    path: &Path,
    output: &[&str],
    read: impl FnOnce(&mut BufReader<ChildStdout>) -> Result<usize>,
) -> Result<usize> {
    let mut errors = tempfile::tempfile().map_err(DataError::io(&std::env::temp_dir()))?;
    let stderr = errors.try_clone().map_err(DataError::io(&std::env::temp_dir()))?;
    // "file:" keeps a name with a colon from being read as a protocol.
    let mut input = std::ffi::OsString::from("file:");
    input.push(path);
    let child = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-threads", "1", "-i"])
        .arg(input)
        .args(output)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn();
    let mut running = Running(child.map_err(|e| DataError::Program {
        program: "ffmpeg",
        why: match e.kind() {
            std::io::ErrorKind::NotFound => "is not installed or not on the PATH: install it to read video".into(),
            _ => format!("cannot be started: {e}"),
        },
    })?);
    let stdout = running.0.stdout.take().expect("stdout is piped");
    let n = read(&mut BufReader::with_capacity(1 << 16, stdout))?;
    let status = running.0.wait().map_err(DataError::io(path))?;
    if !status.success() || n == 0 {
        let mut said = String::new();
        let _ = errors.rewind().and_then(|()| errors.read_to_string(&mut said));
        let why = said.lines().next().unwrap_or("nothing of that kind in it").to_string();
        return Err(DataError::Corpus {
            why: format!("ffmpeg cannot read this video: {why}"),
            path: path.to_path_buf(),
        });
    }
    Ok(n)
}

/// One binary PPM picture of a stream of them; `None` at its end.
fn read_ppm(reader: &mut impl BufRead) -> std::io::Result<Option<RgbImage>> {
    let bad = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, why);
    // ffmpeg writes the header as "P6\nWIDTH HEIGHT\n255\n".
    let mut line = || -> std::io::Result<String> {
        let mut line = Vec::new();
        reader.take(16).read_until(b'\n', &mut line)?;
        Ok(String::from_utf8(line).map_err(|_| bad("no PPM header"))?.trim_end().to_string())
    };
    let magic = line()?;
    if magic.is_empty() {
        return Ok(None);
    }
    let (size, depth) = (line()?, line()?);
    let (width, height) = size.split_once(' ').ok_or_else(|| bad("no PPM size"))?;
    let side = |text: &str| text.parse::<u32>().ok().filter(|side| (1..=MAX_SIDE).contains(side));
    let (Some(width), Some(height), "P6", "255") = (side(width), side(height), magic.as_str(), depth.as_str()) else {
        return Err(bad("no PPM header"));
    };
    let mut rgb = vec![0; width as usize * height as usize * 3];
    reader.read_exact(&mut rgb)?;
    Ok(Some(RgbImage::from_raw(width, height, rgb).expect("as many bytes as the size needs")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_of_pictures_is_split_and_a_cut_one_is_refused() {
        let mut stream = b"P6\n2 1\n255\nabcdef".to_vec();
        stream.extend_from_slice(b"P6\n1 1\n255\n\n\n\n");
        let mut reader = &stream[..];
        let first = read_ppm(&mut reader).unwrap().unwrap();
        assert_eq!((first.dimensions(), first.as_raw().as_slice()), ((2, 1), &b"abcdef"[..]));
        assert_eq!(read_ppm(&mut reader).unwrap().unwrap().as_raw(), b"\n\n\n");
        assert!(read_ppm(&mut reader).unwrap().is_none());
        for bad in
            [&b"P6\n2 1\n255\nabc"[..], b"P5\n2 1\n255\nab", b"P6\n99999 1\n255\nab", b"\xff\xfe\n", b"P6\n21\n255\n"]
        {
            let mut reader = bad;
            assert!(read_ppm(&mut reader).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_no_video_is_refused_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.mp4");
        std::fs::write(&path, b"this is no video").unwrap();
        let error = each_picture(&path, |_, _| Ok(())).unwrap_err();
        assert!(matches!(error, DataError::Corpus { .. } | DataError::Program { .. }), "{error:?}");
        assert_eq!(error.to_string().lines().count(), 1, "{error}");
    }
}
