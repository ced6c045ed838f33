/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions in which each channel is a group of its own, channels last: vectors of channels, the
 * weights packed as panels of one vector, the sum of a position in a register. */
#include "codegen/product/filter.h"
#include "codegen/product/slide.h"

typedef struct Depthwise {
    CgSlide s;
    CgTile tile; /* el, size, w, nv, nr: of one vector */
    const CgFilter *filter;
} Depthwise;

/* --- One row of the result ------------------------------------------------------------------- */

typedef struct Row {
    const Depthwise *d;
    LLVMValueRef row, first, weights; /* first: the vector's first channel */
} Row;

typedef struct Sum { /* of one position, for a vector of channels */
    const Row *r;
    LLVMValueRef acc, i, mask;
    uint32_t w;
} Sum;

static void add_product(Cg *cg, void *arg, LLVMValueRef address, LLVMValueRef tap)
{
    const Sum *s = arg;
    const Depthwise *d = s->r->d;
    const CgTile *t = &d->tile;
    const ScTerm *stride = d->s.x.stride[d->s.x.rank - 1];
    LLVMTypeRef vec = cg_vec(t->el, s->w);
    LLVMValueRef at = cg_add_int(cg, address, cg_mul_int(cg, s->i, cg_term(cg, stride)));
    CgVal x = cg_access_load(cg, &d->s.x, at, stride, s->w, s->mask);
    LLVMValueRef lane = LLVMBuildSub(cg->b, s->i, s->r->first, "");
    lane = cg_add_int(cg, cg_mul_int(cg, tap, cg_int(cg, t->nr)), lane);
    LLVMValueRef w = LLVMBuildLoad2(cg->b, vec, cg_gep(cg, t->el, s->r->weights, lane), "");
    LLVMSetAlignment(w, t->size);
    cg_set(cg, s->acc, cg_tile_mac(cg, t, x.v, w, cg_get(cg, vec, s->acc)));
}

static void row_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Row *r = arg;
    const CgSlide *s = &r->d->s;
    LLVMTypeRef vec = cg_vec(r->d->tile.el, w);
    Sum sum = {r, cg_var(cg, vec, NULL), i, mask, w};
    CgSpots spots = cg_spots(cg, s, r->row);
    cg_set(cg, sum.acc, LLVMConstNull(vec));
    cg_slide_window(cg, s, &spots.at, add_product, &sum);
    CgEpiRow epi = cg_epi_row(cg, s->epi, spots.at.idx, 1 + s->desc.n_spatial);
    LLVMValueRef x = cg_get(cg, vec, sum.acc);
    x = cg_epi_add_bias(cg, s->epi, &epi, i, x, w, mask);
    cg_epi_store(cg, s->epi, &epi, i, x, w, mask);
    cg_spots_end(cg, &spots);
}

/* --- The kernel ------------------------------------------------------------------------------ */

/* Items are rows of the result, all of them for one vector of channels after another. */
static LLVMValueRef emit_body(CgModule *m, const Depthwise *d)
{
    Cg cg;
    LLVMValueRef fn = cg_begin_body(&cg, m, d->s.f, "rows");
    LLVMValueRef rows = cg_term(&cg, d->s.rows), nr = cg_int(&cg, d->tile.nr);
    CgLoop item = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    CgAt at = {.panel = LLVMBuildUDiv(cg.b, item.i, rows, "")};
    at.col0 = cg_mul_int(&cg, at.panel, nr);
    at.col1 = cg_min_int(&cg, cg_add_int(&cg, at.col0, nr), cg_term(&cg, d->s.channels));
    at.k0 = cg_int(&cg, 0);
    at.n_k = cg_int(&cg, d->s.n_kernel);
    Row r = {.d = d, .row = LLVMBuildURem(cg.b, item.i, rows, ""), .first = at.col0};
    r.weights = cg_filter_panel(&cg, d->filter, &at, at.k0, cg_scratch_thread(&cg));
    cg_lanes(&cg, at.col0, at.col1, d->tile.w, row_lanes, &r);
    cg_next(&cg, &item);
    cg_end_fn(&cg);
    return fn;
}

bool cg_emit_depthwise(CgModule *m, CgFunc *f, const ScNode *n, const ScWindow *desc,
                       CgFilter *filter)
{
    Depthwise *d = sc_new(m->arena, Depthwise);
    if (!cg_slide_init(m, f, n, desc, &d->s))
        return false;
    CgTile *t = &d->tile;
    t->el = cg_compute_type(m, sc_type_of(f->sub, n->first)->dtype);
    t->size = LLVMGetTypeKind(t->el) == LLVMDoubleTypeKind ? 8 : 4;
    t->w = t->nr = m->target.w * 4 / t->size;
    t->nv = 1;
    d->filter = filter;
    cg_filter_pack(m, f, t, filter);
    f->scratch_thread = sc_term(m->cx, ((int64_t)d->s.n_kernel + 3) / 4 * 4 * t->nr * t->size);
    LLVMValueRef body = emit_body(m, d);
    Cg cg;
    cg_begin_entry(&cg, m, f);
    const ScTerm *vectors = sc_term_cdiv(m->cx, d->s.channels, sc_term(m->cx, t->nr));
    LLVMValueRef work = cg_term(&cg, d->s.out[desc->n_spatial - 1]);
    work = cg_mul_int(&cg, work, cg_int(&cg, 2 * (int64_t)d->s.n_kernel + 8));
    cg_parallel(&cg, body, cg_term(&cg, sc_term_mul(m->cx, vectors, d->s.rows)),
                cg_grain(&cg, work));
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "conv %s x %s%s: depthwise, vectors of %u channels",
                        scrt_dtype_name(sc_type_of(f->sub, n->in[0])->dtype),
                        scrt_dtype_name(filter->dtype), filter->packed ? " packed" : "", t->w);
    return true;
}
