//! An output file that appears under its name only when it is whole.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::SinkError;

/// A file under way beside its target, which [`OutputFile::commit`] puts in the target's place; dropped before that, it
/// leaves nothing.
///
/// On Linux it has no name until then (`O_TMPFILE`), so that a program that is killed leaves nothing either; other systems,
/// and file systems that have no such files, get a temporary name.
///
/// A target that exists and is no regular file (a pipe, `/dev/stdout`) must not be replaced by one: it gets a copy of the
/// temporary file, which then lies in the system's folder for such.
#[derive(Debug)]
pub(crate) struct OutputFile {
    file: Temporary,
    /// As the caller wrote it, for messages.
    named: PathBuf,
}

#[derive(Debug)]
enum Temporary {
    /// Has no name yet and gets that of the target.
    Link(File, PathBuf),
    /// Has a temporary name and gets that of the target.
    Rename(NamedTempFile, PathBuf),
    /// Is copied to the target.
    Copy(File),
}

impl OutputFile {
    /// Opens the temporary file; the folder of `path` must exist.
    pub(crate) fn create(path: &Path) -> Result<Self, SinkError> {
        let error = SinkError::io("create the file", path);
        // Through symbolic links: the file that a link names is replaced, not the link.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_special = match fs::metadata(&target) {
            Ok(data) if data.is_dir() => return Err(error(io::Error::from(io::ErrorKind::IsADirectory))),
            Ok(data) => !data.is_file(),
            Err(_) => false,
        };
        if path.file_name().is_none() {
            return Err(error(io::Error::other("this names no file")));
        }
        let file = match nameless(folder_of(&target)) {
            _ if is_special => Temporary::Copy(tempfile::tempfile().map_err(error)?),
            Some(file) => Temporary::Link(file, target),
            None => Temporary::Rename(named(&target).map_err(|source| error(without_path(source)))?, target),
        };
        Ok(Self { file, named: path.to_owned() })
    }

    /// The target as the caller named it.
    pub(crate) fn path(&self) -> &Path {
        &self.named
    }

    /// The open temporary file.
    pub(crate) fn file(&self) -> &File {
        match &self.file {
            Temporary::Link(file, _) | Temporary::Copy(file) => file,
            Temporary::Rename(file, _) => file.as_file(),
        }
    }

    /// Gives the file its name, or the special file its copy.
    pub(crate) fn commit(self) -> Result<(), SinkError> {
        let named = self.named;
        let committed = match self.file {
            Temporary::Link(file, target) => link(&file, &target),
            Temporary::Rename(file, target) => file.persist(target).map(|_| ()).map_err(|failed| failed.error),
            Temporary::Copy(mut whole) => whole.rewind().and_then(|()| {
                let mut special = File::options().write(true).open(&named)?;
                io::copy(&mut whole, &mut special).map(|_| ())
            }),
        };
        committed.map_err(SinkError::io("write the file", &named))
    }
}

/// Puts a file with this content in the place of `path` in one step; a program that is killed leaves the old one.
pub(crate) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = named(path).map_err(without_path)?;
    file.write_all(content)?;
    file.as_file().sync_data()?;
    file.persist(path).map_err(|failed| failed.error)?;
    Ok(())
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// A file without a name in `folder`; `None` where there can be none, for whatever reason: the other way says which.
#[cfg(target_os = "linux")]
fn nameless(folder: &Path) -> Option<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // A name is given by way of /proc.
    if !Path::new("/proc/self/fd").exists() {
        return None;
    }
    let flags = rustix::fs::OFlags::TMPFILE.bits() as i32;
    // A finished file has the permissions of any new file.
    File::options().read(true).write(true).mode(0o666).custom_flags(flags).open(folder).ok()
}

#[cfg(not(target_os = "linux"))]
fn nameless(_folder: &Path) -> Option<File> {
    None
}

/// Gives a nameless file its name. A file that has that name is replaced in one step, by way of a temporary name.
#[cfg(target_os = "linux")]
fn link(file: &File, target: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let source = format!("/proc/self/fd/{}", file.as_raw_fd());
    let link_as = |name: &Path| -> io::Result<()> {
        Ok(rustix::fs::linkat(rustix::fs::CWD, &source, rustix::fs::CWD, name, rustix::fs::AtFlags::SYMLINK_FOLLOW)?)
    };
    match link_as(target) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let temporary = temporary_name().make_in(folder_of(target), link_as)?;
            temporary.persist(target).map_err(|failed| failed.error)
        }
        linked => linked,
    }
}

#[cfg(not(target_os = "linux"))]
fn link(_file: &File, _target: &Path) -> io::Result<()> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// A file with a temporary name beside `target`.
fn named(target: &Path) -> io::Result<NamedTempFile> {
    let mut builder = temporary_name();
    #[cfg(unix)]
    {
        // A finished file has the permissions of any new file; a bare temporary file would stay private.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.tempfile_in(folder_of(target))
}

fn temporary_name() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".paravox-").suffix(".part");
    builder
}

/// `tempfile` adds the name of the temporary file to an error; the message shall name the target alone.
fn without_path(error: io::Error) -> io::Error {
    let code = error.get_ref().and_then(|inner| inner.source()).and_then(|source| source.downcast_ref::<io::Error>());
    match code.and_then(io::Error::raw_os_error) {
        Some(code) => io::Error::from_raw_os_error(code),
        None => io::Error::from(error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_is_as_readable_as_any_new_one() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let [ours, plain] = ["ours", "plain"].map(|name| folder.path().join(name));
        fs::write(&plain, "new").unwrap();
        for content in ["old", "new"] {
            replace(&ours, content.as_bytes()).unwrap();
        }
        assert_eq!(fs::read(&ours).unwrap(), b"new");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_name_appears_on_commit_and_nothing_stays_on_drop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let output = OutputFile::create(&path).unwrap();
        output.file().write_all(b"whole").unwrap();
        assert!(!path.exists());
        drop(output);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let output = OutputFile::create(&path).unwrap();
        output.file().write_all(b"whole").unwrap();
        output.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn nothing_has_a_name_before_commit() {
        let folder = tempfile::tempdir().unwrap();
        let output = OutputFile::create(&folder.path().join("a.bin")).unwrap();
        assert!(matches!(output.file, Temporary::Link(..)), "the file system of temporary files has O_TMPFILE");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn without_nameless_files_a_temporary_name_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let output =
            || OutputFile { file: Temporary::Rename(named(&path).unwrap(), path.clone()), named: path.clone() };
        output().file().write_all(b"lost").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let kept = output();
        kept.file().write_all(b"whole").unwrap();
        kept.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_file_stays_until_commit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        fs::write(&path, b"old").unwrap();
        drop(OutputFile::create(&path).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        OutputFile::create(&path).unwrap().commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn errors_end_in_the_path_and_folders_are_not_made() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("none/a.bin"), folder.path().to_owned()] {
            let message = OutputFile::create(&path).unwrap_err().to_string();
            assert!(message.starts_with("cannot create the file: "), "{message}");
            assert!(message.ends_with(&format!(": {}", path.display())), "{message}");
            assert!(!message.contains(".part"), "{message}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        use std::os::unix::fs::FileTypeExt;
        let output = OutputFile::create(Path::new("/dev/full")).unwrap();
        output.file().write_all(b"x").unwrap();
        let message = output.commit().unwrap_err().to_string();
        assert!(message.contains("No space left") && message.ends_with("/dev/full"), "{message}");
        assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
    }

    #[cfg(unix)]
    #[test]
    fn the_file_behind_a_link_is_replaced_and_readable_by_others() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        fs::write(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        OutputFile::create(&link).unwrap().commit().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"");
        let plain = folder.path().join("plain");
        fs::write(&plain, b"").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&file), mode(&plain));
    }
}
