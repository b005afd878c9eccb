
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_core.h"


static ngx_int_t ngx_chathub_session_name(ngx_chathub_session_t *s,
    ngx_str_t *name, u_char *buf, ngx_str_t *made);
static ngx_chathub_user_t *ngx_chathub_session_user_get(
    ngx_chathub_hub_t *hub, ngx_str_t *name, ngx_int_t *rc);
static void ngx_chathub_session_user_put(ngx_chathub_hub_t *hub,
    ngx_chathub_user_t *user);
static void ngx_chathub_session_addr_put(ngx_chathub_session_t *s);
static void ngx_chathub_session_control(ngx_chathub_session_t *s, u_char *p,
    u_char *last);
static void ngx_chathub_session_idle(ngx_chathub_session_t *s);


ngx_int_t
ngx_chathub_session_admit(ngx_chathub_session_t *s, ngx_str_t *name,
    ngx_chathub_error_t *err)
{
    u_char                        buf[NGX_CHATHUB_NAME_MAX];
    ngx_int_t                     rc;
    ngx_str_t                     made;
    ngx_chathub_hub_t            *hub;
    const ngx_chathub_policy_t   *policy;

    hub = s->hub;
    policy = s->policy;

    ngx_memzero(err, sizeof(ngx_chathub_error_t));

    err->code = NGX_CHATHUB_E_UNAVAILABLE;

    if (ngx_chathub_hub_available(hub, &err->message) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (ngx_chathub_session_name(s, name, buf, &made) != NGX_OK) {
        err->code = NGX_CHATHUB_E_BAD_NAME;
        err->message = "a user's name is 1 to 128 bytes of UTF-8 without "
                       "control characters";
        return NGX_DECLINED;
    }

    if (policy->max_connections
        && ngx_chathub_zone_sessions(&hub->zone) >= policy->max_connections)
    {
        err->code = NGX_CHATHUB_E_BUSY;
        err->message = "too many connections";
        return NGX_DECLINED;
    }

    rc = ngx_chathub_addr_add(&hub->zone, s->addr, policy->max_per_address);

    if (rc == NGX_DECLINED) {
        err->code = NGX_CHATHUB_E_BUSY;
        err->message = "too many connections from this address";
        return NGX_DECLINED;
    }

    if (rc == NGX_OK) {
        s->counted = 1;
        s->user = ngx_chathub_session_user_get(hub, &made, &rc);
    }

    if (rc != NGX_OK) {
        ngx_chathub_session_addr_put(s);

        if (rc == NGX_BUSY) {
            err->code = NGX_CHATHUB_E_BUSY;
            err->message = "the hub's tables are full, its zone is too small";

        } else {
            err->message = "the hub cannot be reached";
        }

        return NGX_DECLINED;
    }

    ngx_queue_insert_tail(&s->user->sessions, &s->user_queue);

    s->out_last = &s->out;
    s->number = ((uint64_t) hub->zone.slot << 56)
                | ((uint64_t) (hub->zone.generation & 0xffff) << 40)
                | (++hub->numbers & 0xffffffffff);

    if (hub->sessions == 0) {

        /* nobody rang for what was said before: it is not for this one */

        hub->messages = ngx_chathub_log_head(&hub->zone.messages);
    }

    hub->sessions++;
    ngx_chathub_zone_set_sessions(&hub->zone, hub->sessions);

    return NGX_OK;
}


static ngx_int_t
ngx_chathub_session_name(ngx_chathub_session_t *s, ngx_str_t *name,
    u_char *buf, ngx_str_t *made)
{
    u_char  *p;

    if (s->guest && name->len == 0) {
        p = ngx_cpymem(buf, "guest-", sizeof("guest-") - 1);
        p = ngx_sprintf(p, "%08xD", (uint32_t) ngx_random()
                                    ^ (uint32_t) (ngx_random() << 16));
        made->data = buf;
        made->len = p - buf;

        return NGX_OK;
    }

    *made = *name;

    return ngx_chathub_message_check_name(name);
}


/* finds or makes the worker's record of a user */

static ngx_chathub_user_t *
ngx_chathub_session_user_get(ngx_chathub_hub_t *hub, ngx_str_t *name,
    ngx_int_t *rc)
{
    uint32_t             hash;
    ngx_chathub_user_t  *user;

    hash = ngx_crc32_long(name->data, name->len);

    user = (ngx_chathub_user_t *) ngx_str_rbtree_lookup(&hub->users, name,
                                                        hash);
    if (user) {
        *rc = NGX_OK;
        return user;
    }

    /* an "offline" of this very user may still be waiting for the mutex */

    if (!ngx_queue_empty(&hub->undos)) {
        *rc = NGX_AGAIN;
        return NULL;
    }

    user = ngx_alloc(sizeof(ngx_chathub_user_t) + name->len, hub->log);
    if (user == NULL) {
        *rc = NGX_ERROR;
        return NULL;
    }

    *rc = ngx_chathub_user_online(&hub->zone, name, &user->index);

    if (*rc != NGX_OK) {
        ngx_free(user);
        return NULL;
    }

    user->sn.node.key = hash;
    user->sn.str.len = name->len;
    user->sn.str.data = (u_char *) (user + 1);
    ngx_memcpy(user->sn.str.data, name->data, name->len);

    user->since = ngx_chathub_log_head(&hub->zone.messages);

    ngx_queue_init(&user->sessions);
    ngx_rbtree_insert(&hub->users, &user->sn.node);

    return user;
}


static void
ngx_chathub_session_user_put(ngx_chathub_hub_t *hub, ngx_chathub_user_t *user)
{
    ngx_chathub_undo_t  undo;

    if (!ngx_queue_empty(&user->sessions)) {
        return;
    }

    ngx_memzero(&undo, sizeof(ngx_chathub_undo_t));
    undo.what = NGX_CHATHUB_UNDO_USER;
    undo.user = user->index;

    ngx_chathub_hub_undo(hub, &undo);

    ngx_rbtree_delete(&hub->users, &user->sn.node);
    ngx_free(user);
}


ngx_int_t
ngx_chathub_session_rename(ngx_chathub_session_t *s, ngx_str_t *name)
{
    ngx_int_t                  rc;
    ngx_uint_t                 changed;
    ngx_chathub_hub_t         *hub;
    ngx_chathub_user_t        *user, *old;
    ngx_chathub_member_t      *m, *done;
    ngx_chathub_slotset_t      ring;
    ngx_chathub_stream_info_t  info;

    hub = s->hub;

    user = ngx_chathub_session_user_get(hub, name, &rc);
    if (user == NULL) {
        return rc;
    }

    for (m = s->members; m; m = m->next) {

        rc = ngx_chathub_member_join(&hub->zone, &m->room->name, user->index,
                                     &info, &changed, &ring);
        if (rc != NGX_OK) {
            break;
        }

        if (changed) {
            ngx_chathub_wake(&hub->zone, &ring);
            ngx_chathub_reader_post(hub);
        }
    }

    if (rc != NGX_OK) {

        /* half renamed would be worse than not at all */

        for (done = s->members; done != m; done = done->next) {
            ngx_chathub_hub_left(hub, done->room, user->index);
        }

        ngx_chathub_session_user_put(hub, user);

        return rc;
    }

    /* the old name types no more */

    for (m = s->members; m; m = m->next) {
        ngx_chathub_typing_set(m, 0);
    }

    old = s->user;
    s->user = user;

    ngx_queue_remove(&s->user_queue);
    ngx_queue_insert_tail(&user->sessions, &s->user_queue);

    for (m = s->members; m; m = m->next) {
        ngx_chathub_hub_left(hub, m->room, old->index);
    }

    ngx_chathub_session_user_put(hub, old);

    return NGX_OK;
}


ngx_int_t
ngx_chathub_session_start(ngx_chathub_session_t *s, ngx_connection_t *c)
{
    /* few rooms cost little to look for, and the newcomer is told all */

    ngx_chathub_directory_scan(s->hub, s->hub->nlisted < 256);

    if (ngx_chathub_group_add(&s->hub->everybody, &s->everybody, s)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    s->connection = c;
    s->state = NGX_CHATHUB_SESSION_OPEN;
    s->heard = ngx_current_msec;

    c->write->handler = ngx_chathub_session_write_handler;

    ngx_chathub_session_wait(s, s->policy->ping_interval);

    ngx_chathub_session_event(s, NGX_CHATHUB_OUT_LOG, NGX_CHATHUB_NO_REF,
                              &s->hub->hello);
    ngx_chathub_directory_greet(s);

    return NGX_OK;
}


void
ngx_chathub_session_close(ngx_chathub_session_t *s, ngx_uint_t code,
    const char *reason)
{
    u_char     buf[NGX_CHATHUB_CONTROL_MAX], *p;
    ngx_str_t  text;

    if (s->state >= NGX_CHATHUB_SESSION_CLOSING) {
        return;
    }

    if (s->state == NGX_CHATHUB_SESSION_NEW) {
        ngx_chathub_session_die(s);
        return;
    }

    ngx_log_error(NGX_LOG_INFO, s->hub->log, 0,
                  "chat client \"%V\" closed with %ui: %s in hub \"%V\"",
                  ngx_chathub_session_user(s), code, reason,
                  &s->hub->conf->name);

    ngx_chathub_session_leave(s);

    text.data = (u_char *) reason;
    text.len = ngx_strlen(reason);

    p = s->codec->close(buf, code, &text);
    ngx_chathub_session_control(s, buf, p);

    /* no memory for that much is no reason to stay */

    if (s->state == NGX_CHATHUB_SESSION_OPEN) {
        s->state = NGX_CHATHUB_SESSION_CLOSING;

        /* who does not answer holds no worker longer than the drain, of which
         * four fifths were for the "bye" */

        ngx_chathub_session_wait(s, s->bye ? ngx_min(NGX_CHATHUB_CLOSE_TIME,
                                                     s->policy->drain / 5)
                                           : NGX_CHATHUB_CLOSE_TIME);
    }
}


void
ngx_chathub_session_peer_closed(ngx_chathub_session_t *s, ngx_uint_t code)
{
    u_char     buf[NGX_CHATHUB_CONTROL_MAX], *p;
    ngx_str_t  text;

    if (s->state == NGX_CHATHUB_SESSION_CLOSING) {

        /* this answers our own close */

        ngx_chathub_session_die(s);
        return;
    }

    if (s->state != NGX_CHATHUB_SESSION_OPEN) {
        return;
    }

    ngx_chathub_session_leave(s);

    ngx_str_null(&text);

    p = s->codec->close(buf, code, &text);
    ngx_chathub_session_control(s, buf, p);

    if (s->state == NGX_CHATHUB_SESSION_OPEN) {
        s->state = NGX_CHATHUB_SESSION_CLOSING;
        s->last = 1;
        ngx_chathub_session_wait(s, NGX_CHATHUB_CLOSE_TIME);
    }
}


void
ngx_chathub_session_die(ngx_chathub_session_t *s)
{
    ngx_chathub_hub_t  *hub;

    if (s->state == NGX_CHATHUB_SESSION_DEAD) {
        return;
    }

    hub = s->hub;

    ngx_chathub_session_leave(s);

    s->state = NGX_CHATHUB_SESSION_DEAD;

    if (s->out) {

        /* TLS cannot say its close behind a record that was begun */

        s->connection->buffered |= NGX_LOWLEVEL_BUFFERED;
    }

    ngx_chathub_session_drop_queue(s, 0);

    if (s->wheel.next) {
        ngx_queue_remove(&s->wheel);
        s->wheel.next = NULL;
    }

    if (s->user) {
        ngx_queue_remove(&s->user_queue);
        ngx_chathub_session_user_put(hub, s->user);
        s->user = NULL;
    }

    ngx_chathub_session_addr_put(s);

    /* one that is still in the list to be flushed is freed from there */

    if (!s->flushing) {
        s->next = hub->dead;
        hub->dead = s;
    }

    ngx_post_event(&hub->reap, &ngx_posted_events);
}


/* the session is no member of anything any more */

void
ngx_chathub_session_leave(ngx_chathub_session_t *s)
{
    while (s->catchups) {
        ngx_chathub_catchup_free(s->catchups);
    }

    while (s->members) {
        ngx_chathub_member_free(s, s->members);
    }

    if (s->everybody.group) {
        ngx_chathub_group_remove(&s->everybody);
    }
}


static void
ngx_chathub_session_addr_put(ngx_chathub_session_t *s)
{
    ngx_chathub_undo_t  undo;

    if (!s->counted) {
        return;
    }

    s->counted = 0;

    ngx_memzero(&undo, sizeof(ngx_chathub_undo_t));
    undo.what = NGX_CHATHUB_UNDO_ADDR;
    ngx_memcpy(undo.addr, s->addr, 16);

    ngx_chathub_hub_undo(s->hub, &undo);
}


/* frees what died; nobody on the stack refers to it any more */

void
ngx_chathub_session_reap(ngx_chathub_hub_t *hub)
{
    ngx_chathub_session_t  *s, *next, *held;

    held = NULL;

    for (s = hub->dead, hub->dead = NULL; s; s = next) {
        next = s->next;

        if (s->refs) {

            /* the publish that comes back will post the event again */

            s->next = held;
            held = s;
            continue;
        }

        hub->sessions--;
        s->transport->free(s);
    }

    if (held) {
        for (s = held; s->next; s = s->next) { /* void */ }
        s->next = hub->dead;
        hub->dead = held;
    }

    if (hub->attached) {
        ngx_chathub_zone_set_sessions(&hub->zone, hub->sessions);
    }
}


ngx_str_t *
ngx_chathub_session_user(ngx_chathub_session_t *s)
{
    static ngx_str_t  nobody = ngx_null_string;

    return s->user ? &s->user->sn.str : &nobody;
}


ngx_int_t
ngx_chathub_session_rate(ngx_chathub_session_t *s, ngx_chathub_error_t *err)
{
    ngx_msec_int_t               ms;
    uint64_t                     excess, fill;
    const ngx_chathub_policy_t  *policy;

    policy = s->policy;

    if (policy->rate == 0) {
        return NGX_OK;
    }

    ms = (ngx_msec_int_t) (ngx_current_msec - s->rate_last);
    ms = ngx_max(ms, 0);

    /* 1 is 0.001 event, so a rate of r/s takes r of them away in 1 ms */

    fill = (uint64_t) ms * policy->rate;
    excess = (s->rate_excess > fill) ? s->rate_excess - fill : 0;

    if (excess > (uint64_t) policy->burst * 1000) {
        ngx_memzero(err, sizeof(ngx_chathub_error_t));
        err->code = NGX_CHATHUB_E_RATE_LIMITED;
        err->message = "too many events";
        err->retry_after = (ngx_msec_t)
            ((excess - (uint64_t) policy->burst * 1000) / policy->rate + 1);

        return NGX_DECLINED;
    }

    s->rate_excess = (uint32_t) ngx_min(excess + 1000, (uint32_t) -1);
    s->rate_last = ngx_current_msec;

    return NGX_OK;
}


void
ngx_chathub_session_heard(ngx_chathub_session_t *s)
{
    s->heard = ngx_current_msec;

    if (s->pinged) {
        s->pinged = 0;

        /* the wheel waits for the end of the timeout, which may be longer */

        if (s->state == NGX_CHATHUB_SESSION_OPEN && !s->bye) {
            ngx_chathub_session_wait(s, s->policy->ping_interval);
        }
    }
}


void
ngx_chathub_session_pong(ngx_chathub_session_t *s, ngx_str_t *data)
{
    u_char  buf[NGX_CHATHUB_CONTROL_MAX + 8], *p;

    if (s->state != NGX_CHATHUB_SESSION_OPEN) {
        return;
    }

    p = s->codec->pong(buf, data);
    ngx_chathub_session_control(s, buf, p);
}


static void
ngx_chathub_session_control(ngx_chathub_session_t *s, u_char *p, u_char *last)
{
    u_char  *dst;

    dst = ngx_chathub_session_reserve(s, last - p);

    if (dst) {
        ngx_memcpy(dst, p, last - p);
    }
}


void
ngx_chathub_session_event(ngx_chathub_session_t *s, ngx_chathub_out_e event,
    uint64_t ref, ngx_str_t *data)
{
    u_char  *p;

    p = ngx_chathub_session_reserve(s,
                                s->codec->event_size(event, ref, data->len));
    if (p) {
        (void) s->codec->event(p, event, ref, data);
    }
}


void
ngx_chathub_session_error(ngx_chathub_session_t *s, uint64_t ref,
    ngx_chathub_error_t *err)
{
    u_char      buf[2048], *p;
    size_t      size;
    ngx_str_t   data;

    size = ngx_chathub_json_error_size(err);

    p = (size <= sizeof(buf)) ? buf : ngx_alloc(size, s->hub->log);

    if (p == NULL) {
        ngx_chathub_session_close(s, 1011, "no memory");
        return;
    }

    data.data = p;
    data.len = ngx_chathub_json_error(p, err) - p;

    ngx_chathub_session_event(s, NGX_CHATHUB_OUT_ERROR, ref, &data);

    if (p != buf) {
        ngx_free(p);
    }
}


void
ngx_chathub_session_message(ngx_chathub_session_t *s,
    ngx_chathub_record_t *rec, ngx_chathub_chunk_t **shared)
{
    size_t                size;
    u_char                buf[NGX_CHATHUB_MESSAGE_HEAD_MAX], *p;
    ngx_str_t             head;
    ngx_chathub_chunk_t  *chunk;

    /* nothing comes behind a close */

    if (s->state != NGX_CHATHUB_SESSION_OPEN) {
        return;
    }

    head.data = buf;
    head.len = ngx_chathub_message_head(buf, &rec->id, rec->seq, rec->epoch,
                                        rec->time)
               - buf;

    size = s->codec->message_size(head.len + rec->body.len);

    if (size < NGX_CHATHUB_SHARE_MIN) {
        p = ngx_chathub_session_reserve(s, size);
        if (p) {
            (void) s->codec->message(p, &head, &rec->body);
        }

        return;
    }

    chunk = *shared;

    if (chunk == NULL) {
        chunk = ngx_chathub_chunk_create(size, s->hub->log);
        if (chunk == NULL) {
            ngx_chathub_session_close(s, 1011, "no memory");
            return;
        }

        (void) s->codec->message(chunk->data, &head, &rec->body);
        chunk->size = size;
        *shared = chunk;
    }

    ngx_chathub_session_send(s, chunk, 0);
}


/* Waiting: one wheel for all sessions of the hub. */


void
ngx_chathub_session_wait(ngx_chathub_session_t *s, ngx_msec_t delay)
{
    ngx_uint_t          ticks;
    ngx_chathub_hub_t  *hub;

    hub = s->hub;

    if (s->wheel.next) {
        ngx_queue_remove(&s->wheel);
    }

    s->deadline = ngx_current_msec + delay;

    /* what lies beyond the wheel's horizon is looked at again there */

    ticks = delay / NGX_CHATHUB_TICK + 1;
    ticks = ngx_min(ticks, NGX_CHATHUB_WHEEL - 1);

    ngx_queue_insert_tail(&hub->wheel[(hub->ticks + ticks)
                                      % NGX_CHATHUB_WHEEL],
                          &s->wheel);
}


/* the wheel came by; the session is in no queue of it */

void
ngx_chathub_session_tick(ngx_chathub_session_t *s)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (s->deadline - ngx_current_msec);

    if (left > 0) {
        ngx_chathub_session_wait(s, left);
        return;
    }

    if (s->state == NGX_CHATHUB_SESSION_CLOSING) {
        ngx_chathub_session_die(s);
        return;
    }

    if (s->bye) {
        ngx_chathub_session_close(s,
                                  s->hub->generation
                                  != ngx_chathub_zone_cycle(&s->hub->zone)
                                  ? 1012 : 1001,
                                  "the server is restarting");
        return;
    }

    ngx_chathub_session_idle(s);
}


static void
ngx_chathub_session_idle(ngx_chathub_session_t *s)
{
    u_char           buf[NGX_CHATHUB_CONTROL_MAX], *p;
    ngx_msec_t       silent;

    silent = ngx_current_msec - s->heard;

    if (silent < s->policy->ping_interval) {
        ngx_chathub_session_wait(s, s->policy->ping_interval - silent);
        return;
    }

    if (s->pinged) {
        ngx_chathub_session_close(s, 1008, "ping timeout");
        return;
    }

    s->pinged = 1;
    ngx_chathub_session_wait(s, s->policy->ping_timeout);

    p = s->codec->ping(buf);
    ngx_chathub_session_control(s, buf, p);
}
