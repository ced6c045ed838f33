/* SPDX-License-Identifier: Apache-2.0 */
/* The constant ScrtModel, field by field as runtime/scrt.h declares it, and the C header. */
#include "codegen/program/program.h"

#include <assert.h>
#include <llvm-c/Target.h>
#include <stddef.h>
#include <string.h>

typedef struct Parts {
    CgModule *m;
    const CgWork *u; /* the entry, and its program */
    const CgProgram *p;
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

/* What holds no addresses (steps, words, places, dims) is bytes, in the order of the processors
 * that code is made for. */
static LLVMValueRef plain(Parts *x, const void *p, size_t n)
{
    return n ? bytes(x, p, n, 8) : null(x);
}

static LLVMValueRef structure(Parts *x, LLVMValueRef *f, uint32_t n, size_t bytes_in_c)
{
    LLVMValueRef v = LLVMConstStructInContext(x->m->ctx, f, n, 0);
    LLVMTargetDataRef layout = LLVMGetModuleDataLayout(x->m->mod);
    assert(LLVMABISizeOfType(layout, LLVMTypeOf(v)) == bytes_in_c);
    (void)layout, (void)bytes_in_c;
    return v;
}

const char *cg_dims_text(ScArena *a, const ScType *t)
{
    ScStr s = {0};
    for (uint32_t d = 0; d < t->rank; d++) {
        if (d)
            sc_str_add(&s, ",");
        sc_term_print(t->dim[d], &s);
    }
    return sc_str_keep(&s, a);
}

static LLVMValueRef port(Parts *x, const char *name, const ScType *t)
{
    LLVMValueRef f[] = {text(x, name), u32(x, t->dtype), u32(x, t->rank),
                        text(x, cg_dims_text(x->m->arena, t))};
    return LLVMConstStructInContext(x->m->ctx, f, 4, 0);
}

static const char *input_name(const CgModule *m, const ScGraph *g, uint32_t i)
{
    const char *name = g->value[g->in[i]].name;
    return name ? name : sc_printf(m->arena, "in%u", i);
}

static const char *output_name(const CgModule *m, const ScGraph *g, uint32_t i)
{
    const char *name = g->out_name[i];
    return name ? name : sc_printf(m->arena, "out%u", i);
}

static LLVMValueRef inputs(Parts *x)
{
    const ScGraph *g = x->u->g;
    LLVMValueRef *v = sc_array(x->m->arena, LLVMValueRef, g->n_in + 1);
    for (uint32_t i = 0; i < g->n_in; i++)
        v[i] = port(x, input_name(x->m, g, i), sc_type_of(g, g->in[i]));
    return list(x, v, g->n_in);
}

static LLVMValueRef outputs(Parts *x)
{
    const ScGraph *g = x->u->g;
    LLVMValueRef *v = sc_array(x->m->arena, LLVMValueRef, g->n_out + 1);
    for (uint32_t i = 0; i < g->n_out; i++)
        v[i] = port(x, output_name(x->m, g, i), sc_type_of(g, g->out[i]));
    return list(x, v, g->n_out);
}

static LLVMValueRef states(Parts *x)
{
    LLVMValueRef *v = sc_array(x->m->arena, LLVMValueRef, x->m->n_state + 1);
    for (uint32_t i = 0; i < x->m->n_state; i++) {
        const CgState *s = &x->m->all_states[i];
        v[i] = port(x, s->s->name, sc_type_of(s->g, s->s->past));
    }
    return list(x, v, x->m->n_state);
}

static LLVMValueRef symbol_names(Parts *x)
{
    LLVMValueRef *v = sc_array(x->m->arena, LLVMValueRef, x->p->n_sym + 1);
    for (uint32_t i = 0; i < x->p->n_sym; i++)
        v[i] = text(x, x->p->sym[i]);
    return list(x, v, x->p->n_sym);
}

static LLVMValueRef kernel_infos(Parts *x, const CgKernels *k)
{
    uint32_t n = x->u->n_kernel;
    LLVMValueRef *v = sc_array(x->m->arena, LLVMValueRef, n + 1);
    LLVMValueRef *what = sc_array(x->m->arena, LLVMValueRef, k->n_fn + 1);
    for (uint32_t i = 0; i < n; i++) {
        const CgKernel *of = &k->k[x->u->first + i];
        LLVMValueRef *its = &what[of->f->index];
        *its = *its ? *its : text(x, of->f->what);
        LLVMValueRef f[] = {text(x, of->name), text(x, of->from), *its,
                            u32(x, x->p->counted[i].word), u32(x, x->p->counted[i].n_word)};
        v[i] = structure(x, f, sizeof f / sizeof *f, sizeof(ScrtKernelInfo));
    }
    return list(x, v, n);
}

/* --- States ---------------------------------------------------------------------------------- */

static bool state_infos(Parts *x, LLVMValueRef *ret)
{
    CgModule *m = x->m;
    LLVMValueRef *info = sc_array(m->arena, LLVMValueRef, m->n_state + 1);
    for (uint32_t i = 0; i < m->n_state; i++) {
        const CgState *of = &m->all_states[i];
        const ScGraph *g = of->g;
        const ScState *s = of->s;
        const ScType *t = sc_type_of(g, s->past);
        const ScTerm *exp = g->value[s->past].exp;
        int64_t e;
        if (exp && !sc_term_const(exp, &e))
            return sc_fail(m->cx, sc_def(g, s->past)->loc, SC_E_DYNAMIC, "state %s", s->name);
        int64_t *dims = sc_array(m->arena, int64_t, t->rank + 1);
        for (uint32_t k = 0; k < t->rank; k++)
            if (!sc_term_const(t->dim[k], &dims[k]))
                dims[k] = -1;
        LLVMValueRef f[] = {
            plain(x, dims, t->rank * sizeof *dims),
            u64(x, (uint64_t)of->init),
            u64(x, (uint64_t)s->capacity),
            u64(x, (uint64_t)of->first),
            u32(x, sc_state_axis(s, t)),
            u32(x, of->in_place),
        };
        info[i] = structure(x, f, sizeof f / sizeof *f, sizeof(ScrtStateInfo));
    }
    *ret = list(x, info, m->n_state);
    return true;
}

/* --- The program ----------------------------------------------------------------------------- */

static LLVMValueRef words(Parts *x)
{
    uint32_t n = 0;
    for (CgStage s = 0; s < CG_STAGES; s++)
        n += x->p->stream[s].n_word;
    int64_t *all = sc_array(x->m->arena, int64_t, n + 1), *end = all;
    for (CgStage s = 0; s < CG_STAGES; s++) {
        const CgStream *of = &x->p->stream[s];
        if (of->n_word)
            memcpy(end, of->word, of->n_word * sizeof *all);
        end += of->n_word;
    }
    return plain(x, all, n * sizeof *all);
}

static LLVMValueRef steps(Parts *x, CgStage stage)
{
    const CgStream *s = &x->p->stream[stage];
    return plain(x, s->step, s->n_step * sizeof *s->step);
}

static LLVMValueRef functions(Parts *x, const CgKernels *k)
{
    LLVMValueRef *v = sc_array(x->m->arena, LLVMValueRef, k->n_fn + 1);
    for (uint32_t i = 0; i < k->n_fn; i++) {
        v[i] = k->fn[i]->entry ? k->fn[i]->entry : null(x);
    }
    return list(x, v, k->n_fn);
}

static LLVMValueRef text_or_null(Parts *x, const char *s)
{
    return s ? text(x, s) : null(x);
}

static LLVMValueRef whos(Parts *x)
{
    LLVMValueRef *v = sc_array(x->m->arena, LLVMValueRef, x->p->n_who + 1);
    for (uint32_t i = 0; i < x->p->n_who; i++) {
        const ScrtWho *w = &x->p->who[i];
        LLVMValueRef f[] = {text_or_null(x, w->node),  text_or_null(x, w->what),
                            text_or_null(x, w->a),     text_or_null(x, w->b),
                            text_or_null(x, w->where), u32(x, w->input)};
        v[i] = LLVMConstStructInContext(x->m->ctx, f, sizeof f / sizeof *f, 0);
    }
    return list(x, v, x->p->n_who);
}

static LLVMValueRef out_dims(Parts *x)
{
    const ScGraph *g = x->u->g;
    LLVMValueRef *v = sc_array(x->m->arena, LLVMValueRef, g->n_out + 1);
    for (uint32_t i = 0; i < g->n_out; i++)
        v[i] = plain(x, x->p->out_dims[i], sc_type_of(g, g->out[i])->rank * sizeof(uint32_t));
    return list(x, v, g->n_out);
}

static LLVMValueRef entry(Parts *x, const CgKernels *k, LLVMValueRef fn)
{
    const ScGraph *g = x->u->g;
    const CgProgram *p = x->p;
    LLVMValueRef f[] = {
        text(x, x->u->name),
        u32(x, g->n_in),
        u32(x, g->n_out),
        u32(x, p->n_sym),
        u32(x, x->u->n_kernel),
        inputs(x),
        outputs(x),
        symbol_names(x),
        kernel_infos(x, k),
        out_dims(x),
        u32(x, p->n_value),
        u32(x, p->n_segment),
        u32(x, p->n_arg),
        u32(x, CG_VALUE_MOVED),
        steps(x, CG_BIND),
        steps(x, CG_RUN),
        words(x),
        plain(x, p->place, p->n_place * sizeof *p->place),
        fn,
        whos(x),
        plain(x, x->u->state, g->n_state * sizeof *x->u->state),
        u32(x, g->n_state),
        u32(x, 0), /* alignment */
    };
    return structure(x, f, sizeof f / sizeof *f, sizeof(ScrtEntry));
}

/* --- The model ------------------------------------------------------------------------------- */

/* What bears the model's name within the object already, a kernel k2 of the model k2, gets another:
 * nothing refers to it by name. */
static void make_way(CgModule *m, const char *symbol)
{
    LLVMValueRef other = LLVMGetNamedFunction(m->mod, symbol);
    if (!other)
        other = LLVMGetNamedGlobal(m->mod, symbol);
    const char *name = sc_printf(m->arena, "%s.own", symbol);
    if (other)
        LLVMSetValueName2(other, name, strlen(name));
}

static LLVMValueRef levels(Parts *x)
{
    const CgModule *m = x->m;
    LLVMValueRef *v = sc_array(m->arena, LLVMValueRef, m->n_level);
    for (uint32_t i = 0; i < m->n_level; i++) {
        LLVMValueRef f[] = {text(x, m->levels[i].name), u64(x, m->levels[i].bits),
                            u64(x, cg_weights_of(&m->weights, i))};
        v[i] = structure(x, f, sizeof f / sizeof *f, sizeof(ScrtLevel));
    }
    return list(x, v, m->n_level);
}

bool cg_emit_model(CgModule *m, const CgKernels *k, uint32_t n, const CgWork *u,
                   const CgModelParts *parts)
{
    Parts x = {.m = m};
    LLVMValueRef infos = null(&x), weights = null(&x), fn = functions(&x, k);
    LLVMValueRef *entries = sc_array(m->arena, LLVMValueRef, n);
    if (!state_infos(&x, &infos))
        return false;
    if (parts->embed) /* NULL would ask for a file, so none are one byte */
        weights = bytes(&x, m->weights.p, m->weights.n ? m->weights.n : 1, 128);
    for (uint32_t i = 0; i < n; i++) {
        x.u = &u[i];
        x.p = &u[i].program;
        entries[i] = entry(&x, k, fn);
    }
    LLVMValueRef f[] = {
        u32(&x, SCRT_ABI),
        u32(&x, n / m->n_level),
        u32(&x, m->n_state),
        u32(&x, m->n_level),
        text(&x, parts->name),
        text(&x, parts->info),
        list(&x, entries, n),
        states(&x),
        infos,
        u64(&x, m->weights.n),
        u64(&x, m->weights.hash),
        weights,
        levels(&x),
    };
    LLVMValueRef init = structure(&x, f, sizeof f / sizeof *f, sizeof(ScrtModel));
    make_way(m, parts->symbol);
    LLVMValueRef model = LLVMAddGlobal(m->mod, LLVMTypeOf(init), parts->symbol);
    LLVMSetInitializer(model, init);
    LLVMSetGlobalConstant(model, 1);
    LLVMSetAlignment(model, 16);
    return true;
}

_Static_assert(offsetof(ScrtEntry, in) == 24 && offsetof(ScrtEntry, n_value) == 64 &&
                   offsetof(ScrtEntry, bind) == 80 && offsetof(ScrtEntry, state) == 128,
               "the constant above is laid out as ScrtEntry is");
_Static_assert(offsetof(ScrtModel, name) == 16 && offsetof(ScrtModel, level) == 80,
               "and as ScrtModel is");

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

static void comment_entry(ScStr *s, CgModule *m, ScArena *a, const CgWork *u)
{
    const ScGraph *g = u->g;
    for (uint32_t i = 0; i < g->n_in; i++)
        comment_port(s, a, "in", i, input_name(m, g, i), sc_type_of(g, g->in[i]));
    for (uint32_t i = 0; i < g->n_out; i++)
        comment_port(s, a, "out", i, output_name(m, g, i), sc_type_of(g, g->out[i]));
    for (uint32_t i = 0; i < g->n_state; i++)
        comment_port(s, a, "state", u->state[i], g->state[i].name, sc_type_of(g, g->state[i].past));
}

const char *cg_header(CgModule *m, ScArena *a, const CgModelParts *parts, uint32_t n,
                      const CgWork *u)
{
    const char *symbol = parts->symbol;
    ScStr s = {0};
    sc_str_add(&s, "/* Compiled by scalec; scrt.h says how to run it. A shared object holds the\n"
                   " * runtime; beside an object link\n"
                   " *     -lscrt -lm -pthread\n *\n");
    for (uint32_t i = 0; i < n; i++) {
        if (n > 1) {
            sc_str_addf(&s, "%s * entry %u, ", i ? " *\n" : "", i);
            comment_text(&s, u[i].name);
            sc_str_add(&s, "\n");
        }
        comment_entry(&s, m, a, &u[i]);
    }
    for (uint32_t i = 0; i < m->n_level && m->n_level > 1; i++)
        sc_str_addf(&s, "%s level %u, %s", i ? "," : " *\n *", i, m->levels[i].name);
    sc_str_add(&s, m->n_level > 1 ? "\n" : "");
    sc_str_addf(&s, " *\n * %llu bytes of weights", (unsigned long long)m->weights.n);
    sc_str_add(&s, parts->embed ? ". */\n"
                                : ", in the file beside that ends in .weights:\n"
                                  " * name it in ScrtOptions.weights_file. */\n");
    sc_str_addf(&s, "#ifndef SCALEC_MODEL_%s\n#define SCALEC_MODEL_%s\n\n", symbol, symbol);
    sc_str_addf(&s, "#include \"scrt.h\"\n\n#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
    sc_str_addf(&s, "extern const ScrtModel %s;\n\n", symbol);
    sc_str_add(&s, "#ifdef __cplusplus\n}\n#endif\n#endif\n");
    const char *header = sc_strdup(a, s.s);
    sc_str_free(&s);
    return header;
}
