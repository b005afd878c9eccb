
/*
 * Copyright (C) ChatHub contributors
 */


/* Streams: opening, numbers, eviction, and reading them without the mutex. */


#include "log_audit.h"


static area_t  area;


static int
setup(void **state)
{
    area_make(&area, AREA_SIZE, NGX_CHATHUB_SLOTS_MIN, 0);

    return 0;
}


static int
teardown(void **state)
{
    ngx_chathub_point_hook = NULL;
    area_free(&area);

    return 0;
}


static ngx_int_t
find(ngx_chathub_zone_t *z, ngx_chathub_key_t key, ngx_uint_t open,
    ngx_chathub_stream_info_t *info)
{
    return ngx_chathub_stream_find(z, &key, open, info);
}


/* opens rooms named by a number, [from, to) */

static void
open_rooms(ngx_chathub_zone_t *z, ngx_uint_t from, ngx_uint_t to)
{
    char                        name[32];
    ngx_chathub_stream_info_t   info;

    for ( /* void */ ; from < to; from++) {
        (void) snprintf(name, sizeof(name), "room-%u", (unsigned) from);
        assert_int_equal(find(z, room_key(name), 1, &info), NGX_OK);
    }
}


static void
test_find(void **state)
{
    ngx_chathub_zone_t          z;
    ngx_chathub_stream_info_t   info, again;

    area_worker(&area, &z);

    assert_int_equal(find(&z, room_key("r"), 0, &info), NGX_DECLINED);
    assert_int_equal(find(&z, room_key("r"), 1, &info), NGX_OK);

    assert_int_not_equal(info.stream_id, 0);
    assert_int_equal(info.epoch, AREA_LIFE);
    assert_int_equal(info.seq, 0);
    assert_int_equal(info.last, 0);
    assert_int_equal(info.users, 0);
    assert_int_equal(info.name_len, 1);
    assert_memory_equal(info.name, "r", 1);

    assert_int_equal(find(&z, room_key("r"), 0, &again), NGX_OK);
    assert_int_equal(again.stream_id, info.stream_id);
    assert_int_equal(find(&z, room_key("r"), 1, &again), NGX_OK);
    assert_int_equal(again.stream_id, info.stream_id);

    /* names are compared byte for byte */

    assert_int_equal(find(&z, room_key("R"), 0, &again), NGX_DECLINED);
    assert_int_equal(find(&z, room_key("rr"), 0, &again), NGX_DECLINED);

    /* kinds do not meet */

    assert_int_equal(find(&z, pair_key("r", "r"), 0, &again), NGX_DECLINED);

    audit(&z);
}


static void
test_pairs(void **state)
{
    ngx_chathub_zone_t          z;
    ngx_chathub_append_t        a;
    ngx_chathub_stream_info_t   info, other, self;

    area_worker(&area, &z);

    assert_int_equal(find(&z, pair_key("bob", "ann"), 1, &info), NGX_OK);
    assert_int_equal(find(&z, pair_key("ann", "bob"), 0, &other), NGX_OK);
    assert_int_equal(info.stream_id, other.stream_id);
    assert_int_equal(info.name_len, 0);

    /* where one ends and the other begins counts */

    assert_int_equal(find(&z, pair_key("annb", "ob"), 0, &other),
                     NGX_DECLINED);
    assert_int_equal(find(&z, pair_key("an", "nbob"), 0, &other),
                     NGX_DECLINED);

    /* with oneself */

    assert_int_equal(append(&z, &a, pair_key("ann", "ann"), "ann", "1", "x"),
                     NGX_OK);
    assert_int_equal(find(&z, pair_key("ann", "ann"), 0, &self), NGX_OK);
    assert_int_not_equal(self.stream_id, info.stream_id);
    assert_int_equal(self.seq, 1);

    assert_int_equal(append(&z, &a, pair_key("ann", "bob"), "ann", "2", "x"),
                     NGX_OK);
    assert_int_equal(append(&z, &a, pair_key("bob", "ann"), "bob", "3", "x"),
                     NGX_OK);
    assert_int_equal(a.seq, 2);
}


static void
test_everybody(void **state)
{
    ngx_chathub_zone_t          z;
    ngx_chathub_append_t        a;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z);

    assert_int_equal(find(&z, all_key(), 0, &info), NGX_OK);
    assert_int_equal(info.stream, 0);
    assert_int_equal(append(&z, &a, all_key(), "ann", "1", "x"), NGX_OK);
    assert_int_equal(a.stream, 0);
    assert_int_equal(a.seq, 1);
}


/* Reading without the mutex. */


static void
test_get(void **state)
{
    ngx_chathub_zone_t          z;
    ngx_chathub_append_t        a;
    ngx_chathub_stream_info_t   info, got;

    area_worker(&area, &z);

    assert_int_equal(append(&z, &a, room_key("r"), "ann", "1", "x"), NGX_OK);
    assert_int_equal(find(&z, room_key("r"), 0, &info), NGX_OK);

    /* whoever holds the mutex */

    area.lock->lock = 1;

    assert_int_equal(ngx_chathub_stream_get(&z, info.stream, info.stream_id,
                                            &got),
                     NGX_OK);
    assert_int_equal(got.seq, 1);
    assert_int_equal(got.last, a.position);
    assert_int_equal(got.epoch, AREA_LIFE);
    assert_memory_equal(got.name, "r", 1);

    assert_int_equal(ngx_chathub_stream_get(&z, info.stream,
                                            info.stream_id + 4, &got),
                     NGX_DECLINED);
    assert_int_equal(ngx_chathub_stream_get(&z, NGX_CHATHUB_NONE,
                                            info.stream_id, &got),
                     NGX_DECLINED);
    assert_int_equal(ngx_chathub_stream_get(&z, 5, 0, &got), NGX_DECLINED);

    area.lock->lock = 0;
}


static ngx_chathub_zone_t          *half_zone;
static ngx_chathub_stream_info_t    half_info;
static ngx_uint_t                   half_seen;

static void
half_hook(const char *name)
{
    ngx_chathub_stream_info_t  got;

    if (strcmp(name, "stream half") != 0) {
        return;
    }

    half_seen++;
    assert_int_equal(ngx_chathub_stream_get(half_zone, half_info.stream,
                                            half_info.stream_id, &got),
                     NGX_OK);
    assert_int_equal(got.seq, half_info.seq);
    assert_int_equal(got.last, half_info.last);
    assert_int_equal(got.epoch, half_info.epoch);
}


/* numbers that are half written are not seen, and hold up nobody */

static void
test_get_half_written(void **state)
{
    ngx_chathub_zone_t    z;
    ngx_chathub_append_t  a;

    area_worker(&area, &z);

    assert_int_equal(append(&z, &a, room_key("r"), "ann", "1", "x"), NGX_OK);
    assert_int_equal(append(&z, &a, room_key("r"), "ann", "2", "x"), NGX_OK);
    assert_int_equal(find(&z, room_key("r"), 0, &half_info), NGX_OK);

    half_zone = &z;
    half_seen = 0;
    ngx_chathub_point_hook = half_hook;
    assert_int_equal(append(&z, &a, room_key("r"), "ann", "3", "x"), NGX_OK);
    ngx_chathub_point_hook = NULL;

    assert_int_equal(half_seen, 1);
    assert_int_equal(find(&z, room_key("r"), 0, &half_info), NGX_OK);
    assert_int_equal(half_info.seq, 3);
}


/* a process that reads numbers while another one writes them: they belong
 * together */

static void
test_get_while_written(void **state)
{
    pid_t                       pid;
    uint64_t                    seq;
    ngx_uint_t                  i;
    ngx_chathub_zone_t          z;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z);

    assert_int_equal(find(&z, room_key("r"), 1, &info), NGX_OK);
    z.sh->logs[0].tail = 1;
    ngx_chathub_stream_set(&z.streams[info.stream], 1, 1, 1);

    pid = fork();
    assert_int_not_equal(pid, -1);

    if (pid == 0) {
        child_begin(&area, &z, 0);

        for (seq = 2; seq < 300000; seq++) {
            ngx_chathub_stream_set(&z.streams[info.stream], seq, seq, seq);
        }

        _exit(0);
    }

    seq = 0;

    for (i = 0; i < 100000000 && seq < 299999; i++) {
        assert_int_equal(ngx_chathub_stream_get(&z, info.stream,
                                                info.stream_id, &info),
                         NGX_OK);
        assert_int_equal(info.epoch, info.seq);
        assert_int_equal(info.epoch, info.last);
        assert_true(info.seq >= seq);
        seq = info.seq;
    }

    assert_int_equal(seq, 299999);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}


static void
test_rooms(void **state)
{
    char                        name[32];
    uint32_t                    i;
    uint64_t                    version;
    ngx_uint_t                  n;
    ngx_chathub_zone_t          z;
    ngx_chathub_append_t        a;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z);

    version = ngx_chathub_stream_version(&z);

    open_rooms(&z, 0, 10);
    assert_int_equal(ngx_chathub_stream_version(&z), version + 10);

    /* pairs are nobody else's business */

    assert_int_equal(find(&z, pair_key("ann", "bob"), 1, &info), NGX_OK);
    assert_int_equal(ngx_chathub_stream_version(&z), version + 10);

    assert_int_equal(append(&z, &a, room_key("room-3"), "ann", "1", "x"),
                     NGX_OK);
    assert_int_equal(ngx_chathub_stream_version(&z), version + 10);

    i = 0;

    for (n = 0; ngx_chathub_stream_next_room(&z, &i, &info) == NGX_OK; n++) {
        (void) snprintf(name, sizeof(name), "room-%u", (unsigned) n);

        assert_int_equal(info.name_len, strlen(name));
        assert_memory_equal(info.name, name, info.name_len);
        assert_int_equal(info.seq, n == 3);
    }

    assert_int_equal(n, 10);
}


/* Eviction. */


static void
test_full(void **state)
{
    char                        id[32], name[32];
    ngx_uint_t                  i, n;
    ngx_chathub_zone_t          z;
    ngx_chathub_append_t        a;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z);

    n = z.tables[NGX_CHATHUB_STREAMS].sh->n - 1;

    /* each has something in the log */

    for (i = 0; i < n; i++) {
        (void) snprintf(id, sizeof(id), "id-%u", (unsigned) i);
        (void) snprintf(name, sizeof(name), "room-%u", (unsigned) i);
        assert_int_equal(append(&z, &a, room_key(name), "ann", id, "x"),
                         NGX_OK);
    }

    assert_int_equal(find(&z, room_key("new"), 1, &info), NGX_BUSY);
    assert_int_equal(find(&z, room_key("new"), 0, &info), NGX_DECLINED);
    assert_int_equal(append(&z, &a, room_key("new"), "ann", "n", "x"),
                     NGX_BUSY);

    for (i = 0; i < n; i++) {
        (void) snprintf(name, sizeof(name), "room-%u", (unsigned) i);
        assert_int_equal(find(&z, room_key(name), 0, &info), NGX_OK);
        assert_int_equal(info.seq, 1);
    }

    assert_int_equal(find(&z, all_key(), 0, &info), NGX_OK);
    audit(&z);
}


/* rooms without members and messages make room for others, for ever */

static void
test_evict(void **state)
{
    ngx_uint_t                  n;
    ngx_chathub_zone_t          z;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z);

    n = z.tables[NGX_CHATHUB_STREAMS].sh->n;

    open_rooms(&z, 0, 5 * n);

    assert_int_equal(z.tables[NGX_CHATHUB_STREAMS].sh->used, n);
    assert_int_equal(find(&z, all_key(), 0, &info), NGX_OK);
    audit(&z);
}


static void
test_not_evicted(void **state)
{
    uint32_t                    user;
    ngx_str_t                   name, room;
    ngx_uint_t                  n, count, changed;
    ngx_chathub_zone_t          z;
    ngx_chathub_append_t        a;
    ngx_chathub_slotset_t       ring;
    ngx_chathub_stream_info_t   member, message, info;

    area_worker(&area, &z);

    n = z.tables[NGX_CHATHUB_STREAMS].sh->n;

    /* one has a member, the other a message in the log */

    name = str("ann");
    room = str("members");
    assert_int_equal(ngx_chathub_user_online(&z, &name, &user), NGX_OK);
    assert_int_equal(ngx_chathub_member_join(&z, &room, user, &member,
                                             &changed, &ring),
                     NGX_OK);

    append_round(&z, "messages");
    assert_int_equal(append(&z, &a, room_key("messages"), "ann", "1", "x"),
                     NGX_OK);
    assert_int_equal(find(&z, room_key("messages"), 0, &message), NGX_OK);

    open_rooms(&z, 0, 3 * n);
    assert_int_equal(ngx_chathub_stream_expire(&z, n), NGX_OK);
    assert_int_equal(z.tables[NGX_CHATHUB_STREAMS].sh->used, 3);

    assert_int_equal(ngx_chathub_stream_get(&z, member.stream,
                                            member.stream_id, &info),
                     NGX_OK);
    assert_int_equal(ngx_chathub_stream_get(&z, message.stream,
                                            message.stream_id, &info),
                     NGX_OK);

    /* until that ends */

    assert_int_equal(ngx_chathub_member_leave(&z, member.stream,
                                              member.stream_id, user, 1,
                                              &count, &changed, &ring),
                     NGX_OK);
    append_round(&z, "other");

    assert_int_equal(ngx_chathub_stream_expire(&z, n), NGX_OK);
    assert_int_equal(ngx_chathub_stream_get(&z, member.stream,
                                            member.stream_id, &info),
                     NGX_DECLINED);
    assert_int_equal(ngx_chathub_stream_get(&z, message.stream,
                                            message.stream_id, &info),
                     NGX_DECLINED);
    audit(&z);
}


static void
test_expire(void **state)
{
    uint64_t              version;
    ngx_uint_t            i, n;
    ngx_chathub_zone_t    z;

    area_worker(&area, &z);

    n = z.tables[NGX_CHATHUB_STREAMS].sh->n;

    open_rooms(&z, 0, 100);
    version = ngx_chathub_stream_version(&z);

    /* a slice looks at no more than its budget */

    assert_int_equal(ngx_chathub_stream_expire(&z, 10), NGX_OK);
    assert_true(z.tables[NGX_CHATHUB_STREAMS].sh->used >= 91);

    for (i = 0; i < n; i += 10) {
        assert_int_equal(ngx_chathub_stream_expire(&z, 10), NGX_OK);
    }

    assert_int_equal(z.tables[NGX_CHATHUB_STREAMS].sh->used, 1);
    assert_int_equal(ngx_chathub_stream_version(&z), version + 100);

    /* nothing to do is done without the mutex */

    area.lock->lock = 1;
    assert_int_equal(ngx_chathub_stream_expire(&z, n), NGX_OK);
    area.lock->lock = 0;
    audit(&z);
}


/* a stream that comes back goes on above what it had, others begin at 1 */

static void
test_seq_never_twice(void **state)
{
    char                        id[32], name[32];
    ngx_uint_t                  i, ones;
    ngx_chathub_zone_t          z;
    ngx_chathub_append_t        a;
    ngx_chathub_stream_info_t   info, again;

    area_worker(&area, &z);

    for (i = 0; i < 7; i++) {
        (void) snprintf(id, sizeof(id), "a-%u", (unsigned) i);
        assert_int_equal(append(&z, &a, room_key("r"), "ann", id, "x"),
                         NGX_OK);
    }

    assert_int_equal(find(&z, room_key("r"), 0, &info), NGX_OK);

    append_round(&z, "other");
    assert_int_equal(ngx_chathub_stream_expire(&z, 1000), NGX_OK);
    assert_int_equal(find(&z, room_key("r"), 0, &again), NGX_DECLINED);

    assert_int_equal(find(&z, room_key("r"), 1, &again), NGX_OK);
    assert_int_not_equal(again.stream_id, info.stream_id);
    assert_int_equal(again.epoch, info.epoch);
    assert_int_equal(again.seq, 7);
    assert_int_equal(again.last, 0);

    assert_int_equal(append(&z, &a, room_key("r"), "ann", "new", "x"),
                     NGX_OK);
    assert_int_equal(a.seq, 8);

    ones = 0;

    for (i = 0; i < 100; i++) {
        (void) snprintf(id, sizeof(id), "f-%u", (unsigned) i);
        (void) snprintf(name, sizeof(name), "fresh-%u", (unsigned) i);
        assert_int_equal(append(&z, &a, room_key(name), "ann", id, "x"),
                         NGX_OK);
        ones += (a.seq == 1);
    }

    assert_true(ones >= 98);
}


/* the key's hash decides nothing but where to look */

static void
test_collisions(void **state)
{
    uint32_t                    i, first, second;
    ngx_chathub_key_t           key[3];
    ngx_chathub_zone_t          z;

    area_worker(&area, &z);

    key[0] = room_key("one");
    key[1] = room_key("two");
    key[2] = room_key("six");

    for (i = 0; i < 3; i++) {
        ngx_chathub_stream_key(&key[i]);
    }

    assert_int_equal(ngx_chathub_zone_lock(&z), NGX_OK);

    first = ngx_chathub_stream_open(&z, &key[0], 12345);
    second = ngx_chathub_stream_open(&z, &key[1], 12345);

    assert_int_not_equal(first, second);
    assert_int_equal(ngx_chathub_stream_lookup(&z, &key[0], 12345), first);
    assert_int_equal(ngx_chathub_stream_lookup(&z, &key[1], 12345), second);
    assert_int_equal(ngx_chathub_stream_lookup(&z, &key[2], 12345),
                     NGX_CHATHUB_NONE);

    ngx_chathub_table_free(&z.tables[NGX_CHATHUB_STREAMS], first);

    assert_int_equal(ngx_chathub_stream_lookup(&z, &key[0], 12345),
                     NGX_CHATHUB_NONE);
    assert_int_equal(ngx_chathub_stream_lookup(&z, &key[1], 12345), second);

    ngx_chathub_zone_unlock(&z);
    audit(&z);
}


static void
test_unavailable(void **state)
{
    ngx_chathub_zone_t          z;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z);
    open_rooms(&z, 0, 1);

    /* init is never gone */

    area.lock->lock = 1;
    assert_int_equal(find(&z, room_key("r"), 0, &info), NGX_AGAIN);
    assert_int_equal(ngx_chathub_stream_expire(&z, 1000), NGX_BUSY);
    area.lock->lock = 0;
}


#define test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test(test_find),
        test(test_pairs),
        test(test_everybody),
        test(test_get),
        test(test_get_half_written),
        test(test_get_while_written),
        test(test_rooms),
        test(test_full),
        test(test_evict),
        test(test_not_evicted),
        test(test_expire),
        test(test_seq_never_twice),
        test(test_collisions),
        test(test_unavailable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
