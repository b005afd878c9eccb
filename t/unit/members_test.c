
/*
 * Copyright (C) ChatHub contributors
 */


/* Users, memberships and addresses over all workers. */


#include "log_audit.h"


#define WORKERS  3
#define LIMIT    1000


static area_t                      area;
static ngx_chathub_zone_t          z[WORKERS];
static u_char                     *buf;

/* of the last call */
static ngx_uint_t                  changed, count;
static ngx_chathub_slotset_t       ring;
static ngx_chathub_stream_info_t   info;


static int
setup_size(size_t size)
{
    ngx_uint_t  i;

    area_make(&area, size, NGX_CHATHUB_SLOTS_MIN, 0);

    for (i = 0; i < WORKERS; i++) {
        area_worker(&area, &z[i]);
    }

    buf = malloc(LIMIT * NGX_CHATHUB_NAME_MAX);
    assert_non_null(buf);

    return 0;
}


static int
setup(void **state)
{
    return setup_size(AREA_SIZE);
}


static int
setup_large(void **state)
{
    return setup_size(8 * AREA_SIZE);
}


static int
teardown(void **state)
{
    ngx_chathub_point_hook = NULL;
    free(buf);
    area_free(&area);

    return 0;
}


static uint32_t
online(ngx_uint_t worker, const char *user)
{
    uint32_t   index;
    ngx_str_t  name;

    name = str(user);
    assert_int_equal(ngx_chathub_user_online(&z[worker], &name, &index),
                     NGX_OK);

    return index;
}


static ngx_int_t
join(ngx_uint_t worker, const char *room, uint32_t user)
{
    ngx_str_t  name;

    name = str(room);

    return ngx_chathub_member_join(&z[worker], &name, user, &info, &changed,
                                   &ring);
}


static ngx_int_t
leave(ngx_uint_t worker, uint32_t user, ngx_uint_t last)
{
    return ngx_chathub_member_leave(&z[worker], info.stream, info.stream_id,
                                    user, last, &count, &changed, &ring);
}


static ngx_int_t
is_online(const char *user)
{
    ngx_str_t  name;

    name = str(user);

    return ngx_chathub_user_find(&z[0], &name);
}


static void
test_users(void **state)
{
    uint32_t  ann, bob;

    assert_int_equal(is_online("ann"), NGX_DECLINED);

    ann = online(0, "ann");
    bob = online(0, "bob");
    assert_int_not_equal(ann, bob);
    assert_int_equal(is_online("ann"), NGX_OK);
    assert_int_equal(is_online("an"), NGX_DECLINED);

    /* over workers, and again */

    assert_int_equal(online(1, "ann"), ann);
    assert_int_equal(online(1, "ann"), ann);
    assert_int_equal(z[0].slots[1].held, 1);

    assert_int_equal(ngx_chathub_user_offline(&z[0], ann), NGX_OK);
    assert_int_equal(is_online("ann"), NGX_OK);
    assert_int_equal(ngx_chathub_user_offline(&z[0], ann), NGX_OK);
    assert_int_equal(is_online("ann"), NGX_OK);
    assert_int_equal(ngx_chathub_user_offline(&z[1], ann), NGX_OK);
    assert_int_equal(is_online("ann"), NGX_DECLINED);

    assert_int_equal(z[0].tables[NGX_CHATHUB_USERS].sh->used, 1);
    audit(&z[0]);
}


static void
expect_record(uint64_t *pos, ngx_uint_t kind, const char *user)
{
    u_char                text[512];
    ngx_chathub_record_t  rec;

    assert_int_equal(ngx_chathub_log_read(&z[0].directed, pos, &rec, text,
                                          NULL, NULL),
                     NGX_OK);
    assert_int_equal(rec.kind, kind);
    assert_int_equal(rec.stream_kind, NGX_CHATHUB_STREAM_ROOM);
    assert_int_equal(rec.stream, info.stream);
    assert_int_equal(rec.stream_id, info.stream_id);
    assert_int_equal(rec.user.len, strlen(user));
    assert_memory_equal(rec.user.data, user, rec.user.len);
}


static void
test_join_leave(void **state)
{
    uint32_t              ann, bob;
    uint64_t              pos;
    ngx_chathub_append_t  a;

    ann = online(0, "ann");
    assert_int_equal(online(1, "ann"), ann);
    bob = online(2, "bob");

    pos = ngx_chathub_log_head(&z[0].directed);

    assert_int_equal(join(0, "r", ann), NGX_OK);
    assert_int_equal(changed, 1);
    assert_int_equal(ring.word[0], 1);
    assert_int_equal(info.users, 1);
    assert_int_equal(info.seq, 0);
    expect_record(&pos, NGX_CHATHUB_REC_JOINED, "ann");

    assert_int_equal(append(&z[2], &a, room_key("r"), "bob", "1", "x"),
                     NGX_OK);

    /* a second connection, and one on another worker: no news */

    assert_int_equal(join(0, "r", ann), NGX_OK);
    assert_int_equal(changed, 0);
    assert_int_equal(join(1, "r", ann), NGX_OK);
    assert_int_equal(changed, 0);
    assert_int_equal(info.users, 1);
    assert_int_equal(info.seq, 1);
    assert_int_equal(info.last, a.position);

    assert_int_equal(join(2, "r", bob), NGX_OK);
    assert_int_equal(changed, 1);
    assert_int_equal(ring.word[0], 1 | 2 | 4);
    assert_int_equal(info.users, 2);
    expect_record(&pos, NGX_CHATHUB_REC_JOINED, "bob");
    audit(&z[0]);

    assert_int_equal(leave(0, ann, 0), NGX_OK);
    assert_int_equal(changed, 0);
    assert_int_equal(count, 2);
    assert_int_equal(leave(0, ann, 1), NGX_OK);
    assert_int_equal(changed, 0);

    assert_int_equal(append(&z[2], &a, room_key("r"), "bob", "2", "x"),
                     NGX_OK);
    assert_int_equal(a.ring.word[0], 2 | 4);

    assert_int_equal(leave(1, ann, 1), NGX_OK);
    assert_int_equal(changed, 1);
    assert_int_equal(count, 1);
    assert_true(ring.word[0] & 4);
    expect_record(&pos, NGX_CHATHUB_REC_LEFT, "ann");

    assert_int_equal(leave(1, ann, 1), NGX_DECLINED);
    assert_int_equal(leave(2, bob, 1), NGX_OK);
    expect_record(&pos, NGX_CHATHUB_REC_LEFT, "bob");
    assert_int_equal(pos, ngx_chathub_log_head(&z[0].directed));

    assert_int_equal(z[0].tables[NGX_CHATHUB_MEMBERS].sh->used, 0);
    audit(&z[0]);

    info.stream_id += 4;
    assert_int_equal(leave(2, bob, 1), NGX_DECLINED);
}


/* the numbers of a join are those of the moment from which on the worker is
 * rung: nothing falls between */

static uint32_t  between_stream;

static void
between_hook(const char *name)
{
    ngx_chathub_stream_t   *s;
    ngx_chathub_numbers_t  *numbers;

    /* what the next one who has the mutex does */

    if (strcmp(name, "unlock clean") == 0) {
        ngx_chathub_point_hook = NULL;

        s = &z[0].streams[between_stream];
        numbers = ngx_chathub_stream_numbers(s);

        assert_true(ngx_chathub_slotset_has(&s->slots, z[0].slot));
        ngx_chathub_stream_set(s, numbers->epoch, numbers->seq + 1,
                               numbers->last);
    }
}


static void
test_join_numbers(void **state)
{
    uint32_t              ann;
    uint64_t              seq;
    ngx_chathub_append_t  a;

    ann = online(0, "ann");

    assert_int_equal(append(&z[1], &a, room_key("r"), "bob", "1", "x"),
                     NGX_OK);
    assert_int_equal(set_count(&a.ring), 0);

    between_stream = a.stream;
    ngx_chathub_point_hook = between_hook;
    assert_int_equal(join(0, "r", ann), NGX_OK);
    assert_null(ngx_chathub_point_hook);

    assert_int_equal(info.seq, 1);
    assert_int_equal(info.last, a.position);

    /* on from there the worker is rung */

    seq = info.seq + 1;
    assert_int_equal(append(&z[1], &a, room_key("r"), "bob", "2", "x"),
                     NGX_OK);
    assert_int_equal(a.seq, seq + 1);
    assert_int_equal(a.ring.word[0], 1);
}


static void
test_user_kept_by_memberships(void **state)
{
    uint32_t  ann;

    ann = online(0, "ann");
    assert_int_equal(join(0, "r", ann), NGX_OK);

    assert_int_equal(ngx_chathub_user_offline(&z[0], ann), NGX_OK);
    assert_int_equal(z[0].tables[NGX_CHATHUB_USERS].sh->used, 1);
    assert_int_equal(is_online("ann"), NGX_DECLINED);
    audit(&z[0]);

    assert_int_equal(leave(0, ann, 1), NGX_OK);
    assert_int_equal(z[0].tables[NGX_CHATHUB_USERS].sh->used, 0);
    audit(&z[0]);
}


static void
test_members_full(void **state)
{
    char                        room[32];
    uint32_t                    ann;
    ngx_int_t                   rc;
    ngx_uint_t                  i, users, streams;
    ngx_str_t                   name;
    ngx_chathub_stream_info_t   first;

    ann = online(0, "ann");
    users = z[0].tables[NGX_CHATHUB_USERS].sh->n;

    assert_int_equal(join(0, "r", ann), NGX_OK);
    first = info;

    for (i = 1; i < users; i++) {
        (void) snprintf(room, sizeof(room), "user-%u", (unsigned) i);
        (void) online(1, room);
    }

    name = str("one too many");
    assert_int_equal(ngx_chathub_user_online(&z[1], &name, &ann), NGX_BUSY);

    /* the table of memberships */

    rc = NGX_OK;

    for (i = 0; rc == NGX_OK; i++) {
        (void) snprintf(room, sizeof(room), "room-%u", (unsigned) i % 20);
        rc = join(0, room, i / 20);
    }

    assert_int_equal(rc, NGX_BUSY);
    assert_int_equal(z[0].tables[NGX_CHATHUB_MEMBERS].sh->used,
                     z[0].tables[NGX_CHATHUB_MEMBERS].sh->n);

    /* nothing was changed, not even a room opened */

    streams = z[0].tables[NGX_CHATHUB_STREAMS].sh->used;
    assert_int_equal(join(0, "new", 3), NGX_BUSY);
    assert_int_equal(changed, 0);
    assert_int_equal(z[0].tables[NGX_CHATHUB_STREAMS].sh->used, streams);
    audit(&z[0]);

    /* who is there already takes no more */

    name = str("ann");
    assert_int_equal(ngx_chathub_user_online(&z[0], &name, &ann), NGX_OK);
    assert_int_equal(join(0, "r", ann), NGX_OK);

    /* and who goes makes room */

    info = first;
    assert_int_equal(leave(0, ann, 0), NGX_OK);
    assert_int_equal(leave(0, ann, 1), NGX_OK);
    assert_int_equal(join(0, "new", 3), NGX_OK);
    audit(&z[0]);
}


/* Lists. */


static ngx_uint_t
list(const char *after, ngx_uint_t limit, ngx_str_t *names, ngx_uint_t *more)
{
    ngx_str_t   name;
    ngx_uint_t  n;

    name = str(after);

    assert_int_equal(ngx_chathub_member_list(&z[0], info.stream,
                                             info.stream_id, &name, limit,
                                             names, buf, &n, &count, more),
                     NGX_OK);

    return n;
}


static void
list_all(ngx_uint_t users)
{
    char                        user[32], after[32];
    ngx_str_t                   names[LIMIT];
    uint32_t                    index;
    ngx_uint_t                  i, k, n, more, seen;
    ngx_chathub_stream_info_t   room;

    /* in any order; every third on two workers */

    for (i = 0; i < users; i++) {
        k = (i * 17) % users;
        (void) snprintf(user, sizeof(user), "user-%05u", (unsigned) k);

        index = online(k % WORKERS, user);
        assert_int_equal(join(k % WORKERS, "r", index), NGX_OK);
        room = info;

        if (k % 3 == 0) {
            (void) online(1, user);
            assert_int_equal(join(1, "r", index), NGX_OK);
        }

        assert_int_equal(join(k % WORKERS, "other", index), NGX_OK);
    }

    info = room;
    after[0] = '\0';
    seen = 0;

    do {
        n = list(after, 99, names, &more);
        assert_int_equal(count, users);

        for (i = 0; i < n; i++, seen++) {
            (void) snprintf(user, sizeof(user), "user-%05u",
                            (unsigned) seen);
            assert_int_equal(names[i].len, strlen(user));
            assert_memory_equal(names[i].data, user, names[i].len);
        }

        memcpy(after, names[n - 1].data, names[n - 1].len);
        after[names[n - 1].len] = '\0';

        assert_int_equal(more, seen < users);
        assert_true(n == 99 || !more);

    } while (more);

    assert_int_equal(seen, users);

    assert_int_equal(list("user-99999", 99, names, &more), 0);
    assert_int_equal(more, 0);
    assert_int_equal(count, users);
}


/* under the mutex */

static void
test_list_small(void **state)
{
    list_all(175);
}


/* by a scan of the table */

static void
test_list_large(void **state)
{
    list_all(2002);

    /* the mutex is not needed for it */

    area.lock->lock = 1;
    assert_int_equal(list("user-00100", 10, (ngx_str_t[10]) { { 0, NULL } },
                          &changed),
                     10);
    area.lock->lock = 0;
}


static void
test_list_none(void **state)
{
    ngx_str_t   after, names[10];
    ngx_uint_t  n, more;

    assert_int_equal(join(0, "r", online(0, "ann")), NGX_OK);

    after = str("");
    assert_int_equal(ngx_chathub_member_list(&z[0], info.stream,
                                             info.stream_id + 4, &after, 10,
                                             names, buf, &n, &count, &more),
                     NGX_DECLINED);

    area.lock->lock = 1;
    assert_int_equal(ngx_chathub_member_list(&z[0], info.stream,
                                             info.stream_id, &after, 10,
                                             names, buf, &n, &count, &more),
                     NGX_AGAIN);
    area.lock->lock = 0;
}


/* Addresses. */


static void
test_addresses(void **state)
{
    u_char      addr[16];
    ngx_int_t   rc;
    ngx_uint_t  i;

    ngx_memzero(addr, sizeof(addr));
    addr[0] = 1;

    assert_int_equal(ngx_chathub_addr_add(&z[0], addr, 3), NGX_OK);
    assert_int_equal(ngx_chathub_addr_add(&z[1], addr, 3), NGX_OK);
    assert_int_equal(ngx_chathub_addr_add(&z[0], addr, 3), NGX_OK);
    assert_int_equal(ngx_chathub_addr_add(&z[2], addr, 3), NGX_DECLINED);
    assert_int_equal(ngx_chathub_addr_add(&z[0], addr, 3), NGX_DECLINED);
    assert_int_equal(ngx_chathub_addr_add(&z[2], addr, 0), NGX_OK);

    addr[15] = 1;
    assert_int_equal(ngx_chathub_addr_add(&z[2], addr, 3), NGX_OK);
    audit(&z[0]);

    addr[15] = 0;
    assert_int_equal(ngx_chathub_addr_del(&z[0], addr), NGX_OK);
    assert_int_equal(ngx_chathub_addr_add(&z[1], addr, 3), NGX_DECLINED);
    assert_int_equal(ngx_chathub_addr_del(&z[0], addr), NGX_OK);
    assert_int_equal(ngx_chathub_addr_add(&z[1], addr, 3), NGX_OK);

    /* one that it does not have */

    assert_int_equal(ngx_chathub_addr_del(&z[0], addr), NGX_OK);
    audit(&z[0]);

    rc = NGX_OK;

    for (i = 0; rc == NGX_OK; i++) {
        addr[8] = i >> 8;
        addr[9] = i;
        addr[10] = 1;
        rc = ngx_chathub_addr_add(&z[0], addr, 3);
    }

    assert_int_equal(rc, NGX_BUSY);
    assert_int_equal(z[0].tables[NGX_CHATHUB_ADDRS].sh->used,
                     z[0].tables[NGX_CHATHUB_ADDRS].sh->n);

    addr[8] = 0;
    addr[9] = 0;
    assert_int_equal(ngx_chathub_addr_del(&z[0], addr), NGX_OK);
    assert_int_equal(ngx_chathub_addr_add(&z[0], addr, 3), NGX_OK);
    audit(&z[0]);
}


static void
test_unavailable(void **state)
{
    u_char     addr[16];
    uint32_t   ann;
    ngx_str_t  name;

    ann = online(0, "ann");
    assert_int_equal(join(0, "r", ann), NGX_OK);

    ngx_memzero(addr, sizeof(addr));
    name = str("ann");

    area.lock->lock = 1;

    assert_int_equal(ngx_chathub_user_online(&z[0], &name, &ann), NGX_AGAIN);
    assert_int_equal(ngx_chathub_user_offline(&z[0], ann), NGX_AGAIN);
    assert_int_equal(ngx_chathub_user_find(&z[0], &name), NGX_AGAIN);
    assert_int_equal(leave(0, ann, 1), NGX_AGAIN);
    assert_int_equal(join(0, "r", ann), NGX_AGAIN);
    assert_int_equal(ngx_chathub_addr_add(&z[0], addr, 0), NGX_AGAIN);
    assert_int_equal(ngx_chathub_addr_del(&z[0], addr), NGX_AGAIN);

    area.lock->lock = 0;
    audit(&z[0]);
}


#define test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
#define test_large(f)                                                         \
    cmocka_unit_test_setup_teardown(f, setup_large, teardown)

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test(test_users),
        test(test_join_leave),
        test(test_join_numbers),
        test(test_user_kept_by_memberships),
        test(test_members_full),
        test(test_list_small),
        test_large(test_list_large),
        test(test_list_none),
        test(test_addresses),
        test(test_unavailable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
