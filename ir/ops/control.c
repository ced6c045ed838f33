/* SPDX-License-Identifier: Apache-2.0 */
/* What is no kernel but a step of the program: symbols bound to what only a run knows, and graphs
 * that run where data say so. What nested graphs read from around them are operands like others;
 * constants are none of them: a nested graph has its own. */
#include "ir/ops/ops_priv.h"

/* --- bind ------------------------------------------------------------------------------------ */

enum { AS };

static bool infer_bind(ScInfer *in)
{
    const ScAttr *as = &in->attr[AS];
    const ScType *x = in->in[0];
    int64_t count;
    if (!sc_term_const(sc_type_count(in->cx, x), &count) || count != as->n)
        return sc_infer_fail(in, SC_E_ATTRIBUTE, "`as` must have a symbol for each element");
    bool has_sign = scrt_dtype_kind(x->dtype) == SCRT_KIND_INT;
    for (uint32_t i = 0; i < as->n; i++) {
        if (as->ts[i]->kind != SC_T_SYM || sc_term_overflowed(as->ts[i]))
            return sc_infer_fail(in, SC_E_ATTRIBUTE, "`as` must be symbols");
        sc_sym_bound(in->cx, as->ts[i]->sym, (ScRange){has_sign ? INT64_MIN : 0, INT64_MAX});
    }
    in->ret_content[0] = as->ts;
    return sc_infer_same(in);
}

static bool eval_bind(ScEval *e)
{
    for (int64_t i = 0; i < scrt_count(e->in[0]); i++)
        sc_ops_move(&e->out[0], i, e->in[0], i);
    return true;
}

static uint32_t make_bind(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t n = sc_ops_pick(r, 1, 4);
    const ScTerm *as[4];
    for (int64_t i = 0; i < n; i++)
        as[i] = sc_term_sym(b->cx, sc_intern(b->cx, (const char *[]){"d0", "d1", "d2", "d3"}[i]));
    ScVal x = sc_ops_input(b, "x", SCRT_I64, 1, &n);
    ret_out[0] = sc_op_at(b, bind, SC_ATTRS(SC_TERMS((uint32_t)n, as)), x);
    return 1;
}

const ScOp sc_op_bind = {
    .name = "bind",
    .doc = "x, its elements bound to the symbols in `as`",
    .in = "x: int",
    .out = "y: int",
    .attr = {{.name = "as", .kind = SC_A_TERMS, .required = true, .doc = "a symbol an element"}},
    .n_attr = 1,
    .flags = SC_BINDS,
    .infer = infer_bind,
    .lower = {SC_STEP},
    .eval = eval_bind,
    .domain = {.make = make_bind},
};

/* --- Nested graphs --------------------------------------------------------------------------- */

#define AS_ATTR                                                                                    \
    {.name = "as",                                                                                 \
     .kind = SC_A_TERMS,                                                                           \
     .doc =                                                                                        \
         "for each extent of the results, in order: the symbol that it binds, or 0: it is known"}

typedef struct Scope { /* the symbols that nested graphs bind: nothing outside may name them */
    ScSymbols bound;
    ScArena *a;
} Scope;

static void add_symbol(void *arg, const char *sym, uint32_t node)
{
    Scope *s = arg;
    sc_symbols_add(&s->bound, s->a, sym, node);
}

/* Extent d of a nested graph's input is a symbol of its own where it is not the operand's. */
static bool is_own(const ScType *inner, const ScType *outer, uint32_t d)
{
    return inner->dim[d]->kind == SC_T_SYM && inner->dim[d] != outer->dim[d];
}

static bool same_form(const ScType *a, const ScType *b)
{
    return a->dtype == b->dtype && a->rank == b->rank;
}

/* Operands are what graph g takes; n_free of its inputs may have extents of their own. */
static bool check_entry(ScInfer *in, const ScGraph *g, uint32_t n_free, Scope *s)
{
    const uint32_t operand = in->op->enter.operand, input = in->op->enter.input;
    if (g->n_state)
        return sc_infer_fail(in, SC_E_VERIFY, "a nested graph has a state");
    if (g->n_in + operand != in->n_in + input)
        return sc_infer_fail(in, SC_E_ARITY, "a nested graph takes %u, not %u", g->n_in,
                             in->n_in - operand + input);
    for (uint32_t i = operand; i < in->n_in; i++) {
        const ScType *outer = in->in[i], *inner = sc_type_of(g, g->in[i - operand + input]);
        bool fits = outer->kind == SC_TYPE_TENSOR && same_form(outer, inner);
        for (uint32_t d = 0; fits && d < outer->rank; d++) {
            bool own = i - operand < n_free && is_own(inner, outer, d);
            if (own)
                add_symbol(s, inner->dim[d]->sym, 0);
            fits = own || inner->dim[d] == outer->dim[d];
        }
        if (!fits)
            return sc_infer_fail(in, SC_E_TYPE, "operand %u is not what a nested graph takes", i);
    }
    for (uint32_t i = 0; i < g->n_node; i++)
        if (g->node[i].op->flags & SC_BINDS)
            sc_node_binders(g, i, add_symbol, s);
    return true;
}

/* The symbol that the extent numbered at binds, or NULL. */
static const ScTerm *named_extent(const ScInfer *in, uint32_t at)
{
    const ScAttr *as = &in->attr[AS];
    return as->kind == SC_A_TERMS && at < as->n && as->ts[at]->kind == SC_T_SYM ? as->ts[at] : NULL;
}

/* Result i, whose extents are those of dim where they can be said here, and bound to symbols where
 * not; *at counts them. */
static bool result(ScInfer *in, uint32_t i, ScrtDtype dtype, uint32_t rank,
                   const ScTerm *const *dim, Scope *s, uint32_t *at)
{
    const ScTerm *found[SCRT_MAX_RANK];
    if (rank > SCRT_MAX_RANK)
        return sc_infer_fail(in, SC_E_LIMIT, "result %u would have rank %u", i, rank);
    for (uint32_t d = 0; d < rank; d++) {
        found[d] = named_extent(in, *at);
        ++*at;
        if (!found[d] && dim[d] && !sc_symbols_meet(&s->bound, dim[d]))
            found[d] = dim[d];
        if (in->unnamed) {
            in->unnamed[*at - 1] = !found[d];
            found[d] = found[d] ? found[d] : sc_term(in->cx, 0);
        }
        if (!found[d])
            return sc_infer_fail(in, SC_E_DYNAMIC, "extent %u of result %u has no name in `as`", d,
                                 i);
    }
    in->ret[i] = sc_type(in->cx, dtype, rank, found);
    return true;
}

static bool all_named(const ScInfer *in, uint32_t n)
{
    const ScAttr *as = &in->attr[AS];
    bool ok = as->kind == SC_A_NONE || as->n == n;
    for (uint32_t i = 0; ok && i < as->n; i++)
        ok = (as->ts[i]->kind == SC_T_SYM && !sc_term_overflowed(as->ts[i])) ||
             sc_term_is(as->ts[i], 0);
    return ok || sc_infer_fail(in, SC_E_ATTRIBUTE, "`as` must be a symbol or 0 for each extent");
}

static bool is_scalar(const ScType *t, ScrtDtype dtype)
{
    return t->kind == SC_TYPE_TENSOR && t->dtype == dtype && t->rank == 0;
}

/* --- if -------------------------------------------------------------------------------------- */

/* Extents that both branches give alike stay; the others are bound. */
static bool branch_results(ScInfer *in, Scope *s)
{
    const ScGraph *const *g = in->sub;
    uint32_t at = 0;
    for (uint32_t i = 0; i < in->n_out; i++) {
        const ScType *a = sc_type_of(g[0], g[0]->out[i]), *b = sc_type_of(g[1], g[1]->out[i]);
        const ScTerm *dim[SCRT_MAX_RANK];
        if (!same_form(a, b))
            return sc_infer_fail(
                in, SC_E_TYPE, "the branches give result %u in %s of rank %u and %s of rank %u", i,
                scrt_dtype_name(a->dtype), a->rank, scrt_dtype_name(b->dtype), b->rank);
        for (uint32_t d = 0; d < a->rank; d++)
            dim[d] = a->dim[d] == b->dim[d] ? a->dim[d] : NULL;
        if (!result(in, i, a->dtype, a->rank, dim, s, &at))
            return false;
    }
    return all_named(in, at);
}

static bool infer_if(ScInfer *in)
{
    Scope s = {.a = sc_arena_new()};
    bool ok = is_scalar(in->in[0], SCRT_BOOL) ||
              sc_infer_fail(in, SC_E_TYPE, "the condition must be one bool");
    for (uint32_t k = 0; ok && k < 2; k++)
        ok = check_entry(in, in->sub[k], 0, &s) &&
             (in->sub[k]->n_out == in->n_out ||
              sc_infer_fail(in, SC_E_ARITY, "a branch gives %u results", in->sub[k]->n_out));
    ok = ok && branch_results(in, &s);
    sc_arena_free(s.a);
    return ok;
}

/* A branch: y = relu x or -x. */
static ScGraph *make_branch(ScCtx *cx, const ScOp *op, const ScType *t)
{
    ScBuild b;
    sc_build_init(&b, cx, "branch", NULL);
    ScVal x = sc_input(&b, "x", t, NULL);
    sc_output(&b, "y", sc_node1(&b, op, NULL, 1, &x));
    return sc_build_end(&b);
}

static uint32_t make_if(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dim[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dim);
    ScVal in[] = {sc_ops_input(b, "c", SCRT_BOOL, 0, NULL),
                  sc_ops_input(b, "x", SCRT_F32, rank, dim)};
    const ScType *t = sc_built(b, in[1])->type;
    ScGraph *sub[] = {make_branch(b->cx, &sc_op_relu, t), make_branch(b->cx, &sc_op_neg, t)};
    sc_node(b, &sc_op_if, NULL, sub, 2, in, 1, ret_out);
    return 1;
}

const ScOp sc_op_if = {
    .name = "if",
    .doc = "what the first nested graph gives where the condition holds, else what the second does",
    .in = "condition: bool, reads?...: any",
    .out = "results...: any",
    .attr = {AS_ATTR},
    .n_attr = 1,
    .n_sub = 2,
    .control = SC_BRANCH,
    .enter = {1, 0},
    .flags = SC_BINDS,
    .infer = infer_if,
    .lower = {SC_STEP},
    .domain = {.make = make_if},
};

/* --- loop ------------------------------------------------------------------------------------ */

enum { CARRIED = 1, TURNS = 2, TRIPS = 0, CONDITION = 1, HEAD = 2 };

/* One element that is known, or NULL. */
static const ScTerm *only(const ScTerm *const *content)
{
    return content ? content[0] : NULL;
}

/* How many turns there are, where that can be said: nothing may end the loop early. */
static const ScTerm *turns(const ScInfer *in)
{
    const ScGraph *g = in->sub[0];
    const ScTerm *trips = only(in->content[TRIPS]);
    if (in->attr[TURNS].kind == SC_A_TERMS && in->attr[TURNS].n == 1)
        return in->attr[TURNS].ts[0];
    if (!trips || !sc_term_is(only(in->content[CONDITION]), 1) ||
        !sc_term_is(only(g->value[g->out[0]].content), 1))
        return NULL;
    return sc_term_max(in->cx, trips, sc_term(in->cx, 0));
}

/* A value that is carried keeps its extents, but for those that are bound anew each turn. */
static bool carried_result(ScInfer *in, uint32_t i, Scope *s, uint32_t *at)
{
    const ScGraph *g = in->sub[0];
    const ScType *outer = in->in[HEAD + i], *inner = sc_type_of(g, g->in[1 + i]);
    const ScType *next = sc_type_of(g, g->out[1 + i]);
    const ScTerm *dim[SCRT_MAX_RANK];
    bool fits = same_form(inner, next);
    for (uint32_t d = 0; fits && d < inner->rank; d++) {
        bool own = is_own(inner, outer, d);
        fits = own || inner->dim[d] == next->dim[d];
        dim[d] = own ? NULL : outer->dim[d];
    }
    if (!fits)
        return sc_infer_fail(in, SC_E_TYPE, "carried value %u leaves a turn in another type", i);
    return result(in, i, outer->dtype, outer->rank, dim, s, at);
}

static bool scan_result(ScInfer *in, uint32_t i, Scope *s, uint32_t *at)
{
    const ScGraph *g = in->sub[0];
    const ScType *t = sc_type_of(g, g->out[1 + i]);
    const ScTerm *dim[SCRT_MAX_RANK + 1] = {turns(in)};
    for (uint32_t d = 0; d < t->rank; d++)
        dim[1 + d] = t->dim[d];
    return result(in, i, t->dtype, t->rank + 1, dim, s, at);
}

static bool infer_turns(ScInfer *in, Scope *s)
{
    const ScGraph *g = in->sub[0];
    int64_t carried = in->attr[CARRIED].i;
    uint32_t at = 0;
    if (!is_scalar(in->in[TRIPS], SCRT_I64) || !is_scalar(in->in[CONDITION], SCRT_BOOL))
        return sc_infer_fail(in, SC_E_TYPE, "it turns one i64 times, on one bool");
    if (carried < 0 || carried > in->n_in - HEAD || g->n_out < 1 + carried ||
        in->n_out != g->n_out - 1)
        return sc_infer_fail(in, SC_E_ARITY, "a body of %u inputs and %u outputs carries %lld",
                             g->n_in, g->n_out, (long long)carried);
    if (!check_entry(in, g, (uint32_t)carried, s))
        return false;
    if (!is_scalar(sc_type_of(g, g->in[0]), SCRT_I64) ||
        !is_scalar(sc_type_of(g, g->out[0]), SCRT_BOOL))
        return sc_infer_fail(in, SC_E_TYPE,
                             "a body takes the turn, an i64, and gives a bool first");
    for (uint32_t i = 0; i < in->n_out; i++)
        if (!(i < carried ? carried_result : scan_result)(in, i, s, &at))
            return false;
    return all_named(in, at);
}

static bool infer_loop(ScInfer *in)
{
    Scope s = {.a = sc_arena_new()};
    bool ok = infer_turns(in, &s);
    sc_arena_free(s.a);
    return ok;
}

/* Body: y = y + x; it gives every y. */
static ScGraph *make_body(ScCtx *cx, const ScType *t)
{
    ScBuild b;
    sc_build_init(&b, cx, "body", NULL);
    sc_input(&b, "turn", sc_type(cx, SCRT_I64, 0, NULL), NULL);
    ScVal y = sc_input(&b, "y", t, NULL), x = sc_input(&b, "x", t, NULL);
    ScVal next = sc_op(&b, add, y, x);
    sc_output(&b, "on", sc_const_scalar(&b, SCRT_BOOL, 1));
    sc_output(&b, "next", next);
    sc_output(&b, "all", next);
    return sc_build_end(&b);
}

static uint32_t make_loop(ScBuild *b, uint64_t *r, ScVal *ret_out)
{
    int64_t dim[SCRT_MAX_RANK];
    uint32_t rank = sc_ops_shape(r, 1, 3, dim);
    ScVal in[] = {sc_const_scalar(b, SCRT_I64, sc_ops_pick(r, 0, 4)),
                  sc_const_scalar(b, SCRT_BOOL, 1), sc_ops_input(b, "y", SCRT_F32, rank, dim),
                  sc_ops_input(b, "x", SCRT_F32, rank, dim)};
    const ScTerm *as[2 * SCRT_MAX_RANK];
    for (uint32_t i = 0; i <= 2 * rank; i++)
        as[i] = i == rank ? sc_term_sym(b->cx, "turns") : sc_term(b->cx, 0);
    ScGraph *body = make_body(b->cx, sc_built(b, in[2])->type);
    sc_node(b, &sc_op_loop, SC_ATTRS(SC_TERMS(2 * rank + 1, as), SC_INT(1)), &body, 4, in, 2,
            ret_out);
    return 2;
}

/* The body takes the turn, from 0 on, the carried values, then what else it reads; it gives whether
 * to go on, the carried values of the next turn, then elements. Results: the carried values after
 * the last turn; of each element all turns', along a new first axis. No turn is made where the
 * condition is false or the number of turns is below 1. */
const ScOp sc_op_loop = {
    .name = "loop",
    .doc = "runs the nested graph up to `trips` times, while its first result is true",
    .in = "trips: shape, condition: bool, reads?...: any",
    .out = "results...: any",
    .attr = {AS_ATTR,
             {.name = "carried", .kind = SC_A_INT, .required = true, .doc = "how many values are"},
             {.name = "turns",
              .kind = SC_A_TERMS,
              .doc = "how many there are, where that is told by extents"}},
    .n_attr = 3,
    .n_sub = 1,
    .control = SC_TURNS,
    .enter = {2, 1},
    .flags = SC_BINDS,
    .infer = infer_loop,
    .lower = {SC_STEP},
    .domain = {.make = make_loop},
};

bool sc_control_unnamed(ScBuild *b, const ScOp *op, int64_t carried, ScGraph *const *sub,
                        uint32_t n_in, const ScVal *in, uint32_t n_out, bool **ret, uint32_t *ret_n)
{
    ScArena *a = sc_ctx_arena(b->cx);
    ScAttr attr[] = {{.kind = SC_A_NONE}, SC_INT(carried), {.kind = SC_A_NONE}};
    const ScType **type = sc_array(a, const ScType *, n_in + SC_MAX_IN);
    const ScType **got = sc_array(a, const ScType *, n_out + 1u);
    const ScTerm *const **content = sc_array(a, const ScTerm *const *, n_in + SC_MAX_IN);
    const ScTerm *const **got_content = sc_array(a, const ScTerm *const *, n_out + 1u);
    const char **name = sc_array(a, const char *, n_in + SC_MAX_IN);
    for (uint32_t i = 0; i < n_in; i++) {
        const ScValue *v = sc_built(b, in[i]);
        type[i] = v->type;
        content[i] = v->content;
        name[i] = v->name ? v->name : "";
    }
    ScInfer ask = {.cx = b->cx,
                   .loc = b->at,
                   .op = op,
                   .attr = attr,
                   .sub = (const ScGraph *const *)sub,
                   .n_in = n_in,
                   .n_out = n_out,
                   .in = type,
                   .name = name,
                   .content = content,
                   .ret = got,
                   .ret_content = got_content,
                   .arena = a,
                   .unnamed = sc_array(a, bool, n_out *(SCRT_MAX_RANK + 1u) + 1u)};
    if (!sc_infer(&ask))
        return false;
    *ret = ask.unnamed;
    *ret_n = 0;
    for (uint32_t i = 0; i < n_out; i++)
        *ret_n += got[i]->rank;
    return true;
}
