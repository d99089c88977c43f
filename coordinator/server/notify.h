/* notify.h - telling systemd how it goes, where systemd started us (sd_notify(3), Type=notify): a datagram each time.
 *
 *     notify_open(&n);                              // reads NOTIFY_SOCKET and WATCHDOG_USEC, and hides them from children
 *     notify_say(&n, "READY=1");
 *     each turn: notify_turn(&n, now_ms, "3 jobs wait");       // a sign of life, twice as often as asked for
 *     notify_say(&n, "STOPPING=1");
 *
 * Everything is silent where there is no systemd, or where it does not listen.
 */
#ifndef COORDINATOR_SERVER_NOTIFY_H
#define COORDINATOR_SERVER_NOTIFY_H

#include <stdint.h>

struct notify {
    int socket;                       /* -1: nobody to tell */
    int64_t every_ms, said_ms;        /* signs of life; 0: none is asked for */
};

void notify_open(struct notify *n);
void notify_close(struct notify *n);
void notify_say(const struct notify *n, const char *state);
/* now_ms: any clock that does not go back. status: one line for `systemctl status`. */
void notify_turn(struct notify *n, int64_t now_ms, const char *status);

#endif
