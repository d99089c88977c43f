/* user.c - who may speak, how much they may ask for, and whose work they may see.
 *
 * A user comes to be when an admin says so (user_set), or when the transport vouches for a name that nobody knew: the
 * owner of a home in the single-user default. Users are never removed, their work bears their name; a revoked
 * one is not heard, and none of their stages begins.
 */
#include "coordinator/core/state.h"

#include <stdlib.h>

/* ---- the table ---- */

struct user *user_at(const struct core *c, uint32_t id)
{
    return id && id <= c->n_users ? c->users[id - 1] : NULL;
}

static uint32_t name_hash(const struct core *c, const char *name)
{
    return map_hash(c->settings.seed, name, strlen(name));
}

struct user *user_named(const struct core *c, const char *name)
{
    uint32_t hash = name_hash(c, name);
    size_t at;

    for (uint32_t i = map_first(&c->user_names, hash, &at); i;
         i = map_next(&c->user_names, hash, &at))
        if (strcmp(user_at(c, i)->row.name, name) == 0) return user_at(c, i);
    return NULL;
}

static struct user *user_by_key(const struct core *c, struct hash key)
{
    uint32_t hash = map_hash(c->settings.seed, key.v, HASH_BYTES);
    size_t at;

    for (uint32_t i = map_first(&c->user_keys, hash, &at); i;
         i = map_next(&c->user_keys, hash, &at))
        if (hash_equal(user_at(c, i)->row.key, key)) return user_at(c, i);
    return NULL;
}

static void key_user(struct core *c, struct user *u, struct hash key)
{
    uint64_t seed = c->settings.seed;

    if (!hash_is_zero(u->row.key))
        map_remove(&c->user_keys, map_hash(seed, u->row.key.v, HASH_BYTES), u->row.id);
    u->row.key = key;
    if (!hash_is_zero(key) && !map_add(&c->user_keys, map_hash(seed, key.v, HASH_BYTES), u->row.id))
        c->broken = 1;
}

struct user *user_add(struct core *c, const struct core_user *row)
{
    struct user *u = mem_alloc(1, sizeof *u);
    struct hash none = {{0}};

    if (!u || !core_grow(c, &c->users, &c->users_room, c->n_users, sizeof *c->users)) {
        free(u);
        c->broken = 1;
        return NULL;
    }
    u->row = *row;
    u->row.id = (uint32_t)c->n_users + 1;
    u->row.name = core_own(c, row->name);
    u->row.group = core_own(c, row->group);
    u->row.key = none;
    u->row.ahead_ms = 0;
    u->row.queued = u->row.running = u->row.paused = u->row.leased = u->row.ready = 0;
    if (!u->row.weight) u->row.weight = 1;
    c->users[c->n_users++] = u;
    if (c->broken || !map_add(&c->user_names, name_hash(c, row->name), u->row.id)) {
        c->broken = 1;
        return NULL;
    }
    key_user(c, u, row->key);
    c->users_version++;
    return u;
}

struct user *user_of(struct core *c, const char *name, enum role role)
{
    struct user *u = user_named(c, name);

    if (u) return u;
    struct core_user row = {
        .name = (char *)(uintptr_t)name, .group = NULL, .role = role, .added_ms = c->now_ms};
    if ((u = user_add(c, &row))) put_user(c, u);
    return u;
}

/* ---- rights ---- */

int user_must_be_admin(struct core *c, const char *what)
{
    if (c->role == ROLE_ADMIN) return 1;
    core_refuse(c, ERR_DENIED, "%s is for admins; you are %s", what, c->asker->row.name);
    return 0;
}

int user_owns(const struct core *c, uint32_t owner)
{
    return c->role == ROLE_ADMIN || c->asker->row.id == owner;
}

static int same_group(const struct core_user *a, const struct core_user *b)
{
    return a->group[0] && strcmp(a->group, b->group) == 0;
}

int core_sees(const struct core *c, const struct core_user *who, enum role role, uint32_t owner)
{
    if (role == ROLE_ADMIN) return 1;
    if (!who || who->revoked) return 0;
    return who->role == ROLE_ADMIN || who->id == owner || same_group(who, core_user(c, owner));
}

static int shared_with(const struct core_user *who, const struct core_lineage *l)
{
    for (size_t i = 0; i < l->n_shared; i++) {
        const char *name = l->shared[i];
        if (name[0] == '@' ? who->group[0] && strcmp(name + 1, who->group) == 0
                           : strcmp(name, who->name) == 0)
            return 1;
    }
    return 0;
}

int core_may_add(const struct core *c, const struct core_user *who, enum role role,
                 const struct core_lineage *l)
{
    (void)c;
    if (role == ROLE_ADMIN) return 1;
    if (!who || who->revoked) return 0;
    return who->role == ROLE_ADMIN || who->id == l->owner || shared_with(who, l);
}

int core_may_read(const struct core *c, const struct core_user *who, enum role role,
                  const struct core_lineage *l)
{
    return l->visibility == VISIBLE_PUBLIC || core_may_add(c, who, role, l);
}

/* ---- user_set ---- */

/* Names are typed in shells and stand in paths: letters, digits, . _ - and no leading sign. */
int good_name(const char *s)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return *s && !strchr("._-", *s) && s[strspn(s, letters)] == '\0';
}

static int bad_row(struct core *c, const struct user_row *r)
{
    const struct user *holder = hash_is_zero(r->key) ? NULL : user_by_key(c, r->key);
    int oneself = c->asker && strcmp(c->asker->row.name, r->name) == 0;

    if (!good_name(r->name))
        core_refuse(c, ERR_INPUT, "user name `%s`: letters, digits, `.`, `_`, `-`", r->name);
    else if (r->group[0] && !good_name(r->group))
        core_refuse(c, ERR_INPUT, "group `%s` of user %s: letters, digits, `.`, `_`, `-`", r->group,
                    r->name);
    else if (r->role < ROLE_USER || r->role > ROLE_WORKER)
        core_refuse(c, ERR_INPUT, "user %s: role %d is none of user, admin, worker", r->name,
                    (int)r->role);
    else if (holder && strcmp(holder->row.name, r->name))
        core_refuse(c, ERR_EXISTS, "the key of user %s is that of user %s", r->name,
                    holder->row.name);
    else if (oneself && (r->revoked || r->role != ROLE_ADMIN))
        core_refuse(c, ERR_INPUT, "user %s: nobody revokes or demotes themselves", r->name);
    else return 0;
    return 1;
}

void user_set(struct core *c, const struct core_event *ev)
{
    const struct user_rows *rows = &ev->message->user_set.rows;
    const struct user_row *r = rows->v;
    struct user *u;

    if (!user_must_be_admin(c, "changing users")) return;
    if (rows->n != 1) {
        core_refuse(c, ERR_INPUT, "user_set: one user at a time");
        return;
    }
    if (bad_row(c, r)) return;
    if (!(u = user_of(c, r->name, (enum role)r->role))) return;
    free(u->row.group);
    u->row.group = core_own(c, r->group);
    u->row.role = (enum role)r->role;
    u->row.revoked = (int)r->revoked;
    u->row.weight = r->weight ? r->weight : 1;
    u->row.max_queued = r->max_queued;
    u->row.max_running = r->max_running;
    u->row.max_bytes = r->max_bytes;
    key_user(c, u, r->key);
    c->users_version++;
    put_user(c, u);
    fair_user(c, u);
    core_audit(c, "%s user %s: %s, weight %llu", r->revoked ? "revoke" : "set", r->name,
               r->role == ROLE_ADMIN    ? "admin"
               : r->role == ROLE_WORKER ? "worker"
                                        : "user",
               (unsigned long long)u->row.weight);
    core_done(c, "");
}

/* ---- looking ---- */

const struct core_user *core_user(const struct core *c, uint32_t id)
{
    const struct user *u = user_at(c, id);
    return u ? &u->row : NULL;
}

const struct core_user *core_user_named(const struct core *c, const char *name)
{
    const struct user *u = user_named(c, name);
    return u ? &u->row : NULL;
}

const struct core_user *core_user_by_key(const struct core *c, struct hash key)
{
    const struct user *u = hash_is_zero(key) ? NULL : user_by_key(c, key);
    return u ? &u->row : NULL;
}

uint32_t core_last_user(const struct core *c)
{
    return (uint32_t)c->n_users;
}

uint64_t core_users_version(const struct core *c)
{
    return c->users_version;
}
