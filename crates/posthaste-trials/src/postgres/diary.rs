//! What a trial has its database write down: changes of deliveries that no node may make. A row says how one stands,
//! not how it came to: that a node without its lease moved it would leave no trace.

/// A delivery in flight goes on; one that waits is leased; one that is over stays so, unless somebody puts it back.
pub(super) const KEEP: &str = "
CREATE TABLE trial_forbidden (
    message   BYTEA NOT NULL,
    endpoint  BYTEA NOT NULL,
    old_state SMALLINT NOT NULL,
    new_state SMALLINT NOT NULL
);
CREATE FUNCTION trial_write_down() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO trial_forbidden VALUES (NEW.message, NEW.endpoint, OLD.state, NEW.state);
    RETURN NULL;
END $$;
CREATE TRIGGER trial_diary AFTER UPDATE ON delivery FOR EACH ROW WHEN (
    (OLD.state, OLD.lease_token, OLD.attempts) IS DISTINCT FROM (NEW.state, NEW.lease_token, NEW.attempts)
    AND NOT (
        (OLD.state = 0 AND NEW.state = 1)
        OR (OLD.state = 1 AND NEW.state <> 1)
        OR (NEW.state = 0 AND NEW.manual)
    )
) EXECUTE FUNCTION trial_write_down();
";
