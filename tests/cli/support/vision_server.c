/* vision_server.c - a vision model for tests: speaks just enough HTTP on a loopback port to be asked for captions.
 *
 *     vision_server PORT_FILE LOG STATUS BODY [STATUS BODY ...]
 *
 * Answers request i with pair i (the last one for ever after). PORT_FILE gets the port once it listens; LOG gets one line per
 * request: path, key, model, the question, and the first bytes of the picture after base64. Ends with its parent. STATUS 0 hangs up.
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static char request[8 << 20];

static size_t receive(int fd)
{
    size_t n = 0, want = 0;
    while (n < sizeof request - 1 && (!want || n < want)) {
        ssize_t got = read(fd, request + n, sizeof request - 1 - n);
        if (got <= 0) break;
        request[n += (size_t)got] = 0;
        char *end = strstr(request, "\r\n\r\n"), *length = strcasestr(request, "content-length:");
        if (end && length) want = (size_t)(end + 4 - request) + strtoul(length + 15, NULL, 10);
    }
    return n;
}

/* What stands between `from` and `to` in the request, or "-". */
static void quote(FILE *log, const char *from, const char *to, int most)
{
    char *at = strstr(request, from), *end = at ? strstr(at + strlen(from), to) : NULL;
    int n = end ? (int)(end - at) - (int)strlen(from) : 1;
    fprintf(log, " [%.*s]", n < most ? n : most, end ? at + strlen(from) : "-");
}

static void answer(int fd, const char *log_path, const char *status, const char *body)
{
    receive(fd);
    FILE *log = fopen(log_path, "a");
    quote(log, "POST ", " ", 80);
    quote(log, "Authorization: ", "\r\n", 80);
    quote(log, "\"model\":\"", "\"", 80);
    quote(log, "subject a ", ".", 80);
    quote(log, "data:image/png;base64,", "\"", 11);
    fprintf(log, "\n");
    fclose(log);
    if (strcmp(status, "0") != 0)
        dprintf(fd,
                "HTTP/1.1 %s x\r\nContent-Type: application/json\r\nContent-Length: "
                "%zu\r\nConnection: close\r\n%s\r\n%s",
                status, strlen(body),
                *status == '3' ? "Location: http://127.0.0.1:1/elsewhere\r\n" : "", body);
    shutdown(fd, SHUT_WR);
    close(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0), pair = 3;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc < 5 || bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 8)) return 1;
    getsockname(fd, (struct sockaddr *)&at, &length);
    char name[4096];
    snprintf(name, sizeof name, "%s.new", argv[1]);
    FILE *port = fopen(name, "w");
    fprintf(port, "%d\n", ntohs(at.sin_port));
    fclose(port);
    rename(name, argv[1]);
    for (;;) {
        int peer = accept(fd, NULL, NULL);
        if (peer < 0) return 1;
        answer(peer, argv[2], argv[pair], argv[pair + 1]);
        if (pair + 3 < argc) pair += 2;
    }
}
