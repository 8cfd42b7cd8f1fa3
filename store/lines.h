/*
 * store/lines.h - lines of a file that may be gz-compressed, or stdin.
 */
#ifndef STO_LINES_H
#define STO_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define STO_LINE_BYTES ((size_t)1 << 20) /* longest line */

struct sto_lines {
    void *gz;
    const char *path; /* as named by the person, for sentences */
    char *buf;
    size_t start, end; /* unread bytes of buf */
    uint64_t number;   /* of the line last returned, from 1 */
    uint64_t bytes;    /* read from the file so far (uncompressed) */
    uint64_t total;    /* compressed size of a regular file, or 0 */
    int at_end, ended_by_newline;
};

/* path "-" is stdin. */
ERR_CHECK
enum err sto_lines_open(struct sto_lines *in, const char *path);
void sto_lines_close(struct sto_lines *in);

/*
 * The next line, NUL-ended, without its line end (LF or CRLF) and without a
 * byte order mark, valid until the next call; *line NULL at the end.
 * ERR_FORMAT: "FILE:LINE: ..." for a NUL byte, a line over STO_LINE_BYTES, a
 * damaged or cut-off gz file.
 */
ERR_CHECK
enum err sto_lines_next(struct sto_lines *in, char **line, size_t *len);

/* Bytes of the file itself that were taken so far (compressed ones of a gz
 * file); 0 when that cannot be told. */
double sto_lines_packed(const struct sto_lines *in);

/* What is in memory behind the line last returned, NUL-ended (the rest of the
 * file, or its next megabyte): to look at, before the next call. */
const char *sto_lines_ahead(struct sto_lines *in, size_t *n);

#endif
