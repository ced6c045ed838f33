/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions in which each channel is a group of its own, channels last: vectors of channels, the
 * weights packed as panels of one vector, the sums of positions in registers. Where windows lie in
 * x along the last dim, neighbours of a row are computed together, line by line of the window: they
 * share the line's weights and what they have in common of x, which are loaded once. */
#include "codegen/product/filter.h"
#include "codegen/product/slide.h"

typedef struct Depthwise {
    CgSlide s;
    CgTile tile; /* el, size, w, nv, nr: of one vector */
    const CgFilter *filter;
    const ScTerm *panels;
} Depthwise;

/* --- One row of the result ------------------------------------------------------------------- */

typedef struct Row {
    const Depthwise *d;
    LLVMValueRef row, first, weights; /* first: the vector's first channel */
} Row;

typedef struct Lanes { /* a vector of channels */
    const Row *r;
    LLVMValueRef i, mask, acc; /* first channel; the sum of one position */
    uint32_t w;
} Lanes;

static LLVMValueRef load_x(Cg *cg, const Lanes *l, LLVMValueRef address)
{
    const CgAccess *x = &l->r->d->s.x;
    const ScTerm *stride = x->stride[x->rank - 1];
    LLVMValueRef at = cg_add_int(cg, address, cg_mul_int(cg, l->i, cg_term(cg, stride)));
    return cg_access_load(cg, x, at, stride, l->w, l->mask).v;
}

static LLVMValueRef load_weights(Cg *cg, const Lanes *l, LLVMValueRef tap)
{
    const CgTile *t = &l->r->d->tile;
    LLVMValueRef lane = LLVMBuildSub(cg->b, l->i, l->r->first, "");
    lane = cg_add_int(cg, cg_mul_int(cg, tap, cg_int(cg, t->nr)), lane);
    LLVMValueRef w =
        LLVMBuildLoad2(cg->b, cg_vec(t->el, l->w), cg_gep(cg, t->el, l->r->weights, lane), "");
    LLVMSetAlignment(w, t->size);
    return w;
}

static CgEpiRow epilogue_row(Cg *cg, const Lanes *l, const CgSpot *at)
{
    const CgSlide *s = &l->r->d->s;
    return cg_epi_row(cg, s->epi, at->idx, 1 + s->desc.n_spatial);
}

/* x: the sums of a spot, or of several, whose rows are beside one another. */
static void finish(Cg *cg, const Lanes *l, const CgEpiRow *row, LLVMValueRef x)
{
    const CgEpi *epi = l->r->d->s.epi;
    x = cg_epi_add_bias(cg, epi, row, l->i, x, l->w, l->mask);
    cg_epi_store(cg, epi, row, l->i, x, l->w, l->mask);
}

/* --- Neighbours together --- */

enum { NEIGHBOURS = 4 };
_Static_assert(NEIGHBOURS % CG_AT_ONCE == 0, "they are finished in whole groups");

typedef struct Together {
    const Lanes *l;
    LLVMValueRef acc[NEIGHBOURS];
} Together;

/* What a line of the window, along the last dim, adds; address: where the first one's begins. */
static void add_line(Cg *cg, void *arg, LLVMValueRef address, LLVMValueRef tap)
{
    const Together *g = arg;
    const Lanes *l = g->l;
    const Depthwise *d = l->r->d;
    const ScWindow *w = &d->s.desc;
    uint32_t last = w->n_spatial - 1, n = (uint32_t)w->kernel[last];
    LLVMTypeRef vec = cg_vec(d->tile.el, l->w);
    LLVMValueRef x[NEIGHBOURS][CG_SLIDE_UNROLL], weight[CG_SLIDE_UNROLL];
    for (uint32_t k = 0; k < n; k++)
        weight[k] = load_weights(cg, l, cg_add_int(cg, tap, cg_int(cg, k)));
    for (uint32_t c = 0; c < NEIGHBOURS; c++) {
        LLVMValueRef sum = cg_get(cg, vec, g->acc[c]);
        for (uint32_t k = 0; k < n; k++) {
            int64_t at = c * w->stride[last] + k * w->dilation[last];
            x[c][k] = NULL;
            for (uint32_t i = 0; i < c && !x[c][k]; i++) { /* whose was it before? */
                int64_t before = at - i * w->stride[last];
                if (before % w->dilation[last] == 0 && before / w->dilation[last] < n)
                    x[c][k] = x[i][before / w->dilation[last]];
            }
            LLVMValueRef step = cg_term(cg, d->s.x.stride[1 + last]);
            if (!x[c][k])
                x[c][k] =
                    load_x(cg, l, cg_add_int(cg, address, cg_mul_int(cg, cg_int(cg, at), step)));
            sum = cg_tile_mac(cg, &d->tile, x[c][k], weight[k], sum);
        }
        cg_set(cg, g->acc[c], sum);
    }
}

/* NEIGHBOURS sums from spot `from` on. */
static void add_together(Cg *cg, const Lanes *l, const CgSpot *row, LLVMValueRef from, Together *g)
{
    const CgSlide *s = &l->r->d->s;
    const ScWindow *w = &s->desc;
    uint32_t last = w->n_spatial - 1;
    LLVMValueRef first = cg_mul_int(cg, from, cg_int(cg, w->stride[last]));
    first = LLVMBuildSub(cg->b, first, cg_term(cg, w->pad_begin[last]), "");
    first = cg_mul_int(cg, first, cg_term(cg, s->x.stride[1 + last]));
    first = cg_add_int(cg, row->first, first);
    LLVMTypeRef vec = cg_vec(l->r->d->tile.el, l->w);
    for (uint32_t c = 0; c < NEIGHBOURS; c++)
        cg_set(cg, g->acc[c], LLVMConstNull(vec));
    cg_slide_lines(cg, s, row, first, add_line, g);
}

/* NEIGHBOURS spots from `from` on, as many at once as the epilogue asks for. */
static void finish_together(Cg *cg, const Lanes *l, const CgSpot *row, LLVMValueRef from,
                            Together *g)
{
    const CgSlide *s = &l->r->d->s;
    uint32_t n = l->w > 1 ? cg_epi_at_once(s->epi, NULL) : 1;
    CgEpiRow to[NEIGHBOURS];
    for (uint32_t c = 0; c < NEIGHBOURS; c++) {
        CgSpot at = *row;
        at.idx[s->desc.n_spatial] = cg_add_int(cg, from, cg_int(cg, c));
        to[c] = epilogue_row(cg, l, &at);
    }
    for (uint32_t c = 0; c < NEIGHBOURS; c += n) {
        cg_epi_beside(&to[c], n);
        LLVMValueRef sum[NEIGHBOURS];
        for (uint32_t i = 0; i < n; i++)
            sum[i] = cg_get(cg, cg_vec(l->r->d->tile.el, l->w), g->acc[c + i]);
        finish(cg, l, &to[c], cg_join(cg, sum, n));
    }
}

/* The spots of a row that are computed together; returns them. */
static CgSpan row_together(Cg *cg, const Lanes *l, const CgSpot *row)
{
    const CgSlide *s = &l->r->d->s;
    CgSpan span = cg_slide_whole(cg, s);
    LLVMValueRef n = LLVMBuildSub(cg->b, span.to, span.from, ""), by = cg_int(cg, NEIGHBOURS);
    span.to = LLVMBuildSub(cg->b, span.to, LLVMBuildURem(cg->b, n, by, ""), "");
    Together g = {.l = l};
    for (uint32_t c = 0; c < NEIGHBOURS; c++)
        g.acc[c] = cg_var(cg, cg_vec(l->r->d->tile.el, l->w), NULL);
    CgLoop i = cg_for(cg, span.from, span.to, by);
    add_together(cg, l, row, i.i, &g);
    finish_together(cg, l, row, i.i, &g);
    cg_next(cg, &i);
    return span;
}

/* --- One by one --- */

static void add_product(Cg *cg, void *arg, LLVMValueRef address, LLVMValueRef tap)
{
    const Lanes *l = arg;
    const CgTile *t = &l->r->d->tile;
    LLVMValueRef x = load_x(cg, l, address), w = load_weights(cg, l, tap);
    LLVMValueRef sum = cg_get(cg, cg_vec(t->el, l->w), l->acc);
    cg_set(cg, l->acc, cg_tile_mac(cg, t, x, w, sum));
}

static void row_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Row *r = arg;
    const CgSlide *s = &r->d->s;
    LLVMTypeRef vec = cg_vec(r->d->tile.el, w);
    Lanes l = {r, i, mask, cg_var(cg, vec, NULL), w};
    CgSpot row = cg_slide_row(cg, s, r->row);
    bool together = s->desc.kernel[s->desc.n_spatial - 1] <= CG_SLIDE_UNROLL;
    CgSpan done;
    if (together)
        done = row_together(cg, &l, &row);
    CgSpots spots = cg_spots(cg, s, &row, together ? &done : NULL);
    cg_set(cg, l.acc, LLVMConstNull(vec));
    cg_slide_window(cg, s, &spots.at, add_product, &l);
    CgEpiRow to = epilogue_row(cg, &l, &spots.at);
    finish(cg, &l, &to, cg_get(cg, vec, l.acc));
    cg_spots_end(cg, &spots);
}

/* --- The kernel ------------------------------------------------------------------------------ */

/* Items are vectors of channels of a row, row by row: a thread works on rows that lie together, as
 * the kernels before and after it do. */
static LLVMValueRef emit_body(CgModule *m, const Depthwise *d)
{
    Cg cg;
    LLVMValueRef fn = cg_begin_body(&cg, m, d->s.f, "rows");
    LLVMValueRef panels = cg_term(&cg, d->panels), nr = cg_int(&cg, d->tile.nr);
    CgLoop item = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    CgAt at = {.panel = LLVMBuildURem(cg.b, item.i, panels, "")};
    at.col0 = cg_mul_int(&cg, at.panel, nr);
    at.col1 = cg_min_int(&cg, cg_add_int(&cg, at.col0, nr), cg_term(&cg, d->s.channels));
    at.k0 = cg_int(&cg, 0);
    at.n_k = cg_int(&cg, d->s.n_kernel);
    Row r = {.d = d, .row = LLVMBuildUDiv(cg.b, item.i, panels, ""), .first = at.col0};
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
    ScrtDtype y = sc_type_of(f->sub, n->first)->dtype;
    CgTypes types = {y, y, y, cg_filter_may_pack(f, filter), filter->dtype, f->trait};
    cg_tile_vector(m, &types, t);
    d->filter = filter;
    d->panels = sc_term_cdiv(m->cx, d->s.channels, sc_term(m->cx, t->nr));
    cg_filter_pack(m, f, t, filter);
    f->scratch_thread = sc_term(m->cx, ((int64_t)d->s.n_kernel + 3) / 4 * 4 * t->nr * t->size);
    LLVMValueRef body = emit_body(m, d);
    Cg cg;
    cg_begin_entry(&cg, m, f);
    LLVMValueRef work = cg_term(&cg, d->s.out[desc->n_spatial - 1]);
    work = cg_mul_int(&cg, work, cg_int(&cg, 2 * (int64_t)d->s.n_kernel + 8));
    cg_parallel(&cg, body, cg_term(&cg, sc_term_mul(m->cx, d->panels, d->s.rows)),
                cg_grain(&cg, work));
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "conv %s x %s%s: depthwise, vectors of %u channels",
                        scrt_dtype_name(sc_type_of(f->sub, n->in[0])->dtype),
                        scrt_dtype_name(filter->dtype), filter->packed ? " packed" : "", t->w);
    return true;
}
