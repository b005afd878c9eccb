
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_zone_int.h"


#if (NGX_CHATHUB_TEST)
void  (*ngx_chathub_point_hook)(const char *name);
#endif


static void ngx_chathub_table_unchain(ngx_chathub_table_t *t, uint32_t i);


void *
ngx_chathub_table_entry(ngx_chathub_table_t *t, uint32_t i)
{
    return t->entries + (size_t) i * t->size;
}


void
ngx_chathub_table_reset(ngx_chathub_table_t *t)
{
    uint32_t  i;

    t->sh->used = 0;
    t->sh->free = NGX_CHATHUB_NONE;

    for (i = 0; i < t->sh->n; i++) {
        t->buckets[i] = NGX_CHATHUB_NONE;
    }
}


uint32_t
ngx_chathub_table_take(ngx_chathub_table_t *t)
{
    uint32_t              i;
    ngx_chathub_entry_t  *e;

    i = t->sh->free;

    if (i != NGX_CHATHUB_NONE) {
        e = ngx_chathub_table_entry(t, i);
        t->sh->free = e->next;
    }

    NGX_CHATHUB_POINT("table take");

    return i;
}


void
ngx_chathub_table_commit(ngx_chathub_table_t *t, uint32_t i, uint32_t hash,
    uint64_t valid)
{
    ngx_chathub_entry_t  *e;

    e = ngx_chathub_table_entry(t, i);
    e->hash = hash;

    NGX_CHATHUB_POINT("table filled");

    ngx_chathub_set(&t->valid[i], valid);

    NGX_CHATHUB_POINT("table valid");

    ngx_chathub_table_chain(t, i);

    NGX_CHATHUB_POINT("table chained");
}


void
ngx_chathub_table_free(ngx_chathub_table_t *t, uint32_t i)
{
    ngx_chathub_table_remove(t, i);
    ngx_chathub_table_release(t, i);
}


void
ngx_chathub_table_remove(ngx_chathub_table_t *t, uint32_t i)
{
    ngx_chathub_set(&t->valid[i], 0);
    ngx_chathub_fence_write();

    NGX_CHATHUB_POINT("table invalid");

    ngx_chathub_table_unchain(t, i);
    t->sh->used--;

    NGX_CHATHUB_POINT("table unchained");
}


uint32_t
ngx_chathub_table_first(ngx_chathub_table_t *t, uint32_t hash)
{
    uint32_t              i;
    ngx_chathub_entry_t  *e;

    i = t->buckets[hash % t->sh->n];

    if (i == NGX_CHATHUB_NONE) {
        return i;
    }

    e = ngx_chathub_table_entry(t, i);

    return (e->hash == hash) ? i : ngx_chathub_table_next(t, i, hash);
}


uint32_t
ngx_chathub_table_next(ngx_chathub_table_t *t, uint32_t i, uint32_t hash)
{
    ngx_chathub_entry_t  *e;

    e = ngx_chathub_table_entry(t, i);

    for (i = e->next; i != NGX_CHATHUB_NONE; i = e->next) {
        e = ngx_chathub_table_entry(t, i);

        if (e->hash == hash) {
            break;
        }
    }

    return i;
}


void
ngx_chathub_table_chain(ngx_chathub_table_t *t, uint32_t i)
{
    uint32_t             *bucket;
    ngx_chathub_entry_t  *e;

    e = ngx_chathub_table_entry(t, i);
    bucket = &t->buckets[e->hash % t->sh->n];

    e->next = *bucket;
    *bucket = i;

    t->sh->used++;
}


static void
ngx_chathub_table_unchain(ngx_chathub_table_t *t, uint32_t i)
{
    uint32_t             *p;
    ngx_chathub_entry_t  *e, *other;

    e = ngx_chathub_table_entry(t, i);

    for (p = &t->buckets[e->hash % t->sh->n];
         *p != NGX_CHATHUB_NONE;
         p = &other->next)
    {
        if (*p == i) {
            *p = e->next;
            return;
        }

        other = ngx_chathub_table_entry(t, *p);
    }
}


void
ngx_chathub_table_release(ngx_chathub_table_t *t, uint32_t i)
{
    ngx_chathub_entry_t  *e;

    e = ngx_chathub_table_entry(t, i);

    e->next = t->sh->free;
    t->sh->free = i;
}
