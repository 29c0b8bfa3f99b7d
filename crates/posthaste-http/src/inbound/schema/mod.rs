//! JSON Schema for what comes in. Nothing is fetched: a schema stands on its own. Whoever may make a source may write any
//! schema, and whoever may knock any body, so what the two cost together has limits.

mod size;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Bytes of a schema.
pub(crate) const SCHEMA_BYTES_MAX: usize = 64 * 1024;
/// Values in a body: in memory each takes many times its bytes.
const BODY_VALUES_MAX: usize = 1_000_000;
/// Values of the schema times bytes of the body, up to which we look for the place that does not match: whoever looks for
/// it may first collect everything that is wrong.
const PLACE_COST_MAX: usize = 4 << 20;
/// Letters of a place that is shown: its names are the sender's.
const PLACE_LETTERS_MAX: usize = 200;

/// A schema, ready for bodies.
pub(crate) struct Compiled {
    validator: Validator,
    values_count: usize,
}

/// Reads a schema, or says what is wrong with it.
pub(crate) fn compile(document: &str) -> Result<Compiled, String> {
    let schema: Value = serde_json::from_str(document).map_err(|_| "is not JSON".to_owned())?;
    let values_count = size::of(&schema)?;
    // Patterns of this engine take time in proportion to the text, whatever they are.
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    let validator = options.build(&schema).map_err(|error| format!("is no JSON Schema: {error}"))?;
    Ok(Compiled { validator, values_count })
}

/// The first thing that is wrong with a body, without repeating its values.
pub(crate) fn mismatch(schema: &Compiled, body: &[u8]) -> Option<String> {
    if values_count(body) > BODY_VALUES_MAX {
        return Some(format!(
            "the body holds more than {BODY_VALUES_MAX} values, and this source has a JSON Schema"
        ));
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Some("the body is not JSON, and this source has a JSON Schema".to_owned());
    };
    if schema.validator.is_valid(&value) {
        return None;
    }
    if schema.values_count.saturating_mul(body.len()) > PLACE_COST_MAX {
        return Some("the body does not match the source's JSON Schema".to_owned());
    }
    let error = schema.validator.validate(&value).err()?;
    let [place, rule] = [error.instance_path().to_string(), error.schema_path().to_string()]
        .map(|path| path.chars().take(PLACE_LETTERS_MAX).collect::<String>());
    let place = if place.is_empty() { "the body".to_owned() } else { format!("{place} in the body") };
    Some(format!("{place} does not match the source's JSON Schema at {rule}"))
}

/// How many values a JSON text holds at most: one more than what separates them, strings apart.
fn values_count(json: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (1_usize, false, false);
    for byte in json {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_string = !in_string,
            (false, b'{' | b'[' | b',' | b':') => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_says_where_and_not_what() {
        let schema =
            compile(r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}"#).unwrap();
        assert_eq!(mismatch(&schema, br#"{"a":1}"#), None);
        let said = mismatch(&schema, br#"{"a":"hush"}"#).unwrap();
        assert!(said.contains("/a") && !said.contains("hush"), "{said}");
        assert!(mismatch(&schema, b"hello").unwrap().contains("not JSON"));
        assert!(compile("{").is_err() && compile(r#"{"type":7}"#).is_err());
    }

    #[test]
    fn a_schema_fetches_nothing() {
        assert!(compile(r#"{"$ref":"https://example.com/schema.json"}"#).is_err());
    }

    #[test]
    fn a_mismatch_is_short_however_much_is_wrong() {
        let schema = compile(r#"{"additionalProperties":{"type":"integer"}}"#).unwrap();
        let name = "ü".repeat(100_000);
        let said = mismatch(&schema, format!(r#"{{"{name}":""}}"#).as_bytes()).unwrap();
        assert!(said.starts_with("/ü") && said.chars().count() < 500);
        let schema = compile(r#"{"anyOf":[{"items":{"type":"string"}},{"items":{"type":"null"}}]}"#).unwrap();
        let many = format!("[{}1]", "1,".repeat(999_000));
        assert_eq!(
            mismatch(&schema, many.as_bytes()).unwrap(),
            "the body does not match the source's JSON Schema"
        );
        let more = format!("[{}1]", "1,".repeat(1_000_000));
        assert!(mismatch(&schema, more.as_bytes()).unwrap().contains("more than 1000000 values"));
    }

    #[test]
    fn a_pattern_that_would_go_back_and_forth_is_refused() {
        assert!(compile(r#"{"pattern":"^(?=(a+)+$)x"}"#).is_err());
        assert!(compile(r#"{"pattern":"^(a+)+$"}"#).is_ok());
    }

    #[test]
    fn values_are_counted_by_what_separates_them() {
        assert_eq!(values_count(br#"{"a":[1,2],"b,:":"\"["}"#), 7);
    }
}
