//! From YAML to a checked fix. Every mistake has its place.

mod change;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::node::{Node, NodeKind, Place};
use super::{Activity, CallSpec, Disruption, Evidence, Fix, Observe, Param, Template, UndoClass};
use crate::api::Method;
use crate::cloud::Cloud;
use crate::diagnostic::Diagnostic;
use crate::digest::sha256_hex;
use crate::expr::{Dialect, Expr};
use change::RawChange;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    fix: Place<String>,
    title: String,
    #[serde(default)]
    control: Option<String>,
    remediates: Place<Vec<Place<String>>>,
    resource: Place<OneOrMany>,
    activity: Activity,
    undo: Place<RawUndoClass>,
    disruption: Disruption,
    permissions: Place<Vec<String>>,
    source: Place<String>,
    #[serde(default)]
    note: Option<String>,
    #[serde(default)]
    params: BTreeMap<String, Param>,
    observe: Place<Node>,
    when: Place<String>,
    change: Place<Vec<Place<RawChange>>>,
    #[serde(default)]
    wait: Option<RawWait>,
    #[serde(default)]
    verify: Option<Place<String>>,
    #[serde(default)]
    expires_after: Option<Place<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawUndoClass {
    Word(String),
    Said(BTreeMap<String, String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawObserve {
    call: Place<String>,
    #[serde(default)]
    input: Option<Node>,
    #[serde(default)]
    body: Option<Node>,
    take: Place<String>,
    #[serde(default)]
    absent: Vec<Code>,
    #[serde(default)]
    gone: Vec<Code>,
    #[serde(default)]
    tokens: BTreeMap<String, Place<String>>,
    #[serde(default)]
    unordered: bool,
    #[serde(default)]
    volatile: bool,
    #[serde(default)]
    sensitive: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawWait {
    #[serde(default)]
    until: Option<Place<String>>,
    #[serde(rename = "for")]
    long: Place<String>,
}

/// An error code, or an HTTP status written as a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Code {
    Name(String),
    Status(u16),
}

impl Code {
    fn text(self) -> String {
        match self {
            Code::Name(name) => name,
            Code::Status(status) => status.to_string(),
        }
    }
}

const DEFAULT_SETTLE_MS: u64 = 60_000;
const TRIGGERS: &[&str] = &["securityhub", "defender", "policy", "scc", "prowler", "alert"];

pub(super) fn parse(file: &str, source: &str) -> Result<Fix, Vec<Diagnostic>> {
    let raw: Raw = serde_saphyr::from_str(source).map_err(|e| vec![Diagnostic::yaml(file, source, &e)])?;
    let whole: Value = serde_saphyr::from_str(source).map_err(|e| vec![Diagnostic::yaml(file, source, &e)])?;
    let digest = serde_json_canonicalizer::to_vec(&whole).map(|bytes| sha256_hex(&bytes)).unwrap_or_default();
    let mut load = Load { file, source, mistakes: Vec::new() };
    let fix = load.fix(raw, digest);
    match fix {
        Some(fix) if load.mistakes.is_empty() => Ok(fix),
        _ => Err(load.mistakes),
    }
}

struct Load<'s> {
    file: &'s str,
    source: &'s str,
    mistakes: Vec<Diagnostic>,
}

impl Load<'_> {
    fn mistake(&mut self, line: usize, column: usize, message: impl Into<String>, hint: &str) {
        let diagnostic = Diagnostic::at(self.file, self.source, line, column, message);
        self.mistakes.push(if hint.is_empty() { diagnostic } else { diagnostic.hint(hint) });
    }

    fn fix(&mut self, raw: Raw, digest: String) -> Option<Fix> {
        let cloud = self.cloud(&raw.fix);
        if raw.permissions.value.is_empty() {
            self.mistake(
                raw.permissions.line,
                raw.permissions.column,
                "`permissions` is empty",
                "list what the identity needs, as the cloud names it",
            );
        }
        if !raw.source.value.starts_with("https://") {
            self.mistake(raw.source.line, raw.source.column, "`source` is no https link", "link the vendor's page this fix rests on");
        }
        for trigger in &raw.remediates.value {
            let known = trigger.value.split_once('/').is_some_and(|(kind, rest)| TRIGGERS.contains(&kind) && !rest.is_empty());
            if !known {
                let hint = format!("write one of {} and its id, as in `securityhub/S3.8`", TRIGGERS.join("/, "));
                self.mistake(trigger.line, trigger.column, format!("`{}` names no trigger", trigger.value), &hint);
            }
        }
        let resource = match raw.resource.value {
            OneOrMany::One(kind) => vec![kind],
            OneOrMany::Many(kinds) => kinds,
        };
        let cloud = cloud?;
        let resource: Vec<String> = resource.iter().filter_map(|kind| crate::target::canonical_kind(cloud, Some(kind), "")).collect();
        let undo = self.undo_class(&raw.undo);

        let mut roots = vec!["resource".to_owned(), "param".to_owned()];
        let observe = self.observes(cloud, raw.observe, &mut roots);
        let dialect = Dialect::fix(roots.iter().cloned());
        let when = self.expr(&raw.when, &dialect);
        let wait_until = raw.wait.as_ref().and_then(|w| w.until.as_ref()).and_then(|e| self.expr(e, &dialect));
        let settle_ms = match &raw.wait {
            Some(wait) => self.duration(&wait.long).unwrap_or(DEFAULT_SETTLE_MS),
            None => DEFAULT_SETTLE_MS,
        };
        let verify = raw.verify.as_ref().and_then(|e| self.expr(e, &dialect));
        let expires_after_ms = raw.expires_after.as_ref().and_then(|d| self.duration(d));
        if raw.activity.is_containment() != raw.expires_after.is_some() {
            self.mistake(
                raw.fix.line,
                raw.fix.column,
                "a containment (activity `isolate` or `evict`) and only a containment has `expires_after`",
                "add `expires_after: 4h`, or change the activity",
            );
        }
        if raw.change.value.is_empty() {
            self.mistake(raw.change.line, raw.change.column, "`change` is empty", "a fix without a change fixes nothing");
        }
        let impossible = matches!(undo, Some(UndoClass::Impossible(_)));
        let changes = self.changes(cloud, raw.change.value, &roots, impossible);
        Some(Fix {
            name: raw.fix.value,
            title: raw.title,
            control: raw.control,
            remediates: raw.remediates.value.into_iter().map(|p| p.value).collect(),
            cloud,
            resource,
            activity: raw.activity,
            undo: undo?,
            disruption: raw.disruption,
            permissions: raw.permissions.value,
            source: raw.source.value,
            note: raw.note,
            params: raw.params,
            observe: observe?,
            when: when?,
            changes: changes?,
            wait_until,
            settle_ms,
            verify,
            expires_after_ms,
            digest,
            evidence: Evidence::default(),
        })
    }

    fn cloud(&mut self, name: &Place<String>) -> Option<Cloud> {
        let words: Vec<&str> = name.value.split('-').collect();
        let kebab = name.value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        let cloud = match words.first() {
            Some(&"aws") => Some(Cloud::Aws),
            Some(&"azure") => Some(Cloud::Azure),
            Some(&"gcp") => Some(Cloud::Gcp),
            _ => None,
        };
        if cloud.is_none() || words.len() < 3 || !kebab {
            self.mistake(
                name.line,
                name.column,
                format!("`{}` is no fix name", name.value),
                "name it <cloud>-<service>-<imperative>, as in `aws-ec2-require-imdsv2`",
            );
        }
        cloud
    }

    fn undo_class(&mut self, raw: &Place<RawUndoClass>) -> Option<UndoClass> {
        match &raw.value {
            RawUndoClass::Word(word) if word == "exact" => Some(UndoClass::Exact),
            RawUndoClass::Said(said) if said.len() == 1 => match said.iter().next() {
                Some((word, why)) if word == "lossy" => Some(UndoClass::Lossy(why.clone())),
                Some((word, why)) if word == "impossible" => Some(UndoClass::Impossible(why.clone())),
                _ => None,
            },
            _ => None,
        }
        .or_else(|| {
            self.mistake(
                raw.line,
                raw.column,
                "`undo` says nothing known",
                "write `exact`, `{lossy: what is lost}` or `{impossible: why}`",
            );
            None
        })
    }

    fn observes(&mut self, cloud: Cloud, raw: Place<Node>, roots: &mut Vec<String>) -> Option<Vec<Observe>> {
        let NodeKind::Map(members) = raw.value.kind else {
            self.mistake(
                raw.line,
                raw.column,
                "`observe` is no map",
                "write a name and under it the call, as in `options: {call: …, take: …}`",
            );
            return None;
        };
        let mut all = Vec::new();
        for (name, node) in members {
            let text = self.slice(&node);
            let observe: RawObserve = match serde_saphyr::from_str(&text) {
                Ok(observe) => observe,
                Err(e) => {
                    self.mistakes.push(Diagnostic::yaml(self.file, self.source, &e));
                    continue;
                }
            };
            let dialect = Dialect::fix(roots.iter().cloned());
            // What an answer gives must not depend on who asked: `resource` and `param` are for the call.
            let mut answer = roots.get(2..).unwrap_or_default().to_vec();
            answer.extend(["response".to_owned(), "header".to_owned()]);
            let answer = Dialect::fix(answer);
            let call = self.call(cloud, &observe.call, observe.input.as_ref(), None, None, observe.body.as_ref(), &dialect);
            let take = self.expr(&observe.take, &answer);
            let tokens: Vec<(String, Expr)> =
                observe.tokens.iter().filter_map(|(t, e)| self.expr(e, &answer).map(|e| (t.clone(), e))).collect();
            roots.push(name.clone());
            all.push(Observe {
                name,
                call: call?,
                take: take?,
                absent: observe.absent.into_iter().map(Code::text).collect(),
                gone: observe.gone.into_iter().map(Code::text).collect(),
                tokens,
                unordered: observe.unordered,
                volatile: observe.volatile,
                sensitive: observe.sensitive,
            });
        }
        if all.is_empty() {
            self.mistake(raw.line, raw.column, "`observe` is empty", "a fix reads the live state before it plans");
            return None;
        }
        Some(all)
    }

    /// The lines of one node, everything before them blanked, so that positions inside stay those of the file.
    fn slice(&self, node: &Node) -> String {
        let first = node.line.saturating_sub(1);
        let indent = node.column.saturating_sub(1);
        let mut text = "\n".repeat(first);
        for (at, line) in self.source.lines().enumerate().skip(first) {
            let depth = line.len() - line.trim_start().len();
            let blank = line.trim().is_empty() || line.trim_start().starts_with('#');
            if at > first && !blank && depth < indent {
                break;
            }
            if at == first {
                text.push_str(&" ".repeat(indent));
                text.push_str(line.get(indent..).unwrap_or_default());
            } else {
                text.push_str(line);
            }
            text.push('\n');
        }
        text
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one call, each optional in the file")]
    fn call(
        &mut self,
        cloud: Cloud,
        call: &Place<String>,
        input: Option<&Node>,
        query: Option<&Node>,
        headers: Option<&Node>,
        body: Option<&Node>,
        dialect: &Dialect,
    ) -> Option<CallSpec> {
        let empty = Template::Map(Vec::new());
        let mut part = |node: Option<&Node>| match node.map(|n| Template::compile(n, dialect)) {
            None => Some(None),
            Some(Ok(template)) => Some(Some(template)),
            Some(Err(e)) => {
                self.mistake(e.line, e.column, e.message, "");
                None
            }
        };
        let (input, query, headers, body) = (part(input), part(query), part(headers), part(body));
        let text = call.value.trim();
        if cloud == Cloud::Aws {
            let Some((service, operation)) =
                text.split_once('.').filter(|(s, o)| !s.is_empty() && !o.is_empty() && !o.contains(['/', ' ']))
            else {
                self.mistake(
                    call.line,
                    call.column,
                    format!("`{text}` is no AWS call"),
                    "write service.Operation, as in `ec2.DescribeInstances`",
                );
                return None;
            };
            if query.as_ref()?.is_some() || headers.as_ref()?.is_some() || body.as_ref()?.is_some() {
                self.mistake(call.line, call.column, "an AWS call has `input` only", "put query, headers and body members into `input`");
            }
            return Some(CallSpec::Operation {
                service: service.to_owned(),
                operation: operation.to_owned(),
                input: input?.unwrap_or(empty),
            });
        }
        let wrong = "write METHOD and path, as in `PATCH ${resource.uid}?api-version=2023-01-01`";
        let parsed = text.split_once(' ').and_then(|(m, rest)| Some((Method::parse(m)?, rest.trim())));
        let Some((method, rest)) = parsed else {
            self.mistake(call.line, call.column, format!("`{text}` is no HTTP call"), wrong);
            return None;
        };
        if input?.is_some() {
            self.mistake(call.line, call.column, "an HTTP call has no `input`", "use `body`, `query` and `headers`");
        }
        let (address, fixed) = rest.split_once('?').unwrap_or((rest, ""));
        let (host, path) = match address.split_once('/') {
            Some((host, path)) if !host.is_empty() && !host.contains('$') => (Some(host), format!("/{path}")),
            _ => (None, address.to_owned()),
        };
        let Some(host) = host.or(Fix::default_host(cloud)) else {
            self.mistake(
                call.line,
                call.column,
                "the call names no host",
                "write the host before the path, as in `GET storage.googleapis.com/storage/v1/b/…`",
            );
            return None;
        };
        let path = Template::text(&path, dialect).map_err(|m| self.mistake(call.line, call.column, m, wrong)).ok()?;
        let mut members: Vec<(String, Template)> = fixed
            .split('&')
            .filter(|p| !p.is_empty())
            .map(|p| p.split_once('=').unwrap_or((p, "")))
            .map(|(k, v)| (k.to_owned(), Template::Literal(v.into())))
            .collect();
        match query? {
            Some(Template::Map(more)) => members.extend(more),
            Some(_) => self.mistake(call.line, call.column, "`query` is no map", ""),
            None => {}
        }
        Some(CallSpec::Http {
            method,
            host: host.to_owned(),
            path,
            query: Template::Map(members),
            headers: headers?.unwrap_or(empty),
            body: body?,
        })
    }

    fn template_text(&mut self, text: &Place<String>, dialect: &Dialect) -> Option<Template> {
        Template::text(&text.value, dialect).map_err(|message| self.mistake(text.line, text.column, message, "")).ok()
    }

    fn expr(&mut self, text: &Place<String>, dialect: &Dialect) -> Option<Expr> {
        Expr::compile(&text.value, dialect).map_err(|e| self.mistake(text.line, text.column, e.to_string(), "")).ok()
    }

    /// `90s`, `2m`, `4h`, `1d`.
    fn duration(&mut self, text: &Place<String>) -> Option<u64> {
        let value = text.value.trim();
        let split = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
        let (number, unit) = value.split_at(split);
        let factor = match unit {
            "s" => Some(1000),
            "m" => Some(60_000),
            "h" => Some(3_600_000),
            "d" => Some(86_400_000),
            _ => None,
        };
        let millis = number.parse::<u64>().ok().zip(factor).and_then(|(n, f)| n.checked_mul(f));
        if millis.is_none() {
            self.mistake(text.line, text.column, format!("`{value}` is no duration"), "write a number and s, m, h or d, as in `2m`");
        }
        millis
    }
}
