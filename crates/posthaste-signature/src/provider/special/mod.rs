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

use super::checks::Check;
use super::digest::Hash;
use super::receiver::{Settings, SetupError};
use super::row::{SchemeRow, SecretForm};
pub(super) use certificate::{is_sns_host, sns_topics};
pub(super) use lark::decrypted as lark_decrypted;
use statement::StatementCheck;

/// The check of the scheme that the row names.
pub(super) fn build(row: &SchemeRow, settings: &Settings) -> Result<Box<dyn Check>, SetupError> {
    let keyed =
        |hash, form, read| StatementCheck::new(hash, form, read, row, settings).map(StatementCheck::boxed);
    match row.scheme.as_str() {
        "adyen" => keyed(Hash::Sha256, SecretForm::Hex, payment::adyen),
        "braintree" => payment::braintree_check(row, settings),
        "contentful" => keyed(Hash::Sha256, SecretForm::Utf8, keyed::contentful),
        "box" => several_keys::box_check(row, settings),
        "convoy" => keyed::convoy_check(row, settings),
        "dropbox-sign" => keyed(Hash::Sha256, SecretForm::Utf8, keyed::dropbox_sign),
        "exact-online" => keyed(Hash::Sha256, SecretForm::Utf8, keyed::exact_online),
        "generic-hmac" => keyed::generic_check(row, settings),
        "hook0" => keyed(Hash::Sha256, SecretForm::Utf8, keyed::hook0),
        "http-signature-draft" => keyed(Hash::Sha256, SecretForm::Utf8, keyed::http_signature),
        "hygraph" => keyed(Hash::Sha256, SecretForm::Utf8, keyed::hygraph),
        "lark" => lark::lark_check(row, settings),
        "mercadopago" => keyed(Hash::Sha256, SecretForm::Utf8, payment::mercadopago),
        "nowpayments" => keyed(Hash::Sha512, SecretForm::Utf8, payment::nowpayments),
        "plivo-v3" => keyed(Hash::Sha256, SecretForm::Utf8, telephony::plivo),
        "solidgate" => keyed(Hash::Sha512, SecretForm::Utf8, payment::solidgate),
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
