
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _LOG_SUPPORT_H_INCLUDED_
#define _LOG_SUPPORT_H_INCLUDED_


#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "ngx_chathub_zone_int.h"
#include "ngx_chathub_ids.h"
#include "ngx_chathub_members.h"
#include "ngx_chathub_wake.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>


/* an area in shared memory with its mutex, as a zone of nginx has it */

typedef struct {
    void                *base;
    size_t               size;
    ngx_shmtx_sh_t      *lock;
    ngx_shmtx_t          mutex;
} area_t;


#define AREA_SIZE   (2 * 1024 * 1024)
#define AREA_LIFE   0x0123456789abcdefULL
#define T0          1700000000000ULL        /* a time */


static ngx_inline ngx_log_t *
test_log(void)
{
    static ngx_log_t    log;
    static ngx_cycle_t  cycle;

    cycle.log = &log;
    ngx_cycle = &cycle;
    ngx_pid = getpid();
    ngx_ncpu = 2;

    return &log;
}


static ngx_inline void
area_make(area_t *a, size_t size, ngx_uint_t slots, ngx_uint_t durable)
{
    static u_char  key[16] = "0123456789abcde";

    (void) test_log();

    a->size = size;
    a->base = mmap(NULL, size, PROT_READ|PROT_WRITE,
                   MAP_SHARED|MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(a->base, MAP_FAILED);

    a->lock = mmap(NULL, 4096, PROT_READ|PROT_WRITE,
                   MAP_SHARED|MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(a->lock, MAP_FAILED);

    ngx_memzero(&a->mutex, sizeof(ngx_shmtx_t));
    assert_int_equal(ngx_shmtx_create(&a->mutex, a->lock, NULL), NGX_OK);

    assert_int_equal(ngx_chathub_zone_format(a->base, size, slots, durable,
                                             AREA_LIFE, key),
                     NGX_OK);
}


static ngx_inline void
area_free(area_t *a)
{
    (void) munmap(a->base, a->size);
    (void) munmap(a->lock, 4096);
}


static ngx_inline void
area_open(area_t *a, ngx_chathub_zone_t *z)
{
    assert_int_equal(ngx_chathub_zone_open(z, a->base, a->size, &a->mutex,
                                           test_log()),
                     NGX_OK);
}


/* a handle with a slot, as a worker has it */

static ngx_inline void
area_worker(area_t *a, ngx_chathub_zone_t *z)
{
    area_open(a, z);
    assert_int_equal(ngx_chathub_zone_claim(z), NGX_OK);
}


/* the same in a process that a test has forked, where no assertion may fail:
 * cmocka would go on with the tests in it.  It ends with the test. */

static ngx_inline void
child_begin(area_t *a, ngx_chathub_zone_t *z, ngx_uint_t claim)
{
    ngx_pid = getpid();
    (void) prctl(PR_SET_PDEATHSIG, SIGKILL);

    if (ngx_chathub_zone_open(z, a->base, a->size, &a->mutex, test_log())
        != NGX_OK
        || (claim && ngx_chathub_zone_claim(z) != NGX_OK))
    {
        _exit(1);
    }
}


static ngx_inline ngx_str_t
str(const char *text)
{
    ngx_str_t  s;

    s.data = (u_char *) text;
    s.len = strlen(text);

    return s;
}


static ngx_inline ngx_chathub_key_t
room_key(const char *name)
{
    ngx_chathub_key_t  key;

    ngx_memzero(&key, sizeof(key));
    key.kind = NGX_CHATHUB_STREAM_ROOM;
    key.a = str(name);

    return key;
}


static ngx_inline ngx_chathub_key_t
pair_key(const char *a, const char *b)
{
    ngx_chathub_key_t  key;

    key.kind = NGX_CHATHUB_STREAM_PAIR;
    key.a = str(a);
    key.b = str(b);

    return key;
}


static ngx_inline ngx_chathub_key_t
all_key(void)
{
    ngx_chathub_key_t  key;

    ngx_memzero(&key, sizeof(key));
    key.kind = NGX_CHATHUB_STREAM_ALL;

    return key;
}


/* the hashes that the core makes, of any kind */

static ngx_inline uint64_t
text_hash(ngx_str_t *s, uint64_t seed)
{
    size_t    i;
    uint64_t  h;

    h = seed * 0x9e3779b97f4a7c15ULL + 1;

    for (i = 0; i < s->len; i++) {
        h = (h ^ s->data[i]) * 0x100000001b3ULL;
        h ^= h >> 31;
    }

    return h;
}


static ngx_inline void
append_fill(ngx_chathub_append_t *a, ngx_chathub_key_t key, const char *user,
    const char *id, const char *body)
{
    ngx_memzero(a, sizeof(ngx_chathub_append_t));

    a->key = key;
    a->user = str(user);
    a->id = str(id);
    a->body = str(body);
    a->id_hash[0] = text_hash(&a->id, 1);
    a->id_hash[1] = text_hash(&a->id, 2);
    a->digest = text_hash(&a->body, 3) ^ text_hash(&a->user, 4);
    a->now = T0;
    a->dedupe = 300000;
}


static ngx_inline ngx_int_t
append(ngx_chathub_zone_t *z, ngx_chathub_append_t *a, ngx_chathub_key_t key,
    const char *user, const char *id, const char *body)
{
    ngx_uint_t  forbidden;

    append_fill(a, key, user, id, body);

    return ngx_chathub_log_append(z, a, &forbidden);
}


/* messages to a room until the log has gone round */

static ngx_inline void
append_round(ngx_chathub_zone_t *z, const char *room)
{
    char                  id[32], *body;
    size_t                size;
    uint64_t              end;
    ngx_uint_t            i;
    ngx_chathub_append_t  a;

    size = z->messages.size / 32;
    body = malloc(size + 1);
    assert_non_null(body);

    memset(body, 'x', size);
    body[size] = '\0';

    end = z->sh->logs[0].head + z->messages.size + NGX_CHATHUB_UNIT;

    for (i = 0; z->sh->logs[0].head < end; i++) {
        (void) snprintf(id, sizeof(id), "r%llu",
                        (unsigned long long) z->sh->logs[0].head);
        assert_int_equal(append(z, &a, room_key(room), "filler", id, body),
                         NGX_OK);
    }

    free(body);
}


/* sweeps to the end, which must come */

static ngx_inline ngx_uint_t
sweep_all(ngx_chathub_zone_t *z, ngx_uint_t budget)
{
    ngx_int_t   rc;
    ngx_uint_t  calls;

    for (calls = 1; calls < 100000; calls++) {
        rc = ngx_chathub_zone_sweep(z, budget);

        if (rc != NGX_AGAIN) {
            break;
        }
    }

    assert_int_equal(rc, NGX_OK);

    return calls;
}


static ngx_inline ngx_uint_t
set_count(ngx_chathub_slotset_t *set)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_CHATHUB_SLOTS_MAX / 64; i++) {
        n += __builtin_popcountll(set->word[i]);
    }

    return n;
}


static ngx_inline ngx_uint_t
mutex_free(area_t *a)
{
    return a->lock->lock == 0;
}


#endif /* _LOG_SUPPORT_H_INCLUDED_ */
