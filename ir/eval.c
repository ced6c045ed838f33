/* SPDX-License-Identifier: Apache-2.0 */
/* The reference: runs a graph node by node with the rows' own plain C. A row without an evaluation
 * runs its expansion, a kernel its nested graph, each as a graph of its own on the same data. A
 * tensor is freed when its last user has run; inputs, and constants that are stored as they are,
 * are borrowed. */
#include "ir/eval_priv.h"

#include "runtime/handles.h"

#include <math.h>
#include <string.h>

#define NEVER UINT32_MAX /* last use of what leaves the graph */

/* --- Shapes ---------------------------------------------------------------------------------- */

static void tensor_text(const ScrtTensor *t, ScStr *out)
{
    const char *name = scrt_dtype_name((ScrtDtype)t->dtype);
    sc_str_addf(out, "%s[", name ? name : "?");
    for (uint32_t i = 0; i < t->rank && i < SCRT_MAX_RANK; i++)
        sc_str_addf(out, i ? ",%lld" : "%lld", (long long)t->dims[i]);
    sc_str_add(out, "]");
}

static bool bad_tensor(ScCtx *cx, const char *what, const char *name, const ScrtTensor *given,
                       const ScType *want)
{
    ScStr a = {0}, b = {0};
    tensor_text(given, &a);
    sc_type_print(want, &b);
    sc_fail(cx, NULL, SC_E_INPUT, "%s %s is %s, the graph wants %s", what, name ? name : "",
            sc_str_get(&a), sc_str_get(&b));
    sc_str_free(&a);
    sc_str_free(&b);
    return false;
}

typedef struct Binder {
    ScBinding *env;
    uint32_t n, cap;
} Binder;

static bool bound(const Binder *b, const char *sym)
{
    for (uint32_t i = 0; i < b->n; i++)
        if (b->env[i].sym == sym)
            return true;
    return false;
}

static void bind(Binder *b, const char *sym, int64_t value)
{
    ScBinding x = {.sym = sym, .value = value};
    if (!bound(b, sym))
        sc_buf_push(b->env, b->n, b->cap, x);
}

/* Solves dim = value for a symbol: n, and c + k * n where that has a whole solution. */
static void bind_dim(Binder *b, const ScTerm *dim, int64_t value)
{
    int64_t rest;
    if (value < 0)
        return;
    if (dim->kind == SC_T_SYM)
        bind(b, dim->sym, value);
    else if (dim->kind == SC_T_SUM && dim->n == 1 && dim->arg[0]->kind == SC_T_SYM &&
             !__builtin_sub_overflow(value, dim->c, &rest) && rest % dim->coef[0] == 0)
        bind(b, dim->arg[0]->sym, rest / dim->coef[0]);
}

static bool dims_fit(const ScType *t, const ScrtTensor *x, uint32_t n_env, const ScBinding *env)
{
    int64_t want;
    if (x->dtype != t->dtype || x->rank != t->rank)
        return false;
    for (uint32_t i = 0; i < t->rank; i++)
        if (!sc_term_eval(t->dim[i], n_env, env, &want) || want != x->dims[i] || want < 0)
            return false;
    return true;
}

/* The extents of states that grow: those of the tensors given, else the first values'. */
static void bind_states(Binder *b, const ScGraph *g, const ScrtTensor *state)
{
    for (uint32_t i = 0; i < g->n_state; i++) {
        const ScType *t = sc_type_of(g, g->state[i].past);
        uint32_t axis = sc_state_axis(&g->state[i], t);
        bool given = state && state[i].rank == t->rank;
        const ScType *first = sc_state_first(g->cx, &g->state[i], t);
        int64_t n = 0;
        if (axis == t->rank)
            continue;
        if (first)
            sc_term_const(first->dim[axis], &n);
        bind(b, g->state[i].grows, given ? state[i].dims[axis] : n);
    }
}

bool sc_bind_dims(const ScGraph *g, const ScrtTensor *in, const ScrtTensor *state, ScArena *a,
                  ScBinding **ret, uint32_t *ret_n)
{
    Binder b = {0};
    bool ok = true;
    bind_states(&b, g, state);
    for (int plain = 1; plain >= 0; plain--) /* symbols alone first: they need no solving */
        for (uint32_t i = 0; i < g->n_in; i++) {
            const ScType *t = sc_type_of(g, g->in[i]);
            for (uint32_t k = 0; k < t->rank && in[i].rank == t->rank; k++)
                if ((t->dim[k]->kind == SC_T_SYM) == plain)
                    bind_dim(&b, t->dim[k], in[i].dims[k]);
        }
    for (uint32_t i = 0; i < g->n_in && ok; i++) {
        const ScType *t = sc_type_of(g, g->in[i]);
        ok = dims_fit(t, &in[i], b.n, b.env) ||
             bad_tensor(g->cx, "input", g->value[g->in[i]].name, &in[i], t);
    }
    if (ok) {
        *ret = sc_memdup(a, b.env, b.n * sizeof *b.env);
        *ret_n = b.n;
    }
    sc_buf_free(b.env);
    return ok;
}

/* A tensor of the value's type, zeroed. */
static bool make_tensor(ScFrame *f, const ScNode *n, ScVal v, ScrtTensor *ret)
{
    const ScType *t = sc_type_of(f->g, v);
    ScrtTensor r = {.dtype = t->dtype, .rank = t->rank};
    for (uint32_t i = 0; i < t->rank; i++)
        if (!sc_term_eval(t->dim[i], f->run->n_env, f->run->env, &r.dims[i]) || r.dims[i] < 0) {
            ScStr s = {0};
            sc_type_print(t, &s);
            sc_fail(f->run->cx, n->loc, SC_E_INPUT, "the shape %s has no value", sc_str_get(&s));
            sc_str_free(&s);
            return false;
        }
    if (scrt_tensor_alloc(&r) != SCRT_OK)
        return sc_fail(f->run->cx, n->loc, SC_E_RUN, "no memory for a result of %s", n->op->name);
    *ret = r;
    return true;
}

int64_t sc_eval_term(const ScEval *e, const ScTerm *t)
{
    int64_t x = 0;
    if (sc_term_eval(t, e->n_env, e->env, &x))
        return x;
    ScStr s = {0};
    sc_term_print(t, &s);
    sc_fail(e->cx, e->n->loc, SC_E_INPUT, "%s: the term %s has no value", e->n->op->name,
            sc_str_get(&s));
    sc_str_free(&s);
    return 0;
}

/* --- Values ---------------------------------------------------------------------------------- */

static void release(ScFrame *f, ScVal v)
{
    if (f->owned[v])
        scrt_free(f->t[v].data);
    f->owned[v] = false;
    f->t[v].data = NULL;
}

static bool binds_elements(const ScNode *n)
{
    return (n->op->flags & SC_BINDS) && n->op->n_sub == 0;
}

/* The value is known: its exponent too, and whoever watches is told. */
static bool settle(ScFrame *f, const ScNode *n, ScVal v, ScrtTensor t, bool owned)
{
    const ScValue *x = &f->g->value[v];
    f->t[v] = t;
    f->owned[v] = owned;
    if (x->exp && !sc_term_eval(x->exp, f->run->n_env, f->run->env, &f->exp[v])) {
        ScStr s = {0};
        sc_term_print(x->exp, &s);
        sc_fail(f->run->cx, n->loc, SC_E_INPUT, "the exponent %s has no value", sc_str_get(&s));
        sc_str_free(&s);
        return false;
    }
    const ScEvalOptions *o = f->run->opt;
    if (o && o->see && !f->silent)
        o->see(o->arg, f->g, v, &f->t[v], f->exp[v], f->depth);
    if (f->last[v] == f->g->value[v].node && !binds_elements(n))
        release(f, v); /* nobody reads it */
    return true;
}

/* Hands a value out: the tensor itself the last time, else a copy. */
static bool take(ScFrame *f, ScVal v, ScrtTensor *ret)
{
    ScrtTensor r = f->t[v];
    size_t bytes;
    if (--f->pins[v] == 0 && f->owned[v]) {
        f->owned[v] = false;
        *ret = r;
        return true;
    }
    if (scrt_tensor_alloc(&r) != SCRT_OK || !scrt_tensor_bytes(&r, &bytes))
        return sc_fail(f->run->cx, NULL, SC_E_RUN, "no memory for an output");
    if (bytes)
        memcpy(r.data, f->t[v].data, bytes);
    *ret = r;
    return true;
}

static void find_last_uses(ScFrame *f)
{
    const ScGraph *g = f->g;
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        f->last[v] = g->value[v].node;
    for (uint32_t i = 0; i < g->n_node; i++)
        for (uint32_t k = 0; k < g->node[i].n_in; k++)
            f->last[g->node[i].in[k]] = i;
    for (uint32_t i = 0; i < g->n_out + g->n_state; i++) {
        ScVal v = i < g->n_out ? g->out[i] : g->state[i - g->n_out].next;
        f->last[v] = NEVER;
        f->pins[v]++;
    }
}

/* --- Guards ---------------------------------------------------------------------------------- */

typedef struct Late { /* whether a symbol is bound later */
    const ScRun *run;
    bool late;
} Late;

static void see_late(void *arg, const char *sym)
{
    Late *l = arg;
    bool known = false;
    for (uint32_t i = 0; i < l->run->n_env; i++)
        known |= l->run->env[i].sym == sym;
    l->late |= !known;
}

static bool is_late(const ScRun *run, const ScGuard *g)
{
    Late l = {.run = run};
    sc_term_symbols(g->a, see_late, &l);
    sc_term_symbols(g->b, see_late, &l);
    return l.late;
}

typedef struct Where { /* which dims of inputs symbols are, as text */
    const ScGraph *g;
    ScStr text;
    const char *seen[8];
    uint32_t n;
} Where;

static void see_origin(void *arg, const char *sym)
{
    Where *w = arg;
    for (uint32_t i = 0; i < w->n; i++)
        if (w->seen[i] == sym)
            return;
    for (uint32_t i = 0; i < w->g->n_in && w->n < 8; i++) {
        const ScType *t = sc_type_of(w->g, w->g->in[i]);
        const char *name = w->g->value[w->g->in[i]].name;
        for (uint32_t d = 0; d < t->rank; d++)
            if (t->dim[d]->kind == SC_T_SYM && t->dim[d]->sym == sym) {
                sc_str_addf(&w->text, "%s%s is dimension %u of input '%s'", w->n ? "; " : " (", sym,
                            d, name ? name : "");
                w->seen[w->n++] = sym;
                return;
            }
    }
}

static bool check_guard(ScFrame *f, const ScGuard *g)
{
    int64_t x, y;
    const ScRun *run = f->run;
    bool first = sc_term_eval(g->a, run->n_env, run->env, &x);
    bool known = first && sc_term_eval(g->b, run->n_env, run->env, &y);
    if (known && sc_guard_holds(g->kind, x, y))
        return true;
    char text[400];
    ScStr a = {0}, b = {0};
    Where w = {.g = f->g};
    sc_term_print(g->a, &a);
    sc_term_print(g->b, &b);
    sc_term_symbols(g->a, see_origin, &w);
    sc_term_symbols(g->b, see_origin, &w);
    if (known)
        scrt_guard_text(text, sizeof text, g->kind, sc_str_get(&a), x, sc_str_get(&b), y);
    else /* beyond 64 bits, or of extents that do not fit */
        snprintf(text, sizeof text, "%.300s has no value", sc_str_get(first ? &b : &a));
    sc_fail(run->cx, g->loc, SC_E_INPUT, "%s: %s%s%s", g->what, text, sc_str_get(&w.text),
            w.text.n ? ")" : "");
    sc_str_free(&a);
    sc_str_free(&b);
    sc_str_free(&w.text);
    return false;
}

/* All whose symbols are known, and were not when the first n_before were bound. */
static bool check_guards(ScFrame *f, uint32_t n_before)
{
    ScRun before = *f->run;
    before.n_env = n_before;
    for (uint32_t i = 0; i < f->g->n_guard; i++) {
        const ScGuard *g = &f->g->guard[i];
        if (is_late(f->run, g) || (n_before && !is_late(&before, g)))
            continue;
        if (!check_guard(f, g))
            return false;
    }
    return true;
}

/* The symbols that n binds to extents of its results are known from here on. */
static bool bind_extents(ScFrame *f, const ScNode *n, const ScrtTensor *out)
{
    ScRun *run = f->run;
    uint32_t before = run->n_env, at = 0;
    for (uint32_t i = 0; i < n->n_out; i++)
        for (uint32_t d = 0; d < out[i].rank; d++, at++)
            if (at < n->attr[0].n && n->attr[0].ts[at]->kind == SC_T_SYM) {
                ScBinding b = {n->attr[0].ts[at]->sym, out[i].dims[d]};
                sc_buf_push(run->env, run->n_env, run->cap_env, b);
            }
    return check_guards(f, before);
}

/* --- Nodes ----------------------------------------------------------------------------------- */

static bool run_const(ScFrame *f, const ScNode *n)
{
    const ScValue *v = &f->g->value[n->first];
    const ScBlob *b = n->attr[0].blob;
    int64_t exp = 0;
    if (v->exp && !sc_term_eval(v->exp, f->run->n_env, f->run->env, &exp))
        return sc_fail(f->run->cx, n->loc, SC_E_INPUT, "a constant's exponent has no value");
    if (!b->data)
        return sc_fail(f->run->cx, n->loc, SC_E_BLOB, "@%s", b->name ? b->name : "");
    ScrtTensor t = {.dtype = v->type->dtype, .rank = v->type->rank};
    if (b->dtype == v->type->dtype && exp == 0 && sc_type_const_dims(v->type, t.dims)) {
        t.data = (void *)(uintptr_t)b->data; /* borrowed: nothing writes to operands */
        return settle(f, n, n->first, t, false);
    }
    if (!sc_blob_tensor(b, v->type, exp, &t))
        return sc_fail(f->run->cx, n->loc, SC_E_RUN, "no memory for a constant");
    return settle(f, n, n->first, t, true);
}

/* The row's expansion as a graph whose inputs are the operands that are there. A law holds on the
 * data, whatever the exponents, so the expansion has none. */
static ScGraph *build_expansion(ScFrame *f, const ScNode *n)
{
    ScBuild b;
    ScVal *in = sc_array(f->a, ScVal, n->n_in + 1u), *out = sc_array(f->a, ScVal, n->n_out);
    sc_build_init(&b, f->run->cx, n->op->name, f->g->file);
    b.at = n->loc;
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = n->in[i] == SC_ABSENT ? SC_ABSENT
                                      : sc_input(&b, NULL, sc_type_of(f->g, n->in[i]), NULL);
    sc_expand(&b, f->g, n, in, out);
    for (uint32_t i = 0; i < n->n_out; i++)
        sc_output(&b, NULL, out[i]);
    return sc_build_end(&b);
}

static bool run_expansion(ScFrame *f, const ScNode *n, const ScrtTensor *const *in, ScrtTensor *out)
{
    const ScrtTensor **present = sc_array(f->a, const ScrtTensor *, n->n_in + 1u);
    uint32_t n_present = 0;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (in[i])
            present[n_present++] = in[i];
    ScGraph *g = build_expansion(f, n);
    bool ok = g && sc_eval_graph(f->run, g, present, out, f->depth, true);
    sc_graph_free(g);
    return ok;
}

static bool run_row(ScFrame *f, const ScNode *n, const ScrtTensor *const *in, ScrtTensor *out)
{
    int64_t *exp_in = sc_array(f->a, int64_t, n->n_in + 1u);
    int64_t *exp_out = sc_array(f->a, int64_t, n->n_out);
    for (uint32_t i = 0; i < n->n_in; i++)
        exp_in[i] = f->exp[n->in[i]];
    for (uint32_t i = 0; i < n->n_out; i++) {
        const ScTerm *e = f->g->value[n->first + i].exp;
        if (e && !sc_term_eval(e, f->run->n_env, f->run->env, &exp_out[i]))
            return sc_fail(f->run->cx, n->loc, SC_E_INPUT, "a result's exponent has no value");
        if (!make_tensor(f, n, n->first + i, &out[i]))
            return false;
    }
    ScNode named = *n;
    if (!n->loc || n->loc->n == 0)
        named.loc = f->run->loc;
    ScEval e = {.cx = f->run->cx,
                .g = f->g,
                .n = &named,
                .in = in,
                .out = out,
                .exp_in = exp_in,
                .exp_out = exp_out,
                .env = f->run->env,
                .n_env = f->run->n_env};
    uint32_t errors = sc_n_errors(f->run->cx);
    bool ok = n->op->eval(&e);
    if (!ok && sc_n_errors(f->run->cx) == errors)
        sc_fail(f->run->cx, n->loc, SC_E_RUN, "%s cannot be evaluated", n->op->name);
    return ok && sc_n_errors(f->run->cx) == errors;
}

/* A graph that stands for a node must give what the node's type says. */
static bool results_fit(ScFrame *f, const ScNode *n, const ScrtTensor *out)
{
    for (uint32_t i = 0; i < n->n_out; i++)
        if (!dims_fit(sc_type_of(f->g, n->first + i), &out[i], f->run->n_env, f->run->env)) {
            ScStr a = {0}, b = {0};
            tensor_text(&out[i], &a);
            sc_type_print(sc_type_of(f->g, n->first + i), &b);
            sc_fail(f->run->cx, n->loc, SC_E_RUN, "%s gives %s by its own graph, not %s",
                    n->op->name, sc_str_get(&a), sc_str_get(&b));
            sc_str_free(&a);
            sc_str_free(&b);
            return false;
        }
    return true;
}

static bool run_kernel(ScFrame *f, const ScNode *n, const ScrtTensor *const *in, ScrtTensor *out)
{
    const ScLoc *around = f->run->loc;
    f->run->loc = n->loc;
    bool ok = sc_eval_graph(f->run, n->sub[0], in, out, f->depth + 1, f->silent);
    f->run->loc = around;
    return ok;
}

static bool run_node(ScFrame *f, const ScNode *n)
{
    const ScrtTensor **in = sc_array(f->a, const ScrtTensor *, n->n_in + 1u);
    ScrtTensor *out = sc_array(f->a, ScrtTensor, n->n_out);
    for (uint32_t i = 0; i < n->n_in; i++)
        in[i] = n->in[i] == SC_ABSENT ? NULL : &f->t[n->in[i]];
    bool ok;
    if (n->op->eval)
        ok = run_row(f, n, in, out);
    else if (n->op->control)
        ok = sc_eval_control(f, n, in, out);
    else if (n->op->lower.cls == SC_KERNEL)
        ok = run_kernel(f, n, in, out);
    else if (n->op->expand)
        ok = run_expansion(f, n, in, out);
    else
        ok = sc_fail(f->run->cx, n->loc, SC_E_RUN, "%s has no evaluation", n->op->name);
    if (ok && !n->op->eval)
        ok = (!n->op->control || bind_extents(f, n, out)) && results_fit(f, n, out);
    for (uint32_t i = 0; i < n->n_out; i++) {
        if (ok)
            ok = settle(f, n, n->first + i, out[i], true);
        else
            scrt_free(out[i].data);
    }
    return ok;
}

/* --- Graphs ----------------------------------------------------------------------------------- */

/* The symbols that n binds to the elements of its result are known from here on. */
static bool bind_elements(ScFrame *f, const ScNode *n)
{
    ScRun *run = f->run;
    uint32_t before = run->n_env;
    const ScrtTensor *t = &f->t[n->first];
    for (uint32_t i = 0; i < n->attr[0].n; i++) {
        ScBinding b = {n->attr[0].ts[i]->sym, scrt_load_int((ScrtDtype)t->dtype, t->data, i)};
        sc_buf_push(run->env, run->n_env, run->cap_env, b);
    }
    return check_guards(f, before);
}

static bool is_known(const ScRun *run, const char *sym)
{
    for (uint32_t i = 0; i < run->n_env; i++)
        if (run->env[i].sym == sym)
            return true;
    return false;
}

/* The symbols that a nested graph binds at its head. */
static void bind_inputs(ScFrame *f, const ScrtTensor *const *in)
{
    ScRun *run = f->run;
    for (uint32_t i = 0; i < f->g->n_in; i++) {
        const ScType *t = sc_type_of(f->g, f->g->in[i]);
        for (uint32_t d = 0; d < t->rank; d++)
            if (t->dim[d]->kind == SC_T_SYM && !is_known(run, t->dim[d]->sym))
                sc_buf_push(run->env, run->n_env, run->cap_env,
                            ((ScBinding){t->dim[d]->sym, in[i]->dims[d]}));
    }
}

/* Tensors of a nested graph are what its types say: a carried value may have become another. */
static bool inputs_fit(ScFrame *f, const ScrtTensor *const *in)
{
    for (uint32_t i = 0; f->depth > 0 && i < f->g->n_in; i++) {
        const ScType *t = sc_type_of(f->g, f->g->in[i]);
        if (!dims_fit(t, in[i], f->run->n_env, f->run->env))
            return bad_tensor(f->run->cx, "input", f->g->value[f->g->in[i]].name, in[i], t);
    }
    return true;
}

static bool set_inputs(ScFrame *f, const ScrtTensor *const *in)
{
    if (!inputs_fit(f, in))
        return false;
    for (uint32_t i = 0; i < f->g->n_in; i++)
        if (!settle(f, sc_def(f->g, f->g->in[i]), f->g->in[i], *in[i], false))
            return false;
    return true;
}

static bool set_states(ScFrame *f)
{
    const ScEvalOptions *o = f->run->opt;
    for (uint32_t i = 0; i < f->g->n_state; i++) {
        const ScState *s = &f->g->state[i];
        const ScValue *v = &f->g->value[s->past];
        const ScNode *n = sc_def(f->g, s->past);
        ScrtTensor t = {0};
        bool given = o && o->state && f->depth == 0 && !f->silent;
        int64_t exp = 0;
        if (given)
            t = o->state[i];
        if (given && !dims_fit(v->type, &t, f->run->n_env, f->run->env))
            return bad_tensor(f->run->cx, "state", s->name, &t, v->type);
        if (v->exp && !sc_term_eval(v->exp, f->run->n_env, f->run->env, &exp))
            return sc_fail(f->run->cx, n->loc, SC_E_INPUT, "a state's exponent has no value");
        if (!given && s->init && !s->init->data)
            return sc_fail(f->run->cx, n->loc, SC_E_BLOB, "@%s",
                           s->init->name ? s->init->name : "");
        const ScType *first = sc_state_first(f->g->cx, s, v->type);
        if (!given && (s->init ? !first || !sc_blob_tensor(s->init, first, exp, &t)
                               : !make_tensor(f, n, s->past, &t)))
            return sc_fail(f->run->cx, n->loc, SC_E_RUN, "state @%s has no initial value", s->name);
        if (!settle(f, n, s->past, t, !given))
            return false;
    }
    return true;
}

static bool run_nodes(ScFrame *f)
{
    for (uint32_t i = 0; i < f->g->n_node; i++) {
        const ScNode *n = &f->g->node[i];
        if (f->depth == 0)
            sc_stage_share(f->run->cx, i, f->g->n_node);
        if (n->op->flags & SC_BARRIER)
            continue;
        if (!(n->op->flags & SC_CONST_OP ? run_const(f, n) : run_node(f, n)))
            return false;
        if (binds_elements(n) && !bind_elements(f, n))
            return false;
        for (uint32_t k = 0; k < n->n_in; k++)
            if (n->in[k] >= SC_FIRST && f->last[n->in[k]] == i)
                release(f, n->in[k]);
        for (uint32_t k = 0; binds_elements(n) && k < n->n_out; k++)
            if (f->last[n->first + k] == i)
                release(f, n->first + k);
    }
    return true;
}

/* Outputs, then next states where somebody wants them; on failure nothing stays allocated. */
static bool take_all(ScFrame *f, ScrtTensor *ret_out)
{
    const ScEvalOptions *o = f->run->opt;
    ScrtTensor *next = o && f->depth == 0 && !f->silent ? o->ret_next : NULL;
    uint32_t n = 0, n_out = f->g->n_out, n_next = next ? f->g->n_state : 0;
    bool ok = true;
    for (; n < n_out + n_next && ok; n++)
        ok = n < n_out ? take(f, f->g->out[n], &ret_out[n])
                       : take(f, f->g->state[n - n_out].next, &next[n - n_out]);
    for (uint32_t i = 0; !ok && i + 1 < n; i++)
        scrt_free(i < n_out ? ret_out[i].data : next[i - n_out].data);
    return ok;
}

bool sc_eval_graph(ScRun *run, const ScGraph *g, const ScrtTensor *const *in, ScrtTensor *ret_out,
                   uint32_t depth, bool silent)
{
    ScFrame f = {.run = run, .g = g, .a = sc_arena_new(), .depth = depth, .silent = silent};
    f.t = sc_array(f.a, ScrtTensor, g->n_value);
    f.owned = sc_array(f.a, bool, g->n_value);
    f.last = sc_array(f.a, uint32_t, g->n_value);
    f.pins = sc_array(f.a, uint32_t, g->n_value);
    f.exp = sc_array(f.a, int64_t, g->n_value);
    find_last_uses(&f);
    ScrtTensor *out = sc_array(f.a, ScrtTensor, g->n_out + 1u);
    const uint32_t n_env = run->n_env;
    if (depth > 0)
        bind_inputs(&f, in);
    bool ok = check_guards(&f, 0) && set_inputs(&f, in) && set_states(&f) && run_nodes(&f) &&
              take_all(&f, out);
    if (ok)
        memcpy(ret_out, out, g->n_out * sizeof *out);
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        release(&f, v);
    run->n_env = n_env;
    sc_arena_free(f.a);
    return ok;
}

/* Outputs outlive the inputs that they may have their strings from. */
static bool own_strings(const ScGraph *g, ScrtTensor *out)
{
    bool ok = true;
    for (uint32_t i = 0; i < g->n_out && ok; i++) {
        void *handles = out[i].data;
        if (out[i].dtype != SCRT_STRING)
            continue;
        ok = scrt_strings_own(NULL, &out[i]) == SCRT_OK;
        if (ok)
            scrt_free(handles);
    }
    for (uint32_t i = 0; i < g->n_out && !ok; i++)
        scrt_free(out[i].data);
    return ok || sc_fail(g->cx, NULL, SC_E_RUN, "no memory for an output");
}

bool sc_eval(const ScGraph *g, const ScrtTensor *in, ScrtTensor *ret_out, const ScEvalOptions *opt)
{
    SC_STAGE(g->cx, "evaluate");
    ScArena *a = sc_arena_new();
    ScRun run = {.cx = g->cx, .opt = opt};
    ScBinding *env;
    uint32_t n_env, n_more = opt ? opt->n_env : 0;
    bool ok = sc_bind_dims(g, in, opt ? opt->state : NULL, a, &env, &n_env);
    if (ok) {
        for (uint32_t i = 0; i < n_env + n_more; i++)
            sc_buf_push(run.env, run.n_env, run.cap_env, i < n_env ? env[i] : opt->env[i - n_env]);
        const ScrtTensor **p = sc_array(a, const ScrtTensor *, g->n_in + 1u);
        for (uint32_t i = 0; i < g->n_in; i++)
            p[i] = &in[i];
        ok = sc_eval_graph(&run, g, p, ret_out, 0, false) && own_strings(g, ret_out);
        sc_buf_free(run.env);
    }
    sc_arena_free(a);
    return ok;
}
