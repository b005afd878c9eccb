
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * The WebSocket codec under libFuzzer.  An input is four bytes that choose
 * the limit and the pieces, and the bytes of a peer.  Fed whole and in pieces
 * they must be the same events, within the bounds that the header promises.
 * The codec is compiled in with an allocator that counts.
 */


#include <ngx_config.h>
#include <ngx_core.h>

#undef ngx_free
#define ngx_free   counted_free
#define ngx_alloc  counted_alloc

static void *counted_alloc(size_t size, ngx_log_t *log);
static void counted_free(void *p);

#include "../../src/codec/ngx_chathub_websocket.c"


#define PREFIX     4
#define OVERHEAD   offsetof(ngx_chathub_websocket_buf_t, data)

#define require(condition)                                                    \
    if (!(condition)) {                                                       \
        fprintf(stderr, "line %d: %s\n", __LINE__, #condition);               \
        abort();                                                              \
    }


typedef struct {
    u_char                   *data;
    size_t                    len;
    size_t                    size;
} events_t;


typedef struct {
    ngx_chathub_websocket_t   ws;
    events_t                  events;
    size_t                    max;
    size_t                    fed;
    ngx_uint_t                ended;          /* a close or an error came */
} peer_t;


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
static void events_add(events_t *events, const void *data, size_t len);
static void peer_event(peer_t *peer, ngx_chathub_websocket_frame_t *frame);
static void peer_error(peer_t *peer, ngx_chathub_websocket_frame_t *frame);
static void peer_feed(peer_t *peer, const uint8_t *data, size_t len);
static size_t piece(uint32_t *seed);


static size_t  live;


static void *
counted_alloc(size_t size, ngx_log_t *log)
{
    size_t  *p;

    (void) log;

    p = malloc(2 * sizeof(size_t) + size);
    require(p != NULL);

    *p = size;
    live += size;

    return p + 2;
}


static void
counted_free(void *data)
{
    size_t  *p;

    p = (size_t *) data - 2;
    live -= *p;

    free(p);
}


static void
events_add(events_t *events, const void *data, size_t len)
{
    if (len > events->size - events->len) {
        events->size = (events->size + len) * 2;
        events->data = realloc(events->data, events->size);
        require(events->data != NULL);
    }

    if (len) {
        memcpy(events->data + events->len, data, len);
        events->len += len;
    }
}


static void
peer_event(peer_t *peer, ngx_chathub_websocket_frame_t *frame)
{
    u_char      utf8;
    size_t      max;
    ngx_uint_t  message;

    require(!peer->ended);

    message = (frame->opcode == NGX_CHATHUB_WEBSOCKET_TEXT
               || frame->opcode == NGX_CHATHUB_WEBSOCKET_BINARY);

    max = message ? peer->max : NGX_CHATHUB_WEBSOCKET_CONTROL_MAX;

    require(frame->data.len <= max);

    switch (frame->opcode) {

    case NGX_CHATHUB_WEBSOCKET_CLOSE:
        require(frame->code == 0
                || (frame->code >= 1000 && frame->code < 5000));
        require(frame->data.len <= NGX_CHATHUB_WEBSOCKET_REASON_MAX);
        peer->ended = 1;

        /* fall through */

    case NGX_CHATHUB_WEBSOCKET_TEXT:
        utf8 = 0;
        require(ngx_chathub_websocket_utf8(&utf8, frame->data.data,
                                           frame->data.len)
                == NGX_OK);
        require(utf8 == 0);
        break;

    default:
        require(message || frame->opcode == NGX_CHATHUB_WEBSOCKET_PING
                || frame->opcode == NGX_CHATHUB_WEBSOCKET_PONG);
    }

    events_add(&peer->events, &frame->opcode, sizeof(frame->opcode));
    events_add(&peer->events, &frame->code, sizeof(frame->code));
    events_add(&peer->events, &frame->data.len, sizeof(frame->data.len));
    events_add(&peer->events, frame->data.data, frame->data.len);
}


static void
peer_error(peer_t *peer, ngx_chathub_websocket_frame_t *frame)
{
    require(!peer->ended);
    require(frame->code == 1002 || frame->code == 1007
            || frame->code == 1008 || frame->code == 1009);
    require(live == 0);

    peer->ended = 1;

    events_add(&peer->events, "error", 5);
    events_add(&peer->events, &frame->code, sizeof(frame->code));
}


static void
peer_feed(peer_t *peer, const uint8_t *data, size_t len)
{
    u_char                         *buf, *pos;
    ngx_int_t                       rc;
    ngx_chathub_websocket_frame_t   frame;

    buf = malloc(len);
    require(buf != NULL || len == 0);

    if (len) {
        memcpy(buf, data, len);
    }

    pos = buf;
    peer->fed += len;

    for ( ;; ) {
        rc = ngx_chathub_websocket_parse(&peer->ws, &pos, buf + len, &frame,
                                         NULL);
        if (rc == NGX_OK) {
            peer_event(peer, &frame);
            continue;
        }

        if (rc == NGX_ERROR) {
            peer_error(peer, &frame);
            continue;
        }

        require(rc == NGX_AGAIN);
        require(pos == buf + len);
        break;
    }

    if (!ngx_chathub_websocket_incomplete(&peer->ws)) {
        require(live == 0);
    }

    require(live <= ngx_min(ngx_max(2 * peer->fed, 256), peer->max)
                    + NGX_CHATHUB_WEBSOCKET_CONTROL_MAX + 2 * OVERHEAD);

    free(buf);
}


/* short pieces, and some that are long */

static size_t
piece(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;

    return (*seed >> 16) % ((*seed & 0x3000) ? 8 : 2000);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t        n, pos;
    peer_t        whole, pieces;
    uint32_t      seed;

    static size_t  limits[] = { 1048576, 4096, 100, 0 };

    if (size < PREFIX) {
        return 0;
    }

    memcpy(&seed, data, PREFIX);
    data += PREFIX;
    size -= PREFIX;

    memset(&whole, 0, sizeof(peer_t));
    whole.max = limits[seed % 4];
    pieces = whole;

    ngx_chathub_websocket_init(&whole.ws, whole.max);
    peer_feed(&whole, data, size);
    ngx_chathub_websocket_done(&whole.ws);
    require(live == 0);

    ngx_chathub_websocket_init(&pieces.ws, pieces.max);

    for (pos = 0; pos < size; pos += n) {
        n = piece(&seed);
        n = ngx_min(n, size - pos);
        peer_feed(&pieces, data + pos, n);
    }

    ngx_chathub_websocket_done(&pieces.ws);
    require(live == 0);

    require(whole.events.len == pieces.events.len);
    require(whole.events.len == 0
            || memcmp(whole.events.data, pieces.events.data,
                      whole.events.len) == 0);

    free(whole.events.data);
    free(pieces.events.data);

    return 0;
}
