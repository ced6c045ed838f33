/* SPDX-License-Identifier: Apache-2.0 */
/* Where the elements of a kernel's operands lie: views composed, broadcasts as strides of 0. */
#include "codegen/emit/emit.h"

#include <assert.h>
#include <string.h>

void cg_strides(CgModule *m, const ScType *t, CgLay lay, const ScTerm **ret_stride)
{
    const ScTerm *stride = sc_term(m->cx, 1);
    for (uint32_t d = t->rank; d-- > 0;) {
        if (lay.pitch && d + 1 == lay.axis)
            stride = lay.pitch;
        ret_stride[d] = stride;
        stride = sc_term_mul(m->cx, stride, t->dim[d]);
    }
}

static int32_t operand_of(const ScGraph *sub, ScVal root)
{
    for (uint32_t i = 0; i < sub->n_in; i++) {
        if (sub->in[i] == root)
            return (int32_t)i;
    }
    return -1;
}

bool cg_view_of(CgModule *m, const CgFunc *f, ScVal v, ScView *ret, ScVal *ret_root)
{
    const ScGraph *g = f->sub;
    const ScNode *n = sc_def(g, v);
    if (n->op->lower.cls == SC_VIEW)
        return cg_view_of(m, f, n->in[0], ret, ret_root) && n->op->view(m->cx, g, n, ret);
    if (n->op->lower.cls == SC_MAP) /* on the way: element by element */
        return cg_view_of(m, f, sc_way_from(g, n), ret, ret_root);
    const ScType *t = sc_type_of(g, v);
    int32_t operand = operand_of(g, v);
    *ret = (ScView){.rank = t->rank, .offset = sc_term(m->cx, 0)};
    for (uint32_t d = 0; d < t->rank; d++)
        ret->dim[d] = t->dim[d];
    cg_strides(m, t, operand < 0 ? (CgLay){0} : f->lay_in[operand], ret->stride);
    *ret_root = v;
    return true;
}

bool cg_is_access(const ScGraph *g, ScVal v)
{
    ScClass c = sc_def(g, v)->op->lower.cls;
    return c == SC_VIEW || c == SC_SOURCE;
}

bool cg_access(CgModule *m, const CgFunc *f, ScVal v, uint32_t rank, const ScTerm *const *dim,
               CgAccess *ret)
{
    return cg_type_ok(m, f->node->loc, sc_type_of(f->sub, v)->dtype) &&
           cg_access_packed(m, f, v, rank, dim, ret);
}

/* The bits of a constant of one element as kernels compute with it, one compute type wide. */
static bool number_of(CgModule *m, const ScGraph *g, ScVal v, const ScTerm **ret)
{
    ScrtDtype t = sc_type_of(g, v)->dtype;
    int64_t bits = 0;
    ScrtTensor x;
    if (!sc_term_is(sc_type_count(m->cx, sc_type_of(g, v)), 1))
        return sc_fail(m->cx, sc_def(g, v)->loc, SC_E_LOWER,
                       "a constant of more than one element inside a kernel");
    if (!cg_const_tensor(m, g, sc_def(g, v), &x))
        return false;
    if (t == SCRT_F64) {
        double d = scrt_load(t, x.data, 0);
        memcpy(&bits, &d, sizeof d);
    } else if (scrt_dtype_is_float(t)) {
        float s = (float)scrt_load(t, x.data, 0);
        memcpy(&bits, &s, sizeof s);
    } else {
        bits = scrt_load_int(t, x.data, 0);
    }
    scrt_free(x.data);
    *ret = sc_term(m->cx, bits);
    return true;
}

bool cg_access_packed(CgModule *m, const CgFunc *f, ScVal v, uint32_t rank,
                      const ScTerm *const *dim, CgAccess *ret)
{
    ScView view;
    ScVal root;
    if (!cg_view_of(m, f, v, &view, &root))
        return sc_fail(m->cx, f->node->loc, SC_E_LOWER, "views that strides cannot say");
    bool way = sc_def(f->sub, v)->op->lower.cls == SC_MAP;
    *ret = (CgAccess){.operand = operand_of(f->sub, root), .root = root, .rank = rank};
    ret->way = way ? v : SC_POISON;
    ret->offset = view.offset;
    const ScTerm *zero = sc_term(m->cx, 0);
    ret->index = sc_def(f->sub, root)->op->flags & SC_INDEX;
    bool one = cg_is_constant(ret);
    if (one && !number_of(m, f->sub, root, &ret->number))
        return false;
    assert(view.rank <= rank);
    for (uint32_t d = 0; d < rank; d++) {
        uint32_t lead = rank - view.rank;
        ret->stride[d] = d < lead || one ? zero
                                         : sc_broadcast_stride(m->cx, view.dim[d - lead], dim[d],
                                                               view.stride[d - lead]);
    }
    return true;
}

CgAccess cg_result_access(CgModule *m, const CgFunc *f, uint32_t i)
{
    const ScType *t = sc_type_of(f->sub, f->sub->out[i]);
    CgAccess a = {.operand = (int32_t)(f->n_in + i), .rank = t->rank, .offset = sc_term(m->cx, 0)};
    cg_strides(m, t, f->lay_out[i], a.stride);
    return a;
}

LLVMValueRef cg_address(Cg *cg, const CgAccess *a, uint32_t n, LLVMValueRef const *idx)
{
    if (cg_is_constant(a))
        return cg_int(cg, 0);
    LLVMValueRef at = cg_term(cg, a->offset);
    for (uint32_t d = 0; d < n; d++)
        at = cg_add_int(cg, at, cg_mul_int(cg, idx[d], cg_term(cg, a->stride[d])));
    return at;
}

/* The one element of a constant of the nested graph, which may be a parameter. */
static CgVal constant(Cg *cg, const CgAccess *a, uint32_t w)
{
    CgModule *m = cg->m;
    ScrtDtype t = sc_type_of(cg->f->sub, a->root)->dtype;
    LLVMTypeRef type = cg_compute_type(m, t);
    LLVMValueRef x = cg_term(cg, a->number);
    if (type == m->f32)
        x = LLVMBuildTrunc(cg->b, x, m->i32, "");
    x = scrt_dtype_is_float(t) ? LLVMBuildBitCast(cg->b, x, type, "")
                               : LLVMBuildTruncOrBitCast(cg->b, x, type, "");
    return (CgVal){cg_splat(cg, x, w), t, NULL};
}

/* Elements of row iota: their addresses. */
static CgVal indices(Cg *cg, LLVMValueRef address, const ScTerm *stride, uint32_t w)
{
    if (w == 1)
        return (CgVal){address, SCRT_I64, NULL};
    LLVMValueRef lane = LLVMGetUndef(cg_vec(cg->m->i64, w)), step = cg_term(cg, stride);
    for (uint32_t i = 0; i < w; i++)
        lane =
            LLVMBuildInsertElement(cg->b, lane, cg_int(cg, i), LLVMConstInt(cg->m->i32, i, 0), "");
    lane = LLVMBuildMul(cg->b, lane, cg_splat(cg, step, w), "");
    return (CgVal){LLVMBuildAdd(cg->b, lane, cg_splat(cg, address, w), ""), SCRT_I64, NULL};
}

static LLVMValueRef base_of(Cg *cg, const CgAccess *a)
{
    return a->scratch ? cg_gep(cg, cg->m->i8, cg_scratch(cg), cg_term(cg, a->scratch))
                      : cg_operand(cg, (uint32_t)a->operand);
}

/* The number that constant v is. */
static CgVal number(Cg *cg, ScVal v, uint32_t w)
{
    const ScType *t = sc_type_of(cg->f->sub, v);
    CgAccess a;
    if (!cg_access(cg->m, cg->f, v, t->rank, t->dim, &a)) /* reported; the module is not emitted */
        return (CgVal){LLVMConstNull(cg_vec(cg_compute_type(cg->m, t->dtype), w)), t->dtype, NULL};
    return constant(cg, &a, w);
}

/* What the nodes on the way up to value v make of what was loaded. */
static CgVal on_way(Cg *cg, ScVal v, CgVal loaded, uint32_t w, CgVal *all)
{
    const ScGraph *g = cg->f->sub;
    const ScNode *n = sc_def(g, v);
    if (n->op->lower.cls != SC_MAP)
        return loaded;
    ScVal from = sc_way_from(g, n);
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] != from)
            all[n->in[i]] = number(cg, n->in[i], w);
    all[from] = on_way(cg, from, loaded, w, all);
    cg_node_of(cg, g, n, all, w);
    return all[v];
}

/* Lanes outside the mask are 0 after it as before. */
static CgVal after_way(Cg *cg, const CgAccess *a, CgVal x, uint32_t w, LLVMValueRef mask)
{
    ScArena *scratch = sc_arena_new();
    x = on_way(cg, a->way, x, w, sc_array(scratch, CgVal, cg->f->sub->n_value));
    sc_arena_free(scratch);
    if (mask)
        x.v = LLVMBuildSelect(cg->b, mask, x.v, LLVMConstNull(LLVMTypeOf(x.v)), "");
    return x;
}

CgVal cg_access_load(Cg *cg, const CgAccess *a, LLVMValueRef address, const ScTerm *stride,
                     uint32_t w, LLVMValueRef mask)
{
    if (a->index)
        return indices(cg, address, stride, w);
    if (a->operand < 0)
        return constant(cg, a, w);
    ScrtDtype t = sc_type_of(cg->f->sub, a->root)->dtype;
    CgVal x = cg_load_strided(cg, t, base_of(cg, a), address, cg_term(cg, stride), w, mask);
    return a->way ? after_way(cg, a, x, w, mask) : x;
}

LLVMValueRef cg_access_pointer(Cg *cg, const CgAccess *a, LLVMValueRef address)
{
    ScrtDtype t = sc_type_of(cg->f->sub, a->root)->dtype;
    return cg_gep(cg, cg_storage_type(cg->m, t), base_of(cg, a), address);
}

CgVal cg_access_load_at(Cg *cg, const CgAccess *a, LLVMValueRef address, uint32_t w)
{
    if (a->index)
        return (CgVal){address, SCRT_I64, NULL};
    if (a->operand < 0)
        return constant(cg, a, w);
    return cg_load_at(cg, sc_type_of(cg->f->sub, a->root)->dtype, base_of(cg, a), address, w);
}

bool cg_merge(CgModule *m, uint32_t n, const CgAccess *a, uint32_t from, uint32_t to,
              const ScTerm *const *dim)
{
    for (uint32_t k = 0; k < n; k++) {
        const ScTerm *inner = NULL, *extent = NULL; /* of the dims seen so far, from the last on */
        for (uint32_t d = to; d-- > from;) {
            if (sc_term_is(dim[d], 1) || cg_is_constant(&a[k]))
                continue;
            if (inner && a[k].stride[d] != sc_term_mul(m->cx, inner, extent))
                return false;
            inner = a[k].stride[d];
            extent = dim[d];
        }
    }
    return true;
}

const ScTerm *cg_merged_stride(CgModule *m, const CgAccess *a, uint32_t from, uint32_t to,
                               const ScTerm *const *dim)
{
    for (uint32_t d = to; d-- > from;) {
        if (!sc_term_is(dim[d], 1))
            return a->stride[d];
    }
    return sc_term(m->cx, to > from ? 1 : 0); /* one element: any stride; 1 loads at once */
}
