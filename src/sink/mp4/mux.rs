//! Puts tracks into one file (ISO 14496-12) with the index in front, so that a player can start before it has all of it.
//!
//! Media data streams into the file as it comes; only the index stays in memory. At the end the media data moves back by the
//! length of the index, in place, and the index is written into the gap.

use std::io::{self, Read, Seek, SeekFrom, Write};

use super::boxes::{box_header, boxed};
use super::moov::{self, Data, Described};
use super::track::Track;

/// How far one track may run ahead, in chunks, before its media data is written alone; bounds memory.
const MAX_WAITING: usize = 64;

/// Bytes moved at a time.
const BLOCK: usize = 1 << 20;

/// A file under way.
pub(super) struct Mux<F> {
    file: F,
    data_len: u64,
}

impl<F: Read + Write + Seek> Mux<F> {
    /// Starts in an empty file.
    pub(super) fn new(file: F) -> Self {
        Self { file, data_len: 0 }
    }

    /// Writes chunks that are complete, in the order of their start, as long as none of the first `dense` tracks could still
    /// bring an earlier one. The others are sparse: nobody waits for them.
    pub(super) fn write_ready(&mut self, tracks: &mut [&mut Track], dense: usize) -> io::Result<()> {
        while tracks[..dense].iter().all(|track| track.waiting() > 0)
            || tracks.iter().any(|track| track.waiting() > MAX_WAITING)
        {
            self.write_earliest(tracks)?;
        }
        Ok(())
    }

    /// Writes all that is left.
    pub(super) fn write_rest(&mut self, tracks: &mut [&mut Track]) -> io::Result<()> {
        for track in tracks.iter_mut() {
            track.close_chunk();
        }
        while tracks.iter().any(|track| track.waiting() > 0) {
            self.write_earliest(tracks)?;
        }
        Ok(())
    }

    fn write_earliest(&mut self, tracks: &mut [&mut Track]) -> io::Result<()> {
        let start_s = |track: &&mut Track| track.next_start_s().unwrap_or(f64::INFINITY);
        let earliest = tracks.iter_mut().min_by(|a, b| start_s(a).total_cmp(&start_s(b)));
        if let Some(track) = earliest
            && let Some(chunk) = track.next_chunk()
        {
            self.file.write_all(&chunk.bytes)?;
            track.index.add(self.data_len, &chunk);
            self.data_len += chunk.bytes.len() as u64;
        }
        Ok(())
    }

    /// Writes the index in front of the media data; gives the file back at its end.
    pub(super) fn finish(mut self, tracks: &[Described<'_>]) -> io::Result<F> {
        let mut head = ftyp(b"isom", &[b"isom", b"iso2", b"avc1", b"mp41"]);
        let mdat = box_header(b"mdat", self.data_len);
        // Offsets depend on the length of the index, and that on whether offsets need 64 bits: twice is enough, as a longer
        // index can only make 64 bits more needed, and a second longer one is checked for.
        let mut index = moov::moov(tracks, Data::Indexed(0)).map_err(to_io)?;
        loop {
            let data_offset = (head.len() + index.len() + mdat.len()) as u64;
            let length = index.len();
            index = moov::moov(tracks, Data::Indexed(data_offset)).map_err(to_io)?;
            if index.len() == length {
                break;
            }
        }
        head.extend(index);
        head.extend(mdat);
        self.move_data(head.len() as u64)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&head)?;
        self.file.seek(SeekFrom::End(0))?;
        Ok(self.file)
    }

    /// Moves the media data back by `by` bytes, from its end on, so that nothing is overwritten before it is read.
    fn move_data(&mut self, by: u64) -> io::Result<()> {
        let mut block = vec![0; BLOCK.min(usize::try_from(self.data_len).unwrap_or(BLOCK))];
        let mut end = self.data_len;
        while end > 0 {
            let start = end.saturating_sub(BLOCK as u64);
            let block = &mut block[..(end - start) as usize];
            self.file.seek(SeekFrom::Start(start))?;
            self.file.read_exact(block)?;
            self.file.seek(SeekFrom::Start(start + by))?;
            self.file.write_all(block)?;
            end = start;
        }
        Ok(())
    }
}

/// The kind of file (ISO 14496-12, 4.3).
pub(super) fn ftyp(major: &[u8; 4], compatible: &[&[u8; 4]]) -> Vec<u8> {
    let compatible: Vec<u8> = compatible.iter().copied().flatten().copied().collect();
    boxed(b"ftyp", &[major, &512_u32.to_be_bytes(), &compatible])
}

pub(super) fn to_io(error: mp4::Error) -> io::Error {
    match error {
        mp4::Error::IoError(error) => error,
        other => io::Error::other(other),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::sink::mp4::moov::Media;

    #[test]
    fn media_data_of_any_length_moves_whole() {
        for length in [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK + 17] {
            let data: Vec<u8> = (0..length).map(|i| (i * 7 + i / 251) as u8).collect();
            let mut mux = Mux { file: Cursor::new(data.clone()), data_len: length as u64 };
            mux.move_data(1234).unwrap();
            let moved = mux.file.into_inner();
            assert!(length == 0 || moved[1234..] == data);
        }
    }

    #[test]
    fn chunks_alternate_and_a_track_alone_is_not_held_for_ever() {
        let mut mux = Mux::new(Cursor::new(Vec::new()));
        let (mut video, mut audio) = (Track::new(25), Track::new(24_000));
        let mut audio_given = 0;
        for k in 0..50 {
            video.push(&[b'v'; 10], 1, k % 25 == 0);
            while audio_given * 1024 < (k + 1) * 960 {
                audio.push(b"a", 1024, true);
                audio_given += 1;
            }
            mux.write_ready(&mut [&mut video, &mut audio], 2).unwrap();
        }
        mux.write_rest(&mut [&mut video, &mut audio]).unwrap();
        let mut runs: Vec<u8> = mux.file.get_ref().clone();
        runs.dedup();
        // Chunks of 13 video frames (0.52 s) and 12 access units (0.512 s): the second and third of the sound come first.
        assert_eq!(runs, b"vavavav");
        assert_eq!(video.index.sizes.len() as u32, video.index.chunks.iter().map(|chunk| chunk.1).sum::<u32>());

        let mut mux = Mux::new(Cursor::new(Vec::new()));
        let (mut video, mut audio) = (Track::new(25), Track::new(24_000));
        for _ in 0..25 * 600 {
            video.push(b"v", 1, false);
            mux.write_ready(&mut [&mut video, &mut audio], 2).unwrap();
            assert!(video.waiting() <= MAX_WAITING);
        }
    }

    /// A disk that takes `room` bytes in all and no more.
    struct FullDisk {
        file: Cursor<Vec<u8>>,
        room: u64,
    }

    impl Write for FullDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.file.position() + bytes.len() as u64 > self.room {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.file.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Read for FullDisk {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.file.read(bytes)
        }
    }

    impl Seek for FullDisk {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.file.seek(to)
        }
    }

    #[test]
    fn a_disk_that_fills_up_at_any_point_is_an_error() {
        let write_all = |room| {
            let mut mux = Mux::new(FullDisk { file: Cursor::new(Vec::new()), room });
            let mut track = Track::new(24_000);
            for _ in 0..50 {
                track.push(&[7; 200], 1024, true);
                mux.write_ready(&mut [&mut track], 1)?;
            }
            mux.write_rest(&mut [&mut track])?;
            mux.finish(&[Described { track: &track, media: Media::Audio { config: &[0x13, 0x08] } }]).map(|_| ())
        };
        let needed = (0..40_000).step_by(100).find(|&room| write_all(room).is_ok()).expect("40 kB are enough");
        assert!(needed > 10_500, "10 kB of media data and an index do not fit into {needed} bytes");
        for room in (0..needed - 100).step_by(500) {
            assert_eq!(write_all(room).unwrap_err().kind(), io::ErrorKind::StorageFull, "{room}");
        }
    }
}
