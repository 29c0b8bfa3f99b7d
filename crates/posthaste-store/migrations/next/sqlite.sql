-- works with: 1
-- No migration of ours: what the next one may look like, for the test that lets two versions run together. Only a binary
-- with the feature `faults` that is told to play the next version applies it.
ALTER TABLE delivery ADD COLUMN next_version TEXT;
CREATE TABLE next_version (
    number INTEGER PRIMARY KEY,
    note   TEXT NOT NULL
);
