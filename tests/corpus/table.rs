//! The tables, as text.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::fill::{KEY_FIELDS, Rate};
use crate::sample::Sample;

/// Per family: files, findings, scores, what is no finding by which rule, and what no reader takes.
pub(crate) fn families(samples: &[Sample]) -> String {
    let mut families: BTreeMap<&str, Vec<&Sample>> = BTreeMap::new();
    for sample in samples {
        families.entry(&sample.family).or_default().push(sample);
    }
    let mut out = format!("{:<26}{:>6}{:>10}{:>8}{:>10}{:>8}  rules\n", "family", "files", "findings", "scores", "passed", "errors");
    let mut total = [0; 5];
    for (family, files) in families {
        let mut rules: BTreeMap<&str, usize> = BTreeMap::new();
        files.iter().flat_map(|file| &file.rules).for_each(|(rule, count)| *rules.entry(rule).or_default() += count);
        let sum = |of: &dyn Fn(&Sample) -> usize| files.iter().map(|file| of(file)).sum::<usize>();
        let row = [files.len(), sum(&|f| f.findings.len()), sum(&|f| f.scores), rules.values().sum(), sum(&|f| f.faults.len())];
        total.iter_mut().zip(row).for_each(|(total, cell)| *total += cell);
        let rules: Vec<String> = rules.iter().map(|(rule, count)| format!("{rule} {count}")).collect();
        line(&mut out, family, row, &rules.join(", "));
    }
    line(&mut out, "all", total, "");
    out
}

fn line(out: &mut String, name: &str, [files, findings, scores, passed, errors]: [usize; 5], rules: &str) {
    let line = format!("{name:<26}{files:>6}{findings:>10}{scores:>8}{passed:>10}{errors:>8}  {rules}");
    writeln!(out, "{}", line.trim_end()).unwrap();
}

/// Per field: findings whose payload holds it, how many of them have it filled, and where not.
pub(crate) fn rates(rates: &[Rate]) -> String {
    let mut out = format!("{:<36}{:>8}{:>8}{:>8}\n", "field", "held", "filled", "%");
    let (key, other): (Vec<&Rate>, Vec<&Rate>) = rates.iter().partition(|rate| KEY_FIELDS.contains(&rate.field));
    for rate in key.into_iter().chain(other) {
        let percent = 100.0 * rate.filled as f64 / rate.held.max(1) as f64;
        writeln!(out, "{:<36}{:>8}{:>8}{percent:>8.1}", rate.field, rate.held, rate.filled).unwrap();
        rate.missing.iter().for_each(|file| writeln!(out, "    not in {file}").unwrap());
    }
    out
}
