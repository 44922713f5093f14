//! Who may know whom.

use super::Package;

const CONNECTORS: [&str; 3] = ["stanch-azure", "stanch-aws", "stanch-gcp"];
/// Async, HTTP, SDK and database crates, by the beginning of their names: `core` knows none.
const IMPURE: [&str; 12] =
    ["tokio", "reqwest", "axum", "hyper", "aws-", "azure_", "google-", "rusqlite", "lambda_", "async-", "futures", "ureq"];

/// What crates of this workspace a crate may depend on.
#[derive(Clone, Copy, Debug)]
enum MayKnow {
    Anything,
    Nothing,
    Only(&'static [&'static str]),
    /// The engine, the core and one connector.
    Function,
}

/// Every dependency that the architecture does not allow.
pub(super) fn faults(packages: &[Package]) -> Vec<String> {
    let mut faults = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        let Some(allowed) = allowed(package) else {
            faults.push(format!("{}: crate `{name}` is not in tidy's table of who may know whom", package.manifest_path));
            continue;
        };
        // A test may know more than the code, except in the core, whose tests are pure too.
        let counts = |kind: Option<&str>| kind != Some("dev") || name == "stanch-core";
        let direct = package.dependencies.iter().filter(|d| counts(d.kind.as_deref()));
        let mut connectors = 0;
        for dependency in direct {
            let other = dependency.name.as_str();
            if name == "stanch-core" && IMPURE.iter().any(|start| other.starts_with(start)) {
                faults.push(format!("{}: `{name}` must stay pure, but depends on `{other}`", package.manifest_path));
            }
            if dependency.path.is_none() {
                continue;
            }
            connectors += usize::from(CONNECTORS.contains(&other));
            let fine = match allowed {
                MayKnow::Anything => true,
                MayKnow::Nothing => false,
                MayKnow::Only(names) => names.contains(&other),
                MayKnow::Function => ["stanch-engine", "stanch-core"].contains(&other) || (CONNECTORS.contains(&other) && connectors == 1),
            };
            if !fine {
                faults.push(format!("{}: `{name}` must not know `{other}`", package.manifest_path));
            }
        }
    }
    faults
}

fn allowed(package: &Package) -> Option<MayKnow> {
    const CORE: MayKnow = MayKnow::Only(&["stanch-core"]);
    match package.name.as_str() {
        "stanch-entry" => Some(MayKnow::Anything),
        "stanch-core" => Some(MayKnow::Nothing),
        "stanch-engine" | "stanch-azure" | "stanch-aws" | "stanch-gcp" | "stanch-store" | "stanch-notify" | "stanch-library"
        | "stanch-sandbox" | "stanch-web" => Some(CORE),
        "stanch-simulator" => Some(MayKnow::Only(&["stanch-core", "stanch-engine", "stanch-sandbox", "stanch-library"])),
        "xtask" => Some(MayKnow::Only(&["stanch-core", "stanch-engine", "stanch-library"])),
        _ if package.manifest_path.contains("/functions/") => Some(MayKnow::Function),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Dependency;
    use super::*;

    fn package(name: &str, folder: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies.iter().map(|(name, kind)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
            path: name.starts_with("stanch-").then(String::new),
        });
        Package { name: name.to_owned(), manifest_path: format!("/r/{folder}/Cargo.toml"), dependencies: dependencies.collect() }
    }

    #[track_caller]
    fn check(name: &str, folder: &str, dependencies: &[(&str, Option<&str>)], fault: Option<&str>) {
        let faults = faults(&[package(name, folder, dependencies)]);
        match fault {
            None => assert_eq!(faults, Vec::<String>::new()),
            Some(text) => assert!(faults.len() == 1 && faults[0].contains(text), "{faults:?}"),
        }
    }

    #[test]
    fn the_table_holds() {
        check("stanch-entry", "functions/entry", &[("stanch-aws", None), ("stanch-gcp", None), ("tokio", None)], None);
        check("stanch-scc-finding", "functions/scc-finding", &[("stanch-engine", None), ("stanch-gcp", None)], None);
        check("stanch-x", "functions/x", &[("stanch-aws", None), ("stanch-gcp", None)], Some("must not know `stanch-gcp`"));
        check("stanch-x", "functions/x", &[("stanch-store", None)], Some("must not know `stanch-store`"));
        check("stanch-aws", "shared/aws", &[("stanch-core", None), ("tokio", None)], None);
        check("stanch-aws", "shared/aws", &[("stanch-azure", None)], Some("must not know `stanch-azure`"));
        check("stanch-engine", "shared/engine", &[("stanch-store", None)], Some("must not know `stanch-store`"));
        check("stanch-engine", "shared/engine", &[("stanch-store", Some("dev"))], None);
        check("stanch-simulator", "shared/simulator", &[("stanch-engine", None), ("stanch-sandbox", None)], None);
        check("stanch-simulator", "shared/simulator", &[("stanch-store", None)], Some("must not know `stanch-store`"));
        check("stanch-odd", "shared/odd", &[], Some("is not in tidy's table"));
    }

    #[test]
    fn the_core_is_pure_even_in_its_tests() {
        check("stanch-core", "shared/core", &[("serde", None), ("jsonschema", Some("dev"))], None);
        check("stanch-core", "shared/core", &[("tokio", Some("dev"))], Some("must stay pure"));
        check("stanch-core", "shared/core", &[("aws-config", None)], Some("must stay pure"));
        check("stanch-core", "shared/core", &[("stanch-library", Some("dev"))], Some("must not know `stanch-library`"));
    }
}
