//! An output file that appears under its name only when it is whole.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::SinkError;

/// A temporary file beside the target, renamed to it by [`OutputFile::commit`] and removed on drop.
///
/// A target that exists and is no regular file (a pipe, `/dev/stdout`) must not be replaced by one: it gets a copy of the
/// temporary file, which then lies in the system's folder for such.
#[derive(Debug)]
pub(crate) struct OutputFile {
    file: NamedTempFile,
    /// As the caller wrote it, for messages.
    named: PathBuf,
    /// Where to rename to, or `None` where the target takes a copy.
    target: Option<PathBuf>,
}

impl OutputFile {
    /// Opens the temporary file; the folder of `path` must exist.
    pub(crate) fn create(path: &Path) -> Result<Self, SinkError> {
        let error = SinkError::io("create the file", path);
        // Through symbolic links: the file that a link names is replaced, not the link.
        let resolved = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let is_special = match fs::metadata(&resolved) {
            Ok(data) if data.is_dir() => return Err(error(io::Error::from(io::ErrorKind::IsADirectory))),
            Ok(data) => !data.is_file(),
            Err(_) => false,
        };
        let name = path.file_name().ok_or_else(|| error(io::Error::other("this names no file")))?;
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".part");
        #[cfg(unix)]
        {
            // A finished file has the permissions of any new file; a bare temporary file would stay private.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = if is_special {
            builder.tempfile().map_err(&error)?
        } else {
            let folder = match resolved.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            builder.tempfile_in(folder).map_err(|source| error(without_path(source)))?
        };
        Ok(Self { file, named: path.to_owned(), target: (!is_special).then_some(resolved) })
    }

    /// The target as the caller named it.
    pub(crate) fn path(&self) -> &Path {
        &self.named
    }

    /// The open temporary file.
    pub(crate) fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives the file its name, or the special file its copy.
    pub(crate) fn commit(self) -> Result<(), SinkError> {
        let error = SinkError::io("write the file", &self.named);
        match &self.target {
            Some(target) => {
                self.file.persist(target).map_err(|failed| error(failed.error))?;
            }
            None => {
                let mut whole = self.file.as_file();
                whole.seek(SeekFrom::Start(0)).map_err(&error)?;
                let mut special = File::options().write(true).open(&self.named).map_err(&error)?;
                io::copy(&mut whole, &mut special).map_err(&error)?;
            }
        }
        Ok(())
    }
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
    use std::io::Write;

    use super::*;

    #[test]
    fn the_name_appears_on_commit_and_nothing_stays_on_drop() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bin");
        let output = OutputFile::create(&path).unwrap();
        output.file().write_all(b"whole").unwrap();
        assert!(!path.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(output);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let output = OutputFile::create(&path).unwrap();
        output.file().write_all(b"whole").unwrap();
        output.commit().unwrap();
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
