//! Every table that moves, in the order in which it does: what others name comes before them.
//!
//! What stays behind is in no list here: the check of the main secret, which each store has of its own, migrations and
//! nodes. A test holds these columns against both schemas.

use posthaste_core::id::{
    AppKind, AttemptKind, EndpointKind, ID_BYTES, Id, JobKind, MessageId, MessageKind, RefusalKind,
    SourceKind, TokenKind,
};

use super::table::{Cell, Column, Row, Table, big, bytes, flag, id, int, sealed, small, text};
use crate::columns::corrupt;
use crate::error::StoreError;

/// A table that is the same on both sides.
const fn table(name: &'static str, key: usize, columns: &'static [Column]) -> Table {
    Table { name, from: name, key, columns, fixed: None, change: None }
}

/// All of them.
pub(crate) const TABLES: &[Table] = &[
    // Its numbers are part of what idempotency keys are made of, and stay what they are.
    table("environment", 1, &[big("id"), text("name"), big("created_at")]),
    table(
        "event_type",
        2,
        &[
            big("environment"),
            text("name"),
            text("facts"),
            flag("archived"),
            big("created_at"),
            big("updated_at"),
        ],
    ),
    Table {
        fixed: Some(("version", "0")),
        ..table(
            "app",
            1,
            &[
                id::<AppKind>("id"),
                big("environment"),
                small("kind"),
                text("uid"),
                text("name"),
                int("rate"),
                text("metadata"),
                big("created_at"),
                big("updated_at"),
                big("deleted_at"),
            ],
        )
    },
    table(
        "endpoint",
        1,
        &[
            id::<EndpointKind>("id"),
            id::<AppKind>("app"),
            text("uid"),
            text("url"),
            text("description"),
            int("rate"),
            flag("disabled"),
            text("event_types"),
            text("channels"),
            text("metadata"),
            sealed("sealed", 0),
            big("failing_since"),
            big("created_at"),
            big("updated_at"),
            big("deleted_at"),
        ],
    ),
    table(
        "source",
        1,
        &[
            id::<SourceKind>("id"),
            big("environment"),
            id::<AppKind>("app"),
            text("uid"),
            text("name"),
            text("provider"),
            sealed("sealed", 0),
            text("rules"),
            flag("paused"),
            text("metadata"),
            big("created_at"),
            big("updated_at"),
            big("deleted_at"),
        ],
    ),
    table("door", 1, &[bytes("hash"), id::<SourceKind>("source"), big("retires_at")]),
    table(
        "token",
        1,
        &[
            bytes("hash"),
            id::<TokenKind>("id"),
            big("environment"),
            id::<AppKind>("app"),
            flag("read_only"),
            text("hint"),
            big("created_at"),
            big("expires_at"),
            big("revoked_at"),
            bytes("parent"),
        ],
    ),
    table("choice", 2, &[big("environment"), text("name"), bytes("value")]),
    Table {
        from: "message m LEFT JOIN body b ON b.id = m.body",
        ..table(
            "message",
            2,
            &[
                id::<AppKind>("app"),
                id::<MessageKind>("id").of("m.id"),
                text("event_type"),
                text("event_id"),
                text("channels"),
                text("tags"),
                big("deliver_at"),
                big("created_at"),
                big("expunge_at"),
                int("repeats"),
                big("repeated_at"),
                bytes("body").of("b.bytes"),
                sealed("origin", 1).of("b.origin"),
            ],
        )
    },
    table("event_key", 2, &[id::<AppKind>("app"), text("event_id"), id::<MessageKind>("message")]),
    Table {
        change: Some(put_back),
        ..table(
            "delivery",
            2,
            &[
                id::<MessageKind>("message"),
                id::<EndpointKind>("endpoint"),
                small("state"),
                big("due_at"),
                id::<AppKind>("app"),
                flag("manual"),
                int("attempts"),
                text("why"),
            ],
        )
    },
    table(
        "attempt",
        2,
        &[
            id::<MessageKind>("message"),
            id::<AttemptKind>("id"),
            id::<EndpointKind>("endpoint"),
            text("url"),
            flag("manual"),
            flag("truncated"),
            int("status"),
            big("started_at"),
            big("dns_us"),
            big("connect_us"),
            big("tls_us"),
            big("first_byte_us"),
            big("total_us"),
            text("remote"),
            text("failure"),
            text("detail"),
            bytes("headers"),
            bytes("body"),
        ],
    ),
    table(
        "idempotency",
        1,
        &[
            bytes("key"),
            bytes("fingerprint"),
            id::<AppKind>("app"),
            id::<MessageKind>("message"),
            int("status"),
            sealed("answer", 0),
            big("expires_at"),
        ],
    ),
    table("received", 1, &[bytes("key"), id::<MessageKind>("message"), big("expires_at")]),
    table(
        "refusal",
        2,
        &[
            id::<SourceKind>("source"),
            id::<RefusalKind>("id"),
            big("at"),
            int("status"),
            text("reason"),
            text("remote"),
            big("body_bytes"),
            sealed("origin", 1),
            bytes("body"),
        ],
    ),
    table(
        "job",
        1,
        &[
            id::<JobKind>("id"),
            big("environment"),
            id::<AppKind>("app"),
            id::<EndpointKind>("endpoint"),
            text("task"),
            big("since"),
            big("until"),
            id::<MessageKind>("next"),
            big("done_count"),
            flag("finished"),
            big("created_at"),
            big("updated_at"),
            flag("cancelled"),
        ],
    ),
    table(
        "replay",
        1,
        &[
            id::<JobKind>("id"),
            big("environment"),
            id::<AppKind>("app"),
            id::<EndpointKind>("endpoint"),
            text("task"),
            big("since"),
            big("until"),
            text("which"),
            text("event_types"),
            text("channel"),
            text("tag"),
            bytes("messages"),
            int("rate"),
            id::<EndpointKind>("at_endpoint"),
            id::<MessageKind>("next"),
            big("next_at"),
            big("done_count"),
            big("lost_count"),
            big("total"),
            flag("total_more"),
            text("state"),
            text("why"),
            big("created_at"),
            big("updated_at"),
        ],
    ),
    // Readers add up what several have written: here it is one who did.
    Table {
        fixed: Some(("shard", "0")),
        ..table(
            "rollup",
            4,
            &[
                small("tier"),
                big("start"),
                big("environment"),
                bytes("thing"),
                big("accepted"),
                big("delivered"),
                big("dead"),
                big("succeeded"),
                big("refused"),
                big("unanswered"),
                big("took_1_ms"),
                big("took_2_ms"),
                big("took_5_ms"),
                big("took_10_ms"),
                big("took_20_ms"),
                big("took_50_ms"),
                big("took_100_ms"),
                big("took_200_ms"),
                big("took_500_ms"),
                big("took_1000_ms"),
                big("took_2000_ms"),
                big("took_5000_ms"),
                big("took_10000_ms"),
                big("took_20000_ms"),
                big("took_longer"),
            ],
        )
    },
];

/// Where a delivery has its state, and when it is due.
const STATE: usize = 2;
const DUE_AT: usize = 3;
const WAITING: i64 = 0;
const IN_FLIGHT: i64 = 1;

/// The process that held what is in flight is gone: as after a crash, it is due since it was accepted.
fn put_back(delivery: &mut Row) -> Result<(), StoreError> {
    if delivery[STATE] == Cell::Int(IN_FLIGHT) {
        let Cell::Bytes(message) = &delivery[0] else { return Err(nameless()) };
        let message = <[u8; ID_BYTES]>::try_from(message.as_slice()).map_err(|_| nameless())?;
        let message: MessageId = Id::from_bytes(message);
        delivery[STATE] = Cell::Int(WAITING);
        delivery[DUE_AT] = Cell::Int(message.made_at().as_micros());
    }
    Ok(())
}

fn nameless() -> StoreError {
    corrupt("delivery", "its message has no id")
}

#[cfg(test)]
mod tests {
    use posthaste_core::time::Timestamp;

    use super::*;

    fn delivery(state: i64, due_at: Cell) -> Row {
        let message = MessageId::first_at(Timestamp::from_secs(1_700_000_000));
        vec![Cell::Bytes(message.as_bytes().to_vec()), Cell::Null, Cell::Int(state), due_at]
    }

    #[test]
    fn what_was_in_flight_waits_and_is_due_since_it_was_accepted() {
        let mut row = delivery(IN_FLIGHT, Cell::Null);
        put_back(&mut row).unwrap();
        assert!(row[STATE] == Cell::Int(WAITING) && row[DUE_AT] == Cell::Int(1_700_000_000_000_000));
    }

    #[test]
    fn what_was_not_in_flight_stays_as_it_is() {
        for (state, due_at) in [(WAITING, Cell::Int(7)), (2, Cell::Null), (3, Cell::Null)] {
            let mut row = delivery(state, due_at.clone());
            put_back(&mut row).unwrap();
            assert!(row[STATE] == Cell::Int(state) && row[DUE_AT] == due_at);
        }
    }

    #[test]
    fn what_a_sealed_column_is_bound_to_is_there() {
        for table in TABLES {
            assert!(table.key <= table.columns.len() && table.key > 0, "{}", table.name);
            for column in table.columns {
                if let crate::transfer::table::Kind::Sealed(bound_to) = column.kind {
                    assert!(bound_to < table.key, "{}.{} is bound to its row's id", table.name, column.name);
                }
            }
        }
    }
}
