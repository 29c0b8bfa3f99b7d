//! How a portal looks, as whoever embeds it asks for it in the link's query: the names are those of Svix's `AppPortal`
//! component, <https://docs.svix.com/app-portal>. It travels in the path, beside the session.

use std::fmt::Write as _;

use axum::extract::Path;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use posthaste_core::colour::Colour;
use posthaste_core::looks::{Looks, is_address_of_picture, is_font};

use crate::api::part;

/// What a link's query may ask for; what makes no sense is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Look {
    dark_mode: String,
    light: Option<Colour>,
    dark: Option<Colour>,
    font_family: String,
    icon: String,
}

impl Look {
    /// From the query of a link, or from what [`as_segment`](Self::as_segment) wrote.
    pub(crate) fn read(query: &str) -> Self {
        let mut look = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "darkMode" if matches!(&*value, "true" | "auto") => look.dark_mode = value.into_owned(),
                "primaryColor" => {
                    (look.light, look.dark) =
                        (Colour::parse(&value).or(look.light), Colour::parse(&value).or(look.dark));
                }
                "primaryColorLight" => look.light = Colour::parse(&value).or(look.light),
                "primaryColorDark" => look.dark = Colour::parse(&value).or(look.dark),
                "fontFamily" if is_font(&value) => look.font_family = value.into_owned(),
                "icon" if is_address_of_picture(&value) => look.icon = value.into_owned(),
                _ => {}
            }
        }
        look
    }

    /// The same, but for a theme that nobody asked for: on a page of its own it is the browser's.
    #[must_use]
    pub(crate) fn on_a_page_of_its_own(mut self) -> Self {
        if self.dark_mode.is_empty() {
            "auto".clone_into(&mut self.dark_mode);
        }
        self
    }

    /// From the path of a page of the portal: `/portal/s/{session}/{look}/…`.
    pub(crate) fn of_path(path: &str) -> Self {
        let segment = path.strip_prefix("/portal/s/").and_then(|rest| rest.split('/').nth(1));
        // A name without a value is read as a name, decoded.
        let decoded = form_urlencoded::parse(segment.unwrap_or_default().as_bytes()).next();
        Self::read(&decoded.map(|(name, _)| name.into_owned()).unwrap_or_default())
    }

    /// As one segment of a path; `-` if nothing is asked for.
    pub(crate) fn as_segment(&self) -> String {
        let colour = |colour: Option<Colour>| colour.map(|colour| colour.to_string()).unwrap_or_default();
        let pairs = [
            ("darkMode", self.dark_mode.clone()),
            ("primaryColorLight", colour(self.light)),
            ("primaryColorDark", colour(self.dark)),
            ("fontFamily", self.font_family.clone()),
            ("icon", self.icon.clone()),
        ];
        let set = pairs.iter().filter(|(_, value)| !value.is_empty());
        let query: Vec<_> = set.map(|(name, value)| format!("{name}={}", part(value))).collect();
        // Encoded once more: a slash of an address must not be one of the path.
        if query.is_empty() { "-".to_owned() } else { part(&query.join("&")) }
    }

    /// `light`, `dark`, or what the browser prefers.
    pub(crate) fn theme(&self) -> &'static str {
        match self.dark_mode.as_str() {
            "true" => "dark",
            "auto" => "auto",
            _ => "light",
        }
    }

    pub(crate) fn icon(&self) -> &str {
        &self.icon
    }

    /// From where the icon comes, for the policy of the pages that show it.
    pub(crate) fn icon_origin(&self) -> Option<&str> {
        origin(&self.icon)
    }

    /// What a link does not ask for is as the environment looks.
    #[must_use]
    pub(crate) fn over(&self, looks: &Looks) -> Self {
        let font = || looks.font.clone().unwrap_or_default();
        Self {
            light: self.light.or(looks.light),
            dark: self.dark.or(looks.dark).or(self.light).or(looks.light),
            font_family: if self.font_family.is_empty() { font() } else { self.font_family.clone() },
            ..self.clone()
        }
    }

    fn style(&self) -> String {
        let mut rules = String::new();
        let (light, dark) = (self.light.or(self.dark), self.dark.or(self.light));
        if let (Some(light), Some(dark)) = (light, dark) {
            let both = |light: Colour, dark: Colour| {
                if light == dark { format!("#{light}") } else { format!("light-dark(#{light},#{dark})") }
            };
            let _ = write!(
                rules,
                ":root{{--act:{};--on-act:{};--link:{}}}",
                both(light, dark),
                both(light.ink(), dark.ink()),
                both(light.legible_on(&grounds(LIGHT_GROUNDS)), dark.legible_on(&grounds(DARK_GROUNDS))),
            );
        }
        if !self.font_family.is_empty() {
            let _ = write!(rules, "body{{font-family:{},system-ui,sans-serif}}", self.font_family);
        }
        rules
    }
}

/// What links stand on: the page, what is raised from it, and a row under the mouse.
pub(crate) const LIGHT_GROUNDS: &[&str] = &["ffffff", "fbfbfa", "eceef1"];
pub(crate) const DARK_GROUNDS: &[&str] = &["1c1f23", "15171a", "2a2e34"];

/// Of an `https` address.
pub(crate) fn origin(address: &str) -> Option<&str> {
    let end = address.strip_prefix("https://")?.find('/')? + "https://".len();
    Some(&address[..end])
}

pub(crate) fn grounds(texts: &[&str]) -> Vec<Colour> {
    texts.iter().filter_map(|text| Colour::parse(text)).collect()
}

/// The style of a look: a file of its own, since pages have no style within.
pub(crate) async fn serve(Path(look): Path<String>) -> Response {
    let style = Look::read(&look).style();
    ([(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=86400")], style)
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_survives_the_way_through_a_path() {
        let query =
            "darkMode=auto&primaryColor=28bb93&fontFamily=Open+Sans&icon=https%3A%2F%2Fcdn.example%2Fa.png";
        let look = Look::read(query);
        assert_eq!((look.theme(), look.icon_origin()), ("auto", Some("https://cdn.example")));
        let segment = look.as_segment();
        assert!(!segment.contains(['/', '?', '#']), "{segment}");
        assert_eq!(Look::of_path(&format!("/portal/s/phk_1/{segment}/apps/x")), look);
        assert_eq!(Look::of_path("/portal/s/phk_1/-/apps/x"), Look::default());
        assert_eq!(Look::of_path("/portal/login"), Look::default());
        assert_eq!(Look::default().as_segment(), "-");
        assert_eq!(Look::read("-"), Look::default());
    }

    #[test]
    fn what_could_leave_its_place_is_left_out() {
        for bad in [
            "primaryColor=red;}body{display:none",
            "primaryColor=12345",
            "fontFamily=x;}*{",
            "fontFamily='x",
            "icon=http://a.example/x.png",
            "icon=https://a.example;script-src */x.png",
            "icon=https://a.example",
            "darkMode=yes",
        ] {
            assert_eq!(Look::read(bad), Look::default(), "{bad}");
        }
        let look = Look::read("primaryColor=%2328bb93&fontFamily='Open Sans'");
        assert!(
            look.style().starts_with(":root{--act:#28bb93;--on-act:#000000;--link:light-dark("),
            "{}",
            look.style()
        );
        assert!(
            look.style().ends_with("body{font-family:'Open Sans',system-ui,sans-serif}"),
            "{}",
            look.style()
        );
    }
}
