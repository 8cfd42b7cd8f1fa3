/*
 * attack/report.h - what an audit found, for people and for machines.
 *
 * The same audit gives the same bytes: no date, no duration, no path is in
 * here.
 */
#ifndef ATK_REPORT_H
#define ATK_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "attack/judge.h"
#include "attack/row_score.h"
#include "base/err.h"

#define ATK_FACTS 24

/* A line of the report's head: what was audited, and how. */
struct atk_fact {
    const char *name;
    char text[400];
};

struct atk_report {
    struct atk_fact fact[ATK_FACTS];
    size_t n_facts;
    const struct atk_case *c;
    const struct atk_judged *judged; /* [n] */
    size_t n;
    struct atk_row_scores rows; /* where single rows are in question; n == 0:
                                   they are not */
    double bound;               /* an area that is not to be passed, or 0 */
    char target[64];            /* name of the model, or "files" */
};

/* One more fact; too many are a mistake of the program. */
void atk_report_fact(struct atk_report *r, const char *name, const char *fmt,
                     ...) __attribute__((format(printf, 3, 4)));

/* The attack of the largest area, or NULL when none ran. */
const struct atk_judged *atk_report_strongest(const struct atk_report *r);

/* "passed", "leaks" (the bound is shown to be passed), "undecided" (the bound
 * is within the interval), "no bound" or "not judged" (a control is missing or
 * came out wrong). */
const char *atk_report_verdict(const struct atk_report *r);

/* NULL without memory. */
json_t *atk_report_json(const struct atk_report *r);
void atk_report_html(const struct atk_report *r, FILE *out);
/* person,member,attack columns (and row_score): one row a person. */
void atk_report_csv(const struct atk_report *r, FILE *out);

#endif
