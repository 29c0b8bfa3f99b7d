//! What one side writes the other reads, whatever bytes it holds; and the wire as a client in another language sees it.

use super::*;

fn headers(pairs: &[(&str, &[u8])]) -> Headers {
    Headers(pairs.iter().map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value))).collect())
}

fn every_byte() -> Bytes {
    (0..=255).collect::<Vec<u8>>().into()
}

fn request(body: Bytes) -> Request {
    Request {
        id: "msg_1:ep_2".to_owned(),
        attempt: 2,
        message: "msg_1".to_owned(),
        event_type: "invoice.paid".to_owned(),
        method: "PUT".to_owned(),
        path: "/a%2Fb/c".to_owned(),
        query: "x=%20&x=1".to_owned(),
        headers: headers(&[("X-Twice", b"1"), ("x-any", &every_byte()), ("X-Twice", b"")]),
        body,
    }
}

fn answer(body: Bytes) -> Answer {
    Answer {
        id: "msg_1:ep_2".to_owned(),
        attempt: 1,
        status: 201,
        headers: headers(&[("set-cookie", b"a=1"), ("set-cookie", b"\xFF")]),
        duration_ms: 12,
        truncated: true,
        body,
    }
}

#[test]
fn what_a_server_writes_a_client_reads() {
    let detail = "two\nlines".to_owned();
    for frame in [
        FromServer::Ready(Ready { name: "web".into(), waiting: 3, heartbeat_ms: 5_000, timeout_ms: 15_000 }),
        FromServer::Request(request(every_byte())),
        FromServer::Request(request(Bytes::new())),
        FromServer::Request(request(vec![b'\n'; 5 << 20].into())),
        FromServer::Recorded(Recorded { id: "a:b".into(), attempt: 1, status: "delivered".into() }),
        FromServer::Bye(Bye { reason: Reason::Replaced, detail }),
    ] {
        assert_eq!(FromServer::decode(&frame.encode()), Ok(frame));
    }
}

#[test]
fn what_a_client_writes_a_server_reads() {
    for frame in [
        FromClient::Got(Got { id: "a:b".into(), attempt: 1 }),
        FromClient::Answer(answer(every_byte())),
        FromClient::Answer(answer(Bytes::new())),
        FromClient::Failed(Failed {
            id: "a:b".into(),
            attempt: 7,
            kind: FailedKind::Connect,
            detail: "nothing listens on port 3000".into(),
            duration_ms: 1,
        }),
    ] {
        assert_eq!(FromClient::decode(&frame.encode()), Ok(frame));
    }
}

#[test]
fn the_wire_is_one_line_of_json_and_the_body() {
    let got = FromClient::Got(Got { id: "msg_1:ep_2".into(), attempt: 1 });
    assert_eq!(got.encode(), r#"{"type":"got","id":"msg_1:ep_2","try":1}"#.to_owned() + "\n");
    let mut request = request(Bytes::from_static(b"{}"));
    request.headers = headers(&[("a", b"\xE9"), ("a", b"2")]);
    let expected = concat!(
        r#"{"type":"request","id":"msg_1:ep_2","try":2,"message":"msg_1","event_type":"invoice.paid","method":"PUT","#,
        r#""path":"/a%2Fb/c","query":"x=%20&x=1","headers":[["a","é"],["a","2"]]}"#,
        "\n{}"
    );
    assert_eq!(FromServer::Request(request).encode(), expected);
    let bye = FromServer::Bye(Bye { reason: Reason::Leaving, detail: "We leave.".into() });
    assert_eq!(bye.encode(), "{\"type\":\"bye\",\"reason\":\"leaving\",\"detail\":\"We leave.\"}\n");
}

#[test]
fn what_one_side_does_not_know_yet_is_no_mistake() {
    let read = |text: &'static str| FromServer::decode(&Bytes::from_static(text.as_bytes()));
    assert_eq!(read("{\"type\":\"weather\",\"rain\":true}\n"), Ok(FromServer::Unknown));
    let more = read("{\"type\":\"bye\",\"reason\":\"bored\",\"detail\":\"\",\"also\":[1]}\nrest");
    assert_eq!(more, Ok(FromServer::Bye(Bye { reason: Reason::Other, detail: String::new() })));
    let strange =
        "{\"type\":\"failed\",\"id\":\"a\",\"try\":1,\"kind\":\"moon\",\"detail\":\"\",\"duration_ms\":1}\n";
    let strange = FromClient::decode(&Bytes::from_static(strange.as_bytes()));
    assert!(matches!(strange, Ok(FromClient::Failed(Failed { kind: FailedKind::Other, .. }))), "{strange:?}");
}

#[test]
fn what_is_no_frame_is_refused_with_a_reason() {
    let refused = |message: Bytes| FromClient::decode(&message).unwrap_err().to_string();
    assert!(refused(Bytes::new()).contains("no line of JSON"));
    assert!(refused(Bytes::from(vec![b' '; HEAD_BYTES_MAX + 1])).contains("no line of JSON"));
    for line in
        ["", "{}", "[]", "{\"type\":\"got\"}", "{\"type\":\"got\",\"id\":\"a\",\"try\":-1}", "\u{FFFD}"]
    {
        let message = Bytes::from(format!("{line}\nbody"));
        assert!(refused(message).starts_with("does not begin with a line"), "{line}");
    }
    let beyond = "{\"type\":\"answer\",\"id\":\"a\",\"try\":1,\"status\":200,\"duration_ms\":1,\"headers\":[[\"a\",\"Ā\"]]}\n";
    assert!(refused(Bytes::from_static(beyond.as_bytes())).contains("beyond U+00FF"));
}

#[test]
fn no_value_of_a_frame_can_be_formatted() {
    let mut secret = request(Bytes::from_static(b"hush-body"));
    secret.query = "token=hush-query".to_owned();
    secret.headers = headers(&[("X-Token", b"hush-header")]);
    let shown =
        format!("{:?} {:?}", FromServer::Request(secret), FromClient::Answer(answer(Bytes::from("hush"))));
    assert!(shown.contains("X-Token") && !shown.contains("hush"), "{shown}");
}
