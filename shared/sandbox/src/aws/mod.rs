//! AWS: operations by name, with members named as in the service models.

mod cloudtrail;
mod ec2;
mod iam;
mod kms;
mod lambda;
mod rds;
mod s3;
mod s3control;
mod sts;

use serde_json::{Map, Value, json};
use stanch_core::api::{ApiRequest, ApiResponse};
use stanch_core::cloud::Cloud;

pub(crate) use lambda::new_revision;

use crate::shape::{Null, Shape};
use crate::world::{Answer, Stop, World};

/// One operation that is simulated.
struct Operation {
    /// `ec2.DescribeInstances`.
    name: &'static str,
    input: Shape,
    run: fn(&mut Call<'_>) -> Output,
}

/// What an operation gives: its output, `null` when it has none.
type Output = Result<Value, Stop>;

/// A call of one operation.
struct Call<'a> {
    world: &'a mut World,
    account: &'a str,
    region: Option<&'a str>,
    input: &'a Map<String, Value>,
}

/// Services that are called without a region.
const GLOBAL: &[&str] = &["iam", "s3", "s3control", "sts"];

/// Plays one call.
pub(crate) fn answer(world: &mut World, request: &ApiRequest, service: &str, operation: &str, input: &Map<String, Value>) -> Answer {
    let tables: [&[Operation]; 9] = [
        cloudtrail::OPERATIONS,
        ec2::OPERATIONS,
        iam::OPERATIONS,
        kms::OPERATIONS,
        lambda::OPERATIONS,
        rds::OPERATIONS,
        s3::OPERATIONS,
        s3control::OPERATIONS,
        sts::OPERATIONS,
    ];
    let name = request.name();
    let Some(known) = tables.into_iter().flatten().find(|o| o.name == name) else {
        return Err(Stop::NotSimulated(format!("the sandbox does not play operation {operation} of {service}")));
    };
    if request.region.is_none() && !GLOBAL.contains(&service) {
        return Err(Stop::NotSimulated("the request names no region".to_owned()));
    }
    if let Some(problem) = known.input.problem(&Value::Object(input.clone()), "", Null::Wrong) {
        return Err(refuse(400, "ValidationException", &problem));
    }
    if service == "ec2" && input.get("DryRun") == Some(&Value::Bool(true)) {
        return Err(refuse(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."));
    }
    let mut call = Call { world, account: &request.account, region: request.region.as_deref(), input };
    (known.run)(&mut call).map(ApiResponse::ok)
}

impl Call<'_> {
    fn text(&self, member: &str) -> &str {
        self.input.get(member).and_then(Value::as_str).unwrap_or_default()
    }

    fn region(&self) -> &str {
        self.region.unwrap_or("us-east-1")
    }

    /// `arn:aws:{service}:{region}:{account}:{resource}`.
    fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:aws:{service}:{}:{}:{resource}", self.region(), self.account)
    }

    fn read(&mut self, arn: &str) -> Option<Value> {
        self.world.read(Cloud::Aws, arn)
    }

    fn write(&mut self, arn: &str, value: Value) {
        self.world.write(Cloud::Aws, arn, value);
    }

    /// The account's own settings; every account has them.
    fn account_settings(&mut self) -> (String, Value) {
        let id = format!("AWS::::Account:{}", self.account);
        let settings = self.read(&id).unwrap_or_else(|| json!({"AccountId": self.account}));
        (id, settings)
    }

    /// A new number in hexadecimal, as long as EC2's ids.
    fn new_id(&mut self, prefix: &str) -> String {
        format!("{prefix}-{:017x}", 0x0f00_0000_0000_0000_u64 + self.world.next())
    }
}

fn refuse(status: u16, code: &str, message: &str) -> Stop {
    ApiResponse::fault(status, code, message).into()
}

/// The texts of a list member.
fn texts(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}
