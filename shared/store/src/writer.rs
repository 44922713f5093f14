//! Group commit: writes that arrive together share one transaction and one fsync.
//!
//! One thread owns the writing connection. It takes the first write that waits and at once, without a timer, whatever else
//! waits by then; what arrives during its fsync forms the next group. So a lone write is never held back, and a group is never
//! larger than [`GROUP_ITEMS`] writes nor gathered for longer than [`GROUP_TIME`]. The thread starts with the first write.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use stanch_core::port::StoreError;
use tokio::sync::{mpsc, oneshot};

use crate::folder::{self, Place};

/// The most writes in one transaction.
const GROUP_ITEMS: usize = 64;
/// No write joins a transaction that has been open for longer.
const GROUP_TIME: Duration = Duration::from_millis(2);
/// How many writes may wait; a further one waits for its place, which bounds memory.
const WAITING: usize = 256;

/// Why what one write did is undone.
pub(crate) enum Stop {
    /// SQLite said no.
    Sql(rusqlite::Error),
    /// We did.
    Store(StoreError),
}

impl Stop {
    fn code(&self) -> Option<rusqlite::ffi::Error> {
        match self {
            Stop::Sql(rusqlite::Error::SqliteFailure(code, _)) => Some(*code),
            _ => None,
        }
    }

    /// The error for the caller; `what` completes "cannot …".
    pub(crate) fn told(self, place: &Place, what: &str) -> StoreError {
        match self {
            Stop::Store(error) => error,
            Stop::Sql(error) => place.fault(what, &error),
        }
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Stop::Sql(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Stop::Store(error)
    }
}

/// One write that waits for its group.
trait Job: Send {
    /// Does it inside the group's transaction; once more if the transaction has to begin anew.
    fn run(&mut self, connection: &Connection, place: &Place) -> Ran;
    /// Tells the caller: what it came to, or why the whole group failed.
    fn answer(self: Box<Self>, failed: Option<&dyn Fn(&str) -> StoreError>);
}

/// How one write went.
enum Ran {
    /// Well.
    Done,
    /// It failed, and whatever it wrote must be undone; with the code of SQLite, when SQLite said no.
    Undo(Option<rusqlite::ffi::Error>),
}

struct Write<T, F> {
    what: &'static str,
    run: F,
    result: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job for Write<T, F>
where
    T: Send,
    F: Fn(&Connection) -> Result<T, Stop> + Send,
{
    fn run(&mut self, connection: &Connection, place: &Place) -> Ran {
        let (ran, result) = match (self.run)(connection) {
            Ok(value) => (Ran::Done, Ok(value)),
            Err(stop) => (Ran::Undo(stop.code()), Err(stop.told(place, self.what))),
        };
        self.result = Some(result);
        ran
    }

    fn answer(self: Box<Self>, failed: Option<&dyn Fn(&str) -> StoreError>) {
        let result = match (failed, self.result) {
            (Some(failed), _) => Err(failed(self.what)),
            (None, Some(result)) => result,
            (None, None) => return,
        };
        // A caller that went away wants no answer.
        drop(self.caller.send(result));
    }
}

type Jobs = mpsc::Sender<Box<dyn Job>>;

/// Hands writes to the thread that owns the writing connection.
pub(crate) struct Writer {
    folder: PathBuf,
    running: Mutex<Option<(Jobs, JoinHandle<()>)>>,
}

impl Writer {
    /// The writer of a data folder whose database is there and up to date.
    pub(crate) fn new(folder: PathBuf) -> Self {
        Writer { folder, running: Mutex::default() }
    }

    /// Does one write, all or nothing; when this returns `Ok` it is on disk. A caller that stops waiting may find it done. `run`
    /// may run again after what it did was taken back.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        what: &'static str,
        run: impl Fn(&Connection) -> Result<T, Stop> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = || StoreError::Unavailable { reason: format!("cannot {what}: the writing thread ended unexpectedly; try again") };
        let (caller, answer) = oneshot::channel();
        let job = Box::new(Write { what, run, result: None, caller });
        self.jobs()?.send(job).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    fn jobs(&self) -> Result<Jobs, StoreError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((jobs, _)) = running.as_ref().filter(|(jobs, _)| !jobs.is_closed()) {
            return Ok(jobs.clone());
        }
        let (jobs, waiting) = mpsc::channel(WAITING);
        let place = Place::Folder(self.folder.clone());
        let thread = thread::Builder::new().name("store-writer".to_owned()).spawn(move || serve(waiting, &place));
        let thread = thread.map_err(|e| StoreError::Unavailable { reason: format!("cannot start the writing thread: {e}") })?;
        *running = Some((jobs.clone(), thread));
        Ok(jobs)
    }
}

impl Drop for Writer {
    /// What waits is still written; then the database is closed, so that the folder can be moved or removed.
    fn drop(&mut self) {
        if let Some((jobs, thread)) = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            drop(jobs);
            drop(thread.join());
        }
    }
}

fn serve(mut waiting: mpsc::Receiver<Box<dyn Job>>, place: &Place) {
    let mut connection = None;
    while let Some(first) = waiting.blocking_recv() {
        // A panic is a fault of ours: it costs its group, whose callers are told, not the store.
        if catch_unwind(AssertUnwindSafe(|| group(&mut connection, first, &mut waiting, place))).is_err() {
            connection = None;
        }
    }
}

/// Writes one group and answers everybody in it.
fn group(held: &mut Option<Connection>, first: Box<dyn Job>, waiting: &mut mpsc::Receiver<Box<dyn Job>>, place: &Place) {
    let mut members = Vec::new();
    match transact(held, first, waiting, place, &mut members) {
        Ok(()) => {
            for job in members {
                job.answer(None);
            }
        }
        Err(error) => {
            // All that waits would meet the same fault, each after its own wait for the database.
            while members.len() < GROUP_ITEMS
                && let Ok(job) = waiting.try_recv()
            {
                members.push(job);
            }
            // A connection goes on after a full disk or a busy database; after anything else a fresh one is safer.
            if !matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)) {
                *held = None;
            }
            let failed = |what: &str| place.fault(what, &error);
            for job in members {
                job.answer(Some(&failed));
            }
        }
    }
}

fn transact(
    held: &mut Option<Connection>,
    first: Box<dyn Job>,
    waiting: &mut mpsc::Receiver<Box<dyn Job>>,
    place: &Place,
    members: &mut Vec<Box<dyn Job>>,
) -> rusqlite::Result<()> {
    members.push(first);
    if held.is_none() {
        *held = Some(folder::reopen(place)?);
    }
    let Some(connection) = held else { return Ok(()) };
    // The write lock is taken first: nothing read in the transaction can be outdated.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let begun = Instant::now();
    let mut next = members.pop();
    while let Some(mut job) = next {
        let ran = job.run(&transaction, place);
        members.push(job);
        if matches!(ran, Ran::Undo(_)) {
            // SQLite may have taken everything back by itself already.
            if transaction.is_autocommit() {
                drop(transaction);
            } else {
                transaction.rollback()?;
            }
            // Alone it has its answer, and nothing of it is left.
            return if members.len() == 1 { Ok(()) } else { one_by_one(connection, members, place) };
        }
        let more = members.len() < GROUP_ITEMS && begun.elapsed() < GROUP_TIME;
        next = if more { waiting.try_recv().ok() } else { None };
    }
    transaction.commit()
}

/// Does a group over again in which one failed, such that each that fails takes back only itself. Savepoints cost a copy of every
/// page that changes, and few writes fail, so they are not set before one is needed.
fn one_by_one(connection: &mut Connection, members: &mut [Box<dyn Job>], place: &Place) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for job in members {
        transaction.prepare_cached("SAVEPOINT item")?.execute([])?;
        if let Ran::Undo(code) = job.run(&transaction, place) {
            // After some faults (a full disk) SQLite has taken the whole transaction back by itself.
            if let Some(code) = code.filter(|_| transaction.is_autocommit()) {
                return Err(rusqlite::Error::SqliteFailure(code, None));
            }
            transaction.prepare_cached("ROLLBACK TO item")?.execute([])?;
        }
        transaction.prepare_cached("RELEASE item")?.execute([])?;
    }
    transaction.commit()
}
