//! Lists of names in one column.

/// `|a|b|`, so that one search finds a whole name.
pub(crate) fn joined<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut text = String::new();
    for name in names {
        text.push('|');
        text.push_str(name);
    }
    (!text.is_empty()).then(|| text + "|")
}

/// The names of `|a|b|`; one that does not pass any more is left out.
pub(crate) fn split<T>(text: Option<&str>, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
    text.into_iter().flat_map(|t| t.split('|')).filter(|name| !name.is_empty()).filter_map(parse).collect()
}
