//! What has to change so that the server has what the files say.

use posthaste_signature::provider::find;
use serde_json::{Map, Value, json};

use super::manifest::{Entry, Kind, MARK};

/// Without nulls, which say the same as nothing.
fn bare(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let members = members.iter().filter(|(_, one)| !one.is_null());
            Value::Object(members.map(|(name, one)| (name.clone(), bare(one))).collect())
        }
        Value::Array(all) => all.iter().map(bare).collect(),
        other => other.clone(),
    }
}

/// Metadata without our mark.
fn unmarked(name: &str, value: Value) -> Value {
    match (name, value) {
        ("metadata", Value::Object(mut members)) => {
            members.shift_remove(MARK.0);
            Value::Object(members)
        }
        (_, value) => value,
    }
}

/// Whether two names are of one provider: Svix has names of its own for some.
fn is_same_provider(one: &Value, other: &Value) -> bool {
    let slug = |name: &Value| find(name.as_str()?).map(|provider| provider.slug.as_str());
    slug(one).is_some() && slug(one) == slug(other)
}

/// Whether an apply has made it.
pub(crate) fn is_marked(there: &Value) -> bool {
    there["metadata"][MARK.0] == json!(MARK.1)
}

/// The body that makes it.
pub(crate) fn creation(entry: &Entry) -> Map<String, Value> {
    let mut body = entry.fields.clone();
    body.insert(entry.kind.key.to_owned(), json!(entry.key));
    if entry.kind.has_metadata {
        body.entry("metadata").or_insert_with(|| json!({}))[MARK.0] = json!(MARK.1);
    } else {
        body.entry("description").or_insert_with(|| json!(""));
    }
    body
}

/// The fields that differ, as the server should have them; empty: none.
pub(crate) fn change(entry: &Entry, there: &Value) -> Map<String, Value> {
    let mut change = Map::new();
    for (name, empty) in entry.kind.fields {
        let wanted = match (entry.fields.get(*name), empty) {
            (Some(wanted), _) => wanted.clone(),
            (None, Some(empty)) => empty.value(),
            // The file leaves it to others.
            (None, None) => continue,
        };
        let is = unmarked(name, there[*name].clone());
        if bare(&wanted) == bare(&is) || (*name == "type" && is_same_provider(&wanted, &is)) {
            continue;
        }
        let mut wanted = wanted;
        if *name == "metadata" && is_marked(there) {
            wanted[MARK.0] = json!(MARK.1);
        }
        change.insert((*name).to_owned(), wanted);
    }
    change
}

/// What a file says of something that is there: its fields but for those that are as nobody set them.
pub(crate) fn said(kind: &Kind, there: &Value) -> Map<String, Value> {
    let mut said = Map::new();
    said.insert(kind.key.to_owned(), there[kind.key].clone());
    for (name, empty) in kind.fields {
        let is = bare(&unmarked(name, there[*name].clone()));
        if !is.is_null() && empty.is_none_or(|empty| is != empty.value()) {
            said.insert((*name).to_owned(), is);
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::laptop::manifest::{self, APP};

    fn entry(text: &str) -> Entry {
        let Ok(mut entries) = manifest::read("a.toml", text) else { panic!("{text}") };
        entries.remove(0)
    }

    const ACME: &str = "[[app]]\nuid = \"acme\"\nname = \"Acme\"\n";

    #[test]
    fn only_what_differs_is_changed_and_what_is_left_out_is_as_nobody_set_it() {
        let there =
            json!({ "id": "app_1", "uid": "acme", "name": "Acme", "rateLimit": null, "metadata": {} });
        assert!(change(&entry(ACME), &there).is_empty());
        let there = json!({ "uid": "acme", "name": "Old", "rateLimit": 7, "metadata": { "a": "b" } });
        let change = change(&entry(ACME), &there);
        assert_eq!(Value::Object(change), json!({ "name": "Acme", "rateLimit": null, "metadata": {} }));
    }

    #[test]
    fn a_provider_by_another_name_is_no_difference() {
        let file = entry("[[source]]\nuid = \"s\"\nname = \"S\"\ntype = \"openai\"\n");
        let there = |kind| json!({ "uid": "s", "name": "S", "type": kind, "config": {}, "paused": false, "metadata": {} });
        assert!(change(&file, &there("open-ai")).is_empty());
        assert!(!change(&file, &there("github")).is_empty());
    }

    #[test]
    fn the_mark_is_made_kept_and_never_taken_for_a_difference() {
        let made = Value::Object(creation(&entry(ACME)));
        assert!(is_marked(&made));
        assert!(change(&entry(ACME), &made).is_empty());
        let more = entry(&format!("{ACME}metadata = {{ a = \"b\" }}\n"));
        assert!(is_marked(&Value::Object(change(&more, &made))));
        // What others made is not marked by being changed.
        let others = json!({ "uid": "acme", "name": "Acme", "metadata": {} });
        assert!(!is_marked(&Value::Object(change(&more, &others))));
    }

    #[test]
    fn what_is_exported_changes_nothing_when_it_is_applied() {
        let there = json!({ "uid": "acme", "name": "Acme", "rateLimit": 7, "metadata": { "a": "b", MARK.0: MARK.1 } });
        let said = said(&APP, &there);
        assert_eq!(
            Value::Object(said.clone()),
            json!({ "uid": "acme", "name": "Acme", "rateLimit": 7, "metadata": { "a": "b" } })
        );
        let text: String = said
            .iter()
            .map(|(name, one)| format!("{name} = {}\n", crate::laptop::toml_text::value(one)))
            .collect();
        assert!(change(&entry(&format!("[[app]]\n{text}")), &there).is_empty());
    }
}
