//! How an environment's portal looks: whose name, picture, colours and font it bears.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::colour::Colour;

/// Letters of a font's name, and of a picture's address.
pub const LOOK_LETTERS_MAX: usize = 200;
/// Letters of the name that a portal bears.
pub const PORTAL_NAME_LETTERS_MAX: usize = 60;
/// Bytes of a picture that we keep: more than any logo needs that is shown 32 pixels high.
pub const LOGO_BYTES_MAX: usize = 64 * 1_024;

/// The kinds of pictures that we keep, with how each begins. SVG may hold scripts: it is only ever served as a picture, and
/// with a policy that lets nothing in it run.
const KINDS: &[(&str, &[&[u8]])] = &[
    ("image/png", &[b"\x89PNG\r\n\x1a\n"]),
    ("image/jpeg", &[b"\xff\xd8\xff"]),
    ("image/webp", &[b"RIFF"]),
    ("image/svg+xml", &[b"<svg", b"<?xml"]),
];

/// What was chosen; what was not is as we come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks {
    /// Instead of a picture, or beside it.
    pub name: Option<String>,
    /// In the corner.
    pub logo: Option<Logo>,
    /// Of buttons and links, on light ground.
    pub light: Option<Colour>,
    /// The same on dark ground; if it was not chosen, that of light ground.
    pub dark: Option<Colour>,
    /// A font that the reader's machine has.
    pub font: Option<String>,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Logo {
    /// Elsewhere, at an `https` address.
    Address(String),
    /// Kept by us.
    Picture {
        /// What it is, `image/png`.
        kind: &'static str,
        /// All of it.
        bytes: Vec<u8>,
    },
}

impl Logo {
    /// From an `https` address, or a picture as a `data:` address. The error is the rest of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(data) = text.strip_prefix("data:") else {
            return if is_address_of_picture(text) {
                Ok(Self::Address(text.to_owned()))
            } else {
                Err("must be an https address of at most 200 letters, or a picture as a data: address"
                    .to_owned())
            };
        };
        let (kind, letters) = data.split_once(";base64,").unwrap_or((data, ""));
        let Some((kind, beginnings)) = KINDS.iter().find(|(known, _)| *known == kind) else {
            return Err("must be a PNG, JPEG, WebP or SVG picture".to_owned());
        };
        if letters.len() > LOGO_BYTES_MAX.div_ceil(3) * 4 {
            return Err(format!("must be at most {LOGO_BYTES_MAX} bytes large"));
        }
        let bytes = BASE64_STANDARD.decode(letters).map_err(|_| "must be written in base64".to_owned())?;
        if bytes.len() > LOGO_BYTES_MAX {
            return Err(format!("must be at most {LOGO_BYTES_MAX} bytes large"));
        }
        if !beginnings.iter().any(|beginning| bytes.trim_ascii_start().starts_with(beginning)) {
            return Err(format!("is no {kind}: it does not begin like one"));
        }
        Ok(Self::Picture { kind, bytes })
    }

    /// As it is read.
    pub fn to_text(&self) -> String {
        match self {
            Self::Address(address) => address.clone(),
            Self::Picture { kind, bytes } => format!("data:{kind};base64,{}", BASE64_STANDARD.encode(bytes)),
        }
    }
}

/// Whether a text is an `https` address that cannot leave the place in which it is written.
pub fn is_address_of_picture(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#@!$&()*+=%".contains(&byte);
    let host = text.strip_prefix("https://").and_then(|rest| rest.split_once('/')).map(|(host, _)| host);
    let is_host = |host: &str| {
        !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))
    };
    text.len() <= LOOK_LETTERS_MAX && host.is_some_and(is_host) && text.bytes().all(fits)
}

/// Whether a text names fonts, and nothing else.
pub fn is_font(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b" ,-'".contains(&byte);
    (1..=LOOK_LETTERS_MAX).contains(&text.len())
        && text.bytes().all(fits)
        && text.matches('\'').count().is_multiple_of(2)
        && text.split(',').all(|name| !name.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_reads_back_as_it_was_written() {
        let svg = format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode("<svg xmlns='…'/>"));
        for text in ["https://cdn.example/logo.png?v=1", "data:image/png;base64,iVBORw0KGgo=", &svg] {
            assert_eq!(Logo::parse(text).unwrap().to_text(), text);
        }
    }

    #[test]
    fn what_is_no_picture_or_too_large_is_refused_with_the_reason() {
        let large = format!("data:image/png;base64,{}", "A".repeat(LOGO_BYTES_MAX * 2));
        for (bad, why) in [
            ("http://cdn.example/logo.png", "https"),
            ("https://cdn.example;script-src */x", "https"),
            ("javascript:alert(1)", "https"),
            ("data:text/html;base64,PHNjcmlwdD4=", "PNG, JPEG"),
            ("data:image/png;base64,PHNjcmlwdD4=", "begin like one"),
            ("data:image/png;base64,…", "base64"),
            ("data:image/png,raw", "PNG, JPEG"),
            (&large, "at most 65536 bytes"),
        ] {
            let said = Logo::parse(bad).unwrap_err();
            assert!(said.contains(why), "{bad}: {said}");
        }
    }

    #[test]
    fn a_font_is_a_name_and_nothing_else() {
        for good in ["Open Sans", "'Open Sans', Inter"] {
            assert!(is_font(good), "{good}");
        }
        for bad in ["", "x;}*{", "'x", "a\nb", "url(x)", "a,,b", &"x".repeat(LOOK_LETTERS_MAX + 1)] {
            assert!(!is_font(bad), "{bad}");
        }
    }
}
