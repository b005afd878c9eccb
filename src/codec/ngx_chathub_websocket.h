
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_WEBSOCKET_H_INCLUDED_
#define _NGX_CHATHUB_WEBSOCKET_H_INCLUDED_


#include "ngx_chathub.h"


/*
 * The frames of RFC 6455 as a server sees them, without a socket: bytes in
 * any split become messages and control frames, and the other way round.
 * Any worker; nothing here is shared between processes or threads.
 */


/* opcodes, RFC 6455, 5.2 */

#define NGX_CHATHUB_WEBSOCKET_CONTINUATION   0x0
#define NGX_CHATHUB_WEBSOCKET_TEXT           0x1
#define NGX_CHATHUB_WEBSOCKET_BINARY         0x2
#define NGX_CHATHUB_WEBSOCKET_CLOSE          0x8
#define NGX_CHATHUB_WEBSOCKET_PING           0x9
#define NGX_CHATHUB_WEBSOCKET_PONG           0xa

/* close codes that this codec finds, RFC 6455, 7.4.1 */

#define NGX_CHATHUB_WEBSOCKET_PROTOCOL       1002
#define NGX_CHATHUB_WEBSOCKET_BAD_UTF8       1007
#define NGX_CHATHUB_WEBSOCKET_POLICY         1008
#define NGX_CHATHUB_WEBSOCKET_TOO_BIG        1009
#define NGX_CHATHUB_WEBSOCKET_INTERNAL       1011

#define NGX_CHATHUB_WEBSOCKET_CONTROL_MAX    125  /* payload of a control */
#define NGX_CHATHUB_WEBSOCKET_REASON_MAX     123  /* reason of a close */
#define NGX_CHATHUB_WEBSOCKET_HEADER_MAX     10   /* header that we write */

/*
 * Frames of one message.  Empty fragments take no memory and so never meet
 * the limit of size: without this one, a message could go on for ever.
 */
#define NGX_CHATHUB_WEBSOCKET_FRAGMENTS_MAX  131072

#define NGX_CHATHUB_WEBSOCKET_KEY_LEN        24   /* Sec-WebSocket-Key */
#define NGX_CHATHUB_WEBSOCKET_ACCEPT_LEN     28   /* Sec-WebSocket-Accept */


typedef enum {
    NGX_CHATHUB_WEBSOCKET_AWAIT_OPCODE = 0,
    NGX_CHATHUB_WEBSOCKET_AWAIT_LENGTH,
    NGX_CHATHUB_WEBSOCKET_AWAIT_LENGTH_REST,
    NGX_CHATHUB_WEBSOCKET_AWAIT_MASK,
    NGX_CHATHUB_WEBSOCKET_AWAIT_PAYLOAD,
    NGX_CHATHUB_WEBSOCKET_AWAIT_NOTHING       /* closed, or broken */
} ngx_chathub_websocket_e;


typedef struct ngx_chathub_websocket_buf_s  ngx_chathub_websocket_buf_t;


/*
 * The receiving side of one connection.  Embedded in a session, so it is
 * small, and owns memory only while a frame or a message is incomplete.
 * The fields are the codec's own.
 */

typedef struct {
    ngx_chathub_websocket_buf_t  *message;    /* what came of a message */
    ngx_chathub_websocket_buf_t  *control;    /* what came of a control */
    size_t                        max_message;
    uint64_t                      rest;       /* length of the frame, then
                                                 what is missing of it */
    uint32_t                      fragments;  /* frames of the message */
    u_char                        mask[4];    /* [0] is for the next byte */
    u_char                        state;      /* ngx_chathub_websocket_e */
    u_char                        need;       /* bytes to the end of length
                                                 or mask */
    u_char                        frame;      /* opcode of the frame */
    u_char                        type;       /* opcode of the message under
                                                 way, 0: none */
    u_char                        utf8;       /* what its text awaits */
    unsigned                      fin:1;
    unsigned                      len64:1;    /* length of eight bytes */
} ngx_chathub_websocket_t;


/* what ngx_chathub_websocket_parse() found */

typedef struct {
    ngx_uint_t                    opcode;     /* TEXT, BINARY: a message;
                                                 PING, PONG, CLOSE */
    ngx_uint_t                    code;       /* of a CLOSE, 0: none given;
                                                 of an error: to be sent */
    ngx_str_t                     data;       /* payload; of a CLOSE the
                                                 reason */
} ngx_chathub_websocket_frame_t;


/*
 * Makes a parser for messages of at most "max_message" bytes, all fragments
 * together.  Allocates nothing, cannot fail.
 */
void ngx_chathub_websocket_init(ngx_chathub_websocket_t *ws,
    size_t max_message);

/*
 * Takes bytes from *pos up to "last" and moves *pos behind what it took.
 * The bytes are unmasked where they lie, so the buffer is changed.
 *
 *   NGX_OK     "out" is one message or control frame, and more may follow:
 *              call again.  Its data lies in the caller's buffer or in the
 *              parser, and is valid until the next call with this parser and
 *              as long as the buffer.  The text of a TEXT and the reason of
 *              a CLOSE are valid UTF-8.  CLOSE is the last event.
 *   NGX_AGAIN  all bytes are taken; the buffer is not needed any more.
 *   NGX_ERROR  the peer broke the protocol, or memory is out.  The connection
 *              is to be closed with out->code: 1002; 1007 (at the first byte
 *              that cannot be UTF-8); 1008 (too many fragments); 1009 (at
 *              the header that makes the message too big); 1011 (no memory;
 *              "log" has the alert).  All memory is released.
 *
 * After a CLOSE or an error the parser takes what still comes and says
 * NGX_AGAIN.  What the bytes mean does not depend on how they were split.
 *
 * A call until NGX_AGAIN leaves memory allocated only while a frame or a
 * message is incomplete: at most twice what came of the message (256 bytes at
 * least, max_message at most), and one control frame.  The declared length of
 * a message allocates nothing.
 */
ngx_int_t ngx_chathub_websocket_parse(ngx_chathub_websocket_t *ws,
    u_char **pos, u_char *last, ngx_chathub_websocket_frame_t *out,
    ngx_log_t *log);

/* Releases all memory; what comes afterwards is ignored.  Idempotent. */
void ngx_chathub_websocket_done(ngx_chathub_websocket_t *ws);

/*
 * Whether the peer owes the rest of a frame or of a message, for the timer
 * that closes who never sends it.
 */
ngx_uint_t ngx_chathub_websocket_incomplete(ngx_chathub_websocket_t *ws);


/* size of the header of a frame with "len" bytes of payload */
size_t ngx_chathub_websocket_header_size(size_t len);

/*
 * Writes the header of a whole, unmasked frame; the payload follows it as it
 * is.  Returns its end.
 */
u_char *ngx_chathub_websocket_header(u_char *p, ngx_uint_t opcode,
    size_t len);

/*
 * Writes a close frame, at most 2 + NGX_CHATHUB_WEBSOCKET_CONTROL_MAX bytes,
 * and returns its end.  With code 0 it has no body.  "reason" is UTF-8 and
 * may be NULL; a long one is cut between two characters.
 */
u_char *ngx_chathub_websocket_close(u_char *p, ngx_uint_t code,
    ngx_str_t *reason);


/*
 * Computes Sec-WebSocket-Accept, RFC 6455, 4.2.2, into "accept", which takes
 * NGX_CHATHUB_WEBSOCKET_ACCEPT_LEN bytes.  NGX_DECLINED: the key is not the
 * base64 of 16 bytes.
 */
ngx_int_t ngx_chathub_websocket_accept(ngx_str_t *key, u_char *accept);


#endif /* _NGX_CHATHUB_WEBSOCKET_H_INCLUDED_ */
