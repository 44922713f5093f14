//! The data folder: who may read it, who opens it, and what its faults mean to people.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use stanch_core::port::StoreError;

/// How long a write waits for another process that holds the database.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// The database in a data folder.
pub(crate) const DATABASE: &str = "stanch.db";

/// How many prepared statements a connection keeps: all there are.
const STATEMENTS: usize = 64;

/// A file that went away must not come back empty.
const EXISTING: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);

/// Where a store keeps its rows.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A folder on disk.
    Folder(PathBuf),
    /// Nowhere: gone with the process.
    Memory,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Folder(folder) => write!(f, "the data folder `{}`", folder.display()),
            Place::Memory => f.write_str("memory"),
        }
    }
}

impl Place {
    /// What a fault of the database means, with what to do where that is known. `what` completes "cannot …".
    pub(crate) fn fault(&self, what: &str, error: &rusqlite::Error) -> StoreError {
        use rusqlite::Error as E;
        let hint = match error.sqlite_error_code() {
            Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => self.not_writable(),
            Some(ErrorCode::DiskFull) => self.full(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                format!("another program held the database in {self} for more than {} seconds", BUSY.as_secs())
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                return StoreError::Unreadable { what: format!("database in {self}"), reason: error.to_string() };
            }
            _ if matches!(error, E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..)) => {
                return StoreError::Unreadable { what: format!("row in {self}"), reason: error.to_string() };
            }
            _ => format!("cannot {what} in {self}"),
        };
        StoreError::Unavailable { reason: format!("{hint}: {error}") }
    }

    fn not_writable(&self) -> String {
        format!("{self} is not writable (its owner and mode, and how its disk is mounted, must let this user write)")
    }

    fn full(&self) -> String {
        format!("the disk that holds {self} is full (make room on it; nothing was damaged, and stanch goes on by itself)")
    }

    /// The same for a file beside the database.
    pub(crate) fn file_fault(&self, what: &str, error: &io::Error) -> StoreError {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => self.not_writable(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => self.full(),
            _ => format!("cannot {what} in {self}"),
        };
        StoreError::Unavailable { reason: format!("{hint}: {error}") }
    }
}

/// Creates the folder and its database where they are missing, readable by their owner alone, and hands the connection to
/// `prepare` while no other process does the same.
pub(crate) fn open(
    folder: &Path,
    prepare: impl FnOnce(&mut Connection, &Place) -> Result<(), StoreError>,
) -> Result<Connection, StoreError> {
    let place = Place::Folder(folder.to_owned());
    private_folder(folder).map_err(|e| place.file_fault("create the folder", &e))?;
    // SQLite gives up at once when two processes turn on write-ahead logging together, so openings queue here.
    let turn = private_file(OpenOptions::new().create(true).truncate(false), &folder.join("stanch.lock"))
        .map_err(|e| place.file_fault("create `stanch.lock`", &e))?;
    match turn.lock() {
        Err(e) if e.kind() != io::ErrorKind::Unsupported => return Err(place.file_fault("lock `stanch.lock`", &e)),
        _ => {}
    }
    let path = folder.join(DATABASE);
    // Only ever a file that is not there: closing one that is open elsewhere in this process would drop SQLite's locks on it.
    match private_file(OpenOptions::new().create_new(true), &path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(place.file_fault("create `stanch.db`", &e)),
        _ => {}
    }
    let mut connection = Connection::open(&path).map_err(|e| place.fault("open the database", &e))?;
    configure(&connection).map_err(|e| place.fault("open the database", &e))?;
    prepare(&mut connection, &place)?;
    Ok(connection)
}

/// Opens another connection to a database that is there and up to date.
pub(crate) fn reopen(place: &Place) -> rusqlite::Result<Connection> {
    let connection = match place {
        Place::Folder(folder) => Connection::open_with_flags(folder.join(DATABASE), EXISTING)?,
        Place::Memory => Connection::open_in_memory()?,
    };
    configure(&connection)?;
    Ok(connection)
}

/// Opens the database of a folder for reading alone; nothing is created but what SQLite shares with other readers.
pub(crate) fn open_read_only(
    folder: &Path,
    check: impl Fn(&mut Connection, &Place) -> Result<(), StoreError>,
) -> Result<Connection, StoreError> {
    let place = Place::Folder(folder.to_owned());
    let path = folder.join("stanch.db");
    let open = |more: &str| -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(uri(&path, more), flags).map_err(|e| place.fault("open the database", &e))?;
        connection.busy_timeout(BUSY).map_err(|e| place.fault("open the database", &e))?;
        check(&mut connection, &place)?;
        Ok(connection)
    };
    // Where nothing can be created beside the database there is no room for a reader's lock, and no writer to be locked out. What
    // was not yet moved out of the write-ahead log would be missed then, so that must be empty.
    let waiting = fs::metadata(folder.join("stanch.db-wal")).is_ok_and(|log| log.len() > 0);
    open("mode=ro").or_else(|error| if waiting || !path.exists() { Err(error) } else { open("immutable=1") })
}

/// A path as SQLite's URI takes it (<https://sqlite.org/uri.html>).
fn uri(path: &Path, more: &str) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let path = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    format!("file:{path}?{more}")
}

/// Sets what every connection needs.
pub(crate) fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "full")?;
    // What a savepoint may have to take back stays in memory.
    connection.pragma_update(None, "temp_store", "memory")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Pages of indices that change often are then copied into the database less often; the log takes up to about 16 MB for it.
    connection.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Opens a file for writing; what it creates is its owner's alone.
pub(crate) fn private_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.write(true).open(path)
}

/// Creates a folder for its owner alone where there is none.
pub(crate) fn private_folder(folder: &Path) -> io::Result<()> {
    if fs::metadata(folder).is_ok_and(|m| m.is_dir()) {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}
