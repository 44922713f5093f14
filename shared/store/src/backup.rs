//! A copy of a data folder while others go on writing to it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use stanch_core::port::StoreError;

use crate::folder::{DATABASE, Place, private_file};
use crate::seal::SEAL_KEY;

/// What a backup wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Each file, with its size in bytes.
    pub files: Vec<(PathBuf, u64)>,
    /// Remediations in it.
    pub remediations: u64,
}

/// Copies the data folder `from` as it is at one moment into the new folder `to`, which can then be used as a data folder
/// itself. Writers go on meanwhile; an older database is copied as it is. Sealed values open only with `seal.key`, so that is
/// copied too: keep the copy as safe as the original. `to` appears whole or not at all, and is never overwritten.
pub fn backup(from: &Path, to: &Path) -> Result<BackedUp, StoreError> {
    let refuse = |reason: String| StoreError::Unavailable { reason };
    if fs::symlink_metadata(to).is_ok() {
        return Err(refuse(format!(
            "`{}` exists already; a backup overwrites nothing\nhint: name a folder that is not there",
            to.display()
        )));
    }
    let draft = draft(to).ok_or_else(|| refuse(format!("`{}` is no name for a folder", to.display())))?;
    let place = Place::Folder(draft.clone());
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&draft).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => refuse(format!(
            "`{}` is left from a backup that did not end, or one is under way\nhint: if none is, remove that folder",
            draft.display()
        )),
        _ => place.file_fault("create the folder", &e),
    })?;
    let written = write(from, &draft, &place).and_then(|(names, remediations)| {
        let files = names.into_iter().map(|(name, bytes)| (to.join(name), bytes)).collect();
        publish(&draft, to).map_err(|e| Place::Folder(to.to_owned()).file_fault("put the backup in its place", &e))?;
        Ok(BackedUp { files, remediations })
    });
    if written.is_err() {
        // What cannot be removed is named when the next backup meets it.
        drop(fs::remove_dir_all(&draft));
    }
    written
}

type Written = (Vec<(&'static str, u64)>, u64);

fn write(from: &Path, draft: &Path, place: &Place) -> Result<Written, StoreError> {
    let source = Place::Folder(from.to_owned());
    let fault = |e: rusqlite::Error| source.fault("read the database", &e);
    let copied = |e: rusqlite::Error| place.fault("write the backup", &e);
    let original = Connection::open_with_flags(from.join(DATABASE), OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(fault)?;
    original.busy_timeout(crate::folder::BUSY).map_err(fault)?;

    let file = draft.join(DATABASE);
    let io = |e: io::Error| place.file_fault("write the backup", &e);
    private_file(OpenOptions::new().create_new(true), &file).map_err(io)?;
    let mut copy = Connection::open(&file).map_err(copied)?;
    copy.pragma_update(None, "synchronous", "full").map_err(copied)?;
    {
        // One step is one view of the database: smaller ones would begin again after every write of somebody else.
        let whole = Backup::new(&original, &mut copy).and_then(|backup| backup.step(-1)).map_err(copied)?;
        if whole != StepResult::Done {
            return Err(StoreError::Unavailable { reason: format!("another program holds the database in {source}; try again") });
        }
    }
    let remediations: i64 = copy.query_row("SELECT count(*) FROM remediation", [], |r| r.get(0)).map_err(copied)?;
    let sealed: bool = copy.query_row("SELECT EXISTS (SELECT 1 FROM sealed)", [], |r| r.get(0)).map_err(copied)?;
    copy.close().map_err(|(_, e)| copied(e))?;
    let mut files = vec![(DATABASE, fs::metadata(&file).map_err(io)?.len())];
    // After the database: a value sealed in the copy has its key by now.
    match fs::read(from.join(SEAL_KEY)) {
        Ok(key) => {
            let mut file = private_file(OpenOptions::new().create_new(true), &draft.join(SEAL_KEY)).map_err(io)?;
            file.write_all(&key).and_then(|()| file.sync_all()).map_err(io)?;
            files.push((SEAL_KEY, key.len() as u64));
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound && !sealed => {}
        Err(e) => {
            let reason =
                format!("cannot read `{}`, without which the sealed values of a backup stay closed: {e}", from.join(SEAL_KEY).display());
            return Err(StoreError::Unavailable { reason });
        }
    }
    Ok((files, i64::unsigned_abs(remediations)))
}

/// A folder beside the one that is wanted.
fn draft(to: &Path) -> Option<PathBuf> {
    let mut name = to.file_name()?.to_owned();
    name.push(".draft");
    Some(to.with_file_name(name))
}

/// Renaming onto a folder that holds something fails, so nothing is overwritten even if it appeared meanwhile.
fn publish(draft: &Path, to: &Path) -> io::Result<()> {
    File::open(draft.join(DATABASE))?.sync_all()?;
    sync_folder(draft)?;
    fs::rename(draft, to)?;
    sync_folder(to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

/// Brings the names in a folder to disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}
