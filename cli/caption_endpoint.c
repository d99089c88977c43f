/* caption_endpoint.c - a vision model behind an address writes the caption, in OpenAI's chat completions dialect:
 *
 *     POST <url>/chat/completions
 *     {"model": .., "messages": [{"role": "user", "content": [{"type": "text", ..}, {"type": "image_url", ..}]}], ..}
 *     -> {"choices": [{"message": {"content": "a photo of a dog on a beach"}}]}
 *
 * The only file that knows libcurl.
 */
#include "base/arena.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/caption.h"
#include "pipeline/data/image.h"
#include "pipeline/data/words.h"

#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATH "/chat/completions"
#define SIDE_MOST 768        /* what vision models look at; larger only costs */
#define ANSWER_BYTES 1048576 /* a caption has a hundred */
#define CONNECT_SECONDS 10L
#define ANSWER_SECONDS 180L /* a large model on a CPU takes a minute */
#define TRIES 3             /* of a server that says it is busy */
#define QUESTION                                                                              \
    "Describe this picture in one sentence of at most twenty words. Call the main subject a " \
    "%s. Say what surrounds it. Answer with the sentence only."

struct endpoint {
    CURL *curl; /* owned; keeps the connection */
    struct curl_slist *header;
    char *url;
    const char *address, *model; /* of the environment */
};

/* ---- the question ---- */

/* The image as a PNG in a data: address. */
static enum code picture(const char *path, struct text *out, struct err *e)
{
    struct image im;
    struct bytes png = {0};
    enum code rc = image_read(path, &im, NULL, e);
    if (rc) return rc;
    int side = im.w < im.h ? im.w : im.h;
    if (side > SIDE_MOST)
        rc = image_resize(&im, (int)((int64_t)im.w * SIDE_MOST / side),
                          (int)((int64_t)im.h * SIDE_MOST / side), e);
    if (!rc) rc = image_encode_png(&im, NULL, &png, e);
    image_fini(&im);
    if (rc) return rc;
    text_add(out, "data:image/png;base64,");
    text_add_base64(out, png.data, png.n);
    free(png.data);
    return text_ok(out) ? OK : err_set(e, ERR_NOMEM, "out of memory for the picture %s", path);
}

static enum code question(const struct endpoint *p, const char *image, const char *class_word,
                          char **body, struct err *e)
{
    struct text data = {0};
    char words[512];
    enum code rc = picture(image, &data, e);
    if (!rc) {
        snprintf(words, sizeof words, QUESTION, *class_word ? class_word : "subject");
        json_t *j =
            json_pack("{s:s,s:i,s:[{s:s,s:[{s:s,s:s},{s:s,s:{s:s}}]}]}", "model", p->model,
                      "max_tokens", 120, "messages", "role", "user", "content", "type", "text",
                      "text", words, "type", "image_url", "image_url", "url", data.s);
        *body = j ? json_dumps(j, JSON_COMPACT) : NULL;
        json_decref(j);
        if (!*body) rc = err_set(e, ERR_NOMEM, "out of memory for the picture %s", image);
    }
    text_fini(&data);
    return rc;
}

/* ---- the answer ---- */

static size_t collect(char *data, size_t size, size_t n, void *self)
{
    struct text *t = self;
    if (t->n + size * n > ANSWER_BYTES) return 0; /* ends the transfer */
    text_add_bytes(t, data, size * n);
    return t->failed ? 0 : size * n;
}

/* The server's own words about its refusal, if it has any; for an error line. */
static const char *complaint(json_t *answer)
{
    json_t *error = json_object_get(answer, "error");
    const char *text =
        json_string_value(json_is_object(error) ? json_object_get(error, "message") : error);
    return text ? text : "it does not say why";
}

static enum code understand(const struct endpoint *p, const struct text *said, long status,
                            const char *image, char *out, size_t room, struct err *e)
{
    char place[600];
    json_t *answer = said->s ? json_loadb(said->s, said->n, 0, NULL) : NULL;
    const char *content = NULL;
    enum code rc = OK;
    if (status != 200)
        rc = err_set(e, status == 429 || status >= 500 ? ERR_AGAIN : ERR_ENVIRONMENT,
                     "%s refused %s with status %ld: %.200s", p->address, image, status,
                     complaint(answer));
    else {
        json_t *choice = json_array_get(json_object_get(answer, "choices"), 0);
        content = json_string_value(json_object_get(json_object_get(choice, "message"), "content"));
        if (!content)
            rc = err_set(e, ERR_ENVIRONMENT,
                         "%s answered for %s without choices[0].message.content; does it speak "
                         "OpenAI's chat completions?",
                         p->address, image);
    }
    if (!rc) {
        snprintf(place, sizeof place, "the caption that %.200s gave %.300s", p->address, image);
        rc = words_clean(content, strlen(content), place, out, room, e);
    }
    if (!rc && !*out) rc = err_set(e, ERR_INPUT, "%s has no word for %s", p->address, image);
    json_decref(answer);
    return rc;
}

static enum code post(struct endpoint *p, const char *body, const char *image, struct text *said,
                      long *status, struct err *e)
{
    curl_easy_setopt(p->curl, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(p->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(body));
    curl_easy_setopt(p->curl, CURLOPT_WRITEDATA, said);
    CURLcode rc = curl_easy_perform(p->curl);
    if (rc == CURLE_WRITE_ERROR && said->n)
        return err_set(e, ERR_ENVIRONMENT, "%s answers for %s with more than %d bytes", p->address,
                       image, ANSWER_BYTES);
    if (rc)
        return err_set(e, ERR_AGAIN, "%s cannot be asked about %s: %s (address from $%s)",
                       p->address, image, curl_easy_strerror(rc), CAPTION_ENV_URL);
    curl_easy_getinfo(p->curl, CURLINFO_RESPONSE_CODE, status);
    return OK;
}

static enum code ask(void *self, const char *image, const char *class_word, char *out, size_t room,
                     struct err *e)
{
    struct endpoint *p = self;
    char *body = NULL;
    enum code rc = question(p, image, class_word, &body, e);
    for (int try = 1; !rc; try++) {
        struct text said = {0};
        long status = 0;
        rc = post(p, body, image, &said, &status, e);
        if (!rc) rc = understand(p, &said, status, image, out, room, e);
        text_fini(&said);
        if (rc != ERR_AGAIN || !status || try == TRIES) break;
        nanosleep(&(struct timespec){.tv_sec = try}, NULL); /* it asked for patience */
        rc = OK;
    }
    free(body);
    return rc;
}

/* ---- open and close ---- */

static void close_endpoint(void *self)
{
    struct endpoint *p = self;
    curl_easy_cleanup(p->curl);
    curl_slist_free_all(p->header);
    free(p->url);
    free(p);
    curl_global_cleanup();
}

static enum code header(struct endpoint *p, const char *line, struct err *e)
{
    struct curl_slist *longer = curl_slist_append(p->header, line);
    if (!longer) return err_set(e, ERR_NOMEM, "out of memory");
    p->header = longer;
    return OK;
}

static enum code prepare(struct endpoint *p, struct err *e)
{
    const char *key = getenv(CAPTION_ENV_KEY);
    struct text line = {0};
    size_t n = strlen(p->address);
    while (n && p->address[n - 1] == '/') n--;
    text_printf(&line, "%.*s" PATH, (int)n, p->address);
    if (!text_ok(&line) || !p->curl) {
        text_fini(&line);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    p->url = line.s;
    curl_easy_setopt(p->curl, CURLOPT_URL, p->url);
    curl_easy_setopt(p->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(p->curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(p->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(p->curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    curl_easy_setopt(p->curl, CURLOPT_TIMEOUT, ANSWER_SECONDS);
    curl_easy_setopt(p->curl, CURLOPT_USERAGENT, "engram");
    curl_easy_setopt(p->curl, CURLOPT_WRITEFUNCTION, collect);
    enum code rc = header(p, "Content-Type: application/json", e);
    if (!rc) rc = header(p, "Expect:", e); /* no round trip before the picture */
    if (!rc && key && *key) {
        struct text secret = {0};
        text_printf(&secret, "Authorization: Bearer %s", key);
        rc = text_ok(&secret) ? header(p, secret.s, e) : err_set(e, ERR_NOMEM, "out of memory");
        text_fini(&secret);
    }
    curl_easy_setopt(p->curl, CURLOPT_HTTPHEADER, p->header);
    return rc;
}

enum code caption_endpoint_open(struct captioning *out, struct err *e)
{
    const char *address = getenv(CAPTION_ENV_URL), *model = getenv(CAPTION_ENV_MODEL);
    if (!address || (strncmp(address, "http://", 7) != 0 && strncmp(address, "https://", 8) != 0))
        return err_set(e, ERR_USAGE,
                       "--caption-endpoint needs the address of a vision model: set $%s, for "
                       "example to http://localhost:8080/v1",
                       CAPTION_ENV_URL);
    if (!model || !*model)
        return err_set(e, ERR_USAGE,
                       "--caption-endpoint needs the name of a vision model that %s has: set $%s",
                       address, CAPTION_ENV_MODEL);
    struct endpoint *p = mem_alloc(1, sizeof *p);
    if (!p) return err_set(e, ERR_NOMEM, "out of memory");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    *p = (struct endpoint){.curl = curl_easy_init(), .address = address, .model = model};
    enum code rc = prepare(p, e);
    if (rc) close_endpoint(p);
    else *out = (struct captioning){{CAPTION_ENDPOINT, ask, p}, close_endpoint};
    return rc;
}
