/* store/lines.c - a buffer over zlib, which passes plain files through. */
#include "store/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/mem.h"

#define ROOM (STO_LINE_BYTES + 65536)

enum err sto_lines_open(struct sto_lines *in, const char *path)
{
    struct stat s;
    struct sto_lines l = {.path = path};
    const int is_stdin = strcmp(path, "-") == 0;

    if (is_stdin)
        l.path = "stdin";
    else if (stat(path, &s) != 0)
        return err_set(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    else if (S_ISDIR(s.st_mode))
        return err_set(ERR_IO, "%s is a folder: name the files in it", path);
    else if (S_ISREG(s.st_mode))
        l.total = (uint64_t)s.st_size;
    l.gz = is_stdin ? (void *)gzdopen(dup(STDIN_FILENO), "rb")
                    : (void *)gzopen(path, "rb");
    if (l.gz == NULL)
        return err_set(ERR_IO, "cannot open %s: %s", path,
                       errno != 0 ? strerror(errno) : "no memory");
    (void)gzbuffer(l.gz, 1 << 17);
    l.buf = mem_array(ROOM + 1, 1);
    if (l.buf == NULL) {
        gzclose(l.gz);
        return err_set(ERR_NOMEM, "no memory to read %s", path);
    }
    *in = l;
    return ERR_OK;
}

void sto_lines_close(struct sto_lines *in)
{
    if (in->gz != NULL)
        gzclose(in->gz);
    free(in->buf);
    *in = (struct sto_lines){0};
}

static enum err refill(struct sto_lines *in)
{
    memmove(in->buf, in->buf + in->start, in->end - in->start);
    in->end -= in->start;
    in->start = 0;
    const int n = gzread(in->gz, in->buf + in->end, (unsigned)(ROOM - in->end));
    int code = Z_OK;
    const char *why = gzerror(in->gz, &code);

    if (n < 0 && code == Z_ERRNO)
        return err_set(ERR_IO, "cannot read %s: %s", in->path, strerror(errno));
    if (n < 0 || code == Z_BUF_ERROR || code == Z_DATA_ERROR)
        return err_set(ERR_FORMAT,
                       "%s:%llu: the gz file is damaged or cut off (%s): copy "
                       "it again",
                       in->path, (unsigned long long)in->number + 1,
                       code == Z_BUF_ERROR ? "unexpected end" : why);
    in->at_end = n == 0;
    in->end += (size_t)n;
    in->bytes += (uint64_t)n;
    return ERR_OK;
}

static enum err finish_line(struct sto_lines *in, size_t n, char **line,
                            size_t *len)
{
    char *p = in->buf + in->start;

    in->start += n;
    p[n] = '\0';
    if (in->number++ == 0 && n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        p += 3;
        n -= 3;
    }
    if (n > 0 && p[n - 1] == '\r')
        p[--n] = '\0';
    if (in->number == 1 && memchr(p, '\r', n) != NULL)
        return err_set(ERR_FORMAT,
                       "%s:1: the lines end with CR alone: turn them into LF "
                       "first (tr '\\r' '\\n' <FILE >NEW)",
                       in->path);
    if (memchr(p, '\0', n) != NULL)
        return err_set(ERR_FORMAT,
                       "%s:%llu: a NUL byte: this is not a text file", in->path,
                       (unsigned long long)in->number);
    *line = p;
    *len = n;
    return ERR_OK;
}

enum err sto_lines_next(struct sto_lines *in, char **line, size_t *len)
{
    char *nl;

    while ((nl = memchr(in->buf + in->start, '\n', in->end - in->start)) ==
               NULL &&
           !in->at_end) {
        if (in->end - in->start > STO_LINE_BYTES)
            return err_set(ERR_FORMAT,
                           "%s:%llu: the line is longer than %zu bytes: this "
                           "is not a table of rows",
                           in->path, (unsigned long long)in->number + 1,
                           STO_LINE_BYTES);
        ERR_TRY(refill(in));
    }
    if (nl != NULL) {
        const size_t n = (size_t)(nl - (in->buf + in->start));
        const enum err e = finish_line(in, n, line, len);

        in->start++;
        return e;
    }
    if (in->start == in->end) {
        *line = NULL;
        return ERR_OK;
    }
    return finish_line(in, in->end - in->start, line, len);
}

const char *sto_lines_ahead(struct sto_lines *in, size_t *n)
{
    in->buf[in->end] = '\0';
    *n = in->end - in->start;
    return in->buf + in->start;
}

double sto_lines_packed(const struct sto_lines *in)
{
    const z_off_t at = gzoffset(in->gz);

    return at > 0 ? (double)at : 0.0;
}
