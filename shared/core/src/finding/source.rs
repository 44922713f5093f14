//! The products findings come from.

use serde::{Deserialize, Serialize};

use super::Millis;

/// Who sent the finding, and so how its status is written back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Defender for Cloud security alert.
    DefenderAlert,
    /// Defender for Cloud recommendation (assessment).
    DefenderAssessment,
    /// Defender for Cloud sub-assessment.
    DefenderSubAssessment,
    /// Defender for Cloud regulatory compliance assessment.
    DefenderCompliance,
    /// Alert of another Microsoft security product (Defender for Endpoint, Defender for IoT, Defender for Cloud Apps, Sentinel …),
    /// or of Defender for Cloud where only the number is told that Defender XDR gave it. Defender for Cloud's API knows neither.
    DefenderXdr,
    /// Azure Policy compliance state.
    AzurePolicy,
    /// AWS Security Hub CSPM, ASFF.
    SecurityHub,
    /// AWS Security Hub, OCSF (`Findings Imported V2`).
    SecurityHubV2,
    /// Google Security Command Center.
    Scc,
    /// Prowler's OCSF output.
    Prowler,
    /// Any other OCSF producer.
    Ocsf,
}

impl Source {
    /// The name used on the command line, in rules and in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::DefenderAlert => "defender-alert",
            Source::DefenderAssessment => "defender-assessment",
            Source::DefenderSubAssessment => "defender-sub-assessment",
            Source::DefenderCompliance => "defender-compliance",
            Source::DefenderXdr => "defender-xdr",
            Source::AzurePolicy => "azure-policy",
            Source::SecurityHub => "security-hub",
            Source::SecurityHubV2 => "security-hub-v2",
            Source::Scc => "scc",
            Source::Prowler => "prowler",
            Source::Ocsf => "ocsf",
        }
    }

    /// The longest the source may go on reporting a fault that is gone: after it, "still reported" is news and not delay. Upper
    /// bounds, because calling a fix doubtful too early costs people's time and too late costs nothing.
    pub fn latency_ms(self) -> Millis {
        const HOUR: Millis = 3_600_000;
        match self {
            // Alerts are not measured again; their status is what was last written, and reads back within minutes.
            Source::DefenderAlert | Source::DefenderXdr => HOUR / 4,
            // Minutes to days: each recommendation has a freshness interval of 30 minutes to 24 hours, those made by policy follow its
            // daily scan (learn.microsoft.com, defender-for-cloud: review-security-recommendations; governance/policy: get-compliance-data).
            Source::DefenderAssessment => 48 * HOUR,
            // Databases are scanned once a week (learn.microsoft.com, defender-for-cloud: sql-azure-vulnerability-assessment-overview);
            // registries and machines daily. A day on top, as above.
            Source::DefenderSubAssessment => 8 * 24 * HOUR,
            // Computed about every 12 hours from the recommendations (learn.microsoft.com, defender-for-cloud:
            // regulatory-compliance-dashboard).
            Source::DefenderCompliance => 60 * HOUR,
            // Azure Policy: evaluated once a day; a change of the resource shows within 30 minutes (learn.microsoft.com,
            // governance/policy: get-compliance-data). An hour for delivery. Security Hub: periodic checks run within 12 or 24 hours of the last, those triggered by changes at once, and 18-hourly without any (AWS
            // Security Hub user guide, securityhub-standards-schedule). An hour for AWS Config and delivery.
            Source::AzurePolicy | Source::SecurityHub | Source::SecurityHubV2 => 25 * HOUR,
            // Detectors without real-time mode scan once a day, and a scan takes hours in a large organization
            // (cloud.google.com, security-command-center: concepts-scan-latency-overview, custom-modules-sha-overview).
            Source::Scc => 36 * HOUR,
            // They report when their owner runs them; weekly is the longest common schedule.
            Source::Prowler | Source::Ocsf => 7 * 24 * HOUR,
        }
    }

    /// Whether the source can be asked about a finding with our own credentials (and so may contain).
    pub fn can_be_asked(self) -> bool {
        !matches!(self, Source::DefenderXdr | Source::Prowler | Source::Ocsf)
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
