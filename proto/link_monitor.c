#include "proto/link_monitor.h"

#include "proto/link_socket.h"

#include <stdio.h>
#include <string.h>

enum {
    EVENTS = ZMQ_EVENT_CONNECTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED |
             ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
             ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
};

enum code monitor_open(struct monitor *m, void *context, void *socket, struct err *e)
{
    char place[32];
    int zero = 0;

    *m = (struct monitor){.reached = m->reached, .opened = m->opened + 1};
    /* A socket that was closed goes later than its close returns, so each has a place of its own. */
    snprintf(place, sizeof place, "inproc://monitor-%u", m->opened);
    if (zmq_socket_monitor(socket, place, EVENTS)) return link_socket_error(e, "zmq monitor");
    if (!(m->socket = zmq_socket(context, ZMQ_PAIR)) ||
        zmq_setsockopt(m->socket, ZMQ_LINGER, &zero, sizeof zero) || zmq_connect(m->socket, place))
        return link_socket_error(e, "zmq monitor");
    return OK;
}

void monitor_close(struct monitor *m)
{
    if (m->socket) zmq_close(m->socket);
    m->socket = NULL;
}

static void note(struct monitor *m, int event)
{
    switch (event) {
    case ZMQ_EVENT_CONNECTED: m->reached = 1; break;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        m->ready = 1;
        m->failed = 0;
        break;
    case ZMQ_EVENT_DISCONNECTED:
        m->lost |= m->ready;
        m->ready = 0;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH: m->denied = 1; break;
    default: m->failed++; break;
    }
}

/* Two frames: number and value; the endpoint, which we know. */
void monitor_read(struct monitor *m)
{
    struct frames f;
    enum code rc = OK;

    while (m->socket && !rc) {
        uint16_t event = 0;
        if ((rc = frames_receive(m->socket, &f, NULL)) == OK) {
            struct slice s = frames_bytes(&f, 0);
            if (s.n >= sizeof event) memcpy(&event, s.data, sizeof event);
            note(m, event);
        }
        frames_close(&f);
    }
}
