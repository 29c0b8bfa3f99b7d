//! How much a schema is with all its references followed: a few lines of them can ask for more checks than there will ever
//! be time for.

use std::collections::HashMap;

use serde_json::Value;

/// Values in a schema, each reference counted as what it refers to.
const VALUES_MAX: usize = 50_000;
/// How deep values and references may nest in each other: checking goes down as deep.
const DEPTH_MAX: usize = 256;

/// The values of a schema, or why it is not taken.
pub(super) fn of(schema: &Value) -> Result<usize, String> {
    let has_old_ids = schema
        .get("$schema")
        .and_then(Value::as_str)
        .is_some_and(|draft| ["draft-03", "draft-04"].iter().any(|old| draft.contains(old)));
    Count { schema, has_old_ids, known: HashMap::new(), open: vec![] }.of(schema)
}

struct Count<'v> {
    schema: &'v Value,
    /// In drafts 3 and 4, `id` is what `$id` is now.
    has_old_ids: bool,
    known: HashMap<*const Value, usize>,
    /// What is being counted: the values that enclose this one, and those that refer to it.
    open: Vec<*const Value>,
}

impl<'v> Count<'v> {
    fn of(&mut self, value: &'v Value) -> Result<usize, String> {
        let here = std::ptr::from_ref(value);
        if let Some(count) = self.known.get(&here) {
            return Ok(*count);
        }
        if self.open.contains(&here) {
            return Err(
                "must not refer to itself: it is checked for every request, and could go on for ever"
                    .to_owned(),
            );
        }
        self.open.push(here);
        let mut count = 1;
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    count += self.of(member)? + self.behind(name, member, here)?;
                }
            }
            Value::Array(items) => {
                for item in items {
                    count += self.of(item)?;
                }
            }
            _ => {}
        }
        self.open.pop();
        if count > VALUES_MAX {
            return Err(format!("must hold at most {VALUES_MAX} values with all its references followed"));
        }
        self.known.insert(here, count);
        Ok(count)
    }

    /// The values that a member refers to.
    fn behind(&mut self, name: &str, member: &'v Value, here: *const Value) -> Result<usize, String> {
        let Value::String(text) = member else { return Ok(0) };
        let is_root = std::ptr::eq(here, self.schema);
        match name {
            "$ref" => {
                if self.open.len() > DEPTH_MAX {
                    return Err(format!(
                        "must not nest more than {DEPTH_MAX} deep with all its references followed"
                    ));
                }
                let place = text.strip_prefix('#').filter(|place| place.is_empty() || place.starts_with('/'));
                let target = place.and_then(|place| self.schema.pointer(place));
                self.of(target.ok_or_else(|| {
                    format!("is no JSON Schema that stands on its own: {:?} is no place in it, like \"#/$defs/name\"", shown(text))
                })?)
            }
            "$dynamicRef" | "$recursiveRef" => {
                Err(format!("must not use {name}: where it leads is not known before"))
            }
            "$id" if !is_root => {
                Err("must have no $id but its own: its references would lead elsewhere".to_owned())
            }
            "id" if !is_root && self.has_old_ids => {
                Err("must have no id but its own: its references would lead elsewhere".to_owned())
            }
            _ => Ok(0),
        }
    }
}

/// So much of it is repeated.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Definitions that each ask twice for the next one.
    fn doubling(count: usize, link: impl Fn(Value) -> Value) -> Value {
        let mut defs = serde_json::Map::new();
        for number in 0..count {
            let next = json!({ "$ref": format!("#/$defs/{}", number + 1) });
            defs.insert(number.to_string(), link(json!([next, next])));
        }
        defs.insert(count.to_string(), json!({ "type": "integer" }));
        json!({ "$defs": defs, "$ref": "#/$defs/0" })
    }

    #[test]
    fn references_are_counted_as_what_they_refer_to() {
        assert_eq!(of(&json!({ "type": "object" })), Ok(2));
        let twice = json!({ "$defs": { "a": { "type": "null" } }, "items": { "$ref": "#/$defs/a" } });
        // The root, `$defs` with `a` in it, and `items` with its reference and `a` again.
        assert_eq!(of(&twice), Ok(1 + 3 + 2 + 2));
        assert!(of(&doubling(8, |both| json!({ "allOf": both }))).is_ok());
    }

    #[test]
    fn a_schema_that_would_never_be_done_is_refused() {
        for (schema, said) in [
            (doubling(20, |both| json!({ "allOf": both })), "at most"),
            (doubling(20, |both| json!({ "properties": { "a": { "anyOf": both } } })), "at most"),
            (json!({ "$ref": "#" }), "itself"),
            (json!({ "properties": { "a": { "items": { "$ref": "#" } } } }), "itself"),
            (json!({ "$dynamicAnchor": "a", "items": { "$dynamicRef": "#a" } }), "$dynamicRef"),
            (json!({ "$defs": { "a": { "$id": "b" } }, "$ref": "b" }), "$id"),
            (json!({ "$ref": "#a", "$defs": { "a": { "$anchor": "a" } } }), "no place in it"),
            (json!({ "$ref": "https://example.com/x" }), "stands on its own"),
        ] {
            let refused = of(&schema).unwrap_err();
            assert!(refused.contains(said), "{schema}: {refused}");
        }
        let mut links = serde_json::Map::new();
        for number in 0..1_500 {
            links.insert(number.to_string(), json!({ "$ref": format!("#/$defs/{}", number + 1) }));
        }
        links.insert("1500".to_owned(), json!({}));
        assert!(of(&json!({ "$defs": links, "$ref": "#/$defs/0" })).unwrap_err().contains("deep"));
    }
}
