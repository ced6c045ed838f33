/* SPDX-License-Identifier: Apache-2.0 */
#include "passes/match.h"

#include <math.h>

void match_begin(ScMatch *m)
{
    m->b.at = m->n->loc;
}

bool match_is(ScMatch *m, ScVal v, const ScOp *op, ScNode *ret)
{
    if (v < SC_FIRST || sc_built_def(&m->b, v)->op != op)
        return false;
    *ret = *sc_built_def(&m->b, v);
    m->b.at = sc_loc_join(m->b.cx, m->b.at, ret->loc);
    return true;
}

const ScType *match_type(const ScMatch *m, ScVal v)
{
    return sc_built(&m->b, v)->type;
}

/* x is c as a constant of a 16-bit type has it, or what 1 / c, as such a constant, divides by. */
static bool is_rounded(ScrtDtype t, double x, double c)
{
    const double of[2] = {c, 1 / c};
    for (uint32_t i = 0; i < 2; i++) {
        uint16_t code = (uint16_t)scrt_round(t, of[i], false, SCRT_NEAREST);
        double r = scrt_load(t, &code, 0);
        if (x == (i ? 1 / r : r))
            return true;
    }
    return false;
}

/* Products of constants err by a unit or two of their type. In f32, what was a constant of f16 or
 * bf16 before a cast is one still. */
bool match_near(const ScMatch *m, double x, double c)
{
    ScrtDtype t = sc_type_of(m->g, m->n->first)->dtype;
    double part = t == SCRT_F16 ? 0x1p-10 : t == SCRT_BF16 ? 0x1p-7 : 1e-5;
    return fabs(x - c) <= part * fabs(c) || is_rounded(SCRT_F16, x, c) ||
           is_rounded(SCRT_BF16, x, c);
}

bool match_about(const ScMatch *m, ScVal v, double c)
{
    double x;
    return sc_built_splat(&m->b, v, &x) && match_near(m, x, c);
}

bool match_with_const(ScMatch *m, ScVal v, const ScOp *op, double c, ScVal *ret)
{
    ScNode n;
    if (!match_is(m, v, op, &n))
        return false;
    for (uint32_t i = 0; i < 2; i++)
        if (match_about(m, n.in[i], c) && ((op->flags & SC_COMMUTES) || i == 1)) {
            *ret = n.in[1 - i];
            return true;
        }
    return false;
}

uint32_t match_axes(const ScAttr *axes, uint32_t rank)
{
    uint32_t set = 0;
    for (uint32_t i = 0; i < axes->n; i++)
        set |= 1u << (axes->is[i] < 0 ? axes->is[i] + rank : axes->is[i]);
    return set;
}

/* t is x with the axes at 1. */
static bool is_kept(const ScType *t, const ScType *x, const ScAttr *axes)
{
    if (t->rank != x->rank || axes->kind != SC_A_INTS)
        return false;
    uint32_t set = match_axes(axes, x->rank);
    for (uint32_t d = 0; d < t->rank; d++)
        if (set >> d & 1 ? !sc_term_is(t->dim[d], 1) : t->dim[d] != x->dim[d])
            return false;
    return true;
}

bool match_reduces(ScMatch *m, ScVal v, const ScOp *op, ScVal *ret_x, const ScAttr **ret_axes)
{
    const ScType *t = match_type(m, v);
    ScNode n;
    if (v >= SC_FIRST && sc_built_def(&m->b, v)->op == &sc_op_reshape)
        v = sc_built_def(&m->b, v)->in[0];
    if (!match_is(m, v, op, &n))
        return false;
    *ret_x = n.in[0];
    *ret_axes = sc_attr_named(&n, "axes");
    return is_kept(t, match_type(m, n.in[0]), *ret_axes);
}

bool match_inverse(ScMatch *m, ScVal v, ScVal *ret)
{
    ScNode n;
    if (match_is(m, v, &sc_op_reciprocal, &n)) {
        *ret = n.in[0];
        return true;
    }
    if (!match_is(m, v, &sc_op_div, &n) || !match_about(m, n.in[0], 1))
        return false;
    *ret = n.in[1];
    return true;
}

bool match_along(const ScType *t, const ScType *to, uint32_t axis)
{
    bool there = false;
    if (t->kind != SC_TYPE_TENSOR || t->rank > to->rank)
        return false;
    for (uint32_t d = 0; d < t->rank; d++) {
        uint32_t at = d + to->rank - t->rank;
        if (at == axis)
            there = t->dim[d] == to->dim[at];
        else if (!sc_term_is(t->dim[d], 1))
            return false;
    }
    return there;
}

bool match_used_once(const ScMatch *m, uint32_t i)
{
    ScVal v = m->n->in[i];
    return m->use.first[v + 1] - m->use.first[v] == 1;
}

void match_product(ScMatch *m, ScVal v, ScProduct *p, uint32_t depth)
{
    ScNode n = {0};
    double c;
    bool apart = depth < 4 && v != p->whole;
    if (sc_built_splat(&m->b, v, &c)) {
        p->c *= c;
    } else if (apart && match_is(m, v, &sc_op_mul, &n)) {
        match_product(m, n.in[0], p, depth + 1);
        match_product(m, n.in[1], p, depth + 1);
    } else if (apart && v >= SC_FIRST && sc_built_def(&m->b, v)->op == &sc_op_div &&
               sc_built_splat(&m->b, sc_built_def(&m->b, v)->in[1], &c)) {
        match_is(m, v, &sc_op_div, &n);
        p->c /= c;
        match_product(m, n.in[0], p, depth + 1);
    } else if (p->n < SC_MAX_FACTORS) {
        p->factor[p->n++] = v;
    }
}
