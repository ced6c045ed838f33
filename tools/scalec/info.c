/* SPDX-License-Identifier: Apache-2.0 */
/* scalec ops and scalec explain: what the op table and the table of diagnostics say of themselves.
 */
#include "tools/scalec/cli.h"

#include "frontend/frontend.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *op_json(const ScOp *op)
{
    return json_pack("{s:s, s:s, s:s?, s:s?, s:i, s:i, s:s, s:s, s:s?, s:s, s:b, s:b, s:b}", "name",
                     op->name, "doc", op->doc, "domain", op->onnx.domain, "onnx", op->onnx.type,
                     "since", op->onnx.since, "until", op->onnx.until, "in", op->in, "out", op->out,
                     "scale", op->scale, "class", sc_class[op->lower.cls].name, "expansion",
                     op->expand != NULL, "gradient", op->grad != NULL, "quantizable",
                     op->quantizable != 0);
}

static json_t *import_json(const ScImportOp *op)
{
    return json_pack("{s:n, s:s, s:s, s:s, s:i, s:i}", "name", "doc",
                     "import says it by other rows", "domain", op->domain, "onnx", op->type,
                     "since", op->since, "until", op->until);
}

static void onnx_text(const char *domain, const char *type, int since, int until, char *ret,
                      size_t size)
{
    snprintf(ret, size, "%s%s%s (%d%s)", domain, *domain ? "::" : "", type, since,
             until ? "-" : "+");
}

int cmd_ops(Cli *cli)
{
    json_t *list = json_array();
    if (!cli->json)
        printf("%-16s %-24s %-9s %-28s %s\n", "row", "ONNX (opset)", "class", "scale signature",
               "meaning");
    uint32_t n;
    const ScOp *const *row = sc_op_rows(cli->cx, &n);
    for (uint32_t i = 0; i < n; i++) {
        const ScOp *op = row[i];
        char onnx[64] = "-";
        if (cli->json) {
            json_array_append_new(list, op_json(op));
            continue;
        }
        if (op->onnx.type)
            onnx_text(op->onnx.domain, op->onnx.type, op->onnx.since, op->onnx.until, onnx,
                      sizeof onnx);
        printf("%-16s %-24s %-9s %-28s %s\n", op->name, onnx, sc_class[op->lower.cls].name,
               op->scale ? op->scale : "-", op->doc);
    }
    ScImportOp import;
    for (uint32_t i = 0; sc_import_op(cli->cx, i, &import); i++) {
        if (cli->json) {
            json_array_append_new(list, import_json(&import));
            continue;
        }
        char onnx[64];
        onnx_text(import.domain, import.type, import.since, import.until, onnx, sizeof onnx);
        printf("%-16s %-24s %-9s %-28s %s\n", "-", onnx, "-", "-", "import says it by other rows");
    }
    if (cli->json) {
        json_dumpf(list, stdout, JSON_INDENT(1));
        putchar('\n');
    }
    json_decref(list);
    return 0;
}

int cmd_explain(Cli *cli)
{
    const char *text = cli->args.item[0];
    char *end;
    unsigned long number = strtoul(*text == 'E' || *text == 'e' ? text + 1 : text, &end, 10);
    if (*end || number > UINT16_MAX || !sc_diag_title((uint32_t)number))
        return cli_misuse(cli, "\"%s\" is no error number such as E0203", text);
    printf("E%04lu: %s\n\n%s\n", number, sc_diag_title((uint32_t)number),
           sc_diag_explain((uint32_t)number));
    return 0;
}
