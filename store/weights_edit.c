/*
 * store/weights_edit.c - changing a file of weights where it lies.
 *
 * One byte of the file says whether it is whole.  It is written, and synced,
 * before the first change; so whoever opens the file after a kill in between is
 * told, and does not take old and new parts for one model.
 */
#include <errno.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/env.h"

static enum err io_error(const char *doing)
{
    return err_set(ERR_IO, "cannot %s a file of weights: %s", doing,
                   strerror(errno));
}

static enum err set_state(const struct sto_weights *w, enum sto_state state)
{
    const unsigned char byte = (unsigned char)state;

    return pwrite(w->fd, &byte, 1, STO_STATE_AT) == 1 ? ERR_OK
                                                      : io_error("mark");
}

enum err sto_weights_begin(struct sto_weights *w)
{
    ERR_TRY(set_state(w, STO_TORN));
    return msync(w->map, STO_ENTRY_AT, MS_SYNC) == 0 ? ERR_OK
                                                     : io_error("sync");
}

static size_t bytes_of(const struct sto_array *a)
{
    return (size_t)(a->rows * a->cols) * sto_type_bytes(a->type);
}

/* Array i is smaller now: say so in its entry, and clear what it gave up. */
static enum err shrink(struct sto_weights *w, size_t i,
                       const struct sto_array *now)
{
    const uint64_t shape[2] = {now->rows, now->cols};
    struct sto_array *old = &w->array[i];
    const off_t at = (off_t)(STO_ENTRY_AT + i * STO_ENTRY_BYTES + STO_SHAPE_AT);

    if (now->rows == old->rows && now->cols == old->cols)
        return ERR_OK;
    if (pwrite(w->fd, shape, sizeof(shape), at) != sizeof(shape))
        return io_error("change");
    memset((char *)old->data + bytes_of(now), 0, bytes_of(old) - bytes_of(now));
    old->rows = now->rows;
    old->cols = now->cols;
    return ERR_OK;
}

enum err sto_weights_end(struct sto_weights *w, const struct sto_array *array,
                         enum sto_state state)
{
    for (size_t i = 0; i < w->n; i++)
        ERR_TRY(shrink(w, i, &array[i]));
    ERR_TRY(set_state(w, state));
    w->state = state;
    (void)flock(w->fd, LOCK_SH); /* from here on others may open it */
    return ERR_OK;
}

enum err sto_weights_sync(struct sto_weights *w)
{
    return fdatasync(w->fd) == 0 ? ERR_OK : io_error("sync");
}
