-- rung_2_down.sql - from schema version 2 to 1, where nothing of 2 is used (rung_2_uses.sql). request_of(job, what) and
-- sha256(bytes) are functions of pack.c: the request as version 1 of the protocol says it, and parts of it.

DROP TRIGGER commits_continue;
DROP TRIGGER commits_stay;
DROP TRIGGER commits_last;
DROP TRIGGER epochs_rise;
DROP TRIGGER clock_rises;
DROP TRIGGER audit_stays;
DROP TRIGGER audit_last;
CREATE TEMP TABLE whole AS SELECT id, request_of(id, 'bytes') AS request, request_of(id, 'key') AS key,
    request_of(id, 'images') AS images, request_of(id, 'prior_key') AS prior_key FROM jobs;
CREATE TEMP TABLE kinds AS SELECT value AS kind FROM json_each('[1, 2, 3, 4, 5, 6]');
ALTER TABLE lineages RENAME TO new_lineages;
ALTER TABLE jobs RENAME TO new_jobs;
ALTER TABLE stages RENAME TO new_stages;
ALTER TABLE commits RENAME TO new_commits;
ALTER TABLE events RENAME TO new_events;

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


INSERT INTO lineages
SELECT l.id, l.name, u.name, l.key, l.digest, l.base_path, l.base_hash, l.head, l.created_ms
FROM new_lineages AS l JOIN users AS u ON u.id = l.owner;

INSERT INTO jobs
SELECT j.id, j.kind, j.state, j.lineage, u.name, w.key, sha256(w.request), j.token, j.class_word, j.concept, w.prior_key,
    w.images,
    coalesce((SELECT c.hash FROM new_stages AS s JOIN new_commits AS c ON c.lineage = j.lineage AND c.number = s.chain
        WHERE s.job = j.id AND s.kind IN (3, 4) LIMIT 1), zeroblob(32)),
    coalesce((SELECT hash FROM new_commits WHERE lineage = j.lineage AND number = j.commit_number), zeroblob(32)),
    j.commit_number, j.submitted_ms, j.started_ms, j.finished_ms, w.request
FROM new_jobs AS j JOIN users AS u ON u.id = j.owner JOIN temp.whole AS w ON w.id = j.id ORDER BY j.id;

INSERT INTO stages
SELECT j.id, k.kind, j.stages >> 3 * k.kind & 7, coalesce(s.epoch, 0), coalesce(s.attempts, 0), coalesce(s.losses, 0),
    coalesce(s.pauses, 0), coalesce(s.best_step, 0),
    CASE WHEN k.kind = 1 AND s.job IS NULL AND j.stages >> 3 & 7 = 4 THEN (SELECT maker FROM priors WHERE id = j.prior) ELSE 0 END,
    0, 0, CASE WHEN length(s.worker_group) = 32 THEN s.worker_group ELSE zeroblob(32) END, coalesce(s.seconds, 0.0),
    coalesce(s.line, ''), coalesce(s.outputs, x''), coalesce(s.report, '')
FROM new_jobs AS j JOIN temp.kinds AS k ON j.stages >> 3 * k.kind & 7 > 0
    LEFT JOIN new_stages AS s ON s.job = j.id AND s.kind = k.kind;

INSERT INTO commits SELECT * FROM new_commits ORDER BY lineage, number;
INSERT INTO events SELECT * FROM new_events;
INSERT INTO events SELECT id, (submitted_ms << 10) - 1, 1, 0, 0, 0, submitted_ms, 'queued' FROM new_jobs;

DROP TABLE temp.whole;
DROP TABLE temp.kinds;
DROP TABLE new_events;
DROP TABLE new_commits;
DROP TABLE new_stages;
DROP TABLE new_jobs;
DROP TABLE new_lineages;
DROP TABLE priors;
DROP TABLE texts;
DROP TABLE drains;
DROP TABLE users;
DROP TABLE audit;
DROP TABLE clock;

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
