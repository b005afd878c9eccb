
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_LIFE_H_INCLUDED_
#define _NGX_CHATHUB_LIFE_H_INCLUDED_


#include "ngx_chathub.h"


/*
 * A hub's zone and what goes with it, for as long as the zone lives: over all
 * the configurations that name it.  In the memory of the process that reads
 * the configuration, which alone closes the descriptors; workers inherit a
 * copy, in which "hub" is their own.
 */

typedef struct ngx_chathub_life_s  ngx_chathub_life_t;

struct ngx_chathub_life_s {
    ngx_uint_t                   refs;        /* configurations */
    void                        *base;        /* the area in the zone */
    size_t                       size;
    ngx_fd_t                     lock_fd;
    int                         *bells;       /* the slots' eventfds, kept here
                                                 because the zone goes first */
    ngx_uint_t                   nbells;
    ngx_chathub_hub_t           *hub;         /* this process's, NULL: none */
};


/*
 * Makes the area of a fresh zone, of all that its pool has, and opens the lock
 * file.  "workers" is the number of worker processes.  NULL: logged.  The
 * caller has the one reference.
 */
ngx_chathub_life_t *ngx_chathub_life_create(ngx_slab_pool_t *shpool,
    ngx_uint_t workers, ngx_uint_t durable, ngx_str_t *lock_path,
    ngx_log_t *log);

/* a configuration less; the last one closes and frees.  Does nothing in
 * workers, whose descriptors end with them. */
void ngx_chathub_life_release(ngx_chathub_life_t *life);

/* a configuration with the zone came into force */
ngx_int_t ngx_chathub_life_new_cycle(ngx_chathub_life_t *life,
    ngx_slab_pool_t *shpool, ngx_log_t *log);

/* the area of a zone of "size" bytes, at least; 0: none */
size_t ngx_chathub_life_area(size_t size);

/* the smallest zone, in whole megabytes, whose log takes records of "record"
 * bytes */
size_t ngx_chathub_life_zone(size_t record);


#endif /* _NGX_CHATHUB_LIFE_H_INCLUDED_ */
