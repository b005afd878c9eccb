
/*
 * Copyright (C) ChatHub contributors
 */


/*
 * The native protocol, "chathub.v1": {"event":E,"ref":N?,"data":D} in text
 * frames of a WebSocket (README, "Protocol").
 */


#include "ngx_chathub_codec.h"
#include "ngx_chathub_websocket.h"


#define NGX_CHATHUB_NATIVE_MESSAGE  "{\"event\":\"message\",\"data\":"
#define NGX_CHATHUB_NATIVE_EVENT    "{\"event\":\""
#define NGX_CHATHUB_NATIVE_REF      "\",\"ref\":"
#define NGX_CHATHUB_NATIVE_DATA     ",\"data\":"


static size_t ngx_chathub_native_message_size(size_t len);
static u_char *ngx_chathub_native_message(u_char *p, ngx_str_t *head,
    ngx_str_t *body);
static size_t ngx_chathub_native_event_len(ngx_chathub_out_e event,
    uint64_t ref, size_t data_len);
static size_t ngx_chathub_native_event_size(ngx_chathub_out_e event,
    uint64_t ref, size_t data_len);
static u_char *ngx_chathub_native_event(u_char *p, ngx_chathub_out_e event,
    uint64_t ref, ngx_str_t *data);
static u_char *ngx_chathub_native_ping(u_char *p);
static u_char *ngx_chathub_native_pong(u_char *p, ngx_str_t *data);
static u_char *ngx_chathub_native_close(u_char *p, ngx_uint_t code,
    ngx_str_t *reason);


/* in the order of ngx_chathub_out_e */

static ngx_str_t  ngx_chathub_native_events[] = {
    ngx_string("ack"),
    ngx_string("error"),
    ngx_string("log"),
    ngx_string("room"),
    ngx_string("roomusers"),
    ngx_string("typing"),
    ngx_string("resync"),
    ngx_string("bye")
};


const ngx_chathub_codec_t  ngx_chathub_native_codec = {
    ngx_string("native"),
    ngx_chathub_native_message_size,
    ngx_chathub_native_message,
    ngx_chathub_native_event_size,
    ngx_chathub_native_event,
    ngx_chathub_native_ping,
    ngx_chathub_native_pong,
    ngx_chathub_native_close
};


static size_t
ngx_chathub_native_message_size(size_t len)
{
    len += sizeof(NGX_CHATHUB_NATIVE_MESSAGE) - 1 + sizeof("}") - 1;

    return ngx_chathub_websocket_header_size(len) + len;
}


static u_char *
ngx_chathub_native_message(u_char *p, ngx_str_t *head, ngx_str_t *body)
{
    size_t  len;

    len = sizeof(NGX_CHATHUB_NATIVE_MESSAGE) - 1 + head->len + body->len
          + sizeof("}") - 1;

    p = ngx_chathub_websocket_header(p, NGX_CHATHUB_WEBSOCKET_TEXT, len);
    p = ngx_cpymem(p, NGX_CHATHUB_NATIVE_MESSAGE,
                   sizeof(NGX_CHATHUB_NATIVE_MESSAGE) - 1);
    p = ngx_cpymem(p, head->data, head->len);
    p = ngx_cpymem(p, body->data, body->len);
    *p++ = '}';

    return p;
}


static size_t
ngx_chathub_native_event_len(ngx_chathub_out_e event, uint64_t ref,
    size_t data_len)
{
    size_t  len;

    len = sizeof(NGX_CHATHUB_NATIVE_EVENT) - 1
          + ngx_chathub_native_events[event].len
          + sizeof(NGX_CHATHUB_NATIVE_DATA) - 1 + data_len + sizeof("}") - 1;

    if (ref == NGX_CHATHUB_NO_REF) {
        return len + sizeof("\"") - 1;
    }

    len += sizeof(NGX_CHATHUB_NATIVE_REF) - 1;

    do {
        len++;
        ref /= 10;
    } while (ref);

    return len;
}


static size_t
ngx_chathub_native_event_size(ngx_chathub_out_e event, uint64_t ref,
    size_t data_len)
{
    size_t  len;

    len = ngx_chathub_native_event_len(event, ref, data_len);

    return ngx_chathub_websocket_header_size(len) + len;
}


static u_char *
ngx_chathub_native_event(u_char *p, ngx_chathub_out_e event, uint64_t ref,
    ngx_str_t *data)
{
    ngx_str_t  *name;

    p = ngx_chathub_websocket_header(p, NGX_CHATHUB_WEBSOCKET_TEXT,
                                     ngx_chathub_native_event_len(event, ref,
                                                                  data->len));

    name = &ngx_chathub_native_events[event];

    p = ngx_cpymem(p, NGX_CHATHUB_NATIVE_EVENT,
                   sizeof(NGX_CHATHUB_NATIVE_EVENT) - 1);
    p = ngx_cpymem(p, name->data, name->len);

    if (ref == NGX_CHATHUB_NO_REF) {
        *p++ = '"';

    } else {
        p = ngx_cpymem(p, NGX_CHATHUB_NATIVE_REF,
                       sizeof(NGX_CHATHUB_NATIVE_REF) - 1);
        p = ngx_sprintf(p, "%uL", ref);
    }

    p = ngx_cpymem(p, NGX_CHATHUB_NATIVE_DATA,
                   sizeof(NGX_CHATHUB_NATIVE_DATA) - 1);
    p = ngx_cpymem(p, data->data, data->len);
    *p++ = '}';

    return p;
}


static u_char *
ngx_chathub_native_ping(u_char *p)
{
    return ngx_chathub_websocket_header(p, NGX_CHATHUB_WEBSOCKET_PING, 0);
}


static u_char *
ngx_chathub_native_pong(u_char *p, ngx_str_t *data)
{
    p = ngx_chathub_websocket_header(p, NGX_CHATHUB_WEBSOCKET_PONG,
                                     data->len);
    if (data->len) {
        p = ngx_cpymem(p, data->data, data->len);
    }

    return p;
}


static u_char *
ngx_chathub_native_close(u_char *p, ngx_uint_t code, ngx_str_t *reason)
{
    return ngx_chathub_websocket_close(p, code, reason);
}
