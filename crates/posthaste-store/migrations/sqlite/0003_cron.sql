-- Sources that make messages of their own: all of them are read once a minute, and the others are not.
CREATE INDEX source_cron ON source (id) WHERE provider = 'cron' AND deleted_at IS NULL;
