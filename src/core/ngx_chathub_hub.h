
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_HUB_H_INCLUDED_
#define _NGX_CHATHUB_HUB_H_INCLUDED_


#include "ngx_chathub.h"
#include "ngx_chathub_session.h"
#include "ngx_chathub_json.h"
#include "ngx_chathub_store.h"


/* a hub's configuration; the module fills it in, it outlives the hub */

typedef struct {
    ngx_str_t                    name;
    ngx_str_t                    node;
    size_t                       zone_size;
    ngx_uint_t                   replay;      /* messages at most */
    ngx_msec_t                   dedupe_window;
    const ngx_chathub_store_t   *store;
    ngx_uint_t                   workers;     /* worker_processes */
    ngx_msec_t                   drain;       /* the longest of its
                                                 locations' */

    /* the shared memory, once it is there */
    void                        *base;
    size_t                       size;
    ngx_shmtx_t                 *mutex;
    ngx_fd_t                     lock_fd;     /* one hub, one log */
} ngx_chathub_hub_conf_t;


/*
 * The hub of this worker: made in init_process (or, in a single process, when
 * it is first needed), after the fork.  NULL: out of memory, logged.  A hub
 * that has no slot or not the lock exists, but is not available, and tries
 * again by itself.
 */
ngx_chathub_hub_t *ngx_chathub_hub_create(ngx_chathub_hub_conf_t *conf,
    ngx_cycle_t *cycle);

/* exit_process: says goodbye to whom is still there, gives the slot back */
void ngx_chathub_hub_exit(ngx_chathub_hub_t *hub);

/* NGX_OK, or NGX_DECLINED and a static reason (no slot, lock held by another
 * NGINX, draining) */
ngx_int_t ngx_chathub_hub_available(ngx_chathub_hub_t *hub,
    const char **reason);

/* an event of a client, as parsed; answers it (README, "Events").  The session
 * may be closing afterwards. */
void ngx_chathub_hub_event(ngx_chathub_session_t *s,
    ngx_chathub_event_t *ev);


#endif /* _NGX_CHATHUB_HUB_H_INCLUDED_ */
