//! Lines and words of files.

const LONGEST: usize = 600;
const CODE: [&str; 4] = ["rs", "py", "js", "bicep"];
const CLEAN: [&str; 9] = ["rs", "py", "js", "bicep", "toml", "md", "yaml", "yml", "sh"];
/// Unfinished work. Split, so that this file does not name it.
const UNFINISHED: [&str; 5] =
    [concat!("todo", "!"), concat!("unimplemented", "!"), concat!("dbg", "!"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Folders of somebody's machine.
const MACHINE: [&str; 3] = [concat!("/home", "/"), concat!("/root", "/"), concat!("/work", "/")];

/// What is wrong with a file; `path` is below the root, with slashes.
pub(super) fn faults(path: &str, content: &str) -> Vec<String> {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    // Payloads tell of machines that are not ours, and nobody wraps them.
    let payload = path.contains("/fixtures/") || path.contains("/cases/") || ending == "lock";
    let mut faults = Vec::new();
    let lines = content.lines().count();
    if CODE.contains(&ending) && lines > LONGEST {
        faults.push(format!("{path}: {lines} lines; split it, at most {LONGEST} are allowed"));
    }
    if is_root(path) && !content.starts_with("//!") {
        faults.push(format!("{path}:1: a module's root begins with `//!` and what the module is"));
    }
    for (index, line) in content.lines().enumerate() {
        let mut fault = |text: String| faults.push(format!("{path}:{}: {text}", index + 1));
        if CLEAN.contains(&ending) && line.ends_with([' ', '\t']) {
            fault("white space at the end of the line".to_owned());
        }
        if ending == "rs" && line.contains('\t') {
            fault("a tab".to_owned());
        }
        for word in UNFINISHED.iter().filter(|word| stands_alone(line, word)) {
            fault(format!("`{word}`: finish it or take it out"));
        }
        for folder in MACHINE.iter().filter(|folder| !payload && begins_path(line, folder)) {
            fault(format!("`{folder}`: a path of one machine"));
        }
    }
    faults
}

/// `lib.rs`, `main.rs`, `mod.rs` and the programs; tests describe themselves.
fn is_root(path: &str) -> bool {
    let in_source = path.contains("/src/") && !path.contains("/tests/");
    let name = path.rsplit('/').next().unwrap_or_default();
    in_source && (["lib.rs", "main.rs", "mod.rs"].contains(&name) || path.contains("/src/bin/"))
}

/// Whether a word stands in a line, not as part of a longer one.
fn stands_alone(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        let free = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
        free(before) && (word.ends_with('!') || free(after))
    })
}

/// Whether a folder begins a path in a line: `a/home/b` and a URL's `host/home/` do not count.
fn begins_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        before.is_none_or(|c| !c.is_alphanumeric() && !"._-~/}*>)]".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, content: &str, expected: &[&str]) {
        assert_eq!(faults(path, content), expected);
    }

    #[test]
    fn lines_are_clean() {
        check("a/src/x.rs", "fn a() {}\n", &[]);
        check("a/src/x.rs", "fn a() {} \n\tx\n", &["a/src/x.rs:1: white space at the end of the line", "a/src/x.rs:2: a tab"]);
        check("a/fixtures/x.json", "{ \n", &[]);
        check("a/src/lib.rs", "fn a() {}\n", &["a/src/lib.rs:1: a module's root begins with `//!` and what the module is"]);
        check("a/src/lib.rs", "//! A.\n", &[]);
        check("x.py", &"a\n".repeat(601), &["x.py: 601 lines; split it, at most 600 are allowed"]);
        check("x.json", &"a\n".repeat(601), &[]);
    }

    #[test]
    fn unfinished_work_is_named() {
        for word in UNFINISHED {
            let line = format!("    {word}(\"x\");\n");
            check("a/src/x.rs", &line, &[&format!("a/src/x.rs:1: `{word}`: finish it or take it out")]);
        }
        check("a/src/x.rs", &format!("AKIA{0}{0}{0}\n", UNFINISHED[4]), &[]);
        check("Cargo.toml", "todo = \"deny\"\n", &[]);
    }

    #[test]
    fn paths_of_machines_are_named_but_not_payloads_or_addresses() {
        let line = format!("read(\"{}me/x\")\n", MACHINE[0]);
        check("a/x.md", &line, &[&format!("a/x.md:1: `{}`: a path of one machine", MACHINE[0])]);
        check("a/fixtures/x.json", &line, &[]);
        check("a/x.md", &format!("https://example.com{}x\n", MACHINE[0]), &[]);
    }
}
