//! Checkpoint files as an auditor has them: found, linked and read side by side, whatever was done to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use stanch_core::checkpoint::{self, Header, Leaf, Reader, Replay};
use stanch_core::digest::hex;
use stanch_core::port::StoreError;

/// The longest line a checkpoint has, in bytes; a longer one is no checkpoint's.
const MAX_LINE: u64 = 1024;
/// Bytes read of each file at a time.
const CHUNK: usize = 16 * 1024;

/// The checkpoints that an audit holds a store against.
#[derive(Clone, Debug, Default)]
pub struct Checkpoints {
    /// Oldest first.
    chain: Vec<Found>,
    /// What is wrong with the files.
    pub(crate) faults: Vec<String>,
}

#[derive(Clone, Debug)]
struct Found {
    path: PathBuf,
    digest: String,
    header: Header,
}

impl Checkpoints {
    /// Takes the named files and, from their folders, every checkpoint they follow. Files that are no sound checkpoints are
    /// faults for the report; an error means that a file or folder cannot be read.
    pub fn find(named: &[PathBuf]) -> Result<Self, StoreError> {
        let mut paths = BTreeSet::new();
        for path in named {
            let path = fs::canonicalize(path).map_err(|e| fault(path, &e))?;
            let folder = path.parent().unwrap_or(Path::new("."));
            for entry in fs::read_dir(folder).map_err(|e| fault(folder, &e))? {
                let entry = entry.map_err(|e| fault(folder, &e))?.path();
                paths.extend((numbered(&entry).is_some()).then_some(entry));
            }
            paths.insert(path);
        }
        let mut all = Checkpoints::default();
        let mut found = Vec::new();
        for path in paths {
            match scan(&path).map_err(|e| fault(&path, &e))? {
                Ok(one) => found.push(one),
                Err(why) => all.faults.push(format!("`{}` is no sound checkpoint: {why}", path.display())),
            }
        }
        found.sort_by(|a, b| (a.header.number, &a.digest).cmp(&(b.header.number, &b.digest)));
        all.forks(&found);
        let named: BTreeSet<PathBuf> = named.iter().filter_map(|path| fs::canonicalize(path).ok()).collect();
        let mut chain = BTreeMap::new();
        for start in found.iter().rev().filter(|one| named.contains(&one.path)) {
            all.walk_back(start, &found, &mut chain);
        }
        all.chain = chain.into_values().collect();
        Ok(all)
    }

    /// The headers, oldest first.
    pub(crate) fn headers(&self) -> impl DoubleEndedIterator<Item = &Header> {
        self.chain.iter().map(|one| &one.header)
    }

    /// Whether every checkpoint from the first to the last is there.
    pub(crate) fn is_complete(&self) -> bool {
        (1..).zip(self.headers()).all(|(number, header)| header.number == number)
    }

    /// The ends of records in all of them, in the order of the remediations.
    pub(crate) fn replay(&self) -> Result<Replay<impl Iterator<Item = Result<Leaf, StoreError>>>, StoreError> {
        Replay::new(self.chain.iter().map(|one| leaves(&one.path)).collect())
    }

    /// Finds two checkpoints in one place.
    fn forks(&mut self, found: &[Found]) {
        let mut numbers: BTreeMap<u64, &Found> = BTreeMap::new();
        let mut followed: BTreeMap<&str, &Found> = BTreeMap::new();
        for one in found {
            let number = one.header.number;
            if let Some(said) = numbered(&one.path).filter(|said| *said != number) {
                self.faults.push(format!("`{}` has the name of checkpoint {said} and is checkpoint {number}", one.path.display()));
            }
            if let Some(other) = numbers.insert(number, one).filter(|other| other.digest != one.digest) {
                self.forked(&format!("checkpoint {number}"), other, one);
            } else if let Some(previous) = &one.header.previous
                && let Some(other) = followed.insert(previous, one).filter(|other| other.header.number != number)
            {
                self.forked("follower of one checkpoint", other, one);
            }
        }
    }

    fn forked(&mut self, what: &str, one: &Found, other: &Found) {
        let (one, other) = (one.path.display(), other.path.display());
        self.faults.push(format!("there is more than one {what}, `{one}` and `{other}`: the history was forked, one of them is false"));
    }

    /// Takes a checkpoint and those before it, as far as they are there.
    fn walk_back<'f>(&mut self, start: &'f Found, found: &'f [Found], chain: &mut BTreeMap<u64, Found>) {
        let mut one = start;
        while chain.insert(one.header.number, one.clone()).is_none_or(|known| known.digest != one.digest) {
            let number = one.header.number;
            let Some(previous) = &one.header.previous else {
                if number != 1 {
                    self.faults.push(format!("checkpoint {number} follows none although it is not the first"));
                }
                return;
            };
            match found.iter().find(|other| other.digest == *previous) {
                Some(before) if before.header.number + 1 == number => one = before,
                Some(before) => {
                    let text = format!("checkpoint {number} follows checkpoint {}: those between were left out", before.header.number);
                    return self.faults.push(text);
                }
                None => {
                    let replaced = found.iter().find(|other| other.header.number + 1 == number);
                    self.faults.extend(replaced.map(|other| {
                        let path = other.path.display();
                        format!("`{path}` is not the checkpoint {} that checkpoint {number} follows: it was changed", other.header.number)
                    }));
                    return;
                }
            }
        }
    }
}

fn numbered(path: &Path) -> Option<u64> {
    checkpoint::number(path.file_name()?.to_str()?)
}

/// Reads a file to its end: its header and digest, or why it is no checkpoint.
fn scan(path: &Path) -> io::Result<Result<Found, String>> {
    let mut file = BufReader::new(File::open(path)?);
    let (mut hasher, mut reader, mut header) = (Sha256::new(), Reader::default(), None);
    let mut line = Vec::new();
    while next_line(&mut file, &mut line)? {
        hasher.update(&line);
        let Some(text) = line.strip_suffix(b"\n").and_then(|line| str::from_utf8(line).ok()) else {
            return Ok(Err("it is cut off, or not the text of a checkpoint".to_owned()));
        };
        let read = if header.is_none() { reader.header(text).map(|read| header = Some(read)) } else { reader.leaf(text).map(drop) };
        if let Err(why) = read {
            return Ok(Err(why.to_string()));
        }
    }
    let digest = hex(&hasher.finalize());
    Ok(header.map(|header| Found { path: path.to_owned(), digest, header }).ok_or_else(|| "it is empty".to_owned()))
}

/// The leaves of a file that was scanned before.
fn leaves(path: &Path) -> impl Iterator<Item = Result<Leaf, StoreError>> {
    let path = path.to_owned();
    let mut file = BufReader::with_capacity(CHUNK, Piecewise { path: path.clone(), at: 0 });
    let (mut reader, mut line, mut first) = (Reader::default(), Vec::new(), true);
    std::iter::from_fn(move || {
        loop {
            match next_line(&mut file, &mut line) {
                Ok(true) => {}
                Ok(false) => return None,
                Err(e) => return Some(Err(fault(&path, &e))),
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches('\n');
            let changed = |reason: String| StoreError::Unreadable { what: format!("checkpoint `{}`", path.display()), reason };
            if std::mem::take(&mut first) {
                if let Err(e) = reader.header(text) {
                    return Some(Err(changed(e.to_string())));
                }
                continue;
            }
            return Some(reader.leaf(text).map_err(|e| changed(e.to_string())));
        }
    })
}

/// Reads the next line with its line feed, or as much of it as a checkpoint's line may have.
fn next_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    from.take(MAX_LINE).read_until(b'\n', line)?;
    Ok(!line.is_empty())
}

/// A file that is open only while it is read: years of daily checkpoints are more files than a process may hold open.
struct Piecewise {
    path: PathBuf,
    at: u64,
}

impl Read for Piecewise {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.at))?;
        let read = file.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

fn fault(path: &Path, error: &io::Error) -> StoreError {
    StoreError::Unavailable { reason: format!("cannot read `{}`: {error}", path.display()) }
}
