/* attack/dl_faithful.c - DL-MIA as its program does it. */
#include "attack/dl_faithful.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "attack/dl_net.h"
#include "attack/features.h"
#include "base/log.h"
#include "base/rng.h"

#define JUDGE_EPOCHS 20
#define TURNS 10
#define TURN_EPOCHS 10

struct side {
    const struct atk_people *p;
    float *x;        /* [p->n][dim] */
    uint32_t *words; /* [p->n][dim] */
    double *score;   /* [p->n] */
};

struct faithful {
    struct mem_scratch m;
    struct atk_dl_net net;
    struct side side[2]; /* shadow, target */
    size_t n;            /* pairs */
    uint32_t *pair[2];   /* [n] who is in them */
    uint32_t *order;     /* [n] of an epoch */
    uint32_t *before;    /* [n] in which pairs were met before the turns */
    float *specific[2];  /* [n][part] what they were then */
    double *omega;       /* [n] weights that truth scores give */
    uint64_t *name;      /* [n] */
    uint64_t epoch, draws;
};

/* --- words and pairs ------------------------------------------------------ */

static int ascending(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

static uint32_t find(const float *sorted, size_t n, float x)
{
    size_t lo = 0, hi = n;

    while (hi - lo > 1) {
        const size_t mid = (lo + hi) / 2;

        if (sorted[mid] <= x)
            lo = mid;
        else
            hi = mid;
    }
    return (uint32_t)lo;
}

/* One word for each distinct number, behind those that are none. */
static enum err make_words(struct faithful *f, float **value)
{
    const size_t dim = f->net.dim;
    const size_t of[2] = {f->side[0].p->n * dim, f->side[1].p->n * dim};
    float *v = mem_take(&f->m, ATK_DL_WORDS + of[0] + of[1], 1, sizeof(*v));
    size_t n = 0;

    if (v == NULL)
        return err_set(ERR_NOMEM, "no memory for the words of an attack");
    float *number = v + ATK_DL_WORDS;

    memcpy(number, f->side[0].x, of[0] * sizeof(*v));
    memcpy(number + of[0], f->side[1].x, of[1] * sizeof(*v));
    qsort(number, of[0] + of[1], sizeof(*v), ascending);
    for (size_t i = 0; i < of[0] + of[1]; i++) {
        if (n == 0 || number[i] > number[n - 1])
            number[n++] = number[i];
    }
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < of[s]; i++)
            f->side[s].words[i] =
                ATK_DL_WORDS + find(number, n, f->side[s].x[i]);
    }
    f->net.n_words = ATK_DL_WORDS + n;
    *value = v;
    return ERR_OK;
}

/* Shadows in their order, targets shuffled; the shorter side is filled up by
 * draws. */
static void make_pairs(struct faithful *f, uint64_t seed)
{
    const size_t n[2] = {f->side[0].p->n, f->side[1].p->n};

    for (size_t i = 0; i < n[0]; i++)
        f->pair[0][i] = (uint32_t)i;
    rng_shuffle(seed, RNG_AUDIT, n[1], f->pair[1]);
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = n[s]; i < f->n; i++)
            f->pair[s][i] = f->pair[s][rng_below(seed, RNG_AUDIT, i, n[s])];
    }
}

static struct atk_dl_row row_of(const struct faithful *f, size_t s, uint32_t u)
{
    const struct side *side = &f->side[s];

    return (struct atk_dl_row){side->x + u * f->net.dim,
                               side->words + u * f->net.dim,
                               side->p->member[u]};
}

/* Pairs number at.. of an order. */
static struct atk_dl_batch batch_of(const struct faithful *f,
                                    const uint32_t *order, size_t at)
{
    struct atk_dl_batch b = {.n = f->n - at < ATK_DL_PAIRS ? f->n - at
                                                           : ATK_DL_PAIRS};

    for (size_t i = 0; i < b.n; i++) {
        b.row[i] = row_of(f, 0, f->pair[0][order[at + i]]);
        b.row[i + ATK_DL_PAIRS] = row_of(f, 1, f->pair[1][order[at + i]]);
    }
    return b;
}

static enum err shuffle(struct faithful *f)
{
    if (log_stopping())
        return err_set(ERR_STOPPED, "stopped while attacking");
    return nn_order(f->order, f->name, f->n, f->net.seed, f->epoch++);
}

/* --- the three kinds of epochs -------------------------------------------- */

static enum err encode(struct faithful *f, bool judge)
{
    double loss = 0;

    ERR_TRY(shuffle(f));
    for (size_t at = 0; at < f->n; at += ATK_DL_PAIRS) {
        const struct atk_dl_batch b = batch_of(f, f->order, at);
        double omega = 1;

        if (judge) {
            omega = 0;
            for (size_t i = 0; i < b.n; i++)
                omega += f->omega[at + i] / (double)b.n;
        }
        ERR_TRY(atk_dl_net_learn(&f->net, &b, omega, judge, &loss));
    }
    log_info("dl-mia --faithful: epoch %llu, loss %.4f",
             (unsigned long long)f->epoch,
             loss * (double)ATK_DL_PAIRS / (double)f->n);
    return ERR_OK;
}

static enum err weigh(struct faithful *f)
{
    const double lambda[2] = {1 / (double)f->side[0].p->n,
                              1 / (double)f->side[1].p->n};

    ERR_TRY(shuffle(f));
    for (size_t at = 0; at < f->n; at += ATK_DL_PAIRS) {
        const struct atk_dl_batch b = batch_of(f, f->order, at);
        struct atk_dl_before o = {.b = batch_of(f, f->before, at)};

        for (size_t r = 0; r < ATK_DL_ROWS; r++)
            o.specific[r] = f->specific[r / ATK_DL_PAIRS] +
                            (at + r % ATK_DL_PAIRS) * ATK_DL_PART;
        ERR_TRY(atk_dl_net_weigh(&f->net, &b, &o, at, lambda));
    }
    return ERR_OK;
}

/* sigmoid(W p + b) of both sides' truth scores, with a matrix that never
 * learns: it is drawn anew each time, the same. */
static void find_omega(struct faithful *f)
{
    const double wide = 1 / sqrt((double)f->n);
    const float *p = f->net.truth.value;

    for (size_t i = 0; i < f->n; i++) {
        const uint64_t stream = rng_derive(f->net.seed, RNG_AUDIT, i);
        double sum[2];

        sum[0] = sum[1] =
            wide * (2 * (double)rng_f32(stream, RNG_INIT, f->n) - 1);
        for (size_t k = 0; k < f->n; k++) {
            const double w =
                wide * (2 * (double)rng_f32(stream, RNG_INIT, k) - 1);

            sum[0] += w * (double)p[k];
            sum[1] += w * (double)p[f->n + k];
        }
        f->omega[i] = 0.5 / (1 + exp(-sum[0])) + 0.5 / (1 + exp(-sum[1]));
    }
}

/* --- between them --------------------------------------------------------- */

/* Scores, or specific parts, of people of a side: who[0..count). */
static enum err serve(struct faithful *f, size_t s, const uint32_t *who,
                      size_t count, double *score, float *specific)
{
    for (size_t at = 0; at < count; at += ATK_DL_SERVE) {
        const size_t k = count - at < ATK_DL_SERVE ? count - at : ATK_DL_SERVE;
        struct atk_dl_row row[ATK_DL_SERVE];
        double got[ATK_DL_SERVE];

        for (size_t i = 0; i < k; i++)
            row[i] = row_of(f, s, who[at + i]);
        ERR_TRY(atk_dl_net_serve(
            &f->net, row, k, (uint64_t)1 << 40 | f->draws++, got,
            specific == NULL ? NULL : specific + at * ATK_DL_PART));
        for (size_t i = 0; score != NULL && i < k; i++)
            score[who[at + i]] = got[i];
    }
    return ERR_OK;
}

/* The judges alone, on shadows in one order and one draw of their parts. */
static enum err classify(struct faithful *f)
{
    const size_t n = f->side[0].p->n;

    ERR_TRY(shuffle(f));
    for (size_t i = 0; i < f->n; i++)
        f->before[i] = f->pair[0][f->order[i]];
    ERR_TRY(serve(f, 0, f->before, f->n, NULL, f->specific[0]));
    for (size_t epoch = 0; epoch < JUDGE_EPOCHS; epoch++) {
        for (size_t i = 0; i < f->n; i++) {
            const struct atk_dl_row row = row_of(f, 0, f->before[i]);

            if (f->order[i] < n) /* not one that fills up */
                ERR_TRY(atk_dl_net_classify(&f->net, &row,
                                            f->specific[0] + i * ATK_DL_PART));
        }
    }
    return ERR_OK;
}

/* Everybody's parts before the turns, in an order of their own. */
static enum err remember(struct faithful *f)
{
    uint32_t *who = f->order;

    ERR_TRY(shuffle(f));
    memcpy(f->before, f->order, f->n * sizeof(*f->before));
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < f->n; i++)
            who[i] = f->pair[s][f->before[i]];
        ERR_TRY(serve(f, s, who, f->n, NULL, f->specific[s]));
    }
    return ERR_OK;
}

static double accuracy(const struct atk_people *p, const double *score)
{
    size_t yes[2] = {0, 0};

    for (size_t u = 0; u < p->n; u++)
        yes[p->member[u]] += score[u] > 0;
    return (1 + (double)yes[1] / (double)p->n_members -
            (double)yes[0] / (double)(p->n - p->n_members)) /
           2;
}

/* The target's people are in the first pairs, each once. */
static enum err check(struct faithful *f, struct atk_scores *out, double *best,
                      size_t *best_turn, size_t turn)
{
    const struct side *target = &f->side[1];

    ERR_TRY(serve(f, 1, f->pair[1], target->p->n, target->score, NULL));
    const double now = accuracy(target->p, target->score);

    log_info("dl-mia --faithful: turn %zu, accuracy %.4f", turn + 1, now);
    if (turn > 0 && now <= *best)
        return ERR_OK;
    *best = now;
    *best_turn = turn;
    memcpy(out->target, target->score, target->p->n * sizeof(*out->target));
    return serve(f, 0, f->pair[0], f->side[0].p->n, out->shadow, NULL);
}

/* --- the whole ------------------------------------------------------------ */

static enum err take(struct faithful *f, const struct atk_case *c)
{
    const struct atk_people *p[2] = {&c->shadow, &c->target};

    f->n = p[0]->n > p[1]->n ? p[0]->n : p[1]->n;
    for (size_t s = 0; s < 2; s++) {
        f->side[s] = (struct side){
            .p = p[s],
            .x = mem_take(&f->m, p[s]->n, f->net.dim, sizeof(float)),
            .words = mem_take(&f->m, p[s]->n, f->net.dim, sizeof(uint32_t)),
            .score = mem_take(&f->m, p[s]->n, 1, sizeof(double))};
        f->pair[s] = mem_take(&f->m, f->n, 1, sizeof(uint32_t));
        f->specific[s] = mem_take(&f->m, f->n, ATK_DL_PART, sizeof(float));
    }
    f->order = mem_take(&f->m, f->n, 1, sizeof(*f->order));
    f->before = mem_take(&f->m, f->n, 1, sizeof(*f->before));
    f->omega = mem_take(&f->m, f->n, 1, sizeof(*f->omega));
    f->name = mem_take(&f->m, f->n, 1, sizeof(*f->name));
    if (f->m.failed)
        return err_set(ERR_NOMEM, "no memory for the published attack");
    for (size_t i = 0; i < f->n; i++)
        f->name[i] = i;
    ERR_TRY(atk_difference(p[0], &c->items, f->side[0].x));
    return atk_difference(p[1], &c->items, f->side[1].x);
}

static enum err learn(struct faithful *f, size_t epochs, struct atk_scores *out)
{
    const size_t turn_epochs =
        (2 * epochs * TURN_EPOCHS + ATK_DL_EPOCHS) / (2 * ATK_DL_EPOCHS);
    const size_t each = turn_epochs > 0 ? turn_epochs : 1;
    const size_t all = epochs + TURNS * each;
    size_t best_turn = 0;
    double best = 0;

    for (size_t i = 0; i < epochs; i++) {
        log_tick("dl-mia --faithful", i, all, "encoders");
        ERR_TRY(encode(f, false));
    }
    ERR_TRY(classify(f));
    ERR_TRY(remember(f));
    for (size_t turn = 0; turn < TURNS; turn++) {
        if (turn % 2 == 0)
            find_omega(f);
        for (size_t i = 0; i < each; i++) {
            log_tick("dl-mia --faithful", epochs + turn * each + i, all,
                     "turns");
            ERR_TRY(turn % 2 == 0 ? encode(f, true) : weigh(f));
        }
        ERR_TRY(check(f, out, &best, &best_turn, turn));
    }
    log_tick("dl-mia --faithful", all, all, NULL);
    (void)snprintf(out->note, sizeof(out->note),
                   "as published, with the target's true labels: turn %zu of "
                   "%d is the best on them; %zu of %d epochs of the encoders, "
                   "turns of %zu of %d",
                   best_turn + 1, TURNS, epochs, ATK_DL_EPOCHS, each,
                   TURN_EPOCHS);
    return ERR_OK;
}

static enum err attack(struct faithful *f, const struct atk_case *c,
                       struct atk_scores *out)
{
    float *value = NULL;

    ERR_TRY(take(f, c));
    ERR_TRY(make_words(f, &value));
    make_pairs(f, c->seed);
    ERR_TRY(atk_dl_net_build(&f->net, &f->m, value, f->n));
    return learn(f, c->epochs, out);
}

enum err atk_dl_faithful(const struct atk_case *c, struct atk_scores *out)
{
    struct faithful f = {.net = {.dim = c->items.dim, .seed = c->seed}};
    const enum err e = attack(&f, c, out);

    atk_dl_net_free(&f.net);
    mem_drop(&f.m);
    out->has_shadow = out->has_threshold = out->sees_labels = true;
    out->threshold = 0;
    return e;
}
