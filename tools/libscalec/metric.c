/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/libscalec/metric.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A word of the shell's, whatever is in it. */
static const char *shell_word(ScCtx *cx, const char *s)
{
    ScStr word = {0};
    sc_str_add(&word, "'");
    for (; *s; s++)
        if (*s == '\'')
            sc_str_add(&word, "'\\''");
        else
            sc_str_addn(&word, s, 1);
    sc_str_add(&word, "'");
    return sc_str_keep(&word, sc_ctx_arena(cx));
}

bool metric_open(ScCtx *cx, const char *command, uint32_t n_sample, Metric *ret)
{
    const char *dir = getenv("TMPDIR");
    char *folder =
        sc_printf(sc_ctx_arena(cx), "%s/scalec-outputs-XXXXXX", dir && *dir ? dir : "/tmp");
    *ret = (Metric){.cx = cx, .command = command, .n_sample = n_sample};
    if (!mkdtemp(folder))
        return sc_fail_file(cx, folder, SC_E_WRITE, "%s", strerror(errno));
    ret->folder = folder;
    return true;
}

static const char *path_of(const Metric *x, uint32_t i)
{
    return sc_printf(sc_ctx_arena(x->cx), "%s/%u.npz", x->folder, i);
}

bool metric_add(Metric *x, const ScrtModel *model, uint32_t i, const ScrtTensor *out)
{
    const char *path = path_of(x, i);
    ScrtIoError err;
    uint32_t n = model->entry->n_out;
    ScrtNamed *item = sc_calloc(n + 1, sizeof *item);
    for (uint32_t k = 0; k < n; k++)
        item[k] =
            (ScrtNamed){.name = (char *)(uintptr_t)model->entry->out[k].name, .tensor = out[k]};
    bool ok =
        scrt_npz_write(path, item, n, &err) == SCRT_OK || scalec_write_failed(x->cx, path, &err);
    free(item);
    return ok;
}

bool metric_ask(const Metric *x, double *ret)
{
    char line[256] = "", *end = line;
    const char *command =
        sc_printf(sc_ctx_arena(x->cx), "%s %s", x->command, shell_word(x->cx, x->folder));
    FILE *f = popen(command, "r"); // NOLINT(cert-env33-c): it is the user's own
    if (f && fgets(line, sizeof line, f))
        *ret = strtod(line, &end);
    int status = f ? pclose(f) : -1;
    return (status == 0 && end != line && !isnan(*ret)) ||
           sc_fail_file(x->cx, NULL, SC_E_METRIC, "--metric %s: %s", x->command,
                        status != 0 ? "the command fails" : "it prints no number");
}

void metric_close(Metric *x)
{
    for (uint32_t i = 0; x->folder && i < x->n_sample; i++)
        unlink(path_of(x, i));
    if (x->folder)
        rmdir(x->folder);
    x->folder = NULL;
}
