/* pulse.h - a process that works for minutes shows that it lives, from the thread that works.
 *
 *     pulse_listen(beat, &lease);           // while a lease is held
 *     pulse();                              // wherever long work passes often: between two tiles, between two looks of a wait
 *     pulse_listen(NULL, NULL);
 *
 * One picture of a large model takes minutes on a CPU and a lease half of one, so heartbeats cannot wait for the end of a
 * step. They are still not sent by a helper thread: work that hangs passes no pulse, and looks stuck.
 * One listener a process, called on the thread that calls pulse, which is the main one. It must be quick and must not call
 * parallel_for. Without a listener a pulse costs one load.
 */
#ifndef BASE_PULSE_H
#define BASE_PULSE_H

void pulse_listen(void (*beat)(void *self), void *self);
void pulse(void);

#endif
