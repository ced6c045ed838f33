/* SPDX-License-Identifier: Apache-2.0 */
/* Elements of fewer than 8 bits: packed where they enter, leave and are kept, one a byte between.
 *
 * Kernels load and store no part of a byte. So what such a value holds is kept in the smallest type
 * that a byte has for it, which holds the same numbers, and row `convert` packs and unpacks at the
 * doors: inputs, outputs, states, the operands and results of nested graphs. A result that is
 * computed, not moved, takes the same way, so that it is rounded or wraps as its type says. */
#include "passes/passes_priv.h"

static bool is_packed(const ScType *t)
{
    return t->kind == SC_TYPE_TENSOR && scrt_dtype_bits(t->dtype) < 8;
}

/* The type of a byte that holds every number of t. */
static ScrtDtype wide(ScrtDtype t)
{
    ScrtKind k = scrt_dtype_kind(t);
    return k == SCRT_KIND_INT ? SCRT_I8 : k == SCRT_KIND_UINT ? SCRT_U8 : SCRT_F8E4M3FN;
}

typedef struct Widen {
    ScBuild *b;
    const ScGraph *g;
    ScVal *env;            /* [n_value] of an old value that is packed: nothing before the end */
    ScVal *packed, *bytes; /* [n_value] its two forms; one is there, the other made where wanted */
} Widen;

static ScVal converted(Widen *w, ScVal x, ScrtDtype to)
{
    const ScTerm *exp = sc_built(w->b, x)->exp;
    ScVal y = sc_op_at(w->b, convert, SC_ATTRS(SC_DT(to)), x);
    if (scrt_dtype_is_float(to))
        sc_set_exp(w->b, y, exp);
    return y;
}

/* The old value v as its type says. */
static ScVal as_packed(Widen *w, ScVal v)
{
    const ScValue *old = &w->g->value[v];
    if (!is_packed(old->type))
        return w->env[v];
    if (w->packed[v] == SC_ABSENT) {
        w->packed[v] = converted(w, w->bytes[v], old->type->dtype);
        sc_set_name(w->b, w->packed[v], old->name);
    }
    return w->packed[v];
}

/* A constant that its reader unpacks itself. */
static ScVal as_stored(Widen *w, ScVal v)
{
    const ScNode *n = sc_def(w->g, v);
    if (w->packed[v] == SC_ABSENT)
        w->packed[v] = sc_const_again(w->b, n, &w->g->value[v]);
    return w->packed[v];
}

static bool stays(const Widen *w, const ScNode *n, uint32_t i)
{
    return i < 32 && (n->op->unpacks >> i & 1) && is_packed(w->g->value[n->in[i]].type) &&
           (sc_def(w->g, n->in[i])->op->flags & SC_CONST_OP);
}

/* The old value v for a kernel. */
static ScVal in_bytes(Widen *w, ScVal v)
{
    const ScType *t = w->g->value[v].type;
    if (!is_packed(t))
        return w->env[v];
    if (w->bytes[v] == SC_ABSENT)
        w->bytes[v] = converted(w, w->packed[v], wide(t->dtype));
    return w->bytes[v];
}

static bool has_packed(const ScGraph *g)
{
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        if (is_packed(g->value[v].type))
            return true;
    return false;
}

static bool names_type(const ScOp *op)
{
    for (uint32_t i = 0; i < op->n_attr; i++)
        if (op->attr[i].kind == SC_A_DTYPE)
            return true;
    return false;
}

/* n with its operands in one form or the other; its results are packed, or else in bytes. */
static bool copied(Widen *w, const ScNode *n, ScVal (*form)(Widen *w, ScVal v), bool packed)
{
    ScVal *in = sc_array(sc_pass_scratch(w->env), ScVal, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = stays(w, n, i) ? as_stored(w, n->in[i]) : form(w, n->in[i]);
    if (!sc_copy_node(w->b, w->g, n, in, &w->env[n->first]))
        return false;
    for (ScVal v = n->first; v < n->first + n->n_out; v++)
        if (is_packed(w->g->value[v].type))
            (packed ? w->packed : w->bytes)[v] = w->env[v];
    return true;
}

static bool widen_node(Widen *w, const ScNode *n)
{
    const ScType *t = w->g->value[n->first].type;
    bool moves = (n->op->flags & (SC_VIEW_OP | SC_ANY_THROUGH)) != 0;
    if (n->op->n_sub || n->op->packs == n->op) /* a door: its interface stays */
        return copied(w, n, as_packed, true);
    if (is_packed(t) && n->op->packs) {
        ScNode m = *n;
        m.op = n->op->packs;
        return copied(w, &m, in_bytes, true);
    }
    if (is_packed(t) && (names_type(n->op) || (scrt_dtype_is_float(t->dtype) && !moves)))
        return sc_fail(w->b->cx, n->loc, SC_E_LOWER, "%s of element type %s", n->op->name,
                       scrt_dtype_name(t->dtype));
    if (!copied(w, n, in_bytes, false))
        return false;
    for (ScVal v = n->first; v < n->first + n->n_out && !moves; v++)
        if (is_packed(w->g->value[v].type)) {
            as_packed(w, v); /* wraps */
            w->bytes[v] = SC_ABSENT;
        }
    return true;
}

static void widen_source(Widen *w, const ScNode *n)
{
    ScValue v = w->g->value[n->first];
    if (n->op->flags & SC_BARRIER) {
        w->packed[n->first] = w->env[n->first];
    } else if (is_packed(v.type)) {
        v.type = sc_type_with(w->b->cx, v.type, wide(v.type->dtype));
        w->bytes[n->first] = sc_const_again(w->b, n, &v);
    } else {
        sc_copy_node(w->b, w->g, n, NULL, &w->env[n->first]);
    }
}

static ScGraph *widened(ScCtx *cx, const ScGraph *g)
{
    SC_PASS(cx, g, b, env);
    ScArena *a = sc_pass_scratch(env);
    Widen w = {&b, g, env, sc_array(a, ScVal, g->n_value), sc_array(a, ScVal, g->n_value)};
    bool ok = true;
    for (ScVal v = 0; v < g->n_value; v++)
        w.packed[v] = w.bytes[v] = SC_ABSENT;
    for (uint32_t i = 0; i < g->n_node && ok; i++) {
        const ScNode *n = &g->node[i];
        b.at = n->loc;
        if (n->op->flags & (SC_BARRIER | SC_CONST_OP))
            widen_source(&w, n);
        else
            ok = widen_node(&w, n);
    }
    for (uint32_t i = 0; i < g->n_out && ok; i++)
        env[g->out[i]] = as_packed(&w, g->out[i]);
    for (uint32_t i = 0; i < g->n_state && ok; i++)
        env[g->state[i].next] = as_packed(&w, g->state[i].next);
    return ok ? sc_pass_end(&b, env) : sc_pass_drop(&b, env);
}

ScGraph *sc_widen(ScCtx *cx, ScGraph *g)
{
    if (!g || !has_packed(g))
        return g;
    ScGraph *ret = widened(cx, g);
    sc_graph_free(g);
    return ret;
}
