
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_LOCK_H_INCLUDED_
#define _NGX_CHATHUB_LOCK_H_INCLUDED_


#include "ngx_chathub.h"


/*
 * One hub, one log: the lock on a hub's file.  The master opens the file when
 * it makes the zone; the lock is taken by the workers, on the open file
 * description that they all inherit, so it is held by the processes of one
 * zone together and is gone when the last of them is.  Another NGINX, or
 * another binary, has another description and does not get it meanwhile.
 */

/* master; "path" ends with a zero byte.  NGX_INVALID_FILE: logged.  The
 * descriptor is closed on exec and belongs to the caller. */
ngx_fd_t ngx_chathub_lock_open(ngx_str_t *path, ngx_log_t *log);

/*
 * Worker.  NGX_OK: this zone's processes have the lock (again, where one of
 * them had it before); NGX_DECLINED: another NGINX has it; NGX_ERROR: the
 * system refuses, logged.  Does not wait.
 */
ngx_int_t ngx_chathub_lock_try(ngx_fd_t fd, ngx_log_t *log);

/* worker; unlocks for all processes of the zone: for the last one to go */
void ngx_chathub_lock_release(ngx_fd_t fd, ngx_log_t *log);


#endif /* _NGX_CHATHUB_LOCK_H_INCLUDED_ */
