//! `stanch scores`: how well each scope does, as its source counts it.

use stanch_core::normalize::Score;
use stanch_engine::scores::list;

use super::context::Context;
use super::failure::Failure;
use super::output::{print, print_json};
use super::text::{clean, tail, time};

/// Prints the latest score of each scope and name (--json: one JSON object a line).
pub(crate) async fn run(context: &Context) -> Result<(), Failure> {
    let all = list(context.kept().await?.store()).await?;
    for score in &all {
        if context.out.json { print_json(score)? } else { print(&line(score))? }
    }
    if all.is_empty() {
        context.out.note("no score has come in; export secure scores from Defender for Cloud to the function defender-recommendation");
    }
    Ok(())
}

fn line(score: &Score) -> String {
    let percent = if score.max > 0.0 { format!("{:>3.0} %", 100.0 * score.current / score.max) } else { "    -".to_owned() };
    let unhealthy = score.unhealthy.map(|count| format!("  {count} unhealthy")).unwrap_or_default();
    let at = score.time.map_or_else(|| "-".to_owned(), time);
    let name = clean(score.title.as_deref().unwrap_or(&score.name));
    format!("{:<36}  {percent}  {:>5} of {:<5}  {at}  {name}{unhealthy}", tail(&clean(&score.scope), 36), score.current, score.max)
}
