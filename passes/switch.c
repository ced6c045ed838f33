/* SPDX-License-Identifier: Apache-2.0 */
/* A graph with a switch at each of its storage sites: what would the outputs gain if this value
 * alone were kept in f32? One input more a site, a bool: true takes the value as it was before it
 * was rounded, false what it became, both in f32. So one compiled program answers for all sites.
 * What is nested is handed the switches of its sites. */
#include "passes/scale_priv.h"

#include <string.h>

/* Whether v is the rounded form of something at hand: a cast to fewer bits or a constant that is
 * stored in fewer than its blob, taken by an operand that may be low. */
static bool is_rounded(const ScGraph *g, ScVal v)
{
    const ScNode *n = sc_def(g, v);
    const ScType *t = sc_type_of(g, v), *from;
    if (!sc_type_is_float(t))
        return false;
    if (n->op->flags & SC_CONST_OP)
        return n->attr[0].blob->data &&
               (n->attr[0].blob->from ||
                scrt_dtype_bits(n->attr[0].blob->dtype) > scrt_dtype_bits(t->dtype));
    if (!(n->op->flags & SC_CONVERTS))
        return false;
    from = sc_type_of(g, n->in[0]);
    return sc_type_is_float(from) && scrt_dtype_bits(from->dtype) > scrt_dtype_bits(t->dtype);
}

static bool may_be_low(const ScNode *n, uint32_t k)
{
    return (n->op->quantizable | n->op->storable) >> k & 1;
}

/* Appends those of one level. */
static void add_sites(const ScLevel *l, ScArena *a, ScVal *site, uint32_t *n)
{
    const ScGraph *g = l->g;
    bool *seen = sc_array(a, bool, g->n_value);
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; k < g->node[i].n_in && k < 32; k++) {
            ScVal v = g->node[i].in[k];
            if (!may_be_low(&g->node[i], k) || v < SC_FIRST || seen[v] || !is_rounded(g, v))
                continue;
            seen[v] = true;
            site[(*n)++] = l->first + v;
        }
}

const ScVal *sc_storage_sites(const ScGraph *g, ScArena *a, uint32_t *ret_n)
{
    uint32_t n, most = 1;
    const ScLevel *l = sc_levels(g, a, &n);
    for (uint32_t i = 0; i < n; i++)
        most += l[i].g->n_value;
    ScVal *site = sc_array(a, ScVal, most);
    *ret_n = 0;
    for (uint32_t i = 0; i < n; i++)
        add_sites(&l[i], a, site, ret_n);
    return site;
}

static ScVal wide(ScBuild *b, ScVal x, const ScTerm *exp)
{
    if (sc_built(b, x)->type->dtype == SCRT_F32)
        return x;
    ScVal y = sc_op_at(b, cast, SC_ATTRS(SC_DT(SCRT_F32)), x);
    sc_set_exp(b, y, exp);
    return y;
}

/* x divided by the numbers that its blob was divided by before it was rounded. */
static ScVal per_unit(ScBuild *b, ScVal x, const ScBlob *blob, const ScValue *old)
{
    int64_t dim[SCRT_MAX_RANK] = {(int64_t)blob->n_unit};
    uint32_t rank = 1; /* the channels' extent and those behind it, which are 1 here */
    size_t behind = 1;
    while (behind != blob->inner || blob->dims[blob->rank - rank] != dim[0]) {
        behind *= (size_t)blob->dims[blob->rank - rank];
        dim[rank++] = 1;
    }
    const ScBlob *unit = sc_blob_folded(b->cx, SCRT_F32, rank, dim, blob->unit);
    ScVal by = sc_const_shaped(b, unit, SCRT_F32, rank, dim, sc_term(b->cx, 0));
    ScVal y = sc_op(b, div, x, by);
    sc_set_exp(b, y, old->exp);
    return y;
}

/* Site v of g, already built: what its users take now. */
static ScVal switched(ScBuild *b, const ScGraph *g, ScVal v, const ScVal *env, ScVal keep)
{
    int64_t dim[SCRT_MAX_RANK];
    const ScNode *n = sc_def(g, v);
    const ScValue *old = &g->value[v];
    ScVal before;
    if (n->op->flags & SC_CONST_OP) {
        const ScBlob *blob = n->attr[0].blob;
        sc_type_const_dims(old->type, dim);
        before = sc_const_shaped(b, blob->from ? blob->from : blob, SCRT_F32, old->type->rank, dim,
                                 old->exp);
        if (blob->unit)
            before = per_unit(b, before, blob, old);
    } else {
        before = wide(b, env[n->in[0]], old->exp);
    }
    ScVal now = sc_op(b, where, keep, before, wide(b, env[v], old->exp));
    sc_set_exp(b, now, old->exp);
    return now;
}

/* n with operands of f32 where all that may be low were 16 bits wide: the others follow. */
static void all_wide(ScBuild *b, const ScNode *n, ScVal *in)
{
    bool any = false;
    for (uint32_t k = 0; k < n->n_in && k < 32; k++)
        any = any || ((n->op->quantizable >> k & 1) && in[k] >= SC_FIRST &&
                      sc_built(b, in[k])->type->dtype == SCRT_F32);
    for (uint32_t k = 0; any && k < n->n_in && k < 32; k++)
        if ((n->op->quantizable >> k & 1) && in[k] >= SC_FIRST &&
            scrt_dtype_bits(sc_built(b, in[k])->type->dtype) == 16)
            in[k] = wide(b, in[k], sc_built(b, in[k])->exp);
}

/* --- Graphs ---------------------------------------------------------------------------------- */

typedef struct Switch {
    ScCtx *cx;
    const ScLevel *level; /* [n_level] */
    const ScVal *site;    /* [n_site], by level */
    uint32_t n_level, n_site;
} Switch;

/* The sites of a level and of what is nested in it are neighbours: *ret_first and how many. */
static uint32_t sites_of(const Switch *x, uint32_t level, uint32_t *ret_first)
{
    uint32_t end = level + 1, n = 0;
    while (end < x->n_level && x->level[end].outer >= level)
        end++;
    for (uint32_t i = x->n_site; i-- > 0;) {
        uint32_t at = (uint32_t)(sc_level_of(x->level, x->n_level, x->site[i]) - x->level);
        if (at >= level && at < end) {
            *ret_first = i;
            n++;
        }
    }
    return n;
}

static uint32_t level_of(const Switch *x, uint32_t outer, uint32_t node, uint32_t sub)
{
    uint32_t i = outer + 1;
    while (x->level[i].outer != outer || x->level[i].node != node || x->level[i].sub != sub)
        i++;
    return i;
}

static ScGraph *switched_level(const Switch *x, uint32_t level, uint32_t first, uint32_t n);

/* A node with nested graphs, which it hands the switches of all of them. */
static void copy_control(const Switch *x, ScBuild *b, uint32_t level, uint32_t i, const ScVal *keep,
                         const ScVal *in, ScVal *ret)
{
    ScArena *a = sc_arena_new();
    const ScGraph *g = x->level[level].g;
    const ScNode *n = &g->node[i];
    uint32_t first = 0, count = 0, all = 0, from = 0;
    for (uint32_t k = 0; k < n->op->n_sub; k++) {
        count = sites_of(x, level_of(x, level, i, k), &first);
        from = all == 0 ? first : from;
        all += count;
    }
    ScGraph **sub = sc_array(a, ScGraph *, n->op->n_sub);
    for (uint32_t k = 0; k < n->op->n_sub; k++)
        sub[k] = switched_level(x, level_of(x, level, i, k), from, all);
    ScVal *operand = sc_array(a, ScVal, n->n_in + all);
    memcpy(operand, in, n->n_in * sizeof *in);
    for (uint32_t k = 0; k < all; k++)
        operand[n->n_in + k] = keep[from + k];
    sc_node(b, n->op, n->attr, sub, n->n_in + all, operand, n->n_out, ret);
    for (uint32_t k = 0; k < n->n_out; k++) {
        sc_set_exp(b, ret[k], g->value[n->first + k].exp);
        sc_set_name(b, ret[k], g->value[n->first + k].name);
    }
    sc_arena_free(a);
}

/* The graph of a level with sites first .. first + n - 1 as inputs behind its own. */
static ScGraph *switched_level(const Switch *x, uint32_t level, uint32_t first, uint32_t n)
{
    const ScLevel *l = &x->level[level];
    const ScGraph *g = l->g;
    SC_PASS(x->cx, g, b, env);
    ScArena *a = sc_pass_scratch(env);
    ScVal *other = sc_array(a, ScVal, g->n_value); /* what users of a site that may be low take */
    ScVal *keep = sc_array(a, ScVal, x->n_site + 1), *of = sc_array(a, ScVal, g->n_value);
    for (uint32_t i = first; i < first + n; i++) {
        keep[i] = sc_input(&b, sc_printf(sc_ctx_arena(x->cx), "keep.%u", i),
                           sc_type_c(x->cx, SCRT_BOOL, 0, NULL), NULL);
        if (x->site[i] >= l->first && x->site[i] - l->first < g->n_value)
            of[x->site[i] - l->first] = keep[i];
    }
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *node = &g->node[i];
        if (node->op->flags & SC_BARRIER)
            continue;
        b.at = node->loc;
        ScVal *in = sc_memdup(a, sc_map(env, node), node->n_in * sizeof *in);
        for (uint32_t k = 0; k < node->n_in && k < 32; k++)
            if (may_be_low(node, k) && other[node->in[k]])
                in[k] = other[node->in[k]];
        all_wide(&b, node, in);
        if (node->op->control)
            copy_control(x, &b, level, i, keep, in, &env[node->first]);
        else
            sc_copy_node(&b, g, node, in, &env[node->first]);
        if (of[node->first])
            other[node->first] = switched(&b, g, node->first, env, of[node->first]);
    }
    return sc_pass_end(&b, env);
}

ScGraph *sc_switched_graph(ScCtx *cx, const ScGraph *g)
{
    ScArena *a = sc_arena_new();
    Switch x = {.cx = cx};
    x.level = sc_levels(g, a, &x.n_level);
    x.site = sc_storage_sites(g, a, &x.n_site);
    ScGraph *ret = switched_level(&x, 0, 0, x.n_site);
    sc_arena_free(a);
    return ret;
}
