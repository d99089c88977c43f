/* Bytes to a living web server on loopback, as any visitor may send them, while the coordinator shows any snapshot: what stands behind a
 * line "%%". An answer has a status that is not "a bug of ours"; the page of numbers is in the form that Prometheus reads. */
#include "coordinator/web/web.h"
#include "tests/fuzz/support/fuzz.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Numbers of any kind; bounds and the end of the text are ours, as in the coordinator. */
static struct web_snapshot snapshot(struct fuzz_part part)
{
    struct web_snapshot s = {0};
    if (part.n) memcpy(&s, part.data, part.n < sizeof s ? part.n : sizeof s);
    s.counts.batch.bounds = WEB_MESSAGES;
    s.counts.transaction.bounds = WEB_SECONDS;
    s.trouble[PROTO_LINE] = '\0';
    return s;
}

/* A sample: a name of ours, labels of ours in braces, a number. */
static void sample(const char *line)
{
    size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz_");
    const char *value = line + name;
    char *end;
    must(name > 7 && !strncmp(line, "engram_", 7));
    if (*value == '{') {
        value = strchr(value, '}');
        must(value);
        value++;
    }
    must(*value == ' ');
    strtod(value + 1, &end);
    must(end != value + 1 && *end == '\n');
}

static void exposition(const char *body)
{
    for (const char *line = body; *line; line = strchr(line, '\n') + 1) {
        must(strchr(line, '\n'));
        if (strncmp(line, "# HELP engram_", 14) && strncmp(line, "# TYPE engram_", 14))
            sample(line);
    }
}

static void numbers(const struct web_snapshot *s)
{
    struct text body = {0};
    web_metrics(s, &body);
    must(text_ok(&body));
    exposition(body.s);
    text_fini(&body);
}

/* ---- a living server ---- */

static struct web *server(void)
{
    static struct web *w;
    struct err e;
    if (!w) must(!web_open(&w, "0", &e));
    return w;
}

/* A question that does not end is not answered; the server has patience, we have none. */
static struct timeval patience_for(const uint8_t *data, size_t n)
{
    int ends = n && (memmem(data, n, "\r\n\r\n", 4) || memmem(data, n, "\n\n", 2));
    return ends ? (struct timeval){1, 0} : (struct timeval){0, 1000};
}

static int connect_to(const struct web *w, struct timeval patience)
{
    struct linger at_once = {1, 0}; /* no connection stays behind */
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    to.sin_port = htons((uint16_t)atoi(strrchr(web_url(w), ':') + 1));
    must(s >= 0 && !connect(s, (struct sockaddr *)&to, sizeof to));
    setsockopt(s, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return s;
}

/* A status line, if anything: what is no question is answered by hanging up, too. */
static void ask_server(const uint8_t *data, size_t n, const struct web_snapshot *s)
{
    char said[64 << 10];
    size_t got = 0;
    ssize_t more;
    web_publish(server(), s);
    int c = connect_to(server(), patience_for(data, n));
    if (n) send(c, data, n, MSG_NOSIGNAL);
    shutdown(c, SHUT_WR);
    while (got < sizeof said - 1 && (more = recv(c, said + got, sizeof said - 1 - got, 0)) > 0)
        got += (size_t)more;
    close(c);
    said[got] = '\0';
    if (got == 0) return;
    must(!strncmp(said, "HTTP/1.", 7));
    int status = atoi(said + 9);
    must(status >= 200 && status <= 505 && status != 500);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct fuzz_part part[2];
    fuzz_split(data, n, part, 2);
    struct web_snapshot s = snapshot(part[1]);
    numbers(&s);
    ask_server(part[0].data, part[0].n, &s);
    return 0;
}
