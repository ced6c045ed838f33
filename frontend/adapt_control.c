/* SPDX-License-Identifier: Apache-2.0 */
/* If, Loop and Scan. What import can resolve it does: a condition that is known chooses its branch,
 * a loop of few turns that nothing ends early is written out; there nested graphs are walked in
 * place, in a scope of their own: what they capture are the values around them. The others stay
 * nested, in nodes of row `if` and `loop`. */
#include "frontend/control_priv.h"
#include "frontend/sequence.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TURNS 64   /* of a loop that is written out */
#define MAX_NODES 2000 /* that it becomes */

/* --- Nested graphs --------------------------------------------------------------------------- */

const Onnxpb__Graph *im_graph_attr(const ImNode *n, const char *name)
{
    const Onnxpb__Attribute *a = im_attr(n, name);
    if (!a || !a->g)
        sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" must be a graph", name);
    return a ? a->g : NULL;
}

/* --- If -------------------------------------------------------------------------------------- */

bool im_is_one(const ImNode *n, ScVal v)
{
    int64_t count;
    return sc_term_const(sc_type_count(n->im->cx, im_type_of(n, v)), &count) && count == 1;
}

/* Of a condition that compares two integers, negated or not. */
static void follow(const ImNode *n, ScVal v, ImCondition *c)
{
    const ScBuild *b = &n->im->b;
    bool flipped = false;
    if (!im_is_one(n, v))
        return;
    for (const ScNode *def; (def = sc_built_def(b, v)) && def->n_in >= 1; v = def->in[0]) {
        if (def->op == &sc_op_equal) {
            const ScTerm *const *x = sc_built(b, def->in[0])->content;
            const ScTerm *const *y = sc_built(b, def->in[1])->content;
            if (!x || !y)
                return;
            c->by = sc_term_sub(n->im->cx, x[0], y[0]);
            c->when = flipped ? SC_GUARD_DIFFER : SC_GUARD_EQUAL;
            c->is = sc_guard_decide(n->im->cx, c->when, x[0], y[0]);
            return;
        }
        if (def->op == &sc_op_not)
            flipped = !flipped;
        else if (def->n_in > 1 || !(def->op->lower.cls == SC_VIEW || def->op == &sc_op_cast))
            return;
    }
}

ImCondition im_condition(const ImNode *n, ScVal v)
{
    int64_t x;
    ImCondition c = {.is = SC_PERHAPS};
    if (im_known_int(n, v, &x))
        c.is = x ? SC_ALWAYS : SC_NEVER;
    else
        follow(n, v, &c);
    return c;
}

/* The branch whose results have the ranks that the model declares for this node's, where the other
 * one's have not; NULL where that does not tell. */
static const Onnxpb__Graph *branch_by_rank(const ImNode *n, const Onnxpb__Graph *const branch[2],
                                           bool *ret_unlike)
{
    const Onnxpb__Graph *fits = NULL;
    for (uint32_t i = 0; i < n->n_out; i++) {
        int a = im_rank_of(branch[0]->output[i]), b = im_rank_of(branch[1]->output[i]);
        int want = im_declared_rank(n, i);
        if (a < 0 || b < 0 || a == b)
            continue;
        *ret_unlike = true;
        if (want == a || want == b)
            fits = branch[want == b];
    }
    return fits;
}

/* The only node of g that is no constant, where it is of this type; else NULL. */
static const Onnxpb__Node *only_node(const Onnxpb__Graph *g, const char *type)
{
    const Onnxpb__Node *only = NULL;
    for (size_t i = 0; i < g->n_node; i++) {
        if (!strcmp(im_node_op(g->node[i]), "Constant"))
            continue;
        if (only || strcmp(im_node_op(g->node[i]), type) != 0)
            return NULL;
        only = g->node[i];
    }
    return only;
}

/* Exporters write "an axis goes if its extent is 1" as an If: Squeeze or Identity. What follows is
 * made for one rank: the declared one, else that without the axis, or it would not be squeezed. */
static const Onnxpb__Graph *squeezing_branch(const ImNode *n, const Onnxpb__Graph *const branch[2])
{
    for (uint32_t k = 0; n->n_out == 1 && k < 2; k++) {
        const Onnxpb__Node *same = only_node(branch[!k], "Identity");
        ScVal x;
        if (!same || !only_node(branch[k], "Squeeze") || same->n_input != 1 ||
            !im_names_get(n->im->names, sc_intern(n->im->cx, same->input[0]), &x) || im_is_seq(x))
            continue;
        if (im_declared_rank(n, 0) == (int)im_type_of(n, x)->rank)
            return branch[!k];
        sc_warn(n->im->cx, n->loc, SC_E_DYNAMIC,
                "the axis is taken to be of extent 1, and squeezed");
        return branch[k];
    }
    return NULL;
}

/* One element, without dims. */
ScVal im_one(const ImNode *n, ScVal v)
{
    return im_type_of(n, v)->rank ? im_reshape(n, v, 0, NULL) : v;
}

static bool if_node(const ImNode *n, ScVal *ret_out)
{
    const Onnxpb__Graph *branch[2] = {im_graph_attr(n, "then_branch"),
                                      im_graph_attr(n, "else_branch")};
    bool unlike = false;
    if (!branch[0] || !branch[1] || !im_arity(n, 1, 1) || !IM_ONLY(n, "then_branch", "else_branch"))
        return false;
    for (uint32_t k = 0; k < 2; k++)
        if (branch[k]->n_output < n->n_out || branch[k]->n_input > 0)
            return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "a branch of %zu inputs and %zu outputs",
                           branch[k]->n_input, branch[k]->n_output);
    if (!im_is_one(n, im_in(n, 0)))
        return sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "the condition must have one element");
    const ImCondition c = im_condition(n, im_in(n, 0));
    if (c.is != SC_PERHAPS)
        return im_body(n, branch[c.is == SC_NEVER], NULL, n->n_out, ret_out);
    const Onnxpb__Graph *fits = branch_by_rank(n, branch, &unlike);
    if (c.by && !fits)
        fits = squeezing_branch(n, branch);
    if (c.by && fits) {
        const ScGuardKind not = c.when == SC_GUARD_EQUAL ? SC_GUARD_DIFFER : SC_GUARD_EQUAL;
        return im_require(n, fits == branch[0] ? c.when : not, c.by, sc_term(n->im->cx, 0),
                          "what the condition compares") &&
               im_body(n, fits, NULL, n->n_out, ret_out);
    }
    return unlike ? im_undecided_rank(n, c.by) : im_both_branches(n, branch, c.by, ret_out);
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

/* Loops in loops count what they become together. */
static bool may_unroll(const ImNode *n, const Onnxpb__Graph *body, int64_t turns)
{
    if (turns < 1 || turns > MAX_TURNS ||
        (uint64_t)turns * (body->n_node + 1) + n->im->n_unrolled > MAX_NODES)
        return false;
    n->im->n_unrolled += (uint32_t)turns * (uint32_t)(body->n_node + 1);
    return true;
}

static void turns_begin(Turns *t)
{
    t->carried = sc_calloc(t->n_carried + 1u, sizeof(ScVal));
    t->scan = sc_calloc((size_t)t->n_scan * MAX_TURNS + 1u, sizeof(ScVal));
    t->out = sc_calloc(t->body->n_output + 1u, sizeof(ScVal));
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

/* Nothing ends it: the condition is true, as the body was found to leave it. */
static bool run_turns(const ImNode *n, Turns *t, int64_t trips)
{
    ScBuild *b = &n->im->b;
    ScVal *in = sc_array(sc_ctx_arena(n->im->cx), ScVal, t->n_carried + 2u);
    bool ok = true;
    for (uint32_t i = 0; i < t->n_carried; i++)
        t->carried[i] = im_in(n, 2 + i);
    while (ok && t->n_turn < trips) {
        in[0] = sc_const_scalar(b, SCRT_I64, t->n_turn);
        in[1] = sc_const_scalar(b, SCRT_BOOL, 1);
        memcpy(in + 2, t->carried, t->n_carried * sizeof *in);
        ok = im_body(n, t->body, in, 1 + t->n_carried + t->n_scan, t->out) &&
             im_tensors(n, t->n_scan, t->out + 1 + t->n_carried);
        if (ok)
            turn_over(t, t->out + 1);
    }
    return ok;
}

static bool write_out(const ImNode *n, const Onnxpb__Graph *body, uint32_t n_carried, int64_t trips,
                      ScVal *ret_out)
{
    Turns t = {.body = body, .n_carried = n_carried};
    t.n_scan = (uint32_t)body->n_output - 1 - n_carried;
    turns_begin(&t);
    bool ok = run_turns(n, &t, trips);
    for (uint32_t i = 0; ok && i < n->n_out; i++)
        ret_out[i] = i < n_carried ? t.carried[i] : stacked(n, &t, i - n_carried, 0, false);
    turns_free(&t);
    return ok;
}

/* The number of turns where it is a number that is known, else -1. */
static int64_t known_trips(const ImNode *n)
{
    int64_t trips = -1;
    const ScTerm *const *c = im_has(n, 0) ? sc_built(&n->im->b, im_in(n, 0))->content : NULL;
    bool goes = !im_has(n, 1) || im_condition(n, im_in(n, 1)).is == SC_ALWAYS;
    return c && goes && sc_term_const(c[0], &trips) ? trips : -1;
}

static bool loop(const ImNode *n, ScVal *ret_out)
{
    const Onnxpb__Graph *body = im_graph_attr(n, "body");
    uint32_t n_carried = n->n_in > 2 ? n->n_in - 2 : 0;
    if (!body || !IM_ONLY(n, "body"))
        return false;
    size_t n_out = 1 + (size_t)n_carried;
    if (body->n_input != 2 + (size_t)n_carried || body->n_output < n_out ||
        body->n_output > IM_MAX_PORTS || n->n_out > body->n_output - 1)
        return sc_fail(n->im->cx, n->loc, SC_E_ARITY, "a body of %zu inputs and %zu outputs",
                       body->n_input, body->n_output);
    for (uint32_t i = 0; i < 2; i++)
        if (im_has(n, i) && !im_is_one(n, im_in(n, i)))
            return sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "the %s must be one element",
                           i ? "condition" : "number of turns");
    ImLoop l;
    int64_t trips = known_trips(n);
    if (!im_loop_begin(n, body, n_carried, &l))
        return false;
    bool endless = sc_term_is(l.on, 1);
    if (endless && may_unroll(n, body, trips)) {
        im_loop_drop(&l);
        return write_out(n, body, n_carried, trips, ret_out);
    }
    return im_loop_end(n, &l, ret_out);
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
static bool scan_length(const ImNode *n, uint32_t n_state, const ScTerm **ret)
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
    *ret = length;
    return true;
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
    if (!im_body(n, t->body, in, t->n_carried + t->n_scan, t->out) ||
        !im_tensors(n, t->n_carried + t->n_scan, t->out))
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
        uint32_t rank = im_type_of(n, t->scan[k * MAX_TURNS])->rank;
        if (!entry(n, "scan_output_axes", k, &axis) ||
            !entry(n, "scan_output_directions", k, &down) || !im_axis(n, axis, rank + 1, &a))
            return false;
        ret_out[i] = stacked(n, t, k, a, down != 0);
    }
    return true;
}

/* What each turn takes of the scanned inputs, and how its elements stand in the results. */
static bool scan_forms(const ImNode *n, const Onnxpb__Graph *body, uint32_t n_carried,
                       ImScanForm *in, ImScanForm *out)
{
    for (uint32_t i = n_carried; i < n->n_in; i++) {
        int64_t axis, down;
        ImScanForm *f = &in[i - n_carried];
        if (!entry(n, "scan_input_axes", i - n_carried, &axis) ||
            !entry(n, "scan_input_directions", i - n_carried, &down) ||
            !im_axis(n, axis, im_type(n, i)->rank, &f->axis))
            return false;
        f->reversed = down != 0;
    }
    for (uint32_t i = n_carried; i < body->n_output; i++) {
        int64_t down;
        ImScanForm *f = &out[i - n_carried];
        if (!entry(n, "scan_output_axes", i - n_carried, &f->given) ||
            !entry(n, "scan_output_directions", i - n_carried, &down))
            return false;
        f->reversed = down != 0;
    }
    return true;
}

static bool nested_scan(const ImNode *n, const Onnxpb__Graph *body, uint32_t n_carried,
                        const ScTerm *length, ScVal *ret_out)
{
    ScArena *a = sc_ctx_arena(n->im->cx);
    ImScanForm *in = sc_array(a, ImScanForm, n->n_in + 1u);
    ImScanForm *out = sc_array(a, ImScanForm, body->n_output + 1u);
    return scan_forms(n, body, n_carried, in, out) &&
           im_scan_loop(n, body, n_carried, length, in, out, ret_out);
}

static bool scan(const ImNode *n, ScVal *ret_out)
{
    Turns t = {.body = im_graph_attr(n, "body")};
    bool ok = true;
    int64_t scanned = im_int(n, "num_scan_inputs", 0, &ok), turns;
    const ScTerm *length;
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
    if (!sc_term_const(length, &turns) || !may_unroll(n, t.body, turns))
        return nested_scan(n, t.body, t.n_carried, length, ret_out);
    turns_begin(&t);
    ScVal *in = sc_array(sc_ctx_arena(n->im->cx), ScVal, n->n_in + 1u);
    memcpy(t.carried, n->in, t.n_carried * sizeof *in);
    while (ok && t.n_turn < turns)
        ok = scan_turn(n, &t, in, turns);
    ok = ok && scan_results(n, &t, ret_out);
    turns_free(&t);
    return ok;
}

const ImAdapter im_control_adapters[] = {
    {"", "If", 1, 0, if_node, IM_MAX_PORTS, 0},
    {"", "Loop", 1, 0, loop, IM_MAX_PORTS, ~3u},
    {"", "Scan", 8, 8, im_batched_scan, IM_MAX_PORTS, 0},
    {"", "Scan", 9, 0, scan, IM_MAX_PORTS, 0},
    {NULL, NULL, 0, 0, NULL, 0, 0},
};
