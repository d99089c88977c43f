/* link_ask.h - the asking end of a link, as its three files share it: link.c (open, call), link_request.c (one request, its bytes and
 * its answer), link_wait.c (connecting, and waiting for what happens). Inside proto/ only.
 *
 * One request is outstanding at a time, the latest; `latest` keeps its bytes, because they may have to be said again: when no answer
 * comes, when a coordinator that restarted asks `who` and wants hello first, when the connection broke (tcp), when the other
 * side speaks an older version. Answers with any other id are dropped.
 */
#ifndef PROTO_LINK_ASK_H
#define PROTO_LINK_ASK_H

#include "proto/link_monitor.h"
#include "proto/link_socket.h"

struct link {
    void *context, *socket;
    struct monitor monitor; /* tcp */
    struct arena strings;   /* endpoint, hello */
    const char *endpoint, *path;
    struct hash server_key;
    struct keys keys;
    int timeout_ms, tries, is_worker;
    struct message hello;
    uint64_t version, next_id, latest_id, hello_id;
    struct arena latest_arena;
    struct slice latest;
    int n_who;        /* since the latest request */
    int sent;         /* the latest is on its way */
    int repeat;       /* it was lost with its connection */
    int knocks;       /* our key was not let in, in a row */
    int64_t knock_ms; /* when to try again; 0: need not */
};

int64_t link_now_ms(void);

/* ---- link_request.c ---- */

/* Gives ask its id, encodes it in the version of the link and keeps its bytes as the latest. */
enum code link_remember(struct link *l, struct message *ask, struct err *e);
enum code link_send_latest(struct link *l, struct err *e);     /* ERR_AGAIN: not now */
/* Is this message what is waited for? *mine says so; else it was handled or does not concern us. */
enum code link_judge(struct link *l, const struct message *m, int *mine, struct err *e);

/* ---- link_wait.c ---- */

enum code link_connect(struct link *l, struct err *e);
void link_disconnect(struct link *l);
enum code link_look_below(struct link *l, struct err *e);      /* takes in what has happened to the connection (tcp) */
/* Waits for one event of the socket. OK: look again. ERR_AGAIN: time is over. ERR_CANCELLED: a signal. */
enum code link_wait_event(struct link *l, short event, int64_t until, struct err *e);
enum code link_denied(const struct link *l, struct err *e);    /* ERR_DENIED, with what to do */

#endif
