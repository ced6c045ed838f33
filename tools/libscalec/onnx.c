/* SPDX-License-Identifier: Apache-2.0 */
/* Any stage before kernels as an ONNX file: exponents become products, rows that ONNX has no
 * operator for their expansions. */
#include "tools/libscalec/scalec.h"

#include <string.h>

#define DATA_LIMIT (1ull << 30) /* half of what a protobuf message may have */

static bool write_files(ScCtx *cx, const char *path, const char *data_path, const ScExported *e)
{
    return (!e->data || scalec_write_file(cx, data_path, e->data, e->n_data)) &&
           scalec_write_file(cx, path, e->model, e->n_model);
}

bool scalec_write_onnx(ScCtx *cx, const ScGraph *g, ScalecProfile profile, uint64_t limit,
                       const char *path)
{
    SC_STAGE(cx, "onnx");
    const char *data_path = sc_printf(sc_ctx_arena(cx), "%s.data", path);
    const char *slash = strrchr(data_path, '/');
    ScExportOptions opt = {.qdq = profile == SCALEC_QDQ,
                           .data_limit = !strcmp(path, "-") ? SIZE_MAX
                                         : limit            ? limit
                                                            : DATA_LIMIT,
                           .data_name = slash ? slash + 1 : data_path};
    ScExported e;
    if (g->flags & SC_G_KERNELS)
        return sc_fail(cx, NULL, SC_E_EXPORT, "kernels; --stage layout is the last one without");
    ScGraph *plain = sc_plain_graph(cx, g, opt.qdq, sc_export_says, NULL);
    bool ok = plain && sc_export(cx, plain, &opt, &e);
    if (ok) {
        ok = write_files(cx, path, data_path, &e);
        sc_exported_free(&e);
    }
    sc_graph_free(plain);
    return ok;
}
