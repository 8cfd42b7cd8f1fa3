/*
 * tests/fuzz/fuzz_import.c - files of interactions from strangers.
 *
 * libFuzzer:  tests/fuzz/run.sh import [SECONDS]
 *
 * Instrumented: store/import.c store/lines.c store/cells.c store/read.c
 *
 * `make check` replays the corpus in tests/fuzz/import/ (tests/fuzz/replay.c).
 *
 * Each file is read with its layout guessed, strictly and with bad rows left
 * out.  What is refused is refused with a sentence that names the file, and
 * what is taken strictly is taken with --skip-bad too.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/import.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static enum err read_as(const char *path, enum sto_format format, bool skip)
{
    const struct sto_import_opts opts = {.format = format, .skip_bad = skip};
    struct sto_import *im;

    if (sto_import_new(&im, &opts) != ERR_OK)
        abort();
    const enum err e = sto_import_read(im, path);

    sto_import_free(im);
    if (e != ERR_OK && e != ERR_FORMAT && e != ERR_NOMEM && e != ERR_ARG)
        abort();
    if (e != ERR_OK && err_note()[0] == '\0')
        abort();
    return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const int fd = memfd_create("fuzz", MFD_CLOEXEC);
    char path[64];

    if (fd < 0 || write(fd, data, n) != (ssize_t)n)
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (read_as(path, STO_AUTO, false) == ERR_OK &&
        read_as(path, STO_AUTO, true) != ERR_OK)
        abort();
    for (enum sto_format f = STO_CSV; f <= STO_RECBOLE; f++)
        (void)read_as(path, f, (f & 1) != 0);
    close(fd);
    return 0;
}
