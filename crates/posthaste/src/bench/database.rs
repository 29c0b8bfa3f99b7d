//! What a measurement asks of PostgreSQL: CPU time of its processes, its log, its rows and their room.

use std::path::Path;

use posthaste_store::postgres::{Counted, Gauge};
use serde_json::{Value, json};

use super::process::cpu_micros;

/// CPU time that all of PostgreSQL's processes have used; `None` if they are not on this machine.
pub(super) async fn all_micros(gauge: &Gauge) -> anyhow::Result<Option<u64>> {
    let backend = gauge.backend().await?.to_string();
    Ok(parent_of(&backend).and_then(|postmaster| family_micros(&postmaster)))
}

/// What one run cost PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    pub(super) cpu_micros: Option<u64>,
    pub(super) counted: Counted,
}

impl Spent {
    /// One line of the table, for each delivery of `count`.
    pub(super) fn lines(&self, count: f64) -> [(&'static str, String); 3] {
        let cpu = match self.cpu_micros {
            Some(micros) => format!("{:.1} µs a delivery", micros as f64 / count),
            None => "not on this machine".to_owned(),
        };
        let counted = self.counted;
        let each = |number: i64| number as f64 / count;
        [
            ("database", cpu),
            (
                "writes",
                format!(
                    "{:.0} bytes of log, {:.2} rows inserted, {:.2} updated, {:.2} deleted a delivery; {:.1} deliveries a transaction",
                    each(counted.log_bytes),
                    each(counted.inserted_count),
                    each(counted.updated_count),
                    each(counted.deleted_count),
                    count / counted.transactions_count.max(1) as f64
                ),
            ),
            (
                "disk",
                format!(
                    "{:.0} bytes of tables, {:.0} of indexes a delivery",
                    each(counted.table_bytes),
                    each(counted.index_bytes)
                ),
            ),
        ]
    }

    pub(super) fn json(&self, count: f64) -> Value {
        let each = |number: i64| (number as f64 / count * 100.0).round() / 100.0;
        json!({
            "cpu_us_per_delivery": self.cpu_micros.map(|micros| (micros as f64 / count * 10.0).round() / 10.0),
            "log_bytes_per_delivery": each(self.counted.log_bytes),
            "rows_inserted_per_delivery": each(self.counted.inserted_count),
            "rows_updated_per_delivery": each(self.counted.updated_count),
            "rows_deleted_per_delivery": each(self.counted.deleted_count),
            "transactions": self.counted.transactions_count,
            "table_bytes_per_delivery": each(self.counted.table_bytes),
            "index_bytes_per_delivery": each(self.counted.index_bytes),
        })
    }
}

/// The fields of a process's `stat` behind its command, which may hold blanks.
fn stat(process: &str) -> Option<String> {
    let text = std::fs::read_to_string(Path::new("/proc").join(process).join("stat")).ok()?;
    text.rsplit_once(')').map(|(_, rest)| rest.to_owned())
}

fn parent_of(process: &str) -> Option<String> {
    stat(process)?.split_whitespace().nth(1).map(str::to_owned)
}

/// Of a process, of its children, and of those that have ended.
fn family_micros(parent: &str) -> Option<u64> {
    let own = stat(parent)?;
    let mut sum = cpu_micros(&own, &[11, 12, 13, 14]);
    for entry in std::fs::read_dir("/proc").ok()?.flatten() {
        let name = entry.file_name();
        let child =
            name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit())).and_then(stat);
        if let Some(fields) = child.filter(|fields| fields.split_whitespace().nth(1) == Some(parent)) {
            sum += cpu_micros(&fields, &[11, 12]);
        }
    }
    Some(sum)
}
