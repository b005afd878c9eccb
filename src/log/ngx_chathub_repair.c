
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * After a process died under the mutex.  What it had not made valid is free;
 * what it had is completed: the record at "last" gets into its stream and into
 * the ids.  Everything that follows from the entries is made anew.  Whoever
 * dies here leaves the same to the next one.
 */


#include "ngx_chathub_ids.h"


static void ngx_chathub_repair_log(ngx_chathub_zone_t *z,
    ngx_chathub_log_t *l);
static void ngx_chathub_repair_streams(ngx_chathub_zone_t *z);
static void ngx_chathub_repair_users(ngx_chathub_zone_t *z);
static void ngx_chathub_repair_members(ngx_chathub_zone_t *z);
static void ngx_chathub_repair_counts(ngx_chathub_zone_t *z);
static void ngx_chathub_repair_addrs(ngx_chathub_zone_t *z);
static void ngx_chathub_repair_append(ngx_chathub_zone_t *z);
static void ngx_chathub_repair_directed(ngx_chathub_zone_t *z);


void
ngx_chathub_repair(ngx_chathub_zone_t *z)
{
    ngx_uint_t  i;

    for (i = 0; i < z->sh->nslots; i++) {
        z->slots[i].held = 0;
    }

    ngx_chathub_repair_log(z, &z->messages);
    ngx_chathub_repair_log(z, &z->directed);

    ngx_chathub_repair_streams(z);
    ngx_chathub_repair_users(z);
    ngx_chathub_repair_members(z);
    ngx_chathub_repair_counts(z);
    ngx_chathub_repair_addrs(z);

    ngx_chathub_ids_repair(z);
    ngx_chathub_repair_append(z);
    ngx_chathub_repair_directed(z);

    /* there may be a change that nobody has counted */

    ngx_chathub_set(&z->sh->rooms, z->sh->rooms + 1);
}


/* a record is there as soon as it is the last one */

static void
ngx_chathub_repair_log(ngx_chathub_zone_t *z, ngx_chathub_log_t *l)
{
    ngx_chathub_rec_sh_t  *h;
    ngx_chathub_log_sh_t  *sh;

    sh = &z->sh->logs[l->index];
    h = sh->last ? ngx_chathub_log_record(l, sh->last) : NULL;

    if (h == NULL) {
        return;
    }

    if (sh->head < h->position + h->length) {
        ngx_chathub_set_seq(&sh->head, h->position + h->length);

        NGX_CHATHUB_POINT("repair head");
    }

    if (l->index == 0 && !z->sh->durable) {
        z->sh->stored = sh->head;
    }
}


static void
ngx_chathub_repair_streams(ngx_chathub_zone_t *z)
{
    uint32_t               i, n;
    ngx_chathub_table_t   *t;
    ngx_chathub_stream_t  *s;

    t = &z->tables[NGX_CHATHUB_STREAMS];

    ngx_chathub_table_reset(t);

    n = t->sh->n;

    for (i = n; i-- > 0; /* void */) {

        if (t->valid[i] == 0) {
            ngx_chathub_table_release(t, i);
            continue;
        }

        s = &z->streams[i];

        s->members = 0;
        s->recount = 0;
        s->first = NGX_CHATHUB_NONE;
        ngx_memzero(&s->slots, sizeof(ngx_chathub_slotset_t));

        ngx_chathub_table_chain(t, i);
    }
}


static void
ngx_chathub_repair_users(ngx_chathub_zone_t *z)
{
    uint32_t                i, n;
    ngx_uint_t              slot;
    ngx_chathub_table_t    *t;
    ngx_chathub_user_sh_t  *u;

    t = &z->tables[NGX_CHATHUB_USERS];

    ngx_chathub_table_reset(t);

    n = t->sh->n;

    for (i = n; i-- > 0; /* void */) {

        if (t->valid[i] == 0) {
            ngx_chathub_table_release(t, i);
            continue;
        }

        u = &z->users[i];
        u->members = 0;

        for (slot = 0; slot < z->sh->nslots; slot++) {
            z->slots[slot].held += ngx_chathub_slotset_has(&u->slots, slot);
        }

        ngx_chathub_table_chain(t, i);
    }

    NGX_CHATHUB_POINT("repair users");
}


static void
ngx_chathub_repair_members(ngx_chathub_zone_t *z)
{
    uint32_t                  i, n;
    ngx_chathub_table_t      *t;
    ngx_chathub_stream_t     *s;
    ngx_chathub_member_sh_t  *m;

    t = &z->tables[NGX_CHATHUB_MEMBERS];

    ngx_chathub_table_reset(t);

    n = t->sh->n;

    for (i = n; i-- > 0; /* void */) {

        if (t->valid[i] == 0) {
            ngx_chathub_table_release(t, i);
            continue;
        }

        m = &z->members[i];
        s = &z->streams[m->stream];

        if (!ngx_chathub_member_more(z, m->stream, m->user, 0)) {
            s->recount++;
        }

        ngx_chathub_table_chain(t, i);
        ngx_chathub_member_link(z, i);

        ngx_chathub_slotset_add(&s->slots, m->slot);
        z->users[m->user].members++;
        z->slots[m->slot].held++;
    }

    NGX_CHATHUB_POINT("repair members");
}


static void
ngx_chathub_repair_counts(ngx_chathub_zone_t *z)
{
    uint32_t                i;
    ngx_chathub_table_t    *t;
    ngx_chathub_user_sh_t  *u;

    t = &z->tables[NGX_CHATHUB_STREAMS];

    for (i = 0; i < t->sh->n; i++) {
        if (t->valid[i]) {
            ngx_chathub_set(&z->streams[i].users, z->streams[i].recount);
        }
    }

    /* one that was not yet, or is no longer, online */

    t = &z->tables[NGX_CHATHUB_USERS];

    for (i = 0; i < t->sh->n; i++) {
        u = &z->users[i];

        if (t->valid[i] && u->members == 0
            && ngx_chathub_slotset_empty(&u->slots))
        {
            ngx_chathub_table_free(t, i);
        }
    }
}


static void
ngx_chathub_repair_addrs(ngx_chathub_zone_t *z)
{
    uint32_t              i, n;
    ngx_chathub_table_t  *t;

    t = &z->tables[NGX_CHATHUB_ADDRS];

    ngx_chathub_table_reset(t);

    n = t->sh->n;

    for (i = n; i-- > 0; /* void */) {

        if (t->valid[i] && z->addrs[i].connections == 0) {
            ngx_chathub_set(&t->valid[i], 0);
        }

        if (t->valid[i] == 0) {
            ngx_chathub_table_release(t, i);
            continue;
        }

        z->slots[z->addrs[i].slot].held++;

        ngx_chathub_table_chain(t, i);
    }

    NGX_CHATHUB_POINT("repair addrs");
}


/* what follows the head when a message is appended */

static void
ngx_chathub_repair_append(ngx_chathub_zone_t *z)
{
    ngx_chathub_stream_t  *s;
    ngx_chathub_rec_sh_t  *h;

    h = z->sh->logs[0].last
        ? ngx_chathub_log_record(&z->messages, z->sh->logs[0].last) : NULL;

    if (h == NULL) {
        return;
    }

    (void) ngx_chathub_zone_time(z, h->time);

    s = &z->streams[h->stream];

    if (z->tables[NGX_CHATHUB_STREAMS].valid[h->stream] == h->stream_id
        && ngx_chathub_stream_numbers(s)->seq < h->seq)
    {
        ngx_chathub_stream_set(s, h->epoch, h->seq, h->position);

        NGX_CHATHUB_POINT("repair stream");
    }

    if (h->id_len && !ngx_chathub_ids_has(z, h)) {
        ngx_chathub_ids_add(z, h);
    }
}


static void
ngx_chathub_repair_directed(ngx_chathub_zone_t *z)
{
    ngx_chathub_rec_sh_t  *h;

    h = z->sh->logs[1].last
        ? ngx_chathub_log_record(&z->directed, z->sh->logs[1].last) : NULL;

    if (h) {
        ngx_chathub_member_repair(z, h);
    }
}
