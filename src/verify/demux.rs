//! The tracks of an MP4 file (ISO 14496-12), whole or in fragments, read apart from what writes them. Every number of the file
//! is checked against its length, so a damaged file is an error and no more.

use crate::sink::CUES_BOX;

/// A file's tracks and how it is laid out.
pub(super) struct Movie {
    /// The index comes before the media data.
    pub(super) index_in_front: bool,
    pub(super) is_fragmented: bool,
    /// Length that the file gives itself, in seconds; 0 in fragments.
    pub(super) duration_s: f64,
    pub(super) tracks: Vec<Track>,
    /// The cues as JSON.
    pub(super) cues: Option<Vec<u8>>,
}

/// One track.
pub(super) struct Track {
    pub(super) id: u32,
    /// `vide`, `soun`, `sbtl`, ...
    pub(super) handler: [u8; 4],
    /// The fourcc of its sample description.
    pub(super) coding: [u8; 4],
    /// The sample entry after its fourcc.
    pub(super) entry: Vec<u8>,
    /// Ticks a second.
    pub(super) timescale: u32,
    /// Where in the track the edit list starts, in ticks, and what it shows in seconds (0 for all).
    pub(super) first_tick: u64,
    pub(super) shown_s: f64,
    /// Time before the track starts in the movie, in seconds: an empty edit.
    pub(super) delay_s: f64,
    pub(super) mp4_samples: Vec<Mp4Sample>,
}

/// A coded access unit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mp4Sample {
    pub(super) offset: usize,
    pub(super) size: usize,
    /// Start and length in ticks.
    pub(super) start: u64,
    pub(super) ticks: u32,
}

impl Track {
    /// When an MP4 sample is shown, in seconds of the movie.
    pub(super) fn start_s(&self, mp4_sample: &Mp4Sample) -> f64 {
        (mp4_sample.start as f64 - self.first_tick as f64) / f64::from(self.timescale) + self.delay_s
    }

    /// When the last MP4 sample ends, in seconds of the movie.
    pub(super) fn media_end_s(&self) -> f64 {
        let end = |last: &Mp4Sample| self.start_s(last) + f64::from(last.ticks) / f64::from(self.timescale);
        self.mp4_samples.last().map_or(0.0, end)
    }

    /// When the track ends as it is shown, in seconds of the movie.
    pub(super) fn end_s(&self) -> f64 {
        if self.shown_s > 0.0 { self.media_end_s().min(self.delay_s + self.shown_s) } else { self.media_end_s() }
    }

    /// The bytes of an MP4 sample.
    pub(super) fn bytes<'a>(&self, file: &'a [u8], mp4_sample: &Mp4Sample) -> &'a [u8] {
        file.get(mp4_sample.offset..mp4_sample.offset.saturating_add(mp4_sample.size)).unwrap_or_default()
    }
}

/// Reads a file.
pub(super) fn movie(file: &[u8]) -> Result<Movie, String> {
    let mut tracks: Vec<Track> = Vec::new();
    let (mut index, mut data, mut cues) = (None, None, None);
    let (mut duration_s, mut is_fragmented, mut end) = (0.0, false, 0);
    for (name, offset, body) in boxes(file, 0) {
        end = offset + body.len();
        match &name {
            b"moov" => {
                index = Some(offset);
                let (movie_timescale, duration) = times(child(body, b"mvhd").ok_or("the index has no header")?);
                duration_s = duration as f64 / f64::from(movie_timescale.max(1));
                is_fragmented = child(body, b"mvex").is_some();
                for (_, _, body) in boxes(body, 0).filter(|(name, ..)| name == b"trak") {
                    tracks.push(track(body, movie_timescale.max(1), file.len())?);
                }
            }
            b"moof" => {
                for (_, _, body) in boxes(body, 0).filter(|(name, ..)| name == b"traf") {
                    add_fragment(&mut tracks, body, offset - 8)?;
                }
            }
            b"mdat" => {
                data.get_or_insert(offset);
            }
            b"uuid" => cues = body.strip_prefix(&CUES_BOX).map(<[u8]>::to_vec).or(cues),
            _ => {}
        }
    }
    let index = index.ok_or("it is no MP4 file, or its index is missing")?;
    if end != file.len() {
        return Err("it is cut off".into());
    }
    let data = data.ok_or("it has no media data")?;
    for track in &tracks {
        if track.mp4_samples.iter().any(|sample| sample.offset.saturating_add(sample.size) > file.len()) {
            return Err(format!("track {} points beyond the end of the file", track.id));
        }
    }
    Ok(Movie { index_in_front: index < data, is_fragmented, duration_s, tracks, cues })
}

/// The boxes in `bytes`: name, place of the body from the start of `bytes`, body. Ends at what is no box.
fn boxes(bytes: &[u8], from: usize) -> impl Iterator<Item = ([u8; 4], usize, &[u8])> {
    let mut at = from;
    std::iter::from_fn(move || {
        let name = bytes.get(at + 4..at + 8)?.try_into().ok()?;
        let (head, size) = match u32_at(bytes, at)? {
            0 => (8, bytes.len() - at),
            1 => (16, usize::try_from(u64_at(bytes, at + 8)?).ok()?),
            size => (8, size as usize),
        };
        let end = at.checked_add(size).filter(|_| size >= head)?;
        let body = bytes.get(at + head..end)?;
        let offset = at + head;
        at = end;
        Some((name, offset, body))
    })
}

fn child<'a>(bytes: &'a [u8], name: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes, 0).find(|found| &found.0 == name).map(|found| found.2)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// Timescale and duration of a movie or media header, which have them in the same place.
fn times(header: &[u8]) -> (u32, u64) {
    match header.first() {
        Some(1) => (u32_at(header, 20).unwrap_or(0), u64_at(header, 24).unwrap_or(0)),
        _ => (u32_at(header, 12).unwrap_or(0), u32_at(header, 16).unwrap_or(0).into()),
    }
}

fn track(body: &[u8], movie_timescale: u32, file_len: usize) -> Result<Track, String> {
    let header = child(body, b"tkhd").ok_or("a track has no header")?;
    let id = u32_at(header, if header.first() == Some(&1) { 20 } else { 12 }).unwrap_or(0);
    let incomplete = || format!("track {id} is incomplete");
    let mdia = child(body, b"mdia").ok_or_else(incomplete)?;
    let timescale = times(child(mdia, b"mdhd").ok_or_else(incomplete)?).0;
    if timescale == 0 {
        return Err(format!("track {id} has no clock"));
    }
    let handler = child(mdia, b"hdlr").and_then(|body| body.get(8..12)?.try_into().ok()).ok_or_else(incomplete)?;
    let table = child(mdia, b"minf").and_then(|minf| child(minf, b"stbl")).ok_or_else(incomplete)?;
    let description = child(table, b"stsd").and_then(|body| boxes(body.get(8..)?, 0).next());
    let (coding, _, entry) = description.ok_or_else(incomplete)?;
    let mut track = Track {
        id,
        handler,
        coding,
        entry: entry.to_vec(),
        timescale,
        first_tick: 0,
        shown_s: 0.0,
        delay_s: 0.0,
        mp4_samples: samples(table, file_len).ok_or_else(incomplete)?,
    };
    if let Some(list) = child(body, b"edts").and_then(|edts| child(edts, b"elst")) {
        let wide = list.first() == Some(&1);
        for number in 0..u32_at(list, 4).unwrap_or(0).min(16) as usize {
            let (duration, first_tick) = if wide {
                (u64_at(list, 8 + 20 * number), u64_at(list, 16 + 20 * number).map(|tick| tick as i64))
            } else {
                let tick = u32_at(list, 12 + 12 * number).map(|tick| i64::from(tick as i32));
                (u32_at(list, 8 + 12 * number).map(u64::from), tick)
            };
            let (Some(duration), Some(first_tick)) = (duration, first_tick) else { return Err(incomplete()) };
            let duration_s = duration as f64 / f64::from(movie_timescale);
            match u64::try_from(first_tick) {
                Ok(first_tick) => (track.first_tick, track.shown_s) = (first_tick, duration_s),
                Err(_) => track.delay_s += duration_s,
            }
        }
    }
    Ok(track)
}

/// The MP4 samples that a table lists.
fn samples(table: &[u8], file_len: usize) -> Option<Vec<Mp4Sample>> {
    let sizes = child(table, b"stsz")?;
    let (fixed, count) = (u32_at(sizes, 4)?, u32_at(sizes, 8)? as usize);
    // No MP4 sample of a table is without either an entry or, where all are as long, a byte.
    if count > file_len {
        return None;
    }
    let times = child(table, b"stts")?;
    let runs = child(table, b"stsc")?;
    let offset_of = |chunk: usize| match (child(table, b"stco"), child(table, b"co64")) {
        (Some(offsets), _) => u32_at(offsets, 8 + 4 * chunk).map(u64::from),
        (None, offsets) => u64_at(offsets?, 8 + 8 * chunk),
    };
    let mut samples = Vec::with_capacity(count);
    let (mut start, mut time_run, mut time_left) = (0_u64, 0, 0);
    let (mut chunk, mut run, mut left, mut offset) = (0_usize, 0, 0, 0_usize);
    let mut ticks = 0;
    for number in 0..count {
        let size = if fixed > 0 { fixed } else { u32_at(sizes, 12 + 4 * number)? } as usize;
        while time_left == 0 {
            (time_left, ticks) = (u32_at(times, 8 + 8 * time_run)?, u32_at(times, 12 + 8 * time_run)?);
            time_run += 1;
        }
        if left == 0 {
            // The next run of chunks begins where it says, counted from 1.
            while u32_at(runs, 8 + 12 * run).is_some_and(|first| first as usize <= chunk + 1) {
                run += 1;
            }
            left = u32_at(runs, 12 + 12 * run.checked_sub(1)?)?;
            offset = usize::try_from(offset_of(chunk)?).ok()?;
            chunk += 1;
        }
        samples.push(Mp4Sample { offset, size, start, ticks });
        offset = offset.checked_add(size)?;
        start += u64::from(ticks);
        time_left -= 1;
        left = left.checked_sub(1)?;
    }
    Some(samples)
}

/// Adds the MP4 samples of a track fragment; offsets count from the start of the movie fragment.
fn add_fragment(tracks: &mut [Track], body: &[u8], fragment_offset: usize) -> Result<(), String> {
    let mut add = || {
        let header = child(body, b"tfhd")?;
        let track = tracks.iter_mut().find(|track| Some(track.id) == u32_at(header, 4))?;
        let decode_time = child(body, b"tfdt")?;
        let is_wide = decode_time.first() == Some(&1);
        let mut start = if is_wide { u64_at(decode_time, 4)? } else { u32_at(decode_time, 4)?.into() };
        for (_, _, run) in boxes(body, 0).filter(|(name, ..)| name == b"trun") {
            let flags = u32_at(run, 0)? & 0xff_ffff;
            // What this program and the usual packagers write: an offset, then duration and size of each.
            if flags & 0x301 != 0x301 {
                return None;
            }
            let mut at = 8;
            let mut offset = fragment_offset.checked_add(u32_at(run, at)? as usize)?;
            at += if flags & 0x4 != 0 { 8 } else { 4 };
            for _ in 0..u32_at(run, 4)? {
                let (ticks, size) = (u32_at(run, at)?, u32_at(run, at + 4)? as usize);
                track.mp4_samples.push(Mp4Sample { offset, size, start, ticks });
                offset = offset.checked_add(size)?;
                start = start.checked_add(ticks.into())?;
                at += 8 + 4 * (flags & 0xc00).count_ones() as usize;
            }
        }
        Some(())
    };
    add().ok_or_else(|| "a fragment cannot be read".to_string())
}
