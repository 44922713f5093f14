//! Where things are: the repository, the caches, the settings of the environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::fault::Fault;

/// The repository and what the environment says about it.
#[derive(Clone, Debug)]
pub(crate) struct Repo {
    /// Root of the checkout.
    pub(crate) root: PathBuf,
    /// Build folder.
    pub(crate) target: PathBuf,
    /// Where Python and Node packages are installed: `STANCH_CACHE`, else `target/tools`.
    pub(crate) cache: PathBuf,
    /// Whether this is a CI run, where nothing may be skipped.
    pub(crate) ci: bool,
}

impl Repo {
    /// The repository this program was built from.
    pub(crate) fn find() -> Result<Self, Fault> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.ancestors().nth(2).filter(|root| root.join("Cargo.lock").is_file());
        let root = root.ok_or_else(|| Fault::Missing(format!("no workspace above {}", here.display())))?.to_owned();
        let target = variable("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |dir| root.join(dir));
        let cache = variable("STANCH_CACHE").map_or_else(|| target.join("tools"), |dir| root.join(dir));
        Ok(Repo { root, target, cache, ci: variable("CI").is_some() })
    }

    /// A file of this task runner.
    pub(crate) fn tool(&self, path: &str) -> PathBuf {
        self.root.join("infra/xtask").join(path)
    }

    /// A folder for throw-away output, made if need be.
    pub(crate) fn scratch(&self) -> Result<PathBuf, Fault> {
        let dir = self.target.join("xtask");
        std::fs::create_dir_all(&dir).map_err(Fault::io(format!("make {}", dir.display())))?;
        Ok(dir)
    }

    /// Folder of the exchanges the tests record: `STANCH_RECORD_DIR`, else `target/records`.
    pub(crate) fn records(&self) -> PathBuf {
        variable("STANCH_RECORD_DIR").map_or_else(|| self.target.join("records"), |dir| self.root.join(dir))
    }

    /// Real payloads for the sample tests.
    pub(crate) fn samples(&self) -> Result<PathBuf, String> {
        self.beside("STANCH_SAMPLES", "samples")
    }

    /// Microsoft's API descriptions.
    pub(crate) fn specs(&self) -> Result<PathBuf, String> {
        self.beside("STANCH_SPECS", "specs/azure")
    }

    /// What is known of the vendors' products, the catalogue of fixes among it.
    pub(crate) fn facts(&self) -> Result<PathBuf, String> {
        self.beside("STANCH_FACTS", "facts")
    }

    /// The cargo that runs this program.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = Command::new(variable("CARGO").unwrap_or_else(|| "cargo".to_owned()));
        command.current_dir(&self.root);
        command
    }

    /// A folder that a variable names, or one in `shared` beside the checkout; else why there is none.
    fn beside(&self, name: &str, folder: &str) -> Result<PathBuf, String> {
        let named = variable(name);
        let path = self.root.join(named.as_deref().map_or_else(|| Path::new("../shared").join(folder), PathBuf::from));
        match path.canonicalize() {
            Ok(path) if path.is_dir() => Ok(path),
            _ if named.is_some() => Err(format!("{name} names {}, which is no folder", path.display())),
            _ => Err(format!("{name} is not set")),
        }
    }
}

/// Runs a command that may print; its failure names it.
pub(crate) fn run(command: &mut Command) -> Result<(), Fault> {
    let status = command.stdin(Stdio::null()).status().map_err(Fault::io(format!("start {}", shown(command))))?;
    if status.success() { Ok(()) } else { Err(Fault::Command { command: shown(command), how: status.to_string() }) }
}

/// Runs a command silently; its failure carries the end of what it said.
pub(crate) fn run_quietly(command: &mut Command) -> Result<String, Fault> {
    let output = command.stdin(Stdio::null()).output().map_err(Fault::io(format!("start {}", shown(command))))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let said = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<&str> = said.lines().collect();
    let tail = lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n");
    Err(Fault::Command { command: shown(command), how: format!("{}\n{tail}", output.status) })
}

/// Reads a text file.
pub(crate) fn read(path: &Path) -> Result<String, Fault> {
    std::fs::read_to_string(path).map_err(Fault::io(format!("read {}", path.display())))
}

/// Writes a text file and the folders above it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Fault> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Fault::io(format!("make {}", folder.display())))?;
    }
    std::fs::write(path, text).map_err(Fault::io(format!("write {}", path.display())))
}

/// A variable of the environment; empty counts as absent.
fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the one place of the task runner that reads the environment")]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
