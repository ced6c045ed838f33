/* SPDX-License-Identifier: Apache-2.0 */
/* The constant ScrtModel, field by field as runtime/scrt.h declares it, and the C header. */
#include "codegen/program/program.h"

#include <assert.h>
#include <llvm-c/Target.h>
#include <stddef.h>
#include <string.h>

typedef struct Parts {
    CgModule *m;
    const CgSymbols *s;
    uint32_t n; /* numbers the constants */
} Parts;

static LLVMValueRef global(Parts *x, LLVMValueRef init, uint32_t align)
{
    LLVMValueRef g =
        LLVMAddGlobal(x->m->mod, LLVMTypeOf(init), sc_printf(x->m->arena, "c%u", x->n++));
    LLVMSetInitializer(g, init);
    LLVMSetLinkage(g, LLVMPrivateLinkage);
    LLVMSetGlobalConstant(g, 1);
    LLVMSetAlignment(g, align);
    return g;
}

static LLVMValueRef bytes(Parts *x, const void *p, size_t n, uint32_t align)
{
    return global(x, LLVMConstStringInContext2(x->m->ctx, p, n, 1), align);
}

static LLVMValueRef text(Parts *x, const char *s)
{
    return bytes(x, s, strlen(s) + 1, 1);
}

static LLVMValueRef null(Parts *x)
{
    return LLVMConstNull(x->m->t_ptr);
}

static LLVMValueRef u32(Parts *x, uint64_t v)
{
    return LLVMConstInt(x->m->i32, v, 0);
}

static LLVMValueRef u64(Parts *x, uint64_t v)
{
    return LLVMConstInt(x->m->i64, v, 0);
}

/* An array of n constants of one type; NULL where it is empty. */
static LLVMValueRef list(Parts *x, LLVMValueRef *v, uint32_t n)
{
    if (n == 0)
        return null(x);
    return global(x, LLVMConstArray2(LLVMTypeOf(v[0]), v, n), 8);
}

const char *cg_dims_text(ScArena *a, const ScType *t)
{
    ScStr s = {0};
    for (uint32_t d = 0; d < t->rank; d++) {
        if (d)
            sc_str_add(&s, ",");
        sc_term_print(t->dim[d], &s);
    }
    const char *dims = sc_strdup(a, sc_str_get(&s));
    sc_str_free(&s);
    return dims;
}

static LLVMValueRef port(Parts *x, const char *name, const ScType *t)
{
    LLVMValueRef f[] = {text(x, name), u32(x, t->dtype), u32(x, t->rank),
                        text(x, cg_dims_text(x->m->arena, t))};
    return LLVMConstStructInContext(x->m->ctx, f, 4, 0);
}

static const char *input_name(const CgModule *m, uint32_t i)
{
    const char *name = m->g->value[m->g->in[i]].name;
    return name ? name : sc_printf(m->arena, "in%u", i);
}

static const char *output_name(const CgModule *m, uint32_t i)
{
    const char *name = m->g->out_name[i];
    return name ? name : sc_printf(m->arena, "out%u", i);
}

static LLVMValueRef ports(Parts *x, char which)
{
    const ScGraph *g = x->m->g;
    uint32_t n = which == 'i' ? g->n_in : which == 'o' ? g->n_out : g->n_state;
    LLVMValueRef *v = sc_array(x->m->arena, LLVMValueRef, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        const char *name = which == 'i'   ? input_name(x->m, i)
                           : which == 'o' ? output_name(x->m, i)
                                          : g->state[i].name;
        ScVal value = which == 'i' ? g->in[i] : which == 'o' ? g->out[i] : g->state[i].past;
        v[i] = port(x, name, sc_type_of(g, value));
    }
    return list(x, v, n);
}

static LLVMValueRef symbol_names(Parts *x)
{
    LLVMValueRef *v = sc_array(x->m->arena, LLVMValueRef, x->s->n + 1);
    for (uint32_t i = 0; i < x->s->n; i++)
        v[i] = text(x, x->s->sym[i].name);
    return list(x, v, x->s->n);
}

static LLVMValueRef kernel_infos(Parts *x, const CgKernels *k)
{
    LLVMValueRef *v = sc_array(x->m->arena, LLVMValueRef, k->n + 1);
    for (uint32_t i = 0; i < k->n; i++) {
        LLVMValueRef f[] = {text(x, k->k[i].name), text(x, k->k[i].from), text(x, k->k[i].f->what)};
        v[i] = LLVMConstStructInContext(x->m->ctx, f, 3, 0);
    }
    return list(x, v, k->n);
}

/* --- States ---------------------------------------------------------------------------------- */

static bool state_parts(Parts *x, LLVMValueRef *ret_dims, LLVMValueRef *ret_init)
{
    CgModule *m = x->m;
    const ScGraph *g = m->g;
    LLVMValueRef *dims = sc_array(m->arena, LLVMValueRef, g->n_state + 1);
    LLVMValueRef *init = sc_array(m->arena, LLVMValueRef, g->n_state + 1);
    for (uint32_t i = 0; i < g->n_state; i++) {
        const ScState *s = &g->state[i];
        const ScType *t = sc_type_of(g, s->past);
        const ScTerm *exp = g->value[s->past].exp;
        int64_t d[SCRT_MAX_RANK], e = 0;
        if (!sc_type_const_dims(t, d) || (exp && !sc_term_const(exp, &e)))
            return sc_fail(m->cx, sc_def(g, s->past)->loc, SC_E_DYNAMIC, "state %s", s->name);
        LLVMValueRef v[SCRT_MAX_RANK];
        for (uint32_t k = 0; k < t->rank; k++)
            v[k] = u64(x, (uint64_t)d[k]);
        dims[i] = list(x, v, t->rank);
        init[i] = null(x);
        if (!s->init)
            continue;
        ScrtTensor tensor;
        size_t n;
        if (!s->init->data || !sc_blob_tensor(s->init, t, e, &tensor))
            return sc_fail(m->cx, sc_def(g, s->past)->loc, SC_E_BLOB, "state %s", s->name);
        if (scrt_tensor_bytes(&tensor, &n))
            init[i] = bytes(x, tensor.data, n, 64);
        scrt_free(tensor.data);
    }
    *ret_dims = list(x, dims, g->n_state);
    *ret_init = list(x, init, g->n_state);
    return true;
}

/* --- The model ------------------------------------------------------------------------------- */

static void check_layout(CgModule *m, LLVMTypeRef t)
{
    LLVMTargetDataRef layout = LLVMGetModuleDataLayout(m->mod);
    assert(LLVMABISizeOfType(layout, t) == sizeof(ScrtModel));
    assert(LLVMOffsetOfElement(layout, t, 6) == offsetof(ScrtModel, name));
    assert(LLVMOffsetOfElement(layout, t, 13) == offsetof(ScrtModel, features));
    assert(LLVMOffsetOfElement(layout, t, 20) == offsetof(ScrtModel, run));
    (void)layout;
    (void)t;
}

bool cg_emit_model(CgModule *m, const CgKernels *k, const CgSymbols *s, const CgModelParts *p)
{
    const ScGraph *g = m->g;
    Parts x = {.m = m, .s = s};
    LLVMValueRef state_dims = null(&x), state_init = null(&x), weights = null(&x);
    if (!state_parts(&x, &state_dims, &state_init))
        return false;
    if (p->embed) /* NULL would ask for a file, so none are one byte */
        weights = bytes(&x, m->weights.p, m->weights.n ? m->weights.n : 1, 64);
    LLVMValueRef f[] = {
        u32(&x, SCRT_ABI),
        u32(&x, g->n_in),
        u32(&x, g->n_out),
        u32(&x, g->n_state),
        u32(&x, s->n),
        u32(&x, k->n),
        text(&x, p->name),
        text(&x, p->info),
        ports(&x, 'i'),
        ports(&x, 'o'),
        ports(&x, 's'),
        symbol_names(&x),
        kernel_infos(&x, k),
        u64(&x, m->target.bits),
        u64(&x, m->weights.n),
        u64(&x, m->weights.hash),
        weights,
        p->shapes,
        state_dims,
        state_init,
        p->run,
    };
    LLVMValueRef init = LLVMConstStructInContext(m->ctx, f, sizeof f / sizeof *f, 0);
    check_layout(m, LLVMTypeOf(init));
    LLVMValueRef model = LLVMAddGlobal(m->mod, LLVMTypeOf(init), p->symbol);
    LLVMSetInitializer(model, init);
    LLVMSetGlobalConstant(model, 1);
    LLVMSetAlignment(model, 16);
    return true;
}

/* --- The header ------------------------------------------------------------------------------ */

/* A name from the model inside a C comment. */
static void comment_text(ScStr *s, const char *name)
{
    for (; *name; name++) {
        char c = *name;
        bool plain = c >= ' ' && c < 127 && !(c == '/' && s->n && s->s[s->n - 1] == '*');
        sc_str_addn(s, plain ? &c : "?", 1);
    }
}

static void comment_port(ScStr *s, ScArena *a, const char *what, uint32_t i, const char *name,
                         const ScType *t)
{
    sc_str_addf(s, " *   %s[%u]  ", what, i);
    comment_text(s, name);
    sc_str_addf(s, ": %s[", scrt_dtype_name(t->dtype));
    comment_text(s, cg_dims_text(a, t));
    sc_str_add(s, "]\n");
}

const char *cg_header(CgModule *m, ScArena *a, const char *symbol)
{
    const ScGraph *g = m->g;
    ScStr s = {0};
    sc_str_add(&s, "/* Compiled by scalec. Link with libscrt.a; scrt.h says how to run it.\n *\n");
    for (uint32_t i = 0; i < g->n_in; i++)
        comment_port(&s, a, "in", i, input_name(m, i), sc_type_of(g, g->in[i]));
    for (uint32_t i = 0; i < g->n_out; i++)
        comment_port(&s, a, "out", i, output_name(m, i), sc_type_of(g, g->out[i]));
    for (uint32_t i = 0; i < g->n_state; i++)
        comment_port(&s, a, "state", i, g->state[i].name, sc_type_of(g, g->state[i].past));
    sc_str_addf(&s, " *\n * %llu bytes of weights. */\n", (unsigned long long)m->weights.n);
    sc_str_addf(&s, "#ifndef SCALEC_MODEL_%s\n#define SCALEC_MODEL_%s\n\n", symbol, symbol);
    sc_str_addf(&s, "#include \"scrt.h\"\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    sc_str_addf(&s, "extern const ScrtModel %s;\n\n", symbol);
    sc_str_add(&s, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
    const char *header = sc_strdup(a, s.s);
    sc_str_free(&s);
    return header;
}
