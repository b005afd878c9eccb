
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_HTTP_CHATHUB_H_INCLUDED_
#define _NGX_HTTP_CHATHUB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>

#include "ngx_chathub_hub.h"
#include "ngx_chathub_session.h"


/* a "chathub_hub" of one configuration */

typedef struct {
    ngx_chathub_hub_conf_t       conf;
    struct ngx_chathub_life_s   *life;        /* of the zone; NULL before the
                                                 zone's init */
    ngx_shm_zone_t              *shm_zone;
    ngx_cycle_t                 *cycle;
    ngx_str_t                    lock_path;
    u_char                      *file;        /* where it is written */
    ngx_uint_t                   line;
} ngx_http_chathub_hub_t;


typedef struct {
    ngx_array_t                  hubs;        /* ngx_http_chathub_hub_t * */
    ngx_array_t                  fronts;      /* ngx_http_chathub_front_t * */
} ngx_http_chathub_main_conf_t;


/* what a location and what it inherits from allow */

typedef struct ngx_http_chathub_front_s  ngx_http_chathub_front_t;

typedef struct {
    ngx_http_chathub_front_t    *front;       /* NULL: no location of a hub */
    ngx_chathub_policy_t         policy;
    ngx_http_complex_value_t    *user;
    ngx_array_t                 *origins;     /* ngx_str_t; NULL: none but
                                                 those of the flags */
    ngx_flag_t                   origin_any;
    ngx_flag_t                   origin_same;
} ngx_http_chathub_loc_conf_t;


/* a location that clients come to; the hub is known at the file's end */

struct ngx_http_chathub_front_s {
    ngx_str_t                    transport;   /* $chathub_transport */
    ngx_str_t                    hub_name;
    ngx_http_chathub_hub_t      *hub;
    ngx_http_chathub_loc_conf_t *conf;
    ngx_http_core_loc_conf_t    *clcf;
    ngx_log_t                    log;         /* of connections that have left
                                                 their request */
    u_char                      *file;
    ngx_uint_t                   line;
};


/* what the variables of the access log tell; in the request's pool */

typedef struct {
    ngx_str_t                    user;
    uint64_t                     session;
} ngx_http_chathub_ctx_t;


extern ngx_module_t  ngx_http_chathub_module;


/* ngx_http_chathub_conf.c */

#define NGX_HTTP_CHATHUB_DRAIN      30000    /* ms, the default */
#define NGX_HTTP_CHATHUB_COUNT_MAX  1000000  /* of what is counted */

void *ngx_http_chathub_create_loc_conf(ngx_conf_t *cf);
char *ngx_http_chathub_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

char *ngx_http_chathub_origins(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_chathub_ping(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_chathub_max_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_chathub_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_chathub_check_size(ngx_conf_t *cf, void *post, void *data);


/* ngx_http_chathub_module.c */

/* This process's hub, with "make" made where it is not there yet.  Worker and
 * single process only.  NULL: there is none; no memory. */
ngx_chathub_hub_t *ngx_http_chathub_hub(ngx_http_chathub_hub_t *hub,
    ngx_uint_t make);


/* ngx_http_chathub_request.c */

/* Answers with an error object; "retry_after" of *err, for 503 at least a
 * second, becomes Retry-After.  The value is for the content handler to
 * return. */
ngx_int_t ngx_http_chathub_refuse(ngx_http_request_t *r, ngx_uint_t status,
    ngx_chathub_error_t *err);

/* the same for a fault that a static text tells */
ngx_int_t ngx_http_chathub_refuse_text(ngx_http_request_t *r,
    ngx_uint_t status, ngx_chathub_code_e code, const char *text);

/* adds a header to the answer; static strings, or the request's */
ngx_int_t ngx_http_chathub_header(ngx_http_request_t *r, ngx_str_t *name,
    ngx_str_t *value);

/* The values of the request's header lines of a name, which is in lower case,
 * one after the other; NULL: no more. */

typedef struct {
    ngx_str_t                   *name;
    ngx_list_part_t             *part;
    ngx_uint_t                   i;
} ngx_http_chathub_lines_t;

ngx_str_t *ngx_http_chathub_header_first(ngx_http_request_t *r,
    ngx_str_t *name, ngx_http_chathub_lines_t *lines);
ngx_str_t *ngx_http_chathub_header_next(ngx_http_chathub_lines_t *lines);

/* NGX_OK, NGX_DECLINED: the page that sent the client may not */
ngx_int_t ngx_http_chathub_origin(ngx_http_request_t *r);

/*
 * Who the client is.  NGX_OK: *name is an identity (guest 0) or what a guest
 * wants to be called, maybe empty; NGX_DECLINED and *err: 401, or 400 where
 * the wish cannot be read; NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_chathub_identity(ngx_http_request_t *r, ngx_str_t *name,
    ngx_uint_t *guest, ngx_chathub_error_t *err);

/* the client's address, after realip: 16 bytes, IPv4 mapped into IPv6, zeros
 * for a local socket */
void ngx_http_chathub_address(ngx_http_request_t *r, u_char addr[16]);

/* $chathub_user, $chathub_session, $chathub_node, $chathub_transport */
ngx_int_t ngx_http_chathub_add_variables(ngx_conf_t *cf);

/* the HTTP status that goes with a code (README, "Errors") */
ngx_uint_t ngx_http_chathub_status(ngx_chathub_code_e code);


/* ngx_http_chathub_websocket.c */

ngx_int_t ngx_http_chathub_websocket_handler(ngx_http_request_t *r);


/* ngx_http_chathub_detach.c */

/*
 * The connection has left its request and is the transport's: c->data and
 * the handlers are to be set.  "rest" is what the client sent behind its
 * request, valid during the call.
 */
typedef void (*ngx_http_chathub_attached_pt)(ngx_connection_t *c, void *data,
    u_char *rest, size_t len);

/* the request, or the connection, died before that */
typedef void (*ngx_http_chathub_aborted_pt)(void *data);

/*
 * Sends the 101 whose headers are set, and lets the connection leave the
 * request, which ends (access log included), on a later turn of the event
 * loop.  Exactly one of "attached" and "aborted" is called, maybe before
 * this returns.  The value is for the content handler to return.  "data" must
 * not be the request's memory; "log" outlives the connection.
 */
ngx_int_t ngx_http_chathub_detach(ngx_http_request_t *r,
    ngx_http_chathub_attached_pt attached,
    ngx_http_chathub_aborted_pt aborted, void *data, ngx_log_t *log);

/* closes a connection that has left its request; may outlive the call for
 * TLS's sake, but c->data and the handlers are not used any more */
void ngx_http_chathub_close_connection(ngx_connection_t *c);

/* the same, where unread bytes of the peer would turn the end of what was
 * sent into a reset: ends the sending, reads the rest for two seconds */
void ngx_http_chathub_linger(ngx_connection_t *c);


#endif /* _NGX_HTTP_CHATHUB_H_INCLUDED_ */
