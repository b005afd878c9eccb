
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_IDS_H_INCLUDED_
#define _NGX_CHATHUB_IDS_H_INCLUDED_


#include "ngx_chathub_zone_int.h"


/*
 * Repeats: what the ids of the last messages were used for.  Bounded; the
 * oldest are forgotten.  For src/log; under the mutex.
 */

/*
 * Is a->id_hash known since less than a->dedupe ms before "time"?  NGX_OK: no.
 * NGX_DONE: yes, and of the same user and content: the first one's place is in
 * "a".  NGX_DECLINED: of another user (*forbidden 1) or content (0).
 */
ngx_int_t ngx_chathub_ids_find(ngx_chathub_zone_t *z,
    ngx_chathub_append_t *a, uint64_t user, uint64_t time,
    ngx_uint_t *forbidden);

/* of a record that was appended */
void ngx_chathub_ids_add(ngx_chathub_zone_t *z, ngx_chathub_rec_sh_t *h);

/* is the record's id there, for this very record? */
ngx_uint_t ngx_chathub_ids_has(ngx_chathub_zone_t *z,
    ngx_chathub_rec_sh_t *h);

/* for a repair: chains and the place of the next entry */
void ngx_chathub_ids_repair(ngx_chathub_zone_t *z);

/* ids of messages after that time are all known; any process */
uint64_t ngx_chathub_ids_horizon(ngx_chathub_zone_t *z);


#endif /* _NGX_CHATHUB_IDS_H_INCLUDED_ */
