/* SPDX-License-Identifier: Apache-2.0 */
/* Whether two graphs of a session say the same: walked in the order of their text, so that
 * numbering does not count. Types, terms, constants and attributes are interned and compared as
 * pointers. */
#include "ir/text_priv.h"

#include <stdarg.h>
#include <string.h>

typedef struct Pair {
    const ScGraph *a, *b;
    ScVal *to;                         /* [a->n_value] the value of b that a's is */
    const char *const *la, *const *lb; /* labels */
    ScArena *arena;
    ScStr *why; /* or NULL */
} Pair;

static bool graphs_equal(const ScGraph *a, const ScGraph *b, ScArena *arena, ScStr *why);

static bool differ(Pair *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static bool differ(Pair *p, const char *fmt, ...)
{
    char line[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (p->why)
        sc_str_add(p->why, line);
    return false;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static const char *shown(const char *s)
{
    return s ? s : "(none)";
}

/* Results k of both nodes become a pair; type, exponent and name must agree. */
static bool same_value(Pair *p, ScVal va, ScVal vb)
{
    const ScValue *a = &p->a->value[va], *b = &p->b->value[vb];
    const char *label = p->la[va];
    ScStr sa = {0}, sb = {0};
    bool ok = true;
    p->to[va] = vb;
    if (a->type != b->type) {
        sc_type_print(a->type, &sa);
        sc_type_print(b->type, &sb);
        ok = differ(p, "%%%s: type %s against %s", label, sc_str_get(&sa), sc_str_get(&sb));
    } else if (a->exp != b->exp) {
        sc_str_add(&sa, a->exp ? "2^" : "none");
        sc_str_add(&sb, b->exp ? "2^" : "none");
        if (a->exp)
            sc_term_print(a->exp, &sa);
        if (b->exp)
            sc_term_print(b->exp, &sb);
        ok = differ(p, "%%%s: exponent %s against %s", label, sc_str_get(&sa), sc_str_get(&sb));
    } else if (!same_text(a->name, b->name)) {
        ok = differ(p, "%%%s: name %s against %s", label, shown(a->name), shown(b->name));
    }
    sc_str_free(&sa);
    sc_str_free(&sb);
    return ok;
}

static bool same_loc(const ScLoc *a, const ScLoc *b)
{
    if (!a || !b)
        return a == b;
    if (a->phase != b->phase)
        return false;
    uint32_t i = 0, k = 0;
    for (;; i++, k++) {
        const char *na = NULL, *nb = NULL;
        while (i < a->n && !(na = sc_text_origin(a, i)))
            i++;
        while (k < b->n && !(nb = sc_text_origin(b, k)))
            k++;
        if (!na || !nb)
            return na == nb;
        if (strcmp(na, nb) != 0)
            return false;
    }
}

static bool same_operand(Pair *p, ScVal a, ScVal b)
{
    return a < SC_FIRST ? a == b : a < p->a->n_value && p->to[a] == b;
}

/* The attribute that holds a constant's shape says no more than its type. */
static bool same_attrs(Pair *p, const ScNode *a, const ScNode *b)
{
    for (uint32_t i = 0; i < a->op->n_attr; i++)
        if (!sc_attr_equal(&a->attr[i], &b->attr[i]) && !(i > 0 && (a->op->flags & SC_CONST_OP)))
            return differ(p, "%%%s: attribute %s of %s", p->la[a->first], a->op->attr[i].name,
                          a->op->name);
    return true;
}

static bool same_node(Pair *p, const ScNode *a, const ScNode *b)
{
    const char *label = a->n_out ? p->la[a->first] : a->op->name;
    if (a->op != b->op)
        return differ(p, "%%%s: operator %s against %s", label, a->op->name, b->op->name);
    if (a->n_in != b->n_in || a->n_out != b->n_out)
        return differ(p, "%%%s: %u operands and %u results against %u and %u", label, a->n_in,
                      a->n_out, b->n_in, b->n_out);
    for (uint32_t i = 0; i < a->n_in; i++)
        if (!same_operand(p, a->in[i], b->in[i]))
            return differ(p, "%%%s: operand %u is %%%s against %%%s", label, i, p->la[a->in[i]],
                          p->lb[b->in[i]]);
    if (!same_attrs(p, a, b))
        return false;
    for (uint32_t i = 0; i < a->n_out; i++)
        if (!same_value(p, a->first + i, b->first + i))
            return false;
    for (uint32_t i = 0; i < a->op->n_sub; i++) {
        ScStr why = {0};
        bool ok = graphs_equal(a->sub[i], b->sub[i], p->arena, &why) ||
                  differ(p, "in the graph of %%%s: %s", label, sc_str_get(&why));
        sc_str_free(&why);
        if (!ok)
            return false;
    }
    if (!(a->op->flags & SC_BARRIER) && !same_loc(a->loc, b->loc))
        return differ(p, "%%%s: origins", label);
    return true;
}

static bool same_state(Pair *p, const ScState *a, const ScState *b)
{
    if (!same_text(a->name, b->name))
        return differ(p, "state @%s against @%s", shown(a->name), shown(b->name));
    if (!same_operand(p, a->past, b->past) || !same_operand(p, a->next, b->next))
        return differ(p, "state @%s: its values", shown(a->name));
    if (a->init != b->init)
        return differ(p, "state @%s: its initial value", shown(a->name));
    if (!same_text(a->grows, b->grows) || a->capacity != b->capacity)
        return differ(p, "state @%s: how it grows", shown(a->name));
    return true;
}

static bool same_guard(Pair *p, const ScGuard *a, const ScGuard *b)
{
    if (a->kind == b->kind && a->a == b->a && a->b == b->b && same_text(a->what, b->what) &&
        same_loc(a->loc, b->loc))
        return true;
    ScStr sa = {0}, sb = {0};
    sc_guard_text(a, &sa);
    sc_guard_text(b, &sb);
    differ(p, "guard %s against %s", sc_str_get(&sa), sc_str_get(&sb));
    sc_str_free(&sa);
    sc_str_free(&sb);
    return false;
}

static bool same_sizes(Pair *p)
{
    const ScGraph *a = p->a, *b = p->b;
    const struct {
        const char *what;
        uint32_t a, b;
    } size[] = {
        {"inputs", a->n_in, b->n_in},       {"outputs", a->n_out, b->n_out},
        {"states", a->n_state, b->n_state}, {"nodes", a->n_node, b->n_node},
        {"values", a->n_value, b->n_value}, {"flags", a->flags, b->flags},
        {"guards", a->n_guard, b->n_guard},
    };
    for (size_t i = 0; i < sizeof size / sizeof *size; i++)
        if (size[i].a != size[i].b)
            return differ(p, "%s: %u against %u", size[i].what, size[i].a, size[i].b);
    if (!same_text(a->name, b->name))
        return differ(p, "name %s against %s", shown(a->name), shown(b->name));
    if (!same_text(a->source, b->source))
        return differ(p, "source %s against %s", shown(a->source), shown(b->source));
    return true;
}

static bool graphs_equal(const ScGraph *a, const ScGraph *b, ScArena *arena, ScStr *why)
{
    Pair p = {.a = a, .b = b, .arena = arena, .why = why};
    if (a == b)
        return true;
    if (a->cx != b->cx)
        return differ(&p, "the graphs are of two sessions");
    if (!same_sizes(&p))
        return false;
    p.to = sc_array(arena, ScVal, a->n_value);
    p.la = sc_labels(a, arena);
    p.lb = sc_labels(b, arena);
    uint32_t na, nb;
    const uint32_t *oa = sc_text_order(a, arena, &na), *ob = sc_text_order(b, arena, &nb);
    for (uint32_t k = 0; k < a->n_node; k++)
        if (!same_node(&p, &a->node[oa[k]], &b->node[ob[k]]))
            return false;
    for (uint32_t i = 0; i < a->n_in; i++)
        if (!same_operand(&p, a->in[i], b->in[i]))
            return differ(&p, "input %u", i);
    for (uint32_t i = 0; i < a->n_state; i++)
        if (!same_state(&p, &a->state[i], &b->state[i]))
            return false;
    for (uint32_t i = 0; i < a->n_guard; i++)
        if (!same_guard(&p, &a->guard[i], &b->guard[i]))
            return false;
    for (uint32_t i = 0; i < a->n_out; i++) {
        if (!same_operand(&p, a->out[i], b->out[i]))
            return differ(&p, "output %u is %%%s against %%%s", i, p.la[a->out[i]],
                          p.lb[b->out[i]]);
        if (!same_text(a->out_name[i], b->out_name[i]))
            return differ(&p, "output %u: name %s against %s", i, shown(a->out_name[i]),
                          shown(b->out_name[i]));
    }
    return true;
}

bool sc_graph_equal(const ScGraph *a, const ScGraph *b, ScStr *why)
{
    ScArena *arena = sc_arena_new();
    bool ok = graphs_equal(a, b, arena, why);
    sc_arena_free(arena);
    return ok;
}
