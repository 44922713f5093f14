//! `stanch bench`: what this machine can do, measured on the real path beside the least it could cost.

use std::fmt::Write;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::json;
use stanch_core::rule::RuleSet;
use stanch_engine::Engine;
use stanch_library::DEFAULT_RULES;
use stanch_store::{Floor, SqliteStore};
use tokio::task::JoinSet;

use super::context::Context;
use super::failure::{Code, Failure};
use super::output::{print, print_json};
use super::text::clean;
use crate::wiring::{self, WiringError};

/// At most so many acknowledgements are timed, evenly spread, so that timing them costs no memory to speak of.
const TIMED: u64 = 50_000;
/// Resident memory is read after so many events.
const MARKS: [u64; 2] = [200_000, 1_000_000];

/// What is measured.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Bench {
    /// Take in generated Security Hub events of about 6 KB, each one a new remediation, on disk
    Ingest(Ingest),
}

/// Arguments of `bench ingest`.
#[derive(Debug, clap::Args)]
pub(crate) struct Ingest {
    /// Events to take in
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    events: u64,
    /// Remediations that are stored before the measurement begins
    #[arg(long, value_name = "N", default_value_t = 0)]
    stored: u64,
    /// Deliveries under way at once
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=4096))]
    at_once: u64,
    /// Rules beside those that ship
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=10_000))]
    rules: u64,
}

/// One measurement.
struct Measured {
    events: u64,
    wall: Duration,
    /// Of the whole process, seconds; not known on every system.
    cpu: Option<f64>,
    /// Latencies of acknowledgements, in order.
    latencies: Vec<Duration>,
    /// Resident memory after so many events, bytes.
    resident: Vec<(u64, u64)>,
}

impl Measured {
    fn per_second(&self) -> f64 {
        self.events as f64 / self.wall.as_secs_f64()
    }

    fn per_cpu_second(&self) -> Option<f64> {
        self.cpu.filter(|cpu| *cpu > 0.0).map(|cpu| self.events as f64 / cpu)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let at = (self.latencies.len() * percent / 100).min(self.latencies.len().saturating_sub(1));
        self.latencies.get(at).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    }
}

/// Measures intake.
pub(crate) async fn ingest(context: &Context, arguments: &Ingest) -> Result<(), Failure> {
    let parent = context.settings.data.clone().unwrap_or_else(std::env::temp_dir);
    let folder = Scratch::new(parent.join(format!("stanch-bench-{}", std::process::id())))?;
    let engine = engine(context, &folder.0.join("store"), arguments.rules)?;
    let event = Arc::new(Template::new());
    let run = |first: u64, count: u64| {
        let (engine, event) = (engine.clone(), Arc::clone(&event));
        measure(first, count, arguments.at_once, move |number| {
            let (engine, event) = (engine.clone(), Arc::clone(&event));
            async move {
                let text = event.event(number);
                let findings = stanch_aws::normalize(&text).map_err(|e| Failure::of(Code::Input, &e))?.findings;
                engine.ingest(findings).await?;
                Ok(())
            }
        })
    };
    if arguments.stored > 0 {
        context.out.note(&format!("storing {} remediations first", arguments.stored));
        run(0, arguments.stored).await?;
    }
    let measured = run(arguments.stored, arguments.events).await?;
    drop(engine);
    let floor = Arc::new(Floor::open(&folder.0.join("floor"))?);
    let least = measure(0, arguments.events, arguments.at_once, move |number| {
        let (floor, event) = (Arc::clone(&floor), Arc::clone(&event));
        async move {
            let text = event.event(number);
            parse(&text)?;
            Ok(floor.insert(text).await?)
        }
    });
    told(context, arguments, &folder.0, &measured, &least.await?)
}

fn told(context: &Context, arguments: &Ingest, folder: &Path, measured: &Measured, floor: &Measured) -> Result<(), Failure> {
    if context.out.json {
        let resident: Vec<_> = measured.resident.iter().map(|(after, bytes)| json!({"after": after, "bytes": bytes})).collect();
        return print_json(&json!({
            "events": measured.events,
            "stored_before": arguments.stored,
            "at_once": arguments.at_once,
            "rules": arguments.rules + 1,
            "events_per_second": measured.per_second(),
            "events_per_cpu_second": measured.per_cpu_second(),
            "floor_per_second": floor.per_second(),
            "floor_per_cpu_second": floor.per_cpu_second(),
            "p50_ms": measured.percentile(50),
            "p99_ms": measured.percentile(99),
            "resident": resident,
            "folder": folder,
        }));
    }
    let cpu = |of: &Measured| of.per_cpu_second().map_or_else(|| "n/a".to_owned(), |n| format!("{n:.0}"));
    let mut line = format!(
        "{:.0} events/s, {} per CPU second (floor {:.0}, {}); acknowledged durably p50 {:.2} ms, p99 {:.2} ms, {} at once; resident",
        measured.per_second(),
        cpu(measured),
        floor.per_second(),
        cpu(floor),
        measured.percentile(50),
        measured.percentile(99),
        arguments.at_once,
    );
    if measured.resident.is_empty() {
        line.push_str(" n/a");
    }
    for (after, bytes) in &measured.resident {
        let _ = write!(line, " {:.1} MB after {after}", *bytes as f64 / 1e6);
    }
    let (stored, rules) = (arguments.stored, arguments.rules + 1);
    let _ = write!(line, "; {stored} stored before; {rules} rules; in {}", clean(&folder.display().to_string()));
    print(&line)
}

/// Takes events in from so many tasks, each as soon as its last one is acknowledged.
async fn measure<F>(first: u64, count: u64, at_once: u64, take: impl Fn(u64) -> F + Clone + Send + 'static) -> Result<Measured, Failure>
where
    F: Future<Output = Result<(), Failure>> + Send,
{
    let taken = Arc::new(AtomicU64::new(0));
    let every = count.div_ceil(TIMED).max(1);
    let (begun, cpu) = (Instant::now(), processor());
    let mut workers = JoinSet::new();
    for _ in 0..at_once {
        let (taken, take) = (Arc::clone(&taken), take.clone());
        workers.spawn(async move {
            let (mut latencies, mut memory) = (Vec::new(), Vec::new());
            loop {
                let number = taken.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return Ok((latencies, memory));
                }
                let sent = Instant::now();
                take(first + number).await?;
                if number.is_multiple_of(every) {
                    latencies.push(sent.elapsed());
                }
                if MARKS.contains(&(number + 1)) || number + 1 == count {
                    memory.extend(resident().map(|bytes| (number + 1, bytes)));
                }
            }
        });
    }
    let mut measured = Measured { events: count, wall: Duration::ZERO, cpu: None, latencies: Vec::new(), resident: Vec::new() };
    while let Some(worker) = workers.join_next().await {
        let worker: Result<_, Failure> = worker.map_err(|e| Failure::of(Code::Outside, &e))?;
        let (latencies, memory) = worker?;
        measured.latencies.extend(latencies);
        measured.resident.extend(memory);
    }
    measured.wall = begun.elapsed();
    measured.cpu = cpu.zip(processor()).map(|(before, after)| after - before);
    measured.latencies.sort_unstable();
    measured.resident.sort_unstable();
    Ok(measured)
}

/// The rules that ship and so many more, of which none matches.
fn engine(context: &Context, data: &Path, rules: u64) -> Result<Engine, Failure> {
    let mut more = String::new();
    for n in 0..rules {
        let _ = writeln!(
            more,
            "---\nrule: bench-{n}\nmode: record\norder: {n}\nwhen: finding.severity >= HIGH && finding.title.contains('no such title {n}')\ndo: []"
        );
    }
    let rules = RuleSet::load(
        [("default.yaml", DEFAULT_RULES), ("bench.yaml", more.trim_start_matches("---\n"))].into_iter().filter(|(_, t)| !t.is_empty()),
    );
    let rules = rules.map_err(WiringError::Rules)?;
    let (sandbox, source) = wiring::sandbox();
    let state = wiring::folder_state(&context.settings, data, Arc::new(SqliteStore::open(data)?));
    Ok(wiring::engine(&context.settings, rules, (Arc::new(sandbox), Arc::new(source)), &state)?)
}

/// A folder that goes with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(folder: PathBuf) -> Result<Self, Failure> {
        match std::fs::create_dir(&folder) {
            Ok(()) => Ok(Scratch(folder)),
            Err(e) => Err(Failure::new(Code::Outside, format!("cannot create `{}`: {e}", folder.display()))),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// Seconds of processor time this process has used. `None` where the system does not say it as Linux does
/// (<https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>, fields 14 and 15, in ticks of which Linux counts 100 a second).
fn processor() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_name) = stat.rsplit_once(')')?;
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Some(ticks as f64 / 100.0)
}

/// Resident memory of this process, bytes.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

/// An event with places for what differs.
struct Template {
    parts: Vec<String>,
}

/// Stands where an event has its number.
const NUMBER: &str = "@NUMBER@";

impl Template {
    fn new() -> Self {
        let fields: serde_json::Map<String, serde_json::Value> =
            (0..62).map(|n| (format!("Field{n}"), format!("value number {n} of a field that no rule looks at").into())).collect();
        let resource = json!({
            "Type": "AwsS3Bucket", "Id": format!("arn:aws:s3:::shop-{NUMBER}"), "Partition": "aws", "Region": "eu-west-1",
            "Tags": {"env": "prod", "team": "shop"}, "Details": {"AwsS3Bucket": fields},
        });
        let finding = json!({
            "SchemaVersion": "2018-10-08",
            "Id": format!("arn:aws:securityhub:eu-west-1:111122223333:security-control/S3.8/finding/{NUMBER}"),
            "ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/securityhub",
            "ProductName": "Security Hub",
            "CompanyName": "AWS",
            "Region": "eu-west-1",
            "GeneratorId": "security-control/S3.8",
            "AwsAccountId": "111122223333",
            "Types": ["Software and Configuration Checks/Industry and Regulatory Standards"],
            "FirstObservedAt": "2026-09-20T06:41:37.123Z",
            "LastObservedAt": "2026-09-21T06:41:37.123Z",
            "CreatedAt": "2026-09-20T06:41:37.123Z",
            "UpdatedAt": "2026-09-21T06:41:37.123Z",
            "Severity": {"Label": "HIGH", "Normalized": 70, "Original": "HIGH"},
            "Title": "S3 general purpose buckets should block public access",
            "Description": "This control checks if an Amazon S3 general purpose bucket blocks public access at the bucket level.",
            "Remediation": {"Recommendation": {
                "Text": "For information on how to correct this issue, consult the documentation.",
                "Url": "https://docs.aws.amazon.com/console/securityhub/S3.8/remediation",
            }},
            "ProductFields": {"aws/securityhub/ProductName": "Security Hub", "Resources:0/Id": format!("arn:aws:s3:::shop-{NUMBER}")},
            "Resources": [resource],
            "Compliance": {
                "Status": "FAILED", "SecurityControlId": "S3.8",
                "AssociatedStandards": [{"StandardsId": "standards/aws-foundational-security-best-practices/v/1.0.0"}],
            },
            "WorkflowState": "NEW",
            "Workflow": {"Status": "NEW"},
            "RecordState": "ACTIVE",
        });
        let event = json!({
            "version": "0", "id": "8e5622f9-d81c-4d81-612a-9319e7ee2506", "detail-type": "Security Hub Findings - Imported",
            "source": "aws.securityhub", "account": "111122223333", "time": "2026-09-21T06:41:37Z", "region": "eu-west-1",
            "resources": ["arn:aws:securityhub:eu-west-1::product/aws/securityhub/x"], "detail": {"findings": [finding]},
        });
        Template { parts: event.to_string().split(NUMBER).map(str::to_owned).collect() }
    }

    /// The event of a number. Numbers are mixed up, so that neighbours in time are none in any index.
    fn event(&self, number: u64) -> String {
        self.parts.join(&format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
    }
}

/// The floor's parse: ten fields by name.
fn parse(event: &str) -> Result<(), Failure> {
    serde_json::from_str::<Envelope<'_>>(event).map(drop).map_err(|e| Failure::of(Code::Input, &e))
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Envelope<'a> {
    #[serde(borrow)]
    detail: Detail<'a>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Detail<'a> {
    #[serde(borrow)]
    findings: Vec<Fields<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Fields<'a> {
    id: &'a str,
    product_arn: &'a str,
    generator_id: &'a str,
    aws_account_id: &'a str,
    created_at: &'a str,
    updated_at: &'a str,
    title: &'a str,
    description: &'a str,
    record_state: &'a str,
    workflow_state: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_events_are_findings_of_the_usual_size_on_resources_of_their_own() {
        let template = Template::new();
        let resource = |event: &str| stanch_aws::normalize(event).unwrap().findings[0].resources[0].uid.to_string();
        let (one, two) = (template.event(1), template.event(2));
        assert!((5_500..6_500).contains(&one.len()), "{}", one.len());
        assert_ne!(resource(&one), resource(&two));
        parse(&one).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_linux_tells_of_this_process_is_read() {
        assert!(processor().is_some_and(|seconds| (0.0..100_000.0).contains(&seconds)));
        assert!(resident().is_some_and(|bytes| bytes > 500_000));
    }
}
