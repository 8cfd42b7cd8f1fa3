/* store/synth.c - popularity, taste groups, uneven activity; see synth.h. */
#include "store/synth.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"

#define GROUPS 24
#define BUFFER ((size_t)1 << 20)
#define EPOCH 1600000000u /* seconds; the first row's time */

struct world {
    const struct sto_synth_opts *o;
    uint32_t *member; /* [items] item numbers, grouped by taste */
    size_t first[GROUPS + 1];
    double *sum;        /* [items] running popularity inside the group */
    double *all;        /* [items] running popularity over all items */
    uint32_t *taken_by; /* [items] last person who took it, + 1 */
    gzFile out;
    char *buf;
    size_t used;
};

static size_t put_number(char *to, uint64_t x)
{
    char digit[20];
    size_t n = 0;

    do
        digit[n++] = (char)('0' + x % 10);
    while ((x /= 10) > 0);
    for (size_t i = 0; i < n; i++)
        to[i] = digit[n - 1 - i];
    return n;
}

static enum err flush(struct world *w)
{
    if (w->used > 0 &&
        gzwrite(w->out, w->buf, (unsigned)w->used) != (int)w->used)
        return err_set(ERR_IO, "cannot write %s: %s", w->o->output,
                       errno != 0 ? strerror(errno) : "no room");
    w->used = 0;
    return ERR_OK;
}

static enum err put_row(struct world *w, uint64_t user, uint32_t item,
                        unsigned rating, uint64_t time)
{
    char *p = w->buf + w->used, *start = p;

    *p++ = 'u';
    p += put_number(p, user + 1);
    *p++ = ',';
    *p++ = 'i';
    p += put_number(p, (uint64_t)item + 1);
    *p++ = ',';
    *p++ = (char)('0' + rating);
    *p++ = ',';
    p += put_number(p, time);
    *p++ = '\n';
    w->used += (size_t)(p - start);
    return w->used > BUFFER - 128 ? flush(w) : ERR_OK;
}

static double weight(uint32_t item)
{
    return 1.0 / ((double)item + 20.0);
}

/* Items by group, with running sums to draw from. */
static void settle(struct world *w)
{
    const size_t n = w->o->items;
    size_t at = 0;

    for (size_t g = 0; g < GROUPS; g++) {
        double sum = 0;

        w->first[g] = at;
        for (size_t i = 0; i < n; i++) {
            if (rng_below(w->o->seed, RNG_SYNTH, i, GROUPS) != g)
                continue;
            w->member[at] = (uint32_t)i;
            w->sum[at++] = sum += weight((uint32_t)i);
        }
    }
    w->first[GROUPS] = at;
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        w->all[i] = sum += weight((uint32_t)i);
}

/* First place in sum[lo..hi) whose running sum exceeds x. */
static size_t search(const double *sum, size_t lo, size_t hi, double x)
{
    const size_t last = hi - 1;

    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;

        if (sum[mid] > x)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo < last ? lo : last;
}

static uint32_t draw_item(const struct world *w, const uint32_t taste[2],
                          const struct krn_u32x4 *d)
{
    const uint32_t g = taste[d->v[0] & 1];
    const double u = ((double)d->v[1] + d->v[2] * 0x1p-32) * 0x1p-32;
    const size_t lo = w->first[g], hi = w->first[g + 1];

    if ((d->v[0] >> 1) % 4 == 0 || lo == hi)
        return (uint32_t)search(w->all, 0, w->o->items,
                                u * w->all[w->o->items - 1]);
    return w->member[search(w->sum, lo, hi, u * w->sum[hi - 1])];
}

/* `want` distinct items of one person.  Draws that meet an item again are
 * repeated; after many, the next free item in order is taken. */
static enum err put_person(struct world *w, uint64_t user, uint64_t want)
{
    const uint64_t seed = rng_derive(w->o->seed, RNG_SYNTH, user);
    const uint32_t taste[2] = {(uint32_t)rng_below(seed, RNG_SYNTH, 0, GROUPS),
                               (uint32_t)rng_below(seed, RNG_SYNTH, 1, GROUPS)};
    uint64_t time = EPOCH + rng_below(seed, RNG_SYNTH, 2, 50000000);
    uint64_t draw = 0;
    uint32_t cursor = 0;

    for (uint64_t got = 0; got < want; draw++) {
        const struct krn_u32x4 d = rng_pair(seed, RNG_SYNTH, user, draw);
        uint32_t item = draw_item(w, taste, &d);

        if (draw > 20 * want + 100) {
            while (w->taken_by[cursor] == user + 1)
                cursor++;
            item = cursor;
        }
        if (w->taken_by[item] == user + 1)
            continue;
        w->taken_by[item] = (uint32_t)(user + 1);
        time += d.v[3] % 86400;
        ERR_TRY(put_row(w, user, item, 1 + (d.v[3] >> 8) % 5, time));
        got++;
    }
    return ERR_OK;
}

/* Shares of the interactions: activity like 1 / (.02 + uniform). */
static double activity(const struct world *w, uint64_t user)
{
    return 1.0 / (0.02 + rng_f64(rng_derive(w->o->seed, RNG_SYNTH, user),
                                 RNG_SYNTH, 9));
}

static enum err put_people(struct world *w)
{
    const struct sto_synth_opts *o = w->o;
    double total = 0;
    uint64_t given = 0;

    for (uint64_t u = 0; u < o->users; u++)
        total += activity(w, u);
    for (uint64_t u = 0; u < o->users; u++) {
        const double left = (double)(o->interactions - given);
        const double sum = activity(w, u);
        uint64_t want = u + 1 == o->users
                            ? o->interactions - given
                            : (uint64_t)(left * sum / total + 0.5);
        total -= sum;
        if (want > o->items)
            want = o->items;
        ERR_TRY(put_person(w, u, want));
        given += want;
        if (u % 1024 == 0) {
            log_tick("writing", given, o->interactions, NULL);
            if (log_stopping())
                return err_set(ERR_STOPPED, "stopped: %s is incomplete",
                               o->output);
        }
    }
    log_tick("writing", given, given, NULL);
    return flush(w);
}

static enum err check(const struct sto_synth_opts *o)
{
    if (o->users < 1 || o->users > INT32_MAX)
        return err_set(ERR_ARG, "--users must lie between 1 and 2147483647");
    if (o->items < 20 || o->items > INT32_MAX)
        return err_set(ERR_ARG, "--items must lie between 20 and 2147483647");
    if (o->interactions < 1 || o->interactions / o->users > o->items / 2)
        return err_set(ERR_ARG, "--interactions must lie between 1 and half "
                                "of users times items");
    return ERR_OK;
}

enum err sto_synth(const struct sto_synth_opts *o)
{
    static const char header[] = "user,item,rating,timestamp\n";
    struct mem_scratch tmp = {0};
    struct world w = {.o = o};

    ERR_TRY(check(o));
    w.member = mem_take(&tmp, o->items, 1, sizeof(*w.member));
    w.sum = mem_take(&tmp, o->items, 1, sizeof(*w.sum));
    w.all = mem_take(&tmp, o->items, 1, sizeof(*w.all));
    w.taken_by = mem_take(&tmp, o->items, 1, sizeof(*w.taken_by));
    w.buf = mem_take(&tmp, BUFFER, 1, 1);
    if (tmp.failed) {
        mem_drop(&tmp);
        return err_set(ERR_NOMEM, "no memory for %llu items",
                       (unsigned long long)o->items);
    }
    const size_t len = strlen(o->output);
    const char *mode =
        len > 3 && strcmp(o->output + len - 3, ".gz") == 0 ? "wb6" : "wbT";
    enum err e = ERR_OK;

    errno = 0;
    w.out = strcmp(o->output, "-") == 0 ? gzdopen(dup(STDOUT_FILENO), "wbT")
                                        : gzopen(o->output, mode);
    if (w.out == NULL)
        e = err_set(ERR_IO, "cannot write %s: %s", o->output, strerror(errno));
    if (e == ERR_OK) {
        memcpy(w.buf, header, sizeof(header) - 1);
        w.used = sizeof(header) - 1;
        settle(&w);
        e = put_people(&w);
        if (gzclose(w.out) != Z_OK && e == ERR_OK)
            e = err_set(ERR_IO, "cannot write %s to its end", o->output);
    }
    mem_drop(&tmp);
    return e;
}
