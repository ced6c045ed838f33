/* SPDX-License-Identifier: Apache-2.0 */
/* If, Loop and Scan, as far as import can resolve them: a condition that is known chooses its
 * branch; one that is not computes both, where both give the same types, and picks; a loop whose
 * turns can be counted is written out. Nested graphs are walked in place, in a scope of their own:
 * what they capture are the values around them. */
#include "frontend/frontend_priv.h"

#include <stdlib.h>
#include <string.h>

#define MAX_UNROLLED 50000 /* nodes that all loops of a model may become */
#define MAX_TURNS    4096

/* --- Nested graphs --------------------------------------------------------------------------- */

static const Onnxpb__Graph *graph_attr(const ImNode *n, const char *name)
{
    const Onnxpb__Attribute *a = im_attr(n, name);
    if (!a || !a->g)
        sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" must be a graph", name);
    return a ? a->g : NULL;
}

/* "--dim n=N" for what a term depends on. */
static void see_symbol(void *arg, const char *sym)
{
    const char **first = arg;
    *first = *first ? *first : sym;
}

static bool undecided(const ImNode *n, const char *what, const ScTerm *by)
{
    const char *sym = NULL;
    sc_fail(n->im->cx, n->loc, SC_E_DYNAMIC, "%s", what);
    if (by)
        sc_term_symbols(by, see_symbol, &sym);
    if (sym)
        sc_note(n->im->cx, "it depends on the dimension %s: --dim %s=N decides it", sym, sym);
    return false;
}

/* --- If -------------------------------------------------------------------------------------- */

static bool is_scalar(const ImNode *n, ScVal v)
{
    int64_t count;
    return sc_term_const(sc_type_count(n->im->cx, sc_built(&n->im->b, v)->type), &count) &&
           count == 1;
}

/* What is known of a condition, and, where it compares two integers, what it depends on. */
static ScDecision truth(const ImNode *n, ScVal v, const ScTerm **ret_by)
{
    const ScBuild *b = &n->im->b;
    bool flipped = false;
    if (!is_scalar(n, v))
        return SC_PERHAPS;
    for (const ScNode *def; (def = sc_built_def(b, v)) && def->n_in >= 1; v = def->in[0]) {
        if (def->op == &sc_op_equal) {
            const ScTerm *const *x = sc_built(b, def->in[0])->content;
            const ScTerm *const *y = sc_built(b, def->in[1])->content;
            if (!x || !y)
                return SC_PERHAPS;
            *ret_by = sc_term_sub(n->im->cx, x[0], y[0]);
            ScDecision d = sc_guard_decide(n->im->cx, SC_GUARD_EQUAL, x[0], y[0]);
            return d == SC_PERHAPS || !flipped ? d : d == SC_NEVER ? SC_ALWAYS : SC_NEVER;
        }
        if (def->op == &sc_op_not)
            flipped = !flipped;
        else if (def->n_in > 1 || !(def->op->lower.cls == SC_VIEW || def->op == &sc_op_cast))
            return SC_PERHAPS;
    }
    return SC_PERHAPS;
}

static ScDecision condition(const ImNode *n, ScVal v, const ScTerm **ret_by)
{
    ScrtTensor t = {0};
    ScDecision d = SC_PERHAPS;
    *ret_by = NULL;
    if (im_known(n, v, &t) && scrt_count(&t) == 1)
        d = scrt_load_int((ScrtDtype)t.dtype, t.data, 0) ? SC_ALWAYS : SC_NEVER;
    scrt_free(t.data);
    return d == SC_PERHAPS ? truth(n, v, ret_by) : d;
}

static int declared_rank(const Onnxpb__ValueInfo *v)
{
    const Onnxpb__TensorType *t = v->type ? v->type->tensor_type : NULL;
    return t && t->shape ? (int)t->shape->n_dim : -1;
}

/* The branch whose results have the ranks that the model declares for this node's, where the other
 * one's have not; NULL where that does not tell. */
static const Onnxpb__Graph *branch_by_rank(const ImNode *n, const Onnxpb__Graph *const branch[2],
                                           bool *ret_unlike)
{
    const Onnxpb__Graph *fits = NULL;
    for (uint32_t i = 0; i < n->n_out; i++) {
        int a = declared_rank(branch[0]->output[i]), b = declared_rank(branch[1]->output[i]);
        int want = im_declared_rank(n, i);
        if (a < 0 || b < 0 || a == b)
            continue;
        *ret_unlike = true;
        if (want == a || want == b)
            fits = branch[want == b];
    }
    return fits;
}

static bool pick(const ImNode *n, const ScVal *then, const ScVal *other, ScVal *ret_out)
{
    ScBuild *b = &n->im->b;
    ScVal c = im_in(n, 0);
    if (sc_built(b, c)->type->rank > 0)
        c = im_build(n, &sc_op_reshape, IM_SET({"shape", SC_TERMS(0, NULL)}), IM_IN(c));
    for (uint32_t i = 0; i < n->n_out; i++) {
        const ScType *t = sc_built(b, then[i])->type;
        if (t != sc_built(b, other[i])->type)
            return undecided(n, "the branches give unlike types, and the condition is not known",
                             NULL);
        ret_out[i] = then[i] == other[i] ? then[i] : sc_op(b, where, c, then[i], other[i]);
    }
    return true;
}

static bool if_node(const ImNode *n, ScVal *ret_out)
{
    const Onnxpb__Graph *branch[2] = {graph_attr(n, "then_branch"), graph_attr(n, "else_branch")};
    const ScTerm *by;
    bool unlike = false;
    if (!branch[0] || !branch[1] || !im_arity(n, 1, 1) || !IM_ONLY(n, "then_branch", "else_branch"))
        return false;
    for (uint32_t k = 0; k < 2; k++)
        if (branch[k]->n_output < n->n_out || branch[k]->n_input > 0)
            return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "a branch of %zu inputs and %zu outputs",
                           branch[k]->n_input, branch[k]->n_output);
    if (!is_scalar(n, im_in(n, 0)))
        return sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "the condition must have one element");
    ScDecision d = condition(n, im_in(n, 0), &by);
    if (d != SC_PERHAPS)
        return im_body(n, branch[d == SC_NEVER], NULL, n->n_out, ret_out);
    const Onnxpb__Graph *fits = branch_by_rank(n, branch, &unlike);
    if (fits && by) {
        ScGuardKind need = fits == branch[0] ? SC_GUARD_EQUAL : SC_GUARD_DIFFER;
        return im_require(n, need, by, sc_term(n->im->cx, 0), "what the condition compares") &&
               im_body(n, fits, NULL, n->n_out, ret_out);
    }
    if (unlike)
        return undecided(n, "the rank of a result follows from a condition that is not known", by);
    ScVal *v = calloc(2 * n->n_out, sizeof *v);
    if (!v)
        abort();
    bool ok = im_body(n, branch[0], NULL, n->n_out, v) &&
              im_body(n, branch[1], NULL, n->n_out, v + n->n_out) &&
              pick(n, v, v + n->n_out, ret_out);
    free(v);
    return ok;
}

/* --- Turns ----------------------------------------------------------------------------------- */

/* A loop that is written out. */
typedef struct Turns {
    const Onnxpb__Graph *body;
    uint32_t n_carried, n_scan, n_turn;
    ScVal *carried; /* [n_carried] as they are now */
    ScVal *scan;    /* [n_scan][MAX_TURNS] what each turn gave */
    ScVal *out;     /* of one turn */
} Turns;

static bool may_turn(const ImNode *n, const Turns *t)
{
    n->im->n_unrolled += (uint32_t)t->body->n_node + 1;
    return (t->n_turn < MAX_TURNS && n->im->n_unrolled <= MAX_UNROLLED) ||
           sc_fail(n->im->cx, n->loc, SC_E_LIMIT, "too many turns of a loop of %zu nodes",
                   t->body->n_node);
}

static void turns_begin(Turns *t)
{
    t->carried = calloc(t->n_carried + 1u, sizeof(ScVal));
    t->scan = calloc((size_t)t->n_scan * MAX_TURNS + 1u, sizeof(ScVal));
    t->out = calloc(t->body->n_output + 1u, sizeof(ScVal));
    if (!t->carried || !t->scan || !t->out)
        abort();
}

static void turns_free(Turns *t)
{
    free(t->carried);
    free(t->scan);
    free(t->out);
}

/* out: carried, then scans. */
static void turn_over(Turns *t, const ScVal *out)
{
    memcpy(t->carried, out, t->n_carried * sizeof *out);
    for (uint32_t i = 0; i < t->n_scan; i++)
        t->scan[i * MAX_TURNS + t->n_turn] = out[t->n_carried + i];
    t->n_turn++;
}

/* What all turns gave, side by side along a new axis. */
static ScVal stacked(const ImNode *n, const Turns *t, uint32_t i, int64_t axis, bool reversed)
{
    ScBuild *b = &n->im->b;
    ScVal *part = &t->scan[i * MAX_TURNS];
    for (uint32_t k = 0; k < t->n_turn; k++)
        part[k] =
            im_build(n, &sc_op_unsqueeze, IM_SET({"axes", SC_INTS(1, &axis)}), IM_IN(part[k]));
    for (uint32_t k = 0; reversed && k < t->n_turn / 2; k++) {
        ScVal other = part[k];
        part[k] = part[t->n_turn - 1 - k];
        part[t->n_turn - 1 - k] = other;
    }
    return sc_node1(b, &sc_op_concat, SC_ATTRS(SC_INT(axis)), t->n_turn, part);
}

/* --- Loop ------------------------------------------------------------------------------------ */

static bool known_flag(const ImNode *n, ScVal v, bool *ret)
{
    const ScTerm *by;
    ScDecision d = v == SC_ABSENT ? SC_ALWAYS : condition(n, v, &by);
    *ret = d == SC_ALWAYS;
    return d != SC_PERHAPS;
}

static bool run_turns(const ImNode *n, Turns *t, int64_t trips)
{
    ScBuild *b = &n->im->b;
    ScVal cond = im_in(n, 1), *in = calloc(t->n_carried + 2u, sizeof *in);
    bool more = true, ok = true;
    if (!in)
        abort();
    for (uint32_t i = 0; i < t->n_carried; i++)
        t->carried[i] = im_in(n, 2 + i);
    while (ok && t->n_turn < trips) {
        if (!known_flag(n, cond, &more))
            ok = undecided(n, "whether the loop goes on depends on data", NULL);
        if (!ok || !more)
            break;
        in[0] = sc_const_scalar(b, SCRT_I64, t->n_turn);
        in[1] = cond == SC_ABSENT ? sc_const_scalar(b, SCRT_BOOL, 1) : cond;
        memcpy(in + 2, t->carried, t->n_carried * sizeof *in);
        ok = may_turn(n, t) && im_body(n, t->body, in, 1 + t->n_carried + t->n_scan, t->out);
        if (ok)
            turn_over(t, t->out + 1);
        cond = t->out[0];
    }
    free(in);
    return ok;
}

static bool loop(const ImNode *n, ScVal *ret_out)
{
    Turns t = {.body = graph_attr(n, "body")};
    int64_t trips = INT64_MAX;
    if (!t.body || !IM_ONLY(n, "body"))
        return false;
    t.n_carried = n->n_in > 2 ? n->n_in - 2 : 0;
    size_t n_out = 1 + (size_t)t.n_carried;
    if (n->n_in < 2 || t.body->n_input != 2 + (size_t)t.n_carried || t.body->n_output < n_out ||
        t.body->n_output > IM_MAX_PORTS || n->n_out > t.body->n_output - 1)
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "a body of %zu inputs and %zu outputs",
                       t.body->n_input, t.body->n_output);
    t.n_scan = (uint32_t)(t.body->n_output - n_out);
    if (im_has(n, 0)) {
        uint32_t len;
        const ScTerm *const *c = sc_built(&n->im->b, im_in(n, 0))->content;
        if (!is_scalar(n, im_in(n, 0)))
            return sc_fail(n->im->cx, n->loc, SC_E_SHAPE,
                           "the number of turns must be one element");
        if (c && c[0]->kind != SC_T_CONST)
            return undecided(n, "the number of turns is not known", c[0]);
        const int64_t *m = im_const_ints(n, 0, &len);
        if (!m || len != 1)
            return false;
        trips = *m;
    }
    turns_begin(&t);
    bool ok = run_turns(n, &t, trips);
    for (uint32_t i = 0; ok && i < n->n_out; i++) {
        if (i < t.n_carried)
            ret_out[i] = t.carried[i];
        else if (t.n_turn > 0)
            ret_out[i] = stacked(n, &t, i - t.n_carried, 0, false);
        else
            ok = sc_fail(n->im->cx, n->loc, SC_E_UNSUPPORTED, "a loop of no turns with result %u",
                         i);
    }
    turns_free(&t);
    return ok;
}

/* --- Scan ------------------------------------------------------------------------------------ */

/* Part `at` of x along an axis, without it. */
static ScVal part_of(const ImNode *n, ScVal x, int64_t axis, int64_t at)
{
    const ScTerm *from = sc_term(n->im->cx, at), *to = sc_term(n->im->cx, at + 1);
    ScVal y = im_build(n, &sc_op_slice,
                       IM_SET({"starts", SC_TERMS(1, &from)}, {"ends", SC_TERMS(1, &to)},
                              {"axes", SC_INTS(1, &axis)}),
                       IM_IN(x));
    return im_build(n, &sc_op_squeeze, IM_SET({"axes", SC_INTS(1, &axis)}), IM_IN(y));
}

/* Entry i of a list attribute; 0 where it is not given. */
static bool entry(const ImNode *n, const char *name, uint32_t i, int64_t *ret)
{
    bool ok = true;
    uint32_t len;
    const int64_t *is = im_ints(n, name, &len, &ok);
    if (ok && is && i >= len)
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" has %u entries", name, len);
    *ret = is ? is[i] : 0;
    return ok;
}

/* The extent that all scanned operands have. */
static bool scan_length(const ImNode *n, uint32_t n_state, int64_t *ret)
{
    const ScTerm *length = NULL;
    for (uint32_t i = n_state; i < n->n_in; i++) {
        const ScType *t = im_type(n, i);
        int64_t axis;
        uint32_t a = 0;
        if (!entry(n, "scan_input_axes", i - n_state, &axis) || !im_axis(n, axis, t->rank, &a))
            return false;
        if (length &&
            !im_require(n, SC_GUARD_EQUAL, length, t->dim[a], "lengths of scanned inputs"))
            return false;
        length = !length || t->dim[a]->kind == SC_T_CONST ? t->dim[a] : length;
    }
    return sc_term_const(length, ret) || undecided(n, "the number of turns is not known", length);
}

static bool scan_turn(const ImNode *n, Turns *t, ScVal *in, int64_t length)
{
    memcpy(in, t->carried, t->n_carried * sizeof *in);
    for (uint32_t i = t->n_carried; i < n->n_in; i++) {
        int64_t axis, down;
        uint32_t k = i - t->n_carried, a = 0;
        if (!entry(n, "scan_input_axes", k, &axis) ||
            !entry(n, "scan_input_directions", k, &down) ||
            !im_axis(n, axis, im_type(n, i)->rank, &a))
            return false;
        in[i] = part_of(n, im_in(n, i), a, down ? length - 1 - t->n_turn : t->n_turn);
    }
    if (!may_turn(n, t) || !im_body(n, t->body, in, t->n_carried + t->n_scan, t->out))
        return false;
    turn_over(t, t->out);
    return true;
}

static bool scan_results(const ImNode *n, const Turns *t, ScVal *ret_out)
{
    for (uint32_t i = 0; i < n->n_out; i++) {
        int64_t axis, down;
        uint32_t k = i - t->n_carried, a = 0;
        if (i < t->n_carried) {
            ret_out[i] = t->carried[i];
            continue;
        }
        if (t->n_turn == 0)
            return sc_fail(n->im->cx, n->loc, SC_E_UNSUPPORTED, "a scan of no turns");
        uint32_t rank = sc_built(&n->im->b, t->scan[k * MAX_TURNS])->type->rank;
        if (!entry(n, "scan_output_axes", k, &axis) ||
            !entry(n, "scan_output_directions", k, &down) || !im_axis(n, axis, rank + 1, &a))
            return false;
        ret_out[i] = stacked(n, t, k, a, down != 0);
    }
    return true;
}

static bool scan(const ImNode *n, ScVal *ret_out)
{
    Turns t = {.body = graph_attr(n, "body")};
    bool ok = true;
    int64_t scanned = im_int(n, "num_scan_inputs", 0, &ok), length;
    if (!ok || !t.body ||
        !IM_ONLY(n, "body", "num_scan_inputs", "scan_input_axes", "scan_input_directions",
                 "scan_output_axes", "scan_output_directions"))
        return false;
    if (scanned < 1 || scanned > n->n_in)
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"num_scan_inputs\" is %lld",
                       (long long)scanned);
    t.n_carried = n->n_in - (uint32_t)scanned;
    if (t.body->n_input != n->n_in || t.body->n_output < t.n_carried ||
        t.body->n_output > IM_MAX_PORTS || n->n_out > t.body->n_output)
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "a body of %zu inputs and %zu outputs",
                       t.body->n_input, t.body->n_output);
    t.n_scan = (uint32_t)t.body->n_output - t.n_carried;
    if (!scan_length(n, t.n_carried, &length))
        return false;
    turns_begin(&t);
    ScVal *in = calloc(n->n_in + 1u, sizeof *in);
    if (!in)
        abort();
    memcpy(t.carried, n->in, t.n_carried * sizeof *in);
    while (ok && t.n_turn < length)
        ok = scan_turn(n, &t, in, length);
    ok = ok && scan_results(n, &t, ret_out);
    free(in);
    turns_free(&t);
    return ok;
}

const ImAdapter im_control_adapters[] = {
    {"", "If", 1, 0, if_node, IM_MAX_PORTS},
    {"", "Loop", 1, 0, loop, IM_MAX_PORTS},
    {"", "Scan", 9, 0, scan, IM_MAX_PORTS},
    {NULL, NULL, 0, 0, NULL, 0},
};
