//! Checkpoints as files in a folder.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use stanch_core::checkpoint;
use stanch_core::port::{BoxFuture, StoreError, Vault};

use crate::folder::private_folder;

/// Keeps checkpoints in a folder, one read-only file each. Who may write the folder may also replace a file: it proves most
/// when it lies where the identity that applies fixes can only add (another account's share, an append-only directory).
#[derive(Clone, Debug)]
pub struct FileVault {
    folder: PathBuf,
}

impl FileVault {
    /// A vault in `folder`, which is created (for its owner alone) with the first checkpoint.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        FileVault { folder: folder.into() }
    }

    fn fault(&self, what: &str, error: &io::Error) -> StoreError {
        StoreError::Unavailable { reason: format!("cannot {what} in the folder of checkpoints `{}`: {error}", self.folder.display()) }
    }

    fn path(&self, name: &str) -> Result<PathBuf, StoreError> {
        match checkpoint::number(name) {
            Some(_) => Ok(self.folder.join(name)),
            None => Err(StoreError::Unavailable { reason: format!("`{name}` is no name of a checkpoint") }),
        }
    }

    /// Written whole under a name of its own first, then linked: a crash leaves no half checkpoint, and no file is replaced.
    fn create(&self, path: &Path, name: &str, body: &str) -> io::Result<bool> {
        static DRAFTS: AtomicU64 = AtomicU64::new(0);
        private_folder(&self.folder)?;
        if path.exists() {
            return Ok(false);
        }
        let draft = self.folder.join(format!(".{name}.{}-{}", std::process::id(), DRAFTS.fetch_add(1, Ordering::Relaxed)));
        let done = write_new(&draft, body).and_then(|()| match fs::hard_link(&draft, path) {
            // A file system without links. What a crash leaves half written there is found as cut off.
            Err(e) if matches!(e.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => write_new(path, body),
            other => other,
        });
        let cleaned = fs::remove_file(&draft);
        match done {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(false),
            other => other?,
        }
        cleaned?;
        // The name must be on disk before the checkpoint counts as made.
        #[cfg(unix)]
        File::open(&self.folder)?.sync_all()?;
        Ok(true)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let mut numbers = Vec::new();
        for entry in entries {
            numbers.extend(entry?.file_name().to_str().and_then(checkpoint::number));
        }
        numbers.sort_unstable();
        Ok(numbers.into_iter().map(checkpoint::name).collect())
    }
}

fn write_new(path: &Path, body: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o400);
    let mut file = options.create_new(true).write(true).open(path)?;
    file.write_all(body.as_bytes())?;
    file.sync_all()
}

impl Vault for FileVault {
    fn put<'a>(&'a self, name: &'a str, body: &'a str) -> BoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let path = self.path(name)?;
            self.create(&path, name, body).map_err(|e| self.fault(&format!("write `{name}`"), &e))
        })
    }

    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<String>, StoreError>> {
        Box::pin(async move {
            match fs::read_to_string(self.path(name)?) {
                Ok(text) => Ok(Some(text)),
                Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
                Err(e) => Err(self.fault(&format!("read `{name}`"), &e)),
            }
        })
    }

    fn names(&self) -> BoxFuture<'_, Result<Vec<String>, StoreError>> {
        Box::pin(async move { self.list().map_err(|e| self.fault("list files", &e)) })
    }
}
