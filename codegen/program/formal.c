/* SPDX-License-Identifier: Apache-2.0 */
/* The nested graph of a kernel in formal symbols, so that kernels are equal when their structure
 * and their constant extents are, whatever layer they are in. Symbols are named by the order in
 * which they appear. Exponents go, but for the differences by which a rebalance moves data: each is
 * a formal symbol too. Constants of one element become the numbers that they stand for. */
#include "codegen/program/program.h"

enum { NORMAL = 126 }; /* 2^e is a normal number of every compute type up to here, either way */

typedef struct Make {
    CgModule *m;
    CgFormal *f;
    const ScGraph *g;  /* the nested graph */
    const char **seen; /* [n_seen] its symbols, in the order in which they appear */
    uint32_t n_seen, cap_seen;
    ScBuild b;
    ScVal *env; /* [n_value] of g */
} Make;

/* --- Symbols --------------------------------------------------------------------------------- */

static void see_symbol(void *arg, const char *sym)
{
    Make *k = arg;
    for (uint32_t i = 0; i < k->n_seen; i++) {
        if (k->seen[i] == sym)
            return;
    }
    sc_buf_push(k->seen, k->n_seen, k->cap_seen, sym);
}

/* The formal symbol of what the program calls actual; sym: its name there, NULL where it is none.
 * What is no extent and may be negative is no extent inside either. */
static const ScTerm *add_formal(CgModule *m, CgFormal *f, const char *sym, const ScTerm *actual)
{
    bool any = sym && sc_term_range(m->cx, actual).lo < 0;
    const char *name =
        sc_intern(m->cx, any ? sc_printf(m->arena, "i%u", f->n) : sc_printf(m->arena, "p%u", f->n));
    if (any)
        sc_sym_bound(m->cx, name, (ScRange){INT64_MIN, INT64_MAX});
    f->name[f->n] = name;
    f->actual[f->n] = actual;
    f->sym[f->n] = sym;
    return f->term[f->n++] = sc_term_sym(m->cx, name);
}

const ScTerm *cg_formal_pitch(CgModule *m, CgFormal *f, const ScTerm *actual)
{
    for (uint32_t i = f->n_inside; i < f->n; i++)
        if (f->actual[i] == actual)
            return f->term[i];
    return add_formal(m, f, NULL, actual);
}

void cg_formal_own(CgModule *m, CgFormal *f, uint32_t n, const char *const *name,
                   const ScTerm *const *own)
{
    CgFormal old = *f;
    uint32_t most = old.n + n;
    f->name = sc_array(m->arena, const char *, most);
    f->sym = sc_array(m->arena, const char *, most);
    f->actual = sc_array(m->arena, const ScTerm *, most);
    f->term = sc_array(m->arena, const ScTerm *, most);
    for (uint32_t i = 0; i < old.n; i++) {
        f->name[i] = old.name[i];
        f->sym[i] = old.sym[i];
        f->actual[i] = old.actual[i];
        f->term[i] = old.term[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        f->name[old.n + i] = name[i];
        f->actual[old.n + i] = cg_actual(m, &old, own[i]);
        f->term[old.n + i] = sc_term_sym(m->cx, name[i]);
    }
    f->n = most;
}

static void name_symbols(Make *k)
{
    const ScGraph *g = k->g;
    uint32_t n_shift = 0;
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        const ScType *t = sc_type_of(g, v);
        for (uint32_t d = 0; d < t->rank; d++)
            sc_term_symbols(t->dim[d], see_symbol, k);
    }
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        bool shift = n->op->flags & SC_REBALANCES;
        n_shift += shift;
        for (uint32_t j = 0; j < n->op->n_attr && !shift; j++) {
            const ScAttr *a = sc_attr(n, j);
            for (uint32_t e = 0; a->kind == SC_A_TERMS && e < a->n; e++)
                sc_term_symbols(a->ts[e], see_symbol, k);
        }
    }
    CgFormal *f = k->f;
    uint32_t most = k->n_seen + n_shift + g->n_in + g->n_out; /* each port may have a pitch */
    f->name = sc_array(k->m->arena, const char *, most);
    f->sym = sc_array(k->m->arena, const char *, most);
    f->actual = sc_array(k->m->arena, const ScTerm *, most);
    f->term = sc_array(k->m->arena, const ScTerm *, most);
    for (uint32_t i = 0; i < k->n_seen; i++)
        add_formal(k->m, f, k->seen[i], sc_term_sym(k->m->cx, k->seen[i]));
}

static const ScTerm *formal(const Make *k, const ScTerm *t)
{
    return sc_term_subst(k->m->cx, t, k->n_seen, k->f->sym, k->f->term);
}

const ScTerm *cg_actual(CgModule *m, const CgFormal *f, const ScTerm *t)
{
    return sc_term_subst(m->cx, t, f->n, f->name, f->actual);
}

/* --- Nodes ----------------------------------------------------------------------------------- */

static const ScType *formal_type(const Make *k, const ScType *t)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < t->rank; d++)
        dim[d] = formal(k, t->dim[d]);
    return sc_type(k->m->cx, t->dtype, t->rank, dim);
}

/* What the rebalance moves its data by becomes one term, which says where it can that one factor
 * is enough. Its operand has exponent 0. */
static ScAttr formal_shift(Make *k, const ScNode *n)
{
    ScCtx *cx = k->m->cx;
    const ScTerm *by = sc_term_sub(cx, k->g->value[n->in[0]].exp, sc_attr(n, 0)->ts[0]);
    const ScTerm **to = sc_array(k->m->arena, const ScTerm *, 1);
    int64_t c;
    bool normal = sc_term_const(by, &c) && c >= -NORMAL && c <= NORMAL;
    const ScTerm *t = add_formal(k->m, k->f, NULL, by);
    if (normal)
        t = sc_term_max(cx, sc_term_min(cx, t, sc_term(cx, NORMAL)), sc_term(cx, -NORMAL));
    *to = sc_term_scale(cx, t, -1);
    sc_set_exp(&k->b, k->env[n->in[0]], sc_term(cx, 0));
    return SC_TERMS(1, to);
}

static ScAttr formal_attr(Make *k, const ScNode *n, uint32_t i)
{
    ScAttr a = *sc_attr(n, i);
    if (a.kind != SC_A_TERMS)
        return a;
    if (i == 0 && n->op->flags & SC_REBALANCES)
        return formal_shift(k, n);
    const ScTerm **ts = sc_array(k->m->arena, const ScTerm *, a.n + 1);
    for (uint32_t e = 0; e < a.n; e++)
        ts[e] = formal(k, a.ts[e]);
    a.ts = ts;
    return a;
}

/* A float constant of one element: the number, whatever its blob is called and its exponent. */
static bool add_number(Make *k, const ScNode *n)
{
    const ScType *t = sc_type_of(k->g, n->first);
    int64_t dims[SCRT_MAX_RANK];
    ScrtTensor x;
    if (!sc_type_is_float(t) || !sc_term_is(sc_type_count(k->m->cx, t), 1) ||
        !sc_type_const_dims(t, dims))
        return false;
    if (!cg_const_tensor(k->m, k->g, n, &x))
        return false;
    const ScBlob *blob = sc_blob_scalar(k->m->cx, t->dtype, scrt_load(t->dtype, x.data, 0));
    scrt_free(x.data);
    k->env[n->first] = sc_const_shaped(&k->b, blob, t->dtype, t->rank, dims, NULL);
    return true;
}

static bool add_node(Make *k, const ScNode *n)
{
    ScAttr attr[SC_MAX_ATTR];
    ScVal *in = sc_array(k->m->arena, ScVal, n->n_in + 1);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = k->env[n->in[i]];
    if (n->op->flags & SC_CONST_OP)
        return add_number(k, n) || sc_copy_node(&k->b, k->g, n, in, &k->env[n->first]);
    for (uint32_t i = 0; i < n->op->n_attr; i++)
        attr[i] = formal_attr(k, n, i);
    return sc_node(&k->b, n->op, attr, NULL, n->n_in, in, n->n_out, &k->env[n->first]);
}

ScGraph *cg_formal(CgModule *m, const ScGraph *g, CgFormal *ret)
{
    Make k = {.m = m, .f = ret, .g = g, .env = sc_array(m->arena, ScVal, g->n_value)};
    bool ok = true;
    *ret = (CgFormal){0};
    name_symbols(&k);
    sc_build_init(&k.b, m->cx, NULL, NULL);
    sc_build_guarded_outside(&k.b);
    k.env[SC_ABSENT] = SC_ABSENT;
    for (uint32_t i = 0; i < g->n_in; i++)
        k.env[g->in[i]] = sc_input(&k.b, NULL, formal_type(&k, sc_type_of(g, g->in[i])), NULL);
    for (uint32_t i = 0; i < g->n_node && ok; i++) {
        k.b.at = g->node[i].loc;
        ok = k.env[g->node[i].first] || add_node(&k, &g->node[i]);
    }
    for (uint32_t i = 0; i < g->n_out; i++)
        sc_output(&k.b, NULL, k.env[g->out[i]]);
    ret->n_inside = ret->n;
    sc_buf_free(k.seen);
    return sc_build_end(&k.b);
}
