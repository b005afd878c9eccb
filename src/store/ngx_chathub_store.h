
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_STORE_H_INCLUDED_
#define _NGX_CHATHUB_STORE_H_INCLUDED_


#include "ngx_chathub_message.h"


/*
 * A store keeps what the log forgets.  Where it is not durable a message
 * counts as stored, and is acknowledged, as soon as it is accepted.
 */

struct ngx_chathub_store_s {
    ngx_str_t                    name;        /* in the "store" directive */
    ngx_uint_t                   durable;
};


/* the store that a value of the "store" directive names, NULL: none */
const ngx_chathub_store_t *ngx_chathub_store_find(ngx_str_t *value);


#endif /* _NGX_CHATHUB_STORE_H_INCLUDED_ */
