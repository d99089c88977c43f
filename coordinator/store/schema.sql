-- schema.sql - everything the coordinator has promised. Version 1 (PRAGMA user_version).
--
-- Numbers of kinds and states are those of proto.h and are never reused. Hashes are blobs of 32 bytes, lists of hashes are
-- their concatenation, times are ms of Unix time. One process writes (flock on the home). The triggers are a
-- second belt: the core keeps these invariants, and the database would refuse a core that forgot.

CREATE TABLE lineages (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    owner       TEXT    NOT NULL,
    key         BLOB    NOT NULL UNIQUE CHECK (length(key) = 32),
    digest      BLOB    NOT NULL CHECK (length(digest) = 32),
    base_path   TEXT    NOT NULL,
    base_hash   BLOB    NOT NULL CHECK (length(base_hash) = 32),
    head        BLOB    NOT NULL CHECK (length(head) = 32),       -- zero: no commit yet
    created_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE jobs (
    id            INTEGER PRIMARY KEY,
    kind          INTEGER NOT NULL,
    state         INTEGER NOT NULL,
    lineage       INTEGER NOT NULL REFERENCES lineages (id),
    owner         TEXT    NOT NULL,
    key           BLOB    NOT NULL UNIQUE CHECK (length(key) = 32),
    digest        BLOB    NOT NULL CHECK (length(digest) = 32),
    token         TEXT    NOT NULL,
    class_word    TEXT    NOT NULL,
    concept       INTEGER NOT NULL,
    prior_key     BLOB    NOT NULL CHECK (length(prior_key) = 32),
    images        BLOB    NOT NULL CHECK (length(images) % 32 = 0),
    parent        BLOB    NOT NULL CHECK (length(parent) = 32),
    commit_hash   BLOB    NOT NULL CHECK (length(commit_hash) = 32),
    commit_number INTEGER NOT NULL,
    submitted_ms  INTEGER NOT NULL,
    started_ms    INTEGER NOT NULL,
    finished_ms   INTEGER NOT NULL,
    request       BLOB    NOT NULL                                -- the message as it came, PROTOCOL.md
) STRICT;

CREATE TABLE stages (
    job         INTEGER NOT NULL REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
    kind        INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    attempts    INTEGER NOT NULL,
    losses      INTEGER NOT NULL,
    pauses      INTEGER NOT NULL,
    best_step   INTEGER NOT NULL,
    source      INTEGER NOT NULL,                                 -- prior: the job whose outputs count; 0: this one
    not_before_ms INTEGER NOT NULL,
    deadline_ms INTEGER NOT NULL,
    worker_group BLOB   NOT NULL CHECK (length(worker_group) = 32),
    seconds     REAL    NOT NULL,
    line        TEXT    NOT NULL,
    outputs     BLOB    NOT NULL DEFAULT x'' CHECK (length(outputs) % 32 = 0),
    report      TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (job, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE commits (
    lineage      INTEGER NOT NULL REFERENCES lineages (id),
    number       INTEGER NOT NULL CHECK (number >= 1),
    hash         BLOB    NOT NULL CHECK (length(hash) = 32),
    parent       BLOB    NOT NULL CHECK (length(parent) = 32),
    job          INTEGER NOT NULL UNIQUE REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,    -- invariant 2
    committed_ms INTEGER NOT NULL,
    seconds      REAL    NOT NULL,
    PRIMARY KEY (lineage, number),
    UNIQUE (lineage, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    job   INTEGER NOT NULL REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
    seq   INTEGER NOT NULL,
    type  INTEGER NOT NULL,
    stage INTEGER NOT NULL,
    step  INTEGER NOT NULL,
    of    INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    text  TEXT    NOT NULL,
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER commits_continue BEFORE INSERT ON commits
WHEN new.parent IS NOT (SELECT head FROM lineages WHERE id = new.lineage)
BEGIN SELECT raise(ABORT, 'invariant 1: a commit whose parent is not the head'); END;

CREATE TRIGGER commits_stay BEFORE UPDATE ON commits
BEGIN SELECT raise(ABORT, 'invariant 2: commits do not change'); END;

CREATE TRIGGER commits_last BEFORE DELETE ON commits
BEGIN SELECT raise(ABORT, 'invariant 2: commits do not go'); END;

CREATE TRIGGER epochs_rise BEFORE UPDATE OF epoch ON stages
WHEN new.epoch < old.epoch
BEGIN SELECT raise(ABORT, 'invariant 5: an epoch that falls'); END;
