/* SPDX-License-Identifier: Apache-2.0 */
/* The table, in the order of ops.def, and behind it the rows that a session's user added. Found by
 * the names' hashes: an index made when a session first asks. */
#include "ir/op.h"

#include <assert.h>
#include <string.h>

const ScOp *const sc_op_table[] = {
#define SC_OP(name) &sc_op_##name,
#include "ir/ops.def"
#undef SC_OP
};

const ScClassFacts sc_class[SC_N_CLASS] = {
#define SC_CLASS(id, name, facts, descriptor, meaning) {name, meaning, facts},
#include "ir/classes.def"
#undef SC_CLASS
};

ScClass sc_class_named(const char *name)
{
    uint32_t c = 0;
    while (c < SC_N_CLASS && strcmp(sc_class[c].name, name) != 0)
        c++;
    return (ScClass)c;
}

const ScNode *sc_leader(const ScGraph *sub)
{
    for (uint32_t i = 0; i < sub->n_node; i++)
        if (sc_class_is(sub->node[i].op->lower.cls, SC_LEADS))
            return &sub->node[i];
    return NULL;
}

/* A constant that stands inside a kernel. */
static bool is_number(const ScGraph *g, ScVal v)
{
    const ScType *t = sc_type_of(g, v);
    int64_t dim[SCRT_MAX_RANK];
    if (!(sc_def(g, v)->op->flags & SC_CONST_OP) || !sc_type_const_dims(t, dim))
        return false;
    for (uint32_t d = 0; d < t->rank; d++)
        if (dim[d] != 1)
            return false;
    return true;
}

ScVal sc_way_from(const ScGraph *g, const ScNode *n)
{
    ScVal from = SC_POISON;
    if (n->op->lower.cls != SC_MAP || n->n_out != 1)
        return SC_POISON;
    for (uint32_t i = 0; i < n->n_in; i++) {
        if (n->in[i] < SC_FIRST)
            return SC_POISON;
        if (is_number(g, n->in[i]))
            continue;
        if (from != SC_POISON && from != n->in[i])
            return SC_POISON;
        from = n->in[i];
    }
    bool same =
        from != SC_POISON && sc_type_same_shape(sc_type_of(g, from), sc_type_of(g, n->first));
    return same ? from : SC_POISON;
}

bool sc_is_on_way_to(const ScGraph *g, ScVal v, const ScNode *n)
{
    for (uint32_t i = 0; i < SC_WAY_MAX && v >= SC_FIRST; i++) {
        const ScNode *at = sc_def(g, v);
        v = sc_way_from(g, at);
        if (at == n || v == SC_POISON)
            return v != SC_POISON;
    }
    return false;
}

bool sc_on_way(const ScGraph *g, const ScNode *lead, const ScNode *n)
{
    for (uint32_t i = 0; i < lead->op->n_way && i < lead->n_in; i++)
        if (sc_is_on_way_to(g, lead->in[i], n))
            return true;
    return false;
}

bool sc_op_described(const ScOp *op)
{
    switch (op->lower.cls) {
#define SC_CLASS(id, name, facts, descriptor, meaning)                                             \
    case SC_##id:                                                                                  \
        return op->descriptor != NULL;
#include "ir/classes.def"
#undef SC_CLASS
    case SC_N_CLASS:
        break;
    }
    return false;
}

const uint32_t sc_op_count = sizeof sc_op_table / sizeof *sc_op_table;

typedef struct Rows {
    const ScOp **row; /* [n] in the session's arena, of cap places */
    uint32_t n, cap;
} Rows;

/* What a name stands for: keyed by its interned pointer beside what kind of name it is. */
typedef struct Named {
    const ScOp *row;    /* of that name, or NULL */
    const ScOp **typed; /* [n] rows that are ONNX operators of that type, in the table's order */
    uint32_t n, cap;
} Named;

static Named *named(ScCtx *cx, const char *name)
{
    static const char kind;
    const void *key[] = {&kind, sc_intern(cx, name)};
    return sc_ctx_slot(cx, sc_intern_bytes(cx, key, sizeof key), sizeof(Named));
}

/* Appends to a list in the session's arena. */
static void push(ScCtx *cx, const ScOp ***list, uint32_t *n, uint32_t *cap, const ScOp *op)
{
    if (*n == *cap) {
        uint32_t room = *cap ? 2 * *cap : 4;
        const ScOp **more = sc_array(sc_ctx_arena(cx), const ScOp *, room);
        if (*n)
            memcpy(more, *list, *n * sizeof **list);
        *list = more;
        *cap = room;
    }
    (*list)[(*n)++] = op;
}

static void add(ScCtx *cx, Rows *r, const ScOp *op)
{
    push(cx, &r->row, &r->n, &r->cap, op);
    named(cx, op->name)->row = op;
    if (op->onnx.type) {
        Named *t = named(cx, op->onnx.type);
        push(cx, &t->typed, &t->n, &t->cap, op);
    }
}

static Rows *rows(ScCtx *cx)
{
    static const char key;
    Rows *r = sc_ctx_slot(cx, &key, sizeof *r);
    for (uint32_t i = r->n; i < sc_op_count; i++)
        add(cx, r, sc_op_table[i]);
    return r;
}

const ScOp *const *sc_op_rows(ScCtx *cx, uint32_t *ret_n)
{
    const Rows *r = rows(cx);
    *ret_n = r->n;
    return r->row;
}

const ScOp *sc_op_find(ScCtx *cx, const char *name)
{
    rows(cx);
    return named(cx, name)->row;
}

/* "" and "ai.onnx" are the two spellings of the default domain. */
static const char *domain_of(const char *domain)
{
    return strcmp(domain, "ai.onnx") == 0 ? "" : domain;
}

const ScOp *sc_op_onnx(ScCtx *cx, const char *domain, const char *type, int opset)
{
    rows(cx);
    const Named *t = named(cx, type);
    for (uint32_t i = 0; i < t->n; i++) {
        const ScOp *op = t->typed[i];
        if (!strcmp(op->onnx.domain, domain_of(domain)) && opset >= op->onnx.since &&
            (op->onnx.until == 0 || opset <= op->onnx.until))
            return op;
    }
    return NULL;
}

/* The ranges of opsets have one in common. */
static bool meet(const ScOp *a, const ScOp *b)
{
    return (a->onnx.until == 0 || a->onnx.until >= b->onnx.since) &&
           (b->onnx.until == 0 || b->onnx.until >= a->onnx.since);
}

bool sc_op_register(ScCtx *cx, const ScOp *op)
{
    Rows *r = rows(cx);
    assert(op->name && op->infer && op->n_attr <= SC_MAX_ATTR);
    if (sc_op_find(cx, op->name))
        return sc_fail(cx, NULL, SC_E_NAME, "there is a row \"%s\" already", op->name);
    const Named *t = op->onnx.type ? named(cx, op->onnx.type) : NULL;
    for (uint32_t i = 0; t && i < t->n; i++)
        if (!strcmp(domain_of(t->typed[i]->onnx.domain), domain_of(op->onnx.domain)) &&
            meet(t->typed[i], op))
            return sc_fail(cx, NULL, SC_E_NAME, "rows \"%s\" and \"%s\" are both %s",
                           t->typed[i]->name, op->name, op->onnx.type);
    if (!sc_schema(cx, op))
        return false;
    add(cx, r, op);
    return true;
}
