/* link_monitor.h - what happens below a socket that asks over tcp: ZeroMQ reconnects by itself and says nothing, so a key that is not
 * let in and a request that was lost with its connection would both look like silence. Inside proto/ only. */
#ifndef PROTO_LINK_MONITOR_H
#define PROTO_LINK_MONITOR_H

#include "base/err.h"

struct monitor {
    void *socket;                     /* owned; readable when something has happened. NULL: not watched */
    unsigned opened;
    int reached;                      /* somebody listens there */
    int ready;                        /* the newest connection is through its handshake */
    int lost;                         /* a connection that was ready has broken */
    int denied;                       /* our key was not let in; this socket will not try again */
    int failed;                       /* handshakes that broke off, in a row: a wrong server key looks like that */
};

enum code monitor_open(struct monitor *m, void *context, void *socket, struct err *e);
void monitor_close(struct monitor *m);

/* Takes in what has happened since. Never blocks. */
void monitor_read(struct monitor *m);

#endif
