
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_WAKE_H_INCLUDED_
#define _NGX_CHATHUB_WAKE_H_INCLUDED_


#include "ngx_chathub_zone.h"


/*
 * Waking workers.  Each slot has an eventfd that the master makes with the
 * zone, before any worker, so that every later worker inherits all of them.
 */

/* master; NGX_ERROR: logged.  _close is for the end of the zone's life, in
 * the master. */
ngx_int_t ngx_chathub_wake_create(ngx_chathub_zone_t *z);
void ngx_chathub_wake_close(ngx_chathub_zone_t *z);

/* the eventfd of the own slot, and emptying it when it was rung */
int ngx_chathub_wake_fd(ngx_chathub_zone_t *z);
void ngx_chathub_wake_clear(ngx_chathub_zone_t *z);

/* rings the workers of the set that are armed, the own slot excepted */
void ngx_chathub_wake(ngx_chathub_zone_t *z, ngx_chathub_slotset_t *ring);

/*
 * Arms the own slot.  NGX_OK: sleep.  NGX_AGAIN: one of the logs has moved
 * beyond these positions meanwhile, read on.
 */
ngx_int_t ngx_chathub_wake_arm(ngx_chathub_zone_t *z, uint64_t messages,
    uint64_t directed);

/* publishes how far the own reader has come */
void ngx_chathub_wake_cursor(ngx_chathub_zone_t *z, uint64_t messages);


#endif /* _NGX_CHATHUB_WAKE_H_INCLUDED_ */
