/* SPDX-License-Identifier: Apache-2.0 */
/* scalec ops and scalec explain: what the op table and the table of diagnostics say of themselves,
 * and which of a model's operators are covered. */
#include "tools/scalec/cli.h"

#include <stdlib.h>
#include <string.h>

/* --- The operators that there are ------------------------------------------------------------- */

static const char *const type_class[] = {
    [SC_IS_ANY] = "any type",     [SC_IS_FLOAT] = "floats",   [SC_IS_INT] = "integers",
    [SC_IS_BOOL] = "bool",        [SC_IS_NUM] = "numbers",    [SC_IS_SHAPE] = "i64",
    [SC_IS_PLAIN] = "no strings", [SC_IS_STRING] = "strings",
};

/* What the first operand may be; a row without operands makes anything. */
static ScOperandClass class_of(ScCtx *cx, const ScOp *op)
{
    const ScSchema *s = op ? sc_schema(cx, op) : NULL;
    return s && s->n_in ? s->in[0].cls : SC_IS_ANY;
}

static bool takes(ScCtx *cx, const ScOp *op, ScrtDtype t)
{
    bool is_float = scrt_dtype_is_float(t), is_bool = t == SCRT_BOOL;
    switch (class_of(cx, op)) {
    case SC_IS_FLOAT:
        return is_float;
    case SC_IS_INT:
        return !is_float && !is_bool && t != SCRT_C64 && t != SCRT_C128;
    case SC_IS_BOOL:
        return is_bool;
    case SC_IS_NUM:
        return !is_bool;
    case SC_IS_SHAPE:
        return t == SCRT_I64;
    default:
        return true;
    }
}

static json_t *op_json(ScCtx *cx, const ScOp *op)
{
    return json_pack(
        "{s:s, s:s, s:s?, s:s?, s:i, s:i, s:s, s:s, s:s?, s:s, s:s, s:b, s:b, s:b, s:b}", "name",
        op->name, "doc", op->doc, "domain", op->onnx.domain, "onnx", op->onnx.type, "since",
        op->onnx.since, "until", op->onnx.until, "in", op->in, "out", op->out, "scale", op->scale,
        "class", sc_class[op->lower.cls].name, "types", type_class[class_of(cx, op)], "internal",
        op->onnx.type == NULL, "expansion", op->expand != NULL, "gradient", op->grad != NULL,
        "quantizable", op->quantizable != 0);
}

static const char *opsets(const ScImported *op, char *buf, size_t room)
{
    if (op->until)
        snprintf(buf, room, "%d-%d", op->since, op->until);
    else
        snprintf(buf, room, "%d+", op->since);
    return buf;
}

/* What ONNX calls an operator, and its meaning here. */
static void print_imported(Cli *cli, ScrtDtype only)
{
    uint32_t n;
    const ScImported *op = sc_imported_ops(cli->cx, &n);
    printf("%-28s %-8s %-9s %-26s %s\n", "operator", "opsets", "types", "scale signature",
           "meaning");
    for (uint32_t i = 0; i < n; i++) {
        char name[96], sets[32];
        if (only && !takes(cli->cx, op[i].row, only))
            continue;
        snprintf(name, sizeof name, "%s%s%s", op[i].domain, *op[i].domain ? "::" : "", op[i].type);
        printf("%-28s %-8s %-9s %-26s %s\n", name, opsets(&op[i], sets, sizeof sets),
               op[i].row ? type_class[class_of(cli->cx, op[i].row)] : "",
               op[i].row && op[i].row->scale ? op[i].row->scale : "",
               op[i].row ? op[i].row->doc : "made of others");
    }
}

static void print_rows(Cli *cli, ScrtDtype only)
{
    uint32_t n;
    const ScOp *const *row = sc_op_rows(cli->cx, &n);
    printf("\n%-28s %-8s %-9s %-26s %s\n", "row", "class", "types", "scale signature", "meaning");
    for (uint32_t i = 0; i < n; i++)
        if (!only || takes(cli->cx, row[i], only))
            printf("%-28s %-8s %-9s %-26s %s\n", row[i]->name, sc_class[row[i]->lower.cls].name,
                   type_class[class_of(cli->cx, row[i])], row[i]->scale ? row[i]->scale : "",
                   row[i]->doc);
}

static json_t *all_json(Cli *cli, ScrtDtype only)
{
    json_t *list = json_array();
    uint32_t n;
    const ScOp *const *row = sc_op_rows(cli->cx, &n);
    for (uint32_t i = 0; i < n; i++)
        if (!only || takes(cli->cx, row[i], only))
            json_array_append_new(list, op_json(cli->cx, row[i]));
    const ScImported *op = sc_imported_ops(cli->cx, &n);
    for (uint32_t i = 0; i < n; i++)
        if ((!op[i].row || !op[i].row->onnx.type) && (!only || takes(cli->cx, op[i].row, only)))
            json_array_append_new(list,
                                  json_pack("{s:s?, s:s, s:s, s:i, s:i, s:b}", "name",
                                            op[i].row ? op[i].row->name : NULL, "domain",
                                            op[i].domain, "onnx", op[i].type, "since", op[i].since,
                                            "until", op[i].until, "internal", 0));
    return list;
}

/* --- The operators of a model ----------------------------------------------------------------- */

typedef struct Cover { /* of one operator of a model */
    uint64_t types;    /* 1 << ScrtDtype of what its nodes take */
    const char *why;   /* it is not imported for another reason than its name */
} Cover;

/* Element types of what nodes take, of nested graphs too. */
static void find_types(const ScGraph *g, const ScModelOp *op, uint32_t n, Cover *ret)
{
    for (uint32_t i = 0; i < g->n_node; i++) {
        const ScNode *k = &g->node[i];
        ScVal v = k->n_in && k->in[0] >= SC_FIRST ? k->in[0] : k->first;
        for (uint32_t j = 0; j < k->loc->n && (k->n_in || k->n_out); j++)
            for (uint32_t m = 0; m < n; m++)
                if (k->loc->origin[j].op && !strcmp(k->loc->origin[j].op, op[m].type))
                    ret[m].types |= 1ull << sc_type_of(g, v)->dtype;
        for (uint32_t j = 0; j < k->op->n_sub; j++)
            find_types(k->sub[j], op, n, ret);
    }
}

/* Whether a run computes values of types that not every kernel takes: complex numbers, strings,
 * elements of less than a byte. */
static bool has_rare_types(const ScGraph *g)
{
    bool rare = false;
    for (ScVal v = SC_FIRST; v < g->n_value && !rare; v++) {
        ScrtDtype t = sc_type_of(g, v)->dtype;
        ScrtKind kind = scrt_dtype_kind(t);
        rare = (kind == SCRT_KIND_COMPLEX || kind == SCRT_KIND_STRING || scrt_dtype_bits(t) < 8) &&
               !(sc_def(g, v)->op->flags & SC_CONST_OP);
    }
    for (uint32_t i = 0; i < g->n_node && !rare; i++)
        for (uint32_t j = 0; j < g->node[i].op->n_sub && !rare; j++)
            rare = has_rare_types(g->node[i].sub[j]);
    return rare;
}

/* Types from the graph, which exists where all was imported; errors where it was not, or where it
 * cannot be compiled: of values of rare types only compiling tells. Takes the model's graph; false
 * after errors. */
static bool find_cover(Cli *cli, ScalecModel *model, const ScModelOp *op, uint32_t n, Cover *ret)
{
    bool ok = model->graph != NULL;
    if (ok)
        find_types(model->graph, op, n, ret);
    if (ok && has_rare_types(model->graph)) {
        ScObject *o = scalec_compile(cli->cx, model, &(ScalecOptions){0}, SC_EMIT_LLVM);
        ok = o != NULL;
        sc_object_free(o);
    }
    sc_graph_free(model->graph);
    for (uint32_t i = 0; !ok && i < sc_n_diags(cli->cx); i++) {
        const ScDiag *d = sc_diag(cli->cx, i);
        for (uint32_t m = 0; m < n && !d->warning && d->loc && d->loc->n; m++)
            if (d->loc->origin[0].op && !strcmp(d->loc->origin[0].op, op[m].type) && !ret[m].why)
                ret[m].why = *d->detail ? d->detail : sc_diag_title(d->id);
    }
    return ok;
}

static void type_names(uint64_t types, ScStr *s)
{
    for (uint32_t t = 0; t < 64; t++)
        if (types >> t & 1)
            sc_str_addf(s, "%s%s", s->n ? " " : "", scrt_dtype_name((ScrtDtype)t));
}

static void print_op(const ScModelOp *op, const Cover *c)
{
    ScStr types = {0}, name = {0};
    type_names(c->types, &types);
    sc_str_addf(&name, "%s%s", op->domain, *op->domain ? "::" : "");
    sc_str_short(&name, op->type, strlen(op->type));
    printf("%-28s %6d %7u  %-16s %s%s\n", sc_str_get(&name), op->opset, op->n, sc_str_get(&types),
           op->known ? c->why ? "no: " : "yes" : "no", op->known && c->why ? c->why : "");
    sc_str_free(&types);
    sc_str_free(&name);
}

static void json_op(json_t *list, const ScModelOp *op, const Cover *c)
{
    json_t *types = json_array();
    for (uint32_t t = 0; t < 64; t++)
        if (c->types >> t & 1)
            json_array_append_new(types, json_string(scrt_dtype_name((ScrtDtype)t)));
    json_array_append_new(
        list, json_pack("{s:s, s:s, s:i, s:i, s:o, s:b, s:s?, s:s}", "domain", op->domain, "onnx",
                        op->type, "opset", op->opset, "nodes", (int)op->n, "types", types,
                        "covered", op->known && !c->why, "why",
                        op->known ? c->why : "the operator is not known", "first", op->first));
}

/* Answers before anything else is compiled: each operator of the model, how often, covered or not.
 */
static int model_ops(Cli *cli)
{
    const char *path = cli->args.item[0];
    ScrtFile file;
    uint32_t n = 0, missing = 0;
    if (!scalec_open(cli->cx, path, &file))
        return cli_failed(cli);
    const ScModelOp *op = sc_model_ops(cli->cx, path, file.data, file.n, &n);
    scrt_file_close(&file);
    if (!op)
        return cli_failed(cli);
    Cover *cover = sc_array(sc_ctx_arena(cli->cx), Cover, n);
    ScalecModel m = {0};
    scalec_load(cli->cx, path, NULL, &m);
    bool whole = find_cover(cli, &m, op, n, cover);
    json_t *list = json_array();
    if (!cli->json)
        printf("%-28s %6s %7s  %-16s %s\n", "operator", "opset", "nodes", "types", "covered");
    for (uint32_t i = 0; i < n; i++) {
        missing += !op[i].known || cover[i].why;
        if (cli->json)
            json_op(list, &op[i], &cover[i]);
        else
            print_op(&op[i], &cover[i]);
    }
    if (cli->json)
        cli_print_json(list);
    json_decref(list);
    if (missing == 0 && !whole)
        return cli_failed(cli);
    if (!cli->json)
        printf("\n%u of %u operators are covered%s\n", n - missing, n,
               missing ? "" : ": the model can be compiled");
    return missing ? EXIT_INPUT : 0;
}

int cmd_ops(Cli *cli)
{
    ScrtDtype only = cli->dtype ? scrt_dtype_find(cli->dtype, strlen(cli->dtype)) : SCRT_DTYPE_NONE;
    if (cli->dtype && only == SCRT_DTYPE_NONE)
        return cli_misuse(cli, "--dtype: \"%s\" is no element type such as f32, bf16 or i64",
                          cli->dtype);
    if (cli->args.n)
        return model_ops(cli);
    if (cli->json) {
        json_t *list = all_json(cli, only);
        cli_print_json(list);
        json_decref(list);
        return 0;
    }
    print_imported(cli, only);
    if (cli->internal)
        print_rows(cli, only);
    return 0;
}

/* --- Errors ----------------------------------------------------------------------------------- */

int cmd_explain(Cli *cli)
{
    if (cli->all) {
        for (uint32_t k = 0; k <= UINT16_MAX; k++)
            if (sc_diag_title(k))
                printf("E%04u: %s\n", k, sc_diag_title(k));
        return 0;
    }
    if (!cli->args.n)
        return cli_misuse(cli, "which? E0203, or --all");
    const char *text = cli->args.item[0];
    char *end;
    unsigned long number = strtoul(*text == 'E' || *text == 'e' ? text + 1 : text, &end, 10);
    if (*end || number > UINT16_MAX || !sc_diag_title((uint32_t)number))
        return cli_misuse(cli, "\"%s\" is no error number such as E0203; --all lists them", text);
    printf("E%04lu: %s\n\n%s\n", number, sc_diag_title((uint32_t)number),
           sc_diag_explain((uint32_t)number));
    return 0;
}
