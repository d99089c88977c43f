/* text.c - strings that grow, and how far apart two of them are. */
#include "base/text.h"
#include "base/arena.h"

#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM_FIRST = 256, NAME_LONGEST = 255 };

/* Room for n more bytes and the NUL. */
static int reserve(struct text *t, size_t n)
{
    if (t->failed) return 0;
    if (t->s && t->room - t->n > n) return 1;
    size_t room = t->room ? t->room : ROOM_FIRST;
    while (room - t->n <= n && room < SIZE_MAX / 4) room *= 2;
    char *s = room - t->n > n ? mem_grow(t->s, t->room, room, 1) : NULL;
    if (!s) {
        text_fini(t);
        t->failed = 1;
        return 0;
    }
    t->s = s;
    t->room = room;
    return 1;
}

void text_add_bytes(struct text *t, const void *s, size_t n)
{
    if (!reserve(t, n)) return;
    if (n) memcpy(t->s + t->n, s, n);
    t->n += n;
    t->s[t->n] = 0;
}

void text_add(struct text *t, const char *s)
{
    text_add_bytes(t, s, strlen(s));
}

void text_printf(struct text *t, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n >= 0 && reserve(t, (size_t)n)) {
        vsnprintf(t->s + t->n, (size_t)n + 1, fmt, again);
        t->n += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

static const char *html_entity(char c)
{
    switch (c) {
    case '&': return "&amp;";
    case '<': return "&lt;";
    case '>': return "&gt;";
    case '"': return "&quot;";
    case '\'': return "&#39;";
    default: return NULL;
    }
}

void text_add_html(struct text *t, const char *s)
{
    for (; *s; s++) {
        const char *entity = html_entity(*s);
        if (entity) text_add(t, entity);
        else text_add_bytes(t, s, 1);
    }
}

void text_add_base64(struct text *t, const void *s, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const uint8_t *p = s;
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t v = (uint32_t)p[i] << 16;
        if (left > 1) v |= (uint32_t)p[i + 1] << 8;
        if (left > 2) v |= p[i + 2];
        char four[4] = {digit[v >> 18], digit[v >> 12 & 63], digit[v >> 6 & 63], digit[v & 63]};
        if (left < 3) four[3] = '=';
        if (left < 2) four[2] = '=';
        text_add_bytes(t, four, sizeof four);
    }
}

int text_ok(const struct text *t)
{
    return !t->failed;
}

void text_fini(struct text *t)
{
    free(t->s);
    *t = (struct text){0};
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Optimal string alignment: insert, delete, replace, and swap of two neighbours, each at a cost of one. Rows i, i - 1
 * and i - 2 of the table are kept. */
int text_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > NAME_LONGEST || m > NAME_LONGEST) {
        if (n == m && strcmp(a, b) == 0) return 0;
        return (int)(n > m ? n : m) & INT_MAX;
    }
    int rows[3][NAME_LONGEST + 1];
    int *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= m; j++) above[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int d = least(above[j] + 1, row[j - 1] + 1);
            d = least(d, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                d = least(d, before[j - 2] + 1);
            row[j] = d;
        }
        int *oldest = before;
        before = above, above = row, row = oldest;
    }
    return above[m];
}

/* One slip in a short word, two in a usual one, three in a long one; never so many that nothing of the word is left. */
static int slips(const char *s)
{
    size_t n = strlen(s);
    return n <= 1 ? 0 : n <= 4 ? 1 : n <= 8 ? 2 : 3;
}

const char *text_nearest(const char *s, const char *const *names, size_t n)
{
    const char *best = NULL;
    int best_distance = slips(s) + 1;
    for (size_t i = 0; i < n; i++) {
        int d = text_distance(s, names[i]);
        if (d < best_distance) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}
