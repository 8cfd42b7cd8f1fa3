/* src/cmd_audit.c - attack a model, or lists of any system, as an adversary. */
#include <stdlib.h>
#include <string.h>

#include "attack/report.h"
#include "attack/vectors.h"
#include "base/log.h"
#include "base/mem.h"
#include "src/ui.h"

static struct values {
    const char *attack, *report, *scores, *vectors;
    const char *target[4], *shadow[4];
    double bound;
} v;

#define AT(field) offsetof(struct values, field)
#define FILE_ROW(name, field, help)                                            \
    {                                                                          \
        name, 0, OPT_TEXT, AT(field), NULL, 0, 0, "FILE", help                 \
    }
static const struct opt rows[] = {
    {"attack", 0, OPT_TEXT, AT(attack), "all", 0, 0, "A,B",
     "which attacks (`recd list attacks`), or all"},
    {"max-auc", 0, OPT_REAL, AT(bound), "0", 0, 1, "X",
     "status 3 when an attack is shown to pass this area; 0 = no bound"},
    FILE_ROW("report", report, "write the report there, as one HTML page"),
    FILE_ROW("scores", scores, "write each person's scores there, as CSV"),
    FILE_ROW("target-members", target[0],
             "histories of people in the training data"),
    FILE_ROW("target-nonmembers", target[1], "histories of others"),
    FILE_ROW("member-lists", target[2],
             "what the system recommends to the members, best first"),
    FILE_ROW("nonmember-lists", target[3], "and to the others"),
    FILE_ROW("shadow-members", shadow[0],
             "the same of a system that the attacker trained"),
    FILE_ROW("shadow-nonmembers", shadow[1], "likewise"),
    FILE_ROW("shadow-member-lists", shadow[2], "likewise"),
    FILE_ROW("shadow-nonmember-lists", shadow[3], "likewise"),
    FILE_ROW("item-vectors", vectors,
             "a line for each item: its id and numbers (else learnt from the "
             "histories)"),
    {NULL, 0, OPT_BOOL, 0, NULL, 0, 0, NULL, NULL},
};

/* --- which attacks -------------------------------------------------------- */

struct chosen {
    const struct atk_attack *attack[64];
    size_t n;
};

static enum err choose(struct chosen *out)
{
    const char *word = v.attack;

    *out = (struct chosen){.n = 0};
    if (strcmp(word, "all") == 0) {
        while (atk_attacks[out->n] != NULL && out->n < 64) {
            out->attack[out->n] = atk_attacks[out->n];
            out->n++;
        }
        return ERR_OK;
    }
    while (*word != '\0') {
        char name[40];
        const size_t n = strcspn(word, ",");

        if (out->n == 64)
            return err_set(ERR_ARG, "--attack names too many");
        (void)snprintf(name, sizeof(name), "%.*s", (int)(n < 39 ? n : 39),
                       word);
        ERR_TRY(atk_attack_find(name, &out->attack[out->n++]));
        word += n + (word[n] == ',');
    }
    return out->n > 0 ? ERR_OK : err_set(ERR_ARG, "--attack names no attack");
}

/* --- the case ------------------------------------------------------------- */

static struct atk_files files_of(const char *const path[4])
{
    return (struct atk_files){path[0], path[1], path[2], path[3]};
}

static bool any(const char *const path[4])
{
    return path[0] != NULL || path[1] != NULL || path[2] != NULL ||
           path[3] != NULL;
}

static enum err case_of_files(struct atk_case *c, struct atk_report *r)
{
    struct atk_people side[2] = {{0}};
    const struct atk_files files[2] = {files_of(v.target), files_of(v.shadow)};
    const size_t n = any(v.shadow) ? 2 : 1;
    enum err e = atk_people_read(side, &c->items, files, n);

    c->target = side[0];
    c->shadow = side[1];
    if (e == ERR_OK && v.vectors != NULL)
        e = atk_items_read(&c->items, v.vectors);
    else if (e == ERR_OK)
        e = atk_items_learn(&c->items, n == 2 ? &c->shadow : &c->target,
                            c->seed);
    if (e != ERR_OK)
        return e;
    atk_report_fact(r, "target", "histories and lists from files");
    atk_report_fact(r, "shadow",
                    n == 2 ? "histories and lists from files" : "none");
    atk_report_fact(r, "people left out",
                    "%zu of the target, %zu of the shadow: a history without a "
                    "list, or a list without a history",
                    c->target.dropped, c->shadow.dropped);
    atk_report_fact(r, "vectors of items",
                    v.vectors != NULL ? "from a file"
                                      : "learnt from the histories (ials)");
    atk_report_fact(r, "serving",
                    "not known: where members and non-members are served "
                    "differently, an attack finds the difference");
    return ERR_OK;
}

/* --- the whole ------------------------------------------------------------ */

static void say(const struct atk_judged *j)
{
    if (!j->ran) {
        printf("%-12s did not run: %s\n", j->attack->name, j->why);
        return;
    }
    printf("%-12s area %.4f (%.4f to %.4f)", j->attack->name, j->area.value,
           j->area.lo, j->area.hi);
    if (j->has_threshold)
        printf(", accuracy %.4f", j->accuracy);
    if (j->at[1].resolvable)
        printf(", finds %.1f %% of members at 1 %% false alarms",
               100 * j->at[1].tpr.value);
    printf("%s\n", j->trusted ? "" : "; its controls are not good");
}

static enum err write_files(const struct atk_report *r)
{
    struct cmd_output out;

    if (v.report != NULL) {
        ERR_TRY(cmd_ui_create(&out, v.report));
        atk_report_html(r, out.file);
        ERR_TRY(cmd_ui_finish(&out, ERR_OK));
    }
    if (v.scores != NULL) {
        ERR_TRY(cmd_ui_create(&out, v.scores));
        atk_report_csv(r, out.file);
        ERR_TRY(cmd_ui_finish(&out, ERR_OK));
    }
    return ERR_OK;
}

/* The fields of the strongest attack stand at the top as well: scripts that
 * ask for one attack read them there. */
static void say_json(const struct atk_report *r, const char *target,
                     double seconds)
{
    const struct atk_judged *best = atk_report_strongest(r);
    json_t *out = atk_report_json(r);
    json_t *all = json_object_get(out, "attacks");

    for (size_t i = 0; i < r->n && best != NULL; i++) {
        if (&r->judged[i] == best)
            (void)json_object_update_missing(out, json_array_get(all, i));
    }
    (void)json_object_set_new(out, "target", json_string(target));
    (void)json_object_set_new(out, "seconds", json_real(seconds));
    cmd_ui_json(out);
}

static enum err judge_all(const struct chosen *chosen, struct atk_report *r,
                          struct atk_judged *judged, bool coins)
{
    struct atk_case planted = {.seed = 0};
    enum err e = atk_plant_lists(&planted, r->c);

    for (size_t i = 0; i < chosen->n && e == ERR_OK; i++) {
        log_tick("attacking", i, chosen->n, chosen->attack[i]->name);
        e = atk_judge(chosen->attack[i], r->c, &planted, coins, &judged[i]);
        r->n = i + 1;
    }
    log_tick("attacking", chosen->n, chosen->n, NULL);
    atk_case_free(&planted);
    return e;
}

static int membership(const struct cmd_common *c)
{
    struct atk_case attacked = {.seed = (uint64_t)c->seed};
    struct atk_judged *judged = mem_array(64, sizeof(*judged));
    struct atk_report r = {.c = &attacked, .judged = judged, .bound = v.bound};
    const double start = cmd_ui_now();
    struct chosen chosen;
    int status = CMD_DONE;
    enum err e = judged == NULL ? err_set(ERR_NOMEM, "no memory for an audit")
                                : choose(&chosen);

    if (e == ERR_OK)
        e = case_of_files(&attacked, &r);
    if (e == ERR_OK)
        e = judge_all(&chosen, &r, judged, false);
    if (e == ERR_OK)
        e = write_files(&r);
    for (size_t i = 0; i < r.n && e == ERR_OK && !c->json; i++)
        say(&judged[i]);
    if (e == ERR_OK && c->json)
        say_json(&r, "files", cmd_ui_now() - start);
    if (e == ERR_OK && strcmp(atk_report_verdict(&r), "leaks") == 0)
        status = CMD_NO;
    for (size_t i = 0; i < r.n; i++)
        atk_judged_free(&judged[i]);
    free(judged);
    atk_case_free(&attacked);
    return e == ERR_OK ? status : cmd_ui_exit(e);
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    if (n_words != 1 || strcmp(word[0], "membership") != 0)
        return cmd_ui_exit(
            err_set(ERR_ARG, "say what to audit: `recd audit membership ...`"));
    return membership(c);
}

extern const struct cmd cmd_audit;
const struct cmd cmd_audit = {
    .name = "audit",
    .words = "membership [options]",
    .help = "attack a model as an adversary would",
    .opts = rows,
    .values = &v,
    .run = run,
};
