/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of a pass: begin, map, end; and what passes ask of values already built. */
#include <math.h>
#include <string.h>

#include "passes/passes_priv.h"

/* env points at map; what begin knows and end needs lies before it. */
typedef struct Frame {
    ScArena *scratch;
    const ScGraph *in;
    ScVal map[];
} Frame;

static Frame *frame_of(const ScVal *env)
{
    return (Frame *)((char *)(uintptr_t)env - offsetof(Frame, map));
}

/* An input or a state of both graphs. */
static void annotate_source(ScBuild *b, ScVal v, const ScValue *was)
{
    sc_annotated(b, v, was);
    sc_set_factor(b, v, was->factor);
    sc_set_means(b, v, was->means);
}

ScVal *sc_pass_begin(ScBuild *b, ScCtx *cx, const ScGraph *in)
{
    ScArena *scratch = sc_arena_new();
    Frame *f = sc_alloc(scratch, sizeof *f + in->n_value * sizeof *f->map);
    f->scratch = scratch;
    f->in = in;
    f->map[SC_POISON] = SC_POISON;
    f->map[SC_ABSENT] = SC_ABSENT;
    sc_build_init(b, cx, in->name, in->file);
    sc_build_flags(b, in->flags);
    if (in->source)
        sc_build_source(b, in->source);
    const ScLoc *at = b->at;
    for (uint32_t i = 0; i < in->n_in; i++) {
        const ScValue *v = &in->value[in->in[i]];
        b->at = in->node[v->node].loc;
        f->map[in->in[i]] = sc_input(b, v->name, v->type, v->exp);
        sc_set_content(b, f->map[in->in[i]], v->content);
        annotate_source(b, f->map[in->in[i]], v);
    }
    for (uint32_t i = 0; i < in->n_state; i++) {
        const ScState *s = &in->state[i];
        const ScValue *v = &in->value[s->past];
        b->at = in->node[v->node].loc;
        f->map[s->past] = sc_state_like(b, s, v->type, v->exp);
        sc_set_name(b, f->map[s->past], v->name);
        annotate_source(b, f->map[s->past], v);
    }
    b->at = at;
    for (uint32_t i = 0; i < in->n_guard; i++)
        sc_build_guard(b, &in->guard[i]);
    return f->map;
}

ScGraph *sc_pass_end(ScBuild *b, ScVal *env)
{
    return sc_pass_end_with(b, env, 0, NULL);
}

ScGraph *sc_pass_end_with(ScBuild *b, ScVal *env, uint32_t n, const ScVal *more)
{
    const ScGraph *in = frame_of(env)->in;
    ScVal *out = sc_array(sc_pass_scratch(env), ScVal, in->n_out + 1);
    for (uint32_t i = 0; i < in->n_out; i++)
        out[i] = env[in->out[i]];
    return sc_pass_end_as(b, env, out, n, more);
}

ScGraph *sc_pass_end_as(ScBuild *b, ScVal *env, const ScVal *out, uint32_t n, const ScVal *more)
{
    Frame *f = frame_of(env);
    const ScGraph *in = f->in;
    for (uint32_t i = 0; i < in->n_state; i++)
        sc_state_next(b, env[in->state[i].past], env[in->state[i].next]);
    for (uint32_t i = 0; i < in->n_out; i++)
        sc_output(b, in->out_name[i], out[i]);
    for (uint32_t i = 0; i < n; i++)
        sc_output(b, NULL, more[i]);
    sc_arena_free(f->scratch);
    return sc_build_end(b);
}

ScGraph *sc_pass_drop(ScBuild *b, ScVal *env)
{
    sc_arena_free(frame_of(env)->scratch);
    sc_build_drop(b);
    return NULL;
}

/* The graph is not handed out yet: its list of nested graphs may still change. */
static void replace_nested(ScGraph *g, const ScGraph *was, ScGraph *is)
{
    for (uint32_t i = 0; i < g->n_owned; i++)
        if (g->owned[i] == was) {
            sc_graph_free(g->owned[i]);
            ((ScGraph **)(uintptr_t)g->owned)[i] = is;
            return;
        }
}

ScGraph *sc_pass_nested(ScCtx *cx, ScGraph *g,
                        ScGraph *(*run)(ScCtx *cx, const ScGraph *g, void *arg), void *arg)
{
    for (uint32_t i = 0; g && i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t k = 0; n->op->control && k < n->op->n_sub; k++) {
            ScGraph *is = run(cx, n->sub[k], arg);
            if (!is) {
                sc_graph_free(g);
                return NULL;
            }
            replace_nested(g, n->sub[k], is);
            ((const ScGraph **)(uintptr_t)n->sub)[k] = is;
        }
    }
    return g;
}

typedef struct Inside {
    ScGraph *(*run)(ScCtx *cx, const ScGraph *g, const ScPassEnv *env);
    const ScPassEnv *env;
} Inside;

static ScGraph *run_inside(ScCtx *cx, const ScGraph *g, void *arg)
{
    const Inside *in = arg;
    return in->run(cx, g, in->env);
}

ScGraph *sc_pass_inside(ScCtx *cx, ScGraph *g,
                        ScGraph *(*run)(ScCtx *cx, const ScGraph *g, const ScPassEnv *env),
                        const ScPassEnv *env)
{
    return sc_pass_nested(cx, g, run_inside, &(Inside){run, env});
}

ScArena *sc_pass_scratch(const ScVal *env)
{
    return frame_of(env)->scratch;
}

const ScVal *sc_map(const ScVal *env, const ScNode *n)
{
    ScVal *in = sc_array(frame_of(env)->scratch, ScVal, n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = env[n->in[i]];
    return in;
}

const ScBlob *sc_built_blob(const ScBuild *b, ScVal v)
{
    if (v < SC_FIRST)
        return NULL;
    const ScNode *n = sc_built_def(b, v);
    return n->op->flags & SC_CONST_OP ? sc_attr(n, 0)->blob : NULL;
}

/* Elements wider than a double holds exactly are compared as integers. */
static bool splat_int(const ScBlob *blob, double *ret)
{
    int64_t first = scrt_load_int(blob->dtype, blob->data, 0);
    for (size_t i = 1; i < blob->count; i++)
        if (scrt_load_int(blob->dtype, blob->data, i) != first)
            return false;
    *ret = (double)first;
    return true;
}

bool sc_built_splat(const ScBuild *b, ScVal v, double *ret)
{
    const ScBlob *blob = sc_built_blob(b, v);
    if (!blob || !blob->data || blob->count == 0)
        return false;
    if (scrt_dtype_is_integer(blob->dtype))
        return splat_int(blob, ret);
    if (!scrt_dtype_is_float(blob->dtype))
        return false;
    double first = scrt_load(blob->dtype, blob->data, 0);
    for (size_t i = 1; i < blob->count; i++) {
        double x = scrt_load(blob->dtype, blob->data, i);
        if (x != first || signbit(x) != signbit(first))
            return false;
    }
    *ret = first;
    return first == first;
}

ScVal sc_const_again(ScBuild *b, const ScNode *def, const ScValue *v)
{
    int64_t dim[SCRT_MAX_RANK];
    sc_type_const_dims(v->type, dim);
    return sc_const_shaped(b, sc_attr(def, 0)->blob, v->type->dtype, v->type->rank, dim, v->exp);
}

ScVal sc_annotated(ScBuild *b, ScVal v, const ScValue *like)
{
    sc_set_exp(b, v, like->exp);
    sc_set_g(b, v, like->g);
    sc_set_amax(b, v, like->amax);
    return v;
}

ScVal sc_reshaped(ScBuild *b, ScVal x, uint32_t rank, const ScTerm *const *dim)
{
    const ScValue from = *sc_built(b, x);
    int64_t extent[SCRT_MAX_RANK];
    const ScBlob *blob = sc_built_blob(b, x);
    if (x < SC_FIRST)
        return x;
    const ScType *t = sc_type(b->cx, from.type->dtype, rank, dim);
    if (t == from.type)
        return x;
    ScVal out;
    if (blob && sc_type_const_dims(t, extent))
        out = sc_const_shaped(b, blob, t->dtype, rank, extent, from.exp);
    else
        out = sc_op_at(b, reshape, SC_ATTRS(SC_TERMS(rank, dim)), x);
    return sc_annotated(b, out, &from);
}

const ScAttr *sc_attr_named(const ScNode *n, const char *name)
{
    return sc_attr(n, (uint32_t)sc_attr_index(n->op, name));
}
