/* SPDX-License-Identifier: Apache-2.0 */
/* Convolutions in which each channel is a group of its own, channels last: vectors of channels, the
 * weights packed as panels of one vector, the sums of positions in registers. Where windows lie in
 * x along the last dim, neighbours of a row are computed together, line by line of the window: they
 * share the line's weights and what they have in common of x, which are loaded once.
 *
 * What x stores in 8 bits is decoded first where windows overlap: one of 3 x 3 would decode each
 * number 4.5 times, which takes longer than its products. So items are a few rows of one vector of
 * channels, and the lines of x under them lie in scratch, as f32, as long as they last. */
#include "codegen/product/filter.h"
#include "codegen/product/slide.h"

typedef struct Depthwise {
    CgSlide s;  /* its x has the strides of what is read: of lines in scratch where they are used */
    CgAccess x; /* of x itself */
    int64_t some; /* rows of an item; 0: x is read itself, by items of one row */
    CgTile tile;  /* el, size, w, nv, nr: of one vector */
    const CgFilter *filter;
    const ScTerm *panels;
} Depthwise;

/* --- One row of the result ------------------------------------------------------------------- */

typedef struct Row {
    const Depthwise *d;
    LLVMValueRef row, first, weights; /* first: the vector's first channel */
    LLVMValueRef lines, skip;         /* in scratch; what x's address is there too large by */
} Row;

typedef struct Lanes { /* a vector of channels */
    const Row *r;
    LLVMValueRef i, mask, acc; /* first channel; the sum of one position */
    uint32_t w;
} Lanes;

/* All lanes of a vector lie there, beyond the last channel too. */
static LLVMValueRef load_line(Cg *cg, const Lanes *l, LLVMValueRef address)
{
    const CgTile *t = &l->r->d->tile;
    LLVMValueRef at = cg_gep(cg, t->el, l->r->lines, cg_add_int(cg, address, l->i));
    LLVMValueRef x = LLVMBuildLoad2(cg->b, cg_vec(t->el, l->w), at, "");
    LLVMSetAlignment(x, t->size);
    return x;
}

static LLVMValueRef load_x(Cg *cg, const Lanes *l, LLVMValueRef address)
{
    const CgAccess *x = &l->r->d->s.x;
    if (l->r->lines)
        return load_line(cg, l, address);
    const ScTerm *stride = x->stride[x->rank - 1];
    LLVMValueRef at = cg_add_int(cg, address, cg_mul_int(cg, l->i, cg_term(cg, stride)));
    CgVal y = cg_access_load(cg, x, at, stride, l->w, l->mask);
    return cg_number(cg, l->r->d->tile.el, y, l->w);
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
    if (r->lines)
        row.first = LLVMBuildSub(cg->b, row.first, r->skip, "");
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

/* --- Some rows, x decoded first --- */

enum {
    LINES_BYTES = 24 << 10, /* beside what else the first cache holds */
    LEAST_ROWS = 4,
    MOST_ROWS = 64,
    MOST_WINDOW = 32, /* extents, strides and dilations */
};

/* Lines of x under n rows, in a window that is not large. */
static int64_t lines_under(const Depthwise *d, int64_t n)
{
    const ScWindow *w = &d->s.desc;
    return (n - 1) * w->stride[0] + (w->kernel[0] - 1) * w->dilation[0] + 1;
}

static int64_t line_bytes(const Depthwise *d, int64_t width)
{
    return width * d->tile.nr * d->tile.size;
}

/* As many rows as the cache has room for. */
static int64_t rows_at_once(const Depthwise *d)
{
    int64_t width = 0, n = LEAST_ROWS;
    if (sc_term_const(d->s.in[1], &width) && width <= LINES_BYTES)
        while (line_bytes(d, width) * lines_under(d, n + 1) <= LINES_BYTES && n < MOST_ROWS)
            n++;
    return n;
}

/* Elements of a line that NEIGHBOURS windows read, each once. */
static int64_t columns_under(const ScWindow *w)
{
    bool read[(NEIGHBOURS + MOST_WINDOW) * MOST_WINDOW] = {false};
    int64_t n = 0;
    for (int64_t c = 0; c < NEIGHBOURS; c++)
        for (int64_t k = 0; k < w->kernel[1]; k++) {
            bool *at = &read[c * w->stride[1] + k * w->dilation[1]];
            n += !*at;
            *at = true;
        }
    return n;
}

/* Whether fewer elements are decoded so: of NEIGHBOURS spots of some rows, the lines under them. */
static bool reads_lines(const Depthwise *d)
{
    const ScWindow *w = &d->s.desc;
    const ScrtDtype t = sc_type_of(d->s.f->sub, d->s.node->in[0])->dtype;
    if (w->n_spatial != 2 || !scrt_dtype_is_float(t) || scrt_dtype_bits(t) != 8 ||
        d->tile.size != 4 || w->kernel[1] > CG_SLIDE_UNROLL)
        return false;
    for (uint32_t i = 0; i < 2; i++)
        if (w->kernel[i] > MOST_WINDOW || w->stride[i] > MOST_WINDOW ||
            w->dilation[i] > MOST_WINDOW)
            return false;
    int64_t n = rows_at_once(d);
    return lines_under(d, n) * NEIGHBOURS * w->stride[1] < n * w->kernel[0] * columns_under(w);
}

static void plan_lines(CgModule *m, Depthwise *d)
{
    CgAccess *x = &d->s.x;
    d->some = rows_at_once(d);
    const ScTerm *line = sc_term_scale(m->cx, d->s.in[1], d->tile.nr);
    const ScTerm *const stride[] = {sc_term(m->cx, 0), line, sc_term(m->cx, d->tile.nr),
                                    sc_term(m->cx, 1)};
    for (uint32_t i = 0; i < x->rank; i++)
        x->stride[i] = stride[i];
    x->offset = sc_term(m->cx, 0);
}

/* Scratch: the weights, then the lines. */
static int64_t weights_bytes(const Depthwise *d)
{
    return ((int64_t)d->s.n_kernel + 3) / 4 * 4 * d->tile.nr * d->tile.size;
}

static const ScTerm *scratch(CgModule *m, const Depthwise *d)
{
    ScCtx *cx = m->cx;
    if (!d->some)
        return sc_term(cx, weights_bytes(d));
    const ScTerm *lines = sc_term_min(cx, sc_term(cx, lines_under(d, d->some)), d->s.in[0]);
    lines = sc_term_mul(cx, lines, sc_term_scale(cx, d->s.in[1], line_bytes(d, 1)));
    return sc_term_addc(cx, lines, weights_bytes(d));
}

typedef struct Position { /* of x, on its way to scratch */
    const Depthwise *d;
    LLVMValueRef address, to, first;
} Position;

static void decode_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Position *p = arg;
    const ScTerm *stride = p->d->x.stride[3];
    LLVMValueRef at = cg_add_int(cg, p->address, cg_mul_int(cg, i, cg_term(cg, stride)));
    LLVMValueRef x = cg_access_load(cg, &p->d->x, at, stride, w, mask).v;
    LLVMValueRef to = cg_gep(cg, p->d->tile.el, p->to, LLVMBuildSub(cg->b, i, p->first, ""));
    LLVMSetAlignment(LLVMBuildStore(cg->b, x, to), p->d->tile.size);
}

/* Columns of a line from .. to - 1, n at a time; all: each has all channels of the panel. x, ret:
 * where its first column lies, in x and in scratch. */
static LLVMValueRef decode_columns(Cg *cg, const Depthwise *d, const CgAt *at, LLVMValueRef x,
                                   LLVMValueRef ret, LLVMValueRef from, uint32_t n, bool all)
{
    const uint32_t nr = d->tile.nr, w = d->tile.w;
    LLVMValueRef to = cg_term(cg, d->s.in[1]), by = cg_int(cg, n);
    to = LLVMBuildSub(cg->b, to, LLVMBuildURem(cg->b, to, by, ""), "");
    CgLoop column = cg_for(cg, from, to, by);
    for (uint32_t c = 0; c < n; c++) {
        LLVMValueRef k = cg_add_int(cg, column.i, cg_int(cg, c));
        LLVMValueRef at_x = cg_add_int(cg, x, cg_mul_int(cg, k, cg_term(cg, d->x.stride[2])));
        LLVMValueRef at_ret = cg_gep(cg, d->tile.el, ret, cg_mul_int(cg, k, cg_int(cg, nr)));
        Position p = {.d = d, .address = at_x, .to = at_ret, .first = at->col0};
        for (uint32_t j = 0; j < nr && all; j += w)
            decode_lanes(cg, &p, cg_add_int(cg, at->col0, cg_int(cg, j)), w, NULL);
        if (!all)
            cg_lanes(cg, at->col0, at->col1, w, decode_lanes, &p);
    }
    cg_next(cg, &column);
    return to;
}

/* Lines from .. to - 1 of an image. */
static void decode_lines(Cg *cg, const Depthwise *d, const CgAt *at, LLVMValueRef image,
                         LLVMValueRef from, LLVMValueRef to, LLVMValueRef lines)
{
    enum { COLUMNS = 4 };
    LLVMValueRef zero = cg_int(cg, 0), stride = cg_term(cg, d->s.x.stride[1]);
    LLVMValueRef n = LLVMBuildSub(cg->b, at->col1, at->col0, "");
    LLVMValueRef all = LLVMBuildICmp(cg->b, LLVMIntEQ, n, cg_int(cg, d->tile.nr), "");
    CgLoop line = cg_for(cg, from, to, cg_int(cg, 1));
    LLVMValueRef idx[2] = {image, line.i}, x = cg_address(cg, &d->x, 2, idx);
    n = cg_mul_int(cg, LLVMBuildSub(cg->b, line.i, from, ""), stride);
    LLVMValueRef ret = cg_gep(cg, d->tile.el, lines, n);
    CgIf i = cg_if(cg, all);
    LLVMValueRef left = decode_columns(cg, d, at, x, ret, zero, COLUMNS, true);
    decode_columns(cg, d, at, x, ret, left, 1, true);
    cg_else(cg, &i);
    decode_columns(cg, d, at, x, ret, zero, 1, false);
    cg_endif(cg, &i);
    cg_next(cg, &line);
}

/* Line `line` of the window over row `row`, as far as it lies in x. */
static LLVMValueRef line_under(Cg *cg, const Depthwise *d, LLVMValueRef row, int64_t line)
{
    const ScWindow *w = &d->s.desc;
    LLVMValueRef x = cg_mul_int(cg, row, cg_int(cg, w->stride[0]));
    x = LLVMBuildSub(cg->b, x, cg_term(cg, w->pad_begin[0]), "");
    x = cg_max_int(cg, cg_add_int(cg, x, cg_int(cg, line)), cg_int(cg, 0));
    return cg_min_int(cg, x, cg_term(cg, d->s.in[0]));
}

/* Number `piece` of the pieces of some rows that images fall into. */
static void some_rows(Cg *cg, Row *r, const CgAt *at, LLVMValueRef piece)
{
    const Depthwise *d = r->d;
    const ScWindow *w = &d->s.desc;
    LLVMBuilderRef b = cg->b;
    LLVMValueRef height = cg_term(cg, d->s.out[0]), some = cg_int(cg, d->some);
    LLVMValueRef pieces = cg_cdiv_int(cg, height, some), one = cg_int(cg, 1);
    LLVMValueRef image = LLVMBuildUDiv(b, piece, pieces, "");
    LLVMValueRef first = cg_mul_int(cg, LLVMBuildURem(b, piece, pieces, ""), some);
    LLVMValueRef end = cg_min_int(cg, cg_add_int(cg, first, some), height);
    LLVMValueRef from = line_under(cg, d, first, 0);
    LLVMValueRef to =
        line_under(cg, d, LLVMBuildSub(b, end, one, ""), (w->kernel[0] - 1) * w->dilation[0] + 1);
    r->lines = cg_gep(cg, cg->m->i8, cg_scratch_thread(cg), cg_int(cg, weights_bytes(d)));
    r->skip = cg_add_int(cg, cg_mul_int(cg, from, cg_term(cg, d->s.x.stride[1])), at->col0);
    decode_lines(cg, d, at, image, from, to, r->lines);
    CgLoop row = cg_for(cg, first, end, one);
    r->row = cg_add_int(cg, cg_mul_int(cg, image, height), row.i);
    cg_lanes(cg, at->col0, at->col1, d->tile.w, row_lanes, r);
    cg_next(cg, &row);
}

/* --- The kernel ------------------------------------------------------------------------------ */

/* Items are vectors of channels of a row, or of some, row by row: a thread works on rows that lie
 * together, as the kernels before and after it do. */
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
    if (d->some)
        some_rows(&cg, &r, &at, r.row);
    else
        cg_lanes(&cg, at.col0, at.col1, d->tile.w, row_lanes, &r);
    cg_next(&cg, &item);
    cg_end_fn(&cg);
    return fn;
}

/* Rows of the result, or pieces of some. */
static const ScTerm *pieces(CgModule *m, const Depthwise *d)
{
    if (!d->some)
        return d->s.rows;
    return sc_term_mul(m->cx, d->s.batch,
                       sc_term_cdiv(m->cx, d->s.out[0], sc_term(m->cx, d->some)));
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
    d->x = d->s.x;
    if (reads_lines(d))
        plan_lines(m, d);
    f->scratch_thread = scratch(m, d);
    LLVMValueRef body = emit_body(m, d);
    Cg cg;
    cg_begin_entry(&cg, m, f);
    LLVMValueRef work = cg_term(&cg, d->s.out[desc->n_spatial - 1]);
    int64_t each = (2 * (int64_t)d->s.n_kernel + 8) * (d->some ? d->some : 1);
    work = cg_mul_int(&cg, work, cg_int(&cg, each));
    cg_parallel(&cg, body, cg_term(&cg, sc_term_mul(m->cx, d->panels, pieces(m, d))),
                cg_grain(&cg, work));
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "conv %s x %s%s: depthwise, vectors of %u channels%s",
                        scrt_dtype_name(sc_type_of(f->sub, n->in[0])->dtype),
                        scrt_dtype_name(filter->dtype), filter->packed ? " packed" : "", t->w,
                        d->some ? ", lines decoded first" : "");
    return true;
}
