/* exchange.c - what the formats share: names of files, and which concepts are wanted. */
#include "pipeline/exchange/exchange.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Names that Windows keeps for devices, whatever comes after a dot. */
static int is_reserved(const char *name)
{
    static const char *const devices[] = {"con", "prn", "aux", "nul"};
    size_t n = strcspn(name, ".");
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++)
        if (n == 3 && !strncasecmp(name, devices[i], 3)) return 1;
    return n == 4 && (!strncasecmp(name, "com", 3) || !strncasecmp(name, "lpt", 3)) &&
           isdigit((unsigned char)name[3]);
}

/* Tokens are lower case, so names do not meet on systems that do not tell case apart. '~' stands in no token, so a name that
 * was changed meets no other's. */
char *exchange_file_name(const char *name, char out[EXCHANGE_NAME])
{
    size_t n = strlen(name);
    int has_brackets = n >= 2 && name[0] == '<' && name[n - 1] == '>';
    const char *word = name + has_brackets;
    n -= has_brackets ? 2 : 0;
    if (n > EXCHANGE_NAME - 3) n = EXCHANGE_NAME - 3; /* longer than any token */
    int hides = n && (*word == '.' || *word == '-');
    snprintf(out, EXCHANGE_NAME, "%s%.*s", hides ? "~" : "", (int)n, word);
    if (!n || is_reserved(out) || word[n - 1] == '.') strcat(out, "~");
    return out;
}

int exchange_is_wanted(const struct exchange *x, int i)
{
    return !x->only || !strcmp(x->only, x->concept[i].token);
}
