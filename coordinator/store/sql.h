/* sql.h - all SQL of the store, prepared once. SQL(name, text) */
#define SQL_LIST                                                                                                       \
    SQL(BEGIN, "BEGIN IMMEDIATE")                                                                                      \
    SQL(HOLD, "BEGIN")                                                                                                 \
    SQL(COMMIT, "COMMIT")                                                                                              \
    SQL(ROLLBACK, "ROLLBACK")                                                                                          \
    SQL(SET_CLOCK, "UPDATE clock SET job = ?, epoch = ?, seq = ?, open = ?")                                           \
    SQL(SET_BATCH, "UPDATE clock SET batch = ?")                                                                       \
    SQL(SET_USER, "INSERT INTO users (id, name, role, team, key, revoked, weight, max_queued, max_running, max_bytes," \
                  " added_ms, used_ms, bytes, done, failed, cancelled)"                                                \
                  " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"                                           \
                  " ON CONFLICT (id) DO UPDATE SET role = excluded.role, team = excluded.team, key = excluded.key,"    \
                  " revoked = excluded.revoked, weight = excluded.weight, max_queued = excluded.max_queued,"           \
                  " max_running = excluded.max_running, max_bytes = excluded.max_bytes, used_ms = excluded.used_ms,"   \
                  " bytes = excluded.bytes, done = excluded.done, failed = excluded.failed,"                           \
                  " cancelled = excluded.cancelled")                                                                   \
    SQL(ADD_DRAIN, "INSERT OR IGNORE INTO drains (name) VALUES (?)")                                                   \
    SQL(DROP_DRAIN, "DELETE FROM drains WHERE name = ?")                                                               \
    SQL(ADD_LINEAGE, "INSERT INTO lineages (id, name, owner, key, digest, base_path, base_hash, head, created_ms,"     \
                     " visibility, on_failure, held, shared) VALUES (?, ?, ?, ?, ?, ?, ?, zeroblob(32), ?, ?, ?, ?, ?)") \
    SQL(SET_LINEAGE, "UPDATE lineages SET visibility = ?2, on_failure = ?3, held = ?4, shared = ?5 WHERE id = ?1")     \
    SQL(SET_PRIOR, "INSERT INTO priors (id, key, maker, made) VALUES (?, ?, ?, ?)"                                     \
                   " ON CONFLICT (id) DO UPDATE SET maker = excluded.maker, made = excluded.made")                     \
    SQL(ADD_JOB, "INSERT INTO jobs (id, kind, state, stages, priority, flags, lineage, owner, key, digest, place,"     \
                 " prior, commit_number, submitted_ms, started_ms, finished_ms, token, class_word, concept, request)"  \
                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                               \
    SQL(SET_JOB, "UPDATE jobs SET state = ?2, stages = ?3, flags = ?4, place = ?5, commit_number = ?6,"                \
                 " started_ms = ?7, finished_ms = ?8 WHERE id = ?1")                                                   \
    SQL(SET_STAGE, "INSERT INTO stages (job, kind, epoch, attempts, losses, pauses, best_step, chain, granted_ms,"     \
                   " worker_group, seconds, line) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"                         \
                   " ON CONFLICT (job, kind) DO UPDATE SET epoch = excluded.epoch,"                                    \
                   " attempts = excluded.attempts, losses = excluded.losses, pauses = excluded.pauses,"                \
                   " best_step = excluded.best_step, chain = excluded.chain, granted_ms = excluded.granted_ms,"        \
                   " worker_group = excluded.worker_group, seconds = excluded.seconds, line = excluded.line")          \
    SQL(END_STAGE, "UPDATE stages SET epoch = ?3, attempts = ?4, losses = ?5, pauses = ?6, best_step = ?7, chain = ?8," \
                   " granted_ms = ?9, worker_group = ?10, seconds = ?11, line = ?12, outputs = ?13, report = ?14"      \
                   " WHERE job = ?1 AND kind = ?2")                                                                    \
    SQL(ADD_COMMIT, "INSERT INTO commits (lineage, number, hash, parent, job, committed_ms, seconds)"                  \
                    " VALUES (?, ?, ?, ?, ?, ?, ?)")                                                                   \
    SQL(SET_HEAD, "UPDATE lineages SET head = ?2 WHERE id = ?1")                                                       \
    SQL(ADD_EVENT, "INSERT INTO events (job, seq, type, stage, step, of, at_ms, text) VALUES (?, ?, ?, ?, ?, ?, ?, ?)") \
    SQL(ADD_AUDIT, "INSERT INTO audit (seq, at_ms, user, what) VALUES (?, ?, ?, ?)")                                   \
    SQL(SET_REQUEST, "UPDATE jobs SET flags = flags | 4, request = ?2 WHERE id = ?1")                                  \
    SQL(FIND_TEXT, "SELECT id FROM texts WHERE mark = ? AND text = ?")                                                 \
    SQL(ADD_TEXT, "INSERT INTO texts (mark, uses, text) VALUES (?, 0, ?)")                                             \
    SQL(USE_TEXT, "UPDATE texts SET uses = uses + ?2 WHERE id = ?1")                                                   \
    SQL(DROP_TEXT, "DELETE FROM texts WHERE id = ? AND uses <= 0")                                                     \
    SQL(TEXT, "SELECT text FROM texts WHERE id = ?")                                                                   \
    SQL(BATCH, "SELECT batch FROM clock")                                                                              \
    SQL(CLOCK, "SELECT job, epoch, seq, open FROM clock")                                                              \
    SQL(USERS, "SELECT id, name, role, team, key, revoked, weight, max_queued, max_running, max_bytes, added_ms,"      \
               " used_ms, bytes, done, failed, cancelled FROM users ORDER BY id")                                      \
    SQL(DRAINS, "SELECT name FROM drains")                                                                             \
    SQL(LINEAGES, "SELECT id, name, owner, key, digest, base_hash, created_ms, visibility, on_failure, held, shared"   \
                  " FROM lineages ORDER BY id")                                                                        \
    SQL(COMMITS, "SELECT c.lineage, c.number, c.hash, c.parent, c.job, c.committed_ms, c.seconds, j.token"             \
                 " FROM commits AS c JOIN jobs AS j ON j.id = c.job ORDER BY c.lineage, c.number")                     \
    SQL(PRIORS, "SELECT id, key, maker, made FROM priors ORDER BY id")                                                 \
    SQL(MARKED, "SELECT id FROM jobs WHERE flags & 10 AND id < ? ORDER BY id")                                         \
    SQL(JOBS, "SELECT " JOB_COLUMNS " WHERE id >= ? AND (state < 4 OR flags & 10) ORDER BY id")                        \
    SQL(JOB, "SELECT " JOB_COLUMNS " WHERE id = ?")                                                                        \
    SQL(JOB_BY_KEY, "SELECT " JOB_COLUMNS " WHERE substr(key, 1, 8) = substr(?1, 1, 8) AND state >= 4 AND key = ?1")       \
    SQL(STAGES, "SELECT " STAGE_COLUMNS " WHERE job = ? ORDER BY kind")                                                    \
    SQL(ASTRAY, "SELECT name FROM lineages AS l WHERE head IS NOT coalesce((SELECT hash FROM commits"                  \
                " WHERE lineage = l.id ORDER BY number DESC LIMIT 1), zeroblob(32))")                                  \
    SQL(UNNAMED, "SELECT c.job FROM commits AS c LEFT JOIN jobs AS j ON j.id = c.job WHERE j.kind IS NOT 1"            \
                 " OR j.lineage IS NOT c.lineage OR j.commit_number IS NOT c.number LIMIT 1")                          \
    SQL(BASE, "SELECT base_path, base_hash FROM lineages WHERE id = ?")                                                \
    SQL(REQUEST, "SELECT j.kind, j.key, l.name, j.token, j.class_word, j.concept, j.priority, p.key, j.request"        \
                 " FROM jobs AS j JOIN lineages AS l ON l.id = j.lineage"                                              \
                 " LEFT JOIN priors AS p ON p.id = j.prior WHERE j.id = ?")                                            \
    SQL(WORDS, "SELECT token, class_word, concept FROM jobs WHERE id = ?")                                             \
    SQL(OUTPUTS, "SELECT outputs, report FROM stages WHERE job = ? AND kind = ?")                                      \
    SQL(MAKER, "SELECT coalesce(p.maker, 0) FROM jobs AS j LEFT JOIN priors AS p ON p.id = j.prior WHERE j.id = ?")    \
    SQL(COMMIT_ROW, "SELECT parent, committed_ms, seconds FROM commits WHERE lineage = ? AND number = ?")              \
    SQL(SUBMITTED, "SELECT submitted_ms FROM jobs WHERE id = ?")                                                       \
    SQL(EVENTS, "SELECT seq, type, stage, step, of, at_ms, text FROM events WHERE job = ? AND seq > ?"                 \
                " ORDER BY seq LIMIT ?")                                                                               \
    SQL(AUDIT, "SELECT seq, at_ms, user, what FROM audit WHERE seq > ? ORDER BY seq LIMIT ?")                          \
    SQL(NAMED_IMAGES, "SELECT id, request FROM jobs WHERE id > ? AND kind = 1 AND flags & 4 = 0 ORDER BY id LIMIT ?")  \
    SQL(NAMED_OUTPUTS, "SELECT s.job, s.kind, s.outputs FROM stages AS s JOIN jobs AS j ON j.id = s.job"               \
                       " WHERE (s.job, s.kind) > (?, ?) AND j.flags & 4 = 0 ORDER BY s.job, s.kind LIMIT ?")           \
    SQL(PAGE_ENDED, "SELECT id FROM jobs WHERE owner = ? AND state = ? AND state >= 4 AND id < ?"                      \
                    " ORDER BY id DESC LIMIT ?")                                                                       \
    SQL(PAGE_MARKED, "SELECT id, state FROM jobs WHERE owner = ? AND flags & 10 AND id < ? AND state < 4"              \
                     " ORDER BY id DESC LIMIT ?")                                                                      \
    SQL(KEPT_OUTPUTS, "SELECT s.job, s.kind, s.outputs FROM stages AS s JOIN jobs AS j ON j.id = s.job"                \
                      " WHERE j.flags & 4 = 0 OR s.kind <> 5")                                                         \
    SQL(KEPT_COMMITS, "SELECT job, 4, hash FROM commits")                                                              \
    SQL(STATE, "SELECT state FROM jobs WHERE id = ?")                                                                  \
    SQL(PAGE_WALK, "SELECT id, owner, state, lineage FROM jobs WHERE id < ? ORDER BY id DESC")

#define JOB_COLUMNS                                                                                                       \
    "id, kind, state, stages, priority, flags, lineage, owner, key, digest, place, prior, commit_number,"              \
    " submitted_ms, started_ms, finished_ms, token, class_word, concept FROM jobs"
#define STAGE_COLUMNS                                                                                                     \
    "job, kind, epoch, attempts, losses, pauses, best_step, chain, granted_ms, worker_group, seconds, line"            \
    " FROM stages"
