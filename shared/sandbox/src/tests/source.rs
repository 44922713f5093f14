use stanch_core::cloud::Cloud;
use stanch_core::finding::{Compliance, ComplianceStatus, Finding, FindingClass, FindingStatus, Product, Source, SourceRef};
use stanch_core::port::{FindingSource, SourceAnswer, SourceError, WriteBack};

use super::now;
use crate::SandboxSource;

fn finding(source: Source, class: FindingClass, id: &'static str) -> Finding<'static> {
    let mut finding = Finding::new(source, class, Cloud::Aws, id, Product::default());
    finding.status = FindingStatus::New;
    finding.compliance = Some(Compliance { status: ComplianceStatus::Fail, ..Compliance::default() });
    finding
}

fn reference(id: &'static str) -> SourceRef<'static> {
    SourceRef { id: id.into(), ..SourceRef::default() }
}

fn fetch(source: &SandboxSource, of: Source, id: &'static str) -> Result<Option<Finding<'static>>, SourceError> {
    Ok(match now(source.fetch(of, &reference(id)))? {
        SourceAnswer::Found(finding) => Some(*finding),
        SourceAnswer::Absent => None,
    })
}

fn write(source: &SandboxSource, of: Source, id: &'static str, status: WriteBack) -> Result<(), SourceError> {
    now(source.write_back(of, &reference(id), status, "note"))
}

#[test]
fn a_finding_is_found_under_its_own_source_only() {
    let source = SandboxSource::new(super::clock);
    let held = finding(Source::SecurityHub, FindingClass::Compliance, "f1");
    source.put(held.clone());
    assert_eq!(fetch(&source, Source::SecurityHub, "f1").unwrap(), Some(held));
    assert_eq!(fetch(&source, Source::Scc, "f1").unwrap(), None);
    assert_eq!(fetch(&source, Source::SecurityHub, "f2").unwrap(), None);
    assert!(source.remove("f1") && !source.remove("f1"));
    assert_eq!(fetch(&source, Source::SecurityHub, "f1").unwrap(), None);
}

#[test]
fn what_is_written_back_is_kept_and_marks_the_finding() {
    let source = SandboxSource::new(super::clock);
    source.put(finding(Source::SecurityHub, FindingClass::Compliance, "posture"));
    source.put(finding(Source::DefenderAlert, FindingClass::Detection, "alert"));
    let status = |of, id| fetch(&source, of, id).unwrap().unwrap().status;

    write(&source, Source::SecurityHub, "posture", WriteBack::InProgress).unwrap();
    assert_eq!(status(Source::SecurityHub, "posture"), FindingStatus::InProgress);
    write(&source, Source::SecurityHub, "posture", WriteBack::Fixed).unwrap();
    assert!(fetch(&source, Source::SecurityHub, "posture").unwrap().unwrap().is_open(), "a posture finding closes by the next check only");
    write(&source, Source::DefenderAlert, "alert", WriteBack::Fixed).unwrap();
    assert_eq!(status(Source::DefenderAlert, "alert"), FindingStatus::Resolved);
    write(&source, Source::DefenderAlert, "alert", WriteBack::Reopened).unwrap();
    assert_eq!(status(Source::DefenderAlert, "alert"), FindingStatus::New);

    let written: Vec<(String, WriteBack, String)> = source.written().into_iter().map(|(_, id, status, note)| (id, status, note)).collect();
    let entry = |id: &str, status| (id.to_owned(), status, "note".to_owned());
    assert_eq!(
        written,
        [
            entry("posture", WriteBack::InProgress),
            entry("posture", WriteBack::Fixed),
            entry("alert", WriteBack::Fixed),
            entry("alert", WriteBack::Reopened)
        ]
    );
}

#[test]
fn a_re_evaluation_closes_and_reopens() {
    let source = SandboxSource::new(super::clock);
    source.put(finding(Source::Scc, FindingClass::Compliance, "f1"));
    assert!(source.close("f1"));
    let closed = fetch(&source, Source::Scc, "f1").unwrap().unwrap();
    assert_eq!(
        (closed.is_open(), closed.compliance.unwrap().status, closed.modified),
        (false, ComplianceStatus::Pass, Some(super::clock()))
    );
    assert!(source.reopen("f1"));
    assert!(fetch(&source, Source::Scc, "f1").unwrap().unwrap().is_open());
    assert!(!source.close("nobody") && !source.reopen("nobody"));
}

#[test]
fn an_unavailable_source_fails_and_can_be_tried_again() {
    let source = SandboxSource::new(super::clock);
    source.put(finding(Source::Scc, FindingClass::Compliance, "f1"));
    source.set_available(false);
    let error = fetch(&source, Source::Scc, "f1").unwrap_err();
    assert!(error.retry);
    assert_eq!(error.to_string(), "cannot fetch finding `f1` at scc: the source is unavailable");
    assert!(write(&source, Source::Scc, "f1", WriteBack::Fixed).unwrap_err().retry);
    assert!(source.written().is_empty());
    source.set_available(true);
    write(&source, Source::Scc, "f1", WriteBack::Fixed).unwrap();
    assert!(!write(&source, Source::Scc, "nobody", WriteBack::Fixed).unwrap_err().retry);
}
