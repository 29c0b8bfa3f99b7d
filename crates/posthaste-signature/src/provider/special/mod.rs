//! Schemes that a row of data cannot say. One file a family; each provider in it is a function.

mod certificate;
mod keyed;
mod lark;
mod payment;
mod several_keys;
mod signed_form;
mod statement;
mod telephony;
mod token;

use super::Request;
use super::checks::Check;
use super::digest::Hash;
use super::receiver::{Settings, SetupError};
use super::refusal::Refusal;
use super::row::{SchemeRow, SecretForm};
pub(super) use certificate::{is_sns_host, sns_topics};
pub(super) use keyed::encoding_of;
pub(super) use lark::decrypted as lark_decrypted;
pub(super) use signed_form::{Form as FormOf, content as form_content};
use statement::{Read, StatementCheck};
pub(super) use token::truelayer_payload;

/// The schemes that are nothing but an HMAC over bytes that a function puts together.
fn plain_statement(scheme: &str) -> Option<(Hash, SecretForm, Read)> {
    Some(match scheme {
        "adyen" => (Hash::Sha256, SecretForm::Hex, payment::adyen),
        "contentful" => (Hash::Sha256, SecretForm::Utf8, keyed::contentful),
        "dropbox-sign" => (Hash::Sha256, SecretForm::Utf8, keyed::dropbox_sign),
        "exact-online" => (Hash::Sha256, SecretForm::Utf8, keyed::exact_online),
        "hook0" => (Hash::Sha256, SecretForm::Utf8, keyed::hook0),
        "http-signature-draft" => (Hash::Sha256, SecretForm::Utf8, keyed::http_signature),
        "hygraph" => (Hash::Sha256, SecretForm::Utf8, keyed::hygraph),
        "mercadopago" => (Hash::Sha256, SecretForm::Utf8, payment::mercadopago),
        "nowpayments" => (Hash::Sha512, SecretForm::Utf8, payment::nowpayments),
        "plivo-v3" => (Hash::Sha256, SecretForm::Utf8, telephony::plivo),
        "solidgate" => (Hash::Sha512, SecretForm::Utf8, payment::solidgate),
        _ => return None,
    })
}

/// The same with those whose hash the receiver or the request chooses.
fn statement(scheme: &str, settings: &Settings) -> Option<(Hash, SecretForm, Read)> {
    let chosen = |read: Read| Some((keyed::hash_of(settings).ok()?, SecretForm::Utf8, read));
    match scheme {
        "convoy" => chosen(keyed::convoy),
        "generic-hmac" => chosen(keyed::generic),
        "twilio" => Some((Hash::Sha1, SecretForm::Utf8, telephony::twilio)),
        _ => plain_statement(scheme),
    }
}

/// How a scheme that signs statements makes its tags; `None` for others.
pub(super) fn statement_key(scheme: &str, settings: &Settings) -> Option<(Hash, SecretForm)> {
    statement(scheme, settings).map(|(hash, form, _)| (hash, form))
}

/// The bytes that each statement of a request signs, for whoever signs it.
pub(super) fn statement_contents(
    scheme: &str,
    request: &Request<'_>,
    settings: &Settings,
) -> Result<Vec<Vec<u8>>, Refusal> {
    let Some((_, _, read)) = statement(scheme, settings) else { return Ok(vec![]) };
    let statements = read(request, settings)?;
    Ok(statements.into_iter().filter_map(|statement| statement.contents.into_iter().next()).collect())
}

/// The check of the scheme that the row names.
pub(super) fn build(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    if let Some((hash, form, read)) = plain_statement(&row.scheme) {
        return StatementCheck::new(hash, form, read, row, settings).map(StatementCheck::boxed);
    }
    match row.scheme.as_str() {
        "braintree" => payment::braintree_check(row, settings),
        "box" => several_keys::box_check(row, settings),
        "convoy" => keyed::convoy_check(row, settings),
        "generic-hmac" => keyed::generic_check(row, settings),
        "lark" => lark::lark_check(row, settings),
        "sumsub" => several_keys::sumsub_check(row, settings),
        "twilio" => telephony::twilio_check(row, settings),
        "keccak256" => payment::keccak_check(settings),
        "wechat-sorted-sha1" => telephony::wechat_check(settings),
        "alipay" => signed_form::build(signed_form::Form::Alipay, row, settings),
        "paddle-classic" => signed_form::build(signed_form::Form::Paddle, row, settings),
        "ebay" => certificate::ebay_check(row, settings),
        "aws-sns" => Ok(certificate::sns_check(settings)),
        "paypal" => certificate::paypal_check(settings),
        "jws-x5c" => certificate::apple_check(settings),
        "detached-jws-jwks" => token::detached_check(row, settings),
        "neon" => token::neon_check(row, settings),
        "truelayer-tl-signature-v2" => token::truelayer_check(row, settings),
        _ => Err(SetupError::Table),
    }
}
