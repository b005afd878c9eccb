
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_CODEC_H_INCLUDED_
#define _NGX_CHATHUB_CODEC_H_INCLUDED_


#include "ngx_chathub_message.h"


/* what the server says, besides messages (README, "Events") */

typedef enum {
    NGX_CHATHUB_OUT_ACK = 0,
    NGX_CHATHUB_OUT_ERROR,
    NGX_CHATHUB_OUT_LOG,
    NGX_CHATHUB_OUT_ROOM,
    NGX_CHATHUB_OUT_ROOMUSERS,
    NGX_CHATHUB_OUT_TYPING,
    NGX_CHATHUB_OUT_RESYNC,
    NGX_CHATHUB_OUT_BYE
} ngx_chathub_out_e;

#define NGX_CHATHUB_NO_REF  ((uint64_t) -1)


/*
 * How a wire writes what the hub says: bytes that can go into a socket as
 * they are, one complete unit each.  A codec has no state: members whose
 * sessions have the same codec share the bytes.  Every writer returns the
 * end of what it wrote, every size is exact.  Any worker.
 */

struct ngx_chathub_codec_s {
    ngx_str_t    name;

    /* a message from its head and body (ngx_chathub_message.h) */
    size_t     (*message_size)(size_t len);
    u_char    *(*message)(u_char *p, ngx_str_t *head, ngx_str_t *body);

    /* an event; "data" is JSON text; "ref" may be NGX_CHATHUB_NO_REF */
    size_t     (*event_size)(ngx_chathub_out_e event, uint64_t ref,
                    size_t data_len);
    u_char    *(*event)(u_char *p, ngx_chathub_out_e event, uint64_t ref,
                    ngx_str_t *data);

    /* keep-alive and the end; both at most NGX_CHATHUB_CONTROL_MAX bytes */
    u_char    *(*ping)(u_char *p);
    u_char    *(*pong)(u_char *p, ngx_str_t *data);
    u_char    *(*close)(u_char *p, ngx_uint_t code, ngx_str_t *reason);
};

#define NGX_CHATHUB_CONTROL_MAX  128


/* native JSON protocol in WebSocket frames, "chathub.v1" */
extern const ngx_chathub_codec_t  ngx_chathub_native_codec;


#endif /* _NGX_CHATHUB_CODEC_H_INCLUDED_ */
