/* SPDX-License-Identifier: Apache-2.0 */
/* Operands that a kernel would walk with large steps, because a transpose stands on them. They are
 * copied first, into scratch memory in the order in which they are walked: in tiles of w x w, read
 * along the dim that is contiguous in the operand, transposed in registers, and written along the
 * kernel's last dim. (Lane by lane it takes 5 to 10 times as long: each load misses.) */
#include "codegen/loops/loops.h"

enum { LEAST = 4 }; /* extents of the last dim below this are not worth a copy in scratch */

/* Of `least` columns and more, where that is known. */
static bool transposed(CgModule *m, const CgFunc *f, const CgAccess *a, const ScTerm *const *dim,
                       int64_t least, CgTranspose *ret)
{
    const ScTerm *last = a->rank ? a->stride[a->rank - 1] : NULL;
    int64_t extent;
    if (a->operand < 0 || !last || sc_term_is(last, 0) || sc_term_is(last, 1) ||
        (sc_term_const(dim[a->rank - 1], &extent) && extent < least))
        return false;
    *ret = (CgTranspose){.from = *a, .p = UINT32_MAX, .q = a->rank - 1};
    ret->t = sc_type_of(f->sub, a->root)->dtype;
    ret->count = sc_term(m->cx, 1);
    for (uint32_t d = a->rank; d-- > 0;) {
        bool moves = !sc_term_is(a->stride[d], 0);
        if (sc_term_is(a->stride[d], 1))
            ret->p = d;
        ret->dim[d] = moves ? dim[d] : sc_term(m->cx, 1);
        ret->stride[d] = moves ? ret->count : sc_term(m->cx, 0);
        ret->count = sc_term_mul(m->cx, ret->count, ret->dim[d]);
    }
    return ret->p != UINT32_MAX;
}

/* --- One tile -------------------------------------------------------------------------------- */

typedef struct Tile {
    const CgTranspose *t;
    LLVMValueRef src, dst;           /* pointers */
    LLVMValueRef from, to;           /* i64 elements of the tile row's first element */
    LLVMValueRef q_stride, p_stride; /* of the source along q, of the copy along p */
} Tile;

static LLVMValueRef place(Cg *cg, LLVMValueRef first, LLVMValueRef i, LLVMValueRef stride,
                          LLVMValueRef j)
{
    return cg_add_int(cg, cg_add_int(cg, first, cg_mul_int(cg, i, stride)), j);
}

static void whole_tile(Cg *cg, const Tile *x, LLVMValueRef q)
{
    LLVMTypeRef e = cg_storage_type(cg->m, x->t->t);
    uint32_t w = cg->m->target.w, align = scrt_dtype_bits(x->t->t) / 8;
    LLVMValueRef v[64], zero = cg_int(cg, 0);
    for (uint32_t i = 0; i < w; i++) {
        LLVMValueRef qi = cg_add_int(cg, q, cg_int(cg, i));
        LLVMValueRef at = place(cg, x->from, qi, x->q_stride, zero);
        v[i] = LLVMBuildLoad2(cg->b, cg_vec(e, w), cg_gep(cg, e, x->src, at), "");
        LLVMSetAlignment(v[i], align);
    }
    cg_turn(cg, v, w);
    for (uint32_t i = 0; i < w; i++) {
        LLVMValueRef at = place(cg, x->to, cg_int(cg, i), x->p_stride, q);
        LLVMSetAlignment(LLVMBuildStore(cg->b, v[i], cg_gep(cg, e, x->dst, at)), align);
    }
}

/* The planes of a picture become its pixels: 2 or 3 columns, which the copy has side by side in
 * dense rows, so that w rows are as many vectors. */
static uint32_t few_columns(const CgTranspose *t)
{
    int64_t n;
    bool few = sc_term_const(t->dim[t->q], &n) && (n == 2 || n == 3);
    return few && sc_term_is(t->stride[t->q], 1) && sc_term_is(t->stride[t->p], n) ? (uint32_t)n
                                                                                   : 0;
}

static void few_rows(Cg *cg, const Tile *x, uint32_t n)
{
    LLVMTypeRef e = cg_storage_type(cg->m, x->t->t);
    uint32_t w = cg->m->target.w, align = scrt_dtype_bits(x->t->t) / 8;
    LLVMValueRef v[3], lane[3 * 64], zero = cg_int(cg, 0);
    for (uint32_t i = 0; i < n; i++) {
        LLVMValueRef at = place(cg, x->from, cg_int(cg, i), x->q_stride, zero);
        v[i] = LLVMBuildLoad2(cg->b, cg_vec(e, w), cg_gep(cg, e, x->src, at), "");
        LLVMSetAlignment(v[i], align);
    }
    for (uint32_t i = 0; i < 2 * w; i++)
        lane[i] = LLVMConstInt(cg->m->i32, i, 0);
    LLVMValueRef none = LLVMGetPoison(cg_vec(e, w)), both = LLVMConstVector(lane, 2 * w);
    LLVMValueRef lo = LLVMBuildShuffleVector(cg->b, v[0], v[1], both, "");
    LLVMValueRef hi = LLVMBuildShuffleVector(cg->b, n == 3 ? v[2] : none, none, both, "");
    for (uint32_t i = 0; i < n * w; i++)
        lane[i] = LLVMConstInt(cg->m->i32, i % n * w + i / n, 0);
    LLVMValueRef all = LLVMBuildShuffleVector(cg->b, lo, hi, LLVMConstVector(lane, n * w), "");
    LLVMSetAlignment(LLVMBuildStore(cg->b, all, cg_gep(cg, e, x->dst, x->to)), align);
}

/* Rows 0 .. rows - 1, from column q on, element by element. */
static void rest_of_tile(Cg *cg, const Tile *x, LLVMValueRef rows, LLVMValueRef q, LLVMValueRef n)
{
    LLVMTypeRef e = cg_storage_type(cg->m, x->t->t);
    LLVMValueRef one = cg_int(cg, 1);
    CgLoop col = cg_for(cg, q, n, one);
    CgLoop row = cg_for(cg, cg_int(cg, 0), rows, one);
    LLVMValueRef from = place(cg, x->from, col.i, x->q_stride, row.i);
    LLVMValueRef to = place(cg, x->to, row.i, x->p_stride, col.i);
    LLVMValueRef v = LLVMBuildLoad2(cg->b, e, cg_gep(cg, e, x->src, from), "");
    LLVMBuildStore(cg->b, v, cg_gep(cg, e, x->dst, to));
    cg_next(cg, &row);
    cg_next(cg, &col);
}

static void whole_tiles(Cg *cg, const Tile *x, LLVMValueRef full, LLVMValueRef rows, LLVMValueRef n)
{
    LLVMValueRef w = cg_int(cg, cg->m->target.w), zero = cg_int(cg, 0);
    LLVMValueRef whole = LLVMBuildSub(cg->b, n, LLVMBuildURem(cg->b, n, w, ""), "");
    whole = LLVMBuildSelect(cg->b, full, whole, zero, "");
    CgLoop q = cg_for(cg, zero, whole, w);
    whole_tile(cg, x, q.i);
    cg_next(cg, &q);
    rest_of_tile(cg, x, rows, whole, n);
}

/* --- The copy -------------------------------------------------------------------------------- */

static LLVMValueRef blocks(Cg *cg, const CgTranspose *t)
{
    return cg_cdiv_int(cg, cg_term(cg, t->dim[t->p]), cg_int(cg, cg->m->target.w));
}

/* Where the block of rows `item` begins; answers how many rows it has. */
static LLVMValueRef begin_block(Cg *cg, Tile *x, LLVMValueRef item)
{
    const CgTranspose *t = x->t;
    LLVMValueRef idx[SCRT_MAX_RANK], w = cg_int(cg, cg->m->target.w), n = blocks(cg, t);
    const ScTerm *dim[SCRT_MAX_RANK];
    LLVMValueRef p = LLVMBuildMul(cg->b, LLVMBuildURem(cg->b, item, n, ""), w, "");
    for (uint32_t d = 0; d < t->from.rank; d++)
        dim[d] = d == t->p || d == t->q ? sc_term(cg->m->cx, 1) : t->dim[d];
    cg_unflatten(cg, LLVMBuildUDiv(cg->b, item, n, ""), t->from.rank, dim, idx);
    idx[t->p] = p;
    idx[t->q] = cg_int(cg, 0);
    x->from = cg_address(cg, &t->from, t->from.rank, idx);
    x->to = cg_int(cg, 0);
    for (uint32_t d = 0; d < t->from.rank; d++)
        x->to = cg_add_int(cg, x->to, cg_mul_int(cg, idx[d], cg_term(cg, t->stride[d])));
    return cg_min_int(cg, w, LLVMBuildSub(cg->b, cg_term(cg, t->dim[t->p]), p, ""));
}

LLVMValueRef cg_transpose_body(CgModule *m, CgFunc *f, const CgTranspose *t, const char *suffix)
{
    Cg cg;
    LLVMValueRef body = cg_begin_body(&cg, m, f, suffix);
    Tile x = {.t = t, .src = cg_operand(&cg, (uint32_t)t->from.operand)};
    x.dst = t->scratch ? cg_gep(&cg, m->i8, cg_scratch(&cg), cg_term(&cg, t->scratch))
                       : cg_result(&cg, 0);
    x.q_stride = cg_term(&cg, t->from.stride[t->q]);
    x.p_stride = cg_term(&cg, t->stride[t->p]);
    LLVMValueRef w = cg_int(&cg, m->target.w), n = cg_term(&cg, t->dim[t->q]),
                 zero = cg_int(&cg, 0);
    CgLoop item = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    LLVMValueRef rows = begin_block(&cg, &x, item.i);
    LLVMValueRef full = LLVMBuildICmp(cg.b, LLVMIntEQ, rows, w, "");
    uint32_t few = few_columns(t);
    if (few) {
        CgIf all = cg_if(&cg, full);
        few_rows(&cg, &x, few);
        cg_else(&cg, &all);
        rest_of_tile(&cg, &x, rows, zero, n);
        cg_endif(&cg, &all);
    } else {
        whole_tiles(&cg, &x, full, rows, n);
    }
    cg_next(&cg, &item);
    cg_end_fn(&cg);
    return body;
}

LLVMValueRef *cg_transpose_bodies(CgModule *m, CgFunc *f, uint32_t n, const CgTranspose *t)
{
    LLVMValueRef *body = sc_array(m->arena, LLVMValueRef, n + 1);
    for (uint32_t i = 0; i < n; i++)
        body[i] = cg_transpose_body(m, f, &t[i], sc_printf(m->arena, "turn%u", i));
    return body;
}

void cg_transpose_run(Cg *cg, const CgTranspose *t, LLVMValueRef body)
{
    const ScTerm *others = sc_term(cg->m->cx, 1);
    for (uint32_t d = 0; d < t->from.rank; d++) {
        if (d != t->p && d != t->q)
            others = sc_term_mul(cg->m->cx, others, t->dim[d]);
    }
    LLVMValueRef n = cg_mul_int(cg, cg_term(cg, others), blocks(cg, t));
    const ScTerm *each = sc_term_scale(cg->m->cx, t->dim[t->q], cg->m->target.w);
    cg_parallel(cg, body, n, cg_row_grain(cg, each));
}

bool cg_transposed(CgModule *m, const CgFunc *f, const CgAccess *a, const ScTerm *const *dim,
                   const CgAccess *to, CgTranspose *ret)
{
    int64_t n;
    if (!transposed(m, f, a, dim, 2, ret))
        return false;
    for (uint32_t d = 0; d < a->rank; d++)
        ret->stride[d] = to->stride[d];
    return !sc_term_const(dim[ret->q], &n) || n >= LEAST || few_columns(ret);
}

/* --- For the operands of a kernel ------------------------------------------------------------ */

uint32_t cg_transpose_operands(CgModule *m, CgFunc *f, uint32_t n, CgAccess *a,
                               const ScTerm *const *dim, CgTranspose *ret)
{
    uint32_t k = 0;
    const ScTerm *bytes = f->scratch ? f->scratch : sc_term(m->cx, 0);
    for (uint32_t i = 0; i < n; i++) {
        CgTranspose *t = &ret[k];
        if (!transposed(m, f, &a[i], dim, LEAST, t))
            continue;
        t->scratch = a[i].scratch = bytes;
        const ScTerm *size = sc_term_scale(m->cx, t->count, scrt_dtype_bits(t->t) / 8);
        bytes = sc_term_add(m->cx, bytes, cg_round64(m, size));
        a[i].offset = sc_term(m->cx, 0);
        for (uint32_t d = 0; d < a[i].rank; d++)
            a[i].stride[d] = t->stride[d];
        k++;
    }
    f->scratch = k ? bytes : f->scratch;
    return k;
}

void cg_transpose_shape(const CgFunc *f, CgShape *s, CgTranspose *t)
{
    cg_shape_access(f, s, &t->from);
    cg_shape_word(s, t->t);
    cg_shape_word(s, t->p);
    cg_shape_word(s, t->q);
    cg_shape_word(s, few_columns(t));
    for (uint32_t d = 0; d < t->from.rank; d++) {
        cg_shape_term(s, &t->dim[d]);
        cg_shape_term(s, &t->stride[d]);
    }
    cg_shape_any(s, &t->scratch);
}

const char *cg_transpose_text(CgModule *m, uint32_t n)
{
    return n ? sc_printf(m->arena, ", %u operand%s transposed first", n, n > 1 ? "s" : "") : "";
}
