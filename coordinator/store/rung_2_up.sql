-- rung_2_up.sql - from schema version 1 to 2: owners become users, states of stages stand in their job, class images get a table of
-- their own, a stage has a row from its first lease on. Requests stay as they are (pack.c knows them by their first byte).

DROP TRIGGER commits_continue;
DROP TRIGGER commits_stay;
DROP TRIGGER commits_last;
DROP TRIGGER epochs_rise;
ALTER TABLE lineages RENAME TO old_lineages;
ALTER TABLE jobs RENAME TO old_jobs;
ALTER TABLE stages RENAME TO old_stages;
ALTER TABLE commits RENAME TO old_commits;
ALTER TABLE events RENAME TO old_events;

CREATE TABLE clock (                                              -- one row: counters that only rise
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    job   INTEGER NOT NULL,                                       -- the newest job
    epoch INTEGER NOT NULL,                                       -- the newest lease
    seq   INTEGER NOT NULL,                                       -- the newest row of events and audit
    open  INTEGER NOT NULL,                                       -- jobs before it have ended, but those that are marked
    batch INTEGER NOT NULL                                        -- the newest transaction of puts (mark.h)
) STRICT;

CREATE TABLE users (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    role        INTEGER NOT NULL,
    team        TEXT    NOT NULL,                                 -- the group of the user; '': none
    key         BLOB    NOT NULL CHECK (length(key) = 32),        -- CURVE public key; zero: none
    revoked     INTEGER NOT NULL,
    weight      INTEGER NOT NULL CHECK (weight > 0),
    max_queued  INTEGER NOT NULL,                                 -- 0: no limit
    max_running INTEGER NOT NULL,
    max_bytes   INTEGER NOT NULL,
    added_ms    INTEGER NOT NULL,
    used_ms     REAL    NOT NULL,                                 -- virtual time: what is fair
    bytes       INTEGER NOT NULL,                                 -- of requests
    done        INTEGER NOT NULL,                                 -- jobs that have ended so
    failed      INTEGER NOT NULL,
    cancelled   INTEGER NOT NULL
) STRICT;

CREATE TABLE drains (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;  -- worker groups that get no stage; '': all

CREATE TABLE lineages (
    id          INTEGER PRIMARY KEY,
    name        TEXT    NOT NULL UNIQUE,
    owner       INTEGER NOT NULL REFERENCES users (id),
    key         BLOB    NOT NULL UNIQUE CHECK (length(key) = 32),
    digest      BLOB    NOT NULL CHECK (length(digest) = 32),
    base_path   TEXT    NOT NULL,
    base_hash   BLOB    NOT NULL CHECK (length(base_hash) = 32),
    head        BLOB    NOT NULL CHECK (length(head) = 32),       -- zero: no commit yet
    created_ms  INTEGER NOT NULL,
    visibility  INTEGER NOT NULL,
    on_failure  INTEGER NOT NULL,
    held        INTEGER NOT NULL,
    shared      TEXT    NOT NULL                                  -- users and "@group"s, a line each
) STRICT;

CREATE TABLE priors (                                             -- class images that jobs share
    id    INTEGER PRIMARY KEY,
    key   BLOB    NOT NULL UNIQUE CHECK (length(key) = 32),
    maker INTEGER NOT NULL,                                       -- the job whose prior stage made them, or will; 0: none yet
    made  INTEGER NOT NULL
) STRICT;

CREATE TABLE texts (                                              -- settings, prompts and captions that came more than once
    id   INTEGER PRIMARY KEY,
    mark INTEGER NOT NULL,                                        -- of the text, to find it (intern.c)
    uses INTEGER NOT NULL,                                        -- requests that name it; at 0 it goes
    text TEXT    NOT NULL
) STRICT;
CREATE INDEX texts_by_mark ON texts (mark);

CREATE TABLE jobs (
    id            INTEGER PRIMARY KEY,
    kind          INTEGER NOT NULL,
    state         INTEGER NOT NULL,
    stages        INTEGER NOT NULL,                               -- octal digits: at 8 to the power of its kind the state of a stage
    priority      INTEGER NOT NULL,
    flags         INTEGER NOT NULL,                               -- enum core_job_flag
    lineage       INTEGER NOT NULL REFERENCES lineages (id),
    owner         INTEGER NOT NULL REFERENCES users (id),
    key           BLOB    NOT NULL CHECK (length(key) = 16),      -- the first half of the request's key
    digest        BLOB    NOT NULL CHECK (length(digest) = 8),
    place         INTEGER NOT NULL,                               -- its order in the lineage; 0: as its id says
    prior         INTEGER NOT NULL,                               -- of priors; 0: wants none
    commit_number INTEGER NOT NULL,                               -- learn: its own; else the one to read, 0: the base
    submitted_ms  INTEGER NOT NULL,
    started_ms    INTEGER NOT NULL,
    finished_ms   INTEGER NOT NULL,
    token         TEXT    NOT NULL,
    class_word    TEXT    NOT NULL,
    concept       INTEGER NOT NULL,
    request       BLOB    NOT NULL,                               -- the rest of it, packed
    CHECK ((state = 4) = (stages & 898776 = 0))                   -- done: every stage is (each digit 0 or 4)
) STRICT;
CREATE INDEX jobs_by_key ON jobs (substr(key, 1, 8)) WHERE state >= 4;   -- the core knows the keys of those that wait
CREATE INDEX jobs_by_owner ON jobs (owner, state) WHERE state >= 4;      -- and has those that wait in order
CREATE INDEX jobs_marked ON jobs (owner) WHERE flags & 10;               -- open, or failed and waited for, before clock.open

CREATE TABLE stages (
    job           INTEGER NOT NULL REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,
    kind          INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    attempts      INTEGER NOT NULL,
    losses        INTEGER NOT NULL,
    pauses        INTEGER NOT NULL,
    best_step     INTEGER NOT NULL,
    chain         INTEGER NOT NULL,                               -- how many commits it works on
    granted_ms    INTEGER NOT NULL,
    worker_group  BLOB    NOT NULL CHECK (length(worker_group) IN (0, 32)),   -- who holds the lease; empty: nobody
    seconds       REAL    NOT NULL,
    line          TEXT    NOT NULL,
    outputs       BLOB    NOT NULL DEFAULT x'' CHECK (length(outputs) % 32 = 0),
    report        TEXT    NOT NULL DEFAULT '',
    PRIMARY KEY (job, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE commits (
    lineage      INTEGER NOT NULL REFERENCES lineages (id),
    number       INTEGER NOT NULL,
    hash         BLOB    NOT NULL CHECK (length(hash) = 32),
    parent       BLOB    NOT NULL CHECK (length(parent) = 32),
    job          INTEGER NOT NULL UNIQUE REFERENCES jobs (id) DEFERRABLE INITIALLY DEFERRED,    -- invariant 2
    committed_ms INTEGER NOT NULL,
    seconds      REAL    NOT NULL,
    PRIMARY KEY (lineage, number),
    UNIQUE (lineage, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (                                             -- "queued" is not among them: jobs.submitted_ms says it
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

CREATE TABLE audit (
    seq   INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    user  TEXT    NOT NULL,
    what  TEXT    NOT NULL
) STRICT;


INSERT INTO clock VALUES (1, coalesce((SELECT max(id) FROM old_jobs), 0),
    coalesce((SELECT max(epoch) FROM old_stages), 0), coalesce((SELECT max(seq) FROM old_events), 0),
    coalesce((SELECT min(id) FROM old_jobs WHERE state < 4), (SELECT max(id) + 1 FROM old_jobs), 1), 0);

INSERT INTO users
SELECT row_number() OVER (ORDER BY min(at), name), name, 2, '', zeroblob(32), 0, 1, 0, 0, 0, min(at), 0.0,
    coalesce((SELECT sum(length(request)) FROM old_jobs WHERE owner = name), 0),
    (SELECT count(*) FROM old_jobs WHERE owner = name AND state = 4),
    (SELECT count(*) FROM old_jobs WHERE owner = name AND state = 5),
    (SELECT count(*) FROM old_jobs WHERE owner = name AND state = 6)
FROM (SELECT owner AS name, created_ms AS at FROM old_lineages UNION ALL SELECT owner, submitted_ms FROM old_jobs)
GROUP BY name;

INSERT INTO lineages
SELECT l.id, l.name, u.id, l.key, l.digest, l.base_path, l.base_hash, l.head, l.created_ms, 0, 0, 0, ''
FROM old_lineages AS l JOIN users AS u ON u.name = l.owner;

INSERT INTO priors
SELECT row_number() OVER (ORDER BY min(j.id)), j.prior_key,
    coalesce(min(CASE WHEN s.state = 4 AND s.source = 0 THEN j.id END), min(CASE WHEN s.state IN (2, 3) THEN j.id END), 0),
    max(s.state = 4 AND s.source = 0)
FROM old_jobs AS j JOIN old_stages AS s ON s.job = j.id AND s.kind = 1
GROUP BY j.prior_key;

INSERT INTO jobs
SELECT j.id, j.kind, j.state, (SELECT sum(state << 3 * kind) FROM old_stages WHERE job = j.id), 0, 0, j.lineage, u.id,
    substr(j.key, 1, 16), substr(j.digest, 1, 8), 0,
    CASE WHEN EXISTS (SELECT 1 FROM old_stages WHERE job = j.id AND kind = 1)
        THEN (SELECT id FROM priors WHERE key = j.prior_key) ELSE 0 END,
    j.commit_number, j.submitted_ms, j.started_ms, j.finished_ms, j.token, j.class_word, j.concept, j.request
FROM old_jobs AS j JOIN users AS u ON u.name = j.owner ORDER BY j.id;

INSERT INTO stages
SELECT s.job, s.kind, s.epoch, s.attempts, s.losses, s.pauses, s.best_step,
    CASE WHEN s.kind IN (5, 6) THEN j.commit_number WHEN s.kind = 1 THEN 0
        ELSE coalesce((SELECT number FROM old_commits WHERE lineage = j.lineage AND hash = j.parent), 0) END,
    j.started_ms, CASE WHEN s.worker_group = zeroblob(32) THEN x'' ELSE s.worker_group END, s.seconds, s.line, s.outputs,
    s.report
FROM old_stages AS s JOIN old_jobs AS j ON j.id = s.job WHERE s.attempts > 0;

INSERT INTO commits SELECT * FROM old_commits ORDER BY lineage, number;
INSERT INTO events SELECT * FROM old_events AS e
WHERE NOT (type = 1 AND text = 'queued' AND seq = (SELECT min(seq) FROM old_events WHERE job = e.job));

DROP TABLE old_events;
DROP TABLE old_commits;
DROP TABLE old_stages;
DROP TABLE old_jobs;
DROP TABLE old_lineages;

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

CREATE TRIGGER clock_rises BEFORE UPDATE ON clock
WHEN new.job < old.job OR new.epoch < old.epoch OR new.seq < old.seq OR new.open < old.open OR new.batch < old.batch
BEGIN SELECT raise(ABORT, 'invariant 5: a counter that falls'); END;

CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
BEGIN SELECT raise(ABORT, 'what was done stays written'); END;

CREATE TRIGGER audit_last BEFORE DELETE ON audit
BEGIN SELECT raise(ABORT, 'what was done stays written'); END;
