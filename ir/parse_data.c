/* SPDX-License-Identifier: Apache-2.0 */
#include "ir/parse_priv.h"
#include "ir/text_priv.h"

#include <string.h>

const ScType *sc_parse_type(ScParse *p)
{
    sc_lex_blanks(&p->l);
    const ScType *t = p->l.failed ? NULL : sc_type_parse(p->cx, &p->l.p);
    if (!t)
        sc_lex_expected(&p->l, "a type such as f32[2,n]");
    return t;
}

const ScTerm *sc_parse_term(ScParse *p)
{
    sc_lex_blanks(&p->l);
    const ScTerm *t = p->l.failed ? NULL : sc_term_parse(p->cx, &p->l.p);
    if (!t)
        sc_lex_expected(&p->l, "a term such as 4, n or 2*n+1");
    return t;
}

bool sc_parse_exp(ScParse *p, const ScTerm **ret)
{
    *ret = NULL;
    if (!sc_lex_accept(&p->l, "*"))
        return !p->l.failed;
    if (!sc_lex_need(&p->l, "2^"))
        return false;
    bool paren = *p->l.p == '(';
    p->l.p += paren;
    *ret = sc_parse_term(p);
    return *ret && (!paren || sc_lex_need(&p->l, ")"));
}

/* --- Constants ------------------------------------------------------------------------------- */

/* Past a quoted string that begins at p, or past one byte; not past the end of a line. */
static const char *past(const char *p)
{
    if (*p++ != '"')
        return p;
    while (*p && *p != '\n' && *p != '"')
        p += p[0] == '\\' && p[1] && p[1] != '\n' ? 2 : 1;
    return p + (*p == '"');
}

bool sc_parse_literal(ScParse *p, ScLiteral *ret)
{
    *ret = (ScLiteral){0};
    if (sc_lex_accept(&p->l, "@"))
        return (ret->name = sc_lex_name(&p->l, "a constant's name", NULL)) != NULL;
    sc_lex_blanks(&p->l);
    ret->at = p->l;
    const char *end = p->l.p, *stop = *end == '[' ? "]\n" : " \t\r\n,:;)}";
    while (*end && !strchr(stop, *end))
        end = past(end);
    if (end == p->l.p || (*p->l.p == '[' && *end != ']'))
        return sc_lex_expected(&p->l, "a constant such as 0.5, [1,2] or @name");
    p->l.p = end + (*p->l.p == '[');
    if (!sc_lex_accept(&p->l, "as"))
        return !p->l.failed;
    return (ret->as = sc_parse_type(p)) != NULL;
}

/* The number of elements written from l on, without reading them. */
static size_t written(ScLex l)
{
    if (*l.p != '[')
        return 1;
    l.p++;
    sc_lex_blanks(&l);
    size_t n = *l.p != ']';
    for (; *l.p && *l.p != ']'; l.p = past(l.p))
        n += *l.p == ',';
    return n;
}

static bool read_element(ScParse *p, ScLex *l, ScrtDtype t, size_t i, void *data)
{
    ScStr s = {0};
    if (t != SCRT_STRING)
        return sc_text_read_element(&l->p, t, data, i);
    bool ok = sc_lex_string(l, &s);
    if (ok)
        ((const ScrtString **)data)[i] = sc_string(p->cx, sc_str_get(&s), s.n);
    sc_str_free(&s);
    return ok;
}

static bool read_elements(ScParse *p, const ScLiteral *lit, ScrtDtype t, size_t n, void *data)
{
    ScLex l = lit->at;
    bool list = sc_lex_accept(&l, "[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && !sc_lex_need(&l, ","))
            break;
        sc_lex_blanks(&l);
        if (!read_element(p, &l, t, i, data)) {
            char what[48];
            snprintf(what, sizeof what, "an element of type %s", scrt_dtype_name(t));
            sc_lex_expected(&l, what);
            break;
        }
    }
    if (list && !l.failed)
        sc_lex_need(&l, "]");
    else if (!list && !l.failed && *l.p && !strchr(" \t\r\n,:;)}", *l.p))
        sc_lex_expected(&l, "the end of the number");
    p->l.failed |= l.failed;
    return !p->l.failed;
}

static const ScBlob *inline_blob(ScParse *p, const ScLiteral *lit, const ScType *t,
                                 const int64_t *dims, size_t count)
{
    size_t bytes, n = written(lit->at);
    bool list = *lit->at.p == '[';
    if (n != count || list != (t->rank > 0) || !scrt_bytes(t->dtype, count, &bytes)) {
        ScLex l = lit->at;
        ScStr s = {0};
        sc_type_print(t, &s);
        p->l.failed = true;
        if (list == (t->rank > 0))
            sc_fail(p->cx, sc_lex_loc(&l), SC_E_TEXT, "expected %zu elements for %s, found %zu",
                    count, sc_str_get(&s), n);
        else
            sc_fail(p->cx, sc_lex_loc(&l), SC_E_TEXT, "expected %s for %s",
                    list ? "one number without brackets" : "elements in brackets", sc_str_get(&s));
        sc_str_free(&s);
        return NULL;
    }
    void *data = sc_alloc(sc_ctx_arena(p->cx), bytes + 1);
    if (!read_elements(p, lit, t->dtype, count, data))
        return NULL;
    return sc_blob(p->cx, NULL, t->dtype, t->rank, dims, data);
}

const ScBlob *sc_parse_blob(ScParse *p, const ScLiteral *lit, const ScType *t)
{
    const ScBlob *b = NULL;
    if (lit->as)
        t = lit->as;
    int64_t dims[SCRT_MAX_RANK];
    size_t count = 1;
    bool ok = t && t->rank <= SCRT_MAX_RANK && sc_type_const_dims(t, dims);
    for (uint32_t i = 0; ok && i < t->rank; i++)
        ok = dims[i] >= 0 && !__builtin_mul_overflow(count, (size_t)dims[i], &count);
    if (!ok) {
        sc_lex_expected(&p->l, "constant dimensions for a constant");
        return NULL;
    }
    if (!lit->name)
        return inline_blob(p, lit, t, dims, count);
    if (p->src)
        b = p->src->find(p->src->self, lit->name, count);
    if (!b)
        return sc_blob(p->cx, lit->name, t->dtype, t->rank, dims, NULL);
    if (b->count != count) {
        p->l.failed = true;
        sc_fail(p->cx, sc_lex_loc(&p->l), SC_E_TEXT,
                "the constant @%s has %zu elements, its type %zu", lit->name, b->count, count);
        return NULL;
    }
    return b;
}

/* --- Attributes ------------------------------------------------------------------------------ */

static bool read_scalar(ScParse *p, ScAttrKind kind, ScAttr *ret)
{
    ScLex *l = &p->l;
    const char *name;
    sc_lex_blanks(l);
    switch (kind) {
    case SC_A_INT:
        return sc_text_read_int(&l->p, &ret->i) || sc_lex_expected(l, "an integer");
    case SC_A_FLOAT:
        return sc_text_read_double(&l->p, &ret->f) || sc_lex_expected(l, "a number");
    case SC_A_STR:
        return (ret->s = sc_lex_name(l, "a word or a quoted string", NULL)) != NULL;
    default:
        name = sc_lex_name(l, "an element type such as f32", NULL);
        ret->dtype = name ? scrt_dtype_find(name, strlen(name)) : SCRT_DTYPE_NONE;
        if (name && !ret->dtype) {
            l->p -= strlen(name);
            return sc_lex_expected(l, "an element type such as f32");
        }
        return name != NULL;
    }
}

/* One element of a list, appended to what is as wide as the widest of them. */
typedef union Item {
    int64_t i;
    double f;
    const char *s;
    const ScTerm *t;
} Item;

static bool read_item(ScParse *p, ScAttrKind kind, Item *ret)
{
    ScAttr a = {0};
    if (kind == SC_A_TERMS)
        return (ret->t = sc_parse_term(p)) != NULL;
    ScAttrKind one = kind == SC_A_INTS ? SC_A_INT : kind == SC_A_FLOATS ? SC_A_FLOAT : SC_A_STR;
    if (!read_scalar(p, one, &a))
        return false;
    if (kind == SC_A_INTS)
        ret->i = a.i;
    else if (kind == SC_A_FLOATS)
        ret->f = a.f;
    else
        ret->s = a.s;
    return true;
}

static bool read_list(ScParse *p, ScAttrKind kind, bool bare, ScAttr *ret)
{
    Item *item = NULL, x;
    uint32_t n = 0, cap = 0;
    bool list = sc_lex_accept(&p->l, "[");
    bool ok = (list || bare || sc_lex_expected(&p->l, "'['")) && !p->l.failed;
    if (ok && !(list && sc_lex_accept(&p->l, "]")))
        do {
            ok = read_item(p, kind, &x);
            if (ok)
                sc_buf_push(item, n, cap, x);
        } while (ok && list && sc_lex_accept(&p->l, ","));
    if (ok && list && n > 0)
        ok = sc_lex_need(&p->l, "]");
    if (ok) {
        _Static_assert(sizeof(Item) == 8 && sizeof(const ScTerm *) == 8 && sizeof(double) == 8,
                       "a list of items is a list of each of its members");
        ret->n = n;
        ret->is = sc_memdup(sc_ctx_arena(p->cx), item, n * sizeof *item);
    }
    sc_buf_free(item);
    return ok;
}

bool sc_parse_attr(ScParse *p, ScAttrKind kind, bool bare, ScAttr *ret)
{
    ScLiteral lit;
    *ret = (ScAttr){.kind = kind};
    switch (kind) {
    case SC_A_NONE:
        return sc_lex_expected(&p->l, "no value");
    case SC_A_INT:
    case SC_A_FLOAT:
    case SC_A_STR:
    case SC_A_DTYPE:
        return read_scalar(p, kind, ret);
    case SC_A_BLOB:
        return sc_parse_literal(p, &lit) && (ret->blob = sc_parse_blob(p, &lit, NULL)) != NULL;
    case SC_A_INTS:
    case SC_A_FLOATS:
    case SC_A_STRS:
    case SC_A_TERMS:
        return read_list(p, kind, bare, ret);
    }
    return false;
}

/* --- A graph as the source of its own text --------------------------------------------------- */

typedef struct Blobs { /* by name; open addressing, at most half full */
    const ScBlob **slot;
    uint32_t n, cap;
} Blobs;

/* What stands before the first blob of a name, or the empty slot where it belongs. */
static const ScBlob **blob_slot(const Blobs *t, const char *name)
{
    uint64_t h = sc_hash(SC_HASH, name, strlen(name));
    uint32_t i = (uint32_t)(h ^ h >> 32) & (t->cap - 1);
    while (t->slot[i] && strcmp(t->slot[i]->name, name) != 0)
        i = (i + 1) & (t->cap - 1);
    return &t->slot[i];
}

static void add_blob(Blobs *t, const ScBlob *b)
{
    if (!b || !b->name)
        return;
    const ScBlob **s = t->cap ? blob_slot(t, b->name) : NULL;
    t->n++;
    if (s && !*s)
        *s = b;
}

/* Once with an empty table to count, once to fill it. */
static void collect(Blobs *t, const ScGraph *g)
{
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        for (uint32_t k = 0; k < n->op->n_attr; k++)
            if (n->attr[k].kind == SC_A_BLOB)
                add_blob(t, n->attr[k].blob);
        for (uint32_t k = 0; k < n->op->n_sub; k++)
            collect(t, n->sub[k]);
    }
    for (uint32_t i = 0; i < g->n_state; i++)
        add_blob(t, g->state[i].init);
}

static const ScBlob *find_blob(void *self, const char *name, uint64_t count)
{
    (void)count;
    const Blobs *t = self;
    return *blob_slot(t, name);
}

ScBlobSource sc_graph_blobs(const ScGraph *g, ScArena *a)
{
    Blobs *t = sc_new(a, Blobs);
    collect(t, g);
    uint32_t n = t->n, cap = 16;
    while (cap < 2 * n)
        cap *= 2;
    *t = (Blobs){.slot = sc_array(a, const ScBlob *, cap), .cap = cap};
    collect(t, g);
    return (ScBlobSource){.find = find_blob, .self = t};
}
