
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_zone_int.h"
#include "ngx_chathub_members.h"


/* memberships that are read under the mutex for a list of users */
#define NGX_CHATHUB_LIST_LOCKED  256


/* a page of names in order, while it is being gathered */

typedef struct {
    ngx_str_t                   *after;
    ngx_str_t                   *names;
    u_char                      *buf;
    ngx_uint_t                   limit;
    ngx_uint_t                   n;
    ngx_uint_t                   more;
} ngx_chathub_page_t;


static uint32_t ngx_chathub_addr_hash(ngx_chathub_zone_t *z,
    u_char addr[16]);
static uint32_t ngx_chathub_member_hash(uint32_t stream, uint32_t user);
static void ngx_chathub_user_free(ngx_chathub_zone_t *z, uint32_t i);
static uint32_t ngx_chathub_member_lookup(ngx_chathub_zone_t *z,
    uint32_t stream, uint32_t user, uint32_t slot);
static ngx_int_t ngx_chathub_member_add(ngx_chathub_zone_t *z,
    ngx_chathub_key_t *key, uint64_t hash, uint32_t user,
    ngx_chathub_stream_info_t *info, ngx_uint_t *changed,
    ngx_chathub_slotset_t *ring);
static void ngx_chathub_member_say(ngx_chathub_zone_t *z, ngx_uint_t kind,
    uint32_t stream, uint32_t user, ngx_chathub_slotset_t *ring);
static void ngx_chathub_member_drop(ngx_chathub_zone_t *z, uint32_t i);
static void ngx_chathub_member_unlink(ngx_chathub_zone_t *z, uint32_t i);
static void ngx_chathub_member_remove(ngx_chathub_zone_t *z, uint32_t i,
    ngx_uint_t *changed, ngx_chathub_slotset_t *ring);
static void ngx_chathub_member_page_locked(ngx_chathub_zone_t *z,
    uint32_t stream, ngx_chathub_page_t *page);
static void ngx_chathub_member_page_scan(ngx_chathub_zone_t *z,
    uint32_t stream, ngx_chathub_page_t *page);
static void ngx_chathub_page_add(ngx_chathub_page_t *page, u_char *data,
    size_t len);
static uint32_t ngx_chathub_addr_lookup(ngx_chathub_zone_t *z,
    u_char addr[16], uint32_t hash, ngx_uint_t *total);


/* Users. */


uint64_t
ngx_chathub_user_hash(ngx_chathub_zone_t *z, ngx_str_t *name)
{
    /* the kinds of streams end before */

    return ngx_chathub_zone_hash(z, NGX_CHATHUB_STREAM_ALL + 1, name, NULL);
}


uint32_t
ngx_chathub_user_lookup(ngx_chathub_zone_t *z, ngx_str_t *name,
    uint64_t hash)
{
    uint32_t               i;
    ngx_chathub_table_t   *t;
    ngx_chathub_user_sh_t *u;

    t = &z->tables[NGX_CHATHUB_USERS];

    for (i = ngx_chathub_table_first(t, (uint32_t) hash);
         i != NGX_CHATHUB_NONE;
         i = ngx_chathub_table_next(t, i, (uint32_t) hash))
    {
        u = &z->users[i];

        if (u->len == name->len
            && ngx_memcmp(u->name, name->data, name->len) == 0)
        {
            break;
        }
    }

    return i;
}


ngx_int_t
ngx_chathub_user_online(ngx_chathub_zone_t *z, ngx_str_t *name,
    uint32_t *user)
{
    uint32_t                i;
    uint64_t                hash;
    ngx_chathub_table_t    *t;
    ngx_chathub_user_sh_t  *u;

    hash = ngx_chathub_user_hash(z, name);

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    t = &z->tables[NGX_CHATHUB_USERS];
    i = ngx_chathub_user_lookup(z, name, hash);

    if (i == NGX_CHATHUB_NONE) {
        i = ngx_chathub_table_take(t);

        if (i == NGX_CHATHUB_NONE) {
            ngx_chathub_zone_unlock(z);
            return NGX_BUSY;
        }

        u = &z->users[i];
        u->len = name->len;
        u->members = 0;
        ngx_memzero(&u->slots, sizeof(ngx_chathub_slotset_t));
        ngx_memcpy(u->name, name->data, name->len);

        ngx_chathub_table_commit(t, i, (uint32_t) hash,
                                 ngx_chathub_zone_serial(z));
    }

    u = &z->users[i];

    if (!ngx_chathub_slotset_has(&u->slots, z->slot)) {
        ngx_chathub_slotset_add(&u->slots, z->slot);

        NGX_CHATHUB_POINT("user bit");

        z->slots[z->slot].held++;
    }

    *user = i;

    ngx_chathub_zone_unlock(z);

    return NGX_OK;
}


ngx_int_t
ngx_chathub_user_offline(ngx_chathub_zone_t *z, uint32_t user)
{
    ngx_chathub_user_sh_t  *u;

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    u = &z->users[user];

    if (z->tables[NGX_CHATHUB_USERS].valid[user]
        && ngx_chathub_slotset_has(&u->slots, z->slot))
    {
        ngx_chathub_slotset_del(&u->slots, z->slot);

        NGX_CHATHUB_POINT("user no bit");

        z->slots[z->slot].held--;
        ngx_chathub_user_free(z, user);
    }

    ngx_chathub_zone_unlock(z);

    return NGX_OK;
}


/* where nothing names the user any more */

static void
ngx_chathub_user_free(ngx_chathub_zone_t *z, uint32_t i)
{
    ngx_chathub_user_sh_t  *u;

    u = &z->users[i];

    if (u->members == 0 && ngx_chathub_slotset_empty(&u->slots)) {
        ngx_chathub_table_free(&z->tables[NGX_CHATHUB_USERS], i);
    }
}


ngx_uint_t
ngx_chathub_user_sweep(ngx_chathub_zone_t *z, uint32_t i,
    ngx_chathub_slotset_t *dead)
{
    ngx_uint_t              slot, found;
    ngx_chathub_user_sh_t  *u;

    u = &z->users[i];
    found = 0;

    for (slot = 0; slot < z->sh->nslots; slot++) {

        if (ngx_chathub_slotset_has(dead, slot)
            && ngx_chathub_slotset_has(&u->slots, slot))
        {
            ngx_chathub_slotset_del(&u->slots, slot);

            NGX_CHATHUB_POINT("user swept");

            z->slots[slot].held--;
            found = 1;
        }
    }

    if (found) {
        ngx_chathub_user_free(z, i);
    }

    return found;
}


ngx_int_t
ngx_chathub_user_find(ngx_chathub_zone_t *z, ngx_str_t *name)
{
    uint32_t               i;
    uint64_t               hash;
    ngx_int_t              rc;
    ngx_uint_t             w;
    ngx_chathub_slotset_t  live;

    hash = ngx_chathub_user_hash(z, name);

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    rc = NGX_DECLINED;
    i = ngx_chathub_user_lookup(z, name, hash);

    if (i != NGX_CHATHUB_NONE) {
        ngx_chathub_slot_all(z, &live);

        for (w = 0; w < NGX_CHATHUB_SLOTS_MAX / 64; w++) {
            if (z->users[i].slots.word[w] & live.word[w]) {
                rc = NGX_OK;
            }
        }
    }

    ngx_chathub_zone_unlock(z);

    return rc;
}


/* Memberships. */


/* of numbers that nobody outside chooses */

static uint32_t
ngx_chathub_member_hash(uint32_t stream, uint32_t user)
{
    uint64_t  h;

    h = ((uint64_t) stream << 32 | user) * 0x9e3779b97f4a7c15ULL;
    h ^= h >> 29;
    h *= 0xbf58476d1ce4e5b9ULL;

    return (uint32_t) (h >> 32);
}


static uint32_t
ngx_chathub_member_lookup(ngx_chathub_zone_t *z, uint32_t stream,
    uint32_t user, uint32_t slot)
{
    uint32_t                  i, hash;
    ngx_chathub_table_t      *t;
    ngx_chathub_member_sh_t  *m;

    t = &z->tables[NGX_CHATHUB_MEMBERS];
    hash = ngx_chathub_member_hash(stream, user);

    for (i = ngx_chathub_table_first(t, hash);
         i != NGX_CHATHUB_NONE;
         i = ngx_chathub_table_next(t, i, hash))
    {
        m = &z->members[i];

        if (m->stream == stream && m->user == user && m->slot == slot) {
            break;
        }
    }

    return i;
}


ngx_uint_t
ngx_chathub_member_more(ngx_chathub_zone_t *z, uint32_t stream, uint32_t user,
    ngx_uint_t n)
{
    uint32_t                  i, hash;
    ngx_uint_t                found;
    ngx_chathub_table_t      *t;
    ngx_chathub_member_sh_t  *m;

    t = &z->tables[NGX_CHATHUB_MEMBERS];
    hash = ngx_chathub_member_hash(stream, user);
    found = 0;

    for (i = ngx_chathub_table_first(t, hash);
         i != NGX_CHATHUB_NONE && found <= n;
         i = ngx_chathub_table_next(t, i, hash))
    {
        m = &z->members[i];
        found += (m->stream == stream && m->user == user);
    }

    return found > n;
}


ngx_int_t
ngx_chathub_member_join(ngx_chathub_zone_t *z, ngx_str_t *name,
    uint32_t user, ngx_chathub_stream_info_t *info, ngx_uint_t *changed,
    ngx_chathub_slotset_t *ring)
{
    uint64_t           hash;
    ngx_int_t          rc;
    ngx_chathub_key_t  key;

    *changed = 0;
    ngx_memzero(ring, sizeof(ngx_chathub_slotset_t));

    key.kind = NGX_CHATHUB_STREAM_ROOM;
    key.a = *name;

    ngx_chathub_stream_key(&key);
    hash = ngx_chathub_stream_hash(z, &key);

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    rc = ngx_chathub_member_add(z, &key, hash, user, info, changed, ring);

    ngx_chathub_zone_unlock(z);

    return rc;
}


static ngx_int_t
ngx_chathub_member_add(ngx_chathub_zone_t *z, ngx_chathub_key_t *key,
    uint64_t hash, uint32_t user, ngx_chathub_stream_info_t *info,
    ngx_uint_t *changed, ngx_chathub_slotset_t *ring)
{
    uint32_t                  i, stream;
    ngx_chathub_table_t      *t;
    ngx_chathub_stream_t     *s;
    ngx_chathub_member_sh_t  *m;

    t = &z->tables[NGX_CHATHUB_MEMBERS];

    stream = ngx_chathub_stream_lookup(z, key, hash);

    if (stream != NGX_CHATHUB_NONE) {
        i = ngx_chathub_member_lookup(z, stream, user, z->slot);

        if (i != NGX_CHATHUB_NONE) {
            z->members[i].connections++;
            ngx_chathub_stream_copy(z, stream, info);
            return NGX_OK;
        }
    }

    /* nothing is begun that cannot be done */

    if (t->sh->free == NGX_CHATHUB_NONE) {
        return NGX_BUSY;
    }

    stream = ngx_chathub_stream_open(z, key, hash);

    if (stream == NGX_CHATHUB_NONE) {
        return NGX_BUSY;
    }

    s = &z->streams[stream];

    ngx_chathub_slotset_add(&s->slots, z->slot);

    NGX_CHATHUB_POINT("member bit");

    *changed = !ngx_chathub_member_more(z, stream, user, 0);

    if (*changed) {
        ngx_chathub_set(&s->users, s->users + 1);
        ngx_chathub_member_say(z, NGX_CHATHUB_REC_JOINED, stream, user, ring);
    }

    i = ngx_chathub_table_take(t);

    m = &z->members[i];
    m->stream = stream;
    m->user = user;
    m->slot = z->slot;
    m->connections = 1;

    ngx_chathub_table_commit(t, i, ngx_chathub_member_hash(stream, user),
                             ngx_chathub_zone_serial(z));

    ngx_chathub_member_link(z, i);

    NGX_CHATHUB_POINT("member linked");

    z->users[user].members++;
    z->slots[z->slot].held++;

    ngx_chathub_stream_copy(z, stream, info);

    return NGX_OK;
}


ngx_int_t
ngx_chathub_member_leave(ngx_chathub_zone_t *z, uint32_t stream,
    uint64_t stream_id, uint32_t user, ngx_uint_t last, ngx_uint_t *count,
    ngx_uint_t *changed, ngx_chathub_slotset_t *ring)
{
    uint32_t                  i;
    ngx_int_t                 rc;
    ngx_chathub_stream_t     *s;

    *count = 0;
    *changed = 0;
    ngx_memzero(ring, sizeof(ngx_chathub_slotset_t));

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    rc = NGX_DECLINED;
    s = &z->streams[stream];

    if (z->tables[NGX_CHATHUB_STREAMS].valid[stream] == stream_id) {

        i = ngx_chathub_member_lookup(z, stream, user, z->slot);

        if (i != NGX_CHATHUB_NONE) {
            rc = NGX_OK;

            if (z->members[i].connections > 1) {
                z->members[i].connections--;

            } else {
                ngx_chathub_member_remove(z, i, changed, ring);
            }
        }

        if (last) {
            ngx_chathub_slotset_del(&s->slots, z->slot);
        }

        *count = s->users;
    }

    ngx_chathub_zone_unlock(z);

    return rc;
}


void
ngx_chathub_member_link(ngx_chathub_zone_t *z, uint32_t i)
{
    ngx_chathub_stream_t     *s;
    ngx_chathub_member_sh_t  *m;

    m = &z->members[i];
    s = &z->streams[m->stream];

    m->prev = NGX_CHATHUB_NONE;
    m->next = s->first;

    if (s->first != NGX_CHATHUB_NONE) {
        z->members[s->first].prev = i;
    }

    s->first = i;
    s->members++;
}


static void
ngx_chathub_member_unlink(ngx_chathub_zone_t *z, uint32_t i)
{
    ngx_chathub_stream_t     *s;
    ngx_chathub_member_sh_t  *m;

    m = &z->members[i];
    s = &z->streams[m->stream];

    if (m->next != NGX_CHATHUB_NONE) {
        z->members[m->next].prev = m->prev;
    }

    if (m->prev != NGX_CHATHUB_NONE) {
        z->members[m->prev].next = m->next;

    } else {
        s->first = m->next;
    }

    s->members--;
}


/*
 * What is said of a user comes before the entry that it is about: the record
 * is the log's last one if that is left undone, and a repair finds it there.
 */

static void
ngx_chathub_member_say(ngx_chathub_zone_t *z, ngx_uint_t kind,
    uint32_t stream, uint32_t user, ngx_chathub_slotset_t *ring)
{
    ngx_str_t  name;

    name.data = z->users[user].name;
    name.len = z->users[user].len;

    ngx_chathub_log_put_directed(z, kind, stream, &name, NULL, 0, ring);
}


static void
ngx_chathub_member_remove(ngx_chathub_zone_t *z, uint32_t i,
    ngx_uint_t *changed, ngx_chathub_slotset_t *ring)
{
    ngx_chathub_stream_t     *s;
    ngx_chathub_member_sh_t  *m;

    m = &z->members[i];
    s = &z->streams[m->stream];

    *changed = !ngx_chathub_member_more(z, m->stream, m->user, 1);

    if (*changed) {
        ngx_chathub_set(&s->users, s->users - 1);
        ngx_chathub_member_say(z, NGX_CHATHUB_REC_LEFT, m->stream, m->user,
                               ring);
    }

    ngx_chathub_member_drop(z, i);
}


static void
ngx_chathub_member_drop(ngx_chathub_zone_t *z, uint32_t i)
{
    uint32_t             user;
    ngx_chathub_slot_t  *slot;

    slot = &z->slots[z->members[i].slot];
    user = z->members[i].user;

    ngx_chathub_member_unlink(z, i);

    NGX_CHATHUB_POINT("member unlinked");

    ngx_chathub_table_free(&z->tables[NGX_CHATHUB_MEMBERS], i);

    NGX_CHATHUB_POINT("member freed");

    slot->held--;
    z->users[user].members--;

    ngx_chathub_user_free(z, user);
}


/*
 * The directed log's last record says that somebody joined who is not there,
 * or left who still is: what the one who wrote it did not come to.
 */

void
ngx_chathub_member_repair(ngx_chathub_zone_t *z, ngx_chathub_rec_sh_t *h)
{
    uint32_t                i, user;
    ngx_str_t               name;
    ngx_chathub_stream_t   *s;
    ngx_chathub_slotset_t   ring;

    if (z->tables[NGX_CHATHUB_STREAMS].valid[h->stream] != h->stream_id) {
        return;
    }

    s = &z->streams[h->stream];

    name.data = (u_char *) h + sizeof(ngx_chathub_rec_sh_t);
    name.len = h->user_len;

    user = ngx_chathub_user_lookup(z, &name, ngx_chathub_user_hash(z, &name));

    for (i = (user == NGX_CHATHUB_NONE) ? NGX_CHATHUB_NONE : s->first;
         i != NGX_CHATHUB_NONE && z->members[i].user != user;
         i = z->members[i].next)
    {
        /* void */
    }

    if (h->kind == NGX_CHATHUB_REC_JOINED && i == NGX_CHATHUB_NONE) {
        ngx_memzero(&ring, sizeof(ngx_chathub_slotset_t));
        ngx_chathub_log_put_directed(z, NGX_CHATHUB_REC_LEFT, h->stream,
                                     &name, NULL, 0, &ring);
    }

    if (h->kind == NGX_CHATHUB_REC_LEFT && i != NGX_CHATHUB_NONE) {
        ngx_chathub_set(&s->users, s->users - 1);
        ngx_chathub_member_drop(z, i);

        ngx_memzero(&s->slots, sizeof(ngx_chathub_slotset_t));

        for (i = s->first; i != NGX_CHATHUB_NONE; i = z->members[i].next) {
            ngx_chathub_slotset_add(&s->slots, z->members[i].slot);
        }
    }
}


void
ngx_chathub_member_sweep(ngx_chathub_zone_t *z, uint32_t i,
    ngx_chathub_slotset_t *ring)
{
    uint32_t    stream, slot;
    ngx_uint_t  changed;

    stream = z->members[i].stream;
    slot = z->members[i].slot;

    ngx_chathub_member_remove(z, i, &changed, ring);

    /* nobody of that slot is to be rung any more */

    ngx_chathub_slotset_del(&z->streams[stream].slots, slot);
}


/* Lists of users. */


ngx_int_t
ngx_chathub_member_list(ngx_chathub_zone_t *z, uint32_t stream,
    uint64_t stream_id, ngx_str_t *after, ngx_uint_t limit, ngx_str_t *names,
    u_char *buf, ngx_uint_t *n, ngx_uint_t *count, ngx_uint_t *more)
{
    ngx_uint_t                  small;
    ngx_chathub_page_t          page;
    ngx_chathub_stream_t       *s;
    ngx_chathub_stream_info_t   info;

    page.after = after;
    page.names = names;
    page.buf = buf;
    page.limit = limit;
    page.n = 0;
    page.more = 0;

    if (ngx_chathub_stream_get(z, stream, stream_id, &info) != NGX_OK) {
        return NGX_DECLINED;
    }

    s = &z->streams[stream];

    small = 0;

    if (ngx_chathub_get(&s->members) <= NGX_CHATHUB_LIST_LOCKED) {

        if (ngx_chathub_zone_lock(z) != NGX_OK) {
            return NGX_AGAIN;
        }

        small = (s->members <= NGX_CHATHUB_LIST_LOCKED);

        if (small) {
            ngx_chathub_member_page_locked(z, stream, &page);
        }

        ngx_chathub_zone_unlock(z);
    }

    if (!small) {
        ngx_chathub_member_page_scan(z, stream, &page);
    }

    /* were it another one by now, the members would be its */

    if (ngx_chathub_stream_get(z, stream, stream_id, &info) != NGX_OK) {
        return NGX_DECLINED;
    }

    *n = page.n;
    *more = page.more;
    *count = info.users;

    return NGX_OK;
}


static void
ngx_chathub_member_page_locked(ngx_chathub_zone_t *z, uint32_t stream,
    ngx_chathub_page_t *page)
{
    uint32_t                i;
    ngx_chathub_user_sh_t  *u;

    for (i = z->streams[stream].first;
         i != NGX_CHATHUB_NONE;
         i = z->members[i].next)
    {
        u = &z->users[z->members[i].user];
        ngx_chathub_page_add(page, u->name, u->len);
    }
}


static void
ngx_chathub_member_page_scan(ngx_chathub_zone_t *z, uint32_t stream,
    ngx_chathub_page_t *page)
{
    u_char                    name[NGX_CHATHUB_NAME_MAX];
    size_t                    len;
    uint32_t                  i, user;
    uint64_t                  valid;
    ngx_chathub_table_t      *t;
    ngx_chathub_member_sh_t  *m;

    t = &z->tables[NGX_CHATHUB_MEMBERS];

    for (i = 0; i < t->sh->n; i++) {

        valid = ngx_chathub_get(&t->valid[i]);

        if (valid == 0) {
            continue;
        }

        m = &z->members[i];

        if (m->stream != stream) {
            continue;
        }

        user = m->user;

        if (user >= z->tables[NGX_CHATHUB_USERS].sh->n) {
            continue;
        }

        len = ngx_min(z->users[user].len, NGX_CHATHUB_NAME_MAX);
        ngx_memcpy(name, z->users[user].name, len);

        /* a user stays as long as the membership */

        ngx_chathub_fence_read();

        if (ngx_chathub_get(&t->valid[i]) == valid) {
            ngx_chathub_page_add(page, name, len);
        }
    }
}


/* keeps the lowest "limit" names above "after" */

static void
ngx_chathub_page_add(ngx_chathub_page_t *page, u_char *data, size_t len)
{
    u_char      *cell;
    ngx_int_t    rc;
    ngx_str_t   *name;
    ngx_uint_t   low, high, middle;

    if (page->after->len
        && ngx_memn2cmp(data, page->after->data, len, page->after->len) <= 0)
    {
        return;
    }

    low = 0;
    high = page->n;

    while (low < high) {
        middle = (low + high) / 2;
        name = &page->names[middle];

        rc = ngx_memn2cmp(data, name->data, len, name->len);

        if (rc == 0) {
            return;
        }

        if (rc < 0) {
            high = middle;

        } else {
            low = middle + 1;
        }
    }

    if (page->n < page->limit) {
        cell = page->buf + page->n * NGX_CHATHUB_NAME_MAX;
        page->n++;

    } else {
        page->more = 1;

        if (low == page->limit) {
            return;
        }

        cell = page->names[page->n - 1].data;
    }

    name = &page->names[low];

    ngx_memmove(name + 1, name, (page->n - 1 - low) * sizeof(ngx_str_t));
    ngx_memcpy(cell, data, len);

    name->data = cell;
    name->len = len;
}


/* Addresses. */


static uint32_t
ngx_chathub_addr_hash(ngx_chathub_zone_t *z, u_char addr[16])
{
    ngx_str_t  name;

    name.len = 16;
    name.data = addr;

    return (uint32_t) ngx_chathub_zone_hash(z, NGX_CHATHUB_STREAM_ALL + 2,
                                            &name, NULL);
}


/* the own slot's entry, and the connections of all */

static uint32_t
ngx_chathub_addr_lookup(ngx_chathub_zone_t *z, u_char addr[16],
    uint32_t hash, ngx_uint_t *total)
{
    uint32_t              i, own;
    ngx_chathub_addr_t   *a;
    ngx_chathub_table_t  *t;

    t = &z->tables[NGX_CHATHUB_ADDRS];
    own = NGX_CHATHUB_NONE;
    *total = 0;

    for (i = ngx_chathub_table_first(t, hash);
         i != NGX_CHATHUB_NONE;
         i = ngx_chathub_table_next(t, i, hash))
    {
        a = &z->addrs[i];

        if (ngx_memcmp(a->addr, addr, 16) != 0) {
            continue;
        }

        *total += a->connections;

        if (a->slot == z->slot) {
            own = i;
        }
    }

    return own;
}


ngx_int_t
ngx_chathub_addr_add(ngx_chathub_zone_t *z, u_char addr[16], ngx_uint_t max)
{
    uint32_t              i, hash;
    ngx_int_t             rc;
    ngx_uint_t            total;
    ngx_chathub_addr_t   *a;
    ngx_chathub_table_t  *t;

    t = &z->tables[NGX_CHATHUB_ADDRS];
    hash = ngx_chathub_addr_hash(z, addr);

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    rc = NGX_OK;
    i = ngx_chathub_addr_lookup(z, addr, hash, &total);

    if (max && total >= max) {
        rc = NGX_DECLINED;

    } else if (i != NGX_CHATHUB_NONE) {
        z->addrs[i].connections++;

    } else {
        i = ngx_chathub_table_take(t);

        if (i == NGX_CHATHUB_NONE) {
            rc = NGX_BUSY;

        } else {
            a = &z->addrs[i];
            a->slot = z->slot;
            a->connections = 1;
            ngx_memcpy(a->addr, addr, 16);

            ngx_chathub_table_commit(t, i, hash, ngx_chathub_zone_serial(z));

            z->slots[z->slot].held++;
        }
    }

    ngx_chathub_zone_unlock(z);

    return rc;
}


ngx_int_t
ngx_chathub_addr_del(ngx_chathub_zone_t *z, u_char addr[16])
{
    uint32_t    i, hash;
    ngx_uint_t  total;

    hash = ngx_chathub_addr_hash(z, addr);

    if (ngx_chathub_zone_lock(z) != NGX_OK) {
        return NGX_AGAIN;
    }

    i = ngx_chathub_addr_lookup(z, addr, hash, &total);

    if (i != NGX_CHATHUB_NONE && --z->addrs[i].connections == 0) {
        ngx_chathub_addr_sweep(z, i);
    }

    ngx_chathub_zone_unlock(z);

    return NGX_OK;
}


void
ngx_chathub_addr_sweep(ngx_chathub_zone_t *z, uint32_t i)
{
    z->slots[z->addrs[i].slot].held--;

    ngx_chathub_table_free(&z->tables[NGX_CHATHUB_ADDRS], i);
}
