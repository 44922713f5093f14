//! The table of operations, cut out of the public service models by `infra/xtask/py/aws_operations.py`.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::value::RawValue;

static OPERATIONS: &str = include_str!("../../operations.json");

/// How a service speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Protocol {
    Query,
    Ec2,
    Json,
    RestJson,
    RestXml,
}

/// One service: how it is addressed and signed, and what of it we call.
#[derive(Debug, Deserialize)]
pub(crate) struct Service {
    pub(crate) protocol: Protocol,
    pub(crate) version: &'static str,
    /// Name in the signature's scope.
    pub(crate) signing: &'static str,
    /// First label of the host name.
    pub(crate) endpoint: &'static str,
    /// Prefix of `X-Amz-Target`.
    #[serde(borrow, default)]
    pub(crate) target: Option<&'static str>,
    /// Version in the content type of the `json` protocol.
    #[serde(borrow, default)]
    pub(crate) json: Option<&'static str>,
    /// The one endpoint per partition of services that are not regional.
    #[serde(borrow, default)]
    pub(crate) global: BTreeMap<&'static str, GlobalEndpoint>,
    #[serde(borrow)]
    pub(crate) operations: BTreeMap<&'static str, Operation>,
    #[serde(borrow)]
    pub(crate) shapes: BTreeMap<&'static str, Shape>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GlobalEndpoint {
    pub(crate) host: &'static str,
    pub(crate) region: &'static str,
}

/// One operation.
#[derive(Debug, Deserialize)]
pub(crate) struct Operation {
    pub(crate) method: &'static str,
    /// Path with `{Label}`s and a fixed query.
    pub(crate) uri: &'static str,
    #[serde(default)]
    pub(crate) input: Option<Ref>,
    #[serde(borrow, default)]
    pub(crate) output: Option<&'static str>,
    /// The input member that is the whole body.
    #[serde(borrow, default)]
    pub(crate) payload: Option<&'static str>,
    /// The output member that is the whole body.
    #[serde(borrow, default)]
    pub(crate) output_payload: Option<&'static str>,
    /// Element of a query answer that holds the output.
    #[serde(borrow, default)]
    pub(crate) wrapper: Option<&'static str>,
    /// Whether the service demands a checksum of the body.
    #[serde(default)]
    pub(crate) md5: bool,
    /// What stands in front of the host name, with `{Label}`s.
    #[serde(borrow, default)]
    pub(crate) host: Option<&'static str>,
}

/// Where a member of a REST operation travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Location {
    #[default]
    Body,
    Uri,
    Query,
    Header,
    Headers,
    Status,
}

/// What the signer supplies when the input leaves a member out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fill {
    Account,
}

/// A use of a shape: by a structure's member, a list or a map.
#[derive(Debug, Deserialize)]
pub(crate) struct Ref {
    pub(crate) shape: &'static str,
    #[serde(borrow, default)]
    pub(crate) name: Option<&'static str>,
    #[serde(borrow, default)]
    pub(crate) query: Option<&'static str>,
    #[serde(rename = "in", default)]
    pub(crate) location: Location,
    #[serde(default)]
    pub(crate) flat: bool,
    #[serde(default)]
    pub(crate) attr: bool,
    #[serde(default)]
    pub(crate) required: bool,
    #[serde(default)]
    pub(crate) fill: Option<Fill>,
    #[serde(borrow, default)]
    pub(crate) ns: Option<&'static str>,
    #[serde(borrow, default)]
    pub(crate) prefix: Option<&'static str>,
}

pub(crate) type Members = BTreeMap<&'static str, Ref>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    #[serde(borrow)]
    Structure(BTreeMap<&'static str, Ref>),
    List(Ref),
    /// Key and value.
    Map(Ref, Ref),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    String,
    Integer,
    Float,
    Boolean,
    /// Base64 text on our side.
    Blob,
    /// Any JSON.
    Document,
    Timestamp(TimeFormat),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeFormat {
    Iso8601,
    Unix,
    Rfc822,
}

/// What a shape's name stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind<'t> {
    Structure(&'t Members),
    List(&'t Ref),
    Map(&'t Ref, &'t Ref),
    Scalar(Scalar),
}

impl Service {
    /// Resolves a shape's name.
    pub(crate) fn kind(&self, name: &str) -> Kind<'_> {
        match self.shapes.get(name) {
            Some(Shape::Structure(members)) => Kind::Structure(members),
            Some(Shape::List(item)) => Kind::List(item),
            Some(Shape::Map(key, value)) => Kind::Map(key, value),
            None => Kind::Scalar(builtin(name).unwrap_or(Scalar::Document)),
        }
    }

    /// The members of a structure; empty for any other shape.
    pub(crate) fn members(&self, name: &str) -> impl Iterator<Item = (&'static str, &Ref)> {
        let members = match self.shapes.get(name) {
            Some(Shape::Structure(members)) => Some(members),
            _ => None,
        };
        members.into_iter().flatten().map(|(name, member)| (*name, member))
    }
}

impl Ref {
    /// The member's name on the wire.
    pub(crate) fn wire<'a>(&self, own: &'a str) -> &'a str
    where
        'static: 'a,
    {
        self.name.unwrap_or(own)
    }
}

/// Looks a service up. Each is parsed when first asked for: one process uses a few of them.
pub(crate) fn service(name: &str) -> Option<&'static Service> {
    type Table = BTreeMap<&'static str, (&'static RawValue, OnceLock<Option<Service>>)>;
    static TABLE: OnceLock<Table> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let raw: BTreeMap<&'static str, &'static RawValue> = serde_json::from_str(OPERATIONS).unwrap_or_default();
        raw.into_iter().map(|(name, raw)| (name, (raw, OnceLock::new()))).collect()
    });
    let (raw, parsed) = table.get(name)?;
    parsed.get_or_init(|| serde_json::from_str(raw.get()).ok()).as_ref()
}

fn builtin(name: &str) -> Option<Scalar> {
    Some(match name {
        "string" => Scalar::String,
        "integer" | "long" => Scalar::Integer,
        "float" | "double" => Scalar::Float,
        "boolean" => Scalar::Boolean,
        "blob" => Scalar::Blob,
        "document" => Scalar::Document,
        "timestamp-iso8601" => Scalar::Timestamp(TimeFormat::Iso8601),
        "timestamp-unix" => Scalar::Timestamp(TimeFormat::Unix),
        "timestamp-rfc822" => Scalar::Timestamp(TimeFormat::Rfc822),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_generated_table_is_readable_and_closed() {
        let raw: BTreeMap<&'static str, &'static RawValue> = serde_json::from_str(OPERATIONS).unwrap();
        assert!(raw.len() >= 10);
        for (name, raw) in raw {
            let service: Service = serde_json::from_str(raw.get()).unwrap_or_else(|e| panic!("{name}: {e}"));
            let known = |shape: &str| service.shapes.contains_key(shape) || builtin(shape).is_some();
            for (owner, shape) in &service.shapes {
                let refs: Vec<&Ref> = match shape {
                    Shape::Structure(members) => members.values().collect(),
                    Shape::List(item) => vec![item],
                    Shape::Map(key, value) => vec![key, value],
                };
                for used in refs {
                    assert!(known(used.shape), "{name}: {owner} uses {}", used.shape);
                }
            }
            for (op, operation) in &service.operations {
                assert!(operation.input.as_ref().is_none_or(|input| known(input.shape)), "{name}.{op}");
                assert!(operation.output.is_none_or(known), "{name}.{op}");
            }
            if service.protocol == Protocol::Json {
                assert!(service.target.is_some() && service.json.is_some(), "{name}");
            }
        }
    }

    #[test]
    fn the_listed_operations_are_the_ones_in_the_table() {
        let listed = include_str!("../../operations.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#'));
        for line in listed {
            let (name, operation) = line.split_once('.').unwrap();
            assert!(service(name).is_some_and(|s| s.operations.contains_key(operation)), "{line}: run cargo xtask gen");
        }
    }
}
