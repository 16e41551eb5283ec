//! The engine: text in, speech and a talking face out.

mod options;
mod plan;
mod planner;
mod prosody;
mod sentence;
mod session;
mod speak;
mod text_queue;
mod text_source;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use candle_core::Device;

pub use options::{SpeakOptions, VideoOptions};
pub use plan::{Plan, PlannedSentence, Spoken};
pub use session::{Closing, IdleFace, Receipt, Session, SessionOptions};
pub use text_source::TextSource;

use crate::device;
use crate::error::{Error, Result};
use crate::face::{Compositor, FaceAsset};
use crate::sink::{NullSink, Sink};
use crate::text::{FrontEnd, FrontEndOptions, UserLexicon};
use crate::timeline::{Fps, SAMPLE_RATE};
use crate::voice::{LipsIdentity, LipsNets, MANIFEST_FILE, Package, VoiceEntry, VoiceNets};
use planner::Planner;
use session::MotionLog;
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
pub(crate) struct Voice {
    package: Package,
    /// The face to show where none is asked for.
    face: Option<String>,
    nets: VoiceNets,
    lips: Option<LipsNets>,
}

/// A face in memory, as the lips of one voice see it.
pub(crate) struct Face {
    identity: LipsIdentity,
    compositor: Compositor,
}

/// Who says a sentence, and with pictures the face as that voice's lips know it.
#[derive(Clone)]
pub(crate) struct Role {
    voice: Arc<Voice>,
    face: Option<Arc<Face>>,
}

impl Role {
    /// What draws the face; `None` for sound alone.
    fn drawing<'a>(&'a self, fps: Fps, log: Option<&'a MotionLog>) -> Option<Drawing<'a>> {
        let (lips, face) = (self.voice.lips.as_ref()?, self.face.as_ref()?);
        Some(Drawing { lips, identity: &face.identity, compositor: &face.compositor, fps, performs: false, log })
    }
}

/// The voices of a text: the one that was asked for, and those that its SSML names.
pub(crate) struct Cast {
    lead: Role,
    others: Vec<(String, Role)>,
}

impl Cast {
    /// The role of a voice that the text names, or of the one that was asked for.
    fn role(&self, name: Option<&str>) -> Result<Role> {
        let Some(name) = name else { return Ok(self.lead.clone()) };
        let found = self.others.iter().find(|(other, _)| other == name);
        found.map(|(_, role)| role.clone()).ok_or_else(|| Error::Synthesis(format!("the voice '{name}' was not read")))
    }
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
        Ok(Self { front_end, package, device: device::best(), voices: Mutex::default(), faces: Mutex::default() })
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
        let sound_alone = SpeakOptions { video: None, ..options.clone() };
        let cast = self.cast(&mut source, &sound_alone)?;
        let mut planner = Planner::new(&self.front_end, &cast, options, &mut source)?;
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
        let spoken = self.perform(text.into(), options, None, sink)?;
        if spoken.sentences == 0 { Err(Planner::nothing_to_say()) } else { Ok(spoken) }
    }

    /// Speaks a text that may turn out to have no words.
    fn perform(
        &self,
        mut source: TextSource<'_>,
        options: &SpeakOptions,
        log: Option<&MotionLog>,
        sink: &mut dyn Sink,
    ) -> Result<Spoken> {
        let cast = self.cast(&mut source, options)?;
        let planner = Planner::new(&self.front_end, &cast, options, &mut source)?;
        let drawing = options.video.as_ref().and_then(|video| {
            // What a session draws is performed when it is shown: only then is known how long nothing was said before.
            let performs = log.is_none() && !video.still;
            Some(speak::Drawing { performs, ..cast.lead.drawing(video.fps, log)? })
        });
        speak::speak(planner, drawing, options, sink)
    }

    /// Reads all that speaking with these options needs and speaks a word to nobody, so that the first real sentence is as
    /// quick as all others.
    ///
    /// # Errors
    /// As [`Engine::speak`].
    pub fn warm(&self, options: &SpeakOptions) -> Result<()> {
        let options = SpeakOptions { length_s: None, ..options.clone() };
        self.speak("Warm.", &options, &mut NullSink::new()).map(|_| ())
    }

    /// The face of some options when nothing is said; `None` where they ask for no pictures.
    ///
    /// # Errors
    /// As [`Engine::speak`].
    pub fn idle_face(&self, options: &SpeakOptions) -> Result<Option<IdleFace>> {
        let still = options.video.as_ref().is_none_or(|video| video.still);
        IdleFace::new(&self.role(options.voice.as_deref(), None, options)?, still)
    }

    /// Reads an SSML document, and the voices and the face that the text needs.
    fn cast(&self, source: &mut TextSource<'_>, options: &SpeakOptions) -> Result<Cast> {
        let lead = self.role(options.voice.as_deref(), None, options)?;
        source.read_ssml(&self.front_end)?;
        let mut others: Vec<(String, Role)> = Vec::new();
        for name in source.passages().iter().filter_map(|passage| passage.voice.as_ref()) {
            if !others.iter().any(|(other, _)| other == name) {
                others.push((name.clone(), self.role(Some(name), Some(&lead), options)?));
            }
        }
        Ok(Cast { lead, others })
    }

    /// A voice and its face: where none is asked for, the face of the voice that leads, so that a picture never changes
    /// into another person's.
    fn role(&self, voice_name: Option<&str>, lead: Option<&Role>, options: &SpeakOptions) -> Result<Role> {
        let voice = self.voice(voice_name)?;
        let Some(video) = &options.video else { return Ok(Role { voice, face: None }) };
        if voice.lips.is_none() {
            return Err(Error::Request(
                "this voice has no lips: write sound alone (.wav) or take another voice".into(),
            ));
        }
        let leading = lead.map_or(&voice, |lead| &lead.voice);
        let face = self.face(&voice, voice_name, video.face.as_deref().or(leading.face.as_deref()))?;
        Ok(Role { voice, face: Some(face) })
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
        let voice = Arc::new(Voice { package, face: entry.face, nets, lips });
        voices.insert(key, voice.clone());
        Ok(voice)
    }

    fn find_voice(&self, asked: &str) -> Result<(Package, VoiceEntry)> {
        let manifest = self.package.manifest();
        if let Some(entry) = manifest.voices.iter().find(|voice| voice.name == asked) {
            return Ok((self.package.clone(), entry.clone()));
        }
        let path = Path::new(asked);
        let named = path.file_name().and_then(|name| name.to_str()).zip(path.parent());
        for (folder, name) in
            [Some((path, None)), named.map(|(name, folder)| (folder, Some(name)))].into_iter().flatten()
        {
            if folder.join(MANIFEST_FILE).is_file() {
                let package = Package::open(folder)?;
                let name = name.unwrap_or(&package.manifest().default_voice);
                let entry = package.manifest().voices.iter().find(|voice| voice.name == name).cloned();
                let entry = entry.ok_or_else(|| {
                    let voices: Vec<&str> = package.manifest().voices.iter().map(|voice| &*voice.name).collect();
                    Error::Request(format!(
                        "no voice '{name}' in {}: give one of {}",
                        folder.display(),
                        voices.join(", ")
                    ))
                })?;
                return Ok((package, entry));
            }
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

/// Locks what a panic in another thread leaves whole: no change of it can fail halfway.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
