/* SPDX-License-Identifier: Apache-2.0 */
/* CONCAT kernels: each operand is copied into its place, one parallel loop an operand, through the
 * epilogue; but for those that are in their place already (program/places.c). Rows are the dims
 * before the axis, or more where an operand cannot be walked as one. Operands that differ in
 * nothing but their memory and offset share a body, which finds both behind the kernel's own
 * arguments: code is as long as a concatenation has shapes, not operands. */
#include "codegen/loops/loops.h"

#include <string.h>

enum { MORE_MEMORY, MORE_OFFSET, N_MORE }; /* of the operand that a shared body copies */

typedef struct Part { /* one operand */
    const CgEpi *epi;
    CgAccess access;
    uint32_t rank;
    const ScTerm *dim[SCRT_MAX_RANK];
    uint32_t axis, n_idx; /* indices before the column */
    const ScTerm *offset; /* of the operand along the axis */
    const ScTerm *inner;  /* elements of its column */
    uint32_t like; /* the operand whose body serves, unless placed: itself or an earlier one */
    bool placed;   /* is there already: no code */
    bool shared;   /* this body serves others too */
    CgEpiRow row;
    LLVMValueRef at, along, skip; /* along: offset; skip: where its column begins in the result's */
} Part;

typedef struct Concat {
    uint32_t n, n_placed;
    CgEpi *epi;
    Part *part; /* [n] */
} Concat;

static void elements(Cg *cg, void *arg, LLVMValueRef i, uint32_t w, LLVMValueRef mask)
{
    const Part *p = arg;
    const ScTerm *s = cg_merged_stride(cg->m, &p->access, p->n_idx, p->rank, p->dim);
    LLVMValueRef at = cg_add_int(cg, p->at, cg_mul_int(cg, i, cg_term(cg, s)));
    CgVal x = p->shared ? cg_load_strided(cg, sc_type_of(cg->f->sub, p->access.root)->dtype,
                                          cg_more(cg, MORE_MEMORY, cg->m->t_ptr), at,
                                          cg_term(cg, s), w, mask)
                        : cg_access_load(cg, &p->access, at, s, w, mask);
    cg_epi_store_val(cg, p->epi, &p->row, cg_add_int(cg, i, p->skip), x, w, mask);
}

static bool prepare(CgModule *m, CgFunc *f, Part *p, ScVal v)
{
    const ScType *t = sc_type_of(f->sub, v);
    p->rank = t->rank;
    for (uint32_t d = 0; d < t->rank; d++)
        p->dim[d] = t->dim[d];
    if (!cg_access(m, f, v, p->rank, p->dim, &p->access))
        return false;
    p->n_idx = p->axis;
    while (p->n_idx + 1 < p->rank && !(cg_epi_mergeable(p->epi, p->n_idx) &&
                                       cg_merge(m, 1, &p->access, p->n_idx, p->rank, p->dim)))
        p->n_idx++;
    p->inner = cg_product(m, p->n_idx, p->rank, p->dim);
    return true;
}

/* One body can copy both. */
static bool same_code(const CgFunc *f, const Part *a, const Part *b)
{
    const CgAccess *x = &a->access, *y = &b->access;
    return x->operand >= 0 && y->operand >= 0 && !x->index && !y->index &&
           sc_type_of(f->sub, x->root)->dtype == sc_type_of(f->sub, y->root)->dtype &&
           memcmp(a->dim, b->dim, a->rank * sizeof *a->dim) == 0 && a->n_idx == b->n_idx &&
           x->offset == y->offset && memcmp(x->stride, y->stride, a->rank * sizeof *x->stride) == 0;
}

/* Quadratic at worst, in the few dozen operands that one kernel has. */
static void find_like(const CgFunc *f, Part *part, uint32_t i)
{
    for (part[i].like = 0; part[i].like < i; part[i].like++) {
        Part *p = &part[part[i].like];
        if (p->like == part[i].like && !p->placed && same_code(f, p, &part[i])) {
            p->shared = true;
            return;
        }
    }
}

/* Where the operand's columns begin. */
static void find_offset(Cg *cg, Part *p)
{
    LLVMValueRef rest = cg_term(cg, cg_product(cg->m, p->axis + 1, p->rank, p->dim));
    p->along = p->shared ? cg_more(cg, MORE_OFFSET, cg->m->i64) : cg_term(cg, p->offset);
    p->skip = p->n_idx == p->axis ? cg_mul_int(cg, p->along, rest) : cg_int(cg, 0);
}

static LLVMValueRef emit_part(CgModule *m, CgFunc *f, Part *p, uint32_t i)
{
    Cg cg;
    LLVMValueRef idx[SCRT_MAX_RANK];
    LLVMValueRef body = cg_begin_body(&cg, m, f, sc_printf(m->arena, "%u", i));
    find_offset(&cg, p);
    CgLoop row = cg_for(&cg, cg.begin, cg.end, cg_int(&cg, 1));
    cg_unflatten(&cg, row.i, p->n_idx, p->dim, idx);
    p->at = cg_address(&cg, &p->access, p->n_idx, idx);
    if (p->n_idx > p->axis)
        idx[p->axis] = cg_add_int(&cg, idx[p->axis], p->along);
    p->row = cg_epi_row(&cg, p->epi, idx, p->n_idx);
    cg_lanes_at_once(&cg, cg_int(&cg, 0), cg_term(&cg, p->inner), m->target.w,
                     cg_epi_at_once(p->epi, p->inner), elements, p);
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

/* Bodies of all operands, then their runs. The arguments of shared bodies are a copy of the
 * kernel's with room for one more operand. */
static void emit_parts(CgModule *m, CgFunc *f, uint32_t n, Part *part)
{
    LLVMValueRef *body = sc_array(m->arena, LLVMValueRef, n);
    bool shared = false;
    for (uint32_t i = 0; i < n; i++) {
        if (!part[i].placed && part[i].like == i)
            body[i] = emit_part(m, f, &part[i], i);
        shared = shared || part[i].shared;
    }
    Cg cg;
    cg_begin_entry(&cg, m, f);
    LLVMValueRef own = cg.args, more = shared ? cg_more_args(&cg, N_MORE) : NULL;
    for (uint32_t i = 0; i < n; i++) {
        const Part *p = &part[i], *like = &part[p->like];
        if (p->placed)
            continue;
        LLVMValueRef rows = cg_term(&cg, cg_product(m, 0, p->n_idx, p->dim));
        LLVMValueRef grain = cg_row_grain(&cg, p->inner);
        if (like->shared) {
            cg_set_more(&cg, more, MORE_MEMORY, cg_operand(&cg, (uint32_t)p->access.operand));
            cg_set_more(&cg, more, MORE_OFFSET, cg_term(&cg, p->offset));
        }
        cg_parallel_args(&cg, body[p->like], like->shared ? more : own, rows, grain);
    }
    cg_end_fn(&cg);
}

static void shape(const CgFunc *f, Concat *k, CgShape *s)
{
    cg_shape_nodes(f, s);
    cg_epi_shape(k->epi, s);
    cg_shape_word(s, k->n);
    for (uint32_t i = 0; i < k->n; i++) {
        Part *p = &k->part[i];
        cg_shape_word(s, p->placed);
        if (p->placed)
            continue;
        cg_shape_word(s, p->like);
        cg_shape_word(s, p->axis);
        cg_shape_word(s, p->n_idx);
        cg_shape_access(f, s, &p->access);
        cg_shape_terms(s, p->rank, p->dim);
        cg_shape_any(s, &p->offset);
        cg_shape_term(s, &p->inner);
    }
}

static bool plan(CgModule *m, CgFunc *f, CgShape *ret)
{
    const ScNode *n = sc_leader(f->sub);
    Concat *k = sc_new(m->plans, Concat);
    *k = (Concat){.n = n->n_in, .epi = cg_epi_new(m, f, n)};
    f->loop = k;
    if (!k->epi)
        return false;
    Part *part = k->part = sc_array(m->plans, Part, n->n_in);
    uint32_t axis = n->op->concat_axis(f->sub, n);
    const ScTerm *offset = sc_term(m->cx, 0);
    for (uint32_t i = 0; i < n->n_in; i++) {
        part[i] = (Part){.epi = k->epi, .axis = axis, .offset = offset, .placed = is_placed(f, i)};
        if (!prepare(m, f, &part[i], n->in[i]))
            return false;
        if (!part[i].placed)
            find_like(f, part, i);
        offset = sc_term_add(m->cx, offset, part[i].dim[axis]);
        k->n_placed += part[i].placed;
    }
    if (k->n_placed < k->n)
        shape(f, k, ret);
    return true;
}

static bool emit(CgModule *m, CgFunc *f)
{
    Concat *k = f->loop;
    f->what = text(m, k->n, k->n_placed);
    f->idle = k->n_placed == k->n;
    if (!f->idle)
        emit_parts(m, f, k->n, k->part);
    return true;
}

const CgClass cg_concat = {.plan = plan, .emit = emit};
