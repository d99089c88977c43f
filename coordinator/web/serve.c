/* serve.c - libmicrohttpd: one thread that polls, few connections, short patience. The listening socket is made here, so that what
 * can go wrong with an address is said in our words. */
#include "coordinator/web/web.h"

#include "base/arena.h"

#include <microhttpd.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Whoever watches asks every few seconds, over one or two connections. */
#define CONNECTIONS 32u
#define PATIENCE_S 10u
#define CONNECTION_BYTES ((size_t)16 << 10)

struct web {
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock; /* of what follows */
    struct web_snapshot snapshot;
    int published;
    struct sockaddr_storage at; /* set once */
    char url[80];
};

union address {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_storage whole;
};

/* ---- the address ---- */

static enum code no_address(const char *where, struct err *e)
{
    return err_set(e, ERR_USAGE,
                   "--web %s: expected PORT, ADDRESS:PORT or [ADDRESS]:PORT, in numbers", where);
}

/* "9464", "10.0.0.1:9464", "[::1]:9464" */
static enum code parse(const char *where, union address *a, socklen_t *n, struct err *e)
{
    const char *colon = strrchr(where, ':'), *port = colon ? colon + 1 : where;
    size_t digits = strspn(port, "0123456789");
    char host[64] = "127.0.0.1";
    long number = strtol(port, NULL, 10);

    memset(a, 0, sizeof *a);
    if (!digits || port[digits] || number > 65535) return no_address(where, e);
    if (colon && colon - where >= (long)sizeof host) return no_address(where, e);
    if (colon) snprintf(host, sizeof host, "%.*s", (int)(colon - where), where);
    size_t last = strlen(host);
    if (host[0] == '[' && host[last - 1] == ']') {
        host[last - 1] = '\0';
        if (inet_pton(AF_INET6, host + 1, &a->six.sin6_addr) != 1) return no_address(where, e);
        a->six.sin6_family = AF_INET6;
        a->six.sin6_port = htons((uint16_t)number);
        *n = sizeof a->six;
        return OK;
    }
    if (inet_pton(AF_INET, host, &a->four.sin_addr) != 1) return no_address(where, e);
    a->four.sin_family = AF_INET;
    a->four.sin_port = htons((uint16_t)number);
    *n = sizeof a->four;
    return OK;
}

static enum code listen_at(struct web *w, const char *where, int *out, struct err *e)
{
    union address a;
    socklen_t n;
    int yes = 1, s;
    enum code rc = parse(where, &a, &n, e);

    if (rc) return rc;
    if ((s = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) < 0)
        return err_errno(e, "--web %s", where);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(s, &a.any, n) || listen(s, 16) || getsockname(s, &a.any, &n)) {
        rc = errno == EADDRINUSE
                 ? err_set(e, ERR_EXISTS, "--web %s: something listens there already", where)
                 : err_errno(e, "--web %s", where);
        close(s);
        return rc;
    }
    w->at = a.whole;
    *out = s;
    return OK;
}

static void name_url(struct web *w)
{
    union address a = {.whole = w->at};
    char host[INET6_ADDRSTRLEN];

    if (a.any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &a.six.sin6_addr, host, sizeof host);
        snprintf(w->url, sizeof w->url, "http://[%s]:%u", host, ntohs(a.six.sin6_port));
    } else {
        inet_ntop(AF_INET, &a.four.sin_addr, host, sizeof host);
        snprintf(w->url, sizeof w->url, "http://%s:%u", host, ntohs(a.four.sin_port));
    }
}

const char *web_url(const struct web *w)
{
    return w->url;
}

int web_is_public(const struct web *w)
{
    union address a = {.whole = w->at};

    if (a.any.sa_family == AF_INET6) return !IN6_IS_ADDR_LOOPBACK(&a.six.sin6_addr);
    return ntohl(a.four.sin_addr.s_addr) >> 24 != 127;
}

/* ---- questions ---- */

static int64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One call per question: it has no body that we would read. */
static enum MHD_Result on_question(void *self, struct MHD_Connection *c, const char *path,
                                   const char *method, const char *version, const char *upload,
                                   size_t *upload_bytes, void **mine)
{
    struct web *w = self;
    struct web_snapshot s;
    struct web_page page;
    struct MHD_Response *r;
    enum MHD_Result rc;
    int published;

    (void)version, (void)upload, (void)upload_bytes, (void)mine;
    pthread_mutex_lock(&w->lock);
    s = w->snapshot;
    published = w->published;
    pthread_mutex_unlock(&w->lock);
    web_page(method, path, published ? &s : NULL, clock_ms(), &page);
    r = MHD_create_response_from_buffer(page.body.n, page.body.s, MHD_RESPMEM_MUST_COPY);
    text_fini(&page.body);
    if (!r) return MHD_NO;
    MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, page.type);
    MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    if (page.status == 405) MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    rc = MHD_queue_response(c, page.status, r);
    MHD_destroy_response(r);
    return rc;
}

void web_publish(struct web *w, const struct web_snapshot *s)
{
    pthread_mutex_lock(&w->lock);
    w->snapshot = *s;
    w->published = 1;
    pthread_mutex_unlock(&w->lock);
}

/* ---- open and close ---- */

/* Signals belong to the loop: its wait must end when one comes. */
static void start(struct web *w, int s)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    w->daemon =
        MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, on_question,
                         w, MHD_OPTION_LISTEN_SOCKET, s, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
                         MHD_OPTION_CONNECTION_TIMEOUT, PATIENCE_S,
                         MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

enum code web_open(struct web **out, const char *where, struct err *e)
{
    struct web *w = mem_alloc(1, sizeof *w);
    int s = -1;
    enum code rc;

    *out = NULL;
    if (!w) return err_set(e, ERR_NOMEM, "out of memory");
    if ((rc = listen_at(w, where, &s, e))) goto free_web;
    name_url(w);
    pthread_mutex_init(&w->lock, NULL);
    start(w, s);
    if (w->daemon) {
        *out = w;
        return OK;
    }
    rc = err_set(e, ERR_ENVIRONMENT, "--web %s: no thread for it: %s", where, strerror(errno));
    close(s);
    pthread_mutex_destroy(&w->lock);
free_web:
    free(w);
    return rc;
}

void web_close(struct web *w)
{
    if (!w) return;
    MHD_stop_daemon(w->daemon); /* closes the socket, too */
    pthread_mutex_destroy(&w->lock);
    free(w);
}
