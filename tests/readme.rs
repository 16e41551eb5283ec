//! The README says what is so.

use std::path::Path;

use crate::util::paravox;

fn read(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap()
}

/// Every command of a line of shell that begins with `paravox` or `cargo run --release --`.
fn commands(text: &str) -> Vec<Vec<String>> {
    let commands = text.lines().filter_map(|line| {
        let line = line.trim();
        let args = line.strip_prefix("paravox ").or_else(|| line.strip_prefix("cargo run --release -- "))?;
        Some(words(args))
    });
    commands.collect()
}

/// Splits at spaces outside of double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (i, part) in line.split('"').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_string());
        } else {
            words.extend(part.split_whitespace().map(str::to_string));
        }
    }
    words
}

#[test]
fn sub_commands_exist() {
    let readme = read("README.md");
    let mut seen = 0;
    for code in readme.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("paravox ")) {
        let name = code.split_whitespace().next().unwrap();
        // In the program where it was built with that feature.
        if name == "play" && cfg!(not(feature = "playback")) {
            continue;
        }
        seen += 1;
        paravox().args([name, "--help"]).assert().success();
    }
    assert!(seen >= 8, "{seen}");
}

/// Commands that work on corpora have no voice to refuse: their options are read as far as their help.
const ON_CORPORA: [&str; 5] = ["train", "prepare", "align", "eval", "export"];

/// Commands are parsed with an option that ends the run after the command line is understood.
#[test]
fn commands_parse() {
    let commands = commands(&read("README.md"));
    assert!(commands.len() >= 4, "{commands:?}");
    for args in commands {
        let folder = tempfile::tempdir().unwrap();
        if ON_CORPORA.contains(&&*args[0]) {
            paravox().current_dir(folder.path()).args(&args).arg("--help").assert().success();
            // The folders that they work on are not there: that is what fails, not the command line.
            let status = paravox().current_dir(folder.path()).args(&args).output().unwrap().status;
            assert_eq!(status.code(), Some(1), "{args:?}");
            continue;
        }
        // A voice of one's own is another that is not there.
        let mut args = args;
        match args.iter().position(|arg| arg == "--voice") {
            Some(at) => args[at + 1] = "nobody".to_string(),
            None => args.extend(["--voice".to_string(), "nobody".to_string()]),
        }
        let output = paravox().current_dir(folder.path()).args(&args).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        let understood = message.contains("nobody") || message.contains("built in");
        assert!(understood, "{args:?}: {message}");
    }
}

#[test]
fn the_ssml_of_the_readme_is_understood() {
    let readme = read("README.md");
    let document = readme.split("```xml").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let output = paravox().args(["plan", "--ssml", document]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(lines.contains("\tmark\tcode-said") && lines.contains("\tword\tfirst"), "{lines}");
}

#[test]
fn folders_of_the_architecture_exist_and_all_are_named() {
    let architecture = read("ARCHITECTURE.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named: Vec<&str> = architecture
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next()?.strip_suffix('/'))
        .collect();
    for folder in &named {
        assert!(root.join(folder).is_dir(), "ARCHITECTURE.md names {folder}, which does not exist");
    }
    for parent in ["src", "models/src", "vocoder"] {
        for entry in std::fs::read_dir(root.join(parent)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_string();
            // The folder beside a file of its name holds that module's parts.
            let is_part = path.with_extension("rs").exists();
            let is_named = named.iter().any(|folder| folder.starts_with(&name));
            assert!(!path.is_dir() || is_part || is_named, "ARCHITECTURE.md does not name {name}");
        }
    }
}

#[test]
fn help_has_examples_that_parse() {
    for name in ["speak", "plan"] {
        let help = paravox().args([name, "--help"]).output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let commands = commands(help.split("Examples:").nth(1).unwrap());
        assert!(commands.len() >= 2);
        for args in commands {
            // What a shell does with a pipe is not the command's.
            let args: Vec<String> = args.into_iter().take_while(|arg| arg != "|").collect();
            let folder = tempfile::tempdir().unwrap();
            let mut command = paravox();
            command.current_dir(folder.path()).args(&args).args(["--voice", "nobody"]);
            let message = String::from_utf8(command.output().unwrap().stderr).unwrap();
            assert!(message.contains("nobody") || message.contains("built in"), "{args:?}: {message}");
        }
    }
}
