
/*
 * The floor: a server that does nothing but what no server can leave out.  For
 * every message that its first connection sends it sends one frame, always of
 * the same length, to each connection, in a loop; what had come at once goes
 * out in one send() per connection.  It can be made to fail.
 */


#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <netinet/tcp.h>
#include <unistd.h>
#include "bench.h"


#define BENCH_FAULT_AT  20               /* seq */


typedef struct {
    int            ep;
    int           *fds;
    uint32_t       n;
    uint32_t       frame;                /* payload, bytes */
    uint32_t       message;              /* bytes of one that comes */
    size_t         came;
    uint64_t       seq;
    bench_floor_e  fault;
    bench_buf_t    out;
} bench_floor_t;


static int bench_floor_listen(bench_peer_t *peer);
static int bench_floor_accept(bench_floor_t *fl, int listener);
static void bench_floor_loop(bench_floor_t *fl);
static int bench_floor_fanout(bench_floor_t *fl, uint32_t messages);
static int bench_floor_frame(bench_floor_t *fl, uint64_t seq);
static int bench_floor_send(int fd, const unsigned char *p, size_t len);


bench_peer_t *
bench_floor_start(const bench_conf_t *conf, uint32_t frame,
    bench_floor_e fault)
{
    int             listener;
    pid_t           parent;
    bench_buf_t     b;
    bench_conn_t    c;
    bench_peer_t   *peer;
    bench_floor_t   fl;
    bench_client_t  cl;

    parent = getpid();
    peer = bench_peer_fork();

    if (peer == NULL) {
        return NULL;
    }

    if (getpid() == parent) {
        atomic_store(&peer->asked, 1);

        if (bench_peer_wait(peer, 10 * BENCH_SEC) != 0) {
            bench_peer_stop(peer);
            return NULL;
        }

        return peer;
    }

    memset(&fl, 0, sizeof(fl));
    memset(&cl, 0, sizeof(cl));
    memset(&c, 0, sizeof(c));
    memset(&b, 0, sizeof(b));

    cl.conf = conf;
    bench_client_publish(&cl, &b, &c, 0, 0);

    fl.n = conf->conns;
    fl.frame = frame;
    fl.fault = fault;
    fl.message = b.len;
    fl.fds = calloc(fl.n, sizeof(int));
    fl.ep = epoll_create1(EPOLL_CLOEXEC);

    listener = bench_floor_listen(peer);

    if (fl.fds == NULL || fl.ep == -1 || b.len == 0 || listener == -1) {
        _exit(1);
    }

    atomic_store(&peer->answered, 1);

    if (bench_floor_accept(&fl, listener) == 0) {
        bench_floor_loop(&fl);
    }

    _exit(1);
}


static int
bench_floor_listen(bench_peer_t *peer)
{
    int                 fd;
    socklen_t           len;
    struct sockaddr_in  addr;

    memset(&addr, 0, sizeof(addr));
    addr.sin_family = AF_INET;
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    len = sizeof(addr);

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd == -1
        || bind(fd, (struct sockaddr *) &addr, sizeof(addr)) != 0
        || listen(fd, 511) != 0
        || getsockname(fd, (struct sockaddr *) &addr, &len) != 0)
    {
        return -1;
    }

    peer->port = addr.sin_port;

    return fd;
}


static int
bench_floor_accept(bench_floor_t *fl, int listener)
{
    int                 on, fd;
    uint32_t            i;
    struct epoll_event  ee;

    on = 1;

    for (i = 0; i < fl->n; i++) {

        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd == -1) {
            return -1;
        }

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

        /* edge-triggered, as nginx has it */

        ee.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
        ee.data.fd = fd;

        if (epoll_ctl(fl->ep, EPOLL_CTL_ADD, fd, &ee) != 0) {
            return -1;
        }

        fl->fds[i] = fd;
    }

    return 0;
}


static void
bench_floor_loop(bench_floor_t *fl)
{
    int                 i, n;
    ssize_t             got;
    struct epoll_event  events[64];
    static char         buf[65536];

    for ( ;; ) {
        n = epoll_wait(fl->ep, events, 64, -1);

        if (n == -1 && errno != EINTR) {
            return;
        }

        for (i = 0; i < n; i++) {

            while ((got = recv(events[i].data.fd, buf, sizeof(buf), 0)) > 0) {
                fl->came += got;
            }

            if (got == 0) {
                return;
            }
        }

        if (bench_floor_fanout(fl, fl->came / fl->message) != 0) {
            return;
        }

        fl->came %= fl->message;
    }
}


static int
bench_floor_fanout(bench_floor_t *fl, uint32_t messages)
{
    int       faulty;
    uint32_t  i;

    if (messages == 0) {
        return 0;
    }

    fl->out.len = 0;
    faulty = 0;

    for (i = 0; i < messages; i++) {

        if (++fl->seq == BENCH_FAULT_AT) {
            faulty = 1;

            if (fl->fault == BENCH_FLOOR_SKIPS) {
                fl->seq++;
            }
        }

        if (bench_floor_frame(fl, fl->seq) != 0) {
            return -1;
        }
    }

    for (i = 0; i < fl->n; i++) {

        if (faulty && i == 1 && fl->fault == BENCH_FLOOR_LOSES) {
            continue;
        }

        if (bench_floor_send(fl->fds[i], fl->out.start, fl->out.len) != 0) {
            return -1;
        }

        if (faulty && i == 1 && fl->fault == BENCH_FLOOR_REPEATS) {
            bench_floor_send(fl->fds[i], fl->out.start, fl->out.len);
        }
    }

    return 0;
}


static int
bench_floor_frame(bench_floor_t *fl, uint64_t seq)
{
    int          n;
    static char  payload[BENCH_MAX_DATA + 1024];

    n = snprintf(payload, sizeof(payload),
                 "{\"event\":\"message\",\"data\":{\"seq\":%llu,\"data\":\"",
                 (unsigned long long) seq);

    if (fl->frame < (uint32_t) n + 3 || fl->frame > sizeof(payload)) {
        return -1;
    }

    memset(payload + n, 'x', fl->frame - n - 3);
    memcpy(payload + fl->frame - 3, "\"}}", 3);

    return bench_frame_plain(&fl->out, payload, fl->frame);
}


static int
bench_floor_send(int fd, const unsigned char *p, size_t len)
{
    ssize_t        n;
    struct pollfd  pfd;

    while (len) {
        n = send(fd, p, len, MSG_NOSIGNAL);

        if (n > 0) {
            p += n;
            len -= n;
            continue;
        }

        if (errno != EAGAIN) {
            return -1;
        }

        pfd.fd = fd;
        pfd.events = POLLOUT;
        poll(&pfd, 1, -1);
    }

    return 0;
}
