//! What a program may name, and the nearest name to what it misspelt.

use std::sync::LazyLock;

use cel::common::types::CelInt;

/// The attributes of `finding` in rules, sorted by topic as the reference lists them.
pub(super) const FINDING: &[&str] = &[
    "source",
    "class",
    "activity",
    "uid",
    "title",
    "desc",
    "rule",
    "policy",
    "types",
    "severity",
    "severity_original",
    "status",
    "cloud",
    "account",
    "account_name",
    "region",
    "control",
    "standards",
    "compliance_status",
    "cves",
    "product",
    "sample",
    "age_days",
    "risk_level",
    "resource_count",
];

/// The attributes of `resource` in rules.
pub(super) const RESOURCE: &[&str] = &["cloud", "uid", "kind", "name", "account", "region", "tags"];

/// Global functions and how many arguments each takes.
pub(super) const FUNCTIONS: &[(&str, usize)] = &[
    ("bool", 1),
    ("cidr_is_world", 1),
    ("double", 1),
    ("dyn", 1),
    ("int", 1),
    ("json", 1),
    ("matches", 2),
    ("size", 1),
    ("string", 1),
    ("type", 1),
    ("uint", 1),
    ("without", 2),
];

/// Member functions, with the fewest and the most arguments each takes.
pub(super) const METHODS: &[(&str, usize, usize)] = &[
    ("charAt", 1, 1),
    ("contains", 1, 1),
    ("distinct", 0, 0),
    ("endsWith", 1, 1),
    ("flatten", 0, 1),
    ("format", 1, 1),
    ("indexOf", 1, 2),
    ("join", 0, 1),
    ("lastIndexOf", 1, 2),
    ("lowerAscii", 0, 0),
    ("matches", 1, 1),
    ("replace", 2, 3),
    ("reverse", 0, 0),
    ("size", 0, 0),
    ("slice", 2, 2),
    ("sort", 0, 0),
    ("split", 1, 2),
    ("startsWith", 1, 1),
    ("substring", 1, 2),
    ("trim", 0, 0),
    ("upperAscii", 0, 0),
];

/// Macros, and how each is written.
pub(super) const MACROS: &[(&str, &str)] = &[
    ("all", "list.all(x, condition)"),
    ("exists", "list.exists(x, condition)"),
    ("exists_one", "list.exists_one(x, condition)"),
    ("filter", "list.filter(x, condition)"),
    ("has", "has(value.member)"),
    ("map", "list.map(x, value)"),
    ("sortBy", "list.sortBy(x, key)"),
];

/// Names of types, for `type(x) == int`.
pub(super) const TYPES: &[&str] = &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

static CONSTANTS: LazyLock<[(&str, CelInt); 6]> = LazyLock::new(|| {
    [
        ("INFORMATIONAL", CelInt::from(1)),
        ("LOW", CelInt::from(2)),
        ("MEDIUM", CelInt::from(3)),
        ("HIGH", CelInt::from(4)),
        ("CRITICAL", CelInt::from(5)),
        ("FATAL", CelInt::from(6)),
    ]
});

/// What a program may name: its variables, and for rules the attributes of each.
#[derive(Clone, Debug)]
pub struct Dialect {
    roots: Vec<String>,
    /// Whether `finding` and `resource` have a fixed list of attributes.
    closed: bool,
}

impl Dialect {
    /// The dialect of rules: `finding` and `resource` with their published attributes.
    pub fn rules() -> &'static Dialect {
        static RULES: LazyLock<Dialect> =
            LazyLock::new(|| Dialect { roots: vec!["finding".to_owned(), "resource".to_owned()], closed: true });
        &RULES
    }

    /// The dialect of a fix: these variables, each plain JSON with any members.
    pub fn fix(roots: impl IntoIterator<Item = String>) -> Dialect {
        Dialect { roots: roots.into_iter().collect(), closed: false }
    }

    /// The variables a program may name.
    pub(super) fn roots(&self) -> &[String] {
        &self.roots
    }

    /// The attributes `root` has, when only those may be named.
    pub(super) fn attributes(&self, root: &str) -> Option<&'static [&'static str]> {
        match root {
            "finding" if self.closed => Some(FINDING),
            "resource" if self.closed => Some(RESOURCE),
            _ => None,
        }
    }
}

/// The value of a severity's name.
pub(super) fn constant(name: &str) -> Option<&'static CelInt> {
    CONSTANTS.iter().find(|(n, _)| *n == name).map(|(_, id)| id)
}

/// The names of the constants.
pub(super) fn constants<'n>() -> impl Iterator<Item = &'n str> {
    CONSTANTS.iter().map(|(name, _)| *name)
}

/// The name nearest to a misspelt one, unless all are far: about one edit for each three letters. Case is ignored.
pub fn nearest<'n>(wanted: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let lower = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let wanted = lower(wanted);
    let limit = wanted.len().div_ceil(3).max(1);
    let scored = names.into_iter().map(|name| (distance(&wanted, &lower(name)), name));
    scored.filter(|(edits, _)| *edits <= limit).min_by_key(|(edits, _)| *edits).map(|(_, name)| name)
}

/// Edits (insert, delete, replace a letter) that turn one word into the other.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, pair) in b.iter().zip(row.windows(2)) {
            if let &[diagonal, above] = pair {
                left = (diagonal + usize::from(x != y)).min(above + 1).min(left + 1);
                next.push(left);
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
