//! The lines, letter by letter: they are what people look at all day, and what scripts read.

use std::time::Duration;

use bytes::Bytes;
use posthaste_tunnel::frame::{FailedKind, Headers};

use super::*;

const AT: Timestamp = Timestamp::from_micros(1_794_407_538_402_000);

fn lines(form: Form) -> Lines {
    let labels = Labels {
        of: vec!["stripe".to_owned()],
        name: "laptop-3000".to_owned(),
        target: Target::parse(":3000/webhooks", None).unwrap(),
        public_urls: vec![Some("https://hooks.example/in/x".to_owned())],
        providers: vec![Some("stripe".to_owned())],
    };
    let plain = Paint::never();
    Lines::new(form, labels, plain, plain)
}

fn request() -> Event {
    let request = Request {
        id: "msg_1:ep_1".to_owned(),
        attempt: 2,
        message: "msg_1".to_owned(),
        event_type: "charge.\x1b[2Jsucceeded".to_owned(),
        method: "POST".to_owned(),
        path: String::new(),
        query: String::new(),
        headers: Headers::default(),
        body: Bytes::from(vec![0; 1_843]),
    };
    Event::Came { wire: 0, at: AT, request: Box::new(request) }
}

fn went(outcome: Outcome) -> Event {
    let went = Went {
        key: ("msg_1:ep_1".to_owned(), 2),
        message: "msg_1".to_owned(),
        to: "POST :3000/webhooks".to_owned(),
        took: Duration::from_millis(45),
        outcome,
    };
    Event::Went { wire: 0, at: AT, went: Box::new(went) }
}

fn answered(status: u16, body: &'static str) -> Event {
    let body = Bytes::from_static(body.as_bytes());
    went(Outcome::Answered { status, headers: Headers::default(), body, truncated: false })
}

fn data(text: &str) -> Line {
    Line::Data(text.to_owned())
}

fn aside(text: &str) -> Line {
    Line::Aside(text.to_owned())
}

#[test]
fn events_are_one_line_each_way_and_a_failure_says_what_to_do() {
    let mut lines = lines(Form::Plain);
    assert_eq!(
        lines.of(&request(), AT),
        [data("14:32:18.402  → msg_1  stripe  charge.\\u{1b}[2Jsucceeded  1.8 KiB  try 2")]
    );
    assert_eq!(
        lines.of(&answered(204, ""), AT),
        [data("14:32:18.402  ← msg_1  204  POST :3000/webhooks  45 ms")]
    );
    let hint = aside("              replay: posthaste replay msg_1   show: posthaste show msg_1");
    assert_eq!(
        lines.of(&answered(500, "\n TypeError: x\x07 is undefined\n at line 1"), AT),
        [
            data("14:32:18.402  ← msg_1  500  POST :3000/webhooks  45 ms  TypeError: x\\u{7} is undefined"),
            hint
        ]
    );
    let down =
        went(Outcome::Failed { kind: FailedKind::Connect, detail: "could not connect: refused".to_owned() });
    let said = lines.of(&down, AT);
    assert_eq!(
        said[0],
        data("14:32:18.402  ← msg_1  connect  POST :3000/webhooks  45 ms  could not connect: refused")
    );
}

#[test]
fn states_and_notices_are_apart_from_data() {
    let mut lines = lines(Form::Plain);
    let ready = Event::State { wire: 0, state: State::Ready { waiting: 12 } };
    assert_eq!(lines.of(&ready, AT), [aside("14:32:18.402  ready, 12 waiting")]);
    assert_eq!(lines.of(&Event::Notice("a\nb".to_owned()), AT), [aside("14:32:18.402  a\\nb")]);
}

#[test]
fn a_script_reads_one_object_a_line_and_knows_when_it_may_begin() {
    let mut lines = lines(Form::Jsonl);
    let ready = lines.of(&Event::State { wire: 0, state: State::Ready { waiting: 3 } }, AT);
    assert_eq!(
        ready[0],
        data(concat!(
            r#"{"event":"ready","at":"2026-11-11T14:32:18.402000Z","name":"laptop-3000","of":"stripe","#,
            r#""url":"https://hooks.example/in/x","target":"http://127.0.0.1:3000/webhooks","waiting":3}"#
        ))
    );
    let Line::Data(came) = &lines.of(&request(), AT)[0] else { panic!("a request is data") };
    let came: Value = serde_json::from_str(came).unwrap();
    assert_eq!((&came["event"], &came["try"], &came["bytes"]), (&json!("request"), &json!(2), &json!(1843)));
    let said = lines.of(&answered(500, "boom"), AT);
    let [Line::Data(answer)] = &said[..] else { panic!("{said:?}") };
    let answer: Value = serde_json::from_str(answer).unwrap();
    assert_eq!(
        (&answer["event"], &answer["status"], &answer["says"]),
        (&json!("answer"), &json!(500), &json!("boom"))
    );
}
