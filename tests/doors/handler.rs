//! `handler` as the Functions host drives it.

use serde_json::{Value, json};

use crate::account::azurite;
use crate::{Program, client, event};

async fn invoke(program: &Program, function: &str, body: String) -> (u16, String) {
    let answer =
        client().post(format!("{}/{function}", program.url)).header("content-type", "application/json").body(body).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn hosted(binding: &str, value: impl Into<Value>) -> String {
    json!({"Data": {binding: value.into()}, "Metadata": {"sys": {"MethodName": "x"}}}).to_string()
}

fn alert() -> &'static str {
    include_str!("../../functions/defender-alert/fixtures/alert.json")
}

#[tokio::test]
async fn every_encoding_of_the_host_gives_the_finding_and_never_an_empty_body() {
    let program = Program::handler().await;
    let once = serde_json::to_string(alert()).unwrap();
    let array = serde_json::to_string(&[alert()]).unwrap();
    let object: Value = serde_json::from_str(alert()).unwrap();
    for value in [json!(alert()), json!(once), json!(array), json!(serde_json::to_string(&array).unwrap()), object] {
        let (status, text) = invoke(&program, "defender-alert", hosted("events", value.clone())).await;
        assert_eq!(status, 200, "{value}: {text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        assert!(
            answer["Outputs"].is_object() && answer["Logs"][0].as_str().unwrap().contains("opened") || text.contains("known"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn one_bad_event_neither_loses_nor_repeats_the_others() {
    let program = Program::handler().await;
    let batch = serde_json::to_string(&[alert(), "{\"broken\":", "{\"x\":1}"]).unwrap();
    let (status, text) = invoke(&program, "defender-alert", hosted("events", batch)).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains("opened") && text.contains("refused"), "{text}");
}

#[tokio::test]
async fn an_http_trigger_is_answered_with_an_object_that_the_host_cannot_misread() {
    let program = Program::handler().await;
    let request =
        json!({"Url": "http://x/api/securityhub-finding", "Method": "POST", "Query": "{}", "Headers": {}, "Body": event("shop-a")});
    let (status, text) = invoke(&program, "securityhub-finding", hosted("req", request)).await;
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["Outputs"]["res"]["statusCode"], 202, "{text}");
    assert!(answer["Outputs"]["res"]["body"].as_str().unwrap().starts_with('{'), "{text}");

    let nonsense = json!({"Url": "http://x", "Method": "POST", "Query": "{}", "Body": "not json"});
    let (status, text) = invoke(&program, "securityhub-finding", hosted("req", nonsense)).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &answer["Outputs"]["res"]["statusCode"]), (200, &json!(400)), "{text}");
}

/// Event Grid asks before it sends: in its own schema by an event, in CloudEvents by an `OPTIONS` request.
#[tokio::test]
async fn a_sender_that_asks_whether_it_may_deliver_is_answered_as_its_protocol_says() {
    let program = Program::handler().await;
    let ask = json!([{"id": "1", "topic": "t", "subject": "", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "eventTime": "2026-01-01T00:00:00Z", "dataVersion": "2", "data": {"validationCode": "512d38b6"}}]);
    let request = json!({"Url": "http://x", "Method": "POST", "Query": "{}", "Headers": {}, "Body": ask.to_string()});
    let (_, text) = invoke(&program, "ocsf-finding", hosted("req", request)).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["Outputs"]["res"]["statusCode"], 200, "{text}");
    assert_eq!(answer["Outputs"]["res"]["body"], r#"{"validationResponse":"512d38b6"}"#, "{text}");

    let headers = json!({"Host": ["x"], "WebHook-Request-Origin": ["eventgrid.azure.net"]});
    let request = json!({"Url": "http://x", "Method": "OPTIONS", "Query": "{}", "Headers": headers});
    let (_, text) = invoke(&program, "ocsf-finding", hosted("req", request)).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["Outputs"]["res"]["headers"]["WebHook-Allowed-Origin"], "eventgrid.azure.net", "{text}");
    assert_eq!(answer["Outputs"]["res"]["statusCode"], 200, "{text}");
}

#[tokio::test]
async fn what_is_no_invocation_and_no_function_is_said_plainly() {
    let program = Program::handler().await;
    let (status, text) = invoke(&program, "Defender-Alert", hosted("events", "{}")).await;
    assert_eq!(status, 404);
    assert!(text.contains("defender-alert"), "{text}");
    for body in ["", "[1]", "{\"Data\":"] {
        let (status, text) = invoke(&program, "defender-alert", body.into()).await;
        assert_eq!(status, 400, "{body}: {text}");
        assert!(text.contains("Data"), "{text}");
    }
}

#[tokio::test]
async fn the_timer_and_the_queue_run() {
    let program = Program::handler().await;
    let timer = json!({"Schedule": {}, "ScheduleStatus": {"Last": "0001-01-01T00:00:00"}, "IsPastDue": false});
    let (status, text) = invoke(&program, "reconcile", hosted("timer", timer)).await;
    assert_eq!(status, 200, "{text}");
    let message = r#"{"id":"00000000-0000-0000-0000-000000000001","version":1}"#;
    let (status, text) = invoke(&program, "remediate", hosted("message", message)).await;
    assert_eq!(status, 200, "{text}");
    assert!(text.contains(r#"\"parked\":1"#), "a message about nothing stanch knows is kept for people: {text}");
}

#[tokio::test]
async fn instances_share_their_state_through_a_storage_account() {
    let Some(url) = azurite() else { return };
    let bucket = format!("shop-{}", uuid::Uuid::now_v7().simple());
    let request = json!({"Url": "http://x", "Method": "POST", "Query": "{}", "Headers": {}, "Body": event(&bucket)});
    let mut remediations = Vec::new();
    for taken in ["opened", "known"] {
        let program = Program::handler_with(&[("STANCH_STORAGE_ENDPOINT", &url)]).await;
        let (status, text) = invoke(&program, "securityhub-finding", hosted("req", request.clone())).await;
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        let body: Value = serde_json::from_str(answer["Outputs"]["res"]["body"].as_str().unwrap()).unwrap();
        assert!(body.to_string().contains(taken), "{body}");
        remediations.push(body["taken"][0]["remediation"].clone());
        assert!(std::fs::read_dir(program.data.path()).unwrap().next().is_none(), "nothing is kept in the data folder");
    }
    assert_eq!(remediations[0], remediations[1]);

    // Somewhere else than on this machine a shared key is not used, and nothing is kept anywhere else instead.
    let program = Program::handler_with(&[("STANCH_STORAGE_ENDPOINT", "http://10.1.2.3:10000")]).await;
    let (status, text) = invoke(&program, "securityhub-finding", hosted("req", request)).await;
    assert_eq!(status, 500);
    assert!(text.contains("127.0.0.1"), "{text}");
    assert!(std::fs::read_dir(program.data.path()).unwrap().next().is_none());
}

#[test]
fn without_the_hosts_port_it_says_what_to_do() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_handler")).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("FUNCTIONS_CUSTOMHANDLER_PORT") && said.contains("stanch up"), "{said}");
}
