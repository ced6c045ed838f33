/* SPDX-License-Identifier: Apache-2.0 */
/* What a product or convolution by a constant is multiplied with and moved by, a number for each of
 * its channels, joins the constant and the bias: a batch normalisation, as one operator or written
 * out. Each weight is multiplied in f64 and rounded once. Weights that others read too stay as they
 * are, or there would be several of them. */
#include <math.h>
#include <string.h>

#include "passes/match.h"

#define MAX_JOINED 8 /* nodes that become one product */

/* A product of which nobody else reads the result or the weight. */
typedef struct Channels {
    ScNode n;            /* in the new graph */
    const ScNode *old;   /* in the old one */
    const ScType *t;     /* of its result */
    uint32_t axis, bias; /* along which its channels lie; the operand, which may be absent */
    int64_t count;       /* of channels */
    ScArena *scratch;
} Channels;

/* The numbers that v, a constant with one for each channel, stands for, [count]; NULL where it is
 * none. */
static double *numbers(ScMatch *m, const Channels *c, ScVal v)
{
    const ScBlob *b = sc_built_blob(&m->b, v);
    if (!b || !b->data || b->count != (size_t)c->count)
        return NULL;
    double *ret = sc_array(c->scratch, double, b->count);
    for (size_t i = 0; i < b->count; i++)
        ret[i] = scrt_load(b->dtype, b->data, i);
    return ret;
}

/* The old node whose product v is, with what has joined it since. */
static const ScNode *old_product(const ScMatch *m, ScVal v, const ScOp *op)
{
    const ScType *t = sc_type_of(m->g, v);
    for (uint32_t depth = 0; depth < MAX_JOINED; depth++) {
        const ScNode *n = sc_def(m->g, v);
        if (n->op == op || n->n_in == 0)
            return n->op == op ? n : NULL;
        v = n->in[n->n_in > 1 && sc_type_of(m->g, n->in[0]) != t];
    }
    return NULL;
}

/* Operand i of the idiom's node is such a product. */
static bool is_product(ScMatch *m, uint32_t i, Channels *ret)
{
    const ScVal v = m->in[i];
    if (v < SC_FIRST || !match_used_once(m, i))
        return false;
    *ret = (Channels){.n = *sc_built_def(&m->b, v), .t = match_type(m, v)};
    ret->scratch = sc_pass_scratch(m->env);
    ret->bias = ret->n.op->bias;
    ret->old = old_product(m, m->n->in[i], ret->n.op);
    if (!ret->bias || !ret->old || ret->t != sc_type_of(m->g, m->n->first) || ret->t->rank == 0 ||
        (ret->t->dtype != SCRT_F32 && ret->t->dtype != SCRT_F64))
        return false;
    const ScBlob *w = sc_built_blob(&m->b, ret->n.in[1]);
    const ScVal old = ret->old->in[1];
    ret->axis = sc_bias_axis(m->g, ret->old, ret->t->rank);
    return w && w->data && w->dtype == ret->t->dtype &&
           match_type(m, ret->n.in[1])->dtype == w->dtype &&
           m->use.first[old + 1] - m->use.first[old] == 1 &&
           sc_term_const(ret->t->dim[ret->axis], &ret->count);
}

/* The weight times a number for each of its channels. */
static ScVal weight(ScMatch *m, const Channels *c, const double *by)
{
    const ScVal w = c->n.in[1];
    const ScBlob *b = sc_built_blob(&m->b, w);
    const ScType *t = match_type(m, w);
    int64_t dim[SCRT_MAX_RANK], inner = 1;
    ScContract d = {0};
    size_t bytes;
    if (c->n.op->contract)
        c->n.op->contract(m->g, c->old, &d);
    uint32_t axis = !c->n.op->contract || d.trans_b ? 0 : t->rank - 1;
    if (d.scales || (c->n.op->contract && t->rank != 2) || !sc_type_const_dims(t, dim) ||
        dim[axis] != c->count || !scrt_bytes(b->dtype, b->count, &bytes))
        return SC_POISON;
    for (uint32_t k = axis + 1; k < t->rank; k++)
        inner *= dim[k];
    void *data = sc_alloc(sc_ctx_arena(m->b.cx), bytes + 1);
    for (size_t i = 0; i < b->count; i++) {
        double x = scrt_load(b->dtype, b->data, i) * by[(int64_t)i / inner % c->count];
        if (!isfinite((float)x))
            return SC_POISON;
        scrt_store(b->dtype, data, i, x, false);
    }
    return sc_const(&m->b, sc_blob_folded(m->b.cx, b->dtype, t->rank, dim, data), b->dtype, NULL);
}

/* bias * by + move, where the bias is a constant or not there; by NULL: 1. */
static ScVal bias(ScMatch *m, const Channels *c, const double *by, const double *move)
{
    const size_t n = (size_t)c->count;
    const double *had = NULL;
    ScVal v = c->bias < c->n.n_in ? c->n.in[c->bias] : SC_ABSENT;
    if (v != SC_ABSENT) {
        const ScType *t = match_type(m, v);
        had = t->rank == 1 || match_along(t, c->t, c->axis) ? numbers(m, c, v) : NULL;
        if (!had)
            return SC_POISON;
    }
    void *data = sc_alloc(sc_ctx_arena(m->b.cx), n * sizeof(double));
    for (size_t i = 0; i < n; i++) {
        double x = (had ? had[i] * (by ? by[i] : 1) : 0) + (move ? move[i] : 0);
        if (!isfinite((float)x))
            return SC_POISON;
        scrt_store(c->t->dtype, data, i, x, false);
    }
    return sc_const(&m->b, sc_blob_folded(m->b.cx, c->t->dtype, 1, &c->count, data), c->t->dtype,
                    NULL);
}

/* The product times `by` plus `move`, [count]; NULL: 1, 0. */
static ScVal joined(ScMatch *m, const Channels *c, const double *by, const double *move)
{
    ScVal in[SC_MAX_IN];
    for (uint32_t k = 0; k <= c->bias; k++)
        in[k] = k < c->n.n_in ? c->n.in[k] : SC_ABSENT;
    m->b.at = sc_loc_join(m->b.cx, c->n.loc, m->n->loc);
    in[1] = by ? weight(m, c, by) : in[1];
    if (in[c->bias] != SC_ABSENT || move)
        in[c->bias] = bias(m, c, by, move);
    if (in[1] == SC_POISON || in[c->bias] == SC_POISON)
        return SC_POISON;
    return sc_node1(&m->b, c->n.op, c->n.attr, c->bias + 1, in);
}

static ScVal batchnorm(ScMatch *m)
{
    enum { X, SCALE, BIAS, MEAN, VARIANCE, EPSILON };
    Channels c;
    double eps, *p[EPSILON];
    if (!is_product(m, X, &c) || c.axis != 1 || !sc_built_splat(&m->b, m->in[EPSILON], &eps))
        return SC_POISON;
    for (uint32_t i = SCALE; i <= VARIANCE; i++) {
        p[i] = numbers(m, &c, m->in[i]);
        if (!p[i])
            return SC_POISON;
    }
    for (int64_t i = 0; i < c.count; i++) {
        p[SCALE][i] /= sqrt(p[VARIANCE][i] + eps);
        p[BIAS][i] -= p[MEAN][i] * p[SCALE][i];
    }
    return joined(m, &c, p[SCALE], p[BIAS]);
}

/* The numbers that the other operand has for the channels of the product, [ret->count]; NULL where
 * the operands are no such pair. */
static double *by_channel(ScMatch *m, Channels *ret)
{
    const uint32_t n_either = m->n->op->flags & SC_COMMUTES ? 2 : 1; /* may be the product */
    for (uint32_t i = 0; i < n_either; i++)
        if (is_product(m, i, ret) && m->in[1 - i] >= SC_FIRST &&
            match_along(match_type(m, m->in[1 - i]), ret->t, ret->axis))
            return numbers(m, ret, m->in[1 - i]);
    return NULL;
}

static ScVal multiplied(ScMatch *m)
{
    Channels c;
    const double *by = by_channel(m, &c);
    return by ? joined(m, &c, by, NULL) : SC_POISON;
}

static ScVal divided(ScMatch *m)
{
    Channels c;
    double *by = by_channel(m, &c);
    for (int64_t i = 0; by && i < c.count; i++)
        by[i] = 1 / by[i];
    return by ? joined(m, &c, by, NULL) : SC_POISON;
}

/* Where there is no bias yet, whatever is added becomes it: raise_bias.c. */
static ScVal added(ScMatch *m)
{
    Channels c;
    const double *move = by_channel(m, &c);
    return move && sc_bias(&c.n) >= 0 ? joined(m, &c, NULL, move) : SC_POISON;
}

static ScVal subtracted(ScMatch *m)
{
    Channels c;
    double *move = by_channel(m, &c);
    for (int64_t i = 0; move && i < c.count; i++)
        move[i] = -move[i];
    return move ? joined(m, &c, NULL, move) : SC_POISON;
}

const ScIdiom sc_idioms_channels[] = {
    {"batch normalisation of a product", &sc_op_batchnorm, batchnorm},
    {"channels of a product, multiplied", &sc_op_mul, multiplied},
    {"channels of a product, divided", &sc_op_div, divided},
    {"channels of a product, with a bias, moved", &sc_op_add, added},
    {"channels of a product, moved back", &sc_op_sub, subtracted},
    {NULL, NULL, NULL},
};
