//! Colours that somebody chose, and what stays legible on them: contrast as WCAG 2 counts it,
//! <https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio>.

use std::fmt;

/// What text needs against what is behind it, for level AA.
pub const TEXT_CONTRAST_MIN: f64 = 4.5;
/// In so many steps a colour is moved towards black or white until it is legible.
const STEPS: u8 = 20;

/// A colour, opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Colour([u8; 3]);

impl Colour {
    /// Black.
    pub const BLACK: Self = Self([0; 3]);
    /// White.
    pub const WHITE: Self = Self([255; 3]);

    /// From `28bb93` or `2b9`, with or without a `#` before it.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').unwrap_or(text).as_bytes();
        let digit =
            |at: usize| char::from(digits[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let part = |at: usize| match digits.len() {
            3 => Some(digit(at)? * 17),
            6 => Some(digit(at * 2)? * 16 + digit(at * 2 + 1)?),
            _ => None,
        };
        Some(Self([part(0)?, part(1)?, part(2)?]))
    }

    /// How bright it is, from 0 to 1.
    fn luminance(self) -> f64 {
        let linear = |part: u8| match f64::from(part) / 255.0 {
            dark if dark <= 0.040_45 => dark / 12.92,
            bright => ((bright + 0.055) / 1.055).powf(2.4),
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    /// How well one can be told from another: 1 to 21.
    #[must_use]
    pub fn contrast(self, other: Self) -> f64 {
        let (one, two) = (self.luminance() + 0.05, other.luminance() + 0.05);
        one.max(two) / one.min(two)
    }

    /// Black or white, whichever is better legible on it: one of them always is, for level AA.
    #[must_use]
    pub fn ink(self) -> Self {
        if self.contrast(Self::WHITE) >= self.contrast(Self::BLACK) { Self::WHITE } else { Self::BLACK }
    }

    /// The same colour as text on any of these grounds: moved as far towards black or white as it takes.
    #[must_use]
    pub fn legible_on(self, grounds: &[Self]) -> Self {
        let towards = grounds.first().map_or(Self::BLACK, |ground| ground.ink());
        let is_legible =
            |colour: &Self| grounds.iter().all(|ground| colour.contrast(*ground) >= TEXT_CONTRAST_MIN);
        (0..=STEPS).map(|step| self.mixed(towards, step)).find(is_legible).unwrap_or(towards)
    }

    /// With so many steps of another in it.
    fn mixed(self, other: Self, step: u8) -> Self {
        let (step, steps) = (u16::from(step), u16::from(STEPS));
        let mix = |one: u8, two: u8| {
            let sum = u16::from(one) * (steps - step) + u16::from(two) * step;
            u8::try_from(sum / steps).unwrap_or(u8::MAX)
        };
        Self(std::array::from_fn(|at| mix(self.0[at], other.0[at])))
    }
}

/// `28bb93`.
impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Colour> {
        let parts = || (0..=255).step_by(15);
        parts().flat_map(move |r| parts().flat_map(move |g| parts().map(move |b| Colour([r, g, b]))))
    }

    #[test]
    fn a_colour_is_read_with_three_or_six_digits() {
        for text in ["28bb93", "#28bb93", "28BB93"] {
            assert_eq!(Colour::parse(text).unwrap().to_string(), "28bb93");
        }
        assert_eq!(Colour::parse("#2b9"), Colour::parse("22bb99"));
        for bad in ["", "#", "red", "12345", "1234567", "28bb9g", "##28bb93", "äöü", "28bb93;"] {
            assert_eq!(Colour::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn contrast_is_counted_as_wcag_does() {
        assert!((Colour::BLACK.contrast(Colour::WHITE) - 21.0).abs() < 1e-9);
        let grey = Colour::parse("767676").unwrap();
        assert!((grey.contrast(Colour::WHITE) - 4.54).abs() < 0.01, "{}", grey.contrast(Colour::WHITE));
    }

    #[test]
    fn text_on_any_colour_is_legible_and_any_colour_becomes_legible_text() {
        let light = [Colour::parse("ffffff").unwrap(), Colour::parse("fbfbfa").unwrap()];
        let dark = [Colour::parse("1c1f23").unwrap(), Colour::parse("15171a").unwrap()];
        for colour in all() {
            assert!(colour.contrast(colour.ink()) >= TEXT_CONTRAST_MIN, "{colour}");
            for grounds in [light, dark] {
                let text = colour.legible_on(&grounds);
                assert!(grounds.iter().all(|g| text.contrast(*g) >= TEXT_CONTRAST_MIN), "{colour} as {text}");
            }
        }
        let legible = Colour::parse("1f4fc4").unwrap();
        assert_eq!(legible.legible_on(&light), legible, "what is legible stays what it is");
    }
}
