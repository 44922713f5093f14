//! Events put aside while the database cannot be used: one file each, in a folder beside it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stanch_core::digest::sha256_hex;
use stanch_core::port::{Spill, Spilled, StoreError};

use crate::folder::{Place, private_file, private_folder};

/// The format of the files.
const FORMAT: u32 = 1;

/// One file.
#[derive(Serialize, Deserialize)]
struct Kept {
    format: u32,
    origin: String,
    body: String,
}

/// Keeps each event in a file of its own, named by the digest of what it holds and readable by its owner alone. A file appears
/// whole or not at all, and only after it is on the disk.
#[derive(Clone, Debug)]
pub struct FileSpill {
    folder: PathBuf,
}

impl FileSpill {
    /// A spill in `folder` (in the data folder: `spill`), which is created when it is first needed.
    pub fn new(folder: &Path) -> Self {
        FileSpill { folder: folder.to_owned() }
    }

    fn fault(&self, what: &str, error: &io::Error) -> StoreError {
        Place::Folder(self.folder.clone()).file_fault(what, error)
    }

    fn write(&self, id: &str, text: &str) -> io::Result<()> {
        private_folder(&self.folder)?;
        let path = self.folder.join(format!("{id}.json"));
        if path.exists() {
            return Ok(());
        }
        let begun = self.folder.join(format!("{id}.{}.part", std::process::id()));
        let mut file = private_file(OpenOptions::new().create(true).truncate(true), &begun)?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&begun, &path));
        if written.is_err() {
            drop(fs::remove_file(&begun));
        }
        // The name must last as well as what it names.
        written.and_then(|()| File::open(&self.folder)?.sync_all())
    }

    /// Paths of what is kept, oldest first.
    fn kept(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                found.push((entry.metadata()?.modified()?, path));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    }
}

impl Spill for FileSpill {
    fn keep(&self, origin: &str, body: &str) -> Result<(), StoreError> {
        let id = sha256_hex(format!("{origin}\0{body}").as_bytes());
        let kept = Kept { format: FORMAT, origin: origin.to_owned(), body: body.to_owned() };
        let text = serde_json::to_string(&kept).map_err(|e| StoreError::Unavailable { reason: e.to_string() })?;
        self.write(&id, &text).map_err(|e| self.fault("put an event aside", &e))
    }

    /// A file that is none of ours any more (cut short by a broken disk, of a newer format) is left where it is under the ending
    /// `unreadable`, so that the others are not kept back.
    fn take(&self, limit: usize) -> Result<Vec<Spilled>, StoreError> {
        let mut taken = Vec::new();
        for path in self.kept().map_err(|e| self.fault("list what was put aside", &e))? {
            if taken.len() == limit {
                break;
            }
            let text = match fs::read_to_string(&path) {
                Ok(text) => text,
                // Another process was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(self.fault("read what was put aside", &error)),
            };
            let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            match serde_json::from_str::<Kept>(&text) {
                Ok(kept) if kept.format <= FORMAT => taken.push(Spilled { id, origin: kept.origin, body: kept.body }),
                _ => fs::rename(&path, path.with_extension("unreadable")).map_err(|e| self.fault("move an unreadable file", &e))?,
            }
        }
        Ok(taken)
    }

    fn done(&self, id: &str) -> Result<(), StoreError> {
        match fs::remove_file(self.folder.join(format!("{id}.json"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(self.fault("forget an event", &error)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_once_and_whole_until_it_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let spill = FileSpill::new(&folder.path().join("spill"));
        assert_eq!(spill.take(9).unwrap(), []);
        let odd = "{\"a\":\"\u{0}\u{1F512}\n\"}";
        for (origin, body) in [("scc-finding", odd), ("ocsf-finding", odd), ("scc-finding", odd)] {
            spill.keep(origin, body).unwrap();
        }
        let taken = spill.take(9).unwrap();
        assert_eq!(taken.len(), 2, "the same event of the same function is one");
        assert!(taken.iter().all(|spilled| spilled.body == odd));
        assert_eq!(spill.take(1).unwrap().len(), 1);

        spill.done(&taken[0].id).unwrap();
        spill.done(&taken[0].id).unwrap();
        assert_eq!(FileSpill::new(&folder.path().join("spill")).take(9).unwrap(), taken[1..]);
    }

    #[cfg(unix)]
    #[test]
    fn files_are_their_owners_alone_and_a_broken_one_keeps_nothing_back() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let spill = FileSpill::new(folder.path());
        spill.keep("ocsf-finding", "{}").unwrap();
        let path = spill.kept().unwrap().remove(0);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(folder.path().join("broken.json"), "{\"format\":1,\"origin\":").unwrap();
        assert_eq!(spill.take(9).unwrap().len(), 1);
        assert!(folder.path().join("broken.unreadable").exists());
    }

    #[test]
    fn a_folder_that_cannot_be_written_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = FileSpill::new(&file.join("spill")).keep("ocsf-finding", "{}").unwrap_err().to_string();
        assert!(error.contains("put an event aside"), "{error}");
    }
}
