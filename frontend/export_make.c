/* SPDX-License-Identifier: Apache-2.0 */
/* The words that ONNX is written with: names, nodes, attributes, initializers. */
#include "frontend/export_priv.h"

#include "runtime/handles.h"

#include <math.h>
#include <string.h>

enum {
    TYPE_FLOAT = 1,
    TYPE_INT = 2,
    TYPE_STRING = 3,
    TYPE_TENSOR = 4,
    TYPE_GRAPH = 5,
    TYPE_INTS = 7
};

/* A copy of a message that init fills, in the arena. */
#define EX_NEW(x, T, INIT) ((T *)sc_memdup((x)->a, &(T)INIT, sizeof(T)))

/* protobuf-c's strings are not const, but it changes none. */
static char *text(const char *s)
{
    return (char *)(uintptr_t)s;
}

/* --- Names ------------------------------------------------------------------------------------ */

const char *ex_fresh(Export *x, const char *base)
{
    const char *name = sc_intern(x->cx, base);
    for (uint32_t i = 1; !im_names_define(&x->taken, name, 0); i++)
        name = sc_intern(x->cx, sc_printf(x->a, "%s_%u", base, i));
    return name;
}

/* The ONNX node that this one is, or came from with others: that one's name and the operator's. */
static const char *node_name(Export *x, const char *type)
{
    const ScLoc *loc = x->loc;
    for (uint32_t i = 0; loc && i < loc->n; i++)
        if (loc->origin[i].name && loc->origin[i].op && !strcmp(loc->origin[i].op, type))
            return ex_fresh(x, loc->origin[i].name);
    if (!loc || !loc->n || !loc->origin[0].name)
        return ex_fresh(x, type);
    return ex_fresh(x, sc_printf(x->a, "%s/%s", loc->origin[0].name, type));
}

const char *ex_value(Export *x, ScVal v)
{
    const ScGraph *g = x->at->g;
    if (v < SC_FIRST)
        return "";
    if (!x->at->name[v]) { /* a constant, at its first use */
        const ScNode *def = sc_def(g, v);
        const char *name = ex_constant(x, g->value[v].name, def->attr[0].blob, sc_type_of(g, v));
        x->at->name[v] = name ? name : "";
    }
    return x->at->name[v];
}

const char *ex_result(Export *x, ScVal v)
{
    const char **name = &x->at->name[v], *base = x->at->g->value[v].name;
    if (!*name)
        *name = ex_fresh(x, base ? base : sc_printf(x->a, "v%u", v));
    return *name;
}

void ex_alias(Export *x, ScVal v, const char *name)
{
    const char *wanted = x->at->name[v];
    if (!wanted) {
        x->at->name[v] = name;
        return;
    }
    ex_node(x, "Identity", 1, 1, &name, 1, &wanted); /* an output's name */
}

/* --- Nodes ------------------------------------------------------------------------------------ */

Onnxpb__Node *ex_node(Export *x, const char *type, int since, uint32_t n_in, const char *const *in,
                      uint32_t n_out, const char **io_out)
{
    Onnxpb__Node *n = EX_NEW(x, Onnxpb__Node, ONNXPB__NODE__INIT);
    n->name = text(node_name(x, type));
    n->op_type = text(type);
    while (n_in > 0 && !*in[n_in - 1])
        n_in--;
    n->n_input = n_in;
    n->input = sc_memdup(x->a, in, n_in * sizeof *in);
    for (uint32_t i = 0; i < n_out; i++)
        if (!io_out[i])
            io_out[i] = ex_fresh(x, sc_printf(x->a, "%s_%s", n->name, i ? "1" : "out"));
    n->n_output = n_out;
    n->output = sc_memdup(x->a, io_out, n_out * sizeof *io_out);
    x->opset = since > x->opset ? since : x->opset;
    sc_buf_push(x->at->node, x->at->n_node, x->at->cap_node, n);
    return n;
}

Onnxpb__Node *ex_node_ml(Export *x, const char *type, int since, const char *in, const char *out)
{
    Onnxpb__Node *n = ex_node(x, type, EX_OPSET_BASE, 1, &in, 1, &out);
    n->domain = text("ai.onnx.ml");
    x->opset_ml = since > x->opset_ml ? since : x->opset_ml;
    return n;
}

const char *ex_operand(Export *x, const ScNode *n, uint32_t i)
{
    return i < n->n_in ? ex_value(x, n->in[i]) : "";
}

Onnxpb__Node *ex_same(Export *x, const char *type, int since, uint32_t n_in, const char *const *in,
                      const ScNode *n)
{
    const char *out = ex_result(x, n->first);
    return ex_node(x, type, since, n_in, in, 1, &out);
}

const char *ex_op(Export *x, const char *type, int since, const char *a, const char *b)
{
    const char *in[] = {a, b ? b : ""}, *out = NULL;
    ex_node(x, type, since, 2, in, 1, &out);
    return out;
}

const char *ex_cast(Export *x, const char *value, ScrtDtype to)
{
    const char *out = NULL;
    ex_int(x, ex_node(x, "Cast", 6, 1, &value, 1, &out), "to", to);
    return out;
}

/* --- Tensors ---------------------------------------------------------------------------------- */

void ex_need(Export *x, ScrtDtype t)
{
    static const struct {
        ScrtDtype type;
        int since;
    } newer[] = {{SCRT_I4, 21}, {SCRT_U4, 21}, {SCRT_F4E2M1, 23}, {SCRT_F8E8M0, EX_OPSET_E8M0},
                 {SCRT_I2, 25}, {SCRT_U2, 25}, {SCRT_F6E2M3, 28}, {SCRT_F6E3M2, 28}};
    for (size_t i = 0; i < sizeof newer / sizeof *newer; i++)
        if (newer[i].type == t && newer[i].since > x->opset)
            x->opset = newer[i].since;
}

static Onnxpb__Tensor *tensor(Export *x, const char *name, ScrtDtype t, uint32_t rank,
                              const int64_t *dims, const void *data, size_t bytes)
{
    Onnxpb__Tensor *p = EX_NEW(x, Onnxpb__Tensor, ONNXPB__TENSOR__INIT);
    p->name = text(name);
    p->has_data_type = true;
    p->data_type = t;
    p->n_dims = rank;
    p->dims = sc_memdup(x->a, dims, rank * sizeof *dims);
    if (t == SCRT_STRING) {
        const ScrtTensor strings = {.dtype = t, .data = (void *)(uintptr_t)data};
        p->n_string_data = bytes / sizeof(ScrtString *);
        p->string_data = sc_array(x->a, ProtobufCBinaryData, p->n_string_data + 1);
        for (size_t i = 0; i < p->n_string_data; i++) {
            ScrtChars c = scrt_chars(NULL, &strings, (int64_t)i);
            p->string_data[i] = (ProtobufCBinaryData){c.n, (uint8_t *)(uintptr_t)c.at};
        }
    } else {
        p->has_raw_data = true;
        p->raw_data.len = bytes;
        p->raw_data.data = (uint8_t *)(uintptr_t)data;
    }
    ex_need(x, t);
    return p;
}

/* --- Attributes ------------------------------------------------------------------------------- */

static Onnxpb__Attribute *attribute(Export *x, Onnxpb__Node *n, const char *name, int type)
{
    Onnxpb__Attribute *a = EX_NEW(x, Onnxpb__Attribute, ONNXPB__ATTRIBUTE__INIT);
    Onnxpb__Attribute **all = sc_array(x->a, Onnxpb__Attribute *, n->n_attribute + 1);
    if (n->n_attribute)
        memcpy(all, n->attribute, n->n_attribute * sizeof *all);
    all[n->n_attribute++] = a;
    n->attribute = all;
    a->name = text(name);
    a->has_type = true;
    a->type = type;
    return a;
}

void ex_int(Export *x, Onnxpb__Node *n, const char *name, int64_t v)
{
    Onnxpb__Attribute *a = attribute(x, n, name, TYPE_INT);
    a->has_i = true;
    a->i = v;
}

void ex_ints(Export *x, Onnxpb__Node *n, const char *name, uint32_t count, const int64_t *v)
{
    Onnxpb__Attribute *a = attribute(x, n, name, TYPE_INTS);
    a->n_ints = count;
    a->ints = sc_memdup(x->a, v, count * sizeof *v);
}

void ex_float(Export *x, Onnxpb__Node *n, const char *name, double v)
{
    Onnxpb__Attribute *a = attribute(x, n, name, TYPE_FLOAT);
    a->has_f = true;
    a->f = (float)v;
}

void ex_chars(Export *x, Onnxpb__Node *n, const char *name, ScrtChars v)
{
    Onnxpb__Attribute *a = attribute(x, n, name, TYPE_STRING);
    a->has_s = true;
    a->s.len = v.n;
    a->s.data = (uint8_t *)text(v.at);
}

void ex_string(Export *x, Onnxpb__Node *n, const char *name, const char *v)
{
    ex_chars(x, n, name, (ScrtChars){v, strlen(v)});
}

void ex_graph(Export *x, Onnxpb__Node *n, const char *name, Onnxpb__Graph *g)
{
    attribute(x, n, name, TYPE_GRAPH)->g = g;
}

void ex_tensor(Export *x, Onnxpb__Node *n, const char *name, const ScrtTensor *t)
{
    size_t bytes = 0;
    scrt_tensor_bytes(t, &bytes);
    attribute(x, n, name, TYPE_TENSOR)->t =
        tensor(x, name, (ScrtDtype)t->dtype, t->rank, t->dims, t->data, bytes);
}

/* --- Initializers ----------------------------------------------------------------------------- */

const char *ex_constant(Export *x, const char *name, const ScBlob *b, const ScType *t)
{
    int64_t dims[SCRT_MAX_RANK];
    size_t bytes;
    if (t->rank == 0 && t->dtype == SCRT_F32 && b->data &&
        isfinite(scrt_load(b->dtype, b->data, 0)))
        b = sc_blob_scalar(x->cx, SCRT_F32, scrt_load(b->dtype, b->data, 0)); /* equal ones once */
    for (uint32_t i = 0; i < x->n_constant; i++)
        if (x->constant[i].blob == b && x->constant[i].type == t)
            return x->constant[i].name;
    if (!b->data || !sc_type_const_dims(t, dims) || !scrt_bytes(t->dtype, b->count, &bytes)) {
        sc_fail(x->cx, x->loc, SC_E_BLOB, "%s", b->name ? b->name : "");
        return NULL;
    }
    const void *data = b->data;
    if (b->dtype != t->dtype) {
        void *converted = sc_alloc(x->a, bytes);
        sc_blob_store(b, t->dtype, 0, converted);
        data = converted;
    }
    ExConst c = {b, t, ex_fresh(x, name ? name : b->name ? b->name : "constant")};
    sc_buf_push(x->tensor, x->n_tensor, x->cap_tensor,
                tensor(x, c.name, t->dtype, t->rank, dims, data, bytes));
    sc_buf_push(x->constant, x->n_constant, x->cap_constant, c);
    return c.name;
}

void ex_default(Export *x, const char *name, const ScBlob *b, const ScType *t)
{
    ScrtTensor y = {.dtype = t->dtype, .rank = t->rank};
    size_t bytes;
    if (!sc_type_const_dims(t, y.dims) || !scrt_tensor_bytes(&y, &bytes) || (b && !b->data)) {
        sc_fail(x->cx, NULL, SC_E_EXPORT, "the initial value of \"%s\"", name);
        return;
    }
    void *data = sc_alloc(x->a, bytes + 1);
    if (b)
        sc_blob_store(b, t->dtype, 0, data);
    sc_buf_push(x->tensor, x->n_tensor, x->cap_tensor,
                tensor(x, name, t->dtype, t->rank, y.dims, data, bytes));
}

const char *ex_i64(Export *x, uint32_t rank, uint32_t count, const int64_t *v)
{
    const int64_t dim = count;
    const ScBlob *b = sc_blob(x->cx, NULL, SCRT_I64, rank, &dim,
                              sc_memdup(sc_ctx_arena(x->cx), v, count * sizeof *v));
    return ex_constant(x, NULL, b, sc_type_c(x->cx, SCRT_I64, rank, &dim));
}

const char *ex_scalar(Export *x, ScrtDtype t, double v)
{
    return ex_constant(x, NULL, sc_blob_scalar(x->cx, t, v), sc_type(x->cx, t, 0, NULL));
}

/* --- Inputs and outputs ----------------------------------------------------------------------- */

Onnxpb__ValueInfo *ex_info(Export *x, const char *name, const ScType *t)
{
    Onnxpb__ValueInfo *v = EX_NEW(x, Onnxpb__ValueInfo, ONNXPB__VALUE_INFO__INIT);
    Onnxpb__Shape *shape = EX_NEW(x, Onnxpb__Shape, ONNXPB__SHAPE__INIT);
    v->name = text(name);
    v->type = EX_NEW(x, Onnxpb__Type, ONNXPB__TYPE__INIT);
    v->type->tensor_type = EX_NEW(x, Onnxpb__TensorType, ONNXPB__TENSOR_TYPE__INIT);
    v->type->tensor_type->has_elem_type = true;
    v->type->tensor_type->elem_type = (int32_t)t->dtype;
    v->type->tensor_type->shape = shape;
    shape->n_dim = t->rank;
    shape->dim = sc_array(x->a, Onnxpb__Dim *, t->rank + 1u);
    for (uint32_t i = 0; i < t->rank; i++) {
        Onnxpb__Dim *d = shape->dim[i] = EX_NEW(x, Onnxpb__Dim, ONNXPB__DIM__INIT);
        ScStr s = {0};
        d->has_dim_value = sc_term_const(t->dim[i], &d->dim_value);
        if (t->dim[i]->kind == SC_T_SYM)
            sc_str_add(&s, t->dim[i]->sym);
        else if (!d->has_dim_value)
            sc_term_print(t->dim[i], &s);
        if (!d->has_dim_value)
            d->dim_param = sc_str_keep(&s, x->a);
    }
    return v;
}
