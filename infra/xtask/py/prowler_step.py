"""How long Prowler takes to make OCSF of one finding of its own: the step beside which `cargo xtask bench` puts normalising.

    prowler_step.py

Prints microseconds a finding, the median of nine rounds: the model of the event alone, and the event as JSON. Prowler works on
the finding it has just made; it neither receives nor parses one, so this is the smaller part of what a receiver does.
"""

import statistics
import time
from datetime import datetime, timezone

from prowler.lib.check.models import CheckMetadata
from prowler.lib.outputs.finding import Finding
from prowler.lib.outputs.ocsf.ocsf import OCSF

COUNT, ROUNDS = 2_000, 9


def finding():
    code = {"NativeIaC": "", "Terraform": "", "CLI": "", "Other": ""}
    text = "Block public access at the level of the bucket, or of the whole account."
    metadata = CheckMetadata(
        Provider="aws",
        CheckID="s3_bucket_level_public_access_block",
        CheckTitle="S3 bucket has public access blocked",
        CheckType=["Software and Configuration Checks/AWS Security Best Practices"],
        CheckAliases=[],
        ServiceName="s3",
        SubServiceName="",
        ResourceIdTemplate="",
        Severity="high",
        ResourceType="AwsS3Bucket",
        ResourceGroup="storage",
        Description="Whether the bucket blocks public access.",
        Risk="Anybody can read what the bucket holds.",
        RelatedUrl="",
        Remediation={"Code": code, "Recommendation": {"Text": text, "Url": "https://hub.prowler.com/check/x"}},
        Categories=["internet-exposed"],
        DependsOn=[],
        RelatedTo=[],
        Notes="",
        Compliance=[],
    )
    return Finding(
        auth_method="profile: default",
        timestamp=datetime(2026, 9, 21, 6, 41, 37, tzinfo=timezone.utc),
        account_uid="111122223333",
        account_name="shop",
        metadata=metadata,
        uid="prowler-aws-s3_bucket_level_public_access_block-111122223333-eu-west-1-shop-invoices",
        status="FAIL",
        status_extended="Block Public Access is not on for the S3 bucket shop-invoices.",
        resource_uid="arn:aws:s3:::shop-invoices",
        resource_metadata={f"field{n}": f"value number {n} of a field that no rule looks at" for n in range(60)},
        resource_name="shop-invoices",
        resource_details="",
        resource_tags={"env": "prod", "team": "shop"},
        partition="aws",
        region="eu-west-1",
        compliance={"CIS-3.0": ["2.1.4"], "AWS-Foundational-Security-Best-Practices": ["s3"]},
    )


def timed(step, events):
    start = time.perf_counter()
    done = step(events)
    return (time.perf_counter() - start) / COUNT * 1e6, done


def main():
    findings = [finding()] * COUNT
    model, text = [], []
    for _ in range(ROUNDS):
        took, made = timed(lambda findings: OCSF(findings).data, findings)
        if len(made) != COUNT:
            raise SystemExit("Prowler made no event of its own finding")
        model.append(took)
        took_json, _ = timed(lambda made: [event.json(exclude_none=True) for event in made], made)
        text.append(took + took_json)
    print(f"{statistics.median(model):.1f} {statistics.median(text):.1f}")


if __name__ == "__main__":
    main()
