//! JSON Schema for what comes in. Nothing is fetched: a schema stands on its own.

use jsonschema::Validator;
use serde_json::Value;

/// Bytes of a schema.
pub(crate) const SCHEMA_BYTES_MAX: usize = 64 * 1024;

/// Reads a schema, or says what is wrong with it.
pub(crate) fn compile(document: &str) -> Result<Validator, String> {
    let schema: Value = serde_json::from_str(document).map_err(|_| "is not JSON".to_owned())?;
    jsonschema::options().build(&schema).map_err(|error| format!("is no JSON Schema: {error}"))
}

/// The first thing that is wrong with a body, without repeating its values.
pub(crate) fn mismatch(validator: &Validator, body: &[u8]) -> Option<String> {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return Some("the body is not JSON, and this source has a JSON Schema".to_owned());
    };
    let error = validator.iter_errors(&value).next()?;
    let place = error.instance_path().to_string();
    let place = if place.is_empty() { "the body".to_owned() } else { format!("{place} in the body") };
    Some(format!("{place} does not match the source's JSON Schema at {}", error.schema_path()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mismatch_says_where_and_not_what() {
        let validator =
            compile(r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}"#).unwrap();
        assert_eq!(mismatch(&validator, br#"{"a":1}"#), None);
        let said = mismatch(&validator, br#"{"a":"hush"}"#).unwrap();
        assert!(said.contains("/a") && !said.contains("hush"), "{said}");
        assert!(mismatch(&validator, b"hello").unwrap().contains("not JSON"));
        assert!(compile("{").is_err() && compile(r#"{"type":7}"#).is_err());
    }

    #[test]
    fn a_schema_fetches_nothing() {
        assert!(compile(r#"{"$ref":"https://example.com/schema.json"}"#).is_err());
    }
}
