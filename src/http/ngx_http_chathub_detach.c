
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * How a connection leaves its HTTP request.  A request with its pools costs
 * ten times what an idle chat connection needs, so after the 101 the request
 * is ended as if it were complete, and the connection goes on without it.
 * This cannot be done in the content handler, after which NGINX still uses the
 * request, but on a turn of an event of our own.
 */


#include "ngx_http_chathub.h"


/* between two looks at a request that somebody else still uses, ms */
#define NGX_HTTP_CHATHUB_DETACH_WAIT  20

#define NGX_HTTP_CHATHUB_LINGER_TIME  2000   /* ms */
#define NGX_HTTP_CHATHUB_LINGER_READS 16     /* a turn */


/* in the request's pool; the event comes first, so that it is the struct */

typedef struct {
    ngx_event_t                   event;
    ngx_http_request_t           *request;
    ngx_http_cleanup_t           *cleanup;
    ngx_http_chathub_attached_pt  attached;
    ngx_http_chathub_aborted_pt   aborted;
    void                         *data;
    ngx_log_t                    *log;
} ngx_http_chathub_detach_t;


static void ngx_http_chathub_detach_cleanup(void *data);
static void ngx_http_chathub_detach_handler(ngx_event_t *ev);
static void ngx_http_chathub_detach_write(ngx_http_request_t *r);
static ngx_int_t ngx_http_chathub_detach_flush(ngx_http_request_t *r);
static void ngx_http_chathub_detach_leave(ngx_http_chathub_detach_t *d);
static ngx_int_t ngx_http_chathub_detach_settle(ngx_connection_t *c);
static void ngx_http_chathub_detach_trim(ngx_connection_t *c,
    ngx_http_connection_t *hc);
static void ngx_http_chathub_detach_slim(ngx_connection_t *c, ngx_log_t *log);
static void ngx_http_chathub_linger_handler(ngx_event_t *rev);


ngx_int_t
ngx_http_chathub_detach(ngx_http_request_t *r,
    ngx_http_chathub_attached_pt attached,
    ngx_http_chathub_aborted_pt aborted, void *data, ngx_log_t *log)
{
    ngx_int_t                   rc;
    ngx_http_cleanup_t         *cln;
    ngx_http_chathub_detach_t  *d;

    d = ngx_pcalloc(r->pool, sizeof(ngx_http_chathub_detach_t));
    cln = d ? ngx_http_cleanup_add(r, 0) : NULL;

    if (cln == NULL) {
        aborted(data);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    d->event.handler = ngx_http_chathub_detach_handler;
    d->event.data = r->connection;
    d->event.log = r->connection->log;
    d->request = r;
    d->cleanup = cln;
    d->attached = attached;
    d->aborted = aborted;
    d->data = data;
    d->log = log;

    cln->handler = ngx_http_chathub_detach_cleanup;
    cln->data = d;

    /* an error_page may have led here with its own status */

    r->err_status = 0;
    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    r->headers_out.content_length_n = -1;
    r->keepalive = 0;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    if (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR) {
        return NGX_ERROR;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_chathub_detach_write;

    r->main->count++;

    ngx_post_event(&d->event, &ngx_posted_events);

    return NGX_DONE;
}


/* the request dies with the connection still in it */

static void
ngx_http_chathub_detach_cleanup(void *data)
{
    ngx_http_chathub_detach_t  *d = data;

    if (d->event.timer_set) {
        ngx_del_timer(&d->event);
    }

    if (d->event.posted) {
        ngx_delete_posted_event(&d->event);
    }

    d->aborted(d->data);
}


static void
ngx_http_chathub_detach_handler(ngx_event_t *ev)
{
    ngx_connection_t           *c;
    ngx_http_request_t         *r;
    ngx_http_chathub_detach_t  *d;

    d = (ngx_http_chathub_detach_t *) ev;
    r = d->request;
    c = ev->data;

    if (c->error || c->close || c->read->pending_eof) {
        ngx_http_finalize_request(r, NGX_HTTP_CLOSE);
        ngx_http_run_posted_requests(c);
        return;
    }

    if (c->buffered) {

        /* the write event will post this one again */

        if (ngx_http_chathub_detach_flush(r) != NGX_OK) {
            ngx_http_run_posted_requests(c);
        }

        return;
    }

    if (r->main->count != 1 || r->blocked) {

        /* a mirrored subrequest, for example, of whose end nobody tells */

        ngx_add_timer(ev, NGX_HTTP_CHATHUB_DETACH_WAIT);
        return;
    }

    ngx_http_chathub_detach_leave(d);
}


/* the socket takes the rest of the 101, or limit_rate allows it */

static void
ngx_http_chathub_detach_write(ngx_http_request_t *r)
{
    ngx_event_t                *wev;
    ngx_http_cleanup_t         *cln;
    ngx_http_chathub_detach_t  *d;

    wev = r->connection->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, wev->log, NGX_ETIMEDOUT,
                      "client timed out");
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (!wev->delayed && ngx_http_output_filter(r, NULL) == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (r->connection->buffered) {
        (void) ngx_http_chathub_detach_flush(r);
        return;
    }

    for (cln = r->main->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_http_chathub_detach_cleanup) {
            d = cln->data;
            ngx_post_event(&d->event, &ngx_posted_events);
            return;
        }
    }
}


static ngx_int_t
ngx_http_chathub_detach_flush(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_http_core_loc_conf_t  *clcf;

    wev = r->connection->write;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_chathub_detach_leave(ngx_http_chathub_detach_t *d)
{
    void                          *data;
    size_t                         len;
    u_char                        *rest;
    ngx_log_t                     *log;
    ngx_connection_t              *c;
    ngx_http_request_t            *r;
    ngx_http_connection_t         *hc;
    ngx_http_chathub_aborted_pt    aborted;
    ngx_http_chathub_attached_pt   attached;

    r = d->request;
    c = r->connection;
    hc = r->http_connection;

    /* "d" and "r" go with the request */

    data = d->data;
    log = d->log;
    attached = d->attached;
    aborted = d->aborted;

    rest = NULL;
    len = r->header_in->last - r->header_in->pos;

    if (len) {
        rest = ngx_alloc(len, c->log);
        if (rest == NULL) {
            ngx_http_finalize_request(r, NGX_HTTP_CLOSE);
            ngx_http_run_posted_requests(c);
            return;
        }

        ngx_memcpy(rest, r->header_in->pos, len);
    }

    d->cleanup->handler = NULL;

    if (d->event.timer_set) {
        ngx_del_timer(&d->event);
    }

    r->keepalive = 0;

    ngx_http_free_request(r, 0);

    c->destroyed = 0;
    c->data = NULL;
    c->log->action = "serving a chat connection";

    if (ngx_http_chathub_detach_settle(c) == NGX_OK) {
        ngx_http_chathub_detach_trim(c, hc);

#if (NGX_HTTP_SSL)
        if (c->ssl == NULL)
#endif
        {
            ngx_http_chathub_detach_slim(c, log);
        }

        attached(c, data, rest, len);

    } else {
        aborted(data);
        ngx_http_close_connection(c);
    }

    if (rest) {
        ngx_free(rest);
    }
}


/* what the request had set on the connection */

static ngx_int_t
ngx_http_chathub_detach_settle(ngx_connection_t *c)
{
    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    c->write->delayed = 0;

    if (c->tcp_nopush == NGX_TCP_NOPUSH_SET) {

        if (ngx_tcp_push(c->fd) == -1) {
            ngx_connection_error(c, ngx_socket_errno,
                                 ngx_tcp_push_n " failed");
            return NGX_ERROR;
        }

        c->tcp_nopush = NGX_TCP_NOPUSH_UNSET;
    }

    return ngx_tcp_nodelay(c);
}


/* buffers of the request's header, 1 KiB and maybe some of 8 KiB */

static void
ngx_http_chathub_detach_trim(ngx_connection_t *c, ngx_http_connection_t *hc)
{
    ngx_chain_t  *cl, *ln;

    if (ngx_pfree(c->pool, c->buffer->start) == NGX_OK) {
        c->buffer->pos = NULL;
    }

    for (cl = hc->free; cl; /* void */) {
        ln = cl;
        cl = cl->next;
        (void) ngx_pfree(c->pool, ln->buf->start);
        ngx_free_chain(c->pool, ln);
    }

    for (cl = hc->busy; cl; /* void */) {
        ln = cl;
        cl = cl->next;
        (void) ngx_pfree(c->pool, ln->buf->start);
        ngx_free_chain(c->pool, ln);
    }

    hc->free = NULL;
    hc->busy = NULL;
    hc->nbusy = 0;

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif
}


/*
 * Without TLS nothing in the connection's pool is needed any more, not even
 * its log, whose part in messages is the client's address.
 */

static void
ngx_http_chathub_detach_slim(ngx_connection_t *c, ngx_log_t *log)
{
    ngx_pool_t  *pool;

    c->log = log;
    c->read->log = log;
    c->write->log = log;

    pool = c->pool;

    c->pool = NULL;
    c->buffer = NULL;
    c->sockaddr = NULL;
    c->socklen = 0;
    ngx_str_null(&c->addr_text);
    c->local_sockaddr = NULL;
    c->local_socklen = 0;
    c->proxy_protocol = NULL;

    ngx_destroy_pool(pool);
}


void
ngx_http_chathub_close_connection(ngx_connection_t *c)
{
    c->data = NULL;

    if (c->pool) {
        ngx_http_close_connection(c);
        return;
    }

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif

    c->destroyed = 1;

    ngx_close_connection(c);
}


void
ngx_http_chathub_linger(ngx_connection_t *c)
{
    c->data = NULL;

    if (c->error || c->close || c->read->eof || c->read->error) {
        ngx_http_chathub_close_connection(c);
        return;
    }

#if (NGX_HTTP_SSL)

    if (c->ssl) {
        ngx_int_t  rc;

        c->ssl->shutdown_without_free = 1;

        rc = ngx_ssl_shutdown(c);

        if (rc == NGX_AGAIN) {
            c->ssl->handler = ngx_http_chathub_linger;
            return;
        }

        if (rc == NGX_ERROR) {
            ngx_http_chathub_close_connection(c);
            return;
        }
    }

#endif

    c->read->handler = ngx_http_chathub_linger_handler;
    c->write->handler = ngx_http_empty_handler;

    if (ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1) {
        ngx_connection_error(c, ngx_socket_errno,
                             ngx_shutdown_socket_n " failed");
        ngx_http_chathub_close_connection(c);
        return;
    }

    /* a worker that is asked to go does not wait for this */

    c->idle = 1;

    ngx_add_timer(c->read, NGX_HTTP_CHATHUB_LINGER_TIME);

    if (c->read->ready) {
        ngx_post_event(c->read, &ngx_posted_events);

    } else if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_http_chathub_close_connection(c);
    }
}


static void
ngx_http_chathub_linger_handler(ngx_event_t *rev)
{
    u_char             buf[4096];
    ssize_t            n;
    ngx_uint_t         i;
    ngx_connection_t  *c;

    c = rev->data;

    if (c->close || rev->timedout) {
        ngx_http_chathub_close_connection(c);
        return;
    }

    for (i = 0; i < NGX_HTTP_CHATHUB_LINGER_READS; i++) {

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {

            if (ngx_handle_read_event(rev, 0) != NGX_OK) {
                break;
            }

            return;
        }

        if (n == 0 || n == NGX_ERROR) {
            break;
        }
    }

    if (i == NGX_HTTP_CHATHUB_LINGER_READS) {
        ngx_post_event(rev, &ngx_posted_next_events);
        return;
    }

    ngx_http_chathub_close_connection(c);
}
