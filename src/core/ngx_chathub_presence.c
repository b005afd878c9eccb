
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * What the members of a room are told of each other: who came and went, at
 * most once a second, and who types.
 */


#include "ngx_chathub_core.h"


#define NGX_CHATHUB_PRESENCE_TIME  1000


typedef struct {
    ngx_str_node_t  sn;
    ngx_int_t       change;     /* 1: joined, -1: left */
} ngx_chathub_change_t;


static ngx_chathub_delta_t *ngx_chathub_presence_delta(
    ngx_chathub_room_t *room);
static void ngx_chathub_presence_wait(ngx_chathub_room_t *room);
static ngx_int_t ngx_chathub_presence_tell(ngx_chathub_room_t *room);
static u_char *ngx_chathub_presence_names(u_char *p, ngx_chathub_room_t *room,
    ngx_int_t change);
static void ngx_chathub_typing_tell(ngx_chathub_member_t *m,
    ngx_uint_t typing);


void
ngx_chathub_presence_record(ngx_chathub_room_t *room,
    ngx_chathub_record_t *rec)
{
    uint32_t               hash;
    ngx_int_t              change;
    ngx_chathub_delta_t   *delta;
    ngx_chathub_change_t  *d;

    ngx_chathub_presence_wait(room);

    delta = ngx_chathub_presence_delta(room);
    if (delta == NULL) {
        return;
    }

    change = (rec->kind == NGX_CHATHUB_REC_JOINED) ? 1 : -1;
    hash = ngx_crc32_long(rec->user.data, rec->user.len);

    d = (ngx_chathub_change_t *) ngx_str_rbtree_lookup(&delta->names,
                                                       &rec->user, hash);
    if (d) {

        /* the later one stands, also where it takes the first one back: who
         * joined in between knows the state of then */

        d->change = change;
        return;
    }

    if (delta->n == NGX_CHATHUB_NAMES_MAX) {
        return;
    }

    d = ngx_palloc(delta->pool, sizeof(ngx_chathub_change_t));
    if (d == NULL) {
        return;
    }

    d->sn.str.len = rec->user.len;
    d->sn.str.data = ngx_pstrdup(delta->pool, &rec->user);
    if (d->sn.str.data == NULL) {
        return;
    }

    d->sn.node.key = hash;
    d->change = change;

    ngx_rbtree_insert(&delta->names, &d->sn.node);
    delta->n++;
}


static ngx_chathub_delta_t *
ngx_chathub_presence_delta(ngx_chathub_room_t *room)
{
    ngx_pool_t           *pool;
    ngx_chathub_delta_t  *delta;

    if (room->delta) {
        return room->delta;
    }

    pool = ngx_create_pool(1024, room->group.hub->log);
    if (pool == NULL) {
        return NULL;
    }

    delta = ngx_palloc(pool, sizeof(ngx_chathub_delta_t));
    if (delta == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    delta->pool = pool;
    delta->n = 0;
    ngx_rbtree_init(&delta->names, &delta->sentinel,
                    ngx_str_rbtree_insert_value);

    room->delta = delta;

    return delta;
}


void
ngx_chathub_presence_stale(ngx_chathub_room_t *room)
{
    ngx_chathub_presence_wait(room);
}


static void
ngx_chathub_presence_wait(ngx_chathub_room_t *room)
{
    if (!room->waits) {
        room->waits = 1;
        ngx_queue_insert_tail(&room->group.hub->presence, &room->presence);
    }
}


void
ngx_chathub_presence_forget(ngx_chathub_room_t *room)
{
    if (room->waits) {
        ngx_queue_remove(&room->presence);
        room->waits = 0;
    }

    if (room->delta) {
        ngx_destroy_pool(room->delta->pool);
        room->delta = NULL;
    }
}


void
ngx_chathub_presence_tick(ngx_chathub_hub_t *hub)
{
    ngx_queue_t           *q, told;
    ngx_chathub_room_t    *room;
    ngx_chathub_typing_t  *t;

    /* one who is told may end, and take any of the rooms along */

    ngx_queue_init(&told);

    while (!ngx_queue_empty(&hub->presence)) {
        q = ngx_queue_head(&hub->presence);
        room = ngx_queue_data(q, ngx_chathub_room_t, presence);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&told, q);

        if (ngx_current_msec - room->told < NGX_CHATHUB_PRESENCE_TIME) {
            continue;
        }

        if (ngx_chathub_presence_tell(room) == NGX_OK) {
            room->told = ngx_current_msec;
            ngx_chathub_presence_forget(room);
        }
    }

    ngx_queue_add(&hub->presence, &told);

    while (!ngx_queue_empty(&hub->typing)) {
        q = ngx_queue_head(&hub->typing);
        t = ngx_queue_data(q, ngx_chathub_typing_t, queue);

        if ((ngx_msec_int_t) (t->end - ngx_current_msec) > 0) {
            break;
        }

        ngx_chathub_typing_set(t->member, 0);
    }
}


/* {"room":…,"joined":[…],"left":[…],"count":N} */

static ngx_int_t
ngx_chathub_presence_tell(ngx_chathub_room_t *room)
{
    u_char                     *p;
    size_t                      size;
    ngx_int_t                   rc;
    ngx_str_t                   data;
    ngx_chathub_hub_t          *hub;
    ngx_rbtree_node_t          *node;
    ngx_chathub_change_t       *d;
    ngx_chathub_stream_info_t   info;

    hub = room->group.hub;

    if (ngx_chathub_stream_get(&hub->zone, room->stream,
                               room->stream_id, &info)
        != NGX_OK)
    {
        return NGX_OK;
    }

    size = sizeof("{\"room\":,\"joined\":[],\"left\":[],\"count\":}")
           + NGX_INT_T_LEN + ngx_chathub_json_string_size(&room->name);

    if (room->delta && room->delta->n) {

        for (node = ngx_rbtree_min(room->delta->names.root,
                                   &room->delta->sentinel);
             node;
             node = ngx_rbtree_next(&room->delta->names, node))
        {
            d = (ngx_chathub_change_t *) node;
            size += ngx_chathub_json_string_size(&d->sn.str) + 1;
        }
    }

    data.data = ngx_alloc(size, hub->log);
    if (data.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(data.data, "{\"room\":", sizeof("{\"room\":") - 1);
    p = ngx_chathub_json_string(p, &room->name);
    p = ngx_cpymem(p, ",\"joined\":[", sizeof(",\"joined\":[") - 1);
    p = ngx_chathub_presence_names(p, room, 1);
    p = ngx_cpymem(p, "],\"left\":[", sizeof("],\"left\":[") - 1);
    p = ngx_chathub_presence_names(p, room, -1);
    p = ngx_sprintf(p, "],\"count\":%ui}", info.users);

    data.len = p - data.data;

    rc = ngx_chathub_room_event(room, NGX_CHATHUB_OUT_ROOMUSERS, &data, 0);

    ngx_free(data.data);

    return rc;
}


static u_char *
ngx_chathub_presence_names(u_char *p, ngx_chathub_room_t *room,
    ngx_int_t change)
{
    u_char               *start;
    ngx_rbtree_node_t    *node;
    ngx_chathub_change_t  *d;

    if (room->delta == NULL || room->delta->n == 0) {
        return p;
    }

    start = p;

    for (node = ngx_rbtree_min(room->delta->names.root,
                                   &room->delta->sentinel);
         node;
         node = ngx_rbtree_next(&room->delta->names, node))
    {
        d = (ngx_chathub_change_t *) node;

        if (d->change != change) {
            continue;
        }

        if (p != start) {
            *p++ = ',';
        }

        p = ngx_chathub_json_string(p, &d->sn.str);
    }

    return p;
}


/* Typing. */


void
ngx_chathub_typing_set(ngx_chathub_member_t *m, ngx_uint_t typing)
{
    ngx_uint_t             was;
    ngx_chathub_hub_t     *hub;
    ngx_chathub_typing_t  *t;

    hub = m->room->group.hub;
    t = m->typing;
    was = (t != NULL);

    if (was) {
        ngx_queue_remove(&t->queue);
    }

    if (typing && t == NULL) {
        t = ngx_alloc(sizeof(ngx_chathub_typing_t), hub->log);
        if (t == NULL) {
            return;
        }

        t->member = m;
        m->typing = t;
    }

    if (typing) {
        t->end = ngx_current_msec + NGX_CHATHUB_TYPING_TIME;
        ngx_queue_insert_tail(&hub->typing, &t->queue);

    } else if (was) {
        ngx_free(t);
        m->typing = NULL;
    }

    if (was != typing) {
        ngx_chathub_typing_tell(m, typing);
    }
}


/* ephemeral: where the log cannot be had nobody learns of it */

static void
ngx_chathub_typing_tell(ngx_chathub_member_t *m, ngx_uint_t typing)
{
    ngx_str_t               body;
    ngx_chathub_hub_t      *hub;
    ngx_chathub_room_t     *room;
    ngx_chathub_slotset_t   ring;

    room = m->room;
    hub = room->group.hub;

    body.data = (u_char *) (typing ? "1" : "0");
    body.len = 1;

    if (ngx_chathub_log_direct(&hub->zone, NGX_CHATHUB_REC_TYPING,
                               room->stream, room->stream_id,
                               &m->place.session->user->sn.str, &body,
                               m->place.session->number, &ring)
        == NGX_OK)
    {
        ngx_chathub_wake(&hub->zone, &ring);
        ngx_chathub_reader_post(hub);
    }
}


void
ngx_chathub_typing_record(ngx_chathub_room_t *room, ngx_chathub_record_t *rec)
{
    u_char     buf[2 * NGX_CHATHUB_NAME_MAX * 6 + 64], *p;
    ngx_str_t  data;

    p = ngx_cpymem(buf, "{\"room\":", sizeof("{\"room\":") - 1);
    p = ngx_chathub_json_string(p, &room->name);
    p = ngx_cpymem(p, ",\"user\":", sizeof(",\"user\":") - 1);
    p = ngx_chathub_json_string(p, &rec->user);
    p = ngx_sprintf(p, ",\"typing\":%s}",
                    (rec->body.len == 1 && rec->body.data[0] == '1')
                    ? "true" : "false");

    data.data = buf;
    data.len = p - buf;

    /* dropped where the batch is full */

    (void) ngx_chathub_room_event(room, NGX_CHATHUB_OUT_TYPING, &data,
                                  rec->session);
}
