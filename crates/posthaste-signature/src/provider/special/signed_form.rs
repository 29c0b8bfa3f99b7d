//! Form posts that carry an RSA signature over their own fields.

use crate::encoding::from_base64;
use crate::provider::checks::public_key::Algorithm;
use crate::provider::checks::{Check, Published};
use crate::provider::digest::Hash;
use crate::provider::keys::Keys;
use crate::provider::receiver::{Settings, SetupError, Verified};
use crate::provider::refusal::{Refusal, shortened};
use crate::provider::row::SchemeRow;
use crate::provider::{Request, form};

/// Whose form.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::provider) enum Form {
    Alipay,
    Paddle,
}

struct FormCheck {
    form: Form,
    keys: Published,
}

pub(super) fn build(form: Form, row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    Ok(Box::new(FormCheck { form, keys: Published::new(row, settings)? }))
}

impl Check for FormCheck {
    fn check(&self, request: &Request<'_>, _: i64, keys: &Keys) -> Result<Verified, Refusal> {
        let fields = form::pairs(request.body)?;
        let name = if self.form == Form::Alipay { "sign" } else { "p_signature" };
        let place = format!("the form field {name}");
        let given = fields.iter().find(|(field, value)| field == name && !value.is_empty());
        let given = given.map(|(_, value)| value.clone()).ok_or_else(|| Refusal::Missing(place.clone()))?;
        let given = from_base64(&given).ok_or_else(|| Refusal::malformed(place.as_str(), "base64"))?;
        let (content, hash, _) = content(self.form, request.body)?;
        let candidates = self.keys.of(None, keys)?;
        let found =
            candidates.iter().position(|key| key.verifies(Algorithm::RsaPkcs1(hash), &content, &given));
        found.map(Verified::by).ok_or(Refusal::Mismatch(place))
    }
}

/// What is signed of a form, with which hash, and the field that the signature stands in.
pub(in crate::provider) fn content(
    form: Form,
    body: &[u8],
) -> Result<(Vec<u8>, Hash, &'static str), Refusal> {
    let name = if form == Form::Alipay { "sign" } else { "p_signature" };
    let mut fields = form::pairs(body)?;
    fields.retain(|(field, _)| field != name);
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    // An empty one is not signed, and would stand for the signed one with whoever reads the last.
    if let Some([(twice, _), _]) = fields.array_windows().find(|[a, b]| a.0 == b.0) {
        return Err(Refusal::malformed(format!("the form field {}", shortened(twice)), "there once"));
    }
    let (content, hash) = match form {
        Form::Alipay => alipay(&fields)?,
        Form::Paddle => (php_serialized(&fields), Hash::Sha1),
    };
    Ok((content, hash, name))
}

/// `name=value` of all fields that are not empty, `sign_type` apart, which names the hash.
fn alipay(fields: &[(String, String)]) -> Result<(Vec<u8>, Hash), Refusal> {
    let kind =
        fields.iter().find(|(name, _)| name == "sign_type").map_or("RSA2", |(_, value)| value.as_str());
    if kind != "RSA2" {
        return Err(Refusal::algorithm(kind));
    }
    let signed = fields.iter().filter(|(name, value)| name != "sign_type" && !value.is_empty());
    let pairs: Vec<_> = signed.map(|(name, value)| format!("{name}={value}")).collect();
    Ok((pairs.join("&").into_bytes(), Hash::Sha256))
}

/// What PHP's `serialize` makes of an array of strings.
fn php_serialized(fields: &[(String, String)]) -> Vec<u8> {
    let string = |text: &str| format!("s:{}:\"{text}\";", text.len());
    let items: String = fields.iter().flat_map(|(name, value)| [string(name), string(value)]).collect();
    format!("a:{}:{{{items}}}", fields.len()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_serialized_as_php_does() {
        let fields = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "é".to_owned())];
        assert_eq!(php_serialized(&fields), "a:2:{s:1:\"a\";s:1:\"1\";s:1:\"b\";s:2:\"é\";}".as_bytes());
    }
}
