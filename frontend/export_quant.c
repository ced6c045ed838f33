/* SPDX-License-Identifier: Apache-2.0 */
/* Casts to and from formats of 8 bits or fewer as QuantizeLinear and DequantizeLinear: a product
 * with a constant before the one, or behind the other, is its scale. In profile `cast` only
 * constants are dequantized: optimisers fold a cast of a constant to f32, four times its size, and
 * leave DequantizeLinear alone. The type of codes is an attribute, which takes opset 21: where a
 * zero point of FP8 says it, ONNX Runtime 1.32 deletes a Relu before it. */
#include "frontend/export_priv.h"

#include <math.h>

typedef struct Roles {
    const ScGraph *g;
    ScUses use;
    ExRole *role; /* [n_node] */
    bool qdq;
} Roles;

static const ScNode *user(const Roles *r, ScVal v, uint32_t i)
{
    uint32_t node = r->use.use[r->use.first[v] + i].node;
    return node == UINT32_MAX ? NULL : &r->g->node[node];
}

static uint32_t n_users(const Roles *r, ScVal v)
{
    return r->use.first[v + 1] - r->use.first[v];
}

static ExRole *role_of(const Roles *r, const ScNode *n)
{
    return &r->role[n - r->g->node];
}

/* A scale is a positive f32 constant: a number, or one along an axis of an operand of type t. */
static bool is_scale(const Roles *r, ScVal v, const ScType *t, bool one, uint32_t *ret_axis)
{
    const ScNode *def = v >= SC_FIRST ? sc_def(r->g, v) : NULL;
    const ScType *s = sc_type_of(r->g, v);
    uint32_t wide = 0, offset = t->rank - s->rank;
    *ret_axis = 0;
    if (!def || !(def->op->flags & SC_CONST_OP) || s->dtype != SCRT_F32 || s->rank > t->rank ||
        !def->attr[0].blob->data)
        return false;
    for (uint32_t d = 0; d < s->rank; d++)
        if (!sc_term_is(s->dim[d], 1)) {
            wide++;
            *ret_axis = offset + d;
            if (s->dim[d] != t->dim[offset + d])
                return false;
        }
    const ScBlob *b = def->attr[0].blob;
    bool ok = wide <= (one ? 0 : 1);
    for (size_t i = 0; ok && i < b->count; i++) {
        double c = scrt_load(b->dtype, b->data, i);
        ok = c > 0 && isfinite(c);
    }
    return ok;
}

static bool has_exact_inverse(const Roles *r, ScVal v)
{
    int k;
    const ScBlob *b = sc_def(r->g, v)->attr[0].blob;
    double c = scrt_load(b->dtype, b->data, 0);
    return frexp(c, &k) == 0.5 && k > -120 && k < 120;
}

static bool is_cast_to(const Roles *r, const ScNode *n, bool low)
{
    if (n->op != &sc_op_cast)
        return false;
    ScrtDtype from = sc_type_of(r->g, n->in[0])->dtype, to = n->attr[0].dtype;
    ScrtDtype wide = low ? from : to, narrow = low ? to : from;
    return wide == SCRT_F32 && scrt_dtype_is_low(narrow) && narrow != SCRT_F8E8M0 &&
           scrt_dtype_bits(narrow) == 8;
}

static bool is_output(const Roles *r, ScVal v)
{
    for (uint32_t i = 0; i < n_users(r, v); i++)
        if (!user(r, v, i))
            return true;
    return false;
}

/* v is an output of the graph, or views or pools of one. ONNX Runtime (1.32) moves a QuantizeLinear
 * up through such, and what was an output is then the rounded numbers. */
static bool is_seen(const Roles *r, ScVal v)
{
    for (;;) {
        const ScNode *n = sc_def(r->g, v);
        ScClass c = n->op->lower.cls;
        if (is_output(r, v))
            return true;
        if ((c != SC_VIEW && c != SC_POOL) || n->n_in == 0)
            return false;
        v = n->in[0];
    }
}

/* x / s or x * 2^k before a cast that saturates. */
static void quantizes(const Roles *r, const ScNode *n)
{
    ExRole *role = role_of(r, n);
    const ScNode *def = sc_def(r->g, n->in[0]);
    const ScType *t = sc_type_of(r->g, n->in[0]);
    uint32_t axis;
    if (is_seen(r, n->in[0]))
        return;
    *role = (ExRole){.kind = EX_QUANTIZES, .x = n->in[0], .scale = SC_ABSENT};
    bool divides = def->op == &sc_op_div, times = def->op == &sc_op_mul;
    for (uint32_t k = 0; k < (times ? 2u : (uint32_t)divides); k++) {
        ScVal x = def->in[k], s = def->in[1 - k];
        if (sc_type_of(r->g, x) != t || !is_scale(r, s, t, times, &axis) ||
            (times && !has_exact_inverse(r, s)))
            continue;
        *role = is_seen(r, x) ? (ExRole){0} : (ExRole){EX_QUANTIZES, x, s, times, axis};
        return;
    }
}

static void dequantizes(const Roles *r, const ScNode *n)
{
    ScVal v = n->first;
    const ScType *t = sc_type_of(r->g, v);
    uint32_t axis, scaled = 0;
    for (uint32_t i = 0; i < n_users(r, v); i++) {
        const ScNode *u = user(r, v, i);
        if (!u || u->op != &sc_op_mul || u->in[0] == u->in[1] || sc_type_of(r->g, u->first) != t)
            continue;
        ScVal s = u->in[u->in[0] == v];
        if (!is_scale(r, s, t, false, &axis))
            continue;
        *role_of(r, u) = (ExRole){EX_DEQUANTIZES, n->in[0], s, false, axis};
        scaled++;
    }
    if (scaled == n_users(r, v))
        role_of(r, n)->kind = EX_SKIPPED;
    else
        *role_of(r, n) = (ExRole){.kind = EX_DEQUANTIZES, .x = n->in[0], .scale = SC_ABSENT};
}

/* A product that only casts read is in their scales. */
static void skip(const Roles *r, const ScNode *n)
{
    uint32_t taken = 0;
    if (n->n_out != 1 || role_of(r, n)->kind != EX_ITSELF || n_users(r, n->first) == 0)
        return;
    for (uint32_t i = 0; i < n_users(r, n->first); i++) {
        const ScNode *u = user(r, n->first, i);
        taken += u && role_of(r, u)->kind == EX_QUANTIZES && role_of(r, u)->x != n->first;
    }
    if (taken == n_users(r, n->first))
        role_of(r, n)->kind = EX_SKIPPED;
}

const ExRole *ex_roles(Export *x, const ScGraph *g)
{
    Roles r = {g, sc_uses(g, x->a), sc_array(x->a, ExRole, g->n_node + 1u), x->opt->qdq};
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (r.qdq && is_cast_to(&r, n, true) && n->attr[1].i)
            quantizes(&r, n);
        else if (is_cast_to(&r, n, false) &&
                 (r.qdq || (sc_def(g, n->in[0])->op->flags & SC_CONST_OP)))
            dequantizes(&r, n);
    }
    for (uint32_t i = 0; i < g->n_node; i++)
        skip(&r, &g->node[i]);
    return r.role;
}

/* The scale as an operand: rank 0, or rank 1 along the axis. */
static const char *scale(Export *x, const ExRole *r)
{
    if (r->scale == SC_ABSENT)
        return ex_scalar(x, SCRT_F32, 1);
    const ScBlob *b = sc_def(x->at->g, r->scale)->attr[0].blob;
    double c = scrt_load(b->dtype, b->data, 0);
    if (b->count == 1)
        return ex_scalar(x, SCRT_F32, r->inverse ? 1 / c : c);
    const ScTerm *dim = sc_term(x->cx, (int64_t)b->count);
    return ex_constant(x, NULL, b, sc_type(x->cx, SCRT_F32, 1, &dim));
}

void ex_role(Export *x, const ScNode *n, const ExRole *r)
{
    bool to = r->kind == EX_QUANTIZES;
    const char *out = ex_result(x, n->first);
    const char *in[] = {ex_value(x, r->x), scale(x, r)};
    Onnxpb__Node *q = ex_node(x, to ? "QuantizeLinear" : "DequantizeLinear",
                              to ? EX_OPSET_TYPED : EX_OPSET_BASE, 2, in, 1, &out);
    if (to)
        ex_int(x, q, "output_dtype", sc_type_of(x->at->g, n->first)->dtype);
    if (r->scale != SC_ABSENT && sc_def(x->at->g, r->scale)->attr[0].blob->count != 1)
        ex_int(x, q, "axis", r->axis);
}
