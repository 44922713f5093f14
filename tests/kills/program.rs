//! The real programs as processes: started on a free port, killed, asked over HTTP and through their command line.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stanch_core::port::{Store, WorkQueue};
use stanch_store::SqliteStore;
use stanch_store::azure::{Account, AzureQueue, AzureStore, Names, WORK_QUEUE};
use tempfile::TempDir;
use tokio::time::Instant;

/// Where a run keeps its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The data folder.
    Folder,
    /// Azurite, by the address of its blob service.
    Azurite(String),
}

/// Which program serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// `stanch up`.
    Up,
    /// `handler`, driven as the Functions host drives it.
    Handler,
}

/// The state of a run, seen from outside.
pub(crate) struct State {
    pub(crate) store: Arc<dyn Store>,
    /// The queue, where it is not inside the process.
    queue: Option<AzureQueue>,
}

/// How long the Functions host hides a message it delivers, milliseconds.
const HIDE_MS: u64 = 30_000;

/// What the processes of one run have in common.
pub(crate) struct Ground {
    /// The folder of the run: data, rules and what the processes said.
    root: TempDir,
    /// Where state is kept.
    pub(crate) place: Place,
    /// Where AWS calls go.
    pub(crate) aws: String,
    /// The program, when it is not the one built with this test.
    pub(crate) stanch: PathBuf,
    /// Which program [`Ground::start`] starts.
    pub(crate) program: Program,
    /// Settings beside those every run has, or instead of them.
    pub(crate) settings: Vec<(&'static str, String)>,
}

/// A running process.
pub(crate) struct Running {
    child: Child,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    program: Program,
    data: PathBuf,
    /// Its own token, once it is ready: a process that starts later on the same folder writes another into the file.
    token: Option<String>,
}

/// What became of an event that was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Posted {
    /// 202: it is theirs now.
    Accepted,
    /// 202, and all of it is put aside until the store can be used.
    Spilled,
    /// Another status and what was said.
    Refused(u16, String),
    /// No answer.
    Lost,
}

impl Ground {
    /// A new run whose processes call AWS at `aws`.
    pub(crate) fn new(place: Place, aws: &str, rules: &str) -> Ground {
        let root = TempDir::new().unwrap();
        std::fs::create_dir(root.path().join("data")).unwrap();
        std::fs::write(root.path().join("rules.yaml"), rules).unwrap();
        let program = if place == Place::Folder { Program::Up } else { Program::Handler };
        Ground { root, place, aws: aws.to_owned(), stanch: env!("CARGO_BIN_EXE_stanch").into(), program, settings: Vec::new() }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// Opens the state, which is made where there is none.
    pub(crate) async fn state(&self) -> State {
        match &self.place {
            Place::Folder => State { store: Arc::new(SqliteStore::open(&self.data()).unwrap()), queue: None },
            Place::Azurite(url) => {
                let account = Account::loopback(url).unwrap();
                let store = AzureStore::open(account.clone(), Names::default(), None, Arc::new(crate::now)).await.unwrap();
                let queue = AzureQueue::open(account, WORK_QUEUE, Arc::new(crate::now)).await.unwrap();
                State { store: Arc::new(store), queue: Some(queue) }
            }
        }
    }

    /// What the processes said to people.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.root.path().join("log")).unwrap_or_default()
    }

    /// Keeps the folder for whoever wants to see what went wrong, and says where it is.
    pub(crate) fn keep(&mut self) -> &Path {
        self.root.disable_cleanup(true);
        self.root.path()
    }

    /// A program with an empty environment but for what it needs.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.root.path()).env("USER", "alice").env("STANCH_DATA", self.data());
        command.env("AWS_LC_SYS_NO_JITTER_ENTROPY", "1").env("STANCH_LOG", "warn").env("STANCH_AWS_ENDPOINT", &self.aws);
        command.env("STANCH_RULES", self.root.path().join("rules.yaml"));
        if let Place::Azurite(url) = &self.place {
            command.env("STANCH_STORAGE_ENDPOINT", url);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command
    }

    /// Starts a process; it is not ready yet.
    pub(crate) fn start(&self) -> Running {
        self.start_program(&self.stanch)
    }

    /// The same with another `stanch`.
    pub(crate) fn start_program(&self, stanch: &Path) -> Running {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = match self.program {
            Program::Up => {
                let mut command = self.command(stanch);
                command.args(["up", "--listen", &format!("127.0.0.1:{port}")]);
                command
            }
            Program::Handler => {
                let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_handler")));
                command.env("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string());
                command
            }
        };
        let log = OpenOptions::new().create(true).append(true).open(self.root.path().join("log")).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        Running {
            child: command.spawn().unwrap(),
            url: format!("http://127.0.0.1:{port}"),
            program: self.program,
            data: self.data(),
            token: None,
        }
    }

    /// Runs the command line on the same data and waits for its end.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_of(&self.stanch, arguments)
    }

    /// The same with another `stanch`.
    pub(crate) fn cli_of(&self, stanch: &Path, arguments: &[&str]) -> Output {
        self.command(stanch).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap()
    }

    /// The lines of JSON the command line prints.
    pub(crate) fn cli_json(&self, arguments: &[&str]) -> Vec<Value> {
        let output = self.cli(arguments);
        let (out, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr).into_owned());
        assert!(output.status.success(), "stanch {}: {said}", arguments.join(" "));
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Running {
    /// Whether it answers.
    pub(crate) async fn is_ready(&self) -> bool {
        let path = if self.program == Program::Up { "/readyz" } else { "/" };
        crate::client().get(format!("{}{path}", self.url)).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Waits until it answers; `false` when it ended instead.
    pub(crate) async fn ready(&mut self) -> bool {
        let end = Instant::now() + Duration::from_mins(1);
        while !self.is_ready().await {
            assert!(Instant::now() < end, "the program is not ready within a minute");
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        self.token = Some(self.token());
        true
    }

    fn token(&self) -> String {
        self.token.clone().unwrap_or_else(|| std::fs::read_to_string(self.data.join("token")).unwrap_or_default())
    }

    /// Posts a delivery of Security Hub.
    pub(crate) async fn post(&self, delivery: &str) -> Posted {
        let (name, body) = match self.program {
            Program::Up => ("securityhub-finding", delivery.to_owned()),
            Program::Handler => {
                let request = json!({"Url": "http://x/api/securityhub-finding", "Method": "POST", "Query": "{}", "Headers": {},
                    "Body": delivery});
                ("securityhub-finding", json!({"Data": {"req": request}, "Metadata": {}}).to_string())
            }
        };
        let request = crate::client().post(format!("{}/{name}", self.url)).bearer_auth(self.token()).body(body);
        let Ok(answer) = request.header("content-type", "application/json").send().await else { return Posted::Lost };
        let status = answer.status().as_u16();
        let Ok(said) = answer.text().await else { return Posted::Lost };
        let status = match (self.program, serde_json::from_str::<Value>(&said)) {
            (Program::Handler, Ok(host)) if status == 200 => host["Outputs"]["res"]["statusCode"].as_u64().unwrap() as u16,
            _ => status,
        };
        let spilled = || serde_json::from_str::<Value>(&said).is_ok_and(|receipt| receipt["spilled"].as_u64() > Some(0));
        match status {
            202 if spilled() => Posted::Spilled,
            202 => Posted::Accepted,
            _ => Posted::Refused(status, said),
        }
    }

    /// What the Functions host does all the time: delivers messages of the queue, and fires the timer. `stanch up` has both inside.
    pub(crate) async fn tick(&self, state: &State) {
        let (Some(queue), Program::Handler) = (&state.queue, self.program) else { return };
        for message in queue.receive(8, HIDE_MS).await.unwrap_or_default() {
            let delivery = json!({"Data": {"message": message.body}, "Metadata": {"DequeueCount": message.deliveries.to_string()}});
            if self.invoke("remediate", delivery).await {
                drop(queue.complete(&message.receipt).await);
            }
        }
        self.invoke("reconcile", json!({"Data": {"timer": {"IsPastDue": false}}, "Metadata": {}})).await;
    }

    /// Whether an invocation was answered as done.
    async fn invoke(&self, function: &str, body: Value) -> bool {
        let request = crate::client().post(format!("{}/{function}", self.url)).header("content-type", "application/json");
        request.body(body.to_string()).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// A read of its API.
    pub(crate) async fn get(&self, path: &str) -> Option<Value> {
        crate::client().get(format!("{}{path}", self.url)).send().await.ok()?.json().await.ok()
    }

    /// A command of a person to its API.
    pub(crate) async fn say(&self, path: &str, body: Value) -> (u16, Value) {
        self.say_text(path, body.to_string()).await
    }

    /// The same with a text that is handed on as it is.
    pub(crate) async fn say_text(&self, path: &str, body: String) -> (u16, Value) {
        let request = crate::client().post(format!("{}{path}", self.url)).bearer_auth(self.token()).body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Whether it is still there.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
