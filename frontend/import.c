/* SPDX-License-Identifier: Apache-2.0 */
/* The walk over a ModelProto: versions, initializers, nodes; inputs and outputs are in ports.c.
 * What a node becomes is said by an adapter (adapt.c) or, where ONNX and the row agree, by the row
 * itself. */
#include "frontend/sequence.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Names ------------------------------------------------------------------------------------ */

bool im_define(Import *im, const ScLoc *loc, const char *name, ScVal v)
{
    const char *s = sc_intern(im->cx, name);
    if (!im_names_define(im->names, s, v))
        return sc_fail(im->cx, loc, SC_E_NAME, "\"%s\" is defined twice", s);
    if (!im_is_seq(v))
        sc_set_name(&im->b, v, s);
    return true;
}

/* --- Opsets, node locations ------------------------------------------------------------------- */

const char *im_domain(const char *domain)
{
    return !domain || !strcmp(domain, "ai.onnx") ? "" : domain;
}

/* The version of a domain that the model imports; 0 where it does not import ai.onnx. ONNX Runtime
 * runs a model that uses com.microsoft without importing it, and its optimiser makes such: the
 * first version is meant. What came after the newest version known here is read as that one:
 * check_versions warns. */
static int opset_of(const Onnxpb__Model *m, const char *domain)
{
    for (size_t i = 0; i < m->n_opset_import; i++) {
        int64_t v = m->opset_import[i]->version;
        if (!strcmp(im_domain(m->opset_import[i]->domain), domain))
            return *domain || v < IM_MAX_OPSET ? (int)v : IM_MAX_OPSET;
    }
    return *domain ? 1 : 0;
}

/* Of a node: its function's, where it comes from one. */
int im_opset(const Onnxpb__Model *m, const Onnxpb__Node *n)
{
    const char *domain = im_domain(n->domain);
    if (!n->has_opset)
        return opset_of(m, domain);
    int64_t top = *domain ? INT16_MAX : IM_MAX_OPSET;
    return n->opset < 0 ? 0 : (int)(n->opset < top ? n->opset : top);
}

/* An operator set in a range that can be, and a warning where it is newer than what is known. */
static bool check_opset(Import *im, const Onnxpb__OperatorSetId *o)
{
    const char *domain = im_domain(o->domain);
    if (o->version < 1 || o->version > INT16_MAX)
        return sc_fail(im->cx, NULL, SC_E_OPSET, "version %lld of \"%s\"; known are 1 to %d",
                       (long long)o->version, im_text(o->domain), IM_MAX_OPSET);
    if (!*domain && o->version > IM_MAX_OPSET)
        sc_warn(im->cx, NULL, SC_E_NEWER, "version %lld of ai.onnx is read as %d",
                (long long)o->version, IM_MAX_OPSET);
    return true;
}

static bool check_versions(Import *im)
{
    const Onnxpb__Model *m = im->model;
    if (!m->graph)
        return sc_fail(im->cx, NULL, SC_E_ONNX, "it has no graph");
    if (!m->has_ir_version || m->ir_version < 1 || m->ir_version > INT16_MAX)
        return sc_fail(im->cx, NULL, SC_E_OPSET, "file format %lld; this version reads 1 to %d",
                       (long long)m->ir_version, IM_MAX_IR);
    if (m->ir_version > IM_MAX_IR)
        sc_warn(im->cx, NULL, SC_E_NEWER, "file format %lld is read as %d",
                (long long)m->ir_version, IM_MAX_IR);
    if (m->n_opset_import > IM_MAX_DOMAINS)
        return sc_fail(im->cx, NULL, SC_E_LIMIT, "%zu operator sets, at most %u", m->n_opset_import,
                       IM_MAX_DOMAINS);
    if (m->graph->n_output > IM_MAX_PORTS)
        return sc_fail(im->cx, NULL, SC_E_LIMIT, "%zu outputs, at most %u", m->graph->n_output,
                       IM_MAX_PORTS);
    for (size_t i = 0; i < m->n_opset_import; i++)
        if (!check_opset(im, m->opset_import[i]))
            return false;
    if (m->graph->n_node > IM_MAX_NODES)
        return sc_fail(im->cx, NULL, SC_E_LIMIT, "%zu nodes, at most %u", m->graph->n_node,
                       IM_MAX_NODES);
    return true;
}

const char *im_node_name(const Onnxpb__Node *n)
{
    return n->name && *n->name ? n->name : n->n_output ? im_text(n->output[0]) : "";
}

const char *im_node_op(const Onnxpb__Node *n)
{
    return im_text(n->op_type);
}

static const ScLoc *node_loc(Import *im, const Onnxpb__Node *n, size_t index)
{
    ScOrigin o = {.name = sc_intern(im->cx, im_node_name(n)),
                  .op = sc_intern(im->cx, im_text(n->op_type)),
                  .index = (int32_t)index};
    return sc_loc(im->cx, im->file, 0, SC_FORWARD, 1, &o);
}

/* --- Initializers --------------------------------------------------------------------------- */

/* An initializer is a constant, or a state's first value. */
static bool import_initializers(Import *im, const Onnxpb__Graph *g)
{
    bool top = g == im->model->graph;
    for (size_t i = 0; i < g->n_initializer; i++) {
        const Onnxpb__Tensor *t = g->initializer[i];
        const char *name = sc_intern(im->cx, im_text(t->name));
        const ScBlob *blob = im_own_tensor(im, NULL, name, t);
        ScVal v = blob && top ? im_past(im, name, blob) : SC_ABSENT;
        if (!blob || v == SC_POISON)
            return false;
        if (v == SC_ABSENT)
            v = sc_const(&im->b, blob, blob->dtype, NULL);
        if (!im_define(im, NULL, name, v))
            return false;
    }
    for (size_t i = 0; i < g->n_sparse_initializer; i++) {
        const char *name = sc_intern(im->cx, im_sparse_name(g->sparse_initializer[i]));
        const ScBlob *blob = im_sparse(im, NULL, name, g->sparse_initializer[i]);
        if (!blob || !im_define(im, NULL, name, sc_const(&im->b, blob, blob->dtype, NULL)))
            return false;
    }
    return true;
}

/* --- Nodes ------------------------------------------------------------------------------------ */

/* An ONNX attribute as the row's schema wants it. */
static bool convert_attr(const ImNode *n, const ScAttrDef *def, ScAttr *ret)
{
    bool ok = true;
    uint32_t len;
    const int64_t *is;
    if (!im_attr(n, def->name)) {
        if (def->required)
            return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" is missing", def->name);
        *ret = def->def;
        return true;
    }
    switch (def->kind) {
    case SC_A_INT:
        *ret = SC_INT(im_int(n, def->name, 0, &ok));
        return ok;
    case SC_A_FLOAT:
        *ret = SC_FLOAT(im_float(n, def->name, 0, &ok));
        return ok;
    case SC_A_STR:
        *ret = SC_STR(im_str(n, def->name, "", &ok));
        return ok;
    case SC_A_DTYPE:
        *ret = SC_DT((ScrtDtype)im_int(n, def->name, 0, &ok));
        if (ok && scrt_dtype_bits(ret->dtype) == 0)
            return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" is no element type: %d",
                           def->name, ret->dtype);
        return ok;
    case SC_A_INTS:
        is = im_ints(n, def->name, &len, &ok);
        *ret = SC_INTS(len, is);
        return ok;
    case SC_A_TERMS:
        is = im_ints(n, def->name, &len, &ok);
        if (ok) {
            const ScTerm **ts = sc_array(sc_ctx_arena(n->im->cx), const ScTerm *, len);
            for (uint32_t i = 0; i < len; i++)
                ts[i] = sc_term(n->im->cx, is[i]);
            *ret = SC_TERMS(len, ts);
        }
        return ok;
    default:
        return sc_fail(n->im->cx, n->loc, SC_E_ATTRIBUTE, "\"%s\" cannot be imported", def->name);
    }
}

bool im_row(const ImNode *n, const ScOp *op, ScVal *ret_out)
{
    ScAttr attr[SC_MAX_ATTR] = {0};
    const char *known[SC_MAX_ATTR + 1] = {0};
    for (uint32_t i = 0; i < op->n_attr; i++) {
        known[i] = op->attr[i].name;
        if (!convert_attr(n, &op->attr[i], &attr[i]))
            return false;
    }
    return im_only_attrs(n, known) &&
           sc_node(&n->im->b, op, attr, NULL, n->n_in, n->in, n->n_out, ret_out);
}

/* The operands' values; trailing empty names are no operands. */
static bool operands(Import *im, const Onnxpb__Node *pb, const ScLoc *loc, ScVal *in,
                     uint32_t *ret_n)
{
    size_t n = pb->n_input;
    while (n > 0 && !*pb->input[n - 1])
        n--;
    for (size_t i = 0; i < n; i++) {
        const char *name = sc_intern(im->cx, pb->input[i]);
        if (!*name)
            in[i] = SC_ABSENT;
        else if (!im_names_get(im->names, name, &in[i]))
            return sc_fail(im->cx, loc, SC_E_NAME, "operand %zu, \"%s\"", i, name);
    }
    *ret_n = (uint32_t)n;
    return true;
}

/* Which operands may be sequences, as ImAdapter.seqs says. */
static bool takes(const ImNode *n, uint32_t seqs)
{
    for (uint32_t i = 0; i < n->n_in; i++)
        if (im_is_seq(n->in[i]) && !(seqs >> (i < 31 ? i : 31) & 1))
            return sc_fail(n->im->cx, n->loc, SC_E_TYPE, "operand %u, \"%s\", is a sequence", i,
                           n->pb->input[i]);
    return true;
}

/* The advice of im_advise after a row's own SC_E_DYNAMIC: what a row must know are shapes and axes,
 * so only operands that are no floats are asked about. */
static void advise_of_row(const ImNode *n)
{
    const ScDiag *d = sc_diag(n->im->cx, sc_n_diags(n->im->cx) - 1);
    if (d->id != SC_E_DYNAMIC || d->loc != n->loc || !d->n_row || d->n_note)
        return;
    for (uint32_t i = 0; i < n->n_in; i++)
        if (!sc_type_is_float(im_type(n, i)))
            im_advise(n, i);
}

static bool import_node(Import *im, const Onnxpb__Node *pb, size_t index)
{
    const char *domain = im_domain(pb->domain), *type = im_text(pb->op_type);
    ImNode n = {
        .im = im, .pb = pb, .loc = node_loc(im, pb, index), .opset = im_opset(im->model, pb)};
    const ImAdapter *adapter = im_adapter(domain, type, n.opset);
    const ScOp *row = sc_op_onnx(im->cx, domain, type, n.opset);
    uint32_t n_out = (uint32_t)pb->n_output, max_out = adapter ? adapter->max_out : SC_MAX_OUT;
    while (n_out > 1 && !im_wanted(&n, n_out - 1))
        n_out--;
    if (pb->n_input > UINT16_MAX || pb->n_output == 0 || pb->n_output > IM_MAX_PORTS)
        return sc_fail(im->cx, n.loc, SC_E_ARITY, "%zu operands and %zu results", pb->n_input,
                       pb->n_output);
    if (n_out > max_out)
        return sc_fail(im->cx, n.loc, SC_E_UNSUPPORTED, "%s with its result %u, \"%s\"", type,
                       n_out - 1, pb->output[n_out - 1]);

    ScVal *in = sc_calloc(pb->n_input + n_out, sizeof *in), *out = in + pb->n_input;
    im->b.at = n.loc;
    n.in = in;
    n.n_out = n_out;
    bool ok = operands(im, pb, n.loc, in, &n.n_in) && takes(&n, adapter ? adapter->seqs : 0) &&
              (adapter ? adapter->build(&n, out) : im_row(&n, row, out));
    for (uint32_t i = 0; ok && i < n_out; i++)
        ok = out[i] != SC_POISON &&
             (!*pb->output[i] || im_define(im, n.loc, pb->output[i], im_short_dims(&n, out[i])));
    if (!ok)
        advise_of_row(&n);
    free(in);
    return ok;
}

static bool body_outputs(Import *im, const ScLoc *loc, const Onnxpb__Graph *g, uint32_t n_out,
                         ScVal *ret_out)
{
    for (uint32_t i = 0; i < n_out; i++) {
        const char *name = sc_intern(im->cx, im_text(g->output[i]->name));
        if (!im_names_get(im->names, name, &ret_out[i]))
            return sc_fail(im->cx, loc, SC_E_NAME, "output \"%s\" of a nested graph", name);
    }
    return true;
}

bool im_body(const ImNode *n, const Onnxpb__Graph *g, const ScVal *in, uint32_t n_out,
             ScVal *ret_out)
{
    Import *im = n->im;
    ImNames scope = {.outer = im->names}, *outer = im->names;
    const ScLoc *at = im->b.at;
    /* A body may be walked twice, and what is nested in it twice each time. */
    im->n_nested += (uint32_t)g->n_node + 1;
    uint64_t most = IM_MAX_NESTED + 16 * (uint64_t)g->n_node;
    if (g->n_node > IM_MAX_NODES || im->n_nested > most)
        return sc_fail(im->cx, n->loc, SC_E_LIMIT, "nested graphs of more than %" PRIu64 " nodes",
                       most);
    im->names = &scope;
    bool ok = import_initializers(im, g);
    for (size_t i = 0; ok && i < g->n_input; i++)
        if (!im_names_define(&scope, sc_intern(im->cx, im_text(g->input[i]->name)), in[i]))
            ok = sc_fail(im->cx, n->loc, SC_E_NAME, "\"%s\" is defined twice",
                         im_text(g->input[i]->name));
    const uint32_t *order = ok ? im_order(im, g) : NULL;
    for (size_t i = 0; order && ok && i < g->n_node; i++)
        ok = import_node(im, g->node[order[i]], order[i]);
    ok = ok && order && body_outputs(im, n->loc, g, n_out, ret_out);
    im->names = outer;
    im->b.at = at;
    im_names_free(&scope);
    return ok;
}

static bool import_graph(Import *im)
{
    const Onnxpb__Graph *g = im->model->graph;
    if (!check_versions(im) || !im_check_supported(im))
        return false;
    im_pasts(im);
    if (!import_initializers(im, im->model->graph) || !im_inputs(im))
        return false;
    const uint32_t *order = im_order(im, g);
    for (size_t i = 0; order && i < g->n_node; i++) {
        sc_stage_share(im->cx, i, g->n_node);
        if (!import_node(im, g->node[order[i]], order[i]))
            return false;
    }
    return order && im_outputs(im);
}

ScGraph *sc_import(ScCtx *cx, const char *file, const void *bytes, size_t n,
                   const ScImportOptions *opt)
{
    sc_set_file(cx, file);
    if (!im_scan(cx, bytes, n))
        return NULL;
    Onnxpb__Model *m = im_model_unpack(cx, bytes, n, opt && opt->lasts);
    if (!m)
        return NULL;
    const Onnxpb__Model *whole = im_inline(cx, m);
    if (!whole) {
        im_model_free(m);
        return NULL;
    }
    ImNames names = {0}, infos = {0}, dims = {0}, reads = {0}, pasts = {0};
    Import im = {.cx = cx,
                 .file = sc_intern(cx, file),
                 .opt = opt,
                 .model = whole,
                 .names = &names,
                 .root = &names,
                 .infos = &infos,
                 .dims = &dims,
                 .reads = &reads,
                 .pasts = &pasts};
    sc_build_init(&im.b, cx, m->graph && m->graph->name ? m->graph->name : "graph", im.file);
    sc_build_one_type(&im.b);
    ScGraph *g = NULL;
    if (import_graph(&im))
        g = sc_build_end(&im.b);
    else
        sc_build_drop(&im.b);
    im_names_free(&names);
    im_names_free(&infos);
    im_names_free(&dims);
    im_names_free(&reads);
    im_names_free(&pasts);
    sc_buf_free(im.seq);
    im_model_free(m);
    return g;
}

/* --- Initializers alone ----------------------------------------------------------------------- */

struct ScInitializers {
    uint32_t n, cap;
    const ScBlob **blob;
};

static void add_blob(ScCtx *cx, ScInitializers *s, ScDataDirs dirs, const char *name,
                     const Onnxpb__Tensor *t)
{
    const ScBlob *b = im_tensor(cx, NULL, dirs, sc_intern(cx, im_text(name)), t);
    if (b)
        s->blob[s->n++] = b;
}

ScInitializers *sc_initializers(ScCtx *cx, const char *file, const void *bytes, size_t n,
                                ScDataDirs dirs)
{
    sc_set_file(cx, file);
    Onnxpb__Model *m = im_scan(cx, bytes, n) ? im_model_unpack(cx, bytes, n, false) : NULL;
    if (!m)
        return NULL;
    uint32_t before = sc_n_errors(cx);
    ScInitializers *s = sc_new(sc_ctx_arena(cx), ScInitializers);
    const Onnxpb__Model *whole = im_inline(cx, m);
    const Onnxpb__Graph *g = whole ? whole->graph : NULL;
    if (g) {
        s->blob = sc_array(sc_ctx_arena(cx), const ScBlob *, g->n_initializer + g->n_node);
        for (size_t i = 0; i < g->n_initializer; i++)
            add_blob(cx, s, dirs, g->initializer[i]->name, g->initializer[i]);
        for (size_t i = 0; i < g->n_node; i++) {
            const Onnxpb__Node *k = g->node[i];
            for (size_t a = 0; a < k->n_attribute; a++)
                if (!strcmp(im_text(k->op_type), "Constant") && k->n_output && k->attribute[a]->t) {
                    add_blob(cx, s, dirs, k->output[0], k->attribute[a]->t);
                    break;
                }
        }
    }
    im_model_free(m);
    return sc_n_errors(cx) == before ? s : NULL;
}

const ScBlob *sc_initializers_find(void *self, const char *name)
{
    const ScInitializers *s = self;
    for (uint32_t i = 0; i < s->n; i++)
        if (s->blob[i]->name && !strcmp(s->blob[i]->name, name))
            return s->blob[i];
    return NULL;
}
