/*
 * src/simulate_env.c - the game for policies from outside: JSON lines on stdin
 * and stdout, in the form of Gymnasium's reset() and step().
 *
 *     > {"reset": true}
 *     < {"observation": {...}, "info": {...}}
 *     > {"step": [mask, mask, ...]}           bit k: segment k is shown
 *     < {"observation": {...}, "reward": [...], "terminated": false,
 *        "truncated": false, "info": {...}}
 *
 * A step is a round: the platform trains on what the masks show, and everybody
 * gets their anticipated utility.  People are in the order of their keys, and
 * have no names here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "privacy_sim/game.h"
#include "src/simulate.h"
#include "src/ui.h"

#define MOST_SEGMENTS 53 /* bits that a number of JSON holds exactly */

struct env {
    const struct sim_world *w;
    const struct sim_game_opts *o;
    const double *lambda;
    bool reset; /* what waits for its answer is a reset, else a step */
    bool again; /* another game is wanted */
};

/* --- out -------------------------------------------------------------------
 */

static json_t *observation(const struct env *s, const struct sim_person *p,
                           const uint8_t *choice)
{
    json_t *lambda = json_array(), *segments = json_array(),
           *rows = json_array(), *mask = json_array(), *quality = json_array();

    for (size_t u = 0; u < s->w->all.n_users; u++) {
        const size_t at = s->w->seg_ptr[u], n = sim_segments(s->w, u);
        uint64_t bits = 0;

        for (size_t k = 0; k < n; k++)
            bits |= (uint64_t)choice[at + k] << k;
        (void)json_array_append_new(lambda, json_real(s->lambda[u]));
        (void)json_array_append_new(segments, json_integer((json_int_t)n));
        (void)json_array_append_new(rows, json_real(p[u].rows));
        (void)json_array_append_new(mask, json_integer((json_int_t)bits));
        (void)json_array_append_new(quality, json_real(p[u].anticipated));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "lambda", lambda, "segments",
                     segments, "rows", rows, "mask", mask, "quality", quality);
}

static json_t *info_of(const struct env *s, const struct sim_person *p,
                       size_t round)
{
    const double n = (double)s->w->all.n_users;
    double utility = 0, quality = 0, disclosed = 0, rows = 0;

    for (size_t u = 0; u < s->w->all.n_users; u++) {
        utility += p[u].utility / n;
        quality += p[u].quality / n;
        disclosed += p[u].disclosed * p[u].rows;
        rows += p[u].rows;
    }
    return json_pack("{s:I, s:I, s:f, s:f, s:f}", "round", (json_int_t)round,
                     "users", (json_int_t)s->w->all.n_users, "utility", utility,
                     "quality", quality, "disclosed", disclosed / rows);
}

static void answer(struct env *s, size_t round, const struct sim_person *p,
                   const uint8_t *choice)
{
    json_t *out =
        json_pack("{s:o, s:o}", "observation", observation(s, p, choice),
                  "info", info_of(s, p, round));
    json_t *reward = json_array();

    for (size_t u = 0; u < s->w->all.n_users; u++)
        (void)json_array_append_new(reward,
                                    json_real(p[u].utility_anticipated));
    if (s->reset)
        json_decref(reward);
    else
        (void)json_object_update_new(
            out, json_pack("{s:o, s:b, s:b}", "reward", reward, "terminated", 0,
                           "truncated", round + 1 >= s->o->rounds));
    cmd_ui_json(out);
    (void)fflush(stdout);
}

/* --- in --------------------------------------------------------------------
 */

static enum err take_masks(const struct env *s, const json_t *masks,
                           uint8_t *choice)
{
    const struct sim_world *w = s->w;

    if (json_array_size(masks) != w->all.n_users)
        return err_set(ERR_FORMAT, "a step has one mask for each of %zu people",
                       w->all.n_users);
    for (size_t u = 0; u < w->all.n_users; u++) {
        const size_t n = sim_segments(w, u);
        const json_t *mask = json_array_get(masks, u);
        const json_int_t bits = json_integer_value(mask);

        if (!json_is_integer(mask) || bits < 0 || bits >> n != 0)
            return err_set(ERR_FORMAT,
                           "person %zu has %zu segments: their mask is a whole "
                           "number below %lld",
                           u, n, 1LL << n);
        for (size_t k = 0; k < n; k++)
            choice[w->seg_ptr[u] + k] = (uint8_t)(bits >> k & 1);
    }
    return ERR_OK;
}

/* The next line.  choice NULL: only a reset is expected.  *stop: this game is
 * over, by a reset (then `again`) or by the end of the input. */
static enum err listen(struct env *s, uint8_t *choice, bool *stop)
{
    json_error_t why = {.line = 0};
    json_t *in = NULL;
    char *line = NULL;
    size_t room = 0;
    enum err e = ERR_OK;

    do { /* blank lines are passed over */
        *stop = getline(&line, &room, stdin) < 0;
    } while (!*stop && line[strspn(line, " \t\r\n")] == '\0');
    if (!*stop)
        in = json_loads(line, 0, &why);
    const json_t *masks = json_object_get(in, "step");

    s->reset = json_object_get(in, "reset") != NULL;
    s->again = s->reset;
    if (!*stop && in == NULL)
        e = err_set(ERR_FORMAT, "this is no JSON: %s", why.text);
    else if (!*stop && !s->reset && masks == NULL)
        e = err_set(ERR_FORMAT, "a line is {\"reset\": true} or {\"step\": "
                                "[masks]}");
    else if (!*stop && !s->reset && choice == NULL)
        e = err_set(ERR_FORMAT, "{\"reset\": true} is expected here");
    else if (!*stop && !s->reset)
        e = take_masks(s, masks, choice);
    *stop = *stop || s->reset;
    free(line);
    json_decref(in);
    return e;
}

static enum err outside(void *arg, size_t round,
                        const struct sim_person *person, uint8_t *choice,
                        bool *stop)
{
    struct env *s = arg;

    answer(s, round, person, choice);
    return listen(s, round + 1 < s->o->rounds ? choice : NULL, stop);
}

static enum err play_games(struct env *s)
{
    bool stop;

    ERR_TRY(listen(s, NULL, &stop));
    while (s->again) {
        struct sim_result r = {.n_users = 0};
        const enum err e = sim_play(&r, s->w, s->o);

        sim_result_free(&r);
        ERR_TRY(e);
    }
    return ERR_OK;
}

int cmd_sim_env(const struct cmd_common *c, const struct cmd_sim_values *v,
                const struct rec_model *model)
{
    struct sim_world w = {.n_groups = 0};
    struct sim_game_opts o;
    double *lambda = NULL;
    struct env s = {.w = &w, .o = &o};
    enum err e = cmd_sim_game(&o, v, model, (uint64_t)c->seed);

    if (e == ERR_OK)
        e = cmd_sim_world(&w, v, &o.m, cmd_ui_store_dir(c), (uint64_t)c->seed);
    for (size_t u = 0; e == ERR_OK && u < w.all.n_users; u++) {
        if (sim_segments(&w, u) > MOST_SEGMENTS)
            e = err_set(ERR_ARG, "masks of JSON hold at most 53 segments");
    }
    if (e == ERR_OK)
        e = cmd_sim_lambda(&lambda, v, &w, &o);
    s.lambda = o.lambda = lambda;
    o.outside = outside;
    o.outside_arg = &s;
    if (e == ERR_OK)
        e = play_games(&s);
    free(lambda);
    sim_world_free(&w);
    return cmd_ui_exit(e);
}
