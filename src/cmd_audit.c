/* src/cmd_audit.c - attack a model, or lists of any system, as an adversary. */
#include <stdlib.h>
#include <string.h>

#include "attack/dl_faithful.h"
#include "attack/report.h"
#include "attack/serve.h"
#include "attack/vectors.h"
#include "base/log.h"
#include "base/mem.h"
#include "src/audit.h"
#include "src/ui.h"
#include "unlearn/shards.h"

static struct values {
    const char *attack, *report, *scores, *vectors, *name, *setting, *unit;
    const char *target[4], *shadow[4];
    double bound;
    int64_t refs, length, people, certificate, faithful_epochs;
    bool faithful;
    const char *histories;
} v;

#define AT(field) offsetof(struct values, field)
#define FILE_ROW(name, field, help)                                            \
    {                                                                          \
        name, 0, OPT_TEXT, AT(field), NULL, 0, 0, "FILE", help                 \
    }
static const struct opt rows[] = {
    {"attack", 0, OPT_TEXT, AT(attack), "all", 0, 0, "A,B",
     "which attacks (`recd list attacks`), or all"},
    {"faithful", 0, OPT_BOOL, AT(faithful), NULL, 0, 0, NULL,
     "attacks as their programs do them, defects included (dl-mia, st-mia, "
     "sf-mia)"},
    {"faithful-epochs", 0, OPT_INT, AT(faithful_epochs), "10", 1, ATK_DL_EPOCHS,
     "N", "of dl-mia's encoders, other phases in proportion; published: 200"},
    {"name", 0, OPT_TEXT, AT(name), NULL, 0, 0, "NAME",
     "the model whose way of training is audited (else the only one)"},
    {"references", 0, OPT_INT, AT(refs), "16", 2, 1000, "N",
     "models to train on other people, for comparison"},
    {"people", 0, OPT_INT, AT(people), "200", 10, 1e6, "N",
     "forgotten: people to rehearse with"},
    {"certificate", 0, OPT_INT, AT(certificate), "0", 0, 1e15, "N",
     "forgotten: of which request (with --histories; else a rehearsal)"},
    {"histories", 0, OPT_TEXT, AT(histories), NULL, 0, 0, "FILE",
     "forgotten: the rows of those people, from their own copy"},
    {"list-length", 0, OPT_INT, AT(length), "100", 1, 10000, "K",
     "items of a list"},
    {"setting", 0, OPT_CHOICE, AT(setting), "honest", 0, 0,
     "honest|published|randomised",
     "serve everybody alike, or as the papers do, or with their defence"},
    {"unit", 0, OPT_CHOICE, AT(unit), "person", 0, 0, "person|interaction",
     "what is or is not in the training data: people, or single rows of theirs"},
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

/* Whether all of them have a published form of their own, where that is wanted;
 * and whether one is wanted that takes so long as to be shortened. */
static enum err check_faithful(const struct chosen *c)
{
    static const struct opt_use long_forms[] = {{"faithful-epochs", 1},
                                                {NULL, 0}};
    bool is_long = false;

    for (size_t i = 0; i < c->n; i++)
        is_long = is_long || strcmp(c->attack[i]->name, "dl-mia") == 0;
    ERR_TRY(opt_check_use(rows, &v, long_forms, v.faithful && is_long,
                          "an audit without --faithful --attack dl-mia"));
    for (size_t i = 0; i < c->n && v.faithful; i++) {
        if (c->attack[i]->faithful == NULL)
            return err_set(ERR_ARG,
                           "--faithful means nothing to %s, which has no other "
                           "published form: name attacks that have one "
                           "(--attack dl-mia,st-mia,sf-mia)",
                           c->attack[i]->name);
    }
    return ERR_OK;
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
    (void)snprintf(r->target, sizeof(r->target), "files");
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

/* --- a model ---------------------------------------------------------------
 */

struct recipe {
    const struct sto_model *info;
    const char *dir;
};

static enum err train_recipe(void *arg, const struct rec_data *d, uint64_t seed,
                             struct rec_model **out)
{
    const struct recipe *r = arg;

    return unl_train_like(out, r->info, r->dir, d, seed);
}

/* The ids of the people who are attacked: rows' names, found by key. */
static enum err name_people(struct atk_people *p, const struct cmd_audited *a)
{
    for (size_t u = 0; u < p->n; u++) {
        const uint32_t at =
            rec_key_find(a->rows.user_key, a->rows.n_users, p->key[u]);

        p->id[u] = mem_text(at == REC_NOBODY ? "" : a->name[at]);
        if (p->id[u] == NULL)
            return err_set(ERR_NOMEM, "no memory for names");
    }
    return ERR_OK;
}

static void note_model(struct atk_report *r, const struct recipe *recipe,
                       const struct rec_data *d, const struct atk_case *c,
                       const struct atk_served *served)
{
    unsigned char digest[KEY_DIGEST_BYTES];
    char hex[2 * KEY_DIGEST_BYTES + 1];

    rec_data_digest(d, digest);
    key_hex(digest, sizeof(digest), hex);
    atk_report_fact(r, "model", "%s: %s, options %.300s", recipe->info->name,
                    recipe->info->model, recipe->info->options);
    atk_report_fact(r, "training", "%.380s", recipe->info->training);
    atk_report_fact(r, "data", "%zu people, %zu items, %zu rows, digest %s",
                    d->n_users, d->n_items, d->n_rows, hex);
    key_hex(served->target_digest, KEY_DIGEST_BYTES, hex);
    atk_report_fact(
        r, "target",
        c->no_lists ? "the same recipe on everybody's rows, but one row of "
                      "each, which a fair coin leaves in or out: such a row "
                      "is called a person below; digest %s"
                    : "the same recipe on a random half of the people, "
                      "drawn by a fair coin each; digest %s",
        hex);
    atk_report_fact(r, "shadow and references",
                    "%zu models: the same recipe and size, other coins and "
                    "seeds, nothing else differs",
                    served->models - 1);
    atk_report_fact(r, "disjoint",
                    "the %zu people who are attacked and the %zu whom the "
                    "attacker knows are different people: checked",
                    c->target.n, c->shadow.n);
    atk_report_fact(
        r, "serving",
        strcmp(v.setting, "honest") == 0
            ? "honest: members and non-members by the same code, their "
              "histories folded in, items of the history left out, lists of "
              "%d"
        : strcmp(v.setting, "published") == 0
            ? "as published: members by what was learnt for them, others the "
              "most popular items, lists of %d"
            : "popularity randomisation: members by what was learnt for them, "
              "others items drawn from ten times as many of the most popular, "
              "lists of %d",
        (int)v.length);
    atk_report_fact(r, "vectors of items",
                    v.vectors != NULL ? "from a file"
                                      : "learnt by the attacker from "
                                        "the histories of their own "
                                        "people (ials)");
}

static bool are_disjoint(const struct atk_people *a, const struct atk_people *b)
{
    for (size_t u = 0; u < a->n; u++) { /* keys ascend on both sides */
        if (rec_key_find(b->key, b->n, a->key[u]) != REC_NOBODY)
            return false;
    }
    return true;
}

/* The case, and the canaries' beside it. */
static enum err serve_model(struct atk_case *c, struct atk_case *canaries,
                            struct recipe *recipe, const struct rec_data *d,
                            struct atk_report *r)
{
    struct atk_served served;
    const struct atk_serving how = {
        .train = train_recipe,
        .arg = recipe,
        .n_refs = (size_t)v.refs,
        .k = (size_t)v.length,
        .published = strcmp(v.setting, "honest") != 0,
        .randomised = strcmp(v.setting, "randomised") == 0,
        .rows = strcmp(v.unit, "interaction") == 0,
        .seed = c->seed,
    };

    if (how.rows && how.published)
        return err_set(ERR_ARG,
                       "--unit interaction asks models for scores: "
                       "--setting %s is about lists",
                       v.setting);
    ERR_TRY(atk_serve(c, d, &how, &served));
    if (!are_disjoint(&c->target, &c->shadow))
        return err_set(ERR_ARG, "somebody is on both sides of the audit");
    ERR_TRY(v.vectors != NULL
                ? atk_items_read(&c->items, v.vectors)
                : atk_items_learn(&c->items, &c->shadow, c->seed));
    ERR_TRY(atk_serve_canaries(canaries, d, &how));
    note_model(r, recipe, d, c, &served);
    return ERR_OK;
}

static enum err case_of_model(const struct cmd_common *common,
                              struct atk_case *c, struct atk_case *canaries,
                              struct atk_report *r)
{
    struct cmd_audited a;
    enum err e = cmd_audit_load(&a, common, v.name);
    struct recipe recipe = {&a.info, cmd_ui_store_dir(common)};

    if (e == ERR_OK)
        e = serve_model(c, canaries, &recipe, &a.rows, r);
    if (e == ERR_OK)
        cmd_audit_note_use(r, c, &a.held);
    if (e == ERR_OK)
        e = name_people(&c->target, &a);
    (void)snprintf(r->target, sizeof(r->target), "%s", a.info.name);
    cmd_audit_free(&a);
    return e;
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
    putchar('\n');
    if (!j->trusted)
        printf("%-12s %s\n", "", j->doubt);
}

static void say_rows(const struct atk_row_scores *s)
{
    if (s->n > 0)
        printf("%-12s score %.3f on average, %.3f by chance; one in ten above "
               "%.3f\n",
               "single rows", s->mean, s->chance, s->tenth);
}

static void say_verdict(const struct atk_report *r)
{
    const struct atk_judged *best = atk_report_strongest(r);

    printf("verdict: %s", atk_report_verdict(r));
    if (best != NULL && r->bound > 0)
        printf(" (bound %g, strongest attack %s: %.4f, at least %.4f)",
               r->bound, best->attack->name, best->area.value, best->area.lo);
    putchar('\n');
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
static void say_json(const struct atk_report *r, double seconds)
{
    const struct atk_judged *best = atk_report_strongest(r);
    json_t *out = atk_report_json(r);
    json_t *all = json_object_get(out, "attacks");

    for (size_t i = 0; i < r->n && best != NULL; i++) {
        if (&r->judged[i] == best)
            (void)json_object_update_missing(out, json_array_get(all, i));
    }
    (void)json_object_set_new(out, "target", json_string(r->target));
    (void)json_object_set_new(out, "seconds", json_real(seconds));
    cmd_ui_json(out);
}

/* Attacks on scores must find canaries, attacks on lists planted lists. */
static enum err judge_all(const struct chosen *chosen, struct atk_report *r,
                          struct atk_judged *judged,
                          const struct atk_case *canaries)
{
    const bool coins = canaries->target.n > 0;
    struct atk_case planted = {.seed = 0};
    enum err e = r->c->no_lists ? ERR_OK : atk_plant_lists(&planted, r->c);

    for (size_t i = 0; i < chosen->n && e == ERR_OK; i++) {
        log_tick("attacking", i, chosen->n, chosen->attack[i]->name);
        const bool scores = (chosen->attack[i]->needs & ATK_NEEDS_MODELS) != 0;

        e = atk_judge(chosen->attack[i], r->c, scores ? canaries : &planted,
                      coins, &judged[i]);
        r->n = i + 1;
    }
    log_tick("attacking", chosen->n, chosen->n, NULL);
    atk_case_free(&planted);
    return e;
}

static int membership(const struct cmd_common *c, bool files)
{
    struct atk_case attacked = {.seed = (uint64_t)c->seed}, canaries = {0};
    struct atk_judged *judged = mem_array(64, sizeof(*judged));
    struct atk_report r = {.c = &attacked, .judged = judged, .bound = v.bound};
    const double start = cmd_ui_now();
    struct chosen chosen;
    int status = CMD_DONE;
    enum err e = judged == NULL ? err_set(ERR_NOMEM, "no memory for an audit")
                                : choose(&chosen);

    if (e == ERR_OK)
        e = check_faithful(&chosen);

    if (e == ERR_OK)
        e = files ? case_of_files(&attacked, &r)
                  : case_of_model(c, &attacked, &canaries, &r);
    if (e == ERR_OK) {
        atk_report_fact(&r, "people",
                        "%zu members and %zu others are attacked; the attacker "
                        "knows %zu",
                        attacked.target.n_members,
                        attacked.target.n - attacked.target.n_members,
                        attacked.shadow.n);
        atk_report_fact(&r, "made by", "recd %s, seed %lld", PACKAGE_VERSION,
                        (long long)c->seed);
        e = cmd_audit_note_sides(&r, &attacked);
    }
    if (e == ERR_OK) {
        attacked.faithful = v.faithful;
        attacked.epochs = (size_t)v.faithful_epochs;
        e = judge_all(&chosen, &r, judged, &canaries);
    }
    if (e == ERR_OK && attacked.no_lists)
        e = atk_row_scores(&r.rows, &attacked.of_target, attacked.target.key,
                           attacked.target.n, attacked.seed);
    if (e == ERR_OK)
        e = write_files(&r);
    for (size_t i = 0; i < r.n && e == ERR_OK && !c->json; i++)
        say(&judged[i]);
    if (e == ERR_OK && !c->json) {
        say_rows(&r.rows);
        say_verdict(&r);
    }
    if (e == ERR_OK && c->json)
        say_json(&r, cmd_ui_now() - start);
    if (e == ERR_OK && strcmp(atk_report_verdict(&r), "leaks") == 0)
        status = CMD_NO;
    for (size_t i = 0; i < r.n; i++)
        atk_judged_free(&judged[i]);
    atk_row_scores_free(&r.rows);
    free(judged);
    atk_case_free(&attacked);
    atk_case_free(&canaries);
    return e == ERR_OK ? status : cmd_ui_exit(e);
}

/* --- options ---------------------------------------------------------------
 */

enum mode { OF_MODEL = 1, OF_FILES = 2, OF_REHEARSAL = 4, OF_CERTIFICATE = 8 };
#define OF_MEMBERS (OF_MODEL | OF_FILES)

/* What an option is for, where that is not everything. */
static const struct opt_use meant_for[] = {
    {"attack", OF_MEMBERS},
    {"faithful", OF_MEMBERS},
    {"faithful-epochs", OF_MEMBERS},
    {"name", OF_MODEL | OF_REHEARSAL | OF_CERTIFICATE},
    {"references", OF_MODEL | OF_REHEARSAL | OF_CERTIFICATE},
    {"people", OF_REHEARSAL},
    {"certificate", OF_REHEARSAL | OF_CERTIFICATE}, /* asks for --histories */
    {"histories", OF_CERTIFICATE},
    {"list-length", OF_MODEL},
    {"setting", OF_MODEL},
    {"unit", OF_MODEL},
    {"max-auc", OF_MEMBERS},
    {"report", OF_MEMBERS},
    {"scores", OF_MEMBERS},
    {"target-members", OF_FILES},
    {"target-nonmembers", OF_FILES},
    {"member-lists", OF_FILES},
    {"nonmember-lists", OF_FILES},
    {"shadow-members", OF_FILES},
    {"shadow-nonmembers", OF_FILES},
    {"shadow-member-lists", OF_FILES},
    {"shadow-nonmember-lists", OF_FILES},
    {"item-vectors", OF_MEMBERS},
    {NULL, 0},
};

static enum err check_options(enum mode mode)
{
    static const char *const what[] = {
        [OF_MODEL] = "`recd audit membership` of a model",
        [OF_FILES] = "`recd audit membership` of files",
        [OF_REHEARSAL] = "`recd audit forgotten` as a rehearsal",
        [OF_CERTIFICATE] = "`recd audit forgotten --certificate`"};

    return opt_check_use(rows, &v, meant_for, mode, what[mode]);
}

static int run(const struct cmd_common *c, int n_words, char **word)
{
    const struct cmd_audit_forgotten how = {v.name, v.histories, v.certificate,
                                            v.people, v.refs};
    const bool members = n_words == 1 && strcmp(word[0], "membership") == 0;
    const bool forgotten = n_words == 1 && strcmp(word[0], "forgotten") == 0;
    const bool files = any(v.target) || any(v.shadow);
    enum err e = ERR_OK;

    if (!members && !forgotten)
        e = err_set(ERR_ARG, "say what to audit: `recd audit membership` or "
                             "`recd audit forgotten`");
    else
        e = check_options(members               ? files ? OF_FILES : OF_MODEL
                          : v.histories == NULL ? OF_REHEARSAL
                                                : OF_CERTIFICATE);
    if (e != ERR_OK)
        return cmd_ui_exit(e);
    return members ? membership(c, files) : cmd_audit_forgotten(c, &how);
}

extern const struct cmd cmd_audit;
const struct cmd cmd_audit = {
    .name = "audit",
    .words = "membership|forgotten [options]",
    .help = "attack a model as an adversary would",
    .opts = rows,
    .values = &v,
    .run = run,
};
