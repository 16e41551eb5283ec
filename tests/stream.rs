//! What goes to stdout while it is being made, read by FFmpeg from a pipe and by Chromium, and what programs that are killed
//! leave behind.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::util::{fails, names, package, paravox};

const TEXT: &str = "Hello, I am your assistant. What can I do for you today? Tell me all about it.";

fn stdout_of(args: &[&str]) -> Vec<u8> {
    let output = paravox().args(["speak", TEXT, "-o", "-"]).args(args).arg("--voice").arg(package()).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Runs a program that reads stdin.
fn piped(program: &str, args: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{program} ({error}): install FFmpeg"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{program} complains");
    output.stdout
}

#[test]
fn fragments_play_from_a_pipe_and_hold_what_the_file_holds() {
    let stream = stdout_of(&["--fps", "29.97"]);
    let args = ["-v", "warning", "-show_streams", "-count_frames", "-of", "json", "-i", "pipe:0"];
    let probe: Value = serde_json::from_slice(&piped("ffprobe", &args, &stream)).unwrap();
    let streams = probe["streams"].as_array().unwrap();
    assert_eq!((&streams[0]["codec_name"], &streams[1]["codec_name"]), (&"h264".into(), &"aac".into()));
    assert_eq!((&streams[0]["r_frame_rate"], &streams[1]["sample_rate"]), (&"30000/1001".into(), &"24000".into()));
    // FFmpeg shows the priming of a stream's sound before 0, where it does no harm, and cuts it off in a file.
    let starts: Vec<f64> =
        streams.iter().map(|stream| stream["start_time"].as_str().unwrap().parse().unwrap()).collect();
    assert!(starts[0].abs() < 1e-6 && (starts[1] + 1024.0 / 24_000.0).abs() < 1e-6, "{starts:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    paravox().args(["speak", TEXT, "--fps", "29.97", "-o"]).arg(&path).arg("--voice").arg(package()).assert().success();
    let file = std::fs::read(path).unwrap();
    let decoded = |input: &[u8], args: &[&str]| {
        piped("ffmpeg", &[&["-v", "warning", "-i", "pipe:0"], args, &["-"]].concat(), input)
    };
    let pictures = ["-map", "0:v", "-fps_mode", "passthrough", "-f", "md5"];
    assert_eq!(decoded(&stream, &pictures), decoded(&file, &pictures));
    let sound = ["-map", "0:a", "-f", "s16le"];
    let (of_stream, of_file) = (decoded(&stream, &sound), decoded(&file, &sound));
    assert!(of_stream[2 * 1024..].starts_with(&of_file[..of_file.len() - 2 * 1024]));
    // Fragments of half a second, each with both tracks.
    let count = |name: &[u8; 4]| stream.windows(4).filter(|window| *window == name).count();
    let seconds = f64::from(streams[0]["nb_read_frames"].as_str().unwrap().parse::<u32>().unwrap()) / 29.97;
    assert!((count(b"moof") as f64 - 2.0 * seconds).abs() < 3.0, "{} in {seconds} s", count(b"moof"));
    // The last may have what one track has left.
    assert_eq!((count(b"moov"), count(b"tfdt").div_ceil(2)), (1, count(b"moof")));
}

#[test]
fn the_first_fragment_comes_before_the_text_is_read_to_its_end() {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("paravox"));
    command.args(["speak", "-", "-o", "-", "--voice"]).arg(package());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Paragraphs are spoken when they are whole; the one that follows never comes.
    stdin.write_all(format!("{TEXT}\n\n{TEXT}\n\n{TEXT}\n\nNot").as_bytes()).unwrap();
    stdin.flush().unwrap();
    let mut seen = vec![0; 20_000];
    child.stdout.take().unwrap().read_exact(&mut seen).unwrap();
    assert!(seen.windows(4).any(|window| window == b"moof"));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn wav_goes_to_stdout_too() {
    let stream = stdout_of(&["--format", "wav"]);
    let args = ["-v", "error", "-i", "pipe:0", "-f", "s16le", "-"];
    assert_eq!(piped("ffmpeg", &args, &stream), stream[44..]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    paravox().args(["speak", TEXT, "-o"]).arg(&path).arg("--voice").arg(package()).assert().success();
    assert!(std::fs::read(path).unwrap()[44..] == stream[44..]);
}

#[test]
fn captions_and_cues_are_in_the_file_unless_they_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let (path, captions) = (folder.path().join("a.mp4"), folder.path().join("a.srt"));
    let mut command = paravox();
    command.args(["speak", TEXT, "-o"]).arg(&path).arg("--cues").arg(&captions).arg("--voice").arg(package());
    command.assert().success();
    let probe = |path: &Path| -> Vec<Value> {
        let args = ["-v", "warning", "-show_streams", "-of", "json"];
        let output = Command::new("ffprobe").args(args).arg(path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let probe: Value = serde_json::from_slice(&output.stdout).unwrap();
        probe["streams"].as_array().unwrap().clone()
    };
    let streams = probe(&path);
    assert_eq!(streams.len(), 3);
    assert_eq!((&streams[2]["codec_name"], &streams[2]["tags"]["language"]), (&"mov_text".into(), &"eng".into()));
    // What a player reads out of the file is the file of captions.
    let run = |args: &[&str]| {
        let output = Command::new("ffmpeg").args(["-v", "error", "-i"]).arg(&path).args(args).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        String::from_utf8(output.stdout).unwrap()
    };
    let expected = std::fs::read_to_string(&captions).unwrap();
    // FFmpeg writes the font of the captions as tags.
    let srt = run(&["-map", "0:s", "-f", "srt", "-"]);
    let tags = regex::Regex::new("<[^>]*>").unwrap();
    let srt = tags.replace_all(&srt, "");
    assert_eq!(srt.trim().lines().count(), expected.trim().lines().count(), "{srt}");
    for (shown, expected) in srt.trim().lines().zip(expected.trim().lines()) {
        // FFmpeg rounds times down to a millisecond.
        let times = |line: &str| -> Vec<u64> {
            let digits = |time: &str| time.replace([':', ','], "").parse().unwrap();
            line.split(" --> ").map(digits).collect()
        };
        let is_near = || times(shown).into_iter().zip(times(expected)).all(|(a, b)| a.abs_diff(b) <= 1);
        assert!(if expected.contains(" --> ") { is_near() } else { shown == expected }, "{srt}");
    }
    // The last box of the file is what `--cues` writes: 4 bytes of size, "uuid", 16 bytes of type, JSON.
    let json = folder.path().join("a.json");
    let mut command = paravox();
    command.args(["speak", TEXT, "-o"]).arg(&path).arg("--cues").arg(&json).arg("--voice").arg(package());
    command.assert().success();
    let (file, json) = (std::fs::read(&path).unwrap(), std::fs::read(&json).unwrap());
    let (head, embedded) = file.split_at(file.len() - json.len());
    assert!(embedded == json && head[head.len() - 20..].starts_with(b"uuid"));
    let mut command = paravox();
    command.args(["speak", TEXT, "--no-embedded-cues", "-o"]).arg(&path).arg("--voice").arg(package());
    command.assert().success();
    assert_eq!(probe(&path).len(), 2);
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("paravox"));
    command.args(["speak", &TEXT.repeat(20), "-o", "-", "--voice"]).arg(package());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdout.take().unwrap().read_exact(&mut [0; 100]).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Whatever ends a program in the middle, no half-written file is there, hidden or not.
#[cfg(target_os = "linux")]
#[test]
fn a_killed_program_leaves_nothing() {
    for signal in ["-KILL", "-INT", "-TERM"] {
        for name in ["a.mp4", "a.wav"] {
            let folder = tempfile::tempdir().unwrap();
            // A shell starts what it puts in the background with SIGINT ignored, and every child inherits that.
            let mut command = Command::new("env");
            command.arg("--default-signal=INT,TERM").arg(assert_cmd::cargo::cargo_bin!("paravox"));
            command.args(["speak", "-", "-o"]).arg(folder.path().join(name));
            command.arg("--cues").arg(folder.path().join("a.json")).arg("--voice").arg(package());
            let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
            let mut stdin = child.stdin.take().unwrap();
            stdin.write_all(format!("{TEXT}\n\n").repeat(3).as_bytes()).unwrap();
            stdin.flush().unwrap();
            // It has begun when it has a file open in the folder; it waits for more text then.
            let folder_name = folder.path().to_str().unwrap().to_owned();
            let has_begun = || {
                let links = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
                let targets = links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok());
                targets.into_iter().any(|target| target.to_string_lossy().starts_with(&folder_name))
            };
            let until = std::time::Instant::now() + std::time::Duration::from_secs(120);
            while !has_begun() {
                assert!(std::time::Instant::now() < until, "{signal} {name}: it does not begin");
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            let kill = format!("kill {signal} {}", child.id());
            assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
            let until = std::time::Instant::now() + std::time::Duration::from_secs(30);
            let status = loop {
                if let Some(status) = child.try_wait().unwrap() {
                    break status;
                }
                if std::time::Instant::now() > until {
                    child.kill().unwrap();
                    panic!("{signal} {name}: it goes on");
                }
                std::thread::sleep(std::time::Duration::from_millis(20));
            };
            assert!(!status.success());
            assert!(names(folder.path()).is_empty(), "{signal} {name}: {:?}", names(folder.path()));
        }
    }
}

#[test]
fn wrong_uses_of_cues_and_stdout_are_one_line() {
    let folder = tempfile::tempdir().unwrap();
    for (args, words) in [
        (vec!["-o", "a.wav", "--visemes", "arkit"], "--cues FILE.json"),
        (vec!["-o", "a.wav", "--cues", "a.vtt", "--visemes", "arkit"], "JSON"),
        (vec!["-o", "a.wav", "--cues", "a.txt"], ".marks"),
        (vec!["-o", "a.wav", "--visemes", "disney"], "oculus"),
    ] {
        let mut command = paravox();
        command.current_dir(folder.path()).args(["speak", "Hello."]).args(args).arg("--voice").arg(package());
        assert!(fails(&mut command, 2).contains(words));
    }
    assert!(names(folder.path()).is_empty());
}

/// The page that Chromium opens: it plays the file, and the stream by `MediaSource`, and reports what came of it.
const PAGE: &str = r#"<video id="file" src="/file" muted></video><video id="stream" muted></video><script>
const source = new MediaSource(), ended = [];
const report = text => { ended.push(text); if (ended.length == 2) fetch("/result?" + ended.join(";")); };
for (const video of document.querySelectorAll("video")) {
  video.onerror = () => report(video.id + ",error," + video.error.message);
  video.onended = () => report(
    [video.id, video.videoWidth, video.duration, video.currentTime, video.buffered.start(0)].join(","));
}
document.getElementById("stream").src = URL.createObjectURL(source);
source.onsourceopen = async () => {
  const buffer = source.addSourceBuffer('video/mp4; codecs="avc1.CODEC, mp4a.40.2"');
  const reader = (await fetch("/stream")).body.getReader();
  for (let part; !(part = await reader.read()).done;) {
    await new Promise(resolve => { buffer.onupdateend = resolve; buffer.appendBuffer(part.value); });
  }
  source.endOfStream();
};
document.querySelectorAll("video").forEach(video => video.play());
</script>"#;

/// Answers Chromium's requests until the result comes.
fn serve(listener: &std::net::TcpListener, page: &[u8], file: &[u8], stream: &[u8]) -> String {
    loop {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(&connection), &mut request).unwrap();
        let path = request.split(' ').nth(1).unwrap_or_default();
        if let Some(result) = path.strip_prefix("/result?") {
            return result.to_owned();
        }
        let (kind, body) = match path {
            "/" => ("text/html", page),
            "/file" => ("video/mp4", file),
            "/stream" => ("video/mp4", stream),
            _ => ("text/plain", &b""[..]),
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            body.len()
        );
        // A browser that has enough closes the connection.
        let _ = connection.write_all(head.as_bytes()).and_then(|()| connection.write_all(body));
    }
}

#[test]
#[ignore = "needs chromium"]
fn chromium_plays_the_file_and_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.mp4");
    paravox().args(["speak", TEXT, "-o"]).arg(&path).arg("--voice").arg(package()).assert().success();
    let stream = stdout_of(&[]);
    let at = stream.windows(4).position(|name| name == b"avcC").unwrap();
    let codec: String = stream[at + 5..at + 8].iter().map(|byte| format!("{byte:02x}")).collect();
    let page = PAGE.replace("CODEC", &codec);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut chromium = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .arg("--autoplay-policy=no-user-gesture-required")
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("http://{}/", listener.local_addr().unwrap()))
        .stderr(Stdio::null())
        .spawn()
        .expect("install Chromium to run this test");
    let result = serve(&listener, page.as_bytes(), &std::fs::read(path).unwrap(), &stream);
    chromium.kill().unwrap();
    chromium.wait().unwrap();
    eprintln!("{result}");
    let mut lines: Vec<Vec<&str>> = result.split(';').map(|line| line.split(',').collect()).collect();
    lines.sort();
    for (line, name) in lines.iter().zip(["file", "stream"]) {
        let numbers: Vec<f64> = line[1..].iter().map(|number| number.parse().expect(&result)).collect();
        let &[width, duration, current, start] = numbers.as_slice() else { panic!("{result}") };
        assert_eq!((line[0], width, start), (name, 128.0, 0.0), "{result}");
        assert!(duration > 2.0 && (duration - current).abs() < 0.1, "{result}");
    }
}
