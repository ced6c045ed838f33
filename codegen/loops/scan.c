/* SPDX-License-Identifier: Apache-2.0 */
/* SCAN kernels: a running sum or product along an axis, through the epilogue. Vectors lie across
 * the dims behind the axis, the column; each walks along the axis with what has been combined so
 * far in a register, so a result depends on neither width nor threads. Where nothing lies behind
 * the axis it is one element at a time. */
#include "codegen/loops/loops.h"

typedef struct Scan {
    CgFunc *f;
    CgEpi *epi;
    CgAccess x;
    ScrtDtype dtype; /* of operand and result */
    uint32_t rank;
    const ScTerm *dim[SCRT_MAX_RANK];
    ScScan what;
    uint32_t n_idx;                  /* dims before the column, the axis among them */
    const ScTerm *column;            /* elements */
    LLVMValueRef idx[SCRT_MAX_RANK]; /* [n_idx] of the row; that of the axis is set on the way */
} Scan;

static bool prepare(CgModule *m, Scan *k)
{
    const ScGraph *g = k->f->sub;
    const ScNode *n = sc_leader(g);
    const ScType *t = sc_type_of(g, n->in[0]);
    n->op->scan(g, n, &k->what);
    k->dtype = t->dtype;
    k->rank = t->rank;
    for (uint32_t d = 0; d < t->rank; d++)
        k->dim[d] = t->dim[d];
    k->epi = cg_epi_new(m, k->f, n);
    if (!k->epi || !cg_access(m, k->f, n->in[0], k->rank, k->dim, &k->x))
        return false;
    k->n_idx = k->what.axis + 1;
    while (k->n_idx + 1 < k->rank && !(cg_epi_mergeable(k->epi, k->n_idx) &&
                                       cg_merge(m, 1, &k->x, k->n_idx, k->rank, k->dim)))
        k->n_idx++;
    k->column = cg_product(m, k->n_idx, k->rank, k->dim);
    return true;
}

static void elements(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    Scan *k = arg;
    const ScScan *s = &k->what;
    ScrtDtype t = k->dtype;
    LLVMTypeRef v = cg_vec(cg_compute_type(cg->m, t), w);
    LLVMValueRef n = cg_term(cg, k->dim[s->axis]), last = cg_add_int(cg, n, cg_int(cg, -1));
    const ScTerm *step = cg_merged_stride(cg->m, &k->x, k->n_idx, k->rank, k->dim);
    LLVMValueRef var = cg_var(cg, v, NULL);
    cg_set(cg, var, cg_neutral(v, t, s->monoid));
    CgLoop l = cg_for(cg, cg_int(cg, 0), n, cg_int(cg, 1));
    k->idx[s->axis] = s->reverse ? LLVMBuildSub(cg->b, last, l.i, "") : l.i;
    LLVMValueRef at = cg_address(cg, &k->x, k->n_idx, k->idx);
    at = cg_add_int(cg, at, cg_mul_int(cg, i, cg_term(cg, step)));
    CgVal x = cg_access_load(cg, &k->x, at, step, w, mask);
    LLVMValueRef before = cg_get(cg, v, var);
    LLVMValueRef now = cg_combine(cg, s->monoid, t, before, x.v);
    cg_set(cg, var, now);
    CgEpiRow row = cg_epi_row(cg, k->epi, k->idx, k->n_idx);
    cg_epi_store(cg, k->epi, &row, i, s->exclusive ? before : now, w, mask);
    cg_next(cg, &l);
}

/* The dims that rows are counted over: those before the column without the axis. */
static uint32_t row_dims(const Scan *k, const ScTerm **ret)
{
    uint32_t n = 0;
    for (uint32_t d = 0; d < k->n_idx; d++)
        if (d != k->what.axis)
            ret[n++] = k->dim[d];
    return n;
}

static LLVMValueRef emit_body(CgModule *m, CgFunc *f, Scan *k)
{
    Cg cg;
    LLVMValueRef idx[SCRT_MAX_RANK];
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t n = row_dims(k, dim);
    LLVMValueRef body = cg_begin_body(&cg, m, f, "rows");
    CgLoop row = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    cg_unflatten(&cg, row.i, n, dim, idx);
    for (uint32_t d = 0, i = 0; d < k->n_idx; d++)
        k->idx[d] = d == k->what.axis ? NULL : idx[i++];
    if (k->n_idx == k->rank)
        elements(&cg, k, cg_int(&cg, 0), 1, NULL);
    else
        cg_lanes(&cg, cg_int(&cg, 0), cg_term(&cg, k->column), m->target.w, elements, k);
    cg_next(&cg, &row);
    cg_end_fn(&cg);
    return body;
}

static void shape(Scan *k, CgShape *s)
{
    cg_shape_nodes(k->f, s);
    cg_epi_shape(k->epi, s);
    cg_shape_access(k->f, s, &k->x);
    cg_shape_word(s, k->dtype);
    cg_shape_word(s, k->rank);
    cg_shape_terms(s, k->rank, k->dim);
    cg_shape_word(s, k->what.monoid);
    cg_shape_word(s, k->what.axis);
    cg_shape_word(s, (uint64_t)k->what.exclusive << 1 | k->what.reverse);
    cg_shape_word(s, k->n_idx);
    cg_shape_term(s, &k->column);
}

static bool plan(CgModule *m, CgFunc *f, CgShape *ret)
{
    Scan *k = sc_new(m->plans, Scan);
    k->f = f;
    f->loop = k;
    if (!prepare(m, k))
        return false;
    shape(k, ret);
    return true;
}

static bool emit(CgModule *m, CgFunc *f)
{
    Scan *k = f->loop;
    Cg cg;
    const ScTerm *dim[SCRT_MAX_RANK];
    LLVMValueRef body = emit_body(m, f, k);
    uint32_t n_dim = row_dims(k, dim);
    cg_begin_entry(&cg, m, f);
    const ScTerm *each = sc_term_mul(m->cx, k->column, k->dim[k->what.axis]);
    cg_parallel(&cg, body, cg_term(&cg, cg_product(m, 0, n_dim, dim)), cg_row_grain(&cg, each));
    cg_end_fn(&cg);
    f->what = sc_printf(m->arena, "scan: axis %u, %u lanes", k->what.axis,
                        k->n_idx == k->rank ? 1 : m->target.w);
    return true;
}

const CgClass cg_scan = {.plan = plan, .emit = emit};
