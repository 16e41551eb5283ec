//! `paravox train`: the nets on prepared corpora.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use paravox::device::Backend;
use paravox::train::{self, TrainOptions, TrainReport};

/// What to train.
#[derive(Args)]
pub(crate) struct Train {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Text encoder, duration predictor and mel decoder on aligned speech
    #[command(after_help = VOICE_EXAMPLES)]
    Voice(VoiceArgs),
    /// Mel spectrogram and F0 to PCM, on recordings
    #[command(after_help = VOCODER_EXAMPLES)]
    Vocoder(VocoderArgs),
    /// Identity encoder, motion decoder and image decoder on films of speakers
    #[command(after_help = LIPS_EXAMPLES)]
    Lips(LipsArgs),
    /// An autoregressive system that the lips are compared with, on films of speakers
    #[command(after_help = LIPS_REFERENCE_EXAMPLES)]
    LipsReference(LipsReferenceArgs),
    /// What finds the phonemes of a text in a recording, on aligned speech
    #[command(after_help = ALIGNER_EXAMPLES)]
    Aligner(AlignerArgs),
    /// What finds the mouth's landmarks in a lip crop, on films with landmarks
    #[command(after_help = LANDMARK_EXAMPLES)]
    Landmarks(CommonArgs),
    /// What reads phonemes off lips, on films of speakers and their texts, without times
    #[command(after_help = READER_EXAMPLES)]
    Reader(ReaderArgs),
}

const LANDMARK_EXAMPLES: &str = "Examples:
  paravox train landmarks data/lips -o runs/landmarks --minutes 10
  paravox eval lips data/lips runs/lips --voice runs/voice --landmarks runs/landmarks";

const READER_EXAMPLES: &str = "Examples:
  paravox train reader data/lips -o runs/reader --minutes 60
  paravox train reader data/lips -o runs/reader --minutes 60 --speakers s1
  paravox eval reader data/lips runs/reader --speakers s1

A reader that starts from nothing rarely finds out when what is said. It does from times that are about right:
  paravox align lips data/lips -o data/lips-even
  paravox train reader data/lips-even -o runs/even --frame-wise --minutes 20
  paravox train reader data/lips -o runs/reader --from runs/even --minutes 40";

const ALIGNER_EXAMPLES: &str = "Examples:
  paravox train aligner data/speech -o runs/aligner --minutes 10
  paravox prepare speech recordings -o data/mine --aligner runs/aligner";

const VOICE_EXAMPLES: &str = "Examples:
  paravox train voice data/speech -o runs/voice --minutes 60
  paravox train voice data/speech -o runs/voice --minutes 60 --resume     goes on after a stop
  paravox train voice data/other -o runs/other --from runs/voice --steps 5000 --lr 5e-4
  paravox train voice data/me -o runs/me --from heart --minutes 20 --lr 3e-4     from a shipped voice

Where the data has more speakers than the nets of --from (prepare speech --voice 1 --append), the nets get further voices.";

const VOCODER_EXAMPLES: &str = "Examples:
  paravox train vocoder data/speech -o runs/vocoder --minutes 60
  paravox train vocoder data/speech -o runs/vocoder --minutes 60 --resume
  paravox train vocoder data/speech -o runs/tuned --from runs/vocoder --voice runs/voice --lr 5e-4 --minutes 20
  paravox train vocoder data/me -o runs/v --from michael --voice runs/me --harmonics f0    recordings of anybody";

const LIPS_EXAMPLES: &str = "Examples:
  paravox train lips data/lips -o runs/lips --voice runs/voice --minutes 60
  paravox train lips data/lips -o runs/lips --minutes 60 --speakers s1,s4 --weight s4=4
  paravox train lips data/lips -o runs/lips --minutes 60 --resume
  paravox train lips data/lips -o runs/lips --from heart --voice heart --elsewhere sentences.txt --minutes 60
  paravox train lips data/lips -o runs/l1 --voice runs/voice --speakers s1 --ssim-weight 0 --steps 5000
  paravox train lips data/lips -o runs/adv --voice runs/voice --speakers s1 --adversarial 0.01 --own-durations

With --voice the lips read the text encoder of that voice, which stays as it is; without, one trains along.
With --elsewhere some symbols have the states that they have in the sentences of that text: GRID has 51 words.
With --own-durations, `paravox eval lips --predicted-durations` can measure them without being told when what is said.";

const LIPS_REFERENCE_EXAMPLES: &str = "Examples:
  paravox train lips-reference data/lips -o runs/dual-lip --minutes 60 --speakers s1
  paravox train lips-reference data/lips -o runs/t2l --preset transformer-t2l-light --minutes 60 --speakers s1

Presets: dual-lip-light, dual-lip-tacotron (its own parts in the sizes of Tacotron 2), dual-lip-paper, transformer-t2l-light,
transformer-t2l-paper. They attend to the text and read no times; each video frame is made from the one before.";

#[derive(Args)]
struct VoiceArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Mel frames of each sentence that go through the decoders in a step
    #[arg(long, value_name = "N")]
    mel_frames: Option<usize>,
    /// Leave the text encoder of --from as it is, so that lips trained on it still fit
    #[arg(long, requires = "from")]
    freeze_encoder: bool,
    /// Train the pitch alone, that is F0 and voicing; the other nets stay as --from has them
    #[arg(long, requires = "from")]
    only_pitch: bool,
    /// Keep the voices of --from that the data lacks as they are
    #[arg(long, requires = "from")]
    keep_voices: bool,
}

#[derive(Args)]
struct VocoderArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Mel frames of each piece of speech in a step
    #[arg(long, value_name = "N")]
    mel_frames: Option<usize>,
    /// Voice (a training's folder or a shipped one): every second step then reads mel as that voice predicts it
    #[arg(long, value_name = "VOICE")]
    voice: Option<PathBuf>,
    /// Teaches harmonics and noise apart: "f0" tells them apart in the recordings, a folder is a corpus with the same
    /// sentences whose recordings hold their harmonics alone
    #[arg(long, value_name = "FOLDER|f0", conflicts_with = "adversary")]
    harmonics: Option<PathBuf>,
    /// Let a discriminator join, for a vocoder that has been trained without
    #[arg(long)]
    adversary: bool,
}

#[derive(Args)]
struct AlignerArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Mel frames of each sentence in a step
    #[arg(long, value_name = "N")]
    mel_frames: Option<usize>,
}

#[derive(Args)]
struct ReaderArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Speakers to train on, parted by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    speakers: Vec<String>,
    /// Learn the phoneme of every moment from the times in the data, instead of the order of the phonemes alone
    #[arg(long)]
    frame_wise: bool,
}

#[derive(Args)]
struct LipsArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Voice (a training's folder or a shipped one) whose text encoder the lips read [default: an encoder trains along]
    #[arg(long, value_name = "VOICE")]
    voice: Option<PathBuf>,
    /// Preset of the voice whose text encoder trains along
    #[arg(long, value_name = "NAME", conflicts_with = "voice")]
    encoder_preset: Option<String>,
    /// Video frames of each clip that go through the image decoder in a step
    #[arg(long, value_name = "N")]
    video_frames: Option<usize>,
    /// Speakers to train on, parted by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    speakers: Vec<String>,
    /// How much more often a speaker's clips are drawn than others; may be repeated
    #[arg(long = "weight", value_name = "SPEAKER=FACTOR", value_parser = speaker_weight)]
    weights: Vec<(String, f64)>,
    /// Weight of 1 - SSIM beside L1; 0: L1 alone [default: 0.3]
    #[arg(long, value_name = "WEIGHT")]
    ssim_weight: Option<f64>,
    /// Let a discriminator train along, with this weight of what it says beside L1
    #[arg(long, value_name = "WEIGHT")]
    adversarial: Option<f64>,
    /// Preset of the discriminator [default: discriminator-light]
    #[arg(long, value_name = "NAME", requires = "adversarial")]
    discriminator: Option<String>,
    /// Learn durations too, which no voice is needed for
    #[arg(long)]
    own_durations: bool,
    /// A text, a sentence in each line, whose states of the voice's text encoder are mixed in, so that lips follow texts
    /// unlike those that were filmed
    #[arg(long, value_name = "FILE", requires = "voice")]
    elsewhere: Option<PathBuf>,
}

#[derive(Args)]
struct LipsReferenceArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Video frames of each clip that go through the image decoder in a step
    #[arg(long, value_name = "N")]
    video_frames: Option<usize>,
    /// Speakers to train on, parted by commas [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    speakers: Vec<String>,
}

fn speaker_weight(text: &str) -> Result<(String, f64), String> {
    let parsed = text.split_once('=').and_then(|(speaker, factor)| Some((speaker.to_string(), factor.parse().ok()?)));
    let usable = parsed.filter(|(_, factor): &(String, f64)| factor.is_finite() && *factor > 0.0);
    usable.ok_or_else(|| "give a speaker and a factor above 0, such as s4=3".to_string())
}

/// What every training is told; what is not given stays as the recipe of the net has it.
#[derive(Args)]
struct CommonArgs {
    /// Folder that `paravox prepare` wrote
    data: PathBuf,
    /// Folder of the training: configuration, checkpoint, model, logs, samples
    #[arg(short, long, value_name = "FOLDER")]
    out: PathBuf,
    /// Preset of the nets, such as voice-light
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Steps of the whole training; with --minutes, the most
    #[arg(long, value_name = "N")]
    steps: Option<u64>,
    /// End after this long: the learning rate then falls over the steps that this machine manages
    #[arg(long, value_name = "MINUTES")]
    minutes: Option<f64>,
    /// Items in a step
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Highest learning rate
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,
    /// Largest norm of the gradient
    #[arg(long, value_name = "NORM")]
    clip: Option<f64>,
    /// Seed of weights, batches and dropout
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Start from the nets of another training
    #[arg(long, value_name = "FOLDER|FILE")]
    from: Option<PathBuf>,
    /// Go on from the checkpoint in the folder, if there is one
    #[arg(long)]
    resume: bool,
    /// Where the nets run: cpu, or cuda in a build with the feature cuda
    #[arg(long, value_name = "DEVICE", default_value = "cpu")]
    device: Backend,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Seconds between checkpoints
    #[arg(long, value_name = "SECONDS")]
    checkpoint_every: Option<f64>,
    /// Seconds between validations
    #[arg(long, value_name = "SECONDS")]
    validate_every: Option<f64>,
    /// Steps between two rows of the log
    #[arg(long, value_name = "N")]
    log_every: Option<u64>,
}

impl CommonArgs {
    fn apply(self, options: &mut TrainOptions) -> train::Result<()> {
        options.data = self.data;
        options.out = self.out;
        set(&mut options.preset, self.preset);
        set(&mut options.steps, self.steps);
        set(&mut options.batch, self.batch);
        set(&mut options.clip_norm, self.clip);
        set(&mut options.seed, self.seed);
        set(&mut options.checkpoint_seconds, self.checkpoint_every);
        set(&mut options.validate_seconds, self.validate_every);
        set(&mut options.log_steps, self.log_every);
        options.max_minutes = self.minutes;
        options.from = self.from;
        options.resume = self.resume;
        options.device = self.device;
        options.threads = self.threads;
        self.lr.map_or(Ok(()), |rate| options.set_learning_rate(rate))
    }
}

fn set<T>(option: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *option = value;
    }
}

pub(crate) fn run(args: Train) -> anyhow::Result<()> {
    paravox_models::ops::keep_freed_memory();
    let report = match args.what {
        What::Voice(args) => {
            let mut options = train::VoiceOptions::default();
            set(&mut options.mel_frames, args.mel_frames);
            options.freeze_encoder = args.freeze_encoder;
            options.only_pitch = args.only_pitch;
            options.keep_voices = args.keep_voices;
            args.common.apply(&mut options.common)?;
            train::train_voice(&options)?
        }
        What::Vocoder(args) => {
            let mut options = train::VocoderOptions::default();
            set(&mut options.mel_frames, args.mel_frames);
            options.voice = args.voice;
            options.harmonics = match args.harmonics {
                None => train::HarmonicsFrom::Nowhere,
                Some(name) if name.as_os_str() == "f0" => train::HarmonicsFrom::F0,
                Some(folder) => train::HarmonicsFrom::Corpus(folder),
            };
            options.adversary = args.adversary;
            args.common.apply(&mut options.common)?;
            train::train_vocoder(&options)?
        }
        What::Aligner(args) => {
            let mut options = train::AlignerOptions::default();
            set(&mut options.mel_frames, args.mel_frames);
            args.common.apply(&mut options.common)?;
            train::train_aligner(&options)?
        }
        What::Landmarks(args) => {
            let mut options = train::LandmarkOptions::default();
            args.apply(&mut options.common)?;
            train::train_landmarks(&options)?
        }
        What::Reader(args) => {
            let mut options = train::ReaderOptions::default();
            options.speakers = args.speakers;
            options.frame_wise = args.frame_wise;
            args.common.apply(&mut options.common)?;
            train::train_reader(&options)?
        }
        What::Lips(args) => {
            let mut options = train::LipsOptions::default();
            set(&mut options.encoder_preset, args.encoder_preset);
            set(&mut options.video_frames, args.video_frames);
            options.voice = args.voice;
            options.speakers = args.speakers;
            options.speaker_weights = args.weights;
            set(&mut options.ssim_weight, args.ssim_weight);
            set(&mut options.adversarial_weight, args.adversarial);
            set(&mut options.discriminator, args.discriminator);
            options.own_durations = args.own_durations;
            options.elsewhere = args.elsewhere;
            args.common.apply(&mut options.common)?;
            train::train_lips(&options)?
        }
        What::LipsReference(args) => {
            let mut options = train::LipsReferenceOptions::default();
            set(&mut options.video_frames, args.video_frames);
            options.speakers = args.speakers;
            args.common.apply(&mut options.common)?;
            train::train_lips_reference(&options)?
        }
    };
    tell(&report);
    Ok(())
}

/// The outcome, on stderr.
fn tell(report: &TrainReport) {
    let figures = |figures: &[(&str, f64)]| {
        figures.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join(", ")
    };
    eprintln!("{} parameters, {} steps in {:.0} s", report.parameters, report.steps, report.seconds);
    eprintln!("training    {}", figures(&report.losses));
    eprintln!("validation  {}", figures(&report.validation));
}
