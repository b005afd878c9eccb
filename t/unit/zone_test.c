
/*
 * Copyright (C) ChatHub contributors
 */


/* The area, its mutex, slots, sweeping and waking. */


#include "log_audit.h"

#include <poll.h>


#define SWEEP_MEMBERS  100


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


/* Children. */


static void
wait_dead(pid_t pid)
{
    siginfo_t  info;

    /* dead but not yet reaped */

    assert_int_equal(waitid(P_PID, pid, &info, WEXITED|WNOWAIT), 0);
}


static void
reap(pid_t pid)
{
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}


/* a child that lives until it is killed, and says when it is ready */

static pid_t
child_lives(int ready[2])
{
    pid_t  pid;

    assert_int_equal(pipe(ready), 0);

    pid = fork();
    assert_int_not_equal(pid, -1);

    return pid;
}


static void
child_ready(int ready[2])
{
    (void) write(ready[1], "x", 1);

    for ( ;; ) {
        (void) pause();
    }
}


static void
child_wait(int ready[2])
{
    char     c;
    ssize_t  n;

    /* where it has died before it was ready nothing comes */

    (void) close(ready[1]);
    n = read(ready[0], &c, 1);
    (void) close(ready[0]);

    assert_int_equal(n, 1);
}


static pid_t
child_idle(void)
{
    int                 ready[2];
    pid_t               pid;
    ngx_chathub_zone_t  z;

    pid = child_lives(ready);

    if (pid == 0) {
        child_begin(&area, &z, 0);
        child_ready(ready);
    }

    child_wait(ready);

    return pid;
}


static void
child_kill(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    reap(pid);
}


static pid_t
child_holds_mutex(void)
{
    int                 ready[2];
    pid_t               pid;
    ngx_chathub_zone_t  z;

    pid = child_lives(ready);

    if (pid == 0) {
        child_begin(&area, &z, 0);
        (void) ngx_chathub_zone_lock(&z);
        child_ready(ready);
    }

    child_wait(ready);

    return pid;
}


static uint64_t
msec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


/* The area. */


static void
test_format_sizes(void **state)
{
    void    *base;
    size_t   size, record;
    u_char   key[16];

    ngx_memzero(key, sizeof(key));

    for (record = 1024; record <= 4 * 1024 * 1024; record *= 4) {
        size = ngx_chathub_zone_min_size(record);

        assert_true(ngx_chathub_zone_max_record(size) >= record);

        base = calloc(1, size);
        assert_non_null(base);

        assert_int_equal(ngx_chathub_zone_format(base, size,
                                                 NGX_CHATHUB_SLOTS_MAX, 0, 1,
                                                 key),
                         NGX_OK);
        free(base);
    }

    base = calloc(1, AREA_SIZE);
    assert_non_null(base);

    for (size = 0; size < 512 * 1024; size += 4096) {
        assert_int_equal(ngx_chathub_zone_format(base, size, 64, 0, 1, key),
                         NGX_ERROR);
    }

    assert_int_equal(ngx_chathub_zone_format(base, AREA_SIZE,
                                             NGX_CHATHUB_SLOTS_MAX + 1, 0, 1,
                                             key),
                     NGX_ERROR);
    free(base);
}


static void
test_open_refuses(void **state)
{
    ngx_chathub_zone_t  z;

    area_open(&area, &z);

    assert_int_equal(ngx_chathub_zone_life(&z), AREA_LIFE);
    assert_int_equal(ngx_chathub_zone_nslots(&z), NGX_CHATHUB_SLOTS_MIN);
    assert_memory_equal(ngx_chathub_zone_key(&z), "0123456789abcde", 16);

    assert_int_equal(ngx_chathub_zone_open(&z, area.base, area.size - 4096,
                                           &area.mutex, test_log()),
                     NGX_DECLINED);

    ((ngx_chathub_zone_sh_t *) area.base)->layout++;
    assert_int_equal(ngx_chathub_zone_open(&z, area.base, area.size,
                                           &area.mutex, test_log()),
                     NGX_DECLINED);

    ((ngx_chathub_zone_sh_t *) area.base)->layout--;
    ((ngx_chathub_zone_sh_t *) area.base)->magic++;
    assert_int_equal(ngx_chathub_zone_open(&z, area.base, area.size,
                                           &area.mutex, test_log()),
                     NGX_DECLINED);
}


/* nothing in an area depends on where it is mapped */

static void
test_no_pointers(void **state)
{
    void                        *copy;
    uint32_t                     user;
    ngx_str_t                    name;
    ngx_uint_t                   changed;
    ngx_chathub_key_t            key;
    ngx_chathub_zone_t           z;
    ngx_chathub_append_t         a;
    ngx_chathub_slotset_t        ring;
    ngx_chathub_stream_info_t    info;

    area_worker(&area, &z);

    name = str("ann");
    assert_int_equal(ngx_chathub_user_online(&z, &name, &user), NGX_OK);

    name = str("lobby");
    assert_int_equal(ngx_chathub_member_join(&z, &name, user, &info, &changed,
                                             &ring),
                     NGX_OK);
    assert_int_equal(append(&z, &a, room_key("lobby"), "ann", "i1", "b"),
                     NGX_OK);

    copy = malloc(area.size);
    assert_non_null(copy);
    ngx_memcpy(copy, area.base, area.size);
    ngx_memset(area.base, 0xbd, area.size);

    assert_int_equal(ngx_chathub_zone_open(&z, copy, area.size, &area.mutex,
                                           test_log()),
                     NGX_OK);
    audit(&z);

    key = room_key("lobby");
    assert_int_equal(ngx_chathub_stream_find(&z, &key, 0, &info), NGX_OK);
    assert_int_equal(info.seq, 1);
    assert_int_equal(info.users, 1);

    free(copy);
}


static void
test_cycle(void **state)
{
    ngx_chathub_zone_t  z;

    area_worker(&area, &z);

    assert_int_equal(z.slots[z.slot].cycle, ngx_chathub_zone_cycle(&z));
    ngx_chathub_zone_new_cycle(&z);
    assert_int_equal(z.slots[z.slot].cycle + 1, ngx_chathub_zone_cycle(&z));
}


static void
test_hash_keyed(void **state)
{
    uint64_t            h;
    ngx_str_t           a, b;
    ngx_chathub_zone_t  z;

    area_open(&area, &z);

    a = str("ab");
    b = str("c");
    h = ngx_chathub_zone_hash(&z, 1, &a, &b);

    assert_int_equal(h, ngx_chathub_zone_hash(&z, 1, &a, &b));
    assert_int_not_equal(h, ngx_chathub_zone_hash(&z, 2, &a, &b));

    /* where one name ends and the other begins counts too */

    a = str("a");
    b = str("bc");
    assert_int_not_equal(h, ngx_chathub_zone_hash(&z, 1, &a, &b));

    a = str("ab");
    b = str("c");
    z.sh->key[3]++;
    assert_int_not_equal(h, ngx_chathub_zone_hash(&z, 1, &a, &b));
}


/* The mutex. */


static void
test_mutex_plain(void **state)
{
    ngx_chathub_zone_t  z;

    area_open(&area, &z);

    assert_int_equal(ngx_chathub_zone_lock(&z), NGX_OK);
    assert_int_equal(area.lock->lock, ngx_pid);
    assert_int_not_equal(z.sh->dirty, 0);

    ngx_chathub_zone_unlock(&z);
    assert_true(mutex_free(&area));
    assert_int_equal(z.sh->dirty, 0);
}


static void
test_mutex_bounded(void **state)
{
    pid_t               pid;
    uint64_t            begin, waited;
    ngx_chathub_zone_t  z;

    area_open(&area, &z);

    pid = child_holds_mutex();

    begin = msec();
    assert_int_equal(ngx_chathub_zone_lock(&z), NGX_BUSY);
    waited = msec() - begin;

    assert_in_range(waited, 100, 5000);

    /* a stopped one lives, too */

    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(ngx_chathub_zone_lock(&z), NGX_BUSY);
    assert_int_equal(area.lock->lock, pid);

    child_kill(pid);
}


static void
test_mutex_owner_dead(void **state)
{
    pid_t               pid;
    ngx_chathub_zone_t  z;

    area_open(&area, &z);

    pid = child_holds_mutex();
    child_kill(pid);

    assert_int_equal(area.lock->lock, pid);
    assert_int_equal(ngx_chathub_zone_lock(&z), NGX_OK);
    assert_true(z.repaired);

    ngx_chathub_zone_unlock(&z);
    assert_false(z.repaired);
    assert_true(mutex_free(&area));
}


static void
test_mutex_owner_zombie(void **state)
{
    pid_t               pid;
    ngx_chathub_zone_t  z;

    area_open(&area, &z);

    pid = child_holds_mutex();

    assert_int_equal(kill(pid, SIGKILL), 0);
    wait_dead(pid);

    assert_int_equal(ngx_chathub_zone_lock(&z), NGX_OK);
    ngx_chathub_zone_unlock(&z);

    reap(pid);
}


/* the number of a dead owner was given to another process */

static void
test_mutex_pid_reused(void **state)
{
    pid_t               pid;
    uint64_t            start, word;
    ngx_chathub_zone_t  z;

    area_open(&area, &z);

    pid = child_idle();
    assert_int_equal(ngx_chathub_slot_process(pid, &start), NGX_OK);
    assert_true(start > 1);

    /* its own start: alive */

    word = ((uint64_t) pid << 42) | start;
    z.sh->dirty = word;
    area.lock->lock = pid;
    assert_int_equal(ngx_chathub_zone_lock(&z), NGX_BUSY);

    /* not yet its own word: alive */

    z.sh->dirty = ((uint64_t) (pid + 1) << 42) | (start - 1);
    assert_int_equal(ngx_chathub_zone_lock(&z), NGX_BUSY);

    z.sh->dirty = word - 1;
    assert_int_equal(ngx_chathub_zone_lock(&z), NGX_OK);
    ngx_chathub_zone_unlock(&z);

    /* and to this very one */

    z.sh->dirty = ((uint64_t) ngx_pid << 42) | 1;
    area.lock->lock = ngx_pid;
    assert_int_equal(ngx_chathub_zone_lock(&z), NGX_OK);
    ngx_chathub_zone_unlock(&z);

    child_kill(pid);
}


/* Slots. */


static void
test_claim_release(void **state)
{
    ngx_uint_t          i, last;
    ngx_chathub_zone_t  z[NGX_CHATHUB_SLOTS_MIN + 1], other;

    for (i = 0; i < NGX_CHATHUB_SLOTS_MIN; i++) {
        area_worker(&area, &z[i]);
        assert_int_equal(z[i].slot, i);
        assert_int_equal(z[i].generation, 1);
    }

    area_open(&area, &z[i]);
    assert_int_equal(ngx_chathub_zone_claim(&z[i]), NGX_DECLINED);
    assert_int_equal(z[i].slot, NGX_CHATHUB_NO_SLOT);

    ngx_chathub_zone_release(&z[7], &last);
    assert_int_equal(last, 0);
    assert_int_equal(z[7].slot, NGX_CHATHUB_NO_SLOT);

    area_worker(&area, &other);
    assert_int_equal(other.slot, 7);
    assert_int_equal(other.generation, 2);

    ngx_chathub_zone_release(&other, &last);

    for (i = 0; i < NGX_CHATHUB_SLOTS_MIN; i++) {
        if (i != 7) {
            assert_int_equal(last, 0);
            ngx_chathub_zone_release(&z[i], &last);
        }
    }

    assert_int_equal(last, 1);
}


static void
test_release_last_of_the_living(void **state)
{
    int                 ready[2];
    pid_t               pid;
    ngx_uint_t          last;
    ngx_chathub_zone_t  z, other;

    area_worker(&area, &z);

    pid = child_lives(ready);

    if (pid == 0) {
        child_begin(&area, &other, 1);
        child_ready(ready);
    }

    child_wait(ready);
    child_kill(pid);

    ngx_chathub_zone_release(&z, &last);
    assert_int_equal(last, 1);
}


static void
test_release_leaves_to_sweep(void **state)
{
    uint32_t            user;
    ngx_str_t           name;
    ngx_uint_t          last;
    ngx_chathub_zone_t  z, other;

    area_worker(&area, &z);
    area_worker(&area, &other);

    name = str("ann");
    assert_int_equal(ngx_chathub_user_online(&z, &name, &user), NGX_OK);

    ngx_chathub_zone_release(&z, &last);
    assert_int_equal(ngx_chathub_slot_state(&other.slots[0]),
                     NGX_CHATHUB_SLOT_DEAD);
    assert_int_equal(ngx_chathub_user_find(&other, &name), NGX_DECLINED);

    assert_int_equal(ngx_chathub_zone_sweep(&other, 1000), NGX_OK);
    assert_int_equal(ngx_chathub_slot_state(&other.slots[0]),
                     NGX_CHATHUB_SLOT_FREE);
    assert_int_equal(z.tables[NGX_CHATHUB_USERS].sh->used, 0);
    audit(&other);
}


static void
test_slot_pid_reused(void **state)
{
    ngx_chathub_zone_t  z, other;

    area_worker(&area, &z);
    area_worker(&area, &other);

    assert_int_equal(ngx_chathub_zone_sweep(&other, 1000), NGX_OK);
    assert_int_equal(ngx_chathub_slot_state(&z.slots[z.slot]),
                     NGX_CHATHUB_SLOT_LIVE);

    z.slots[z.slot].start--;

    assert_int_equal(ngx_chathub_zone_sweep(&other, 1000), NGX_OK);
    assert_int_equal(ngx_chathub_slot_state(&z.slots[z.slot]),
                     NGX_CHATHUB_SLOT_FREE);
}


static void
test_crowded(void **state)
{
    ngx_uint_t          i, free, last;
    ngx_chathub_zone_t  old, middle, z[NGX_CHATHUB_SLOTS_MIN];

    area_worker(&area, &old);
    ngx_chathub_zone_new_cycle(&old);
    area_worker(&area, &middle);
    ngx_chathub_zone_new_cycle(&old);

    free = NGX_CHATHUB_SLOTS_MIN - 2;

    for (i = 0; free > 4; i++, free--) {
        area_worker(&area, &z[i]);
    }

    assert_int_equal(ngx_chathub_zone_crowded(&old, 5), 0);

    ngx_chathub_zone_drain(&middle);
    assert_int_equal(ngx_chathub_zone_crowded(&middle, 5), 1);

    ngx_chathub_zone_drain(&old);
    assert_int_equal(ngx_chathub_zone_crowded(&old, 5), 1);
    assert_int_equal(ngx_chathub_zone_crowded(&middle, 5), 0);
    assert_int_equal(ngx_chathub_zone_crowded(&old, 4), 0);
    assert_int_equal(ngx_chathub_zone_crowded(&z[0], 5), 0);

    ngx_chathub_zone_release(&old, &last);
    assert_int_equal(ngx_chathub_zone_crowded(&middle, 6), 1);
    assert_int_equal(ngx_chathub_zone_crowded(&middle, 5), 0);
}


static void
test_sessions(void **state)
{
    ngx_uint_t          last;
    ngx_chathub_zone_t  a, b;

    area_worker(&area, &a);
    area_worker(&area, &b);

    ngx_chathub_zone_set_sessions(&a, 3);
    ngx_chathub_zone_set_sessions(&b, 4);
    assert_int_equal(ngx_chathub_zone_sessions(&a), 7);

    ngx_chathub_zone_release(&b, &last);
    assert_int_equal(ngx_chathub_zone_sessions(&a), 3);
}


/* Sweeping. */


/* a child that claims a slot, and has users, memberships and addresses */

static pid_t
child_worker(ngx_uint_t n)
{
    int                         ready[2];
    char                        text[32];
    pid_t                       pid;
    u_char                      addr[16];
    uint32_t                    user;
    ngx_str_t                   name, room;
    ngx_uint_t                  i, changed;
    ngx_chathub_zone_t          z;
    ngx_chathub_slotset_t       ring;
    ngx_chathub_stream_info_t   info;

    pid = child_lives(ready);

    if (pid == 0) {
        child_begin(&area, &z, 1);
        ngx_chathub_zone_set_sessions(&z, n);

        room = str("lobby");

        for (i = 0; i < n; i++) {
            (void) snprintf(text, sizeof(text), "user-%u", (unsigned) i);
            name = str(text);

            ngx_memzero(addr, sizeof(addr));
            addr[15] = i;

            if (ngx_chathub_user_online(&z, &name, &user) != NGX_OK
                || ngx_chathub_member_join(&z, &room, user, &info, &changed,
                                           &ring)
                   != NGX_OK
                || ngx_chathub_addr_add(&z, addr, 0) != NGX_OK)
            {
                _exit(1);
            }
        }

        child_ready(ready);
    }

    child_wait(ready);

    return pid;
}


static void
test_sweep(void **state)
{
    u_char                     *buf;
    pid_t                       pid;
    uint32_t                    user;
    uint64_t                    pos;
    ngx_int_t                   rc;
    ngx_str_t                   name, room;
    ngx_uint_t                  left, calls, changed;
    ngx_chathub_key_t           key;
    ngx_chathub_zone_t          z;
    ngx_chathub_record_t        rec;
    ngx_chathub_slotset_t       ring;
    ngx_chathub_stream_info_t   info;

    area_worker(&area, &z);

    buf = malloc(ngx_chathub_zone_max_record(AREA_SIZE));
    assert_non_null(buf);

    /* one of the users is here as well, and stays */

    name = str("user-0");
    room = str("lobby");
    assert_int_equal(ngx_chathub_user_online(&z, &name, &user), NGX_OK);
    assert_int_equal(ngx_chathub_member_join(&z, &room, user, &info, &changed,
                                             &ring),
                     NGX_OK);

    pid = child_worker(SWEEP_MEMBERS);

    assert_int_equal(ngx_chathub_zone_sweep(&z, 1000), NGX_OK);
    assert_int_equal(z.tables[NGX_CHATHUB_MEMBERS].sh->used,
                     SWEEP_MEMBERS + 1);

    child_kill(pid);
    audit(&z);

    pos = ngx_chathub_log_head(&z.directed);

    for (calls = 1; calls < 1000; calls++) {
        rc = ngx_chathub_zone_sweep(&z, 10);

        if (rc != NGX_AGAIN) {
            break;
        }

        /* nobody gets the slot before it is clean */

        assert_int_equal(ngx_chathub_slot_state(&z.slots[1]),
                         NGX_CHATHUB_SLOT_DEAD);
        audit(&z);
    }

    assert_int_equal(rc, NGX_OK);
    assert_true(calls >= 3 * SWEEP_MEMBERS / 10);
    assert_int_equal(ngx_chathub_slot_state(&z.slots[1]),
                     NGX_CHATHUB_SLOT_FREE);

    /* everybody else has left, and is said to have */

    left = 0;

    while (ngx_chathub_log_read(&z.directed, &pos, &rec, buf, NULL, NULL)
           == NGX_OK)
    {
        assert_int_equal(rec.kind, NGX_CHATHUB_REC_LEFT);
        assert_false(rec.user.len == 6
                     && ngx_memcmp(rec.user.data, "user-0", 6) == 0);
        left++;
    }

    assert_int_equal(left, SWEEP_MEMBERS - 1);

    key = room_key("lobby");
    assert_int_equal(ngx_chathub_stream_find(&z, &key, 0, &info), NGX_OK);
    assert_int_equal(info.users, 1);
    assert_int_equal(z.tables[NGX_CHATHUB_USERS].sh->used, 1);
    assert_int_equal(z.tables[NGX_CHATHUB_ADDRS].sh->used, 0);
    assert_int_equal(ngx_chathub_zone_sessions(&z), 0);
    audit(&z);

    free(buf);
}


/* a second one dies while the first is being swept */

static void
test_sweep_second(void **state)
{
    pid_t               first, second;
    ngx_chathub_zone_t  z;

    area_worker(&area, &z);

    first = child_worker(40);
    second = child_worker(40);

    child_kill(second);

    assert_int_equal(ngx_chathub_zone_sweep(&z, 70), NGX_AGAIN);

    child_kill(first);

    (void) sweep_all(&z, 10);

    assert_int_equal(z.tables[NGX_CHATHUB_MEMBERS].sh->used, 0);
    assert_int_equal(z.tables[NGX_CHATHUB_USERS].sh->used, 0);
    assert_int_equal(z.tables[NGX_CHATHUB_ADDRS].sh->used, 0);
    audit(&z);
}


static void
freed_hook(const char *name)
{
    if (strcmp(name, "sweep freed") == 0) {
        (void) kill(getpid(), SIGKILL);
    }
}


/* one without a slot dies as the sweep is done; then the same slot's next
 * owner dies */

static void
test_sweep_again(void **state)
{
    pid_t               pid;
    ngx_chathub_zone_t  z;

    area_worker(&area, &z);

    child_kill(child_worker(20));

    pid = fork();
    assert_int_not_equal(pid, -1);

    if (pid == 0) {
        child_begin(&area, &z, 0);
        ngx_chathub_point_hook = freed_hook;

        while (ngx_chathub_zone_sweep(&z, 10) == NGX_AGAIN) { /* void */ }

        _exit(0);
    }

    reap(pid);
    assert_int_equal(ngx_chathub_slot_state(&z.slots[1]),
                     NGX_CHATHUB_SLOT_FREE);

    child_kill(child_worker(20));

    (void) sweep_all(&z, 10);

    assert_int_equal(z.tables[NGX_CHATHUB_MEMBERS].sh->used, 0);
    assert_int_equal(z.tables[NGX_CHATHUB_USERS].sh->used, 0);
    assert_int_equal(z.tables[NGX_CHATHUB_ADDRS].sh->used, 0);
    audit(&z);
}


/* Waking. */


static ngx_uint_t
rung(ngx_chathub_zone_t *z)
{
    struct pollfd  pfd;

    pfd.fd = ngx_chathub_wake_fd(z);
    pfd.events = POLLIN;

    return poll(&pfd, 1, 0) == 1;
}


static void
test_wake(void **state)
{
    uint64_t               messages, directed;
    ngx_chathub_zone_t     a, b, c;
    ngx_chathub_append_t   ap;
    ngx_chathub_slotset_t  all;

    area_worker(&area, &a);
    area_worker(&area, &b);
    area_worker(&area, &c);

    assert_int_equal(ngx_chathub_wake_create(&a), NGX_OK);

    messages = ngx_chathub_log_head(&a.messages);
    directed = ngx_chathub_log_head(&a.directed);

    ngx_chathub_slot_all(&a, &all);
    assert_int_equal(set_count(&all), 3);

    assert_int_equal(ngx_chathub_wake_arm(&a, messages, directed), NGX_OK);
    assert_int_equal(ngx_chathub_wake_arm(&b, messages, directed), NGX_OK);

    ngx_chathub_wake(&a, &all);

    /* who is armed, not the caller, not who reads anyway */

    assert_false(rung(&a));
    assert_true(rung(&b));
    assert_false(rung(&c));

    ngx_chathub_wake_clear(&b);
    assert_false(rung(&b));

    /* it is disarmed: once is enough */

    ngx_chathub_wake(&a, &all);
    assert_false(rung(&b));

    /* who has not seen the newest record does not sleep */

    assert_int_equal(append(&a, &ap, room_key("lobby"), "ann", "1", "x"),
                     NGX_OK);
    assert_int_equal(ngx_chathub_wake_arm(&b, messages, directed), NGX_AGAIN);

    ngx_chathub_wake(&a, &all);
    assert_false(rung(&b));

    messages = ngx_chathub_log_head(&a.messages);
    assert_int_equal(ngx_chathub_wake_arm(&b, messages, directed), NGX_OK);
    assert_int_equal(ngx_chathub_wake_arm(&b, messages, directed + 8),
                     NGX_AGAIN);

    ngx_chathub_wake_cursor(&b, messages);
    assert_int_equal(b.slots[b.slot].cursor, messages);

    ngx_chathub_wake_close(&a);
    assert_int_equal(a.slots[5].bell, -1);
}


/* a sweep that is done rings all, whoever was found dead */

static void
test_sweep_rings(void **state)
{
    pid_t               pid;
    uint64_t            messages;
    ngx_chathub_zone_t  a, b;

    area_worker(&area, &a);
    area_worker(&area, &b);

    assert_int_equal(ngx_chathub_wake_create(&a), NGX_OK);

    pid = child_worker(0);
    child_kill(pid);

    messages = ngx_chathub_log_head(&a.messages);
    assert_int_equal(ngx_chathub_wake_arm(&b, messages,
                                          ngx_chathub_log_head(&a.directed)),
                     NGX_OK);

    assert_int_equal(ngx_chathub_zone_sweep(&a, 1000), NGX_OK);
    assert_true(rung(&b));

    ngx_chathub_wake_close(&a);
}


#define test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test(test_format_sizes),
        test(test_open_refuses),
        test(test_no_pointers),
        test(test_cycle),
        test(test_hash_keyed),
        test(test_mutex_plain),
        test(test_mutex_bounded),
        test(test_mutex_owner_dead),
        test(test_mutex_owner_zombie),
        test(test_mutex_pid_reused),
        test(test_claim_release),
        test(test_release_last_of_the_living),
        test(test_release_leaves_to_sweep),
        test(test_slot_pid_reused),
        test(test_crowded),
        test(test_sessions),
        test(test_sweep),
        test(test_sweep_second),
        test(test_sweep_again),
        test(test_wake),
        test(test_sweep_rings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
