/* keys.c - CURVE keys through ZeroMQ's own helpers; files through base. */
#include "proto/keys.h"

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zmq.h>

enum { FILE_MOST = 4096, TEXT_MOST = 4200 };

char *keys_text(struct hash key, char out[KEY_TEXT])
{
    zmq_z85_encode(out, key.v, HASH_BYTES);
    return out;
}

/* Z85 has characters that decode to nothing and texts that overflow: only what encodes to itself is a key. */
static int read_text(const char *text, struct hash *key)
{
    char again[KEY_TEXT];

    if (strlen(text) == HASH_TEXT - 1) return hash_parse(text, key, NULL) == OK;
    return strlen(text) == KEY_TEXT - 1 && zmq_z85_decode(key->v, text) &&
           strcmp(keys_text(*key, again), text) == 0;
}

/* The one word of a file. */
static enum code read_file(const char *path, struct hash *key, struct err *e)
{
    struct bytes b = {0};
    enum code rc = file_read(path, FILE_MOST, &b, e);

    if (rc) return rc;
    ((char *)b.data)[strcspn((char *)b.data, " \t\r\n")] = '\0';
    if (!read_text((char *)b.data, key))
        rc = err_set(e, ERR_INPUT,
                     "%s holds no key: 40 characters of Z85 or 64 hex digits are expected", path);
    memset(b.data, 0, b.n);
    free(b.data);
    return rc;
}

enum code keys_parse(const char *text, struct hash *key, struct err *e)
{
    if (read_text(text, key)) return OK;
    if (!file_exists(text))
        return err_set(e, ERR_INPUT,
                       "\"%s\" is no key and no file: a key has 40 characters of Z85 or 64 hex "
                       "digits",
                       text);
    return read_file(text, key, e);
}

static enum code derive(struct keys *k, struct err *e)
{
    char secret[KEY_TEXT], public[KEY_TEXT];
    int failed = zmq_curve_public(public, keys_text(k->secret, secret));

    memset(secret, 0, sizeof secret);
    if (failed || !zmq_z85_decode(k->public.v, public))
        return err_set(e, ERR_ENVIRONMENT, "this machine's ZeroMQ knows no CURVE");
    return OK;
}

enum code keys_make(struct keys *k, struct err *e)
{
    char public[KEY_TEXT], secret[KEY_TEXT];
    int failed = zmq_curve_keypair(public, secret);

    if (failed || !zmq_z85_decode(k->public.v, public) || !zmq_z85_decode(k->secret.v, secret))
        return err_set(e, ERR_ENVIRONMENT, "this machine's ZeroMQ knows no CURVE");
    memset(secret, 0, sizeof secret);
    return OK;
}

enum code keys_write(const struct keys *k, const char *path, struct err *e)
{
    char text[KEY_TEXT + 1], pub[TEXT_MOST];
    enum code rc;

    if (snprintf(pub, sizeof pub, "%s.pub", path) >= (int)sizeof pub)
        return err_set(e, ERR_USAGE, "key %s: the path is too long", path);
    if (file_exists(path))
        return err_set(e, ERR_EXISTS, "%s is there already: move it, or choose another name", path);
    keys_text(k->secret, text);
    strcat(text, "\n");
    rc = file_write_private(path, text, strlen(text), e);
    keys_text(k->public, text);
    strcat(text, "\n");
    return rc ? rc : file_write(pub, text, strlen(text), e);
}

enum code keys_read(struct keys *k, const char *path, struct err *e)
{
    struct stat st;
    enum code rc;

    if (stat(path, &st)) return err_errno(e, "key %s", path);
    if (st.st_mode & 077)
        return err_set(e, ERR_DENIED, "key %s can be read by others: chmod 600 '%s'", path, path);
    if ((rc = read_file(path, &k->secret, e))) return rc;
    return derive(k, e);
}
