/* SPDX-License-Identifier: Apache-2.0 */
/* Operands that import must know and that inference does not follow: what depends on nothing but
 * constants and known extents is computed by the evaluator, now. Exporters compute shapes, scales
 * and bounds in floats and bools, too. */
#include "frontend/frontend_priv.h"

#include <string.h>

#define MAX_NODES 512                /* that one operand may depend on */
#define MAX_COUNT 4096               /* elements of each value on the way */
#define MAX_WHOLE (INT64_C(1) << 32) /* of a constant that is to be computed, whatever its size */

typedef struct Known {
    const ImNode *n;
    ScBuild b;                            /* a graph of its own */
    int64_t most;                         /* elements of a value on the way */
    ScVal from[MAX_NODES], to[MAX_NODES]; /* values of the import and their images */
    uint32_t n_value;
} Known;

static bool small(const ScType *t, int64_t most)
{
    int64_t dim[SCRT_MAX_RANK], count = 1;
    if (t->kind != SC_TYPE_TENSOR || !sc_type_const_dims(t, dim))
        return false;
    for (uint32_t d = 0; d < t->rank; d++)
        if (dim[d] > most || (count *= dim[d]) > most)
            return false;
    return true;
}

/* The constant that an integer value is whose elements are all known numbers; poison if one is not.
 */
static ScVal from_content(Known *k, const ScValue *v)
{
    int64_t dim[SCRT_MAX_RANK], count = 1, x;
    ScCtx *cx = k->b.cx;
    size_t bytes;
    if (!v->content || !sc_type_const_dims(v->type, dim))
        return SC_POISON;
    for (uint32_t d = 0; d < v->type->rank; d++)
        count *= dim[d];
    if (!scrt_bytes(v->type->dtype, (size_t)count, &bytes))
        return SC_POISON;
    void *data = sc_alloc(sc_ctx_arena(cx), bytes);
    for (int64_t i = 0; i < count; i++) {
        if (!sc_term_const(v->content[i], &x))
            return SC_POISON;
        scrt_store_int(v->type->dtype, data, (size_t)i, x);
    }
    return sc_const(&k->b, sc_blob(cx, NULL, v->type->dtype, v->type->rank, dim, data),
                    v->type->dtype, NULL);
}

static ScVal copy(Known *k, ScVal v, uint32_t depth);

/* The node that defines v with its operands; poison where it depends on what is not known. */
static ScVal copy_node(Known *k, const ScNode *n, ScVal v, uint32_t depth)
{
    ScVal in[SC_MAX_IN], out[SC_MAX_OUT];
    if (n->n_in > SC_MAX_IN || n->n_out > SC_MAX_OUT || n->op->n_sub ||
        (n->op->flags & (SC_FRESH | SC_BARRIER)) || !sc_attrs_known(n))
        return SC_POISON;
    for (uint32_t i = 0; i < n->n_in; i++) {
        in[i] = n->in[i] == SC_ABSENT ? SC_ABSENT : copy(k, n->in[i], depth + 1);
        if (in[i] == SC_POISON)
            return SC_POISON;
    }
    k->b.at = n->loc;
    return sc_node(&k->b, n->op, n->attr, NULL, n->n_in, in, n->n_out, out) ? out[v - n->first]
                                                                            : SC_POISON;
}

static ScVal copy(Known *k, ScVal v, uint32_t depth)
{
    const ScBuild *b = &k->n->im->b;
    const ScValue *value = sc_built(b, v);
    for (uint32_t i = 0; i < k->n_value; i++)
        if (k->from[i] == v)
            return k->to[i];
    if (k->n_value == MAX_NODES || depth == MAX_NODES || !small(value->type, k->most))
        return SC_POISON;
    const ScNode *n = sc_built_def(b, v);
    ScVal image = from_content(k, value);
    if (image == SC_POISON && (n->op->flags & SC_CONST_OP)) {
        const ScBlob *blob = sc_attr(n, 0)->blob;
        int64_t dim[SCRT_MAX_RANK];
        if (blob->data && sc_type_const_dims(value->type, dim))
            image = sc_const_shaped(&k->b, blob, value->type->dtype, value->type->rank, dim, NULL);
    } else if (image == SC_POISON) {
        image = copy_node(k, n, v, depth);
    }
    if (k->n_value == MAX_NODES)
        return SC_POISON;
    k->from[k->n_value] = v;
    k->to[k->n_value++] = image;
    return image;
}

static bool compute(const ImNode *n, ScVal v, int64_t most, ScrtTensor *ret)
{
    Known *k = sc_alloc(sc_ctx_arena(n->im->cx), sizeof *k);
    *k = (Known){.n = n, .most = most};
    sc_build_init(&k->b, n->im->cx, "known", NULL);
    ScVal image = v < SC_FIRST ? SC_POISON : copy(k, v, 0);
    if (image == SC_POISON) {
        sc_build_drop(&k->b);
        return false;
    }
    sc_output(&k->b, "y", image);
    ScGraph *g = sc_build_end(&k->b);
    bool ok = g && sc_eval(g, NULL, ret, NULL);
    sc_graph_free(g);
    return ok;
}

bool im_known(const ImNode *n, ScVal v, ScrtTensor *ret)
{
    return compute(n, v, MAX_COUNT, ret);
}

ScVal im_folded(const ImNode *n, ScVal v)
{
    ScCtx *cx = n->im->cx;
    ScrtTensor t = {0};
    ScVal ret = v;
    if (compute(n, v, MAX_WHOLE, &t)) {
        const ScBlob *blob = sc_blob_rounded(cx, sc_blob_of(cx, NULL, &t));
        ret = sc_const(&n->im->b, blob, blob->dtype, NULL);
    }
    scrt_free(t.data);
    return ret;
}

bool im_known_int(const ImNode *n, ScVal v, int64_t *ret)
{
    ScrtTensor t = {0};
    bool ok = im_known(n, v, &t) && scrt_count(&t) == 1;
    if (ok)
        *ret = scrt_load_int((ScrtDtype)t.dtype, t.data, 0);
    scrt_free(t.data);
    return ok;
}

bool im_known1(const ImNode *n, uint32_t i, double *ret)
{
    ScrtTensor t = {0};
    bool ok = im_known(n, im_in(n, i), &t);
    if (ok && scrt_count(&t) != 1)
        ok = sc_fail(n->im->cx, n->loc, SC_E_SHAPE, "operand %u must have one element", i);
    else if (ok)
        *ret = scrt_load((ScrtDtype)t.dtype, t.data, 0);
    else
        ok = im_unknown(n, i);
    scrt_free(t.data);
    return ok;
}
