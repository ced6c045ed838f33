/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/libscalec/metric.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool metric_open(ScCtx *cx, const char *command, uint32_t n_sample, Metric *ret)
{
    *ret = (Metric){
        .cx = cx, .command = command, .n_sample = n_sample, .folder = "/tmp/scalec-outputs-XXXXXX"};
    if (mkdtemp(ret->folder))
        return true;
    sc_fail_file(cx, ret->folder, SC_E_WRITE, "%s", strerror(errno));
    ret->folder[0] = '\0';
    return false;
}

static void path_of(const Metric *x, uint32_t i, char *ret, size_t size)
{
    snprintf(ret, size, "%s/%u.npz", x->folder, i);
}

bool metric_add(Metric *x, const ScrtModel *model, uint32_t i, const ScrtTensor *out)
{
    char path[64];
    ScrtIoError err;
    uint32_t n = model->entry->n_out;
    ScrtNamed *item = sc_calloc(n + 1, sizeof *item);
    for (uint32_t k = 0; k < n; k++)
        item[k] =
            (ScrtNamed){.name = (char *)(uintptr_t)model->entry->out[k].name, .tensor = out[k]};
    path_of(x, i, path, sizeof path);
    bool ok =
        scrt_npz_write(path, item, n, &err) == SCRT_OK || scalec_write_failed(x->cx, path, &err);
    free(item);
    return ok;
}

bool metric_ask(const Metric *x, double *ret)
{
    char line[256] = "", *end = line;
    const char *command = sc_printf(sc_ctx_arena(x->cx), "%s %s", x->command, x->folder);
    FILE *f = popen(command, "r"); // NOLINT(cert-env33-c): it is the user's own
    if (f && fgets(line, sizeof line, f))
        *ret = strtod(line, &end);
    int status = f ? pclose(f) : -1;
    return (status == 0 && end != line && !isnan(*ret)) ||
           sc_fail_file(x->cx, NULL, SC_E_RUN, "--metric %s: %s", x->command,
                        status != 0 ? "the command fails" : "it prints no number");
}

void metric_close(Metric *x)
{
    char path[64];
    for (uint32_t i = 0; x->folder[0] && i < x->n_sample; i++) {
        path_of(x, i, path, sizeof path);
        unlink(path);
    }
    if (x->folder[0])
        rmdir(x->folder);
    x->folder[0] = '\0';
}
