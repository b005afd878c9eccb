
/*
 * Copyright (C) ChatHub contributors
 */


#include "ngx_chathub_broker.h"


extern const ngx_chathub_broker_t  ngx_chathub_broker_local;


static const ngx_chathub_broker_t  *ngx_chathub_brokers[] = {
    &ngx_chathub_broker_local,
    NULL
};


const ngx_chathub_broker_t *
ngx_chathub_broker_find(ngx_str_t *name)
{
    ngx_uint_t                   i;
    const ngx_chathub_broker_t  *broker;

    for (i = 0; ngx_chathub_brokers[i]; i++) {
        broker = ngx_chathub_brokers[i];

        if (broker->name.len == name->len
            && ngx_strncmp(broker->name.data, name->data, name->len) == 0)
        {
            return broker;
        }
    }

    return NULL;
}
