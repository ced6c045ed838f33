/* SPDX-License-Identifier: Apache-2.0 */
/* The builder: appends nodes and shares equal ones.
 *
 * Everything that a node consists of is interned before it is compared (attributes, types, terms,
 * known contents), so two nodes are equal where their words are. The table of nodes is looked up
 * and never walked: addresses are hashed in it, but decide nothing. */
#include "ir/build_priv.h"

#include <assert.h>
#include <string.h>

enum { FEW = 32 }; /* operands that need no allocation */

void sc_build_init(ScBuild *b, ScCtx *cx, const char *name, const char *file)
{
    ScArena *scratch = sc_arena_new();
    ScBuildPriv *p = sc_new(scratch, ScBuildPriv);
    p->scratch = scratch;
    *b = (ScBuild){.cx = cx, .priv = p};
    b->at = sc_loc(cx, file, 0, SC_FORWARD, 0, NULL);
    p->arena = sc_arena_new();
    p->name = sc_intern(cx, name ? name : "");
    p->file = file ? sc_intern(cx, file) : NULL;
    p->errors_before = sc_n_errors(cx);
    p->poison = sc_type_poison(cx);
    p->absent = sc_type_absent(cx);
    ScValue v = {.type = p->poison, .node = UINT32_MAX, .g = SC_NO_G};
    sc_buf_push(p->value, p->n_value, p->value_cap, v);
    v.type = p->absent;
    sc_buf_push(p->value, p->n_value, p->value_cap, v);
}

void sc_build_flags(ScBuild *b, uint32_t flags)
{
    b->priv->flags = flags;
}

void sc_build_source(ScBuild *b, const char *source)
{
    b->priv->source = source ? sc_intern(b->cx, source) : NULL;
}

void sc_build_guard(ScBuild *b, const ScGuard *g)
{
    if (!b->priv->guarded_outside)
        sc_guards_add(&b->priv->guards, g);
}

bool sc_build_require(ScBuild *b, ScGuardKind kind, const ScTerm *x, const ScTerm *y,
                      const char *what)
{
    ScDecision d = sc_guard_decide(b->cx, kind, x, y);
    ScGuard g = {.kind = kind, .a = x, .b = y, .loc = b->at, .what = sc_intern(b->cx, what)};
    if (d == SC_PERHAPS)
        sc_build_guard(b, &g);
    return d != SC_NEVER;
}

void sc_build_guarded_outside(ScBuild *b)
{
    b->priv->guarded_outside = true;
}

void sc_build_one_type(ScBuild *b)
{
    b->priv->one_type = true;
}

void sc_build_mistake(ScBuild *b, ScDiagId id, const char *what, const char *name)
{
    sc_fail(b->cx, b->at, id, "%s %s", what, name);
    b->priv->failed = true;
}

/* --- The table of nodes ---------------------------------------------------------------------- */

static uint32_t hash_node(const ScNode *n)
{
    uint64_t h = sc_hash_word(n->n_in, (uintptr_t)n->op);
    h = sc_hash_word(h, (uintptr_t)n->attr);
    uint32_t i = 0;
    if ((n->op->flags & SC_COMMUTES) && n->n_in >= 2) {
        bool swap = n->in[0] > n->in[1];
        h = sc_hash_word(h, (uint64_t)n->in[swap] << 32 | n->in[!swap]);
        i = 2;
    }
    for (; i < n->n_in; i++)
        h = sc_hash_word(h, n->in[i]);
    return (uint32_t)(h ^ h >> 32);
}

static bool same_operands(const ScNode *a, const ScNode *b)
{
    if (a->n_in == 0 || memcmp(a->in, b->in, a->n_in * sizeof *a->in) == 0)
        return true;
    return (a->op->flags & SC_COMMUTES) && a->n_in >= 2 && a->in[0] == b->in[1] &&
           a->in[1] == b->in[0] && memcmp(a->in + 2, b->in + 2, (a->n_in - 2) * sizeof *a->in) == 0;
}

static void grow_table(ScBuildPriv *p)
{
    uint32_t cap = p->table_cap ? 2 * p->table_cap : 64;
    ScBuildSlot *t = sc_array(p->scratch, ScBuildSlot, cap);
    for (uint32_t i = 0; i < p->table_cap; i++) {
        if (!p->table[i].node)
            continue;
        uint32_t k = p->table[i].hash & (cap - 1);
        while (t[k].node)
            k = (k + 1) & (cap - 1);
        t[k] = p->table[i];
    }
    p->table = t;
    p->table_cap = cap;
}

/* The place of a node equal to n, or the free one where it belongs, with its hash. type and exp are
 * asked of constants only, whose operands and attributes do not say them. */
static ScBuildSlot *find(ScBuildPriv *p, const ScNode *n, const ScType *type, const ScTerm *exp)
{
    if (3 * (uint64_t)p->n_table >= 2 * (uint64_t)p->table_cap)
        grow_table(p);
    const uint32_t h = hash_node(n);
    uint32_t k = h & (p->table_cap - 1);
    for (; p->table[k].node; k = (k + 1) & (p->table_cap - 1)) {
        if (p->table[k].hash != h)
            continue;
        const ScNode *m = &p->node[p->table[k].node - 1];
        if (m->op == n->op && m->attr == n->attr && m->n_in == n->n_in && m->n_out == n->n_out &&
            same_operands(m, n) &&
            (!type || (p->value[m->first].type == type && p->value[m->first].exp == exp)))
            return &p->table[k];
    }
    p->table[k].hash = h;
    return &p->table[k];
}

/* --- Appending ------------------------------------------------------------------------------- */

/* Appends n, whose operands are copied; its results are p->value[first ..], without types. slot:
 * its place in the table, or NULL. */
static ScNode *append(ScBuild *b, const ScNode *n, ScBuildSlot *slot)
{
    ScBuildPriv *p = b->priv;
    ScNode copy = *n;
    copy.loc = b->at;
    copy.in = n->n_in ? sc_memdup(p->arena, n->in, n->n_in * sizeof *n->in) : NULL;
    copy.first = p->n_value;
    for (uint32_t i = 0; i < n->n_out; i++) {
        ScValue v = {.node = p->n_node, .g = SC_NO_G};
        sc_buf_push(p->value, p->n_value, p->value_cap, v);
    }
    sc_buf_push(p->node, p->n_node, p->node_cap, copy);
    if (slot) {
        slot->node = p->n_node;
        p->n_table++;
    }
    return &p->node[p->n_node - 1];
}

/* A node without operands whose type is told and not inferred. */
static ScVal source(ScBuild *b, const ScOp *op, const ScAttr *attr, const char *name,
                    const ScType *type, const ScTerm *exp)
{
    if (type->kind != SC_TYPE_TENSOR) {
        b->priv->failed = true;
        return SC_POISON;
    }
    const ScNode n = {.op = op, .attr = attr, .n_out = 1};
    ScVal v = append(b, &n, NULL)->first;
    b->priv->value[v].type = type;
    b->priv->value[v].exp = exp;
    b->priv->value[v].name = name ? sc_intern(b->cx, name) : NULL;
    return v;
}

/* A row's attributes when none are given. */
static const ScAttr *defaults(ScCtx *cx, const ScOp *op)
{
    ScAttr a[SC_MAX_ATTR];
    for (uint32_t i = 0; i < op->n_attr; i++)
        a[i] = op->attr[i].def;
    return sc_attr_intern(cx, op->n_attr, a);
}

ScVal sc_input(ScBuild *b, const char *name, const ScType *type, const ScTerm *exp)
{
    return source(b, &sc_op_input, defaults(b->cx, &sc_op_input), name, type, exp);
}

ScVal sc_state(ScBuild *b, const char *name, const ScType *type, const ScTerm *exp,
               const ScBlob *init)
{
    ScBuildPriv *p = b->priv;
    if (type->kind == SC_TYPE_TENSOR && type->dtype == SCRT_STRING) { /* they last for one run */
        p->failed = true;
        sc_fail(b->cx, b->at, SC_E_TYPE, "state @%s: strings are not kept from run to run", name);
        return SC_POISON;
    }
    ScVal v = source(b, &sc_op_state, defaults(b->cx, &sc_op_state), NULL, type, exp);
    if (v == SC_POISON)
        return v;
    ScState s = {.name = sc_intern(b->cx, name), .past = v, .next = SC_ABSENT, .init = init};
    sc_buf_push(p->state, p->n_state, p->state_cap, s);
    return v;
}

/* The state of value past among n in the order in which they were made, or n. */
static uint32_t state_of(const ScState *state, uint32_t n, ScVal past)
{
    uint32_t lo = 0, hi = n;
    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (state[mid].past < past)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < n && state[lo].past == past ? lo : n;
}

void sc_state_next(ScBuild *b, ScVal past, ScVal next)
{
    ScBuildPriv *p = b->priv;
    uint32_t i = state_of(p->state, p->n_state, past);
    if (i == p->n_state)
        return;
    p->state[i].next = next;
    if (next >= SC_FIRST && !sc_state_takes(&p->state[i], p->value[past].type, p->value[next].type))
        sc_build_mistake(b, SC_E_TYPE, "another type than its next value has state",
                         p->state[i].name);
}

void sc_state_grows(ScBuild *b, ScVal past, const char *sym, int64_t capacity)
{
    ScBuildPriv *p = b->priv;
    uint32_t i = state_of(p->state, p->n_state, past);
    if (i == p->n_state)
        return;
    ScState *s = &p->state[i];
    s->grows = sc_intern(b->cx, sym);
    s->capacity = capacity;
    uint32_t axis = sc_state_axis(s, p->value[past].type);
    if (axis == p->value[past].type->rank || capacity < 1)
        sc_build_mistake(b, SC_E_TYPE, "no dim that could grow has state", s->name);
    else if (!sc_state_first(b->cx, s, p->value[past].type))
        sc_build_mistake(b, SC_E_TYPE,
                         "contents that do not fit its shape, or its capacity, has state", s->name);
}

ScVal sc_state_like(ScBuild *b, const ScState *s, const ScType *type, const ScTerm *exp)
{
    ScVal v = sc_state(b, s->name, type, exp, s->init);
    if (s->grows)
        sc_state_grows(b, v, s->grows, s->capacity);
    return v;
}

void sc_output(ScBuild *b, const char *name, ScVal v)
{
    ScBuildPriv *p = b->priv;
    ScBuildOut o = {v, name ? sc_intern(b->cx, name) : NULL};
    assert(v < p->n_value);
    if (v == SC_ABSENT)
        sc_build_mistake(b, SC_E_NAME, "an absent value as output", name ? name : "");
    sc_buf_push(p->out, p->n_out, p->out_cap, o);
}

ScVal sc_const(ScBuild *b, const ScBlob *blob, ScrtDtype dtype, const ScTerm *exp)
{
    return sc_const_shaped(b, blob, dtype, blob->rank, blob->dims, exp);
}

/* The elements of a small constant of integers or truth values as terms, or NULL. */
static const ScTerm *const *const_content(ScCtx *cx, const ScBlob *blob, ScrtDtype dtype)
{
    ScrtKind kind = scrt_dtype_kind(dtype);
    bool whole = kind == SCRT_KIND_INT || kind == SCRT_KIND_UINT || kind == SCRT_KIND_BOOL;
    if (!whole || blob->dtype != dtype || !blob->data || blob->count > SC_MAX_CONTENT)
        return NULL;
    const ScTerm *t[SC_MAX_CONTENT];
    for (size_t i = 0; i < blob->count; i++)
        t[i] = sc_term(cx, scrt_load_int(dtype, blob->data, i));
    return sc_intern_bytes(cx, t, blob->count * sizeof *t);
}

/* A constant of known type, shared with an equal one. */
static ScVal constant(ScBuild *b, const ScAttr *attr, const char *name, const ScType *type,
                      const ScTerm *exp)
{
    const ScNode n = {.op = &sc_op_const, .attr = attr, .n_out = 1};
    ScBuildPriv *p = b->priv;
    ScBuildSlot *slot = find(p, &n, type, exp);
    if (slot->node)
        return p->node[slot->node - 1].first;
    ScVal v = append(b, &n, slot)->first;
    p->value[v].type = type;
    p->value[v].exp = exp;
    p->value[v].name = name;
    p->value[v].content = const_content(b->cx, attr[0].blob, type->dtype);
    return v;
}

ScVal sc_const_shaped(ScBuild *b, const ScBlob *blob, ScrtDtype dtype, uint32_t rank,
                      const int64_t *dims, const ScTerm *exp)
{
    const ScType *type = sc_type_c(b->cx, dtype, rank, dims);
    int64_t count = (int64_t)blob->count;
    if (!sc_term_is(sc_type_count(b->cx, type), count)) {
        sc_fail(b->cx, b->at, SC_E_SHAPE, "a constant of %lld elements has another shape",
                (long long)count);
        b->priv->failed = true;
        return SC_POISON;
    }
    if ((blob->dtype == SCRT_STRING) != (dtype == SCRT_STRING)) {
        sc_fail(b->cx, b->at, SC_E_TYPE, "a constant of %s cannot be one of %s",
                scrt_dtype_name(blob->dtype), scrt_dtype_name(dtype));
        b->priv->failed = true;
        return SC_POISON;
    }
    ScAttr a[2] = {{.kind = SC_A_BLOB, .blob = blob}, {.kind = SC_A_NONE}};
    if (rank != blob->rank || (rank && memcmp(dims, blob->dims, rank * sizeof *dims) != 0))
        a[1] = SC_TERMS(rank, type->dim);
    return constant(b, sc_attr_intern(b->cx, 2, a), NULL, type, exp);
}

ScVal sc_const_scalar(ScBuild *b, ScrtDtype dtype, double x)
{
    if (dtype == SCRT_DTYPE_NONE)
        return SC_POISON;
    return sc_const(b, sc_blob_scalar(b->cx, dtype, x), dtype, NULL);
}

ScVal sc_const_i64(ScBuild *b, uint32_t n, const int64_t *x)
{
    return sc_const(b, sc_blob_i64(b->cx, n, x), SCRT_I64, NULL);
}

/* --- Nodes ----------------------------------------------------------------------------------- */

/* What messages call a value: its name, or that of the node that it comes from. */
static const char *name_of(const ScBuildPriv *p, ScVal v)
{
    if (v == SC_ABSENT)
        return "_";
    if (p->value[v].name)
        return p->value[v].name;
    const ScNode *n = &p->node[p->value[v].node];
    if (n->loc->n > 0 && n->loc->origin[0].name)
        return n->loc->origin[0].name;
    return n->op->name;
}

/* Takes nested graphs over; false if one of them failed. */
static bool take_over(ScBuildPriv *p, const ScOp *op, ScGraph *const *sub)
{
    bool good = true;
    assert(op->n_sub == 0 || sub);
    for (uint32_t i = 0; i < op->n_sub; i++) {
        if (sub[i])
            sc_buf_push(p->owned, p->n_owned, p->owned_cap, sub[i]);
        good = good && sub[i];
    }
    return good;
}

static const ScAttr *filled(ScBuild *b, const ScOp *op, const ScAttr *attr)
{
    if (!attr || op->n_attr == 0)
        return defaults(b->cx, op);
    ScAttr a[SC_MAX_ATTR];
    for (uint32_t i = 0; i < op->n_attr; i++)
        a[i] = attr[i].kind == SC_A_NONE ? op->attr[i].def : attr[i];
    return sc_attr_intern(b->cx, op->n_attr, a);
}

/* The elements that inference found, kept if they are few and a term says each. */
static const ScTerm *const *kept_content(ScCtx *cx, const ScType *t, const ScTerm *const *content)
{
    int64_t count;
    if (!content || !sc_term_const(sc_type_count(cx, t), &count) || count > SC_MAX_CONTENT)
        return NULL;
    for (int64_t i = 0; i < count; i++)
        if (!content[i] || sc_term_overflowed(content[i]))
            return NULL;
    return sc_intern_bytes(cx, content, (size_t)count * sizeof *content);
}

/* Asks the row for the results' types; false after reporting a mistake. */
static bool infer(ScBuild *b, const ScNode *n, const ScType **type, const ScTerm *const **content)
{
    ScBuildPriv *p = b->priv;
    uint32_t room = n->n_in > SC_MAX_IN ? n->n_in : SC_MAX_IN;
    const ScType *few_in[FEW], **in = few_in;
    const char *few_name[FEW], **name = few_name;
    const ScTerm *const *few_content[FEW], *const **in_content = few_content;
    if (room > FEW) {
        in = sc_array(p->scratch, const ScType *, room);
        name = sc_array(p->scratch, const char *, room);
        in_content = sc_array(p->scratch, const ScTerm *const *, room);
    }
    for (uint32_t i = 0; i < room; i++) {
        ScVal v = i < n->n_in ? n->in[i] : SC_ABSENT;
        in[i] = p->value[v].type;
        name[i] = name_of(p, v);
        in_content[i] = p->value[v].content;
    }
    ScInfer ask = {.cx = b->cx,
                   .loc = b->at,
                   .op = n->op,
                   .attr = n->attr,
                   .sub = n->sub,
                   .n_in = n->n_in,
                   .n_out = n->n_out,
                   .in = in,
                   .name = name,
                   .content = in_content,
                   .ret = type,
                   .ret_content = content,
                   .arena = p->scratch,
                   .guards = p->guarded_outside ? NULL : &p->guards,
                   .one_type = p->one_type};
    if (!sc_infer(&ask)) {
        p->failed = true;
        return false;
    }
    for (uint32_t i = 0; i < n->n_out; i++) {
        assert(type[i]);
        if (type[i]->kind == SC_TYPE_POISON) /* a nested graph passes it outward */
            return false;
        content[i] = kept_content(b->cx, type[i], content[i]);
    }
    return true;
}

/* Drops trailing operands that are absent, down to those that the row requires. */
static void drop_absent(ScCtx *cx, ScNode *n)
{
    const ScSchema *s = sc_schema(cx, n->op);
    while (s && !s->in_repeats && n->n_in > s->min_in && n->in[n->n_in - 1] == SC_ABSENT)
        n->n_in--;
}

/* Shares or appends n; n->attr is interned. known: the results' types, or NULL to infer them. On
 * success the results' first value, else SC_POISON. *ret_new: it was appended. */
static ScVal build(ScBuild *b, ScNode *n, const ScValue *known, bool *ret_new)
{
    ScBuildPriv *p = b->priv;
    assert(!(n->op->flags & (SC_BARRIER | SC_CONST_OP)));
    for (uint32_t i = 0; i < n->n_in; i++) {
        assert(n->in[i] < p->n_value);
        if (n->in[i] == SC_POISON)
            return SC_POISON;
    }
    if (n->n_in > 0 && n->in[n->n_in - 1] == SC_ABSENT)
        drop_absent(b->cx, n);
    bool shared = !(n->op->flags & SC_FRESH) && n->op->n_sub == 0;
    ScBuildSlot *slot = shared ? find(p, n, NULL, NULL) : NULL;
    *ret_new = false;
    if (slot && slot->node)
        return p->node[slot->node - 1].first;

    const ScType *few_type[SC_MAX_OUT] = {NULL}, **type = few_type;
    const ScTerm *const *few_content[SC_MAX_OUT] = {NULL}, *const **content = few_content;
    if (n->n_out > SC_MAX_OUT) {
        type = sc_array(p->scratch, const ScType *, n->n_out);
        content = sc_array(p->scratch, const ScTerm *const *, n->n_out);
    }
    if (!known && !infer(b, n, type, content))
        return SC_POISON;
    ScVal first = append(b, n, slot)->first;
    for (uint32_t i = 0; i < n->n_out; i++) {
        p->value[first + i].type = known ? known[i].type : type[i];
        p->value[first + i].content = known ? known[i].content : content[i];
    }
    *ret_new = true;
    return first;
}

static bool answer(ScVal first, uint32_t n_out, ScVal *ret_out)
{
    for (uint32_t i = 0; i < n_out; i++)
        ret_out[i] = first == SC_POISON ? SC_POISON : first + i;
    return first != SC_POISON;
}

bool sc_node(ScBuild *b, const ScOp *op, const ScAttr *attr, ScGraph *const *sub, uint32_t n_in,
             const ScVal *in, uint32_t n_out, ScVal *ret_out)
{
    bool is_new, good = take_over(b->priv, op, sub);
    if (!good)
        return answer(SC_POISON, n_out, ret_out);
    ScNode n = {.op = op, .attr = filled(b, op, attr), .in = in, .n_in = n_in, .n_out = n_out};
    if (op->n_sub)
        n.sub = sc_memdup(b->priv->arena, sub, op->n_sub * sizeof *sub);
    return answer(build(b, &n, NULL, &is_new), n_out, ret_out);
}

ScVal sc_node1(ScBuild *b, const ScOp *op, const ScAttr *attr, uint32_t n_in, const ScVal *in)
{
    ScVal v;
    sc_node(b, op, attr, NULL, n_in, in, 1, &v);
    return v;
}

/* --- Copying --------------------------------------------------------------------------------- */

static ScVal copy_source(ScBuild *b, const ScGraph *g, const ScNode *n)
{
    const ScValue *v = &g->value[n->first];
    if (n->op->flags & SC_CONST_OP)
        return constant(b, n->attr, v->name, v->type, v->exp);
    uint32_t i = state_of(g->state, g->n_state, n->first);
    if (i < g->n_state)
        return sc_state_like(b, &g->state[i], v->type, v->exp);
    return sc_input(b, v->name, v->type, v->exp);
}

/* True where the operands are of the types and contents that n has in g: then so are its results.
 */
static bool same_types(const ScBuildPriv *p, const ScGraph *g, const ScNode *n, const ScVal *in)
{
    for (uint32_t i = 0; i < n->n_in; i++) {
        const ScValue *x = &p->value[in[i]], *y = &g->value[n->in[i]];
        if (x->type != y->type || x->content != y->content)
            return false;
    }
    return n->op->n_sub == 0;
}

bool sc_copy_node(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, ScVal *ret_out)
{
    ScBuildPriv *p = b->priv;
    const ScLoc *at = b->at;
    const ScValue *old = &g->value[n->first];
    bool is_new = true;
    assert(g->cx == b->cx);
    b->at = n->loc;
    ScVal first;
    if (n->op->flags & (SC_BARRIER | SC_CONST_OP)) {
        first = copy_source(b, g, n);
    } else {
        ScNode copy = {.op = n->op, .attr = n->attr, .in = in, .n_in = n->n_in, .n_out = n->n_out};
        ScGraph **sub = n->op->n_sub ? sc_array(p->arena, ScGraph *, n->op->n_sub) : NULL;
        for (uint32_t i = 0; i < n->op->n_sub; i++)
            sub[i] = sc_graph_clone(n->sub[i]);
        take_over(p, n->op, sub);
        copy.sub = (const ScGraph *const *)sub;
        first = build(b, &copy, same_types(p, g, n, in) ? old : NULL, &is_new);
    }
    b->at = at;
    for (uint32_t i = 0; first != SC_POISON && i < n->n_out; i++) {
        ScValue *v = &p->value[first + i];
        if (!v->name)
            v->name = old[i].name;
        if (!v->exp && is_new)
            v->exp = old[i].exp;
        if (v->g == SC_NO_G)
            v->g = old[i].g;
        if (v->amax == 0)
            v->amax = old[i].amax;
        if (v->factor == 0)
            v->factor = old[i].factor;
        if (!v->means)
            v->means = old[i].means;
    }
    return answer(first, n->n_out, ret_out);
}

/* --- Values ---------------------------------------------------------------------------------- */

void sc_set_exp(ScBuild *b, ScVal v, const ScTerm *exp)
{
    if (v >= SC_FIRST)
        b->priv->value[v].exp = exp;
}

void sc_set_g(ScBuild *b, ScVal v, int32_t g)
{
    if (v >= SC_FIRST)
        b->priv->value[v].g = g;
}

void sc_set_amax(ScBuild *b, ScVal v, float amax)
{
    if (v >= SC_FIRST)
        b->priv->value[v].amax = amax;
}

void sc_set_factor(ScBuild *b, ScVal v, float factor)
{
    if (v >= SC_FIRST)
        b->priv->value[v].factor = factor;
}

void sc_set_means(ScBuild *b, ScVal v, const ScMeans *means)
{
    if (v >= SC_FIRST)
        b->priv->value[v].means = means;
}

void sc_set_name(ScBuild *b, ScVal v, const char *name)
{
    if (v >= SC_FIRST && name && !b->priv->value[v].name)
        b->priv->value[v].name = sc_intern(b->cx, name);
}

void sc_set_content(ScBuild *b, ScVal v, const ScTerm *const *content)
{
    if (v >= SC_FIRST)
        b->priv->value[v].content = content;
}

const ScValue *sc_built(const ScBuild *b, ScVal v)
{
    return &b->priv->value[v];
}

const ScNode *sc_built_def(const ScBuild *b, ScVal v)
{
    return v < SC_FIRST ? NULL : &b->priv->node[b->priv->value[v].node];
}

/* The estimate of data that is multiplied by 2^(from - to). */
static int32_t moved_g(int32_t g, const ScTerm *from, const ScTerm *to)
{
    int64_t e, t, x;
    if (g == SC_NO_G || !sc_term_const(from, &e) || !sc_term_const(to, &t))
        return g;
    if (__builtin_sub_overflow(e, t, &x) || x > 100000 || x < -100000)
        return SC_NO_G;
    return (int32_t)(g + 256 * x);
}

ScVal sc_rebalance(ScBuild *b, ScVal x, const ScTerm *t)
{
    if (x < SC_FIRST || !sc_type_is_float(sc_built(b, x)->type))
        return x;
    const ScValue old = *sc_built(b, x);
    assert(old.exp && t);
    if (old.exp == t)
        return x;
    const ScNode *def = sc_built_def(b, x);
    ScVal v;
    if ((def->op->flags & SC_CONST_OP) && sc_term_const(t, NULL) && sc_term_const(old.exp, NULL)) {
        const ScLoc *at = b->at;
        b->at = def->loc;
        v = constant(b, def->attr, old.name, old.type, t);
        b->at = at;
    } else {
        ScAttr a[SC_MAX_ATTR] = {SC_TERMS(1, &t)};
        v = sc_node1(b, &sc_op_rebalance, a, 1, &x);
        sc_set_exp(b, v, t);
    }
    if (v >= SC_FIRST && sc_built(b, v)->g == SC_NO_G)
        sc_set_g(b, v, moved_g(old.g, old.exp, t));
    return v;
}

static ScVal as_type(ScBuild *b, ScVal x, ScrtDtype t)
{
    ScAttr a[SC_MAX_ATTR] = {SC_DT(t)};
    return sc_node1(b, &sc_op_cast, a, 1, &x);
}

static bool is_narrow(const ScType *t)
{
    return sc_type_is_float(t) && scrt_dtype_bits(t->dtype) < 32;
}

void sc_expand(ScBuild *b, const ScGraph *g, const ScNode *n, const ScVal *in, ScVal *ret_out)
{
    if (!(n->op->flags & SC_ROUNDS_ONCE)) {
        n->op->expand(b, g, n, in, ret_out);
        return;
    }
    ScArena *a = sc_arena_new();
    ScVal *wide = sc_array(a, ScVal, n->n_in);
    for (uint32_t i = 0; i < n->n_in; i++)
        wide[i] = is_narrow(sc_built(b, in[i])->type) ? as_type(b, in[i], SCRT_F32) : in[i];
    n->op->expand(b, g, n, wide, ret_out);
    for (uint32_t i = 0; i < n->n_out; i++) {
        const ScType *t = sc_type_of(g, n->first + i);
        if (is_narrow(t))
            ret_out[i] = as_type(b, ret_out[i], t->dtype);
    }
    sc_arena_free(a);
}
