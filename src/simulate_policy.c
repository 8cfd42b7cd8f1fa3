/* src/simulate_policy.c - reading a policy file. */
#include "src/simulate_policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "privacy_sim/game.h"

#define WORDS 40 /* of a line */
#define LINE 2000

static void choice_free(struct sweep_choice *c)
{
    free(c->name);
    free(c->what);
    for (size_t k = 0; k < c->n; k++) {
        free(c->key[k]);
        free(c->value[k]);
    }
}

void cmd_sweep_policy_free(struct sweep_policy *p)
{
    for (size_t k = 0; k < SWEEP_MOST; k++) {
        choice_free(&p->dataset[k]);
        choice_free(&p->model[k]);
        choice_free(&p->mechanism[k]);
        choice_free(&p->taste[k]);
    }
    choice_free(&p->set);
    free(p->out);
}

/* --- reading ---------------------------------------------------------------
 */

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for a policy file");
}

static enum err bad(const struct sweep_policy *p, size_t line, const char *what,
                    const char *word)
{
    return err_set(ERR_FORMAT, "%s:%zu: %s%s%s%s", p->path, line, what,
                   word != NULL ? " \"" : "", word != NULL ? word : "",
                   word != NULL ? "\"" : "");
}

static size_t split_words(char *line, char **word)
{
    static const char blank[] = " \t\r\n";
    size_t n = 0;

    for (char *p = line + strspn(line, blank); *p != '\0' && *p != '#';) {
        char *end = p + strcspn(p, blank);
        const bool last = *end == '\0';

        if (n < WORDS)
            word[n++] = p;
        *end = '\0';
        p = last ? end : end + 1 + strspn(end + 1, blank);
    }
    return n;
}

static enum err add_pair(const struct sweep_policy *p, size_t line,
                         struct sweep_choice *c, const char *key, size_t len,
                         const char *value)
{
    if (c->n == SWEEP_SETTINGS)
        return bad(p, line, "there are too many settings: 16 at most", NULL);
    c->line[c->n] = line;
    c->key[c->n] = mem_array(len + 1, 1);
    c->value[c->n] = mem_text(value);
    if (c->key[c->n] == NULL || c->value[c->n] == NULL) {
        c->n++;
        return no_memory();
    }
    memcpy(c->key[c->n++], key, len);
    return ERR_OK;
}

/* NAME [WHAT] key=value...; with_what: two plain words. */
static enum err read_choice(const struct sweep_policy *p, size_t line,
                            struct sweep_choice *c, char **word, size_t n,
                            bool with_what)
{
    const size_t plain = with_what ? 2 : 1;

    if (n < plain)
        return bad(p, line, "a name is missing", NULL);
    c->at = line;
    c->name = mem_text(word[0]);
    c->what = mem_text(word[plain - 1]);
    if (c->name == NULL || c->what == NULL)
        return no_memory();
    for (size_t k = plain; k < n; k++) {
        const char *equals = strchr(word[k], '=');

        if (equals == NULL)
            return bad(p, line, "key=value was expected, not", word[k]);
        ERR_TRY(add_pair(p, line, c, word[k], (size_t)(equals - word[k]),
                         equals + 1));
    }
    return ERR_OK;
}

static enum err read_seeds(struct sweep_policy *p, size_t line, char **word,
                           size_t n)
{
    for (size_t k = 0; k < n; k++) {
        char *end;
        const unsigned long long seed = strtoull(word[k], &end, 10);

        if (*end != '\0' || word[k][0] == '-' || seed > INT64_MAX)
            return bad(p, line, "not a seed:", word[k]);
        if (p->n_seeds == SWEEP_MOST)
            return bad(p, line, "more than 32 seeds", NULL);
        p->seed[p->n_seeds++] = seed;
    }
    return ERR_OK;
}

static enum err read_line(struct sweep_policy *p, size_t line, char **word,
                          size_t n)
{
    const struct {
        const char *name;
        struct sweep_choice *list;
        size_t *n;
        bool what;
    } factor[] = {{"dataset", p->dataset, &p->n_datasets, true},
                  {"model", p->model, &p->n_models, false},
                  {"mechanism", p->mechanism, &p->n_mechanisms, true}};

    for (size_t f = 0; f < 3; f++) {
        if (strcmp(word[0], factor[f].name) != 0)
            continue;
        if (*factor[f].n == SWEEP_MOST)
            return bad(p, line, "more than 32 of", word[0]);
        return read_choice(p, line, &factor[f].list[(*factor[f].n)++], word + 1,
                           n - 1, factor[f].what);
    }
    if (strcmp(word[0], "seed") == 0)
        return read_seeds(p, line, word + 1, n - 1);
    if (strcmp(word[0], "sensitivity") == 0) {
        for (size_t k = 1; k < n; k++) {
            if (p->n_tastes == SWEEP_MOST)
                return bad(p, line, "more than 32 sensitivities", NULL);
            ERR_TRY(read_choice(p, line, &p->taste[p->n_tastes++], word + k, 1,
                                false));
        }
        return ERR_OK;
    }
    if (n != 2)
        return bad(p, line,
                   "a line is KEY VALUE; see `recd help simulate`:", word[0]);
    if (strcmp(word[0], "out") == 0) {
        free(p->out);
        p->out = mem_text(word[1]);
        return p->out == NULL ? no_memory() : ERR_OK;
    }
    return add_pair(p, line, &p->set, word[0], strlen(word[0]), word[1]);
}

size_t cmd_sweep_cells(const struct sweep_policy *p)
{
    return p->n_datasets * p->n_models * p->n_mechanisms * p->n_tastes *
           p->n_seeds;
}

/* Seeds vary fastest, so that a setting is soon complete. */
struct sweep_cell cmd_sweep_cell_of(const struct sweep_policy *p, size_t i)
{
    struct sweep_cell c;

    c.seed = i % p->n_seeds;
    i /= p->n_seeds;
    c.mechanism = i % p->n_mechanisms;
    i /= p->n_mechanisms;
    c.taste = i % p->n_tastes;
    i /= p->n_tastes;
    c.model = i % p->n_models;
    c.dataset = i / p->n_models;
    return c;
}

/* The file's own lines say these, or one cell alone has them. */
static const char *const not_settings[] = {
    "model", "mechanism", "sensitivity", "people", "report", "dry-run", NULL};

/* What was noted, with the line that caused it. */
static enum err at_line(const struct sweep_policy *p, size_t line, enum err e)
{
    char why[400];

    if (e != ERR_ARG && e != ERR_FORMAT && e != ERR_NOTFOUND)
        return e;
    (void)snprintf(why, sizeof(why), "%s", err_note());
    return bad(p, line, why, NULL);
}

static enum err apply(struct cmd_sim_values *v, const struct sweep_policy *p,
                      const struct sweep_choice *c)
{
    for (size_t k = 0; k < c->n; k++) {
        for (size_t i = 0; not_settings[i] != NULL; i++) {
            if (strcmp(c->key[k], not_settings[i]) == 0)
                return bad(p, c->line[k],
                           "not a setting of a sweep:", c->key[k]);
        }
        const enum err e = opt_assign(cmd_sim_rows, v, c->key[k], c->value[k]);

        if (e != ERR_OK)
            return at_line(p, c->line[k], e);
    }
    return ERR_OK;
}

enum err cmd_sweep_values_of(struct cmd_sim_values *v,
                             const struct sweep_policy *p,
                             const struct sweep_cell *c)
{
    opt_defaults(cmd_sim_rows, v);
    ERR_TRY(apply(v, p, &p->set));
    ERR_TRY(apply(v, p, &p->dataset[c->dataset]));
    v->mechanism = p->mechanism[c->mechanism].what;
    ERR_TRY(apply(v, p, &p->mechanism[c->mechanism]));
    v->sensitivity = p->taste[c->taste].what;
    return ERR_OK;
}

enum err cmd_sweep_model_of(struct rec_model **out,
                            const struct sweep_policy *p, size_t model)
{
    const struct sweep_choice *c = &p->model[model];
    const struct rec_model_ops *ops;
    enum err e;

    *out = NULL;
    e = rec_model_find(c->what, &ops);
    if (e == ERR_OK)
        e = rec_model_new(out, ops);
    for (size_t k = 0; k < c->n && e == ERR_OK; k++)
        e = opt_assign(ops->opts, (*out)->opts, c->key[k], c->value[k]);
    return e == ERR_OK ? ERR_OK : at_line(p, c->at, e);
}

/* Everything that a cell's options can be wrong in, but for the data. */
static enum err check_cell(const struct sweep_policy *p, size_t i)
{
    const struct sweep_cell c = cmd_sweep_cell_of(p, i);
    struct cmd_sim_values v;
    struct sim_game_opts o;
    enum err e;

    ERR_TRY(cmd_sweep_values_of(&v, p, &c));
    e = cmd_sim_game(&o, &v, NULL, p->seed[0]);
    return e == ERR_OK ? ERR_OK : at_line(p, p->mechanism[c.mechanism].at, e);
}

static enum err check_tastes(const struct sweep_policy *p)
{
    struct sim_tastes tastes;

    for (size_t k = 0; k < p->n_tastes; k++) {
        const struct sweep_choice *c = &p->taste[k];
        const bool file = strncmp(c->what, "file:", 5) == 0;
        const enum err e = file ? ERR_OK : sim_tastes_parse(&tastes, c->what);

        if (e != ERR_OK)
            return at_line(p, c->at, e);
    }
    return ERR_OK;
}

/* Results are told apart by names. */
static enum err check_names(const struct sweep_policy *p,
                            const struct sweep_choice *c, size_t n)
{
    for (size_t k = 1; k < n; k++) {
        for (size_t i = 0; i < k; i++) {
            if (strcmp(c[i].name, c[k].name) == 0)
                return bad(p, c[k].at, "the name is taken:", c[k].name);
        }
    }
    return ERR_OK;
}

static enum err check(const struct sweep_policy *p)
{
    if (p->n_datasets == 0 || p->n_models == 0 || p->n_mechanisms == 0 ||
        p->n_tastes == 0 || p->n_seeds == 0 || p->out == NULL)
        return err_set(ERR_FORMAT,
                       "%s: a sweep needs at least one dataset, model, "
                       "mechanism, sensitivity and seed, and an out folder",
                       p->path);
    ERR_TRY(check_names(p, p->dataset, p->n_datasets));
    ERR_TRY(check_names(p, p->mechanism, p->n_mechanisms));
    ERR_TRY(check_tastes(p));
    for (size_t k = 0; k < p->n_models; k++) {
        struct rec_model *m;
        const enum err e = cmd_sweep_model_of(&m, p, k);

        rec_model_free(m);
        ERR_TRY(e);
    }
    for (size_t i = 0; i < cmd_sweep_cells(p); i += p->n_seeds)
        ERR_TRY(check_cell(p, i));
    return ERR_OK;
}

enum err cmd_sweep_policy_read(struct sweep_policy *p, const char *path)
{
    char line[LINE], *word[WORDS];
    FILE *f = fopen(path, "r");
    enum err e = ERR_OK;

    *p = (struct sweep_policy){.path = path};
    if (f == NULL)
        return err_set(ERR_IO, "cannot read %s: %s", path, strerror(errno));
    for (size_t i = 1; e == ERR_OK && fgets(line, sizeof(line), f) != NULL;
         i++) {
        if (strlen(line) + 1 == sizeof(line)) {
            e = bad(p, i, "the line is too long", NULL);
            break;
        }
        const size_t n = split_words(line, word);

        if (n > 0)
            e = read_line(p, i, word, n);
    }
    if (e == ERR_OK && ferror(f))
        e = err_set(ERR_IO, "cannot read %s: %s", path, strerror(errno));
    (void)fclose(f);
    return e == ERR_OK ? check(p) : e;
}
