//! Bad input: each case is one clear line, a status that is not 0, and nothing half-written.

use std::path::Path;

use crate::util::{fails, names, package, package_copy, paravox};
use candle_core::Device;
use paravox_models::params::Params;

/// `paravox speak ... -o folder/NAME` with the test package.
fn speak(folder: &Path, text: &[&str], name: &str) -> assert_cmd::Command {
    let mut command = paravox();
    command.arg("speak").args(text).arg("-o").arg(folder.join(name)).arg("--voice").arg(package());
    command
}

#[test]
fn text_without_words() {
    let folder = tempfile::tempdir().unwrap();
    for text in ["", "   \n\n\t", "... !? --"] {
        for name in ["a.wav", "a.mp4"] {
            assert!(fails(&mut speak(folder.path(), &[text], name), 2).contains("nothing to say"));
        }
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn binary_junk() {
    let folder = tempfile::tempdir().unwrap();
    let junk = folder.path().join("junk.bin");
    let bytes: Vec<u8> = (0..200_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(&junk, bytes).unwrap();
    let message = fails(&mut speak(folder.path(), &["-f", junk.to_str().unwrap()], "a.wav"), 1);
    assert!(message.contains("junk.bin") && message.contains("not text"), "{message}");
    let message = fails(speak(folder.path(), &["-"], "a.wav").write_stdin(&b"Good words, then \xff\xfe."[..]), 1);
    assert!(message.contains("stdin") && message.contains("UTF-8"), "{message}");
    assert_eq!(names(folder.path()), [Path::new("junk.bin")]);
}

#[test]
fn missing_text_file() {
    let folder = tempfile::tempdir().unwrap();
    let message = fails(&mut speak(folder.path(), &["-f", "/nonexistent/text.txt"], "a.wav"), 1);
    assert!(message.contains("/nonexistent/text.txt"), "{message}");
    assert_eq!(message.matches("No such file").count(), 1, "{message}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn unknown_voice_and_face() {
    let folder = tempfile::tempdir().unwrap();
    let message = fails(speak(folder.path(), &["Hello."], "a.mp4").args(["--face", "nobody"]), 2);
    assert!(message.contains("'nobody'") && message.contains("test"), "{message}");
    let mut command = paravox();
    command.args(["speak", "Hello.", "--voice", "nobody", "-o"]).arg(folder.path().join("a.wav"));
    let output = command.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && message.lines().count() == 1, "{message}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn unwritable_output() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["missing/a.wav", "missing/a.mp4"] {
        let message = fails(&mut speak(folder.path(), &["Hello."], name), 1);
        assert!(message.contains("missing"), "{message}");
    }
    // A folder of that name is in the way.
    std::fs::create_dir(folder.path().join("b.wav")).unwrap();
    fails(&mut speak(folder.path(), &["Hello."], "b.wav"), 1);
    assert_eq!(names(folder.path()), [Path::new("b.wav")]);
}

/// A limit on the size of files stands for a full disk: both come to the program as a failing write.
#[cfg(unix)]
#[test]
fn full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let text = "The disk is full before this sentence ends. ".repeat(4);
    for name in ["a.wav", "a.mp4"] {
        let mut command = assert_cmd::Command::new("sh");
        // Without the trap, the signal of the limit would kill the program.
        command.args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""]);
        command.arg(assert_cmd::cargo::cargo_bin!("paravox"));
        command.args(["speak", &text, "-o"]).arg(folder.path().join(name)).arg("--voice").arg(package());
        let message = fails(&mut command, 1);
        assert!(message.contains(name), "{message}");
    }
    assert!(names(folder.path()).is_empty(), "{:?}", names(folder.path()));
}

#[cfg(target_os = "linux")]
#[test]
fn full_stdout() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("paravox"));
    command.args(["plan", "Hello.", "--json", "--voice"]).arg(package()).stdout(full);
    let output = command.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert_eq!(message.lines().count(), 1, "{message}");
}

#[test]
fn truncated_weights() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["voice.safetensors", "vocoder.safetensors", "lips.safetensors"] {
        let package = package_copy();
        let path = package.path().join(file);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let run = || {
            let mut command = paravox();
            command.args(["speak", "Hello.", "-o"]).arg(folder.path().join("a.mp4"));
            fails(command.arg("--voice").arg(package.path()), 1)
        };
        let message = run();
        assert!(message.contains(file) && message.contains("sha256"), "{message}");
        // Whoever also makes the manifest fit is still told.
        paravox::voice::seal(package.path()).unwrap();
        let message = run();
        assert!(message.contains(file), "{message}");
    }
    assert!(names(folder.path()).is_empty());
}

#[test]
fn wrong_config() {
    let folder = tempfile::tempdir().unwrap();
    let package = package_copy();
    let run = || {
        let mut command = paravox();
        command.args(["speak", "Hello.", "-o"]).arg(folder.path().join("a.wav"));
        fails(command.arg("--voice").arg(package.path()), 1)
    };
    let params = Params::new(0, &Device::Cpu);
    crate::util::write(&package.path().join("voice.safetensors"), &params, "n_voices = 1\nhidden_size = 3\n");
    paravox::voice::seal(package.path()).unwrap();
    let message = run();
    assert!(message.contains("voice.safetensors") && message.contains("hidden_size"), "{message}");

    std::fs::write(package.path().join("manifest.json"), r#"{"schema": 1, "voice": []}"#).unwrap();
    let message = run();
    assert!(message.contains("manifest.json") && message.contains("voice"), "{message}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let mut cases: Vec<Vec<&str>> = vec![
        vec!["speak", "Hello."],
        vec!["speak", "Hello.", "-o", "a.ogg"],
        vec!["speak", "Hello.", "-o", "a.wav", "--speed", "fast"],
        vec!["speak", "Hello.", "-o", "a.mp4", "--fps", "0"],
        vec!["speak", "-o", "a.wav"],
        vec!["speek"],
    ];
    let package = package().to_str().unwrap();
    for option in [["--speed", "9"], ["--length", "0"], ["--length", "1e9"], ["--pause", "-1"]] {
        cases.push(["speak", "Hello.", "-o", "a.wav", "--voice", package].into_iter().chain(option).collect());
    }
    for case in cases {
        fails(paravox().current_dir(folder.path()).args(&case), 2);
    }
    assert!(names(folder.path()).is_empty());
}

/// 1 MB of text is planned in memory that does not grow with it; a tenth of it is read, which shows growth as well.
#[cfg(target_os = "linux")]
#[test]
fn a_megabyte_of_text() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.txt");
    // One line without an end: the hardest shape for a reader by paragraphs.
    std::fs::write(&path, "The rain in Spain stays mainly in the plain, they say; who knows? ".repeat(16_000)).unwrap();
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("paravox"));
    command.arg("plan").arg("-f").arg(&path).arg("--voice").arg(package());
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut peak_kib = Vec::new();
    // The first tenth settles all caches; from there on nothing may grow with the text.
    for count in 1..=100_000 {
        let line = lines.next().expect("the plan of a megabyte has more lines").unwrap();
        assert!(line.split('\t').count() == 4, "{line}");
        if count == 10_000 || count == 100_000 {
            peak_kib.push(peak_memory_kib(child.id()));
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(peak_kib[1] < 1024 * 1024, "{peak_kib:?} KiB");
    assert!(peak_kib[1] < peak_kib[0] + 64 * 1024, "memory grows with the text: {peak_kib:?} KiB");
}

#[cfg(target_os = "linux")]
fn peak_memory_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
