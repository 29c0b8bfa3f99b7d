//! Another scheme of this provider, or another provider.

use super::{Attempt, first};
use crate::provider::Provider;
use crate::provider::all;

/// The most providers that are named, or tried with this secret.
const NAMED_COUNT_MAX: usize = 3;

impl Attempt<'_, '_> {
    pub(super) fn schemes(&self) -> Vec<String> {
        first([self.variants(), self.providers()])
    }

    fn variants(&self) -> Vec<String> {
        let provider = self.receiver.provider();
        let (settings, name) = (&self.receiver.settings, &provider.name);
        let ours = settings.variant.as_deref();
        for variant in provider.variants().filter(|variant| Some(*variant) != ours) {
            if provider.row(Some(variant)).is_ok_and(|row| self.passes_with(row, settings)) {
                return vec![format!(
                    "The request is signed by the scheme `{variant}` of {name}: set that variant."
                )];
            }
        }
        if ours.is_some() && provider.row(None).is_ok_and(|row| self.passes_with(row, settings)) {
            return vec![format!("The request is signed by the main scheme of {name}: set no variant.")];
        }
        vec![]
    }

    fn providers(&self) -> Vec<String> {
        let provider = self.receiver.provider();
        let ours = self.score(provider);
        let mut others: Vec<_> = all()
            .filter(|other| other.slug != provider.slug)
            .filter_map(|other| Some((self.score(other), other, self.telling_header(other)?)))
            .collect();
        // Those of whose headers most are there; the sort is stable.
        others.sort_by_key(|(score, ..)| std::cmp::Reverse(*score));
        let fits = |other: &'static Provider| {
            other.row(None).is_ok_and(|row| self.passes_with(row, &self.receiver.settings))
        };
        if let Some((_, other, _)) = others.iter().take(NAMED_COUNT_MAX * 2).find(|(_, other, _)| fits(other))
        {
            return vec![format!(
                "The request is signed with this secret, but as {} signs, not {}: set that provider.",
                other.name, provider.name
            )];
        }
        let Some((best, _, header)) = others.first().filter(|(score, ..)| *score > ours) else {
            return vec![];
        };
        let same = others.iter().filter(|(score, _, sent)| score == best && sent == header);
        let names: Vec<_> = same.take(NAMED_COUNT_MAX).map(|(_, other, _)| other.name.as_str()).collect();
        vec![format!(
            "The request has the header {header}, which {} sends, not {}.",
            names.join(" or "),
            provider.name
        )]
    }

    /// How many of the headers that a provider sends are there.
    fn score(&self, provider: &Provider) -> usize {
        let scheme = &provider.scheme;
        let texts = [
            scheme.signature.as_ref().map(|signature| signature.place.as_str()),
            scheme.time.as_ref().map(|time| time.place.as_str()),
            provider.event_type.as_deref(),
            provider.delivery_id.as_deref(),
        ];
        let places = texts.into_iter().flatten().flat_map(|text| text.split([' ', '+', '|']));
        let mut names: Vec<_> =
            places.filter_map(|place| place.strip_prefix("header:")).map(str::to_ascii_lowercase).collect();
        names.sort();
        names.dedup();
        names.iter().filter(|name| self.request.header(name).is_some()).count()
    }

    /// The header of its signature, if the request has it and it is not one that anybody sends.
    fn telling_header<'p>(&self, provider: &'p Provider) -> Option<&'p str> {
        let header = provider.scheme.signature.as_ref()?.place.strip_prefix("header:")?;
        let telling = !header.eq_ignore_ascii_case("authorization") && !header.contains('{');
        (telling && self.request.header(&header.to_ascii_lowercase()).is_some()).then_some(header)
    }
}
