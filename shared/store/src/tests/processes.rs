//! Several processes on one store, each this test program started again for its part.

use std::env;
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use stanch_core::port::{Cap, Store};

use crate::SqliteStore;
use crate::contract::now;

/// Names the store to a process that has a part: a data folder, or `azurite NAME`.
const PLACE: &str = "STANCH_TEST_PLACE";

async fn open(place: &str) -> Box<dyn Store> {
    match place.strip_prefix("azurite ") {
        Some(name) => Box::new(crate::azure::tests::open_named(name).await),
        None => Box::new(SqliteStore::open(Path::new(place)).unwrap()),
    }
}

/// Both caps of a rule; the wider one never stops anybody.
fn caps() -> [Cap; 2] {
    [("rule:a/account:1", 60), ("rule:a", 50)].map(|(name, limit)| Cap { name: name.into(), window: 0, limit })
}

/// The part of a process: it waits for a line, then takes slots one by one, telling of each, until it is refused.
#[test]
fn part_of_another_test() {
    #[expect(clippy::disallowed_methods, reason = "how a test program tells itself its part")]
    let Ok(place) = env::var(PLACE) else { return };
    now(async {
        let store = open(&place).await;
        stdin().lock().read_line(&mut String::new()).unwrap();
        let mut out = stdout().lock();
        while store.reserve(&caps()).await.unwrap() {
            writeln!(out, "took").unwrap();
            out.flush().unwrap();
        }
        writeln!(out, "refused").unwrap();
    });
}

struct Part(Child, BufReader<ChildStdout>);

impl Part {
    fn start(place: &str) -> Self {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "tests::processes::part_of_another_test", "--nocapture"]).env(PLACE, place);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Part(child, out)
    }

    fn go(&mut self) {
        writeln!(self.0.stdin.as_mut().unwrap(), "go").unwrap();
    }

    /// Reads on until so many slots were told, or to the end. Gives how many.
    fn told(&mut self, most: usize) -> usize {
        let lines = (&mut self.1).lines().map(Result::unwrap).take_while(|line| !line.contains("refused"));
        lines.filter(|line| line.contains("took")).take(most).count()
    }

    /// Kills it with no word of warning, and gives what it had told and was not read yet.
    fn kill(mut self) -> usize {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        self.told(usize::MAX)
    }
}

fn taken(place: &str) -> [u32; 2] {
    now(async {
        let store = open(place).await;
        let [narrow, wide] = caps();
        [store.reserved(&narrow).await.unwrap(), store.reserved(&wide).await.unwrap()]
    })
}

/// Eight processes reserve from one cap of 50 until each is refused.
pub(crate) fn eight_processes_share_one_cap(place: &str) {
    let mut parts: Vec<Part> = (0..8).map(|_| Part::start(place)).collect();
    parts.iter_mut().for_each(Part::go);
    let each: Vec<usize> = parts.iter_mut().map(|part| part.told(usize::MAX)).collect();
    for mut part in parts {
        assert!(part.0.wait().unwrap().success());
    }
    assert_eq!(each.iter().sum::<usize>(), 50, "{each:?}");
    assert_eq!(taken(place), [50, 50]);
}

#[test]
fn eight_processes_take_no_more_slots_together_than_there_are() {
    let folder = tempfile::tempdir().unwrap();
    eight_processes_share_one_cap(folder.path().to_str().unwrap());
}

#[test]
fn a_process_that_is_killed_wastes_at_most_its_slot() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let mut told = 0;
    for _ in 0..4 {
        let mut part = Part::start(place);
        part.go();
        told += part.told(3);
        told += part.kill();
    }
    let mut last = Part::start(place);
    last.go();
    told += last.told(usize::MAX);
    assert!(last.0.wait().unwrap().success());
    assert_eq!(taken(place), [50, 50]);
    assert!((46..=50).contains(&told), "{told} slots were put to use, four processes were killed");
}
