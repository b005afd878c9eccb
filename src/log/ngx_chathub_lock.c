
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_lock.h"

#include <sys/file.h>


ngx_fd_t
ngx_chathub_lock_open(ngx_str_t *path, ngx_log_t *log)
{
    ngx_fd_t  fd;

    /* the directory is the workers' own, so what lies there under the name
     * may be a link of theirs, and the master may be root */

    fd = open((const char *) path->data,
              O_RDWR|O_CREAT|O_CLOEXEC|O_NOFOLLOW|O_NONBLOCK,
              NGX_FILE_OWNER_ACCESS);

    if (fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      ngx_open_file_n " \"%V\" failed", path);
    }

    return fd;
}


ngx_int_t
ngx_chathub_lock_try(ngx_fd_t fd, ngx_log_t *log)
{
    ngx_err_t  err;

    if (flock(fd, LOCK_EX|LOCK_NB) == 0) {
        return NGX_OK;
    }

    err = ngx_errno;

    if (err == EWOULDBLOCK) {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_ALERT, log, err, "flock() of a hub's file failed");

    return NGX_ERROR;
}


void
ngx_chathub_lock_release(ngx_fd_t fd, ngx_log_t *log)
{
    if (flock(fd, LOCK_UN) == -1) {
        ngx_log_error(NGX_LOG_ALERT, log, ngx_errno,
                      "flock() of a hub's file failed");
    }
}
