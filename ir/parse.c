/* SPDX-License-Identifier: Apache-2.0 */
/* From text to graph, by recursive descent, one rule a function:
 *
 *   text   := ["source" STRING] graph
 *   graph  := "graph" ["@" NAME] ["[" [flag {"," flag}] "]"] "(" [input {"," input}] ")"
 *             "->" "(" [output {"," output}] ")" "{" {state | guard | node} "}"
 *   input  := value ":" type                       output := value ["as" (NAME | "_")]
 *   state  := "state" "@" NAME "(" value ":" type ["up" "to" term "=" INT ["from" INT]]
 *             "->" value ")" ["=" literal]
 *   guard  := "guard" term ("=" | "!=" | "<=" | "divides" | "meets" | "fits") term ":" STRING
 *             ["from" STRING {"," STRING}] ["(" phase ")"]
 *   node   := value {"," value} "=" OP [operand {"," operand}] ["{" NAME "=" attr {"," ...} "}"]
 *             ":" type {"," type} ["from" STRING {"," STRING}] ["(" phase ")"] {graph}
 *   value  := "%" (NUMBER | NAME ["~" NUMBER])     type   := DTYPE "[" dims "]" ["*" "2^" term]
 *
 * A value's label is a number, which says nothing, or its name; ~2 tells the second of a name from
 * the first. Types are written because people read them: they must be those that the rows infer.
 * Without a list of flags a graph is scaled where it writes a nonzero exponent or where the graph
 * around it is. */
#include "ir/parse_priv.h"
#include "ir/text_priv.h"

#include <string.h>

typedef struct Label {
    const char *name; /* interned, or NULL: a number */
    int64_t number;   /* of the label, or which of its name it is */
    const char *text; /* interned: as it was written, for messages */
    const ScLoc *loc;
} Label;

typedef struct Scope { /* label -> value; open addressing, at most half full */
    Label *label;
    ScVal *value;
    uint32_t n, cap;
} Scope;

typedef struct Output {
    Label label;
    const char *name;
} Output;

typedef struct Next { /* a state's next value, which is defined further down */
    ScVal past;
    Label label;
} Next;

/* A node's line while it is read; the buffers are used again for the next one. */
typedef struct Line {
    Label *def;
    ScVal *in, *out;
    const ScType **type;
    const ScTerm **exp;
    ScOrigin *origin;
    ScGraph **sub;
    uint32_t n_def, cap_def, n_in, cap_in, cap_out, n_type, cap_type, n_exp, cap_exp, n_origin,
        cap_origin, n_sub, cap_sub;
    ScAttr attr[SC_MAX_ATTR];
} Line;

typedef struct Body { /* one graph while it is read */
    ScBuild b;
    Scope scope;
    Output *output;
    Next *next;
    uint32_t n_output, cap_output, n_next, cap_next;
    bool scaled;      /* every float value has an exponent, 0 where none is written */
    bool low, kernel; /* some type is a low-precision float; some node is a kernel */
    int64_t flags;    /* the explicit list, or -1 */
    Line line;
} Body;

/* outer: flags of the graph around; kernel: it is the graph of a kernel. */
static ScGraph *parse_graph(ScParse *p, uint32_t outer, bool kernel, const char *source);

/* --- Labels ---------------------------------------------------------------------------------- */

static uint32_t slot(const Scope *s, const Label *l)
{
    uint64_t h = sc_hash(SC_HASH, &l->number, sizeof l->number);
    if (l->name)
        h = sc_hash(h, l->name, strlen(l->name));
    uint32_t i = (uint32_t)(h ^ h >> 32) & (s->cap - 1);
    while (s->value[i] && (s->label[i].name != l->name || s->label[i].number != l->number))
        i = (i + 1) & (s->cap - 1);
    return i;
}

static void scope_grow(ScParse *p, Scope *s)
{
    Scope old = *s;
    s->cap = old.cap ? 2 * old.cap : 64;
    s->label = sc_array(p->a, Label, s->cap);
    s->value = sc_array(p->a, ScVal, s->cap);
    for (uint32_t i = 0; i < old.cap; i++)
        if (old.value[i]) {
            uint32_t k = slot(s, &old.label[i]);
            s->label[k] = old.label[i];
            s->value[k] = old.value[i];
        }
}

/* Values are stored one up, so that an empty slot is 0 and poison is not. */
static void define(ScParse *p, Body *b, const Label *l, ScVal v)
{
    Scope *s = &b->scope;
    if (2 * s->n >= s->cap)
        scope_grow(p, s);
    uint32_t i = slot(s, l);
    if (s->value[i]) {
        sc_fail(p->cx, l->loc, SC_E_NAME, "%%%s is defined twice", l->text);
        return;
    }
    s->label[i] = *l;
    s->value[i] = v + 1;
    s->n++;
    if (l->name && v >= SC_FIRST)
        sc_set_name(&b->b, v, l->name);
}

static ScVal lookup(ScParse *p, Body *b, const Label *l)
{
    uint32_t i = b->scope.cap ? slot(&b->scope, l) : 0;
    if (b->scope.cap && b->scope.value[i])
        return b->scope.value[i] - 1;
    sc_fail(p->cx, l->loc, SC_E_NAME, "%%%s", l->text);
    return SC_POISON;
}

static bool parse_label(ScParse *p, Label *ret)
{
    bool quoted;
    if (!sc_lex_need(&p->l, "%"))
        return false;
    const char *begin = p->l.p, *name = sc_lex_name(&p->l, "a value's number or name", &quoted);
    *ret = (Label){.name = name, .number = 1};
    if (!name)
        return false;
    if (!quoted && sc_text_all_digits(name)) {
        p->l.p = begin;
        ret->name = NULL;
        if (!sc_text_read_int(&p->l.p, &ret->number))
            return sc_lex_expected(&p->l, "a smaller number");
    } else if (*p->l.p == '~') {
        p->l.p++;
        if (!sc_text_read_int(&p->l.p, &ret->number) || ret->number < 2)
            return sc_lex_expected(&p->l, "a number of 2 or more");
    }
    ret->text = sc_intern_n(p->cx, begin, (size_t)(p->l.p - begin));
    ret->loc = sc_lex_loc(&p->l);
    return true;
}

/* --- The header ------------------------------------------------------------------------------ */

/* Whether the graph that begins here writes a nonzero exponent of its own, nested graphs apart.
 * This must be known before the first value is built; it is answered by looking at the words. */
static bool writes_exponent(const char *s)
{
    int depth = 0;
    for (; *s; s++) {
        if (*s == '"') {
            for (s++; *s && *s != '"' && *s != '\n'; s++)
                s += *s == '\\' && s[1];
            if (!*s)
                return false;
        } else if (*s == ';') {
            s += strcspn(s, "\n");
            if (!*s)
                return false;
        } else if (*s == '{') {
            depth++;
        } else if (*s == '}') {
            if (--depth <= 0)
                return false;
        } else if (depth < 2 && s[0] == '2' && s[1] == '^') {
            char after[2] = {s[2] == '0' ? s[3] : '\0', '\0'};
            if (s[2] != '0' || sc_text_bare(after))
                return true;
        }
    }
    return false;
}

/* What the value gets: where all float values have exponents, one that is not written is 0. */
static const ScTerm *exponent(ScParse *p, Body *b, const ScType *t, const ScTerm *written)
{
    b->low |= t->kind == SC_TYPE_TENSOR && scrt_dtype_is_low(t->dtype);
    return written || !b->scaled || !sc_type_is_float(t) ? written : sc_term(p->cx, 0);
}

static bool parse_input(ScParse *p, Body *b)
{
    Label l;
    const ScTerm *e;
    sc_lex_lines(&p->l);
    if (!parse_label(p, &l) || !sc_lex_need(&p->l, ":"))
        return false;
    const ScType *t = sc_parse_type(p);
    if (!t || !sc_parse_exp(p, &e))
        return false;
    b->b.at = l.loc;
    define(p, b, &l, sc_input(&b->b, l.name, t, exponent(p, b, t, e)));
    return true;
}

static bool parse_output(ScParse *p, Body *b)
{
    Output o;
    bool quoted;
    sc_lex_lines(&p->l);
    if (!parse_label(p, &o.label))
        return false;
    o.name = o.label.name;
    if (sc_lex_accept(&p->l, "as")) {
        o.name = sc_lex_name(&p->l, "an output's name", &quoted);
        if (!o.name)
            return false;
        if (!quoted && strcmp(o.name, "_") == 0)
            o.name = NULL;
    }
    sc_buf_push(b->output, b->n_output, b->cap_output, o);
    return true;
}

/* "(" [item {"," item}] ")", over as many lines as it likes. */
static bool parse_list(ScParse *p, Body *b, bool (*item)(ScParse *, Body *))
{
    if (!sc_lex_need(&p->l, "("))
        return false;
    sc_lex_lines(&p->l);
    if (sc_lex_accept(&p->l, ")"))
        return true;
    do {
        if (!item(p, b))
            return false;
        sc_lex_lines(&p->l);
    } while (sc_lex_accept(&p->l, ","));
    return sc_lex_accept(&p->l, ")") || sc_lex_expected(&p->l, "',' or ')'");
}

static bool parse_flags(ScParse *p, Body *b)
{
    b->flags = -1;
    if (!sc_lex_accept(&p->l, "["))
        return true;
    b->flags = 0;
    if (sc_lex_accept(&p->l, "]"))
        return true;
    do {
        uint32_t i = 0;
        while (i < 3 && !sc_lex_accept(&p->l, sc_text_flag_name[i]))
            i++;
        if (i == 3)
            return sc_lex_expected(&p->l, "'scaled', 'quantized' or 'kernels'");
        b->flags |= 1 << i;
    } while (sc_lex_accept(&p->l, ","));
    return sc_lex_need(&p->l, "]");
}

/* --- Lines ----------------------------------------------------------------------------------- */

/* The type of the first value: p is 3. */
static const ScType *with_extent(ScParse *p, const ScType *t, const char *sym, int64_t n)
{
    const ScTerm *dim[SCRT_MAX_RANK];
    for (uint32_t d = 0; d < t->rank; d++) {
        bool grows = t->dim[d]->kind == SC_T_SYM && t->dim[d]->sym == sym;
        dim[d] = grows ? sc_term(p->cx, n) : t->dim[d];
    }
    return sc_type(p->cx, t->dtype, t->rank, dim);
}

/* up to p = 2048 from 3; *first: the type of the initial value, NULL where there can be none. */
static bool parse_growth(ScParse *p, const ScType **first, const char **ret_sym,
                         int64_t *ret_capacity)
{
    int64_t from;
    const ScTerm *t;
    if (!sc_lex_accept(&p->l, "up"))
        return true;
    if (!sc_lex_need(&p->l, "to") || !(t = sc_parse_term(p)))
        return false;
    sc_lex_blanks(&p->l);
    if (t->kind != SC_T_SYM)
        return sc_lex_expected(&p->l, "the extent that grows, a symbol, before this");
    if (!sc_lex_need(&p->l, "="))
        return false;
    sc_lex_blanks(&p->l);
    const char *at = p->l.p;
    if (!sc_text_read_int(&p->l.p, ret_capacity) || *ret_capacity < 1) {
        p->l.p = at;
        return sc_lex_expected(&p->l, "a capacity of 1 or more");
    }
    *ret_sym = t->sym;
    const ScType *past = *first;
    *first = NULL;
    if (!sc_lex_accept(&p->l, "from"))
        return true;
    sc_lex_blanks(&p->l);
    at = p->l.p;
    if (!sc_text_read_int(&p->l.p, &from) || from < 0 || from > *ret_capacity) {
        p->l.p = at;
        return sc_lex_expected(&p->l, "an extent from 0 up to the capacity");
    }
    *first = with_extent(p, past, *ret_sym, from);
    return true;
}

static bool parse_state(ScParse *p, Body *b)
{
    Next next;
    Label past;
    const ScTerm *e;
    const ScBlob *init = NULL;
    ScLiteral lit;
    if (!sc_lex_need(&p->l, "@"))
        return false;
    const char *name = sc_lex_name(&p->l, "a state's name", NULL);
    if (!name || !sc_lex_need(&p->l, "(") || !parse_label(p, &past) || !sc_lex_need(&p->l, ":"))
        return false;
    const ScType *t = sc_parse_type(p), *first = t;
    const char *grows = NULL;
    int64_t capacity = 0;
    if (!t || !sc_parse_exp(p, &e) || !parse_growth(p, &first, &grows, &capacity) ||
        !sc_lex_need(&p->l, "->") || !parse_label(p, &next.label) || !sc_lex_need(&p->l, ")"))
        return false;
    if (first && sc_lex_accept(&p->l, "=")) {
        if (!sc_parse_literal(p, &lit) || !(init = sc_parse_blob(p, &lit, first)))
            return false;
    } else if (first != t && first) {
        return sc_lex_expected(&p->l, "'=' and the initial value");
    }
    b->b.at = past.loc;
    next.past = sc_state(&b->b, name, t, exponent(p, b, t, e), init);
    if (grows)
        sc_state_grows(&b->b, next.past, grows, capacity);
    define(p, b, &past, next.past);
    sc_buf_push(b->next, b->n_next, b->cap_next, next);
    return sc_lex_end_of_line(&p->l);
}

static bool parse_operands(ScParse *p, Body *b, const ScOp *op)
{
    Line *l = &b->line;
    int last = -1;
    for (uint32_t i = 0; i < op->n_attr; i++)
        if (op->attr[i].text == SC_TEXT_OPERAND)
            last = (int)i;
    l->n_in = 0;
    if (last < 0 && !sc_lex_next_is(&p->l, '%') && !sc_lex_next_is(&p->l, '_'))
        return !p->l.failed;
    do {
        Label label;
        ScVal v = SC_ABSENT;
        if (last >= 0 && !sc_lex_next_is(&p->l, '%') && !sc_lex_next_is(&p->l, '_'))
            return sc_parse_attr(p, op->attr[last].kind, true, &l->attr[last]);
        if (!sc_lex_accept(&p->l, "_")) {
            if (!parse_label(p, &label))
                return false;
            v = lookup(p, b, &label);
        }
        sc_buf_push(l->in, l->n_in, l->cap_in, v);
    } while (sc_lex_accept(&p->l, ","));
    return last < 0 || !op->attr[last].required || sc_lex_expected(&p->l, "','");
}

static bool parse_attrs(ScParse *p, Body *b, const ScOp *op)
{
    if (!sc_lex_accept(&p->l, "{"))
        return !p->l.failed;
    do {
        sc_lex_blanks(&p->l);
        const char *begin = p->l.p, *name = sc_lex_name(&p->l, "an attribute's name", NULL);
        int i = name ? sc_attr_index(op, name) : -1;
        if (i < 0 || b->line.attr[i].kind != SC_A_NONE) {
            char what[80];
            snprintf(what, sizeof what, i < 0 ? "an attribute of %s" : "one value for %s",
                     i < 0 ? op->name : op->attr[i].name);
            p->l.p = begin;
            return sc_lex_expected(&p->l, what);
        }
        if (!sc_lex_need(&p->l, "=") ||
            !sc_parse_attr(p, op->attr[i].kind, false, &b->line.attr[i]))
            return false;
    } while (sc_lex_accept(&p->l, ","));
    return sc_lex_accept(&p->l, "}") || sc_lex_expected(&p->l, "',' or '}'");
}

static bool parse_types(ScParse *p, Body *b)
{
    Line *l = &b->line;
    const ScTerm *e;
    l->n_type = l->n_exp = 0;
    if (!sc_lex_need(&p->l, ":"))
        return false;
    for (uint32_t i = 0; i < l->n_def; i++) {
        const ScType *t = i == 0 || sc_lex_need(&p->l, ",") ? sc_parse_type(p) : NULL;
        if (!t || !sc_parse_exp(p, &e))
            return false;
        sc_buf_push(l->type, l->n_type, l->cap_type, t);
        e = exponent(p, b, t, e);
        sc_buf_push(l->exp, l->n_exp, l->cap_exp, e);
    }
    return true;
}

static bool parse_loc(ScParse *p, Body *b)
{
    Line *l = &b->line;
    int phase = SC_FORWARD;
    const ScLoc *at = sc_lex_loc(&p->l);
    l->n_origin = 0;
    if (sc_lex_accept(&p->l, "from"))
        do {
            const char *name = sc_lex_quoted(&p->l, "a quoted name");
            if (!name)
                return false;
            ScOrigin o = {.name = name, .index = -1};
            sc_buf_push(l->origin, l->n_origin, l->cap_origin, o);
        } while (sc_lex_accept(&p->l, ","));
    if (sc_lex_accept(&p->l, "(")) {
        while (phase < 3 && !sc_lex_accept(&p->l, sc_text_phase[phase]))
            phase++;
        if (phase == 3)
            return sc_lex_expected(&p->l, "'forward', 'backward' or 'optimizer'");
        if (!sc_lex_need(&p->l, ")"))
            return false;
    }
    b->b.at = sc_loc(p->cx, at->file, at->line, (ScPhase)phase, l->n_origin, l->origin);
    return sc_lex_end_of_line(&p->l);
}

static bool parse_guard(ScParse *p, Body *b)
{
    ScGuard g = {.kind = SC_GUARD_EQUAL};
    g.a = sc_parse_term(p);
    while (g.a && g.kind < SC_GUARD_KINDS && !sc_lex_accept(&p->l, sc_guard_word[g.kind]))
        g.kind++;
    if (!g.a || g.kind == SC_GUARD_KINDS)
        return sc_lex_expected(&p->l, "'=', '!=', '<=', 'divides', 'meets' or 'fits'");
    g.b = sc_parse_term(p);
    if (!g.b || !sc_lex_need(&p->l, ":") || !(g.what = sc_lex_quoted(&p->l, "a quoted text")) ||
        !parse_loc(p, b))
        return false;
    g.loc = b->b.at;
    sc_build_guard(&b->b, &g);
    return true;
}

/* Attributes that the text leaves out because the result's type says them. */
static void implied_attrs(ScParse *p, Body *b, const ScOp *op)
{
    const ScType *t = b->line.type[0];
    for (uint32_t i = 0; i < op->n_attr; i++) {
        ScAttr *a = &b->line.attr[i];
        if (a->kind != SC_A_NONE)
            continue;
        if (op->attr[i].text == SC_TEXT_DTYPE)
            *a = SC_DT(t->dtype);
        else if (op->attr[i].text == SC_TEXT_SHAPE)
            *a = SC_TERMS(t->rank,
                          sc_memdup(sc_ctx_arena(p->cx), t->dim, t->rank * sizeof(const ScTerm *)));
    }
}

/* What the rows infer must be what the text says. */
static void set_result(ScParse *p, Body *b, uint32_t i, ScVal v)
{
    Line *l = &b->line;
    if (v != SC_POISON && sc_built(&b->b, v)->type != l->type[i]) {
        ScStr said = {0}, is = {0};
        sc_type_print(l->type[i], &said);
        sc_type_print(sc_built(&b->b, v)->type, &is);
        sc_fail(p->cx, b->b.at, SC_E_VERIFY, "%%%s is of type %s, the text says %s", l->def[i].text,
                sc_str_get(&is), sc_str_get(&said));
        sc_str_free(&said);
        sc_str_free(&is);
    }
    if (l->exp[i])
        sc_set_exp(&b->b, v, l->exp[i]);
    define(p, b, &l->def[i], v);
}

static bool parse_const(ScParse *p, Body *b)
{
    Line *l = &b->line;
    ScLiteral lit;
    int64_t dims[SCRT_MAX_RANK];
    if (l->n_def != 1) {
        p->l.failed = true;
        return sc_fail(p->cx, sc_lex_loc(&p->l), SC_E_TEXT, "const has one result");
    }
    if (!sc_parse_literal(p, &lit) || !parse_types(p, b))
        return false;
    const ScType *t = l->type[0];
    const ScBlob *blob = sc_parse_blob(p, &lit, t);
    if (!blob || !parse_loc(p, b))
        return false;
    if (t->rank > SCRT_MAX_RANK || !sc_type_const_dims(t, dims))
        return sc_lex_expected(&p->l, "constant dimensions for a constant");
    set_result(p, b, 0, sc_const_shaped(&b->b, blob, t->dtype, t->rank, dims, l->exp[0]));
    return true;
}

/* A nested graph that parses but does not stand is poison to its node: reading goes on. */
static bool parse_subs(ScParse *p, Body *b, const ScOp *op, ScGraph **sub)
{
    for (uint32_t i = 0; i < op->n_sub && !p->l.failed; i++) {
        sc_lex_lines(&p->l);
        sub[i] = parse_graph(p, b->scaled ? SC_G_SCALED : 0, op->lower.cls == SC_KERNEL, NULL);
    }
    for (uint32_t i = 0; i < op->n_sub && p->l.failed; i++)
        sc_graph_free(sub[i]);
    return !p->l.failed;
}

static bool parse_op(ScParse *p, Body *b, const ScOp *op)
{
    Line *l = &b->line;
    memset(l->attr, 0, sizeof l->attr);
    if (!parse_operands(p, b, op) || !parse_attrs(p, b, op) || !parse_types(p, b) ||
        !parse_loc(p, b))
        return false;
    implied_attrs(p, b, op);
    ScGraph **sub = sc_array(p->a, ScGraph *, op->n_sub + 1u);
    ScVal *out = sc_array(p->a, ScVal, l->n_def);
    if (!parse_subs(p, b, op, sub))
        return false;
    sc_node(&b->b, op, l->attr, op->n_sub ? sub : NULL, l->n_in, l->in, l->n_def, out);
    b->kernel |= op->lower.cls == SC_KERNEL;
    for (uint32_t i = 0; i < l->n_def; i++)
        set_result(p, b, i, out[i]);
    return true;
}

static bool parse_node(ScParse *p, Body *b)
{
    Line *l = &b->line;
    l->n_def = 0;
    do {
        Label label;
        if (!parse_label(p, &label))
            return false;
        sc_buf_push(l->def, l->n_def, l->cap_def, label);
    } while (sc_lex_accept(&p->l, ","));
    if (!sc_lex_need(&p->l, "="))
        return false;
    sc_lex_blanks(&p->l);
    const char *begin = p->l.p, *name = sc_lex_name(&p->l, "an operator's name", NULL);
    const ScOp *op = name ? sc_op_find(p->cx, name) : NULL;
    if (!op || (op->flags & SC_BARRIER)) {
        p->l.p = begin;
        return sc_lex_expected(&p->l, "an operator's name");
    }
    return op->flags & SC_CONST_OP ? parse_const(p, b) : parse_op(p, b, op);
}

/* --- Graphs ---------------------------------------------------------------------------------- */

static bool parse_body(ScParse *p, Body *b)
{
    sc_lex_lines(&p->l);
    if (!sc_lex_need(&p->l, "{"))
        return false;
    for (;;) {
        sc_lex_lines(&p->l);
        if (sc_lex_accept(&p->l, "}"))
            break;
        bool ok;
        if (sc_lex_next_is(&p->l, '%'))
            ok = parse_node(p, b);
        else if (sc_lex_accept(&p->l, "state"))
            ok = parse_state(p, b);
        else if (sc_lex_accept(&p->l, "guard"))
            ok = parse_guard(p, b);
        else
            ok = sc_lex_expected(&p->l, "a value, 'state', 'guard' or '}'");
        if (!ok)
            return false;
    }
    for (uint32_t i = 0; i < b->n_next; i++)
        sc_state_next(&b->b, b->next[i].past, lookup(p, b, &b->next[i].label));
    for (uint32_t i = 0; i < b->n_output; i++)
        sc_output(&b->b, b->output[i].name, lookup(p, b, &b->output[i].label));
    return true;
}

static void body_free(Body *b)
{
    Line *l = &b->line;
    void *buf[] = {b->output, b->next, l->def, l->in, l->type, l->exp, l->origin};
    for (size_t i = 0; i < sizeof buf / sizeof *buf; i++)
        sc_buf_free(buf[i]);
}

static bool parse_whole(ScParse *p, Body *b)
{
    if (!parse_list(p, b, parse_input) || !sc_lex_need(&p->l, "->") ||
        !parse_list(p, b, parse_output) || !parse_body(p, b))
        return false;
    uint32_t flags = b->scaled ? SC_G_SCALED : 0;
    flags |= b->scaled && b->low ? SC_G_QUANTIZED : 0;
    flags |= b->kernel ? SC_G_KERNELS : 0;
    sc_build_flags(&b->b, b->flags >= 0 ? (uint32_t)b->flags : flags);
    return true;
}

/* The word "graph" comes next. */
static ScGraph *parse_graph(ScParse *p, uint32_t outer, bool kernel, const char *source)
{
    const char *name = NULL;
    Body b = {.flags = -1};
    if (p->depth == SC_TEXT_DEPTH) {
        sc_lex_expected(&p->l, "graphs nested less deeply");
        return NULL;
    }
    if (!sc_lex_need(&p->l, "graph") ||
        (sc_lex_accept(&p->l, "@") && !(name = sc_lex_name(&p->l, "the graph's name", NULL))) ||
        !parse_flags(p, &b))
        return NULL;
    b.scaled =
        b.flags >= 0 ? b.flags & SC_G_SCALED : (outer & SC_G_SCALED) || writes_exponent(p->l.p);
    sc_build_init(&b.b, p->cx, name, p->l.file);
    sc_build_source(&b.b, source);
    if (kernel)
        sc_build_guarded_outside(&b.b);
    p->depth++;
    bool ok = parse_whole(p, &b);
    p->depth--;
    body_free(&b);
    if (ok)
        return sc_build_end(&b.b);
    sc_build_drop(&b.b);
    return NULL;
}

ScGraph *sc_parse(ScCtx *cx, const char *file, const char *text, const ScBlobSource *src,
                  const char **ret_rest)
{
    locale_t old, c = sc_text_locale_begin(&old);
    ScParse p = {.cx = cx, .a = sc_arena_new(), .src = src};
    const char *source = NULL;
    ScGraph *g = NULL;
    sc_lex_begin(&p.l, cx, file, text);
    sc_lex_lines(&p.l);
    bool ok = !sc_lex_accept(&p.l, "source") ||
              ((source = sc_lex_quoted(&p.l, "a quoted path")) && sc_lex_end_of_line(&p.l));
    sc_lex_lines(&p.l);
    if (ok)
        g = parse_graph(&p, 0, false, source);
    sc_lex_lines(&p.l);
    if (g && !ret_rest && *p.l.p) {
        sc_lex_expected(&p.l, "the end of the text");
        sc_graph_free(g);
        g = NULL;
    }
    if (g && ret_rest)
        *ret_rest = p.l.p;
    sc_arena_free(p.a);
    sc_text_locale_end(c, old);
    return g;
}
