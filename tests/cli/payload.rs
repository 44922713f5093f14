//! Small events of each source.

pub(crate) const STORAGE_ACCOUNT: &str =
    "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shopinvoices";

/// A recommendation of Defender for Cloud, as continuous export sends it.
pub(crate) const ASSESSMENT: &str = r#"{
  "id": "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shopinvoices/providers/Microsoft.Security/assessments/51fd8bb1-0db4-bbf1-7e2b-cfcba7eb66a6",
  "name": "51fd8bb1-0db4-bbf1-7e2b-cfcba7eb66a6",
  "type": "Microsoft.Security/assessments",
  "properties": {
    "displayName": "Storage account public access should be disallowed",
    "status": {"code": "Unhealthy"},
    "resourceDetails": {
      "source": "Azure",
      "id": "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shopinvoices"
    },
    "metadata": {"severity": "Medium", "displayName": "Storage account public access should be disallowed"}
  }
}"#;

/// A control finding of Security Hub, as EventBridge delivers it.
pub(crate) const SECURITY_HUB: &str = r#"{
  "version": "0", "id": "e-1", "source": "aws.securityhub", "detail-type": "Security Hub Findings - Imported",
  "account": "111122223333", "region": "eu-west-1",
  "detail": {"findings": [{
    "SchemaVersion": "2018-10-08",
    "Id": "arn:aws:securityhub:eu-west-1:111122223333:security-control/S3.8/finding/1",
    "ProductArn": "arn:aws:securityhub:eu-west-1::product/aws/securityhub",
    "GeneratorId": "security-control/S3.8",
    "AwsAccountId": "111122223333",
    "Title": "S3 general purpose buckets should block public access",
    "Severity": {"Label": "HIGH"},
    "Compliance": {"Status": "FAILED", "SecurityControlId": "S3.8"},
    "Workflow": {"Status": "NEW"}, "RecordState": "ACTIVE",
    "Resources": [{"Type": "AwsS3Bucket", "Id": "arn:aws:s3:::shop-invoices", "Region": "eu-west-1"}]
  }]}
}"#;

/// A notification of Security Command Center.
pub(crate) const SCC: &str = r#"{
  "notificationConfigName": "organizations/1/locations/global/notificationConfigs/all",
  "finding": {
    "name": "organizations/1/sources/2/locations/global/findings/3",
    "category": "PUBLIC_BUCKET_ACL",
    "state": "ACTIVE",
    "findingClass": "MISCONFIGURATION",
    "severity": "HIGH",
    "resourceName": "//storage.googleapis.com/shop-exports",
    "eventTime": "2025-11-02T08:00:00Z"
  },
  "resource": {
    "name": "//storage.googleapis.com/shop-exports",
    "type": "google.cloud.storage.Bucket",
    "gcpMetadata": {"project": "//cloudresourcemanager.googleapis.com/projects/1001"}
  }
}"#;

/// One result of Prowler's OCSF output.
pub(crate) const PROWLER: &str = r#"{
  "class_uid": 2004,
  "status_code": "FAIL",
  "severity_id": 4,
  "metadata": {"event_code": "s3_bucket_level_public_access_block", "product": {"name": "Prowler", "vendor_name": "Prowler"}},
  "finding_info": {"uid": "prowler-aws-1", "title": "Bucket blocks public access", "created_time": 1762070400},
  "cloud": {"provider": "aws", "account": {"uid": "111122223333"}, "region": "eu-west-1"},
  "resources": [{"uid": "arn:aws:s3:::shop-invoices", "type": "AwsS3Bucket", "region": "eu-west-1"}]
}"#;

/// The same producer on the storage account: a source that takes no status back.
pub(crate) const PROWLER_AZURE: &str = r#"{
  "class_uid": 2004,
  "status_code": "FAIL",
  "severity_id": 4,
  "metadata": {"event_code": "storage_blob_public_access_level_is_disabled", "product": {"name": "Prowler", "vendor_name": "Prowler"}},
  "finding_info": {"uid": "prowler-azure-1", "title": "Blobs are not public", "created_time": 1762070400},
  "cloud": {"provider": "azure", "account": {"uid": "00000000-0000-4000-8000-000000000001"}, "region": "westeurope"},
  "resources": [{
    "uid": "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/shop/providers/Microsoft.Storage/storageAccounts/shopinvoices",
    "type": "Microsoft.Storage/storageAccounts"
  }]
}"#;
