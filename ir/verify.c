/* SPDX-License-Identifier: Apache-2.0 */
/* Every invariant of a graph, checked from nothing but the graph and the rows: order, arity,
 * classes, attributes, types inferred anew, interfaces of nested graphs, states, flags, exponents.
 * A graph whose layout is broken is not looked at further, since the other checks rely on it. */
#include "ir/text_priv.h"

#include <stdarg.h>
#include <string.h>

typedef struct Check {
    ScCtx *cx;
    const ScGraph *g;
    const char *pass;
    ScArena *a;
    const char *const *label; /* made when the first message wants it */
    uint32_t depth;
    bool kernel;     /* the graph of a kernel: guarded outside */
    ScGuards guards; /* the graph's */
    ScSymbols bound; /* symbols of the graph up to the node looked at, and of those around it */
    const struct Check *outer;
    bool ok;
    bool prints;        /* no fault that the printer would stumble over */
    const char *said;   /* the last message */
    const char **under; /* [n_node] what to say under the node's line; NULL where there is none */
} Check;

static bool verify_graph(const Check *outer, ScCtx *cx, const ScGraph *g, const char *pass,
                         uint32_t depth, bool kernel);

/* --- Messages: "after scalify: %y = add: operand 1 ..." -------------------------------------- */

static const char *label(Check *c, ScVal v)
{
    if (!c->label)
        c->label = sc_labels(c->g, c->a);
    if (v == SC_ABSENT)
        return "_";
    return v < c->g->n_value
               ? sc_printf(c->a, "%s%s", c->label[v][0] == '<' ? "" : "%", c->label[v])
               : sc_printf(c->a, "<%u>", v);
}

/* n may be NULL: the fault is the graph's. */
static bool fault(Check *c, const ScNode *n, ScDiagId id, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
static bool fault(Check *c, const ScNode *n, ScDiagId id, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ScStr s = {0};
    if (c->pass)
        sc_str_addf(&s, "after %s: ", c->pass);
    if (n && n->n_out > 0)
        sc_str_addf(&s, "%s = ", label(c, n->first));
    if (n)
        sc_str_addf(&s, "%s: ", n->op ? n->op->name : "(no operator)");
    else if (c->g->name)
        sc_str_addf(&s, "graph @%s: ", c->g->name);
    sc_str_add(&s, text);
    sc_fail(c->cx, n ? n->loc : NULL, id, "%s", sc_str_get(&s));
    sc_str_free(&s);
    c->said = sc_strdup(c->a, text);
    c->ok = false;
    return false;
}

static const char *type_text(Check *c, const ScType *t)
{
    ScStr s = {0};
    if (t->kind == SC_TYPE_POISON)
        sc_str_add(&s, "poison");
    else if (t->kind == SC_TYPE_ABSENT)
        sc_str_add(&s, "absent");
    else
        sc_type_print(t, &s);
    return sc_str_keep(&s, c->a);
}

static const char *exp_text(Check *c, const ScTerm *e)
{
    ScStr s = {0};
    if (e)
        sc_term_print(e, &s);
    else
        sc_str_add(&s, "none");
    return sc_str_keep(&s, c->a);
}

/* --- Layout ---------------------------------------------------------------------------------- */

static bool check_node_layout(Check *c, const ScNode *n, uint32_t index, ScVal first)
{
    const ScGraph *g = c->g;
    if (!n->op || !n->loc)
        return fault(c, n, SC_E_VERIFY, "node %u has no %s", index, n->op ? "location" : "row");
    if (n->first != first || n->n_out == 0 || n->n_out > g->n_value - first)
        return fault(c, NULL, SC_E_VERIFY, "node %u (%s): results are not the next values", index,
                     n->op->name);
    for (uint32_t i = 0; i < n->n_out; i++)
        if (g->value[first + i].node != index || !g->value[first + i].type ||
            g->value[first + i].type->kind != SC_TYPE_TENSOR)
            return fault(c, n, SC_E_VERIFY, "result %u is not a tensor of this node", i);
    for (uint32_t i = 0; i < n->n_in; i++)
        if (n->in[i] == SC_POISON || n->in[i] >= first)
            return fault(c, n, SC_E_VERIFY, "operand %u is not defined before it", i);
    return true;
}

static bool check_layout(Check *c)
{
    const ScGraph *g = c->g;
    ScVal first = SC_FIRST;
    if (g->n_value < SC_FIRST || g->value[SC_POISON].type->kind != SC_TYPE_POISON ||
        g->value[SC_ABSENT].type->kind != SC_TYPE_ABSENT)
        return fault(c, NULL, SC_E_VERIFY, "values 0 and 1 are not poison and absent");
    for (uint32_t i = 0; i < g->n_node; i++) {
        if (!check_node_layout(c, &g->node[i], i, first))
            return false;
        first += g->node[i].n_out;
    }
    if (first != g->n_value)
        return fault(c, NULL, SC_E_VERIFY, "%u values have no node", g->n_value - first);
    return true;
}

/* Inputs and states are the nodes without operands that are no constants, each once. */
static bool check_ports(Check *c)
{
    const ScGraph *g = c->g;
    bool *seen = sc_array(c->a, bool, g->n_value);
    uint32_t n_port = 0;
    for (uint32_t i = 0; i < g->n_node; i++)
        n_port += (g->node[i].op->flags & SC_BARRIER) != 0;
    for (uint32_t i = 0; i < g->n_in + g->n_state; i++) {
        ScVal v = i < g->n_in ? g->in[i] : g->state[i - g->n_in].past;
        if (v < SC_FIRST || v >= g->n_value || !(sc_def(g, v)->op->flags & SC_BARRIER) || seen[v])
            return fault(c, NULL, SC_E_VERIFY, "%s %u is not defined by a node of its own",
                         i < g->n_in ? "input" : "state", i < g->n_in ? i : i - g->n_in);
        seen[v] = true;
    }
    if (n_port != g->n_in + g->n_state)
        return fault(c, NULL, SC_E_VERIFY, "%u input and state nodes, but %u inputs and %u states",
                     n_port, g->n_in, g->n_state);
    for (uint32_t i = 0; i < g->n_out; i++)
        if (g->out[i] < SC_FIRST || g->out[i] >= g->n_value)
            return fault(c, NULL, SC_E_VERIFY, "output %u is not a value", i);
    return true;
}

static bool check_states(Check *c)
{
    const ScGraph *g = c->g;
    for (uint32_t i = 0; i < g->n_state; i++) {
        const ScState *s = &g->state[i];
        const char *name = s->name ? s->name : "";
        if (s->next < SC_FIRST || s->next >= g->n_value)
            return fault(c, NULL, SC_E_VERIFY, "state @%s has no next value", name);
        const ScValue *past = &g->value[s->past], *next = &g->value[s->next];
        if (s->grows && (sc_state_axis(s, past->type) == past->type->rank || s->capacity < 1 ||
                         !sc_state_first(g->cx, s, past->type)))
            fault(c, NULL, SC_E_VERIFY, "state @%s is %s and cannot grow along %s", name,
                  type_text(c, past->type), s->grows);
        if (!sc_state_takes(s, past->type, next->type))
            fault(c, NULL, SC_E_VERIFY, "state @%s is %s, but its next value %s is %s", name,
                  type_text(c, past->type), label(c, s->next), type_text(c, next->type));
        if (past->exp != next->exp)
            fault(c, NULL, SC_E_EXPONENT,
                  "state @%s has exponent %s, but its next value %s has exponent %s", name,
                  exp_text(c, past->exp), label(c, s->next), exp_text(c, next->exp));
        for (uint32_t k = 0; k < i; k++)
            if (s->name && g->state[k].name && strcmp(s->name, g->state[k].name) == 0)
                fault(c, NULL, SC_E_VERIFY, "two states are named @%s", name);
    }
    return c->ok;
}

/* --- One node -------------------------------------------------------------------------------- */

static bool check_operands(Check *c, const ScNode *n, const ScSchema *s)
{
    if (n->n_in < s->min_in || (n->n_in > s->n_in && !s->in_repeats))
        return fault(c, n, SC_E_VERIFY, "has %u operands, takes %u to %u", n->n_in, s->min_in,
                     s->n_in);
    if (n->n_out < s->min_out || (n->n_out > s->n_out && !s->out_repeats))
        return fault(c, n, SC_E_VERIFY, "has %u results, gives %u to %u", n->n_out, s->min_out,
                     s->n_out);
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScOperand *o = &s->in[i < s->n_in ? i : s->n_in - 1];
        const ScType *t = sc_type_of(c->g, n->in[i]);
        if (t->kind == SC_TYPE_ABSENT && !o->optional)
            return fault(c, n, SC_E_VERIFY, "operand %u (%s) is absent", i, o->name);
        if (t->kind == SC_TYPE_TENSOR && !sc_class_takes(o->cls, t->dtype))
            return fault(c, n, SC_E_VERIFY, "operand %u (%s) may not be of type %s", i, o->name,
                         type_text(c, t));
    }
    for (uint32_t i = 0; i < n->n_out; i++) {
        const ScOperand *o = &s->out[i < s->n_out ? i : s->n_out - 1];
        const ScType *t = sc_type_of(c->g, n->first + i);
        if (!sc_class_takes(o->cls, t->dtype))
            return fault(c, n, SC_E_VERIFY, "result %u (%s) may not be of type %s", i, o->name,
                         type_text(c, t));
    }
    return true;
}

static bool check_attrs(Check *c, const ScNode *n)
{
    for (uint32_t i = 0; i < n->op->n_attr; i++) {
        const ScAttrDef *d = &n->op->attr[i];
        ScAttrKind kind = n->attr[i].kind;
        if (kind == SC_A_NONE && (d->required || d->def.kind != SC_A_NONE))
            return fault(c, n, SC_E_VERIFY, "attribute %s is missing", d->name);
        if (kind != SC_A_NONE && kind != d->kind)
            return fault(c, n, SC_E_VERIFY, "attribute %s is of another kind", d->name);
    }
    return true;
}

/* A constant says its type itself; its elements must be as many. */
static bool check_const(Check *c, const ScNode *n)
{
    int64_t dims[SCRT_MAX_RANK];
    const ScType *t = sc_type_of(c->g, n->first);
    const ScBlob *b = n->attr[0].blob;
    if (!b || t->rank > SCRT_MAX_RANK || !sc_type_const_dims(t, dims))
        return fault(c, n, SC_E_VERIFY, "has no constant of constant dimensions");
    size_t count = 1;
    for (uint32_t i = 0; i < t->rank; i++)
        count *= (size_t)dims[i];
    if (count != b->count)
        return fault(c, n, SC_E_VERIFY, "%s has %zu elements, its type %s",
                     b->name ? b->name : "it", b->count, type_text(c, t));
    return true;
}

/* What the rule needs and nothing proves is a guard of the graph. Takes needs over. */
static bool check_needs(Check *c, const ScNode *n, ScGuards *needs)
{
    bool ok = true;
    for (uint32_t i = 0; i < needs->n && ok; i++) {
        if (sc_guards_have(&c->guards, &needs->p[i]))
            continue;
        ScStr s = {0};
        sc_guard_text(&needs->p[i], &s);
        ok = fault(c, n, SC_E_VERIFY, "no guard says: %s", sc_str_get(&s));
        sc_str_free(&s);
    }
    sc_guards_free(needs);
    return ok;
}

/* The row's own rule, run on the operands' types, must give the types that the values have. */
static bool check_types(Check *c, const ScNode *n)
{
    const ScType **in = sc_array(c->a, const ScType *, n->n_in + SC_MAX_IN);
    const char **name = sc_array(c->a, const char *, n->n_in + 1u);
    const ScTerm *const **content = sc_array(c->a, const ScTerm *const *, n->n_in + 1u);
    const ScType **ret = sc_array(c->a, const ScType *, n->n_out);
    const ScTerm *const **ret_content = sc_array(c->a, const ScTerm *const *, n->n_out);
    ScGuards needs = {0};
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScValue *v = &c->g->value[n->in[i]];
        in[i] = v->type;
        name[i] = v->name ? v->name : "";
        content[i] = v->content;
    }
    for (uint32_t i = n->n_in; i < n->n_in + SC_MAX_IN; i++)
        in[i] = sc_type_absent(c->cx);
    ScInfer infer = {.cx = c->cx,
                     .loc = n->loc,
                     .op = n->op,
                     .attr = n->attr,
                     .sub = n->sub,
                     .n_in = n->n_in,
                     .n_out = n->n_out,
                     .in = in,
                     .name = name,
                     .content = content,
                     .ret = ret,
                     .ret_content = ret_content,
                     .arena = c->a,
                     .guards = c->kernel ? NULL : &needs};
    if (!sc_infer(&infer)) {
        sc_guards_free(&needs);
        return fault(c, n, SC_E_VERIFY, "its operands do not fit");
    }
    if (!check_needs(c, n, &needs))
        return false;
    for (uint32_t i = 0; i < n->n_out; i++)
        if (ret[i] != sc_type_of(c->g, n->first + i))
            return fault(c, n, SC_E_VERIFY, "result %u is of type %s, its rule gives %s", i,
                         type_text(c, sc_type_of(c->g, n->first + i)), type_text(c, ret[i]));
    return true;
}

static bool check_subs(Check *c, const ScNode *n)
{
    for (uint32_t i = 0; i < n->op->n_sub; i++) {
        if (!n->sub || !n->sub[i])
            return fault(c, n, SC_E_VERIFY, "nested graph %u is missing", i);
        if (c->depth + 1 >= SC_TEXT_DEPTH)
            return fault(c, n, SC_E_VERIFY, "graphs are nested more than %d deep", SC_TEXT_DEPTH);
        if (!verify_graph(c, c->cx, n->sub[i], c->pass, c->depth + 1,
                          n->op->lower.cls == SC_KERNEL))
            return fault(c, n, SC_E_VERIFY, "nested graph %u is not well formed", i);
    }
    return true;
}

static bool is_bound(const Check *c, const char *sym);

typedef struct Inner { /* symbols of a nested graph are no other ones */
    Check *c;
    const ScNode *n;
} Inner;

static void see_inner(void *arg, const char *sym, uint32_t node)
{
    Inner *i = arg;
    (void)node;
    if (is_bound(i->c, sym))
        fault(i->c, i->n, SC_E_VERIFY, "symbol %s is bound outside and in a nested graph", sym);
}

/* What enters nested graphs and what leaves them has the exponents that it has outside. */
static bool check_control(Check *c, const ScNode *n)
{
    for (uint32_t s = 0; s < n->op->n_sub; s++) {
        const ScGraph *k = n->sub[s];
        uint32_t operand = n->op->enter.operand, input = n->op->enter.input;
        sc_nested_binders(c->g, n, s, see_inner, &(Inner){c, n});
        if ((k->flags & SC_G_SCALED) != (c->g->flags & SC_G_SCALED))
            return fault(c, n, SC_E_VERIFY, "nested graph %u is not scaled as this one is", s);
        for (uint32_t i = operand; i < n->n_in; i++) {
            const ScTerm *out = c->g->value[n->in[i]].exp;
            const ScTerm *in = k->value[k->in[i - operand + input]].exp;
            if (in != out)
                return fault(c, n, SC_E_EXPONENT, "operand %u has exponent %s, inside %s", i,
                             exp_text(c, out), exp_text(c, in));
        }
        for (uint32_t i = 0; i < n->n_out; i++) {
            const ScTerm *out = c->g->value[n->first + i].exp;
            const ScTerm *in = k->value[k->out[k->n_out - n->n_out + i]].exp;
            const ScTerm *first = i < sc_carried(n) ? c->g->value[n->in[operand + i]].exp : out;
            if (in != out || out != first)
                return fault(c, n, SC_E_EXPONENT, "result %u has exponent %s, inside %s", i,
                             exp_text(c, out), exp_text(c, in));
        }
    }
    return true;
}

/* A kernel's operands are its graph's inputs, its results that graph's outputs: types and exponents
 * both. */
static bool check_kernel(Check *c, const ScNode *n)
{
    const ScGraph *k = n->sub[0];
    if (k->n_in != n->n_in || k->n_out != n->n_out || k->n_state)
        return fault(c, n, SC_E_VERIFY, "its graph has %u inputs, %u outputs and %u states",
                     k->n_in, k->n_out, k->n_state);
    for (uint32_t i = 0; i < n->n_in + n->n_out; i++) {
        bool is_in = i < n->n_in;
        uint32_t at = is_in ? i : i - n->n_in;
        const ScValue *a = &c->g->value[is_in ? n->in[at] : n->first + at];
        const ScValue *b = &k->value[is_in ? k->in[at] : k->out[at]];
        const char *what = is_in ? "operand" : "result";
        if (a->type != b->type)
            return fault(c, n, SC_E_VERIFY, "%s %u is of type %s, in its graph %s", what, at,
                         type_text(c, a->type), type_text(c, b->type));
        if (a->exp != b->exp)
            return fault(c, n, SC_E_EXPONENT, "%s %u has exponent %s, in its graph %s", what, at,
                         exp_text(c, a->exp), exp_text(c, b->exp));
    }
    return true;
}

/* --- Exponents ------------------------------------------------------------------------------- */

static bool check_has_exponents(Check *c)
{
    bool scaled = c->g->flags & SC_G_SCALED;
    for (ScVal v = SC_FIRST; v < c->g->n_value; v++) {
        const ScValue *x = &c->g->value[v];
        bool wants = scaled && sc_type_is_float(x->type);
        if (wants != (x->exp != NULL))
            fault(c, sc_def(c->g, v), SC_E_EXPONENT, "%s %s", label(c, v),
                  wants                       ? "has no exponent"
                  : sc_type_is_float(x->type) ? "has an exponent in a graph that is not scaled"
                                              : "has an exponent and is no float");
    }
    return c->ok;
}

/* A rebalance has the exponent that its attribute says. */
static bool check_rebalance(Check *c, const ScNode *n)
{
    int to = sc_attr_index(n->op, "to");
    const ScTerm *e = c->g->value[n->first].exp;
    if (to < 0 || n->attr[to].kind != SC_A_TERMS || n->attr[to].n != 1 || n->attr[to].ts[0] == e)
        return true;
    return fault(c, n, SC_E_EXPONENT, "has exponent %s, rebalances to %s", exp_text(c, e),
                 exp_text(c, n->attr[to].ts[0]));
}

static bool check_signature(Check *c, const ScNode *n, const ScSchema *s)
{
    const ScType **type = sc_array(c->a, const ScType *, n->n_in + n->n_out);
    const ScTerm **exp = sc_array(c->a, const ScTerm *, n->n_in + 1u);
    const ScTerm *var[SC_MAX_VARS] = {0};
    uint32_t bad = 0;
    bool any_float = false;
    for (uint32_t i = 0; i < n->n_in + n->n_out; i++) {
        type[i] = sc_type_of(c->g, i < n->n_in ? n->in[i] : n->first + (i - n->n_in));
        any_float |= sc_type_is_float(type[i]);
        if (i < n->n_in)
            exp[i] = c->g->value[n->in[i]].exp;
    }
    if (!any_float)
        return true;
    if (!s->has_scale)
        return fault(c, n, SC_E_EXPONENT, "its row has no scale signature");
    if (!sc_scale_check(c->cx, s, n->n_in, type, exp, n->n_out, type + n->n_in, var, &bad))
        return fault(c, n, SC_E_EXPONENT, "operand %u, %s, has exponent %s; by '%s' expected %s",
                     bad, label(c, n->in[bad]), exp_text(c, exp[bad]), n->op->scale,
                     exp_text(c, sc_scale_apply(c->cx, sc_scale_in(s, bad), var)));
    for (uint32_t i = 0; i < n->n_out; i++) {
        const ScScaleExpr *x = sc_scale_out(s, i);
        const ScTerm *found = c->g->value[n->first + i].exp;
        if (!found || x->none)
            continue;
        const ScTerm *want = sc_scale_apply(c->cx, x, var);
        if (want != found)
            return fault(c, n, SC_E_EXPONENT, "result %u, %s, has exponent %s; by '%s' expected %s",
                         i, label(c, n->first + i), exp_text(c, found), n->op->scale,
                         exp_text(c, want));
    }
    return true;
}

static void check_node(Check *c, const ScNode *n)
{
    const ScSchema *s = sc_schema(c->cx, n->op);
    ScClass cls = n->op->lower.cls;
    c->said = NULL;
    if (!s) {
        c->prints = fault(c, n, SC_E_VERIFY, "its row is not well formed");
        return;
    }
    if (!check_operands(c, n, s) || !check_attrs(c, n) || !check_subs(c, n)) {
        c->prints = false;
        return;
    }
    if ((c->g->flags & SC_G_KERNELS) && cls != SC_KERNEL && cls != SC_SOURCE && cls != SC_STEP)
        fault(c, n, SC_E_VERIFY, "stands outside the kernels");
    if (n->op->flags & SC_BARRIER)
        return;
    if (n->op->flags & SC_CONST_OP) {
        check_const(c, n);
        return;
    }
    if (!check_types(c, n))
        return;
    if (cls == SC_KERNEL)
        check_kernel(c, n);
    else if (n->op->control)
        check_control(c, n);
    else if (c->g->flags & SC_G_SCALED)
        (void)((n->op->flags & SC_REBALANCES) ? check_rebalance(c, n) : check_signature(c, n, s));
}

/* --- Symbols --------------------------------------------------------------------------------- */

/* The node that is looked at, while its symbols are. */
typedef struct Look {
    Check *c;
    const ScNode *n; /* NULL: a guard */
} Look;

static bool is_bound(const Check *c, const char *sym)
{
    for (; c; c = c->outer)
        if (sc_symbols_find(&c->bound, sym, NULL))
            return true;
    return false;
}

static void see_use(void *arg, const char *sym)
{
    Look *l = arg;
    if (l->c->ok && !is_bound(l->c, sym))
        fault(l->c, l->n, SC_E_VERIFY, "symbol %s is not bound%s", sym,
              l->n ? " by an input, a state or an earlier node" : ", and a guard needs it");
}

static void see_binder(void *arg, const char *sym, uint32_t node)
{
    Look *l = arg;
    bool source = l->c->g->node[node].op->flags & SC_BARRIER;
    if (!source && is_bound(l->c, sym))
        fault(l->c, l->n, SC_E_VERIFY, "symbol %s is bound twice", sym);
    sc_symbols_add(&l->c->bound, l->c->a, sym, node);
}

/* A symbol is bound by an input, a state or exactly one earlier node, of this graph or of one
 * around it. Kernels are written in symbols of their own. */
static bool check_symbols(Check *c)
{
    const ScGraph *g = c->g;
    Look l = {.c = c};
    for (uint32_t i = 0; i < g->n_node && !c->kernel; i++)
        if (g->node[i].op->flags & SC_BARRIER)
            sc_node_binders(g, i, see_binder, &l);
    for (uint32_t i = 0; i < g->n_node && !c->kernel && c->ok; i++) {
        l.n = &g->node[i];
        if (l.n->op->flags & SC_BINDS)
            sc_node_binders(g, i, see_binder, &l);
        if (l.n->op->lower.cls != SC_KERNEL)
            sc_node_symbols(g, l.n, see_use, &l);
    }
    l.n = NULL;
    for (uint32_t i = 0; i < g->n_guard && c->ok; i++) {
        sc_term_symbols(g->guard[i].a, see_use, &l);
        sc_term_symbols(g->guard[i].b, see_use, &l);
    }
    return c->ok;
}

static bool check_guards(Check *c)
{
    for (uint32_t i = 0; i < c->g->n_guard; i++) {
        const ScGuard *g = &c->g->guard[i];
        if (!g->loc || !g->what || (unsigned)g->kind >= SC_GUARD_KINDS)
            return fault(c, NULL, SC_E_VERIFY, "guard %u is not complete", i);
        sc_guards_add(&c->guards, g);
    }
    if (c->guards.n != c->g->n_guard)
        return fault(c, NULL, SC_E_VERIFY, "a guard is there twice");
    if (c->kernel && c->guards.n > 0)
        return fault(c, NULL, SC_E_VERIFY, "a kernel's graph has guards");
    return true;
}

/* Lines of the program around a fault that are printed. */
enum { AROUND = 4 };

/* The message that stands under a line, or NULL. A line of a node begins with its first result. */
static const char *under(const Check *c, const char *line, size_t n)
{
    for (uint32_t i = 0; i < c->g->n_node; i++) {
        const char *name = c->under[i] ? c->label[c->g->node[i].first] : NULL;
        size_t k = name ? strlen(name) : 0;
        if (name && n > k + 4 && !strncmp(line, "  %", 3) && !strncmp(line + 3, name, k) &&
            (line[3 + k] == ' ' || line[3 + k] == ','))
            return c->under[i];
    }
    return NULL;
}

/* The program as a note: the lines around each fault, with the message under its line. */
static void show(Check *c)
{
    ScStr text = {0}, out = {0};
    if (!c->label)
        c->label = sc_labels(c->g, c->a);
    sc_print(c->g, 0, &text);
    const char **line = sc_array(c->a, const char *, text.n + 1), *p = sc_str_get(&text);
    uint32_t n = 0, last = 0;
    for (; *p; p += strcspn(p, "\n") + 1)
        line[n++] = p;
    for (uint32_t i = 0; i < n; i++) {
        if (!under(c, line[i], strcspn(line[i], "\n")))
            continue;
        uint32_t from = i > last + AROUND ? i - AROUND : last,
                 to = i + AROUND + 1 < n ? i + AROUND + 1 : n;
        sc_str_add(&out, from > last ? "\n..." : "");
        for (uint32_t k = from; k < to; k++) {
            const char *said = under(c, line[k], strcspn(line[k], "\n"));
            sc_str_addf(&out, "\n%.*s", (int)strcspn(line[k], "\n"), line[k]);
            if (said)
                sc_str_addf(&out, "\n  ^ %s", said);
        }
        i = to > 0 ? to - 1 : i;
        last = to;
    }
    sc_note(c->cx, "the program%s%s", sc_str_get(&out), last < n ? "\n..." : "");
    sc_str_free(&text);
    sc_str_free(&out);
}

static bool verify_graph(const Check *outer, ScCtx *cx, const ScGraph *g, const char *pass,
                         uint32_t depth, bool kernel)
{
    Check c = {.cx = cx, .g = g, .pass = pass, .depth = depth, .kernel = kernel, .ok = true};
    c.outer = outer;
    c.prints = true;
    c.a = sc_arena_new();
    c.under = sc_array(c.a, const char *, g->n_node + 1u);
    if (check_layout(&c) && check_ports(&c) && check_states(&c) && check_has_exponents(&c) &&
        check_guards(&c) && check_symbols(&c)) {
        for (uint32_t i = 0; i < g->n_node; i++) {
            check_node(&c, &g->node[i]);
            c.under[i] = c.said;
        }
        if (!c.ok && c.prints && !outer)
            show(&c);
    }
    sc_guards_free(&c.guards);
    sc_arena_free(c.a);
    return c.ok;
}

bool sc_verify(const ScGraph *g, const char *pass)
{
    return verify_graph(NULL, g->cx, g, pass, 0, false);
}
