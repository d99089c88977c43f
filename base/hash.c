/* hash.c - SHA-256 by OpenSSL.
 *
 * A process without SHA-256 can name nothing and check nothing, and a wrong name is worse than no process: where the
 * library refuses (a crippled OpenSSL configuration, no memory for its context) this file aborts.
 */
#include "base/hash.h"
#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 256 << 10 };

struct hash_stream {
    EVP_MD_CTX *context; /* owned */
};

static void demand(int worked)
{
    if (worked) return;
    fputs("OpenSSL refuses to compute SHA-256; check its configuration file\n", stderr);
    abort();
}

/* Looked for once: OpenSSL would look it up by its name for every hash, which costs as much as one of a hundred bytes. */
static const EVP_MD *sha256;
static pthread_once_t looked_for = PTHREAD_ONCE_INIT;

static void look_for(void)
{
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    demand(sha256 != NULL);
}

static const EVP_MD *sha256_method(void)
{
    demand(pthread_once(&looked_for, look_for) == 0);
    return sha256;
}

struct hash hash_bytes(const void *data, size_t bytes)
{
    struct hash h;
    demand(EVP_Digest(data, bytes, h.v, NULL, sha256_method(), NULL));
    return h;
}

struct hash_stream *hash_begin(void)
{
    struct hash_stream *s = mem_alloc(1, sizeof *s);
    if (!s) return NULL;
    s->context = EVP_MD_CTX_new();
    if (!s->context) {
        free(s);
        return NULL;
    }
    demand(EVP_DigestInit_ex(s->context, sha256_method(), NULL));
    return s;
}

void hash_add(struct hash_stream *s, const void *data, size_t bytes)
{
    demand(EVP_DigestUpdate(s->context, data, bytes));
}

struct hash hash_end(struct hash_stream *s)
{
    struct hash h = {{0}};
    if (!s) return h;
    demand(EVP_DigestFinal_ex(s->context, h.v, NULL));
    EVP_MD_CTX_free(s->context);
    free(s);
    return h;
}

static enum code hash_descriptor(int fd, struct hash_stream *s, unsigned char *piece,
                                 uint64_t *total, const char *path, struct err *e)
{
    for (;;) {
        ssize_t n = read(fd, piece, PIECE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_errno(e, "read %s", path);
        if (n == 0) return OK;
        hash_add(s, piece, (size_t)n);
        *total += (uint64_t)n;
    }
}

enum code hash_file(const char *path, struct hash *out, uint64_t *bytes, struct err *e)
{
    enum code rc = ERR_NOMEM;
    uint64_t total = 0;
    unsigned char *piece = NULL;
    struct hash_stream *s = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return err_errno(e, "open %s", path);
    piece = mem_alloc(1, PIECE);
    s = hash_begin();
    if (!piece || !s) {
        err_set(e, rc, "no memory to hash %s", path);
        goto end_stream;
    }
    if ((rc = hash_descriptor(fd, s, piece, &total, path, e))) goto end_stream;
    *out = hash_end(s);
    s = NULL;
    if (bytes) *bytes = total;
end_stream:
    hash_end(s);
    free(piece);
    close(fd);
    return rc;
}

char *hash_text(struct hash h, char out[HASH_TEXT])
{
    static const char digit[] = "0123456789abcdef";
    for (int i = 0; i < HASH_BYTES; i++) {
        out[2 * i] = digit[h.v[i] >> 4];
        out[2 * i + 1] = digit[h.v[i] & 15];
    }
    out[HASH_TEXT - 1] = 0;
    return out;
}

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

enum code hash_parse(const char *text, struct hash *out, struct err *e)
{
    struct hash h;
    size_t n = strlen(text);
    if (n != HASH_TEXT - 1)
        return err_set(e, ERR_INPUT, "'%.80s' is not a hash: it has %zu characters, not 64", text,
                       n);
    for (size_t i = 0; i < HASH_BYTES; i++) {
        int high = digit_value(text[2 * i]), low = digit_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return err_set(e, ERR_INPUT, "'%s' is not a hash: only 0-9 and a-f may stand in it",
                           text);
        h.v[i] = (uint8_t)(high << 4 | low);
    }
    *out = h;
    return OK;
}

int hash_equal(struct hash a, struct hash b)
{
    return memcmp(a.v, b.v, HASH_BYTES) == 0;
}

int hash_is_zero(struct hash h)
{
    return hash_equal(h, (struct hash){{0}});
}
