
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_ids.h"


static uint32_t ngx_chathub_ids_lookup(ngx_chathub_zone_t *z,
    uint64_t hash[2]);


/* the newest one of that id, or NONE */

static uint32_t
ngx_chathub_ids_lookup(ngx_chathub_zone_t *z, uint64_t hash[2])
{
    uint32_t              i;
    ngx_chathub_table_t  *t;

    t = &z->tables[NGX_CHATHUB_IDS];

    for (i = ngx_chathub_table_first(t, (uint32_t) hash[0]);
         i != NGX_CHATHUB_NONE;
         i = ngx_chathub_table_next(t, i, (uint32_t) hash[0]))
    {
        if (z->ids[i].hash[0] == hash[0] && z->ids[i].hash[1] == hash[1]) {
            break;
        }
    }

    return i;
}


ngx_int_t
ngx_chathub_ids_find(ngx_chathub_zone_t *z, ngx_chathub_append_t *a,
    uint64_t user, uint64_t time, ngx_uint_t *forbidden)
{
    uint32_t              i;
    ngx_chathub_id_sh_t  *id;

    i = a->id.len ? ngx_chathub_ids_lookup(z, a->id_hash) : NGX_CHATHUB_NONE;

    if (i == NGX_CHATHUB_NONE || time - z->ids[i].time >= a->dedupe) {
        return NGX_OK;
    }

    id = &z->ids[i];

    if (id->user != user) {
        *forbidden = 1;
        return NGX_DECLINED;
    }

    if (id->digest != a->digest) {
        return NGX_DECLINED;
    }

    a->stream = id->stream;
    a->stream_id = id->stream_id;
    a->position = id->position;
    a->seq = id->seq;
    a->epoch = id->epoch;
    a->time = id->time;

    return NGX_DONE;
}


void
ngx_chathub_ids_add(ngx_chathub_zone_t *z, ngx_chathub_rec_sh_t *h)
{
    uint32_t              i;
    ngx_chathub_id_sh_t  *id;
    ngx_chathub_table_t  *t;

    t = &z->tables[NGX_CHATHUB_IDS];

    i = z->sh->ids % t->sh->n;
    id = &z->ids[i];

    if (t->valid[i]) {
        ngx_chathub_set(&z->sh->horizon, id->time);

        NGX_CHATHUB_POINT("ids horizon");

        ngx_chathub_table_remove(t, i);
    }

    /* the ring says what is next: there is no free list */

    id->stream = h->stream;
    id->hash[0] = h->id_hash[0];
    id->hash[1] = h->id_hash[1];
    id->user = h->user_hash;
    id->digest = h->digest;
    id->stream_id = h->stream_id;
    id->position = h->position;
    id->epoch = h->epoch;
    id->seq = h->seq;
    id->time = h->time;

    ngx_chathub_table_commit(t, i, (uint32_t) h->id_hash[0], z->sh->ids + 1);

    z->sh->ids++;

    NGX_CHATHUB_POINT("ids counted");
}


ngx_uint_t
ngx_chathub_ids_has(ngx_chathub_zone_t *z, ngx_chathub_rec_sh_t *h)
{
    uint32_t  i;

    i = ngx_chathub_ids_lookup(z, h->id_hash);

    return i != NGX_CHATHUB_NONE && z->ids[i].position == h->position;
}


void
ngx_chathub_ids_repair(ngx_chathub_zone_t *z)
{
    uint32_t              i, k, n;
    ngx_chathub_table_t  *t;

    t = &z->tables[NGX_CHATHUB_IDS];
    n = t->sh->n;

    /* valid words count on from one entry to the next */

    if (t->valid[z->sh->ids % n] == z->sh->ids + 1) {
        z->sh->ids++;
    }

    ngx_chathub_table_reset(t);

    /* the oldest first, so that of equal ids the newest is found */

    for (k = 0; k < n; k++) {
        i = (z->sh->ids + k) % n;

        if (t->valid[i]) {
            ngx_chathub_table_chain(t, i);
        }
    }
}


uint64_t
ngx_chathub_ids_horizon(ngx_chathub_zone_t *z)
{
    return ngx_chathub_get(&z->sh->horizon);
}
