/* How much of one key a door passes on: virtual time, no socket. */
#include "coordinator/door/quota.h"
#include "tests/tap.h"

static struct hash key(int i)
{
    return hash_bytes(&i, sizeof i);
}

static struct link_peer peer(int i, const char *route)
{
    struct link_peer p = {.n = (uint8_t)strlen(route), .key = key(i)};
    memcpy(p.id, route, p.n);
    return p;
}

/* Messages of one key that pass between two times, one each ms-th. */
static int passed(struct quota *q, int i, int64_t from_ms, int64_t to_ms, int per_ms)
{
    int n = 0;
    for (int64_t t = from_ms; t < to_ms; t++)
        for (int k = 0; k < per_ms; k++) n += quota_ask(q, key(i), t) == QUOTA_PASS;
    return n;
}

static void rate(void)
{
    struct quota_settings s = {
        .per_second = 100, .bytes_per_second = 1000, .outstanding = 3, .bytes_under_way = 10000};
    struct quota *q = quota_make(&s);
    int refused = 0, ignored = 0;

    is_int(passed(q, 1, 1000, 1001, 1000), 200, "after a quiet time twice the rate passes at once");
    near(passed(q, 1, 1001, 2001, 50), 100, 1, "then the rate");
    is_int(passed(q, 2, 2000, 3000, 1) >= 290, 1, "another key is not touched by that");
    for (int i = 0; i < 1000; i++) {
        enum quota_verdict v = quota_ask(q, key(1), 2001);
        refused += v == QUOTA_REFUSE;
        ignored += v == QUOTA_IGNORE;
    }
    ok(refused <= 40 && ignored >= 960, "a flood is told so %d times, and ignored %d times",
       refused, ignored);
    is_int(passed(q, 1, 60000, 60001, 1000), 200, "a minute later all is forgiven");
    quota_free(q);
}

static void weight(void)
{
    struct quota_settings s = {
        .per_second = 100, .bytes_per_second = 1000, .outstanding = 3, .bytes_under_way = 10000};
    struct quota *q = quota_make(&s);
    int n = 0;

    for (int i = 0; i < 1000; i++) {
        if (quota_ask(q, key(1), 1000) != QUOTA_PASS) continue;
        quota_weigh(q, key(1), 9, 1000);
        n++;
    }
    is_int(n, 20, "what counts for ten passes a tenth as often");
    quota_ask(q, key(2), 1000);
    quota_weigh(q, key(2), 499, 1000);
    is_int(quota_ask(q, key(2), 3900) == QUOTA_PASS, 0, "and may be paid afterwards");
    is_int(quota_ask(q, key(2), 4100), QUOTA_PASS, "for as long as it takes");
    quota_free(q);
}

static void under_way(void)
{
    struct quota_settings s = {
        .per_second = 100, .bytes_per_second = 1000, .outstanding = 3, .bytes_under_way = 10000};
    struct quota *q = quota_make(&s);
    struct link_peer a = peer(1, "a"), b = peer(1, "b"), c = peer(2, "c");

    for (uint64_t id = 1; id <= 3; id++)
        is_int(quota_begin(q, &a, id, 10, 1000), QUOTA_PASS, "request %d goes", (int)id);
    is_int(quota_begin(q, &b, 1, 10, 1000), QUOTA_REFUSE,
           "a fourth one of the same key does not, on another connection neither");
    is_int(quota_begin(q, &a, 2, 10, 1000), QUOTA_PASS, "one that is said again does");
    is_int(quota_begin(q, &c, 1, 10, 1000), QUOTA_PASS, "so does another key's");
    is_int(quota_end(q, &b, 2, 5, 1000), 0, "an answer that nobody waits for is none");
    is_int(quota_end(q, &a, 2, 5, 1000), 1, "an answer makes room");
    is_int(quota_end(q, &a, 2, 5, 1000), 0, "once");
    is_int(quota_begin(q, &b, 1, 10, 1000), QUOTA_PASS, "for the next");
    is_int(quota_begin(q, &a, 9, 10, 1000 + QUOTA_FORGET_MS + 1), QUOTA_PASS,
           "what is never answered is forgotten");
    is_int(quota_end(q, &a, 1, 5, 1000), 0, "and its answer too late");
    quota_free(q);
}

static void bytes(void)
{
    struct quota_settings s = {
        .per_second = 1e6, .bytes_per_second = 1000, .outstanding = 100, .bytes_under_way = 10000};
    struct quota *q = quota_make(&s);
    struct link_peer a = peer(1, "a"), b = peer(2, "b");

    is_int(quota_begin(q, &a, 1, 1000000, 1000), QUOTA_PASS,
           "one message may be larger than the limit");
    is_int(quota_begin(q, &b, 1, 10, 1000), QUOTA_REFUSE, "nothing goes beside it");
    is_int(quota_end(q, &a, 1, 5000, 1000), 1, "its answer is large");
    is_int(quota_begin(q, &b, 1, 10, 1000), QUOTA_PASS, "others go on");
    is_int(quota_ask(q, key(1), 1000) == QUOTA_PASS, 0, "whoever had so much waits");
    is_int(quota_ask(q, key(1), 3500) == QUOTA_PASS, 0, "until it is paid");
    is_int(quota_ask(q, key(1), 4100), QUOTA_PASS, "at the rate of its bytes");
    quota_free(q);
}

static void many_keys(void)
{
    struct quota_settings s = {
        .per_second = 10, .bytes_per_second = 1000, .outstanding = 3, .bytes_under_way = 1 << 30};
    struct quota *q = quota_make(&s);
    int n = 0;

    for (int i = 0; i < 10000; i++) n += quota_ask(q, key(i), 1000) == QUOTA_PASS;
    is_int(n, 2048, "thousands of keys at once are too many");
    for (int i = 0; i < 2000; i++)
        n += quota_ask(q, key(20000 + i), 1000 + 2 * QUOTA_FORGET_MS) == QUOTA_PASS;
    is_int(n, 4048, "later there is room for others");
    quota_free(q);
}

int main(void)
{
    rate();
    weight();
    under_way();
    bytes();
    many_keys();
    return done_testing();
}
