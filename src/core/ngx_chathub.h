
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_H_INCLUDED_
#define _NGX_CHATHUB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


#define NGX_CHATHUB_VERSION        "0.1.0"

/* README, "Limits" */
#define NGX_CHATHUB_NAME_MAX       128   /* bytes of a room's or user's name */
#define NGX_CHATHUB_ID_MAX         64    /* bytes of a message's id */
#define NGX_CHATHUB_TYPE_MAX       32    /* bytes of a message's type */
#define NGX_CHATHUB_LIMIT_DEFAULT  100   /* entries of a page */
#define NGX_CHATHUB_LIMIT_MAX      1000
#define NGX_CHATHUB_SEQ_MAX        9007199254740991ULL   /* 2^53 - 1 */

/* the text form of an epoch: 16 hexadecimal digits */
#define NGX_CHATHUB_EPOCH_LEN      16
/* "2026-01-31T12:34:56.789Z" */
#define NGX_CHATHUB_TIME_LEN       24
/* a UUIDv7 in its text form */
#define NGX_CHATHUB_UUID_LEN       36


/* the codes that a client sees; README, "Errors" */

typedef enum {
    NGX_CHATHUB_E_NONE = 0,
    NGX_CHATHUB_E_BAD_REQUEST,
    NGX_CHATHUB_E_BAD_NAME,
    NGX_CHATHUB_E_UNKNOWN_EVENT,
    NGX_CHATHUB_E_NOT_JOINED,
    NGX_CHATHUB_E_FORBIDDEN,
    NGX_CHATHUB_E_UNAUTHORIZED,
    NGX_CHATHUB_E_TOO_LARGE,
    NGX_CHATHUB_E_RATE_LIMITED,
    NGX_CHATHUB_E_TOO_MANY_ROOMS,
    NGX_CHATHUB_E_BUSY,
    NGX_CHATHUB_E_UNAVAILABLE,
    NGX_CHATHUB_E_NOT_STORED,
    NGX_CHATHUB_E_NOT_FOUND,
    NGX_CHATHUB_E_INTERNAL
} ngx_chathub_code_e;


/*
 * An error for a client.  "message" is a static text that says what was
 * wrong and what is allowed; "id" and "room" point into the event that
 * failed and live as long as it.
 */

typedef struct {
    ngx_chathub_code_e           code;
    const char                  *message;
    ngx_str_t                    id;
    ngx_str_t                    room;
    ngx_msec_t                   retry_after;
} ngx_chathub_error_t;


typedef struct ngx_chathub_hub_s       ngx_chathub_hub_t;
typedef struct ngx_chathub_session_s   ngx_chathub_session_t;
typedef struct ngx_chathub_room_s      ngx_chathub_room_t;
typedef struct ngx_chathub_member_s    ngx_chathub_member_t;
typedef struct ngx_chathub_message_s   ngx_chathub_message_t;
typedef struct ngx_chathub_codec_s     ngx_chathub_codec_t;
typedef struct ngx_chathub_broker_s    ngx_chathub_broker_t;
typedef struct ngx_chathub_store_s     ngx_chathub_store_t;
typedef struct ngx_chathub_zone_s      ngx_chathub_zone_t;


#endif /* _NGX_CHATHUB_H_INCLUDED_ */
