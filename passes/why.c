/* SPDX-License-Identifier: Apache-2.0 */
/* Why a tensor has the exponent that it has: the signature of the node that makes it and what its
 * variables stand for there, then the same of the operands that these come from, down to inputs and
 * weights; into nested graphs by what they give, out of them by what they are given. Each value is
 * explained once. */
#include "passes/scale_priv.h"

#include <math.h>
#include <string.h>

typedef struct Part { /* the graph or one nested in it */
    const char *const *label;
    bool *told; /* [n_value] */
} Part;

typedef struct Why {
    const ScGraph *g; /* of the value that is explained now */
    ScArena *a;
    const ScLevel *level; /* [n_level] */
    Part *part;           /* [n_level] */
    uint32_t n_level, at; /* g's */
    ScStr *out;
} Why;

static void go_to(Why *w, uint32_t level)
{
    w->at = level;
    w->g = w->level[level].g;
}

static void begin(Why *w, const ScGraph *g, ScArena *a)
{
    *w = (Why){.a = a};
    w->level = sc_levels(g, a, &w->n_level);
    w->part = sc_array(a, Part, w->n_level);
    for (uint32_t i = 0; i < w->n_level; i++)
        w->part[i] = (Part){sc_labels(w->level[i].g, a), sc_array(a, bool, w->level[i].g->n_value)};
    go_to(w, 0);
}

static void exponent(const Why *w, ScVal v)
{
    const ScTerm *e = w->g->value[v].exp;
    bool plain = !e || sc_term_const(e, &(int64_t){0});
    sc_str_add(w->out, plain ? "2^" : "2^(");
    if (e)
        sc_term_print(e, w->out);
    else
        sc_str_add(w->out, "0");
    sc_str_add(w->out, plain ? "" : ")");
}

static void blob(const Why *w, const ScBlob *b)
{
    const ScConstFacts *c = sc_const_facts(w->g->cx, b);
    sc_str_addf(w->out, "%s%s%s", b->name ? "@" : "", b->name ? b->name : "", b->name ? ", " : "");
    if (c)
        sc_str_addf(w->out, "RMS %.3g, largest magnitude %.3g", c->rms, c->amax);
}

/* What b was made of: weights that channels or blocks have numbers of, a bias that takes back what
 * their rounding adds. */
static void made_of(const Why *w, const ScBlob *b, bool low)
{
    float least = INFINITY, most = 0;
    for (size_t i = 0; i < b->n_unit; i++) {
        least = b->unit[i] < least ? b->unit[i] : least;
        most = b->unit[i] > most ? b->unit[i] : most;
    }
    sc_str_add(w->out, "; it is ");
    blob(w, b->from);
    if (!low)
        sc_str_add(w->out, ", less what rounded weights add on average");
    if (b->unit && (least != 1 || most != 1))
        sc_str_addf(w->out, ", divided by %zu number%s from %.3g to %.3g%s", b->n_unit,
                    b->n_unit == 1 ? "" : "s", (double)least, (double)most,
                    low ? ", where it is stored best" : " that its product is multiplied by");
}

static void constant(const Why *w, const ScNode *n)
{
    const ScBlob *b = n->attr[0].blob;
    const ScType *t = sc_type_of(w->g, n->first);
    bool low = sc_type_is_float(t) && scrt_format(t->dtype)->bits < 16;
    sc_str_add(w->out, "constant ");
    blob(w, b);
    if (b->from)
        made_of(w, b, low);
    else if (low)
        sc_str_addf(w->out, ": the least exponent at which that fits %s's %g",
                    scrt_dtype_name(t->dtype), scrt_format(t->dtype)->max);
}

/* What the variables of n's signature stand for; NULL where it has none or is not kept. */
static const ScTerm *const *variables(const Why *w, const ScNode *n, const ScSchema *s)
{
    const ScType **type = sc_array(w->a, const ScType *, n->n_in + 1), *out_type[SC_MAX_OUT];
    const ScTerm **exp = sc_array(w->a, const ScTerm *, n->n_in + 1);
    const ScTerm **var = sc_array(w->a, const ScTerm *, SC_MAX_VARS);
    uint32_t bad;
    if (!s || !s->has_scale)
        return NULL;
    for (uint32_t i = 0; i < n->n_in; i++) {
        type[i] = sc_type_of(w->g, n->in[i]);
        exp[i] = w->g->value[n->in[i]].exp;
    }
    for (uint32_t i = 0; i < n->n_out; i++)
        out_type[i] = sc_type_of(w->g, n->first + i);
    return sc_scale_check(w->g->cx, s, n->n_in, type, exp, n->n_out, out_type, var, &bad) ? var
                                                                                          : NULL;
}

static void signature(const Why *w, const ScNode *n, const ScSchema *s)
{
    const ScTerm *const *var = variables(w, n, s);
    sc_str_addf(w->out, "%s", n->op->name);
    if (n->n_out == 1 && sc_divided_by(w->g, n->first) > 1) {
        sc_str_addf(w->out, ", divides by %.4g, at which the cast rounds least",
                    sc_divided_by(w->g, n->first));
        return;
    }
    if (n->op->flags & SC_REBALANCES) {
        sc_str_add(w->out, " from ");
        exponent(w, n->in[0]);
        return;
    }
    if (n->op->scale)
        sc_str_addf(w->out, ", %s", n->op->scale);
    for (uint32_t i = 0; var && i < s->n_var; i++) {
        sc_str_addf(w->out, "%s%c = ", i ? ", " : " with ", s->var[i]);
        if (var[i])
            sc_term_print(var[i], w->out);
        else
            sc_str_add(w->out, "0");
    }
}

/* How much larger than what was measured, or is expected, a value may be that n stores: x is its
 * result. */
static void room(const Why *w, const ScNode *n, const ScValue *x)
{
    const ScrtFormat *f = scrt_format(x->type->dtype);
    int64_t e;
    if (!(n->op->flags & SC_CONVERTS) || !f || f->exp_bits >= 8 || !x->exp ||
        !sc_term_const(x->exp, &e))
        return;
    const ScNode *from = sc_def(w->g, n->in[0]);
    while (from->op->flags & SC_REBALANCES)
        from = sc_def(w->g, from->in[0]);
    double most = log2(f->max * sc_divided_by(w->g, from->first)) + (double)e;
    if (x->amax > 0)
        sc_str_addf(w->out, "; %s holds 2^%.1f times the largest magnitude measured",
                    scrt_dtype_name(x->type->dtype), most - log2((double)x->amax));
    else if (x->g != SC_NO_G)
        sc_str_addf(w->out, "; %s holds 2^%.1f times the RMS expected",
                    scrt_dtype_name(x->type->dtype), most - (double)e - x->g / 256.0);
}

static void line(const Why *w, ScVal v, uint32_t depth)
{
    const ScValue *x = &w->g->value[v];
    const ScNode *n = sc_def(w->g, v);
    sc_str_addf(w->out, "%*s%%%s%s: ", (int)(2 * depth), "", w->level[w->at].prefix,
                w->part[w->at].label[v]);
    sc_type_print(x->type, w->out);
    sc_str_add(w->out, " * ");
    exponent(w, v);
    sc_str_add(w->out, "; ");
    if (w->part[w->at].told[v]) {
        sc_str_add(w->out, "as above\n");
        return;
    }
    if (n->op->flags & SC_CONST_OP)
        constant(w, n);
    else if (n->op->flags & SC_BARRIER && w->at > 0)
        sc_str_add(w->out, "given from outside");
    else if (n->op->control)
        sc_str_addf(w->out, "%s, given by what is nested in it", n->op->name);
    else if (n->op->flags & SC_BARRIER)
        sc_str_addf(w->out, "%s, in the caller's numbers", n->op->name);
    else
        signature(w, n, sc_schema(w->g->cx, n->op));
    if (x->g != SC_NO_G)
        sc_str_addf(w->out, "; log2 RMS of the data about %.2f", x->g / 256.0);
    if (x->amax > 0)
        sc_str_addf(w->out, ", measured amax %.3g", x->amax);
    room(w, n, x);
    for (uint32_t k = 0; k < n->loc->n; k++)
        sc_str_addf(w->out, "%s%s", k ? ", " : "; from ", n->loc->origin[k].name);
    sc_str_add(w->out, "\n");
}

/* Whether operand i is one that the exponent of v comes from: they share a variable. */
static bool gives(const ScGraph *g, const ScNode *n, const ScSchema *s, ScVal v, uint32_t i)
{
    if (n->in[i] < SC_FIRST || !sc_type_is_float(sc_type_of(g, n->in[i])))
        return false;
    if (n->op->flags & SC_REBALANCES)
        return i == 0;
    bool shared = !s || !s->has_scale;
    for (uint32_t k = 0; !shared && k < s->n_var; k++)
        shared = sc_scale_in(s, i)->coef[k] && sc_scale_out(s, v - n->first)->coef[k];
    return shared;
}

/* The value of that name, by label (after the level's prefix or without it) or by its own, in the
 * first graph that has it, to which w goes. */
static ScVal find(Why *w, const char *tensor)
{
    for (uint32_t i = 0; i < w->n_level; i++) {
        go_to(w, i);
        const ScGraph *g = w->g;
        size_t prefix = strlen(w->level[i].prefix);
        bool has = strncmp(tensor, w->level[i].prefix, prefix) == 0;
        const char *own = has ? tensor + prefix : tensor;
        for (ScVal v = SC_FIRST; v < g->n_value; v++)
            if (!strcmp(w->part[i].label[v], own))
                return v;
        for (ScVal v = SC_FIRST; v < g->n_value; v++)
            if (g->value[v].name && !strcmp(g->value[v].name, own))
                return v;
        for (uint32_t k = 0; k < g->n_out; k++)
            if (g->out_name[k] && !strcmp(g->out_name[k], own))
                return g->out[k];
    }
    return SC_POISON;
}

typedef struct Step {
    ScVal v; /* of a level, */
    uint32_t level, depth;
} Step;

typedef struct Stack {
    Step *step;
    uint32_t n, cap;
} Stack;

static void push(Stack *s, ScVal v, uint32_t level, uint32_t depth)
{
    sc_buf_push(s->step, s->n, s->cap, ((Step){v, level, depth}));
}

/* What nested graph number `level` is given for its input v: operands and inputs end together. */
static void push_given(const Why *w, Stack *s, ScVal v, uint32_t depth)
{
    const ScLevel *l = &w->level[w->at];
    const ScNode *n = &w->level[l->outer].g->node[l->node];
    for (uint32_t i = 0; i < l->g->n_in; i++)
        if (l->g->in[i] == v && i + n->n_in >= l->g->n_in)
            push(s, n->in[i + n->n_in - l->g->n_in], l->outer, depth);
}

/* What the nested graphs of n give for its result number i: results and outputs end together. */
static void push_nested(const Why *w, Stack *s, const ScNode *n, uint32_t i, uint32_t depth)
{
    for (uint32_t k = w->n_level; k-- > 0;) {
        const ScLevel *l = &w->level[k];
        if (k > 0 && l->outer == w->at && &w->g->node[l->node] == n && i + l->g->n_out >= n->n_out)
            push(s, l->g->out[i + l->g->n_out - n->n_out], k, depth);
    }
}

static void tell(Why *w, ScVal v)
{
    Stack s = {0};
    push(&s, v, w->at, 0);
    while (s.n > 0) {
        Step at = s.step[--s.n];
        go_to(w, at.level);
        const ScNode *n = sc_def(w->g, at.v);
        bool *told = &w->part[w->at].told[at.v], again = *told;
        line(w, at.v, at.depth);
        *told = true;
        if (again)
            continue;
        if (n->op->control) {
            push_nested(w, &s, n, at.v - n->first, at.depth + 1);
            continue;
        }
        if (n->op->flags & SC_BARRIER && w->at > 0)
            push_given(w, &s, at.v, at.depth + 1);
        for (uint32_t i = n->n_in; i-- > 0;)
            if (gives(w->g, n, sc_schema(w->g->cx, n->op), at.v, i))
                push(&s, n->in[i], w->at, at.depth + 1);
    }
    sc_buf_free(s.step);
}

struct ScWhySteps {
    Why why;
    ScVal *from; /* of the last step */
    uint32_t cap;
};

ScWhySteps *sc_why_begin(const ScGraph *g)
{
    ScArena *a = sc_arena_new();
    ScWhySteps *w = sc_new(a, ScWhySteps);
    begin(&w->why, g, a);
    return w;
}

uint32_t sc_why_step(ScWhySteps *w, ScVal v, ScStr *out, ScVal **ret_from)
{
    const ScGraph *g = w->why.g;
    const ScNode *n = sc_def(g, v);
    uint32_t count = 0;
    w->why.out = out;
    line(&w->why, v, 0);
    for (uint32_t i = 0; i < n->n_in; i++)
        if (gives(g, n, sc_schema(g->cx, n->op), v, i))
            sc_buf_push(w->from, count, w->cap, n->in[i]);
    *ret_from = w->from;
    return count;
}

void sc_why_end(ScWhySteps *w)
{
    sc_buf_free(w->from);
    sc_arena_free(w->why.a);
}

/* Names that hold what was asked for: it was half remembered. */
static bool no_tensor(ScCtx *cx, const Why *w, const char *tensor)
{
    ScStr near = {0};
    uint32_t n = 0;
    for (uint32_t i = 0; i < w->n_level && *tensor; i++) {
        const ScGraph *g = w->level[i].g;
        const char *const *label = sc_stat_labels(g, w->level[i].prefix, w->a);
        for (ScVal v = SC_FIRST; v < g->n_value && n < 5; v++)
            if (sc_type_is_float(sc_type_of(g, v)) && strstr(label[v], tensor))
                sc_str_addf(&near, "%s%%%s", n++ ? ", " : "it has ", label[v]);
    }
    sc_fail_file(cx, NULL, SC_E_TENSOR, "this stage has no tensor \"%s\"", tensor);
    sc_note(cx, "%s", n ? near.s : "scalec dump --stage settle prints those that it has");
    sc_str_free(&near);
    return false;
}

bool sc_why(ScCtx *cx, const ScGraph *g, const char *tensor, ScStr *out)
{
    ScArena *a = sc_arena_new();
    Why w;
    begin(&w, g, a);
    w.out = out;
    ScVal v = find(&w, tensor);
    bool ok = v != SC_POISON || no_tensor(cx, &w, tensor);
    if (ok && !sc_type_is_float(sc_type_of(w.g, v)))
        ok = sc_fail_file(cx, NULL, SC_E_TENSOR, "\"%s\" is no float: it has no exponent", tensor);
    if (ok)
        tell(&w, v);
    sc_arena_free(a);
    return ok;
}
