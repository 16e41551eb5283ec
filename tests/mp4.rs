//! MP4 files as others read them: ffprobe and ffmpeg, which must be installed.

use std::path::Path;
use std::process::Command;

use paravox::sink::{Mp4Sink, Picture, Sink, SinkError, StreamInfo, VideoInfo};
use paravox::timeline::Fps;

const SAMPLE_RATE: u32 = 24_000;

/// Runs a program of FFmpeg and gives its stdout; anything on stderr is an error of the file.
fn run(program: &str, args: &[&str], path: &Path) -> Vec<u8> {
    let output = Command::new(program)
        .args(["-v", "warning"])
        .args(args.iter().map(|arg| if *arg == "FILE" { path.as_os_str() } else { arg.as_ref() }))
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): install FFmpeg to run this test"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{program} complains");
    output.stdout
}

fn probe(path: &Path) -> serde_json::Value {
    let args = ["-show_streams", "-show_format", "-show_entries", "stream", "-of", "json", "FILE"];
    serde_json::from_slice(&run("ffprobe", &args, path)).unwrap()
}

fn number(value: &serde_json::Value) -> f64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

fn decoded_pcm(path: &Path) -> Vec<f32> {
    let bytes = run("ffmpeg", &["-i", "FILE", "-map", "0:a", "-f", "f32le", "-"], path);
    bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes(chunk.try_into().unwrap())).collect()
}

/// Every decoded video frame in RGB.
fn decoded_pictures(path: &Path, width: usize, height: usize) -> Vec<Vec<u8>> {
    let args = ["-i", "FILE", "-map", "0:v", "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"];
    run("ffmpeg", &args, path).chunks_exact(3 * width * height).map(<[u8]>::to_vec).collect()
}

/// A picture with what is hard about a face: soft shading, edges, fine texture and saturated colour.
fn face(width: u32, height: u32, mouth_open: f64) -> Picture {
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (f64::from(x) / f64::from(width) - 0.5, f64::from(y) / f64::from(height) - 0.5);
            let skin = (1.0 - 2.0 * (u * u + v * v)).max(0.2);
            let grain =
                f64::from((x * 7919 + y * 104_729).wrapping_mul(2_654_435_761_u32.wrapping_mul(x ^ y)) >> 28) - 8.0;
            let lips = u * u / 0.03 + (v - 0.2) * (v - 0.2) / (0.001 + 0.01 * mouth_open) < 1.0;
            let colour = if lips { [150.0, 40.0, 50.0] } else { [220.0 * skin, 170.0 * skin, 140.0 * skin] };
            rgb.extend(colour.map(|value| (value + 0.5 * grain).clamp(0.0, 255.0) as u8));
        }
    }
    Picture { width, height, rgb }
}

fn grey(width: u32, height: u32, value: u8) -> Picture {
    Picture { width, height, rgb: vec![value; 3 * (width * height) as usize] }
}

fn info(width: u32, height: u32, fps: &str) -> StreamInfo {
    let fps: Fps = fps.parse().unwrap();
    StreamInfo { sample_rate: SAMPLE_RATE, video: Some(VideoInfo { width, height, fps }) }
}

fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let error: f64 = a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / error).log10()
}

/// A beep of 1 kHz from `start` on in silence.
fn beep(samples: usize, start: usize) -> Vec<f32> {
    let tone = |i: usize| 0.5 * (std::f32::consts::TAU * 1000.0 * (i - start) as f32 / SAMPLE_RATE as f32).sin();
    (0..samples).map(|i| if (start..start + 4800).contains(&i) { tone(i) } else { 0.0 }).collect()
}

/// Decoded sound has what was given. FFmpeg before version 7 plays the last access unit to its end, beyond the end of the
/// edit list: silence.
fn assert_sound_ends(decoded: &[f32], samples: usize) {
    assert!((samples..samples + 1024).contains(&decoded.len()), "{} PCM samples of {samples}", decoded.len());
}

#[test]
fn flash_and_beep_stay_together_at_every_rate() {
    for (fps, seconds) in [("25", 3.37), ("29.97", 31.0), ("23.976", 2.0), ("60", 1.01), ("12.5", 4.0), ("50", 0.1)] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.mp4");
        let info = info(64, 48, fps);
        let rate = info.video.unwrap().fps;
        let samples = (seconds * f64::from(SAMPLE_RATE)) as u64;
        let video_frames = rate.video_frames(samples, SAMPLE_RATE);
        let flash = video_frames * 2 / 3;
        let beep_sample = (flash as f64 / rate.as_f64() * f64::from(SAMPLE_RATE)).round() as usize;
        let pcm = beep(samples as usize, beep_sample);
        let mut sink = Box::new(Mp4Sink::new(&path));
        sink.begin(&info).unwrap();
        // A second at a time, sound first, as the engine gives sentences.
        for (second, piece) in pcm.chunks(SAMPLE_RATE as usize).enumerate() {
            sink.pcm(piece).unwrap();
            let start = second as u64 * u64::from(SAMPLE_RATE);
            for k in rate.video_frames_between(start, start + piece.len() as u64, SAMPLE_RATE) {
                sink.picture(&grey(64, 48, if k == flash { 250 } else { 20 })).unwrap();
            }
        }
        sink.finish().unwrap();

        let probed = probe(&path);
        let streams = probed["streams"].as_array().unwrap();
        assert_eq!(streams.len(), 2, "{fps}");
        let (video, audio) = (&streams[0], &streams[1]);
        assert_eq!((video["codec_name"].as_str(), audio["codec_name"].as_str()), (Some("h264"), Some("aac")));
        assert_eq!((audio["profile"].as_str(), audio["channels"].as_u64()), (Some("LC"), Some(1)));
        assert_eq!(audio["sample_rate"], "24000");
        assert_eq!((number(&video["start_time"]), number(&audio["start_time"])), (0.0, 0.0), "{fps}");
        assert_eq!(video["r_frame_rate"], format!("{}/{}", rate.num(), rate.den()));
        assert_eq!(video["avg_frame_rate"], video["r_frame_rate"]);
        assert_eq!(number(&video["nb_frames"]), video_frames as f64);
        let exact = |stream: &serde_json::Value, expected: f64| (number(&stream["duration"]) - expected).abs() < 2e-6;
        let sound_s = samples as f64 / f64::from(SAMPLE_RATE);
        // The sound's own clock counts the priming; what a player shows is the format's duration and what it decodes.
        assert!(exact(video, video_frames as f64 / rate.as_f64()), "{fps}: {video}");
        assert!(exact(audio, sound_s), "{fps}: {audio}");
        let longest = sound_s.max(video_frames as f64 / rate.as_f64());
        assert!((number(&probed["format"]["duration"]) - longest).abs() < 1e-3, "{fps}: {}", probed["format"]);

        let decoded = decoded_pcm(&path);
        assert_sound_ends(&decoded, pcm.len());
        // The codec smears an onset over some PCM samples; where the tone stands exactly tells the delay.
        let delay = (-30..=30_i64).max_by(|a, b| {
            let at = |delay: i64| {
                pcm.iter()
                    .enumerate()
                    .map(|(i, x)| x * decoded.get((i as i64 + delay) as usize).unwrap_or(&0.0))
                    .sum::<f32>()
            };
            at(*a).total_cmp(&at(*b))
        });
        assert_eq!(delay, Some(0), "{fps}");
        let onset = decoded.iter().position(|value| value.abs() > 0.25).unwrap();
        assert!(onset.abs_diff(beep_sample) <= 24, "{fps}: beep at {onset} instead of {beep_sample}");
        let pictures = decoded_pictures(&path, 64, 48);
        assert_eq!(pictures.len() as u64, video_frames);
        let bright: Vec<u64> = (0..video_frames).filter(|&k| pictures[k as usize][0] > 128).collect();
        assert_eq!(bright, [flash], "{fps}");
    }
}

#[test]
fn the_index_is_in_front_and_seeking_works() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let mut sink = Box::new(Mp4Sink::new(&path));
    sink.begin(&info(64, 64, "25")).unwrap();
    for _ in 0..125 {
        sink.pcm(&[0.1; 960]).unwrap();
        sink.picture(&grey(64, 64, 90)).unwrap();
    }
    assert!(!path.exists(), "no file under the final name before it is whole");
    sink.finish().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let mut names = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        names.push(String::from_utf8_lossy(&bytes[at + 4..at + 8]).into_owned());
        at += u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    }
    assert_eq!(at, bytes.len());
    assert_eq!(names, ["ftyp", "moov", "mdat"]);
    let args =
        ["-select_streams", "v", "-skip_frame", "nokey", "-show_entries", "frame=pts_time", "-of", "csv=p=0", "FILE"];
    let keys = String::from_utf8(run("ffprobe", &args, &path)).unwrap();
    assert_eq!(
        keys.split_whitespace().map(|time| time.trim_end_matches(',')).collect::<Vec<_>>(),
        ["0.000000", "2.000000", "4.000000"]
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn pictures_stay_clean_and_colours_true() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let pictures: Vec<Picture> = (0..50).map(|k| face(360, 288, (f64::from(k) * 0.4).sin().abs())).collect();
    let mut sink = Box::new(Mp4Sink::new(&path));
    sink.begin(&info(360, 288, "25")).unwrap();
    for picture in &pictures {
        sink.picture(picture).unwrap();
        sink.pcm(&[0.0; 960]).unwrap();
    }
    sink.finish().unwrap();
    let stream = &probe(&path)["streams"][0];
    assert_eq!((stream["color_space"].as_str(), stream["color_range"].as_str()), (Some("smpte170m"), Some("tv")));
    assert_eq!((stream["color_primaries"].as_str(), stream["color_transfer"].as_str()), (Some("bt709"), Some("bt709")));
    assert_eq!(stream["pix_fmt"], "yuv420p");
    for (k, (decoded, given)) in decoded_pictures(&path, 360, 288).iter().zip(&pictures).enumerate() {
        let psnr = psnr(decoded, &given.rgb);
        assert!(psnr >= 38.0, "video frame {k}: {psnr:.1} dB");
    }
}

#[test]
fn odd_sizes_become_even() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let mut sink = Box::new(Mp4Sink::new(&path));
    sink.begin(&info(161, 121, "29.97")).unwrap();
    sink.picture(&face(161, 121, 0.5)).unwrap();
    sink.pcm(&[0.0; 801]).unwrap();
    sink.finish().unwrap();
    let stream = &probe(&path)["streams"][0];
    assert_eq!((stream["width"].as_u64(), stream["height"].as_u64()), (Some(162), Some(122)));
    let decoded = &decoded_pictures(&path, 162, 122)[0];
    let (last, before) = (&decoded[3 * 161..3 * 162], &decoded[3 * 160..3 * 161]);
    assert!(last.iter().zip(before).all(|(a, b)| a.abs_diff(*b) < 12), "{last:?} {before:?}");
}

#[test]
fn sound_alone_is_a_file_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    for samples in [1, 1023, 1024, 1025, 5000] {
        let mut sink = Box::new(Mp4Sink::new(&path));
        sink.begin(&StreamInfo { sample_rate: SAMPLE_RATE, video: None }).unwrap();
        sink.pcm(&vec![0.25; samples]).unwrap();
        sink.finish().unwrap();
        assert_sound_ends(&decoded_pcm(&path), samples);
        let shown_s = number(&probe(&path)["streams"][0]["duration"]);
        assert!((shown_s - samples as f64 / f64::from(SAMPLE_RATE)).abs() < 2e-6, "{shown_s}");
    }
}

#[test]
fn loud_and_broken_sound_is_clipped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let mut sink = Box::new(Mp4Sink::new(&path));
    sink.begin(&StreamInfo { sample_rate: SAMPLE_RATE, video: None }).unwrap();
    sink.pcm(&[9.0, -9.0, f32::NAN, f32::INFINITY].repeat(3000)).unwrap();
    sink.finish().unwrap();
    assert!(decoded_pcm(&path).iter().all(|value| value.is_finite()));
}

#[test]
fn what_cannot_be_written_is_one_clear_line_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.mp4");
    let begun = |info: &StreamInfo| {
        let mut sink = Box::new(Mp4Sink::new(&path));
        sink.begin(info).map(|()| sink)
    };
    assert!(matches!(begun(&info(8, 8, "25")), Err(SinkError::Unsupported(_))));
    assert!(matches!(begun(&info(4000, 300, "25")), Err(SinkError::Unsupported(_))));
    assert!(matches!(begun(&StreamInfo { sample_rate: 24_001, video: None }), Err(SinkError::Unsupported(_))));
    assert!(matches!(begun(&info(64, 64, "25")).unwrap().picture(&grey(64, 62, 0)), Err(SinkError::Misuse(_))));
    assert!(matches!(begun(&info(64, 64, "25")).unwrap().finish(), Err(SinkError::Misuse(_))));
    let mut sink = begun(&info(64, 64, "25")).unwrap();
    sink.pcm(&[0.0; 24_000]).unwrap();
    assert!(matches!(sink.finish(), Err(SinkError::Misuse(_))), "video was announced and none came");
    let mut unfinished = begun(&info(64, 64, "25")).unwrap();
    unfinished.pcm(&[0.0; 240_000]).unwrap();
    drop(unfinished);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_one_clear_line() {
    let mut sink = Box::new(Mp4Sink::new("/dev/full"));
    sink.begin(&info(64, 64, "25")).unwrap();
    sink.pcm(&[0.0; 24_000]).unwrap();
    sink.picture(&grey(64, 64, 0)).unwrap();
    let message = sink.finish().unwrap_err().to_string();
    assert_eq!(message, "cannot write the file: No space left on device (os error 28): /dev/full");
}
