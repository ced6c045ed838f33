/* SPDX-License-Identifier: Apache-2.0 */
/* CONTRACT: out[.., m, n] = sum over k of A[.., m, k] * B[.., k, n], and an epilogue.
 *
 * A constant B is packed into panels in its stored format; any other B is gathered into a panel as
 * it is met. Up to CG_STREAM_ROWS rows the panels are streamed (stream.c), beyond that tiled
 * (tile.c), both through matrix.c. Where B has no batch of its own, A's batch is more rows. */
#include "codegen/product/contract_priv.h"

#include <string.h>

/* --- What is to be computed ------------------------------------------------------------------ */

/* The space of an operand is the result's batch, then its own one or two dims. The access gets the
 * dims [batch.., first, second] of the comment above; a missing one has stride 0. */
static bool operand_access(CgModule *m, CgContract *c, uint32_t operand, bool trans, bool is_a,
                           CgAccess *ret)
{
    ScVal v = c->node->in[operand];
    const ScType *t = sc_type_of(c->f->sub, v);
    const ScTerm *dim[SCRT_MAX_RANK], *zero = sc_term(m->cx, 0);
    uint32_t own = t->rank < 2 ? 1 : 2, nb = c->nb;
    if (nb + 2 > SCRT_MAX_RANK)
        return sc_fail(m->cx, c->node->loc, SC_E_LOWER, "%s: rank", c->node->op->name);
    for (uint32_t i = 0; i < nb; i++)
        dim[i] = c->batch[i];
    for (uint32_t i = 0; i < own; i++)
        dim[nb + i] = t->dim[t->rank - own + i];
    bool packed = !is_a && c->desc.block;
    if (!(packed ? cg_access_packed : cg_access)(m, c->f, v, nb + own, dim, ret))
        return false;
    const ScTerm *first = ret->stride[nb], *second = ret->stride[nb + 1];
    if (own == 1) {
        second = is_a ? first : zero;
        first = is_a ? zero : first;
    } else if (trans) {
        const ScTerm *swap = first;
        first = second;
        second = swap;
    }
    ret->rank = nb + 2;
    ret->stride[nb] = first;
    ret->stride[nb + 1] = second;
    return true;
}

static void extents(CgModule *m, CgContract *c)
{
    const ScGraph *sub = c->f->sub;
    const ScType *a = sc_type_of(sub, c->node->in[0]), *b = sc_type_of(sub, c->node->in[1]);
    const ScType *r = sc_type_of(sub, c->node->first);
    c->node->op->contract(sub, c->node, &c->desc);
    c->has_m = a->rank > 1;
    c->has_n = b->rank > 1;
    c->nb = r->rank - c->has_m - c->has_n;
    for (uint32_t i = 0; i < c->nb; i++)
        c->batch[i] = r->dim[i];
    c->m = c->has_m ? r->dim[c->nb] : sc_term(m->cx, 1);
    c->n = c->has_n ? r->dim[c->nb + c->has_m] : sc_term(m->cx, 1);
    c->k = a->rank < 2 ? a->dim[0] : a->dim[a->rank - (c->desc.trans_a ? 2 : 1)];
    if (c->desc.block) /* of a constant */
        c->k = b->dim[c->desc.trans_b];
}

/* --- Constant B ------------------------------------------------------------------------------ */

uint32_t cg_uses(const ScGraph *g, ScVal v)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t j = 0; j < g->node[i].n_in; j++)
            n += g->node[i].in[j] == v;
    return n;
}

/* True where B is a constant that nothing else in the kernel reads, with constant strides. */
static bool may_pack(const CgContract *c)
{
    const CgAccess *b = &c->b;
    int64_t x;
    if (b->operand < 0 || !c->f->const_in[b->operand])
        return false;
    if (cg_uses(c->f->sub, b->root) != 1 || cg_uses(c->f->sub, c->node->in[1]) != 1)
        return false;
    for (uint32_t i = 0; i < c->nb + 2; i++)
        if (!sc_term_const(b->stride[i], &x) || (i < c->nb && x && !sc_term_const(c->batch[i], &x)))
            return false;
    return sc_term_const(b->offset, &x) && sc_term_const(c->k, &x) && sc_term_const(c->n, &x);
}

static void describe_panels(CgModule *m, CgContract *c, ScrtDtype dtype)
{
    CgPanels *p = &c->panels;
    cg_panels_init(m, dtype, (uint32_t)c->f->trait, &c->tile, p);
    sc_term_const(c->k, &p->k);
    sc_term_const(c->n, &p->n);
    sc_term_const(c->b.offset, &p->offset);
    sc_term_const(c->b.stride[c->nb], &p->k_stride);
    sc_term_const(c->b.stride[c->nb + 1], &p->n_stride);
    for (uint32_t i = 0; i < c->nb; i++) {
        int64_t stride;
        sc_term_const(c->b.stride[i], &stride);
        if (!stride)
            continue;
        sc_term_const(c->batch[i], &p->batch[p->n_batch]);
        p->batch_stride[p->n_batch++] = stride;
    }
}

/* The scales of B's blocks, [k / block, n] or that transposed, in panels beside B's. */
static bool describe_scales(CgModule *m, CgContract *c)
{
    ScView view;
    ScVal root;
    const ScVal v = c->node->in[c->desc.scales];
    CgPanels *p = &c->scales;
    if (!cg_view_of(m, c->f, v, &view, &root) || cg_uses(c->f->sub, v) != 1)
        return false;
    for (c->scale_operand = 0; c->f->sub->in[c->scale_operand] != root; c->scale_operand++)
        if (c->scale_operand + 1 == c->f->n_in)
            return false;
    const ScrtDtype t = sc_type_of(c->f->sub, v)->dtype;
    cg_panels_init(m, t, 0, &c->tile, p);
    bool trans = c->desc.trans_b;
    if (!c->f->const_in[c->scale_operand] || !sc_term_const(view.dim[trans], &p->k) ||
        !sc_term_const(view.dim[!trans], &p->n) || !sc_term_const(view.offset, &p->offset) ||
        !sc_term_const(view.stride[trans], &p->k_stride) ||
        !sc_term_const(view.stride[!trans], &p->n_stride))
        return false;
    c->panels.block = (uint32_t)c->desc.block;
    c->panels.scale = t;
    c->panels.scale_facts = (uint32_t)(c->f->trait >> 32);
    c->f->pack[c->scale_operand] = cg_panels_pack(m, p);
    return true;
}

static LLVMValueRef packed_panel(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef *ret_off)
{
    const CgContract *c = j->self;
    (void)ret_off;
    LLVMValueRef src = cg_packed_panel(cg, c, at->outer, at->panel, at->k0);
    LLVMValueRef scales = cg_panel_scales(cg, c, at->panel, at->k0);
    return cg_panel_values(cg, &c->panels, &c->tile, src, scales, at->n_k, at->b);
}

static LLVMValueRef packed_ahead(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef *ret)
{
    const CgContract *c = j->self;
    LLVMValueRef row, src = cg_packed_panel(cg, c, at->outer, at->panel, at->k0);
    *ret = cg_panel_end(cg, &c->panels, src, at->n_k, &row);
    return row;
}

/* --- Any other B ----------------------------------------------------------------------------- */

typedef struct Gather {
    const CgContract *c;
    const CgAt *at;
    LLVMValueRef address; /* of row k0, column 0 */
    LLVMValueRef line;    /* the row of the panel, or the column */
} Gather;

static LLVMValueRef element_address(Cg *cg, const Gather *g, LLVMValueRef k, LLVMValueRef n)
{
    const CgContract *c = g->c;
    LLVMValueRef sk = cg_term(cg, c->b.stride[c->nb]), sn = cg_term(cg, c->b.stride[c->nb + 1]);
    LLVMValueRef at = cg_add_int(cg, g->address, cg_mul_int(cg, k, sk));
    return cg_add_int(cg, at, cg_mul_int(cg, n, sn));
}

static void put(Cg *cg, const Gather *g, LLVMValueRef x, LLVMValueRef k, LLVMValueRef n)
{
    const CgTile *t = &g->c->tile;
    LLVMValueRef at = cg_add_int(cg, cg_mul_int(cg, k, cg_int(cg, t->nr)), n);
    LLVMValueRef s = LLVMBuildStore(cg->b, x, cg_gep(cg, t->b.type, g->at->b, at));
    LLVMSetAlignment(s, t->b.size);
}

static void gather_row(Cg *cg, void *arg, LLVMValueRef n, uint32_t w, LLVMValueRef mask)
{
    const Gather *g = arg;
    const CgContract *c = g->c;
    LLVMValueRef at = element_address(cg, g, g->line, n);
    CgVal x = cg_access_load(cg, &c->b, at, c->b.stride[c->nb + 1], w, mask);
    x.v = cg_number(cg, c->tile.b.type, x, w);
    put(cg, g, x.v, g->line, LLVMBuildSub(cg->b, n, g->at->col0, ""));
}

/* Lanes outside the mask go to rows after the chunk's last, for which there is room. */
static void gather_column(Cg *cg, void *arg, LLVMValueRef k, uint32_t w, LLVMValueRef mask)
{
    const Gather *g = arg;
    const CgContract *c = g->c;
    LLVMValueRef at = element_address(cg, g, k, g->line);
    CgVal x = cg_access_load(cg, &c->b, at, c->b.stride[c->nb], w, mask);
    LLVMValueRef n = LLVMBuildSub(cg->b, g->line, g->at->col0, "");
    x.v = cg_number(cg, c->tile.b.type, x, w);
    for (uint32_t i = 0; i < w; i++) {
        LLVMValueRef lane = cg_iconst(cg->m->i32, i);
        LLVMValueRef y = w == 1 ? x.v : LLVMBuildExtractElement(cg->b, x.v, lane, "");
        put(cg, g, y, cg_add_int(cg, k, cg_int(cg, i)), n);
    }
}

static LLVMValueRef gathered_panel(Cg *cg, const CgJob *j, const CgAt *at, LLVMValueRef *ret_off)
{
    const CgContract *c = j->self;
    (void)ret_off;
    LLVMValueRef idx[SCRT_MAX_RANK], zero = cg_int(cg, 0), one = cg_int(cg, 1);
    Gather g = {.c = c, .at = at};
    if (c->flat)
        for (uint32_t i = 0; i < c->nb; i++)
            idx[i] = zero; /* B's strides there are 0 */
    else
        cg_unflatten(cg, at->outer, c->nb, c->batch, idx);
    g.address = cg_address(cg, &c->b, c->nb, idx);
    g.address = cg_add_int(cg, g.address, cg_mul_int(cg, at->k0, cg_term(cg, c->b.stride[c->nb])));
    bool rows = sc_term_is(c->b.stride[c->nb + 1], 1) || !sc_term_is(c->b.stride[c->nb], 1);
    CgLoop l = rows ? cg_for(cg, zero, at->n_k, one) : cg_for(cg, at->col0, at->col1, one);
    g.line = l.i;
    if (rows)
        cg_lanes(cg, at->col0, at->col1, c->tile.w, gather_row, &g);
    else
        cg_lanes(cg, zero, at->n_k, c->tile.w, gather_column, &g);
    cg_next(cg, &l);
    return at->b;
}

/* --- The kernel ------------------------------------------------------------------------------ */

static void plan_job(CgModule *m, CgContract *c)
{
    ScCtx *cx = m->cx;
    const ScTerm *one = sc_term(cx, 1), *batch = one;
    c->flat = true;
    for (uint32_t i = 0; i < c->nb; i++) {
        batch = sc_term_mul(cx, batch, c->batch[i]);
        c->flat = c->flat && sc_term_is(c->b.stride[i], 0);
    }
    c->job = (CgJob){
        .f = c->f,
        .outer = c->flat ? one : batch,
        .inner = one,
        .rows = c->flat ? sc_term_mul(cx, batch, c->m) : c->m,
        .cols = c->n,
        .depth = c->k,
        .self = c,
        .a_row = cg_contract_a_row,
        .ask = cg_epi_waits(c->epi, c->nb + c->has_m) ? cg_contract_ask : NULL,
        .finish = cg_contract_finish,
        .epi = c->epi,
    };
}

static bool plan_b(CgModule *m, CgContract *c)
{
    CgJob *j = &c->job;
    const ScType *t = sc_type_of(c->f->sub, c->node->in[1]);
    ScrtDtype result = sc_type_of(c->f->sub, c->node->first)->dtype;
    c->packed = may_pack(c);
    CgTypes types = {sc_type_of(c->f->sub, c->node->in[0])->dtype,
                     t->dtype,
                     result,
                     c->packed,
                     t->dtype,
                     (uint32_t)c->f->trait,
                     cg_whole_units(c)};
    if (c->desc.block)
        types.b = result; /* times its scale */
    cg_tile_init(m, &types, j->rows, j->cols, j->depth, &c->tile);
    if (c->desc.block)
        cg_tile_chunk(&c->tile, (uint32_t)c->desc.block);
    if (c->packed)
        describe_panels(m, c, t->dtype);
    if (c->desc.block && !(c->packed && describe_scales(m, c)))
        return sc_fail(m->cx, c->node->loc, SC_E_LOWER, "blocks of what is no constant");
    j->tile = c->tile;
    cg_tile_columns(&m->target, &j->tile);
    j->panel = c->packed ? packed_panel : gathered_panel;
    j->ahead = c->packed ? packed_ahead : NULL;
    j->b_bytes = sc_term(m->cx, (int64_t)(c->tile.kc + c->tile.w) * c->tile.nr * c->tile.b.size);
    if (c->packed)
        c->f->pack[c->b.operand] = cg_panels_pack(m, &c->panels);
    return true;
}

static void describe(CgModule *m, const CgContract *c, bool stream, bool tiles)
{
    ScStr s = {0};
    const ScGraph *sub = c->f->sub;
    sc_str_addf(&s, "contract %s x %s%s: ", scrt_dtype_name(sc_type_of(sub, c->node->in[0])->dtype),
                scrt_dtype_name(sc_type_of(sub, c->node->in[1])->dtype),
                c->packed ? " packed" : "");
    int64_t rows = 1;
    sc_term_const(c->job.rows, &rows);
    if (stream)
        sc_str_addf(&s, "%sstream %u panels of %u%s", tiles ? "rows <= 3 " : "",
                    cg_stream_panels(m, c, rows > 1 ? (uint32_t)rows : 1), c->tile.nr,
                    tiles ? "; else " : "");
    if (tiles)
        sc_str_addf(&s, "tile %ux%u%s, kc %u", c->tile.mr, c->tile.nv * c->tile.w,
                    c->tile.micro->text, c->tile.kc);
    if (c->packed && c->panels.unit.way != CG_UNIT_PLAIN)
        sc_str_addf(&s, "; decode by %s", cg_unit_name(&c->panels.unit));
    if (stream && cg_whole(m, c))
        sc_str_addf(&s, ", few rows as integers of %u bits", c->desc.a_bits);
    c->f->what = sc_str_keep(&s, m->arena);
}

static void emit_entry(CgModule *m, CgContract *c, LLVMValueRef stream, LLVMValueRef tiles)
{
    Cg cg;
    cg_begin_entry(&cg, m, c->f);
    if (stream && tiles) {
        LLVMValueRef few = LLVMBuildICmp(cg.b, LLVMIntSLE, cg_term(&cg, c->job.rows),
                                         cg_int(&cg, CG_STREAM_ROWS), "");
        CgIf i = cg_if(&cg, few);
        cg_stream_run(&cg, c, stream);
        cg_else(&cg, &i);
        cg_job_run(&cg, &c->job, tiles);
        cg_endif(&cg, &i);
    } else if (stream) {
        cg_stream_run(&cg, c, stream);
    } else {
        cg_job_run(&cg, &c->job, tiles);
    }
    cg_end_fn(&cg);
}

static bool emit(CgModule *m, CgFunc *f)
{
    CgContract *c = sc_new(m->arena, CgContract);
    c->f = f;
    c->node = sc_leader(f->sub);
    extents(m, c);
    for (uint32_t i = 0; i < (c->desc.block ? 1u : 2u); i++)
        if (!cg_type_ok(m, c->node->loc, sc_type_of(f->sub, c->node->in[i])->dtype))
            return false;
    if (!operand_access(m, c, 0, c->desc.trans_a, true, &c->a) ||
        !operand_access(m, c, 1, c->desc.trans_b, false, &c->b))
        return false;
    c->epi = cg_epi_new(m, f, c->node);
    if (!c->epi)
        return false;
    plan_job(m, c);
    if (!plan_b(m, c))
        return false;

    int64_t rows;
    bool known = sc_term_const(c->job.rows, &rows);
    bool few = c->packed && (!known || rows <= CG_STREAM_ROWS);
    bool many = !few || !known;
    if (many && c->packed)
        cg_panel_prepare(m, &c->panels, &c->tile);
    f->scratch_thread = sc_term(m->cx, 0);
    if (few)
        f->scratch_thread = cg_stream_scratch(m, c);
    if (many)
        f->scratch_thread = sc_term_max(m->cx, f->scratch_thread, cg_job_scratch(m, &c->job));
    LLVMValueRef stream = few ? cg_stream_body(m, c) : NULL;
    LLVMValueRef tiles = many ? cg_job_body(m, &c->job) : NULL;
    describe(m, c, few, many);
    emit_entry(m, c, stream, tiles);
    return true;
}

/* What is known of the codes of B, and 32 bits above of those of its scales. */
static uint64_t trait(CgModule *m, const CgFunc *f)
{
    const ScNode *n = sc_leader(f->sub);
    ScContract desc;
    n->op->contract(f->sub, n, &desc);
    uint64_t scales = desc.block ? cg_operand_facts(m, f, n->in[desc.scales]) : 0;
    return cg_operand_facts(m, f, n->in[1]) | scales << 32;
}

const CgClass cg_contract = {.trait = trait, .emit = emit};
