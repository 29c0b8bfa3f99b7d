//! The usual mistakes, made on purpose: the explanation names that very mistake, and gives nothing away.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use posthaste_signature::provider::{Keys, Receiver, Request, Settings};
use sha1::Sha1;
use sha2::Sha256;

const NOW: i64 = 1_760_000_000;
const URL: &str = "https://hooks.example.com/in/acme";
/// Families of which the body is signed as it is.
const FAMILIES: [&str; 7] = ["github", "stripe", "slack", "shopify", "standard-webhooks", "svix", "square"];

fn sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    parts.iter().fold(mac, Mac::chain_update).finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

/// The headers of a request as the provider would sign it at `at`.
fn signed(provider: &str, key: &[u8], url: &str, body: &[u8], at: i64) -> HeaderMap {
    let time = at.to_string();
    let stamp = time.as_bytes();
    let standard = || format!("v1,{}", base64(&sha256(key, &[b"msg_1.", stamp, b".", body])));
    let pairs: Vec<(&str, String)> = match provider {
        "github" => vec![("x-hub-signature-256", format!("sha256={}", hex(&sha256(key, &[body]))))],
        "stripe" => {
            let tag = hex(&sha256(key, &[stamp, b".", body]));
            vec![("stripe-signature", format!("t={time},v1={tag}"))]
        }
        "slack" => vec![
            ("x-slack-request-timestamp", time.clone()),
            ("x-slack-signature", format!("v0={}", hex(&sha256(key, &[b"v0:", stamp, b":", body])))),
        ],
        "shopify" => vec![("x-shopify-hmac-sha256", base64(&sha256(key, &[body])))],
        "standard-webhooks" => vec![
            ("webhook-id", "msg_1".to_owned()),
            ("webhook-timestamp", time.clone()),
            ("webhook-signature", standard()),
        ],
        "svix" => vec![
            ("svix-id", "msg_1".to_owned()),
            ("svix-timestamp", time.clone()),
            ("svix-signature", standard()),
        ],
        "square" => {
            vec![("x-square-hmacsha256-signature", base64(&sha256(key, &[url.as_bytes(), body])))]
        }
        "twilio" => {
            let mut mac = Hmac::<Sha1>::new_from_slice(key).unwrap();
            mac.update(url.as_bytes());
            let mut fields: Vec<_> = form_urlencoded::parse(body).into_owned().collect();
            fields.sort();
            for (name, value) in fields {
                mac.update(format!("{name}{value}").as_bytes());
            }
            vec![("x-twilio-signature", base64(&mac.finalize().into_bytes()))]
        }
        "webflow" => vec![
            ("x-webflow-timestamp", time.clone()),
            ("x-webflow-signature", hex(&sha256(key, &[stamp, b":", body]))),
        ],
        other => panic!("{other} is not signed here"),
    };
    pairs
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::try_from(value).unwrap()))
        .collect()
}

/// The secret of a family as a receiver holds it, and the key it stands for.
fn secret_of(provider: &str) -> (String, Vec<u8>) {
    match provider {
        "standard-webhooks" | "svix" => {
            (format!("whsec_{}", base64(b"twenty-four bytes of key")), b"twenty-four bytes of key".to_vec())
        }
        "stripe" => ("whsec_c3RyaXBl".to_owned(), b"whsec_c3RyaXBl".to_vec()),
        _ => ("a-secret-of-ours".to_owned(), b"a-secret-of-ours".to_vec()),
    }
}

fn receiver(provider: &str, secret: &str) -> Receiver {
    Receiver::new(provider, Settings { secrets: vec![secret.to_owned()], ..Settings::default() }).unwrap()
}

/// What is said about a request that must be refused, in one text.
fn explained(
    receiver: &Receiver,
    secret: &str,
    headers: &HeaderMap,
    url: &str,
    body: &[u8],
    now: i64,
) -> String {
    let request = Request { method: "POST", url, headers, body };
    let keys = Keys::default();
    let why = receiver.verify(&request, now, &keys).unwrap_err();
    let hints: Vec<_> =
        receiver.explain(&request, now, &keys, &why).iter().map(ToString::to_string).collect();
    let said = format!("{why}\n{}", hints.join("\n"));
    assert!(!said.contains(secret.trim()), "{said}");
    let (_, key) = secret_of(&receiver.provider().slug);
    for name in [&receiver.provider().slug, "github", "shopify"] {
        for value in signed(name, &key, url, body, now).values() {
            let right = value.to_str().unwrap().rsplit(['=', ',']).find(|part| part.len() > 20);
            assert!(right.is_none_or(|right| !said.contains(right)), "{said}");
        }
    }
    hints.join("\n")
}

/// A body that was signed as `sent` and arrived as `got`.
fn of_body(provider: &str, sent: &[u8], got: &[u8]) -> String {
    let (secret, key) = secret_of(provider);
    let headers = signed(provider, &key, URL, sent, NOW);
    explained(&receiver(provider, &secret), &secret, &headers, URL, got, NOW)
}

#[test]
fn a_body_that_was_parsed_and_written_anew_is_recognised_in_every_layout() {
    let compact = r#"{"id":"e1","name":"Zoë","url":"https://a.b/c?d&e","items":[1,{"x":null}],"empty":{}}"#;
    let python =
        r#"{"id": "e1", "name": "Zoë", "url": "https://a.b/c?d&e", "items": [1, {"x": null}], "empty": {}}"#;
    let two = "{\n  \"id\": \"e1\",\n  \"items\": [\n    1,\n    true\n  ]\n}";
    let four = two.replace("  ", "    ");
    let ascii = compact.replace('ë', "\\u00eb");
    for provider in FAMILIES {
        for (sent, got, named) in [
            (compact, python, "as compact JSON"),
            (python, compact, "a blank after each comma and colon"),
            (two, r#"{"id":"e1","items":[1,true]}"#, "indented by two blanks"),
            (&four, two, "indented by four blanks"),
            (&ascii, compact, "as compact JSON"),
            (&python.replace('ë', "\\u00eb"), python, "a blank after each comma and colon"),
            (&ascii.replace('/', "\\/"), compact, "as compact JSON"),
            (&compact.replace('&', "\\u0026"), compact, "as compact JSON"),
        ] {
            let said = of_body(provider, sent.as_bytes(), got.as_bytes());
            assert!(said.contains(named) && said.contains("writes it anew"), "{provider}: {said:?}");
        }
    }
}

#[test]
fn what_was_done_to_the_bytes_of_a_body_is_recognised() {
    let json = "{\"name\":\"Zo\u{eb}\"}";
    let form = format!("payload={}", form_urlencoded::byte_serialize(json.as_bytes()).collect::<String>());
    let latin: String = json.bytes().map(char::from).collect();
    for provider in FAMILIES {
        for (sent, got, named) in [
            ("{}\n", "{}".to_owned(), "with a line feed at its end"),
            ("{}\r\n", "{}".to_owned(), "with CRLF at its end"),
            ("{}", "{}\n".to_owned(), "without the white space at its end"),
            ("{\n1:2\n}", "{\r\n1:2\r\n}".to_owned(), "with LF line ends"),
            ("{\r\n1:2\r\n}", "{\n1:2\n}".to_owned(), "with CRLF line ends"),
            (json, format!("\u{feff}{json}"), "without the byte order mark"),
            ("\u{feff}{}", "{}".to_owned(), "with a byte order mark"),
            (json, serde_json::to_string(json).unwrap(), "as a JSON string"),
            (json, base64(json.as_bytes()), "decoded from base64"),
            (json, latin.clone(), "took its UTF-8 for Latin-1"),
            (form.as_str(), json.to_owned(), "as a form with the field `payload`"),
            (json, form.clone(), "that stands in its field `payload`"),
        ] {
            let said = of_body(provider, sent.as_bytes(), got.as_bytes());
            assert!(said.contains(named), "{provider}: {said:?} of {got}");
        }
    }
}

#[test]
fn a_body_that_cannot_be_mended_still_shows_what_happened_to_it() {
    let (secret, key) = secret_of("github");
    let ours = receiver("github", &secret);
    for (name, value, got, named) in [
        ("content-length", "17", "", "something has read it before"),
        ("content-encoding", "gzip", "{\"a\":1}", "has unpacked it"),
        ("x-nothing", "1", "{\"a\":\"\u{fffd}\"}", "took it for text"),
    ] {
        let mut headers = signed("github", &key, URL, b"{\"a\":\"something else\"}", NOW);
        headers.insert(name, HeaderValue::from_static(value));
        let said = explained(&ours, &secret, &headers, URL, got.as_bytes(), NOW);
        assert!(said.contains(named), "{said:?}");
    }
}

#[test]
fn a_secret_that_was_pasted_or_decoded_wrongly_is_recognised() {
    let encoded = base64(b"the key");
    for (provider, held, key, named) in [
        ("github", " plain\n", &b"plain"[..], "without the white space"),
        ("shopify", "'plain'", b"plain", "without the quotes"),
        ("slack", "SLACK_SECRET=\"plain\"", b"plain", "without the name of a variable"),
        ("square", "sec_plain", b"plain", "without its prefix"),
        ("stripe", "abcd", b"whsec_abcd", "with `whsec_` in front"),
        ("stripe", "whsec_dGhlIGtleQ==", b"the key", "decoded from base64, without `whsec_`"),
        ("github", &encoded, b"the key", "decoded from base64"),
        ("github", "74686520 6b6579", b"never", ""),
        ("github", "746865206b6579", b"the key", "decoded from hex"),
        ("standard-webhooks", "whsec_dGhlIGtleQ==", b"whsec_dGhlIGtleQ==", "taken as it is, not decoded"),
        ("svix", "whsec_dGhlIGtleQ==", b"dGhlIGtleQ==", ""),
    ] {
        let headers = signed(provider, key, URL, b"{}", NOW);
        let said = explained(&receiver(provider, held), held, &headers, URL, b"{}", NOW);
        let right = if named.is_empty() { said.is_empty() } else { said.contains(named) };
        assert!(right, "{provider} {held:?}: {said:?}");
    }
}

#[test]
fn an_address_that_is_not_the_one_that_was_called_is_recognised() {
    for provider in ["square", "twilio"] {
        let (secret, key) = secret_of(provider);
        let ours = receiver(provider, &secret);
        for (called, taken, header, named) in [
            ("https://a.example/in", "http://a.example/in", None, "(https, not http)"),
            ("http://a.example/in", "https://a.example/in", None, "(http, not https)"),
            ("https://a.example/in/", "https://a.example/in", None, "(with a slash at its end)"),
            ("https://a.example/in", "https://a.example/in/", None, "(without the slash at its end)"),
            (
                "https://a.example/in?tag=hidden",
                "https://a.example/in",
                Some(("x-original-uri", "/in?tag=hidden")),
                "(with the query, which was lost on the way)",
            ),
            ("https://a.example/in", "https://a.example/in?x=1", None, "(without its query)"),
            ("https://a.example/in?a=1%202", "https://a.example/in?a=1+2", None, "with its query written"),
            (
                "https://a.example/in",
                "http://10.0.0.7:8080/in",
                Some(("x-forwarded-host", "a.example, b.example")),
                "(https, not http, the host a.example)",
            ),
            (
                "https://a.example/outer/in",
                "https://a.example/in",
                Some(("x-forwarded-prefix", "/outer")),
                "(the path /outer/in)",
            ),
        ] {
            let mut headers = signed(provider, &key, called, b"a=1", NOW);
            if let Some((name, value)) = header {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let said = explained(&ours, &secret, &headers, taken, b"a=1", NOW);
            assert!(said.contains(named), "{provider}: {said:?}");
            assert!(!said.contains("hidden"), "{said}");
        }
    }
}

#[test]
fn another_provider_and_another_scheme_are_recognised() {
    for (ours, theirs, named) in
        [("github", "stripe", "Stripe"), ("stripe", "github", "GitHub"), ("slack", "shopify", "Shopify")]
    {
        let (secret, _) = secret_of(ours);
        let headers = signed(theirs, b"a secret of theirs", URL, b"{}", NOW);
        let said = explained(&receiver(ours, &secret), &secret, &headers, URL, b"{}", NOW);
        assert!(said.contains(named) && said.contains("sends, not"), "{said:?}");
    }
    let headers = signed("shopify", b"shared", URL, b"{}", NOW);
    let said = explained(&receiver("github", "shared"), "shared", &headers, URL, b"{}", NOW);
    assert!(said.contains("signed with this secret, but as Shopify signs"), "{said:?}");

    let mut mac = Hmac::<Sha1>::new_from_slice(b"shared").unwrap();
    mac.update(b"{}");
    let old = format!("sha1={}", hex(&mac.finalize().into_bytes()));
    let headers = HeaderMap::from_iter([(
        HeaderName::from_static("x-hub-signature"),
        HeaderValue::try_from(old).unwrap(),
    )]);
    let said = explained(&receiver("github", "shared"), "shared", &headers, URL, b"{}", NOW);
    assert!(said.contains("scheme `legacy-sha1` of GitHub"), "{said:?}");

    let mut settings = Settings { secrets: vec!["shared".to_owned()], ..Settings::default() };
    settings.variant = Some("legacy-sha1".to_owned());
    let old = Receiver::new("github", settings).unwrap();
    let headers = signed("github", b"shared", URL, b"{}", NOW);
    let said = explained(&old, "shared", &headers, URL, b"{}", NOW);
    assert!(said.contains("main scheme of GitHub"), "{said:?}");
}

#[test]
fn clocks_that_differ_are_recognised_with_their_distance() {
    for (provider, at, named) in [
        ("slack", NOW - 400, "ahead of the sender's by about 400 s"),
        ("slack", NOW + 400, "behind the sender's by about 400 s"),
        ("stripe", NOW - 7_190, "whole hours"),
        ("standard-webhooks", NOW + 3_600, "whole hours"),
        ("slack", NOW * 1000, "in milliseconds, and was read as seconds"),
        ("webflow", NOW, "in seconds, and was read as milliseconds"),
    ] {
        let (secret, key) = secret_of(provider);
        let headers = signed(provider, &key, URL, b"{}", at);
        let said = explained(&receiver(provider, &secret), &secret, &headers, URL, b"{}", NOW);
        assert!(said.starts_with("The signature itself is right.") && said.contains(named), "{said:?}");
    }
}

#[test]
fn the_secret_of_another_source_is_recognised_among_them() {
    let ours = receiver("github", "ours");
    let (same, other, open) =
        (receiver("github", "theirs"), receiver("stripe", "theirs"), receiver("docker-hub", ""));
    let others = [("open", &open), ("billing", &other), ("staging", &same)];
    let keys = Keys::default();
    for (provider, named) in [
        ("github", "the secret of `staging`, also of GitHub"),
        ("stripe", "what `billing` expects, of Stripe"),
    ] {
        let headers = signed(provider, b"theirs", URL, b"{}", NOW);
        let request = Request { method: "POST", url: URL, headers: &headers, body: b"{}" };
        let why = ours.verify(&request, NOW, &keys).unwrap_err();
        let hints = ours.explain_among(&request, NOW, &keys, &why, &others);
        assert!(hints[0].to_string().contains(named), "{hints:?}");
        assert!(!ours.explain(&request, NOW, &keys, &why).iter().any(|h| h.to_string().contains(named)));
    }
}

#[test]
fn a_large_body_is_tried_a_few_times_and_never_written_anew() {
    let (secret, key) = secret_of("github");
    let ours = receiver("github", &secret);
    let large = vec![b'x'; 20 * 1024 * 1024];
    let headers = signed("github", &key, URL, &[&large[..], b"\n"].concat(), NOW);
    let said = explained(&ours, &secret, &headers, URL, &large, NOW);
    assert!(said.contains("with a line feed at its end"), "{said}");
    // Nothing fits, and that is found out within the limit.
    let headers = signed("github", b"another", URL, &large, NOW);
    assert_eq!(explained(&ours, &secret, &headers, URL, &large, NOW), "");

    let compact = format!("[{}1]", "1,".repeat(150 * 1024));
    let headers = signed("github", &key, URL, compact.as_bytes(), NOW);
    assert_eq!(explained(&ours, &secret, &headers, URL, compact.replace(',', ", ").as_bytes(), NOW), "");
}
