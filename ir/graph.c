/* SPDX-License-Identifier: Apache-2.0 */
/* Finished graphs: freed, copied, hashed; users of their values. */
#include "ir/op.h"

#include <string.h>

void sc_graph_free(ScGraph *g)
{
    if (!g)
        return;
    for (uint32_t i = 0; i < g->n_owned; i++)
        sc_graph_free(g->owned[i]);
    sc_arena_free(g->arena);
}

/* Attributes, types, terms, names and known contents belong to the session and are shared. */
ScGraph *sc_graph_clone(const ScGraph *g)
{
    ScArena *a = sc_arena_new();
    ScGraph *c = sc_memdup(a, g, sizeof *g);
    ScNode *node = sc_memdup(a, g->node, g->n_node * sizeof *node);
    ScGraph **owned = NULL;
    uint32_t n_owned = 0, cap = 0;
    for (uint32_t i = 0; i < g->n_node; i++) {
        uint32_t n_sub = node[i].op->n_sub;
        node[i].in = sc_memdup(a, node[i].in, node[i].n_in * sizeof *node[i].in);
        if (n_sub == 0)
            continue;
        ScGraph **sub = sc_array(a, ScGraph *, n_sub);
        for (uint32_t k = 0; k < n_sub; k++) {
            sub[k] = sc_graph_clone(node[i].sub[k]);
            sc_buf_push(owned, n_owned, cap, sub[k]);
        }
        node[i].sub = (const ScGraph *const *)sub;
    }
    c->arena = a;
    c->node = node;
    c->value = sc_memdup(a, g->value, g->n_value * sizeof *g->value);
    c->in = sc_memdup(a, g->in, g->n_in * sizeof *g->in);
    c->out = sc_memdup(a, g->out, g->n_out * sizeof *g->out);
    c->out_name = sc_memdup(a, g->out_name, g->n_out * sizeof *g->out_name);
    c->state = sc_memdup(a, g->state, g->n_state * sizeof *g->state);
    c->guard = sc_memdup(a, g->guard, g->n_guard * sizeof *g->guard);
    c->owned = sc_memdup(a, owned, n_owned * sizeof *owned);
    c->n_owned = n_owned;
    sc_buf_free(owned);
    return c;
}

static void set_exponents(ScCtx *cx, ScGraph *g)
{
    ScValue *value = (ScValue *)(uintptr_t)g->value; /* of a copy that nobody has seen */
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        if (sc_type_is_float(value[v].type))
            value[v].exp = sc_term(cx, 0);
    for (uint32_t i = 0; i < g->n_owned; i++)
        set_exponents(cx, g->owned[i]);
    g->flags |= SC_G_SCALED;
}

ScGraph *sc_graph_at_0(ScCtx *cx, const ScGraph *g)
{
    ScGraph *c = sc_graph_clone(g);
    set_exponents(cx, c);
    return c;
}

ScUses sc_uses(const ScGraph *g, ScArena *scratch)
{
    uint32_t *first = sc_array(scratch, uint32_t, (size_t)g->n_value + 1), n = 0;
    /* Count at [v + 1], sum up, and fill each list from its end. */
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; k < g->node[i].n_in; k++)
            first[g->node[i].in[k] + 1]++;
    for (uint32_t i = 0; i < g->n_out; i++)
        first[g->out[i] + 1]++;
    for (uint32_t i = 0; i < g->n_state; i++)
        first[g->state[i].next + 1]++;
    for (uint32_t v = 0; v < g->n_value; v++)
        first[v + 1] += first[v];
    n = first[g->n_value];

    ScUse *use = sc_array(scratch, ScUse, n);
    uint32_t *at = sc_memdup(scratch, first, g->n_value * sizeof *at);
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; k < g->node[i].n_in; k++)
            use[at[g->node[i].in[k]]++] = (ScUse){i, k};
    for (uint32_t i = 0; i < g->n_out; i++)
        use[at[g->out[i]]++] = (ScUse){UINT32_MAX, i};
    for (uint32_t i = 0; i < g->n_state; i++)
        use[at[g->state[i].next]++] = (ScUse){UINT32_MAX, g->n_out + i};
    return (ScUses){first, use};
}

/* --- Hashing ---------------------------------------------------------------------------------- */

/* By what is written, never by address: the hash of a graph is kept in files. */

static uint64_t hash_int(uint64_t h, uint64_t x)
{
    return sc_hash(h, &x, sizeof x);
}

static uint64_t hash_text(uint64_t h, const char *s)
{
    return s ? sc_hash(h, s, strlen(s) + 1) : hash_int(h, 0);
}

static uint64_t hash_term(uint64_t h, const ScTerm *t)
{
    ScStr s = {0};
    if (t)
        sc_term_print(t, &s);
    h = hash_text(h, sc_str_get(&s));
    sc_str_free(&s);
    return h;
}

static uint64_t hash_attr(uint64_t h, const ScAttr *a)
{
    h = hash_int(h, a->kind);
    h = hash_int(h, a->n);
    switch (a->kind) {
    case SC_A_NONE:
        return h;
    case SC_A_INT:
    case SC_A_FLOAT:
        return hash_int(h, (uint64_t)a->i);
    case SC_A_STR:
        return hash_text(h, a->s);
    case SC_A_DTYPE:
        return hash_int(h, a->dtype);
    case SC_A_BLOB:
        return hash_int(hash_text(h, a->blob->name), a->blob->hash);
    case SC_A_INTS:
        return sc_hash(h, a->is, a->n * sizeof *a->is);
    case SC_A_FLOATS:
        return sc_hash(h, a->fs, a->n * sizeof *a->fs);
    case SC_A_STRS:
        for (uint32_t i = 0; i < a->n; i++)
            h = hash_text(h, a->ss[i]);
        return h;
    case SC_A_TERMS:
        for (uint32_t i = 0; i < a->n; i++)
            h = hash_term(h, a->ts[i]);
        return h;
    }
    return h;
}

static uint64_t hash_node(const ScNode *n, const uint64_t *value)
{
    uint64_t h = hash_text(SC_HASH, n->op->name);
    for (uint32_t i = 0; i < n->op->n_attr; i++)
        h = hash_attr(h, &n->attr[i]);
    for (uint32_t i = 0; i < n->op->n_sub; i++)
        h = hash_int(h, sc_graph_hash(n->sub[i]));
    for (uint32_t i = 0; i < n->n_in; i++)
        h = hash_int(h, value[n->in[i]]);
    return h;
}

static uint64_t hash_value(uint64_t h, const ScValue *v)
{
    ScStr s = {0};
    sc_type_print(v->type, &s);
    h = hash_text(h, sc_str_get(&s));
    sc_str_free(&s);
    return hash_term(h, v->exp);
}

uint64_t sc_graph_hash(const ScGraph *g)
{
    ScArena *a = sc_arena_new();
    uint64_t *value = sc_array(a, uint64_t, g->n_value), h = hash_text(SC_HASH, g->name);
    value[SC_ABSENT] = 1;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        uint64_t hn = hash_node(n, value);
        if (n->op->flags & SC_BARRIER) /* which input or state it is: they come first */
            hn = hash_int(hn, i);
        for (uint32_t k = 0; k < n->n_out; k++)
            value[n->first + k] = hash_int(hash_value(hn, &g->value[n->first + k]), k);
    }
    h = hash_int(h, g->flags);
    for (uint32_t i = 0; i < g->n_in; i++)
        h = hash_int(hash_text(h, g->value[g->in[i]].name), value[g->in[i]]);
    for (uint32_t i = 0; i < g->n_out; i++)
        h = hash_int(hash_text(h, g->out_name[i]), value[g->out[i]]);
    for (uint32_t i = 0; i < g->n_state; i++) {
        const ScState *s = &g->state[i];
        h = hash_int(hash_text(h, s->name), value[s->next]);
        h = hash_int(h, s->init ? s->init->hash : 0);
        h = hash_int(hash_text(h, s->grows), (uint64_t)s->capacity);
    }
    for (uint32_t i = 0; i < g->n_guard; i++) {
        h = hash_int(h, g->guard[i].kind);
        h = hash_term(hash_term(h, g->guard[i].a), g->guard[i].b);
        h = hash_text(h, g->guard[i].what);
    }
    sc_arena_free(a);
    return h;
}

/* --- States ---------------------------------------------------------------------------------- */

uint32_t sc_state_axis(const ScState *s, const ScType *past)
{
    uint32_t axis = past->rank;
    for (uint32_t d = 0; s->grows && d < past->rank; d++)
        if (past->dim[d]->kind == SC_T_SYM && past->dim[d]->sym == s->grows)
            axis = axis == past->rank ? d : UINT32_MAX;
    return axis < past->rank ? axis : past->rank;
}

const ScType *sc_state_first(ScCtx *cx, const ScState *s, const ScType *past)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t axis = sc_state_axis(s, past);
    int64_t around = 1, n = 0;
    if (axis == past->rank)
        return past;
    for (uint32_t d = 0; d < past->rank; d++) {
        dim[d] = past->dim[d];
        if (s->init && d != axis &&
            (!sc_term_const(dim[d], &n) || n < 1 || __builtin_mul_overflow(around, n, &around)))
            return NULL;
    }
    int64_t count = s->init ? (int64_t)s->init->count : 0;
    if (count % around || count / around > s->capacity)
        return NULL;
    dim[axis] = sc_term(cx, count / around);
    return sc_type(cx, past->dtype, past->rank, dim);
}

bool sc_state_takes(const ScState *s, const ScType *past, const ScType *next)
{
    uint32_t axis = sc_state_axis(s, past);
    if (past == next || axis == past->rank || past->kind != next->kind)
        return past == next;
    bool same = past->dtype == next->dtype && past->rank == next->rank;
    for (uint32_t d = 0; same && d < past->rank; d++)
        same = d == axis || past->dim[d] == next->dim[d];
    return same;
}
