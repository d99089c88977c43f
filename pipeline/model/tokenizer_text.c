/* tokenizer_text.c - cleaning by libunistring, cutting by PCRE2. */
#include "pipeline/model/tokenizer_text.h"
#include "base/arena.h"
#include "base/text.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

/* Letters in runs, numbers one by one, all other marks in runs; spaces fall between. So does U+0345, the iota subscript:
 * without regard to case it is both a letter and a mark, and the reference's engine then finds it in neither class. */
static const char pattern[] = "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|"
                              "[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}\\x{345}]+";

struct tokenizer_text {
    pcre2_code *code; /* owned; immutable, so clones and threads share it */
};

enum code tokenizer_text_make(struct tokenizer_text **out, struct err *e)
{
    int why;
    PCRE2_SIZE at;
    struct tokenizer_text *t = mem_alloc(1, sizeof *t);
    *out = NULL;
    if (!t) return err_set(e, ERR_NOMEM, "no memory for the tokenizer's pattern");
    t->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_UCP | PCRE2_CASELESS, &why, &at, NULL);
    if (!t->code) {
        free(t);
        return err_set(e, ERR_NOMEM, "the tokenizer's pattern cannot be compiled (PCRE2 error %d)",
                       why);
    }
    *out = t;
    return OK;
}

void tokenizer_text_free(struct tokenizer_text *t)
{
    if (!t) return;
    pcre2_code_free(t->code);
    free(t);
}

/* The blocks that BERT's tokenizer calls Chinese: ideographs, not kana and not hangul. */
static int is_ideograph(ucs4_t c)
{
    static const struct {
        ucs4_t first, last;
    } block[] = {
        {0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
        {0x2B740, 0x2B81F}, {0x2B820, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F},
    };
    for (size_t i = 0; i < sizeof block / sizeof *block; i++)
        if (c >= block[i].first && c <= block[i].last) return 1;
    return 0;
}

/* Tab and newlines count as space although they are control characters. */
static int is_space(ucs4_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' ||
           uc_is_general_category_withtable(c, UC_CATEGORY_MASK_Zs | UC_CATEGORY_MASK_Zl |
                                                   UC_CATEGORY_MASK_Zp);
}

static int is_dropped(ucs4_t c)
{
    return c == 0 || c == 0xFFFD || uc_is_general_category_withtable(c, UC_CATEGORY_MASK_C);
}

static void clean(const char *s, size_t n, struct text *out)
{
    for (size_t i = 0; i < n;) {
        ucs4_t c;
        int step = u8_mbtouc(&c, (const uint8_t *)s + i, n - i);
        if (is_space(c)) {
            text_add(out, " ");
        } else if (!is_dropped(c)) { /* first: the ideographs' blocks have unassigned places */
            const char *around = is_ideograph(c) ? " " : "";
            text_add(out, around);
            text_add_bytes(out, s + i, (size_t)step);
            text_add(out, around);
        }
        i += (size_t)step;
    }
}

/* Is the capital sigma at s[at] the last letter of its word? Marks and apostrophes are looked through on both sides. */
static int is_final(const uint8_t *s, size_t n, size_t at)
{
    const uint8_t *p = s + at, *end = s + n;
    ucs4_t c = 0;
    while ((p = u8_prev(&c, p, s)) && uc_is_property_case_ignorable(c)) {}
    if (!p || !uc_is_property_cased(c)) return 0;
    p = s + at + 2; /* two bytes: CE A3 */
    for (; p < end; p += u8_mblen(p, (size_t)(end - p))) {
        u8_mbtouc(&c, p, (size_t)(end - p));
        if (!uc_is_property_case_ignorable(c)) return !uc_is_property_cased(c);
    }
    return 1;
}

/* Lower-cases every capital sigma in place, before the rest: libunistring takes an apostrophe for the end of a word,
 * Unicode and the reference do not. Backwards, so that what lies before is still as it was; all that is asked of what
 * lies behind, cased or ignorable, does not change with its case. */
static void lower_sigmas(uint8_t *s, size_t n)
{
    for (size_t i = n; i-- > 1;)
        if (s[i - 1] == 0xCE &&
            s[i] == 0xA3) { /* no other character holds these two bytes in a row */
            int final = is_final(s, n, i - 1);
            s[i - 1] = 0xCF;
            s[i] = final ? 0x82 : 0x83;
        }
}

static enum code no_memory(struct err *e)
{
    return err_set(e, ERR_NOMEM, "no memory to tokenize a text");
}

/* *out is malloc'ed by libunistring. Lower case comes after NFC and is not normalised again, as in the reference. */
static enum code clean_and_lower(const char *s, size_t n, uint8_t **out, size_t *n_out,
                                 struct err *e)
{
    struct text cleaned = {0};
    size_t n_nfc = 0;
    uint8_t *nfc = NULL;
    *out = NULL;
    *n_out = 0;
    clean(s, n, &cleaned);
    if (text_ok(&cleaned) && cleaned.n)
        nfc = u8_normalize(UNINORM_NFC, (const uint8_t *)cleaned.s, cleaned.n, NULL, &n_nfc);
    if (nfc) lower_sigmas(nfc, n_nfc);
    if (nfc) *out = u8_tolower(nfc, n_nfc, NULL, NULL, NULL, n_out);
    int failed = !text_ok(&cleaned) || (cleaned.n && !*out);
    free(nfc);
    text_fini(&cleaned);
    return failed ? no_memory(e) : OK;
}

static enum code cut(const struct tokenizer_text *t, const uint8_t *s, size_t n,
                     tokenizer_word_fn *word, void *self, struct err *e)
{
    enum code rc = OK;
    pcre2_match_data *match = pcre2_match_data_create_from_pattern(t->code, NULL);
    if (!match) return no_memory(e);
    for (size_t at = 0; at < n && !rc;) {
        int found = pcre2_match(t->code, s, n, at, PCRE2_NO_UTF_CHECK, match, NULL);
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(match);
        if (found == PCRE2_ERROR_NOMATCH) break;
        if (found < 0)
            rc = no_memory(
                e); /* nothing else is left: the pattern does not backtrack, the text is checked */
        else rc = word(self, (const char *)s + span[0], span[1] - span[0]);
        at = span[1];
    }
    pcre2_match_data_free(match);
    return rc;
}

enum code tokenizer_text_words(const struct tokenizer_text *t, const char *s, size_t n,
                               tokenizer_word_fn *word, void *self, struct err *e)
{
    uint8_t *lower;
    size_t n_lower;
    enum code rc = clean_and_lower(s, n, &lower, &n_lower, e);
    if (!rc && lower) rc = cut(t, lower, n_lower, word, self, e);
    free(lower);
    return rc;
}
