//! Batches: one answer per line, in order, whatever the other lines are.

use serde_json::Value;

use crate::client::Reply;
use crate::world::{ELASTIC, ORGANIZATION, TEN, World, elastic, ten};

fn lines(reply: &Reply) -> Vec<Value> {
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"), "{reply:?}");
    reply.body.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

const NDJSON: &str = "Content-Type: application/x-ndjson\r\n";

#[test]
fn each_line_has_its_own_answer_and_a_bad_one_stops_nothing() {
    let world = World::new();
    let body = concat!(
        r#"{"op":"admit","call_id":"a"}"#,
        "\n",
        "nonsense\n",
        r#"{"op":"answer","call_id":"a"}"#,
        "\r\n",
        "\n",
        r#"{"op":"fly","call_id":"a"}"#,
        "\n",
        r#"{"op":"admit","call_id":"","x":1}"#,
        "\n",
        r#"{"op":"release","call_id":"a"}"#,
        "\n",
        r#"{"op":"release","call_id":"never"}"#,
        "\n",
        "{\"op\":\"admit\",\"call_id\":\"\u{e9}\"}\n",
        r#"{"op":"renew","call_id":"a"}"#,
    );
    let reply = world.client(TEN).post_with("/v1/calls/batch", NDJSON, body.as_bytes());
    let lines = lines(&reply);
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64().unwrap_or(0)).collect();
    assert_eq!(statuses, [200, 400, 200, 400, 400, 200, 404, 400, 410]);
    assert_eq!((&lines[0]["admitted"], &lines[0]["call_id"]), (&true.into(), &"a".into()));
    assert_eq!(lines[1]["errors"][0]["field"], "body");
    assert_eq!(lines[2]["state"], "live");
    assert_eq!(lines[3]["errors"][0]["field"], "op");
    assert_eq!(lines[4]["errors"].as_array().map(Vec::len), Some(2));
    assert_eq!(lines[5]["state"], "ended");
    assert_eq!(lines[8]["receipt"]["call_id"], "a");
}

#[test]
fn ten_thousand_lines_are_streamed_in_order_and_one_more_is_too_many() {
    let world = World::new();
    let mut client = world.client(ELASTIC);
    let line = |op: &str, number: usize| format!("{{\"op\":\"{op}\",\"call_id\":\"c{number}\"}}\n");
    let body: String = (0..5_000).map(|number| line("admit", number)).collect();
    let body: String = (0..5_000).fold(body, |body, number| body + &line("release", number));
    let reply = client.post_with("/v1/calls/batch", NDJSON, body.as_bytes());
    assert_eq!(reply.header("transfer-encoding"), Some("chunked"));
    let answers = lines(&reply);
    assert_eq!(answers.len(), 10_000);
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer["status"], 200, "{answer}");
        assert_eq!(answer["call_id"], format!("c{}", number % 5_000));
    }
    assert_eq!(world.recorded(elastic()), 0);
    let reply = client.post_with("/v1/calls/batch", NDJSON, "x\n".repeat(10_001).as_bytes());
    assert_eq!((reply.status, &reply.json()["reason"]), (413, &"too_large".into()));
}

#[test]
fn lines_of_one_batch_may_name_different_accounts() {
    let world = World::new();
    let line =
        |account| format!("{{\"op\":\"admit\",\"call_id\":\"a\",\"account\":\"{account}\"}}\n");
    let body = format!("{}{}{}", line(ten()), line(elastic()), line(ten()));
    let reply = world.client(ORGANIZATION).post_with("/v1/calls/batch", NDJSON, body.as_bytes());
    let lines = lines(&reply);
    assert_eq!(lines[0]["account"], ten().to_string());
    assert_eq!(lines[1]["account"], elastic().to_string());
    assert_eq!(lines[2]["duplicate"], true);
}

#[test]
fn an_empty_batch_and_foreign_parameters_are_refused() {
    let world = World::new();
    let mut client = world.client(TEN);
    assert_eq!(client.post_with("/v1/calls/batch", NDJSON, b"\n \n").bad_fields(), ["body"]);
    let reply = client.post_with("/v1/calls/batch?account=x", NDJSON, b"{}");
    assert_eq!(reply.bad_fields(), ["account"]);
}

#[test]
fn others_are_answered_while_a_long_batch_runs() {
    let world = World::with(|settings| settings.threads = 1);
    let mut long = world.client(ELASTIC);
    let line = |number: usize| format!("{{\"op\":\"admit\",\"call_id\":\"c{number}\"}}\n");
    let body: String = (0..10_000).map(line).collect();
    let request = long.request("/v1/calls/batch", NDJSON, body.as_bytes());
    // Nobody reads the answers of the batch: it waits, and the thread must not wait with it.
    long.send(request).expect("sent");
    let mut other = world.client(TEN);
    for number in 0..10 {
        let body = format!(r#"{{"call_id":"o{number}"}}"#);
        assert_eq!(other.post("/v1/calls/admit", &body).status, 200);
    }
    assert_eq!(lines(&long.reply()).len(), 10_000);
}
