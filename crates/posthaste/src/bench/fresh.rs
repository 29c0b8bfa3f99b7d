//! A database for one measurement, beside the one that the URL names: what one run leaves is not in the next one's way.

use anyhow::Context as _;
use posthaste_core::dice::roll;
use posthaste_store::postgres::Gauge;

use crate::system::SystemDice;

/// A database that is removed after its measurement; none, where there is no PostgreSQL.
pub(super) struct FreshDatabase {
    /// The URL that was given, and the new database's name.
    made: Option<(String, String)>,
}

impl FreshDatabase {
    pub(super) async fn beside(url: Option<&str>) -> anyhow::Result<Self> {
        let Some(url) = url else { return Ok(Self { made: None }) };
        let letters: String = roll::<6>(&SystemDice).iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!("posthaste_bench_{letters}");
        execute(url, &format!("CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")).await?;
        Ok(Self { made: Some((url.to_owned(), name)) })
    }

    pub(super) fn url(&self) -> Option<String> {
        self.made.as_ref().map(|(url, name)| with_database(url, name))
    }

    pub(super) async fn drop(self) -> anyhow::Result<()> {
        let Some((url, name)) = self.made else { return Ok(()) };
        execute(&url, &format!("DROP DATABASE {name} WITH (FORCE)")).await
    }
}

/// The same URL with another database in it.
fn with_database(url: &str, name: &str) -> String {
    let (base, query) =
        url.split_once('?').map_or((url, String::new()), |(base, query)| (base, format!("?{query}")));
    let hosts_from = base.find("://").map_or(0, |at| at + 3);
    let hosts_to = base[hosts_from..].find('/').map_or(base.len(), |at| hosts_from + at);
    format!("{}/{name}{query}", &base[..hosts_to])
}

async fn execute(url: &str, sql: &str) -> anyhow::Result<()> {
    let gauge = Gauge::connect(url).await.context("the measurement's own connection")?;
    gauge.execute(sql).await.with_context(|| format!("PostgreSQL refused: {sql}"))
}

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn another_database_is_named_in_the_same_url() {
        let cases = [
            ("postgres://u:p@a:1,b:2/old?sslmode=require", "postgres://u:p@a:1,b:2/new?sslmode=require"),
            ("postgres://postgres@%2Ftmp%2Fpg/old", "postgres://postgres@%2Ftmp%2Fpg/new"),
            ("postgres://u@host", "postgres://u@host/new"),
            ("postgres://u@host?connect_timeout=3", "postgres://u@host/new?connect_timeout=3"),
        ];
        for (url, expected) in cases {
            assert_eq!(with_database(url, "new"), expected);
        }
    }
}
