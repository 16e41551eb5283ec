//! Boxes as bytes, and those that crate `mp4` has not: of captions (3GPP TS 26.245) and of fragments (ISO 14496-12).

use mp4::WriteBox;

use super::track::Chunk;

/// A box of parts.
pub(super) fn boxed(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let size = 8 + parts.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(size);
    bytes.extend_from_slice(&(size as u32).to_be_bytes());
    bytes.extend_from_slice(name);
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

/// The head of a box whose body is of this length, with a size of 64 bits where 32 do not hold it.
pub(super) fn box_header(name: &[u8; 4], body_len: u64) -> Vec<u8> {
    match u32::try_from(body_len + 8) {
        Ok(size) => [&size.to_be_bytes()[..], name].concat(),
        Err(_) => [&1_u32.to_be_bytes()[..], name, &(body_len + 16).to_be_bytes()].concat(),
    }
}

/// A box with a version and flags.
pub(super) fn full_box(name: &[u8; 4], version: u8, flags: u32, parts: &[&[u8]]) -> Vec<u8> {
    let head = (u32::from(version) << 24 | flags).to_be_bytes();
    let parts: Vec<&[u8]> = [&head[..]].into_iter().chain(parts.iter().copied()).collect();
    boxed(name, &parts)
}

/// A box of crate `mp4`.
pub(super) fn of_crate<B: for<'w> WriteBox<&'w mut Vec<u8>>>(value: &B) -> mp4::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    value.write_box(&mut bytes)?;
    Ok(bytes)
}

/// The sample description box with one entry; `data_reference_index` 1 is the file itself.
fn description(name: &[u8; 4], parts: &[&[u8]]) -> Vec<u8> {
    let head: [&[u8]; 1] = [&[0, 0, 0, 0, 0, 0, 0, 1]];
    let parts: Vec<&[u8]> = head.into_iter().chain(parts.iter().copied()).collect();
    full_box(b"stsd", 0, 0, &[&1_u32.to_be_bytes(), &boxed(name, &parts)])
}

/// Describes captions, white and centred in a field of `width` x `height` pixels (TextSampleEntry, 3GPP TS 26.245, 5.16).
pub(super) fn captions_description(width: u16, height: u16) -> Vec<u8> {
    let mut entry = vec![0, 0, 0, 0]; // display flags
    entry.extend_from_slice(&[1, 0xff]); // centred, at the bottom
    entry.extend_from_slice(&[0; 4]); // no background
    entry.extend([0, 0, height, width].iter().flat_map(|edge| edge.to_be_bytes())); // top, left, bottom, right
    // A twentieth of the picture, whose lower quarter the field is.
    let size = (height / 5).clamp(12, 72) as u8;
    entry.extend_from_slice(&[0, 0, 0, 0, 0, 1, 0, size, 0xff, 0xff, 0xff, 0xff]); // style: font 1
    let font = b"Arial";
    let fonts = boxed(b"ftab", &[&[0, 1, 0, 1, font.len() as u8], font]);
    description(b"tx3g", &[&entry, &fonts])
}

/// Says that a track of this id goes on in fragments (`trex`).
pub(super) fn track_extends(track_id: u32) -> Vec<u8> {
    let mut body = Vec::new();
    for value in [track_id, 1, 0, 0, 0] {
        body.extend_from_slice(&value.to_be_bytes());
    }
    full_box(b"trex", 0, 0, &[&body])
}

/// A fragment: a movie fragment box and its media data, a chunk of each track (id, chunk).
pub(super) fn fragment(sequence: u32, chunks: &[(u32, Chunk)]) -> Vec<u8> {
    let head = full_box(b"mfhd", 0, 0, &[&sequence.to_be_bytes()]);
    // Offsets count from the start of the fragment, and none changes its length.
    let build = |first_offset: usize| {
        let mut offset = first_offset;
        let tracks: Vec<Vec<u8>> = chunks
            .iter()
            .map(|(track_id, chunk)| {
                let part = track_fragment(*track_id, chunk, offset as u32);
                offset += chunk.bytes.len();
                part
            })
            .collect();
        let parts: Vec<&[u8]> = [&*head].into_iter().chain(tracks.iter().map(Vec::as_slice)).collect();
        boxed(b"moof", &parts)
    };
    let mut bytes = build(build(0).len() + 8);
    let data: Vec<&[u8]> = chunks.iter().map(|(_, chunk)| &*chunk.bytes).collect();
    bytes.extend(boxed(b"mdat", &data));
    bytes
}

/// Where a track's chunk lies and what MP4 samples it has (ISO 14496-12, 8.8.6 to 8.8.12).
fn track_fragment(track_id: u32, chunk: &Chunk, data_offset: u32) -> Vec<u8> {
    const DEFAULT_BASE_IS_MOOF: u32 = 0x2_0000;
    // Data offset; duration, size and flags of each MP4 sample.
    const RUN: u32 = 0x1 | 0x100 | 0x200 | 0x400;
    const DEPENDS_ON_NO_OTHER: u32 = 0x200_0000;
    const DEPENDS_AND_IS_NO_SYNC: u32 = 0x101_0000;
    let mut run = Vec::new();
    run.extend_from_slice(&(chunk.mp4_samples.len() as u32).to_be_bytes());
    run.extend_from_slice(&data_offset.to_be_bytes());
    for mp4_sample in &chunk.mp4_samples {
        let flags = if mp4_sample.is_key { DEPENDS_ON_NO_OTHER } else { DEPENDS_AND_IS_NO_SYNC };
        for value in [mp4_sample.ticks, mp4_sample.size, flags] {
            run.extend_from_slice(&value.to_be_bytes());
        }
    }
    boxed(
        b"traf",
        &[
            &full_box(b"tfhd", 0, DEFAULT_BASE_IS_MOOF, &[&track_id.to_be_bytes()]),
            &full_box(b"tfdt", 1, 0, &[&chunk.start.to_be_bytes()]),
            &full_box(b"trun", 0, RUN, &[&run]),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_4_gib_of_media_data_gets_a_64_bit_size() {
        assert_eq!(box_header(b"mdat", 100), [0, 0, 0, 108, b'm', b'd', b'a', b't']);
        let expected = [0, 0, 0, 1, b'm', b'd', b'a', b't', 0, 0, 0, 1, 0, 0, 0, 15];
        assert_eq!(box_header(b"mdat", u64::from(u32::MAX)), expected);
    }
}
