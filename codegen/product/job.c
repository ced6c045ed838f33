/* SPDX-License-Identifier: Apache-2.0 */
/* The loop over tiles.
 *
 * A thread holds a block of rows of A in its scratch, as they are multiplied, or reads them where
 * they lie, and visits the panels of B: each panel is made (decoded, gathered) once a block, kc
 * rows at a time, small enough for L1, and multiplied by tiles of mr rows. Between chunks the sums
 * rest in C, from which the epilogue then reads. The sum over k runs upward in one chain for each
 * element, however the tiles are cut, so results depend neither on the threads nor on the place. */
#include "codegen/product/product.h"

/* --- Rows of A, rows of the result ------------------------------------------------------------ */

typedef struct Copy {
    const CgTile *t;
    const CgAccess *a;
    LLVMValueRef address, dst;
    const ScTerm *stride;
} Copy;

static void copy_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Copy *c = arg;
    LLVMValueRef at = cg_add_int(cg, c->address, cg_mul_int(cg, i, cg_term(cg, c->stride)));
    CgVal x = cg_access_load(cg, c->a, at, c->stride, w, mask);
    /* Lanes outside the mask are zeros, and there is room for them. */
    cg_tile_put(cg, c->t, x, w, cg_gep(cg, c->t->a.type, c->dst, i));
}

bool cg_by_codes(const CgFunc *f, const CgTile *t, const CgAccess *a, const ScTerm *stride)
{
    if (t->micro->way != CG_UNIT_PAIRS || !sc_term_is(stride, 1) || a->operand < 0 || a->index ||
        a->way)
        return false;
    ScrtDtype type = sc_type_of(f->sub, a->root)->dtype;
    return type == SCRT_F8E4M3FN || type == SCRT_F8E5M2;
}

void cg_codes_put(Cg *cg, const CgTile *t, ScrtDtype dtype, LLVMValueRef codes, LLVMValueRef dst,
                  uint32_t n)
{
    LLVMTypeRef type = cg_vec(cg->m->i8, cg_codes(t));
    const uint32_t half = cg_codes(t) / 2;
    LLVMValueRef word[2], code = LLVMBuildLoad2(cg->b, type, codes, "");
    LLVMSetAlignment(code, 1);
    cg_pairs_decode(cg, dtype, code, word);
    for (uint32_t j = 0; j < 2 && j * half < n; j++) {
        LLVMValueRef to = cg_gep(cg, t->a.type, dst, cg_int(cg, (int64_t)j * half));
        LLVMSetAlignment(LLVMBuildStore(cg->b, word[j], to), t->a.size);
    }
}

/* Answers how many of the n are done. */
static LLVMValueRef copy_codes(Cg *cg, const Copy *c, LLVMValueRef n)
{
    LLVMValueRef step = cg_int(cg, cg_codes(c->t)), zero = cg_int(cg, 0);
    LLVMValueRef whole = LLVMBuildSub(cg->b, n, LLVMBuildURem(cg->b, n, step, ""), "");
    CgLoop i = cg_for(cg, zero, whole, step);
    LLVMValueRef from = cg_access_pointer(cg, c->a, cg_add_int(cg, c->address, i.i));
    cg_codes_put(cg, c->t, sc_type_of(cg->f->sub, c->a->root)->dtype, from,
                 cg_gep(cg, c->t->a.type, c->dst, i.i), cg_codes(c->t));
    cg_next(cg, &i);
    return whole;
}

void cg_row_copy(Cg *cg, const CgTile *t, const CgAccess *a, LLVMValueRef address,
                 const ScTerm *stride, LLVMValueRef n, LLVMValueRef dst)
{
    LLVMValueRef w = cg_int(cg, t->w);
    LLVMValueRef whole = LLVMBuildSub(cg->b, n, LLVMBuildURem(cg->b, n, w, ""), "");
    for (uint32_t i = 0; i < t->w || i < t->deep; i += t->w)
        cg_tile_zeros(cg, t, cg_gep(cg, t->a.type, dst, cg_add_int(cg, whole, cg_int(cg, i))));
    Copy c = {t, a, address, dst, stride};
    bool codes = cg_by_codes(cg->f, t, a, stride);
    LLVMValueRef done = codes ? copy_codes(cg, &c, n) : cg_int(cg, 0);
    cg_lanes(cg, done, n, t->w, copy_lanes, &c);
}

typedef struct Finish {
    const CgTile *t;
    const CgEpi *epi;
    const CgEpiRow *row;
    LLVMValueRef acc, begin, first;
} Finish;

static void finish_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Finish *f = arg;
    LLVMTypeRef el = f->t->el;
    LLVMValueRef column = cg_add_int(cg, f->first, i);
    LLVMValueRef at = cg_gep(cg, el, f->acc, LLVMBuildSub(cg->b, i, f->begin, ""));
    LLVMValueRef part[CG_AT_ONCE];
    uint32_t n = 0;
    for (const CgEpiRow *r = f->row; r; r = r->beside, n++) {
        LLVMValueRef line = cg_gep(cg, el, at, cg_int(cg, (int64_t)n * f->t->nr));
        part[n] = LLVMBuildLoad2(cg->b, cg_vec(el, w), line, "");
        LLVMSetAlignment(part[n], f->t->size);
    }
    LLVMValueRef x = cg_join(cg, part, n);
    x = cg_epi_add_bias(cg, f->epi, f->row, column, x, w, mask);
    cg_epi_store(cg, f->epi, f->row, column, x, w, mask);
}

void cg_finish_row(Cg *cg, const CgTile *t, const CgEpi *epi, const CgEpiRow *row, LLVMValueRef acc,
                   LLVMValueRef from, LLVMValueRef to, const ScTerm *cols)
{
    LLVMValueRef zero = cg_int(cg, 0);
    Finish f = {t, epi, row, acc, zero, zero};
    int64_t n;
    bool known = sc_term_const(cols, &n) && n < t->nr;
    cg_lanes_at_once(cg, from, to, t->w,
                     cg_epi_at_once(epi, known ? cols : sc_term(cg->m->cx, t->nr)), finish_lanes,
                     &f);
}

void cg_finish_panel(Cg *cg, const CgTile *t, const CgEpi *epi, const CgEpiRow *row,
                     LLVMValueRef acc, LLVMValueRef col0, LLVMValueRef col1, const ScTerm *cols,
                     LLVMValueRef first)
{
    Finish f = {t, epi, row, acc, col0, first};
    int64_t n;
    bool whole = sc_term_const(cols, &n) && n % t->nr == 0;
    cg_lanes_unrolled(cg, col0, col1, t->w, cg_epi_at_once(epi, sc_term(cg->m->cx, t->nr)),
                      t->nr / t->w, whole, finish_lanes, &f);
}

/* --- Cutting --------------------------------------------------------------------------------- */

/* How the problem is cut: known to the entry and to the body, from the same numbers. */
typedef struct Cut {
    LLVMValueRef rows, cols, depth, inner;
    LLVMValueRef panels, block, blocks, chunks, items;
    LLVMValueRef unit; /* items that a thread takes at a time: of several blocks a whole one, whose
                          rows are then made once */
} Cut;

LLVMValueRef cg_grain(Cg *cg, LLVMValueRef clocks)
{
    return cg_cdiv_int(cg, cg_int(cg, 20000), cg_max_int(cg, clocks, cg_int(cg, 1)));
}

/* More blocks where threads would wait for one another for more than a sixteenth of the time: as
 * many as share evenly, if blocks have rows for more than one tile. */
static LLVMValueRef even_blocks(Cg *cg, const CgJob *j, LLVMValueRef rows, LLVMValueRef others,
                                LLVMValueRef blocks, LLVMValueRef n_thread)
{
    LLVMBuilderRef b = cg->b;
    LLVMValueRef items = cg_mul_int(cg, others, blocks);
    LLVMValueRef slots = cg_mul_int(cg, cg_cdiv_int(cg, items, n_thread), n_thread);
    LLVMValueRef idle = cg_mul_int(cg, LLVMBuildSub(b, slots, items, ""), cg_int(cg, 16));
    LLVMValueRef more = cg_mul_int(cg, cg_cdiv_int(cg, blocks, n_thread), n_thread);
    LLVMValueRef need = cg_mul_int(cg, more, cg_int(cg, 3 * (int64_t)j->tile.mr));
    LLVMValueRef have = cg_mul_int(cg, rows, cg_int(cg, 2));
    LLVMValueRef pays = LLVMBuildAnd(b, LLVMBuildICmp(b, LLVMIntSGT, idle, items, ""),
                                     LLVMBuildICmp(b, LLVMIntSGE, have, need, ""), "");
    return LLVMBuildSelect(b, pays, more, blocks, "");
}

/* Blocks of rows, as even as tiles allow: one, unless there are too few panels for the threads or
 * too many rows for the scratch; a low one would wait for the panels. The number of threads changes
 * who computes an element, not how. */
static Cut cut_job(Cg *cg, const CgJob *j)
{
    const CgTile *t = &j->tile;
    LLVMValueRef one = cg_int(cg, 1), mr = cg_int(cg, t->mr), outer = cg_term(cg, j->outer);
    Cut c = {.rows = cg_term(cg, j->rows),
             .cols = cg_term(cg, j->cols),
             .depth = cg_term(cg, j->depth),
             .inner = cg_term(cg, j->inner)};
    c.panels = cg_cdiv_int(cg, c.cols, cg_int(cg, t->nr));
    c.chunks = cg_max_int(cg, cg_cdiv_int(cg, c.depth, cg_int(cg, t->kc)), one);
    LLVMValueRef others = cg_mul_int(cg, cg_mul_int(cg, outer, c.inner), c.panels);
    LLVMValueRef n_thread = cg_threads(cg);
    LLVMValueRef want = cg_cdiv_int(cg, n_thread, cg_max_int(cg, others, one));
    LLVMValueRef least = cg_cdiv_int(cg, c.rows, cg_int(cg, t->rows)); /* blocks */
    want = cg_max_int(cg, cg_max_int(cg, want, least), one);
    want = even_blocks(cg, j, c.rows, others, want, n_thread);
    LLVMValueRef rows = cg_max_int(cg, cg_cdiv_int(cg, c.rows, want), one);
    c.block = cg_mul_int(cg, cg_cdiv_int(cg, rows, mr), mr);
    c.blocks = cg_cdiv_int(cg, c.rows, c.block);
    c.items = cg_mul_int(cg, others, c.blocks);
    LLVMValueRef all = cg_mul_int(cg, outer, c.blocks);
    LLVMValueRef several = LLVMBuildICmp(cg->b, LLVMIntSGT, all, one, "");
    LLVMValueRef whole = cg_max_int(cg, cg_mul_int(cg, c.inner, c.panels), one);
    c.unit = LLVMBuildSelect(cg->b, several, whole, one, "");
    return c;
}

/* Rows that a block holds at most: the tile's, or all there are where those are fewer. */
static const ScTerm *block_rows(CgModule *m, const CgJob *j)
{
    ScCtx *cx = m->cx;
    const ScTerm *mr = sc_term(cx, j->tile.mr), *one = sc_term(cx, 1);
    const ScTerm *all = sc_term_mul(cx, sc_term_cdiv(cx, sc_term_max(cx, j->rows, one), mr), mr);
    return sc_term_min(cx, all, sc_term(cx, j->tile.rows));
}

/* Elements between two chunks of A. The last column of turned rows is followed by what of its
 * vector is too much. */
static const ScTerm *chunk_stride(CgModule *m, const CgJob *j)
{
    const CgTile *t = &j->tile;
    const ScTerm *rows = block_rows(m, j);
    return t->turned ? sc_term_addc(m->cx, sc_term_scale(m->cx, rows, t->turned), t->w * t->ku)
                     : sc_term_scale(m->cx, rows, t->ks);
}

static const ScTerm *chunk_elements(CgModule *m, const CgJob *j)
{
    const ScTerm *one = sc_term(m->cx, 1);
    const ScTerm *chunks =
        sc_term_cdiv(m->cx, sc_term_max(m->cx, j->depth, one), sc_term(m->cx, j->tile.kc));
    return sc_term_mul(m->cx, chunks, chunk_stride(m, j));
}

/* Of a tile's rows, before they are turned. */
static int64_t row_elements(const CgTile *t)
{
    uint32_t zeros = t->w > t->deep ? t->w : t->deep;
    return (int64_t)t->mr * t->ks + zeros;
}

/* Elements of A that are copied: all of a block's, or of A that is read where it lies a tile's;
 * before those that are turned a tile's rows. */
static const ScTerm *a_elements(CgModule *m, const CgJob *j)
{
    const CgTile *t = &j->tile;
    if (t->turned)
        return sc_term_addc(m->cx, chunk_elements(m, j), row_elements(t));
    if (!j->a_at)
        return chunk_elements(m, j);
    return sc_term(m->cx, t->exact ? 0 : row_elements(t));
}

/* Scratch of a thread: A, C, the panel of B, the class's own. */
static const ScTerm *scratch_at(CgModule *m, const CgJob *j, int part)
{
    ScCtx *cx = m->cx;
    const ScTerm *at = sc_term(cx, 0);
    if (part > 0)
        at = cg_round64(m, sc_term_scale(cx, a_elements(m, j), j->tile.a.size));
    if (part > 1)
        at = sc_term_add(
            cx, at,
            cg_round64(m, sc_term_scale(cx, block_rows(m, j), (int64_t)j->tile.nr * j->tile.size)));
    if (part > 2 && j->b_bytes)
        at = sc_term_add(cx, at, cg_round64(m, j->b_bytes));
    if (part > 3 && j->extra_bytes)
        at = sc_term_add(cx, at, cg_round64(m, j->extra_bytes));
    return at;
}

const ScTerm *cg_job_scratch(CgModule *m, const CgJob *j)
{
    return scratch_at(m, j, 4);
}

/* --- The loop -------------------------------------------------------------------------------- */

/* Zeros for the rows that a whole tile reads beyond the block's last. */
static void fill_below(Cg *cg, const CgJob *j, LLVMValueRef base, LLVMValueRef from,
                       LLVMValueRef to, LLVMValueRef n_k)
{
    const CgTile *t = &j->tile;
    CgLoop pad = cg_for(cg, from, to, cg_int(cg, 1));
    LLVMValueRef dst = cg_gep(cg, t->a.type, base, cg_mul_int(cg, pad.i, cg_int(cg, t->ks)));
    CgLoop k = cg_for(cg, cg_int(cg, 0), n_k, cg_int(cg, t->w));
    cg_tile_zeros(cg, t, cg_gep(cg, t->a.type, dst, k.i));
    cg_next(cg, &k);
    cg_next(cg, &pad);
}

/* Rows first .. first + n - 1 of the block, for one chunk. */
static void fill_rows(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef base, LLVMValueRef first,
                      LLVMValueRef n)
{
    const CgTile *t = &j->tile;
    CgLoop row = cg_for(cg, cg_int(cg, 0), n, cg_int(cg, 1));
    LLVMValueRef dst = cg_gep(cg, t->a.type, base, cg_mul_int(cg, row.i, cg_int(cg, t->ks)));
    j->a_row(cg, j, at, cg_add_int(cg, cg_add_int(cg, at->row0, first), row.i), dst);
    cg_next(cg, &row);
}

/* Whether a tile of the last `left` rows would read beyond them. */
static LLVMValueRef is_short(Cg *cg, const CgTile *t, LLVMValueRef left)
{
    LLVMValueRef few = LLVMBuildICmp(cg->b, LLVMIntSLT, left, cg_int(cg, t->mr), "");
    LLVMValueRef odd = LLVMBuildICmp(cg->b, LLVMIntNE, left, cg_int(cg, t->low), "");
    return LLVMBuildAnd(cg->b, few, odd, "");
}

/* Where a chunk of the block's rows lies. */
static LLVMValueRef chunk_a(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef chunk)
{
    LLVMValueRef base = cg_mul_int(cg, chunk, cg_term(cg, chunk_stride(cg->m, j)));
    if (j->tile.turned)
        base = cg_add_int(cg, base, cg_int(cg, row_elements(&j->tile)));
    return cg_gep(cg, j->tile.a.type, at->a, base);
}

/* A loop over the chunks. */
static CgLoop chunks(Cg *cg, const CgJob *j, const Cut *c, CgAt *at)
{
    LLVMValueRef kc = cg_int(cg, j->tile.kc);
    CgLoop chunk = cg_for(cg, cg_int(cg, 0), c->chunks, cg_int(cg, 1));
    at->k0 = cg_mul_int(cg, chunk.i, kc);
    at->n_k = cg_min_int(cg, kc, LLVMBuildSub(cg->b, c->depth, at->k0, ""));
    return chunk;
}

/* The block's rows, turned tile by tile: all chunks of one first, so that its rows are read from
 * end to end. */
static void fill_turned(Cg *cg, const CgJob *j, const Cut *c, CgAt *at)
{
    const CgTile *t = &j->tile;
    LLVMValueRef mr = cg_int(cg, t->mr);
    CgLoop r = cg_for(cg, cg_int(cg, 0), at->n_row, mr);
    LLVMValueRef n = cg_min_int(cg, mr, LLVMBuildSub(cg->b, at->n_row, r.i, ""));
    CgLoop chunk = chunks(cg, j, c, at);
    fill_rows(cg, j, at, at->a, r.i, n);
    if (!t->exact)
        fill_below(cg, j, at->a, n, mr, at->n_k);
    LLVMValueRef to = cg_mul_int(cg, r.i, cg_int(cg, t->turned));
    to = cg_gep(cg, t->a.type, chunk_a(cg, j, at, chunk.i), to);
    cg_tile_turn(cg, t, at->a, at->n_k, to);
    cg_next(cg, &chunk);
    cg_next(cg, &r);
}

/* Of A that is read where it lies only the rows of a tile that would read beyond them are copied,
 * all chunks at once. */
static void fill_short(Cg *cg, const CgJob *j, const Cut *c, CgAt *at)
{
    const CgTile *t = &j->tile;
    if (t->exact)
        return;
    LLVMValueRef mr = cg_int(cg, t->mr);
    at->k0 = cg_int(cg, 0);
    at->n_k = c->depth;
    LLVMValueRef left = LLVMBuildURem(cg->b, at->n_row, mr, "");
    LLVMValueRef first = LLVMBuildSub(cg->b, at->n_row, left, "");
    CgIf some = cg_if(cg, is_short(cg, t, left));
    fill_rows(cg, j, at, at->a, first, left);
    fill_below(cg, j, at->a, left, mr, at->n_k);
    cg_endif(cg, &some);
}

/* The block's rows of A, chunk by chunk. */
static void fill_a(Cg *cg, const CgJob *j, const Cut *c, CgAt *at)
{
    const CgTile *t = &j->tile;
    if (j->a_at) {
        fill_short(cg, j, c, at);
        return;
    }
    if (t->turned) {
        fill_turned(cg, j, c, at);
        return;
    }
    LLVMValueRef mr = cg_int(cg, t->mr);
    CgLoop chunk = chunks(cg, j, c, at);
    LLVMValueRef base = chunk_a(cg, j, at, chunk.i);
    fill_rows(cg, j, at, base, cg_int(cg, 0), at->n_row);
    if (!t->exact)
        fill_below(cg, j, base, at->n_row, cg_mul_int(cg, cg_cdiv_int(cg, at->n_row, mr), mr),
                   at->n_k);
    cg_next(cg, &chunk);
}

/* Where a tile reads A: rows from r on of the block. */
static LLVMValueRef tile_a(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef chunk,
                           LLVMValueRef r)
{
    const CgTile *t = &j->tile;
    if (!j->a_at) {
        LLVMValueRef base = chunk_a(cg, j, at, chunk);
        uint32_t apart = t->turned ? t->turned : t->ks;
        return cg_gep(cg, t->a.type, base, cg_mul_int(cg, r, cg_int(cg, apart)));
    }
    LLVMValueRef a = j->a_at(cg, j, at, cg_add_int(cg, at->row0, r));
    if (!t->exact) {
        LLVMValueRef left = LLVMBuildSub(cg->b, at->n_row, r, "");
        a = LLVMBuildSelect(cg->b, is_short(cg, t, left), at->a, a, "");
    }
    return cg_gep(cg, t->a.type, a, at->k0);
}

/* How many rows are finished at once: those that a panel leaves room for. */
static uint32_t rows_at_once(Cg *cg, const CgJob *j)
{
    uint32_t vectors = j->tile.nr / j->tile.w;
    int64_t n;
    bool whole = sc_term_const(j->cols, &n) && n % j->tile.nr == 0;
    if (!j->epi || !(whole || cg->m->target.avx512))
        return 1;
    uint32_t most = cg_epi_at_once(j->epi, NULL);
    return most > vectors ? most / vectors : 1;
}

/* Rows from .. to - 1 of the block, whose sums lie in C, n of them at once; answers the first that
 * is not done. */
static LLVMValueRef finish_some(Cg *cg, const CgJob *j, const CgAt *at, uint32_t n,
                                LLVMValueRef from, LLVMValueRef to)
{
    const CgTile *t = &j->tile;
    LLVMValueRef step = cg_int(cg, n), some = LLVMBuildSub(cg->b, to, from, "");
    LLVMValueRef end = cg_add_int(cg, from, LLVMBuildAnd(cg->b, some, cg_int(cg, -(int64_t)n), ""));
    CgLoop row = cg_for(cg, from, end, step);
    j->finish(cg, j, at, n, cg_add_int(cg, at->row0, row.i),
              cg_gep(cg, t->el, at->c, cg_mul_int(cg, row.i, cg_int(cg, t->nr))));
    cg_next(cg, &row);
    return end;
}

static void finish_rows(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef from, LLVMValueRef to)
{
    uint32_t n = rows_at_once(cg, j);
    if (n > 1)
        from = finish_some(cg, j, at, n, from, to);
    finish_some(cg, j, at, 1, from, to);
}

/* What the next tile, of this panel or the next one, will load when it is finished: rows lie far
 * apart, so no processor guesses it. */
static void ask_next(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef r, LLVMValueRef last)
{
    if (!j->ask)
        return;
    LLVMValueRef mr = cg_int(cg, j->tile.mr), next = cg_add_int(cg, r, mr);
    LLVMValueRef past = LLVMBuildICmp(cg->b, LLVMIntSGE, next, at->n_row, "");
    LLVMValueRef more = LLVMBuildICmp(cg->b, LLVMIntSLT, at->col1, cg_term(cg, j->cols), "");
    more = LLVMBuildOr(cg->b, more, LLVMBuildNot(cg->b, past, ""), "");
    CgIf now = cg_if(cg, LLVMBuildAnd(cg->b, last, more, ""));
    next = LLVMBuildSelect(cg->b, past, cg_int(cg, 0), next, "");
    CgAt then = *at;
    then.col0 = LLVMBuildSelect(cg->b, past, at->col1, at->col0, "");
    LLVMValueRef end = cg_min_int(cg, cg_add_int(cg, next, mr), at->n_row);
    CgLoop row = cg_for(cg, next, end, cg_int(cg, 1));
    j->ask(cg, j, &then, cg_add_int(cg, at->row0, row.i));
    cg_next(cg, &row);
    cg_endif(cg, &now);
}

/* All tiles of one chunk: the tall ones, then what is left. Each of them asks memory for its share
 * of the next chunk, so that reading and multiplying overlap; after the last chunk each is finished
 * at once, so that writing and multiplying do. */
static void chunk_tiles(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef chunk,
                        LLVMValueRef last)
{
    const CgTile *t = &j->tile;
    LLVMValueRef zero = cg_int(cg, 0), off = NULL, b = j->panel(cg, j, at, &off);
    CgAhead ahead = {b, zero, zero};
    if (j->ahead) {
        LLVMValueRef next, row = j->ahead(cg, j, at, &next);
        ahead = cg_ahead(cg, t, at->n_row, at->n_k, next, row);
    }
    CgLoop r = cg_for(cg, zero, at->n_row, cg_int(cg, t->mr));
    ask_next(cg, j, at, r.i, last);
    const CgTileArgs arg = {
        .a = tile_a(cg, j, at, chunk, r.i),
        .b = b,
        .c = cg_gep(cg, t->el, at->c, cg_mul_int(cg, r.i, cg_int(cg, t->nr))),
        .k = at->n_k,
        .first = LLVMBuildICmp(cg->b, LLVMIntEQ, chunk, zero, ""),
        .off = off,
        .next = cg_ahead_at(cg, t, &ahead, r.i),
        .step = ahead.step,
    };
    if (t->exact && !t->low) {
        cg_tile_call(cg, t, t->mr, &arg);
    } else {
        LLVMValueRef left = LLVMBuildSub(cg->b, at->n_row, r.i, "");
        LLVMValueRef low = LLVMBuildICmp(cg->b, LLVMIntSLE, left, cg_int(cg, t->low), "");
        CgIf tail = cg_if(cg, low);
        cg_tile_call(cg, t, t->low ? t->low : t->mr, &arg);
        cg_else(cg, &tail);
        cg_tile_call(cg, t, t->mr, &arg);
        cg_endif(cg, &tail);
    }
    CgIf done = cg_if(cg, last);
    LLVMValueRef end = cg_add_int(cg, r.i, cg_int(cg, t->mr));
    finish_rows(cg, j, at, r.i, cg_min_int(cg, end, at->n_row));
    cg_endif(cg, &done);
    cg_next(cg, &r);
}

/* Runs what where `now` differs from what it was at the last item. */
static void when_new(Cg *cg, LLVMValueRef var, LLVMValueRef now, CgIf *ret)
{
    LLVMValueRef was = cg_get(cg, cg->m->i64, var);
    *ret = cg_if(cg, LLVMBuildICmp(cg->b, LLVMIntNE, was, now, ""));
    cg_set(cg, var, now);
}

static void job_item(Cg *cg, const CgJob *j, const Cut *c, CgAt *at, LLVMValueRef item,
                     LLVMValueRef seen_block, LLVMValueRef seen_image)
{
    const CgTile *t = &j->tile;
    LLVMBuilderRef b = cg->b;
    at->panel = LLVMBuildURem(b, item, c->panels, "");
    LLVMValueRef image = LLVMBuildUDiv(b, item, c->panels, "");
    at->inner = LLVMBuildURem(b, image, c->inner, "");
    LLVMValueRef block = LLVMBuildUDiv(b, image, c->inner, "");
    at->row0 = cg_mul_int(cg, LLVMBuildURem(b, block, c->blocks, ""), c->block);
    at->outer = LLVMBuildUDiv(b, block, c->blocks, "");
    at->n_row = cg_min_int(cg, c->block, LLVMBuildSub(b, c->rows, at->row0, ""));
    at->col0 = cg_mul_int(cg, at->panel, cg_int(cg, t->nr));
    at->col1 = cg_min_int(cg, cg_add_int(cg, at->col0, cg_int(cg, t->nr)), c->cols);

    CgIf fresh;
    when_new(cg, seen_block, block, &fresh);
    fill_a(cg, j, c, at);
    cg_endif(cg, &fresh);
    if (j->image) {
        when_new(cg, seen_image, image, &fresh);
        j->image(cg, j, at);
        cg_endif(cg, &fresh);
    }
    CgLoop chunk = chunks(cg, j, c, at);
    LLVMValueRef end = cg_add_int(cg, at->k0, at->n_k);
    chunk_tiles(cg, j, at, chunk.i, LLVMBuildICmp(b, LLVMIntEQ, end, c->depth, ""));
    cg_next(cg, &chunk);
}

LLVMValueRef cg_job_body(CgModule *m, const CgJob *j)
{
    const CgTile *t = &j->tile;
    cg_tile_fn(m, t, t->mr, j->offsets); /* functions end before the next begins */
    if (t->low)
        cg_tile_fn(m, t, t->low, j->offsets);
    Cg cg;
    LLVMValueRef fn = cg_begin_body(&cg, m, j->f, "tiles");
    Cut c = cut_job(&cg, j);
    LLVMValueRef s = cg_scratch_thread(&cg), none = cg_int(&cg, -1);
    CgAt at = {.a = cg_gep(&cg, m->i8, s, cg_term(&cg, scratch_at(m, j, 0))),
               .c = cg_gep(&cg, m->i8, s, cg_term(&cg, scratch_at(m, j, 1))),
               .b = cg_gep(&cg, m->i8, s, cg_term(&cg, scratch_at(m, j, 2))),
               .extra = cg_gep(&cg, m->i8, s, cg_term(&cg, scratch_at(m, j, 3)))};
    LLVMValueRef seen_block = cg_var(&cg, m->i64, none), seen_image = cg_var(&cg, m->i64, none);
    if (j->once)
        j->once(&cg, j, &at);
    cg_registers_begin(&cg, t);
    CgItems item = cg_items(&cg, c.items, c.unit);
    job_item(&cg, j, &c, &at, item.i, seen_block, seen_image);
    cg_items_next(&cg, &item);
    cg_registers_end(&cg, t);
    cg_end_fn(&cg);
    return fn;
}

void cg_job_run(Cg *cg, const CgJob *j, LLVMValueRef body)
{
    Cut c = cut_job(cg, j);
    LLVMValueRef work =
        cg_mul_int(cg, cg_mul_int(cg, c.block, c.depth), cg_int(cg, j->tile.nr / j->tile.w));
    cg_parallel_items(cg, body, c.items, c.unit, cg_grain(cg, work));
}
