//! URLs as the provider may know them.

use std::collections::BTreeSet;

use super::Attempt;
use crate::provider::Request;

/// The most URLs that are tried.
const URLS_COUNT_MAX: usize = 200;

/// A URL in its parts.
#[derive(Clone, Copy, PartialEq)]
struct Url<'u> {
    scheme: &'u str,
    authority: &'u str,
    path: &'u str,
    query: Option<&'u str>,
}

impl<'u> Url<'u> {
    fn parse(url: &'u str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let (path, query) = in_two(target);
        Some(Self { scheme, authority, path, query })
    }

    fn text(&self) -> String {
        let bare = format!("{}://{}{}", self.scheme, self.authority, self.path);
        self.query.map_or(bare.clone(), |query| format!("{bare}?{query}"))
    }

    /// Without its query, which may hold a token.
    fn shown(&self) -> String {
        let bare = Self { query: None, ..*self }.text();
        if self.query.is_some() { format!("{bare}?…") } else { bare }
    }

    /// What is different from `ours`, in words.
    fn unlike(&self, ours: &Self) -> String {
        let mut said = vec![];
        if self.scheme != ours.scheme {
            said.push(format!("{}, not {}", self.scheme, ours.scheme));
        }
        if self.authority != ours.authority {
            said.push(format!("the host {}", self.authority));
        }
        if self.path != ours.path {
            said.push(match (self.path.strip_suffix('/'), ours.path.strip_suffix('/')) {
                (Some(bare), _) if bare == ours.path => "with a slash at its end".to_owned(),
                (_, Some(bare)) if bare == self.path => "without the slash at its end".to_owned(),
                _ => format!("the path {}", self.path),
            });
        }
        match (self.query, ours.query) {
            (None, Some(_)) => said.push("without its query".to_owned()),
            (Some(_), None) => said.push("with the query, which was lost on the way".to_owned()),
            (theirs, ours) if theirs != ours => said.push("with its query written otherwise".to_owned()),
            _ => {}
        }
        said.join(", ")
    }
}

fn in_two(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

impl Attempt<'_, '_> {
    pub(super) fn urls(&self) -> Vec<String> {
        let Some(ours) = Url::parse(self.request.url).filter(|_| self.receiver.row().reads_url()) else {
            return vec![];
        };
        let mut tried = BTreeSet::from([self.request.url.to_owned()]);
        let slashed = format!("{}/", ours.path);
        let rewritten = rewritten_queries(ours.query);
        let (authorities, targets) = (self.authorities(ours.authority), self.targets(&ours));
        let mut paths = vec![(ours.path, ours.query)];
        paths.push((ours.path.trim_end_matches('/'), ours.query));
        paths.push((&slashed, ours.query));
        paths.push((ours.path, None));
        paths.extend(rewritten.iter().map(|query| (ours.path, Some(query.as_str()))));
        paths.extend(targets.iter().map(|target| in_two(target)));
        // The likeliest first: one change alone, and then all together.
        for authority in &authorities {
            for (path, query) in &paths {
                for scheme in ["https", "http"] {
                    let url = Url { scheme, authority, path, query: *query };
                    let text = url.text();
                    if tried.len() > URLS_COUNT_MAX || !tried.insert(text.clone()) {
                        continue;
                    }
                    if self.passes(&Request { url: &text, ..*self.request }) {
                        return vec![format!(
                            "The signature fits the URL {} ({}), but the request was taken to be for {}: set the \
                             public address to the one that the provider calls.",
                            url.shown(),
                            url.unlike(&ours),
                            ours.shown()
                        )];
                    }
                }
            }
        }
        vec![]
    }

    /// Ours, without its port, and those that proxies tell.
    fn authorities<'u>(&'u self, ours: &'u str) -> Vec<&'u str> {
        let mut found = vec![ours];
        found.extend(ours.rsplit_once(':').map(|(host, _)| host));
        for name in ["x-forwarded-host", "x-original-host", "host"] {
            let first = self.request.header_text(name).and_then(|list| list.split(',').next());
            found.extend(first.map(str::trim));
        }
        found
    }

    /// Paths and queries that proxies tell: the original one, or what they cut off in front of ours.
    fn targets(&self, ours: &Url<'_>) -> Vec<String> {
        let query = ours.query.map(|query| format!("?{query}")).unwrap_or_default();
        let mut found = vec![];
        for name in ["x-original-uri", "x-original-url", "x-forwarded-uri", "x-envoy-original-path"] {
            found.extend(self.request.header_text(name).filter(|t| t.starts_with('/')).map(str::to_owned));
        }
        for name in ["x-forwarded-prefix", "x-script-name"] {
            let prefix = self.request.header_text(name).filter(|prefix| prefix.starts_with('/'));
            found
                .extend(prefix.map(|prefix| format!("{}{}{query}", prefix.trim_end_matches('/'), ours.path)));
        }
        found
    }
}

/// The query with blanks written in the other way, and with or without percent signs.
fn rewritten_queries(query: Option<&str>) -> Vec<String> {
    let Some(query) = query else { return vec![] };
    let decoded = form_urlencoded::parse(query.as_bytes()).map(|(name, value)| format!("{name}={value}"));
    let encoded = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form_urlencoded::parse(query.as_bytes()))
        .finish();
    vec![
        query.replace('+', "%20"),
        query.replace("%20", "+"),
        encoded.replace('+', "%20"),
        encoded,
        decoded.collect::<Vec<_>>().join("&"),
    ]
}
