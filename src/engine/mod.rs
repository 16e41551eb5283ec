//! The engine: text in, speech and a talking face out.

mod options;
mod paragraphs;
mod plan;
mod planner;
mod sentence;
mod speak;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::Device;

pub use options::{SpeakOptions, VideoOptions};
pub use paragraphs::TextSource;
pub use plan::{Plan, PlannedSentence, Spoken};

use crate::error::{Error, Result};
use crate::face::{Compositor, FaceAsset};
use crate::sink::Sink;
use crate::text::{FrontEnd, FrontEndOptions, UserLexicon};
use crate::timeline::SAMPLE_RATE;
use crate::voice::{LipsIdentity, LipsNets, MANIFEST_FILE, Package, VoiceEntry, VoiceNets};
use planner::Planner;
use speak::Drawing;

/// What an engine is made of.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct EngineOptions {
    /// Folder of the package of voices and faces. Default: the voices built into the program.
    pub package: Option<PathBuf>,
    /// Lexicon of the user, asked before the built-in one. Default: none.
    pub lexicon: Option<PathBuf>,
}

impl EngineOptions {
    /// The built-in voices, no user lexicon.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes voices and faces from a folder.
    pub fn package(mut self, folder: impl Into<PathBuf>) -> Self {
        self.package = Some(folder.into());
        self
    }

    /// Adds a lexicon of the user's.
    pub fn lexicon(mut self, path: impl Into<PathBuf>) -> Self {
        self.lexicon = Some(path.into());
        self
    }
}

/// Speaks. One engine serves any number of threads at once; voices and faces are read when they are first asked for and
/// kept.
pub struct Engine {
    front_end: FrontEnd,
    package: Package,
    device: Device,
    voices: Mutex<HashMap<String, Arc<Voice>>>,
    faces: Mutex<HashMap<(String, String), Arc<Face>>>,
}

/// A voice in memory.
struct Voice {
    package: Package,
    nets: VoiceNets,
    lips: Option<LipsNets>,
}

/// A face in memory, as the lips of one voice see it.
struct Face {
    identity: LipsIdentity,
    compositor: Compositor,
}

impl Engine {
    /// An engine with the built-in voices and faces.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn with_defaults() -> Result<Self> {
        Self::open(EngineOptions::new())
    }

    /// Reads the pronouncing dictionary and the list of voices and faces.
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Package`] for the package or the lexicon.
    pub fn open(options: EngineOptions) -> Result<Self> {
        let package = match &options.package {
            Some(folder) => Package::open(folder)?,
            None => Package::built_in()?,
        };
        let lexicon = options.lexicon.as_deref().map(UserLexicon::read).transpose();
        let lexicon = lexicon.map_err(|error| Error::Request(error.to_string()))?;
        let front_end = FrontEnd::new(FrontEndOptions { lexicon }).map_err(|error| Error::Text(error.to_string()))?;
        Ok(Self { front_end, package, device: device(), voices: Mutex::default(), faces: Mutex::default() })
    }

    /// What the engine's package holds: voices and faces with licence and origin.
    pub fn package(&self) -> &Package {
        &self.package
    }

    /// What would be said when, without synthesis. Holds the whole plan: for long texts see [`Engine::plan_each`].
    ///
    /// # Errors
    /// As [`Engine::speak`], the sink's aside.
    pub fn plan<'t>(&self, text: impl Into<TextSource<'t>>, options: &SpeakOptions) -> Result<Plan> {
        let mut sentences = Vec::new();
        let spoken = self.plan_each(text, options, |sentence| {
            sentences.push(sentence);
            Ok(())
        })?;
        let Spoken { pcm_samples, video_frames, .. } = spoken;
        Ok(Plan { sample_rate: SAMPLE_RATE, total_samples: pcm_samples, video_frames, sentences })
    }

    /// Plans sentence by sentence in constant memory; returns what speaking the text would return.
    ///
    /// # Errors
    /// As [`Engine::plan`], and what `each` returns.
    pub fn plan_each<'t>(
        &self,
        text: impl Into<TextSource<'t>>,
        options: &SpeakOptions,
        mut each: impl FnMut(PlannedSentence) -> Result<()>,
    ) -> Result<Spoken> {
        let mut source = text.into();
        let voice = self.voice(options.voice.as_deref())?;
        let mut planner = Planner::new(&self.front_end, &voice.nets, options, &mut source)?;
        let mut sentences = 0;
        for sentence in planner.by_ref() {
            each(sentence?.planned())?;
            sentences += 1;
        }
        if sentences == 0 {
            return Err(Planner::nothing_to_say());
        }
        let (pcm_samples, video_frames) = options.end_of(planner.end_sample());
        Ok(Spoken { sentences, pcm_samples, video_frames })
    }

    /// Speaks a text into a sink, sentence by sentence; the caller then calls the sink's `finish`.
    ///
    /// The same text, options and seed give the same PCM and pictures on any number of threads.
    ///
    /// # Errors
    /// [`Error::Request`] for a text without words, an unknown voice or face, or an option out of range; [`Error::Text`]
    /// for what is not text; [`Error::Package`] and [`Error::Io`] for a voice or face that cannot be used;
    /// [`Error::Sink`] from the sink. The sink has then to be dropped, not finished.
    pub fn speak<'t>(
        &self,
        text: impl Into<TextSource<'t>>,
        options: &SpeakOptions,
        sink: &mut dyn Sink,
    ) -> Result<Spoken> {
        let mut source = text.into();
        let voice = self.voice(options.voice.as_deref())?;
        let planner = Planner::new(&self.front_end, &voice.nets, options, &mut source)?;
        let Some(video) = &options.video else { return speak::speak(planner, &voice.nets, None, options, sink) };
        let Some(lips) = &voice.lips else {
            return Err(Error::Request(
                "this voice has no lips: write sound alone (.wav) or take another voice".into(),
            ));
        };
        let face = self.face(&voice, options.voice.as_deref(), video.face.as_deref())?;
        let drawing = Drawing { lips, identity: &face.identity, compositor: &face.compositor, fps: video.fps };
        speak::speak(planner, &voice.nets, Some(drawing), options, sink)
    }

    /// A voice by name, by package folder, or the default; read once.
    fn voice(&self, asked: Option<&str>) -> Result<Arc<Voice>> {
        let mut voices = lock(&self.voices);
        let key = asked.unwrap_or(&self.package.manifest().default_voice).to_string();
        if let Some(voice) = voices.get(&key) {
            return Ok(voice.clone());
        }
        let (package, entry) = self.find_voice(&key)?;
        let nets = VoiceNets::load(&package, &entry, &self.device)?;
        let lips = LipsNets::load(&package, &entry, &nets, &self.device)?;
        let voice = Arc::new(Voice { package, nets, lips });
        voices.insert(key, voice.clone());
        Ok(voice)
    }

    fn find_voice(&self, asked: &str) -> Result<(Package, VoiceEntry)> {
        let manifest = self.package.manifest();
        if let Some(entry) = manifest.voices.iter().find(|voice| voice.name == asked) {
            return Ok((self.package.clone(), entry.clone()));
        }
        if Path::new(asked).join(MANIFEST_FILE).is_file() {
            let package = Package::open(asked)?;
            let default_voice = package.manifest().default_voice.clone();
            let entry = package.manifest().voices.iter().find(|voice| voice.name == default_voice).cloned();
            let entry = entry.ok_or_else(|| Error::package(asked, "the manifest lists no default voice"))?;
            return Ok((package, entry));
        }
        let names: Vec<&str> = manifest.voices.iter().map(|voice| &*voice.name).collect();
        Err(Error::Request(format!(
            "no voice '{asked}': give one of {} or a folder with a {MANIFEST_FILE}",
            names.join(", ")
        )))
    }

    /// A face by name, by folder, or the default; looked at once for each voice.
    fn face(&self, voice: &Voice, voice_name: Option<&str>, asked: Option<&str>) -> Result<Arc<Face>> {
        let mut faces = lock(&self.faces);
        let key = (voice_name.unwrap_or_default().to_string(), asked.unwrap_or_default().to_string());
        if let Some(face) = faces.get(&key) {
            return Ok(face.clone());
        }
        let asset = self.find_face(voice, asked)?;
        let lips = voice.lips.as_ref().ok_or_else(|| Error::Synthesis("a face without lips".into()))?;
        let identity = lips.identity(&asset.crop_rgb, &voice.nets)?;
        let compositor = Compositor::new(&asset).map_err(|error| Error::package(&asset.name, error))?;
        let face = Arc::new(Face { identity, compositor });
        faces.insert(key, face.clone());
        Ok(face)
    }

    /// Faces of the voice's own package come first, then the engine's.
    fn find_face(&self, voice: &Voice, asked: Option<&str>) -> Result<FaceAsset> {
        let packages = [&voice.package, &self.package];
        for package in packages {
            let manifest = package.manifest();
            let Some(name) = asked.or(manifest.default_face.as_deref()) else { continue };
            if let Some(entry) = manifest.faces.iter().find(|face| face.name == name) {
                return package.face(entry);
            }
        }
        let Some(asked) = asked else {
            return Err(Error::Request("the package has no face: name one with --face".to_string()));
        };
        if Path::new(asked).is_dir() {
            return FaceAsset::load(Path::new(asked)).map_err(|error| Error::package(asked, error));
        }
        let mut names: Vec<&str> = Vec::new();
        for face in packages.iter().flat_map(|package| &package.manifest().faces) {
            if !names.contains(&&*face.name) {
                names.push(&face.name);
            }
        }
        Err(Error::Request(format!("no face '{asked}': give one of {} or a face's folder", names.join(", "))))
    }
}

/// The GPU where this build has support for one and the machine has one, else the CPU.
fn device() -> Device {
    Device::cuda_if_available(0).unwrap_or(Device::Cpu)
}

/// A panic in another thread leaves the maps whole: they are only ever added to.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
