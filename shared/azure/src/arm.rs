//! Azure Resource Manager ids.

use std::borrow::Cow;

/// A parsed ARM id. Everything borrows from the id and keeps its casing; comparisons must ignore case, as ARM does.
///
/// Of an id with several `/providers/` parts (an extension resource such as an assessment on a storage account) it describes
/// the last one; `scope` is the resource in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArmId<'a> {
    /// Subscription GUID; absent for management groups and tenant-level resources.
    pub subscription: Option<&'a str>,
    /// Resource group.
    pub resource_group: Option<&'a str>,
    /// Provider and type: `Microsoft.Sql/servers/databases`. A subscription is `Microsoft.Resources/subscriptions`.
    pub kind: Cow<'a, str>,
    /// Last name.
    pub name: &'a str,
    /// Type and name of the parents inside the same provider part, outermost first: `[("servers", "sql1")]`.
    pub parents: Vec<(&'a str, &'a str)>,
    /// What stands before the last `/providers/`: the resource an extension is about, else resource group or subscription.
    /// Empty for tenant-level resources.
    pub scope: &'a str,
}

impl<'a> ArmId<'a> {
    /// Reads an id such as `/subscriptions/{s}/resourceGroups/{g}/providers/{namespace}/{type}/{name}`. The leading slash may
    /// be missing and one may trail. Nothing for any other text, collections without a last name included.
    pub fn parse(id: &'a str) -> Option<Self> {
        let id = id.trim().trim_end_matches('/');
        let mut segments = segments(id).peekable();
        let (mut subscription, mut resource_group) = (None, None);
        if segments.next_if(|(_, s)| s.eq_ignore_ascii_case("subscriptions")).is_some() {
            subscription = Some(named(segments.next())?);
            if segments.next_if(|(_, s)| s.eq_ignore_ascii_case("resourceGroups")).is_some() {
                resource_group = Some(named(segments.next())?);
            }
        }
        let mut part: Option<Part<'a>> = None;
        while let Some((at, word)) = segments.next() {
            if word.eq_ignore_ascii_case("providers") {
                let (namespace_at, namespace) = segments.next()?;
                let scope = id.get(..at.saturating_sub(1))?;
                part = Some(Part { scope, namespace_at, namespace: named(Some((namespace_at, namespace)))?, types: Vec::new() });
            } else {
                let name = named(segments.next())?;
                part.as_mut()?.types.push((at, word, name));
            }
        }
        if let Some(part) = part {
            return part.describe(id, subscription, resource_group);
        }
        let name = resource_group.or(subscription)?;
        let kind =
            if resource_group.is_some() { "Microsoft.Resources/subscriptions/resourceGroups" } else { "Microsoft.Resources/subscriptions" };
        Some(ArmId { subscription, resource_group, kind: Cow::Borrowed(kind), name, parents: Vec::new(), scope: "" })
    }

    /// Whether the resource is of this type, ignoring case.
    pub fn is(&self, kind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind)
    }

    /// The name of the parent of this type, ignoring case.
    pub fn parent(&self, kind: &str) -> Option<&'a str> {
        self.parents.iter().find(|(k, _)| k.eq_ignore_ascii_case(kind)).map(|(_, name)| *name)
    }
}

struct Part<'a> {
    scope: &'a str,
    namespace_at: usize,
    namespace: &'a str,
    types: Vec<(usize, &'a str, &'a str)>,
}

impl<'a> Part<'a> {
    fn describe(self, id: &'a str, subscription: Option<&'a str>, resource_group: Option<&'a str>) -> Option<ArmId<'a>> {
        let (&(type_at, last, name), parents) = self.types.split_last()?;
        let kind = if parents.is_empty() {
            Cow::Borrowed(id.get(self.namespace_at..type_at + last.len())?)
        } else {
            let types: Vec<&str> = self.types.iter().map(|(_, word, _)| *word).collect();
            Cow::Owned(format!("{}/{}", self.namespace, types.join("/")))
        };
        let parents = parents.iter().map(|(_, word, name)| (*word, *name)).collect();
        Some(ArmId { subscription, resource_group, kind, name, parents, scope: self.scope })
    }
}

/// The segments with their byte offsets, without the empty one before a leading slash.
fn segments(id: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    id.split('/')
        .map(move |segment| {
            let start = at;
            at += segment.len() + 1;
            (start, segment)
        })
        .skip(usize::from(id.starts_with('/')))
}

fn named(segment: Option<(usize, &str)>) -> Option<&str> {
    segment.map(|(_, text)| text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_resources_children_and_extensions_in_any_case() {
        let id = ArmId::parse("/SUBSCRIPTIONS/s1/resourcegroups/G1/providers/microsoft.storage/storageaccounts/acc/").unwrap();
        assert_eq!((id.subscription, id.resource_group, id.name), (Some("s1"), Some("G1"), "acc"));
        assert!(id.is("Microsoft.Storage/storageAccounts"));
        assert!(matches!(id.kind, Cow::Borrowed("microsoft.storage/storageaccounts")));
        assert_eq!(id.scope, "/SUBSCRIPTIONS/s1/resourcegroups/G1");

        let id = ArmId::parse("subscriptions/s1/resourceGroups/g/providers/Microsoft.Sql/servers/sql1/databases/db1").unwrap();
        assert_eq!((id.kind.as_ref(), id.name, id.parent("SERVERS")), ("Microsoft.Sql/servers/databases", "db1", Some("sql1")));

        let id = ArmId::parse(
            "/subscriptions/s1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acc/providers/Microsoft.Security/assessments/key/subassessments/sub",
        )
        .unwrap();
        assert_eq!(
            (id.kind.as_ref(), id.name, id.parent("assessments")),
            ("Microsoft.Security/assessments/subassessments", "sub", Some("key"))
        );
        assert_eq!(id.scope, "/subscriptions/s1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acc");
    }

    #[test]
    fn reads_subscriptions_groups_and_tenant_level_resources() {
        let subscription = ArmId::parse("/subscriptions/s1").unwrap();
        assert_eq!((subscription.kind.as_ref(), subscription.name), ("Microsoft.Resources/subscriptions", "s1"));
        let group = ArmId::parse("/subscriptions/s1/resourceGroups/g").unwrap();
        assert_eq!((group.kind.as_ref(), group.name), ("Microsoft.Resources/subscriptions/resourceGroups", "g"));
        let tenant = ArmId::parse("/providers/Microsoft.Management/managementGroups/mg").unwrap();
        assert_eq!((tenant.subscription, tenant.name, tenant.scope), (None, "mg", ""));
    }

    #[test]
    fn other_text_is_no_id() {
        for text in [
            "",
            "/",
            "vm3",
            "/subscriptions",
            "/subscriptions//x",
            "repositories/asc/images/sha256:1",
            "arn:aws:s3:::b",
            "/subscriptions/s/providers/Microsoft.Security/assessments",
        ] {
            assert_eq!(ArmId::parse(text), None, "{text}");
        }
    }
}
