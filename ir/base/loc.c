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

/* Marks which of few or many origins are met for the first time: a table of places in o. */
typedef struct Met {
    uint32_t cap; /* a power of two, more than half free */
    uint32_t *at; /* 1 + place, 0: free */
} Met;

static bool first_time(Met *m, const ScOrigin *o, uint32_t k)
{
    uint64_t h = sc_hash_word((uintptr_t)o[k].name, (uintptr_t)o[k].op);
    uint32_t i = (uint32_t)sc_hash_word(h, (uint32_t)o[k].index) & (m->cap - 1);
    for (; m->at[i]; i = (i + 1) & (m->cap - 1)) {
        const ScOrigin *q = &o[m->at[i] - 1];
        if (q->name == o[k].name && q->op == o[k].op && q->index == o[k].index)
            return false;
    }
    m->at[i] = k + 1;
    return true;
}

const ScLoc *sc_loc(ScCtx *cx, const char *file, uint32_t line, ScPhase phase, uint32_t n,
                    const ScOrigin *origin)
{
    enum { FEW = 4 };
    ScOrigin few[FEW], *o = n <= FEW ? few : sc_realloc(NULL, n * sizeof *o);
    uint32_t few_at[4 * FEW], k = 0;
    Met m = {.cap = 4 * FEW, .at = few_at};
    while (m.cap < 2 * n)
        m.cap *= 2;
    if (n > FEW)
        m.at = sc_realloc(NULL, m.cap * sizeof *m.at);
    memset(m.at, 0, m.cap * sizeof *m.at);
    memset(o, 0, n * sizeof *o);
    for (uint32_t i = 0; i < n; i++) {
        o[k].name = origin[i].name ? sc_intern(cx, origin[i].name) : NULL;
        o[k].op = origin[i].op ? sc_intern(cx, origin[i].op) : NULL;
        o[k].index = origin[i].index;
        k += first_time(&m, o, k);
    }
    const ScLoc *l = intern(cx, file, line, phase, k, o);
    if (o != few) {
        free(o);
        free(m.at);
    }
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

const ScLoc *sc_loc_join_all(ScCtx *cx, uint32_t n, const ScLoc *const *loc)
{
    /* By halves, so that no list is copied more often than there are halvings. */
    if (n <= 1)
        return n ? loc[0] : NULL;
    return sc_loc_join(cx, sc_loc_join_all(cx, n / 2, loc),
                       sc_loc_join_all(cx, n - n / 2, loc + n / 2));
}
