//! The mouth's landmarks in lip crops, read by a trained net, and what metrics take of them.

use std::path::Path;

use candle_core::Device;
use paravox_models::config;
use paravox_models::landmark_net::{LandmarkConfig, LandmarkNet};
use paravox_models::mode::Mode;

use crate::data::lips::{MOUTH_POINTS, MouthPoints};
use crate::face::CROP_BYTES;
use crate::text::Symbol;
use crate::timeline::Timeline;
use crate::train::lips_corpus::crops_to_tensor;
use crate::train::start::Start;
use crate::train::{Result, TrainError};

/// Crops that go through the net at once.
const AT_ONCE: usize = 75;
/// Pairs of points across the gap between the lips: dlib's 61-67, 62-66 and 63-65, counted from 48.
const INNER_LIPS: [(usize, usize); 3] = [(13, 19), (14, 18), (15, 17)];

/// Reads landmarks off lip crops.
pub struct LandmarkReader {
    net: LandmarkNet,
}

impl LandmarkReader {
    /// Reads the folder of `paravox train landmarks`, or a file of `paravox export landmarks`.
    ///
    /// # Errors
    /// [`TrainError`]: no such file, or weights of other nets.
    pub fn open(path: &Path) -> Result<Self> {
        let start = Start::read(path, "landmarks")?;
        let text = start.config.as_deref();
        let text = text.ok_or_else(|| TrainError::checkpoint(path, "no landmark net: train or export one"))?;
        let config: LandmarkConfig = config::from_toml(text)
            .map_err(|error| TrainError::checkpoint(path, format!("no landmark net: {error}")))?;
        if config.points != MOUTH_POINTS {
            let reason = format!("it finds {} points: a mouth has {MOUTH_POINTS}", config.points);
            return Err(TrainError::checkpoint(path, reason));
        }
        Ok(Self { net: start.nets(&Device::Cpu, |builder| LandmarkNet::new(&config, builder))? })
    }

    /// The landmarks in crops of 80 x 160 x 3 bytes, RGB.
    pub(crate) fn read(&self, crops: &[u8]) -> Result<Vec<MouthPoints>> {
        let mut found = Vec::with_capacity(crops.len() / CROP_BYTES);
        for crops in crops.chunks(AT_ONCE * CROP_BYTES) {
            let crops: Vec<&[u8]> = crops.chunks_exact(CROP_BYTES).collect();
            let points = self.net.forward(&crops_to_tensor(&crops, &Device::Cpu)?, &Mode::Eval)?;
            let values: Vec<f32> = points.flatten_all()?.to_vec1()?;
            found.extend_from_slice(values.as_chunks::<2>().0.as_chunks::<MOUTH_POINTS>().0);
        }
        Ok(found)
    }
}

/// The mouth of one clip: its landmarks, and when it says what.
#[derive(Debug, Clone, Copy)]
pub struct Mouth<'a> {
    /// The landmarks of every video frame.
    pub points: &'a [MouthPoints],
    /// Phonemes and pauses.
    pub symbols: &'a [Symbol],
    /// Their times.
    pub timeline: &'a Timeline,
    /// Video frames a second.
    pub fps: f64,
}

/// The mouth of a generated clip beside the real one's.
#[derive(Debug, Clone, Copy)]
pub struct MouthPair<'a> {
    /// As generated.
    pub generated: Mouth<'a>,
    /// As filmed.
    pub real: Mouth<'a>,
}

/// How far the inner edges of the lips are apart, in crop pixels.
pub fn lip_opening(points: &MouthPoints) -> f64 {
    let distance =
        |&(a, b): &(usize, usize)| f64::from(points[a][0] - points[b][0]).hypot(f64::from(points[a][1] - points[b][1]));
    INNER_LIPS.iter().map(distance).sum::<f64>() / INNER_LIPS.len() as f64
}
