/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of the session, one after another: states move on, and outputs may grow with them. */
#include "runtime/main_priv.h"

#include <string.h>

bool scrtio_same_shape(const ScrtTensor *a, const ScrtTensor *b)
{
    return a->dtype == b->dtype && a->rank == b->rank &&
           !memcmp(a->dims, b->dims, a->rank * sizeof *a->dims);
}

ScrtStatus scrtio_fit_outputs(Cli *c)
{
    uint32_t n = c->entry->n_state ? c->entry->n_out : 0; /* else they keep their extents */
    ScrtTensor *now = c->next_out;
    ScrtStatus s = n ? scrt_shapes(c->session, c->in, now) : SCRT_OK;
    for (uint32_t i = 0; s == SCRT_OK && i < n; i++)
        if (!scrtio_same_shape(&now[i], &c->out[i])) {
            scrt_free(c->out[i].data);
            c->out[i].data = NULL;
        }
    return s;
}

int scrtio_run_model(Cli *c)
{
    ScrtIoError err = {""};
    if (c->run)
        return c->run(c->self, c->in, c->out, &err) == SCRT_OK
                   ? DONE
                   : scrtio_fail(c, FAULT, "%s", err.text);
    for (int64_t i = 0; i < (c->repeat ? c->repeat : 1); i++)
        if (scrtio_fit_outputs(c) != SCRT_OK || scrt_run(c->session, c->in, c->out) != SCRT_OK)
            return scrtio_fail_run(c);
    c->ran = true;
    return DONE;
}
