/* SPDX-License-Identifier: Apache-2.0 */
/* CONCAT kernels: each operand is copied into its place, one parallel loop an operand, through the
 * epilogue; but for those that are in their place already (program/places.c). Rows are the dims
 * before the axis, or more where an operand cannot be walked as one. */
#include "codegen/loops/loops.h"

typedef struct Part { /* one operand */
    const CgEpi *epi;
    CgAccess access;
    const ScType *type;
    uint32_t axis, n_idx; /* indices before the column */
    const ScTerm *offset; /* of the operand along the axis */
    const ScTerm *inner;  /* elements of its column */
    const ScTerm *skip;   /* where its column begins in the result's */
    CgEpiRow row;
    LLVMValueRef at;
} Part;

static void elements(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Part *p = arg;
    const ScTerm *s = cg_merged_stride(cg->m, &p->access, p->n_idx, p->type->rank, p->type->dim);
    LLVMValueRef at = cg_add_int(cg, p->at, cg_mul_int(cg, i, cg_term(cg, s)));
    CgVal x = cg_access_load(cg, &p->access, at, s, w, mask);
    LLVMValueRef col = cg_add_int(cg, i, cg_term(cg, p->skip));
    cg_epi_store_val(cg, p->epi, &p->row, col, x, w, mask);
}

static bool prepare(CgModule *m, CgFunc *f, Part *p, ScVal v)
{
    p->type = sc_type_of(f->sub, v);
    if (!cg_access(m, f, v, p->type->rank, p->type->dim, &p->access))
        return false;
    p->n_idx = p->axis;
    while (p->n_idx + 1 < p->type->rank &&
           !(cg_epi_mergeable(p->epi, p->n_idx) &&
             cg_merge(m, 1, &p->access, p->n_idx, p->type->rank, p->type->dim)))
        p->n_idx++;
    p->inner = cg_product(m, p->n_idx, p->type->rank, p->type->dim);
    p->skip = sc_term(m->cx, 0);
    if (p->n_idx == p->axis) {
        p->skip = p->offset;
        for (uint32_t d = p->axis + 1; d < p->type->rank; d++)
            p->skip = sc_term_mul(m->cx, p->skip, p->type->dim[d]);
    }
    return true;
}

static LLVMValueRef emit_part(CgModule *m, CgFunc *f, Part *p, uint32_t i)
{
    Cg cg;
    LLVMValueRef idx[SCRT_MAX_RANK];
    LLVMValueRef body = cg_begin_body(&cg, m, f, sc_printf(m->arena, "%u", i));
    CgLoop row = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    cg_unflatten(&cg, row.i, p->n_idx, p->type->dim, idx);
    p->at = cg_address(&cg, &p->access, p->n_idx, idx);
    if (p->n_idx > p->axis)
        idx[p->axis] = cg_add_int(&cg, idx[p->axis], cg_term(&cg, p->offset));
    p->row = cg_epi_row(&cg, p->epi, idx, p->n_idx);
    cg_lanes(&cg, cg_int(&cg, 0), cg_term(&cg, p->inner), m->target.w, elements, p);
    cg_next(&cg, &row);
    cg_end_fn(&cg);
    return body;
}

static bool is_placed(const CgFunc *f, uint32_t i)
{
    return f->placed && f->placed[i];
}

/* "2 operands, 1 in its place" */
static const char *text(CgModule *m, uint32_t n, uint32_t n_placed)
{
    const char *in = n_placed == 0   ? ""
                     : n_placed == n ? ", no code"
                                     : sc_printf(m->arena, ", %u in place", n_placed);
    return sc_printf(m->arena, "concat: %u operands%s", n, in);
}

static bool emit(CgModule *m, CgFunc *f)
{
    const ScNode *n = sc_leader(f->sub);
    const CgEpi *epi = cg_epi_new(m, f, n);
    if (!epi)
        return false;
    Part *part = sc_array(m->arena, Part, n->n_in);
    LLVMValueRef *body = sc_array(m->arena, LLVMValueRef, n->n_in);
    uint32_t axis = n->op->concat_axis(f->sub, n);
    uint32_t n_placed = 0;
    const ScTerm *offset = sc_term(m->cx, 0);
    for (uint32_t i = 0; i < n->n_in; i++) {
        part[i] = (Part){.epi = epi, .axis = axis, .offset = offset};
        if (!prepare(m, f, &part[i], n->in[i]))
            return false;
        offset = sc_term_add(m->cx, offset, part[i].type->dim[axis]);
        body[i] = is_placed(f, i) ? NULL : emit_part(m, f, &part[i], i);
        n_placed += is_placed(f, i);
    }
    f->what = text(m, n->n_in, n_placed);
    f->idle = n_placed == n->n_in;
    if (f->idle)
        return true;
    Cg cg;
    cg_begin_entry(&cg, m, f);
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (!body[i])
            continue;
        const ScTerm *rows = cg_product(m, 0, part[i].n_idx, part[i].type->dim);
        cg_parallel(&cg, body[i], cg_term(&cg, rows), cg_row_grain(&cg, part[i].inner));
    }
    cg_end_fn(&cg);
    return true;
}

const CgClass cg_concat = {NULL, emit};
