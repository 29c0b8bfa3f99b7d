//! Statements and their values. Each is sent with the types of its values and prepared under no name, in one round trip:
//! a pooler that hands a connection on after each transaction never meets a statement that it does not know.

use std::error::Error;
use std::time::Duration;

use bytes::BytesMut;
use posthaste_core::id::{Id, Kind};
use tokio_postgres::types::{IsNull, ToSql, Type, accepts, to_sql_checked};
use tokio_postgres::{Client, Row};

use crate::error::StoreError;

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Unavailable(Box::new(error))
    }
}

/// A value that knows its type.
pub(super) trait Value: ToSql + Sync + Send {
    fn kind(&self) -> Type;
}

macro_rules! values {
    ($($rust:ty => $sql:ident, $array:ident;)*) => {$(
        impl Value for $rust {
            fn kind(&self) -> Type {
                Type::$sql
            }
        }
        impl Value for Option<$rust> {
            fn kind(&self) -> Type {
                Type::$sql
            }
        }
        impl Value for Vec<$rust> {
            fn kind(&self) -> Type {
                Type::$array
            }
        }
        impl Value for Vec<Option<$rust>> {
            fn kind(&self) -> Type {
                Type::$array
            }
        }
    )*};
}

values! {
    bool => BOOL, BOOL_ARRAY;
    i16 => INT2, INT2_ARRAY;
    i32 => INT4, INT4_ARRAY;
    i64 => INT8, INT8_ARRAY;
    f64 => FLOAT8, FLOAT8_ARRAY;
    &[u8] => BYTEA, BYTEA_ARRAY;
    Text<'_> => TEXT, TEXT_ARRAY;
}

/// Text as PostgreSQL can keep it: a NUL, which it cannot, becomes the sign for what cannot be shown.
///
/// Callers' text has none: names are letters, digits and a few signs, text for people is refused with a control character
/// in it, URLs too, and what is kept as JSON has `\u0000` there. What a receiver's failure is called may have one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a>(pub(super) &'a str);

impl ToSql for Text<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        if self.0.contains('\0') {
            return self.0.replace('\0', "\u{FFFD}").as_str().to_sql(kind, out);
        }
        self.0.to_sql(kind, out)
    }

    accepts!(TEXT);
    to_sql_checked!();
}

/// An id as a value.
pub(super) fn bytes<K: Kind>(id: &Id<K>) -> &[u8] {
    id.as_bytes().as_slice()
}

/// A statement in parts.
pub(super) struct Statement<'a> {
    sql: String,
    values: Vec<&'a dyn Value>,
}

impl<'a> Statement<'a> {
    pub(super) fn new(sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    pub(super) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    /// A value where the statement ends now.
    pub(super) fn bind(&mut self, value: &'a dyn Value) -> &mut Self {
        self.values.push(value);
        self.sql = format!("{}${}", self.sql, self.values.len());
        self
    }

    /// A value that the text has a place for already.
    pub(super) fn also(&mut self, value: &'a dyn Value) -> &mut Self {
        self.values.push(value);
        self
    }

    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    pub(super) fn values(&self) -> &[&'a dyn Value] {
        &self.values
    }
}

/// Values as the driver takes them.
pub(super) fn typed<'a>(values: &[&'a dyn Value]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
    values.iter().map(|value| (*value as &(dyn ToSql + Sync), value.kind())).collect()
}

/// How long PostgreSQL may take to answer: longer than it lets a statement of ours run, so that this is about the way to
/// it, and about statements outside a transaction.
const ANSWER_MAX: Duration = Duration::from_secs(35);

/// PostgreSQL has not answered. Whether it did what it was asked is not known.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL has not answered for {} s", .0.as_secs())]
pub(super) struct NoAnswer(Duration);

/// Waits for an answer, but not for ever.
pub(super) async fn answered<T>(
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(ANSWER_MAX, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StoreError::Unavailable(Box::new(NoAnswer(ANSWER_MAX)))),
    }
}

pub(super) async fn query(client: &Client, sql: &str, values: &[&dyn Value]) -> Result<Vec<Row>, StoreError> {
    answered(client.query_typed(sql, &typed(values))).await
}

/// What may take as long as it takes.
pub(super) async fn query_patiently(client: &Client, sql: &str) -> Result<Vec<Row>, StoreError> {
    Ok(client.query_typed(sql, &[]).await?)
}

/// Statements without values.
pub(super) async fn run(client: &Client, sql: &str) -> Result<(), StoreError> {
    answered(client.batch_execute(sql)).await
}

/// At most one row.
pub(super) async fn query_opt(
    client: &Client,
    sql: &str,
    values: &[&dyn Value],
) -> Result<Option<Row>, StoreError> {
    Ok(query(client, sql, values).await?.into_iter().next())
}

/// Returns how many rows it concerned.
pub(super) async fn execute(client: &Client, sql: &str, values: &[&dyn Value]) -> Result<u64, StoreError> {
    answered(client.execute_typed(sql, &typed(values))).await
}
