//! `stanch backup`.

use std::path::PathBuf;

use serde_json::json;

use super::context::{Context, DATABASE};
use super::failure::{Code, Failure};
use super::output::{print, print_json};
use super::text::{clean, plural};

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub(crate) struct Backup {
    /// Where to: a folder that is not there yet
    #[arg(value_name = "DIR")]
    to: PathBuf,
}

/// Copies the data folder. It is not opened as a store: a database of an earlier stanch is copied as it is.
pub(crate) fn run(context: &Context, arguments: &Backup) -> Result<(), Failure> {
    if let Some(account) = context.settings.account() {
        let message = format!("the state is kept in storage account `{account}`; only a data folder is copied");
        return Err(Failure::new(Code::Input, message).hint("`--data DIR` names a data folder; for the account use Azure's own backups"));
    }
    let data = context.kept_data();
    if !data.join(DATABASE).exists() {
        let message = format!("there is nothing to back up in `{}`", data.display());
        return Err(Failure::new(Code::Input, message).hint("`--data DIR` (or STANCH_DATA) names the data folder"));
    }
    let written = stanch_store::backup(&data, &arguments.to)?;
    if context.out.json {
        let files: Vec<_> = written.files.iter().map(|(file, bytes)| json!({"file": file, "bytes": bytes})).collect();
        return print_json(&json!({"remediations": written.remediations, "files": files}));
    }
    let mut text = String::new();
    for (file, bytes) in &written.files {
        text.push_str(&format!("{}  {bytes} bytes\n", clean(&file.display().to_string())));
    }
    print(&text)?;
    let count = usize::try_from(written.remediations).unwrap_or(usize::MAX);
    context.out.note(&format!("{count} remediation{} backed up; the copy can be used with `--data`", plural(count)));
    Ok(())
}
