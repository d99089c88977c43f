/* sent.h - which objects a user has sent whole: an empty file INCOMING/<key>/<hash>.sent beside what is half-done, for a week.
 *
 *     sent_note("HOME/incoming/users", key, hash);
 *     if (sent_all("HOME/incoming/users", key, &message, &arena, &e)) refuse it;
 *
 * Only such photos may be learned from: whoever knows the hash of another's photo could have it by naming it in a job of their own. Cost:
 * a look into a folder for each image. For the door alone.
 */
#ifndef COORDINATOR_DOOR_SENT_H
#define COORDINATOR_DOOR_SENT_H

#include "proto/proto.h"

/* The week begins anew. Not synced, and no error: what is lost is sent again. */
void sent_note(const char *incoming, struct hash key, struct hash h);

/* ERR_NOT_FOUND: this learn, or one in this submit_many, names an image that the key has not sent; the line says which. Other messages are
 * OK. */
enum code sent_all(const char *incoming, struct hash key, const struct message *m, struct arena *a, struct err *e);

/* Removes those of a key's folder that are older than a week. */
void sent_sweep(const char *folder);

#endif
