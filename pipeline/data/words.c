/* words.c - libunistring says what a character is; what may stay is decided here. */
#include "pipeline/data/words.h"

#include "base/file.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unictype.h>
#include <unistr.h>

#define FILE_BYTES (1u << 20) /* larger files are no captions, and are not read to find out */

/* Line and column (in characters, from 1) of a byte, for errors. */
static enum code refuse(const char *name, const uint8_t *text, const uint8_t *at, const char *what,
                        struct err *e)
{
    int line = 1, column = 1;
    for (; text < at; text++) {
        if (*text == '\n') {
            line++;
            column = 1;
        } else if ((*text & 0xc0) != 0x80) column++;
    }
    return err_set(e, ERR_INPUT, "%s:%d:%d: %s", name, line, column, what);
}

static int is_space(ucs4_t c)
{
    return (c >= 9 && c <= 13) || uc_is_property_white_space(c);
}

enum code words_clean(const char *text, size_t bytes, const char *name, char *out, size_t room,
                      struct err *e)
{
    const uint8_t *s = (const uint8_t *)text, *end = s + bytes, *begin = s;
    size_t n = 0;
    int gap = 0;
    const uint8_t *bad = bytes ? u8_check(s, bytes) : NULL;
    *out = 0;
    if (bad) return refuse(name, s, bad, "this is not UTF-8; save the file as UTF-8", e);
    if (bytes >= 3 && !memcmp(s, "\xef\xbb\xbf", 3)) s += 3;
    while (s < end) {
        ucs4_t c;
        int length = u8_mbtouc(&c, s, (size_t)(end - s));
        if (is_space(c)) gap = n > 0;
        else if (uc_is_general_category(c, UC_CONTROL))
            return refuse(name, begin, s, "a control character; remove it", e);
        else {
            if (n + (size_t)gap + (size_t)length >= room) {
                *out = 0;
                return err_set(e, ERR_INPUT, "%s: longer than %zu bytes; shorten it", name,
                               room - 1);
            }
            if (gap) out[n++] = ' ';
            memcpy(out + n, s, (size_t)length);
            n += (size_t)length;
            gap = 0;
        }
        s += length;
    }
    out[n] = 0;
    return OK;
}

enum code words_read(const char *path, char *out, size_t room, struct err *e)
{
    struct bytes b = {0};
    struct stat st;
    if (stat(path, &st)) return err_errno(e, "%s", path);
    if (!S_ISREG(st.st_mode)) return err_set(e, ERR_INPUT, "%s is not a file", path);
    enum code rc = file_read(path, FILE_BYTES, &b, e);
    if (!rc) rc = words_clean((const char *)b.data, b.n, path, out, room, e);
    if (!rc && !*out)
        rc = err_set(e, ERR_INPUT, "%s is empty; write a sentence or remove the file", path);
    free(b.data);
    return rc;
}
