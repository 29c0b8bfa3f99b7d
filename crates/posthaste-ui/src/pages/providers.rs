//! The table of providers, as one picks from it, and what a form has to ask of one.

use posthaste_core::cron;
use posthaste_signature::provider::sign::{needed_key, rehearse};
use posthaste_signature::provider::{self, Evidence, Provider, Settings};
use serde::Serialize;

/// The group of those that are no company's.
const FOR_ANY: &str = "For any sender";

/// A provider to pick.
#[derive(Serialize)]
pub(crate) struct Choice {
    slug: String,
    name: String,
    how: String,
}

/// Providers under one heading.
#[derive(Serialize)]
pub(crate) struct Group {
    heading: String,
    choices: Vec<Choice>,
}

/// All whose name or slug holds `wanted`: those for any sender first, then by their first letter.
pub(crate) fn groups(wanted: &str) -> Vec<Group> {
    let wanted = wanted.trim().to_lowercase();
    let schedule = Choice {
        slug: cron::PROVIDER.to_owned(),
        name: "A schedule".to_owned(),
        how: "nothing comes in: makes a message at each of its times".to_owned(),
    };
    let listed = provider::all().map(|provider| Choice {
        slug: provider.slug.clone(),
        name: provider.name.clone(),
        how: provider.describe(),
    });
    let is_wanted = |choice: &Choice| {
        wanted.is_empty() || choice.name.to_lowercase().contains(&wanted) || choice.slug.contains(&wanted)
    };
    let mut groups: Vec<Group> = vec![];
    let mut choices: Vec<_> = listed
        .chain([schedule])
        .filter(is_wanted)
        .map(|choice| (heading(&choice.slug, &choice.name), choice))
        .collect();
    choices
        .sort_by_key(|(heading, choice)| (heading != FOR_ANY, heading.clone(), choice.name.to_lowercase()));
    for (heading, choice) in choices {
        match groups.last_mut() {
            Some(last) if last.heading == heading => last.choices.push(choice),
            _ => groups.push(Group { heading, choices: vec![choice] }),
        }
    }
    groups
}

fn heading(slug: &str, name: &str) -> String {
    if slug.starts_with("generic-") || matches!(slug, "standard-webhooks" | cron::PROVIDER) {
        return FOR_ANY.to_owned();
    }
    name.chars().next().map_or_else(String::new, |letter| letter.to_uppercase().to_string())
}

/// A setting that a provider's scheme may need beside its secret.
#[derive(Serialize)]
pub(crate) struct Setting {
    name: String,
    label: String,
    value: String,
}

/// What is to be known of a provider before a source of it is made.
#[derive(Serialize)]
pub(crate) struct Facts {
    slug: String,
    name: String,
    docs: String,
    how: String,
    evidence: &'static str,
    is_unsure: bool,
    covers: &'static str,
    secret: Option<String>,
    note: Option<String>,
    retries: Option<String>,
    handshake: bool,
    settings: Vec<Setting>,
    variants: Vec<String>,
}

pub(crate) fn facts(provider: &Provider, typed: impl Fn(&str) -> String) -> Facts {
    let mut needs = Settings::default();
    // What a trial would have to make up is what has to be asked for.
    let mut asked = rehearse(&provider.slug, &mut needs, "").unwrap_or_default();
    let has_secret = asked.iter().any(|name| name == "secret");
    asked.retain(|name| name != "secret");
    if needed_key(&provider.slug, None).is_some() {
        asked.push("public_key".to_owned());
    }
    let setting = |name: String| Setting { label: label(&name), value: typed(&name), name };
    Facts {
        slug: provider.slug.clone(),
        name: provider.name.clone(),
        docs: provider.docs.clone(),
        how: provider.describe(),
        evidence: match provider.evidence {
            Evidence::Spec => "its own documentation",
            Evidence::Sdk => "its SDK, or what it sends with",
            Evidence::Others => "receivers that others wrote",
            _ => "nothing: check it before you rely on it",
        },
        is_unsure: provider.evidence == Evidence::Unverified,
        covers: provider.covers().as_str(),
        secret: has_secret.then(|| provider.secret().into_owned()),
        note: provider.note.clone(),
        retries: provider.retries.clone(),
        handshake: provider.handshake,
        settings: asked.into_iter().map(setting).collect(),
        variants: provider.variants().map(str::to_owned).collect(),
    }
}

/// `webhook_id` as people write it.
fn label(name: &str) -> String {
    let words = name.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// What a request that was taken was checked by.
pub(crate) fn checked(slug: &str) -> &'static str {
    match provider::find(slug).map(Provider::scheme) {
        None | Some("none") => "taken: nothing is signed here",
        Some("token" | "basic") => "secret ok",
        Some(_) => "signature ok",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: &str) -> Vec<String> {
        groups(wanted).into_iter().flat_map(|group| group.choices).map(|choice| choice.slug).collect()
    }

    #[test]
    fn every_provider_is_in_one_group_and_those_for_any_sender_come_first() {
        let all = groups("");
        assert_eq!(all[0].heading, FOR_ANY);
        let count: usize = all.iter().map(|group| group.choices.len()).sum();
        assert_eq!(count, provider::all().count() + 1);
        let headings: Vec<_> = all.iter().map(|group| &group.heading).collect();
        let mut once = headings.clone();
        once.dedup();
        assert_eq!(headings, once);
    }

    #[test]
    fn a_search_finds_by_name_and_by_slug() {
        assert!(names("gitH").contains(&"github".to_owned()));
        assert!(names("schedule").contains(&"cron".to_owned()));
        assert!(names("no such provider").is_empty());
    }

    #[test]
    fn a_form_asks_for_what_the_scheme_needs() {
        let facts_of = |slug| facts(provider::find(slug).unwrap(), |_| String::new());
        let settings = |slug| facts_of(slug).settings.into_iter().map(|one| one.label).collect::<Vec<_>>();
        assert!(facts_of("github").secret.is_some() && settings("github").is_empty());
        assert!(facts_of("discord").secret.is_none());
        assert_eq!(settings("discord"), ["Public key"]);
        assert!(facts_of("generic-webhook").secret.is_none());
        assert_eq!(settings("generic-hmac"), ["Header"]);
    }

    #[test]
    fn what_a_request_was_checked_by_is_said_truly() {
        assert_eq!(checked("github"), "signature ok");
        assert_eq!(checked("gitlab"), "secret ok");
        assert_eq!(checked("generic-webhook"), "taken: nothing is signed here");
    }
}
