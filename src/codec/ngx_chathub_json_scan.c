
/*
 * Copyright (C) ChatHub contributors
 */


#include <ngx_config.h>
#include <ngx_core.h>

#include "ngx_chathub_json.h"


/*
 * An event has 3 keys and a message 11, which makes 28 of { [ : and ,
 * outside its strings; the rest is room for fields to come.
 */

#define NGX_CHATHUB_JSON_DEPTH   8
#define NGX_CHATHUB_JSON_TOKENS  64

/* cJSON copies a number into a buffer of 64 bytes */
#define NGX_CHATHUB_JSON_NUMBER  62


static u_char *ngx_chathub_json_scan_string(u_char *p, u_char *last,
    ngx_uint_t *nul, const char **error);
static u_char *ngx_chathub_json_scan_escape(u_char *p, u_char *last,
    ngx_uint_t *nul, const char **error);
static ngx_int_t ngx_chathub_json_hex(u_char *p, u_char *last);
static u_char *ngx_chathub_json_scan_number(u_char *p, u_char *last);


const char *
ngx_chathub_json_scan(u_char *text, size_t len, ngx_uint_t *nul)
{
    u_char      *p, *last;
    ngx_uint_t   depth, tokens, begun;
    const char  *error;

    if (ngx_chathub_message_check_utf8(text, len) != NGX_OK) {
        return "the text must be valid UTF-8";
    }

    depth = 0;
    tokens = 0;
    begun = 0;

    p = text;
    last = text + len;

    while (p < last) {

        if (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n') {
            p++;
            continue;
        }

        if (depth == 0 && (begun || *p != '{')) {
            return "the text must be one JSON object";
        }

        begun = 1;

        switch (*p) {

        case '{':
        case '[':
            if (++depth > NGX_CHATHUB_JSON_DEPTH) {
                return "objects and arrays may be nested 8 deep";
            }

            /* fall through */

        case ':':
        case ',':
            if (++tokens > NGX_CHATHUB_JSON_TOKENS) {
                return "the text has more values than any event";
            }

            p++;
            break;

        case '}':
        case ']':
            depth--;
            p++;
            break;

        case '"':
            p = ngx_chathub_json_scan_string(p + 1, last, nul,
                                             &error);

            if (p == NULL) {
                return error;
            }

            break;

        case '-': case '0': case '1': case '2': case '3': case '4':
        case '5': case '6': case '7': case '8': case '9':
            p = ngx_chathub_json_scan_number(p, last);

            if (p == NULL) {
                return "numbers must be valid JSON of at most 62 characters";
            }

            break;

        default:
            if (*p < 'a' || *p > 'z') {
                return "the text must be valid JSON";
            }

            p++;
        }
    }

    if (!begun || depth) {
        return "the text must be one complete JSON object";
    }

    return NULL;
}


/* from behind the quote that opens a string to behind the one that ends it */

static u_char *
ngx_chathub_json_scan_string(u_char *p, u_char *last, ngx_uint_t *nul,
    const char **error)
{
    for ( ;; ) {

        while (p < last && *p >= 0x20 && *p != '"' && *p != '\\') {
            p++;
        }

        if (p == last) {
            *error = "the text ends within a string";
            return NULL;
        }

        if (*p == '"') {
            return p + 1;
        }

        if (*p < 0x20) {
            *error = "control characters in strings must be escaped";
            return NULL;
        }

        p = ngx_chathub_json_scan_escape(p + 1, last, nul, error);

        if (p == NULL) {
            return NULL;
        }
    }
}


/* from behind the backslash to behind the escape */

static u_char *
ngx_chathub_json_scan_escape(u_char *p, u_char *last, ngx_uint_t *nul,
    const char **error)
{
    ngx_int_t  code;

    *error = "the text has an escape that JSON does not know";

    if (p == last) {
        return NULL;
    }

    switch (*p++) {

    case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r':
    case 't':
        return p;

    case 'u':
        break;

    default:
        return NULL;
    }

    code = ngx_chathub_json_hex(p, last);

    if (code == NGX_ERROR) {
        return NULL;
    }

    if (code == 0) {
        *nul = 1;
    }

    p += 4;

    if (code < 0xd800 || code > 0xdfff) {
        return p;
    }

    *error = "surrogates must come in pairs";

    if (code > 0xdbff || last - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return NULL;
    }

    code = ngx_chathub_json_hex(p + 2, last);

    if (code < 0xdc00 || code > 0xdfff) {
        return NULL;
    }

    return p + 6;
}


static ngx_int_t
ngx_chathub_json_hex(u_char *p, u_char *last)
{
    if (last - p < 4) {
        return NGX_ERROR;
    }

    return ngx_hextoi(p, 4);
}


/* RFC 8259, 6 */

static u_char *
ngx_chathub_json_scan_number(u_char *p, u_char *last)
{
    u_char  *start, *digits;

    start = p;

    if (*p == '-') {
        p++;
    }

    for (digits = p; p < last && *p >= '0' && *p <= '9'; p++) { /* void */ }

    if (p == digits || (*digits == '0' && p - digits > 1)) {
        return NULL;
    }

    if (p < last && *p == '.') {

        for (digits = ++p; p < last && *p >= '0' && *p <= '9'; p++) {
            /* void */
        }

        if (p == digits) {
            return NULL;
        }
    }

    if (p < last && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < last && (*p == '+' || *p == '-')) {
            p++;
        }

        for (digits = p; p < last && *p >= '0' && *p <= '9'; p++) {
            /* void */
        }

        if (p == digits) {
            return NULL;
        }
    }

    return (p - start > NGX_CHATHUB_JSON_NUMBER) ? NULL : p;
}
