/* store/rows.c - rows as they are read: ids become numbers, in batches. */
#include "store/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/par.h"

enum err sto_import_new(struct sto_import **out,
                        const struct sto_import_opts *opts)
{
    struct sto_import *im = mem_array(1, sizeof(*im));

    if (im == NULL)
        return err_set(ERR_NOMEM, "no memory to import");
    im->opts = *opts;
    if (opts->columns != NULL &&
        (im->columns = mem_text(opts->columns)) == NULL) {
        free(im);
        return err_set(ERR_NOMEM, "no memory to import");
    }
    im->opts.columns = im->columns;
    *out = im;
    return ERR_OK;
}

void sto_import_free(struct sto_import *im)
{
    if (im == NULL)
        return;
    sto_ids_free(&im->users);
    sto_ids_free(&im->items);
    sto_listed_free(im->listed);
    free(im->batch.text);
    free(im->columns);
    free(im->user);
    free(im->item);
    free(im->value);
    free(im->time);
    free(im);
}

/* --- one batch ------------------------------------------------------------ */

struct find {
    struct sto_ids *ids[2];
    struct sto_id_batch batch[2];
    uint32_t *number[2];
    size_t found[2];
};

static void find_task(void *arg, size_t task, size_t thread)
{
    struct find *f = arg;

    (void)thread;
    f->found[task] =
        sto_ids_find(f->ids[task], &f->batch[task], f->number[task]);
}

static enum err find_ids(struct sto_import *im)
{
    const struct sto_batch *b = &im->batch;
    struct find f = {.ids = {&im->users, &im->items},
                     .number = {im->user + im->n, im->item + im->n}};

    for (int w = 0; w < 2; w++) {
        size_t bytes = 0;

        for (size_t j = 0; j < b->n; j++)
            bytes += b->len[w][j];
        ERR_TRY(sto_ids_reserve(f.ids[w], b->n, bytes));
        f.batch[w] = (struct sto_id_batch){b->text, b->at[w], b->len[w], b->n};
    }
    par_for(2, find_task, &f);
    for (int w = 0; w < 2; w++)
        if (f.found[w] < b->n)
            return sto_ids_clash(f.ids[w], &f.batch[w], f.found[w]);
    return ERR_OK;
}

enum err sto_rows_flush(struct sto_import *im)
{
    struct sto_batch *b = &im->batch;
    const size_t n = im->n + b->n;

    if (b->n == 0)
        return ERR_OK;
    if (n > im->user_room)
        ERR_TRY(mem_budget((double)im->user_room / 2 * STO_ROW_BYTES,
                           "the next part of the rows"));
    ERR_TRY(mem_grow(&im->user, &im->user_room, n, sizeof(*im->user)));
    ERR_TRY(mem_grow(&im->item, &im->item_room, n, sizeof(*im->item)));
    ERR_TRY(mem_grow(&im->value, &im->value_room, n, sizeof(*im->value)));
    ERR_TRY(mem_grow(&im->time, &im->time_room, n, sizeof(*im->time)));
    ERR_TRY(find_ids(im));
    memcpy(im->value + im->n, b->value, b->n * sizeof(*b->value));
    memcpy(im->time + im->n, b->time, b->n * sizeof(*b->time));
    im->n = n;
    b->n = b->text_n = 0;
    return ERR_OK;
}

static enum err keep_text(struct sto_batch *b, int which, const char *id,
                          size_t len)
{
    if (len > 0 && b->n > 0 && b->len[which][b->n - 1] == len &&
        memcmp(b->text + b->at[which][b->n - 1], id, len) == 0) {
        b->at[which][b->n] = b->at[which][b->n - 1];
    } else {
        ERR_TRY(mem_grow(&b->text, &b->text_room, b->text_n + len + 1, 1));
        memcpy(b->text + b->text_n, id, len);
        b->at[which][b->n] = b->text_n;
        b->text_n += len;
    }
    b->len[which][b->n] = (uint32_t)len;
    return ERR_OK;
}

enum err sto_rows_add(struct sto_import *im, const char *user, size_t user_len,
                      const char *item, size_t item_len, float value,
                      int64_t time)
{
    struct sto_batch *b = &im->batch;

    if (im->opts.has_min_rating && (double)value < im->opts.min_rating) {
        im->skipped++;
        return ERR_OK;
    }
    if (b->n == STO_BATCH)
        ERR_TRY(sto_rows_flush(im));
    ERR_TRY(keep_text(b, 0, user, user_len));
    ERR_TRY(keep_text(b, 1, item, item_len));
    b->value[b->n] = value;
    b->time[b->n] = time;
    b->n++;
    return ERR_OK;
}

enum err sto_import_rows(struct sto_import *im, const struct sto_row *row,
                         size_t n)
{
    for (size_t r = 0; r < n; r++)
        ERR_TRY(sto_rows_add(im, row[r].user, strlen(row[r].user), row[r].item,
                             strlen(row[r].item), row[r].value, row[r].time));
    return sto_rows_flush(im);
}
