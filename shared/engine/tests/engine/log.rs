//! What is logged: under the ids it belongs to, and at a level that calls people only when they must come.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

use stanch_engine::trigger::take_events;
use stanch_sandbox::{Fault, FaultKind};
use tracing::Level;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::subjects::subject;
use crate::world::{World, read, wait};

const INGRESS: &str = "aws-ec2-revoke-world-ingress";

thread_local! {
    /// What the test of this thread had logged, if it wants to know.
    static LINES: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct Lines;

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        LINES.with_borrow_mut(|lines| lines.iter_mut().for_each(|lines| lines.extend_from_slice(text)));
        Ok(text.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The lines that are logged meanwhile. One log serves all tests: what one of them does not want, another may.
fn logged(during: impl FnOnce()) -> Vec<String> {
    static LOG: Once = Once::new();
    LOG.call_once(|| {
        let wanted = dynamic_filter_fn(|metadata, _| *metadata.level() <= Level::INFO && LINES.with_borrow(Option::is_some));
        let lines = tracing_subscriber::fmt::layer().with_writer(|| Lines).with_ansi(false).without_time();
        tracing_subscriber::registry().with(lines.with_filter(wanted)).init();
    });
    LINES.set(Some(Vec::new()));
    during();
    let text = LINES.take().expect("what was logged");
    String::from_utf8(text).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn every_line_from_the_delivery_to_the_proof_carries_one_correlation_id() {
    let world = World::new();
    let event = serde_json::to_string(&subject(INGRESS).finding()).unwrap();
    let mut case = None;
    let mut lines = logged(|| {
        let receipt = wait(take_events(&world.engine, "ocsf-finding", &[event], read)).expect("taken");
        case = receipt.taken[0].remediation;
    });
    let id = case.expect("opened");
    lines.extend(logged(|| world.rest(id)));
    let correlation = format!("correlation={}", world.load(id).correlation.expect("an id"));
    let strangers: Vec<_> = lines.iter().filter(|line| !line.contains(&correlation)).collect();
    assert_eq!(strangers, [""; 0], "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("event{function=\"ocsf-finding\"") && line.contains("finding received")), "{lines:#?}");
    let step = format!("step{{remediation={id} state=\"applying\"");
    for change in 1..=2 {
        let applied =
            |line: &&String| line.contains(&step) && line.contains("change applied") && line.contains(&format!("change={change} "));
        assert_eq!(lines.iter().filter(applied).count(), 1, "change {change}: {lines:#?}");
    }
}

#[test]
fn a_case_that_needs_a_person_is_an_error_and_one_that_failed_a_warning() {
    for (fault, line) in [
        (None, " INFO step{"),
        (Some((FaultKind::Denied, "ec2.Revoke")), " WARN step{"),
        (Some((FaultKind::Denied, "ec2.Describe")), "ERROR step{"),
    ] {
        let world = World::new();
        if let Some((kind, call)) = fault {
            world.sandbox.inject(Fault::once(kind, call));
        }
        let lines = logged(|| drop(world.open(&subject(INGRESS).finding())));
        let told = lines.iter().filter(|line| line.contains(": remediation ") || line.contains("remediation ended")).cloned();
        let told: Vec<_> = told.filter(|line| ["ended", "failed", "got stuck"].iter().any(|end| line.contains(end))).collect();
        assert!(told.len() == 1 && told[0].starts_with(line), "{fault:?}: {told:#?} of {lines:#?}");
    }
}
