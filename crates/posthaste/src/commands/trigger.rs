//! `posthaste trigger`: an event of a provider as it would come, at a handler that is being written.

use std::process::ExitCode;

use posthaste_core::request::printed;
use posthaste_core::time::Clock as _;
use posthaste_events::{self as fixture, Event, Filled, fresh_id};
use posthaste_signature::provider::sign::{Draft, Moment, needed_key};
use posthaste_signature::provider::{self, Keys, Provider};

use super::{kept, send};
use crate::cli::laptop::TriggerArgs;
use crate::laptop::complaint::{Complaint, NOT_VERIFIED, RECEIVER_FAILED, told};
use crate::laptop::items::{self, Item};
use crate::laptop::post::Sender;
use crate::laptop::signing::{self, Ready};
use crate::laptop::{answered, editor, pace, scheme, target};
use crate::system::{SystemDice, SystemTimer};
use crate::telemetry::{print_bytes, print_line, tell};
use crate::wiring;

/// What a request is signed for when it is only printed.
const NOWHERE: &str = "http://127.0.0.1:3000/webhooks";

/// Runs it.
pub(crate) fn trigger(args: &TriggerArgs) -> ExitCode {
    told(run(args))
}

fn run(args: &TriggerArgs) -> Result<ExitCode, Complaint> {
    let Some(named) = &args.event else {
        list_providers();
        return Ok(ExitCode::SUCCESS);
    };
    let (provider, event, items) = resolve(named, &args.items)?;
    if args.instead.list {
        list_events(provider);
        return Ok(ExitCode::SUCCESS);
    }
    let event =
        fixture::event(provider, event.as_deref()).ok_or_else(|| unknown(provider, event.as_deref()))?;
    let url = match (&args.to, &args.source) {
        (Some(to), _) => Some(target::url(to)?),
        (None, Some(source)) => Some(kept::door(source, provider, args)?),
        (None, None) => None,
    };
    let is_sent = url.is_some();
    let url = url.unwrap_or_else(|| NOWHERE.to_owned());
    let between = pace::between(args.rate.as_deref())?;
    let ready = if args.unsigned { None } else { Some(signing::ready(&provider.slug, &args.signer, &url)?) };
    for note in ready.iter().flat_map(|ready| &ready.notes) {
        tell(note);
    }
    let mut made = Making { event, url, items, ready, edited: None };
    if args.edit {
        made.edit()?;
    }
    if args.instead.print || args.instead.curl || !is_sent {
        for _ in 0..args.repeat {
            let (draft, _) = made.request()?;
            if args.instead.curl {
                print_line(&printed::as_curl(&draft));
            } else {
                print_bytes(&printed::on_the_wire(&draft));
            }
        }
        return Ok(ExitCode::SUCCESS);
    }
    let sender = Sender::new(&made.url)?;
    let runtime = wiring::runtime().map_err(|error| {
        Complaint::usage("nothing can be sent", format!("{error:#}"), "try again when the system has room")
    })?;
    runtime.block_on(async {
        let mut worst = ExitCode::SUCCESS;
        for turn in 0..args.repeat {
            if turn > 0 {
                tokio::time::sleep(between).await;
            }
            if let Some(code) = made.send(&sender).await? {
                worst = code;
            }
        }
        Ok(worst)
    })
}

/// A provider, perhaps an event of it, and the changes to make.
type Resolved = (&'static Provider, Option<String>, Vec<Item>);

/// `stripe.charge.succeeded`, or `stripe charge.succeeded`.
fn resolve(named: &str, items: &[String]) -> Result<Resolved, Complaint> {
    let (slug, event) = match named.split_once('.') {
        Some((slug, event)) => (slug, Some(event.to_owned())),
        None => (named, None),
    };
    let provider = provider::find(slug)
        .ok_or_else(|| scheme::complain(slug, &provider::SetupError::UnknownProvider(slug.to_owned())))?;
    let is_event = |text: &String| event.is_none() && !text.contains(['=', ':', '@']) && text != "-";
    let (event, items) = match items.split_first() {
        Some((first, rest)) if is_event(first) => (Some(first.clone()), rest),
        _ => (event, items),
    };
    let items: Result<Vec<_>, _> = items.iter().map(|text| Item::parse(text)).collect();
    Ok((provider, event, items?))
}

fn unknown(provider: &Provider, event: Option<&str>) -> Complaint {
    let event = event.unwrap_or_default();
    let (events, handshakes) = fixture::names(&provider.slug);
    let mut names: Vec<_> = events.iter().chain(&handshakes).copied().collect();
    let wanted = event.split('.').next().unwrap_or_default();
    names.sort_by_key(|name| !name.contains(wanted));
    names.truncate(6);
    Complaint::usage(
        format!("there is no event \"{event}\" of {} here", provider.name),
        format!("known are {} and others", names.join(", ")),
        format!("see posthaste trigger {} --list, or change any of them with path=value", provider.slug),
    )
}

fn list_providers() {
    for (provider, events_count) in fixture::all() {
        let events = if events_count == 0 {
            "a plain event".to_owned()
        } else {
            crate::words::count(events_count as u64, "event")
        };
        let key = needed_key(&provider.slug, None)
            .map_or("", |_| "  (signs with a private key: ours for tests, or --key)");
        print_line(&format!("{:<24}{events:<16}{}{key}", provider.slug, provider.name));
    }
}

fn list_events(provider: &Provider) {
    let (events, handshakes) = fixture::names(&provider.slug);
    for name in events {
        print_line(&format!("{}.{name}", provider.slug));
    }
    for name in handshakes {
        print_line(&format!("{}.{name}  (a handshake: its answer is judged)", provider.slug));
    }
}

/// All that a request is made of.
struct Making {
    event: Event,
    url: String,
    items: Vec<Item>,
    ready: Option<Ready>,
    /// The body as it was edited.
    edited: Option<serde_json::Value>,
}

impl Making {
    /// The event with its changes, not signed.
    fn filled(&self, id: &str, at_ms: i64, tells: bool) -> Result<Filled, Complaint> {
        let mut filled = self.event.fill(id, at_ms, &self.url, &SystemDice);
        if let Some(edited) = &self.edited {
            filled.body.clone_from(edited);
        }
        for item in &self.items {
            match item {
                Item::Field(name, value) => {
                    let was_there = items::put(&mut filled.body, name, value)?;
                    if tells && !was_there {
                        tell(&format!("note: {name} was not in the event, and is now"));
                    }
                }
                Item::File(_) => {
                    return Err(Complaint::usage(
                        "an event has no file",
                        "its body is made here",
                        "to send a file as it is: posthaste send URL @FILE --sign PROVIDER",
                    ));
                }
                other => send::put(&mut filled.draft, other)?,
            }
        }
        filled.write();
        Ok(filled)
    }

    fn edit(&mut self) -> Result<(), Complaint> {
        let filled = self.filled(&fresh_id(&SystemDice), now_ms(), true)?;
        let text = editor::edited(filled.pretty().as_bytes())?;
        let body = serde_json::from_slice(&text).map_err(|error| {
            Complaint::usage(
                "the edited body cannot be used",
                format!("it is not JSON: {error}"),
                "edit it again",
            )
        })?;
        self.items.retain(|item| !matches!(item, Item::Field(..)));
        self.edited = Some(body);
        Ok(())
    }

    /// A request with ids of its own, and its id.
    fn request(&mut self) -> Result<(Draft, String), Complaint> {
        let (id, at_ms) = (fresh_id(&SystemDice), now_ms());
        let mut draft = self.filled(&id, at_ms, true)?.draft;
        if let Some(ready) = self.ready.as_ref().filter(|_| self.event.is_signed()) {
            signing::sign(&ready.signer, &mut draft, &Moment { at_ms, id: &id })?;
        }
        Ok((draft, id))
    }

    /// Sends one; the exit code if all is not well.
    async fn send(&mut self, sender: &Sender) -> Result<Option<ExitCode>, Complaint> {
        let (draft, id) = self.request()?;
        let what = format!("{}  {}", self.event.provider.slug, self.event.name);
        let reply = sender.send(&draft, &id, &what).await?;
        let is_good = (200..300).contains(&reply.status);
        if !self.event.is_handshake || !is_good {
            return Ok((!is_good).then(|| ExitCode::from(RECEIVER_FAILED)));
        }
        let wanted =
            self.ready.as_ref().and_then(|ready| posthaste_events::receiver(&ready.signer)).and_then(
                |receiver| receiver.handshake(&draft.request(), now_ms().div_euclid(1000), &Keys::default()),
            );
        let Some(Ok(wanted)) = wanted else { return Ok(None) };
        let header = |name: &str| reply.header(name).map(str::to_owned);
        Ok(match answered::differs(&wanted, &header, &reply.body) {
            None => {
                tell(&format!("handshake ok: {} would take that answer", self.event.provider.name));
                None
            }
            Some(how) => {
                tell(&crate::terminal::shown(&format!("handshake failed: {how}")));
                Some(ExitCode::from(NOT_VERIFIED))
            }
        })
    }
}

fn now_ms() -> i64 {
    SystemTimer.now().as_micros().div_euclid(1000)
}
