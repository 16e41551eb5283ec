//! Pictures to H.264 (ITU-T H.264, Constrained Baseline) with OpenH264, as the access units that MP4 stores.

use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, MatrixCoefficients, Profile,
    QpRange, RateControlMode, VuiConfig,
};
use openh264::{OpenH264API, Timestamp};

use super::yuv::Yuv;
use crate::sink::{Picture, SinkError, VideoInfo};

/// Seconds from one video frame that can be decoded alone to the next: how exactly a player can seek.
const INTRA_PERIOD_S: f64 = 2.0;

/// The quantiser of every video frame, of 0..=51: 43 dB of luma on a real face, and no visible step from one to the next.
const QP: u8 = 22;

const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;

/// Encodes video frames one by one.
pub(super) struct VideoEncoder {
    encoder: Encoder,
    info: VideoInfo,
    yuv: Yuv,
    video_frames: u64,
    parameters: Option<Parameters>,
}

/// What a decoder must know before the first access unit; stored once, in the file's index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameters {
    pub(super) sps: Vec<u8>,
    pub(super) pps: Vec<u8>,
}

/// One encoded video frame: NAL units, each behind its length in 4 bytes (ISO 14496-15).
pub(super) struct AccessUnit {
    pub(super) bytes: Vec<u8>,
    /// Whether decoding can start here.
    pub(super) is_key: bool,
}

impl VideoEncoder {
    /// An encoder for the stream's pictures.
    pub(super) fn new(info: &VideoInfo) -> Result<Self, SinkError> {
        let (long, short) = (info.width.max(info.height), info.width.min(info.height));
        if short < 16 || long > 3840 || short > 2160 {
            return Err(SinkError::Unsupported(format!(
                "an MP4 file cannot hold pictures of {}x{}: use 16x16 to 3840x2160",
                info.width, info.height
            )));
        }
        let fps = info.fps.as_f64();
        let config = EncoderConfig::new()
            .usage_type(openh264::encoder::UsageType::CameraVideoRealTime)
            .profile(Profile::Baseline)
            // Pictures are all kept: a dropped one would move the lips against the sound.
            .skip_frames(false)
            // Without feedback on a buffer, which there is none of here, this mode settles on the least quantiser allowed:
            // constant quality.
            .rate_control_mode(RateControlMode::Bufferbased)
            .qp(QpRange::new(QP, QP))
            // Only bounds the level that the stream declares.
            .bitrate(BitRate::from_bps((f64::from(info.width * info.height) * fps * 0.5).clamp(1e6, 5e7) as u32))
            .max_frame_rate(FrameRate::from_hz(fps as f32))
            .intra_frame_period(IntraFramePeriod::from_num_frames((fps * INTRA_PERIOD_S).round().max(1.0) as u32))
            .complexity(Complexity::Low)
            // These save bits where a picture hardly changes, which may be where a mouth closes.
            .background_detection(false)
            .adaptive_quantization(false)
            .scene_change_detect(false)
            .num_threads(1)
            .vui(VuiConfig::bt709().matrix_coefficients(MatrixCoefficients::Smpte170M));
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(encode_error)?;
        Ok(Self { encoder, info: *info, yuv: Yuv::new(info.width, info.height), video_frames: 0, parameters: None })
    }

    /// Encodes the next picture, which must have the stream's size.
    pub(super) fn encode(&mut self, picture: &Picture) -> Result<AccessUnit, SinkError> {
        picture.check(&self.info)?;
        self.yuv.read(picture);
        let timestamp = Timestamp::from_millis((self.video_frames as f64 * 1000.0 / self.info.fps.as_f64()) as u64);
        self.video_frames += 1;
        let stream = self.encoder.encode_at(&self.yuv, timestamp).map_err(encode_error)?;
        let is_key = matches!(stream.frame_type(), FrameType::IDR);
        let (mut bytes, mut sps, mut pps) = (Vec::new(), None, None);
        for layer in (0..stream.num_layers()).filter_map(|index| stream.layer(index)) {
            for nal in (0..layer.nal_count()).filter_map(|index| layer.nal_unit(index)) {
                let nal = without_start_code(nal);
                match nal.first().map(|header| header & 0x1f) {
                    Some(NAL_SPS) => sps = Some(nal.to_vec()),
                    Some(NAL_PPS) => pps = Some(nal.to_vec()),
                    Some(_) => {
                        bytes.extend_from_slice(&(nal.len() as u32).to_be_bytes());
                        bytes.extend_from_slice(nal);
                    }
                    None => {}
                }
            }
        }
        if let (Some(sps), Some(pps)) = (sps, pps) {
            let parameters = Parameters { sps, pps };
            if self.parameters.get_or_insert_with(|| parameters.clone()) != &parameters {
                return Err(encode_error("the parameters of the stream changed"));
            }
        }
        if bytes.is_empty() || self.parameters.is_none() {
            return Err(encode_error("the encoder gave no data for a picture"));
        }
        Ok(AccessUnit { bytes, is_key })
    }

    /// The stream's parameters; there from the first picture on.
    pub(super) fn parameters(&self) -> Option<&Parameters> {
        self.parameters.as_ref()
    }

    /// Width and height as encoded: even.
    pub(super) fn coded_size(&self) -> (u16, u16) {
        (self.info.width.next_multiple_of(2) as u16, self.info.height.next_multiple_of(2) as u16)
    }
}

fn without_start_code(nal: &[u8]) -> &[u8] {
    nal.strip_prefix(&[0, 0, 0, 1]).or_else(|| nal.strip_prefix(&[0, 0, 1])).unwrap_or(nal)
}

fn encode_error(reason: impl ToString) -> SinkError {
    SinkError::Encode { what: "the picture", reason: reason.to_string() }
}
