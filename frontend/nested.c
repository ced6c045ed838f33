/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs that stay nested in a node. What they read from around them is looked up before they are
 * built: a constant, or what is computed from constants, is a constant inside; anything else is an
 * operand of the node and an input of the graph, and what is known of its elements comes along. */
#include "frontend/sequence.h"

/* --- Captures -------------------------------------------------------------------------------- */

typedef struct Seek {
    const ImNode *n;
    ImNames seen;
    ImCaptures *c;
} Seek;

/* The blob of what is a constant, or is computed from constants and small. */
static const ScBlob *constant_blob(const ImNode *n, ScVal v)
{
    const ScBuild *b = &n->im->b;
    const ScNode *def = sc_built_def(b, v);
    ScrtTensor t = {0};
    if (def->op->flags & SC_CONST_OP)
        return sc_attr(def, 0)->blob;
    if ((def->op->flags & SC_BARRIER) || !im_known(n, v, &t))
        return NULL;
    const ScBlob *blob = sc_blob_computed(n->im->cx, &t);
    scrt_free(t.data);
    return blob;
}

static void capture(Seek *s, const char *name, ScVal v)
{
    struct ImCapture x = {.name = name, .v = v};
    if (v >= SC_FIRST && !im_is_seq(v)) {
        const ScValue *value = sc_built(&s->n->im->b, v);
        x.blob = constant_blob(s->n, v);
        x.type = value->type;
        x.content = value->content;
    }
    sc_buf_push(s->c->p, s->c->n, s->c->cap, x);
}

static void see(Seek *s, const char *name)
{
    ScVal v;
    if (!im_names_get(s->n->im->names, name, &v) || !im_names_define(&s->seen, name, 0))
        return;
    if (im_is_seq(v)) {
        ImSeq seq = im_seq(s->n, v);
        if (seq.kind == IM_PIECES && seq.each->kind != SC_T_CONST) /* a symbol stays around */
            seq = im_seq(s->n, v = im_seq_stack(s->n->im, im_seq_stacked(s->n, v, NULL)));
        capture(s, name, v);
        for (uint32_t i = 0; i < seq.n; i++)
            capture(s, NULL, seq.elem[i]);
        if (seq.kind == IM_STACK || seq.kind == IM_PIECES)
            capture(s, NULL, seq.stack);
    } else {
        capture(s, name, v);
    }
}

static void see_name(void *arg, const char *spelled)
{
    Seek *s = arg;
    if (*spelled)
        see(s, sc_intern(s->n->im->cx, spelled));
}

void im_captures(const ImNode *n, uint32_t n_graph, const Onnxpb__Graph *const *g, ImCaptures *ret)
{
    Seek s = {.n = n, .c = ret};
    *ret = (ImCaptures){0};
    for (uint32_t i = 0; i < n_graph; i++) {
        im_each_free(n->im->cx, g[i], see_name, &s);
        if (im_draws(g[i]) && im_run(n->im) != SC_POISON)
            see(&s, im_run_name(n->im->cx));
    }
    im_names_free(&s.seen);
}

void im_captures_free(ImCaptures *c)
{
    sc_buf_free(c->p);
}

static bool is_operand(const struct ImCapture *x)
{
    return x->v >= SC_FIRST && !im_is_seq(x->v) && !x->blob;
}

uint32_t im_capture_operands(const ImCaptures *c, ScVal *in)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->n; i++)
        if (is_operand(&c->p[i]))
            in[n++] = c->p[i].v;
    return n;
}

/* --- Building -------------------------------------------------------------------------------- */

void im_nested_begin(const ImNode *n, ImNested *x, const char *name)
{
    Import *im = n->im;
    *x = (ImNested){.around = im->b, .names = im->names};
    sc_build_init(&im->b, im->cx, name, im->file);
    sc_build_one_type(&im->b);
    im->b.at = n->loc;
    im->names = &x->scope;
    im->depth++;
    im->n_bound = 0; /* what was bound around is not in this graph */
}

static ScVal entered(const ImNode *n, const struct ImCapture *p)
{
    ScBuild *b = &n->im->b;
    int64_t dims[SCRT_MAX_RANK];
    ScVal v = p->v; /* absent or poison */
    if (is_operand(p)) {
        v = sc_input(b, p->name && *p->name ? p->name : NULL, p->type, NULL);
        sc_set_content(b, v, p->content);
    } else if (p->blob) {
        sc_type_const_dims(p->type, dims);
        v = sc_const_shaped(b, p->blob, p->type->dtype, p->type->rank, dims, NULL);
        sc_set_name(b, v, p->name);
    }
    return v;
}

/* The sequence p, whose elements follow it; *i: the last of them. */
static ScVal entered_sequence(const ImNode *n, const ImCaptures *c, uint32_t *i)
{
    const ImSeq s = im_seq(n, c->p[*i].v);
    if (s.kind == IM_STACK)
        return im_seq_stack(n->im, entered(n, &c->p[++*i]));
    if (s.kind == IM_PIECES)
        return im_seq_pieces(n->im, entered(n, &c->p[++*i]), s.axis, s.each);
    ScVal *elem = sc_array(sc_ctx_arena(n->im->cx), ScVal, s.n + 1u);
    for (uint32_t k = 0; k < s.n; k++)
        elem[k] = entered(n, &c->p[++*i]);
    return s.kind == IM_LIST ? im_seq_list(n->im, s.n, elem) : im_seq_grows(n->im, s.of, s.n, elem);
}

bool im_nested_captures(const ImNode *n, ImNested *x, const ImCaptures *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        const char *name = c->p[i].name;
        ScVal v = im_is_seq(c->p[i].v) ? entered_sequence(n, c, &i) : entered(n, &c->p[i]);
        if (v == SC_POISON || !im_names_define(&x->scope, name, v))
            return false;
    }
    return true;
}

ScGraph *im_nested_end(const ImNode *n, ImNested *x, bool ok)
{
    Import *im = n->im;
    ScGraph *g = NULL;
    if (ok)
        g = sc_build_end(&im->b);
    else
        sc_build_drop(&im->b);
    im->b = x->around;
    im->names = x->names;
    im->depth--;
    im->n_bound = 0;
    im_names_free(&x->scope);
    return g;
}

/* The number of turns where extents tell it: known here, and not by who sees the operand alone. */
static ScAttr told_turns(const ScBuild *b, const ScGraph *body, const ScVal *in)
{
    const ScTerm *const *trips = sc_built(b, in[0])->content, *const *goes =
                                                                  sc_built(b, in[1])->content;
    const ScTerm *const *on = body->value[body->out[0]].content;
    bool endless = goes && sc_term_is(goes[0], 1) && on && sc_term_is(on[0], 1);
    if (!endless || !trips || trips[0]->kind == SC_T_CONST)
        return (ScAttr){.kind = SC_A_NONE};
    const ScTerm **turns = sc_array(sc_ctx_arena(b->cx), const ScTerm *, 1);
    *turns = sc_term_max(b->cx, trips[0], sc_term(b->cx, 0));
    return SC_TERMS(1, turns);
}

bool im_control(const ImNode *n, const ScOp *op, int64_t carried, ScGraph *const *sub,
                uint32_t n_in, const ScVal *in, uint32_t n_out, ScVal *ret_out)
{
    Import *im = n->im;
    ScAttr attr[SC_MAX_ATTR] = {{.kind = SC_A_NONE}};
    bool *unnamed, any = false;
    uint32_t n_extent;
    im->b.at = n->loc;
    if (!sc_control_unnamed(&im->b, op, carried, sub, n_in, in, n_out, &unnamed, &n_extent)) {
        for (uint32_t i = 0; i < op->n_sub; i++)
            sc_graph_free(sub[i]);
        return false;
    }
    const ScTerm **as = sc_array(sc_ctx_arena(im->cx), const ScTerm *, n_extent + 1);
    for (uint32_t i = 0; i < n_extent; i++) {
        any = any || unnamed[i];
        as[i] = unnamed[i] ? im_fresh_symbol(im, im_node_name(n->pb), i) : sc_term(im->cx, 0);
    }
    if (any)
        attr[0] = SC_TERMS(n_extent, as);
    if (op->control == SC_TURNS) {
        attr[1] = SC_INT(carried);
        attr[2] = told_turns(&im->b, sub[0], in);
    }
    return sc_node(&im->b, op, attr, sub, n_in, in, n_out, ret_out);
}
