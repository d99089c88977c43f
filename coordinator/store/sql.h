/* sql.h - all SQL of the store, prepared once. SQL(name, text) */
#define SQL_LIST                                                                                                       \
    SQL(BEGIN, "BEGIN IMMEDIATE")                                                                                      \
    SQL(COMMIT, "COMMIT")                                                                                              \
    SQL(ROLLBACK, "ROLLBACK")                                                                                          \
    SQL(ADD_LINEAGE, "INSERT INTO lineages (id, name, owner, key, digest, base_path, base_hash, head, created_ms)"     \
                     " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")                                                            \
    SQL(ADD_JOB, "INSERT INTO jobs (id, kind, state, lineage, owner, key, digest, token, class_word, concept,"         \
                 " prior_key, images, parent, commit_hash, commit_number, submitted_ms, started_ms, finished_ms,"      \
                 " request) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                         \
    SQL(SET_JOB, "UPDATE jobs SET state = ?2, parent = ?3, commit_hash = ?4, commit_number = ?5, started_ms = ?6,"     \
                 " finished_ms = ?7 WHERE id = ?1")                                                                    \
    SQL(SET_STAGE, "INSERT INTO stages (job, kind, state, epoch, attempts, losses, pauses, best_step, source,"         \
                   " not_before_ms, deadline_ms, worker_group, seconds, line)"                                         \
                   " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"                                                \
                   " ON CONFLICT (job, kind) DO UPDATE SET state = excluded.state, epoch = excluded.epoch,"            \
                   " attempts = excluded.attempts, losses = excluded.losses, pauses = excluded.pauses,"                \
                   " best_step = excluded.best_step, source = excluded.source,"                                        \
                   " not_before_ms = excluded.not_before_ms, deadline_ms = excluded.deadline_ms,"                      \
                   " worker_group = excluded.worker_group, seconds = excluded.seconds, line = excluded.line")          \
    SQL(SET_RESULT, "UPDATE stages SET outputs = ?3, report = ?4 WHERE job = ?1 AND kind = ?2")                        \
    SQL(ADD_COMMIT, "INSERT INTO commits (lineage, number, hash, parent, job, committed_ms, seconds)"                  \
                    " VALUES (?, ?, ?, ?, ?, ?, ?)")                                                                   \
    SQL(SET_HEAD, "UPDATE lineages SET head = ?2 WHERE id = ?1")                                                       \
    SQL(ADD_EVENT, "INSERT INTO events (job, seq, type, stage, step, of, at_ms, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?)") \
    SQL(LINEAGES, "SELECT id, name, owner, key, digest, created_ms FROM lineages ORDER BY id")                         \
    SQL(COMMITS, "SELECT lineage, number, hash, parent, job, committed_ms, seconds FROM commits"                       \
                 " ORDER BY lineage, number")                                                                          \
    SQL(JOBS, "SELECT id, kind, state, lineage, owner, key, digest, token, class_word, concept, prior_key, parent,"    \
              " commit_hash, commit_number, submitted_ms, started_ms, finished_ms FROM jobs ORDER BY id")              \
    SQL(STAGES, "SELECT job, kind, state, epoch, attempts, losses, pauses, best_step, source, not_before_ms,"          \
                " deadline_ms, worker_group, seconds, line FROM stages ORDER BY job, kind")                            \
    SQL(ASTRAY, "SELECT name FROM lineages AS l WHERE head IS NOT coalesce((SELECT hash FROM commits"                  \
                " WHERE lineage = l.id ORDER BY number DESC LIMIT 1), zeroblob(32))")                                  \
    SQL(LAST_SEQ, "SELECT coalesce(max(seq), 0) FROM events")                                                          \
    SQL(BASE, "SELECT base_path, base_hash FROM lineages WHERE id = ?")                                                \
    SQL(REQUEST, "SELECT request FROM jobs WHERE id = ?")                                                              \
    SQL(IMAGES, "SELECT images FROM jobs WHERE id = ?")                                                                \
    SQL(OUTPUTS, "SELECT outputs, report, source FROM stages WHERE job = ? AND kind = ?")                              \
    SQL(EVENTS, "SELECT seq, type, stage, step, of, at_ms, text FROM events WHERE job = ? AND seq > ?"                 \
                " ORDER BY seq LIMIT ?")
