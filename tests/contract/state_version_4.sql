BEGIN TRANSACTION;
CREATE TABLE schema_version (
    version INTEGER NOT NULL
) STRICT;
CREATE TABLE facts (
    firm INTEGER NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (firm, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE runs (
    firm INTEGER NOT NULL,
    run INTEGER NOT NULL,
    run_id TEXT NOT NULL,
    command TEXT NOT NULL,
    version TEXT,
    rule TEXT,
    opt_out_field INTEGER,
    opt_in_field INTEGER,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    exit_code INTEGER,
    failure TEXT,
    PRIMARY KEY (firm, run),
    CONSTRAINT "the moments of a run" CHECK (coalesce(started_at, 0) BETWEEN 0 AND 253402300799 AND coalesce(finished_at, 0) BETWEEN 0 AND 253402300799),
    CONSTRAINT "the end of a run" CHECK ((finished_at IS NULL) = (exit_code IS NULL))
) STRICT, WITHOUT ROWID;
CREATE TABLE closings (
    firm INTEGER NOT NULL,
    number INTEGER NOT NULL PRIMARY KEY,
    matter_id INTEGER NOT NULL,
    closed_on TEXT NOT NULL,
    contact_id INTEGER,
    state TEXT NOT NULL,
    reason TEXT,
    cause TEXT,
    code TEXT,
    command TEXT NOT NULL,
    rule TEXT NOT NULL,
    etag TEXT NOT NULL,
    noticed_at INTEGER NOT NULL,
    read_at INTEGER NOT NULL,
    read_in_run INTEGER NOT NULL,
    updated_at INTEGER,
    in_doubt INTEGER NOT NULL,
    resent INTEGER NOT NULL,
    approval INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    claimed_at INTEGER,
    claimed_in_run INTEGER NOT NULL,
    batch INTEGER,
    changed_at INTEGER NOT NULL,
    changed_in_run INTEGER NOT NULL,
    position INTEGER NOT NULL,
    UNIQUE (firm, matter_id, closed_on),
    CONSTRAINT "the reason of a state" CHECK (instr('|pending |pending contact_hidden|pending no_close_date|pending retry|pending settling|pending surge|pending unavailable|pending unknown_outcome|pending unreadable_field|sending |sent |skipped asked_recently|skipped closed_before_start|skipped closed_too_long_ago|skipped company|skipped contact_hidden|skipped dropped|skipped no_channel|skipped no_client|skipped no_close_date|skipped not_closed|skipped not_opted_in|skipped opted_out|skipped suppressed|skipped unreadable_field|dead |dead retry|held asked_recently|held closed_before_start|held closed_too_long_ago|held company|held contact_hidden|held no_channel|held no_client|held no_close_date|held not_closed|held not_opted_in|held opted_out|held unknown_outcome|held unreadable_field|', '|' || state || ' ' || coalesce(reason, '') || '|') > 0),
    CONSTRAINT "a command" CHECK (instr('|sync|backfill|', '|' || command || '|') > 0),
    CONSTRAINT "a rule" CHECK (instr('|opt-out|opt-in|both|', '|' || rule || '|') > 0),
    CONSTRAINT "a yes or no" CHECK (in_doubt IN (0, 1) AND resent IN (0, 1)),
    CONSTRAINT "an approval" CHECK (approval BETWEEN 0 AND 2),
    CONSTRAINT "an id" CHECK (matter_id >= 0 AND coalesce(contact_id, 0) >= 0),
    CONSTRAINT "a close date" CHECK (closed_on = '' OR date(closed_on, '+0 days') IS closed_on),
    CONSTRAINT "a moment" CHECK (coalesce(noticed_at, 0) BETWEEN 0 AND 253402300799 AND coalesce(read_at, 0) BETWEEN 0 AND 253402300799 AND coalesce(updated_at, 0) BETWEEN 0 AND 253402300799 AND coalesce(claimed_at, 0) BETWEEN 0 AND 253402300799 AND coalesce(changed_at, 0) BETWEEN 0 AND 253402300799),
    CONSTRAINT "a client who was sent" CHECK (contact_id IS NOT NULL OR state NOT IN ('sending', 'sent')),
    CONSTRAINT "a claim" CHECK ((claimed_at IS NULL) = (claimed_in_run = 0) AND (claimed_at IS NOT NULL OR (in_doubt = 0 AND state NOT IN ('held', 'sending', 'sent')))),
    CONSTRAINT "a held closing in doubt" CHECK (in_doubt = 1 OR state <> 'held'),
    CONSTRAINT "a closing in doubt that is not let go" CHECK (in_doubt = 0 OR state <> 'skipped' OR reason IN ('dropped', 'suppressed'))
) STRICT;
CREATE TABLE changes (
    firm INTEGER NOT NULL,
    closing INTEGER NOT NULL,
    run INTEGER NOT NULL,
    position INTEGER NOT NULL,
    at INTEGER NOT NULL,
    from_state TEXT,
    to_state TEXT NOT NULL,
    reason TEXT,
    cause TEXT,
    code TEXT,
    batch INTEGER,
    PRIMARY KEY (firm, closing, run, position),
    CONSTRAINT "a way that a closing goes" CHECK (instr('| pending| skipped|pending held|pending pending|pending sending|pending skipped|sending dead|sending held|sending pending|sending sent|sending skipped|skipped pending|skipped skipped|dead pending|dead skipped|held pending|held skipped|', '|' || coalesce(from_state, '') || ' ' || to_state || '|') > 0)
) STRICT, WITHOUT ROWID;
CREATE TABLE people (
    firm INTEGER NOT NULL,
    identity INTEGER NOT NULL,
    closing INTEGER NOT NULL,
    claimed_at INTEGER NOT NULL,
    PRIMARY KEY (firm, identity, closing)
) STRICT, WITHOUT ROWID;
CREATE TABLE noes (
    firm INTEGER NOT NULL,
    identity INTEGER NOT NULL,
    contact_id INTEGER NOT NULL,
    read_at INTEGER NOT NULL,
    PRIMARY KEY (firm, identity, contact_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE objections (
    firm INTEGER NOT NULL,
    closing INTEGER NOT NULL,
    read_at INTEGER NOT NULL,
    told_in_run INTEGER,
    PRIMARY KEY (firm, closing)
) STRICT, WITHOUT ROWID;
CREATE INDEX closings_by_claim ON closings (firm, claimed_at) WHERE claimed_at IS NOT NULL;
CREATE INDEX closings_by_cause ON closings (firm, cause) WHERE cause IS NOT NULL;
CREATE INDEX closings_pending ON closings (firm, state, command, noticed_at, matter_id, closed_on) WHERE state = 'pending';
CREATE INDEX closings_sending ON closings (firm, state) WHERE state = 'sending';
CREATE INDEX closings_in_doubt ON closings (firm, in_doubt) WHERE in_doubt = 1;
CREATE INDEX closings_dead ON closings (firm, state) WHERE state = 'dead';
CREATE INDEX noes_by_contact ON noes (firm, contact_id);
CREATE TRIGGER closings_added AFTER INSERT ON closings BEGIN INSERT INTO changes (firm, closing, run, position, at, from_state, to_state, reason, cause, code, batch) VALUES (new.firm, new.number, new.changed_in_run, new.position, new.changed_at, NULL, new.state, new.reason, new.cause, new.code, CASE WHEN new.state = 'sending' THEN new.batch END); END;
CREATE TRIGGER closings_changed AFTER UPDATE OF state, reason, cause, closed_on ON closings WHEN old.state IS NOT new.state OR old.reason IS NOT new.reason OR old.cause IS NOT new.cause OR old.closed_on IS NOT new.closed_on BEGIN INSERT INTO changes (firm, closing, run, position, at, from_state, to_state, reason, cause, code, batch) VALUES (new.firm, new.number, new.changed_in_run, new.position, new.changed_at, old.state, new.state, new.reason, new.cause, new.code, CASE WHEN new.state = 'sending' THEN new.batch END); END;
CREATE TRIGGER changes_kept_at_update BEFORE UPDATE ON changes BEGIN SELECT RAISE(ABORT, 'changes are kept as they are'); END;
CREATE TRIGGER changes_kept_at_delete BEFORE DELETE ON changes BEGIN SELECT RAISE(ABORT, 'changes are kept as they are'); END;
CREATE TRIGGER closings_kept_at_delete BEFORE DELETE ON closings BEGIN SELECT RAISE(ABORT, 'closings are kept as they are'); END;
INSERT INTO schema_version VALUES (4);
COMMIT;
