/* SPDX-License-Identifier: Apache-2.0 */
/* A graph with a switch at each of its storage sites: what would the outputs gain if this value
 * alone were kept in f32? One input more a site, a bool: true takes the value as it was before it
 * was rounded, false what it became, both in f32. So one compiled program answers for all sites.
 * What is nested is handed the switches of its sites. */
#include "passes/scale_priv.h"

#include <math.h>
#include <string.h>

ScVal sc_rounded_in_blocks(const ScGraph *g, ScVal v)
{
    const ScNode *n = sc_def(g, v), *codes;
    if (n->op != &sc_op_dequantize)
        return SC_ABSENT;
    codes = sc_def(g, n->in[0]);
    return codes->op == &sc_op_quantize && n->in[0] == codes->first && n->in[1] == codes->first + 1
               ? codes->in[0]
               : SC_ABSENT;
}

ScVal sc_rounded_by_rows(const ScGraph *g, ScVal v)
{
    const ScNode *n = sc_def(g, v);
    int64_t count;
    if (n->op != &sc_op_quantize || v != n->first)
        return SC_ABSENT;
    const ScType *scales = sc_type_of(g, n->first + 1);
    bool rows = scales->rank > 0 && sc_term_const(scales->dim[scales->rank - 1], &count);
    return rows && count == 1 ? n->in[0] : SC_ABSENT;
}

/* Whether v is the rounded form of something at hand: a cast to fewer bits, blocks, or a constant
 * that is stored in fewer bits than its blob, taken by an operand that may be low. */
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
    if (sc_rounded_in_blocks(g, v) != SC_ABSENT || sc_rounded_by_rows(g, v) != SC_ABSENT)
        return true;
    if (!(n->op->flags & SC_CONVERTS))
        return false;
    from = sc_type_of(g, n->in[0]);
    return sc_type_is_float(from) && scrt_dtype_bits(from->dtype) > scrt_dtype_bits(t->dtype);
}

/* A product with a matrix of codes in blocks of so many rows; else 0. */
static int64_t block_of(const ScGraph *g, const ScNode *n, ScContract *c)
{
    *c = (ScContract){0};
    if (n->op->contract)
        n->op->contract(g, n, c);
    return c->block;
}

bool sc_reads_site(const ScGraph *g, const ScNode *n, uint32_t k)
{
    ScContract c;
    return k < 32 &&
           ((n->op->quantizable | n->op->storable) >> k & 1 || (k < 2 && block_of(g, n, &c) != 0));
}

/* Appends those of one level. */
static void add_sites(const ScLevel *l, ScArena *a, ScVal *site, uint32_t *n)
{
    const ScGraph *g = l->g;
    bool *seen = sc_array(a, bool, g->n_value);
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; k < g->node[i].n_in; k++) {
            ScVal v = g->node[i].in[k];
            if (!sc_reads_site(g, &g->node[i], k) || v < SC_FIRST || seen[v] || !is_rounded(g, v))
                continue;
            seen[v] = true;
            site[(*n)++] = l->first + v;
        }
}

/* All sites, by level: those of level i are begin[i] .. begin[i + 1] - 1. Both in a. */
static const ScVal *sites(const ScLevel *l, uint32_t n_level, ScArena *a, uint32_t **ret_begin)
{
    const ScLevel *last = &l[n_level - 1];
    ScVal *site = sc_array(a, ScVal, last->first + last->g->n_value);
    uint32_t *begin = sc_array(a, uint32_t, n_level + 1), n = 0;
    for (uint32_t i = 0; i < n_level; i++) {
        add_sites(&l[i], a, site, &n);
        begin[i + 1] = n;
    }
    *ret_begin = begin;
    return site;
}

const ScVal *sc_storage_sites(const ScGraph *g, ScArena *a, uint32_t *ret_n)
{
    uint32_t n_level, *begin;
    const ScLevel *l = sc_levels(g, a, &n_level);
    const ScVal *site = sites(l, n_level, a, &begin);
    *ret_n = begin[n_level];
    return site;
}

/* A constant that is codes: products that read it have another form where it is kept. */
static bool is_in_blocks(const ScNode *n)
{
    return (n->op->flags & SC_CONST_OP) && n->attr[0].blob->block != 0;
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
    } else if (sc_rounded_by_rows(g, v) != SC_ABSENT) {
        ScVal x = wide(b, env[n->in[0]], g->value[n->in[0]].exp);
        before = sc_op(b, div, x, wide(b, env[v + 1], g->value[v + 1].exp));
        sc_set_exp(b, before, old->exp);
    } else {
        ScVal blocks = sc_rounded_in_blocks(g, v);
        before = wide(b, env[blocks == SC_ABSENT ? n->in[0] : blocks], old->exp);
    }
    ScVal now = sc_op(b, where, keep, before, wide(b, env[v], old->exp));
    sc_set_exp(b, now, old->exp);
    return now;
}

/* x divided by what each output channel of the codes was divided by beside its blocks' powers of
 * two. */
static ScVal per_factor(ScBuild *b, ScVal x, const ScBlob *codes, bool trans, const ScTerm *exp)
{
    int64_t dim[2] = {1, 1};
    size_t n = (size_t)codes->dims[!trans], blocks = codes->n_unit / n;
    float *f = sc_array(sc_ctx_arena(b->cx), float, n + 1);
    for (size_t j = 0; j < n; j++) {
        float unit = codes->unit[trans ? j * blocks : j];
        f[j] = ldexpf(unit, -ilogbf(unit));
    }
    dim[!trans] = (int64_t)n;
    const ScBlob *factor = sc_blob_folded(b->cx, SCRT_F32, 2, dim, f);
    ScVal y = sc_op(b, div, x, sc_const_shaped(b, factor, SCRT_F32, 2, dim, sc_term(b->cx, 0)));
    sc_set_exp(b, y, exp);
    return y;
}

/* A product with a matrix in blocks, of which `keep` says whether it is as it was. in: operands. */
static ScVal unblocked(ScBuild *b, const ScGraph *g, const ScNode *n, const ScContract *c,
                       const ScVal *in, ScVal keep)
{
    int64_t dim[2];
    const ScValue *codes = &g->value[n->in[1]], *y = &g->value[n->first];
    const ScBlob *blob = sc_def(g, n->in[1])->attr[0].blob;
    sc_type_const_dims(codes->type, dim);
    ScVal before = sc_const_shaped(b, blob->from, SCRT_F32, 2, dim, codes->exp);
    before = per_factor(b, before, blob, c->trans_b, codes->exp);
    ScVal now = sc_node1(b, &sc_op_dequantize, SC_ATTRS(SC_INT(c->trans_b), SC_INT(c->block)), 2,
                         (ScVal[]){in[1], in[c->scales]});
    sc_set_exp(b, now, codes->exp);
    ScVal w = sc_op(b, where, keep, before, now);
    sc_set_exp(b, w, codes->exp);
    if (c->trans_b)
        w = sc_op_at(b, transpose, SC_ATTRS(SC_INTS(2, ((const int64_t[]){1, 0}))), w);
    sc_set_exp(b, w, codes->exp);
    w = sc_op(b, matmul, in[0], w);
    sc_set_exp(b, w, y->exp);
    sc_set_name(b, w, y->name);
    return w;
}

/* The weight of a product that n is, or finishes: factors and a bias stand behind it. */
static ScVal weight_of(const ScGraph *g, const ScNode *n)
{
    while (n->n_in > 0 && !n->op->contract && !n->op->conv)
        n = sc_def(g, n->in[0]);
    return n->n_in > 1 ? n->in[1] : SC_ABSENT;
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
            sc_type_is_float(sc_built(b, in[k])->type) &&
            scrt_dtype_bits(sc_built(b, in[k])->type->dtype) == 16)
            in[k] = wide(b, in[k], sc_built(b, in[k])->exp);
}

/* --- Graphs ---------------------------------------------------------------------------------- */

typedef struct Switch {
    ScCtx *cx;
    const ScLevel *level; /* [n_level] */
    uint32_t n_level;
    const ScVal *site; /* those of level i: begin[i] .. begin[i + 1] - 1 */
    uint32_t *begin;   /* [n_level + 1] */
} Switch;

/* The level behind this one and all that is nested in it. */
static uint32_t behind(const Switch *x, uint32_t level)
{
    uint32_t end = level + 1;
    while (end < x->n_level && x->level[end].outer >= level)
        end++;
    return end;
}

static ScGraph *switched_level(const Switch *x, uint32_t level, uint32_t first, uint32_t n);

/* A node of g with nested graphs, the first of which is level *nested; it becomes the level behind
 * them. It hands each the switches of all of them. */
static void copy_control(const Switch *x, ScBuild *b, const ScGraph *g, const ScNode *n,
                         uint32_t *nested, const ScVal *keep, const ScVal *in, ScVal *ret)
{
    ScArena *a = sc_arena_new();
    uint32_t level = *nested, from = x->begin[level];
    for (uint32_t k = 0; k < n->op->n_sub; k++)
        *nested = behind(x, *nested);
    uint32_t all = x->begin[*nested] - from;
    ScGraph **sub = sc_array(a, ScGraph *, n->op->n_sub);
    for (uint32_t k = 0; k < n->op->n_sub; k++, level = behind(x, level))
        sub[k] = switched_level(x, level, from, all);
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
    ScVal *keep = sc_array(a, ScVal, first + n), *of = sc_array(a, ScVal, g->n_value);
    uint32_t nested = level + 1;
    for (uint32_t i = first; i < first + n; i++)
        keep[i] = sc_input(&b, sc_printf(sc_ctx_arena(x->cx), "keep.%u", i),
                           sc_type_c(x->cx, SCRT_BOOL, 0, NULL), NULL);
    for (uint32_t i = x->begin[level]; i < x->begin[level + 1]; i++)
        of[x->site[i] - l->first] = keep[i];
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *node = &g->node[i];
        if (node->op->flags & SC_BARRIER)
            continue;
        b.at = node->loc;
        ScVal *in = sc_memdup(a, sc_map(env, node), node->n_in * sizeof *in);
        for (uint32_t k = 0; k < node->n_in; k++)
            if (sc_reads_site(g, node, k) && other[node->in[k]])
                in[k] = other[node->in[k]];
            else if (sc_takes_back(g, node, k) && of[weight_of(g, node)])
                in[k] = switched(&b, g, node->in[k], env, of[weight_of(g, node)]);
        all_wide(&b, node, in);
        ScContract c;
        if (block_of(g, node, &c) != 0 && of[node->in[1]])
            env[node->first] = unblocked(&b, g, node, &c, in, of[node->in[1]]);
        else if (node->op->control)
            copy_control(x, &b, g, node, &nested, keep, in, &env[node->first]);
        else
            sc_copy_node(&b, g, node, in, &env[node->first]);
        if (of[node->first] && !is_in_blocks(node))
            other[node->first] = switched(&b, g, node->first, env, of[node->first]);
    }
    return sc_pass_end(&b, env);
}

ScGraph *sc_switched_graph(ScCtx *cx, const ScGraph *g)
{
    ScArena *a = sc_arena_new();
    Switch x = {.cx = cx};
    x.level = sc_levels(g, a, &x.n_level);
    x.site = sites(x.level, x.n_level, a, &x.begin);
    ScGraph *ret = switched_level(&x, 0, 0, x.begin[x.n_level]);
    sc_arena_free(a);
    return ret;
}
