//! The findings behind what an insight of Security Hub names.

use aws_sdk_securityhub::types::AwsSecurityFindingFilters;
use stanch_core::finding::{Source, SourceRef};
use stanch_core::port::{BoxFuture, Listed, SourceError};

use super::list::{ROWS, listed, unread};
use super::{Answer, Failure, SecurityHubSource, equals};
use crate::normalize::Insight;

impl SecurityHubSource {
    /// One page of the active findings that have `id`, one of [`Insight::ids`], for the attribute the insight groups by. `page` is
    /// the last page's `next`. An attribute that Security Hub does not filter by is an error that is not worth trying again.
    pub fn of_insight<'a>(
        &'a self,
        insight: &'a Insight<'_>,
        id: &'a str,
        page: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Listed, SourceError>> {
        Box::pin(async move {
            let about = SourceRef {
                id: id.into(),
                account: insight.account.as_deref().map(Into::into),
                location: insight.region.as_deref().map(Into::into),
                ..SourceRef::default()
            };
            self.about(&about, &insight.attribute, page).await.map_err(|e| e.told("list", Source::SecurityHub, &about))
        })
    }

    async fn about(&self, about: &SourceRef<'_>, attribute: &str, page: Option<&str>) -> Result<Listed, Failure> {
        let Some(filters) = having(attribute, &about.id) else {
            let reason = format!("Security Hub does not filter findings by `{attribute}`");
            return Err(Failure { reason, retry: false });
        };
        let answer = Answer::default();
        let call = self.client(about).await?.get_findings().filters(filters).max_results(ROWS);
        let call = call.set_next_token(page.map(str::to_owned)).customize().interceptor(answer.clone());
        let failure = unread(call.send().await)?;
        listed(&answer.text(), failure, |_| true)
    }
}

/// The filter for one attribute. These are what managed insights group by, and what the console offers for one's own
/// (<https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-managed-insights.html>).
fn having(attribute: &str, value: &str) -> Option<AwsSecurityFindingFilters> {
    let mut filters = AwsSecurityFindingFilters::builder().record_state(equals("ACTIVE")).build();
    let field = match attribute {
        "AwsAccountId" => &mut filters.aws_account_id,
        "AwsAccountName" => &mut filters.aws_account_name,
        "CompanyName" => &mut filters.company_name,
        "ComplianceAssociatedStandardsId" => &mut filters.compliance_associated_standards_id,
        "ComplianceSecurityControlId" => &mut filters.compliance_security_control_id,
        "ComplianceStatus" => &mut filters.compliance_status,
        "GeneratorId" => &mut filters.generator_id,
        "MalwareName" => &mut filters.malware_name,
        "MalwareType" => &mut filters.malware_type,
        "ProductArn" => &mut filters.product_arn,
        "ProductName" => &mut filters.product_name,
        "Region" => &mut filters.region,
        "ResourceApplicationName" => &mut filters.resource_application_name,
        "ResourceAwsEc2InstanceImageId" => &mut filters.resource_aws_ec2_instance_image_id,
        "ResourceAwsEc2InstanceSubnetId" => &mut filters.resource_aws_ec2_instance_subnet_id,
        "ResourceAwsEc2InstanceType" => &mut filters.resource_aws_ec2_instance_type,
        "ResourceAwsEc2InstanceVpcId" => &mut filters.resource_aws_ec2_instance_vpc_id,
        // The user name is the old name of the principal's.
        "ResourceAwsIamAccessKeyPrincipalName" | "ResourceAwsIamAccessKeyUserName" => {
            &mut filters.resource_aws_iam_access_key_principal_name
        }
        "ResourceAwsIamUserUserName" => &mut filters.resource_aws_iam_user_user_name,
        "ResourceAwsS3BucketOwnerName" => &mut filters.resource_aws_s3_bucket_owner_name,
        "ResourceContainerImageId" => &mut filters.resource_container_image_id,
        "ResourceContainerImageName" => &mut filters.resource_container_image_name,
        "ResourceContainerName" => &mut filters.resource_container_name,
        "ResourceId" => &mut filters.resource_id,
        "ResourceRegion" => &mut filters.resource_region,
        "ResourceType" => &mut filters.resource_type,
        "SeverityLabel" => &mut filters.severity_label,
        "Title" => &mut filters.title,
        "Type" => &mut filters.r#type,
        "VerificationState" => &mut filters.verification_state,
        "WorkflowStatus" => &mut filters.workflow_status,
        _ => return None,
    };
    *field = Some(vec![equals(value)]);
    Some(filters)
}
