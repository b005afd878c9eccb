
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * A session's way out: answers gather until the turn ends, what the socket
 * does not take waits in a queue of references, and a queue that is full ends
 * the session.
 */


#include "ngx_chathub_core.h"


static void ngx_chathub_session_post(ngx_chathub_session_t *s);
static void ngx_chathub_session_put(ngx_chathub_session_t *s,
    ngx_chathub_chunk_t *chunk, size_t offset, size_t spare);
static ngx_int_t ngx_chathub_session_queue(ngx_chathub_session_t *s,
    ngx_chathub_chunk_t *chunk, size_t offset, size_t spare);
static ngx_uint_t ngx_chathub_session_begun(ngx_chathub_session_t *s);
static void ngx_chathub_session_slow(ngx_chathub_session_t *s);
static void ngx_chathub_session_sent(ngx_chathub_session_t *s);


ngx_chathub_chunk_t *
ngx_chathub_chunk_create(size_t capacity, ngx_log_t *log)
{
    ngx_chathub_chunk_t  *chunk;

    chunk = ngx_alloc(offsetof(ngx_chathub_chunk_t, data) + capacity, log);
    if (chunk == NULL) {
        return NULL;
    }

    chunk->refs = 1;
    chunk->size = 0;
    chunk->capacity = capacity;

    return chunk;
}


void
ngx_chathub_chunk_unref(ngx_chathub_chunk_t *chunk)
{
    if (--chunk->refs == 0) {
        ngx_free(chunk);
    }
}


/*
 * Room for bytes behind what is pending in this turn; NULL: the session has
 * been closed instead.
 */

u_char *
ngx_chathub_session_reserve(ngx_chathub_session_t *s, size_t size)
{
    u_char               *p;
    size_t                capacity;
    ngx_chathub_chunk_t  *chunk, *grown;

    if (s->state != NGX_CHATHUB_SESSION_OPEN) {
        return NULL;
    }

    chunk = s->pending;

    if (s->out_size && s->out_size + (chunk ? chunk->size : 0) + size
                       > s->policy->send_queue)
    {
        ngx_chathub_session_slow(s);
        return NULL;
    }

    if (chunk && chunk->size + size > chunk->capacity
        && chunk->size >= NGX_CHATHUB_PENDING_MAX)
    {
        ngx_chathub_session_flush(s);

        if (s->state != NGX_CHATHUB_SESSION_OPEN) {
            return NULL;
        }

        chunk = NULL;
    }

    if (chunk == NULL || chunk->size + size > chunk->capacity) {

        capacity = chunk ? (chunk->size + size) * 2 : ngx_max(size, 256);

        grown = ngx_chathub_chunk_create(capacity, s->hub->log);
        if (grown == NULL) {
            ngx_chathub_session_die(s);
            return NULL;
        }

        if (chunk) {
            ngx_memcpy(grown->data, chunk->data, chunk->size);
            grown->size = chunk->size;
            ngx_chathub_chunk_unref(chunk);
        }

        s->pending = chunk = grown;
    }

    p = chunk->data + chunk->size;
    chunk->size += size;

    ngx_chathub_session_post(s);

    return p;
}


static void
ngx_chathub_session_post(ngx_chathub_session_t *s)
{
    ngx_chathub_hub_t  *hub;

    if (s->flushing) {
        return;
    }

    hub = s->hub;

    s->flushing = 1;
    s->next = NULL;

    *hub->flushing_last = s;
    hub->flushing_last = &s->next;

    ngx_post_event(&hub->flush, &ngx_posted_events);
}


ngx_chathub_session_t *
ngx_chathub_session_flushing(ngx_chathub_hub_t *hub)
{
    ngx_chathub_session_t  *s;

    s = hub->flushing;

    if (s == NULL) {
        return NULL;
    }

    hub->flushing = s->next;

    if (hub->flushing == NULL) {
        hub->flushing_last = &hub->flushing;
    }

    s->flushing = 0;

    return s;
}


/* puts what is pending behind the queue, and the queue into the socket */

void
ngx_chathub_session_flush(ngx_chathub_session_t *s)
{
    ngx_chathub_chunk_t  *chunk;

    chunk = s->pending;

    if (chunk == NULL || s->state == NGX_CHATHUB_SESSION_DEAD) {
        return;
    }

    s->pending = NULL;

    /* a peer that does not read must not get hundreds of bytes of memory for
     * each two of an answer */

    ngx_chathub_session_put(s, chunk, 0,
                            offsetof(ngx_chathub_chunk_t, data)
                            + chunk->capacity - chunk->size);
    ngx_chathub_chunk_unref(chunk);
}


void
ngx_chathub_session_send(ngx_chathub_session_t *s, ngx_chathub_chunk_t *chunk,
    size_t offset)
{
    /* of what is shared the session pays the bytes */

    ngx_chathub_session_put(s, chunk, offset, 0);
}


/* "spare" is the memory besides the bytes that waits with them */

static void
ngx_chathub_session_put(ngx_chathub_session_t *s, ngx_chathub_chunk_t *chunk,
    size_t offset, size_t spare)
{
    ssize_t            n;
    ngx_connection_t  *c;

    if (s->state != NGX_CHATHUB_SESSION_OPEN
        && s->state != NGX_CHATHUB_SESSION_CLOSING)
    {
        return;
    }

    if (s->pending) {
        ngx_chathub_session_flush(s);

        if (s->state == NGX_CHATHUB_SESSION_DEAD) {
            return;
        }
    }

    c = s->connection;

    while (s->out == NULL && offset < chunk->size && c->write->ready) {

        n = c->send(c, chunk->data + offset, chunk->size - offset);

        if (n == NGX_ERROR) {
            ngx_chathub_session_die(s);
            return;
        }

        if (n == NGX_AGAIN || n == 0) {
            break;
        }

        offset += n;
    }

    if (offset == chunk->size) {
        ngx_chathub_session_sent(s);
        return;
    }

    if (s->out && s->state == NGX_CHATHUB_SESSION_OPEN
        && s->out_size + chunk->size - offset > s->policy->send_queue)
    {
        ngx_chathub_session_slow(s);
        return;
    }

    if (ngx_chathub_session_queue(s, chunk, offset, spare) != NGX_OK
        || ngx_handle_write_event(c->write, 0) != NGX_OK)
    {
        ngx_chathub_session_die(s);
    }
}


static ngx_int_t
ngx_chathub_session_queue(ngx_chathub_session_t *s, ngx_chathub_chunk_t *chunk,
    size_t offset, size_t spare)
{
    ngx_chathub_queued_t  *q;

    q = ngx_alloc(sizeof(ngx_chathub_queued_t), s->hub->log);
    if (q == NULL) {
        return NGX_ERROR;
    }

    q->next = NULL;
    q->chunk = chunk;
    q->offset = offset;
    q->cost = sizeof(ngx_chathub_queued_t) + spare;

    chunk->refs++;

    *s->out_last = q;
    s->out_last = &q->next;
    s->out_size += chunk->size - offset + q->cost;

    return NGX_OK;
}


void
ngx_chathub_session_drop_queue(ngx_chathub_session_t *s,
    ngx_uint_t keep_partial)
{
    ngx_chathub_queued_t  *q, *next;

    q = s->out;

    if (q == NULL) {
        s->out_last = &s->out;
    }

    /* a unit that was begun must be ended, or the peer reads nonsense */

    if (q && keep_partial && ngx_chathub_session_begun(s)) {
        s->out_last = &q->next;
        s->out_size = q->chunk->size - q->offset + q->cost;
        next = q->next;
        q->next = NULL;
        q = next;

    } else {
        s->out = NULL;
        s->out_last = &s->out;
        s->out_size = 0;
    }

    for ( /* void */ ; q; q = next) {
        next = q->next;
        ngx_chathub_chunk_unref(q->chunk);
        ngx_free(q);
    }

    if (s->pending) {
        ngx_chathub_chunk_unref(s->pending);
        s->pending = NULL;
    }
}


/* is a part of the queue's first chunk on its way? */

static ngx_uint_t
ngx_chathub_session_begun(ngx_chathub_session_t *s)
{
#if (NGX_SSL || NGX_COMPAT)

    /* TLS tells only of the whole, and wants to be asked for that again */

    if (s->connection->ssl) {
        return 1;
    }

#endif

    return s->out->offset != 0;
}


/* the peer reads more slowly than it is sent to: it resumes when it can */

static void
ngx_chathub_session_slow(ngx_chathub_session_t *s)
{
    ngx_str_t         data;
    static ngx_str_t  bye = ngx_string(
                            "{\"reason\":\"slow\",\"reconnect_in_ms\":1000}");

    ngx_chathub_session_leave(s);
    ngx_chathub_session_drop_queue(s, 1);

    /* these few bytes may pass the queue's limit */

    s->out_size = 0;

    data = bye;
    ngx_chathub_session_event(s, NGX_CHATHUB_OUT_BYE, NGX_CHATHUB_NO_REF,
                              &data);
    ngx_chathub_session_close(s, 1013, "send queue is full");
}


void
ngx_chathub_session_write_handler(ngx_event_t *wev)
{
    ssize_t                 n;
    ngx_connection_t       *c;
    ngx_chathub_queued_t   *q;
    ngx_chathub_session_t  *s;

    c = wev->data;
    s = c->data;

    if (s->state == NGX_CHATHUB_SESSION_DEAD) {
        return;
    }

    while (s->out && wev->ready) {
        q = s->out;

        n = c->send(c, q->chunk->data + q->offset,
                    q->chunk->size - q->offset);

        if (n == NGX_ERROR) {
            ngx_chathub_session_die(s);
            return;
        }

        if (n == NGX_AGAIN || n == 0) {
            break;
        }

        q->offset += n;
        s->out_size -= ngx_min(s->out_size, (size_t) n);

        if (q->offset < q->chunk->size) {
            continue;
        }

        s->out = q->next;
        s->out_size -= ngx_min(s->out_size, q->cost);

        if (s->out == NULL) {
            s->out_last = &s->out;
            s->out_size = 0;
        }

        ngx_chathub_chunk_unref(q->chunk);
        ngx_free(q);
    }

    if (ngx_handle_write_event(wev, 0) != NGX_OK) {
        ngx_chathub_session_die(s);
        return;
    }

    if (s->out == NULL) {
        ngx_chathub_session_sent(s);
    }

    if (s->out_size < s->policy->send_queue / 2) {
        ngx_chathub_catchup_wake(s);
    }
}


/* all that was said is in the socket */

static void
ngx_chathub_session_sent(ngx_chathub_session_t *s)
{
    if (s->last && s->out == NULL && s->pending == NULL) {
        ngx_chathub_session_die(s);
    }
}
