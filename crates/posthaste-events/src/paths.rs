//! Paths into JSON, `data.object.amount`, `items[0].id` or `items.0.id`: to put a value there, or to read it.

use serde_json::{Map, Value};

/// The largest index that a list is made for.
const INDEX_MAX: usize = 1_000;

fn steps(path: &str) -> Vec<String> {
    path.replace('[', ".").replace(']', "").split('.').map(str::to_owned).collect()
}

/// Whether something was there before. What is missing on the way is made: a list for a number, else an object.
pub fn put(json: &mut Value, path: &str, value: Value) -> Result<bool, String> {
    let mut at = json;
    let mut was_there = true;
    for step in steps(path) {
        if at.is_null() {
            *at =
                if step.parse::<usize>().is_ok() { Value::Array(vec![]) } else { Value::Object(Map::new()) };
        }
        at = match at {
            Value::Object(members) => {
                was_there &= members.contains_key(&step);
                members.entry(step).or_insert(Value::Null)
            }
            Value::Array(items) => {
                let index = step.parse::<usize>().ok().filter(|index| *index <= INDEX_MAX);
                let index =
                    index.ok_or_else(|| format!("{path}: there is a list, and \"{step}\" is no number"))?;
                was_there &= index < items.len();
                if index >= items.len() {
                    items.resize(index + 1, Value::Null);
                }
                &mut items[index]
            }
            other => return Err(format!("{path}: there is {other}, and nothing can be below it")),
        };
    }
    *at = value;
    Ok(was_there)
}

/// What is there.
pub fn get<'j>(json: &'j Value, path: &str) -> Option<&'j Value> {
    steps(path).iter().try_fold(json, |at, step| match at {
        Value::Object(members) => members.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => None,
    })
}

/// Puts `more` over `base`: objects member by member, an object over a list over its first item, the rest whole.
pub fn merge(base: &mut Value, more: &Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (name, value) in more {
                merge(base.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(base), Value::Object(_)) if !base.is_empty() => merge(&mut base[0], more),
        (base, more) => *base = more.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_is_put_where_its_path_leads() {
        let mut json = json!({"data": {"items": [{"id": 1}]}});
        assert_eq!(put(&mut json, "data.items[0].id", json!(2)), Ok(true));
        assert_eq!(put(&mut json, "data.new.1", json!("x")), Ok(false));
        assert_eq!(json, json!({"data": {"items": [{"id": 2}], "new": [null, "x"]}}));
        assert_eq!(get(&json, "data.items.0.id"), Some(&json!(2)));
        assert_eq!(get(&json, "data.items[1]"), None);
        assert!(put(&mut json, "data.items.x", json!(1)).is_err());
        assert!(put(&mut json, "data.items.0.id.z", json!(1)).unwrap_err().contains("nothing can be below"));
    }

    #[test]
    fn what_an_event_has_of_its_own_goes_over_what_all_have() {
        let mut base = json!([{"a": {"b": 1, "c": 2}}]);
        merge(&mut base, &json!({"a": {"b": [3]}, "d": 4}));
        assert_eq!(base, json!([{"a": {"b": [3], "c": 2}, "d": 4}]));
    }
}
