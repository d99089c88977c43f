-- rung_2_uses.sql - what schema version 1 has no place for. (The audit goes with the way down; it stays in the copy beside.)
SELECT 'user ' || name || ' has a key, a group, a quota, a weight or is revoked' FROM users
WHERE key <> zeroblob(32) OR team <> '' OR revoked OR weight <> 1 OR max_queued OR max_running OR max_bytes OR role = 3
UNION ALL
SELECT 'lineage ' || name || ' is shared, public, held or waits for failed jobs' FROM lineages
WHERE visibility OR on_failure OR held OR shared <> ''
UNION ALL
SELECT 'job ' || id || ' has a priority, is held, forgotten or was retried' FROM jobs WHERE priority OR flags & 7 OR place
UNION ALL
SELECT 'worker groups are drained: ' || name FROM drains
