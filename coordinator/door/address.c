#include "coordinator/door/address.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

/* clang-format off */
static const struct { uint32_t address; int bits; } PRIVATE[] = {
    { 0x7f000000, 8 }, { 0x0a000000, 8 }, { 0xac100000, 12 }, { 0xc0a80000, 16 }, { 0xa9fe0000, 16 },
};
/* clang-format on */

static int is_private_4(uint32_t a)
{
    for (size_t i = 0; i < sizeof PRIVATE / sizeof *PRIVATE; i++)
        if ((a ^ PRIVATE[i].address) >> (32 - PRIVATE[i].bits) == 0) return 1;
    return 0;
}

static int is_private_6(const struct in6_addr *a)
{
    return IN6_IS_ADDR_LOOPBACK(a) || (a->s6_addr[0] & 0xfe) == 0xfc ||
           (a->s6_addr[0] == 0xfe && (a->s6_addr[1] & 0xc0) == 0x80);
}

int address_is_public(const char *endpoint)
{
    const char *from = endpoint + strcspn(endpoint, ":"), *to;
    struct in_addr four;
    struct in6_addr six;
    char host[80];

    if (strncmp(from, "://", 3)) return 1;
    from += 3;
    to = strrchr(from, ':');
    if (*from == '[') from++;
    if (!to || to <= from) return 1;
    if (to[-1] == ']') to--;
    if ((size_t)(to - from) >= sizeof host) return 1;
    memcpy(host, from, (size_t)(to - from));
    host[to - from] = '\0';
    if (inet_pton(AF_INET, host, &four) == 1) return !is_private_4(ntohl(four.s_addr));
    if (inet_pton(AF_INET6, host, &six) == 1) return !is_private_6(&six);
    return 1;
}
