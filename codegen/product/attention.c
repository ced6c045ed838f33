/* SPDX-License-Identifier: Apache-2.0 */
/* ATTENTION: softmax(scale q k^T + mask) v, and an epilogue, without the matrix of scores.
 *
 * An item is a block of rows, queries of all heads that share one head of k and v, so that these
 * are read once for all of them. It visits the keys block by block: scores, then weights relative
 * to the largest score so far, then sums of values; what was summed before is scaled down where a
 * larger score appears, and the sums are divided by that of the weights at the end. How rows and
 * keys are cut depends on the extents alone, so results do not depend on the threads. Blocks of
 * keys beyond the diagonal are not visited. */
#include "codegen/product/attention_priv.h"

enum { Q, K, V, SCALE };

/* --- What the parts are made with ------------------------------------------------------------- */

LLVMValueRef cg_attn_ptr(Cg *cg, const CgAttn *a, const CgAttnRows *r, LLVMValueRef row,
                         LLVMValueRef column)
{
    LLVMValueRef at = cg_mul_int(cg, row, r->row);
    if (r->nr) {
        LLVMValueRef nr = cg_int(cg, r->nr);
        at = cg_add_int(cg, at, cg_mul_int(cg, LLVMBuildUDiv(cg->b, column, nr, ""), r->panel));
        column = LLVMBuildURem(cg->b, column, nr, "");
    }
    return cg_gep(cg, a->t1.el, r->base, cg_add_int(cg, at, column));
}

LLVMValueRef cg_attn_load(Cg *cg, const CgAttn *a, const CgAccess *x, LLVMValueRef address,
                          const ScTerm *stride, uint32_t w, LLVMValueRef mask)
{
    CgVal v = cg_access_load(cg, x, address, stride, w, mask);
    return LLVMBuildFPCast(cg->b, v.v, cg_vec(a->t1.el, w), "");
}

LLVMValueRef cg_attn_get(Cg *cg, const CgAttn *a, LLVMValueRef ptr, uint32_t w)
{
    LLVMValueRef x = LLVMBuildLoad2(cg->b, cg_vec(a->t1.el, w), ptr, "");
    LLVMSetAlignment(x, a->t1.size);
    return x;
}

void cg_attn_put(Cg *cg, const CgAttn *a, LLVMValueRef x, LLVMValueRef ptr)
{
    LLVMSetAlignment(LLVMBuildStore(cg->b, x, ptr), a->t1.size);
}

void cg_attn_row(Cg *cg, const CgAttn *a, LLVMValueRef head, LLVMValueRef row,
                 LLVMValueRef *ret_head, LLVMValueRef *ret_query)
{
    LLVMValueRef group = cg_int(cg, 0), queries = cg_term(cg, a->queries);
    *ret_query = row;
    if (!sc_term_is(a->each, 1)) {
        group = LLVMBuildUDiv(cg->b, row, queries, "");
        *ret_query = LLVMBuildURem(cg->b, row, queries, "");
    }
    *ret_head = cg_add_int(cg, cg_mul_int(cg, head, cg_term(cg, a->each)), group);
}

/* --- The plan --------------------------------------------------------------------------------- */

static bool own_access(CgModule *m, const CgAttn *a, uint32_t operand, CgAccess *ret)
{
    ScVal v = a->node->in[operand];
    const ScType *t = sc_type_of(a->f->sub, v);
    return cg_type_ok(m, a->node->loc, t->dtype) && cg_access(m, a->f, v, t->rank, t->dim, ret);
}

static bool mask_access(CgModule *m, const CgAttn *a, int operand, CgAccess *ret)
{
    const ScTerm *scores[] = {a->batch, a->heads, a->queries, a->keys};
    return operand < 0 || cg_access(m, a->f, a->node->in[operand], 4, scores, ret);
}

static bool operands(CgModule *m, CgAttn *a)
{
    ScCtx *cx = m->cx;
    const ScType *q = sc_type_of(a->f->sub, a->node->in[Q]);
    const ScType *k = sc_type_of(a->f->sub, a->node->in[K]);
    const ScType *r = sc_type_of(a->f->sub, a->node->first);
    a->batch = q->dim[0];
    a->heads = q->dim[1];
    a->queries = q->dim[2];
    a->width = q->dim[3];
    a->kv = k->dim[1];
    a->keys = k->dim[2];
    a->out_width = r->dim[3];
    a->each = a->heads == a->kv ? sc_term(cx, 1) : sc_term_fdiv(cx, a->heads, a->kv);
    a->rows = sc_term_mul(cx, a->each, a->queries);
    return own_access(m, a, Q, &a->q) && own_access(m, a, K, &a->k) && own_access(m, a, V, &a->v) &&
           own_access(m, a, SCALE, &a->scale) && mask_access(m, a, a->what.addend, &a->addend) &&
           mask_access(m, a, a->what.keep, &a->keep);
}

/* A multiple of unit, as many as fit below most, evened out where it is known how many there are.
 */
static uint32_t cut(const ScTerm *all, uint32_t most, uint32_t unit)
{
    int64_t n;
    most = most > unit ? most / unit * unit : unit;
    if (!sc_term_const(all, &n) || n < 1)
        return most;
    int64_t pieces = (n + most - 1) / most;
    return cg_round_up((uint32_t)((n + pieces - 1) / pieces), unit);
}

static void tiles(CgModule *m, CgAttn *a)
{
    ScrtDtype t = sc_type_of(a->f->sub, a->node->first)->dtype;
    CgTypes types = cg_types_of(t);
    cg_tile_init(m, &types, a->rows, a->keys, a->width, &a->t1);
    /* no more than a chunk of the second tile, so that a row of weights lies whole */
    uint32_t keys = CG_ATTN_KEYS < m->target.kc ? CG_ATTN_KEYS : m->target.kc;
    a->n_key = cut(a->keys, keys, a->t1.nr);
    cg_tile_init(m, &types, a->rows, a->out_width, sc_term(m->cx, a->n_key), &a->t2);
    a->compute = a->t1.size > 4 ? SCRT_F64 : SCRT_F32;
    a->block = cut(a->rows, CG_TILE_ROWS, a->t1.mr);
    a->room = a->block + (a->t1.mr > a->t2.mr ? a->t1.mr : a->t2.mr);
    a->room = a->room > CG_ATTN_FEW ? a->room : CG_ATTN_FEW;
}

const ScTerm *cg_attn_query_elements(CgModule *m, const CgAttn *a)
{
    const ScTerm *chunks = sc_term_cdiv(m->cx, sc_term_max(m->cx, a->width, sc_term(m->cx, 1)),
                                        sc_term(m->cx, a->t1.kc));
    return sc_term_scale(m->cx, chunks, a->t1.ks);
}

/* Elements of a row of sums. */
static const ScTerm *sum_elements(CgModule *m, const CgAttn *a)
{
    const ScTerm *panels = sc_term_cdiv(m->cx, a->out_width, sc_term(m->cx, a->t2.nr));
    return sc_term_addc(m->cx, sc_term_scale(m->cx, panels, a->t2.nr), a->t2.nr);
}

static void scratch(CgModule *m, CgAttn *a)
{
    ScCtx *cx = m->cx;
    int64_t room = a->room;
    const ScTerm *elements[CG_ATTN_N_PART] = {
        [CG_ATTN_Q] = sc_term_scale(cx, cg_attn_query_elements(m, a), room),
        [CG_ATTN_S] = sc_term(cx, room * a->n_key),
        [CG_ATTN_P] = sc_term(cx, room * a->t2.ks),
        [CG_ATTN_O] = sc_term_scale(cx, sum_elements(m, a), room),
        [CG_ATTN_KP] = sc_term(cx, (int64_t)(a->t1.kc + a->t1.w) * a->t1.nr),
        [CG_ATTN_VP] = sc_term(cx, (int64_t)a->n_key * a->t2.nr),
        [CG_ATTN_TOP] = sc_term(cx, room),
        [CG_ATTN_SUM] = sc_term(cx, room),
        [CG_ATTN_FACTOR] = sc_term(cx, room),
    };
    a->at[0] = sc_term(cx, 0);
    for (uint32_t i = 0; i < CG_ATTN_N_PART; i++)
        a->at[i + 1] =
            sc_term_add(cx, a->at[i], cg_round64(m, sc_term_scale(cx, elements[i], a->t1.size)));
    a->f->scratch_thread = a->at[CG_ATTN_N_PART];
}

/* --- The loops -------------------------------------------------------------------------------- */

static void begin(Cg *cg, const CgAttn *a, bool few, CgAttnAt *at)
{
    CgModule *m = cg->m;
    LLVMValueRef base = cg_scratch_thread(cg);
    *at = (CgAttnAt){.few = few};
    for (uint32_t i = 0; i < CG_ATTN_N_PART; i++)
        at->part[i] = cg_gep(cg, m->i8, base, cg_term(cg, a->at[i]));
    LLVMValueRef zero = cg_int(cg, 0), room = cg_int(cg, a->room);
    if (few) {
        at->score = (CgAttnRows){at->part[CG_ATTN_P], cg_int(cg, a->t2.ks), zero, 0};
        at->sum = (CgAttnRows){at->part[CG_ATTN_O], cg_term(cg, sum_elements(m, a)), zero, 0};
        return;
    }
    LLVMValueRef n1 = cg_int(cg, a->t1.nr), n2 = cg_int(cg, a->t2.nr);
    at->score = (CgAttnRows){at->part[CG_ATTN_S], n1, cg_mul_int(cg, room, n1), a->t1.nr};
    at->sum = (CgAttnRows){at->part[CG_ATTN_O], n2, cg_mul_int(cg, room, n2), a->t2.nr};
}

/* How many keys the item's rows see. */
static LLVMValueRef keys_seen(Cg *cg, const CgAttn *a, const CgAttnAt *at)
{
    LLVMValueRef all = cg_term(cg, a->keys), one = cg_int(cg, 1), head, query, first_head, first;
    if (!a->what.diagonal)
        return all;
    LLVMValueRef zero = cg_int(cg, 0), end = cg_add_int(cg, at->row0, at->n_row);
    LLVMValueRef last = LLVMBuildSub(cg->b, end, one, "");
    cg_attn_row(cg, a, zero, last, &head, &query);
    cg_attn_row(cg, a, zero, at->row0, &first_head, &first);
    if (!sc_term_is(a->each, 1)) { /* rows of several heads: some query is the last */
        LLVMValueRef most = LLVMBuildSub(cg->b, cg_term(cg, a->queries), one, "");
        LLVMValueRef same = LLVMBuildICmp(cg->b, LLVMIntEQ, head, first_head, "");
        query = LLVMBuildSelect(cg->b, same, query, most, "");
    }
    LLVMValueRef seen = cg_add_int(cg, cg_add_int(cg, query, cg_term(cg, a->what.diagonal)), one);
    return cg_max_int(cg, cg_min_int(cg, seen, all), zero);
}

static void begin_rows(Cg *cg, const CgAttn *a, const CgAttnAt *at)
{
    LLVMTypeRef el = a->t1.el;
    CgLoop row = cg_for(cg, cg_int(cg, 0), at->n_row, cg_int(cg, 1));
    cg_attn_put(cg, a, cg_fconst(el, -INFINITY), cg_gep(cg, el, at->part[CG_ATTN_TOP], row.i));
    cg_next(cg, &row);
}

static void key_block(Cg *cg, const CgAttn *a, const CgAttnAt *at)
{
    (at->few ? cg_attn_few_scores : cg_attn_tiles_scores)(cg, a, at);
    CgLoop row = cg_for(cg, cg_int(cg, 0), at->n_row, cg_int(cg, 1));
    cg_attn_weigh(cg, a, at, row.i);
    cg_next(cg, &row);
    (at->few ? cg_attn_few_sums : cg_attn_tiles_sums)(cg, a, at);
}

static LLVMValueRef blocks(Cg *cg, const CgAttn *a)
{
    return cg_cdiv_int(cg, cg_term(cg, a->rows), cg_int(cg, a->block));
}

static void item(Cg *cg, const CgAttn *a, CgAttnAt *at, LLVMValueRef i)
{
    LLVMBuilderRef b = cg->b;
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), n = blocks(cg, a);
    LLVMValueRef block = cg_int(cg, a->block), kv = cg_term(cg, a->kv);
    LLVMValueRef matrix = LLVMBuildUDiv(b, i, n, "");
    at->row0 = cg_mul_int(cg, LLVMBuildURem(b, i, n, ""), block);
    at->n_row = cg_min_int(cg, block, LLVMBuildSub(b, cg_term(cg, a->rows), at->row0, ""));
    at->batch = LLVMBuildUDiv(b, matrix, kv, "");
    at->head = LLVMBuildURem(b, matrix, kv, "");
    (at->few ? cg_attn_few_queries : cg_attn_tiles_queries)(cg, a, at);
    begin_rows(cg, a, at);
    /* One block at least, so that sums over nothing are 0. */
    LLVMValueRef seen = keys_seen(cg, a, at), step = cg_int(cg, a->n_key);
    CgLoop k = cg_for(cg, zero, cg_max_int(cg, seen, one), step);
    at->key0 = k.i;
    at->n_key = cg_min_int(cg, step, LLVMBuildSub(b, seen, k.i, ""));
    at->first = LLVMBuildICmp(b, LLVMIntEQ, k.i, zero, "");
    key_block(cg, a, at);
    cg_next(cg, &k);
    CgLoop row = cg_for(cg, zero, at->n_row, one);
    cg_attn_finish(cg, a, at, row.i);
    cg_next(cg, &row);
}

static LLVMValueRef items(Cg *cg, const CgAttn *a)
{
    LLVMValueRef matrices = cg_mul_int(cg, cg_term(cg, a->batch), cg_term(cg, a->kv));
    return cg_mul_int(cg, matrices, blocks(cg, a));
}

static LLVMValueRef body(CgModule *m, const CgAttn *a, bool few)
{
    Cg cg;
    CgAttnAt at;
    LLVMValueRef fn = cg_begin_body(&cg, m, a->f, few ? "few" : "tiles");
    begin(&cg, a, few, &at);
    CgItems i = cg_items(&cg, items(&cg, a), cg_int(&cg, 1));
    item(&cg, a, &at, i.i);
    cg_items_next(&cg, &i);
    cg_end_fn(&cg);
    return fn;
}

/* --- The kernel ------------------------------------------------------------------------------- */

static void run(Cg *cg, const CgAttn *a, LLVMValueRef fn)
{
    LLVMValueRef rows = cg_min_int(cg, cg_term(cg, a->rows), cg_int(cg, a->block));
    LLVMValueRef each = cg_add_int(cg, cg_term(cg, a->width), cg_term(cg, a->out_width));
    LLVMValueRef work = cg_mul_int(cg, cg_mul_int(cg, rows, cg_term(cg, a->keys)), each);
    work = LLVMBuildUDiv(cg->b, work, cg_int(cg, a->t1.w), "");
    cg_parallel_items(cg, fn, items(cg, a), cg_int(cg, 1), cg_grain(cg, work));
}

static void emit_entry(CgModule *m, const CgAttn *a, LLVMValueRef few, LLVMValueRef many)
{
    Cg cg;
    CgIf i = {0};
    cg_begin_entry(&cg, m, a->f);
    if (few && many)
        i = cg_if(&cg, LLVMBuildICmp(cg.b, LLVMIntSLE, cg_term(&cg, a->rows),
                                     cg_int(&cg, CG_ATTN_FEW), ""));
    if (few)
        run(&cg, a, few);
    if (few && many)
        cg_else(&cg, &i);
    if (many)
        run(&cg, a, many);
    if (few && many)
        cg_endif(&cg, &i);
    cg_end_fn(&cg);
}

static void describe(CgModule *m, const CgAttn *a, bool few, bool many)
{
    const ScGraph *sub = a->f->sub;
    ScStr s = {0};
    sc_str_addf(&s,
                "attention %s x %s x %s: ", scrt_dtype_name(sc_type_of(sub, a->node->in[Q])->dtype),
                scrt_dtype_name(sc_type_of(sub, a->node->in[K])->dtype),
                scrt_dtype_name(sc_type_of(sub, a->node->in[V])->dtype));
    if (few && many)
        sc_str_addf(&s, "up to %d rows: ", CG_ATTN_FEW);
    if (few)
        sc_str_addf(&s, "as they lie%s", many ? "; else " : "");
    if (many)
        sc_str_addf(&s, "tiles %ux%u and %ux%u, %u rows by %u keys", a->t1.mr, a->t1.nr, a->t2.mr,
                    a->t2.nr, a->block, a->n_key);
    a->f->what = sc_str_keep(&s, m->arena);
}

static bool emit(CgModule *m, CgFunc *f)
{
    CgAttn *a = sc_new(m->arena, CgAttn);
    a->f = f;
    a->node = sc_leader(f->sub);
    a->node->op->attention(f->sub, a->node, &a->what);
    if (!operands(m, a))
        return false;
    a->epi = cg_epi_new(m, f, a->node);
    if (!a->epi)
        return false;
    tiles(m, a);
    scratch(m, a);
    int64_t rows;
    bool known = sc_term_const(a->rows, &rows);
    bool few = !known || rows <= CG_ATTN_FEW, many = !known || !few;
    if (many)
        cg_attn_tiles_prepare(m, a);
    LLVMValueRef by_row = few ? body(m, a, true) : NULL;
    LLVMValueRef by_tile = many ? body(m, a, false) : NULL;
    describe(m, a, few, many);
    emit_entry(m, a, by_row, by_tile);
    return true;
}

const CgClass cg_attention = {.emit = emit};
