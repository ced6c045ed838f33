/* SPDX-License-Identifier: Apache-2.0 */
/* Loops that a run turns: Loop as row `loop`; Scan as that row, where each turn takes its elements
 * by gathering. The body is built with the types that its carried values begin with; an extent that
 * it changes becomes a symbol, bound anew each turn, and the body is built again.
 *
 * A sequence to which turns append, and do nothing else, is not carried: what they append is a
 * result of all turns. Any other is carried with its elements stacked. */
#include "frontend/control_priv.h"
#include "frontend/sequence.h"

#include <string.h>

#define MAX_ROUNDS (2 + SCRT_MAX_RANK) /* each makes some extent a symbol */

typedef struct ImCarried { /* a value that turns hand on */
    ScVal first;           /* SC_ABSENT: a sequence that grows */
    const ScType *type;    /* as the body takes it */
    const ScType *outer;   /* of `first` */
    bool seq;
    ImGrowth growth;
    uint32_t n_new; /* elements that a turn appends to a sequence that grows */
} Carried;

typedef struct Body { /* a body as it is being built */
    const ImNode *n;
    const Onnxpb__Graph *pb;
    const ImCaptures *captures;
    uint32_t n_carried, n_scanned;
    Carried *carried;          /* [n_carried] */
    const ImScanForm *scanned; /* [n_scanned]; NULL: a Loop */
    const ScTerm *length;      /* of a Scan */
    bool counts_only;          /* a Loop without a condition: the body's does not count */
} Body;

/* --- The body -------------------------------------------------------------------------------- */

/* Inputs before what is carried. */
static uint32_t head(const Body *b)
{
    return b->scanned ? 0 : 2;
}

static const char *input_name(const Body *b, size_t i)
{
    const char *name = b->pb->input[i]->name;
    return name ? name : "";
}

/* One element, with a dim of 1 where input i of the body says so. */
static ScVal as_declared(const Body *b, size_t i, ScVal v)
{
    const ScTerm *one = sc_term(b->n->im->cx, 1);
    return im_rank_of(b->pb->input[i]) == 1 ? im_reshape(b->n, v, 1, &one) : v;
}

/* What this turn takes of scanned input k. */
static ScVal element(const Body *b, uint32_t k, ScVal x, ScVal turn)
{
    const ImScanForm *f = &b->scanned[k];
    ScVal at = turn;
    if (f->reversed) {
        ScVal last = im_number(b->n, sc_term_addc(b->n->im->cx, b->length, -1));
        at = sc_op(&b->n->im->b, sub, last, turn);
    }
    return im_gather(b->n, x, f->axis, at);
}

static ScVal carried_input(const Body *b, Carried *c, const char *name)
{
    Import *im = b->n->im;
    if (c->first == SC_ABSENT)
        return im_seq_grows(im, &c->growth, 0, NULL);
    ScVal x = sc_input(&im->b, name, c->type, NULL);
    return c->seq ? im_seq_stack(im, x) : x;
}

/* The body's inputs in the order of row `loop`; in: as the ONNX graph takes them. */
static bool make_inputs(const Body *b, ImNested *x, ScVal *in)
{
    ScBuild *build = &b->n->im->b;
    ScCtx *cx = build->cx;
    ScVal turn = sc_input(build, b->scanned ? "turn" : input_name(b, 0),
                          sc_type(cx, SCRT_I64, 0, NULL), NULL);
    for (uint32_t i = 0; i < b->n_carried; i++)
        in[head(b) + i] = carried_input(b, &b->carried[i], input_name(b, head(b) + i));
    for (uint32_t k = 0; k < b->n_scanned; k++) {
        ScVal outer = im_in(b->n, b->n_carried + k);
        in[b->n_carried + k] = sc_input(build, NULL, sc_built(&x->around, outer)->type, NULL);
    }
    if (!im_nested_captures(b->n, x, b->captures))
        return false;
    im_count_turns(b->n, &x->scope, turn);
    for (uint32_t k = 0; k < b->n_scanned; k++)
        in[b->n_carried + k] = element(b, k, in[b->n_carried + k], turn);
    if (!b->scanned) {
        in[0] = as_declared(b, 0, turn);
        in[1] = as_declared(b, 1, sc_const_scalar(build, SCRT_BOOL, 1));
    }
    return true;
}

/* The type of the elements that are stacked in t. */
static const ScType *elem_of(ScCtx *cx, const ScType *t)
{
    return sc_type(cx, t->dtype, t->rank - 1, t->dim + 1);
}

/* The next value of what is carried. */
static bool carried_output(const Body *b, Carried *c, const char *name, ScVal v)
{
    const ImNode *n = b->n;
    ScVal x = v;
    if (!c->seq && !im_tensors(n, 1, &v))
        return false;
    if (c->seq && !im_is_seq(v))
        return sc_fail(n->im->cx, n->loc, SC_E_TYPE, "\"%s\" is no sequence after a turn", name);
    if (c->first == SC_ABSENT) {
        const ImSeq s = im_seq(n, v);
        c->growth.read = c->growth.read || s.of != &c->growth;
        c->n_new = s.n;
        return s.of == &c->growth || sc_fail(n->im->cx, n->loc, SC_E_UNSUPPORTED,
                                             "sequence \"%s\" is another one after a turn", name);
    }
    if (c->seq)
        x = im_seq_stacked(n, v, elem_of(n->im->cx, c->type));
    sc_output(&n->im->b, name, x);
    return x != SC_POISON;
}

/* What a turn appended, along an axis. */
static ScVal appended(const Body *b, ScVal v)
{
    const ImSeq s = im_seq(b->n, v);
    return im_seq_stacked(b->n, im_seq_list(b->n->im, s.n, s.elem), NULL);
}

/* In the order of row `loop`: the condition, what is carried, what turns give, what they append. */
static bool make_outputs(const Body *b, const ScVal *out)
{
    ScBuild *build = &b->n->im->b;
    const bool flag = !b->scanned;
    const uint32_t n_out = (uint32_t)b->pb->n_output;
    ScVal on = flag && !b->counts_only ? out[0] : sc_const_scalar(build, SCRT_BOOL, 1);
    if (!im_tensors(b->n, 1, &on) || on < SC_FIRST || !im_is_one(b->n, on))
        return on != SC_POISON && on != SC_ABSENT && !im_is_seq(on) &&
               sc_fail(build->cx, b->n->loc, SC_E_SHAPE, "the condition must have one element");
    sc_output(build, flag ? b->pb->output[0]->name : "on", im_one(b->n, on));
    for (uint32_t i = 0; i < b->n_carried; i++)
        if (!carried_output(b, &b->carried[i], b->pb->output[flag + i]->name, out[flag + i]))
            return false;
    for (uint32_t i = flag + b->n_carried; i < n_out; i++) {
        if (!im_tensors(b->n, 1, &out[i]))
            return false;
        sc_output(build, b->pb->output[i]->name, out[i]);
    }
    for (uint32_t i = 0; i < b->n_carried; i++)
        if (b->carried[i].first == SC_ABSENT && b->carried[i].n_new)
            sc_output(build, b->pb->output[flag + i]->name, appended(b, out[flag + i]));
    return true;
}

static ScGraph *build(const Body *b)
{
    const ImNode *n = b->n;
    ImNested x;
    ScArena *a = sc_ctx_arena(n->im->cx);
    ScVal *in = sc_array(a, ScVal, b->pb->n_input + 1),
          *out = sc_array(a, ScVal, b->pb->n_output + 1);
    im_nested_begin(n, &x, b->pb->name);
    bool ok = make_inputs(b, &x, in) && im_body(n, b->pb, in, (uint32_t)b->pb->n_output, out) &&
              make_outputs(b, out);
    return im_nested_end(n, &x, ok);
}

/* --- Types of carried values ----------------------------------------------------------------- */

static bool is_own(const Carried *c, uint32_t d)
{
    return c->type->dim[d] != c->outer->dim[d];
}

static void make_own(const Body *b, uint32_t i, uint32_t d)
{
    Carried *c = &b->carried[i];
    const ScTerm *dim[SCRT_MAX_RANK];
    im_dims(c->type, dim);
    dim[d] = im_fresh_symbol(b->n->im, input_name(b, i + head(b)), b->n->im->n_own++);
    c->type = sc_type(b->n->im->cx, c->type->dtype, c->type->rank, dim);
}

/* Whether every carried value leaves the body as it enters; extents that do not become symbols.
 * *ret_ok: it can. */
static bool settles(const Body *b, const ScGraph *g, bool *ret_ok)
{
    bool same = true;
    uint32_t at = 1;
    for (uint32_t i = 0; i < b->n_carried; i++) {
        const Carried *c = &b->carried[i];
        if (c->first == SC_ABSENT)
            continue;
        const ScType *in = c->type, *out = sc_type_of(g, g->out[at++]);
        if (in->dtype != out->dtype || in->rank != out->rank) {
            *ret_ok = sc_fail(b->n->im->cx, b->n->loc, SC_E_TYPE,
                              "\"%s\" is %s of rank %u and leaves a turn as %s of rank %u",
                              input_name(b, i + head(b)), scrt_dtype_name(in->dtype), in->rank,
                              scrt_dtype_name(out->dtype), out->rank);
            return true;
        }
        for (uint32_t d = 0; d < in->rank; d++)
            if (!is_own(c, d) && in->dim[d] != out->dim[d]) {
                make_own(b, i, d);
                same = false;
            }
    }
    return same;
}

/* An extent that the model declares as a number stays one. */
static bool is_declared(const Body *b, uint32_t i, uint32_t d)
{
    const Onnxpb__ValueInfo *v = b->pb->input[i + head(b)];
    const Onnxpb__TensorType *t = v->type ? v->type->tensor_type : NULL;
    return t && t->shape && d < t->shape->n_dim && t->shape->dim[d]->has_dim_value;
}

static ScGraph *build_settled(Body *b)
{
    bool ok = true;
    for (uint32_t round = 0; round < MAX_ROUNDS; round++) {
        ScGraph *g = build(b);
        if (!g || settles(b, g, &ok)) {
            if (!ok)
                sc_graph_free(g);
            return ok ? g : NULL;
        }
        sc_graph_free(g);
    }
    sc_fail(b->n->im->cx, b->n->loc, SC_E_UNSUPPORTED, "carried values never keep their extents");
    return NULL;
}

/* What carried value i begins with; a sequence grows, at first. */
static bool begin_carried(const Body *b, uint32_t i)
{
    const ImNode *n = b->n;
    Carried *c = &b->carried[i];
    ScVal v = im_in(n, i + head(b));
    *c = (Carried){.first = v, .seq = im_is_seq(v)};
    if (c->seq) {
        c->first = SC_ABSENT;
        return true;
    }
    c->type = c->outer = im_type_of(n, v);
    return c->type->kind == SC_TYPE_TENSOR ||
           sc_fail(n->im->cx, n->loc, SC_E_ARITY, "carried value %u is missing", i);
}

/* To the loop around, where s is what that one carries so far: it must stack it, then. */
static void tell_element(const ImNode *n, const ImSeq *s, const ScType *elem)
{
    if (s->kind == IM_GROWS && !s->of->elem && elem && im_outlives(n, elem))
        s->of->elem = elem;
}

/* Sequences that grow and with which a turn does more than append are carried as one value,
 * stacked; false where there are none, or nothing tells the type of their elements. */
static bool stack_read(const Body *b, uint32_t n_diag)
{
    const ImNode *n = b->n;
    bool any = false;
    for (uint32_t i = 0; i < b->n_carried; i++) {
        Carried *c = &b->carried[i];
        ScVal v = im_in(n, i + head(b));
        if (c->first != SC_ABSENT || !c->growth.read)
            continue;
        const ImSeq s = im_seq(n, v);
        const ScType *elem =
            c->growth.elem && im_outlives(n, c->growth.elem) ? c->growth.elem : NULL;
        tell_element(n, &s, c->growth.elem);
        if (!elem && s.kind == IM_LIST && !s.n)
            return false;
        if (!any)
            sc_forget_diags(n->im->cx, n_diag);
        any = true;
        c->first = im_seq_stacked(n, v, elem);
        c->type = c->outer = im_type_of(n, c->first);
        if (c->first == SC_POISON)
            return false;
    }
    return any;
}

/* A body that does not stand on the extents of the first turn may stand on any. */
static ScGraph *build_free(Body *b, uint32_t n_diag)
{
    bool free = false;
    ScGraph *g = build_settled(b);
    for (uint32_t i = 0; !g && i < b->n_carried; i++) {
        const Carried *c = &b->carried[i];
        for (uint32_t d = 0; c->first != SC_ABSENT && d < c->type->rank; d++)
            if (!is_own(c, d) && !is_declared(b, i, d)) {
                make_own(b, i, d);
                free = true;
            }
    }
    if (g || !free)
        return g;
    sc_forget_diags(b->n->im->cx, n_diag);
    return build_settled(b);
}

static ScGraph *build_body(Body *b)
{
    ScCtx *cx = b->n->im->cx;
    uint32_t n_diag = sc_n_diags(cx);
    b->carried = sc_array(sc_ctx_arena(cx), Carried, b->n_carried + 1);
    for (uint32_t i = 0; i < b->n_carried; i++)
        if (!begin_carried(b, i))
            return NULL;
    for (;;) {
        ScGraph *g = build_free(b, n_diag);
        if (g || !stack_read(b, n_diag))
            return g;
        for (uint32_t i = 0; i < b->n_carried; i++)
            b->carried[i].type = b->carried[i].outer;
    }
}

/* --- Loop ------------------------------------------------------------------------------------ */

bool im_loop_begin(const ImNode *n, const Onnxpb__Graph *body, uint32_t n_carried, ImLoop *ret)
{
    *ret = (ImLoop){.body = body, .n_carried = n_carried};
    im_captures(n, 1, &body, &ret->captures);
    Body b = {.n = n,
              .pb = body,
              .captures = &ret->captures,
              .n_carried = n_carried,
              .counts_only = !im_has(n, 1)};
    ret->g = build_body(&b);
    if (!ret->g) {
        im_captures_free(&ret->captures);
        return false;
    }
    ret->carried = b.carried;
    const ScTerm *const *on = ret->g->value[ret->g->out[0]].content;
    ret->on = on ? on[0] : NULL;
    return true;
}

void im_loop_drop(ImLoop *l)
{
    sc_graph_free(l->g);
    im_captures_free(&l->captures);
}

/* All parts that turns appended behind what the sequence began with. part: [turns, n_new, ...]. */
static ScVal grown(const ImNode *n, const Carried *c, ScVal first, ScVal part)
{
    ScCtx *cx = n->im->cx;
    const ScType *t = im_type_of(n, part);
    const ScTerm *dim[SCRT_MAX_RANK];
    if (t->kind != SC_TYPE_TENSOR)
        return SC_POISON;
    im_dims(t, dim);
    dim[1] = sc_term_mul(cx, dim[0], sc_term(cx, c->n_new));
    part = im_reshape(n, part, t->rank - 1, dim + 1);
    const ImSeq s = im_seq(n, first);
    if (s.kind == IM_LIST && !s.n)
        return im_seq_stack(n->im, part);
    tell_element(n, &s, c->growth.elem);
    const ScVal all[] = {im_seq_stacked(n, first, NULL), part};
    return im_seq_stack(n->im, im_concat(n, 0, 2, all));
}

/* The results of a Loop from those of the node of row `loop`, n_live of which are carried. */
static void loop_results(const ImNode *n, const ImLoop *l, uint32_t n_live, const ScVal *out,
                         ScVal *ret_out)
{
    const ScVal *part = out + n_live + (l->body->n_output - 1 - l->n_carried);
    for (uint32_t i = 0, live = 0; i < n->n_out; i++) {
        const Carried *c = i < l->n_carried ? &l->carried[i] : NULL;
        if (!c)
            ret_out[i] = out[n_live + i - l->n_carried];
        else if (c->first != SC_ABSENT)
            ret_out[i] = c->seq ? im_seq_stack(n->im, out[live++]) : out[live++];
        else
            ret_out[i] = c->n_new ? grown(n, c, im_in(n, 2 + i), *part++) : im_in(n, 2 + i);
    }
}

bool im_loop_end(const ImNode *n, ImLoop *l, ScVal *ret_out)
{
    ScArena *a = sc_ctx_arena(n->im->cx);
    ScBuild *b = &n->im->b;
    const uint32_t n_out = l->g->n_out - 1;
    ScVal *in = sc_array(a, ScVal, 2 + l->n_carried + l->captures.n);
    ScVal *out = sc_array(a, ScVal, n_out + 1);
    in[0] = im_has(n, 0) ? im_one(n, im_in(n, 0)) : im_number(n, sc_term(n->im->cx, INT64_MAX));
    in[1] = im_has(n, 1) ? im_one(n, im_in(n, 1)) : sc_const_scalar(b, SCRT_BOOL, 1);
    uint32_t n_in = 2;
    for (uint32_t i = 0; i < l->n_carried; i++)
        if (l->carried[i].first != SC_ABSENT)
            in[n_in++] = l->carried[i].first;
    const uint32_t n_live = n_in - 2;
    n_in += im_capture_operands(&l->captures, in + n_in);
    im_captures_free(&l->captures);
    if (!im_control(n, &sc_op_loop, n_live, &l->g, n_in, in, n_out, out))
        return false;
    loop_results(n, l, n_live, out, ret_out);
    return true;
}

/* --- Scan ------------------------------------------------------------------------------------ */

/* What all turns gave, along axis 0, as the form says. */
static bool formed(const ImNode *n, ScVal x, const ImScanForm *f, ScVal *ret)
{
    const ScType *t = im_type_of(n, x);
    uint32_t axis;
    if (!im_axis(n, f->given, t->rank, &axis))
        return false;
    if (f->reversed) {
        ScVal last = im_number(n, sc_term_addc(n->im->cx, t->dim[0], -1));
        x = im_gather(n, x, 0, sc_op(&n->im->b, sub, last, im_iota(n, t->dim[0], 0)));
    }
    *ret = im_moved(n, x, 0, axis);
    return true;
}

bool im_scan_loop(const ImNode *n, const Onnxpb__Graph *body, uint32_t n_carried,
                  const ScTerm *length, const ImScanForm *in_form, const ImScanForm *out_form,
                  ScVal *ret_out)
{
    ScArena *a = sc_ctx_arena(n->im->cx);
    ImCaptures captures;
    im_captures(n, 1, &body, &captures);
    Body b = {.n = n,
              .pb = body,
              .captures = &captures,
              .n_carried = n_carried,
              .n_scanned = n->n_in - n_carried,
              .scanned = in_form,
              .length = length};
    ScGraph *g = build_body(&b);
    ScVal *in = sc_array(a, ScVal, 2 + n->n_in + captures.n);
    ScVal *out = sc_array(a, ScVal, body->n_output + 1);
    uint32_t n_in = 2 + n->n_in;
    n_in += im_capture_operands(&captures, in + n_in);
    im_captures_free(&captures);
    if (!g)
        return false;
    in[0] = im_number(n, length);
    in[1] = sc_const_scalar(&n->im->b, SCRT_BOOL, 1);
    memcpy(in + 2, n->in, n->n_in * sizeof *in);
    bool ok = im_control(n, &sc_op_loop, n_carried, &g, n_in, in, (uint32_t)body->n_output, out);
    for (uint32_t i = 0; ok && i < n->n_out; i++) {
        ret_out[i] = out[i];
        ok = i < n_carried || formed(n, out[i], &out_form[i - n_carried], &ret_out[i]);
    }
    return ok;
}
