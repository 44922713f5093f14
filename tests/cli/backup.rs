//! `stanch backup` and `stanch bench`, as their users see them.

use crate::Desk;
use crate::cloud::Cloud;

#[test]
fn a_backup_is_a_data_folder_and_overwrites_nothing() {
    let cloud = Cloud::new();
    let desk = crate::answers::desk(&cloud);
    desk.run(&["apply", "event.json"]).code(1);
    let run = desk.run(&["backup", "copy"]).code(0);
    assert!(run.out.starts_with("copy/stanch.db  ") && run.out.ends_with(" bytes\n"), "{}", run.out);
    assert_eq!(run.err, "1 remediation backed up; the copy can be used with `--data`\n");

    let listed = |data: &str| desk.run(&["remediations", "list", "--json", "--data", data]).code(0).out;
    assert_eq!(listed("copy"), listed("data"));
    assert!(desk.run(&["audit", "verify", "--data", "copy"]).code(0).out.contains(": every record holds\n"));

    let again = desk.run(&["backup", "copy", "--json"]).code(3);
    assert!(again.err.contains("`copy` exists already; a backup overwrites nothing\n\nhint: "), "{}", again.err);
    let json = desk.run(&["backup", "second", "--json"]).code(0);
    assert_eq!(
        (json.lines()[0]["remediations"].as_u64(), json.lines()[0]["files"][0]["file"].as_str()),
        (Some(1), Some("second/stanch.db"))
    );
    let nothing = desk.run(&["backup", "third", "--data", "elsewhere"]).code(2);
    assert!(nothing.err.starts_with("error: there is nothing to back up in `elsewhere`"), "{}", nothing.err);
}

#[test]
fn a_bench_prints_one_line_and_leaves_nothing_behind() {
    let desk = Desk::new();
    desk.file("data/x", "");
    let run = desk.run(&["bench", "ingest", "--events", "300", "--stored", "100", "--data", "data"]).code(0);
    assert_eq!(run.out.lines().count(), 1, "{}", run.out);
    for part in [" events/s, ", " per CPU second (floor ", "p50 ", "p99 ", "; 100 stored before; 11 rules; in data/stanch-bench-"] {
        assert!(run.out.contains(part), "{}", run.out);
    }
    let line = desk.run(&["bench", "ingest", "--events", "50", "--rules", "0", "--json", "--data", "data"]).code(0).lines().remove(0);
    assert_eq!((line["events"].as_u64(), line["rules"].as_u64()), (Some(50), Some(1)));
    assert!(line["p99_ms"].as_f64() >= line["p50_ms"].as_f64());
    assert_eq!(std::fs::read_dir(desk.folder.path().join("data")).unwrap().count(), 1, "only what was there before");
    desk.run(&["bench", "ingest", "--data", "none"]).code(3);
}
