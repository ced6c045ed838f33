/* SPDX-License-Identifier: Apache-2.0 */
/* CONTRACT with few rows: time goes into reading B. Several panels are read side by side, because
 * one stream does not use the memory's bandwidth, decoded in registers and used at once for every
 * row; the sums stay in registers for a chunk of k. Panels of an item lie a quarter of the matrix
 * apart, so that from item to item each stream goes on where it was: streams that are as short as
 * neighbouring panels were read at 60 to 70 % of this rate. Each element's sum is made in the order
 * of the tiles: upward in k in one chain, or in parts; where blocks of rows have scales, those of a
 * block are added up first, and their sum is scaled once.
 *
 * Where decoded numbers are a power of two too small (cg_unit_small), rows of A are made larger by
 * it in the place of them: products are the same, exactly, as long as no element of A becomes
 * infinite. What type A has tells, or all of its elements are looked at. Beside blocks of codes of
 * 4 bits rows of A become integers (whole.c), if all of their elements are finite. */
#include "codegen/product/contract_priv.h"

#include <math.h>

enum {
    GROUP = 4,    /* panels of an item */
    AHEAD = 2048, /* bytes to prefetch ahead in each stream */
    LINE = 64,    /* bytes that one prefetch brings */
    S_A = 0,
    S_W,
    S_STEP,
    S_SCALE,
    S_SCALE_STEP,
    S_C,
    S_UNITS,
    S_FIRST,
    N_PARAM,
};

/* Vectors of a row of a panel. */
static uint32_t row_vecs(const CgTile *t)
{
    return t->nr / t->w;
}

uint32_t cg_stream_panels(CgModule *m, const CgContract *c, uint32_t rows)
{
    /* Decoding needs registers too, and so do parts of sums; panels of a level with wider vectors
     * leave it fewer. */
    bool wide = m->target.n_reg > 16;
    uint32_t n = GROUP, sums = wide ? 16 : c->tile.parts > 1 ? 8 : 6;
    if (c->panels.block)
        sums = wide ? 10 : cg_whole(m, c) ? 8 : 4;
    sums /= c->tile.micro->part ? 2 : 1;
    while (n > 1 && n * row_vecs(&c->tile) * rows > sums)
        n /= 2;
    return n;
}

static const ScTerm *a_bytes(CgModule *m, const CgContract *c)
{
    ScCtx *cx = m->cx;
    const ScTerm *k = sc_term_max(cx, c->k, sc_term(cx, 1));
    const ScTerm *chunks = sc_term_cdiv(cx, k, sc_term(cx, c->tile.kc));
    return sc_term_scale(cx, chunks, (int64_t)CG_STREAM_ROWS * c->tile.ks * c->tile.a.size);
}

const ScTerm *cg_stream_scratch(CgModule *m, const CgContract *c)
{
    int64_t acc = (int64_t)CG_STREAM_ROWS * GROUP * c->tile.nr * c->tile.size;
    return sc_term_addc(m->cx, a_bytes(m, c), acc);
}

/* What is done with rows of A first. */
typedef struct Prepared {
    uint32_t left; /* they are made larger by this power of two, so that numbers of B need not be */
    uint32_t whole; /* they become integers of so many bits; 0: not */
    bool each;      /* nothing, and weights are scaled each, in the place of a block's sum */
} Prepared;

static Prepared prepared(CgModule *m, const CgContract *c)
{
    bool plain = c->tile.micro->way == CG_UNIT_PLAIN && c->tile.el == m->f32;
    uint32_t whole = cg_whole(m, c);
    return (Prepared){.left = plain && !whole ? cg_unit_small(&c->panels.unit) : 0, .whole = whole};
}

/* Up to which power of two rows may hold numbers with which that can be done: what is enlarged
 * stays finite, and so does the sum of a block before it is scaled (codes are below 2^16, blocks
 * have 2^12 of them). */
static int largest_exp(const CgContract *c, const Prepared *p)
{
    int most = 128 - (int)p->left;
    return c->panels.block && most > 100 ? 100 : most;
}

/* Whether there may be rows beyond. Type A's infinity does no harm where nothing depends on it. */
static bool may_not_be(const CgContract *c, const Prepared *p)
{
    const ScrtFormat *f = scrt_format(sc_type_of(c->f->sub, c->node->in[0])->dtype);
    bool fits = f && f->max < ldexp(1, largest_exp(c, p));
    bool f32 = LLVMGetTypeKind(c->tile.a.type) == LLVMFloatTypeKind;
    return (c->panels.block && f32) || (p->left && !fits);
}

/* --- The function: rows x panels, for one chunk ----------------------------------------------- */

/* void (ptr a, ptr packed, i64 step, ptr scales, i64 step, ptr c, i64 units, i1 first): panels, and
 * those of scales, lie their step apart in bytes. */
static LLVMTypeRef stream_type(CgModule *m)
{
    LLVMTypeRef p[N_PARAM] = {m->t_ptr, m->t_ptr, m->i64, m->t_ptr,
                              m->i64,   m->t_ptr, m->i64, m->i1};
    return LLVMFunctionType(m->t_void, p, N_PARAM, 0);
}

typedef struct Stream {
    const CgContract *c;
    CgPanels panel; /* c->panels, or the same with a unit that leaves numbers small */
    uint32_t whole; /* see Prepared */
    bool each;
    uint32_t rows, panels;
    uint32_t nv;                             /* vectors of a row of a panel */
    LLVMValueRef acc[64];                    /* [row][panel][nv] variables */
    LLVMValueRef part[64];                   /* of each, where sums are made in parts or blocks */
    LLVMValueRef scale[GROUP * CG_ROW_VECS]; /* [panel][nv] of the block, where there are blocks */
} Stream;

static LLVMValueRef sum_address(Cg *cg, const Stream *s, uint32_t r, uint32_t p, uint32_t j)
{
    const CgTile *t = &s->c->tile;
    uint32_t at = r * GROUP * t->nr + p * t->nr + j * t->w;
    return cg_gep(cg, t->el, LLVMGetParam(cg->fn, S_C), cg_int(cg, at));
}

static bool has_parts(const Stream *s)
{
    return s->c->tile.micro->part || (s->c->panels.block && !s->each);
}

/* Of a part. */
static LLVMTypeRef sums_type(Cg *cg, const Stream *s)
{
    return s->whole ? cg_whole_sums(cg->m, s->c) : cg_tile_sums(&s->c->tile);
}

/* Into the second cache: the first one can wait for a few lines only, and these would be the ones
 * that are far ahead. */
static void ask_ahead(Cg *cg, const CgPanels *q, LLVMValueRef panel, LLVMValueRef unit)
{
    LLVMValueRef here = cg_mul_int(cg, unit, cg_int(cg, cg_unit_bytes(q)));
    for (int64_t line = 0; line < cg_unit_bytes(q); line += LINE) {
        LLVMValueRef ahead = cg_add_int(cg, here, cg_int(cg, AHEAD + line));
        cg_prefetch(cg, cg_gep(cg, cg->m->i8, panel, ahead), 2);
    }
}

static LLVMValueRef panel_of(Cg *cg, uint32_t p)
{
    LLVMValueRef at = cg_mul_int(cg, LLVMGetParam(cg->fn, S_STEP), cg_int(cg, p));
    return cg_gep(cg, cg->m->i8, LLVMGetParam(cg->fn, S_W), at);
}

/* One unit of each panel, for all rows. */
static void stream_unit(Cg *cg, const Stream *s, LLVMValueRef unit)
{
    const CgPanels *q = &s->panel;
    const CgTile *t = &s->c->tile;
    LLVMTypeRef vec = cg_tile_sums(t);
    LLVMValueRef k = cg_mul_int(cg, unit, cg_int(cg, q->ku));
    for (uint32_t p = 0; p < s->panels; p++) {
        LLVMValueRef x[CG_UNIT_VECS], panel = panel_of(cg, p);
        ask_ahead(cg, q, panel, unit);
        cg_unit_load(cg, q, panel, unit, x);
        cg_unit_numbers(cg, q, t->b.type, x);
        for (uint32_t i = 0; s->each && i < q->ku * s->nv; i++)
            x[i] = LLVMBuildFMul(cg->b, x[i], s->scale[p * s->nv + i % s->nv], "");
        for (uint32_t i = 0; i < q->ku / t->ku * s->rows; i++) {
            uint32_t r = i % s->rows, kk = i / s->rows;
            LLVMValueRef col =
                cg_add_int(cg, k, cg_int(cg, (int64_t)r * t->ks + (int64_t)kk * t->ku));
            LLVMValueRef from = cg_gep(cg, t->a.type, LLVMGetParam(cg->fn, S_A), col);
            LLVMValueRef a = cg_tile_group(cg, t, from, t->w);
            for (uint32_t j = 0; j < s->nv; j++) {
                uint32_t to = (r * s->panels + p) * s->nv + j;
                LLVMValueRef acc = has_parts(s) ? s->part[to] : s->acc[to];
                LLVMValueRef sum = cg_get(cg, vec, acc);
                cg_set(cg, acc, cg_tile_mac(cg, t, a, x[kk * s->nv + j], sum));
            }
        }
    }
}

/* The same where rows are integers, of as many units as fit a line; `at`: of them in the block. */
static void stream_integers(Cg *cg, const Stream *s, const LLVMValueRef *row, LLVMValueRef at,
                            LLVMValueRef first, uint32_t units)
{
    const CgPanels *q = &s->panel;
    LLVMValueRef panel[GROUP], pair[CG_STREAM_ROWS][2], x[CG_UNIT_VECS];
    for (uint32_t p = 0; p < s->panels; p++) {
        panel[p] = panel_of(cg, p);
        ask_ahead(cg, q, panel[p], first);
    }
    for (uint32_t u = 0; u < units; u++) {
        LLVMValueRef unit = cg_add_int(cg, first, cg_int(cg, u));
        LLVMValueRef bytes = cg_mul_int(cg, unit, cg_int(cg, cg_unit_bytes(q)));
        for (uint32_t r = 0; r < s->rows; r++)
            cg_whole_pairs(cg, s->c, row[r], cg_add_int(cg, at, cg_int(cg, u)), pair[r]);
        for (uint32_t p = 0; p < s->panels; p++) {
            LLVMValueRef from = cg_gep(cg, cg->m->i8, panel[p], bytes);
            (s->whole == 8 ? cg_unit_whole8 : cg_unit_whole)(cg, &q->unit, from, x);
            for (uint32_t r = 0; r < s->rows; r++)
                cg_whole_add(cg, s->c, pair[r], x, u, s->part + (r * s->panels + p) * s->nv);
        }
    }
}

static void load_sums(Cg *cg, Stream *s, bool load)
{
    const CgTile *t = &s->c->tile;
    LLVMTypeRef vec = cg_vec(t->el, t->w);
    for (uint32_t i = 0; i < s->rows * s->panels * s->nv; i++) {
        uint32_t j = i % s->nv, p = i / s->nv % s->panels, r = i / s->nv / s->panels;
        LLVMValueRef at = sum_address(cg, s, r, p, j), x;
        if (load)
            cg_set(cg, s->acc[i], x = LLVMBuildLoad2(cg->b, vec, at, ""));
        else
            x = LLVMBuildStore(cg->b, cg_get(cg, vec, s->acc[i]), at);
        LLVMSetAlignment(x, t->size * t->w);
    }
}

/* Rows that are added up before they are scaled; 0: sums are not made in parts. */
static uint32_t part_rows(const Stream *s)
{
    const CgPanels *q = &s->c->panels;
    const CgTile *t = &s->c->tile;
    return s->whole ? cg_whole_len(s->c) : q->block ? q->block : t->micro->part ? t->deep : 0;
}

static void load_scales(Cg *cg, Stream *s, LLVMValueRef block)
{
    const CgPanels *q = &s->c->panels;
    if (q->block > part_rows(s))
        block = LLVMBuildUDiv(cg->b, block, cg_int(cg, q->block / part_rows(s)), "");
    LLVMValueRef at = cg_mul_int(cg, block, cg_int(cg, cg_scales_bytes(q)));
    for (uint32_t p = 0; p < s->panels; p++) {
        LLVMValueRef step = LLVMGetParam(cg->fn, S_SCALE_STEP);
        LLVMValueRef here = cg_add_int(cg, at, cg_mul_int(cg, step, cg_int(cg, p)));
        here = cg_gep(cg, cg->m->i8, LLVMGetParam(cg->fn, S_SCALE), here);
        cg_scales_load(cg, q, here, s->scale + (size_t)p * s->nv);
    }
}

/* Parts begin. row: where a block of integers begins in each row. */
static void begin_parts(Cg *cg, const Stream *s, const LLVMValueRef *row)
{
    uint32_t n = s->panels * s->nv;
    for (uint32_t i = 0; i < s->rows * n; i += s->whole ? s->nv : 1)
        if (s->whole)
            cg_whole_begin(cg, s->c, row[i / n], s->part + i);
        else
            cg_set(cg, s->part[i], LLVMConstNull(sums_type(cg, s)));
}

/* They are added to their sums, times their block's scales. */
static void end_parts(Cg *cg, const Stream *s, const LLVMValueRef *row)
{
    const CgTile *t = &s->c->tile;
    LLVMTypeRef vec = cg_vec(t->el, t->w);
    uint32_t n = s->panels * s->nv;
    for (uint32_t i = 0; i < s->rows * n; i++) {
        LLVMValueRef acc = cg_get(cg, vec, s->acc[i]), part = NULL;
        if (s->whole)
            acc = cg_whole_end(cg, s->c, row[i / n], s->part + i / s->nv * s->nv, i % s->nv,
                               s->scale[i % n], acc);
        else
            part = cg_get(cg, sums_type(cg, s), s->part[i]);
        if (part && t->micro->part)
            acc = LLVMBuildFAdd(cg->b, acc, t->micro->part(cg, part), "");
        else if (part)
            acc = cg_fma(cg, part, s->scale[i % n], acc);
        cg_set(cg, s->acc[i], acc);
    }
}

/* Units from .. to, n at a time and up to a multiple of it, which is returned. */
static LLVMValueRef each_unit(Cg *cg, const Stream *s, const LLVMValueRef *row, LLVMValueRef begin,
                              LLVMValueRef from, LLVMValueRef to, uint32_t n)
{
    LLVMValueRef step = cg_int(cg, n), left = LLVMBuildSub(cg->b, to, from, "");
    if (n > 1)
        to = cg_add_int(cg, from, cg_mul_int(cg, LLVMBuildUDiv(cg->b, left, step, ""), step));
    CgLoop unit = cg_for(cg, from, to, step);
    if (s->whole)
        stream_integers(cg, s, row, LLVMBuildSub(cg->b, unit.i, begin, ""), unit.i, n);
    else
        stream_unit(cg, s, unit.i);
    cg_next(cg, &unit);
    return to;
}

/* Units from .. to of a block or the part of one that is added up at once. */
static void stream_block(Cg *cg, Stream *s, LLVMValueRef block, LLVMValueRef from, LLVMValueRef to)
{
    const CgTile *t = &s->c->tile;
    LLVMValueRef row[CG_STREAM_ROWS] = {0}, begin = from;
    for (uint32_t r = 0; s->whole && r < s->rows; r++) {
        LLVMValueRef at = cg_int(cg, (int64_t)r * t->ks);
        row[r] = cg_gep(cg, t->a.type, LLVMGetParam(cg->fn, S_A), at);
        row[r] = cg_whole_block(cg, s->c, row[r], block);
    }
    if (s->each)
        load_scales(cg, s, block);
    else
        begin_parts(cg, s, row);
    if (s->whole)
        from = each_unit(cg, s, row, begin, from, to, LINE / (uint32_t)cg_unit_bytes(&s->panel));
    each_unit(cg, s, row, begin, from, to, 1);
    if (s->each)
        return;
    if (s->c->panels.block)
        load_scales(cg, s, block);
    end_parts(cg, s, row);
}

/* All units, block by block where there are scales or the tile's sums are made in parts. */
static void stream_units(Cg *cg, Stream *s, LLVMValueRef units)
{
    const uint32_t rows = part_rows(s);
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1);
    LLVMValueRef per = cg_int(cg, rows / s->c->panels.ku);
    if (!rows) {
        each_unit(cg, s, NULL, zero, zero, units, 1);
        return;
    }
    CgLoop block = cg_for(cg, zero, cg_cdiv_int(cg, units, per), one);
    LLVMValueRef from = cg_mul_int(cg, block.i, per);
    stream_block(cg, s, block.i, from, cg_min_int(cg, units, cg_add_int(cg, from, per)));
    cg_next(cg, &block);
}

static LLVMValueRef stream_fn(CgModule *m, const CgContract *c, uint32_t rows, uint32_t panels,
                              const Prepared *a)
{
    const CgTile *t = &c->tile;
    const CgUnit *u = &c->panels.unit;
    const char *name =
        sc_printf(m->arena, "stream_%s_%s_%s%u_%u%s%u_%ux%ux%u_%u_%u_%u_%s", t->micro->name,
                  scrt_dtype_name(u->dtype), cg_unit_name(u), u->facts, a->left,
                  a->whole == 8 ? "bytes"
                  : a->whole    ? "words"
                  : a->each     ? "each"
                                : "",
                  a->whole ? cg_whole_len(c) : 0, rows, panels, t->nr, t->size, t->ks,
                  c->panels.block, cg_scale_name(&c->panels));
    name = cg_shared_name(m, name);
    LLVMValueRef fn = LLVMGetNamedFunction(m->mod, name);
    if (fn)
        return fn;
    Cg cg;
    fn = cg_begin_fn(&cg, m, NULL, name, stream_type(m));
    LLVMTypeRef vec = cg_vec(t->el, t->w);
    Stream s = {.c = c,
                .panel = c->panels,
                .whole = a->whole,
                .each = a->each,
                .rows = rows,
                .panels = panels,
                .nv = row_vecs(t)};
    s.panel.unit.left = a->left;
    for (uint32_t i = 0; i < rows * panels * s.nv; i++) {
        s.acc[i] = cg_var(&cg, vec, LLVMConstNull(vec));
        s.part[i] = has_parts(&s) ? cg_var(&cg, sums_type(&cg, &s), NULL) : NULL;
    }
    CgIf more = cg_if(&cg, LLVMBuildNot(cg.b, LLVMGetParam(fn, S_FIRST), ""));
    load_sums(&cg, &s, true);
    cg_endif(&cg, &more);
    stream_units(&cg, &s, LLVMGetParam(fn, S_UNITS));
    load_sums(&cg, &s, false);
    cg_end_fn(&cg);
    return fn;
}

/* Both of the functions: the second is for rows with which nothing was done. NULL: there are none.
 */
static void stream_fns(CgModule *m, const CgContract *c, uint32_t rows, uint32_t panels,
                       LLVMValueRef ret[2])
{
    Prepared p = prepared(m, c);
    ret[0] = stream_fn(m, c, rows, panels, &p);
    ret[1] = NULL;
    if (may_not_be(c, &p))
        ret[1] = stream_fn(m, c, rows, panels, &(Prepared){.each = c->panels.block != 0});
}

/* --- The body: items are groups of panels ---------------------------------------------------- */

static LLVMValueRef groups(Cg *cg, const CgContract *c)
{
    return cg_cdiv_int(cg, cg_term(cg, c->n), cg_int(cg, (int64_t)GROUP * c->tile.nr));
}

typedef struct Chunk {
    const CgContract *c;
    CgAt *at;
    LLVMValueRef index;
    LLVMValueRef panel, step, n_panel; /* of the group: its first, and how far apart they are */
    LLVMValueRef large;                /* i1: rows are as they were; NULL: they never are */
} Chunk;

/* Of the group's panel number p. */
static LLVMValueRef panel_at(Cg *cg, const Chunk *k, LLVMValueRef p)
{
    return cg_add_int(cg, k->panel, cg_mul_int(cg, p, k->step));
}

/* Panels begin .. end of the group, n at a time. */
static LLVMValueRef stream_panels(Cg *cg, const Chunk *k, uint32_t rows, uint32_t n,
                                  LLVMValueRef begin)
{
    const CgContract *c = k->c;
    const CgTile *t = &c->tile;
    LLVMValueRef whole = k->n_panel, arg[N_PARAM];
    if (n > 1) {
        LLVMValueRef step = cg_int(cg, n);
        whole = cg_mul_int(cg, LLVMBuildUDiv(cg->b, whole, step, ""), step);
    }
    LLVMValueRef row = cg_mul_int(cg, k->index, cg_int(cg, (int64_t)CG_STREAM_ROWS * t->ks));
    CgLoop p = cg_for(cg, begin, whole, cg_int(cg, n));
    arg[S_A] = cg_gep(cg, t->a.type, k->at->a, row);
    LLVMValueRef panel = panel_at(cg, k, p.i), apart = k->step;
    LLVMValueRef scales = cg_panel_scales(cg, c, panel, k->at->k0);
    arg[S_W] = cg_packed_panel(cg, c, k->at->outer, panel, k->at->k0);
    arg[S_SCALE] = scales ? scales : LLVMConstNull(cg->m->t_ptr);
    arg[S_SCALE_STEP] = cg_mul_int(cg, apart, cg_int(cg, scales ? cg_panel_bytes(&c->scales) : 0));
    arg[S_STEP] = cg_mul_int(cg, apart, cg_int(cg, cg_panel_bytes(&c->panels)));
    arg[S_C] = cg_gep(cg, t->el, k->at->c, cg_mul_int(cg, p.i, cg_int(cg, t->nr)));
    arg[S_UNITS] = cg_cdiv_int(cg, k->at->n_k, cg_int(cg, c->panels.ku));
    arg[S_FIRST] = LLVMBuildICmp(cg->b, LLVMIntEQ, k->index, cg_int(cg, 0), "");
    LLVMValueRef fn[2];
    stream_fns(cg->m, c, rows, n, fn);
    if (fn[1])
        fn[0] = LLVMBuildSelect(cg->b, k->large, fn[1], fn[0], "");
    LLVMBuildCall2(cg->b, stream_type(cg->m), fn[0], arg, N_PARAM, "");
    cg_next(cg, &p);
    return whole;
}

static void stream_chunk(Cg *cg, const Chunk *k, uint32_t rows)
{
    uint32_t n = cg_stream_panels(cg->m, k->c, rows);
    LLVMValueRef begin = cg_int(cg, 0);
    if (n > 1)
        begin = stream_panels(cg, k, rows, n, begin);
    stream_panels(cg, k, rows, 1, begin);
}

/* A row of a chunk, in scratch or on its way there. */
typedef struct Row {
    LLVMValueRef i, at;
} Row;
typedef void (*RowFn)(Cg *cg, const CgContract *c, const CgAt *at, const Row *row, void *arg);

static void each_row(Cg *cg, const CgContract *c, CgAt *at, LLVMValueRef chunks, RowFn fn,
                     void *arg)
{
    const CgTile *t = &c->tile;
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), kc = cg_int(cg, t->kc);
    CgLoop chunk = cg_for(cg, zero, chunks, one);
    at->k0 = cg_mul_int(cg, chunk.i, kc);
    at->n_k = cg_min_int(cg, kc, LLVMBuildSub(cg->b, cg_term(cg, c->k), at->k0, ""));
    CgLoop row = cg_for(cg, zero, at->n_row, one);
    LLVMValueRef line = cg_mul_int(cg, chunk.i, cg_int(cg, CG_STREAM_ROWS));
    line = cg_mul_int(cg, cg_add_int(cg, line, row.i), cg_int(cg, t->ks));
    fn(cg, c, at, &(Row){row.i, cg_gep(cg, t->a.type, at->a, line)}, arg);
    cg_next(cg, &row);
    cg_next(cg, &chunk);
}

/* The vectors of f32 of a row, with the zeros that fill up the last one. */
static CgLoop vectors(Cg *cg, const CgContract *c, const CgAt *at, const Row *row,
                      LLVMValueRef *ret_at)
{
    LLVMValueRef w = cg_int(cg, c->tile.w);
    CgLoop i = cg_for(cg, cg_int(cg, 0), cg_cdiv_int(cg, at->n_k, w), cg_int(cg, 1));
    *ret_at = cg_gep(cg, cg->m->f32, row->at, cg_mul_int(cg, i.i, w));
    return i;
}

static LLVMValueRef load_f32(Cg *cg, const CgContract *c, LLVMValueRef at)
{
    LLVMValueRef x = LLVMBuildLoad2(cg->b, cg_vec(cg->m->f32, c->tile.w), at, "");
    LLVMSetAlignment(x, 4);
    return x;
}

static void prepare_row(Cg *cg, const CgContract *c, const CgAt *at, const Row *row, void *arg)
{
    const Prepared *p = arg;
    LLVMValueRef ptr;
    if (p->whole) {
        cg_whole_row(cg, c, at->n_k, row->at);
        return;
    }
    CgLoop i = vectors(cg, c, at, row, &ptr);
    LLVMValueRef x = load_f32(cg, c, ptr);
    x = LLVMBuildFMul(cg->b, x, cg_fconst(LLVMTypeOf(x), ldexp(1, (int)p->left)), "");
    LLVMSetAlignment(LLVMBuildStore(cg->b, x, ptr), 4);
    cg_next(cg, &i);
}

/* arg: where the largest bits of each lane are. */
static void measure_row(Cg *cg, const CgContract *c, const CgAt *at, const Row *row, void *arg)
{
    LLVMValueRef ptr, most = arg;
    LLVMTypeRef bits = cg_vec(cg->m->i32, c->tile.w);
    CgLoop i = vectors(cg, c, at, row, &ptr);
    LLVMValueRef x = LLVMBuildBitCast(cg->b, load_f32(cg, c, ptr), bits, "");
    x = cg_and(cg, x, INT32_MAX);
    LLVMValueRef was = cg_get(cg, bits, most);
    LLVMValueRef above = LLVMBuildICmp(cg->b, LLVMIntUGT, x, was, "");
    cg_set(cg, most, LLVMBuildSelect(cg->b, above, x, was, ""));
    cg_next(cg, &i);
}

static void copy_row(Cg *cg, const CgContract *c, const CgAt *at, const Row *row, void *arg)
{
    (void)arg;
    cg_contract_a_row(cg, &c->job, at, row->i, row->at);
}

/* All rows of A, once for each matrix, prepared where they may be; large: see Chunk, a variable. */
static void fill_rows(Cg *cg, const CgContract *c, CgAt *at, LLVMValueRef chunks,
                      LLVMValueRef large)
{
    Prepared p = prepared(cg->m, c);
    each_row(cg, c, at, chunks, copy_row, NULL);
    if (!p.left && !p.whole && !large)
        return;
    CgIf fits = {0};
    if (large) {
        LLVMTypeRef bits = cg_vec(cg->m->i32, c->tile.w);
        LLVMValueRef most = cg_var(cg, bits, LLVMConstNull(bits));
        cg_set(cg, most, LLVMConstNull(bits));
        each_row(cg, c, at, chunks, measure_row, most);
        LLVMValueRef limit = cg_iconst(bits, (int64_t)(largest_exp(c, &p) + 127) << 23);
        LLVMValueRef x = LLVMBuildICmp(cg->b, LLVMIntUGE, cg_get(cg, bits, most), limit, "");
        LLVMTypeRef mask = LLVMIntTypeInContext(cg->m->ctx, c->tile.w);
        x = LLVMBuildICmp(cg->b, LLVMIntNE, LLVMBuildBitCast(cg->b, x, mask, ""),
                          LLVMConstNull(mask), "");
        cg_set(cg, large, x);
        fits = cg_if(cg, LLVMBuildNot(cg->b, x, ""));
    }
    if (p.left || p.whole)
        each_row(cg, c, at, chunks, prepare_row, &p);
    if (large)
        cg_endif(cg, &fits);
}

/* Group g of whole ones has panels g, g + whole, g + 2 whole ..; the last one has those left over,
 * which are neighbours. */
static void choose_panels(Cg *cg, Chunk *k, LLVMValueRef group)
{
    const CgContract *c = k->c;
    LLVMBuilderRef b = cg->b;
    LLVMValueRef per = cg_int(cg, GROUP), nr = cg_int(cg, c->tile.nr), one = cg_int(cg, 1);
    LLVMValueRef panels = cg_cdiv_int(cg, cg_term(cg, c->n), nr);
    LLVMValueRef whole = LLVMBuildUDiv(b, panels, per, ""), first = cg_mul_int(cg, group, per);
    LLVMValueRef is_whole = LLVMBuildICmp(b, LLVMIntSLT, group, whole, "");
    k->panel = LLVMBuildSelect(b, is_whole, group, first, "");
    k->step = LLVMBuildSelect(b, is_whole, whole, one, "");
    k->n_panel = cg_min_int(cg, per, LLVMBuildSub(b, panels, first, ""));
}

/* The sums of all rows and panels into the result. */
static void finish_group(Cg *cg, const Chunk *k)
{
    const CgTile *t = &k->c->tile;
    CgAt at = *k->at;
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), nr = cg_int(cg, t->nr);
    CgLoop row = cg_for(cg, zero, at.n_row, one);
    LLVMValueRef line = cg_mul_int(cg, row.i, cg_int(cg, (int64_t)GROUP * t->nr));
    CgLoop p = cg_for(cg, zero, k->n_panel, one);
    at.col0 = cg_mul_int(cg, panel_at(cg, k, p.i), nr);
    at.col1 = cg_min_int(cg, cg_add_int(cg, at.col0, nr), cg_term(cg, k->c->n));
    LLVMValueRef sum = cg_add_int(cg, line, cg_mul_int(cg, p.i, nr));
    cg_contract_finish(cg, &k->c->job, &at, 1, row.i, cg_gep(cg, t->el, at.c, sum));
    cg_next(cg, &p);
    cg_next(cg, &row);
}

static void stream_item(Cg *cg, const CgContract *c, CgAt *at, LLVMValueRef group,
                        LLVMValueRef chunks, LLVMValueRef large)
{
    LLVMValueRef zero = cg_int(cg, 0), one = cg_int(cg, 1), kc = cg_int(cg, c->tile.kc);
    int64_t known;
    bool fixed = sc_term_const(c->job.rows, &known);
    Chunk k = {.c = c, .at = at, .large = large ? cg_get(cg, cg->m->i1, large) : NULL};
    choose_panels(cg, &k, group);
    CgLoop chunk = cg_for(cg, zero, chunks, one);
    k.index = chunk.i;
    at->k0 = cg_mul_int(cg, chunk.i, kc);
    at->n_k = cg_min_int(cg, kc, LLVMBuildSub(cg->b, cg_term(cg, c->k), at->k0, ""));
    for (uint32_t rows = 1; rows <= CG_STREAM_ROWS; rows++) {
        if (fixed && rows != known)
            continue;
        CgIf i = {0};
        if (!fixed)
            i = cg_if(cg, LLVMBuildICmp(cg->b, LLVMIntEQ, at->n_row, cg_int(cg, rows), ""));
        stream_chunk(cg, &k, rows);
        if (!fixed)
            cg_endif(cg, &i);
    }
    cg_next(cg, &chunk);
    finish_group(cg, &k);
}

LLVMValueRef cg_stream_body(CgModule *m, const CgContract *c)
{
    int64_t known;
    bool fixed = sc_term_const(c->job.rows, &known);
    for (uint32_t rows = 1; rows <= CG_STREAM_ROWS; rows++) {
        if (fixed && rows != known)
            continue;
        LLVMValueRef fn[2];
        stream_fns(m, c, rows, 1, fn);
        stream_fns(m, c, rows, cg_stream_panels(m, c, rows), fn);
    }
    Cg cg;
    LLVMValueRef fn = cg_begin_body(&cg, m, c->f, "stream");
    LLVMValueRef scratch = cg_scratch_thread(&cg), n = groups(&cg, c), one = cg_int(&cg, 1);
    LLVMValueRef chunks = cg_cdiv_int(&cg, cg_term(&cg, c->k), cg_int(&cg, c->tile.kc));
    LLVMValueRef none = LLVMBuildICmp(cg.b, LLVMIntEQ, chunks, cg_int(&cg, 0), "");
    chunks = LLVMBuildSelect(cg.b, none, one, chunks, "");
    CgAt at = {.a = scratch,
               .c = cg_gep(&cg, m->i8, scratch, cg_term(&cg, a_bytes(m, c))),
               .row0 = cg_int(&cg, 0),
               .n_row = cg_term(&cg, c->job.rows)};
    LLVMValueRef seen = cg_var(&cg, m->i64, cg_int(&cg, -1));
    Prepared p = prepared(m, c);
    LLVMValueRef large = may_not_be(c, &p) ? cg_var(&cg, m->i1, LLVMConstNull(m->i1)) : NULL;
    CgLoop item = cg_for(&cg, cg.begin, cg.end, one);
    LLVMValueRef group = LLVMBuildURem(cg.b, item.i, n, "");
    at.outer = LLVMBuildUDiv(cg.b, item.i, n, "");
    LLVMValueRef was = cg_get(&cg, m->i64, seen);
    CgIf fresh = cg_if(&cg, LLVMBuildICmp(cg.b, LLVMIntNE, was, at.outer, ""));
    cg_set(&cg, seen, at.outer);
    fill_rows(&cg, c, &at, chunks, large);
    cg_endif(&cg, &fresh);
    stream_item(&cg, c, &at, group, chunks, large);
    cg_next(&cg, &item);
    cg_end_fn(&cg);
    return fn;
}

void cg_stream_run(Cg *cg, const CgContract *c, LLVMValueRef body)
{
    LLVMValueRef items = cg_mul_int(cg, groups(cg, c), cg_term(cg, c->job.outer));
    LLVMValueRef clocks =
        cg_mul_int(cg, cg_term(cg, c->k), cg_int(cg, (int64_t)3 * GROUP * row_vecs(&c->tile)));
    cg_parallel(cg, body, items, cg_grain(cg, clocks));
}
