
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_store.h"


static const ngx_chathub_store_t  ngx_chathub_store_off = {
    ngx_string("off"),
    0
};


static const ngx_chathub_store_t  *ngx_chathub_stores[] = {
    &ngx_chathub_store_off,
    NULL
};


const ngx_chathub_store_t *
ngx_chathub_store_find(ngx_str_t *value)
{
    ngx_uint_t                  i;
    const ngx_chathub_store_t  *store;

    for (i = 0; ngx_chathub_stores[i]; i++) {
        store = ngx_chathub_stores[i];

        if (store->name.len == value->len
            && ngx_strncmp(store->name.data, value->data, value->len) == 0)
        {
            return store;
        }
    }

    return NULL;
}
