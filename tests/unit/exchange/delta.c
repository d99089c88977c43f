/* delta: what is written is read and proved; every lie is refused. */
#include "pipeline/exchange/delta.h"
#include "tests/unit/exchange/support/study.h"

#include <jansson.h>

static const char *const TOKENS[] = {"<rex>", "<zig>", "<ink>"};
static struct err e;
static struct study s;

static char *exported(const char *name)
{
    static char path[1100];
    snprintf(path, sizeof path, "%s/pets.engram.safetensors", inside(name));
    return path;
}

static void comes_back(void)
{
    struct delta *d;
    is_code(study_export(&s, "all", delta_plan, &e), OK, &e, "a lineage is exported");
    if (!is_code(delta_open(&d, exported("all"), &e), OK, &e, "it opens")) return;
    int wrong = 0;
    for (int i = 0; i < delta_count(d); i++) {
        const struct delta_concept *c = delta_at(d, i);
        wrong += c->number != i + 1 || strcmp(c->token, TOKENS[i]) != 0 ||
                 !hash_equal(c->commit, s.concept[i].commit) ||
                 !hash_equal(c->parent, s.concept[i].parent) ||
                 c->n_neurons != s.concept[i].n_neurons;
    }
    is_int(delta_count(d), 3, "with every commit");
    is_int(wrong, 0, "as it is");
    ok(hash_equal(delta_base(d), s.model->hash) && delta_neurons(d) == s.model->kv.n_weights &&
           !strcmp(delta_lineage(d), "pets"),
       "and with what they are commits of");
    delta_close(d);
    s.x.only = "<zig>";
    is_code(study_export(&s, "only", delta_plan, &e), OK, &e, "one concept alone is exported");
    s.x.only = NULL;
    if (!is_code(delta_open(&d, exported("only"), &e), OK, &e, "it opens")) return;
    ok(delta_count(d) == 1 && delta_at(d, 0)->number == 2 &&
           hash_equal(delta_at(d, 0)->parent, s.concept[0].commit),
       "it knows its place");
    delta_close(d);
}

static void every_byte_counts(void)
{
    struct bytes b;
    struct delta *d;
    uint64_t head = 0;
    int missed = 0, tried = 0;
    if (file_read(exported("all"), 1 << 24, &b, &e)) return;
    for (int i = 0; i < 8; i++) head |= (uint64_t)b.data[i] << (8 * i);
    for (size_t at = 8 + head; at < b.n; at += 211, tried++) {
        b.data[at] ^= 0x10;
        file_write(inside("bent"), b.data, b.n, &e);
        missed += delta_open(&d, inside("bent"), &e) != ERR_CORRUPT;
        delta_close(d);
        b.data[at] ^= 0x10;
    }
    is_int(missed, 0, "a bit that is flipped in the data is found, %d of them", tried);
    missed = 0;
    for (size_t n = 0; n < b.n; n += b.n / 40) {
        file_write(inside("short"), b.data, n, &e);
        missed += delta_open(&d, inside("short"), &e) == OK;
        delta_close(d);
    }
    is_int(missed, 0, "a file that is cut short is refused");
    free(b.data);
}

/* The file again, with another header. */
static enum code with_header(const char *key, const char *value)
{
    struct safetensors *f;
    struct stored_entry entry[16];
    struct delta *d = NULL;
    static const char *const keys[] = {"engram.format",  "engram.lineage", "engram.base",
                                       "engram.neurons", "engram.width",   "engram.concepts"};
    const char *metadata[13] = {0};
    int n = 0;
    if (safetensors_open(&f, exported("all"), &e)) return ERR_INTERNAL;
    for (size_t i = 0; i < safetensors_count(f); i++) {
        const struct stored *t = safetensors_at(f, i);
        entry[i] = (struct stored_entry){t->name, t->dtype, t->rank, {t->dim[0]}, t->data};
    }
    for (int i = 0; i < 6; i++) {
        const char *v = strcmp(keys[i], key) ? safetensors_metadata(f, keys[i]) : value;
        if (!v) continue;
        metadata[n++] = keys[i];
        metadata[n++] = v;
    }
    enum code rc = safetensors_write(inside("lies"), entry, safetensors_count(f), metadata, &e);
    safetensors_close(f);
    if (!rc) rc = delta_open(&d, inside("lies"), &e);
    delta_close(d);
    return rc;
}

/* engram.concepts with one member of the second entry changed; value NULL: without it. */
static enum code with_member(const char *member, const char *value)
{
    struct safetensors *f;
    if (safetensors_open(&f, exported("all"), &e)) return ERR_INTERNAL;
    json_t *list = json_loads(safetensors_metadata(f, "engram.concepts"), 0, NULL),
           *entry = json_array_get(list, 1);
    safetensors_close(f);
    if (value) json_object_set_new(entry, member, json_loads(value, JSON_DECODE_ANY, NULL));
    else json_object_del(entry, member);
    char *text = json_dumps(list, JSON_COMPACT);
    enum code rc = with_header("engram.concepts", text);
    free(text);
    json_decref(list);
    return rc;
}

static void lies_are_refused(void)
{
    static const struct {
        const char *key, *value, *says;
        enum code code;
    } header[] = {
        {"engram.format", NULL, "not a sparse delta", ERR_INPUT},
        {"engram.format", "engram delta 2", "reads \"engram delta 1\"", ERR_INPUT},
        {"engram.lineage", "a\033[2J", "engram.lineage", ERR_CORRUPT},
        {"engram.base", NULL, "engram.base", ERR_CORRUPT},
        {"engram.base", "00", "engram.base", ERR_CORRUPT},
        {"engram.base", "0000000000000000000000000000000000000000000000000000000000000001",
         "hashes to", ERR_CORRUPT},
        {"engram.neurons", NULL, "engram.neurons", ERR_CORRUPT},
        {"engram.neurons", "-5", "engram.neurons", ERR_CORRUPT},
        {"engram.neurons", "99999999999999999999", "engram.neurons", ERR_CORRUPT},
        {"engram.neurons", "4294967295", "impossible|mask, values or row", ERR_CORRUPT},
        {"engram.neurons", "1", "impossible", ERR_CORRUPT},
        {"engram.width", "7", "mask, values or row", ERR_CORRUPT},
        {"engram.concepts", NULL, "engram.concepts", ERR_CORRUPT},
        {"engram.concepts", "[]", "three tensors", ERR_CORRUPT},
        {"engram.concepts", "{}", "no list", ERR_CORRUPT},
        {"engram.concepts", "[1,2,3]", "member", ERR_CORRUPT},
        {"engram.concepts", "[[[[", "engram.concepts", ERR_CORRUPT},
    };
    static const struct {
        const char *member, *value;
    } member[] = {
        {"number", "3"},           {"number", "0"},        {"number", "1"},
        {"number", "\"2\""},       {"number", "9e99"},     {"commit", NULL},
        {"commit", "\"ab\""},      {"parent", NULL},       {"parent", "7"},
        {"token", "\"<Rex>\""},    {"token", "\"<a b>\""}, {"token", "\"<zag>\""},
        {"class", "\"d\\u001b\""}, {"class", "\"cat\""},   {"kind", "\"planet\""},
        {"neurons", "-1"},         {"neurons", "5"},       {"made", NULL},
        {"made", "\"{}\""},        {"other", "1"},
    };
    is_code(with_header("none", NULL), OK, &e, "the header written again is no lie");
    for (size_t i = 0; i < sizeof header / sizeof *header; i++) {
        is_code(with_header(header[i].key, header[i].value), header[i].code, &e,
                "%s %.24s is refused", header[i].key,
                header[i].value ? header[i].value : "left out");
        if (!strchr(header[i].says, '|')) says(e, header[i].says, "  with its reason");
    }
    for (size_t i = 0; i < sizeof member / sizeof *member; i++)
        is_code(with_member(member[i].member, member[i].value), ERR_CORRUPT, &e,
                "a concept with %s %s is refused", member[i].member,
                member[i].value ? member[i].value : "left out");
}

static void survives_no_memory(void)
{
    enum code rc = ERR_NOMEM;
    long n;
    for (n = 1; n < 500 && rc; n++) {
        struct delta *d = NULL;
        arena_fail_after(n);
        rc = delta_open(&d, exported("all"), &e);
        arena_fail_after(0);
        delta_close(d);
        if (rc && rc != ERR_NOMEM) break;
    }
    ok(!rc && n > 20, "each of %ld allocations may fail", n - 1);
}

int main(void)
{
    study_open(&s, "tests/golden/micro/model", 3, TOKENS);
    comes_back();
    every_byte_counts();
    lies_are_refused();
    survives_no_memory();
    study_close(&s);
    return done_testing();
}
