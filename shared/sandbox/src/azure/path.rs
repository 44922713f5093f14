//! Paths of Azure Resource Manager taken apart.

/// `/subscriptions/{s}[/resourceGroups/{g}][/providers/{namespace}/{type}/{name}…[/{collection or action}]]`.
pub(super) struct ArmPath {
    /// The path without a trailing slash, percent-decoded.
    pub(super) id: String,
    pub(super) subscription: String,
    pub(super) group: Option<String>,
    namespace: Option<String>,
    types: Vec<String>,
    pub(super) names: Vec<String>,
}

impl ArmPath {
    pub(super) fn parse(path: &str) -> Option<Self> {
        let id = decode(path)?.trim_end_matches('/').to_owned();
        let mut segments = id.strip_prefix('/')?.split('/');
        let mut after = |word: &str| segments.next().filter(|s| s.eq_ignore_ascii_case(word)).and_then(|_| segments.next());
        let subscription = after("subscriptions").filter(|s| !s.is_empty())?.to_owned();
        let rest: Vec<&str> = segments.collect();
        let (group, rest) = match rest.as_slice() {
            [word, group, rest @ ..] if word.eq_ignore_ascii_case("resourceGroups") => (Some((*group).to_owned()), rest),
            rest => (None, rest),
        };
        let (namespace, rest) = match rest {
            [word, namespace, rest @ ..] if word.eq_ignore_ascii_case("providers") && !rest.is_empty() => {
                (Some((*namespace).to_owned()), rest)
            }
            [] => (None, rest),
            _ => return None,
        };
        let types = rest.iter().step_by(2).map(|s| (*s).to_owned()).collect();
        let names = rest.iter().skip(1).step_by(2).map(|s| (*s).to_owned()).collect();
        Some(ArmPath { id, subscription, group, namespace, types, names })
    }

    /// `Microsoft.Sql/servers/firewallRules`; the last word of an action's path counts as a type. Empty for a resource group.
    pub(super) fn kind(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.types.join("/")),
            None => String::new(),
        }
    }

    /// Whether it names all resources of a type rather than one.
    pub(super) fn is_collection(&self) -> bool {
        self.types.len() > self.names.len()
    }

    /// The resource this one is inside of.
    pub(super) fn parent(&self) -> Option<String> {
        if self.types.len() < 2 {
            return None;
        }
        let last = if self.is_collection() { 1 } else { 2 };
        let keep = self.id.split('/').count().checked_sub(last)?;
        Some(self.id.split('/').take(keep).collect::<Vec<_>>().join("/"))
    }

    /// What a collection lists below: the parent, the resource group or the subscription.
    pub(super) fn scope(&self) -> String {
        let group = self.group.as_ref().map(|g| format!("/resourceGroups/{g}")).unwrap_or_default();
        self.parent().unwrap_or_else(|| format!("/subscriptions/{}{group}", self.subscription))
    }
}

fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}
