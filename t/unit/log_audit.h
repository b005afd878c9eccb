
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _LOG_AUDIT_H_INCLUDED_
#define _LOG_AUDIT_H_INCLUDED_


#include "log_support.h"


/*
 * Counts everything in a zone again and compares: chains, free lists, counts,
 * lists, bitmaps, logs.  Nobody may change the zone meanwhile.
 */


static ngx_inline void
audit_table(ngx_chathub_zone_t *z, ngx_uint_t number)
{
    uint32_t              i, bucket, valid, chained, freed;
    ngx_chathub_entry_t  *e;
    ngx_chathub_table_t  *t;

    t = &z->tables[number];
    valid = 0;
    chained = 0;
    freed = 0;

    for (i = 0; i < t->sh->n; i++) {
        valid += (t->valid[i] != 0);
    }

    for (bucket = 0; bucket < t->sh->n; bucket++) {

        for (i = t->buckets[bucket]; i != NGX_CHATHUB_NONE; i = e->next) {
            e = ngx_chathub_table_entry(t, i);

            assert_int_not_equal(t->valid[i], 0);
            assert_int_equal(e->hash % t->sh->n, bucket);
            assert_true(++chained <= t->sh->n);
        }
    }

    assert_int_equal(valid, chained);
    assert_int_equal(valid, t->sh->used);

    if (number == NGX_CHATHUB_IDS) {
        return;
    }

    for (i = t->sh->free; i != NGX_CHATHUB_NONE; i = e->next) {
        e = ngx_chathub_table_entry(t, i);

        assert_int_equal(t->valid[i], 0);
        assert_true(++freed <= t->sh->n);
    }

    assert_int_equal(valid + freed, t->sh->n);
}


static ngx_inline void
audit_stream(ngx_chathub_zone_t *z, uint32_t i)
{
    uint32_t                 m, prev, members, users;
    ngx_uint_t               w;
    ngx_chathub_stream_t    *s;
    ngx_chathub_rec_sh_t    *h;
    ngx_chathub_numbers_t   *numbers;
    ngx_chathub_slotset_t    set;

    s = &z->streams[i];
    members = 0;
    users = 0;
    prev = NGX_CHATHUB_NONE;

    ngx_memzero(&set, sizeof(set));

    for (m = s->first; m != NGX_CHATHUB_NONE; m = z->members[m].next) {
        assert_int_equal(z->members[m].stream, i);
        assert_int_equal(z->members[m].prev, prev);
        assert_true(z->members[m].connections > 0);
        assert_int_not_equal(z->tables[NGX_CHATHUB_MEMBERS].valid[m], 0);

        /* a dead one's bit goes when its sweep begins */

        if (ngx_chathub_slot_state(&z->slots[z->members[m].slot])
            == NGX_CHATHUB_SLOT_LIVE
            || ngx_chathub_slotset_has(&s->slots, z->members[m].slot))
        {
            ngx_chathub_slotset_add(&set, z->members[m].slot);
        }

        prev = m;
        members++;
    }

    /* distinct users: entries that have no other one before them */

    for (m = s->first; m != NGX_CHATHUB_NONE; m = z->members[m].next) {
        for (prev = s->first;
             z->members[prev].user != z->members[m].user;
             prev = z->members[prev].next)
        {
            /* void */
        }

        users += (prev == m);
    }

    assert_int_equal(members, s->members);
    assert_int_equal(users, s->users);

    for (w = 0; w < NGX_CHATHUB_SLOTS_MAX / 64; w++) {
        assert_int_equal(set.word[w], s->slots.word[w]);
    }

    numbers = ngx_chathub_stream_numbers(s);

    if (numbers->last >= z->sh->logs[0].tail) {
        h = ngx_chathub_log_record(&z->messages, numbers->last);

        assert_non_null(h);
        assert_int_equal(h->stream, i);
        assert_int_equal(h->stream_id,
                         z->tables[NGX_CHATHUB_STREAMS].valid[i]);
        assert_int_equal(h->seq, numbers->seq);
        assert_int_equal(h->epoch, numbers->epoch);
    }
}


static ngx_inline void
audit_log(ngx_chathub_log_t *l)
{
    ngx_chathub_rec_sh_t  *h;
    ngx_chathub_log_sh_t  *sh;

    sh = &l->zone->sh->logs[l->index];

    assert_int_equal(sh->tail % NGX_CHATHUB_UNIT, 0);
    assert_true(sh->tail <= sh->head);
    assert_true(sh->head - sh->tail <= l->size);

    if (sh->last) {
        h = ngx_chathub_log_record(l, sh->last);

        assert_non_null(h);
        assert_int_equal(h->position + h->length, sh->head);
    }
}


static ngx_inline void
audit(ngx_chathub_zone_t *z)
{
    uint32_t              i, total;
    uint32_t              held[NGX_CHATHUB_SLOTS_MAX];
    ngx_uint_t            n, slot;
    ngx_chathub_table_t  *t;

    assert_int_equal(z->sh->dirty, 0);

    for (n = 0; n < NGX_CHATHUB_TABLES; n++) {
        audit_table(z, n);
    }

    ngx_memzero(held, sizeof(held));

    t = &z->tables[NGX_CHATHUB_STREAMS];
    total = 0;

    for (i = 0; i < t->sh->n; i++) {
        if (t->valid[i]) {
            audit_stream(z, i);
            total += z->streams[i].members;
        }
    }

    assert_int_equal(total, z->tables[NGX_CHATHUB_MEMBERS].sh->used);

    t = &z->tables[NGX_CHATHUB_MEMBERS];

    for (i = 0; i < t->sh->n; i++) {
        if (t->valid[i]) {
            held[z->members[i].slot]++;
            assert_int_not_equal(
                z->tables[NGX_CHATHUB_USERS].valid[z->members[i].user], 0);
        }
    }

    t = &z->tables[NGX_CHATHUB_USERS];
    total = 0;

    for (i = 0; i < t->sh->n; i++) {
        if (t->valid[i]) {
            total += z->users[i].members;

            assert_true(z->users[i].members
                        || !ngx_chathub_slotset_empty(&z->users[i].slots));

            for (slot = 0; slot < z->sh->nslots; slot++) {
                held[slot] += ngx_chathub_slotset_has(&z->users[i].slots,
                                                      slot);
            }
        }
    }

    assert_int_equal(total, z->tables[NGX_CHATHUB_MEMBERS].sh->used);

    t = &z->tables[NGX_CHATHUB_ADDRS];

    for (i = 0; i < t->sh->n; i++) {
        if (t->valid[i]) {
            held[z->addrs[i].slot]++;
            assert_true(z->addrs[i].connections > 0);
        }
    }

    for (slot = 0; slot < z->sh->nslots; slot++) {
        assert_int_equal(held[slot], z->slots[slot].held);

        if (ngx_chathub_slot_state(&z->slots[slot]) == NGX_CHATHUB_SLOT_FREE) {
            assert_int_equal(held[slot], 0);
        }
    }

    t = &z->tables[NGX_CHATHUB_IDS];

    for (i = 0; i < t->sh->n; i++) {
        if (t->valid[i]) {
            assert_int_equal((t->valid[i] - 1) % t->sh->n, i);
            assert_true(t->valid[i] <= z->sh->ids);
        }
    }

    audit_log(&z->messages);
    audit_log(&z->directed);
}


#endif /* _LOG_AUDIT_H_INCLUDED_ */
