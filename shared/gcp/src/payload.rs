//! Reading Security Command Center's payloads: fields by any of their spellings, properties that hide in strings, the names of
//! findings, and what a full resource name tells.

use std::borrow::Cow;

use stanch_core::cloud::{Account, Text, part};
use stanch_core::json::{Doc, Json};

pub(crate) const PROPERTIES: &[&str] = &["sourceProperties", "source_properties"];

/// The first of these fields that is an object with fields.
pub(crate) fn object<'d, 'a>(fields: Json<'d, 'a>, names: &[&str]) -> Json<'d, 'a> {
    names.iter().map(|name| fields.get(name)).find(|object| !is_empty(*object)).unwrap_or(fields.absent())
}

/// Whether it is no object, or one without fields.
pub(crate) fn is_empty(object: Json<'_, '_>) -> bool {
    object.members().next().is_none()
}

/// `sourceProperties`, which is an object or, in some exports, that object as JSON in a string.
pub(crate) struct Properties<'d, 'a> {
    object: Json<'d, 'a>,
    /// The texts of one in a string.
    unpacked: Vec<(String, String)>,
}

impl<'d, 'a> Properties<'d, 'a> {
    pub(crate) fn read(properties: Json<'d, 'a>) -> Self {
        let mut unpacked = Vec::new();
        if let Some(doc) = properties.str().and_then(|text| Doc::read(text).ok()) {
            unpacked.extend(doc.root().members().filter_map(|(name, value)| Some((name.to_string(), value.str()?.to_owned()))));
        }
        Properties { object: properties, unpacked }
    }

    /// The text of the first of several names that has one.
    pub(crate) fn text(&self, names: &[&str]) -> Option<Text<'a>> {
        let unpacked = |name: &&str| self.unpacked.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        self.object.text_of(names).or_else(|| names.iter().find_map(unpacked).map(|(_, text)| Cow::Owned(text.clone())))
    }

    /// The first resource that a detector names.
    pub(crate) fn affected(&self) -> Option<Text<'a>> {
        let mut affected = self.object.any(&["affectedResources", "affected_resources"]).items();
        affected.find_map(|resource| resource.text_of(&["gcpResourceName", "gcp_resource_name"]))
    }
}

/// Standards (name and version in one text) and the requirements in them, out of `compliances`, the frameworks of
/// `complianceDetails`, or the older `sourceProperties.compliance_standards`; each once, in the payload's order.
pub(crate) fn standards<'a>(finding: Json<'_, 'a>, properties: Json<'_, 'a>) -> (Vec<Text<'a>>, Vec<Text<'a>>) {
    let mut found = (Vec::new(), Vec::new());
    for entry in finding.get("compliances").items() {
        add_standard(entry, None, &mut found);
    }
    if found.0.is_empty() {
        for framework in object(finding, &["complianceDetails", "compliance_details"]).get("frameworks").items() {
            found.0.extend(framework.text_of(&["displayName", "display_name", "name"]));
            let controls = framework.get("controls").items();
            found.1.extend(controls.filter_map(|control| control.text_of(&["displayName", "display_name", "controlName", "control_name"])));
        }
    }
    if found.0.is_empty() {
        for (name, entries) in properties.get("compliance_standards").members() {
            entries.items().for_each(|entry| add_standard(entry, Some(name.clone()), &mut found));
        }
    }
    found
}

/// `{standard, version, ids}`.
fn add_standard<'a>(entry: Json<'_, 'a>, name: Option<Text<'a>>, (standards, requirements): &mut (Vec<Text<'a>>, Vec<Text<'a>>)) {
    let Some(name) = entry.get("standard").text().or(name) else { return };
    let standard = match entry.get("version").text() {
        Some(version) => Cow::Owned(format!("{name} {version}")),
        None => name,
    };
    if !standards.contains(&standard) {
        standards.push(standard);
    }
    for id in entry.get("ids").texts() {
        if !requirements.contains(&id) {
            requirements.push(id);
        }
    }
}

/// Whether a text is `organizations/{number}`, `folders/{number}` or `projects/{id}`.
pub(crate) fn is_owner(text: &str) -> bool {
    text.split_once('/').is_some_and(|(kind, name)| matches!(kind, "organizations" | "folders" | "projects") && is_plain(name))
}

/// Whether a segment of a name stays one segment in a path, whatever it came from.
pub(crate) fn is_plain(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b)) && !matches!(part, "." | "..")
}

/// The name of a finding: `{organizations|folders|projects}/{owner}/sources/{source}[/locations/{location}]/findings/{id}`.
/// Version 1 of the API names no location, version 2 does, and `canonicalName` starts with another owner; source and id are the
/// same in all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FindingName<'a> {
    /// `organizations/{number}`, `folders/{number}` or `projects/{id}`.
    pub(crate) owner: &'a str,
    /// The source's id.
    pub(crate) source: &'a str,
    /// The location of a version 2 name.
    pub(crate) location: Option<&'a str>,
    /// The finding's own id.
    pub(crate) id: &'a str,
}

impl<'a> FindingName<'a> {
    /// Reads a name, with or without the service's host in front.
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        let name = name.trim();
        let name = name.strip_prefix("//securitycenter.googleapis.com/").unwrap_or(name);
        let (owner, rest) = name.split_once("/sources/")?;
        let (source, location, id) = match rest.split('/').collect::<Vec<_>>().as_slice() {
            [source, "findings", id] => (*source, None, *id),
            [source, "locations", location, "findings", id] => (*source, Some(*location), *id),
            _ => return None,
        };
        let usable = is_owner(owner) && [source, id].into_iter().chain(location).all(is_plain);
        usable.then_some(FindingName { owner, source, location, id })
    }

    /// `sources/{source}/findings/{id}`: the same for every name one finding has.
    pub(crate) fn uid(&self) -> String {
        format!("sources/{}/findings/{}", self.source, self.id)
    }

    /// The parent in version 2 form; a name without location stands for the global one.
    pub(crate) fn v2_parent(&self) -> String {
        format!("{}/sources/{}/locations/{}", self.owner, self.source, self.location.unwrap_or("global"))
    }

    /// The name in version 2 form.
    pub(crate) fn v2(&self) -> String {
        format!("{}/findings/{}", self.v2_parent(), self.id)
    }

    /// The name in version 1 form.
    pub(crate) fn v1(&self) -> String {
        format!("{}/sources/{}/findings/{}", self.owner, self.source, self.id)
    }
}

/// The segment that follows `key` in a resource name: `segment("//x/projects/p/zones/z", "zones")` is `z`.
pub(crate) fn segment<'a>(name: &'a str, key: &str) -> Option<&'a str> {
    let mut parts = name.split('/');
    parts.find(|part| part.eq_ignore_ascii_case(key))?;
    parts.next().filter(|part| !part.is_empty())
}

/// The Google Cloud project among these clues: an id is preferred to a number, and a display name that can be no id stays a name.
/// `names` are full resource names (the resource's, its project's), `ids` may be anything.
pub(crate) fn project<'a>(names: &[Option<Text<'a>>], ids: &[Option<Text<'a>>], display: Option<Text<'a>>) -> Option<Account<'a>> {
    let in_names: Vec<Text<'a>> = names.iter().flatten().filter_map(|name| part(name, |name| segment(name, "projects"))).collect();
    let candidates = || in_names.iter().chain(ids.iter().flatten()).chain(&display);
    let any = || in_names.iter().find(|id| !matches!(id.as_ref(), "_" | "-"));
    let uid = candidates().find(|id| is_project_id(id)).or_else(|| candidates().find(|id| is_number(id))).or_else(any)?.clone();
    Some(Account { name: display.filter(|display| *display != uid), uid })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `my-project-123`, or `example.com:my-project` of a domain.
fn is_project_id(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.:".contains(&b);
    text.starts_with(|c: char| c.is_ascii_lowercase()) && text.len() >= 4 && text.bytes().all(allowed)
}
