/* SPDX-License-Identifier: Apache-2.0 */
/* The products of an ATTENTION kernel for many rows: by the register tile, with keys and values
 * gathered into panels as they are met. */
#include "codegen/product/attention_priv.h"

void cg_attn_tiles_prepare(CgModule *m, const CgAttn *a)
{
    const CgTile *t[] = {&a->t1, &a->t2};
    for (uint32_t i = 0; i < 2; i++) {
        cg_tile_fn(m, t[i], t[i]->mr, false);
        if (t[i]->low)
            cg_tile_fn(m, t[i], t[i]->low, false);
    }
}

/* c (+)= a b for all rows: the tall tiles, then what is left, up to whole tiles. */
static void all_rows(Cg *cg, const CgTile *t, const CgAttnAt *at, LLVMValueRef a, LLVMValueRef b,
                     LLVMValueRef c, LLVMValueRef k, LLVMValueRef first)
{
    CgLoop r = cg_for(cg, cg_int(cg, 0), at->n_row, cg_int(cg, t->mr));
    const CgTileArgs arg = {.a = cg_gep(cg, t->el, a, cg_mul_int(cg, r.i, cg_int(cg, t->ks))),
                            .b = b,
                            .c = cg_gep(cg, t->el, c, cg_mul_int(cg, r.i, cg_int(cg, t->nr))),
                            .k = k,
                            .first = first};
    if (t->low) {
        LLVMValueRef left = LLVMBuildSub(cg->b, at->n_row, r.i, "");
        CgIf tail = cg_if(cg, LLVMBuildICmp(cg->b, LLVMIntSLE, left, cg_int(cg, t->low), ""));
        cg_tile_call(cg, t, t->low, &arg);
        cg_else(cg, &tail);
        cg_tile_call(cg, t, t->mr, &arg);
        cg_endif(cg, &tail);
    } else {
        cg_tile_call(cg, t, t->mr, &arg);
    }
    cg_next(cg, &r);
}

/* --- Queries ---------------------------------------------------------------------------------- */

/* Zeros in rows that the tiles reach beyond the last. */
static void pad_rows(Cg *cg, const CgTile *t, const CgAttn *a, const CgAttnAt *at,
                     LLVMValueRef base)
{
    LLVMValueRef mr = cg_int(cg, t->mr), ks = cg_int(cg, t->ks);
    LLVMValueRef end = cg_mul_int(cg, cg_cdiv_int(cg, at->n_row, mr), mr);
    CgLoop row = cg_for(cg, at->n_row, end, cg_int(cg, 1));
    CgLoop k = cg_for(cg, cg_int(cg, 0), ks, cg_int(cg, t->w));
    LLVMValueRef place = cg_add_int(cg, cg_mul_int(cg, row.i, ks), k.i);
    cg_attn_put(cg, a, LLVMConstNull(cg_vec(t->el, t->w)), cg_gep(cg, t->el, base, place));
    cg_next(cg, &k);
    cg_next(cg, &row);
}

static LLVMValueRef query_chunk(Cg *cg, const CgAttn *a, const CgAttnAt *at, LLVMValueRef e0)
{
    LLVMValueRef chunk = LLVMBuildUDiv(cg->b, e0, cg_int(cg, a->t1.kc), "");
    chunk = cg_mul_int(cg, chunk, cg_int(cg, (int64_t)a->room * a->t1.ks));
    return cg_gep(cg, a->t1.el, at->part[CG_ATTN_Q], chunk);
}

static CgLoop chunks(Cg *cg, const CgAttn *a, LLVMValueRef *ret_n)
{
    LLVMValueRef width = cg_term(cg, a->width), kc = cg_int(cg, a->t1.kc);
    CgLoop e = cg_for(cg, cg_int(cg, 0), cg_max_int(cg, width, cg_int(cg, 1)), kc);
    *ret_n = cg_min_int(cg, kc, LLVMBuildSub(cg->b, width, e.i, ""));
    return e;
}

void cg_attn_tiles_queries(Cg *cg, const CgAttn *a, const CgAttnAt *at)
{
    LLVMValueRef n, head, query;
    pad_rows(cg, &a->t2, a, at, at->part[CG_ATTN_P]);
    CgLoop e = chunks(cg, a, &n);
    LLVMValueRef base = query_chunk(cg, a, at, e.i);
    pad_rows(cg, &a->t1, a, at, base);
    CgLoop row = cg_for(cg, cg_int(cg, 0), at->n_row, cg_int(cg, 1));
    cg_attn_row(cg, a, at->head, cg_add_int(cg, at->row0, row.i), &head, &query);
    LLVMValueRef from = cg_address(cg, &a->q, 4, (LLVMValueRef[]){at->batch, head, query, e.i});
    LLVMValueRef dst = cg_mul_int(cg, row.i, cg_int(cg, a->t1.ks));
    cg_row_copy(cg, &a->t1, &a->q, from, a->q.stride[3], n, cg_gep(cg, a->t1.el, base, dst));
    cg_next(cg, &row);
    cg_next(cg, &e);
}

/* --- Panels ----------------------------------------------------------------------------------- */

/* n_k lines of a panel, of n_column columns, from address on. */
typedef struct Panel {
    const CgAttn *a;
    const CgTile *t;
    const CgAccess *x;
    LLVMValueRef address, dst, n_line, n_column;
    const ScTerm *line, *column; /* strides */
    LLVMValueRef now;            /* the line */
} Panel;

static LLVMValueRef from(Cg *cg, const Panel *p, LLVMValueRef line, LLVMValueRef column)
{
    LLVMValueRef at = cg_mul_int(cg, line, cg_term(cg, p->line));
    at = cg_add_int(cg, at, cg_mul_int(cg, column, cg_term(cg, p->column)));
    return cg_add_int(cg, p->address, at);
}

static LLVMValueRef to(Cg *cg, const Panel *p, LLVMValueRef line, LLVMValueRef column)
{
    LLVMValueRef at = cg_add_int(cg, cg_mul_int(cg, line, cg_int(cg, p->t->nr)), column);
    return cg_gep(cg, p->t->el, p->dst, at);
}

static void line_lanes(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Panel *p = arg;
    LLVMValueRef x = cg_attn_load(cg, p->a, p->x, from(cg, p, p->now, i), p->column, w, mask);
    cg_attn_put(cg, p->a, x, to(cg, p, p->now, i));
}

static void by_lines(Cg *cg, Panel *p)
{
    CgLoop line = cg_for(cg, cg_int(cg, 0), p->n_line, cg_int(cg, 1));
    p->now = line.i;
    cg_lanes(cg, cg_int(cg, 0), p->n_column, p->t->w, line_lanes, p);
    cg_next(cg, &line);
}

/* w columns from `column` on, w lines (or one) from `line` on, where a column's lines are
 * contiguous. What is beyond the last column repeats it: nobody looks at it. */
static void turn(Cg *cg, const Panel *p, LLVMValueRef line, LLVMValueRef column, uint32_t lines)
{
    LLVMValueRef v[64], last = LLVMBuildSub(cg->b, p->n_column, cg_int(cg, 1), "");
    uint32_t w = p->t->w;
    for (uint32_t i = 0; i < w; i++) {
        LLVMValueRef c = cg_min_int(cg, cg_add_int(cg, column, cg_int(cg, i)), last);
        v[i] = cg_attn_load(cg, p->a, p->x, from(cg, p, line, c), p->line, lines, NULL);
    }
    if (lines == 1) {
        LLVMValueRef row = LLVMGetUndef(cg_vec(p->t->el, w));
        for (uint32_t i = 0; i < w; i++)
            row = LLVMBuildInsertElement(cg->b, row, v[i], LLVMConstInt(cg->m->i32, i, 0), "");
        v[0] = row;
    } else {
        cg_turn(cg, v, w);
    }
    for (uint32_t i = 0; i < lines; i++)
        cg_attn_put(cg, p->a, v[i], to(cg, p, cg_add_int(cg, line, cg_int(cg, i)), column));
}

static void by_columns(Cg *cg, const Panel *p)
{
    LLVMValueRef zero = cg_int(cg, 0), w = cg_int(cg, p->t->w);
    LLVMValueRef whole = cg_mul_int(cg, LLVMBuildUDiv(cg->b, p->n_line, w, ""), w);
    CgLoop column = cg_for(cg, zero, p->n_column, w);
    CgLoop line = cg_for(cg, zero, whole, w);
    turn(cg, p, line.i, column.i, p->t->w);
    cg_next(cg, &line);
    line = cg_for(cg, whole, p->n_line, cg_int(cg, 1));
    turn(cg, p, line.i, column.i, 1);
    cg_next(cg, &line);
    cg_next(cg, &column);
}

/* --- The products ----------------------------------------------------------------------------- */

void cg_attn_tiles_scores(Cg *cg, const CgAttn *a, const CgAttnAt *at)
{
    const CgTile *t = &a->t1;
    LLVMValueRef nr = cg_int(cg, t->nr), n;
    /* a panel at least: of no keys its scores are not looked at */
    CgLoop j = cg_for(cg, cg_int(cg, 0), at->n_key, nr);
    CgLoop e = chunks(cg, a, &n);
    LLVMValueRef key = cg_add_int(cg, at->key0, j.i);
    Panel p = {.a = a, .t = t, .x = &a->k, .dst = at->part[CG_ATTN_KP]};
    p.address = cg_address(cg, &a->k, 4, (LLVMValueRef[]){at->batch, at->head, key, e.i});
    p.line = a->k.stride[3];
    p.column = a->k.stride[2];
    p.n_line = n;
    p.n_column = cg_min_int(cg, nr, LLVMBuildSub(cg->b, at->n_key, j.i, ""));
    if (sc_term_is(p.line, 1))
        by_columns(cg, &p);
    else
        by_lines(cg, &p);
    LLVMValueRef c = cg_mul_int(cg, j.i, cg_int(cg, a->room)); /* panel * room * nr */
    all_rows(cg, t, at, query_chunk(cg, a, at, e.i), p.dst,
             cg_gep(cg, t->el, at->part[CG_ATTN_S], c), n,
             LLVMBuildICmp(cg->b, LLVMIntEQ, e.i, cg_int(cg, 0), ""));
    cg_next(cg, &e);
    cg_next(cg, &j);
}

/* Earlier sums, brought down to the largest score so far. */
static void scale_down(Cg *cg, const CgAttn *a, const CgAttnAt *at, LLVMValueRef c)
{
    const CgTile *t = &a->t2;
    CgIf more = cg_if(cg, LLVMBuildNot(cg->b, at->first, ""));
    CgLoop row = cg_for(cg, cg_int(cg, 0), at->n_row, cg_int(cg, 1));
    LLVMValueRef f = cg_attn_get(cg, a, cg_gep(cg, t->el, at->part[CG_ATTN_FACTOR], row.i), 1);
    f = cg_splat(cg, f, t->w);
    for (uint32_t i = 0; i < t->nv; i++) {
        LLVMValueRef place = cg_mul_int(cg, row.i, cg_int(cg, t->nr));
        LLVMValueRef ptr = cg_gep(cg, t->el, c, cg_add_int(cg, place, cg_int(cg, i * t->w)));
        cg_attn_put(cg, a, LLVMBuildFMul(cg->b, cg_attn_get(cg, a, ptr, t->w), f, ""), ptr);
    }
    cg_next(cg, &row);
    cg_endif(cg, &more);
}

void cg_attn_tiles_sums(Cg *cg, const CgAttn *a, const CgAttnAt *at)
{
    const CgTile *t = &a->t2;
    LLVMValueRef nr = cg_int(cg, t->nr), width = cg_term(cg, a->out_width);
    CgLoop j = cg_for(cg, cg_int(cg, 0), width, nr);
    Panel p = {.a = a, .t = t, .x = &a->v, .dst = at->part[CG_ATTN_VP]};
    p.address = cg_address(cg, &a->v, 4, (LLVMValueRef[]){at->batch, at->head, at->key0, j.i});
    p.line = a->v.stride[2];
    p.column = a->v.stride[3];
    p.n_line = at->n_key;
    p.n_column = cg_min_int(cg, nr, LLVMBuildSub(cg->b, width, j.i, ""));
    by_lines(cg, &p);
    LLVMValueRef c = cg_mul_int(cg, j.i, cg_int(cg, a->room));
    c = cg_gep(cg, t->el, at->part[CG_ATTN_O], c);
    scale_down(cg, a, at, c);
    all_rows(cg, t, at, at->part[CG_ATTN_P], p.dst, c, at->n_key, at->first);
    cg_next(cg, &j);
}
