//! The findings behind what an insight of Security Hub names.

use aws_sdk_securityhub::types::AwsSecurityFindingFilters;
use stanch_core::port::Having;

use super::equals;

/// The active findings that have a value in common. These attributes are what managed insights group by, and what the console offers
/// for one's own (<https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-managed-insights.html>); none for others.
pub(super) fn having(having: &Having) -> Option<AwsSecurityFindingFilters> {
    let mut filters = AwsSecurityFindingFilters::builder().record_state(equals("ACTIVE")).build();
    let field = match having.attribute.as_str() {
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
    *field = Some(vec![equals(&having.value)]);
    Some(filters)
}
