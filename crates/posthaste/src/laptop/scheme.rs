//! The provider's scheme as the command line describes it.

use posthaste_signature::provider::{self, Settings, SetupError, is_setting};
use serde_json::Value;

use super::complaint::Complaint;
use crate::cli::laptop::SchemeArgs;

/// The settings that the arguments name. A value that is JSON and no number is taken as JSON, any other as text.
pub(crate) fn settings(args: &SchemeArgs) -> Result<Settings, Complaint> {
    let mut settings = Settings::default();
    settings.secrets.clone_from(&args.secret);
    settings.variant.clone_from(&args.variant);
    for item in &args.config {
        let bad = |why: String| {
            Complaint::usage(
                format!("--config {item} cannot be used"),
                why,
                "write --config key=value, such as --config audience=https://example.com",
            )
        };
        let (name, text) = item.split_once('=').ok_or_else(|| bad("it has no `=`".to_owned()))?;
        if !is_setting(name) {
            return Err(bad(format!("no scheme reads a setting called `{name}`")));
        }
        let value = match serde_json::from_str::<Value>(text) {
            Ok(Value::Number(_)) | Err(_) => Value::String(text.to_owned()),
            Ok(value) => value,
        };
        settings.values.insert(name.to_owned(), value);
    }
    Ok(settings)
}

/// A setup that does not work, with what would.
pub(crate) fn complain(name: &str, error: &SetupError) -> Complaint {
    let what = format!("requests of \"{name}\" cannot be verified or signed like this");
    let next = match (error, provider::find(name)) {
        (SetupError::UnknownProvider(_), _) => unknown(name),
        (SetupError::UnknownVariant(_), Some(found)) => match found.variants().collect::<Vec<_>>().as_slice()
        {
            [] => format!("leave --variant out: {} has one scheme", found.name),
            names => format!("name one of {}, or none for the main scheme", names.join(", ")),
        },
        (SetupError::NoSecret, Some(found)) => format!("add --secret: {}", found.secret()),
        (SetupError::Setting { name, expected }, _) if name == "secret" => {
            format!("give a --secret that is {expected}")
        }
        (SetupError::Setting { name, .. }, _) => format!("add --config {name}=…"),
        _ => "see posthaste trigger --list".to_owned(),
    };
    Complaint::usage(what, error, next)
}

fn unknown(name: &str) -> String {
    match nearest(name) {
        Some(near) => format!("did you mean {near}? All names: posthaste trigger --list"),
        None => "see posthaste trigger --list for all names".to_owned(),
    }
}

/// The provider with a name like this.
fn nearest(name: &str) -> Option<&'static str> {
    let wanted = name.to_ascii_lowercase();
    let slugs = || provider::all().map(|provider| provider.slug.as_str());
    let alike = slugs().find(|slug| slug.replace('-', "") == wanted.replace(['-', '_', ' '], ""));
    alike.or_else(|| slugs().find(|slug| slug.starts_with(&wanted) || wanted.starts_with(slug))).or_else(
        || {
            let close = slugs().map(|slug| (distance(slug, &wanted), slug)).min()?;
            (close.0 <= 2).then_some(close.1)
        },
    )
}

/// How many letters are to be put in, left out or changed.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (at, left) in a.chars().enumerate() {
        let mut before = row[0];
        row[0] = at + 1;
        for (to, right) in b.chars().enumerate() {
            let changed = before + usize::from(left != right);
            before = row[to + 1];
            row[to + 1] = changed.min(before + 1).min(row[to] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_nearly_right_is_known_again() {
        assert_eq!(nearest("strpe"), Some("stripe"));
        assert_eq!(nearest("Standard_Webhooks"), Some("standard-webhooks"));
        assert_eq!(nearest("lemon-squeezy"), Some("lemonsqueezy"));
        assert_eq!(nearest("qqqqqqqqq"), None);
    }
}
