
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_zone_int.h"
#include "ngx_chathub_ids.h"


/* what of an append is done before the mutex is taken, all hashing above
 * all */

typedef struct {
    ngx_chathub_rec_sh_t         head;
    ngx_str_t                    strings[4];
    ngx_chathub_key_t            key;         /* in order */
    uint64_t                     hash;
    uint64_t                     users[2];    /* of a pair */
} ngx_chathub_prepared_t;


static ngx_int_t ngx_chathub_log_place(ngx_chathub_log_t *l, size_t length,
    uint64_t *position, uint64_t *tail);
static size_t ngx_chathub_log_length(ngx_str_t strings[4]);
static void ngx_chathub_log_pad(ngx_chathub_log_t *l, uint64_t position,
    size_t length);
static void ngx_chathub_log_prepare(ngx_chathub_zone_t *z,
    ngx_chathub_append_t *a, ngx_chathub_prepared_t *pr);
static ngx_int_t ngx_chathub_log_append_locked(ngx_chathub_zone_t *z,
    ngx_chathub_append_t *a, ngx_chathub_prepared_t *pr,
    ngx_uint_t *forbidden);
static void ngx_chathub_log_ring(ngx_chathub_zone_t *z,
    ngx_chathub_append_t *a, ngx_chathub_prepared_t *pr);
static ngx_int_t ngx_chathub_log_head_of(ngx_chathub_log_t *l,
    uint64_t position, ngx_chathub_rec_sh_t *h);
static ngx_int_t ngx_chathub_log_check(ngx_chathub_log_t *l,
    uint64_t position, ngx_chathub_rec_sh_t *h);
static void ngx_chathub_log_fill(ngx_chathub_record_t *rec,
    ngx_chathub_rec_sh_t *h);
static void ngx_chathub_log_strings(ngx_chathub_record_t *rec,
    ngx_chathub_rec_sh_t *h, u_char *p);

#define ngx_chathub_log_sh(l)  (&(l)->zone->sh->logs[(l)->index])


/* Writing; under the mutex. */


/*
 * Finds where a record of "length" bytes goes, and the tail that makes room
 * for it.  NGX_BUSY: something that is not stored yet is in the way.
 */

static ngx_int_t
ngx_chathub_log_place(ngx_chathub_log_t *l, size_t length, uint64_t *position,
    uint64_t *tail)
{
    uint64_t               end;
    size_t                 left;
    ngx_chathub_log_sh_t  *sh;

    sh = ngx_chathub_log_sh(l);

    *position = sh->head;
    left = l->size - sh->head % l->size;

    /* a record is in one piece: a pad fills the end */

    if (left < length) {
        *position += left;
    }

    end = *position + length;
    *tail = sh->tail;

    if (end - *tail > l->size) {
        *tail = end - l->size + NGX_CHATHUB_UNIT - 1;
        *tail -= *tail % NGX_CHATHUB_UNIT;
    }

    if (l->index == 0 && l->zone->sh->durable
        && *tail > l->zone->sh->stored)
    {
        return NGX_BUSY;
    }

    return NGX_OK;
}


static size_t
ngx_chathub_log_length(ngx_str_t strings[4])
{
    size_t      length;
    ngx_uint_t  i;

    length = sizeof(ngx_chathub_rec_sh_t);

    for (i = 0; i < 4; i++) {
        length += strings[i].len;
    }

    return ngx_align(length, 8);
}


ngx_int_t
ngx_chathub_log_put(ngx_chathub_log_t *l, ngx_chathub_rec_sh_t *h,
    ngx_str_t strings[4], ngx_chathub_slotset_t *ring)
{
    u_char                 *p;
    size_t                  length;
    uint64_t                position, tail, head;
    ngx_uint_t              i;
    ngx_chathub_log_sh_t   *sh;
    ngx_chathub_slotset_t   all;

    length = ngx_chathub_log_length(strings);

    if (length > l->size / NGX_CHATHUB_SHARE) {
        return NGX_ERROR;
    }

    if (ngx_chathub_log_place(l, length, &position, &tail) != NGX_OK) {
        return NGX_BUSY;
    }

    sh = ngx_chathub_log_sh(l);
    head = sh->head;

    if (tail != sh->tail) {
        ngx_chathub_set(&sh->tail, tail);
        ngx_chathub_fence_write();

        NGX_CHATHUB_POINT("log tail");
    }

    if (position != head) {
        ngx_chathub_log_pad(l, head, position - head);

        NGX_CHATHUB_POINT("log pad");
    }

    h->length = length;
    h->position = position;
    h->user_len = strings[0].len;
    h->to_len = strings[1].len;
    h->id_len = strings[2].len;
    h->body_len = strings[3].len;
    h->unused = 0;

    p = l->start + position % l->size;

    p = ngx_cpymem(p, h, sizeof(ngx_chathub_rec_sh_t));

    NGX_CHATHUB_POINT("log half");

    for (i = 0; i < 4; i++) {
        if (strings[i].len) {
            p = ngx_cpymem(p, strings[i].data, strings[i].len);
        }
    }

    NGX_CHATHUB_POINT("log record");

    ngx_chathub_set(&sh->last, position);

    NGX_CHATHUB_POINT("log last");

    ngx_chathub_set_seq(&sh->head, position + length);

    NGX_CHATHUB_POINT("log head");

    /* nobody is to be lapped while he sleeps */

    if (head / (l->size / NGX_CHATHUB_EIGHTH)
        != (position + length) / (l->size / NGX_CHATHUB_EIGHTH))
    {
        ngx_chathub_slot_all(l->zone, &all);
        ngx_chathub_slotset_join(ring, &all);
    }

    return NGX_OK;
}


static void
ngx_chathub_log_pad(ngx_chathub_log_t *l, uint64_t position, size_t length)
{
    ngx_chathub_rec_sh_t  *h;

    /* eight bytes are always there */

    h = (ngx_chathub_rec_sh_t *) (l->start + position % l->size);

    h->length = length;
    h->kind = NGX_CHATHUB_REC_PAD;
    h->stream_kind = 0;
    h->id_len = 0;
}


void
ngx_chathub_log_put_directed(ngx_chathub_zone_t *z, ngx_uint_t kind,
    uint32_t stream, ngx_str_t *user, ngx_str_t *body, uint64_t session,
    ngx_chathub_slotset_t *ring)
{
    ngx_str_t              strings[4];
    ngx_chathub_stream_t  *s;
    ngx_chathub_rec_sh_t   h;

    ngx_memzero(&h, sizeof(ngx_chathub_rec_sh_t));
    ngx_memzero(strings, sizeof(strings));

    s = &z->streams[stream];

    h.kind = kind;
    h.stream_kind = s->kind;
    h.stream = stream;
    h.stream_id = z->tables[NGX_CHATHUB_STREAMS].valid[stream];
    h.epoch = ngx_chathub_stream_numbers(s)->epoch;
    h.time = z->sh->time;
    h.origin = z->sh->life;
    h.session = session;

    strings[0] = *user;

    if (body) {
        strings[3] = *body;
    }

    ngx_chathub_slotset_join(ring, &s->slots);

    /* it is small and nothing is ever kept for it: always done */

    (void) ngx_chathub_log_put(&z->directed, &h, strings, ring);
}


ngx_int_t
ngx_chathub_log_append(ngx_chathub_zone_t *z, ngx_chathub_append_t *a,
    ngx_uint_t *forbidden)
{
    ngx_int_t               rc;
    ngx_chathub_prepared_t  pr;

    *forbidden = 0;
    ngx_memzero(&a->ring, sizeof(ngx_chathub_slotset_t));

    ngx_chathub_log_prepare(z, a, &pr);

    if (ngx_chathub_log_length(pr.strings)
        > z->messages.size / NGX_CHATHUB_SHARE)
    {
        return NGX_ERROR;
    }

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    rc = ngx_chathub_log_append_locked(z, a, &pr, forbidden);

    ngx_chathub_zone_unlock(z);

    return rc;
}


static void
ngx_chathub_log_prepare(ngx_chathub_zone_t *z, ngx_chathub_append_t *a,
    ngx_chathub_prepared_t *pr)
{
    ngx_chathub_rec_sh_t  *h;

    ngx_memzero(pr, sizeof(ngx_chathub_prepared_t));

    pr->key = a->key;
    ngx_chathub_stream_key(&pr->key);
    pr->hash = ngx_chathub_stream_hash(z, &pr->key);

    pr->strings[0] = a->user;
    pr->strings[2] = a->id;
    pr->strings[3] = a->body;

    if (pr->key.kind == NGX_CHATHUB_STREAM_PAIR) {
        pr->users[0] = ngx_chathub_user_hash(z, &pr->key.a);
        pr->users[1] = ngx_chathub_user_hash(z, &pr->key.b);

        pr->strings[1] = (pr->key.a.len == a->user.len
                          && ngx_memcmp(pr->key.a.data, a->user.data,
                                        a->user.len)
                             == 0)
                         ? pr->key.b : pr->key.a;
    }

    h = &pr->head;

    h->kind = NGX_CHATHUB_REC_MESSAGE;
    h->stream_kind = pr->key.kind;
    h->origin = z->sh->life;
    h->id_hash[0] = a->id_hash[0];
    h->id_hash[1] = a->id_hash[1];
    h->user_hash = ngx_chathub_user_hash(z, &a->user);
    h->digest = a->digest;
}


static ngx_int_t
ngx_chathub_log_append_locked(ngx_chathub_zone_t *z, ngx_chathub_append_t *a,
    ngx_chathub_prepared_t *pr, ngx_uint_t *forbidden)
{
    uint32_t                i;
    uint64_t                position, tail;
    ngx_int_t               rc;
    ngx_chathub_rec_sh_t   *h;
    ngx_chathub_stream_t   *s;
    ngx_chathub_numbers_t  *numbers;

    h = &pr->head;
    h->time = ngx_chathub_zone_time(z, a->now);

    rc = ngx_chathub_ids_find(z, a, h->user_hash, h->time, forbidden);

    if (rc != NGX_OK) {
        return rc;
    }

    /* nothing is begun that cannot be done */

    if (ngx_chathub_log_place(&z->messages,
                              ngx_chathub_log_length(pr->strings), &position,
                              &tail)
        != NGX_OK)
    {
        return NGX_BUSY;
    }

    i = ngx_chathub_stream_open(z, &pr->key, pr->hash);

    if (i == NGX_CHATHUB_NONE) {
        return NGX_BUSY;
    }

    s = &z->streams[i];
    numbers = ngx_chathub_stream_numbers(s);

    h->stream = i;
    h->stream_id = z->tables[NGX_CHATHUB_STREAMS].valid[i];
    h->epoch = numbers->epoch;
    h->seq = numbers->seq + 1;
    h->prev = numbers->last;

    (void) ngx_chathub_log_put(&z->messages, h, pr->strings, &a->ring);

    ngx_chathub_stream_set(s, h->epoch, h->seq, h->position);

    NGX_CHATHUB_POINT("append stream");

    if (a->id.len) {
        ngx_chathub_ids_add(z, h);
    }

    NGX_CHATHUB_POINT("append id");

    if (!z->sh->durable) {
        z->sh->stored = z->sh->logs[0].head;
    }

    a->stream = i;
    a->stream_id = h->stream_id;
    a->position = h->position;
    a->seq = h->seq;
    a->epoch = h->epoch;
    a->time = h->time;

    ngx_chathub_log_ring(z, a, pr);

    return NGX_OK;
}


static void
ngx_chathub_log_ring(ngx_chathub_zone_t *z, ngx_chathub_append_t *a,
    ngx_chathub_prepared_t *pr)
{
    uint32_t               user;
    ngx_uint_t             i;
    ngx_chathub_slotset_t  busy;

    switch (pr->key.kind) {

    case NGX_CHATHUB_STREAM_ROOM:
        ngx_chathub_slotset_join(&a->ring, &z->streams[a->stream].slots);
        break;

    case NGX_CHATHUB_STREAM_PAIR:

        for (i = 0; i < 2; i++) {
            user = ngx_chathub_user_lookup(z, i ? &pr->key.b : &pr->key.a,
                                           pr->users[i]);

            if (user != NGX_CHATHUB_NONE) {
                ngx_chathub_slotset_join(&a->ring, &z->users[user].slots);
            }
        }

        break;

    default: /* NGX_CHATHUB_STREAM_ALL */
        ngx_chathub_slot_busy(z, &busy);
        ngx_chathub_slotset_join(&a->ring, &busy);
    }
}


ngx_int_t
ngx_chathub_log_direct(ngx_chathub_zone_t *z, ngx_uint_t kind,
    uint32_t stream, uint64_t stream_id, ngx_str_t *user, ngx_str_t *body,
    uint64_t session, ngx_chathub_slotset_t *ring)
{
    ngx_int_t  rc;
    ngx_str_t  strings[4];

    ngx_memzero(ring, sizeof(ngx_chathub_slotset_t));
    ngx_memzero(strings, sizeof(strings));

    strings[0] = *user;
    strings[3] = *body;

    if (ngx_chathub_log_length(strings)
        > z->directed.size / NGX_CHATHUB_SHARE)
    {
        return NGX_ERROR;
    }

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    rc = NGX_ERROR;

    if (stream < z->tables[NGX_CHATHUB_STREAMS].sh->n
        && z->tables[NGX_CHATHUB_STREAMS].valid[stream] == stream_id)
    {
        ngx_chathub_log_put_directed(z, kind, stream, user, body, session,
                                     ring);
        rc = NGX_OK;
    }

    ngx_chathub_zone_unlock(z);

    return rc;
}


ngx_int_t
ngx_chathub_log_stored(ngx_chathub_zone_t *z, uint64_t position)
{
    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    if (position > z->sh->stored && position <= z->sh->logs[0].head) {
        ngx_chathub_set_seq(&z->sh->stored, position);
    }

    ngx_chathub_zone_unlock(z);

    return NGX_OK;
}


/* Reading; without the mutex. */


uint64_t
ngx_chathub_log_head(ngx_chathub_log_t *l)
{
    return ngx_chathub_get_seq(&ngx_chathub_log_sh(l)->head);
}


/* a checked copy of a record's head; NGX_DECLINED: overwritten, or there is
 * none */

static ngx_int_t
ngx_chathub_log_head_of(ngx_chathub_log_t *l, uint64_t position,
    ngx_chathub_rec_sh_t *h)
{
    size_t                 left;
    ngx_chathub_log_sh_t  *sh;

    sh = ngx_chathub_log_sh(l);

    if (position % 8
        || position < ngx_chathub_get(&sh->tail)
        || position >= ngx_chathub_get(&sh->head))
    {
        return NGX_DECLINED;
    }

    left = l->size - position % l->size;

    if (left < sizeof(ngx_chathub_rec_sh_t)) {
        ngx_memzero(h, sizeof(ngx_chathub_rec_sh_t));

    } else {
        left = sizeof(ngx_chathub_rec_sh_t);
    }

    ngx_memcpy(h, l->start + position % l->size, left);
    ngx_chathub_fence_read();

    NGX_CHATHUB_POINT("log read");

    if (position < ngx_chathub_get(&sh->tail)) {
        return NGX_DECLINED;
    }

    return ngx_chathub_log_check(l, position, h);
}


/* whatever stands there, no reader leaves the log */

static ngx_int_t
ngx_chathub_log_check(ngx_chathub_log_t *l, uint64_t position,
    ngx_chathub_rec_sh_t *h)
{
    size_t  left;

    left = l->size - position % l->size;

    if (h->kind == NGX_CHATHUB_REC_PAD) {
        return (h->length == left) ? NGX_OK : NGX_DECLINED;
    }

    if (h->position != position
        || h->kind > NGX_CHATHUB_REC_LEFT
        || h->length % 8
        || h->length > left
        || h->length > l->size / NGX_CHATHUB_SHARE
        || h->user_len > NGX_CHATHUB_NAME_MAX
        || h->to_len > NGX_CHATHUB_NAME_MAX
        || h->id_len > NGX_CHATHUB_ID_MAX
        || (uint64_t) sizeof(ngx_chathub_rec_sh_t) + h->user_len + h->to_len
           + h->id_len + h->body_len > h->length)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


ngx_chathub_rec_sh_t *
ngx_chathub_log_record(ngx_chathub_log_t *l, uint64_t position)
{
    ngx_chathub_rec_sh_t  *h;
    ngx_chathub_log_sh_t  *sh;

    sh = ngx_chathub_log_sh(l);

    if (position % 8 || position < sh->tail
        || l->size - position % l->size < sizeof(ngx_chathub_rec_sh_t))
    {
        return NULL;
    }

    h = (ngx_chathub_rec_sh_t *) (l->start + position % l->size);

    if (h->kind == NGX_CHATHUB_REC_PAD
        || ngx_chathub_log_check(l, position, h) != NGX_OK)
    {
        return NULL;
    }

    return h;
}


ngx_int_t
ngx_chathub_log_read(ngx_chathub_log_t *l, uint64_t *pos,
    ngx_chathub_record_t *rec, u_char *buf, ngx_chathub_log_want_pt want,
    void *data)
{
    uint64_t               position;
    ngx_chathub_rec_sh_t   h;
    ngx_chathub_log_sh_t  *sh;

    sh = ngx_chathub_log_sh(l);
    position = *pos;

    if (position == ngx_chathub_get(&sh->head)) {
        return NGX_DONE;
    }

    if (ngx_chathub_log_head_of(l, position, &h) != NGX_OK) {
        goto lapped;
    }

    if (h.kind == NGX_CHATHUB_REC_PAD) {

        /* a record follows it always */

        position += h.length;

        if (ngx_chathub_log_head_of(l, position, &h) != NGX_OK
            || h.kind == NGX_CHATHUB_REC_PAD)
        {
            goto lapped;
        }
    }

    ngx_chathub_log_fill(rec, &h);

    if (want == NULL || want(data, rec)) {
        ngx_memcpy(buf, l->start + position % l->size + sizeof(h),
                   rec->length);
        ngx_chathub_fence_read();

        if (position < ngx_chathub_get(&sh->tail)) {
            goto lapped;
        }

        ngx_chathub_log_strings(rec, &h, buf);
    }

    *pos = rec->next;

    return NGX_OK;

lapped:

    *pos = ngx_chathub_get(&sh->head);

    return NGX_DECLINED;
}


static void
ngx_chathub_log_fill(ngx_chathub_record_t *rec, ngx_chathub_rec_sh_t *h)
{
    ngx_memzero(rec, sizeof(ngx_chathub_record_t));

    rec->kind = h->kind;
    rec->stream_kind = h->stream_kind;
    rec->stream = h->stream;
    rec->stream_id = h->stream_id;
    rec->position = h->position;
    rec->next = h->position + h->length;
    rec->epoch = h->epoch;
    rec->seq = h->seq;
    rec->time = h->time;
    rec->origin = h->origin;
    rec->prev = h->prev;
    rec->session = h->session;
    rec->length = (size_t) h->user_len + h->to_len + h->id_len + h->body_len;
}


static void
ngx_chathub_log_strings(ngx_chathub_record_t *rec, ngx_chathub_rec_sh_t *h,
    u_char *p)
{
    rec->user.len = h->user_len;
    rec->user.data = p;
    p += h->user_len;

    rec->to.len = h->to_len;
    rec->to.data = p;
    p += h->to_len;

    rec->id.len = h->id_len;
    rec->id.data = p;
    p += h->id_len;

    rec->body.len = h->body_len;
    rec->body.data = p;
}


ngx_int_t
ngx_chathub_log_replay(ngx_chathub_log_t *l, uint64_t stream_id,
    uint64_t epoch, uint64_t last, uint64_t seq, uint64_t *positions,
    ngx_uint_t max, ngx_uint_t *n)
{
    uint64_t              position, expected;
    ngx_chathub_rec_sh_t  h;

    *n = 0;
    expected = 0;

    for (position = last; /* void */ ; position = h.prev) {

        if (position == 0
            || ngx_chathub_log_head_of(l, position, &h) != NGX_OK
            || h.kind != NGX_CHATHUB_REC_MESSAGE
            || h.stream_id != stream_id
            || h.epoch != epoch
            || (expected && h.seq != expected))
        {
            return NGX_DECLINED;
        }

        if (h.seq <= seq) {
            return NGX_OK;
        }

        if (*n == max) {
            return NGX_BUSY;
        }

        positions[(*n)++] = position;
        expected = h.seq - 1;

        if (expected == seq) {
            return NGX_OK;
        }
    }
}
