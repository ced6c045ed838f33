/* SPDX-License-Identifier: Apache-2.0 */
/* Between the products of an ATTENTION kernel: a row of scores becomes weights relative to the
 * row's largest score so far. Where nothing was seen yet that is -inf, and the weights are relative
 * to 0, so that they are 0 and not NaN; a row that never sees a key is settled at the end. */
#include "codegen/product/attention_priv.h"

typedef struct Row {
    const CgAttn *a;
    const CgAttnAt *at;
    LLVMValueRef row, weights; /* of the block; ptr to its weights */
    LLVMValueRef scale;        /* one number */
    LLVMValueRef keep, addend; /* addresses of the block's first key, or NULL */
    LLVMValueRef top;          /* what is subtracted: one number */
    /* Variables: the maximum or the sum so far, by lanes and in the tail. */
    LLVMValueRef wide, narrow;
} Row;

static LLVMTypeRef lanes_type(const CgAttn *a)
{
    return cg_vec(a->t1.el, a->t1.w);
}

/* --- Scores ----------------------------------------------------------------------------------- */

/* scale, cap, masks, as a body of the score (operand 0), the scale (1), keep (2), the addend (3).
 */
static ScX score_of(ScBody *b, const CgAttn *a)
{
    ScX s = sc_x(b, SC_X_MUL, sc_x_in(b, 0, SC_XF), sc_x_in(b, 1, SC_XF), 0);
    if (a->what.softcap > 0) {
        ScX cap = sc_x_const(b, (float)a->what.softcap);
        s = sc_x(b, SC_X_MUL, sc_x_tanh(b, sc_x(b, SC_X_DIV, s, cap, 0)), cap, 0);
    }
    if (a->what.keep >= 0)
        s = sc_x(b, SC_X_SELECT, sc_x_in(b, 2, SC_XB), s, sc_x_const(b, (float)a->what.fill));
    return a->what.addend < 0 ? s : sc_x(b, SC_X_ADD, s, sc_x_in(b, 3, SC_XF), 0);
}

/* e^(score - top): operands 0 and 1. */
static ScX weight_of(ScBody *b)
{
    return sc_x_exp(b, sc_x(b, SC_X_SUB, sc_x_in(b, 0, SC_XF), sc_x_in(b, 1, SC_XF), 0));
}

static LLVMValueRef apply(Cg *cg, const CgAttn *a, bool exponential, const CgVal *in, uint32_t w)
{
    ScArena *scratch = sc_arena_new();
    ScBody b = {.arena = scratch, .g = a->f->sub, .compute = a->compute};
    CgVal ret;
    ScX y = exponential ? weight_of(&b) : score_of(&b, a);
    cg_body(cg, &b, in, w, 1, &y, &ret);
    sc_arena_free(scratch);
    return ret.v;
}

/* Columns that lie together, wherever one of so many vectors begins. */
static const ScTerm *together(Cg *cg, const CgTile *t)
{
    return sc_term(cg->m->cx, t->nr & -t->nr);
}

/* Vectors at once. Scores lie in panels, a row of weights lies whole. */
static uint32_t at_once(Cg *cg, const CgAttn *a, bool exponential)
{
    ScArena *scratch = sc_arena_new();
    ScBody b = {.arena = scratch, .g = a->f->sub, .compute = a->compute};
    exponential ? weight_of(&b) : score_of(&b, a);
    CgChain chain = {.cost = b.n, .lanes = a->compute == SCRT_F64};
    sc_arena_free(scratch);
    return cg_at_once(cg->m, &chain,
                      exponential ? sc_term(cg->m->cx, a->n_key) : together(cg, &a->t1));
}

/* Element i of a mask of the block's row, where there is one. */
static CgVal mask_value(Cg *cg, const Row *r, const CgAccess *x, LLVMValueRef row, LLVMValueRef i,
                        uint32_t w, LLVMValueRef mask)
{
    const CgAttn *a = r->a;
    if (!row)
        return (CgVal){NULL, SCRT_DTYPE_NONE, NULL};
    LLVMValueRef at = cg_add_int(cg, row, cg_mul_int(cg, i, cg_term(cg, x->stride[3])));
    CgVal y = cg_access_load(cg, x, at, x->stride[3], w, mask);
    if (y.t == SCRT_BOOL)
        return y;
    return (CgVal){LLVMBuildFPCast(cg->b, y.v, cg_vec(a->t1.el, w), ""), a->compute, NULL};
}

/* Combines x, in the lanes of the mask, with what the variables hold, vector by vector. */
static void gather(Cg *cg, const Row *r, bool max, LLVMValueRef x, uint32_t w, LLVMValueRef mask)
{
    uint32_t lanes = r->a->t1.w;
    LLVMTypeRef type = cg_vec(r->a->t1.el, w < lanes ? w : lanes);
    LLVMValueRef var = w < lanes ? r->narrow : r->wide;
    if (mask)
        x = LLVMBuildSelect(cg->b, mask, x, cg_fconst(type, max ? -INFINITY : 0), "");
    for (uint32_t i = 0; i < w; i += lanes) {
        LLVMValueRef was = cg_get(cg, type, var), y = w > lanes ? cg_take(cg, x, i, lanes) : x;
        cg_set(cg, var, cg_combine(cg, max ? SC_MAX : SC_SUM, r->a->compute, was, y));
    }
}

static void score_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Row *r = arg;
    const CgAttn *a = r->a;
    CgVal in[4] = {
        {cg_attn_get(cg, a, cg_attn_ptr(cg, a, &r->at->score, r->row, i), w), a->compute, NULL},
        {cg_splat(cg, r->scale, w), a->compute, NULL},
        mask_value(cg, r, &a->keep, r->keep, i, w, mask),
        mask_value(cg, r, &a->addend, r->addend, i, w, mask),
    };
    LLVMValueRef s = apply(cg, a, false, in, w);
    gather(cg, r, true, s, w, mask);
    cg_attn_put(cg, a, s, cg_gep(cg, a->t1.el, r->weights, i));
}

static void weight_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Row *r = arg;
    const CgAttn *a = r->a;
    LLVMValueRef ptr = cg_gep(cg, a->t1.el, r->weights, i);
    CgVal in[3] = {{cg_attn_get(cg, a, ptr, w), a->compute, NULL},
                   {cg_splat(cg, r->top, w), a->compute, NULL}};
    LLVMValueRef p = apply(cg, a, true, in, w);
    if (mask) /* what follows the seen keys is 0 */
        p = LLVMBuildSelect(cg->b, mask, p, LLVMConstNull(LLVMTypeOf(p)), "");
    gather(cg, r, false, p, w, mask);
    cg_attn_put(cg, a, p, ptr);
}

/* --- A row ------------------------------------------------------------------------------------ */

static void start(Cg *cg, Row *r, bool max)
{
    double x = max ? -INFINITY : 0;
    cg_set(cg, r->wide, cg_fconst(lanes_type(r->a), x));
    cg_set(cg, r->narrow, cg_fconst(r->a->t1.el, x));
}

/* The lanes combined, halves at a time, then with the tail. */
static LLVMValueRef result(Cg *cg, const Row *r, bool max)
{
    const CgAttn *a = r->a;
    ScMonoid monoid = max ? SC_MAX : SC_SUM;
    LLVMValueRef v = cg_get(cg, lanes_type(a), r->wide), narrow = cg_get(cg, a->t1.el, r->narrow);
    return cg_combine(cg, monoid, a->compute, cg_across(cg, monoid, a->compute, v, a->t1.w),
                      narrow);
}

/* How many of the block's keys the query sees. */
static LLVMValueRef seen(Cg *cg, const CgAttn *a, const CgAttnAt *at, LLVMValueRef query)
{
    if (!a->what.diagonal)
        return at->n_key;
    LLVMValueRef end =
        cg_add_int(cg, cg_add_int(cg, query, cg_term(cg, a->what.diagonal)), cg_int(cg, 1));
    end = LLVMBuildSub(cg->b, end, at->key0, "");
    return cg_max_int(cg, cg_min_int(cg, end, at->n_key), cg_int(cg, 0));
}

/* Weights of keys that the query does not see. */
static void clear(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Row *r = arg;
    (void)mask; /* rows have room for a vector more */
    cg_attn_put(cg, r->a, LLVMConstNull(cg_vec(r->a->t1.el, w)),
                cg_gep(cg, r->a->t1.el, r->weights, i));
}

static LLVMValueRef less(Cg *cg, const CgAttn *a, LLVMValueRef x, LLVMValueRef top)
{
    CgVal in[3] = {{x, a->compute, NULL}, {top, a->compute, NULL}};
    return apply(cg, a, true, in, 1);
}

void cg_attn_weigh(Cg *cg, const CgAttn *a, const CgAttnAt *at, LLVMValueRef row)
{
    LLVMTypeRef el = a->t1.el;
    LLVMValueRef head, query, zero = cg_int(cg, 0);
    cg_attn_row(cg, a, at->head, cg_add_int(cg, at->row0, row), &head, &query);
    Row r = {.a = a, .at = at, .row = row};
    r.weights = cg_gep(cg, el, at->part[CG_ATTN_P], cg_mul_int(cg, row, cg_int(cg, a->t2.ks)));
    r.scale = cg_attn_load(cg, a, &a->scale, cg_address(cg, &a->scale, 0, NULL),
                           sc_term(cg->m->cx, 0), 1, NULL);
    LLVMValueRef place[] = {at->batch, head, query, at->key0};
    r.keep = a->what.keep < 0 ? NULL : cg_address(cg, &a->keep, 4, place);
    r.addend = a->what.addend < 0 ? NULL : cg_address(cg, &a->addend, 4, place);
    r.wide = cg_var(cg, lanes_type(a), NULL);
    r.narrow = cg_var(cg, el, NULL);

    LLVMValueRef top_ptr = cg_gep(cg, el, at->part[CG_ATTN_TOP], row);
    LLVMValueRef sum_ptr = cg_gep(cg, el, at->part[CG_ATTN_SUM], row);
    LLVMValueRef n = seen(cg, a, at, query), none = cg_fconst(el, -INFINITY);
    start(cg, &r, true);
    cg_lanes_at_once(cg, zero, n, a->t1.w, at_once(cg, a, false), score_lanes, &r);
    LLVMValueRef was = cg_attn_get(cg, a, top_ptr, 1);
    LLVMValueRef top = cg_combine(cg, SC_MAX, a->compute, was, result(cg, &r, true));
    cg_attn_put(cg, a, top, top_ptr);
    LLVMValueRef nothing = LLVMBuildFCmp(cg->b, LLVMRealOEQ, top, none, "");
    r.top = LLVMBuildSelect(cg->b, nothing, cg_fconst(el, 0), top, "");
    LLVMValueRef sum_var = cg_var(cg, el, cg_fconst(el, 0));
    CgIf more = cg_if(cg, LLVMBuildNot(cg->b, at->first, ""));
    LLVMValueRef factor = less(cg, a, was, r.top);
    cg_attn_put(cg, a, factor, cg_gep(cg, el, at->part[CG_ATTN_FACTOR], row));
    cg_set(cg, sum_var, LLVMBuildFMul(cg->b, cg_attn_get(cg, a, sum_ptr, 1), factor, ""));
    cg_endif(cg, &more);
    start(cg, &r, false);
    cg_lanes_at_once(cg, zero, n, a->t1.w, at_once(cg, a, true), weight_lanes, &r);
    LLVMValueRef sum = LLVMBuildFAdd(cg->b, cg_get(cg, el, sum_var), result(cg, &r, false), "");
    cg_attn_put(cg, a, sum, sum_ptr);
    if (a->what.diagonal)
        cg_lanes(cg, n, at->n_key, a->t1.w, clear, &r);
}

/* --- The result ------------------------------------------------------------------------------- */

typedef struct Finish {
    const CgAttn *a;
    const CgAttnAt *at;
    const CgEpiRow *to;
    LLVMValueRef row, sum, zero; /* i1: the result is 0 */
} Finish;

static void finish_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Finish *f = arg;
    const CgAttn *a = f->a;
    LLVMValueRef x = cg_attn_get(cg, a, cg_attn_ptr(cg, a, &f->at->sum, f->row, i), w);
    x = LLVMBuildFDiv(cg->b, x, cg_splat(cg, f->sum, w), "");
    x = LLVMBuildSelect(cg->b, f->zero, LLVMConstNull(LLVMTypeOf(x)), x, "");
    cg_epi_store(cg, a->epi, f->to, i, x, w, mask);
}

/* A sum of 0 is that of a row that saw no key; of no keys at all the result is 0, a sum over
 * nothing. */
void cg_attn_finish(Cg *cg, const CgAttn *a, const CgAttnAt *at, LLVMValueRef row)
{
    LLVMValueRef head, query;
    cg_attn_row(cg, a, at->head, cg_add_int(cg, at->row0, row), &head, &query);
    CgEpiRow to = cg_epi_row(cg, a->epi, (LLVMValueRef[]){at->batch, head, query}, 3);
    LLVMValueRef sum = cg_attn_get(cg, a, cg_gep(cg, a->t1.el, at->part[CG_ATTN_SUM], row), 1);
    LLVMRealPredicate zero = a->what.zeros > 1 ? LLVMRealUEQ : LLVMRealOEQ; /* or NaN */
    LLVMValueRef none = LLVMBuildFCmp(cg->b, zero, sum, cg_fconst(a->t1.el, 0), "");
    if (!a->what.zeros) {
        LLVMValueRef no_key =
            LLVMBuildICmp(cg->b, LLVMIntEQ, cg_term(cg, a->keys), cg_int(cg, 0), "");
        none = LLVMBuildAnd(cg->b, none, no_key, "");
    }
    Finish f = {a, at, &to, row, sum, none};
    uint32_t vectors = cg_epi_at_once(a->epi, together(cg, &a->t2));
    cg_lanes_at_once(cg, cg_int(cg, 0), cg_term(cg, a->out_width), a->t1.w, vectors, finish_lanes,
                     &f);
}
