/* connect.h - which coordinator a command speaks to: the one of its home, or one across the network.
 *
 * The first that says so: --connect; $ENGRAM_CONNECT; --home or $ENGRAM_HOME (that home's); the profile; the default home's. With the
 * first two, --server-key and --key, $ENGRAM_SERVER_KEY and $ENGRAM_KEY; what they leave out the profile may say.
 *
 * The profile is $XDG_CONFIG_HOME/engram/connect or ~/.config/engram/connect:
 *
 *     # the cluster
 *     connect tcp://engram.example.org:7700
 *     server-key 2}i1y7mlI>LG95aVWdo3KA?Jq=lx4)dJoHRJ^zJ0
 *     key ann.key                            (a path; relative to the profile's folder)
 */
#ifndef CLI_CONNECT_H
#define CLI_CONNECT_H

#include "proto/link.h"

/* Fills endpoint, keys and server_key; endpoint NULL: the coordinator of the home. Strings live as long as the process. */
enum code connect_where(struct link_options *o, struct err *e);

/* Where a new key of one's own is kept, and a profile looked for: "<config>/engram/<name>". */
enum code connect_path(const char *name, char *out, size_t bytes, struct err *e);

#endif
