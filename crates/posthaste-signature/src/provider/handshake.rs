//! Requests that only ask whether we are there and are who we say, and what each provider wants to hear.
//!
//! Where the provider signs them they are verified first. What is echoed goes out as plain text or JSON that no
//! browser takes for a page.

use serde_json::{Value, json};

use super::answer::Answer;
use super::checks::same;
use super::digest::{Hash, hmac, sha256_hex};
use super::json::Path;
use super::keys::{Keys, https_host_and_path};
use super::receiver::Receiver;
use super::refusal::Refusal;
use super::special::{is_sns_host, lark_decrypted, sns_topics};
use super::{Request, form};
use crate::encoding::{push_base64, to_hex};

/// The longest text that is echoed.
const ECHO_BYTES_MAX: usize = 4_096;

/// The longest challenge that is answered with our HMAC of it.
const SIGNED_BYTES_MAX: usize = 128;

/// Those who have bodies and challenges signed under one secret.
const SIGN_BOTH: [&str; 3] = ["linkedin", "smartcar", "twitter"];

/// Whether a body may be a challenge that we signed for whoever asked: then its signature says nothing. No event is one.
pub(crate) fn may_be_challenge(provider: &str, body: &[u8]) -> bool {
    SIGN_BOTH.contains(&provider) && is_signable(body)
}

fn is_signable(challenge: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.=+/".contains(byte);
    challenge.len() <= SIGNED_BYTES_MAX && challenge.iter().all(plain)
}

/// The challenges of Braintree, which are no notifications: those are much longer.
pub(crate) fn is_braintrees(challenge: &str) -> bool {
    (20..=32).contains(&challenge.len()) && challenge.bytes().all(|byte| byte.is_ascii_hexdigit())
}

type Outcome = Option<Result<Answer, Refusal>>;

/// See [`Receiver::handshake`].
pub(crate) fn answer(receiver: &Receiver, request: &Request<'_>, now: i64, keys: &Keys) -> Outcome {
    let shake = Shake { receiver, request, now, keys };
    let slug = receiver.provider().slug.as_str();
    match request.method {
        "HEAD" => matches!(slug, "circle" | "intercom" | "surveymonkey" | "trello" | "mandrill")
            .then(|| Ok(Answer::status(200))),
        "OPTIONS" => {
            matches!(slug, "azure-event-grid" | "cloudevents-webhook").then(|| shake.cloud_events())?
        }
        "GET" => shake.get(slug),
        "POST" => shake.post(slug),
        _ => None,
    }
}

/// See [`Receiver::delivered`].
pub(crate) fn delivered(receiver: &Receiver, request: &Request<'_>) -> Answer {
    let provider = receiver.provider();
    if let Some(body) = &provider.answer {
        return Answer::text(body.as_str());
    }
    match provider.slug.as_str() {
        "adobe-sign" => match request.header_text("x-adobesign-clientid") {
            Some(id) => Answer::status(200).with("x-adobesign-clientid", id),
            None => Answer::status(200),
        },
        "vercel-log-drains" => match receiver.settings.text("verify_token") {
            Some(token) => Answer::status(200).with("x-vercel-verify", token),
            None => Answer::status(200),
        },
        "microsoft-graph" => Answer::status(202),
        "discord" => Answer::status(204),
        _ => Answer::status(200),
    }
}

struct Shake<'s, 'a> {
    receiver: &'s Receiver,
    request: &'s Request<'a>,
    now: i64,
    keys: &'s Keys,
}

impl Shake<'_, '_> {
    fn query(&self, name: &str) -> Option<String> {
        self.request.query_value(name).filter(|value| !value.is_empty() && value.len() <= ECHO_BYTES_MAX)
    }

    fn header(&self, name: &str) -> Option<String> {
        self.request.header_text(name).filter(|value| value.len() <= ECHO_BYTES_MAX).map(str::to_owned)
    }

    fn body(&self, path: &str) -> Option<String> {
        let value = Path::parse(path).text(self.request.body)?;
        (value.len() <= ECHO_BYTES_MAX).then(|| value.into_owned())
    }

    /// A challenge that is answered with our HMAC of it. Letters and digits only: signing anything else would sign
    /// forged bodies for whoever asks, where the provider signs bodies in the same way.
    fn signable(challenge: String) -> Option<String> {
        is_signable(challenge.as_bytes()).then_some(challenge)
    }

    fn setting(&self, name: &str) -> Option<String> {
        self.receiver.settings.text(name)
    }

    /// The HMAC of `text` under the first secret.
    fn tag(&self, hash: Hash, text: &str) -> Option<super::digest::Tag> {
        let secret = self.receiver.settings.secrets.first()?;
        Some(hmac(hash, secret.as_bytes(), &[text]))
    }

    fn verified(&self, answer: impl FnOnce() -> Answer) -> Result<Answer, Refusal> {
        self.receiver.verify(self.request, self.now, self.keys).map(|_| answer())
    }

    /// `answer` if what was sent is what is configured; refused if not, or if nothing is configured.
    fn if_configured(&self, setting: &str, sent: Option<String>, answer: Answer) -> Result<Answer, Refusal> {
        match (self.setting(setting), sent) {
            (Some(ours), Some(theirs)) if same(ours.as_bytes(), theirs.as_bytes()) => Ok(answer),
            _ => {
                // Meta and Strava want 403, Oura and Lark 401, and WebSub 404.
                let status = match setting {
                    "topic" => 404,
                    "verification_token" => 401,
                    _ => 403,
                };
                Err(Refusal::NotOurs { what: setting.to_owned(), status })
            }
        }
    }

    /// The answer to a request that brought a secret.
    fn learning(&self, secret: String, answer: Answer) -> Result<Answer, Refusal> {
        let known = &self.receiver.settings.secrets;
        if secret.trim().is_empty() {
            // Learned, it would verify nothing, and no other could be learned any more.
            Err(Refusal::malformed("the secret in this handshake", "a text that is not empty"))
        } else if known.is_empty() {
            Ok(Answer { learned: Some(secret), ..answer })
        } else if known.iter().any(|ours| same(ours.as_bytes(), secret.as_bytes())) {
            Ok(answer)
        } else {
            // Another subscription, or a stranger: what it signs would not be believed, so it must not be told yes.
            Err(Refusal::NotOurs { what: "the secret".to_owned(), status: 403 })
        }
    }

    fn get(&self, slug: &str) -> Outcome {
        match slug {
            "adobe-sign" => {
                let id = self.header("x-adobesign-clientid")?;
                let known =
                    self.receiver.settings.secrets.iter().any(|ours| same(ours.as_bytes(), id.as_bytes()));
                let answer = || Answer::status(200).with("x-adobesign-clientid", id);
                Some(if known {
                    Ok(answer())
                } else {
                    Err(Refusal::WrongToken("x-adobesign-clientid".to_owned()))
                })
            }
            "braintree" => {
                let challenge = self.query("bt_challenge")?;
                // Twenty to 32 hex digits: signing anything else would sign notifications for whoever asks.
                if !is_braintrees(&challenge) {
                    return Some(Err(Refusal::malformed("bt_challenge", "20 to 32 hex digits")));
                }
                let secret = self.receiver.settings.secrets.first()?;
                let key = Hash::Sha1.digest(&[secret]);
                let tag = hmac(Hash::Sha1, key.as_bytes(), &[challenge]);
                let public_key = self.setting("public_key")?;
                Some(Ok(Answer::text(format!("{public_key}|{}", to_hex(tag.as_bytes())))))
            }
            "dropbox" | "nylas" => Some(Ok(Answer::text(self.query("challenge")?))),
            "ebay" => {
                let code = self.query("challenge_code")?;
                let (token, endpoint) = (self.setting("verification_token")?, self.endpoint());
                let response = sha256_hex(format!("{code}{token}{endpoint}").as_bytes());
                Some(Ok(Answer::json(&json!({ "challengeResponse": response }))))
            }
            "linkedin" => {
                let code = Self::signable(self.query("challengeCode")?)?;
                let tag = self.tag(Hash::Sha256, &code)?;
                Some(Ok(Answer::json(
                    &json!({ "challengeCode": code, "challengeResponse": to_hex(tag.as_bytes()) }),
                )))
            }
            _ => self.get_by_setting(slug),
        }
    }

    /// Those that send a token of ours back, and the rest.
    fn get_by_setting(&self, slug: &str) -> Outcome {
        match slug {
            "meta" | "whatsapp" | "strava" => {
                let challenge = self.query("hub.challenge")?;
                let answer = if slug == "strava" {
                    Answer::json(&json!({ "hub.challenge": challenge }))
                } else {
                    Answer::text(challenge)
                };
                Some(self.if_configured("verify_token", self.query("hub.verify_token"), answer))
            }
            "okta" => {
                let challenge = self.header("x-okta-verification-challenge")?;
                Some(Ok(Answer::json(&json!({ "verification": challenge }))))
            }
            "oura" => {
                let answer = Answer::json(&json!({ "challenge": self.query("challenge")? }));
                Some(self.if_configured("verification_token", self.query("verification_token"), answer))
            }
            "twitter" => {
                let tag = self.tag(Hash::Sha256, &Self::signable(self.query("crc_token")?)?)?;
                let mut token = "sha256=".to_owned();
                push_base64(tag.as_bytes(), &mut token);
                Some(Ok(Answer::json(&json!({ "response_token": token }))))
            }
            "websub" => {
                let challenge = self.query("hub.challenge")?;
                let mode = self.query("hub.mode");
                if !matches!(mode.as_deref(), Some("subscribe" | "unsubscribe")) {
                    return Some(Err(Refusal::malformed("hub.mode", "subscribe or unsubscribe")));
                }
                Some(self.if_configured("topic", self.query("hub.topic"), Answer::text(challenge)))
            }
            "wechat-official" => {
                let echo = self.query("echostr")?;
                Some(self.verified(|| Answer::text(echo)))
            }
            "worldline" => Some(Ok(Answer::text(self.header("x-gcs-webhooks-endpoint-verification")?))),
            "mailchimp" => Some(Ok(Answer::status(200))),
            _ => None,
        }
    }

    fn post(&self, slug: &str) -> Outcome {
        match slug {
            "asana" if self.request.header("x-hook-signature").is_none() => {
                let secret = self.header("x-hook-secret")?;
                let answer = Answer::status(200).with("x-hook-secret", secret.clone());
                Some(self.learning(secret, answer))
            }
            "aws-sns" if self.body("Type")? == "SubscriptionConfirmation" => self.sns(),
            "azure-event-grid" if self.header("aeg-event-type")? == "SubscriptionValidation" => {
                let code = self.body("0.data.validationCode")?;
                Some(self.verified(|| Answer::json(&json!({ "validationResponse": code }))))
            }
            "bitbucket-server" if self.header("x-event-key")? == "diagnostics:ping" => {
                Some(Ok(Answer::status(200)))
            }
            "discord" => match self.body("type")?.as_str() {
                "0" => Some(self.verified(|| Answer::status(204))),
                // Webhook events have type 1 as well, and an event in them.
                "1" if Path::parse("event").find(self.request.body).is_none() => {
                    Some(self.verified(|| Answer::json(&json!({ "type": 1 }))))
                }
                _ => None,
            },
            "exact-online" if self.request.body.is_empty() => Some(Ok(Answer::status(200))),
            "front" => Some(Ok(Answer::json(&json!({ "challenge": self.header("x-front-challenge")? })))),
            "gusto" | "notion" => {
                let token = self.body("verification_token")?;
                let signed =
                    self.request.header("x-notion-signature").or(self.request.header("x-gusto-signature"));
                signed.is_none().then(|| self.learning(token, Answer::status(200)))
            }
            "lark" => self.lark(),
            // Signed with a secret that everybody can read, so it is answered and not delivered.
            "mailersend" if self.body("type")? == "webhook.test" => Some(Ok(Answer::status(200))),
            "mandrill" => {
                let events = form::value(self.request.body, "mandrill_events")?;
                (events == "[]").then(|| Ok(Answer::status(200)))
            }
            "microsoft-graph" => Some(Ok(Answer::text(self.query("validationToken")?))),
            "miro" | "monday" => {
                // Alone: an event that has such a member is an event, and so is what is too long for a challenge.
                let body = Some(self.request.body).filter(|body| body.len() <= 2 * ECHO_BYTES_MAX)?;
                let members: serde_json::Map<String, Value> = serde_json::from_slice(body).ok()?;
                let challenge = self.body("challenge").filter(|_| members.len() == 1)?;
                Some(Ok(Answer::json(&json!({ "challenge": challenge }))))
            }
            "ringcentral" => {
                let token = self.header("validation-token")?;
                self.request.body.is_empty().then(|| Ok(Answer::status(200).with("validation-token", token)))
            }
            _ => self.post_signed(slug),
        }
    }

    /// Those that are signed, mostly, and the rest.
    fn post_signed(&self, slug: &str) -> Outcome {
        match slug {
            "slack" if self.body("type")? == "url_verification" => {
                let challenge = self.body("challenge")?;
                Some(self.verified(|| Answer::text(challenge)))
            }
            "smartcar" if self.body("eventType")? == "VERIFY" => {
                let tag = self.tag(Hash::Sha256, &Self::signable(self.body("data.challenge")?)?)?;
                Some(Ok(Answer::json(&json!({ "challenge": to_hex(tag.as_bytes()) }))))
            }
            "smartsheet" => {
                let challenge = self.header("smartsheet-hook-challenge")?;
                let answer = Answer::json(&json!({ "smartsheetHookResponse": challenge }));
                Some(Ok(answer.with("smartsheet-hook-response", challenge)))
            }
            "twitch" if self.header("twitch-eventsub-message-type")? == "webhook_callback_verification" => {
                let challenge = self.body("challenge")?;
                Some(self.verified(|| Answer::text(challenge)))
            }
            "vercel-log-drains" if self.request.header("x-vercel-signature").is_none() => {
                Some(Ok(Answer::status(200).with("x-vercel-verify", self.setting("verify_token")?)))
            }
            "woocommerce" if self.request.header("x-wc-webhook-signature").is_none() => {
                let ping = form::pairs(self.request.body).ok()?;
                let is_ping = matches!(ping.as_slice(), [(name, _)] if name == "webhook_id");
                is_ping.then(|| Ok(Answer::status(200)))
            }
            // Several requests, some wrongly signed on purpose.
            "xero" if Path::parse("events").find(self.request.body)? == "[]" => {
                Some(self.verified(|| Answer::status(200)))
            }
            "zoom" if self.body("event")? == "endpoint.url_validation" => {
                let plain = self.body("payload.plainToken")?;
                let encrypted = to_hex(self.tag(Hash::Sha256, &plain)?.as_bytes());
                Some(
                    self.verified(|| {
                        Answer::json(&json!({ "plainToken": plain, "encryptedToken": encrypted }))
                    }),
                )
            }
            _ => None,
        }
    }

    /// Encrypted, if there is an encrypt key.
    fn lark(&self) -> Outcome {
        let plain = lark_decrypted(&self.receiver.settings, self.request.body);
        let member = |name: &str| {
            let value = Path::parse(name).text(plain.as_deref().unwrap_or(self.request.body))?;
            (value.len() <= ECHO_BYTES_MAX).then(|| value.into_owned())
        };
        if member("type")? != "url_verification" {
            return None;
        }
        let answer = Answer::json(&json!({ "challenge": member("challenge")? }));
        Some(self.if_configured("verification_token", member("token"), answer))
    }

    /// Verified, and confirmed at Amazon's own host only.
    fn sns(&self) -> Outcome {
        let url = self.body("SubscribeURL")?;
        if !https_host_and_path(&url).is_some_and(|(host, _)| is_sns_host(host)) {
            return Some(Err(Refusal::untrusted_key(&url)));
        }
        // Amazon signs for every account: from the first topic on, another is a stranger's.
        let learned = sns_topics(&self.receiver.settings).is_empty().then(|| self.body("TopicArn")).flatten();
        Some(self.verified(|| Answer { then_get: Some(url), learned, ..Answer::status(200) }))
    }

    /// The abuse protection of CloudEvents' HTTP webhooks, §4.1.
    fn cloud_events(&self) -> Outcome {
        let origin = self.header("webhook-request-origin")?;
        let allowed = self.receiver.settings.list("allowed_origins");
        if !allowed.is_empty() && !allowed.iter().any(|known| *known == origin || known == "*") {
            return Some(Err(Refusal::WrongToken("the header webhook-request-origin".to_owned())));
        }
        let mut answer = Answer::status(200).with("webhook-allowed-origin", origin).with("allow", "POST");
        if self.request.header("webhook-request-rate").is_some() {
            let rate = self.setting("allowed_rate").unwrap_or_else(|| "*".to_owned());
            answer = answer.with("webhook-allowed-rate", rate);
        }
        Some(Ok(answer))
    }

    /// Our address as the provider knows it.
    fn endpoint(&self) -> String {
        let here = self.request.url.split('?').next().unwrap_or_default();
        self.setting("endpoint").unwrap_or_else(|| here.to_owned())
    }
}
