
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * Replays: what a client missed, read from the log at the pace of its socket,
 * until it has what its room's group has and enters it.  A room whose worker
 * lost its place is brought back in the same way.
 */


#include "ngx_chathub_core.h"


#define NGX_CHATHUB_CATCHUP_SLICE  256   /* messages a turn */
#define NGX_CHATHUB_CATCHUP_KEPT   256   /* positions: the rest is walked to
                                            again, so that a client that does
                                            not read holds little memory */


static ngx_chathub_catchup_t *ngx_chathub_catchup_create(
    ngx_chathub_hub_t *hub, size_t extra, uint64_t *positions, ngx_uint_t n);
static void ngx_chathub_catchup_runnable(ngx_chathub_hub_t *hub,
    ngx_chathub_catchup_t *cu);
static void ngx_chathub_catchup_live(ngx_chathub_catchup_t *cu);
static void ngx_chathub_catchup_more(ngx_chathub_catchup_t *cu,
    ngx_chathub_stream_info_t *info);
static ngx_int_t ngx_chathub_catchup_read(ngx_chathub_hub_t *hub,
    ngx_chathub_catchup_t *cu, ngx_chathub_record_t *rec);
static ngx_uint_t ngx_chathub_catchup_want(void *data,
    ngx_chathub_record_t *rec);
static void ngx_chathub_catchup_session(ngx_chathub_hub_t *hub,
    ngx_chathub_catchup_t *cu, ngx_uint_t *budget);
static void ngx_chathub_catchup_done(ngx_chathub_catchup_t *cu);
static void ngx_chathub_catchup_room_run(ngx_chathub_hub_t *hub,
    ngx_chathub_catchup_t *cu, ngx_uint_t *budget);
static void ngx_chathub_catchup_room_next(ngx_chathub_room_t *room);
static void ngx_chathub_catchup_room_lost(ngx_chathub_room_t *room,
    ngx_chathub_stream_info_t *info);


ngx_int_t
ngx_chathub_catchup_collect(ngx_chathub_hub_t *hub,
    ngx_chathub_stream_info_t *info, uint64_t seq, uint64_t **positions,
    ngx_uint_t *n)
{
    ngx_int_t   rc;
    ngx_uint_t  found, kept;

    *positions = NULL;
    *n = 0;
    found = 0;

    rc = ngx_chathub_log_replay(&hub->zone.messages, info->stream_id,
                                info->epoch, info->last, seq, hub->positions,
                                hub->conf->replay, &found);

    if (rc == NGX_BUSY || found == 0) {
        return rc;
    }

    kept = ngx_min(found, NGX_CHATHUB_CATCHUP_KEPT);

    *positions = ngx_alloc(kept * sizeof(uint64_t), hub->log);
    if (*positions == NULL) {
        return NGX_ERROR;
    }

    /* newest first: the oldest are the last ones */

    ngx_memcpy(*positions, hub->positions + found - kept,
               kept * sizeof(uint64_t));
    *n = kept;

    return rc;
}


static ngx_chathub_catchup_t *
ngx_chathub_catchup_create(ngx_chathub_hub_t *hub, size_t extra,
    uint64_t *positions, ngx_uint_t n)
{
    ngx_chathub_catchup_t  *cu;

    cu = ngx_calloc(sizeof(ngx_chathub_catchup_t) + extra, hub->log);

    if (cu == NULL) {
        if (positions) {
            ngx_free(positions);
        }

        return NULL;
    }

    cu->positions = positions;
    cu->n = n;

    if (n) {
        ngx_chathub_catchup_runnable(hub, cu);
    }

    return cu;
}


static void
ngx_chathub_catchup_runnable(ngx_chathub_hub_t *hub,
    ngx_chathub_catchup_t *cu)
{
    if (!cu->runnable) {
        cu->runnable = 1;
        ngx_queue_insert_tail(&hub->runnable, &cu->run);
        ngx_post_event(&hub->flush, &ngx_posted_events);
    }
}


ngx_int_t
ngx_chathub_catchup_member(ngx_chathub_member_t *m, uint64_t seq,
    uint64_t *positions, ngx_uint_t n)
{
    ngx_chathub_room_t     *room;
    ngx_chathub_catchup_t  *cu;
    ngx_chathub_session_t  *s;

    room = m->room;
    s = m->place.session;

    if (m->catchup) {
        ngx_chathub_catchup_free(m->catchup);
    }

    if (m->place.group) {
        ngx_chathub_group_remove(&m->place);
    }

    cu = ngx_chathub_catchup_create(room->group.hub, 0, positions, n);
    if (cu == NULL) {
        return NGX_ERROR;
    }

    cu->session = s;
    cu->member = m;
    cu->room = room;
    cu->kind = NGX_CHATHUB_STREAM_ROOM;
    cu->stream_id = room->stream_id;
    cu->epoch = room->epoch;
    cu->seq = seq;

    cu->next = s->catchups;
    s->catchups = cu;
    m->catchup = cu;

    ngx_queue_insert_tail(&room->catching, &cu->queue);

    ngx_chathub_catchup_settle(room);

    return NGX_OK;
}


ngx_int_t
ngx_chathub_catchup_stream(ngx_chathub_session_t *s,
    ngx_chathub_stream_info_t *info, ngx_chathub_key_t *key,
    uint64_t *positions, ngx_uint_t n)
{
    ngx_chathub_catchup_t  *cu;

    if (n == 0) {
        return NGX_OK;
    }

    cu = ngx_chathub_catchup_create(s->hub, key->b.len, positions, n);
    if (cu == NULL) {
        return NGX_ERROR;
    }

    s->nreplays++;

    cu->session = s;
    cu->kind = key->kind;
    cu->stream_id = info->stream_id;
    cu->epoch = info->epoch;
    cu->last = info->last;
    cu->end = info->seq;

    if (key->b.len) {
        cu->peer.len = key->b.len;
        cu->peer.data = (u_char *) (cu + 1);
        ngx_memcpy(cu->peer.data, key->b.data, key->b.len);
    }

    cu->next = s->catchups;
    s->catchups = cu;

    return NGX_OK;
}


void
ngx_chathub_catchup_free(ngx_chathub_catchup_t *cu)
{
    ngx_chathub_catchup_t  **p;

    if (cu->runnable) {
        ngx_queue_remove(&cu->run);
    }

    if (cu->member) {
        ngx_queue_remove(&cu->queue);
        cu->member->catchup = NULL;
    }

    if (cu->session) {
        for (p = &cu->session->catchups; *p != cu; p = &(*p)->next) {
            /* void */
        }

        *p = cu->next;
        cu->session->nreplays -= (cu->room == NULL);

    } else {
        cu->room->behind = NULL;
    }

    if (cu->positions) {
        ngx_free(cu->positions);
    }

    ngx_free(cu);
}


void
ngx_chathub_catchup_wake(ngx_chathub_session_t *s)
{
    ngx_chathub_catchup_t  *cu;

    for (cu = s->catchups; cu; cu = cu->next) {
        if (cu->n) {
            ngx_chathub_catchup_runnable(s->hub, cu);
        }
    }
}


/* Members enter the group. */


void
ngx_chathub_catchup_settle(ngx_chathub_room_t *room)
{
    ngx_queue_t                *q, *next;
    ngx_chathub_catchup_t      *cu;
    ngx_chathub_stream_info_t   info;

    if (ngx_queue_empty(&room->catching)
        || room->behind
        || ngx_chathub_group_gathers(&room->group))
    {
        return;
    }

    info.stream_id = room->stream_id;
    info.epoch = room->epoch;
    info.seq = room->seq;
    info.last = room->last;

    for (q = ngx_queue_head(&room->catching);
         q != ngx_queue_sentinel(&room->catching);
         q = next)
    {
        next = ngx_queue_next(q);
        cu = ngx_queue_data(q, ngx_chathub_catchup_t, queue);

        if (cu->n) {
            continue;
        }

        if (cu->seq == room->seq) {
            ngx_chathub_catchup_live(cu);

        } else if (cu->seq < room->seq) {
            ngx_chathub_catchup_more(cu, &info);
        }

        /* else the worker has yet to read up to where the member joined */
    }
}


static void
ngx_chathub_catchup_live(ngx_chathub_catchup_t *cu)
{
    ngx_int_t               rc;
    ngx_chathub_session_t  *s;

    s = cu->session;

    rc = ngx_chathub_group_add(&cu->room->group, &cu->member->place, s);

    ngx_chathub_catchup_free(cu);

    if (rc != NGX_OK) {
        ngx_chathub_session_close(s, 1011, "no memory");
    }
}


/* there is more than the positions that were kept, or the group went on while
 * this member was reading */

static void
ngx_chathub_catchup_more(ngx_chathub_catchup_t *cu,
    ngx_chathub_stream_info_t *info)
{
    ngx_int_t               rc;
    ngx_chathub_hub_t      *hub;
    ngx_chathub_session_t  *s;

    s = cu->session;
    hub = s->hub;

    if (cu->positions) {
        ngx_free(cu->positions);
    }

    rc = ngx_chathub_catchup_collect(hub, info, cu->seq, &cu->positions,
                                     &cu->n);
    switch (rc) {

    case NGX_OK:
        ngx_chathub_catchup_runnable(hub, cu);
        return;

    case NGX_ERROR:
        ngx_chathub_session_close(s, 1011, "no memory");
        return;

    default:
        if (cu->positions) {
            ngx_free(cu->positions);
            cu->positions = NULL;
            cu->n = 0;
        }

        cu->seq = info->seq;
        ngx_chathub_catchup_resync(s, cu->kind, cu->room ? &cu->room->name
                                                         : &cu->peer);

        /* a session that has ended took the replay along */

        if (s->state != NGX_CHATHUB_SESSION_OPEN) {
            return;
        }

        if (cu->room) {
            ngx_chathub_catchup_live(cu);

        } else {
            ngx_chathub_catchup_free(cu);
        }
    }
}


/* Slices of work. */


ngx_int_t
ngx_chathub_catchup_run(ngx_chathub_hub_t *hub)
{
    ngx_uint_t              budget;
    ngx_queue_t            *q;
    ngx_chathub_catchup_t  *cu;

    budget = NGX_CHATHUB_CATCHUP_SLICE;

    while (budget && !ngx_queue_empty(&hub->runnable)) {
        q = ngx_queue_head(&hub->runnable);
        cu = ngx_queue_data(q, ngx_chathub_catchup_t, run);

        ngx_queue_remove(q);
        cu->runnable = 0;

        if (cu->session) {
            ngx_chathub_catchup_session(hub, cu, &budget);

        } else {
            ngx_chathub_catchup_room_run(hub, cu, &budget);
        }
    }

    return ngx_queue_empty(&hub->runnable) ? NGX_OK : NGX_AGAIN;
}


static void
ngx_chathub_catchup_session(ngx_chathub_hub_t *hub, ngx_chathub_catchup_t *cu,
    ngx_uint_t *budget)
{
    ngx_chathub_chunk_t    *chunk;
    ngx_chathub_record_t    rec;
    ngx_chathub_session_t  *s;

    s = cu->session;

    while (cu->n && *budget) {

        /* the socket's write event goes on with it */

        if (s->out_size) {
            return;
        }

        (*budget)--;

        if (ngx_chathub_catchup_read(hub, cu, &rec) != NGX_OK) {
            cu->n = 0;
            cu->seq = cu->room ? ngx_max(cu->seq, cu->room->seq) : cu->end;

            ngx_chathub_catchup_resync(s, cu->kind,
                                       cu->room ? &cu->room->name
                                                : &cu->peer);

            if (s->state != NGX_CHATHUB_SESSION_OPEN) {
                return;
            }

            break;
        }

        cu->seq = rec.seq;
        cu->n--;

        chunk = NULL;
        ngx_chathub_session_message(s, &rec, &chunk);

        if (chunk) {
            ngx_chathub_chunk_unref(chunk);
        }

        if (s->state != NGX_CHATHUB_SESSION_OPEN) {

            /* it took the replay along */
            return;
        }

        if (s->pending && s->pending->size >= NGX_CHATHUB_PENDING_MAX) {
            ngx_chathub_session_flush(s);

            if (s->state != NGX_CHATHUB_SESSION_OPEN) {
                return;
            }
        }
    }

    if (cu->n) {
        ngx_chathub_catchup_runnable(hub, cu);
        return;
    }

    ngx_chathub_catchup_done(cu);
}


static void
ngx_chathub_catchup_done(ngx_chathub_catchup_t *cu)
{
    ngx_chathub_room_t         *room;
    ngx_chathub_stream_info_t   info;

    room = cu->room;

    if (room == NULL) {

        if (cu->seq >= cu->end) {
            ngx_chathub_catchup_free(cu);
            return;
        }

        info.stream_id = cu->stream_id;
        info.epoch = cu->epoch;
        info.seq = cu->end;
        info.last = cu->last;

        ngx_chathub_catchup_more(cu, &info);
        return;
    }

    if (cu->positions) {
        ngx_free(cu->positions);
        cu->positions = NULL;
    }

    ngx_chathub_catchup_settle(room);
}


static ngx_int_t
ngx_chathub_catchup_read(ngx_chathub_hub_t *hub, ngx_chathub_catchup_t *cu,
    ngx_chathub_record_t *rec)
{
    uint64_t   pos;
    ngx_int_t  rc;

    pos = cu->positions[cu->n - 1];

    rc = ngx_chathub_log_read(&hub->zone.messages, &pos, rec, hub->buf,
                              ngx_chathub_catchup_want, NULL);

    if (rc != NGX_OK || rec->stream_id != cu->stream_id
        || rec->kind != NGX_CHATHUB_REC_MESSAGE)
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_chathub_catchup_want(void *data, ngx_chathub_record_t *rec)
{
    return 1;
}


void
ngx_chathub_catchup_resync(ngx_chathub_session_t *s, ngx_chathub_stream_e kind,
    ngx_str_t *name)
{
    u_char           buf[NGX_CHATHUB_NAME_MAX * 6 + 32], *p;
    ngx_str_t        data;
    static ngx_str_t everybody = ngx_string("{\"broadcast\":1}");

    if (kind == NGX_CHATHUB_STREAM_ALL) {
        ngx_chathub_session_event(s, NGX_CHATHUB_OUT_RESYNC,
                                  NGX_CHATHUB_NO_REF, &everybody);
        return;
    }

    p = ngx_sprintf(buf, "{\"%s\":",
                    (kind == NGX_CHATHUB_STREAM_ROOM) ? "room" : "user");
    p = ngx_chathub_json_string(p, name);
    *p++ = '}';

    data.data = buf;
    data.len = p - buf;

    ngx_chathub_session_event(s, NGX_CHATHUB_OUT_RESYNC, NGX_CHATHUB_NO_REF,
                              &data);
}


/* A room whose worker was lapped, or that missed a number. */


void
ngx_chathub_catchup_room(ngx_chathub_room_t *room)
{
    ngx_chathub_hub_t          *hub;
    ngx_chathub_catchup_t      *cu;
    ngx_chathub_stream_info_t   info;

    if (room->behind) {
        return;
    }

    hub = room->group.hub;

    cu = ngx_chathub_catchup_create(hub, 0, NULL, 0);

    if (cu == NULL) {

        if (ngx_chathub_stream_get(&hub->zone, room->stream,
                                   room->stream_id, &info)
            == NGX_OK)
        {
            ngx_chathub_catchup_room_lost(room, &info);
        }

        return;
    }

    cu->room = room;
    cu->stream_id = room->stream_id;
    cu->epoch = room->epoch;
    room->behind = cu;

    ngx_chathub_catchup_room_next(room);
}


/* finds what the room still lacks; ends the replay where that is nothing */

static void
ngx_chathub_catchup_room_next(ngx_chathub_room_t *room)
{
    ngx_int_t                   rc;
    ngx_chathub_hub_t          *hub;
    ngx_chathub_catchup_t      *cu;
    ngx_chathub_stream_info_t   info;

    hub = room->group.hub;
    cu = room->behind;

    rc = ngx_chathub_stream_get(&hub->zone, room->stream,
                                room->stream_id, &info);
    if (rc != NGX_OK) {

        /* nothing comes from it any more, nor did it have anything to say */

        ngx_chathub_catchup_free(cu);
        return;
    }

    if (info.epoch == room->epoch && info.seq < room->passed) {

        /* the record is in the log before the stream's entry tells of it */

        info.seq = room->passed;
        info.last = room->passed_at;
    }

    if (info.epoch == room->epoch && info.seq <= room->seq) {
        ngx_chathub_catchup_free(cu);
        ngx_chathub_catchup_settle(room);
        return;
    }

    if (cu->positions) {
        ngx_free(cu->positions);
        cu->positions = NULL;
        cu->n = 0;
    }

    rc = NGX_DECLINED;

    if (info.epoch == room->epoch) {
        rc = ngx_chathub_catchup_collect(hub, &info, room->seq,
                                         &cu->positions, &cu->n);
    }

    if (rc == NGX_OK) {
        ngx_chathub_catchup_runnable(hub, cu);
        return;
    }

    ngx_chathub_catchup_free(cu);
    ngx_chathub_catchup_room_lost(room, &info);
}


static void
ngx_chathub_catchup_room_run(ngx_chathub_hub_t *hub, ngx_chathub_catchup_t *cu,
    ngx_uint_t *budget)
{
    ngx_int_t              rc;
    ngx_chathub_room_t    *room;
    ngx_chathub_record_t   rec;

    room = cu->room;

    while (cu->n && *budget) {

        (*budget)--;

        rc = ngx_chathub_catchup_read(hub, cu, &rec);

        if (rc == NGX_OK) {
            rc = ngx_chathub_group_message(&room->group, &rec);

            if (rc != NGX_OK) {

                /* full, or no memory: it goes on after the next flush */

                ngx_chathub_catchup_runnable(hub, cu);
                *budget = 0;
                return;
            }

            room->seq = rec.seq;
            room->last = rec.position;
            cu->n--;

            continue;
        }

        break;
    }

    if (cu->n && *budget == 0) {
        ngx_chathub_catchup_runnable(hub, cu);
        return;
    }

    /* what was overwritten under the replay is found missing there */

    ngx_chathub_catchup_room_next(room);
}


/* the members are told that they missed something, and go on from now */

static void
ngx_chathub_catchup_room_lost(ngx_chathub_room_t *room,
    ngx_chathub_stream_info_t *info)
{
    ngx_uint_t                i;
    ngx_queue_t              *q, *next;
    ngx_chathub_group_t      *g;
    ngx_chathub_catchup_t    *cu;
    ngx_chathub_session_t    *s;

    g = &room->group;

    room->epoch = info->epoch;
    room->seq = info->seq;
    room->last = info->last;
    room->passed = 0;

    for (i = g->n; i > 0; i--) {
        s = g->places[i - 1]->session;
        ngx_chathub_catchup_resync(s, NGX_CHATHUB_STREAM_ROOM, &room->name);
    }

    for (q = ngx_queue_head(&room->catching);
         q != ngx_queue_sentinel(&room->catching);
         q = next)
    {
        next = ngx_queue_next(q);
        cu = ngx_queue_data(q, ngx_chathub_catchup_t, queue);

        if (cu->epoch != room->epoch) {
            cu->epoch = room->epoch;
            cu->seq = room->seq;
            cu->n = 0;
            ngx_chathub_catchup_resync(cu->session, NGX_CHATHUB_STREAM_ROOM,
                                       &room->name);
        }
    }

    ngx_chathub_catchup_settle(room);
}
