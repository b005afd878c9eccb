
/*
 * Copyright (C) ChatHub contributors
 */


/* WebSocket (RFC 6455): the handshake, and what comes from the socket */


#include "ngx_http_chathub.h"
#include "ngx_chathub_websocket.h"


#define NGX_HTTP_CHATHUB_WS_BUFFER    65536   /* of one recv() */
#define NGX_HTTP_CHATHUB_WS_BYTES     262144  /* a turn and connection */
#define NGX_HTTP_CHATHUB_WS_MESSAGES  64      /* a turn and connection */

#define NGX_HTTP_CHATHUB_WS_BINARY    1003    /* RFC 6455, 7.4.1 */
#define NGX_HTTP_CHATHUB_WS_AWAY      1001


/* what was received in a turn and is left for the next one */

typedef struct {
    u_char                      *pos;
    u_char                      *last;
    u_char                       data[1];
} ngx_http_chathub_rest_t;


/* a client; "waits" while the connection is in its request, and nobody may
 * free it */

typedef struct {
    ngx_chathub_session_t        session;     /* must be first */
    ngx_chathub_websocket_t      parser;
    ngx_http_chathub_rest_t     *rest;
    unsigned                     waits:1;
    unsigned                     freed:1;     /* the session ended meanwhile */
    unsigned                     failed:1;    /* the peer broke the protocol */
} ngx_http_chathub_websocket_t;


/* why a handshake is refused; a header may tell what would be taken */

typedef struct {
    ngx_uint_t                   status;
    const char                  *text;
    ngx_str_t                    name;
    ngx_str_t                    value;
} ngx_http_chathub_fault_t;


static ngx_http_chathub_fault_t *ngx_http_chathub_websocket_check(
    ngx_http_request_t *r, u_char *accept);
static ngx_uint_t ngx_http_chathub_websocket_token(ngx_http_request_t *r,
    ngx_str_t *name, ngx_str_t *token, ngx_uint_t exact);
static ngx_int_t ngx_http_chathub_websocket_admit(ngx_http_request_t *r,
    u_char *accept);
static ngx_int_t ngx_http_chathub_websocket_ctx(ngx_http_request_t *r,
    ngx_chathub_session_t *s);
static ngx_int_t ngx_http_chathub_websocket_headers(ngx_http_request_t *r,
    u_char *accept);

static void ngx_http_chathub_websocket_attached(ngx_connection_t *c,
    void *data, u_char *rest, size_t len);
static void ngx_http_chathub_websocket_aborted(void *data);
static ngx_uint_t ngx_http_chathub_websocket_lost(
    ngx_http_chathub_websocket_t *ws);
static void ngx_http_chathub_websocket_free(ngx_chathub_session_t *s);
static void ngx_http_chathub_websocket_read(ngx_event_t *rev);
static ngx_int_t ngx_http_chathub_websocket_recv(
    ngx_http_chathub_websocket_t *ws, ngx_uint_t *budget);
static ngx_int_t ngx_http_chathub_websocket_feed(
    ngx_http_chathub_websocket_t *ws, u_char **pos, u_char *last,
    ngx_uint_t *budget);
static ngx_int_t ngx_http_chathub_websocket_keep(
    ngx_http_chathub_websocket_t *ws, u_char *p, size_t len);
static void ngx_http_chathub_websocket_frame(ngx_http_chathub_websocket_t *ws,
    ngx_chathub_websocket_frame_t *frame);
static void ngx_http_chathub_websocket_text(ngx_chathub_session_t *s,
    ngx_str_t *text);
static void ngx_http_chathub_websocket_fail(ngx_http_chathub_websocket_t *ws,
    ngx_uint_t code);
static void ngx_http_chathub_websocket_shutdown(
    ngx_http_chathub_websocket_t *ws);


/* one recv() at a time, and what it brought is used up or copied at once */

static u_char  ngx_http_chathub_ws_buffer[NGX_HTTP_CHATHUB_WS_BUFFER];


static const ngx_chathub_transport_t  ngx_http_chathub_ws_transport = {
    ngx_string("websocket"),
    ngx_http_chathub_websocket_free
};


static ngx_str_t  ngx_http_chathub_ws_upgrade = ngx_string("upgrade");
static ngx_str_t  ngx_http_chathub_ws_websocket = ngx_string("websocket");
static ngx_str_t  ngx_http_chathub_ws_connection = ngx_string("connection");
static ngx_str_t  ngx_http_chathub_ws_version =
                                          ngx_string("sec-websocket-version");
static ngx_str_t  ngx_http_chathub_ws_key = ngx_string("sec-websocket-key");
static ngx_str_t  ngx_http_chathub_ws_protocol =
                                         ngx_string("sec-websocket-protocol");
static ngx_str_t  ngx_http_chathub_ws_v1 = ngx_string("chathub.v1");


static ngx_http_chathub_fault_t  ngx_http_chathub_fault_method = {
    NGX_HTTP_NOT_ALLOWED, "a WebSocket begins with a GET request",
    ngx_string("Allow"), ngx_string("GET")
};

static ngx_http_chathub_fault_t  ngx_http_chathub_fault_http = {
    NGX_HTTP_BAD_REQUEST, "a WebSocket begins with HTTP/1.1",
    ngx_null_string, ngx_null_string
};

static ngx_http_chathub_fault_t  ngx_http_chathub_fault_upgrade = {
    426, "this is a WebSocket, the request must ask for the upgrade to it",
    ngx_string("Upgrade"), ngx_string("websocket")
};

static ngx_http_chathub_fault_t  ngx_http_chathub_fault_connection = {
    NGX_HTTP_BAD_REQUEST, "the request must have \"Connection: Upgrade\"",
    ngx_null_string, ngx_null_string
};

static ngx_http_chathub_fault_t  ngx_http_chathub_fault_version = {
    426, "the request must have one \"Sec-WebSocket-Version: 13\"",
    ngx_string("Sec-WebSocket-Version"), ngx_string("13")
};

static ngx_http_chathub_fault_t  ngx_http_chathub_fault_key = {
    NGX_HTTP_BAD_REQUEST,
    "the request must have one \"Sec-WebSocket-Key\", 16 bytes in base64",
    ngx_null_string, ngx_null_string
};

static ngx_http_chathub_fault_t  ngx_http_chathub_fault_body = {
    NGX_HTTP_BAD_REQUEST, "a WebSocket's request has no body",
    ngx_null_string, ngx_null_string
};


/* The handshake. */


ngx_int_t
ngx_http_chathub_websocket_handler(ngx_http_request_t *r)
{
    u_char                     accept[NGX_CHATHUB_WEBSOCKET_ACCEPT_LEN];
    ngx_http_chathub_fault_t  *fault;

    if (r != r->main || r->post_action) {
        return NGX_HTTP_NOT_FOUND;
    }

    fault = ngx_http_chathub_websocket_check(r, accept);

    if (fault) {

        if (fault->name.len
            && ngx_http_chathub_header(r, &fault->name, &fault->value)
               != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_chathub_refuse_text(r, fault->status,
                                            NGX_CHATHUB_E_BAD_REQUEST,
                                            fault->text);
    }

    if (ngx_http_chathub_origin(r) != NGX_OK) {
        return ngx_http_chathub_refuse_text(r, NGX_HTTP_FORBIDDEN,
                                            NGX_CHATHUB_E_FORBIDDEN,
                                            "pages of this origin may not "
                                            "connect here");
    }

    return ngx_http_chathub_websocket_admit(r, accept);
}


/* RFC 6455, 4.2.1 */

static ngx_http_chathub_fault_t *
ngx_http_chathub_websocket_check(ngx_http_request_t *r, u_char *accept)
{
    ngx_str_t                 *value;
    ngx_http_chathub_lines_t   lines;

    if (r->method != NGX_HTTP_GET) {
        return &ngx_http_chathub_fault_method;
    }

    /* HTTP/2 and later have no Upgrade */

    if (r->http_version != NGX_HTTP_VERSION_11) {
        return &ngx_http_chathub_fault_http;
    }

    if (!ngx_http_chathub_websocket_token(r, &ngx_http_chathub_ws_upgrade,
                                          &ngx_http_chathub_ws_websocket, 0))
    {
        return &ngx_http_chathub_fault_upgrade;
    }

    if (!ngx_http_chathub_websocket_token(r, &ngx_http_chathub_ws_connection,
                                          &ngx_http_chathub_ws_upgrade, 0))
    {
        return &ngx_http_chathub_fault_connection;
    }

    value = ngx_http_chathub_header_first(r, &ngx_http_chathub_ws_version,
                                          &lines);

    if (value == NULL || value->len != 2
        || ngx_strncmp(value->data, "13", 2) != 0
        || ngx_http_chathub_header_next(&lines))
    {
        return &ngx_http_chathub_fault_version;
    }

    value = ngx_http_chathub_header_first(r, &ngx_http_chathub_ws_key, &lines);

    if (value == NULL || ngx_http_chathub_header_next(&lines)
        || ngx_chathub_websocket_accept(value, accept) != NGX_OK)
    {
        return &ngx_http_chathub_fault_key;
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return &ngx_http_chathub_fault_body;
    }

    return NULL;
}


/* looks for a token in a comma separated list, which may be in several
 * lines */

static ngx_uint_t
ngx_http_chathub_websocket_token(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *token, ngx_uint_t exact)
{
    u_char                    *p, *start, *last, *end;
    ngx_str_t                 *value;
    ngx_http_chathub_lines_t   lines;

    for (value = ngx_http_chathub_header_first(r, name, &lines);
         value;
         value = ngx_http_chathub_header_next(&lines))
    {
        last = value->data + value->len;

        for (p = value->data; p < last; p++) {
            start = p;

            while (p < last && *p != ',') {
                p++;
            }

            end = p;

            while (start < end && (*start == ' ' || *start == '\t')) {
                start++;
            }

            while (end > start && (end[-1] == ' ' || end[-1] == '\t')) {
                end--;
            }

            if ((size_t) (end - start) == token->len
                && (exact ? ngx_strncmp(start, token->data, token->len)
                          : ngx_strncasecmp(start, token->data, token->len))
                   == 0)
            {
                return 1;
            }
        }
    }

    return 0;
}


/* takes the client in, then answers 101 */

static ngx_int_t
ngx_http_chathub_websocket_admit(ngx_http_request_t *r, u_char *accept)
{
    ngx_int_t                      rc;
    ngx_str_t                      name;
    ngx_uint_t                     guest;
    ngx_chathub_hub_t             *hub;
    ngx_chathub_error_t            err;
    ngx_chathub_session_t         *s;
    ngx_http_chathub_front_t      *front;
    ngx_http_chathub_loc_conf_t   *hlcf;
    ngx_http_chathub_websocket_t  *ws;

    hlcf = ngx_http_get_module_loc_conf(r, ngx_http_chathub_module);
    front = hlcf->front;

    rc = ngx_http_chathub_identity(r, &name, &guest, &err);

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (rc == NGX_DECLINED) {
        return ngx_http_chathub_refuse(r, ngx_http_chathub_status(err.code),
                                       &err);
    }

    hub = ngx_http_chathub_hub(front->hub, 1);

    if (hub == NULL) {
        return ngx_http_chathub_refuse_text(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                            NGX_CHATHUB_E_UNAVAILABLE,
                                            "the hub has no memory");
    }

    ws = ngx_calloc(sizeof(ngx_http_chathub_websocket_t), r->connection->log);
    if (ws == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    s = &ws->session;

    s->hub = hub;
    s->codec = &ngx_chathub_native_codec;
    s->transport = &ngx_http_chathub_ws_transport;
    s->policy = &front->conf->policy;
    s->guest = guest;
    ngx_http_chathub_address(r, s->addr);
    ngx_chathub_websocket_init(&ws->parser, s->policy->max_message);

    if (ngx_chathub_session_admit(s, &name, &err) != NGX_OK) {
        ngx_free(ws);
        return ngx_http_chathub_refuse(r, ngx_http_chathub_status(err.code),
                                       &err);
    }

    if (ngx_http_chathub_websocket_ctx(r, s) != NGX_OK
        || ngx_http_chathub_websocket_headers(r, accept) != NGX_OK)
    {
        ngx_chathub_session_die(s);
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ws->waits = 1;

    return ngx_http_chathub_detach(r, ngx_http_chathub_websocket_attached,
                                   ngx_http_chathub_websocket_aborted, ws,
                                   &front->log);
}


/* for the access log, which is written when the session may be gone */

static ngx_int_t
ngx_http_chathub_websocket_ctx(ngx_http_request_t *r, ngx_chathub_session_t *s)
{
    ngx_str_t               *user;
    ngx_http_chathub_ctx_t  *ctx;

    ctx = ngx_palloc(r->pool, sizeof(ngx_http_chathub_ctx_t));
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    user = ngx_chathub_session_user(s);

    ctx->session = s->number;
    ctx->user.len = user->len;
    ctx->user.data = ngx_pstrdup(r->pool, user);
    if (ctx->user.data == NULL) {
        return NGX_ERROR;
    }

    ngx_http_set_ctx(r, ctx, ngx_http_chathub_module);

    return NGX_OK;
}


/* RFC 6455, 4.2.2; "Connection" is NGINX's with a 101 */

static ngx_int_t
ngx_http_chathub_websocket_headers(ngx_http_request_t *r, u_char *accept)
{
    ngx_str_t         value;
    static ngx_str_t  upgrade_name = ngx_string("Upgrade");
    static ngx_str_t  accept_name = ngx_string("Sec-WebSocket-Accept");
    static ngx_str_t  protocol_name = ngx_string("Sec-WebSocket-Protocol");

    value.len = NGX_CHATHUB_WEBSOCKET_ACCEPT_LEN;
    value.data = ngx_pnalloc(r->pool, value.len);
    if (value.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(value.data, accept, value.len);

    if (ngx_http_chathub_header(r, &upgrade_name,
                                &ngx_http_chathub_ws_websocket)
        != NGX_OK
        || ngx_http_chathub_header(r, &accept_name, &value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (ngx_http_chathub_websocket_token(r, &ngx_http_chathub_ws_protocol,
                                         &ngx_http_chathub_ws_v1, 1))
    {
        return ngx_http_chathub_header(r, &protocol_name,
                                       &ngx_http_chathub_ws_v1);
    }

    return NGX_OK;
}


/* The connection, without its request. */


static void
ngx_http_chathub_websocket_attached(ngx_connection_t *c, void *data,
    u_char *rest, size_t len)
{
    ngx_http_chathub_websocket_t  *ws = data;

    const char             *reason;
    ngx_chathub_session_t  *s;

    s = &ws->session;

    if (ngx_http_chathub_websocket_lost(ws)
        || s->state == NGX_CHATHUB_SESSION_DEAD)
    {
        ngx_http_chathub_websocket_aborted(ws);
        ngx_http_chathub_close_connection(c);
        return;
    }

    ws->waits = 0;

    c->data = ws;
    c->read->handler = ngx_http_chathub_websocket_read;
    s->connection = c;

    if (ngx_chathub_session_start(s, c) != NGX_OK
        || (len && ngx_http_chathub_websocket_keep(ws, rest, len) != NGX_OK))
    {
        ngx_chathub_session_die(s);
        return;
    }

    /* others were told while this one was on its way */

    if (ngx_chathub_hub_available(s->hub, &reason) != NGX_OK) {
        ngx_chathub_session_close(s, NGX_HTTP_CHATHUB_WS_AWAY, reason);
    }

    if (len || c->read->ready) {
        ngx_http_chathub_websocket_read(c->read);
        return;
    }

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_chathub_session_die(s);
    }
}


static void
ngx_http_chathub_websocket_aborted(void *data)
{
    ngx_http_chathub_websocket_t  *ws = data;

    ws->waits = 0;

    if (ws->freed || ngx_http_chathub_websocket_lost(ws)) {
        ngx_free(ws);
        return;
    }

    ngx_chathub_session_die(&ws->session);
}


/*
 * The hub is gone, and with it what the session was in: in a single process,
 * where a reload dropped it while the connection was in its request.
 */

static ngx_uint_t
ngx_http_chathub_websocket_lost(ngx_http_chathub_websocket_t *ws)
{
    ngx_http_chathub_loc_conf_t  *hlcf;

    hlcf = (ngx_http_chathub_loc_conf_t *)
               ((u_char *) ws->session.policy
                - offsetof(ngx_http_chathub_loc_conf_t, policy));

    return ngx_http_chathub_hub(hlcf->front->hub, 0) != ws->session.hub;
}


static void
ngx_http_chathub_websocket_free(ngx_chathub_session_t *s)
{
    ngx_connection_t              *c;
    ngx_http_chathub_websocket_t  *ws;

    ws = (ngx_http_chathub_websocket_t *) s;
    c = s->connection;

    if (ws->waits) {
        ws->freed = 1;
        return;
    }

    ngx_chathub_websocket_done(&ws->parser);

    if (ws->rest) {
        ngx_free(ws->rest);
    }

    if (c && (ws->failed || c->read->ready)) {
        ngx_http_chathub_linger(c);

    } else if (c) {
        ngx_http_chathub_close_connection(c);
    }

    ngx_free(ws);
}


/* Reading. */


static void
ngx_http_chathub_websocket_read(ngx_event_t *rev)
{
    ngx_int_t                      rc;
    ngx_uint_t                     budget;
    ngx_connection_t              *c;
    ngx_http_chathub_rest_t       *rest;
    ngx_http_chathub_websocket_t  *ws;

    c = rev->data;
    ws = c->data;

    if (ws->session.state == NGX_CHATHUB_SESSION_DEAD) {
        return;
    }

    if (c->close) {
        ngx_http_chathub_websocket_shutdown(ws);
        return;
    }

    budget = NGX_HTTP_CHATHUB_WS_MESSAGES;
    rest = ws->rest;
    rc = NGX_OK;

    if (rest) {
        rc = ngx_http_chathub_websocket_feed(ws, &rest->pos, rest->last,
                                             &budget);
        if (rc == NGX_OK) {
            ws->rest = NULL;
            ngx_free(rest);
        }
    }

    if (rc == NGX_OK) {
        rc = ngx_http_chathub_websocket_recv(ws, &budget);
    }

    if (rc == NGX_AGAIN) {

        /* let the others have their turn */

        ngx_post_event(rev, &ngx_posted_next_events);
        return;
    }

    if (rc == NGX_ERROR
        || (rc == NGX_OK && ngx_handle_read_event(rev, 0) != NGX_OK))
    {
        ngx_chathub_session_die(&ws->session);
    }
}


/* NGX_OK: nothing is left to read; NGX_AGAIN: the turn is over; NGX_DONE: the
 * session is; NGX_ERROR: so it must be */

static ngx_int_t
ngx_http_chathub_websocket_recv(ngx_http_chathub_websocket_t *ws,
    ngx_uint_t *budget)
{
    size_t             bytes;
    u_char            *p, *last;
    ssize_t            n;
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = ws->session.connection;
    bytes = 0;

    do {
        p = ngx_http_chathub_ws_buffer;

        n = c->recv(c, p, NGX_HTTP_CHATHUB_WS_BUFFER);

        if (n == NGX_AGAIN) {
            return NGX_OK;
        }

        if (n == 0 || n == NGX_ERROR) {
            return NGX_ERROR;
        }

        ngx_chathub_session_heard(&ws->session);

        last = p + n;
        bytes += n;

        rc = ngx_http_chathub_websocket_feed(ws, &p, last, budget);

        if (rc == NGX_DONE) {
            return NGX_DONE;
        }

        if (rc == NGX_AGAIN) {

            if (ngx_http_chathub_websocket_keep(ws, p, last - p) != NGX_OK) {
                return NGX_ERROR;
            }

            return NGX_AGAIN;
        }

        if (!c->read->ready) {
            return NGX_OK;
        }

    } while (*budget && bytes < NGX_HTTP_CHATHUB_WS_BYTES);

    return NGX_AGAIN;
}


/* NGX_OK: all is used up; NGX_AGAIN: the budget is; NGX_DONE: the session is
 * dead */

static ngx_int_t
ngx_http_chathub_websocket_feed(ngx_http_chathub_websocket_t *ws,
    u_char **pos, u_char *last, ngx_uint_t *budget)
{
    ngx_int_t                      rc;
    ngx_chathub_websocket_frame_t  frame;

    /* the call behind the last byte lets the parser free its memory */

    while (*budget || *pos == last) {

        rc = ngx_chathub_websocket_parse(&ws->parser, pos, last, &frame,
                                         ws->session.connection->log);

        if (rc == NGX_AGAIN) {
            return NGX_OK;
        }

        if (rc == NGX_ERROR) {
            ngx_http_chathub_websocket_fail(ws, frame.code);

        } else {
            ngx_http_chathub_websocket_frame(ws, &frame);
        }

        if (ws->session.state == NGX_CHATHUB_SESSION_DEAD) {
            return NGX_DONE;
        }

        if (*budget) {
            (*budget)--;
        }
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_chathub_websocket_keep(ngx_http_chathub_websocket_t *ws, u_char *p,
    size_t len)
{
    ngx_http_chathub_rest_t  *rest;

    rest = ngx_alloc(offsetof(ngx_http_chathub_rest_t, data) + len,
                     ws->session.connection->log);
    if (rest == NULL) {
        return NGX_ERROR;
    }

    rest->pos = rest->data;
    rest->last = ngx_cpymem(rest->data, p, len);

    ws->rest = rest;

    return NGX_OK;
}


static void
ngx_http_chathub_websocket_frame(ngx_http_chathub_websocket_t *ws,
    ngx_chathub_websocket_frame_t *frame)
{
    ngx_chathub_session_t  *s;

    s = &ws->session;

    if (frame->opcode == NGX_CHATHUB_WEBSOCKET_CLOSE) {
        ngx_chathub_session_peer_closed(s, frame->code);
        return;
    }

    /* a session that has said its close hears nothing else any more */

    if (s->state != NGX_CHATHUB_SESSION_OPEN) {
        return;
    }

    switch (frame->opcode) {

    case NGX_CHATHUB_WEBSOCKET_TEXT:
        ngx_http_chathub_websocket_text(s, &frame->data);
        break;

    case NGX_CHATHUB_WEBSOCKET_BINARY:
        ngx_chathub_session_close(s, NGX_HTTP_CHATHUB_WS_BINARY,
                                  "text messages only");
        break;

    case NGX_CHATHUB_WEBSOCKET_PING:
        ngx_chathub_session_pong(s, &frame->data);
        break;
    }
}


static void
ngx_http_chathub_websocket_text(ngx_chathub_session_t *s, ngx_str_t *text)
{
    uint64_t              ref;
    ngx_int_t             rc, rate;
    ngx_chathub_error_t   err, slower;
    ngx_chathub_event_t   ev;

    rate = ngx_chathub_session_rate(s, &slower);

    /* one that comes too fast is read as well: its ref is answered */

    rc = ngx_chathub_json_event_parse(text->data, text->len, &ev, &err);

    if (rc == NGX_ERROR) {
        ngx_chathub_session_close(s, NGX_CHATHUB_WEBSOCKET_INTERNAL,
                                  "no memory");
        return;
    }

    ref = ev.has_ref ? ev.ref : NGX_CHATHUB_NO_REF;

    if (rate != NGX_OK) {
        ngx_chathub_session_error(s, ref, &slower);

    } else if (rc == NGX_DECLINED) {
        ngx_chathub_session_error(s, ref, &err);

    } else {
        ngx_chathub_hub_event(s, &ev);
    }

    ngx_chathub_json_event_free(&ev);
}


/* RFC 6455, 7.1.7: a close frame, and no waiting for the peer's */

static void
ngx_http_chathub_websocket_fail(ngx_http_chathub_websocket_t *ws,
    ngx_uint_t code)
{
    const char             *reason;
    ngx_chathub_session_t  *s;

    switch (code) {

    case NGX_CHATHUB_WEBSOCKET_BAD_UTF8:
        reason = "text is not UTF-8";
        break;

    case NGX_CHATHUB_WEBSOCKET_POLICY:
        reason = "too many fragments";
        break;

    case NGX_CHATHUB_WEBSOCKET_TOO_BIG:
        reason = "message too large";
        break;

    case NGX_CHATHUB_WEBSOCKET_INTERNAL:
        reason = "no memory";
        break;

    default:
        reason = "broken WebSocket frame";
    }

    s = &ws->session;

    ngx_chathub_session_close(s, code, reason);

    ws->failed = 1;
    s->last = 1;

    /* it may have been closing before, with all sent */

    if (s->out == NULL && s->pending == NULL) {
        ngx_chathub_session_die(s);
    }
}


/* "worker_shutdown_timeout" is over; what can be said must be said at once */

static void
ngx_http_chathub_websocket_shutdown(ngx_http_chathub_websocket_t *ws)
{
    u_char                  buf[NGX_CHATHUB_CONTROL_MAX], *last;
    ngx_str_t               reason;
    ngx_connection_t       *c;
    ngx_chathub_session_t  *s;

    s = &ws->session;
    c = s->connection;

    if (s->state == NGX_CHATHUB_SESSION_OPEN && s->out == NULL) {
        ngx_str_set(&reason, "shutdown");

        last = s->codec->close(buf, NGX_HTTP_CHATHUB_WS_AWAY, &reason);

        (void) c->send(c, buf, last - buf);
    }

    ngx_chathub_session_die(s);
}
