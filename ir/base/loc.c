/* SPDX-License-Identifier: Apache-2.0 */
/* Locations: interned lists of the ONNX nodes that a node came from. */
#include "ir/base/base_priv.h"

#include <stdlib.h>
#include <string.h>

/* The parts are interned before the whole, so equal locations are equal bytes. */
static const ScLoc *intern(ScCtx *cx, const char *file, uint32_t line, ScPhase phase, uint32_t n,
                           const ScOrigin *origin)
{
    ScLoc l;
    memset(&l, 0, sizeof l); /* padding is compared too */
    l.file = file ? sc_intern(cx, file) : NULL;
    l.line = line;
    l.phase = phase;
    l.n = n;
    l.origin = sc_intern_bytes(cx, origin, n * sizeof *origin);
    return sc_intern_bytes(cx, &l, sizeof l);
}

const ScLoc *sc_loc(ScCtx *cx, const char *file, uint32_t line, ScPhase phase, uint32_t n,
                    const ScOrigin *origin)
{
    ScOrigin few[4], *o = n <= 4 ? few : sc_realloc(NULL, n * sizeof *o);
    uint32_t k = 0;
    memset(o, 0, n * sizeof *o);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = origin[i].name ? sc_intern(cx, origin[i].name) : NULL;
        const char *op = origin[i].op ? sc_intern(cx, origin[i].op) : NULL;
        uint32_t j = 0;
        while (j < k && !(o[j].name == name && o[j].op == op && o[j].index == origin[i].index))
            j++;
        if (j < k)
            continue;
        o[k].name = name;
        o[k].op = op;
        o[k++].index = origin[i].index;
    }
    const ScLoc *l = intern(cx, file, line, phase, k, o);
    if (o != few)
        free(o);
    return l;
}

/* Model order; origins read from text have no index and stay where they are. */
static bool before(const ScOrigin *a, const ScOrigin *b)
{
    return a->index >= 0 && b->index >= 0 && a->index < b->index;
}

const ScLoc *sc_loc_join(ScCtx *cx, const ScLoc *a, const ScLoc *b)
{
    if (!a || !b || a == b)
        return a ? a : b;
    uint32_t n = a->n + b->n, k = 0, i = 0, j = 0;
    ScOrigin *o = sc_realloc(NULL, (n ? n : 1) * sizeof *o);
    while (i < a->n || j < b->n)
        o[k++] = j < b->n && (i == a->n || before(&b->origin[j], &a->origin[i])) ? b->origin[j++]
                                                                                 : a->origin[i++];
    const ScLoc *l = sc_loc(cx, a->file, a->line, a->phase, n, o);
    free(o);
    return l;
}
