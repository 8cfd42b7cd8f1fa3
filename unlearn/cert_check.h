/*
 * unlearn/cert_check.h - the form of a certificate, shared by the one who
 * writes it (cert.c) and the one who checks it (cert_check.c).
 */
#ifndef UNL_CERT_CHECK_H
#define UNL_CERT_CHECK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "unlearn/cert.h"

/* How jansson writes a certificate, and a file of them.  12 digits of a real
 * number survive being read and written again. */
#define UNL_CERT_CANONICAL                                                     \
    (JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(12))
#define UNL_CERT_LINES (JSON_INDENT(1) | JSON_SORT_KEYS)

/* Whether c has every field of the format, no other, each of its type; else
 * why (room bytes) names the first that is wrong.  Takes no memory. */
bool unl_cert_fields(const json_t *c, char *why, size_t room);

/* BLAKE2b-256 of the whole text, in hexadecimal. */
void unl_cert_hash(const char *text, char hex[UNL_KEY_HEX]);

/* j as text (with room for one more byte); free() it; NULL: no memory. */
char *unl_cert_text(const json_t *j, size_t flags);

/* The file that holds these texts; free() it; NULL: no memory. */
char *unl_cert_file(json_t *chain);

#endif
