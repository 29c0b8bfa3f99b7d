//! How a portal looks, as it is kept.

use posthaste_core::colour::Colour;
use posthaste_core::looks::{Logo, Looks};
use serde::{Deserialize, Serialize};

use super::corrupt;
use crate::error::StoreError;

/// As JSON: what a later version adds, this one leaves out.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    logo: Option<String>,
    #[serde(default)]
    light: Option<String>,
    #[serde(default)]
    dark: Option<String>,
    #[serde(default)]
    font: Option<String>,
}

pub(crate) fn written(looks: &Looks) -> Result<Vec<u8>, StoreError> {
    let kept = Kept {
        name: looks.name.clone(),
        logo: looks.logo.as_ref().map(Logo::to_text),
        light: looks.light.map(|colour| colour.to_string()),
        dark: looks.dark.map(|colour| colour.to_string()),
        font: looks.font.clone(),
    };
    serde_json::to_vec(&kept).map_err(|error| corrupt("choice", error.to_string()))
}

pub(crate) fn read(bytes: &[u8]) -> Result<Looks, StoreError> {
    let kept: Kept = serde_json::from_slice(bytes).map_err(|error| corrupt("choice", error.to_string()))?;
    // What cannot be read any more is as if it had not been chosen: a portal without its colour is still one.
    Ok(Looks {
        name: kept.name,
        logo: kept.logo.and_then(|text| Logo::parse(&text).ok()),
        light: kept.light.and_then(|text| Colour::parse(&text)),
        dark: kept.dark.and_then(|text| Colour::parse(&text)),
        font: kept.font.filter(|text| posthaste_core::looks::is_font(text)),
    })
}
