//! The container under both datasets: a manifest, an index and flat arrays, committed together.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use memmap2::Mmap;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{DataError, Result};
use crate::sink::output::replace;

/// Version of the layout that `mod.rs` documents.
const VERSION: u32 = 1;
const MANIFEST: &str = "manifest.json";
const INDEX: &str = "index.jsonl";

/// `manifest.json`. `G` holds what is particular to one kind of dataset: rates and geometry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest<G> {
    format: String,
    version: u32,
    geometry: G,
    items: usize,
    index_sha256: String,
    /// Committed bytes of every file but this one.
    bytes: BTreeMap<String, u64>,
}

/// What one kind of dataset keeps.
pub(super) trait Layout {
    /// `speech` or `lips`; the manifest says `paravox-speech`.
    const KIND: &'static str;
    /// Names of the flat arrays.
    const ARRAYS: &'static [&'static str];
    /// Rates and sizes; two corpora with different ones cannot share a folder.
    type Geometry: Serialize + DeserializeOwned + PartialEq;
    /// One row of the index.
    type Row: Serialize + DeserializeOwned;
}

fn format_name<L: Layout>() -> String {
    format!("paravox-{}", L::KIND)
}

fn read_manifest<L: Layout>(dir: &Path) -> Result<Manifest<L::Geometry>> {
    let path = dir.join(MANIFEST);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(DataError::NotADataset { kind: L::KIND, path: dir.to_path_buf() });
        }
        Err(e) => return Err(DataError::io(&path)(e)),
    };
    // Format and version first: a newer manifest may have fields that this version does not know.
    #[derive(Deserialize)]
    struct Head {
        format: String,
        version: u32,
    }
    let head: Head = serde_json::from_str(&text).map_err(|e| DataError::damaged(&path, e.to_string()))?;
    if head.format != format_name::<L>() {
        return Err(DataError::NotADataset { kind: L::KIND, path: dir.to_path_buf() });
    }
    if head.version != VERSION {
        let why = format!("its version is {}, this program reads version {VERSION}", head.version);
        return Err(DataError::damaged(&path, why));
    }
    serde_json::from_str(&text).map_err(|e| DataError::damaged(&path, e.to_string()))
}

/// Committed bytes of a file, checked against what is on disk.
fn committed(dir: &Path, name: &str, bytes: &BTreeMap<String, u64>) -> Result<u64> {
    let path = dir.join(name);
    let wanted = *bytes.get(name).ok_or_else(|| DataError::damaged(dir, format!("{MANIFEST} does not name {name}")))?;
    let found = match std::fs::metadata(&path) {
        Ok(meta) => meta.len(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(DataError::damaged(dir, format!("{name} is missing")));
        }
        Err(e) => return Err(DataError::io(&path)(e)),
    };
    if found < wanted {
        return Err(DataError::damaged(dir, format!("{name} holds {found} of {wanted} bytes")));
    }
    Ok(wanted)
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

/// A dataset that is open for reading.
pub(super) struct Reader<L: Layout> {
    pub(super) dir: PathBuf,
    pub(super) geometry: L::Geometry,
    pub(super) rows: Vec<L::Row>,
    /// In the order of [`Layout::ARRAYS`]; `None` for an empty array, which cannot be mapped.
    arrays: Vec<Option<Mmap>>,
}

impl<L: Layout> Reader<L> {
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let manifest = read_manifest::<L>(dir)?;
        let rows = read_index::<L>(dir, &manifest)?.1;
        let arrays = L::ARRAYS.iter().map(|name| map(dir, name, &manifest.bytes)).collect::<Result<_>>()?;
        Ok(Self { dir: dir.to_path_buf(), geometry: manifest.geometry, rows, arrays })
    }

    /// The committed bytes of an array.
    pub(super) fn array(&self, i: usize) -> &[u8] {
        self.arrays[i].as_deref().unwrap_or(&[])
    }

    /// Refuses a row that reaches outside array `i`: `len` elements of `width` bytes from element `start`.
    pub(super) fn check(&self, i: usize, start: u64, len: u64, width: u64) -> Result<()> {
        let end = start.checked_add(len).and_then(|end| end.checked_mul(width));
        if end.is_none_or(|end| end > self.array(i).len() as u64) {
            let why = format!("{INDEX} points outside {}", L::ARRAYS[i]);
            return Err(DataError::damaged(&self.dir, why));
        }
        Ok(())
    }
}

/// The committed text of the index, and its rows.
fn read_index<L: Layout>(dir: &Path, manifest: &Manifest<L::Geometry>) -> Result<(Vec<u8>, Vec<L::Row>)> {
    let path = dir.join(INDEX);
    let n_bytes = committed(dir, INDEX, &manifest.bytes)?;
    let mut text = Vec::new();
    File::open(&path).and_then(|file| file.take(n_bytes).read_to_end(&mut text)).map_err(DataError::io(&path))?;
    if hex(&Sha256::digest(&text)) != manifest.index_sha256 {
        return Err(DataError::damaged(&path, "the index is not the one that the manifest names"));
    }
    let mut rows = Vec::with_capacity(manifest.items);
    for (i, line) in text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).enumerate() {
        let row = serde_json::from_slice(line);
        rows.push(row.map_err(|e| DataError::damaged(&path, format!("line {}: {e}", i + 1)))?);
    }
    if rows.len() != manifest.items {
        let why = format!("it has {} items, the manifest says {}", rows.len(), manifest.items);
        return Err(DataError::damaged(&path, why));
    }
    Ok((text, rows))
}

#[allow(unsafe_code, reason = "mapping a file is the only way to read gigabytes of features without copying them")]
fn map(dir: &Path, name: &str, bytes: &BTreeMap<String, u64>) -> Result<Option<Mmap>> {
    let n_bytes = committed(dir, name, bytes)?;
    if n_bytes == 0 {
        return Ok(None);
    }
    let path = dir.join(name);
    let n_bytes = usize::try_from(n_bytes).map_err(|_| DataError::damaged(&path, "too large for this machine"))?;
    let file = File::open(&path).map_err(DataError::io(&path))?;
    // SAFETY: the bytes that are mapped are committed: writers of this module only ever append beyond them.
    let map = unsafe { memmap2::MmapOptions::new().len(n_bytes).map(&file) };
    map.map(Some).map_err(DataError::io(&path))
}

/// A dataset that is being written.
pub(super) struct Writer<L: Layout> {
    dir: PathBuf,
    geometry: L::Geometry,
    items: usize,
    arrays: Vec<Growing>,
    index: Growing,
    index_hash: Sha256,
}

/// A file that grows.
struct Growing {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl Growing {
    /// Opens `dir/name` and drops what is beyond its first `bytes` bytes.
    fn open(dir: &Path, name: &str, bytes: u64) -> Result<Self> {
        let path = dir.join(name);
        check_unshared(&path)?;
        let open = || -> std::io::Result<File> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path)?;
            file.set_len(bytes)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        let file = BufWriter::with_capacity(1 << 20, open().map_err(DataError::io(&path))?);
        Ok(Self { path, file, bytes })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(DataError::io(&self.path))?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.file.flush().and_then(|()| self.file.get_ref().sync_data()).map_err(DataError::io(&self.path))
    }
}

impl<L: Layout> Writer<L> {
    /// Starts a dataset in `dir`, or, with `append`, goes on with the one that is there.
    pub(super) fn open(dir: &Path, geometry: L::Geometry, append: bool) -> Result<Self> {
        std::fs::create_dir_all(dir).map_err(DataError::io(dir))?;
        if !dir.join(MANIFEST).exists() {
            let arrays = L::ARRAYS.iter().map(|name| Growing::open(dir, name, 0)).collect::<Result<_>>()?;
            let index = Growing::open(dir, INDEX, 0)?;
            return Ok(Self { dir: dir.to_path_buf(), geometry, items: 0, arrays, index, index_hash: Sha256::new() });
        }
        if !append {
            return Err(DataError::Exists { path: dir.to_path_buf() });
        }
        let manifest = read_manifest::<L>(dir)?;
        if manifest.geometry != geometry {
            let why = "the dataset there has other rates or sizes: choose another folder";
            return Err(DataError::Corpus { why: why.into(), path: dir.to_path_buf() });
        }
        let (index_text, rows) = read_index::<L>(dir, &manifest)?;
        let grow = |name: &str| Growing::open(dir, name, committed(dir, name, &manifest.bytes)?);
        let arrays = L::ARRAYS.iter().map(|name| grow(name)).collect::<Result<_>>()?;
        Ok(Self {
            dir: dir.to_path_buf(),
            geometry,
            items: rows.len(),
            arrays,
            index: grow(INDEX)?,
            index_hash: Sha256::new_with_prefix(index_text),
        })
    }

    /// Items so far, those of an appended dataset included.
    pub(super) fn items(&self) -> usize {
        self.items
    }

    /// Bytes of array `i` so far.
    pub(super) fn bytes(&self, i: usize) -> u64 {
        self.arrays[i].bytes
    }

    /// Appends to array `i`.
    pub(super) fn array(&mut self, i: usize, bytes: &[u8]) -> Result<()> {
        self.arrays[i].write(bytes)
    }

    /// Appends one row to the index.
    pub(super) fn row(&mut self, row: &L::Row) -> Result<()> {
        let mut line = serde_json::to_vec(row).map_err(|e| DataError::io(&self.index.path)(e.into()))?;
        line.push(b'\n');
        self.index_hash.update(&line);
        self.index.write(&line)?;
        self.items += 1;
        Ok(())
    }

    /// Commits everything that was written: what is not finished does not count.
    pub(super) fn finish(mut self) -> Result<()> {
        let mut bytes = BTreeMap::new();
        for (name, array) in L::ARRAYS.iter().zip(&mut self.arrays) {
            array.sync()?;
            bytes.insert((*name).to_string(), array.bytes);
        }
        self.index.sync()?;
        bytes.insert(INDEX.to_string(), self.index.bytes);
        let manifest = Manifest {
            format: format_name::<L>(),
            version: VERSION,
            geometry: self.geometry,
            items: self.items,
            index_sha256: hex(&self.index_hash.finalize()),
            bytes,
        };
        write_manifest(&self.dir, &manifest)
    }
}

fn write_manifest<G: Serialize>(dir: &Path, manifest: &Manifest<G>) -> Result<()> {
    let path = dir.join(MANIFEST);
    let write = || -> std::io::Result<()> {
        let mut json = serde_json::to_vec_pretty(manifest)?;
        json.push(b'\n');
        replace(&path, &json)
    };
    write().map_err(DataError::io(&path))
}

/// Writes a dataset into `to` that has `rows` for its index and the arrays of the dataset in `from`: the same files under a
/// second name, or copies where the system has no such names. Files of two names are not written to.
pub(super) fn share<L: Layout>(from: &Path, to: &Path, rows: &[L::Row]) -> Result<()> {
    if to.join(MANIFEST).exists() {
        return Err(DataError::Exists { path: to.to_path_buf() });
    }
    let mut manifest = read_manifest::<L>(from)?;
    std::fs::create_dir_all(to).map_err(DataError::io(to))?;
    for name in L::ARRAYS {
        let (source, path) = (from.join(name), to.join(name));
        if path.exists() {
            std::fs::remove_file(&path).map_err(DataError::io(&path))?;
        }
        if !(cfg!(unix) && std::fs::hard_link(&source, &path).is_ok()) {
            std::fs::copy(&source, &path).map_err(DataError::io(&path))?;
        }
    }
    let mut index = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut index, row).map_err(|e| DataError::io(to)(e.into()))?;
        index.push(b'\n');
    }
    let path = to.join(INDEX);
    std::fs::write(&path, &index).map_err(DataError::io(&path))?;
    manifest.items = rows.len();
    manifest.index_sha256 = hex(&Sha256::digest(&index));
    manifest.bytes.insert(INDEX.to_string(), index.len() as u64);
    write_manifest(to, &manifest)
}

/// Refuses a file that a second dataset holds by a name of its own.
#[cfg_attr(not(unix), allow(unused_variables, reason = "only Unix tells how many names a file has"))]
fn check_unshared(path: &Path) -> Result<()> {
    #[cfg(unix)]
    if std::fs::metadata(path).is_ok_and(|meta| std::os::unix::fs::MetadataExt::nlink(&meta) > 1) {
        let why = "this dataset shares its arrays with another one: choose another folder".into();
        return Err(DataError::Corpus { why, path: path.to_path_buf() });
    }
    Ok(())
}
