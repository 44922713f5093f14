//! Folders and manifests.

use std::path::Path;

use super::Package;
use crate::repo::read;

/// Every folder of `functions` but the programs is a trigger: folder, crate and `function.json` agree.
pub(super) fn function_folders(root: &Path, packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages {
        let Some(folder) = Path::new(&package.manifest_path).parent().filter(|f| f.parent() == Some(&root.join("functions"))) else {
            continue;
        };
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        if package.name != format!("stanch-{name}") {
            faults.push(format!("functions/{name}: its crate is called `{}`, not `stanch-{name}`", package.name));
        }
        if name == "entry" {
            continue;
        }
        match read(&folder.join("function.json")).map(|text| serde_json::from_str::<serde_json::Value>(&text)) {
            Err(_) => faults.push(format!("functions/{name}: there is no function.json")),
            Ok(Err(e)) => faults.push(format!("functions/{name}/function.json: {e}")),
            Ok(Ok(value)) if value.get("bindings").is_none_or(|b| b.as_array().is_none_or(Vec::is_empty)) => {
                faults.push(format!("functions/{name}/function.json: there is no binding"));
            }
            Ok(Ok(_)) => {}
        }
    }
    faults
}

/// Every foreign dependency of the workspace says why it is there.
pub(super) fn reasons(manifest: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut inside = false;
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.trim() == "[workspace.dependencies]";
        } else if inside && let Some((name, rest)) = line.split_once('=') {
            let ours = rest.contains("path =");
            let reason = rest.rsplit_once('#').map_or("", |(_, reason)| reason.trim());
            if !ours && !name.starts_with('#') && reason.is_empty() {
                faults.push(format!("Cargo.toml:{}: dependency `{}` has no `# reason`", index + 1, name.trim()));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_foreign_dependencies_of_the_workspace_need_a_reason() {
        let manifest = "[package]\nx = 1\n[workspace.dependencies]\n# a = b\nstanch-core = { path = \"shared/core\" }\n\
                        serde = \"1\" # every payload\nodd = \"1\"\nempty = \"1\" #\n[profile.dev]\ndebug = 1\n";
        let faults = reasons(manifest);
        assert_eq!(faults, ["Cargo.toml:7: dependency `odd` has no `# reason`", "Cargo.toml:8: dependency `empty` has no `# reason`"]);
    }
}
