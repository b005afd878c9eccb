
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * The rooms that there are, as this worker knows them: a copy of the names in
 * the zone's table, brought up to date when the table's version has moved.
 */


#include "ngx_chathub_core.h"


#define NGX_CHATHUB_DIRECTORY_TIME  100   /* ms between two scans, and 1 ms
                                             more for each 10 rooms */
#define NGX_CHATHUB_DIRECTORY_SLICE  4096 /* rooms a turn */


static void ngx_chathub_directory_insert(ngx_rbtree_node_t *temp,
    ngx_rbtree_node_t *node, ngx_rbtree_node_t *sentinel);
static ngx_int_t ngx_chathub_directory_compare(ngx_str_t *one,
    ngx_str_t *two);
static ngx_chathub_listed_t *ngx_chathub_directory_find(
    ngx_chathub_hub_t *hub, ngx_str_t *name);
static void ngx_chathub_directory_look(ngx_chathub_hub_t *hub,
    ngx_uint_t now);
static ngx_int_t ngx_chathub_directory_slice(ngx_chathub_hub_t *hub,
    ngx_uint_t budget);
static void ngx_chathub_directory_gone(ngx_chathub_hub_t *hub);
static ngx_int_t ngx_chathub_directory_add(ngx_chathub_hub_t *hub,
    ngx_chathub_stream_info_t *info);
static void ngx_chathub_directory_place(ngx_chathub_hub_t *hub,
    ngx_chathub_listed_t *r, ngx_chathub_stream_info_t *info);
static void ngx_chathub_directory_remove(ngx_chathub_hub_t *hub,
    ngx_chathub_listed_t *r);
static void ngx_chathub_directory_forget(ngx_chathub_hub_t *hub);
static void ngx_chathub_directory_tell(ngx_chathub_hub_t *hub);
static ngx_int_t ngx_chathub_directory_tell_some(ngx_chathub_hub_t *hub,
    ngx_queue_t *rooms, const char *what);
static void ngx_chathub_directory_told(ngx_chathub_hub_t *hub,
    ngx_queue_t *rooms, ngx_uint_t n);


void
ngx_chathub_directory_init(ngx_chathub_hub_t *hub)
{
    ngx_rbtree_init(&hub->listed, &hub->listed_sentinel,
                    ngx_chathub_directory_insert);
    ngx_rbtree_init(&hub->aged, &hub->aged_sentinel, ngx_rbtree_insert_value);

    ngx_queue_init(&hub->listed_come);
    ngx_queue_init(&hub->listed_gone);

    hub->listed_version = (uint64_t) -1;
    hub->listed_time = ngx_current_msec;
}


void
ngx_chathub_directory_free(ngx_chathub_hub_t *hub)
{
    ngx_chathub_listed_t  *r;

    while (hub->aged.root != &hub->aged_sentinel) {
        r = ngx_rbtree_data(hub->aged.root, ngx_chathub_listed_t, age);
        ngx_chathub_directory_remove(hub, r);
    }

    while (!ngx_queue_empty(&hub->listed_gone)) {
        ngx_chathub_directory_told(hub, &hub->listed_gone, 1);
    }

    ngx_chathub_directory_forget(hub);
}


static void
ngx_chathub_directory_insert(ngx_rbtree_node_t *temp, ngx_rbtree_node_t *node,
    ngx_rbtree_node_t *sentinel)
{
    ngx_rbtree_node_t     **p;
    ngx_chathub_listed_t   *n, *t;

    n = ngx_rbtree_data(node, ngx_chathub_listed_t, node);

    for ( ;; ) {
        t = ngx_rbtree_data(temp, ngx_chathub_listed_t, node);

        p = (ngx_chathub_directory_compare(&n->name, &t->name) < 0)
            ? &temp->left : &temp->right;

        if (*p == sentinel) {
            break;
        }

        temp = *p;
    }

    *p = node;
    node->parent = temp;
    node->left = sentinel;
    node->right = sentinel;
    ngx_rbt_red(node);
}


/* by bytes; a name comes before those that it begins */

static ngx_int_t
ngx_chathub_directory_compare(ngx_str_t *one, ngx_str_t *two)
{
    return ngx_memn2cmp(one->data, two->data, one->len, two->len);
}


static ngx_chathub_listed_t *
ngx_chathub_directory_find(ngx_chathub_hub_t *hub, ngx_str_t *name)
{
    ngx_int_t              rc;
    ngx_rbtree_node_t     *node;
    ngx_chathub_listed_t  *r;

    node = hub->listed.root;

    while (node != &hub->listed_sentinel) {
        r = ngx_rbtree_data(node, ngx_chathub_listed_t, node);

        rc = ngx_chathub_directory_compare(name, &r->name);

        if (rc == 0) {
            return r;
        }

        node = (rc < 0) ? node->left : node->right;
    }

    return NULL;
}


ngx_chathub_listed_t *
ngx_chathub_directory_next(ngx_chathub_hub_t *hub, ngx_str_t *prefix,
    ngx_str_t *after)
{
    ngx_uint_t             behind;
    ngx_rbtree_node_t     *node;
    ngx_chathub_listed_t  *r, *found;

    found = NULL;
    node = hub->listed.root;

    while (node != &hub->listed_sentinel) {
        r = ngx_rbtree_data(node, ngx_chathub_listed_t, node);

        behind = ngx_chathub_directory_compare(&r->name, prefix) >= 0
                 && (after->len == 0
                     || ngx_chathub_directory_compare(&r->name, after) > 0);

        if (behind) {
            found = r;
            node = node->left;

        } else {
            node = node->right;
        }
    }

    if (found && prefix->len
        && (found->name.len < prefix->len
            || ngx_memcmp(found->name.data, prefix->data, prefix->len) != 0))
    {
        return NULL;
    }

    return found;
}


void
ngx_chathub_directory_scan(ngx_chathub_hub_t *hub, ngx_uint_t now)
{
    ngx_chathub_directory_look(hub, now);
    ngx_chathub_directory_tell(hub);
}


static void
ngx_chathub_directory_look(ngx_chathub_hub_t *hub, ngx_uint_t now)
{
    uint64_t    version;
    ngx_int_t   rc;
    ngx_msec_t  pause;

    version = ngx_chathub_stream_version(&hub->zone);

    if (!hub->listed_scan) {

        if (version == hub->listed_version) {
            return;
        }

        pause = NGX_CHATHUB_DIRECTORY_TIME + hub->nlisted / 10;

        if (!now && ngx_current_msec - hub->listed_time < pause) {
            return;
        }
    }

    if (!hub->listed_scan || now) {
        hub->listed_scan = 1;
        hub->listed_next = version;
        hub->listed_index = 0;
        hub->listed_mark++;
    }

    rc = ngx_chathub_directory_slice(hub, now ? (ngx_uint_t) -1
                                              : NGX_CHATHUB_DIRECTORY_SLICE);

    if (rc == NGX_DONE) {
        ngx_chathub_directory_gone(hub);
        hub->listed_version = hub->listed_next;
    }

    if (rc != NGX_AGAIN) {

        /* where memory was out the version is the old one: once more */

        hub->listed_scan = 0;
        hub->listed_time = ngx_current_msec;
    }
}


/* NGX_DONE: the whole table was seen; NGX_AGAIN: more rooms; NGX_ERROR */

static ngx_int_t
ngx_chathub_directory_slice(ngx_chathub_hub_t *hub, ngx_uint_t budget)
{
    ngx_chathub_stream_info_t  info;

    while (budget--) {

        if (ngx_chathub_stream_next_room(&hub->zone, &hub->listed_index,
                                         &info)
            != NGX_OK)
        {
            return NGX_DONE;
        }

        if (ngx_chathub_directory_add(hub, &info) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_AGAIN;
}


/* takes out what this scan has not seen */

static void
ngx_chathub_directory_gone(ngx_chathub_hub_t *hub)
{
    ngx_rbtree_node_t     *node, *next;
    ngx_chathub_listed_t  *r;

    if (hub->nlisted == 0) {
        return;
    }

    for (node = ngx_rbtree_min(hub->aged.root, &hub->aged_sentinel);
         node;
         node = next)
    {
        next = ngx_rbtree_next(&hub->aged, node);
        r = ngx_rbtree_data(node, ngx_chathub_listed_t, age);

        if (r->mark != hub->listed_mark) {
            ngx_chathub_directory_remove(hub, r);
        }
    }
}


static ngx_int_t
ngx_chathub_directory_add(ngx_chathub_hub_t *hub,
    ngx_chathub_stream_info_t *info)
{
    ngx_str_t              name;
    ngx_chathub_listed_t  *r;

    name.data = info->name;
    name.len = info->name_len;

    r = ngx_chathub_directory_find(hub, &name);

    if (r && r->stream_id == info->stream_id) {
        r->mark = hub->listed_mark;
        return NGX_OK;
    }

    if (r) {

        /* it went and came again between two scans */

        ngx_rbtree_delete(&hub->aged, &r->age);

        r->mark = hub->listed_mark;
        ngx_chathub_directory_place(hub, r, info);

        return NGX_OK;
    }

    r = ngx_alloc(sizeof(ngx_chathub_listed_t) + name.len, hub->log);
    if (r == NULL) {
        return NGX_ERROR;
    }

    r->mark = hub->listed_mark;
    r->name.len = name.len;
    r->name.data = (u_char *) (r + 1);
    ngx_memcpy(r->name.data, name.data, name.len);

    r->untold = 1;
    ngx_queue_insert_tail(&hub->listed_come, &r->queue);

    ngx_chathub_directory_forget(hub);

    ngx_rbtree_insert(&hub->listed, &r->node);
    ngx_chathub_directory_place(hub, r, info);

    hub->nlisted++;

    return NGX_OK;
}


/* ids grow, so the newest room has the smallest key */

static void
ngx_chathub_directory_place(ngx_chathub_hub_t *hub, ngx_chathub_listed_t *r,
    ngx_chathub_stream_info_t *info)
{
    r->stream = info->stream;
    r->stream_id = info->stream_id;
    r->age.key = (ngx_rbtree_key_t) ~info->stream_id;

    ngx_rbtree_insert(&hub->aged, &r->age);
}


/* keeps it for its going to be told, unless nobody knows of it */

static void
ngx_chathub_directory_remove(ngx_chathub_hub_t *hub, ngx_chathub_listed_t *r)
{
    ngx_rbtree_delete(&hub->listed, &r->node);
    ngx_rbtree_delete(&hub->aged, &r->age);
    hub->nlisted--;

    ngx_chathub_directory_forget(hub);

    if (r->untold) {
        ngx_queue_remove(&r->queue);
        ngx_free(r);

    } else {
        ngx_queue_insert_tail(&hub->listed_gone, &r->queue);
    }
}


/* what newcomers are told is made anew when the next one comes */

static void
ngx_chathub_directory_forget(ngx_chathub_hub_t *hub)
{
    if (hub->listed_chunk) {
        ngx_chathub_chunk_unref(hub->listed_chunk);
        hub->listed_chunk = NULL;
    }
}


/*
 * {"added":[…]} and {"removed":[…]} to everybody, in parts of 1000 names at
 * most.  What finds no room in the batch is told at a later tick.  A room that
 * went and came again in between is in both, so what is gone is told first.
 */

static void
ngx_chathub_directory_tell(ngx_chathub_hub_t *hub)
{
    while (!ngx_queue_empty(&hub->listed_gone)) {

        if (ngx_chathub_directory_tell_some(hub, &hub->listed_gone, "removed")
            != NGX_OK)
        {
            return;
        }
    }

    while (!ngx_queue_empty(&hub->listed_come)) {

        if (ngx_chathub_directory_tell_some(hub, &hub->listed_come, "added")
            != NGX_OK)
        {
            return;
        }
    }
}


static ngx_int_t
ngx_chathub_directory_tell_some(ngx_chathub_hub_t *hub, ngx_queue_t *rooms,
    const char *what)
{
    u_char                *p;
    size_t                 size;
    ngx_int_t              rc;
    ngx_str_t              data;
    ngx_uint_t             n, i;
    ngx_queue_t           *q;
    ngx_chathub_listed_t  *r;

    size = sizeof("{\"removed\":[]}");
    n = 0;

    for (q = ngx_queue_head(rooms);
         q != ngx_queue_sentinel(rooms)
         && n < NGX_CHATHUB_NAMES_MAX && size < NGX_CHATHUB_BATCH_MAX / 2;
         q = ngx_queue_next(q))
    {
        r = ngx_queue_data(q, ngx_chathub_listed_t, queue);
        size += ngx_chathub_json_string_size(&r->name) + 1;
        n++;
    }

    data.data = ngx_alloc(size, hub->log);
    if (data.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(data.data, "{\"%s\":[", what);
    q = ngx_queue_head(rooms);

    for (i = 0; i < n; i++) {
        r = ngx_queue_data(q, ngx_chathub_listed_t, queue);
        q = ngx_queue_next(q);

        if (i) {
            *p++ = ',';
        }

        p = ngx_chathub_json_string(p, &r->name);
    }

    *p++ = ']';
    *p++ = '}';

    data.len = p - data.data;

    rc = ngx_chathub_group_event(&hub->everybody, NGX_CHATHUB_OUT_ROOM, &data,
                                 0);
    ngx_free(data.data);

    if (rc == NGX_OK) {
        ngx_chathub_directory_told(hub, rooms, n);
    }

    return rc;
}


static void
ngx_chathub_directory_told(ngx_chathub_hub_t *hub, ngx_queue_t *rooms,
    ngx_uint_t n)
{
    ngx_queue_t           *q;
    ngx_chathub_listed_t  *r;

    while (n--) {
        q = ngx_queue_head(rooms);
        r = ngx_queue_data(q, ngx_chathub_listed_t, queue);

        ngx_queue_remove(q);
        r->untold = 0;

        if (rooms == &hub->listed_gone) {
            ngx_free(r);
        }
    }
}


/* the newest 1000 rooms, newest first, for one who has just come */

void
ngx_chathub_directory_greet(ngx_chathub_session_t *s)
{
    size_t                 size;
    u_char                *p;
    ngx_str_t              data, *names;
    ngx_uint_t             n;
    ngx_pool_t            *pool;
    ngx_rbtree_node_t     *node;
    ngx_chathub_hub_t     *hub;
    ngx_chathub_chunk_t   *chunk;
    ngx_chathub_listed_t  *r;

    hub = s->hub;

    if (hub->listed_chunk && hub->listed_codec == s->codec) {
        ngx_chathub_session_send(s, hub->listed_chunk, 0);
        return;
    }

    pool = ngx_create_pool(4096, hub->log);
    if (pool == NULL) {
        goto failed;
    }

    n = ngx_min(hub->nlisted, NGX_CHATHUB_NAMES_MAX);

    names = ngx_palloc(pool, (n + 1) * sizeof(ngx_str_t));
    if (names == NULL) {
        goto failed;
    }

    node = NULL;

    if (n) {
        node = ngx_rbtree_min(hub->aged.root, &hub->aged_sentinel);
    }

    for (n = 0; node && n < NGX_CHATHUB_NAMES_MAX; n++) {
        r = ngx_rbtree_data(node, ngx_chathub_listed_t, age);
        names[n] = r->name;
        node = ngx_rbtree_next(&hub->aged, node);
    }

    p = ngx_palloc(pool, sizeof("{\"added\":}")
                         + ngx_chathub_json_names_size(names, n));
    if (p == NULL) {
        goto failed;
    }

    data.data = p;

    p = ngx_cpymem(p, "{\"added\":", sizeof("{\"added\":") - 1);
    p = ngx_chathub_json_names(p, names, n);
    *p++ = '}';

    data.len = p - data.data;

    size = s->codec->event_size(NGX_CHATHUB_OUT_ROOM, NGX_CHATHUB_NO_REF,
                                data.len);

    chunk = ngx_chathub_chunk_create(size, hub->log);
    if (chunk == NULL) {
        goto failed;
    }

    p = s->codec->event(chunk->data, NGX_CHATHUB_OUT_ROOM, NGX_CHATHUB_NO_REF,
                        &data);
    chunk->size = p - chunk->data;

    ngx_chathub_directory_forget(hub);

    hub->listed_chunk = chunk;
    hub->listed_codec = s->codec;

    ngx_chathub_session_send(s, chunk, 0);

    ngx_destroy_pool(pool);

    return;

failed:

    if (pool) {
        ngx_destroy_pool(pool);
    }

    ngx_chathub_session_close(s, 1011, "no memory");
}
