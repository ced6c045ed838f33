/* SPDX-License-Identifier: Apache-2.0 */
/* The products of an ATTENTION kernel for few rows, as when a token is decoded: keys and values are
 * read where they lie, a block at a time from memory, then again from the cache for each further
 * row. */
#include "codegen/product/attention_priv.h"

static LLVMValueRef query_row(Cg *cg, const CgAttn *a, const CgAttnAt *at, LLVMValueRef row)
{
    const ScTerm *each = cg_attn_query_elements(cg->m, a);
    return cg_gep(cg, a->t1.el, at->part[CG_ATTN_Q], cg_mul_int(cg, row, cg_term(cg, each)));
}

void cg_attn_few_queries(Cg *cg, const CgAttn *a, const CgAttnAt *at)
{
    LLVMValueRef head, query, zero = cg_int(cg, 0);
    CgLoop row = cg_for(cg, zero, at->n_row, cg_int(cg, 1));
    cg_attn_row(cg, a, at->head, cg_add_int(cg, at->row0, row.i), &head, &query);
    LLVMValueRef from = cg_address(cg, &a->q, 4, (LLVMValueRef[]){at->batch, head, query, zero});
    cg_row_copy(cg, &a->t1, &a->q, from, a->q.stride[3], cg_term(cg, a->width),
                query_row(cg, a, at, row.i));
    cg_next(cg, &row);
}

/* --- Scores ----------------------------------------------------------------------------------- */

typedef struct Keys {
    const CgAttn *a;
    LLVMValueRef q;       /* ptr to the query */
    LLVMValueRef address; /* of the block's first key */
    LLVMValueRef j, last; /* the first of w keys; the block's last one */
    LLVMValueRef sum[64]; /* variables */
} Keys;

/* Adds e .. e + w - 1 of each key's product with the query, lane by lane. */
static void add_width(Cg *cg, void *arg, LLVMValueRef e, uint32_t w, LLVMValueRef mask)
{
    const Keys *k = arg;
    const CgAttn *a = k->a;
    LLVMValueRef q = cg_attn_get(cg, a, cg_gep(cg, a->t1.el, k->q, e), w);
    LLVMTypeRef vec = cg_vec(a->t1.el, a->t1.w);
    for (uint32_t i = 0; i < a->t1.w; i++) {
        LLVMValueRef key = cg_min_int(cg, cg_add_int(cg, k->j, cg_int(cg, i)), k->last);
        LLVMValueRef at = cg_mul_int(cg, key, cg_term(cg, a->k.stride[2]));
        at = cg_add_int(cg, cg_add_int(cg, k->address, at), e);
        LLVMValueRef x = cg_attn_load(cg, a, &a->k, at, a->k.stride[3], w, mask);
        LLVMValueRef was = cg_get(cg, vec, k->sum[i]);
        if (w == a->t1.w) {
            cg_set(cg, k->sum[i], cg_fma(cg, q, x, was));
            continue;
        }
        LLVMValueRef zero = LLVMConstInt(cg->m->i32, 0, 0);
        LLVMValueRef lane = LLVMBuildExtractElement(cg->b, was, zero, "");
        lane = cg_fma(cg, q, x, lane);
        cg_set(cg, k->sum[i], LLVMBuildInsertElement(cg->b, was, lane, zero, ""));
    }
}

/* Scores of w keys, where a key is contiguous: lanes of each added up at the end. */
static LLVMValueRef along_keys(Cg *cg, Keys *k)
{
    const CgAttn *a = k->a;
    LLVMTypeRef vec = cg_vec(a->t1.el, a->t1.w);
    LLVMValueRef v[64];
    for (uint32_t i = 0; i < a->t1.w; i++)
        cg_set(cg, k->sum[i], LLVMConstNull(vec));
    cg_lanes(cg, cg_int(cg, 0), cg_term(cg, a->width), a->t1.w, add_width, k);
    for (uint32_t i = 0; i < a->t1.w; i++)
        v[i] = cg_get(cg, vec, k->sum[i]);
    cg_turn(cg, v, a->t1.w);
    for (uint32_t n = a->t1.w; n > 1; n /= 2)
        for (uint32_t i = 0; i < n / 2; i++)
            v[i] = LLVMBuildFAdd(cg->b, v[i], v[i + n / 2], "");
    return v[0];
}

/* The same for keys that lie across: element by element of all w. */
static LLVMValueRef across_keys(Cg *cg, Keys *k)
{
    const CgAttn *a = k->a;
    uint32_t w = a->t1.w;
    LLVMTypeRef vec = cg_vec(a->t1.el, w);
    LLVMValueRef one = cg_int(cg, 1);
    LLVMValueRef n = cg_add_int(cg, LLVMBuildSub(cg->b, k->last, k->j, ""), one);
    LLVMValueRef mask = cg_mask(cg, cg_min_int(cg, n, cg_int(cg, w)), w);
    cg_set(cg, k->sum[0], LLVMConstNull(vec));
    CgLoop e = cg_for(cg, cg_int(cg, 0), cg_term(cg, a->width), one);
    LLVMValueRef at = cg_add_int(cg, k->address, cg_mul_int(cg, e.i, cg_term(cg, a->k.stride[3])));
    at = cg_add_int(cg, at, cg_mul_int(cg, k->j, cg_term(cg, a->k.stride[2])));
    LLVMValueRef x = cg_attn_load(cg, a, &a->k, at, a->k.stride[2], w, mask);
    LLVMValueRef q = cg_attn_get(cg, a, cg_gep(cg, a->t1.el, k->q, e.i), 1);
    cg_set(cg, k->sum[0], cg_fma(cg, cg_splat(cg, q, w), x, cg_get(cg, vec, k->sum[0])));
    cg_next(cg, &e);
    return cg_get(cg, vec, k->sum[0]);
}

void cg_attn_few_scores(Cg *cg, const CgAttn *a, const CgAttnAt *at)
{
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1),
                 place[] = {at->batch, at->head, at->key0, zero};
    Keys k = {.a = a, .address = cg_address(cg, &a->k, 4, place)};
    for (uint32_t i = 0; i < a->t1.w; i++)
        k.sum[i] = cg_var(cg, cg_vec(a->t1.el, a->t1.w), NULL);
    k.last = LLVMBuildSub(cg->b, at->n_key, one, "");
    CgLoop row = cg_for(cg, zero, at->n_row, one);
    k.q = query_row(cg, a, at, row.i);
    CgLoop j = cg_for(cg, zero, at->n_key, cg_int(cg, a->t1.w));
    k.j = j.i;
    LLVMValueRef s = sc_term_is(a->k.stride[3], 1) ? along_keys(cg, &k) : across_keys(cg, &k);
    cg_attn_put(cg, a, s, cg_attn_ptr(cg, a, &at->score, row.i, j.i));
    cg_next(cg, &j);
    cg_next(cg, &row);
}

/* --- Sums ------------------------------------------------------------------------------------- */

typedef struct Values {
    const CgAttn *a;
    const CgAttnAt *at;
    LLVMValueRef row, p;  /* ptr to its weights */
    LLVMValueRef address; /* of the block's first value */
    uint32_t n;           /* vectors side by side */
} Values;

/* Columns c .. c + n w - 1 of the row's sums. */
static void add_values(Cg *cg, void *arg, LLVMValueRef c, uint32_t w, LLVMValueRef mask)
{
    const Values *x = arg;
    const CgAttn *a = x->a;
    LLVMTypeRef vec = cg_vec(a->t1.el, w);
    LLVMValueRef sum[CG_ATTN_PART], out[CG_ATTN_PART], old = NULL;
    LLVMValueRef factor = cg_gep(cg, a->t1.el, x->at->part[CG_ATTN_FACTOR], x->row);
    factor = cg_splat(cg, cg_attn_get(cg, a, factor, 1), w);
    for (uint32_t i = 0; i < x->n; i++) {
        LLVMValueRef column = cg_add_int(cg, c, cg_int(cg, (int64_t)i * w));
        out[i] = cg_attn_ptr(cg, a, &x->at->sum, x->row, column);
        old = LLVMBuildFMul(cg->b, cg_attn_get(cg, a, out[i], w), factor, "");
        old = LLVMBuildSelect(cg->b, x->at->first, LLVMConstNull(vec), old, "");
        sum[i] = cg_var(cg, vec, NULL);
        cg_set(cg, sum[i], old);
    }
    CgLoop j = cg_for(cg, cg_int(cg, 0), x->at->n_key, cg_int(cg, 1));
    LLVMValueRef p = cg_attn_get(cg, a, cg_gep(cg, a->t1.el, x->p, j.i), 1);
    LLVMValueRef line = cg_mul_int(cg, j.i, cg_term(cg, a->v.stride[2]));
    line = cg_add_int(cg, x->address, line);
    for (uint32_t i = 0; i < x->n; i++) {
        LLVMValueRef column = cg_add_int(cg, c, cg_int(cg, (int64_t)i * w));
        LLVMValueRef at = cg_add_int(cg, line, cg_mul_int(cg, column, cg_term(cg, a->v.stride[3])));
        LLVMValueRef v = cg_attn_load(cg, a, &a->v, at, a->v.stride[3], w, mask);
        cg_set(cg, sum[i], cg_fma(cg, cg_splat(cg, p, w), v, cg_get(cg, vec, sum[i])));
    }
    cg_next(cg, &j);
    for (uint32_t i = 0; i < x->n; i++)
        cg_attn_put(cg, a, cg_get(cg, vec, sum[i]), out[i]);
}

void cg_attn_few_sums(Cg *cg, const CgAttn *a, const CgAttnAt *at)
{
    LLVMValueRef zero = cg_int(cg, 0), place[] = {at->batch, at->head, at->key0, zero};
    Values x = {.a = a, .at = at, .address = cg_address(cg, &a->v, 4, place)};
    LLVMValueRef width = cg_term(cg, a->out_width), part = cg_int(cg, CG_ATTN_PART * a->t1.w);
    LLVMValueRef whole = cg_mul_int(cg, LLVMBuildUDiv(cg->b, width, part, ""), part);
    CgLoop row = cg_for(cg, zero, at->n_row, cg_int(cg, 1));
    x.row = row.i;
    x.p = cg_gep(cg, a->t1.el, at->part[CG_ATTN_P], cg_mul_int(cg, row.i, cg_int(cg, a->t2.ks)));
    x.n = CG_ATTN_PART;
    CgLoop c = cg_for(cg, zero, whole, part);
    add_values(cg, &x, c.i, a->t1.w, NULL);
    cg_next(cg, &c);
    x.n = 1;
    cg_lanes(cg, whole, width, a->t1.w, add_values, &x);
    cg_next(cg, &row);
}
