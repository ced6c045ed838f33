/* SPDX-License-Identifier: Apache-2.0 */
/* Operands of products that come from FP8, by a cast and a scale, as DequantizeLinear
 * is imported: the product reads what is stored, and the scales multiply its result, in the
 * epilogue. A power of two there changes no bit but where f32 over- or underflows. Of tables the
 * rows are picked as they are stored, and widened then: no bit changes, and of a vocabulary a few
 * rows are read instead of all. */
#include <string.h>

#include "passes/match.h"

#define MAX_DEPTH 8 /* casts, scales and views over what is stored */

typedef struct Stored {
    ScVal codes;    /* SC_ABSENT: the operand stays as it is */
    double by;      /* a number that it is multiplied with */
    ScVal channels; /* or a constant of one number for each channel of the result */
} Stored;

uint32_t match_channel_axis(const ScGraph *g, const ScNode *n, const ScType *w)
{
    if (n->op->contract && w->rank == 2) {
        ScContract c;
        n->op->contract(g, n, &c);
        return c.trans_b ? 0 : 1;
    }
    return n->op->conv ? 0 : UINT32_MAX;
}

bool match_by_channel(const ScGraph *g, const ScNode *n, const ScType *s, const ScType *w)
{
    uint32_t axis = match_channel_axis(g, n, w), offset = w->rank - s->rank;
    if (axis == UINT32_MAX || s->rank > w->rank || axis < offset ||
        s->dim[axis - offset] != w->dim[axis])
        return false;
    for (uint32_t d = 0; d < s->rank; d++)
        if (d + offset != axis && !sc_term_is(s->dim[d], 1))
            return false;
    return true;
}

/* v is what is stored in x, times a scale; operand i. */
static bool is_stored(ScMatch *m, ScVal v, uint32_t i, uint32_t depth, Stored *ret)
{
    ScNode n;
    if (v < SC_FIRST || depth == MAX_DEPTH)
        return false;
    n = *sc_built_def(&m->b, v);
    if (n.op->flags & SC_CONVERTS) {
        const ScType *t = match_type(m, n.in[0]);
        ret->codes = n.in[0];
        return match_type(m, v)->dtype == SCRT_F32 && sc_is_fp8(t->dtype) &&
               match_is(m, v, n.op, &n);
    }
    if (sc_is_view(&n) && n.n_in == 1) {
        if (!is_stored(m, n.in[0], i, depth + 1, ret) || ret->channels != SC_ABSENT)
            return false;
        ret->codes = sc_node1(&m->b, n.op, n.attr, 1, &ret->codes);
        return true;
    }
    if (n.op != &sc_op_mul)
        return false;
    for (uint32_t k = 0; k < 2; k++) {
        double c;
        ScVal s = n.in[1 - k];
        const ScType *t = match_type(m, v);
        if (!sc_built_blob(&m->b, s) || match_type(m, n.in[k]) != t)
            continue;
        bool number = sc_built_splat(&m->b, s, &c);
        if (!number && (i != 1 || depth > 0 || !match_by_channel(m->g, m->n, match_type(m, s), t)))
            continue;
        if (!is_stored(m, n.in[k], i, depth + 1, ret))
            return false;
        ret->by = number ? ret->by * c : ret->by;
        ret->channels = number ? ret->channels : s;
        return match_is(m, v, n.op, &n);
    }
    return false;
}

bool match_stored(ScMatch *m, ScVal v, ScVal *ret_codes, double *ret_by)
{
    Stored s = {SC_ABSENT, 1, SC_ABSENT};
    if (!is_stored(m, v, 0, 0, &s))
        return false;
    *ret_codes = s.codes;
    *ret_by = s.by;
    return true;
}

ScVal match_beside(ScMatch *m, ScVal y, ScVal c)
{
    const ScTerm *dim[SCRT_MAX_RANK] = {sc_type_count(m->b.cx, match_type(m, c))};
    uint32_t rank = match_type(m, y)->rank;
    rank -= sc_bias_axis(m->g, m->n, rank);
    for (uint32_t d = 1; d < rank; d++)
        dim[d] = sc_term(m->b.cx, 1);
    return sc_reshaped(&m->b, c, rank, dim);
}

ScVal match_with_bias(ScMatch *m, ScVal y, ScVal bias)
{
    bool by_axis = m->n->op->bias_axis && match_type(m, bias)->rank == 1;
    return sc_op(&m->b, add, y, by_axis ? match_beside(m, y, bias) : bias);
}

static ScVal stored(ScMatch *m)
{
    const ScNode *n = m->n;
    Stored s[2] = {{SC_ABSENT, 1, SC_ABSENT}, {SC_ABSENT, 1, SC_ABSENT}};
    ScVal in[SC_MAX_IN];
    int bias = sc_bias(n);
    uint32_t found = 0;
    if (sc_type_of(m->g, n->first)->dtype != SCRT_F32 || n->n_in > SC_MAX_IN)
        return SC_POISON;
    memcpy(in, m->in, n->n_in * sizeof *in);
    match_begin(m);
    for (uint32_t i = 0; i < 2; i++) {
        if (!is_stored(m, in[i], i, 0, &s[i]))
            s[i] = (Stored){SC_ABSENT, 1, SC_ABSENT};
        in[i] = s[i].codes == SC_ABSENT ? in[i] : s[i].codes;
        found += s[i].codes != SC_ABSENT;
    }
    if (!found)
        return SC_POISON;
    double by = s[0].by * s[1].by;
    bool scaled = by != 1 || s[1].channels != SC_ABSENT;
    if (scaled && bias >= 0)
        in[bias] = SC_ABSENT;
    ScVal y = sc_node1(&m->b, n->op, n->attr, n->n_in, in);
    y = by == 1 ? y : sc_op(&m->b, mul, y, sc_const_scalar(&m->b, SCRT_F32, by));
    y = s[1].channels == SC_ABSENT ? y : sc_op(&m->b, mul, y, match_beside(m, y, s[1].channels));
    return scaled && bias >= 0 ? match_with_bias(m, y, m->in[bias]) : y;
}

static ScVal picked(ScMatch *m)
{
    const ScNode *n = m->n;
    ScVal in[SC_MAX_IN], codes;
    double by;
    match_begin(m);
    if (!match_stored(m, m->in[0], &codes, &by))
        return SC_POISON;
    memcpy(in, m->in, n->n_in * sizeof *in);
    in[0] = codes;
    ScVal rows = sc_node1(&m->b, n->op, n->attr, n->n_in, in);
    ScVal y = sc_op_at(&m->b, cast, SC_ATTRS(SC_DT(SCRT_F32)), rows);
    return by == 1 ? y : sc_op(&m->b, mul, y, sc_const_scalar(&m->b, SCRT_F32, by));
}

const ScIdiom sc_idioms_stored[] = {
    {"gather of what is stored", &sc_op_gather, picked},
    {"matmul of what is stored", &sc_op_matmul, stored},
    {"gemm of what is stored", &sc_op_gemm, stored},
    {"conv of what is stored", &sc_op_conv, stored},
    {NULL, NULL, NULL},
};
