//! The movie box (ISO 14496-12, `moov`): the index of the file, built from the boxes of crate `mp4` without its writer.
//!
//! The writer of `mp4` 0.14 cannot be used as it is: it has no edit lists, no index in front, no fragments, rounds durations MP4 sample by MP4 sample, calls every audio MP4 sample a sync sample, leaves `next_track_id` at 1
//! and writes an SLConfigDescriptor of no length, which some parsers refuse. Its boxes are sound, so this fills them in.

use mp4::{FixedPointU8, FixedPointU16, FourCC, MoovBox};

use super::aac::ACCESS_UNIT_SAMPLES;
use super::boxes::{boxed, captions_description, full_box, of_crate, track_extends};
use super::h264::Parameters;
use super::track::Track;

/// `track_enabled` and `track_in_movie` (ISO 14496-12, 8.3.2.3).
const TRACK_IN_USE: u32 = 3;

/// A track and what its description needs.
pub(super) struct Described<'a> {
    pub(super) track: &'a Track,
    pub(super) media: Media<'a>,
}

/// What a track holds.
#[derive(Clone, Copy)]
pub(super) enum Media<'a> {
    Video {
        size: (u16, u16),
        parameters: &'a Parameters,
    },
    Audio {
        /// AudioSpecificConfig.
        config: &'a [u8],
    },
    /// Captions to be shown over pictures of this size.
    Captions {
        size: (u16, u16),
    },
}

/// Where the media data of a file is.
#[derive(Clone, Copy)]
pub(super) enum Data {
    /// Behind the movie box: chunks lie at this offset and their place in the media data.
    Indexed(u64),
    /// In fragments that follow; nothing is known of them yet.
    Fragmented,
}

/// Builds the movie box of tracks whose ids count from 1.
///
/// Crate `mp4` does not export the types of inner boxes; their fields can be reached by name all the same, and
/// `insert(Default::default())` makes one.
pub(super) fn moov(tracks: &[Described<'_>], data: Data) -> mp4::Result<Vec<u8>> {
    let mut moov = MoovBox::default();
    let timescale = movie_timescale(tracks.iter().map(|described| described.track.timescale));
    moov.mvhd.timescale = timescale;
    let mut parts = Vec::new();
    for (id, described) in (1..).zip(tracks) {
        let (bytes, movie_ticks) = trak(id, described, timescale, data)?;
        parts.push(bytes);
        moov.mvhd.duration = moov.mvhd.duration.max(movie_ticks);
    }
    moov.mvhd.version = version(moov.mvhd.duration);
    moov.mvhd.next_track_id = tracks.len() as u32 + 1;
    parts.insert(0, of_crate(&moov.mvhd)?);
    if matches!(data, Data::Fragmented) {
        let extends: Vec<Vec<u8>> = (1..=tracks.len() as u32).map(track_extends).collect();
        parts.push(boxed(b"mvex", &extends.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    }
    Ok(boxed(b"moov", &parts.iter().map(Vec::as_slice).collect::<Vec<_>>()))
}

/// A track's box, and how long the track is shown in ticks of the movie's clock.
fn trak(id: u32, described: &Described<'_>, timescale: u32, data: Data) -> mp4::Result<(Vec<u8>, u64)> {
    let Described { track, media } = described;
    let mut moov = MoovBox::default();
    moov.traks.push(Default::default());
    let trak = &mut moov.traks[0];
    let first_tick = if matches!(media, Media::Audio { .. }) { ACCESS_UNIT_SAMPLES } else { 0 };
    let (media_ticks, movie_ticks) = match data {
        Data::Indexed(_) => (track.ticks, rescale(track.ticks.saturating_sub(first_tick), timescale, track.timescale)),
        // Up to the end of the last fragment.
        Data::Fragmented => (0, 0),
    };
    trak.tkhd.flags = TRACK_IN_USE;
    trak.tkhd.track_id = id;
    trak.tkhd.duration = movie_ticks;
    trak.tkhd.version = version(movie_ticks);
    trak.tkhd.volume = FixedPointU8::new(u8::from(matches!(media, Media::Audio { .. })));
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

    let (handler, name) = match media {
        Media::Video { .. } => (b"vide", "VideoHandler"),
        Media::Audio { .. } => (b"soun", "SoundHandler"),
        Media::Captions { .. } => (b"sbtl", "Captions"),
    };
    trak.mdia.hdlr.handler_type = FourCC::from(*handler);
    trak.mdia.hdlr.name = name.into();
    let stbl = &mut trak.mdia.minf.stbl;
    let (media_header, description) = match *media {
        Media::Video { size: (width, height), parameters } => {
            trak.tkhd.set_width(width);
            trak.tkhd.set_height(height);
            let avc1 = stbl.stsd.avc1.insert(Default::default());
            avc1.data_reference_index = 1;
            (avc1.width, avc1.height) = (width, height);
            let Parameters { sps, pps } = parameters;
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
            if matches!(data, Data::Indexed(_)) {
                stbl.stss.insert(Default::default()).entries.clone_from(&track.index.keys);
            }
            // Flags 1 always, by ISO 14496-12, 12.1.2.
            (full_box(b"vmhd", 0, 1, &[&[0; 8]]), of_crate(&stbl.stsd)?)
        }
        Media::Audio { config } => {
            let mp4a = stbl.stsd.mp4a.insert(Default::default());
            mp4a.data_reference_index = 1;
            mp4a.channelcount = 1;
            mp4a.samplerate = FixedPointU16::new(u16::try_from(track.timescale).unwrap_or(0));
            let &[first, second, ..] = config else {
                return Err(mp4::Error::InvalidData("the AudioSpecificConfig is too short"));
            };
            let config = &mut mp4a.esds.insert(Default::default()).es_desc.dec_config;
            config.object_type_indication = 0x40; // ISO 14496-3 audio
            config.stream_type = 5; // audio
            (config.avg_bitrate, config.max_bitrate) =
                track.index.bit_rates(ACCESS_UNIT_SAMPLES as u32, track.timescale);
            config.dec_specific.profile = first >> 3;
            config.dec_specific.freq_index = (first & 7) << 1 | second >> 7;
            config.dec_specific.chan_conf = (second >> 3) & 15;
            let mut description = of_crate(&stbl.stsd)?;
            complete_esds(&mut description);
            (full_box(b"smhd", 0, 0, &[&[0; 4]]), description)
        }
        Media::Captions { size: (width, picture_height) } => {
            // The lower quarter of the picture.
            let height = picture_height / 4;
            trak.tkhd.set_width(width);
            trak.tkhd.set_height(height);
            trak.tkhd.matrix.y = i32::from(picture_height - height) << 16;
            trak.mdia.mdhd.language = "eng".into();
            (full_box(b"nmhd", 0, 0, &[]), captions_description(width, height))
        }
    };

    let index = &track.index;
    for &(count, ticks) in &index.times {
        stbl.stts.entries.push(Default::default());
        if let Some(entry) = stbl.stts.entries.last_mut() {
            (entry.sample_count, entry.sample_delta) = (count, ticks);
        }
    }
    stbl.stsz.sample_count = index.sizes.len() as u32;
    stbl.stsz.sample_sizes.clone_from(&index.sizes);
    for (first_chunk, mp4_samples) in index.chunk_runs() {
        stbl.stsc.entries.push(Default::default());
        if let Some(entry) = stbl.stsc.entries.last_mut() {
            (entry.first_chunk, entry.samples_per_chunk, entry.sample_description_index) =
                (first_chunk, mp4_samples, 1);
        }
    }
    let data_offset = if let Data::Indexed(offset) = data { offset } else { 0 };
    let offsets = index.chunks.iter().map(|&(offset, _)| data_offset + offset);
    let offsets = if offsets.clone().all(|offset| offset <= u64::from(u32::MAX)) {
        let stco = stbl.stco.insert(Default::default());
        stco.entries = offsets.map(|offset| offset as u32).collect();
        of_crate(&*stco)?
    } else {
        let co64 = stbl.co64.insert(Default::default());
        co64.entries = offsets.collect();
        of_crate(&*co64)?
    };
    let keys = stbl.stss.as_ref().map(of_crate).transpose()?.unwrap_or_default();
    let stbl = boxed(
        b"stbl",
        &[&description, &of_crate(&stbl.stts)?, &keys, &of_crate(&stbl.stsc)?, &of_crate(&stbl.stsz)?, &offsets],
    );
    let minf = boxed(b"minf", &[&media_header, &of_crate(&trak.mdia.minf.dinf)?, &stbl]);
    let mdia = boxed(b"mdia", &[&of_crate(&trak.mdia.mdhd)?, &of_crate(&trak.mdia.hdlr)?, &minf]);
    let edts = trak.edts.as_ref().map(of_crate).transpose()?.unwrap_or_default();
    Ok((boxed(b"trak", &[&of_crate(&trak.tkhd)?, &edts, &mdia]), movie_ticks))
}

/// Gives the SLConfigDescriptor, the last 3 bytes of `esds`, its length 1 and its value 2, "reserved for use in MP4 files"
/// (ISO 14496-14, 3.1.2); crate `mp4` writes length 0.
fn complete_esds(description: &mut [u8]) {
    let Some(name) = description.windows(4).position(|window| window == b"esds") else { return };
    let size = description[name - 4..name].iter().fold(0, |size, &byte| size << 8 | usize::from(byte));
    if let Some(end) = description.get_mut(name - 4..name - 4 + size)
        && let Some(descriptor) = end.last_chunk_mut::<3>()
    {
        *descriptor = [6, 1, 2];
    }
}

/// Ticks a second of the movie's clock, so that all tracks last a whole number of ticks where 32 bits allow it; else the
/// finest of theirs.
fn movie_timescale(timescales: impl Iterator<Item = u32> + Clone) -> u32 {
    let gcd = |mut a: u32, mut b: u32| {
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let common = timescales
        .clone()
        .try_fold(1_u32, |common, timescale| (common / gcd(common, timescale)).checked_mul(timescale));
    common.filter(|&common| common <= 1_000_000).or(timescales.max()).unwrap_or(1000)
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
    fn the_movie_clock_counts_all_tracks_exactly() {
        let of = |timescales: &[u32]| movie_timescale(timescales.iter().copied());
        assert_eq!(of(&[25, 24_000]), 24_000);
        assert_eq!(of(&[30_000, 24_000, 24_000]), 120_000);
        assert_eq!(of(&[99_991, 24_000]), 99_991);
        assert_eq!(of(&[24_000]), 24_000);
    }

    #[test]
    fn offsets_beyond_4_gib_get_64_bits() {
        let mut track = Track::new(24_000);
        for _ in 0..30 {
            track.push(&[1, 2, 3], 1024, true);
        }
        track.close_chunk();
        let (mut offset, far) = (0, u64::from(u32::MAX) - 10);
        while let Some(chunk) = track.next_chunk() {
            track.index.add(offset, &chunk);
            offset += 36;
        }
        let boxes = |data_offset| {
            let audio = Described { track: &track, media: Media::Audio { config: &[0x13, 0x08] } };
            moov(&[audio], Data::Indexed(data_offset)).unwrap()
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
