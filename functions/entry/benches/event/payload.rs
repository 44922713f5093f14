//! One payload of each source, of the usual size, and the floor of each: the fields a reader needs, by a typed parse alone.

use std::fmt::Write;

use serde::Deserialize;
use stanch_core::normalize::Normalized;

/// A source.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Payload {
    /// Security Hub by EventBridge, ASFF.
    SecurityHub,
    /// A Defender alert of the continuous export.
    DefenderAlert,
    /// A Security Command Center notification.
    Scc,
}

/// All of them.
pub(crate) const PAYLOADS: [Payload; 3] = [Payload::SecurityHub, Payload::DefenderAlert, Payload::Scc];

impl Payload {
    /// Its text.
    pub(crate) fn text(self) -> String {
        match self {
            Payload::SecurityHub => security_hub(),
            Payload::DefenderAlert => defender_alert(),
            Payload::Scc => scc(),
        }
    }

    /// Whether a typed parse of it succeeds.
    pub(crate) fn parse(self, text: &str) -> bool {
        match self {
            Payload::SecurityHub => serde_json::from_str::<HubEvent<'_>>(text).is_ok(),
            Payload::DefenderAlert => serde_json::from_str::<Alert<'_>>(text).is_ok(),
            Payload::Scc => serde_json::from_str::<Notification<'_>>(text).is_ok(),
        }
    }

    /// Its findings.
    pub(crate) fn normalize(self, text: &str) -> Normalized<'_> {
        match self {
            Payload::SecurityHub => stanch_aws::normalize(text),
            Payload::DefenderAlert => stanch_azure::normalize_alert(text),
            Payload::Scc => stanch_gcp::normalize(text),
        }
    }
}

/// Fields that nobody looks at: they make most of an event.
fn filler(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, n| {
        let _ = write!(text, "\"Field{n}\":\"value number {n} of a field that no rule looks at\",");
        text
    })
}

fn security_hub() -> String {
    let details = filler(60);
    format!(
        r#"{{"version":"0","id":"8e5622f9-d81c-4d81-612a-9319e7ee2506","detail-type":"Security Hub Findings - Imported","source":"aws.securityhub",
"account":"111122223333","time":"2026-09-21T06:41:37Z","region":"eu-west-1","resources":["arn:aws:securityhub:eu-west-1::product/aws/securityhub/x"],
"detail":{{"findings":[{{"SchemaVersion":"2018-10-08","Id":"arn:aws:securityhub:eu-west-1:111122223333:security-control/S3.8/finding/0d4c7e5e",
"ProductArn":"arn:aws:securityhub:eu-west-1::product/aws/securityhub","ProductName":"Security Hub","CompanyName":"AWS","Region":"eu-west-1",
"GeneratorId":"security-control/S3.8","AwsAccountId":"111122223333","Types":["Software and Configuration Checks/Industry and Regulatory Standards"],
"FirstObservedAt":"2026-09-20T06:41:37.123Z","LastObservedAt":"2026-09-21T06:41:37.123Z","CreatedAt":"2026-09-20T06:41:37.123Z","UpdatedAt":"2026-09-21T06:41:37.123Z",
"Severity":{{"Label":"HIGH","Normalized":70,"Original":"HIGH"}},"Title":"S3 general purpose buckets should block public access",
"Description":"This control checks if an Amazon S3 general purpose bucket blocks public access at the bucket level.",
"Remediation":{{"Recommendation":{{"Text":"For information on how to correct this issue, consult the documentation.","Url":"https://docs.aws.amazon.com/console/securityhub/S3.8/remediation"}}}},
"ProductFields":{{"aws/securityhub/ProductName":"Security Hub","Resources:0/Id":"arn:aws:s3:::shop-invoices"}},
"Resources":[{{"Type":"AwsS3Bucket","Id":"arn:aws:s3:::shop-invoices","Partition":"aws","Region":"eu-west-1","Tags":{{"env":"prod","team":"shop"}},
"Details":{{"AwsS3Bucket":{{{details}"OwnerId":"x"}}}}}}],
"Compliance":{{"Status":"FAILED","SecurityControlId":"S3.8","AssociatedStandards":[{{"StandardsId":"standards/aws-foundational-security-best-practices/v/1.0.0"}}]}},
"WorkflowState":"NEW","Workflow":{{"Status":"NEW"}},"RecordState":"ACTIVE"}}]}}}}"#
    )
}

fn defender_alert() -> String {
    let (entities, properties) = (filler(40), filler(20));
    format!(
        r#"{{"VendorName":"Microsoft","AlertType":"VM_SuspiciousLogin","StartTimeUtc":"2026-09-20T06:41:37.1234567Z","EndTimeUtc":"2026-09-20T06:51:37Z",
"ProcessingEndTime":"2026-09-20T06:52:00Z","TimeGenerated":"2026-09-20T06:52:01Z","ProductName":"Microsoft Defender for Cloud","ProductComponentName":"Servers",
"Severity":"High","ConfidenceScore":null,"Status":"New","SystemAlertId":"2518298467986649999_4d25bfef-2d77-4a08-adc0-3e35715cc92a",
"CompromisedEntity":"vm1","Intent":"Persistence, CredentialAccess","AlertDisplayName":"Suspicious login to a virtual machine",
"Description":"A login from an address that is known for attacks succeeded.","WorkspaceId":"f0b1","WorkspaceSubscriptionId":"212f9889-769e-45ae-ab43-6da33674bd26",
"AlertUri":"https://portal.azure.com/#blade/Microsoft_Azure_Security/AlertBlade/alertId/2518298467986649999_4d25bfef",
"ResourceIdentifiers":[{{"$id":"centralus_1","AzureResourceId":"/subscriptions/212f9889-769e-45ae-ab43-6da33674bd26/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/vm1","Type":"AzureResource","AzureResourceTenantId":"72f988bf-86f1-41af-91ab-2d7cd011db47"}}],
"RemediationSteps":["Reset the password of the account.","Limit who may log in from the internet."],
"Entities":[{{"$id":"centralus_2","HostName":"vm1",{entities}"Type":"host"}}],"ExtendedProperties":{{{properties}"resourceType":"Virtual Machine"}},"ExtendedLinks":[]}}"#
    )
}

fn scc() -> String {
    let (properties, more) = (filler(40), filler(10));
    format!(
        r#"{{"notificationConfigName":"organizations/1055058813388/notificationConfigs/stanch","finding":{{"name":"organizations/1055058813388/sources/5678/findings/0d4c7e5e9a",
"canonicalName":"projects/459837319394/sources/5678/findings/0d4c7e5e9a","parent":"organizations/1055058813388/sources/5678",
"resourceName":"//storage.googleapis.com/shop-invoices","state":"ACTIVE","category":"PUBLIC_BUCKET_ACL","externalUri":"https://console.cloud.google.com/storage/browser/shop-invoices",
"sourceProperties":{{{properties}"Recommendation":"Go to the bucket and remove allUsers."}},"securityMarks":{{"name":"organizations/1055058813388/sources/5678/findings/0d4c7e5e9a/securityMarks"}},
"eventTime":"2026-09-21T06:41:37.123456Z","createTime":"2026-09-20T06:41:37.123Z","severity":"HIGH","mute":"UNMUTED","findingClass":"MISCONFIGURATION",
"compliances":[{{"standard":"cis","version":"1.2","ids":["5.1"]}},{{"standard":"pci","version":"3.2.1","ids":["1.2.1"]}}],
"parentDisplayName":"Security Health Analytics","description":"Anybody can read what the bucket holds."}},
"resource":{{"name":"//storage.googleapis.com/shop-invoices","displayName":"shop-invoices","type":"google.cloud.storage.Bucket",{more}"cloudProvider":"GOOGLE_CLOUD_PLATFORM",
"service":"storage.googleapis.com","location":"europe-west1","gcpMetadata":{{"project":"//cloudresourcemanager.googleapis.com/projects/459837319394","projectDisplayName":"shop-prod","organization":"organizations/1055058813388"}}}}}}"#
    )
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the parse is what is measured")]
struct HubEvent<'a> {
    #[serde(borrow)]
    detail: Detail<'a>,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Detail<'a> {
    #[serde(borrow)]
    findings: Vec<HubFinding<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "the parse is what is measured")]
struct HubFinding<'a> {
    id: &'a str,
    product_arn: &'a str,
    generator_id: &'a str,
    aws_account_id: &'a str,
    created_at: &'a str,
    updated_at: &'a str,
    title: &'a str,
    description: &'a str,
    #[serde(borrow)]
    severity: Severity<'a>,
    #[serde(borrow)]
    resources: Vec<HubResource<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Severity<'a> {
    label: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "the parse is what is measured")]
struct HubResource<'a> {
    id: &'a str,
    #[serde(rename = "Type")]
    kind: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Alert<'a> {
    system_alert_id: &'a str,
    alert_type: &'a str,
    alert_display_name: &'a str,
    description: &'a str,
    severity: &'a str,
    status: &'a str,
    intent: &'a str,
    time_generated: &'a str,
    start_time_utc: &'a str,
    #[serde(borrow)]
    resource_identifiers: Vec<AlertResource<'a>>,
    #[serde(borrow)]
    remediation_steps: Vec<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "the parse is what is measured")]
struct AlertResource<'a> {
    azure_resource_id: &'a str,
}

#[derive(Deserialize)]
#[expect(dead_code, reason = "the parse is what is measured")]
struct Notification<'a> {
    #[serde(borrow)]
    finding: SccFinding<'a>,
    #[serde(borrow)]
    resource: SccResource<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "the parse is what is measured")]
struct SccFinding<'a> {
    name: &'a str,
    resource_name: &'a str,
    state: &'a str,
    category: &'a str,
    event_time: &'a str,
    create_time: &'a str,
    severity: &'a str,
    finding_class: &'a str,
    description: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "the parse is what is measured")]
struct SccResource<'a> {
    display_name: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    location: &'a str,
}
