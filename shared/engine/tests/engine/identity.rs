//! One fault is one remediation: whatever the source calls its control and its resource, and however many resources it names.

use std::sync::Arc;

use stanch_core::cloud::{Account, Resource};
use stanch_core::control::{Control, MatchedBy};
use stanch_core::finding::{Activity, ComplianceStatus, Finding, FindingStatus, Source};
use stanch_core::fix::Fix;
use stanch_core::port::{Commit, Fixes, FixesError, Store, WriteBack};
use stanch_core::remediation::{Remediation, RemediationId, RemediationKey};
use stanch_core::state::{Resolution, State};
use stanch_engine::Taken;
use stanch_library::Library;

use crate::subjects::subject;
use crate::world::{START, World, library, now, turn_to, wait};

const BUCKET: &str = "aws-s3-block-public-access";
const GROUP: &str = "aws-ec2-revoke-world-ingress";
const DEFAULT_ENCRYPTION: &str = "aws-ec2-enable-ebs-default-encryption";
const ASK: &str = "rule: ask\nmode: approve\ndo:\n  - fix: recommended\n";
const KEEP: &str = "rule: keep\nmode: record\n";
const FIXED: State = State::Resolved { how: Resolution::Fixed };

/// The finding of a fix as another source, or another standard, reports it.
fn reported(fix: &str, source: Source, uid: &str, control: &str, rule: &str) -> Finding<'static> {
    let mut finding = subject(fix).finding();
    finding.source = source;
    finding.uid = uid.to_owned().into();
    finding.source_ref.id = finding.uid.clone();
    finding.rule = Some(rule.to_owned().into());
    if let Some(compliance) = &mut finding.compliance {
        compliance.control = Some(control.to_owned().into());
    }
    finding
}

fn healthy(mut finding: Finding<'static>, modified: i64) -> Finding<'static> {
    finding.status = FindingStatus::Resolved;
    finding.modified = Some(modified);
    if let Some(compliance) = &mut finding.compliance {
        compliance.status = ComplianceStatus::Pass;
    }
    finding
}

/// What each finding was told, in order.
fn told(world: &World, uid: &str) -> Vec<WriteBack> {
    world.source.written().into_iter().filter(|(_, id, ..)| id == uid).map(|(_, _, status, _)| status).collect()
}

fn case_of(world: &World, finding: &Finding<'static>) -> Remediation {
    let taken = world.report(finding);
    let id = taken.first().and_then(|intake| intake.remediation).unwrap_or_else(|| panic!("{taken:?}"));
    world.load(id)
}

#[test]
fn findings_of_three_standards_are_one_remediation_that_all_three_are_told_of() {
    let world = World::with_rules(ASK);
    const CIS: &str = "arn:aws:securityhub:::ruleset/cis-aws-foundations-benchmark/v/1.2.0/rule/4.1";
    let all = [
        reported(GROUP, Source::SecurityHub, "of-fsbp", "EC2.13", "aws-foundational-security-best-practices/v/1.0.0/EC2.13"),
        reported(GROUP, Source::SecurityHub, "of-cis", "cis-aws-foundations-benchmark/v/1.2.0/4.1", CIS),
        reported(GROUP, Source::SecurityHub, "of-pci", "PCI.EC2.5", "pci-dss/v/3.2.1/PCI.EC2.5"),
    ];
    let ids: Vec<_> = all.iter().map(|finding| case_of(&world, finding).id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let case = world.load(ids[0]);
    let reporters: Vec<_> = case.reporters.iter().map(|r| (r.uid.as_str(), r.matched)).collect();
    assert_eq!(reporters, [("of-fsbp", Some(MatchedBy::Key)), ("of-cis", Some(MatchedBy::Key)), ("of-pci", Some(MatchedBy::Key))]);
    wait(world.engine.approve(case.id, "test:ann", None)).expect("approved");
    world.rest(case.id);
    wait(world.engine.send_outbox(100)).expect("sent");
    assert_eq!(world.load(case.id).state, FIXED);
    for finding in &all {
        assert_eq!(told(&world, &finding.uid).last(), Some(&WriteBack::Fixed), "{}", finding.uid);
    }
}

#[test]
fn every_source_of_one_fault_is_listed_with_how_it_was_matched_and_written_back() {
    let world = World::with_rules(ASK);
    let mut by_name = reported(BUCKET, Source::Ocsf, "by-name", "x", "x");
    by_name.title = "S3 Block Public Access setting should be enabled at the bucket level".into();
    let mut bare =
        reported(BUCKET, Source::Prowler, "by-check", "s3_bucket_level_public_access_block", "s3_bucket_level_public_access_block");
    let name = bare.resources[0].uid.rsplit(':').next().unwrap_or_default().to_owned();
    bare.resources[0].uid = name.into();
    let key = "83f16376-e2dd-487d-b5ee-ba67fef4c5c0";
    let all = [
        reported(BUCKET, Source::SecurityHub, "by-control", "S3.8", "security-control/S3.8"),
        bare,
        reported(BUCKET, Source::DefenderAssessment, "by-assessment", key, key),
        by_name,
    ];
    let ids: Vec<_> = all.iter().map(|finding| case_of(&world, finding).id).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let case = world.load(ids[0]);
    assert_eq!(case.control_told().as_deref(), Some("aws.s3.bpa_bucket (by control id)"));
    let words: Vec<_> = case.reporters.iter().filter_map(|r| Some(r.matched?.word(r.source))).collect();
    assert_eq!(words, ["control id", "check", "assessment key", "display name"]);
    wait(world.engine.approve(case.id, "test:ann", None)).expect("approved");
    world.rest(case.id);
    wait(world.engine.send_outbox(100)).expect("sent");
    for finding in &all {
        assert_eq!(told(&world, &finding.uid).last(), Some(&WriteBack::Fixed), "{}", finding.uid);
    }
    let record = wait(world.store.record(case.id)).expect("a record");
    assert!(record[0].body.contains("control aws.s3.bpa_bucket (by control id)"), "{}", record[0].body);
}

#[test]
fn a_source_that_comes_late_to_a_fixed_fault_is_told_too_and_reopens_nothing() {
    for (source, control) in [(Source::Prowler, "s3_bucket_public_access"), (Source::SecurityHub, "S3.8")] {
        let world = World::new();
        turn_to(now() + 60_000);
        let first = subject(BUCKET).finding();
        let fixed = world.open(&first);
        let mut late = reported(BUCKET, source, "late", control, control);
        late.modified = Some(START - 3_600_000);
        assert_eq!(world.report(&late)[0].taken, Taken::Known);
        let after = world.load(fixed.id);
        assert_eq!((after.state, after.recurrences, after.reporters.len(), world.writes()), (FIXED, 0, 2, 1));
        assert_eq!(told(&world, "late"), [WriteBack::Fixed]);
        world.report(&late);
        assert_eq!(told(&world, "late").len(), 1, "once");
        assert_eq!(told(&world, &first.uid).iter().filter(|status| **status == WriteBack::Fixed).count(), 1, "not told again");
    }
}

/// A finding about the bucket of the estate and eleven that are gone.
fn of_twelve() -> Finding<'static> {
    let mut finding = subject(BUCKET).finding();
    let gone: Vec<_> = finding.resources.iter().cycle().take(11).cloned().collect();
    finding.resources.extend(gone.into_iter().zip(1..).map(|(like, n)| Resource { uid: format!("arn:aws:s3:::gone-{n}").into(), ..like }));
    finding
}

#[test]
fn a_finding_of_twelve_resources_is_told_fixed_once_all_twelve_are() {
    let world = World::with_rules(ASK);
    let finding = of_twelve();
    let taken = world.report(&finding);
    assert_eq!(taken.iter().filter(|i| i.taken == Taken::Opened).count(), 12);
    let waiting = world.load(taken[0].remediation.expect("a case"));
    assert_eq!(waiting.state, State::AwaitingApproval);
    assert_eq!(waiting.reporters[0].others.len(), 11);
    assert!(taken[1..].iter().all(|i| world.load(i.remediation.expect("a case")).state == State::Resolved { how: Resolution::Gone }));
    let before = told(&world, &finding.uid);
    assert_eq!((before.len(), before.contains(&WriteBack::Fixed)), (11, false), "one still stands");
    let notes = world.source.written();
    assert!(notes[0].3.ends_with("of 12 resources it names still stand"), "{}", notes[0].3);

    wait(world.engine.approve(waiting.id, "test:ann", None)).expect("approved");
    world.rest(waiting.id);
    wait(world.engine.send_outbox(100)).expect("sent");
    let after = told(&world, &finding.uid);
    assert_eq!(after.iter().filter(|status| **status == WriteBack::Fixed).count(), 1, "{after:?}");
    assert_eq!(after.last(), Some(&WriteBack::Fixed));
    let versions: Vec<_> = taken.iter().map(|i| world.load(i.remediation.expect("a case")).version).collect();
    world.report(&finding);
    assert_eq!(taken.iter().map(|i| world.load(i.remediation.expect("a case")).version).collect::<Vec<_>>(), versions, "a heartbeat");
}

/// The process ended in the middle of the finding; the same source reports the first of its resources by itself, too.
#[test]
fn a_resource_that_is_not_taken_in_yet_stands_and_another_finding_of_the_same_source_is_told_for_itself() {
    let (world, store) = World::new().with_faults(ASK);
    let finding = of_twelve();
    let mut second = reported(BUCKET, Source::SecurityHub, "second", "S3.8", "S3.8");
    second.resources = vec![finding.resources[1].clone()];
    let second = case_of(&world, &second);
    store.lock_row(second.id);
    world.source.put(finding.clone());
    assert!(wait(world.engine.ingest(vec![finding.clone()])).is_err(), "ten resources were not reached");
    store.unlock_row(second.id);

    let alone = case_of(&world, &reported(BUCKET, Source::SecurityHub, "alone", "S3.8", "S3.8"));
    assert_eq!((alone.reporters.len(), alone.reporters[0].others.len(), alone.reporters[1].others.len()), (2, 11, 0));
    wait(world.engine.approve(alone.id, "test:ann", None)).expect("approved");
    world.rest(alone.id);
    wait(world.engine.send_outbox(100)).expect("sent");
    assert_eq!(told(&world, "alone").last(), Some(&WriteBack::Fixed));
    assert_eq!(told(&world, &finding.uid).last(), Some(&WriteBack::InProgress));
    let notes: Vec<_> = world.source.written().into_iter().filter(|(_, uid, ..)| *uid == finding.uid).map(|(.., note)| note).collect();
    assert!(notes.last().is_some_and(|note| note.ends_with("; 10 of 12 resources it names still stand")), "{notes:?}");
}

#[test]
fn a_fixed_resource_is_still_reported_only_when_its_finding_stands_for_no_other() {
    for (others, expected) in [(0, State::StillReported), (1, FIXED)] {
        let world = World::new();
        let mut finding = subject(BUCKET).finding();
        for _ in 0..others {
            // No fix takes it, so the finding stands for it.
            let kind = Some("AwsS3AccessPoint".into());
            finding.resources.push(Resource { uid: "arn:aws:s3:::point".into(), kind, ..finding.resources[0].clone() });
        }
        let fixed = world.open(&finding);
        assert_eq!(fixed.state, FIXED);
        world.source.put(finding.clone());
        turn_to(now() + 30 * 3_600_000);
        world.reconcile();
        world.rest(fixed.id);
        assert_eq!(world.load(fixed.id).state, expected, "{others} others");
    }
}

#[test]
fn a_deleted_row_that_was_healthy_ends_the_wait_and_claims_no_fix() {
    let world = World::with_rules(ASK);
    let waiting = world.open(&subject(BUCKET).finding());
    let mut deleted = subject(BUCKET).finding();
    (deleted.activity, deleted.status, deleted.modified) = (Activity::Close, FindingStatus::Deleted, Some(now() + 5_000));
    if let Some(compliance) = &mut deleted.compliance {
        (compliance.status, compliance.status_code) = (ComplianceStatus::Unknown, Some("Healthy".into()));
    }
    assert_eq!(world.report(&deleted)[0].taken, Taken::Closed);
    let after = world.load(waiting.id);
    assert_eq!((after.state, after.times.verified, world.writes()), (State::Resolved { how: Resolution::ByOthers }, None, 0));
    assert!(after.note.contains("proves no fix"), "{}", after.note);
    assert_eq!(told(&world, &deleted.uid), [], "nothing is claimed");
    // Written again, it is the same fault come back.
    let mut again = subject(BUCKET).finding();
    again.modified = Some(now() + 10_000);
    assert_eq!(world.report(&again)[0].taken, Taken::Recurred);
    assert_eq!(world.load(waiting.id).recurrences, 1);
}

#[test]
fn a_listing_opens_what_is_missing_but_is_no_news() {
    let snapshot = |modified| Finding { snapshot: true, modified: Some(modified), ..subject(BUCKET).finding() };
    let world = World::new();
    turn_to(now() + 60_000);
    let fixed = world.open(&snapshot(START));
    assert_eq!(fixed.state, FIXED, "it opens what nobody reported");
    assert_eq!(world.report(&snapshot(START))[0].taken, Taken::Known);
    assert_eq!(world.report(&snapshot(START + 1))[0].taken, Taken::Known, "older than the proof");
    assert_eq!(world.load(fixed.id).recurrences, 0);

    // What others closed is reopened by an event, and by no listing that was made before.
    let world = World::with_rules(ASK);
    let waiting = world.open(&Finding { modified: Some(START), ..subject(BUCKET).finding() });
    world.report(&healthy(subject(BUCKET).finding(), START + 5_000));
    assert_eq!(world.load(waiting.id).state, State::Resolved { how: Resolution::ByOthers });
    for (modified, taken) in [(START + 5_000, Taken::Known), (START + 5_001, Taken::Recurred)] {
        assert_eq!(world.report(&snapshot(modified))[0].taken, taken, "{modified}");
    }
}

#[test]
fn words_that_come_in_the_wrong_order_give_the_same_case() {
    let opened = subject(BUCKET).finding();
    let at = |ms| Some(START + ms);
    let words = [
        Finding { modified: at(1), ..opened.clone() },
        healthy(opened.clone(), START + 2),
        Finding { modified: at(3), ..opened.clone() },
        healthy(opened, START + 4),
    ];
    for order in [[0, 1, 2, 3], [0, 2, 1, 3], [0, 3, 1, 2], [2, 0, 3, 1], [0, 3, 2, 1]] {
        let world = World::with_rules(ASK);
        let case = case_of(&world, &words[order[0]]);
        for n in &order[1..] {
            world.report(&words[*n]);
        }
        let after = world.load(case.id);
        assert_eq!((after.state, after.reporters.len()), (State::Resolved { how: Resolution::ByOthers }, 1), "{order:?}: {}", after.note);
        assert_eq!((after.reporters[0].modified, world.writes()), (at(4), 0), "{order:?}");
    }
    let world = World::with_rules(ASK);
    assert_eq!(world.report(&words[3])[0].taken, Taken::NotOpen);
}

#[test]
fn a_finding_without_a_resource_is_kept_under_its_account_and_never_acted_on() {
    for account in [true, false] {
        let world = World::new();
        let mut nowhere = subject(BUCKET).finding();
        nowhere.resources.clear();
        if !account {
            nowhere.account = None;
        }
        let taken = world.report(&nowhere);
        assert_eq!(taken[0].taken, Taken::NoResource);
        let kept = world.load(taken[0].remediation.expect("a case"));
        let expected = if account { "111122223333".to_owned() } else { nowhere.uid.to_string() };
        assert_eq!((kept.state, kept.resource.uid.as_ref(), world.writes()), (State::Open, expected.as_str(), 0), "{}", kept.note);
        assert!(kept.note.contains("names no resource"), "{}", kept.note);
        assert_eq!((kept.account(), &kept.resource.region), (nowhere.account.as_ref().map(|a| a.uid.as_ref()), &nowhere.region));
        assert_eq!(kept.resource.account, nowhere.account);
        assert_eq!(world.report(&nowhere)[0].taken, Taken::Known, "and once");
        nowhere.modified = Some(now() + 3_600_000);
        world.report(&healthy(nowhere.clone(), now() + 3_600_000));
        assert_eq!(world.load(kept.id).state, State::Resolved { how: Resolution::ByOthers });
        nowhere.modified = Some(now() + 7_200_000);
        assert_eq!(world.report(&nowhere)[0].taken, Taken::Recurred);
        assert_eq!((world.load(kept.id).state, world.writes()), (State::Open, 0));
    }
    let world = World::new();
    let mut gone = healthy(subject(BUCKET).finding(), now());
    gone.resources.clear();
    assert_eq!(world.report(&gone)[0].taken, Taken::NotOpen);
}

#[test]
fn a_setting_of_each_region_is_a_fault_of_each_and_one_of_the_account_is_one() {
    for (fix, control, cases) in [(DEFAULT_ENCRYPTION, "EC2.7", 2), ("aws-iam-strengthen-password-policy", "IAM.7", 1)] {
        let world = World::with_rules(KEEP);
        let mut ids = std::collections::BTreeSet::new();
        for region in ["eu-west-1", "us-east-1"] {
            let mut finding = reported(fix, Source::SecurityHub, region, control, control);
            finding.region = Some(region.into());
            finding.resources[0].region = Some(region.into());
            ids.insert(case_of(&world, &finding).id);
        }
        assert_eq!(ids.len(), cases, "{control}");
    }
}

#[test]
fn a_project_by_its_number_and_by_its_id_does_not_split_a_fault() {
    let world = World::with_rules(KEEP);
    let fix = "gcp-storage-remove-public-iam";
    let mut scc = reported(fix, Source::Scc, "of-scc", "PUBLIC_BUCKET_ACL", "PUBLIC_BUCKET_ACL");
    let number = Some(Account { uid: "598897393088".into(), name: None });
    (scc.account, scc.resources[0].account) = (number.clone(), number);
    let check = "cloudstorage_bucket_public_access";
    let mut prowler = reported(fix, Source::Prowler, "of-prowler", check, check);
    let bucket = prowler.resources[0].uid.rsplit('/').next().unwrap_or_default().to_owned();
    prowler.resources[0].uid = bucket.into();
    prowler.resources[0].kind = Some("storage.googleapis.com/Bucket".into());
    assert_eq!(case_of(&world, &scc).id, case_of(&world, &prowler).id);
    let mut elsewhere = prowler;
    elsewhere.uid = "of-another".into();
    elsewhere.resources[0].uid = "another-bucket".into();
    assert_ne!(case_of(&world, &scc).id, case_of(&world, &elsewhere).id);
}

#[test]
fn a_fix_acts_on_a_resource_that_was_named_by_its_bare_id() {
    let world = World::new();
    let check = "s3_bucket_level_public_access_block";
    let mut bare = reported(BUCKET, Source::Prowler, "bare", check, check);
    let name = bare.resources[0].uid.rsplit(':').next().unwrap_or_default().to_owned();
    bare.resources[0].uid = name.into();
    assert_eq!(world.open(&bare).state, FIXED);
    assert_eq!(world.writes(), 1);
}

/// A library of before the control was known.
struct Unknowing(Arc<Library>);

impl Fixes for Unknowing {
    fn fix(&self, name: &str) -> Result<&Fix, FixesError> {
        Fixes::fix(self.0.as_ref(), name)
    }
    fn recommend(&self, finding: &Finding<'_>, resource: &Resource<'_>) -> Result<Option<&Fix>, FixesError> {
        Fixes::recommend(self.0.as_ref(), finding, resource)
    }
    fn control(&self, _: &Finding<'_>) -> Option<Control> {
        None
    }
}

#[test]
fn a_case_opened_before_its_control_was_known_is_found_again() {
    let mut world = World::with_rules(ASK);
    world.ports.fixes = Arc::new(Unknowing(library()));
    world.set_rules(ASK);
    let earlier = world.open(&subject(BUCKET).finding());
    assert_eq!(earlier.control_told(), None);
    world.ports.fixes = library();
    world.set_rules(ASK);
    let mut again = subject(BUCKET).finding();
    again.modified = Some(now());
    assert_eq!(world.report(&again)[0].remediation, Some(earlier.id));
}

/// Rows that an earlier program wrote, whose keys held the account and the source's own spelling.
#[test]
fn a_case_under_a_former_key_is_found_again_but_not_by_the_fault_of_another_region() {
    for (fix, region, same) in
        [(BUCKET, "us-east-1", true), (DEFAULT_ENCRYPTION, "eu-west-1", true), (DEFAULT_ENCRYPTION, "us-east-1", false)]
    {
        let world = World::with_rules(KEEP);
        let finding = subject(fix).finding();
        let control = library().control(&finding).map(|control| control.id);
        let former = RemediationKey::former(&finding, &finding.resources[0], control.as_deref()).remove(0);
        let mut row = world.open(&finding);
        (row.key, row.id) = (former, RemediationId(uuid::Uuid::from_u128(77)));
        let earlier = World::with_rules(KEEP);
        let at = now();
        let parts = (Vec::new(), Vec::new(), std::collections::BTreeMap::new(), Vec::new());
        let (log, outbox, sealed, bodies) = parts;
        row.chain = stanch_core::chain::ChainHead::default();
        let commit = Commit { remediation: row.clone(), at, expected_version: 0, log, outbox, next_at: None, sealed, bodies };
        wait(earlier.store.commit(commit)).expect("kept");
        let mut again = finding;
        again.region = Some(region.into());
        again.resources[0].region = Some(region.into());
        again.modified = Some(now() + 1);
        let taken = earlier.report(&again);
        assert_eq!(taken[0].remediation == Some(row.id), same, "{fix} in {region}: {taken:?}");
    }
}
