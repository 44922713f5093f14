//! The command line as its users see it: what it prints where, and how it ends.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test program; clippy knows only its test functions"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

mod answers;
mod backup;
mod cloud;
mod demo;
mod evidence;
mod payload;
mod samples;

/// How a run ended.
struct Run {
    code: i32,
    out: String,
    err: String,
}

impl Run {
    /// Fails unless the exit code is this one.
    fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    /// Standard output, one JSON value a line.
    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }
}

/// A folder with files, and the program run in it by alice, with no settings but those given.
struct Desk {
    folder: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Desk {
    fn new() -> Self {
        Desk { folder: TempDir::new().unwrap(), settings: Vec::new() }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    fn run(&self, arguments: &[&str]) -> Run {
        self.run_with(arguments, "")
    }

    fn run_with(&self, arguments: &[&str], input: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stanch"));
        command.args(arguments).current_dir(self.folder.path()).env_clear().env("HOME", self.folder.path()).env("USER", "alice");
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that refuses its arguments does not read its input.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        Run {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn each_source_is_recognised_and_normalised_to_ocsf() {
    for (name, payload, class, resource) in [
        ("assessment", payload::ASSESSMENT, 2003, payload::STORAGE_ACCOUNT),
        ("securityhub", payload::SECURITY_HUB, 2003, "arn:aws:s3:::shop-invoices"),
        ("scc", payload::SCC, 2003, "//storage.googleapis.com/shop-exports"),
        ("prowler", payload::PROWLER, 2003, "arn:aws:s3:::shop-invoices"),
    ] {
        let desk = Desk::new();
        let run = desk.file("event.json", payload).run(&["normalize", "event.json"]).code(0);
        let lines = run.lines();
        assert_eq!(lines.len(), 1, "{name}");
        assert_eq!(lines[0]["class_uid"], class, "{name}");
        assert_eq!(lines[0]["metadata"]["version"], "1.8.0", "{name}");
        assert_eq!(lines[0]["resources"][0]["uid"], resource, "{name}");
        assert_eq!(run.err, "1 finding\n", "{name}");
        assert_eq!(desk.run_with(&["normalize", "-", "--quiet"], payload).code(0).err, "", "{name}");
    }
}

#[test]
fn arrays_and_lines_hold_many_findings() {
    let one_line = payload::PROWLER.replace('\n', " ");
    let desk = Desk::new();
    desk.file("array.json", format!("[{one_line},{one_line}]")).file("lines.json", format!("{one_line}\n{one_line}\n{one_line}\n"));
    assert_eq!(desk.run(&["normalize", "array.json", "lines.json"]).code(0).lines().len(), 5);
}

#[test]
fn bad_input_is_named_with_its_place_and_ends_with_two() {
    let desk = Desk::new();
    let nested = "[".repeat(10 * 1024 * 1024);
    let truncated = payload::PROWLER.get(..200).unwrap();
    desk.file("empty.json", "").file("cut.json", truncated).file("binary.json", b"\x7fELF\x00\xff").file("nested.json", nested);
    desk.file("other.json", "\n  {\"hello\": \"world\"}\n").file("text.json", "not json at all\n");
    desk.file("field.json", r#"{"class_uid": 2003, "metadata": {"uid": ""}, "cloud": {"provider": "aws"}}"#).file("dir/x", "");
    for (arguments, expected) in [
        (
            vec!["empty.json"],
            "error: empty.json:1:1: nothing in it; expected JSON: one finding, an array of findings, or one finding a line",
        ),
        (vec!["cut.json"], "hint: the file ends too early: it may be cut off"),
        (vec!["binary.json"], "error: binary.json:1:6: byte 0xff is no UTF-8 text"),
        (vec!["nested.json"], "error: nested.json:1:10485760: not readable JSON: EOF while parsing a list"),
        (
            vec!["other.json"],
            "error: other.json:2:3: not a finding stanch knows: an object with hello; accepted are Defender for Cloud alerts",
        ),
        (vec!["text.json"], "error: text.json:1:2: not readable JSON: expected ident"),
        (vec!["field.json"], "error: field.json:1:1: OCSF finding: field `finding_info.uid` is missing"),
        (vec!["dir"], "error: `dir` is a directory; expected a file with findings"),
        (vec!["none.json"], "error: cannot read `none.json`: No such file or directory"),
        (vec!["other.json", "--source", "scc"], "error: other.json:2:3: not a finding stanch knows"),
        (vec!["other.json", "--source", "nessus"], "invalid value 'nessus' for '--source <NAME>'"),
        (vec![], "required arguments were not provided"),
    ] {
        let mut all = vec!["normalize"];
        all.extend(&arguments);
        let run = desk.run(&all).code(2);
        assert!(run.err.contains(expected), "{arguments:?}: {}", run.err);
        assert_eq!(run.out, "", "{arguments:?}");
    }
    // For a plan nothing is tried unless everything is readable.
    let run = desk.run(&["plan", "other.json"]).code(2);
    assert!(run.err.starts_with("error: other.json:2:3: "), "{}", run.err);
    assert!(run.err.contains("\n\nhint: "), "{}", run.err);
}

#[test]
fn one_bad_line_does_not_hide_the_good_ones() {
    let one_line = payload::PROWLER.replace('\n', " ");
    let run = Desk::new().run_with(&["normalize", "-"], &format!("{one_line}\n{{\"hello\":1}}\n{one_line}\n")).code(2);
    assert_eq!(run.lines().len(), 2);
    assert!(run.err.starts_with("error: standard input:2:1: not a finding stanch knows"), "{}", run.err);
}

#[test]
fn the_demo_events_are_planned_on_the_simulated_clouds_and_nothing_is_kept() {
    let mut planned = 0;
    for event in stanch_sandbox::demo_events() {
        let desk = Desk::new();
        desk.file("event.json", event.json);
        let human = desk.run(&["plan", "event.json", "--sandbox", "--data", "data"]).code(0);
        assert!(human.out.lines().all(|line| line.chars().count() <= 100), "{}", human.out);
        let json = desk.run(&["plan", "event.json", "--sandbox", "--json", "--data", "data"]).code(0);
        let lines = json.lines();
        assert_eq!(lines.len(), 1, "{}", event.title);
        let line = &lines[0];
        assert_eq!(line["decision"]["rule"], "plan-everything", "{}", event.title);
        if line["outcome"] == "plan" {
            planned += 1;
            let hash = line["hash"].as_str().unwrap();
            assert_eq!(hash.len(), 64, "{}", event.title);
            assert!(human.out.contains(&format!("plan hash   {hash}")), "{}", human.out);
            assert!(human.out.contains("change 1 of "), "{}", human.out);
            assert!(human.out.lines().any(|line| line.starts_with("    + ") || line.starts_with("    - ")), "{}", human.out);
            assert!(human.out.contains("asks        mode: the rule's mode is `plan`"), "{}", human.out);
            let undoable = !line["plan"]["undo"].as_object().is_some_and(|undo| undo.contains_key("impossible"));
            assert_eq!(line["plan"]["changes"][0]["undo"].is_array(), undoable, "{}", event.title);
        }
        assert!(!desk.folder.path().join("data").exists(), "a plan makes no data folder");
    }
    assert!(planned >= 3, "only {planned} of the demo's events are planned");
}

#[test]
fn fixes_are_listed_shown_and_checked() {
    let desk = Desk::new();
    let name = "aws-s3-block-public-access";
    let list = desk.run(&["fixes", "list"]).code(0);
    assert!(list.out.lines().any(|line| line.starts_with(name)), "{}", list.out);
    assert_eq!(desk.run(&["fixes", "list", "--json"]).code(0).lines().len(), list.out.lines().filter(|l| !l.starts_with(' ')).count());
    let shown = desk.run(&["fixes", "show", name]).code(0);
    for part in ["Block public access on an S3 bucket", "s3:PutBucketPublicAccessBlock", "exact: everything as before", "securityhub/S3.8"]
    {
        assert!(shown.out.contains(part), "{}", shown.out);
    }
    let run = desk.run(&["fixes", "show", "aws-s3-block-public-acces"]).code(2);
    let expected =
        format!("error: there is no fix `aws-s3-block-public-acces`; did you mean `{name}`?\n\nhint: `stanch fixes list` shows all\n");
    assert_eq!(run.err, expected);

    let yaml = desk.run(&["fixes", "show", name, "--yaml"]).code(0).out.replace(&format!("fix: {name}"), "fix: aws-s3-own-fix");
    desk.file("good/fix.yaml", &yaml);
    let run = desk.run(&["fixes", "check", "good"]).code(0);
    assert_eq!((run.out.as_str(), run.err.as_str()), ("", "1 fix checked: no mistakes\n"));
    desk.file("typo/fix.yaml", yaml.replace("block.BlockPublicAcls != true", "blok.BlockPublicAcls != true"));
    let run = desk.run(&["fixes", "check", "typo"]).code(1);
    let line = yaml.lines().position(|l| l.contains("block.BlockPublicAcls != true")).unwrap() + 1;
    assert!(run.err.starts_with(&format!("error: typo/fix.yaml:{line}:")), "{}", run.err);
    assert!(run.err.contains("unknown variable `blok`; did you mean `block`?\n   |\n"), "{}", run.err);
    desk.file("permission/fix.yaml", yaml.replacen("s3:GetBucketPublicAccessBlock, ", "", 1));
    let run = desk.run(&["fixes", "check", "permission"]).code(1);
    assert!(run.err.contains("lacks `s3:GetBucketPublicAccessBlock`"), "{}", run.err);
    assert!(run.err.ends_with("\n\nhint: add it, so that roles made from the fix suffice\n"), "{}", run.err);
    desk.file("call/fix.yaml", yaml.replacen("input: {Bucket: \"${resource.id}\"}", "input: {Bukket: \"${resource.id}\"}", 1));
    let run = desk.run(&["fixes", "check", "call"]).code(1);
    assert!(run.err.contains("unknown member `Bukket`, did you mean `Bucket`?"), "{}", run.err);
    let lines = desk.run(&["fixes", "check", "call/fix.yaml", "--json"]).code(1).lines();
    assert_eq!(lines[0]["file"], "call/fix.yaml");
    desk.file("none/other.yaml", "");
    assert!(desk.run(&["fixes", "check", "none"]).code(2).err.starts_with("error: there is no `fix.yaml` below `none`"));
    assert!(desk.run(&["fixes", "check", "missing"]).code(2).err.starts_with("error: cannot read `missing`"));
    assert!(desk.run(&["fixes", "check"]).code(0).err.ends_with(" checked: no mistakes\n"));
}

#[test]
fn a_typo_in_a_rules_condition_is_shown_at_its_place() {
    let rule = |when: &str, fix: &str| format!("rule: close-buckets\nmode: plan\nwhen: {when}\ndo:\n  - fix: {fix}\n");
    let desk = Desk::new();
    desk.file("rules/a.yaml", rule("finding.severity >= HIGH", "recommended"));
    assert_eq!(desk.run(&["rules", "check", "rules"]).code(0).err, "1 rule checked: no mistakes\n");
    desk.file("typo/a.yaml", rule("findin.title == 'x'", "recommended"));
    let run = desk.run(&["rules", "check", "typo"]).code(1);
    assert!(run.err.starts_with("error: typo/a.yaml:3:7: `when`: "), "{}", run.err);
    assert!(run.err.contains("3 | when: findin.title == 'x'\n  |       ^"), "{}", run.err);
    assert!(run.err.contains("\n\nhint: "), "{}", run.err);
    desk.file("key/a.yaml", "rule: a\nmode: paln\n");
    assert!(desk.run(&["rules", "check", "key"]).code(1).err.starts_with("error: key/a.yaml:2:7: "));
    desk.file("fix/a.yaml", rule("true", "aws-s3-block-public-acces"));
    let run = desk.run(&["rules", "check", "fix"]).code(1);
    assert!(run.err.contains("hint: did you mean `aws-s3-block-public-access`?"), "{}", run.err);
    // Rules with mistakes decide nothing.
    desk.file("event.json", payload::SECURITY_HUB);
    let run = desk.run(&["plan", "event.json", "--sandbox", "--rules", "key"]).code(2);
    assert!(run.err.starts_with("error: key/a.yaml:2:7: "), "{}", run.err);
    assert_eq!(desk.run(&["rules", "check", "missing"]).code(2).out, "");
}

#[test]
fn a_store_is_audited_offline_and_what_is_not_there_is_said() {
    let desk = Desk::new();
    desk.run(&["writes", "off", "--data", "data"]).code(0);
    let run = desk.run(&["audit", "verify", "--data", "data"]).code(0);
    assert!(run.out.starts_with("0 remediations, 0 record entries: every record holds\nnot proven without a checkpoint: "), "{}", run.out);
    let run = desk.run(&["audit", "verify", "--data", "typo"]).code(2);
    assert!(run.err.starts_with("error: there is no data folder `typo`\n\nhint: "), "{}", run.err);
    assert!(!desk.folder.path().join("typo").exists());
    assert_eq!(desk.run(&["remediations", "list", "--data", "data"]).code(0).out, "");
    let run = desk.run(&["remediations", "show", "0198c0de", "--data", "data"]).code(2);
    assert_eq!(run.err, "error: there is no remediation `0198c0de`\n\nhint: `stanch remediations list` shows all\n");
    let run = desk.run(&["approve", "nonsense", "--data", "data"]).code(2);
    assert!(run.err.starts_with("error: `nonsense` is no remediation id; expected a UUID"), "{}", run.err);
}

#[test]
fn the_kill_switch_stays_as_it_was_turned() {
    let desk = Desk::new();
    assert_eq!(desk.run(&["writes", "status", "--data", "data", "--json"]).code(2).out, "");
    for (turn, expected) in [("off", false), ("on", true)] {
        desk.run(&["writes", turn, "--data", "data"]).code(0);
        assert_eq!(desk.run(&["writes", "status", "--data", "data", "--json"]).code(0).lines()[0]["writes"], expected);
    }
}

#[test]
fn the_demos_data_is_not_mixed_with_real_clouds() {
    let real = Desk::new();
    real.run(&["writes", "on", "--data", "data"]).code(0);
    let run = real.run(&["up", "--demo", "--data", "data"]).code(1);
    assert!(run.err.starts_with("error: the data folder `data` holds remediations of real clouds"), "{}", run.err);

    let desk = Desk::new();
    desk.file("data/sandbox", "").file("event.json", payload::SECURITY_HUB);
    for command in ["plan", "apply"] {
        let run = desk.run(&[command, "event.json", "--data", "data"]).code(1);
        assert!(run.err.starts_with("error: the data folder `data` belongs to the demo"), "{}", run.err);
    }
    assert!(desk.run(&["apply", "event.json", "--data", "data"]).err.contains("stanch up --demo --data data"));
}

#[test]
fn help_and_completions_go_to_standard_output() {
    let desk = Desk::new();
    let help = desk.run(&["--help"]).code(0);
    assert!(help.out.contains("Examples:") && help.out.contains("1  refused by a gate"), "{}", help.out);
    for command in [
        "normalize",
        "plan",
        "apply",
        "approve",
        "reject",
        "undo",
        "reopen",
        "due",
        "remediations",
        "fixes",
        "rules",
        "audit",
        "parked",
        "writes",
        "up",
    ] {
        let help = desk.run(&[command, "--help"]).code(0);
        assert!(help.out.contains("Examples:"), "{command}: {}", help.out);
    }
    for (shell, expected) in [("bash", "complete -F _stanch"), ("zsh", "#compdef stanch"), ("fish", "complete -c stanch")] {
        let run = desk.run(&["completions", shell]).code(0);
        assert!(run.out.contains(expected), "{shell}");
    }
    desk.run(&["completions", "cmd"]).code(2);
    desk.run(&["frobnicate"]).code(2);
}

#[test]
fn a_reader_that_goes_away_is_a_quiet_end() {
    let desk = Desk::new();
    let one_line = payload::PROWLER.replace('\n', " ");
    desk.file("many.json", format!("{one_line}\n").repeat(2000));
    let mut command = Command::new(env!("CARGO_BIN_EXE_stanch"));
    command.args(["normalize", "many.json"]).current_dir(desk.folder.path()).env_clear();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
