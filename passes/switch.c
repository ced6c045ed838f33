/* SPDX-License-Identifier: Apache-2.0 */
/* A graph with a switch at each of its storage sites: what would the outputs gain if this value
 * alone were kept in f32? One input more a site, a bool: true takes the value as it was before it
 * was rounded, false what it became, both in f32. So one compiled program answers for all sites. */
#include "passes/scale_priv.h"

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

const ScVal *sc_storage_sites(const ScGraph *g, ScArena *a, uint32_t *ret_n)
{
    ScVal *site = sc_array(a, ScVal, g->n_value);
    bool *seen = sc_array(a, bool, g->n_value);
    *ret_n = 0;
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; k < g->node[i].n_in && k < 32; k++) {
            ScVal v = g->node[i].in[k];
            if (!may_be_low(&g->node[i], k) || v < SC_FIRST || seen[v] || !is_rounded(g, v))
                continue;
            seen[v] = true;
            site[(*ret_n)++] = v;
        }
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

ScGraph *sc_switched_graph(ScCtx *cx, const ScGraph *g)
{
    SC_PASS(cx, g, b, env);
    uint32_t n_site;
    ScArena *a = sc_pass_scratch(env);
    const ScVal *site = sc_storage_sites(g, a, &n_site);
    ScVal *other = sc_array(a, ScVal, g->n_value); /* what users of a site that may be low take */
    ScVal *keep = sc_array(a, ScVal, g->n_value);
    for (uint32_t i = 0; i < n_site; i++)
        keep[site[i]] = sc_input(&b, sc_printf(sc_ctx_arena(cx), "keep.%u", i),
                                 sc_type_c(cx, SCRT_BOOL, 0, NULL), NULL);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (n->op->flags & SC_BARRIER)
            continue;
        b.at = n->loc;
        ScVal *in = sc_memdup(a, sc_map(env, n), n->n_in * sizeof *in);
        for (uint32_t k = 0; k < n->n_in && k < 32; k++)
            if (may_be_low(n, k) && other[n->in[k]])
                in[k] = other[n->in[k]];
        all_wide(&b, n, in);
        sc_copy_node(&b, g, n, in, &env[n->first]);
        if (keep[n->first])
            other[n->first] = switched(&b, g, n->first, env, keep[n->first]);
    }
    return sc_pass_end(&b, env);
}
