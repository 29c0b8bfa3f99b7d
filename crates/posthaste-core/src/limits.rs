//! Every limit that is not a setting, by name, with the reason for its number.

use std::time::Duration;

/// Channels that one endpoint may listen on.
pub const CHANNELS_PER_ENDPOINT_MAX: usize = 10;
/// Channels that one message may name; svix-server takes 5, its hosted API 10.
pub const CHANNELS_PER_MESSAGE_MAX: usize = 10;
/// Tags that one message may carry.
pub const TAGS_PER_MESSAGE_MAX: usize = 5;
/// Event types that one endpoint may name; more than a catalogue holds, less than a row can bear.
pub const EVENT_TYPES_PER_ENDPOINT_MAX: usize = 1_000;
/// Custom headers that one endpoint may set.
pub const HEADERS_PER_ENDPOINT_MAX: usize = 32;
/// Bytes in one custom header value.
pub const HEADER_VALUE_BYTES_MAX: usize = 4_096;
/// Characters in a URL; the longest that browsers and proxies agree on.
pub const URL_LENGTH_MAX: usize = 2_048;
/// Characters in a description.
pub const DESCRIPTION_LENGTH_MAX: usize = 4_096;
/// Bytes of metadata, keys and values together.
pub const METADATA_BYTES_MAX: usize = 4_096;
/// Characters in an app's name.
pub const APP_NAME_LENGTH_MAX: usize = 256;
/// Characters in an idempotency key.
pub const IDEMPOTENCY_KEY_LENGTH_MAX: usize = 255;
/// How long an idempotency key answers for its request; Svix's window.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_hours(12);
/// Rows on a page.
pub const PAGE_ROWS_MAX: u16 = 250;
/// Bytes of bodies on a page, give or take one row: then the page ends early, and says that there is more.
pub const PAGE_BYTES_MAX: usize = 8 << 20;
/// Rows on a page when the caller does not say.
pub const PAGE_ROWS_DEFAULT: u16 = 50;
/// Secrets that sign at the same time while a rotation is under way, the new one included.
pub const LIVE_SECRETS_MAX: usize = 10;
/// How long an old secret signs on after a rotation, when the caller does not say.
pub const ROTATION_GRACE_DEFAULT: Duration = Duration::from_hours(24);
/// The longest that an old secret may sign on.
pub const ROTATION_GRACE_MAX: Duration = Duration::from_hours(7 * 24);
/// Bytes of a receiver's answer that are read and kept; enough for an error page's first screen.
pub const RESPONSE_BODY_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a receiver's answer headers that are kept.
pub const RESPONSE_HEADER_BYTES_MAX: usize = 8 * 1024;
/// The longest that `Retry-After` may put an attempt off; beyond it a receiver would hold its own backlog hostage.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);
/// An endpoint that fails this long without one success is disabled.
pub const FAILING_BEFORE_DISABLE: Duration = Duration::from_hours(5 * 24);
/// Failed attempts after which `message.attempt.failing` is sent.
pub const ATTEMPTS_BEFORE_FAILING: u32 = 4;
/// How far ahead a message may be scheduled.
pub const DELIVER_AT_MAX: Duration = Duration::from_hours(24 * 7);
/// How long a portal token lives when the caller does not say, and at most.
pub const PORTAL_TOKEN_LIFE_MAX: Duration = Duration::from_hours(7 * 24);
/// The longest that a customer's tokens may go on after all were told to end; Svix's limit.
pub const EXPIRE_ALL_MAX: Duration = Duration::from_hours(72);
/// How far back `recover` may reach.
pub const RECOVER_WINDOW_MAX: Duration = Duration::from_hours(14 * 24);
/// How long a listener's deliveries wait for it, past the time at which they were due: a laptop that never comes back
/// keeps nothing for ever.
pub const LISTENER_WAIT_MAX: Duration = Duration::from_hours(24);
/// Deliveries that a job puts back in one transaction: small enough that accepts do not wait for it.
pub const JOB_STEP_ROWS: u32 = 500;
/// Messages that a replay may name one by one.
pub const REPLAY_MESSAGES_MAX: usize = 1_000;
/// Deliveries that are looked at to say how many a replay concerns; past that it is "more than".
pub const REPLAY_COUNT_ROWS_MAX: u32 = 50_000;
/// Replays that one environment may have under way.
pub const REPLAYS_RUNNING_MAX: u32 = 100;
/// Rows that retention deletes in one transaction.
pub const RETENTION_STEP_ROWS: u32 = 500;
/// How long a source knows a request again, when nothing else is asked for: longer than any provider we know retries.
pub const DEDUPE_WINDOW: Duration = Duration::from_hours(4 * 24);
/// The longest that it may: each request costs a row for so long.
pub const DEDUPE_WINDOW_MAX: Duration = Duration::from_hours(30 * 24);
/// Bytes of a body that a source takes, when nothing else is asked for.
pub const RECEIVED_BODY_BYTES_DEFAULT: u32 = 1 << 20;
/// The most bytes that it may be asked to take: each request under way may hold as many in memory.
pub const RECEIVED_BODY_BYTES_MAX: u32 = 20 << 20;
/// The longest that a source may be asked to hold back its answer.
pub const ANSWER_DELAY_MAX: Duration = Duration::from_secs(10);
/// How long an old door works on once there is a new one: time to tell the provider.
pub const DOOR_GRACE: Duration = Duration::from_hours(24);
/// Old doors of one source that still open at the same time.
pub const DOORS_IN_GRACE_MAX: usize = 10;
/// Refused requests that are kept of one source; the oldest go first.
pub const REFUSALS_PER_SOURCE_MAX: usize = 1_000;
/// Bytes of a refused body that are kept: enough to see what was wrong with it.
pub const REFUSAL_BODY_BYTES_MAX: usize = 64 * 1024;
/// How long portal links and sessions are kept once they are over, for whoever asks who was there.
pub const ENDED_TOKEN_RETENTION: Duration = Duration::from_hours(30 * 24);
/// How long refused requests are kept.
pub const REFUSAL_RETENTION: Duration = Duration::from_hours(7 * 24);
/// Characters in a cron expression; one that lists every minute of an hour has 180.
pub const SCHEDULE_LENGTH_MAX: usize = 256;
/// Bytes of what a cron source sends: as much as a source takes by default.
pub const CRON_PAYLOAD_BYTES_MAX: usize = RECEIVED_BODY_BYTES_DEFAULT as usize;
/// How late a cron source may be; what was missed by more is left out. Longer than a restart takes.
pub const CRON_GRACE: Duration = Duration::from_secs(60);
/// For how long counts are kept by the minute: what a chart of the last hours is drawn from.
pub const ROLLUP_MINUTES_KEPT: Duration = Duration::from_hours(3);
/// For how long counts are kept by the hour: a week, and a day in every zone of the earth.
pub const ROLLUP_HOURS_KEPT: Duration = Duration::from_hours(8 * 24);
/// For how long counts are kept by the day: a year, and the month before it.
pub const ROLLUP_DAYS_KEPT: Duration = Duration::from_hours(400 * 24);
/// Rows of counts that one transaction adds together: nobody accepts meanwhile, for some ten milliseconds.
pub const ROLLUP_STEP_ROWS: u32 = 500;
/// Failing endpoints of a store that are looked at for those of one environment.
pub const UNWELL_ROWS_MAX: u32 = 10_000;
