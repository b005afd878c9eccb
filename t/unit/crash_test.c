
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * Each operation on the shared memory is begun by a process that dies at the
 * first point inside it, then by one that dies at the second, and so on.  After
 * each the zone must be whole, what was begun be either done or not, and a
 * retry come to the same end.  The next one may die while it repairs.
 */


#include "log_audit.h"


#define USERS   24
#define ROOMS   8
#define BODY    2000


typedef struct {
    const char   *name;
    void        (*before)(ngx_chathub_zone_t *z);    /* not to be killed */
    void        (*run)(ngx_chathub_zone_t *z);
    void        (*retry)(ngx_chathub_zone_t *z);     /* by another one */
    ngx_uint_t    claims;                            /* run() does so itself */
    ngx_uint_t    points;                            /* to be met, at least */
} op_t;


static area_t                      area;
static u_char                     *snapshot, *buf;
static uint64_t                    mark, directed_mark;
static ngx_uint_t                  until, met;

/* of an operation */
static uint32_t                    user;
static ngx_chathub_stream_info_t   info;


/* Operations. */


static void
online(ngx_chathub_zone_t *z, const char *name)
{
    ngx_str_t  s;

    s = str(name);
    (void) ngx_chathub_user_online(z, &s, &user);
}


static void
join(ngx_chathub_zone_t *z, const char *room)
{
    ngx_str_t              s;
    ngx_uint_t             changed;
    ngx_chathub_slotset_t  ring;

    s = str(room);
    (void) ngx_chathub_member_join(z, &s, user, &info, &changed, &ring);
}


static void
leave(ngx_chathub_zone_t *z, ngx_uint_t last)
{
    ngx_uint_t             changed, count;
    ngx_chathub_slotset_t  ring;

    (void) ngx_chathub_member_leave(z, info.stream, info.stream_id, user, last,
                                    &count, &changed, &ring);
}


static void
run_append(ngx_chathub_zone_t *z)
{
    ngx_chathub_append_t  a;

    (void) append(z, &a, room_key("fresh"), "ann", "the-id", "text");
}


static void
run_append_known(ngx_chathub_zone_t *z)
{
    ngx_chathub_append_t  a;

    (void) append(z, &a, room_key("full"), "ann", "the-id", "text");
}


static void
run_append_pair(ngx_chathub_zone_t *z)
{
    ngx_chathub_append_t  a;

    (void) append(z, &a, pair_key("bob", "ann"), "ann", "the-id", "text");
}


/* a pad, a new tail, a stream evicted, an id forgotten */

static void
run_append_all(ngx_chathub_zone_t *z)
{
    static char           body[BODY];
    ngx_chathub_append_t  a;

    memset(body, 'y', sizeof(body) - 1);

    (void) append(z, &a, room_key("fresh"), "ann", "the-id", body);
}


static void
run_online(ngx_chathub_zone_t *z)
{
    online(z, "eve");
}


static void
run_online_known(ngx_chathub_zone_t *z)
{
    online(z, "user-1");
}


static void
run_offline(ngx_chathub_zone_t *z)
{
    (void) ngx_chathub_user_offline(z, user);
}


static void
before_join_new(ngx_chathub_zone_t *z)
{
    online(z, "eve");
}


static void
run_join_new(ngx_chathub_zone_t *z)
{
    join(z, "fresh");
}


static void
run_join_known(ngx_chathub_zone_t *z)
{
    join(z, "room-1");
}


static void
before_join_again(ngx_chathub_zone_t *z)
{
    online(z, "user-1");
}


static void
before_leave(ngx_chathub_zone_t *z)
{
    online(z, "eve");
    join(z, "room-1");
}


static void
before_leave_other(ngx_chathub_zone_t *z)
{
    online(z, "user-1");
    join(z, "room-1");
}


static void
before_leave_twice(ngx_chathub_zone_t *z)
{
    before_leave(z);
    join(z, "room-1");
}


static void
run_leave(ngx_chathub_zone_t *z)
{
    leave(z, 1);
}


static void
run_leave_one(ngx_chathub_zone_t *z)
{
    leave(z, 0);
}


static void
run_typing(ngx_chathub_zone_t *z)
{
    ngx_str_t              name, body;
    ngx_chathub_slotset_t  ring;

    name = str("eve");
    body = str("1");
    (void) ngx_chathub_log_direct(z, NGX_CHATHUB_REC_TYPING, info.stream,
                                  info.stream_id, &name, &body, 1, &ring);
}


static void
run_addr_add(ngx_chathub_zone_t *z)
{
    u_char  addr[16];

    ngx_memset(addr, 7, sizeof(addr));
    (void) ngx_chathub_addr_add(z, addr, 10);
}


static void
run_addr_del(ngx_chathub_zone_t *z)
{
    u_char  addr[16];

    ngx_memset(addr, 7, sizeof(addr));
    (void) ngx_chathub_addr_del(z, addr);
}


static void
run_claim(ngx_chathub_zone_t *z)
{
    (void) ngx_chathub_zone_claim(z);
}


static void
run_release(ngx_chathub_zone_t *z)
{
    ngx_uint_t  last;

    ngx_chathub_zone_release(z, &last);
}


static void
run_sweep(ngx_chathub_zone_t *z)
{
    ngx_uint_t  calls;

    for (calls = 0; calls < 1000; calls++) {
        if (ngx_chathub_zone_sweep(z, 7) != NGX_AGAIN) {
            break;
        }
    }
}


static void
run_expire(ngx_chathub_zone_t *z)
{
    (void) ngx_chathub_stream_expire(z, 40);
}


/* Where they begin. */


static void
open_slot_users(ngx_chathub_zone_t *z)
{
    char        text[32];
    u_char      addr[16];
    ngx_uint_t  i;

    for (i = 0; i < USERS; i++) {
        (void) snprintf(text, sizeof(text), "user-%u", (unsigned) i);
        online(z, text);

        (void) snprintf(text, sizeof(text), "room-%u", (unsigned) i % ROOMS);
        join(z, text);

        ngx_memset(addr, i, sizeof(addr));
        (void) ngx_chathub_addr_add(z, addr, 0);
    }
}


/* a worker, ours, and one that is dead but not swept; the logs have gone
 * round, the tables of streams and ids are full */

static void
make_snapshot(void)
{
    char                        text[BODY + 1], id[32];
    pid_t                       pid;
    size_t                      left;
    ngx_uint_t                  i, n;
    ngx_chathub_key_t           key;
    ngx_chathub_zone_t          z;
    ngx_chathub_append_t        a;
    ngx_chathub_stream_info_t   room;

    area_worker(&area, &z);
    open_slot_users(&z);

    pid = fork();
    assert_int_not_equal(pid, -1);

    if (pid == 0) {
        child_begin(&area, &z, 1);
        open_slot_users(&z);
        _exit(0);
    }

    assert_int_equal(waitpid(pid, NULL, 0), pid);

    append_round(&z, "full");

    n = z.tables[NGX_CHATHUB_IDS].sh->n;
    memset(text, 'z', BODY);

    for (i = 0; i < n; i++) {
        (void) snprintf(id, sizeof(id), "fill-%u", (unsigned) i);
        text[400] = '\0';
        assert_int_equal(append(&z, &a, room_key("full"), "ann", id, text),
                         NGX_OK);
    }

    for (i = 0; z.tables[NGX_CHATHUB_STREAMS].sh->free != NGX_CHATHUB_NONE;
         i++)
    {
        (void) snprintf(id, sizeof(id), "old-%u", (unsigned) i);
        key = room_key(id);
        assert_int_equal(ngx_chathub_stream_find(&z, &key, 1, &room), NGX_OK);
    }

    /* the next record of some size needs a pad, and the tail */

    text[BODY - 1] = '\0';

    for (i = 0; /* void */ ; i++) {
        left = z.messages.size - z.sh->logs[0].head % z.messages.size;

        if (left < BODY / 2 && left > 200) {
            break;
        }

        (void) snprintf(id, sizeof(id), "pad-%u", (unsigned) i);
        text[i % 300 + 100] = '\0';
        assert_int_equal(append(&z, &a, room_key("full"), "ann", id, text),
                         NGX_OK);
        text[i % 300 + 100] = 'z';
    }

    audit(&z);

    mark = ngx_chathub_log_head(&z.messages);
    directed_mark = NGX_CHATHUB_UNIT;

    ngx_memcpy(snapshot, area.base, area.size);
}


static int
setup(void **state)
{
    area_make(&area, 1280 * 1024, NGX_CHATHUB_SLOTS_MIN, 0);

    snapshot = malloc(area.size);
    buf = malloc(ngx_chathub_zone_max_record(area.size));
    assert_non_null(snapshot);
    assert_non_null(buf);

    make_snapshot();

    return 0;
}


static int
teardown(void **state)
{
    free(snapshot);
    free(buf);
    area_free(&area);

    return 0;
}


/* Dying. */


static void
die_hook(const char *name)
{
    if (met++ == until) {
        (void) kill(getpid(), SIGKILL);
    }
}


/* returns 1 where the process came to its end alive */

static ngx_uint_t
child(const op_t *op, ngx_uint_t point)
{
    int                  status;
    pid_t                pid;
    ngx_chathub_zone_t   z;

    pid = fork();
    assert_int_not_equal(pid, -1);

    if (pid == 0) {
        met = 0;
        until = point;

        child_begin(&area, &z, op && !op->claims);

        if (op && op->before) {
            op->before(&z);
        }

        ngx_chathub_point_hook = die_hook;

        if (op) {
            op->run(&z);

        } else {
            if (ngx_chathub_zone_lock(&z) == NGX_OK) {
                ngx_chathub_zone_unlock(&z);
            }
        }

        _exit(0);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);

    if (WIFEXITED(status)) {
        assert_int_equal(WEXITSTATUS(status), 0);
        return 1;
    }

    assert_int_equal(WTERMSIG(status), SIGKILL);

    return 0;
}


/* What must be so. */


/* every message has its seq, its stream knows it, and its id is known */

static ngx_uint_t
verify_messages(ngx_chathub_zone_t *z)
{
    uint64_t                    pos;
    ngx_int_t                   rc;
    ngx_uint_t                  n;
    ngx_chathub_record_t        rec;
    ngx_chathub_stream_info_t   room;

    pos = mark;

    for (n = 0; /* void */ ; n++) {
        rc = ngx_chathub_log_read(&z->messages, &pos, &rec, buf, NULL, NULL);

        if (rc == NGX_DONE) {
            break;
        }

        assert_int_equal(rc, NGX_OK);
        assert_int_equal(ngx_chathub_stream_get(z, rec.stream, rec.stream_id,
                                                &room),
                         NGX_OK);
        assert_int_equal(room.seq, rec.seq);
        assert_int_equal(room.last, rec.position);
        assert_true(ngx_chathub_ids_has(z,
                                        ngx_chathub_log_record(&z->messages,
                                                              rec.position)));
    }

    assert_int_equal(z->sh->stored, ngx_chathub_log_head(&z->messages));

    return n;
}


/* what the directed log says of who is where is true; nobody is said to come
 * or go who has, or has not */

static void
verify_presence(ngx_chathub_zone_t *z)
{
    uint32_t                    i, is;
    uint64_t                    pos;
    ngx_int_t                   rc;
    ngx_uint_t                  u, r, there;
    ngx_str_t                   name;
    ngx_chathub_record_t        rec;
    ngx_chathub_stream_info_t   room;
    static u_char               in[USERS + 1][ROOMS + 1];

    ngx_memzero(in, sizeof(in));
    pos = directed_mark;

    for ( ;; ) {
        rc = ngx_chathub_log_read(&z->directed, &pos, &rec, buf, NULL, NULL);

        if (rc == NGX_DONE) {
            break;
        }

        assert_int_equal(rc, NGX_OK);

        if (rec.kind == NGX_CHATHUB_REC_TYPING) {
            continue;
        }

        /* "eve" and "fresh" are the last ones */

        u = (rec.user.len == 3) ? USERS
                                : (ngx_uint_t) ngx_atoi(rec.user.data + 5,
                                                        rec.user.len - 5);

        r = ROOMS;

        if (ngx_chathub_stream_get(z, rec.stream, rec.stream_id, &room)
            == NGX_OK
            && room.name_len == 6)
        {
            r = room.name[5] - '0';
        }

        there = (rec.kind == NGX_CHATHUB_REC_JOINED);
        assert_int_equal(in[u][r], !there);
        in[u][r] = there;
    }

    for (i = 0; i < z->tables[NGX_CHATHUB_MEMBERS].sh->n; i++) {

        if (z->tables[NGX_CHATHUB_MEMBERS].valid[i] == 0) {
            continue;
        }

        is = z->members[i].user;
        name.data = z->users[is].name;
        name.len = z->users[is].len;

        u = (name.len == 3) ? USERS
                            : (ngx_uint_t) ngx_atoi(name.data + 5,
                                                    name.len - 5);

        is = z->members[i].stream;
        r = (z->streams[is].a_len == 6) ? z->streams[is].a[5] - '0' : ROOMS;

        assert_true(in[u][r]);
        in[u][r] = 2;
    }

    for (u = 0; u <= USERS; u++) {
        for (r = 0; r <= ROOMS; r++) {
            assert_int_not_equal(in[u][r], 1);
        }
    }
}


static void
verify(const op_t *op, ngx_uint_t appends)
{
    ngx_uint_t          n, retried;
    ngx_chathub_zone_t  z;

    area_worker(&area, &z);

    audit(&z);
    verify_presence(&z);

    n = verify_messages(&z);
    assert_true(n <= appends);

    /* once, however often it is sent */

    retried = 0;

    if (op->retry) {
        op->retry(&z);
        audit(&z);
        retried = 1;
    }

    if (appends) {
        assert_int_equal(verify_messages(&z), retried);
    }

    (void) sweep_all(&z, 50);

    audit(&z);
    verify_presence(&z);

    /* of all only the first worker's is left */

    assert_int_equal(z.tables[NGX_CHATHUB_MEMBERS].sh->used, USERS);
    assert_int_equal(z.tables[NGX_CHATHUB_USERS].sh->used, USERS);
    assert_int_equal(z.tables[NGX_CHATHUB_ADDRS].sh->used, USERS);
    assert_int_equal(z.slots[0].held, 3 * USERS);

    assert_true(mutex_free(&area));
}


static void
restore(void)
{
    ngx_memcpy(area.base, snapshot, area.size);
    area.lock->lock = 0;
}


static const op_t  ops[] = {
    { "append", NULL, run_append, run_append, 0, 15 },
    { "append, known", NULL, run_append_known, run_append_known, 0, 10 },
    { "append, pair", NULL, run_append_pair, run_append_pair, 0, 15 },
    { "append, everything", NULL, run_append_all, run_append_all, 0, 20 },
    { "online", NULL, run_online, NULL, 0, 7 },
    { "online, known", NULL, run_online_known, NULL, 0, 4 },
    { "offline", before_join_new, run_offline, NULL, 0, 5 },
    { "join, new room", before_join_new, run_join_new, NULL, 0, 15 },
    { "join", before_join_new, run_join_known, NULL, 0, 10 },
    { "join, user is there", before_join_again, run_join_known, NULL, 0, 8 },
    { "join, again", before_leave, run_join_known, NULL, 0, 3 },
    { "leave", before_leave, run_leave, NULL, 0, 8 },
    { "leave, user stays", before_leave_other, run_leave, NULL, 0, 6 },
    { "leave, one of two", before_leave_twice, run_leave_one, NULL, 0, 3 },
    { "typing", before_leave, run_typing, NULL, 0, 6 },
    { "address", NULL, run_addr_add, NULL, 0, 6 },
    { "address, known", run_addr_add, run_addr_add, NULL, 0, 3 },
    { "address, gone", run_addr_add, run_addr_del, NULL, 0, 5 },
    { "claim", NULL, run_claim, NULL, 1, 5 },
    { "release", NULL, run_release, NULL, 0, 4 },
    { "release, with something", before_leave, run_release, NULL, 0, 4 },
    { "sweep", NULL, run_sweep, NULL, 0, 100 },
    { "expire", NULL, run_expire, NULL, 0, 50 },
};


static void
die_everywhere(ngx_uint_t repair)
{
    ngx_uint_t   i, point, alive, step;
    const op_t  *op;

    for (i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        op = &ops[i];

        for (point = 0; /* void */ ; point += step) {
            restore();

            alive = child(op, point);

            if (repair && !alive) {

                /* another one, that dies while it repairs */

                (void) child(NULL, (point * 5) % 17);
            }

            verify(op, op->retry ? 1 : 0);

            if (alive) {
                break;
            }

            /* of many that are alike some */

            step = (point > 60) ? 7 : 1;
        }

        if (point < op->points) {
            fail_msg("%s: %u points met", op->name, (unsigned) point);
        }
    }
}


static void
test_die(void **state)
{
    die_everywhere(0);
}


static void
test_die_in_repair(void **state)
{
    die_everywhere(1);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(test_die, setup, teardown),
        cmocka_unit_test_setup_teardown(test_die_in_repair, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
