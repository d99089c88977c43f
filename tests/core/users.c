/* Who may do what, how much of it, and who is told: users, sharing, quotas, groups of people, many requests at once. */
#include "tests/core/support/say.h"

static struct message set_user(const char *by, struct user_row r)
{
    static struct user_row row;
    row = r;
    if (!row.role) row.role = ROLE_USER;
    if (!row.group) row.group = "";
    return say_as(by, (struct message){.kind = MSG_user_set, .user_set.rows = {1, &row}}, NULL);
}

static struct message sample_with(const char *lineage, const char *key)
{
    static const char *prompt = "x";
    return (struct message){
        .kind = MSG_sample,
        .sample = {.key = name(key), .lineage = lineage, .per_prompt = 1, .prompts = {1, &prompt}}};
}

static struct message share(const char *by, const char *lineage, uint64_t visibility,
                            const char *with)
{
    static const char *names[1];
    names[0] = with;
    return say_as(by,
                  (struct message){.kind = MSG_lineage_set,
                                   .lineage_set = {.lineage = lineage,
                                                   .visibility = visibility,
                                                   .shared_with = {with != NULL, names}}},
                  NULL);
}

static int audited(const char *what)
{
    for (size_t i = 0; i < actions.n_puts; i++)
        if (actions.puts[i].type == PUT_AUDIT && strstr(actions.puts[i].audit.what, what)) return 1;
    return 0;
}

/* ---- sentences ---- */

static void admins(void)
{
    begin();
    REFUSED(set_user("bob", (struct user_row){.name = "eve"}), ERR_DENIED,
            "who is no admin adds nobody");
    is_int(set_user("root", (struct user_row){.name = "ann", .role = ROLE_ADMIN}).kind, MSG_done,
           "an admin does");
    ok(audited("set user ann"), "and it is written down");
    is_int(set_user("ann", (struct user_row){.name = "bob", .weight = 3}).kind, MSG_done,
           "who was made an admin is one");
    is_int(core_user_named(core, "bob")->weight, 3, "what is set is known");
    REFUSED(set_user("ann", (struct user_row){.name = "ann"}), ERR_INPUT,
            "nobody demotes themselves");
    REFUSED(set_user("ann", (struct user_row){.name = "no body"}), ERR_INPUT,
            "a name of two words is refused");
    set_user("ann", (struct user_row){.name = "bob", .key = name("key")});
    ok(core_user_by_key(core, name("key")) == core_user_named(core, "bob"), "a key finds its user");
    REFUSED(set_user("ann", (struct user_row){.name = "eve", .key = name("key")}), ERR_EXISTS,
            "a key is one user's");
    REFUSED(say_as("bob", (struct message){.kind = MSG_drain, .drain = {"", 1}}, NULL), ERR_DENIED,
            "draining is for admins");
    REFUSED(say_as("bob", (struct message){.kind = MSG_stop}, NULL), ERR_DENIED, "and stopping");
    restart();
    ok(core_user_by_key(core, name("key")) == core_user_named(core, "bob"),
       "all of it is there after a restart");
}

static void revoked(void)
{
    begin();
    lineage_as("bob", "cars");
    uint64_t j = say_as("bob", sample_with("cars", "one"), NULL).accepted.job;
    set_user("root", (struct user_row){.name = "bob", .revoked = 1});
    ok(audited("revoke user bob"), "a revocation is written down");
    REFUSED(say_as("bob", sample_with("cars", "two"), NULL), ERR_DENIED,
            "a revoked user is not heard");
    is_int(ready("g1").kind, MSG_none, "and none of their stages begins");
    struct core_why why;
    core_why(core, job(j), &why);
    is_int(why.reason, WHY_REVOKED, "their jobs say so");
    set_user("root", (struct user_row){.name = "bob"});
    is_int(stage(j, STAGE_SAMPLE), STAGE_LEASED, "until they are let in again");
}

static void sharing(void)
{
    begin();
    lineage_as("ann", "pets");
    say_as("bob", (struct message){.kind = MSG_cancel, .cancel.job = 9}, NULL);
    say_as("eve", (struct message){.kind = MSG_cancel, .cancel.job = 9}, NULL);
    const struct core_user *bob = core_user_named(core, "bob"), *eve = core_user_named(core, "eve");
    const struct core_lineage *l = core_lineage_named(core, "pets");
    ok(!core_may_read(core, bob, ROLE_USER, l), "a private lineage is its owner's");
    REFUSED(say_as("bob", sample_with("pets", "a"), NULL), ERR_DENIED, "nobody else samples it");
    REFUSED(share("bob", "pets", VISIBLE_PUBLIC, NULL), ERR_DENIED, "or shares it");
    REFUSED(share("ann", "pets", VISIBLE_PUBLIC, "two words"), ERR_INPUT,
            "with whom has to be a name");
    is_int(share("ann", "pets", VISIBLE_PUBLIC, NULL).kind, MSG_done, "its owner makes it public");
    is_int(say_as("bob", sample_with("pets", "b"), NULL).kind, MSG_accepted,
           "then everybody samples");
    REFUSED(say_as("bob", learn_with("pets", "<b>", 0, ""), NULL), ERR_DENIED,
            "but does not add to it");
    share("ann", "pets", VISIBLE_PRIVATE, "bob");
    is_int(say_as("bob", learn_with("pets", "<b>", 0, ""), NULL).kind, MSG_accepted,
           "with whom it is shared adds");
    ok(!core_may_read(core, eve, ROLE_USER, l), "others do not even read");
    set_user("root", (struct user_row){.name = "eve", .group = "lab"});
    share("ann", "pets", VISIBLE_PRIVATE, "@lab");
    ok(core_may_add(core, eve, ROLE_USER, l) && !core_may_add(core, bob, ROLE_USER, l),
       "a group of people is as good as a name");
    restart();
    eve = core_user_named(core, "eve");
    ok(core_may_add(core, eve, ROLE_USER, core_lineage_named(core, "pets")),
       "also after a restart");
}

static void who_sees(void)
{
    begin();
    lineage_as("ann", "pets");
    set_user("root", (struct user_row){.name = "bob", .group = "lab"});
    set_user("root", (struct user_row){.name = "eve"});
    uint32_t ann = core_user_named(core, "ann")->id;
    const struct core_user *bob = core_user_named(core, "bob"), *eve = core_user_named(core, "eve");
    ok(core_sees(core, core_user(core, ann), ROLE_USER, ann), "one sees one's own jobs");
    ok(!core_sees(core, bob, ROLE_USER, ann) && !core_sees(core, eve, ROLE_USER, ann),
       "others do not");
    set_user("root", (struct user_row){.name = "ann", .group = "lab"});
    ok(core_sees(core, bob, ROLE_USER, ann) && !core_sees(core, eve, ROLE_USER, ann),
       "who is of the same group does");
    ok(core_sees(core, eve, ROLE_ADMIN, ann), "and an admin");
    ok(!core_sees(core, NULL, ROLE_USER, ann), "somebody new does not");
}

static void quotas(void)
{
    begin();
    lineage_as("ann", "pets");
    set_user("root", (struct user_row){.name = "ann", .max_queued = 2, .max_running = 1});
    uint64_t a = say(sample_with("pets", "a")).accepted.job;
    say(sample_with("pets", "b"));
    REFUSED(say(sample_with("pets", "c")), ERR_DENIED, "a third job is beyond a quota of two");
    struct message s = ready("g1");
    IS_STAGE(s, a, STAGE_SAMPLE, "one of them runs");
    is_int(ready("g2").kind, MSG_none, "the other one waits, with a quota of one stage");
    struct core_backlog now_there;
    core_backlog(core, &now_there);
    is_int(now_there.ready, 0, "and is no reason to start worker groups");
    struct core_why why;
    core_why(core, job(a + 1), &why);
    is_int(why.reason, WHY_QUOTA, "it says so");
    result("g1", &s, OK, "");
    is_int(stage(a + 1, STAGE_SAMPLE), STAGE_LEASED, "until the first one has ended");
    is_int(say(sample_with("pets", "c")).kind, MSG_accepted, "then there is room for another");
    set_user("root", (struct user_row){.name = "ann", .max_bytes = 350});
    REFUSED(say(sample_with("pets", "d")), ERR_DENIED, "bytes have a quota, too");
}

static void many_at_once(void)
{
    begin();
    lineage_as("ann", "pets");
    struct message m[4] = {
        sample_with("pets", "a"), {0}, sample_with("none", "b"), sample_with("pets", "a")};
    struct message r = say_many("ann", m, 4);
    const struct accepted_row *row = r.accepted_many.rows.v;
    ok(r.kind == MSG_accepted_many && r.accepted_many.rows.n == 4, "four requests, four rows");
    ok(row[0].job == 1 && row[0].code == OK, "the first is accepted");
    ok(row[1].job == 0 && row[1].code == ERR_PROTOCOL, "one that cannot be read is refused");
    ok(row[2].job == 0 && row[2].code == ERR_NOT_FOUND && strstr(row[2].line, "none"),
       "and one for a lineage that is not there: %s", row[2].line);
    ok(row[3].job == 1, "the same key is the same job, also in one message");
    struct message s = ready("g1");
    result("g1", &s, OK, "");
    pass(1);
    ok(!core_job(core, 1), "a job that has ended is forgotten");
    r = say_many("ann", m, 1);
    is_int(r.accepted_many.rows.v[0].job, 1, "its key is not");
}

int main(void)
{
    admins();
    revoked();
    sharing();
    who_sees();
    quotas();
    many_at_once();
    end();
    return done_testing();
}
