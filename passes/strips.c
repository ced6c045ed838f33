/* SPDX-License-Identifier: Apache-2.0 */
/* A weight by output channel, in strips of channels that threads take one by one: whatever is added
 * up of a channel is added in the order of memory, so no result depends on threads. A strip is read
 * in runs, which are so short that what is made of one stays in registers and the first cache; of
 * most the length is known when this is compiled, and the loops over them are vectors. */
#include "passes/scale_priv.h"

#include <string.h>

enum {
    FEW = 1 << 16, /* elements of a strip, about; a weight of fewer is not worth a thread */
    AHEAD = 8,     /* runs that are asked of memory before: no processor foresees such strides */
    LINE = 64,
};

ScStrips sc_strips(const ScBlob *b, const ScScaledProduct *p)
{
    ScStrips s = {.b = b, .channels = (size_t)p->channels, .inner = (size_t)p->inner};
    s.width = s.inner < FEW / SC_RUN ? SC_RUN : (FEW + s.inner - 1) / s.inner;
    s.n = (s.channels + s.width - 1) / s.width;
    return s;
}

void sc_strips_each(const ScStrips *s, void (*body)(void *arg, size_t strip), void *arg)
{
    if (s->b->count >= FEW)
        sc_each(s->n, body, arg);
    else
        for (size_t i = 0; i < s->n; i++)
            body(arg, i);
}

ScRun sc_run_begin(const ScStrips *s, size_t strip)
{
    size_t first = strip * s->width, left = s->channels - first;
    return (ScRun){.first = first,
                   .past = first + (left < s->width ? left : s->width),
                   .ahead = (s->inner == 1 ? AHEAD * s->channels : AHEAD * SC_RUN) * sizeof(float)};
}

bool sc_run_next(const ScStrips *s, ScRun *r)
{
    bool along = s->inner == 1; /* neighbours are of channels side by side, else of one */
    size_t c = r->n == 0 ? r->first : along ? r->c + r->n : r->c, in = along ? 0 : r->in + r->n;
    if (!along && in == s->inner) {
        in = 0;
        c++;
    }
    if (c == r->past) {
        c = r->first;
        r->outer++;
    }
    size_t left = along ? r->past - c : s->inner - in;
    r->c = c;
    r->in = in;
    r->n = left < SC_RUN ? left : SC_RUN;
    r->at = (r->outer * s->channels + c) * s->inner + in;
    return r->at < s->b->count;
}

void sc_run_load(const ScBlob *b, const ScRun *r, float *ret)
{
    uint32_t bits = scrt_dtype_bits(b->dtype);
    if (b->dtype == SCRT_F32) { /* nearly all of them; in a file, where nothing is aligned */
        const char *from = (const char *)b->data + r->at * sizeof *ret;
        for (size_t k = 0; k < r->n * sizeof *ret; k += LINE)
            __builtin_prefetch(from + r->ahead + k);
        memcpy(ret, from, r->n * sizeof *ret);
    } else if (bits >= 8)
        scrt_convert(r->n, SCRT_F32, ret, b->dtype, (const char *)b->data + r->at * bits / 8, false,
                     SCRT_NEAREST);
    else
        for (size_t k = 0; k < r->n; k++)
            ret[k] = (float)scrt_load(b->dtype, b->data, r->at + k);
}
