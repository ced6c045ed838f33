/* SPDX-License-Identifier: Apache-2.0 */
/* Constant folding: a node whose operands are constants is run once, now, by the evaluator.
 *
 * Results that would be larger than what they come from, and than 64 KiB, stay nodes: a model must
 * not grow because it is compiled. But what only products and convolutions read may, the weights of
 * a model in INT8 for one: they are packed once, where a run would decode and turn them again and
 * again. Nor must a small file fill the memory: all results together, those of nested graphs and of
 * an earlier folding among them, take no more than eight times the constants that the graph came
 * with, or 64 MiB; past that nodes stay nodes. What only the next node of a chain would read is
 * computed together with that, since the session keeps each constant that was ever made.
 * What is stored in FP8 stays so, and codes by blocks do where products read them. A view of a
 * constant that keeps its order is the same constant of another shape and copies nothing. Integers
 * whose elements inference knows (shapes, mostly) become constants even where their operands are
 * none. */
#include <string.h>

#include "passes/passes_priv.h"

#define ALWAYS_BYTES (64 * 1024)
#define MIN_BUDGET   ((size_t)64 << 20)
#define RATIO_BUDGET 8
#define MOST_LATER   8 /* nodes of a chain that are computed together */

typedef struct Fold {
    ScBuild b;
    const ScGraph *g;
    ScUses use;
    const ScVal *env;
    const bool *constant; /* [g->n_value] computed from constants alone */
    const bool *weights;  /* [g->n_value] the value becomes an operand of products alone */
    uint8_t *later;       /* [g->n_value] nodes up to it that its reader computes too; 0: none */
    size_t *budget;       /* bytes that results may still take, those of nested graphs too */
} Fold;

static bool bytes_of(const ScType *t, size_t *ret)
{
    int64_t dim[SCRT_MAX_RANK];
    size_t n = 1;
    if (t->kind != SC_TYPE_TENSOR || !sc_type_const_dims(t, dim))
        return false;
    for (uint32_t d = 0; d < t->rank; d++)
        if (__builtin_mul_overflow(n, (size_t)dim[d], &n))
            return false;
    return scrt_dtype_bits(t->dtype) > 0 && scrt_bytes(t->dtype, n, ret);
}

/* Bytes of the constants of g and of what is nested in it, by whether they came with a file. */
static void add_constants(const ScGraph *g, size_t *file, size_t *computed)
{
    size_t bytes;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t k = 0; k < n->op->n_sub; k++)
            add_constants(n->sub[k], file, computed);
        if (!(n->op->flags & SC_CONST_OP) || !bytes_of(sc_type_of(g, n->first), &bytes))
            continue;
        size_t *to = sc_attr(n, 0)->blob->computed ? computed : file;
        *to = bytes > SIZE_MAX / RATIO_BUDGET - *to ? SIZE_MAX / RATIO_BUDGET : *to + bytes;
    }
}

static size_t budget_of(const ScGraph *g)
{
    size_t file = 0, computed = 0;
    add_constants(g, &file, &computed);
    size_t all = file > MIN_BUDGET / RATIO_BUDGET ? file * RATIO_BUDGET : MIN_BUDGET;
    return all > computed ? all - computed : 0;
}

/* n reads FP8 as wider numbers: products read it as it is stored. */
static bool widens(const Fold *f, const ScNode *n)
{
    return (n->op->flags & SC_CONVERTS) && sc_is_fp8(sc_type_of(f->g, n->in[0])->dtype) &&
           !sc_is_fp8(sc_type_of(f->g, n->first)->dtype);
}

/* Which values are computed from constants alone. */
static bool *constants(const ScGraph *g, ScArena *a)
{
    bool *is = sc_array(a, bool, g->n_value);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        bool all = n->n_in > 0 && n->op->n_sub == 0 && !(n->op->flags & (SC_FRESH | SC_BARRIER));
        for (uint32_t k = 0; k < n->n_in; k++)
            all = all && (n->in[k] == SC_ABSENT || is[n->in[k]]);
        for (uint32_t k = 0; k < n->n_out; k++)
            is[n->first + k] = all || n->op->flags & SC_CONST_OP;
    }
    return is;
}

/* Of which values all readers are products and convolutions that take them as operands, or make one
 * of them and other constants, element by element or by another order. */
static bool *weights(const Fold *f, ScArena *a)
{
    const ScGraph *g = f->g;
    bool *is = sc_array(a, bool, g->n_value);
    for (ScVal v = g->n_value; v-- > SC_FIRST;) {
        is[v] = f->use.first[v] < f->use.first[v + 1];
        for (uint32_t k = f->use.first[v]; is[v] && k < f->use.first[v + 1]; k++) {
            ScUse u = f->use.use[k];
            const ScNode *n = u.node == UINT32_MAX ? NULL : &g->node[u.node];
            is[v] = n && ((u.operand < 32 && n->op->quantizable >> u.operand & 1) ||
                          ((n->op->lower.cls == SC_MAP || sc_is_view(n)) && f->constant[n->first] &&
                           is[n->first]));
        }
    }
    return is;
}

/* What is known of n before its operands are. */
static bool may_fold(const Fold *f, const ScNode *n)
{
    return !(n->op->flags & (SC_FRESH | SC_BARRIER | SC_CONST_OP)) && n->op->n_sub == 0 &&
           !widens(f, n) && !sc_is_read_as_codes(f->g, &f->use, n) &&
           !sc_is_read_as_integers(f->g, &f->use, f->constant, n) && sc_attrs_known(n);
}

/* Bytes of n's results; false where they are more than may be. from: of its operands. */
static bool result_bytes(const Fold *f, const ScNode *n, size_t from, size_t *ret)
{
    size_t bytes;
    *ret = 0;
    for (uint32_t i = 0; i < n->n_out; i++)
        if (!bytes_of(f->g->value[n->first + i].type, &bytes) ||
            __builtin_add_overflow(*ret, bytes, ret))
            return false;
    bool grows = *ret > ALWAYS_BYTES && *ret > from;
    return *ret <= *f->budget && (!grows || f->weights[n->first]);
}

/* Whether n may be computed: its operands are constants with data and its results, of *ret bytes,
 * are no larger than allowed. */
static bool foldable(const Fold *f, const ScNode *n, const ScVal *in, size_t *ret)
{
    size_t from = 0, bytes;
    bool any = false;
    if (!may_fold(f, n))
        return false;
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (in[i] == SC_ABSENT)
            continue;
        const ScBlob *blob = sc_built_blob(&f->b, in[i]);
        if ((!blob || !blob->data) && !f->later[n->in[i]])
            return false;
        if (!bytes_of(sc_built(&f->b, in[i])->type, &bytes))
            return false;
        from += bytes;
        any = true;
    }
    return any && result_bytes(f, n, from, ret);
}

/* The result of n, of so many bytes, is read by one node, elementwise, that is sure to be computed
 * if there is room for what comes of it: then by that. */
static bool waits(Fold *f, const ScNode *n, size_t bytes)
{
    uint32_t use = f->use.first[n->first], depth = 0;
    ScUse u = f->use.use[use];
    if (bytes <= ALWAYS_BYTES || n->n_out != 1 || f->use.first[n->first + 1] != use + 1 ||
        u.node == UINT32_MAX)
        return false;
    const ScNode *reader = &f->g->node[u.node];
    if (reader->op->lower.cls != SC_MAP || !f->constant[reader->first] || !may_fold(f, reader) ||
        !result_bytes(f, reader, bytes, &bytes))
        return false;
    for (uint32_t i = 0; i < n->n_in; i++)
        depth = f->later[n->in[i]] > depth ? f->later[n->in[i]] : depth;
    f->later[n->first] = depth < MOST_LATER ? (uint8_t)(depth + 1) : 0;
    return f->later[n->first];
}

/* Old value v in a graph alone: a constant, or computed there. */
static ScVal operand_alone(const Fold *f, ScBuild *one, ScVal v)
{
    ScVal now = f->env[v], x[SC_MAX_IN], y;
    const ScNode *n = sc_def(f->g, v);
    if (v == SC_ABSENT)
        return v;
    if (!f->later[v])
        return sc_const_again(one, sc_built_def(&f->b, now), sc_built(&f->b, now));
    ScArena *a = sc_arena_new();
    ScVal *in = n->n_in <= SC_MAX_IN ? x : sc_array(a, ScVal, n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = operand_alone(f, one, n->in[i]);
    one->at = n->loc;
    sc_node(one, n->op, n->attr, NULL, n->n_in, in, 1, &y);
    sc_arena_free(a);
    return y;
}

/* n alone in a graph, on constants; NULL with errors in cx. */
static ScGraph *alone(const Fold *f, const ScNode *n)
{
    ScBuild one;
    ScVal x[SC_MAX_IN], y[SC_MAX_OUT];
    ScArena *a = sc_arena_new();
    ScVal *operand = n->n_in <= SC_MAX_IN ? x : sc_array(a, ScVal, n->n_in);
    sc_build_init(&one, f->b.cx, "fold", NULL);
    for (uint32_t i = 0; i < n->n_in; i++)
        operand[i] = operand_alone(f, &one, n->in[i]);
    one.at = n->loc;
    sc_node(&one, n->op, n->attr, NULL, n->n_in, operand, n->n_out, y);
    for (uint32_t i = 0; i < n->n_out; i++)
        sc_output(&one, sc_intern(f->b.cx, sc_printf(a, "y%u", i)), y[i]);
    sc_arena_free(a);
    return sc_build_end(&one);
}

static bool compute(Fold *f, const ScNode *n, const ScVal *in, ScVal *ret_out)
{
    ScBuild *b = &f->b;
    ScrtTensor t[SC_MAX_OUT] = {{0}};
    ScGraph *g = alone(f, n);
    bool ok = g && sc_eval(g, NULL, t, NULL);
    for (uint32_t i = 0; ok && i < n->n_out; i++)
        ret_out[i] = sc_const(b, sc_blob_computed(b->cx, &t[i]), (ScrtDtype)t[i].dtype, NULL);
    for (uint32_t i = 0; i < n->n_out; i++)
        scrt_free(t[i].data);
    for (uint32_t i = 0; i < n->n_in; i++)
        if (in[i] != SC_ABSENT && !f->later[n->in[i]])
            sc_blob_forget(b->cx, sc_built_blob(b, in[i]));
    sc_graph_free(g);
    return ok;
}

/* n as constants, if it is computed now. */
static bool fold_node(Fold *f, const ScNode *n, const ScVal *in, ScVal *ret_out)
{
    size_t bytes;
    if (!foldable(f, n, in, &bytes) || waits(f, n, bytes) || !compute(f, n, in, ret_out))
        return false;
    *f->budget -= bytes;
    return true;
}

/* A view that keeps the order of a constant's elements is that constant, reshaped. */
static bool reshape_const(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                          ScVal *ret_out)
{
    int64_t dim[SCRT_MAX_RANK];
    uint32_t self = g->value[n->first].node;
    ScView view;
    const ScType *t = sc_type_of(g, n->first);
    const ScBlob *blob = sc_is_view(n) ? sc_built_blob(b, in[0]) : NULL;
    if (!blob || !sc_type_const_dims(t, dim) || !sc_view_chain(g, n->in[0], 1, &self, &view) ||
        !sc_view_is_plain(g->cx, &view) ||
        sc_type_count(g->cx, t) != sc_type_count(g->cx, sc_type_of(g, n->in[0])))
        return false;
    ret_out[0] = sc_const_shaped(b, blob, t->dtype, t->rank, dim, NULL);
    return true;
}

/* The constant that integer value v of the new graph is known to be, or v. */
static ScVal known_content(ScBuild *b, ScVal v)
{
    const ScValue value = *sc_built(b, v);
    int64_t dim[SCRT_MAX_RANK], x;
    size_t bytes;
    if (v < SC_FIRST || !value.content || !bytes_of(value.type, &bytes) ||
        (!scrt_dtype_is_integer(value.type->dtype) && value.type->dtype != SCRT_BOOL) ||
        sc_built_blob(b, v))
        return v;
    sc_type_const_dims(value.type, dim);
    ScrtTensor t = {.dtype = value.type->dtype, .rank = value.type->rank};
    memcpy(t.dims, dim, t.rank * sizeof *dim);
    size_t n = (size_t)scrt_count(&t);
    t.data = sc_alloc(sc_ctx_arena(b->cx), bytes);
    for (size_t i = 0; i < n; i++) {
        if (!sc_term_const(value.content[i], &x))
            return v;
        scrt_store_int(value.type->dtype, t.data, i, x);
    }
    return sc_const(b, sc_blob_computed(b->cx, &t), value.type->dtype, NULL);
}

/* --- Nested graphs --------------------------------------------------------------------------- */

/* Operand i of n enters nested graphs as a constant: they have it for themselves. */
static bool enters(const ScBuild *b, const ScNode *n, const ScVal *in, uint32_t i)
{
    return i >= n->op->enter.operand + sc_carried(n) && sc_built_blob(b, in[i]);
}

/* Nested graph g of n without the inputs that are constants. */
static ScGraph *with_constants(ScBuild *b, const ScNode *n, const ScGraph *g, const ScVal *in)
{
    ScBuild one;
    ScArena *a = sc_arena_new();
    ScVal *env = sc_array(a, ScVal, g->n_value);
    sc_build_init(&one, b->cx, g->name, g->file);
    sc_build_flags(&one, g->flags);
    for (uint32_t i = 0; i < g->n_guard; i++)
        sc_build_guard(&one, &g->guard[i]);
    env[SC_ABSENT] = SC_ABSENT;
    for (uint32_t i = 0; i < g->n_in; i++) {
        const ScValue *v = &g->value[g->in[i]];
        uint32_t k = i - n->op->enter.input + n->op->enter.operand;
        one.at = g->node[v->node].loc;
        if (i >= n->op->enter.input && enters(b, n, in, k)) {
            env[g->in[i]] = sc_const_again(&one, sc_built_def(b, in[k]), sc_built(b, in[k]));
            sc_set_name(&one, env[g->in[i]], v->name);
        } else {
            env[g->in[i]] = sc_input(&one, v->name, v->type, v->exp);
            sc_set_content(&one, env[g->in[i]], v->content);
        }
    }
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *m = &g->node[i];
        ScVal *x = sc_array(a, ScVal, m->n_in);
        for (uint32_t k = 0; k < m->n_in; k++)
            x[k] = env[m->in[k]];
        if (!(m->op->flags & SC_BARRIER))
            sc_copy_node(&one, g, m, x, &env[m->first]);
    }
    for (uint32_t i = 0; i < g->n_out; i++)
        sc_output(&one, g->out_name[i], env[g->out[i]]);
    sc_arena_free(a);
    return sc_build_end(&one);
}

/* n with the constants among its operands in its nested graphs; false where there are none. */
static bool take_constants_in(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in,
                              ScVal *ret_out)
{
    bool any = false;
    for (uint32_t i = 0; n->op->control && i < n->n_in; i++)
        any = any || enters(b, n, in, i);
    if (!any)
        return false;
    ScArena *a = sc_arena_new();
    ScVal *rest = sc_array(a, ScVal, n->n_in);
    ScGraph **sub = sc_array(a, ScGraph *, n->op->n_sub);
    uint32_t n_rest = 0;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (!enters(b, n, in, i))
            rest[n_rest++] = in[i];
    for (uint32_t i = 0; i < n->op->n_sub; i++)
        sub[i] = with_constants(b, n, n->sub[i], in);
    sc_node(b, n->op, n->attr, sub, n_rest, rest, n->n_out, ret_out);
    for (uint32_t i = 0; i < n->n_out; i++)
        sc_set_name(b, ret_out[i], g->value[n->first + i].name);
    sc_arena_free(a);
    return true;
}

/* --- The pass -------------------------------------------------------------------------------- */

static ScGraph *fold(ScCtx *cx, const ScGraph *old, void *budget)
{
    ScArena *a = sc_arena_new();
    const bool *constant = constants(old, a);
    ScGraph *turned = sc_turn_weights(cx, old, constant);
    const ScGraph *g = turned ? turned : old;
    Fold f = {.g = g, .budget = budget};
    ScBuild *b = &f.b;
    ScVal *env = sc_pass_begin(b, cx, g);
    f.env = env;
    f.use = sc_uses(g, sc_pass_scratch(env));
    f.constant = turned ? constants(g, a) : constant;
    f.weights = weights(&f, sc_pass_scratch(env));
    f.later = sc_array(sc_pass_scratch(env), uint8_t, g->n_value);
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        const ScVal *in = sc_map(env, n);
        ScVal *out = &env[n->first];
        if (n->op->flags & SC_BARRIER)
            continue;
        b->at = n->loc;
        bool folded = reshape_const(b, g, n, in, out) || fold_node(&f, n, in, out);
        if (!folded && !take_constants_in(b, g, n, in, out))
            sc_copy_node(b, g, n, in, out);
        for (uint32_t k = 0; k < n->n_out; k++) {
            out[k] = folded || (n->op->flags & SC_FRESH) ? out[k] : known_content(b, out[k]);
            sc_set_name(b, out[k], g->value[n->first + k].name);
        }
    }
    ScGraph *ret = sc_pass_end(b, env);
    sc_graph_free(turned);
    sc_arena_free(a);
    return sc_pass_nested(cx, ret, fold, budget);
}

ScGraph *sc_pass_fold(ScCtx *cx, const ScGraph *g, const ScPassEnv *pass_env)
{
    (void)pass_env;
    size_t budget = budget_of(g);
    return fold(cx, g, &budget);
}
