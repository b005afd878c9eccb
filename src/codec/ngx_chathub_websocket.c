
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_websocket.h"
#include <ngx_sha1.h>


#define NGX_CHATHUB_WEBSOCKET_FIN      0x80
#define NGX_CHATHUB_WEBSOCKET_RSV      0x70
#define NGX_CHATHUB_WEBSOCKET_CONTROL  0x08   /* bit of all control opcodes */
#define NGX_CHATHUB_WEBSOCKET_MASK     0x80

#define NGX_CHATHUB_WEBSOCKET_LEN16    126
#define NGX_CHATHUB_WEBSOCKET_LEN64    127

#define NGX_CHATHUB_WEBSOCKET_BUF_MIN  256

/* RFC 6455, 1.3 */
#define NGX_CHATHUB_WEBSOCKET_GUID     "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


struct ngx_chathub_websocket_buf_s {
    size_t    size;
    size_t    capacity;
    u_char    data[1];
};


/*
 * What the text awaits, after the syntax of RFC 3629, 4: the bounds of the
 * next byte and what is awaited after it.  ngx_utf8_decode() can't be used:
 * it needs the whole character, and takes surrogates.
 */

typedef enum {
    NGX_CHATHUB_UTF8_CHARACTER = 0,
    NGX_CHATHUB_UTF8_TAIL,
    NGX_CHATHUB_UTF8_TAIL2,
    NGX_CHATHUB_UTF8_TAIL3,
    NGX_CHATHUB_UTF8_AFTER_E0,
    NGX_CHATHUB_UTF8_AFTER_ED,
    NGX_CHATHUB_UTF8_AFTER_F0,
    NGX_CHATHUB_UTF8_AFTER_F4
} ngx_chathub_utf8_e;

typedef struct {
    u_char    low;
    u_char    high;
    u_char    next;
} ngx_chathub_utf8_t;

static const ngx_chathub_utf8_t  ngx_chathub_utf8[] = {
    { 0x00, 0x7f, NGX_CHATHUB_UTF8_CHARACTER },
    { 0x80, 0xbf, NGX_CHATHUB_UTF8_CHARACTER },
    { 0x80, 0xbf, NGX_CHATHUB_UTF8_TAIL },
    { 0x80, 0xbf, NGX_CHATHUB_UTF8_TAIL2 },
    { 0xa0, 0xbf, NGX_CHATHUB_UTF8_TAIL },    /* not overlong */
    { 0x80, 0x9f, NGX_CHATHUB_UTF8_TAIL },    /* not a surrogate */
    { 0x90, 0xbf, NGX_CHATHUB_UTF8_TAIL2 },   /* not overlong */
    { 0x80, 0x8f, NGX_CHATHUB_UTF8_TAIL2 }    /* not above U+10FFFF */
};


static ngx_uint_t ngx_chathub_websocket_header_byte(
    ngx_chathub_websocket_t *ws, u_char ch);
static ngx_uint_t ngx_chathub_websocket_opcode_byte(
    ngx_chathub_websocket_t *ws, u_char ch);
static ngx_uint_t ngx_chathub_websocket_start_message(
    ngx_chathub_websocket_t *ws);
static ngx_uint_t ngx_chathub_websocket_length_byte(
    ngx_chathub_websocket_t *ws, u_char ch);
static ngx_uint_t ngx_chathub_websocket_length_rest_byte(
    ngx_chathub_websocket_t *ws, u_char ch);
static ngx_uint_t ngx_chathub_websocket_length_known(
    ngx_chathub_websocket_t *ws);
static ngx_int_t ngx_chathub_websocket_payload(ngx_chathub_websocket_t *ws,
    u_char **pos, u_char *last, ngx_chathub_websocket_frame_t *out,
    ngx_log_t *log);
static ngx_int_t ngx_chathub_websocket_data(ngx_chathub_websocket_t *ws,
    u_char *p, size_t n, ngx_chathub_websocket_frame_t *out, ngx_log_t *log);
static ngx_int_t ngx_chathub_websocket_control(ngx_chathub_websocket_t *ws,
    u_char *p, size_t n, ngx_chathub_websocket_frame_t *out, ngx_log_t *log);
static ngx_int_t ngx_chathub_websocket_close_body(
    ngx_chathub_websocket_t *ws, ngx_chathub_websocket_frame_t *out);
static ngx_uint_t ngx_chathub_websocket_close_code_valid(ngx_uint_t code);
static ngx_int_t ngx_chathub_websocket_gather(
    ngx_chathub_websocket_buf_t **bufp, u_char *p, size_t n, size_t max,
    ngx_str_t *data, ngx_log_t *log);
static ngx_chathub_websocket_buf_t *ngx_chathub_websocket_grow(
    ngx_chathub_websocket_buf_t *buf, size_t size, size_t max,
    ngx_log_t *log);
static ngx_int_t ngx_chathub_websocket_error(
    ngx_chathub_websocket_frame_t *out, ngx_uint_t code);
static void ngx_chathub_websocket_release(ngx_chathub_websocket_buf_t **bufp);
static void ngx_chathub_websocket_unmask(ngx_chathub_websocket_t *ws,
    u_char *p, size_t n);
static ngx_int_t ngx_chathub_websocket_utf8(u_char *state, u_char *p,
    size_t n);
static u_char ngx_chathub_websocket_utf8_first(u_char ch);


void
ngx_chathub_websocket_init(ngx_chathub_websocket_t *ws, size_t max_message)
{
    ngx_memzero(ws, sizeof(ngx_chathub_websocket_t));

    ws->max_message = max_message;
}


ngx_int_t
ngx_chathub_websocket_parse(ngx_chathub_websocket_t *ws, u_char **pos,
    u_char *last, ngx_chathub_websocket_frame_t *out, ngx_log_t *log)
{
    ngx_int_t   rc;
    ngx_uint_t  code, payload;

    /* what the last call handed out */

    if (ws->type == 0) {
        ngx_chathub_websocket_release(&ws->message);
    }

    if (ws->state != NGX_CHATHUB_WEBSOCKET_AWAIT_PAYLOAD) {
        ngx_chathub_websocket_release(&ws->control);
    }

    for ( ;; ) {

        if (ws->state == NGX_CHATHUB_WEBSOCKET_AWAIT_NOTHING) {
            *pos = last;
            return NGX_AGAIN;
        }

        payload = (ws->state == NGX_CHATHUB_WEBSOCKET_AWAIT_PAYLOAD);

        if (*pos == last && !(payload && ws->rest == 0)) {
            return NGX_AGAIN;
        }

        if (payload) {
            rc = ngx_chathub_websocket_payload(ws, pos, last, out, log);

        } else {
            code = ngx_chathub_websocket_header_byte(ws, *(*pos)++);

            rc = code ? ngx_chathub_websocket_error(out, code) : NGX_DONE;
        }

        if (rc == NGX_DONE) {
            continue;
        }

        if (rc == NGX_ERROR) {
            ngx_chathub_websocket_done(ws);
        }

        return rc;
    }
}


void
ngx_chathub_websocket_done(ngx_chathub_websocket_t *ws)
{
    ngx_chathub_websocket_release(&ws->message);
    ngx_chathub_websocket_release(&ws->control);

    ws->state = NGX_CHATHUB_WEBSOCKET_AWAIT_NOTHING;
    ws->type = 0;
}


ngx_uint_t
ngx_chathub_websocket_incomplete(ngx_chathub_websocket_t *ws)
{
    if (ws->state == NGX_CHATHUB_WEBSOCKET_AWAIT_NOTHING) {
        return 0;
    }

    return ws->type != 0 || ws->state != NGX_CHATHUB_WEBSOCKET_AWAIT_OPCODE;
}


/* Takes a byte of a frame's header.  Returns the close code of what is wrong
 * with it, or 0. */

static ngx_uint_t
ngx_chathub_websocket_header_byte(ngx_chathub_websocket_t *ws, u_char ch)
{
    switch (ws->state) {

    case NGX_CHATHUB_WEBSOCKET_AWAIT_OPCODE:
        return ngx_chathub_websocket_opcode_byte(ws, ch);

    case NGX_CHATHUB_WEBSOCKET_AWAIT_LENGTH:
        return ngx_chathub_websocket_length_byte(ws, ch);

    case NGX_CHATHUB_WEBSOCKET_AWAIT_LENGTH_REST:
        return ngx_chathub_websocket_length_rest_byte(ws, ch);

    default: /* NGX_CHATHUB_WEBSOCKET_AWAIT_MASK */
        ws->mask[4 - ws->need] = ch;

        if (--ws->need == 0) {
            ws->state = NGX_CHATHUB_WEBSOCKET_AWAIT_PAYLOAD;
        }

        return 0;
    }
}


static ngx_uint_t
ngx_chathub_websocket_opcode_byte(ngx_chathub_websocket_t *ws, u_char ch)
{
    if (ch & NGX_CHATHUB_WEBSOCKET_RSV) {
        return NGX_CHATHUB_WEBSOCKET_PROTOCOL;
    }

    ws->fin = (ch & NGX_CHATHUB_WEBSOCKET_FIN) ? 1 : 0;
    ws->frame = ch & 0x0f;
    ws->state = NGX_CHATHUB_WEBSOCKET_AWAIT_LENGTH;

    switch (ws->frame) {

    case NGX_CHATHUB_WEBSOCKET_CONTINUATION:
        if (ws->type == 0) {
            return NGX_CHATHUB_WEBSOCKET_PROTOCOL;
        }

        if (++ws->fragments > NGX_CHATHUB_WEBSOCKET_FRAGMENTS_MAX) {
            return NGX_CHATHUB_WEBSOCKET_POLICY;
        }

        return 0;

    case NGX_CHATHUB_WEBSOCKET_TEXT:
    case NGX_CHATHUB_WEBSOCKET_BINARY:
        return ngx_chathub_websocket_start_message(ws);

    case NGX_CHATHUB_WEBSOCKET_CLOSE:
    case NGX_CHATHUB_WEBSOCKET_PING:
    case NGX_CHATHUB_WEBSOCKET_PONG:
        return ws->fin ? 0 : NGX_CHATHUB_WEBSOCKET_PROTOCOL;

    default:
        return NGX_CHATHUB_WEBSOCKET_PROTOCOL;
    }
}


static ngx_uint_t
ngx_chathub_websocket_start_message(ngx_chathub_websocket_t *ws)
{
    if (ws->type != 0) {
        return NGX_CHATHUB_WEBSOCKET_PROTOCOL;
    }

    ws->type = ws->frame;
    ws->fragments = 1;
    ws->utf8 = NGX_CHATHUB_UTF8_CHARACTER;

    return 0;
}


static ngx_uint_t
ngx_chathub_websocket_length_byte(ngx_chathub_websocket_t *ws, u_char ch)
{
    if (!(ch & NGX_CHATHUB_WEBSOCKET_MASK)) {
        return NGX_CHATHUB_WEBSOCKET_PROTOCOL;
    }

    ch &= ~NGX_CHATHUB_WEBSOCKET_MASK;

    if ((ws->frame & NGX_CHATHUB_WEBSOCKET_CONTROL)
        && ch > NGX_CHATHUB_WEBSOCKET_CONTROL_MAX)
    {
        return NGX_CHATHUB_WEBSOCKET_PROTOCOL;
    }

    if (ch < NGX_CHATHUB_WEBSOCKET_LEN16) {
        ws->rest = ch;
        return ngx_chathub_websocket_length_known(ws);
    }

    ws->rest = 0;
    ws->len64 = (ch == NGX_CHATHUB_WEBSOCKET_LEN64);
    ws->need = ws->len64 ? 8 : 2;
    ws->state = NGX_CHATHUB_WEBSOCKET_AWAIT_LENGTH_REST;

    return 0;
}


static ngx_uint_t
ngx_chathub_websocket_length_rest_byte(ngx_chathub_websocket_t *ws, u_char ch)
{
    if (ws->need == 8 && (ch & 0x80)) {
        return NGX_CHATHUB_WEBSOCKET_PROTOCOL;
    }

    ws->rest = ws->rest << 8 | ch;

    if (--ws->need) {
        return 0;
    }

    /* RFC 6455, 5.2: the length is written in the fewest bytes */

    if (ws->rest < NGX_CHATHUB_WEBSOCKET_LEN16
        || (ws->len64 && ws->rest <= 0xffff))
    {
        return NGX_CHATHUB_WEBSOCKET_PROTOCOL;
    }

    return ngx_chathub_websocket_length_known(ws);
}


static ngx_uint_t
ngx_chathub_websocket_length_known(ngx_chathub_websocket_t *ws)
{
    size_t  size;

    if (!(ws->frame & NGX_CHATHUB_WEBSOCKET_CONTROL)) {
        size = ws->message ? ws->message->size : 0;

        if (ws->rest > ws->max_message - size) {
            return NGX_CHATHUB_WEBSOCKET_TOO_BIG;
        }
    }

    ws->need = 4;
    ws->state = NGX_CHATHUB_WEBSOCKET_AWAIT_MASK;

    return 0;
}


/* NGX_DONE: the frame is complete and is no event */

static ngx_int_t
ngx_chathub_websocket_payload(ngx_chathub_websocket_t *ws, u_char **pos,
    u_char *last, ngx_chathub_websocket_frame_t *out, ngx_log_t *log)
{
    size_t     n;
    u_char    *p;
    ngx_int_t  rc;

    p = *pos;
    n = last - p;

    if (n > ws->rest) {
        n = (size_t) ws->rest;
    }

    ngx_chathub_websocket_unmask(ws, p, n);

    ws->rest -= n;
    *pos = p + n;

    if (ws->frame & NGX_CHATHUB_WEBSOCKET_CONTROL) {
        rc = ngx_chathub_websocket_control(ws, p, n, out, log);

    } else {
        rc = ngx_chathub_websocket_data(ws, p, n, out, log);
    }

    if (rc == NGX_OK || rc == NGX_DONE) {
        ws->state = (ws->frame == NGX_CHATHUB_WEBSOCKET_CLOSE)
                    ? NGX_CHATHUB_WEBSOCKET_AWAIT_NOTHING
                    : NGX_CHATHUB_WEBSOCKET_AWAIT_OPCODE;
    }

    return rc;
}


static ngx_int_t
ngx_chathub_websocket_data(ngx_chathub_websocket_t *ws, u_char *p, size_t n,
    ngx_chathub_websocket_frame_t *out, ngx_log_t *log)
{
    size_t      size, max;
    ngx_uint_t  complete;

    complete = (ws->rest == 0 && ws->fin);

    if (ws->type == NGX_CHATHUB_WEBSOCKET_TEXT
        && (ngx_chathub_websocket_utf8(&ws->utf8, p, n) != NGX_OK
            || (complete && ws->utf8 != NGX_CHATHUB_UTF8_CHARACTER)))
    {
        return ngx_chathub_websocket_error(out,
                                           NGX_CHATHUB_WEBSOCKET_BAD_UTF8);
    }

    if (complete && ws->message == NULL) {
        out->data.len = n;
        out->data.data = p;

    } else {
        size = ws->message ? ws->message->size : 0;
        max = ws->fin ? size + n + (size_t) ws->rest : ws->max_message;

        if (ngx_chathub_websocket_gather(&ws->message, p, n, max, &out->data,
                                         log)
            != NGX_OK)
        {
            return ngx_chathub_websocket_error(out,
                                           NGX_CHATHUB_WEBSOCKET_INTERNAL);
        }
    }

    if (complete) {
        out->opcode = ws->type;
        out->code = 0;
        ws->type = 0;

        return NGX_OK;
    }

    return ws->rest ? NGX_AGAIN : NGX_DONE;
}


static ngx_int_t
ngx_chathub_websocket_control(ngx_chathub_websocket_t *ws, u_char *p,
    size_t n, ngx_chathub_websocket_frame_t *out, ngx_log_t *log)
{
    size_t  size;

    if (ws->rest == 0 && ws->control == NULL) {
        out->data.len = n;
        out->data.data = p;

    } else {
        size = ws->control ? ws->control->size : 0;

        if (ngx_chathub_websocket_gather(&ws->control, p, n,
                                         size + n + (size_t) ws->rest,
                                         &out->data, log)
            != NGX_OK)
        {
            return ngx_chathub_websocket_error(out,
                                           NGX_CHATHUB_WEBSOCKET_INTERNAL);
        }
    }

    if (ws->rest) {
        return NGX_AGAIN;
    }

    out->opcode = ws->frame;
    out->code = 0;

    if (ws->frame == NGX_CHATHUB_WEBSOCKET_CLOSE) {
        return ngx_chathub_websocket_close_body(ws, out);
    }

    return NGX_OK;
}


/* Splits the body of a close frame, RFC 6455, 5.5.1. */

static ngx_int_t
ngx_chathub_websocket_close_body(ngx_chathub_websocket_t *ws,
    ngx_chathub_websocket_frame_t *out)
{
    u_char  utf8;

    /* nothing that came of a message will ever be complete */
    ngx_chathub_websocket_release(&ws->message);
    ws->type = 0;

    if (out->data.len == 0) {
        return NGX_OK;
    }

    if (out->data.len == 1) {
        return ngx_chathub_websocket_error(out,
                                           NGX_CHATHUB_WEBSOCKET_PROTOCOL);
    }

    out->code = out->data.data[0] << 8 | out->data.data[1];
    out->data.data += 2;
    out->data.len -= 2;

    if (!ngx_chathub_websocket_close_code_valid(out->code)) {
        return ngx_chathub_websocket_error(out,
                                           NGX_CHATHUB_WEBSOCKET_PROTOCOL);
    }

    utf8 = NGX_CHATHUB_UTF8_CHARACTER;

    if (ngx_chathub_websocket_utf8(&utf8, out->data.data, out->data.len)
        != NGX_OK
        || utf8 != NGX_CHATHUB_UTF8_CHARACTER)
    {
        return ngx_chathub_websocket_error(out,
                                           NGX_CHATHUB_WEBSOCKET_BAD_UTF8);
    }

    return NGX_OK;
}


/* RFC 6455, 7.4, and the codes 1012 to 1014 that IANA registered since */

static ngx_uint_t
ngx_chathub_websocket_close_code_valid(ngx_uint_t code)
{
    if (code >= 3000) {
        return code <= 4999;
    }

    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}


/*
 * Adds bytes to a buffer of which at most "max" bytes will be needed; "data"
 * is what is in it afterwards.  An empty buffer is not allocated.
 */

static ngx_int_t
ngx_chathub_websocket_gather(ngx_chathub_websocket_buf_t **bufp, u_char *p,
    size_t n, size_t max, ngx_str_t *data, ngx_log_t *log)
{
    ngx_chathub_websocket_buf_t  *buf;

    buf = *bufp;

    if (n && (buf == NULL || n > buf->capacity - buf->size)) {
        buf = ngx_chathub_websocket_grow(buf, n, max, log);
        if (buf == NULL) {
            return NGX_ERROR;
        }

        *bufp = buf;
    }

    if (buf) {
        ngx_memcpy(buf->data + buf->size, p, n);
        buf->size += n;

        data->len = buf->size;
        data->data = buf->data;
    }

    return NGX_OK;
}


/* Makes room for "n" bytes more, and at least doubles it. */

static ngx_chathub_websocket_buf_t *
ngx_chathub_websocket_grow(ngx_chathub_websocket_buf_t *buf, size_t n,
    size_t max, ngx_log_t *log)
{
    size_t                        size, capacity;
    ngx_chathub_websocket_buf_t  *new;

    size = buf ? buf->size : 0;
    capacity = buf ? buf->capacity : NGX_CHATHUB_WEBSOCKET_BUF_MIN / 2;

    capacity = (capacity > max / 2) ? max : capacity * 2;
    capacity = ngx_max(capacity, size + n);

    new = ngx_alloc(offsetof(ngx_chathub_websocket_buf_t, data) + capacity,
                    log);
    if (new == NULL) {
        return NULL;
    }

    new->size = size;
    new->capacity = capacity;

    if (buf) {
        ngx_memcpy(new->data, buf->data, size);
        ngx_free(buf);
    }

    return new;
}


static ngx_int_t
ngx_chathub_websocket_error(ngx_chathub_websocket_frame_t *out,
    ngx_uint_t code)
{
    out->opcode = NGX_CHATHUB_WEBSOCKET_CLOSE;
    out->code = code;
    ngx_str_null(&out->data);

    return NGX_ERROR;
}


static void
ngx_chathub_websocket_release(ngx_chathub_websocket_buf_t **bufp)
{
    if (*bufp) {
        ngx_free(*bufp);
        *bufp = NULL;
    }
}


/* RFC 6455, 5.3; eight bytes at a time, wherever they lie */

static void
ngx_chathub_websocket_unmask(ngx_chathub_websocket_t *ws, u_char *p, size_t n)
{
    u_char      mask[8];
    uint64_t    word, key;
    ngx_uint_t  i;

    ngx_memcpy(mask, ws->mask, 4);
    ngx_memcpy(mask + 4, ws->mask, 4);
    ngx_memcpy(&key, mask, 8);

    while (n >= 8) {
        ngx_memcpy(&word, p, 8);
        word ^= key;
        ngx_memcpy(p, &word, 8);

        p += 8;
        n -= 8;
    }

    for (i = 0; i < n; i++) {
        p[i] ^= mask[i];
    }

    /* the next byte may come with another call */
    ngx_memcpy(ws->mask, mask + (n & 3), 4);
}


/* NGX_ERROR: no text goes on like this.  The text may end only where *state
 * is NGX_CHATHUB_UTF8_CHARACTER. */

static ngx_int_t
ngx_chathub_websocket_utf8(u_char *state, u_char *p, size_t n)
{
    u_char                     *last, current;
    uint64_t                    word;
    const ngx_chathub_utf8_t   *awaited;

    current = *state;
    last = p + n;

    while (p < last) {

        if (current == NGX_CHATHUB_UTF8_CHARACTER) {

            while (last - p >= 8) {
                ngx_memcpy(&word, p, 8);

                if (word & 0x8080808080808080ULL) {
                    break;
                }

                p += 8;
            }

            if (p == last) {
                break;
            }

            if (*p >= 0x80) {
                current = ngx_chathub_websocket_utf8_first(*p++);

                if (current == NGX_CHATHUB_UTF8_CHARACTER) {
                    return NGX_ERROR;
                }

                continue;
            }
        }

        awaited = &ngx_chathub_utf8[current];

        if (*p < awaited->low || *p > awaited->high) {
            return NGX_ERROR;
        }

        current = awaited->next;
        p++;
    }

    *state = current;

    return NGX_OK;
}


/* What a byte above 0x7f, the first of a character, makes the text await;
 * NGX_CHATHUB_UTF8_CHARACTER: it cannot be the first one. */

static u_char
ngx_chathub_websocket_utf8_first(u_char ch)
{
    switch (ch) {

    case 0xe0:
        return NGX_CHATHUB_UTF8_AFTER_E0;

    case 0xed:
        return NGX_CHATHUB_UTF8_AFTER_ED;

    case 0xf0:
        return NGX_CHATHUB_UTF8_AFTER_F0;

    case 0xf4:
        return NGX_CHATHUB_UTF8_AFTER_F4;
    }

    /* 0xc0 and 0xc1 would be overlong */

    if (ch < 0xc2 || ch > 0xf4) {
        return NGX_CHATHUB_UTF8_CHARACTER;
    }

    if (ch < 0xe0) {
        return NGX_CHATHUB_UTF8_TAIL;
    }

    return (ch < 0xf0) ? NGX_CHATHUB_UTF8_TAIL2 : NGX_CHATHUB_UTF8_TAIL3;
}


size_t
ngx_chathub_websocket_header_size(size_t len)
{
    if (len < NGX_CHATHUB_WEBSOCKET_LEN16) {
        return 2;
    }

    return (len <= 0xffff) ? 4 : NGX_CHATHUB_WEBSOCKET_HEADER_MAX;
}


u_char *
ngx_chathub_websocket_header(u_char *p, ngx_uint_t opcode, size_t len)
{
    ngx_int_t  shift;

    *p++ = (u_char) (NGX_CHATHUB_WEBSOCKET_FIN | opcode);

    if (len < NGX_CHATHUB_WEBSOCKET_LEN16) {
        *p++ = (u_char) len;
        return p;
    }

    if (len <= 0xffff) {
        *p++ = NGX_CHATHUB_WEBSOCKET_LEN16;
        shift = 8;

    } else {
        *p++ = NGX_CHATHUB_WEBSOCKET_LEN64;
        shift = 56;
    }

    for ( /* void */ ; shift >= 0; shift -= 8) {
        *p++ = (u_char) ((uint64_t) len >> shift);
    }

    return p;
}


u_char *
ngx_chathub_websocket_close(u_char *p, ngx_uint_t code, ngx_str_t *reason)
{
    size_t  len;

    if (code == 0) {
        return ngx_chathub_websocket_header(p, NGX_CHATHUB_WEBSOCKET_CLOSE,
                                            0);
    }

    len = reason ? reason->len : 0;

    if (len > NGX_CHATHUB_WEBSOCKET_REASON_MAX) {
        len = NGX_CHATHUB_WEBSOCKET_REASON_MAX;

        while (len && (reason->data[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    p = ngx_chathub_websocket_header(p, NGX_CHATHUB_WEBSOCKET_CLOSE, 2 + len);

    *p++ = (u_char) (code >> 8);
    *p++ = (u_char) code;

    return len ? ngx_cpymem(p, reason->data, len) : p;
}


ngx_int_t
ngx_chathub_websocket_accept(ngx_str_t *key, u_char *accept)
{
    u_char      buf[ngx_base64_decoded_length(NGX_CHATHUB_WEBSOCKET_KEY_LEN)];
    u_char      digest[20];
    ngx_str_t   in, out;
    ngx_sha1_t  sha1;

    /* ngx_decode_base64() stops at the first "=", whatever follows */

    if (key->len != NGX_CHATHUB_WEBSOCKET_KEY_LEN
        || key->data[key->len - 1] != '=')
    {
        return NGX_DECLINED;
    }

    out.data = buf;

    if (ngx_decode_base64(&out, key) != NGX_OK || out.len != 16) {
        return NGX_DECLINED;
    }

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, NGX_CHATHUB_WEBSOCKET_GUID,
                    sizeof(NGX_CHATHUB_WEBSOCKET_GUID) - 1);
    ngx_sha1_final(digest, &sha1);

    in.len = sizeof(digest);
    in.data = digest;
    out.data = accept;

    ngx_encode_base64(&out, &in);

    return NGX_OK;
}
