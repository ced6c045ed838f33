/* SPDX-License-Identifier: Apache-2.0 */
/* Operands that a kernel would walk with large steps, because a transpose stands on them. They are
 * copied first, into scratch memory in the order in which they are walked: in tiles of w x w, read
 * along the dim that is contiguous in the operand, transposed in registers, and written along the
 * kernel's last dim. (Lane by lane it takes 5 to 10 times as long: each load misses.) */
#include "codegen/loops/loops.h"

enum { LEAST = 4 }; /* extents of the last dim below this are not worth a copy in scratch */

/* Neighbours along the last dim that move together, because they lie side by side in the operand
 * and, where it goes elsewhere than into scratch, in the result. */
static uint32_t atom_of(const CgFunc *f, const CgAccess *a, const ScTerm *const *dim,
                        const CgAccess *to)
{
    uint32_t last = a->rank - 1, bits = scrt_dtype_bits(sc_type_of(f->sub, a->root)->dtype);
    int64_t n;
    if (a->rank < 2 || !sc_term_is(a->stride[last], 1) || (to && !sc_term_is(to->stride[last], 1)))
        return 1;
    bool whole = sc_term_const(dim[last], &n) && (n == 2 || n == 4 || n == 8) && n * bits <= 64;
    return whole ? (uint32_t)n : 1;
}

/* The dims along which the operand is contiguous: more than one where the first is shorter than a
 * tile, so that channels that lie in pairs are rows of one tile. */
static void find_rows(CgModule *m, const CgAccess *a, CgTranspose *ret)
{
    const ScTerm *step = sc_term(m->cx, ret->atom);
    uint32_t dim[SCRT_MAX_RANK], n = 0;
    int64_t known;
    ret->rows = sc_term(m->cx, 1);
    for (uint32_t d = 0; d < ret->q; d++) {
        if (a->stride[d] != step || sc_term_is(ret->dim[d], 1))
            continue;
        dim[n++] = d;
        ret->rows = sc_term_mul(m->cx, ret->rows, ret->dim[d]);
        step = sc_term_mul(m->cx, step, ret->dim[d]);
        if (!sc_term_const(ret->rows, &known) || known >= ret->w)
            break;
        d = UINT32_MAX; /* from the first on */
    }
    ret->n_p = n;
    for (uint32_t i = 0; i < n; i++)
        ret->p[i] = dim[n - 1 - i];
}

/* Of `least` columns and more, where that is known; to: NULL for scratch. */
static bool transposed(CgModule *m, const CgFunc *f, const CgAccess *a, const ScTerm *const *dim,
                       const CgAccess *to, int64_t least, CgTranspose *ret)
{
    if (a->operand < 0 || !a->rank)
        return false;
    uint32_t atom = atom_of(f, a, dim, to), q = a->rank - (atom > 1 ? 2 : 1);
    int64_t extent;
    if (sc_term_is(a->stride[q], 0) || sc_term_is(a->stride[q], atom) ||
        (sc_term_const(dim[q], &extent) && extent < least))
        return false;
    *ret = (CgTranspose){.from = *a, .q = q, .atom = atom};
    ret->from.rank = q + 1;
    ret->t = sc_type_of(f->sub, a->root)->dtype;
    ret->w = m->target.vec_bits / (scrt_dtype_bits(ret->t) * atom);
    ret->w = ret->w < m->target.w ? ret->w : m->target.w;
    ret->count = sc_term(m->cx, 1);
    for (uint32_t d = a->rank; d-- > 0;) {
        bool moves = !sc_term_is(a->stride[d], 0);
        ret->dim[d] = moves ? dim[d] : sc_term(m->cx, 1);
        ret->stride[d] = moves ? ret->count : sc_term(m->cx, 0);
        ret->count = sc_term_mul(m->cx, ret->count, ret->dim[d]);
    }
    find_rows(m, a, ret);
    return ret->n_p > 0;
}

/* --- One tile -------------------------------------------------------------------------------- */

typedef struct Tile {
    const CgTranspose *t;
    LLVMTypeRef el, atom;      /* of an element, for addresses; of what moves */
    uint32_t w, align;         /* rows and columns of a tile; bytes */
    LLVMValueRef src, dst;     /* pointers */
    LLVMValueRef from, to;     /* i64 elements of the block's first, less what rows add */
    LLVMValueRef row0;         /* of the block */
    LLVMValueRef row[64];      /* what each of its rows adds in the copy */
    LLVMValueRef q_from, q_to; /* strides along q */
} Tile;

static Tile tile_of(Cg *cg, const CgTranspose *t)
{
    Tile x = {.t = t, .w = t->w, .align = scrt_dtype_bits(t->t) / 8};
    x.el = x.atom = cg_storage_type(cg->m, t->t);
    if (t->atom > 1)
        x.atom = LLVMIntTypeInContext(cg->m->ctx, scrt_dtype_bits(t->t) * t->atom);
    x.src = cg_operand(cg, (uint32_t)t->from.operand);
    x.dst = t->scratch ? cg_gep(cg, cg->m->i8, cg_scratch(cg), cg_term(cg, t->scratch))
                       : cg_result(cg, 0);
    x.q_from = cg_term(cg, t->from.stride[t->q]);
    x.q_to = cg_term(cg, t->stride[t->q]);
    return x;
}

/* What row i of all adds in the copy. */
static LLVMValueRef row_offset(Cg *cg, const CgTranspose *t, LLVMValueRef i)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    LLVMValueRef idx[SCRT_MAX_RANK], at = cg_int(cg, 0);
    for (uint32_t d = 0; d < t->n_p; d++)
        dim[d] = t->dim[t->p[d]];
    cg_unflatten(cg, i, t->n_p, dim, idx);
    for (uint32_t d = 0; d < t->n_p; d++)
        at = cg_add_int(cg, at, cg_mul_int(cg, idx[d], cg_term(cg, t->stride[t->p[d]])));
    return at;
}

static LLVMValueRef load_atoms(Cg *cg, const Tile *x, LLVMTypeRef type, LLVMValueRef at)
{
    LLVMValueRef v = LLVMBuildLoad2(cg->b, type, cg_gep(cg, x->el, x->src, at), "");
    LLVMSetAlignment(v, x->align);
    return v;
}

static void store_atoms(Cg *cg, const Tile *x, LLVMValueRef v, LLVMValueRef at)
{
    LLVMSetAlignment(LLVMBuildStore(cg->b, v, cg_gep(cg, x->el, x->dst, at)), x->align);
}

static void whole_tile(Cg *cg, const Tile *x, LLVMValueRef q)
{
    LLVMValueRef v[64];
    for (uint32_t i = 0; i < x->w; i++) {
        LLVMValueRef qi = cg_add_int(cg, q, cg_int(cg, i));
        LLVMValueRef at = cg_add_int(cg, x->from, cg_mul_int(cg, qi, x->q_from));
        v[i] = load_atoms(cg, x, cg_vec(x->atom, x->w), at);
    }
    cg_turn(cg, v, x->w);
    LLVMValueRef to = cg_add_int(cg, x->to, cg_mul_int(cg, q, x->q_to));
    for (uint32_t i = 0; i < x->w; i++)
        store_atoms(cg, x, v[i], cg_add_int(cg, to, x->row[i]));
}

/* The planes of a picture become its pixels: 2 or 3 columns, which the copy has side by side in
 * dense rows, so that w rows are as many vectors. */
static uint32_t few_columns(const CgTranspose *t)
{
    int64_t n;
    bool few = t->atom == 1 && t->n_p == 1 && sc_term_const(t->dim[t->q], &n) && (n == 2 || n == 3);
    return few && sc_term_is(t->stride[t->q], 1) && sc_term_is(t->stride[t->p[0]], n) ? (uint32_t)n
                                                                                      : 0;
}

static void few_rows(Cg *cg, const Tile *x, uint32_t n)
{
    uint32_t w = x->w;
    LLVMTypeRef vec = cg_vec(x->el, w);
    LLVMValueRef v[3], lane[3 * 64];
    for (uint32_t i = 0; i < n; i++)
        v[i] = load_atoms(cg, x, vec,
                          cg_add_int(cg, x->from, cg_mul_int(cg, cg_int(cg, i), x->q_from)));
    for (uint32_t i = 0; i < 2 * w; i++)
        lane[i] = LLVMConstInt(cg->m->i32, i, 0);
    LLVMValueRef none = LLVMGetPoison(vec), both = LLVMConstVector(lane, 2 * w);
    LLVMValueRef lo = LLVMBuildShuffleVector(cg->b, v[0], v[1], both, "");
    LLVMValueRef hi = LLVMBuildShuffleVector(cg->b, n == 3 ? v[2] : none, none, both, "");
    for (uint32_t i = 0; i < n * w; i++)
        lane[i] = LLVMConstInt(cg->m->i32, i % n * w + i / n, 0);
    LLVMValueRef all = LLVMBuildShuffleVector(cg->b, lo, hi, LLVMConstVector(lane, n * w), "");
    store_atoms(cg, x, all, cg_add_int(cg, x->to, x->row[0]));
}

/* Rows 0 .. rows - 1 of the block, from column q on, atom by atom. */
static void rest_of_tile(Cg *cg, const Tile *x, LLVMValueRef rows, LLVMValueRef q, LLVMValueRef n)
{
    LLVMValueRef one = cg_int(cg, 1);
    CgLoop row = cg_for(cg, cg_int(cg, 0), rows, one);
    LLVMValueRef from = cg_mul_int(cg, row.i, cg_int(cg, x->t->atom));
    LLVMValueRef to = row_offset(cg, x->t, cg_add_int(cg, x->row0, row.i));
    from = cg_add_int(cg, x->from, from);
    to = cg_add_int(cg, x->to, to);
    CgLoop col = cg_for(cg, q, n, one);
    LLVMValueRef at = cg_add_int(cg, from, cg_mul_int(cg, col.i, x->q_from));
    LLVMValueRef v = load_atoms(cg, x, x->atom, at);
    store_atoms(cg, x, v, cg_add_int(cg, to, cg_mul_int(cg, col.i, x->q_to)));
    cg_next(cg, &col);
    cg_next(cg, &row);
}

static void whole_tiles(Cg *cg, const Tile *x, LLVMValueRef full, LLVMValueRef rows, LLVMValueRef n)
{
    LLVMValueRef w = cg_int(cg, x->w), zero = cg_int(cg, 0);
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
    return cg_cdiv_int(cg, cg_term(cg, t->rows), cg_int(cg, t->w));
}

/* The dims that are neither rows nor columns; 1 in place of those. */
static void other_dims(CgModule *m, const CgTranspose *t, const ScTerm **ret)
{
    for (uint32_t d = 0; d < t->from.rank; d++)
        ret[d] = d == t->q ? sc_term(m->cx, 1) : t->dim[d];
    for (uint32_t i = 0; i < t->n_p; i++)
        ret[t->p[i]] = sc_term(m->cx, 1);
}

/* Where the block of rows `item` begins; answers how many rows it has. */
static LLVMValueRef begin_block(Cg *cg, Tile *x, LLVMValueRef item)
{
    const CgTranspose *t = x->t;
    LLVMValueRef idx[SCRT_MAX_RANK], w = cg_int(cg, x->w), n = blocks(cg, t);
    const ScTerm *dim[SCRT_MAX_RANK];
    other_dims(cg->m, t, dim);
    x->row0 = LLVMBuildMul(cg->b, LLVMBuildURem(cg->b, item, n, ""), w, "");
    cg_unflatten(cg, LLVMBuildUDiv(cg->b, item, n, ""), t->from.rank, dim, idx);
    x->from = cg_address(cg, &t->from, t->from.rank, idx);
    x->from = cg_add_int(cg, x->from, cg_mul_int(cg, x->row0, cg_int(cg, t->atom)));
    x->to = cg_int(cg, 0);
    for (uint32_t d = 0; d < t->from.rank; d++)
        x->to = cg_add_int(cg, x->to, cg_mul_int(cg, idx[d], cg_term(cg, t->stride[d])));
    for (uint32_t i = 0; i < x->w; i++)
        x->row[i] = row_offset(cg, t, cg_add_int(cg, x->row0, cg_int(cg, i)));
    return cg_min_int(cg, w, LLVMBuildSub(cg->b, cg_term(cg, t->rows), x->row0, ""));
}

LLVMValueRef cg_transpose_body(CgModule *m, CgFunc *f, const CgTranspose *t, const char *suffix)
{
    Cg cg;
    LLVMValueRef body = cg_begin_body(&cg, m, f, suffix);
    Tile x = tile_of(&cg, t);
    LLVMValueRef n = cg_term(&cg, t->dim[t->q]), zero = cg_int(&cg, 0);
    CgLoop item = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    LLVMValueRef rows = begin_block(&cg, &x, item.i);
    LLVMValueRef full = LLVMBuildICmp(cg.b, LLVMIntEQ, rows, cg_int(&cg, x.w), "");
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
    const ScTerm *dim[SCRT_MAX_RANK];
    other_dims(cg->m, t, dim);
    const ScTerm *others = cg_product(cg->m, 0, t->from.rank, dim);
    LLVMValueRef n = cg_mul_int(cg, cg_term(cg, others), blocks(cg, t));
    int64_t each = (int64_t)t->w * t->atom;
    cg_parallel(cg, body, n, cg_row_grain(cg, sc_term_scale(cg->m->cx, t->dim[t->q], each)));
}

bool cg_transposed(CgModule *m, const CgFunc *f, const CgAccess *a, const ScTerm *const *dim,
                   const CgAccess *to, CgTranspose *ret)
{
    int64_t n;
    if (!transposed(m, f, a, dim, to, 2, ret))
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
        if (!transposed(m, f, &a[i], dim, NULL, LEAST, t))
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
    cg_shape_word(s, (uint64_t)t->q << 32 | t->atom);
    for (uint32_t i = 0; i < t->n_p; i++)
        cg_shape_word(s, t->p[i]);
    cg_shape_any(s, &t->rows);
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
