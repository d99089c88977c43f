/* Growing text, escapes, and the nearest name. */
#include "base/text.h"
#include "tests/tap.h"

static void test_grow(void)
{
    struct text t = {0};
    for (int i = 0; i < 10000; i++) text_printf(&t, "%d,", i);
    ok(text_ok(&t) && t.n == 48890 && !strncmp(t.s, "0,1,2,", 6), "ten thousand additions");
    is_int(t.s[t.n], 0, "end in a NUL");
    text_fini(&t);
    text_add_html(&t, "<a href=\"x\">'&</a>");
    is_str(t.s, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&lt;/a&gt;", "HTML is escaped");
    text_fini(&t);
    text_add_bytes(&t, "", 0);
    is_str(t.s, "", "an addition of nothing makes an empty string");
    text_fini(&t);
}

/* RFC 4648, section 10. */
static void test_base64(void)
{
    static const char *const want[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                       "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t n = 0; n < 7; n++) {
        struct text t = {0};
        text_add_base64(&t, "foobar", n);
        is_str(t.s ? t.s : "", want[n], "base64 of %zu letters", n);
        text_fini(&t);
    }
}

static void test_distance(void)
{
    is_int(text_distance("", ""), 0, "nothing is nothing");
    is_int(text_distance("kitten", "sitting"), 3, "kitten, sitting");
    is_int(text_distance("lerning_rate", "learning_rate"), 1, "a letter forgotten");
    is_int(text_distance("setps", "steps"), 1, "two letters swapped");
    is_int(text_distance("", "abc"), 3, "all letters missing");
    char lots[400];
    memset(lots, 'x', 399), lots[399] = 0;
    is_int(text_distance(lots, "x"), 399, "a text longer than a name is far");
}

static void test_nearest(void)
{
    static const char *const names[] = {"learn", "sample", "evaluate",
                                        "sweep", "serve",  "lineages"};
    is_str(text_nearest("lern", names, 6), "learn", "lern is learn");
    is_str(text_nearest("evalaute", names, 6), "evaluate", "evalaute is evaluate");
    is_str(text_nearest("lineage", names, 6), "lineages", "lineage is lineages");
    is_str(text_nearest("frobnicate", names, 6), NULL, "frobnicate is nothing");
    is_str(text_nearest("x", names, 6), NULL, "one letter is nothing");
    is_str(text_nearest("", names, 0), NULL, "of no names none is near");
}

int main(void)
{
    test_grow();
    test_base64();
    test_distance();
    test_nearest();
    return done_testing();
}
