//! Which field of OCSF comes from where, for every shape of payload.

use stanch_core::normalize::Mapping;

use super::{alert_mappings as alert, attack_path, posture_mappings as posture};

/// How each shape of Azure's payloads becomes OCSF. A payload is of the first shape whose marks it has.
pub const MAPPINGS: &[Mapping] = &[
    alert::FLAT,
    alert::SENTINEL,
    alert::ARM,
    alert::XDR_EVIDENCE,
    alert::GRAPH_OLDER,
    alert::GRAPH_NEWER,
    alert::ACTIVITY,
    alert::CLOUD_APPS,
    attack_path::MAPPING,
    posture::POLICY_EVENT,
    posture::POLICY_RESOURCE,
    posture::POLICY_ROW,
    posture::LOG_SUB_ASSESSMENT,
    posture::LOG_COMPLIANCE,
    posture::LOG_ASSESSMENT,
    posture::SQL_SCAN,
    posture::TASK,
    posture::DEVICES,
    posture::COMPLIANCE_RESULT,
    posture::ADVICE,
    posture::COMPLIANCE,
    posture::SUB_ASSESSMENT,
    posture::ASSESSMENT,
];
