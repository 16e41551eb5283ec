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

/// Commands are parsed with an option that ends the run after the command line is understood.
#[test]
fn commands_parse() {
    let commands = commands(&read("README.md"));
    assert!(commands.len() >= 4, "{commands:?}");
    for args in commands {
        let folder = tempfile::tempdir().unwrap();
        let output = paravox().current_dir(folder.path()).args(&args).args(["--voice", "nobody"]).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        let understood = message.contains("nobody") || message.contains("built in");
        assert!(understood, "{args:?}: {message}");
    }
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
