//! Does this endpoint want this message?

use crate::endpoint::Filter;
use crate::name::{Channel, EventTypeName};

/// An endpoint without event types wants all of them; one without channels hears all channels, and one with
/// channels hears messages that share at least one.
pub fn wants(filter: &Filter, event_type: &EventTypeName, channels: &[Channel]) -> bool {
    let type_matches = filter.event_types.as_ref().is_none_or(|wanted| wanted.contains(event_type));
    let channel_matches =
        filter.channels.as_ref().is_none_or(|heard| channels.iter().any(|channel| heard.contains(channel)));
    type_matches && channel_matches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(event_types: Option<&[&str]>, channels: Option<&[&str]>) -> Filter {
        Filter {
            event_types: event_types.map(|l| l.iter().map(|n| EventTypeName::parse(n).unwrap()).collect()),
            channels: channels.map(|l| l.iter().map(|n| Channel::parse(n).unwrap()).collect()),
        }
    }

    #[test]
    fn an_endpoint_gets_what_its_event_types_and_channels_ask_for() {
        type Names<'a> = Option<&'a [&'a str]>;
        let cases: &[(Names, Names, &str, &[&str], bool)] = &[
            (None, None, "a.b", &[], true),
            (None, None, "a.b", &["x"], true),
            (Some(&["a.b"]), None, "a.b", &[], true),
            (Some(&["a.b"]), None, "a.c", &[], false),
            (Some(&["a"]), None, "a.b", &[], false),
            (None, Some(&["x"]), "a.b", &["x", "y"], true),
            (None, Some(&["x"]), "a.b", &["y"], false),
            (None, Some(&["x"]), "a.b", &[], false),
            (Some(&["a.b"]), Some(&["x"]), "a.b", &["x"], true),
            (Some(&["a.b"]), Some(&["x"]), "a.c", &["x"], false),
        ];
        for (types, heard, event_type, channels, expected) in cases {
            let channels: Vec<_> = channels.iter().map(|n| Channel::parse(n).unwrap()).collect();
            let event_type = EventTypeName::parse(event_type).unwrap();
            let got = wants(&filter(*types, *heard), &event_type, &channels);
            assert_eq!(got, *expected, "{types:?} {heard:?} {event_type} {channels:?}");
        }
    }
}
