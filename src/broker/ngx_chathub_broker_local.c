
/*
 * Copyright (C) ChatHub contributors
 */


/* One machine: a message's place is its place in the shared log. */


#include "ngx_chathub_broker.h"
#include "ngx_chathub_wake.h"


static void ngx_chathub_broker_local_publish(ngx_chathub_zone_t *z,
    ngx_chathub_publish_t *p);


const ngx_chathub_broker_t  ngx_chathub_broker_local = {
    ngx_string("local"),
    ngx_chathub_broker_local_publish
};


static void
ngx_chathub_broker_local_publish(ngx_chathub_zone_t *z,
    ngx_chathub_publish_t *p)
{
    ngx_int_t  rc;

    rc = ngx_chathub_log_append(z, &p->append, &p->forbidden);

    if (rc == NGX_OK) {
        ngx_chathub_wake(z, &p->append.ring);
    }

    p->done(p, rc);
}
