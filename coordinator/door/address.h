/* address.h - what "tcp://address:port" means for who can reach it. */
#ifndef COORDINATOR_DOOR_ADDRESS_H
#define COORDINATOR_DOOR_ADDRESS_H

/* Can machines outside this one's private networks reach it? Yes for a wildcard, for what is no number and for every address but
 * loopback, private (RFC 1918, RFC 4193) and link-local ones. Pure. */
int address_is_public(const char *endpoint);

#endif
