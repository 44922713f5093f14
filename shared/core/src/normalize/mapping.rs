//! Which fields of a payload fill which fields of OCSF: said once, for the reference and for the proof that it is so.

use serde::Serialize;

/// How one shape of a source's payload becomes OCSF.
#[derive(Debug, Serialize)]
pub struct Mapping {
    /// The shape, for people: `AWS Security Finding Format`.
    pub shape: &'static str,
    /// How a payload is known to have it, for people.
    pub known_by: &'static str,
    /// The same for machines: paths that a finding's own payload has all of. Any of several sets will do.
    pub marks: &'static [&'static [&'static str]],
    /// Where the shape is documented.
    pub source: &'static str,
    /// The fields, in OCSF's order.
    pub rows: &'static [Mapped],
}

/// Where one field comes from.
#[derive(Debug, Serialize)]
pub struct Mapped {
    /// The field of OCSF 1.8.0: `resources[].uid`. `[]` is any item of a list.
    pub field: &'static str,
    /// Paths in the finding's own payload, names in any case; the first that says something counts. Empty: by the note alone.
    pub from: &'static [&'static str],
    /// What happens on the way, or an empty text.
    pub note: &'static str,
}

/// A row of a mapping.
pub const fn mapped(field: &'static str, from: &'static [&'static str], note: &'static str) -> Mapped {
    Mapped { field, from, note }
}
