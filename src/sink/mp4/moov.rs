//! The movie box (ISO 14496-12, `moov`): the index of the file, built from the boxes of crate `mp4` without its writer.
//!
//! The writer of `mp4` 0.14 cannot be used as it is: it has no edit lists and no index in front, rounds durations MP4 sample
//! by MP4 sample, calls every audio MP4 sample a sync sample, leaves `next_track_id` at 1 and writes an SLConfigDescriptor of
//! no length, which some parsers refuse. Its boxes are sound, so this fills them in.

use mp4::{FixedPointU8, FixedPointU16, FourCC, MoovBox, Mp4Box, WriteBox};

use super::aac::ACCESS_UNIT_SAMPLES;
use super::h264::Parameters;
use super::track::Track;

/// `track_enabled` and `track_in_movie` (ISO 14496-12, 8.3.2.3).
const TRACK_IN_USE: u32 = 3;

/// The video track and what its description needs.
pub(super) struct Video<'a> {
    pub(super) track: &'a Track,
    pub(super) size: (u16, u16),
    pub(super) parameters: &'a Parameters,
}

/// The audio track and what its description needs.
pub(super) struct Audio<'a> {
    pub(super) track: &'a Track,
    /// PCM samples that shall be heard; the track has more, before and after.
    pub(super) pcm_samples: u64,
    /// AudioSpecificConfig.
    pub(super) config: &'a [u8],
}

/// Builds the movie box. Chunks lie at `data_offset` and their place in the media data.
///
/// Crate `mp4` does not export the types of inner boxes; their fields can be reached by name all the same, and
/// `insert(Default::default())` makes one.
pub(super) fn moov(video: Option<&Video<'_>>, audio: Option<&Audio<'_>>, data_offset: u64) -> mp4::Result<Vec<u8>> {
    let mut moov = MoovBox::default();
    let timescale = movie_timescale(video.map(|video| video.track.timescale), audio.map(|audio| audio.track.timescale));
    moov.mvhd.timescale = timescale;
    for (video, audio) in [(video, None), (None, audio)] {
        let Some(track) = video.map(|video| video.track).or(audio.map(|audio| audio.track)) else { continue };
        let (first_tick, shown_ticks) = match audio {
            Some(audio) => (ACCESS_UNIT_SAMPLES, audio.pcm_samples),
            None => (0, track.coded_ticks()),
        };
        let media_ticks = first_tick + shown_ticks;
        let movie_ticks = rescale(shown_ticks, timescale, track.timescale);
        moov.mvhd.duration = moov.mvhd.duration.max(movie_ticks);

        moov.traks.push(Default::default());
        let track_id = moov.traks.len();
        let trak = &mut moov.traks[track_id - 1];
        trak.tkhd.flags = TRACK_IN_USE;
        trak.tkhd.track_id = track_id as u32;
        trak.tkhd.duration = movie_ticks;
        trak.tkhd.version = version(movie_ticks);
        trak.mdia.mdhd.timescale = track.timescale;
        trak.mdia.mdhd.duration = media_ticks;
        trak.mdia.mdhd.version = version(media_ticks);

        // An edit list of one entry: what to show, from where in the track. It takes the priming off the sound.
        let elst = trak.edts.insert(Default::default()).elst.insert(Default::default());
        elst.version = version(movie_ticks);
        elst.entries.push(Default::default());
        elst.entries[0].segment_duration = movie_ticks;
        elst.entries[0].media_time = first_tick;
        elst.entries[0].media_rate = 1;

        let minf = &mut trak.mdia.minf;
        let stbl = &mut minf.stbl;
        if let Some(video) = video {
            let (width, height) = video.size;
            trak.tkhd.volume = FixedPointU8::new(0);
            trak.tkhd.set_width(width);
            trak.tkhd.set_height(height);
            trak.mdia.hdlr.handler_type = FourCC::from(*b"vide");
            trak.mdia.hdlr.name = "VideoHandler".into();
            minf.vmhd.insert(Default::default()).flags = 1; // always, by ISO 14496-12, 12.1.2
            let avc1 = stbl.stsd.avc1.insert(Default::default());
            avc1.data_reference_index = 1;
            (avc1.width, avc1.height) = (width, height);
            let Parameters { sps, pps } = video.parameters;
            let &[_, profile, compatibility, level, ..] = sps.as_slice() else {
                return Err(mp4::Error::InvalidData("the sequence parameter set is too short"));
            };
            avc1.avcc.configuration_version = 1;
            avc1.avcc.avc_profile_indication = profile;
            avc1.avcc.profile_compatibility = compatibility;
            avc1.avcc.avc_level_indication = level;
            avc1.avcc.length_size_minus_one = 3;
            avc1.avcc.sequence_parameter_sets.push(sps.as_slice().into());
            avc1.avcc.picture_parameter_sets.push(pps.as_slice().into());
            stbl.stss.insert(Default::default()).entries.clone_from(&track.keys);
        }
        if let Some(audio) = audio {
            trak.mdia.hdlr.handler_type = FourCC::from(*b"soun");
            trak.mdia.hdlr.name = "SoundHandler".into();
            minf.smhd = Some(Default::default());
            let mp4a = stbl.stsd.mp4a.insert(Default::default());
            mp4a.data_reference_index = 1;
            mp4a.channelcount = 1;
            mp4a.samplerate = FixedPointU16::new(u16::try_from(track.timescale).unwrap_or(0));
            let &[first, second, ..] = audio.config else {
                return Err(mp4::Error::InvalidData("the AudioSpecificConfig is too short"));
            };
            let config = &mut mp4a.esds.insert(Default::default()).es_desc.dec_config;
            config.object_type_indication = 0x40; // ISO 14496-3 audio
            config.stream_type = 5; // audio
            (config.avg_bitrate, config.max_bitrate) = track.bit_rates();
            config.dec_specific.profile = first >> 3;
            config.dec_specific.freq_index = (first & 7) << 1 | second >> 7;
            config.dec_specific.chan_conf = (second >> 3) & 15;
        }

        for (count, ticks) in track.time_runs(media_ticks) {
            stbl.stts.entries.push(Default::default());
            if let Some(entry) = stbl.stts.entries.last_mut() {
                (entry.sample_count, entry.sample_delta) = (count, ticks);
            }
        }
        stbl.stsz.sample_count = track.sizes.len() as u32;
        stbl.stsz.sample_sizes.clone_from(&track.sizes);
        for (first_chunk, mp4_samples) in track.chunk_runs() {
            stbl.stsc.entries.push(Default::default());
            if let Some(entry) = stbl.stsc.entries.last_mut() {
                (entry.first_chunk, entry.samples_per_chunk, entry.sample_description_index) =
                    (first_chunk, mp4_samples, 1);
            }
        }
        let offsets = track.chunks.iter().map(|&(offset, _)| data_offset + offset);
        if offsets.clone().all(|offset| offset <= u64::from(u32::MAX)) {
            stbl.stco.insert(Default::default()).entries = offsets.map(|offset| offset as u32).collect();
        } else {
            stbl.co64.insert(Default::default()).entries = offsets.collect();
        }
    }
    moov.mvhd.version = version(moov.mvhd.duration);
    moov.mvhd.next_track_id = moov.traks.len() as u32 + 1;
    let mut bytes = Vec::with_capacity(moov.box_size() as usize);
    moov.write_box(&mut bytes)?;
    complete_esds(&mut bytes);
    Ok(bytes)
}

/// Gives the SLConfigDescriptor, the last 3 bytes of `esds`, its length 1 and its value 2, "reserved for use in MP4 files"
/// (ISO 14496-14, 3.1.2); crate `mp4` writes length 0.
fn complete_esds(moov: &mut [u8]) {
    let Some(name) = moov.windows(4).position(|window| window == b"esds") else { return };
    let size = moov[name - 4..name].iter().fold(0, |size, &byte| size << 8 | usize::from(byte));
    if let Some(end) = moov.get_mut(name - 4..name - 4 + size)
        && let Some(descriptor) = end.last_chunk_mut::<3>()
    {
        *descriptor = [6, 1, 2];
    }
}

/// Ticks a second of the movie's clock, so that both tracks last a whole number of ticks where 32 bits allow it; else those
/// of the sound.
fn movie_timescale(video: Option<u32>, audio: Option<u32>) -> u32 {
    let (Some(video), Some(audio)) = (video, audio) else { return video.or(audio).unwrap_or(1000) };
    let gcd = {
        let (mut a, mut b) = (video, audio);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    (video / gcd).checked_mul(audio).filter(|&timescale| timescale <= 1_000_000).unwrap_or(audio)
}

/// `ticks` of a clock of `from` ticks a second in ticks of a clock of `to`, rounded.
fn rescale(ticks: u64, to: u32, from: u32) -> u64 {
    let (product, from) = (u128::from(ticks) * u128::from(to), u128::from(from));
    ((product + from / 2) / from) as u64
}

/// Version 0 of a box has 32 bits for a time, version 1 has 64.
fn version(ticks: u64) -> u8 {
    u8::from(ticks > u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_movie_clock_counts_both_tracks_exactly() {
        assert_eq!(movie_timescale(Some(25), Some(24_000)), 24_000);
        assert_eq!(movie_timescale(Some(30_000), Some(24_000)), 120_000);
        assert_eq!(movie_timescale(Some(99_991), Some(24_000)), 24_000);
        assert_eq!(movie_timescale(None, Some(24_000)), 24_000);
    }

    #[test]
    fn offsets_beyond_4_gib_get_64_bits() {
        let mut track = Track::new(24_000, 1024);
        for _ in 0..30 {
            track.push(&[1, 2, 3], false);
        }
        track.close_chunk();
        let (mut offset, far) = (0, u64::from(u32::MAX) - 10);
        while track.next_chunk(offset).is_some() {
            offset += 36;
        }
        let boxes = |data_offset| {
            let audio = Audio { track: &track, pcm_samples: 29 * 1024 - 5, config: &[0x13, 0x08] };
            moov(None, Some(&audio), data_offset).unwrap()
        };
        let has = |bytes: &[u8], name: &[u8; 4]| bytes.windows(4).any(|window| window == name);
        assert!(has(&boxes(100), b"stco") && !has(&boxes(100), b"co64"));
        assert!(has(&boxes(far), b"co64") && !has(&boxes(far), b"stco"));
        let size = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        assert_eq!(size(&boxes(100)), boxes(100).len());
        assert_eq!(size(&boxes(far)), boxes(far).len());
        assert!(boxes(100).windows(3).any(|window| window == [6, 1, 2]));
    }
}
