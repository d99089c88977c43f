/* Any single flipped bit in what a coordinator keeps, of the database, its log and its mark, is refused or does no harm: what is
 * read then is what was written. Of a page of the database and of an object each bit is found, read or not. Every byte with FLIPS=all
 * (17 minutes of processor time, on all processors), each n-th with FLIPS=n, a share of them in `make test`.
 * timeout: 3600 */
#include "base/file.h"
#include "base/objects.h"
#include "coordinator/store/db.h"
#include "tests/store/support/office.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[300];
static struct err e;

/* ---- a store with something of everything, left as a kill leaves it ---- */

static const char *const names[] = {"coordinator.db", "coordinator.db-wal", "coordinator.db-mark"};
enum { FILES = sizeof names / sizeof *names };
static struct bytes whole[FILES];

static const char *at(const char *name)
{
    static char path[2][PATH_MAX];
    static int turn;
    char *out = path[turn++ % 2];

    snprintf(out, PATH_MAX, "%s/%s", folder, name);
    return out;
}

static void work_a_little(struct office *o, uint64_t from, uint64_t to)
{
    struct message m = office_lineage("pets"), r;

    office_ask(o, &m, (struct hash){{0}}, &r, &e);
    for (uint64_t n = from; n <= to; n++) {
        m = office_learn("pets", n, n % 2 ? 15 : WANT_SCORE);
        office_ask(o, &m, (struct hash){{0}}, &r, &e);
    }
    for (int i = 0; i < 9; i++) office_work(o, 1, i % 4 == 3 ? ERR_IO : OK, &r, &e);
}

static int make(void)
{
    struct office o;

    if (!is_code(office_open(&o, at("coordinator.db"), &e), OK, &e, "a store is made")) return 0;
    work_a_little(&o, 1, 4);
    o.store->tidy_pages = 1;
    store_tidy(o.store);
    work_a_little(&o, 5, 7);
    for (int i = 0; i < FILES; i++) {
        if (!is_code(file_read(at(names[i]), 1 << 24, &whole[i], &e), OK, &e, "%s is there",
                     names[i]))
            return 0;
        note("%s: %zu bytes", names[i], whole[i].n);
    }
    office_close(&o);
    return 1;
}

/* ---- all that can be read, as one hash ---- */

static void add(struct hash_stream *s, const void *data, size_t n)
{
    hash_add(s, &n, sizeof n);
    hash_add(s, data, n);
}

static enum code read_job(struct store *s, uint64_t id, struct arena *a, struct hash_stream *h)
{
    struct event_rows events = {0};
    struct slice request = {0};
    struct store_job job;
    struct hashes out;
    const char *report;
    enum code rc = store_job(s, id, a, &job, &e);

    if (rc) return rc;
    add(h, &job.past.job.state, sizeof job.past.job.state);
    add(h, job.past.job.key, CORE_KEY);
    add(h, job.class_word, strlen(job.class_word));
    if ((rc = store_request(s, id, 0, a, NULL, &request, &e))) return rc;
    add(h, request.data, request.n);
    if ((rc = store_events(s, id, 0, a, &events, &e))) return rc;
    for (size_t i = 0; i < events.n; i++) add(h, events.v[i].text, strlen(events.v[i].text));
    for (int k = 1; k < 7; k++) {
        rc = store_outputs(s, id, (enum stage_kind)k, a, &out, &report, &e);
        if (rc == ERR_NOT_FOUND) continue;
        if (rc) return rc;
        add(h, out.v, out.n * HASH_BYTES);
        add(h, report, strlen(report));
    }
    return OK;
}

static enum code read_core(const struct core *c, struct hash_stream *h)
{
    const struct core_lineage *l = core_lineage_named(c, "pets");

    if (!l) return ERR_NOT_FOUND;
    add(h, &l->head, sizeof l->head);
    for (size_t i = 0; i < l->n_commits; i++) add(h, &l->commits[i].hash, HASH_BYTES);
    for (uint64_t id = 1; id <= core_last_job(c); id++) {
        const struct core_job *j = core_job(c, id);
        if (j) add(h, &j->stages, sizeof j->stages);
    }
    return OK;
}

static enum code read_all(struct hash *out)
{
    struct office o;
    struct arena a = {0};
    struct hash_stream *h = hash_begin();
    enum code rc = office_open(&o, at("coordinator.db"), &e);

    if (!rc) rc = read_core(o.core, h);
    for (uint64_t id = 1; !rc && id <= core_last_job(o.core); id++)
        rc = read_job(o.store, id, &a, h);
    *out = hash_end(h);
    if (o.store) sqlite3_db_config(o.store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
    office_close(&o);
    arena_fini(&a);
    return rc;
}

/* ---- flips ---- */

static void put_back(void)
{
    unlink(at("coordinator.db-shm"));
    for (int i = 0; i < FILES; i++) {
        FILE *f = fopen(at(names[i]), "w");
        if (!f || fwrite(whole[i].data, 1, whole[i].n, f) != whole[i].n)
            note("cannot write %s", names[i]);
        if (f) fclose(f);
    }
}

struct tally {
    long tried, refused, unnamed, harmless, served;
};

static void flip(int file, size_t byte, int bit, struct hash want, struct tally *t)
{
    struct hash got;

    whole[file].data[byte] ^= (uint8_t)(1 << bit);
    put_back();
    enum code rc = read_all(&got);
    t->tried++;
    t->refused += rc != OK;
    t->unnamed += rc && (rc != ERR_CORRUPT || !strstr(e.text, "coordinator.db"));
    t->harmless += !rc && hash_equal(got, want);
    t->served += !rc && !hash_equal(got, want);
    if (!rc && !hash_equal(got, want))
        note("%s: bit %d of byte %zu is served", names[file], bit, byte);
    if (rc && (rc != ERR_CORRUPT || !strstr(e.text, "coordinator.db")))
        note("%s: bit %d of byte %zu: %s: %s", names[file], bit, byte, err_name(rc), e.text);
    whole[file].data[byte] ^= (uint8_t)(1 << bit);
}

static void remove_files(void)
{
    for (int i = 0; i < FILES; i++) unlink(at(names[i]));
    unlink(at("coordinator.db-shm"));
    rmdir(folder);
}

/* One of n processes, in a folder of its own. */
static pid_t begin_share(int file, size_t step, long i, long n, struct hash want, struct tally *t)
{
    pid_t pid = fork();

    if (pid) return pid;
    snprintf(folder, sizeof folder, "/dev/shm/flips-%d", (int)getpid());
    mkdir(folder, 0700);
    for (size_t b = step / 2 + (size_t)i * step; b < whole[file].n; b += (size_t)n * step)
        flip(file, b, (int)(b % 8), want, t);
    remove_files();
    fflush(stdout);
    _exit(0);
}

static struct tally share_out(int file, size_t step, struct hash want)
{
    enum { MOST = 64 };
    long n = sysconf(_SC_NPROCESSORS_ONLN), well = 0;
    struct tally sum = {0}, *of = mmap(NULL, MOST * sizeof *of, PROT_READ | PROT_WRITE,
                                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[MOST];
    int status;

    if (of == MAP_FAILED) return sum;
    n = n < 1 ? 1 : n > MOST ? MOST : n;
    fflush(stdout);
    for (long i = 0; i < n; i++) pids[i] = begin_share(file, step, i, n, want, &of[i]);
    for (long i = 0; i < n; i++) {
        well += pids[i] > 0 && waitpid(pids[i], &status, 0) == pids[i] && status == 0;
        sum.tried += of[i].tried;
        sum.refused += of[i].refused;
        sum.unnamed += of[i].unnamed;
        sum.harmless += of[i].harmless;
        sum.served += of[i].served;
    }
    munmap(of, MOST * sizeof *of);
    is_int(well, n, "every share of %s came to its end", names[file]);
    return sum;
}

static void flips(int file, size_t step, struct hash want)
{
    struct tally t = share_out(file, step, want);

    is_int((long)((whole[file].n - step / 2 + step - 1) / step), t.tried,
           "every byte of it that was meant");
    is_int(t.served, 0, "%s: of %ld flipped bits none is served", names[file], t.tried);
    is_int(t.unnamed, 0, "%ld are refused, each as damage, with the file named", t.refused);
    is_int(t.harmless, t.tried - t.refused, "with the other %ld all is read as it was", t.harmless);
}

/* Also in pages that nobody reads: what fsck goes by. */
static void each_bit_of_pages(size_t step)
{
    struct bytes *b = &whole[0];
    long tried = 0, found = 0;

    for (size_t bit = 0; bit < 8 * b->n; bit += step) {
        uint8_t *page = b->data + bit / 8 / VFS_PAGE * VFS_PAGE;
        b->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        found += !vfs_page_fits(page, (uint32_t)(bit / 8 / VFS_PAGE) + 1);
        b->data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        tried++;
    }
    is_int(found, tried, "of %ld flipped bits in pages of the database each is found", tried);
}

/* ---- objects ---- */

static void each_bit_of_an_object(size_t step)
{
    uint8_t data[2000], other[] = "another";
    char path[PATH_MAX], hex[HASH_TEXT];
    struct objects *o;
    struct hash h, h2;
    struct bytes b;
    long tried = 0, refused = 0, rest = 0;

    for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 2654435761u >> 13);
    if (!is_code(objects_open(&o, tap_folder(), &e), OK, &e, "objects")) return;
    objects_put(o, data, sizeof data, &h, &e);
    objects_put(o, other, sizeof other, &h2, &e);
    objects_path(o, h, path, sizeof path);
    hash_text(h, hex);
    chmod(path, 0600);
    for (size_t bit = 0; bit < 8 * sizeof data; bit += step) {
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        uint8_t byte = data[bit / 8] ^ (uint8_t)(1 << bit % 8);
        if (fd < 0 || pwrite(fd, &byte, 1, (off_t)(bit / 8)) != 1) note("%s is not broken", path);
        tried++;
        refused += objects_get(o, h, 1 << 20, &b, &e) == ERR_CORRUPT && strstr(e.text, hex);
        if (objects_get(o, h2, 1 << 20, &b, &e) == OK) {
            rest++;
            free(b.data);
        }
        if (fd < 0 || pwrite(fd, &data[bit / 8], 1, (off_t)(bit / 8)) != 1) note("nor mended");
        if (fd >= 0) close(fd);
    }
    is_int(refused, tried, "of %ld flipped bits in an object each is refused, with its name",
           tried);
    is_int(rest, tried, "and another one is served beside it");
    objects_close(o);
}

int main(void)
{
    const char *all = getenv("FLIPS");
    struct hash want, again;

    snprintf(folder, sizeof folder, "/dev/shm/flips-%d", (int)getpid());
    mkdir(folder, 0700);
    if (!make()) return done_testing();
    put_back();
    is_code(read_all(&want), OK, &e, "everything is read");
    put_back();
    read_all(&again);
    ok(hash_equal(want, again), "twice the same");
    each_bit_of_pages(all ? 1 : 101);
    each_bit_of_an_object(all ? 1 : 31);
    size_t step = !all ? 0 : strcmp(all, "all") == 0 ? 1 : (size_t)atol(all);
    for (int i = 0; i < FILES; i++) flips(i, i == 2 ? 1 : step ? step : whole[i].n / 60 + 1, want);
    for (int i = 0; i < FILES; i++) free(whole[i].data);
    remove_files();
    return done_testing();
}
