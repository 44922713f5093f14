//! Checks every record of a store against its hash chain and, where there are some, against checkpoints.

use std::cmp::Ordering;

use rusqlite::{Connection, Transaction};
use stanch_core::chain::{ChainEntry, ChainWalk};
use stanch_core::checkpoint::{Leaf, Seen, Tree};
use stanch_core::finding::Millis;
use stanch_core::port::{Store, StoreError};
use stanch_core::remediation::RemediationId;

use crate::checkpoints::Checkpoints;
use crate::folder::Place;
use crate::row;

/// Faults that are told one by one; of very many the rest is only counted.
const MAX_FAULTS: usize = 1000;

/// What an audit of all records found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Remediations looked at.
    pub remediations: u64,
    /// Record entries looked at.
    pub entries: u64,
    /// What is wrong; empty when everything holds. Of very many, the first.
    pub faults: Vec<Fault>,
    /// Faults that are not in `faults`.
    pub more_faults: u64,
    /// What the checkpoints say, where there were some.
    pub proof: Option<Proof>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The remediation, by its id as stored; `None` when it is about the checkpoints or the database as a whole.
    pub remediation: Option<String>,
    /// What is wrong and what that means.
    pub what: String,
}

/// What checkpoints prove of a store in which nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Number of the oldest checkpoint used.
    pub first: u64,
    /// Number of the latest.
    pub last: u64,
    /// Everything committed before then is covered, milliseconds since the epoch.
    pub at: Millis,
    /// Remediations in the latest.
    pub count: u64,
    /// Entries in the latest.
    pub entries: u64,
    /// Root of the latest, hex.
    pub root: String,
    /// Remediations in the latest of which only missing checkpoints know.
    pub uncovered: u64,
    /// Entries in the store that are later than the checkpoints used, or not covered: checked by their chain alone.
    pub later: u64,
}

impl AuditReport {
    fn fault(&mut self, remediation: Option<&str>, what: impl Into<String>) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault { remediation: remediation.map(str::to_owned), what: what.into() });
        } else {
            self.more_faults += 1;
        }
    }
}

/// One read transaction, so that a server that writes meanwhile makes no fault. Rows, entries and checkpoints are read side by
/// side in the order of the remediations, one entry in memory at a time.
pub(crate) fn audit(connection: &mut Connection, place: &Place, checkpoints: Option<&Checkpoints>) -> Result<AuditReport, StoreError> {
    let fault = |e: rusqlite::Error| place.fault("read the records", &e);
    let view = connection.transaction().map_err(fault)?;
    let mut report = AuditReport::default();
    whole(&view, &mut report).map_err(fault)?;

    let none = Checkpoints::default();
    let checkpoints = checkpoints.inspect(|given| given.faults.iter().for_each(|what| report.fault(None, what))).unwrap_or(&none);
    let mut replay = checkpoints.replay()?;
    // Whoever made the tables anew may have given them another order.
    let sql = "SELECT id, key, body FROM remediation ORDER BY id COLLATE BINARY";
    let mut all = view.prepare(sql).map_err(fault)?;
    let mut all = all.query([]).map_err(fault)?;
    let mut next_row = || -> Result<Option<Row>, StoreError> {
        let Some(r) = all.next().map_err(fault)? else { return Ok(None) };
        Ok(Some(Row { id: r.get(0).map_err(fault)?, key: r.get(1).map_err(fault)?, body: Ok(r.get(2).map_err(fault)?) }))
    };
    let sql = "SELECT sequence, hash, body, remediation FROM log ORDER BY remediation COLLATE BINARY, sequence";
    let mut log = view.prepare(sql).map_err(fault)?;
    let mut log = log.query([]).map_err(fault)?;
    let mut next_entry = || -> Result<Option<(String, ChainEntry)>, StoreError> {
        let Some(r) = log.next().map_err(fault)? else { return Ok(None) };
        Ok(Some((r.get(3).map_err(fault)?, entry(r).map_err(fault)?)))
    };

    let (mut row, mut logged, mut seen) = (next_row()?, next_entry()?, replay.advance()?);
    let mut later = 0;
    loop {
        let ids = [row.as_ref().map(|r| r.id.clone()), logged.as_ref().map(|(id, _)| id.clone()), seen.as_ref().map(|s| s.id.to_string())];
        let Some(id) = ids.into_iter().flatten().min() else { break };
        let ends = seen.take_if(|s| s.id.to_string() == id).map(|Seen { ends, .. }| ends);
        if ends.is_some() {
            seen = replay.advance()?;
        }
        let mut subject = Subject::new(&id, ends.unwrap_or_default(), checkpoints);
        while let Some(found) = row.take_if(|r| r.id == id) {
            report.remediations += 1;
            subject.row(found, &mut report);
            row = next_row()?;
        }
        while let Some((_, found)) = logged.take_if(|(of, _)| *of == id) {
            report.entries += 1;
            subject.entry(&found, &mut report);
            logged = next_entry()?;
        }
        later += subject.end(&mut report);
    }
    prove(checkpoints, &replay.into_trees(), later, &mut report);
    Ok(report)
}

/// Ends and records of remediations read at once.
const PAGE: usize = 500;
/// How often a remediation that changes meanwhile is read anew.
const READS: usize = 3;

/// The same for any store, through its port: what is read are the remediations that the store lists, each with its record. A
/// record whose remediation was deleted is found by checkpoints alone.
pub async fn audit_records(store: &dyn Store, checkpoints: Option<&Checkpoints>) -> Result<AuditReport, StoreError> {
    let mut report = AuditReport::default();
    let none = Checkpoints::default();
    let checkpoints = checkpoints.inspect(|given| given.faults.iter().for_each(|what| report.fault(None, what))).unwrap_or(&none);
    let mut replay = checkpoints.replay()?;
    let (mut seen, mut after, mut later) = (replay.advance()?, None, 0);
    loop {
        let page = store.heads(after, PAGE).await?;
        let last = page.last().map(|head| head.id);
        // Up to the next remediation that is there, then up to the end: what checkpoints saw and is not there.
        for id in page.iter().map(|head| Some(head.id)).chain(last.is_none().then_some(None)) {
            while let Some(gone) = seen.take_if(|seen| id.is_none_or(|id| seen.id < id)) {
                seen = replay.advance()?;
                later += Subject::new(&gone.id.to_string(), gone.ends, checkpoints).end(&mut report);
            }
            let Some(id) = id else { continue };
            let ends = seen.take_if(|seen| seen.id == id).map(|Seen { ends, .. }| ends);
            if ends.is_some() {
                seen = replay.advance()?;
            }
            let text = id.to_string();
            let mut subject = Subject::new(&text, ends.unwrap_or_default(), checkpoints);
            let (row, record) = read(store, id).await?;
            report.remediations += u64::from(row.is_some());
            report.entries += record.len() as u64;
            if let Some(row) = row {
                subject.row(row, &mut report);
            }
            for entry in &record {
                subject.entry(entry, &mut report);
            }
            later += subject.end(&mut report);
        }
        if last.is_none() {
            break;
        }
        after = last;
    }
    prove(checkpoints, &replay.into_trees(), later, &mut report);
    Ok(report)
}

/// A remediation and its record, as they were at one moment where that can be had.
async fn read(store: &dyn Store, id: RemediationId) -> Result<(Option<Row>, Vec<ChainEntry>), StoreError> {
    let mut reads = 1;
    loop {
        let case = match store.load(id).await {
            Err(error @ StoreError::Unreadable { .. }) => {
                let row = Row { id: id.to_string(), key: String::new(), body: Err(error) };
                return Ok((Some(row), store.record(id).await?));
            }
            other => other?,
        };
        let record = store.record(id).await?;
        let whole = case.as_ref().is_none_or(|case| case.chain.length == record.len() as u64);
        if whole || reads == READS {
            let Some(case) = case else { return Ok((None, record)) };
            let body = row::json(|| format!("remediation {id}"), &case);
            return Ok((Some(Row { id: id.to_string(), key: case.key.as_str().to_owned(), body }), record));
        }
        reads += 1;
    }
}

/// Compares what the checkpoints list with what they say of themselves, and tells what they prove.
fn prove(checkpoints: &Checkpoints, trees: &[Tree], later: u64, report: &mut AuditReport) {
    let (mut uncovered, complete) = (0, checkpoints.is_complete());
    for (tree, header) in trees.iter().zip(checkpoints.headers()) {
        let number = header.number;
        uncovered = header.count.saturating_sub(tree.count());
        match tree.count().cmp(&header.count) {
            Ordering::Equal if tree.root() == header.root && tree.entries() == header.entries => {}
            Ordering::Less if !complete => {}
            _ => {
                report.fault(None, format!("checkpoint {number} does not have the root of the ends it lists: it is not what stanch wrote"));
            }
        }
    }
    let first = checkpoints.headers().next().map(|header| header.number);
    report.proof = checkpoints.headers().next_back().map(|last| Proof {
        first: first.unwrap_or(last.number),
        last: last.number,
        at: last.at,
        count: last.count,
        entries: last.entries,
        root: last.root.clone(),
        uncovered,
        later,
    });
}

/// What no single record shows: a damaged file, indexes that hide rows, two remediations of one fault.
fn whole(view: &Transaction<'_>, report: &mut AuditReport) -> rusqlite::Result<()> {
    let mut check = view.prepare("PRAGMA integrity_check(20)")?;
    let mut rows = check.query([])?;
    while let Some(r) = rows.next()? {
        let said: String = r.get(0)?;
        if said != "ok" {
            report.fault(None, format!("the database is damaged, or its tables were made anew: {said}"));
        }
    }
    let mut twice =
        view.prepare("SELECT key, count(*), min(id), max(id) FROM remediation GROUP BY key COLLATE BINARY HAVING count(*) > 1")?;
    let mut rows = twice.query([])?;
    while let Some(r) = rows.next()? {
        let (key, count, one, other): (String, i64, String, String) = (r.get(0)?, r.get(1)?, r.get(2)?, r.get(3)?);
        report.fault(
            Some(&one),
            format!("{count} remediations have the key `{key}`, {other} too: the history is forked, one of them is false"),
        );
    }
    Ok(())
}

/// A remediation's row.
struct Row {
    id: String,
    key: String,
    /// What is stored, or why it cannot be had.
    body: Result<String, StoreError>,
}

/// One remediation under audit: its row, its record, and the ends that checkpoints have of it.
struct Subject<'a> {
    id: &'a str,
    parsed: Option<RemediationId>,
    row: Option<Row>,
    ends: Vec<(usize, Leaf)>,
    checkpoints: &'a Checkpoints,
    walk: ChainWalk,
    found: u64,
    broken: bool,
}

impl<'a> Subject<'a> {
    fn new(id: &'a str, ends: Vec<(usize, Leaf)>, checkpoints: &'a Checkpoints) -> Self {
        let parsed = RemediationId::parse(id).filter(|parsed| parsed.to_string() == id);
        let walk = ChainWalk::new(parsed.unwrap_or(RemediationId(uuid::Uuid::nil())));
        Subject { id, parsed, row: None, ends, checkpoints, walk, found: 0, broken: false }
    }

    fn row(&mut self, row: Row, report: &mut AuditReport) {
        if self.row.replace(row).is_some() {
            report.fault(Some(self.id), "there are two remediations of this id: the history is forked, one of them is false");
        }
    }

    /// Takes the next entry. After the first one that does not follow, the rest of the record says nothing.
    fn entry(&mut self, entry: &ChainEntry, report: &mut AuditReport) {
        self.found += 1;
        if self.broken || self.parsed.is_none() {
            return;
        }
        if let Err(e) = self.walk.follow(entry) {
            self.broken = true;
            return report.fault(Some(self.id), e.to_string());
        }
        if let Some((at, _)) = self.ends.iter().find(|(_, end)| end.length == entry.sequence && end.hash.to_string() != entry.hash) {
            self.broken = true;
            let (sequence, number) = (entry.sequence, self.number(*at));
            let what = format!("entry {sequence} is not the one checkpoint {number} saw: the record was written anew, with valid hashes");
            report.fault(Some(self.id), what);
        }
    }

    /// Ends the audit of this one; gives how many of its entries no checkpoint covers.
    fn end(mut self, report: &mut AuditReport) -> u64 {
        for (earlier, later) in self.ends.iter().zip(self.ends.iter().skip(1)) {
            if earlier.1.length >= later.1.length {
                let (earlier, later) = (self.number(earlier.0), self.number(later.0));
                report.fault(Some(self.id), format!("checkpoint {later} takes back what checkpoint {earlier} saw: one of them is false"));
            }
        }
        let Some(id) = self.parsed else {
            report.fault(Some(self.id), "this is no id that stanch gives: the row was put there by somebody else");
            return self.found;
        };
        let last = self.ends.last().map(|(at, leaf)| (self.number(*at), leaf.length));
        match (self.row.take(), last) {
            (None, None) => report.fault(Some(self.id), format!("the remediation is gone, but its record has {} entries", self.found)),
            (None, Some((number, length))) => {
                let what =
                    format!("the remediation was deleted: checkpoint {number} saw {length} entries of its record, {} are left", self.found);
                report.fault(Some(self.id), what);
            }
            (Some(row), last) => {
                let cut = last.filter(|(_, length)| !self.broken && *length > self.walk.head().length);
                if let Some((number, length)) = cut {
                    let left = self.walk.head().length;
                    let what = format!("the record was cut: checkpoint {number} saw {length} entries, it ends with entry {left}");
                    report.fault(Some(self.id), what);
                }
                self.compare(id, row, cut.is_some(), report);
            }
        }
        self.found.saturating_sub(last.map_or(0, |(_, length)| length))
    }

    /// What the row says of itself against where it stands and where the record ends.
    fn compare(&self, id: RemediationId, row: Row, told: bool, report: &mut AuditReport) {
        let standing = match row.body.and_then(|body| row::standing(id, &body)) {
            Ok(standing) => standing,
            Err(e) => return report.fault(Some(self.id), e.to_string()),
        };
        if standing.id != id || standing.key != row.key {
            report.fault(Some(self.id), "the row holds another remediation than its id and key say");
        }
        if !self.broken
            && let Err(e) = self.walk.ends_at(&standing.chain)
            && !told
        {
            report.fault(Some(self.id), e.to_string());
        }
    }

    fn number(&self, at: usize) -> u64 {
        self.checkpoints.headers().nth(at).map_or(0, |header| header.number)
    }
}

/// The record of a remediation, in order.
pub(crate) fn entries(connection: &Connection, id: RemediationId) -> rusqlite::Result<Vec<ChainEntry>> {
    let mut statement = connection.prepare_cached("SELECT sequence, hash, body FROM log WHERE remediation = ?1 ORDER BY sequence")?;
    statement.query_map([id.to_string()], entry)?.collect()
}

fn entry(row: &rusqlite::Row<'_>) -> rusqlite::Result<ChainEntry> {
    let sequence: i64 = row.get(0)?;
    Ok(ChainEntry { sequence: sequence.unsigned_abs(), hash: row.get(1)?, body: row.get(2)? })
}
