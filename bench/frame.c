
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "bench.h"


static int bench_buf_reserve(bench_buf_t *b, size_t len);
static size_t bench_frame_header(unsigned char *p, unsigned opcode,
    size_t len, unsigned mask);
static uint32_t bench_frame_key(void);


static int
bench_buf_reserve(bench_buf_t *b, size_t len)
{
    size_t          size;
    unsigned char  *p;

    if (b->size - b->len >= len) {
        return 0;
    }

    size = (b->len + len) * 2;

    p = realloc(b->start, size);
    if (p == NULL) {
        return -1;
    }

    b->start = p;
    b->size = size;

    return 0;
}


ssize_t
bench_frame_parse(bench_frame_t *f, const unsigned char *p, size_t len)
{
    int       i;
    size_t    header;
    uint64_t  n;

    if (len < 2) {
        return 0;
    }

    f->fin = p[0] >> 7;
    f->rsv = p[0] >> 4 & 7;
    f->opcode = p[0] & 15;
    f->masked = p[1] >> 7;

    n = p[1] & 127;
    header = 2;

    if (n >= 126) {
        header = n == 126 ? 4 : 10;

        if (len < header) {
            return 0;
        }

        for (i = 2, n = 0; i < (int) header; i++) {
            n = n << 8 | p[i];
        }
    }

    if (f->masked) {
        header += 4;
    }

    if (n > BENCH_MAX_FRAME - 16) {
        return -1;
    }

    if (len < header + n) {
        return 0;
    }

    f->payload = p + header;
    f->len = n;

    return header + n;
}


static size_t
bench_frame_header(unsigned char *p, unsigned opcode, size_t len,
    unsigned mask)
{
    p[0] = 0x80 | opcode;

    if (len < 126) {
        p[1] = mask | len;
        return 2;
    }

    if (len < 65536) {
        p[1] = mask | 126;
        p[2] = len >> 8;
        p[3] = len;
        return 4;
    }

    p[1] = mask | 127;
    memset(p + 2, 0, 4);
    p[6] = len >> 24;
    p[7] = len >> 16;
    p[8] = len >> 8;
    p[9] = len;

    return 10;
}


/* RFC 6455, 5.3 wants a key that cannot be guessed: no matter here */

static uint32_t
bench_frame_key(void)
{
    static uint32_t  state;

    while (state == 0) {
        if (getrandom(&state, sizeof(state), 0) != sizeof(state)) {
            state = 0x9e3779b9;
        }
    }

    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;

    return state;
}


int
bench_frame_masked(bench_buf_t *b, unsigned opcode, const void *payload,
    size_t len)
{
    size_t                i;
    uint32_t              key;
    unsigned char        *p, mask[4];
    const unsigned char  *src;

    if (bench_buf_reserve(b, len + 14) != 0) {
        return -1;
    }

    key = bench_frame_key();
    memcpy(mask, &key, 4);

    p = b->start + b->len;
    p += bench_frame_header(p, opcode, len, 0x80);

    memcpy(p, mask, 4);
    p += 4;
    src = payload;

    for (i = 0; i < len; i++) {
        *p++ = src[i] ^ mask[i & 3];
    }

    b->len = p - b->start;

    return 0;
}


int
bench_frame_plain(bench_buf_t *b, const void *payload, size_t len)
{
    unsigned char  *p;

    if (bench_buf_reserve(b, len + 10) != 0) {
        return -1;
    }

    p = b->start + b->len;
    p += bench_frame_header(p, 1, len, 0);
    memcpy(p, payload, len);

    b->len = p + len - b->start;

    return 0;
}


uint64_t
bench_number(const unsigned char *p, size_t len, const char *key, size_t *at)
{
    size_t                n;
    uint64_t              value;
    const unsigned char  *last;

    n = strlen(key);
    last = p + len;

    if (*at + n < len && memcmp(p + *at, key, n) == 0) {
        p += *at + n;

    } else {
        const unsigned char  *found;

        found = memmem(p, len, key, n);
        if (found == NULL) {
            return 0;
        }

        *at = found - p;
        p = found + n;
    }

    for (value = 0; p < last && *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (*p - '0');
    }

    return value;
}
