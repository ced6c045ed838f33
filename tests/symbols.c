/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs at other extents: symbols for numbers, numbers for symbols. */
#include "tests/graphs.h"

#include <stdlib.h>
#include <string.h>

typedef struct Change {
    const ScTerm *(*extent)(struct Change *c, const ScTerm *t, bool attr);
    ScCtx *cx;
    SctSymbols *s;
    uint64_t *r;
} Change;

static const ScAttr *changed_attrs(Change *c, const ScNode *n, ScArena *a)
{
    ScAttr *attr = sc_memdup(a, n->attr, n->op->n_attr * sizeof *attr);
    for (uint32_t i = 0; i < n->op->n_attr; i++) {
        if (attr[i].kind != SC_A_TERMS || n->op->flags & (SC_REBALANCES | SC_CONST_OP))
            continue;
        const ScTerm **t = sc_array(sc_ctx_arena(c->cx), const ScTerm *, attr[i].n + 1u);
        for (uint32_t k = 0; k < attr[i].n; k++)
            t[k] = c->extent(c, attr[i].ts[k], true);
        attr[i].ts = t;
    }
    return attr;
}

/* g with other extents of inputs and in attributes; NULL where it cannot be. */
static ScGraph *change(Change *c, const ScGraph *g)
{
    ScBuild b;
    ScArena *a = sc_arena_new();
    ScVal *env = sc_array(a, ScVal, g->n_value);
    env[SC_ABSENT] = SC_ABSENT;
    sc_build_init(&b, c->cx, g->name, NULL);
    sc_build_flags(&b, g->flags);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        const ScValue *v = &g->value[n->first];
        ScVal *in = sc_array(a, ScVal, n->n_in);
        b.at = n->loc;
        for (uint32_t k = 0; k < n->n_in; k++)
            in[k] = env[n->in[k]];
        if (n->op == &sc_op_input) {
            const ScTerm *dim[SCRT_MAX_RANK];
            for (uint32_t d = 0; d < v->type->rank; d++)
                dim[d] = c->extent(c, v->type->dim[d], false);
            env[n->first] =
                sc_input(&b, v->name, sc_type(c->cx, v->type->dtype, v->type->rank, dim), v->exp);
        } else if (n->op->flags & (SC_CONST_OP | SC_BARRIER)) {
            sc_copy_node(&b, g, n, NULL, &env[n->first]);
        } else {
            sc_node(&b, n->op, changed_attrs(c, n, a), NULL, n->n_in, in, n->n_out, &env[n->first]);
            for (uint32_t k = 0; k < n->n_out; k++)
                sc_set_exp(&b, env[n->first + k], g->value[n->first + k].exp);
        }
    }
    for (uint32_t i = 0; i < g->n_out; i++)
        sc_output(&b, g->out_name[i], env[g->out[i]]);
    sc_arena_free(a);
    return sc_build_end(&b);
}

/* One extent in four stays a number; each other one is a symbol of its own. In attributes numbers
 * become, half of the time, a symbol of the same value. */
static const ScTerm *to_symbol(Change *c, const ScTerm *t, bool attr)
{
    SctSymbols *s = c->s;
    int64_t x;
    if (!sc_term_const(t, &x) || sct_between(c->r, 0, 3) == 0 || s->n == SCT_MAX_SYMBOLS)
        return t;
    for (uint32_t i = 0; attr && i < s->n; i++)
        if (s->env[i].value == x && sct_between(c->r, 0, 1))
            return sc_term_sym(c->cx, s->env[i].sym);
    if (attr)
        return t;
    char name[16];
    snprintf(name, sizeof name, "s%u", s->n);
    const ScTerm *sym = sc_term_sym(c->cx, name);
    s->env[s->n++] = (ScBinding){sym->sym, x};
    return sym;
}

ScGraph *sct_to_symbols(const ScGraph *g, uint64_t *r, SctSymbols *ret)
{
    Change c = {.extent = to_symbol, .cx = g->cx, .s = ret, .r = r};
    *ret = (SctSymbols){0};
    for (uint32_t i = 0; i < g->n_node; i++)
        if (g->node[i].op->n_sub) /* whose extents would have to become the same symbols */
            return NULL;
    return change(&c, g);
}

static const ScTerm *to_number(Change *c, const ScTerm *t, bool attr)
{
    int64_t x;
    (void)attr;
    return sc_term_eval(t, c->s->n, c->s->env, &x) ? sc_term(c->cx, x) : t;
}

ScGraph *sct_to_numbers(const ScGraph *g, const SctSymbols *s)
{
    SctSymbols copy = *s;
    Change c = {.extent = to_number, .cx = g->cx, .s = &copy};
    return change(&c, g);
}

void sct_other_sizes(SctSymbols *s, uint64_t *r)
{
    for (uint32_t i = 0; i < s->n; i++) {
        int64_t *x = &s->env[i].value;
        const int64_t to[] = {*x, *x, *x, 1, 0, *x + 1, s->env[sct_between(r, 0, s->n - 1)].value};
        *x = to[sct_between(r, 0, 6)];
    }
}
