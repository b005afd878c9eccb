
/*
 * Connections that speak the native protocol over WebSocket.  What comes is
 * read into one buffer, frames are told apart by their headers and the name of
 * the event; of a message only its seq is read, so that receivers stay cheap.
 */


#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <netinet/tcp.h>
#include <time.h>
#include <unistd.h>
#include "bench.h"


#define BENCH_EVENTS   512
#define BENCH_READ     (256 * 1024)
#define BENCH_OPENING  64               /* connections on their way in */

/* the nonce and its answer that RFC 6455, 1.3 has as the example */
#define BENCH_KEY      "dGhlIHNhbXBsZSBub25jZQ=="
#define BENCH_ACCEPT   "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


static int bench_connect(bench_client_t *cl, bench_conn_t *c);
static void bench_close(bench_client_t *cl, bench_conn_t *c);
static void bench_connected(bench_client_t *cl, bench_conn_t *c);
static size_t bench_handshake(bench_client_t *cl, bench_conn_t *c,
    const unsigned char *p, size_t len);
static void bench_join(bench_client_t *cl, bench_conn_t *c);
static void bench_flush(bench_client_t *cl, bench_conn_t *c);
static void bench_readable(bench_client_t *cl, bench_conn_t *c);
static int bench_keep(bench_conn_t *c, const unsigned char *p, size_t len);
static size_t bench_consume(bench_client_t *cl, bench_conn_t *c,
    const unsigned char *p, size_t len);
static void bench_frame(bench_client_t *cl, bench_conn_t *c,
    bench_frame_t *f);
static void bench_event(bench_client_t *cl, bench_conn_t *c,
    const unsigned char *p, size_t len);
static void bench_message(bench_client_t *cl, bench_conn_t *c,
    const unsigned char *p, size_t len);
static void bench_ack(bench_client_t *cl, bench_conn_t *c,
    const unsigned char *p, size_t len);
static void bench_uuid(char *buf);


int
bench_client_init(bench_client_t *cl, const bench_conf_t *conf,
    bench_peer_t *peer, uint32_t first, uint32_t n, uint32_t source)
{
    uint32_t  i;

    memset(cl, 0, sizeof(bench_client_t));

    cl->conf = conf;
    cl->peer = peer;
    cl->first = first;
    cl->n = n;
    cl->timer = -1;
    cl->source.s_addr = htonl(source);

    cl->ep = epoll_create1(EPOLL_CLOEXEC);
    cl->conns = calloc(n, sizeof(bench_conn_t));
    cl->scratch = malloc(BENCH_MAX_FRAME + BENCH_READ);

    if (cl->ep == -1 || cl->conns == NULL || cl->scratch == NULL) {
        bench_client_fail(cl, "no memory for %u connections", n);
        return -1;
    }

    for (i = 0; i < n; i++) {
        cl->conns[i].fd = -1;
        cl->conns[i].number = first + i;
    }

    return 0;
}


void
bench_client_fail(bench_client_t *cl, const char *fmt, ...)
{
    va_list  args;

    if (cl->errors++ == 0) {
        va_start(args, fmt);
        vsnprintf(cl->peer->why, sizeof(cl->peer->why), fmt, args);
        va_end(args);
    }

    cl->peer->errors = cl->errors;
}


/* one step of getting everybody in: 1 when all are, 0 to call again, or -1 */

int
bench_client_open(bench_client_t *cl)
{
    while (cl->opened < cl->n && cl->opened - cl->joined < BENCH_OPENING) {

        if (bench_connect(cl, &cl->conns[cl->opened]) != 0) {
            return -1;
        }

        cl->opened++;
    }

    if (bench_client_turn(cl, 100) != 0) {
        return -1;
    }

    return cl->joined == cl->n;
}


static int
bench_connect(bench_client_t *cl, bench_conn_t *c)
{
    int                 on;
    struct sockaddr_in  from;
    struct epoll_event  ee;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd == -1) {
        bench_client_fail(cl, "socket() failed: %s", strerror(errno));
        return -1;
    }

    on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    /* each process has a source address: ports are too few for all */

    setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));

    memset(&from, 0, sizeof(from));
    from.sin_family = AF_INET;
    from.sin_addr = cl->source;

    if (bind(c->fd, (struct sockaddr *) &from, sizeof(from)) != 0) {
        bench_client_fail(cl, "bind() failed: %s", strerror(errno));
        return -1;
    }

    if (connect(c->fd, (struct sockaddr *) &cl->conf->addr,
                sizeof(cl->conf->addr))
            != 0
        && errno != EINPROGRESS)
    {
        bench_client_fail(cl, "connect() failed: %s", strerror(errno));
        return -1;
    }

    c->state = BENCH_CONNECTING;

    ee.events = EPOLLOUT;
    ee.data.ptr = c;

    if (epoll_ctl(cl->ep, EPOLL_CTL_ADD, c->fd, &ee) != 0) {
        bench_client_fail(cl, "epoll_ctl() failed: %s", strerror(errno));
        return -1;
    }

    return 0;
}


static void
bench_close(bench_client_t *cl, bench_conn_t *c)
{
    if (c->state == BENCH_CLOSED) {
        return;
    }

    if (c->state == BENCH_JOINED) {
        cl->joined--;
    }

    close(c->fd);
    free(c->in);
    free(c->out);

    c->fd = -1;
    c->in = NULL;
    c->out = NULL;
    c->in_len = 0;
    c->out_len = 0;
    c->state = BENCH_CLOSED;
}


static void
bench_connected(bench_client_t *cl, bench_conn_t *c)
{
    int                 n, error;
    char                buf[1024];
    socklen_t           len;
    struct epoll_event  ee;

    len = sizeof(error);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0
        || error != 0)
    {
        bench_client_fail(cl, "connect() failed: %s", strerror(error));
        bench_close(cl, c);
        return;
    }

    ee.events = EPOLLIN;
    ee.data.ptr = c;
    epoll_ctl(cl->ep, EPOLL_CTL_MOD, c->fd, &ee);

    if (cl->conf->raw) {
        c->state = BENCH_JOINED;
        cl->joined++;
        return;
    }

    c->state = BENCH_HANDSHAKE;

    n = snprintf(buf, sizeof(buf),
                 "GET %s HTTP/1.1\r\n"
                 "Host: 127.0.0.1:%u\r\n"
                 "User-Agent: Mozilla/5.0 (X11; Linux x86_64) bench\r\n"
                 "Accept: */*\r\n"
                 "Accept-Language: en-US,en;q=0.5\r\n"
                 "Accept-Encoding: gzip, deflate\r\n"
                 "Sec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Protocol: chathub.v1\r\n"
                 "Sec-WebSocket-Key: " BENCH_KEY "\r\n"
                 "Connection: keep-alive, Upgrade\r\n"
                 "Pragma: no-cache\r\n"
                 "Cache-Control: no-cache\r\n"
                 "Upgrade: websocket\r\n\r\n",
                 cl->conf->uri, ntohs(cl->conf->addr.sin_port));

    bench_client_write(cl, c, (unsigned char *) buf, n);
}


static size_t
bench_handshake(bench_client_t *cl, bench_conn_t *c, const unsigned char *p,
    size_t len)
{
    size_t                n;
    const unsigned char  *end;

    end = memmem(p, len, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    n = end + 4 - p;

    if (n < 12 || memcmp(p, "HTTP/1.1 101", 12) != 0
        || memmem(p, n, BENCH_ACCEPT, sizeof(BENCH_ACCEPT) - 1) == NULL)
    {
        bench_client_fail(cl, "handshake refused: %.*s",
                          (int) (strcspn((char *) p, "\r\n")), p);
        bench_close(cl, c);
        return len;
    }

    bench_join(cl, c);

    return n;
}


static void
bench_join(bench_client_t *cl, bench_conn_t *c)
{
    int          n;
    char         json[128];
    bench_buf_t  b;

    n = snprintf(json, sizeof(json),
                 "{\"event\":\"join\",\"data\":{\"room\":\"bench-%u\","
                 "\"user\":\"user-%u\"},\"ref\":1}",
                 c->number / cl->conf->members, c->number);

    memset(&b, 0, sizeof(b));

    if (bench_frame_masked(&b, 1, json, n) != 0) {
        bench_client_fail(cl, "no memory");
        return;
    }

    c->state = BENCH_JOINING;

    bench_client_write(cl, c, b.start, b.len);
    free(b.start);
}


/* bytes are sent at once, or kept until the socket takes them */

int
bench_client_write(bench_client_t *cl, bench_conn_t *c,
    const unsigned char *p, size_t len)
{
    ssize_t             n;
    unsigned char      *out;
    struct epoll_event  ee;

    if (c->state == BENCH_CLOSED) {
        return -1;
    }

    n = 0;

    if (c->out_len == 0) {
        n = send(c->fd, p, len, MSG_NOSIGNAL);

        if (n == -1) {
            if (errno != EAGAIN) {
                bench_client_fail(cl, "send() failed: %s", strerror(errno));
                bench_close(cl, c);
                return -1;
            }

            n = 0;
        }
    }

    if ((size_t) n == len) {
        return 0;
    }

    out = realloc(c->out, c->out_len + len - n);
    if (out == NULL) {
        bench_client_fail(cl, "no memory");
        return -1;
    }

    memcpy(out + c->out_len, p + n, len - n);
    c->out = out;
    c->out_len += len - n;

    ee.events = EPOLLIN | EPOLLOUT;
    ee.data.ptr = c;
    epoll_ctl(cl->ep, EPOLL_CTL_MOD, c->fd, &ee);

    return 0;
}


static void
bench_flush(bench_client_t *cl, bench_conn_t *c)
{
    ssize_t             n;
    struct epoll_event  ee;

    n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);

    if (n == -1) {
        if (errno != EAGAIN) {
            bench_client_fail(cl, "send() failed: %s", strerror(errno));
            bench_close(cl, c);
        }

        return;
    }

    c->out_len -= n;
    memmove(c->out, c->out + n, c->out_len);

    if (c->out_len == 0) {
        free(c->out);
        c->out = NULL;

        ee.events = EPOLLIN;
        ee.data.ptr = c;
        epoll_ctl(cl->ep, EPOLL_CTL_MOD, c->fd, &ee);
    }
}


/* waits at most "timeout" ms for something and handles it; -1 after errors */

int
bench_client_turn(bench_client_t *cl, int timeout)
{
    int                 i, n;
    uint64_t            ticks;
    bench_conn_t       *c;
    struct epoll_event  events[BENCH_EVENTS];

    n = epoll_wait(cl->ep, events, BENCH_EVENTS, timeout);

    if (n == -1 && errno != EINTR) {
        bench_client_fail(cl, "epoll_wait() failed: %s", strerror(errno));
    }

    for (i = 0; i < n; i++) {
        c = events[i].data.ptr;

        if (c == NULL) {
            cl->ticked = read(cl->timer, &ticks, sizeof(ticks)) > 0;
            continue;
        }

        if (c->state == BENCH_CONNECTING) {
            bench_connected(cl, c);
            continue;
        }

        if (events[i].events & ~EPOLLOUT) {
            bench_readable(cl, c);
        }

        if (c->state != BENCH_CLOSED && c->out_len != 0
            && (events[i].events & EPOLLOUT))
        {
            bench_flush(cl, c);
        }
    }

    return cl->errors ? -1 : 0;
}


static void
bench_readable(bench_client_t *cl, bench_conn_t *c)
{
    size_t   len, used;
    ssize_t  n;

    len = c->in_len;

    if (len != 0) {
        memcpy(cl->scratch, c->in, len);
    }

    n = recv(c->fd, cl->scratch + len, BENCH_READ, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        bench_client_fail(cl, "user-%u: connection lost: %s", c->number,
                          n == 0 ? "end of file" : strerror(errno));
        bench_close(cl, c);
        return;
    }

    cl->now = bench_now();
    len += n;

    used = bench_consume(cl, c, cl->scratch, len);

    if (c->state == BENCH_CLOSED) {
        return;
    }

    if (bench_keep(c, cl->scratch + used, len - used) != 0) {
        bench_client_fail(cl, "user-%u: frame too long", c->number);
        bench_close(cl, c);
    }
}


static int
bench_keep(bench_conn_t *c, const unsigned char *p, size_t len)
{
    unsigned char  *in;

    if (len > BENCH_MAX_FRAME) {
        return -1;
    }

    if (len == 0) {
        free(c->in);
        c->in = NULL;
        c->in_len = 0;
        return 0;
    }

    in = realloc(c->in, len);
    if (in == NULL) {
        return -1;
    }

    memcpy(in, p, len);
    c->in = in;
    c->in_len = len;

    return 0;
}


static size_t
bench_consume(bench_client_t *cl, bench_conn_t *c, const unsigned char *p,
    size_t len)
{
    size_t         used;
    ssize_t        n;
    bench_frame_t  f;

    used = 0;

    if (c->state == BENCH_HANDSHAKE) {
        used = bench_handshake(cl, c, p, len);
    }

    while (c->state == BENCH_JOINING || c->state == BENCH_JOINED) {

        n = bench_frame_parse(&f, p + used, len - used);

        if (n == -1) {
            bench_client_fail(cl, "user-%u: frame too long", c->number);
            bench_close(cl, c);
        }

        if (n <= 0) {
            break;
        }

        used += n;
        bench_frame(cl, c, &f);
    }

    return used;
}


static void
bench_frame(bench_client_t *cl, bench_conn_t *c, bench_frame_t *f)
{
    bench_buf_t  b;

    cl->frames++;

    if (!f->fin || f->masked || f->rsv) {
        bench_client_fail(cl, "user-%u: bad frame", c->number);
        return;
    }

    switch (f->opcode) {

    case 1:
        bench_event(cl, c, f->payload, f->len);
        return;

    case 8:
        bench_client_fail(cl, "user-%u: closed with %u", c->number,
                          f->len < 2 ? 1005
                          : f->payload[0] << 8 | f->payload[1]);
        bench_close(cl, c);
        return;

    case 9:
        memset(&b, 0, sizeof(b));

        if (bench_frame_masked(&b, 10, f->payload, f->len) == 0) {
            bench_client_write(cl, c, b.start, b.len);
        }

        free(b.start);
        cl->frames--;
        return;

    default:
        bench_client_fail(cl, "user-%u: opcode %u", c->number, f->opcode);
    }
}


static void
bench_event(bench_client_t *cl, bench_conn_t *c, const unsigned char *p,
    size_t len)
{
    static const char  event[] = "{\"event\":\"";
    const size_t       n = sizeof(event) - 1;

    if (len > n + 8 && memcmp(p, event, n) == 0) {

        if (memcmp(p + n, "message\"", 8) == 0) {
            bench_message(cl, c, p, len);
            return;
        }

        if (memcmp(p + n, "ack\"", 4) == 0) {
            bench_ack(cl, c, p, len);
            return;
        }

        if (memcmp(p + n, "log\"", 4) == 0
            || memcmp(p + n, "room\"", 5) == 0
            || memcmp(p + n, "roomuser", 8) == 0)
        {
            cl->peer->others++;
            return;
        }
    }

    bench_client_fail(cl, "user-%u: unexpected: %.*s", c->number,
                      len > 150 ? 150 : (int) len, p);
}


static void
bench_message(bench_client_t *cl, bench_conn_t *c, const unsigned char *p,
    size_t len)
{
    uint64_t  seq;

    seq = bench_number(p, len, "\"seq\":", &cl->seq_at);

    if (seq != c->seq + 1) {
        bench_client_fail(cl, "user-%u: seq %llu after %llu", c->number,
                          (unsigned long long) seq,
                          (unsigned long long) c->seq);
    }

    c->seq = seq;
    c->count++;
    cl->deliveries++;
    cl->peer->frame = len;

    if (cl->message) {
        cl->message(cl, c, p, len);
    }
}


static void
bench_ack(bench_client_t *cl, bench_conn_t *c, const unsigned char *p,
    size_t len)
{
    size_t    at;
    uint64_t  ref;

    at = 0;
    ref = bench_number(p, len, "\"ref\":", &at);

    if (c->state == BENCH_JOINED) {

        if (ref <= c->ack) {
            bench_client_fail(cl, "user-%u: ack %u after %u", c->number,
                              (unsigned) ref, c->ack);
        }

        c->ack = ref;
        cl->acks++;
        return;
    }

    if (ref != 1 || memmem(p, len, "\"seq\":", 6) == NULL) {
        bench_client_fail(cl, "user-%u: bad answer to join", c->number);
        return;
    }

    at = 0;
    c->seq = bench_number(p, len, "\"seq\":", &at);
    c->ack = 1;
    c->state = BENCH_JOINED;
    cl->joined++;
}


/*
 * A frame with a message for the room of "c", whose data begin with the time
 * when it was due.  The length depends on nothing but the room's name.
 */

int
bench_client_publish(bench_client_t *cl, bench_buf_t *b, bench_conn_t *c,
    uint32_t ref, uint64_t time)
{
    int          n;
    char         id[37];
    static char  json[BENCH_MAX_DATA + 256], fill[BENCH_MAX_DATA];

    if (fill[0] == '\0') {
        memset(fill, 'x', sizeof(fill));
    }

    bench_uuid(id);

    n = snprintf(json, sizeof(json),
                 "{\"event\":\"message\",\"data\":{\"id\":\"%s\","
                 "\"room\":\"bench-%u\",\"data\":\"%020llu%.*s\"},"
                 "\"ref\":%u}",
                 id, c->number / cl->conf->members,
                 (unsigned long long) time,
                 (int) (cl->conf->data - BENCH_MIN_DATA), fill,
                 1000000000 + ref);

    return bench_frame_masked(b, 1, json, n);
}


/* RFC 9562, 5.7: what clients do best with */

static void
bench_uuid(char *buf)
{
    uint64_t         ms;
    struct timespec  ts;
    static uint64_t  salt, n;

    while (salt == 0) {
        if (getrandom(&salt, sizeof(salt), 0) != sizeof(salt)) {
            salt = (uint64_t) getpid() << 32 ^ bench_now();
        }
    }

    clock_gettime(CLOCK_REALTIME, &ts);
    ms = ts.tv_sec * 1000ull + ts.tv_nsec / BENCH_MSEC;
    n++;

    snprintf(buf, 37, "%08x-%04x-7%03x-%04x-%012llx",
             (unsigned) (ms >> 16), (unsigned) (ms & 0xffff),
             (unsigned) (n >> 36 & 0xfff),
             (unsigned) (0x8000 | (salt >> 48 & 0x3fff)),
             (unsigned long long) ((salt ^ n) & 0xffffffffffff));
}
