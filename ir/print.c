/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical text of a graph: one node a line, in the order of the graph, inputs and states
 * first. Equal graphs print the same bytes. It must also print graphs that are not well formed,
 * because the verifier shows them: an operand that cannot be named prints as <17>, which does not
 * parse. */
#include "ir/text_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Printer {
    const ScGraph *g;
    ScStr *out;
    ScArena *a;
    const char *const *label; /* [n_value] */
    uint32_t flags;           /* SC_PRINT_ */
    uint32_t indent;          /* of the graph's own line */
    ScLines *lines;           /* or NULL */
} Printer;

static void print_graph(const ScGraph *g, const Printer *outer, Printer p);

static void spaces(Printer *p, uint32_t n)
{
    sc_str_addf(p->out, "%*s", (int)n, "");
}

/* --- Labels ---------------------------------------------------------------------------------- */

/* Names given so far and how often, by content: open addressing, at most half full. */
typedef struct Names {
    const char **name;
    uint32_t *count;
    uint32_t cap;
} Names;

static uint32_t count_name(Names *t, const char *name)
{
    uint32_t i = (uint32_t)sc_hash(SC_HASH, name, strlen(name)) & (t->cap - 1);
    while (t->name[i] && strcmp(t->name[i], name) != 0)
        i = (i + 1) & (t->cap - 1);
    t->name[i] = name;
    return ++t->count[i];
}

static const char *label_of(const ScValue *v, uint32_t number, Names *names, ScArena *a)
{
    if (!v->name)
        return sc_printf(a, "%u", number);
    ScStr s = {0};
    if (sc_text_all_digits(v->name))
        sc_text_quoted(&s, v->name);
    else
        sc_text_name(&s, v->name);
    uint32_t nth = count_name(names, v->name);
    if (nth > 1)
        sc_str_addf(&s, "~%u", nth);
    return sc_str_keep(&s, a);
}

const char *const *sc_labels(const ScGraph *g, ScArena *a)
{
    const char **label = sc_array(a, const char *, g->n_value + 1u);
    Names names = {.cap = 16};
    while (names.cap < 2 * g->n_value)
        names.cap *= 2;
    names.name = sc_array(a, const char *, names.cap);
    names.count = sc_array(a, uint32_t, names.cap);
    uint32_t n_header, number = SC_FIRST;
    const uint32_t *order = sc_text_order(g, a, &n_header);
    for (uint32_t k = 0; k < g->n_node; k++) {
        const ScNode *n = &g->node[order[k]];
        for (uint32_t i = 0; i < n->n_out; i++, number++)
            if (n->first + i < g->n_value)
                label[n->first + i] = label_of(&g->value[n->first + i], number, &names, a);
    }
    for (ScVal v = 0; v < g->n_value; v++)
        if (!label[v])
            label[v] = sc_printf(a, "<%u>", v);
    return label;
}

static void print_value(Printer *p, ScVal v)
{
    if (v == SC_ABSENT)
        sc_str_add(p->out, "_");
    else if (v < p->g->n_value && p->label[v][0] != '<')
        sc_str_addf(p->out, "%%%s", p->label[v]);
    else
        sc_str_addf(p->out, "<%u>", v);
}

/* --- Types, exponents, attributes ------------------------------------------------------------ */

/* f32[4] * 2^(p+q); an exponent of 0 is not written where the graph's flag says that it is there.
 */
static void print_type(Printer *p, const ScValue *v)
{
    sc_type_print(v->type, p->out);
    if (!v->exp || ((p->g->flags & SC_G_SCALED) && sc_term_is(v->exp, 0)))
        return;
    bool compound = v->exp->kind == SC_T_SUM || v->exp->kind == SC_T_MUL;
    sc_str_add(p->out, compound ? " * 2^(" : " * 2^");
    sc_term_print(v->exp, p->out);
    if (compound)
        sc_str_add(p->out, ")");
}

/* @name, or the elements: 0.1, [1,2,3]. Elements whose type or shape is not that of t say so:
 * [1,2,3] as f32[3]. t may be NULL. */
static void print_blob(Printer *p, const ScBlob *b, const ScType *t)
{
    if (b->name) {
        sc_str_add(p->out, "@");
        sc_text_name(p->out, b->name);
        return;
    }
    if (b->rank > 0)
        sc_str_add(p->out, "[");
    for (size_t i = 0; i < b->count; i++) {
        if (i > 0)
            sc_str_add(p->out, ",");
        sc_text_element(p->out, b->dtype, b->data, i);
    }
    if (b->rank > 0)
        sc_str_add(p->out, "]");
    bool same = t && t->kind == SC_TYPE_TENSOR && t->dtype == b->dtype && t->rank == b->rank;
    for (uint32_t i = 0; same && i < b->rank; i++)
        same = sc_term_is(t->dim[i], b->dims[i]);
    if (same)
        return;
    sc_str_addf(p->out, " as %s[", scrt_dtype_name(b->dtype));
    for (uint32_t i = 0; i < b->rank; i++)
        sc_str_addf(p->out, i ? ",%lld" : "%lld", (long long)b->dims[i]);
    sc_str_add(p->out, "]");
}

static void print_element(Printer *p, const ScAttr *a, uint32_t i)
{
    switch (a->kind) {
    case SC_A_INTS:
        sc_str_addf(p->out, "%lld", (long long)a->is[i]);
        break;
    case SC_A_FLOATS:
        sc_text_double(p->out, a->fs[i]);
        break;
    case SC_A_STRS:
        sc_text_name(p->out, a->ss[i]);
        break;
    default:
        sc_term_print(a->ts[i], p->out);
    }
}

static void print_attr(Printer *p, const ScAttr *a, bool bare_list)
{
    switch (a->kind) {
    case SC_A_NONE:
        sc_str_add(p->out, "none");
        break;
    case SC_A_INT:
        sc_str_addf(p->out, "%lld", (long long)a->i);
        break;
    case SC_A_FLOAT:
        sc_text_double(p->out, a->f);
        break;
    case SC_A_STR:
        sc_text_name(p->out, a->s);
        break;
    case SC_A_DTYPE:
        sc_str_add(p->out, scrt_dtype_name(a->dtype));
        break;
    case SC_A_BLOB:
        print_blob(p, a->blob, NULL);
        break;
    default:
        if (!bare_list)
            sc_str_add(p->out, "[");
        for (uint32_t i = 0; i < a->n; i++) {
            if (i > 0)
                sc_str_add(p->out, ",");
            print_element(p, a, i);
        }
        if (!bare_list)
            sc_str_add(p->out, "]");
    }
}

void sc_attr_print(const ScAttr *a, ScStr *out)
{
    print_attr(&(Printer){.out = out}, a, false);
}

/* Whether the text may leave attribute i of n out because it can be told from the rest. */
static bool attr_implied(const ScGraph *g, const ScNode *n, uint32_t i)
{
    const ScAttrDef *def = &n->op->attr[i];
    const ScAttr *a = &n->attr[i];
    const ScType *t = n->n_out > 0 && n->first < g->n_value ? g->value[n->first].type : NULL;
    if (t && t->kind == SC_TYPE_TENSOR && def->text == SC_TEXT_DTYPE && a->kind == SC_A_DTYPE)
        return a->dtype == t->dtype;
    if (t && t->kind == SC_TYPE_TENSOR && def->text == SC_TEXT_SHAPE && a->kind == SC_A_TERMS) {
        bool same = a->n == t->rank;
        for (uint32_t k = 0; same && k < a->n; k++)
            same = a->ts[k] == t->dim[k];
        return same;
    }
    return def->text == SC_TEXT_OPERAND || (!def->required && sc_attr_equal(a, &def->def));
}

static void print_attrs(Printer *p, const ScNode *n)
{
    const char *before = " {";
    for (uint32_t i = 0; i < n->op->n_attr; i++) {
        if (attr_implied(p->g, n, i))
            continue;
        sc_str_addf(p->out, "%s%s = ", before, n->op->attr[i].name);
        print_attr(p, &n->attr[i], false);
        before = ", ";
    }
    if (before[0] == ',')
        sc_str_add(p->out, "}");
}

/* --- Lines ----------------------------------------------------------------------------------- */

static void print_operands(Printer *p, const ScNode *n)
{
    const char *before = " ";
    for (uint32_t i = 0; i < n->n_in; i++, before = ", ") {
        sc_str_add(p->out, before);
        print_value(p, n->in[i]);
    }
    for (uint32_t i = 0; i < n->op->n_attr; i++)
        if (n->op->attr[i].text == SC_TEXT_OPERAND) {
            sc_str_add(p->out, before);
            print_attr(p, &n->attr[i], n->attr[i].kind == SC_A_TERMS && n->attr[i].n == 1);
        }
}

/*  from "a", "b" (backward) */
static void print_loc(Printer *p, const ScLoc *loc)
{
    const char *before = " from ";
    for (uint32_t i = 0; loc && i < loc->n; i++) {
        const char *name = sc_text_origin(loc, i);
        if (!name)
            continue;
        sc_str_add(p->out, before);
        sc_text_quoted(p->out, name);
        before = ", ";
    }
    if (loc && loc->phase != SC_FORWARD)
        sc_str_addf(p->out, " (%s)", sc_text_phase[loc->phase]);
}

/* The signature by which the results got their exponents, and what the data is expected to be. */
static void print_comment(Printer *p, const ScNode *n, size_t line)
{
    const char *before = "; g ";
    bool known = false, float_result = false;
    for (uint32_t i = 0; i < n->n_out; i++) {
        known |= p->g->value[n->first + i].g != SC_NO_G;
        float_result |= p->g->value[n->first + i].exp != NULL;
    }
    bool signature = float_result && n->op->scale && !(n->op->flags & SC_REBALANCES);
    if (!known && !signature)
        return;
    size_t width = p->out->n - line;
    spaces(p, width < 70 ? (uint32_t)(72 - width) : 2);
    if (signature) {
        sc_str_addf(p->out, "; %s", n->op->scale);
        before = "; g ";
    }
    if (signature && known)
        before = "  g ";
    for (uint32_t i = 0; i < n->n_out && known; i++, before = ", ") {
        int32_t g = p->g->value[n->first + i].g;
        if (g == SC_NO_G)
            sc_str_addf(p->out, "%s_", before);
        else
            sc_str_addf(p->out, "%s%.2f", before, g / 256.0);
    }
}

/* Here begins the line of n. */
static void note_line(Printer *p, const ScNode *n)
{
    ScLines *l = p->lines;
    for (; l->seen < p->out->n; l->seen++)
        l->n_before += p->out->s[l->seen] == '\n';
    sc_buf_push(l->at, l->n, l->cap, ((ScLine){n, l->n_before + 1}));
}

static void print_node(Printer *p, const ScNode *n)
{
    size_t line = p->out->n;
    if (p->lines)
        note_line(p, n);
    spaces(p, p->indent + 2);
    for (uint32_t i = 0; i < n->n_out; i++) {
        sc_str_add(p->out, i ? ", " : "");
        print_value(p, n->first + i);
    }
    sc_str_addf(p->out, " = %s", n->op->name);
    if (n->op->flags & SC_CONST_OP) {
        sc_str_add(p->out, " ");
        print_blob(p, n->attr[0].blob, p->g->value[n->first].type);
    } else {
        print_operands(p, n);
        print_attrs(p, n);
    }
    for (uint32_t i = 0; i < n->n_out; i++) {
        sc_str_add(p->out, i ? ", " : " : ");
        print_type(p, &p->g->value[n->first + i]);
    }
    print_loc(p, n->loc);
    if (p->flags & SC_PRINT_COMMENTS)
        print_comment(p, n, line);
    sc_str_add(p->out, "\n");
    for (uint32_t i = 0; i < n->op->n_sub; i++)
        print_graph(n->sub[i], p, *p);
}

/* What grows along has this extent at first. */
static int64_t first_extent(const Printer *p, const ScState *s)
{
    const ScType *past = p->g->value[s->past].type, *first = sc_state_first(p->g->cx, s, past);
    int64_t n = 0;
    if (first)
        sc_term_const(first->dim[sc_state_axis(s, past)], &n);
    return n;
}

static void print_state(Printer *p, const ScState *s)
{
    spaces(p, p->indent + 2);
    sc_str_add(p->out, "state @");
    sc_text_name(p->out, s->name ? s->name : "");
    sc_str_add(p->out, " (");
    print_value(p, s->past);
    sc_str_add(p->out, ": ");
    print_type(p, &p->g->value[s->past]);
    if (s->grows) {
        sc_str_add(p->out, " up to ");
        sc_term_print(sc_term_sym(p->g->cx, s->grows), p->out);
        sc_str_addf(p->out, " = %lld", (long long)s->capacity);
        if (s->init)
            sc_str_addf(p->out, " from %lld", (long long)first_extent(p, s));
    }
    sc_str_add(p->out, " -> ");
    print_value(p, s->next);
    sc_str_add(p->out, ")");
    if (s->init) {
        sc_str_add(p->out, " = ");
        print_blob(p, s->init, sc_state_first(p->g->cx, s, p->g->value[s->past].type));
    }
    sc_str_add(p->out, "\n");
}

static void print_guard(Printer *p, const ScGuard *g)
{
    spaces(p, p->indent + 2);
    sc_str_add(p->out, "guard ");
    sc_term_print(g->a, p->out);
    sc_str_addf(p->out, " %s ", sc_guard_word[g->kind]);
    sc_term_print(g->b, p->out);
    sc_str_add(p->out, " : ");
    sc_text_quoted(p->out, g->what);
    print_loc(p, g->loc);
    sc_str_add(p->out, "\n");
}

/* An output goes by its value's name; another one stands behind `as`, `_` where it has none. */
static void print_output(Printer *p, ScVal v, const char *name)
{
    print_value(p, v);
    const char *own = v < p->g->n_value ? p->g->value[v].name : NULL;
    if (name == own || (name && own && strcmp(name, own) == 0))
        return;
    sc_str_add(p->out, " as ");
    if (!name)
        sc_str_add(p->out, "_");
    else if (strcmp(name, "_") == 0)
        sc_text_quoted(p->out, name);
    else
        sc_text_name(p->out, name);
}

/* [scaled, quantized], where the text does not say so anyway. */
static void print_flags(Printer *p, const ScGraph *outer)
{
    const ScGraph *g = p->g;
    if (g->flags == sc_text_flags(g, outer ? outer->flags : 0, sc_text_has_exponents(g)))
        return;
    const char *before = "";
    sc_str_add(p->out, g->name && *g->name ? " [" : "[");
    for (uint32_t i = 0; i < 3; i++)
        if (g->flags & (1u << i)) {
            sc_str_addf(p->out, "%s%s", before, sc_text_flag_name[i]);
            before = ", ";
        }
    sc_str_add(p->out, "] ");
}

static void print_header(Printer *p, const ScGraph *outer)
{
    const ScGraph *g = p->g;
    spaces(p, p->indent);
    sc_str_add(p->out, "graph ");
    if (g->name && *g->name) {
        sc_str_add(p->out, "@");
        sc_text_name(p->out, g->name);
    }
    print_flags(p, outer);
    sc_str_add(p->out, "(");
    for (uint32_t i = 0; i < g->n_in; i++) {
        sc_str_add(p->out, i ? ", " : "");
        print_value(p, g->in[i]);
        sc_str_add(p->out, ": ");
        print_type(p, &g->value[g->in[i]]);
    }
    sc_str_add(p->out, ") -> (");
    for (uint32_t i = 0; i < g->n_out; i++) {
        sc_str_add(p->out, i ? ", " : "");
        print_output(p, g->out[i], g->out_name ? g->out_name[i] : NULL);
    }
    sc_str_add(p->out, ") {\n");
}

/* p: as the printer of the graph around it, or for the outermost one. */
static void print_graph(const ScGraph *g, const Printer *outer, Printer p)
{
    p.g = g;
    p.indent = outer ? outer->indent + 4 : 0;
    p.label = sc_labels(g, p.a);
    uint32_t n_header;
    const uint32_t *order = sc_text_order(g, p.a, &n_header);
    print_header(&p, outer ? outer->g : NULL);
    for (uint32_t i = 0; i < g->n_state; i++)
        print_state(&p, &g->state[i]);
    for (uint32_t i = 0; i < g->n_guard; i++)
        print_guard(&p, &g->guard[i]);
    for (uint32_t k = n_header; k < g->n_node; k++)
        print_node(&p, &g->node[order[k]]);
    spaces(&p, p.indent);
    sc_str_add(p.out, "}\n");
}

void sc_print_lines(const ScGraph *g, uint32_t flags, ScStr *out, ScLines *lines)
{
    locale_t old, c = sc_text_locale_begin(&old);
    ScArena *a = sc_arena_new();
    if (g->source) {
        sc_str_add(out, "source ");
        sc_text_quoted(out, g->source);
        sc_str_add(out, "\n");
    }
    print_graph(g, NULL, (Printer){.out = out, .a = a, .flags = flags, .lines = lines});
    sc_arena_free(a);
    sc_text_locale_end(c, old);
}

void sc_print(const ScGraph *g, uint32_t flags, ScStr *out)
{
    sc_print_lines(g, flags, out, NULL);
}

static int by_node(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const ScLine *)a)->node, y = (uintptr_t)((const ScLine *)b)->node;
    return (x > y) - (x < y);
}

void sc_lines_end(ScLines *l)
{
    if (l->n)
        qsort(l->at, l->n, sizeof *l->at, by_node);
}

uint32_t sc_line_of(const ScLines *l, const ScNode *n)
{
    ScLine key = {n, 0};
    const ScLine *x = l->n ? bsearch(&key, l->at, l->n, sizeof key, by_node) : NULL;
    return x ? x->line : 0;
}

void sc_lines_free(ScLines *l)
{
    sc_buf_free(l->at);
}
