
/*
 * Copyright (C) ChatHub contributors
 */


#ifndef _NGX_CHATHUB_MEMBERS_H_INCLUDED_
#define _NGX_CHATHUB_MEMBERS_H_INCLUDED_


#include "ngx_chathub_zone.h"
#include "ngx_chathub_stream.h"


/*
 * Who is connected and who is in which room, over all workers: the tables of
 * users (a bitmap of the slots that have sessions of the user), memberships
 * (room, user, slot, connections) and addresses (address, slot,
 * connections).  All functions: the worker that holds a slot, one hold of the
 * mutex each; NGX_AGAIN: the mutex was not to be had.  What must not fail
 * because a client is gone (offline, leave, addr_del) is remembered by the
 * caller and tried again from its timer.
 */

/* the worker's first session of "name": NGX_OK and *user; NGX_BUSY: full.
 * _offline after its last one. */
ngx_int_t ngx_chathub_user_online(ngx_chathub_zone_t *z, ngx_str_t *name,
    uint32_t *user);
ngx_int_t ngx_chathub_user_offline(ngx_chathub_zone_t *z, uint32_t user);

/* is the user connected to any live worker? NGX_OK, NGX_DECLINED */
ngx_int_t ngx_chathub_user_find(ngx_chathub_zone_t *z, ngx_str_t *name);

/*
 * One connection of "user" joins or leaves the room.  Join opens the stream,
 * sets the slot's bit, counts, and returns the room's numbers in *info, all
 * under one hold, so that nothing falls between replay and live.  Where the
 * user was not in the room before (or is no more), JOINED (LEFT) is
 * appended to the directed log, *changed is 1 and *ring is to be rung.
 * "name" is the room's for join, "last" says at a leave that the worker has no
 * other member of the room (its bit is cleared); *count is what remains.
 * NGX_BUSY: a table is full, nothing changed.
 */
ngx_int_t ngx_chathub_member_join(ngx_chathub_zone_t *z, ngx_str_t *name,
    uint32_t user, ngx_chathub_stream_info_t *info, ngx_uint_t *changed,
    ngx_chathub_slotset_t *ring);
ngx_int_t ngx_chathub_member_leave(ngx_chathub_zone_t *z, uint32_t stream,
    uint64_t stream_id, uint32_t user, ngx_uint_t last, ngx_uint_t *count,
    ngx_uint_t *changed, ngx_chathub_slotset_t *ring);

/*
 * A page of a room's users by name (byte order), each once: those after
 * "after" (empty: from the start).  "names" has room for "limit" names, their
 * bytes are put into "buf" of limit * NGX_CHATHUB_NAME_MAX bytes.  Rooms of
 * up to 256 memberships are read under the mutex, larger ones by checked
 * copies of the whole table without it.  NGX_OK: *n names, *count users in
 * all, *more.  NGX_DECLINED: no such stream.
 */
ngx_int_t ngx_chathub_member_list(ngx_chathub_zone_t *z, uint32_t stream,
    uint64_t stream_id, ngx_str_t *after, ngx_uint_t limit, ngx_str_t *names,
    u_char *buf, ngx_uint_t *n, ngx_uint_t *count, ngx_uint_t *more);

/*
 * One connection more (less) from an address ("addr": 16 bytes, IPv4 mapped;
 * over all workers).  "max" 0: no limit, still counted.  NGX_OK; NGX_DECLINED:
 * "max" reached, not counted; NGX_BUSY: the table is full.
 */
ngx_int_t ngx_chathub_addr_add(ngx_chathub_zone_t *z, u_char addr[16],
    ngx_uint_t max);
ngx_int_t ngx_chathub_addr_del(ngx_chathub_zone_t *z, u_char addr[16]);


#endif /* _NGX_CHATHUB_MEMBERS_H_INCLUDED_ */
