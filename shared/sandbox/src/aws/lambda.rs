//! AWS Lambda: the resource policy of a function, kept as its `Statements` beside its `Configuration`.

use serde_json::{Value, json};

use super::{Call, Operation, Output, refuse};
use crate::shape::Shape::{self, Bool, Object, OneOf, Text};
use crate::world::{Stop, World, merge_members, set, text};

const ADD: Shape = Object(&[
    ("FunctionName*", Text),
    ("StatementId*", Text),
    ("Action*", Text),
    ("Principal*", Text),
    ("EventSourceToken", Text),
    ("FunctionUrlAuthType", OneOf(&["NONE", "AWS_IAM"])),
    ("InvokedViaFunctionUrl", Bool),
    ("PrincipalOrgID", Text),
    ("RevisionId", Text),
    ("SourceAccount", Text),
    ("SourceArn", Text),
]);

pub(super) const OPERATIONS: &[Operation] = &[
    Operation { name: "lambda.GetFunctionConfiguration", input: Object(&[("FunctionName*", Text)]), run: configuration },
    Operation { name: "lambda.GetPolicy", input: Object(&[("FunctionName*", Text)]), run: get },
    Operation {
        name: "lambda.RemovePermission",
        input: Object(&[("FunctionName*", Text), ("StatementId*", Text), ("RevisionId", Text)]),
        run: remove,
    },
    Operation { name: "lambda.AddPermission", input: ADD, run: add },
];

/// Gives a value a new revision, if it carries one.
pub(crate) fn new_revision(world: &mut World, value: &mut Value) {
    if value.get("RevisionId").is_some() {
        let number = world.next();
        set(value, "RevisionId", format!("{number:08x}-0000-4000-8000-00000000beef"));
    }
}

fn configuration(call: &mut Call<'_>) -> Output {
    let (arn, function) = function(call)?;
    let name = arn.rsplit(':').next().unwrap_or_default();
    let mut shown = json!({"FunctionName": name, "FunctionArn": arn});
    merge_members(&mut shown, function.get("Configuration").unwrap_or(&Value::Null));
    Ok(shown)
}

fn get(call: &mut Call<'_>) -> Output {
    let (_, function) = function(call)?;
    let statements = statements(&function);
    if statements.is_empty() {
        return Err(no_policy());
    }
    let policy = json!({"Version": "2012-10-17", "Id": "default", "Statement": statements});
    Ok(json!({"Policy": policy.to_string(), "RevisionId": text(&function, "RevisionId")}))
}

fn remove(call: &mut Call<'_>) -> Output {
    let (arn, mut function) = function(call)?;
    let mut statements = statements(&function);
    if statements.is_empty() {
        return Err(no_policy());
    }
    check_revision(call, &function)?;
    let sid = call.text("StatementId");
    let before = statements.len();
    statements.retain(|s| text(s, "Sid") != sid);
    if statements.len() == before {
        let message = format!("Statement {sid} is not found in resource policy.");
        return Err(refuse(404, "ResourceNotFoundException", &message));
    }
    set(&mut function, "Statements", statements);
    new_revision(call.world, &mut function);
    call.write(&arn, function);
    Ok(Value::Null)
}

fn add(call: &mut Call<'_>) -> Output {
    let (arn, mut function) = function(call)?;
    check_revision(call, &function)?;
    let mut statements = statements(&function);
    let sid = call.text("StatementId");
    if statements.iter().any(|s| text(s, "Sid") == sid) {
        let message = format!(
            "The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing statement."
        );
        return Err(refuse(409, "ResourceConflictException", &message));
    }
    let statement = statement(call, &arn);
    statements.push(statement.clone());
    set(&mut function, "Statements", statements);
    new_revision(call.world, &mut function);
    call.write(&arn, function);
    Ok(json!({"Statement": statement.to_string()}))
}

/// The policy statement that a permission becomes.
fn statement(call: &Call<'_>, arn: &str) -> Value {
    let principal = call.text("Principal");
    let principal = match principal {
        "*" => json!("*"),
        account if account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()) => {
            json!({"AWS": format!("arn:aws:iam::{account}:root")})
        }
        arn if arn.starts_with("arn:") => json!({"AWS": arn}),
        service => json!({"Service": service}),
    };
    let mut conditions = json!({});
    for (member, operator, key) in [
        ("EventSourceToken", "StringEquals", "lambda:EventSourceToken"),
        ("FunctionUrlAuthType", "StringEquals", "lambda:FunctionUrlAuthType"),
        ("PrincipalOrgID", "StringEquals", "aws:PrincipalOrgID"),
        ("SourceAccount", "StringEquals", "AWS:SourceAccount"),
        ("SourceArn", "ArnLike", "AWS:SourceArn"),
        ("InvokedViaFunctionUrl", "Bool", "lambda:InvokedViaFunctionUrl"),
    ] {
        if let Some(value) = call.input.get(member) {
            let value = value.as_bool().map_or_else(|| value.clone(), |b| b.to_string().into());
            let mut keys = conditions.get(operator).cloned().unwrap_or_else(|| json!({}));
            set(&mut keys, key, value);
            set(&mut conditions, operator, keys);
        }
    }
    let mut statement = json!({
        "Sid": call.text("StatementId"),
        "Effect": "Allow",
        "Principal": principal,
        "Action": call.text("Action"),
        "Resource": arn,
    });
    if conditions.as_object().is_some_and(|c| !c.is_empty()) {
        set(&mut statement, "Condition", conditions);
    }
    statement
}

/// A function by name, partial ARN or ARN.
fn function(call: &mut Call<'_>) -> Result<(String, Value), Stop> {
    let asked = call.text("FunctionName").to_owned();
    let name = asked.rsplit_once("function:").map_or(asked.as_str(), |(_, name)| name);
    let arn = call.arn("lambda", &format!("function:{name}"));
    let elsewhere = asked.starts_with("arn:") && asked != arn;
    match call.read(&arn).filter(|_| !elsewhere) {
        Some(function) => Ok((arn, function)),
        None => Err(refuse(404, "ResourceNotFoundException", &format!("Function not found: {arn}"))),
    }
}

fn statements(function: &Value) -> Vec<Value> {
    function.get("Statements").and_then(Value::as_array).cloned().unwrap_or_default()
}

fn no_policy() -> Stop {
    refuse(404, "ResourceNotFoundException", "The resource you requested does not exist.")
}

fn check_revision(call: &Call<'_>, function: &Value) -> Result<(), Stop> {
    let asked = call.text("RevisionId");
    if asked.is_empty() || asked == text(function, "RevisionId") {
        return Ok(());
    }
    let message =
        "The Revision Id provided does not match the latest Revision Id. Call the GetPolicy API to retrieve the latest Revision Id.";
    Err(refuse(412, "PreconditionFailedException", message))
}
