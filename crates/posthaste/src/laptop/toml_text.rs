//! Values and keys as TOML writes them.

use serde_json::Value;

/// A text in quotes.
pub(crate) fn quoted(text: &str) -> String {
    // JSON's escapes are TOML's, but for one letter.
    Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A key, in quotes if it needs them.
pub(crate) fn key(name: &str) -> String {
    let is_bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if is_bare { name.to_owned() } else { quoted(name) }
}

/// A value on one line. TOML has no null: whoever writes leaves such fields out, and within lists there are none.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(all) => {
            let all: Vec<_> = all.iter().filter(|one| !one.is_null()).map(self::value).collect();
            format!("[{}]", all.join(", "))
        }
        Value::Object(members) => {
            let members = members.iter().filter(|(_, one)| !one.is_null());
            let members: Vec<_> =
                members.map(|(name, one)| format!("{} = {}", key(name), self::value(one))).collect();
            if members.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", members.join(", ")) }
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_read_back_as_they_were() {
        let object = json!({
            "text": "a\"b\\c\n\u{7f}\u{1}é", "number": 7, "float": 1.5, "flag": true, "list": ["a", 1, ["b"]],
            "deep": { "with space": { "x": [] } }, "empty": {},
        });
        let text: String = object
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, one)| format!("{} = {}\n", key(name), value(one)))
            .collect();
        assert_eq!(toml::from_str::<Value>(&text).unwrap(), object);
    }
}
