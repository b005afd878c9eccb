
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_zone_int.h"


/* entries looked at for one that can go, when the table is full */
#define NGX_CHATHUB_EVICT_LOOK  256


static ngx_uint_t ngx_chathub_stream_is(ngx_chathub_stream_t *s,
    ngx_chathub_key_t *key);
static ngx_uint_t ngx_chathub_stream_evictable(ngx_chathub_zone_t *z,
    uint32_t i);
static void ngx_chathub_stream_evict(ngx_chathub_zone_t *z, uint32_t i);
static void ngx_chathub_stream_evict_one(ngx_chathub_zone_t *z);
static void ngx_chathub_stream_changed(ngx_chathub_zone_t *z,
    ngx_uint_t kind);
static uint64_t *ngx_chathub_stream_floor(ngx_chathub_zone_t *z,
    uint32_t hash);


/* Under the mutex. */


void
ngx_chathub_stream_key(ngx_chathub_key_t *key)
{
    ngx_int_t         rc;
    ngx_str_t         a;
    static ngx_str_t  none = ngx_string("");

    if (key->kind == NGX_CHATHUB_STREAM_ALL) {
        key->a = none;
    }

    if (key->kind != NGX_CHATHUB_STREAM_PAIR) {
        key->b = none;
        return;
    }

    rc = ngx_memn2cmp(key->a.data, key->b.data, key->a.len, key->b.len);

    if (rc > 0) {
        a = key->a;
        key->a = key->b;
        key->b = a;
    }
}


uint64_t
ngx_chathub_stream_hash(ngx_chathub_zone_t *z, ngx_chathub_key_t *key)
{
    return ngx_chathub_zone_hash(z, key->kind, &key->a, &key->b);
}


uint32_t
ngx_chathub_stream_lookup(ngx_chathub_zone_t *z, ngx_chathub_key_t *key,
    uint64_t hash)
{
    uint32_t              i;
    ngx_chathub_table_t  *t;

    t = &z->tables[NGX_CHATHUB_STREAMS];

    for (i = ngx_chathub_table_first(t, (uint32_t) hash);
         i != NGX_CHATHUB_NONE;
         i = ngx_chathub_table_next(t, i, (uint32_t) hash))
    {
        if (ngx_chathub_stream_is(&z->streams[i], key)) {
            break;
        }
    }

    return i;
}


static ngx_uint_t
ngx_chathub_stream_is(ngx_chathub_stream_t *s, ngx_chathub_key_t *key)
{
    return s->kind == key->kind
           && s->a_len == key->a.len
           && s->b_len == key->b.len
           && ngx_memcmp(s->a, key->a.data, s->a_len) == 0
           && ngx_memcmp(s->b, key->b.data, s->b_len) == 0;
}


uint32_t
ngx_chathub_stream_open(ngx_chathub_zone_t *z, ngx_chathub_key_t *key,
    uint64_t hash)
{
    uint32_t               i;
    ngx_chathub_table_t   *t;
    ngx_chathub_stream_t  *s;

    i = ngx_chathub_stream_lookup(z, key, hash);

    if (i != NGX_CHATHUB_NONE) {
        return i;
    }

    t = &z->tables[NGX_CHATHUB_STREAMS];

    if (t->sh->free == NGX_CHATHUB_NONE) {
        ngx_chathub_stream_evict_one(z);
    }

    i = ngx_chathub_table_take(t);

    if (i == NGX_CHATHUB_NONE) {
        return i;
    }

    s = &z->streams[i];

    s->kind = key->kind;
    s->a_len = key->a.len;
    s->b_len = key->b.len;
    ngx_memcpy(s->a, key->a.data, key->a.len);
    ngx_memcpy(s->b, key->b.data, key->b.len);

    ngx_memzero(&s->slots, sizeof(ngx_chathub_slotset_t));
    s->users = 0;
    s->members = 0;
    s->first = NGX_CHATHUB_NONE;

    /* no seq is used twice in the life of the zone */

    ngx_chathub_stream_set(s, z->sh->life,
                           *ngx_chathub_stream_floor(z, (uint32_t) hash), 0);

    ngx_chathub_table_commit(t, i, (uint32_t) hash,
                             ngx_chathub_zone_serial(z) | key->kind);

    ngx_chathub_stream_changed(z, key->kind);

    return i;
}


ngx_chathub_numbers_t *
ngx_chathub_stream_numbers(ngx_chathub_stream_t *s)
{
    return &s->numbers[ngx_chathub_get(&s->turn) & 1];
}


void
ngx_chathub_stream_set(ngx_chathub_stream_t *s, uint64_t epoch, uint64_t seq,
    uint64_t last)
{
    ngx_chathub_numbers_t  *numbers;

    numbers = &s->numbers[(s->turn + 1) & 1];

    /* a reader of the turn before the present one may be here still */

    ngx_chathub_fence_write();

    numbers->epoch = epoch;
    numbers->seq = seq;

    NGX_CHATHUB_POINT("stream half");

    numbers->last = last;

    ngx_chathub_set(&s->turn, s->turn + 1);
}


static uint64_t *
ngx_chathub_stream_floor(ngx_chathub_zone_t *z, uint32_t hash)
{
    /* of other bits than those that choose the bucket */

    return &z->sh->floors[(hash >> 16) % NGX_CHATHUB_FLOORS];
}


static void
ngx_chathub_stream_changed(ngx_chathub_zone_t *z, ngx_uint_t kind)
{
    if (kind == NGX_CHATHUB_STREAM_ROOM) {
        ngx_chathub_set(&z->sh->rooms, z->sh->rooms + 1);
    }
}


/* also without the mutex, as a guess */

static ngx_uint_t
ngx_chathub_stream_evictable(ngx_chathub_zone_t *z, uint32_t i)
{
    uint64_t               id;
    ngx_chathub_stream_t  *s;

    id = ngx_chathub_get(&z->tables[NGX_CHATHUB_STREAMS].valid[i]);
    s = &z->streams[i];

    return id
           && ngx_chathub_id_kind(id) != NGX_CHATHUB_STREAM_ALL
           && s->members == 0
           && ngx_chathub_stream_numbers(s)->last
              < ngx_chathub_get(&z->sh->logs[0].tail);
}


static void
ngx_chathub_stream_evict(ngx_chathub_zone_t *z, uint32_t i)
{
    uint64_t              *floor, seq;
    ngx_uint_t             kind;
    ngx_chathub_stream_t  *s;

    s = &z->streams[i];
    kind = s->kind;

    floor = ngx_chathub_stream_floor(z, s->entry.hash);
    seq = ngx_chathub_stream_numbers(s)->seq;

    if (seq > *floor) {
        *floor = seq;
    }

    NGX_CHATHUB_POINT("stream floor");

    ngx_chathub_table_free(&z->tables[NGX_CHATHUB_STREAMS], i);

    ngx_chathub_stream_changed(z, kind);
}


static void
ngx_chathub_stream_evict_one(ngx_chathub_zone_t *z)
{
    uint32_t    i, n;
    ngx_uint_t  look;

    n = z->tables[NGX_CHATHUB_STREAMS].sh->n;

    for (look = 0; look < NGX_CHATHUB_EVICT_LOOK; look++) {

        i = z->sh->hand % n;
        z->sh->hand = (i + 1) % n;

        if (ngx_chathub_stream_evictable(z, i)) {
            ngx_chathub_stream_evict(z, i);
            return;
        }
    }
}


ngx_int_t
ngx_chathub_stream_find(ngx_chathub_zone_t *z, ngx_chathub_key_t *key,
    ngx_uint_t open, ngx_chathub_stream_info_t *info)
{
    uint32_t           i;
    uint64_t           hash;
    ngx_chathub_key_t  ordered;

    ordered = *key;

    ngx_chathub_stream_key(&ordered);
    hash = ngx_chathub_stream_hash(z, &ordered);

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    i = open ? ngx_chathub_stream_open(z, &ordered, hash)
             : ngx_chathub_stream_lookup(z, &ordered, hash);

    if (i != NGX_CHATHUB_NONE) {
        ngx_chathub_stream_copy(z, i, info);
    }

    ngx_chathub_zone_unlock(z);

    if (i != NGX_CHATHUB_NONE) {
        return NGX_OK;
    }

    return open ? NGX_BUSY : NGX_DECLINED;
}


ngx_int_t
ngx_chathub_stream_expire(ngx_chathub_zone_t *z, ngx_uint_t budget)
{
    uint32_t    i, n, hand;
    ngx_uint_t  found;

    n = z->tables[NGX_CHATHUB_STREAMS].sh->n;
    hand = ngx_chathub_get(&z->sh->hand);
    budget = ngx_min(budget, n);
    found = 0;

    for (i = 0; i < budget && !found; i++) {
        found = ngx_chathub_stream_evictable(z, (hand + i) % n);
    }

    if (!found) {
        ngx_chathub_set(&z->sh->hand, (hand + budget) % n);
        return NGX_OK;
    }

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_BUSY;
    }

    for (i = 0; i < budget; i++) {
        if (ngx_chathub_stream_evictable(z, (hand + i) % n)) {
            ngx_chathub_stream_evict(z, (hand + i) % n);
        }
    }

    z->sh->hand = (hand + budget) % n;

    ngx_chathub_zone_unlock(z);

    return NGX_OK;
}


/* Without the mutex. */


void
ngx_chathub_stream_copy(ngx_chathub_zone_t *z, uint32_t i,
    ngx_chathub_stream_info_t *info)
{
    uint64_t               turn;
    ngx_chathub_stream_t  *s;
    ngx_chathub_numbers_t  numbers;

    s = &z->streams[i];

    /* goes round only while others append to it */

    do {
        turn = ngx_chathub_get(&s->turn);
        numbers = s->numbers[turn & 1];
        ngx_chathub_fence_read();
    } while (turn != ngx_chathub_get(&s->turn));

    info->stream = i;
    info->stream_id = ngx_chathub_get(
                                 &z->tables[NGX_CHATHUB_STREAMS].valid[i]);
    info->epoch = numbers.epoch;
    info->seq = numbers.seq;
    info->last = numbers.last;
    info->users = ngx_chathub_get(&s->users);

    if (info->last < ngx_chathub_get(&z->sh->logs[0].tail)) {
        info->last = 0;
    }

    info->name_len = 0;

    if (ngx_chathub_id_kind(info->stream_id) == NGX_CHATHUB_STREAM_ROOM) {
        info->name_len = ngx_min(s->a_len, NGX_CHATHUB_NAME_MAX);
        ngx_memcpy(info->name, s->a, info->name_len);
    }
}


ngx_int_t
ngx_chathub_stream_get(ngx_chathub_zone_t *z, uint32_t stream,
    uint64_t stream_id, ngx_chathub_stream_info_t *info)
{
    ngx_chathub_table_t  *t;

    t = &z->tables[NGX_CHATHUB_STREAMS];

    if (stream >= t->sh->n || stream_id == 0
        || ngx_chathub_get(&t->valid[stream]) != stream_id)
    {
        return NGX_DECLINED;
    }

    ngx_chathub_stream_copy(z, stream, info);
    ngx_chathub_fence_read();

    /* an id is never used twice, so what was copied is this stream's */

    if (ngx_chathub_get(&t->valid[stream]) != stream_id
        || info->stream_id != stream_id)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


uint64_t
ngx_chathub_stream_version(ngx_chathub_zone_t *z)
{
    return ngx_chathub_get(&z->sh->rooms);
}


ngx_int_t
ngx_chathub_stream_next_room(ngx_chathub_zone_t *z, uint32_t *i,
    ngx_chathub_stream_info_t *info)
{
    uint64_t              id;
    ngx_chathub_table_t  *t;

    t = &z->tables[NGX_CHATHUB_STREAMS];

    while (*i < t->sh->n) {
        id = ngx_chathub_get(&t->valid[*i]);

        if (id && ngx_chathub_id_kind(id) == NGX_CHATHUB_STREAM_ROOM
            && ngx_chathub_stream_get(z, *i, id, info) == NGX_OK)
        {
            (*i)++;
            return NGX_OK;
        }

        (*i)++;
    }

    return NGX_DONE;
}
