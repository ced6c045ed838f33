/* SPDX-License-Identifier: Apache-2.0 */
/* An If that a run decides: both branches stay nested, in a node of row `if`. Where they give a
 * sequence of as many elements each element is a result, else the elements are stacked: the number
 * of them is an extent. */
#include "frontend/control_priv.h"
#include "frontend/sequence.h"

/* One result of the If. */
typedef struct Joint {
    enum { TENSOR, LIST, STACK, NOTHING } kind;
    uint32_t n;         /* of a list: elements */
    ImGrowth *of;       /* behind what a loop carries so far; else NULL */
    const ScType *elem; /* of a stack, where one branch has an element */
} Joint;

bool im_undecided_rank(const ImNode *n, const ScTerm *by)
{
    return im_undecided(n, "the rank of a result follows from a condition that is not known", by);
}

/* --- What the branches give ------------------------------------------------------------------ */

static Joint joint_of(const ImNode *n, ScVal v)
{
    Joint j = {.kind = v == SC_ABSENT ? NOTHING : TENSOR};
    if (!im_is_seq(v))
        return j;
    const ImSeq s = im_seq(n, v);
    bool counted = s.kind == IM_LIST || s.kind == IM_GROWS;
    j = (Joint){.kind = counted ? LIST : STACK, .n = s.n, .of = s.of};
    if (counted && s.n)
        j.elem = im_type_of(n, s.elem[0]);
    return j;
}

/* What serves both. */
static bool join(const ImNode *n, const ScTerm *by, const Joint *other, Joint *j)
{
    if (j->kind == NOTHING || other->kind == NOTHING ||
        (j->kind == TENSOR) != (other->kind == TENSOR))
        return j->kind == other->kind ||
               im_undecided(n,
                            "a condition that is not known decides what a result is: a tensor, a "
                            "sequence or an optional without an element",
                            by);
    bool lists = j->kind == LIST && other->kind == LIST && j->n == other->n && j->of == other->of;
    if (j->kind == TENSOR || lists)
        return true;
    j->kind = STACK;
    j->elem = j->elem ? j->elem : other->elem;
    return true;
}

/* --- Building -------------------------------------------------------------------------------- */

static void output(const ImNode *n, const char *name, ScVal v, const Joint *as)
{
    ScBuild *b = &n->im->b;
    if (as->kind == TENSOR)
        sc_output(b, name, v);
    else if (as->kind == STACK)
        sc_output(b, name, im_seq_stacked(n, v, as->elem));
    for (uint32_t i = 0; as->kind == LIST && i < as->n; i++)
        sc_output(b, name, im_seq(n, v).elem[i]);
}

/* as: [n->n_out] what the results are; NULL: they are tensors, or *ret_found says what they are and
 * there is no graph. */
static ScGraph *build_branch(const ImNode *n, const Onnxpb__Graph *g, const ImCaptures *c,
                             const Joint *as, Joint *ret_found, bool *ret_tensors)
{
    ImNested x;
    im_nested_begin(n, &x, g->name);
    ScVal *out = sc_array(sc_ctx_arena(n->im->cx), ScVal, n->n_out + 1);
    bool ok = im_nested_captures(n, &x, c) && im_body(n, g, NULL, n->n_out, out);
    for (uint32_t i = 0; ok && i < n->n_out; i++) {
        ret_found[i] = joint_of(n, out[i]);
        *ret_tensors = *ret_tensors && ret_found[i].kind == TENSOR;
    }
    for (uint32_t i = 0; ok && i < n->n_out && (as || *ret_tensors); i++)
        output(n, g->output[i]->name, out[i], as ? &as[i] : &ret_found[i]);
    return im_nested_end(n, &x, ok);
}

static void drop(ScGraph *const *sub)
{
    sc_graph_free(sub[0]);
    sc_graph_free(sub[1]);
}

/* Both branches; as: [n->n_out] what their results are. */
static bool build(const ImNode *n, const Onnxpb__Graph *const branch[2], const ImCaptures *c,
                  const ScTerm *by, Joint *as, ScGraph **sub)
{
    Joint *other = sc_array(sc_ctx_arena(n->im->cx), Joint, n->n_out + 1);
    bool tensors = true;
    sub[1] = NULL;
    sub[0] = build_branch(n, branch[0], c, NULL, as, &tensors);
    if (sub[0])
        sub[1] = build_branch(n, branch[1], c, NULL, other, &tensors);
    if (!sub[1] || tensors)
        return sub[1] != NULL;
    drop(sub);
    sub[0] = sub[1] = NULL;
    for (uint32_t i = 0; i < n->n_out; i++)
        if (!join(n, by, &other[i], &as[i]))
            return false;
    for (uint32_t k = 0; k < 2 && (!k || sub[0]); k++)
        sub[k] = build_branch(n, branch[k], c, as, other, &tensors);
    return sub[1] != NULL;
}

static bool unlike_ranks(const ScGraph *a, const ScGraph *b)
{
    bool unlike = false;
    for (uint32_t i = 0; i < a->n_out; i++)
        unlike = unlike || sc_type_of(a, a->out[i])->rank != sc_type_of(b, b->out[i])->rank;
    return unlike;
}

/* Result i, from those of the node of row `if`; *at counts them. */
static ScVal result(const ImNode *n, const Joint *j, const ScVal *out, uint32_t *at)
{
    const ScVal *first = out + *at;
    *at += j->kind == LIST ? j->n : j->kind != NOTHING;
    if (j->kind == STACK)
        return im_seq_stack(n->im, *first);
    if (j->kind == LIST)
        return j->of ? im_seq_grows(n->im, j->of, j->n, first) : im_seq_list(n->im, j->n, first);
    return j->kind == TENSOR ? *first : SC_ABSENT;
}

bool im_both_branches(const ImNode *n, const Onnxpb__Graph *const branch[2], const ScTerm *by,
                      ScVal *ret_out)
{
    ScArena *a = sc_ctx_arena(n->im->cx);
    ImCaptures c;
    im_captures(n, 2, branch, &c);
    ScVal *in = sc_array(a, ScVal, c.n + 1);
    Joint *as = sc_array(a, Joint, n->n_out + 1);
    ScGraph *sub[2];
    uint32_t n_in = 1 + im_capture_operands(&c, in + 1), at = 0;
    bool ok = build(n, branch, &c, by, as, sub);
    im_captures_free(&c);
    if (!ok || unlike_ranks(sub[0], sub[1])) {
        drop(sub);
        return ok && im_undecided_rank(n, by);
    }
    in[0] = im_one(n, im_in(n, 0));
    const uint32_t n_out = sub[0]->n_out;
    ScVal *out = sc_array(a, ScVal, n_out + 1);
    if (!n_out)
        drop(sub);
    else if (!im_control(n, &sc_op_if, 0, sub, n_in, in, n_out, out))
        return false;
    for (uint32_t i = 0; i < n->n_out; i++)
        ret_out[i] = result(n, &as[i], out, &at);
    return true;
}
