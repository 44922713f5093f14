//! The load: kinds of events, one row each. A fix that can be judged by moto is one row more.

use serde_json::{Value, json};

use crate::resources::{Cloudy, SUBJECTS};
use crate::{ACCOUNT, REGION};

/// One kind of event, its fix and the writes of that fix that differ when they happen twice.
pub(crate) struct Kind {
    /// The fix, also the name of its row in [`SUBJECTS`].
    pub(crate) fix: &'static str,
    /// How many of these there are for each round through the table.
    pub(crate) weight: u64,
    /// Operations that make something new each time they are sent.
    pub(crate) once: &'static [&'static str],
    /// What of the cloud's own listing tells how often that was done: more than `limit` is twice.
    pub(crate) made: Option<Made>,
}

/// How a listing of the cloud is asked for what was made.
pub(crate) struct Made {
    /// The call that lists.
    pub(crate) call: &'static str,
    /// The name of the filter, and its value with `{}` for the resource's id.
    pub(crate) filter: (&'static str, &'static str),
    /// The member of the answer that holds the list.
    pub(crate) list: &'static str,
    /// How many there are when everything was done once.
    pub(crate) count: usize,
}

pub(crate) const KINDS: &[Kind] = &[
    Kind {
        fix: "aws-ec2-quarantine-instance",
        weight: 2,
        once: &["CreateSecurityGroup"],
        made: Some(Made {
            call: "ec2.DescribeSecurityGroups",
            filter: ("group-name", "stanch-quarantine-{}"),
            list: "SecurityGroups",
            count: 1,
        }),
    },
    Kind {
        fix: "aws-ec2-snapshot-volumes",
        weight: 2,
        once: &["CreateSnapshot"],
        made: Some(Made { call: "ec2.DescribeSnapshots", filter: ("tag:stanch:evidence", "{}"), list: "Snapshots", count: 1 }),
    },
    Kind { fix: "aws-s3-block-public-access", weight: 1, once: &[], made: None },
    Kind { fix: "aws-kms-enable-rotation", weight: 1, once: &[], made: None },
];

/// One event and what it is about.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// The finding's id at its source.
    pub(crate) id: String,
    /// The row of [`KINDS`].
    pub(crate) kind: usize,
    /// The resource's own id (`i-…`, a bucket, a key).
    pub(crate) name: String,
    /// The finding as Security Hub has it.
    pub(crate) finding: Value,
}

impl Event {
    /// The kind.
    pub(crate) fn kind(&self) -> &'static Kind {
        &KINDS[self.kind]
    }

    /// As EventBridge delivers it.
    pub(crate) fn delivery(&self) -> String {
        json!({"version": "0", "id": self.id, "detail-type": "Security Hub Findings - Imported", "source": "aws.securityhub",
            "account": ACCOUNT, "time": self.finding["UpdatedAt"], "region": REGION, "detail": {"findings": [self.finding]}})
        .to_string()
    }
}

/// The kind of the `number`th event.
pub(crate) fn kind_of(number: u64) -> usize {
    let mut at = number % KINDS.iter().map(|kind| kind.weight).sum::<u64>();
    KINDS
        .iter()
        .position(|kind| {
            let here = at < kind.weight;
            at = at.saturating_sub(kind.weight);
            here
        })
        .unwrap()
}

/// Makes a resource in moto that has the fault, and the event about it.
pub(crate) async fn make(cloud: &Cloudy, kind: usize) -> Event {
    let fix = KINDS[kind].fix;
    let subject = SUBJECTS.iter().find(|subject| subject.fix == fix).unwrap();
    let uid = cloud.prepare(fix).await;
    let name = uid.rsplit(['/', ':']).next().unwrap().to_owned();
    let fresh = uuid::Uuid::now_v7();
    let made = jiff::Timestamp::from_millisecond(crate::now()).unwrap().to_string();
    let mut finding = json!({
        "SchemaVersion": "2018-10-08", "AwsAccountId": ACCOUNT, "Region": REGION, "CreatedAt": made, "UpdatedAt": made,
        "Severity": {"Label": "HIGH"}, "Title": format!("{} on {name}", subject.rule), "Description": subject.rule,
        "Resources": [{"Type": subject.kind, "Id": uid, "Partition": "aws", "Region": REGION}],
        "Workflow": {"Status": "NEW"}, "RecordState": "ACTIVE",
    });
    let own = if subject.kind == "AwsEc2Instance" {
        json!({"Id": format!("arn:aws:guardduty:{REGION}:{ACCOUNT}:detector/d/finding/{}", fresh.simple()),
            "ProductArn": format!("arn:aws:securityhub:{REGION}::product/aws/guardduty"),
            "GeneratorId": format!("arn:aws:guardduty:{REGION}:{ACCOUNT}:detector/d"),
            "Types": [format!("TTPs/Impact/{}", subject.rule.replace('/', "-"))]})
    } else {
        json!({"Id": format!("arn:aws:securityhub:{REGION}:{ACCOUNT}:security-control/{}/finding/{fresh}", subject.rule),
            "ProductArn": format!("arn:aws:securityhub:{REGION}::product/aws/securityhub"),
            "GeneratorId": format!("security-control/{}", subject.rule),
            "Compliance": {"Status": "FAILED", "SecurityControlId": subject.rule}})
    };
    for (field, value) in own.as_object().unwrap() {
        finding[field] = value.clone();
    }
    Event { id: finding["Id"].as_str().unwrap().to_owned(), kind, name, finding }
}

/// How many of what a kind makes stand in the cloud for an event, and how many there should be.
pub(crate) async fn made(cloud: &Cloudy, event: &Event) -> Option<(usize, usize)> {
    let made = event.kind().made.as_ref()?;
    let (name, value) = made.filter;
    let filters = json!([{"Name": name, "Values": [value.replace("{}", &event.name)]}]);
    let listed = cloud.ok(made.call, json!({"Filters": filters})).await;
    Some((listed[made.list].as_array().map_or(0, Vec::len), made.count))
}
