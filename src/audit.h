/* src/audit.h - what the files of `recd audit` share. */
#ifndef SRC_AUDIT_H
#define SRC_AUDIT_H

#include <stdint.h>

#include "attack/report.h"
#include "base/key.h"
#include "rec/data.h"
#include "src/cmd.h"
#include "store/store.h"

/* What an audit reads of a store, which is closed again: the training that
 * follows takes minutes, and must not make a forget beside it wait. */
struct cmd_audited {
    struct sto_model info; /* of the model that was asked for */
    unsigned char digest[KEY_DIGEST_BYTES]; /* of it, as it is stored */
    struct rec_data rows;                   /* for training */
    struct rec_data held; /* test rows, of the people and items of those */
    char **name;          /* [users], then [items]: ids; in the order of rows */
    char **about;         /* [items] their attributes as JSON, or "" */
    size_t n_names, n_about;
    bool encrypted; /* the store: so are copies of it */
};
/* name: of the model, or NULL: the only one. */
ERR_CHECK
enum err cmd_audit_load(struct cmd_audited *out, const struct cmd_common *c,
                        const char *name);
void cmd_audit_free(struct cmd_audited *a);

/* Into the report: what can be counted of target and shadow, and where they
 * differ.  ERR_NOMEM. */
ERR_CHECK
enum err cmd_audit_note_sides(struct atk_report *r, const struct atk_case *c);
/* Into the report: whether the shadow recommends as well as the target, by
 * their lists and the store's test rows. */
void cmd_audit_note_use(struct atk_report *r, const struct atk_case *c,
                        const struct rec_data *held);

struct cmd_audit_forgotten {
    const char *name;      /* of the model, or NULL: the only one */
    const char *histories; /* file of the forgotten people's rows, or NULL */
    int64_t certificate;   /* of that forget, or 0 */
    int64_t people;        /* to rehearse with */
    int64_t references;
};

/* `recd audit forgotten`: returns an enum cmd_exit. */
int cmd_audit_forgotten(const struct cmd_common *c,
                        const struct cmd_audit_forgotten *how);

#endif
