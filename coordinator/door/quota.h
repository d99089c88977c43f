/* quota.h - how much of one key a door passes on, so that nobody's flood is another one's wait.
 *
 *     switch (quota_ask(q, key, now_ms)) { case QUOTA_PASS: ...; case QUOTA_REFUSE: ...; case QUOTA_IGNORE: drop it; }
 *     if (quota_begin(q, &peer, id, bytes, now_ms) != QUOTA_PASS) refuse;
 *     ... when the answer comes:
 *     if (quota_end(q, &peer, id, bytes)) pass it on;      // else nobody waits for it
 *
 * Per key: requests a second, bytes a second (of answers, which cost the door memory), requests without an answer. For all keys
 * together: bytes on the way to the coordinator, which is what a door can make the coordinator keep. A refusal costs, too, so there
 * are a few of them a second and then silence. Not thread-safe. O(1).
 */
#ifndef COORDINATOR_DOOR_QUOTA_H
#define COORDINATOR_DOOR_QUOTA_H

#include "proto/link.h"

struct quota;

struct quota_settings {
    double per_second;                /* requests of one key, on average; twice as many at once after a quiet second */
    double bytes_per_second;          /* of answers to one key; twice as many at once */
    size_t outstanding;               /* requests of one key without an answer */
    size_t bytes_under_way;           /* of all keys; one message always may */
};

enum quota_verdict { QUOTA_PASS, QUOTA_REFUSE, QUOTA_IGNORE };

struct quota *quota_make(const struct quota_settings *s);      /* NULL: out of memory */
void quota_free(struct quota *q);

/* One message of this key has come. O(1). */
enum quota_verdict quota_ask(struct quota *q, struct hash key, int64_t now_ms);

/* It goes on its way. The same request again (same peer, same id) does not count twice. */
enum quota_verdict quota_begin(struct quota *q, const struct link_peer *peer, uint64_t id, size_t bytes, int64_t now_ms);

/* Its answer of so many bytes has come. The peer's key is not looked at, but filled in. 0: no such request is outstanding. */
int quota_end(struct quota *q, struct link_peer *peer, uint64_t id, size_t bytes, int64_t now_ms);

/* The message that quota_ask let pass counts as so many more: it is one that costs the coordinator more than others. */
void quota_weigh(struct quota *q, struct hash key, double more, int64_t now_ms);

/* An answer of so many bytes that the door gave itself. */
void quota_charge(struct quota *q, struct hash key, size_t bytes, int64_t now_ms);

/* Requests that were never answered (the coordinator restarted) count for so long. */
enum { QUOTA_FORGET_MS = 30000 };

#endif
