//! The command line of Paravox: one file per sub-command, data on stdout, everything else on stderr.
//!
//! Exit status: 0 done, 2 wrong usage, 1 failed. Every failure is one line on stderr that says what to do.

#[cfg(feature = "train")]
mod align;
mod bench;
#[cfg(feature = "train")]
mod eval;
#[cfg(feature = "train")]
mod export;
mod list;
#[cfg(feature = "train")]
mod liven;
mod plan;
#[cfg(feature = "playback")]
mod play;
#[cfg(feature = "train")]
mod prepare;
mod progress;
mod speak;
mod speech_args;
#[cfg(feature = "train")]
mod train;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Audio-visual text-to-speech: text in, speech and a talking face out, both from one duration sequence.
#[derive(Parser)]
#[command(name = "paravox", version, arg_required_else_help = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Text into a talking face (.mp4) or speech (.wav)
    Speak(speak::Speak),
    /// Text into speakers and a window, live
    #[cfg(feature = "playback")]
    Play(play::Play),
    /// What would be said when: no synthesis
    Plan(plan::Plan),
    /// Whether a file is whole and its sound, lips and cues agree
    Verify(verify::Verify),
    /// What voices there are, with licence and origin
    Voices(list::List),
    /// What faces there are, with licence and origin
    Faces(list::List),
    /// Speed, latency and memory on this machine
    Bench(bench::Bench),
    /// Corpora into training features
    #[cfg(feature = "train")]
    Prepare(prepare::Prepare),
    /// The nets on prepared corpora; stops and goes on wherever you like
    #[cfg(feature = "train")]
    Train(Box<train::Train>),
    /// Lips that move as far as the real ones
    #[cfg(feature = "train")]
    Liven(liven::Liven),
    /// Times of symbols in films of lips, without sound
    #[cfg(feature = "train")]
    Align(align::Align),
    /// Figures on a test split
    #[cfg(feature = "train")]
    Eval(eval::Eval),
    /// Trainings into the weights files of a package
    #[cfg(feature = "train")]
    Export(export::Export),
}

fn main() -> ExitCode {
    if std::env::var_os("CANDLE_NUM_THREADS").is_none() {
        // candle's own pool of threads spins while it waits, which took a third of the time; the kernels use rayon's.
        // SAFETY: no other thread runs yet that could read the environment.
        unsafe { std::env::set_var("CANDLE_NUM_THREADS", "1") };
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("paravox: {}", message(&error));
            ExitCode::from(if is_usage(&error) { 2 } else { 1 })
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Speak(args) => speak::run(args),
        #[cfg(feature = "playback")]
        Command::Play(args) => play::run(args),
        Command::Plan(args) => plan::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Voices(args) => list::voices(args),
        Command::Faces(args) => list::faces(args),
        Command::Bench(args) => bench::run(args),
        #[cfg(feature = "train")]
        Command::Prepare(args) => prepare::run(args),
        #[cfg(feature = "train")]
        Command::Train(args) => train::run(*args),
        #[cfg(feature = "train")]
        Command::Liven(args) => liven::run(args),
        #[cfg(feature = "train")]
        Command::Align(args) => align::run(args),
        #[cfg(feature = "train")]
        Command::Eval(args) => eval::run(args),
        #[cfg(feature = "train")]
        Command::Export(args) => export::run(args),
    }
}

/// Whether the command line has to change, not the world.
fn is_usage(error: &anyhow::Error) -> bool {
    #[cfg(feature = "train")]
    if let Some(paravox::train::TrainError::Options(_)) = error.downcast_ref() {
        return true;
    }
    error.downcast_ref::<paravox::Error>().is_some_and(paravox::Error::is_usage)
}

/// Help and version go to stdout with status 0; a wrong command line becomes one line and status 2.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // A closed pipe behind `--help` is nobody's fault.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        eprint!("{error}");
        return ExitCode::from(2);
    }
    let text = error.to_string();
    // clap writes: message, perhaps a tip, "Usage: ...", a pointer to --help, each after an empty line.
    let parts: Vec<String> = text.split("\n\n").filter(|part| !part.starts_with("Usage:")).map(one_line).collect();
    let line = parts.join("; ");
    eprintln!("paravox: {}", line.strip_prefix("error: ").unwrap_or(&line).trim_end_matches(['.', ';', ' ']));
    ExitCode::from(2)
}

/// The reader of our stdout went away (`paravox plan ... | head`): the work is done as far as anyone wants it.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

/// An error and its causes in one line; many an error tells its cause itself.
fn message(error: &anyhow::Error) -> String {
    let mut line = one_line(&error.to_string());
    for cause in error.chain().skip(1).map(|cause| one_line(&cause.to_string())) {
        if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
