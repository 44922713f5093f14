//! Amazon S3: the public access block of a bucket.

use serde_json::{Map, Value, json};

use super::{Call, Operation, Output, refuse};
use crate::shape::Shape::{self, Bool, Object, Text};
use crate::world::{Stop, set, text, unset};

/// Members of a public access block; what a request leaves out is off.
const BLOCKS: [&str; 4] = ["BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"];
const MEMBER: &str = "PublicAccessBlockConfiguration";

pub(super) const BLOCK: Shape =
    Object(&[("BlockPublicAcls", Bool), ("IgnorePublicAcls", Bool), ("BlockPublicPolicy", Bool), ("RestrictPublicBuckets", Bool)]);
const NAMED: Shape = Object(&[("Bucket*", Text), ("ExpectedBucketOwner", Text)]);
const PUT: Shape = Object(&[("Bucket*", Text), ("ExpectedBucketOwner", Text), ("PublicAccessBlockConfiguration*", BLOCK)]);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation { name: "s3.HeadBucket", input: NAMED, run: head },
    Operation { name: "s3.GetPublicAccessBlock", input: NAMED, run: |call| bucket(call).and_then(|(_, bucket)| get_block(&bucket)) },
    Operation {
        name: "s3.PutPublicAccessBlock",
        input: PUT,
        run: |call| {
            let (arn, mut bucket) = bucket(call)?;
            put_block(call.input, &mut bucket);
            call.write(&arn, bucket);
            Ok(Value::Null)
        },
    },
    Operation {
        name: "s3.DeletePublicAccessBlock",
        input: NAMED,
        run: |call| {
            let (arn, mut bucket) = bucket(call)?;
            unset(&mut bucket, MEMBER);
            call.write(&arn, bucket);
            Ok(Value::Null)
        },
    },
];

/// Reads a block out of a bucket or an account.
pub(super) fn get_block(holder: &Value) -> Output {
    match holder.get(MEMBER) {
        Some(block) => Ok(json!({MEMBER: block})),
        None => Err(refuse(404, "NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")),
    }
}

/// Writes the block of a request into a bucket or an account.
pub(super) fn put_block(input: &Map<String, Value>, holder: &mut Value) {
    let given = input.get(MEMBER);
    let block = BLOCKS.map(|name| (name.to_owned(), given.and_then(|g| g.get(name)).cloned().unwrap_or(Value::Bool(false))));
    set(holder, MEMBER, block.into_iter().collect::<Map<_, _>>());
}

fn head(call: &mut Call<'_>) -> Output {
    match bucket(call) {
        Ok((arn, bucket)) => Ok(json!({"BucketArn": arn, "BucketRegion": text(&bucket, "Region")})),
        // The answer to HEAD has no body that could name the fault.
        Err(Stop::Fault(fault)) if fault.status == 404 => Err(refuse(404, "NotFound", "status 404 without an error document")),
        Err(Stop::Fault(fault)) if fault.status == 403 => Err(refuse(403, "Forbidden", "status 403 without an error document")),
        Err(stop) => Err(stop),
    }
}

fn bucket(call: &mut Call<'_>) -> Result<(String, Value), Stop> {
    let arn = format!("arn:aws:s3:::{}", call.text("Bucket"));
    let bucket = call.read(&arn).ok_or_else(|| refuse(404, "NoSuchBucket", "The specified bucket does not exist"))?;
    let owner = text(&bucket, "Owner");
    let expected = call.input.get("ExpectedBucketOwner").and_then(Value::as_str).unwrap_or(owner);
    if owner != call.account || expected != owner {
        return Err(refuse(403, "AccessDenied", "Access Denied"));
    }
    let region = text(&bucket, "Region");
    if call.region.is_some_and(|asked| asked != region) {
        let message = format!("The bucket you are attempting to access must be addressed using the specified endpoint: {region}");
        return Err(refuse(301, "PermanentRedirect", &message));
    }
    Ok((arn, bucket))
}
