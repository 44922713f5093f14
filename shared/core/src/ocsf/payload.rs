//! The parts of an OCSF event that are read, each tolerant of whatever stands in its place.

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::cloud::Text;
use crate::lenient::{LList, LMany, LOne, LText, LTime};

/// An event. `finding`, `state`, `state_id` are those of the old Security Finding (2001); `resource` of schemas up to 1.2.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow)]
    pub(super) class_uid: LText<'a>,
    pub(super) class_name: LText<'a>,
    pub(super) activity_id: LText<'a>,
    pub(super) activity_name: LText<'a>,
    pub(super) metadata: LOne<Metadata<'a>>,
    pub(super) cloud: LOne<CloudIn<'a>>,
    pub(super) finding_info: LOne<Info<'a>>,
    pub(super) finding: LOne<Info<'a>>,
    pub(super) compliance: LOne<ComplianceIn<'a>>,
    pub(super) vulnerabilities: LMany<VulnerabilityIn<'a>>,
    pub(super) remediation: LOne<RemediationIn<'a>>,
    pub(super) resources: LMany<ResourceIn<'a>>,
    pub(super) resource: LMany<ResourceIn<'a>>,
    pub(super) severity_id: LText<'a>,
    pub(super) severity: LText<'a>,
    pub(super) vendor_attributes: LOne<VendorAttributes<'a>>,
    pub(super) status_id: LText<'a>,
    pub(super) status: LText<'a>,
    pub(super) status_code: LText<'a>,
    pub(super) status_detail: LText<'a>,
    pub(super) state_id: LText<'a>,
    pub(super) state: LText<'a>,
    pub(super) verdict_id: LText<'a>,
    pub(super) risk_level: LText<'a>,
    pub(super) risk_score: LText<'a>,
    pub(super) message: LText<'a>,
    pub(super) time: LTime,
    pub(super) time_dt: LTime,
    pub(super) unmapped: LOne<UnmappedIn<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Metadata<'a> {
    #[serde(borrow)]
    pub(super) uid: LText<'a>,
    /// Prowler: the check id.
    pub(super) event_code: LText<'a>,
    pub(super) product: LOne<ProductIn<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ProductIn<'a> {
    #[serde(borrow)]
    pub(super) name: LText<'a>,
    pub(super) vendor_name: LText<'a>,
    pub(super) uid: LText<'a>,
    pub(super) version: LText<'a>,
    pub(super) feature: LOne<Named<'a>>,
}

/// An object of which only id and name are read.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Named<'a> {
    #[serde(borrow)]
    pub(super) uid: LText<'a>,
    pub(super) name: LText<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct CloudIn<'a> {
    #[serde(borrow)]
    pub(super) provider: LText<'a>,
    pub(super) region: LText<'a>,
    pub(super) account: LOne<Named<'a>>,
    /// Before 1.0.
    pub(super) account_uid: LText<'a>,
    pub(super) project_uid: LText<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Info<'a> {
    #[serde(borrow)]
    pub(super) uid: LText<'a>,
    pub(super) title: LText<'a>,
    pub(super) desc: LText<'a>,
    pub(super) types: LList<'a>,
    pub(super) analytic: LOne<Named<'a>>,
    pub(super) created_time: LTime,
    pub(super) created_time_dt: LTime,
    pub(super) modified_time: LTime,
    pub(super) modified_time_dt: LTime,
    pub(super) first_seen_time: LTime,
    pub(super) first_seen_time_dt: LTime,
    pub(super) last_seen_time: LTime,
    pub(super) last_seen_time_dt: LTime,
    /// Class 2001 only.
    pub(super) remediation: LOne<RemediationIn<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ComplianceIn<'a> {
    #[serde(borrow)]
    pub(super) control: LText<'a>,
    pub(super) standards: LList<'a>,
    pub(super) requirements: LList<'a>,
    pub(super) status_id: LText<'a>,
    pub(super) status: LText<'a>,
    pub(super) status_code: LText<'a>,
    pub(super) status_detail: LText<'a>,
    pub(super) status_details: LList<'a>,
    pub(super) assessments: LMany<Assessment<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Assessment<'a> {
    #[serde(borrow)]
    pub(super) name: LText<'a>,
    pub(super) desc: LText<'a>,
    pub(super) meets_criteria: LText<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct VulnerabilityIn<'a> {
    #[serde(borrow)]
    pub(super) cve: LOne<Cve<'a>>,
    pub(super) advisory: LOne<Named<'a>>,
    pub(super) cwe: LOne<Named<'a>>,
    pub(super) title: LText<'a>,
    pub(super) remediation: LOne<RemediationIn<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Cve<'a> {
    #[serde(borrow)]
    pub(super) uid: LText<'a>,
    pub(super) title: LText<'a>,
    pub(super) cvss: LMany<Cvss<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Cvss<'a> {
    #[serde(borrow)]
    pub(super) base_score: LText<'a>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct RemediationIn<'a> {
    #[serde(borrow)]
    pub(super) desc: LText<'a>,
    pub(super) references: LList<'a>,
    pub(super) kb_articles: LList<'a>,
    pub(super) kb_article_list: LMany<Article<'a>>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Article<'a> {
    #[serde(borrow)]
    pub(super) src_url: LText<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ResourceIn<'a> {
    #[serde(borrow)]
    pub(super) uid: LText<'a>,
    /// Security Hub V2: the ARN, where `uid` is a URL or a bare id.
    pub(super) uid_alt: LText<'a>,
    pub(super) name: LText<'a>,
    #[serde(rename = "type")]
    pub(super) kind: LText<'a>,
    pub(super) provider: LText<'a>,
    pub(super) cloud_partition: LText<'a>,
    pub(super) region: LText<'a>,
    pub(super) owner: LOne<Owner<'a>>,
    pub(super) tags: LMany<Tag<'a>>,
    pub(super) labels: LList<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Owner<'a> {
    #[serde(borrow)]
    pub(super) account: LOne<Named<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Tag<'a> {
    #[serde(borrow, alias = "key")]
    pub(super) name: LText<'a>,
    pub(super) value: LText<'a>,
    pub(super) values: LList<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct VendorAttributes<'a> {
    #[serde(borrow)]
    pub(super) severity: LText<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct UnmappedIn<'a> {
    /// Prowler: requirement ids by framework.
    #[serde(borrow)]
    pub(super) compliance: LOne<Frameworks<'a>>,
    /// What stanch itself writes there.
    pub(super) severity_original: LText<'a>,
    pub(super) status_original: LText<'a>,
    pub(super) sample: LText<'a>,
}

/// Requirement ids by framework, in the payload's order.
#[derive(Default)]
pub(super) struct Frameworks<'a>(Vec<(Text<'a>, LList<'a>)>);

impl<'a> Frameworks<'a> {
    /// Standards, and requirements as `framework id`.
    pub(super) fn split(self) -> (Vec<Text<'a>>, Vec<Text<'a>>) {
        let requirements = self.0.iter().flat_map(|(name, ids)| ids.0.iter().map(move |id| Text::from(format!("{name} {id}")))).collect();
        (self.0.into_iter().map(|(name, _)| name).collect(), requirements)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Frameworks<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct V;
        impl<'de> Visitor<'de> for V {
            type Value = Frameworks<'de>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("requirement ids by framework")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some((LText(name), ids)) = map.next_entry::<LText<'de>, LList<'de>>()? {
                    list.extend(name.map(|name| (name, ids)));
                }
                Ok(Frameworks(list))
            }
        }
        deserializer.deserialize_map(V)
    }
}
