
/*
 * Copyright (C) ChatHub contributors
 */


/* What clients ask for, and what they are answered (README, "Events"). */


#include "ngx_chathub_core.h"


typedef void (*ngx_chathub_request_pt)(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);


static void ngx_chathub_request_join(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);
static ngx_int_t ngx_chathub_request_name(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);
static void ngx_chathub_request_join_room(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);
static ngx_chathub_member_t *ngx_chathub_request_member(
    ngx_chathub_session_t *s, ngx_chathub_event_t *ev,
    ngx_chathub_stream_info_t *info);
static void ngx_chathub_request_join_stream(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);
static ngx_int_t ngx_chathub_request_missed(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev, ngx_chathub_stream_info_t *info,
    uint64_t **positions, ngx_uint_t *n, ngx_uint_t *resync);
static ngx_int_t ngx_chathub_request_joined(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev, ngx_chathub_stream_info_t *info,
    ngx_uint_t resync);
static void ngx_chathub_request_leave(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);
static void ngx_chathub_request_message(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);
static void ngx_chathub_request_publish(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);
static void ngx_chathub_request_published(ngx_chathub_publish_t *p,
    ngx_int_t rc);
static void ngx_chathub_request_ack(ngx_chathub_publish_t *p);
static void ngx_chathub_request_rooms(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);
static void ngx_chathub_request_users(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);
static void ngx_chathub_request_typing(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);
static void ngx_chathub_request_ping(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);
static void ngx_chathub_request_answer(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev, ngx_str_t *data);
static void ngx_chathub_request_refuse(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev, ngx_chathub_code_e code, const char *message);
static void ngx_chathub_request_failed(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev, ngx_int_t rc);


/* by ngx_chathub_event_e */

static const ngx_chathub_request_pt  ngx_chathub_requests[] = {
    ngx_chathub_request_join,
    ngx_chathub_request_leave,
    ngx_chathub_request_message,
    ngx_chathub_request_rooms,
    ngx_chathub_request_users,
    ngx_chathub_request_typing,
    ngx_chathub_request_ping
};


void
ngx_chathub_hub_event(ngx_chathub_session_t *s, ngx_chathub_event_t *ev)
{
    if (s->state == NGX_CHATHUB_SESSION_OPEN) {
        ngx_chathub_requests[ev->type](s, ev);
    }
}


/* Joining. */


static void
ngx_chathub_request_join(ngx_chathub_session_t *s, ngx_chathub_event_t *ev)
{
    if (ev->room.data == NULL) {
        ngx_chathub_request_join_stream(s, ev);
        return;
    }

    if (ngx_chathub_request_name(s, ev) == NGX_OK) {
        ngx_chathub_request_join_room(s, ev);
    }
}


/* a guest has the name of his last join */

static ngx_int_t
ngx_chathub_request_name(ngx_chathub_session_t *s, ngx_chathub_event_t *ev)
{
    ngx_int_t   rc;
    ngx_str_t  *name;

    name = ngx_chathub_session_user(s);

    if (!s->guest || ev->user.len == 0
        || (ev->user.len == name->len
            && ngx_memcmp(ev->user.data, name->data, name->len) == 0))
    {
        return NGX_OK;
    }

    rc = ngx_chathub_session_rename(s, &ev->user);

    if (rc != NGX_OK) {
        ngx_chathub_request_failed(s, ev, rc);
    }

    return rc;
}


static void
ngx_chathub_request_join_room(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev)
{
    uint64_t                    seq, *positions;
    ngx_int_t                   rc;
    ngx_uint_t                  n, resync;
    ngx_chathub_member_t       *m;
    ngx_chathub_stream_info_t   info;

    m = ngx_chathub_member_find(s, &ev->room);

    if (m == NULL) {
        m = ngx_chathub_request_member(s, ev, &info);
        if (m == NULL) {
            return;
        }

    } else if (ngx_chathub_stream_get(&s->hub->zone, m->room->stream,
                                      m->room->stream_id, &info)
               != NGX_OK)
    {
        ngx_chathub_request_failed(s, ev, NGX_ERROR);
        return;
    }

    rc = ngx_chathub_request_missed(s, ev, &info, &positions, &n, &resync);

    if (rc != NGX_OK
        || ngx_chathub_request_joined(s, ev, &info, resync) != NGX_OK)
    {
        if (positions) {
            ngx_free(positions);
        }

        ngx_chathub_session_close(s, 1011, "no memory");
        return;
    }

    ngx_chathub_session_event(s, NGX_CHATHUB_OUT_LOG, NGX_CHATHUB_NO_REF,
                              &s->hub->hello);

    if (s->state != NGX_CHATHUB_SESSION_OPEN) {
        if (positions) {
            ngx_free(positions);
        }

        return;
    }

    if (!ev->has_seq && (m->place.group || m->catchup)) {

        /* joined again, and nothing is asked for */

        return;
    }

    seq = n ? ev->seq : info.seq;

    if (ngx_chathub_catchup_member(m, seq, positions, n) != NGX_OK) {
        ngx_chathub_session_close(s, 1011, "no memory");
    }
}


/* makes the session a member; answers where that cannot be */

static ngx_chathub_member_t *
ngx_chathub_request_member(ngx_chathub_session_t *s, ngx_chathub_event_t *ev,
    ngx_chathub_stream_info_t *info)
{
    ngx_int_t               rc;
    ngx_uint_t              changed;
    ngx_chathub_hub_t      *hub;
    ngx_chathub_undo_t      undo;
    ngx_chathub_room_t     *room;
    ngx_chathub_member_t   *m;
    ngx_chathub_slotset_t   ring;

    hub = s->hub;

    if (s->nrooms >= s->policy->max_rooms) {
        ngx_chathub_request_refuse(s, ev, NGX_CHATHUB_E_TOO_MANY_ROOMS,
                                   "too many rooms are joined");
        return NULL;
    }

    /* a "leave" of this very room may still be waiting for the mutex */

    if (!ngx_queue_empty(&hub->undos)) {
        ngx_chathub_request_failed(s, ev, NGX_AGAIN);
        return NULL;
    }

    rc = ngx_chathub_member_join(&hub->zone, &ev->room, s->user->index, info,
                                 &changed, &ring);
    if (rc != NGX_OK) {
        ngx_chathub_request_failed(s, ev, rc);
        return NULL;
    }

    m = NULL;
    room = ngx_chathub_room_find(hub, info->stream, info->stream_id);

    if (room == NULL) {
        room = ngx_chathub_room_create(hub, &ev->room, info);
    }

    if (room) {
        m = ngx_chathub_member_create(s, room);

        if (m == NULL && room->nmembers == 0) {
            ngx_chathub_room_retire(room);
        }
    }

    if (changed) {
        ngx_chathub_wake(&hub->zone, &ring);
        ngx_chathub_reader_post(hub);
    }

    if (m == NULL) {
        ngx_memzero(&undo, sizeof(ngx_chathub_undo_t));
        undo.what = NGX_CHATHUB_UNDO_MEMBER;
        undo.stream = info->stream;
        undo.stream_id = info->stream_id;
        undo.user = s->user->index;

        ngx_chathub_hub_undo(hub, &undo);
        ngx_chathub_request_failed(s, ev, NGX_ERROR);
    }

    return m;
}


/* the pair with a user, or the broadcasts: they come without a join, so this
 * only replays */

static void
ngx_chathub_request_join_stream(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev)
{
    uint64_t                   *positions;
    ngx_int_t                   rc;
    ngx_uint_t                  n, resync;
    ngx_chathub_key_t           key;
    ngx_chathub_stream_info_t   info;

    if (s->nreplays == NGX_CHATHUB_REPLAYS_MAX) {
        ngx_chathub_request_refuse(s, ev, NGX_CHATHUB_E_BUSY,
                                   "too many replays are under way");
        return;
    }

    ngx_memzero(&key, sizeof(ngx_chathub_key_t));

    if (ev->broadcast) {
        key.kind = NGX_CHATHUB_STREAM_ALL;

    } else {
        key.kind = NGX_CHATHUB_STREAM_PAIR;
        key.a = *ngx_chathub_session_user(s);
        key.b = ev->user;
    }

    /* one who has no place is told where it begins */

    rc = ngx_chathub_stream_find(&s->hub->zone, &key, 1, &info);
    if (rc != NGX_OK) {
        ngx_chathub_request_failed(s, ev, rc);
        return;
    }

    rc = ngx_chathub_request_missed(s, ev, &info, &positions, &n, &resync);

    if (rc != NGX_OK
        || ngx_chathub_request_joined(s, ev, &info, resync) != NGX_OK)
    {
        if (positions) {
            ngx_free(positions);
        }

        ngx_chathub_session_close(s, 1011, "no memory");
        return;
    }

    if (s->state != NGX_CHATHUB_SESSION_OPEN) {
        if (positions) {
            ngx_free(positions);
        }

        return;
    }

    if (ngx_chathub_catchup_stream(s, &info, &key, positions, n) != NGX_OK) {
        ngx_chathub_session_close(s, 1011, "no memory");
    }
}


/* what the client lacks, from its seq to the stream's */

static ngx_int_t
ngx_chathub_request_missed(ngx_chathub_session_t *s, ngx_chathub_event_t *ev,
    ngx_chathub_stream_info_t *info, uint64_t **positions, ngx_uint_t *n,
    ngx_uint_t *resync)
{
    uint64_t   epoch;
    ngx_int_t  rc;

    *positions = NULL;
    *n = 0;
    *resync = 0;

    if (!ev->has_seq) {
        return NGX_OK;
    }

    if (ev->epoch.data
        && (ngx_chathub_message_epoch_parse(&ev->epoch, &epoch) != NGX_OK
            || epoch != info->epoch))
    {
        *resync = 1;
        return NGX_OK;
    }

    if (ev->seq == info->seq) {
        return NGX_OK;
    }

    if (ev->seq > info->seq) {
        *resync = 1;
        return NGX_OK;
    }

    rc = ngx_chathub_catchup_collect(s->hub, info, ev->seq, positions, n);

    if (rc == NGX_DECLINED && ev->seq == 0) {

        /* "from the oldest kept" */

        return NGX_OK;
    }

    if (rc == NGX_DECLINED || rc == NGX_BUSY) {
        *resync = 1;
        *n = 0;

        if (*positions) {
            ngx_free(*positions);
            *positions = NULL;
        }

        return NGX_OK;
    }

    return rc;
}


/* {room, epoch, seq, users, count, resync}, or that of a pair */

static ngx_int_t
ngx_chathub_request_joined(ngx_chathub_session_t *s, ngx_chathub_event_t *ev,
    ngx_chathub_stream_info_t *info, ngx_uint_t resync)
{
    u_char      *p, *buf;
    ngx_str_t    data, names[NGX_CHATHUB_LIMIT_DEFAULT], none;
    ngx_uint_t   n, count, more;
    ngx_pool_t  *pool;

    pool = ngx_create_pool(4096, s->hub->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    n = 0;
    count = 0;

    if (ev->room.data) {
        buf = ngx_palloc(pool,
                         NGX_CHATHUB_LIMIT_DEFAULT * NGX_CHATHUB_NAME_MAX);
        if (buf == NULL) {
            goto failed;
        }

        ngx_str_null(&none);

        if (ngx_chathub_member_list(&s->hub->zone, info->stream,
                                    info->stream_id, &none,
                                    NGX_CHATHUB_LIMIT_DEFAULT, names, buf,
                                    &n, &count, &more)
            != NGX_OK)
        {
            n = 0;
            count = info->users;
        }
    }

    p = ngx_palloc(pool, sizeof("{\"broadcast\":,\"epoch\":\"\",\"seq\":,"
                                "\"users\":,\"count\":,\"resync\":false}")
                         + NGX_CHATHUB_EPOCH_LEN + 2 * NGX_INT64_LEN
                         + ngx_chathub_json_string_size(&ev->room)
                         + ngx_chathub_json_string_size(&ev->user)
                         + ngx_chathub_json_names_size(names, n));
    if (p == NULL) {
        goto failed;
    }

    data.data = p;

    if (ev->room.data) {
        p = ngx_cpymem(p, "{\"room\":", sizeof("{\"room\":") - 1);
        p = ngx_chathub_json_string(p, &ev->room);

    } else if (ev->broadcast) {
        p = ngx_cpymem(p, "{\"broadcast\":1", sizeof("{\"broadcast\":1") - 1);

    } else {
        p = ngx_cpymem(p, "{\"user\":", sizeof("{\"user\":") - 1);
        p = ngx_chathub_json_string(p, &ev->user);
    }

    p = ngx_cpymem(p, ",\"epoch\":\"", sizeof(",\"epoch\":\"") - 1);
    p = ngx_chathub_message_epoch_text(p, info->epoch);
    p = ngx_sprintf(p, "\",\"seq\":%uL", info->seq);

    if (ev->room.data) {
        p = ngx_cpymem(p, ",\"users\":", sizeof(",\"users\":") - 1);
        p = ngx_chathub_json_names(p, names, n);
        p = ngx_sprintf(p, ",\"count\":%ui", count);
    }

    p = ngx_sprintf(p, ",\"resync\":%s}", resync ? "true" : "false");

    data.len = p - data.data;

    ngx_chathub_request_answer(s, ev, &data);

    ngx_destroy_pool(pool);

    return NGX_OK;

failed:

    ngx_destroy_pool(pool);

    return NGX_ERROR;
}


static void
ngx_chathub_request_leave(ngx_chathub_session_t *s, ngx_chathub_event_t *ev)
{
    u_char                 buf[NGX_CHATHUB_NAME_MAX * 6 + 16], *p;
    ngx_str_t              data;
    ngx_chathub_member_t  *m;

    m = ngx_chathub_member_find(s, &ev->room);

    if (m == NULL) {
        ngx_chathub_request_refuse(s, ev, NGX_CHATHUB_E_NOT_JOINED,
                                   "the room is not joined");
        return;
    }

    ngx_chathub_member_free(s, m);

    p = ngx_cpymem(buf, "{\"room\":", sizeof("{\"room\":") - 1);
    p = ngx_chathub_json_string(p, &ev->room);
    *p++ = '}';

    data.data = buf;
    data.len = p - buf;

    ngx_chathub_request_answer(s, ev, &data);
}


/* Publishing. */


static void
ngx_chathub_request_message(ngx_chathub_session_t *s, ngx_chathub_event_t *ev)
{
    ngx_chathub_message_t  *msg;

    msg = &ev->message;

    if (!msg->broadcast && !msg->unicast
        && ngx_chathub_member_find(s, &msg->room) == NULL)
    {
        ngx_chathub_request_refuse(s, ev, NGX_CHATHUB_E_NOT_JOINED,
                                   "speaking in a room needs having joined "
                                   "it");
        return;
    }

    /* a guest's empty name stays empty: a notice */

    if (!s->guest || msg->user.data == NULL || msg->user.len) {
        msg->user = *ngx_chathub_session_user(s);
    }

    ngx_chathub_request_publish(s, ev);
}


static void
ngx_chathub_request_publish(ngx_chathub_session_t *s, ngx_chathub_event_t *ev)
{
    u_char                 *p;
    size_t                  size;
    ngx_str_t              *user;
    ngx_time_t             *tp;
    ngx_chathub_hub_t      *hub;
    ngx_chathub_append_t   *a;
    ngx_chathub_message_t  *msg;
    ngx_chathub_publish_t  *pub;

    hub = s->hub;
    msg = &ev->message;
    user = ngx_chathub_session_user(s);
    size = ngx_chathub_message_body_size(msg);

    pub = ngx_calloc(sizeof(ngx_chathub_publish_t) + size + user->len
                     + msg->room.len + msg->to_user.len + NGX_CHATHUB_ID_MAX,
                     hub->log);
    if (pub == NULL) {
        ngx_chathub_request_failed(s, ev, NGX_ERROR);
        return;
    }

    p = (u_char *) (pub + 1);

    a = &pub->append;

    tp = ngx_timeofday();
    a->now = (uint64_t) tp->sec * 1000 + tp->msec;
    a->dedupe = hub->conf->dedupe_window;

    a->user.data = p;
    a->user.len = user->len;
    p = ngx_cpymem(p, user->data, user->len);

    pub->room.data = p;

    if (msg->room.len) {
        pub->room.len = msg->room.len;
        p = ngx_cpymem(p, msg->room.data, msg->room.len);
    }

    if (msg->broadcast) {
        a->key.kind = NGX_CHATHUB_STREAM_ALL;

    } else if (msg->unicast) {
        a->key.kind = NGX_CHATHUB_STREAM_PAIR;
        a->key.a = a->user;
        a->key.b.data = p;
        a->key.b.len = msg->to_user.len;
        p = ngx_cpymem(p, msg->to_user.data, msg->to_user.len);

    } else {
        a->key.kind = NGX_CHATHUB_STREAM_ROOM;
        a->key.a = pub->room;
    }

    a->id.data = p;

    if (msg->id.len) {
        p = ngx_cpymem(p, msg->id.data, msg->id.len);

    } else {
        p = ngx_chathub_message_uuid(p, a->now);
    }

    a->id.len = p - a->id.data;

    a->body.data = p;
    a->body.len = ngx_chathub_message_body(p, msg) - p;

    ngx_chathub_message_id_hash(&a->id, ngx_chathub_zone_key(&hub->zone),
                                a->id_hash);
    a->digest = ngx_chathub_message_digest(msg,
                                           ngx_chathub_zone_key(&hub->zone));

    pub->ref = ev->has_ref ? ev->ref : NGX_CHATHUB_NO_REF;
    pub->session = s;
    pub->done = ngx_chathub_request_published;

    s->refs++;

    hub->broker->publish(&hub->zone, pub);
}


static void
ngx_chathub_request_published(ngx_chathub_publish_t *pub, ngx_int_t rc)
{
    ngx_chathub_hub_t      *hub;
    ngx_chathub_error_t     err;
    ngx_chathub_session_t  *s;

    s = pub->session;
    hub = s->hub;

    s->refs--;

    if (rc == NGX_OK) {
        ngx_chathub_reader_post(hub);
    }

    if (s->state == NGX_CHATHUB_SESSION_DEAD) {
        ngx_post_event(&hub->reap, &ngx_posted_events);
        ngx_free(pub);
        return;
    }

    ngx_memzero(&err, sizeof(ngx_chathub_error_t));

    err.id = pub->append.id;
    err.room = pub->room;

    switch (rc) {

    case NGX_OK:
    case NGX_DONE:
        ngx_chathub_request_ack(pub);
        ngx_free(pub);
        return;

    case NGX_DECLINED:
        if (pub->forbidden) {
            err.code = NGX_CHATHUB_E_FORBIDDEN;
            err.message = "the id is another user's";

        } else {
            err.code = NGX_CHATHUB_E_BAD_REQUEST;
            err.message = "the id has been used for other content";
        }

        break;

    case NGX_BUSY:
        err.code = NGX_CHATHUB_E_BUSY;
        err.message = "the hub has no room, try again";
        err.retry_after = 1000;
        break;

    case NGX_AGAIN:
        err.code = NGX_CHATHUB_E_UNAVAILABLE;
        err.message = "the hub cannot be reached, try again";
        err.retry_after = 1000;
        break;

    default:
        err.code = NGX_CHATHUB_E_TOO_LARGE;
        err.message = "the message is larger than the hub's zone allows";
    }

    ngx_chathub_session_error(s, pub->ref, &err);
    ngx_free(pub);
}


/* {id, room, seq, epoch, time} */

static void
ngx_chathub_request_ack(ngx_chathub_publish_t *pub)
{
    u_char                 buf[NGX_CHATHUB_NAME_MAX * 6 + 256], *p;
    ngx_str_t              data;
    ngx_chathub_append_t  *a;

    if (pub->ref == NGX_CHATHUB_NO_REF) {
        return;
    }

    a = &pub->append;

    p = ngx_sprintf(buf, "{\"id\":\"%V\",\"room\":", &a->id);
    p = ngx_chathub_json_string(p, &pub->room);
    p = ngx_sprintf(p, ",\"seq\":%uL,\"epoch\":\"", a->seq);
    p = ngx_chathub_message_epoch_text(p, a->epoch);
    p = ngx_cpymem(p, "\",\"time\":\"", sizeof("\",\"time\":\"") - 1);
    p = ngx_chathub_message_time_text(p, a->time);
    *p++ = '"';
    *p++ = '}';

    data.data = buf;
    data.len = p - buf;

    ngx_chathub_session_event(pub->session, NGX_CHATHUB_OUT_ACK, pub->ref,
                              &data);
}


/* Lists. */


static void
ngx_chathub_request_rooms(ngx_chathub_session_t *s, ngx_chathub_event_t *ev)
{
    size_t                      size;
    u_char                     *p;
    ngx_str_t                   data, *after;
    ngx_uint_t                  n, i;
    ngx_pool_t                 *pool;
    ngx_chathub_hub_t          *hub;
    ngx_chathub_listed_t      **listed, *r;
    ngx_chathub_stream_info_t   info;

    hub = s->hub;

    ngx_chathub_directory_scan(hub, 1);

    pool = ngx_create_pool(4096, hub->log);
    if (pool == NULL) {
        ngx_chathub_request_failed(s, ev, NGX_ERROR);
        return;
    }

    listed = ngx_palloc(pool, ev->limit * sizeof(ngx_chathub_listed_t *));
    if (listed == NULL) {
        goto failed;
    }

    size = sizeof("{\"rooms\":[],\"more\":false}");
    after = &ev->after;

    for (n = 0; n < ev->limit; n++) {
        r = ngx_chathub_directory_next(hub, &ev->prefix, after);

        if (r == NULL) {
            break;
        }

        listed[n] = r;
        after = &r->name;
        size += sizeof("{\"room\":,\"users\":,\"seq\":,\"topic\":\"\"},")
                + ngx_chathub_json_string_size(&r->name) + 2 * NGX_INT64_LEN;
    }

    p = ngx_palloc(pool, size);
    if (p == NULL) {
        goto failed;
    }

    data.data = p;

    p = ngx_cpymem(p, "{\"rooms\":[", sizeof("{\"rooms\":[") - 1);

    for (i = 0; i < n; i++) {
        r = listed[i];

        if (ngx_chathub_stream_get(&hub->zone, r->stream, r->stream_id, &info)
            != NGX_OK)
        {
            /* gone in this instant */
            info.users = 0;
            info.seq = 0;
        }

        p = ngx_cpymem(p, "{\"room\":", sizeof("{\"room\":") - 1);
        p = ngx_chathub_json_string(p, &r->name);
        p = ngx_sprintf(p, ",\"users\":%ui,\"seq\":%uL,\"topic\":\"\"}%s",
                        info.users, info.seq, (i + 1 < n) ? "," : "");
    }

    p = ngx_sprintf(p, "],\"more\":%s}",
                    (n == ev->limit
                     && ngx_chathub_directory_next(hub, &ev->prefix, after))
                    ? "true" : "false");

    data.len = p - data.data;

    ngx_chathub_request_answer(s, ev, &data);
    ngx_destroy_pool(pool);

    return;

failed:

    ngx_chathub_request_failed(s, ev, NGX_ERROR);
    ngx_destroy_pool(pool);
}


static void
ngx_chathub_request_users(ngx_chathub_session_t *s, ngx_chathub_event_t *ev)
{
    u_char                     *p, *buf;
    ngx_int_t                   rc;
    ngx_str_t                   data, *names;
    ngx_uint_t                  n, count, more;
    ngx_pool_t                 *pool;
    ngx_chathub_key_t           key;
    ngx_chathub_stream_info_t   info;

    n = 0;
    count = 0;
    more = 0;

    ngx_memzero(&key, sizeof(ngx_chathub_key_t));
    key.kind = NGX_CHATHUB_STREAM_ROOM;
    key.a = ev->room;

    rc = ngx_chathub_stream_find(&s->hub->zone, &key, 0, &info);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        ngx_chathub_request_failed(s, ev, rc);
        return;
    }

    pool = ngx_create_pool(4096, s->hub->log);
    if (pool == NULL) {
        ngx_chathub_request_failed(s, ev, NGX_ERROR);
        return;
    }

    names = ngx_palloc(pool, ev->limit * sizeof(ngx_str_t));
    buf = ngx_palloc(pool, ev->limit * NGX_CHATHUB_NAME_MAX);

    if (names == NULL || buf == NULL) {
        goto failed;
    }

    if (rc == NGX_OK) {
        rc = ngx_chathub_member_list(&s->hub->zone, info.stream,
                                     info.stream_id, &ev->after, ev->limit,
                                     names, buf, &n, &count, &more);

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            ngx_chathub_request_failed(s, ev, rc);
            ngx_destroy_pool(pool);
            return;
        }
    }

    p = ngx_palloc(pool, sizeof("{\"users\":,\"count\":,\"more\":false}")
                         + NGX_INT64_LEN
                         + ngx_chathub_json_names_size(names, n));
    if (p == NULL) {
        goto failed;
    }

    data.data = p;

    p = ngx_cpymem(p, "{\"users\":", sizeof("{\"users\":") - 1);
    p = ngx_chathub_json_names(p, names, n);
    p = ngx_sprintf(p, ",\"count\":%ui,\"more\":%s}", count,
                    more ? "true" : "false");

    data.len = p - data.data;

    ngx_chathub_request_answer(s, ev, &data);
    ngx_destroy_pool(pool);

    return;

failed:

    ngx_chathub_request_failed(s, ev, NGX_ERROR);
    ngx_destroy_pool(pool);
}


static void
ngx_chathub_request_typing(ngx_chathub_session_t *s, ngx_chathub_event_t *ev)
{
    ngx_chathub_member_t  *m;
    static ngx_str_t       empty = ngx_string("{}");

    m = ngx_chathub_member_find(s, &ev->room);

    if (m == NULL) {
        ngx_chathub_request_refuse(s, ev, NGX_CHATHUB_E_NOT_JOINED,
                                   "typing in a room needs having joined it");
        return;
    }

    ngx_chathub_typing_set(m, ev->typing);
    ngx_chathub_request_answer(s, ev, &empty);
}


static void
ngx_chathub_request_ping(ngx_chathub_session_t *s, ngx_chathub_event_t *ev)
{
    u_char       buf[NGX_CHATHUB_TIME_LEN + 16], *p;
    ngx_str_t    data;
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    p = ngx_cpymem(buf, "{\"time\":\"", sizeof("{\"time\":\"") - 1);
    p = ngx_chathub_message_time_text(p, (uint64_t) tp->sec * 1000
                                         + tp->msec);
    *p++ = '"';
    *p++ = '}';

    data.data = buf;
    data.len = p - buf;

    ngx_chathub_request_answer(s, ev, &data);
}


/* Answers. */


static void
ngx_chathub_request_answer(ngx_chathub_session_t *s, ngx_chathub_event_t *ev,
    ngx_str_t *data)
{
    /* without a ref there is no acknowledgement */

    if (ev->has_ref) {
        ngx_chathub_session_event(s, NGX_CHATHUB_OUT_ACK, ev->ref, data);
    }
}


static void
ngx_chathub_request_refuse(ngx_chathub_session_t *s, ngx_chathub_event_t *ev,
    ngx_chathub_code_e code, const char *message)
{
    ngx_chathub_error_t  err;

    ngx_memzero(&err, sizeof(ngx_chathub_error_t));

    err.code = code;
    err.message = message;
    err.room = (ev->type == NGX_CHATHUB_EVENT_MESSAGE) ? ev->message.room
                                                       : ev->room;
    err.id = ev->message.id;

    if (code == NGX_CHATHUB_E_UNAVAILABLE || code == NGX_CHATHUB_E_BUSY) {
        err.retry_after = 1000;
    }

    ngx_chathub_session_error(s, ev->has_ref ? ev->ref : NGX_CHATHUB_NO_REF,
                              &err);
}


/* what the zone's functions return */

static void
ngx_chathub_request_failed(ngx_chathub_session_t *s, ngx_chathub_event_t *ev,
    ngx_int_t rc)
{
    switch (rc) {

    case NGX_BUSY:
        ngx_chathub_request_refuse(s, ev, NGX_CHATHUB_E_BUSY,
                                   "the hub's tables are full");
        break;

    case NGX_AGAIN:
        ngx_chathub_request_refuse(s, ev, NGX_CHATHUB_E_UNAVAILABLE,
                                   "the hub cannot be reached, try again");
        break;

    default:
        ngx_chathub_request_refuse(s, ev, NGX_CHATHUB_E_INTERNAL,
                                   "no memory");
    }
}
