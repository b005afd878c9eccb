
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_BROKER_H_INCLUDED_
#define _NGX_CHATHUB_BROKER_H_INCLUDED_


#include "ngx_chathub_message.h"
#include "ngx_chathub_log.h"


/*
 * A publish on its way.  Made by the hub in one allocation, with its strings;
 * the broker has it until it calls "done", once, whatever happens, maybe
 * before publish() returns; "done" frees it.  rc: as of
 * ngx_chathub_log_append().
 */

typedef struct ngx_chathub_publish_s  ngx_chathub_publish_t;

struct ngx_chathub_publish_s {
    ngx_chathub_append_t         append;
    ngx_uint_t                   forbidden;   /* says more about DECLINED */
    uint64_t                     ref;         /* the client's */
    ngx_chathub_session_t       *session;     /* held by a reference */
    ngx_str_t                    room;        /* for the answer */
    void                       (*done)(ngx_chathub_publish_t *p,
                                     ngx_int_t rc);
};


/* a broker gives a message its place in its stream; worker */

struct ngx_chathub_broker_s {
    ngx_str_t                    name;
    void                       (*publish)(ngx_chathub_zone_t *z,
                                     ngx_chathub_publish_t *p);
};


/* the broker of that name, NULL: there is none */
const ngx_chathub_broker_t *ngx_chathub_broker_find(ngx_str_t *name);


#endif /* _NGX_CHATHUB_BROKER_H_INCLUDED_ */
