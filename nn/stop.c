/* nn/stop.c - early stopping. */
#include "nn/stop.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static size_t stop_bytes(const struct nn_stop *s)
{
    return nn_params_size(s->params) * nn_params_kernels(s->params)->size;
}

enum err nn_stop_init(struct nn_stop *s, struct nn_params *params,
                      size_t patience, bool lower)
{
    *s = (struct nn_stop){
        .params = params, .patience = patience, .lower = lower};
    s->weights = mem_array(stop_bytes(s), 1);
    if (s->weights == NULL)
        return err_set(ERR_NOMEM, "no memory to keep the best weights");
    return ERR_OK;
}

void nn_stop_free(struct nn_stop *s)
{
    free(s->weights);
    s->weights = NULL;
}

bool nn_stop_tell(struct nn_stop *s, double metric)
{
    const bool first = s->best_at == 0 && metric == metric;
    const bool better =
        first || (s->lower ? metric < s->best : metric > s->best);

    s->told++;
    if (better) {
        s->best = metric;
        s->best_at = s->told;
        memcpy(s->weights, nn_params_values(s->params), stop_bytes(s));
    }
    return s->told - s->best_at < s->patience;
}

void nn_stop_restore(struct nn_stop *s)
{
    if (s->best_at > 0)
        memcpy(nn_params_values(s->params), s->weights, stop_bytes(s));
}
