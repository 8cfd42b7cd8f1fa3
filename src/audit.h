/* src/audit.h - what the files of `recd audit` share. */
#ifndef SRC_AUDIT_H
#define SRC_AUDIT_H

#include <stdint.h>

#include "src/cmd.h"

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
