/* src/audit_facts.c - how like the target the attacker's shadow is. */
#include "attack/alike.h"
#include "src/audit.h"

#define CUT 20 /* of lists whose use is measured */

enum err cmd_audit_note_sides(struct atk_report *r, const struct atk_case *c)
{
    struct atk_alike a;
    char text[300];

    ERR_TRY(atk_alike(&a, &c->target, &c->shadow, c->items.n));
    atk_counted_say(&a.target, !c->no_lists, text, sizeof(text));
    atk_report_fact(r, "target, counted", "%s", text);
    if (c->shadow.n == 0)
        return ERR_OK;
    atk_counted_say(&a.shadow, !c->no_lists, text, sizeof(text));
    atk_report_fact(r, "shadow, counted", "%s", text);
    atk_report_fact(r, "shadow and target",
                    "%zu items are in histories of both, %zu of the target's "
                    "and %zu of the shadow's are not; %zu people are on both "
                    "sides%s",
                    a.both, a.target.met - a.both, a.shadow.met - a.both,
                    a.people,
                    a.people > 0 ? ": the attacker knows their membership in "
                                   "the shadow"
                                 : "");
    return ERR_OK;
}

void cmd_audit_note_use(struct atk_report *r, const struct atk_case *c,
                        const struct rec_data *held)
{
    struct atk_useful of[2];

    if (c->no_lists)
        return;
    if (held->n_rows == 0) {
        atk_report_fact(r, "utility",
                        "not compared: the store has no test rows (`recd "
                        "split`, `recd import --as test`)");
        return;
    }
    atk_useful(&of[0], &c->target, held, CUT);
    atk_useful(&of[1], &c->shadow, held, CUT);
    for (int i = 0; i < 2; i++)
        atk_report_fact(r, i == 0 ? "utility, target" : "utility, shadow",
                        "test rows of %zu members and %zu others: recall@%d "
                        "%.4f and %.4f, ndcg@%d %.4f and %.4f",
                        of[i].people[1], of[i].people[0], CUT, of[i].recall[1],
                        of[i].recall[0], CUT, of[i].ndcg[1], of[i].ndcg[0]);
    atk_report_fact(r, "utility, difference",
                    "shadow minus target: ndcg@%d %+.4f for members, %+.4f for "
                    "others",
                    CUT, of[1].ndcg[1] - of[0].ndcg[1],
                    of[1].ndcg[0] - of[0].ndcg[0]);
}
