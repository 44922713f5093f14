//! Answers while the demo runs: they go through its server, which alone holds the simulated clouds.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::Desk;

/// A running demo on the desk's folder `data`; it ends with the test.
struct Demo(Child);

impl Demo {
    /// Starts it and waits until it has told its story.
    fn start(desk: &Desk) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stanch"));
        command
            .args(["up", "--demo", "--listen", "127.0.0.1:0", "--data", "data"])
            .current_dir(desk.folder.path())
            .env_clear()
            .env("USER", "alice");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let story = BufReader::new(child.stdout.take().unwrap());
        let demo = Demo(child);
        let end = story.lines().map(Result::unwrap).find(|line| line.contains("Ctrl-C ends the demo"));
        assert!(end.is_some(), "the demo ended by itself");
        demo
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The id of the first remediation that is listed with this state and cloud.
fn listed(desk: &Desk, state: &str, cloud: &str) -> String {
    let run = desk.run(&["remediations", "list", "--state", state, "--cloud", cloud, "--json"]).code(0);
    run.lines().first().unwrap_or_else(|| panic!("none is {state} in {cloud}"))["id"].as_str().unwrap().to_owned()
}

#[test]
fn answers_go_through_the_server_that_holds_the_clouds() {
    let desk = Desk::new().set("STANCH_DATA", "data");
    let demo = Demo::start(&desk);

    let fixed = listed(&desk, "resolved", "gcp");
    let plan = desk.run(&["undo", &fixed, "--plan"]).code(0);
    assert!(plan.out.contains("Put back: ") && plan.out.contains("plan hash   "), "{}", plan.out);
    assert!(desk.run(&["undo", &fixed]).code(0).out.contains("rolled-back"));

    let waiting = listed(&desk, "awaiting-approval", "azure");
    assert!(desk.run(&["reject", &waiting, "--why", "not ours"]).code(0).out.contains("rejected by local:alice: not ours"));
    assert!(desk.run(&["reopen", &waiting]).code(0).out.contains("awaiting-approval"));
    let refused = desk.run(&["approve", &waiting, "--plan", &"0".repeat(12)]).code(1);
    assert!(refused.err.contains("is not the one that waits"), "{}", refused.err);
    let approved = desk.run(&["approve", &waiting]).code(0);
    assert!(approved.out.contains("resolved (fixed)"), "{}", approved.out);
    assert!(desk.run(&["audit", "verify"]).code(0).out.contains(": every record holds\n"));

    drop(demo);
    // Without the demo its clouds are gone; nothing is sent to real ones instead.
    let refused = desk.run(&["approve", &waiting]).code(1);
    assert!(refused.err.contains("whose clouds exist only while it runs"), "{}", refused.err);
}
