/* SPDX-License-Identifier: Apache-2.0 */
/* Codes that are kept as numbers. What kernels round to FP8 and convolutions and products read, as
 * what they multiply by weights, lies in memory as f32, of the same numbers, for processors that
 * take longer to make and to read codes than to move four times the bytes. Views and concatenations
 * in between follow what they carry. Where values do not stay in a cache codes are faster:
 * MobileNetV2 of 16 pictures at once takes as long either way (AVX2, two threads), of one 0.81 of
 * the time with numbers. */
#include "passes/passes_priv.h"

#define MOST (2 << 20) /* elements of a value, symbols counted as 1 */

typedef struct Numbers {
    const ScGraph *g;
    bool *is; /* [n_value] kept as numbers */
} Numbers;

static ScClass class_of(const ScNode *n)
{
    return n->op->lower.cls == SC_KERNEL ? sc_class_named(sc_attr(n, 0)->s) : SC_N_CLASS;
}

/* A kernel that gives what it is given. */
static bool carries(const ScNode *n)
{
    return class_of(n) == SC_VIEW ||
           (class_of(n) == SC_CONCAT && sc_leader(n->sub[0])->first == n->sub[0]->out[0]);
}

static const ScNode *result_def(const ScGraph *g, ScVal v)
{
    const ScNode *n = sc_def(g, v);
    const ScGraph *sub = n->sub[0];
    return sc_def(sub, sub->out[v - n->first]);
}

/* Node u of a kernel's graph reads its operand i, codes, as numbers. */
static bool reads_numbers(const ScGraph *sub, const ScNode *u, uint32_t i)
{
    return (u->op == &sc_op_cast && sub->value[u->first].type->dtype == SCRT_F32) ||
           ((u->op->conv || u->op->contract) && i == 0);
}

/* Kernel n, whose operand i codes are, does. */
static bool takes_numbers(const Numbers *x, const ScNode *n, uint32_t operand)
{
    if (class_of(n) == SC_N_CLASS)
        return false;
    if (carries(n))
        return x->is[n->first];
    const ScGraph *sub = n->sub[0];
    for (uint32_t i = 0; i < sub->n_out; i++)
        if (sub->out[i] == sub->in[operand])
            return false;
    for (uint32_t i = 0; i < sub->n_node; i++)
        for (uint32_t k = 0; k < sub->node[i].n_in; k++)
            if (sub->node[i].in[k] == sub->in[operand] && !reads_numbers(sub, &sub->node[i], k))
                return false;
    return true;
}

static bool is_large(const ScType *t)
{
    int64_t n = 1, d;
    for (uint32_t i = 0; i < t->rank && n <= MOST; i++)
        n *= sc_term_const(t->dim[i], &d) ? d < MOST ? d : MOST + 1 : 1;
    return n > MOST;
}

/* A kernel rounds to v, or carries what is kept as numbers. */
static bool gives_numbers(const Numbers *x, ScVal v)
{
    const ScNode *n = sc_def(x->g, v), *last;
    const ScType *t = sc_type_of(x->g, v);
    if (class_of(n) == SC_N_CLASS || !sc_is_fp8(t->dtype) || is_large(t))
        return false;
    for (uint32_t i = 0; i < n->n_in && carries(n); i++)
        if (!x->is[n->in[i]])
            return false;
    last = result_def(x->g, v);
    return carries(n) ||
           (last->op == &sc_op_cast && n->sub[0]->value[last->in[0]].type->dtype == SCRT_F32);
}

/* The largest set of which each value is made and read as numbers: what is not goes, and with it
 * what depends on it. */
static bool choose(Numbers *x, ScArena *a)
{
    const ScGraph *g = x->g;
    ScUses use = sc_uses(g, a);
    bool any = false;
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        x->is[v] = true;
    for (bool again = true; again;) {
        again = any = false;
        for (ScVal v = SC_FIRST; v < g->n_value; v++) {
            bool is = x->is[v] && gives_numbers(x, v);
            for (uint32_t i = use.first[v]; i < use.first[v + 1] && is; i++)
                is = use.use[i].node != UINT32_MAX &&
                     takes_numbers(x, &g->node[use.use[i].node], use.use[i].operand);
            again |= is != x->is[v];
            any |= is;
            x->is[v] = is;
        }
    }
    return any;
}

static const ScType *as_numbers(ScCtx *cx, const ScType *t)
{
    return sc_type_with(cx, t, SCRT_F32);
}

/* The kernel's graph with numbers in the place of codes. */
static ScGraph *rebuilt(const Numbers *x, ScBuild *outer, const ScNode *n)
{
    ScCtx *cx = outer->cx;
    const ScGraph *sub = n->sub[0];
    ScBuild b;
    sc_build_init(&b, cx, sub->name, NULL);
    sc_build_guarded_outside(&b);
    sc_build_flags(&b, sub->flags);
    ScArena *a = sc_arena_new();
    ScVal *env = sc_array(a, ScVal, sub->n_value);
    env[SC_ABSENT] = SC_ABSENT;
    for (uint32_t i = 0; i < sub->n_in; i++) {
        const ScValue *v = &sub->value[sub->in[i]];
        const ScType *t = x->is[n->in[i]] ? as_numbers(cx, v->type) : v->type;
        env[sub->in[i]] = sc_annotated(&b, sc_input(&b, NULL, t, v->exp), v);
    }
    for (uint32_t i = 0; i < sub->n_node; i++) {
        const ScNode *m = &sub->node[i];
        ScVal *in = sc_array(a, ScVal, m->n_in + 1);
        if (m->op->flags & SC_BARRIER)
            continue;
        for (uint32_t k = 0; k < m->n_in; k++)
            in[k] = env[m->in[k]];
        if (m->op == &sc_op_cast && sc_built(&b, in[0])->type == sub->value[m->first].type)
            env[m->first] = in[0];
        else
            sc_copy_node(&b, sub, m, in, &env[m->first]);
    }
    for (uint32_t i = 0; i < sub->n_out; i++) {
        ScVal v = env[sub->out[i]];
        if (x->is[n->first + i] && sc_built(&b, v)->type->dtype != SCRT_F32) {
            const ScTerm *exp = sc_built(&b, v)->exp;
            v = sc_op_at(&b, cast, SC_ATTRS(SC_DT(SCRT_F32)), v);
            sc_set_exp(&b, v, exp);
            sc_annotated(&b, v, &sub->value[sub->out[i]]);
        }
        sc_output(&b, sub->out_name[i], v);
    }
    sc_arena_free(a);
    return sc_build_end(&b);
}

static bool meets(const Numbers *x, const ScNode *n)
{
    bool any = false;
    for (uint32_t i = 0; i < n->n_in; i++)
        any |= x->is[n->in[i]];
    for (uint32_t i = 0; i < n->n_out; i++)
        any |= x->is[n->first + i];
    return any;
}

ScGraph *sc_keep_numbers(ScCtx *cx, const ScGraph *g)
{
    SC_PASS(cx, g, b, env);
    Numbers x = {g, sc_array(sc_pass_scratch(env), bool, g->n_value)};
    if (!choose(&x, sc_pass_scratch(env)))
        return sc_pass_drop(&b, env);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        b.at = n->loc;
        if (n->op->flags & SC_BARRIER)
            continue;
        if (!meets(&x, n)) {
            sc_copy_node(&b, g, n, sc_map(env, n), &env[n->first]);
            continue;
        }
        ScGraph *sub = rebuilt(&x, &b, n);
        sc_node(&b, n->op, n->attr, &sub, n->n_in, sc_map(env, n), n->n_out, &env[n->first]);
        for (uint32_t k = 0; k < n->n_out; k++) {
            sc_annotated(&b, env[n->first + k], &g->value[n->first + k]);
            sc_set_name(&b, env[n->first + k], g->value[n->first + k].name);
        }
    }
    return sc_pass_end(&b, env);
}
