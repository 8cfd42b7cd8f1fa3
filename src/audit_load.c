/* src/audit_load.c - what an audit reads of a store. */
#include <stdlib.h>

#include "base/mem.h"
#include "src/audit.h"
#include "src/ui.h"

static enum err read_names(struct cmd_audited *a, struct sto_view *v)
{
    const struct rec_data *d = &a->rows;
    const size_t n = d->n_users + d->n_items;

    a->name = mem_array(n, sizeof(*a->name));
    a->about = mem_array(d->n_items, sizeof(*a->about));
    if (a->name == NULL || a->about == NULL)
        return err_set(ERR_NOMEM, "no memory for names");
    for (size_t i = 0; i < n; i++) {
        const bool user = i < d->n_users;
        struct sto_entity e;

        ERR_TRY(sto_get_entity(
            v, user ? STO_USERS : STO_ITEMS,
            user ? d->user_key[i] : d->item_key[i - d->n_users], &e));
        a->name[i] = mem_text(e.id);
        if (a->name[i] == NULL)
            return err_set(ERR_NOMEM, "no memory for names");
        a->n_names++;
        if (user)
            continue;
        a->about[a->n_about] = mem_text(e.attributes);
        if (a->about[a->n_about++] == NULL)
            return err_set(ERR_NOMEM, "no memory for attributes");
    }
    return ERR_OK;
}

enum err cmd_audit_load(struct cmd_audited *out, const struct cmd_common *c,
                        const char *name)
{
    struct cmd_opened o = {0};
    enum err e = cmd_ui_open_model(&o, c, name);

    *out = (struct cmd_audited){.n_names = 0};
    if (e == ERR_OK)
        rec_model_digest(o.m, out->digest);
    if (e == ERR_OK)
        e = rec_data_load(&out->rows, o.v);
    if (e == ERR_OK)
        e = rec_data_load_in(&out->held, o.v, STO_TEST, out->rows.user_key,
                             out->rows.n_users, out->rows.item_key,
                             out->rows.n_items);
    if (e == ERR_OK)
        e = read_names(out, o.v);
    if (e == ERR_OK)
        out->encrypted = sto_view_encrypted(o.v);
    out->info = o.info;
    o.info = (struct sto_model){.seconds = 0};
    cmd_ui_close(&o);
    return e;
}

void cmd_audit_free(struct cmd_audited *a)
{
    for (size_t i = 0; i < a->n_names; i++)
        free(a->name[i]);
    free(a->name);
    for (size_t i = 0; i < a->n_about; i++)
        free(a->about[i]);
    free(a->about);
    rec_data_free(&a->rows);
    rec_data_free(&a->held);
    sto_model_free(&a->info);
    *a = (struct cmd_audited){.n_names = 0};
}
