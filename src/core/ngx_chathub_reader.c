
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * The worker as a reader of the hub's two logs: what is for its sessions is
 * put into their groups, the rest is skipped.  What cannot be put there now
 * stays in the log.
 */


#include "ngx_chathub_core.h"


static ngx_int_t ngx_chathub_reader_messages(ngx_chathub_hub_t *hub);
static ngx_uint_t ngx_chathub_reader_want(void *data,
    ngx_chathub_record_t *rec);
static ngx_int_t ngx_chathub_reader_deliver(ngx_chathub_hub_t *hub,
    ngx_chathub_record_t *rec);
static void ngx_chathub_reader_deliver_pair(ngx_chathub_hub_t *hub,
    ngx_chathub_record_t *rec);
static void ngx_chathub_reader_lapped(ngx_chathub_hub_t *hub);
static ngx_int_t ngx_chathub_reader_directed(ngx_chathub_hub_t *hub);
static ngx_uint_t ngx_chathub_reader_want_directed(void *data,
    ngx_chathub_record_t *rec);
static void ngx_chathub_reader_lapped_directed(ngx_chathub_hub_t *hub);


void
ngx_chathub_reader_post(ngx_chathub_hub_t *hub)
{
    if (hub->attached) {
        ngx_post_event(&hub->read, &ngx_posted_events);
    }
}


void
ngx_chathub_reader_handler(ngx_event_t *ev)
{
    ngx_int_t           directed, messages;
    ngx_chathub_hub_t  *hub;

    hub = ev->data;

    if (!hub->attached) {
        return;
    }

    do {
        directed = ngx_chathub_reader_directed(hub);
        messages = ngx_chathub_reader_messages(hub);

        ngx_chathub_wake_cursor(&hub->zone, hub->messages);

        if (directed == NGX_AGAIN || messages == NGX_AGAIN) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        if (messages == NGX_ERROR) {

            /* no memory: the log keeps it, the wheel comes back to it */

            return;
        }

    } while (ngx_chathub_wake_arm(&hub->zone, hub->messages, hub->directed)
             == NGX_AGAIN);
}


/* NGX_OK: at the head; NGX_AGAIN: the slice is over; NGX_ERROR: no memory */

static ngx_int_t
ngx_chathub_reader_messages(ngx_chathub_hub_t *hub)
{
    uint64_t              next;
    ngx_int_t             rc;
    ngx_uint_t            own, skipped;
    ngx_chathub_record_t  rec;

    own = 0;
    skipped = 0;

    while (own < NGX_CHATHUB_SLICE_RECORDS
           && skipped < NGX_CHATHUB_SLICE_SKIPS)
    {
        next = hub->messages;

        rc = ngx_chathub_log_read(&hub->zone.messages, &next, &rec, hub->buf,
                                  ngx_chathub_reader_want, hub);

        if (rc == NGX_DONE) {
            hub->messages = next;
            return NGX_OK;
        }

        if (rc == NGX_DECLINED) {
            hub->messages = next;
            ngx_chathub_reader_lapped(hub);
            continue;
        }

        if (rec.body.len == 0) {
            skipped++;

        } else {
            own++;

            rc = ngx_chathub_reader_deliver(hub, &rec);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        hub->messages = next;
    }

    return NGX_AGAIN;
}


static ngx_uint_t
ngx_chathub_reader_want(void *data, ngx_chathub_record_t *rec)
{
    ngx_chathub_hub_t  *hub = data;

    if (rec->kind != NGX_CHATHUB_REC_MESSAGE || hub->sessions == 0) {
        return 0;
    }

    return rec->stream_kind != NGX_CHATHUB_STREAM_ROOM
           || ngx_chathub_room_find(hub, rec->stream, rec->stream_id) != NULL;
}


static ngx_int_t
ngx_chathub_reader_deliver(ngx_chathub_hub_t *hub, ngx_chathub_record_t *rec)
{
    ngx_chathub_room_t  *room;

    switch (rec->stream_kind) {

    case NGX_CHATHUB_STREAM_ROOM:
        room = ngx_chathub_room_find(hub, rec->stream, rec->stream_id);
        return room ? ngx_chathub_room_record(room, rec) : NGX_OK;

    case NGX_CHATHUB_STREAM_ALL:
        return ngx_chathub_group_message(&hub->everybody, rec);

    default:
        ngx_chathub_reader_deliver_pair(hub, rec);
        return NGX_OK;
    }
}


static void
ngx_chathub_reader_deliver_pair(ngx_chathub_hub_t *hub,
    ngx_chathub_record_t *rec)
{
    uint32_t                    hash;
    ngx_str_t                  *name;
    ngx_uint_t                  i;
    ngx_queue_t                *q, *next;
    ngx_chathub_user_t         *user, *first;
    ngx_chathub_chunk_t        *chunk;
    ngx_chathub_session_t      *s;
    const ngx_chathub_codec_t  *codec;

    first = NULL;
    chunk = NULL;
    codec = NULL;

    for (i = 0; i < 2; i++) {
        name = i ? &rec->to : &rec->user;
        hash = ngx_crc32_long(name->data, name->len);

        user = (ngx_chathub_user_t *) ngx_str_rbtree_lookup(&hub->users, name,
                                                            hash);
        if (user == NULL || user == first || rec->position < user->since) {
            continue;
        }

        first = user;

        for (q = ngx_queue_head(&user->sessions);
             q != ngx_queue_sentinel(&user->sessions);
             q = next)
        {
            next = ngx_queue_next(q);
            s = ngx_queue_data(q, ngx_chathub_session_t, user_queue);

            if (s->codec != codec && chunk) {
                ngx_chathub_chunk_unref(chunk);
                chunk = NULL;
            }

            codec = s->codec;
            ngx_chathub_session_message(s, rec, &chunk);
        }
    }

    if (chunk) {
        ngx_chathub_chunk_unref(chunk);
    }
}


/* what this worker serves has been overwritten before it was read */

static void
ngx_chathub_reader_lapped(ngx_chathub_hub_t *hub)
{
    ngx_uint_t              i;
    ngx_chathub_room_t     *room;
    ngx_chathub_session_t  *s;

    ngx_log_error(NGX_LOG_WARN, hub->log, 0,
                  "chat hub \"%V\" wrote its log faster than this worker "
                  "read it", &hub->conf->name);

    for (room = ngx_chathub_room_next(hub, NULL);
         room;
         room = ngx_chathub_room_next(hub, room))
    {
        ngx_chathub_catchup_room(room);
    }

    /* broadcasts and direct messages: who missed one cannot be known */

    for (i = hub->everybody.n; i > 0; i--) {

        if (i > hub->everybody.n) {
            continue;
        }

        s = hub->everybody.places[i - 1]->session;

        ngx_chathub_catchup_resync(s, NGX_CHATHUB_STREAM_ALL, NULL);
        ngx_chathub_catchup_resync(s, NGX_CHATHUB_STREAM_PAIR,
                                   ngx_chathub_session_user(s));
    }
}


static ngx_int_t
ngx_chathub_reader_directed(ngx_chathub_hub_t *hub)
{
    ngx_int_t              rc;
    ngx_uint_t             i;
    ngx_chathub_room_t    *room;
    ngx_chathub_record_t   rec;

    for (i = 0; i < NGX_CHATHUB_SLICE_RECORDS; i++) {

        rc = ngx_chathub_log_read(&hub->zone.directed, &hub->directed, &rec,
                                  hub->buf, ngx_chathub_reader_want_directed,
                                  hub);

        if (rc == NGX_DONE) {
            return NGX_OK;
        }

        if (rc == NGX_DECLINED) {
            ngx_chathub_reader_lapped_directed(hub);
            continue;
        }

        if (rec.length == 0 || rec.user.len == 0) {
            continue;
        }

        room = ngx_chathub_room_find(hub, rec.stream, rec.stream_id);
        if (room == NULL) {
            continue;
        }

        if (rec.kind == NGX_CHATHUB_REC_TYPING) {
            ngx_chathub_typing_record(room, &rec);

        } else {
            ngx_chathub_presence_record(room, &rec);
        }
    }

    return NGX_AGAIN;
}


static ngx_uint_t
ngx_chathub_reader_want_directed(void *data, ngx_chathub_record_t *rec)
{
    ngx_chathub_hub_t  *hub = data;

    switch (rec->kind) {

    case NGX_CHATHUB_REC_TYPING:
    case NGX_CHATHUB_REC_JOINED:
    case NGX_CHATHUB_REC_LEFT:
        return ngx_chathub_room_find(hub, rec->stream, rec->stream_id)
               != NULL;

    default:
        return 0;
    }
}


/* who came and went may be lost, how many there are is told all the same */

static void
ngx_chathub_reader_lapped_directed(ngx_chathub_hub_t *hub)
{
    ngx_chathub_room_t  *room;

    for (room = ngx_chathub_room_next(hub, NULL);
         room;
         room = ngx_chathub_room_next(hub, room))
    {
        ngx_chathub_presence_stale(room);
    }
}
