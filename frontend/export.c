/* SPDX-License-Identifier: Apache-2.0 */
/* ONNX out: a graph becomes a ModelProto of ai.onnx's operators alone. Names of inputs, outputs and
 * nodes stay; each node is written by the row's spelling (export_rows.c). The model imports the
 * oldest operator set that has what was needed. */
#include "frontend/export_priv.h"

#include <stdlib.h>
#include <string.h>

#define ALIGNMENT   4096 /* of tensors in a file of their own: whole pages can be mapped */
#define LEAST_APART 1024 /* bytes of a tensor that is worth a place there */

/* The first file format that has an operator set. */
static int format_of(int opset)
{
    static const struct {
        int opset, format;
    } newest[] = {{20, 9}, {22, 10}, {23, 11}, {24, 12}, {27, 13}};
    for (size_t i = 0; i < sizeof newest / sizeof *newest; i++)
        if (opset <= newest[i].opset)
            return newest[i].format;
    return IM_MAX_IR;
}

/* --- Graphs ----------------------------------------------------------------------------------- */

static void write_node(Export *x, const ScGraph *g, uint32_t i)
{
    const ScNode *n = &g->node[i];
    const ExRole *r = &x->at->role[i];
    x->loc = n->loc;
    if (n->op->flags & (SC_BARRIER | SC_CONST_OP) || r->kind == EX_SKIPPED)
        return;
    if (r->kind == EX_ITSELF)
        ex_row(x, n);
    else
        ex_role(x, n, r);
}

/* Outputs, and behind them what states become. */
static uint32_t n_results(const ScGraph *g)
{
    return g->n_out + g->n_state;
}

static ScVal graph_result(const ScGraph *g, uint32_t i)
{
    return i < g->n_out ? g->out[i] : g->state[i - g->n_out].next;
}

/* The first output of a value that a node makes is its name; other outputs are copies. */
static void reserve_outputs(Export *x, const ScGraph *g, const char *const *name)
{
    for (uint32_t i = 0; i < n_results(g); i++) {
        ScVal v = graph_result(g, i);
        if (!x->at->name[v] && !(sc_def(g, v)->op->flags & (SC_BARRIER | SC_CONST_OP)))
            x->at->name[v] = name[i];
    }
}

static void write_outputs(Export *x, const ScGraph *g, const char *const *name)
{
    for (uint32_t i = 0; i < n_results(g); i++) {
        ScVal v = graph_result(g, i);
        const char *is = ex_value(x, v), *out = name[i];
        x->loc = sc_def(g, v)->loc;
        if (strcmp(is, out) != 0)
            ex_node(x, "Identity", 1, 1, &is, 1, &out);
        sc_buf_push(x->at->output, x->at->n_output, x->at->cap_output,
                    ex_info(x, out, sc_type_of(g, v)));
    }
}

static void begin(Export *x, ExScope *s, const ScGraph *g)
{
    *s = (ExScope){.outer = x->at, .g = g, .name = sc_array(x->a, const char *, g->n_value)};
    s->role = ex_roles(x, g);
    for (ScVal v = SC_FIRST; v < g->n_value; v++)
        if (!(sc_def(g, v)->op->flags & SC_CONST_OP)) /* which may be written in another type */
            ex_need(x, sc_type_of(g, v)->dtype);
    x->at = s;
}

/* Nodes and outputs, when the inputs have names; the scope ends. */
static Onnxpb__Graph *finish(Export *x, const char *const *out_name)
{
    ExScope *s = x->at;
    const ScGraph *g = s->g;
    Onnxpb__Graph *pb = sc_memdup(x->a, &(Onnxpb__Graph)ONNXPB__GRAPH__INIT, sizeof *pb);
    reserve_outputs(x, g, out_name);
    for (uint32_t i = 0; i < g->n_node; i++)
        write_node(x, g, i);
    write_outputs(x, g, out_name);
    pb->name = sc_strdup(x->a, g->name && *g->name ? g->name : "graph");
    pb->n_node = s->n_node;
    pb->node = sc_memdup(x->a, s->node, s->n_node * sizeof *s->node);
    pb->n_input = s->n_input;
    pb->input = sc_memdup(x->a, s->input, s->n_input * sizeof *s->input);
    pb->n_output = s->n_output;
    pb->output = sc_memdup(x->a, s->output, s->n_output * sizeof *s->output);
    sc_buf_free(s->node);
    sc_buf_free(s->input);
    sc_buf_free(s->output);
    sc_buf_free(s->symbol);
    sc_buf_free(s->number);
    x->at = s->outer;
    return pb;
}

static void input(Export *x, ScVal v, const char *name)
{
    const ScType *t = sc_type_of(x->at->g, v);
    x->at->name[v] = name;
    sc_buf_push(x->at->input, x->at->n_input, x->at->cap_input, ex_info(x, name, t));
    ex_symbols_of(x, t, name);
}

/* --- Nested graphs ---------------------------------------------------------------------------- */

/* Inputs of graph g that are read from around it: their operands' names. */
static void captures(Export *x, const ScNode *n, const ScGraph *g, uint32_t first, ExScope *s)
{
    uint32_t operand = n->op->enter.operand, into = n->op->enter.input;
    for (uint32_t i = first; i + operand < n->n_in; i++)
        s->name[g->in[into + i]] = ex_value(x, n->in[operand + i]);
}

/* Names for the outputs of a nested graph, which no other graph has. */
static const char *const *fresh_outputs(Export *x, const ScGraph *g)
{
    const char **name = sc_array(x->a, const char *, g->n_out + 1u);
    for (uint32_t i = 0; i < g->n_out; i++)
        name[i] = ex_fresh(x, g->out_name[i] ? g->out_name[i] : "out");
    return name;
}

/* Results, and the symbols that their extents bind. */
static void results(Export *x, const ScNode *n, const char **out)
{
    for (uint32_t i = 0; i < n->n_out; i++) {
        out[i] = ex_result(x, n->first + i);
        ex_symbols_of(x, sc_type_of(x->at->g, n->first + i), out[i]);
    }
}

void ex_if(Export *x, const ScNode *n)
{
    static const char *const branch[] = {"then_branch", "else_branch"};
    const char *condition = ex_value(x, n->in[0]);
    const char **out = sc_array(x->a, const char *, n->n_out + 1u);
    Onnxpb__Graph *pb[2];
    for (uint32_t k = 0; k < 2; k++) {
        ExScope s, *around = x->at;
        begin(x, &s, n->sub[k]);
        x->at = around;
        captures(x, n, n->sub[k], 0, &s);
        x->at = &s;
        pb[k] = finish(x, fresh_outputs(x, n->sub[k]));
    }
    x->loc = n->loc;
    results(x, n, out);
    Onnxpb__Node *to = ex_node(x, "If", 19, 1, &condition, n->n_out, out);
    for (uint32_t k = 0; k < 2; k++)
        ex_graph(x, to, branch[k], pb[k]);
}

void ex_loop(Export *x, const ScNode *n)
{
    enum { TRIPS, CONDITION, HEAD };
    const ScGraph *g = n->sub[0];
    uint32_t carried = sc_carried(n);
    const char **in = sc_array(x->a, const char *, HEAD + carried + 1u);
    const char **out = sc_array(x->a, const char *, n->n_out + 1u);
    ExScope s, *around = x->at;
    for (uint32_t i = 0; i < HEAD + carried; i++)
        in[i] = ex_value(x, n->in[i]);
    begin(x, &s, g);
    x->at = around;
    captures(x, n, g, carried, &s);
    x->at = &s;
    input(x, g->in[0], ex_fresh(x, "turn"));
    sc_buf_push(s.input, s.n_input, s.cap_input,
                ex_info(x, ex_fresh(x, "go_on"), sc_type(x->cx, SCRT_BOOL, 0, NULL)));
    for (uint32_t i = 0; i < carried; i++) {
        const char *name = g->value[g->in[1 + i]].name;
        input(x, g->in[1 + i], ex_fresh(x, name ? name : "carried"));
    }
    Onnxpb__Graph *pb = finish(x, fresh_outputs(x, g));
    x->loc = n->loc;
    results(x, n, out);
    Onnxpb__Node *to = ex_node(x, "Loop", 19, HEAD + carried, in, n->n_out, out);
    ex_graph(x, to, "body", pb);
}

/* --- The model -------------------------------------------------------------------------------- */

/* What cannot be said, all at once. */
static bool check(ScCtx *cx, const ScGraph *g)
{
    bool ok = true;
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *n = &g->node[i];
        if (!ex_says(g, n))
            ok = sc_fail(cx, n->loc, SC_E_EXPORT, "%s", n->op->name);
        for (uint32_t k = 0; k < n->op->n_sub; k++)
            ok = check(cx, n->sub[k]) && ok;
    }
    return ok;
}

bool sc_export_says(void *arg, const ScGraph *g, const ScNode *n)
{
    (void)arg;
    return ex_says(g, n) || !n->op->expand;
}

static void add_entry(Export *x, Onnxpb__Tensor *t, const char *key, const char *value)
{
    Onnxpb__Entry *e = sc_memdup(x->a, &(Onnxpb__Entry)ONNXPB__ENTRY__INIT, sizeof *e);
    e->key = sc_strdup(x->a, key);
    e->value = sc_strdup(x->a, value);
    t->external_data[t->n_external_data++] = e;
}

/* Moves large initializers out of the message: the bytes behind each other, as ret->data. */
static bool move_data(Export *x, ScExported *ret)
{
    size_t all = 0, at = 0;
    for (uint32_t i = 0; i < x->n_tensor; i++)
        all += x->tensor[i]->raw_data.len + ALIGNMENT;
    ret->data = malloc(all);
    if (!ret->data)
        return sc_fail(x->cx, NULL, SC_E_LIMIT, "%zu bytes of constants", all);
    for (uint32_t i = 0; i < x->n_tensor; i++) {
        Onnxpb__Tensor *t = x->tensor[i];
        size_t n = t->raw_data.len, start = (at + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        if (n < LEAST_APART)
            continue;
        memset((char *)ret->data + at, 0, start - at);
        memcpy((char *)ret->data + start, t->raw_data.data, n);
        t->external_data = sc_array(x->a, Onnxpb__Entry *, 3);
        add_entry(x, t, "location", x->opt->data_name);
        add_entry(x, t, "offset", sc_printf(x->a, "%zu", start));
        add_entry(x, t, "length", sc_printf(x->a, "%zu", n));
        t->has_raw_data = false;
        t->has_data_location = true;
        t->data_location = 1;
        at = start + n;
    }
    ret->n_data = at;
    return true;
}

static bool pack(Export *x, Onnxpb__Graph *g, ScExported *ret)
{
    Onnxpb__Model m = ONNXPB__MODEL__INIT;
    Onnxpb__OperatorSetId set = ONNXPB__OPERATOR_SET_ID__INIT, ml = set, *sets[] = {&set, &ml};
    size_t bytes = 0;
    for (uint32_t i = 0; i < x->n_tensor; i++)
        bytes += x->tensor[i]->raw_data.len;
    if (bytes > x->opt->data_limit && !move_data(x, ret))
        return false;
    g->n_initializer = x->n_tensor;
    g->initializer = x->tensor;
    set.domain = (char[]){""};
    set.has_version = true;
    set.version = x->opset;
    ml.domain = (char[]){"ai.onnx.ml"};
    ml.has_version = true;
    ml.version = x->opset_ml;
    m.has_ir_version = true;
    m.ir_version = format_of(x->opset);
    m.producer_name = (char[]){"scalec"};
    m.graph = g;
    m.n_opset_import = x->opset_ml ? 2 : 1;
    m.opset_import = sets;
    ret->n_model = onnxpb__model__get_packed_size(&m);
    ret->model = malloc(ret->n_model);
    if (!ret->model)
        return sc_fail(x->cx, NULL, SC_E_LIMIT, "%zu bytes of a model", ret->n_model);
    onnxpb__model__pack(&m, ret->model);
    return true;
}

/* ONNX has no states: one is an input that begins as its initializer, and an output NAME.next,
 * which the next run is to be given. */
static void state(Export *x, const ScState *s)
{
    const ScType *t = sc_state_first(x->cx, s, sc_type_of(x->at->g, s->past));
    const char *name = ex_fresh(x, s->name);
    if (t)
        ex_default(x, name, s->init, t);
    else
        sc_fail(x->cx, NULL, SC_E_EXPORT, "state \"%s\": extents that only a run knows", s->name);
    input(x, s->past, name);
}

static Onnxpb__Graph *write_graph(Export *x, const ScGraph *g)
{
    ExScope s;
    const char **out = sc_array(x->a, const char *, n_results(g) + 1u);
    begin(x, &s, g);
    for (uint32_t i = 0; i < g->n_in; i++) {
        const char *name = g->value[g->in[i]].name;
        input(x, g->in[i], ex_fresh(x, name ? name : "input"));
    }
    for (uint32_t i = 0; i < g->n_state; i++)
        state(x, &g->state[i]);
    for (uint32_t i = 0; i < g->n_out; i++)
        out[i] = ex_fresh(x, g->out_name[i] ? g->out_name[i] : "output");
    for (uint32_t i = 0; i < g->n_state; i++)
        out[g->n_out + i] = ex_fresh(x, sc_printf(x->a, "%s.next", g->state[i].name));
    return finish(x, out);
}

bool sc_export(ScCtx *cx, const ScGraph *g, const ScExportOptions *opt, ScExported *ret)
{
    uint32_t errors = sc_n_errors(cx);
    *ret = (ScExported){0};
    if (!check(cx, g))
        return false;
    Export x = {.cx = cx, .a = sc_arena_new(), .opt = opt, .opset = EX_OPSET_BASE};
    Onnxpb__Graph *pb = write_graph(&x, g);
    bool ok = sc_n_errors(cx) == errors && pack(&x, pb, ret);
    im_names_free(&x.taken);
    sc_buf_free(x.tensor);
    sc_buf_free(x.constant);
    sc_arena_free(x.a);
    if (!ok)
        sc_exported_free(ret);
    return ok;
}

void sc_exported_free(ScExported *e)
{
    free(e->model);
    free(e->data);
    *e = (ScExported){0};
}
