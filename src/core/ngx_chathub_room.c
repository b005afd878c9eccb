
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * Rooms of this worker and their fan-out.  A delivery costs a system call
 * whatever it carries, so the unit of delivery is the batch: what a turn of
 * the event loop brings to a group is encoded once per codec into one
 * buffer, and each session's socket gets one send of it.
 */


#include "ngx_chathub_core.h"


static ngx_chathub_variant_t *ngx_chathub_group_variant(
    ngx_chathub_group_t *g, const ngx_chathub_codec_t *codec);
static void ngx_chathub_group_move(ngx_chathub_group_t *g, ngx_uint_t from,
    ngx_uint_t to);
static ngx_int_t ngx_chathub_group_reserve(ngx_chathub_group_t *g,
    ngx_chathub_variant_t *v, size_t size);
static void ngx_chathub_group_gathered(ngx_chathub_group_t *g);
static void ngx_chathub_group_dirty(ngx_chathub_group_t *g);
static ngx_uint_t ngx_chathub_group_hot(ngx_chathub_group_t *g);
static void ngx_chathub_group_seal(ngx_chathub_group_t *g);
static ngx_int_t ngx_chathub_group_send(ngx_chathub_group_t *g,
    ngx_uint_t *budget);
static void ngx_chathub_group_send_except(ngx_chathub_session_t *s,
    ngx_chathub_batch_t *b);
static void ngx_chathub_batch_clear(ngx_chathub_batch_t *b);


/* Groups. */


ngx_int_t
ngx_chathub_group_add(ngx_chathub_group_t *g, ngx_chathub_place_t *place,
    ngx_chathub_session_t *s)
{
    ngx_uint_t               max;
    ngx_chathub_place_t    **places;
    ngx_chathub_variant_t   *v;

    if (g->n == g->max) {
        max = g->max ? g->max * 2 : 2;

        places = ngx_alloc(max * sizeof(ngx_chathub_place_t *), g->hub->log);
        if (places == NULL) {
            return NGX_ERROR;
        }

        if (g->places) {
            ngx_memcpy(places, g->places,
                       g->n * sizeof(ngx_chathub_place_t *));
            ngx_free(g->places);
        }

        g->places = places;
        g->max = max;
    }

    v = ngx_chathub_group_variant(g, s->codec);

    if (v == NULL) {
        v = ngx_calloc(sizeof(ngx_chathub_variant_t), g->hub->log);
        if (v == NULL) {
            return NGX_ERROR;
        }

        v->codec = s->codec;
        v->next = g->variants;
        g->variants = v;
    }

    v->n++;

    place->session = s;
    place->group = g;
    place->index = g->n;

    g->places[g->n++] = place;

    return NGX_OK;
}


void
ngx_chathub_group_remove(ngx_chathub_place_t *place)
{
    ngx_uint_t            i;
    ngx_chathub_group_t  *g;

    g = place->group;
    i = place->index;

    ngx_chathub_group_variant(g, place->session->codec)->n--;

    /*
     * While a batch is being sent the places are three runs: who has it, who
     * will get it, who came later.  The hole moves to the end through each,
     * so that nobody changes his run.
     */

    if (i < g->cursor) {
        g->cursor--;
        ngx_chathub_group_move(g, g->cursor, i);
        i = g->cursor;
    }

    if (i < g->end) {
        g->end--;
        ngx_chathub_group_move(g, g->end, i);
        i = g->end;
    }

    g->n--;
    ngx_chathub_group_move(g, g->n, i);

    place->group = NULL;
}


static void
ngx_chathub_group_move(ngx_chathub_group_t *g, ngx_uint_t from, ngx_uint_t to)
{
    /* the hole is there already, and what it held has moved elsewhere */

    if (from == to) {
        return;
    }

    g->places[to] = g->places[from];
    g->places[to]->index = to;
}


void
ngx_chathub_group_free(ngx_chathub_group_t *g)
{
    ngx_chathub_variant_t  *v, *next;

    if (g->state != NGX_CHATHUB_GROUP_QUIET) {
        ngx_queue_remove(&g->queue);
        g->state = NGX_CHATHUB_GROUP_QUIET;
    }

    for (v = g->variants; v; v = next) {
        next = v->next;

        ngx_chathub_batch_clear(&v->gather);
        ngx_chathub_batch_clear(&v->sealed);

        if (v->gather.except) {
            ngx_free(v->gather.except);
        }

        if (v->sealed.except) {
            ngx_free(v->sealed.except);
        }

        ngx_free(v);
    }

    g->variants = NULL;

    if (g->places) {
        ngx_free(g->places);
        g->places = NULL;
    }
}


static ngx_chathub_variant_t *
ngx_chathub_group_variant(ngx_chathub_group_t *g,
    const ngx_chathub_codec_t *codec)
{
    ngx_chathub_variant_t  *v;

    for (v = g->variants; v; v = v->next) {
        if (v->codec == codec) {
            return v;
        }
    }

    return NULL;
}


/* Gathering. */


ngx_int_t
ngx_chathub_group_message(ngx_chathub_group_t *g, ngx_chathub_record_t *rec)
{
    u_char                  buf[NGX_CHATHUB_MESSAGE_HEAD_MAX], *p;
    size_t                  size;
    ngx_int_t               rc;
    ngx_str_t               head;
    ngx_chathub_variant_t  *v;

    head.data = buf;
    head.len = ngx_chathub_message_head(buf, &rec->id, rec->seq, rec->epoch,
                                        rec->time)
               - buf;

    size = head.len + rec->body.len;

    for (v = g->variants; v; v = v->next) {
        rc = ngx_chathub_group_reserve(g, v, v->codec->message_size(size));
        if (rc != NGX_OK) {
            return rc;
        }
    }

    for (v = g->variants; v; v = v->next) {
        if (v->n) {
            p = v->gather.chunk->data + v->gather.chunk->size;
            v->gather.chunk->size = v->codec->message(p, &head, &rec->body)
                                    - v->gather.chunk->data;
        }
    }

    ngx_chathub_group_gathered(g);

    return NGX_OK;
}


ngx_int_t
ngx_chathub_group_event(ngx_chathub_group_t *g, ngx_chathub_out_e event,
    ngx_str_t *data, uint64_t except)
{
    u_char                 *p;
    size_t                  size;
    ngx_int_t               rc;
    ngx_chathub_batch_t    *b;
    ngx_chathub_except_t   *e;
    ngx_chathub_variant_t  *v;

    for (v = g->variants; v; v = v->next) {
        b = &v->gather;

        size = v->codec->event_size(event, NGX_CHATHUB_NO_REF, data->len);

        rc = ngx_chathub_group_reserve(g, v, size);
        if (rc != NGX_OK) {
            return rc;
        }

        if (except && b->except == NULL) {
            b->except = ngx_alloc(NGX_CHATHUB_EXCEPT_MAX
                                  * sizeof(ngx_chathub_except_t),
                                  g->hub->log);
            if (b->except == NULL) {
                return NGX_ERROR;
            }
        }

        if (except && b->nexcept == NGX_CHATHUB_EXCEPT_MAX) {
            return NGX_AGAIN;
        }
    }

    for (v = g->variants; v; v = v->next) {
        if (v->n == 0) {
            continue;
        }

        b = &v->gather;
        size = b->chunk->size;

        p = v->codec->event(b->chunk->data + size, event, NGX_CHATHUB_NO_REF,
                            data);
        b->chunk->size = p - b->chunk->data;

        if (except) {
            e = &b->except[b->nexcept++];
            e->session = except;
            e->offset = size;
            e->size = b->chunk->size - size;
        }
    }

    ngx_chathub_group_gathered(g);

    return NGX_OK;
}


static ngx_int_t
ngx_chathub_group_reserve(ngx_chathub_group_t *g, ngx_chathub_variant_t *v,
    size_t size)
{
    size_t                capacity;
    ngx_chathub_chunk_t  *chunk, *grown;

    if (v->n == 0) {
        return NGX_OK;
    }

    chunk = v->gather.chunk;

    if (chunk && chunk->size + size <= chunk->capacity) {
        return NGX_OK;
    }

    if (chunk && chunk->size + size > NGX_CHATHUB_BATCH_MAX) {

        /* the log keeps the rest until this has been sent */

        ngx_chathub_group_dirty(g);
        return NGX_AGAIN;
    }

    capacity = chunk ? ngx_min((chunk->size + size) * 2, NGX_CHATHUB_BATCH_MAX)
                     : ngx_max(size, 512);

    grown = ngx_chathub_chunk_create(capacity, g->hub->log);
    if (grown == NULL) {
        return NGX_ERROR;
    }

    if (chunk) {
        ngx_memcpy(grown->data, chunk->data, chunk->size);
        grown->size = chunk->size;
        ngx_chathub_chunk_unref(chunk);
    }

    v->gather.chunk = grown;

    return NGX_OK;
}


/* takes the group's heat, and sees to it that it is flushed */

static void
ngx_chathub_group_gathered(ngx_chathub_group_t *g)
{
    ngx_msec_t  elapsed;

    if (g->n == 0) {
        return;
    }

    g->records++;

    elapsed = ngx_current_msec - g->window;

    if (elapsed >= NGX_CHATHUB_HOT_WINDOW) {
        g->rate = g->records * 1000 / elapsed;
        g->records = 0;
        g->window = ngx_current_msec;
    }

    if (g->state != NGX_CHATHUB_GROUP_QUIET) {
        return;
    }

    if (ngx_chathub_group_hot(g)) {
        g->state = NGX_CHATHUB_GROUP_HOT;
        ngx_queue_insert_tail(&g->hub->hot, &g->queue);

        if (!g->hub->hot_flush.timer_set) {
            ngx_add_timer(&g->hub->hot_flush, NGX_CHATHUB_HOT_FLUSH);
        }

        return;
    }

    ngx_chathub_group_dirty(g);
}


static ngx_uint_t
ngx_chathub_group_hot(ngx_chathub_group_t *g)
{
    return g->rate >= NGX_CHATHUB_HOT_RECORDS
           && (uint64_t) g->rate * g->n >= NGX_CHATHUB_HOT_DELIVERIES
           && ngx_current_msec - g->window < 2 * NGX_CHATHUB_HOT_WINDOW;
}


/* to be flushed as this turn ends; one that is being sent is seen to then */

static void
ngx_chathub_group_dirty(ngx_chathub_group_t *g)
{
    if (g->state == NGX_CHATHUB_GROUP_HOT) {
        ngx_queue_remove(&g->queue);
        g->state = NGX_CHATHUB_GROUP_QUIET;
    }

    if (g->state == NGX_CHATHUB_GROUP_QUIET) {
        g->state = NGX_CHATHUB_GROUP_DIRTY;
        ngx_queue_insert_tail(&g->hub->dirty, &g->queue);
    }

    ngx_post_event(&g->hub->flush, &ngx_posted_events);
}


void
ngx_chathub_group_flush_hot(ngx_chathub_hub_t *hub)
{
    ngx_queue_t          *q;
    ngx_chathub_group_t  *g;

    while (!ngx_queue_empty(&hub->hot)) {
        q = ngx_queue_head(&hub->hot);
        g = ngx_queue_data(q, ngx_chathub_group_t, queue);

        ngx_chathub_group_dirty(g);
    }
}


/* Sending. */


ngx_int_t
ngx_chathub_group_flush(ngx_chathub_hub_t *hub, ngx_uint_t *budget)
{
    ngx_queue_t          *q;
    ngx_chathub_group_t  *g;

    for ( ;; ) {

        while (!ngx_queue_empty(&hub->dirty)) {
            q = ngx_queue_head(&hub->dirty);
            g = ngx_queue_data(q, ngx_chathub_group_t, queue);

            ngx_queue_remove(q);
            ngx_queue_insert_tail(&hub->sending, q);

            ngx_chathub_group_seal(g);
        }

        if (ngx_queue_empty(&hub->sending)) {
            return NGX_OK;
        }

        q = ngx_queue_head(&hub->sending);
        g = ngx_queue_data(q, ngx_chathub_group_t, queue);

        if (ngx_chathub_group_send(g, budget) == NGX_AGAIN) {

            /* the next turn begins with those that have not had any */

            ngx_queue_remove(q);
            ngx_queue_insert_tail(&hub->sending, q);

            return NGX_AGAIN;
        }
    }
}


static void
ngx_chathub_group_seal(ngx_chathub_group_t *g)
{
    ngx_chathub_batch_t     b;
    ngx_chathub_variant_t  *v;

    g->state = NGX_CHATHUB_GROUP_SENDING;
    g->cursor = 0;
    g->end = g->n;

    for (v = g->variants; v; v = v->next) {
        b = v->sealed;
        v->sealed = v->gather;
        v->gather = b;
    }

    /* nothing is gathered now: who has caught up can enter */

    if (g->room) {
        ngx_chathub_catchup_settle(g->room);
    }
}


/* NGX_OK: all sent, or the group is no more to be sent to; NGX_AGAIN: the
 * budget is used up */

static ngx_int_t
ngx_chathub_group_send(ngx_chathub_group_t *g, ngx_uint_t *budget)
{
    ngx_chathub_batch_t    *b;
    ngx_chathub_session_t  *s;
    ngx_chathub_variant_t  *v;

    while (g->cursor < g->end) {

        if (*budget == 0) {
            return NGX_AGAIN;
        }

        s = g->places[g->cursor++]->session;
        b = &ngx_chathub_group_variant(g, s->codec)->sealed;

        if (b->chunk == NULL) {
            continue;
        }

        (*budget)--;

        if (b->nexcept) {
            ngx_chathub_group_send_except(s, b);

        } else {
            ngx_chathub_session_send(s, b->chunk, 0);
        }

        /* sending can end the session, and with it the room */

        if (g->state != NGX_CHATHUB_GROUP_SENDING) {
            return NGX_OK;
        }
    }

    ngx_queue_remove(&g->queue);
    g->state = NGX_CHATHUB_GROUP_QUIET;
    g->cursor = 0;
    g->end = 0;

    for (v = g->variants; v; v = v->next) {
        ngx_chathub_batch_clear(&v->sealed);
    }

    if (ngx_chathub_group_gathers(g)) {
        ngx_chathub_group_dirty(g);

    } else if (g->room) {
        ngx_chathub_catchup_settle(g->room);
    }

    return NGX_OK;
}


/* the batch without what this session itself has caused; rare */

static void
ngx_chathub_group_send_except(ngx_chathub_session_t *s, ngx_chathub_batch_t *b)
{
    u_char                *p;
    size_t                 offset, end;
    ngx_uint_t             i, own;
    ngx_chathub_except_t  *e;

    own = 0;

    for (i = 0; i < b->nexcept; i++) {
        own |= (b->except[i].session == s->number);
    }

    if (!own) {
        ngx_chathub_session_send(s, b->chunk, 0);
        return;
    }

    offset = 0;

    for (i = 0; i <= b->nexcept; i++) {
        e = &b->except[i];

        if (i < b->nexcept && e->session != s->number) {
            continue;
        }

        end = (i < b->nexcept) ? e->offset : b->chunk->size;

        if (end > offset) {
            p = ngx_chathub_session_reserve(s, end - offset);
            if (p == NULL) {
                return;
            }

            ngx_memcpy(p, b->chunk->data + offset, end - offset);
        }

        if (i < b->nexcept) {
            offset = e->offset + e->size;
        }
    }
}


ngx_uint_t
ngx_chathub_group_gathers(ngx_chathub_group_t *g)
{
    ngx_chathub_variant_t  *v;

    for (v = g->variants; v; v = v->next) {

        /* one that is empty is left of what found no memory */

        if (v->gather.chunk && v->gather.chunk->size) {
            return 1;
        }
    }

    return 0;
}


static void
ngx_chathub_batch_clear(ngx_chathub_batch_t *b)
{
    if (b->chunk) {
        ngx_chathub_chunk_unref(b->chunk);
        b->chunk = NULL;
    }

    b->nexcept = 0;
}


/* Rooms and their members. */


ngx_chathub_room_t *
ngx_chathub_room_find(ngx_chathub_hub_t *hub, uint32_t stream,
    uint64_t stream_id)
{
    ngx_rbtree_node_t   *node;
    ngx_chathub_room_t  *room;

    node = hub->rooms.root;

    while (node != &hub->rooms_sentinel) {

        if (stream != node->key) {
            node = (stream < node->key) ? node->left : node->right;
            continue;
        }

        room = ngx_rbtree_data(node, ngx_chathub_room_t, node);

        return (room->stream_id == stream_id) ? room : NULL;
    }

    return NULL;
}


ngx_chathub_room_t *
ngx_chathub_room_next(ngx_chathub_hub_t *hub, ngx_chathub_room_t *room)
{
    ngx_rbtree_node_t  *node, *found;

    /* by its key, as the tree may have changed meanwhile */

    found = NULL;
    node = hub->rooms.root;

    while (node != &hub->rooms_sentinel) {

        if (room == NULL || node->key > room->stream) {
            found = node;
            node = node->left;

        } else {
            node = node->right;
        }
    }

    return found ? ngx_rbtree_data(found, ngx_chathub_room_t, node) : NULL;
}


ngx_chathub_room_t *
ngx_chathub_room_create(ngx_chathub_hub_t *hub, ngx_str_t *name,
    ngx_chathub_stream_info_t *info)
{
    ngx_chathub_room_t  *room;

    room = ngx_calloc(sizeof(ngx_chathub_room_t) + name->len, hub->log);
    if (room == NULL) {
        return NULL;
    }

    room->group.hub = hub;
    room->group.room = room;
    room->node.key = info->stream;
    room->stream = info->stream;
    room->stream_id = info->stream_id;
    room->epoch = info->epoch;
    room->seq = info->seq;
    room->last = info->last;
    room->told = ngx_current_msec - 1000;

    room->name.len = name->len;
    room->name.data = (u_char *) (room + 1);
    ngx_memcpy(room->name.data, name->data, name->len);

    ngx_queue_init(&room->catching);
    ngx_rbtree_insert(&hub->rooms, &room->node);

    return room;
}


void
ngx_chathub_room_retire(ngx_chathub_room_t *room)
{
    ngx_chathub_hub_t  *hub;

    hub = room->group.hub;

    if (room->behind) {
        ngx_chathub_catchup_free(room->behind);
    }

    ngx_chathub_presence_forget(room);

    if (room->group.state != NGX_CHATHUB_GROUP_QUIET) {
        ngx_queue_remove(&room->group.queue);
        room->group.state = NGX_CHATHUB_GROUP_QUIET;
    }

    ngx_rbtree_delete(&hub->rooms, &room->node);

    room->next = hub->empty;
    hub->empty = room;

    ngx_post_event(&hub->reap, &ngx_posted_events);
}


void
ngx_chathub_room_reap(ngx_chathub_hub_t *hub)
{
    ngx_chathub_room_t  *room;

    while (hub->empty) {
        room = hub->empty;
        hub->empty = room->next;

        ngx_chathub_group_free(&room->group);
        ngx_free(room);
    }
}


ngx_chathub_member_t *
ngx_chathub_member_find(ngx_chathub_session_t *s, ngx_str_t *room)
{
    ngx_str_t             *name;
    ngx_chathub_member_t  *m;

    for (m = s->members; m; m = m->next) {
        name = &m->room->name;

        if (name->len == room->len
            && ngx_memcmp(name->data, room->data, room->len) == 0)
        {
            return m;
        }
    }

    return NULL;
}


ngx_chathub_member_t *
ngx_chathub_member_create(ngx_chathub_session_t *s, ngx_chathub_room_t *room)
{
    ngx_chathub_member_t  *m;

    m = ngx_calloc(sizeof(ngx_chathub_member_t), s->hub->log);
    if (m == NULL) {
        return NULL;
    }

    m->room = room;
    m->place.session = s;
    m->next = s->members;

    s->members = m;
    s->nrooms++;
    room->nmembers++;

    return m;
}


void
ngx_chathub_member_free(ngx_chathub_session_t *s, ngx_chathub_member_t *m)
{
    ngx_chathub_room_t     *room;
    ngx_chathub_member_t  **p;

    room = m->room;

    ngx_chathub_typing_set(m, 0);

    if (m->catchup) {
        ngx_chathub_catchup_free(m->catchup);
    }

    if (m->place.group) {
        ngx_chathub_group_remove(&m->place);
    }

    for (p = &s->members; *p != m; p = &(*p)->next) { /* void */ }

    *p = m->next;
    s->nrooms--;

    if (--room->nmembers == 0) {
        ngx_chathub_room_retire(room);
    }

    ngx_chathub_hub_left(s->hub, room, s->user->index);

    ngx_free(m);
}


ngx_int_t
ngx_chathub_room_event(ngx_chathub_room_t *room, ngx_chathub_out_e event,
    ngx_str_t *data, uint64_t except)
{
    ngx_int_t               rc;
    ngx_queue_t            *q, *next;
    ngx_chathub_catchup_t  *cu;

    rc = ngx_chathub_group_event(&room->group, event, data, except);
    if (rc != NGX_OK) {
        return rc;
    }

    for (q = ngx_queue_head(&room->catching);
         q != ngx_queue_sentinel(&room->catching);
         q = next)
    {
        next = ngx_queue_next(q);
        cu = ngx_queue_data(q, ngx_chathub_catchup_t, queue);

        if (cu->session->number != except) {
            ngx_chathub_session_event(cu->session, event, NGX_CHATHUB_NO_REF,
                                      data);
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_chathub_room_record(ngx_chathub_room_t *room, ngx_chathub_record_t *rec)
{
    ngx_int_t  rc;

    if (rec->epoch == room->epoch && rec->seq <= room->seq) {
        return NGX_OK;
    }

    /* a replay of the whole room will come to it, also where the stream's
     * entry does not tell of it yet */

    if (room->behind) {
        room->passed = rec->seq;
        room->passed_at = rec->position;
        return NGX_OK;
    }

    if (rec->epoch != room->epoch || rec->seq != room->seq + 1) {
        ngx_chathub_catchup_room(room);
        return NGX_OK;
    }

    rc = ngx_chathub_group_message(&room->group, rec);
    if (rc != NGX_OK) {
        return rc;
    }

    room->seq = rec->seq;
    room->last = rec->position;

    if (room->group.n == 0) {
        ngx_chathub_catchup_settle(room);
    }

    return NGX_OK;
}
