/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs and outputs of the model, the names of their dimensions, and what --dim and constants that
 * the caller gives make of them. */
#include "frontend/sequence.h"

#include <string.h>

/* --- Inputs --------------------------------------------------------------------------------- */

static const char *given_name(const Onnxpb__Dim *d)
{
    return (d->has_dim_value && d->dim_value >= 0) || !d->dim_param || !*d->dim_param
               ? NULL
               : d->dim_param;
}

bool im_name_symbol(Import *im, const char *name)
{
    return im_names_define(im->dims, name, 1);
}

/* The tensor that a type is, or is a sequence of, or an optional of either; NULL where it is none.
 */
static const Onnxpb__TensorType *tensor_of(const Onnxpb__Type *t, bool *ret_seq)
{
    *ret_seq = false;
    if (t && t->optional_type)
        t = t->optional_type->elem_type;
    if (t && t->sequence_type) {
        *ret_seq = true;
        t = t->sequence_type->elem_type;
    }
    return t ? t->tensor_type : NULL;
}

static void collect_dims(Import *im, size_t n, Onnxpb__ValueInfo *const *info)
{
    for (size_t i = 0; i < n; i++) {
        bool seq;
        const Onnxpb__TensorType *t = tensor_of(info[i]->type, &seq);
        for (size_t d = 0; t && t->shape && d < t->shape->n_dim; d++)
            if (given_name(t->shape->dim[d]))
                im_names_define(im->dims, sc_intern(im->cx, given_name(t->shape->dim[d])), 1);
    }
}

/* What the model declares of values: names of dimensions, and where each value is described. */
static void collect_infos(Import *im)
{
    const Onnxpb__Graph *g = im->model->graph;
    collect_dims(im, g->n_input, g->input);
    collect_dims(im, g->n_output, g->output);
    collect_dims(im, g->n_value_info, g->value_info);
    for (size_t i = 0; i < g->n_output + g->n_value_info; i++) {
        const Onnxpb__ValueInfo *v =
            i < g->n_output ? g->output[i] : g->value_info[i - g->n_output];
        im_names_define(im->infos, sc_intern(im->cx, im_text(v->name)), (ScVal)i + 1);
    }
}

int im_rank_of(const Onnxpb__ValueInfo *v)
{
    const Onnxpb__TensorType *t = v->type ? v->type->tensor_type : NULL;
    return t && t->shape && t->shape->n_dim <= SCRT_MAX_RANK ? (int)t->shape->n_dim : -1;
}

int im_declared_rank(const ImNode *n, uint32_t i)
{
    const Onnxpb__Graph *g = n->im->model->graph;
    ScVal at;
    if (!im_names_get(n->im->infos, sc_intern(n->im->cx, n->pb->output[i]), &at))
        return -1;
    return im_rank_of(at <= g->n_output ? g->output[at - 1] : g->value_info[at - 1 - g->n_output]);
}

/* The symbol of a dimension, NULL where it has a size; one without a name gets a symbol of its own,
 * which no dimension is called in the model. */
static const char *dim_symbol(Import *im, const char *input, size_t axis, const Onnxpb__Dim *d)
{
    if (d->has_dim_value)
        return NULL;
    if (given_name(d))
        return sc_intern(im->cx, given_name(d));
    ScStr name = {0};
    ScVal taken;
    sc_str_addf(&name, "%s_%zu", input, axis);
    const char *ret = sc_intern(im->cx, sc_str_get(&name));
    while (im_names_get(im->dims, ret, &taken)) {
        sc_str_add(&name, "_");
        ret = sc_intern(im->cx, sc_str_get(&name));
    }
    sc_str_free(&name);
    return ret;
}

static const ScTerm *dim_term(Import *im, const char *input, size_t axis, const Onnxpb__Dim *d)
{
    const char *name = dim_symbol(im, input, axis, d);
    if (!name)
        return sc_term(im->cx, d->dim_value);
    const ScTerm *t = sc_term_sym(im->cx, name);
    for (uint32_t i = 0; im->opt && i < im->opt->n_dim; i++)
        if (!strcmp(im->opt->dim_name[i], name))
            t = sc_term(im->cx, im->opt->dim_value[i]);
    return t;
}

/* Whether an input has the symbol; where none has, *known lists those that there are. */
static bool has_symbol(Import *im, const char *wanted, ScStr *known)
{
    const Onnxpb__Graph *g = im->model->graph;
    for (size_t i = 0; i < g->n_input; i++) {
        const Onnxpb__ValueInfo *v = g->input[i];
        bool seq;
        const Onnxpb__TensorType *t = tensor_of(v->type, &seq);
        const Onnxpb__Dim length = ONNXPB__DIM__INIT;
        for (size_t d = 0; t && t->shape && d < t->shape->n_dim + seq; d++) {
            const Onnxpb__Dim *dim = !seq ? t->shape->dim[d] : d ? t->shape->dim[d - 1] : &length;
            const char *name = dim_symbol(im, im_text(v->name), d, dim);
            if (name && !strcmp(name, wanted))
                return true;
            if (name && known->n < 400)
                sc_str_addf(known, "%s\"%s\"", known->n ? ", " : "", name);
        }
    }
    return false;
}

/* A --dim that names no dimension is a slip of the pen that would go unseen. */
static bool check_dims(Import *im)
{
    bool ok = true;
    for (uint32_t i = 0; im->opt && i < im->opt->n_dim; i++) {
        ScStr known = {0};
        if (!has_symbol(im, im->opt->dim_name[i], &known))
            ok = sc_fail(im->cx, NULL, SC_E_INPUT, "no dimension is named \"%s\"; there %s%s",
                         im->opt->dim_name[i], known.n ? "is " : "is none with a name",
                         sc_str_get(&known));
        sc_str_free(&known);
    }
    return ok;
}

/* The type of an input; of a sequence all its elements, along an axis before theirs. */
static const ScType *input_type(Import *im, const Onnxpb__ValueInfo *v, bool *ret_seq)
{
    const Onnxpb__TensorType *t = tensor_of(v->type, ret_seq);
    const Onnxpb__Dim length = ONNXPB__DIM__INIT;
    const size_t before = *ret_seq;
    const ScTerm *dim[SCRT_MAX_RANK];
    if (!t) {
        sc_fail(im->cx, NULL, SC_E_UNSUPPORTED, "input \"%s\" is no tensor", im_text(v->name));
        return sc_type_poison(im->cx);
    }
    if (!t->shape || scrt_dtype_bits((ScrtDtype)t->elem_type) == 0) {
        sc_fail(im->cx, NULL, SC_E_TYPE, "input \"%s\" is not a tensor of known type and rank",
                im_text(v->name));
        return sc_type_poison(im->cx);
    }
    if (t->shape->n_dim + before > SCRT_MAX_RANK) {
        sc_fail(im->cx, NULL, SC_E_LIMIT, "input \"%s\" has %zu dimensions of at most %d",
                im_text(v->name), t->shape->n_dim, SCRT_MAX_RANK);
        return sc_type_poison(im->cx);
    }
    for (size_t i = 0; i < t->shape->n_dim; i++) {
        const Onnxpb__Dim *d = t->shape->dim[i];
        if (d->has_dim_value && d->dim_value < 0) {
            sc_fail(im->cx, NULL, SC_E_SHAPE,
                    "input \"%s\" has the extent %lld; one of no fixed size has a name, or nothing",
                    im_text(v->name), (long long)d->dim_value);
            return sc_type_poison(im->cx);
        }
        dim[before + i] = dim_term(im, im_text(v->name), before + i, d);
    }
    if (before)
        dim[0] = dim_term(im, im_text(v->name), 0, &length);
    return sc_type(im->cx, (ScrtDtype)t->elem_type, (uint32_t)(before + t->shape->n_dim), dim);
}

/* The constant that takes an input's place: its dims must be the input's. SC_POISON after sc_fail;
 * SC_ABSENT where the input is not fixed. */
static ScVal fixed_input(Import *im, const char *name, const ScType *t)
{
    uint32_t i = 0;
    while (im->opt && i < im->opt->n_fix && strcmp(im->opt->fix_name[i], name))
        i++;
    if (!im->opt || i == im->opt->n_fix)
        return SC_ABSENT;
    const ScrtTensor *x = &im->opt->fix[i];
    size_t bytes;
    bool fits =
        x->dtype == (uint32_t)t->dtype && x->rank == t->rank && scrt_tensor_bytes(x, &bytes);
    for (uint32_t k = 0; fits && k < t->rank; k++) {
        int64_t c;
        fits = !sc_term_const(t->dim[k], &c) || c == x->dims[k];
    }
    if (!fits) {
        sc_fail(im->cx, NULL, SC_E_INPUT, "the constant given for \"%s\" has another type or shape",
                name);
        return SC_POISON;
    }
    return sc_const(&im->b, sc_blob_of(im->cx, name, x), t->dtype, NULL);
}

/* --- First values of states ----------------------------------------------------------------- */

void im_pasts(Import *im)
{
    const Onnxpb__Graph *g = im->model->graph;
    for (size_t i = 0; im->opt && im->opt->past_of && i < g->n_output; i++) {
        const char *out = im_text(g->output[i]->name);
        const char *past = im->opt->past_of(im->opt->past_arg, im->cx, out);
        if (past)
            im_names_define(im->pasts, past, 1);
    }
}

/* The type that an input declares, whose extents are those of its first value but for the one that
 * a symbol says; NULL where it declares none, or another. */
static const ScType *declared(Import *im, const char *name, const ScType *first,
                              const char **ret_grows)
{
    const Onnxpb__Graph *g = im->model->graph;
    size_t i = 0;
    bool seq;
    while (i < g->n_input && strcmp(im_text(g->input[i]->name), name))
        i++;
    const ScType *t = i < g->n_input ? input_type(im, g->input[i], &seq) : NULL;
    if (!t || t->kind != SC_TYPE_TENSOR || seq || t->dtype != first->dtype ||
        t->rank != first->rank)
        return NULL;
    for (uint32_t d = 0; d < t->rank; d++) {
        if (t->dim[d] == first->dim[d])
            continue;
        if (*ret_grows || t->dim[d]->kind != SC_T_SYM)
            return NULL;
        *ret_grows = t->dim[d]->sym;
    }
    return t;
}

ScVal im_past(Import *im, const char *name, const ScBlob *blob)
{
    ScVal known;
    const char *grows = NULL;
    if (!im_names_get(im->pasts, name, &known))
        return SC_ABSENT;
    const ScType *first = sc_type_c(im->cx, blob->dtype, blob->rank, blob->dims);
    const ScType *t = declared(im, name, first, &grows);
    ScVal v = sc_state(&im->b, name, t ? t : first, NULL, blob);
    if (v == SC_POISON)
        return v;
    if (t && grows)
        sc_state_grows(&im->b, v, grows, INT64_MAX);
    sc_set_name(&im->b, v, name);
    sc_state_next(&im->b, v, v);
    return v;
}

/* --- Inputs --------------------------------------------------------------------------------- */

bool im_inputs(Import *im)
{
    const Onnxpb__Graph *g = im->model->graph;
    uint32_t n_made = 0;
    collect_infos(im);
    if (!check_dims(im))
        return false;
    for (size_t i = 0; i < g->n_input; i++) {
        const char *name = sc_intern(im->cx, im_text(g->input[i]->name));
        ScVal known;
        if (im_names_get(im->names, name, &known)) {
            const ScNode *def = sc_built_def(&im->b, known);
            if (im_names_get(im->pasts, name, &known))
                continue;
            if (!(def->op->flags & SC_CONST_OP))
                return sc_fail(im->cx, NULL, SC_E_NAME, "input \"%s\" is defined twice", name);
            if (im->model->ir_version >= 4)
                sc_warn(im->cx, NULL, SC_E_DEFAULT, "\"%s\"", name);
            continue;
        }
        if (n_made++ == IM_MAX_PORTS)
            return sc_fail(im->cx, NULL, SC_E_LIMIT, "more than %u inputs", IM_MAX_PORTS);
        bool seq;
        const ScType *t = input_type(im, g->input[i], &seq);
        ScVal v = t->kind == SC_TYPE_POISON ? SC_POISON : fixed_input(im, name, t);
        if (v == SC_ABSENT)
            v = sc_input(&im->b, name, t, NULL);
        if (v == SC_POISON || !im_define(im, NULL, name, seq ? im_seq_stack(im, v) : v))
            return false;
    }
    return true;
}

/* --- What is known of dimensions ------------------------------------------------------------ */

typedef struct Unknown { /* dimensions of the model that an operand depends on */
    Import *im;
    uint32_t n;
    const char *sym[4];
} Unknown;

static void see_unknown(void *arg, const char *sym)
{
    Unknown *u = arg;
    ScStr known = {0};
    for (uint32_t i = 0; i < u->n; i++)
        if (u->sym[i] == sym)
            return;
    if (u->n < 4 && has_symbol(u->im, sym, &known))
        u->sym[u->n++] = sym;
    sc_str_free(&known);
}

typedef struct Outer {
    Import *im;
    bool ok;
} Outer;

static void see_outer(void *arg, const char *sym)
{
    Outer *o = arg;
    ScStr known = {0};
    o->ok = o->ok && has_symbol(o->im, sym, &known);
    sc_str_free(&known);
}

bool im_outlives(const ImNode *n, const ScType *t)
{
    Outer o = {.im = n->im, .ok = t->kind == SC_TYPE_TENSOR};
    for (uint32_t d = 0; o.ok && d < t->rank; d++)
        sc_term_symbols(t->dim[d], see_outer, &o);
    return o.ok;
}

static void see_dims(Unknown *u, const ScType *t)
{
    for (uint32_t k = 0; t->kind == SC_TYPE_TENSOR && k < t->rank; k++)
        sc_term_symbols(t->dim[k], see_unknown, u);
}

static void advise(const Unknown *u, const char *whose)
{
    ScStr names = {0};
    for (uint32_t k = 0; k < u->n; k++)
        sc_str_addf(&names, "%s%s", k ? ", " : "", u->sym[k]);
    if (u->n)
        sc_note(u->im->cx, "sizes of %s that only a run knows: %s; --dim %s=N makes one known",
                whose, sc_str_get(&names), u->sym[0]);
    sc_str_free(&names);
}

void im_advise(const ImNode *n, uint32_t i)
{
    Unknown u = {.im = n->im};
    ScStr whose = {0};
    see_dims(&u, im_type(n, i));
    sc_str_addf(&whose, "operand %u", i);
    advise(&u, sc_str_get(&whose));
    sc_str_free(&whose);
}

/* Up the chain that v was computed by, as far as is likely to help. */
static void see_sources(Unknown *u, ScVal v, uint32_t depth)
{
    const ScBuild *b = &u->im->b;
    const ScNode *def = v >= SC_FIRST ? sc_built_def(b, v) : NULL;
    for (uint32_t i = 0; def && depth < 8 && i < def->n_in; i++) {
        see_dims(u, sc_built(b, def->in[i])->type);
        see_sources(u, def->in[i], depth + 1);
    }
}

bool im_unknown(const ImNode *n, uint32_t i)
{
    Unknown u = {.im = n->im};
    sc_fail(n->im->cx, n->loc, SC_E_DYNAMIC, "operand %u must be constant", i);
    see_sources(&u, im_in(n, i), 0);
    advise(&u, "what it is computed from");
    return false;
}

bool im_number_of(const ImNode *n, const ScTerm *t, const char *what, int64_t *ret)
{
    Unknown u = {.im = n->im};
    if (sc_term_const(t, ret))
        return true;
    ScStr s = {0};
    sc_term_print(t, &s);
    sc_fail(n->im->cx, n->loc, SC_E_DYNAMIC, "%s must be a number; it is %s", what, sc_str_get(&s));
    sc_str_free(&s);
    sc_term_symbols(t, see_unknown, &u);
    for (uint32_t k = 0; k < u.n; k++)
        sc_note(n->im->cx, "--dim %s=N makes %s known", u.sym[k], u.n > 1 ? "a part of it" : "it");
    return false;
}

bool im_undecided(const ImNode *n, const char *what, const ScTerm *by)
{
    Unknown u = {.im = n->im};
    sc_fail(n->im->cx, n->loc, SC_E_DYNAMIC, "%s", what);
    if (by)
        sc_term_symbols(by, see_unknown, &u);
    if (u.n)
        sc_note(n->im->cx, "it depends on the dimension %s: --dim %s=N decides it", u.sym[0],
                u.sym[0]);
    return false;
}

/* --- Outputs -------------------------------------------------------------------------------- */

/* What the file says of an output must not contradict what was inferred. */
static bool check_declared(Import *im, const Onnxpb__ValueInfo *o, const ScType *is)
{
    const Onnxpb__TensorType *t = o->type ? o->type->tensor_type : NULL;
    bool fits = !t || !t->has_elem_type || t->elem_type == 0 || t->elem_type == (int)is->dtype;
    if (is->kind != SC_TYPE_TENSOR || !t)
        return true;
    ScStr said = {0}, found = {0};
    const char *name = scrt_dtype_name((ScrtDtype)t->elem_type);
    sc_str_add(&said, name ? name : "another type");
    if (t->shape) {
        fits = fits && t->shape->n_dim == is->rank;
        for (size_t i = 0; i < t->shape->n_dim && i < SCRT_MAX_RANK; i++) {
            const Onnxpb__Dim *d = t->shape->dim[i];
            int64_t c;
            if (d->has_dim_value && i < is->rank && sc_term_const(is->dim[i], &c))
                fits = fits && d->dim_value == c;
            if (d->has_dim_value)
                sc_str_addf(&said, "%s%lld", i ? "," : "[", (long long)d->dim_value);
            else
                sc_str_addf(&said, "%s%s", i ? "," : "[",
                            *im_text(d->dim_param) ? d->dim_param : "?");
        }
        sc_str_add(&said, t->shape->n_dim ? "]" : "[]");
    }
    sc_type_print(is, &found);
    if (!fits)
        sc_fail(im->cx, NULL, SC_E_DECLARED, "output \"%s\" is declared as %s, but it is %s",
                im_text(o->name), sc_str_get(&said), sc_str_get(&found));
    sc_str_free(&said);
    sc_str_free(&found);
    return fits;
}

/* The name of element i of an output that is a list: no output's. */
static const char *element_name(Import *im, const char *name, uint32_t i)
{
    ScStr s = {0};
    ScVal at;
    sc_str_addf(&s, "%s_%u", name, i);
    while (im_names_get(im->infos, sc_intern(im->cx, sc_str_get(&s)), &at) &&
           at <= im->model->graph->n_output)
        sc_str_add(&s, "_");
    const char *ret = sc_intern(im->cx, sc_str_get(&s));
    sc_str_free(&s);
    return ret;
}

/* A list gives its elements one by one; a sequence whose length only the run knows one tensor. */
static bool output_sequence(Import *im, const char *name, ScVal v)
{
    const ImNode n = {.im = im};
    const ImSeq s = im_seq(&n, v);
    if (s.kind != IM_LIST)
        sc_output(&im->b, name, im_seq_stacked(&n, v, NULL));
    for (uint32_t i = 0; i < s.n; i++)
        sc_output(&im->b, element_name(im, name, i), s.elem[i]);
    return s.kind != IM_LIST || s.n > 0 || im->model->graph->n_output > 1 ||
           sc_fail(im->cx, NULL, SC_E_ONNX, "output \"%s\" is a sequence without elements", name);
}

static bool import_output(Import *im, size_t i)
{
    const Onnxpb__Graph *g = im->model->graph;
    const char *name = sc_intern(im->cx, im_text(g->output[i]->name));
    ScVal v, at;
    if (im_names_get(im->infos, name, &at) && at != i + 1) /* the first place counts */
        return sc_fail(im->cx, NULL, SC_E_NAME, "output \"%s\" is listed twice", name);
    if (!im_names_get(im->names, name, &v))
        return sc_fail(im->cx, NULL, SC_E_NAME, "output \"%s\"", name);
    if (im_is_seq(v))
        return output_sequence(im, name, v);
    if (v == SC_ABSENT)
        return sc_fail(im->cx, NULL, SC_E_UNSUPPORTED,
                       "output \"%s\" is an optional without an element", name);
    if (!check_declared(im, g->output[i], sc_built(&im->b, v)->type))
        return false;
    sc_output(&im->b, name, v);
    return true;
}

bool im_outputs(Import *im)
{
    const Onnxpb__Graph *g = im->model->graph;
    for (size_t i = 0; i < g->n_output; i++)
        if (!import_output(im, i))
            return false;
    return g->n_output > 0 || sc_fail(im->cx, NULL, SC_E_ONNX, "the graph has no outputs");
}
