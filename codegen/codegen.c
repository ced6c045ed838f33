/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs of kernels to an object: kernels, buffers, weights, then the functions and the constant
 * that the runtime knows. */
#include "codegen/program/program.h"

#include <math.h>
#include <string.h>

/* A C identifier: "model_" and the letters, digits and _ of a name. As it is a name could be a word
 * of C, or a function of the C library that the program would then call. */
static const char *identifier(ScArena *a, const char *name)
{
    ScStr s = {0};
    sc_str_add(&s, name && *name ? "model_" : "model");
    for (; name && *name; name++) {
        bool letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');
        bool digit = *name >= '0' && *name <= '9';
        sc_str_addn(&s, letter || digit ? name : "_", 1);
    }
    return sc_str_keep(&s, a);
}

static void report(ScObject *o, const CgKernels *k)
{
    ScKernelReport *r = sc_array(o->arena, ScKernelReport, k->n + 1);
    for (uint32_t i = 0; i < k->n; i++) {
        const CgFunc *f = k->k[i].f;
        bool own = strcmp(f->name, k->k[i].name) == 0;
        r[i].name = sc_strdup(o->arena, k->k[i].name);
        r[i].from = sc_strdup(o->arena, k->k[i].from);
        r[i].what = own ? sc_strdup(o->arena, f->what)
                        : sc_printf(o->arena, "%s (the code of %s)", f->what, f->name);
    }
    o->n_kernel = k->n / o->n_level;
    o->kernel = r;
}

static void report_levels(ScObject *o, const CgModule *m)
{
    ScLevelReport *r = sc_array(o->arena, ScLevelReport, m->n_level);
    for (uint32_t i = 0; i < m->n_level; i++)
        r[i] =
            (ScLevelReport){sc_strdup(o->arena, m->levels[i].name), cg_weights_of(&m->weights, i)};
    o->n_level = m->n_level;
    o->level = r;
}

static void take_weights(ScObject *o, CgWeights *w)
{
    o->weights = w->p;
    o->n_weights = w->n;
    w->p = NULL;
}

/* The constant factor of an extent, 1 or more. */
static double factor(const ScTerm *t)
{
    double most = t->kind == SC_T_CONST || t->kind == SC_T_SUM ? fabs((double)t->c) : 1;
    for (uint32_t i = 0; i < t->n && t->kind == SC_T_SUM; i++)
        most = fmax(most, fabs((double)t->coef[i]));
    return fmax(most, 1);
}

/* No value is larger than memory can be, whatever its symbols: sums of sizes stay far from where
 * 64 bits end. loc: of the kernel around g, or NULL. */
static bool check_sizes(CgModule *m, const ScGraph *g, const ScLoc *loc)
{
    for (ScVal v = SC_FIRST; v < g->n_value; v++) {
        const ScNode *n = sc_def(g, v);
        const ScType *t = sc_type_of(g, v);
        double bytes = scrt_dtype_bits(t->dtype) / 8.0;
        for (uint32_t d = 0; d < t->rank; d++)
            bytes *= factor(t->dim[d]);
        if (bytes > 0x1p48)
            return sc_fail(m->cx, loc ? loc : n->loc, SC_E_LIMIT,
                           "a value of more than 2^48 bytes");
        for (uint32_t i = 0; i < n->op->n_sub && v == n->first; i++)
            if (!check_sizes(m, n->sub[i], n->loc))
                return false;
    }
    return true;
}

static bool embeds(const CgModule *m)
{
    return m->weights.n <= m->opt->embed_limit;
}

static bool write_model(CgModule *m, const CgKernels *k, uint32_t n, CgWork *u, CgModelParts *parts)
{
    bool ok = true;
    for (uint32_t i = 0; i < n && ok; i++) {
        cg_work_on(m, &u[i]);
        ok = cg_plan(m, k, u[i].region, &u[i].n_own);
    }
    ok = ok && cg_enter_states(m) && cg_weights_write(m);
    for (uint32_t i = 0; i < n && ok; i++) {
        cg_work_on(m, &u[i]);
        ok = cg_program(m, k, &u[i]);
    }
    parts->embed = embeds(m);
    ok = ok && cg_emit_model(m, k, n, u, parts);
    for (uint32_t i = 0; i < n; i++) {
        cg_program_done(&u[i].program);
        cg_plan_done(u[i].region);
    }
    return ok;
}

static bool make_kernels(CgModule *m, CgKernels *k, uint32_t n, CgWork *u)
{
    SC_STAGE(m->cx, "codegen");
    bool ok = cg_states(m, n, u);
    for (uint32_t i = 0; i < n && ok; i++) {
        cg_work_on(m, &u[i]);
        u[i].first = k->n;
        ok = check_sizes(m, m->g, NULL) && cg_kernels(m, k, &u[i].region);
        u[i].n_kernel = k->n - u[i].first;
    }
    return ok && cg_pack_operands(m, k);
}

static bool to_machine(CgModule *m, ScEmit emit, ScObject *o)
{
    SC_STAGE(m->cx, "LLVM");
    return cg_optimize(m) && cg_emit_module(m, emit, o->arena, &o->bytes, &o->n);
}

/* The graph of an entry that a level computes. */
static const ScGraph *graph_on(const CgTarget *level, const ScCodegenEntry *e)
{
    return level->numbers && e->numbers ? e->numbers : e->g;
}

/* Each entry on each level; those of a level share kernels (kernels.c). */
static CgWork *begin_entries(CgModule *m, uint32_t n, const ScCodegenEntry *entry)
{
    CgWork *u = sc_array(m->arena, CgWork, (size_t)m->n_level * n);
    for (uint32_t i = 0; i < m->n_level * n; i++)
        u[i] = (CgWork){.name = entry[i % n].name,
                        .g = graph_on(&m->levels[i / n], &entry[i % n]),
                        .target = m->levels[i / n]};
    return u;
}

static bool generate(CgModule *m, CgKernels *k, uint32_t n_entry, const ScCodegenEntry *entry,
                     ScObject *o, ScEmit emit)
{
    const ScGraph *g = entry[0].g;
    uint32_t n = m->n_level * n_entry;
    CgWork *u = begin_entries(m, n_entry, entry);
    CgModelParts parts = {
        .symbol = m->opt->symbol ? m->opt->symbol : identifier(m->arena, g->name),
        .name = g->name ? g->name : "",
        .info = m->opt->info ? m->opt->info : "{}",
    };
    *k = cg_kernels_begin(m, n, u);
    cg_listing_begin(m, n_entry, entry);
    if (!make_kernels(m, k, n, u) || !write_model(m, k, n, u, &parts))
        return false;
    o->listing = cg_listing_end(m, o->arena);
    if (!to_machine(m, emit, o))
        return false;
    o->emit = emit;
    o->embedded = embeds(m);
    o->symbol = sc_strdup(o->arena, parts.symbol);
    o->header = cg_header(m, o->arena, &parts, n_entry, u);
    o->foreign = sc_target_is_elsewhere(m->target.triple);
    report_levels(o, m);
    take_weights(o, &m->weights);
    report(o, k);
    return true;
}

ScObject *sc_codegen_entries(ScCtx *cx, uint32_t n, const ScCodegenEntry *entry,
                             const ScCodegenOptions *opt, ScEmit emit)
{
    static const ScCodegenOptions defaults = {.embed_limit = 64 << 20};
    CgModule m;
    uint32_t errors = sc_n_errors(cx);
    ScArena *a = sc_arena_new();
    ScObject *o = sc_new(a, ScObject);
    o->arena = a;
    CgKernels k = {0};
    bool ok = cg_module_init(&m, cx, opt ? opt : &defaults) && generate(&m, &k, n, entry, o, emit);
    cg_kernels_done(&k);
    cg_module_done(&m);
    if (ok && sc_n_errors(cx) == errors)
        return o;
    sc_object_free(o);
    return NULL;
}

ScObject *sc_codegen(ScCtx *cx, const ScGraph *g, const ScCodegenOptions *opt, ScEmit emit)
{
    const ScCodegenEntry main = {.name = "main", .g = g};
    return sc_codegen_entries(cx, 1, &main, opt, emit);
}

void sc_object_free(ScObject *o)
{
    if (!o)
        return;
    scrt_free(o->weights);
    sc_arena_free(o->arena);
}
