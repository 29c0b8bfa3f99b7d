//! The nouns of the API as a table: what can be done with each, by which path, and which columns a list shows. Nothing else
//! in the command line knows them one by one.

mod table;

pub(crate) use table::NOUNS;

use super::output::Column;

/// Something that the API knows.
#[derive(Debug)]
pub(crate) struct Noun {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) verbs: &'static [Verb],
}

/// Something to do with it.
#[derive(Debug)]
pub(crate) struct Verb {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) does: Does,
    /// `{id}` is what stands behind the verb, `{app}` is found or given, anything else is a flag of that name. Of several
    /// paths, the one whose flags are given.
    pub(crate) paths: &'static [&'static str],
    pub(crate) flags: &'static [Flag],
}

/// How a verb asks, and what it prints.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Does {
    /// GETs pages.
    List(&'static [Column]),
    /// GETs one object.
    Get,
    /// GETs one object and prints this field of it.
    Read(&'static str),
    /// POSTs items, which are the body or this field of it.
    Create(Option<&'static str>),
    /// PATCHes with items.
    Update,
    /// DELETEs, once asked; the word says what is done.
    Delete(&'static str),
    /// POSTs flags and items.
    Act,
    /// POSTs flags and items, and prints this field of the answer.
    ActAndRead(&'static str),
}

/// A flag of one verb.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) value: &'static str,
    pub(crate) help: &'static str,
    pub(crate) goes: Goes,
    pub(crate) required: bool,
}

/// Where the value of a flag goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goes {
    /// Into this parameter.
    Query(&'static str),
    /// Into this parameter, as an instant.
    QueryTime(&'static str),
    /// It has no value: this parameter is `true`.
    QueryFlag(&'static str),
    /// Into this parameter, as the number of a word.
    QueryWord(&'static str, &'static [(&'static str, &'static str)]),
    /// Into this field.
    Field(&'static str),
    /// Into this field, as an instant.
    FieldTime(&'static str),
    /// Into this field, a list; the flag may be given again.
    Fields(&'static str),
    /// Into this header.
    Header(&'static str),
}

/// The names in braces, in order.
pub(crate) fn places(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

impl Verb {
    /// Other ways to write it.
    pub(crate) fn alias(&self) -> Option<&'static str> {
        match self.name {
            "list" => Some("ls"),
            "delete" => Some("rm"),
            _ => None,
        }
    }

    pub(crate) fn has(&self, place: &str) -> bool {
        self.paths.iter().any(|path| places(path).any(|name| name == place))
    }

    /// What has to be said by flags to know what is meant.
    pub(crate) fn owners(&self) -> Vec<&'static str> {
        let mut owners: Vec<_> = self.paths.iter().flat_map(|path| places(path)).collect();
        owners.retain(|name| !matches!(*name, "id" | "app"));
        owners.sort_unstable();
        owners.dedup();
        owners
    }

    pub(crate) fn takes_items(&self) -> bool {
        matches!(self.does, Does::Create(_) | Does::Update | Does::Act | Does::ActAndRead(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_can_be_asked_for() {
        for noun in NOUNS {
            for verb in noun.verbs {
                assert!(!verb.paths.is_empty(), "{} {}", noun.name, verb.name);
                // What a path leaves open besides its app has to be said, and of several paths each says something else.
                for path in verb.paths {
                    let said = places(path).filter(|name| !matches!(*name, "id" | "app")).count();
                    assert!(said <= 1 && (said == 1 || verb.paths.len() == 1), "{path}");
                }
                if let Does::List(columns) = verb.does {
                    assert!(!columns.is_empty(), "{} {}", noun.name, verb.name);
                }
            }
        }
    }

    #[test]
    fn names_in_braces_are_places() {
        assert_eq!(places("/api/v1/app/{app}/msg/{id}").collect::<Vec<_>>(), ["app", "id"]);
    }
}
